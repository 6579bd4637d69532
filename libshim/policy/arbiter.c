/*
 * arbiter.c - what an arbiter is told: tenants, demand, reports.
 *
 * Knows what each event means to a turn that is running or ending. Decides nothing: turns
 * are arbiter_turn.c's, shares arbiter_order.c's.
 */
#include "policy/arbiter.h"

#include <stddef.h>
#include <string.h>

#include "policy/arbiter_order.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

#define NOBODY GSH_ARBITER_NOBODY

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t bounded(uint64_t value, uint64_t from, uint64_t to)
{
	return most(from, least(value, to));
}

struct gsh_arbiter_tuning gsh_arbiter_tuning(uint64_t quantum_ns)
{
	quantum_ns = bounded(quantum_ns ? quantum_ns : 10 * MS, 100 * US, SECOND);
	return (struct gsh_arbiter_tuning){
		.quantum_ns = quantum_ns,
		.handover_ns = 100 * US,
		.keep_ns = 200 * US,
		.min_turn_ns = quantum_ns / 4,
		.look_ns = 2 * MS,
		.no_show_ns = quantum_ns / 2,
		.yield_ns = 2 * MS,
		.stretch_ns = 400 * MS,
	};
}

void gsh_arbiter_init(struct gsh_arbiter *arbiter,
		      const struct gsh_arbiter_tuning *tuning, uint64_t now_ns)
{
	struct gsh_arbiter_tuning *mine = &arbiter->tuning;

	memset(arbiter, 0, sizeof(*arbiter));
	*mine = *tuning;
	mine->quantum_ns = bounded(tuning->quantum_ns, 100 * US, SECOND);
	mine->handover_ns = least(tuning->handover_ns, mine->quantum_ns / 4);
	mine->keep_ns = least(tuning->keep_ns, mine->quantum_ns / 2);
	mine->min_turn_ns = least(tuning->min_turn_ns, mine->quantum_ns);
	mine->look_ns = bounded(tuning->look_ns, 50 * US, mine->quantum_ns);
	mine->no_show_ns = most(tuning->no_show_ns, mine->look_ns);
	mine->stretch_ns = least(tuning->stretch_ns, 60 * SECOND);
	mine->yield_ns = least(tuning->yield_ns, mine->stretch_ns);
	arbiter->now_ns = now_ns;
	arbiter->holder = NOBODY;
}

/* ---- events ------------------------------------------------------------------------ */

void gsh_arbiter_enter(struct gsh_arbiter *arbiter, uint32_t number,
		       const struct gsh_arbiter_terms *terms, uint64_t now_ns)
{
	struct gsh_arbiter_tenant *tenant;
	unsigned class;

	if (number >= GSH_ARBITER_TENANTS_MAX)
		return;
	gsh_arbiter_advance(arbiter, now_ns);
	tenant = &arbiter->tenants[number];
	if (tenant->present) {
		gsh_arbiter_adopt(arbiter, tenant, terms);
		return;
	}
	memset(tenant, 0, sizeof(*tenant));
	tenant->terms.priority = terms->priority;
	tenant->weight = 1;
	class = gsh_arbiter_class(tenant);
	tenant->virtual_ns = arbiter->virtual_ns[class];
	tenant->assured_ns = arbiter->assured_ns;
	gsh_arbiter_adopt(arbiter, tenant, terms);
	tenant->credit_pm = (int64_t)(tenant->terms.burst_ns * 1000);
	tenant->present = true;
	if (arbiter->tenants_end <= number)
		arbiter->tenants_end = number + 1;
}

void gsh_arbiter_leave(struct gsh_arbiter *arbiter, uint32_t number, uint64_t now_ns)
{
	struct gsh_arbiter_tenant *tenant = gsh_arbiter_find(arbiter, number);

	if (!tenant)
		return;
	gsh_arbiter_advance(arbiter, now_ns);
	if (arbiter->holder == number) {
		arbiter->holder = NOBODY;
		arbiter->ending = false;
	}
	gsh_arbiter_rest(arbiter, tenant);
	memset(tenant, 0, sizeof(*tenant));
}

void gsh_arbiter_demand(struct gsh_arbiter *arbiter, uint32_t number, uint64_t now_ns)
{
	struct gsh_arbiter_tenant *tenant = gsh_arbiter_find(arbiter, number);

	if (!tenant)
		return;
	gsh_arbiter_advance(arbiter, now_ns);
	if (arbiter->holder == number) {
		/* After its turn it wants another; within it, it has not seen it yet. */
		if (arbiter->ending)
			tenant->report.waits = tenant->reported = true;
		return;
	}
	if (!tenant->waits && !tenant->aligned)
		gsh_arbiter_rouse(arbiter, tenant);
}

bool gsh_arbiter_watches(const struct gsh_arbiter *arbiter, uint32_t tenant)
{
	return tenant < arbiter->tenants_end && arbiter->tenants[tenant].present &&
	       (arbiter->holder == tenant || arbiter->tenants[tenant].lingers);
}

void gsh_arbiter_report(struct gsh_arbiter *arbiter, uint32_t number,
			const struct gsh_arbiter_report *report, uint64_t now_ns)
{
	struct gsh_arbiter_tenant *tenant = gsh_arbiter_find(arbiter, number);
	uint64_t drained_ns;

	if (!tenant)
		return;
	gsh_arbiter_advance(arbiter, now_ns);
	if (tenant->lingers && report->in_flight_ns == 0)
		tenant->lingers = tenant->overruns = false;
	if (arbiter->holder != number) {
		if (tenant->waits && !report->waits) {
			tenant->waits = tenant->throttled = false;
			gsh_arbiter_rest(arbiter, tenant);
		}
		return;
	}
	if (!tenant->reported) {
		tenant->launches = report->launches;
		tenant->looked_ns = arbiter->now_ns;
	}
	tenant->used |= report->in_flight_ns > 0 || !report->waits ||
			report->launches != tenant->launches;
	if (tenant->used)
		tenant->no_shows = 0;
	tenant->reported = true;
	tenant->report = *report;
	drained_ns = gsh_arbiter_later(arbiter->now_ns, report->in_flight_ns);
	/* No hand-over is put off again and again for moments. */
	if (arbiter->ending && drained_ns > tenant->drained_ns &&
	    drained_ns < gsh_arbiter_later(tenant->drained_ns, arbiter->tuning.look_ns))
		return;
	tenant->drained_ns = drained_ns;
}

void gsh_arbiter_view(const struct gsh_arbiter *arbiter, uint32_t number, uint64_t now_ns,
		      struct gsh_arbiter_view *view)
{
	const struct gsh_arbiter_tenant *tenant =
		&arbiter->tenants[number % GSH_ARBITER_TENANTS_MAX];
	uint64_t since_ns = now_ns > arbiter->now_ns ? now_ns - arbiter->now_ns : 0;

	memset(view, 0, sizeof(*view));
	if (number >= arbiter->tenants_end || !tenant->present)
		return;
	view->holds = arbiter->holder == number;
	view->waits = tenant->waits;
	view->throttled = tenant->throttled;
	view->overruns = tenant->overruns;
	view->turns = tenant->turns;
	view->overtaken = tenant->overtaken;
	view->held_ns = tenant->held_ns;
	view->charged_ns = tenant->charged_ns;
	view->waited_ns = tenant->waited_ns;
	if (view->holds || view->overruns)
		view->held_ns += since_ns;
	if (view->waits)
		view->waited_ns += since_ns;
	if (tenant->terms.limit_permille < 1000)
		view->credit_ns = tenant->credit_pm / 1000;
}
