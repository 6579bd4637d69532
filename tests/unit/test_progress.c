/*
 * The progress rule: who passes the gate because nothing else would ever complete.
 */
#include "policy/progress.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/atomic.h"
#include "cunit_main.h"

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

static struct gpushim_ledger_bucket bucket;
static uint64_t now_ns, completions, predicted_ns;

static void setup(void)
{
	memset(&bucket, 0, sizeof(bucket));
	now_ns = 5 * SECOND;
	completions = 10;
	predicted_ns = MS;
}

static bool passes(void)
{
	return gsh_progress_passes(&bucket.stalled, now_ns, true, completions,
				   predicted_ns);
}

/* Asks every millisecond; how long until one passes; 0: none did before until_ns. */
static uint64_t passed_after_ns(uint64_t until_ns)
{
	uint64_t begin_ns = now_ns;

	while (now_ns - begin_ns < until_ns) {
		now_ns += MS;
		if (passes())
			return now_ns - begin_ns;
	}
	return 0;
}

static void one_passes_when_nothing_has_completed_for_a_tenth_of_a_second(void)
{
	CU_ASSERT_FALSE(passes());
	now_ns += GSH_PROGRESS_NS - 1;
	CU_ASSERT_FALSE(passes());
	now_ns++;
	CU_ASSERT_TRUE(passes());
	CU_ASSERT_FALSE(passes());
}

static void the_first_who_asks_does_not_pass_even_at_nanosecond_zero(void)
{
	now_ns = 0;
	CU_ASSERT_FALSE(passes());
	now_ns = GSH_PROGRESS_NS + 1;
	CU_ASSERT_TRUE(passes());
	/* Nor soon after, in a bucket that was never used. */
	setup();
	now_ns = SECOND;
	completions = 0;
	CU_ASSERT_FALSE(passes());
}

static void of_many_who_ask_at_once_one_passes(void)
{
	unsigned passed = 0;

	passes();
	now_ns += GSH_PROGRESS_NS;
	for (int i = 0; i < 100; i++)
		passed += passes();
	CU_ASSERT_EQUAL(passed, 1);
}

static void the_interval_doubles_up_to_its_greatest(void)
{
	uint64_t wanted_ns = GSH_PROGRESS_NS;

	passes();
	for (int i = 0; i < 12; i++) {
		CU_ASSERT_EQUAL(passed_after_ns(10 * SECOND), wanted_ns);
		wanted_ns *= 2;
		if (wanted_ns > GSH_PROGRESS_MAX_NS)
			wanted_ns = GSH_PROGRESS_MAX_NS;
	}
	CU_ASSERT_EQUAL(wanted_ns, GSH_PROGRESS_MAX_NS);
	CU_ASSERT_EQUAL(bucket.stalled.times, 12);
}

static void a_completion_begins_anew(void)
{
	passes();
	for (int i = 0; i < 4; i++)
		passed_after_ns(10 * SECOND);
	now_ns += 1500 * MS;
	completions++;
	CU_ASSERT_FALSE(passes());
	CU_ASSERT_EQUAL(passed_after_ns(10 * SECOND), GSH_PROGRESS_NS);
	CU_ASSERT_EQUAL(passed_after_ns(10 * SECOND), 2 * GSH_PROGRESS_NS);
}

static void nobody_passes_while_work_completes(void)
{
	for (int i = 0; i < 1000; i++) {
		completions++;
		CU_ASSERT_EQUAL(passed_after_ns(99 * MS), 0);
	}
}

static void a_sum_that_falls_because_a_process_went_begins_anew_as_well(void)
{
	passes();
	now_ns += GSH_PROGRESS_NS;
	completions = 3;
	CU_ASSERT_FALSE(passes());
	CU_ASSERT_EQUAL(passed_after_ns(SECOND), GSH_PROGRESS_NS);
}

static void nobody_passes_without_unfinished_work(void)
{
	for (int i = 0; i < 10000; i++) {
		now_ns += 10 * MS;
		CU_ASSERT_FALSE(gsh_progress_passes(&bucket.stalled, now_ns, false,
						    completions, predicted_ns));
	}
	/* And time without it does not count once there is some. */
	CU_ASSERT_FALSE(passes());
	CU_ASSERT_EQUAL(passed_after_ns(SECOND), GSH_PROGRESS_NS);
	now_ns += 150 * MS;
	gsh_progress_passes(&bucket.stalled, now_ns, false, completions, predicted_ns);
	now_ns += 100 * MS;
	CU_ASSERT_FALSE(passes());
}

