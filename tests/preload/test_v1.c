/*
 * test_v1.c - the first versions of calls, with their 32-bit addresses and sizes, which old
 * programs still link to.
 *
 * The simulated GPU has those of contexts and refuses those of memory; a driver made for this
 * test (parts/plugin_v1.c) has the rest, and keeps books.
 */
/* All versions under their own names. */
#define __CUDA_API_VERSION_INTERNAL
#include "cunit_main.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common_client.h"
#include "common_tenant.h"
#include "common_truth.h"

#define MIB ((uint64_t)1 << 20)
#define QUOTA "GPUSHIM_MEMORY=64MiB"

static uint64_t charged_bytes(void)
{
	size_t free_bytes = 0, total = 0;

	check_result(cuMemGetInfo_v2(&free_bytes, &total), CUDA_SUCCESS);
	return total - free_bytes;
}

/* ---- on the simulated GPU ---- */

TENANT_BODY(first_versions_that_the_driver_refuses)
{
	CUDA_ARRAY_DESCRIPTOR_v1 flat = {
		.Width = 64, .Height = 64, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1
	};
	CUDA_ARRAY3D_DESCRIPTOR_v1 solid = { .Width = 64,
					     .Height = 64,
					     .Depth = 64,
					     .Format = CU_AD_FORMAT_FLOAT,
					     .NumChannels = 1 };
	unsigned int pitch, bytes;
	CUdeviceptr_v1 p;
	CUarray array;

	tenant_context();
	check_result(cuMemAlloc(&p, 1 << 20), CUDA_ERROR_NOT_SUPPORTED);
	check_result(cuMemAllocPitch(&p, &pitch, 64, 64, 4), CUDA_ERROR_NOT_SUPPORTED);
	check_result(cuMemFree(4096), CUDA_ERROR_NOT_SUPPORTED);
	check_result(cuMemGetInfo(&bytes, &bytes), CUDA_ERROR_NOT_SUPPORTED);
	check_result(cuDeviceTotalMem(&bytes, 0), CUDA_ERROR_NOT_SUPPORTED);
	check_result(cuArrayCreate(&array, &flat), CUDA_ERROR_NOT_SUPPORTED);
	check_result(cuArray3DCreate(&array, &solid), CUDA_ERROR_NOT_SUPPORTED);
}

TENANT_BODY(refused_first_versions_cost_nothing)
{
	first_versions_that_the_driver_refuses();
	check(charged_bytes() == 0);
}

static void a_first_version_that_the_driver_lacks_gets_its_code_and_no_charge(void)
{
	CU_ASSERT(tenant_passes_bare("first_versions_that_the_driver_refuses", NULL));
	CU_ASSERT(tenant_passes("refused_first_versions_cost_nothing", QUOTA, NULL));
}

TENANT_BODY(contexts_of_every_version)
{
	CUcontext context;
	CUdeviceptr p;

	check_result(cuInit(0), CUDA_SUCCESS);
	for (int version = 1; version <= 4; version++) {
		check_result(version == 1   ? cuCtxCreate(&context, 0, 0)
			     : version == 2 ? cuCtxCreate_v2(&context, 0, 0)
			     : version == 3 ? cuCtxCreate_v3(&context, NULL, 0, 0, 0)
					    : cuCtxCreate_v4(&context, NULL, 0, 0),
			     CUDA_SUCCESS);
		check_result(cuMemAlloc_v2(&p, 20 * MIB), CUDA_SUCCESS);
		check(charged_bytes() == 30 * MIB);
		check_result(version % 2 ? cuCtxDestroy(context)
					 : cuCtxDestroy_v2(context),
			     CUDA_SUCCESS);
		check(truth_requested() == 0);
	}
	tenant_context();
	check(charged_bytes() == 10 * MIB);
	check_result(cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
	tenant_context();
	check_result(cuMemAlloc_v2(&p, 20 * MIB), CUDA_SUCCESS);
	check_result(cuDevicePrimaryCtxReset_v2(0), CUDA_SUCCESS);
	check_result(cuDevicePrimaryCtxRelease(0), CUDA_SUCCESS);
	tenant_context();
	check_result(cuMemAlloc_v2(&p, 20 * MIB), CUDA_SUCCESS);
	check(charged_bytes() == 30 * MIB);
	check_result(cuDevicePrimaryCtxReset(0), CUDA_SUCCESS);
	tenant_context();
	check(charged_bytes() == 10 * MIB);
}

static void contexts_are_charged_by_whatever_version_they_are_made(void)
{
	CU_ASSERT(tenant_passes("contexts_of_every_version", QUOTA,
				"GPUSHIM_CONTEXT_MEMORY=10MiB", NULL));
}

/* ---- on a driver of that time ---- */

static bool client_passes(const char *what, const char *quota)
{
	static char driver[PATH_MAX];
	const struct client client = { .arguments = { "client_v1", driver, what },
				       .variables = { quota } };
	static struct client_run run;
	char directory[PATH_MAX - 16];

	snprintf(directory, sizeof(directory), "%s/v1", tenant_dir());
	mkdir(directory, 0700);
	snprintf(driver, sizeof(driver), "%s/libcuda.so.1", directory);
	unlink(driver);
	if (symlink(client_part("plugin_v1"), driver) < 0)
		perror(driver);
	client_run(&client, &run);
	return client_check(&run, run.status == 0);
}

static void memory_is_charged_to_the_byte_by_the_first_versions(void)
{
	CU_ASSERT(client_passes("memory", "GPUSHIM_MEMORY=1MiB"));
	/* Control: without a limit the byte too much is granted. */
	CU_ASSERT_FALSE(client_passes("memory", "GPUSHIM_MEMORY=2MiB"));
}

static void the_drivers_pitch_is_learned(void)
{
	CU_ASSERT(client_passes("pitch", "GPUSHIM_MEMORY=1MiB"));
}

static void arrays_are_charged_to_the_byte_by_the_first_versions(void)
{
	CU_ASSERT(client_passes("arrays", "GPUSHIM_MEMORY=1MiB"));
}

static void a_new_context_with_the_handle_of_one_being_destroyed_keeps_its_memory(void)
{
	CU_ASSERT(client_passes("contexts", "GPUSHIM_MEMORY=1MiB"));
}

static void what_32_bits_cannot_say_is_as_much_as_they_can(void)
{
	CU_ASSERT(client_passes("large", "GPUSHIM_MEMORY=5GiB"));
	CU_ASSERT(client_passes("small", "GPUSHIM_MEMORY=1MiB"));
}

const struct unit_suite unit_suite = {
	.name = "first versions of calls",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(a_first_version_that_the_driver_lacks_gets_its_code_and_no_charge),
		UNIT_TEST(contexts_are_charged_by_whatever_version_they_are_made),
		UNIT_TEST(memory_is_charged_to_the_byte_by_the_first_versions),
		UNIT_TEST(the_drivers_pitch_is_learned),
		UNIT_TEST(arrays_are_charged_to_the_byte_by_the_first_versions),
		UNIT_TEST(a_new_context_with_the_handle_of_one_being_destroyed_keeps_its_memory),
		UNIT_TEST(what_32_bits_cannot_say_is_as_much_as_they_can),
	},
};
