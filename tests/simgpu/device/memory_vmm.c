/*
 * memory_vmm.c - address reservations, physical handles and mappings (cuMemCreate family).
 *
 * Semantics after the CUDA driver API manual, "Virtual Memory Management": a block goes when
 * it has neither handle references nor mappings; a handle retained twice is one value with
 * two references; unmapping covers whole mappings only.
 */
#include "device/memory_private.h"

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_PERMITTED = 800 };

int sim_memory_reserve(struct sim_client *client, uint64_t bytes, uint64_t align,
		       uint64_t wish, uint64_t *va)
{
	struct sim_space_map *space = sim_client_space(client);
	struct sim_extent *reserved;

	if (bytes == 0 || bytes % SIM_PAGE_BYTES != 0 || (align & (align - 1)) != 0)
		return INVALID_VALUE;
	if (!sim_array_grow((void **)&space->reserved, space->nreserved,
			    &space->cap_reserved, sizeof(*space->reserved)))
		return OUT_OF_MEMORY;
	*va = sim_space_place(space, bytes, align, wish);
	if (*va == 0)
		return OUT_OF_MEMORY;
	reserved = &space->reserved[space->nreserved++];
	reserved->va = *va;
	reserved->bytes = bytes;
	return OK;
}

/* The reservation that holds [va, va + bytes), or NULL. */
static struct sim_extent *reservation(struct sim_space_map *space, uint64_t va,
				      uint64_t bytes)
{
	unsigned i;

	for (i = 0; i < space->nreserved; i++) {
		struct sim_extent *r = &space->reserved[i];

		if (va >= r->va && va - r->va < r->bytes &&
		    bytes <= r->bytes - (va - r->va))
			return r;
	}
	return NULL;
}

/* Whether anything is mapped in the range. */
static bool occupied(const struct sim_space_map *space, uint64_t va, uint64_t bytes)
{
	unsigned index = sim_space_lower(space, va);

	return index < space->nmaps && space->maps[index].va < va + bytes;
}

int sim_memory_unreserve(struct sim_client *client, uint64_t va, uint64_t bytes)
{
	struct sim_space_map *space = sim_client_space(client);
	struct sim_extent *r = reservation(space, va, bytes);

	if (r == NULL || r->va != va || r->bytes != bytes || occupied(space, va, bytes))
		return INVALID_VALUE;
	*r = space->reserved[--space->nreserved];
	sim_space_vacate(space, va);
	return OK;
}

struct sim_handle *sim_memory_handle(struct sim_client *client, uint64_t value)
{
	struct sim_space_map *space = sim_client_space(client);
	unsigned i;

	for (i = 0; i < space->nhandles; i++)
		if (space->handles[i].value == value)
			return &space->handles[i];
	return NULL;
}

int sim_memory_adopt(struct sim_memory *memory, struct sim_client *client,
		     struct sim_phys *phys, uint64_t *handle)
{
	struct sim_space_map *space = sim_client_space(client);
	unsigned i;

	for (i = 0; i < space->nhandles; i++)
		if (space->handles[i].phys == phys)
			break;
	if (i == space->nhandles) {
		if (!sim_array_grow((void **)&space->handles, space->nhandles,
				    &space->cap_handles, sizeof(*space->handles)))
			return OUT_OF_MEMORY;
		space->handles[i] = (struct sim_handle){ .value = phys->id << 4 | 1,
							 .phys = phys };
		space->nhandles++;
	}
	space->handles[i].refs++;
	phys->refs++;
	if (phys->owner == NULL)
		sim_phys_pass(memory, phys, client);
	*handle = space->handles[i].value;
	return OK;
}

int sim_memory_release(struct sim_memory *memory, struct sim_client *client,
		       uint64_t handle)
{
	struct sim_space_map *space = sim_client_space(client);
	struct sim_handle *h = sim_memory_handle(client, handle);
	struct sim_phys *phys;

	if (h == NULL)
		return INVALID_VALUE;
	phys = h->phys;
	if (--h->refs == 0)
		*h = space->handles[--space->nhandles];
	sim_phys_unref(memory, phys);
	return OK;
}

int sim_memory_retain(struct sim_memory *memory, struct sim_client *client,
		      uint64_t handle, uint64_t va, uint64_t *value)
{
	struct sim_map *map;
	struct sim_handle *h;

	if (handle != 0) {
		h = sim_memory_handle(client, handle);
		return h == NULL ? INVALID_VALUE
				 : sim_memory_adopt(memory, client, h->phys, value);
	}
	map = sim_memory_find(client, va);
	if (map == NULL || !map->phys->vmm)
		return INVALID_VALUE;
	return sim_memory_adopt(memory, client, map->phys, value);
}

int sim_memory_map(struct sim_client *client, uint64_t va, uint64_t bytes,
		   uint64_t offset, uint64_t handle)
{
	struct sim_space_map *space = sim_client_space(client);
	struct sim_handle *h = sim_memory_handle(client, handle);

	if (h == NULL || bytes == 0 || va % SIM_PAGE_BYTES != 0 ||
	    bytes % SIM_PAGE_BYTES != 0 || offset % SIM_PAGE_BYTES != 0 ||
	    offset > h->phys->requested || bytes > h->phys->requested - offset ||
	    reservation(space, va, bytes) == NULL || occupied(space, va, bytes))
		return INVALID_VALUE;
	if (!sim_space_insert(space, &(struct sim_map){ .va = va,
							.bytes = bytes,
							.offset = offset,
							.phys = h->phys }))
		return OUT_OF_MEMORY;
	h->phys->maps++;
	return OK;
}

/* Whether [va, va + bytes) consists of whole VMM mappings without gaps. */
static bool whole_mappings(const struct sim_space_map *space, uint64_t va, uint64_t bytes)
{
	unsigned index = sim_space_lower(space, va);
	uint64_t at = va;

	while (at < va + bytes) {
		const struct sim_map *map = &space->maps[index];

		if (index == space->nmaps || map->va != at || map->allocation ||
		    map->imported)
			return false;
		at += map->bytes;
		index++;
	}
	return at == va + bytes;
}

int sim_memory_unmap(struct sim_memory *memory, struct sim_client *client, uint64_t va,
		     uint64_t bytes)
{
	struct sim_space_map *space = sim_client_space(client);
	unsigned index;

	if (bytes == 0 || bytes > space->bytes || !whole_mappings(space, va, bytes))
		return INVALID_VALUE;
	index = sim_space_lower(space, va);
	while (index < space->nmaps && space->maps[index].va < va + bytes) {
		struct sim_phys *phys = space->maps[index].phys;

		sim_space_erase(space, index);
		sim_phys_unmap(memory, phys);
	}
	return OK;
}

int sim_memory_access(struct sim_client *client, uint64_t va, uint64_t bytes,
		      unsigned access)
{
	struct sim_space_map *space = sim_client_space(client);
	unsigned index;

	if (bytes == 0 || bytes > space->bytes || !whole_mappings(space, va, bytes))
		return INVALID_VALUE;
	for (index = sim_space_lower(space, va);
	     index < space->nmaps && space->maps[index].va < va + bytes; index++)
		space->maps[index].access = (uint8_t)access;
	return OK;
}
