/*
 * client_v1.c - a program of the time of CUDA 2: client_v1 DRIVER WHAT, where WHAT is one of
 * the functions in the table at the end and DRIVER a libcuda.so.1 made of plugin_v1.c. Says
 * what does not hold; exit status 1 then.
 */
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>

#include <cudaTypedefs.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static struct {
	PFN_cuInit_v2000 init;
	PFN_cuMemAlloc_v2000 alloc;
	PFN_cuMemAllocPitch_v2000 alloc_pitch;
	PFN_cuMemFree_v2000 free;
	PFN_cuMemFree_v3020 free_v2;
	PFN_cuMemGetInfo_v2000 info;
	PFN_cuDeviceTotalMem_v2000 total;
	PFN_cuArrayCreate_v2000 array;
	PFN_cuArray3DCreate_v2000 array_3d;
	PFN_cuArrayDestroy_v2000 array_destroy;
	PFN_cuCtxCreate_v2000 create;
	PFN_cuCtxDestroy_v2000 destroy;
	size_t (*taken_bytes)(void);
	unsigned (*asked)(void);
	void (*pitch_step)(unsigned bytes);
	void (*in_destroy)(void (*function)(void));
} v1;

static const struct {
	const char *name;
	void *slot;
} slots[] = {
	{ "cuInit", &v1.init },
	{ "cuMemAlloc", &v1.alloc },
	{ "cuMemAllocPitch", &v1.alloc_pitch },
	{ "cuMemFree", &v1.free },
	{ "cuMemFree_v2", &v1.free_v2 },
	{ "cuMemGetInfo", &v1.info },
	{ "cuDeviceTotalMem", &v1.total },
	{ "cuArrayCreate", &v1.array },
	{ "cuArray3DCreate", &v1.array_3d },
	{ "cuArrayDestroy", &v1.array_destroy },
	{ "cuCtxCreate", &v1.create },
	{ "cuCtxDestroy", &v1.destroy },
	{ "v1_in_destroy", &v1.in_destroy },
	{ "v1_taken_bytes", &v1.taken_bytes },
	{ "v1_asked", &v1.asked },
	{ "v1_pitch_step", &v1.pitch_step },
};

static int failures;

static void holds(int held, int line, const char *what)
{
	if (!held) {
		printf("line %d: does not hold: %s\n", line, what);
		failures++;
	}
}
#define check(condition) holds(!!(condition), __LINE__, #condition)

/* What is charged is what was taken: the quota is 1 MiB. */
static void books_agree(size_t bytes)
{
	unsigned free_bytes = 0, total = 0;

	check(v1.taken_bytes() == bytes);
	check(v1.info(&free_bytes, &total) == CUDA_SUCCESS);
	check(total == 1 << 20);
	check(free_bytes == (1 << 20) - bytes);
}

static void memory(void)
{
	CUdeviceptr_v1 p = 0, q = 0;
	unsigned asked;

	check(v1.alloc(&p, (1 << 20) + 1) == CUDA_ERROR_OUT_OF_MEMORY);
	check(v1.alloc(&p, 0xffffffff) == CUDA_ERROR_OUT_OF_MEMORY);
	check(v1.asked() == 0);
	check(v1.alloc(&p, 1 << 20) == CUDA_SUCCESS);
	books_agree(1 << 20);
	asked = v1.asked();
	check(v1.alloc(&q, 1) == CUDA_ERROR_OUT_OF_MEMORY);
	check(v1.asked() == asked);
	check(v1.free(p) == CUDA_SUCCESS);
	books_agree(0);
	/* Allocated by the one version, freed by the other. */
	check(v1.alloc(&p, 1000) == CUDA_SUCCESS);
	check(v1.free_v2(p) == CUDA_SUCCESS);
	books_agree(0);
	check(v1.alloc(NULL, 1000) == CUDA_ERROR_INVALID_VALUE);
	check(v1.alloc(&p, 0) == CUDA_ERROR_INVALID_VALUE);
	check(v1.free(p) == CUDA_ERROR_INVALID_VALUE);
	books_agree(0);
}

static void pitch(void)
{
	CUdeviceptr_v1 p = 0;
	unsigned row = 0;

	/* Rows as they are expected at first. */
	check(v1.alloc_pitch(&p, &row, 500, 2049, 4) == CUDA_ERROR_OUT_OF_MEMORY);
	check(v1.alloc_pitch(&p, &row, 500, 2048, 4) == CUDA_SUCCESS);
	check(row == 512);
	books_agree(1 << 20);
	check(v1.free(p) == CUDA_SUCCESS);
	/* Shorter ones are learned from the first answer. */
	v1.pitch_step(64);
	check(v1.alloc_pitch(&p, &row, 60, 10, 4) == CUDA_SUCCESS);
	check(row == 64);
	books_agree(640);
	check(v1.free(p) == CUDA_SUCCESS);
	check(v1.alloc_pitch(&p, &row, 60, 16385, 4) == CUDA_ERROR_OUT_OF_MEMORY);
	check(v1.alloc_pitch(&p, &row, 60, 16384, 4) == CUDA_SUCCESS);
	books_agree(1 << 20);
	check(v1.free(p) == CUDA_SUCCESS);
	/* Longer ones too; what then does not fit is given back. */
	v1.pitch_step(4096);
	check(v1.alloc_pitch(&p, &row, 60, 16384, 4) == CUDA_ERROR_OUT_OF_MEMORY);
	books_agree(0);
	check(v1.alloc_pitch(&p, &row, 60, 256, 4) == CUDA_SUCCESS);
	books_agree(1 << 20);
	check(v1.free(p) == CUDA_SUCCESS);
	check(v1.alloc_pitch(&p, &row, 60, 256, 5) == CUDA_ERROR_INVALID_VALUE);
	check(v1.alloc_pitch(NULL, &row, 60, 256, 4) == CUDA_ERROR_INVALID_VALUE);
	check(v1.alloc_pitch(&p, NULL, 60, 256, 4) == CUDA_ERROR_INVALID_VALUE);
	books_agree(0);
}

