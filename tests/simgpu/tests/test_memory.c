/*
 * Linear memory: cuMemAlloc and its kin, frees, sizes and pointer attributes, against what
 * the CUDA Driver API manual promises ("Memory Management", "Unified Addressing").
 */
#include "memory_books.h"

#include <pthread.h>
#include <sched.h>

#define DEVICE_BYTES (1ull << 30)

static CUcontext ctx;

static int begin(void)
{
	setenv("SIMGPU_MEMORY", "1GiB", 1);
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

/* ---- sizes and addresses ---- */

static void zero_bytes_and_null_outputs_are_refused(void)
{
	CUdeviceptr ptr;
	size_t pitch;

	IS(CUDA_ERROR_INVALID_VALUE, cuMemAlloc(&ptr, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemAlloc(NULL, 16));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemAllocManaged(&ptr, 0, CU_MEM_ATTACH_GLOBAL));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemAllocPitch(&ptr, &pitch, 0, 4, 4));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemAllocPitch(&ptr, &pitch, 4, 0, 4));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemAllocPitch(&ptr, NULL, 4, 4, 4));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemGetInfo(NULL, NULL));
}

static void what_was_asked_for_is_counted_to_the_byte_and_given_back(void)
{
	static const size_t sizes[] = { 1,	    511,    512,    513,	KIB(100),
					MIB(1) - 1, MIB(1), MIB(3), MIB(17) + 5 };
	enum { COUNT = sizeof(sizes) / sizeof(sizes[0]) };
	CUdeviceptr ptr[COUNT];
	struct simgpu_bytes before = books(), during, after;
	uint64_t sum = 0;

	for (int i = 0; i < COUNT; i++) {
		OK(cuMemAlloc(&ptr[i], sizes[i]));
		sum += sizes[i];
	}
	during = books();
	CU_ASSERT_EQUAL(during.requested - before.requested, sum);
	CU_ASSERT_EQUAL(during.plain - before.plain, sum);
	CU_ASSERT_EQUAL(during.allocations - before.allocations, COUNT);
	CU_ASSERT(during.used - before.used >= sum);
	for (int i = 0; i < COUNT; i++)
		OK(cuMemFree(ptr[i]));
	after = books();
	CU_ASSERT_EQUAL(after.requested, before.requested);
	CU_ASSERT_EQUAL(after.used, before.used);
	CU_ASSERT_EQUAL(after.allocations, before.allocations);
}

static void allocations_are_aligned_and_apart(void)
{
	CUdeviceptr a, b, base;
	size_t bytes;

	OK(cuMemAlloc(&a, 700));
	OK(cuMemAlloc(&b, 700));
	CU_ASSERT_EQUAL(a % 512, 0);
	CU_ASSERT_EQUAL(b % 512, 0);
	CU_ASSERT(a + 700 <= b || b + 700 <= a);
	OK(cuMemGetAddressRange(&base, &bytes, a + 699));
	CU_ASSERT_EQUAL(base, a);
	CU_ASSERT_EQUAL(bytes, 700);
	OK(cuMemGetAddressRange(NULL, &bytes, b));
	OK(cuMemGetAddressRange(&base, NULL, b));
	IS(CUDA_ERROR_NOT_FOUND, cuMemGetAddressRange(&base, &bytes, 4096));
	OK(cuMemFree(a));
	IS(CUDA_ERROR_NOT_FOUND, cuMemGetAddressRange(&base, &bytes, a));
	OK(cuMemFree(b));
}

static void memory_runs_out_at_the_size_of_the_device_and_comes_back(void)
{
	CUdeviceptr ptr[64], extra;
	size_t avail, total, again;
	unsigned count = 0;

	OK(cuMemGetInfo(&avail, &total));
	CU_ASSERT_EQUAL(total, DEVICE_BYTES);
	CU_ASSERT(avail < total);
	while (count < 64 && cuMemAlloc(&ptr[count], MIB(64)) == CUDA_SUCCESS)
		count++;
	CU_ASSERT_EQUAL(count, avail / MIB(64));
	IS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc(&extra, MIB(64)));
	OK(cuMemGetInfo(&again, &total));
	CU_ASSERT_EQUAL(again, avail - count * MIB(64));
	while (count > 0)
		OK(cuMemFree(ptr[--count]));
	OK(cuMemGetInfo(&again, &total));
	CU_ASSERT_EQUAL(again, avail);
}

