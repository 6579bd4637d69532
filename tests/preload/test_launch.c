/*
 * test_launch.c - kernels and graphs: every way to launch one computes under the shim what it
 * computes bare, and the ledger counts it once, on the device where it runs.
 */
#include "common_launches.h"

#include "cunit_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUOTA "GPUSHIM_MEMORY=256MiB"

/* ---- kernels ---- */

/* More blocks side by side than a grid may have above each other. */
static void old_ways(void)
{
	uint64_t words = LAUNCHES_WORDS;
	CUfunction fill = launches.fill;

	check_result(cuFuncSetBlockShape(fill, 256, 1, 1), CUDA_SUCCESS);
	check_result(cuParamSetSize(fill, 24), CUDA_SUCCESS);
	check_result(cuParamSetv(fill, 0, &launches.to, 8), CUDA_SUCCESS);
	check_result(cuParamSetv(fill, 16, &words, 8), CUDA_SUCCESS);
	launches_begin();
	check_result(cuParamSeti(fill, 8, launches.word), CUDA_SUCCESS);
	launches_end("cuLaunch", cuLaunch(fill), 1);
	launches_begin();
	check_result(cuParamSeti(fill, 8, launches.word), CUDA_SUCCESS);
	launches_end("cuLaunchGrid", cuLaunchGrid(fill, 70000, 1), 1);
	launches_begin();
	check_result(cuParamSeti(fill, 8, launches.word), CUDA_SUCCESS);
	launches_end("cuLaunchGridAsync",
		     cuLaunchGridAsync(fill, 70000, 1, launches.stream), 1);
}

TENANT_BODY(kernels)
{
	CUlaunchConfig config = { 4, 1, 1, 256, 1, 1, .sharedMemBytes = 0 };
	CUDA_LAUNCH_PARAMS part = { .gridDimX = 4, 1, 1, 256, 1, 1 };
	CUfunction fill;
	CUstream s;

	launches_prepare();
	fill = part.function = launches.fill;
	s = part.hStream = launches.stream;
	part.kernelParams = launches_fill(0);
	check(launches_counted(0));
	COUNTS(cuLaunchKernel, fill, SHAPE, s, FILL, NULL);
	COUNTS(cuLaunchKernel, fill, SHAPE, NULL, FILL, NULL);
	COUNTS(cuLaunchKernel, fill, SHAPE, CU_STREAM_PER_THREAD, FILL, NULL);
	COUNTS(cuLaunchKernel_ptsz, fill, SHAPE, NULL, FILL, NULL);
	COUNTS(cuLaunchKernel_ptsz, fill, SHAPE, s, FILL, NULL);
	config.hStream = s;
	COUNTS(cuLaunchKernelEx, &config, fill, FILL, NULL);
	config.hStream = NULL;
	COUNTS(cuLaunchKernelEx, &config, fill, FILL, NULL);
	COUNTS(cuLaunchKernelEx_ptsz, &config, fill, FILL, NULL);
	COUNTS(cuLaunchCooperativeKernel, fill, SHAPE, s, FILL);
	COUNTS(cuLaunchCooperativeKernel_ptsz, fill, SHAPE, NULL, FILL);
	launches_begin();
	launches_fill(launches.word);
	launches_end("cuLaunchCooperativeKernelMultiDevice",
		     cuLaunchCooperativeKernelMultiDevice(&part, 1, 0), 1);
	old_ways();
	check(launches_tried("launch"));
}

static void kernels_compute_and_are_counted_once(void)
{
	CU_ASSERT(tenant_passes("kernels", QUOTA, NULL));
}

TENANT_BODY(a_thousand_kernels)
{
	launches_prepare();
	for (int i = 0; i < 1000; i++)
		check_result(cuLaunchKernel(launches.fill, SHAPE, launches.stream,
					    launches_fill((uint32_t)i), NULL),
			     CUDA_SUCCESS);
	check(launches_hold(999));
	check(launches_counted(1000));
}

static void a_thousand_kernels_are_a_thousand_launches(void)
{
	CU_ASSERT(tenant_passes("a_thousand_kernels", QUOTA, NULL));
}

