/*
 * test_launch.c - kernel launches in all their forms, against the CUDA driver API manual
 * ("Execution Control").
 */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "code_kernels.h"
#include "simgpu.h"

/* The per-thread twins, which cuda.h declares under other names or not at all. */
CUresult cuLaunchKernel_ptsz(CUfunction f, unsigned gx, unsigned gy, unsigned gz,
			     unsigned bx, unsigned by, unsigned bz, unsigned shared,
			     CUstream stream, void **params, void **extra);
CUresult cuLaunchCooperativeKernel_ptsz(CUfunction f, unsigned gx, unsigned gy,
					unsigned gz, unsigned bx, unsigned by,
					unsigned bz, unsigned shared, CUstream stream,
					void **params);
CUresult cuLaunchKernelEx_ptsz(const CUlaunchConfig *config, CUfunction f, void **params,
			       void **extra);

enum { WORDS = 1000 };

static CUcontext ctx;
static CUmodule module;
static CUfunction fill, saxpy, reduce, spin_word, plain;
static CUdeviceptr memory;
static int multiprocessors;

static int open_all(void)
{
	if (code_open(&ctx) != 0 || cuModuleLoadData(&module, PTX_ALL) != CUDA_SUCCESS ||
	    cuMemAlloc(&memory, (WORDS + 2) * sizeof(uint64_t)) != CUDA_SUCCESS ||
	    cuDeviceGetAttribute(&multiprocessors,
				 CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
				 0) != CUDA_SUCCESS)
		return -1;
	fill = code_function(module, "gpushim_fill_u32");
	saxpy = code_function(module, "gpushim_saxpy_f32");
	reduce = code_function(module, "gpushim_reduce_u32");
	spin_word = code_function(module, "gpushim_spin_word");
	plain = code_function(module, "plain");
	return 0;
}

static int close_all(void)
{
	return cuDevicePrimaryCtxRelease(0) == CUDA_SUCCESS ? 0 : -1;
}

static CUresult launch_plain(CUfunction f, unsigned gx, unsigned gy, unsigned gz,
			     unsigned bx, unsigned by, unsigned bz, unsigned shared)
{
	return cuLaunchKernel(f, gx, gy, gz, bx, by, bz, shared, NULL, NULL, NULL);
}

/* ---- what kernels compute ---- */

static void kernels_compute_what_their_names_say(void)
{
	CUdeviceptr x = memory, y = memory + WORDS * sizeof(float), out = memory;
	float a = 2.5f, ones[WORDS], result[WORDS];
	uint64_t n = WORDS, sum = 5;
	void *saxpy_params[] = { &x, &y, &a, &n };
	void *reduce_params[] = { &y, &out, &n };
	uint32_t seven = 7;
	void *fill_params[] = { &y, &seven, &n };

	for (int i = 0; i < WORDS; i++)
		ones[i] = (float)i;
	OK(cuMemcpyHtoD(x, ones, sizeof(ones)));
	OK(cuMemcpyHtoD(y, ones, sizeof(ones)));
	OK(cuLaunchKernel(saxpy, 4, 1, 1, 256, 1, 1, 0, NULL, saxpy_params, NULL));
	OK(cuMemcpyDtoH(result, y, sizeof(result)));
	for (int i = 0; i < WORDS; i++)
		CU_ASSERT_EQUAL(result[i], 3.5f * (float)i);
	OK(cuLaunchKernel(fill, 4, 1, 1, 256, 1, 1, 0, NULL, fill_params, NULL));
	OK(cuMemcpyHtoD(out, &sum, sizeof(sum)));
	OK(cuLaunchKernel(reduce, 4, 1, 1, 256, 1, 1, 0, NULL, reduce_params, NULL));
	OK(cuMemcpyDtoH(&sum, out, sizeof(sum)));
	CU_ASSERT_EQUAL(sum, 5 + 7 * WORDS);
}

