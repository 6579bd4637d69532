/*
 * test_occupancy.c - what one multiprocessor holds, against the table of compute capability
 * 9.0 in the CUDA C++ Programming Guide: 2048 threads, 64 warps, 32 blocks, 65536 registers,
 * 228 KiB of shared memory of which a block may have 227 and the system keeps 1 for each.
 *
 * Kernels in PTX count as having 32 registers per thread.
 */
#include "code_kernels.h"

#define KIB 1024u

static CUcontext ctx;
static CUmodule module;
static CUfunction plain, bounded, shared;
static int multiprocessors;

static int open_all(void)
{
	static const char ptx[] = PTX_HEAD PTX_PLAIN
		".visible .entry shares_40k() { .shared .align 4 .b8 s[40960]; }\n";

	if (code_open(&ctx) != 0 || cuModuleLoadData(&module, ptx) != CUDA_SUCCESS ||
	    cuDeviceGetAttribute(&multiprocessors,
				 CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
				 0) != CUDA_SUCCESS)
		return -1;
	plain = code_function(module, "plain");
	bounded = code_function(module, "at_most_64");
	shared = code_function(module, "shares_40k");
	return cuFuncSetAttribute(plain, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
				  227 * KIB) == CUDA_SUCCESS
		       ? 0
		       : -1;
}

static int close_all(void)
{
	return cuDevicePrimaryCtxRelease(0) == CUDA_SUCCESS ? 0 : -1;
}

static int blocks(CUfunction f, int size, size_t dynamic)
{
	int number = -1;

	OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&number, f, size, dynamic));
	return number;
}

static void threads_warps_and_blocks_limit_a_multiprocessor(void)
{
	CU_ASSERT_EQUAL(blocks(plain, 1024, 0), 2);
	CU_ASSERT_EQUAL(blocks(plain, 256, 0), 8);
	CU_ASSERT_EQUAL(blocks(plain, 64, 0), 32);
	CU_ASSERT_EQUAL(blocks(plain, 32, 0), 32);
	CU_ASSERT_EQUAL(blocks(plain, 1000, 0), 2); /* 32 warps, the last not full */
	CU_ASSERT_EQUAL(blocks(plain, 1025, 0), 0);
	CU_ASSERT_EQUAL(blocks(bounded, 64, 0), 32);
	CU_ASSERT_EQUAL(blocks(bounded, 65, 0), 0);
}

static void shared_memory_limits_a_multiprocessor(void)
{
	CU_ASSERT_EQUAL(blocks(plain, 64, 227 * KIB), 1);
	CU_ASSERT_EQUAL(blocks(plain, 64, 113 * KIB), 2);
	CU_ASSERT_EQUAL(blocks(plain, 64, 113 * KIB + 1), 1);
	CU_ASSERT_EQUAL(blocks(plain, 64, 48 * KIB), 4);
	CU_ASSERT_EQUAL(blocks(plain, 64, 227 * KIB + 1), 0);
	CU_ASSERT_EQUAL(blocks(shared, 64, 0), 5);
	CU_ASSERT_EQUAL(blocks(shared, 64, 8 * KIB), 4);
	CU_ASSERT_EQUAL(blocks(shared, 64, 8 * KIB + 1), 0); /* not asked for */
}

static void the_largest_block_that_fills_a_multiprocessor_is_proposed(void)
{
	int grid = -1, size = -1;

	OK(cuOccupancyMaxPotentialBlockSize(&grid, &size, plain, NULL, 0, 0));
	CU_ASSERT_EQUAL(size, 1024);
	CU_ASSERT_EQUAL(grid, 2 * multiprocessors);
	OK(cuOccupancyMaxPotentialBlockSize(&grid, &size, plain, NULL, 0, 300));
	CU_ASSERT_EQUAL(size, 256);
	CU_ASSERT_EQUAL(grid, 8 * multiprocessors);
	OK(cuOccupancyMaxPotentialBlockSize(&grid, &size, bounded, NULL, 0, 0));
	CU_ASSERT_EQUAL(size, 64);
	OK(cuOccupancyMaxPotentialBlockSizeWithFlags(
		&grid, &size, plain, NULL, 150 * KIB, 0,
		CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE));
	CU_ASSERT_EQUAL(size, 1024);
	CU_ASSERT_EQUAL(grid, multiprocessors);
}

static size_t CUDA_CB half_kib_per_thread(int size)
{
	return (size_t)size * 512;
}

