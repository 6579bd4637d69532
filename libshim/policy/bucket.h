/*
 * bucket.h - a tenant's credit of GPU time on one device, shared by all its processes.
 *
 * Pure: no I/O, no clock, no system call. Time (nanoseconds of CLOCK_MONOTONIC) is an
 * argument; the bucket is the caller's memory (in a mapped ledger, or in a test).
 * gpushim/ledger.h says in prose what its words mean.
 *
 * Guarantees, for any number of threads and processes on the same bucket, whatever is
 * preempted or killed where:
 *   - what is taken in any stretch of time is at most rate * time + burst + one taking:
 *     only who finds credit takes, and only the last of those goes below zero. Credit
 *     comes by whole microseconds of time; a taking belongs to the time that its caller
 *     read, and what is given back may be taken once more;
 *   - what is owed is paid by the clock, so whoever waits gets through, one after
 *     another;
 *   - a process that dies between two steps, or whose refill meets another's, loses at
 *     most the credit of that refill;
 *   - words that somebody scribbled on are put right at the next refill and counted in
 *     `repairs`: a level above the burst and a debt above GSH_BUCKET_DEBT_MAX_NS become
 *     neither credit nor debt, a clock more than ten seconds ahead of now becomes now.
 *     They never stop the tenant for good, and never leave it more credit than one burst.
 * Who reads the clock and is stopped for more than ten seconds before he gives it here
 * makes the bucket's clock seem to be ahead; that is worth no more than a scribble.
 */
#ifndef GSH_POLICY_BUCKET_H
#define GSH_POLICY_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "gpushim/ledger.h"

/* No launch is charged more at once, and no debt is carried beyond it: ten minutes. */
#define GSH_BUCKET_DEBT_MAX_NS UINT64_C(600000000000)

/* What is in force when a bucket is used. */
struct gsh_bucket_terms {
	uint32_t rate_permille; /* of the device's time; bounded to 1 ... 1000 */
	uint64_t burst_ns;	/* most credit saved up; at least 1 */
	/* Credit that must be there before any is taken; bounded to a half of the burst. */
	uint64_t need_ns;
};

/*
 * need_ns of a process that has waited for that long while siblings, other processes of its
 * tenant, want the device as well: 0 unless `siblings`. Processes of one tenant then run one after
 * another, each for a while, instead of all at once in slices, which costs the tenant time
 * that no kernel gets. Who has waited longer needs less, and after a second nothing.
 */
uint64_t gsh_bucket_need_ns(const struct gsh_bucket_terms *terms, uint64_t waited_ns,
			    bool siblings);

/*
 * Refills if that is worth it (20 us have passed, or a wait ends), and notes the terms in
 * the bucket (limit_permille, burst_ns); then takes cost_ns if there is more credit than
 * need_ns (the level may so go below zero). False: nothing was taken, and *wait_ns says in how
 * many nanoseconds there will be if nobody else takes or gives any (at least 1).
 */
bool gsh_bucket_take(struct gpushim_ledger_bucket *bucket,
		     const struct gsh_bucket_terms *terms, uint64_t now_ns,
		     uint64_t cost_ns, uint64_t *wait_ns);

/*
 * Settles: gives back (positive) what was taken and not used, or takes more, whatever the
 * level. Credit never goes above the burst, debt never beyond GSH_BUCKET_DEBT_MAX_NS.
 * True: debt has turned into credit, `bell` has changed, and the caller wakes who waits on it.
 */
bool gsh_bucket_settle(struct gpushim_ledger_bucket *bucket,
		       const struct gsh_bucket_terms *terms, int64_t give_ns);

/* Credit now, debt if negative, as if it were refilled. Writes nothing; for display too. */
int64_t gsh_bucket_level(const struct gpushim_ledger_bucket *bucket,
			 const struct gsh_bucket_terms *terms, uint64_t now_ns);

/*
 * Adds measured GPU time to `used_ns`, and takes the looks at it that are due. now_ns:
 * read not long ago.
 */
void gsh_bucket_used(struct gpushim_ledger_bucket *bucket, uint64_t now_ns,
		     uint64_t used_ns);

/*
 * GPU time used per time, in millionths, over the last window_ns (1 s, 10 s; looks reach
 * back 12.6 s); UINT32_MAX: not known, because they do not reach back that far or are not
 * plausible (more than a thousand times the device's time). May exceed 1000000: work is
 * counted when it is measured, not when it ran. Also of a copy.
 */
uint32_t gsh_bucket_share_ppm(const struct gpushim_ledger_bucket *bucket, uint64_t now_ns,
			      uint64_t window_ns);

#endif
