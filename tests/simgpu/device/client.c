/*
 * client.c - clients, their contexts and streams: how they come and how they go.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/futex.h"
#include "device/server.h"

struct simgpu_client *sim_client_books(struct sim_client *client)
{
	return &client->books;
}

struct sim_space_map *sim_client_space(struct sim_client *client)
{
	return &client->space;
}

struct sim_client *sim_memory_heir(struct sim_client *going, struct sim_client *after)
{
	struct sim_client *heir = after == NULL ? going->server->clients : after->next;

	return heir == going ? going->next : heir;
}

static void read_name(pid_t pid, char *name, size_t bytes)
{
	char path[64];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -1 : read(fd, name, bytes - 1);
	if (got < 0)
		got = 0;
	name[got] = '\0';
	name[strcspn(name, "\n")] = '\0';
	if (fd >= 0)
		close(fd);
}

int sim_server_accept(struct sim_server *server)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct ucred peer = { .pid = 0 };
	socklen_t bytes = sizeof(peer);
	struct sim_client *client;
	int sock = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (sock < 0)
		return -errno;
	client = calloc(1, sizeof(*client));
	if (client == NULL) {
		close(sock);
		return -ENOMEM;
	}
	getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &bytes);
	client->server = server;
	client->sock = sock;
	client->kick_fd = -1;
	client->pid = peer.pid;
	client->role = SIM_ROLE_MONITOR; /* until HELLO says otherwise */
	client->books.pid = peer.pid;
	client->books.connected_ns = sim_clock_ns();
	read_name(peer.pid, client->books.name, sizeof(client->books.name));
	event.data.ptr = client;
	if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, sock, &event) < 0) {
		int error = errno;

		close(sock);
		free(client);
		return -error;
	}
	client->next = server->clients;
	server->clients = client;
	return 0;
}

/* ---- streams ---- */

struct sim_dstream *sim_dstream_new(struct sim_client *client, struct sim_dctx *ctx,
				    uint32_t flags, int32_t priority)
{
	struct sim_dstream *stream;
	unsigned tried;
	uint32_t slot;

	for (tried = 0; tried < SIM_STREAMS; tried++) {
		slot = (client->stream_hint + tried) % SIM_STREAMS;
		if (client->streams[slot] == NULL)
			break;
	}
	if (tried == SIM_STREAMS)
		return NULL;
	stream = calloc(1, sizeof(*stream));
	if (stream == NULL)
		return NULL;
	client->stream_hint = slot + 1;
	stream->ctx = ctx;
	stream->slot = slot;
	stream->flags = flags;
	stream->priority = priority;
	stream->ingested = client->stream_seq[slot];
	stream->completed = client->stream_seq[slot];
	client->streams[slot] = stream;
	stream->ctx_next = ctx->streams;
	ctx->streams = stream;
	return stream;
}

void sim_dstream_free(struct sim_client *client, struct sim_dstream *stream)
{
	struct sim_dstream **link = &stream->ctx->streams;

	while (*link != stream)
		link = &(*link)->ctx_next;
	*link = stream->ctx_next;
	if (stream->active) {
		if (stream->active_prev != NULL)
			stream->active_prev->active_next = stream->active_next;
		else
			client->active = stream->active_next;
		if (stream->active_next != NULL)
			stream->active_next->active_prev = stream->active_prev;
	}
	client->stream_seq[stream->slot] = stream->ingested;
	/* Work dropped with its context counts as completed for whoever still waits. */
	atomic_store_explicit(&client->chan->streams[stream->slot].completed,
			      stream->ingested, memory_order_release);
	sim_futex_wake_slot(&client->chan->streams[stream->slot]);
	client->streams[stream->slot] = NULL;
	free(stream->cumulative);
	free(stream);
}

/* ---- contexts ---- */

struct sim_dctx *sim_client_ctx(struct sim_client *client, uint64_t id)
{
	struct sim_dctx *ctx;

	for (ctx = client->contexts; ctx != NULL; ctx = ctx->next)
		if (ctx->id == id)
			return ctx;
	return NULL;
}

struct sim_dctx *sim_dctx_new(struct sim_client *client, unsigned device)
{
	struct sim_server *server = client->server;
	struct simgpu_bytes *bytes = &client->books.memory[device];
	struct sim_dctx *ctx = calloc(1, sizeof(*ctx));

	if (ctx == NULL)
		return NULL;
	if (!sim_memory_take(&server->memory, device, client,
			     server->config.context_bytes, &bytes->context)) {
		free(ctx);
		return NULL;
	}
	ctx->context_bytes = server->config.context_bytes;
	ctx->client = client;
	ctx->id = ++server->next_ctx;
	ctx->ctx.device = device;
	ctx->ctx.user = ctx;
	ctx->legacy = sim_dstream_new(client, ctx, SIM_SF_LEGACY, 0);
	if (ctx->legacy == NULL) {
		sim_memory_give(&server->memory, device, client, ctx->context_bytes,
				&bytes->context);
		free(ctx);
		return NULL;
	}
	sim_ctx_add(server->engine, &ctx->ctx);
	ctx->next = client->contexts;
	client->contexts = ctx;
	return ctx;
}

