/*
 * common.c - errors as sentences, opening a device, and small steps every example takes.
 *
 * Knows: which error codes have a remedy worth a sentence.
 * Refuses to know: the kernels' text beyond loading it.
 */
#include "common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels.h"

static const struct {
	CUresult code;
	const char *advice;
} remedies[] = {
	{ CUDA_ERROR_INVALID_VALUE,
	  "An argument is out of the driver's range: try a smaller "
	  "or a larger size." },
	{ CUDA_ERROR_OUT_OF_MEMORY, "Ask for less, or see with nvidia-smi who holds the "
				    "device's memory, and whether a quota applies." },
	{ CUDA_ERROR_NO_DEVICE,
	  "See with nvidia-smi whether the machine has a GPU and the "
	  "driver sees it (CUDA_VISIBLE_DEVICES hides devices)." },
	{ CUDA_ERROR_STUB_LIBRARY,
	  "A toolkit's stub stands in for the driver: take the stubs "
	  "directory out of LD_LIBRARY_PATH." },
	{ CUDA_ERROR_DEVICE_UNAVAILABLE,
	  "Another process may hold the device in exclusive "
	  "mode: nvidia-smi -q -d COMPUTE shows the mode." },
	{ CUDA_ERROR_NO_BINARY_FOR_GPU,
	  "The kernels are PTX for sm_50 and newer, and the "
	  "driver could not compile them for this device." },
	{ CUDA_ERROR_INVALID_PTX,
	  "The driver refuses the PTX of examples/kernels.h; its words "
	  "stand above." },
	{ CUDA_ERROR_UNSUPPORTED_PTX_VERSION,
	  "The driver is older than the PTX (version 6.0): "
	  "install a newer driver." },
	{ CUDA_ERROR_NOT_FOUND, "The driver does not have it: install a newer driver." },
	{ CUDA_ERROR_NOT_SUPPORTED,
	  "This driver or device cannot do it; another option of "
	  "the program may do without." },
	{ CUDA_ERROR_NOT_PERMITTED,
	  "A limit is configured for this program and cannot be "
	  "kept; a line above, if any, names the file and reason." },
	{ CUDA_ERROR_ILLEGAL_ADDRESS,
	  "A kernel left its memory: that is a bug of the program "
	  "or the driver; the context is lost." },
	{ CUDA_ERROR_LAUNCH_TIMEOUT,
	  "The device also drives a display and stops long kernels: "
	  "ask for shorter ones." },
	{ CUDA_ERROR_SYSTEM_DRIVER_MISMATCH,
	  "libcuda.so.1 and the kernel driver are of "
	  "different versions: reboot, or reload the driver." },
	{ CUDA_ERROR_OPERATING_SYSTEM,
	  "The operating system refused something: see ulimit -l, "
	  "ulimit -n and the kernel log." },
};

const char *ex_code_name(CUresult result)
{
	const char *name = NULL;

	if (cuGetErrorName(result, &name) == CUDA_SUCCESS && name)
		return name;
	/* A stub library answers every call, cuGetErrorName too, with its own code. */
	return result == CUDA_ERROR_STUB_LIBRARY ? "CUDA_ERROR_STUB_LIBRARY"
						 : "an unknown code";
}

static const char *advice_for(CUresult result)
{
	unsigned i;

	for (i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++)
		if (remedies[i].code == result)
			return remedies[i].advice;
	return "The CUDA Driver API manual explains the code.";
}

_Noreturn static void give_up(int code, CUresult result, const char *call,
			      const char *file, int line)
{
	const char *text = NULL, *slash = strrchr(file, '/');

	if (cuGetErrorString(result, &text) != CUDA_SUCCESS || !text)
		text = "no description";
	fflush(stdout);
	fprintf(stderr, "%s: %.*s (%s:%d) answered %s (%d, %s). %s\n", ex_name(),
		(int)strcspn(call, "("), call, slash ? slash + 1 : file, line,
		ex_code_name(result), (int)result, text, advice_for(result));
	exit(code);
}

void ex_try(CUresult result, const char *call, const char *file, int line)
{
	if (result != CUDA_SUCCESS)
		give_up(EX_EXIT_FAILED, result, call, file, line);
}

int ex_init(void)
{
	CUresult result = cuInit(0);
	int count = 0;

	if (result == CUDA_ERROR_NO_DEVICE || result == CUDA_ERROR_STUB_LIBRARY)
		give_up(EX_EXIT_NO_GPU, result, "cuInit", __FILE__, __LINE__);
	EX_TRY(result);
	EX_TRY(cuDeviceGetCount(&count));
	if (count < 1)
		give_up(EX_EXIT_NO_GPU, CUDA_ERROR_NO_DEVICE, "cuDeviceGetCount",
			__FILE__, __LINE__);
	return count;
}

