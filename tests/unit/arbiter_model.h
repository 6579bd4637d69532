/*
 * arbiter_model.h - a device that several programs share, in virtual time, with an
 * arbiter or with nothing but the driver.
 *
 * The device runs one context at a time, in round-robin slices; a switch costs. Programs
 * launch kernels ahead, or some and then wait for them, or serve requests that arrive at
 * random; they go through a gate as guests do: launches pass until the end of a turn,
 * with bounded work in flight; who must wait rings a bell. Bells, timers and futexes take
 * their time. What programs get is counted by the device.
 *
 * Knows the arbiter by its header alone. For one test program: all functions are static.
 */
#ifndef TESTS_UNIT_ARBITER_MODEL_H
#define TESTS_UNIT_ARBITER_MODEL_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/arbiter.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)
#define NEVER UINT64_MAX

enum { MODEL_TENANTS_MAX = 8, MODEL_LATENCIES_MAX = 4096 };

/* What a ledger says that its tenant has falsified. */
enum model_lie {
	MODEL_HONEST,
	MODEL_BUSY_FOR_EVER, /* a second of work is in flight, always */
	MODEL_NEVER_IDLE,    /* short gaps, a thread that waits */
	MODEL_NEVER_BUSY,    /* nothing in flight, nobody waits, no end of gaps */
	MODEL_RINGS,	     /* rings without having work, all the time */
};

struct model_program {
	struct gsh_arbiter_terms terms;
	uint64_t kernel_ns;
	uint32_t kernels; /* before it waits for them; 0: launches ahead for ever */
	uint64_t gap_ns;  /* from their end to the next, or between requests */
	bool random;	  /* gap_ns is the mean time between arrivals of requests */
	bool unlearned;	  /* its kernels are taken for 200 us ones */
	enum model_lie lie;
	uint64_t begin_ns, end_ns; /* of the program; end 0: never */
};

enum model_phase { MODEL_GAP, MODEL_LAUNCHES, MODEL_SYNCS };

struct model_tenant {
	struct model_program program;
	enum model_phase phase;
	uint64_t gap_end_ns;
	uint64_t arrives_ns; /* the next request */
	uint64_t left;	     /* kernels to launch before it waits */
	bool alive, stopped;
	bool waits;	    /* at the gate, on the futex */
	uint64_t until_ns;  /* in its page */
	uint64_t awakes_ns; /* the futex has been woken; NEVER: no */
	uint64_t rings_ns;  /* when its bell is heard; NEVER: not rung */
	uint64_t idle_ns;
	uint64_t launches;
	/* The device's: kernels of this context, and what is left of the first. */
	uint64_t queued, left_ns;
	uint64_t gpu_ns;
	uint64_t random; /* of its own: the same arrivals whatever the others do */
	uint32_t latencies;
	uint64_t latency_ns[MODEL_LATENCIES_MAX];
};

struct model {
	bool arbitrated;
	uint64_t slice_ns, switch_ns;
	uint64_t bell_ns, futex_ns, late_ns; /* late_ns: of timers, at most */
	uint64_t in_flight_ns;		     /* bound of the gate */
	uint64_t now_ns, random;
	uint32_t count;
	struct model_tenant tenants[MODEL_TENANTS_MAX];
	/* The device. */
	uint32_t context; /* loaded; tenants' number */
	bool switches, runs;
	uint64_t switched_ns, slice_end_ns, ran_ns; /* ran_ns: counted up to */
	/* The agent. */
	uint64_t wake_ns, decisions, actions[3];
	struct gsh_arbiter arbiter;
};

/* splitmix64 */
static uint64_t model_random(uint64_t *state, uint64_t bound)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return (x ^ x >> 31) % bound;
}

static uint64_t model_exponential(uint64_t *state, uint64_t mean_ns)
{
	double unit = (double)(model_random(state, UINT64_C(1) << 52) + 1) * 0x1p-52;

	return (uint64_t)(-log(unit) * (double)mean_ns);
}

/* ---- the device -------------------------------------------------------------------- */

static bool model_ready(const struct model *model, uint32_t context)
{
	return model->tenants[context].queued > 0;
}

/* The next context with work after the loaded one; the loaded one last. */
static uint32_t model_next_context(const struct model *model)
{
	for (uint32_t i = 1; i <= model->count; i++) {
		uint32_t context = (model->context + i) % model->count;

		if (model_ready(model, context))
			return context;
	}
	return model->count;
}

static void model_schedule(struct model *model)
{
	uint32_t next = model_next_context(model);

	model->runs = false;
	if (next == model->count)
		return;
	if (next == model->context) {
		model->runs = true;
		model->slice_end_ns = model->now_ns + model->slice_ns;
		return;
	}
	model->context = next;
	model->switches = true;
	model->switched_ns = model->now_ns + model->switch_ns;
}

