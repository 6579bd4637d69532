/*
 * main.c - measures shares of GPU time on the simulated GPU, cell by cell, from the
 * device's own books.
 *
 * Variables: BUILD; CELLS, patterns of cells to measure (default all; what was measured
 * before is reported with it); SECONDS_PER_CELL (10); WARM_UP, in seconds (2); REPEAT (3;
 * controls are measured once); CONTINUE=1, which measures only what is not there yet. With
 * --report nothing is measured.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cells.h"
#include "measure.h"
#include "plan.h"
#include "report.h"

#define STEP_S 3.0

static volatile sig_atomic_t interrupted;

/* The cell that runs ends first; at a terminal its loads get the signal too, and it fails. */
static void interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
}

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

static bool yes(const char *name)
{
	const char *text = getenv(name);

	if (!text || !*text || strcmp(text, "0") == 0)
		return false;
	if (strcmp(text, "1") != 0) {
		fprintf(stderr, "%s=%s: give 1 for yes, 0 for no\n", name, text);
		exit(2);
	}
	return true;
}

static int measure_one(const struct plan_item *item, const struct span *span)
{
	const char *path;
	struct books books;
	int err;

	if (measure(item->scenario, item->kind, span, &books) < 0)
		return -1;
	path = files_path(item->scenario, item->kind, item->repeat);
	err = books_save(&books, path);
	books_free(&books);
	if (err < 0)
		fprintf(stderr, "%s cannot be written: %s\n", path, strerror(-err));
	return err;
}

static void say_plan(const struct plan *plan, const struct plan_terms *terms)
{
	fprintf(stderr, "%u measurements, about %.1f minutes; %u more are here already\n",
		plan->n, plan_seconds(plan, 0, terms) / 60, plan->kept);
}

/* Returns how many cells could not be measured. */
static unsigned measure_all(const struct plan *plan, const struct plan_terms *terms)
{
	unsigned failed = 0;

	say_plan(plan, terms);
	for (unsigned i = 0; i < plan->n && !interrupted; i++) {
		const struct plan_item *item = &plan->items[i];

		fprintf(stderr, "%s.%s, %u (%u of %u, %.0f min left)\n",
			item->scenario->name, load_facts[item->kind].name, item->repeat,
			i + 1, plan->n, plan_seconds(plan, i, terms) / 60);
		failed += measure_one(item, &terms->span) < 0;
	}
	if (failed && !interrupted)
		fprintf(stderr, "%u cells could not be measured\n", failed);
	return failed;
}

static void read_terms(struct plan_terms *terms)
{
	terms->cells = getenv("CELLS");
	terms->span.measured_s = real_of("SECONDS_PER_CELL", 10, 0.5);
	terms->span.warm_s = real_of("WARM_UP", 2, 0);
	terms->span.step_s = STEP_S;
	terms->repeats = (unsigned)real_of("REPEAT", 3, 1);
	if (terms->repeats > REPEATS_MAX)
		terms->repeats = REPEATS_MAX;
	terms->go_on = yes("CONTINUE");
}

int main(int argc, char **argv)
{
	static struct plan plan;
	struct plan_terms terms;
	unsigned failed;

	if (argc == 4 && strcmp(argv[1], "--load") == 0)
		return measure_load(argv[2], argv[3]);
	if (argc == 2 && strcmp(argv[1], "--report") == 0)
		return report();
	if (argc != 1) {
		fputs("usage: bench_share [--report]; what is measured is said by CELLS, "
		      "SECONDS_PER_CELL, WARM_UP, REPEAT and CONTINUE\n",
		      stderr);
		return 2;
	}
	read_terms(&terms);
	forget_limits();
	signal(SIGINT, interrupt);
	signal(SIGTERM, interrupt);
	plan_make(&plan, &terms);
	if (plan.n + plan.kept == 0) {
		fprintf(stderr,
			"No cell fits CELLS='%s'; cells are called "
			"SCENARIO.LOAD, see tests/bench/README.md\n",
			terms.cells);
		return 2;
	}
	failed = measure_all(&plan, &terms);
	if (interrupted) {
		fputs("Interrupted: the same with CONTINUE=1 measures what is left.\n",
		      stderr);
		return 130;
	}
	return report() != 0 || failed;
}
