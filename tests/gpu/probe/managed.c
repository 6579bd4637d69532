/*
 * managed.c - section "managed": what managed memory takes from the device and when, and
 * what the wrong kind of free does.
 *
 * Knows: 64 MiB of managed memory, never more.
 */
#include "probe.h"

#include <string.h>

#define MIB (1ull << 20)

static struct gpu gpu;

static void managed(void)
{
	const uint64_t bytes = 64 * MIB;
	int64_t before, made, device, host, gone;
	CUdeviceptr at;

	before = free_bytes();
	MUST(cu.cuMemAllocManaged(&at, bytes, CU_MEM_ATTACH_GLOBAL));
	made = before - free_bytes();
	MUST(cu.cuMemsetD32Async(at, 7, bytes / 4, NULL));
	MUST(cu.cuCtxSynchronize());
	device = before - free_bytes();
	memset((void *)(uintptr_t)at, 1, bytes); /* managed: the host reaches it */
	host = before - free_bytes();
	MUST(cu.cuMemFree_v2(at));
	gone = before - free_bytes();
	note("allocated", (double)made);
	note("used_by_device", (double)device);
	note("used_by_host", (double)host);
	note("freed", (double)gone);
	fact_number("managed.taken_at_once",
		    "64 MiB managed: taken from the device when made", (double)made,
		    "bytes");
	fact_number("managed.taken_by_device",
		    "The same after the device has written to it", (double)device,
		    "bytes");
	fact_number("managed.taken_by_host",
		    "The same after the host has written to it then", (double)host,
		    "bytes");
}

/* cuMemFreeAsync of cuMemAlloc memory, and does it wait for the stream? */
static void async_free_of_plain(void)
{
	const char *question = "cuMemFreeAsync of cuMemAlloc memory";
	int64_t before, during, after, synchronised;
	uint64_t start, took;
	CUstream stream;
	CUdeviceptr at;
	CUresult code, again;

	MUST(cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	MUST(gpu_spin(&gpu, 1000, stream));
	MUST(cu.cuStreamSynchronize(stream));
	before = free_bytes();
	MUST(cu.cuMemAlloc_v2(&at, 64 * MIB));
	during = before - free_bytes();
	MUST(gpu_spin(&gpu, 50000000, stream));
	start = now_ns();
	code = cu.cuMemFreeAsync(at, stream);
	took = now_ns() - start;
	after = before - free_bytes();
	note("taken", (double)during);
	note("call_ns_behind_50_ms_of_work", (double)took);
	note("held_right_after", (double)after);
	note("work_still_running", cu.cuStreamQuery(stream) == CUDA_ERROR_NOT_READY);
	MUST(cu.cuStreamSynchronize(stream));
	synchronised = before - free_bytes();
	note("held_after_synchronisation", (double)synchronised);
	if (code != CUDA_SUCCESS) {
		again = cu.cuMemFree_v2(at);
		note("cuMemFree_then", again);
	}
	fact_text("managed.async_free_of_plain", question, "%s", code_text(code));
	if (code == CUDA_SUCCESS)
		fact_text("managed.async_free_when",
			  "Memory so freed behind 50 ms of work is given back", "%s",
			  took > 40000000  ? "after the work, for which the call waits"
			  : after < during ? "at once"
			  : synchronised <= 0
				  ? "when the stream is synchronised"
				  : "later than the stream's synchronisation");
}

static void plain_free_of_async(void)
{
	int64_t before = free_bytes();
	uint64_t start, took;
	CUmemoryPool pool;
	cuuint64_t left;
	CUstream stream;
	CUdeviceptr at;
	CUresult code;

	MUST(cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	MUST(cu.cuMemAllocAsync(&at, 64 * MIB, stream));
	MUST(gpu_spin(&gpu, 20000000, stream));
	start = now_ns();
	code = cu.cuMemFree_v2(at);
	took = now_ns() - start;
	MUST(cu.cuDeviceGetDefaultMemPool(&pool, gpu.device));
	MUST(cu.cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &left));
	note("call_ns_behind_20_ms_of_work", (double)took);
	note("pool_reserved_after", (double)left);
	note("device_misses_after", (double)(before - free_bytes()));
	fact_text("managed.plain_free_of_async", "cuMemFree of cuMemAllocAsync memory",
		  "%s", code_text(code));
	cu.cuStreamSynchronize(stream);
}

/* Does cuMemFree of plain memory wait for all work of the context? */
static void plain_free_waits(void)
{
	uint64_t start, took;
	CUstream stream;
	CUdeviceptr at;

	MUST(cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	MUST(cu.cuMemAlloc_v2(&at, 64 * MIB));
	MUST(gpu_spin(&gpu, 30000000, stream));
	start = now_ns();
	MUST(cu.cuMemFree_v2(at));
	took = now_ns() - start;
	note("work_still_running", cu.cuStreamQuery(stream) == CUDA_ERROR_NOT_READY);
	MUST(cu.cuStreamSynchronize(stream));
	fact_number("managed.plain_free_behind_work",
		    "cuMemFree of 64 MiB behind 30 ms of work", (double)took, "ns");
}

void section_managed(void)
{
	gpu_open(&gpu);
	async_free_of_plain();
	plain_free_of_async();
	plain_free_waits();
	managed();
}
