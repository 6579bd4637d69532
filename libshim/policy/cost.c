/*
 * cost.c - from samples to what is predicted.
 *
 * Knows a window of late samples and which of more were outliers. Refuses to know where
 * samples come from, and what is charged in the end (account.c).
 *
 * A signature is called steady too easily rather than too rarely: what it then really took
 * is settled by the account, which excuses outliers only up to a bound.
 */
#include "policy/cost.h"

#include <string.h>

#include "base/atomic.h"

enum { HISTORY = 256, AGREEING = 2, ENOUGH = 4 };

/* Half a day: longer brackets say so much, and no sum or conversion overflows. */
#define SEEN_MAX_NS (UINT64_C(1) << 45)

/* Two events, each known to half a microsecond. */
#define RESOLUTION_NS 1000.0f

static float outlier_above(float low_ns)
{
	return 1.5f * low_ns + 2 * RESOLUTION_NS;
}

static float close_below(float low_ns)
{
	return 1.25f * low_ns + RESOLUTION_NS;
}

/* ---- the window ---- */

static void remember(struct gsh_cost *cost, float seen_ns)
{
	cost->window_ns[cost->next] = seen_ns;
	cost->next = (uint8_t)((cost->next + 1) % GSH_COST_WINDOW);
	if (cost->filled < GSH_COST_WINDOW)
		cost->filled++;
}

/* Insertion sort: the window is small, and its order of arrival is mostly arbitrary. */
static void sort_window(const struct gsh_cost *cost, float *sorted_ns)
{
	for (unsigned i = 0; i < cost->filled; i++) {
		float value = cost->window_ns[i];
		unsigned j = i;

		for (; j > 0 && sorted_ns[j - 1] > value; j--)
			sorted_ns[j] = sorted_ns[j - 1];
		sorted_ns[j] = value;
	}
}

static float mean_of(const float *values_ns, unsigned count)
{
	float sum_ns = 0;

	for (unsigned i = 0; i < count; i++)
		sum_ns += values_ns[i];
	return sum_ns / (float)count;
}

/* ---- outliers of the last 256 ---- */

static void push_outlier(struct gsh_cost *cost, bool outlier)
{
	for (int i = 3; i > 0; i--)
		cost->outliers[i] = cost->outliers[i] << 1 | cost->outliers[i - 1] >> 63;
	cost->outliers[0] = cost->outliers[0] << 1 | outlier;
	if (cost->history < HISTORY)
		cost->history++;
}

static unsigned outliers_in_history(const struct gsh_cost *cost)
{
	unsigned sum = 0;

	for (int i = 0; i < 4; i++)
		for (uint64_t bits = cost->outliers[i]; bits; bits &= bits - 1)
			sum++;
	return sum;
}

static void forget_outliers(struct gsh_cost *cost)
{
	memset(cost->outliers, 0, sizeof(cost->outliers));
	cost->history = 0;
}

/* ---- steady or not ---- */

static bool outliers_are_few(const struct gsh_cost *cost, unsigned in_window,
			     float low_ns)
{
	float allowed = 0.01f;
	/* Many may have one or two more by chance. */
	unsigned chance = cost->filled < 8 ? 0 : cost->filled < 16 ? 1 : 2;

	if (low_ns <= (float)GSH_COST_SHORT_NS)
		allowed += 1.5f * low_ns / 1e6f;
	return (float)in_window <= allowed * (float)cost->filled + (float)chance &&
	       (float)outliers_in_history(cost) <=
		       allowed * (float)cost->history + (float)chance;
}

static bool is_steady(const struct gsh_cost *cost, const float *sorted_ns, float low_ns)
{
	unsigned in_window = 0, tiny = 0;
	float high_ns;

	for (unsigned i = 0; i < cost->filled; i++) {
		in_window += sorted_ns[i] > outlier_above(low_ns);
		tiny += outlier_above(sorted_ns[i]) < low_ns;
	}
	high_ns = sorted_ns[(cost->filled - in_window - 1) * 9 / 10];
	return tiny <= 1 && high_ns <= close_below(low_ns) &&
	       (!in_window ||
		sorted_ns[cost->filled - 1] - low_ns <= (float)GSH_COST_SLICE_MAX_NS) &&
	       outliers_are_few(cost, in_window, low_ns);
}

/* ---- what is said ---- */

static uint64_t whole_ns(float ns)
{
	return ns > (float)GSH_COST_MIN_NS ? (uint64_t)ns : GSH_COST_MIN_NS;
}

static void say(struct gsh_cost *cost, float ns, enum gpushim_cost_class cost_class)
{
	gsh_store_relaxed(&cost->cost_ns, whole_ns(ns));
	gsh_store_relaxed(&cost->cost_class,
			  cost->doubt ? GPUSHIM_COST_UNKNOWN : (uint32_t)cost_class);
}

/* Serves until there is a second. */
static void start(struct gsh_cost *cost, float seen_ns)
{
	cost->started = true;
	cost->doubt = cost->filled = cost->next = 0;
	forget_outliers(cost);
	cost->low_ns = cost->median_ns = cost->high_ns = 0;
	say(cost, seen_ns, GPUSHIM_COST_UNKNOWN);
}

static bool agrees(const struct gsh_cost *cost, float seen_ns)
{
	return cost->low_ns > 0 && seen_ns <= close_below((float)cost->high_ns) &&
	       close_below(seen_ns) >= (float)cost->low_ns;
}

static void learn(struct gsh_cost *cost, float seen_ns)
{
	float sorted_ns[GSH_COST_WINDOW], before_ns = (float)cost->low_ns, low_ns;
	unsigned last, tenth;

	remember(cost, seen_ns);
	sort_window(cost, sorted_ns);
	last = cost->filled - 1u;
	if (cost->filled < ENOUGH) {
		say(cost, sorted_ns[last / 2], GPUSHIM_COST_UNKNOWN);
		return;
	}
	tenth = last / 10;
	low_ns = sorted_ns[tenth];
	cost->low_ns = whole_ns(low_ns);
	cost->median_ns = whole_ns(sorted_ns[last / 2]);
	cost->high_ns = whole_ns(sorted_ns[last - tenth]);
	if (low_ns > outlier_above(before_ns) || before_ns > outlier_above(low_ns))
		/* They were judged against a cost that is no longer right. */
		forget_outliers(cost);
	push_outlier(cost, seen_ns > outlier_above(low_ns));
	if (is_steady(cost, sorted_ns, low_ns))
		say(cost, low_ns, GPUSHIM_COST_LEARNED);
	else
		say(cost, mean_of(sorted_ns, cost->filled), GPUSHIM_COST_VARIABLE);
}

void gsh_cost_observe(struct gsh_cost *cost, uint64_t seen_ns)
{
	float ns = (float)(seen_ns < SEEN_MAX_NS ? seen_ns : SEEN_MAX_NS);

	if (cost->count < UINT32_MAX)
		cost->count++;
	if (!cost->started || (cost->doubt && !agrees(cost, ns))) {
		start(cost, ns);
		return;
	}
	if (cost->doubt)
		cost->doubt--;
	learn(cost, ns);
}

void gsh_cost_doubt(struct gsh_cost *cost)
{
	if (!cost->started)
		return;
	cost->doubt = AGREEING;
	gsh_store_relaxed(&cost->cost_class, (uint32_t)GPUSHIM_COST_UNKNOWN);
}