static void absurd_sizes_are_out_of_memory(void)
{
	CUdeviceptr ptr;
	size_t pitch;

	IS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc(&ptr, DEVICE_BYTES + 1));
	IS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc(&ptr, SIZE_MAX));
	IS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc(&ptr, SIZE_MAX - 4095));
	IS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAllocPitch(&ptr, &pitch, SIZE_MAX, 1, 4));
	IS(CUDA_ERROR_OUT_OF_MEMORY,
	   cuMemAllocPitch(&ptr, &pitch, 1 << 20, SIZE_MAX / 2, 4));
	IS(CUDA_ERROR_OUT_OF_MEMORY,
	   cuMemAllocManaged(&ptr, SIZE_MAX, CU_MEM_ATTACH_GLOBAL));
}

static void pitch_is_enough_and_charged_as_returned(void)
{
	struct simgpu_bytes before = books();
	CUdeviceptr ptr;
	size_t pitch;

	OK(cuMemAllocPitch(&ptr, &pitch, 1000, 33, 4));
	CU_ASSERT(pitch >= 1000 && pitch % 512 == 0);
	CU_ASSERT_EQUAL(books().requested - before.requested, pitch * 33);
	OK(cuMemFree(ptr));
	for (unsigned element = 0; element < 33; element++) {
		if (element == 4 || element == 8 || element == 16)
			continue;
		IS(CUDA_ERROR_INVALID_VALUE,
		   cuMemAllocPitch(&ptr, &pitch, 64, 4, element));
	}
}

/* ---- frees ---- */

static void only_a_live_base_address_can_be_freed(void)
{
	CUdeviceptr ptr;
	int here = 0;

	OK(cuMemAlloc(&ptr, KIB(64)));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFree(ptr + 512));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFree((CUdeviceptr)(uintptr_t)&here));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFree(1));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFree(UINT64_MAX));
	OK(cuMemFree(ptr));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFree(ptr));
	OK(cuMemFree(0));
}

static void nothing_works_without_a_context(void)
{
	CUcontext popped;
	CUdeviceptr ptr = 0;
	size_t a, b;

	OK(cuCtxPopCurrent(&popped));
	IS(CUDA_ERROR_INVALID_CONTEXT, cuMemAlloc(&ptr, 16));
	IS(CUDA_ERROR_INVALID_CONTEXT, cuMemFree(ptr));
	IS(CUDA_ERROR_INVALID_CONTEXT, cuMemGetInfo(&a, &b));
	IS(CUDA_ERROR_INVALID_CONTEXT, cuMemAllocManaged(&ptr, 16, CU_MEM_ATTACH_GLOBAL));
	OK(cuCtxPushCurrent(popped));
}

static void a_context_takes_its_memory_along_and_no_other(void)
{
	CUcontext other;
	CUdeviceptr mine, theirs, managed;
	struct simgpu_bytes before = books();

	OK(cuMemAlloc(&mine, MIB(2)));
	OK(cuCtxCreate(&other, NULL, 0, 0));
	OK(cuMemAlloc(&theirs, MIB(4)));
	OK(cuMemAlloc(&managed, 100));
	OK(cuMemAllocManaged(&managed, MIB(1), CU_MEM_ATTACH_GLOBAL));
	OK(cuCtxDestroy(other));
	CU_ASSERT_EQUAL(books().requested - before.requested, MIB(2));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFree(theirs));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemsetD8(theirs, 0, 16));
	OK(cuMemsetD8(mine, 0, MIB(2)));
	OK(cuMemFree(mine));
}

static _Atomic int freed;

static void *free_in_thread(void *arg)
{
	CU_ASSERT_EQUAL(cuCtxSetCurrent(ctx), CUDA_SUCCESS);
	CU_ASSERT_EQUAL(cuMemFree(*(CUdeviceptr *)arg), CUDA_SUCCESS);
	freed = 1;
	return NULL;
}

