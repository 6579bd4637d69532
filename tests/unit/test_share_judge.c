/*
 * What the benchmark of shares says of the device's books (tests/bench/share/judge.h and
 * results.h), against books made by hand whose figures are known.
 *
 * The loads are the test's own, with kernels of round lengths; looks are 50 ms apart unless
 * said, as are the benchmark's. A second of warm-up, in which the device is all one's own,
 * precedes what is judged.
 */
#include "../bench/share/judge.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../bench/share/results.h"
#include "cunit_main.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
/* The device has run for a while before anybody looks. */
#define START_NS (12345 * SECOND)
#define BEGIN_NS (START_NS + SECOND)
#define LOOK_NS (50 * MS)
#define LOOK_SET_NS (20 * MS)

enum { ROWS_MAX = 1024 };

/* Instead of the benchmark's: the judge asks for no more than these. */
const struct load_facts load_facts[LOAD_KINDS] = {
	[LOAD_20US] = { "none", "kernels of no length", 0, 1000 },
	[LOAD_1MS] = { "5ms", "5 ms kernels", 5 * MS, 1000 },
	[LOAD_50MS] = { "50ms", "50 ms kernels", 50 * MS, 1000 },
	[LOAD_300MS] = { "70ms", "70 ms kernels", 70 * MS, 1000 },
};

static const struct scenario alone_30 = { .tenants = { { 300, 1, false } } };

static struct books_row rows[ROWS_MAX];
static struct books books;
static struct judged judged;

static void setup(void)
{
	memset(rows, 0, sizeof(rows));
	books = (struct books){ .nprocesses = 1, .begin_ns = BEGIN_NS, .rows = rows };
}

static bool near(double value, double expected)
{
	if (fabs(value - expected) < 1e-6)
		return true;
	printf("%.7f, not %.7f\n", value, expected);
	return false;
}

/* ---- books ---- */

/* A row that follows the last one after step_ns, in which every process ran for so long. */
static struct books_row *look(uint64_t step_ns, uint64_t ran_ns)
{
	struct books_row *row = &rows[books.nrows++];

	if (books.nrows == 1) {
		row->at_ns = START_NS;
		/* Who judges sums instead of differences is far off. */
		row->switch_ns = 77 * SECOND;
		row->late = 7000;
		for (unsigned p = 0; p < books.nprocesses; p++)
			row->process[p].gpu_ns = (p + 5) * 100 * SECOND;
	} else {
		*row = row[-1];
		row->at_ns += step_ns;
		for (unsigned p = 0; p < books.nprocesses; p++)
			row->process[p].gpu_ns += ran_ns;
	}
	return row;
}

/* Looks until so much more time has passed, in which every process got that share. */
static void pass_at(uint64_t step_ns, uint64_t time_ns, double share)
{
	for (uint64_t t = 0; t < time_ns; t += step_ns)
		look(step_ns, (uint64_t)llround((double)step_ns * share));
}

static void pass(uint64_t time_ns, double share)
{
	pass_at(LOOK_NS, time_ns, share);
}

/* The first look, and the warm-up. */
static void warm_up(void)
{
	look(0, 0);
	pass(SECOND, 1);
}

/* Every process, where they do not all get the same: more for one of them from begin on. */
static void add_share(unsigned process, double share)
{
	for (unsigned i = 0; i < books.nrows; i++)
		if (rows[i].at_ns > BEGIN_NS)
			rows[i].process[process].gpu_ns += (uint64_t)llround(
				(double)(rows[i].at_ns - BEGIN_NS) * share);
}

/* Of kernels that cannot be stopped, as a perfect limiter lets them go: each one when the
 * time since the last one began is worth as much. */
static void pass_kernels(uint64_t kernel_ns, double share, uint64_t time_ns)
{
	uint64_t period_ns = (uint64_t)((double)kernel_ns / share), used_ns = 0;

	for (uint64_t t = LOOK_NS; t <= time_ns; t += LOOK_NS) {
		uint64_t now_ns = t / period_ns * kernel_ns;
		uint64_t into_ns = t % period_ns;

		now_ns += into_ns < kernel_ns ? into_ns : kernel_ns;
		look(LOOK_NS, now_ns - used_ns);
		used_ns = now_ns;
	}
}

