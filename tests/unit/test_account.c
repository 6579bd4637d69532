/*
 * What is charged, against what a device really ran: alone, beside others, and for tenants
 * that try to look cheaper than they are. The device is account_device.h.
 */
#include "account_device.h"

#include <stdio.h>
#include <stdlib.h>

#include "cunit_main.h"

/* Two kinds of launches under one signature, and a pause before each. */
struct mix {
	double low_us, high_us;
	double part;  /* of the second kind, at random; or */
	unsigned one; /* one of so many, in order */
	double pause_us;
};

static struct work mixed(struct device *device, unsigned stream, uint64_t number)
{
	const struct mix *mix = device->program_state;
	bool high = mix->one ? number % mix->one == 0
			     : draw_part(&device->random) < mix->part;

	(void)stream;
	return (struct work){ .run_ns = US(high ? mix->high_us : mix->low_us),
			      .pause_ns = US(mix->pause_us *
					     draw_part(&device->random)) };
}

/* 10 us to 10 ms, each magnitude as often. */
static struct work wide(struct device *device, unsigned stream, uint64_t number)
{
	const double *pause_us = device->program_state;

	(void)stream, (void)number;
	return (struct work){ .run_ns = (US(10) << draw_below(&device->random, 10)) +
					draw_below(&device->random, US(10)),
			      .pause_ns = US(*pause_us * draw_part(&device->random)) };
}

/* So that about as much goes unmeasured between two measured launches. */
static struct device alone(struct mix *mix, uint64_t credit_ns)
{
	return (struct device){ .program = mixed,
				.program_state = mix,
				.credit_ns = credit_ns + 1,
				.fuzz_ns = 250,
				.random = { 1 } };
}

static struct device beside(struct mix *mix, uint64_t credit_ns, uint64_t slice_ns,
			    unsigned others)
{
	struct device device = alone(mix, credit_ns);

	device.slice_ns = slice_ns;
	device.switch_ns = US(100);
	device.others = others;
	return device;
}

/* Mean over a few runs, after each had learned its costs. */
static double charged_per_truth(const struct device *device, uint64_t ns, unsigned runs)
{
	double sum = 0;

	for (unsigned i = 0; i < runs; i++) {
		struct device one = *device;

		one.random.state += i;
		start(&one);
		run_for(&one, MS(200));
		run_for(&one, ns);
		sum += ratio(&one);
	}
	return sum / runs;
}

static void within(const struct device *device, uint64_t ns, double low, double high)
{
	double charged = charged_per_truth(device, ns, 2);

	CU_ASSERT(charged >= low);
	CU_ASSERT(charged <= high);
	if (charged < low || charged > high)
		printf("      charged %.4f of the truth, not %.3f to %.3f\n", charged,
		       low, high);
}

/* ---- alone ---- */

static void alone_steady_kernels_are_charged_what_they_took(void)
{
	struct mix mix = { .low_us = 20 };

	for (unsigned us = 5; us < 20000; us *= 4) {
		for (uint64_t credit_ns = 0; credit_ns <= US(400); credit_ns += US(200)) {
			struct device device = alone(&mix, credit_ns);

			mix.low_us = us;
			mix.pause_us = 0;
			within(&device, MS(100), 0.995, 1.005);
			mix.pause_us = 2 * us;
			/* Pauses that events cannot tell are counted. */
			within(&device, MS(100), 0.99, us < 10 ? 1.03 : 1.01);
		}
	}
}

static void alone_any_distribution_is_charged_exactly_when_measured(void)
{
	static struct mix mixes[] = {
		{ 1000, 3000, 0.5, 0, 0 },    { 1000, 3000, 0.01, 0, 3000 },
		{ 10, 10000, 0.5, 0, 0 },     { 10, 10000, 0.1, 0, 3000 },
		{ 10, 10000, 0.01, 0, 100 },  { 20, 50000, 0.001, 0, 100 },
		{ 20, 300000, 0.01, 0, 100 },
	};
	double pause_us = 0;
	struct device device;

	for (unsigned i = 0; i < sizeof(mixes) / sizeof(mixes[0]); i++) {
		device = alone(&mixes[i], 0);
		within(&device, MS(2000), 0.995, 1.005);
	}
	device = alone(NULL, 0);
	device.program = wide;
	device.program_state = &pause_us;
	within(&device, MS(2000), 0.995, 1.005);
	pause_us = 20000;
	within(&device, MS(2000), 0.995, 1.005);
}

