/*
 * arbiter_turn.c - how turns begin and end on one device.
 *
 * Knows the holder's turn: running, or ending while what it launched drains; and those
 * whose turn is over but whose work may not be. Knows nothing of shares: who is next, and
 * what anybody has had, is arbiter_order.c's.
 */
#include "policy/arbiter.h"

#include <stddef.h>

#include "policy/arbiter_order.h"

/* No wake-up is asked for sooner: a timer that has expired already is a busy loop. */
#define REST_NS UINT64_C(1000)

/* Guests see what has completed by looking, every 8 ms: for so long nobody is accused. */
#define SETTLE_NS UINT64_C(10000000)

/* Quanta that a turn waits for the other devices of its process. */
#define PIN_QUANTA 4u

/* Quanta between looks at those who were overtaken, while nobody has a turn. */
#define IDLE_LOOK_QUANTA 10u

/* Quanta that who twice, or more often, did not use a turn gets none: 4, 8 or 16. */
#define BAR_DOUBLINGS 4u

/* In one decision; what is left is left to the next. */
#define STEPS_MAX 4

#define NOBODY GSH_ARBITER_NOBODY
#define NEVER GSH_ARBITER_NEVER

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static void add(struct gsh_arbiter *arbiter, struct gsh_arbiter_decision *decision,
		enum gsh_arbiter_verb verb, uint32_t tenant, uint64_t turn)
{
	if (decision->count < GSH_ARBITER_ACTIONS_MAX)
		decision->actions[decision->count++] = (struct gsh_arbiter_action){
			.verb = verb,
			.tenant = tenant,
			.turn = turn,
			.until_ns = verb == GSH_ARBITER_GRANT ? arbiter->until_ns
							      : arbiter->now_ns,
		};
}

static void wake(struct gsh_arbiter_decision *decision, uint64_t at_ns)
{
	decision->wake_ns = least(decision->wake_ns, at_ns);
}

/* A turn may last so long from now on if others wait for its end. */
static uint64_t round_ns(const struct gsh_arbiter *arbiter,
			 const struct gsh_arbiter_tenant *tenant)
{
	return least(arbiter->tuning.quantum_ns, gsh_arbiter_affords_ns(tenant));
}

static void set_until(struct gsh_arbiter *arbiter, uint64_t until_ns)
{
	arbiter->announce |= until_ns != arbiter->until_ns;
	arbiter->until_ns = until_ns;
}

static void begin_turn(struct gsh_arbiter *arbiter, uint32_t holder, bool assured)
{
	struct gsh_arbiter_tenant *tenant = &arbiter->tenants[holder];

	for (uint32_t i = 0; i < arbiter->tenants_end; i++)
		arbiter->tenants[i].joined = false;
	tenant->waits = false;
	tenant->lingers = false;
	tenant->overruns = false;
	tenant->reported = false;
	tenant->used = false;
	tenant->again = false;
	tenant->drained_ns = 0;
	tenant->turns++;
	tenant->last_turn = ++arbiter->turn;
	arbiter->holder = holder;
	arbiter->assured = assured;
	arbiter->pinned = tenant->aligned;
	arbiter->dropped = false;
	arbiter->ending = false;
	arbiter->announce = true;
	arbiter->begin_ns = arbiter->now_ns;
	arbiter->begin_virtual_ns = tenant->virtual_ns;
	arbiter->until_ns = gsh_arbiter_later(arbiter->now_ns, round_ns(arbiter, tenant));
}

/* The holder launches no more from now on. */
static void stop(struct gsh_arbiter *arbiter, struct gsh_arbiter_decision *decision)
{
	if (arbiter->until_ns > arbiter->now_ns)
		add(arbiter, decision, GSH_ARBITER_REVOKE, arbiter->holder,
		    arbiter->turn);
	arbiter->ending = true;
	arbiter->announce = false;
	arbiter->end_ns = least(arbiter->until_ns, arbiter->now_ns);
	arbiter->until_ns = arbiter->end_ns;
}

