/*
 * test_known_failures.c - what was seen to go wrong in libraries of this kind, above all in
 * HAMi-core at commit 8f3a89c: each is a test here, by name.
 *
 * The bypasses by array, VMM handle and pool are proven in full in test_array, test_vmm and
 * test_pool; here each is the one attempt that used to succeed.
 */
#include "cunit_main.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common_tenant.h"

#define MIB ((uint64_t)1 << 20)
#define QUOTA "GPUSHIM_MEMORY=100MiB"

/* ---- memory that escaped ---- */

TENANT_BODY(arrays_past_the_quota)
{
	CUDA_ARRAY_DESCRIPTOR array = { .Width = 8192,
					.Height = 8192,
					.Format = CU_AD_FORMAT_FLOAT,
					.NumChannels = 1 };
	CUarray a;

	tenant_context();
	check_result(cuArrayCreate_v2(&a, &array), CUDA_ERROR_OUT_OF_MEMORY);
}

TENANT_BODY(mapped_memory_whose_handle_was_released)
{
	CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
				     .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } };
	CUmemGenericAllocationHandle handle;
	CUdeviceptr va;

	tenant_context();
	check_result(cuMemAddressReserve(&va, 60 * MIB, 0, 0, 0), CUDA_SUCCESS);
	check_result(cuMemCreate(&handle, 60 * MIB, &prop, 0), CUDA_SUCCESS);
	check_result(cuMemMap(va, 60 * MIB, 0, handle, 0), CUDA_SUCCESS);
	check_result(cuMemRelease(handle), CUDA_SUCCESS);
	check_result(cuMemCreate(&handle, 60 * MIB, &prop, 0), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemUnmap(va, 60 * MIB), CUDA_SUCCESS);
	check_result(cuMemCreate(&handle, 60 * MIB, &prop, 0), CUDA_SUCCESS);
}

TENANT_BODY(pool_memory_past_the_quota)
{
	CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				 .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } };
	CUmemoryPool pool;
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemPoolCreate(&pool, &props), CUDA_SUCCESS);
	check_result(cuMemAllocFromPoolAsync(&p, 200 * MIB, pool, NULL),
		     CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAllocAsync(&p, 200 * MIB, NULL), CUDA_ERROR_OUT_OF_MEMORY);
}

static void arrays_are_counted(void)
{
	CU_ASSERT(tenant_passes("arrays_past_the_quota", QUOTA, NULL));
	CU_ASSERT(tenant_device_requested_peak() <= 100 * MIB);
}

static void a_handle_released_while_mapped_stays_counted(void)
{
	CU_ASSERT(tenant_passes("mapped_memory_whose_handle_was_released", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 60 * MIB);
}

static void pools_are_counted_and_refused_with_a_cuda_code(void)
{
	CU_ASSERT(tenant_passes("pool_memory_past_the_quota", QUOTA, NULL));
	CU_ASSERT(tenant_device_requested_peak() <= 100 * MIB);
}

/* ---- two at once ---- */

/* Takes 60 of 100 MiB whenever the test says so: of two only one may get it. */
TENANT_BODY(lock_step)
{
	tenant_context();
	for (int i = 0; i < 200; i++) {
		CUdeviceptr p = 0;
		CUresult result;

		tenant_meet();
		result = cuMemAlloc_v2(&p, 60 * MIB);
		check(result == CUDA_SUCCESS || result == CUDA_ERROR_OUT_OF_MEMORY);
		tenant_meet();
		if (result == CUDA_SUCCESS)
			check_result(cuMemFree_v2(p), CUDA_SUCCESS);
	}
}

static void lock_step_race(const char *quota, unsigned *both, unsigned *one)
{
	pid_t a = tenant_start("lock_step", quota, NULL);
	pid_t b = tenant_start("lock_step", quota, NULL);

	*both = *one = 0;
	for (int i = 0; i < 200; i++) {
		uint64_t held;

		if (!tenant_met(a) || !tenant_met(b))
			break;
		tenant_go(a);
		tenant_go(b);
		if (!tenant_met(a) || !tenant_met(b))
			break;
		held = tenant_device_requested();
		*both += held == 120 * MIB;
		*one += held == 60 * MIB;
		tenant_go(a);
		tenant_go(b);
	}
	CU_ASSERT(tenant_ends(a));
	CU_ASSERT(tenant_ends(b));
}

static void two_processes_in_lock_step_never_both_pass(void)
{
	unsigned both, one;

	lock_step_race(QUOTA, &both, &one);
	CU_ASSERT_EQUAL(both, 0);
	CU_ASSERT_EQUAL(one, 200);
	CU_ASSERT(tenant_device_requested_peak() <= 100 * MIB);
	tenant_forget();
	/* Control: with room for both, both pass. */
	lock_step_race("GPUSHIM_MEMORY=120MiB", &both, &one);
	CU_ASSERT_EQUAL(both, 200);
}

/* ---- processes that died ---- */

TENANT_BODY(hold_40)
{
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAlloc_v2(&p, 40 * MIB), CUDA_SUCCESS);
	tenant_meet();
	/* It is still there, and counted: 70 more are refused. */
	check_result(cuMemAlloc_v2(&p, 70 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	tenant_meet();
}

TENANT_BODY(fit_60_and_no_more)
{
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAlloc_v2(&p, 60 * MIB + 1), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAlloc_v2(&p, 60 * MIB), CUDA_SUCCESS);
}

static void a_survivors_charge_is_seen_after_its_neighbours_were_killed(void)
{
	pid_t first = tenant_start("hold_40", QUOTA, NULL), second, survivor;

	CU_ASSERT(tenant_met(first));
	second = tenant_start("hold_40", QUOTA, NULL);
	CU_ASSERT(tenant_met(second));
	kill(first, SIGKILL);
	CU_ASSERT_FALSE(tenant_ends(first));
	survivor = tenant_start("hold_40", QUOTA, NULL);
	CU_ASSERT(tenant_met(survivor));
	kill(second, SIGKILL);
	CU_ASSERT_FALSE(tenant_ends(second));
	CU_ASSERT(tenant_passes("fit_60_and_no_more", QUOTA, NULL));
	tenant_go(survivor);
	CU_ASSERT(tenant_met(survivor));
	tenant_go(survivor);
	CU_ASSERT(tenant_ends(survivor));
	CU_ASSERT(tenant_device_requested_peak() <= 100 * MIB);
}

TENANT_BODY(take_all)
{
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAlloc_v2(&p, 100 * MIB), CUDA_SUCCESS);
}

