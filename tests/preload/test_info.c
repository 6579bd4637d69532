/*
 * test_info.c - what programs are told of the memory there is: the quota and what is left of
 * it, never more than the device has.
 */
#include "cunit_main.h"

#include <stdlib.h>
#include <string.h>

#include "common_tenant.h"
#include "common_truth.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define QUOTA "GPUSHIM_MEMORY=64MiB"

struct info {
	size_t free_bytes, total_bytes, device_bytes;
};

static struct info told(void)
{
	struct info info = { 0 };

	check_result(cuMemGetInfo(&info.free_bytes, &info.total_bytes), CUDA_SUCCESS);
	check_result(cuDeviceTotalMem(&info.device_bytes, 0), CUDA_SUCCESS);
	return info;
}

/* What the device has left, as it says itself. */
static uint64_t device_free_bytes(uint64_t *total_bytes)
{
	struct simgpu_monitor *monitor = simgpu_open(NULL, 0, NULL);
	struct simgpu_truth *truth = monitor ? simgpu_truth(monitor) : NULL;
	uint64_t free_bytes = UINT64_MAX;

	check(truth);
	if (truth) {
		*total_bytes = truth->devices[0].total_bytes;
		free_bytes = *total_bytes - truth->devices[0].used_bytes;
	}
	simgpu_free(truth);
	simgpu_close(monitor);
	return free_bytes;
}

TENANT_BODY(the_quota_is_all_there_is)
{
	struct info info;
	CUdeviceptr p;

	tenant_context();
	info = told();
	check(info.total_bytes == 64 * MIB);
	check(info.free_bytes == 64 * MIB);
	check(info.device_bytes == 64 * MIB);
	check_result(cuMemAlloc(&p, 10 * MIB + 1), CUDA_SUCCESS);
	info = told();
	check(info.total_bytes == 64 * MIB);
	check(info.free_bytes == 54 * MIB - 1);
	check(info.device_bytes == 64 * MIB);
	check_result(cuMemAlloc(&p, info.free_bytes), CUDA_SUCCESS);
	info = told();
	check(info.free_bytes == 0);
	check(info.total_bytes == 64 * MIB);
}

static void programs_are_told_the_quota_and_what_is_left_of_it(void)
{
	CU_ASSERT(tenant_passes("the_quota_is_all_there_is", QUOTA, NULL));
}

TENANT_BODY(as_the_device_says)
{
	uint64_t device_total = 0, device_free;
	struct info info;
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAlloc(&p, 100 * MIB), CUDA_SUCCESS);
	device_free = device_free_bytes(&device_total);
	info = told();
	check(info.total_bytes == device_total);
	check(info.device_bytes == device_total);
	check(info.free_bytes == device_free);
}

static void without_a_limit_programs_are_told_what_the_device_has(void)
{
	CU_ASSERT(tenant_passes_bare("as_the_device_says", NULL));
	CU_ASSERT(tenant_passes("as_the_device_says", "GPUSHIM_DIR", "GPUSHIM_WAIT_MS",
				NULL));
	CU_ASSERT(tenant_passes("as_the_device_says", "GPUSHIM_COMPUTE=30", NULL));
}

static void a_quota_larger_than_the_device_shows_the_device(void)
{
	CU_ASSERT(tenant_passes("as_the_device_says", "GPUSHIM_MEMORY=10TiB", NULL));
}

TENANT_BODY(the_card_and_what_is_left_of_the_quota)
{
	uint64_t device_total = 0;
	struct info info;
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAlloc(&p, 10 * MIB), CUDA_SUCCESS);
	device_free_bytes(&device_total);
	info = told();
	check(info.total_bytes == device_total);
	check(info.device_bytes == device_total);
	check(info.free_bytes == 54 * MIB);
	check_result(cuMemAlloc(&p, 54 * MIB + 1), CUDA_ERROR_OUT_OF_MEMORY);
}

static void the_device_view_shows_the_whole_card_and_holds_to_the_quota(void)
{
	CU_ASSERT(tenant_passes("the_card_and_what_is_left_of_the_quota", QUOTA,
				"GPUSHIM_VIEW=device", NULL));
}

