/*
 * bucket.c - refilling, taking and settling, one atomic access after another.
 *
 * Knows the words of one bucket and nothing else: no clock, no futex, no policy.
 *
 * Time is turned into credit by whole microseconds: one at r thousandths is r ns exactly,
 * so nothing is lost to rounding, however often and at whatever rate.
 *
 * A refill is a claim on a stretch of time (refilled_ns moves on) and then a landing
 * (level goes up). It lands only on the very level that was read before the claim. So of
 * all claims in flight that were made after one level only one lands, by who computed
 * what fits under the burst, and the others are lost. Putting time back instead would
 * give away what was taken meanwhile: tried, and found by test_bucket_steps.c. Little is lost:
 * the two accesses follow one upon the other, and without credit only settling changes
 * the level. (A level that has changed and come back to the
 * same nanosecond is not noticed; that takes a stop between two instructions and a
 * coincidence, and costs the credit of one refill.) Time not yet claimed counts as well:
 * a taking leaves room for it under the burst.
 */
#include "policy/bucket.h"

#include "base/atomic.h"

#define US_NS UINT64_C(1000)
/* While there is credit, refills wait until that much time has come together: the shared
 * words stay cool. Without credit, nobody refills in vain more often than that either. */
#define REFILL_US UINT64_C(20)
/* How far refilled_ns may lie ahead of now: who read the clock and then was stopped for
 * that long finds it so. Further ahead it was scribbled on. */
#define LEAD_MAX_NS UINT64_C(10000000000)
/* A burst is a few turns of a process; none is longer than bridges the changing of contexts. */
#define TURNS 4
#define TURN_MAX_NS UINT64_C(5000000)
#define TURN_WAIT_NS UINT64_C(1000000000)
/* More than there is: bounds for arithmetic. */
#define BURST_MAX_NS (UINT64_C(1) << 60)
#define CREDIT_MAX_NS (UINT64_C(1) << 62)
#define DEBT_MAX_NS ((int64_t)GSH_BUCKET_DEBT_MAX_NS)

/* ---- arithmetic ---- */

/* Terms within their bounds. */
struct terms {
	uint64_t rate; /* ns of credit for a microsecond: 1 to 1000 */
	int64_t burst_ns, need_ns;
};

static struct terms bounded(const struct gsh_bucket_terms *terms)
{
	struct terms bounds = { .rate = terms->rate_permille, .burst_ns = 1 };

	if (bounds.rate < 1)
		bounds.rate = 1;
	if (bounds.rate > 1000)
		bounds.rate = 1000;
	if (terms->burst_ns > BURST_MAX_NS)
		bounds.burst_ns = (int64_t)BURST_MAX_NS;
	else if (terms->burst_ns > 1)
		bounds.burst_ns = (int64_t)terms->burst_ns;
	bounds.need_ns = terms->need_ns < (uint64_t)bounds.burst_ns / 2
				 ? (int64_t)terms->need_ns
				 : bounds.burst_ns / 2;
	return bounds;
}

static uint64_t elapsed_us(uint64_t since_ns, uint64_t now_ns)
{
	return now_ns > since_ns ? (now_ns - since_ns) / US_NS : 0;
}

/* Cannot overflow: no clock has more than 2^64 / 1000 us, and no rate is above 1000. */
static int64_t earned_ns(const struct terms *terms, uint64_t us)
{
	uint64_t credit_ns = us * terms->rate;

	return (int64_t)(credit_ns < CREDIT_MAX_NS ? credit_ns : CREDIT_MAX_NS);
}

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* What fits of the credit for that much time. */
static int64_t due_ns(const struct terms *terms, int64_t level_ns, uint64_t us)
{
	return smaller(earned_ns(terms, us), terms->burst_ns - level_ns);
}

/*
 * A level above the burst may be from before the burst was lowered, which the bucket
 * tells. No other, and no debt beyond the greatest, is ever written here.
 */
static bool is_possible(const struct gpushim_ledger_bucket *bucket,
			const struct terms *terms, int64_t level_ns)
{
	if (level_ns < -DEBT_MAX_NS)
		return false;
	return level_ns <= terms->burst_ns ||
	       (uint64_t)level_ns <= gsh_load_relaxed(&bucket->burst_ns);
}

