/*
 * Tests of the engine of the simulated devices against chance: books that balance, a
 * second, naive model that agrees to the nanosecond, and what simulating costs.
 *
 * Knows engine.h alone. Every world is made from its seed and so comes again.
 */
#include "cunit_main.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common_engine.h"

/* --- against chance ------------------------------------------------------------------ */

static uint64_t random_below(uint64_t *state, uint64_t n)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state % n;
}

static void open_random(struct world *world, unsigned devices, uint64_t *rnd)
{
	/* One by one: the order in which arguments are evaluated is the compiler's. */
	uint64_t slice_ns = 1 + random_below(rnd, MS);
	uint64_t switch_ns = random_below(rnd, 200 * US);

	open_world(world, devices, slice_ns, switch_ns,
		   1 + (unsigned)random_below(rnd, 8));
}

static struct job *some_job(struct world *world, uint64_t *rnd)
{
	for (int tries = 0; tries < 8 && world->njobs; tries++) {
		unsigned back = (unsigned)random_below(
			rnd, world->njobs < 60 ? world->njobs : 60);
		struct job *job = world->records[world->njobs - 1 - back].job;

		if (job)
			return job;
	}
	return NULL;
}

static struct job *random_job(struct world *w, struct sim_ctx *ctx, uint32_t *words,
			      uint64_t *rnd)
{
	enum sim_op_kind kind = (enum sim_op_kind)random_below(rnd, SIM_OP_EXTERNAL + 1);
	struct job *job, *other;

	job = new_job(w, kind, ctx, random_below(rnd, 4) ? random_below(rnd, 3 * MS) : 0);
	job->op.demand = (uint32_t)random_below(rnd, 1001);
	job->op.priority = (int32_t)random_below(rnd, 3) - 1;
	job->op.progress = random_below(rnd, 2);
	job->op.submit_ns += random_below(rnd, 2) ? random_below(rnd, 2 * MS) : 0;
	job->op.submit_ns -= random_below(rnd, 5) ? 0 : random_below(rnd, MS);
	job->word = &words[random_below(rnd, 8)];
	job->value = (uint32_t)random_below(rnd, 2);
	job->sets = &words[random_below(rnd, 8)];
	job->set_value = (uint32_t)random_below(rnd, 2);
	if (kind == SIM_OP_EXTERNAL && random_below(rnd, 2))
		job->then = complete_itself;
	for (unsigned n = (unsigned)random_below(rnd, 4); n > 0; n--) {
		other = some_job(w, rnd);
		if (other && other != job)
			after(job, other);
	}
	return job;
}

/* Ends what only others can end, so that a random world comes to rest. */
static void complete_externals(struct world *w)
{
	for (unsigned i = 0; i < w->njobs; i++) {
		if (w->records[i].job && w->records[i].job->op.kind == SIM_OP_EXTERNAL)
			sim_op_complete(w->engine, &w->records[i].job->op);
	}
}

static void books_balance_whatever_happens(void)
{
	for (uint64_t seed = 1; seed <= 300; seed++) {
		uint64_t rnd = seed * 0x9E3779B97F4A7C15u;
		uint32_t words[8] = { 0 };
		unsigned devices = 1 + (unsigned)random_below(&rnd, 3);
		struct world w;

		open_random(&w, devices, &rnd);
		w.stops = seed % 2; /* contexts leave in the middle of an instant, too */
		for (int step = 0; step < 150; step++) {
			unsigned i = (unsigned)random_below(&rnd, CONTEXTS);

			if (!w.joined[i]) {
				w.kernel_ns -= w.ctx[i].stats.kernel_ns;
				join(&w, i, (unsigned)random_below(&rnd, devices));
			} else if (random_below(&rnd, 12) == 0) {
				leave(&w, i);
			} else {
				submit(&w, random_job(&w, &w.ctx[i], words, &rnd));
			}
			if (random_below(&rnd, 8) == 0)
				complete_externals(&w);
			i = (unsigned)random_below(&rnd, 8);
			words[i] = (uint32_t)random_below(&rnd, 2);
			if (random_below(&rnd, 2))
				run_for(&w, random_below(&rnd, 700 * US));
			check_books(&w);
		}
		for (unsigned i = 0; i < CONTEXTS; i += 2) {
			if (w.joined[i])
				leave(&w, i);
		}
		for (int i = 0; i < 200 && !sim_engine_idle(w.engine); i++) {
			complete_externals(&w);
			for (int j = 0; j < 8; j++)
				words[j] = (uint32_t)i % 2;
			run_for(&w, 10 * MS);
		}
		check_books(&w);
		close_world(&w);
	}
}

