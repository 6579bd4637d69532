/*
 * execute.c - what operations do when their time has come: the engine's callbacks.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "device/futex.h"
#include "device/server.h"

/* How many light operations pass between two looks at the clock. */
#define EVENTS_PER_LOOK 64

/* ---- bytes ---- */

/* One call moves less than 2 GiB, whatever is asked for. */
#define HOST_BYTES_MAX (1ull << 30)

static bool host_read(struct sim_client *client, uint64_t addr, void *to, size_t bytes)
{
	struct iovec local = { to, bytes }, remote = { (void *)(uintptr_t)addr, bytes };

	return client->direct &&
	       process_vm_readv(client->pid, &local, 1, &remote, 1, 0) == (ssize_t)bytes;
}

static bool host_write(struct sim_client *client, uint64_t addr, void *from, size_t bytes)
{
	struct iovec local = { from, bytes }, remote = { (void *)(uintptr_t)addr, bytes };

	return client->direct &&
	       process_vm_writev(client->pid, &local, 1, &remote, 1, 0) == (ssize_t)bytes;
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
		else if ((to == bounce || from == bounce) && step > HOST_BYTES_MAX)
			step = HOST_BYTES_MAX;
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
	const struct sim_rec_copy *rec = &work->rec.copy;
	uint64_t y, z;

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

#define FILL_BYTES (32u << 10)

static void fill(unsigned char *to, uint64_t at, uint64_t bytes,
		 const unsigned char *value, unsigned element_bytes)
{
	uint64_t done, i;

	if (element_bytes == 1) {
		memset(to, value[0], bytes);
		return;
	}
	/* `at` is the offset in the row: mappings may end inside an element. */
	done = bytes < element_bytes ? bytes : element_bytes;
	for (i = 0; i < done; i++)
		to[i] = value[(at + i) % element_bytes];
	/* Doubled, then in pieces that stay in the cache. */
	while (done < bytes) {
		uint64_t step = done < FILL_BYTES ? done : FILL_BYTES;

		if (step > bytes - done)
			step = bytes - done;
		memcpy(to + done, to, step);
		done += step;
	}
}

/* Zeroes a range of at least WIPE_BYTES by giving its pages back: gigabytes at once, and
 * memory that is only zero costs the machine none. Not for memory shared with the client,
 * whose pages belong to a file. */
#define WIPE_BYTES (1ull << 20)

static bool wipe(const struct sim_map *map, unsigned char *to, uint64_t bytes)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t start = ((uintptr_t)to + page - 1) & ~(page - 1);
	const uintptr_t end = ((uintptr_t)to + bytes) & ~(page - 1);

	if (bytes < WIPE_BYTES || map->phys->kind == SIM_MEM_MANAGED ||
	    map->phys->kind == SIM_MEM_HOST)
		return false;
	if (madvise((void *)start, end - start, MADV_DONTNEED) != 0)
		return false;
	memset(to, 0, start - (uintptr_t)to);
	memset((unsigned char *)end, 0, (uintptr_t)to + bytes - end);
	return true;
}

