/*
 * http.h - what the agent answers to HTTP: /metrics, /healthz, /readyz, /api/v1/tenants.
 *
 * Knows libmicrohttpd, which is run by the agent's own loop, and addresses. One thread.
 */
#ifndef GSH_AGENT_HTTP_H
#define GSH_AGENT_HTTP_H

#include "agent/loop.h"
#include "agent/observe.h"

#define AGENT_HTTP_ADDRESS "127.0.0.1:9464"

struct MHD_Daemon;

struct agent_http {
	struct agent_source source; /* libmicrohttpd's own epoll descriptor */
	struct MHD_Daemon *daemon;  /* NULL: nothing is served */
	struct agent_observer *observer;
	char path[108]; /* of a unix socket that we made; "" */
	uint64_t device, inode;
};

/*
 * Listens at an address: ADDRESS:PORT with a numeric address ([::1]:9464), or unix:PATH. 0 or
 * -errno with a reason.
 */
int agent_http_open(struct agent_http *http, struct agent_loop *loop,
		    struct agent_observer *observer, const char *address,
		    struct gsh_reason *why);
void agent_http_close(struct agent_http *http);

/* After each round of the loop. True: there is more to do at once. */
bool agent_http_work(struct agent_http *http);
/* Ends connections of who takes too long; every second. */
void agent_http_check(struct agent_http *http);

#endif