/* The device is free for somebody else. */
static void release(struct gsh_arbiter *arbiter, bool others_wait)
{
	struct gsh_arbiter_tenant *tenant = &arbiter->tenants[arbiter->holder];
	uint64_t held_ns = arbiter->now_ns - arbiter->begin_ns;

	/* Two hand-overs for next to nothing cost the others more than that. */
	if (others_wait && held_ns < arbiter->tuning.keep_ns)
		gsh_arbiter_bill(arbiter, tenant, arbiter->tuning.keep_ns - held_ns);
	arbiter->holder = NOBODY;
	arbiter->ending = false;
	if (tenant->reported && tenant->report.in_flight_ns > 0) {
		tenant->lingers = true;
		tenant->lingers_ns = arbiter->now_ns;
	}
	/* Aligned turns are acquired in order: the first device anew. */
	tenant->waits = tenant->aligned ? tenant->again
					: tenant->reported && tenant->report.waits;
	tenant->again = false;
	if (!tenant->waits)
		gsh_arbiter_rest(arbiter, tenant);
}

static void overtake(struct gsh_arbiter *arbiter, struct gsh_arbiter_decision *decision,
		     uint32_t number)
{
	struct gsh_arbiter_tenant *tenant = &arbiter->tenants[number];

	tenant->overruns = true;
	tenant->overtaken++;
	add(arbiter, decision, GSH_ARBITER_OVERTAKE, number, tenant->last_turn);
}

/* ---- the end of a turn ------------------------------------------------------------- */

/* Nothing runs, nothing waits, or soon will: the device would be idle for keep_ns. */
static bool pauses(struct gsh_arbiter *arbiter, struct gsh_arbiter_decision *decision)
{
	const struct gsh_arbiter_tenant *tenant = &arbiter->tenants[arbiter->holder];
	const struct gsh_arbiter_report *report = &tenant->report;
	uint64_t since_ns;

	if (!tenant->reported || report->waits)
		return false;
	if (report->gap_ns > arbiter->tuning.keep_ns)
		return true;
	if (report->in_flight_ns > 0)
		return false;
	since_ns = most(report->idle_since_ns, arbiter->begin_ns);
	since_ns = gsh_arbiter_later(since_ns, arbiter->tuning.keep_ns);
	if (since_ns > arbiter->now_ns)
		wake(decision, since_ns);
	return since_ns <= arbiter->now_ns;
}

/* It says that it waits to launch, and does not: it is stopped, or does not know. */
static bool absent(struct gsh_arbiter *arbiter, struct gsh_arbiter_decision *decision)
{
	struct gsh_arbiter_tenant *tenant = &arbiter->tenants[arbiter->holder];
	uint64_t late_ns = gsh_arbiter_later(arbiter->begin_ns,
					     arbiter->tuning.no_show_ns);

	if (!tenant->reported || tenant->used)
		return false;
	/* Between two looks that are worth the name. */
	late_ns = most(late_ns,
		       gsh_arbiter_later(tenant->looked_ns, arbiter->tuning.look_ns));
	if (late_ns > arbiter->now_ns) {
		wake(decision, late_ns);
		return false;
	}
	/* Who is not there has no demand either, until it rings again. */
	tenant->report.waits = false;
	tenant->no_shows += tenant->no_shows < BAR_DOUBLINGS;
	if (tenant->no_shows > 1)
		tenant->barred_ns = gsh_arbiter_later(
			arbiter->now_ns, arbiter->tuning.quantum_ns << tenant->no_shows);
	return true;
}

