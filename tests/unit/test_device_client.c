/*
 * Tests of what a client's ring and requests make the device do, and what they cannot make
 * it do: without sockets, on a clock that the test passes.
 *
 * Knows server.h and request.h, through common_server.h.
 */
#include "cunit_main.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common_server.h"
#include "device/request.h"

#define MIB (1ull << 20)
#define US 1000ull
#define MS 1000000ull

static struct sim_server *server;
static struct sim_client *client, *other;
static struct sim_dctx *ctx;
static struct sim_dstream *stream, *second;
static uint64_t memory; /* 4 MiB of the client's */

static uint64_t alloc(struct sim_client *of, uint32_t id, uint64_t bytes)
{
	uint64_t va, used;
	int fd;

	CU_ASSERT_EQUAL_FATAL(sim_memory_alloc(&server->memory, of, id, 0, bytes,
					       SIM_MEM_PLAIN, 512, &va, &used, &fd),
			      SIM_OK);
	return va;
}

static void setup(void)
{
	server = open_server(1, 64 * MIB);
	other = open_client(server);
	client = open_client(server);
	ctx = sim_dctx_new(client, 0);
	stream = sim_dstream_new(client, ctx, SIM_SF_NONBLOCKING, 0);
	second = sim_dstream_new(client, ctx, SIM_SF_NONBLOCKING, 0);
	memory = alloc(client, ctx->id, 4 * MIB);
}

static void teardown(void)
{
	close_server(server);
}

static unsigned char *bytes_at(struct sim_client *of, uint64_t va)
{
	uint64_t contiguous;
	unsigned char *at = sim_memory_at(of, va, 3, &contiguous);

	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	return at;
}

static uint32_t word_at(uint64_t va)
{
	uint32_t word;

	memcpy(&word, bytes_at(client, va), sizeof(word));
	return word;
}

static uint64_t completed(const struct sim_dstream *of)
{
	return atomic_load(&of->ctx->client->chan->streams[of->slot].completed);
}

/* ---- operations ---- */

static void publish_kernel(const struct sim_dstream *to, enum sim_builtin builtin,
			   const uint64_t params[4])
{
	struct kernel_record record = kernel(builtin, params, 32);

	publish(to->ctx->client, to, SIM_REC_KERNEL, &record, sizeof(record));
}

/* One thread of gpushim_work for so long. */
static void publish_work(const struct sim_dstream *to, uint64_t ns)
{
	publish_kernel(to, SIM_K_WORK, (const uint64_t[4]){ ns, 0 });
}

static void publish_value(const struct sim_dstream *to, enum sim_record_kind kind,
			  uint64_t addr, uint64_t value)
{
	struct sim_rec_value record = {
		.addr = addr, .value = value, .bytes = 4, .compare = SIM_CMP_EQ
	};

	publish(to->ctx->client, to, kind, &record, sizeof(record));
}

static void publish_memset(uint64_t dst, uint64_t pitch, uint64_t width, uint64_t height,
			   uint32_t value, uint32_t element_bytes)
{
	struct sim_rec_memset record = { .dst = dst,
					 .pitch = pitch,
					 .width = width,
					 .height = height,
					 .value = value,
					 .element_bytes = element_bytes };

	publish(client, stream, SIM_REC_MEMSET, &record, sizeof(record));
}

static struct sim_rec_copy copy_of(uint64_t dst, uint64_t src, uint64_t width,
				   uint64_t height, uint64_t depth)
{
	return (struct sim_rec_copy){
		.dst = { .addr = dst, .pitch = 1000, .slice = 20000 },
		.src = { .addr = src, .pitch = 2000, .slice = 40000 },
		.width_bytes = width,
		.height = height,
		.depth = depth
	};
}

static void publish_copy(const struct sim_rec_copy *record)
{
	publish(client, stream, SIM_REC_COPY, record, sizeof(*record));
}

/* ---- memsets and copies ---- */

/* Two pages of one block, mapped in the wrong order: 4 MiB that are not contiguous. */
static uint64_t scattered(void)
{
	uint64_t va, handle;

	sim_memory_reserve(client, 2 * SIM_PAGE_BYTES, 0, 0, &va);
	sim_memory_create(&server->memory, client, 0, 2 * SIM_PAGE_BYTES, false, false,
			  &handle);
	sim_memory_map(client, va, SIM_PAGE_BYTES, SIM_PAGE_BYTES, handle);
	sim_memory_map(client, va + SIM_PAGE_BYTES, SIM_PAGE_BYTES, 0, handle);
	CU_ASSERT_EQUAL_FATAL(sim_memory_access(client, va, 2 * SIM_PAGE_BYTES, 3),
			      SIM_OK);
	return va;
}

