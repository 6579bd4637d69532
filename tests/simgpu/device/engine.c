/*
 * engine.c - the order of events, and the life of operations and contexts.
 *
 * Knows when something happens and in which order at one instant. Refuses to know how the
 * SMs and copy engines of a device are shared (engine_round.c).
 *
 * Callbacks may call back into the engine, so they never find it half changed: whatever
 * they submit or complete is put into a queue and taken up by settle(), which also keeps
 * chains of any length off the stack.
 */
#include "engine.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine_private.h"

struct sim_engine *sim_engine_new(const struct sim_engine_config *config,
				  const struct sim_engine_calls *calls, uint64_t now_ns)
{
	struct sim_engine *engine;

	if (config->devices < 1 || config->devices > SIM_MAX_DEVICES ||
	    !config->slice_ns || config->max_concurrent < 1 || !calls->effect ||
	    !calls->ready || !calls->progress || !calls->begin || !calls->done ||
	    !calls->dropped)
		return NULL;
	engine = calloc(1, sizeof(*engine));
	if (!engine)
		return NULL;
	engine->config = *config;
	engine->calls = *calls;
	engine->now_ns = now_ns;
	for (unsigned i = 0; i < config->devices; i++) {
		struct sim_device *device = &engine->device[i];

		device->stats.since_ns = device->books_ns = now_ns;
		device->next_ns = SIM_NEVER;
		device->fresh = true;
	}
	return engine;
}

void sim_engine_free(struct sim_engine *engine)
{
	if (!engine)
		return;
	for (unsigned i = 0; i < engine->config.devices; i++) {
		while (engine->device[i].cursor)
			sim_ctx_remove(engine, engine->device[i].cursor);
	}
	free(engine);
}

/* --- contexts ----------------------------------------------------------------------- */

void sim_ctx_add(struct sim_engine *engine, struct sim_ctx *ctx)
{
	unsigned device = ctx->device;
	void *user = ctx->user;

	assert(device < engine->config.devices);
	memset(ctx, 0, sizeof(*ctx));
	ctx->device = device;
	ctx->user = user;
	sim_device_join(&engine->device[device], ctx);
}

static void take_out(struct sim_engine *engine, struct sim_op *op,
		     struct sim_op **dropped)
{
	if (op->state == SIM_OP_RUNNABLE ||
	    (op->state == SIM_OP_RUNNING && (sim_op_on_sms(op) || sim_op_is_copy(op))))
		sim_device_detach(engine, op);
	else
		sim_list_unlink(&op->ctx->blocked_head, op);
	sim_queue_remove(engine, op);
	sim_op_forget_deps(op);
	sim_list_push(dropped, op);
}

void sim_ctx_remove(struct sim_engine *engine, struct sim_ctx *ctx)
{
	struct sim_device *device = &engine->device[ctx->device];
	struct sim_op *dropped = NULL;

	assert(!engine->inside);
	engine->inside = true;
	while (ctx->runnable_head)
		take_out(engine, ctx->runnable_head, &dropped);
	while (ctx->running_head)
		take_out(engine, ctx->running_head, &dropped);
	while (ctx->blocked_head)
		take_out(engine, ctx->blocked_head, &dropped);
	for (int i = 0; i < SIM_COPY_ENGINES; i++) {
		struct sim_op *op = device->copy[i].head, *next;

		for (; op; op = next) {
			next = op->next;
			if (op->ctx == ctx)
				take_out(engine, op, &dropped);
		}
	}
	sim_device_leave(device, ctx);
	while (dropped) {
		struct sim_op *op = dropped;

		sim_list_unlink(&dropped, op);
		op->state = SIM_OP_DONE;
		sim_op_release(engine, op);
		ctx->nops--;
		engine->nops--;
		engine->calls.dropped(engine->calls.arg, op);
	}
	engine->inside = false;
}

/* --- operations --------------------------------------------------------------------- */

void sim_op_init(struct sim_op *op, enum sim_op_kind kind, struct sim_ctx *ctx)
{
	memset(op, 0, sizeof(*op));
	op->kind = kind;
	op->ctx = ctx;
	op->demand = SIM_DEMAND_FULL;
}

