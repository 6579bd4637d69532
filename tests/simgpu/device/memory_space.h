/*
 * memory_space.h - a client's address space: ranges taken and mappings, kept sorted.
 *
 * Knows: addresses. Refuses to know: what is mapped and who pays for it (memory.c).
 * Private to memory*.c. Threads: one.
 */
#ifndef SIM_MEMORY_SPACE_H
#define SIM_MEMORY_SPACE_H

#include "device/memory.h"

/* Takes a free range of at least `bytes` (whole pages) at a multiple of align, at `wish` if
 * that is free. Returns its address, or 0. */
uint64_t sim_space_place(struct sim_space_map *space, uint64_t bytes, uint64_t align,
			 uint64_t wish);
/* Gives back the range that begins at va. */
void sim_space_vacate(struct sim_space_map *space, uint64_t va);

/* Adds a mapping; false when out of memory. It must not overlap another. */
bool sim_space_insert(struct sim_space_map *space, const struct sim_map *map);
void sim_space_erase(struct sim_space_map *space, unsigned index);
/* Index of the mapping that holds va, or -1. */
int sim_space_index(struct sim_space_map *space, uint64_t va);
/* Index of the first mapping that ends behind va (nmaps if none). */
unsigned sim_space_lower(const struct sim_space_map *space, uint64_t va);

void sim_space_fini(struct sim_space_map *space);

/* One mapping less of a block (memory.c). */
void sim_phys_unmap(struct sim_memory *memory, struct sim_phys *phys);

/* Grows an array of `size`-byte elements so that count + 1 fit. */
bool sim_array_grow(void **array, unsigned count, unsigned *cap, size_t size);

#endif
