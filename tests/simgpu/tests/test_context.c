/*
 * Contexts: creation, the stacks of threads, primary contexts, limits, peers; what the CUDA
 * Driver API manual promises ("Context Management", "Primary Context Management").
 */
#include "common_gpu.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "simgpu.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static CUdevice device;

static int prepare(void)
{
	return cuInit(0) != CUDA_SUCCESS || cuDeviceGet(&device, 0) != CUDA_SUCCESS;
}

/* This process' row of device truth; to be freed by simgpu_free(). */
static struct simgpu_truth *truth(const struct simgpu_client **me)
{
	struct simgpu_monitor *monitor = simgpu_open(NULL, 0, NULL);
	struct simgpu_truth *all = monitor != NULL ? simgpu_truth(monitor) : NULL;

	*me = all != NULL ? simgpu_find(all, (int)getpid()) : NULL;
	if (monitor != NULL)
		simgpu_close(monitor);
	CU_ASSERT_PTR_NOT_NULL(*me);
	return all;
}

static uint64_t context_bytes(void)
{
	const struct simgpu_client *me;
	struct simgpu_truth *all = truth(&me);
	uint64_t bytes = me != NULL ? me->memory[0].context : 0;

	simgpu_free(all);
	return bytes;
}

/* ---- creation ---- */

static void a_new_context_is_current_and_holds_device_memory(void)
{
	CUcontext ctx = NULL, current = NULL;
	CUdevice where = -1;
	unsigned flags = 0, version = 0;
	uint64_t before = context_bytes();

	GPU_OK(cuCtxCreate(&ctx, NULL, CU_CTX_SCHED_BLOCKING_SYNC, device));
	GPU_OK(cuCtxGetCurrent(&current));
	CU_ASSERT_PTR_EQUAL(current, ctx);
	GPU_OK(cuCtxGetDevice(&where));
	CU_ASSERT_EQUAL(where, device);
	GPU_OK(cuCtxGetFlags(&flags));
	CU_ASSERT_EQUAL(flags, CU_CTX_SCHED_BLOCKING_SYNC);
	GPU_OK(cuCtxGetApiVersion(ctx, &version));
	CU_ASSERT_EQUAL(version, 3020);
	CU_ASSERT(context_bytes() > before);
	GPU_OK(cuCtxDestroy(ctx));
	CU_ASSERT_EQUAL(context_bytes(), before);
	GPU_OK(cuCtxGetCurrent(&current));
	CU_ASSERT_PTR_NULL(current);
}

static void bad_arguments_of_creation_are_refused(void)
{
	CUcontext ctx = (CUcontext)&device;
	CUctxCreateParams neither = { 0 };

	GPU_IS(cuCtxCreate(NULL, NULL, 0, device), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuCtxCreate(&ctx, NULL, 0x100, device), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuCtxCreate(&ctx, NULL, CU_CTX_SCHED_SPIN | CU_CTX_SCHED_YIELD, device),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuCtxCreate(&ctx, NULL, 0, 77), CUDA_ERROR_INVALID_DEVICE);
	GPU_IS(cuCtxCreate(&ctx, NULL, 0, -1), CUDA_ERROR_INVALID_DEVICE);
	GPU_IS(cuCtxCreate(&ctx, &neither, 0, device), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuCtxGetCurrent(&ctx));
	CU_ASSERT_PTR_NULL(ctx);
}

