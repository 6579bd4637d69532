/*
 * stream.c - streams: handles, creation and destruction, and waiting for all of their work.
 *
 * Knows: slots of the device, the default streams of contexts and threads, and destroyed
 * streams that still have work. Refuses to know: what is submitted, and the calls that ask
 * things of a stream (stream_calls.c).
 */
#include "driver/stream.h"

#include <stdlib.h>

#include "driver/client.h"

/* A destroyed stream whose work was not done by then: waiting for its context includes it. */
struct zombie {
	const struct sim_context *ctx;
	uint32_t slot;
	bool blocking;
	uint64_t seq;
	struct zombie *next;
};

static struct zombie *zombies; /* under sim.lock */

/* One stream as far as it had got when a wait began. */
struct point {
	uint32_t slot;
	uint64_t seq;
};

static uint64_t submitted(const struct sim_stream *stream)
{
	return __atomic_load_n(&stream->submitted, __ATOMIC_RELAXED);
}

/* ---- life ---- */

/* What a new stream is, and the slot that the device gave it. */
struct plan {
	struct sim_context *ctx;
	const struct sim_stream *legacy; /* of the context when its slot was asked for */
	uint32_t slot;
	uint64_t seq;
	unsigned flags;
	uint32_t sim_flags;
	int priority;
	bool lent;
};

/* CUDA_ERROR_CONTEXT_IS_DESTROYED: the context has gone since, and the slot with it. */
static CUresult link_stream(const struct plan *plan, struct sim_stream **made)
{
	struct sim_stream_full *full = sim_object_new(SIM_T_STREAM, sizeof(*full));
	struct sim_context *ctx = plan->ctx;
	struct sim_stream *stream;

	if (full == NULL)
		return CUDA_ERROR_OUT_OF_MEMORY;
	full->sync_policy = CU_SYNC_POLICY_AUTO;
	full->domain_map.remote = 1;
	full->priority = plan->priority;
	stream = &full->stream;
	stream->ctx = ctx;
	stream->slot = plan->slot;
	stream->submitted = plan->seq;
	stream->flags = plan->flags;
	stream->sim_flags = plan->sim_flags;
	stream->priority = plan->priority;
	stream->lent = plan->lent;
	stream->unique_id = sim_unique_id();
	pthread_mutex_lock(&sim.lock);
	if (ctx->legacy != plan->legacy) {
		pthread_mutex_unlock(&sim.lock);
		sim_object_delete(stream);
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	}
	/* Behind the legacy stream, which comes first. */
	if (ctx->streams == NULL) {
		ctx->streams = stream;
	} else {
		stream->next = ctx->streams->next;
		ctx->streams->next = stream;
	}
	pthread_mutex_unlock(&sim.lock);
	*made = stream;
	return CUDA_SUCCESS;
}

CUresult sim_stream_adopt_legacy(struct sim_context *ctx, uint32_t slot)
{
	struct plan plan = { .ctx = ctx,
			     .slot = slot,
			     .flags = CU_STREAM_DEFAULT,
			     .sim_flags = SIM_SF_LEGACY,
			     .priority = SIM_PRIORITY_LEAST };
	struct sim_stream *legacy = NULL;
	CUresult res;

	/* A slot is given out when its work is done, so it stands at its last sequence. */
	if (sim.chan != NULL)
		plan.seq = atomic_load_explicit(&sim.chan->streams[slot].completed,
						memory_order_acquire);
	res = link_stream(&plan, &legacy);
	/* With sim_stream_get(). */
	__atomic_store_n(&ctx->legacy, legacy, __ATOMIC_RELEASE);
	return res;
}

/* All of the plan is set but what only the device and the context know. */
static CUresult make(struct plan plan, struct sim_stream **stream)
{
	uint64_t a[6] = { plan.ctx->id, plan.sim_flags,
			  (uint64_t)(int64_t)plan.priority };
	uint64_t v[6] = { 0 };
	CUresult res;

	plan.legacy = __atomic_load_n(&plan.ctx->legacy, __ATOMIC_ACQUIRE);
	if (plan.legacy == NULL)
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	if (sim.chan != NULL) {
		res = sim_rpc(SIM_RPC_STREAM_CREATE, a, v, -1, NULL);
		if (res != CUDA_SUCCESS)
			return res;
		if (v[0] >= SIM_STREAMS)
			return CUDA_ERROR_UNKNOWN;
	}
	plan.slot = (uint32_t)v[0];
	plan.seq = v[1];
	res = link_stream(&plan, stream);
	a[0] = v[0];
	if (res == CUDA_ERROR_OUT_OF_MEMORY && sim.chan != NULL)
		sim_rpc(SIM_RPC_STREAM_DESTROY, a, NULL, -1, NULL);
	return res;
}

CUresult sim_stream_make(struct sim_context *ctx, unsigned flags, uint32_t sim_flags,
			 int priority, struct sim_stream **stream)
{
	return make((struct plan){ .ctx = ctx,
				   .flags = flags,
				   .sim_flags = sim_flags,
				   .priority = priority },
		    stream);
}

