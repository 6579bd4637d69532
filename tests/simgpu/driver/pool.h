/*
 * pool.h - memory pools, as their files share them.
 *
 * Knows: chunks taken from the device process and the blocks they are divided into. A free
 * block remembers the work that may still use it, as a stream slot and a sequence: that
 * stream may have it again at once, others when the work is done. Pools imported from another
 * process have chunks of that process, and in them no blocks but those that were imported.
 * Refuses to know: what is accounted where (the device process counts chunks).
 *
 * All of it is under sim_pool_lock, which is held across requests to the device process but
 * never while waiting for work; it comes before the locks of driver.h.
 */
#ifndef SIM_POOL_H
#define SIM_POOL_H

#include "driver/driver.h"
#include "driver/ranges.h"

#define SIM_POOL_UNIT_BYTES 512u

struct sim_pool_chunk;

struct sim_pool_block {
	uint64_t addr, bytes;
	struct sim_pool_chunk *chunk;
	struct sim_pool_block *prev, *next; /* neighbours in the chunk */
	/* Imported: the same allocation imported before and not freed since. Of the two only
	 * that one has bytes. */
	struct sim_pool_block *again;
	bool used;
	uint32_t slot; /* free: the stream of the free ... */
	uint64_t seq;  /* ... and when it is done there; 0: done */
};

struct sim_pool_chunk {
	uint64_t addr, bytes;
	uint64_t used_bytes;
	uint64_t id; /* imported: the device process's, else 0 */
	struct sim_pool *pool;
	struct sim_pool_block *first;
	struct sim_pool_chunk *next;
};

struct sim_pool_handle { /* CUmemoryPool */
	struct sim_object object;
	struct sim_pool *pool;
};

struct sim_pool {
	struct sim_pool_handle
		*handle; /* NULL: destroyed, goes with its last allocation */
	CUmemPoolProps props;
	unsigned device; /* of host pools: 0 */
	bool is_default;
	uint32_t exporter;    /* imported: the client id of its process, else 0 */
	uint64_t number;      /* by which processes know it; 0: was never exported */
	uint64_t max_bytes;   /* 0: no limit */
	uint64_t allocations; /* outstanding */
	uint64_t reserved, reserved_high, used, used_high;
	uint64_t threshold;
	int reuse[4]; /* by attribute: 1 event, 2 opportunistic, 3 internal */
	unsigned char access[SIM_MAX_LOCAL_DEVICES]; /* CUmemAccess_flags */
	struct sim_pool_chunk *chunks;
	struct sim_pool *next; /* all pools */
};

extern pthread_mutex_t sim_pool_lock;

/* What its chunks are to the device process. */
static inline enum sim_mem_kind sim_pool_kind(const struct sim_pool *pool)
{
	return pool->props.location.type == CU_MEM_LOCATION_TYPE_DEVICE ? SIM_MEM_POOL
									: SIM_MEM_HOST;
}

/* Under the lock, all of these. NULL / CUDA_ERROR_INVALID_VALUE for what is no pool. */
struct sim_pool *sim_pool_new(const CUmemPoolProps *props);
/* What may be shared keeps its memory until it is destroyed, as the CUDA Programming Guide
 * says of pools for IPC: neither trimming nor the threshold releases any. */
static inline bool sim_pool_keeps_all(const struct sim_pool *pool)
{
	return pool->props.handleTypes != CU_MEM_HANDLE_TYPE_NONE;
}
CUresult sim_pool_get(CUmemoryPool handle, struct sim_pool **pool);
/* The device's default pool, made when first asked for, and the one in use. */
struct sim_pool *sim_pool_default(unsigned device);
struct sim_pool *sim_pool_current(unsigned device);
void sim_pool_set_current(unsigned device, struct sim_pool *pool);
void sim_pool_destroy(struct sim_pool *pool);
/* A block for `bytes`, entered in the ranges. The stream may use what it freed itself. */
CUresult sim_pool_alloc(struct sim_pool *pool, uint64_t bytes,
			const struct sim_stream *stream, CUdeviceptr *addr);
/* Gives wholly free chunks back while at least keep_bytes stay. */
void sim_pool_trim(struct sim_pool *pool, uint64_t keep_bytes);

/* Takes the lock itself. Frees the allocation at an address, out of the ranges too. Its block may be used again
 * after that point of that stream (seq 0: at once). A destroyed pool goes with its last
 * block. CUDA_ERROR_INVALID_VALUE if no pool has an allocation there. */
CUresult sim_pool_free(CUdeviceptr addr, uint32_t slot, uint64_t seq);

#endif
