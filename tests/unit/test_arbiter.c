/*
 * The rules of an arbiter, one by one: who gets a turn, when it ends, and what it costs.
 *
 * test_arbiter_random.c has the bounds over random schedules, test_arbiter_model.c what
 * programs get of a device.
 */
#include "arbiter_guests.h"

#include "cunit_main.h"

/* ---- alone ------------------------------------------------------------------------- */

static void while_nobody_wants_the_device_nobody_wakes(void)
{
	decide();
	CU_ASSERT_EQUAL(decision.count, 0);
	CU_ASSERT_EQUAL(decision.wake_ns, NEVER);
	enter(0, 500);
	decide();
	CU_ASSERT_EQUAL(decision.count, 0);
	CU_ASSERT_EQUAL(decision.wake_ns, NEVER);
}

static void alone_a_tenant_has_the_device_for_good_and_nobody_wakes(void)
{
	enter(0, 100);
	enter(1, 900);
	ring(0);
	CU_ASSERT_EQUAL(decision.count, 1);
	CU_ASSERT_TRUE_FATAL(grants(0));
	CU_ASSERT_EQUAL(decision.actions[0].turn, 1);
	CU_ASSERT_EQUAL(decision.actions[0].until_ns, NEVER);
	CU_ASSERT_EQUAL(decision.wake_ns, NEVER);
	pass(3600 * SECOND);
	works(0, 2 * MS, true);
	decide();
	CU_ASSERT_EQUAL(decision.count, 0);
	CU_ASSERT_EQUAL(decision.wake_ns, NEVER);
}

static void a_second_tenant_bounds_the_first_ones_turn_to_a_quantum(void)
{
	enter(0, 500);
	enter(1, 500);
	ring(0);
	works(0, MS, true);
	pass(3 * MS);
	ring(1);
	CU_ASSERT_EQUAL(decision.count, 1);
	CU_ASSERT_TRUE_FATAL(grants(0));
	CU_ASSERT_EQUAL(decision.actions[0].turn, 1);
	CU_ASSERT_EQUAL(until_ns, now_ns + 7 * MS);
}

static void who_was_alone_for_long_yields_at_once(void)
{
	enter(0, 500);
	enter(1, 500);
	ring(0);
	works(0, MS, true);
	pass(SECOND);
	ring(1);
	CU_ASSERT_PTR_NOT_NULL(said(GSH_ARBITER_REVOKE, 0));
	CU_ASSERT_FALSE(grants(1));
	pass_to(decision.wake_ns);
	works(0, 100 * US, true);
	decide();
	CU_ASSERT_TRUE(grants(1));
	CU_ASSERT_EQUAL(turns[1], 2);
}

static void when_the_others_have_gone_the_turn_is_free_again(void)
{
	enter(0, 500);
	enter(1, 500);
	ring(0);
	works(0, MS, true);
	ring(1);
	CU_ASSERT_EQUAL(until_ns, now_ns + QUANTUM);
	gsh_arbiter_leave(&arbiter, 1, now_ns);
	decide();
	CU_ASSERT_TRUE(grants(0));
	CU_ASSERT_EQUAL(until_ns, NEVER);
	CU_ASSERT_EQUAL(decision.wake_ns, NEVER);
}

static void demand_that_is_taken_back_is_forgotten(void)
{
	enter(0, 500);
	enter(1, 500);
	ring(0);
	works(0, MS, true);
	ring(1);
	gsh_arbiter_report(&arbiter, 1, &(struct gsh_arbiter_report){ 0 }, now_ns);
	decide();
	CU_ASSERT_EQUAL(until_ns, NEVER);
	CU_ASSERT_FALSE(view(1).waits);
}

/* ---- the end of a turn ------------------------------------------------------------- */

/* 0 holds since `now_ns`, 1 waits; 0 has drain_ns in flight. */
static void begin_pair(uint64_t drain_ns)
{
	enter(0, 500);
	enter(1, 500);
	ring(0);
	works(0, drain_ns, true);
	ring(1);
}

static void the_next_turn_begins_when_what_drains_bridges_the_hand_over(void)
{
	begin_pair(MS);
	pass_to(until_ns);
	works(0, MS, true);
	decide();
	CU_ASSERT_FALSE(grants(1));
	CU_ASSERT_EQUAL(decision.wake_ns, now_ns + MS - tuning.handover_ns);
	pass_to(decision.wake_ns);
	works(0, tuning.handover_ns, true);
	decide();
	CU_ASSERT_TRUE(grants(1));
	CU_ASSERT_EQUAL(until_ns, now_ns + QUANTUM);
	CU_ASSERT_PTR_NULL(said(GSH_ARBITER_OVERTAKE, 0));
	CU_ASSERT_EQUAL(view(0).held_ns, 11 * MS - tuning.handover_ns);
}

