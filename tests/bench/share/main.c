/*
 * main.c - measures shares of GPU time on the simulated GPU, cell by cell, from the
 * device's own books.
 *
 * Variables: BUILD; CELLS, patterns of cells to measure (default all; what was measured
 * before is reported with it); SECONDS_PER_CELL (10); WARM_UP, in seconds (2); REPEAT (3;
 * controls are measured once). With --report nothing is measured.
 */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cells.h"
#include "measure.h"
#include "report.h"

#define STEP_S 3.0

static double real_of(const char *name, double otherwise, double least)
{
	const char *text = getenv(name);
	char *end;
	double value;

	if (!text || !*text)
		return otherwise;
	value = strtod(text, &end);
	if (*end || !(value >= least)) {
		fprintf(stderr, "%s=%s: give a number of at least %g\n", name, text,
			least);
		exit(2);
	}
	return value;
}

/* Limits of whoever runs this are not those of a cell. */
static void forget_limits(void)
{
	for (char **e = environ; *e;) {
		char name[64];
		size_t length = strcspn(*e, "=");

		if (length < sizeof(name) && strncmp(*e, "GPUSHIM_", 8) == 0) {
			snprintf(name, sizeof(name), "%.*s", (int)length, *e);
			unsetenv(name);
			e = environ;
		} else {
			e++;
		}
	}
	unsetenv("LD_PRELOAD");
}

static unsigned repeats_of(const struct scenario *scenario, unsigned repeats)
{
	return scenario->group == GROUP_BARE ? 1 : repeats;
}

/* Also without being asked for: a control that others are judged by. */
static bool missing_control(const struct scenario *scenario, enum load_kind kind,
			    const char *list)
{
	if (strcmp(scenario->name, "bare-1") != 0 ||
	    access(report_books_path(scenario, kind, 1), R_OK) == 0)
		return false;
	for (unsigned s = 0; s < nscenarios; s++)
		if (cell_exists(&scenarios[s], kind) &&
		    cell_wanted(&scenarios[s], kind, list))
			return true;
	return false;
}

static int measure_one(const struct scenario *scenario, enum load_kind kind,
		       const struct span *span, unsigned repeat)
{
	const char *path = report_books_path(scenario, kind, repeat);
	struct books books;
	int err;

	fprintf(stderr, "%s.%s, %u\n", scenario->name, load_facts[kind].name, repeat);
	unlink(path);
	if (measure(scenario, kind, span, &books) < 0)
		return -1;
	err = books_save(&books, path);
	books_free(&books);
	if (err < 0)
		fprintf(stderr, "%s cannot be written: %s\n", path, strerror(-err));
	return err;
}

/* Returns how many cells could not be measured. */
static unsigned measure_all(const char *list, const struct span *span, unsigned repeats)
{
	unsigned failed = 0;

	for (unsigned s = 0; s < nscenarios; s++)
		for (int k = 0; k < LOAD_KINDS; k++) {
			enum load_kind kind = (enum load_kind)k;

			if (!cell_exists(&scenarios[s], kind) ||
			    (!cell_wanted(&scenarios[s], kind, list) &&
			     !missing_control(&scenarios[s], kind, list)))
				continue;
			for (unsigned r = 1; r <= repeats_of(&scenarios[s], repeats); r++)
				failed += measure_one(&scenarios[s], kind, span, r) < 0;
		}
	return failed;
}

/* A run of everything begins with nothing: its report is to be of one library. */
static void forget_books(void)
{
	const char *build = getenv("BUILD") ? getenv("BUILD") : "build";
	char pattern[512];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "%s/bench/share/*.csv", build);
	if (glob(pattern, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		unlink(found.gl_pathv[i]);
	globfree(&found);
}

int main(int argc, char **argv)
{
	const char *list = getenv("CELLS");
	struct span span = { .step_s = STEP_S };
	unsigned failed, repeats;

	if (argc == 4 && strcmp(argv[1], "--load") == 0)
		return measure_load(argv[2], argv[3]);
	if (argc == 2 && strcmp(argv[1], "--report") == 0)
		return report();
	if (argc != 1) {
		fputs("usage: bench_share [--report]; what is measured is said by CELLS, "
		      "SECONDS_PER_CELL, WARM_UP and REPEAT\n",
		      stderr);
		return 2;
	}
	span.measured_s = real_of("SECONDS_PER_CELL", 10, 0.5);
	span.warm_s = real_of("WARM_UP", 2, 0);
	repeats = (unsigned)real_of("REPEAT", 3, 1);
	if (repeats > REPEATS_MAX)
		repeats = REPEATS_MAX;
	forget_limits();
	if (!list || !*list)
		forget_books();
	failed = measure_all(list, &span, repeats);
	if (failed)
		fprintf(stderr, "%u cells could not be measured\n", failed);
	return report() != 0 || failed;
}
