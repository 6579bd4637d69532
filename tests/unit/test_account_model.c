/*
 * Thousands of random programs on the device of account_device.h, each short: what must hold
 * of every one of them.
 */
#include "account_device.h"

#include <stdio.h>

#include "cunit_main.h"

enum { PROGRAMS = 4000 };

/* Launches of one signature: two costs in some proportion, or any in a wide range. */
struct kind {
	uint64_t low_ns, high_ns;
	double part;
	bool wide;
};

struct plan {
	struct kind kinds[SIGNATURES_MAX];
	unsigned count;
	uint64_t pause_ns;
	double pauses; /* of the launches have one */
};

static struct work planned(struct device *device, unsigned stream, uint64_t number)
{
	const struct plan *plan = device->program_state;
	struct random *random = &device->random;
	unsigned signature = (unsigned)draw_below(random, plan->count);
	const struct kind *kind = &plan->kinds[signature];
	struct work work = { .signature = signature };

	(void)stream, (void)number;
	work.run_ns = draw_part(random) < kind->part ? kind->high_ns : kind->low_ns;
	if (kind->wide)
		work.run_ns = US(10) << draw_below(random, 10);
	if (draw_part(random) < plan->pauses)
		work.pause_ns = draw_below(random, plan->pause_ns);
	return work;
}

static uint64_t any_cost_ns(struct random *random)
{
	return (US(2) << draw_below(random, 13)) + draw_below(random, US(10));
}

static void draw_plan(struct plan *plan, struct random *random)
{
	*plan = (struct plan){ .count = 1 + (unsigned)draw_below(random, SIGNATURES_MAX),
			       .pause_ns = any_cost_ns(random) * 4,
			       .pauses = draw_below(random, 3) * draw_part(random) / 2 };
	for (unsigned i = 0; i < plan->count; i++) {
		struct kind *kind = &plan->kinds[i];

		kind->low_ns = any_cost_ns(random);
		kind->high_ns = any_cost_ns(random);
		kind->part = draw_below(random, 3) * draw_part(random) / 2;
		kind->wide = draw_below(random, 4) == 0;
	}
}

static struct device draw_device(struct plan *plan, uint64_t seed)
{
	struct device device = { .program = planned,
				 .program_state = plan,
				 .random = { seed },
				 .switch_ns = US(100) };
	struct random *random = &device.random;

	draw_plan(plan, random);
	device.streams = 1 + (unsigned)draw_below(random, STREAMS_MAX);
	device.one_at_a_time = draw_below(random, 2);
	device.late = (unsigned)draw_below(random, 3) * 8;
	device.slice_ns = MS(1 + draw_below(random, 2));
	return device;
}

static void add_others(struct device *device)
{
	struct random *random = &device->random;

	device->others = (unsigned)draw_below(random, 4);
	for (unsigned i = 0; i < device->others; i++) {
		if (draw_below(random, 2))
			continue;
		device->other[i].work_ns = any_cost_ns(random);
		device->other[i].period_ns = device->other[i].work_ns *
					     (4 + draw_below(random, 8));
	}
}

