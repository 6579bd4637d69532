/*
 * What holds of an arbiter whatever happens: bounds over random schedules, each against
 * books that the test keeps itself.
 *
 * A schedule is tenants with random terms, random work in flight and timers that are
 * late, or, where it is about events and lies, anything at all.
 */
#include "arbiter_guests.h"

#include <stdlib.h>

#include "cunit_main.h"

/* One of the requests that most people write, or any. */
static uint32_t random_request(void)
{
	static const uint32_t usual[] = { 10, 50, 100, 250, 300, 500, 700 };

	if (random_below(2))
		return usual[random_below(7)];
	return 10 + (uint32_t)random_below(991);
}

/* ---- everybody always has work ----------------------------------------------------- */

struct schedule {
	uint32_t count;
	uint32_t requests[GUESTS];
	uint64_t most_drain_ns, late_ns;
	uint64_t drain_ns;	     /* of the present holder */
	uint64_t longest_ns[GUESTS]; /* turn */
};

/* One decision, and time to the next; every holder drains for another time. */
static void go_on(struct schedule *schedule)
{
	uint64_t turn = arbiter.turn, at_ns;

	for (uint32_t i = 0; i < schedule->count; i++) {
		uint64_t in_flight_ns = 0;

		if (i == holder)
			in_flight_ns = now_ns < until_ns ? schedule->drain_ns
				       : until_ns + schedule->drain_ns > now_ns
					       ? until_ns + schedule->drain_ns - now_ns
					       : 0;
		works(i, in_flight_ns, true);
	}
	decide();
	if (arbiter.turn != turn)
		schedule->drain_ns = random_below(schedule->most_drain_ns + 1);
	at_ns = decision.wake_ns + random_below(schedule->late_ns + 1);
	if (decision.wake_ns == NEVER || random_below(8) == 0)
		at_ns = now_ns + random_below(decision.wake_ns == NEVER
						      ? MS
						      : decision.wake_ns - now_ns);
	pass_to(at_ns);
}

static void begin_schedule(struct schedule *schedule, uint64_t seed)
{
	start();
	random_state = seed;
	memset(schedule, 0, sizeof(*schedule));
	schedule->count = 2 + (uint32_t)random_below(GUESTS - 1);
	schedule->most_drain_ns = random_below(2) ? 3 * MS / 2 : random_below(30 * MS);
	schedule->late_ns = random_below(2) ? 0 : random_below(300 * US);
	for (uint32_t i = 0; i < schedule->count; i++)
		schedule->requests[i] = random_request();
}

/* Most that a tenant has of the device after it was found to be the first in order. */
static uint64_t round_ns(const struct schedule *schedule)
{
	return QUANTUM + schedule->most_drain_ns + 2 * schedule->late_ns +
	       tuning.handover_ns;
}

static void begin_demand(const struct schedule *schedule)
{
	for (uint32_t i = 0; i < schedule->count; i++) {
		works(i, 0, true);
		gsh_arbiter_demand(&arbiter, i, now_ns);
	}
}

/*
 * With Q a quantum with its drain and late timers, w a weight as a part of all and n
 * tenants: nobody is ahead of w * total by more than Q * (1 - w), or behind by more than
 * Q * w * (n - 1); so over any stretch of time their sum.
 */
static void in_any_stretch_of_time_service_is_within_quanta_of_the_share(void)
{
	struct schedule schedule;

	for (uint64_t seed = 1; seed <= 200; seed++) {
		double least[GUESTS] = { 0 }, most[GUESTS] = { 0 };
		double weights = 0, round;

		begin_schedule(&schedule, seed);
		for (uint32_t i = 0; i < schedule.count; i++) {
			enter(i, schedule.requests[i]);
			weights += schedule.requests[i];
		}
		begin_demand(&schedule);
		round = (double)round_ns(&schedule);
		for (int n = 0; n < 2500; n++) {
			double total = 0;

			go_on(&schedule);
			for (uint32_t i = 0; i < schedule.count; i++)
				total += (double)held_ns[i];
			for (uint32_t i = 0; i < schedule.count; i++) {
				double lag = (double)held_ns[i] -
					     total * schedule.requests[i] / weights;

				least[i] = lag < least[i] ? lag : least[i];
				most[i] = lag > most[i] ? lag : most[i];
			}
		}
		for (uint32_t i = 0; i < schedule.count; i++) {
			double w = schedule.requests[i] / weights;

			CU_ASSERT_TRUE(most[i] <= round * (1 - w) + 1e3);
			CU_ASSERT_TRUE(-least[i] <=
				       round * w * (schedule.count - 1) + 1e3);
		}
	}
}

