/*
 * cost.h - what launches of one signature cost, learned from sampled event brackets.
 *
 * An event bracket measures wall time on the device: never less than what the launch took,
 * more when other tenants had slices meanwhile, or other streams of this process the SMs.
 *
 * Pure; time is an argument. Not thread-safe: the caller locks, but `cost_ns` and `class` are
 * atomic and may be read by anybody.
 */
#ifndef GSH_POLICY_COST_H
#define GSH_POLICY_COST_H

#include <stdbool.h>
#include <stdint.h>

#include "gpushim/ledger.h"

/* Of launches that were never measured. */
#define GSH_COST_DEFAULT_NS UINT64_C(200000)

enum { GSH_COST_WINDOW = 32 };

/* Nothing is predicted to take less: events tell half a microsecond, not more. */
#define GSH_COST_MIN_NS UINT64_C(500)

/*
 * What a slice of other tenants adds to a short kernel that it falls into: at least a good
 * part of a slice, and a few slices at most. Longer kernels have slices in them as a rule,
 * and how many they are nobody can tell.
 */
#define GSH_COST_SHORT_NS UINT64_C(250000)
#define GSH_COST_SLICE_MIN_NS UINT64_C(300000)
#define GSH_COST_SLICE_MAX_NS UINT64_C(8000000)

/*
 * All zero at first: GPUSHIM_COST_UNKNOWN, and gsh_cost_predict() says the default.
 *
 * The first sample of a signature serves until there is a second and is then forgotten (it
 * has the loading of the code in it). UNKNOWN until there are four more, and predicted at their
 * median. Steady (LEARNED): the late samples lie within a
 * quarter of their low quantile, but for few outliers (above 1.5 times of it). Of those a
 * short kernel may have so many as slices make: 1.5 * low / 1 ms + 1 % of the last 256
 * samples, a longer one 1 %; none may be more than slices make. Steady ones are predicted
 * at the low quantile, VARIABLE ones at the mean of the window. A cost that really changed
 * is believed within a window of samples, upwards and downwards.
 */
struct gsh_cost {
	uint64_t cost_ns;    /* atomic; predicted; 0: no sample yet */
	uint32_t cost_class; /* atomic; enum gpushim_cost_class */
	uint32_t count;	     /* samples ever, saturating */
	/* 10th, 50th, 90th percentile of the window; 0 until there are four in it. */
	uint64_t low_ns, median_ns, high_ns;
	float window_ns[GSH_COST_WINDOW]; /* late samples, a ring */
	/* cost.c's: */
	uint64_t outliers[4]; /* bit i: the i-th last sample was an outlier */
	uint16_t history;     /* how many of those bits count */
	uint8_t next, filled; /* of the ring */
	uint8_t started;      /* there was a first sample */
	uint8_t doubt;	      /* samples that must agree until it is over */
	uint8_t reserved[2];
};

static inline uint64_t gsh_cost_predict(const struct gsh_cost *cost)
{
	uint64_t ns = __atomic_load_n(&cost->cost_ns, __ATOMIC_RELAXED);

	return ns ? ns : GSH_COST_DEFAULT_NS;
}

void gsh_cost_observe(struct gsh_cost *cost, uint64_t seen_ns);

/*
 * The same handle may now stand for other code: what was learned is doubted. cost_class is
 * UNKNOWN until two samples have agreed; one that does not starts everything anew, as a first
 * sample.
 */
void gsh_cost_doubt(struct gsh_cost *cost);

#endif
