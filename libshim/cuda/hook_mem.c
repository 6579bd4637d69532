/*
 * hook_mem.c - linear device memory: plain, pitched, managed, and freed.
 *
 * Knows each call's arguments and which of them say how many bytes. Managed memory counts in
 * full, although it may lie in host memory.
 */
#include "cuda/claim.h"
#include "cuda/hook.h"
#include "cuda/pool.h"

/* What a call asks for; 0 where there is nowhere to put the answer: the driver says so. */
static uint64_t asked_bytes(const void *dptr, uint64_t bytes)
{
	return dptr ? bytes : 0;
}

CUresult CUDAAPI cuMemAlloc_v2(CUdeviceptr *dptr, size_t bytesize)
{
	struct gsh_claim claim;
	CUresult res;

	GSH_NEED(cuMemAlloc_v2);
	res = gsh_claim_reserve(&claim, GPUSHIM_KIND_LINEAR, asked_bytes(dptr, bytesize));
	if (res != CUDA_SUCCESS)
		return res;
	res = gsh_driver.cuMemAlloc_v2(dptr, bytesize);
	return gsh_claim_settle(&claim, res, GSH_ALLOC_POINTER,
				res == CUDA_SUCCESS && dptr ? *dptr : 0);
}

CUresult CUDAAPI cuMemAlloc(CUdeviceptr_v1 *dptr, unsigned int bytesize)
{
	struct gsh_claim claim;
	CUresult res;

	GSH_NEED(cuMemAlloc);
	res = gsh_claim_reserve(&claim, GPUSHIM_KIND_LINEAR, asked_bytes(dptr, bytesize));
	if (res != CUDA_SUCCESS)
		return res;
	res = gsh_driver.cuMemAlloc(dptr, bytesize);
	return gsh_claim_settle(&claim, res, GSH_ALLOC_POINTER,
				res == CUDA_SUCCESS && dptr ? *dptr : 0);
}

CUresult CUDAAPI cuMemAllocManaged(CUdeviceptr *dptr, size_t bytesize, unsigned int flags)
{
	struct gsh_claim claim;
	CUresult res;

	GSH_NEED(cuMemAllocManaged);
	res = gsh_claim_reserve(&claim, GPUSHIM_KIND_MANAGED,
				asked_bytes(dptr, bytesize));
	if (res != CUDA_SUCCESS)
		return res;
	res = gsh_driver.cuMemAllocManaged(dptr, bytesize, flags);
	return gsh_claim_settle(&claim, res, GSH_ALLOC_POINTER,
				res == CUDA_SUCCESS && dptr ? *dptr : 0);
}

/* ---- pitched ---- */

/* Rows begin at multiples of a power of two that the driver keeps to itself: 512 where this
 * was looked at, and what it turned out to be once it has answered. Atomic. */
static uint64_t pitch_step = 512;

static uint64_t rounded_up(uint64_t bytes, uint64_t step)
{
	return (bytes + step - 1) & ~(step - 1);
}

static uint64_t pitched_bytes(const void *dptr, uint64_t width, uint64_t height)
{
	uint64_t bytes;

	if (!dptr || width == 0)
		return 0;
	if (width >= GSH_CLAIM_ABSURD_BYTES ||
	    __builtin_mul_overflow(rounded_up(width, gsh_load_relaxed(&pitch_step)),
				   height, &bytes))
		return UINT64_MAX;
	return bytes;
}

/* The step of a driver that made a pitch of a width. */
static void learn_step(uint64_t width, uint64_t pitch)
{
	const uint64_t step = gsh_load_relaxed(&pitch_step);
	uint64_t likely = step;

	while (likely > 1 && rounded_up(width, likely) > pitch)
		likely /= 2;
	while (likely < pitch && rounded_up(width, likely) < pitch)
		likely *= 2;
	if (likely != step && rounded_up(width, likely) == pitch)
		gsh_store_relaxed(&pitch_step, likely);
}