static void arrays(void)
{
	CUDA_ARRAY_DESCRIPTOR_v1 flat = { .Width = 1024,
					  .Height = 1025,
					  .Format = CU_AD_FORMAT_UNSIGNED_INT8,
					  .NumChannels = 1 };
	CUDA_ARRAY3D_DESCRIPTOR_v1 solid = { .Width = 64,
					     .Height = 64,
					     .Depth = 65,
					     .Format = CU_AD_FORMAT_SIGNED_INT8,
					     .NumChannels = 4 };
	CUarray array = NULL;

	check(v1.array(&array, &flat) == CUDA_ERROR_OUT_OF_MEMORY);
	flat.Height--;
	check(v1.array(&array, &flat) == CUDA_SUCCESS);
	books_agree(1 << 20);
	check(v1.array_destroy(array) == CUDA_SUCCESS);
	check(v1.array_3d(&array, &solid) == CUDA_ERROR_OUT_OF_MEMORY);
	solid.Depth--;
	check(v1.array_3d(&array, &solid) == CUDA_SUCCESS);
	books_agree(1 << 20);
	check(v1.array_destroy(array) == CUDA_SUCCESS);
	check(v1.array(NULL, &flat) == CUDA_ERROR_INVALID_VALUE);
	check(v1.array(&array, NULL) == CUDA_ERROR_INVALID_VALUE);
	check(v1.array_3d(NULL, &solid) == CUDA_ERROR_INVALID_VALUE);
	check(v1.array_3d(&array, NULL) == CUDA_ERROR_INVALID_VALUE);
	books_agree(0);
}

/* As another thread would, in the middle of the first one's cuCtxDestroy. */
static CUcontext reborn;

static void make_and_fill(void)
{
	CUdeviceptr_v1 p = 0;

	check(v1.create(&reborn, 0, 0) == CUDA_SUCCESS);
	check(v1.alloc(&p, 3000) == CUDA_SUCCESS);
}

static void contexts(void)
{
	CUcontext context = NULL;
	CUdeviceptr_v1 p = 0;

	check(v1.alloc(&p, 1000) == CUDA_SUCCESS);
	check(v1.create(&context, 0, 0) == CUDA_SUCCESS);
	check(v1.alloc(&p, 2000) == CUDA_SUCCESS);
	books_agree(3000);
	v1.in_destroy(make_and_fill);
	check(v1.destroy(context) == CUDA_SUCCESS);
	check(reborn == context);
	books_agree(4000);
	check(v1.destroy(reborn) == CUDA_SUCCESS);
	books_agree(1000);
}

/* The quota is 5 GiB, of 6. */
static void large(void)
{
	CUdeviceptr_v1 p = 0;
	unsigned free_bytes = 1, total = 2;

	check(v1.total(&total, 0) == CUDA_SUCCESS);
	check(total == 0xffffffff);
	check(v1.alloc(&p, (unsigned)3 << 30) == CUDA_SUCCESS);
	check(v1.info(&free_bytes, &total) == CUDA_SUCCESS);
	check(total == 0xffffffff);
	check(free_bytes == (unsigned)2 << 30);
	check(v1.info(NULL, &total) == CUDA_ERROR_INVALID_VALUE);
	check(v1.info(&free_bytes, NULL) == CUDA_ERROR_INVALID_VALUE);
	check(v1.total(NULL, 0) == CUDA_ERROR_INVALID_VALUE);
	check(v1.total(&total, 7) == CUDA_ERROR_INVALID_VALUE);
}

/* The quota is 1 MiB. */
static void small(void)
{
	unsigned total = 0;

	check(v1.total(&total, 0) == CUDA_SUCCESS);
	check(total == 1 << 20);
	books_agree(0);
}

static const struct {
	const char *name;
	void (*run)(void);
} table[] = {
	{ "memory", memory }, { "pitch", pitch }, { "arrays", arrays },
	{ "large", large },   { "small", small }, { "contexts", contexts },
};

int main(int count, char **arguments)
{
	void *driver = count == 3 ? dlopen(arguments[1], RTLD_NOW) : NULL;

	if (!driver) {
		printf("usage: client_v1 DRIVER WHAT\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
		void *found = dlsym(driver, slots[i].name);

		if (!found)
			printf("there is no %s\n", slots[i].name);
		memcpy(slots[i].slot, &found, sizeof(found));
	}
	check(v1.init(0) == CUDA_SUCCESS);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(table[i].name, arguments[2]) == 0)
			table[i].run();
	return failures ? 1 : 0;
}