/* A bound on waiting: by its share, and a round of the others. */
static void nobody_waits_for_longer_than_its_share_makes_it(void)
{
	struct schedule schedule;

	for (uint64_t seed = 1; seed <= 200; seed++) {
		uint64_t since_ns[GUESTS] = { 0 }, longest_ns[GUESTS] = { 0 },
			 weights = 0;

		begin_schedule(&schedule, seed);
		for (uint32_t i = 0; i < schedule.count; i++) {
			enter(i, schedule.requests[i]);
			weights += schedule.requests[i];
			since_ns[i] = now_ns;
		}
		begin_demand(&schedule);
		for (int n = 0; n < 2500; n++) {
			go_on(&schedule);
			for (uint32_t i = 0; i < schedule.count; i++) {
				if (i == holder)
					since_ns[i] = now_ns;
				if (now_ns - since_ns[i] > longest_ns[i])
					longest_ns[i] = now_ns - since_ns[i];
			}
		}
		for (uint32_t i = 0; i < schedule.count; i++) {
			uint64_t turn_ns = round_ns(&schedule);

			CU_ASSERT_TRUE(longest_ns[i] <=
				       turn_ns * weights / schedule.requests[i] +
					       turn_ns * schedule.count);
		}
	}
}

/* Requests that fit on the device. Who was overtaken shared it for a while. */
static void every_class_gets_what_it_was_guaranteed(void)
{
	struct schedule schedule;

	for (uint64_t seed = 1; seed <= 200; seed++) {
		uint32_t left = 1000 - 10 * GUESTS;
		uint64_t begin_ns;

		begin_schedule(&schedule, seed);
		for (uint32_t i = 0; i < schedule.count; i++) {
			uint32_t request = 10 + (uint32_t)random_below(left / 2);

			schedule.requests[i] = left < 40 ? 0 : request;
			left -= left < 40 ? 0 : request;
			enter_as(i, schedule.requests[i], 1000, random_below(3));
		}
		begin_demand(&schedule);
		begin_ns = now_ns;
		while (now_ns < begin_ns + 10 * SECOND)
			go_on(&schedule);
		for (uint32_t i = 0; i < schedule.count; i++) {
			uint64_t due_ns = (now_ns - begin_ns) / 1000 *
					  schedule.requests[i];

			CU_ASSERT_TRUE(view(i).charged_ns + 10 * QUANTUM +
					       10 * schedule.most_drain_ns >=
				       due_ns);
		}
	}
}

/*
 * Of each limited tenant a bucket of the test's own: it is never overdrawn by more than
 * what drained after a turn, and late timers.
 */
static void in_any_stretch_of_time_limits_hold_to_a_burst(void)
{
	struct schedule schedule;

	for (uint64_t seed = 1; seed <= 300; seed++) {
		double credit[GUESTS] = { 0 }, least = 0;
		uint32_t limits[GUESTS] = { 0 };
		uint64_t had_ns[GUESTS] = { 0 }, last_ns;

		begin_schedule(&schedule, seed);
		/* Longer ones than that earn something to who waits for them. */
		schedule.most_drain_ns = random_below(19 * MS / 10);
		if (random_below(4) == 0)
			schedule.count = 1;
		for (uint32_t i = 0; i < schedule.count; i++) {
			limits[i] = 1 + (uint32_t)random_below(999);
			enter_as(i, random_below(2) ? limits[i] : 0, limits[i],
				 random_below(3));
			credit[i] = 20e6;
		}
		begin_demand(&schedule);
		last_ns = now_ns;
		for (int n = 0; n < 3000; n++) {
			go_on(&schedule);
			for (uint32_t i = 0; i < schedule.count; i++) {
				credit[i] += (double)(now_ns - last_ns) * limits[i] /
						     1000 -
					     (double)(held_ns[i] - had_ns[i]);
				if (credit[i] > 20e6)
					credit[i] = 20e6;
				if (credit[i] < least)
					least = credit[i];
				had_ns[i] = held_ns[i];
			}
			last_ns = now_ns;
		}
		CU_ASSERT_TRUE(-least <= (double)(schedule.most_drain_ns +
						  2 * schedule.late_ns + 5 * US));
	}
}