static void handles_that_are_no_contexts_are_recognised(void)
{
	CUcontext ctx = gpu_context();
	CUcontext bad[] = { (CUcontext)1, (CUcontext)(uintptr_t)-1, (CUcontext)&device,
			    (CUcontext)((char *)ctx + 8),
			    (CUcontext)((char *)ctx + 4096) };
	CUstream stream;
	unsigned long long id;

	GPU_OK(cuStreamCreate(&stream, 0));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		GPU_IS(cuCtxSetCurrent(bad[i]), CUDA_ERROR_INVALID_CONTEXT);
		GPU_IS(cuCtxPushCurrent(bad[i]), CUDA_ERROR_INVALID_CONTEXT);
		GPU_IS(cuCtxDestroy(bad[i]), CUDA_ERROR_INVALID_CONTEXT);
		GPU_IS(cuCtxGetId(bad[i], &id), CUDA_ERROR_INVALID_CONTEXT);
	}
	GPU_IS(cuCtxDestroy((CUcontext)stream), CUDA_ERROR_INVALID_CONTEXT);
	GPU_IS(cuCtxDestroy(NULL), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuCtxSynchronize());
	gpu_context_end(ctx);
	GPU_IS(cuCtxDestroy(ctx), CUDA_ERROR_INVALID_CONTEXT);
}

/* ---- stacks ---- */

static void push_pop_and_set_work_on_a_stack(void)
{
	CUcontext a, b, got = NULL;

	GPU_OK(cuCtxCreate(&a, NULL, 0, device));
	GPU_OK(cuCtxCreate(&b, NULL, 0, device));
	GPU_OK(cuCtxGetCurrent(&got));
	CU_ASSERT_PTR_EQUAL(got, b);
	GPU_OK(cuCtxPopCurrent(&got));
	CU_ASSERT_PTR_EQUAL(got, b);
	GPU_OK(cuCtxGetCurrent(&got));
	CU_ASSERT_PTR_EQUAL(got, a);
	GPU_OK(cuCtxPushCurrent(b));
	GPU_OK(cuCtxPushCurrent(b));
	GPU_OK(cuCtxSetCurrent(a)); /* replaces the top: a, b, a */
	GPU_OK(cuCtxPopCurrent(NULL));
	GPU_OK(cuCtxGetCurrent(&got));
	CU_ASSERT_PTR_EQUAL(got, b);
	GPU_OK(cuCtxSetCurrent(NULL)); /* pops: a */
	GPU_OK(cuCtxGetCurrent(&got));
	CU_ASSERT_PTR_EQUAL(got, a);
	GPU_OK(cuCtxPopCurrent(&got));
	GPU_IS(cuCtxPopCurrent(&got), CUDA_ERROR_INVALID_CONTEXT);
	GPU_IS(cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT);
	GPU_IS(cuCtxPushCurrent(NULL), CUDA_ERROR_INVALID_CONTEXT);
	GPU_OK(cuCtxSetCurrent(NULL));
	GPU_IS(cuCtxGetCurrent(NULL), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuCtxDestroy(a));
	GPU_OK(cuCtxDestroy(b));
}

static void a_stack_takes_many_contexts(void)
{
	CUcontext ctx = gpu_context(), got;

	for (int i = 0; i < 5000; i++)
		GPU_OK(cuCtxPushCurrent(ctx));
	for (int i = 0; i < 5000; i++)
		GPU_OK(cuCtxPopCurrent(&got));
	GPU_OK(cuCtxGetCurrent(&got));
	CU_ASSERT_PTR_EQUAL(got, ctx);
	gpu_context_end(ctx);
}

struct visitor {
	CUcontext ctx;
	pthread_barrier_t barrier;
	CUresult before, during, after_reuse;
	CUcontext current;
};

static void *visit(void *arg)
{
	struct visitor *v = arg;

	v->before = cuCtxSetCurrent(v->ctx);
	pthread_barrier_wait(&v->barrier);
	pthread_barrier_wait(&v->barrier); /* destroyed meanwhile */
	v->during = cuCtxSynchronize();
	cuCtxGetCurrent(&v->current);
	pthread_barrier_wait(&v->barrier);
	pthread_barrier_wait(&v->barrier); /* a thousand new ones meanwhile */
	v->after_reuse = cuCtxSynchronize();
	return NULL;
}

