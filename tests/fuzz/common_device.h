/*
 * A small device with a client, for fuzzers: some streams, some memory, and operations of
 * any content that do not take us long.
 */
#ifndef TESTS_FUZZ_COMMON_DEVICE_H
#define TESTS_FUZZ_COMMON_DEVICE_H

#include "common_input.h"
#include "common_server.h"

enum { DEVICE_STREAMS = 4, PAYLOAD_MAX = 512 };

struct device {
	struct sim_server *server;
	struct sim_client *client;
	struct sim_dctx *ctx;
	struct sim_dstream *streams[DEVICE_STREAMS];
	uint64_t memory, memory_bytes;
};

void device_open(struct device *device);
/* Gives a client a context with streams and memory. */
void device_equip(struct device *device);
void device_close(struct device *device);

/* An address: mostly one within the device's memory. */
uint64_t device_address(const struct device *device, struct input *in);

/* The payload of an operation, mostly well formed; returns its size. Kinds that have none
 * get anything. */
size_t device_payload(const struct device *device, struct input *in, uint32_t kind,
		      unsigned char payload[PAYLOAD_MAX]);

#endif
