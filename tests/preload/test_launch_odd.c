/*
 * test_launch_odd.c - launches that cannot be: arguments that the driver refuses get its own
 * codes and are counted nowhere, and without a valid policy nothing reaches it.
 */
#include "common_launches.h"

#include "cunit_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUOTA "GPUSHIM_MEMORY=256MiB"

/* ---- nonsense ---- */

static void say(const char *call, CUresult result)
{
	fprintf(stderr, "%s: %d\n", call, (int)result);
}

#define SAY(call) say(#call, call)

static void nothing_at_all(void)
{
	SAY(cuLaunchKernel(NULL, SHAPE, NULL, NULL, NULL));
	SAY(cuLaunchKernel_ptsz(NULL, SHAPE, NULL, NULL, NULL));
	SAY(cuLaunchKernelEx(NULL, NULL, NULL, NULL));
	SAY(cuLaunchKernelEx_ptsz(NULL, NULL, NULL, NULL));
	SAY(cuLaunchCooperativeKernel(NULL, SHAPE, NULL, NULL));
	SAY(cuLaunchCooperativeKernel_ptsz(NULL, SHAPE, NULL, NULL));
	SAY(cuLaunchCooperativeKernelMultiDevice(NULL, 0, 0));
	SAY(cuLaunchCooperativeKernelMultiDevice(NULL, 1, 0));
	SAY(cuLaunch(NULL));
	SAY(cuLaunchGrid(NULL, -1, 0));
	SAY(cuLaunchGridAsync(NULL, 1, 1, NULL));
	SAY(cuGraphLaunch(NULL, NULL));
	SAY(cuGraphLaunch_ptsz(NULL, NULL));
	SAY(cuGraphExecDestroy(NULL));
	SAY(cuGraphExecUpdate(NULL, NULL, NULL, NULL));
	SAY(cuGraphExecUpdate_v2(NULL, NULL, NULL));
	SAY(cuGraphExecKernelNodeSetParams(NULL, NULL, NULL));
	SAY(cuGraphExecKernelNodeSetParams_v2(NULL, NULL, NULL));
	SAY(cuGraphExecMemcpyNodeSetParams(NULL, NULL, NULL, NULL));
	SAY(cuGraphExecMemsetNodeSetParams(NULL, NULL, NULL, NULL));
	SAY(cuGraphExecChildGraphNodeSetParams(NULL, NULL, NULL));
	SAY(cuGraphExecNodeSetParams(NULL, NULL, NULL));
	SAY(cuGraphNodeSetEnabled(NULL, NULL, 1));
	SAY(cuMemsetD8_v2(0, 1, 1));
	SAY(cuMemsetD8_v2(0, 1, SIZE_MAX));
	SAY(cuMemsetD32Async(12345, 1, SIZE_MAX, NULL));
	SAY(cuMemsetD2D32_v2(0, SIZE_MAX, 1, SIZE_MAX, SIZE_MAX));
	SAY(cuMemsetD2D8Async_ptsz(0, 0, 1, 1, 2, NULL));
	SAY(cuMemcpy(0, 0, 1));
	SAY(cuMemcpyAsync(0, 12345, SIZE_MAX, NULL));
	SAY(cuMemcpyDtoD_v2(0, 0, 1));
	SAY(cuMemcpyDtoDAsync_v2_ptsz(0, 0, SIZE_MAX, NULL));
	SAY(cuMemcpyAtoA_v2(NULL, 0, NULL, 0, 1));
	SAY(cuMemcpyAtoD_v2(0, NULL, 0, 1));
	SAY(cuMemcpyDtoA_v2_ptds(NULL, 0, 0, 1));
	SAY(cuMemcpyPeer(0, NULL, 0, NULL, 1));
	SAY(cuMemcpyPeerAsync(0, NULL, 0, NULL, 1, NULL));
	SAY(cuMemcpy2D_v2(NULL));
	SAY(cuMemcpy2DAsync_v2(NULL, NULL));
	SAY(cuMemcpy3D_v2_ptds(NULL));
	SAY(cuMemcpy3DPeer(NULL));
	SAY(cuMemcpy3DPeerAsync_ptsz(NULL, NULL));
	SAY(cuMemcpyBatchAsync(NULL, NULL, NULL, 3, NULL, NULL, 1, NULL, NULL));
	SAY(cuMemcpyBatchAsync_v2(NULL, NULL, NULL, 0, NULL, NULL, 0, NULL));
	SAY(cuMemcpy3DBatchAsync(3, NULL, NULL, 0, NULL));
	SAY(cuMemcpy3DBatchAsync_v2_ptsz(0, NULL, 0, NULL));
	SAY(cuStreamBeginCapture(NULL));
	SAY(cuStreamBeginCapture_v2(NULL, CU_STREAM_CAPTURE_MODE_GLOBAL));
	SAY(cuStreamBeginCaptureToGraph(NULL, NULL, NULL, NULL, 1, 77));
	SAY(cuStreamEndCapture(NULL, NULL));
	SAY(cuModuleUnload(NULL));
	SAY(cuLibraryUnload(NULL));
	SAY(cuStreamDestroy_v2(NULL));
	SAY(cuCtxPopCurrent_v2(NULL));
	SAY(cuCtxPushCurrent_v2(NULL));
	SAY(cuCtxDestroy_v2(NULL));
	SAY(cuCtxSetCurrent(NULL));
	SAY(cuCtxPopCurrent(NULL));
	SAY(cuDevicePrimaryCtxRelease_v2(-1));
	SAY(cuDevicePrimaryCtxReset_v2(1 << 20));
}