/* On rows with nothing behind them, so that reading past the last one is seen. */
static int judge_books(const struct scenario *scenario, enum load_kind kind,
		       double demand)
{
	struct books exact = books;
	int result;

	exact.rows = malloc(books.nrows * sizeof(*rows));
	if (exact.rows)
		memcpy(exact.rows, rows, books.nrows * sizeof(*rows));
	result = judge(scenario, kind, demand, &exact, &judged);
	free(exact.rows);
	return result;
}

static int judge_as(enum load_kind kind, double demand)
{
	return judge_books(&alone_30, kind, demand);
}

static const struct judged_tenant *first(void)
{
	return &judged.tenants[0];
}

/* Of both windows: maximum and mean, above and below. */
static bool errs(double over_1s, double over_10s, double under_1s, double under_10s)
{
	const struct judged_tenant *t = first();

	return near(t->over[WINDOW_1S].max, over_1s) &&
	       near(t->over[WINDOW_10S].max, over_10s) &&
	       near(t->under[WINDOW_1S].max, under_1s) &&
	       near(t->under[WINDOW_10S].max, under_10s);
}

static bool errs_always(double over, double under)
{
	const struct judged_tenant *t = first();

	return errs(over, over, under, under) && near(t->over[WINDOW_1S].mean, over) &&
	       near(t->over[WINDOW_10S].mean, over) &&
	       near(t->under[WINDOW_1S].mean, under) &&
	       near(t->under[WINDOW_10S].mean, under);
}

/* ---- error ---- */

static void a_perfect_limiter_errs_by_nothing(void)
{
	warm_up();
	pass(10 * SECOND, 0.3);
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), 0);
	CU_ASSERT_EQUAL(judged.ntenants, 1);
	CU_ASSERT(near(first()->limit, 0.3));
	CU_ASSERT(near(first()->target, 0.3));
	CU_ASSERT(near(first()->share, 0.3));
	CU_ASSERT(near(judged.total, 0.3));
	CU_ASSERT(near(judged.jain, 1));
	CU_ASSERT(near(first()->variation, 0));
	CU_ASSERT(errs_always(0, 0));
}

static void the_warm_up_is_not_judged(void)
{
	warm_up();
	pass(10 * SECOND, 0.3);
	/* The control: it would have been seen. */
	books.begin_ns -= LOOK_NS;
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), 0);
	CU_ASSERT(near(first()->over[WINDOW_1S].max, 0.7 / 20));
	/* What is judged begins with the first look that is not before the time. */
	books.begin_ns += 1;
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), 0);
	CU_ASSERT(errs_always(0, 0));
}

static void whole_kernels_of_a_perfect_limiter_are_no_error(void)
{
	warm_up();
	pass_kernels(70 * MS, 0.3, 12 * SECOND);
	CU_ASSERT_EQUAL(judge_as(LOAD_300MS, 1), 0);
	CU_ASSERT(errs_always(0, 0));
	/* The control: if they could be stopped, it would be. */
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), 0);
	CU_ASSERT(first()->over[WINDOW_1S].max > 0.03);
	CU_ASSERT(first()->under[WINDOW_1S].max > 0.01);
}

static void who_is_three_points_above_errs_by_three_above(void)
{
	warm_up();
	pass(12 * SECOND, 0.33);
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), 0);
	CU_ASSERT(errs_always(0.03, 0));
	CU_ASSERT(near(first()->share, 0.33));
}

static void who_is_three_points_below_errs_by_three_below(void)
{
	warm_up();
	pass(12 * SECOND, 0.27);
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), 0);
	CU_ASSERT(errs_always(0, 0.03));
}

static void what_counts_is_what_is_beyond_one_kernel_in_the_window(void)
{
	warm_up();
	pass(12 * SECOND, 0.38);
	CU_ASSERT_EQUAL(judge_as(LOAD_50MS, 1), 0);
	/* 50 ms are 5 points of a second. */
	CU_ASSERT(errs(0.03, 0.075, 0, 0));
	setup();
	warm_up();
	pass(12 * SECOND, 0.22);
	CU_ASSERT_EQUAL(judge_as(LOAD_50MS, 1), 0);
	CU_ASSERT(errs(0, 0, 0.03, 0.075));
}

