/*
 * zero.h - memory in zero-cost mode: no device process, an arena that this process maps
 * itself, and an allocator quick enough to measure what is put on top of it.
 *
 * Knows: slots of 512 bytes to 2 MiB cut from blocks of 2 MiB and cached per thread, and
 * runs of whole blocks. Memory is counted by whole blocks, against the size of the device.
 * Refuses to know: CUDA.
 */
#ifndef SIM_ZERO_H
#define SIM_ZERO_H

#include "driver/ranges.h"

#define SIM_ZERO_SLOT_BYTES 512u
#define SIM_ZERO_SMALL (2ull << 20) /* the largest slot, and the size of a block */

/* A slot for a plain allocation of 1..SIM_ZERO_SMALL bytes of the context, or 0 when the
 * device is full. Any thread; takes no lock while the thread's cache serves. */
uint64_t sim_zero_alloc(struct sim_context *ctx, uint64_t bytes);

/* Gives a slot back. False if the address is not a live slot (other runs are not touched). */
bool sim_zero_free(uint64_t addr);

/* Whole blocks for anything else. device -1: host memory or addresses, not counted.
 * Returns 0 when full. */
uint64_t sim_zero_alloc_run(int device, uint64_t bytes, uint64_t align);
/* False if the address does not begin a run. */
bool sim_zero_free_run(uint64_t addr);

/* Counts bytes that have no addresses (physical memory of cuMemCreate). False when full. */
bool sim_zero_charge(unsigned device, uint64_t bytes);
void sim_zero_refund(unsigned device, uint64_t bytes);

/* The live slot that holds an address. */
bool sim_zero_find(uint64_t addr, struct sim_alloc *alloc);

/* Frees all slots of a context that dies. */
void sim_zero_drop(struct sim_context *ctx);

uint64_t sim_zero_used(unsigned device);

#endif