/* ---- graphs ---- */

static CUDA_KERNEL_NODE_PARAMS filling(uint32_t value)
{
	return (CUDA_KERNEL_NODE_PARAMS){ .func = launches.fill,
					  .gridDimX = 4,
					  1,
					  1,
					  256,
					  1,
					  1,
					  .kernelParams = launches_fill(value) };
}

static CUgraph graph_of(uint32_t value, CUgraphNode nodes[3])
{
	CUDA_KERNEL_NODE_PARAMS params = filling(value);
	CUgraph graph = NULL;

	check_result(cuGraphCreate(&graph, 0), CUDA_SUCCESS);
	for (int i = 0; i < 3; i++)
		check_result(cuGraphAddKernelNode_v2(&nodes[i], graph,
						     i ? &nodes[i - 1] : NULL, i > 0,
						     &params),
			     CUDA_SUCCESS);
	return graph;
}

TENANT_BODY(graphs)
{
	CUDA_KERNEL_NODE_PARAMS params;
	CUgraphNode nodes[3], others[3];
	CUgraphExecUpdateResultInfo info;
	CUgraphExecUpdateResult update;
	CUgraphNode error;
	CUgraphExec exec;
	CUgraph graph;

	launches_prepare();
	launches_begin();
	graph = graph_of(launches.word, nodes);
	check_result(cuGraphInstantiateWithFlags(&exec, graph, 0), CUDA_SUCCESS);
	check_result(cuGraphUpload(exec, launches.stream), CUDA_SUCCESS);
	check(launches_counted(0));
	launches_end("cuGraphLaunch", cuGraphLaunch(exec, launches.stream), 1);
	check_result(cuMemsetD32_v2(launches.to, 0, LAUNCHES_WORDS), CUDA_SUCCESS);
	launches_end("cuGraphLaunch", cuGraphLaunch(exec, NULL), 2);
	check_result(cuMemsetD32_v2(launches.to, 0, LAUNCHES_WORDS), CUDA_SUCCESS);
	launches_end("cuGraphLaunch_ptsz", cuGraphLaunch_ptsz(exec, NULL), 2);
	/* Changed, it is launched as changed. */
	launches_begin();
	params = filling(launches.word);
	for (int i = 0; i < 3; i++)
		check_result(cuGraphExecKernelNodeSetParams_v2(exec, nodes[i], &params),
			     CUDA_SUCCESS);
	launches_end("cuGraphLaunch", cuGraphLaunch(exec, launches.stream), 1);
	launches_begin();
	check_result(cuGraphExecUpdate_v2(exec, graph_of(launches.word, others), &info),
		     CUDA_SUCCESS);
	launches_end("cuGraphLaunch", cuGraphLaunch(exec, launches.stream), 1);
	launches_begin();
	check_result(
		cuGraphExecUpdate(exec, graph_of(launches.word, others), &error, &update),
		CUDA_SUCCESS);
	launches_end("cuGraphLaunch", cuGraphLaunch(exec, launches.stream), 1);
	for (int i = 0; i < 3; i++)
		check_result(cuGraphNodeSetEnabled(exec, nodes[i], 0), CUDA_SUCCESS);
	/* Nothing is left of it to fill `to`: what does so is the memset before. */
	check_result(cuMemsetD32_v2(launches.to, ++launches.word, LAUNCHES_WORDS),
		     CUDA_SUCCESS);
	launches_end("cuGraphLaunch", cuGraphLaunch(exec, launches.stream), 2);
	check_result(cuGraphExecDestroy(exec), CUDA_SUCCESS);
}

static void a_graph_is_one_launch_and_runs_as_it_was_changed(void)
{
	CU_ASSERT(tenant_passes("graphs", QUOTA, NULL));
}

/* ---- the thread's own stream ---- */

static bool is_done(CUstream stream)
{
	CUresult result = CUDA_ERROR_NOT_READY;

	for (int i = 0; i < 5000 && result == CUDA_ERROR_NOT_READY; i++) {
		usleep(1000);
		result = cuStreamQuery(stream);
	}
	return result == CUDA_SUCCESS;
}