static void arguments_come_in_a_buffer_as_well(void)
{
	struct {
		CUdeviceptr at;
		uint32_t value;
		uint64_t n;
	} buffer = { memory, 0xabcd, 3 };
	size_t bytes = sizeof(buffer);
	void *extra[] = { CU_LAUNCH_PARAM_BUFFER_POINTER, &buffer,
			  CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes, CU_LAUNCH_PARAM_END };
	void *params[] = { &buffer.at, &buffer.value, &buffer.n };
	void *nonsense[] = { (void *)77, &buffer, CU_LAUNCH_PARAM_END };
	uint32_t words[4];

	OK(cuMemsetD8(memory, 0, sizeof(words)));
	OK(cuLaunchKernel(fill, 1, 1, 1, 32, 1, 1, 0, NULL, NULL, extra));
	OK(cuMemcpyDtoH(words, memory, sizeof(words)));
	CU_ASSERT_EQUAL(words[2], 0xabcd);
	CU_ASSERT_EQUAL(words[3], 0);
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuLaunchKernel(fill, 1, 1, 1, 1, 1, 1, 0, NULL, params, extra));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuLaunchKernel(fill, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, nonsense));
	bytes = 12;
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuLaunchKernel(fill, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, extra));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuLaunchKernel(fill, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
}

static void any_other_kernel_takes_its_time_and_is_counted(void)
{
	const char *why;
	struct simgpu_monitor *monitor = simgpu_open(NULL, 0, &why);
	struct simgpu_truth *before = simgpu_truth(monitor), *after;
	uint8_t a = 1;
	uint16_t b = 2;
	uint64_t c = 3;
	void *params[] = { &a, &b, &c };
	const struct simgpu_client *x, *y;

	OK(cuLaunchKernel(code_function(module, "unknown_one"), 8, 2, 1, 128, 1, 1, 0,
			  NULL, params, NULL));
	OK(launch_plain(plain, 1, 1, 1, 1, 1, 1, 0));
	OK(cuCtxSynchronize());
	after = simgpu_truth(monitor);
	x = simgpu_find(before, getpid());
	y = simgpu_find(after, getpid());
	CU_ASSERT_EQUAL(y->kernels - x->kernels, 2);
	CU_ASSERT_TRUE(y->kernel_ns[0] > x->kernel_ns[0]);
	simgpu_free(before);
	simgpu_free(after);
	simgpu_close(monitor);
}

static void a_kernel_of_a_known_name_with_other_parameters_is_a_stranger(void)
{
	static const char ptx[] = PTX_HEAD
		".visible .entry gpushim_fill_u32(.param .u64 p, .param .u32 v,"
		" .param .u32 n) {}\n"
		".visible .entry gpushim_spin_ns(.param .u64 ns, .param .u64 more) {}\n";
	uint64_t nowhere = 0x10, forever = UINT64_MAX;
	uint32_t one = 1;
	void *fill_params[] = { &nowhere, &one, &one };
	void *spin_params[] = { &forever, &forever };
	CUmodule own = NULL;

	OK(cuModuleLoadData(&own, ptx));
	OK(cuLaunchKernel(code_function(own, "gpushim_fill_u32"), 1, 1, 1, 1, 1, 1, 0,
			  NULL, fill_params, NULL));
	OK(cuLaunchKernel(code_function(own, "gpushim_spin_ns"), 1, 1, 1, 1, 1, 1, 0,
			  NULL, spin_params, NULL));
	OK(cuCtxSynchronize());
	OK(cuModuleUnload(own));
}

/* ---- what is refused ---- */

