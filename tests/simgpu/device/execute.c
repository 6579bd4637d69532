/*
 * execute.c - what operations do when their time has come: the engine's callbacks.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "device/futex.h"
#include "device/server.h"

static struct sim_work *work_of(struct sim_op *op)
{
	return (struct sim_work *)((char *)op - offsetof(struct sim_work, op));
}

/* ---- bytes ---- */

static bool host_read(struct sim_client *client, uint64_t addr, void *to, size_t bytes)
{
	struct iovec local = { to, bytes }, remote = { (void *)(uintptr_t)addr, bytes };

	return process_vm_readv(client->pid, &local, 1, &remote, 1, 0) == (ssize_t)bytes;
}

static bool host_write(struct sim_client *client, uint64_t addr, void *from, size_t bytes)
{
	struct iovec local = { from, bytes }, remote = { (void *)(uintptr_t)addr, bytes };

	return process_vm_writev(client->pid, &local, 1, &remote, 1, 0) == (ssize_t)bytes;
}

/* Moves bytes between any two places; false if one of them is not there. */
static bool move(struct sim_client *client, uint32_t dst_space, uint64_t dst,
		 uint32_t src_space, uint64_t src, uint64_t bytes)
{
	static unsigned char bounce[64 << 10];

	while (bytes > 0) {
		unsigned char *to = bounce, *from = bounce;
		uint64_t step = bytes, contiguous;
		bool ok = true;

		if (dst_space == SIM_SPACE_DEVICE) {
			to = sim_memory_at(client, dst, 2, &contiguous);
			if (to == NULL)
				return false;
			step = step < contiguous ? step : contiguous;
		}
		if (src_space == SIM_SPACE_DEVICE) {
			from = sim_memory_at(client, src, 1, &contiguous);
			if (from == NULL)
				return false;
			step = step < contiguous ? step : contiguous;
		}
		if (to == bounce && from == bounce)
			step = step < sizeof(bounce) ? step : sizeof(bounce);
		if (src_space == SIM_SPACE_HOST)
			ok = host_read(client, src, to, step);
		if (ok && dst_space == SIM_SPACE_HOST)
			ok = host_write(client, dst, from, step);
		if (!ok)
			return false;
		if (to != bounce && from != bounce)
			memmove(to, from, step);
		dst += step;
		src += step;
		bytes -= step;
	}
	return true;
}

static bool run_copy(struct sim_work *work)
{
	struct sim_rec_copy *rec = &work->rec.copy;
	uint64_t y, z;

	/* Rows without gaps are one row. */
	if (rec->dst.pitch == rec->width_bytes && rec->src.pitch == rec->width_bytes) {
		rec->width_bytes *= rec->height;
		rec->height = 1;
	}
	for (z = 0; z < rec->depth; z++)
		for (y = 0; y < rec->height; y++)
			if (!move(work->client, rec->dst.space,
				  rec->dst.addr + z * rec->dst.slice + y * rec->dst.pitch,
				  rec->src.space,
				  rec->src.addr + z * rec->src.slice + y * rec->src.pitch,
				  rec->width_bytes))
				return false;
	work->client->books.copies++;
	work->client->books.copy_bytes += rec->width_bytes * rec->height * rec->depth;
	return true;
}

static void fill(unsigned char *to, uint64_t at, uint64_t bytes, const unsigned char *value,
		 unsigned element_bytes)
{
	uint64_t i;

	if (element_bytes == 1) {
		memset(to, value[0], bytes);
		return;
	}
	/* `at` is the offset in the row: mappings may end inside an element. */
	for (i = 0; i < bytes; i++)
		to[i] = value[(at + i) % element_bytes];
}

static bool run_memset(struct sim_work *work)
{
	const struct sim_rec_memset *rec = &work->rec.memset;
	const uint64_t row_bytes = rec->width * rec->element_bytes;
	unsigned char value[4];
	uint64_t y;

	memcpy(value, &rec->value, sizeof(value));
	for (y = 0; y < rec->height; y++) {
		uint64_t at = 0;

		while (at < row_bytes) {
			uint64_t step;
			unsigned char *to = sim_memory_at(
				work->client, rec->dst + y * rec->pitch + at, 2, &step);

			if (to == NULL)
				return false;
			if (step > row_bytes - at)
				step = row_bytes - at;
			fill(to, at, step, value, rec->element_bytes);
			at += step;
		}
	}
	return true;
}