/* Its books go on in the list of contexts that have gone. */
static void keep_books(struct sim_server *server, struct sim_dctx *ctx)
{
	struct sim_client *client = ctx->client;
	const struct sim_ctx_stats *stats = &ctx->ctx.stats;
	unsigned device = ctx->ctx.device;
	struct simgpu_context *row;

	client->books.gpu_ns[device] += stats->gpu_ns;
	client->books.kernel_ns[device] += stats->kernel_ns;
	client->books.copy_ns[device] += stats->copy_in_ns + stats->copy_out_ns;
	if (server->ngone_contexts == server->cap_gone_contexts) {
		unsigned cap = server->cap_gone_contexts ? server->cap_gone_contexts * 2
							 : 64;

		if (cap > SIM_GONE_MAX) {
			memmove(server->gone_contexts, server->gone_contexts + 1,
				(server->ngone_contexts - 1) * sizeof(*row));
			server->ngone_contexts--;
		} else {
			row = realloc(server->gone_contexts, cap * sizeof(*row));
			if (row == NULL)
				return;
			server->gone_contexts = row;
			server->cap_gone_contexts = cap;
		}
	}
	row = &server->gone_contexts[server->ngone_contexts++];
	*row = (struct simgpu_context){ .client = client->id,
					.id = ctx->id,
					.device = device,
					.gone = 1,
					.gpu_ns = stats->gpu_ns,
					.kernel_ns = stats->kernel_ns,
					.copy_in_ns = stats->copy_in_ns,
					.copy_out_ns = stats->copy_out_ns,
					.kernels = stats->kernels,
					.copies = stats->copies,
					.slices = stats->slices };
}

static void remove_work(struct sim_dctx *ctx)
{
	if (ctx->removed)
		return;
	sim_ctx_remove(ctx->client->server->engine, &ctx->ctx);
	ctx->removed = true;
}

void sim_dctx_free(struct sim_client *client, struct sim_dctx *ctx)
{
	struct sim_server *server = client->server;
	struct sim_dctx **link = &client->contexts;
	struct simgpu_bytes *bytes = &client->books.memory[ctx->ctx.device];
	struct sim_code **code = &client->codes;
	struct sim_dstream *stream, *next;

	remove_work(ctx);
	for (stream = ctx->streams; stream != NULL; stream = next) {
		next = stream->ctx_next;
		sim_dstream_free(client, stream);
	}
	while (*code != NULL) {
		struct sim_code *gone = *code;

		if (gone->ctx != ctx) {
			code = &gone->next;
			continue;
		}
		*code = gone->next;
		sim_memory_give(&server->memory, ctx->ctx.device, client, gone->bytes,
				&bytes->code);
		free(gone);
	}
	sim_memory_free_ctx(&server->memory, client, ctx->id);
	sim_memory_give(&server->memory, ctx->ctx.device, client,
			ctx->context_bytes + ctx->limit_bytes, &bytes->context);
	sim_history_note(&server->history, client->id, client->pid, ctx->ctx.device,
			 &ctx->ctx.stats, &ctx->seen);
	keep_books(server, ctx);
	while (*link != ctx)
		link = &(*link)->next;
	*link = ctx->next;
	free(ctx);
}

/* ---- errors ---- */

void sim_client_stick(struct sim_client *client, uint32_t result)
{
	struct sim_dctx *ctx;
	unsigned slot;

	if (client->sticky != 0)
		return;
	client->sticky = result;
	client->books.sticky = result;
	atomic_store_explicit(&client->chan->sticky, result, memory_order_release);
	for (ctx = client->contexts; ctx != NULL; ctx = ctx->next)
		remove_work(ctx);
	for (slot = 0; slot < SIM_STREAMS; slot++)
		if (client->streams[slot] != NULL)
			sim_futex_wake_slot(&client->chan->streams[slot]);
	sim_futex_wake(&client->chan->ring_futex);
}

void sim_client_fail(struct sim_client *client, uint32_t result)
{
	if (client->sticky_next != 0)
		return;
	client->sticky_next = result;
	/* Before the completion of the work that failed, which its client may be polling. */
	if (client->chan != NULL && client->sticky == 0)
		atomic_store_explicit(&client->chan->sticky, result,
				      memory_order_release);
}

/* ---- the end ---- */

static void keep_client(struct sim_server *server, struct sim_client *client)
{
	client->books.gone = 1;
	client->books.gone_ns = sim_clock_ns();
	if (server->gone == NULL)
		server->gone = calloc(SIM_GONE_MAX, sizeof(*server->gone));
	if (server->gone == NULL) {
		server->forgotten++;
		return;
	}
	if (server->ngone == SIM_GONE_MAX)
		server->forgotten++;
	else
		server->ngone++;
	server->gone[server->gone_next] = client->books;
	server->gone_next = (server->gone_next + 1) % SIM_GONE_MAX;
}

void sim_client_gone(struct sim_server *server, struct sim_client *client)
{
	struct sim_client **link = &server->clients;
	uint32_t slot;

	while (*link != client)
		link = &(*link)->next;
	*link = client->next;
	epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, client->sock, NULL);
	close(client->sock);
	if (client->chan != NULL) {
		while (client->contexts != NULL)
			sim_dctx_free(client, client->contexts);
		while (client->graphs != NULL)
			sim_graph_forget(client, client->graphs);
		if (client->events != NULL)
			for (slot = 0; slot < SIM_EVENTS; slot++)
				if (client->events[slot] != NULL)
					sim_client_event_forget(client, slot);
		free(client->events);
		free(client->conditions.slots);
		sim_memory_free_client(&server->memory, client);
		epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, client->kick_fd, NULL);
		close(client->kick_fd);
		munmap(client->chan, sizeof(*client->chan));
		keep_client(server, client);
	}
	free(client);
}