/* Whatever touched the legacy stream would wait for the one that is held up. */
TENANT_BODY(beside_a_stream_that_waits)
{
	CUlaunchConfig config = { 4, 1, 1, 256, 1, 1, .sharedMemBytes = 0 };
	const size_t n = LAUNCHES_BYTES;
	CUgraphNode nodes[3];
	CUgraphExec exec;
	CUstream blocking;
	uint32_t *word;

	launches_prepare();
	check_result(cuGraphInstantiateWithFlags(&exec, graph_of(1, nodes), 0),
		     CUDA_SUCCESS);
	check_result(cuMemHostAlloc((void **)&word, sizeof(*word), 0), CUDA_SUCCESS);
	*word = 0;
	check_result(cuStreamCreate(&blocking, CU_STREAM_DEFAULT), CUDA_SUCCESS);
	check_result(cuStreamWaitValue32_v2(blocking, (CUdeviceptr)(uintptr_t)word, 1,
					    CU_STREAM_WAIT_VALUE_EQ),
		     CUDA_SUCCESS);
	check_result(cuLaunchKernel_ptsz(launches.fill, SHAPE, NULL, FILL, NULL),
		     CUDA_SUCCESS);
	check_result(cuLaunchKernelEx_ptsz(&config, launches.fill, FILL, NULL),
		     CUDA_SUCCESS);
	check_result(cuLaunchCooperativeKernel_ptsz(launches.fill, SHAPE, NULL, FILL),
		     CUDA_SUCCESS);
	check_result(cuGraphLaunch_ptsz(exec, NULL), CUDA_SUCCESS);
	check_result(cuMemsetD8Async_ptsz(launches.to, 1, n, NULL), CUDA_SUCCESS);
	check_result(cuMemsetD2D32Async_ptsz(launches.to, 64, 1, 16, 64, NULL),
		     CUDA_SUCCESS);
	check_result(cuMemcpyDtoDAsync_v2_ptsz(launches.to, launches.from, n, NULL),
		     CUDA_SUCCESS);
	check_result(cuMemcpyAsync_ptsz(launches.to, launches.from, n, NULL),
		     CUDA_SUCCESS);
	check(is_done(CU_STREAM_PER_THREAD));
	check_result(cuStreamQuery(blocking), CUDA_ERROR_NOT_READY);
	__atomic_store_n(word, 1, __ATOMIC_RELEASE);
}

static void a_threads_own_stream_waits_for_no_other(void)
{
	CU_ASSERT(tenant_passes("beside_a_stream_that_waits", QUOTA, NULL));
}

/* ---- several devices ---- */

enum { DEVICES = 2 };

static struct device {
	CUcontext context;
	CUfunction fill;
	CUdeviceptr at;
} on[DEVICES];

static void prepare_devices(void)
{
	check_result(cuInit(0), CUDA_SUCCESS);
	for (int i = 0; i < DEVICES; i++) {
		check_result(cuDevicePrimaryCtxRetain(&on[i].context, i), CUDA_SUCCESS);
		check_result(cuCtxSetCurrent(on[i].context), CUDA_SUCCESS);
		on[i].fill = launches_load();
		check_result(cuMemAlloc_v2(&on[i].at, LAUNCHES_BYTES), CUDA_SUCCESS);
	}
}

enum { AT_ONCE = 50 };

/* Works on the legacy stream of the current context, which is of that device. All of it has
 * one signature, so that nobody has to look where it is but for the context. */
static bool runs_on(int device)
{
	for (int i = 0; i < AT_ONCE; i++)
		check_result(cuMemsetD8_v2(on[device].at, 7, LAUNCHES_BYTES),
			     CUDA_SUCCESS);
	return check(launches_counted_on((unsigned)device, AT_ONCE)) &&
	       check(launches_counted_on((unsigned)!device, 0));
}

