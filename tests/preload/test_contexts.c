/*
 * test_contexts.c - what contexts cost a tenant, and what goes with them when they go: plain,
 * pitched and managed memory and arrays do, memory of cuMemCreate and of pools does not.
 */
/* cuCtxAttach and cuCtxDetach are still there. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#include "cunit_main.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/elf.h"
#include "common_tenant.h"
#include "common_truth.h"

#define MIB ((uint64_t)1 << 20)
#define QUOTA "GPUSHIM_MEMORY=64MiB"
#define CONTEXT_COST "GPUSHIM_CONTEXT_MEMORY=10MiB"

/* The tenant's own books: what is not left of the quota. */
static uint64_t charged_bytes(void)
{
	size_t free_bytes = 0, total = 0;

	check_result(cuMemGetInfo(&free_bytes, &total), CUDA_SUCCESS);
	return total - free_bytes;
}

static void books_agree(uint64_t expected_bytes)
{
	check(truth_requested() == expected_bytes);
	check(charged_bytes() == expected_bytes);
}

static CUcontext new_context(void)
{
	CUcontext context = NULL;

	check_result(cuCtxCreate(&context, NULL, 0, 0), CUDA_SUCCESS);
	return context;
}

/* One of each that dies with the current context: 10 MiB in all. */
static void take_ten(void)
{
	CUDA_ARRAY3D_DESCRIPTOR desc = { .Width = 1024,
					 .Height = 1024,
					 .Format = CU_AD_FORMAT_UNSIGNED_INT8,
					 .NumChannels = 2 };
	CUmipmappedArray mipmap;
	CUarray array;
	CUdeviceptr p;
	size_t pitch;

	check_result(cuMemAlloc(&p, 2 * MIB), CUDA_SUCCESS);
	check_result(cuMemAllocPitch(&p, &pitch, 1024, 2048, 4), CUDA_SUCCESS);
	check_result(cuMemAllocManaged(&p, 2 * MIB, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS);
	check_result(cuArray3DCreate(&array, &desc), CUDA_SUCCESS);
	check_result(cuMipmappedArrayCreate(&mipmap, &desc, 1), CUDA_SUCCESS);
}

/* ---- what goes with a context ---- */

TENANT_BODY(a_context_with_memory_goes)
{
	CUcontext first, second;
	CUdeviceptr p;

	tenant_context();
	take_ten();
	first = new_context();
	take_ten();
	second = new_context();
	take_ten();
	books_agree(30 * MIB);
	/* The current one, then one that is not, then whatever the next is called. */
	check_result(cuCtxDestroy(second), CUDA_SUCCESS);
	books_agree(20 * MIB);
	check_result(cuCtxSetCurrent(first), CUDA_SUCCESS);
	tenant_context();
	check_result(cuCtxDestroy(first), CUDA_SUCCESS);
	books_agree(10 * MIB);
	for (int i = 0; i < 5; i++) {
		first = new_context();
		take_ten();
		books_agree(20 * MIB);
		check_result(cuCtxDestroy(first), CUDA_SUCCESS);
		check_result(cuMemAlloc(&p, 54 * MIB), CUDA_SUCCESS);
		check_result(cuMemFree(p), CUDA_SUCCESS);
	}
	books_agree(10 * MIB);
}

static void destroying_a_context_gives_back_what_it_held_and_nothing_else(void)
{
	CU_ASSERT(tenant_passes("a_context_with_memory_goes", QUOTA, NULL));
	CU_ASSERT(tenant_device_requested_peak() <= 64 * MIB);
}

TENANT_BODY(thousands_of_blocks_go_at_once)
{
	CUcontext context;
	CUdeviceptr p, kept;

	tenant_context();
	check_result(cuMemAlloc(&kept, MIB), CUDA_SUCCESS);
	context = new_context();
	for (int i = 0; i < 10000; i++)
		check_result(cuMemAlloc(&p, 1000), CUDA_SUCCESS);
	check(truth_requested() == 10000000 + MIB);
	check_result(cuCtxDestroy(context), CUDA_SUCCESS);
	tenant_context();
	books_agree(MIB);
	check_result(cuMemFree(kept), CUDA_SUCCESS);
	books_agree(0);
}

static void a_context_with_thousands_of_allocations_gives_all_of_them_back(void)
{
	CU_ASSERT(tenant_passes("thousands_of_blocks_go_at_once", QUOTA, NULL));
}

TENANT_BODY(mapped_memory_outlives_its_context)
{
	CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
				     .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } };
	CUmemGenericAllocationHandle handle;
	CUcontext context;
	CUdeviceptr p;

	check_result(cuInit(0), CUDA_SUCCESS);
	context = new_context();
	check_result(cuMemCreate(&handle, 20 * MIB, &prop, 0), CUDA_SUCCESS);
	check_result(cuMemAlloc(&p, 10 * MIB), CUDA_SUCCESS);
	books_agree(30 * MIB);
	check_result(cuCtxDestroy(context), CUDA_SUCCESS);
	tenant_context();
	books_agree(20 * MIB);
	check_result(cuMemAlloc(&p, 45 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemRelease(handle), CUDA_SUCCESS);
	books_agree(0);
}

