/*
 * The quota's verdicts, one at a time and from eight threads at once.
 *
 * test_quota_model.c visits the interleavings; here are the arithmetic, patience, cells that
 * somebody scribbled on, and a race on real processors.
 */
#include "policy/quota.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "cunit_main.h"

#define GIB (UINT64_C(1) << 30)
#define MS_NS UINT64_C(1000000)

/* One more than a ledger has: nobody may touch it. */
static struct gpushim_ledger_cell cells[GPUSHIM_SLOTS_MAX + 1];
static uint32_t cells_used;
static const struct gsh_quota quota = { cells, &cells_used };

static void setup(void)
{
	memset(cells, 0, sizeof(cells));
	cells_used = 3;
}

static enum gsh_quota_verdict ask(uint32_t own, uint64_t bytes, uint64_t limit_bytes)
{
	struct gsh_quota_try attempt = { 0 };

	return gsh_quota_reserve(&quota, own, bytes, limit_bytes, 0, &attempt);
}

static void the_last_byte_is_granted_and_the_byte_past_the_limit_denied(void)
{
	CU_ASSERT_EQUAL(ask(0, 4, 10), GSH_QUOTA_GRANTED);
	CU_ASSERT_EQUAL(ask(1, 6, 10), GSH_QUOTA_GRANTED);
	CU_ASSERT_EQUAL(ask(2, 1, 10), GSH_QUOTA_DENIED);
	CU_ASSERT_EQUAL(cells[0].charged, 4);
	CU_ASSERT_EQUAL(cells[1].charged, 6);
	CU_ASSERT_EQUAL(cells[2].charged, 0);
	CU_ASSERT_EQUAL(gsh_quota_used(&quota), 10);
}

static void nothing_is_left_pending(void)
{
	ask(0, 6, 10);
	ask(1, 6, 10);
	ask(2, 60, 10);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(cells[i].pending, 0);
	CU_ASSERT_EQUAL(cells[0].sequence, 1);
	CU_ASSERT_EQUAL(cells[1].withdrawals, 1);
}

static void what_is_given_back_can_be_had_again(void)
{
	CU_ASSERT_EQUAL(ask(0, 10, 10), GSH_QUOTA_GRANTED);
	CU_ASSERT_EQUAL(gsh_quota_refund(&quota, 0, 4), 0);
	CU_ASSERT_EQUAL(ask(1, 5, 10), GSH_QUOTA_DENIED);
	CU_ASSERT_EQUAL(ask(1, 4, 10), GSH_QUOTA_GRANTED);
}

static void a_refund_never_goes_below_zero_and_says_what_it_lacked(void)
{
	ask(0, 3, 10);
	CU_ASSERT_EQUAL(gsh_quota_refund(&quota, 0, 5), 2);
	CU_ASSERT_EQUAL(cells[0].charged, 0);
	CU_ASSERT_EQUAL(gsh_quota_refund(&quota, 0, 1), 1);
	CU_ASSERT_EQUAL(cells[0].charged, 0);
}

static void forced_bytes_count_although_they_exceed_the_limit(void)
{
	gsh_quota_force(&quota, 0, 12);
	CU_ASSERT_EQUAL(gsh_quota_used(&quota), 12);
	CU_ASSERT_EQUAL(ask(1, 1, 10), GSH_QUOTA_DENIED);
	gsh_quota_refund(&quota, 0, 3);
	CU_ASSERT_EQUAL(ask(1, 1, 10), GSH_QUOTA_GRANTED);
}

static void a_limit_lowered_below_use_denies_until_use_is_below(void)
{
	CU_ASSERT_EQUAL(ask(0, 10, 10), GSH_QUOTA_GRANTED);
	CU_ASSERT_EQUAL(ask(1, 1, 5), GSH_QUOTA_DENIED);
	gsh_quota_refund(&quota, 0, 5);
	CU_ASSERT_EQUAL(ask(1, 1, 5), GSH_QUOTA_DENIED);
	gsh_quota_refund(&quota, 0, 1);
	CU_ASSERT_EQUAL(ask(1, 1, 5), GSH_QUOTA_GRANTED);
}

