/*
 * arbiter_align.c - turns on several devices at the same time, for one process.
 *
 * Knows the order in which devices are acquired, which is the caller's; each has its own
 * arbiter and its own order of tenants. Nobody who holds a device waits for a lower one,
 * so no two wait for each other.
 */
#include "policy/arbiter.h"

#include <stddef.h>

#include "policy/arbiter_order.h"

static bool holds(const struct gsh_arbiter *arbiter, uint32_t tenant)
{
	return arbiter->holder == tenant && !arbiter->ending;
}

/* Complete: from now on the turn counts. */
static void complete(struct gsh_arbiter *const arbiters[], uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct gsh_arbiter *arbiter = arbiters[i];
		uint64_t turn_ns;

		arbiter->pinned = false;
		arbiter->begin_ns = arbiter->now_ns;
		turn_ns = gsh_arbiter_affords_ns(&arbiter->tenants[arbiter->holder]);
		if (turn_ns > arbiter->tuning.quantum_ns)
			turn_ns = arbiter->tuning.quantum_ns;
		arbiter->until_ns = gsh_arbiter_later(arbiter->now_ns, turn_ns);
		arbiter->announce = true;
	}
}

bool gsh_arbiter_align(struct gsh_arbiter *const arbiters[], uint32_t count,
		       uint32_t tenant, uint64_t now_ns)
{
	uint32_t held = 0, pinned = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct gsh_arbiter_tenant *own = gsh_arbiter_find(arbiters[i], tenant);

		if (!own)
			return false;
		own->aligned = count > 1;
		gsh_arbiter_advance(arbiters[i], now_ns);
		held += holds(arbiters[i], tenant);
		pinned += holds(arbiters[i], tenant) && arbiters[i]->pinned;
	}
	if (held == count) {
		if (pinned > 0)
			complete(arbiters, count);
		return true;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct gsh_arbiter *arbiter = arbiters[i];

		/* It was complete, and a part is over: so is the rest. */
		if (holds(arbiter, tenant) && !arbiter->pinned)
			arbiter->dropped = true;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct gsh_arbiter *arbiter = arbiters[i];
		struct gsh_arbiter_tenant *own = gsh_arbiter_find(arbiter, tenant);

		if (holds(arbiter, tenant) && arbiter->pinned)
			continue;
		if (arbiter->holder == tenant)
			own->again = true; /* when its last turn has drained */
		else if (!own->waits)
			gsh_arbiter_rouse(arbiter, own);
		break;
	}
	return false;
}
