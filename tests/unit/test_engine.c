/*
 * Tests of the engine of the simulated devices: who runs when, case by case.
 *
 * Knows engine.h alone. Times in the comments are milliseconds since the world began.
 */
#include "cunit_main.h"

#include <stdlib.h>

#include "common_engine.h"

/* --- one context --------------------------------------------------------------------- */

static unsigned kernel(struct world *world, struct sim_ctx *ctx, uint64_t work_ns)
{
	return submit(world, new_job(world, SIM_OP_KERNEL, ctx, work_ns));
}

static struct sim_ctx *resident(struct world *world)
{
	return sim_engine_resident(world->engine, 0, NULL);
}

static void a_chain_of_kernels_runs_back_to_back(void)
{
	struct world w;
	struct job *last = NULL;
	struct sim_ctx *ctx;

	open_world(&w, 1, 2 * MS, 100 * US, 16);
	ctx = join(&w, 0, 0);
	for (int i = 0; i < 1000; i++) {
		struct job *job = new_job(&w, SIM_OP_KERNEL, ctx, 20 * US);

		if (last)
			after(job, last);
		last = job;
		submit(&w, job);
	}
	CU_ASSERT_EQUAL(sim_engine_next(w.engine), w.start_ns);
	run_for(&w, 30 * MS);
	for (unsigned i = 0; i < 1000; i++) {
		CU_ASSERT_EQUAL(started(&w, i), i * 20 * US);
		CU_ASSERT_EQUAL(ended(&w, i), (i + 1) * 20 * US);
	}
	CU_ASSERT_EQUAL(ctx->stats.gpu_ns, 20 * MS);
	CU_ASSERT_EQUAL(ctx->stats.kernels, 1000);
	CU_ASSERT_EQUAL(ctx->stats.slices, 1);
	CU_ASSERT_EQUAL(sim_engine_stats(w.engine, 0)->switches, 0);
	CU_ASSERT_EQUAL(sim_engine_stats(w.engine, 0)->idle_ns, 10 * MS);
	CU_ASSERT_TRUE(sim_engine_idle(w.engine));
	CU_ASSERT_EQUAL(sim_engine_next(w.engine), SIM_NEVER);
	close_world(&w);
}

static unsigned small_kernel(struct world *world, struct sim_ctx *ctx, uint64_t work_ns,
			     uint32_t demand, int32_t priority)
{
	struct job *job = new_job(world, SIM_OP_KERNEL, ctx, work_ns);

	job->op.demand = demand;
	job->op.priority = priority;
	return submit(world, job);
}

static void kernels_overlap_and_the_last_gets_what_is_left(void)
{
	struct world w;
	struct sim_ctx *ctx;
	unsigned a, b, wide, small;

	open_world(&w, 1, 2 * MS, 100 * US, 16);
	ctx = join(&w, 0, 0);
	a = small_kernel(&w, ctx, 30 * US, 400, 0);
	b = small_kernel(&w, ctx, 50 * US, 500, 0);
	wide = small_kernel(&w, ctx, 20 * US, 700, 0);
	small = small_kernel(&w, ctx, 10 * US, 100, 0);
	run_for(&w, MS);
	CU_ASSERT_EQUAL(started(&w, a), 0);
	CU_ASSERT_EQUAL(started(&w, b), 0);
	CU_ASSERT_EQUAL(ended(&w, a), 30 * US);
	CU_ASSERT_EQUAL(ended(&w, b), 50 * US);
	/* Of the 700 permille it wants it has 100 for 30 us, 500 for 20 us, then all of
	 * them: 14000 - 3000 - 10000 = 1000 permille us are left, 1.429 us. */
	CU_ASSERT_EQUAL(started(&w, wide), 0);
	CU_ASSERT_EQUAL(ended(&w, wide), 50 * US + 1429);
	CU_ASSERT_EQUAL(started(&w, small), 50 * US);
	close_world(&w);
}

static void no_more_kernels_run_at_once_than_configured(void)
{
	struct world w;
	struct sim_ctx *ctx;

	open_world(&w, 1, 2 * MS, 100 * US, 3);
	ctx = join(&w, 0, 0);
	for (int i = 0; i < 7; i++)
		small_kernel(&w, ctx, 10 * US, 1, 0);
	run_for(&w, MS);
	for (unsigned i = 0; i < 7; i++)
		CU_ASSERT_EQUAL(started(&w, i), i / 3 * 10 * US);
	close_world(&w);
}

