/*
 * What programs get of a device that an arbiter hands out in turns, and what they get of
 * the driver alone: a discrete model of both (arbiter_model.h), with switches of 0.1 and
 * 0.2 ms.
 *
 * All is judged by what the model's device has run. ARBITER_FIGURES=1 prints the figures.
 */
#include "arbiter_model.h"

#include <stdio.h>

#include "cunit_main.h"

/* static: three of them would not fit on a stack. */
static struct model driver, leases, alone;

static const uint64_t switches_ns[] = { 100 * US, 200 * US };

enum { SWITCHES = 2 };

static const struct model_program saturating = {
	.terms = { .request_permille = 250, .limit_permille = 1000 },
	.kernel_ns = MS,
};

static struct model_program with_request(struct model_program program, uint32_t permille)
{
	program.terms.request_permille = permille;
	return program;
}

static struct model_program strict(struct model_program program, uint32_t permille)
{
	program.terms.request_permille = permille;
	program.terms.limit_permille = permille;
	return program;
}

static struct model_program with_kernels(struct model_program program, uint64_t kernel_ns)
{
	program.kernel_ns = kernel_ns;
	return program;
}

/* Launches one kernel, waits for it, and does something else for as long. */
static struct model_program launch_and_sync(uint64_t kernel_ns)
{
	struct model_program program = saturating;

	program.kernel_ns = kernel_ns;
	program.kernels = 1;
	program.gap_ns = kernel_ns;
	return program;
}

/* 5 ms of work on average every 50 ms. */
static struct model_program requests(enum gpushim_priority priority)
{
	struct model_program program = with_request(saturating, 200);

	program.terms.priority = priority;
	program.kernels = 5;
	program.gap_ns = 50 * MS;
	program.random = true;
	return program;
}

static void print(const char *what, struct model *model, uint64_t time_ns)
{
	if (!getenv("ARBITER_FIGURES"))
		return;
	printf("      %-44s %.1f ms  %s ", what, (double)model->switch_ns / 1e6,
	       model->arbitrated ? "leases" : "driver");
	for (uint32_t i = 0; i < model->count; i++) {
		printf(" %5.2f", model_share(model, i, time_ns));
		if (model->tenants[i].latencies)
			printf(" (p50 %.1f p99 %.1f ms)", model_latency_ms(model, i, 50),
			       model_latency_ms(model, i, 99));
	}
	printf("  total %.2f, %.0f decisions/s\n", model_total(model, time_ns),
	       (double)model->decisions * 1e9 / (double)time_ns);
}

/* The same programs under the driver alone and with leases. */
static void run_both(const char *what, const struct model_program *programs,
		     uint32_t count, uint64_t switch_ns, uint64_t time_ns)
{
	struct model *models[] = { &driver, &leases };

	for (int arbitrated = 0; arbitrated < 2; arbitrated++) {
		struct model *model = models[arbitrated];

		model_init(model, arbitrated, switch_ns, 1);
		for (uint32_t i = 0; i < count; i++)
			model_add(model, &programs[i]);
		model_run(model, time_ns);
		print(what, model, time_ns);
	}
}

static bool near(double value, double wanted, double error)
{
	return value >= wanted - error && value <= wanted + error;
}

/* Weighted: 1 is perfect. */
static double jain(const struct model *model)
{
	double sum = 0, squares = 0;

	for (uint32_t i = 0; i < model->count; i++) {
		const struct model_tenant *tenant = &model->tenants[i];
		double x = (double)tenant->gpu_ns /
			   tenant->program.terms.request_permille;

		sum += x;
		squares += x * x;
	}
	return sum * sum / (model->count * squares);
}

/* ---- saturating tenants ------------------------------------------------------------ */