/* Rare samples of rare launches scatter, so what is judged is a mean over many runs. */
static void alone_any_distribution_is_charged_right_on_the_average_when_sampled(void)
{
	static struct mix mixes[] = {
		{ 20, 400, 0.3, 0, 0 },	      { 20, 400, 0.3, 0, 1000 },
		{ 10, 10000, 0.1, 0, 3000 },  { 10, 10000, 0.01, 0, 500 },
		{ 20, 20000, 0.001, 0, 200 },
	};

	for (unsigned i = 0; i < sizeof(mixes) / sizeof(mixes[0]); i++) {
		struct device device = alone(&mixes[i], US(200));
		double charged = charged_per_truth(&device, MS(2000), i < 2 ? 12 : 40);
		double error = i < 2 ? 0.015 : 0.08;

		CU_ASSERT(charged > 1 - error);
		CU_ASSERT(charged < 1 + error);
	}
}

static void alone_streams_are_charged_their_union(void)
{
	struct mix mix = { .low_us = 20, .high_us = 3000 };
	double pause_us = 0;

	for (unsigned streams = 2; streams <= STREAMS_MAX; streams *= 2) {
		for (int way = 0; way < 12; way++) {
			struct device device = alone(&mix, way & 1 ? US(200) : 0);

			device.streams = streams;
			device.one_at_a_time = way & 2;
			if (way >= 8) {
				device.program = wide;
				device.program_state = &pause_us;
			}
			mix.part = way & 4 ? 0.3 : 0;
			within(&device, MS(250), 0.99, 1.005);
		}
	}
}

static void alone_streams_with_pauses_are_charged_their_union_when_measured(void)
{
	struct mix mix = { 50, 10000, 0.1, 0, 10000 };

	for (unsigned streams = 2; streams <= STREAMS_MAX; streams *= 2) {
		for (int way = 0; way < 2; way++) {
			struct device device = alone(&mix, 0);

			device.streams = streams;
			device.one_at_a_time = way;
			within(&device, MS(2000), 0.995, 1.005);
		}
	}
}

/* Its bracket shows the other's kernel: that time is the context's own. */
static struct work short_and_long(struct device *device, unsigned stream, uint64_t number)
{
	(void)device, (void)number;
	return stream == 0 ? (struct work){ .run_ns = US(20) }
			   : (struct work){ .run_ns = MS(3),
					    .pause_ns = MS(5),
					    .signature = 1 };
}

static void a_stream_that_waited_for_another_excuses_nothing_of_it(void)
{
	struct device device = alone(NULL, 0);

	device.program = short_and_long;
	device.streams = 2;
	device.one_at_a_time = true;
	within(&device, MS(2000), 0.99, 1.005);
}

static void time_of_another_stream_uses_up_no_excuse(void)
{
	struct gsh_account account = { 0 };
	struct gsh_account_piece longer = { .begin_ns = MS(1000),
					    .end_ns = MS(1003),
					    .predicted_ns = MS(3) };
	struct gsh_account_piece shorter = { .begin_ns = MS(1000),
					     .end_ns = MS(1003.02),
					     .predicted_ns = US(20),
					     .low_ns = US(20),
					     .steady = true };
	uint64_t excusable_ns;

	gsh_account_charge(&account, &longer);
	excusable_ns = account.excusable_ns;
	CU_ASSERT(excusable_ns > 0);
	CU_ASSERT_EQUAL(gsh_account_charge(&account, &shorter), US(20));
	CU_ASSERT(account.excusable_ns >= excusable_ns);
}

