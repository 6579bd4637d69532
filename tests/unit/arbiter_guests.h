/*
 * arbiter_guests.h - guests of an arbiter in virtual time, who report what they are told
 * to.
 *
 * Knows what the arbiter said last, and keeps books of its own: whose the device was,
 * from each decision to the next. For one test program: all is static.
 */
#ifndef TESTS_UNIT_ARBITER_GUESTS_H
#define TESTS_UNIT_ARBITER_GUESTS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "policy/arbiter.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)
#define NEVER GSH_ARBITER_NEVER
#define NOBODY GSH_ARBITER_NOBODY
#define QUANTUM (10 * MS)

enum { GUESTS = 8 };

static struct gsh_arbiter arbiter;
static struct gsh_arbiter_tuning tuning;
static struct gsh_arbiter_decision decision;
static struct gsh_arbiter_report reports[GUESTS];
static uint64_t now_ns, random_state;
static uint64_t held_ns[GUESTS], turns[GUESTS];
static uint32_t holder;	  /* as the arbiter says */
static uint64_t until_ns; /* of the last grant or revocation */

/* splitmix64 */
static inline uint64_t random_below(uint64_t bound)
{
	uint64_t x = random_state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return (x ^ x >> 31) % bound;
}

static inline void start_at(uint64_t at_ns)
{
	now_ns = at_ns;
	tuning = gsh_arbiter_tuning(QUANTUM);
	gsh_arbiter_init(&arbiter, &tuning, now_ns);
	memset(reports, 0, sizeof(reports));
	memset(&decision, 0, sizeof(decision));
	memset(held_ns, 0, sizeof(held_ns));
	memset(turns, 0, sizeof(turns));
	holder = NOBODY;
	until_ns = 0;
	random_state = 1;
}

static inline void start(void)
{
	start_at(1000 * SECOND);
}

static inline void enter_as(uint32_t tenant, uint32_t request_permille,
			    uint32_t limit_permille, enum gpushim_priority priority)
{
	struct gsh_arbiter_terms terms = {
		.request_permille = request_permille,
		.limit_permille = limit_permille,
		.priority = priority,
	};

	gsh_arbiter_enter(&arbiter, tenant, &terms, now_ns);
}

static inline void enter(uint32_t tenant, uint32_t request_permille)
{
	enter_as(tenant, request_permille, 1000, GPUSHIM_PRIORITY_NORMAL);
}

static inline struct gsh_arbiter_view view(uint32_t tenant)
{
	struct gsh_arbiter_view seen;

	gsh_arbiter_view(&arbiter, tenant, now_ns, &seen);
	return seen;
}

/* The books go on to at_ns. */
static inline void pass_to(uint64_t at_ns)
{
	if (holder != NOBODY)
		held_ns[holder] += at_ns - now_ns;
	now_ns = at_ns;
}

static inline void pass(uint64_t time_ns)
{
	pass_to(now_ns + time_ns);
}

static inline void act(const struct gsh_arbiter_action *action)
{
	if (action->verb == GSH_ARBITER_OVERTAKE)
		return;
	until_ns = action->until_ns;
	if (action->verb == GSH_ARBITER_GRANT && action->turn != turns[action->tenant])
		turns[action->tenant] = action->turn;
}

/* Reports what `reports` says, and decides. */
static inline void decide(void)
{
	for (uint32_t i = 0; i < GUESTS; i++)
		if (gsh_arbiter_watches(&arbiter, i))
			gsh_arbiter_report(&arbiter, i, &reports[i], now_ns);
	gsh_arbiter_decide(&arbiter, now_ns, &decision);
	for (uint32_t i = 0; i < decision.count; i++)
		act(&decision.actions[i]);
	holder = NOBODY;
	for (uint32_t i = 0; i < GUESTS; i++)
		if (view(i).holds)
			holder = i;
}

static inline void ring(uint32_t tenant)
{
	gsh_arbiter_demand(&arbiter, tenant, now_ns);
	decide();
}

/* The action of the last decision, or NULL. */
static inline const struct gsh_arbiter_action *said(enum gsh_arbiter_verb verb,
						    uint32_t tenant)
{
	for (uint32_t i = 0; i < decision.count; i++)
		if (decision.actions[i].verb == verb &&
		    decision.actions[i].tenant == tenant)
			return &decision.actions[i];
	return NULL;
}

static inline bool grants(uint32_t tenant)
{
	return said(GSH_ARBITER_GRANT, tenant) != NULL;
}

/* It launches, and has in_flight_ns to drain; more_waits: and threads at the gate. */
static inline void works(uint32_t tenant, uint64_t in_flight_ns, bool more_waits)
{
	reports[tenant] = (struct gsh_arbiter_report){
		.in_flight_ns = in_flight_ns,
		.launches = reports[tenant].launches + 1,
		.waits = more_waits,
	};
}

static inline void idles(uint32_t tenant, uint64_t gap_ns)
{
	reports[tenant] = (struct gsh_arbiter_report){
		.idle_since_ns = now_ns,
		.gap_ns = gap_ns,
		.launches = reports[tenant].launches,
	};
}

/*
 * All in `tenants` (bits) always have work, for time_ns, and drain_ns of it in flight
 * while they may launch; timers are up to late_ns late.
 */
static inline void saturate(uint32_t tenants, uint64_t time_ns, uint64_t drain_ns,
			    uint64_t late_ns)
{
	uint64_t end_ns = now_ns + time_ns, at_ns;

	for (uint32_t i = 0; i < GUESTS; i++)
		if (tenants >> i & 1) {
			works(i, 0, true);
			gsh_arbiter_demand(&arbiter, i, now_ns);
		}
	for (;;) {
		for (uint32_t i = 0; i < GUESTS; i++) {
			if (!(tenants >> i & 1))
				continue;
			if (i != holder)
				works(i, 0, true);
			else if (now_ns < until_ns)
				works(i, drain_ns, true);
			else
				works(i,
				      until_ns + drain_ns > now_ns
					      ? until_ns + drain_ns - now_ns
					      : 0,
				      true);
		}
		decide();
		at_ns = decision.wake_ns;
		if (late_ns && at_ns != NEVER)
			at_ns += random_below(late_ns);
		if (at_ns >= end_ns)
			break;
		pass_to(at_ns);
	}
	pass_to(end_ns);
}

#endif
