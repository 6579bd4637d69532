/*
 * ingest.c - from the ring of a client to operations of the engine: records are copied,
 * checked, shaped and put in order behind what they must wait for.
 */
#include <stdlib.h>
#include <string.h>

#include "device/futex.h"
#include "device/server.h"

/* A memset or device copy costs at least this on the SMs, a copy this on its engine. */
#define SET_FLOOR_NS 1500
#define COPY_FLOOR_NS 1500
/* Moving bytes takes our own time, in which nothing else happens, so a record has an end:
 * the memory of a device (but at least that much), in so many rows. A row in the client's
 * memory costs a system call. */
#define BYTES_MAX (4ull << 30)
#define ROWS_MAX (1ull << 24)
#define HOST_ROWS_MAX (1ull << 22)
/* Builtin kernels have no more arguments than this. */
#define PARAMS_MAX 64

static size_t payload_size(uint32_t kind)
{
	switch (kind) {
	case SIM_REC_KERNEL:
		return sizeof(struct sim_rec_kernel);
	case SIM_REC_MEMSET:
		return sizeof(struct sim_rec_memset);
	case SIM_REC_COPY:
		return sizeof(struct sim_rec_copy);
	case SIM_REC_EVENT_RECORD:
	case SIM_REC_EVENT_WAIT:
		return sizeof(struct sim_rec_event);
	case SIM_REC_WAIT_VALUE:
	case SIM_REC_WRITE_VALUE:
		return sizeof(struct sim_rec_value);
	case SIM_REC_HOST_FUNC:
		return sizeof(struct sim_rec_host);
	case SIM_REC_GRAPH:
		return sizeof(struct sim_rec_graph);
	default:
		return 0;
	}
}

struct sim_work *sim_work_new(struct sim_client *client, struct sim_dctx *ctx,
			      uint32_t kind, const void *payload, size_t payload_bytes,
			      const unsigned char *tail, size_t tail_bytes,
			      bool copy_tail)
{
	const size_t wanted = payload_size(kind), given = tail_bytes;
	struct sim_work *work;

	if (payload_bytes < wanted)
		return NULL;
	if (copy_tail && tail_bytes > PARAMS_MAX)
		tail_bytes = PARAMS_MAX;
	work = malloc(sizeof(*work) + (copy_tail ? tail_bytes : 0));
	if (work == NULL)
		return NULL;
	memset(work, 0, sizeof(*work));
	sim_op_init(&work->op, SIM_OP_INSTANT, &ctx->ctx);
	work->client = client;
	work->ctx = ctx;
	work->kind = kind;
	if (wanted > 0)
		memcpy(&work->rec, payload, wanted);
	if (kind == SIM_REC_KERNEL) {
		if (work->rec.kernel.param_bytes > given) {
			free(work);
			return NULL;
		}
		work->param_bytes = work->rec.kernel.param_bytes;
		if (work->param_bytes > tail_bytes)
			work->param_bytes = (uint32_t)tail_bytes;
		work->params = copy_tail ? work->tail : tail;
		if (copy_tail && tail_bytes > 0)
			memcpy(work->tail, tail, tail_bytes);
	}
	return work;
}

void sim_work_free(struct sim_work *work)
{
	if (work->event != NULL && work->event->last == work)
		work->event->last = NULL;
	sim_graph_unannounce(work);
	if (work->graph != NULL) {
		struct sim_work **last = sim_graph_last(work->graph);

		if (*last == work)
			*last = NULL;
		sim_graph_unref(work->graph);
	}
	if (work->run != NULL)
		sim_run_unref(work->run);
	free(work);
}

static bool shape_kernel(struct sim_work *work)
{
	const struct sim_rec_kernel *rec = &work->rec.kernel;
	int i;

	if (rec->builtin >= SIM_K_BUILTINS)
		return false;
	for (i = 0; i < 3; i++)
		if (rec->grid[i] == 0 || rec->block[i] == 0 || rec->block[i] > 1024)
			return false;
	sim_kernel_shape(&work->client->server->config, rec, work->params,
			 work->param_bytes, work->client->launched++, &work->op.work_ns,
			 &work->op.demand);
	work->op.kind = SIM_OP_KERNEL;
	if (rec->builtin == SIM_K_SPIN_WORD)
		work->op.kind = SIM_OP_SPIN;
	else if (rec->builtin == SIM_K_SPIN_NS)
		work->op.kind = SIM_OP_CLOCK;
	work->op.progress = rec->builtin == SIM_K_COUNT;
	return true;
}

