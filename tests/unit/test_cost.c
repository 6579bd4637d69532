/* What is learned from samples: steady or not, and how soon a change is believed. */
#include "policy/cost.h"

#include <string.h>

#include "account_device.h"
#include "cunit_main.h"

static struct gsh_cost cost;
static struct random dice = { 1 };

static void clear(void)
{
	memset(&cost, 0, sizeof(cost));
}

static void observe(unsigned times, uint64_t ns)
{
	for (unsigned i = 0; i < times; i++)
		gsh_cost_observe(&cost, ns);
}

/* With a spread of so many per cent above. */
static void observe_about(unsigned times, uint64_t ns, unsigned percent)
{
	for (unsigned i = 0; i < times; i++)
		gsh_cost_observe(&cost, ns + draw_below(&dice, ns * percent / 100 + 1));
}

static bool predicts(uint64_t ns, double error)
{
	double predicted = (double)gsh_cost_predict(&cost) / (double)ns;

	return predicted >= 1 - error && predicted <= 1 + error;
}

static void what_was_never_measured_costs_the_default(void)
{
	CU_ASSERT_EQUAL(gsh_cost_predict(&cost), GSH_COST_DEFAULT_NS);
	CU_ASSERT_EQUAL(cost.cost_class, GPUSHIM_COST_UNKNOWN);
}

static void the_first_sample_serves_until_there_is_a_second(void)
{
	observe(1, MS(5));
	CU_ASSERT_EQUAL(gsh_cost_predict(&cost), MS(5));
	CU_ASSERT_EQUAL(cost.cost_class, GPUSHIM_COST_UNKNOWN);
	CU_ASSERT_EQUAL(cost.low_ns, 0);
	observe(1, US(20));
	CU_ASSERT_EQUAL(gsh_cost_predict(&cost), US(20));
	observe(3, US(20));
	CU_ASSERT_EQUAL(cost.cost_class, GPUSHIM_COST_LEARNED);
	CU_ASSERT_EQUAL(cost.high_ns, US(20));
	CU_ASSERT_EQUAL(cost.count, 5);
}

static void steady_ones_are_predicted_at_a_low_quantile(void)
{
	for (uint64_t ns = US(2); ns < MS(1000); ns *= 3) {
		clear();
		observe_about(100, ns, 20);
		CU_ASSERT_EQUAL(cost.cost_class, GPUSHIM_COST_LEARNED);
		CU_ASSERT(gsh_cost_predict(&cost) >= ns);
		CU_ASSERT(gsh_cost_predict(&cost) < ns + ns * 8 / 100);
		CU_ASSERT(cost.low_ns <= cost.median_ns &&
			  cost.median_ns <= cost.high_ns);
	}
}

static void the_resolution_of_events_makes_nothing_variable(void)
{
	for (int i = 0; i < 100; i++)
		gsh_cost_observe(&cost, US(1.5) + draw_below(&dice, 3) * 500);
	CU_ASSERT_EQUAL(cost.cost_class, GPUSHIM_COST_LEARNED);
}

static void nothing_is_predicted_to_cost_nothing(void)
{
	observe(40, 0);
	CU_ASSERT_EQUAL(gsh_cost_predict(&cost), GSH_COST_MIN_NS);
	CU_ASSERT_EQUAL(cost.low_ns, GSH_COST_MIN_NS);
}

static void samples_without_reason_overflow_nothing(void)
{
	observe(40, UINT64_MAX);
	CU_ASSERT(gsh_cost_predict(&cost) > MS(3600e3));
	CU_ASSERT(gsh_cost_predict(&cost) < UINT64_MAX / 1000);
}

static void what_spreads_is_variable_and_predicted_at_its_mean(void)
{
	uint64_t sum_ns = 0;

	for (int i = 0; i < 1 + GSH_COST_WINDOW; i++) {
		uint64_t ns = US(10) << draw_below(&dice, 10);

		gsh_cost_observe(&cost, ns);
		sum_ns += i > 0 ? ns : 0;
	}
	CU_ASSERT_EQUAL(cost.cost_class, GPUSHIM_COST_VARIABLE);
	CU_ASSERT_TRUE(predicts(sum_ns / GSH_COST_WINDOW, 0.001));
}

/* Part of samples for which a kernel that slices cut is held for steady. */
static double part_steady(uint64_t ns, uint64_t slice_ns)
{
	unsigned steady = 0;

	clear();
	observe(20, ns);
	for (int i = 0; i < 10000; i++) {
		bool cut = draw_below(&dice, slice_ns) < ns;

		gsh_cost_observe(&cost, cut ? ns + slice_ns + US(200) : ns);
		steady += cost.cost_class == GPUSHIM_COST_LEARNED && cost.cost_ns == ns;
	}
	return steady / 10000.0;
}

static void slices_of_others_do_not_make_short_kernels_variable(void)
{
	for (uint64_t ns = US(10); ns <= US(200); ns *= 2) {
		CU_ASSERT(part_steady(ns, MS(1)) > 0.97);
		CU_ASSERT(part_steady(ns, MS(2)) > 0.99);
	}
}

/* 20 us and 2 ms under one signature; how many in a thousand until it is variable? */
static unsigned bear_permille(uint64_t ns, uint64_t outlier_ns)
{
	for (unsigned permille = 0; permille < 1000; permille += 5) {
		unsigned steady = 0;

		clear();
		for (unsigned i = 0; i < 4000; i++) {
			gsh_cost_observe(&cost,
					 (i + 1) * permille / 1000 > i * permille / 1000
						 ? outlier_ns
						 : ns);
			steady += i >= 1000 && cost.cost_class == GPUSHIM_COST_LEARNED;
		}
		if (steady < 1500)
			return permille;
	}
	return 1000;
}