static void four_equal_tenants_get_equal_shares_and_more_in_all(void)
{
	struct model_program fair[4], fixed[4];

	for (int i = 0; i < 4; i++) {
		fair[i] = saturating;
		fixed[i] = strict(saturating, 250);
	}
	for (int s = 0; s < SWITCHES; s++) {
		run_both("4 x 25, strict", fixed, 4, switches_ns[s], 10 * SECOND);
		for (uint32_t i = 0; i < 4; i++)
			CU_ASSERT_TRUE(
				near(model_share(&leases, i, 10 * SECOND), 25, 0.6));
		CU_ASSERT_TRUE(model_total(&leases, 10 * SECOND) > 98);
		run_both("4 x 25", fair, 4, switches_ns[s], 10 * SECOND);
		for (uint32_t i = 0; i < 4; i++)
			CU_ASSERT_TRUE(
				near(model_share(&leases, i, 10 * SECOND), 25, 0.6));
		CU_ASSERT_TRUE(model_total(&leases, 10 * SECOND) > 98);
		CU_ASSERT_TRUE(model_total(&leases, 10 * SECOND) >
			       model_total(&driver, 10 * SECOND) + 3);
		CU_ASSERT_TRUE(jain(&leases) > 0.999);
	}
}

static void shares_of_70_20_and_10_are_kept_where_slices_make_them_thirds(void)
{
	const struct model_program fair[] = { with_request(saturating, 700),
					      with_request(saturating, 200),
					      with_request(saturating, 100) };
	const struct model_program fixed[] = { strict(saturating, 700),
					       strict(saturating, 200),
					       strict(saturating, 100) };
	static const double wanted[] = { 70, 20, 10 };

	for (int s = 0; s < SWITCHES; s++) {
		run_both("70/20/10, strict", fixed, 3, switches_ns[s], 10 * SECOND);
		for (uint32_t i = 0; i < 3; i++)
			CU_ASSERT_TRUE(near(model_share(&leases, i, 10 * SECOND),
					    wanted[i], 0.8));
		run_both("70/20/10", fair, 3, switches_ns[s], 10 * SECOND);
		for (uint32_t i = 0; i < 3; i++) {
			CU_ASSERT_TRUE(near(model_share(&leases, i, 10 * SECOND),
					    wanted[i], 0.8));
			/* The control. */
			CU_ASSERT_FALSE(near(model_share(&driver, i, 10 * SECOND),
					     wanted[i], 0.8));
		}
		CU_ASSERT_TRUE(model_total(&leases, 10 * SECOND) > 98.5);
		CU_ASSERT_TRUE(jain(&leases) > 0.999);
	}
}

static void shares_are_kept_within_three_points_in_every_second(void)
{
	uint64_t had_ns[3] = { 0 };
	static const uint32_t permille[] = { 700, 200, 100 };

	model_init(&leases, true, 100 * US, 1);
	for (int i = 0; i < 3; i++) {
		struct model_program program = with_request(saturating, permille[i]);

		model_add(&leases, &program);
	}
	for (int second = 0; second < 20; second++) {
		model_run(&leases, SECOND);
		for (uint32_t i = 0; i < 3; i++) {
			uint64_t had = leases.tenants[i].gpu_ns - had_ns[i];

			CU_ASSERT_TRUE(near((double)had / 1e7, permille[i] / 10.0, 3));
			had_ns[i] = leases.tenants[i].gpu_ns;
		}
	}
}