TENANT_BODY(a_neighbour_holds_most_of_the_device)
{
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAlloc(&p, 7 * GIB), CUDA_SUCCESS);
	tenant_meet();
}

TENANT_BODY(less_than_the_quota_is_left)
{
	uint64_t device_total = 0, device_free;
	struct info info;
	CUdeviceptr p;

	tenant_context();
	device_free = device_free_bytes(&device_total);
	check(device_free < GIB);
	info = told();
	check(info.total_bytes == 4 * GIB);
	check(info.free_bytes == device_free);
	/* The device itself refuses, and nothing stays charged. */
	check_result(cuMemAlloc(&p, 2 * GIB), CUDA_ERROR_OUT_OF_MEMORY);
	check(told().free_bytes == device_free);
}

static void free_memory_is_bounded_by_what_the_device_has_left(void)
{
	pid_t neighbour;

	setenv("SIMGPU_MEMORY", "8GiB", 1);
	neighbour = tenant_start("a_neighbour_holds_most_of_the_device",
				 "GPUSHIM_MEMORY=7GiB", "GPUSHIM_TENANT=neighbour", NULL);
	CU_ASSERT_FATAL(tenant_met(neighbour));
	CU_ASSERT(tenant_passes("less_than_the_quota_is_left", "GPUSHIM_MEMORY=4GiB",
				"GPUSHIM_TENANT=small", NULL));
	tenant_go(neighbour);
	CU_ASSERT(tenant_ends(neighbour));
	unsetenv("SIMGPU_MEMORY");
}

TENANT_BODY(a_sibling_holds_forty)
{
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAlloc(&p, 40 * MIB), CUDA_SUCCESS);
	tenant_meet();
}

TENANT_BODY(twenty_four_are_left)
{
	CUdeviceptr p;

	tenant_context();
	check(told().free_bytes == 24 * MIB);
	check_result(cuMemAlloc(&p, 24 * MIB + 1), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAlloc(&p, 24 * MIB), CUDA_SUCCESS);
	check(told().free_bytes == 0);
}

