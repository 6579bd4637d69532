/*
 * pool.h - stream-ordered memory pools, and what they hold of the device.
 *
 * A pool is charged what it has reserved, not what the program has of it: freeing in stream
 * order gives nothing back to the device until a synchronisation or a trim does. Reserved
 * bytes are read again after each use.
 *
 * An allocation may make the pool grow by the request, rounded up to the granule in which
 * the driver was seen to grow; so much is charged before the call. If the quota has no room
 * for that, the call is made all the same where the request is certain to fit into what is
 * free in the pool (pool_space.h); else room is made, and at last it is refused.
 *
 * Refuses to know: streams and captures (hook_pool.c), the memory of graphs (graph.h).
 *
 * ACTIVE mode only. Any thread. A pool belongs to the table; its entry stays valid while the
 * program may rightly use the pool.
 */
#ifndef GSH_CUDA_POOL_H
#define GSH_CUDA_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda/growth.h"
#include "cuda/hook.h"
#include "cuda/pool_space.h"

enum gsh_pool_state {
	GSH_POOL_NONE = 0, /* the entry is free */
	GSH_POOL_COMING,   /* the entry is kept for a pool that is being made */
	GSH_POOL_ALIVE,
	GSH_POOL_DYING, /* destroyed; what it holds goes with its last allocation */
	GSH_POOL_LEFT,	/* destroyed, and exported: others may keep what it held */
};

/* Rows that are none. */
enum {
	GSH_POOL_NOT_CHARGED = -1, /* of the host, or imported */
	GSH_POOL_ROW_UNKNOWN = -2, /* managed: that of its first allocation */
};

struct gsh_pool {
	struct gsh_growth growth; /* its lock guards all below, too */
	uint64_t handle;	  /* CUmemoryPool; atomic */
	uint32_t state;		  /* enum gsh_pool_state */
	bool imported;
	bool learns; /* the granule */
	bool dirty;  /* something was freed: a synchronisation may release memory */
	uint64_t granule_bytes;
	uint64_t outstanding; /* allocations */
	/* Atomic; the last growth did not fit into the quota. Not beside what the lock
	 * guards, which is read in whole words. */
	uint64_t tight;
	struct gsh_space space;
};

enum { GSH_POOL_BLOCK = 16, GSH_POOL_BLOCKS = 256 };

struct gsh_pools {
	struct gsh_lock lock; /* guards adding; before the locks of pools */
	uint32_t used;	      /* atomic; entries below were used at some time */
	uint32_t dirty;	      /* atomic; some pool may be */
	uint64_t frees;	      /* atomic; number of the last */
	struct gsh_pool *blocks[GSH_POOL_BLOCKS]; /* atomic */
	/* By address; context: the struct gsh_pool. Apart from the process' other allocations,
	 * which contexts take along. */
	struct gsh_allocs allocs;
};

/* ---- making and ending ---- */

/*
 * A stream's number; per_thread: NULL is the calling thread's own. Those without a handle
 * are the current context's, which is asked for. pool_stream.c
 */
uint64_t gsh_pool_stream(CUstream stream, bool per_thread);

/* NULL: not known. */
struct gsh_pool *gsh_pool_find(uint64_t handle);
/* Known from now on, whoever made it. NULL: no memory. */
struct gsh_pool *gsh_pool_adopt(uint64_t handle, int row);
/* It turns out to lie on another device than was thought, or on none. */
void gsh_pool_move(struct gsh_pool *pool, int row);
/* Before the driver makes one: room for its entry, or NULL; afterwards one of the two. */
struct gsh_pool *gsh_pool_prepare(void);
void gsh_pool_made(struct gsh_pool *pool, uint64_t handle, int row, bool imported,
		   uint64_t max_bytes);
void gsh_pool_not_made(struct gsh_pool *pool);
/* Around the driver's cuMemPoolDestroy. */
void gsh_pool_destroy_begin(struct gsh_pool *pool);
void gsh_pool_destroy_end(struct gsh_pool *pool, uint64_t handle, bool gone);
/* Other processes may have its memory from now on. */
void gsh_pool_export(struct gsh_pool *pool);

/* ---- allocating ---- */

/*
 * Before the driver is called. CUDA_SUCCESS, OUT_OF_MEMORY (counted as a denial),
 * NOT_PERMITTED. stream: as in pool_space.h.
 */
CUresult gsh_pool_begin(struct gsh_pool *pool, uint64_t bytes, uint64_t stream,
			struct gsh_growth_call *call);
/*
 * res: what the driver returned. Returns what the hook returns: OUT_OF_MEMORY instead of
 * success if the pool has taken more than the quota allows; then the hook frees it again.
 */
CUresult gsh_pool_end(struct gsh_pool *pool, const struct gsh_growth_call *call,
		      CUresult res, uint64_t address, uint64_t bytes);

/* ---- freeing ---- */

struct gsh_pool_free {
	struct gsh_alloc alloc;
	bool known; /* false: not of a pool; nothing was done */
};

/*
 * Before the driver is asked to free an address that is not in the map of allocations under
 * GSH_ALLOC_POINTER: it may be of a pool, own or imported. Afterwards the second, with
 * whether it is gone, and on which stream of which context it is freed (0, 0: at once, as by
 * cuMemFree).
 */
void gsh_pool_free_begin(struct gsh_pool_free *release, uint64_t address);
void gsh_pool_free_end(const struct gsh_pool_free *release, bool gone, uint64_t stream,
		       uint64_t context);
/* An address of an imported pool: has to be freed, and takes nothing. -ENOMEM or 0. */
int gsh_pool_enter_import(uint64_t address, int row);

/* ---- giving back ---- */

/* Before waiting for something: what is freed later has not been waited for. A load or two. */
static inline uint64_t gsh_pools_mark(void)
{
	const struct gsh_process *process = gsh_load_acquire(&gsh_process);
	struct gsh_pools *pools = process ? gsh_load_acquire(&process->pools) : NULL;

	/* Pairs with the addition of a free that is over. */
	return gsh_unlikely(pools) ? gsh_load_acquire(&pools->frees) : 0;
}

/* Whether a synchronisation may have changed something. Two loads. */
static inline bool gsh_pools_dirty(void)
{
	struct gsh_pools *pools = gsh_load_acquire(&gsh_process->pools);

	return gsh_unlikely(pools && gsh_load_relaxed(&pools->dirty));
}

/*
 * Waited for: all that was freed up to mark on a stream, or on the streams of a context
 * (0, 0: on streams that are not known). Reads again what pools hold.
 */
void gsh_pools_synchronised(uint64_t stream, uint64_t context, uint64_t mark);
/* Before the driver destroys a stream, and may give its handle to another. */
void gsh_pools_stream_goes(CUstream stream);
/*
 * A context has gone with its streams: what was freed on them up to mark is over. Releases
 * nothing by itself: the next time that somebody waits for something does.
 */
void gsh_pools_context_gone(uint64_t context, uint64_t mark);

/* Trims all pools of the device. Returns how many bytes were refunded. */
uint64_t gsh_pools_trim(int row);
/* As the program says; handle: the pool's. */
CUresult gsh_pool_trim_to(struct gsh_pool *pool, uint64_t handle, size_t keep_bytes);
/* Adds what goes on in the pools of a device. */
void gsh_pools_look(int row, struct gsh_activity *activity);

#endif
