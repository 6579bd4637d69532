/*
 * cost.c - section "cost": host nanoseconds of single driver calls.
 *
 * Knows: CLOCK_MONOTONIC around each call, its own cost stated and not subtracted. The queue
 * is drained outside the measured calls, so that none waits for room in it.
 */
#include "probe.h"

#include <stdio.h>
#include <string.h>

enum { MOST = 10000, DRAIN = 128 };
#define ENOUGH_NS 350000000ull /* for one kind of call, whatever it costs */

static struct gpu gpu;
static CUstream stream;
static CUevent timed, untimed, pending;
static CUgraphExec graph_of_1, graph_of_20;
static CUdeviceptr block;
static uint64_t block_bytes;
static size_t out_of_memory_bytes;
static CUmemoryPool pool;

/* A call must return `wanted`; before() and after() are not timed. */
struct kind {
	const char *id, *question;
	CUresult (*call)(void);
	CUresult (*before)(void), (*after)(void);
	uint64_t bytes;
	CUresult wanted;
	int most; /* 0: MOST */
};

static CUresult do_nothing(void)
{
	return CUDA_SUCCESS;
}

static CUresult do_launch(void)
{
	return cu.cuLaunchKernel(gpu.nothing, 1, 1, 1, 32, 1, 1, 0, stream, NULL, NULL);
}

static CUresult do_launch_arguments(void)
{
	return gpu_work(&gpu, 0, stream);
}

static CUresult do_launch_and_wait(void)
{
	CUresult code = do_launch();

	return code != CUDA_SUCCESS ? code : cu.cuStreamSynchronize(stream);
}

static CUresult do_record(void)
{
	return cu.cuEventRecord(timed, stream);
}

static CUresult do_record_untimed(void)
{
	return cu.cuEventRecord(untimed, stream);
}

static CUresult do_query(void)
{
	return cu.cuEventQuery(timed);
}

static CUresult do_query_pending(void)
{
	return cu.cuEventQuery(pending);
}

static CUresult do_elapsed(void)
{
	float ms;

	return cu.cuEventElapsedTime(&ms, timed, timed);
}

static CUresult do_is_capturing(void)
{
	CUstreamCaptureStatus status;

	return cu.cuStreamIsCapturing(stream, &status);
}

static CUresult do_capture_info(void)
{
	CUstreamCaptureStatus status;
	cuuint64_t id;

	return cu.cuStreamGetCaptureInfo_v2(stream, &status, &id, NULL, NULL, NULL);
}

static CUresult do_exchange(void)
{
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;

	return cu.cuThreadExchangeStreamCaptureMode(&mode);
}

static CUresult do_current(void)
{
	CUcontext context;

	return cu.cuCtxGetCurrent(&context);
}

static CUresult do_stream_context(void)
{
	CUcontext context;

	return cu.cuStreamGetCtx(stream, &context);
}

static CUresult do_push_pop(void)
{
	CUcontext context;
	CUresult code = cu.cuCtxPushCurrent_v2(gpu.context);

	return code != CUDA_SUCCESS ? code : cu.cuCtxPopCurrent_v2(&context);
}

static CUresult do_stream_query(void)
{
	return cu.cuStreamQuery(stream);
}

static CUresult do_stream_sync(void)
{
	return cu.cuStreamSynchronize(stream);
}

static CUresult do_info(void)
{
	size_t free_now, total;

	return cu.cuMemGetInfo_v2(&free_now, &total);
}

static CUresult do_alloc(void)
{
	return cu.cuMemAlloc_v2(&block, block_bytes);
}

static CUresult do_free(void)
{
	return cu.cuMemFree_v2(block);
}

static CUresult do_alloc_refused(void)
{
	return cu.cuMemAlloc_v2(&block, out_of_memory_bytes);
}

static CUresult do_alloc_async(void)
{
	return cu.cuMemAllocAsync(&block, block_bytes, stream);
}

static CUresult do_free_async(void)
{
	return cu.cuMemFreeAsync(block, stream);
}

static CUresult do_pool_attribute(void)
{
	cuuint64_t bytes;

	return cu.cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT,
					&bytes);
}