static uint64_t lower(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void run_launches(struct device *device, unsigned launches)
{
	start(device);
	while (device->launches < launches)
		step(device);
	for (unsigned i = 0; i < device->streams; i++)
		settle_stream(device, &device->stream[i]);
}

/* At most so much of the truth is of launches that have not completed. */
static uint64_t running_ns(const struct device *device)
{
	uint64_t ns = 0;

	for (unsigned i = 0; i < device->streams; i++)
		if (device->now_ns > device->stream[i].begin_ns)
			ns += device->now_ns - device->stream[i].begin_ns;
	return ns;
}

/* Some launches may look like short ones that a slice of others cut. */
static bool excusable(const struct plan *plan)
{
	for (unsigned i = 0; i < plan->count; i++) {
		uint64_t low_ns = plan->kinds[i].low_ns;

		if (low_ns <= GSH_COST_SHORT_NS ||
		    plan->kinds[i].high_ns <= GSH_COST_SHORT_NS || plan->kinds[i].wide)
			return true;
	}
	return false;
}

static void alone_and_measured_every_program_is_charged_its_union(void)
{
	unsigned exact = 0;

	for (uint64_t seed = 1; seed <= PROGRAMS; seed++) {
		struct plan plan;
		struct device device = draw_device(&plan, seed);
		uint64_t left_ns, guessed_ns;

		run_launches(&device, 150);
		/* Where spans had to be joined, a little is guessed. */
		guessed_ns = device.late ? device.truth_ns / 33 : 0;
		left_ns = device.truth_ns - lower(device.truth_ns, running_ns(&device));
		/* A pause that events cannot tell is counted, too. */
		CU_ASSERT_FATAL(device.charged_ns <=
				device.truth_ns + guessed_ns + device.samples * 1000);
		CU_ASSERT_FATAL(device.charged_ns >=
				left_ns / 2 - lower(left_ns / 2, device.samples * 4));
		if (excusable(&plan))
			continue;
		exact++;
		CU_ASSERT_FATAL(device.charged_ns + device.samples * 4 + guessed_ns >=
				left_ns);
	}
	CU_ASSERT(exact > PROGRAMS / 50);
}

static void nobody_is_ever_charged_more_time_than_has_passed(void)
{
	for (uint64_t seed = 1; seed <= PROGRAMS; seed++) {
		struct plan plan;
		struct device device = draw_device(&plan, seed);

		add_others(&device);
		device.credit_ns = US(500) * draw_below(&device.random, 2);
		device.fuzz_ns = draw_below(&device.random, 500);
		run_launches(&device, 150);
		CU_ASSERT_FATAL(device.charged_ns <=
				device.now_ns - MS(1000) + 8 * US(500) + US(1));
	}
}

static void measured_beside_others_at_least_half_of_what_shows_is_charged(void)
{
	for (uint64_t seed = 1; seed <= PROGRAMS; seed++) {
		struct plan plan;
		struct device device = draw_device(&plan, seed);

		add_others(&device);
		device.streams = 1;
		run_launches(&device, 300);
		CU_ASSERT_FATAL(device.charged_ns + device.samples >=
				device.shown_ns / 2);
		CU_ASSERT_FATAL(device.charged_ns <= device.shown_ns + US(300));
	}
}

static void sampled_alone_on_one_busy_stream_the_average_is_right(void)
{
	double charged = 0, truth = 0;

	for (uint64_t seed = 1; seed <= PROGRAMS / 8; seed++) {
		struct plan plan;
		struct device device = draw_device(&plan, seed);

		device.streams = 1;
		device.every = 2 + (unsigned)draw_below(&device.random, 8);
		plan.pauses = 0;
		for (unsigned i = 0; i < plan.count; i++)
			if (plan.kinds[i].low_ns <= GSH_COST_SHORT_NS)
				plan.kinds[i].low_ns += GSH_COST_SHORT_NS;
		run_launches(&device, 3000);
		CU_ASSERT_FATAL(device.charged_ns <= device.truth_ns + US(500));
		charged += (double)device.charged_ns;
		truth += (double)device.truth_ns;
	}
	CU_ASSERT(charged > truth * 0.97);
	if (charged <= truth * 0.97)
		printf("      charged %.4f\n", charged / truth);
}

const struct unit_suite unit_suite = {
	.name = "what is charged to random programs",
	.tests = {
		UNIT_TEST(alone_and_measured_every_program_is_charged_its_union),
		UNIT_TEST(nobody_is_ever_charged_more_time_than_has_passed),
		UNIT_TEST(measured_beside_others_at_least_half_of_what_shows_is_charged),
		UNIT_TEST(sampled_alone_on_one_busy_stream_the_average_is_right),
	},
};
