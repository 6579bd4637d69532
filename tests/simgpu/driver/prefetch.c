/*
 * prefetch.c - prefetching and discarding managed memory, one range at a time and in batches.
 *
 * Knows: the checks, and that each call takes its turn in a stream. See managed.h for what
 * it does not do.
 */
#include "driver/managed.h"

#include "driver/capture.h"

/* A prefetch takes its turn in the stream and moves nothing. */
static CUresult enqueue(struct sim_stream *stream)
{
	CUresult res = sim_capture_check(stream);

	if (res != CUDA_SUCCESS)
		return res;
	if (atomic_load(&stream->capture))
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	return sim.zero_cost ? CUDA_SUCCESS
			     : sim_submit(stream, SIM_REC_MARKER, NULL, 0, NULL, 0, NULL);
}

static CUresult note(CUdeviceptr addr, size_t bytes, int place)
{
	struct sim_alloc alloc;
	CUresult res = sim_managed_find(addr, bytes, &alloc);

	if (res != CUDA_SUCCESS)
		return res;
	alloc.prefetched = place;
	sim_ranges_update(&alloc);
	return CUDA_SUCCESS;
}

static CUresult prefetch(CUdeviceptr addr, size_t bytes, int place, CUstream handle,
			 bool per_thread)
{
	struct sim_stream *stream;
	CUresult res = sim_stream_get(handle, per_thread, &stream);

	if (res == CUDA_SUCCESS)
		res = note(addr, bytes, place);
	return res == CUDA_SUCCESS ? enqueue(stream) : res;
}

static CUresult prefetch_v1(enum sim_fn fn, bool per_thread, CUdeviceptr addr,
			    size_t bytes, CUdevice device, CUstream stream)
{
	int place;
	CUresult res = sim_enter(fn);

	if (res == CUDA_SUCCESS)
		res = sim_place_of_device(device, &place);
	return res == CUDA_SUCCESS ? prefetch(addr, bytes, place, stream, per_thread)
				   : res;
}

static CUresult prefetch_v2(enum sim_fn fn, bool per_thread, CUdeviceptr addr,
			    size_t bytes, const CUmemLocation *location, unsigned flags,
			    CUstream stream)
{
	int place;
	CUresult res = sim_enter(fn);

	if (res == CUDA_SUCCESS)
		res = flags ? CUDA_ERROR_INVALID_VALUE : sim_place_of(location, &place);
	return res == CUDA_SUCCESS ? prefetch(addr, bytes, place, stream, per_thread)
				   : res;
}

SIM_EXPORT CUresult cuMemPrefetchAsync(CUdeviceptr devPtr, size_t count,
				       CUdevice dstDevice, CUstream hStream)
{
	return prefetch_v1(SIM_FN_cuMemPrefetchAsync, false, devPtr, count, dstDevice,
			   hStream);
}

SIM_EXPORT CUresult cuMemPrefetchAsync_ptsz(CUdeviceptr devPtr, size_t count,
					    CUdevice dstDevice, CUstream hStream)
{
	return prefetch_v1(SIM_FN_cuMemPrefetchAsync_ptsz, true, devPtr, count, dstDevice,
			   hStream);
}

SIM_EXPORT CUresult cuMemPrefetchAsync_v2(CUdeviceptr devPtr, size_t count,
					  CUmemLocation location, unsigned int flags,
					  CUstream hStream)
{
	return prefetch_v2(SIM_FN_cuMemPrefetchAsync_v2, false, devPtr, count, &location,
			   flags, hStream);
}

SIM_EXPORT CUresult cuMemPrefetchAsync_v2_ptsz(CUdeviceptr devPtr, size_t count,
					       CUmemLocation location, unsigned int flags,
					       CUstream hStream)
{
	return prefetch_v2(SIM_FN_cuMemPrefetchAsync_v2_ptsz, true, devPtr, count,
			   &location, flags, hStream);
}

/* ---- batches ---- */

struct batch {
	CUdeviceptr *addrs;
	size_t *sizes, count;
	CUmemLocation *locations; /* NULL: discard only */
	size_t *first, nlocations;
	unsigned long long flags;
};

/* Checks all of a batch; then, with `keep`, takes note of it. */
static CUresult batch_pass(const struct batch *in, bool keep)
{
	struct sim_alloc alloc;
	size_t at = 0;
	int place = SIM_PLACE_HOST;
	CUresult res = CUDA_SUCCESS;

	for (size_t i = 0; i < in->count && res == CUDA_SUCCESS; i++) {
		if (in->locations && at < in->nlocations && in->first[at] == i)
			res = sim_place_of(&in->locations[at++], &place);
		if (res == CUDA_SUCCESS)
			res = keep && in->locations
				      ? note(in->addrs[i], in->sizes[i], place)
				      : sim_managed_find(in->addrs[i], in->sizes[i],
							 &alloc);
	}
	return res;
}

