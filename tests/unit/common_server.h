/*
 * A device process without sockets, for unit tests and fuzzers: a server, clients whose
 * channels are the test's own, and a clock that stands still unless it is told to pass.
 *
 * Knows server.h. Refuses to know: requests (the tests call what they would call), CUnit.
 */
#ifndef TESTS_UNIT_COMMON_SERVER_H
#define TESTS_UNIT_COMMON_SERVER_H

#include "device/server.h"

/* A server at 1 s with the default configuration but for these; contexts cost 1 MiB. */
struct sim_server *open_server(unsigned devices, uint64_t memory_bytes);
/* All clients go, then the server. */
void close_server(struct sim_server *server);

/* A client as HELLO leaves it, without direct access to anybody's memory. Behind its channel
 * nothing is mapped, so that reading on crashes. */
struct sim_client *open_client(struct sim_server *server);
void close_client(struct sim_client *client);

/* Lets time pass, and the device with it: rings are drained, work is done. */
void pass_ns(struct sim_server *server, uint64_t ns);
/* From now on the clock passes by itself, by that much each time it is read. */
void clock_step(uint64_t ns);

/* Publishes a record as the client's library would: with the next sequence of the stream
 * and the present time. The payload is any number of bytes. */
void publish(struct sim_client *client, const struct sim_dstream *stream,
	     enum sim_record_kind kind, const void *payload, size_t bytes);

/* A builtin kernel of one thread with its arguments, in the order and sizes of PTX. */
struct kernel_record {
	struct sim_rec_kernel head;
	unsigned char params[64];
};
struct kernel_record kernel(enum sim_builtin builtin, const void *params, size_t bytes);

#endif
