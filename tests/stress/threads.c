/*
 * threads.c - the threads of one process use every family of calls at once.
 *
 * Knows: what CUDA lets threads share (contexts, streams, events, modules, pools) and what is
 * a thread's own. Each thread checks every number that comes back; under ThreadSanitizer the
 * driver's own memory is checked as well. Refuses to know: misuse, which is bad_input.c's.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common_stress.h"
#include "cunit_main.h"

enum { THREADS = 6, STEPS = 600, WORDS = 256, SHARED_WORDS = 64, MARK = 17 };

/* What all threads share. */
struct shared {
	struct stress_gpu gpu;
	CUcontext second;
	CUstream stream;
	CUevent event;
	CUmemoryPool pool;
	CUdeviceptr ones, sum; /* reduce adds SHARED_WORDS to the sum with each launch */
	_Atomic unsigned launched;
	CUdeviceptr broken; /* the control: one buffer for all threads */
};

struct worker {
	struct shared *shared;
	struct stress_random random;
	pthread_t thread;
	CUstream stream, side;
	CUevent event;
	CUdeviceptr buffer;
	uint32_t *host; /* pinned */
	uint32_t own[WORDS];
	unsigned called; /* by host functions */
	unsigned wrong;
};

static bool fine(CUresult res, const char *call)
{
	if (res != CUDA_SUCCESS)
		fprintf(stderr, "%s returned %d\n", call, (int)res);
	return res == CUDA_SUCCESS;
}
#define FINE(call) fine((call), #call)

/* ---- one thing a thread does; each is false when anything was not right ---- */

static bool fill(CUfunction function, CUstream stream, CUdeviceptr at, uint32_t value)
{
	uint64_t n = WORDS;
	void *parameters[] = { &at, &value, &n };

	return FINE(stress_launch(function, stream, 2, parameters));
}

static bool holds(struct worker *w, CUdeviceptr at, uint32_t value)
{
	if (!FINE(cuMemcpyDtoHAsync(w->host, at, WORDS * 4, w->stream)) ||
	    !FINE(cuStreamSynchronize(w->stream)))
		return false;
	for (unsigned i = 0; i < WORDS; i++)
		if (w->host[i] != value)
			return false;
	return true;
}

static bool compute(struct worker *w)
{
	CUdeviceptr at = w->shared->broken ? w->shared->broken : w->buffer;
	uint32_t value = (uint32_t)stress_random(&w->random);
	uint64_t steps = 20000;
	CUdeviceptr sink = 0;
	void *parameters[] = { &steps, &sink };

	return fill(w->shared->gpu.fill, w->stream, at, value) &&
	       FINE(stress_launch(w->shared->gpu.work, w->stream, 4, parameters)) &&
	       holds(w, at, value);
}

static bool allocate(struct worker *w)
{
	uint32_t value = (uint32_t)stress_random(&w->random);
	CUmemorytype type = 0;
	size_t bytes = 0, left, total;
	CUdeviceptr at, base = 0;
	bool right;

	if (!FINE(cuMemAlloc(&at, WORDS * 4)))
		return false;
	right = FINE(cuMemsetD32Async(at, value, WORDS, w->stream)) &&
		holds(w, at, value) &&
		FINE(cuMemGetAddressRange(&base, &bytes, at + 4)) && base == at &&
		bytes == WORDS * 4 && FINE(cuMemGetInfo(&left, &total)) &&
		FINE(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
					   at)) &&
		type == CU_MEMORYTYPE_DEVICE;
	return FINE(cuMemFree(at)) && right;
}

static bool allocate_in_order(struct worker *w)
{
	uint32_t value = (uint32_t)stress_random(&w->random);
	cuuint64_t reserved;
	CUdeviceptr at;
	bool right;

	if (!FINE(cuMemAllocFromPoolAsync(&at, WORDS * 4, w->shared->pool, w->stream)))
		return false;
	right = fill(w->shared->gpu.fill, w->stream, at, value) && holds(w, at, value) &&
		FINE(cuMemPoolGetAttribute(w->shared->pool,
					   CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT,
					   &reserved)) &&
		reserved >= WORDS * 4;
	right = FINE(cuMemFreeAsync(at, w->stream)) && right;
	return FINE(cuMemPoolTrimTo(w->shared->pool, 0)) && right;
}