static void memsets_write_their_pattern_in_each_row_and_nothing_else(void)
{
	const uint64_t base = scattered(), pitch = 1000, start = SIM_PAGE_BYTES - 1503;
	const uint32_t value = 0x44332211;

	for (uint32_t element = 1; element <= 4; element *= 2) {
		const unsigned char *pattern = (const unsigned char *)&value;
		uint64_t at, wrong = 0;

		publish_memset(base, 0, 2 * SIM_PAGE_BYTES, 1, 0, 1);
		publish_memset(base + start, pitch, 600 / element, 5, value, element);
		pass_ns(server, 10 * MS);
		CU_ASSERT_EQUAL_FATAL(client->sticky, 0);
		for (at = 0; at < 2 * SIM_PAGE_BYTES; at++) {
			uint64_t row = (at - start) / pitch, x = (at - start) % pitch;
			unsigned char wanted = 0;

			if (at >= start && row < 5 && x < 600)
				wanted = pattern[x % element];
			wrong += *bytes_at(client, base + at) != wanted;
		}
		CU_ASSERT_EQUAL(wrong, 0);
	}
}

static void copies_move_each_row_of_each_slice_and_nothing_else(void)
{
	const uint64_t dst = scattered() + SIM_PAGE_BYTES - 30000;
	struct sim_rec_copy record = copy_of(dst, memory + 3, 700, 9, 3);
	uint64_t at, wrong = 0;

	for (at = 0; at < 200000; at++)
		*bytes_at(client, memory + at) = (unsigned char)(1 + at % 251);
	publish_copy(&record);
	pass_ns(server, 10 * MS);
	CU_ASSERT_EQUAL(completed(stream), 1);
	for (at = 0; at < 60000; at++) {
		uint64_t z = at / 20000, y = at % 20000 / 1000, x = at % 1000;
		uint64_t from = 3 + z * 40000 + y * 2000 + x;
		unsigned char wanted = (unsigned char)(1 + from % 251);

		wrong += *bytes_at(client, dst + at) != (y < 9 && x < 700 ? wanted : 0);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(client->books.copy_bytes, 700 * 9 * 3);
}

static void what_moves_nothing_has_no_rows(void)
{
	static const uint64_t shapes[][3] = { { 0, 1ull << 60, 1 },
					      { 0, 1, 1ull << 60 },
					      { 8, 1ull << 60, 0 },
					      { 1ull << 60, 0, 1 },
					      { 0, UINT64_MAX, UINT64_MAX } };
	uint64_t done = 0;

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		struct sim_rec_copy record = copy_of(memory, memory, shapes[i][0],
						     shapes[i][1], shapes[i][2]);

		publish_copy(&record);
		publish_memset(memory, 8, shapes[i][0], shapes[i][0] ? 0 : shapes[i][1],
			       1, 4);
		done += 2;
	}
	pass_ns(server, 10 * MS);
	CU_ASSERT_EQUAL(client->sticky, 0);
	CU_ASSERT_EQUAL(completed(stream), done);
}

static void expect_refused(uint32_t result)
{
	pass_ns(server, 10 * MS);
	CU_ASSERT_EQUAL(client->sticky, result);
	CU_ASSERT_EQUAL(other->sticky, 0);
	teardown();
	setup();
}

static void what_would_never_end_is_refused(void)
{
	static const uint64_t shapes[][3] = {
		{ 1, 1ull << 40, 1 }, { 1, 1ull << 20, 1ull << 20 }, { 1ull << 40, 1, 1 },
		{ 1, 1, 1ull << 40 }, { 1ull << 32, 1ull << 32, 0 },
	};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		struct sim_rec_copy record = copy_of(memory, memory, shapes[i][0],
						     shapes[i][1], shapes[i][2]);

		record.dst.pitch = record.src.pitch = 0;
		record.dst.slice = record.src.slice = 0;
		publish_copy(&record);
		expect_refused(SIM_BROKEN);
	}
	publish_memset(memory, 0, 1, 1ull << 30, 1, 1);
	expect_refused(SIM_BROKEN);
	publish_memset(memory, 0, 1ull << 40, 1, 1, 1);
	expect_refused(SIM_BROKEN);
	/* On a device fast enough to get that far. */
	server->config.device_bytes_per_s = UINT64_MAX;
	publish_kernel(stream, SIM_K_FILL_U32,
		       (const uint64_t[4]){ memory, 1, 1ull << 40 });
	expect_refused(SIM_ILLEGAL_ADDRESS);
}

static void other_memory_is_out_of_reach_without_direct_access(void)
{
	static uint64_t word = 7;
	const uint64_t here = (uintptr_t)&word;
	struct sim_rec_copy record = copy_of(memory, here, 8, 1, 1);

	record.src.space = SIM_SPACE_HOST;
	client->pid = getpid();
	publish_copy(&record);
	expect_refused(SIM_ILLEGAL_ADDRESS);
	client->pid = getpid();
	publish_value(stream, SIM_REC_WRITE_VALUE, here, 8);
	expect_refused(SIM_ILLEGAL_ADDRESS);
	CU_ASSERT_EQUAL(word, 7);
	client->pid = getpid();
	publish_value(stream, SIM_REC_WAIT_VALUE, here, 7);
	expect_refused(SIM_ILLEGAL_ADDRESS);
	client->pid = getpid();
	client->direct = true;
	publish_value(stream, SIM_REC_WRITE_VALUE, here, 8);
	pass_ns(server, MS);
	CU_ASSERT_EQUAL(word, 8);
}

