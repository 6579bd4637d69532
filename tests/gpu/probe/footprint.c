/*
 * footprint.c - section "footprint": device memory that goes to contexts, code, streams and
 * limits, as another process sees it, as this one does, and as NVML does.
 *
 * Knows: an observer with a context of its own, forked before. Anybody else who uses the
 * card at the same time shows up in these figures.
 */
#include "probe.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct worker observer;
static struct gpu gpu;
static struct view {
	int64_t free_outside, nvml_used, nvml_own;
} last;

static void observe(int in, int out, void *argument)
{
	struct gpu own;
	int64_t now;
	char byte;

	(void)argument;
	gpu_open_bare(&own);
	now = free_bytes();
	say(out, &now, sizeof now);
	while (hear(in, &byte, 1)) {
		now = free_bytes();
		say(out, &now, sizeof now);
	}
}

static struct view look(void)
{
	struct view view = { 0, -1, -1 };
	struct nvml_process list[256];
	uint64_t total, used;
	int n;

	say_go(observer.to);
	if (!hear(observer.from, &view.free_outside, sizeof view.free_outside))
		stop("the observer is gone");
	if (nvml_memory(&total, &used))
		view.nvml_used = (int64_t)used;
	n = nvml_processes(list, 256);
	for (int i = 0; i < n; i++)
		if (list[i].pid == (unsigned)getpid() && list[i].used_bytes != UINT64_MAX)
			view.nvml_own = (int64_t)list[i].used_bytes;
	return view;
}

/* States what the device has less than at the last step. */
static void step(const char *id, const char *question)
{
	struct view now = look();

	if (now.nvml_used >= 0 && last.nvml_used >= 0)
		note("nvml_device", (double)(now.nvml_used - last.nvml_used));
	if (now.nvml_own >= 0)
		note("nvml_process_total", (double)now.nvml_own);
	fact_number(id, question, (double)(last.free_outside - now.free_outside),
		    "bytes");
	last = now;
}

static void limit_step(const char *id, const char *question, CUlimit limit, size_t value)
{
	size_t before = 0, after = 0;
	CUresult code;

	cu.cuCtxGetLimit(&before, limit);
	code = cu.cuCtxSetLimit(limit, value);
	cu.cuCtxGetLimit(&after, limit);
	note("limit_before", (double)before);
	note("limit_asked", (double)value);
	note("limit_after", (double)after);
	note("code", code);
	step(id, question);
}

static void run_optional(const char *ptx, const char *name, void **parameters,
			 unsigned grid, unsigned block)
{
	CUmodule module;
	CUfunction kernel;
	CUresult code = cu.cuModuleLoadData(&module, ptx);

	if (code == CUDA_SUCCESS)
		code = cu.cuModuleGetFunction(&kernel, module, name);
	if (code == CUDA_SUCCESS)
		code = cu.cuLaunchKernel(kernel, grid, 1, 1, block, 1, 1, 0, NULL,
					 parameters, NULL);
	if (code == CUDA_SUCCESS)
		code = cu.cuCtxSynchronize();
	note("code", code);
}

static void limits(void)
{
	int sms = 1, threads = 2048;
	uint64_t stack;
	CUdeviceptr at;
	unsigned index = 3;
	void *deep[] = { &at, &index };
	size_t before, after;

	MUST(cu.cuMemAlloc_v2(&at, 4096));
	step("footprint.one_small_block", "A block of 4 KiB (the process's first)");
	limit_step("footprint.printf_limit", "PRINTF_FIFO_SIZE raised to 64 MiB",
		   CU_LIMIT_PRINTF_FIFO_SIZE, 64u << 20);
	run_optional(probe_printf_ptx, "gpushim_probe_printf", NULL, 1, 1);
	step("footprint.printf_launch", "then a kernel with printf loaded and run");
	limit_step("footprint.heap_limit", "MALLOC_HEAP_SIZE raised to 256 MiB",
		   CU_LIMIT_MALLOC_HEAP_SIZE, 256u << 20);
	MUST(gpu_work(&gpu, 1, NULL));
	MUST(cu.cuCtxSynchronize());
	step("footprint.heap_launch", "then a launch");
	cu.cuCtxGetLimit(&before, CU_LIMIT_STACK_SIZE);
	run_optional(probe_deep_ptx, "gpushim_probe_deep", deep, 1, 32);
	cu.cuCtxGetLimit(&after, CU_LIMIT_STACK_SIZE);
	note("stack_limit_before", (double)before);
	note("stack_limit_after", (double)after);
	step("footprint.deep_launch",
	     "A kernel with 2 KiB of stack per thread loaded and run");
	cu.cuDeviceGetAttribute(&sms, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
				gpu.device);
	cu.cuDeviceGetAttribute(
		&threads, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, gpu.device);
	stack = options.limit_bytes / 2 / ((uint64_t)sms * (uint64_t)threads) / 1024 *
		1024;
	if (stack > 4096)
		stack = 4096;
	if (stack < 2048) {
		fact_unknown("footprint.stack_limit", "STACK_SIZE raised",
			     "too much memory for --limit");
	} else {
		note("if_for_all_resident_threads",
		     (double)(stack * (uint64_t)sms * (uint64_t)threads));
		limit_step("footprint.stack_limit",
			   "STACK_SIZE raised (to what: evidence)", CU_LIMIT_STACK_SIZE,
			   stack);
		run_optional(probe_deep_ptx, "gpushim_probe_deep", deep, 1, 32);
		step("footprint.stack_launch",
		     "then a kernel with 2 KiB of stack loaded and run");
	}
	MUST(cu.cuMemFree_v2(at));
}