static bool map(struct worker *w)
{
	const CUmemAllocationProp prop = {
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0 }
	};
	const CUmemAccessDesc access = { .location = prop.location,
					 .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	uint32_t value = (uint32_t)stress_random(&w->random);
	CUmemGenericAllocationHandle handle;
	size_t bytes;
	CUdeviceptr at;
	bool right;

	if (!FINE(cuMemGetAllocationGranularity(&bytes, &prop,
						CU_MEM_ALLOC_GRANULARITY_MINIMUM)) ||
	    !FINE(cuMemAddressReserve(&at, bytes, 0, 0, 0)) ||
	    !FINE(cuMemCreate(&handle, bytes, &prop, 0)) ||
	    !FINE(cuMemMap(at, bytes, 0, handle, 0)))
		return false;
	right = FINE(cuMemSetAccess(at, bytes, &access, 1)) &&
		fill(w->shared->gpu.fill, w->stream, at, value) && holds(w, at, value);
	return FINE(cuMemUnmap(at, bytes)) && FINE(cuMemRelease(handle)) &&
	       FINE(cuMemAddressFree(at, bytes)) && right;
}

static bool use_host_memory(struct worker *w)
{
	uint32_t value = (uint32_t)stress_random(&w->random);
	uint32_t *seen = NULL;
	CUdeviceptr managed, mapped;
	void *pinned;
	bool right;

	if (!FINE(cuMemAllocManaged(&managed, WORDS * 4, CU_MEM_ATTACH_GLOBAL)) ||
	    !FINE(cuMemHostAlloc(&pinned, WORDS * 4, CU_MEMHOSTALLOC_DEVICEMAP)))
		return false;
	right = FINE(cuMemHostGetDevicePointer(&mapped, pinned, 0)) &&
		fill(w->shared->gpu.fill, w->stream, mapped, value) &&
		FINE(cuMemcpyDtoDAsync(managed, mapped, WORDS * 4, w->stream)) &&
		FINE(cuStreamSynchronize(w->stream));
	seen = (uint32_t *)(uintptr_t)managed;
	right = right && seen[0] == value && seen[WORDS - 1] == value;
	return FINE(cuMemFreeHost(pinned)) && FINE(cuMemFree(managed)) && right;
}

static bool make_array(struct worker *w)
{
	const CUDA_ARRAY_DESCRIPTOR shape = { .Width = WORDS,
					      .Height = 1,
					      .Format = CU_AD_FORMAT_UNSIGNED_INT32,
					      .NumChannels = 1 };
	uint32_t value = (uint32_t)stress_random(&w->random);
	CUarray array;
	bool right;

	if (!FINE(cuArrayCreate(&array, &shape)))
		return false;
	right = fill(w->shared->gpu.fill, w->stream, w->buffer, value) &&
		FINE(cuStreamSynchronize(w->stream)) &&
		FINE(cuMemcpyDtoA(array, 0, w->buffer, WORDS * 4)) &&
		FINE(cuMemsetD32(w->buffer, ~value, WORDS)) &&
		FINE(cuMemcpyAtoD(w->buffer, array, 0, WORDS * 4)) &&
		FINE(cuStreamSynchronize(NULL)) && holds(w, w->buffer, value);
	return FINE(cuArrayDestroy(array)) && right;
}