static void dimensions_have_limits(void)
{
	static const unsigned wrong[][6] = {
		{ 0, 1, 1, 1, 1, 1 },	     { 1, 0, 1, 1, 1, 1 },
		{ 1, 1, 0, 1, 1, 1 },	     { 1, 1, 1, 0, 1, 1 },
		{ 1, 1, 1, 1, 0, 1 },	     { 1, 1, 1, 1, 1, 0 },
		{ 1u << 31, 1, 1, 1, 1, 1 }, { 1, 65536, 1, 1, 1, 1 },
		{ 1, 1, 65536, 1, 1, 1 },    { 1, 1, 1, 1025, 1, 1 },
		{ 1, 1, 1, 1, 1025, 1 },     { 1, 1, 1, 1, 1, 65 },
		{ 1, 1, 1, 32, 32, 2 },	     { 1, 1, 1, 1u << 31, 2, 1 },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		IS(CUDA_ERROR_INVALID_VALUE,
		   launch_plain(plain, wrong[i][0], wrong[i][1], wrong[i][2], wrong[i][3],
				wrong[i][4], wrong[i][5], 0));
	OK(launch_plain(plain, 1, 65535, 1, 1, 1, 1, 0));
	OK(launch_plain(plain, 1, 1, 1, 4, 4, 64, 0));
	OK(cuCtxSynchronize());
}

static void shared_memory_beyond_48_kib_is_asked_for_first(void)
{
	CUmodule own = NULL;
	CUfunction f;

	OK(cuModuleLoadData(&own, PTX_HEAD PTX_PLAIN));
	f = code_function(own, "plain");
	OK(launch_plain(f, 1, 1, 1, 1, 1, 1, 48 << 10));
	IS(CUDA_ERROR_INVALID_VALUE, launch_plain(f, 1, 1, 1, 1, 1, 1, (48 << 10) + 1));
	OK(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
			      100 << 10));
	OK(launch_plain(f, 1, 1, 1, 1, 1, 1, 100 << 10));
	IS(CUDA_ERROR_INVALID_VALUE, launch_plain(f, 1, 1, 1, 1, 1, 1, (100 << 10) + 1));
	OK(cuModuleUnload(own));
}

static void a_block_larger_than_the_kernel_allows_is_out_of_resources(void)
{
	CUfunction bounded = code_function(module, "at_most_64");

	OK(launch_plain(bounded, 1, 1, 1, 64, 1, 1, 0));
	IS(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES,
	   launch_plain(bounded, 1, 1, 1, 65, 1, 1, 0));
}

static void invented_handles_are_refused(void)
{
	IS(CUDA_ERROR_INVALID_HANDLE, launch_plain(NULL, 1, 1, 1, 1, 1, 1, 0));
	IS(CUDA_ERROR_INVALID_HANDLE,
	   launch_plain((CUfunction)(uintptr_t)0x1234567, 1, 1, 1, 1, 1, 1, 0));
	IS(CUDA_ERROR_INVALID_HANDLE,
	   launch_plain((CUfunction)module, 1, 1, 1, 1, 1, 1, 0));
	IS(CUDA_ERROR_INVALID_HANDLE,
	   cuLaunchKernel(plain, 1, 1, 1, 1, 1, 1, 0, (CUstream)(uintptr_t)0x1234567,
			  NULL, NULL));
}

static void function_and_stream_must_be_of_one_context(void)
{
	CUcontext other = NULL;
	CUstream stream = NULL;

	OK(cuCtxCreate(&other, NULL, 0, 0));
	OK(cuStreamCreate(&stream, CU_STREAM_DEFAULT));
	IS(CUDA_ERROR_INVALID_HANDLE,
	   cuLaunchKernel(plain, 1, 1, 1, 1, 1, 1, 0, stream, NULL, NULL));
	IS(CUDA_ERROR_INVALID_HANDLE, launch_plain(plain, 1, 1, 1, 1, 1, 1, 0));
	OK(cuCtxDestroy(other));
	OK(cuCtxSetCurrent(ctx));
	OK(launch_plain(plain, 1, 1, 1, 1, 1, 1, 0));
}

