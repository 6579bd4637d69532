/*
 * request_work.c - requests about contexts, streams, graphs and host functions.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "device/request.h"

/* Graphs of a client, and bytes of each and of all together. */
#define GRAPHS_MAX 16384
#define IMAGE_MAX (64ull << 20)
#define IMAGES_MAX (1ull << 30)

/* ---- contexts and streams ---- */

int sim_do_ctx_create(struct exchange *x)
{
	struct sim_dctx *ctx;

	if (x->request.a[0] >= x->server->config.devices)
		return SIM_INVALID_VALUE;
	if (sim_is_lost(x, x->request.a[0]))
		return SIM_UNAVAILABLE;
	ctx = sim_dctx_new(x->client, (unsigned)x->request.a[0]);
	if (ctx == NULL) {
		x->client->books.refusals++;
		return SIM_OUT_OF_MEMORY;
	}
	x->reply.v[0] = ctx->id;
	x->reply.v[1] = ctx->legacy->slot;
	x->reply.v[2] = ctx->legacy->ingested;
	return SIM_OK;
}

int sim_do_ctx_destroy(struct exchange *x)
{
	struct sim_dctx *ctx = sim_client_ctx(x->client, x->request.a[0]);

	if (ctx == NULL)
		return SIM_INVALID_CONTEXT;
	sim_dctx_free(x->client, ctx);
	return SIM_OK;
}

int sim_do_ctx_limit(struct exchange *x)
{
	struct sim_dctx *ctx = sim_client_ctx(x->client, x->request.a[0]);
	uint64_t bytes = x->request.a[1];
	uint64_t *part;

	if (ctx == NULL)
		return SIM_INVALID_CONTEXT;
	part = &x->client->books.memory[ctx->ctx.device].context;
	if (bytes > ctx->limit_bytes) {
		if (!sim_memory_take(&x->server->memory, ctx->ctx.device, x->client,
				     bytes - ctx->limit_bytes, part))
			return SIM_OUT_OF_MEMORY;
	} else {
		sim_memory_give(&x->server->memory, ctx->ctx.device, x->client,
				ctx->limit_bytes - bytes, part);
	}
	ctx->limit_bytes = bytes;
	return SIM_OK;
}

int sim_do_stream_create(struct exchange *x)
{
	struct sim_dctx *ctx = sim_client_ctx(x->client, x->request.a[0]);
	struct sim_dstream *stream;

	if (ctx == NULL)
		return SIM_INVALID_CONTEXT;
	stream = sim_dstream_new(x->client, ctx,
				 (uint32_t)x->request.a[1] & ~SIM_SF_LEGACY,
				 (int32_t)x->request.a[2]);
	if (stream == NULL)
		return SIM_OUT_OF_MEMORY;
	x->reply.v[0] = stream->slot;
	x->reply.v[1] = stream->ingested;
	return SIM_OK;
}

int sim_do_stream_destroy(struct exchange *x)
{
	struct sim_dstream *stream;

	if (x->request.a[0] >= SIM_STREAMS)
		return SIM_INVALID_HANDLE;
	stream = x->client->streams[x->request.a[0]];
	if (stream == NULL || stream->destroyed || stream == stream->ctx->legacy)
		return SIM_INVALID_HANDLE;
	stream->destroyed = true;
	if (stream->last == NULL)
		sim_dstream_free(x->client, stream);
	return SIM_OK;
}

/* ---- graphs and host functions ---- */

int sim_do_graph_create(struct exchange *x)
{
	const uint64_t bytes = x->request.a[0];
	struct sim_graph *graph;
	unsigned char *image;

	if (sim_client_ctx(x->client, x->request.a[1]) == NULL)
		return SIM_INVALID_CONTEXT;
	/* Only memfds have seals: reading anything else might never return. */
	if (x->fd_in < 0 || bytes < sizeof(struct sim_graph_image) || bytes > IMAGE_MAX ||
	    fcntl(x->fd_in, F_GET_SEALS) < 0)
		return SIM_INVALID_VALUE;
	if (x->client->ngraphs >= GRAPHS_MAX ||
	    x->client->graph_bytes > IMAGES_MAX - bytes)
		return SIM_OUT_OF_MEMORY;
	image = malloc(bytes);
	if (image == NULL)
		return SIM_OUT_OF_MEMORY;
	if (pread(x->fd_in, image, bytes, 0) != (ssize_t)bytes) {
		free(image);
		return SIM_INVALID_VALUE;
	}
	graph = sim_graph_new(x->client, image, bytes);
	if (graph == NULL)
		return SIM_INVALID_VALUE;
	x->reply.v[0] = sim_graph_id(graph);
	return SIM_OK;
}

int sim_do_graph_destroy(struct exchange *x)
{
	struct sim_graph *graph = sim_graph_find(x->client, (uint32_t)x->request.a[0]);

	if (graph == NULL)
		return SIM_INVALID_HANDLE;
	sim_graph_forget(x->client, graph);
	return SIM_OK;
}

int sim_do_host_done(struct exchange *x)
{
	sim_host_done(x->client, x->request.a[0]);
	return SIM_OK;
}