static void without_work_in_flight_the_next_turn_begins_at_once(void)
{
	begin_pair(MS);
	pass_to(until_ns);
	works(0, 0, true);
	decide();
	CU_ASSERT_TRUE(grants(1));
	CU_ASSERT_TRUE(view(0).waits);
}

static void a_turn_stretches_to_the_end_of_a_kernel_which_is_paid_back(void)
{
	begin_pair(300 * MS);
	pass_to(until_ns);
	works(0, 290 * MS, true);
	decide();
	CU_ASSERT_FALSE(grants(1));
	while (!grants(1)) {
		CU_ASSERT_TRUE_FATAL(decision.wake_ns != NEVER);
		pass_to(decision.wake_ns);
		works(0, 1300 * SECOND, true);
		reports[0].in_flight_ns = 1000 * SECOND + 300 * MS - now_ns;
		decide();
	}
	CU_ASSERT_EQUAL(now_ns, 1000 * SECOND + 300 * MS - tuning.handover_ns);
	CU_ASSERT_PTR_NULL(said(GSH_ARBITER_OVERTAKE, 0));
	/* The other one first gets as much. */
	memset(held_ns, 0, sizeof(held_ns));
	saturate(3, 290 * MS, MS, 0);
	CU_ASSERT_EQUAL(held_ns[0], 0);
	saturate(3, 10 * SECOND, MS, 0);
	CU_ASSERT_TRUE(held_ns[0] < held_ns[1]);
	CU_ASSERT_TRUE(held_ns[1] - held_ns[0] > 280 * MS);
	CU_ASSERT_TRUE(held_ns[1] - held_ns[0] < 320 * MS);
}

static void a_kernel_longer_than_any_stretch_is_overtaken_at_once(void)
{
	begin_pair(30 * SECOND);
	pass_to(until_ns);
	works(0, 30 * SECOND, false);
	decide();
	CU_ASSERT_TRUE(grants(1));
	CU_ASSERT_PTR_NOT_NULL(said(GSH_ARBITER_OVERTAKE, 0));
	CU_ASSERT_TRUE(view(0).overruns);
	CU_ASSERT_TRUE(gsh_arbiter_watches(&arbiter, 0));
	/* Then both are charged a half, until it has drained. */
	works(1, MS, true);
	pass(4 * MS);
	CU_ASSERT_EQUAL(held_ns[1], 4 * MS);
	decide();
	CU_ASSERT_EQUAL(view(0).charged_ns, 12 * MS);
	CU_ASSERT_EQUAL(view(1).charged_ns, 2 * MS);
	works(0, 0, false);
	decide();
	CU_ASSERT_FALSE(view(0).overruns);
	CU_ASSERT_FALSE(gsh_arbiter_watches(&arbiter, 0));
	pass(4 * MS);
	decide();
	CU_ASSERT_EQUAL(view(0).charged_ns, 12 * MS);
	CU_ASSERT_EQUAL(view(1).charged_ns, 6 * MS);
}

/* The turn is over at until_ns; says in_flight_ns at every look. When is 1 granted? */
static void stubborn_until(uint64_t in_flight_ns)
{
	for (int i = 0; i < 10000 && !grants(1); i++) {
		pass_to(decision.wake_ns);
		works(0, in_flight_ns, true);
		decide();
	}
}

static void who_drains_for_ever_is_overtaken_after_the_stretch(void)
{
	uint64_t end_ns;

	begin_pair(50 * MS);
	end_ns = until_ns;
	stubborn_until(50 * MS);
	CU_ASSERT_TRUE(now_ns > end_ns + 350 * MS);
	CU_ASSERT_TRUE(now_ns < end_ns + 360 * MS);
	CU_ASSERT_PTR_NOT_NULL(said(GSH_ARBITER_OVERTAKE, 0));
}

static void who_is_stopped_is_overtaken_when_its_work_should_be_done(void)
{
	begin_pair(MS);
	pass_to(until_ns);
	works(0, 1, false);
	decide();
	CU_ASSERT_TRUE(grants(1));
	CU_ASSERT_FALSE(view(0).overruns);
	/* It does not get to say that it has drained: from some time on that counts. */
	for (int i = 0; i < 6 && !view(0).overruns; i++) {
		pass_to(decision.wake_ns);
		works(1, MS, true);
		decide();
	}
	CU_ASSERT_TRUE(view(0).overruns);
	CU_ASSERT_PTR_NOT_NULL(said(GSH_ARBITER_OVERTAKE, 0));
}

static void a_holder_that_died_is_succeeded_at_once(void)
{
	begin_pair(300 * MS);
	pass(MS);
	gsh_arbiter_leave(&arbiter, 0, now_ns);
	decide();
	CU_ASSERT_TRUE(grants(1));
	CU_ASSERT_EQUAL(until_ns, NEVER);
	CU_ASSERT_FALSE(gsh_arbiter_watches(&arbiter, 0));
}