/* Four streams of which each was charged a quarter: so is what they are found to owe. */
static void of_streams_that_overlap_what_is_filled_in_does_too(void)
{
	struct gsh_account account = { 0 };
	struct gsh_account_piece piece = { .begin_ns = MS(1000),
					   .end_ns = MS(1010),
					   .predicted_ns = MS(10) };

	for (int i = 0; i < 4; i++)
		gsh_account_charge(&account, &piece);
	CU_ASSERT_EQUAL(gsh_account_overlap_permille(&account), 250);
	/* An idle gap, then one that took nine times what was predicted, as did one before. */
	piece = (struct gsh_account_piece){ .begin_ns = MS(1100),
					    .end_ns = MS(1109),
					    .last_end_ns = MS(1099),
					    .batch_ns = MS(1),
					    .predicted_ns = MS(1),
					    .low_ns = MS(1) };
	/* 9 ms measured, 1 of 9 in its gap, and of 8 a quarter before that. */
	gsh_busy_add(&account.busy, MS(1098), MS(1099));
	CU_ASSERT_EQUAL(gsh_account_charge(&account, &piece), MS(9 + 1 + 2));
}

/* ---- beside others ---- */

static void beside_one_other_short_kernels_are_charged_their_own_time(void)
{
	struct mix mix = { .low_us = 20 };

	for (unsigned us = 20; us <= 200; us += 60) {
		mix.low_us = us;
		for (int slice_ms = 1; slice_ms <= 2; slice_ms++) {
			struct device device = beside(&mix, US(400), MS(slice_ms), 1);

			within(&device, MS(800), 0.98, 1.03);
			device.other[0].work_ns = MS(5);
			device.other[0].period_ns = MS(50);
			within(&device, MS(800), 0.98, 1.03);
			device.other[0].work_ns = MS(7);
			device.other[0].period_ns = MS(10);
			within(&device, MS(800), 0.98, 1.03);
		}
	}
}

static void measured_throughout_no_less_than_half_is_charged(void)
{
	struct mix mix = { .low_us = 100 };
	struct device device = beside(&mix, 0, MS(2), 1);

	/* 2 ms of 4.2 are one's own. */
	within(&device, MS(1000), 1.04, 1.06);
	device.slice_ns = MS(1);
	within(&device, MS(1000), 1.09, 1.11);
}

static void nobody_is_charged_less_than_the_truth_because_of_others(void)
{
	static struct mix mixes[] = {
		{ 20, 20, 0, 0, 0 },	   { 100, 100, 0, 0, 300 },
		{ 300, 300, 0, 0, 0 },	   { 5000, 5000, 0, 0, 0 },
		{ 50, 400, 0.5, 0, 100 },  { 10, 10000, 0.1, 0, 0 },
		{ 1000, 3000, 0.5, 0, 0 },
	};

	for (unsigned i = 0; i < sizeof(mixes) / sizeof(mixes[0]); i++) {
		for (unsigned others = 1; others <= 3; others++) {
			struct device device = beside(&mixes[i], US(200), MS(2), others);
			/* Rare samples of long ones scatter. */
			double low = i == 5 ? 0.9 : 0.98;

			within(&device, MS(800), low, 50);
			device.other[0].work_ns = MS(8);
			device.other[0].period_ns = MS(20);
			within(&device, MS(800), low, 50);
		}
	}
}

static struct work steady_and_wide(struct device *device, unsigned stream,
				   uint64_t number)
{
	(void)stream;
	if (number % 64)
		return (struct work){ .run_ns = US(50) };
	return (struct work){ .run_ns = MS(1 + 9 * draw_part(&device->random)),
			      .signature = 1 };
}

/* Measured all, and of three tenants one: a third of what is seen is its own. */
static void variable_ones_are_divided_by_the_inflation_of_steady_ones(void)
{
	struct device device = beside(NULL, US(200), MS(2), 1);
	double charged;

	device.program = steady_and_wide;
	charged = charged_per_truth(&device, MS(4000), 2);
	/* Undivided it were well above 1.5. */
	CU_ASSERT(charged > 0.98);
	CU_ASSERT(charged < 1.2);
}