void sim_op_abandon(struct sim_engine *engine, struct sim_op *op)
{
	assert(op->state == SIM_OP_NEW);
	sim_op_forget_deps(op);
	op->state = SIM_OP_DONE;
	sim_op_release(engine, op);
}

void sim_op_submit(struct sim_engine *engine, struct sim_op *op)
{
	struct sim_device_stats *stats = &sim_op_device(engine, op)->stats;

	assert(op->state == SIM_OP_NEW);
	if (op->demand < 1)
		op->demand = 1;
	else if (op->demand > SIM_DEMAND_FULL)
		op->demand = SIM_DEMAND_FULL;
	if (op->submit_ns < engine->now_ns) {
		stats->late++;
		if (engine->now_ns - op->submit_ns > stats->late_max_ns)
			stats->late_max_ns = engine->now_ns - op->submit_ns;
	}
	op->state = SIM_OP_BLOCKED;
	op->serial = ++engine->serial;
	op->ctx->nops++;
	engine->nops++;
	sim_list_push(&op->ctx->blocked_head, op);
	/* Into the heap even if it is due, so that late ones keep their order. */
	if (op->ndeps == 0)
		sim_queue_put(engine, op, SIM_QUEUE_FUTURE);
}

void sim_op_complete(struct sim_engine *engine, struct sim_op *op)
{
	if (op->kind == SIM_OP_EXTERNAL && op->state == SIM_OP_RUNNING &&
	    op->queue == SIM_QUEUE_NONE)
		sim_queue_put(engine, op, SIM_QUEUE_ENDED);
}

static void account_all(struct sim_engine *engine)
{
	for (unsigned i = 0; i < engine->config.devices; i++)
		sim_device_account(engine, &engine->device[i]);
}

static void poll_all(struct sim_engine *engine)
{
	struct sim_op *op, *next;

	for (op = engine->polled.head; op; op = next) {
		next = op->queue_next;
		if (engine->calls.ready(engine->calls.arg, op)) {
			sim_queue_remove(engine, op);
			sim_queue_put(engine, op, SIM_QUEUE_ENDED);
		}
	}
	for (unsigned i = 0; engine->nspins && i < engine->config.devices; i++)
		sim_device_poll(engine, &engine->device[i]);
}

/* The operation stands in no queue any more. Its storage may be gone afterwards. */
static void finish(struct sim_engine *engine, struct sim_op *op)
{
	struct sim_ctx *ctx = op->ctx;

	if (sim_op_on_sms(op)) {
		sim_device_detach(engine, op);
		ctx->stats.kernels++;
	} else if (sim_op_is_copy(op)) {
		sim_device_detach(engine, op);
		ctx->stats.copies++;
	} else {
		sim_list_unlink(&ctx->blocked_head, op);
	}
	op->end_ns = engine->now_ns;
	if (op->kind != SIM_OP_EXTERNAL) {
		/* What others have done so far may be what this effect copies. */
		if (engine->nprogress)
			account_all(engine);
		engine->calls.effect(engine->calls.arg, op, engine->now_ns);
		poll_all(engine);
	}
	op->state = SIM_OP_DONE;
	sim_op_release(engine, op);
	ctx->nops--;
	engine->nops--;
	engine->calls.done(engine->calls.arg, op, engine->now_ns);
}

/* Dependencies and submission time are met. */
static void arrive(struct sim_engine *engine, struct sim_op *op)
{
	op->runnable_ns = engine->now_ns;
	op->order = ++engine->order;
	if (sim_op_on_sms(op) || sim_op_is_copy(op)) {
		sim_list_unlink(&op->ctx->blocked_head, op);
		sim_device_insert(engine, op);
		return;
	}
	op->state = SIM_OP_RUNNING;
	op->start_ns = engine->now_ns;
	if (op->kind == SIM_OP_EXTERNAL)
		engine->calls.begin(engine->calls.arg, op, engine->now_ns);
	else if (op->kind == SIM_OP_WAIT && !engine->calls.ready(engine->calls.arg, op))
		sim_queue_put(engine, op, SIM_QUEUE_POLLED);
	else
		sim_queue_put(engine, op, SIM_QUEUE_ENDED);
}