static void who_died_but_may_come_back_keeps_its_debt(void)
{
	begin_pair(300 * MS);
	pass(60 * MS);
	reports[0] = (struct gsh_arbiter_report){ .gap_ns = NEVER };
	decide();
	CU_ASSERT_TRUE(grants(1));
	CU_ASSERT_FALSE(gsh_arbiter_watches(&arbiter, 0));
	works(1, MS, true);
	saturate(3, 40 * MS, 0, 0);
	CU_ASSERT_EQUAL(held_ns[0], 60 * MS);
}

static void short_gaps_are_kept_and_long_ones_yielded(void)
{
	begin_pair(0);
	pass(MS);
	idles(0, tuning.keep_ns);
	decide();
	CU_ASSERT_FALSE(grants(1));
	CU_ASSERT_EQUAL(decision.wake_ns, now_ns + tuning.keep_ns);
	idles(0, tuning.keep_ns + 1);
	decide();
	CU_ASSERT_PTR_NOT_NULL(said(GSH_ARBITER_REVOKE, 0));
	CU_ASSERT_TRUE(grants(1));
}

static void a_gap_that_grows_long_is_yielded(void)
{
	begin_pair(0);
	pass(MS);
	idles(0, 0);
	decide();
	pass_to(decision.wake_ns - 1);
	decide();
	CU_ASSERT_FALSE(grants(1));
	pass_to(decision.wake_ns);
	decide();
	CU_ASSERT_TRUE(grants(1));
	CU_ASSERT_EQUAL(held_ns[0], MS + tuning.keep_ns + US - 1);
}

static void a_gap_that_is_foreseen_is_yielded_while_the_last_work_drains(void)
{
	begin_pair(MS);
	works(0, MS, false);
	reports[0].gap_ns = MS;
	decide();
	CU_ASSERT_PTR_NOT_NULL(said(GSH_ARBITER_REVOKE, 0));
	CU_ASSERT_FALSE(grants(1));
	CU_ASSERT_EQUAL(decision.wake_ns, now_ns + MS - tuning.handover_ns);
	pass_to(decision.wake_ns);
	reports[0].in_flight_ns = tuning.handover_ns;
	decide();
	CU_ASSERT_TRUE(grants(1));
}

static void nobody_loses_a_turn_to_a_gap_while_nobody_waits(void)
{
	enter(0, 500);
	ring(0);
	pass(SECOND);
	idles(0, SECOND);
	decide();
	CU_ASSERT_EQUAL(decision.count, 0);
	CU_ASSERT_TRUE(view(0).holds);
}

static void a_turn_that_is_not_used_goes_to_the_next(void)
{
	uint64_t begin_ns = now_ns;

	begin_pair(0);
	while (!grants(1) && now_ns < begin_ns + QUANTUM) {
		decide();
		if (!grants(1))
			pass_to(decision.wake_ns);
	}
	CU_ASSERT_EQUAL(now_ns, begin_ns + tuning.no_show_ns);
	CU_ASSERT_PTR_NOT_NULL(said(GSH_ARBITER_REVOKE, 0));
	/* It is a turn if it has launched once. */
	start();
	begin_pair(0);
	reports[0].launches = 7;
	pass(MS);
	decide();
	reports[0].launches = 8;
	while (!grants(1)) {
		pass_to(decision.wake_ns);
		decide();
	}
	CU_ASSERT_EQUAL(now_ns, begin_ns + QUANTUM);
}

static void who_does_not_use_its_turns_is_barred_in_time(void)
{
	uint64_t lost_ns = 0;

	begin_pair(0);
	gsh_arbiter_leave(&arbiter, 0, now_ns);
	decide();
	enter(0, 500);
	works(0, 0, true);
	for (int i = 0; i < 4000; i++) {
		gsh_arbiter_demand(&arbiter, 0, now_ns);
		if (holder == 1)
			works(1, 100 * US, true);
		gsh_arbiter_demand(&arbiter, 1, now_ns);
		decide();
		pass(MS);
	}
	lost_ns = held_ns[0];
	CU_ASSERT_TRUE(lost_ns > 4 * tuning.no_show_ns);
	CU_ASSERT_TRUE(lost_ns < held_ns[1] / 20);
	CU_ASSERT_TRUE(view(0).throttled || !view(0).waits);
}

/* 0 rings, and gets a turn beside 1, who always has work. */
static void take_turn(bool used)
{
	uint64_t before = view(0).turns;

	reports[0].waits = true;
	reports[0].in_flight_ns = 0;
	for (int i = 0; i < 1000 && (view(0).turns == before || holder == 0); i++) {
		gsh_arbiter_demand(&arbiter, 0, now_ns);
		gsh_arbiter_demand(&arbiter, 1, now_ns);
		if (holder == 0 && used)
			works(0, 10 * US, true);
		works(1, MS, true);
		decide();
		pass(MS);
	}
	CU_ASSERT_EQUAL(view(0).turns, before + 1);
}

