/*
 * Pinned and registered host memory ("Memory Management" in the CUDA Driver API manual).
 */
#include "memory_books.h"

#include <sys/mman.h>

static CUcontext ctx;

static void setup(void)
{
	ctx = gpu_context();
}

static void teardown(void)
{
	gpu_context_end(ctx);
}

static void pinned_memory_costs_no_device_memory(void)
{
	struct simgpu_device before, during;
	struct simgpu_bytes host_before = books_of(0, &before), host_during;
	void *a, *b;

	OK(cuMemAllocHost(&a, 10000));
	OK(cuMemHostAlloc(&b, MIB(3),
			  CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_WRITECOMBINED));
	host_during = books_of(0, &during);
	CU_ASSERT_EQUAL(during.used_bytes, before.used_bytes);
	CU_ASSERT_EQUAL(during.requested_bytes, before.requested_bytes);
	CU_ASSERT_EQUAL(host_during.host - host_before.host, 10000 + MIB(3));
	memset(a, 1, 10000);
	memset(b, 2, MIB(3));
	OK(cuMemFreeHost(a));
	OK(cuMemFreeHost(b));
	CU_ASSERT_EQUAL(books().host, host_before.host);
}

static void arguments_of_pinned_memory_are_checked(void)
{
	CUcontext popped;
	void *p;
	int here;
	CUdeviceptr device;

	IS(CUDA_ERROR_INVALID_VALUE, cuMemAllocHost(&p, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemAllocHost(NULL, 16));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemHostAlloc(&p, 16, 8));
	IS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAllocHost(&p, SIZE_MAX - 5));
	OK(cuMemAllocHost(&p, 5000));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFreeHost((char *)p + 4096));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFreeHost(&here));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFreeHost(NULL));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFree((CUdeviceptr)(uintptr_t)p));
	OK(cuMemAlloc(&device, 16));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFreeHost((void *)(uintptr_t)device));
	OK(cuMemFree(device));
	OK(cuMemFreeHost(p));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFreeHost(p));
	OK(cuCtxPopCurrent(&popped));
	IS(CUDA_ERROR_INVALID_CONTEXT, cuMemAllocHost(&p, 16));
	OK(cuCtxPushCurrent(popped));
}

static void device_pointers_and_flags_can_be_asked_for(void)
{
	CUdeviceptr device;
	unsigned flags;
	void *p;
	int here;

	OK(cuMemHostAlloc(&p, 100, CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_PORTABLE));
	OK(cuMemHostGetFlags(&flags, p));
	CU_ASSERT_EQUAL(flags, CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_PORTABLE);
	OK(cuMemHostGetDevicePointer(&device, (char *)p + 10, 0));
	CU_ASSERT_EQUAL(device, (CUdeviceptr)(uintptr_t)p + 10);
	IS(CUDA_ERROR_INVALID_VALUE, cuMemHostGetDevicePointer(&device, p, 1));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemHostGetDevicePointer(&device, &here, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemHostGetFlags(&flags, &here));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemHostGetFlags(NULL, p));
	OK(cuMemFreeHost(p));
}

static void registered_memory_is_used_in_stream_order(void)
{
	static unsigned char mine[3 * 65536];
	CUstream stream;
	CUdeviceptr ptr;
	struct gate gate;

	OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	OK(cuMemAlloc(&ptr, sizeof(mine) / 2));
	OK(cuMemHostRegister(mine, sizeof(mine), CU_MEMHOSTREGISTER_PORTABLE));
	gate = gate_close(stream);
	OK(cuMemcpyHtoDAsync(ptr, mine, sizeof(mine) / 2, stream));
	OK(cuMemcpyDtoHAsync(mine + sizeof(mine) / 2, ptr, sizeof(mine) / 2, stream));
	gate_open(&gate);
	OK(cuStreamSynchronize(stream));
	pattern(mine, sizeof(mine) / 2, 3);
	OK(cuMemcpyHtoDAsync(ptr, mine, sizeof(mine) / 2, stream));
	OK(cuMemcpyDtoHAsync(mine + sizeof(mine) / 2, ptr, sizeof(mine) / 2, stream));
	OK(cuStreamSynchronize(stream));
	CU_ASSERT(is_pattern(mine + sizeof(mine) / 2, sizeof(mine) / 2, 3));
	OK(cuMemHostUnregister(mine));
	gate_free(&gate);
	OK(cuMemFree(ptr));
	OK(cuStreamDestroy(stream));
}

static void registration_is_once_and_of_memory_that_exists(void)
{
	unsigned char *map = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CUdeviceptr device;
	unsigned flags;
	void *pinned;

	IS(CUDA_ERROR_INVALID_VALUE, cuMemHostRegister(NULL, 4096, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemHostRegister(map, 0, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemHostRegister(map, SIZE_MAX, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemHostRegister(map, 4096, 0x100));
	OK(cuMemHostRegister(map, 65536, CU_MEMHOSTREGISTER_DEVICEMAP));
	IS(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED,
	   cuMemHostRegister(map + 4096, 4096, 0));
	OK(cuMemHostGetDevicePointer(&device, map + 100, 0));
	CU_ASSERT_EQUAL(device, (CUdeviceptr)(uintptr_t)map + 100);
	OK(cuMemHostGetFlags(&flags, map));
	CU_ASSERT_EQUAL(flags, CU_MEMHOSTREGISTER_DEVICEMAP);
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFreeHost(map));
	IS(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, cuMemHostUnregister(map + 4096));
	OK(cuMemHostUnregister(map));
	IS(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, cuMemHostUnregister(map));
	OK(cuMemAllocHost(&pinned, 4096));
	IS(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, cuMemHostRegister(pinned, 4096, 0));
	OK(cuMemFreeHost(pinned));
	munmap(map, 65536);
	IS(CUDA_ERROR_INVALID_VALUE, cuMemHostRegister(map, 65536, 0));
}

static void a_context_takes_its_pinned_memory_along(void)
{
	struct simgpu_bytes before = books();
	CUcontext other;
	void *p;

	OK(cuCtxCreate(&other, NULL, 0, 0));
	OK(cuMemAllocHost(&p, MIB(1)));
	OK(cuCtxDestroy(other));
	CU_ASSERT_EQUAL(books().host, before.host);
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFreeHost(p));
}

const struct unit_suite unit_suite = {
	.name = "host memory",
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(pinned_memory_costs_no_device_memory),
		UNIT_TEST(arguments_of_pinned_memory_are_checked),
		UNIT_TEST(device_pointers_and_flags_can_be_asked_for),
		UNIT_TEST(registered_memory_is_used_in_stream_order),
		UNIT_TEST(registration_is_once_and_of_memory_that_exists),
		UNIT_TEST(a_context_takes_its_pinned_memory_along),
	},
};