static uint32_t space_of(const struct sim_client *client, uint64_t addr)
{
	return addr - client->space.base < client->space.bytes ? SIM_SPACE_DEVICE
							       : SIM_SPACE_HOST;
}

static bool run_write(struct sim_work *work)
{
	struct sim_rec_value *rec = &work->rec.value;
	uint64_t contiguous;
	unsigned char *to;

	if (space_of(work->client, rec->addr) == SIM_SPACE_HOST)
		return host_write(work->client, rec->addr, &rec->value, rec->bytes);
	to = sim_memory_at(work->client, rec->addr, 2, &contiguous);
	if (to == NULL || contiguous < rec->bytes)
		return false;
	memcpy(to, &rec->value, rec->bytes);
	return true;
}

static bool value_holds(struct sim_work *work)
{
	const struct sim_rec_value *rec = &work->rec.value;
	const uint64_t mask = rec->bytes == 4 ? UINT32_MAX : UINT64_MAX;
	const uint64_t wanted = rec->value & mask;
	uint64_t value = 0, contiguous;

	if (space_of(work->client, rec->addr) == SIM_SPACE_HOST) {
		if (!host_read(work->client, rec->addr, &value, rec->bytes))
			goto illegal;
	} else {
		const unsigned char *from =
			sim_memory_at(work->client, rec->addr, 1, &contiguous);

		if (from == NULL || contiguous < rec->bytes)
			goto illegal;
		memcpy(&value, from, rec->bytes);
	}
	switch (rec->compare) {
	case SIM_CMP_GEQ: /* cyclic, as the manual of cuStreamWaitValue says */
		return rec->bytes == 4 ? (int32_t)(uint32_t)(value - wanted) >= 0
				       : (int64_t)(value - wanted) >= 0;
	case SIM_CMP_EQ:
		return value == wanted;
	case SIM_CMP_AND:
		return (value & wanted) != 0;
	default:
		return (~(value | wanted) & mask) != 0;
	}
illegal:
	sim_client_fail(work->client, SIM_ILLEGAL_ADDRESS);
	return true;
}

static void run_record(struct sim_work *work, uint64_t now_ns)
{
	struct sim_devent *event = work->event;
	unsigned i;

	if (event == NULL)
		return;
	event->time_ns = now_ns;
	event->gen = work->rec.event.gen;
	for (i = 0; i < event->nmirrors; i++) {
		struct sim_client *client = event->mirrors[i].client;
		struct sim_event_slot *slot = &client->chan->events[event->mirrors[i].slot];

		atomic_store_explicit(&slot->time_ns, now_ns, memory_order_relaxed);
		atomic_store_explicit(&slot->done_gen,
				      client == work->client ? event->gen : UINT64_MAX,
				      memory_order_release);
	}
}

/* ---- host functions ---- */

void sim_host_announce(struct sim_client *client)
{
	struct sim_channel *chan = client->chan;

	/* A client about to be in error is announced nothing more: its work is dropped. */
	while (client->host_waiting != NULL && client->sticky_next == 0) {
		struct sim_work *work = client->host_waiting;
		uint32_t tail = atomic_load_explicit(&chan->cb_tail, memory_order_relaxed);

		if (tail - atomic_load(&chan->cb_head) >= SIM_CALLBACKS)
			return;
		client->host_waiting = work->next;
		if (client->host_waiting == NULL)
			client->host_waiting_end = &client->host_waiting;
		work->next = client->host_running;
		client->host_running = work;
		chan->callbacks[tail % SIM_CALLBACKS] = work->rec.host.token;
		sim_futex_wake(&chan->cb_tail);
	}
}

/* Takes a host function out of whichever list it is in. */
static void host_unlink(struct sim_work *work)
{
	struct sim_client *client = work->client;
	struct sim_work **link;

	for (link = &client->host_running; *link != NULL; link = &(*link)->next)
		if (*link == work) {
			*link = work->next;
			return;
		}
	for (link = &client->host_waiting; *link != NULL; link = &(*link)->next)
		if (*link == work) {
			*link = work->next;
			if (*link == NULL)
				client->host_waiting_end = link;
			return;
		}
}

void sim_host_done(struct sim_client *client, uint64_t token)
{
	struct sim_work *work, *found = NULL;

	/* The oldest announced one with this token: the list is newest first. */
	for (work = client->host_running; work != NULL; work = work->next)
		if (work->rec.host.token == token)
			found = work;
	if (found == NULL)
		return;
	sim_op_complete(client->server->engine, &found->op);
}

