/*
 * test_memory.c - linear memory under a quota: exact to the byte, given back by every kind
 * of free, and the driver's own answers to everything else.
 */
#include "cunit_main.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common_publish.h"
#include "common_tenant.h"
#include "common_truth.h"

#define MIB ((uint64_t)1 << 20)
#define QUOTA "GPUSHIM_MEMORY=64MiB"

/* What there is left of the quota, as the program is told. */
static uint64_t left_bytes(void)
{
	size_t free_bytes = 0, total = 0;

	check_result(cuMemGetInfo(&free_bytes, &total), CUDA_SUCCESS);
	return free_bytes;
}

static uint64_t environment_bytes(const char *name)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 10) : 0;
}

/* ---- at the limit ---- */

/* The context is not harmed by a refusal. */
static void context_works(CUdeviceptr p)
{
	check_result(cuMemsetD8(p, 7, 64), CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
}

/* All of the quota is taken, and p is of it: not a byte more by any call, nor is the driver
 * asked for one. */
static void not_a_byte_more(CUdeviceptr p, uint64_t quota_bytes)
{
	const uint64_t asked = truth_asked();
	CUdeviceptr more = 1;
	size_t pitch;

	check(truth_requested() == quota_bytes);
	check(left_bytes() == 0);
	check_result(cuMemAlloc(&more, 1), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAllocManaged(&more, 1, CU_MEM_ATTACH_GLOBAL),
		     CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAllocPitch(&more, &pitch, 1, 1, 4), CUDA_ERROR_OUT_OF_MEMORY);
	check(truth_asked() == asked);
	check(more == 1);
	context_works(p);
	check_result(cuMemFree(p), CUDA_SUCCESS);
	check(truth_requested() == 0);
	check(left_bytes() == quota_bytes);
}

TENANT_BODY(plain_to_the_byte)
{
	const uint64_t quota_bytes = environment_bytes("GPUSHIM_MEMORY");
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAlloc(&p, quota_bytes + 1), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAlloc(&p, quota_bytes), CUDA_SUCCESS);
	not_a_byte_more(p, quota_bytes);
	/* And again, after all of it was given back. */
	check_result(cuMemAlloc(&p, quota_bytes), CUDA_SUCCESS);
}

TENANT_BODY(managed_to_the_byte)
{
	const uint64_t quota_bytes = environment_bytes("GPUSHIM_MEMORY");
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAllocManaged(&p, quota_bytes + 1, CU_MEM_ATTACH_GLOBAL),
		     CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAllocManaged(&p, quota_bytes, CU_MEM_ATTACH_GLOBAL),
		     CUDA_SUCCESS);
	not_a_byte_more(p, quota_bytes);
}

TENANT_BODY(pitched_to_the_byte)
{
	const uint64_t rows = 1000, pitch_bytes = 1024;
	CUdeviceptr p;
	size_t pitch = 0;

	tenant_context();
	/* As the driver rounds rows: the quota is that many of them. */
	check_result(cuMemAllocPitch(&p, &pitch, 1000, rows + 1, 4),
		     CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAllocPitch(&p, &pitch, 1025, rows, 4),
		     CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAllocPitch(&p, &pitch, 1000, rows, 4), CUDA_SUCCESS);
	check(pitch == pitch_bytes);
	not_a_byte_more(p, rows * pitch_bytes);
}