static void a_large_kernel_runs_beside_a_small_one_that_waits(void)
{
	uint32_t *word = code_pinned(1);
	CUstream small = NULL, large = NULL;

	OK(cuStreamCreate(&small, CU_STREAM_NON_BLOCKING));
	OK(cuStreamCreate(&large, CU_STREAM_NON_BLOCKING));
	OK(code_spin_word(spin_word, small, code_address(word), 1));
	OK(cuLaunchKernel(plain, 100000, 1, 1, 256, 1, 1, 0, large, NULL, NULL));
	OK(cuMemsetD8Async(memory, 0, 64, large));
	OK(cuStreamSynchronize(large));
	IS(CUDA_ERROR_NOT_READY, cuStreamQuery(small));
	code_store(word, 1);
	OK(cuStreamSynchronize(small));
	OK(cuStreamDestroy(small));
	OK(cuStreamDestroy(large));
	OK(cuMemFreeHost(word));
}

/* ---- cooperative ---- */

static void a_cooperative_launch_fits_on_the_device_as_a_whole(void)
{
	unsigned most = 2 * (unsigned)multiprocessors;

	OK(cuLaunchCooperativeKernel(plain, most, 1, 1, 1024, 1, 1, 0, NULL, NULL));
	IS(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE,
	   cuLaunchCooperativeKernel(plain, most + 1, 1, 1, 1024, 1, 1, 0, NULL, NULL));
	OK(launch_plain(plain, most + 1, 1, 1, 1024, 1, 1, 0));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuLaunchCooperativeKernel(plain, 1, 1, 1, 0, 1, 1, 0, NULL, NULL));
	OK(cuCtxSynchronize());
}