static void a_context_destroyed_elsewhere_is_dead_and_stays_dead(void)
{
	struct visitor v = { .ctx = gpu_context() };
	CUcontext others[20];
	pthread_t thread;

	pthread_barrier_init(&v.barrier, NULL, 2);
	pthread_create(&thread, NULL, visit, &v);
	pthread_barrier_wait(&v.barrier);
	gpu_context_end(v.ctx);
	pthread_barrier_wait(&v.barrier);
	pthread_barrier_wait(&v.barrier);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 20; i++)
			GPU_OK(cuCtxCreate(&others[i], NULL, 0, device));
		for (int i = 19; i >= 0; i--)
			if (round < 2)
				GPU_OK(cuCtxDestroy(others[i]));
	}
	pthread_barrier_wait(&v.barrier);
	pthread_join(thread, NULL);
	for (int i = 19; i >= 0; i--)
		GPU_OK(cuCtxDestroy(others[i]));
	pthread_barrier_destroy(&v.barrier);
	CU_ASSERT_EQUAL(v.before, CUDA_SUCCESS);
	CU_ASSERT_EQUAL(v.during, CUDA_ERROR_CONTEXT_IS_DESTROYED);
	CU_ASSERT_PTR_EQUAL(v.current, v.ctx);
	CU_ASSERT_EQUAL(v.after_reuse, CUDA_ERROR_CONTEXT_IS_DESTROYED);
}

static void ids_are_never_reused(void)
{
	unsigned long long last = 0, id = 0;

	for (int i = 0; i < 10; i++) {
		CUcontext ctx = gpu_context();

		GPU_OK(cuCtxGetId(ctx, &id));
		CU_ASSERT(id > last);
		last = id;
		GPU_OK(cuCtxGetId(NULL, &id));
		CU_ASSERT_EQUAL(id, last);
		GPU_IS(cuCtxGetId(ctx, NULL), CUDA_ERROR_INVALID_VALUE);
		gpu_context_end(ctx);
	}
	GPU_IS(cuCtxGetId(NULL, &id), CUDA_ERROR_INVALID_CONTEXT);
}

static void attach_and_detach_count(void)
{
	CUcontext ctx = gpu_context(), again = NULL;

	GPU_IS(cuCtxAttach(&again, 1), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuCtxAttach(NULL, 0), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuCtxAttach(&again, 0));
	CU_ASSERT_PTR_EQUAL(again, ctx);
	GPU_OK(cuCtxDetach(ctx));
	GPU_OK(cuCtxSynchronize());
	GPU_OK(cuCtxDetach(ctx));
	GPU_IS(cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT);
	GPU_IS(cuCtxDetach(ctx), CUDA_ERROR_INVALID_CONTEXT);
}

/* ---- destruction ---- */

static void destruction_waits_for_work_and_takes_streams_and_events_along(void)
{
	CUcontext ctx = gpu_context();
	CUstream stream;
	CUevent event;
	unsigned flags;

	GPU_OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	GPU_OK(cuEventCreate(&event, 0));
	GPU_OK(cuEventRecord(event, stream));
	gpu_context_end(ctx);
	ctx = gpu_context();
	GPU_IS(cuStreamGetFlags(stream, &flags), CUDA_ERROR_INVALID_HANDLE);
	GPU_IS(cuStreamSynchronize(stream), CUDA_ERROR_INVALID_HANDLE);
	GPU_IS(cuEventQuery(event), CUDA_ERROR_INVALID_HANDLE);
	GPU_IS(cuEventDestroy(event), CUDA_ERROR_INVALID_HANDLE);
	gpu_context_end(ctx);
}

static void synchronising_a_context_includes_destroyed_streams(void)
{
	CUcontext ctx = gpu_context();
	CUstream stream;
	CUevent event;
	struct gate gate;

	GPU_OK(cuEventCreate(&event, 0));
	GPU_OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	gate = gate_close(stream);
	GPU_OK(cuEventRecord(event, stream));
	GPU_OK(cuStreamDestroy(stream));
	GPU_IS(cuEventQuery(event), CUDA_ERROR_NOT_READY);
	gate_open(&gate);
	GPU_OK(cuCtxSynchronize());
	GPU_OK(cuEventQuery(event));
	gate_free(&gate);
	gpu_context_end(ctx);
}