static void who_used_its_last_turn_is_not_barred_for_losing_one(void)
{
	enter(0, 500);
	enter(1, 500);
	take_turn(false);
	take_turn(true);
	take_turn(false);
	CU_ASSERT_TRUE(arbiter.tenants[0].barred_ns <= now_ns);
	take_turn(false);
	CU_ASSERT_TRUE(arbiter.tenants[0].barred_ns > now_ns);
}

static void a_turn_is_charged_no_less_than_what_its_hand_over_costs(void)
{
	begin_pair(0);
	pass(10 * US);
	idles(0, MS);
	decide();
	CU_ASSERT_TRUE(grants(1));
	CU_ASSERT_EQUAL(view(0).held_ns, 10 * US);
	CU_ASSERT_EQUAL(view(0).charged_ns, tuning.keep_ns);
}

/* ---- order ------------------------------------------------------------------------- */

static void shares_follow_requests(void)
{
	enter(0, 700);
	enter(1, 200);
	enter(2, 100);
	saturate(7, 10 * SECOND, MS, 50 * US);
	CU_ASSERT_TRUE(held_ns[0] > 6950 * MS && held_ns[0] < 7050 * MS);
	CU_ASSERT_TRUE(held_ns[1] > 1950 * MS && held_ns[1] < 2050 * MS);
	CU_ASSERT_TRUE(held_ns[2] > 950 * MS && held_ns[2] < 1050 * MS);
}

static void who_is_still_first_goes_on_without_draining(void)
{
	enter(0, 900);
	enter(1, 100);
	ring(0);
	works(0, MS, true);
	ring(1);
	pass_to(until_ns - tuning.handover_ns);
	works(0, MS, true);
	gsh_arbiter_charge(&arbiter, 1, SECOND, now_ns);
	decide();
	CU_ASSERT_TRUE(grants(0));
	CU_ASSERT_EQUAL(turns[0], 1);
	CU_ASSERT_EQUAL(until_ns, now_ns + QUANTUM);
}

static void best_effort_gets_what_is_left_and_is_not_starved(void)
{
	enter(0, 500);
	enter(1, 490);
	enter(2, 0);
	saturate(7, 10 * SECOND, MS, 0);
	CU_ASSERT_TRUE(held_ns[2] > 80 * MS);
	CU_ASSERT_TRUE(held_ns[2] < 120 * MS);
	start();
	enter_as(0, 300, 300, GPUSHIM_PRIORITY_NORMAL);
	enter(2, 0);
	saturate(5, 10 * SECOND, MS, 0);
	CU_ASSERT_TRUE(held_ns[2] > 6900 * MS);
}

static void who_slept_comes_back_no_further_ahead_than_a_burst(void)
{
	enter(0, 500);
	enter(1, 500);
	enter(2, 500);
	saturate(3, SECOND, 0, 0);
	saturate(7, 20 * MS, 0, 0);
	/* Its own share of these 100 ms, its burst, and a quantum that began. */
	memset(held_ns, 0, sizeof(held_ns));
	saturate(7, 100 * MS, 0, 0);
	CU_ASSERT_TRUE(held_ns[2] <= 34 * MS + 20 * MS + QUANTUM);
	CU_ASSERT_TRUE(held_ns[2] >= 34 * MS);
}

static void a_sleeper_ends_a_turn_of_its_class_at_its_least_length(void)
{
	enter(0, 500);
	enter(1, 500);
	enter(2, 500);
	saturate(3, SECOND, 0, 0);
	/* A turn that has just begun. */
	while (view(holder).turns == 0 || !said(GSH_ARBITER_GRANT, holder)) {
		pass_to(decision.wake_ns);
		works(holder, 0, true);
		decide();
	}
	pass(MS);
	works(holder, 500 * US, true);
	ring(2);
	CU_ASSERT_FALSE(grants(2));
	pass_to(decision.wake_ns);
	works(holder, 500 * US, true);
	decide();
	CU_ASSERT_PTR_NOT_NULL(said(GSH_ARBITER_REVOKE, holder));
	CU_ASSERT_TRUE(decision.wake_ns <= now_ns + 500 * US);
}

static void measured_time_is_charged_to_order_and_limit(void)
{
	enter_as(0, 500, 500, GPUSHIM_PRIORITY_NORMAL);
	enter(1, 500);
	gsh_arbiter_charge(&arbiter, 0, SECOND, now_ns);
	CU_ASSERT_EQUAL(view(0).credit_ns, -980 * (int64_t)MS);
	gsh_arbiter_demand(&arbiter, 0, now_ns);
	decide();
	CU_ASSERT_FALSE(grants(0));
	CU_ASSERT_TRUE(view(0).throttled);
	CU_ASSERT_TRUE(decision.wake_ns > now_ns + 1960 * MS);
	CU_ASSERT_TRUE(decision.wake_ns < now_ns + 2 * SECOND);
	saturate(3, 500 * MS, 0, 0);
	CU_ASSERT_EQUAL(held_ns[0], 0);
}

/* ---- priority ---------------------------------------------------------------------- */