/* ---- those who try to look cheap ---- */

/* What is saved up for unmeasured ones excuses so much once; then it is three eighths, but
 * rare ones that are rarely sampled scatter. */
static bool is_not_cheap(const struct device *device)
{
	double ns = 3e9, once_ns = 0.4e9;

	return charged_per_truth(device, MS(3000), 3) * ns > 0.36 * (ns - once_ns);
}

static void tiny_ones_among_huge_ones_make_nobody_cheap(void)
{
	static const unsigned ratios[] = { 2, 21, 67, 100, 400 };
	static const unsigned huge_us[] = { 330, 1650, 7000 };

	for (unsigned i = 0; i < 15; i++) {
		unsigned huge = huge_us[i / 5];
		struct mix mix = { 10, huge, 0, ratios[i % 5], 0 };
		struct device device = alone(&mix, 0);

		start(&device);
		run_for(&device, MS(500));
		/* Half of what brackets show, but for one outlier. */
		CU_ASSERT(device.charged_ns >= device.shown_ns / 2 - US(huge) - US(10));
		device = alone(&mix, US(200));
		CU_ASSERT_TRUE(is_not_cheap(&device));
		mix.pause_us = 100;
		CU_ASSERT_TRUE(is_not_cheap(&device));
	}
}

static struct work bursts(struct device *device, unsigned stream, uint64_t number)
{
	const struct mix *mix = device->program_state;

	(void)stream;
	/* As many tiny ones as are remembered, then nothing but huge ones for a while. */
	return (struct work){ .run_ns = US(number % 400 < mix->one ? mix->high_us
								   : mix->low_us) };
}

static void bursts_are_not_excused_by_what_was_saved_up(void)
{
	for (unsigned burst = 1; burst <= 64; burst *= 2) {
		struct mix mix = { 10, 3000, 0, burst, 0 };
		struct device device = alone(&mix, 0);

		device.program = bursts;
		start(&device);
		run_for(&device, MS(1000));
		CU_ASSERT(device.charged_ns >= device.shown_ns / 2 - MS(3));
		device = alone(&mix, US(200));
		device.program = bursts;
		CU_ASSERT_TRUE(is_not_cheap(&device));
	}
}

static void what_is_saved_up_excuses_no_more_than_twenty_milliseconds(void)
{
	struct gsh_account account = { 0 };
	struct gsh_account_piece piece = { .begin_ns = MS(1000),
					   .last_end_ns = MS(1000),
					   .predicted_ns = US(20),
					   .low_ns = US(20),
					   .steady = true };
	uint64_t charged_ns = 0;

	for (int i = 0; i < 100000; i++) {
		piece.end_ns = piece.begin_ns + US(20);
		gsh_account_charge(&account, &piece);
		piece.last_end_ns = piece.begin_ns = piece.end_ns;
	}
	for (int i = 0; i < 100; i++) {
		piece.end_ns = piece.begin_ns + MS(3) + US(20);
		charged_ns += gsh_account_charge(&account, &piece);
		piece.last_end_ns = piece.begin_ns = piece.end_ns;
	}
	/* 302 ms were seen, of which 20 are excused, and then half. */
	CU_ASSERT(charged_ns >= MS(302 - 20) / 2);
	CU_ASSERT(charged_ns <= MS(302 + 20) / 2);
}

