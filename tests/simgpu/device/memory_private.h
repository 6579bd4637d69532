/*
 * memory_private.h - what memory*.c share: books, small blocks, address ranges.
 */
#ifndef SIM_MEMORY_PRIVATE_H
#define SIM_MEMORY_PRIVATE_H

#include "device/memory.h"
#include "device/memory_space.h"

static inline uint64_t sim_round_up(uint64_t value, uint64_t step)
{
	return (value + step - 1) / step * step;
}

/* memory_books.c: a block enters / leaves the books of its device and of its owner. */
void sim_memory_charge(struct sim_memory *memory, struct sim_phys *phys);
void sim_memory_refund(struct sim_memory *memory, struct sim_phys *phys);
/* It changes hands; NULL: nobody's. */
void sim_phys_pass(struct sim_memory *memory, struct sim_phys *phys,
		   struct sim_client *client);
/* Whether the device and the client's driver-native limit have that many bytes left. */
bool sim_memory_fits(const struct sim_memory *memory, unsigned device,
		     struct sim_client *client, uint64_t bytes);
/* Whether the client may pin that many bytes of host memory more. */
bool sim_memory_may_pin(const struct sim_memory *memory, struct sim_client *client,
			uint64_t bytes);

/* memory_chunk.c: places a small block in a chunk of its context; fills phys and *va. */
bool sim_chunk_place(struct sim_memory *memory, struct sim_client *client, uint32_t ctx,
		     struct sim_phys *phys, uint64_t align, uint64_t *va);
/* Takes the block out of its chunk, which goes when it is empty. */
void sim_chunk_leave(struct sim_memory *memory, struct sim_phys *phys);

/* Lazily backed private memory of this process, or NULL. */
unsigned char *sim_host_map(uint64_t bytes);

#endif
