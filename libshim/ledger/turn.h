/*
 * turn.h - whether it is the tenant's turn on a device, as an agent says in the policy page, and
 * how a guest tells the agent that something has changed.
 *
 * Knows the page's turns, when an agent counts as dead, and the bell. Does not know why a launch
 * waits.
 *
 * Threads: any.
 */
#ifndef GSH_LEDGER_TURN_H
#define GSH_LEDGER_TURN_H

#include <stdint.h>

#include "ledger/tenant.h"

struct gsh_turn {
	enum gpushim_turn_state state;
	const uint32_t *word; /* to be slept on while it is `seen`; never NULL */
	uint32_t seen;
	uint64_t window_ns; /* of work in flight; 0: the guest's own */
};

/*
 * The turn on a device (row) now. GPUSHIM_TURN_OFF without a page, without a row for the device
 * in it, or once the heartbeat has stood still for GPUSHIM_TURN_DEAD_MS by now_ns
 * (CLOCK_MONOTONIC). No system call.
 */
void gsh_turn_look(struct gsh_tenant *tenant, int row, uint64_t now_ns,
		   struct gsh_turn *turn);

/*
 * Rings the bell beside the ledger; makes it if there is none. Nothing happens where no agent
 * listens. Some system calls; errno is changed.
 */
void gsh_turn_ring(const struct gsh_tenant *tenant);

#endif
