/*
 * event.c - events: handles, slots, and when the last record of one has completed.
 *
 * Knows: the event slots of the channel, generations of records, IPC aliases as far as
 * completion goes. Refuses to know: the calls (event_calls.c), how aliases are made, and
 * captures.
 *
 * A record is a stream operation, so an event of this process is done when that operation
 * is; its slot only adds the time. The slot of an event that other processes share also says
 * whether the last record anywhere has completed (done_gen, 0 while one is pending).
 */
#include "driver/event.h"

#include <string.h>
#include <time.h>

#include "driver/client.h"

#define POLL_FIRST_NS 20000
#define POLL_MOST_NS 1000000

/* What is kept of a slot beyond the life of its event: the last record put into it. */
struct slot {
	uint64_t gen;
	uint64_t seq;
	uint32_t stream_slot;
	bool used;
};

static pthread_mutex_t event_lock = PTHREAD_MUTEX_INITIALIZER;
static struct slot slots[SIM_EVENTS]; /* under event_lock, like the records of events */
static uint32_t next_slot;

/* ---- life ---- */

/* A slot that nobody has and whose last record is done; SIM_EVENTS if there is none. Slots
 * go round, so that one rests for as long as possible. Under event_lock. */
static uint32_t take_slot(void)
{
	for (uint32_t tried = 0; tried < SIM_EVENTS; tried++) {
		uint32_t slot = (next_slot + tried) % SIM_EVENTS;

		if (slots[slot].used ||
		    !sim_slot_done(slots[slot].stream_slot, slots[slot].seq))
			continue;
		slots[slot].used = true;
		next_slot = slot + 1;
		return slot;
	}
	return SIM_EVENTS;
}

struct sim_event *sim_event_new(struct sim_context *ctx, unsigned flags)
{
	struct sim_event_full *full = sim_object_new(SIM_T_EVENT, sizeof(*full));
	struct sim_event *event;

	if (full == NULL)
		return NULL;
	event = &full->event;
	event->ctx = ctx;
	event->flags = flags;
	pthread_mutex_lock(&event_lock);
	event->slot = take_slot();
	if (event->slot != SIM_EVENTS)
		event->gen = slots[event->slot].gen;
	pthread_mutex_unlock(&event_lock);
	if (event->slot == SIM_EVENTS) {
		sim_object_delete(event);
		return NULL;
	}
	/* Nothing is pending elsewhere yet; the device writes it from now on. */
	if (sim.chan != NULL && (flags & CU_EVENT_INTERPROCESS) != 0)
		atomic_store_explicit(&sim.chan->events[event->slot].done_gen, UINT64_MAX,
				      memory_order_relaxed);
	sim_object_own(event, ctx);
	return event;
}

void sim_event_free(struct sim_event *event)
{
	const uint64_t a[6] = { event->slot };

	if (sim.chan != NULL &&
	    (event->imported || (event->flags & CU_EVENT_INTERPROCESS)))
		sim_rpc(SIM_RPC_EVENT_FORGET, a, NULL, -1, NULL);
	pthread_mutex_lock(&event_lock);
	slots[event->slot].used = false;
	pthread_mutex_unlock(&event_lock);
	sim_object_delete(event);
}

CUresult sim_event_get(CUevent handle, struct sim_event **event)
{
	*event = (struct sim_event *)handle;
	return sim_object_check(handle, SIM_T_EVENT) ? CUDA_SUCCESS
						     : CUDA_ERROR_INVALID_HANDLE;
}

static void drop(void *event)
{
	sim_event_free(event);
}

void sim_event_drop_context(struct sim_context *ctx)
{
	sim_object_each_of(SIM_T_EVENT, ctx, drop);
}

/* ---- records ---- */

uint64_t sim_event_begin_record(struct sim_event *event)
{
	uint64_t gen;

	pthread_mutex_lock(&event_lock);
	gen = ++slots[event->slot].gen;
	pthread_mutex_unlock(&event_lock);
	return gen;
}

uint64_t sim_event_begin_graph(struct sim_event *const *events, size_t count)
{
	uint64_t gen = 0;

	pthread_mutex_lock(&event_lock);
	for (size_t i = 0; i < count; i++)
		if (slots[events[i]->slot].gen >= gen)
			gen = slots[events[i]->slot].gen + 1;
	for (size_t i = 0; i < count; i++)
		slots[events[i]->slot].gen = gen;
	pthread_mutex_unlock(&event_lock);
	return gen;
}