static void load_kernels(struct ex_gpu *gpu)
{
	char log[4096] = "";
	CUjit_option options[] = { CU_JIT_ERROR_LOG_BUFFER,
				   CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES };
	void *values[] = { log, (void *)(uintptr_t)sizeof(log) };
	CUresult result;

	result = cuModuleLoadDataEx(&gpu->module, ex_kernels_ptx, 2, options, values);
	if (result != CUDA_SUCCESS && log[0])
		fprintf(stderr, "%s\n", log);
	ex_try(result, "cuModuleLoadDataEx", __FILE__, __LINE__);
}

void ex_open(struct ex_gpu *gpu, int device, enum ex_context kind)
{
	int count = ex_init();

	if (device >= count)
		ex_usage(
			"--device %d: there %s %d device%s, counted from 0; the example info "
			"lists them.",
			device, count == 1 ? "is" : "are", count, count == 1 ? "" : "s");
	gpu->kind = kind;
	EX_TRY(cuDeviceGet(&gpu->device, device < 0 ? 0 : device));
	if (kind == EX_OWN_CONTEXT) {
		EX_TRY(cuCtxCreate(&gpu->context, NULL, 0, gpu->device));
	} else {
		EX_TRY(cuDevicePrimaryCtxRetain(&gpu->context, gpu->device));
		EX_TRY(cuCtxSetCurrent(gpu->context));
	}
	load_kernels(gpu);
}

void ex_close(struct ex_gpu *gpu)
{
	EX_TRY(cuModuleUnload(gpu->module));
	if (gpu->kind == EX_OWN_CONTEXT)
		EX_TRY(cuCtxDestroy(gpu->context));
	else
		EX_TRY(cuDevicePrimaryCtxRelease(gpu->device));
}

CUfunction ex_kernel(const struct ex_gpu *gpu, const char *name)
{
	CUfunction kernel;

	EX_TRY(cuModuleGetFunction(&kernel, gpu->module, name));
	return kernel;
}

int ex_attribute(const struct ex_gpu *gpu, CUdevice_attribute attribute)
{
	int value = 0;
	CUresult result = cuDeviceGetAttribute(&value, attribute, gpu->device);

	/* An older driver answers so for attributes that came after it. */
	if (result == CUDA_ERROR_INVALID_VALUE)
		return 0;
	EX_TRY(result);
	return value;
}

void ex_launch(CUfunction kernel, unsigned grid, unsigned block, CUstream stream,
	       void **parameters)
{
	EX_TRY(cuLaunchKernel(kernel, grid, 1, 1, block, 1, 1, 0, stream, parameters,
			      NULL));
}

void ex_fill(const struct ex_gpu *gpu, CUdeviceptr ptr, uint32_t value, uint64_t n,
	     CUstream stream)
{
	void *parameters[] = { &ptr, &value, &n };

	ex_launch(ex_kernel(gpu, "gpushim_fill_u32"), 64, 256, stream, parameters);
}

uint64_t ex_count_wrong(CUdeviceptr ptr, uint32_t value, uint64_t n)
{
	enum { WORDS = 1 << 18 };
	uint32_t *words = malloc(WORDS * sizeof(*words));
	uint64_t done, wrong = 0;

	if (!words)
		ex_fail("There is no host memory left for a buffer of 1 MiB.");
	for (done = 0; done < n; done += WORDS) {
		uint64_t now = n - done < WORDS ? n - done : WORDS;
		uint64_t i;

		EX_TRY(cuMemcpyDtoH(words, ptr + done * 4, now * 4));
		for (i = 0; i < now; i++)
			wrong += words[i] != value;
	}
	free(words);
	return wrong;
}

uint64_t ex_free_bytes(void)
{
	size_t free_bytes, total_bytes;

	EX_TRY(cuMemGetInfo(&free_bytes, &total_bytes));
	return free_bytes;
}

uint64_t ex_total_bytes(void)
{
	size_t free_bytes, total_bytes;

	EX_TRY(cuMemGetInfo(&free_bytes, &total_bytes));
	return total_bytes;
}

uint64_t ex_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

const char *ex_bytes(char text[32], uint64_t bytes)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
	double value = (double)bytes;
	unsigned unit = 0;

	while (value >= 1024 && unit < 4) {
		value /= 1024;
		unit++;
	}
	snprintf(text, 32, "%.*f %s", value == (double)(uint64_t)value ? 0 : 2, value,
		 units[unit]);
	return text;
}
