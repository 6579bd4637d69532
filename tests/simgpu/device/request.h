/*
 * request.h - what the handlers of socket messages share. Private to request*.c.
 */
#ifndef SIM_REQUEST_H
#define SIM_REQUEST_H

#include "device/server.h"

/* What a handler works on: the request with its descriptor, the reply with its own. */
struct exchange {
	struct sim_server *server;
	struct sim_client *client;
	struct sim_request request;
	int fd_in;
	struct sim_reply reply;
	int fds_out[2];
	int nfds_out;
	bool close_out; /* descriptors made for the client, closed here once sent */
	struct sim_hello hello;
	bool with_hello;
};

/* Whether a device, which exists, has fallen off the bus. */
static inline bool sim_is_lost(const struct exchange *x, uint64_t device)
{
	return (x->server->lost & 1u << device) != 0;
}

/* request_memory.c: a descriptor that goes out with the reply, and what it stands for, to be
 * filled in; NULL when out of memory. The second: what came in stands for, or NULL. */
struct sim_export *sim_export_new(struct exchange *x);
struct sim_export *sim_export_find(struct exchange *x);

/* Each serves one request (proto.h says which takes and answers what) and returns the
 * CUresult of the reply. */
/* request_work.c */
int sim_do_ctx_create(struct exchange *x);
int sim_do_ctx_destroy(struct exchange *x);
int sim_do_ctx_limit(struct exchange *x);
int sim_do_stream_create(struct exchange *x);
int sim_do_stream_destroy(struct exchange *x);
int sim_do_graph_create(struct exchange *x);
int sim_do_graph_destroy(struct exchange *x);
int sim_do_host_done(struct exchange *x);
/* request_memory.c */
int sim_do_mem_alloc(struct exchange *x);
int sim_do_mem_free(struct exchange *x);
int sim_do_mem_info(struct exchange *x);
int sim_do_mem_range(struct exchange *x);
int sim_do_va_reserve(struct exchange *x);
int sim_do_va_free(struct exchange *x);
int sim_do_phys_create(struct exchange *x);
int sim_do_phys_release(struct exchange *x);
int sim_do_phys_retain(struct exchange *x);
int sim_do_phys_info(struct exchange *x);
int sim_do_phys_export(struct exchange *x);
int sim_do_phys_import(struct exchange *x);
int sim_do_map(struct exchange *x);
int sim_do_unmap(struct exchange *x);
int sim_do_access(struct exchange *x);
int sim_do_code_load(struct exchange *x);
int sim_do_code_unload(struct exchange *x);
/* request_share.c */
int sim_do_ipc_get(struct exchange *x);
int sim_do_ipc_open(struct exchange *x);
int sim_do_ipc_close(struct exchange *x);
int sim_do_pool_export(struct exchange *x);
int sim_do_pool_import(struct exchange *x);
int sim_do_ipc_event_get(struct exchange *x);
int sim_do_ipc_event_open(struct exchange *x);
int sim_do_event_forget(struct exchange *x);
int sim_do_sticky(struct exchange *x);
int sim_do_fault(struct exchange *x);
int sim_do_truth(struct exchange *x);

#endif