static void nothing_is_always_granted(void)
{
	gsh_quota_force(&quota, 0, 12);
	CU_ASSERT_EQUAL(ask(0, 0, 10), GSH_QUOTA_GRANTED);
	CU_ASSERT_EQUAL(ask(1, 0, 0), GSH_QUOTA_GRANTED);
	CU_ASSERT_EQUAL(ask(1, 1, 0), GSH_QUOTA_DENIED);
}

static void without_a_limit_all_is_granted_that_can_be_counted(void)
{
	CU_ASSERT_EQUAL(ask(0, 500 * GIB, GPUSHIM_UNLIMITED), GSH_QUOTA_GRANTED);
	CU_ASSERT_EQUAL(ask(1, GSH_QUOTA_REQUEST_MAX, GPUSHIM_UNLIMITED),
			GSH_QUOTA_GRANTED);
	CU_ASSERT_EQUAL(ask(1, GSH_QUOTA_REQUEST_MAX + 1, GPUSHIM_UNLIMITED),
			GSH_QUOTA_DENIED);
	CU_ASSERT_EQUAL(ask(1, UINT64_MAX, GPUSHIM_UNLIMITED), GSH_QUOTA_DENIED);
	cells[2].charged = UINT64_MAX - 100;
	CU_ASSERT_EQUAL(ask(0, 1000, GPUSHIM_UNLIMITED), GSH_QUOTA_DENIED);
}

static void requests_whose_sum_overflows_are_denied(void)
{
	ask(0, GIB, 10 * GIB);
	CU_ASSERT_EQUAL(ask(1, UINT64_MAX, 10 * GIB), GSH_QUOTA_DENIED);
	CU_ASSERT_EQUAL(ask(1, UINT64_MAX - GIB + 1, 10 * GIB), GSH_QUOTA_DENIED);
	CU_ASSERT_EQUAL(gsh_quota_used(&quota), GIB);
}

static void only_cells_in_use_are_looked_at(void)
{
	cells[3].charged = 100;
	CU_ASSERT_EQUAL(ask(0, 10, 10), GSH_QUOTA_GRANTED);
	gsh_quota_refund(&quota, 0, 10);
	cells_used = 4;
	CU_ASSERT_EQUAL(ask(0, 10, 10), GSH_QUOTA_DENIED);
}

static void a_scribbled_count_of_cells_leads_nowhere(void)
{
	cells_used = UINT32_MAX;
	cells[GPUSHIM_SLOTS_MAX].charged = 100;
	CU_ASSERT_EQUAL(ask(0, 10, 10), GSH_QUOTA_GRANTED);
	cells_used = 0;
	CU_ASSERT_NOT_EQUAL(ask(1, 11, 10), GSH_QUOTA_GRANTED);
}

static void scribbled_cells_deny(void)
{
	memset(&cells[1], 0xff, 2 * sizeof(*cells));
	cells[1].pending = 0;
	cells[2].pending = 0;
	CU_ASSERT_EQUAL(ask(0, 1, 10), GSH_QUOTA_DENIED);
	CU_ASSERT_EQUAL(gsh_quota_used(&quota), UINT64_MAX);
}

static void the_verdict_tells_what_is_used(void)
{
	struct gsh_quota_try attempt = { 0 };

	ask(0, 4, 10);
	gsh_quota_reserve(&quota, 1, 5, 10, 0, &attempt);
	CU_ASSERT_EQUAL(attempt.used_bytes, 9);
	attempt = (struct gsh_quota_try){ 0 };
	CU_ASSERT_EQUAL(gsh_quota_reserve(&quota, 1, 5, 10, 0, &attempt),
			GSH_QUOTA_DENIED);
	CU_ASSERT_EQUAL(attempt.used_bytes, 9);
}

/* ---- patience --------------------------------------------------------------------------- */

