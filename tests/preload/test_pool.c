/*
 * test_pool.c - stream-ordered pools under a quota: charged what they have reserved, never a
 * byte too much by the device's own books, and no refusal of what their free memory can serve.
 *
 * The simulated driver's pools grow by 32 MiB at a time, or by what is asked for, rounded up
 * to that; a quota of several granules can be filled exactly.
 */
#include "cunit_main.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common_tenant.h"
#include "common_truth.h"

#define MIB ((uint64_t)1 << 20)
#define QUOTA "GPUSHIM_MEMORY=64MiB"

CUresult CUDAAPI cuMemAllocAsync_ptsz(CUdeviceptr *dptr, size_t bytes, CUstream stream);
CUresult CUDAAPI cuMemAllocFromPoolAsync_ptsz(CUdeviceptr *dptr, size_t bytes,
					      CUmemoryPool pool, CUstream stream);
CUresult CUDAAPI cuMemFreeAsync_ptsz(CUdeviceptr dptr, CUstream stream);
CUresult CUDAAPI cuStreamSynchronize_ptsz(CUstream stream);

/* What there is left of the quota, as the program is told. */
static uint64_t left_bytes(void)
{
	size_t free_bytes = 0, total = 0;

	check_result(cuMemGetInfo(&free_bytes, &total), CUDA_SUCCESS);
	return free_bytes;
}

static CUmemoryPool new_pool(CUmemLocationType type)
{
	const CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				       .location = { type, 0 } };
	CUmemoryPool pool = NULL;

	check_result(cuMemPoolCreate(&pool, &props), CUDA_SUCCESS);
	return pool;
}

static CUmemoryPool default_pool(void)
{
	CUmemoryPool pool = NULL;

	check_result(cuDeviceGetDefaultMemPool(&pool, 0), CUDA_SUCCESS);
	return pool;
}

/* Nothing goes back to the device by itself. */
static void keep_all(CUmemoryPool pool)
{
	cuuint64_t threshold = UINT64_MAX;

	check_result(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD,
					   &threshold),
		     CUDA_SUCCESS);
}

