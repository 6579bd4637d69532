/*
 * ring.c - how work enters the channel's ring, and how its completion is seen.
 *
 * Knows: records, the doorbell order of proto.h, launch queues that fill, and the futexes of
 * stream slots. Refuses to know: what records mean.
 */
#include "driver/client.h"

#include <string.h>

#include "driver/launch.h"
#include "driver/visible.h"

/* Records keep to this, so that any room left at the end of the ring takes a PAD. */
#define RECORD_ALIGN 32u
_Static_assert(sizeof(struct sim_record) == RECORD_ALIGN, "a PAD record is one header");
_Static_assert(SIM_RING_BYTES % RECORD_ALIGN == 0, "records never wrap");

/* A blocked launch goes on when this many operations have left its stream's queue. */
#define QUEUE_RESUME (SIM_LAUNCH_QUEUE / 2)
/* How often a waiting thread looks whether the device process still lives. */
#define ALIVE_NS 100000000u

static uint64_t slot_completed(uint32_t slot)
{
	/* With the device's store: what the operation did is visible too. */
	uint64_t completed = atomic_load_explicit(&sim.chan->streams[slot].completed,
						  memory_order_acquire);

	/* With hostfunc.c: so is what a host function did, also to those (sanitizers) who
	 * do not see the way through the device process. */
	(void)atomic_load_explicit(&sim_host_returned, memory_order_acquire);
	return completed;
}

bool sim_slot_done(uint32_t slot, uint64_t seq)
{
	return sim.chan == NULL || slot_completed(slot) >= seq;
}

bool sim_slot_poll(uint32_t slot, uint64_t seq)
{
	if (sim_slot_done(slot, seq))
		return true;
	sim_poll_kick();
	return sim_slot_done(slot, seq);
}

CUresult sim_slot_wait(uint32_t slot, uint64_t seq)
{
	struct sim_stream_slot *s;
	CUresult res;

	if (sim.chan == NULL)
		return sim_client_error();
	s = &sim.chan->streams[slot];
	for (;;) {
		uint32_t woken = atomic_load_explicit(&s->futex, memory_order_acquire);
		uint64_t wanted = atomic_load_explicit(&s->wait_seq,
						       memory_order_seq_cst);

		/* Errors first: work of a client in error is dropped, not completed. */
		res = sim_client_error();
		if (res != CUDA_SUCCESS)
			return res;
		/* And once more: what failed is completed too, after its error was stored. */
		if (slot_completed(slot) >= seq)
			return sim_client_error();
		/* The lowest of all waiters' numbers stands in wait_seq; those above it
		 * are woken with that one and put theirs in. */
		while ((wanted == 0 || wanted > seq) &&
		       !atomic_compare_exchange_weak_explicit(&s->wait_seq, &wanted, seq,
							      memory_order_seq_cst,
							      memory_order_seq_cst))
			;
		/* With the device: it stores completed, then loads wait_seq. */
		if (atomic_load_explicit(&s->completed, memory_order_seq_cst) >= seq)
			continue;
		/* It may sleep for up to SIM_TICK_NS without knowing that we wait. */
		sim_kick();
		sim_futex_wait(&s->futex, woken, ALIVE_NS);
	}
}

/* Sleeps until the device has taken something out of the ring. Not under the lock. */
static CUresult wait_for_room(uint64_t head)
{
	struct sim_channel *chan = sim.chan;
	uint32_t drained = atomic_load_explicit(&chan->ring_futex, memory_order_acquire);

	/* With the device: it stores head, then loads ring_wait. */
	atomic_store_explicit(&chan->ring_wait, 1, memory_order_seq_cst);
	if (atomic_load_explicit(&chan->head, memory_order_seq_cst) == head) {
		sim_kick();
		sim_futex_wait(&chan->ring_futex, drained, ALIVE_NS);
	}
	return sim_client_error();
}