static void long_kernels_get_no_more_than_short_ones(void)
{
	static const uint64_t kernels_ns[] = { 50 * MS, 300 * MS };

	for (int k = 0; k < 2; k++) {
		const struct model_program mixed[] = {
			saturating,
			with_kernels(saturating, kernels_ns[k]),
			saturating,
			with_kernels(saturating, kernels_ns[k]),
		};
		const struct model_program fixed[] = {
			strict(saturating, 500),
			strict(with_kernels(saturating, kernels_ns[k]), 500),
		};

		run_both(k ? "4 x 25, two with 300 ms" : "4 x 25, two with 50 ms", mixed,
			 4, 100 * US, 60 * SECOND);
		for (uint32_t i = 0; i < 4; i++)
			CU_ASSERT_TRUE(near(model_share(&leases, i, 60 * SECOND), 25, 1));
		CU_ASSERT_TRUE(model_total(&leases, 60 * SECOND) >
			       model_total(&driver, 60 * SECOND) + 3);
		CU_ASSERT_EQUAL(leases.actions[GSH_ARBITER_OVERTAKE], 0);
		run_both(k ? "2 x 50, strict, one with 300 ms"
			   : "2 x 50, strict, one with 50 ms",
			 fixed, 2, 100 * US, 60 * SECOND);
		for (uint32_t i = 0; i < 2; i++)
			CU_ASSERT_TRUE(near(model_share(&leases, i, 60 * SECOND), 50, 1));
	}
}

static void long_kernels_that_nobody_foresaw_are_overtaken_and_paid_for(void)
{
	struct model_program programs[] = { saturating,
					    with_kernels(saturating, 300 * MS) };

	programs[1].unlearned = true;
	run_both("2 x 50, one with 300 ms, unlearned", programs, 2, 100 * US,
		 60 * SECOND);
	for (uint32_t i = 0; i < 2; i++)
		CU_ASSERT_TRUE(near(model_share(&leases, i, 60 * SECOND), 50, 3));
	CU_ASSERT_TRUE(leases.actions[GSH_ARBITER_OVERTAKE] > 0);
}

/* ---- tenants with gaps ------------------------------------------------------------- */

static void launch_and_sync_tenants_lose_nothing_in_all(void)
{
	for (int s = 0; s < SWITCHES; s++) {
		struct model_program long_gaps[4], short_gaps[4];

		for (int i = 0; i < 4; i++) {
			long_gaps[i] = launch_and_sync(MS);
			short_gaps[i] = launch_and_sync(50 * US);
		}
		run_both("4 x 1 ms of work, 1 ms gap", long_gaps, 4, switches_ns[s],
			 10 * SECOND);
		CU_ASSERT_TRUE(model_total(&leases, 10 * SECOND) >
			       model_total(&driver, 10 * SECOND) - 0.1);
		CU_ASSERT_TRUE(jain(&leases) > 0.999);
		run_both("4 x 50 us of work, 50 us gap", short_gaps, 4, switches_ns[s],
			 10 * SECOND);
		CU_ASSERT_TRUE(model_total(&leases, 10 * SECOND) >
			       model_total(&driver, 10 * SECOND) * 1.4);
		CU_ASSERT_TRUE(jain(&leases) > 0.999);
	}
}

static void gaps_are_filled_by_those_who_have_work(void)
{
	const struct model_program programs[] = { launch_and_sync(MS), saturating };

	for (int s = 0; s < SWITCHES; s++) {
		run_both("1 ms of work, 1 ms gap; saturating", programs, 2,
			 switches_ns[s], 10 * SECOND);
		CU_ASSERT_TRUE(model_total(&leases, 10 * SECOND) >
			       model_total(&driver, 10 * SECOND));
		CU_ASSERT_TRUE(model_share(&leases, 0, 10 * SECOND) >
			       0.7 * model_share(&driver, 0, 10 * SECOND));
	}
}

static void a_tenant_alone_loses_nothing_and_wakes_nobody(void)
{
	const struct model_program programs[] = { saturating, launch_and_sync(50 * US),
						  requests(GPUSHIM_PRIORITY_NORMAL) };

	for (int i = 0; i < 3; i++) {
		run_both("alone", &programs[i], 1, 100 * US, 10 * SECOND);
		CU_ASSERT_TRUE(model_total(&leases, 10 * SECOND) >
			       model_total(&driver, 10 * SECOND) - 0.01);
		CU_ASSERT_EQUAL(leases.decisions, 1);
	}
}