/* A world whose future is all submitted beforehand. */
static void fill_world(struct world *w, uint64_t seed, uint32_t *words)
{
	uint64_t rnd = seed * 0x9E3779B97F4A7C15u;

	open_random(w, 1 + (unsigned)random_below(&rnd, 2), &rnd);
	for (unsigned i = 0; i < 6; i++)
		join(w, i, (unsigned)random_below(&rnd, w->config.devices));
	for (int i = 0; i < 200; i++) {
		struct sim_ctx *ctx = &w->ctx[random_below(&rnd, 6)];
		struct job *job = random_job(w, ctx, words, &rnd), *other;

		job->op.submit_ns = w->start_ns + random_below(&rnd, 50 * MS);
		if (job->op.kind == SIM_OP_EXTERNAL && !job->then) {
			other = new_job(w, SIM_OP_INSTANT, ctx, 0);
			other->completes = job;
			other->op.submit_ns = w->start_ns + 60 * MS;
			submit(w, other);
		}
		submit(w, job);
	}
}

static void one_long_advance_equals_many_short_ones(void)
{
	unsigned finished = 0;

	for (uint64_t seed = 1; seed <= 60; seed++) {
		uint64_t rnd = seed, end_ns;
		uint32_t words[2][8] = { { 0 } };
		struct world w[2];

		for (int i = 0; i < 2; i++)
			fill_world(&w[i], seed, words[i]);
		end_ns = w[0].start_ns + 300 * MS;
		sim_engine_advance(w[0].engine, end_ns);
		while (sim_engine_now(w[1].engine) < end_ns) {
			uint64_t next_ns = sim_engine_next(w[1].engine);
			uint64_t step_ns = 1 + random_below(&rnd, 300 * US);

			if (random_below(&rnd, 2) && next_ns != SIM_NEVER)
				step_ns = next_ns - sim_engine_now(w[1].engine);
			if (step_ns > end_ns - sim_engine_now(w[1].engine))
				step_ns = end_ns - sim_engine_now(w[1].engine);
			run_for(&w[1], step_ns);
		}
		finished += w[0].finished;
		CU_ASSERT_EQUAL(w[0].finished, w[1].finished);
		for (unsigned i = 0; i < w[0].njobs; i++) {
			CU_ASSERT_EQUAL(w[0].records[i].done, w[1].records[i].done);
			CU_ASSERT_EQUAL(w[0].records[i].start_ns,
					w[1].records[i].start_ns);
			CU_ASSERT_EQUAL(w[0].records[i].end_ns, w[1].records[i].end_ns);
		}
		for (unsigned i = 0; i < 6; i++)
			CU_ASSERT_EQUAL(memcmp(&w[0].ctx[i].stats, &w[1].ctx[i].stats,
					       sizeof(w[0].ctx[i].stats)),
					0);
		for (unsigned d = 0; d < w[0].config.devices; d++)
			CU_ASSERT_EQUAL(memcmp(sim_engine_stats(w[0].engine, d),
					       sim_engine_stats(w[1].engine, d),
					       sizeof(struct sim_device_stats)),
					0);
		close_world(&w[0]);
		close_world(&w[1]);
	}
	/* Most of the operations, for an unlucky word can hold up a world. */
	CU_ASSERT_TRUE(finished > 60 * 100);
}