/* ---- callbacks ---- */

static void effect(void *arg, struct sim_op *op, uint64_t now_ns)
{
	struct sim_work *work = work_of(op);
	bool ok = true;

	(void)arg;
	if (work->client->sticky_next != 0)
		return;
	switch (work->kind) {
	case SIM_REC_KERNEL:
		work->client->books.kernels++;
		ok = sim_kernel_run(work);
		break;
	case SIM_REC_MEMSET:
		ok = run_memset(work);
		break;
	case SIM_REC_COPY:
		ok = run_copy(work);
		break;
	case SIM_REC_EVENT_RECORD:
		run_record(work, now_ns);
		break;
	case SIM_REC_WRITE_VALUE:
		ok = run_write(work);
		break;
	case SIM_NODE_EMPTY:
		sim_graph_joined(work, now_ns);
		break;
	default:
		break;
	}
	if (!ok)
		sim_client_fail(work->client, SIM_ILLEGAL_ADDRESS);
}

static bool ready(void *arg, struct sim_op *op)
{
	struct sim_work *work = work_of(op);
	struct sim_server *server = arg;
	bool holds;

	if (work->client->sticky_next != 0)
		return false;
	holds = work->kind == SIM_REC_KERNEL ? sim_kernel_ready(work) : value_holds(work);
	if (holds || !work->asked)
		server->condition_ns = sim_engine_now(server->engine);
	work->asked = true;
	return holds;
}

static void progress(void *arg, struct sim_op *op)
{
	(void)arg;
	sim_kernel_progress(work_of(op));
}

static void begin(void *arg, struct sim_op *op, uint64_t now_ns)
{
	struct sim_work *work = work_of(op);

	(void)arg;
	if (work->kind != SIM_REC_HOST_FUNC) {
		sim_graph_begin(work, now_ns);
		return;
	}
	work->next = NULL;
	*work->client->host_waiting_end = work;
	work->client->host_waiting_end = &work->next;
	sim_host_announce(work->client);
}

/* The stream's books when one of its operations has gone. */
static void leave_stream(struct sim_work *work)
{
	struct sim_dstream *stream = work->stream;
	struct sim_client *client = work->client;

	/* What is dropped goes in any order, but all of the stream's. */
	if (stream->first == work)
		stream->first = work->stream_next;
	if (stream->last != work)
		return;
	stream->first = NULL;
	stream->last = NULL;
	stream->active = false;
	if (stream->active_prev != NULL)
		stream->active_prev->active_next = stream->active_next;
	else
		client->active = stream->active_next;
	if (stream->active_next != NULL)
		stream->active_next->active_prev = stream->active_prev;
	stream->active_prev = NULL;
	stream->active_next = NULL;
}

static void done(void *arg, struct sim_op *op, uint64_t now_ns)
{
	struct sim_work *work = work_of(op);
	struct sim_dstream *stream = work->stream;
	struct sim_client *client = work->client;

	(void)arg;
	(void)now_ns;
	if (work->kind == SIM_REC_HOST_FUNC) {
		host_unlink(work);
		sim_host_announce(client);
	}
	if (stream != NULL) {
		struct sim_stream_slot *slot = &client->chan->streams[stream->slot];
		uint64_t wait_seq;

		stream->completed = work->seq;
		stream->executing_ns += op->work_ns;
		atomic_store_explicit(&slot->completed, work->seq, memory_order_seq_cst);
		wait_seq = atomic_load_explicit(&slot->wait_seq, memory_order_seq_cst);
		if (wait_seq != 0 && wait_seq <= work->seq)
			sim_futex_wake_slot(slot);
		leave_stream(work);
	}
	sim_work_free(work);
	if (stream != NULL && stream->destroyed && stream->last == NULL)
		sim_dstream_free(client, stream);
}

static void dropped(void *arg, struct sim_op *op)
{
	struct sim_work *work = work_of(op);

	(void)arg;
	if (work->kind == SIM_REC_HOST_FUNC)
		host_unlink(work);
	if (work->stream != NULL)
		leave_stream(work);
	sim_work_free(work);
}

void sim_execute_calls(struct sim_server *server, struct sim_engine_calls *calls)
{
	*calls = (struct sim_engine_calls){ .effect = effect,
					    .ready = ready,
					    .progress = progress,
					    .begin = begin,
					    .done = done,
					    .dropped = dropped,
					    .arg = server };
}