static void a_strict_tenant_alone_gets_its_limit(void)
{
	const struct model_program programs[] = { strict(saturating, 300) };

	run_both("30, strict, alone", programs, 1, 100 * US, 10 * SECOND);
	CU_ASSERT_TRUE(model_share(&leases, 0, 10 * SECOND) < 30.3);
	CU_ASSERT_TRUE(model_share(&leases, 0, 10 * SECOND) > 29.5);
}

/* ---- latencies --------------------------------------------------------------------- */

static void requests_beside_two_saturating_tenants_are_served_in_time(void)
{
	for (int s = 0; s < SWITCHES; s++) {
		const struct model_program plain[] = { requests(GPUSHIM_PRIORITY_NORMAL),
						       with_request(saturating, 400),
						       with_request(saturating, 400) };
		const struct model_program prior[] = { requests(GPUSHIM_PRIORITY_LATENCY),
						       with_request(saturating, 400),
						       with_request(saturating, 400) };
		double alone_ms;

		model_init(&alone, false, switches_ns[s], 1);
		model_add(&alone, &plain[0]);
		model_run(&alone, 60 * SECOND);
		print("requests alone", &alone, 60 * SECOND);
		alone_ms = model_latency_ms(&alone, 0, 99);
		run_both("requests beside two saturating", plain, 3, switches_ns[s],
			 60 * SECOND);
		CU_ASSERT_TRUE(model_latency_ms(&leases, 0, 99) <
			       0.6 * model_latency_ms(&driver, 0, 99));
		CU_ASSERT_TRUE(model_latency_ms(&leases, 0, 50) <
			       0.6 * model_latency_ms(&driver, 0, 50));
		run_both("requests with priority", prior, 3, switches_ns[s], 60 * SECOND);
		/* 2 ms and a kernel. */
		CU_ASSERT_TRUE(model_latency_ms(&leases, 0, 99) < alone_ms + 3);
		CU_ASSERT_TRUE(model_total(&leases, 60 * SECOND) >
			       model_total(&driver, 60 * SECOND));
	}
}

static void requests_beside_30_s_kernels_are_served_as_by_slices(void)
{
	const struct model_program programs[] = {
		requests(GPUSHIM_PRIORITY_NORMAL),
		with_request(with_kernels(saturating, 30 * SECOND), 400),
	};

	for (int s = 0; s < SWITCHES; s++) {
		run_both("requests beside 30 s kernels", programs, 2, switches_ns[s],
			 90 * SECOND);
		CU_ASSERT_TRUE(model_latency_ms(&leases, 0, 99) <
			       1.2 * model_latency_ms(&driver, 0, 99));
		CU_ASSERT_TRUE(model_share(&leases, 1, 90 * SECOND) >
			       0.95 * model_share(&driver, 1, 90 * SECOND));
	}
}

/* ---- liars, and those who come and go ---------------------------------------------- */

static void no_lie_takes_from_an_honest_tenant_what_is_its_own(void)
{
	static const char *const names[] = { "honest", "busy for ever", "never idle",
					     "never busy", "rings without need" };

	for (enum model_lie lie = MODEL_HONEST; lie <= MODEL_RINGS; lie++) {
		struct model_program programs[] = { saturating, saturating };

		programs[1].lie = lie;
		if (lie == MODEL_RINGS) {
			programs[1].kernels = 1;
			programs[1].gap_ns = 1000 * SECOND;
		}
		run_both(names[lie], programs, 2, 100 * US, 10 * SECOND);
		/* Its share of what slices would give in all. */
		CU_ASSERT_TRUE(model_share(&leases, 0, 10 * SECOND) >
			       model_total(&driver, 10 * SECOND) / 2 - 1);
	}
}

/* A tenant that is not among the two that stay. */
static struct model_program random_program(uint64_t *state)
{
	struct model_program program = with_request(saturating, 125);

