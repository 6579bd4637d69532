/* The JSON file and the order of the tables; see report.h. */
#include "report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "results.h"
#include "tables.h"

static void number(FILE *file, const char *name, double value)
{
	if (isfinite(value))
		fprintf(file, ", \"%s\": %.6g", name, value);
	else
		fprintf(file, ", \"%s\": null", name);
}

static void error_pair(FILE *file, const char *name, const struct error *error)
{
	fprintf(file, ", \"%s\": { \"max\": %.6g, \"mean\": %.6g }", name, error->max,
		error->mean);
}

static void json_tenant(FILE *file, const struct judged_tenant *tenant)
{
	fprintf(file, "{ \"limit\": %g, \"target\": %.6g, \"share\": %.6g", tenant->limit,
		tenant->target, tenant->share);
	error_pair(file, "over_1s", &tenant->over[WINDOW_1S]);
	error_pair(file, "under_1s", &tenant->under[WINDOW_1S]);
	error_pair(file, "over_10s", &tenant->over[WINDOW_10S]);
	error_pair(file, "under_10s", &tenant->under[WINDOW_10S]);
	number(file, "IS-007", tenant->variation);
	fputs(" }", file);
}

static void json_run(FILE *file, const struct scenario *scenario, enum load_kind kind,
		     unsigned repeat)
{
	static bool some;
	const struct judged *run = &result_of(scenario, kind)->runs[repeat];
	const struct result *alone = result_of(scenario_find("bare-1"), kind);
	double relative = run->total / result_total(alone);

	fprintf(file,
		"%s\n\t\t{ \"cell\": \"%s.%s\", \"what\": \"%s; %s\", \"repeat\": %u, "
		"\"late\": %" PRIu64,
		some ? "," : "", scenario->name, load_facts[kind].name, scenario->what,
		load_facts[kind].what, repeat + 1, run->late);
	some = true;
	number(file, "total", run->total);
	number(file, "switching", run->switching);
	number(file, "IS-008", run->jain);
	number(file, "AG-1", relative);
	if (scenario->group == GROUP_UNCAPPED)
		number(file, "OH-010", relative);
	for (unsigned step = 0; step < STEPS_MAX && scenario->group == GROUP_SET; step++)
		number(file, step ? "IS-004_up_s" : "IS-004_down_s", run->settle[step]);
	fputs(", \"tenants\": [", file);
	for (unsigned t = 0; t < run->ntenants; t++) {
		fputs(t ? ",\n\t\t\t" : "\n\t\t\t", file);
		json_tenant(file, &run->tenants[t]);
	}
	fputs(" ] }", file);
}

static int write_json(const char *path)
{
	struct coverage all = result_coverage(NULL);
	FILE *file = fopen(path, "w");

	if (!file) {
		fprintf(stderr,
			"%s cannot be written; name the build directory in BUILD\n",
			path);
		return 1;
	}
	fprintf(file,
		"{\n\t\"benchmark\": \"share\",\n\t\"unit\": \"fraction of the device's "
		"time\",\n\t\"cells\": { \"exist\": %u, \"here\": %u, \"stale\": %u },"
		"\n\t\"rows\": [",
		all.exist, all.here, all.stale);
	for (unsigned s = 0; s < nscenarios; s++)
		for (int kind = 0; kind < LOAD_KINDS; kind++)
			for (unsigned r = 0;
			     r < result_of(&scenarios[s], (enum load_kind)kind)->repeats;
			     r++)
				json_run(file, &scenarios[s], (enum load_kind)kind, r);
	fputs("\n\t]\n}\n", file);
	return fclose(file) == 0 ? 0 : 1;
}

/* How much of the table there is: blanks in it look alike. */
static void say_cells(void)
{
	struct coverage all = result_coverage(NULL);
	struct coverage matrix = result_coverage(CELLS_MATRIX);

	printf("%u of the %u cells of the whole table are here, of CELLS=%s %u of %u.\n",
	       all.here, all.exist, CELLS_MATRIX, matrix.here, matrix.exist);
	if (all.stale)
		printf("%u of them speak of another build than the one that is there now."
		       "\n",
		       all.stale);
}

int report(void)
{
	char path[512];
	int status;

	results_load();
	snprintf(path, sizeof(path), "%s/bench/share.json", files_build());
	status = write_json(path);
	tables_print();
	say_cells();
	printf("Written to %s; the device's books lie in %s/bench/share/.\n", path,
	       files_build());
	return status;
}