/* Somebody who waits need not wait for the end of the holder's turn. */
static bool yields_to(struct gsh_arbiter *arbiter, uint32_t rival,
		      struct gsh_arbiter_decision *decision)
{
	const struct gsh_arbiter_tenant *holder = &arbiter->tenants[arbiter->holder];
	const struct gsh_arbiter_tenant *other = &arbiter->tenants[rival];
	/* What it has in flight is a part of its turn. */
	uint64_t early_ns = minus(
		gsh_arbiter_later(arbiter->begin_ns, arbiter->tuning.min_turn_ns),
		minus(holder->drained_ns, arbiter->now_ns));
	uint64_t lag_ns;
	bool assured;

	if (gsh_arbiter_next(arbiter, arbiter->holder, &assured) != rival)
		return false;
	if (gsh_arbiter_class(other) < gsh_arbiter_class(holder))
		return !arbiter->assured || other->joined;
	if (gsh_arbiter_class(other) > gsh_arbiter_class(holder) || arbiter->pinned)
		return false;
	/* Only for who comes back from sleep: nobody else was behind at the beginning. */
	lag_ns = least(arbiter->tuning.quantum_ns, other->terms.burst_ns / 2);
	if (gsh_arbiter_behind_ns(other, arbiter->begin_virtual_ns) < lag_ns)
		return false;
	if (early_ns > arbiter->now_ns)
		wake(decision, early_ns);
	return early_ns <= arbiter->now_ns;
}

/* The holder has more to do, and is still the first in order. */
static bool goes_on(struct gsh_arbiter *arbiter)
{
	const struct gsh_arbiter_tenant *tenant = &arbiter->tenants[arbiter->holder];
	bool assured;

	if (tenant->reported && !tenant->report.waits && tenant->report.in_flight_ns == 0)
		return false;
	if (gsh_arbiter_affords_ns(tenant) <= arbiter->tuning.handover_ns * 2)
		return false;
	return gsh_arbiter_next(arbiter, arbiter->holder, &assured) == arbiter->holder;
}

/* Work of others goes on beside the turn, and part of their time is charged to it. */
static bool has_company(const struct gsh_arbiter *arbiter)
{
	bool company = false;

	for (uint32_t i = 0; i < arbiter->tenants_end; i++)
		company |= arbiter->tenants[i].present && arbiter->tenants[i].overruns;
	return company;
}

/* Nobody waits: as long as it likes, within its limit. */
static void run_alone(struct gsh_arbiter *arbiter, struct gsh_arbiter_decision *decision)
{
	const struct gsh_arbiter_tenant *tenant = &arbiter->tenants[arbiter->holder];
	uint64_t slack_ns = arbiter->tuning.handover_ns, now_ns = arbiter->now_ns;
	bool company = has_company(arbiter), longer;
	uint64_t turn_ns = company ? round_ns(arbiter, tenant)
				   : gsh_arbiter_affords_ns(tenant);
	uint64_t until_ns = gsh_arbiter_later(now_ns, turn_ns);
	/* So long before its end a round is made longer. */
	uint64_t early_ns = company ? arbiter->tuning.quantum_ns / 2 : NEVER;

	if (turn_ns == NEVER) {
		set_until(arbiter, NEVER);
		return;
	}
	/* Its time is charged: it is better off without a turn it has no use for. */
	if (pauses(arbiter, decision) || turn_ns == 0 ||
	    (arbiter->until_ns <= now_ns && turn_ns <= slack_ns)) {
		stop(arbiter, decision);
		return;
	}
	/* Each change is said to the guest: none for a trifle. */
	longer = until_ns > gsh_arbiter_later(arbiter->until_ns, slack_ns) &&
		 minus(arbiter->until_ns, early_ns) <= now_ns;
	if (longer || arbiter->until_ns > gsh_arbiter_later(until_ns, slack_ns))
		set_until(arbiter, until_ns);
	until_ns = minus(arbiter->until_ns, early_ns);
	wake(decision, until_ns > now_ns ? until_ns : arbiter->until_ns);
}

