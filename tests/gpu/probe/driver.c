/*
 * driver.c - the CUDA driver by dlopen, and the few things that every section does with it.
 *
 * Knows: exported names with their versions. Refuses to know cuGetProcAddress: what it
 * answers is a question of the probe.
 */
#include "probe.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct driver cu;
static const char *section = "probe";

bool driver_load(const char **why)
{
	static char text[600];

	*why = text;
	cu.handle = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	if (cu.handle == NULL) {
		snprintf(text, sizeof text, "the driver library cannot be loaded: %s",
			 dlerror());
		return false;
	}
#define CALL(symbol)                                                          \
	cu.symbol = (__typeof__(cu.symbol))dlsym(cu.handle, #symbol);         \
	if (cu.symbol == NULL) {                                              \
		snprintf(text, sizeof text, "the driver has no %s", #symbol); \
		return false;                                                 \
	}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic" /* POSIX allows what ISO C does not */
#include "driver.def"
#pragma GCC diagnostic pop
	return true;
}

const char *code_text(CUresult code)
{
	static _Thread_local char text[80];
	const char *name = NULL;

	if (cu.cuGetErrorName == NULL || cu.cuGetErrorName(code, &name) != CUDA_SUCCESS)
		name = "unnamed";
	snprintf(text, sizeof text, "%d %s", (int)code, name);
	return text;
}

void section_name(const char *name)
{
	section = name;
}

_Noreturn void stop(const char *format, ...)
{
	char id[80], text[600];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof text, format, list);
	va_end(list);
	snprintf(id, sizeof id, "%s.stopped", section);
	fact_unknown(id, "The rest of this section", "%s", text);
	_exit(3);
}

void must(CUresult code, const char *call, const char *file, int line)
{
	const char *base = strrchr(file, '/');

	if (code != CUDA_SUCCESS)
		stop("%s returned %s (%s:%d)", call, code_text(code),
		     base != NULL ? base + 1 : file, line);
}

void gpu_open_bare(struct gpu *gpu)
{
	const char *why;

	memset(gpu, 0, sizeof *gpu);
	if (!driver_load(&why))
		stop("%s", why);
	MUST(cu.cuInit(0));
	MUST(cu.cuDeviceGet(&gpu->device, options.device));
	MUST(cu.cuCtxCreate_v2(&gpu->context, 0, gpu->device));
}

void gpu_kernels(struct gpu *gpu)
{
	MUST(cu.cuModuleLoadData(&gpu->module, probe_ptx));
	MUST(cu.cuModuleGetFunction(&gpu->nothing, gpu->module, "gpushim_probe_nothing"));
	MUST(cu.cuModuleGetFunction(&gpu->work, gpu->module, "gpushim_work"));
	MUST(cu.cuModuleGetFunction(&gpu->spin_ns, gpu->module, "gpushim_spin_ns"));
	MUST(cu.cuModuleGetFunction(&gpu->gaps, gpu->module, "gpushim_probe_gaps"));
}

void gpu_open(struct gpu *gpu)
{
	gpu_open_bare(gpu);
	gpu_kernels(gpu);
}

CUresult gpu_spin(const struct gpu *gpu, uint64_t ns, CUstream stream)
{
	void *parameters[] = { &ns };

	return cu.cuLaunchKernel(gpu->spin_ns, 1, 1, 1, 1, 1, 1, 0, stream, parameters,
				 NULL);
}

CUresult gpu_work(const struct gpu *gpu, uint64_t iterations, CUstream stream)
{
	uint64_t sink = 0;
	void *parameters[] = { &iterations, &sink };

	return cu.cuLaunchKernel(gpu->work, 1, 1, 1, 32, 1, 1, 0, stream, parameters,
				 NULL);
}

double gpu_calibrate(const struct gpu *gpu)
{
	const uint64_t iterations = 200000;
	float best_ms = 0, ms;
	uint64_t warm = now_ns() + 150000000; /* clocks of an idle card rise slowly */
	CUevent from, to;

	MUST(cu.cuEventCreate(&from, CU_EVENT_DEFAULT));
	MUST(cu.cuEventCreate(&to, CU_EVENT_DEFAULT));
	for (int i = 0; i < 20 || now_ns() < warm; i++) {
		MUST(cu.cuEventRecord(from, NULL));
		MUST(gpu_work(gpu, iterations, NULL));
		MUST(cu.cuEventRecord(to, NULL));
		MUST(cu.cuEventSynchronize(to));
		MUST(cu.cuEventElapsedTime(&ms, from, to));
		if (i > 2 && (best_ms <= 0 || ms < best_ms))
			best_ms = ms;
	}
	cu.cuEventDestroy_v2(from);
	cu.cuEventDestroy_v2(to);
	if (best_ms <= 0)
		stop("events say that the work kernel takes no time");
	return (double)iterations / ((double)best_ms * 1000);
}

long gpu_gaps(const struct gpu *gpu, uint64_t ns, uint64_t threshold_ns, uint64_t **pairs,
	      uint64_t ends[3])
{
	const uint64_t max = GAPS_MAX;
	size_t size = (4 + 2 * GAPS_MAX) * sizeof(uint64_t);
	uint64_t *seen = calloc(1, size);
	CUdeviceptr at;
	void *parameters[] = { &at, &ns, &threshold_ns, (void *)&max };
	long n;

	if (seen == NULL)
		stop("out of memory");
	MUST(cu.cuMemAlloc_v2(&at, size));
	MUST(cu.cuMemsetD8_v2(at, 0, size));
	MUST(cu.cuLaunchKernel(gpu->gaps, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL));
	MUST(cu.cuCtxSynchronize());
	MUST(cu.cuMemcpyDtoH_v2(seen, at, size));
	MUST(cu.cuMemFree_v2(at));
	/* First and last stamp; the number of pairs; the shortest step; the pairs. */
	n = seen[1] == 0 ? -1 : (long)seen[2];
	ends[0] = seen[0];
	ends[1] = seen[1];
	ends[2] = seen[3];
	if (n > 0)
		memmove(seen, seen + 4, (size_t)n * 2 * sizeof *seen);
	*pairs = seen;
	return n;
}

int64_t free_bytes(void)
{
	size_t free_now, total;

	MUST(cu.cuMemGetInfo_v2(&free_now, &total));
	return (int64_t)free_now;
}