/* The product of three factors, saturated. */
static uint64_t volume(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t product;

	if (__builtin_mul_overflow(a, b, &product) ||
	    __builtin_mul_overflow(product, c, &product))
		return UINT64_MAX;
	return product;
}

static uint64_t transfer_ns(uint64_t bytes, uint64_t bytes_per_s)
{
	return (uint64_t)((double)bytes * 1e9 / (double)bytes_per_s);
}

/* Memory operations on the SMs: a thread for each 16 bytes. */
static uint32_t transfer_demand(uint64_t bytes, unsigned sm_count)
{
	uint64_t room = (uint64_t)sm_count * 2048 * 16;

	if (bytes >= room)
		return SIM_DEMAND_FULL;
	return 1 + (uint32_t)(bytes * (SIM_DEMAND_FULL - 1) / room);
}

uint64_t sim_bytes_max(const struct sim_config *config)
{
	return config->memory_bytes > BYTES_MAX ? config->memory_bytes : BYTES_MAX;
}

static bool shape_memset(struct sim_work *work)
{
	struct sim_rec_memset *rec = &work->rec.memset;
	uint64_t bytes = volume(rec->width, rec->height, rec->element_bytes);

	if ((rec->element_bytes != 1 && rec->element_bytes != 2 &&
	     rec->element_bytes != 4) ||
	    bytes > sim_bytes_max(&work->client->server->config))
		return false;
	if (bytes == 0)
		rec->height = 0;
	/* Rows without gaps are one row. */
	if (rec->pitch == rec->width * rec->element_bytes) {
		rec->width *= rec->height;
		rec->height = 1;
	}
	if (rec->height > ROWS_MAX)
		return false;
	work->op.kind = SIM_OP_KERNEL;
	work->op.demand = transfer_demand(bytes, work->client->server->config.sm_count);
	work->op.work_ns = SET_FLOOR_NS +
			   transfer_ns(bytes,
				       work->client->server->config.device_bytes_per_s);
	return true;
}

static bool shape_copy(struct sim_work *work)
{
	const struct sim_config *config = &work->client->server->config;
	struct sim_rec_copy *rec = &work->rec.copy;
	const struct sim_map *dst, *src;
	uint64_t bytes = volume(rec->width_bytes, rec->height, rec->depth);
	bool to_device, from_device, inward, host;

	host = rec->dst.space == SIM_SPACE_HOST || rec->src.space == SIM_SPACE_HOST;
	if (rec->dst.space > SIM_SPACE_HOST || rec->src.space > SIM_SPACE_HOST ||
	    bytes > sim_bytes_max(config))
		return false;
	if (bytes == 0)
		rec->depth = 0;
	if (rec->dst.pitch == rec->width_bytes && rec->src.pitch == rec->width_bytes) {
		rec->width_bytes *= rec->height;
		rec->height = 1;
	}
	if (volume(rec->height, rec->depth, 1) > (host ? HOST_ROWS_MAX : ROWS_MAX))
		return false;
	dst = rec->dst.space == SIM_SPACE_DEVICE
		      ? sim_memory_find(work->client, rec->dst.addr)
		      : NULL;
	to_device = dst != NULL && !dst->phys->host_memory;
	src = rec->src.space == SIM_SPACE_DEVICE
		      ? sim_memory_find(work->client, rec->src.addr)
		      : NULL;
	from_device = src != NULL && !src->phys->host_memory;
	if (to_device && from_device && dst->phys->device == src->phys->device) {
		work->op.kind = SIM_OP_KERNEL;
		work->op.demand = transfer_demand(bytes, config->sm_count);
		work->op.work_ns = SET_FLOOR_NS +
				   transfer_ns(bytes, config->device_bytes_per_s / 2);
	} else {
		/* Between devices: in where it is to the stream's own, else out. */
		inward = to_device &&
			 (!from_device || dst->phys->device == work->ctx->ctx.device);
		work->op.kind = inward ? SIM_OP_COPY_IN : SIM_OP_COPY_OUT;
		work->op.work_ns = COPY_FLOOR_NS +
				   transfer_ns(bytes, config->copy_bytes_per_s);
	}
	return true;
}