/* What a word stands for: neither credit nor debt, if somebody scribbled on it. */
static int64_t level_of(const struct gpushim_ledger_bucket *bucket,
			const struct terms *terms, uint64_t word)
{
	int64_t level_ns = (int64_t)word;

	if (gsh_unlikely(!is_possible(bucket, terms, level_ns)))
		return 0;
	return smaller(level_ns, terms->burst_ns);
}

/* Replaces *word by level_ns. False: it has changed, and *word with it. */
static bool put_level(struct gpushim_ledger_bucket *bucket, const struct terms *terms,
		      uint64_t *word, int64_t level_ns)
{
	bool possible = is_possible(bucket, terms, (int64_t)*word);

	/* Acquire and release: who finds this level finds the claim before it as well. */
	if (!gsh_cas_acq_rel(&bucket->level, word, (uint64_t)level_ns))
		return false;
	if (gsh_unlikely(!possible))
		gsh_add_relaxed(&bucket->repairs, 1);
	return true;
}

/* ---- refilling ---- */

/* For display, and for is_possible(). */
static void note_terms(struct gpushim_ledger_bucket *bucket, const struct terms *terms)
{
	if (gsh_load_relaxed(&bucket->limit_permille) != terms->rate)
		gsh_store_relaxed(&bucket->limit_permille, terms->rate);
	if (gsh_load_relaxed(&bucket->burst_ns) != (uint64_t)terms->burst_ns)
		gsh_store_relaxed(&bucket->burst_ns, (uint64_t)terms->burst_ns);
}

static bool is_worth_refilling(const struct terms *terms, int64_t level_ns, uint64_t us)
{
	if (us >= REFILL_US)
		return true;
	/* Without what is needed: if it ends the wait. With it: if it leaves no room to take. */
	if (level_ns <= terms->need_ns)
		return level_ns + earned_ns(terms, us) > terms->need_ns;
	return earned_ns(terms, us) >= terms->burst_ns - terms->need_ns;
}

/*
 * What the bucket would get now: how much credit, and up to when it stands for. False: it
 * is not worth it yet, or the clock of the bucket is ahead.
 */
static bool plan_refill(const struct terms *terms, int64_t level_ns, uint64_t refilled_ns,
			uint64_t now_ns, int64_t *credit_ns, uint64_t *next_ns)
{
	uint64_t us = elapsed_us(refilled_ns, now_ns);

	if (refilled_ns == 0) {
		/* A tenant starts with a burst saved up. */
		*credit_ns = smaller(terms->burst_ns, terms->burst_ns - level_ns);
		*next_ns = now_ns;
		return true;
	}
	*credit_ns = due_ns(terms, level_ns, us);
	*next_ns = refilled_ns + us * US_NS;
	return is_worth_refilling(terms, level_ns, us);
}

/* Returns up to when credit was given, by whomever. */
static uint64_t refill(struct gpushim_ledger_bucket *bucket, const struct terms *terms,
		       uint64_t now_ns)
{
	/* Acquire: the level read next is not older than this. */
	uint64_t refilled_ns = gsh_load_acquire(&bucket->refilled_ns);

	for (;;) {
		uint64_t word = gsh_load_acquire(&bucket->level), next_ns;
		int64_t level_ns = level_of(bucket, terms, word), credit_ns;

		if (gsh_unlikely(refilled_ns > now_ns &&
				 refilled_ns - now_ns > LEAD_MAX_NS)) {
			if (gsh_cas_acq_rel(&bucket->refilled_ns, &refilled_ns, now_ns)) {
				gsh_add_relaxed(&bucket->repairs, 1);
				refilled_ns = now_ns;
			}
			continue;
		}
		if (!plan_refill(terms, level_ns, refilled_ns, now_ns, &credit_ns,
				 &next_ns))
			return refilled_ns;
		/* Both pair with those of others at work here. */
		if (!gsh_cas_acq_rel(&bucket->refilled_ns, &refilled_ns, next_ns))
			continue;
		if (put_level(bucket, terms, &word, level_ns + credit_ns))
			gsh_add_relaxed(&bucket->earned_ns, (uint64_t)credit_ns);
		note_terms(bucket, terms);
		return next_ns;
	}
}