static void a_launch_over_one_device_is_a_cooperative_one(void)
{
	CUDA_LAUNCH_PARAMS list = { plain, 1, 1, 1, 32, 1, 1, 0, NULL, NULL };
	CUstream stream = NULL;

	IS(CUDA_ERROR_INVALID_VALUE, cuLaunchCooperativeKernelMultiDevice(&list, 1, 0));
	OK(cuStreamCreate(&stream, CU_STREAM_DEFAULT));
	list.hStream = stream;
	OK(cuLaunchCooperativeKernelMultiDevice(&list, 1, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuLaunchCooperativeKernelMultiDevice(&list, 1, 4));
	IS(CUDA_ERROR_INVALID_VALUE, cuLaunchCooperativeKernelMultiDevice(&list, 0, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuLaunchCooperativeKernelMultiDevice(NULL, 1, 0));
	list.gridDimX = 1000000;
	IS(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE,
	   cuLaunchCooperativeKernelMultiDevice(&list, 1, 0));
	OK(cuStreamSynchronize(stream));
	OK(cuStreamDestroy(stream));
}

/* ---- attributes ---- */

static CUlaunchConfig shape(unsigned grid, unsigned block, CUlaunchAttribute *attributes,
			    unsigned count)
{
	CUlaunchConfig config;

	memset(&config, 0, sizeof(config));
	config.gridDimX = grid;
	config.blockDimX = block;
	config.gridDimY = config.gridDimZ = config.blockDimY = config.blockDimZ = 1;
	config.attrs = attributes;
	config.numAttrs = count;
	return config;
}

static void an_ex_launch_computes_like_a_plain_one(void)
{
	CUlaunchConfig config = shape(1, 32, NULL, 0);
	uint32_t value = 99, got = 0;
	uint64_t n = 1;
	void *params[] = { &memory, &value, &n };

	OK(cuLaunchKernelEx(&config, fill, params, NULL));
	OK(cuMemcpyDtoH(&got, memory, sizeof(got)));
	CU_ASSERT_EQUAL(got, 99);
	IS(CUDA_ERROR_INVALID_VALUE, cuLaunchKernelEx(NULL, fill, params, NULL));
	config.numAttrs = 1;
	IS(CUDA_ERROR_INVALID_VALUE, cuLaunchKernelEx(&config, fill, params, NULL));
	config = shape(0, 32, NULL, 0);
	IS(CUDA_ERROR_INVALID_VALUE, cuLaunchKernelEx(&config, fill, params, NULL));
	config = shape(1, 32, NULL, 0);
	IS(CUDA_ERROR_INVALID_HANDLE, cuLaunchKernelEx(&config, NULL, params, NULL));
}

static void attributes_are_taken_or_refused(void)
{
	CUlaunchAttribute attribute[2];
	CUlaunchConfig config = shape(1000000, 32, attribute, 1);

	memset(attribute, 0, sizeof(attribute));
	attribute[0].id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
	attribute[0].value.cooperative = 1;
	IS(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE,
	   cuLaunchKernelEx(&config, plain, NULL, NULL));
	config = shape(1, 32, attribute, 2);
	attribute[1].id = CU_LAUNCH_ATTRIBUTE_PRIORITY;
	OK(cuLaunchKernelEx(&config, plain, NULL, NULL));
	attribute[1].id = (CUlaunchAttributeID)12345;
	IS(CUDA_ERROR_INVALID_VALUE, cuLaunchKernelEx(&config, plain, NULL, NULL));
	attribute[1].id = CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE;
	IS(CUDA_ERROR_INVALID_VALUE, cuLaunchKernelEx(&config, plain, NULL, NULL));
}

static void clusters_divide_the_grid_and_hold_eight_blocks(void)
{
	CUlaunchAttribute attribute;
	CUlaunchConfig config = shape(32, 32, &attribute, 1);
	static const struct {
		unsigned blocks;
		CUresult result;
	} cases[] = { { 1, CUDA_SUCCESS },
		      { 8, CUDA_SUCCESS },
		      { 0, CUDA_ERROR_INVALID_CLUSTER_SIZE },
		      { 3, CUDA_ERROR_INVALID_CLUSTER_SIZE },
		      { 16, CUDA_ERROR_INVALID_CLUSTER_SIZE } };

	memset(&attribute, 0, sizeof(attribute));
	attribute.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
	attribute.value.clusterDim.y = attribute.value.clusterDim.z = 1;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		attribute.value.clusterDim.x = cases[i].blocks;
		IS(cases[i].result, cuLaunchKernelEx(&config, plain, NULL, NULL));
	}
}

static void a_cluster_that_a_function_requires_binds_all_launches(void)
{
	CUmodule own = NULL;
	CUfunction f;

	OK(cuModuleLoadData(&own, PTX_HEAD PTX_PLAIN));
	f = code_function(own, "plain");
	OK(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH, 4));
	OK(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT, 1));
	OK(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH, 1));
	OK(launch_plain(f, 8, 1, 1, 32, 1, 1, 0));
	IS(CUDA_ERROR_INVALID_CLUSTER_SIZE, launch_plain(f, 9, 1, 1, 32, 1, 1, 0));
	OK(cuModuleUnload(own));
}

static void an_event_of_a_launch_is_recorded_behind_the_kernel(void)
{
	CUlaunchAttribute attribute;
	CUlaunchConfig config = shape(1, 1, &attribute, 1);
	uint32_t *word = code_pinned(1), one = 1;
	CUdeviceptr at = code_address(word);
	void *params[] = { &at, &one };
	CUevent timed = NULL, event = NULL, foreign = NULL;
	CUcontext other = NULL;

	OK(cuEventCreate(&timed, CU_EVENT_DEFAULT));
	OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
	memset(&attribute, 0, sizeof(attribute));
	attribute.id = CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT;
	attribute.value.launchCompletionEvent.event = timed;
	IS(CUDA_ERROR_INVALID_VALUE, cuLaunchKernelEx(&config, spin_word, params, NULL));
	attribute.value.launchCompletionEvent.event = event;
	OK(cuLaunchKernelEx(&config, spin_word, params, NULL));
	IS(CUDA_ERROR_NOT_READY, cuEventQuery(event));
	code_store(word, 1);
	OK(cuEventSynchronize(event));
	OK(cuCtxCreate(&other, NULL, 0, 0));
	OK(cuEventCreate(&foreign, CU_EVENT_DISABLE_TIMING));
	OK(cuCtxSetCurrent(ctx));
	attribute.value.launchCompletionEvent.event = foreign;
	IS(CUDA_ERROR_INVALID_HANDLE, cuLaunchKernelEx(&config, spin_word, params, NULL));
	OK(cuCtxDestroy(other));
	OK(cuEventDestroy(timed));
	OK(cuEventDestroy(event));
	OK(cuMemFreeHost(word));
}