/* It asks for less than its request, beside others who always have work. */
static void a_latency_tenant_is_served_within_the_bound(void)
{
	struct schedule schedule;

	for (uint64_t seed = 1; seed <= 200; seed++) {
		uint64_t rings_ns, rang_ns = 0, worst_ns = 0, served = 0;
		uint32_t me;

		begin_schedule(&schedule, seed);
		me = --schedule.count;
		for (uint32_t i = 0; i < schedule.count; i++)
			enter_as(i, schedule.requests[i] / schedule.count, 1000,
				 random_below(2) ? GPUSHIM_PRIORITY_NORMAL
						 : GPUSHIM_PRIORITY_BATCH);
		schedule.most_drain_ns = random_below(2) ? MS : 600 * MS;
		enter_as(me, 300, 1000, GPUSHIM_PRIORITY_LATENCY);
		begin_demand(&schedule);
		rings_ns = now_ns + 30 * MS;
		for (int n = 0; n < 3000; n++) {
			if (now_ns >= rings_ns && !rang_ns) {
				rang_ns = now_ns;
				works(me, 0, true);
				gsh_arbiter_demand(&arbiter, me, now_ns);
			}
			go_on(&schedule);
			if (holder != me || !rang_ns)
				continue;
			served++;
			if (arbiter.begin_ns - rang_ns > worst_ns)
				worst_ns = arbiter.begin_ns - rang_ns;
			/* Its work is done. */
			rang_ns = 0;
			rings_ns = now_ns + 10 * MS + random_below(60 * MS);
			idles(me, 20 * MS);
			reports[me].launches++;
			decide();
			CU_ASSERT_TRUE(holder != me);
		}
		CU_ASSERT_TRUE(served > 20);
		CU_ASSERT_TRUE(worst_ns <= tuning.yield_ns + schedule.late_ns + MS);
	}
}

/* ---- anything at all --------------------------------------------------------------- */

static uint64_t random_time(void)
{
	switch (random_below(6)) {
	case 0:
		return 0;
	case 1:
		return NEVER >> random_below(64);
	case 2:
		return now_ns + random_below(SECOND);
	case 3:
		return now_ns - random_below(SECOND);
	default:
		return random_below(UINT64_C(1) << random_below(34));
	}
}

static void random_report(uint32_t tenant)
{
	reports[tenant] = (struct gsh_arbiter_report){
		.in_flight_ns = random_time(),
		.idle_since_ns = random_time(),
		.gap_ns = random_time(),
		.launches = random_below(2) ? random_time() : 0,
		.waits = random_below(2),
	};
}

static void random_event(void)
{
	uint32_t tenant = (uint32_t)random_below(GUESTS);
	struct gsh_arbiter_report report = { .waits = random_below(2) };

	switch (random_below(12)) {
	case 0:
		enter_as(tenant, (uint32_t)random_below(1200),
			 (uint32_t)(random_below(2) ? 1000 : random_below(1200)),
			 random_below(4));
		break;
	case 1:
		if (random_below(4) == 0)
			gsh_arbiter_leave(&arbiter, tenant, now_ns);
		break;
	case 2:
		gsh_arbiter_report(&arbiter, tenant, &report, now_ns);
		break;
	case 3:
		if (random_below(100) == 0)
			gsh_arbiter_charge(&arbiter, tenant, random_time(), now_ns);
		break;
	case 4:
	case 5:
		random_report(tenant);
		break;
	default:
		gsh_arbiter_demand(&arbiter, tenant, now_ns);
	}
}

/* What must be so after every decision. */
static bool is_sound(uint64_t last_turn)
{
	bool wanted = false, wants = false, sound = true;
	uint32_t holders = 0;

	for (uint32_t i = 0; i < GUESTS; i++) {
		struct gsh_arbiter_view seen = view(i);

		holders += seen.holds;
		wanted |= seen.waits && !seen.throttled;
		wants |= seen.waits;
		sound &= !(seen.holds && seen.waits);
		sound &= !(seen.holds && seen.overruns);
		sound &= seen.credit_ns <= 1000 * (int64_t)MS + 1020 * (int64_t)MS;
		sound &= seen.credit_ns >= -60 * (int64_t)SECOND;
	}
	sound &= holders <= 1;
	/* Work-conserving. */
	sound &= !wanted || holders == 1;
	/* What nobody would tell is woken for. */
	sound &= decision.wake_ns > now_ns;
	sound &= !wants || decision.wake_ns != NEVER;
	/* No turn is longer than a quantum once somebody waits for it. */
	sound &= !wanted || until_ns <= now_ns + QUANTUM + tuning.handover_ns;
	for (uint32_t i = 0; i < decision.count; i++) {
		const struct gsh_arbiter_action *action = &decision.actions[i];

		if (action->verb == GSH_ARBITER_GRANT)
			sound &= action->tenant == holder && i == decision.count - 1 &&
				 action->turn == arbiter.turn &&
				 action->until_ns > now_ns && action->turn >= last_turn;
		else
			sound &= action->until_ns <= now_ns;
	}
	return sound;
}