/* Forgets zombies that are done, and all of a context (NULL: none). Under sim.lock. */
static void prune(const struct sim_context *ctx)
{
	struct zombie **at = &zombies;

	while (*at != NULL) {
		struct zombie *zombie = *at;

		if (zombie->ctx != ctx && !sim_slot_done(zombie->slot, zombie->seq)) {
			at = &zombie->next;
			continue;
		}
		*at = zombie->next;
		free(zombie);
	}
}

/* Takes the stream out of its context, leaving a zombie if it has work. False if it was not
 * there: another thread destroys it, or its context, at the same moment. */
static bool unlink_stream(struct sim_stream *stream)
{
	struct sim_stream **at;
	struct zombie *zombie = NULL;
	bool found = false;

	if (!sim_slot_done(stream->slot, submitted(stream)))
		zombie = calloc(1, sizeof(*zombie));
	pthread_mutex_lock(&sim.lock);
	prune(NULL);
	for (at = &stream->ctx->streams; *at != NULL; at = &(*at)->next)
		if (*at == stream) {
			*at = stream->next;
			found = true;
			break;
		}
	if (found && zombie != NULL) {
		*zombie = (struct zombie){
			.ctx = stream->ctx,
			.slot = stream->slot,
			.blocking = (stream->sim_flags & SIM_SF_NONBLOCKING) == 0,
			.seq = submitted(stream),
			.next = zombies,
		};
		zombies = zombie;
		zombie = NULL;
	}
	pthread_mutex_unlock(&sim.lock);
	free(zombie);
	return found;
}

/* Whoever submits to the stream from now on is refused: its slot may soon be another's. */
static void close_stream(struct sim_stream *stream)
{
	pthread_mutex_lock(&sim.submit_lock);
	stream->gone = true;
	pthread_mutex_unlock(&sim.submit_lock);
}

void sim_stream_unmake(struct sim_stream *stream)
{
	const uint64_t a[6] = { stream->slot };

	if (!unlink_stream(stream))
		return;
	close_stream(stream);
	if (sim.chan != NULL)
		sim_rpc(SIM_RPC_STREAM_DESTROY, a, NULL, -1, NULL);
	sim_object_delete(stream);
}

CUresult sim_stream_borrow(struct sim_context *ctx, struct sim_stream **stream)
{
	return make((struct plan){ .ctx = ctx,
				   .flags = CU_STREAM_NON_BLOCKING,
				   .sim_flags = SIM_SF_NONBLOCKING,
				   .priority = SIM_PRIORITY_LEAST,
				   .lent = true },
		    stream);
}

void sim_stream_return(struct sim_stream *stream)
{
	const uint64_t a[6] = { stream->slot };

	/* Otherwise its context has gone, and took the slot along. */
	if (unlink_stream(stream)) {
		close_stream(stream);
		if (sim.chan != NULL)
			sim_rpc(SIM_RPC_STREAM_DESTROY, a, NULL, -1, NULL);
	}
	sim_object_delete(stream);
}

void sim_stream_drop_context(struct sim_context *ctx)
{
	struct sim_stream *stream, *next, *doomed = NULL;

	pthread_mutex_lock(&sim.lock);
	/* Under the lock: whoever has borrowed one may free it as soon as it is given up. */
	for (stream = ctx->streams; stream != NULL; stream = next) {
		next = stream->next;
		close_stream(stream);
		if (stream->lent)
			continue;
		stream->next = doomed;
		doomed = stream;
	}
	ctx->streams = NULL;
	__atomic_store_n(&ctx->legacy, NULL, __ATOMIC_RELEASE);
	if (ctx->has_per_thread)
		pthread_key_delete(ctx->per_thread);
	ctx->has_per_thread = false;
	prune(ctx);
	pthread_mutex_unlock(&sim.lock);
	for (stream = doomed; stream != NULL; stream = next) {
		next = stream->next;
		sim_object_delete(stream);
	}
}

/* ---- default streams ---- */

/* A thread that had a default stream of its own ends. */
static void thread_ended(void *pointer)
{
	struct sim_stream *stream = pointer;
	bool mine = false;

	if (atomic_load_explicit(&sim.ready, memory_order_relaxed) == 0)
		return;
	pthread_mutex_lock(&sim.lock);
	/* Unless its context, and the stream with it, has gone meanwhile. */
	if (sim_object_check(stream, SIM_T_STREAM) && sim_context_usable(stream->ctx))
		for (struct sim_stream *s = stream->ctx->streams; s != NULL; s = s->next)
			mine |= s == stream && (s->sim_flags & SIM_SF_PER_THREAD) != 0;
	pthread_mutex_unlock(&sim.lock);
	if (mine)
		sim_stream_unmake(stream);
}