static void what_is_saved_up_for_unmeasured_ones_is_bounded_too(void)
{
	struct gsh_account account = { 0 };
	struct gsh_account_piece piece = { .last_end_ns = MS(1000),
					   .batch_ns = US(200),
					   .predicted_ns = US(20),
					   .low_ns = US(20),
					   .steady = true };
	uint64_t charged_ns = 0;

	for (int i = 0; i < 20000; i++) {
		piece.begin_ns = piece.last_end_ns + US(200);
		piece.end_ns = piece.begin_ns + US(20);
		gsh_account_charge(&account, &piece);
		piece.last_end_ns = piece.end_ns;
	}
	/* Each of these stands for ten that took 3 ms more. */
	for (int i = 0; i < 40; i++) {
		piece.begin_ns = piece.last_end_ns + MS(30.2);
		piece.end_ns = piece.begin_ns + MS(3.02);
		charged_ns += gsh_account_charge(&account, &piece);
		piece.last_end_ns = piece.end_ns;
	}
	/* The brackets' own 120 ms are excused as well. */
	CU_ASSERT(charged_ns >= MS((40 * 33.22 - 120 - 420) / 2.5));
}

/* ---- figures for charging in advance ---- */

static uint32_t overlap_of(struct device *device)
{
	start(device);
	run_for(device, MS(1000));
	return gsh_account_overlap_permille(&device->account);
}

static void overlap_is_what_is_charged_of_what_was_predicted(void)
{
	struct mix mix = { .low_us = 100 };
	struct gsh_account fresh = { 0 };
	struct device device = alone(&mix, US(400));

	CU_ASSERT_EQUAL(gsh_account_overlap_permille(&fresh), 1000);
	CU_ASSERT(abs((int)overlap_of(&device) - 1000) < 30);
	device = alone(&mix, US(400));
	device.streams = 4;
	CU_ASSERT(abs((int)overlap_of(&device) - 250) < 15);
	device = alone(&mix, US(400));
	device.streams = 8;
	CU_ASSERT(abs((int)overlap_of(&device) - 125) < 10);
}

/* One stream, each launch measured, predicted at what the test says. */
static uint32_t overlap_when(uint64_t took_ns, uint64_t predicted_ns, unsigned times,
			     struct gsh_account *account, uint64_t *now_ns)
{
	for (unsigned i = 0; i < times; i++) {
		struct gsh_account_piece piece = { .begin_ns = *now_ns,
						   .end_ns = *now_ns + took_ns,
						   .last_end_ns = *now_ns,
						   .predicted_ns = predicted_ns };

		gsh_account_charge(account, &piece);
		*now_ns = piece.end_ns;
	}
	return gsh_account_overlap_permille(account);
}

static void overlap_follows_within_some_hundred_milliseconds_and_is_clamped(void)
{
	struct gsh_account account = { 0 };
	uint64_t now_ns = MS(1000);
	uint32_t permille = overlap_when(MS(1), MS(1), 1000, &account, &now_ns);

	CU_ASSERT_EQUAL(permille, 1000);
	permille = overlap_when(MS(2), MS(1), 500, &account, &now_ns);
	CU_ASSERT(permille > 1950 && permille <= 2000);
	CU_ASSERT_EQUAL(overlap_when(MS(20), MS(1), 200, &account, &now_ns), 4000);
	CU_ASSERT_EQUAL(overlap_when(US(1), MS(1), 999999, &account, &now_ns), 62);
	/* A pause makes nobody forget. */
	now_ns += MS(100000);
	CU_ASSERT(overlap_when(US(1), MS(1), 1, &account, &now_ns) == 62);
}

static void inflation_shows_how_many_share_and_is_forgotten_alone(void)
{
	struct mix mix = { .low_us = 50 };
	struct device device = beside(&mix, US(200), MS(2), 1);
	uint32_t permille;

	CU_ASSERT_EQUAL(gsh_account_inflation_permille(&device.account), 1000);
	start(&device);
	run_for(&device, MS(3000));
	permille = gsh_account_inflation_permille(&device.account);
	CU_ASSERT(permille > 1700 && permille < 2500);
	device.others = 0;
	run_for(&device, MS(8000));
	CU_ASSERT_EQUAL(gsh_account_inflation_permille(&device.account), 1000);
	/* Few are measured, but each stands for many. */
	mix.low_us = 20;
	device = beside(&mix, MS(2), MS(2), 1);
	start(&device);
	run_for(&device, MS(3000));
	CU_ASSERT(gsh_account_inflation_permille(&device.account) > 1000);
	device.others = 0;
	run_for(&device, MS(10000));
	CU_ASSERT_EQUAL(gsh_account_inflation_permille(&device.account), 1000);
}