/* When something happens on the device by itself. */
static uint64_t model_device_ns(const struct model *model)
{
	const struct model_tenant *tenant = &model->tenants[model->context];
	uint64_t at_ns;

	if (model->switches)
		return model->switched_ns;
	if (!model->runs)
		return NEVER;
	at_ns = model->ran_ns + tenant->left_ns;
	return at_ns < model->slice_end_ns ? at_ns : model->slice_end_ns;
}

/* Counts what has run. */
static void model_run_device(struct model *model)
{
	struct model_tenant *tenant = &model->tenants[model->context];

	if (model->runs) {
		tenant->left_ns -= model->now_ns - model->ran_ns;
		tenant->gpu_ns += model->now_ns - model->ran_ns;
	}
	model->ran_ns = model->now_ns;
}

/* Something happens on it now; returns whose kernel has ended, or `count`. */
static uint32_t model_step_device(struct model *model)
{
	struct model_tenant *tenant = &model->tenants[model->context];
	uint32_t done = model->count;

	if (model->switches) {
		model->switches = false;
		model->runs = model_ready(model, model->context);
		model->slice_end_ns = model->now_ns + model->slice_ns;
		if (!model->runs)
			model_schedule(model);
		return done;
	}
	if (tenant->left_ns == 0) {
		done = model->context;
		tenant->queued--;
		tenant->left_ns = tenant->queued ? tenant->program.kernel_ns : 0;
		if (tenant->queued == 0)
			tenant->idle_ns = model->now_ns;
	}
	if (tenant->queued == 0 || model->now_ns >= model->slice_end_ns)
		model_schedule(model);
	return done;
}

static void model_submit(struct model *model, struct model_tenant *tenant)
{
	if (tenant->queued++ == 0)
		tenant->left_ns = tenant->program.kernel_ns;
	if (!model->runs && !model->switches)
		model_schedule(model);
}

/* ---- programs, and the gate in them ------------------------------------------------ */

static uint64_t model_in_flight_ns(const struct model_tenant *tenant)
{
	if (tenant->queued == 0)
		return 0;
	if (tenant->program.unlearned)
		return tenant->queued * 200 * US;
	return tenant->left_ns + (tenant->queued - 1) * tenant->program.kernel_ns;
}

static void model_ring(struct model *model, struct model_tenant *tenant)
{
	if (model->arbitrated && tenant->rings_ns == NEVER)
		tenant->rings_ns = model->now_ns + model->bell_ns;
}

/* How long a gap the guest foresees after what is in flight. */
static uint64_t model_gap_ns(const struct model *model, const struct model_tenant *tenant)
{
	if (tenant->phase == MODEL_LAUNCHES)
		return 0;
	if (tenant->program.random && tenant->arrives_ns <= model->now_ns)
		return 0;
	return tenant->program.gap_ns;
}

/* True: it passes, and the kernel is launched. */
static bool model_launch(struct model *model, struct model_tenant *tenant)
{
	if (model->arbitrated && model->now_ns >= tenant->until_ns) {
		tenant->waits = true;
		model_ring(model, tenant);
		return false;
	}
	if (tenant->queued > 0 && model_in_flight_ns(tenant) >= model->in_flight_ns)
		return false;
	if (tenant->queued >= 1024)
		return false;
	model_submit(model, tenant);
	tenant->launches++;
	return true;
}

static void model_begin(struct model *model, struct model_tenant *tenant)
{
	tenant->phase = MODEL_LAUNCHES;
	tenant->left = tenant->program.kernels;
	(void)model;
}

static void model_finish(struct model *model, struct model_tenant *tenant)
{
	const struct model_program *program = &tenant->program;

	tenant->phase = MODEL_GAP;
	if (!program->random) {
		tenant->gap_end_ns = model->now_ns + program->gap_ns;
		return;
	}
	if (tenant->latencies < MODEL_LATENCIES_MAX)
		tenant->latency_ns[tenant->latencies++] = model->now_ns -
							  tenant->arrives_ns;
	tenant->arrives_ns += model_exponential(&tenant->random, program->gap_ns);
	tenant->gap_end_ns = tenant->arrives_ns;
}