TENANT_BODY(contexts_of_two_devices)
{
	CUcontext context, second;

	prepare_devices();
	check(runs_on(1));
	for (int i = 0; i < 4; i++) {
		check_result(cuCtxSetCurrent(on[i % 2].context), CUDA_SUCCESS);
		check(runs_on(i % 2));
	}
	check_result(cuCtxSetCurrent(on[0].context), CUDA_SUCCESS);
	check(runs_on(0));
	check_result(cuCtxPushCurrent_v2(on[1].context), CUDA_SUCCESS);
	check(runs_on(1));
	check_result(cuCtxPopCurrent_v2(&context), CUDA_SUCCESS);
	check(runs_on(0));
	check_result(cuCtxPushCurrent(on[1].context), CUDA_SUCCESS);
	check(runs_on(1));
	check_result(cuCtxPopCurrent(&context), CUDA_SUCCESS);
	check(runs_on(0));
	/* One that is made is current at once, and gone it leaves the one before. */
	check_result(cuCtxCreate_v2(&second, 0, 1), CUDA_SUCCESS);
	check_result(cuMemAlloc_v2(&on[1].at, LAUNCHES_BYTES), CUDA_SUCCESS);
	check(runs_on(1));
	check_result(cuCtxDestroy_v2(second), CUDA_SUCCESS);
	check(runs_on(0));
}

TENANT_BODY(one_kernel_on_two_devices)
{
	const unsigned int flags =
		CUDA_COOPERATIVE_LAUNCH_MULTI_DEVICE_NO_PRE_LAUNCH_SYNC |
		CUDA_COOPERATIVE_LAUNCH_MULTI_DEVICE_NO_POST_LAUNCH_SYNC;
	CUDA_LAUNCH_PARAMS parts[DEVICES];
	uint64_t words = LAUNCHES_WORDS;
	uint32_t value = 0xabcd, got;
	void *params[DEVICES][3];

	prepare_devices();
	for (int i = 0; i < DEVICES; i++) {
		check_result(cuCtxSetCurrent(on[i].context), CUDA_SUCCESS);
		params[i][0] = &on[i].at;
		params[i][1] = &value;
		params[i][2] = &words;
		parts[i] = (CUDA_LAUNCH_PARAMS){
			on[i].fill, 4, 1, 1, 256, 1, 1, .kernelParams = params[i]
		};
		check_result(cuStreamCreate(&parts[i].hStream, CU_STREAM_NON_BLOCKING),
			     CUDA_SUCCESS);
	}
	check_result(cuLaunchCooperativeKernelMultiDevice(parts, DEVICES, flags),
		     CUDA_SUCCESS);
	for (int i = 0; i < DEVICES; i++) {
		check_result(cuStreamSynchronize(parts[i].hStream), CUDA_SUCCESS);
		check_result(cuMemcpyDtoH_v2(&got, on[i].at, sizeof(got)), CUDA_SUCCESS);
		check(got == value);
		check(launches_counted_on((unsigned)i, 1));
	}
}

static void launches_are_counted_where_they_run(void)
{
	setenv("SIMGPU_DEVICES", "2", 1);
	CU_ASSERT(tenant_passes("contexts_of_two_devices", QUOTA, NULL));
	unsetenv("SIMGPU_DEVICES");
}

static void one_launch_on_two_devices_is_counted_on_both(void)
{
	setenv("SIMGPU_DEVICES", "2", 1);
	CU_ASSERT(tenant_passes("one_kernel_on_two_devices", QUOTA, NULL));
	unsetenv("SIMGPU_DEVICES");
}

/* ---- what goes while it is in use ---- */

/* Whether launches in the current context are measured: until the ledger says so. */
static bool is_measured(void)
{
	const uint64_t before = launches_measured();

	for (int i = 0; i < 10000 && launches_measured() == before; i++) {
		check_result(cuLaunchKernel(launches.fill, SHAPE, NULL, FILL, NULL),
			     CUDA_SUCCESS);
		check_result(cuCtxSynchronize(), CUDA_SUCCESS);
		usleep(1000);
	}
	return launches_measured() != before;
}