static void recorded(struct sim_event *event, struct sim_stream *stream, uint64_t gen,
		     uint64_t seq, bool by_graph)
{
	struct sim_event_full *full = (struct sim_event_full *)event;

	pthread_mutex_lock(&event_lock);
	/* Of two threads that record at once the later generation stands. */
	if (gen >= event->gen) {
		event->gen = gen;
		event->stream_slot = stream->slot;
		event->stream_seq = seq;
		event->recorded = true;
		event->captured = false;
		full->by_graph = by_graph;
		slots[event->slot].stream_slot = stream->slot;
		slots[event->slot].seq = seq;
		if (sim.chan == NULL)
			full->zero_time_ns = sim_now_ns();
	}
	pthread_mutex_unlock(&event_lock);
}

void sim_event_recorded(struct sim_event *event, struct sim_stream *stream, uint64_t gen,
			uint64_t seq)
{
	recorded(event, stream, gen, seq, false);
}

void sim_event_recorded_by_graph(struct sim_event *event, struct sim_stream *stream,
				 uint64_t gen, uint64_t seq)
{
	recorded(event, stream, gen, seq, true);
}

void sim_event_captured(struct sim_event *event)
{
	pthread_mutex_lock(&event_lock);
	event->captured = true;
	pthread_mutex_unlock(&event_lock);
}

static bool shared(const struct sim_event *event)
{
	return event->imported || (event->flags & CU_EVENT_INTERPROCESS) != 0;
}

bool sim_event_target(struct sim_event *event, struct sim_rec_event *rec)
{
	bool recorded;

	pthread_mutex_lock(&event_lock);
	recorded = event->recorded;
	*rec = (struct sim_rec_event){ .slot = event->slot, .gen = event->gen };
	pthread_mutex_unlock(&event_lock);
	if (!shared(event))
		return recorded;
	rec->flags = SIM_EF_EXTERNAL;
	return true;
}

struct sim_event_mark sim_event_mark(struct sim_event *event)
{
	struct sim_event_mark mark;

	pthread_mutex_lock(&event_lock);
	mark = (struct sim_event_mark){
		.recorded = event->recorded,
		.captured = event->captured,
		.by_graph = ((struct sim_event_full *)event)->by_graph,
		.gen = event->gen,
		.stream_slot = event->stream_slot,
		.seq = event->stream_seq,
		.time_ns = ((struct sim_event_full *)event)->zero_time_ns,
	};
	pthread_mutex_unlock(&event_lock);
	return mark;
}

/* ---- completion ---- */

/* Whether a record made elsewhere is pending, for events that others share. */
static bool pending_elsewhere(const struct sim_event *event)
{
	if (sim.chan == NULL || !shared(event))
		return false;
	return atomic_load_explicit(&sim.chan->events[event->slot].done_gen,
				    memory_order_acquire) == 0;
}

/* Whether the node of a graph has recorded the event: the stream is done only with all of
 * the graph. */
static bool recorded_in_graph(const struct sim_event *event,
			      const struct sim_event_mark *mark)
{
	return mark->by_graph && sim.chan != NULL &&
	       atomic_load_explicit(&sim.chan->events[event->slot].done_gen,
				    memory_order_acquire) >= mark->gen;
}

bool sim_event_done(const struct sim_event *event, const struct sim_event_mark *mark)
{
	if (mark->recorded && !sim_slot_done(mark->stream_slot, mark->seq) &&
	    !recorded_in_graph(event, mark))
		return false;
	return !pending_elsewhere(event);
}

bool sim_event_poll(const struct sim_event *event, const struct sim_event_mark *mark)
{
	if (sim_event_done(event, mark))
		return true;
	sim_poll_kick();
	return sim_event_done(event, mark);
}

CUresult sim_event_wait(const struct sim_event *event, const struct sim_event_mark *mark)
{
	CUresult res = CUDA_SUCCESS;
	long pause_ns = POLL_FIRST_NS;

	if (mark->recorded && !mark->by_graph)
		res = sim_slot_wait(mark->stream_slot, mark->seq);
	/* Nobody wakes this process for another's record or for the node of a graph: look
	 * now and then. */
	while (res == CUDA_SUCCESS && !sim_event_done(event, mark)) {
		const struct timespec pause = { .tv_nsec = pause_ns };

		sim_poll_kick();
		nanosleep(&pause, NULL);
		if (pause_ns < POLL_MOST_NS)
			pause_ns *= 2;
		res = sim_client_error();
	}
	/* And once more: an error of the work that completed comes before its completion. */
	return res == CUDA_SUCCESS ? sim_client_error() : res;
}

uint64_t sim_event_time_ns(const struct sim_event *event,
			   const struct sim_event_mark *mark)
{
	if (sim.chan == NULL)
		return mark->time_ns;
	return atomic_load_explicit(&sim.chan->events[event->slot].time_ns,
				    memory_order_relaxed);
}