static void nothing(void *unused)
{
	(void)unused;
}

/* Submits to the default stream until the context has gone. */
static void *submit_until_gone(void *own)
{
	CUresult res = cuCtxSetCurrent(own);

	while (res == CUDA_SUCCESS)
		res = cuLaunchHostFunc(NULL, nothing, NULL);
	return (void *)(intptr_t)res;
}

static void work_that_comes_while_its_context_goes_is_refused(void)
{
	enum { THREADS = 4, ROUNDS = 50 };
	pthread_t threads[THREADS];
	CUcontext ctx;
	void *result;

	for (int round = 0; round < ROUNDS; round++) {
		ctx = gpu_context();
		for (int i = 0; i < THREADS; i++)
			pthread_create(&threads[i], NULL, submit_until_gone, ctx);
		GPU_OK(cuCtxDestroy(ctx));
		for (int i = 0; i < THREADS; i++) {
			pthread_join(threads[i], &result);
			CU_ASSERT((intptr_t)result == CUDA_ERROR_CONTEXT_IS_DESTROYED ||
				  (intptr_t)result == CUDA_ERROR_INVALID_CONTEXT);
		}
	}
	/* And nothing else has come of it. */
	ctx = gpu_context();
	GPU_OK(cuLaunchHostFunc(NULL, nothing, NULL));
	GPU_OK(cuCtxSynchronize());
	gpu_context_end(ctx);
}

/* ---- primary contexts ---- */

