/*
 * A bucket of GPU time in virtual time, one caller after another.
 *
 * test_bucket_steps.c has the interleavings, test_bucket_race.c real threads.
 */
#include "policy/bucket.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "cunit_main.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)
#define DEBT_MAX ((int64_t)GSH_BUCKET_DEBT_MAX_NS)
/* The last nanosecond that a clock of 63 bits knows. */
#define END_OF_TIME (UINT64_MAX / 2)

static struct gpushim_ledger_bucket bucket;
static struct gsh_bucket_terms terms;
static uint64_t now_ns;
static uint64_t random_state;

static void setup(void)
{
	memset(&bucket, 0, sizeof(bucket));
	terms = (struct gsh_bucket_terms){ .rate_permille = 300, .burst_ns = 20 * MS };
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

static bool take(uint64_t cost_ns, uint64_t *wait_ns)
{
	return gsh_bucket_take(&bucket, &terms, now_ns, cost_ns, wait_ns);
}

static bool takes(uint64_t cost_ns)
{
	uint64_t wait_ns;

	return take(cost_ns, &wait_ns);
}

static int64_t level(void)
{
	return gsh_bucket_level(&bucket, &terms, now_ns);
}

/* ---- taking ----------------------------------------------------------------------------- */

static void a_tenant_starts_with_a_burst_saved_up(void)
{
	CU_ASSERT_EQUAL(level(), 20 * MS);
	CU_ASSERT_TRUE(takes(1));
	CU_ASSERT_EQUAL(level(), 20 * MS - 1);
	CU_ASSERT_EQUAL(bucket.earned_ns, 20 * MS);
	CU_ASSERT_EQUAL(bucket.repairs, 0);
}

static void a_tenant_may_start_at_nanosecond_zero(void)
{
	now_ns = 0;
	CU_ASSERT_TRUE(takes(20 * MS));
	CU_ASSERT_FALSE(takes(1));
	CU_ASSERT_EQUAL(bucket.earned_ns, 20 * MS);
}

static void a_debt_from_before_the_first_taking_is_paid_with_the_first_burst(void)
{
	gsh_bucket_settle(&bucket, &terms, -50 * (int64_t)MS);
	CU_ASSERT_EQUAL(level(), -30 * (int64_t)MS);
	CU_ASSERT_FALSE(takes(1));
	CU_ASSERT_EQUAL(level(), -30 * (int64_t)MS);
}

static void who_takes_the_last_credit_may_go_below_zero(void)
{
	CU_ASSERT_TRUE(takes(20 * MS - 1));
	CU_ASSERT_TRUE(takes(300 * MS));
	CU_ASSERT_EQUAL(level(), 1 - 300 * (int64_t)MS);
	CU_ASSERT_FALSE(takes(1));
}

static void who_is_refused_takes_nothing(void)
{
	takes(50 * MS);
	CU_ASSERT_FALSE(takes(1));
	CU_ASSERT_FALSE(takes(SECOND));
	CU_ASSERT_EQUAL(level(), -30 * (int64_t)MS);
}

static void the_wait_ends_to_the_nanosecond_when_there_is_credit(void)
{
	for (int i = 0; i < 200000; i++) {
		uint64_t wait_ns = 0;

		terms.rate_permille = 1 + (uint32_t)random_below(1000);
		terms.burst_ns = 1 + random_magnitude(SECOND);
		now_ns += random_magnitude(100 * SECOND);
		if (take(random_magnitude(10 * SECOND), &wait_ns))
			continue;
		CU_ASSERT_FATAL(wait_ns >= 1);
		now_ns += wait_ns - 1;
		CU_ASSERT_FALSE_FATAL(wait_ns > 1 && takes(1));
		now_ns++;
		CU_ASSERT_TRUE_FATAL(takes(random_magnitude(SECOND)));
	}
	CU_ASSERT_EQUAL(bucket.repairs, 0);
}

static void launches_in_quick_succession_leave_the_clock_of_the_bucket_alone(void)
{
	uint64_t refilled_ns;

	takes(10 * MS);
	refilled_ns = bucket.refilled_ns;
	now_ns += 19 * US;
	takes(1);
	CU_ASSERT_EQUAL(bucket.refilled_ns, refilled_ns);
	now_ns += US;
	takes(1);
	CU_ASSERT_EQUAL(bucket.refilled_ns, refilled_ns + 20 * US);
}

static void the_smallest_burst_lets_a_tenant_through(void)
{
	for (uint32_t rate = 1; rate <= 1000; rate += 37) {
		uint64_t wait_ns = 0;

		setup();
		terms = (struct gsh_bucket_terms){ .rate_permille = rate };
		CU_ASSERT_TRUE(takes(3000));
		for (int i = 0; i < 1000; i++) {
			while (!take(3000, &wait_ns))
				now_ns += wait_ns;
			now_ns += random_below(40 * US);
		}
		CU_ASSERT_EQUAL(level() > 1, false);
	}
}

static void rates_beyond_their_bounds_are_the_nearest_there_is(void)
{
	uint64_t wait_ns = 0;

	terms.rate_permille = 0;
	takes(20 * MS + 9);
	CU_ASSERT_FALSE(take(1, &wait_ns));
	CU_ASSERT_EQUAL(wait_ns, 10 * US);
	now_ns += 50 * US;
	terms.rate_permille = UINT32_MAX;
	CU_ASSERT_EQUAL(level(), 50 * (int64_t)US - 9);
	terms.rate_permille = 1001;
	CU_ASSERT_EQUAL(level(), 50 * (int64_t)US - 9);
}

static void no_launch_is_charged_more_than_the_greatest_debt(void)
{
	uint64_t wait_ns = 0;

	CU_ASSERT_TRUE(takes(UINT64_MAX));
	CU_ASSERT_EQUAL(level(), 20 * (int64_t)MS - DEBT_MAX);
	gsh_bucket_settle(&bucket, &terms, -(int64_t)SECOND);
	CU_ASSERT_EQUAL(level(), -DEBT_MAX);
	CU_ASSERT_FALSE(take(1, &wait_ns));
	CU_ASSERT_EQUAL(wait_ns, (GSH_BUCKET_DEBT_MAX_NS / 300 + 1) * US);
	CU_ASSERT_EQUAL(bucket.repairs, 0);
	setup();
	CU_ASSERT_TRUE(takes(GSH_BUCKET_DEBT_MAX_NS + 1));
	CU_ASSERT_EQUAL(level(), 20 * (int64_t)MS - DEBT_MAX);
}

static void what_the_level_is_said_to_be_can_be_taken(void)
{
	for (int i = 0; i < 100000; i++) {
		struct gpushim_ledger_bucket before = bucket;
		int64_t level_ns = level();
		uint64_t cost_ns = random_magnitude(30 * MS);

		CU_ASSERT_EQUAL_FATAL(memcmp(&before, &bucket, sizeof(bucket)), 0);
		CU_ASSERT_EQUAL_FATAL(takes(cost_ns), level_ns > 0);
		if (level_ns > 0)
			CU_ASSERT_EQUAL_FATAL(level(), level_ns - (int64_t)cost_ns);
		now_ns += random_magnitude(100 * MS);
	}
}

/* ---- never too much --------------------------------------------------------------------- */

/*
 * The most that was taken in any stretch of time that ends now, less what the rate earns
 * in it: in thousandths of a nanosecond.
 */
struct gauge {
	uint64_t excess, at_ns;
};

static void gauge_passes(struct gauge *gauge, uint64_t rate)
{
	uint64_t ns = now_ns - gauge->at_ns, earned = UINT64_MAX;

	gauge->at_ns = now_ns;
	if (ns < UINT64_MAX / 1000)
		earned = ns * rate;
	gauge->excess -= gauge->excess < earned ? gauge->excess : earned;
}

/* Whoever takes finds that there was less than the burst taken too much until then. */
static bool gauge_takes(struct gauge *gauge, uint64_t rate, uint64_t burst_ns,
			uint64_t cost_ns)
{
	/* Refills are by whole microseconds. */
	bool fine = gauge->excess < (burst_ns + rate) * 1000;

	gauge->excess += cost_ns * 1000;
	return fine;
}

/* Some processes with costs of their own launch at random times, settle, pause. */
static bool schedule_keeps_within_the_rate(unsigned steps)
{
	struct gauge gauge = { 0, now_ns };
	uint64_t costs[4], pause_ns = 1 + random_magnitude(100 * MS);

	terms.rate_permille = 1 + (uint32_t)random_below(1000);
	terms.burst_ns = 1 + random_magnitude(100 * MS);
	for (int i = 0; i < 4; i++)
		costs[i] = 1 + random_magnitude(300 * MS);
	for (unsigned i = 0; i < steps; i++) {
		uint64_t cost_ns = random_below(costs[random_below(4)]), wait_ns;

		gauge_passes(&gauge, terms.rate_permille);
		terms.need_ns = random_below(2) ? random_magnitude(terms.burst_ns) : 0;
		if (take(cost_ns, &wait_ns)) {
			if (!gauge_takes(&gauge, terms.rate_permille, terms.burst_ns,
					 cost_ns))
				return false;
			if (random_below(4) == 0) {
				cost_ns = random_below(cost_ns + 1);
				gsh_bucket_settle(&bucket, &terms, (int64_t)cost_ns);
				/* What is given back was not used. */
				cost_ns *= 1000;
				gauge.excess -= cost_ns < gauge.excess ? cost_ns
								       : gauge.excess;
			}
		} else if (random_below(2) == 0) {
			now_ns += wait_ns;
		}
		now_ns += random_below(3) == 0 ? random_below(40 * US)
					       : random_magnitude(pause_ns);
	}
	return bucket.repairs == 0;
}

static void no_stretch_of_time_gets_more_than_rate_and_burst_and_one_launch(void)
{
	for (int i = 0; i < 200000; i++) {
		memset(&bucket, 0, sizeof(bucket));
		now_ns = 1 + random_magnitude(END_OF_TIME / 2);
		CU_ASSERT_TRUE_FATAL(schedule_keeps_within_the_rate(40));
	}
}

/* The same with another rate and burst every now and then, judged by the highest. */
static void live_changes_give_no_more_than_the_highest_terms(void)
{
	for (int i = 0; i < 20000; i++) {
		const uint32_t rates[2] = { 1 + (uint32_t)random_below(1000), 7 };
		const uint64_t bursts_ns[2] = { 1 + random_magnitude(100 * MS), 3 * MS };
		const uint64_t rate = rates[0] > 7 ? rates[0] : 7;
		const uint64_t burst_ns = bursts_ns[0] > 3 * MS ? bursts_ns[0] : 3 * MS;
		struct gauge gauge = { 0, now_ns };

		memset(&bucket, 0, sizeof(bucket));
		for (int step = 0; step < 60; step++) {
			uint64_t cost_ns = random_magnitude(10 * MS);
			uint64_t choice = random_below(4);

			terms.rate_permille = rates[choice & 1];
			terms.burst_ns = bursts_ns[choice >> 1];
			gauge_passes(&gauge, rate);
			if (takes(cost_ns))
				CU_ASSERT_FATAL(
					gauge_takes(&gauge, rate, burst_ns, cost_ns));
			now_ns += random_magnitude(50 * MS);
		}
		CU_ASSERT_EQUAL_FATAL(bucket.repairs, 0);
	}
}

static void a_lowered_burst_holds_at_the_next_use(void)
{
	takes(1);
	terms.burst_ns = 2 * MS;
	CU_ASSERT_EQUAL(level(), 2 * MS);
	now_ns += MS;
	CU_ASSERT_TRUE(takes(2 * MS));
	CU_ASSERT_EQUAL(bucket.earned_ns, 20 * MS);
	CU_ASSERT_FALSE(takes(1));
	/* That is no damage. */
	CU_ASSERT_EQUAL(bucket.repairs, 0);
}

static void a_changed_rate_holds_at_the_next_use(void)
{
	uint64_t wait_ns = 0;

	takes(20 * MS + 300 * US);
	CU_ASSERT_FALSE(take(1, &wait_ns));
	CU_ASSERT_EQUAL(wait_ns, MS + 1 * US);
	terms.rate_permille = 3;
	CU_ASSERT_FALSE(take(1, &wait_ns));
	CU_ASSERT_EQUAL(wait_ns, 100 * MS + 1 * US);
	now_ns += 100 * MS;
	CU_ASSERT_EQUAL(level(), 0);
	now_ns += US;
	CU_ASSERT_TRUE(takes(1));
	CU_ASSERT_EQUAL(bucket.limit_permille, 3);
	CU_ASSERT_EQUAL(bucket.burst_ns, 20 * MS);
}

/* ---- never too little ------------------------------------------------------------------- */

/* What one that always wants more takes in that time, in millionths of it. */
static uint64_t saturated_ppm(uint64_t cost_ns, uint64_t time_ns)
{
	uint64_t taken_ns = 0, wait_ns, begin_ns;

	while (takes(cost_ns))
		;
	begin_ns = now_ns;
	while (now_ns < begin_ns + time_ns) {
		if (take(cost_ns, &wait_ns))
			taken_ns += cost_ns;
		else
			now_ns += wait_ns;
		now_ns += random_below(3 * US);
	}
	return taken_ns * 1000 / ((now_ns - begin_ns) / 1000 + 1);
}

static void who_always_wants_more_gets_his_rate_in_the_long_run(void)
{
	for (uint32_t rate = 1; rate <= 999; rate++) {
		uint64_t cost_ns = 3 * US + random_magnitude(300 * US);
		uint64_t ppm, error;

		setup();
		terms.rate_permille = rate;
		ppm = saturated_ppm(cost_ns, 4000 * cost_ns * 1000 / rate);
		error = ppm > rate * 1000 ? ppm - rate * 1000 : rate * 1000 - ppm;
		CU_ASSERT_FATAL(error <= rate);
	}
}

static void refills_at_the_lowest_rate_lose_nothing_to_rounding(void)
{
	terms = (struct gsh_bucket_terms){ .rate_permille = 1, .burst_ns = SECOND };
	takes(SECOND / 2);
	/* Every time a little more than what is worth a refill. */
	for (int i = 0; i < 1000000; i++) {
		now_ns += 20 * US + 999;
		takes(0);
	}
	/* 20.999 s of it. */
	CU_ASSERT_EQUAL(level(), SECOND / 2 + 20999 * US);
}

static void takings_every_few_nanoseconds_lose_nothing_to_rounding(void)
{
	terms = (struct gsh_bucket_terms){ .rate_permille = 999, .burst_ns = SECOND };
	takes(SECOND / 2);
	for (int i = 0; i < 1000000; i++) {
		now_ns += 7;
		takes(0);
	}
	now_ns += 20 * US;
	takes(0);
	CU_ASSERT_EQUAL(level(), SECOND / 2 + (int64_t)(7 * MS + 20 * US) * 999 / 1000);
}

enum { WAITERS = 16 };

static void none_of_many_waiters_starves(void)
{
	static const uint64_t costs_ns[4] = { 20 * US, MS, 50 * MS, 3 * US };
	uint64_t wake_ns[WAITERS], last_ns[WAITERS], longest_ns = 0;

	for (int i = 0; i < WAITERS; i++)
		wake_ns[i] = last_ns[i] = now_ns;
	for (int step = 0; step < 400000; step++) {
		int who = 0;
		uint64_t wait_ns = 0;

		for (int i = 1; i < WAITERS; i++)
			who = wake_ns[i] < wake_ns[who] ? i : who;
		now_ns = wake_ns[who];
		if (take(costs_ns[who % 4], &wait_ns)) {
			if (now_ns - last_ns[who] > longest_ns)
				longest_ns = now_ns - last_ns[who];
			last_ns[who] = now_ns;
			wait_ns = 1;
		}
		/* How soon the machine wakes whom is chance. */
		wake_ns[who] = now_ns + wait_ns + random_below(50 * US);
	}
	for (int i = 0; i < WAITERS; i++)
		if (now_ns - last_ns[i] > longest_ns)
			longest_ns = now_ns - last_ns[i];
	/* Were all the others served before each, at their mean cost, it would be 0.7 s; by
	 * chance, some twelve times that. */
	CU_ASSERT(longest_ns < 20 * SECOND);
	CU_ASSERT(longest_ns > 0);
}

/* ---- turns ------------------------------------------------------------------------------ */

static uint64_t need_after(uint64_t waited_ns)
{
	return gsh_bucket_need_ns(&terms, waited_ns, true);
}

static void what_is_needed_is_part_of_a_burst_and_falls_until_a_second_has_passed(void)
{
	static const uint64_t bursts_ns[] = { 0,       1,      3,	   MS,
					      20 * MS, SECOND, 3 * SECOND, UINT64_MAX };

	for (unsigned i = 0; i < sizeof(bursts_ns) / sizeof(bursts_ns[0]); i++) {
		uint64_t before_ns;

		terms.burst_ns = bursts_ns[i];
		before_ns = need_after(0);
		CU_ASSERT(before_ns <= terms.burst_ns / 2);
		CU_ASSERT(before_ns <= 5 * MS);
		CU_ASSERT(before_ns > 0 || terms.burst_ns < MS);
		for (uint64_t waited_ns = 0; waited_ns < 2 * SECOND;
		     waited_ns += MS / 2) {
			uint64_t need_ns = need_after(waited_ns);

			CU_ASSERT_FATAL(need_ns <= before_ns);
			CU_ASSERT_FATAL(waited_ns < SECOND || need_ns == 0);
			before_ns = need_ns;
		}
		CU_ASSERT_EQUAL(need_after(UINT64_MAX), 0);
	}
	terms.burst_ns = 20 * MS;
	CU_ASSERT_EQUAL(need_after(0), 5 * MS);
	CU_ASSERT_EQUAL(need_after(SECOND / 2), 5 * MS / 2);
	CU_ASSERT(need_after(SECOND - 2 * MS) > 0);
}

static void who_has_no_siblings_needs_nothing(void)
{
	for (uint64_t waited_ns = 0; waited_ns < 2 * SECOND; waited_ns += 10 * MS)
		CU_ASSERT_EQUAL_FATAL(gsh_bucket_need_ns(&terms, waited_ns, false), 0);
}

static void nobody_needs_more_than_half_of_a_burst(void)
{
	takes(10 * MS);
	terms.need_ns = UINT64_MAX;
	CU_ASSERT_FALSE(takes(1));
	gsh_bucket_settle(&bucket, &terms, 1);
	CU_ASSERT_TRUE(takes(1));
	CU_ASSERT_FALSE(takes(1));
	terms.need_ns = 0;
	CU_ASSERT_TRUE(takes(1));
}

static void who_needs_credit_waits_until_there_is_more_than_that(void)
{
	terms.need_ns = 5 * MS;
	takes(15 * MS);
	CU_ASSERT_EQUAL(level(), 5 * MS);
	CU_ASSERT_FALSE(takes(MS));
	CU_ASSERT_EQUAL(level(), 5 * MS);
	gsh_bucket_settle(&bucket, &terms, 1);
	CU_ASSERT_TRUE(takes(100 * MS));
	CU_ASSERT_EQUAL(level(), 1 - 95 * (int64_t)MS);
}

static void the_wait_for_what_is_needed_ends_to_the_nanosecond(void)
{
	for (int i = 0; i < 200000; i++) {
		uint64_t wait_ns = 0;

		terms.rate_permille = 1 + (uint32_t)random_below(1000);
		terms.burst_ns = 1 + random_magnitude(SECOND);
		terms.need_ns = random_magnitude(terms.burst_ns);
		bucket.burst_ns = terms.burst_ns;
		/* From little credit, not all of it landed, as well as from debt. */
		bucket.level = random_magnitude(terms.burst_ns);
		bucket.refilled_ns = now_ns;
		now_ns += random_below(50 * US);
		if (take(random_magnitude(10 * SECOND), &wait_ns))
			continue;
		CU_ASSERT_FATAL(wait_ns >= 1);
		now_ns += wait_ns - 1;
		CU_ASSERT_FALSE_FATAL(wait_ns > 1 && takes(1));
		now_ns++;
		CU_ASSERT_TRUE_FATAL(takes(random_magnitude(SECOND)));
	}
	CU_ASSERT_EQUAL(bucket.repairs, 0);
}

/* One of the processes of a tenant, which never have enough. */
struct sibling {
	uint64_t wake_ns, began_ns, taken_ns, longest_ns;
};

static void sibling_tries(struct sibling *sibling, uint64_t cost_ns)
{
	uint64_t waited_ns, wait_ns = 0;

	now_ns = sibling->wake_ns;
	waited_ns = sibling->began_ns ? now_ns - sibling->began_ns : 0;
	/* As in hold.c: the first try is without a need, and nobody sleeps for long. */
	terms.need_ns = sibling->began_ns ? need_after(waited_ns) : 0;
	if (take(cost_ns, &wait_ns)) {
		sibling->taken_ns += cost_ns;
		if (waited_ns > sibling->longest_ns)
			sibling->longest_ns = waited_ns;
		sibling->began_ns = 0;
		sibling->wake_ns = now_ns + 10 * US;
		return;
	}
	if (!sibling->began_ns)
		sibling->began_ns = now_ns;
	wait_ns = wait_ns < 5 * MS ? wait_ns : 5 * MS;
	sibling->wake_ns = now_ns + wait_ns + random_below(100 * US);
}

/* For a minute, in which each could have a hundred turns. */
static bool siblings_get_their_part(unsigned count)
{
	struct sibling siblings[8];
	uint64_t begin_ns = now_ns, cost_ns, due_ns, sum_ns = 0;
	bool fine = true;

	cost_ns = 60 * SECOND / 1000 * terms.rate_permille / (count * 100);
	due_ns = 60 * SECOND / 1000 * terms.rate_permille / count;
	memset(&bucket, 0, sizeof(bucket));
	for (unsigned i = 0; i < count; i++)
		siblings[i] = (struct sibling){ .wake_ns = now_ns };
	while (now_ns < begin_ns + 60 * SECOND) {
		unsigned who = 0;

		for (unsigned i = 1; i < count; i++)
			who = siblings[i].wake_ns < siblings[who].wake_ns ? i : who;
		sibling_tries(&siblings[who], cost_ns);
	}
	for (unsigned i = 0; i < count; i++) {
		sum_ns += siblings[i].taken_ns;
		/* A turn is a tenth of a minute's for each of ten; beside it a second. */
		fine &= siblings[i].taken_ns > due_ns / 2 &&
			siblings[i].longest_ns < 15 * SECOND;
	}
	/* Nothing is lost to turns, and nothing gained. */
	fine &= sum_ns > count * due_ns / 100 * 95;
	return fine && sum_ns <= count * due_ns + terms.burst_ns + cost_ns;
}

static void of_siblings_that_take_turns_none_starves(void)
{
	static const uint32_t rates[] = { 1, 5, 50, 400, 1000 };
	static const uint64_t bursts_ns[] = { MS, 20 * MS, SECOND };

	for (unsigned i = 0; i < 15; i++)
		for (unsigned count = 1; count <= 8; count *= 2) {
			terms.rate_permille = rates[i / 3];
			terms.burst_ns = bursts_ns[i % 3];
			CU_ASSERT(siblings_get_their_part(count));
		}
}

static void time_may_run_to_its_end(void)
{
	for (uint32_t rate = 1; rate <= 1000; rate += 9) {
		setup();
		terms.rate_permille = rate;
		now_ns = 1;
		takes(UINT64_MAX);
		now_ns = END_OF_TIME;
		CU_ASSERT_EQUAL(level(), 20 * MS);
		CU_ASSERT_TRUE(takes(30 * MS));
		CU_ASSERT_EQUAL(level(), -10 * (int64_t)MS);
		CU_ASSERT_FALSE(takes(1));
		CU_ASSERT_EQUAL(bucket.repairs, 0);
	}
}

static void bursts_beyond_all_time_do_no_harm(void)
{
	terms.burst_ns = UINT64_MAX;
	CU_ASSERT_TRUE(takes(SECOND));
	for (int i = 0; i < 1000; i++) {
		now_ns += random_magnitude(END_OF_TIME / 1000);
		CU_ASSERT_TRUE(takes(random_magnitude(SECOND)));
		gsh_bucket_settle(&bucket, &terms, INT64_MAX);
		CU_ASSERT(level() > 0);
	}
	gsh_bucket_settle(&bucket, &terms, INT64_MIN);
	CU_ASSERT_EQUAL(level(), -DEBT_MAX);
}

/* ---- settling --------------------------------------------------------------------------- */

static void what_was_not_used_is_given_back(void)
{
	takes(30 * MS);
	gsh_bucket_settle(&bucket, &terms, 25 * MS);
	CU_ASSERT_EQUAL(level(), 15 * MS);
	gsh_bucket_settle(&bucket, &terms, -40 * (int64_t)MS);
	CU_ASSERT_EQUAL(level(), -25 * (int64_t)MS);
}

static void settling_never_passes_the_burst_nor_the_greatest_debt(void)
{
	takes(1);
	gsh_bucket_settle(&bucket, &terms, INT64_MAX);
	CU_ASSERT_EQUAL((int64_t)bucket.level, 20 * MS);
	gsh_bucket_settle(&bucket, &terms, INT64_MIN);
	CU_ASSERT_EQUAL((int64_t)bucket.level, -DEBT_MAX);
	gsh_bucket_settle(&bucket, &terms, INT64_MIN);
	CU_ASSERT_EQUAL((int64_t)bucket.level, -DEBT_MAX);
	gsh_bucket_settle(&bucket, &terms, INT64_MAX);
	CU_ASSERT_EQUAL((int64_t)bucket.level, 20 * MS);
	CU_ASSERT_EQUAL(bucket.repairs, 0);
}

static void the_bell_rings_when_a_debt_turns_into_credit_and_only_then(void)
{
	takes(30 * MS);
	CU_ASSERT_EQUAL(bucket.bell, 0);
	gsh_bucket_settle(&bucket, &terms, 10 * MS);
	CU_ASSERT_EQUAL(bucket.bell, 0); /* level 0: still none */
	gsh_bucket_settle(&bucket, &terms, 1);
	CU_ASSERT_EQUAL(bucket.bell, 1);
	gsh_bucket_settle(&bucket, &terms, MS);
	CU_ASSERT_EQUAL(bucket.bell, 1);
	gsh_bucket_settle(&bucket, &terms, -10 * (int64_t)MS);
	CU_ASSERT_EQUAL(bucket.bell, 1);
	now_ns += SECOND;
	takes(1);
	CU_ASSERT_EQUAL(bucket.bell, 1);
}

static void settling_says_whether_the_bell_has_changed(void)
{
	unsigned rung = 0;

	for (int i = 0; i < 100000; i++) {
		uint32_t before = bucket.bell;
		int64_t next_ns = (int64_t)random_magnitude(40 * MS) - 20 * (int64_t)MS;

		rung += gsh_bucket_settle(&bucket, &terms,
					  next_ns - (int64_t)bucket.level);
		CU_ASSERT_EQUAL_FATAL(bucket.bell - before, bucket.bell != before);
		CU_ASSERT_EQUAL_FATAL(bucket.bell, rung);
	}
	CU_ASSERT(rung > 1000);
}

/* ---- words that somebody scribbled on --------------------------------------------------- */

static const uint64_t scribbles[] = {
	(uint64_t)INT64_MAX,
	(uint64_t)INT64_MIN,
	(uint64_t)-INT64_C(1000000000000000000),
	(uint64_t)-DEBT_MAX - 1,
	(uint64_t)-DEBT_MAX,
	UINT64_MAX,
	1,
	0,
	(uint64_t)20 * MS + 1,
};

/* What can be taken in no time at all, by launches of a microsecond. */
static uint64_t taken_at_once_ns(void)
{
	uint64_t taken_ns = 0;

	while (taken_ns < SECOND && takes(US))
		taken_ns += US;
	return taken_ns;
}

/* Tries to launch until it may; how long that takes if nobody else launches. */
static uint64_t stuck_ns(void)
{
	uint64_t begin_ns = now_ns, wait_ns = 0;

	for (int i = 0; i < 10 && !take(1, &wait_ns); i++)
		now_ns += wait_ns;
	CU_ASSERT_TRUE(takes(1) || wait_ns > 0);
	return now_ns - begin_ns;
}

static uint64_t longest_stuck_ns(void)
{
	/* The clock of the bucket may be ahead by ten seconds. */
	return (GSH_BUCKET_DEBT_MAX_NS / terms.rate_permille + 1) * US + 11 * SECOND;
}

static void a_scribbled_level_never_stops_a_tenant_for_good_nor_frees_it(void)
{
	for (size_t i = 0; i < sizeof(scribbles) / sizeof(*scribbles); i++) {
		setup();
		taken_at_once_ns();
		now_ns += MS / 10;
		bucket.level = scribbles[i];
		CU_ASSERT(level() <= 20 * (int64_t)MS && level() >= -DEBT_MAX);
		CU_ASSERT(taken_at_once_ns() <= 20 * MS + US);
		CU_ASSERT(stuck_ns() <= longest_stuck_ns());
		CU_ASSERT(level() <= 20 * (int64_t)MS && level() >= -DEBT_MAX);
	}
}

static void impossible_levels_are_put_right_and_counted(void)
{
	static const uint64_t impossible[] = { (uint64_t)INT64_MAX, (uint64_t)INT64_MIN,
					       (uint64_t)-INT64_C(1000000000000000000),
					       (uint64_t)-DEBT_MAX - 1, 20 * MS + 1 };

	for (int i = 0; i < 5; i++) {
		setup();
		takes(MS);
		bucket.level = impossible[i];
		now_ns += MS;
		/* Neither debt nor credit was to be had from it. */
		CU_ASSERT_EQUAL(level(), 300 * US);
		CU_ASSERT_TRUE(takes(1));
		CU_ASSERT_EQUAL(level(), 300 * US - 1);
		CU_ASSERT_EQUAL(bucket.repairs, 1);
		takes(1);
		CU_ASSERT_EQUAL(bucket.repairs, 1);
		bucket.level = impossible[i];
		gsh_bucket_settle(&bucket, &terms, 5);
		CU_ASSERT_EQUAL(level(), 5);
		CU_ASSERT_EQUAL(bucket.repairs, 2);
	}
}

static void a_scribbled_clock_never_stops_a_tenant_for_good_nor_frees_it(void)
{
	uint64_t clocks[] = { 0,
			      1,
			      UINT64_MAX,
			      END_OF_TIME,
			      now_ns + 9 * SECOND,
			      now_ns + 11 * SECOND,
			      UINT64_C(1) << 63 };

	for (size_t i = 0; i < sizeof(clocks) / sizeof(*clocks); i++) {
		for (size_t j = 0; j < sizeof(scribbles) / sizeof(*scribbles); j++) {
			setup();
			taken_at_once_ns();
			bucket.refilled_ns = clocks[i];
			CU_ASSERT(level() <= 20 * (int64_t)MS);
			CU_ASSERT(taken_at_once_ns() <= 20 * MS + US);
			bucket.refilled_ns = clocks[i];
			bucket.level = scribbles[j];
			CU_ASSERT(taken_at_once_ns() <= 20 * MS + US);
			CU_ASSERT(stuck_ns() <= longest_stuck_ns());
		}
	}
}

static void a_clock_of_the_bucket_far_ahead_is_put_right_and_counted(void)
{
	taken_at_once_ns();
	bucket.refilled_ns = UINT64_MAX;
	CU_ASSERT_FALSE(takes(1));
	CU_ASSERT_EQUAL(bucket.repairs, 1);
	CU_ASSERT_EQUAL(bucket.refilled_ns, now_ns);
	now_ns += MS;
	CU_ASSERT_TRUE(takes(MS));
	CU_ASSERT_EQUAL(bucket.repairs, 1);
}

static void who_read_the_clock_before_others_turns_nothing_back(void)
{
	taken_at_once_ns();
	now_ns += 9 * SECOND;
	CU_ASSERT_TRUE(takes(30 * MS));
	now_ns -= 9 * SECOND;
	CU_ASSERT_FALSE(takes(1));
	now_ns += 9 * SECOND;
	CU_ASSERT_FALSE(takes(1));
	CU_ASSERT_EQUAL(bucket.repairs, 0);
	CU_ASSERT_EQUAL(level(), -10 * (int64_t)MS);
}

static void random_words_are_survived(void)
{
	for (int i = 0; i < 200000; i++) {
		uint64_t wait_ns = 0;

		bucket.level = random_magnitude(UINT64_MAX) ^
			       (random_below(2) ? UINT64_MAX : 0);
		bucket.refilled_ns = random_magnitude(UINT64_MAX);
		bucket.burst_ns = random_magnitude(UINT64_MAX);
		now_ns = 1 + random_magnitude(UINT64_MAX);
		terms.rate_permille = (uint32_t)random_magnitude(UINT32_MAX);
		terms.burst_ns = random_magnitude(UINT64_MAX);
		gsh_bucket_settle(&bucket, &terms, (int64_t)random_magnitude(UINT64_MAX));
		if (!take(random_magnitude(UINT64_MAX), &wait_ns))
			CU_ASSERT_FATAL(wait_ns > 0 &&
					wait_ns <= (GSH_BUCKET_DEBT_MAX_NS + 1) * US +
							   10 * SECOND);
		CU_ASSERT_FATAL(level() >= -DEBT_MAX);
		CU_ASSERT_FATAL(level() <= 0 || (uint64_t)level() <= terms.burst_ns ||
				terms.burst_ns == 0);
	}
}

const struct unit_suite unit_suite = {
	.name = "bucket",
	.setup = setup,
	.tests = {
		UNIT_TEST(a_tenant_starts_with_a_burst_saved_up),
		UNIT_TEST(a_tenant_may_start_at_nanosecond_zero),
		UNIT_TEST(a_debt_from_before_the_first_taking_is_paid_with_the_first_burst),
		UNIT_TEST(who_takes_the_last_credit_may_go_below_zero),
		UNIT_TEST(who_is_refused_takes_nothing),
		UNIT_TEST(the_wait_ends_to_the_nanosecond_when_there_is_credit),
		UNIT_TEST(launches_in_quick_succession_leave_the_clock_of_the_bucket_alone),
		UNIT_TEST(the_smallest_burst_lets_a_tenant_through),
		UNIT_TEST(rates_beyond_their_bounds_are_the_nearest_there_is),
		UNIT_TEST(no_launch_is_charged_more_than_the_greatest_debt),
		UNIT_TEST(what_the_level_is_said_to_be_can_be_taken),
		UNIT_TEST(no_stretch_of_time_gets_more_than_rate_and_burst_and_one_launch),
		UNIT_TEST(live_changes_give_no_more_than_the_highest_terms),
		UNIT_TEST(a_lowered_burst_holds_at_the_next_use),
		UNIT_TEST(a_changed_rate_holds_at_the_next_use),
		UNIT_TEST(who_always_wants_more_gets_his_rate_in_the_long_run),
		UNIT_TEST(refills_at_the_lowest_rate_lose_nothing_to_rounding),
		UNIT_TEST(takings_every_few_nanoseconds_lose_nothing_to_rounding),
		UNIT_TEST(none_of_many_waiters_starves),
		UNIT_TEST(what_is_needed_is_part_of_a_burst_and_falls_until_a_second_has_passed),
		UNIT_TEST(who_has_no_siblings_needs_nothing),
		UNIT_TEST(nobody_needs_more_than_half_of_a_burst),
		UNIT_TEST(who_needs_credit_waits_until_there_is_more_than_that),
		UNIT_TEST(the_wait_for_what_is_needed_ends_to_the_nanosecond),
		UNIT_TEST(of_siblings_that_take_turns_none_starves),
		UNIT_TEST(time_may_run_to_its_end),
		UNIT_TEST(bursts_beyond_all_time_do_no_harm),
		UNIT_TEST(what_was_not_used_is_given_back),
		UNIT_TEST(settling_never_passes_the_burst_nor_the_greatest_debt),
		UNIT_TEST(the_bell_rings_when_a_debt_turns_into_credit_and_only_then),
		UNIT_TEST(settling_says_whether_the_bell_has_changed),
		UNIT_TEST(a_scribbled_level_never_stops_a_tenant_for_good_nor_frees_it),
		UNIT_TEST(impossible_levels_are_put_right_and_counted),
		UNIT_TEST(a_scribbled_clock_never_stops_a_tenant_for_good_nor_frees_it),
		UNIT_TEST(a_clock_of_the_bucket_far_ahead_is_put_right_and_counted),
		UNIT_TEST(who_read_the_clock_before_others_turns_nothing_back),
		UNIT_TEST(random_words_are_survived),
	},
};
