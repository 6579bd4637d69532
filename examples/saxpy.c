/*
 * saxpy.c - y = a * x + y and a sum, launched in every form, each result checked exactly.
 *
 * Knows: the forms of a launch. The numbers are small integers, so that floats hold them
 * exactly and the check allows no error.
 * Refuses to know: how fast it is; the example work measures.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common.h"

enum { GRID = 64, BLOCK = 256 };

static const float factor = 3;

/* The kernel's parameters, laid out as the kernel reads them. */
struct parameters {
	CUdeviceptr x, y;
	float a;
	uint64_t n;
};

static float x_at(uint64_t i)
{
	return (float)(i % 1021);
}

static float y_at(uint64_t i)
{
	return (float)(i % 509);
}

static void launch_pointers(CUfunction saxpy, struct parameters *p, CUstream stream)
{
	void *list[] = { &p->x, &p->y, &p->a, &p->n };

	EX_TRY(cuLaunchKernel(saxpy, GRID, 1, 1, BLOCK, 1, 1, 0, stream, list, NULL));
}

static void launch_buffer(CUfunction saxpy, struct parameters *p, CUstream stream)
{
	size_t bytes = sizeof(*p);
	void *extra[] = { CU_LAUNCH_PARAM_BUFFER_POINTER, p, CU_LAUNCH_PARAM_BUFFER_SIZE,
			  &bytes, CU_LAUNCH_PARAM_END };

	EX_TRY(cuLaunchKernel(saxpy, GRID, 1, 1, BLOCK, 1, 1, 0, stream, NULL, extra));
}

static void launch_ex(CUfunction saxpy, struct parameters *p, CUstream stream)
{
	CUlaunchConfig config = { .gridDimX = GRID,
				  .gridDimY = 1,
				  .gridDimZ = 1,
				  .blockDimX = BLOCK,
				  .blockDimY = 1,
				  .blockDimZ = 1,
				  .hStream = stream };
	void *list[] = { &p->x, &p->y, &p->a, &p->n };

	EX_TRY(cuLaunchKernelEx(&config, saxpy, list, NULL));
}

static void launch_cooperative(CUfunction saxpy, struct parameters *p, CUstream stream)
{
	void *list[] = { &p->x, &p->y, &p->a, &p->n };

	EX_TRY(cuLaunchCooperativeKernel(saxpy, GRID, 1, 1, BLOCK, 1, 1, 0, stream,
					 list));
}

static const struct form {
	const char *name;
	void (*launch)(CUfunction saxpy, struct parameters *p, CUstream stream);
	CUdevice_attribute needs; /* 0: nothing */
} forms[] = {
	{ "cuLaunchKernel with pointers", launch_pointers, 0 },
	{ "cuLaunchKernel with a buffer", launch_buffer, 0 },
	{ "cuLaunchKernelEx", launch_ex, 0 },
	{ "cuLaunchCooperativeKernel", launch_cooperative,
	  CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH },
};

/* Sets y anew, launches, and compares every element. */
static bool check_form(const struct form *form, CUfunction saxpy, struct parameters *p,
		       CUstream stream, float *host)
{
	uint64_t i, wrong = 0;

	for (i = 0; i < p->n; i++)
		host[i] = y_at(i);
	EX_TRY(cuMemcpyHtoDAsync(p->y, host, p->n * sizeof(float), stream));
	form->launch(saxpy, p, stream);
	EX_TRY(cuMemcpyDtoHAsync(host, p->y, p->n * sizeof(float), stream));
	EX_TRY(cuStreamSynchronize(stream));
	for (i = 0; i < p->n; i++)
		wrong += host[i] != factor * x_at(i) + y_at(i);
	if (wrong)
		printf("%s: WRONG, %" PRIu64 " of %" PRIu64 " elements\n", form->name,
		       wrong, p->n);
	else
		printf("%s: all %" PRIu64 " elements are right\n", form->name, p->n);
	return !wrong;
}

/* Sums 0, 1, 2, ... modulo 65521 on the device; x's memory is used again for the words. */
static bool check_sum(const struct ex_gpu *gpu, struct parameters *p, uint32_t *host)
{
	CUdeviceptr out;
	void *list[] = { &p->x, &out, &p->n };
	uint64_t i, sum = 0, found;

	for (i = 0; i < p->n; i++) {
		host[i] = (uint32_t)(i % 65521);
		sum += host[i];
	}
	EX_TRY(cuMemcpyHtoD(p->x, host, p->n * sizeof(*host)));
	EX_TRY(cuMemAlloc(&out, sizeof(found)));
	EX_TRY(cuMemsetD32(out, 0, 2));
	ex_launch(ex_kernel(gpu, "gpushim_reduce_u32"), GRID, BLOCK, NULL, list);
	EX_TRY(cuMemcpyDtoH(&found, out, sizeof(found)));
	EX_TRY(cuMemFree(out));
	printf("sum: %s, %" PRIu64 " of %" PRIu64 "\n", found == sum ? "right" : "WRONG",
	       found, sum);
	return found == sum;
}

int main(int argc, char **argv)
{
	uint64_t n = 1 << 20;
	const struct ex_option options[] = {
		{ "n", EX_COUNT, &n, 1, "N", "number of elements" }, { 0 }
	};
	int device = ex_options(
		argc, argv,
		"Computes y = a * x + y in every form of a launch, and a sum; "
		"checks every\nelement.",
		options);
	struct parameters p = { .a = factor, .n = n };
	struct ex_gpu gpu;
	CUfunction saxpy;
	CUstream stream;
	void *pinned;
	float *host;
	uint64_t i;
	unsigned f;
	bool good = true;

	if (n > SIZE_MAX / sizeof(*host))
		ex_usage("--n %" PRIu64 " is more than this machine can address.", n);
	ex_open(&gpu, device, EX_PRIMARY_CONTEXT);
	saxpy = ex_kernel(&gpu, "gpushim_saxpy_f32");
	EX_TRY(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	/* Pinned, so that the asynchronous copies are. */
	EX_TRY(cuMemHostAlloc(&pinned, n * sizeof(*host), 0));
	host = pinned;
	EX_TRY(cuMemAlloc(&p.x, n * sizeof(*host)));
	EX_TRY(cuMemAlloc(&p.y, n * sizeof(*host)));
	for (i = 0; i < n; i++)
		host[i] = x_at(i);
	EX_TRY(cuMemcpyHtoD(p.x, host, n * sizeof(*host)));

	for (f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
		if (forms[f].needs && !ex_attribute(&gpu, forms[f].needs))
			printf("%s: skipped, the device does not support it\n",
			       forms[f].name);
		else
			good = check_form(&forms[f], saxpy, &p, stream, host) && good;
	}
	good = check_sum(&gpu, &p, pinned) && good;

	EX_TRY(cuMemFree(p.x));
	EX_TRY(cuMemFree(p.y));
	EX_TRY(cuMemFreeHost(pinned));
	EX_TRY(cuStreamDestroy(stream));
	ex_close(&gpu);
	return good ? EX_EXIT_OK : EX_EXIT_FAILED;
}
