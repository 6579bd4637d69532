/*
 * request_share.c - requests that reach beyond one client: IPC handles, faults, and the
 * device's books.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "api/truth_image.h"
#include "device/request.h"

/* Slots that show one event: each costs whoever records it. */
#define MIRRORS_MAX 1024

/* ---- sharing ---- */

int sim_do_ipc_get(struct exchange *x)
{
	const struct sim_map *map = sim_memory_find(x->client, x->request.a[0]);

	if (map == NULL || !map->allocation ||
	    (map->phys->kind != SIM_MEM_PLAIN && map->phys->kind != SIM_MEM_POOL))
		return SIM_INVALID_VALUE;
	map->phys->exported = true;
	x->client->shares = true;
	x->reply.v[0] = map->phys->id;
	x->reply.v[1] = map->va;
	x->reply.v[2] = x->client->id;
	memcpy(&x->reply.v[3], x->server->secret, sizeof(x->reply.v[3]));
	return SIM_OK;
}

int sim_do_ipc_open(struct exchange *x)
{
	const uint64_t *a = x->request.a;
	struct sim_client *owner;
	struct sim_dctx *ctx = sim_client_ctx(x->client, a[4]);
	struct sim_map *map;
	int res;

	if (ctx == NULL && a[4] != 0)
		return SIM_INVALID_CONTEXT;
	if (memcmp(&a[3], x->server->secret, sizeof(a[3])) != 0)
		return SIM_INVALID_HANDLE;
	for (owner = x->server->clients; owner != NULL; owner = owner->next)
		if (owner->id == a[2] && owner->chan != NULL)
			break;
	map = owner == NULL ? NULL : sim_memory_find(owner, a[1]);
	/* A handle can be made up, but not of what was never given out. */
	if (map == NULL || map->phys->id != a[0] || !map->allocation ||
	    !map->phys->exported)
		return SIM_INVALID_HANDLE;
	/* Of a pool the mapping survives contexts like its memory, else it is of one. */
	if ((map->phys->kind == SIM_MEM_POOL) != (ctx == NULL))
		return SIM_INVALID_HANDLE;
	if (owner == x->client && ctx != NULL)
		return SIM_INVALID_CONTEXT;
	if (sim_is_lost(x, map->phys->device))
		return SIM_UNAVAILABLE;
	x->client->shares = true;
	x->reply.v[1] = map->bytes;
	x->reply.v[2] = map->phys->device;
	res = sim_memory_open(x->client, map->phys, ctx == NULL ? 0 : ctx->id, map->bytes,
			      &x->reply.v[0]);
	return res;
}

int sim_do_ipc_close(struct exchange *x)
{
	return sim_memory_close(&x->server->memory, x->client, x->request.a[0]);
}

int sim_do_pool_export(struct exchange *x)
{
	struct sim_export *export;

	if (x->request.a[0] >= x->server->config.devices)
		return SIM_INVALID_VALUE;
	export = sim_export_new(x);
	if (export == NULL)
		return SIM_OUT_OF_MEMORY;
	export->device = (unsigned)x->request.a[0];
	export->client = x->client->id;
	export->pool = x->request.a[1];
	return SIM_OK;
}

int sim_do_pool_import(struct exchange *x)
{
	const struct sim_export *export = sim_export_find(x);

	if (export == NULL || export->phys != NULL)
		return SIM_INVALID_VALUE;
	if (sim_is_lost(x, export->device))
		return SIM_UNAVAILABLE;
	x->reply.v[0] = export->device;
	x->reply.v[1] = export->client;
	x->reply.v[2] = export->pool;
	return SIM_OK;
}

int sim_do_ipc_event_get(struct exchange *x)
{
	struct sim_devent *event = x->request.a[0] < SIM_EVENTS
					   ? sim_client_event(x->client,
							      (uint32_t)x->request.a[0])
					   : NULL;
	static const unsigned char none[sizeof(event->key)];

	if (event == NULL)
		return SIM_INVALID_HANDLE;
	if (memcmp(event->key, none, sizeof(none)) == 0) {
		if (getrandom(event->key, sizeof(event->key), 0) != sizeof(event->key))
			return SIM_OUT_OF_MEMORY;
		event->next = x->server->shared_events;
		x->server->shared_events = event;
	}
	memcpy(x->reply.v, event->key, sizeof(event->key));
	return SIM_OK;
}