static void long_kernels_have_four_times_their_time(void)
{
	predicted_ns = 300 * MS;
	passes();
	CU_ASSERT_EQUAL(passed_after_ns(10 * SECOND), 1200 * MS);
	CU_ASSERT_EQUAL(passed_after_ns(10 * SECOND), 2400 * MS);
	CU_ASSERT_EQUAL(passed_after_ns(10 * SECOND), 4800 * MS);
	CU_ASSERT_EQUAL(passed_after_ns(10 * SECOND), GSH_PROGRESS_MAX_NS);
	CU_ASSERT_EQUAL(passed_after_ns(10 * SECOND), GSH_PROGRESS_MAX_NS);
	predicted_ns = 4 * SECOND;
	CU_ASSERT_EQUAL(passed_after_ns(20 * SECOND), 16 * SECOND);
	CU_ASSERT_EQUAL(passed_after_ns(20 * SECOND), 16 * SECOND);
}

static void no_prediction_is_so_long_that_nobody_ever_passes(void)
{
	predicted_ns = UINT64_MAX;
	passes();
	for (unsigned seconds = 0; seconds < 2399; seconds++) {
		now_ns += SECOND;
		CU_ASSERT_FALSE(passes());
	}
	now_ns += SECOND;
	CU_ASSERT_TRUE(passes());
}

/* One counts what completes, the other what of unknown cost does. */
static void two_stalls_of_a_bucket_do_not_know_of_each_other(void)
{
	unsigned passed[2] = { 0, 0 };

	for (int i = 0; i < 1500; i++) {
		now_ns += MS;
		/* Something completes all the time, but nothing that was unknown. */
		passed[0] += gsh_progress_passes(&bucket.stalled, now_ns, true,
						 (uint64_t)i, MS);
		passed[1] += gsh_progress_passes(&bucket.unknown_stalled, now_ns, true, 7,
						 GSH_PROGRESS_NS);
	}
	CU_ASSERT_EQUAL(passed[0], 0);
	/* After 400 ms, and 800 more. */
	CU_ASSERT_EQUAL(passed[1], 2);
	CU_ASSERT_EQUAL(bucket.stalled.times, 0);
	CU_ASSERT_EQUAL(bucket.unknown_stalled.times, 2);
	gsh_progress_passes(&bucket.unknown_stalled, now_ns, false, 7, MS);
	CU_ASSERT_EQUAL(bucket.unknown_stalled.since_ns, 0);
	CU_ASSERT(bucket.stalled.since_ns > 0);
}

static void a_stall_that_nobody_watched_is_no_stall(void)
{
	passes();
	now_ns += 3600 * SECOND;
	CU_ASSERT_FALSE(passes());
	CU_ASSERT_EQUAL(passed_after_ns(SECOND), GSH_PROGRESS_NS);
}

static void who_read_the_clock_before_others_does_not_pass(void)
{
	passes();
	now_ns += GSH_PROGRESS_NS;
	CU_ASSERT_TRUE(passes());
	now_ns -= 50 * MS;
	CU_ASSERT_FALSE(passes());
	now_ns += 50 * MS;
	CU_ASSERT_EQUAL(passed_after_ns(SECOND), 2 * GSH_PROGRESS_NS);
}

/* ---- words that somebody scribbled on --------------------------------------------------- */

static uint64_t random_state;

/* splitmix64, of any magnitude */
static uint64_t random_word(void)
{
	uint64_t x = random_state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	x ^= x >> 31;
	return x >> (x & 63);
}

static void scribbled_words_hold_nobody_for_good_and_free_one_at_most(void)
{
	random_state = 3;
	for (int i = 0; i < 2000; i++) {
		uint64_t ns;

		setup();
		now_ns = 1 + random_word() / 2;
		bucket.stalled.since_ns = random_word();
		if (i % 2)
			bucket.stalled.since_ns = now_ns + random_word() % (20 * SECOND) -
						  10 * SECOND;
		bucket.stalled.at = i % 3 ? completions : random_word();
		bucket.stalled.times = random_word();
		ns = passed_after_ns(30 * SECOND);
		CU_ASSERT_FATAL(ns > 0 && ns <= 2 * GSH_PROGRESS_MAX_NS + MS);
		ns = passed_after_ns(30 * SECOND);
		CU_ASSERT_FATAL(ns >= GSH_PROGRESS_NS && ns <= GSH_PROGRESS_MAX_NS);
	}
}