static CUresult do_pointer_attribute(void)
{
	CUcontext context;

	return cu.cuPointerGetAttribute(&context, CU_POINTER_ATTRIBUTE_CONTEXT, block);
}

static CUresult do_graph_1(void)
{
	return cu.cuGraphLaunch(graph_of_1, stream);
}

static CUresult do_graph_20(void)
{
	return cu.cuGraphLaunch(graph_of_20, stream);
}

static void CUDA_CB called_back(void *argument)
{
	(void)argument;
}

static CUresult do_host_function(void)
{
	CUresult code = cu.cuLaunchHostFunc(stream, called_back, NULL);

	return code != CUDA_SUCCESS ? code : cu.cuStreamSynchronize(stream);
}

static CUresult do_context(void)
{
	CUcontext context;
	CUresult code = cu.cuCtxCreate_v2(&context, 0, gpu.device);

	return code != CUDA_SUCCESS ? code : cu.cuCtxDestroy_v2(context);
}

#define KIB 1024ull
#define MIB (1ull << 20)
static const struct kind kinds[] = {
	{ "cost.clock", "Reading the clock twice (is in every figure)",
	  .call = do_nothing },
	{ "cost.launch", "cuLaunchKernel, no arguments", .call = do_launch },
	{ "cost.launch_arguments", "cuLaunchKernel, two arguments",
	  .call = do_launch_arguments },
	{ "cost.launch_and_wait", "cuLaunchKernel and cuStreamSynchronize",
	  .call = do_launch_and_wait, .most = 2000 },
	{ "cost.event_record", "cuEventRecord, with timing", .call = do_record },
	{ "cost.event_record_untimed", "cuEventRecord, without timing",
	  .call = do_record_untimed },
	{ "cost.event_query", "cuEventQuery, done", .call = do_query },
	{ "cost.event_query_pending", "cuEventQuery, not done", .call = do_query_pending,
	  .wanted = CUDA_ERROR_NOT_READY },
	{ "cost.event_elapsed", "cuEventElapsedTime", .call = do_elapsed },
	{ "cost.is_capturing", "cuStreamIsCapturing", .call = do_is_capturing },
	{ "cost.capture_info", "cuStreamGetCaptureInfo", .call = do_capture_info },
	{ "cost.exchange_mode", "cuThreadExchangeStreamCaptureMode",
	  .call = do_exchange },
	{ "cost.get_current", "cuCtxGetCurrent", .call = do_current },
	{ "cost.stream_context", "cuStreamGetCtx", .call = do_stream_context },
	{ "cost.push_pop", "cuCtxPushCurrent and cuCtxPopCurrent", .call = do_push_pop },
	{ "cost.stream_query", "cuStreamQuery, idle", .call = do_stream_query },
	{ "cost.stream_sync", "cuStreamSynchronize, idle", .call = do_stream_sync },
	{ "cost.memory_info", "cuMemGetInfo", .call = do_info, .most = 2000 },
	{ "cost.pool_attribute", "cuMemPoolGetAttribute, reserved",
	  .call = do_pool_attribute },
	{ "cost.alloc_4k", "cuMemAlloc of 4 KiB", .call = do_alloc, .after = do_free,
	  .bytes = 4 * KIB },
	{ "cost.free_4k", "cuMemFree of 4 KiB", .call = do_free, .before = do_alloc,
	  .bytes = 4 * KIB },
	{ "cost.alloc_2m", "cuMemAlloc of 2 MiB", .call = do_alloc, .after = do_free,
	  .bytes = 2 * MIB, .most = 1000 },
	{ "cost.free_2m", "cuMemFree of 2 MiB", .call = do_free, .before = do_alloc,
	  .bytes = 2 * MIB, .most = 1000 },
	{ "cost.alloc_256m", "cuMemAlloc of 256 MiB", .call = do_alloc, .after = do_free,
	  .bytes = 256 * MIB, .most = 200 },
	{ "cost.free_256m", "cuMemFree of 256 MiB", .call = do_free, .before = do_alloc,
	  .bytes = 256 * MIB, .most = 200 },
	{ "cost.alloc_refused", "cuMemAlloc of more than the card has",
	  .call = do_alloc_refused, .wanted = CUDA_ERROR_OUT_OF_MEMORY, .most = 200 },
	{ "cost.alloc_async", "cuMemAllocAsync of 1 MiB", .call = do_alloc_async,
	  .after = do_free_async, .bytes = MIB },
	{ "cost.free_async", "cuMemFreeAsync of 1 MiB", .call = do_free_async,
	  .before = do_alloc_async, .bytes = MIB },
	{ "cost.graph_1", "cuGraphLaunch, 1 kernel", .call = do_graph_1, .most = 3000 },
	{ "cost.graph_20", "cuGraphLaunch, 20 kernels", .call = do_graph_20,
	  .most = 2000 },
	{ "cost.host_function", "cuLaunchHostFunc and cuStreamSynchronize",
	  .call = do_host_function, .most = 500 },
	{ "cost.context", "cuCtxCreate and cuCtxDestroy beside another",
	  .call = do_context, .most = 5 },
};