static void a_free_waits_for_the_work_of_its_context(void)
{
	CUstream stream;
	CUdeviceptr ptr;
	struct gate gate;
	pthread_t thread;

	OK(cuMemAlloc(&ptr, MIB(1)));
	OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	gate = gate_close(stream);
	OK(cuMemsetD8Async(ptr, 1, MIB(1), stream));
	freed = 0;
	pthread_create(&thread, NULL, free_in_thread, &ptr);
	for (int i = 0; i < 1000; i++)
		sched_yield();
	CU_ASSERT_EQUAL(freed, 0);
	gate_open(&gate);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(freed, 1);
	IS(CUDA_SUCCESS, cuStreamQuery(stream));
	gate_free(&gate);
	OK(cuStreamDestroy(stream));
}

enum { ROUNDS = 400, HELD = 16 };

static void *churn(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	CUdeviceptr held[HELD] = { 0 };
	int failed = cuCtxSetCurrent(ctx) != CUDA_SUCCESS;

	for (int i = 0; i < ROUNDS; i++) {
		unsigned slot = (unsigned)rand_r(&seed) % HELD;
		size_t bytes = (size_t)rand_r(&seed) %
				       (rand_r(&seed) % 4 ? 5000 : MIB(3)) +
			       1;

		if (held[slot])
			failed |= cuMemFree(held[slot]) != CUDA_SUCCESS;
		failed |= cuMemAlloc(&held[slot], bytes) != CUDA_SUCCESS;
	}
	for (int i = 0; i < HELD; i++)
		failed |= cuMemFree(held[i]) != CUDA_SUCCESS;
	return (void *)(uintptr_t)failed;
}

static void threads_that_allocate_and_free_leave_nothing(void)
{
	struct simgpu_bytes before = books(), after;
	pthread_t threads[4];
	void *failed;

	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, churn, (void *)(i + 1));
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &failed);
		CU_ASSERT_PTR_NULL(failed);
	}
	after = books();
	CU_ASSERT_EQUAL(after.requested, before.requested);
	CU_ASSERT_EQUAL(after.used, before.used);
	CU_ASSERT_EQUAL(after.allocations, before.allocations);
}

/* ---- managed memory ---- */

static void host_and_device_share_managed_memory(void)
{
	struct simgpu_bytes before = books();
	CUdeviceptr ptr, copy;
	unsigned char *host;

	OK(cuMemAllocManaged(&ptr, 3000, CU_MEM_ATTACH_GLOBAL));
	host = (unsigned char *)(uintptr_t)ptr;
	CU_ASSERT_EQUAL(books().managed - before.managed, 3000);
	OK(cuMemsetD8(ptr, 0x5a, 3000));
	CU_ASSERT(host[0] == 0x5a && host[2999] == 0x5a);
	pattern(host, 3000, 1);
	OK(cuMemAlloc(&copy, 3000));
	OK(cuMemcpyDtoD(copy, ptr, 3000));
	memset(host, 0, 3000);
	OK(cuMemcpyDtoD(ptr, copy, 3000));
	OK(cuCtxSynchronize());
	CU_ASSERT(is_pattern(host, 3000, 1));
	OK(cuMemFree(copy));
	OK(cuMemFree(ptr));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemAllocManaged(&ptr, 16, CU_MEM_ATTACH_SINGLE));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemAllocManaged(&ptr, 16, 0));
	OK(cuMemAllocManaged(&ptr, 16, CU_MEM_ATTACH_HOST));
	OK(cuMemFree(ptr));
}