/* Asks for 5 of 10 again and again; returns after how much time it was denied, 0: never. */
static uint64_t denied_after_ns(uint64_t step_ns, uint64_t until_ns, bool others_move)
{
	struct gsh_quota_try attempt = { 0 };

	for (uint64_t now_ns = 1; now_ns < until_ns; now_ns += step_ns) {
		if (gsh_quota_reserve(&quota, 0, 5, 10, now_ns, &attempt) ==
		    GSH_QUOTA_DENIED)
			return now_ns;
		if (others_move)
			cells[1].withdrawals++;
		CU_ASSERT_EQUAL_FATAL(cells[0].pending, 0);
	}
	return 0;
}

static void anothers_pending_is_waited_for(void)
{
	struct gsh_quota_try attempt = { 0 };

	cells[1].pending = 6;
	CU_ASSERT_EQUAL(gsh_quota_reserve(&quota, 0, 5, 10, 0, &attempt),
			GSH_QUOTA_AGAIN);
	CU_ASSERT_EQUAL(gsh_quota_reserve(&quota, 0, 5, 10, 5, &attempt),
			GSH_QUOTA_AGAIN);
	cells[1].pending = 0;
	CU_ASSERT_EQUAL(gsh_quota_reserve(&quota, 0, 5, 10, 9, &attempt),
			GSH_QUOTA_GRANTED);
}

static void who_waits_is_in_nobodys_way(void)
{
	struct gsh_quota_try attempt = { 0 };

	cells[1].pending = 6;
	for (int i = 0; i < 5; i++)
		gsh_quota_reserve(&quota, 0, 5, 10, 1, &attempt);
	/* Only the first call announced itself. */
	CU_ASSERT_EQUAL(cells[0].withdrawals, 1);
}

static void pending_that_does_not_move_counts_when_patience_ends(void)
{
	uint64_t after_ns;

	cells[1].pending = 6;
	after_ns = denied_after_ns(MS_NS, 2 * GSH_QUOTA_PATIENCE_NS, false);
	CU_ASSERT(after_ns >= GSH_QUOTA_PATIENCE_NS);
	CU_ASSERT(after_ns <= GSH_QUOTA_PATIENCE_NS + 10 * MS_NS);
}

static void pending_that_moves_is_never_counted(void)
{
	cells[1].pending = 6;
	CU_ASSERT_EQUAL(denied_after_ns(MS_NS, 5 * GSH_QUOTA_PATIENCE_NS, true), 0);
}

static void one_that_stands_still_is_found_among_many_that_move(void)
{
	struct gsh_quota_try attempt = { 0 };
	uint64_t now_ns = 1;

	cells_used = 10;
	cells[7].pending = 6;
	while (now_ns < 2 * GSH_QUOTA_PATIENCE_NS) {
		for (uint32_t i = 1; i < 10; i++) {
			cells[i].withdrawals += i != 7;
			cells[i].pending = i == 7 ? 6 : 1;
		}
		if (gsh_quota_reserve(&quota, 0, 5, 10, now_ns, &attempt) ==
		    GSH_QUOTA_DENIED)
			break;
		now_ns += MS_NS;
	}
	CU_ASSERT(now_ns >= GSH_QUOTA_PATIENCE_NS);
	CU_ASSERT(now_ns < 2 * GSH_QUOTA_PATIENCE_NS);
}

static void small_steps_of_time_are_not_lost(void)
{
	struct gsh_quota_try attempt = { 0 };

	cells[1].pending = 6;
	for (uint64_t now_ns = 1; now_ns < 1000000; now_ns += 300)
		gsh_quota_reserve(&quota, 0, 5, 10, now_ns, &attempt);
	CU_ASSERT(attempt.stalls[0].waited_us > 900);
	CU_ASSERT(attempt.stalls[0].waited_us <= 1000);
}

