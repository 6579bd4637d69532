/*
 * Turns on several devices at once: that they begin and end together, that nobody waits
 * for ever, and what that costs those who use one device.
 *
 * Everybody always has work; time goes from one decision to the next.
 */
#include "policy/arbiter.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "cunit_main.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

enum { DEVICES = 3, TENANTS = 6 };

static struct gsh_arbiter arbiters[DEVICES];
static struct gsh_arbiter_decision decisions[DEVICES];
static uint32_t uses[TENANTS]; /* bits: devices; 0: not there */
static bool complete[TENANTS];
static uint64_t now_ns, drain_ns;
static uint64_t held_ns[DEVICES][TENANTS], together_ns[TENANTS], alone_ns[TENANTS];
static uint64_t until_ns[DEVICES];
static uint64_t rounds; /* of decisions */

static void start(void)
{
	struct gsh_arbiter_tuning tuning = gsh_arbiter_tuning(0);

	now_ns = 1000 * SECOND;
	drain_ns = MS;
	memset(uses, 0, sizeof(uses));
	memset(complete, 0, sizeof(complete));
	memset(held_ns, 0, sizeof(held_ns));
	memset(together_ns, 0, sizeof(together_ns));
	memset(alone_ns, 0, sizeof(alone_ns));
	memset(until_ns, 0, sizeof(until_ns));
	rounds = 0;
	for (int d = 0; d < DEVICES; d++)
		gsh_arbiter_init(&arbiters[d], &tuning, now_ns);
}

static void enter(uint32_t tenant, uint32_t devices, uint32_t request_permille)
{
	const struct gsh_arbiter_terms terms = { .request_permille = request_permille,
						 .limit_permille = 1000 };

	uses[tenant] = devices;
	for (int d = 0; d < DEVICES; d++)
		if (devices >> d & 1)
			gsh_arbiter_enter(&arbiters[d], tenant, &terms, now_ns);
}

static bool is_multiple(uint32_t tenant)
{
	return (uses[tenant] & (uses[tenant] - 1)) != 0;
}

static void decide_one(int d)
{
	struct gsh_arbiter *arbiter = &arbiters[d];

	for (uint32_t i = 0; i < TENANTS; i++) {
		struct gsh_arbiter_report report = { .launches = now_ns, .waits = true };

		if (!(uses[i] >> d & 1))
			continue;
		if (!is_multiple(i))
			gsh_arbiter_demand(arbiter, i, now_ns);
		if (arbiter->holder == i && (!is_multiple(i) || complete[i]))
			report.in_flight_ns = now_ns < until_ns[d] ? drain_ns
					      : until_ns[d] + drain_ns > now_ns
						      ? until_ns[d] + drain_ns - now_ns
						      : 0;
		if (gsh_arbiter_watches(arbiter, i))
			gsh_arbiter_report(arbiter, i, &report, now_ns);
	}
	gsh_arbiter_decide(arbiter, now_ns, &decisions[d]);
	for (uint32_t i = 0; i < decisions[d].count; i++)
		if (decisions[d].actions[i].verb != GSH_ARBITER_OVERTAKE)
			until_ns[d] = decisions[d].actions[i].until_ns;
}

static void align(uint32_t tenant)
{
	struct gsh_arbiter *mine[DEVICES];
	uint32_t count = 0;

	for (int d = 0; d < DEVICES; d++)
		if (uses[tenant] >> d & 1)
			mine[count++] = &arbiters[d];
	complete[tenant] = gsh_arbiter_align(mine, count, tenant, now_ns);
	for (int d = 0; d < DEVICES; d++)
		if (uses[tenant] >> d & 1)
			decide_one(d);
}

/* As long as somebody gets another device. */
static void decide_all(void)
{
	uint64_t had, has = 0;

	for (int d = 0; d < DEVICES; d++)
		decide_one(d);
	do {
		had = has;
		for (uint32_t i = 0; i < TENANTS; i++)
			if (is_multiple(i))
				align(i);
		has = 0;
		for (int d = 0; d < DEVICES; d++)
			has += arbiters[d].turn;
	} while (has != had);
}

