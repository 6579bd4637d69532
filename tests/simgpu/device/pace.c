/*
 * pace.c - how far the device simulates, and how long it may sleep.
 *
 * Knows: clients in the middle of a submission, completions that somebody waits for, and
 * conditions that nobody announces. Refuses to know: descriptors and how to sleep (main.c).
 */
#include "device/server.h"

/* Conditions in memory (spinning kernels, stream waits) are looked at between so often and
 * once a tick, the less often the longer nothing comes of it. */
#define POLL_NS 20000ull
#define DEPTH_MAX 4  /* streams that wait for streams are followed so far */
#define WAIT_PART 32 /* a completion that cannot be foreseen, by this part */
#define POLL_PART 16 /* a condition is noticed late by this part of the wait for it */
/* How often to look whether a client has left the middle of a submission. */
#define INTENT_NS 50000ull
/* Requests wait no longer than this for the simulation, however much work there is. */
#define PATIENCE_NS 5000000ull

static void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* How far it is safe to simulate: not past a submission that a client is just writing
 * (proto.h, "Doorbell order"). */
static uint64_t horizon(struct sim_server *server)
{
	const uint64_t now = sim_clock_ns();
	uint64_t until = now;
	struct sim_client *client;

	/* A store of what the clock said, since the loads below must not overtake it. */
	atomic_store(&server->clock_ns, now);
	server->held_back = false;
	for (client = server->clients; client != NULL; client = client->next) {
		int spins = 0;

		if (client->chan == NULL)
			continue;
		while (atomic_load(&client->chan->intent) != 0 && spins++ < 64)
			cpu_relax();
		if (atomic_load(&client->chan->intent) == 0) {
			client->intent_since_ns = 0;
			client->clear_ns = now;
			continue;
		}
		if (client->intent_since_ns == 0)
			client->intent_since_ns = now;
		if (now - client->intent_since_ns >= SIM_INTENT_LIMIT_NS)
			continue; /* stopped or killed there: nobody waits for it */
		server->held_back = true;
		if (client->clear_ns < until)
			until = client->clear_ns;
	}
	return until;
}

void sim_server_catch_up(struct sim_server *server)
{
	const uint64_t until = horizon(server);
	struct sim_client *client;

	server->enough_ns = sim_clock_ns() + PATIENCE_NS;
	server->rounds++;
	for (client = server->clients; client != NULL; client = client->next)
		if (client->chan != NULL)
			sim_client_drain(client);
	server->behind = !sim_history_advance(server, until);
	for (client = server->clients; client != NULL; client = client->next) {
		if (client->chan == NULL)
			continue;
		if (client->sticky_next != 0 && client->sticky == 0)
			sim_client_stick(client, client->sticky_next);
		sim_host_announce(client);
		atomic_store_explicit(&client->chan->caught_up_ns,
				      sim_engine_now(server->engine),
				      memory_order_release);
	}
}

/* ---- sleeping ---- */

/* How much of its work an operation has behind it. */
static uint64_t passed_ns(const struct sim_op *op, uint64_t now)
{
	uint64_t passed = 0;

	if (op->state == SIM_OP_RUNNING)
		passed = op->kind == SIM_OP_CLOCK || op->kind == SIM_OP_EXTERNAL
				 ? now - op->start_ns
				 : op->executed_ns;
	return passed < op->work_ns ? passed : op->work_ns;
}

/* What is left at least of the graph that a stream is running. */
static uint64_t graph_left_ns(const struct sim_work *work, uint64_t now)
{
	const uint64_t passed = now - work->op.start_ns;

	if (work->op.kind != SIM_OP_EXTERNAL || work->op.state != SIM_OP_RUNNING ||
	    work->least_ns <= passed)
		return 0;
	return work->least_ns - passed;
}

/* What a stream has at least before it until that sequence is done, if nothing else holds it
 * up: its operations follow each other. 0 where that cannot be told. */
static uint64_t stream_left_ns(const struct sim_dstream *stream, uint64_t seq,
			       uint64_t now)
{
	if (stream->first == NULL || stream->cumulative == NULL ||
	    seq <= stream->completed || seq - stream->completed >= SIM_CUMULATIVE)
		return 0;
	return stream->cumulative[seq % SIM_CUMULATIVE] - stream->executing_ns -
	       passed_ns(&stream->first->op, now) + graph_left_ns(stream->first, now);
}

static uint64_t add(uint64_t a, uint64_t b)
{
	return a > SIM_NEVER - b ? SIM_NEVER : a + b;
}

/* No earlier than this can a context have the SMs: another has them until its slice ends or
 * its work does. */