static void a_captured_launch_runs_when_its_graph_is_launched(void)
{
	CUlaunchConfig config = shape(1, 1, NULL, 0);
	CUgraphExec exec = NULL;
	CUstream stream = NULL;
	CUgraph graph = NULL;
	uint32_t value = 1, got = 0;
	uint64_t n = 1;
	void *params[] = { &memory, &value, &n };

	OK(cuMemsetD8(memory, 0, 4));
	OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	config.hStream = stream;
	OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
	OK(cuLaunchKernelEx(&config, fill, params, NULL));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuLaunchKernel(fill, 0, 1, 1, 1, 1, 1, 0, stream, params, NULL));
	OK(cuStreamEndCapture(stream, &graph));
	value = 2; /* the argument was copied */
	OK(cuGraphInstantiate(&exec, graph, 0));
	OK(cuMemcpyDtoH(&got, memory, 4));
	CU_ASSERT_EQUAL(got, 0);
	OK(cuGraphLaunch(exec, stream));
	OK(cuStreamSynchronize(stream));
	OK(cuMemcpyDtoH(&got, memory, 4));
	CU_ASSERT_EQUAL(got, 1);
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(graph));
	OK(cuStreamDestroy(stream));
}

/* ---- the old way ---- */

static void a_function_carries_block_and_arguments_along(void)
{
	uint32_t got[4] = { 0 };
	uint64_t n = 3;
	CUstream stream = NULL;

	OK(cuMemsetD8(memory, 0, sizeof(got)));
	OK(cuFuncSetBlockShape(fill, 32, 1, 1));
	OK(cuFuncSetSharedSize(fill, 1024));
	OK(cuParamSetSize(fill, 24));
	OK(cuParamSetv(fill, 0, &memory, sizeof(memory)));
	OK(cuParamSeti(fill, 8, 1234));
	OK(cuParamSetv(fill, 16, &n, sizeof(n)));
	OK(cuLaunch(fill));
	OK(cuMemcpyDtoH(got, memory, sizeof(got)));
	CU_ASSERT_EQUAL(got[2], 1234);
	CU_ASSERT_EQUAL(got[3], 0);
	OK(cuParamSetf(fill, 8, 1.0f));
	OK(cuLaunchGrid(fill, 2, 2));
	OK(cuMemcpyDtoH(got, memory, sizeof(got)));
	CU_ASSERT_EQUAL(got[0], 0x3f800000);
	OK(cuParamSeti(fill, 8, 77));
	OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	OK(cuLaunchGridAsync(fill, 1, 1, stream));
	OK(cuStreamSynchronize(stream));
	OK(cuMemcpyDtoH(got, memory, sizeof(got)));
	CU_ASSERT_EQUAL(got[0], 77);
	OK(cuStreamDestroy(stream));
}