/* Objects of another kind, and shapes that no device has. */
static void something_else(void)
{
	CUlaunchConfig config = { 0 };
	CUDA_LAUNCH_PARAMS parts[2] = { { .gridDimX = 1 } };
	CUDA_MEMCPY2D flat = { .srcMemoryType = CU_MEMORYTYPE_UNIFIED,
			       .dstMemoryType = CU_MEMORYTYPE_UNIFIED,
			       .srcDevice = launches.from,
			       .dstDevice = launches.to,
			       .WidthInBytes = 16,
			       .Height = 1 };
	CUDA_MEMCPY3D deep = { .srcMemoryType = (CUmemorytype)77,
			       .dstMemoryType = CU_MEMORYTYPE_DEVICE,
			       .srcDevice = launches.from,
			       .dstDevice = launches.to,
			       .WidthInBytes = 16,
			       .Height = 1,
			       .Depth = 1 };
	CUDA_MEMCPY3D_BATCH_OP op = { .extent = { 16, 1, 1 } };
	CUfunction fill = launches.fill;
	CUstream odd = (CUstream)(uintptr_t)fill;
	CUdeviceptr zero = 0;
	size_t huge = SIZE_MAX;
	CUgraph unused;

	SAY(cuLaunchKernel(fill, SHAPE, odd, FILL, NULL));
	SAY(cuLaunchKernel((CUfunction)launches.stream, SHAPE, NULL, FILL, NULL));
	SAY(cuLaunchKernel(fill, 0, 1, 1, 1, 1, 1, 0, NULL, FILL, NULL));
	SAY(cuLaunchKernel(fill, 1, 1, 1, 4096, 1, 1, 0, NULL, FILL, NULL));
	SAY(cuLaunchKernel(fill, 1, 1, 1, 1, 1, 1, UINT32_MAX, NULL, FILL, NULL));
	SAY(cuLaunchKernel(fill, SHAPE, NULL, NULL, NULL));
	SAY(cuLaunchKernelEx(&config, fill, FILL, NULL));
	SAY(cuLaunchCooperativeKernel(fill, 1 << 30, 1, 1, 1024, 1, 1, 0, NULL, FILL));
	SAY(cuLaunchCooperativeKernelMultiDevice(parts, 2, 0));
	SAY(cuLaunchCooperativeKernelMultiDevice(parts, 1, 77));
	SAY(cuLaunchCooperativeKernelMultiDevice(parts, 1000, 0));
	SAY(cuGraphLaunch((CUgraphExec)launches.stream, NULL));
	SAY(cuMemsetD32_v2(launches.to + 2, 1, 1));
	SAY(cuMemsetD8_v2(launches.to, 1, (size_t)1 << 60));
	SAY(cuMemsetD8Async(launches.to, 1, 16, odd));
	SAY(cuMemcpyDtoD_v2(launches.to, launches.from, (size_t)1 << 60));
	SAY(cuMemcpyDtoDAsync_v2(launches.to, launches.from, 16, odd));
	SAY(cuMemcpy(launches.to, 12345, 0));
	SAY(cuMemcpyAtoA_v2((CUarray)fill, 0, (CUarray)fill, 0, 1));
	SAY(cuMemcpy3D_v2(&deep));
	flat.dstDevice = 0;
	SAY(cuMemcpy2D_v2(&flat));
	flat.dstDevice = launches.to;
	flat.WidthInBytes = flat.Height = SIZE_MAX;
	SAY(cuMemcpy2D_v2(&flat));
	SAY(cuMemcpyBatchAsync_v2(&launches.to, &zero, &huge, 1, NULL, NULL, 0,
				  launches.stream));
	SAY(cuMemcpyBatchAsync_v2(&launches.to, &launches.from, &huge, 1, NULL, NULL, 0,
				  launches.stream));
	op.src.type = (CUmemcpy3DOperandType)77;
	op.dst.type = CU_MEMCPY_OPERAND_TYPE_ARRAY;
	SAY(cuMemcpy3DBatchAsync_v2(1, &op, 0, launches.stream));
	SAY(cuStreamBeginCapture_v2(launches.stream, (CUstreamCaptureMode)77));
	SAY(cuStreamEndCapture(launches.stream, &unused));
	SAY(cuModuleUnload((CUmodule)launches.stream));
	SAY(cuStreamDestroy_v2(odd));
	SAY(cuCtxSetCurrent((CUcontext)launches.stream));
	SAY(cuCtxPushCurrent_v2((CUcontext)launches.stream));
}