/* As far as it gets now. */
static void model_run_program(struct model *model, struct model_tenant *tenant)
{
	if (!tenant->alive || tenant->stopped || tenant->waits)
		return;
	for (;;) {
		switch (tenant->phase) {
		case MODEL_GAP:
			if (model->now_ns < tenant->gap_end_ns)
				return;
			model_begin(model, tenant);
			break;
		case MODEL_LAUNCHES:
			if (!model_launch(model, tenant))
				return;
			if (tenant->program.kernels == 0 || --tenant->left > 0)
				break;
			tenant->phase = MODEL_SYNCS;
			/* It gives its turn back in advance. */
			if (tenant->until_ns != NEVER &&
			    model_gap_ns(model, tenant) > model->arbiter.tuning.keep_ns)
				model_ring(model, tenant);
			break;
		case MODEL_SYNCS:
			if (tenant->queued > 0)
				return;
			model_finish(model, tenant);
			break;
		}
	}
}

static uint64_t model_program_ns(const struct model_tenant *tenant)
{
	if (!tenant->alive || tenant->stopped)
		return NEVER;
	if (tenant->waits)
		return tenant->awakes_ns;
	return tenant->phase == MODEL_GAP ? tenant->gap_end_ns : NEVER;
}

/* ---- the agent --------------------------------------------------------------------- */

static struct gsh_arbiter_report model_report(const struct model *model,
					      const struct model_tenant *tenant)
{
	struct gsh_arbiter_report report = {
		.in_flight_ns = model_in_flight_ns(tenant),
		.gap_ns = model_gap_ns(model, tenant),
		.launches = tenant->launches,
		.waits = tenant->waits,
	};

	if (tenant->queued == 0 && !tenant->waits)
		report.idle_since_ns = tenant->idle_ns;
	if (tenant->stopped && report.in_flight_ns > 0)
		report.in_flight_ns = 1;
	switch (tenant->program.lie) {
	case MODEL_HONEST:
		break;
	case MODEL_BUSY_FOR_EVER:
		report.in_flight_ns = SECOND;
		report.gap_ns = 0;
		break;
	case MODEL_NEVER_IDLE:
		report.in_flight_ns = 300 * MS;
		report.gap_ns = 0;
		report.waits = true;
		report.launches = model->now_ns;
		break;
	case MODEL_NEVER_BUSY:
		report = (struct gsh_arbiter_report){ .gap_ns = NEVER };
		break;
	case MODEL_RINGS:
		report.waits = true;
		break;
	}
	return report;
}

static void model_act(struct model *model, const struct gsh_arbiter_action *action)
{
	struct model_tenant *tenant = &model->tenants[action->tenant];

	model->actions[action->verb]++;
	if (action->verb == GSH_ARBITER_OVERTAKE)
		return;
	tenant->until_ns = action->until_ns;
	if (action->verb == GSH_ARBITER_GRANT && tenant->waits &&
	    tenant->awakes_ns == NEVER)
		tenant->awakes_ns = model->now_ns + model->futex_ns;
}

static void model_decide(struct model *model)
{
	struct gsh_arbiter_decision decision;

	for (uint32_t i = 0; i < model->count; i++) {
		struct gsh_arbiter_report report = model_report(model,
								&model->tenants[i]);

		if (gsh_arbiter_watches(&model->arbiter, i))
			gsh_arbiter_report(&model->arbiter, i, &report, model->now_ns);
	}
	gsh_arbiter_decide(&model->arbiter, model->now_ns, &decision);
	model->decisions++;
	for (uint32_t i = 0; i < decision.count; i++)
		model_act(model, &decision.actions[i]);
	model->wake_ns = decision.wake_ns;
	if (model->late_ns && model->wake_ns != NEVER)
		model->wake_ns += model_random(&model->random, model->late_ns);
}

static void model_hear(struct model *model, uint32_t number)
{
	struct model_tenant *tenant = &model->tenants[number];

	tenant->rings_ns = NEVER;
	if (tenant->program.lie == MODEL_RINGS)
		tenant->rings_ns = model->now_ns + 20 * US;
	if (tenant->waits || tenant->program.lie == MODEL_RINGS ||
	    tenant->program.lie == MODEL_NEVER_IDLE)
		gsh_arbiter_demand(&model->arbiter, number, model->now_ns);
	model_decide(model);
}

/* ---- all of it --------------------------------------------------------------------- */

static void model_init(struct model *model, bool arbitrated, uint64_t switch_ns,
		       uint64_t seed)
{
	struct gsh_arbiter_tuning tuning = gsh_arbiter_tuning(0);

	memset(model, 0, sizeof(*model));
	model->arbitrated = arbitrated;
	model->slice_ns = 2 * MS;
	model->switch_ns = switch_ns;
	model->bell_ns = 10 * US;
	model->futex_ns = 15 * US;
	model->late_ns = 50 * US;
	model->in_flight_ns = arbitrated ? 3 * MS / 2 : 16 * MS;
	model->now_ns = 1000 * SECOND;
	model->ran_ns = model->now_ns;
	model->random = seed;
	model->wake_ns = NEVER;
	gsh_arbiter_init(&model->arbiter, &tuning, model->now_ns);
}

