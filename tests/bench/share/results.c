/* All that was judged; see results.h. */
#include "results.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static struct result results[SCENARIOS_MAX][LOAD_KINDS];

static void load_cell(unsigned s, enum load_kind kind)
{
	const struct scenario *scenario = &scenarios[s];
	struct result *result = &results[s][kind];
	double demand = result_demand(kind);

	for (unsigned repeat = 1; repeat <= REPEATS_MAX; repeat++) {
		const char *path = files_path(scenario, kind, repeat);
		struct books books;
		int err = books_load(&books, path);

		if (err == 0 && books.nprocesses == scenario_processes(scenario) &&
		    judge(scenario, kind, demand, &books,
			  &result->runs[result->repeats]) == 0) {
			result->repeats++;
			result->stale += !files_fresh(scenario, kind, repeat);
		} else if (err != -ENOENT) {
			fprintf(stderr, "%s is left out: it is no whole run.\n", path);
		}
		books_free(&books);
	}
}

/* The controls come first in the table: what they say of demand judges the others. */
void results_load(void)
{
	for (unsigned s = 0; s < nscenarios; s++)
		for (int kind = 0; kind < LOAD_KINDS; kind++)
			load_cell(s, (enum load_kind)kind);
}

const struct result *result_of(const struct scenario *scenario, enum load_kind kind)
{
	return &results[scenario - scenarios][kind];
}

struct coverage result_coverage(const char *list)
{
	struct coverage coverage = { 0 };

	for (unsigned s = 0; s < nscenarios; s++)
		for (int k = 0; k < LOAD_KINDS; k++) {
			enum load_kind kind = (enum load_kind)k;

			if (!cell_exists(&scenarios[s], kind) ||
			    !cell_wanted(&scenarios[s], kind, list))
				continue;
			coverage.exist++;
			coverage.here += results[s][k].repeats > 0;
			coverage.stale += results[s][k].stale > 0;
		}
	return coverage;
}

double result_demand(enum load_kind kind)
{
	double seen = result_share(result_of(scenario_find("bare-1"), kind), 0);

	return isnan(seen) ? load_facts[kind].demand_permille / 1000.0 : seen;
}

static double worst(const struct result *result,
		    double (*of)(const struct judged_tenant *, int), int window)
{
	double max = result->repeats ? 0 : NAN;

	for (unsigned r = 0; r < result->repeats; r++)
		for (unsigned t = 0; t < result->runs[r].ntenants; t++)
			max = fmax(max, of(&result->runs[r].tenants[t], window));
	return max;
}

static double over_max(const struct judged_tenant *tenant, int window)
{
	return tenant->over[window].max;
}

static double under_max(const struct judged_tenant *tenant, int window)
{
	return tenant->under[window].max;
}

static double variation_of(const struct judged_tenant *tenant, int window)
{
	(void)window;
	return tenant->variation;
}

double result_over(const struct result *result, int window)
{
	return worst(result, over_max, window);
}

double result_under(const struct result *result, int window)
{
	return worst(result, under_max, window);
}

double result_variation(const struct result *result)
{
	return worst(result, variation_of, 0);
}

double result_error_mean(const struct result *result, int window)
{
	double sum = 0;

	for (unsigned r = 0; r < result->repeats; r++) {
		double max = 0;

		for (unsigned t = 0; t < result->runs[r].ntenants; t++) {
			const struct judged_tenant *tenant = &result->runs[r].tenants[t];

			max = fmax(max, tenant->over[window].mean +
						tenant->under[window].mean);
		}
		sum += max;
	}
	return result->repeats ? sum / result->repeats : NAN;
}

double result_share(const struct result *result, unsigned tenant)
{
	double sum = 0;

	for (unsigned r = 0; r < result->repeats; r++)
		sum += result->runs[r].tenants[tenant].share;
	return result->repeats ? sum / result->repeats : NAN;
}

double result_total(const struct result *result)
{
	double sum = 0;

	for (unsigned r = 0; r < result->repeats; r++)
		sum += result->runs[r].total;
	return result->repeats ? sum / result->repeats : NAN;
}

double result_jain(const struct result *result)
{
	double sum = 0;

	for (unsigned r = 0; r < result->repeats; r++)
		sum += result->runs[r].jain;
	return result->repeats ? sum / result->repeats : NAN;
}

double result_settle(const struct result *result, unsigned step)
{
	double max = result->repeats ? 0 : NAN;

	for (unsigned r = 0; r < result->repeats; r++) {
		double took = result->runs[r].settle[step];

		max = fmax(max, isnan(took) ? INFINITY : took);
	}
	return max;
}