static void measure(const struct kind *kind)
{
	static double samples[MOST];
	size_t n = 0, most = kind->most > 0 ? (size_t)kind->most : MOST;
	size_t warm = most > 100 ? 50 : 1;
	uint64_t end = now_ns() + ENOUGH_NS;

	block_bytes = kind->bytes;
	for (size_t i = 0; n < most && (now_ns() < end || n < 3); i++) {
		CUresult code = CUDA_SUCCESS;
		uint64_t start, took;

		if (kind->before != NULL)
			MUST(kind->before());
		start = now_ns();
		code = kind->call();
		took = now_ns() - start;
		if (code != kind->wanted) {
			fact_unknown(kind->id, kind->question, "the call returned %s",
				     code_text(code));
			return;
		}
		if (kind->after != NULL)
			MUST(kind->after());
		if (i >= warm)
			samples[n++] = (double)took;
		if (i % DRAIN == DRAIN - 1 && kind->wanted != CUDA_ERROR_NOT_READY)
			MUST(cu.cuStreamSynchronize(stream));
	}
	note_samples("ns", samples, n);
	fact_number(kind->id, kind->question, quantile(samples, n, 0.5), "ns");
}

static CUgraphExec make_graph(int kernels)
{
	CUgraphExec executable;
	CUgraph graph;

	MUST(cu.cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	for (int i = 0; i < kernels; i++)
		MUST(do_launch());
	MUST(cu.cuStreamEndCapture(stream, &graph));
	MUST(cu.cuGraphInstantiateWithFlags(&executable, graph, 0));
	MUST(cu.cuGraphDestroy(graph));
	return executable;
}

/* A pending event needs work before it for as long as it is asked. */
static void measure_pending(const struct kind *kind)
{
	MUST(gpu_spin(&gpu, 600000000, stream));
	MUST(cu.cuEventRecord(pending, stream));
	measure(kind);
	MUST(cu.cuStreamSynchronize(stream));
}

void section_cost(void)
{
	cuuint64_t threshold = 64 * MIB;
	size_t total;

	gpu_open(&gpu);
	MUST(cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	MUST(cu.cuEventCreate(&timed, CU_EVENT_DEFAULT));
	MUST(cu.cuEventCreate(&pending, CU_EVENT_DEFAULT));
	MUST(cu.cuEventCreate(&untimed, CU_EVENT_DISABLE_TIMING));
	MUST(do_record());
	MUST(cu.cuStreamSynchronize(stream));
	graph_of_1 = make_graph(1);
	graph_of_20 = make_graph(20);
	MUST(cu.cuDeviceTotalMem_v2(&total, gpu.device));
	out_of_memory_bytes = total + (1ull << 30);
	/* Of this process alone: else each synchronisation returns what was just freed. */
	MUST(cu.cuDeviceGetDefaultMemPool(&pool, gpu.device));
	MUST(cu.cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD,
				      &threshold));
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		if (kinds[i].call == do_query_pending)
			measure_pending(&kinds[i]);
		else
			measure(&kinds[i]);
	}
	block_bytes = MIB;
	MUST(do_alloc());
	{
		const struct kind pointer = { "cost.pointer_attribute",
					      "cuPointerGetAttribute, context",
					      .call = do_pointer_attribute };
		measure(&pointer);
	}
	MUST(do_free());
}
