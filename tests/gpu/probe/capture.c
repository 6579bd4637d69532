/*
 * capture.c - section "capture": which calls a running stream capture refuses, which of them
 * kill it, and what a relaxed thread may do.
 *
 * Knows: the modes of stream capture. One fact per (mode, thread, relaxed?): each call is
 * tried in a capture of its own, since some kill it.
 */
#include "probe.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct gpu gpu;
static CUstream capturing, other;
static CUevent done_event, spare;
static CUdeviceptr block;

/* --- the calls that are tried -------------------------------------------------------- */

static CUresult try_alloc(void)
{
	CUdeviceptr at;
	CUresult code = cu.cuMemAlloc_v2(&at, 4096);

	if (code == CUDA_SUCCESS)
		cu.cuMemFree_v2(at);
	return code;
}

static CUresult try_free(void)
{
	CUresult code = cu.cuMemFree_v2(block);

	if (code == CUDA_SUCCESS)
		block = 0;
	return code;
}

static CUresult try_host_alloc(void)
{
	void *at;
	CUresult code = cu.cuMemAllocHost_v2(&at, 4096);

	if (code == CUDA_SUCCESS)
		cu.cuMemFreeHost(at);
	return code;
}

static CUresult try_alloc_async(void)
{
	CUdeviceptr at;
	CUresult code = cu.cuMemAllocAsync(&at, 4096, other);

	if (code == CUDA_SUCCESS)
		cu.cuMemFreeAsync(at, other);
	return code;
}

static CUresult try_event_query(void)
{
	return cu.cuEventQuery(done_event);
}

static CUresult try_event_sync(void)
{
	return cu.cuEventSynchronize(done_event);
}

static CUresult try_event_record(void)
{
	return cu.cuEventRecord(spare, other);
}

static CUresult try_event_create(void)
{
	CUevent event;
	CUresult code = cu.cuEventCreate(&event, CU_EVENT_DEFAULT);

	if (code == CUDA_SUCCESS)
		cu.cuEventDestroy_v2(event);
	return code;
}

static CUresult try_event_elapsed(void)
{
	float ms;

	return cu.cuEventElapsedTime(&ms, done_event, done_event);
}

static CUresult try_stream_query(void)
{
	return cu.cuStreamQuery(other);
}

static CUresult try_stream_sync(void)
{
	return cu.cuStreamSynchronize(other);
}

static CUresult try_stream_create(void)
{
	CUstream stream;
	CUresult code = cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);

	if (code == CUDA_SUCCESS)
		cu.cuStreamDestroy_v2(stream);
	return code;
}

static CUresult try_context_sync(void)
{
	return cu.cuCtxSynchronize();
}

static CUresult try_launch(void)
{
	return gpu_work(&gpu, 1, other);
}

static CUresult try_launch_legacy(void)
{
	return gpu_work(&gpu, 1, NULL);
}

static CUresult try_memory_info(void)
{
	size_t free_now, total;

	return cu.cuMemGetInfo_v2(&free_now, &total);
}

static CUresult try_module_load(void)
{
	CUmodule module;
	CUresult code = cu.cuModuleLoadData(&module, probe_ptx);

	if (code == CUDA_SUCCESS)
		cu.cuModuleUnload(module);
	return code;
}

static CUresult try_pool_attribute(void)
{
	CUmemoryPool pool;
	cuuint64_t bytes;
	CUresult code = cu.cuDeviceGetDefaultMemPool(&pool, gpu.device);

	return code != CUDA_SUCCESS
		       ? code
		       : cu.cuMemPoolGetAttribute(
				 pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &bytes);
}