/* ---- the ring ---- */

static void a_scribbled_head_moves_nothing(void)
{
	publish_work(stream, 1000);
	atomic_store(&client->chan->head, 12345);
	pass_ns(server, MS);
	CU_ASSERT_EQUAL(client->sticky, 0);
	CU_ASSERT_EQUAL(completed(stream), 1);
	atomic_store(&client->chan->head, 0 - 1ull);
	CU_ASSERT_FALSE(sim_server_want_kicks(server, true));
	publish_work(stream, 1000);
	CU_ASSERT_TRUE(sim_server_want_kicks(server, true));
	CU_ASSERT_TRUE(atomic_load(&client->chan->want_kick));
	pass_ns(server, MS);
	CU_ASSERT_EQUAL(completed(stream), 2);
}

static void a_record_that_breaks_the_rules_is_the_clients_end_only(void)
{
	struct sim_dctx *theirs = sim_dctx_new(other, 0);

	publish_work(theirs->legacy, 10 * US);
	publish_work(stream, 10 * US);
	atomic_fetch_add(&client->chan->tail, 48); /* zeros */
	pass_ns(server, MS);
	CU_ASSERT_EQUAL(client->sticky, SIM_BROKEN);
	CU_ASSERT_EQUAL(client->books.bad_records, 1);
	CU_ASSERT_EQUAL(atomic_load(&client->chan->sticky), SIM_BROKEN);
	CU_ASSERT_EQUAL(other->sticky, 0);
	CU_ASSERT_EQUAL(completed(theirs->legacy), 1);
}

static void a_refused_record_keeps_its_place_in_its_stream(void)
{
	struct exchange x = { .server = server, .client = client };

	publish_work(stream, 10 * MS);
	publish_memset(memory, 0, 1, 1, 1, 3); /* elements of three bytes */
	sim_client_drain(client);
	x.request.a[0] = stream->slot;
	CU_ASSERT_EQUAL(sim_do_stream_destroy(&x), SIM_OK);
	pass_ns(server, MS);
	CU_ASSERT_EQUAL(client->sticky, SIM_BROKEN);
	CU_ASSERT_EQUAL(completed(stream), 0);
}

static void streams_go_once_their_work_is_done(void)
{
	struct exchange x = { .server = server, .client = client };
	uint32_t slot = stream->slot;

	publish_work(stream, 10 * MS);
	sim_client_drain(client);
	x.request.a[0] = slot;
	CU_ASSERT_EQUAL(sim_do_stream_destroy(&x), SIM_OK);
	CU_ASSERT_EQUAL(sim_do_stream_destroy(&x), SIM_INVALID_HANDLE);
	pass_ns(server, 5 * MS);
	CU_ASSERT_PTR_NOT_NULL(client->streams[slot]);
	pass_ns(server, 6 * MS);
	CU_ASSERT_PTR_NULL(client->streams[slot]);
	CU_ASSERT_EQUAL(client->stream_seq[slot], 1);
}

/* ---- conditions ---- */

static void a_wait_ends_when_other_work_writes_what_it_waits_for(void)
{
	uint64_t from, to;

	publish_value(second, SIM_REC_WAIT_VALUE, memory, 5);
	publish_work(second, 50 * US);
	publish_work(stream, 200 * US);
	publish_value(stream, SIM_REC_WRITE_VALUE, memory, 5);
	/* All at once: nobody looks in between. */
	pass_ns(server, 100 * US);
	CU_ASSERT_EQUAL(completed(second), 0);
	from = ctx->ctx.stats.gpu_ns;
	pass_ns(server, 10 * MS);
	to = ctx->ctx.stats.gpu_ns;
	CU_ASSERT_EQUAL(completed(second), 2);
	CU_ASSERT_EQUAL(to - from, 150 * US);
}

static void a_wait_ends_when_the_host_writes_what_it_waits_for(void)
{
	publish_value(stream, SIM_REC_WAIT_VALUE, memory, 5);
	publish_kernel(second, SIM_K_SPIN_WORD, (const uint64_t[4]){ memory, 6 });
	pass_ns(server, MS);
	pass_ns(server, MS);
	CU_ASSERT_EQUAL(completed(stream) + completed(second), 0);
	*bytes_at(client, memory) = 5;
	pass_ns(server, MS);
	CU_ASSERT_EQUAL(completed(stream), 1);
	*bytes_at(client, memory) = 6;
	pass_ns(server, MS);
	CU_ASSERT_EQUAL(completed(second), 1);
}

