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
	else if (phys->host != NULL)
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
	if (!phys->host_memory && !sim_memory_fits(memory, phys->device, phys->owner, phys->used))
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
		    fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) {
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
		     unsigned device, uint64_t bytes, enum sim_mem_kind kind, uint64_t align,
		     uint64_t *va, uint64_t *used, int *fd)
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
			*va = sim_space_place(space, phys->mapped_bytes,
					      align > SIM_PAGE_BYTES ? align
								     : SIM_PAGE_BYTES,
					      0);
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

/* Takes a mapping out of the client's space and drops what it held. */
static void map_drop(struct sim_memory *memory, struct sim_client *client, unsigned index)
{
	struct sim_space_map *space = sim_client_space(client);
	struct sim_map map = space->maps[index];

	sim_space_erase(space, index);
	if ((map.allocation && map.phys->chunk == NULL) || map.imported)
		sim_space_vacate(space, map.va - map.offset);
	if (map.allocation)
		map.phys->refs--;
	sim_phys_unmap(memory, map.phys);
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
		    uint64_t offset, uint64_t bytes, uint64_t *va)
{
	struct sim_space_map *space = sim_client_space(client);
	uint64_t room = sim_round_up(offset + bytes, SIM_PAGE_BYTES);
	unsigned i;

	for (i = 0; i < space->nmaps; i++)
		if (space->maps[i].imported && space->maps[i].phys == phys &&
		    space->maps[i].ctx == ctx) {
			space->maps[i].opens++;
			*va = space->maps[i].va;
			return OK;
		}
	*va = sim_space_place(space, room, SIM_PAGE_BYTES, 0);
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

void sim_memory_free_ctx(struct sim_memory *memory, struct sim_client *client, uint32_t ctx)
{
	struct sim_space_map *space = sim_client_space(client);
	unsigned i = space->nmaps;

	while (i-- > 0)
		if (space->maps[i].ctx == ctx && ctx != 0)
			map_drop(memory, client, i);
}

static bool phys_in(struct sim_phys *const *list, unsigned count,
			const struct sim_phys *phys)
{
	unsigned i;

	for (i = 0; i < count; i++)
		if (list[i] == phys)
			return true;
	return false;
}

/* Others still hold a block of a client that is going: a small one leaves the chunk, and
 * somebody who holds it is charged from now on. */
static void bequeath(struct sim_memory *memory, struct sim_client *client,
		     struct sim_phys *phys)
{
	sim_memory_refund(memory, phys);
	if (phys->chunk != NULL) {
		unsigned char *host = sim_host_map(SIM_PAGE_BYTES);

		if (host == NULL)
			abort(); /* the machine is out of memory; so is every device */
		memcpy(host, phys->host, phys->requested);
		sim_chunk_leave(memory, phys);
		phys->host = host;
		phys->mapped_bytes = SIM_PAGE_BYTES;
		phys->used = SIM_PAGE_BYTES;
	}
	phys->owner = sim_memory_heir(client, phys);
	sim_memory_charge(memory, phys);
}

void sim_memory_free_client(struct sim_memory *memory, struct sim_client *client)
{
	struct sim_space_map *space = sim_client_space(client);
	struct sim_phys **held;
	unsigned nheld = 0, i;

	/* Blocks stay while we go through them: each gets a reference for the time being. */
	held = calloc(space->nmaps + space->nhandles + 1, sizeof(*held));
	if (held == NULL)
		abort();
	for (i = 0; i < space->nmaps; i++)
		held[nheld++] = space->maps[i].phys;
	for (i = 0; i < space->nhandles; i++)
		held[nheld++] = space->handles[i].phys;
	for (i = 0; i < nheld; i++)
		held[i]->refs++;
	while (space->nmaps > 0)
		map_drop(memory, client, space->nmaps - 1);
	for (i = 0; i < space->nhandles; i++)
		space->handles[i].phys->refs -= space->handles[i].refs;
	space->nhandles = 0;
	for (i = 0; i < nheld; i++) {
		held[i]->refs--;
		if ((held[i]->refs > 0 || held[i]->maps > 0) && held[i]->owner == client &&
		    !phys_in(held + i + 1, nheld - i - 1, held[i]))
			bequeath(memory, client, held[i]);
		phys_settle(memory, held[i]);
	}
	free(held);
	sim_space_fini(space);
}

int sim_memory_create(struct sim_memory *memory, struct sim_client *client, unsigned device,
		      uint64_t bytes, bool host, bool graph, uint64_t *handle)
{
	struct sim_phys *phys;
	int fd = -1;

	if (bytes == 0 || bytes % SIM_PAGE_BYTES != 0)
		return INVALID_VALUE;
	if (!host && bytes > memory->device[device].total)
		return OUT_OF_MEMORY;
	phys = phys_new(memory, client, device, bytes, graph ? SIM_MEM_GRAPH : SIM_MEM_PLAIN);
	if (phys == NULL)
		return OUT_OF_MEMORY;
	phys->vmm = !graph;
	phys->host_memory = host;
	if (!large_place(memory, phys, false, &fd)) {
		free(phys);
		return OUT_OF_MEMORY;
	}
	sim_memory_charge(memory, phys);
	if (sim_memory_adopt(client, phys, handle) != OK) {
		phys_settle(memory, phys);
		return OUT_OF_MEMORY;
	}
	return OK;
}
