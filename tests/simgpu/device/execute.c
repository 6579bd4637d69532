/*
 * execute.c - what operations do when their time has come: the engine's callbacks.
 */
#include "device/futex.h"
#include "device/server.h"

/* How many light operations pass between two looks at the clock. */
#define EVENTS_PER_LOOK 64

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
	       sim_move_space(work->client, work->rec.value.addr) == SIM_SPACE_HOST;
}

/* Changes with all that a condition may depend on: the client's own work, that of others as
 * far as they share memory, and the passing of time, in which the host may do anything. */
static uint64_t memory_state(const struct sim_work *work)
{
	const struct sim_server *server = work->client->server;
	bool host = work->kind == SIM_REC_WAIT_VALUE &&
		    sim_move_space(work->client, work->rec.value.addr) == SIM_SPACE_HOST;

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
		ok = sim_move_set(work);
		break;
	case SIM_REC_COPY:
		ok = sim_move_copy(work);
		break;
	case SIM_REC_EVENT_RECORD:
		run_record(work, now_ns);
		if (work->run != NULL)
			run_graph_record(work, now_ns);
		break;
	case SIM_REC_WRITE_VALUE:
		ok = sim_move_write(work);
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
	holds = work->kind == SIM_REC_KERNEL ? sim_kernel_ready(work)
					     : sim_move_holds(work);
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
