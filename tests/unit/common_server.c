/*
 * A device process without sockets.
 *
 * Knows server.h.
 */
#include "common_server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096u
#define CHANNEL_BYTES ((sizeof(struct sim_channel) + PAGE - 1) / PAGE * PAGE)
#define ARENA_BASE 0x200000000000ull
#define ARENA_BYTES (1ull << 40)

static uint64_t now_ns, step_ns;
/* The books of who has gone: large, and the same for all servers to come. */
static struct simgpu_client gone[SIM_GONE_MAX];

uint64_t sim_clock_ns(void)
{
	now_ns += step_ns;
	return now_ns;
}

void clock_step(uint64_t ns)
{
	step_ns = ns;
}

struct sim_server *open_server(unsigned devices, uint64_t memory_bytes)
{
	struct sim_server *server = calloc(1, sizeof(*server));
	struct sim_engine_config engine;
	struct sim_engine_calls calls;
	char why[256];

	now_ns = 1000000000;
	step_ns = 0;
	if (server == NULL || sim_config_read(&server->config, why, sizeof(why)) != 0)
		abort();
	server->config.devices = devices;
	server->config.memory_bytes = memory_bytes;
	server->config.context_bytes = 1 << 20;
	server->epoll_fd = server->listen_fd = server->timer_fd = server->lock_fd = -1;
	server->started_ns = now_ns;
	server->gone = gone;
	engine = (struct sim_engine_config){
		.devices = devices,
		.slice_ns = server->config.slice_ns,
		.switch_ns = server->config.switch_ns,
		.max_concurrent = server->config.concurrent
	};
	sim_execute_calls(server, &calls);
	sim_history_init(&server->history, now_ns);
	server->engine = sim_engine_new(&engine, &calls, now_ns);
	if (server->engine == NULL)
		abort();
	server->memory.devices = devices;
	for (unsigned d = 0; d < devices; d++)
		server->memory.device[d].total = memory_bytes;
	return server;
}

void close_server(struct sim_server *server)
{
	while (server->clients != NULL)
		close_client(server->clients);
	sim_engine_free(server->engine);
	sim_history_free(&server->history);
	free(server->gone_contexts);
	free(server);
}

/* At the very end of its pages, with one that nobody can touch behind it. */
static struct sim_channel *channel_new(void)
{
	unsigned char *at = mmap(NULL, CHANNEL_BYTES + PAGE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED || mprotect(at + CHANNEL_BYTES, PAGE, PROT_NONE) != 0)
		abort();
	return (struct sim_channel *)(void *)(at + CHANNEL_BYTES -
					      sizeof(struct sim_channel));
}

struct sim_client *open_client(struct sim_server *server)
{
	struct sim_client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		abort();
	client->server = server;
	client->id = client->books.id = ++server->next_client;
	client->role = SIM_ROLE_CLIENT;
	client->hello = true;
	client->sock = client->kick_fd = -1;
	client->chan = channel_new();
	sim_space_init(&client->space, ARENA_BASE, ARENA_BYTES);
	client->next = server->clients;
	server->clients = client;
	return client;
}

void close_client(struct sim_client *client)
{
	unsigned char *end = (unsigned char *)(client->chan + 1);

	/* Its munmap() of the channel fails, since that does not begin with a page. */
	sim_client_gone(client->server, client);
	munmap(end - CHANNEL_BYTES, CHANNEL_BYTES + PAGE);
}

void pass_ns(struct sim_server *server, uint64_t ns)
{
	now_ns += ns;
	sim_server_catch_up(server);
}

void publish(struct sim_client *client, const struct sim_dstream *stream,
	     enum sim_record_kind kind, const void *payload, size_t bytes)
{
	struct sim_channel *chan = client->chan;
	uint64_t tail = atomic_load(&chan->tail), at = tail % SIM_RING_BYTES;
	struct sim_record record = {
		.bytes = (uint32_t)((sizeof(record) + bytes + 31) / 32 * 32),
		.kind = (uint16_t)kind,
		.stream = stream->slot,
		.submit_ns = now_ns,
		.seq = ++client->stream_seq[stream->slot],
	};

	if (at + record.bytes > SIM_RING_BYTES) {
		struct sim_record pad = { .bytes = (uint32_t)(SIM_RING_BYTES - at),
					  .kind = SIM_REC_PAD };

		memcpy(chan->ring + at, &pad, sizeof(pad));
		tail += SIM_RING_BYTES - at;
		at = 0;
	}
	memcpy(chan->ring + at, &record, sizeof(record));
	if (bytes > 0)
		memcpy(chan->ring + at + sizeof(record), payload, bytes);
	atomic_store(&chan->tail, tail + record.bytes);
}

struct kernel_record kernel(enum sim_builtin builtin, const void *params, size_t bytes)
{
	struct kernel_record record = { .head = { .builtin = builtin,
						  .grid = { 1, 1, 1 },
						  .block = { 1, 1, 1 },
						  .param_bytes = (uint32_t)bytes } };

	if (bytes > 0)
		memcpy(record.params, params, bytes);
	return record;
}