static void a_window_that_came_out_longer_is_not_excused_a_kernel_of_a_shorter_one(void)
{
	warm_up();
	pass_at(400 * MS, 12 * SECOND, 0.4);
	CU_ASSERT_EQUAL(judge_as(LOAD_50MS, 1), 0);
	CU_ASSERT(near(first()->over[WINDOW_1S].max, 0.1 - 0.05 / 1.2));
}

static void windows_slide_over_a_dip_between_two_seconds(void)
{
	warm_up();
	pass(3750 * MS, 0.3);
	pass(500 * MS, 0);
	pass(5750 * MS, 0.3);
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), 0);
	/* Seconds that do not slide would each have lost no more than half of it. */
	CU_ASSERT(errs(0, 0, 0.15, 0.015));
	/* 181 windows; each of the ten looks without work lies in twenty. */
	CU_ASSERT(near(first()->under[WINDOW_1S].mean, 200 * 0.05 * 0.3 / 181));
	CU_ASSERT(near(first()->over[WINDOW_1S].mean, 0));
	/* Of 100 parts of 100 ms four are empty and two are half full. */
	CU_ASSERT(near(first()->variation,
		       sqrt(0.94 * 0.09 + 0.02 * 0.0225 - 0.285 * 0.285) / 0.285));
}

static void the_worst_of_two_surges_counts(void)
{
	warm_up();
	pass(2 * SECOND, 0.3);
	pass(500 * MS, 0.8);
	pass(3 * SECOND, 0.3);
	pass(500 * MS, 0.5);
	pass(4 * SECOND, 0.3);
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), 0);
	CU_ASSERT(errs(0.25, 0.035, 0, 0));
}

static void ten_seconds_slide_too(void)
{
	warm_up();
	pass(8 * SECOND, 0.3);
	pass(4 * SECOND, 0.4);
	pass(8 * SECOND, 0.3);
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), 0);
	CU_ASSERT(errs(0.1, 0.04, 0, 0));
}

static void a_window_is_no_longer_than_what_was_measured(void)
{
	warm_up();
	pass(SECOND, 0.3);
	pass(500 * MS, 0.5);
	pass(SECOND, 0.3);
	pass(500 * MS, 0.1);
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), 0);
	CU_ASSERT(errs(0.1, 0, 0.1, 0));
	setup();
	warm_up();
	pass(500 * MS, 0.35);
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), 0);
	CU_ASSERT(errs_always(0.05, 0));
}

/* ---- targets ---- */

static void who_asks_for_less_than_his_limit_is_to_get_what_he_asks_for(void)
{
	warm_up();
	/* A burst of 5 ms every 50. */
	pass(12 * SECOND, 0.1);
	CU_ASSERT_EQUAL(judge_as(LOAD_1MS, 0.1), 0);
	CU_ASSERT(near(first()->target, 0.1));
	CU_ASSERT(near(first()->limit, 0.3));
	CU_ASSERT(errs_always(0, 0));
	CU_ASSERT(near(judged.jain, 1));
	/* The control: who could have had more was held too much. */
	CU_ASSERT_EQUAL(judge_as(LOAD_1MS, 1), 0);
	CU_ASSERT(near(first()->under[WINDOW_1S].max, 0.195));
}

static void the_processes_of_a_tenant_ask_and_are_counted_together(void)
{
	static const struct scenario four = { .tenants = { { 400, 4, false } } };

	books.nprocesses = 4;
	warm_up();
	pass(12 * SECOND, 0.05);
	add_share(3, 0.1);
	CU_ASSERT_EQUAL(judge_books(&four, LOAD_20US, 0.09), 0);
	CU_ASSERT_EQUAL(judged.ntenants, 1);
	CU_ASSERT(near(first()->target, 0.36));
	CU_ASSERT(near(first()->share, 0.3));
	CU_ASSERT(errs_always(0, 0.06));
	CU_ASSERT_EQUAL(judge_books(&four, LOAD_20US, 1), 0);
	CU_ASSERT(near(first()->target, 0.4));
}