static CUstream new_stream(void)
{
	CUstream stream = NULL;

	check_result(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
	return stream;
}

/* ---- at the limit ---- */

TENANT_BODY(from_pool_to_the_byte)
{
	CUmemoryPool pool;
	CUdeviceptr p, q = 1;
	uint64_t asked;

	tenant_context();
	pool = new_pool(CU_MEM_LOCATION_TYPE_DEVICE);
	check_result(cuMemAllocFromPoolAsync(&p, 64 * MIB + 1, pool, NULL),
		     CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAllocFromPoolAsync(&p, 64 * MIB, pool, NULL), CUDA_SUCCESS);
	asked = truth_asked();
	check_result(cuMemAllocFromPoolAsync(&q, 1, pool, NULL),
		     CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAllocAsync(&q, 1, NULL), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAlloc(&q, 1), CUDA_ERROR_OUT_OF_MEMORY);
	check(truth_asked() == asked && q == 1);
	check(truth_requested() == 64 * MIB && left_bytes() == 0);
	check_result(cuMemFreeAsync(p, NULL), CUDA_SUCCESS);
	check_result(cuStreamSynchronize(NULL), CUDA_SUCCESS);
	check(truth_requested() == 0 && left_bytes() == 64 * MIB);
	check_result(cuMemPoolDestroy(pool), CUDA_SUCCESS);
	check_result(cuMemAlloc(&q, 64 * MIB), CUDA_SUCCESS);
}

TENANT_BODY(default_pool_to_the_byte)
{
	CUdeviceptr p, q;

	tenant_context();
	check_result(cuMemAllocAsync(&p, 64 * MIB + 1, NULL), CUDA_ERROR_OUT_OF_MEMORY);
	/* Two granules are reserved for it: the rest of the second can still be had. */
	check_result(cuMemAllocAsync(&p, 33 * MIB, NULL), CUDA_SUCCESS);
	check(truth_requested() == 64 * MIB && left_bytes() == 0);
	check_result(cuMemAllocAsync(&q, 32 * MIB, NULL), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAllocAsync(&q, 31 * MIB, NULL), CUDA_SUCCESS);
	check_result(cuMemAllocAsync(&q, 1, NULL), CUDA_ERROR_OUT_OF_MEMORY);
	check(truth_requested() == 64 * MIB);
}

TENANT_BODY(twins_to_the_byte)
{
	CUmemoryPool pool;
	CUdeviceptr p, q;

	tenant_context();
	pool = new_pool(CU_MEM_LOCATION_TYPE_DEVICE);
	check_result(cuMemAllocAsync_ptsz(&p, 32 * MIB, NULL), CUDA_SUCCESS);
	check_result(cuMemAllocFromPoolAsync_ptsz(&q, 32 * MIB, pool, NULL),
		     CUDA_SUCCESS);
	check_result(cuMemAllocAsync_ptsz(&q, 1, NULL), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAllocFromPoolAsync_ptsz(&q, 1, pool, NULL),
		     CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemFreeAsync_ptsz(p, NULL), CUDA_SUCCESS);
	check_result(cuStreamSynchronize_ptsz(NULL), CUDA_SUCCESS);
	check(truth_requested() == 32 * MIB && left_bytes() == 32 * MIB);
}

static void quota_holds_for_explicit_pools(void)
{
	CU_ASSERT(tenant_passes("from_pool_to_the_byte", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 64 * MIB);
}

static void quota_holds_for_the_default_pool(void)
{
	CU_ASSERT(tenant_passes("default_pool_to_the_byte", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 64 * MIB);
}

static void quota_holds_for_per_thread_twins(void)
{
	CU_ASSERT(tenant_passes("twins_to_the_byte", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 64 * MIB);
}

static void without_the_shim_pools_go_past_the_quota(void)
{
	CU_ASSERT_FALSE(tenant_passes_bare("from_pool_to_the_byte", QUOTA, NULL));
	CU_ASSERT(tenant_device_requested_peak() > 64 * MIB);
}

/* HAMi-core counts nothing in cuMemAllocFromPoolAsync, and cannot free it. */
TENANT_BODY(hami_pool)
{
	CUmemoryPool pool;
	CUdeviceptr p[8];
	int got = 0;

	tenant_context();
	pool = new_pool(CU_MEM_LOCATION_TYPE_DEVICE);
	while (got < 8 &&
	       cuMemAllocFromPoolAsync(&p[got], 32 * MIB, pool, NULL) == CUDA_SUCCESS)
		got++;
	check(got == 2);
	while (got > 0)
		check_result(cuMemFreeAsync(p[--got], NULL), CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	check(truth_requested() == 0);
}

/* HAMi-core answers -1, which is no CUresult. */
TENANT_BODY(hami_code)
{
	const char *name = NULL;
	CUdeviceptr p;
	CUresult result;

	tenant_context();
	result = cuMemAllocAsync(&p, 100 * MIB, NULL);
	check_result(result, CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuGetErrorName(result, &name), CUDA_SUCCESS);
	check(name && strcmp(name, "CUDA_ERROR_OUT_OF_MEMORY") == 0);
}

static void hami_memory_from_pools_is_counted_and_freed(void)
{
	CU_ASSERT(tenant_passes("hami_pool", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 64 * MIB);
}

static void hami_async_over_quota_is_a_cuda_error(void)
{
	CU_ASSERT(tenant_passes("hami_code", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 0);
}

/* ---- what pools keep ---- */

TENANT_BODY(cached_memory_makes_room)
{
	CUmemoryPool pool;
	CUdeviceptr p;

	tenant_context();
	pool = new_pool(CU_MEM_LOCATION_TYPE_DEVICE);
	keep_all(pool);
	keep_all(default_pool());
	for (int i = 0; i < 10; i++) {
		check_result(cuMemAllocFromPoolAsync(&p, 64 * MIB, pool, NULL),
			     CUDA_SUCCESS);
		check_result(cuMemFreeAsync(p, NULL), CUDA_SUCCESS);
		check_result(cuCtxSynchronize(), CUDA_SUCCESS);
		check(truth_requested() == 64 * MIB && left_bytes() == 0);
		/* In turn: another pool, another kind of allocation. */
		check_result(cuMemAllocAsync(&p, 64 * MIB, NULL), CUDA_SUCCESS);
		check_result(cuMemFreeAsync(p, NULL), CUDA_SUCCESS);
		check_result(cuCtxSynchronize(), CUDA_SUCCESS);
		check_result(cuMemAlloc(&p, 64 * MIB), CUDA_SUCCESS);
		check_result(cuMemFree(p), CUDA_SUCCESS);
		check(truth_requested() == 0 && left_bytes() == 64 * MIB);
	}
}

static void what_pools_keep_does_not_stand_in_the_way(void)
{
	CU_ASSERT(tenant_passes("cached_memory_makes_room", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 64 * MIB);
}

/* Trimming cannot give back a chunk of which something is used. */
TENANT_BODY(cached_memory_is_used_again)
{
	CUstream stream, other;
	CUdeviceptr p, q, small;

	tenant_context();
	stream = new_stream();
	other = new_stream();
	keep_all(default_pool());
	check_result(cuMemAllocAsync(&p, 40 * MIB, stream), CUDA_SUCCESS);
	check_result(cuMemAllocAsync(&small, MIB, stream), CUDA_SUCCESS);
	for (int i = 0; i < 100; i++) {
		check_result(cuMemFreeAsync(p, stream), CUDA_SUCCESS);
		if (i % 2)
			check_result(cuStreamSynchronize(stream), CUDA_SUCCESS);
		/* A part of it and the rest, then all of it. */
		check_result(cuMemAllocAsync(&p, 15 * MIB, i % 2 ? other : stream),
			     CUDA_SUCCESS);
		check_result(cuMemAllocAsync(&q, 25 * MIB, i % 2 ? other : stream),
			     CUDA_SUCCESS);
		check_result(cuMemFreeAsync(p, stream), CUDA_SUCCESS);
		check_result(cuMemFreeAsync(q, stream), CUDA_SUCCESS);
		check_result(cuStreamSynchronize(stream), CUDA_SUCCESS);
		check_result(cuMemFreeAsync(small, stream), CUDA_SUCCESS);
		check_result(cuStreamSynchronize(stream), CUDA_SUCCESS);
		check_result(cuMemAllocAsync(&p, 40 * MIB, stream), CUDA_SUCCESS);
		check_result(cuMemAllocAsync(&small, MIB, stream), CUDA_SUCCESS);
	}
	check(truth_requested() == 64 * MIB);
}

static void free_memory_of_a_full_pool_is_used_again(void)
{
	CU_ASSERT(tenant_passes("cached_memory_is_used_again", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 64 * MIB);
}

TENANT_BODY(waiting_gives_back)
{
	CUstream stream;
	CUevent event;
	CUdeviceptr p;

	tenant_context();
	stream = new_stream();
	check_result(cuEventCreate(&event, 0), CUDA_SUCCESS);
	for (int i = 0; i < 5; i++) {
		check_result(cuMemAllocAsync(&p, 50 * MIB, stream), CUDA_SUCCESS);
		check_result(cuEventRecord(event, stream), CUDA_SUCCESS);
		if (i == 4) /* freed at once; given back by the next wait */
			check_result(cuMemFree(p), CUDA_SUCCESS);
		else
			check_result(cuMemFreeAsync(p, stream), CUDA_SUCCESS);
		check(left_bytes() == 0);
		if (i == 0)
			check_result(cuStreamSynchronize(stream), CUDA_SUCCESS);
		else if (i == 1)
			check_result(cuCtxSynchronize(), CUDA_SUCCESS);
		else if (i == 2)
			check_result(cuMemPoolTrimTo(default_pool(), 0), CUDA_SUCCESS);
		else
			check_result(cuStreamSynchronize(stream), CUDA_SUCCESS);
		if (i == 2)
			check_result(cuStreamSynchronize(stream), CUDA_SUCCESS);
		check(truth_requested() == 0 && left_bytes() == 64 * MIB);
	}
}

static void waiting_and_trimming_give_back(void)
{
	CU_ASSERT(tenant_passes("waiting_gives_back", QUOTA, NULL));
}

/* ---- the life of pools ---- */

TENANT_BODY(destroyed_with_allocations)
{
	CUmemoryPool pool;
	CUdeviceptr p, q, r;

	tenant_context();
	for (int i = 0; i < 20; i++) {
		pool = new_pool(CU_MEM_LOCATION_TYPE_DEVICE);
		check_result(cuMemAllocFromPoolAsync(&p, 32 * MIB, pool, NULL),
			     CUDA_SUCCESS);
		check_result(cuMemAllocFromPoolAsync(&q, 32 * MIB, pool, NULL),
			     CUDA_SUCCESS);
		check_result(cuMemPoolDestroy(pool), CUDA_SUCCESS);
		check(truth_requested() == 64 * MIB && left_bytes() == 0);
		check_result(cuMemAlloc(&r, 1), CUDA_ERROR_OUT_OF_MEMORY);
		check_result(cuMemFreeAsync(p, NULL), CUDA_SUCCESS);
		if (i % 2)
			check_result(cuMemFree(q), CUDA_SUCCESS);
		else
			check_result(cuMemFreeAsync(q, NULL), CUDA_SUCCESS);
		check_result(cuCtxSynchronize(), CUDA_SUCCESS);
		check(truth_requested() == 0 && left_bytes() == 64 * MIB);
	}
	check_result(cuMemPoolDestroy(default_pool()), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemAllocAsync(&p, 64 * MIB, NULL), CUDA_SUCCESS);
	check_result(cuMemAllocAsync(&p, 1, NULL), CUDA_ERROR_OUT_OF_MEMORY);
}

static void a_destroyed_pool_is_charged_until_its_last_allocation_goes(void)
{
	CU_ASSERT(tenant_passes("destroyed_with_allocations", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 64 * MIB);
}

TENANT_BODY(current_pool_changes)
{
	CUmemoryPool pool;
	CUdeviceptr p;

	tenant_context();
	pool = new_pool(CU_MEM_LOCATION_TYPE_DEVICE);
	check_result(cuMemAllocAsync(&p, 32 * MIB, NULL), CUDA_SUCCESS);
	check_result(cuDeviceSetMemPool(0, pool), CUDA_SUCCESS);
	check_result(cuMemAllocAsync(&p, 32 * MIB, NULL), CUDA_SUCCESS);
	check_result(cuMemAllocAsync(&p, 1, NULL), CUDA_ERROR_OUT_OF_MEMORY);
	check(truth_requested() == 64 * MIB && left_bytes() == 0);
}

static void the_pool_in_use_is_asked_for_at_each_call(void)
{
	CU_ASSERT(tenant_passes("current_pool_changes", QUOTA, NULL));
}

TENANT_BODY(pools_of_the_host)
{
	CUmemoryPool pool;
	CUdeviceptr p;

	tenant_context();
	pool = new_pool(CU_MEM_LOCATION_TYPE_HOST);
	check_result(cuMemAllocFromPoolAsync(&p, 200 * MIB, pool, NULL), CUDA_SUCCESS);
	check(left_bytes() == 64 * MIB);
	check_result(cuMemFreeAsync(p, NULL), CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	check_result(cuMemPoolDestroy(pool), CUDA_SUCCESS);
}

static void host_pools_are_not_charged(void)
{
	CU_ASSERT(tenant_passes("pools_of_the_host", QUOTA, NULL));
}

TENANT_BODY(pools_of_another_device)
{
	CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				 .location = { CU_MEM_LOCATION_TYPE_DEVICE, 1 } };
	CUmemoryPool pool;
	CUcontext second;
	CUstream stream;
	CUdeviceptr p;

	tenant_context();
	check_result(cuDevicePrimaryCtxRetain(&second, 1), CUDA_SUCCESS);
	check_result(cuCtxPushCurrent(second), CUDA_SUCCESS);
	stream = new_stream();
	check_result(cuCtxPopCurrent(NULL), CUDA_SUCCESS);
	/* The stream's device counts, and the pool's; the current one has all left. */
	check_result(cuMemAllocAsync(&p, 32 * MIB, stream), CUDA_SUCCESS);
	check_result(cuMemPoolCreate(&pool, &props), CUDA_SUCCESS);
	check_result(cuMemAllocFromPoolAsync(&p, 32 * MIB, pool, stream), CUDA_SUCCESS);
	check(left_bytes() == 64 * MIB);
	check_result(cuMemAllocAsync(&p, 1, stream), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAllocAsync(&p, 64 * MIB, NULL), CUDA_SUCCESS);
	check(left_bytes() == 0);
}

static void the_device_of_stream_or_pool_is_charged(void)
{
	setenv("SIMGPU_DEVICES", "2", 1);
	CU_ASSERT(tenant_passes("pools_of_another_device", QUOTA, NULL));
	unsetenv("SIMGPU_DEVICES");
}

TENANT_BODY(failed_calls)
{
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAllocAsync(&p, 64 * MIB, NULL), CUDA_ERROR_UNKNOWN);
	check_result(cuMemAllocAsync(NULL, 64 * MIB, NULL), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemAllocAsync(&p, SIZE_MAX, NULL), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemFreeAsync(4096, NULL), CUDA_ERROR_INVALID_VALUE);
	check(left_bytes() == 64 * MIB);
	check_result(cuMemAllocAsync(&p, 64 * MIB, NULL), CUDA_SUCCESS);
	check_result(cuMemFreeAsync(p, NULL), CUDA_ERROR_UNKNOWN);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	check(left_bytes() == 0);
	check_result(cuMemFreeAsync(p, NULL), CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	check(left_bytes() == 64 * MIB);
}

static void failed_calls_change_nothing(void)
{
	CU_ASSERT(tenant_passes(
		"failed_calls", QUOTA,
		"SIMGPU_FAULTS=cuMemAllocAsync@1=999;cuMemFreeAsync@2=999", NULL));
}

TENANT_BODY(plain_memory_freed_in_order)
{
	CUdeviceptr p;

	tenant_context();
	for (int i = 0; i < 10; i++) {
		check_result(cuMemAlloc(&p, 64 * MIB), CUDA_SUCCESS);
		check_result(cuMemFreeAsync(p, NULL), CUDA_SUCCESS);
		check(truth_requested() == 0 && left_bytes() == 64 * MIB);
	}
}

static void plain_memory_may_be_freed_in_stream_order(void)
{
	CU_ASSERT(tenant_passes("plain_memory_freed_in_order", QUOTA, NULL));
}

TENANT_BODY(a_small_granule)
{
	CUdeviceptr p[32];
	int got = 0;

	tenant_context();
	/* The first call cannot know it, later ones have seen it. */
	check_result(cuMemAllocAsync(&p[0], 2 * MIB, NULL), CUDA_SUCCESS);
	while (got < 31 && cuMemAllocAsync(&p[got + 1], 2 * MIB, NULL) == CUDA_SUCCESS)
		got++;
	check(got == 23);
	check(truth_requested() == 48 * MIB);
}

static void the_granule_of_a_pool_is_learned(void)
{
	setenv("SIMGPU_POOL_GRANULE", "2MiB", 1);
	CU_ASSERT(tenant_passes("a_small_granule", "GPUSHIM_MEMORY=48MiB", NULL));
	unsetenv("SIMGPU_POOL_GRANULE");
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 48 * MIB);
}

/* ---- captures ---- */

TENANT_BODY(captured)
{
	CUgraphExec exec;
	CUgraph graph;
	CUstream stream;
	CUdeviceptr p;

	tenant_context();
	stream = new_stream();
	check_result(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL),
		     CUDA_SUCCESS);
	/* A node, which takes nothing yet. */
	check_result(cuMemAllocAsync(&p, 96 * MIB, stream), CUDA_SUCCESS);
	check_result(cuMemFreeAsync(p, stream), CUDA_SUCCESS);
	check_result(cuStreamEndCapture(stream, &graph), CUDA_SUCCESS);
	check(truth_requested() == 0);
	check_result(cuGraphInstantiate(&exec, graph, 0), CUDA_SUCCESS);
	check_result(cuGraphLaunch(exec, stream), CUDA_ERROR_OUT_OF_MEMORY);
	check(truth_requested() == 0 && left_bytes() == 64 * MIB);
}

static void a_captured_allocation_is_counted_when_it_is_launched(void)
{
	CU_ASSERT(tenant_passes("captured", QUOTA, NULL));
}

/* ---- races ---- */

enum { THREADS = 8, ROUNDS = 400, HELD = 4 };

struct racer {
	pthread_t thread;
	CUcontext context;
	CUmemoryPool pool;
	unsigned number, granted;
};

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static CUresult take(const struct racer *racer, CUstream stream, uint32_t dice,
		     CUdeviceptr *p)
{
	uint64_t bytes = ((uint64_t)dice % 40 + 1) * MIB / 2;

	if (dice & 0x10000)
		return cuMemAllocFromPoolAsync(p, bytes, racer->pool, stream);
	if (dice & 0x20000)
		return cuMemAllocAsync(p, bytes, stream);
	return dice & 0x40000 ? cuMemAllocAsync(p, bytes + 30 * MIB, stream)
			      : cuMemAlloc(p, bytes);
}

static void *race(void *data)
{
	struct racer *racer = data;
	uint32_t state = racer->number + 1;
	CUdeviceptr held[HELD] = { 0 };
	CUstream stream;

	check_result(cuCtxSetCurrent(racer->context), CUDA_SUCCESS);
	stream = new_stream();
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t dice = next_random(&state), at = dice >> 4 & (HELD - 1);
		CUresult result;

		if (held[at]) {
			result = dice & 0x80000 ? cuMemFreeAsync(held[at], stream)
						: cuMemFree(held[at]);
			check_result(result, CUDA_SUCCESS);
			held[at] = 0;
		}
		if ((dice & 0x300000) == 0)
			check_result(cuStreamSynchronize(stream), CUDA_SUCCESS);
		result = take(racer, stream, dice, &held[at]);
		check(result == CUDA_SUCCESS || result == CUDA_ERROR_OUT_OF_MEMORY);
		racer->granted += result == CUDA_SUCCESS;
		if (result != CUDA_SUCCESS)
			held[at] = 0;
	}
	for (int i = 0; i < HELD; i++)
		if (held[i])
			check_result(cuMemFreeAsync(held[i], stream), CUDA_SUCCESS);
	check_result(cuStreamSynchronize(stream), CUDA_SUCCESS);
	return NULL;
}

TENANT_BODY(eight_threads_race)
{
	static struct racer racers[THREADS];
	unsigned granted = 0;
	CUmemoryPool pool;
	CUcontext context;
	CUdeviceptr p;

	tenant_context();
	check_result(cuCtxGetCurrent(&context), CUDA_SUCCESS);
	pool = new_pool(CU_MEM_LOCATION_TYPE_DEVICE);
	if (getenv("KEEP"))
		keep_all(pool);
	for (unsigned i = 0; i < THREADS; i++) {
		racers[i] = (struct racer){ .context = context,
					    .pool = pool,
					    .number = i };
		pthread_create(&racers[i].thread, NULL, race, &racers[i]);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(racers[i].thread, NULL);
		granted += racers[i].granted;
	}
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	if (getenv("SIBLINGS")) /* who may have all of the quota meanwhile */
		return;
	check(granted > ROUNDS / 2);
	/* Everything is free, and all of the quota can be had again. */
	check_result(cuMemAlloc(&p, 160 * MIB), CUDA_SUCCESS);
	check(truth_requested() == 160 * MIB);
}

static void racing_threads_never_exceed_the_quota(void)
{
	CU_ASSERT(tenant_passes("eight_threads_race", "GPUSHIM_MEMORY=160MiB", NULL));
	CU_ASSERT(tenant_device_requested_peak() <= 160 * MIB);
	CU_ASSERT(tenant_device_requested_peak() > 100 * MIB);
}

static void racing_threads_never_exceed_it_with_pools_that_keep_all(void)
{
	CU_ASSERT(tenant_passes("eight_threads_race", "GPUSHIM_MEMORY=160MiB", "KEEP=1",
				NULL));
	CU_ASSERT(tenant_device_requested_peak() <= 160 * MIB);
}

static void racing_processes_never_exceed_it_together(void)
{
	pid_t pids[3];

	for (int i = 0; i < 3; i++)
		pids[i] = tenant_start("eight_threads_race", "GPUSHIM_MEMORY=160MiB",
				       "SIBLINGS=1", i % 2 ? "KEEP=1" : "KEEP", NULL);
	for (int i = 0; i < 3; i++)
		CU_ASSERT(tenant_ends(pids[i]));
	CU_ASSERT(tenant_device_requested_peak() <= 160 * MIB);
	CU_ASSERT(tenant_device_requested_peak() > 100 * MIB);
}

static void without_the_shim_racing_threads_exceed_it(void)
{
	CU_ASSERT(tenant_passes_bare("eight_threads_race", NULL));
	CU_ASSERT(tenant_device_requested_peak() > 160 * MIB);
}

static void *hold_a_share(void *data)
{
	struct racer *racer = data;
	CUdeviceptr p;
	CUstream stream;

	check_result(cuCtxSetCurrent(racer->context), CUDA_SUCCESS);
	stream = new_stream();
	for (int i = 0; i < ROUNDS; i++) {
		CUresult result = racer->number % 2
					  ? cuMemAllocAsync(&p, 32 * MIB, stream)
					  : cuMemAllocFromPoolAsync(&p, 32 * MIB,
								    racer->pool, stream);

		if (!check_result(result, CUDA_SUCCESS))
			break;
		/* At once: what is freed in stream order is held until the stream is there. */
		check_result(cuMemFree(p), CUDA_SUCCESS);
	}
	return NULL;
}

TENANT_BODY(shares_that_fit)
{
	static struct racer racers[THREADS];
	CUmemoryPool pool;
	CUcontext context;

	tenant_context();
	check_result(cuCtxGetCurrent(&context), CUDA_SUCCESS);
	pool = new_pool(CU_MEM_LOCATION_TYPE_DEVICE);
	if (getenv("KEEP")) {
		keep_all(pool);
		keep_all(default_pool());
	}
	for (unsigned i = 0; i < THREADS; i++) {
		racers[i] = (struct racer){ .context = context,
					    .pool = pool,
					    .number = i };
		pthread_create(&racers[i].thread, NULL, hold_a_share, &racers[i]);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(racers[i].thread, NULL);
}

static void threads_whose_sum_fits_are_never_refused(void)
{
	CU_ASSERT(tenant_passes("shares_that_fit", "GPUSHIM_MEMORY=256MiB", NULL));
	CU_ASSERT(tenant_passes("shares_that_fit", "GPUSHIM_MEMORY=256MiB", "KEEP=1",
				NULL));
	CU_ASSERT(tenant_device_requested_peak() <= 256 * MIB);
}

const struct unit_suite unit_suite = {
	.name = "pools under a quota",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(quota_holds_for_explicit_pools),
		UNIT_TEST(quota_holds_for_the_default_pool),
		UNIT_TEST(quota_holds_for_per_thread_twins),
		UNIT_TEST(without_the_shim_pools_go_past_the_quota),
		UNIT_TEST(hami_memory_from_pools_is_counted_and_freed),
		UNIT_TEST(hami_async_over_quota_is_a_cuda_error),
		UNIT_TEST(what_pools_keep_does_not_stand_in_the_way),
		UNIT_TEST(free_memory_of_a_full_pool_is_used_again),
		UNIT_TEST(waiting_and_trimming_give_back),
		UNIT_TEST(a_destroyed_pool_is_charged_until_its_last_allocation_goes),
		UNIT_TEST(the_pool_in_use_is_asked_for_at_each_call),
		UNIT_TEST(host_pools_are_not_charged),
		UNIT_TEST(the_device_of_stream_or_pool_is_charged),
		UNIT_TEST(failed_calls_change_nothing),
		UNIT_TEST(plain_memory_may_be_freed_in_stream_order),
		UNIT_TEST(the_granule_of_a_pool_is_learned),
		UNIT_TEST(a_captured_allocation_is_counted_when_it_is_launched),
		UNIT_TEST(racing_threads_never_exceed_the_quota),
		UNIT_TEST(racing_threads_never_exceed_it_with_pools_that_keep_all),
		UNIT_TEST(racing_processes_never_exceed_it_together),
		UNIT_TEST(without_the_shim_racing_threads_exceed_it),
		UNIT_TEST(threads_whose_sum_fits_are_never_refused),
	},
};