/* ---- odd pieces ---- */

static void odd_times_never_charge_any_time_twice(void)
{
	struct random random = { 3 };

	for (int i = 0; i < 20000; i++) {
		struct gsh_account account = { 0 };
		uint64_t sum_ns = 0, last_ns = 0;

		for (int j = 0; j < 8; j++) {
			uint64_t top = UINT64_C(1) << draw_below(&random, 63);
			struct gsh_account_piece piece = {
				.begin_ns = draw_below(&random, top),
				.end_ns = draw_below(&random, top),
				.last_end_ns = draw_below(&random, top),
				.batch_ns = draw(&random) >> draw_below(&random, 64),
				.predicted_ns = draw(&random) >> draw_below(&random, 64),
				.low_ns = draw(&random) >> draw_below(&random, 64),
				.steady = draw(&random) & 1,
			};
			uint64_t charged_ns = gsh_account_charge(&account, &piece);
			uint64_t most_ns = piece.begin_ns > piece.end_ns ? piece.begin_ns
									 : piece.end_ns;

			/* All times there ever were, at most once. */
			last_ns = most_ns > last_ns ? most_ns : last_ns;
			sum_ns += charged_ns;
			CU_ASSERT_FATAL(sum_ns <= last_ns + 8);
			CU_ASSERT_FATAL(account.busy.count <= GSH_BUSY_SPANS);
		}
	}
}

static void a_first_bracket_is_charged_with_what_was_predicted_before_it(void)
{
	struct gsh_account account = { 0 };
	struct gsh_account_piece piece = { .begin_ns = MS(10),
					   .end_ns = MS(11),
					   .batch_ns = MS(2),
					   .predicted_ns = MS(1) };

	CU_ASSERT_EQUAL(gsh_account_charge(&account, &piece), MS(3));
	CU_ASSERT_EQUAL(gsh_account_charge(&account, &piece), 0);
}

const struct unit_suite unit_suite = {
	.name = "what is charged",
	.tests = {
		UNIT_TEST(alone_steady_kernels_are_charged_what_they_took),
		UNIT_TEST(alone_any_distribution_is_charged_exactly_when_measured),
		UNIT_TEST(alone_any_distribution_is_charged_right_on_the_average_when_sampled),
		UNIT_TEST(alone_streams_are_charged_their_union),
		UNIT_TEST(alone_streams_with_pauses_are_charged_their_union_when_measured),
		UNIT_TEST(a_stream_that_waited_for_another_excuses_nothing_of_it),
		UNIT_TEST(time_of_another_stream_uses_up_no_excuse),
		UNIT_TEST(of_streams_that_overlap_what_is_filled_in_does_too),
		UNIT_TEST(beside_one_other_short_kernels_are_charged_their_own_time),
		UNIT_TEST(measured_throughout_no_less_than_half_is_charged),
		UNIT_TEST(nobody_is_charged_less_than_the_truth_because_of_others),
		UNIT_TEST(variable_ones_are_divided_by_the_inflation_of_steady_ones),
		UNIT_TEST(tiny_ones_among_huge_ones_make_nobody_cheap),
		UNIT_TEST(bursts_are_not_excused_by_what_was_saved_up),
		UNIT_TEST(what_is_saved_up_excuses_no_more_than_twenty_milliseconds),
		UNIT_TEST(what_is_saved_up_for_unmeasured_ones_is_bounded_too),
		UNIT_TEST(overlap_is_what_is_charged_of_what_was_predicted),
		UNIT_TEST(overlap_follows_within_some_hundred_milliseconds_and_is_clamped),
		UNIT_TEST(inflation_shows_how_many_share_and_is_forgotten_alone),
		UNIT_TEST(odd_times_never_charge_any_time_twice),
		UNIT_TEST(a_first_bracket_is_charged_with_what_was_predicted_before_it),
	},
};
