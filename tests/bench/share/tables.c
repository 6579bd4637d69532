/* What was judged, as Markdown; see tables.h. Shares and errors in points. */
#include "tables.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#include "results.h"

static void cell(double value, double factor, int digits)
{
	if (isnan(value))
		printf(" - |");
	else if (isinf(value))
		printf(" never |");
	else
		printf(" %.*f |", digits, value * factor);
}

static void points(double fraction)
{
	cell(fraction, 100, 1);
}

/* Two figures in one place of a table. */
static void pair(double first, double second)
{
	if (isnan(first) || isnan(second))
		printf(" - |");
	else
		printf(" %.1f (%.1f) |", first * 100, second * 100);
}

static bool kind_measured(const struct scenario *scenario, enum load_kind kind)
{
	return result_of(scenario, kind)->repeats > 0;
}

static bool measured(const struct scenario *scenario)
{
	for (int kind = 0; kind < LOAD_KINDS; kind++)
		if (kind_measured(scenario, (enum load_kind)kind))
			return true;
	return false;
}

static bool in_group(enum scenario_group group)
{
	for (unsigned s = 0; s < nscenarios; s++)
		if (scenarios[s].group == group && measured(&scenarios[s]))
			return true;
	return false;
}

static void head(const char *title, const char *columns)
{
	int bars = 0;

	printf("\n%s\n\n| load |%s\n|---|", title, columns);
	for (const char *c = columns; *c; c++)
		bars += *c == '|';
	while (bars-- > 0)
		printf("---:|");
	putchar('\n');
}

static void alone(int window, const char *title)
{
	char columns[256];
	int at = 0;

	for (unsigned s = 0; s < nscenarios; s++)
		if (scenarios[s].group == GROUP_ALONE)
			at += snprintf(columns + at, sizeof(columns) - (size_t)at,
				       " %g %% |",
				       scenarios[s].tenants[0].limit_permille / 10.0);
	head(title, columns);
	for (int kind = 0; kind < LOAD_KINDS; kind++) {
		printf("| %s |", load_facts[kind].what);
		for (unsigned s = 0; s < nscenarios; s++) {
			const struct result *result = result_of(&scenarios[s],
								(enum load_kind)kind);

			if (scenarios[s].group == GROUP_ALONE)
				pair(fmax(result_over(result, window),
					  result_under(result, window)),
				     result_error_mean(result, window));
		}
		putchar('\n');
	}
}

static void alone_others(void)
{
	const struct scenario *bare = scenario_find("bare-1");
	const struct scenario *uncapped = scenario_find("alone-100");
	const struct scenario *half = scenario_find("alone-50");
	const struct scenario *set = scenario_find("set-50-20-60");

	head("One process: what it takes without the shim; OH-010, throughput under a "
	     "limit of 100 % against that, in percent; IS-007, variation per 100 ms "
	     "under 50 %; IS-004, seconds until a new limit holds.",
	     " no shim | OH-010 | IS-007, no shim | IS-007 | IS-004, 50 to 20 % | "
	     "IS-004, 20 to 60 % |");
	for (int k = 0; k < LOAD_KINDS; k++) {
		enum load_kind kind = (enum load_kind)k;
		double total = result_total(result_of(bare, kind));

		printf("| %s |", load_facts[kind].what);
		points(total);
		points(result_total(result_of(uncapped, kind)) / total);
		cell(result_variation(result_of(bare, kind)), 1, 2);
		cell(result_variation(result_of(half, kind)), 1, 2);
		cell(result_settle(result_of(set, kind), 0), 1, 2);
		cell(result_settle(result_of(set, kind), 1), 1, 2);
		putchar('\n');
	}
}

static void shares(const struct scenario *scenario, enum load_kind kind)
{
	const struct result *result = result_of(scenario, kind);
	const char *before = " ";

	if (!result->repeats) {
		printf(" - |");
		return;
	}
	for (unsigned t = 0; t < scenario_tenants(scenario); t++) {
		if (!scenario->tenants[t].idle)
			printf("%s%.1f", before, result_share(result, t) * 100);
		before = " / ";
	}
	printf(" |");
}

static void together(const struct scenario *scenario)
{
	const struct scenario *control = scenario_find(scenario->control);
	char title[256];

	snprintf(title, sizeof(title), "%s.", scenario->what);
	head(title,
	     " no shim | share | above, 10 s | above, 1 s | below, 10 s | below, 1 s | "
	     "IS-007 | IS-008 | AG-1 | AG-1, no shim |");
	for (int k = 0; k < LOAD_KINDS; k++) {
		enum load_kind kind = (enum load_kind)k;
		const struct result *result = result_of(scenario, kind);
		double one = result_total(result_of(scenario_find("bare-1"), kind));

		if (!kind_measured(scenario, kind) && !kind_measured(control, kind))
			continue;
		printf("| %s |", load_facts[kind].what);
		shares(control, kind);
		shares(scenario, kind);
		points(result_over(result, WINDOW_10S));
		points(result_over(result, WINDOW_1S));
		points(result_under(result, WINDOW_10S));
		points(result_under(result, WINDOW_1S));
		cell(result_variation(result), 1, 2);
		cell(result_jain(result), 1, 3);
		cell(result_total(result) / one, 1, 2);
		cell(result_total(result_of(control, kind)) / one, 1, 2);
		putchar('\n');
	}
}

void tables_print(void)
{
	if (in_group(GROUP_ALONE)) {
		alone(WINDOW_10S, "One process: IS-003, error in points over 10 s, worst "
				  "(mean), beyond one kernel.");
		alone(WINDOW_1S, "The same over 1 s.");
	}
	if (in_group(GROUP_ALONE) || in_group(GROUP_UNCAPPED) || in_group(GROUP_SET))
		alone_others();
	for (unsigned s = 0; s < nscenarios; s++)
		if (scenarios[s].group == GROUP_TOGETHER &&
		    (measured(&scenarios[s]) ||
		     measured(scenario_find(scenarios[s].control))))
			together(&scenarios[s]);
	putchar('\n');
}