/* Others wait: a round, and another if it is still first. */
static void run_contended(struct gsh_arbiter *arbiter,
			  struct gsh_arbiter_decision *decision)
{
	const struct gsh_arbiter_tenant *tenant = &arbiter->tenants[arbiter->holder];
	uint64_t now_ns = arbiter->now_ns, lead_ns = arbiter->tuning.handover_ns;
	uint64_t round = round_ns(arbiter, tenant), end_ns, until_ns;

	if (arbiter->until_ns > gsh_arbiter_later(now_ns, round + lead_ns)) {
		/* It began alone. */
		end_ns = gsh_arbiter_later(arbiter->begin_ns, arbiter->tuning.quantum_ns);
		if (end_ns > now_ns + lead_ns)
			set_until(arbiter,
				  least(end_ns, gsh_arbiter_later(now_ns, round)));
		else if (goes_on(arbiter))
			set_until(arbiter, gsh_arbiter_later(now_ns, round));
		else
			set_until(arbiter, now_ns);
	} else if (arbiter->until_ns <= now_ns + lead_ns && goes_on(arbiter)) {
		until_ns = gsh_arbiter_later(most(arbiter->until_ns, now_ns),
					     arbiter->tuning.quantum_ns);
		set_until(arbiter, least(until_ns, gsh_arbiter_later(now_ns, round)));
	}
	if (arbiter->until_ns <= now_ns) {
		/* What the guest knows may be later than that. */
		if (arbiter->announce)
			add(arbiter, decision, GSH_ARBITER_REVOKE, arbiter->holder,
			    arbiter->turn);
		stop(arbiter, decision);
		return;
	}
	wake(decision, arbiter->until_ns - lead_ns > now_ns ? arbiter->until_ns - lead_ns
							    : arbiter->until_ns);
	wake(decision, gsh_arbiter_later(now_ns, arbiter->tuning.look_ns));
}

static void run(struct gsh_arbiter *arbiter, struct gsh_arbiter_decision *decision)
{
	uint64_t pin_ns = gsh_arbiter_later(arbiter->begin_ns,
					    PIN_QUANTA * arbiter->tuning.quantum_ns);
	bool assured;
	uint32_t rival = gsh_arbiter_next(arbiter, NOBODY, &assured);

	if (arbiter->dropped) {
		stop(arbiter, decision);
		return;
	}
	if (arbiter->pinned && rival == NOBODY)
		return;
	if (arbiter->pinned && pin_ns > arbiter->now_ns) {
		wake(decision, pin_ns);
		if (yields_to(arbiter, rival, decision))
			stop(arbiter, decision);
		return;
	}
	if (rival == NOBODY) {
		run_alone(arbiter, decision);
		return;
	}
	if (arbiter->pinned || absent(arbiter, decision) || pauses(arbiter, decision) ||
	    yields_to(arbiter, rival, decision))
		stop(arbiter, decision);
	else
		run_contended(arbiter, decision);
}