static void memory_of_cumemcreate_outlives_its_context(void)
{
	CU_ASSERT(tenant_passes("mapped_memory_outlives_its_context", QUOTA, NULL));
}

TENANT_BODY(pool_memory_outlives_its_context)
{
	CUcontext context;
	CUdeviceptr p;
	uint64_t reserved;

	check_result(cuInit(0), CUDA_SUCCESS);
	context = new_context();
	check_result(cuMemAllocAsync(&p, 20 * MIB, NULL), CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	reserved = truth_requested();
	check(reserved >= 20 * MIB);
	books_agree(reserved);
	check_result(cuCtxDestroy(context), CUDA_SUCCESS);
	tenant_context();
	books_agree(reserved);
	check_result(cuMemFree(p), CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	books_agree(0);
}

static void memory_of_a_pool_outlives_its_context(void)
{
	CU_ASSERT(tenant_passes("pool_memory_outlives_its_context", QUOTA, NULL));
}

TENANT_BODY(contexts_that_cannot_be_destroyed)
{
	CUcontext primary, context;

	tenant_context();
	check_result(cuCtxGetCurrent(&primary), CUDA_SUCCESS);
	take_ten();
	check_result(cuCtxDestroy(NULL), CUDA_ERROR_INVALID_VALUE);
	check_result(cuCtxDestroy(primary), CUDA_ERROR_INVALID_CONTEXT);
	books_agree(10 * MIB);
	context = new_context();
	take_ten();
	check_result(cuCtxDestroy(context), CUDA_ERROR_UNKNOWN);
	books_agree(20 * MIB);
	check_result(cuCtxDestroy(context), CUDA_SUCCESS);
	check_result(cuCtxDestroy(context), CUDA_ERROR_INVALID_CONTEXT);
	books_agree(10 * MIB);
}

static void a_context_that_is_not_destroyed_keeps_its_memory_charged(void)
{
	/* The simulated driver counts the two refused calls before it. */
	CU_ASSERT(tenant_passes("contexts_that_cannot_be_destroyed", QUOTA,
				"SIMGPU_FAULTS=cuCtxDestroy@3=999", NULL));
}

TENANT_BODY(attached_contexts)
{
	CUcontext context, same;

	tenant_context();
	context = new_context();
	check_result(cuCtxAttach(&same, 0), CUDA_SUCCESS);
	take_ten();
	check_result(cuCtxDetach(context), CUDA_SUCCESS);
	books_agree(10 * MIB);
	check_result(cuCtxPushCurrent(context), CUDA_SUCCESS);
	check_result(cuCtxDetach(context), CUDA_SUCCESS);
	/* It still lies on this thread's stack. */
	check_result(cuCtxSetCurrent(NULL), CUDA_SUCCESS);
	tenant_context();
	books_agree(0);
	check_result(cuCtxDetach(context), CUDA_ERROR_INVALID_CONTEXT);
}

static void a_context_goes_when_the_last_one_detaches(void)
{
	CU_ASSERT(tenant_passes("attached_contexts", QUOTA, NULL));
}

/* ---- primary contexts ---- */

TENANT_BODY(primary_contexts_come_and_go)
{
	CUcontext primary, again, other;
	CUdeviceptr p;

	tenant_context(); /* one reference */
	check_result(cuCtxGetCurrent(&primary), CUDA_SUCCESS);
	take_ten();
	check_result(cuDevicePrimaryCtxRetain(&again, 0), CUDA_SUCCESS);
	check(again == primary);
	check_result(cuDevicePrimaryCtxRelease(0), CUDA_SUCCESS);
	books_agree(10 * MIB);
	/* The last reference, while another context has memory of its own. */
	other = new_context();
	take_ten();
	check_result(cuDevicePrimaryCtxRelease(0), CUDA_SUCCESS);
	books_agree(10 * MIB);
	check_result(cuDevicePrimaryCtxRelease(0), CUDA_ERROR_INVALID_CONTEXT);
	books_agree(10 * MIB);
	/* The same handle, and nothing of what it held before. */
	check_result(cuDevicePrimaryCtxRetain(&again, 0), CUDA_SUCCESS);
	check_result(cuCtxSetCurrent(again), CUDA_SUCCESS);
	take_ten();
	books_agree(20 * MIB);
	check_result(cuDevicePrimaryCtxReset(0), CUDA_SUCCESS);
	check_result(cuCtxSetCurrent(other), CUDA_SUCCESS);
	books_agree(10 * MIB);
	/* References stay over a reset. */
	check_result(cuDevicePrimaryCtxRelease(0), CUDA_SUCCESS);
	books_agree(10 * MIB);
	check_result(cuCtxDestroy(other), CUDA_SUCCESS);
	tenant_context();
	books_agree(0);
	check_result(cuMemAlloc(&p, 64 * MIB), CUDA_SUCCESS);
}

static void a_primary_context_gives_back_at_its_last_release_and_at_a_reset(void)
{
	CU_ASSERT(tenant_passes("primary_contexts_come_and_go", QUOTA, NULL));
}

enum { THREADS = 4, ROUNDS = 50 };

static void *retain_and_release(void *data)
{
	CUcontext context;

	(void)data;
	for (int i = 0; i < ROUNDS; i++) {
		check_result(cuDevicePrimaryCtxRetain(&context, 0), CUDA_SUCCESS);
		check_result(cuDevicePrimaryCtxRelease(0), CUDA_SUCCESS);
	}
	return NULL;
}

TENANT_BODY(threads_retain_and_release)
{
	pthread_t threads[THREADS];
	CUcontext context;

	check_result(cuInit(0), CUDA_SUCCESS);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, retain_and_release, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	context = new_context();
	check(charged_bytes() == 10 * MIB);
	check_result(cuCtxDestroy(context), CUDA_SUCCESS);
}

static void threads_that_retain_and_release_leave_the_charge_right(void)
{
	CU_ASSERT(tenant_passes("threads_retain_and_release", QUOTA, CONTEXT_COST, NULL));
}

/* ---- what a context costs ---- */

TENANT_BODY(contexts_at_ten_each)
{
	CUcontext first, second, retained;
	CUdeviceptr p;

	tenant_context();
	check(charged_bytes() == 10 * MIB);
	first = new_context();
	check(charged_bytes() == 20 * MIB);
	second = new_context();
	check(charged_bytes() == 30 * MIB);
	/* Only what is requested counts for the device. */
	check(truth_requested() == 0);
	check_result(cuMemAlloc(&p, 34 * MIB + 1), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAlloc(&p, 34 * MIB), CUDA_SUCCESS);
	check_result(cuCtxDestroy(second), CUDA_SUCCESS);
	tenant_context(); /* a second reference of the primary one */
	check(charged_bytes() == 20 * MIB);
	check_result(cuDevicePrimaryCtxRetain(&retained, 0), CUDA_SUCCESS);
	check_result(cuDevicePrimaryCtxRelease(0), CUDA_SUCCESS);
	check(charged_bytes() == 20 * MIB);
	check_result(cuCtxSetCurrent(first), CUDA_SUCCESS);
	check_result(cuDevicePrimaryCtxRelease(0), CUDA_SUCCESS);
	check(charged_bytes() == 20 * MIB);
	check_result(cuDevicePrimaryCtxRelease(0), CUDA_SUCCESS);
	check(charged_bytes() == 10 * MIB);
	check_result(cuMemAlloc(&p, 54 * MIB), CUDA_SUCCESS);
}

static void contexts_are_charged_the_configured_figure(void)
{
	CU_ASSERT(tenant_passes("contexts_at_ten_each", QUOTA, CONTEXT_COST, NULL));
	CU_ASSERT_FALSE(tenant_passes("contexts_at_ten_each", QUOTA, NULL));
}

TENANT_BODY(no_room_for_a_context)
{
	CUcontext context = NULL;
	CUdeviceptr p, q;
	unsigned int flags;
	int active = 0;

	check_result(cuInit(0), CUDA_SUCCESS);
	context = new_context();
	check_result(cuMemAlloc(&p, 45 * MIB), CUDA_SUCCESS);
	check_result(cuCtxCreate(&context, NULL, 0, 0), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuDevicePrimaryCtxRetain(&context, 0), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuDevicePrimaryCtxGetState(0, &flags, &active), CUDA_SUCCESS);
	check(!active);
	check(charged_bytes() == 55 * MIB);
	check_result(cuMemAlloc(&q, 9 * MIB), CUDA_SUCCESS);
	check_result(cuMemFree(q), CUDA_SUCCESS);
	check_result(cuMemFree(p), CUDA_SUCCESS);
	check_result(cuCtxCreate(&context, NULL, 0, 0), CUDA_SUCCESS);
}

static void a_context_that_does_not_fit_is_refused(void)
{
	CU_ASSERT(tenant_passes("no_room_for_a_context", QUOTA, CONTEXT_COST, NULL));
}

TENANT_BODY(contexts_that_are_not_made)
{
	CUcontext context;

	tenant_context();
	check_result(cuCtxCreate(NULL, NULL, 0, 0), CUDA_ERROR_INVALID_VALUE);
	check_result(cuCtxCreate(&context, NULL, 0xffffffff, 0),
		     CUDA_ERROR_INVALID_VALUE);
	check_result(cuCtxCreate(&context, NULL, 0, 77), CUDA_ERROR_INVALID_DEVICE);
	check_result(cuCtxCreate(&context, NULL, 0, -1), CUDA_ERROR_INVALID_DEVICE);
	check_result(cuDevicePrimaryCtxRetain(NULL, 0), CUDA_ERROR_INVALID_VALUE);
	check_result(cuDevicePrimaryCtxRetain(&context, 77), CUDA_ERROR_INVALID_DEVICE);
	check_result(cuDevicePrimaryCtxRelease(77), CUDA_ERROR_INVALID_DEVICE);
	check_result(cuDevicePrimaryCtxReset(-1), CUDA_ERROR_INVALID_DEVICE);
}

TENANT_BODY(contexts_that_are_not_made_cost_nothing)
{
	contexts_that_are_not_made();
	check(charged_bytes() == 10 * MIB);
}

static void senseless_calls_get_the_drivers_own_code_and_no_charge(void)
{
	CU_ASSERT(tenant_passes_bare("contexts_that_are_not_made", NULL));
	CU_ASSERT(tenant_passes("contexts_that_are_not_made_cost_nothing", QUOTA,
				CONTEXT_COST, NULL));
}

TENANT_BODY(before_the_driver_is_initialised)
{
	CUcontext context;

	check_result(cuCtxCreate(&context, NULL, 0, 0), CUDA_ERROR_NOT_INITIALIZED);
	check_result(cuDevicePrimaryCtxRetain(&context, 0), CUDA_ERROR_NOT_INITIALIZED);
	check_result(cuDevicePrimaryCtxRelease(0), CUDA_ERROR_NOT_INITIALIZED);
	check_result(cuCtxDestroy((CUcontext)&context), CUDA_ERROR_NOT_INITIALIZED);
}

static void before_cuinit_the_driver_says_so(void)
{
	CU_ASSERT(tenant_passes_bare("before_the_driver_is_initialised", NULL));
	CU_ASSERT(tenant_passes("before_the_driver_is_initialised", QUOTA, CONTEXT_COST,
				NULL));
}

/* NVIDIA's runtime opens the primary context through a table that nobody sees: so does this,
 * past every hook. */
TENANT_BODY(a_context_that_no_hook_saw)
{
	CUresult (*retain)(CUcontext *, CUdevice);
	uintptr_t address = gsh_elf_find("libcuda.so.1", "cuDevicePrimaryCtxRetain");
	CUcontext context;
	CUdeviceptr p;

	check(address);
	memcpy(&retain, &address, sizeof(retain));
	check_result(cuInit(0), CUDA_SUCCESS);
	check_result(retain(&context, 0), CUDA_SUCCESS);
	check_result(cuCtxSetCurrent(context), CUDA_SUCCESS);
	check(charged_bytes() == 0);
	check_result(cuMemAlloc(&p, 54 * MIB + 1), CUDA_ERROR_OUT_OF_MEMORY);
	check(charged_bytes() == 10 * MIB);
	check_result(cuMemAlloc(&p, 54 * MIB), CUDA_SUCCESS);
	check_result(cuMemFree(p), CUDA_SUCCESS);
	/* And goes as others do. */
	take_ten();
	check_result(cuDevicePrimaryCtxReset(0), CUDA_SUCCESS);
	check(truth_requested() == 0);
	/* The same handle a second time is another context. */
	check_result(retain(&context, 0), CUDA_SUCCESS);
	check_result(cuCtxSetCurrent(context), CUDA_SUCCESS);
	check(charged_bytes() == 0);
	check_result(cuMemAlloc(&p, MIB), CUDA_SUCCESS);
	check(charged_bytes() == 11 * MIB);
}

static void a_context_made_behind_the_hooks_is_charged_at_its_first_allocation(void)
{
	CU_ASSERT(tenant_passes("a_context_that_no_hook_saw", QUOTA, CONTEXT_COST, NULL));
}

/* ---- threads ---- */

static void *make_fill_destroy(void *data)
{
	CUcontext context;

	(void)data;
	for (int i = 0; i < ROUNDS; i++) {
		context = new_context();
		take_ten();
		check_result(cuCtxDestroy(context), CUDA_SUCCESS);
	}
	return NULL;
}

TENANT_BODY(threads_make_and_destroy)
{
	pthread_t threads[THREADS];

	tenant_context();
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, make_fill_destroy, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	books_agree(0);
}

static void threads_whose_contexts_get_each_others_handles_stay_apart(void)
{
	CU_ASSERT(tenant_passes("threads_make_and_destroy", QUOTA, NULL));
	CU_ASSERT(tenant_device_requested_peak() <= 64 * MIB);
}

const struct unit_suite unit_suite = {
	.name = "contexts under a quota",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(destroying_a_context_gives_back_what_it_held_and_nothing_else),
		UNIT_TEST(a_context_with_thousands_of_allocations_gives_all_of_them_back),
		UNIT_TEST(memory_of_cumemcreate_outlives_its_context),
		UNIT_TEST(memory_of_a_pool_outlives_its_context),
		UNIT_TEST(a_context_that_is_not_destroyed_keeps_its_memory_charged),
		UNIT_TEST(a_context_goes_when_the_last_one_detaches),
		UNIT_TEST(a_primary_context_gives_back_at_its_last_release_and_at_a_reset),
		UNIT_TEST(threads_that_retain_and_release_leave_the_charge_right),
		UNIT_TEST(contexts_are_charged_the_configured_figure),
		UNIT_TEST(a_context_that_does_not_fit_is_refused),
		UNIT_TEST(senseless_calls_get_the_drivers_own_code_and_no_charge),
		UNIT_TEST(before_cuinit_the_driver_says_so),
		UNIT_TEST(a_context_made_behind_the_hooks_is_charged_at_its_first_allocation),
		UNIT_TEST(threads_whose_contexts_get_each_others_handles_stay_apart),
	},
};