static void a_higher_class_ends_a_turn_and_waits_no_longer_than_it_must(void)
{
	enter(0, 500);
	enter_as(1, 200, 1000, GPUSHIM_PRIORITY_LATENCY);
	ring(0);
	works(0, MS, true);
	pass(US);
	ring(1);
	CU_ASSERT_PTR_NOT_NULL(said(GSH_ARBITER_REVOKE, 0));
	CU_ASSERT_EQUAL(decision.wake_ns, now_ns + MS - tuning.handover_ns);
	/* A kernel that takes longer than that is not waited for. */
	start();
	enter(0, 500);
	enter_as(1, 200, 1000, GPUSHIM_PRIORITY_LATENCY);
	ring(0);
	works(0, 50 * MS, true);
	pass(US);
	ring(1);
	CU_ASSERT_TRUE(grants(1));
	CU_ASSERT_PTR_NOT_NULL(said(GSH_ARBITER_OVERTAKE, 0));
}

static void who_drains_for_its_own_class_is_overtaken_by_a_higher_one(void)
{
	begin_pair(300 * MS);
	pass_to(until_ns);
	works(0, 290 * MS, true);
	decide();
	pass(50 * MS);
	works(0, 240 * MS, true);
	enter_as(2, 200, 1000, GPUSHIM_PRIORITY_LATENCY);
	ring(2);
	CU_ASSERT_TRUE(grants(2));
	CU_ASSERT_PTR_NOT_NULL(said(GSH_ARBITER_OVERTAKE, 0));
}

static void a_lower_class_never_ends_a_turn(void)
{
	enter(0, 500);
	enter_as(1, 200, 1000, GPUSHIM_PRIORITY_BATCH);
	ring(0);
	works(0, MS, true);
	pass(US);
	ring(1);
	CU_ASSERT_PTR_NULL(said(GSH_ARBITER_REVOKE, 0));
	CU_ASSERT_EQUAL(until_ns, now_ns - US + QUANTUM);
}

static void surplus_goes_to_the_highest_class_and_guarantees_are_kept(void)
{
	enter_as(0, 300, 1000, GPUSHIM_PRIORITY_LATENCY);
	enter_as(1, 200, 1000, GPUSHIM_PRIORITY_NORMAL);
	enter_as(2, 100, 1000, GPUSHIM_PRIORITY_BATCH);
	enter_as(3, 0, 1000, GPUSHIM_PRIORITY_BATCH);
	saturate(15, 20 * SECOND, MS, 0);
	CU_ASSERT_TRUE(held_ns[0] > 13500 * MS && held_ns[0] < 13900 * MS);
	CU_ASSERT_TRUE(held_ns[1] > 3950 * MS && held_ns[1] < 4100 * MS);
	CU_ASSERT_TRUE(held_ns[2] > 1950 * MS && held_ns[2] < 2100 * MS);
	CU_ASSERT_TRUE(held_ns[3] > 180 * MS && held_ns[3] < 250 * MS);
	/* In turns, and not in crumbs. */
	CU_ASSERT_TRUE(view(1).turns <= held_ns[1] / QUANTUM + 10);
	CU_ASSERT_TRUE(view(2).turns <= held_ns[2] / QUANTUM + 10);
}

static void guarantees_that_add_up_to_too_much_are_scaled_down(void)
{
	enter_as(0, 1000, 1000, GPUSHIM_PRIORITY_LATENCY);
	enter_as(1, 500, 1000, GPUSHIM_PRIORITY_NORMAL);
	enter_as(2, 500, 1000, GPUSHIM_PRIORITY_BATCH);
	saturate(7, 10 * SECOND, MS, 0);
	CU_ASSERT_TRUE(held_ns[0] > 4800 * MS && held_ns[0] < 5200 * MS);
	CU_ASSERT_TRUE(held_ns[1] > 2300 * MS && held_ns[1] < 2700 * MS);
	CU_ASSERT_TRUE(held_ns[2] > 2300 * MS && held_ns[2] < 2700 * MS);
}

static void who_feasted_alone_has_its_guarantee_again_within_a_second(void)
{
	enter_as(0, 500, 1000, GPUSHIM_PRIORITY_LATENCY);
	enter_as(1, 100, 1000, GPUSHIM_PRIORITY_BATCH);
	saturate(2, 3600 * SECOND, MS, 0);
	saturate(3, SECOND, MS, 0);
	memset(held_ns, 0, sizeof(held_ns));
	saturate(3, SECOND, MS, 0);
	CU_ASSERT_TRUE(held_ns[1] > 80 * MS);
}

/* ---- limits ------------------------------------------------------------------------ */

static void a_limit_holds_when_nobody_else_wants_the_device(void)
{
	enter_as(0, 300, 300, GPUSHIM_PRIORITY_NORMAL);
	saturate(1, 10 * SECOND, 0, 0);
	CU_ASSERT_TRUE(held_ns[0] <= 3 * SECOND + 20 * MS);
	CU_ASSERT_TRUE(held_ns[0] >= 2990 * MS);
}

