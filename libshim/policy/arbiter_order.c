/*
 * arbiter_order.c - the books of a device, and the order that follows from them.
 *
 * Knows three accounts of each tenant: time charged per share (the order within a class),
 * how far its guarantee is met (the order between classes), and credit under its limit.
 * Knows nothing of turns but who holds one.
 *
 * Shares are permille, so time per share is ns * 1000 / weight: a class' clock goes at
 * most a thousand times as fast as the caller's, and is set back, with all on it, before
 * it overflows.
 */
#include "policy/arbiter_order.h"

#include <stddef.h>

/* Weight and guarantee of those who asked for less, or for nothing: 1 %. */
#define WEIGHT_MIN 10u
#define WEIGHT_MAX 1000u
#define PM UINT64_C(1000)

/* No stretch of time counts for more: 13 days. Times PM it is about VIRTUAL_SPAN. */
#define STEP_MAX_NS (UINT64_C(1) << 50)
/* Clocks of classes are set back by that much. */
#define VIRTUAL_SPAN (UINT64_C(1) << 60)

/* Nobody is behind or ahead of his class, or of his limit, by more. */
#define DEBT_MAX_NS UINT64_C(60000000000)
/* Guarantees are owed for no more. */
#define OWED_MAX_NS UINT64_C(1000000000)
/* Credit beyond a burst, for having been kept waiting. */
#define EXTRA_MAX_NS UINT64_C(1000000000)
#define BURST_MAX_NS (GPUSHIM_BURST_MS_MAX * UINT64_C(1000000))
#define BURST_MIN_NS UINT64_C(100000)

struct gsh_arbiter_tenant *gsh_arbiter_find(struct gsh_arbiter *arbiter, uint32_t tenant)
{
	if (tenant >= arbiter->tenants_end || !arbiter->tenants[tenant].present)
		return NULL;
	return &arbiter->tenants[tenant];
}

unsigned gsh_arbiter_class(const struct gsh_arbiter_tenant *tenant)
{
	switch (tenant->terms.priority) {
	case GPUSHIM_PRIORITY_LATENCY:
		return 0;
	case GPUSHIM_PRIORITY_BATCH:
		return 2;
	default:
		return 1;
	}
}

static bool capped(const struct gsh_arbiter_tenant *tenant)
{
	return tenant->terms.limit_permille < PM;
}

/* Time per share, and back. */
static uint64_t per_share(const struct gsh_arbiter_tenant *tenant, uint64_t time_ns)
{
	return time_ns * PM / tenant->weight;
}