static void what_siblings_hold_is_not_left(void)
{
	pid_t sibling = tenant_start("a_sibling_holds_forty", QUOTA, NULL);

	CU_ASSERT_FATAL(tenant_met(sibling));
	CU_ASSERT(tenant_passes("twenty_four_are_left", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 64 * MIB);
	tenant_go(sibling);
	CU_ASSERT(tenant_ends(sibling));
}

/* ---- what the driver has to say ---- */

TENANT_BODY(arguments_that_make_no_sense)
{
	size_t bytes = 42;

	check_result(cuMemGetInfo(&bytes, &bytes), CUDA_ERROR_NOT_INITIALIZED);
	check_result(cuDeviceTotalMem(&bytes, 0), CUDA_ERROR_NOT_INITIALIZED);
	check_result(cuInit(0), CUDA_SUCCESS);
	check_result(cuMemGetInfo(&bytes, &bytes), CUDA_ERROR_INVALID_CONTEXT);
	tenant_context();
	check_result(cuMemGetInfo(NULL, NULL), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemGetInfo(&bytes, NULL), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemGetInfo(NULL, &bytes), CUDA_ERROR_INVALID_VALUE);
	check_result(cuDeviceTotalMem(NULL, 0), CUDA_ERROR_INVALID_VALUE);
	check_result(cuDeviceTotalMem(&bytes, 77), CUDA_ERROR_INVALID_DEVICE);
	check_result(cuDeviceTotalMem(&bytes, -1), CUDA_ERROR_INVALID_DEVICE);
	check(bytes == 42);
}

static void senseless_arguments_get_the_drivers_own_code(void)
{
	CU_ASSERT(tenant_passes_bare("arguments_that_make_no_sense", NULL));
	CU_ASSERT(tenant_passes("arguments_that_make_no_sense", QUOTA, NULL));
}

TENANT_BODY(queries_that_fail)
{
	size_t free_bytes = 42, total = 43;

	tenant_context();
	check_result(cuMemGetInfo(&free_bytes, &total), CUDA_ERROR_UNKNOWN);
	check(free_bytes == 42 && total == 43);
	check_result(cuMemGetInfo(&free_bytes, &total), CUDA_SUCCESS);
	check(free_bytes == 64 * MIB && total == 64 * MIB);
}

static void a_query_that_the_driver_fails_is_left_alone(void)
{
	CU_ASSERT(tenant_passes("queries_that_fail", QUOTA,
				"SIMGPU_FAULTS=cuMemGetInfo@1=999", NULL));
}

TENANT_BODY(two_devices)
{
	CUcontext context;
	CUdeviceptr p;
	size_t free_bytes, total;

	tenant_context();
	check_result(cuMemAlloc(&p, 40 * MIB), CUDA_SUCCESS);
	check_result(cuDeviceTotalMem(&total, 1), CUDA_SUCCESS);
	check(total == 64 * MIB);
	check_result(cuCtxCreate(&context, NULL, 0, 1), CUDA_SUCCESS);
	check_result(cuMemGetInfo(&free_bytes, &total), CUDA_SUCCESS);
	check(free_bytes == 64 * MIB && total == 64 * MIB);
	check_result(cuMemAlloc(&p, 64 * MIB), CUDA_SUCCESS);
	check_result(cuMemGetInfo(&free_bytes, &total), CUDA_SUCCESS);
	check(free_bytes == 0);
	check_result(cuCtxPopCurrent(&context), CUDA_SUCCESS);
	check_result(cuMemGetInfo(&free_bytes, &total), CUDA_SUCCESS);
	check(free_bytes == 24 * MIB);
	/* Freed while a context of another device is current. */
	check_result(cuMemFree(p), CUDA_SUCCESS);
	check_result(cuMemGetInfo(&free_bytes, &total), CUDA_SUCCESS);
	check(free_bytes == 24 * MIB);
	check_result(cuCtxSetCurrent(context), CUDA_SUCCESS);
	check_result(cuMemGetInfo(&free_bytes, &total), CUDA_SUCCESS);
	check(free_bytes == 64 * MIB);
}

static void each_device_has_a_quota_of_its_own(void)
{
	setenv("SIMGPU_DEVICES", "2", 1);
	CU_ASSERT(tenant_passes("two_devices", QUOTA, NULL));
	unsetenv("SIMGPU_DEVICES");
}

TENANT_BODY(the_second_device_as_the_first)
{
	CUdeviceptr p;
	size_t total;

	tenant_context();
	check_result(cuDeviceTotalMem(&total, 0), CUDA_SUCCESS);
	check(total == 32 * MIB);
	check_result(cuMemAlloc(&p, 33 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAlloc(&p, 32 * MIB), CUDA_SUCCESS);
	check_result(cuDeviceTotalMem(&total, 1), CUDA_SUCCESS);
	check(total == 64 * MIB);
}

static void limits_by_index_follow_the_device_when_others_are_hidden(void)
{
	setenv("SIMGPU_DEVICES", "2", 1);
	CU_ASSERT(tenant_passes(
		"the_second_device_as_the_first", "CUDA_DEVICE_MEMORY_LIMIT_0=64m",
		"CUDA_DEVICE_MEMORY_LIMIT_1=32m", "CUDA_VISIBLE_DEVICES=1,0", NULL));
	unsetenv("SIMGPU_DEVICES");
}

const struct unit_suite unit_suite = {
	.name = "what programs are told of the memory there is",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(programs_are_told_the_quota_and_what_is_left_of_it),
		UNIT_TEST(without_a_limit_programs_are_told_what_the_device_has),
		UNIT_TEST(a_quota_larger_than_the_device_shows_the_device),
		UNIT_TEST(the_device_view_shows_the_whole_card_and_holds_to_the_quota),
		UNIT_TEST(free_memory_is_bounded_by_what_the_device_has_left),
		UNIT_TEST(what_siblings_hold_is_not_left),
		UNIT_TEST(senseless_arguments_get_the_drivers_own_code),
		UNIT_TEST(a_query_that_the_driver_fails_is_left_alone),
		UNIT_TEST(each_device_has_a_quota_of_its_own),
		UNIT_TEST(limits_by_index_follow_the_device_when_others_are_hidden),
	},
};