static void the_old_way_checks_what_it_is_given(void)
{
	static char large[8192];

	IS(CUDA_ERROR_INVALID_VALUE, cuFuncSetBlockShape(fill, 0, 1, 1));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuFuncSetBlockShape(fill, 1 << 16, 1 << 16, 1 << 16));
	IS(CUDA_ERROR_INVALID_VALUE, cuParamSetSize(fill, 1 << 20));
	IS(CUDA_ERROR_INVALID_VALUE, cuParamSetv(fill, -4, large, 4));
	IS(CUDA_ERROR_INVALID_VALUE, cuParamSetv(fill, 0, large, sizeof(large)));
	IS(CUDA_ERROR_INVALID_VALUE, cuParamSeti(fill, 1 << 30, 1));
	IS(CUDA_ERROR_INVALID_HANDLE, cuParamSetTexRef(fill, CU_PARAM_TR_DEFAULT, NULL));
	IS(CUDA_ERROR_INVALID_VALUE, cuLaunchGrid(fill, 0, 1));
	OK(cuFuncSetSharedSize(fill, 49 << 10));
	IS(CUDA_ERROR_INVALID_VALUE, cuLaunch(fill));
	OK(cuFuncSetSharedSize(fill, 0));
	IS(CUDA_ERROR_INVALID_HANDLE, cuLaunch(NULL));
	IS(CUDA_ERROR_INVALID_VALUE, cuLaunch(code_function(module, "gpushim_spin_ns")));
}

/* ---- per-thread twins ---- */

static uint32_t *released;

static void *spin_on_own_stream(void *arg)
{
	CUdeviceptr at = code_address(released);
	uint32_t one = 1;
	void *params[] = { &at, &one };

	(void)arg;
	OK(cuCtxSetCurrent(ctx));
	OK(cuLaunchKernel_ptsz(spin_word, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
	return NULL;
}

static void null_is_another_stream_for_the_twin_of_each_thread(void)
{
	CUlaunchConfig config = shape(1, 1, NULL, 0);
	pthread_t thread;

	released = code_pinned(1);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, spin_on_own_stream, NULL), 0);
	pthread_join(thread, NULL);
	/* In the legacy stream these would wait for the kernel that spins. */
	OK(cuLaunchKernel_ptsz(plain, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
	OK(cuLaunchKernelEx_ptsz(&config, plain, NULL, NULL));
	OK(cuLaunchCooperativeKernel_ptsz(plain, 1, 1, 1, 1, 1, 1, 0, NULL, NULL));
	OK(cuStreamSynchronize(CU_STREAM_PER_THREAD));
	code_store(released, 1);
	OK(cuCtxSynchronize());
	OK(cuMemFreeHost(released));
}

const struct unit_suite unit_suite = {
	.name = "launches",
	.init = open_all,
	.cleanup = close_all,
	.tests = {
		UNIT_TEST(kernels_compute_what_their_names_say),
		UNIT_TEST(arguments_come_in_a_buffer_as_well),
		UNIT_TEST(any_other_kernel_takes_its_time_and_is_counted),
		UNIT_TEST(a_kernel_of_a_known_name_with_other_parameters_is_a_stranger),
		UNIT_TEST(dimensions_have_limits),
		UNIT_TEST(shared_memory_beyond_48_kib_is_asked_for_first),
		UNIT_TEST(a_block_larger_than_the_kernel_allows_is_out_of_resources),
		UNIT_TEST(invented_handles_are_refused),
		UNIT_TEST(function_and_stream_must_be_of_one_context),
		UNIT_TEST(a_large_kernel_runs_beside_a_small_one_that_waits),
		UNIT_TEST(a_cooperative_launch_fits_on_the_device_as_a_whole),
		UNIT_TEST(a_launch_over_one_device_is_a_cooperative_one),
		UNIT_TEST(an_ex_launch_computes_like_a_plain_one),
		UNIT_TEST(attributes_are_taken_or_refused),
		UNIT_TEST(clusters_divide_the_grid_and_hold_eight_blocks),
		UNIT_TEST(a_cluster_that_a_function_requires_binds_all_launches),
		UNIT_TEST(an_event_of_a_launch_is_recorded_behind_the_kernel),
		UNIT_TEST(a_captured_launch_runs_when_its_graph_is_launched),
		UNIT_TEST(a_function_carries_block_and_arguments_along),
		UNIT_TEST(the_old_way_checks_what_it_is_given),
		UNIT_TEST(null_is_another_stream_for_the_twin_of_each_thread),
	},
};
