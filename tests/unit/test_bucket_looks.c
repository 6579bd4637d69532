/*
 * The share of time that a tenant has used, from the looks of its bucket, in virtual
 * time.
 */
#include "policy/bucket.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "cunit_main.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

static struct gpushim_ledger_bucket bucket;
static uint64_t now_ns;
static uint64_t random_state;

static void setup(void)
{
	memset(&bucket, 0, sizeof(bucket));
	now_ns = 5 * SECOND;
	random_state = 1;
}

/* splitmix64 */
static uint64_t random_below(uint64_t bound)
{
	uint64_t x = random_state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return (x ^ x >> 31) % bound;
}

/* Any order of magnitude below the bound is as likely as any other. */
static uint64_t random_magnitude(uint64_t bound)
{
	uint64_t value = random_below(bound);

	return value >> random_below(64 - (unsigned)__builtin_clzll(bound));
}

#define UNKNOWN UINT32_MAX

static uint32_t share_ppm(uint64_t window_ns)
{
	return gsh_bucket_share_ppm(&bucket, now_ns, window_ns);
}

/* Time passes in steps, of each of which a part is used at its end. */
static void work(uint64_t time_ns, uint64_t step_ns, uint64_t permille)
{
	uint64_t until_ns = now_ns + time_ns;

	while (now_ns < until_ns) {
		now_ns += step_ns;
		gsh_bucket_used(&bucket, now_ns, step_ns * permille / 1000);
	}
}

static bool is_about(uint32_t ppm, uint32_t wanted_ppm, uint32_t error_ppm)
{
	return ppm + error_ppm >= wanted_ppm && ppm <= wanted_ppm + error_ppm;
}

static void steady_use_shows_as_its_share_of_time(void)
{
	work(11 * SECOND, MS, 300);
	CU_ASSERT_EQUAL(bucket.used_ns, 3300 * MS);
	for (int i = 0; i < 1000; i++) {
		work(3 * MS, MS, 300);
		CU_ASSERT(is_about(share_ppm(SECOND), 300000, 400));
		CU_ASSERT(is_about(share_ppm(10 * SECOND), 300000, 40));
		CU_ASSERT(is_about(share_ppm(50 * MS), 300000, 8000));
	}
}

static void the_share_is_not_known_before_the_looks_reach_back_that_far(void)
{
	CU_ASSERT_EQUAL(share_ppm(SECOND), UNKNOWN);
	work(900 * MS, MS, 300);
	CU_ASSERT_EQUAL(share_ppm(SECOND), UNKNOWN);
	work(350 * MS, MS, 300);
	CU_ASSERT(is_about(share_ppm(SECOND), 300000, 400));
	CU_ASSERT_EQUAL(share_ppm(10 * SECOND), UNKNOWN);
	work(9 * SECOND, MS, 300);
	CU_ASSERT(is_about(share_ppm(10 * SECOND), 300000, 40));
	CU_ASSERT_EQUAL(share_ppm(13 * SECOND), UNKNOWN);
	CU_ASSERT_EQUAL(share_ppm(0), UNKNOWN);
	now_ns += 3600 * SECOND;
	CU_ASSERT_EQUAL(share_ppm(3600 * SECOND), UNKNOWN);
	CU_ASSERT_EQUAL(share_ppm(UINT64_MAX), UNKNOWN);
}

static void idle_time_counts_although_nobody_looks(void)
{
	work(3 * SECOND, MS, 500);
	now_ns += SECOND / 2;
	CU_ASSERT(is_about(share_ppm(SECOND), 250000, 600));
	now_ns += SECOND / 2 + 1;
	CU_ASSERT(is_about(share_ppm(SECOND), 0, 600));
	now_ns += 3 * SECOND;
	CU_ASSERT_EQUAL(share_ppm(SECOND), 0);
}

static void what_is_measured_after_a_rest_belongs_to_its_end(void)
{
	work(3 * SECOND, MS, 500);
	now_ns += 1100 * MS;
	gsh_bucket_used(&bucket, now_ns, 300 * MS);
	CU_ASSERT(is_about(share_ppm(SECOND), 300000, 1000));
}

static void no_share_is_known_of_the_time_before_the_first_look(void)
{
	now_ns = MS;
	work(500 * MS, MS, 300);
	CU_ASSERT_EQUAL(share_ppm(500 * MS), UNKNOWN);
	CU_ASSERT(is_about(share_ppm(250 * MS), 300000, 8000));
}

static void work_after_a_long_rest_is_not_smeared_over_the_rest(void)
{
	for (uint64_t rest_ns = SECOND; rest_ns < 1000000 * SECOND; rest_ns *= 7) {
		setup();
		work(3 * SECOND, MS, 800);
		now_ns += rest_ns;
		work(SECOND / 2, MS, 400);
		CU_ASSERT(is_about(share_ppm(SECOND), 200000, 1000));
		CU_ASSERT(is_about(share_ppm(SECOND / 2), 400000, 2000));
	}
}

