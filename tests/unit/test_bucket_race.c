/*
 * Eight threads on one bucket, with real atomics and a clock that they drive themselves.
 *
 * test_bucket_steps.c visits the interleavings of a step at a time; here is what a
 * compiler and processors make of it.
 */
#include "policy/bucket.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/atomic.h"
#include "cunit_main.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

enum { THREADS = 8, ROUNDS = 200000, COST_MAX_NS = 40000 };

static struct gpushim_ledger_bucket bucket;
static struct gsh_bucket_terms terms;

static struct race {
	void (*turn)(uint64_t *random, uint64_t now_ns);
	uint64_t now_ns;					    /* atomic */
	uint64_t taken_ns, given_ns, used_ns, bad_shares, go, stop; /* atomic */
	uint64_t begin_ns;
} race;

/* xorshift */
static uint64_t random_below(uint64_t *state, uint64_t bound)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state % bound;
}

/* What all of them may have taken until now. */
static uint64_t may_have_ns(void)
{
	uint64_t ns = gsh_load_relaxed(&race.now_ns) - race.begin_ns;

	return terms.burst_ns + ns / 1000 * terms.rate_permille + COST_MAX_NS;
}

static void *race_thread(void *argument)
{
	uint64_t random = 77 + (uint64_t)(uintptr_t)argument;

	while (!gsh_load_acquire(&race.go))
		sched_yield();
	for (int i = 0; i < ROUNDS && !gsh_load_relaxed(&race.stop); i++) {
		uint64_t now_ns = gsh_add_relaxed(&race.now_ns,
						  random_below(&random, 2 * US));

		race.turn(&random, now_ns);
		if (i % 64 == 0)
			sched_yield();
	}
	return NULL;
}