static void shared_memory_may_depend_on_the_block(void)
{
	int grid = -1, size = -1;

	/* 448 threads with 224 KiB fill it best: 225 KiB of 228. */
	OK(cuOccupancyMaxPotentialBlockSize(&grid, &size, plain, half_kib_per_thread, 0,
					    0));
	CU_ASSERT_EQUAL(size, 448);
	CU_ASSERT_EQUAL(grid, multiprocessors);
}

static void shared_memory_left_for_a_number_of_blocks_is_told(void)
{
	size_t bytes = 0;

	OK(cuOccupancyAvailableDynamicSMemPerBlock(&bytes, plain, 2, 256));
	CU_ASSERT_EQUAL(bytes, 113 * KIB);
	CU_ASSERT_EQUAL(blocks(plain, 256, bytes), 2);
	OK(cuOccupancyAvailableDynamicSMemPerBlock(&bytes, plain, 1, 256));
	CU_ASSERT_EQUAL(bytes, 227 * KIB);
	OK(cuOccupancyAvailableDynamicSMemPerBlock(&bytes, shared, 2, 256));
	CU_ASSERT_EQUAL(bytes, 73 * KIB);
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuOccupancyAvailableDynamicSMemPerBlock(&bytes, plain, 9, 256));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuOccupancyAvailableDynamicSMemPerBlock(&bytes, plain, 0, 256));
}

static void clusters_are_counted_in_blocks(void)
{
	CUlaunchAttribute attribute = { .id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION };
	CUlaunchConfig config = { .gridDimX = 64,
				  .gridDimY = 1,
				  .gridDimZ = 1,
				  .blockDimX = 1024,
				  .blockDimY = 1,
				  .blockDimZ = 1,
				  .attrs = &attribute,
				  .numAttrs = 1 };
	const CUfunction_attribute non_portable =
		CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED;
	int number = -1;

	OK(cuOccupancyMaxPotentialClusterSize(&number, plain, &config));
	CU_ASSERT_EQUAL(number, 8);
	OK(cuFuncSetAttribute(plain, non_portable, 1));
	OK(cuOccupancyMaxPotentialClusterSize(&number, plain, &config));
	CU_ASSERT_EQUAL(number, 16);
	OK(cuFuncSetAttribute(plain, non_portable, 0));
	attribute.value.clusterDim.x = 4;
	attribute.value.clusterDim.y = attribute.value.clusterDim.z = 1;
	OK(cuOccupancyMaxActiveClusters(&number, plain, &config));
	CU_ASSERT_EQUAL(number, 2 * multiprocessors / 4);
	attribute.value.clusterDim.x = 5;
	IS(CUDA_ERROR_INVALID_CLUSTER_SIZE,
	   cuOccupancyMaxActiveClusters(&number, plain, &config));
	config.numAttrs = 0;
	IS(CUDA_ERROR_INVALID_CLUSTER_SIZE,
	   cuOccupancyMaxActiveClusters(&number, plain, &config));
	IS(CUDA_ERROR_INVALID_VALUE, cuOccupancyMaxActiveClusters(&number, plain, NULL));
}

static void arguments_are_checked(void)
{
	int number;

	IS(CUDA_ERROR_INVALID_VALUE,
	   cuOccupancyMaxActiveBlocksPerMultiprocessor(NULL, plain, 64, 0));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuOccupancyMaxActiveBlocksPerMultiprocessor(&number, plain, 0, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
					     &number, plain, 64, 0, 2));
	OK(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(&number, plain, 64, 0,
								1));
	IS(CUDA_ERROR_INVALID_HANDLE,
	   cuOccupancyMaxActiveBlocksPerMultiprocessor(&number, NULL, 64, 0));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuOccupancyMaxPotentialBlockSize(&number, NULL, plain, NULL, 0, 0));
}

const struct unit_suite unit_suite = {
	.name = "occupancy",
	.init = open_all,
	.cleanup = close_all,
	.tests = {
		UNIT_TEST(threads_warps_and_blocks_limit_a_multiprocessor),
		UNIT_TEST(shared_memory_limits_a_multiprocessor),
		UNIT_TEST(the_largest_block_that_fills_a_multiprocessor_is_proposed),
		UNIT_TEST(shared_memory_may_depend_on_the_block),
		UNIT_TEST(shared_memory_left_for_a_number_of_blocks_is_told),
		UNIT_TEST(clusters_are_counted_in_blocks),
		UNIT_TEST(arguments_are_checked),
	},
};
