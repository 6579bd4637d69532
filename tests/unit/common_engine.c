/*
 * A world for the tests of the engine: the callbacks, and the check of the books.
 *
 * Knows engine.h alone.
 */
#include "common_engine.h"

#include <stdlib.h>
#include <string.h>

#include "cunit_main.h"

/* --- the callbacks ------------------------------------------------------------------- */

static void on_effect(void *arg, struct sim_op *op, uint64_t now_ns)
{
	struct world *world = arg;
	struct job *job = (struct job *)op;

	CU_ASSERT_EQUAL_FATAL(now_ns, sim_engine_now(world->engine));
	world->records[job->id].effects++;
	if (job->sets)
		*job->sets = job->set_value;
	if (job->completes)
		sim_op_complete(world->engine, &job->completes->op);
	if (job->then)
		job->then(world, job);
}

static bool on_ready(void *arg, struct sim_op *op)
{
	struct job *job = (struct job *)op;

	(void)arg;
	return job->word && *job->word == job->value;
}

static void on_progress(void *arg, struct sim_op *op)
{
	struct world *world = arg;
	struct job *job = (struct job *)op;

	CU_ASSERT_TRUE(op->executed_ns > job->seen_ns);
	job->seen_ns = op->executed_ns;
	world->records[job->id].progressed++;
}

static void on_begin(void *arg, struct sim_op *op, uint64_t now_ns)
{
	struct world *world = arg;
	struct job *job = (struct job *)op;

	(void)now_ns;
	world->records[job->id].begun++;
	if (job->then)
		job->then(world, job);
}

static bool on_sms(const struct sim_op *op)
{
	return op->kind == SIM_OP_KERNEL || op->kind == SIM_OP_SPIN ||
	       op->kind == SIM_OP_CLOCK;
}

void forget(struct world *world, struct job *job)
{
	struct record *record = &world->records[job->id];

	if (on_sms(&job->op))
		world->kernel_ns += job->op.executed_ns;
	record->start_ns = job->op.start_ns;
	record->end_ns = job->op.end_ns;
	record->executed_ns = job->op.executed_ns;
	record->job = NULL;
	world->finished++;
	free(job);
}

static void on_done(void *arg, struct sim_op *op, uint64_t now_ns)
{
	struct world *world = arg;
	struct job *job = (struct job *)op;

	CU_ASSERT_EQUAL(op->end_ns, now_ns);
	if (op->progress)
		CU_ASSERT_EQUAL(job->seen_ns, op->executed_ns);
	world->records[job->id].done++;
	forget(world, job);
}

static void on_dropped(void *arg, struct sim_op *op)
{
	struct world *world = arg;
	struct job *job = (struct job *)op;

	world->records[job->id].dropped++;
	forget(world, job);
}

static bool on_enough(void *arg)
{
	struct world *world = arg;

	if (!world->stops)
		return false;
	world->stops = world->stops * 6364136223846793005u + 1442695040888963407u;
	return world->stops >> 61 == 0;
}

/* --- building a world ---------------------------------------------------------------- */

struct sim_engine_calls world_calls(struct world *world)
{
	const struct sim_engine_calls calls = {
		.effect = on_effect,
		.ready = on_ready,
		.progress = on_progress,
		.begin = on_begin,
		.done = on_done,
		.dropped = on_dropped,
		.enough = on_enough,
		.arg = world,
	};

	return calls;
}

void open_world(struct world *world, unsigned devices, uint64_t slice_ns,
		uint64_t switch_ns, unsigned max_concurrent)
{
	const struct sim_engine_calls calls = world_calls(world);

	memset(world, 0, sizeof(*world));
	world->config.devices = devices;
	world->config.slice_ns = slice_ns;
	world->config.switch_ns = switch_ns;
	world->config.max_concurrent = max_concurrent;
	world->start_ns = 5 * MS;
	world->records = calloc(RECORDS, sizeof(*world->records));
	world->engine = sim_engine_new(&world->config, &calls, world->start_ns);
	CU_ASSERT_PTR_NOT_NULL_FATAL(world->records);
	CU_ASSERT_PTR_NOT_NULL_FATAL(world->engine);
}

