/*
 * pool_release.c - what pools give back: frees, synchronisation, trimming, destruction.
 *
 * See pool.h. A pool that was destroyed cannot be asked any more: it stays charged with what
 * it had until nothing of it is allocated and no free is waiting for its stream.
 */
#include "cuda/pool_private.h"

#include <errno.h>

#include "cuda/pages.h"
#include "cuda/share.h"

/* ---- destroying ---- */

/* Under the lock: a destroyed pool of which nothing is left is forgotten. */
static void bury(struct gsh_pool *pool)
{
	if (pool->state != GSH_POOL_DYING || pool->outstanding > 0 ||
	    pool->growth.calls > 0 || !gsh_space_settled(&pool->space))
		return;
	gsh_growth_clear(&pool->growth);
	pool->state = GSH_POOL_NONE;
}

void gsh_pool_destroy_begin(struct gsh_pool *pool)
{
	gsh_lock(&pool->growth.lock);
	gsh_pool_settle(pool);
	/* The driver may give the handle to another pool before it returns. */
	if (pool->state == GSH_POOL_ALIVE) {
		pool->state = GSH_POOL_DYING;
		gsh_store_release(&pool->handle, 0);
	}
	gsh_unlock(&pool->growth.lock);
}

void gsh_pool_destroy_end(struct gsh_pool *pool, uint64_t handle, bool gone)
{
	bool imported;

	gsh_lock(&pool->growth.lock);
	if (!gone) {
		pool->state = GSH_POOL_ALIVE;
		gsh_store_release(&pool->handle, handle);
	} else if (pool->growth.is_exported) {
		pool->state = GSH_POOL_LEFT;
	} else {
		bury(pool);
	}
	imported = pool->imported;
	gsh_unlock(&pool->growth.lock);
	if (gone && imported)
		gsh_share_import(GSH_SHARE_ALL, -1);
}

void gsh_pool_export(struct gsh_pool *pool)
{
	gsh_lock(&pool->growth.lock);
	gsh_growth_export(&pool->growth);
	gsh_unlock(&pool->growth.lock);
}

/* ---- freeing ---- */

int gsh_pool_enter_import(uint64_t address, int row)
{
	struct gsh_pools *pools = gsh_pages_once((void **)&gsh_process->pools,
						 sizeof(struct gsh_pools));
	struct gsh_alloc alloc = {
		.handle = address,
		.bytes = 1, /* times imported */
		.class = GSH_ALLOC_POINTER,
		.row = (uint16_t)row,
		.kind = GPUSHIM_KIND_POOL,
		.exported = 1,
	};
	struct gsh_alloc old;
	int error;

	if (!pools)
		return -ENOMEM;
	gsh_lock(&pools->lock);
	if (gsh_allocs_take(&pools->allocs, GSH_ALLOC_POINTER, address, &old))
		alloc.bytes += old.bytes;
	error = gsh_allocs_add(&pools->allocs, &alloc, &old);
	gsh_unlock(&pools->lock);
	return error;
}

void gsh_pool_free_begin(struct gsh_pool_free *release, uint64_t address)
{
	struct gsh_pools *pools = gsh_pool_table();
	struct gsh_alloc old;

	release->known = false;
	if (!pools || !address)
		return;
	gsh_lock(&pools->lock);
	release->known = gsh_allocs_take(&pools->allocs, GSH_ALLOC_POINTER, address,
					 &release->alloc);
	if (release->known && release->alloc.exported && release->alloc.bytes > 1) {
		release->alloc.bytes--;
		gsh_allocs_add(&pools->allocs, &release->alloc, &old);
	}
	gsh_unlock(&pools->lock);
	if (release->known && !release->alloc.exported) {
		struct gsh_pool *pool = (struct gsh_pool *)(uintptr_t)
						release->alloc.context;

		gsh_lock(&pool->growth.lock);
		gsh_space_free_begins(&pool->space, address, release->alloc.bytes);
		gsh_unlock(&pool->growth.lock);
	}
}

/* Nothing but its place has changed where the free has failed. */
static void end_in_pool(const struct gsh_alloc *alloc, bool gone, uint64_t stream,
			uint64_t context)
{
	struct gsh_pool *pool = (struct gsh_pool *)(uintptr_t)alloc->context;
	struct gsh_pools *pools = gsh_pool_table();
	struct gsh_freer freer = { .stream = stream, .context = context };

	gsh_lock(&pool->growth.lock);
	if (gone) {
		/* Pairs with the load before a wait. */
		freer.number = gsh_add_acq_rel(&pools->frees, 1) + 1;
		pool->outstanding--;
		pool->dirty = true;
	}
	gsh_space_freed(&pool->space, alloc->handle, &freer);
	bury(pool);
	gsh_unlock(&pool->growth.lock);
	if (gone)
		gsh_store_relaxed(&pools->dirty, 1);
}

