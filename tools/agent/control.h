/*
 * control.h - the socket by which gpushim-ctl and gpushim-run have limits changed; its
 * protocol is in common/control.h.
 *
 * Knows clients, of which none is waited for: what they say is collected and what they hear is
 * kept until they take it, within bounds, and who takes too long is dropped. One thread.
 */
#ifndef GSH_AGENT_CONTROL_H
#define GSH_AGENT_CONTROL_H

#include "agent/limits.h"
#include "agent/loop.h"

struct agent_client;

struct agent_control {
	struct agent_source source; /* listens */
	struct agent_loop *loop;
	struct agent_tenants *tenants;
	struct agent_limits *limits;
	int directory_fd; /* of the socket */
	uint64_t device, inode;
	struct agent_client *clients;
	unsigned clients_count;
};

/*
 * Makes the socket in dir, in place of one that an agent has left there. The caller holds the
 * writers' lock, so that there is no other agent. 0 or -errno with a reason.
 */
int agent_control_open(struct agent_control *control, struct agent_loop *loop,
		       const char *dir, struct agent_tenants *tenants,
		       struct agent_limits *limits, struct gsh_reason *why);
/* Removes the socket if it is still ours. */
void agent_control_close(struct agent_control *control);

/*
 * Drops who after some calls of this has not said all, or has taken nothing of its answer for
 * so long.
 */
void agent_control_check(struct agent_control *control);

#endif