/* All threads launch into one stream and record and await one event. */
static bool share_a_stream(struct worker *w)
{
	struct shared *s = w->shared;
	uint64_t n = SHARED_WORDS;
	void *parameters[] = { &s->ones, &s->sum, &n };
	CUresult state;

	if (!FINE(stress_launch(s->gpu.reduce, s->stream, 1, parameters)))
		return false;
	s->launched++;
	state = cuStreamQuery(s->stream);
	if (!FINE(cuEventRecord(s->event, s->stream)) ||
	    !FINE(cuStreamWaitEvent(w->stream, s->event, 0)) ||
	    (state != CUDA_SUCCESS && state != CUDA_ERROR_NOT_READY))
		return false;
	state = cuEventQuery(s->event);
	return (state == CUDA_SUCCESS || state == CUDA_ERROR_NOT_READY) &&
	       (stress_below(&w->random, 4) || FINE(cuEventSynchronize(s->event)));
}

static bool make_stream_and_events(struct worker *w)
{
	CUevent begin, end;
	CUstream stream;
	float ms = -1;
	bool right;

	if (!FINE(cuStreamCreateWithPriority(&stream, CU_STREAM_NON_BLOCKING, -1)) ||
	    !FINE(cuEventCreate(&begin, 0)) || !FINE(cuEventCreate(&end, 0)))
		return false;
	right = FINE(cuEventRecord(begin, stream)) &&
		fill(w->shared->gpu.fill, stream, w->buffer, MARK) &&
		FINE(cuEventRecord(end, stream)) &&
		FINE(cuStreamWaitEvent(w->stream, end, 0)) && holds(w, w->buffer, MARK) &&
		FINE(cuEventElapsedTime(&ms, begin, end)) && ms > 0;
	return FINE(cuEventDestroy(begin)) && FINE(cuEventDestroy(end)) &&
	       FINE(cuStreamDestroy(stream)) && right;
}

static void CUDA_CB count_call(void *called)
{
	++*(unsigned *)called;
}

static bool call_host(struct worker *w)
{
	unsigned before = w->called;
	bool twice = true;

	for (int i = 0; i < 2; i++)
		twice = FINE(cuLaunchHostFunc(w->stream, count_call, &w->called)) &&
			twice;
	return FINE(cuStreamSynchronize(w->stream)) && twice && w->called == before + 2;
}

static bool write_and_wait(struct worker *w)
{
	cuuint32_t value = (cuuint32_t)stress_random(&w->random);

	return FINE(cuStreamWriteValue32(w->stream, w->buffer, value, 0)) &&
	       FINE(cuStreamWaitValue32(w->stream, w->buffer, value,
					CU_STREAM_WAIT_VALUE_EQ)) &&
	       FINE(cuStreamSynchronize(w->stream));
}

static bool capture(struct worker *w)
{
	uint32_t value = (uint32_t)stress_random(&w->random);
	CUgraphExec exec = NULL;
	CUgraph graph = NULL;
	CUdeviceptr inside;
	bool right;

	if (!FINE(cuStreamBeginCapture(w->stream, CU_STREAM_CAPTURE_MODE_RELAXED)))
		return false;
	right = FINE(cuMemAllocAsync(&inside, WORDS * 4, w->stream)) &&
		fill(w->shared->gpu.fill, w->stream, inside, value) &&
		FINE(cuEventRecord(w->event, w->stream)) &&
		FINE(cuStreamWaitEvent(w->side, w->event, 0)) &&
		FINE(cuMemcpyDtoDAsync(w->buffer, inside, WORDS * 4, w->side)) &&
		FINE(cuEventRecord(w->event, w->side)) &&
		FINE(cuStreamWaitEvent(w->stream, w->event, 0)) &&
		FINE(cuMemFreeAsync(inside, w->stream)) &&
		FINE(cuLaunchHostFunc(w->stream, count_call, &w->called));
	right = FINE(cuStreamEndCapture(w->stream, &graph)) && right;
	right = right && FINE(cuGraphInstantiate(&exec, graph, 0)) &&
		FINE(cuGraphLaunch(exec, w->stream)) && holds(w, w->buffer, value) &&
		FINE(cuGraphLaunch(exec, w->stream));
	right = (exec == NULL || FINE(cuGraphExecDestroy(exec))) && right;
	return FINE(cuGraphDestroy(graph)) && FINE(cuStreamSynchronize(w->stream)) &&
	       right;
}