struct sim_ctx *join(struct world *world, unsigned i, unsigned device)
{
	world->ctx[i].device = device;
	sim_ctx_add(world->engine, &world->ctx[i]);
	world->joined[i] = true;
	return &world->ctx[i];
}

void leave(struct world *world, unsigned i)
{
	sim_ctx_remove(world->engine, &world->ctx[i]);
	world->gone_gpu_ns[world->ctx[i].device] += world->ctx[i].stats.gpu_ns;
	world->joined[i] = false;
}

struct job *new_job(struct world *world, enum sim_op_kind kind, struct sim_ctx *ctx,
		    uint64_t work_ns)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		abort();
	CU_ASSERT_FATAL(world->njobs < RECORDS);
	sim_op_init(&job->op, kind, ctx);
	job->op.work_ns = work_ns;
	job->op.submit_ns = sim_engine_now(world->engine);
	job->id = world->njobs++;
	world->records[job->id].job = job;
	return job;
}

void after(struct job *job, struct job *on)
{
	CU_ASSERT_EQUAL_FATAL(sim_op_depend(&job->op, &on->op), 0);
}

unsigned submit(struct world *world, struct job *job)
{
	sim_op_submit(world->engine, &job->op);
	return job->id;
}

uint64_t elapsed(const struct world *world)
{
	return sim_engine_now(world->engine) - world->start_ns;
}

void check_books(struct world *world)
{
	uint64_t kernel_ns = 0, nops = 0;

	for (unsigned d = 0; d < world->config.devices; d++) {
		const struct sim_device_stats *stats = sim_engine_stats(world->engine, d);
		uint64_t gpu_ns = world->gone_gpu_ns[d];

		for (unsigned i = 0; i < CONTEXTS; i++) {
			if (world->joined[i] && world->ctx[i].device == d)
				gpu_ns += world->ctx[i].stats.gpu_ns;
		}
		CU_ASSERT_EQUAL(stats->since_ns, world->start_ns);
		CU_ASSERT_EQUAL(stats->idle_ns + stats->switch_ns + stats->busy_ns,
				elapsed(world));
		CU_ASSERT_EQUAL(stats->busy_ns, gpu_ns);
		CU_ASSERT_TRUE(stats->switch_ns <=
			       stats->switches * world->config.switch_ns);
		CU_ASSERT_TRUE(stats->switch_ns + world->config.switch_ns >=
			       stats->switches * world->config.switch_ns);
	}
	for (unsigned i = 0; i < CONTEXTS; i++) {
		kernel_ns += world->ctx[i].stats.kernel_ns;
		nops += world->joined[i] ? world->ctx[i].nops : 0;
		CU_ASSERT_TRUE(world->ctx[i].stats.kernel_ns >=
			       world->ctx[i].stats.gpu_ns);
		CU_ASSERT_TRUE(world->ctx[i].stats.kernel_ns <=
			       world->ctx[i].stats.gpu_ns * world->config.max_concurrent);
	}
	CU_ASSERT_EQUAL(nops == 0, sim_engine_idle(world->engine));
	for (unsigned i = 0; i < world->njobs; i++) {
		const struct job *job = world->records[i].job;

		if (job && on_sms(&job->op))
			kernel_ns -= job->op.executed_ns;
	}
	CU_ASSERT_EQUAL(kernel_ns, world->kernel_ns);
}

bool run_for(struct world *world, uint64_t ns)
{
	return sim_engine_advance(world->engine, sim_engine_now(world->engine) + ns);
}

void close_world(struct world *world)
{
	check_books(world);
	sim_engine_free(world->engine);
	for (unsigned i = 0; i < world->njobs; i++) {
		const struct record *record = &world->records[i];

		CU_ASSERT_EQUAL(record->done + record->dropped, 1);
		CU_ASSERT_TRUE(record->effects <= record->done);
		CU_ASSERT_PTR_NULL(record->job);
	}
	free(world->records);
}

uint64_t started(const struct world *world, unsigned id)
{
	return world->records[id].start_ns - world->start_ns;
}

uint64_t ended(const struct world *world, unsigned id)
{
	CU_ASSERT_EQUAL(world->records[id].done, 1);
	return world->records[id].end_ns - world->start_ns;
}

void complete_itself(struct world *world, struct job *job)
{
	sim_op_complete(world->engine, &job->op);
}