static void a_wait_ends_when_another_process_writes_what_they_share(void)
{
	struct sim_dctx *theirs = sim_dctx_new(other, 0);
	struct exchange get = { .server = server, .client = client };
	struct exchange seen = { .server = server, .client = other };
	uint64_t gpu_ns;

	get.request.a[0] = memory;
	CU_ASSERT_EQUAL(sim_do_ipc_get(&get), SIM_OK);
	memcpy(seen.request.a, get.reply.v, 4 * sizeof(uint64_t));
	seen.request.a[4] = theirs->id;
	CU_ASSERT_EQUAL_FATAL(sim_do_ipc_open(&seen), SIM_OK);
	publish_value(stream, SIM_REC_WAIT_VALUE, memory, 5);
	publish_work(stream, 50 * US);
	publish_work(theirs->legacy, 200 * US);
	publish_value(theirs->legacy, SIM_REC_WRITE_VALUE, seen.reply.v[0], 5);
	publish_work(theirs->legacy, 2 * MS);
	/* In one advance: the write is seen when it happens, not at its end. */
	pass_ns(server, 10 * MS);
	CU_ASSERT_EQUAL(completed(stream), 2);
	gpu_ns = theirs->ctx.stats.gpu_ns;
	CU_ASSERT_EQUAL(gpu_ns, 200 * US + 2 * MS);
	CU_ASSERT_TRUE(sim_engine_stats(server->engine, 0)->switches >= 2);
}

static void a_wait_ends_when_a_counting_kernel_gets_there(void)
{
	struct sim_rec_value at_least = { .value = 8,
					  .bytes = 4,
					  .compare = SIM_CMP_GEQ };

	publish_kernel(stream, SIM_K_COUNT,
		       (const uint64_t[4]){ memory, 1000, 1000 * US });
	publish_kernel(second, SIM_K_SPIN_WORD, (const uint64_t[4]){ memory, 3 });
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(completed(second), 0);
		pass_ns(server, MS + i);
	}
	CU_ASSERT_EQUAL(word_at(memory), 3);
	CU_ASSERT_EQUAL(completed(second), 1);
	at_least.addr = memory;
	publish(client, second, SIM_REC_WAIT_VALUE, &at_least, sizeof(at_least));
	pass_ns(server, 10 * MS);
	CU_ASSERT_EQUAL(word_at(memory), 13);
	CU_ASSERT_EQUAL(completed(second), 2);
}

/* ---- pace ---- */

/* Not after `ns`, and little before. */
static bool wakes_in_time(uint64_t ns)
{
	uint64_t sleep = sim_server_deadline(server) - sim_clock_ns();

	return sleep <= ns && sleep + SIM_SLEEP_MIN_NS >= ns;
}

static void nothing_to_do_is_slept_through(void)
{
	pass_ns(server, MS);
	CU_ASSERT_EQUAL(sim_server_deadline(server), SIM_NEVER);
	publish_work(stream, 300 * US);
	pass_ns(server, 0);
	CU_ASSERT_EQUAL(sim_server_deadline(server), sim_clock_ns() + SIM_TICK_NS);
	atomic_store(&client->chan->streams[stream->slot].wait_seq, 1);
	CU_ASSERT_TRUE(wakes_in_time(300 * US));
	pass_ns(server, 100 * US);
	CU_ASSERT_TRUE(wakes_in_time(200 * US));
	pass_ns(server, 200 * US);
	CU_ASSERT_EQUAL(sim_server_deadline(server), SIM_NEVER);
	CU_ASSERT_EQUAL(atomic_load(&client->chan->streams[stream->slot].wait_seq), 0);
}

static void a_submission_being_written_is_waited_for_but_not_for_ever(void)
{
	uint64_t from;

	pass_ns(server, 0);
	from = sim_engine_now(server->engine);
	atomic_store(&client->chan->intent, 1);
	pass_ns(server, MS);
	CU_ASSERT_EQUAL(sim_engine_now(server->engine), from);
	CU_ASSERT_TRUE(sim_server_deadline(server) - sim_clock_ns() < MS);
	pass_ns(server, SIM_INTENT_LIMIT_NS);
	CU_ASSERT_EQUAL(sim_engine_now(server->engine), sim_clock_ns());
	CU_ASSERT_EQUAL(sim_server_deadline(server), SIM_NEVER);
	atomic_store(&client->chan->intent, 0);
	pass_ns(server, MS);
	atomic_store(&client->chan->intent, 1);
	pass_ns(server, MS);
	CU_ASSERT_EQUAL(sim_engine_now(server->engine), sim_clock_ns() - MS);
}