static bool build_graph(struct worker *w)
{
	CUDA_MEMSET_NODE_PARAMS set = {
		.dst = w->buffer, .elementSize = 4, .width = WORDS, .height = 1
	};
	CUDA_HOST_NODE_PARAMS host = { count_call, &w->called };
	CUgraph graph, clone;
	CUgraphNode nodes[2];
	CUgraphExec exec;
	unsigned before = w->called;
	bool right;

	set.value = (unsigned)stress_random(&w->random);
	if (!FINE(cuGraphCreate(&graph, 0)))
		return false;
	right = FINE(cuGraphAddMemsetNode(&nodes[0], graph, NULL, 0, &set,
					  w->shared->gpu.context)) &&
		FINE(cuGraphAddHostNode(&nodes[1], graph, nodes, 1, &host)) &&
		FINE(cuGraphClone(&clone, graph)) && FINE(cuGraphDestroy(graph)) &&
		FINE(cuGraphInstantiate(&exec, clone, 0)) &&
		FINE(cuGraphLaunch(exec, w->stream)) && FINE(cuGraphExecDestroy(exec)) &&
		FINE(cuGraphDestroy(clone));
	return right && holds(w, w->buffer, set.value) && w->called == before + 1;
}

static bool make_context(struct worker *w)
{
	CUcontext own, popped;
	CUdevice device;
	CUdeviceptr at;
	CUevent event;
	bool right;

	if (!FINE(cuCtxGetDevice(&device)) || !FINE(cuCtxCreate(&own, NULL, 0, device)))
		return false;
	right = FINE(cuMemAlloc(&at, 4096)) && FINE(cuEventCreate(&event, 0)) &&
		FINE(cuMemsetD8(at, 1, 4096)) && FINE(cuEventRecord(event, NULL)) &&
		FINE(cuCtxPopCurrent(&popped)) && popped == own &&
		FINE(cuStreamWaitEvent(w->stream, event, 0)) &&
		FINE(cuStreamSynchronize(w->stream));
	return FINE(cuCtxDestroy(own)) && right;
}

static bool make_texture(struct worker *w)
{
	static const CUDA_TEXTURE_DESC how;
	const CUDA_RESOURCE_DESC what = { .resType = CU_RESOURCE_TYPE_LINEAR,
					  .res.linear = {
						  .devPtr = w->buffer,
						  .format = CU_AD_FORMAT_UNSIGNED_INT32,
						  .numChannels = 1,
						  .sizeInBytes = WORDS * 4 } };
	CUDA_RESOURCE_DESC got;
	CUtexObject texture;
	bool right;

	if (!FINE(cuTexObjectCreate(&texture, &what, &how, NULL)))
		return false;
	right = FINE(cuTexObjectGetResourceDesc(&got, texture)) &&
		got.res.linear.devPtr == w->buffer;
	return FINE(cuTexObjectDestroy(texture)) && right;
}

static bool register_memory(struct worker *w)
{
	uint32_t value = (uint32_t)stress_random(&w->random);
	bool right;

	if (!FINE(cuMemHostRegister(w->own, sizeof(w->own), 0)))
		return false;
	for (unsigned i = 0; i < WORDS; i++)
		w->own[i] = value;
	right = FINE(cuMemcpyHtoDAsync(w->buffer, w->own, sizeof(w->own), w->stream)) &&
		holds(w, w->buffer, value);
	return FINE(cuMemHostUnregister(w->own)) && right;
}