static void a_limit_above_the_request_lets_it_have_more_but_not_all(void)
{
	enter_as(0, 300, 600, GPUSHIM_PRIORITY_NORMAL);
	enter_as(1, 300, 300, GPUSHIM_PRIORITY_NORMAL);
	saturate(3, 10 * SECOND, MS, 0);
	CU_ASSERT_TRUE(held_ns[0] > 5950 * MS && held_ns[0] < 6030 * MS);
	CU_ASSERT_TRUE(held_ns[1] > 2950 * MS && held_ns[1] < 3030 * MS);
}

static void a_limited_tenant_gives_back_turns_that_it_does_not_use(void)
{
	enter_as(0, 300, 300, GPUSHIM_PRIORITY_NORMAL);
	ring(0);
	pass(MS);
	idles(0, MS);
	decide();
	CU_ASSERT_PTR_NOT_NULL(said(GSH_ARBITER_REVOKE, 0));
	CU_ASSERT_FALSE(view(0).holds);
	CU_ASSERT_EQUAL(view(0).held_ns, MS);
}

static void what_drains_after_a_turn_is_paid_back(void)
{
	enter_as(0, 500, 500, GPUSHIM_PRIORITY_NORMAL);
	saturate(1, 10 * SECOND, 3 * MS, 0);
	CU_ASSERT_TRUE(held_ns[0] <= 5 * SECOND + 20 * MS + 3 * MS);
	CU_ASSERT_TRUE(held_ns[0] >= 4990 * MS);
}

static void who_a_long_kernel_keeps_waiting_keeps_what_it_earns(void)
{
	enter_as(0, 500, 500, GPUSHIM_PRIORITY_NORMAL);
	enter_as(1, 500, 500, GPUSHIM_PRIORITY_NORMAL);
	ring(0);
	works(0, 310 * MS, true);
	ring(1);
	pass_to(until_ns);
	works(0, 300 * MS, true);
	decide();
	pass(290 * MS);
	works(0, 10 * MS, true);
	decide();
	CU_ASSERT_TRUE(view(1).credit_ns > 160 * (int64_t)MS);
	/* But no more than a burst once it wants no more. */
	gsh_arbiter_report(&arbiter, 1, &(struct gsh_arbiter_report){ 0 }, now_ns);
	pass(US);
	decide();
	CU_ASSERT_EQUAL(view(1).credit_ns, 20 * (int64_t)MS);
}

static void terms_take_effect_with_the_next_decision(void)
{
	enter(0, 500);
	ring(0);
	works(0, MS, true);
	pass(SECOND);
	decide();
	CU_ASSERT_EQUAL(until_ns, NEVER);
	enter_as(0, 100, 100, GPUSHIM_PRIORITY_NORMAL);
	decide();
	CU_ASSERT_TRUE(grants(0));
	CU_ASSERT_TRUE(until_ns <= now_ns + 23 * MS);
	enter(0, 100);
	decide();
	CU_ASSERT_EQUAL(until_ns, NEVER);
}

static void a_debt_outlives_a_change_of_terms(void)
{
	enter(0, 500);
	enter(1, 500);
	saturate(3, 100 * MS, 0, 0);
	gsh_arbiter_charge(&arbiter, 0, SECOND, now_ns);
	enter_as(0, 250, 1000, GPUSHIM_PRIORITY_NORMAL);
	memset(held_ns, 0, sizeof(held_ns));
	/* A second of service is three of its new shares, and four of the device. */
	saturate(3, 1900 * MS, 0, 0);
	CU_ASSERT_TRUE(held_ns[0] <= QUANTUM);
	saturate(3, 300 * MS, 0, 0);
	CU_ASSERT_TRUE(held_ns[0] > 3 * QUANTUM);
}

/* ---- lies -------------------------------------------------------------------------- */

static void who_pretends_to_run_for_ever_pays_for_part_of_all_turns(void)
{
	enter(0, 500);
	enter_as(1, 500, 300, GPUSHIM_PRIORITY_NORMAL);
	ring(0);
	reports[0] = (struct gsh_arbiter_report){ .in_flight_ns = SECOND, .waits = true };
	for (int i = 0; i < 1000; i++) {
		gsh_arbiter_demand(&arbiter, 1, now_ns);
		works(1, 0, true);
		decide();
		pass(MS);
	}
	/* The other's limit has seen all of its time, although half was charged. */
	CU_ASSERT_TRUE(held_ns[1] > 290 * MS);
	CU_ASSERT_TRUE(held_ns[1] <= 320 * MS + MS);
	CU_ASSERT_EQUAL(view(1).held_ns, held_ns[1]);
	CU_ASSERT_TRUE(view(1).charged_ns < view(0).charged_ns);
}

static void bells_without_need_make_no_difference(void)
{
	begin_pair(MS);
	pass(MS);
	for (int i = 0; i < 100; i++) {
		ring(0);
		CU_ASSERT_EQUAL(decision.count, 0);
		ring(1);
		CU_ASSERT_EQUAL(decision.count, 0);
	}
}