static void whatever_happens_one_has_the_device_if_it_is_wanted(void)
{
	for (uint64_t seed = 1; seed <= 40; seed++) {
		uint32_t unsound = 0;

		start_at(seed % 7 == 0 ? UINT64_MAX - (SECOND << 20) : seed * SECOND);
		random_state = seed;
		for (int n = 0; n < 20000; n++) {
			uint64_t last_turn = arbiter.turn, step_ns;

			for (uint64_t events = random_below(4); events > 0; events--)
				random_event();
			decide();
			unsound += !is_sound(last_turn);
			step_ns = random_below(UINT64_C(1) << random_below(28));
			if (random_below(2) && decision.wake_ns != NEVER &&
			    decision.wake_ns < now_ns + SECOND)
				pass_to(decision.wake_ns);
			else
				pass(step_ns);
		}
		CU_ASSERT_EQUAL(unsound, 0);
	}
}

/* From any state, with reports that stay what they are. */
static void left_alone_it_does_not_wake_without_end(void)
{
	for (uint64_t seed = 1; seed <= 2000; seed++) {
		uint64_t begin_ns, decisions = 0;

		start();
		random_state = seed;
		for (int n = 0; n < 100; n++) {
			random_event();
			decide();
			pass(random_below(UINT64_C(1) << random_below(26)));
		}
		begin_ns = now_ns;
		while (decision.wake_ns < begin_ns + SECOND) {
			pass_to(decision.wake_ns > now_ns ? decision.wake_ns : now_ns);
			decide();
			if (++decisions > 1500)
				break;
		}
		CU_ASSERT_TRUE(decisions <= 1500);
	}
}

/* Who lies is 0; everybody else always has work. */
static void whatever_a_ledger_says_the_others_have_their_share_of_turns(void)
{
	struct schedule schedule;

	for (uint64_t seed = 1; seed <= 150; seed++) {
		uint64_t weights = 0, begin_ns;

		begin_schedule(&schedule, seed);
		schedule.most_drain_ns = MS;
		for (uint32_t i = 0; i < schedule.count; i++) {
			enter(i, schedule.requests[i]);
			weights += schedule.requests[i];
		}
		begin_demand(&schedule);
		begin_ns = now_ns;
		while (now_ns < begin_ns + 10 * SECOND) {
			uint64_t at_ns;

			for (uint32_t i = 1; i < schedule.count; i++)
				works(i,
				      i != holder || now_ns > until_ns + MS ? 0
				      : now_ns < until_ns		    ? MS
							  : until_ns + MS - now_ns,
				      true);
			random_report(0);
			if (random_below(2))
				gsh_arbiter_demand(&arbiter, 0, now_ns);
			decide();
			at_ns = decision.wake_ns + random_below(schedule.late_ns + 1);
			if (decision.wake_ns == NEVER || random_below(8) == 0)
				at_ns = now_ns + random_below(MS);
			pass_to(at_ns);
		}
		for (uint32_t i = 1; i < schedule.count; i++) {
			uint64_t due_ns = (now_ns - begin_ns) / weights *
					  schedule.requests[i];

			/* A stretch at most is on loan. */
			CU_ASSERT_TRUE(held_ns[i] + tuning.stretch_ns >= due_ns);
		}
	}
}

/*
 * The control: without the arbiter's order the bounds above do not hold, so that they
 * mean something. Turns of a quantum go round, whatever the weights.
 */
static void round_robin_would_be_seen_to_break_the_bound(void)
{
	double held[3] = { 0 }, total = 0, lag = 0;
	static const double weight[3] = { 0.7, 0.2, 0.1 };

	for (int n = 0; n < 100; n++) {
		held[n % 3] += (double)QUANTUM;
		total += (double)QUANTUM;
		lag = weight[0] * total - held[0];
	}
	CU_ASSERT_TRUE(lag > (double)QUANTUM * weight[0] * 2);
}

const struct unit_suite unit_suite = {
	.name = "arbiter, random schedules",
	.tests = {
		UNIT_TEST(in_any_stretch_of_time_service_is_within_quanta_of_the_share),
		UNIT_TEST(nobody_waits_for_longer_than_its_share_makes_it),
		UNIT_TEST(every_class_gets_what_it_was_guaranteed),
		UNIT_TEST(in_any_stretch_of_time_limits_hold_to_a_burst),
		UNIT_TEST(a_latency_tenant_is_served_within_the_bound),
		UNIT_TEST(whatever_happens_one_has_the_device_if_it_is_wanted),
		UNIT_TEST(left_alone_it_does_not_wake_without_end),
		UNIT_TEST(whatever_a_ledger_says_the_others_have_their_share_of_turns),
		UNIT_TEST(round_robin_would_be_seen_to_break_the_bound),
	},
};