static CUresult per_thread_stream(struct sim_context *ctx, struct sim_stream **stream)
{
	CUresult res = CUDA_SUCCESS;
	bool has_key;

	has_key = __atomic_load_n(&ctx->has_per_thread, __ATOMIC_ACQUIRE);
	if (!has_key) {
		pthread_mutex_lock(&sim.lock);
		if (!ctx->has_per_thread &&
		    pthread_key_create(&ctx->per_thread, thread_ended) != 0)
			res = CUDA_ERROR_OUT_OF_MEMORY;
		else
			__atomic_store_n(&ctx->has_per_thread, true, __ATOMIC_RELEASE);
		pthread_mutex_unlock(&sim.lock);
		if (res != CUDA_SUCCESS)
			return res;
	}
	*stream = pthread_getspecific(ctx->per_thread);
	if (*stream != NULL)
		return CUDA_SUCCESS;
	res = sim_stream_make(ctx, CU_STREAM_DEFAULT, SIM_SF_PER_THREAD,
			      SIM_PRIORITY_LEAST, stream);
	if (res == CUDA_SUCCESS && pthread_setspecific(ctx->per_thread, *stream) != 0) {
		sim_stream_unmake(*stream);
		res = CUDA_ERROR_OUT_OF_MEMORY;
	}
	return res;
}

CUresult sim_stream_get(CUstream handle, bool per_thread, struct sim_stream **stream)
{
	struct sim_context *ctx;
	CUresult res;

	if (handle != NULL && handle != CU_STREAM_LEGACY &&
	    handle != CU_STREAM_PER_THREAD) {
		*stream = (struct sim_stream *)handle;
		return sim_object_check(handle, SIM_T_STREAM) ? CUDA_SUCCESS
							      : CUDA_ERROR_INVALID_HANDLE;
	}
	res = sim_need_context(&ctx);
	if (res != CUDA_SUCCESS)
		return res;
	if (handle == CU_STREAM_PER_THREAD || (handle == NULL && per_thread))
		return per_thread_stream(ctx, stream);
	/* It goes when another thread destroys the context. */
	*stream = __atomic_load_n(&ctx->legacy, __ATOMIC_ACQUIRE);
	return *stream != NULL ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

/* ---- waiting ---- */

bool sim_stream_done(const struct sim_stream *stream, uint64_t seq)
{
	return sim_slot_done(stream->slot, seq);
}

CUresult sim_stream_wait(struct sim_stream *stream, uint64_t seq)
{
	return sim_slot_wait(stream->slot, seq);
}

/* Where the context's streams stand that have work: an array to be freed, in *points, of
 * which the length is returned, or -1 when out of memory. */
static long pending_points(const struct sim_context *ctx, bool blocking_only,
			   struct point **points)
{
	const struct sim_stream *stream;
	const struct zombie *zombie;
	long room = 0, n = 0;

	*points = NULL;
	pthread_mutex_lock(&sim.lock);
	for (stream = ctx->streams; stream != NULL; stream = stream->next)
		room++;
	for (zombie = zombies; zombie != NULL; zombie = zombie->next)
		room++;
	if (room != 0)
		*points = malloc((size_t)room * sizeof(**points));
	for (stream = ctx->streams; *points != NULL && stream != NULL;
	     stream = stream->next)
		if ((!blocking_only || (stream->sim_flags & SIM_SF_NONBLOCKING) == 0) &&
		    !sim_slot_done(stream->slot, submitted(stream)))
			(*points)[n++] = (struct point){ stream->slot,
							 submitted(stream) };
	for (zombie = zombies; *points != NULL && zombie != NULL; zombie = zombie->next)
		if (zombie->ctx == ctx && (!blocking_only || zombie->blocking))
			(*points)[n++] = (struct point){ zombie->slot, zombie->seq };
	pthread_mutex_unlock(&sim.lock);
	return room != 0 && *points == NULL ? -1 : n;
}

static CUresult drain(const struct sim_context *ctx, bool blocking_only)
{
	struct point *points;
	CUresult res = sim_client_error();
	long n;

	if (sim.chan == NULL || res != CUDA_SUCCESS)
		return res;
	n = pending_points(ctx, blocking_only, &points);
	if (n < 0)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (long i = 0; i < n && res == CUDA_SUCCESS; i++)
		res = sim_slot_wait(points[i].slot, points[i].seq);
	free(points);
	/* Work that failed after the first look, and was complete at the second, was not
	 * among the points. */
	return res == CUDA_SUCCESS ? sim_client_error() : res;
}

CUresult sim_context_drain(struct sim_context *ctx)
{
	return drain(ctx, false);
}

CUresult sim_stream_drain(struct sim_stream *stream)
{
	/* The legacy stream stands behind all blocking streams, so waiting for it is
	 * waiting for them. */
	if ((stream->sim_flags & SIM_SF_LEGACY) != 0)
		return drain(stream->ctx, true);
	return sim_slot_wait(stream->slot, submitted(stream));
}

bool sim_stream_idle(struct sim_stream *stream)
{
	struct point *points;
	bool idle = true;
	long n;

	if (sim.chan == NULL || (stream->sim_flags & SIM_SF_LEGACY) == 0)
		return sim_slot_poll(stream->slot, submitted(stream));
	n = pending_points(stream->ctx, true, &points);
	for (long i = 0; i < n; i++)
		idle = idle && sim_slot_poll(points[i].slot, points[i].seq);
	free(points);
	return idle && n >= 0;
}