static void much_work_is_done_a_little_at_a_time(void)
{
	unsigned rounds = 0;

	for (int i = 0; i < 1000; i++)
		publish_memset(memory, 0, 16, 1, (uint32_t)i, 1);
	pass_ns(server, 0);
	clock_step(MS); /* each look at the clock takes long */
	pass_ns(server, 10 * MS);
	CU_ASSERT_TRUE(server->behind);
	CU_ASSERT_TRUE(completed(stream) < 100);
	CU_ASSERT_TRUE(sim_server_deadline(server) <= sim_clock_ns());
	while (server->behind && rounds++ < 10000)
		pass_ns(server, 0);
	CU_ASSERT_TRUE(rounds > 10);
	CU_ASSERT_EQUAL(completed(stream), 1000);
	CU_ASSERT_EQUAL(*bytes_at(client, memory), 999 % 256);
}

/* ---- host functions ---- */

static void publish_host(const struct sim_dstream *to, uint64_t token)
{
	publish(client, to, SIM_REC_HOST_FUNC, &token, sizeof(token));
}

static void host_functions_are_announced_as_there_is_room(void)
{
	struct sim_channel *chan = client->chan;

	for (uint64_t i = 0; i < 3; i++)
		publish_host(stream, 100 + i);
	publish_host(second, 200);
	pass_ns(server, 0);
	CU_ASSERT_EQUAL(atomic_load(&chan->cb_tail), 2);
	CU_ASSERT_EQUAL(chan->callbacks[0], 100);
	CU_ASSERT_EQUAL(chan->callbacks[1], 200);
	atomic_store(&chan->cb_head, 2u - SIM_CALLBACKS); /* full */
	sim_host_done(client, 100);
	pass_ns(server, 0);
	CU_ASSERT_EQUAL(completed(stream), 1);
	CU_ASSERT_EQUAL(atomic_load(&chan->cb_tail), 2);
	atomic_store(&chan->cb_head, 2);
	pass_ns(server, 0);
	CU_ASSERT_EQUAL(atomic_load(&chan->cb_tail), 3);
	CU_ASSERT_EQUAL(chan->callbacks[2], 101);
	sim_host_done(client, 999);
	pass_ns(server, 0);
	CU_ASSERT_EQUAL(completed(stream) + completed(second), 1);
}

static void the_same_host_function_twice_is_done_twice(void)
{
	publish_host(stream, 7);
	publish_host(second, 7);
	pass_ns(server, 0);
	sim_host_done(client, 7);
	sim_host_done(client, 7); /* before the device gets on */
	pass_ns(server, 0);
	CU_ASSERT_EQUAL(completed(stream), 1);
	CU_ASSERT_EQUAL(completed(second), 1);
	sim_host_done(client, 7);
}

static void host_functions_of_a_dead_context_are_forgotten(void)
{
	publish_host(stream, 7);
	pass_ns(server, 0);
	atomic_store(&client->chan->cb_head, 1u - SIM_CALLBACKS);
	publish_host(second, 8);
	pass_ns(server, 0);
	sim_dctx_free(client, ctx);
	CU_ASSERT_PTR_NULL(client->host_running.first);
	CU_ASSERT_PTR_NULL(client->host_waiting.first);
	sim_host_done(client, 7);
}

/* ---- events ---- */

static void publish_event(const struct sim_dstream *to, enum sim_record_kind kind,
			  uint32_t slot, uint64_t gen)
{
	struct sim_rec_event record = { .slot = slot, .gen = gen };

	publish(to->ctx->client, to, kind, &record, sizeof(record));
}

static struct exchange open_event(struct sim_client *of, const struct exchange *got,
				  uint32_t slot)
{
	struct exchange x = { .server = server, .client = of };

	memcpy(x.request.a, got->reply.v, 4 * sizeof(uint64_t));
	x.request.a[4] = slot;
	x.reply.result = sim_do_ipc_event_open(&x);
	return x;
}

static void shared_events_are_complete_for_everybody(void)
{
	struct exchange got = { .server = server, .client = client };
	struct sim_event_slot *ours = &client->chan->events[3];
	struct sim_event_slot *theirs = &other->chan->events[9];

	got.request.a[0] = 3;
	CU_ASSERT_EQUAL(sim_do_ipc_event_get(&got), SIM_OK);
	CU_ASSERT_EQUAL(open_event(other, &got, 9).reply.result, SIM_OK);
	CU_ASSERT_EQUAL(atomic_load(&theirs->done_gen), UINT64_MAX);
	publish_work(stream, MS);
	publish_event(stream, SIM_REC_EVENT_RECORD, 3, 1);
	pass_ns(server, 0);
	CU_ASSERT_EQUAL(atomic_load(&theirs->done_gen), 0);
	pass_ns(server, 2 * MS);
	CU_ASSERT_EQUAL(atomic_load(&ours->done_gen), 1);
	CU_ASSERT_EQUAL(atomic_load(&theirs->done_gen), UINT64_MAX);
	CU_ASSERT_EQUAL(atomic_load(&theirs->time_ns), atomic_load(&ours->time_ns));
}

