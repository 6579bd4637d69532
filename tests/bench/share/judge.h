/*
 * judge.h - what the device's books say of a cell.
 *
 * Pure: books in, figures out. Shares and errors are fractions of the device's time (0.01
 * is a point). All but the settling times are of the time after the warm-up.
 */
#ifndef SHARE_JUDGE_H
#define SHARE_JUDGE_H

#include "books.h"
#include "cells.h"

enum { WINDOW_1S, WINDOW_10S, WINDOWS };

/* Over all windows that begin at a row. */
struct error {
	double max, mean;
};

struct judged_tenant {
	double limit;
	double target; /* the limit, or what the load asks for if that is less */
	double share;
	/* How far windows were above or below the target, beyond one kernel. */
	struct error over[WINDOWS], under[WINDOWS];
	double variation; /* IS-007: of the device time per 100 ms, deviation over mean */
};

struct judged {
	unsigned ntenants;
	struct judged_tenant tenants[TENANTS_MAX];
	double total;	  /* share of all of them */
	double jain;	  /* IS-008: of share over target, idle tenants left out */
	double switching; /* share of the device's time that went in changing contexts */
	double settle
		[STEPS_MAX]; /* IS-004, seconds; NAN: it did not, or nothing was set */
	uint64_t late;	     /* submissions that the device saw too late to replay */
};

/*
 * process_demand: the share that one process of this load takes when it is alone without
 * the shim. 0, or -1 if the books say nothing: they are shorter than 100 ms after the
 * warm-up, of other processes, or something in them goes back.
 */
int judge(const struct scenario *scenario, enum load_kind kind, double process_demand,
	  const struct books *books, struct judged *judged);

#endif
