/*
 * memory.c - physical blocks: made, mapped, freed, inherited. See memory.h for the rules.
 */
#include "device/memory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device/memory_private.h"

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2 };

static void phys_destroy(struct sim_memory *memory, struct sim_phys *phys)
{
	sim_memory_refund(memory, phys);
	if (phys->chunk != NULL)
		sim_chunk_leave(memory, phys);
	else if (phys->mapped_bytes == 0)
		free(phys->host);
	else
		munmap(phys->host, phys->mapped_bytes);
	free(phys);
}

void sim_phys_ref(struct sim_phys *phys)
{
	phys->refs++;
}

static void phys_settle(struct sim_memory *memory, struct sim_phys *phys)
{
	if (phys->refs == 0 && phys->maps == 0)
		phys_destroy(memory, phys);
}

void sim_phys_unref(struct sim_memory *memory, struct sim_phys *phys)
{
	phys->refs--;
	phys_settle(memory, phys);
}

void sim_phys_unmap(struct sim_memory *memory, struct sim_phys *phys)
{
	phys->maps--;
	phys_settle(memory, phys);
}

static struct sim_phys *phys_new(struct sim_memory *memory, struct sim_client *client,
				 unsigned device, uint64_t bytes, enum sim_mem_kind kind)
{
	struct sim_phys *phys = calloc(1, sizeof(*phys));

	if (phys == NULL)
		return NULL;
	phys->id = ++memory->next_id;
	phys->device = device;
	phys->kind = kind;
	phys->host_memory = kind == SIM_MEM_HOST;
	phys->requested = bytes;
	phys->owner = client;
	return phys;
}