TENANT_BODY(start_only)
{
	tenant_context();
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void a_kill_during_start_delays_nobody(void)
{
	uint64_t begin_ns = now_ns(), undisturbed_ns;

	CU_ASSERT(tenant_passes("take_all", QUOTA, NULL));
	undisturbed_ns = now_ns() - begin_ns;
	for (int i = 0; i < 60; i++) {
		pid_t pid = tenant_start("start_only", QUOTA, NULL);
		struct timespec moment = { .tv_nsec = (long)(undisturbed_ns / 60) * i };

		nanosleep(&moment, NULL);
		tenant_discard(pid);
	}
	begin_ns = now_ns();
	CU_ASSERT(tenant_passes("take_all", QUOTA, NULL));
	/* A lock left behind made it wait for minutes. */
	CU_ASSERT(now_ns() - begin_ns < 20 * undisturbed_ns);
}

/* ---- answers ---- */

TENANT_BODY(versions)
{
	void *old_pointer = NULL, *new_pointer = NULL, *plain = NULL, *twin = NULL;
	CUdriverProcAddressQueryResult status;

	check_result(cuInit(0), CUDA_SUCCESS);
	cuGetProcAddress_v2("cuMemPrefetchAsync", &old_pointer, 8000, 0, &status);
	cuGetProcAddress_v2("cuMemPrefetchAsync", &new_pointer, 12020, 0, &status);
	check(old_pointer && new_pointer && old_pointer != new_pointer);
	cuGetProcAddress_v2("cuMemAllocAsync", &plain, 11020,
			    CU_GET_PROC_ADDRESS_LEGACY_STREAM, &status);
	cuGetProcAddress_v2("cuMemAllocAsync", &twin, 11020,
			    CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, &status);
	check(plain && twin && plain != twin);
	check(plain == (void *)(uintptr_t)cuMemAllocAsync);
}

static void lookups_respect_version_and_stream_flag(void)
{
	CU_ASSERT(tenant_passes("versions", QUOTA, NULL));
}

TENANT_BODY(null_arguments)
{
	size_t bytes = 0;

	tenant_context();
	check_result(cuMemAlloc_v2(NULL, MIB), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemGetInfo_v2(NULL, NULL), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemGetInfo_v2(&bytes, NULL), CUDA_ERROR_INVALID_VALUE);
	check_result(cuDeviceTotalMem_v2(NULL, 0), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemAllocPitch_v2(NULL, NULL, 1, 1, 4), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemAllocManaged(NULL, MIB, CU_MEM_ATTACH_GLOBAL),
		     CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemCreate(NULL, MIB, NULL, 0), CUDA_ERROR_INVALID_VALUE);
	check_result(cuArrayCreate_v2(NULL, NULL), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemAllocAsync(NULL, MIB, NULL), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemFree_v2(0), CUDA_SUCCESS);
}

static void null_arguments_are_errors_and_not_crashes(void)
{
	/* What the driver itself says is what is expected. */
	CU_ASSERT(tenant_passes_bare("null_arguments", NULL));
	CU_ASSERT(tenant_passes("null_arguments", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested(), 0);
}

TENANT_BODY(foreign_pointer)
{
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAllocAsync(&p, 100, NULL), CUDA_SUCCESS);
	check_result(cuMemFree_v2(p), CUDA_SUCCESS);
	check_result(cuMemFree_v2(12345), CUDA_ERROR_INVALID_VALUE);
}

static void frees_of_pointers_not_seen_are_left_to_the_driver(void)
{
	CU_ASSERT(tenant_passes_bare("foreign_pointer", NULL));
	CU_ASSERT(tenant_passes("foreign_pointer", QUOTA, NULL));
}

TENANT_BODY(total_is_true)
{
	size_t bytes = 0;

	check_result(cuInit(0), CUDA_SUCCESS);
	check_result(cuDeviceTotalMem_v2(&bytes, 0), CUDA_SUCCESS);
	check(bytes == (size_t)16 << 30);
}

static void without_a_memory_limit_the_device_has_its_size(void)
{
	CU_ASSERT(tenant_passes("total_is_true", "GPUSHIM_COMPUTE=50", NULL));
}

/* ---- side effects on the program ---- */

static unsigned entries_of(const char *path)
{
	DIR *directory = opendir(path);
	unsigned count = 0;

	while (directory && readdir(directory))
		count++;
	if (directory)
		closedir(directory);
	return count;
}

TENANT_BODY(side_effects)
{
	struct sigaction before[NSIG], after;
	unsigned threads;
	CUdeviceptr p;

	umask(027);
	for (int i = 1; i < NSIG; i++)
		sigaction(i, NULL, &before[i]);
	threads = entries_of("/proc/self/task");
	tenant_context();
	check_result(cuMemAlloc_v2(&p, MIB), CUDA_SUCCESS);
	check_result(cuMemFree_v2(p), CUDA_SUCCESS);
	check(umask(022) == 027);
	for (int i = 1; i < NSIG; i++) {
		memset(&after, 0, sizeof(after));
		sigaction(i, NULL, &after);
		check(after.sa_handler == before[i].sa_handler);
	}
	fprintf(stderr, "threads %u\n", entries_of("/proc/self/task") - threads);
}

static void umask_signal_handlers_and_threads_stay_as_they_were(void)
{
	char bare[256];

	CU_ASSERT(tenant_passes_bare("side_effects", NULL));
	snprintf(bare, sizeof(bare), "%s", tenant_stderr());
	CU_ASSERT(tenant_passes("side_effects", QUOTA, NULL));
	/* As many threads as without us, and not a line more. */
	CU_ASSERT_STRING_EQUAL(tenant_stderr(), bare);
}

/* A name that HAMi-core exports and so took from every library. */
int mutex = 42;

TENANT_BODY(names)
{
	check(mutex == 42);
	tenant_context();
	check(mutex == 42);
}

static void names_of_the_program_are_its_own(void)
{
	CU_ASSERT(tenant_passes("names", QUOTA, NULL));
}

/* ---- limits ---- */

TENANT_BODY(first_device_limited)
{
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAlloc_v2(&p, 200 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAlloc_v2(&p, 50 * MIB), CUDA_SUCCESS);
}

static void limits_hold_whatever_devices_are_visible(void)
{
	/* The device is started by the test, so it is there that its size is set. The third
	 * device of the container is the program's first. */
	setenv("SIMGPU_DEVICES", "4", 1);
	CU_ASSERT(tenant_passes("first_device_limited", "CUDA_VISIBLE_DEVICES=2,3",
				"CUDA_DEVICE_MEMORY_LIMIT_2=100m", NULL));
	unsetenv("SIMGPU_DEVICES");
}

const struct unit_suite unit_suite = {
	.name = "known failures of others",
	.teardown = tenant_forget,
	.tests = { UNIT_TEST(arrays_are_counted),
		   UNIT_TEST(a_handle_released_while_mapped_stays_counted),
		   UNIT_TEST(pools_are_counted_and_refused_with_a_cuda_code),
		   UNIT_TEST(two_processes_in_lock_step_never_both_pass),
		   UNIT_TEST(a_survivors_charge_is_seen_after_its_neighbours_were_killed),
		   UNIT_TEST(a_kill_during_start_delays_nobody),
		   UNIT_TEST(lookups_respect_version_and_stream_flag),
		   UNIT_TEST(null_arguments_are_errors_and_not_crashes),
		   UNIT_TEST(frees_of_pointers_not_seen_are_left_to_the_driver),
		   UNIT_TEST(without_a_memory_limit_the_device_has_its_size),
		   UNIT_TEST(umask_signal_handlers_and_threads_stay_as_they_were),
		   UNIT_TEST(names_of_the_program_are_its_own),
		   UNIT_TEST(limits_hold_whatever_devices_are_visible) },
};