static void a_shared_event_is_complete_when_its_recorder_dies(void)
{
	struct exchange got = { .server = server, .client = client };
	struct sim_event_slot *theirs = &other->chan->events[9];

	got.request.a[0] = 3;
	CU_ASSERT_EQUAL(sim_do_ipc_event_get(&got), SIM_OK);
	CU_ASSERT_EQUAL(open_event(other, &got, 9).reply.result, SIM_OK);
	publish_work(stream, 1000 * MS);
	publish_event(stream, SIM_REC_EVENT_RECORD, 3, 1);
	pass_ns(server, MS);
	CU_ASSERT_EQUAL(atomic_load(&theirs->done_gen), 0);
	close_client(client);
	CU_ASSERT_EQUAL(atomic_load(&theirs->done_gen), UINT64_MAX);
}

static void an_event_can_be_opened_where_it_is_already(void)
{
	struct exchange got = { .server = server, .client = client };

	got.request.a[0] = 3;
	CU_ASSERT_EQUAL(sim_do_ipc_event_get(&got), SIM_OK);
	CU_ASSERT_EQUAL(open_event(client, &got, 3).reply.result, SIM_OK);
	publish_event(stream, SIM_REC_EVENT_RECORD, 3, 1);
	pass_ns(server, MS);
	CU_ASSERT_EQUAL(atomic_load(&client->chan->events[3].done_gen), 1);
}

static void an_event_is_opened_in_so_many_slots_only(void)
{
	struct exchange got = { .server = server, .client = client };
	unsigned opened = 0;

	got.request.a[0] = 3;
	CU_ASSERT_EQUAL(sim_do_ipc_event_get(&got), SIM_OK);
	while (opened < 5000 && open_event(other, &got, opened).reply.result == SIM_OK)
		opened++;
	CU_ASSERT_EQUAL(opened, 1023);
	CU_ASSERT_EQUAL(open_event(other, &got, 4000).reply.result, SIM_OUT_OF_MEMORY);
}

static void memory_that_was_never_given_out_cannot_be_opened(void)
{
	uint64_t secret_va = alloc(client, ctx->id, MIB);
	struct sim_dctx *theirs = sim_dctx_new(other, 0);
	struct exchange got = { .server = server, .client = client };
	struct exchange x = { .server = server, .client = other };

	got.request.a[0] = memory;
	CU_ASSERT_EQUAL(sim_do_ipc_get(&got), SIM_OK);
	memcpy(x.request.a, got.reply.v, 4 * sizeof(uint64_t));
	x.request.a[4] = theirs->id;
	x.request.a[0] = sim_memory_find(client, secret_va)->phys->id;
	x.request.a[1] = secret_va;
	CU_ASSERT_EQUAL(sim_do_ipc_open(&x), SIM_INVALID_HANDLE);
	memcpy(x.request.a, got.reply.v, 4 * sizeof(uint64_t));
	CU_ASSERT_EQUAL(sim_do_ipc_open(&x), SIM_OK);
}

/* ---- graphs ---- */

/* An image under construction. */
struct image {
	_Alignas(8) unsigned char bytes[16384];
	size_t used;
};

static void image_begin(struct image *image)
{
	struct sim_graph_image head = { .magic = SIM_MAGIC };

	memcpy(image->bytes, &head, sizeof(head));
	image->used = sizeof(head);
}

static struct sim_graph_image *image_head(struct image *image)
{
	return (struct sim_graph_image *)(void *)image->bytes;
}

/* Behind the node before it, unless it is the first or `free` is set. */
static void image_add(struct image *image, uint32_t kind, const void *payload,
		      size_t bytes, bool free_standing)
{
	uint32_t index = image_head(image)->nnodes++;
	bool dep = index > 0 && !free_standing;
	size_t padded = (bytes + 7) / 8 * 8;
	struct sim_graph_node node = { .kind = kind,
				       .payload_bytes = (uint32_t)bytes,
				       .ndeps = dep,
				       .enabled = 1,
				       .priority = SIM_PRIORITY_STREAM };
	uint32_t deps[2] = { index - 1 };

	node.bytes = (uint32_t)(sizeof(node) + padded + (dep ? 8 : 0));
	CU_ASSERT_FATAL(image->used + node.bytes <= sizeof(image->bytes));
	memset(image->bytes + image->used, 0, node.bytes);
	memcpy(image->bytes + image->used, &node, sizeof(node));
	if (bytes > 0)
		memcpy(image->bytes + image->used + sizeof(node), payload, bytes);
	if (dep)
		memcpy(image->bytes + image->used + sizeof(node) + padded, deps, 8);
	image->used += node.bytes;
	image_head(image)->bytes = image->used;
}

