/*
 * memory.c - linear device memory: cuMemAlloc and its kin, frees and sizes.
 *
 * Knows: how memory comes from the device process and appears in this one, who may free it,
 * and what dies with a context. Refuses to know: accounting (the device process has it),
 * pools, mappings, arrays.
 */
#include "driver/memory.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "driver/capture.h"
#include "driver/graph.h"
#include "driver/zero.h"

#define PITCH_BYTES 512u /* rows of pitched memory begin at multiples of this */
#define ALIGN_BYTES 512u
#define PAGE_BYTES 4096u
/* More than any device has; keeps sums of sizes far from wrapping. */
#define ABSURD_BYTES (1ull << 47)

static uint64_t page_up(uint64_t bytes)
{
	return (bytes + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
}

static bool mapped_here(enum sim_mem_kind kind)
{
	return kind == SIM_MEM_HOST || kind == SIM_MEM_MANAGED;
}

static void unmap_here(uint64_t addr, uint64_t bytes)
{
	/* The arena stays reserved: nothing of this process may come to lie there. */
	(void)mmap((void *)addr, page_up(bytes), PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

static CUresult zero_alloc(unsigned device, uint64_t bytes, enum sim_mem_kind kind,
			   uint64_t align, uint64_t *addr, uint64_t *reserved_bytes)
{
	*addr = sim_zero_alloc_run(kind == SIM_MEM_HOST ? -1 : (int)device, bytes, align);
	*reserved_bytes = (bytes + SIM_ZERO_SMALL - 1) / SIM_ZERO_SMALL * SIM_ZERO_SMALL;
	return *addr ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult sim_raw_alloc(struct sim_context *ctx, unsigned device, uint64_t bytes,
		       enum sim_mem_kind kind, uint64_t align, uint64_t *addr,
		       uint64_t *reserved_bytes)
{
	uint64_t a[6] = { ctx ? ctx->id : 0, device, bytes, kind, align };
	uint64_t v[6];
	int fd = -1;
	CUresult res;

	if (bytes > ABSURD_BYTES)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (sim.zero_cost)
		return zero_alloc(device, bytes, kind, align, addr, reserved_bytes);
	res = sim_rpc(SIM_RPC_MEM_ALLOC, a, v, -1, &fd);
	if (res == CUDA_SUCCESS && mapped_here(kind)) {
		void *at = mmap((void *)v[0], page_up(bytes), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_FIXED, fd, 0);

		if (at == MAP_FAILED) {
			sim_rpc(SIM_RPC_MEM_FREE, (uint64_t[6]){ v[0] }, NULL, -1, NULL);
			res = CUDA_ERROR_OUT_OF_MEMORY;
		}
	}
	if (fd >= 0)
		close(fd);
	if (res != CUDA_SUCCESS)
		return res;
	*addr = v[0];
	*reserved_bytes = v[1];
	return CUDA_SUCCESS;
}

CUresult sim_raw_free(uint64_t addr, uint64_t bytes, enum sim_mem_kind kind)
{
	if (sim.zero_cost)
		return sim_zero_free_run(addr) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	/* First here: the address may belong to someone else as soon as it is free there. */
	if (mapped_here(kind))
		unmap_here(addr, bytes);
	return sim_rpc(SIM_RPC_MEM_FREE, (uint64_t[6]){ addr }, NULL, -1, NULL);
}

CUresult sim_alloc_new(struct sim_alloc *alloc, uint64_t align, uint64_t *reserved_bytes)
{
	uint64_t reserved;
	CUresult res = sim_raw_alloc(alloc->ctx, alloc->device, alloc->bytes, alloc->kind,
				     align, &alloc->base, &reserved);

	if (res != CUDA_SUCCESS)
		return res;
	if (reserved_bytes)
		*reserved_bytes = reserved;
	if (sim_ranges_add(alloc) == 0)
		return CUDA_SUCCESS;
	sim_raw_free(alloc->base, alloc->bytes, alloc->kind);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult sim_mem_alloc(struct sim_context *ctx, unsigned device, uint64_t bytes,
		       enum sim_mem_kind kind, uint64_t align, CUdeviceptr *addr,
		       uint64_t *reserved_bytes)
{
	struct sim_alloc alloc = {
		.bytes = bytes,
		.kind = kind,
		.device = device,
		.ctx = ctx,
		.origin = kind == SIM_MEM_GRAPH ? SIM_FROM_GRAPH : SIM_FROM_DRIVER,
	};
	CUresult res = sim_alloc_new(&alloc, align, reserved_bytes);

	if (res == CUDA_SUCCESS)
		*addr = alloc.base;
	return res;
}

CUresult sim_mem_free(CUdeviceptr addr)
{
	struct sim_alloc alloc;

	if (!sim_ranges_remove(addr, SIM_FROM_DRIVER, &alloc) &&
	    !sim_ranges_remove(addr, SIM_FROM_GRAPH, &alloc))
		return CUDA_ERROR_INVALID_VALUE;
	return sim_raw_free(addr, alloc.bytes, alloc.kind);
}

CUresult sim_mem_range(uint64_t addr, struct sim_range *range)
{
	uint64_t v[6];
	struct sim_alloc alloc;
	CUresult res;

	if (sim.zero_cost) {
		if (!sim_ranges_find(addr, &alloc))
			return CUDA_ERROR_INVALID_VALUE;
		*range = (struct sim_range){ alloc.base,
					     alloc.bytes,
					     alloc.kind,
					     alloc.device,
					     alloc.ctx ? alloc.ctx->id : 0,
					     alloc.id };
		return CUDA_SUCCESS;
	}
	res = sim_rpc(SIM_RPC_MEM_RANGE, (uint64_t[6]){ addr }, v, -1, NULL);
	if (res == CUDA_SUCCESS)
		*range = (struct sim_range){
			v[0],		v[1],		(enum sim_mem_kind)v[2],
			(unsigned)v[3], (uint32_t)v[4], v[5]
		};
	return res;
}

/* ---- what dies with a context ---- */

static void drop_context(struct sim_context *ctx)
{
	struct sim_alloc *list;
	size_t count = sim_ranges_take(ctx, &list);

	/* The device process frees the memory itself; here it must not be seen any more. */
	for (size_t i = 0; i < count; i++) {
		if (list[i].origin == SIM_FROM_REGISTER)
			continue;
		if (sim.zero_cost)
			sim_zero_free_run(list[i].base);
		else if (mapped_here(list[i].kind))
			unmap_here(list[i].base, list[i].bytes);
	}
	free(list);
	if (sim.zero_cost)
		sim_zero_drop(ctx);
}

static __attribute__((constructor)) void watch_contexts(void)
{
	sim_context_on_destroy(drop_context);
}

/* ---- entry points ---- */

/* What every allocation of the application begins with. */
static CUresult begin(struct sim_context **ctx)
{
	CUresult res = sim_need_context(ctx);

	return res == CUDA_SUCCESS ? sim_capture_guard() : res;
}

static __attribute__((noinline)) CUresult alloc_in(struct sim_context *ctx,
						   uint64_t bytes, enum sim_mem_kind kind,
						   unsigned flags, CUdeviceptr *addr)
{
	struct sim_alloc alloc = {
		.bytes = bytes,
		.kind = kind,
		.device = ctx->device,
		.ctx = ctx,
		.origin = SIM_FROM_ALLOC,
		.flags = flags,
	};
	CUresult res = sim_alloc_new(&alloc, ALIGN_BYTES, NULL);

	if (res == CUDA_SUCCESS)
		*addr = alloc.base;
	return res;
}

/* Plain memory; in zero-cost mode the quick way where it fits. */
static inline CUresult alloc_plain(struct sim_context *ctx, uint64_t bytes,
				   CUdeviceptr *addr)
{
	if (sim.zero_cost && bytes <= SIM_ZERO_SMALL) {
		uint64_t at = sim_zero_alloc(ctx, bytes);

		if (__builtin_expect(!at, 0))
			return CUDA_ERROR_OUT_OF_MEMORY;
		*addr = at;
		return CUDA_SUCCESS;
	}
	return alloc_in(ctx, bytes, SIM_MEM_PLAIN, 0, addr);
}

SIM_EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *dptr, size_t bytesize)
{
	struct sim_context *ctx;
	CUresult res = sim_enter(SIM_FN_cuMemAlloc_v2);

	if (res != CUDA_SUCCESS)
		return res;
	res = begin(&ctx);
	if (res != CUDA_SUCCESS)
		return res;
	if (!dptr || bytesize == 0)
		return CUDA_ERROR_INVALID_VALUE;
	return alloc_plain(ctx, bytesize, dptr);
}

SIM_EXPORT CUresult cuMemAllocPitch_v2(CUdeviceptr *dptr, size_t *pPitch,
				       size_t WidthInBytes, size_t Height,
				       unsigned int ElementSizeBytes)
{
	struct sim_context *ctx;
	uint64_t pitch, bytes;
	CUresult res = sim_enter(SIM_FN_cuMemAllocPitch_v2);

	if (res != CUDA_SUCCESS)
		return res;
	res = begin(&ctx);
	if (res != CUDA_SUCCESS)
		return res;
	if (!dptr || !pPitch || WidthInBytes == 0 || Height == 0 ||
	    (ElementSizeBytes != 4 && ElementSizeBytes != 8 && ElementSizeBytes != 16))
		return CUDA_ERROR_INVALID_VALUE;
	if (WidthInBytes > ABSURD_BYTES)
		return CUDA_ERROR_OUT_OF_MEMORY;
	pitch = (WidthInBytes + PITCH_BYTES - 1) / PITCH_BYTES * PITCH_BYTES;
	if (__builtin_mul_overflow(pitch, (uint64_t)Height, &bytes))
		return CUDA_ERROR_OUT_OF_MEMORY;
	res = alloc_plain(ctx, bytes, dptr);
	if (res == CUDA_SUCCESS)
		*pPitch = pitch;
	return res;
}

SIM_EXPORT CUresult cuMemAllocManaged(CUdeviceptr *dptr, size_t bytesize,
				      unsigned int flags)
{
	struct sim_context *ctx;
	CUresult res = sim_enter(SIM_FN_cuMemAllocManaged);

	if (res != CUDA_SUCCESS)
		return res;
	res = begin(&ctx);
	if (res != CUDA_SUCCESS)
		return res;
	if (!dptr || bytesize == 0 ||
	    (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST))
		return CUDA_ERROR_INVALID_VALUE;
	return alloc_in(ctx, bytesize, SIM_MEM_MANAGED, flags, dptr);
}

/* An allocation that has its context's work wait for it no longer. */
static CUresult free_alloc(const struct sim_alloc *alloc)
{
	struct sim_alloc gone;
	CUresult res = CUDA_SUCCESS;

	if (!sim.zero_cost && alloc->ctx)
		res = sim_context_drain(alloc->ctx);
	if (res != CUDA_SUCCESS)
		return res;
	if (!sim_ranges_remove(alloc->base, SIM_FROM_ALLOC, &gone))
		return CUDA_ERROR_INVALID_VALUE;
	return sim_raw_free(gone.base, gone.bytes, gone.kind);
}

static __attribute__((noinline)) CUresult free_any(CUdeviceptr addr)
{
	struct sim_alloc alloc;

	if (addr == 0)
		return CUDA_SUCCESS;
	if (!sim_ranges_find(addr, &alloc) || alloc.base != addr)
		return CUDA_ERROR_INVALID_VALUE;
	if (alloc.origin == SIM_FROM_ALLOC && alloc.kind != SIM_MEM_HOST)
		return free_alloc(&alloc);
	if (alloc.origin == SIM_FROM_POOL)
		return sim_pool_free_now(&alloc);
	if (alloc.origin == SIM_FROM_GRAPH && sim_graph_memory_free(addr))
		return CUDA_SUCCESS;
	return CUDA_ERROR_INVALID_VALUE;
}

SIM_EXPORT CUresult cuMemFree_v2(CUdeviceptr dptr)
{
	struct sim_context *ctx;
	CUresult res = sim_enter(SIM_FN_cuMemFree_v2);

	if (res != CUDA_SUCCESS)
		return res;
	res = begin(&ctx);
	if (res != CUDA_SUCCESS)
		return res;
	if (sim.zero_cost && sim_zero_free(dptr))
		return CUDA_SUCCESS;
	return free_any(dptr);
}

SIM_EXPORT CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
	struct sim_context *ctx;
	uint64_t v[6];
	CUresult res = sim_enter(SIM_FN_cuMemGetInfo_v2);

	if (res != CUDA_SUCCESS)
		return res;
	res = sim_need_context(&ctx);
	if (res != CUDA_SUCCESS)
		return res;
	if (!free_bytes || !total)
		return CUDA_ERROR_INVALID_VALUE;
	if (sim.zero_cost) {
		*total = sim.hello.memory_bytes;
		*free_bytes = sim.hello.memory_bytes - sim_zero_used(ctx->device);
		return CUDA_SUCCESS;
	}
	res = sim_rpc(SIM_RPC_MEM_INFO, (uint64_t[6]){ ctx->device }, v, -1, NULL);
	if (res != CUDA_SUCCESS)
		return res;
	*free_bytes = v[0];
	*total = v[1];
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemGetAddressRange_v2(CUdeviceptr *pbase, size_t *psize,
					    CUdeviceptr dptr)
{
	struct sim_context *ctx;
	struct sim_alloc alloc;
	CUresult res = sim_enter(SIM_FN_cuMemGetAddressRange_v2);

	if (res != CUDA_SUCCESS)
		return res;
	res = sim_need_context(&ctx);
	if (res != CUDA_SUCCESS)
		return res;
	if (!sim_ranges_find(dptr, &alloc))
		return CUDA_ERROR_NOT_FOUND;
	if (pbase)
		*pbase = alloc.base;
	if (psize)
		*psize = alloc.bytes;
	return CUDA_SUCCESS;
}