/* Waits for what the holder has in flight; true: no longer. */
static bool drain(struct gsh_arbiter *arbiter, struct gsh_arbiter_decision *decision)
{
	struct gsh_arbiter_tenant *tenant = &arbiter->tenants[arbiter->holder];
	const struct gsh_arbiter_tuning *tuning = &arbiter->tuning;
	uint32_t number = arbiter->holder, rival;
	uint64_t hand_ns, bound_ns;
	bool assured, busy = tenant->reported && tenant->report.in_flight_ns > 0;
	bool demands = tenant->reported && tenant->report.waits;

	rival = gsh_arbiter_next(arbiter, NOBODY, &assured);
	if (demands && !tenant->aligned &&
	    gsh_arbiter_affords_ns(tenant) > 2 * tuning->handover_ns &&
	    gsh_arbiter_next(arbiter, number, &assured) == number) {
		/* Nobody else any more, or it is the first again. */
		arbiter->ending = false;
		set_until(arbiter,
			  gsh_arbiter_later(arbiter->now_ns, round_ns(arbiter, tenant)));
		return true;
	}
	hand_ns = minus(tenant->drained_ns, tuning->handover_ns);
	bound_ns = gsh_arbiter_later(
		arbiter->end_ns,
		rival != NOBODY && gsh_arbiter_class(&arbiter->tenants[rival]) <
					   gsh_arbiter_class(tenant)
			? tuning->yield_ns
			: tuning->stretch_ns);
	/* Nobody to hand it to: for its own bill. */
	if (rival == NOBODY)
		hand_ns = tenant->drained_ns;
	if (hand_ns <= arbiter->now_ns || (rival != NOBODY && hand_ns > bound_ns) ||
	    bound_ns <= arbiter->now_ns) {
		bool early = busy && hand_ns > arbiter->now_ns;

		release(arbiter, rival != NOBODY);
		if (early)
			overtake(arbiter, decision, number);
		return true;
	}
	wake(decision, least(hand_ns, bound_ns));
	/* It may be done before: looked at the closer the nearer. */
	wake(decision,
	     gsh_arbiter_later(arbiter->now_ns,
			       most(tuning->look_ns, (hand_ns - arbiter->now_ns) / 8)));
	return false;
}

/* ---- decisions --------------------------------------------------------------------- */

/* Who still says that it drains, when others have long had their turn, overruns. */
static void watch_lingerers(struct gsh_arbiter *arbiter,
			    struct gsh_arbiter_decision *decision)
{
	uint64_t look_ns = arbiter->tuning.quantum_ns *
			   (arbiter->holder == NOBODY ? IDLE_LOOK_QUANTA : 1);

	for (uint32_t i = 0; i < arbiter->tenants_end; i++) {
		struct gsh_arbiter_tenant *tenant = &arbiter->tenants[i];
		uint64_t late_ns = gsh_arbiter_later(tenant->lingers_ns, SETTLE_NS);

		if (!tenant->present || !tenant->lingers)
			continue;
		if (!tenant->overruns && late_ns <= arbiter->now_ns &&
		    decision->count < GSH_ARBITER_ACTIONS_MAX / 2)
			overtake(arbiter, decision, i);
		wake(decision, tenant->overruns
				       ? gsh_arbiter_later(arbiter->now_ns, look_ns)
				       : late_ns);
	}
}

/* One step; true: there may be another one to take at once. */
static bool step(struct gsh_arbiter *arbiter, struct gsh_arbiter_decision *decision)
{
	bool assured;
	uint32_t next;

	if (arbiter->holder == NOBODY) {
		next = gsh_arbiter_next(arbiter, NOBODY, &assured);
		if (next == NOBODY)
			return false;
		begin_turn(arbiter, next, assured);
	}
	if (arbiter->ending)
		return drain(arbiter, decision);
	run(arbiter, decision);
	return arbiter->ending;
}

void gsh_arbiter_decide(struct gsh_arbiter *arbiter, uint64_t now_ns,
			struct gsh_arbiter_decision *decision)
{
	bool more = true;

	gsh_arbiter_advance(arbiter, now_ns);
	decision->count = 0;
	decision->wake_ns = NEVER;
	/* A turn that ends, one that begins: more hardly follows from one event. */
	for (int i = 0; i < STEPS_MAX && more; i++) {
		wake(decision, gsh_arbiter_throttle(arbiter));
		more = step(arbiter, decision);
	}
	if (more)
		wake(decision, arbiter->now_ns);
	watch_lingerers(arbiter, decision);
	if (arbiter->announce && arbiter->holder != NOBODY)
		add(arbiter, decision, GSH_ARBITER_GRANT, arbiter->holder, arbiter->turn);
	arbiter->announce = false;
	if (decision->wake_ns != NEVER)
		decision->wake_ns = most(decision->wake_ns,
					 gsh_arbiter_later(arbiter->now_ns, REST_NS));
}