static void an_advance_that_is_stopped_goes_on_as_if_it_had_not_been(void)
{
	unsigned stopped = 0;

	for (uint64_t seed = 1; seed <= 60; seed++) {
		uint32_t words[2][8] = { { 0 } };
		struct world w[2];

		for (int i = 0; i < 2; i++)
			fill_world(&w[i], seed, words[i]);
		w[1].stops = seed;
		CU_ASSERT_TRUE(run_for(&w[0], 300 * MS));
		while (!sim_engine_advance(w[1].engine, w[1].start_ns + 300 * MS)) {
			check_books(&w[1]);
			stopped++;
		}
		for (unsigned i = 0; i < w[0].njobs; i++) {
			CU_ASSERT_EQUAL(w[0].records[i].start_ns,
					w[1].records[i].start_ns);
			CU_ASSERT_EQUAL(w[0].records[i].end_ns, w[1].records[i].end_ns);
		}
		for (unsigned i = 0; i < 6; i++)
			CU_ASSERT_EQUAL(memcmp(&w[0].ctx[i].stats, &w[1].ctx[i].stats,
					       sizeof(w[0].ctx[i].stats)),
					0);
		close_world(&w[0]);
		close_world(&w[1]);
	}
	CU_ASSERT_TRUE(stopped > 60 * 10);
}

/* The model of engine.h once more: kernels only, a nanosecond at a time, and nothing but
 * loops over everything. Priorities are all different, so that order does not matter. */
struct naive {
	unsigned n, nctx, max_concurrent, resident;
	uint64_t slice_ns, switch_ns, left_ns; /* left: of the slice or switch */
	enum sim_device_state state;
	bool fresh;
	struct naive_kernel {
		unsigned ctx, on; /* on: dependency, itself if none */
		uint64_t submit_ns, work_ns, end_ns;
		uint32_t demand, granted;
		unsigned started;
		int64_t parts; /* of its work left, in 1/demand nanoseconds */
		int32_t priority;
		bool runnable, running, done;
	} k[40];
};

static bool naive_has_work(const struct naive *m, unsigned ctx)
{
	for (unsigned i = 0; i < m->n; i++) {
		if (m->k[i].ctx == ctx && m->k[i].runnable && !m->k[i].done)
			return true;
	}
	return false;
}

/* Gives the resident context's running kernels the SMs in the order of their start, and
 * returns what is left. */
static uint32_t naive_grant(struct naive *m)
{
	uint32_t room = SIM_DEMAND_FULL;

	for (unsigned turn = 0; turn < m->n; turn++) {
		for (unsigned i = 0; i < m->n; i++) {
			struct naive_kernel *k = &m->k[i];

			if (k->ctx != m->resident || !k->running || k->done ||
			    k->started != turn)
				continue;
			k->granted = k->demand < room ? k->demand : room;
			room -= k->granted;
		}
	}
	return room;
}

static void naive_start(struct naive *m)
{
	for (;;) {
		struct naive_kernel *best = NULL;
		unsigned running = 0, started = 0;
		uint32_t room = naive_grant(m);

		for (unsigned i = 0; i < m->n; i++) {
			struct naive_kernel *k = &m->k[i];

			if (k->ctx != m->resident || !k->runnable || k->done)
				continue;
			if (k->running) {
				running++;
				if (k->started >= started)
					started = k->started + 1;
			} else if (!best || k->priority < best->priority) {
				best = k;
			}
		}
		if (!best || running == m->max_concurrent || !room)
			return;
		best->running = true;
		best->started = started;
		naive_grant(m);
	}
}