/* For a thread that was about to submit when another took its stream away. */
static CUresult gone(const struct sim_stream *stream)
{
	return sim_context_usable(stream->ctx) ? CUDA_ERROR_INVALID_HANDLE
					       : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

/* Takes sim.submit_lock with room for a record of `bytes` and for its stream's queue, or
 * returns the client's error without it. */
static CUresult lock_with_room(struct sim_stream *stream, size_t bytes)
{
	struct sim_channel *chan = sim.chan;
	CUresult res;

	for (;;) {
		uint64_t head, tail, queued;

		res = sim_client_error();
		if (res != CUDA_SUCCESS)
			return res;
		pthread_mutex_lock(&sim.submit_lock);
		if (stream->gone) {
			pthread_mutex_unlock(&sim.submit_lock);
			return gone(stream);
		}
		queued = stream->submitted - slot_completed(stream->slot);
		tail = atomic_load_explicit(&chan->tail, memory_order_relaxed);
		/* With the device: the bytes before head may be written again. */
		head = atomic_load_explicit(&chan->head, memory_order_acquire);
		/* Twice: a PAD in front of it may be nearly as long. */
		if (queued < SIM_LAUNCH_QUEUE &&
		    SIM_RING_BYTES - (tail - head) >= 2 * bytes)
			return CUDA_SUCCESS;
		if (queued >= SIM_LAUNCH_QUEUE) {
			uint64_t until = stream->submitted - QUEUE_RESUME;

			pthread_mutex_unlock(&sim.submit_lock);
			res = sim_slot_wait(stream->slot, until);
		} else {
			pthread_mutex_unlock(&sim.submit_lock);
			res = wait_for_room(head);
		}
		if (res != CUDA_SUCCESS)
			return res;
	}
}

CUresult sim_submit(struct sim_stream *stream, enum sim_record_kind kind,
		    const void *payload, size_t payload_bytes, const void *tail_data,
		    size_t tail_bytes, uint64_t *seq)
{
	struct sim_channel *chan = sim.chan;
	size_t bytes = sizeof(struct sim_record) + payload_bytes + tail_bytes;
	struct sim_record record;
	uint64_t tail, left;
	unsigned char *at;
	CUresult res;

	if (chan == NULL) {
		/* Not an atomic increment: nobody waits for these numbers. */
		uint64_t next = __atomic_load_n(&stream->submitted, __ATOMIC_RELAXED) + 1;

		__atomic_store_n(&stream->submitted, next, __ATOMIC_RELAXED);
		if (seq != NULL)
			*seq = next;
		return CUDA_SUCCESS;
	}
	if (payload_bytes > SIM_RECORD_MAX || tail_bytes > SIM_RECORD_MAX ||
	    bytes > SIM_RECORD_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	bytes = (bytes + RECORD_ALIGN - 1) & ~(size_t)(RECORD_ALIGN - 1);
	res = lock_with_room(stream, bytes);
	if (res != CUDA_SUCCESS)
		return res;
	record = (struct sim_record){
		.bytes = (uint32_t)bytes,
		.kind = (uint16_t)kind,
		.device = (uint16_t)sim_visible_number(stream->ctx->device),
		.stream = stream->slot,
		.seq = stream->submitted + 1,
	};
	__atomic_store_n(&stream->submitted, record.seq, __ATOMIC_RELAXED);
	tail = atomic_load_explicit(&chan->tail, memory_order_relaxed);
	left = SIM_RING_BYTES - tail % SIM_RING_BYTES;
	if (left < bytes) {
		const struct sim_record pad = { .bytes = (uint32_t)left,
						.kind = SIM_REC_PAD };

		memcpy(chan->ring + tail % SIM_RING_BYTES, &pad, sizeof(pad));
		tail += left;
	}
	at = chan->ring + tail % SIM_RING_BYTES;
	/* Doorbell order, see proto.h: the device must see the intent of anybody whose
	 * submit_ns lies before the clock it has read. */
	atomic_store_explicit(&chan->intent, 1, memory_order_seq_cst);
	record.submit_ns = sim_now_ns();
	memcpy(at, &record, sizeof(record));
	if (payload_bytes != 0)
		memcpy(at + sizeof(record), payload, payload_bytes);
	if (tail_bytes != 0)
		memcpy(at + sizeof(record) + payload_bytes, tail_data, tail_bytes);
	/* Both with the device: whoever sees the intent gone sees the record. And it sets
	 * want_kick, then loads tail: one of us sees the other. */
	atomic_store_explicit(&chan->tail, tail + bytes, memory_order_seq_cst);
	atomic_store_explicit(&chan->intent, 0, memory_order_release);
	pthread_mutex_unlock(&sim.submit_lock);
	sim_kick_if_wanted();
	if (seq != NULL)
		*seq = record.seq;
	return CUDA_SUCCESS;
}