bool sim_work_shape(struct sim_work *work)
{
	switch (work->kind) {
	case SIM_REC_KERNEL:
		return shape_kernel(work);
	case SIM_REC_MEMSET:
		return shape_memset(work);
	case SIM_REC_COPY:
		return shape_copy(work);
	case SIM_REC_WAIT_VALUE:
		work->op.kind = SIM_OP_WAIT;
		return (work->rec.value.bytes == 4 || work->rec.value.bytes == 8) &&
		       work->rec.value.compare <= SIM_CMP_NOR;
	case SIM_REC_WRITE_VALUE:
		return work->rec.value.bytes == 4 || work->rec.value.bytes == 8;
	case SIM_REC_HOST_FUNC:
	case SIM_REC_GRAPH:
	case SIM_NODE_CONDITIONAL:
	case SIM_NODE_CHILD:
		work->op.kind = SIM_OP_EXTERNAL;
		return true;
	case SIM_REC_EVENT_RECORD:
	case SIM_REC_EVENT_WAIT:
	case SIM_REC_MARKER:
	case SIM_NODE_EMPTY:
		return true;
	default:
		return false;
	}
}

/* ---- events ---- */

struct sim_devent *sim_client_event(struct sim_client *client, uint32_t slot)
{
	struct sim_devent *event;

	if (slot >= SIM_EVENTS)
		return NULL;
	if (client->events == NULL)
		client->events = calloc(SIM_EVENTS, sizeof(struct sim_devent *));
	if (client->events == NULL)
		return NULL;
	if (client->events[slot] != NULL)
		return client->events[slot];
	event = calloc(1, sizeof(*event));
	if (event == NULL)
		return NULL;
	event->mirrors = calloc(1, sizeof(*event->mirrors));
	if (event->mirrors == NULL) {
		free(event);
		return NULL;
	}
	event->refs = 1;
	event->nmirrors = 1;
	event->mirrors[0].client = client;
	event->mirrors[0].slot = slot;
	client->events[slot] = event;
	return event;
}

void sim_client_event_forget(struct sim_client *client, uint32_t slot)
{
	struct sim_devent *event = client->events == NULL ? NULL : client->events[slot];
	struct sim_devent **link = &client->server->shared_events;
	unsigned i;

	if (event == NULL)
		return;
	client->events[slot] = NULL;
	for (i = 0; i < event->nmirrors; i++)
		if (event->mirrors[i].client == client && event->mirrors[i].slot == slot)
			event->mirrors[i--] = event->mirrors[--event->nmirrors];
	if (--event->refs > 0)
		return;
	if (event->last != NULL)
		event->last->event = NULL;
	while (*link != NULL && *link != event)
		link = &(*link)->next;
	if (*link == event)
		*link = event->next;
	free(event->mirrors);
	free(event);
}

/* ---- order ---- */

static bool depend(struct sim_work *work, struct sim_work *on)
{
	return on == NULL || on == work || sim_op_depend(&work->op, &on->op) == 0;
}

/* CUDA's implicit order: the legacy stream waits for every blocking stream of its context
 * and they wait for it (CUDA driver API manual, "Stream synchronization behavior"). */
static bool order(struct sim_work *work)
{
	struct sim_dstream *stream = work->stream, *other;

	if (!depend(work, stream->last))
		return false;
	if (stream->flags & SIM_SF_NONBLOCKING)
		return true;
	if (!(stream->flags & SIM_SF_LEGACY))
		return depend(work, stream->ctx->legacy->last);
	for (other = stream->ctx->streams; other != NULL; other = other->ctx_next)
		if (other != stream && !(other->flags & SIM_SF_NONBLOCKING) &&
		    !depend(work, other->last))
			return false;
	return true;
}

bool sim_event_pending(struct sim_work *record)
{
	struct sim_devent *event = sim_client_event(record->client,
						    record->rec.event.slot);
	unsigned i;

	if (event == NULL)
		return false;
	record->event = event;
	if (event->last != NULL)
		event->last->event = NULL;
	event->last = record;
	/* Processes that share the event see that a record is pending. */
	for (i = 0; event->nmirrors > 1 && i < event->nmirrors; i++)
		atomic_store_explicit(
			&event->mirrors[i]
				 .client->chan->events[event->mirrors[i].slot]
				 .done_gen,
			0, memory_order_relaxed);
	return true;
}

static bool order_special(struct sim_work *work)
{
	struct sim_work **last;

	switch (work->kind) {
	case SIM_REC_EVENT_RECORD:
		return sim_event_pending(work);
	case SIM_REC_EVENT_WAIT: {
		struct sim_devent *event = sim_client_event(work->client,
							    work->rec.event.slot);

		return event != NULL && depend(work, event->last);
	}
	case SIM_REC_GRAPH:
		work->graph = sim_graph_find(work->client, work->rec.graph.graph);
		if (work->graph == NULL)
			return false;
		sim_graph_ref(work->graph);
		last = sim_graph_last(work->graph);
		if (!depend(work, *last))
			return false;
		*last = work;
		work->client->books.graph_launches++;
		return sim_graph_announce(work);
	default:
		return true;
	}
}