static void time_in_which_all_were_suspended_does_not_count(void)
{
	struct gsh_quota_try attempt = { 0 };

	cells[1].pending = 6;
	gsh_quota_reserve(&quota, 0, 5, 10, 1, &attempt);
	gsh_quota_reserve(&quota, 0, 5, 10, 2, &attempt);
	/* A day later everybody goes on, and this one is first. */
	CU_ASSERT_EQUAL(
		gsh_quota_reserve(&quota, 0, 5, 10, UINT64_C(86400000000000), &attempt),
		GSH_QUOTA_AGAIN);
}

static void a_clock_that_goes_back_does_no_harm(void)
{
	struct gsh_quota_try attempt = { 0 };

	cells[1].pending = 6;
	gsh_quota_reserve(&quota, 0, 5, 10, 100 * GSH_QUOTA_PATIENCE_NS, &attempt);
	CU_ASSERT_EQUAL(gsh_quota_reserve(&quota, 0, 5, 10, 1, &attempt),
			GSH_QUOTA_AGAIN);
}

static void more_stuck_ones_than_can_be_followed_end_in_a_denial_too(void)
{
	cells_used = GPUSHIM_SLOTS_MAX;
	for (uint32_t i = 1; i < GPUSHIM_SLOTS_MAX; i++)
		cells[i].pending = 1;
	CU_ASSERT(denied_after_ns(MS_NS, 2 * GSH_QUOTA_PATIENCE_NS, false) > 0);
}

static void stuck_pending_that_leaves_room_denies_nobody(void)
{
	cells[1].pending = 5;
	CU_ASSERT_EQUAL(ask(0, 5, 10), GSH_QUOTA_GRANTED);
	CU_ASSERT_EQUAL(denied_after_ns(MS_NS, GSH_QUOTA_PATIENCE_NS / 2, false), 0);
}

/* ---- a race ----------------------------------------------------------------------------- */

enum { THREADS = 8, RACE_CELLS = 4, ROUNDS = 100000, SIZES = 4 };

struct race {
	enum gsh_quota_verdict (*reserve)(uint32_t own, uint64_t bytes,
					  uint64_t limit_bytes);
	uint64_t sizes[SIZES];
	uint64_t limit;
	uint64_t held; /* what the threads have, by their own count */
	uint64_t most; /* held at once */
	uint64_t denials;
	uint32_t go, stop;
	uint64_t left[THREADS];
	bool until_over;
};

static struct race race;

static enum gsh_quota_verdict insist(uint32_t own, uint64_t bytes, uint64_t limit_bytes)
{
	struct gsh_quota_try attempt = { 0 };
	enum gsh_quota_verdict verdict;

	while ((verdict = gsh_quota_reserve(&quota, own, bytes, limit_bytes,
					    gsh_clock_now_ns(), &attempt)) ==
	       GSH_QUOTA_AGAIN)
		sched_yield();
	return verdict;
}

/* The control: what everybody writes first. */
static enum gsh_quota_verdict check_then_act(uint32_t own, uint64_t bytes,
					     uint64_t limit_bytes)
{
	if (gsh_quota_used(&quota) + bytes > limit_bytes)
		return GSH_QUOTA_DENIED;
	sched_yield();
	gsh_quota_force(&quota, own, bytes);
	return GSH_QUOTA_GRANTED;
}

static void *race_thread(void *argument)
{
	uint32_t number = (uint32_t)(uintptr_t)argument;
	uint32_t own = number % RACE_CELLS;

	while (!gsh_load_acquire(&race.go))
		sched_yield();
	for (uint32_t round = 0; round < ROUNDS && !gsh_load_relaxed(&race.stop);
	     round++) {
		uint64_t bytes = race.sizes[(number + round) % SIZES];

		if (race.reserve(own, bytes, race.limit) != GSH_QUOTA_GRANTED) {
			gsh_add_relaxed(&race.denials, 1);
			continue;
		}
		/* Between grant and refund it is ours. */
		gsh_raise_relaxed(&race.most, gsh_add_seq_cst(&race.held, bytes) + bytes);
		if (round % 64 == 0)
			sched_yield();
		if (race.until_over && gsh_load_relaxed(&race.most) > race.limit)
			gsh_store_relaxed(&race.stop, 1);
		gsh_sub_seq_cst(&race.held, bytes);
		race.left[number] += gsh_quota_refund(&quota, own, bytes);
	}
	return NULL;
}