TENANT_BODY(things_that_go)
{
	CUcontext context;
	CUstream stream;

	launches_prepare();
	for (int i = 0; i < 20; i++) {
		struct launches outer = launches;

		check_result(cuCtxCreate_v2(&context, 0, 0), CUDA_SUCCESS);
		launches.fill = launches_load();
		check_result(cuStreamCreate(&stream, 0), CUDA_SUCCESS);
		for (int k = 0; k < 50; k++)
			check_result(
				cuLaunchKernel(launches.fill, SHAPE, stream, FILL, NULL),
				CUDA_SUCCESS);
		check_result(i % 2 ? cuStreamDestroy_v2(stream) : CUDA_SUCCESS,
			     CUDA_SUCCESS);
		check_result(cuLaunchKernel(launches.fill, SHAPE, NULL, FILL, NULL),
			     CUDA_SUCCESS);
		check_result(cuCtxDestroy_v2(context), CUDA_SUCCESS);
		launches = outer;
		launches_begin();
		launches_end("cuLaunchKernel",
			     cuLaunchKernel(launches.fill, SHAPE, NULL, FILL, NULL), 52);
	}
}

TENANT_BODY(primary_contexts_that_go)
{
	CUcontext context, current;

	for (int i = 0; i < 10; i++) {
		launches_prepare();
		launches_begin();
		launches_end("cuLaunchKernel",
			     cuLaunchKernel(launches.fill, SHAPE, NULL, FILL, NULL), 1);
		/* Taken and given back by others meanwhile. */
		check_result(cuCtxGetCurrent(&current), CUDA_SUCCESS);
		check_result(cuDevicePrimaryCtxRetain(&context, 0), CUDA_SUCCESS);
		check_result(cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
		check(context == current);
		launches_begin();
		launches_end("cuLaunchKernel",
			     cuLaunchKernel(launches.fill, SHAPE, NULL, FILL, NULL), 1);
		check_result(i % 2 ? cuDevicePrimaryCtxRelease_v2(0)
				   : cuDevicePrimaryCtxReset_v2(0),
			     CUDA_SUCCESS);
	}
}

/* New ones may have the handles of those that went, and none of their events. */
TENANT_BODY(contexts_that_come_again)
{
	CUcontext context;

	for (int i = 0; i < 6; i++) {
		launches_prepare();
		check(is_measured());
		check_result(cuCtxCreate_v2(&context, 0, 0), CUDA_SUCCESS);
		launches.fill = launches_load();
		check_result(cuMemAlloc_v2(&launches.to, LAUNCHES_BYTES), CUDA_SUCCESS);
		check(is_measured());
		check_result(cuCtxDestroy_v2(context), CUDA_SUCCESS);
		check_result(i % 2 ? cuDevicePrimaryCtxRelease_v2(0)
				   : cuDevicePrimaryCtxReset_v2(0),
			     CUDA_SUCCESS);
	}
}

static void contexts_that_come_again_are_measured_again(void)
{
	CU_ASSERT(tenant_passes("contexts_that_come_again", QUOTA, NULL));
}

static void contexts_and_streams_may_go_while_they_are_measured(void)
{
	CU_ASSERT(tenant_passes("things_that_go", QUOTA, NULL));
	CU_ASSERT(tenant_passes("primary_contexts_that_go", QUOTA, NULL));
}

/* ---- without limits ---- */

static void without_limits_all_of_it_computes(void)
{
	static const char *const bodies[] = { "kernels", "graphs" };

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		CU_ASSERT(
			tenant_passes(bodies[i], "GPUSHIM_DIR", "GPUSHIM_WAIT_MS", NULL));
}

const struct unit_suite unit_suite = {
	.name = "launches",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(kernels_compute_and_are_counted_once),
		UNIT_TEST(a_thousand_kernels_are_a_thousand_launches),
		UNIT_TEST(a_graph_is_one_launch_and_runs_as_it_was_changed),
		UNIT_TEST(launches_are_counted_where_they_run),
		UNIT_TEST(one_launch_on_two_devices_is_counted_on_both),
		UNIT_TEST(contexts_and_streams_may_go_while_they_are_measured),
		UNIT_TEST(contexts_that_come_again_are_measured_again),
		UNIT_TEST(a_threads_own_stream_waits_for_no_other),
		UNIT_TEST(without_limits_all_of_it_computes),
	},
};