static void the_primary_context_is_counted_and_keeps_its_handle(void)
{
	CUcontext first, second, third;
	unsigned flags = 99;
	int active = 99;
	uint64_t before = context_bytes();

	GPU_OK(cuDevicePrimaryCtxGetState(device, &flags, &active));
	CU_ASSERT(flags == 0 && active == 0);
	GPU_OK(cuDevicePrimaryCtxSetFlags(device, CU_CTX_SCHED_YIELD));
	GPU_IS(cuDevicePrimaryCtxSetFlags(device, 0x1000), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuDevicePrimaryCtxRetain(&first, device));
	GPU_OK(cuDevicePrimaryCtxRetain(&second, device));
	CU_ASSERT_PTR_EQUAL(first, second);
	GPU_OK(cuDevicePrimaryCtxGetState(device, &flags, &active));
	CU_ASSERT(flags == CU_CTX_SCHED_YIELD && active == 1);
	CU_ASSERT(context_bytes() > before);
	GPU_OK(cuDevicePrimaryCtxRelease(device));
	GPU_OK(cuCtxSetCurrent(first));
	GPU_OK(cuCtxSynchronize());
	GPU_IS(cuCtxDestroy(first), CUDA_ERROR_INVALID_CONTEXT);
	GPU_OK(cuDevicePrimaryCtxRelease(device));
	CU_ASSERT_EQUAL(context_bytes(), before);
	GPU_OK(cuDevicePrimaryCtxGetState(device, &flags, &active));
	CU_ASSERT_EQUAL(active, 0);
	/* Still on the stack, but dead; alive again when it is retained again. */
	GPU_IS(cuCtxSynchronize(), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	GPU_OK(cuDevicePrimaryCtxRetain(&third, device));
	CU_ASSERT_PTR_EQUAL(first, third);
	GPU_OK(cuCtxSynchronize());
	GPU_OK(cuDevicePrimaryCtxRelease(device));
	GPU_IS(cuDevicePrimaryCtxRelease(device), CUDA_ERROR_INVALID_CONTEXT);
	GPU_IS(cuDevicePrimaryCtxRelease(5), CUDA_ERROR_INVALID_DEVICE);
	GPU_IS(cuDevicePrimaryCtxRetain(NULL, device), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuDevicePrimaryCtxRetain(&third, 5), CUDA_ERROR_INVALID_DEVICE);
	GPU_OK(cuDevicePrimaryCtxSetFlags(device, 0));
	GPU_OK(cuCtxSetCurrent(NULL));
}

static void a_reset_frees_everything_but_the_references(void)
{
	CUcontext ctx;
	CUfunc_cache cache;
	CUstream stream;
	unsigned flags;
	size_t value = 0;
	int active;

	GPU_OK(cuDevicePrimaryCtxRetain(&ctx, device));
	GPU_OK(cuCtxSetCurrent(ctx));
	GPU_OK(cuStreamCreate(&stream, 0));
	GPU_OK(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 4096));
	GPU_OK(cuCtxSetCacheConfig(CU_FUNC_CACHE_PREFER_L1));
	GPU_OK(cuDevicePrimaryCtxReset(device));
	GPU_OK(cuDevicePrimaryCtxGetState(device, &flags, &active));
	CU_ASSERT_EQUAL(active, 0);
	GPU_IS(cuStreamQuery(stream), CUDA_ERROR_INVALID_HANDLE);
	GPU_IS(cuCtxSynchronize(), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	GPU_OK(cuDevicePrimaryCtxRelease(device));
	GPU_IS(cuDevicePrimaryCtxRelease(device), CUDA_ERROR_INVALID_CONTEXT);
	GPU_OK(cuDevicePrimaryCtxReset(device));
	/* What is made next is as new. */
	GPU_OK(cuDevicePrimaryCtxRetain(&ctx, device));
	GPU_OK(cuCtxSetCurrent(ctx));
	GPU_OK(cuCtxGetLimit(&value, CU_LIMIT_STACK_SIZE));
	CU_ASSERT_EQUAL(value, 1024);
	GPU_OK(cuCtxGetCacheConfig(&cache));
	CU_ASSERT_EQUAL(cache, CU_FUNC_CACHE_PREFER_NONE);
	GPU_OK(cuDevicePrimaryCtxRelease(device));
	GPU_OK(cuCtxSetCurrent(NULL));
}

/* ---- settings ---- */

static void limits_have_defaults_bounds_and_a_price(void)
{
	CUcontext ctx = gpu_context();
	size_t value = 0;
	uint64_t before = context_bytes();

	GPU_OK(cuCtxGetLimit(&value, CU_LIMIT_STACK_SIZE));
	CU_ASSERT_EQUAL(value, 1024);
	GPU_OK(cuCtxGetLimit(&value, CU_LIMIT_PRINTF_FIFO_SIZE));
	CU_ASSERT_EQUAL(value, 1 << 20);
	GPU_OK(cuCtxGetLimit(&value, CU_LIMIT_MALLOC_HEAP_SIZE));
	CU_ASSERT_EQUAL(value, 8 << 20);
	GPU_OK(cuCtxSetLimit(CU_LIMIT_MALLOC_HEAP_SIZE, 72 << 20));
	GPU_OK(cuCtxGetLimit(&value, CU_LIMIT_MALLOC_HEAP_SIZE));
	CU_ASSERT_EQUAL(value, 72 << 20);
	CU_ASSERT_EQUAL(context_bytes(), before + (64 << 20));
	GPU_OK(cuCtxSetLimit(CU_LIMIT_PRINTF_FIFO_SIZE, 9 << 20));
	CU_ASSERT_EQUAL(context_bytes(), before + (72 << 20));
	GPU_OK(cuCtxSetLimit(CU_LIMIT_PRINTF_FIFO_SIZE, 1 << 20));
	GPU_OK(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 2048));
	CU_ASSERT(context_bytes() > before + (65 << 20));
	GPU_OK(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 1024));
	GPU_OK(cuCtxSetLimit(CU_LIMIT_MALLOC_HEAP_SIZE, 8 << 20));
	CU_ASSERT_EQUAL(context_bytes(), before);
	/* More than the device has: refused, and nothing changes. */
	GPU_IS(cuCtxSetLimit(CU_LIMIT_MALLOC_HEAP_SIZE, (size_t)16 << 30),
	       CUDA_ERROR_OUT_OF_MEMORY);
	GPU_OK(cuCtxGetLimit(&value, CU_LIMIT_MALLOC_HEAP_SIZE));
	CU_ASSERT_EQUAL(value, 8 << 20);
	GPU_IS(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, (size_t)1 << 40),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuCtxSetLimit((CUlimit)55, 1), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuCtxGetLimit(&value, (CUlimit)55), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuCtxGetLimit(NULL, CU_LIMIT_STACK_SIZE), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuCtxGetLimit(&value, CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH),
	       CUDA_ERROR_UNSUPPORTED_LIMIT);
	GPU_IS(cuCtxSetLimit(CU_LIMIT_SHMEM_SIZE, 1), CUDA_ERROR_UNSUPPORTED_LIMIT);
	GPU_OK(cuCtxSetLimit(CU_LIMIT_PERSISTING_L2_CACHE_SIZE, 1 << 20));
	GPU_OK(cuCtxGetLimit(&value, CU_LIMIT_PERSISTING_L2_CACHE_SIZE));
	CU_ASSERT_EQUAL(value, 1 << 20);
	GPU_OK(cuCtxResetPersistingL2Cache());
	gpu_context_end(ctx);
	GPU_IS(cuCtxGetLimit(&value, CU_LIMIT_STACK_SIZE), CUDA_ERROR_INVALID_CONTEXT);
}

