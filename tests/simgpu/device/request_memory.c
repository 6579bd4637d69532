/*
 * request_memory.c - requests about memory: allocations, address ranges, physical handles,
 * and the bytes that code holds.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/request.h"

/* ---- memory ---- */

int sim_do_mem_alloc(struct exchange *x)
{
	const uint64_t *a = x->request.a;
	const bool survives = a[3] == SIM_MEM_POOL || a[3] == SIM_MEM_GRAPH;
	int res, fd;

	if (a[1] >= x->server->config.devices || a[3] >= SIM_MEM_CODE)
		return SIM_INVALID_VALUE;
	if (sim_is_lost(x, a[1]) && a[3] != SIM_MEM_HOST)
		return SIM_UNAVAILABLE;
	if (!survives && a[0] != 0 && sim_client_ctx(x->client, a[0]) == NULL)
		return SIM_INVALID_CONTEXT;
	res = sim_memory_alloc(&x->server->memory, x->client,
			       survives ? 0 : (uint32_t)a[0], (unsigned)a[1], a[2],
			       (enum sim_mem_kind)a[3], a[4] == 0 ? SIM_UNIT_BYTES : a[4],
			       &x->reply.v[0], &x->reply.v[1], &fd);
	if (res == SIM_OUT_OF_MEMORY)
		x->client->books.refusals++;
	else if (res == SIM_OK)
		x->client->books.allocs++;
	if (fd >= 0) {
		x->fds_out[0] = fd;
		x->nfds_out = 1;
		x->close_out = true;
	}
	return res;
}

int sim_do_mem_free(struct exchange *x)
{
	const struct sim_map *map = sim_memory_find(x->client, x->request.a[0]);
	enum sim_mem_kind kind;
	int res;

	if (map == NULL || map->phys->kind == SIM_MEM_CODE)
		return SIM_INVALID_VALUE;
	res = sim_memory_free(&x->server->memory, x->client, x->request.a[0], &kind,
			      &x->reply.v[1]);
	if (res == SIM_OK) {
		x->reply.v[0] = kind;
		x->client->books.frees++;
	}
	return res;
}

int sim_do_mem_info(struct exchange *x)
{
	const struct sim_device_memory *device;
	uint64_t free_bytes;

	if (x->request.a[0] >= x->server->config.devices)
		return SIM_INVALID_VALUE;
	device = &x->server->memory.device[x->request.a[0]];
	free_bytes = device->total - device->used;
	x->reply.v[1] = device->total;
	if (device->client_limit != 0) {
		uint64_t used = x->client->books.memory[x->request.a[0]].used;
		uint64_t left = used < device->client_limit ? device->client_limit - used
							    : 0;

		if (left < free_bytes)
			free_bytes = left;
	}
	x->reply.v[0] = free_bytes;
	return SIM_OK;
}

int sim_do_mem_range(struct exchange *x)
{
	const struct sim_map *map = sim_memory_find(x->client, x->request.a[0]);

	if (map == NULL)
		return SIM_INVALID_VALUE;
	x->reply.v[0] = map->va;
	x->reply.v[1] = map->bytes;
	x->reply.v[2] = map->phys->kind;
	x->reply.v[3] = map->phys->device;
	x->reply.v[4] = map->ctx;
	x->reply.v[5] = map->phys->id;
	return SIM_OK;
}

int sim_do_va_reserve(struct exchange *x)
{
	return sim_memory_reserve(x->client, x->request.a[0], x->request.a[1],
				  x->request.a[2], &x->reply.v[0]);
}

int sim_do_va_free(struct exchange *x)
{
	return sim_memory_unreserve(x->client, x->request.a[0], x->request.a[1]);
}

int sim_do_phys_create(struct exchange *x)
{
	int res;

	if (x->request.a[0] >= x->server->config.devices ||
	    (x->request.a[3] != 0 && x->request.a[3] != SIM_MEM_GRAPH))
		return SIM_INVALID_VALUE;
	if (sim_is_lost(x, x->request.a[0]) && x->request.a[2] == 0)
		return SIM_UNAVAILABLE;
	res = sim_memory_create(&x->server->memory, x->client, (unsigned)x->request.a[0],
				x->request.a[1], x->request.a[2] != 0,
				x->request.a[3] == SIM_MEM_GRAPH, &x->reply.v[0]);
	if (res == SIM_OUT_OF_MEMORY)
		x->client->books.refusals++;
	else if (res == SIM_OK)
		x->client->books.allocs++;
	return res;
}

int sim_do_phys_release(struct exchange *x)
{
	return sim_memory_release(&x->server->memory, x->client, x->request.a[0]);
}

int sim_do_phys_retain(struct exchange *x)
{
	return sim_memory_retain(&x->server->memory, x->client, x->request.a[0],
				 x->request.a[1], &x->reply.v[0]);
}

int sim_do_phys_info(struct exchange *x)
{
	const struct sim_handle *handle = sim_memory_handle(x->client, x->request.a[0]);

	if (handle == NULL)
		return SIM_INVALID_VALUE;
	x->reply.v[0] = handle->phys->requested;
	x->reply.v[1] = handle->phys->device;
	x->reply.v[2] = handle->phys->refs;
	x->reply.v[3] = handle->phys->maps;
	return SIM_OK;
}