static void scribbled_times_pass_nobody_sooner(void)
{
	for (uint64_t times = UINT64_MAX; times > 0; times /= 2) {
		setup();
		passes();
		bucket.stalled.times = times;
		CU_ASSERT_FATAL(passed_after_ns(10 * SECOND) >= GSH_PROGRESS_NS);
	}
}

/* ---- a race ----------------------------------------------------------------------------- */

enum { THREADS = 8, ROUNDS = 100000 };

static struct {
	bool (*asks)(uint64_t at_ns);
	uint64_t now_ns, passed, stop, go; /* atomic */
} race;

static bool asks(uint64_t at_ns)
{
	return gsh_progress_passes(&bucket.stalled, at_ns, true, 10, MS);
}

/* The control: looks, and then writes. */
static bool asks_without_atomics(uint64_t at_ns)
{
	uint64_t since_ns = gsh_load_relaxed(&bucket.stalled.since_ns);

	if (at_ns < since_ns + GSH_PROGRESS_MAX_NS)
		return false;
	sched_yield();
	gsh_store_relaxed(&bucket.stalled.since_ns, at_ns);
	return true;
}

/* How many may pass until then once the interval is at its greatest. */
static uint64_t may_pass(void)
{
	return gsh_load_relaxed(&race.now_ns) / GSH_PROGRESS_MAX_NS + 1;
}

static void *race_thread(void *argument)
{
	(void)argument;
	while (!gsh_load_acquire(&race.go))
		sched_yield();
	for (int i = 0; i < ROUNDS && !gsh_load_relaxed(&race.stop); i++) {
		if (race.asks(gsh_add_relaxed(&race.now_ns, GSH_PROGRESS_MAX_NS / 2)))
			gsh_add_relaxed(&race.passed, 1);
		if (i % 64 == 0)
			sched_yield();
		if (gsh_load_relaxed(&race.passed) > 2 * may_pass())
			gsh_store_relaxed(&race.stop, 1);
	}
	return NULL;
}

static void run_race(bool (*how)(uint64_t at_ns))
{
	pthread_t threads[THREADS];

	bucket.stalled.since_ns = 1;
	bucket.stalled.at = 10;
	bucket.stalled.times = 6;
	memset(&race, 0, sizeof(race));
	race.asks = how;
	race.now_ns = 1;
	for (int i = 0; i < THREADS; i++)
		CU_ASSERT_EQUAL_FATAL(
			pthread_create(&threads[i], NULL, race_thread, NULL), 0);
	gsh_store_release(&race.go, 1);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void of_eight_threads_one_passes_at_a_time(void)
{
	run_race(asks);
	CU_ASSERT(race.passed <= may_pass());
	CU_ASSERT(race.passed > 0);
}

static void control_looking_and_then_writing_passes_several(void)
{
	run_race(asks_without_atomics);
	CU_ASSERT(race.passed > may_pass());
}

const struct unit_suite unit_suite = {
	.name = "progress",
	.setup = setup,
	.tests = {
		UNIT_TEST(one_passes_when_nothing_has_completed_for_a_tenth_of_a_second),
		UNIT_TEST(the_first_who_asks_does_not_pass_even_at_nanosecond_zero),
		UNIT_TEST(of_many_who_ask_at_once_one_passes),
		UNIT_TEST(the_interval_doubles_up_to_its_greatest),
		UNIT_TEST(a_completion_begins_anew),
		UNIT_TEST(nobody_passes_while_work_completes),
		UNIT_TEST(a_sum_that_falls_because_a_process_went_begins_anew_as_well),
		UNIT_TEST(nobody_passes_without_unfinished_work),
		UNIT_TEST(long_kernels_have_four_times_their_time),
		UNIT_TEST(no_prediction_is_so_long_that_nobody_ever_passes),
		UNIT_TEST(two_stalls_of_a_bucket_do_not_know_of_each_other),
		UNIT_TEST(a_stall_that_nobody_watched_is_no_stall),
		UNIT_TEST(who_read_the_clock_before_others_does_not_pass),
		UNIT_TEST(scribbled_words_hold_nobody_for_good_and_free_one_at_most),
		UNIT_TEST(scribbled_times_pass_nobody_sooner),
		UNIT_TEST(of_eight_threads_one_passes_at_a_time),
		UNIT_TEST(control_looking_and_then_writing_passes_several),
	},
};