static void quota_is_exact_to_the_byte_for_plain_memory(void)
{
	CU_ASSERT(tenant_passes("plain_to_the_byte", "GPUSHIM_MEMORY=10000001", NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 10000001);
}

static void quota_is_exact_to_the_byte_for_managed_memory(void)
{
	CU_ASSERT(tenant_passes("managed_to_the_byte", "GPUSHIM_MEMORY=10000001", NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 10000001);
}

static void quota_is_exact_to_the_byte_for_pitched_memory(void)
{
	CU_ASSERT(tenant_passes("pitched_to_the_byte", "GPUSHIM_MEMORY=1024000", NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 1024000);
}

static void without_the_shim_the_byte_past_the_quota_is_granted(void)
{
	CU_ASSERT_FALSE(
		tenant_passes_bare("plain_to_the_byte", "GPUSHIM_MEMORY=10000001", NULL));
}

/* ---- many threads ---- */

enum { THREADS = 8, BLOCKS = 512 };

struct taker {
	pthread_t thread;
	CUcontext context;
	CUdeviceptr blocks[BLOCKS];
	unsigned taken;
};

static void *take_until_refused(void *data)
{
	struct taker *taker = data;

	check_result(cuCtxSetCurrent(taker->context), CUDA_SUCCESS);
	while (taker->taken < BLOCKS &&
	       cuMemAlloc(&taker->blocks[taker->taken], 100000) == CUDA_SUCCESS)
		taker->taken++;
	return NULL;
}

static void *give_all_back(void *data)
{
	struct taker *taker = data;

	check_result(cuCtxSetCurrent(taker->context), CUDA_SUCCESS);
	while (taker->taken > 0)
		check_result(cuMemFree(taker->blocks[--taker->taken]), CUDA_SUCCESS);
	return NULL;
}

TENANT_BODY(threads_take_all_there_is)
{
	static struct taker takers[THREADS];
	CUcontext context;
	unsigned taken = 0;

	tenant_context();
	check_result(cuCtxGetCurrent(&context), CUDA_SUCCESS);
	for (int i = 0; i < THREADS; i++) {
		takers[i].context = context;
		pthread_create(&takers[i].thread, NULL, take_until_refused, &takers[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(takers[i].thread, NULL);
		taken += takers[i].taken;
	}
	/* 64 MiB are 671 blocks and a rest. */
	check(taken == 671);
	check(truth_requested() == 67100000);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&takers[i].thread, NULL, give_all_back, &takers[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(takers[i].thread, NULL);
	check(truth_requested() == 0);
	check(left_bytes() == 64 * MIB);
}

static void threads_share_one_quota(void)
{
	CU_ASSERT(tenant_passes("threads_take_all_there_is", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 67100000);
}

/* ---- giving back ---- */

TENANT_BODY(everything_comes_back)
{
	CUdeviceptr p;
	size_t pitch;

	tenant_context();
	for (int i = 0; i < 50; i++) {
		check_result(cuMemAlloc(&p, 40 * MIB), CUDA_SUCCESS);
		check_result(cuMemFree(p), CUDA_SUCCESS);
		check_result(cuMemAllocManaged(&p, 40 * MIB, CU_MEM_ATTACH_GLOBAL),
			     CUDA_SUCCESS);
		check_result(cuMemFree(p), CUDA_SUCCESS);
		check_result(cuMemAllocPitch(&p, &pitch, 1000, 40 << 10, 4),
			     CUDA_SUCCESS);
		check_result(cuMemFree(p), CUDA_SUCCESS);
	}
	check(truth_requested() == 0);
	check(left_bytes() == 64 * MIB);
}

static void every_kind_of_linear_memory_is_given_back(void)
{
	CU_ASSERT(tenant_passes("everything_comes_back", QUOTA, NULL));
}

TENANT_BODY(ten_thousand_blocks)
{
	static CUdeviceptr blocks[10000];

	tenant_context();
	for (int i = 0; i < 10000; i++)
		check_result(cuMemAlloc(&blocks[i], 1000), CUDA_SUCCESS);
	check(truth_requested() == 10000000);
	check(left_bytes() == 64 * MIB - 10000000);
	/* In an order that has nothing to do with that of their making. */
	for (int i = 0; i < 10000; i++)
		check_result(cuMemFree(blocks[(i * 7919) % 10000]), CUDA_SUCCESS);
	check(truth_requested() == 0);
	check(left_bytes() == 64 * MIB);
}

static void many_live_allocations_are_each_given_back(void)
{
	CU_ASSERT(tenant_passes("ten_thousand_blocks", QUOTA, NULL));
}

TENANT_BODY(a_free_that_fails)
{
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAlloc(&p, 40 * MIB), CUDA_SUCCESS);
	check_result(cuMemFree(p), CUDA_ERROR_UNKNOWN);
	check(truth_requested() == 40 * MIB);
	check(left_bytes() == 24 * MIB);
	check_result(cuMemFree(p), CUDA_SUCCESS);
	check(left_bytes() == 64 * MIB);
}

static void a_failed_free_keeps_the_charge(void)
{
	CU_ASSERT(tenant_passes("a_free_that_fails", QUOTA,
				"SIMGPU_FAULTS=cuMemFree@1=999", NULL));
}

TENANT_BODY(a_free_of_what_has_gone)
{
	CUdeviceptr p, q;
	const char *code = getenv("EXPECTED");

	tenant_context();
	check_result(cuMemAlloc(&p, 10 * MIB), CUDA_SUCCESS);
	check_result(cuMemAlloc(&q, 10 * MIB), CUDA_SUCCESS);
	check_result(cuMemFree(p), atoi(code ? code : "0"));
	check(left_bytes() == 54 * MIB);
}

static void memory_that_went_with_its_context_or_the_driver_is_given_back(void)
{
	CU_ASSERT(tenant_passes("a_free_of_what_has_gone", QUOTA, "EXPECTED=709",
				"SIMGPU_FAULTS=cuMemFree@1=709", NULL));
	CU_ASSERT(tenant_passes("a_free_of_what_has_gone", QUOTA, "EXPECTED=4",
				"SIMGPU_FAULTS=cuMemFree@1=4", NULL));
}

TENANT_BODY(allocations_that_fail)
{
	CUdeviceptr p;
	size_t pitch;

	tenant_context();
	check_result(cuMemAlloc(&p, 40 * MIB), CUDA_ERROR_UNKNOWN);
	check_result(cuMemAllocManaged(&p, 40 * MIB, CU_MEM_ATTACH_GLOBAL),
		     CUDA_ERROR_UNKNOWN);
	check_result(cuMemAllocPitch(&p, &pitch, 1000, 40 << 10, 4), CUDA_ERROR_UNKNOWN);
	check(left_bytes() == 64 * MIB);
	check_result(cuMemAlloc(&p, 64 * MIB), CUDA_SUCCESS);
}

static void a_failed_allocation_leaves_no_charge(void)
{
	CU_ASSERT(tenant_passes("allocations_that_fail", QUOTA,
				"SIMGPU_FAULTS=cuMemAlloc@1=999;cuMemAllocManaged@1=999;"
				"cuMemAllocPitch@1=999",
				NULL));
}

/* ---- what the driver has to say ---- */

TENANT_BODY(pointers_that_nobody_allocated)
{
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAlloc(&p, MIB), CUDA_SUCCESS);
	check_result(cuMemFree(0), CUDA_SUCCESS);
	check_result(cuMemFree(42), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemFree(p + 512), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemFree(p), CUDA_SUCCESS);
	check_result(cuMemFree(p), CUDA_ERROR_INVALID_VALUE);
	check(truth_requested() == 0);
}

static void frees_of_unknown_pointers_get_the_drivers_own_code(void)
{
	CU_ASSERT(tenant_passes_bare("pointers_that_nobody_allocated", NULL));
	CU_ASSERT(tenant_passes("pointers_that_nobody_allocated", QUOTA, NULL));
}

TENANT_BODY(pool_memory_freed_at_once)
{
	CUdeviceptr p;

	tenant_context();
	for (int i = 0; i < 20; i++) {
		check_result(cuMemAllocAsync(&p, 20 * MIB, NULL), CUDA_SUCCESS);
		check_result(cuMemFree(p), CUDA_SUCCESS);
	}
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	check(truth_requested() == 0);
}

static void memory_of_a_pool_can_be_freed_by_the_plain_call(void)
{
	CU_ASSERT(tenant_passes_bare("pool_memory_freed_at_once", NULL));
	CU_ASSERT(tenant_passes("pool_memory_freed_at_once", QUOTA, NULL));
}

TENANT_BODY(arguments_that_make_no_sense)
{
	CUdeviceptr p = 1;
	size_t pitch;

	tenant_context();
	check_result(cuMemAlloc(NULL, MIB), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemAlloc(NULL, 100 * MIB), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemAlloc(NULL, SIZE_MAX), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemAlloc(&p, 0), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemAlloc(&p, SIZE_MAX), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAlloc(&p, SIZE_MAX - 4096), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAlloc(&p, (size_t)1 << 63), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAlloc(&p, (size_t)1 << 50), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAllocManaged(NULL, MIB, CU_MEM_ATTACH_GLOBAL),
		     CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemAllocManaged(&p, 0, CU_MEM_ATTACH_GLOBAL),
		     CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemAllocManaged(&p, MIB, 77), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemAllocManaged(&p, SIZE_MAX, CU_MEM_ATTACH_GLOBAL),
		     CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAllocManaged(&p, SIZE_MAX, 77), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemAllocPitch(NULL, &pitch, 100, 100, 4),
		     CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemAllocPitch(&p, NULL, 100, 100, 4), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemAllocPitch(&p, &pitch, 0, 100, 4), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemAllocPitch(&p, &pitch, 100, 0, 4), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemAllocPitch(&p, &pitch, 100, 100, 5), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemAllocPitch(&p, &pitch, SIZE_MAX, 1, 4),
		     CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAllocPitch(&p, &pitch, SIZE_MAX, SIZE_MAX, 5),
		     CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemAllocPitch(&p, &pitch, (size_t)1 << 33, (size_t)1 << 33, 4),
		     CUDA_ERROR_OUT_OF_MEMORY);
	check(p == 1);
	/* Nothing of that is charged. */
	check_result(cuMemAlloc(&p, 64 * MIB), CUDA_SUCCESS);
}

static void senseless_arguments_get_the_drivers_own_code_and_no_charge(void)
{
	CU_ASSERT(tenant_passes_bare("arguments_that_make_no_sense", NULL));
	CU_ASSERT(tenant_passes("arguments_that_make_no_sense", QUOTA, NULL));
}

TENANT_BODY(nothing_to_allocate_in)
{
	CUdeviceptr p;
	CUcontext context, other = NULL;
	CUdevice device;
	size_t pitch;

	check_result(cuMemAlloc(&p, MIB), CUDA_ERROR_NOT_INITIALIZED);
	check_result(cuMemFree(4096), CUDA_ERROR_NOT_INITIALIZED);
	check_result(cuInit(0), CUDA_SUCCESS);
	check_result(cuMemAlloc(&p, MIB), CUDA_ERROR_INVALID_CONTEXT);
	check_result(cuMemAllocManaged(&p, MIB, CU_MEM_ATTACH_GLOBAL),
		     CUDA_ERROR_INVALID_CONTEXT);
	check_result(cuMemAllocPitch(&p, &pitch, 64, 64, 4), CUDA_ERROR_INVALID_CONTEXT);
	check_result(cuMemFree(4096), CUDA_ERROR_INVALID_CONTEXT);
	check_result(cuDeviceGet(&device, 0), CUDA_SUCCESS);
	check_result(cuCtxCreate(&context, NULL, 0, device), CUDA_SUCCESS);
	check_result(cuCtxPushCurrent(context), CUDA_SUCCESS);
	check_result(cuCtxDestroy(context), CUDA_SUCCESS);
	/* Still on the stack, and dead. */
	check_result(cuCtxGetCurrent(&other), CUDA_SUCCESS);
	check(other == context);
	check_result(cuMemAlloc(&p, MIB), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	tenant_context();
	check_result(cuMemAlloc(&p, 64 * MIB), CUDA_SUCCESS);
}

static void without_a_context_the_driver_says_so_and_nothing_is_charged(void)
{
	CU_ASSERT(tenant_passes_bare("nothing_to_allocate_in", NULL));
	CU_ASSERT(tenant_passes("nothing_to_allocate_in", QUOTA, NULL));
}

TENANT_BODY(allocating_during_a_capture)
{
	CUstream stream;
	CUgraph graph;
	CUdeviceptr p;

	tenant_context();
	check_result(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
	check_result(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL),
		     CUDA_SUCCESS);
	check_result(cuMemAlloc(&p, MIB), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	check_result(cuStreamEndCapture(stream, &graph),
		     CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	check_result(cuMemAlloc(&p, 64 * MIB), CUDA_SUCCESS);
}

static void an_allocation_that_a_capture_forbids_leaves_no_charge(void)
{
	CU_ASSERT(tenant_passes_bare("allocating_during_a_capture", NULL));
	CU_ASSERT(tenant_passes("allocating_during_a_capture", QUOTA, NULL));
}

TENANT_BODY(in_an_error_that_stays)
{
	CUdeviceptr p, q;

	tenant_context();
	check_result(cuMemAlloc(&p, 10 * MIB), CUDA_SUCCESS);
	check_result(cuMemAlloc(&q, 10 * MIB), CUDA_ERROR_ILLEGAL_ADDRESS);
	check_result(cuMemAlloc(&q, 10 * MIB), CUDA_ERROR_ILLEGAL_ADDRESS);
	check_result(cuMemFree(p), CUDA_ERROR_ILLEGAL_ADDRESS);
}

static void an_error_that_stays_is_passed_on(void)
{
	CU_ASSERT(tenant_passes("in_an_error_that_stays", QUOTA,
				"SIMGPU_FAULTS=sticky:cuMemAlloc@2=700", NULL));
}

/* ---- what is counted ---- */

TENANT_BODY(some_of_each)
{
	CUdeviceptr p;
	size_t pitch;

	tenant_context();
	check_result(cuMemAlloc(&p, 70 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAllocManaged(&p, 65 * MIB, CU_MEM_ATTACH_GLOBAL),
		     CUDA_ERROR_OUT_OF_MEMORY);
	/* The driver's refusals are not the quota's. */
	check_result(cuMemAlloc(&p, 0), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemFree(4096), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemAlloc(&p, 1000), CUDA_SUCCESS);
	check_result(cuMemAllocPitch(&p, &pitch, 512, 10, 4), CUDA_SUCCESS);
	check_result(cuMemAllocManaged(&p, 3000, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS);
	tenant_meet();
}

static void refusals_and_kinds_of_memory_are_counted(void)
{
	pid_t pid = tenant_start("some_of_each", QUOTA, NULL);
	const struct gpushim_snapshot *seen;

	CU_ASSERT_FATAL(tenant_met(pid));
	seen = tenant_snapshot(tenant_dir(), "default");
	CU_ASSERT_PTR_NOT_NULL_FATAL(seen);
	CU_ASSERT_EQUAL(seen->processes_count, 1);
	CU_ASSERT_EQUAL(seen->processes[0].denials, 2);
	CU_ASSERT_EQUAL(seen->processes[0].denied_bytes, 135 * MIB);
	CU_ASSERT_EQUAL(seen->processes[0].last_denied_bytes, 65 * MIB);
	CU_ASSERT_EQUAL(seen->processes[0].untracked_frees, 0);
	CU_ASSERT_EQUAL(seen->usages[0].kind_bytes[GPUSHIM_KIND_LINEAR], 1000 + 5120);
	CU_ASSERT_EQUAL(seen->usages[0].kind_bytes[GPUSHIM_KIND_MANAGED], 3000);
	CU_ASSERT_EQUAL(seen->usages[0].charged_bytes, tenant_device_requested());
	tenant_go(pid);
	CU_ASSERT(tenant_ends(pid));
}

/* ---- no limit ---- */

TENANT_BODY(more_than_any_quota)
{
	CUdeviceptr p;
	size_t free_bytes, total, device_total;

	tenant_context();
	check_result(cuMemAlloc(&p, 200 * MIB), CUDA_SUCCESS);
	check_result(cuMemGetInfo(&free_bytes, &total), CUDA_SUCCESS);
	check_result(cuDeviceTotalMem(&device_total, 0), CUDA_SUCCESS);
	check(total == device_total);
	check(total >= 1024 * MIB);
	check_result(cuMemFree(p), CUDA_SUCCESS);
}

static void without_a_limit_nothing_is_refused(void)
{
	CU_ASSERT(tenant_passes("more_than_any_quota", "GPUSHIM_DIR", "GPUSHIM_WAIT_MS",
				NULL));
	/* A tenant's account without a memory limit. */
	CU_ASSERT(tenant_passes("more_than_any_quota", "GPUSHIM_COMPUTE=30", NULL));
}

const struct unit_suite unit_suite = {
	.name = "linear memory under a quota",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(quota_is_exact_to_the_byte_for_plain_memory),
		UNIT_TEST(quota_is_exact_to_the_byte_for_managed_memory),
		UNIT_TEST(quota_is_exact_to_the_byte_for_pitched_memory),
		UNIT_TEST(without_the_shim_the_byte_past_the_quota_is_granted),
		UNIT_TEST(threads_share_one_quota),
		UNIT_TEST(every_kind_of_linear_memory_is_given_back),
		UNIT_TEST(many_live_allocations_are_each_given_back),
		UNIT_TEST(a_failed_free_keeps_the_charge),
		UNIT_TEST(memory_that_went_with_its_context_or_the_driver_is_given_back),
		UNIT_TEST(a_failed_allocation_leaves_no_charge),
		UNIT_TEST(frees_of_unknown_pointers_get_the_drivers_own_code),
		UNIT_TEST(memory_of_a_pool_can_be_freed_by_the_plain_call),
		UNIT_TEST(senseless_arguments_get_the_drivers_own_code_and_no_charge),
		UNIT_TEST(without_a_context_the_driver_says_so_and_nothing_is_charged),
		UNIT_TEST(an_allocation_that_a_capture_forbids_leaves_no_charge),
		UNIT_TEST(an_error_that_stays_is_passed_on),
		UNIT_TEST(refusals_and_kinds_of_memory_are_counted),
		UNIT_TEST(without_a_limit_nothing_is_refused),
	},
};