	program.kernel_ns = 50 * US << model_random(state, 11);
	program.kernels = (uint32_t)model_random(state, 3);
	program.gap_ns = 20 * US << model_random(state, 12);
	program.unlearned = model_random(state, 4) == 0;
	program.lie = model_random(state, 2) ? MODEL_HONEST
					     : (enum model_lie)model_random(state, 5);
	if (model_random(state, 3) == 0)
		program.terms.limit_permille = 125;
	if (model_random(state, 4) == 0)
		program.terms.priority = (enum gpushim_priority)model_random(state, 3);
	return program;
}

static uint32_t grants_in_force(const struct model *model)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < model->count; i++)
		count += model->tenants[i].alive &&
			 model->tenants[i].until_ns > model->now_ns;
	return count;
}

/* Some die, some come back as somebody else, some are stopped for a while. */
static void disturb(struct model *model, uint64_t *state)
{
	uint32_t number = 2 + (uint32_t)model_random(state, model->count - 2);
	struct model_tenant *tenant = &model->tenants[number];

	if (!tenant->alive) {
		uint64_t gpu_ns = tenant->gpu_ns;

		tenant->program = random_program(state);
		model_revive(model, number);
		tenant->gpu_ns = gpu_ns;
	} else if (tenant->stopped) {
		tenant->stopped = false;
		model_run_program(model, tenant);
	} else if (model_random(state, 2)) {
		model_kill(model, number);
	} else {
		tenant->stopped = true;
	}
}

static void who_stays_keeps_its_share_while_others_come_stop_lie_and_die(void)
{
	for (uint64_t seed = 1; seed <= 4; seed++) {
		uint64_t state = seed, begin_ns, time_ns;
		const struct model_program first = with_request(saturating, 300);
		const struct model_program second = with_request(saturating, 200);
		uint32_t doubles = 0;

		model_init(&leases, true, 100 * US, seed);
		model_add(&leases, &first);
		model_add(&leases, &second);
		for (int i = 0; i < 4; i++) {
			struct model_program program = random_program(&state);

			model_add(&leases, &program);
		}
		begin_ns = leases.now_ns;
		while (leases.now_ns < begin_ns + 30 * SECOND) {
			model_run(&leases, model_random(&state, 400 * MS));
			doubles += grants_in_force(&leases) > 1;
			disturb(&leases, &state);
		}
		time_ns = leases.now_ns - begin_ns;
		print("beside random ones", &leases, time_ns);
		CU_ASSERT_EQUAL(doubles, 0);
		CU_ASSERT_TRUE(model_share(&leases, 0, time_ns) > 30 * 0.95);
		CU_ASSERT_TRUE(model_share(&leases, 1, time_ns) > 20 * 0.95);
	}
}

const struct unit_suite unit_suite = {
	.name = "arbiter, with a model of the device",
	.tests = {
		UNIT_TEST(four_equal_tenants_get_equal_shares_and_more_in_all),
		UNIT_TEST(shares_of_70_20_and_10_are_kept_where_slices_make_them_thirds),
		UNIT_TEST(shares_are_kept_within_three_points_in_every_second),
		UNIT_TEST(long_kernels_get_no_more_than_short_ones),
		UNIT_TEST(long_kernels_that_nobody_foresaw_are_overtaken_and_paid_for),
		UNIT_TEST(launch_and_sync_tenants_lose_nothing_in_all),
		UNIT_TEST(gaps_are_filled_by_those_who_have_work),
		UNIT_TEST(a_tenant_alone_loses_nothing_and_wakes_nobody),
		UNIT_TEST(a_strict_tenant_alone_gets_its_limit),
		UNIT_TEST(requests_beside_two_saturating_tenants_are_served_in_time),
		UNIT_TEST(requests_beside_30_s_kernels_are_served_as_by_slices),
		UNIT_TEST(no_lie_takes_from_an_honest_tenant_what_is_its_own),
		UNIT_TEST(who_stays_keeps_its_share_while_others_come_stop_lie_and_die),
	},
};
