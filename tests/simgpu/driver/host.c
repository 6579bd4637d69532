/*
 * host.c - pinned host memory: allocated (shared with the device process) and registered
 * (memory of this process that the device process reaches by address).
 *
 * Knows: what is page-locked and its flags. Refuses to know: copies (copy.c asks the
 * ranges). With unified addressing host and device pointers of all pinned memory are equal,
 * portable or not.
 */
#include "driver/memory.h"

#include <errno.h>
#include <sys/mman.h>

#include "driver/capture.h"

#define REGISTER_FLAGS                                                \
	(CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP | \
	 CU_MEMHOSTREGISTER_IOMEMORY | CU_MEMHOSTREGISTER_READ_ONLY)
#define PAGE_BYTES 4096u

static CUresult alloc_host(enum sim_fn fn, void **pp, size_t bytes, unsigned flags)
{
	struct sim_alloc alloc = {
		.bytes = bytes,
		.kind = SIM_MEM_HOST,
		.origin = SIM_FROM_ALLOC,
		.flags = flags,
	};
	CUresult res = sim_enter(fn);

	if (res == CUDA_SUCCESS)
		res = sim_need_context(&alloc.ctx);
	if (res == CUDA_SUCCESS)
		res = sim_capture_guard();
	if (res != CUDA_SUCCESS)
		return res;
	if (!pp || bytes == 0 || (flags & ~(unsigned)SIM_HOST_FLAGS))
		return CUDA_ERROR_INVALID_VALUE;
	alloc.device = alloc.ctx->device;
	res = sim_alloc_new(&alloc, PAGE_BYTES, NULL);
	if (res == CUDA_SUCCESS)
		*pp = (void *)alloc.base;
	return res;
}

SIM_EXPORT CUresult cuMemAllocHost_v2(void **pp, size_t bytesize)
{
	return alloc_host(SIM_FN_cuMemAllocHost_v2, pp, bytesize, 0);
}

SIM_EXPORT CUresult cuMemHostAlloc(void **pp, size_t bytesize, unsigned int Flags)
{
	return alloc_host(SIM_FN_cuMemHostAlloc, pp, bytesize, Flags);
}

SIM_EXPORT CUresult cuMemFreeHost(void *p)
{
	struct sim_context *ctx;
	struct sim_alloc alloc;
	CUresult res = sim_enter(SIM_FN_cuMemFreeHost);

	if (res == CUDA_SUCCESS)
		res = sim_need_context(&ctx);
	if (res == CUDA_SUCCESS)
		res = sim_capture_guard();
	if (res != CUDA_SUCCESS)
		return res;
	if (!sim_ranges_find((uintptr_t)p, &alloc) || alloc.base != (uintptr_t)p ||
	    alloc.origin != SIM_FROM_ALLOC || alloc.kind != SIM_MEM_HOST)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sim.zero_cost)
		res = sim_context_drain(alloc.ctx);
	if (res != CUDA_SUCCESS)
		return res;
	if (!sim_ranges_remove(alloc.base, SIM_FROM_ALLOC, &alloc))
		return CUDA_ERROR_INVALID_VALUE;
	return sim_raw_free(alloc.base, alloc.bytes, alloc.kind);
}

/* ---- registration ---- */