static void count_to(uint64_t at_ns)
{
	for (uint32_t i = 0; i < TENANTS; i++) {
		bool some = false, all = uses[i] != 0;

		for (int d = 0; d < DEVICES; d++) {
			bool holds = arbiters[d].holder == i;

			if (!(uses[i] >> d & 1))
				continue;
			held_ns[d][i] += holds ? at_ns - now_ns : 0;
			some |= holds;
			all &= holds;
		}
		together_ns[i] += all ? at_ns - now_ns : 0;
		alone_ns[i] += some && !all ? at_ns - now_ns : 0;
	}
	now_ns = at_ns;
}

static void run(uint64_t time_ns)
{
	uint64_t end_ns = now_ns + time_ns;

	while (now_ns < end_ns) {
		uint64_t at_ns = end_ns;

		decide_all();
		rounds++;
		for (int d = 0; d < DEVICES; d++)
			if (decisions[d].wake_ns < at_ns)
				at_ns = decisions[d].wake_ns;
		count_to(at_ns);
	}
	/* A timer that expires again and again keeps a core busy. */
	CU_ASSERT_TRUE(rounds < 2 * DEVICES * (end_ns / MS - 1000 * 1000));
}

static void alone_it_holds_all_devices_and_nobody_wakes(void)
{
	enter(0, 7, 500);
	for (int i = 0; i < 4; i++)
		decide_all();
	CU_ASSERT_TRUE(complete[0]);
	for (int d = 0; d < DEVICES; d++) {
		CU_ASSERT_EQUAL(arbiters[d].holder, 0);
		CU_ASSERT_EQUAL(until_ns[d], GSH_ARBITER_NEVER);
		CU_ASSERT_EQUAL(decisions[d].wake_ns, GSH_ARBITER_NEVER);
	}
}

static void turns_begin_and_end_together(void)
{
	enter(0, 3, 500);
	enter(1, 1, 500);
	enter(2, 2, 500);
	run(10 * SECOND);
	CU_ASSERT_TRUE(together_ns[0] > 4 * SECOND);
	/* What it holds of one without the other is time lost for everybody. */
	CU_ASSERT_TRUE(alone_ns[0] < together_ns[0] / 4);
	CU_ASSERT_TRUE(held_ns[0][1] > 4 * SECOND);
	CU_ASSERT_TRUE(held_ns[1][2] > 4 * SECOND);
}

static void where_one_device_is_contended_the_other_follows(void)
{
	enter(0, 3, 300);
	enter(1, 1, 700);
	run(10 * SECOND);
	CU_ASSERT_TRUE(together_ns[0] > 2500 * MS && together_ns[0] < 3200 * MS);
	CU_ASSERT_TRUE(held_ns[0][1] > 6700 * MS);
	start();
	enter(0, 3, 300);
	enter(1, 2, 700);
	run(10 * SECOND);
	CU_ASSERT_TRUE(together_ns[0] > 2300 * MS && together_ns[0] < 3200 * MS);
	CU_ASSERT_TRUE(held_ns[1][1] > 6300 * MS);
}

static void tenants_that_overlap_in_a_ring_all_get_their_turns(void)
{
	enter(0, 3, 300);
	enter(1, 6, 300);
	enter(2, 5, 300);
	enter(3, 1, 100);
	enter(4, 2, 100);
	enter(5, 4, 100);
	run(20 * SECOND);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_TRUE(together_ns[i] > 4 * SECOND);
	for (int d = 0; d < DEVICES; d++)
		CU_ASSERT_TRUE(held_ns[d][3 + d] > 2 * SECOND);
}

static void equals_on_the_same_devices_take_turns(void)
{
	enter(0, 3, 500);
	enter(1, 3, 500);
	run(10 * SECOND);
	CU_ASSERT_TRUE(together_ns[0] > 4500 * MS);
	CU_ASSERT_TRUE(together_ns[1] > 4500 * MS);
}