static void streams_and_events(void)
{
	CUstream streams[64];
	CUevent events[256];

	for (int i = 0; i < 64; i++)
		MUST(cu.cuStreamCreate(&streams[i], CU_STREAM_NON_BLOCKING));
	for (int i = 0; i < 64; i++)
		MUST(gpu_work(&gpu, 1, streams[i]));
	MUST(cu.cuCtxSynchronize());
	step("footprint.streams", "64 streams, each used");
	for (int i = 0; i < 256; i++)
		MUST(cu.cuEventCreate(&events[i], CU_EVENT_DEFAULT));
	for (int i = 0; i < 256; i++)
		MUST(cu.cuEventRecord(events[i], streams[i % 64]));
	MUST(cu.cuCtxSynchronize());
	step("footprint.events", "256 events, each recorded");
	for (int i = 0; i < 256; i++)
		cu.cuEventDestroy_v2(events[i]);
	for (int i = 0; i < 64; i++)
		cu.cuStreamDestroy_v2(streams[i]);
	step("footprint.streams_gone", "Streams and events destroyed");
}

void section_footprint(void)
{
	CUcontext second, primary;
	const char *why;
	int64_t inside;
	char bus[40];

	observer = worker_start(observe, NULL);
	if (!hear(observer.from, &inside, sizeof inside))
		stop("the observer could not start");
	if (!driver_load(&why))
		stop("%s", why);
	last = look(); /* NVML is not open yet: only the observer */
	MUST(cu.cuInit(0));
	step("footprint.init", "cuInit");
	MUST(cu.cuDeviceGet(&gpu.device, options.device));
	MUST(cu.cuDeviceGetPCIBusId(bus, sizeof bus, gpu.device));
	nvml_open(bus);
	last = look();
	MUST(cu.cuCtxCreate_v2(&gpu.context, 0, gpu.device));
	step("footprint.context", "cuCtxCreate, as another process sees it");
	inside = free_bytes();
	note("outside", (double)last.free_outside);
	note("inside", (double)inside);
	fact_number("footprint.view",
		    "cuMemGetInfo's free of another process less this one's",
		    (double)(last.free_outside - inside), "bytes");
	gpu_kernels(&gpu);
	step("footprint.module", "A small module loaded");
	MUST(gpu_work(&gpu, 1, NULL));
	MUST(cu.cuCtxSynchronize());
	step("footprint.first_launch", "The first launch");
	streams_and_events();
	limits();
	MUST(cu.cuCtxCreate_v2(&second, 0, gpu.device));
	step("footprint.second_context", "A second context of the process");
	MUST(cu.cuCtxDestroy_v2(second));
	step("footprint.second_destroyed", "It is destroyed");
	MUST(cu.cuDevicePrimaryCtxRetain(&primary, gpu.device));
	step("footprint.primary_context", "The primary context beside one of its own");
	MUST(cu.cuDevicePrimaryCtxRelease_v2(gpu.device));
	step("footprint.primary_released", "It is released");
	MUST(cu.cuCtxSetCurrent(gpu.context));
	MUST(cu.cuCtxDestroy_v2(gpu.context));
	step("footprint.destroyed", "The last context is destroyed");
}