static uint64_t turn_bound(const struct sim_dctx *ctx, uint64_t now)
{
	const struct sim_server *server = ctx->client->server;
	enum sim_device_state state;
	const struct sim_ctx *resident = sim_engine_resident(server->engine,
							     ctx->ctx.device, &state);
	const struct sim_dstream *stream;
	uint64_t slice, longest = 0;

	if (state != SIM_DEVICE_BUSY || resident == NULL || resident == &ctx->ctx)
		return now;
	slice = sim_engine_slice_end(server->engine, ctx->ctx.device);
	for (stream = ((struct sim_dctx *)resident->user)->streams; stream != NULL;
	     stream = stream->ctx_next) {
		uint64_t left = stream_left_ns(stream, stream->ingested, now);

		longest = left > longest ? left : longest;
	}
	longest = add(now, longest);
	return slice < longest ? slice : longest;
}

/* Whether it goes on only with the SMs. Of a graph that is a guess, for at most a tick. */
static bool wants_turn(const struct sim_work *work)
{
	const struct sim_ctx *ctx = &work->ctx->ctx;

	if (work->op.kind == SIM_OP_EXTERNAL)
		return work->least_ns > 0 &&
		       (ctx->nrunning > 0 || ctx->runnable_head != NULL);
	return work->op.kind == SIM_OP_KERNEL &&
	       (work->op.state == SIM_OP_RUNNABLE || work->op.state == SIM_OP_RUNNING);
}

/* No earlier than this can the sequence that a stream's waiter wants be complete. Where that
 * cannot be told, as of work that waits for hosts or for memory, a part of the wait so far:
 * it is noticed that much too late. */
static uint64_t wait_bound(const struct sim_dstream *stream, uint64_t wanted,
			   uint64_t now, unsigned depth)
{
	const struct sim_work *first = stream->first;
	uint64_t left, begin = now;

	if (wanted > stream->ingested)
		wanted = stream->ingested;
	if (wanted <= stream->completed || first == NULL)
		return now;
	left = stream_left_ns(stream, wanted, now);
	if (first->op.state == SIM_OP_BLOCKED && depth > 0) {
		struct sim_op *on = sim_op_waits_for(&first->op);
		const struct sim_work *other = on == NULL ? NULL : sim_work_of(on);

		if (other != NULL && other->stream != NULL && other->stream != stream)
			begin = wait_bound(other->stream, other->seq, now, depth - 1);
	} else if (wants_turn(first)) {
		begin = turn_bound(first->ctx, now);
	}
	if (left == 0 && begin == now && now > stream->first_since_ns)
		left = (now - stream->first_since_ns) / WAIT_PART;
	return add(begin, left);
}

/* When a client waits for a completion, the instant before which there is nothing to tell. */
static uint64_t first_wait(const struct sim_client *client, uint64_t now)
{
	const struct sim_dstream *stream;
	uint64_t at = SIM_NEVER;

	for (stream = client->active; stream != NULL; stream = stream->active_next) {
		uint64_t wanted = atomic_load(
			&client->chan->streams[stream->slot].wait_seq);
		uint64_t bound = wanted == 0 ? SIM_NEVER
					     : wait_bound(stream, wanted, now, DEPTH_MAX);

		if (bound < at)
			at = bound;
	}
	return at;
}

uint64_t sim_server_deadline(const struct sim_server *server)
{
	const uint64_t clock = sim_clock_ns(), now = sim_engine_now(server->engine);
	const uint64_t next = sim_engine_next(server->engine);
	const struct sim_client *client;
	uint64_t at = SIM_NEVER;

	if (server->behind)
		return clock;
	if (server->held_back)
		return clock + INTENT_NS;
	if (!sim_engine_idle(server->engine))
		at = clock + SIM_TICK_NS;
	if (sim_engine_polling(server->engine) > 0) {
		uint64_t pause = (now - server->condition_ns) / POLL_PART;

		if (pause < POLL_NS)
			pause = POLL_NS;
		if (clock + pause < at)
			at = clock + pause;
	}
	for (client = server->clients; client != NULL; client = client->next) {
		uint64_t bound;

		if (client->chan == NULL)
			continue;
		bound = first_wait(client, now);
		if (bound == SIM_NEVER)
			continue;
		if (bound < next)
			bound = next;
		/* The last part of a sleep may be awaited awake. */
		if (bound > clock + SIM_SLEEP_MIN_NS)
			bound -= SIM_SLEEP_MIN_NS;
		if (bound < at)
			at = bound;
	}
	return at;
}

bool sim_server_want_kicks(struct sim_server *server, bool want)
{
	struct sim_client *client;
	bool missed = false;

	for (client = server->clients; client != NULL; client = client->next)
		if (client->chan != NULL)
			atomic_store(&client->chan->want_kick, want);
	if (!want)
		return false;
	for (client = server->clients; client != NULL; client = client->next)
		if (client->chan != NULL && client->sticky == 0 &&
		    atomic_load(&client->chan->tail) != client->head)
			missed = true;
	return missed;
}