int sim_do_ipc_event_open(struct exchange *x)
{
	struct sim_client *client = x->client;
	const uint32_t slot = (uint32_t)x->request.a[4];
	struct sim_devent *event;
	void *mirrors;

	for (event = x->server->shared_events; event != NULL; event = event->next)
		if (memcmp(event->key, x->request.a, sizeof(event->key)) == 0)
			break;
	if (event == NULL || x->request.a[4] >= SIM_EVENTS)
		return SIM_INVALID_HANDLE;
	if (client->events != NULL && client->events[slot] == event)
		return SIM_OK;
	if (event->nmirrors >= MIRRORS_MAX)
		return SIM_OUT_OF_MEMORY;
	sim_client_event_forget(client, slot);
	if (client->events == NULL)
		client->events = calloc(SIM_EVENTS, sizeof(struct sim_devent *));
	if (client->events == NULL)
		return SIM_OUT_OF_MEMORY;
	mirrors = realloc(event->mirrors,
			  (event->nmirrors + 1) * sizeof(*event->mirrors));
	if (mirrors == NULL)
		return SIM_OUT_OF_MEMORY;
	event->mirrors = mirrors;
	event->mirrors[event->nmirrors].client = client;
	event->mirrors[event->nmirrors++].slot = slot;
	event->refs++;
	client->events[slot] = event;
	atomic_store(&client->chan->events[slot].time_ns, event->time_ns);
	atomic_store(&client->chan->events[slot].done_gen,
		     event->last == NULL ? UINT64_MAX : 0);
	return SIM_OK;
}

int sim_do_event_forget(struct exchange *x)
{
	if (x->request.a[0] >= SIM_EVENTS)
		return SIM_INVALID_HANDLE;
	sim_client_event_forget(x->client, (uint32_t)x->request.a[0]);
	return SIM_OK;
}

/* ---- faults and truth ---- */

int sim_do_sticky(struct exchange *x)
{
	if (x->request.a[0] == 0 || x->request.a[0] > 999)
		return SIM_INVALID_VALUE;
	sim_client_stick(x->client, (uint32_t)x->request.a[0]);
	return SIM_OK;
}

/* Whether a client has a context or memory on a device. */
static bool uses(const struct sim_client *client, unsigned device)
{
	const struct sim_dctx *ctx;
	unsigned i;

	for (ctx = client->contexts; ctx != NULL; ctx = ctx->next)
		if (ctx->ctx.device == device)
			return true;
	for (i = 0; i < client->space.nmaps; i++)
		if (client->space.maps[i].phys->device == device &&
		    !client->space.maps[i].phys->host_memory)
			return true;
	for (i = 0; i < client->space.nhandles; i++)
		if (client->space.handles[i].phys->device == device &&
		    !client->space.handles[i].phys->host_memory)
			return true;
	return false;
}

static void device_lost(struct sim_server *server, unsigned device)
{
	struct sim_client *client;

	server->lost |= 1u << device;
	for (client = server->clients; client != NULL; client = client->next) {
		if (client->chan == NULL)
			continue;
		atomic_store(&client->chan->lost, server->lost);
		if (uses(client, device))
			sim_client_stick(client, SIM_UNAVAILABLE);
	}
}

static int set_accounting(struct sim_server *server, unsigned device, uint64_t mode)
{
	switch (mode) {
	case SIMGPU_ACCOUNTING_OFF:
		server->accounting_since_ns[device] = 0;
		return SIM_OK;
	case SIMGPU_ACCOUNTING_ON:
		if (server->accounting_since_ns[device] == 0)
			server->accounting_since_ns[device] = sim_clock_ns();
		return SIM_OK;
	case SIMGPU_ACCOUNTING_CLEAR:
		server->accounting_cleared_ns[device] = sim_clock_ns();
		return SIM_OK;
	default:
		return SIM_INVALID_VALUE;
	}
}

int sim_do_fault(struct exchange *x)
{
	const uint64_t *a = x->request.a;

	if (a[1] >= x->server->config.devices)
		return SIM_INVALID_VALUE;
	switch (a[0]) {
	case SIM_FAULT_LOST:
		device_lost(x->server, (unsigned)a[1]);
		return SIM_OK;
	case SIM_FAULT_MEMORY_LIMIT:
		x->server->memory.device[a[1]].client_limit = a[2];
		return SIM_OK;
	case SIM_FAULT_ACCOUNTING:
		return set_accounting(x->server, (unsigned)a[1], a[2]);
	default:
		return SIM_INVALID_VALUE;
	}
}

int sim_do_truth(struct exchange *x)
{
	int fd = sim_truth_image(x->server, (x->request.a[0] & SIM_TRUTH_SAMPLES) != 0);

	if (fd < 0)
		return SIM_OUT_OF_MEMORY;
	x->fds_out[0] = fd;
	x->nfds_out = 1;
	x->close_out = true;
	return SIM_OK;
}
