/*
 * test_footprint.c - what the driver takes of the device for itself: contexts and code, at
 * configured sizes, code only when it is first needed.
 */
#include <stdlib.h>
#include <unistd.h>

#include "code_kernels.h"
#include "simgpu.h"

#define MIB ((uint64_t)1 << 20)

static struct simgpu_monitor *monitor;
static CUcontext ctx;

static int start(void)
{
	setenv("SIMGPU_CONTEXT", "10MiB", 1);
	setenv("SIMGPU_CODE", "3MiB", 1);
	unsetenv("CUDA_MODULE_LOADING");
	monitor = simgpu_open(NULL, 1, NULL);
	return monitor == NULL || cuInit(0) != CUDA_SUCCESS ||
	       cuDevicePrimaryCtxRetain(&ctx, 0) != CUDA_SUCCESS ||
	       cuCtxSetCurrent(ctx) != CUDA_SUCCESS;
}

static int stop(void)
{
	simgpu_close(monitor);
	return cuDevicePrimaryCtxRelease(0);
}

static struct simgpu_bytes bytes_now(void)
{
	struct simgpu_bytes bytes = { 0 };
	struct simgpu_truth *truth = simgpu_truth(monitor);
	const struct simgpu_client *me = truth ? simgpu_find(truth, getpid()) : NULL;

	CU_ASSERT_PTR_NOT_NULL(me);
	if (me != NULL)
		bytes = me->memory[0];
	simgpu_free(truth);
	return bytes;
}

static void a_context_holds_what_is_configured(void)
{
	CUcontext second;
	size_t before, after, total;

	CU_ASSERT_EQUAL(bytes_now().context, 10 * MIB);
	CU_ASSERT_EQUAL(bytes_now().used, 10 * MIB);
	CU_ASSERT_EQUAL(cuMemGetInfo(&before, &total), CUDA_SUCCESS);
	CU_ASSERT_EQUAL(cuCtxCreate(&second, NULL, 0, 0), CUDA_SUCCESS);
	CU_ASSERT_EQUAL(bytes_now().context, 20 * MIB);
	CU_ASSERT_EQUAL(cuMemGetInfo(&after, &total), CUDA_SUCCESS);
	CU_ASSERT_EQUAL(before - after, 10 * MIB);
	CU_ASSERT_EQUAL(cuCtxDestroy(second), CUDA_SUCCESS);
	CU_ASSERT_EQUAL(bytes_now().context, 10 * MIB);
	CU_ASSERT_EQUAL(bytes_now().requested, 0);
}

static void code_is_charged_when_it_is_first_needed_and_until_unloaded(void)
{
	CUmodule module;
	CUfunction function;
	uint64_t code;

	CU_ASSERT_EQUAL(bytes_now().code, 0);
	CU_ASSERT_EQUAL(cuModuleLoadData(&module, PTX_HEAD PTX_PLAIN), CUDA_SUCCESS);
	CU_ASSERT_EQUAL(bytes_now().code, 0);
	CU_ASSERT_EQUAL(cuModuleGetFunction(&function, module, "plain"), CUDA_SUCCESS);
	CU_ASSERT_EQUAL(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL),
			CUDA_SUCCESS);
	CU_ASSERT_EQUAL(cuCtxSynchronize(), CUDA_SUCCESS);
	code = bytes_now().code;
	/* The configured part and the image, which is small. */
	CU_ASSERT_TRUE(code > 3 * MIB);
	CU_ASSERT_TRUE(code <= 3 * MIB + MIB / 8);
	CU_ASSERT_EQUAL(bytes_now().used, 10 * MIB + code);
	CU_ASSERT_EQUAL(cuModuleUnload(module), CUDA_SUCCESS);
	CU_ASSERT_EQUAL(bytes_now().code, 0);
	CU_ASSERT_EQUAL(bytes_now().used, 10 * MIB);
}

static void code_that_does_not_fit_is_refused(void)
{
	CUdeviceptr filler;
	CUmodule module;
	CUfunction function;
	size_t free_bytes, total;

	CU_ASSERT_EQUAL(cuMemGetInfo(&free_bytes, &total), CUDA_SUCCESS);
	CU_ASSERT_EQUAL(cuMemAlloc(&filler, free_bytes - 2 * MIB), CUDA_SUCCESS);
	CU_ASSERT_EQUAL(cuModuleLoadData(&module, PTX_HEAD PTX_PLAIN), CUDA_SUCCESS);
	CU_ASSERT_EQUAL(cuModuleGetFunction(&function, module, "plain"),
			CUDA_ERROR_OUT_OF_MEMORY);
	CU_ASSERT_EQUAL(cuMemFree(filler), CUDA_SUCCESS);
	CU_ASSERT_EQUAL(cuModuleGetFunction(&function, module, "plain"), CUDA_SUCCESS);
	CU_ASSERT_EQUAL(cuModuleUnload(module), CUDA_SUCCESS);
}

const struct unit_suite unit_suite = {
	.name = "what the driver takes for itself",
	.init = start,
	.cleanup = stop,
	.tests = { UNIT_TEST(a_context_holds_what_is_configured),
		   UNIT_TEST(code_is_charged_when_it_is_first_needed_and_until_unloaded),
		   UNIT_TEST(code_that_does_not_fit_is_refused) },
};