static void tenants_that_are_not_there_are_ignored(void)
{
	struct gsh_arbiter_report report = { .in_flight_ns = 1, .waits = true };
	struct gsh_arbiter_terms terms = { .limit_permille = 1000 };
	static const uint32_t numbers[] = { 3, 255, 256, NOBODY };

	enter(0, 500);
	for (unsigned i = 0; i < 4; i++) {
		gsh_arbiter_demand(&arbiter, numbers[i], now_ns);
		gsh_arbiter_report(&arbiter, numbers[i], &report, now_ns);
		gsh_arbiter_charge(&arbiter, numbers[i], SECOND, now_ns);
		gsh_arbiter_leave(&arbiter, numbers[i], now_ns);
		CU_ASSERT_FALSE(gsh_arbiter_watches(&arbiter, numbers[i]));
	}
	gsh_arbiter_enter(&arbiter, 256, &terms, now_ns);
	gsh_arbiter_enter(&arbiter, NOBODY, &terms, now_ns);
	decide();
	CU_ASSERT_EQUAL(decision.count, 0);
	CU_ASSERT_EQUAL(view(255).turns, 0);
}

static void a_clock_that_goes_back_stands_still(void)
{
	begin_pair(MS);
	pass(5 * MS);
	decide();
	gsh_arbiter_decide(&arbiter, now_ns - 3 * MS, &decision);
	CU_ASSERT_TRUE(decision.wake_ns > now_ns);
	CU_ASSERT_EQUAL(view(0).held_ns, 5 * MS);
	gsh_arbiter_decide(&arbiter, 0, &decision);
	CU_ASSERT_EQUAL(view(0).held_ns, 5 * MS);
}

static void any_uptime_and_any_length_of_a_turn_will_do(void)
{
	static const uint64_t uptimes[] = { 0, UINT64_C(1) << 50, UINT64_C(1) << 62,
					    UINT64_C(1) << 63,
					    UINT64_MAX - 1000 * SECOND };

	for (unsigned i = 0; i < sizeof(uptimes) / sizeof(uptimes[0]); i++) {
		start_at(uptimes[i]);
		enter(0, 600);
		enter(1, 399);
		enter(2, 1);
		/* Shares hold after each of many turns of weeks. */
		for (int n = 0; n < 40; n++) {
			if (i < 4)
				saturate(UINT32_C(1) << n % 3, SECOND << 21, 0, 0);
			memset(held_ns, 0, sizeof(held_ns));
			saturate(3, SECOND, MS, 0);
			CU_ASSERT_TRUE(held_ns[0] > 560 * MS && held_ns[0] < 640 * MS);
			gsh_arbiter_report(&arbiter, 1, &reports[2], now_ns);
			idles(0, SECOND);
			idles(1, SECOND);
			idles(2, SECOND);
			gsh_arbiter_report(&arbiter, 0, &reports[0], now_ns);
			gsh_arbiter_report(&arbiter, 1, &reports[1], now_ns);
			gsh_arbiter_report(&arbiter, 2, &reports[2], now_ns);
		}
	}
}

static void clocks_of_classes_that_overflow_are_not_noticed(void)
{
	static const uint64_t lengths_ns[] = { UINT64_C(1) << 51, UINT64_C(1) << 58 };

	start_at(0);
	enter(0, 600);
	enter(1, 400);
	enter(2, 0);
	for (int n = 0; n < 1000; n++) {
		saturate(4, lengths_ns[n % 100 == 99 && n < 800], 0, 0);
		idles(2, SECOND);
		gsh_arbiter_report(&arbiter, 2, &reports[2], now_ns);
		decide();
		if (n % 10)
			continue;
		memset(held_ns, 0, sizeof(held_ns));
		saturate(7, 500 * MS, MS, 0);
		/* Each has its share, and nobody more than a turn and a burst on top. */
		CU_ASSERT_TRUE(held_ns[0] > 250 * MS && held_ns[0] < 340 * MS);
		CU_ASSERT_TRUE(held_ns[1] > 150 * MS && held_ns[1] < 240 * MS);
		CU_ASSERT_TRUE(held_ns[2] < 40 * MS);
		for (uint32_t i = 0; i < 3; i++) {
			idles(i, SECOND);
			gsh_arbiter_report(&arbiter, i, &reports[i], now_ns);
		}
	}
}

static void no_debt_is_longer_than_a_minute(void)
{
	enter(0, 500);
	enter(1, 500);
	for (int i = 0; i < 20; i++)
		gsh_arbiter_charge(&arbiter, 0, 60 * SECOND, now_ns);
	saturate(3, 59 * SECOND, MS, 0);
	CU_ASSERT_TRUE(held_ns[0] <= QUANTUM);
	saturate(3, 2 * SECOND, MS, 0);
	CU_ASSERT_TRUE(held_ns[0] > 300 * MS);
}