/* --- events ------------------------------------------------------------------------- */

static bool collect_all(struct sim_engine *engine)
{
	bool found = false;

	for (unsigned i = 0; i < engine->config.devices; i++)
		found |= sim_device_collect(engine, &engine->device[i]);
	return found;
}

static bool schedule_all(struct sim_engine *engine)
{
	bool found = false;

	for (unsigned i = 0; i < engine->config.devices; i++) {
		if (engine->device[i].dirty) {
			sim_device_schedule(engine, &engine->device[i]);
			found = true;
		}
	}
	return found;
}

static void ask_enough(struct sim_engine *engine)
{
	if (engine->calls.enough)
		engine->stopped = engine->calls.enough(engine->calls.arg);
}

/* Lets everything happen that happens at now_ns, in the order of the model, unless it is
 * stopped: what is left stands in the queues. */
static void settle(struct sim_engine *engine)
{
	while (!engine->stopped) {
		struct sim_op *op = engine->ended.head;

		if (op) {
			sim_queue_remove(engine, op);
			finish(engine, op);
			ask_enough(engine);
		} else if (collect_all(engine)) {
			continue;
		} else if ((op = engine->arrived.head) ||
			   ((op = engine->future) && op->submit_ns <= engine->now_ns)) {
			sim_queue_remove(engine, op);
			arrive(engine, op);
			ask_enough(engine);
		} else if (!schedule_all(engine)) {
			return;
		}
	}
}

uint64_t sim_engine_next(const struct sim_engine *engine)
{
	uint64_t next_ns = SIM_NEVER;

	if (engine->ended.head || engine->arrived.head)
		return engine->now_ns;
	if (engine->future)
		next_ns = engine->future->submit_ns;
	for (unsigned i = 0; i < engine->config.devices; i++) {
		const struct sim_device *device = &engine->device[i];

		if (device->dirty)
			return engine->now_ns;
		if (device->next_ns < next_ns)
			next_ns = device->next_ns;
	}
	return next_ns < engine->now_ns ? engine->now_ns : next_ns;
}

bool sim_engine_advance(struct sim_engine *engine, uint64_t until_ns)
{
	uint64_t next_ns;

	assert(!engine->inside);
	if (until_ns < engine->now_ns)
		return true;
	engine->inside = true;
	engine->stopped = false;
	settle(engine);
	while (!engine->stopped && (next_ns = sim_engine_next(engine)) <= until_ns &&
	       next_ns != SIM_NEVER) {
		engine->now_ns = next_ns;
		settle(engine);
	}
	if (!engine->stopped)
		engine->now_ns = until_ns;
	account_all(engine);
	if (!engine->stopped) {
		poll_all(engine);
		settle(engine);
	}
	engine->inside = false;
	return !engine->stopped;
}

uint64_t sim_engine_now(const struct sim_engine *engine)
{
	return engine->now_ns;
}

unsigned sim_engine_polling(const struct sim_engine *engine)
{
	unsigned n = engine->npolled;

	for (unsigned i = 0; engine->nspins && i < engine->config.devices; i++)
		n += sim_device_polling(&engine->device[i]);
	return n;
}

bool sim_engine_idle(const struct sim_engine *engine)
{
	return engine->nops == 0;
}

const struct sim_device_stats *sim_engine_stats(const struct sim_engine *engine,
						unsigned device)
{
	return &engine->device[device].stats;
}

uint64_t sim_engine_slice_end(const struct sim_engine *engine, unsigned device)
{
	const struct sim_device *d = &engine->device[device];

	return d->state == SIM_DEVICE_BUSY ? d->slice_end_ns : SIM_NEVER;
}

struct sim_ctx *sim_engine_resident(const struct sim_engine *engine, unsigned device,
				    enum sim_device_state *state)
{
	if (state)
		*state = engine->device[device].state;
	return engine->device[device].resident;
}