static void each_tenant_is_judged_by_its_own_processes(void)
{
	static const struct scenario two = { .tenants = { { 300, 1, false },
							  { 700, 2, false } } };

	books.nprocesses = 3;
	warm_up();
	pass(12 * SECOND, 0.1);
	add_share(0, 0.2);
	add_share(2, 0.15);
	CU_ASSERT_EQUAL(judge_books(&two, LOAD_20US, 1), 0);
	CU_ASSERT_EQUAL(judged.ntenants, 2);
	CU_ASSERT(errs_always(0, 0));
	CU_ASSERT(near(judged.tenants[1].share, 0.35));
	CU_ASSERT(near(judged.tenants[1].under[WINDOW_10S].max, 0.35));
	CU_ASSERT(near(judged.total, 0.65));
	/* One has all of its target, the other half. */
	CU_ASSERT(near(judged.jain, 1.5 * 1.5 / (2 * 1.25)));
	/* And all of it if it asks for no more. */
	CU_ASSERT_EQUAL(judge_books(&two, LOAD_20US, 0.175), 0);
	CU_ASSERT(near(judged.tenants[0].target, 0.175));
	CU_ASSERT(near(judged.tenants[1].target, 0.35));
	CU_ASSERT(near(judged.jain,
		       pow(0.3 / 0.175 + 1, 2) / (2 * (pow(0.3 / 0.175, 2) + 1))));
}

static void idle_tenants_are_to_get_nothing_and_are_left_out_of_jains_index(void)
{
	static const struct scenario idle = { .tenants = { { 250, 1, false },
							   { 250, 1, true },
							   { 250, 1, false },
							   { 250, 1, false } } };

	books.nprocesses = 4;
	warm_up();
	pass(12 * SECOND, 0);
	add_share(0, 0.25);
	add_share(2, 0.25);
	add_share(3, 0.125);
	CU_ASSERT_EQUAL(judge_books(&idle, LOAD_20US, 1), 0);
	CU_ASSERT(near(judged.jain, 2.5 * 2.5 / (3 * 2.25)));
	CU_ASSERT(near(judged.tenants[1].target, 0));
	CU_ASSERT(near(judged.tenants[1].under[WINDOW_1S].max, 0));
	CU_ASSERT(isnan(judged.tenants[1].variation));
	/* Whatever it does get is too much, and still none of the index. */
	add_share(1, 0.02);
	CU_ASSERT_EQUAL(judge_books(&idle, LOAD_20US, 1), 0);
	CU_ASSERT(near(judged.tenants[1].over[WINDOW_1S].max, 0.02));
	CU_ASSERT(near(judged.jain, 2.5 * 2.5 / (3 * 2.25)));
	CU_ASSERT(near(judged.total, 0.645));
}

static void where_nobody_ran_there_is_no_index(void)
{
	warm_up();
	pass(12 * SECOND, 0);
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), 0);
	CU_ASSERT(isnan(judged.jain));
	CU_ASSERT(isnan(first()->variation));
	CU_ASSERT(errs_always(0, 0.3));
}

/* ---- variation, and what the device says of itself ---- */

static void bursts_within_100_ms_are_no_variation_and_longer_ones_are(void)
{
	warm_up();
	for (int i = 0; i < 60; i++) {
		pass(LOOK_NS, 0.2);
		pass(LOOK_NS, 0.4);
	}
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), 0);
	CU_ASSERT(near(first()->variation, 0));
	setup();
	warm_up();
	for (int i = 0; i < 30; i++) {
		pass(100 * MS, 0.2);
		pass(100 * MS, 0.4);
	}
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), 0);
	CU_ASSERT(near(first()->variation, 1.0 / 3));
}

static void looks_that_come_a_little_early_still_end_their_100_ms(void)
{
	warm_up();
	for (int i = 0; i < 30; i++) {
		pass(LOOK_NS, 0.2);
		look(LOOK_NS - 2 * MS, 10 * MS);
		pass(LOOK_NS, 0.4);
		look(LOOK_NS + 2 * MS, 20 * MS);
	}
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), 0);
	CU_ASSERT(first()->variation > 0.3 && first()->variation < 0.34);
}

static void switching_and_late_submissions_are_those_after_the_warm_up(void)
{
	warm_up();
	pass(2 * SECOND, 0.3);
	for (unsigned i = 0; i < books.nrows; i++) {
		rows[i].switch_ns += (rows[i].at_ns - START_NS) / 20;
		rows[i].late += i;
	}
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), 0);
	CU_ASSERT(near(judged.switching, 0.05));
	CU_ASSERT_EQUAL(judged.late, 40);
}

/* ---- settling ---- */