static void image_add_kernel(struct image *image, enum sim_builtin builtin,
			     const uint64_t params[4])
{
	struct kernel_record record = kernel(builtin, params, 32);

	image_add(image, SIM_REC_KERNEL, &record, sizeof(record), false);
}

static void image_add_while(struct image *image, uint64_t handle,
			    const struct image *body)
{
	struct {
		struct sim_node_conditional head;
		unsigned char body[8192];
	} payload = { .head = { .handle = handle,
				.type = SIM_COND_WHILE,
				.nbodies = 1,
				.has_default = 1,
				.default_value = 1 } };

	memcpy(payload.body, body->bytes, body->used);
	image_add(image, SIM_NODE_CONDITIONAL, &payload,
		  sizeof(payload.head) + body->used, false);
}

static struct sim_graph *instantiate(const struct image *image)
{
	unsigned char *copy = malloc(image->used);

	memcpy(copy, image->bytes, image->used);
	return sim_graph_new(client, copy, image->used);
}

static void launch(const struct image *image, const struct sim_dstream *to)
{
	struct sim_graph *graph = instantiate(image);
	struct sim_rec_graph record;

	CU_ASSERT_PTR_NOT_NULL_FATAL(graph);
	record = (struct sim_rec_graph){ .graph = sim_graph_id(graph) };
	publish(client, to, SIM_REC_GRAPH, &record, sizeof(record));
}

static void graphs_run_in_the_order_of_their_edges(void)
{
	struct image image;

	image_begin(&image);
	image_add_kernel(&image, SIM_K_FILL_U32, (const uint64_t[4]){ memory, 3, 10 });
	image_add_kernel(&image, SIM_K_REDUCE_U32,
			 (const uint64_t[4]){ memory, memory + 64, 10 });
	image_add(&image, SIM_NODE_EMPTY, NULL, 0, false);
	launch(&image, stream);
	pass_ns(server, MS);
	CU_ASSERT_EQUAL(completed(stream), 1);
	CU_ASSERT_EQUAL(word_at(memory + 64), 30);
}

static void a_loop_without_work_takes_its_time_and_goes_with_its_client(void)
{
	struct image body, image;
	uint64_t rounds = 0;

	image_begin(&body);
	for (int i = 0; i < 20; i++)
		image_add(&body, SIM_NODE_EMPTY, NULL, 0, true);
	image_begin(&image);
	image_add_while(&image, 5, &body);
	launch(&image, stream);
	/* 10 ms of simulated time hold fewer turns than events would take our own time. */
	pass_ns(server, 10 * MS);
	CU_ASSERT_EQUAL(completed(stream), 0);
	clock_step(MS);
	pass_ns(server, 100 * MS);
	while (rounds < 20) {
		CU_ASSERT_TRUE(server->behind);
		pass_ns(server, 0);
		rounds++;
	}
	clock_step(0);
	close_client(client);
	pass_ns(server, 1000 * MS);
	CU_ASSERT_FALSE(server->behind);
	CU_ASSERT_EQUAL(sim_engine_now(server->engine), sim_clock_ns());
}

static void a_loop_ends_when_its_kernel_says_so(void)
{
	struct image body, image;

	image_begin(&body);
	image_add_kernel(&body, SIM_K_REDUCE_U32,
			 (const uint64_t[4]){ memory, memory + 64, 1 });
	image_add_kernel(&body, SIM_K_SET_CONDITIONAL, (const uint64_t[4]){ 5, 0 });
	image_begin(&image);
	image_add_while(&image, 5, &body);
	*bytes_at(client, memory) = 1;
	for (uint32_t launches = 1; launches <= 3; launches++) {
		launch(&image, stream); /* its default is 1 */
		pass_ns(server, MS);
		CU_ASSERT_EQUAL(completed(stream), launches);
		CU_ASSERT_EQUAL(word_at(memory + 64), launches);
	}
	CU_ASSERT_EQUAL(sim_condition_get(client, 5), 0);
}

static void a_launch_does_not_wait_for_a_record_behind_it(void)
{
	struct sim_rec_event wait = { .slot = 3 };
	struct image image;

	image_begin(&image);
	image_add(&image, SIM_REC_EVENT_WAIT, &wait, sizeof(wait), false);
	publish_work(stream, MS);
	launch(&image, stream);
	publish_event(stream, SIM_REC_EVENT_RECORD, 3, 1);
	pass_ns(server, 2 * MS);
	CU_ASSERT_EQUAL(completed(stream), 3);
}

static void a_launch_waits_for_the_record_before_it(void)
{
	struct sim_rec_event wait = { .slot = 3 };
	struct image image;

	image_begin(&image);
	image_add(&image, SIM_REC_EVENT_WAIT, &wait, sizeof(wait), false);
	publish_work(second, 5 * MS);
	publish_event(second, SIM_REC_EVENT_RECORD, 3, 1);
	launch(&image, stream);
	pass_ns(server, 4 * MS);
	CU_ASSERT_EQUAL(completed(stream), 0);
	pass_ns(server, 2 * MS);
	CU_ASSERT_EQUAL(completed(stream), 1);
}