static void run_race(void (*turn)(uint64_t *random, uint64_t now_ns))
{
	pthread_t threads[THREADS];

	memset(&bucket, 0, sizeof(bucket));
	terms = (struct gsh_bucket_terms){ .rate_permille = 300, .burst_ns = 20 * MS };
	race = (struct race){ .turn = turn, .now_ns = SECOND, .begin_ns = SECOND };
	for (uintptr_t i = 0; i < THREADS; i++)
		CU_ASSERT_EQUAL_FATAL(
			pthread_create(&threads[i], NULL, race_thread, (void *)i), 0);
	gsh_store_release(&race.go, 1);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void take_one(uint64_t *random, uint64_t now_ns)
{
	uint64_t cost_ns = random_below(random, COST_MAX_NS), wait_ns;

	if (gsh_bucket_take(&bucket, &terms, now_ns, cost_ns, &wait_ns))
		gsh_add_relaxed(&race.taken_ns, cost_ns);
}

static void eight_threads_take_what_the_rate_gives_and_no_more(void)
{
	run_race(take_one);
	CU_ASSERT(race.taken_ns <= may_have_ns());
	/*
	 * Or there was no race; and next to nothing was lost by claims that could not land: a
	 * thread that is interrupted within one loses it, more often where a claim takes longer.
	 */
	CU_ASSERT(race.taken_ns >= may_have_ns() / 100 * (unit_rounds(4) < 4 ? 90 : 98));
	/* To the nanosecond: what was given is what was taken and what is there. */
	CU_ASSERT_EQUAL((int64_t)bucket.level,
			(int64_t)(bucket.earned_ns - race.taken_ns));
	CU_ASSERT_EQUAL(bucket.repairs, 0);
}

static void take_and_settle(uint64_t *random, uint64_t now_ns)
{
	uint64_t cost_ns = random_below(random, COST_MAX_NS), wait_ns;

	if (!gsh_bucket_take(&bucket, &terms, now_ns, cost_ns, &wait_ns))
		return;
	gsh_add_relaxed(&race.taken_ns, cost_ns);
	cost_ns = random_below(random, cost_ns + 1);
	gsh_bucket_settle(&bucket, &terms, (int64_t)cost_ns);
	gsh_add_relaxed(&race.given_ns, cost_ns);
}

static void settling_in_between_keeps_the_account(void)
{
	run_race(take_and_settle);
	CU_ASSERT(race.taken_ns - race.given_ns <= may_have_ns());
	CU_ASSERT(race.taken_ns - race.given_ns >= may_have_ns() / 100 * 98);
	/* What would have gone above the burst is gone. */
	CU_ASSERT((int64_t)bucket.level <=
		  (int64_t)(bucket.earned_ns - race.taken_ns + race.given_ns));
	CU_ASSERT(bucket.bell > 0);
	CU_ASSERT_EQUAL(bucket.repairs, 0);
}

/* The control: the same sums with plain loads and stores. */
static void take_without_atomics(uint64_t *random, uint64_t now_ns)
{
	uint64_t cost_ns = random_below(random, COST_MAX_NS);
	uint64_t refilled_ns = gsh_load_relaxed(&bucket.refilled_ns);
	int64_t level_ns = (int64_t)gsh_load_relaxed(&bucket.level);

	if (refilled_ns == 0)
		level_ns = (int64_t)terms.burst_ns;
	else if (now_ns > refilled_ns)
		level_ns += (int64_t)((now_ns - refilled_ns) / 1000 *
				      terms.rate_permille);
	if (level_ns > (int64_t)terms.burst_ns)
		level_ns = (int64_t)terms.burst_ns;
	if (random_below(random, 16) == 0)
		sched_yield();
	gsh_store_relaxed(&bucket.refilled_ns, now_ns);
	if (level_ns > 0) {
		gsh_store_relaxed(&bucket.level, (uint64_t)level_ns - cost_ns);
		gsh_add_relaxed(&race.taken_ns, cost_ns);
	}
	if (gsh_load_relaxed(&race.taken_ns) > 2 * may_have_ns())
		gsh_store_relaxed(&race.stop, 1);
}

static void control_loads_and_stores_give_too_much(void)
{
	run_race(take_without_atomics);
	CU_ASSERT(race.taken_ns > may_have_ns());
}

/* About 300 us of every millisecond. */
static void use(uint64_t *random, uint64_t now_ns)
{
	uint64_t used_ns = random_below(random, 60 * US);

	gsh_bucket_used(&bucket, now_ns, used_ns);
	gsh_add_relaxed(&race.used_ns, used_ns);
}

static void use_and_look(uint64_t *random, uint64_t now_ns)
{
	uint32_t ppm;

	now_ns = gsh_add_relaxed(&race.now_ns, random_below(random, 200 * US));
	use(random, now_ns);
	ppm = gsh_bucket_share_ppm(&bucket, now_ns, SECOND);
	/* Who was stopped in the middle counts what was used meanwhile for his second. */
	if (now_ns > 3 * SECOND && gsh_load_relaxed(&race.now_ns) - now_ns < 20 * MS &&
	    ppm != UINT32_MAX && (ppm < 200000 || ppm > 400000))
		gsh_add_relaxed(&race.bad_shares, 1);
}

static void shares_stay_right_while_all_take_looks(void)
{
	uint64_t random = 5;

	run_race(use_and_look);
	CU_ASSERT_EQUAL(race.bad_shares, 0);
	for (int i = 0; i < 20000; i++)
		use(&random, race.now_ns += 100 * US);
	CU_ASSERT_EQUAL(bucket.used_ns, race.used_ns);
	CU_ASSERT(gsh_bucket_share_ppm(&bucket, race.now_ns, SECOND) > 290000);
	CU_ASSERT(gsh_bucket_share_ppm(&bucket, race.now_ns, SECOND) < 310000);
}

const struct unit_suite unit_suite = {
	.name = "bucket, eight threads",
	.tests = {
		UNIT_TEST(eight_threads_take_what_the_rate_gives_and_no_more),
		UNIT_TEST(settling_in_between_keeps_the_account),
		UNIT_TEST(control_loads_and_stores_give_too_much),
		UNIT_TEST(shares_stay_right_while_all_take_looks),
	},
};
