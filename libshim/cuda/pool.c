/*
 * pool.c - which pools there are, and allocating from them. See pool.h.
 *
 * What a pool gives back is in pool_release.c.
 */
#include "cuda/pool_private.h"

#include <errno.h>

#include "cuda/pages.h"
#include "cuda/room.h"

/* What drivers were seen to grow pools by; smaller until a pool shows that it is less. */
#define GRANULE_BYTES (UINT64_C(32) << 20)
#define GRANULE_MAX_BYTES (UINT64_C(1) << 30)

/* ---- the table ---- */

struct gsh_pools *gsh_pool_table(void)
{
	/* Pairs with the exchange in gsh_pages_once(). */
	return gsh_load_acquire(&gsh_process->pools);
}

static struct gsh_pools *table(void)
{
	return gsh_pages_once((void **)&gsh_process->pools, sizeof(struct gsh_pools));
}

struct gsh_pool *gsh_pool_at(struct gsh_pools *pools, uint32_t i)
{
	/* Pairs with the release in take_entry(). */
	return gsh_load_acquire(&pools->blocks[i / GSH_POOL_BLOCK]) + i % GSH_POOL_BLOCK;
}

/* Without the table's lock: finds what was there before the call. */
static struct gsh_pool *find(struct gsh_pools *pools, uint64_t handle)
{
	uint32_t used = gsh_load_acquire(&pools->used);

	for (uint32_t i = 0; i < used; i++) {
		struct gsh_pool *pool = gsh_pool_at(pools, i);

		if (gsh_load_acquire(&pool->handle) == handle)
			return pool;
	}
	return NULL;
}

struct gsh_pool *gsh_pool_find(uint64_t handle)
{
	struct gsh_pools *pools = gsh_pool_table();

	return pools && handle ? find(pools, handle) : NULL;
}

static bool is_free(struct gsh_pool *pool)
{
	bool taken;

	gsh_lock(&pool->growth.lock);
	taken = pool->state != GSH_POOL_NONE;
	if (!taken)
		pool->state = GSH_POOL_COMING;
	gsh_unlock(&pool->growth.lock);
	return !taken;
}

/* Under the table's lock. */
static struct gsh_pool *take_entry(struct gsh_pools *pools)
{
	uint32_t used = gsh_load_relaxed(&pools->used);
	struct gsh_pool *block;

	for (uint32_t i = 0; i < used; i++)
		if (is_free(gsh_pool_at(pools, i)))
			return gsh_pool_at(pools, i);
	if (used == GSH_POOL_BLOCK * GSH_POOL_BLOCKS)
		return NULL;
	if (used % GSH_POOL_BLOCK == 0) {
		block = gsh_pages_map(GSH_POOL_BLOCK * sizeof(*block));
		if (!block)
			return NULL;
		gsh_store_release(&pools->blocks[used / GSH_POOL_BLOCK], block);
	}
	gsh_pool_at(pools, used)->state = GSH_POOL_COMING;
	gsh_store_release(&pools->used, used + 1);
	return gsh_pool_at(pools, used);
}

struct gsh_pool *gsh_pool_prepare(void)
{
	struct gsh_pools *pools = table();
	struct gsh_pool *pool;

	if (!pools)
		return NULL;
	gsh_lock(&pools->lock);
	pool = take_entry(pools);
	gsh_unlock(&pools->lock);
	return pool;
}

void gsh_pool_not_made(struct gsh_pool *pool)
{
	gsh_lock(&pool->growth.lock);
	pool->state = GSH_POOL_NONE;
	gsh_unlock(&pool->growth.lock);
}

void gsh_pool_made(struct gsh_pool *pool, uint64_t handle, int row, bool imported,
		   uint64_t max_bytes)
{
	gsh_lock(&pool->growth.lock);
	pool->growth.row = row;
	pool->growth.kind = GPUSHIM_KIND_POOL;
	pool->imported = imported;
	pool->granule_bytes = GRANULE_BYTES;
	/* Near its largest size a pool grows by less than its granule. */
	pool->learns = max_bytes == 0;
	gsh_store_relaxed(&pool->tight, 0);
	pool->outstanding = 0;
	pool->space = (struct gsh_space){ 0 };
	pool->state = GSH_POOL_ALIVE;
	/* Pairs with the loads of those who look for it: all above is there. */
	gsh_store_release(&pool->handle, handle);
	gsh_unlock(&pool->growth.lock);
}