static const struct scenario set = { .group = GROUP_SET,
				     .tenants = { { 500, 1, false } },
				     .steps_permille = { 200, 600 } };

/* A new limit is asked for at the last look, or a little later. */
static void set_limit(unsigned step, uint64_t later_ns)
{
	books.set_ns[step] = rows[books.nrows - 1].at_ns + later_ns;
}

static void pass_set(uint64_t time_ns, double share)
{
	pass_at(LOOK_SET_NS, time_ns, share);
}

static void warm_up_at_50_percent(void)
{
	warm_up();
	pass_set(SECOND, 0.5);
}

static bool settles(unsigned step, double seconds)
{
	CU_ASSERT_EQUAL(judge_books(&set, LOAD_20US, 1), 0);
	return near(judged.settle[step], seconds);
}

static bool does_not_settle(unsigned step)
{
	CU_ASSERT_EQUAL(judge_books(&set, LOAD_20US, 1), 0);
	return isnan(judged.settle[step]);
}

static void a_limit_has_settled_when_half_a_second_from_then_is_within_two_points(void)
{
	warm_up_at_50_percent();
	set_limit(0, 0);
	pass_set(300 * MS, 0.5);
	pass_set(2700 * MS, 0.2);
	set_limit(1, 7 * MS);
	pass_set(3 * SECOND, 0.6);
	/* From 267 ms on half a second has less than 22 %; the next look is the one. */
	CU_ASSERT(settles(0, 0.28));
	/* The first look that can tell is 13 ms after the change. */
	CU_ASSERT(settles(1, 0.013));
}

static void windows_do_not_reach_into_the_next_limit(void)
{
	warm_up_at_50_percent();
	set_limit(0, 0);
	pass_set(SECOND, 0.2);
	set_limit(1, 0);
	pass_set(SECOND, 0.6);
	CU_ASSERT(settles(0, 0));
	CU_ASSERT(settles(1, 0));
}

static void who_settles_and_leaves_again_has_not_settled_before(void)
{
	warm_up_at_50_percent();
	set_limit(0, 0);
	pass_set(SECOND, 0.2);
	pass_set(LOOK_SET_NS, 1);
	pass_set(2 * SECOND, 0.2);
	CU_ASSERT(settles(0, 1.02));
}

static void a_share_below_the_new_limit_has_not_settled_either(void)
{
	warm_up_at_50_percent();
	set_limit(0, 0);
	pass_set(SECOND, 0.05);
	pass_set(2 * SECOND, 0.2);
	CU_ASSERT(settles(0, 0.94));
	setup();
	warm_up_at_50_percent();
	set_limit(0, 0);
	pass_set(3 * SECOND, 0.179);
	CU_ASSERT(does_not_settle(0));
	setup();
	warm_up_at_50_percent();
	set_limit(0, 0);
	pass_set(3 * SECOND, 0.181);
	CU_ASSERT(settles(0, 0));
}

static void who_ends_outside_has_not_settled(void)
{
	warm_up_at_50_percent();
	set_limit(0, 0);
	pass_set(2 * SECOND, 0.2);
	pass_set(SECOND, 0.5);
	CU_ASSERT(does_not_settle(0));
}

static void all_processes_of_the_tenant_settle_together(void)
{
	static const struct scenario set_two = { .group = GROUP_SET,
						 .tenants = { { 500, 2, false } },
						 .steps_permille = { 200, 600 } };

	books.nprocesses = 2;
	warm_up_at_50_percent();
	set_limit(0, 0);
	pass_set(SECOND, 0.1);
	CU_ASSERT_EQUAL(judge_books(&set_two, LOAD_20US, 0.1), 0);
	CU_ASSERT(near(judged.settle[0], 0));
}

static void without_a_change_or_half_a_second_after_it_nothing_settles(void)
{
	warm_up_at_50_percent();
	/* As if a new limit had been there from the start. */
	pass_set(SECOND, 0.2);
	CU_ASSERT(does_not_settle(0));
	set_limit(0, 0);
	pass_set(480 * MS, 0.2);
	CU_ASSERT(does_not_settle(0));
	CU_ASSERT(does_not_settle(1));
	look(LOOK_SET_NS, LOOK_SET_NS / 5);
	CU_ASSERT(settles(0, 0));
	set_limit(1, 1);
	CU_ASSERT(does_not_settle(1));
}

