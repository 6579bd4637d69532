/*
 * memory_space.c - sorted arrays of address ranges. Blocks come and go mostly in address
 * order, so that inserting costs a search and a short move.
 */
#include "device/memory_space.h"

#include <stdlib.h>
#include <string.h>

bool sim_array_grow(void **array, unsigned count, unsigned *cap, size_t size)
{
	unsigned wanted = *cap == 0 ? 16 : *cap * 2;
	void *grown;

	if (count < *cap)
		return true;
	grown = realloc(*array, (size_t)wanted * size);
	if (grown == NULL)
		return false;
	*array = grown;
	*cap = wanted;
	return true;
}

void sim_space_init(struct sim_space_map *space, uint64_t base, uint64_t bytes)
{
	memset(space, 0, sizeof(*space));
	space->base = (base + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES * SIM_PAGE_BYTES;
	space->bytes = bytes - (space->base - base);
	space->cursor = space->base;
}

void sim_space_fini(struct sim_space_map *space)
{
	free(space->maps);
	free(space->handles);
	free(space->extents);
	free(space->reserved);
	memset(space, 0, sizeof(*space));
}

/* Index of the first extent that ends behind va. */
static unsigned extent_lower(const struct sim_space_map *space, uint64_t va)
{
	unsigned low = 0, high = space->nextents;

	while (low < high) {
		unsigned mid = low + (high - low) / 2;

		if (space->extents[mid].va + space->extents[mid].bytes <= va)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool extent_take(struct sim_space_map *space, unsigned index, uint64_t va,
			uint64_t bytes)
{
	if (!sim_array_grow((void **)&space->extents, space->nextents,
			    &space->cap_extents, sizeof(*space->extents)))
		return false;
	memmove(space->extents + index + 1, space->extents + index,
		(space->nextents - index) * sizeof(*space->extents));
	space->extents[index].va = va;
	space->extents[index].bytes = bytes;
	space->nextents++;
	return true;
}

/* The first gap of the wanted size between from and to; 0 if none. */
static uint64_t gap_find(const struct sim_space_map *space, uint64_t from, uint64_t to,
			 uint64_t bytes, uint64_t align, unsigned *index)
{
	uint64_t va = (from + align - 1) / align * align;

	*index = extent_lower(space, va);
	while (va + bytes <= to && va + bytes > va) {
		if (*index == space->nextents || space->extents[*index].va >= va + bytes)
			return va;
		va = space->extents[*index].va + space->extents[*index].bytes;
		va = (va + align - 1) / align * align;
		*index = extent_lower(space, va);
	}
	return 0;
}

uint64_t sim_space_place(struct sim_space_map *space, uint64_t bytes, uint64_t align,
			 uint64_t wish)
{
	const uint64_t end = space->base + space->bytes;
	unsigned index;
	uint64_t va = 0;

	bytes = (bytes + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES * SIM_PAGE_BYTES;
	if (align < SIM_PAGE_BYTES)
		align = SIM_PAGE_BYTES;
	if (bytes == 0 || bytes > space->bytes)
		return 0;
	if (wish >= space->base && wish < end && wish % align == 0 &&
	    bytes <= end - wish) {
		va = gap_find(space, wish, wish + bytes, bytes, align, &index);
	}
	if (va == 0)
		va = gap_find(space, space->cursor, end, bytes, align, &index);
	if (va == 0)
		va = gap_find(space, space->base, end, bytes, align, &index);
	if (va == 0 || !extent_take(space, index, va, bytes))
		return 0;
	space->cursor = va + bytes;
	return va;
}

void sim_space_vacate(struct sim_space_map *space, uint64_t va)
{
	unsigned index = extent_lower(space, va);

	if (index == space->nextents || space->extents[index].va != va)
		return;
	space->nextents--;
	memmove(space->extents + index, space->extents + index + 1,
		(space->nextents - index) * sizeof(*space->extents));
}

unsigned sim_space_lower(const struct sim_space_map *space, uint64_t va)
{
	unsigned low = 0, high = space->nmaps;

	while (low < high) {
		unsigned mid = low + (high - low) / 2;

		if (space->maps[mid].va + space->maps[mid].bytes <= va)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool sim_space_insert(struct sim_space_map *space, const struct sim_map *map)
{
	unsigned index;

	if (!sim_array_grow((void **)&space->maps, space->nmaps, &space->cap_maps,
			    sizeof(*space->maps)))
		return false;
	index = sim_space_lower(space, map->va);
	memmove(space->maps + index + 1, space->maps + index,
		(space->nmaps - index) * sizeof(*space->maps));
	space->maps[index] = *map;
	space->nmaps++;
	return true;
}

void sim_space_erase(struct sim_space_map *space, unsigned index)
{
	space->nmaps--;
	memmove(space->maps + index, space->maps + index + 1,
		(space->nmaps - index) * sizeof(*space->maps));
}

int sim_space_index(struct sim_space_map *space, uint64_t va)
{
	unsigned index = space->last_map;

	if (index < space->nmaps && va - space->maps[index].va < space->maps[index].bytes)
		return (int)index;
	index = sim_space_lower(space, va);
	if (index == space->nmaps || va < space->maps[index].va)
		return -1;
	space->last_map = index;
	return (int)index;
}

struct sim_map *sim_memory_find(struct sim_client *client, uint64_t va)
{
	struct sim_space_map *space = sim_client_space(client);
	int index = sim_space_index(space, va);

	return index < 0 ? NULL : &space->maps[index];
}

unsigned char *sim_memory_at(struct sim_client *client, uint64_t va, unsigned access,
			     uint64_t *contiguous)
{
	struct sim_map *map = sim_memory_find(client, va);

	if (map == NULL || (map->access & access) != access)
		return NULL;
	*contiguous = map->bytes - (va - map->va);
	return map->phys->host + map->offset + (va - map->va);
}