/* The driver has answered: what it chose may be more than was reserved. */
static CUresult settle_pitched(struct gsh_claim *claim, uint64_t dptr, uint64_t pitch,
			       uint64_t width, uint64_t height)
{
	CUresult res = gsh_claim_resize(claim, pitch * height);

	learn_step(width, pitch);
	if (res != CUDA_SUCCESS)
		gsh_claim_undo(GSH_ALLOC_POINTER, dptr);
	return gsh_claim_settle(claim, res, GSH_ALLOC_POINTER, dptr);
}

CUresult CUDAAPI cuMemAllocPitch_v2(CUdeviceptr *dptr, size_t *pPitch,
				    size_t WidthInBytes, size_t Height,
				    unsigned int ElementSizeBytes)
{
	struct gsh_claim claim;
	CUresult res;

	GSH_NEED(cuMemAllocPitch_v2);
	res = gsh_claim_reserve(
		&claim, GPUSHIM_KIND_LINEAR,
		pitched_bytes(dptr && pPitch ? dptr : NULL, WidthInBytes, Height));
	if (res != CUDA_SUCCESS)
		return res;
	res = gsh_driver.cuMemAllocPitch_v2(dptr, pPitch, WidthInBytes, Height,
					    ElementSizeBytes);
	if (res != CUDA_SUCCESS || !dptr || !pPitch)
		return gsh_claim_settle(&claim, res, GSH_ALLOC_POINTER, 0);
	return settle_pitched(&claim, *dptr, *pPitch, WidthInBytes, Height);
}

CUresult CUDAAPI cuMemAllocPitch(CUdeviceptr_v1 *dptr, unsigned int *pPitch,
				 unsigned int WidthInBytes, unsigned int Height,
				 unsigned int ElementSizeBytes)
{
	struct gsh_claim claim;
	CUresult res;

	GSH_NEED(cuMemAllocPitch);
	res = gsh_claim_reserve(
		&claim, GPUSHIM_KIND_LINEAR,
		pitched_bytes(dptr && pPitch ? dptr : NULL, WidthInBytes, Height));
	if (res != CUDA_SUCCESS)
		return res;
	res = gsh_driver.cuMemAllocPitch(dptr, pPitch, WidthInBytes, Height,
					 ElementSizeBytes);
	if (res != CUDA_SUCCESS || !dptr || !pPitch)
		return gsh_claim_settle(&claim, res, GSH_ALLOC_POINTER, 0);
	return settle_pitched(&claim, *dptr, *pPitch, WidthInBytes, Height);
}

/* ---- freed ---- */

/* It may also be memory of a pool: allocated in stream order, freed at once. */
struct freeing {
	struct gsh_release release;
	struct gsh_pool_free pool;
};

static CUresult begin_free(struct freeing *freeing, uint64_t dptr)
{
	CUresult res = gsh_release_begin(&freeing->release, GSH_ALLOC_POINTER, dptr);

	if (gsh_unlikely(freeing->release.state == GSH_RELEASE_UNKNOWN))
		gsh_pool_free_begin(&freeing->pool, dptr);
	return res;
}

static CUresult end_free(struct freeing *freeing, CUresult res)
{
	if (gsh_unlikely(freeing->release.state == GSH_RELEASE_UNKNOWN)) {
		gsh_pool_free_end(&freeing->pool, gsh_release_happened(res), 0, 0);
		if (freeing->pool.known)
			freeing->release.state = GSH_RELEASE_PASS;
	}
	return gsh_release_end(&freeing->release, res);
}

CUresult CUDAAPI cuMemFree_v2(CUdeviceptr dptr)
{
	struct freeing freeing;
	CUresult res;

	GSH_NEED(cuMemFree_v2);
	res = begin_free(&freeing, dptr);
	if (res != CUDA_SUCCESS)
		return res;
	return end_free(&freeing, gsh_driver.cuMemFree_v2(dptr));
}

CUresult CUDAAPI cuMemFree(CUdeviceptr_v1 dptr)
{
	struct freeing freeing;
	CUresult res;

	GSH_NEED(cuMemFree);
	res = begin_free(&freeing, dptr);
	if (res != CUDA_SUCCESS)
		return res;
	return end_free(&freeing, gsh_driver.cuMemFree(dptr));
}