void gsh_pool_free_end(const struct gsh_pool_free *release, bool gone, uint64_t stream,
		       uint64_t context)
{
	const struct gsh_alloc *alloc = &release->alloc;
	struct gsh_alloc old;

	if (!release->known)
		return;
	if (!alloc->exported) {
		if (!gone)
			gsh_allocs_add(&gsh_pool_table()->allocs, alloc, &old);
		end_in_pool(alloc, gone, stream, context);
	} else if (gone) {
		gsh_share_import(alloc->row, -1);
	} else {
		gsh_pool_enter_import(alloc->handle, alloc->row);
	}
}

/* ---- synchronising ---- */

void gsh_pools_synchronised(uint64_t stream, uint64_t context, uint64_t mark)
{
	struct gsh_pools *pools = gsh_pool_table();
	bool dirty = false;
	uint32_t used;

	if (!pools)
		return;
	used = gsh_load_acquire(&pools->used);
	/* Who frees from now on sets it again. */
	gsh_store_relaxed(&pools->dirty, 0);
	for (uint32_t i = 0; i < used; i++) {
		struct gsh_pool *pool = gsh_pool_at(pools, i);

		gsh_lock(&pool->growth.lock);
		if (pool->dirty) {
			gsh_space_synchronised(&pool->space, stream, context, mark);
			gsh_pool_settle(pool);
			bury(pool);
			pool->dirty = !gsh_space_settled(&pool->space);
			dirty |= pool->dirty;
		}
		gsh_unlock(&pool->growth.lock);
	}
	if (dirty)
		gsh_store_relaxed(&pools->dirty, 1);
}

void gsh_pools_stream_goes(CUstream stream)
{
	struct gsh_pools *pools = gsh_pool_table();
	uint32_t used;

	if (!pools || !stream)
		return;
	used = gsh_load_acquire(&pools->used);
	for (uint32_t i = 0; i < used; i++) {
		struct gsh_pool *pool = gsh_pool_at(pools, i);

		gsh_lock(&pool->growth.lock);
		gsh_space_stream_goes(&pool->space, (uintptr_t)stream);
		gsh_unlock(&pool->growth.lock);
	}
}

void gsh_pools_context_gone(uint64_t context, uint64_t mark)
{
	struct gsh_pools *pools = gsh_pool_table();
	uint32_t used;

	if (!pools)
		return;
	used = gsh_load_acquire(&pools->used);
	for (uint32_t i = 0; i < used; i++) {
		struct gsh_pool *pool = gsh_pool_at(pools, i);

		gsh_lock(&pool->growth.lock);
		gsh_space_synchronised(&pool->space, 0, context, mark);
		gsh_unlock(&pool->growth.lock);
	}
}

/* ---- trimming ---- */

CUresult gsh_pool_trim_to(struct gsh_pool *pool, uint64_t handle, size_t keep_bytes)
{
	CUresult res;

	/* Also held while the driver is called, which waits for nothing: it keeps the pool
	 * from being destroyed meanwhile. */
	gsh_lock(&pool->growth.lock);
	res = gsh_driver.cuMemPoolTrimTo((CUmemoryPool)(uintptr_t)handle, keep_bytes);
	gsh_pool_settle(pool);
	gsh_unlock(&pool->growth.lock);
	return res;
}

static uint64_t trim(struct gsh_pool *pool, int row)
{
	uint64_t refunded = 0;

	gsh_lock(&pool->growth.lock);
	if (pool->state == GSH_POOL_ALIVE && pool->growth.row == row && !pool->imported) {
		if (pool->growth.reserved > 0 && gsh_driver.cuMemPoolTrimTo) {
			gsh_driver.cuMemPoolTrimTo((CUmemoryPool)(uintptr_t)pool->handle,
						   0);
			gsh_add_relaxed(&gsh_process->tenant.ledger.own->trims, 1);
		}
		refunded = gsh_pool_settle(pool);
	}
	gsh_unlock(&pool->growth.lock);
	return refunded;
}

uint64_t gsh_pools_trim(int row)
{
	struct gsh_pools *pools = gsh_pool_table();
	uint64_t refunded = 0;
	uint32_t used;

	if (!pools)
		return 0;
	used = gsh_load_acquire(&pools->used);
	for (uint32_t i = 0; i < used; i++)
		refunded += trim(gsh_pool_at(pools, i), row);
	return refunded;
}

void gsh_pools_look(int row, struct gsh_activity *activity)
{
	struct gsh_pools *pools = gsh_pool_table();
	uint32_t used;

	if (!pools)
		return;
	used = gsh_load_acquire(&pools->used);
	for (uint32_t i = 0; i < used; i++) {
		struct gsh_pool *pool = gsh_pool_at(pools, i);

		gsh_lock(&pool->growth.lock);
		if (pool->growth.row == row) {
			gsh_growth_look(&pool->growth, activity);
			activity->frees |= !gsh_space_settled(&pool->space);
		}
		gsh_unlock(&pool->growth.lock);
	}
}