static void credit_is_full_after_a_sleep_of_any_length(void)
{
	for (unsigned bit = 30; bit < 62; bit++)
		for (uint64_t odd = 1; odd < 8; odd += 2) {
			start_at(0);
			enter_as(0, 300, 300, GPUSHIM_PRIORITY_NORMAL);
			gsh_arbiter_charge(&arbiter, 0, MS, now_ns);
			pass(odd << bit);
			decide();
			CU_ASSERT_EQUAL(view(0).credit_ns, 20 * (int64_t)MS);
		}
}

const struct unit_suite unit_suite = {
	.name = "arbiter",
	.setup = start,
	.tests = {
		UNIT_TEST(while_nobody_wants_the_device_nobody_wakes),
		UNIT_TEST(alone_a_tenant_has_the_device_for_good_and_nobody_wakes),
		UNIT_TEST(a_second_tenant_bounds_the_first_ones_turn_to_a_quantum),
		UNIT_TEST(who_was_alone_for_long_yields_at_once),
		UNIT_TEST(when_the_others_have_gone_the_turn_is_free_again),
		UNIT_TEST(demand_that_is_taken_back_is_forgotten),
		UNIT_TEST(the_next_turn_begins_when_what_drains_bridges_the_hand_over),
		UNIT_TEST(without_work_in_flight_the_next_turn_begins_at_once),
		UNIT_TEST(a_turn_stretches_to_the_end_of_a_kernel_which_is_paid_back),
		UNIT_TEST(a_kernel_longer_than_any_stretch_is_overtaken_at_once),
		UNIT_TEST(who_drains_for_ever_is_overtaken_after_the_stretch),
		UNIT_TEST(who_is_stopped_is_overtaken_when_its_work_should_be_done),
		UNIT_TEST(a_holder_that_died_is_succeeded_at_once),
		UNIT_TEST(who_died_but_may_come_back_keeps_its_debt),
		UNIT_TEST(short_gaps_are_kept_and_long_ones_yielded),
		UNIT_TEST(a_gap_that_grows_long_is_yielded),
		UNIT_TEST(a_gap_that_is_foreseen_is_yielded_while_the_last_work_drains),
		UNIT_TEST(nobody_loses_a_turn_to_a_gap_while_nobody_waits),
		UNIT_TEST(a_turn_that_is_not_used_goes_to_the_next),
		UNIT_TEST(who_does_not_use_its_turns_is_barred_in_time),
		UNIT_TEST(who_used_its_last_turn_is_not_barred_for_losing_one),
		UNIT_TEST(a_turn_is_charged_no_less_than_what_its_hand_over_costs),
		UNIT_TEST(shares_follow_requests),
		UNIT_TEST(who_is_still_first_goes_on_without_draining),
		UNIT_TEST(best_effort_gets_what_is_left_and_is_not_starved),
		UNIT_TEST(who_slept_comes_back_no_further_ahead_than_a_burst),
		UNIT_TEST(a_sleeper_ends_a_turn_of_its_class_at_its_least_length),
		UNIT_TEST(measured_time_is_charged_to_order_and_limit),
		UNIT_TEST(a_higher_class_ends_a_turn_and_waits_no_longer_than_it_must),
		UNIT_TEST(who_drains_for_its_own_class_is_overtaken_by_a_higher_one),
		UNIT_TEST(a_lower_class_never_ends_a_turn),
		UNIT_TEST(surplus_goes_to_the_highest_class_and_guarantees_are_kept),
		UNIT_TEST(guarantees_that_add_up_to_too_much_are_scaled_down),
		UNIT_TEST(who_feasted_alone_has_its_guarantee_again_within_a_second),
		UNIT_TEST(a_limit_holds_when_nobody_else_wants_the_device),
		UNIT_TEST(a_limit_above_the_request_lets_it_have_more_but_not_all),
		UNIT_TEST(a_limited_tenant_gives_back_turns_that_it_does_not_use),
		UNIT_TEST(what_drains_after_a_turn_is_paid_back),
		UNIT_TEST(who_a_long_kernel_keeps_waiting_keeps_what_it_earns),
		UNIT_TEST(terms_take_effect_with_the_next_decision),
		UNIT_TEST(a_debt_outlives_a_change_of_terms),
		UNIT_TEST(who_pretends_to_run_for_ever_pays_for_part_of_all_turns),
		UNIT_TEST(bells_without_need_make_no_difference),
		UNIT_TEST(tenants_that_are_not_there_are_ignored),
		UNIT_TEST(a_clock_that_goes_back_stands_still),
		UNIT_TEST(clocks_of_classes_that_overflow_are_not_noticed),
		UNIT_TEST(credit_is_full_after_a_sleep_of_any_length),
		UNIT_TEST(no_debt_is_longer_than_a_minute),
		UNIT_TEST(any_uptime_and_any_length_of_a_turn_will_do),
	},
};