static void advice_and_prefetches_are_remembered(void)
{
	CUmemLocation gpu = { CU_MEM_LOCATION_TYPE_DEVICE, 0 };
	CUmemLocation host = { CU_MEM_LOCATION_TYPE_HOST, 0 };
	CUmemLocation none = { CU_MEM_LOCATION_TYPE_DEVICE, 77 };
	CUdeviceptr ptr, plain;
	int value, list[3];

	OK(cuMemAllocManaged(&ptr, KIB(64), CU_MEM_ATTACH_GLOBAL));
	OK(cuMemAlloc(&plain, KIB(64)));
	OK(cuMemRangeGetAttribute(&value, 4, CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION,
				  ptr, KIB(64)));
	CU_ASSERT_EQUAL(value, CU_DEVICE_INVALID);
	OK(cuMemAdvise(ptr, KIB(64), CU_MEM_ADVISE_SET_PREFERRED_LOCATION, gpu));
	OK(cuMemAdvise(ptr, KIB(64), CU_MEM_ADVISE_SET_READ_MOSTLY, none));
	OK(cuMemAdvise(ptr, KIB(64), CU_MEM_ADVISE_SET_ACCESSED_BY, gpu));
	OK(cuMemPrefetchAsync(ptr, KIB(64), host, 0, NULL));
	OK(cuMemRangeGetAttribute(&value, 4, CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION,
				  ptr, 16));
	CU_ASSERT_EQUAL(value, 0);
	OK(cuMemRangeGetAttribute(&value, 4, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, ptr,
				  16));
	CU_ASSERT_EQUAL(value, 1);
	OK(cuMemRangeGetAttribute(
		&value, 4, CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, ptr, 16));
	CU_ASSERT_EQUAL(value, CU_DEVICE_CPU);
	OK(cuMemRangeGetAttribute(list, sizeof(list), CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY,
				  ptr, 16));
	CU_ASSERT(list[0] == 0 && list[1] == CU_DEVICE_INVALID);
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuMemAdvise(plain, KIB(64), CU_MEM_ADVISE_SET_READ_MOSTLY, gpu));
	IS(CUDA_ERROR_INVALID_DEVICE,
	   cuMemAdvise(ptr, KIB(64), CU_MEM_ADVISE_SET_PREFERRED_LOCATION, none));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuMemAdvise(ptr, KIB(65), CU_MEM_ADVISE_SET_READ_MOSTLY, gpu));
	IS(CUDA_ERROR_INVALID_DEVICE, cuMemPrefetchAsync(ptr, KIB(64), none, 0, NULL));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemPrefetchAsync(plain, KIB(64), gpu, 0, NULL));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuMemRangeGetAttribute(&value, 3, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, ptr,
				  16));
	OK(cuMemFree(ptr));
	OK(cuMemFree(plain));
}

/* ---- what a pointer is ---- */

static void pointers_know_what_they_are(void)
{
	CUdeviceptr plain, managed, base;
	CUcontext owner;
	unsigned type, is_managed, mapped;
	unsigned long long id, other;
	size_t bytes;
	void *host;
	int local, ordinal;

	OK(cuMemAlloc(&plain, 5000));
	OK(cuMemAllocManaged(&managed, 5000, CU_MEM_ATTACH_GLOBAL));
	OK(cuMemAllocHost(&host, 5000));
	OK(cuPointerGetAttribute(&owner, CU_POINTER_ATTRIBUTE_CONTEXT, plain + 4999));
	CU_ASSERT_PTR_EQUAL(owner, ctx);
	OK(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, plain));
	CU_ASSERT_EQUAL(type, CU_MEMORYTYPE_DEVICE);
	OK(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
				 (CUdeviceptr)(uintptr_t)host));
	CU_ASSERT_EQUAL(type, CU_MEMORYTYPE_HOST);
	OK(cuPointerGetAttribute(&is_managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, managed));
	CU_ASSERT_EQUAL(is_managed, 1);
	OK(cuPointerGetAttribute(&is_managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, plain));
	CU_ASSERT_EQUAL(is_managed, 0);
	OK(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, plain));
	CU_ASSERT_EQUAL(ordinal, 0);
	OK(cuPointerGetAttribute(&base, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR,
				 plain + 77));
	CU_ASSERT_EQUAL(base, plain);
	OK(cuPointerGetAttribute(&bytes, CU_POINTER_ATTRIBUTE_RANGE_SIZE, plain + 77));
	CU_ASSERT_EQUAL(bytes, 5000);
	OK(cuPointerGetAttribute(&mapped, CU_POINTER_ATTRIBUTE_MAPPED, plain));
	CU_ASSERT_EQUAL(mapped, 1);
	OK(cuPointerGetAttribute(&id, CU_POINTER_ATTRIBUTE_BUFFER_ID, plain));
	OK(cuPointerGetAttribute(&other, CU_POINTER_ATTRIBUTE_BUFFER_ID, managed));
	CU_ASSERT_NOT_EQUAL(id, other);
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuPointerGetAttribute(&owner, CU_POINTER_ATTRIBUTE_HOST_POINTER, plain));
	OK(cuPointerGetAttribute(&base, CU_POINTER_ATTRIBUTE_HOST_POINTER, managed));
	CU_ASSERT_EQUAL(base, managed);
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
				 (CUdeviceptr)(uintptr_t)&local));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuPointerGetAttribute(NULL, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, plain));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuPointerGetAttribute(&type, (CUpointer_attribute)999, plain));
	OK(cuMemFreeHost(host));
	OK(cuMemFree(managed));
	OK(cuMemFree(plain));
}

