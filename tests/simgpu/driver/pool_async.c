/*
 * pool_async.c - allocating and freeing in the order of a stream.
 *
 * Knows: captures, and which family an address given to cuMemFreeAsync belongs to. Refuses
 * to know: how pools place blocks (pool.c).
 *
 * cuMemFreeAsync also takes memory of cuMemAlloc: cuda.h does not say that it would not. It
 * then waits for the stream and frees at once.
 */
#include "driver/pool.h"

#include "driver/capture.h"
#include "driver/graph.h"
#include "driver/memory.h"
#include "driver/zero.h"

static CUresult alloc_async(enum sim_fn fn, bool per_thread, CUdeviceptr *dptr,
			    size_t bytes, CUmemoryPool handle, bool from_pool,
			    CUstream hstream)
{
	struct sim_stream *stream;
	struct sim_pool *pool;
	unsigned device = 0;
	bool captures, on_host = false;
	CUresult res = sim_enter(fn);

	if (res == CUDA_SUCCESS)
		res = sim_stream_get(hstream, per_thread, &stream);
	if (res == CUDA_SUCCESS)
		res = sim_capture_check(stream);
	if (res != CUDA_SUCCESS)
		return res;
	if (!dptr || bytes == 0)
		return CUDA_ERROR_INVALID_VALUE;
	captures = atomic_load(&stream->capture) != NULL;
	pthread_mutex_lock(&sim_pool_lock);
	if (from_pool)
		res = sim_pool_get(handle, &pool);
	else
		pool = sim_pool_current(stream->ctx->device);
	if (res == CUDA_SUCCESS && pool && pool->exporter)
		res = CUDA_ERROR_INVALID_VALUE; /* imported: has nothing to give */
	if (res == CUDA_SUCCESS && !pool)
		res = CUDA_ERROR_OUT_OF_MEMORY;
	if (res == CUDA_SUCCESS) {
		device = pool->device;
		on_host = sim_pool_kind(pool) == SIM_MEM_HOST;
		if (!captures)
			res = sim_pool_alloc(pool, bytes, stream, dptr);
	}
	pthread_mutex_unlock(&sim_pool_lock);
	if (res != CUDA_SUCCESS || !captures)
		return res;
	/* In a capture the memory belongs to the graph; the pool only says where. */
	return on_host ? CUDA_ERROR_NOT_SUPPORTED
		       : sim_capture_alloc(stream, device, bytes, dptr);
}

SIM_EXPORT CUresult cuMemAllocAsync(CUdeviceptr *dptr, size_t bytesize, CUstream hStream)
{
	return alloc_async(SIM_FN_cuMemAllocAsync, false, dptr, bytesize, NULL, false,
			   hStream);
}

SIM_EXPORT CUresult cuMemAllocAsync_ptsz(CUdeviceptr *dptr, size_t bytesize,
					 CUstream hStream)
{
	return alloc_async(SIM_FN_cuMemAllocAsync_ptsz, true, dptr, bytesize, NULL, false,
			   hStream);
}

SIM_EXPORT CUresult cuMemAllocFromPoolAsync(CUdeviceptr *dptr, size_t bytesize,
					    CUmemoryPool pool, CUstream hStream)
{
	return alloc_async(SIM_FN_cuMemAllocFromPoolAsync, false, dptr, bytesize, pool,
			   true, hStream);
}

SIM_EXPORT CUresult cuMemAllocFromPoolAsync_ptsz(CUdeviceptr *dptr, size_t bytesize,
						 CUmemoryPool pool, CUstream hStream)
{
	return alloc_async(SIM_FN_cuMemAllocFromPoolAsync_ptsz, true, dptr, bytesize,
			   pool, true, hStream);
}

/* ---- free ---- */

CUresult sim_pool_free_now(const struct sim_alloc *alloc)
{
	return sim_pool_free(alloc->base, 0, 0);
}

/* cuMemFreeAsync of ordinary memory: it waits for the stream and frees. */
static CUresult free_plain(const struct sim_alloc *alloc, struct sim_stream *stream)
{
	struct sim_alloc gone;
	CUresult res = CUDA_SUCCESS;

	if (alloc->kind == SIM_MEM_HOST)
		return CUDA_ERROR_INVALID_VALUE;
	if (sim.zero_cost && sim_zero_free(alloc->base))
		return CUDA_SUCCESS;
	if (!sim.zero_cost)
		res = sim_stream_drain(stream);
	if (res != CUDA_SUCCESS)
		return res;
	if (!sim_ranges_remove(alloc->base, SIM_FROM_ALLOC, &gone))
		return CUDA_ERROR_INVALID_VALUE;
	return sim_raw_free(gone.base, gone.bytes, gone.kind);
}

static CUresult free_async(enum sim_fn fn, bool per_thread, CUdeviceptr addr,
			   CUstream hstream)
{
	struct sim_stream *stream;
	struct sim_alloc found;
	uint64_t seq = 0;
	CUresult freed, res = sim_enter(fn);

	if (res == CUDA_SUCCESS)
		res = sim_stream_get(hstream, per_thread, &stream);
	if (res == CUDA_SUCCESS)
		res = sim_capture_check(stream);
	if (res != CUDA_SUCCESS)
		return res;
	if (atomic_load(&stream->capture))
		return sim_capture_free(stream, addr);
	if (!sim_ranges_find(addr, &found) || found.base != addr)
		return CUDA_ERROR_INVALID_VALUE;
	if (found.origin == SIM_FROM_GRAPH && sim_graph_memory_free_async(addr, stream))
		return CUDA_SUCCESS;
	if (found.origin == SIM_FROM_ALLOC)
		return free_plain(&found, stream);
	if (found.origin != SIM_FROM_POOL)
		return CUDA_ERROR_INVALID_VALUE;
	/* A marker rather than the last submission: the legacy stream stands behind others. */
	if (!sim.zero_cost)
		res = sim_submit(stream, SIM_REC_MARKER, NULL, 0, NULL, 0, &seq);
	freed = sim_pool_free(addr, stream->slot, res == CUDA_SUCCESS ? seq : 0);
	return res == CUDA_SUCCESS ? freed : res;
}

SIM_EXPORT CUresult cuMemFreeAsync(CUdeviceptr dptr, CUstream hStream)
{
	return free_async(SIM_FN_cuMemFreeAsync, false, dptr, hStream);
}

SIM_EXPORT CUresult cuMemFreeAsync_ptsz(CUdeviceptr dptr, CUstream hStream)
{
	return free_async(SIM_FN_cuMemFreeAsync_ptsz, true, dptr, hStream);
}