struct gsh_pool *gsh_pool_adopt(uint64_t handle, int row)
{
	struct gsh_pools *pools = table();
	struct gsh_pool *pool;

	if (!pools)
		return NULL;
	pool = find(pools, handle);
	if (gsh_likely(pool))
		return pool;
	gsh_lock(&pools->lock);
	pool = find(pools, handle);
	if (!pool) {
		pool = take_entry(pools);
		if (pool)
			gsh_pool_made(pool, handle, row, false, 0);
	}
	gsh_unlock(&pools->lock);
	return pool;
}

void gsh_pool_move(struct gsh_pool *pool, int row)
{
	gsh_lock(&pool->growth.lock);
	if (pool->growth.row != row) {
		gsh_growth_clear(&pool->growth);
		pool->growth.row = row;
		gsh_pool_settle(pool);
	}
	gsh_unlock(&pool->growth.lock);
}

/* ---- what it holds ---- */

/* Under the pool's lock. Asks the driver; false: the pool is not alive, or it does not say. */
static bool read_reserved(const struct gsh_pool *pool, uint64_t *reserved)
{
	cuuint64_t value = 0;

	if (pool->state != GSH_POOL_ALIVE || pool->imported ||
	    !gsh_driver.call_cuMemPoolGetAttribute ||
	    gsh_driver.call_cuMemPoolGetAttribute((CUmemoryPool)(uintptr_t)pool->handle,
						  CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT,
						  &value) != CUDA_SUCCESS)
		return false;
	*reserved = value;
	return true;
}

/* The driver did not say: what it has released or added meanwhile will never be known. */
static void lose_sight(struct gsh_pool *pool)
{
	gsh_space_forget(&pool->space);
	pool->growth.reserved = UINT64_MAX; /* which nothing seems to have grown from */
}

uint64_t gsh_pool_settle(struct gsh_pool *pool)
{
	uint64_t before = pool->growth.charged, held = pool->growth.reserved, reserved;

	if (!read_reserved(pool, &reserved)) {
		lose_sight(pool);
		return 0;
	}
	gsh_growth_correct(&pool->growth, reserved);
	if (reserved < held)
		gsh_space_forget(&pool->space);
	return pool->growth.charged < before ? before - pool->growth.charged : 0;
}

/* ---- the granule ---- */