/* To the next context behind the resident one that has work; true if there was one. */
static bool naive_switch(struct naive *m)
{
	for (unsigned i = 1; i < m->nctx + m->fresh; i++) {
		unsigned ctx = (m->resident + i) % m->nctx;

		if (!naive_has_work(m, ctx))
			continue;
		m->resident = ctx;
		m->state = m->fresh ? SIM_DEVICE_BUSY : SIM_DEVICE_SWITCHING;
		m->left_ns = m->fresh ? m->slice_ns : m->switch_ns;
		m->fresh = false;
		return true;
	}
	return false;
}

static void naive_decide(struct naive *m)
{
	if (m->state == SIM_DEVICE_SWITCHING && m->left_ns == 0) {
		m->state = SIM_DEVICE_BUSY;
		m->left_ns = m->slice_ns;
	}
	if (m->state == SIM_DEVICE_BUSY && !naive_has_work(m, m->resident))
		m->state = SIM_DEVICE_IDLE;
	if (m->state == SIM_DEVICE_BUSY && m->left_ns == 0 && !naive_switch(m))
		m->left_ns = m->slice_ns;
	if (m->state == SIM_DEVICE_IDLE) {
		if (!m->fresh && naive_has_work(m, m->resident)) {
			m->state = SIM_DEVICE_BUSY;
			m->left_ns = m->slice_ns;
		} else {
			naive_switch(m);
		}
	}
}

static void naive_run(struct naive *m, uint64_t end_ns)
{
	for (uint64_t now_ns = 0; now_ns <= end_ns; now_ns++) {
		if (now_ns && m->state != SIM_DEVICE_IDLE)
			m->left_ns--;
		for (unsigned i = 0; i < m->n; i++) {
			struct naive_kernel *k = &m->k[i];

			if (m->state != SIM_DEVICE_BUSY || k->ctx != m->resident ||
			    !k->running || k->done)
				continue;
			k->parts -= k->granted;
			if (k->parts <= 0) {
				k->done = true;
				k->end_ns = now_ns;
			}
		}
		for (unsigned i = 0; i < m->n; i++) {
			struct naive_kernel *k = &m->k[i];

			if (k->submit_ns <= now_ns && (k->on == i || m->k[k->on].done))
				k->runnable = true;
		}
		naive_decide(m);
		if (m->state == SIM_DEVICE_BUSY) {
			naive_grant(m);
			naive_start(m);
		}
	}
}

static void a_naive_model_ends_every_kernel_at_the_same_nanosecond(void)
{
	for (uint64_t seed = 1; seed <= 300; seed++) {
		uint64_t rnd = seed * 0x9E3779B97F4A7C15u;
		struct naive m = { .fresh = true, .n = 40 };
		struct job *jobs[40];
		struct world w;

		m.nctx = 1 + (unsigned)random_below(&rnd, 4);
		m.max_concurrent = 1 + (unsigned)random_below(&rnd, 4);
		m.slice_ns = 10 + random_below(&rnd, 100);
		m.switch_ns = 1 + random_below(&rnd, 20);
		m.resident = m.nctx - 1;
		open_world(&w, 1, m.slice_ns, m.switch_ns, m.max_concurrent);
		for (unsigned i = 0; i < m.nctx; i++)
			join(&w, i, 0);
		for (unsigned i = 0; i < m.n; i++) {
			struct naive_kernel *k = &m.k[i];

			k->ctx = (unsigned)random_below(&rnd, m.nctx);
			k->on = random_below(&rnd, 2)
					? (unsigned)random_below(&rnd, i + 1)
					: i;
			k->submit_ns = random_below(&rnd, 1500);
			k->work_ns = 1 +
				     random_below(&rnd, random_below(&rnd, 2) ? 20 : 250);
			k->demand = 1 + (uint32_t)random_below(&rnd, SIM_DEMAND_FULL);
			k->parts = (int64_t)(k->work_ns * k->demand);
			k->priority = (int32_t)(i * 17 % 40);
			jobs[i] = new_job(&w, SIM_OP_KERNEL, &w.ctx[k->ctx], k->work_ns);
			jobs[i]->op.submit_ns += k->submit_ns;
			jobs[i]->op.demand = k->demand;
			jobs[i]->op.priority = k->priority;
			if (k->on != i)
				after(jobs[i], jobs[k->on]);
			submit(&w, jobs[i]);
		}
		naive_run(&m, 40000);
		run_for(&w, 40000);
		for (unsigned i = 0; i < m.n; i++) {
			CU_ASSERT_TRUE(m.k[i].done);
			CU_ASSERT_EQUAL(ended(&w, i), m.k[i].end_ns);
		}
		close_world(&w);
	}
}

