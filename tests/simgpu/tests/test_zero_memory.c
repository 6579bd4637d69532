/*
 * Memory in zero-cost mode: the same rules without a device process.
 */
#include "memory_books.h"

#include <pthread.h>

#define DEVICE_BYTES MIB(64)

static CUcontext ctx;

static int begin(void)
{
	setenv("SIMGPU_ZERO_COST", "1", 1);
	setenv("SIMGPU_MEMORY", "64MiB", 1);
	return cuInit(0) != CUDA_SUCCESS;
}

static void setup(void)
{
	ctx = gpu_context();
}

static void teardown(void)
{
	gpu_context_end(ctx);
}

static size_t available(void)
{
	size_t avail = 0, total = 0;

	OK(cuMemGetInfo(&avail, &total));
	CU_ASSERT_EQUAL(total, DEVICE_BYTES);
	return avail;
}

static void bytes_arrive_and_ranges_are_checked(void)
{
	unsigned char out[1000], in[1000];
	CUdeviceptr a, b;

	OK(cuMemAlloc(&a, 1000));
	OK(cuMemAlloc(&b, 1000));
	CU_ASSERT(a % 512 == 0 && b % 512 == 0 && a != b);
	pattern(out, sizeof(out), 3);
	OK(cuMemcpyHtoD(a, out, 1000));
	OK(cuMemcpyDtoDAsync(b, a, 1000, NULL));
	OK(cuMemcpyDtoH(in, b, 1000));
	CU_ASSERT(is_pattern(in, 1000, 3));
	OK(cuMemsetD16(b, 0x1234, 500));
	OK(cuMemcpyDtoH(in, b, 1000));
	CU_ASSERT(in[998] == 0x34 && in[999] == 0x12);
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH(in, b, 1001));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemsetD8(b, 0, 1001));
	OK(cuMemFree(a));
	OK(cuMemFree(b));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH(in, b, 1));
}

static void only_a_live_base_address_can_be_freed(void)
{
	CUdeviceptr ptr;

	OK(cuMemAlloc(&ptr, KIB(64)));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFree(ptr + 512));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFree(ptr + 1));
	OK(cuMemFree(ptr));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFree(ptr));
	OK(cuMemFree(0));
	OK(cuMemAlloc(&ptr, MIB(5)));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFree(ptr + MIB(2)));
	OK(cuMemFree(ptr));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFree(ptr));
}

static void memory_runs_out_and_comes_back(void)
{
	CUdeviceptr ptr[64], big;
	size_t before = available();
	unsigned n = 0;

	while (n < 64 && cuMemAlloc(&ptr[n], MIB(2)) == CUDA_SUCCESS)
		n++;
	CU_ASSERT_EQUAL(n, before / MIB(2));
	IS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc(&big, MIB(3)));
	while (n > 0)
		OK(cuMemFree(ptr[--n]));
	CU_ASSERT_EQUAL(available(), before);
	IS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc(&big, DEVICE_BYTES + 1));
	OK(cuMemAlloc(&big, MIB(60)));
	IS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc(&ptr[0], MIB(8)));
	OK(cuMemFree(big));
	CU_ASSERT_EQUAL(available(), before);
}

static void a_context_takes_its_memory_along(void)
{
	size_t before = available();
	CUcontext other;
	CUdeviceptr small, large, mine;

	OK(cuMemAlloc(&mine, 100));
	OK(cuCtxCreate(&other, NULL, 0, 0));
	OK(cuMemAlloc(&small, 100));
	OK(cuMemAlloc(&large, MIB(9)));
	OK(cuCtxDestroy(other));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFree(small));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFree(large));
	OK(cuMemFree(mine));
	CU_ASSERT_EQUAL(available(), before);
}

static void sizes_of_every_class_are_apart(void)
{
	enum { COUNT = 60 };
	CUdeviceptr ptr[COUNT];
	size_t bytes[COUNT];
	static unsigned char in[MIB(2)];

	for (int i = 0; i < COUNT; i++) {
		bytes[i] = ((size_t)1 << (i % 20)) + (size_t)i;
		OK(cuMemAlloc(&ptr[i], bytes[i]));
		OK(cuMemsetD8(ptr[i], (unsigned char)i, bytes[i]));
	}
	for (int i = 0; i < COUNT; i++) {
		OK(cuMemcpyDtoH(in, ptr[i], bytes[i]));
		CU_ASSERT(in[0] == i && in[bytes[i] - 1] == i && in[bytes[i] / 2] == i);
		OK(cuMemFree(ptr[i]));
	}
}

