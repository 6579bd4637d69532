/*
 * test_pool_streams.c - which stream a free waits for: streams that go, and streams that
 * look alike. What was freed on one of them is not free for the other, and what waits for a
 * stream that has gone with its context comes back.
 *
 * The quota of 64 MiB is full at each of these points, so that a pool which takes more than
 * was expected stands on the device above it.
 */
#include "cunit_main.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "base/elf.h"
#include "common_tenant.h"
#include "common_truth.h"

#define MIB ((uint64_t)1 << 20)
#define QUOTA "GPUSHIM_MEMORY=64MiB"

CUresult CUDAAPI cuCtxCreate_v2(CUcontext *context, unsigned flags, CUdevice device);
CUresult CUDAAPI cuMemAllocAsync_ptsz(CUdeviceptr *dptr, size_t bytes, CUstream stream);
CUresult CUDAAPI cuMemFreeAsync_ptsz(CUdeviceptr dptr, CUstream stream);
CUresult CUDAAPI cuLaunchHostFunc_ptsz(CUstream stream, CUhostFn fn, void *data);

static uint64_t left_bytes(void)
{
	size_t free_bytes = 0, total = 0;

	check_result(cuMemGetInfo(&free_bytes, &total), CUDA_SUCCESS);
	return free_bytes;
}

static CUstream new_stream(void)
{
	CUstream stream = NULL;

	check_result(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
	return stream;
}

static sem_t gate;

static void CUDA_CB wait_at_gate(void *data)
{
	(void)data;
	while (sem_wait(&gate) < 0)
		;
}

static void open_gate(void)
{
	check(sem_post(&gate) == 0);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
}

/* The other half of the quota. */
static CUdeviceptr take_half(void)
{
	CUdeviceptr p = 0;

	check_result(cuMemAlloc(&p, 32 * MIB), CUDA_SUCCESS);
	check(left_bytes() == 0);
	return p;
}

/* ---- a stream whose handle is given out again ---- */

TENANT_BODY(a_handle_given_out_again)
{
	CUdeviceptr p, q = 0;
	CUstream old, fresh;

	tenant_context();
	sem_init(&gate, 0, 0);
	old = new_stream();
	check_result(cuMemAllocAsync(&p, 32 * MIB, old), CUDA_SUCCESS);
	take_half();
	check_result(cuLaunchHostFunc(old, wait_at_gate, NULL), CUDA_SUCCESS);
	check_result(cuMemFreeAsync(p, old), CUDA_SUCCESS);
	check_result(cuStreamDestroy(old), CUDA_SUCCESS);
	fresh = new_stream();
	if (!check(fresh == old)) /* or this proves nothing */
		return;
	check_result(cuMemAllocAsync(&q, 32 * MIB, fresh), CUDA_ERROR_OUT_OF_MEMORY);
	/* Nor has waiting for the new one waited for the old one. */
	check_result(cuStreamSynchronize(fresh), CUDA_SUCCESS);
	check_result(cuMemAllocAsync(&q, 32 * MIB, fresh), CUDA_ERROR_OUT_OF_MEMORY);
	open_gate();
	check_result(cuMemAllocAsync(&q, 32 * MIB, fresh), CUDA_SUCCESS);
	check(truth_requested() == 64 * MIB);
}

static void a_stream_does_not_inherit_what_was_freed_on_another_of_its_handle(void)
{
	CU_ASSERT(tenant_passes("a_handle_given_out_again", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 64 * MIB);
}

/* ---- streams without a handle ---- */

TENANT_BODY(default_streams_of_two_contexts)
{
	CUcontext first, second;
	CUdeviceptr p, q = 0;

	tenant_context();
	sem_init(&gate, 0, 0);
	check_result(cuCtxGetCurrent(&first), CUDA_SUCCESS);
	check_result(cuMemAllocAsync(&p, 32 * MIB, NULL), CUDA_SUCCESS);
	take_half();
	check_result(cuLaunchHostFunc(NULL, wait_at_gate, NULL), CUDA_SUCCESS);
	check_result(cuMemFreeAsync(p, NULL), CUDA_SUCCESS);
	check_result(cuCtxCreate_v2(&second, 0, 0), CUDA_SUCCESS);
	check_result(cuMemAllocAsync(&q, 32 * MIB, NULL), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuStreamSynchronize(NULL), CUDA_SUCCESS);
	check_result(cuMemAllocAsync(&q, 32 * MIB, NULL), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuCtxSetCurrent(first), CUDA_SUCCESS);
	/* On its own it is free already. */
	check_result(cuMemAllocAsync(&q, 32 * MIB, NULL), CUDA_SUCCESS);
	open_gate();
	check(truth_requested() == 64 * MIB);
}

static void default_streams_of_two_contexts_are_two(void)
{
	CU_ASSERT(tenant_passes("default_streams_of_two_contexts", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 64 * MIB);
}

struct visit {
	CUcontext context;
	CUdeviceptr pointer;
};

static void *frees_behind_the_gate(void *data)
{
	struct visit *visit = data;

	check_result(cuCtxSetCurrent(visit->context), CUDA_SUCCESS);
	check_result(cuLaunchHostFunc_ptsz(NULL, wait_at_gate, NULL), CUDA_SUCCESS);
	check_result(cuMemFreeAsync_ptsz(visit->pointer, NULL), CUDA_SUCCESS);
	return NULL;
}

static void *is_refused(void *data)
{
	struct visit *visit = data;

	check_result(cuCtxSetCurrent(visit->context), CUDA_SUCCESS);
	check_result(cuMemAllocAsync_ptsz(&visit->pointer, 32 * MIB, NULL),
		     CUDA_ERROR_OUT_OF_MEMORY);
	return NULL;
}

TENANT_BODY(default_streams_of_two_threads)
{
	struct visit visit = { 0 };
	pthread_t thread;
	CUdeviceptr p;

	tenant_context();
	sem_init(&gate, 0, 0);
	check_result(cuCtxGetCurrent(&visit.context), CUDA_SUCCESS);
	check_result(cuMemAllocAsync(&p, 32 * MIB, NULL), CUDA_SUCCESS);
	check_result(cuStreamSynchronize(NULL), CUDA_SUCCESS);
	take_half();
	visit.pointer = p;
	/* The second may lie where the first has been, with its thread-local storage. */
	check(pthread_create(&thread, NULL, frees_behind_the_gate, &visit) == 0);
	pthread_join(thread, NULL);
	check(pthread_create(&thread, NULL, is_refused, &visit) == 0);
	pthread_join(thread, NULL);
	open_gate();
	check_result(cuMemAllocAsync(&p, 32 * MIB, NULL), CUDA_SUCCESS);
}

static void the_default_stream_of_a_thread_ends_with_it(void)
{
	CU_ASSERT(tenant_passes("default_streams_of_two_threads", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 64 * MIB);
}

/* ---- streams that go with their context ---- */

TENANT_BODY(a_context_goes_with_its_streams)
{
	const CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				       .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } };
	CUcontext context;
	CUmemoryPool pool;
	CUstream stream;
	CUdeviceptr p;

	tenant_context();
	check_result(cuCtxCreate_v2(&context, 0, 0), CUDA_SUCCESS);
	stream = new_stream();
	check_result(cuMemPoolCreate(&pool, &props), CUDA_SUCCESS);
	check_result(cuMemAllocFromPoolAsync(&p, 32 * MIB, pool, stream), CUDA_SUCCESS);
	check_result(cuMemFreeAsync(p, stream), CUDA_SUCCESS);
	check_result(cuMemPoolDestroy(pool), CUDA_SUCCESS);
	check_result(cuCtxDestroy(context), CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	check(truth_requested() == 0 && left_bytes() == 64 * MIB);
}

static void frees_on_streams_that_went_with_their_context_are_over(void)
{
	CU_ASSERT(tenant_passes("a_context_goes_with_its_streams", QUOTA, NULL));
}

TENANT_BODY(many_streams_of_many_contexts)
{
	const CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				       .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } };
	CUcontext contexts[4];
	CUmemoryPool pool;
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemPoolCreate(&pool, &props), CUDA_SUCCESS);
	for (int i = 0; i < 4; i++) {
		check_result(cuCtxCreate_v2(&contexts[i], 0, 0), CUDA_SUCCESS);
		for (int j = 0; j < 16; j++) {
			CUstream stream = new_stream();

			check_result(cuMemAllocFromPoolAsync(&p, 1 * MIB, pool, stream),
				     CUDA_SUCCESS);
			check_result(cuMemFreeAsync(p, stream), CUDA_SUCCESS);
		}
	}
	check_result(cuMemPoolDestroy(pool), CUDA_SUCCESS);
	for (int i = 0; i < 4; i++) {
		check_result(cuCtxSetCurrent(contexts[i]), CUDA_SUCCESS);
		check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	}
	check(truth_requested() == 0 && left_bytes() == 64 * MIB);
}

