/*
 * slices.h - what section "slices" and its workers say to each other.
 *
 * Knows: two ways to see a pause of a process. The ladder: short kernels of known time with
 * an event after each; a step that took longer holds a pause. The clock: a kernel that reads
 * %globaltimer without end and keeps the readings around each jump; that clock is one for
 * all processes, so that runs of several can be laid side by side.
 * Refuses to know what follows from the figures: slices.c.
 */
#ifndef PROBE_SLICES_H
#define PROBE_SLICES_H

#include "probe.h"

enum order_kind {
	ORDER_LADDER,	/* ns: of work */
	ORDER_CLOCK,	/* ns: on the clock */
	ORDER_BRACKETS, /* event pairs around work of known time */
	ORDER_BURN,	/* ns on the clock, without an idle instant; a byte comes first */
	ORDER_TWO_CONTEXTS /* the same in two contexts at once */
};

struct order {
	enum order_kind kind;
	uint64_t ns;
};

enum { BRACKETS = 3 };
/* Microseconds of work between the two events. */
static const double bracket_us[BRACKETS] = { 1000, 5000, 20000 };

struct answer {
	double rung_ns;		 /* ladder: an undisturbed step */
	double run_ns, pause_ns; /* ladder: means; 0 without two pauses */
	double pause_median_ns;	 /* ladder */
	long pauses; /* ladder; clock: pairs, -1 where the kernel is not run */
	double inflation[BRACKETS];   /* event time over work's time */
	uint64_t first, last;	      /* clock: first and last reading, ns */
	uint64_t pairs[2 * GAPS_MAX]; /* clock: readings before and after each jump */
};

/* The body of a worker: hears a byte, calibrates alone, says a byte; then an answer for each
 * order until its input ends. */
void slices_worker(int in, int out, void *argument);

#endif