static void a_change_of_share_shows_within_the_window(void)
{
	work(5 * SECOND, MS, 900);
	work(SECOND, MS, 100);
	CU_ASSERT(is_about(share_ppm(SECOND), 100000, 1000));
	CU_ASSERT(is_about(share_ppm(2 * SECOND), 500000, 1000));
}

static void several_processes_add_up(void)
{
	for (int i = 0; i < 4000; i++) {
		now_ns += MS;
		/* Who read the clock earlier may come later. */
		for (uint64_t late_ns = 0; late_ns < 4; late_ns++)
			gsh_bucket_used(&bucket, now_ns - late_ns * 100 * US, 100 * US);
	}
	CU_ASSERT(is_about(share_ppm(SECOND), 400000, 2000));
}

static void a_share_can_be_read_from_a_copy(void)
{
	struct gpushim_ledger_bucket copy;

	work(2 * SECOND, MS, 250);
	copy = bucket;
	CU_ASSERT(is_about(gsh_bucket_share_ppm(&copy, now_ns, SECOND), 250000, 500));
}

static void scribbled_times_of_looks_keep_nobody_from_looking(void)
{
	work(GPUSHIM_LOOK_NS, 10 * MS, 300);
	for (uint64_t i = 0; i < 200; i++) {
		uint64_t number = now_ns / GPUSHIM_LOOK_NS;
		uint64_t at_ns[] = { number * GPUSHIM_LOOK_NS + 5,
				     (number + GPUSHIM_LOOKS_MAX) * GPUSHIM_LOOK_NS,
				     (number + 1) * GPUSHIM_LOOK_NS };

		/* That of this moment; and that of the next, in the place of another. */
		bucket.looks[(number + (i % 4 == 2) * 7) % GPUSHIM_LOOKS_MAX].at_ns =
			at_ns[i % 4 < 3 ? i % 4 : 1];
		gsh_bucket_used(&bucket, now_ns, MS);
		CU_ASSERT_EQUAL(bucket.looks[number % GPUSHIM_LOOKS_MAX].at_ns,
				number * GPUSHIM_LOOK_NS);
		work(GPUSHIM_LOOK_NS, 10 * MS, 300);
		number = now_ns / GPUSHIM_LOOK_NS;
		CU_ASSERT_EQUAL(bucket.looks[number % GPUSHIM_LOOKS_MAX].at_ns,
				number * GPUSHIM_LOOK_NS);
	}
}

static void scribbled_looks_give_bounded_shares_and_heal(void)
{
	work(12 * SECOND, MS, 300);
	for (int i = 0; i < 200000; i++) {
		struct gpushim_ledger_look *look =
			&bucket.looks[random_below(GPUSHIM_LOOKS_MAX)];
		uint32_t ppm;

		switch (random_below(4)) {
		case 0:
			look->at_ns = random_magnitude(UINT64_MAX);
			break;
		case 1:
			look->at_ns = (now_ns / GPUSHIM_LOOK_NS - random_below(70)) *
				      GPUSHIM_LOOK_NS;
			break;
		case 2:
			look->used_ns = random_magnitude(UINT64_MAX);
			break;
		default:
			bucket.used_ns = random_magnitude(UINT64_MAX);
			break;
		}
		ppm = share_ppm(1 + random_magnitude(20 * SECOND));
		CU_ASSERT_FATAL(ppm == UNKNOWN || ppm <= 1000000000);
		now_ns += random_below(MS);
		gsh_bucket_used(&bucket, now_ns, random_magnitude(UINT64_MAX));
	}
	bucket.used_ns = 0;
	work(14 * SECOND, MS, 300);
	CU_ASSERT(is_about(share_ppm(SECOND), 300000, 400));
	CU_ASSERT(is_about(share_ppm(10 * SECOND), 300000, 40));
}

const struct unit_suite unit_suite = {
	.name = "looks of a bucket",
	.setup = setup,
	.tests = {
		UNIT_TEST(steady_use_shows_as_its_share_of_time),
		UNIT_TEST(the_share_is_not_known_before_the_looks_reach_back_that_far),
		UNIT_TEST(idle_time_counts_although_nobody_looks),
		UNIT_TEST(what_is_measured_after_a_rest_belongs_to_its_end),
		UNIT_TEST(no_share_is_known_of_the_time_before_the_first_look),
		UNIT_TEST(work_after_a_long_rest_is_not_smeared_over_the_rest),
		UNIT_TEST(a_change_of_share_shows_within_the_window),
		UNIT_TEST(several_processes_add_up),
		UNIT_TEST(a_share_can_be_read_from_a_copy),
		UNIT_TEST(scribbled_times_of_looks_keep_nobody_from_looking),
		UNIT_TEST(scribbled_looks_give_bounded_shares_and_heal),
	},
};
