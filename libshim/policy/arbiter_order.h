/*
 * arbiter_order.h - what each tenant of a device has had, and who is next.
 *
 * For arbiter*.c alone. Nothing here begins or ends a turn.
 */
#ifndef GSH_POLICY_ARBITER_ORDER_H
#define GSH_POLICY_ARBITER_ORDER_H

#include "policy/arbiter.h"

/* The tenant, or NULL if there is none of that number. */
struct gsh_arbiter_tenant *gsh_arbiter_find(struct gsh_arbiter *arbiter, uint32_t tenant);

/* Charges up to now_ns, and moves all clocks on. First thing in every call. */
void gsh_arbiter_advance(struct gsh_arbiter *arbiter, uint64_t now_ns);

/* Charges more, in fair order. */
void gsh_arbiter_bill(struct gsh_arbiter *arbiter, struct gsh_arbiter_tenant *tenant,
		      uint64_t used_ns);

/* Takes over terms, bounded; what the tenant owes and is owed, in time, stays. */
void gsh_arbiter_adopt(struct gsh_arbiter *arbiter, struct gsh_arbiter_tenant *tenant,
		       const struct gsh_arbiter_terms *terms);

/* Its demand begins or ends. */
void gsh_arbiter_rouse(struct gsh_arbiter *arbiter, struct gsh_arbiter_tenant *tenant);
void gsh_arbiter_rest(struct gsh_arbiter *arbiter, struct gsh_arbiter_tenant *tenant);

/* Credit for so long a turn, from now on; GSH_ARBITER_NEVER without a limit. */
uint64_t gsh_arbiter_affords_ns(const struct gsh_arbiter_tenant *tenant);

/* Throttles and lets go; returns when the next who lacks credit has it, or NEVER. */
uint64_t gsh_arbiter_throttle(struct gsh_arbiter *arbiter);

/*
 * Who is next of those that wait and have credit, and of `also` (NOBODY: of those alone).
 * *assured: because its guarantee is not met, before somebody of a higher class.
 */
uint32_t gsh_arbiter_next(struct gsh_arbiter *arbiter, uint32_t also, bool *assured);

/* Whether it has had no more than its guarantee and a burst. */
bool gsh_arbiter_modest(const struct gsh_arbiter *arbiter,
			const struct gsh_arbiter_tenant *tenant);

/* How much less the tenant has had than somebody at other_virtual_ns of its class. */
uint64_t gsh_arbiter_behind_ns(const struct gsh_arbiter_tenant *tenant,
			       uint64_t other_virtual_ns);

/* Of a priority: 0 is the first served. */
unsigned gsh_arbiter_class(const struct gsh_arbiter_tenant *tenant);

static inline uint64_t gsh_arbiter_later(uint64_t time_ns, uint64_t by_ns)
{
	return time_ns > UINT64_MAX - by_ns ? UINT64_MAX : time_ns + by_ns;
}

#endif