static bool run_memset(struct sim_work *work)
{
	static const unsigned char zero[4];
	const struct sim_rec_memset *rec = &work->rec.memset;
	const uint64_t row_bytes = rec->width * rec->element_bytes;
	unsigned char value[4];
	uint64_t y;
	bool zeroes;

	memcpy(value, &rec->value, sizeof(value));
	zeroes = memcmp(value, zero, rec->element_bytes) == 0;
	for (y = 0; y < rec->height; y++) {
		uint64_t at = 0;

		while (at < row_bytes) {
			const uint64_t va = rec->dst + y * rec->pitch + at;
			uint64_t step;
			unsigned char *to = sim_memory_at(work->client, va, 2, &step);

			if (to == NULL)
				return false;
			if (step > row_bytes - at)
				step = row_bytes - at;
			if (!zeroes || !wipe(sim_memory_find(work->client, va), to, step))
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
		const unsigned char *from = sim_memory_at(work->client, rec->addr, 1,
							  &contiguous);

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

/* Tells everybody who knows the event that its last record is complete. */
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
		struct sim_event_slot *slot =
			&client->chan->events[event->mirrors[i].slot];

		atomic_store_explicit(&slot->time_ns, now_ns, memory_order_relaxed);
		atomic_store_explicit(&slot->done_gen,
				      client == work->client ? event->gen : UINT64_MAX,
				      memory_order_release);
	}
}

/* A node of a graph has recorded an event: so has what stood for it since the launch. */
static void run_graph_record(struct sim_work *node, uint64_t now_ns)
{
	struct sim_work *record = sim_graph_announced(node);

	if (record == NULL)
		return;
	run_record(record, now_ns);
	sim_op_complete(node->client->server->engine, &record->op);
}

/* ---- host functions ---- */

static void host_append(struct sim_host_list *list, struct sim_work *work)
{
	work->host = list;
	work->host_next = NULL;
	work->host_prev = list->last;
	if (list->last != NULL)
		list->last->host_next = work;
	else
		list->first = work;
	list->last = work;
}

/* Out of whichever list it stands in. */
static void host_remove(struct sim_work *work)
{
	struct sim_host_list *list = work->host;

	if (list == NULL)
		return;
	if (work->host_prev != NULL)
		work->host_prev->host_next = work->host_next;
	else
		list->first = work->host_next;
	if (work->host_next != NULL)
		work->host_next->host_prev = work->host_prev;
	else
		list->last = work->host_prev;
	work->host = NULL;
}

void sim_host_announce(struct sim_client *client)
{
	struct sim_channel *chan = client->chan;

	/* A client about to be in error is announced nothing more: its work is dropped. */
	while (client->host_waiting.first != NULL && client->sticky_next == 0) {
		struct sim_work *work = client->host_waiting.first;
		uint32_t tail = atomic_load_explicit(&chan->cb_tail,
						     memory_order_relaxed);

		if (tail - atomic_load(&chan->cb_head) >= SIM_CALLBACKS)
			return;
		host_remove(work);
		host_append(&client->host_running, work);
		chan->callbacks[tail % SIM_CALLBACKS] = work->rec.host.token;
		sim_futex_wake(&chan->cb_tail);
	}
}

void sim_host_done(struct sim_client *client, uint64_t token)
{
	struct sim_work *work = client->host_running.first;

	while (work != NULL && work->rec.host.token != token)
		work = work->host_next;
	if (work == NULL)
		return;
	host_remove(work); /* now: the same function may have been announced twice */
	sim_op_complete(client->server->engine, &work->op);
}

/* ---- conditions ---- */

/* Memory may have changed by this operation, also that of others. */
static void note_write(const struct sim_work *work, bool host)
{
	work->client->writes++;
	if (work->client->shares || host)
		work->client->server->shared_writes++;
}

static bool writes_host(const struct sim_work *work)
{
	if (work->kind == SIM_REC_COPY)
		return work->rec.copy.dst.space == SIM_SPACE_HOST;
	return work->kind == SIM_REC_WRITE_VALUE &&
	       space_of(work->client, work->rec.value.addr) == SIM_SPACE_HOST;
}

/* Changes with all that a condition may depend on: the client's own work, that of others as
 * far as they share memory, and the passing of time, in which the host may do anything. */
static uint64_t memory_state(const struct sim_work *work)
{
	const struct sim_server *server = work->client->server;
	bool host = work->kind == SIM_REC_WAIT_VALUE &&
		    space_of(work->client, work->rec.value.addr) == SIM_SPACE_HOST;

	return 1 + server->rounds + work->client->writes +
	       (work->client->shares || host ? server->shared_writes : 0);
}

/* ---- callbacks ---- */

static void effect(void *arg, struct sim_op *op, uint64_t now_ns)
{
	struct sim_work *work = sim_work_of(op);
	struct sim_server *server = arg;
	bool ok = true;

	if (work->client->sticky_next != 0)
		return;
	switch (work->kind) {
	case SIM_REC_KERNEL:
	case SIM_REC_MEMSET:
	case SIM_REC_COPY:
	case SIM_REC_WRITE_VALUE:
		server->heavy = true;
		note_write(work, writes_host(work));
		break;
	default:
		break;
	}
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
		if (work->run != NULL)
			run_graph_record(work, now_ns);
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
	struct sim_work *work = sim_work_of(op);
	struct sim_server *server = arg;
	uint64_t state = memory_state(work);
	bool holds;

	/* Many may wait: what cannot have changed is not looked at. */
	if (work->client->sticky_next != 0 || work->looked == state)
		return false;
	holds = work->kind == SIM_REC_KERNEL ? sim_kernel_ready(work) : value_holds(work);
	if (holds || work->looked == 0)
		server->condition_ns = sim_engine_now(server->engine);
	work->looked = state;
	return holds;
}

static void progress(void *arg, struct sim_op *op)
{
	(void)arg;
	note_write(sim_work_of(op), false);
	sim_kernel_progress(sim_work_of(op));
}

static void begin(void *arg, struct sim_op *op, uint64_t now_ns)
{
	struct sim_work *work = sim_work_of(op);

	((struct sim_server *)arg)->heavy = true;
	if (work->kind != SIM_REC_HOST_FUNC) {
		sim_graph_begin(work, now_ns);
		return;
	}
	host_append(&work->client->host_waiting, work);
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
	struct sim_work *work = sim_work_of(op);
	struct sim_dstream *stream = work->stream;
	struct sim_client *client = work->client;

	(void)arg;
	if (work->kind == SIM_REC_HOST_FUNC) {
		host_remove(work);
		sim_host_announce(client);
	}
	if (stream != NULL) {
		struct sim_stream_slot *slot = &client->chan->streams[stream->slot];
		uint64_t wait_seq;

		stream->completed = work->seq;
		stream->first_since_ns = now_ns;
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
	struct sim_work *work = sim_work_of(op);

	if (work->kind == SIM_REC_HOST_FUNC)
		host_remove(work);
	/* Other processes that share the event would wait for ever. */
	if (work->event != NULL && work->event->nmirrors > 1)
		run_record(work, sim_engine_now(((struct sim_server *)arg)->engine));
	if (work->stream != NULL)
		leave_stream(work);
	sim_work_free(work);
}

/* Whether requests have waited long enough for the simulation. */
static bool enough(void *arg)
{
	struct sim_server *server = arg;

	if (!server->heavy && ++server->events < EVENTS_PER_LOOK)
		return false;
	server->heavy = false;
	server->events = 0;
	return sim_clock_ns() >= server->enough_ns;
}

void sim_execute_calls(struct sim_server *server, struct sim_engine_calls *calls)
{
	*calls = (struct sim_engine_calls){ .effect = effect,
					    .ready = ready,
					    .progress = progress,
					    .begin = begin,
					    .done = done,
					    .dropped = dropped,
					    .enough = enough,
					    .arg = server };
}
