/*
 * memory.h - what the memory families share beyond driver.h.
 *
 * Knows: how memory is had from the device process (or the zero-cost arena) and mapped here,
 * and which family frees what. Refuses to know: each family's own state.
 */
#ifndef SIM_DRIVER_MEMORY_H
#define SIM_DRIVER_MEMORY_H

#include "driver/driver.h"
#include "driver/ranges.h"

/* Like sim_mem_alloc() and sim_mem_free() without an entry in the ranges: for memory that
 * the application has no address of (staging buffers, pool chunks). raw_free is told kind
 * and bytes, as they were given to raw_alloc. */
CUresult sim_raw_alloc(struct sim_context *ctx, unsigned device, uint64_t bytes,
		       enum sim_mem_kind kind, uint64_t align, uint64_t *addr,
		       uint64_t *reserved_bytes);
CUresult sim_raw_free(uint64_t addr, uint64_t bytes, enum sim_mem_kind kind);

/* Allocates what `alloc` describes (ctx, device, bytes, kind, origin, flags), fills its base
 * and enters it in the ranges. */
CUresult sim_alloc_new(struct sim_alloc *alloc, uint64_t align, uint64_t *reserved_bytes);

/* cuMemFree of memory that other families made. No locks held, no implicit wait for the
 * streams: as cuda.h says of stream-ordered memory. */
CUresult sim_pool_free_now(const struct sim_alloc *alloc);

/* cuMemHostAlloc and the two of its kind. */
#define SIM_HOST_FLAGS                                          \
	(CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | \
	 CU_MEMHOSTALLOC_WRITECOMBINED)

#endif