static void activate(struct sim_client *client, struct sim_dstream *stream)
{
	if (stream->active)
		return;
	stream->active = true;
	stream->active_prev = NULL;
	stream->active_next = client->active;
	if (client->active != NULL)
		client->active->active_prev = stream;
	client->active = stream;
}

/* Takes one record; false if it breaks the rules. */
static bool take(struct sim_client *client, const struct sim_record *header,
		 const unsigned char *body, size_t body_bytes)
{
	struct sim_dstream *stream = header->stream < SIM_STREAMS
					     ? client->streams[header->stream]
					     : NULL;
	const size_t payload = payload_size(header->kind);
	struct sim_work *work;
	bool shaped;

	if (stream == NULL || stream->destroyed || stream->ctx->removed ||
	    header->seq != stream->ingested + 1 ||
	    header->seq - stream->completed > SIM_LAUNCH_QUEUE || body_bytes < payload ||
	    header->kind >= SIM_REC_KINDS)
		return false;
	work = sim_work_new(client, stream->ctx, header->kind, body, body_bytes,
			    body + payload, body_bytes - payload, true);
	if (work == NULL)
		return false;
	work->stream = stream;
	work->seq = header->seq;
	work->op.submit_ns = header->submit_ns;
	work->op.priority = stream->priority;
	shaped = sim_work_shape(work);
	/* In order whatever it is: the stream goes when its last operation has. */
	if (!order(work) || !shaped || !order_special(work)) {
		/* Dependencies already noted point to it: it must run, as nothing. */
		work->kind = SIM_REC_MARKER;
		work->op.kind = SIM_OP_INSTANT;
		sim_client_fail(client, SIM_BROKEN);
	}
	if (stream->cumulative == NULL)
		stream->cumulative = calloc(SIM_CUMULATIVE, sizeof(uint64_t));
	stream->queued_ns += work->op.work_ns;
	if (stream->cumulative != NULL)
		stream->cumulative[header->seq % SIM_CUMULATIVE] = stream->queued_ns;
	stream->ingested = header->seq;
	if (stream->last != NULL) {
		stream->last->stream_next = work;
	} else {
		stream->first = work;
		stream->first_since_ns = work->op.submit_ns;
	}
	stream->last = work;
	activate(client, stream);
	sim_op_submit(client->server->engine, &work->op);
	return true;
}

void sim_client_drain(struct sim_client *client)
{
	struct sim_channel *chan = client->chan;
	uint64_t head = client->head;
	const uint64_t tail = atomic_load_explicit(&chan->tail, memory_order_acquire);
	/* The longest record, out of the client's reach while it is read. */
	static _Alignas(16) unsigned char record[SIM_RECORD_MAX];
	bool moved = head != tail;

	if (client->sticky != 0) {
		head = tail;
	} else if (tail - head > SIM_RING_BYTES) {
		client->books.bad_records++;
		sim_client_stick(client, SIM_BROKEN);
		head = tail;
	}
	while (head != tail) {
		const uint32_t at = (uint32_t)(head % SIM_RING_BYTES);
		const uint32_t room = SIM_RING_BYTES - at;
		struct sim_record header;

		memcpy(&header, chan->ring + at, sizeof(uint64_t) * 2);
		if (header.bytes < 16 || header.bytes % 16 != 0 || header.bytes > room ||
		    header.bytes > tail - head ||
		    (header.kind != SIM_REC_PAD &&
		     (header.bytes > SIM_RECORD_MAX || header.bytes < sizeof(header))))
			goto broken;
		if (header.kind != SIM_REC_PAD) {
			const uint32_t bytes = header.bytes;

			memcpy(record, chan->ring + at, bytes);
			memcpy(&header, record, sizeof(header));
			if (header.bytes != bytes ||
			    !take(client, &header, record + sizeof(header),
				  bytes - sizeof(header)))
				goto broken;
		}
		head += header.bytes;
	}
	if (!moved)
		return;
	client->head = head;
	atomic_store_explicit(&chan->head, head, memory_order_seq_cst);
	if (atomic_exchange(&chan->ring_wait, 0) != 0)
		sim_futex_wake(&chan->ring_futex);
	return;
broken:
	client->books.bad_records++;
	sim_client_stick(client, SIM_BROKEN);
	client->head = tail;
	atomic_store_explicit(&chan->head, tail, memory_order_seq_cst);
	sim_futex_wake(&chan->ring_futex);
}