static void asking_for_several_attributes_never_fails_on_strange_addresses(void)
{
	CUpointer_attribute which[] = { CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
					CU_POINTER_ATTRIBUTE_CONTEXT,
					CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL };
	unsigned type = 7;
	CUcontext owner = ctx;
	int ordinal = 7, local = 0;
	void *data[] = { &type, &owner, &ordinal };
	CUdeviceptr ptr;

	OK(cuPointerGetAttributes(3, which, data, (CUdeviceptr)(uintptr_t)&local));
	CU_ASSERT_EQUAL(type, 0);
	CU_ASSERT_PTR_NULL(owner);
	CU_ASSERT_EQUAL(ordinal, CU_DEVICE_INVALID);
	OK(cuMemAlloc(&ptr, 16));
	OK(cuPointerGetAttributes(3, which, data, ptr));
	CU_ASSERT_EQUAL(type, CU_MEMORYTYPE_DEVICE);
	CU_ASSERT_PTR_EQUAL(owner, ctx);
	CU_ASSERT_EQUAL(ordinal, 0);
	OK(cuMemFree(ptr));
	IS(CUDA_ERROR_INVALID_VALUE, cuPointerGetAttributes(0, which, data, ptr));
	IS(CUDA_ERROR_INVALID_VALUE, cuPointerGetAttributes(3, NULL, data, ptr));
}

static void there_is_no_dma_buf_to_any_range(void)
{
	const CUmemRangeHandleType dma_buf = CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD;
	int supported = 1, fd = -2;
	CUdeviceptr ptr;

	OK(cuDeviceGetAttribute(&supported, CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED, 0));
	CU_ASSERT_EQUAL(supported, 0);
	OK(cuMemAlloc(&ptr, MIB(2)));
	IS(CUDA_ERROR_NOT_SUPPORTED,
	   cuMemGetHandleForAddressRange(&fd, ptr, MIB(2), dma_buf, 0));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuMemGetHandleForAddressRange(NULL, ptr, MIB(2), dma_buf, 0));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuMemGetHandleForAddressRange(&fd, ptr + 512, MIB(1), dma_buf, 0));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuMemGetHandleForAddressRange(&fd, ptr, 1000, dma_buf, 0));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuMemGetHandleForAddressRange(&fd, ptr, MIB(2) + 4096, dma_buf, 0));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuMemGetHandleForAddressRange(&fd, ptr, MIB(2), dma_buf, 2));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuMemGetHandleForAddressRange(&fd, ptr, MIB(2), (CUmemRangeHandleType)0, 0));
	CU_ASSERT_EQUAL(fd, -2);
	OK(cuMemFree(ptr));
}

const struct unit_suite unit_suite = {
	.name = "linear memory",
	.init = begin,
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(zero_bytes_and_null_outputs_are_refused),
		UNIT_TEST(what_was_asked_for_is_counted_to_the_byte_and_given_back),
		UNIT_TEST(allocations_are_aligned_and_apart),
		UNIT_TEST(memory_runs_out_at_the_size_of_the_device_and_comes_back),
		UNIT_TEST(absurd_sizes_are_out_of_memory),
		UNIT_TEST(pitch_is_enough_and_charged_as_returned),
		UNIT_TEST(only_a_live_base_address_can_be_freed),
		UNIT_TEST(nothing_works_without_a_context),
		UNIT_TEST(a_context_takes_its_memory_along_and_no_other),
		UNIT_TEST(a_free_waits_for_the_work_of_its_context),
		UNIT_TEST(threads_that_allocate_and_free_leave_nothing),
		UNIT_TEST(host_and_device_share_managed_memory),
		UNIT_TEST(advice_and_prefetches_are_remembered),
		UNIT_TEST(pointers_know_what_they_are),
		UNIT_TEST(asking_for_several_attributes_never_fails_on_strange_addresses),
		UNIT_TEST(there_is_no_dma_buf_to_any_range),
	},
};