static void a_destroyed_pool_comes_back_however_many_streams_it_was_freed_on(void)
{
	CU_ASSERT(tenant_passes("many_streams_of_many_contexts", QUOTA, NULL));
}

/* ---- what went back unseen ---- */

TENANT_BODY(released_before_a_call_that_fails)
{
	const CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				       .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } };
	CUdeviceptr p, q = 0, plain;
	CUmemoryPool pool;
	/* The driver's own: in place of a thread that has waited, and not looked yet. */
	CUresult(CUDAAPI * wait)(CUstream) = (CUresult(CUDAAPI *)(CUstream))gsh_elf_find(
		"libcuda.so.1", "cuStreamSynchronize");

	tenant_context();
	check_result(cuMemPoolCreate(&pool, &props), CUDA_SUCCESS);
	check_result(cuMemAlloc(&plain, 1 * MIB), CUDA_SUCCESS);
	check_result(cuMemAllocFromPoolAsync(&p, 32 * MIB, pool, NULL), CUDA_SUCCESS);
	check_result(cuMemFreeAsync(p, NULL), CUDA_SUCCESS);
	check_result(wait(NULL), CUDA_SUCCESS);
	check(truth_requested() == 1 * MIB);
	/* The driver refuses it, and the pool is looked at: what was free in it is not. */
	check_result(cuMemAllocFromPoolAsync(&q, 0, pool, NULL),
		     CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemAlloc(&q, 63 * MIB), CUDA_SUCCESS);
	check_result(cuMemAllocFromPoolAsync(&q, 32 * MIB, pool, NULL),
		     CUDA_ERROR_OUT_OF_MEMORY);
}

static void what_a_pool_released_unseen_is_not_counted_on(void)
{
	CU_ASSERT(tenant_passes("released_before_a_call_that_fails", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 64 * MIB);
}

const struct unit_suite unit_suite = {
	.name = "pools and streams",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(a_stream_does_not_inherit_what_was_freed_on_another_of_its_handle),
		UNIT_TEST(default_streams_of_two_contexts_are_two),
		UNIT_TEST(the_default_stream_of_a_thread_ends_with_it),
		UNIT_TEST(frees_on_streams_that_went_with_their_context_are_over),
		UNIT_TEST(a_destroyed_pool_comes_back_however_many_streams_it_was_freed_on),
		UNIT_TEST(what_a_pool_released_unseen_is_not_counted_on),
	},
};