static void run_race(void)
{
	pthread_t threads[THREADS];

	cells_used = RACE_CELLS;
	for (uintptr_t i = 0; i < THREADS; i++)
		CU_ASSERT_EQUAL_FATAL(
			pthread_create(&threads[i], NULL, race_thread, (void *)i), 0);
	gsh_store_release(&race.go, 1);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < THREADS; i++)
		CU_ASSERT_EQUAL(race.left[i], 0);
	for (int i = 0; i < RACE_CELLS; i++) {
		CU_ASSERT_EQUAL(cells[i].pending, 0);
		CU_ASSERT_EQUAL(cells[i].charged, 0);
	}
}

static void eight_threads_never_hold_more_than_the_limit(void)
{
	race = (struct race){ .reserve = insist,
			      .sizes = { 1, 30, 7, 55 },
			      .limit = 100 };
	run_race();
	CU_ASSERT(race.most <= 100);
	/* Or there was no race. */
	CU_ASSERT(race.most > 55);
}

static void eight_threads_whose_requests_always_fit_are_never_denied(void)
{
	race = (struct race){ .reserve = insist,
			      .sizes = { 10, 10, 10, 10 },
			      .limit = 10 * THREADS };
	run_race();
	CU_ASSERT_EQUAL(race.denials, 0);
	CU_ASSERT(race.most <= 10 * THREADS);
}

static void control_checking_and_then_acting_goes_over(void)
{
	race = (struct race){ .reserve = check_then_act,
			      .sizes = { 60, 60, 60, 60 },
			      .limit = 100,
			      .until_over = true };
	run_race();
	CU_ASSERT(race.most > 100);
}

const struct unit_suite unit_suite = {
	.name = "quota",
	.setup = setup,
	.tests = {
		UNIT_TEST(the_last_byte_is_granted_and_the_byte_past_the_limit_denied),
		UNIT_TEST(nothing_is_left_pending),
		UNIT_TEST(what_is_given_back_can_be_had_again),
		UNIT_TEST(a_refund_never_goes_below_zero_and_says_what_it_lacked),
		UNIT_TEST(forced_bytes_count_although_they_exceed_the_limit),
		UNIT_TEST(a_limit_lowered_below_use_denies_until_use_is_below),
		UNIT_TEST(nothing_is_always_granted),
		UNIT_TEST(without_a_limit_all_is_granted_that_can_be_counted),
		UNIT_TEST(requests_whose_sum_overflows_are_denied),
		UNIT_TEST(only_cells_in_use_are_looked_at),
		UNIT_TEST(a_scribbled_count_of_cells_leads_nowhere),
		UNIT_TEST(scribbled_cells_deny),
		UNIT_TEST(the_verdict_tells_what_is_used),
		UNIT_TEST(anothers_pending_is_waited_for),
		UNIT_TEST(who_waits_is_in_nobodys_way),
		UNIT_TEST(pending_that_does_not_move_counts_when_patience_ends),
		UNIT_TEST(pending_that_moves_is_never_counted),
		UNIT_TEST(one_that_stands_still_is_found_among_many_that_move),
		UNIT_TEST(small_steps_of_time_are_not_lost),
		UNIT_TEST(time_in_which_all_were_suspended_does_not_count),
		UNIT_TEST(a_clock_that_goes_back_does_no_harm),
		UNIT_TEST(more_stuck_ones_than_can_be_followed_end_in_a_denial_too),
		UNIT_TEST(stuck_pending_that_leaves_room_denies_nobody),
		UNIT_TEST(eight_threads_never_hold_more_than_the_limit),
		UNIT_TEST(eight_threads_whose_requests_always_fit_are_never_denied),
		UNIT_TEST(control_checking_and_then_acting_goes_over),
	},
};