static const struct {
	const char *name;
	CUresult (*call)(void);
} calls[] = {
	{ "cuMemAlloc", try_alloc },
	{ "cuMemFree", try_free },
	{ "cuMemAllocHost", try_host_alloc },
	{ "cuMemAllocAsync(other stream)", try_alloc_async },
	{ "cuEventQuery(event of before)", try_event_query },
	{ "cuEventSynchronize(event of before)", try_event_sync },
	{ "cuEventRecord(other stream)", try_event_record },
	{ "cuEventCreate", try_event_create },
	{ "cuEventElapsedTime(events of before)", try_event_elapsed },
	{ "cuStreamQuery(other stream)", try_stream_query },
	{ "cuStreamSynchronize(other stream)", try_stream_sync },
	{ "cuStreamCreate", try_stream_create },
	{ "cuCtxSynchronize", try_context_sync },
	{ "cuLaunchKernel(other stream)", try_launch },
	{ "cuLaunchKernel(legacy stream)", try_launch_legacy },
	{ "cuMemGetInfo", try_memory_info },
	{ "cuModuleLoadData", try_module_load },
	{ "cuMemPoolGetAttribute", try_pool_attribute },
};

/* --- who tries ----------------------------------------------------------------------- */

struct attempt {
	CUresult (*call)(void);
	bool relaxed;
	CUresult code;
};

static void *attempt(void *argument)
{
	struct attempt *a = argument;
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;

	cu.cuCtxSetCurrent(gpu.context);
	if (a->relaxed)
		cu.cuThreadExchangeStreamCaptureMode(&mode);
	a->code = a->call();
	if (a->relaxed)
		cu.cuThreadExchangeStreamCaptureMode(&mode);
	return NULL;
}

static void begin(CUstreamCaptureMode mode)
{
	MUST(cu.cuStreamBeginCapture_v2(capturing, mode));
	MUST(gpu_work(&gpu, 1, capturing));
}

/* Ends the capture; its code: 0 when the graph is whole. */
static CUresult end(void)
{
	CUgraph graph = NULL;
	CUresult code = cu.cuStreamEndCapture(capturing, &graph);

	if (graph != NULL)
		cu.cuGraphDestroy(graph);
	cu.cuStreamSynchronize(other);
	cu.cuStreamSynchronize(capturing);
	return code;
}

static void matrix(CUstreamCaptureMode mode, const char *mode_name, bool threaded,
		   bool relaxed)
{
	char id[80], question[160], refused[700] = "", *at = refused;
	size_t dead = 0;

	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		struct attempt a = { calls[i].call, relaxed, CUDA_SUCCESS };
		CUresult ending;
		pthread_t thread;

		if (block == 0)
			MUST(cu.cuMemAlloc_v2(&block, 4096));
		begin(mode);
		if (!threaded)
			attempt(&a);
		else if (pthread_create(&thread, NULL, attempt, &a) == 0)
			pthread_join(thread, NULL);
		else
			stop("no thread");
		ending = end();
		note_text(calls[i].name, "%d, then EndCapture %d", (int)a.code,
			  (int)ending);
		dead += ending != CUDA_SUCCESS;
		if (a.code != CUDA_SUCCESS || ending != CUDA_SUCCESS)
			at += snprintf(at, sizeof refused - (size_t)(at - refused),
				       "%s%s %d%s", at > refused ? ", " : "",
				       calls[i].name, (int)a.code,
				       ending != CUDA_SUCCESS ? " (capture dies)" : "");
	}
	note("captures_that_died", (double)dead);
	snprintf(id, sizeof id, "capture.%s_%s%s", mode_name, threaded ? "other" : "same",
		 relaxed ? "_relaxed" : "");
	snprintf(question, sizeof question, "%s capture, calls on %s thread%s: refused",
		 mode_name, threaded ? "another" : "the same",
		 relaxed ? " made RELAXED" : "");
	fact_text(id, question, "%s", at > refused ? refused : "none");
}

/* --- the numeric cases --------------------------------------------------------------- */

static void captured_event(void)
{
	CUevent event;
	CUresult query, wait;

	MUST(cu.cuEventCreate(&event, CU_EVENT_DEFAULT));
	begin(CU_STREAM_CAPTURE_MODE_RELAXED);
	MUST(cu.cuEventRecord(event, capturing));
	query = cu.cuEventQuery(event);
	note("end_capture_after_query", end());
	begin(CU_STREAM_CAPTURE_MODE_RELAXED);
	MUST(cu.cuEventRecord(event, capturing));
	wait = cu.cuEventSynchronize(event);
	note("end_capture_after_synchronize", end());
	note("cuEventSynchronize", wait);
	note("query_after_the_capture", cu.cuEventQuery(event));
	fact_number("capture.captured_event",
		    "cuEventQuery of an event recorded in a running capture", query,
		    "CUresult");
	cu.cuEventDestroy_v2(event);
}