/* Whether all pages of the range are mapped: what locking them would have found out. */
static bool pages_exist(uintptr_t addr, size_t bytes)
{
	unsigned char seen[1024];
	uintptr_t at = addr & ~(uintptr_t)(PAGE_BYTES - 1);
	uintptr_t end = addr + bytes;

	while (at < end) {
		size_t step = sizeof(seen) * PAGE_BYTES;

		if (step > end - at)
			step = end - at;
		if (mincore((void *)at, step, seen) != 0)
			return false;
		at += (step + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
	}
	return true;
}

static CUresult register_host(enum sim_fn fn, void *p, size_t bytes, unsigned flags)
{
	struct sim_alloc alloc = {
		.base = (uintptr_t)p,
		.bytes = bytes,
		.kind = SIM_MEM_HOST,
		.origin = SIM_FROM_REGISTER,
		.flags = flags,
	};
	CUresult res = sim_enter(fn);

	if (res == CUDA_SUCCESS)
		res = sim_need_context(&alloc.ctx);
	if (res == CUDA_SUCCESS)
		res = sim_capture_guard();
	if (res != CUDA_SUCCESS)
		return res;
	if (!p || bytes == 0 || (flags & ~(unsigned)REGISTER_FLAGS) ||
	    alloc.base + bytes < alloc.base)
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & CU_MEMHOSTREGISTER_IOMEMORY)
		return CUDA_ERROR_NOT_SUPPORTED;
	alloc.device = alloc.ctx->device;
	if (sim_is_device_address(alloc.base))
		return sim_ranges_find(alloc.base, NULL)
			       ? CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED
			       : CUDA_ERROR_INVALID_VALUE;
	if (!pages_exist(alloc.base, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	switch (sim_ranges_add(&alloc)) {
	case 0:
		return CUDA_SUCCESS;
	case -EEXIST:
		return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
	default:
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
}

SIM_EXPORT CUresult cuMemHostRegister(void *p, size_t bytesize, unsigned int Flags)
{
	return register_host(SIM_FN_cuMemHostRegister, p, bytesize, Flags);
}

SIM_EXPORT CUresult cuMemHostRegister_v2(void *p, size_t bytesize, unsigned int Flags)
{
	return register_host(SIM_FN_cuMemHostRegister_v2, p, bytesize, Flags);
}

SIM_EXPORT CUresult cuMemHostUnregister(void *p)
{
	struct sim_context *ctx;
	struct sim_alloc alloc;
	CUresult res = sim_enter(SIM_FN_cuMemHostUnregister);

	if (res == CUDA_SUCCESS)
		res = sim_need_context(&ctx);
	if (res == CUDA_SUCCESS)
		res = sim_capture_guard();
	if (res != CUDA_SUCCESS)
		return res;
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sim_ranges_find((uintptr_t)p, &alloc) || alloc.base != (uintptr_t)p ||
	    alloc.origin != SIM_FROM_REGISTER)
		return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
	/* Work under way may still read or write it by address. */
	if (!sim.zero_cost)
		res = sim_context_drain(alloc.ctx);
	if (res != CUDA_SUCCESS)
		return res;
	return sim_ranges_remove(alloc.base, SIM_FROM_REGISTER, NULL)
		       ? CUDA_SUCCESS
		       : CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
}

/* ---- queries ---- */

static CUresult find_host(void *p, struct sim_alloc *alloc)
{
	struct sim_context *ctx;
	CUresult res = sim_need_context(&ctx);

	if (res != CUDA_SUCCESS)
		return res;
	if (!sim_ranges_find((uintptr_t)p, alloc) || alloc->kind != SIM_MEM_HOST ||
	    (alloc->origin != SIM_FROM_ALLOC && alloc->origin != SIM_FROM_REGISTER))
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *pdptr, void *p,
						 unsigned int Flags)
{
	struct sim_alloc alloc;
	CUresult res = sim_enter(SIM_FN_cuMemHostGetDevicePointer_v2);

	if (res != CUDA_SUCCESS)
		return res;
	if (!pdptr || Flags != 0)
		return CUDA_ERROR_INVALID_VALUE;
	res = find_host(p, &alloc);
	if (res == CUDA_SUCCESS)
		*pdptr = (uintptr_t)p;
	return res;
}

SIM_EXPORT CUresult cuMemHostGetFlags(unsigned int *pFlags, void *p)
{
	struct sim_alloc alloc;
	CUresult res = sim_enter(SIM_FN_cuMemHostGetFlags);

	if (res != CUDA_SUCCESS)
		return res;
	if (!pFlags)
		return CUDA_ERROR_INVALID_VALUE;
	res = find_host(p, &alloc);
	if (res == CUDA_SUCCESS)
		*pFlags = alloc.flags;
	return res;
}