static void one_kernel_more_has_settled_as_well(void)
{
	warm_up_at_50_percent();
	set_limit(0, 0);
	/* 5 ms kernels are a point of half a second. */
	pass_set(3 * SECOND, 0.229);
	CU_ASSERT(does_not_settle(0));
	CU_ASSERT_EQUAL(judge_books(&set, LOAD_1MS, 1), 0);
	CU_ASSERT(near(judged.settle[0], 0));
	setup();
	warm_up_at_50_percent();
	set_limit(0, 0);
	pass_set(3 * SECOND, 0.231);
	CU_ASSERT_EQUAL(judge_books(&set, LOAD_1MS, 1), 0);
	CU_ASSERT(isnan(judged.settle[0]));
}

static void who_asks_for_less_than_the_new_limit_has_settled_there(void)
{
	warm_up_at_50_percent();
	set_limit(0, 0);
	pass_set(SECOND, 0.1);
	CU_ASSERT_EQUAL(judge_books(&set, LOAD_20US, 0.1), 0);
	CU_ASSERT(near(judged.settle[0], 0));
}

/* ---- books that say nothing ---- */

static void books_too_short_to_say_anything_are_refused(void)
{
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), -1);
	look(0, 0);
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), -1);
	/* One look after the warm-up. */
	pass(SECOND, 1);
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), -1);
	pass(LOOK_NS, 0.3);
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), -1);
	pass(LOOK_NS, 0.3);
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), 0);
	CU_ASSERT(errs_always(0, 0));
	/* A warm-up that never ended. */
	books.begin_ns += 60 * SECOND;
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), -1);
}

static void books_that_go_backwards_are_refused(void)
{
	struct books_row *row = &rows[15];

	warm_up();
	pass(2 * SECOND, 0.3);
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), 0);
	row->at_ns -= LOOK_NS + 1;
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), -1);
	row->at_ns += LOOK_NS + 1;
	row->process[0].gpu_ns -= SECOND;
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), -1);
	row->process[0].gpu_ns += SECOND;
	row->switch_ns -= 1;
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), -1);
	row->switch_ns += 1;
	row->late -= 1;
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), -1);
	row->late += 1;
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), 0);
	/* Two looks at one instant are no step back. */
	rows[20].at_ns = rows[19].at_ns;
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), 0);
	/* The last one counts too. */
	rows[books.nrows - 1].process[0].gpu_ns -= SECOND;
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), -1);
}

static void books_of_other_processes_are_refused(void)
{
	books.nprocesses = 2;
	warm_up();
	pass(2 * SECOND, 0.1);
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), -1);
	books.nprocesses = 0;
	CU_ASSERT_EQUAL(judge_as(LOAD_20US, 1), -1);
}

/* ---- over repeats ---- */

static struct judged_tenant run_of(double share, double over, double under, double mean)
{
	struct error above = { over, mean }, below = { under, mean };

	return (struct judged_tenant){ .share = share,
				       .over = { above, above },
				       .under = { below, below },
				       .variation = over };
}

static void of_repeats_the_worst_counts_and_of_shares_the_mean(void)
{
	static struct result result;

	result = (struct result){
		.repeats = 2,
		.runs = { { .ntenants = 2,
			    .tenants = { run_of(0.2, 0.01, 0.07, 0.002),
					 run_of(0.6, 0.05, 0.02, 0.001) },
			    .total = 0.8,
			    .jain = 0.9,
			    .settle = { 0.1, 0.2 } },
			  { .ntenants = 2,
			    .tenants = { run_of(0.4, 0.03, 0.01, 0.004),
					 run_of(0.5, 0.02, 0.03, 0.006) },
			    .total = 0.9,
			    .jain = 1,
			    .settle = { 0.3, (double)NAN } } },
	};
	CU_ASSERT(near(result_over(&result, WINDOW_1S), 0.05));
	CU_ASSERT(near(result_under(&result, WINDOW_10S), 0.07));
	CU_ASSERT(near(result_variation(&result), 0.05));
	CU_ASSERT(near(result_share(&result, 0), 0.3));
	CU_ASSERT(near(result_total(&result), 0.85));
	CU_ASSERT(near(result_jain(&result), 0.95));
	/* Of each run the worst tenant: 0.004 and 0.012, above and below together. */
	CU_ASSERT(near(result_error_mean(&result, WINDOW_1S), 0.008));
	CU_ASSERT(near(result_settle(&result, 0), 0.3));
	CU_ASSERT(isinf(result_settle(&result, 1)));
	/* A third one that was worse, and an idle tenant, who has no variation. */
	result.repeats = 3;
	result.runs[2] = (struct judged){ .ntenants = 1,
					  .tenants = { run_of(0.9, 0.5, 0.6, 0.01) } };
	result.runs[2].tenants[0].variation = (double)NAN;
	CU_ASSERT(near(result_over(&result, WINDOW_10S), 0.5));
	CU_ASSERT(near(result_under(&result, WINDOW_1S), 0.6));
	CU_ASSERT(near(result_variation(&result), 0.05));
	CU_ASSERT(near(result_share(&result, 0), 0.5));
}