static void legacy_stream(void)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
	CUevent event;
	CUstream free_standing, keep = capturing;
	CUresult code, record, launch;

	begin(CU_STREAM_CAPTURE_MODE_GLOBAL);
	code = cu.cuStreamIsCapturing(NULL, &status);
	note("end_capture_after_it", end());
	MUST(cu.cuEventCreate(&event, CU_EVENT_DEFAULT));
	begin(CU_STREAM_CAPTURE_MODE_RELAXED);
	record = cu.cuEventRecord(event, NULL);
	note("cuEventRecord_relaxed", record);
	note("end_capture_after_record", end());
	begin(CU_STREAM_CAPTURE_MODE_RELAXED);
	launch = gpu_work(&gpu, 1, NULL);
	note("cuLaunchKernel_relaxed", launch);
	note("end_capture_after_launch", end());
	fact_number("capture.legacy_is_capturing",
		    "cuStreamIsCapturing(legacy stream) while a blocking stream captures",
		    code, "CUresult");
	MUST(cu.cuStreamCreate(&free_standing, CU_STREAM_NON_BLOCKING));
	capturing = free_standing;
	begin(CU_STREAM_CAPTURE_MODE_GLOBAL);
	code = cu.cuStreamIsCapturing(NULL, &status);
	note("status", status);
	note("end_capture", end());
	capturing = keep;
	fact_number("capture.legacy_beside_nonblocking",
		    "The same while a non-blocking stream captures", code, "CUresult");
	cu.cuStreamDestroy_v2(free_standing);
	cu.cuEventDestroy_v2(event);
}

static void info(void)
{
	CUstreamCaptureStatus status;
	cuuint64_t id = 0;
	CUgraph graph = NULL;
	const CUgraphNode *nodes;
	size_t n = 0;
	CUresult code;

	begin(CU_STREAM_CAPTURE_MODE_GLOBAL);
	code = cu.cuStreamGetCaptureInfo_v2(capturing, &status, &id, &graph, &nodes, &n);
	note("code", code);
	note("status", status);
	note("dependencies", (double)n);
	note("status_of_other_stream",
	     cu.cuStreamIsCapturing(other, &status) == CUDA_SUCCESS ? (double)status
								    : -1);
	note("end_capture", end());
	fact_yes("capture.info", "cuStreamGetCaptureInfo tells of a running capture",
		 code == CUDA_SUCCESS && graph != NULL);
}

void section_capture(void)
{
	static const struct {
		CUstreamCaptureMode mode;
		const char *name;
	} modes[] = { { CU_STREAM_CAPTURE_MODE_GLOBAL, "global" },
		      { CU_STREAM_CAPTURE_MODE_THREAD_LOCAL, "thread_local" },
		      { CU_STREAM_CAPTURE_MODE_RELAXED, "relaxed" } };

	gpu_open(&gpu);
	MUST(cu.cuStreamCreate(&capturing, CU_STREAM_DEFAULT));
	MUST(cu.cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
	MUST(cu.cuEventCreate(&done_event, CU_EVENT_DEFAULT));
	MUST(cu.cuEventCreate(&spare, CU_EVENT_DEFAULT));
	MUST(cu.cuEventRecord(done_event, other));
	MUST(cu.cuStreamSynchronize(other));
	/* Everything once before: lazy loading must not be what is refused. */
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		if (block == 0)
			MUST(cu.cuMemAlloc_v2(&block, 4096));
		MUST(calls[i].call());
		MUST(cu.cuCtxSynchronize());
	}
	captured_event();
	legacy_stream();
	info();
	for (size_t m = 0; m < sizeof modes / sizeof *modes; m++)
		for (int threaded = 0; threaded < 2; threaded++)
			for (int relaxed = 0; relaxed < 2; relaxed++)
				matrix(modes[m].mode, modes[m].name, threaded != 0,
				       relaxed != 0);
}