/* ---- descriptors ---- */

struct sim_export *sim_export_new(struct exchange *x)
{
	/* The second bit tells the loop that an export, not a client, is ready. */
	struct epoll_event event = { .events = 0 };
	struct sim_export *export = calloc(1, sizeof(*export));
	struct stat st;
	int ends[2];

	if (export == NULL)
		return NULL;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
		free(export);
		return NULL;
	}
	fstat(ends[0], &st);
	export->fd = ends[0];
	export->dev = st.st_dev;
	export->ino = st.st_ino;
	export->next = x->server->exports;
	x->server->exports = export;
	event.data.u64 = (uint64_t)(uintptr_t) export | 2;
	epoll_ctl(x->server->epoll_fd, EPOLL_CTL_ADD, ends[0], &event);
	x->fds_out[0] = ends[1];
	x->nfds_out = 1;
	x->close_out = true;
	return export;
}

struct sim_export *sim_export_find(struct exchange *x)
{
	struct sim_export *export;
	struct stat st;

	if (x->fd_in < 0 || fstat(x->fd_in, &st) < 0)
		return NULL;
	for (export = x->server->exports; export != NULL; export = export->next)
		if (export->dev == st.st_dev && export->ino == st.st_ino)
			break;
	return export;
}

int sim_do_phys_export(struct exchange *x)
{
	const struct sim_handle *handle = sim_memory_handle(x->client, x->request.a[0]);
	struct sim_export *export;

	if (handle == NULL)
		return SIM_INVALID_VALUE;
	export = sim_export_new(x);
	if (export == NULL)
		return SIM_OUT_OF_MEMORY;
	export->phys = handle->phys;
	sim_phys_ref(handle->phys);
	x->client->shares = true;
	return SIM_OK;
}

int sim_do_phys_import(struct exchange *x)
{
	const struct sim_export *export = sim_export_find(x);
	int res;

	if (export == NULL || export->phys == NULL)
		return SIM_INVALID_VALUE;
	if (sim_is_lost(x, export->phys->device))
		return SIM_UNAVAILABLE;
	x->client->shares = true;
	res = sim_memory_adopt(&x->server->memory, x->client, export->phys,
			       &x->reply.v[0]);
	x->reply.v[1] = export->phys->requested;
	x->reply.v[2] = export->phys->device;
	return res;
}

/* ---- mappings ---- */

int sim_do_map(struct exchange *x)
{
	const uint64_t *a = x->request.a;

	return sim_memory_map(x->client, a[0], a[1], a[2], a[3]);
}

int sim_do_unmap(struct exchange *x)
{
	return sim_memory_unmap(&x->server->memory, x->client, x->request.a[0],
				x->request.a[1]);
}

int sim_do_access(struct exchange *x)
{
	return sim_memory_access(x->client, x->request.a[0], x->request.a[1],
				 (unsigned)x->request.a[2] & 3);
}

/* ---- code ---- */

int sim_do_code_load(struct exchange *x)
{
	struct sim_client *client = x->client;
	struct sim_dctx *ctx = sim_client_ctx(client, x->request.a[0]);
	struct sim_code *code;
	uint64_t used;
	int fd;

	if (ctx == NULL)
		return SIM_INVALID_CONTEXT;
	code = calloc(1, sizeof(*code));
	if (code == NULL)
		return SIM_OUT_OF_MEMORY;
	code->id = ++x->server->next_id;
	code->ctx = ctx;
	if (x->request.a[2] != 0) {
		/* Addressable code is a block like any other, moved to the code's account. */
		int res = sim_memory_alloc(&x->server->memory, client, ctx->id,
					   ctx->ctx.device, x->request.a[1], SIM_MEM_CODE,
					   256, &code->addr, &used, &fd);

		if (res != SIM_OK) {
			free(code);
			return res;
		}
		x->reply.v[1] = code->addr;
	} else {
		if (__builtin_add_overflow(x->request.a[1], x->server->config.code_bytes,
					   &code->bytes))
			code->bytes = UINT64_MAX;
		if (!sim_memory_take(&x->server->memory, ctx->ctx.device, client,
				     code->bytes,
				     &client->books.memory[ctx->ctx.device].code)) {
			free(code);
			client->books.refusals++;
			return SIM_OUT_OF_MEMORY;
		}
	}
	code->next = client->codes;
	client->codes = code;
	x->reply.v[0] = code->id;
	return SIM_OK;
}

int sim_do_code_unload(struct exchange *x)
{
	struct sim_code **link = &x->client->codes;
	struct sim_code *code;
	enum sim_mem_kind kind;
	uint64_t bytes;

	while (*link != NULL && (*link)->id != x->request.a[0])
		link = &(*link)->next;
	code = *link;
	if (code == NULL)
		return SIM_INVALID_VALUE;
	*link = code->next;
	if (code->addr != 0)
		sim_memory_free(&x->server->memory, x->client, code->addr, &kind, &bytes);
	sim_memory_give(&x->server->memory, code->ctx->ctx.device, x->client, code->bytes,
			&x->client->books.memory[code->ctx->ctx.device].code);
	free(code);
	return SIM_OK;
}