static void configurations_out_of_range_are_refused(void)
{
	const struct sim_engine_config good = { 1, MS, 0, 1 };
	struct sim_engine_config config;
	struct sim_engine_calls calls = world_calls(NULL);

	config = good;
	config.devices = SIM_MAX_DEVICES + 1;
	CU_ASSERT_PTR_NULL(sim_engine_new(&config, &calls, 0));
	config = good;
	config.devices = 0;
	CU_ASSERT_PTR_NULL(sim_engine_new(&config, &calls, 0));
	config = good;
	config.slice_ns = 0;
	CU_ASSERT_PTR_NULL(sim_engine_new(&config, &calls, 0));
	config = good;
	config.max_concurrent = 0;
	CU_ASSERT_PTR_NULL(sim_engine_new(&config, &calls, 0));
	calls.dropped = NULL;
	CU_ASSERT_PTR_NULL(sim_engine_new(&good, &calls, 0));
	sim_engine_free(NULL);
}

/* --- speed ----------------------------------------------------------------------------- */

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* N kernels of 20 us in `streams` chains over `contexts` contexts, or submitted one by one
 * for the future; prints what simulating one costs. */
static void time_kernels(const char *what, unsigned contexts, unsigned streams,
			 bool future)
{
	enum { N = 50000 };
	struct world w;
	struct job *last[64] = { NULL };
	double start_s, end_s;

	open_world(&w, 1, 2 * MS, 100 * US, 32);
	for (unsigned i = 0; i < contexts; i++)
		join(&w, i, 0);
	for (unsigned i = 0; i < N; i++) {
		unsigned stream = i % streams;
		struct job *job = new_job(&w, SIM_OP_KERNEL, &w.ctx[stream % contexts],
					  20 * US);

		job->op.demand = SIM_DEMAND_FULL * contexts / streams;
		if (future)
			job->op.submit_ns += (i * 7919ull % N) * 20 * US;
		else if (last[stream])
			after(job, last[stream]);
		last[stream] = job;
		submit(&w, job);
	}
	start_s = seconds();
	run_for(&w, 2000 * (uint64_t)MS);
	end_s = seconds();
	CU_ASSERT_EQUAL(w.finished, N);
	printf("  %s: %.0f ns for each kernel\n", what, (end_s - start_s) * 1e9 / N);
	close_world(&w);
}

static void fifty_thousand_kernels_are_simulated_in_one_advance(void)
{
	time_kernels("one chain", 1, 1, false);
	time_kernels("4 contexts of 4 chains", 4, 16, false);
	time_kernels("one context of 32 chains", 1, 32, false);
	time_kernels("50000 future submissions", 1, 1, true);
}

const struct unit_suite unit_suite = {
	.name = "engine of the simulated devices, at random",
	.tests =
		{
			UNIT_TEST(books_balance_whatever_happens),
			UNIT_TEST(one_long_advance_equals_many_short_ones),
		UNIT_TEST(an_advance_that_is_stopped_goes_on_as_if_it_had_not_been),
			UNIT_TEST(a_naive_model_ends_every_kernel_at_the_same_nanosecond),
			UNIT_TEST(configurations_out_of_range_are_refused),
			UNIT_TEST(fifty_thousand_kernels_are_simulated_in_one_advance),
		},
};