static void a_lower_priority_number_starts_first_but_stops_nobody(void)
{
	struct world w;
	struct sim_ctx *ctx;
	unsigned first, low, middle, high, high2;

	open_world(&w, 1, 2 * MS, 100 * US, 16);
	ctx = join(&w, 0, 0);
	first = kernel(&w, ctx, 10 * US);
	run_for(&w, US);
	low = small_kernel(&w, ctx, 10 * US, 1000, 5);
	high = small_kernel(&w, ctx, 10 * US, 1000, -5);
	middle = small_kernel(&w, ctx, 10 * US, 1000, 0);
	high2 = small_kernel(&w, ctx, 10 * US, 1000, -5);
	run_for(&w, MS);
	CU_ASSERT_EQUAL(ended(&w, first), 10 * US);
	CU_ASSERT_EQUAL(started(&w, high), 10 * US);
	CU_ASSERT_EQUAL(started(&w, high2), 20 * US);
	CU_ASSERT_EQUAL(started(&w, middle), 30 * US);
	CU_ASSERT_EQUAL(started(&w, low), 40 * US);
	close_world(&w);
}

static void copies_run_beside_kernels_one_per_direction(void)
{
	struct world w;
	struct sim_ctx *a, *b;
	unsigned in[2], out[2], k;

	open_world(&w, 1, 2 * MS, 100 * US, 16);
	a = join(&w, 0, 0);
	b = join(&w, 1, 0);
	k = kernel(&w, a, 100 * US);
	in[0] = submit(&w, new_job(&w, SIM_OP_COPY_IN, a, 30 * US));
	in[1] = submit(&w, new_job(&w, SIM_OP_COPY_IN, b, 30 * US));
	out[0] = submit(&w, new_job(&w, SIM_OP_COPY_OUT, b, 40 * US));
	out[1] = submit(&w, new_job(&w, SIM_OP_COPY_OUT, a, 5 * US));
	run_for(&w, 35 * US);
	check_books(&w);
	CU_ASSERT_EQUAL(b->stats.copy_in_ns, 5 * US);
	run_for(&w, 65 * US);
	CU_ASSERT_EQUAL(ended(&w, k), 100 * US);
	CU_ASSERT_EQUAL(ended(&w, in[0]), 30 * US);
	CU_ASSERT_EQUAL(started(&w, in[1]), 30 * US);
	CU_ASSERT_EQUAL(ended(&w, in[1]), 60 * US);
	CU_ASSERT_EQUAL(ended(&w, out[0]), 40 * US);
	CU_ASSERT_EQUAL(ended(&w, out[1]), 45 * US);
	CU_ASSERT_EQUAL(a->stats.copies + b->stats.copies, 4);
	CU_ASSERT_EQUAL(sim_engine_stats(w.engine, 0)->copy_in_ns, 60 * US);
	CU_ASSERT_EQUAL(sim_engine_stats(w.engine, 0)->copy_out_ns, 45 * US);
	/* A context that only copies takes no turn. */
	CU_ASSERT_EQUAL(sim_engine_stats(w.engine, 0)->switches, 0);
	close_world(&w);
}

static void a_kernel_without_work_ends_at_once(void)
{
	struct world w;
	struct job *copy;
	unsigned k, c;

	open_world(&w, 1, 2 * MS, 100 * US, 16);
	join(&w, 0, 0);
	copy = new_job(&w, SIM_OP_COPY_IN, &w.ctx[0], 0);
	after(copy, w.records[k = kernel(&w, &w.ctx[0], 0)].job);
	c = submit(&w, copy);
	sim_engine_advance(w.engine, w.start_ns);
	CU_ASSERT_EQUAL(ended(&w, k), 0);
	CU_ASSERT_EQUAL(ended(&w, c), 0);
	close_world(&w);
}

/* --- several contexts ---------------------------------------------------------------- */