static uint64_t rounded_up(uint64_t bytes, uint64_t granule)
{
	return (bytes + granule - 1) / granule * granule;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/*
 * What a pool holds is a multiple of its granule; but where the device is nearly full,
 * drivers make do with less than a granule, which teaches nothing. Under the pool's lock.
 */
static void learn_granule(struct gsh_pool *pool)
{
	uint64_t granule = common_divisor(pool->growth.reserved, pool->granule_bytes);
	size_t free_bytes, total_bytes;

	if (!pool->learns || granule == pool->granule_bytes || pool->growth.row < 0 ||
	    gsh_device_row_current() != pool->growth.row || !gsh_driver.cuMemGetInfo_v2 ||
	    gsh_driver.cuMemGetInfo_v2(&free_bytes, &total_bytes) != CUDA_SUCCESS ||
	    free_bytes < 4 * GRANULE_BYTES)
		return;
	pool->granule_bytes = granule;
}

/* It has taken more than was thought. */
static void unlearn_granule(struct gsh_pool *pool)
{
	pool->learns = false;
	if (pool->granule_bytes < GRANULE_BYTES)
		pool->granule_bytes = GRANULE_BYTES;
	else if (pool->granule_bytes < GRANULE_MAX_BYTES)
		pool->granule_bytes *= 2;
}

/* ---- allocating ---- */

/* Begins a call that fits into what is free, alone. */
static bool cover(struct gsh_pool *pool, uint64_t bytes, uint64_t need, uint64_t stream,
		  struct gsh_growth_call *call)
{
	bool fits;

	gsh_lock(&pool->growth.lock);
	fits = pool->state == GSH_POOL_ALIVE && pool->growth.calls == 0 &&
	       gsh_space_fits(&pool->space, bytes, stream);
	if (fits)
		gsh_growth_cover(&pool->growth, need, call);
	gsh_unlock(&pool->growth.lock);
	return fits;
}

CUresult gsh_pool_begin(struct gsh_pool *pool, uint64_t bytes, uint64_t stream,
			struct gsh_growth_call *call)
{
	struct gsh_room room = { 0 };
	CUresult res;

	for (;;) {
		uint64_t need = rounded_up(bytes, gsh_load_relaxed(&pool->granule_bytes));
		bool tight = gsh_load_relaxed(&pool->tight);

		/* Where growing was refused last time, it is not tried first. */
		if (tight && cover(pool, bytes, need, stream, call))
			return CUDA_SUCCESS;
		res = gsh_growth_try(&pool->growth, need, call);
		gsh_store_relaxed(&pool->tight, res == CUDA_ERROR_OUT_OF_MEMORY);
		if (res != CUDA_ERROR_OUT_OF_MEMORY)
			return res;
		if (!tight && cover(pool, bytes, need, stream, call))
			return CUDA_SUCCESS;
		if (!gsh_room_make(&room, pool->growth.row))
			break;
	}
	gsh_charge_deny(bytes);
	return res;
}

/* Under the lock: an allocation was put at an address, and `before` was reserved. */
static void note_place(struct gsh_pool *pool, const struct gsh_growth_call *call,
		       bool alone, uint64_t before, uint64_t address, uint64_t bytes)
{
	struct gsh_space *space = &pool->space;
	bool known = gsh_space_contains(space, address, bytes);
	bool grew = alone && !call->covered &&
		    pool->growth.reserved == before + call->need;

	/* If it lies neither where something was free nor in what was added just now, what
	 * was free may have gone back to the device, unseen. */
	if (pool->growth.reserved < before || (!known && !grew))
		gsh_space_forget(space);
	gsh_space_taken(space, address, bytes);
	if (grew && !known)
		gsh_space_rest(space, address, bytes, call->need);
}

static void enter(struct gsh_pool *pool, uint64_t address, uint64_t bytes)
{
	const struct gsh_alloc alloc = {
		.handle = address,
		.bytes = bytes,
		.context = (uintptr_t)pool,
		.class = GSH_ALLOC_POINTER,
		.kind = GPUSHIM_KIND_POOL,
	};
	struct gsh_pool *old_pool;
	struct gsh_alloc old;

	if (address == 0)
		return;
	gsh_lock(&pool->growth.lock);
	pool->outstanding++;
	gsh_unlock(&pool->growth.lock);
	/* Without an entry it counts as outstanding for ever: a destroyed pool stays charged. */
	if (gsh_allocs_add(&gsh_pool_table()->allocs, &alloc, &old) != -EEXIST)
		return;
	/* Freed in a way that was not seen. */
	old_pool = (struct gsh_pool *)(uintptr_t)old.context;
	if (!old.exported) {
		gsh_lock(&old_pool->growth.lock);
		old_pool->outstanding--;
		gsh_unlock(&old_pool->growth.lock);
	}
}

CUresult gsh_pool_end(struct gsh_pool *pool, const struct gsh_growth_call *call,
		      CUresult res, uint64_t address, uint64_t bytes)
{
	enum gsh_growth_verdict verdict = GSH_GROWTH_FINE;
	uint64_t before, reserved;
	bool alone;

	if (res == CUDA_SUCCESS)
		enter(pool, address, bytes);
	gsh_lock(&pool->growth.lock);
	before = pool->growth.reserved;
	alone = gsh_growth_finish(&pool->growth, call);
	if (read_reserved(pool, &reserved)) {
		verdict = gsh_growth_correct(&pool->growth, reserved);
		if (res == CUDA_SUCCESS)
			note_place(pool, call, alone, before, address, bytes);
		else if (reserved < before)
			gsh_space_forget(&pool->space);
		if (gsh_unlikely(verdict != GSH_GROWTH_FINE))
			unlearn_granule(pool);
		else if (gsh_unlikely(reserved > before))
			learn_granule(pool);
	} else {
		lose_sight(pool);
	}
	gsh_unlock(&pool->growth.lock);
	return res == CUDA_SUCCESS && verdict == GSH_GROWTH_OVER
		       ? CUDA_ERROR_OUT_OF_MEMORY
		       : res;
}