static void preferences_are_kept(void)
{
	CUcontext ctx = gpu_context();
	CUfunc_cache cache;
	CUsharedconfig shared;
	unsigned flags;
	int least = 9, greatest = 9;

	GPU_OK(cuCtxGetCacheConfig(&cache));
	CU_ASSERT_EQUAL(cache, CU_FUNC_CACHE_PREFER_NONE);
	GPU_OK(cuCtxSetCacheConfig(CU_FUNC_CACHE_PREFER_L1));
	GPU_OK(cuCtxGetCacheConfig(&cache));
	CU_ASSERT_EQUAL(cache, CU_FUNC_CACHE_PREFER_L1);
	GPU_IS(cuCtxSetCacheConfig((CUfunc_cache)9), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuCtxSetSharedMemConfig(CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE));
	GPU_OK(cuCtxGetSharedMemConfig(&shared));
	GPU_IS(cuCtxSetSharedMemConfig((CUsharedconfig)9), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuCtxSetFlags(CU_CTX_SYNC_MEMOPS));
	GPU_OK(cuCtxGetFlags(&flags));
	CU_ASSERT_EQUAL(flags, CU_CTX_SYNC_MEMOPS);
	GPU_OK(cuCtxGetStreamPriorityRange(&least, &greatest));
	CU_ASSERT(least == 0 && greatest == -5);
	GPU_OK(cuCtxGetStreamPriorityRange(NULL, NULL));
	gpu_context_end(ctx);
}

/* ---- two devices, and no device process ---- */