/* A block of its own: whole pages, memory that the client can share if *fd is wanted. */
static bool large_place(struct sim_memory *memory, struct sim_phys *phys, bool shared,
			int *fd)
{
	const uint64_t step = phys->host_memory ? 4096 : SIM_PAGE_BYTES;

	if (phys->requested > UINT64_MAX / 2)
		return false;
	phys->mapped_bytes = sim_round_up(phys->requested, step);
	phys->used = phys->host_memory ? 0 : phys->mapped_bytes;
	if (phys->host_memory
		    ? !sim_memory_may_pin(memory, phys->owner, phys->requested)
		    : !sim_memory_fits(memory, phys->device, phys->owner, phys->used))
		return false;
	if (!shared) {
		phys->host = sim_host_map(phys->mapped_bytes);
		return phys->host != NULL;
	}
	*fd = memfd_create("simgpu-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return false;
	if (ftruncate(*fd, (off_t)phys->mapped_bytes) == 0) {
		void *host = mmap(NULL, phys->mapped_bytes, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_NORESERVE, *fd, 0);

		/* No client may shrink what we have mapped: that would be our SIGBUS. */
		if (host != MAP_FAILED &&
		    fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ==
			    0) {
			phys->host = host;
			return true;
		}
		if (host != MAP_FAILED)
			munmap(host, phys->mapped_bytes);
	}
	close(*fd);
	*fd = -1;
	return false;
}

int sim_memory_alloc(struct sim_memory *memory, struct sim_client *client, uint32_t ctx,
		     unsigned device, uint64_t bytes, enum sim_mem_kind kind,
		     uint64_t align, uint64_t *va, uint64_t *used, int *fd)
{
	struct sim_space_map *space = sim_client_space(client);
	const bool shared = kind == SIM_MEM_HOST || kind == SIM_MEM_MANAGED;
	struct sim_phys *phys;
	bool placed;

	*fd = -1;
	if (bytes == 0 || (align & (align - 1)) != 0 || align > (1ull << 40))
		return INVALID_VALUE;
	if (kind != SIM_MEM_HOST && bytes > memory->device[device].total)
		return OUT_OF_MEMORY;
	phys = phys_new(memory, client, device, bytes, kind);
	if (phys == NULL)
		return OUT_OF_MEMORY;
	if (bytes < SIM_SMALL_BYTES && !shared && align <= SIM_SMALL_BYTES) {
		placed = sim_chunk_place(memory, client, ctx, phys, align, va);
	} else {
		placed = large_place(memory, phys, shared, fd);
		*va = 0;
		if (placed)
			*va = sim_space_place(
				space, phys->mapped_bytes,
				align > SIM_PAGE_BYTES ? align : SIM_PAGE_BYTES, 0);
		if (placed && *va == 0) {
			munmap(phys->host, phys->mapped_bytes);
			if (*fd >= 0)
				close(*fd);
			*fd = -1;
			placed = false;
		}
	}
	if (!placed) {
		free(phys);
		return OUT_OF_MEMORY;
	}
	phys->refs = 1;
	phys->maps = 1;
	sim_memory_charge(memory, phys);
	if (!sim_space_insert(space, &(struct sim_map){ .va = *va,
							.bytes = bytes,
							.phys = phys,
							.ctx = ctx,
							.allocation = true,
							.access = 3 })) {
		if (phys->chunk == NULL)
			sim_space_vacate(space, *va);
		phys->refs = 0;
		phys->maps = 0;
		phys_settle(memory, phys);
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		return OUT_OF_MEMORY;
	}
	*used = phys->chunk != NULL ? sim_round_up(bytes, SIM_UNIT_BYTES) : phys->used;
	return OK;
}

/* Drops what a mapping holds that is no longer in the client's space. */
static void map_end(struct sim_memory *memory, struct sim_client *client,
		    const struct sim_map *map)
{
	if ((map->allocation && map->phys->chunk == NULL) || map->imported)
		sim_space_vacate(sim_client_space(client), map->va);
	if (map->allocation)
		map->phys->refs--;
	sim_phys_unmap(memory, map->phys);
}

static void map_drop(struct sim_memory *memory, struct sim_client *client, unsigned index)
{
	struct sim_space_map *space = sim_client_space(client);
	const struct sim_map map = space->maps[index];

	sim_space_erase(space, index);
	map_end(memory, client, &map);
}

int sim_memory_free(struct sim_memory *memory, struct sim_client *client, uint64_t va,
		    enum sim_mem_kind *kind, uint64_t *bytes)
{
	struct sim_space_map *space = sim_client_space(client);
	int index = sim_space_index(space, va);

	if (index < 0 || space->maps[index].va != va || !space->maps[index].allocation)
		return INVALID_VALUE;
	*kind = space->maps[index].phys->kind;
	*bytes = space->maps[index].bytes;
	map_drop(memory, client, (unsigned)index);
	return OK;
}

int sim_memory_close(struct sim_memory *memory, struct sim_client *client, uint64_t va)
{
	struct sim_space_map *space = sim_client_space(client);
	int index = sim_space_index(space, va);

	if (index < 0 || !space->maps[index].imported)
		return INVALID_VALUE;
	if (--space->maps[index].opens == 0)
		map_drop(memory, client, (unsigned)index);
	return OK;
}

int sim_memory_open(struct sim_client *client, struct sim_phys *phys, uint32_t ctx,
		    uint64_t bytes, uint64_t *va)
{
	struct sim_space_map *space = sim_client_space(client);
	unsigned i;

	for (i = 0; i < space->nmaps && ctx != 0; i++)
		if (space->maps[i].imported && space->maps[i].phys == phys &&
		    space->maps[i].ctx == ctx) {
			space->maps[i].opens++;
			*va = space->maps[i].va;
			return OK;
		}
	*va = sim_space_place(space, bytes, SIM_PAGE_BYTES, 0);
	if (*va == 0)
		return OUT_OF_MEMORY;
	if (!sim_space_insert(space, &(struct sim_map){ .va = *va,
							.bytes = bytes,
							.phys = phys,
							.ctx = ctx,
							.imported = true,
							.opens = 1,
							.access = 3 })) {
		sim_space_vacate(space, *va);
		return OUT_OF_MEMORY;
	}
	phys->maps++;
	return OK;
}

void sim_memory_free_ctx(struct sim_memory *memory, struct sim_client *client,
			 uint32_t ctx)
{
	struct sim_space_map *space = sim_client_space(client);
	unsigned i, kept = 0;

	/* In one pass: dropping them one by one would move the others each time. */
	for (i = 0; i < space->nmaps; i++) {
		if (space->maps[i].ctx != ctx || ctx == 0)
			space->maps[kept++] = space->maps[i];
		else
			map_end(memory, client, &space->maps[i]);
	}
	space->nmaps = kept;
}

/* A block outlives its owner: a small one leaves its chunk. Together the blocks of a chunk
 * are charged no more than the chunk was, so that the device has room for them. */
static void bequeath(struct sim_memory *memory, struct sim_phys *phys,
		     struct sim_client *heir)
{
	if (phys->chunk != NULL) {
		unsigned char *host = malloc(phys->requested);

		if (host == NULL)
			abort(); /* the machine is out of memory; so is every device */
		memcpy(host, phys->host, phys->requested);
		sim_memory_refund(memory, phys);
		sim_chunk_leave(memory, phys);
		phys->host = host;
		phys->used = sim_round_up(phys->requested, SIM_UNIT_BYTES);
		sim_memory_charge(memory, phys);
	}
	sim_phys_pass(memory, phys, heir);
}

/* What a client holds of one that is going is its own from now on. */
static void inherit(struct sim_memory *memory, struct sim_client *heir,
		    struct sim_client *going)
{
	const struct sim_space_map *space = sim_client_space(heir);
	unsigned i;

	for (i = 0; i < space->nmaps; i++)
		if (space->maps[i].phys->owner == going)
			bequeath(memory, space->maps[i].phys, heir);
	for (i = 0; i < space->nhandles; i++)
		if (space->handles[i].phys->owner == going)
			bequeath(memory, space->handles[i].phys, heir);
}

void sim_memory_free_client(struct sim_memory *memory, struct sim_client *client)
{
	struct sim_space_map *space = sim_client_space(client);
	struct sim_client *heir = NULL;

	while (space->nmaps > 0)
		map_drop(memory, client, space->nmaps - 1);
	while (space->nhandles > 0) {
		const struct sim_handle *handle = &space->handles[--space->nhandles];

		handle->phys->refs -= handle->refs;
		phys_settle(memory, handle->phys);
	}
	while (space->blocks != NULL && (heir = sim_memory_heir(client, heir)) != NULL)
		inherit(memory, heir, client);
	while (space->blocks != NULL)
		bequeath(memory, space->blocks, NULL);
	sim_space_fini(space);
}

int sim_memory_create(struct sim_memory *memory, struct sim_client *client,
		      unsigned device, uint64_t bytes, bool host, bool graph,
		      uint64_t *handle)
{
	struct sim_phys *phys;
	int fd = -1;

	if (bytes == 0 || bytes % SIM_PAGE_BYTES != 0)
		return INVALID_VALUE;
	if (!host && bytes > memory->device[device].total)
		return OUT_OF_MEMORY;
	phys = phys_new(memory, client, device, bytes,
			graph ? SIM_MEM_GRAPH : SIM_MEM_PLAIN);
	if (phys == NULL)
		return OUT_OF_MEMORY;
	phys->vmm = !graph;
	phys->host_memory = host;
	if (!large_place(memory, phys, false, &fd)) {
		free(phys);
		return OUT_OF_MEMORY;
	}
	sim_memory_charge(memory, phys);
	if (sim_memory_adopt(memory, client, phys, handle) != OK) {
		phys_settle(memory, phys);
		return OUT_OF_MEMORY;
	}
	return OK;
}