static uint64_t of_share(const struct gsh_arbiter_tenant *tenant, uint64_t virtual_ns)
{
	uint64_t whole = virtual_ns / PM * tenant->weight;

	return whole + virtual_ns % PM * tenant->weight / PM;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool holds(const struct gsh_arbiter *arbiter,
		  const struct gsh_arbiter_tenant *tenant)
{
	return arbiter->holder != GSH_ARBITER_NOBODY &&
	       tenant == &arbiter->tenants[arbiter->holder];
}

/* It wants the device, or has it: its class' clock must not leave it behind. */
static bool active(const struct gsh_arbiter *arbiter,
		   const struct gsh_arbiter_tenant *tenant)
{
	return tenant->present && ((tenant->waits && !tenant->throttled) ||
				   tenant->overruns || holds(arbiter, tenant));
}

/* ---- clocks ------------------------------------------------------------------------ */

/* The clock of a class stands where the last of its active tenants is. */
static void follow(struct gsh_arbiter *arbiter, unsigned class)
{
	uint64_t least = UINT64_MAX;

	for (uint32_t i = 0; i < arbiter->tenants_end; i++) {
		const struct gsh_arbiter_tenant *tenant = &arbiter->tenants[i];

		if (active(arbiter, tenant) && gsh_arbiter_class(tenant) == class &&
		    tenant->virtual_ns < least)
			least = tenant->virtual_ns;
	}
	if (least != UINT64_MAX && least > arbiter->virtual_ns[class])
		arbiter->virtual_ns[class] = least;
}

/* Sets a clock back, with all who are on it. */
static void set_back(struct gsh_arbiter *arbiter, unsigned class)
{
	for (uint32_t i = 0; i < arbiter->tenants_end; i++) {
		struct gsh_arbiter_tenant *tenant = &arbiter->tenants[i];

		if (tenant->present && gsh_arbiter_class(tenant) == class)
			tenant->virtual_ns = minus(tenant->virtual_ns, VIRTUAL_SPAN);
	}
	arbiter->virtual_ns[class] -= VIRTUAL_SPAN;
}

/* What it had beyond its turns counts until it is made good. */
static void spill(struct gsh_arbiter_tenant *tenant, uint64_t used_ns)
{
	tenant->spilt_ns = least(tenant->spilt_ns + used_ns, DEBT_MAX_NS);
}

void gsh_arbiter_bill(struct gsh_arbiter *arbiter, struct gsh_arbiter_tenant *tenant,
		      uint64_t used_ns)
{
	/* Nobody is further ahead: guarantees are met again soon after a feast. */
	uint64_t ahead_ns = tenant->terms.burst_ns + arbiter->tuning.quantum_ns +
			    tenant->spilt_ns;
	uint64_t base_ns = arbiter->virtual_ns[gsh_arbiter_class(tenant)];
	uint64_t most_ns;

	tenant->charged_ns += used_ns;
	most_ns = base_ns + per_share(tenant, DEBT_MAX_NS);
	tenant->virtual_ns += per_share(tenant, used_ns);
	if (tenant->virtual_ns > most_ns && !holds(arbiter, tenant))
		tenant->virtual_ns = most_ns;
	most_ns = gsh_arbiter_later(arbiter->assured_ns, per_share(tenant, ahead_ns));
	tenant->assured_ns += per_share(tenant, used_ns);
	if (tenant->assured_ns > most_ns)
		tenant->assured_ns = most_ns;
}

/* Net of what a limit earns and a turn costs; what would be above most_pm is lost. */
static void refill(struct gsh_arbiter_tenant *tenant, uint64_t step_ns, uint64_t used_ns,
		   int64_t most_pm)
{
	int64_t least_pm = -(int64_t)(DEBT_MAX_NS * PM);

	tenant->credit_pm += (int64_t)(step_ns * tenant->terms.limit_permille);
	tenant->credit_pm -= (int64_t)(used_ns * PM);
	if (tenant->credit_pm > most_pm)
		tenant->credit_pm = most_pm;
	if (tenant->credit_pm < least_pm)
		tenant->credit_pm = least_pm;
}

static int64_t burst_pm(const struct gsh_arbiter_tenant *tenant)
{
	return (int64_t)(tenant->terms.burst_ns * PM);
}

/* The holder's turn is over, and will have been for long when it has drained. */
static bool stretches(const struct gsh_arbiter *arbiter)
{
	uint64_t end_ns;

	if (arbiter->holder == GSH_ARBITER_NOBODY || !arbiter->ending)
		return false;
	end_ns = arbiter->tenants[arbiter->holder].drained_ns;
	if (end_ns < arbiter->now_ns)
		end_ns = arbiter->now_ns;
	return end_ns > gsh_arbiter_later(arbiter->end_ns, arbiter->tuning.yield_ns);
}

/*
 * Most credit now. What it earns while somebody's long kernel keeps it waiting beyond
 * that one's turn comes on top of a burst, until it has used it or wants no more:
 * otherwise a limit would cost those with short kernels what those with long ones take.
 */
static int64_t most_credit_pm(const struct gsh_arbiter *arbiter,
			      const struct gsh_arbiter_tenant *tenant)
{
	int64_t most_pm = burst_pm(tenant);

	if (tenant->waits && stretches(arbiter))
		return (int64_t)(EXTRA_MAX_NS * PM) + most_pm;
	if ((tenant->waits || holds(arbiter, tenant)) && tenant->credit_pm > most_pm)
		return tenant->credit_pm;
	return most_pm;
}

void gsh_arbiter_advance(struct gsh_arbiter *arbiter, uint64_t now_ns)
{
	uint64_t step_ns = minus(now_ns, arbiter->now_ns), guaranteed = 0, users = 0;
	uint64_t over_ns = least(step_ns, minus(now_ns, arbiter->until_ns));

	if (step_ns == 0)
		return;
	arbiter->now_ns = now_ns;
	if (step_ns > STEP_MAX_NS)
		step_ns = STEP_MAX_NS;
	for (uint32_t i = 0; i < arbiter->tenants_end; i++) {
		const struct gsh_arbiter_tenant *tenant = &arbiter->tenants[i];

		if (active(arbiter, tenant) || (tenant->present && tenant->waits))
			guaranteed += tenant->weight;
		users += holds(arbiter, tenant) || (tenant->present && tenant->overruns);
	}
	arbiter->assured_ns = gsh_arbiter_later(
		arbiter->assured_ns, step_ns * PM / (guaranteed > PM ? guaranteed : PM));
	for (uint32_t i = 0; i < arbiter->tenants_end; i++) {
		struct gsh_arbiter_tenant *tenant = &arbiter->tenants[i];
		bool uses = holds(arbiter, tenant) || tenant->overruns;
		uint64_t spilt_ns = tenant->overruns ? step_ns : over_ns;
		uint64_t owed_ns;

		if (!tenant->present)
			continue;
		refill(tenant, step_ns, uses ? step_ns : 0,
		       most_credit_pm(arbiter, tenant));
		if (uses) {
			tenant->held_ns += step_ns;
			spill(tenant, spilt_ns);
			gsh_arbiter_bill(arbiter, tenant, step_ns / users);
		}
		if (tenant->waits)
			tenant->waited_ns += step_ns;
		owed_ns = minus(arbiter->assured_ns, tenant->assured_ns);
		if (owed_ns > 0)
			tenant->spilt_ns = 0;
		if (owed_ns > per_share(tenant, OWED_MAX_NS))
			tenant->assured_ns = arbiter->assured_ns -
					     per_share(tenant, OWED_MAX_NS);
	}
	for (unsigned class = 0; class < 3; class ++) {
		follow(arbiter, class);
		while (arbiter->virtual_ns[class] >= VIRTUAL_SPAN)
			set_back(arbiter, class);
	}
}

/* ---- coming and going -------------------------------------------------------------- */

/* Who has not waited all the time is behind his class by a burst at most. */
static void catch_up(struct gsh_arbiter *arbiter, struct gsh_arbiter_tenant *tenant)
{
	uint64_t base_ns = arbiter->virtual_ns[gsh_arbiter_class(tenant)];
	uint64_t least_ns = minus(base_ns, per_share(tenant, tenant->terms.burst_ns));

	if (tenant->virtual_ns < least_ns)
		tenant->virtual_ns = least_ns;
}

void gsh_arbiter_rouse(struct gsh_arbiter *arbiter, struct gsh_arbiter_tenant *tenant)
{
	/* Sleep earns no guarantee, and costs none. */
	uint64_t least_ns = minus(arbiter->assured_ns, tenant->owed_ns);

	tenant->waits = true;
	tenant->joined = true;
	if (tenant->assured_ns < least_ns)
		tenant->assured_ns = least_ns;
	catch_up(arbiter, tenant);
}

void gsh_arbiter_rest(struct gsh_arbiter *arbiter, struct gsh_arbiter_tenant *tenant)
{
	tenant->owed_ns = minus(arbiter->assured_ns, tenant->assured_ns);
}

static uint64_t bounded(uint64_t value, uint64_t least, uint64_t most)
{
	if (value < least)
		return least;
	return value > most ? most : value;
}

void gsh_arbiter_adopt(struct gsh_arbiter *arbiter, struct gsh_arbiter_tenant *tenant,
		       const struct gsh_arbiter_terms *terms)
{
	uint64_t base_ns = arbiter->virtual_ns[gsh_arbiter_class(tenant)];
	uint64_t ahead_ns = of_share(tenant, minus(tenant->virtual_ns, base_ns));
	uint64_t behind_ns = of_share(tenant, minus(base_ns, tenant->virtual_ns));
	uint64_t over_ns = of_share(tenant,
				    minus(tenant->assured_ns, arbiter->assured_ns));
	uint64_t owed_ns = of_share(tenant,
				    minus(arbiter->assured_ns, tenant->assured_ns));
	uint64_t asleep_ns = of_share(tenant, tenant->owed_ns);
	uint64_t burst_ns = terms->burst_ns
				    ? terms->burst_ns
				    : GPUSHIM_BURST_MS_DEFAULT * UINT64_C(1000000);

	tenant->terms = *terms;
	tenant->terms.limit_permille = (uint32_t)bounded(terms->limit_permille, 1, PM);
	tenant->terms.burst_ns = bounded(burst_ns, BURST_MIN_NS, BURST_MAX_NS);
	tenant->weight = (uint32_t)bounded(terms->request_permille, WEIGHT_MIN,
					   WEIGHT_MAX);
	ahead_ns = bounded(ahead_ns, 0, DEBT_MAX_NS);
	base_ns = arbiter->virtual_ns[gsh_arbiter_class(tenant)];
	tenant->virtual_ns = minus(base_ns + per_share(tenant, ahead_ns),
				   per_share(tenant, behind_ns));
	tenant->assured_ns = minus(arbiter->assured_ns + per_share(tenant, over_ns),
				   per_share(tenant, owed_ns));
	tenant->owed_ns = per_share(tenant, asleep_ns);
	refill(tenant, 0, 0, burst_pm(tenant));
}

/* ---- limits ------------------------------------------------------------------------ */

/* Credit for a turn: what a quantum costs net, or half of the burst. */
static int64_t needed_pm(const struct gsh_arbiter *arbiter,
			 const struct gsh_arbiter_tenant *tenant)
{
	uint64_t turn_pm = arbiter->tuning.quantum_ns *
			   (PM - tenant->terms.limit_permille);
	uint64_t half_pm = tenant->terms.burst_ns * PM / 2;

	return (int64_t)(turn_pm < half_pm ? turn_pm : half_pm);
}

uint64_t gsh_arbiter_affords_ns(const struct gsh_arbiter_tenant *tenant)
{
	if (!capped(tenant))
		return GSH_ARBITER_NEVER;
	if (tenant->credit_pm <= 0)
		return 0;
	return (uint64_t)tenant->credit_pm / (PM - tenant->terms.limit_permille);
}

uint64_t gsh_arbiter_throttle(struct gsh_arbiter *arbiter)
{
	uint64_t next_ns = GSH_ARBITER_NEVER;

	for (uint32_t i = 0; i < arbiter->tenants_end; i++) {
		struct gsh_arbiter_tenant *tenant = &arbiter->tenants[i];
		uint64_t rate = tenant->terms.limit_permille, wait_ns;
		bool was = tenant->throttled;
		int64_t lack_pm;

		if (!tenant->present)
			continue;
		lack_pm = needed_pm(arbiter, tenant) - tenant->credit_pm;
		if (!capped(tenant) || lack_pm < 0)
			lack_pm = 0;
		wait_ns = ((uint64_t)lack_pm + rate - 1) / rate;
		if (wait_ns < minus(tenant->barred_ns, arbiter->now_ns))
			wait_ns = tenant->barred_ns - arbiter->now_ns;
		tenant->throttled = tenant->waits && wait_ns > 0;
		if (was && tenant->waits && !tenant->throttled)
			catch_up(arbiter, tenant);
		if (!tenant->throttled)
			continue;
		if (gsh_arbiter_later(arbiter->now_ns, wait_ns) < next_ns)
			next_ns = gsh_arbiter_later(arbiter->now_ns, wait_ns);
	}
	return next_ns;
}

/* Measured by the caller: order and limit both see it. */
void gsh_arbiter_charge(struct gsh_arbiter *arbiter, uint32_t number, uint64_t used_ns,
			uint64_t now_ns)
{
	struct gsh_arbiter_tenant *tenant = gsh_arbiter_find(arbiter, number);

	if (!tenant)
		return;
	gsh_arbiter_advance(arbiter, now_ns);
	used_ns = bounded(used_ns, 0, DEBT_MAX_NS);
	tenant->held_ns += used_ns;
	spill(tenant, used_ns);
	gsh_arbiter_bill(arbiter, tenant, used_ns);
	refill(tenant, 0, used_ns, most_credit_pm(arbiter, tenant));
}

/* ---- order ------------------------------------------------------------------------- */

bool gsh_arbiter_modest(const struct gsh_arbiter *arbiter,
			const struct gsh_arbiter_tenant *tenant)
{
	return minus(tenant->assured_ns, arbiter->assured_ns) <=
	       per_share(tenant, tenant->terms.burst_ns);
}

static bool owed(const struct gsh_arbiter *arbiter,
		 const struct gsh_arbiter_tenant *tenant)
{
	return minus(arbiter->assured_ns, tenant->assured_ns) >=
	       per_share(tenant, arbiter->tuning.quantum_ns);
}

uint64_t gsh_arbiter_behind_ns(const struct gsh_arbiter_tenant *tenant,
			       uint64_t other_virtual_ns)
{
	return of_share(tenant, minus(other_virtual_ns, tenant->virtual_ns));
}

uint32_t gsh_arbiter_next(struct gsh_arbiter *arbiter, uint32_t also, bool *assured)
{
	uint32_t first = GSH_ARBITER_NOBODY;
	unsigned owed_class = 0;
	bool passed = false;

	for (uint32_t i = 0; i < arbiter->tenants_end; i++) {
		const struct gsh_arbiter_tenant *tenant = &arbiter->tenants[i];
		bool runs = (tenant->waits && !tenant->throttled) || i == also;

		if (tenant->present && runs && owed(arbiter, tenant) &&
		    gsh_arbiter_class(tenant) > owed_class)
			owed_class = gsh_arbiter_class(tenant);
	}
	for (uint32_t i = 0; i < arbiter->tenants_end; i++) {
		const struct gsh_arbiter_tenant *tenant = &arbiter->tenants[i];
		const struct gsh_arbiter_tenant *best =
			&arbiter->tenants[first % GSH_ARBITER_TENANTS_MAX];
		unsigned class = gsh_arbiter_class(tenant);

		if (!tenant->present ||
		    (i != also && (!tenant->waits || tenant->throttled)))
			continue;
		/* Who has had more than his own stands back for those who have not. */
		if (class < owed_class && !gsh_arbiter_modest(arbiter, tenant)) {
			passed = true;
			continue;
		}
		if (first == GSH_ARBITER_NOBODY || class < gsh_arbiter_class(best) ||
		    (class == gsh_arbiter_class(best) &&
		     tenant->virtual_ns < best->virtual_ns))
			first = i;
	}
	*assured = passed;
	return first;
}