static bool load_code(struct worker *w)
{
	uint32_t value = (uint32_t)stress_random(&w->random);
	CUlibrary library;
	CUfunction function;
	CUmodule module;
	int threads = 0, blocks = 0;
	CUkernel kernel;
	bool right;

	if (!FINE(cuModuleLoadData(&module, stress_kernels)) ||
	    !FINE(cuLibraryLoadData(&library, stress_kernels, NULL, NULL, 0, NULL, NULL,
				    0)))
		return false;
	right = FINE(cuLibraryGetKernel(&kernel, library, "gpushim_fill_u32")) &&
		FINE(cuKernelGetFunction(&function, kernel)) &&
		fill(function, w->stream, w->buffer, ~value) &&
		FINE(cuModuleGetFunction(&function, module, "gpushim_fill_u32")) &&
		fill(function, w->stream, w->buffer, value) &&
		FINE(cuFuncGetAttribute(&threads, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK,
					w->shared->gpu.fill)) &&
		FINE(cuFuncSetCacheConfig(w->shared->gpu.fill,
					  CU_FUNC_CACHE_PREFER_L1)) &&
		FINE(cuOccupancyMaxActiveBlocksPerMultiprocessor(
			&blocks, w->shared->gpu.fill, 128, 0)) &&
		threads > 0 && blocks > 0 && holds(w, w->buffer, value);
	return FINE(cuModuleUnload(module)) && FINE(cuLibraryUnload(library)) && right;
}

static bool change_contexts(struct worker *w)
{
	CUcontext primary, current = NULL;
	size_t bytes;
	CUdevice device;
	bool right;

	if (!FINE(cuDeviceGet(&device, 0)) ||
	    !FINE(cuDevicePrimaryCtxRetain(&primary, device)))
		return false;
	right = FINE(cuCtxPushCurrent(primary)) &&
		FINE(cuCtxGetLimit(&bytes, CU_LIMIT_STACK_SIZE)) &&
		FINE(cuCtxSynchronize()) && FINE(cuCtxPopCurrent(&current)) &&
		current == primary && FINE(cuCtxPushCurrent(w->shared->second)) &&
		FINE(cuMemcpyDtoD(w->buffer, w->buffer + WORDS * 2, WORDS * 2)) &&
		FINE(cuCtxSynchronize()) && FINE(cuCtxPopCurrent(NULL));
	return FINE(cuDevicePrimaryCtxRelease(device)) && right;
}

static bool ask(struct worker *w)
{
	const char *name = NULL;
	void *entry = NULL;
	int sms = 0;
	unsigned long long id = 0;
	unsigned flags = 1;

	return FINE(cuGetErrorName(CUDA_ERROR_NOT_READY, &name)) &&
	       FINE(cuGetProcAddress("cuMemAlloc", &entry, 13000,
				     CU_GET_PROC_ADDRESS_DEFAULT, NULL)) &&
	       FINE(cuDeviceGetAttribute(&sms, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
					 0)) &&
	       FINE(cuStreamGetId(w->shared->stream, &id)) &&
	       FINE(cuStreamGetFlags(w->shared->stream, &flags)) && name && entry &&
	       sms > 0 && flags == CU_STREAM_NON_BLOCKING;
}

static const struct {
	const char *name;
	bool (*run)(struct worker *w);
} doings[] = {
	{ "compute", compute },
	{ "allocate", allocate },
	{ "allocate in stream order", allocate_in_order },
	{ "map", map },
	{ "use host memory", use_host_memory },
	{ "make an array", make_array },
	{ "share a stream", share_a_stream },
	{ "make a stream and events", make_stream_and_events },
	{ "call host functions", call_host },
	{ "write and wait", write_and_wait },
	{ "capture", capture },
	{ "build a graph", build_graph },
	{ "make a context", make_context },
	{ "make a texture", make_texture },
	{ "register memory", register_memory },
	{ "load code", load_code },
	{ "change contexts", change_contexts },
	{ "ask", ask },
};
enum { DOINGS = sizeof(doings) / sizeof(doings[0]) };

/* ---- the process ---- */

