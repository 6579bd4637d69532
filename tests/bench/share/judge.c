/* What the device's books say of a cell; see judge.h. */
#include "judge.h"

#include <math.h>

#define MS UINT64_C(1000000)

static const uint64_t window_ns[WINDOWS] = { 1000 * MS, 10000 * MS };
#define VARIATION_NS (100 * MS)
/* A look that comes a little early still ends its 100 ms: the next one ends 150. */
#define EARLY_NS (10 * MS)
/* A limit is settled when all windows of 500 ms from then on are within two points. */
#define SETTLE_WINDOW_NS (500 * MS)
#define SETTLED 0.02

struct view {
	const struct scenario *scenario;
	const struct books *books;
	uint64_t quantum_ns;
};

static uint64_t at(const struct view *view, unsigned row)
{
	return view->books->rows[row].at_ns;
}

/* The first row at or after a time; nrows if there is none. */
static unsigned row_at(const struct view *view, uint64_t time_ns)
{
	unsigned row = 0;

	while (row < view->books->nrows && at(view, row) < time_ns)
		row++;
	return row;
}

static bool row_follows(const struct books *books, unsigned row)
{
	const struct books_row *a = &books->rows[row - 1], *b = &books->rows[row];

	for (unsigned p = 0; p < books->nprocesses; p++)
		if (b->process[p].gpu_ns < a->process[p].gpu_ns)
			return false;
	return b->at_ns >= a->at_ns && b->switch_ns >= a->switch_ns && b->late >= a->late;
}

/* Whether the books are of these processes and nothing in them goes back. */
static bool plausible(const struct view *view)
{
	if (view->books->nprocesses != scenario_processes(view->scenario))
		return false;
	for (unsigned row = 1; row < view->books->nrows; row++)
		if (!row_follows(view->books, row))
			return false;
	return true;
}

/* The most by which a perfect limiter is off in the window, as it cannot stop a kernel. */
static double quantum(const struct view *view, unsigned from, unsigned to)
{
	return (double)view->quantum_ns / (double)(at(view, to) - at(view, from));
}

static double share_between(const struct view *view, unsigned tenant, unsigned from,
			    unsigned to)
{
	const struct books_row *a = &view->books->rows[from], *b = &view->books->rows[to];
	uint64_t used_ns = 0;

	for (unsigned p = 0; p < view->books->nprocesses; p++)
		if (scenario_tenant_of(view->scenario, p) == tenant)
			used_ns += b->process[p].gpu_ns - a->process[p].gpu_ns;
	return (double)used_ns / (double)(b->at_ns - a->at_ns);
}

static void add(struct error *error, double beyond)
{
	beyond = fmax(0, beyond);
	error->max = fmax(error->max, beyond);
	error->mean += beyond;
}

static void judge_windows(const struct view *view, unsigned tenant, unsigned first,
			  struct judged_tenant *judged, int window)
{
	unsigned last = view->books->nrows - 1, to = first, n = 0;
	uint64_t span_ns = at(view, last) - at(view, first);
	uint64_t length_ns = window_ns[window] < span_ns ? window_ns[window] : span_ns;

	for (unsigned from = first; at(view, last) - at(view, from) >= length_ns;
	     from++, n++) {
		double above, within;

		while (at(view, to) - at(view, from) < length_ns)
			to++;
		above = share_between(view, tenant, from, to) - judged->target;
		within = quantum(view, from, to);
		add(&judged->over[window], above - within);
		add(&judged->under[window], -above - within);
	}
	judged->over[window].mean /= n;
	judged->under[window].mean /= n;
}

static double variation(const struct view *view, unsigned tenant, unsigned first)
{
	double sum = 0, squares = 0;
	unsigned n = 0;

	for (unsigned from = first, to = first; to < view->books->nrows; to++)
		if (at(view, to) - at(view, from) >= VARIATION_NS - EARLY_NS) {
			double share = share_between(view, tenant, from, to);

			sum += share;
			squares += share * share;
			n++;
			from = to;
		}
	return sum > 0 ? sqrt(fmax(0, squares / n - sum / n * (sum / n))) / (sum / n)
		       : NAN;
}

static double jain(const struct view *view, const struct judged *judged)
{
	double sum = 0, squares = 0;
	unsigned n = 0;

	for (unsigned t = 0; t < judged->ntenants; t++) {
		double x = judged->tenants[t].share / judged->tenants[t].target;

		if (view->scenario->tenants[t].idle)
			continue;
		sum += x;
		squares += x * x;
		n++;
	}
	return squares > 0 ? sum * sum / (n * squares) : NAN;
}

static double settling(const struct view *view, unsigned step, double target)
{
	uint64_t set_ns = view->books->set_ns[step], settled_ns;
	uint64_t next_ns = step + 1 < STEPS_MAX ? view->books->set_ns[step + 1] : 0;
	unsigned end = next_ns ? row_at(view, next_ns) : view->books->nrows;
	unsigned from = row_at(view, set_ns), to = from;
	bool settled = false;

	if (!set_ns || from == view->books->nrows)
		return NAN;
	settled_ns = at(view, from);
	for (; from < end; from++) {
		while (to < end && at(view, to) - at(view, from) < SETTLE_WINDOW_NS)
			to++;
		if (to >= end)
			break;
		settled = fabs(share_between(view, 0, from, to) - target) <=
			  SETTLED + quantum(view, from, to);
		if (!settled)
			settled_ns = at(view, from + 1);
	}
	return settled ? (double)(settled_ns - set_ns) / 1e9 : NAN;
}

int judge(const struct scenario *scenario, enum load_kind kind, double process_demand,
	  const struct books *books, struct judged *judged)
{
	struct view view = { scenario, books, load_facts[kind].quantum_ns };
	unsigned first = row_at(&view, books->begin_ns), last = books->nrows - 1;

	*judged = (struct judged){ .ntenants = scenario_tenants(scenario) };
	if (!plausible(&view) || first == books->nrows ||
	    at(&view, last) - at(&view, first) < VARIATION_NS)
		return -1;
	for (unsigned t = 0; t < judged->ntenants; t++) {
		const struct tenant *tenant = &scenario->tenants[t];
		struct judged_tenant *to = &judged->tenants[t];

		to->limit = tenant->limit_permille / 1000.0;
		to->target = tenant->idle ? 0
					  : fmin(to->limit,
						 process_demand * tenant->processes);
		to->share = share_between(&view, t, first, last);
		judged->total += to->share;
		to->variation = variation(&view, t, first);
		for (int window = 0; window < WINDOWS; window++)
			judge_windows(&view, t, first, to, window);
	}
	judged->jain = jain(&view, judged);
	judged->switching = (double)(books->rows[last].switch_ns -
				     books->rows[first].switch_ns) /
			    (double)(at(&view, last) - at(&view, first));
	judged->late = books->rows[last].late - books->rows[first].late;
	for (unsigned step = 0; step < STEPS_MAX; step++)
		judged->settle[step] = settling(
			&view, step,
			fmin(process_demand * scenario->tenants[0].processes,
			     scenario->steps_permille[step] / 1000.0));
	return 0;
}
