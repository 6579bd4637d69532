/*
 * results.h - all that was judged, and figures over the repeats of a cell.
 */
#ifndef SHARE_RESULTS_H
#define SHARE_RESULTS_H

#include "files.h"
#include "judge.h"

struct result {
	unsigned repeats; /* 0: the cell was not measured */
	unsigned stale;	  /* of them, measured with another build than the one there */
	struct judged runs[REPEATS_MAX];
};

/* Reads and judges all books there are; once. */
void results_load(void);
const struct result *result_of(const struct scenario *scenario, enum load_kind kind);

/* Of the cells that a list of patterns fits (NULL: all). */
struct coverage {
	unsigned exist, here;
	unsigned
		stale; /* of those here, measured with another build, some or all repeats */
};
struct coverage result_coverage(const char *list);

/* The share one process of the kind takes, alone and without the shim. */
double result_demand(enum load_kind kind);

/* Below, NAN if the cell was not measured. Over tenants and repeats: the worst. */
double result_over(const struct result *result, int window);
double result_under(const struct result *result, int window);
double result_variation(const struct result *result);
/* Over tenants the worst, over windows and repeats the mean: of errors either way. */
double result_error_mean(const struct result *result, int window);
/* Over repeats: the mean. */
double result_share(const struct result *result, unsigned tenant);
double result_total(const struct result *result);
double result_jain(const struct result *result);
/* Over repeats the worst; infinite if it did not settle once. */
double result_settle(const struct result *result, unsigned step);

#endif