static void *work(void *arg)
{
	struct worker *w = arg;

	if (!FINE(cuCtxSetCurrent(w->shared->gpu.context)) ||
	    !FINE(cuStreamCreate(&w->stream, CU_STREAM_NON_BLOCKING)) ||
	    !FINE(cuStreamCreate(&w->side, CU_STREAM_NON_BLOCKING)) ||
	    !FINE(cuEventCreate(&w->event, CU_EVENT_DISABLE_TIMING)) ||
	    !FINE(cuMemAlloc(&w->buffer, WORDS * 4)) ||
	    !FINE(cuMemHostAlloc((void **)&w->host, WORDS * 4, 0))) {
		w->wrong = 1;
		return NULL;
	}
	for (unsigned i = 0; i < STEPS; i++) {
		unsigned d = w->shared->broken
				     ? 0
				     : (unsigned)stress_below(&w->random, DOINGS);

		if (doings[d].run(w))
			continue;
		w->wrong++;
		if (!w->shared->broken)
			fprintf(stderr, "to %s went wrong\n", doings[d].name);
	}
	if (!FINE(cuStreamDestroy(w->stream)) || !FINE(cuStreamDestroy(w->side)) ||
	    !FINE(cuEventDestroy(w->event)) || !FINE(cuMemFree(w->buffer)) ||
	    !FINE(cuMemFreeHost(w->host)))
		w->wrong++;
	return NULL;
}

static bool share(struct shared *s, bool broken)
{
	CUdevice device;

	return stress_gpu_open(&s->gpu) == 0 && FINE(cuCtxGetDevice(&device)) &&
	       FINE(cuCtxCreate(&s->second, NULL, 0, device)) &&
	       FINE(cuCtxSetCurrent(s->gpu.context)) &&
	       FINE(cuStreamCreate(&s->stream, CU_STREAM_NON_BLOCKING)) &&
	       FINE(cuEventCreate(&s->event, CU_EVENT_DISABLE_TIMING)) &&
	       FINE(cuDeviceGetDefaultMemPool(&s->pool, device)) &&
	       FINE(cuMemAlloc(&s->ones, SHARED_WORDS * 4)) &&
	       FINE(cuMemAlloc(&s->sum, 8)) &&
	       FINE(cuMemsetD32(s->ones, 1, SHARED_WORDS)) &&
	       FINE(cuMemsetD32(s->sum, 0, 2)) &&
	       (!broken || FINE(cuMemAlloc(&s->broken, WORDS * 4)));
}

/* The number of things that went wrong, at most 99. */
static int process(void *arg)
{
	static struct worker workers[THREADS];
	static struct shared shared;
	unsigned wrong = 0, started;
	uint64_t sum = 0;

	if (!share(&shared, *(const bool *)arg))
		return 99;
	for (started = 0; started < THREADS; started++) {
		workers[started].shared = &shared;
		workers[started].random.state = started;
		if (pthread_create(&workers[started].thread, NULL, work,
				   &workers[started]) != 0)
			break;
	}
	wrong += started < THREADS;
	for (unsigned i = 0; i < started; i++) {
		pthread_join(workers[i].thread, NULL);
		wrong += workers[i].wrong;
	}
	if (!FINE(cuCtxSynchronize()) || !FINE(cuMemcpyDtoH(&sum, shared.sum, 8)) ||
	    sum != (uint64_t)shared.launched * SHARED_WORDS ||
	    !FINE(cuCtxDestroy(shared.second)) || !FINE(cuCtxDestroy(shared.gpu.context)))
		wrong++;
	return wrong < 99 ? (int)wrong : 99;
}

static void threads_do_everything_at_once_and_get_what_they_computed(void)
{
	struct simgpu_monitor *monitor = stress_monitor();
	bool broken = false;

	CU_ASSERT_EQUAL(stress_wait(stress_child(process, &broken)), 0);
	CU_ASSERT(stress_await_clients(monitor, 0));
	CU_ASSERT(stress_nothing_left(monitor, 0, 0, 0));
	simgpu_close(monitor);
}

/* The control: without memory of their own they must see each other's numbers. */
static void threads_that_share_a_buffer_are_found_out(void)
{
	bool broken = true;
	int wrong = stress_wait(stress_child(process, &broken));

	CU_ASSERT(wrong > 0 && wrong <= 99);
}

const struct unit_suite unit_suite = {
	.name = "threads of one process",
	.tests = {
		UNIT_TEST(threads_do_everything_at_once_and_get_what_they_computed),
		UNIT_TEST(threads_that_share_a_buffer_are_found_out),
	},
};