static void endless_contexts_get_their_even_part(void)
{
	struct world w;

	open_world(&w, 1, 2 * MS, 100 * US, 16);
	for (unsigned i = 0; i < 5; i++)
		kernel(&w, join(&w, i, 0), SIM_NEVER);
	for (int step = 0; step < 100; step++) {
		const struct sim_device_stats *stats = sim_engine_stats(w.engine, 0);

		run_for(&w, 7 * MS + 12345);
		check_books(&w);
		CU_ASSERT_EQUAL(stats->idle_ns, 0);
		for (unsigned i = 0; i < 5; i++) {
			int64_t off = (int64_t)(w.ctx[i].stats.gpu_ns * 5) -
				      (int64_t)stats->busy_ns;

			CU_ASSERT_TRUE(llabs(off) <= 5 * (int64_t)w.config.slice_ns);
		}
	}
	/* 5 turns of 2.1 ms less the first switch. */
	run_for(&w, 10 * 10500 * US - 100 * US - elapsed(&w) % (10 * 10500 * US));
	for (unsigned i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(w.ctx[i].stats.gpu_ns, w.ctx[0].stats.gpu_ns);
	close_world(&w);
}

static void a_long_kernel_is_preempted_and_goes_on_later(void)
{
	struct world w;
	unsigned a, b;

	open_world(&w, 1, 2 * MS, 100 * US, 16);
	a = kernel(&w, join(&w, 0, 0), 5 * MS);
	b = kernel(&w, join(&w, 1, 0), 3 * MS);
	run_for(&w, 20 * MS);
	/* A 0-2, B 2.1-4.1, A 4.2-6.2, B 6.3-7.3, A 7.4-8.4. */
	CU_ASSERT_EQUAL(ended(&w, b), 7300 * US);
	CU_ASSERT_EQUAL(ended(&w, a), 8400 * US);
	CU_ASSERT_EQUAL(w.records[a].executed_ns, 5 * MS);
	CU_ASSERT_EQUAL(w.ctx[0].stats.slices, 3);
	CU_ASSERT_EQUAL(w.ctx[1].stats.slices, 2);
	CU_ASSERT_EQUAL(sim_engine_stats(w.engine, 0)->switches, 4);
	close_world(&w);
}

static void a_kernel_that_ends_with_its_slice_has_ended(void)
{
	struct world w;
	unsigned a, b;

	open_world(&w, 1, 2 * MS, 100 * US, 16);
	a = kernel(&w, join(&w, 0, 0), 2 * MS);
	b = kernel(&w, join(&w, 1, 0), MS);
	run_for(&w, 20 * MS);
	CU_ASSERT_EQUAL(ended(&w, a), 2 * MS);
	CU_ASSERT_EQUAL(ended(&w, b), 3100 * US);
	CU_ASSERT_EQUAL(sim_engine_stats(w.engine, 0)->switches, 1);
	close_world(&w);
}

static void a_lone_slice_is_renewed_and_shared_when_another_comes(void)
{
	struct world w;
	unsigned b;

	open_world(&w, 1, 2 * MS, 100 * US, 16);
	kernel(&w, join(&w, 0, 0), SIM_NEVER);
	join(&w, 1, 0);
	run_for(&w, 7 * MS);
	CU_ASSERT_EQUAL(sim_engine_next(w.engine), SIM_NEVER);
	b = kernel(&w, &w.ctx[1], 50 * US);
	run_for(&w, 0);
	CU_ASSERT_EQUAL(sim_engine_next(w.engine), w.start_ns + 8 * MS);
	run_for(&w, 3 * MS);
	CU_ASSERT_EQUAL(started(&w, b), 8100 * US);
	/* A goes on at 8.25: B gave up what it did not need. */
	CU_ASSERT_EQUAL(w.ctx[0].stats.gpu_ns, 8 * MS + 1750 * US);
	close_world(&w);
}

static void only_a_change_of_context_costs_a_switch(void)
{
	struct world w;
	const struct sim_device_stats *stats;
	enum sim_device_state state;
	unsigned k;

	open_world(&w, 1, 2 * MS, 100 * US, 16);
	stats = sim_engine_stats(w.engine, 0);
	join(&w, 0, 0);
	join(&w, 1, 0);
	CU_ASSERT_PTR_NULL(resident(&w));
	k = kernel(&w, &w.ctx[0], MS);
	run_for(&w, 5 * MS);
	CU_ASSERT_EQUAL(started(&w, k), 0);
	k = kernel(&w, &w.ctx[0], MS);
	run_for(&w, 5 * MS);
	CU_ASSERT_EQUAL(started(&w, k), 5 * MS);
	CU_ASSERT_EQUAL(stats->switches, 0);
	CU_ASSERT_PTR_EQUAL(resident(&w), &w.ctx[0]);

	k = kernel(&w, &w.ctx[1], MS);
	run_for(&w, 50 * US);
	CU_ASSERT_PTR_EQUAL(sim_engine_resident(w.engine, 0, &state), &w.ctx[0]);
	CU_ASSERT_EQUAL(state, SIM_DEVICE_SWITCHING);
	run_for(&w, 4950 * US);
	CU_ASSERT_EQUAL(started(&w, k), 10100 * US);
	CU_ASSERT_EQUAL(stats->switch_ns, 100 * US);

	/* A newcomer after the last one has gone is another context, too. */
	leave(&w, 1);
	CU_ASSERT_PTR_NULL(resident(&w));
	k = kernel(&w, join(&w, 2, 0), MS);
	run_for(&w, 5 * MS);
	CU_ASSERT_EQUAL(started(&w, k), 15100 * US);
	CU_ASSERT_EQUAL(stats->switches, 2);
	close_world(&w);
}

static void a_switch_to_a_context_that_goes_is_still_paid(void)
{
	struct world w;
	unsigned a;

	open_world(&w, 1, 2 * MS, 100 * US, 16);
	a = kernel(&w, join(&w, 0, 0), 3 * MS);
	kernel(&w, join(&w, 1, 0), MS);
	run_for(&w, 2030 * US);
	leave(&w, 1);
	run_for(&w, 5 * MS);
	/* Switch away 2.0-2.1, back 2.1-2.2. */
	CU_ASSERT_EQUAL(ended(&w, a), 3200 * US);
	CU_ASSERT_EQUAL(sim_engine_stats(w.engine, 0)->switch_ns, 200 * US);
	close_world(&w);
}

static void switches_without_cost_are_counted(void)
{
	struct world w;

	open_world(&w, 1, MS, 0, 16);
	kernel(&w, join(&w, 0, 0), SIM_NEVER);
	kernel(&w, join(&w, 1, 0), SIM_NEVER);
	run_for(&w, 10 * MS);
	CU_ASSERT_EQUAL(w.ctx[0].stats.gpu_ns, 5 * MS);
	CU_ASSERT_EQUAL(w.ctx[1].stats.gpu_ns, 5 * MS);
	CU_ASSERT_EQUAL(sim_engine_stats(w.engine, 0)->switches, 10);
	close_world(&w);
}

/* --- spinning and waiting ------------------------------------------------------------ */

static struct job *spin_on(struct world *world, enum sim_op_kind kind,
			   struct sim_ctx *ctx, const uint32_t *word, uint32_t value)
{
	struct job *job = new_job(world, kind, ctx, 0);

	job->word = word;
	job->value = value;
	job->op.demand = 100;
	return job;
}

static void a_spin_ends_when_another_stream_sets_its_word(void)
{
	struct world w;
	uint32_t word = 0;
	struct job *setter;
	unsigned spin, wait, next;

	open_world(&w, 1, 2 * MS, 100 * US, 16);
	join(&w, 0, 0);
	spin = submit(&w, spin_on(&w, SIM_OP_SPIN, &w.ctx[0], &word, 1));
	wait = submit(&w, spin_on(&w, SIM_OP_WAIT, &w.ctx[0], &word, 1));
	setter = new_job(&w, SIM_OP_KERNEL, &w.ctx[0], 70 * US);
	setter->op.demand = 100;
	setter->sets = &word;
	setter->set_value = 1;
	submit(&w, setter);
	next = small_kernel(&w, &w.ctx[0], 10 * US, 1000, 0);
	run_for(&w, 10 * US);
	CU_ASSERT_EQUAL(sim_engine_polling(w.engine), 2);
	run_for(&w, MS);
	CU_ASSERT_EQUAL(ended(&w, spin), 70 * US);
	CU_ASSERT_EQUAL(ended(&w, wait), 70 * US);
	CU_ASSERT_EQUAL(started(&w, next), 0);
	/* Beside two tenths that are taken, eight tenths of its speed. */
	CU_ASSERT_EQUAL(ended(&w, next), 12500);
	CU_ASSERT_EQUAL(w.records[spin].executed_ns, 70 * US);
	CU_ASSERT_EQUAL(w.ctx[0].stats.kernels, 3);
	CU_ASSERT_EQUAL(sim_engine_polling(w.engine), 0);
	close_world(&w);
}

static void a_spin_ends_when_the_host_sets_its_word(void)
{
	struct world w;
	uint32_t word = 0;
	unsigned spin, wait, ready;

	open_world(&w, 1, 2 * MS, 100 * US, 16);
	join(&w, 0, 0);
	ready = submit(&w, spin_on(&w, SIM_OP_SPIN, &w.ctx[0], &word, 0));
	spin = submit(&w, spin_on(&w, SIM_OP_SPIN, &w.ctx[0], &word, 1));
	wait = submit(&w, spin_on(&w, SIM_OP_WAIT, &w.ctx[0], &word, 1));
	run_for(&w, 500 * US);
	CU_ASSERT_EQUAL(ended(&w, ready), 0);
	word = 1;
	run_for(&w, 250 * US);
	CU_ASSERT_EQUAL(ended(&w, spin), 750 * US);
	CU_ASSERT_EQUAL(ended(&w, wait), 750 * US);
	CU_ASSERT_EQUAL(w.ctx[0].stats.gpu_ns, 750 * US);
	close_world(&w);
}

static void a_spin_notices_its_word_only_in_its_own_slice(void)
{
	struct world w;
	uint32_t word = 0;
	struct job *setter;
	unsigned spin;

	open_world(&w, 1, 2 * MS, 100 * US, 16);
	join(&w, 0, 0);
	join(&w, 1, 0);
	spin = submit(&w, spin_on(&w, SIM_OP_SPIN, &w.ctx[0], &word, 1));
	setter = new_job(&w, SIM_OP_KERNEL, &w.ctx[1], 500 * US);
	setter->sets = &word;
	setter->set_value = 1;
	submit(&w, setter);
	kernel(&w, &w.ctx[1], SIM_NEVER);
	run_for(&w, 10 * MS);
	/* Set at 2.6 while B is resident; A is back at 4.2. */
	CU_ASSERT_EQUAL(ended(&w, spin), 4200 * US);
	CU_ASSERT_EQUAL(w.records[spin].executed_ns, 2 * MS);
	check_books(&w);
	leave(&w, 1);
	close_world(&w);
}

static void a_clock_spin_ends_early_when_others_held_the_device(void)
{
	struct world w;
	unsigned lone, in_slice, off_slice;

	open_world(&w, 1, 2 * MS, 100 * US, 16);
	join(&w, 0, 0);
	join(&w, 1, 0);
	lone = submit(&w, new_job(&w, SIM_OP_CLOCK, &w.ctx[0], 3 * MS));
	run_for(&w, 3 * MS);
	CU_ASSERT_EQUAL(ended(&w, lone), 3 * MS);
	/* From 3.0: A 3-5, B 5.1-7.1, A 7.2-9.2, B. */
	in_slice = submit(&w, new_job(&w, SIM_OP_CLOCK, &w.ctx[0], 5 * MS));
	kernel(&w, &w.ctx[1], SIM_NEVER);
	run_for(&w, 6 * MS);
	CU_ASSERT_EQUAL(ended(&w, in_slice), 8 * MS);
	CU_ASSERT_EQUAL(w.records[in_slice].executed_ns, 2800 * US);
	/* A gave up at 8.0, B 8.1 until A comes back: 10.1, A 10.2-12.2, B 12.3-14.3. */
	off_slice = submit(&w, new_job(&w, SIM_OP_CLOCK, &w.ctx[0], 3 * MS));
	run_for(&w, 20 * MS);
	CU_ASSERT_EQUAL(started(&w, off_slice), 10200 * US);
	CU_ASSERT_EQUAL(ended(&w, off_slice), 14400 * US);
	close_world(&w);
}

/* --- chains, lateness, external operations ------------------------------------------- */

static void long_chains_of_instants_take_no_time_and_no_stack(void)
{
	enum { N = 100000 };
	struct world w;
	struct job *last = NULL;
	unsigned k;

	open_world(&w, 1, 2 * MS, 100 * US, 16);
	join(&w, 0, 0);
	k = kernel(&w, &w.ctx[0], MS);
	last = w.records[k].job;
	for (int i = 0; i < N; i++) {
		struct job *job = new_job(&w, SIM_OP_INSTANT, &w.ctx[0], 0);

		after(job, last);
		submit(&w, job);
		last = job;
	}
	run_for(&w, MS);
	CU_ASSERT_EQUAL(w.finished, N + 1);
	CU_ASSERT_EQUAL(ended(&w, N), MS);
	close_world(&w);
}

static void late_submissions_run_now_in_their_order_and_are_counted(void)
{
	struct world w;
	const struct sim_device_stats *stats;
	struct job *job;
	unsigned later, sooner, future;

	open_world(&w, 1, 2 * MS, 100 * US, 16);
	stats = sim_engine_stats(w.engine, 0);
	join(&w, 0, 0);
	run_for(&w, MS);
	job = new_job(&w, SIM_OP_KERNEL, &w.ctx[0], 10 * US);
	job->op.submit_ns = w.start_ns + 900 * US;
	later = submit(&w, job);
	job = new_job(&w, SIM_OP_KERNEL, &w.ctx[0], 10 * US);
	job->op.submit_ns = w.start_ns + 300 * US;
	sooner = submit(&w, job);
	job = new_job(&w, SIM_OP_KERNEL, &w.ctx[0], 10 * US);
	job->op.submit_ns = w.start_ns + 5 * MS;
	future = submit(&w, job);
	kernel(&w, &w.ctx[0], 10 * US); /* just now is not late */
	run_for(&w, 9 * MS);
	CU_ASSERT_EQUAL(started(&w, sooner), MS);
	CU_ASSERT_EQUAL(started(&w, later), MS + 10 * US);
	CU_ASSERT_EQUAL(started(&w, future), 5 * MS);
	CU_ASSERT_EQUAL(stats->late, 2);
	CU_ASSERT_EQUAL(stats->late_max_ns, 700 * US);
	close_world(&w);
}

static void a_dependent_starts_when_both_its_time_and_its_dependencies_are_met(void)
{
	struct world w;
	struct job *a, *b, *join_job, *slow;
	unsigned id, slow_id;

	open_world(&w, 2, 2 * MS, 100 * US, 16);
	join(&w, 0, 0);
	join(&w, 1, 1);
	a = new_job(&w, SIM_OP_KERNEL, &w.ctx[0], 10 * US);
	b = new_job(&w, SIM_OP_KERNEL, &w.ctx[1], 30 * US);
	join_job = new_job(&w, SIM_OP_KERNEL, &w.ctx[0], 10 * US);
	slow = new_job(&w, SIM_OP_KERNEL, &w.ctx[1], 10 * US);
	after(join_job, a);
	after(join_job, b);
	after(join_job, b);
	after(slow, a);
	slow->op.submit_ns += 200 * US;
	id = submit(&w, join_job);
	slow_id = submit(&w, slow);
	submit(&w, a);
	submit(&w, b);
	run_for(&w, MS);
	CU_ASSERT_EQUAL(started(&w, id), 30 * US);
	CU_ASSERT_EQUAL(started(&w, slow_id), 200 * US);
	close_world(&w);
}

static void an_external_operation_lasts_until_it_is_completed(void)
{
	struct world w;
	struct job *host, *next, *at_once, *graph, *node;
	unsigned host_id, next_id, at_once_id, graph_id;

	open_world(&w, 1, 2 * MS, 100 * US, 16);
	join(&w, 0, 0);
	host = new_job(&w, SIM_OP_EXTERNAL, &w.ctx[0], 0);
	after(host, w.records[kernel(&w, &w.ctx[0], 10 * US)].job);
	next = new_job(&w, SIM_OP_KERNEL, &w.ctx[0], 10 * US);
	after(next, host);
	host_id = submit(&w, host);
	next_id = submit(&w, next);
	sim_op_complete(w.engine, &host->op); /* not begun: nothing happens */
	at_once = new_job(&w, SIM_OP_EXTERNAL, &w.ctx[0], 0);
	at_once->then = complete_itself;
	at_once_id = submit(&w, at_once);
	graph = new_job(&w, SIM_OP_EXTERNAL, &w.ctx[0], 0);
	graph_id = submit(&w, graph);
	node = new_job(&w, SIM_OP_COPY_IN, &w.ctx[0], 25 * US);
	node->completes = graph;
	submit(&w, node);
	run_for(&w, 50 * US);
	CU_ASSERT_EQUAL(ended(&w, at_once_id), 0);
	CU_ASSERT_EQUAL(ended(&w, graph_id), 25 * US);
	CU_ASSERT_EQUAL(w.records[host_id].begun, 1);
	CU_ASSERT_EQUAL(w.records[host_id].done, 0);
	CU_ASSERT_EQUAL(sim_engine_next(w.engine), SIM_NEVER);
	sim_op_complete(w.engine, &host->op);
	sim_op_complete(w.engine, &host->op);
	CU_ASSERT_EQUAL(w.records[host_id].done, 0);
	CU_ASSERT_EQUAL(sim_engine_next(w.engine), sim_engine_now(w.engine));
	run_for(&w, 50 * US);
	CU_ASSERT_EQUAL(ended(&w, host_id), 50 * US);
	CU_ASSERT_EQUAL(started(&w, next_id), 50 * US);
	CU_ASSERT_EQUAL(w.records[host_id].effects, 0);
	close_world(&w);
}

static void launch_two_more(struct world *world, struct job *job)
{
	struct job *a = new_job(world, SIM_OP_KERNEL, job->op.ctx, 10 * US);
	struct job *b = new_job(world, SIM_OP_INSTANT, job->op.ctx, 0);

	after(b, a);
	after(a, job);
	submit(world, b);
	submit(world, a);
}

static void effects_may_launch_more(void)
{
	struct world w;
	struct job *first;

	open_world(&w, 1, 2 * MS, 100 * US, 16);
	join(&w, 0, 0);
	first = new_job(&w, SIM_OP_KERNEL, &w.ctx[0], 10 * US);
	first->then = launch_two_more;
	submit(&w, first);
	run_for(&w, MS);
	CU_ASSERT_EQUAL(started(&w, 1), 10 * US);
	CU_ASSERT_EQUAL(ended(&w, 2), 20 * US);
	close_world(&w);
}

static struct job *watched;
static uint64_t seen_by_effect_ns;

static void look(struct world *world, struct job *job)
{
	(void)world;
	(void)job;
	seen_by_effect_ns = watched->seen_ns;
}

static void progress_is_told_before_others_look(void)
{
	struct world w;
	struct job *copy;

	open_world(&w, 2, 2 * MS, 100 * US, 16);
	join(&w, 0, 0);
	join(&w, 1, 1);
	watched = new_job(&w, SIM_OP_KERNEL, &w.ctx[0], MS);
	watched->op.progress = true;
	submit(&w, watched);
	copy = new_job(&w, SIM_OP_COPY_OUT, &w.ctx[1], 333 * US);
	copy->then = look;
	submit(&w, copy);
	run_for(&w, 600 * US);
	CU_ASSERT_EQUAL(seen_by_effect_ns, 333 * US);
	CU_ASSERT_EQUAL(watched->seen_ns, 600 * US);
	run_for(&w, MS);
	CU_ASSERT_EQUAL(w.records[0].progressed, 3);
	close_world(&w);
}

/* --- removal ------------------------------------------------------------------------- */

static void removing_a_context_releases_who_waits_for_it(void)
{
	struct world w;
	uint32_t word = 0;
	struct job *jobs[7], *foreign, *unsent;
	unsigned id, far;

	open_world(&w, 1, 2 * MS, 100 * US, 16);
	join(&w, 0, 0);
	join(&w, 1, 0);
	jobs[0] = new_job(&w, SIM_OP_KERNEL, &w.ctx[0], SIM_NEVER);
	jobs[1] = new_job(&w, SIM_OP_KERNEL, &w.ctx[0], 10 * US);
	jobs[2] = new_job(&w, SIM_OP_COPY_IN, &w.ctx[0], SIM_NEVER);
	jobs[3] = new_job(&w, SIM_OP_COPY_IN, &w.ctx[0], 10 * US);
	jobs[4] = spin_on(&w, SIM_OP_WAIT, &w.ctx[0], &word, 1);
	jobs[5] = new_job(&w, SIM_OP_EXTERNAL, &w.ctx[0], 0);
	jobs[6] = new_job(&w, SIM_OP_KERNEL, &w.ctx[0], 10 * US);
	jobs[6]->op.submit_ns += 500 * MS;
	foreign = new_job(&w, SIM_OP_KERNEL, &w.ctx[1], 10 * US);
	unsent = new_job(&w, SIM_OP_KERNEL, &w.ctx[0], 10 * US);
	for (int i = 0; i < 7; i++) {
		after(foreign, jobs[i]);
		after(unsent, jobs[i]);
	}
	after(foreign, unsent);
	after(jobs[3], jobs[1]);
	for (int i = 0; i < 7; i++)
		submit(&w, jobs[i]);
	id = submit(&w, foreign);
	/* One that waits for the survivor, across. */
	jobs[0] = new_job(&w, SIM_OP_INSTANT, &w.ctx[0], 0);
	after(jobs[0], foreign);
	far = submit(&w, jobs[0]);
	run_for(&w, 700 * US);
	sim_op_complete(w.engine, &jobs[5]->op);
	leave(&w, 0);
	for (unsigned i = 0; i < 7; i++)
		CU_ASSERT_EQUAL(w.records[i].dropped, 1);
	CU_ASSERT_EQUAL(w.records[far].dropped, 1);
	CU_ASSERT_EQUAL(w.records[id].done, 0);
	sim_op_abandon(w.engine, &unsent->op);
	w.records[unsent->id].dropped++;
	forget(&w, unsent);
	CU_ASSERT_EQUAL(sim_engine_next(w.engine), sim_engine_now(w.engine));
	run_for(&w, MS);
	CU_ASSERT_EQUAL(started(&w, id), 800 * US);
	CU_ASSERT_EQUAL(w.ctx[0].stats.gpu_ns, 700 * US);
	CU_ASSERT_TRUE(sim_engine_idle(w.engine));
	close_world(&w);
}

const struct unit_suite unit_suite = {
	.name = "engine of the simulated devices",
	.tests =
		{
			UNIT_TEST(a_chain_of_kernels_runs_back_to_back),
			UNIT_TEST(kernels_overlap_and_the_last_gets_what_is_left),
			UNIT_TEST(no_more_kernels_run_at_once_than_configured),
			UNIT_TEST(a_lower_priority_number_starts_first_but_stops_nobody),
			UNIT_TEST(copies_run_beside_kernels_one_per_direction),
			UNIT_TEST(a_kernel_without_work_ends_at_once),
			UNIT_TEST(endless_contexts_get_their_even_part),
			UNIT_TEST(a_long_kernel_is_preempted_and_goes_on_later),
			UNIT_TEST(a_kernel_that_ends_with_its_slice_has_ended),
			UNIT_TEST(a_lone_slice_is_renewed_and_shared_when_another_comes),
			UNIT_TEST(only_a_change_of_context_costs_a_switch),
			UNIT_TEST(a_switch_to_a_context_that_goes_is_still_paid),
			UNIT_TEST(switches_without_cost_are_counted),
			UNIT_TEST(a_spin_ends_when_another_stream_sets_its_word),
			UNIT_TEST(a_spin_ends_when_the_host_sets_its_word),
			UNIT_TEST(a_spin_notices_its_word_only_in_its_own_slice),
			UNIT_TEST(a_clock_spin_ends_early_when_others_held_the_device),
			UNIT_TEST(long_chains_of_instants_take_no_time_and_no_stack),
			UNIT_TEST(late_submissions_run_now_in_their_order_and_are_counted),
			UNIT_TEST(a_dependent_starts_when_both_its_time_and_its_dependencies_are_met),
			UNIT_TEST(an_external_operation_lasts_until_it_is_completed),
			UNIT_TEST(effects_may_launch_more),
			UNIT_TEST(progress_is_told_before_others_look),
			UNIT_TEST(removing_a_context_releases_who_waits_for_it),
		},
};