static void more_outliers_than_slices_make_are_a_spread(void)
{
	unsigned permille = bear_permille(US(20), MS(2));

	CU_ASSERT(permille > 40 && permille < 60);
	permille = bear_permille(US(200), MS(2));
	CU_ASSERT(permille > 310 && permille < 340);
	/* Longer kernels are cut so often that nobody can tell. */
	permille = bear_permille(US(300), MS(2));
	CU_ASSERT(permille > 5 && permille < 30);
}

static void one_launch_longer_than_slices_is_a_spread(void)
{
	observe(100, US(20));
	CU_ASSERT_EQUAL(cost.cost_class, GPUSHIM_COST_LEARNED);
	observe(1, MS(50));
	CU_ASSERT_EQUAL(cost.cost_class, GPUSHIM_COST_VARIABLE);
	CU_ASSERT_TRUE(predicts((MS(50) + 31 * US(20)) / 32, 0.001));
	observe(GSH_COST_WINDOW, US(20));
	CU_ASSERT_EQUAL(cost.cost_class, GPUSHIM_COST_LEARNED);
	CU_ASSERT_TRUE(predicts(US(20), 0.001));
}

static void a_change_is_believed_within_a_window(void)
{
	static const double factors[] = { 0.01, 0.1, 0.5, 1.3, 2, 10, 100, 1000 };

	for (unsigned i = 0; i < sizeof(factors) / sizeof(factors[0]); i++) {
		uint64_t now_ns = (uint64_t)(US(500) * factors[i]);

		clear();
		observe_about(300, US(500), 5);
		observe_about(GSH_COST_WINDOW, now_ns, 5);
		CU_ASSERT_TRUE(predicts(now_ns, 0.06));
		CU_ASSERT_EQUAL(cost.cost_class, GPUSHIM_COST_LEARNED);
	}
}

static void a_rise_raises_the_prediction_at_once_when_it_is_no_slice(void)
{
	observe(300, US(500));
	observe(GSH_COST_WINDOW / 2, MS(5));
	CU_ASSERT(gsh_cost_predict(&cost) > MS(2.5));
}

static void a_slow_drift_is_followed(void)
{
	double ns = 20e3;

	for (int i = 0; i < 2000; i++, ns *= 1.002) {
		gsh_cost_observe(&cost, (uint64_t)ns);
		if (i > 100) {
			CU_ASSERT_EQUAL_FATAL(cost.cost_class, GPUSHIM_COST_LEARNED);
			CU_ASSERT_TRUE_FATAL(predicts((uint64_t)ns, 0.08));
		}
	}
}

static void what_was_learned_holds_again_after_two_that_agree(void)
{
	observe(50, US(20));
	gsh_cost_doubt(&cost);
	CU_ASSERT_EQUAL(cost.cost_class, GPUSHIM_COST_UNKNOWN);
	CU_ASSERT_TRUE(predicts(US(20), 0));
	observe(1, US(20));
	CU_ASSERT_EQUAL(cost.cost_class, GPUSHIM_COST_UNKNOWN);
	observe(1, US(20));
	CU_ASSERT_EQUAL(cost.cost_class, GPUSHIM_COST_LEARNED);
}

static void in_doubt_one_that_disagrees_starts_anew(void)
{
	observe(50, US(20));
	gsh_cost_doubt(&cost);
	/* With the loading of the new code in it. */
	observe(1, MS(6));
	CU_ASSERT_EQUAL(cost.cost_class, GPUSHIM_COST_UNKNOWN);
	observe(4, MS(1));
	CU_ASSERT_EQUAL(cost.cost_class, GPUSHIM_COST_LEARNED);
	CU_ASSERT_TRUE(predicts(MS(1), 0));
	gsh_cost_doubt(&cost);
	observe(5, US(20));
	CU_ASSERT_TRUE(predicts(US(20), 0));
}

static void doubt_of_what_is_unknown_changes_nothing(void)
{
	gsh_cost_doubt(&cost);
	CU_ASSERT_EQUAL(gsh_cost_predict(&cost), GSH_COST_DEFAULT_NS);
	observe(5, US(20));
	CU_ASSERT_EQUAL(cost.cost_class, GPUSHIM_COST_LEARNED);
}

static void it_stays_small(void)
{
	CU_ASSERT(sizeof(struct gsh_cost) <= 208);
}

const struct unit_suite unit_suite = {
	.name = "learned costs",
	.setup = clear,
	.tests = {
		UNIT_TEST(what_was_never_measured_costs_the_default),
		UNIT_TEST(the_first_sample_serves_until_there_is_a_second),
		UNIT_TEST(steady_ones_are_predicted_at_a_low_quantile),
		UNIT_TEST(the_resolution_of_events_makes_nothing_variable),
		UNIT_TEST(nothing_is_predicted_to_cost_nothing),
		UNIT_TEST(samples_without_reason_overflow_nothing),
		UNIT_TEST(what_spreads_is_variable_and_predicted_at_its_mean),
		UNIT_TEST(slices_of_others_do_not_make_short_kernels_variable),
		UNIT_TEST(more_outliers_than_slices_make_are_a_spread),
		UNIT_TEST(one_launch_longer_than_slices_is_a_spread),
		UNIT_TEST(a_change_is_believed_within_a_window),
		UNIT_TEST(a_rise_raises_the_prediction_at_once_when_it_is_no_slice),
		UNIT_TEST(a_slow_drift_is_followed),
		UNIT_TEST(what_was_learned_holds_again_after_two_that_agree),
		UNIT_TEST(in_doubt_one_that_disagrees_starts_anew),
		UNIT_TEST(doubt_of_what_is_unknown_changes_nothing),
		UNIT_TEST(it_stays_small),
	},
};