enum { ROUNDS = 20000, HELD = 24 };

static void *churn(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	CUdeviceptr held[HELD] = { 0 };
	int failed = cuCtxSetCurrent(ctx) != CUDA_SUCCESS;

	for (int i = 0; i < ROUNDS; i++) {
		unsigned slot = (unsigned)rand_r(&seed) % HELD;

		if (held[slot])
			failed |= cuMemFree(held[slot]) != CUDA_SUCCESS;
		failed |= cuMemAlloc(&held[slot], (size_t)rand_r(&seed) % 9000 + 1) !=
			  CUDA_SUCCESS;
	}
	for (int i = 0; i < HELD; i++)
		failed |= cuMemFree(held[i]) != CUDA_SUCCESS;
	return (void *)(uintptr_t)failed;
}

static void threads_that_end_leave_nothing(void)
{
	size_t before = available();
	pthread_t threads[4];
	void *failed;

	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, churn, (void *)(i + 1));
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &failed);
		CU_ASSERT_PTR_NULL(failed);
	}
	CU_ASSERT_EQUAL(available(), before);
}

static void *free_all(void *arg)
{
	CUdeviceptr *ptr = arg;
	uintptr_t failed = cuCtxSetCurrent(ctx) != CUDA_SUCCESS;

	for (int i = 0; i < 200; i++)
		failed |= cuMemFree(ptr[i]) != CUDA_SUCCESS;
	return (void *)failed;
}

static void one_thread_may_free_what_another_allocated(void)
{
	size_t before = available();
	CUdeviceptr ptr[200];
	pthread_t thread;
	void *failed;

	for (int i = 0; i < 200; i++)
		OK(cuMemAlloc(&ptr[i], KIB(4)));
	pthread_create(&thread, NULL, free_all, ptr);
	pthread_join(thread, &failed);
	CU_ASSERT_PTR_NULL(failed);
	CU_ASSERT_EQUAL(available(), before);
}

static void pools_arrays_and_mappings_work_too(void)
{
	CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
				     .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } };
	CUmemAccessDesc access = { { CU_MEM_LOCATION_TYPE_DEVICE, 0 },
				   CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	CUDA_ARRAY_DESCRIPTOR desc = { 64, 4, CU_AD_FORMAT_FLOAT, 1 };
	CUmemGenericAllocationHandle handle;
	CUdeviceptr ptr, va;
	CUarray array;
	unsigned char out[256], in[256];
	size_t before = available();

	pattern(out, 256, 9);
	OK(cuMemAllocAsync(&ptr, 256, NULL));
	OK(cuMemcpyHtoD(ptr, out, 256));
	OK(cuArrayCreate(&array, &desc));
	OK(cuMemcpyDtoA(array, 256, ptr, 256));
	OK(cuMemcpyAtoH(in, array, 256, 256));
	CU_ASSERT(is_pattern(in, 256, 9));
	OK(cuMemFreeAsync(ptr, NULL));
	OK(cuArrayDestroy(array));
	OK(cuMemAddressReserve(&va, MIB(4), 0, 0, 0));
	OK(cuMemCreate(&handle, MIB(2), &prop, 0));
	OK(cuMemMap(va, MIB(2), 0, handle, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemsetD8(va, 1, 16));
	OK(cuMemSetAccess(va, MIB(2), &access, 1));
	OK(cuMemcpyHtoD(va, out, 256));
	OK(cuMemcpyDtoH(in, va, 256));
	CU_ASSERT(is_pattern(in, 256, 9));
	OK(cuMemUnmap(va, MIB(2)));
	OK(cuMemRelease(handle));
	OK(cuMemAddressFree(va, MIB(4)));
	OK(cuCtxSynchronize());
	CU_ASSERT_EQUAL(available(), before);
}

const struct unit_suite unit_suite = {
	.name = "memory in zero-cost mode",
	.init = begin,
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(bytes_arrive_and_ranges_are_checked),
		UNIT_TEST(only_a_live_base_address_can_be_freed),
		UNIT_TEST(memory_runs_out_and_comes_back),
		UNIT_TEST(a_context_takes_its_memory_along),
		UNIT_TEST(sizes_of_every_class_are_apart),
		UNIT_TEST(threads_that_end_leave_nothing),
		UNIT_TEST(one_thread_may_free_what_another_allocated),
		UNIT_TEST(pools_arrays_and_mappings_work_too),
	},
};
