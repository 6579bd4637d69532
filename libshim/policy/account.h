/*
 * account.h - what a measured launch, and those unmeasured before it, are charged in the end.
 *
 * Every launch is charged in advance, at the predicted cost. When the event bracket of a
 * sampled launch has completed, the account says what the launches since the last bracket of
 * that stream really took of the device, and the caller settles the difference.
 *
 * A sampled launch stands for the unmeasured ones before it: if it took twice as long as
 * predicted, they are assumed to have done so too. That is right on the average for any
 * distribution of costs under one signature, if launches are sampled at random, and those
 * that are predicted longer as much more often. In time they lie right after the stream's
 * last bracket, and never beyond the next: what does not fit there is charged to later gaps.
 *
 * The union over streams of what brackets and unmeasured launches cover is the truth as long
 * as nobody else uses the device, and an upper bound otherwise. Charged is therefore
 *   - never more than what is newly covered;
 *   - of a steady and short signature, less the excess of an outlier that slices of other
 *     tenants explain. What is excused in brackets never exceeds what was charged, and in
 *     what they stand for not one and a half of it: nobody is charged less than half of what
 *     brackets show, or in the long run than about three eighths of what his launches took
 *     (37 to 40 % on the average of the worst mixtures tried);
 *   - of any other, divided by the inflation that steady ones showed of late, at most 2.
 *
 * What it cannot know: where in a gap unmeasured launches ran. With several streams that are
 * neither measured throughout nor busy throughout, what overlapped may be counted as if it
 * had not: too much may be charged, at most the sum over the streams.
 *
 * Pure. Not thread-safe: one per context, under its lock. Nanoseconds.
 */
#ifndef GSH_POLICY_ACCOUNT_H
#define GSH_POLICY_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/busy.h"

/* All zero at first. */
struct gsh_account {
	struct gsh_busy busy;
	uint64_t excusable_ns; /* in brackets: of what was charged, not yet used up */
	uint64_t hidden_ns;    /* the same in what brackets stand for */
	uint64_t carried_ns;   /* of unmeasured launches, to be charged to later gaps */
	/* By steady signatures, decaying: the inflation, of late and over some seconds. */
	uint64_t seen_ns, low_ns, long_seen_ns, long_low_ns;
	uint64_t charged_ns, predicted_ns; /* of late, decaying: the overlap */
	uint64_t decayed_ns;		   /* device time of the last decay */
	uint64_t bracket_ns; /* of what was charged last, the bracket's own part */
};

/* One completed bracket. Those of one stream come in order. Predictions are as learned,
 * before overlap is applied to them. */
struct gsh_account_piece {
	uint64_t begin_ns, end_ns; /* of the bracket, on the context's clock */
	uint64_t last_end_ns;	   /* of the stream's last bracket; 0: there was none */
	uint64_t batch_ns;     /* predicted cost of the unmeasured launches since then */
	uint64_t predicted_ns; /* of the measured launch */
	uint64_t low_ns; /* its signature's low quantile before; 0: it has none yet */
	bool steady;	 /* its signature is GPUSHIM_COST_LEARNED */
};

/* What the piece is charged in all, batch included. */
uint64_t gsh_account_charge(struct gsh_account *account,
			    const struct gsh_account_piece *piece);

/*
 * GPU time per predicted time of late, in thousandths, for charging in advance what overlaps
 * (well below 1000) or costs more than predicted: 62 to 4000; 1000 until it is known.
 */
uint32_t gsh_account_overlap_permille(const struct gsh_account *account);

/*
 * Seen per learned time of steady signatures, in thousandths; 1000 below 1100. Of late (1.6 s) or
 * over some seconds, whichever is less: outliers are rare, and what a few of them say
 * too much would be given away to all that is not steady.
 */
uint32_t gsh_account_inflation_permille(const struct gsh_account *account);

#endif