/* It comes from sleep there, and ends a turn: of four it need not wait for three. */
static void the_second_device_soon_follows_the_first(void)
{
	enter(0, 3, 250);
	enter(1, 1, 750);
	enter(2, 2, 250);
	enter(3, 2, 250);
	enter(4, 2, 250);
	run(10 * SECOND);
	CU_ASSERT_TRUE(together_ns[0] > 2200 * MS);
	CU_ASSERT_TRUE(alone_ns[0] < together_ns[0] / 3);
}

static void demand_while_the_last_turn_drains_is_not_forgotten(void)
{
	struct gsh_arbiter *mine[] = { &arbiters[0], &arbiters[1] };
	struct gsh_arbiter_report report = { .in_flight_ns = MS, .waits = true };

	enter(0, 3, 500);
	decide_all();
	decide_all();
	CU_ASSERT_TRUE(complete[0]);
	/* A turn on the second ends: so does that on the first, with work in flight. */
	gsh_arbiter_leave(&arbiters[1], 0, now_ns);
	enter(0, 3, 500);
	CU_ASSERT_FALSE(gsh_arbiter_align(mine, 2, 0, now_ns));
	gsh_arbiter_report(&arbiters[0], 0, &report, now_ns);
	gsh_arbiter_decide(&arbiters[0], now_ns, &decisions[0]);
	CU_ASSERT_TRUE(arbiters[0].ending);
	CU_ASSERT_FALSE(gsh_arbiter_align(mine, 2, 0, now_ns));
	gsh_arbiter_report(&arbiters[0], 0, &report, now_ns);
	gsh_arbiter_decide(&arbiters[0], now_ns, &decisions[0]);
	now_ns = decisions[0].wake_ns;
	report.in_flight_ns = 0;
	gsh_arbiter_report(&arbiters[0], 0, &report, now_ns);
	gsh_arbiter_decide(&arbiters[0], now_ns, &decisions[0]);
	CU_ASSERT_EQUAL(arbiters[0].holder, 0);
	CU_ASSERT_TRUE(arbiters[0].pinned);
}

static void one_device_is_given_up_when_the_other_does_not_come(void)
{
	struct gsh_arbiter *mine[] = { &arbiters[0], &arbiters[1] };
	const struct gsh_arbiter_report report = { .waits = true };
	uint64_t from_ns = now_ns;

	enter(0, 3, 500);
	enter(1, 1, 500);
	enter(2, 2, 500);
	/* The second is held by somebody with a long kernel. */
	drain_ns = 300 * MS;
	decide_one(1);
	CU_ASSERT_FALSE(gsh_arbiter_align(mine, 2, 0, now_ns));
	gsh_arbiter_decide(&arbiters[0], now_ns, &decisions[0]);
	CU_ASSERT_EQUAL(arbiters[0].holder, 0);
	gsh_arbiter_demand(&arbiters[0], 1, now_ns);
	while (arbiters[0].holder == 0 && now_ns < from_ns + SECOND) {
		gsh_arbiter_report(&arbiters[0], 0, &report, now_ns);
		gsh_arbiter_decide(&arbiters[0], now_ns, &decisions[0]);
		if (arbiters[0].holder == 0)
			now_ns = decisions[0].wake_ns;
	}
	CU_ASSERT_EQUAL(arbiters[0].holder, 1);
	CU_ASSERT_EQUAL(now_ns, from_ns + 40 * MS);
	/* It was not told to use what it had. */
	CU_ASSERT_EQUAL(arbiters[0].tenants[0].no_shows, 0);
}

const struct unit_suite unit_suite = {
	.name = "arbiter, several devices",
	.setup = start,
	.tests = {
		UNIT_TEST(alone_it_holds_all_devices_and_nobody_wakes),
		UNIT_TEST(turns_begin_and_end_together),
		UNIT_TEST(where_one_device_is_contended_the_other_follows),
		UNIT_TEST(tenants_that_overlap_in_a_ring_all_get_their_turns),
		UNIT_TEST(equals_on_the_same_devices_take_turns),
		UNIT_TEST(the_second_device_soon_follows_the_first),
		UNIT_TEST(demand_while_the_last_turn_drains_is_not_forgotten),
		UNIT_TEST(one_device_is_given_up_when_the_other_does_not_come),
	},
};