static uint32_t model_add(struct model *model, const struct model_program *program)
{
	struct model_tenant *tenant = &model->tenants[model->count];

	memset(tenant, 0, sizeof(*tenant));
	tenant->program = *program;
	tenant->awakes_ns = NEVER;
	tenant->rings_ns = NEVER;
	tenant->gap_end_ns = model->now_ns + program->begin_ns;
	tenant->idle_ns = model->now_ns;
	tenant->alive = true;
	tenant->random = model->random + model->count;
	if (program->random) {
		tenant->arrives_ns = tenant->gap_end_ns +
				     model_exponential(&tenant->random, program->gap_ns);
		tenant->gap_end_ns = tenant->arrives_ns;
	}
	if (program->lie == MODEL_RINGS)
		tenant->rings_ns = model->now_ns;
	gsh_arbiter_enter(&model->arbiter, model->count, &program->terms, model->now_ns);
	return model->count++;
}

static void model_kill(struct model *model, uint32_t number)
{
	struct model_tenant *tenant = &model->tenants[number];

	model_run_device(model);
	tenant->alive = tenant->waits = false;
	tenant->rings_ns = tenant->awakes_ns = NEVER;
	tenant->queued = tenant->left_ns = 0;
	if (model->runs && model->context == number)
		model_schedule(model);
	gsh_arbiter_leave(&model->arbiter, number, model->now_ns);
	model_decide(model);
}

static void model_revive(struct model *model, uint32_t number)
{
	struct model_tenant *tenant = &model->tenants[number];

	tenant->alive = true;
	tenant->phase = MODEL_GAP;
	tenant->until_ns = 0;
	tenant->gap_end_ns = model->now_ns;
	gsh_arbiter_enter(&model->arbiter, number, &tenant->program.terms, model->now_ns);
	model_run_program(model, tenant);
}

static uint64_t model_next_ns(const struct model *model)
{
	uint64_t next_ns = model_device_ns(model);

	if (model->arbitrated && model->wake_ns < next_ns)
		next_ns = model->wake_ns;
	for (uint32_t i = 0; i < model->count; i++) {
		const struct model_tenant *tenant = &model->tenants[i];
		uint64_t at_ns = model_program_ns(tenant);

		if (at_ns < next_ns)
			next_ns = at_ns;
		if (tenant->rings_ns < next_ns)
			next_ns = tenant->rings_ns;
	}
	return next_ns;
}

static void model_step(struct model *model)
{
	model_run_device(model);
	if (model_device_ns(model) <= model->now_ns) {
		uint32_t done = model_step_device(model);

		if (done < model->count)
			model_run_program(model, &model->tenants[done]);
	}
	for (uint32_t i = 0; i < model->count; i++) {
		struct model_tenant *tenant = &model->tenants[i];

		if (tenant->rings_ns <= model->now_ns)
			model_hear(model, i);
		if (model_program_ns(tenant) > model->now_ns)
			continue;
		if (tenant->waits) {
			tenant->waits = false;
			tenant->awakes_ns = NEVER;
		}
		model_run_program(model, tenant);
	}
	if (model->arbitrated && model->wake_ns <= model->now_ns)
		model_decide(model);
}

static void model_run(struct model *model, uint64_t time_ns)
{
	uint64_t end_ns = model->now_ns + time_ns, next_ns;

	while ((next_ns = model_next_ns(model)) < end_ns) {
		if (next_ns > model->now_ns)
			model->now_ns = next_ns;
		model_step(model);
	}
	model->now_ns = end_ns;
	model_run_device(model);
}

/* ---- what came of it --------------------------------------------------------------- */

/* Percents of the device's time that the tenant's kernels had in time_ns. */
static double model_share(const struct model *model, uint32_t number, uint64_t time_ns)
{
	return 100.0 * (double)model->tenants[number].gpu_ns / (double)time_ns;
}

static double model_total(const struct model *model, uint64_t time_ns)
{
	double total = 0;

	for (uint32_t i = 0; i < model->count; i++)
		total += model_share(model, i, time_ns);
	return total;
}

static int model_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Milliseconds; 0 without requests. */
static double model_latency_ms(struct model *model, uint32_t number, unsigned percentile)
{
	struct model_tenant *tenant = &model->tenants[number];
	uint32_t rank;

	if (tenant->latencies == 0)
		return 0;
	qsort(tenant->latency_ns, tenant->latencies, sizeof(uint64_t), model_compare);
	rank = (tenant->latencies - 1) * percentile / 100;
	return (double)tenant->latency_ns[rank] / 1e6;
}

#endif