/* ---- taking and settling ---- */

uint64_t gsh_bucket_need_ns(const struct gsh_bucket_terms *terms, uint64_t waited_ns,
			    bool siblings)
{
	uint64_t need_ns = terms->burst_ns / TURNS;

	if (!siblings || waited_ns >= TURN_WAIT_NS)
		return 0;
	if (need_ns > TURN_MAX_NS)
		need_ns = TURN_MAX_NS;
	return need_ns / 1000 * ((TURN_WAIT_NS - waited_ns) / (TURN_WAIT_NS / 1000));
}

static uint64_t wait_until_credit_ns(const struct terms *terms, int64_t level_ns,
				     uint64_t refilled_ns, uint64_t now_ns)
{
	uint64_t lack_ns = (uint64_t)(terms->need_ns + 1 - level_ns);
	uint64_t at_ns = refilled_ns + (lack_ns + terms->rate - 1) / terms->rate * US_NS;

	return at_ns > now_ns ? at_ns - now_ns : 1;
}

bool gsh_bucket_take(struct gpushim_ledger_bucket *bucket,
		     const struct gsh_bucket_terms *terms, uint64_t now_ns,
		     uint64_t cost_ns, uint64_t *wait_ns)
{
	const struct terms bounds = bounded(terms);
	int64_t cost = (int64_t)(cost_ns < GSH_BUCKET_DEBT_MAX_NS
					 ? cost_ns
					 : GSH_BUCKET_DEBT_MAX_NS);
	uint64_t refilled_ns, word;
	int64_t room_ns, level_ns;

	now_ns += now_ns == 0; /* 0 says that there was no refill yet */
	refilled_ns = refill(bucket, &bounds, now_ns);
	/* What is not claimed yet will come on top of what this leaves. */
	room_ns = bounds.burst_ns - earned_ns(&bounds, elapsed_us(refilled_ns, now_ns));
	word = gsh_load_acquire(&bucket->level);
	do {
		level_ns = smaller(level_of(bucket, &bounds, word), room_ns);
		if (level_ns <= bounds.need_ns) {
			*wait_ns = wait_until_credit_ns(&bounds, level_ns, refilled_ns,
							now_ns);
			return false;
		}
	} while (!put_level(bucket, &bounds, &word, level_ns - cost));
	return true;
}

bool gsh_bucket_settle(struct gpushim_ledger_bucket *bucket,
		       const struct gsh_bucket_terms *terms, int64_t give_ns)
{
	const struct terms bounds = bounded(terms);
	uint64_t word = gsh_load_acquire(&bucket->level);
	int64_t before_ns, level_ns;

	do {
		before_ns = level_of(bucket, &bounds, word);
		if (__builtin_add_overflow(before_ns, give_ns, &level_ns))
			level_ns = give_ns < 0 ? -DEBT_MAX_NS : bounds.burst_ns;
		level_ns = smaller(level_ns, bounds.burst_ns);
		if (level_ns < -DEBT_MAX_NS)
			level_ns = -DEBT_MAX_NS;
	} while (!put_level(bucket, &bounds, &word, level_ns));
	/* Release: who sees the bell sees the credit. */
	if (before_ns > 0 || level_ns <= 0)
		return false;
	gsh_add_acq_rel(&bucket->bell, 1);
	return true;
}

int64_t gsh_bucket_level(const struct gpushim_ledger_bucket *bucket,
			 const struct gsh_bucket_terms *terms, uint64_t now_ns)
{
	const struct terms bounds = bounded(terms);
	uint64_t refilled_ns = gsh_load_acquire(&bucket->refilled_ns);
	int64_t level_ns = level_of(bucket, &bounds, gsh_load_relaxed(&bucket->level));

	if (refilled_ns == 0)
		return smaller(level_ns + bounds.burst_ns, bounds.burst_ns);
	return level_ns + due_ns(&bounds, level_ns, elapsed_us(refilled_ns, now_ns));
}