static void what_was_not_measured_is_not_zero(void)
{
	static const struct result none;

	CU_ASSERT(isnan(result_over(&none, WINDOW_1S)));
	CU_ASSERT(isnan(result_under(&none, WINDOW_1S)));
	CU_ASSERT(isnan(result_variation(&none)));
	CU_ASSERT(isnan(result_error_mean(&none, WINDOW_1S)));
	CU_ASSERT(isnan(result_share(&none, 0)));
	CU_ASSERT(isnan(result_total(&none)));
	CU_ASSERT(isnan(result_jain(&none)));
	CU_ASSERT(isnan(result_settle(&none, 0)));
}

const struct unit_suite unit_suite = {
	.name = "what books say of shares",
	.setup = setup,
	.tests = {
		UNIT_TEST(a_perfect_limiter_errs_by_nothing),
		UNIT_TEST(the_warm_up_is_not_judged),
		UNIT_TEST(whole_kernels_of_a_perfect_limiter_are_no_error),
		UNIT_TEST(who_is_three_points_above_errs_by_three_above),
		UNIT_TEST(who_is_three_points_below_errs_by_three_below),
		UNIT_TEST(what_counts_is_what_is_beyond_one_kernel_in_the_window),
		UNIT_TEST(a_window_that_came_out_longer_is_not_excused_a_kernel_of_a_shorter_one),
		UNIT_TEST(windows_slide_over_a_dip_between_two_seconds),
		UNIT_TEST(the_worst_of_two_surges_counts),
		UNIT_TEST(ten_seconds_slide_too),
		UNIT_TEST(a_window_is_no_longer_than_what_was_measured),
		UNIT_TEST(who_asks_for_less_than_his_limit_is_to_get_what_he_asks_for),
		UNIT_TEST(the_processes_of_a_tenant_ask_and_are_counted_together),
		UNIT_TEST(each_tenant_is_judged_by_its_own_processes),
		UNIT_TEST(idle_tenants_are_to_get_nothing_and_are_left_out_of_jains_index),
		UNIT_TEST(where_nobody_ran_there_is_no_index),
		UNIT_TEST(bursts_within_100_ms_are_no_variation_and_longer_ones_are),
		UNIT_TEST(looks_that_come_a_little_early_still_end_their_100_ms),
		UNIT_TEST(switching_and_late_submissions_are_those_after_the_warm_up),
		UNIT_TEST(a_limit_has_settled_when_half_a_second_from_then_is_within_two_points),
		UNIT_TEST(windows_do_not_reach_into_the_next_limit),
		UNIT_TEST(who_settles_and_leaves_again_has_not_settled_before),
		UNIT_TEST(a_share_below_the_new_limit_has_not_settled_either),
		UNIT_TEST(who_ends_outside_has_not_settled),
		UNIT_TEST(all_processes_of_the_tenant_settle_together),
		UNIT_TEST(without_a_change_or_half_a_second_after_it_nothing_settles),
		UNIT_TEST(one_kernel_more_has_settled_as_well),
		UNIT_TEST(who_asks_for_less_than_the_new_limit_has_settled_there),
		UNIT_TEST(books_too_short_to_say_anything_are_refused),
		UNIT_TEST(books_that_go_backwards_are_refused),
		UNIT_TEST(books_of_other_processes_are_refused),
		UNIT_TEST(of_repeats_the_worst_counts_and_of_shares_the_mean),
		UNIT_TEST(what_was_not_measured_is_not_zero),
	},
};