static void images_that_lie_are_refused(void)
{
	struct image good, bad;
	struct sim_graph_node *node;

	image_begin(&good);
	image_add(&good, SIM_NODE_EMPTY, NULL, 0, false);
	image_add(&good, SIM_NODE_EMPTY, NULL, 0, false);
	CU_ASSERT_PTR_NOT_NULL(instantiate(&good));
	bad = good;
	image_head(&bad)->nnodes = 3;
	CU_ASSERT_PTR_NULL(instantiate(&bad));
	bad = good;
	image_head(&bad)->bytes += 8;
	CU_ASSERT_PTR_NULL(instantiate(&bad));
	bad = good;
	image_head(&bad)->magic++;
	CU_ASSERT_PTR_NULL(instantiate(&bad));
	bad = good;
	node = (struct sim_graph_node *)(void *)(bad.bytes +
						 sizeof(struct sim_graph_image));
	node->kind = SIM_REC_GRAPH;
	CU_ASSERT_PTR_NULL(instantiate(&bad));
	bad = good;
	node = (struct sim_graph_node *)(void *)(bad.bytes +
						 sizeof(struct sim_graph_image));
	node->payload_bytes = UINT32_MAX;
	CU_ASSERT_PTR_NULL(instantiate(&bad));
	bad = good;
	bad.bytes[bad.used - 8] = 1; /* depends on itself */
	CU_ASSERT_PTR_NULL(instantiate(&bad));
	CU_ASSERT_EQUAL(client->ngraphs, 1);
	CU_ASSERT_EQUAL(client->graph_bytes, good.used);
}

static void conditions_are_kept_apart_however_many_there_are(void)
{
	for (uint64_t i = 0; i < 5000; i++)
		CU_ASSERT_TRUE(sim_condition_set(client, i * i, (uint32_t)i + 1));
	for (uint64_t i = 0; i < 5000; i++)
		CU_ASSERT_EQUAL(sim_condition_get(client, i * i), i + 1);
	CU_ASSERT_EQUAL(sim_condition_get(client, 2), 0);
	CU_ASSERT_EQUAL(sim_condition_get(other, 4), 0);
}

const struct unit_suite unit_suite = {
	.name = "device client",
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(memsets_write_their_pattern_in_each_row_and_nothing_else),
		UNIT_TEST(copies_move_each_row_of_each_slice_and_nothing_else),
		UNIT_TEST(what_moves_nothing_has_no_rows),
		UNIT_TEST(what_would_never_end_is_refused),
		UNIT_TEST(other_memory_is_out_of_reach_without_direct_access),
		UNIT_TEST(a_scribbled_head_moves_nothing),
		UNIT_TEST(a_record_that_breaks_the_rules_is_the_clients_end_only),
		UNIT_TEST(a_refused_record_keeps_its_place_in_its_stream),
		UNIT_TEST(streams_go_once_their_work_is_done),
		UNIT_TEST(a_wait_ends_when_other_work_writes_what_it_waits_for),
		UNIT_TEST(a_wait_ends_when_the_host_writes_what_it_waits_for),
		UNIT_TEST(a_wait_ends_when_another_process_writes_what_they_share),
		UNIT_TEST(a_wait_ends_when_a_counting_kernel_gets_there),
		UNIT_TEST(nothing_to_do_is_slept_through),
		UNIT_TEST(a_submission_being_written_is_waited_for_but_not_for_ever),
		UNIT_TEST(much_work_is_done_a_little_at_a_time),
		UNIT_TEST(host_functions_are_announced_as_there_is_room),
		UNIT_TEST(the_same_host_function_twice_is_done_twice),
		UNIT_TEST(host_functions_of_a_dead_context_are_forgotten),
		UNIT_TEST(shared_events_are_complete_for_everybody),
		UNIT_TEST(a_shared_event_is_complete_when_its_recorder_dies),
		UNIT_TEST(an_event_can_be_opened_where_it_is_already),
		UNIT_TEST(an_event_is_opened_in_so_many_slots_only),
		UNIT_TEST(memory_that_was_never_given_out_cannot_be_opened),
		UNIT_TEST(graphs_run_in_the_order_of_their_edges),
		UNIT_TEST(a_loop_without_work_takes_its_time_and_goes_with_its_client),
		UNIT_TEST(a_loop_ends_when_its_kernel_says_so),
		UNIT_TEST(a_launch_does_not_wait_for_a_record_behind_it),
		UNIT_TEST(a_launch_waits_for_the_record_before_it),
		UNIT_TEST(images_that_lie_are_refused),
		UNIT_TEST(conditions_are_kept_apart_however_many_there_are),
	},
};
