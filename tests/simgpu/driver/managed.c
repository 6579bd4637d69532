/*
 * managed.c - advice and prefetches for managed memory: checked and remembered.
 *
 * Knows: what the range attributes answer. Managed memory does not move here: it is always
 * in reach of host and device, so advice and prefetches change no timing. They are kept per
 * allocation: what is said of a part holds for all of it.
 */
#include "driver/memory.h"

#include <string.h>

#include "driver/capture.h"

#define HOST (-1)      /* CU_DEVICE_CPU */
#define HOST_NUMA (-3) /* node 0, the only one */
#define HOST_BIT (1u << 31)

static CUresult find_managed(CUdeviceptr addr, size_t bytes, struct sim_alloc *alloc)
{
	if (bytes == 0 || !sim_ranges_cover(addr, bytes, SIM_ACCESS_READ, alloc) ||
	    alloc->kind != SIM_MEM_MANAGED)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

/* A place as kept in struct sim_alloc. */
static CUresult place_of_device(CUdevice device, int *place)
{
	if (device != HOST && (device < 0 || (unsigned)device >= sim.hello.devices))
		return CUDA_ERROR_INVALID_DEVICE;
	*place = device;
	return CUDA_SUCCESS;
}

static CUresult place_of(const CUmemLocation *location, int *place)
{
	switch (location->type) {
	case CU_MEM_LOCATION_TYPE_DEVICE:
		return location->id == HOST ? CUDA_ERROR_INVALID_DEVICE
					    : place_of_device(location->id, place);
	case CU_MEM_LOCATION_TYPE_HOST:
		*place = HOST;
		return CUDA_SUCCESS;
	case CU_MEM_LOCATION_TYPE_HOST_NUMA:
		if (location->id != 0)
			return CUDA_ERROR_INVALID_VALUE;
		*place = HOST_NUMA;
		return CUDA_SUCCESS;
	case CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT:
		*place = HOST_NUMA;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

/* ---- advice ---- */

static bool needs_place(CUmem_advise advice)
{
	return advice == CU_MEM_ADVISE_SET_PREFERRED_LOCATION ||
	       advice == CU_MEM_ADVISE_SET_ACCESSED_BY ||
	       advice == CU_MEM_ADVISE_UNSET_ACCESSED_BY;
}

static CUresult advise(CUdeviceptr addr, size_t bytes, CUmem_advise advice, int place)
{
	struct sim_alloc alloc;
	uint32_t bit = place == HOST ? HOST_BIT : 1u << (place & 31);
	CUresult res = find_managed(addr, bytes, &alloc);

	if (res != CUDA_SUCCESS)
		return res;
	switch (advice) {
	case CU_MEM_ADVISE_SET_READ_MOSTLY:
	case CU_MEM_ADVISE_UNSET_READ_MOSTLY:
		alloc.read_mostly = advice == CU_MEM_ADVISE_SET_READ_MOSTLY;
		break;
	case CU_MEM_ADVISE_SET_PREFERRED_LOCATION:
		alloc.preferred = place;
		break;
	case CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION:
		alloc.preferred = SIM_NOWHERE;
		break;
	case CU_MEM_ADVISE_SET_ACCESSED_BY:
	case CU_MEM_ADVISE_UNSET_ACCESSED_BY:
		if (place == HOST_NUMA)
			return CUDA_ERROR_INVALID_VALUE;
		if (advice == CU_MEM_ADVISE_SET_ACCESSED_BY)
			alloc.accessed_by |= bit;
		else
			alloc.accessed_by &= ~bit;
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	sim_ranges_update(&alloc);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemAdvise(CUdeviceptr devPtr, size_t count, CUmem_advise advice,
				CUdevice device)
{
	int place = HOST;
	CUresult res = sim_enter(SIM_FN_cuMemAdvise);

	if (res == CUDA_SUCCESS && needs_place(advice))
		res = place_of_device(device, &place);
	return res == CUDA_SUCCESS ? advise(devPtr, count, advice, place) : res;
}

SIM_EXPORT CUresult cuMemAdvise_v2(CUdeviceptr devPtr, size_t count, CUmem_advise advice,
				   CUmemLocation location)
{
	int place = HOST;
	CUresult res = sim_enter(SIM_FN_cuMemAdvise_v2);

	if (res == CUDA_SUCCESS && needs_place(advice))
		res = place_of(&location, &place);
	return res == CUDA_SUCCESS ? advise(devPtr, count, advice, place) : res;
}

/* ---- prefetches ---- */

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
	CUresult res = find_managed(addr, bytes, &alloc);

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

static CUresult prefetch_v1(enum sim_fn fn, bool per_thread, CUdeviceptr addr, size_t bytes,
			    CUdevice device, CUstream stream)
{
	int place;
	CUresult res = sim_enter(fn);

	if (res == CUDA_SUCCESS)
		res = place_of_device(device, &place);
	return res == CUDA_SUCCESS ? prefetch(addr, bytes, place, stream, per_thread) : res;
}

static CUresult prefetch_v2(enum sim_fn fn, bool per_thread, CUdeviceptr addr, size_t bytes,
			    const CUmemLocation *location, unsigned flags, CUstream stream)
{
	int place;
	CUresult res = sim_enter(fn);

	if (res == CUDA_SUCCESS)
		res = flags ? CUDA_ERROR_INVALID_VALUE : place_of(location, &place);
	return res == CUDA_SUCCESS ? prefetch(addr, bytes, place, stream, per_thread) : res;
}

SIM_EXPORT CUresult cuMemPrefetchAsync(CUdeviceptr devPtr, size_t count, CUdevice dstDevice,
				       CUstream hStream)
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
	return prefetch_v2(SIM_FN_cuMemPrefetchAsync_v2_ptsz, true, devPtr, count, &location,
			   flags, hStream);
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
	int place = HOST;
	CUresult res = CUDA_SUCCESS;

	for (size_t i = 0; i < in->count && res == CUDA_SUCCESS; i++) {
		if (in->locations && at < in->nlocations && in->first[at] == i)
			res = place_of(&in->locations[at++], &place);
		if (res == CUDA_SUCCESS)
			res = keep && in->locations
				      ? note(in->addrs[i], in->sizes[i], place)
				      : find_managed(in->addrs[i], in->sizes[i], &alloc);
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

static CUresult batch(enum sim_fn fn, bool per_thread, const struct batch *in, bool located,
		      CUstream handle)
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

SIM_EXPORT CUresult cuMemPrefetchBatchAsync_ptsz(CUdeviceptr *dptrs, size_t *sizes,
						 size_t count,
						 CUmemLocation *prefetchLocs,
						 size_t *prefetchLocIdxs,
						 size_t numPrefetchLocs,
						 unsigned long long flags,
						 CUstream hStream)
{
	return batch(SIM_FN_cuMemPrefetchBatchAsync_ptsz, true,
		     &(struct batch){ dptrs, sizes, count, prefetchLocs, prefetchLocIdxs,
				       numPrefetchLocs, flags },
		     true, hStream);
}

SIM_EXPORT CUresult cuMemDiscardAndPrefetchBatchAsync(CUdeviceptr *dptrs, size_t *sizes,
						      size_t count,
						      CUmemLocation *prefetchLocs,
						      size_t *prefetchLocIdxs,
						      size_t numPrefetchLocs,
						      unsigned long long flags,
						      CUstream hStream)
{
	return batch(SIM_FN_cuMemDiscardAndPrefetchBatchAsync, false,
		     &(struct batch){ dptrs, sizes, count, prefetchLocs, prefetchLocIdxs,
				       numPrefetchLocs, flags },
		     true, hStream);
}

SIM_EXPORT CUresult cuMemDiscardAndPrefetchBatchAsync_ptsz(CUdeviceptr *dptrs,
							   size_t *sizes, size_t count,
							   CUmemLocation *prefetchLocs,
							   size_t *prefetchLocIdxs,
							   size_t numPrefetchLocs,
							   unsigned long long flags,
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
		     &(struct batch){ dptrs, sizes, count, NULL, NULL, 0, flags },
		     false, hStream);
}

SIM_EXPORT CUresult cuMemDiscardBatchAsync_ptsz(CUdeviceptr *dptrs, size_t *sizes,
						size_t count, unsigned long long flags,
						CUstream hStream)
{
	return batch(SIM_FN_cuMemDiscardBatchAsync_ptsz, true,
		     &(struct batch){ dptrs, sizes, count, NULL, NULL, 0, flags },
		     false, hStream);
}

/* ---- range attributes ---- */

static int type_of(int place)
{
	if (place == SIM_NOWHERE)
		return CU_MEM_LOCATION_TYPE_INVALID;
	if (place == HOST)
		return CU_MEM_LOCATION_TYPE_HOST;
	return place == HOST_NUMA ? CU_MEM_LOCATION_TYPE_HOST_NUMA
				  : CU_MEM_LOCATION_TYPE_DEVICE;
}

/* The same as a CUdevice. */
static int device_of(int place)
{
	return place == SIM_NOWHERE || place == HOST_NUMA ? CU_DEVICE_INVALID : place;
}

static CUresult list_accessors(const struct sim_alloc *alloc, int *out, size_t bytes)
{
	size_t room = bytes / sizeof(*out), n = 0;

	if (bytes == 0 || bytes % sizeof(*out))
		return CUDA_ERROR_INVALID_VALUE;
	if (n < room && (alloc->accessed_by & HOST_BIT))
		out[n++] = HOST;
	for (int device = 0; device < 31 && n < room; device++)
		if (alloc->accessed_by & (1u << device))
			out[n++] = device;
	while (n < room)
		out[n++] = CU_DEVICE_INVALID;
	return CUDA_SUCCESS;
}

static CUresult range_attribute(const struct sim_alloc *alloc,
				CUmem_range_attribute attribute, void *data, size_t bytes)
{
	int value;

	if (!data)
		return CUDA_ERROR_INVALID_VALUE;
	switch (attribute) {
	case CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY:
		value = alloc->read_mostly;
		break;
	case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION:
		value = device_of(alloc->preferred);
		break;
	case CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY:
		return list_accessors(alloc, data, bytes);
	case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION:
		value = device_of(alloc->prefetched);
		break;
	case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_TYPE:
		value = type_of(alloc->preferred);
		break;
	case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_ID:
		value = alloc->preferred >= 0 ? alloc->preferred : 0;
		break;
	case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_TYPE:
		value = type_of(alloc->prefetched);
		break;
	case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_ID:
		value = alloc->prefetched >= 0 ? alloc->prefetched : 0;
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	if (bytes != sizeof(value))
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(data, &value, sizeof(value));
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemRangeGetAttribute(void *data, size_t dataSize,
					   CUmem_range_attribute attribute,
					   CUdeviceptr devPtr, size_t count)
{
	struct sim_alloc alloc;
	CUresult res = sim_enter(SIM_FN_cuMemRangeGetAttribute);

	if (res == CUDA_SUCCESS)
		res = find_managed(devPtr, count, &alloc);
	return res == CUDA_SUCCESS ? range_attribute(&alloc, attribute, data, dataSize) : res;
}

SIM_EXPORT CUresult cuMemRangeGetAttributes(void **data, size_t *dataSizes,
					    CUmem_range_attribute *attributes,
					    size_t numAttributes, CUdeviceptr devPtr,
					    size_t count)
{
	struct sim_alloc alloc;
	CUresult res = sim_enter(SIM_FN_cuMemRangeGetAttributes);

	if (res == CUDA_SUCCESS && (!data || !dataSizes || !attributes || numAttributes == 0))
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		res = find_managed(devPtr, count, &alloc);
	for (size_t i = 0; i < numAttributes && res == CUDA_SUCCESS; i++)
		res = range_attribute(&alloc, attributes[i], data[i], dataSizes[i]);
	return res;
}