static void peers(void)
{
	CUcontext a, b, same;

	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuCtxCreate(&same, NULL, 0, 0), CUDA_SUCCESS);
	CHECK_IS(cuCtxCreate(&b, NULL, 0, 1), CUDA_SUCCESS);
	CHECK_IS(cuCtxCreate(&a, NULL, 0, 0), CUDA_SUCCESS);
	CHECK_IS(cuCtxEnablePeerAccess(b, 1), CUDA_ERROR_INVALID_VALUE);
	CHECK_IS(cuCtxEnablePeerAccess(a, 0), CUDA_ERROR_INVALID_CONTEXT);
	CHECK_IS(cuCtxEnablePeerAccess(NULL, 0), CUDA_ERROR_INVALID_CONTEXT);
	CHECK_IS(cuCtxEnablePeerAccess(same, 0), CUDA_ERROR_PEER_ACCESS_UNSUPPORTED);
	CHECK_IS(cuCtxDisablePeerAccess(b), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
	CHECK_IS(cuCtxEnablePeerAccess(b, 0), CUDA_SUCCESS);
	CHECK_IS(cuCtxEnablePeerAccess(b, 0), CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
	CHECK_IS(cuCtxDisablePeerAccess(b), CUDA_SUCCESS);
	CHECK_IS(cuCtxDisablePeerAccess(b), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
	CHECK_IS(cuCtxDestroy(a), CUDA_SUCCESS);
	CHECK_IS(cuCtxDestroy(b), CUDA_SUCCESS);
	CHECK_IS(cuCtxDestroy(same), CUDA_SUCCESS);
}

static void peer_access_is_enabled_once(void)
{
	CU_ASSERT_EQUAL(
		child_run(peers, (const char *const[]){ "SIMGPU_ZERO_COST=1",
							"SIMGPU_DEVICES=2", NULL }),
		0);
}

static void zero_cost(void)
{
	CUcontext ctx, primary;
	CUstream stream;
	size_t value;

	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT);
	CHECK_IS(cuDevicePrimaryCtxRetain(&primary, 0), CUDA_SUCCESS);
	CHECK_IS(cuCtxCreate(&ctx, NULL, 0, 0), CUDA_SUCCESS);
	CHECK_IS(cuCtxSetLimit(CU_LIMIT_MALLOC_HEAP_SIZE, 64 << 20), CUDA_SUCCESS);
	CHECK_IS(cuCtxGetLimit(&value, CU_LIMIT_MALLOC_HEAP_SIZE), CUDA_SUCCESS);
	CHECK(value == 64 << 20);
	CHECK_IS(cuStreamCreate(&stream, 0), CUDA_SUCCESS);
	CHECK_IS(cuCtxSynchronize(), CUDA_SUCCESS);
	CHECK_IS(cuCtxDestroy(ctx), CUDA_SUCCESS);
	CHECK_IS(cuStreamQuery(stream), CUDA_ERROR_INVALID_HANDLE);
	CHECK_IS(cuCtxDestroy(ctx), CUDA_ERROR_INVALID_CONTEXT);
	CHECK_IS(cuDevicePrimaryCtxRelease(0), CUDA_SUCCESS);
	CHECK_IS(cuDevicePrimaryCtxRelease(0), CUDA_ERROR_INVALID_CONTEXT);
}

static void contexts_work_without_a_device_process(void)
{
	CU_ASSERT_EQUAL(
		child_run(zero_cost, (const char *const[]){ "SIMGPU_ZERO_COST=1", NULL }),
		0);
}

/* Tests of children come first: later this process has initialised CUDA. */
static int nothing_yet(void)
{
	return 0;
}

static void the_driver_initialises(void)
{
	CU_ASSERT_EQUAL_FATAL(prepare(), 0);
}

const struct unit_suite unit_suite = {
	.name = "driver contexts",
	.init = nothing_yet,
	.tests = {
		UNIT_TEST(peer_access_is_enabled_once),
		UNIT_TEST(contexts_work_without_a_device_process),
		UNIT_TEST(the_driver_initialises),
		UNIT_TEST(a_new_context_is_current_and_holds_device_memory),
		UNIT_TEST(bad_arguments_of_creation_are_refused),
		UNIT_TEST(handles_that_are_no_contexts_are_recognised),
		UNIT_TEST(push_pop_and_set_work_on_a_stack),
		UNIT_TEST(a_stack_takes_many_contexts),
		UNIT_TEST(a_context_destroyed_elsewhere_is_dead_and_stays_dead),
		UNIT_TEST(ids_are_never_reused),
		UNIT_TEST(attach_and_detach_count),
		UNIT_TEST(destruction_waits_for_work_and_takes_streams_and_events_along),
		UNIT_TEST(synchronising_a_context_includes_destroyed_streams),
		UNIT_TEST(work_that_comes_while_its_context_goes_is_refused),
		UNIT_TEST(the_primary_context_is_counted_and_keeps_its_handle),
		UNIT_TEST(a_reset_frees_everything_but_the_references),
		UNIT_TEST(limits_have_defaults_bounds_and_a_price),
		UNIT_TEST(preferences_are_kept),
	},
};