static bool batch_valid(const struct batch *in)
{
	if (!in->addrs || !in->sizes || in->count == 0 || in->flags != 0)
		return false;
	if (!in->locations)
		return !in->first && in->nlocations == 0;
	if (!in->first || in->nlocations == 0 || in->nlocations > in->count ||
	    in->first[0] != 0)
		return false;
	for (size_t i = 1; i < in->nlocations; i++)
		if (in->first[i] <= in->first[i - 1] || in->first[i] >= in->count)
			return false;
	return true;
}

static CUresult batch(enum sim_fn fn, bool per_thread, const struct batch *in,
		      bool located, CUstream handle)
{
	struct sim_stream *stream;
	CUresult res = sim_enter(fn);

	if (res != CUDA_SUCCESS)
		return res;
	if (handle == CU_STREAM_LEGACY || (!handle && !per_thread) ||
	    located != (in->locations != NULL) || !batch_valid(in))
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_stream_get(handle, per_thread, &stream);
	if (res == CUDA_SUCCESS)
		res = batch_pass(in, false);
	if (res == CUDA_SUCCESS)
		res = enqueue(stream);
	return res == CUDA_SUCCESS ? batch_pass(in, true) : res;
}

SIM_EXPORT CUresult cuMemPrefetchBatchAsync(CUdeviceptr *dptrs, size_t *sizes,
					    size_t count, CUmemLocation *prefetchLocs,
					    size_t *prefetchLocIdxs,
					    size_t numPrefetchLocs,
					    unsigned long long flags, CUstream hStream)
{
	return batch(SIM_FN_cuMemPrefetchBatchAsync, false,
		     &(struct batch){ dptrs, sizes, count, prefetchLocs, prefetchLocIdxs,
				      numPrefetchLocs, flags },
		     true, hStream);
}

SIM_EXPORT CUresult cuMemPrefetchBatchAsync_ptsz(
	CUdeviceptr *dptrs, size_t *sizes, size_t count, CUmemLocation *prefetchLocs,
	size_t *prefetchLocIdxs, size_t numPrefetchLocs, unsigned long long flags,
	CUstream hStream)
{
	return batch(SIM_FN_cuMemPrefetchBatchAsync_ptsz, true,
		     &(struct batch){ dptrs, sizes, count, prefetchLocs, prefetchLocIdxs,
				      numPrefetchLocs, flags },
		     true, hStream);
}

SIM_EXPORT CUresult cuMemDiscardAndPrefetchBatchAsync(
	CUdeviceptr *dptrs, size_t *sizes, size_t count, CUmemLocation *prefetchLocs,
	size_t *prefetchLocIdxs, size_t numPrefetchLocs, unsigned long long flags,
	CUstream hStream)
{
	return batch(SIM_FN_cuMemDiscardAndPrefetchBatchAsync, false,
		     &(struct batch){ dptrs, sizes, count, prefetchLocs, prefetchLocIdxs,
				      numPrefetchLocs, flags },
		     true, hStream);
}

SIM_EXPORT CUresult cuMemDiscardAndPrefetchBatchAsync_ptsz(
	CUdeviceptr *dptrs, size_t *sizes, size_t count, CUmemLocation *prefetchLocs,
	size_t *prefetchLocIdxs, size_t numPrefetchLocs, unsigned long long flags,
	CUstream hStream)
{
	return batch(SIM_FN_cuMemDiscardAndPrefetchBatchAsync_ptsz, true,
		     &(struct batch){ dptrs, sizes, count, prefetchLocs, prefetchLocIdxs,
				      numPrefetchLocs, flags },
		     true, hStream);
}

SIM_EXPORT CUresult cuMemDiscardBatchAsync(CUdeviceptr *dptrs, size_t *sizes,
					   size_t count, unsigned long long flags,
					   CUstream hStream)
{
	return batch(SIM_FN_cuMemDiscardBatchAsync, false,
		     &(struct batch){ dptrs, sizes, count, NULL, NULL, 0, flags }, false,
		     hStream);
}

SIM_EXPORT CUresult cuMemDiscardBatchAsync_ptsz(CUdeviceptr *dptrs, size_t *sizes,
						size_t count, unsigned long long flags,
						CUstream hStream)
{
	return batch(SIM_FN_cuMemDiscardBatchAsync_ptsz, true,
		     &(struct batch){ dptrs, sizes, count, NULL, NULL, 0, flags }, false,
		     hStream);
}
