/*
 * pool_share.c - memory pools of one process used by another.
 *
 * Knows: descriptors of pools, what names an allocation to another process, and the chunks
 * and allocations that were imported. Refuses to know: whose the memory is; the device
 * process does, which leaves it with its exporter and keeps it while anyone has it mapped.
 * There is none of this in zero-cost mode.
 *
 * An allocation may be imported several times: it has the same address each time, and goes
 * with the last free. A chunk stays mapped until its imported pool is destroyed.
 */
#include "driver/pool.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "driver/client.h"
#include "driver/visible.h"

/* What CUmemPoolPtrExportData holds. */
struct share {
	uint64_t chunk[4]; /* what IPC_GET says of it: the first is its id */
	uint64_t pool;	   /* its number in the process of the third */
	uint64_t offset, bytes;
	uint64_t none;
};
_Static_assert(sizeof(struct share) == sizeof(CUmemPoolPtrExportData),
	       "the data is as large as cuda.h says");

/* ---- pools ---- */

static CUresult export_pool(struct sim_pool *pool, int *fd)
{
	static uint64_t last; /* under the lock */

	if (pool->exporter ||
	    pool->props.handleTypes != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		return CUDA_ERROR_INVALID_VALUE;
	if (sim.zero_cost)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (pool->number == 0)
		pool->number = ++last;
	return sim_rpc(SIM_RPC_POOL_EXPORT, (uint64_t[6]){ pool->device, pool->number },
		       NULL, -1, fd);
}

SIM_EXPORT CUresult cuMemPoolExportToShareableHandle(void *handle_out, CUmemoryPool pool,
						     CUmemAllocationHandleType handleType,
						     unsigned long long flags)
{
	struct sim_pool *found;
	int fd = -1;
	CUresult res = sim_enter(SIM_FN_cuMemPoolExportToShareableHandle);

	if (res != CUDA_SUCCESS)
		return res;
	if (!handle_out || flags != 0 ||
	    handleType != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_pool_lock);
	res = sim_pool_get(pool, &found);
	if (res == CUDA_SUCCESS)
		res = export_pool(found, &fd);
	pthread_mutex_unlock(&sim_pool_lock);
	if (res == CUDA_SUCCESS)
		memcpy(handle_out, &fd, sizeof(fd));
	return res;
}

/* v: the answer to POOL_IMPORT. */
static struct sim_pool *enter_pool(const uint64_t v[6])
{
	const bool hidden = v[0] == SIM_HIDDEN;
	CUmemPoolProps props = {
		.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
		.handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
		.location = { CU_MEM_LOCATION_TYPE_DEVICE, hidden ? 0 : (int)v[0] },
	};
	struct sim_pool *pool = sim_pool_new(&props);

	if (!pool)
		return NULL;
	pool->exporter = (uint32_t)v[1];
	pool->number = v[2];
	if (hidden) {
		/* The first device stands for it where there must be one; it has no access. */
		pool->props.location.id = CU_DEVICE_INVALID;
		pool->access[0] = CU_MEM_ACCESS_FLAGS_PROT_NONE;
	}
	return pool;
}

SIM_EXPORT CUresult cuMemPoolImportFromShareableHandle(
	CUmemoryPool *pool_out, void *handle, CUmemAllocationHandleType handleType,
	unsigned long long flags)
{
	const int fd = (int)(intptr_t)handle;
	struct sim_pool *pool;
	uint64_t v[6];
	CUresult res = sim_enter(SIM_FN_cuMemPoolImportFromShareableHandle);

	if (res != CUDA_SUCCESS)
		return res;
	if (handleType == CU_MEM_HANDLE_TYPE_FABRIC)
		return CUDA_ERROR_NOT_PERMITTED; /* no IMEX channel */
	if (!pool_out || flags != 0 ||
	    handleType != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR ||
	    fcntl(fd, F_GETFD) < 0)
		return CUDA_ERROR_INVALID_VALUE;
	if (sim.zero_cost)
		return CUDA_ERROR_NOT_SUPPORTED;
	res = sim_rpc(SIM_RPC_POOL_IMPORT, NULL, v, fd, NULL);
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_pool_lock);
	pool = enter_pool(v);
	if (pool)
		*pool_out = (CUmemoryPool)pool->handle;
	pthread_mutex_unlock(&sim_pool_lock);
	return pool ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* ---- allocations ---- */

static CUresult describe(CUdeviceptr addr, struct share *share)
{
	const struct sim_pool_block *block;
	struct sim_alloc range;
	uint64_t v[6];
	CUresult res;

	if (!sim_ranges_find(addr, &range) || range.base != addr ||
	    range.origin != SIM_FROM_POOL)
		return CUDA_ERROR_INVALID_VALUE;
	block = range.owner;
	if (block->chunk->pool->exporter || block->chunk->pool->number == 0)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_rpc(SIM_RPC_IPC_GET, (uint64_t[6]){ block->chunk->addr }, v, -1, NULL);
	if (res != CUDA_SUCCESS)
		return res;
	*share = (struct share){
		.chunk = { v[0], v[1], v[2], v[3] },
		.pool = block->chunk->pool->number,
		.offset = addr - block->chunk->addr,
		.bytes = range.bytes,
	};
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemPoolExportPointer(CUmemPoolPtrExportData *shareData_out,
					   CUdeviceptr ptr)
{
	struct share share;
	CUresult res = sim_enter(SIM_FN_cuMemPoolExportPointer);

	if (res != CUDA_SUCCESS)
		return res;
	if (!shareData_out)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_pool_lock);
	res = describe(ptr, &share);
	pthread_mutex_unlock(&sim_pool_lock);
	if (res == CUDA_SUCCESS)
		memcpy(shareData_out->reserved, &share, sizeof(share));
	return res;
}

/* The chunk, mapped here with the first of its allocations. */
static CUresult open_chunk(struct sim_pool *pool, const struct share *share,
			   struct sim_pool_chunk **out)
{
	uint64_t a[6] = { share->chunk[0], share->chunk[1], share->chunk[2],
			  share->chunk[3] };
	struct sim_pool_chunk *chunk;
	uint64_t v[6];
	CUresult res;

	for (chunk = pool->chunks; chunk; chunk = chunk->next) {
		if (chunk->id == share->chunk[0]) {
			*out = chunk;
			return CUDA_SUCCESS;
		}
	}
	chunk = calloc(1, sizeof(*chunk));
	if (!chunk)
		return CUDA_ERROR_OUT_OF_MEMORY;
	res = sim_rpc(SIM_RPC_IPC_OPEN, a, v, -1, NULL);
	if (res != CUDA_SUCCESS) {
		free(chunk);
		/* Of handles, this call knows none. */
		return res == CUDA_ERROR_INVALID_HANDLE ? CUDA_ERROR_INVALID_VALUE : res;
	}
	chunk->id = share->chunk[0];
	chunk->addr = v[0];
	chunk->bytes = v[1];
	chunk->pool = pool;
	chunk->next = pool->chunks;
	pool->chunks = chunk;
	pool->reserved += chunk->bytes;
	if (pool->reserved > pool->reserved_high)
		pool->reserved_high = pool->reserved;
	*out = chunk;
	return CUDA_SUCCESS;
}

/* One that is free and whose work is done, or a new one. */
static struct sim_pool_block *spare_block(struct sim_pool_chunk *chunk)
{
	struct sim_pool_block *block;

	for (block = chunk->first; block; block = block->next)
		if (!block->used &&
		    (block->seq == 0 || sim_slot_done(block->slot, block->seq)))
			return block;
	block = calloc(1, sizeof(*block));
	if (block) {
		block->chunk = chunk;
		block->next = chunk->first;
		chunk->first = block;
	}
	return block;
}

static unsigned shown_device(const struct sim_pool *pool)
{
	struct sim_context *ctx = sim_current();

	/* Of a device that this process does not see, it sees the one it uses. */
	return pool->props.location.id == CU_DEVICE_INVALID && ctx ? ctx->device
								   : pool->device;
}

static CUresult enter_block(struct sim_pool_chunk *chunk, const struct share *share,
			    CUdeviceptr *addr)
{
	struct sim_pool *pool = chunk->pool;
	struct sim_pool_block *block;
	struct sim_alloc range;

	if (share->bytes == 0 || share->bytes > chunk->bytes ||
	    share->offset > chunk->bytes - share->bytes ||
	    share->offset % SIM_POOL_UNIT_BYTES)
		return CUDA_ERROR_INVALID_VALUE;
	block = spare_block(chunk);
	if (!block)
		return CUDA_ERROR_OUT_OF_MEMORY;
	block->addr = chunk->addr + share->offset;
	block->seq = 0;
	block->again = NULL;
	block->bytes = 0;
	if (sim_ranges_overlap(block->addr, share->bytes, &range)) {
		/* What it overlaps and is not must have been freed by its exporter. */
		if (range.base != block->addr || range.bytes != share->bytes)
			return CUDA_ERROR_INVALID_VALUE;
		block->again = range.owner;
		range.owner = block;
		sim_ranges_update(&range);
	} else {
		range = (struct sim_alloc){
			.base = block->addr,
			.bytes = share->bytes,
			.origin = SIM_FROM_POOL,
			.kind = SIM_MEM_POOL,
			.device = shown_device(pool),
			.handle_types = (unsigned)pool->props.handleTypes,
			.pool = (uintptr_t)pool->handle,
			.owner = block,
		};
		if (sim_ranges_add(&range) != 0)
			return CUDA_ERROR_OUT_OF_MEMORY;
		block->bytes = (share->bytes + SIM_POOL_UNIT_BYTES - 1) /
			       SIM_POOL_UNIT_BYTES * SIM_POOL_UNIT_BYTES;
	}
	block->used = true;
	chunk->used_bytes += block->bytes;
	pool->allocations++;
	pool->used += block->bytes;
	if (pool->used > pool->used_high)
		pool->used_high = pool->used;
	*addr = block->addr;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemPoolImportPointer(CUdeviceptr *ptr_out, CUmemoryPool pool,
					   CUmemPoolPtrExportData *shareData)
{
	struct sim_pool *found;
	struct sim_pool_chunk *chunk;
	struct share share;
	CUresult res = sim_enter(SIM_FN_cuMemPoolImportPointer);

	if (res != CUDA_SUCCESS)
		return res;
	if (!ptr_out || !shareData)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&share, shareData->reserved, sizeof(share));
	pthread_mutex_lock(&sim_pool_lock);
	res = sim_pool_get(pool, &found);
	if (res == CUDA_SUCCESS &&
	    (!found->exporter || found->exporter != share.chunk[2] ||
	     found->number != share.pool || share.none != 0))
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		res = open_chunk(found, &share, &chunk);
	if (res == CUDA_SUCCESS)
		res = enter_block(chunk, &share, ptr_out);
	pthread_mutex_unlock(&sim_pool_lock);
	return res;
}
