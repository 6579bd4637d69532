/*
 * Filling memory in one and two dimensions ("Memory Management" in the CUDA Driver API
 * manual).
 */
#include <stdlib.h>

#include "memory_books.h"

static CUcontext ctx;

static void setup(void)
{
	ctx = gpu_context();
}

static void teardown(void)
{
	gpu_context_end(ctx);
}

static void elements_of_every_width_fill_exactly_their_range(void)
{
	unsigned char in[1024];
	uint16_t half;
	uint32_t word;
	CUdeviceptr ptr;

	OK(cuMemAlloc(&ptr, 1024));
	OK(cuMemsetD8(ptr, 0xaa, 1024));
	OK(cuMemsetD8(ptr + 1, 0x11, 3));
	OK(cuMemsetD16(ptr + 8, 0x2233, 5));
	OK(cuMemsetD32(ptr + 32, 0x44556677, 7));
	OK(cuMemsetD8Async(ptr + 100, 0x88, 1, NULL));
	OK(cuMemsetD16Async(ptr + 200, 0x99bb, 1, NULL));
	OK(cuMemsetD32Async(ptr + 300, 0xccddeeff, 1, NULL));
	OK(cuMemcpyDtoH(in, ptr, 1024));
	CU_ASSERT(in[0] == 0xaa && in[1] == 0x11 && in[3] == 0x11 && in[4] == 0xaa);
	memcpy(&half, in + 16, 2);
	CU_ASSERT(half == 0x2233 && in[18] == 0xaa && in[7] == 0xaa);
	memcpy(&word, in + 56, 4);
	CU_ASSERT(word == 0x44556677 && in[60] == 0xaa && in[31] == 0xaa);
	CU_ASSERT(in[100] == 0x88 && in[101] == 0xaa);
	memcpy(&half, in + 200, 2);
	CU_ASSERT(half == 0x99bb && in[202] == 0xaa);
	memcpy(&word, in + 300, 4);
	CU_ASSERT(word == 0xccddeeff && in[304] == 0xaa);
	OK(cuMemFree(ptr));
}

static void rows_are_filled_and_the_gaps_left_alone(void)
{
	enum { PITCH = 64, ROWS = 10 };
	unsigned char in[PITCH * ROWS];
	CUdeviceptr ptr;

	OK(cuMemAlloc(&ptr, sizeof(in)));
	OK(cuMemsetD8(ptr, 0xaa, sizeof(in)));
	OK(cuMemsetD2D8(ptr, PITCH, 1, 10, ROWS));
	OK(cuMemsetD2D16(ptr + 16, PITCH, 0x0202, 5, ROWS));
	OK(cuMemsetD2D32Async(ptr + 32, PITCH, 0x03030303, 4, ROWS, NULL));
	OK(cuMemcpyDtoH(in, ptr, sizeof(in)));
	for (int y = 0; y < ROWS; y++) {
		const unsigned char *row = in + y * PITCH;

		CU_ASSERT(row[0] == 1 && row[9] == 1 && row[10] == 0xaa);
		CU_ASSERT(row[16] == 2 && row[25] == 2 && row[26] == 0xaa);
		CU_ASSERT(row[32] == 3 && row[47] == 3 && row[48] == 0xaa);
	}
	OK(cuMemFree(ptr));
}

/* Large ranges are zeroed by pages; what lies beside them in the same page stays. */
static void zeroes_fill_large_ranges_to_the_byte(void)
{
	const size_t bytes = 8u << 20, from = 12345, count = (6u << 20) + 77;
	unsigned char *back = malloc(bytes);
	CUdeviceptr ptr;
	size_t i, wrong = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(back);
	OK(cuMemAlloc(&ptr, bytes));
	OK(cuMemsetD8(ptr, 0x5a, bytes));
	OK(cuMemsetD8(ptr + from, 0, count));
	OK(cuMemcpyDtoH(back, ptr, bytes));
	for (i = 0; i < bytes; i++)
		wrong += back[i] != (i - from < count ? 0 : 0x5a);
	CU_ASSERT_EQUAL(wrong, 0);
	OK(cuMemFree(ptr));
	free(back);
}

static void bad_ranges_and_alignments_are_refused(void)
{
	CUdeviceptr ptr;
	CUcontext popped;

	OK(cuMemAlloc(&ptr, 256));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemsetD8(ptr, 0, 257));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemsetD8(0, 0, 1));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemsetD16(ptr + 1, 0, 1));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemsetD32(ptr + 2, 0, 1));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemsetD32(ptr, 0, SIZE_MAX));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemsetD2D8(ptr, 15, 0, 16, 2));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemsetD2D8(ptr, 64, 0, 16, 5));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemsetD2D32(ptr, 66, 0, 4, 2));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemsetD2D8(ptr, SIZE_MAX / 2, 0, 1, 8));
	IS(CUDA_ERROR_INVALID_HANDLE, cuMemsetD8Async(ptr, 0, 1, (CUstream)&ptr));
	OK(cuMemsetD8(ptr, 0, 0));
	OK(cuMemsetD2D8(ptr, 0, 0, 16, 0));
	OK(cuMemsetD2D8(ptr, 64, 0, 64, 4));
	OK(cuCtxPopCurrent(&popped));
	IS(CUDA_ERROR_INVALID_CONTEXT, cuMemsetD8(ptr, 0, 1));
	OK(cuCtxPushCurrent(popped));
	OK(cuMemFree(ptr));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemsetD8(ptr, 0, 1));
	OK(cuCtxSynchronize());
}

static void pinned_and_registered_memory_is_filled_when_the_call_returns(void)
{
	static unsigned char mine[8192];
	unsigned char *host;
	void *mem;

	OK(cuMemAllocHost(&mem, 4096));
	host = mem;
	memset(host, 0, 4096);
	OK(cuMemsetD8((CUdeviceptr)(uintptr_t)host, 0x77, 4096));
	CU_ASSERT(host[0] == 0x77 && host[4095] == 0x77);
	OK(cuMemFreeHost(host));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemsetD8((CUdeviceptr)(uintptr_t)mine, 1, 16));
	OK(cuMemHostRegister(mine, sizeof(mine), 0));
	OK(cuMemsetD32((CUdeviceptr)(uintptr_t)mine, 0x01020304, 16));
	CU_ASSERT(mine[0] == 4 && mine[63] == 1 && mine[64] == 0);
	OK(cuMemHostUnregister(mine));
}

const struct unit_suite unit_suite = {
	.name = "memset",
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(elements_of_every_width_fill_exactly_their_range),
		UNIT_TEST(rows_are_filled_and_the_gaps_left_alone),
		UNIT_TEST(zeroes_fill_large_ranges_to_the_byte),
		UNIT_TEST(bad_ranges_and_alignments_are_refused),
		UNIT_TEST(pinned_and_registered_memory_is_filled_when_the_call_returns),
	},
};