TENANT_BODY(nonsense)
{
	launches_prepare();
	something_else();
	nothing_at_all();
}

TENANT_BODY(nonsense_without_a_context)
{
	check_result(cuInit(0), CUDA_SUCCESS);
	nothing_at_all();
}

TENANT_BODY(nonsense_before_all)
{
	nothing_at_all();
}

enum { TEXT_MAX = 65536 };

static void is_refused_alike(const char *body)
{
	static char bare[TEXT_MAX];

	CU_ASSERT(tenant_passes_bare(body, NULL));
	snprintf(bare, sizeof(bare), "%s", tenant_stderr());
	CU_ASSERT(strstr(bare, "cuDevicePrimaryCtxReset_v2") != NULL);
	CU_ASSERT(tenant_passes(body, QUOTA, NULL));
	CU_ASSERT_STRING_EQUAL(tenant_stderr(), bare);
	if (strcmp(tenant_stderr(), bare) != 0)
		printf("--- bare\n%s--- shim\n%s", bare, tenant_stderr());
	CU_ASSERT(tenant_passes(body, "GPUSHIM_DIR", "GPUSHIM_WAIT_MS", NULL));
	CU_ASSERT_STRING_EQUAL(tenant_stderr(), bare);
}

static void nonsense_gets_the_drivers_own_codes(void)
{
	is_refused_alike("nonsense");
	is_refused_alike("nonsense_without_a_context");
	is_refused_alike("nonsense_before_all");
}

/* ---- refused ---- */

TENANT_BODY(refused_by_the_driver)
{
	CUfunction fill;

	launches_prepare();
	fill = launches.fill;
	COUNTS(cuLaunchKernel, fill, SHAPE, NULL, FILL, NULL);
	for (int i = 0; i < 200; i++) {
		check_result(
			cuLaunchKernel(fill, 1, 1, 1, 4096, 1, 1, 0, NULL, FILL, NULL),
			CUDA_ERROR_INVALID_VALUE);
		check_result(cuMemsetD8(4096, 1, 16), CUDA_ERROR_NOT_SUPPORTED);
	}
	COUNTS(cuLaunchKernel, fill, SHAPE, NULL, FILL, NULL);
}

static void what_the_driver_refuses_is_not_counted(void)
{
	CU_ASSERT(tenant_passes("refused_by_the_driver", QUOTA, NULL));
}

/* ---- closed ---- */

TENANT_BODY(closed)
{
	check_result(cuInit(0), CUDA_ERROR_NOT_PERMITTED);
	nothing_at_all();
}

static void without_a_valid_policy_nothing_is_launched(void)
{
	const char *line;
	int calls = 0;

	CU_ASSERT(tenant_passes("closed", "GPUSHIM_MEMORY=lots", NULL));
	for (line = strstr(tenant_stderr(), "cuLaunchKernel("); line && *line; calls++) {
		const char *end = strchr(line, '\n'), *colon = strstr(line, "): 800\n");

		if (!colon || !end || colon + 6 != end) {
			printf("%.*s\n", end ? (int)(end - line) : 200, line);
			CU_FAIL("a call got past the gate");
		}
		line = end ? end + 1 : NULL;
	}
	CU_ASSERT(calls > 50);
}

const struct unit_suite unit_suite = {
	.name = "odd launches",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(nonsense_gets_the_drivers_own_codes),
		UNIT_TEST(what_the_driver_refuses_is_not_counted),
		UNIT_TEST(without_a_valid_policy_nothing_is_launched),
	},
};
