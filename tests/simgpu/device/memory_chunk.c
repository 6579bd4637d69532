/*
 * memory_chunk.c - small blocks share 2 MiB chunks at 512-byte steps, first fit.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "device/memory_private.h"

static unsigned units_of(const struct sim_phys *phys)
{
	return (unsigned)(sim_round_up(phys->requested, SIM_UNIT_BYTES) / SIM_UNIT_BYTES);
}

static bool unit_taken(const struct sim_chunk *chunk, unsigned unit)
{
	return (chunk->units[unit / 64] >> (unit % 64)) & 1;
}

static void units_mark(struct sim_chunk *chunk, unsigned first, unsigned count,
		       bool taken)
{
	unsigned unit;

	for (unit = first; unit < first + count; unit++) {
		if (taken)
			chunk->units[unit / 64] |= 1ull << (unit % 64);
		else
			chunk->units[unit / 64] &= ~(1ull << (unit % 64));
	}
	chunk->free_units += taken ? -count : count;
}

/* First fit at a multiple of `step` units; -1 if there is no room. */
static int units_find(const struct sim_chunk *chunk, unsigned count, unsigned step)
{
	const unsigned total = SIM_PAGE_BYTES / SIM_UNIT_BYTES;
	unsigned first = 0, unit;

	if (chunk->free_units < count)
		return -1;
	while (first + count <= total) {
		if (first % 64 == 0 && chunk->units[first / 64] == UINT64_MAX) {
			first += step > 64 ? step : 64; /* both are powers of two */
			continue;
		}
		for (unit = first; unit < first + count; unit++)
			if (unit_taken(chunk, unit))
				break;
		if (unit == first + count)
			return (int)first;
		first = (unit / step + 1) * step;
	}
	return -1;
}

unsigned char *sim_host_map(uint64_t bytes)
{
	void *host = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (host == MAP_FAILED)
		return NULL;
	madvise(host, bytes, MADV_DONTDUMP);
	return host;
}

static struct sim_chunk *chunk_new(struct sim_memory *memory, struct sim_client *client,
				   uint32_t ctx, unsigned device)
{
	struct sim_space_map *space = sim_client_space(client);
	struct sim_device_memory *dev = &memory->device[device];
	struct sim_chunk *chunk;
	uint64_t va;

	if (!sim_memory_fits(memory, device, client, SIM_PAGE_BYTES))
		return NULL;
	chunk = calloc(1, sizeof(*chunk));
	if (chunk == NULL)
		return NULL;
	va = sim_space_place(space, SIM_PAGE_BYTES, SIM_PAGE_BYTES, 0);
	chunk->host = va != 0 ? sim_host_map(SIM_PAGE_BYTES) : NULL;
	if (chunk->host == NULL) {
		if (va != 0)
			sim_space_vacate(space, va);
		free(chunk);
		return NULL;
	}
	chunk->va = va;
	chunk->ctx = ctx;
	chunk->device = device;
	chunk->owner = client;
	chunk->free_units = SIM_PAGE_BYTES / SIM_UNIT_BYTES;
	chunk->next = space->chunks;
	space->chunks = chunk;
	dev->used += SIM_PAGE_BYTES;
	sim_client_books(client)->memory[device].used += SIM_PAGE_BYTES;
	return chunk;
}

static void chunk_free(struct sim_memory *memory, struct sim_chunk *chunk)
{
	struct sim_space_map *space = sim_client_space(chunk->owner);
	struct sim_chunk **link = &space->chunks;

	while (*link != chunk)
		link = &(*link)->next;
	*link = chunk->next;
	sim_space_vacate(space, chunk->va);
	memory->device[chunk->device].used -= SIM_PAGE_BYTES;
	sim_client_books(chunk->owner)->memory[chunk->device].used -= SIM_PAGE_BYTES;
	munmap(chunk->host, SIM_PAGE_BYTES);
	free(chunk);
}

/* Places a small block; fills phys and va. */
bool sim_chunk_place(struct sim_memory *memory, struct sim_client *client, uint32_t ctx,
		     struct sim_phys *phys, uint64_t align, uint64_t *va)
{
	unsigned count = units_of(phys);
	unsigned step = align > SIM_UNIT_BYTES ? (unsigned)(align / SIM_UNIT_BYTES) : 1;
	struct sim_chunk *chunk;
	int first = -1;

	for (chunk = sim_client_space(client)->chunks; chunk != NULL;
	     chunk = chunk->next) {
		if (chunk->ctx != ctx || chunk->device != phys->device)
			continue;
		first = units_find(chunk, count, step);
		if (first >= 0)
			break;
	}
	if (chunk == NULL) {
		chunk = chunk_new(memory, client, ctx, phys->device);
		if (chunk == NULL)
			return false;
		first = 0;
	}
	units_mark(chunk, (unsigned)first, count, true);
	phys->chunk = chunk;
	phys->host = chunk->host + (uint64_t)first * SIM_UNIT_BYTES;
	phys->used = 0; /* the chunk is what the device lost */
	*va = chunk->va + (uint64_t)first * SIM_UNIT_BYTES;
	return true;
}

void sim_chunk_leave(struct sim_memory *memory, struct sim_phys *phys)
{
	struct sim_chunk *chunk = phys->chunk;

	units_mark(chunk, (unsigned)((phys->host - chunk->host) / SIM_UNIT_BYTES),
		   units_of(phys), false);
	if (chunk->free_units == SIM_PAGE_BYTES / SIM_UNIT_BYTES)
		chunk_free(memory, chunk);
	phys->chunk = NULL;
	phys->host = NULL;
}
