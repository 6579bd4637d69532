/*
 * test_memop.c - stream memory operations, against the CUDA driver API manual ("Stream
 * Memory Operations").
 */
#include <stdbool.h>
#include <string.h>

#include "code_kernels.h"

/* The versions that cuda.h renames, and the per-thread twins. */
CUresult cuStreamWaitValue32_v2_ptsz(CUstream s, CUdeviceptr at, cuuint32_t v,
				     unsigned f);
CUresult cuStreamWaitValue64_v2_ptsz(CUstream s, CUdeviceptr at, cuuint64_t v,
				     unsigned f);
CUresult cuStreamWriteValue32_v2_ptsz(CUstream s, CUdeviceptr at, cuuint32_t v,
				      unsigned f);
CUresult cuStreamWriteValue64_v2_ptsz(CUstream s, CUdeviceptr at, cuuint64_t v,
				      unsigned f);
CUresult cuStreamBatchMemOp_v2_ptsz(CUstream s, unsigned n, CUstreamBatchMemOpParams *ops,
				    unsigned f);
CUresult cuStreamWaitValue32_ptsz(CUstream s, CUdeviceptr at, cuuint32_t v, unsigned f);
CUresult cuStreamWaitValue64_ptsz(CUstream s, CUdeviceptr at, cuuint64_t v, unsigned f);
CUresult cuStreamWriteValue32_ptsz(CUstream s, CUdeviceptr at, cuuint32_t v, unsigned f);
CUresult cuStreamWriteValue64_ptsz(CUstream s, CUdeviceptr at, cuuint64_t v, unsigned f);
CUresult cuStreamBatchMemOp_ptsz(CUstream s, unsigned n, CUstreamBatchMemOpParams *ops,
				 unsigned f);

enum { PINNED_WORDS = 64 };

static CUcontext ctx;
static CUmodule module;
static CUfunction fill, spin_word;
static CUstream a, b;
static CUdeviceptr memory; /* on the device */
static uint32_t *pinned;

static int open_all(void)
{
	if (code_open(&ctx) != 0 || cuModuleLoadData(&module, PTX_ALL) != CUDA_SUCCESS ||
	    cuStreamCreate(&a, CU_STREAM_NON_BLOCKING) != CUDA_SUCCESS ||
	    cuStreamCreate(&b, CU_STREAM_NON_BLOCKING) != CUDA_SUCCESS ||
	    cuMemAlloc(&memory, 4096) != CUDA_SUCCESS ||
	    cuMemHostAlloc((void **)&pinned, PINNED_WORDS * sizeof(*pinned), 0) !=
		    CUDA_SUCCESS)
		return -1;
	fill = code_function(module, "gpushim_fill_u32");
	spin_word = code_function(module, "gpushim_spin_word");
	return 0;
}

static int close_all(void)
{
	return cuDevicePrimaryCtxRelease(0) == CUDA_SUCCESS ? 0 : -1;
}

static void clear(void)
{
	memset(pinned, 0, PINNED_WORDS * sizeof(*pinned));
	cuMemsetD8(memory, 0, 4096);
	cuCtxSynchronize(); /* memsets of device memory are asynchronous */
}

static uint32_t on_device(unsigned i)
{
	uint32_t value = 0xdead;

	OK(cuMemcpyDtoH(&value, memory + i * sizeof(value), sizeof(value)));
	return value;
}

/* ---- waiting ---- */

static void a_stream_waits_for_a_word_that_the_host_writes(void)
{
	OK(cuStreamWaitValue32(a, code_address(pinned), 5, CU_STREAM_WAIT_VALUE_EQ));
	OK(code_fill(fill, a, code_address(pinned + 1), 1, 1));
	IS(CUDA_ERROR_NOT_READY, cuStreamQuery(a));
	code_store(pinned, 4);
	IS(CUDA_ERROR_NOT_READY, cuStreamQuery(a));
	CU_ASSERT_EQUAL(code_load(pinned + 1), 0);
	code_store(pinned, 5);
	OK(cuStreamSynchronize(a));
	CU_ASSERT_EQUAL(code_load(pinned + 1), 1);
}

static void a_stream_waits_for_what_another_writes_later(void)
{
	OK(cuStreamWaitValue32(a, memory, 1, CU_STREAM_WAIT_VALUE_GEQ));
	OK(cuStreamWriteValue32(a, memory + 4, 10, 0));
	OK(cuStreamWaitValue32(b, memory + 4, 10, CU_STREAM_WAIT_VALUE_EQ));
	OK(cuStreamWriteValue32(b, memory + 8, 20, 0));
	IS(CUDA_ERROR_NOT_READY, cuStreamQuery(b));
	OK(cuStreamWriteValue32(CU_STREAM_PER_THREAD, memory, 1, 0));
	OK(cuStreamSynchronize(b));
	CU_ASSERT_EQUAL(on_device(2), 20);
}

static void a_stream_that_waits_occupies_no_multiprocessor(void)
{
	OK(cuStreamWaitValue32(a, memory, 1, CU_STREAM_WAIT_VALUE_EQ));
	OK(code_fill(fill, b, memory, 1, 1));
	OK(cuStreamSynchronize(b));
	OK(cuStreamSynchronize(a));
}

static void conditions_hold_as_documented(void)
{
	static const struct {
		unsigned flags;
		uint64_t word, value;
		bool holds32, holds64;
	} cases[] = {
		{ CU_STREAM_WAIT_VALUE_GEQ, 5, 5, true, true },
		{ CU_STREAM_WAIT_VALUE_GEQ, 6, 5, true, true },
		{ CU_STREAM_WAIT_VALUE_GEQ, 4, 5, false, false },
		/* cyclic: a counter that has wrapped is ahead */
		{ CU_STREAM_WAIT_VALUE_GEQ, 1, 0xffffffff, true, false },
		{ CU_STREAM_WAIT_VALUE_GEQ, 1, UINT64_MAX, true, true },
		{ CU_STREAM_WAIT_VALUE_EQ, 7, 7, true, true },
		{ CU_STREAM_WAIT_VALUE_EQ, 7, 8, false, false },
		{ CU_STREAM_WAIT_VALUE_AND, 6, 3, true, true },
		{ CU_STREAM_WAIT_VALUE_AND, 4, 3, false, false },
		{ CU_STREAM_WAIT_VALUE_NOR, 1, 2, true, true },
		{ CU_STREAM_WAIT_VALUE_NOR, 0xfffffffe, 1, false, true },
		{ CU_STREAM_WAIT_VALUE_NOR, UINT64_MAX, 0, false, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CUresult expected32 = cases[i].holds32 ? CUDA_SUCCESS
						       : CUDA_ERROR_NOT_READY;
		CUresult expected64 = cases[i].holds64 ? CUDA_SUCCESS
						       : CUDA_ERROR_NOT_READY;

		OK(cuStreamWriteValue64(a, memory, cases[i].word, 0));
		OK(cuStreamSynchronize(a));
		OK(cuStreamWaitValue32(a, memory, (uint32_t)cases[i].value,
				       cases[i].flags));
		OK(cuStreamWaitValue64(b, memory, cases[i].value, cases[i].flags));
		/* What holds is over at once, */
		if (cases[i].holds32)
			OK(cuStreamSynchronize(a));
		if (cases[i].holds64)
			OK(cuStreamSynchronize(b));
		/* and what does not has been looked at by the time that later work is done */
		OK(cuStreamWriteValue32(CU_STREAM_PER_THREAD, memory + 64, 1, 0));
		OK(cuStreamSynchronize(CU_STREAM_PER_THREAD));
		IS(expected32, cuStreamQuery(a));
		IS(expected64, cuStreamQuery(b));
		/* Whatever is still waited for comes true with one of these two. */
		OK(cuMemcpyHtoD(memory, &cases[i].value, sizeof(cases[i].value)));
		if (cases[i].flags == CU_STREAM_WAIT_VALUE_NOR)
			OK(cuMemsetD8(memory, 0, 8));
		OK(cuCtxSynchronize());
	}
}

/* ---- writing ---- */

static void a_write_comes_after_the_work_before_it(void)
{
	OK(code_spin_word(spin_word, a, code_address(pinned), 1));
	OK(cuStreamWriteValue32(a, code_address(pinned + 1), 77, 0));
	OK(cuStreamWriteValue64(a, code_address(pinned + 2), 0x123456789abcdefull,
				CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER));
	IS(CUDA_ERROR_NOT_READY, cuStreamQuery(a));
	CU_ASSERT_EQUAL(code_load(pinned + 1), 0);
	code_store(pinned, 1);
	OK(cuStreamSynchronize(a));
	CU_ASSERT_EQUAL(code_load(pinned + 1), 77);
	CU_ASSERT_EQUAL(code_load(pinned + 2), 0x89abcdef);
	CU_ASSERT_EQUAL(code_load(pinned + 3), 0x1234567);
}

static void a_write_of_32_bits_leaves_the_next_word_alone(void)
{
	OK(cuMemsetD8(memory, 0xee, 16));
	OK(cuCtxSynchronize());
	OK(cuStreamWriteValue32(a, memory + 4, 0, 0));
	OK(cuStreamSynchronize(a));
	CU_ASSERT_EQUAL(on_device(0), 0xeeeeeeee);
	CU_ASSERT_EQUAL(on_device(1), 0);
	CU_ASSERT_EQUAL(on_device(2), 0xeeeeeeee);
}

static void registered_memory_of_the_program_can_be_waited_for(void)
{
	static _Alignas(4096) uint32_t page[1024];
	CUdeviceptr at = 0;

	page[0] = page[1] = 0;
	OK(cuMemHostRegister(page, sizeof(page), CU_MEMHOSTREGISTER_DEVICEMAP));
	OK(cuMemHostGetDevicePointer(&at, page, 0));
	OK(cuStreamWaitValue32(a, at, 9, CU_STREAM_WAIT_VALUE_EQ));
	OK(cuStreamWriteValue32(a, at + 4, 10, 0));
	IS(CUDA_ERROR_NOT_READY, cuStreamQuery(a));
	code_store(page, 9);
	OK(cuStreamSynchronize(a));
	CU_ASSERT_EQUAL(code_load(page + 1), 10);
	OK(cuMemHostUnregister(page));
}

/* ---- batches ---- */

static CUstreamBatchMemOpParams operation(CUstreamBatchMemOpType type, CUdeviceptr at,
					  uint64_t value, unsigned flags)
{
	CUstreamBatchMemOpParams op;

	memset(&op, 0, sizeof(op));
	op.operation = type;
	op.waitValue.address = at;
	op.waitValue.value64 = value;
	op.waitValue.flags = flags;
	return op;
}

static void a_batch_is_done_in_its_order(void)
{
	CUstreamBatchMemOpParams ops[5] = {
		operation(CU_STREAM_MEM_OP_WRITE_VALUE_32, memory, 3, 0),
		operation(CU_STREAM_MEM_OP_WAIT_VALUE_32, memory, 3,
			  CU_STREAM_WAIT_VALUE_EQ),
		operation(CU_STREAM_MEM_OP_WRITE_VALUE_64, memory, 0x700000004ull, 0),
		operation(CU_STREAM_MEM_OP_WAIT_VALUE_64, memory, 0x700000004ull,
			  CU_STREAM_WAIT_VALUE_EQ),
	};

	ops[4].operation = CU_STREAM_MEM_OP_BARRIER;
	ops[4].memoryBarrier.flags = CU_STREAM_MEMORY_BARRIER_TYPE_GPU;
	OK(cuStreamBatchMemOp(a, 5, ops, 0));
	OK(cuStreamSynchronize(a));
	CU_ASSERT_EQUAL(on_device(0), 4);
	CU_ASSERT_EQUAL(on_device(1), 7);
	OK(cuStreamBatchMemOp(a, 0, NULL, 0));
}

static void a_batch_with_one_wrong_operation_does_nothing(void)
{
	CUstreamBatchMemOpParams ops[256] = {
		operation(CU_STREAM_MEM_OP_WRITE_VALUE_32, memory, 3, 0),
		operation((CUstreamBatchMemOpType)99, memory, 3, 0),
	};

	IS(CUDA_ERROR_INVALID_VALUE, cuStreamBatchMemOp(a, 2, ops, 0));
	ops[1].operation = CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES;
	IS(CUDA_ERROR_NOT_SUPPORTED, cuStreamBatchMemOp(a, 2, ops, 0));
	ops[1] = operation(CU_STREAM_MEM_OP_WRITE_VALUE_64, memory + 4, 1, 0);
	IS(CUDA_ERROR_INVALID_VALUE, cuStreamBatchMemOp(a, 2, ops, 0));
	OK(cuStreamSynchronize(a));
	CU_ASSERT_EQUAL(on_device(0), 0);
	IS(CUDA_ERROR_INVALID_VALUE, cuStreamBatchMemOp(a, 1, NULL, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuStreamBatchMemOp(a, 1, ops, 1));
}

static void a_batch_holds_less_than_256_operations(void)
{
	CUstreamBatchMemOpParams ops[256];

	for (unsigned i = 0; i < 256; i++)
		ops[i] = operation(CU_STREAM_MEM_OP_WRITE_VALUE_32, memory, i, 0);
	IS(CUDA_ERROR_INVALID_VALUE, cuStreamBatchMemOp(a, 256, ops, 0));
	OK(cuStreamBatchMemOp(a, 255, ops, 0));
	OK(cuStreamBatchMemOp(a, 0, NULL, 0));
	OK(cuStreamSynchronize(a));
	CU_ASSERT_EQUAL(on_device(0), 254);
}

static void captured_operations_are_done_by_the_graph(void)
{
	CUstreamBatchMemOpParams op = operation(CU_STREAM_MEM_OP_WRITE_VALUE_32,
						memory + 4, 2, 0);
	CUgraphExec exec = NULL;
	CUgraph graph = NULL;

	OK(cuStreamBeginCapture(a, CU_STREAM_CAPTURE_MODE_GLOBAL));
	OK(cuStreamWaitValue32(a, code_address(pinned), 1, CU_STREAM_WAIT_VALUE_EQ));
	OK(cuStreamWriteValue32(a, memory, 1, 0));
	OK(cuStreamBatchMemOp(a, 1, &op, 0));
	OK(cuStreamEndCapture(a, &graph));
	OK(cuGraphInstantiate(&exec, graph, 0));
	OK(cuGraphLaunch(exec, a));
	IS(CUDA_ERROR_NOT_READY, cuStreamQuery(a));
	code_store(pinned, 1);
	OK(cuStreamSynchronize(a));
	CU_ASSERT_EQUAL(on_device(0), 1);
	CU_ASSERT_EQUAL(on_device(1), 2);
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(graph));
}

/* ---- what is refused ---- */

static void words_lie_aligned_in_memory_of_the_device(void)
{
	CUdeviceptr freed = 0, managed = 0;
	uint32_t local = 0;

	IS(CUDA_ERROR_INVALID_VALUE, cuStreamWriteValue32(a, memory + 2, 1, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuStreamWriteValue64(a, memory + 4, 1, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuStreamWaitValue64(a, memory + 4, 1, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuStreamWaitValue32(a, 0, 0, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuStreamWriteValue32(a, code_address(&local), 0, 0));
	OK(cuMemAlloc(&freed, 4096));
	OK(cuMemFree(freed));
	IS(CUDA_ERROR_INVALID_VALUE, cuStreamWriteValue32(a, freed, 0, 0));
	OK(cuMemAllocManaged(&managed, 4096, CU_MEM_ATTACH_GLOBAL));
	IS(CUDA_ERROR_INVALID_VALUE, cuStreamWaitValue32(a, managed, 0, 0));
	OK(cuMemFree(managed));
}

static void flags_and_streams_are_checked(void)
{
	CUstream invented = (CUstream)(uintptr_t)0xabcdef0;

	IS(CUDA_ERROR_INVALID_VALUE, cuStreamWaitValue32(a, memory, 0, 4));
	IS(CUDA_ERROR_INVALID_VALUE, cuStreamWriteValue32(a, memory, 0, 2));
	IS(CUDA_ERROR_NOT_SUPPORTED,
	   cuStreamWaitValue32(a, memory, 0, CU_STREAM_WAIT_VALUE_FLUSH));
	IS(CUDA_ERROR_INVALID_HANDLE, cuStreamWaitValue32(invented, memory, 0, 0));
	IS(CUDA_ERROR_INVALID_HANDLE, cuStreamBatchMemOp(invented, 0, NULL, 0));
	OK(cuStreamSynchronize(a));
}

static void twins_use_the_stream_of_the_thread(void)
{
	CUstreamBatchMemOpParams op = operation(CU_STREAM_MEM_OP_WRITE_VALUE_32,
						memory + 32, 6, 0);

	/* The legacy stream stands still meanwhile. */
	OK(cuStreamWaitValue32(CU_STREAM_LEGACY, code_address(pinned), 1, 0));
	OK(cuStreamWaitValue32_v2_ptsz(a, memory, 0, 0));
	OK(cuStreamWriteValue32_ptsz(a, memory, 1, 0));
	OK(cuStreamWriteValue64_ptsz(a, memory + 8, 2, 0));
	OK(cuStreamWaitValue32_ptsz(a, memory, 1, 0));
	OK(cuStreamWaitValue64_ptsz(a, memory + 8, 2, 0));
	OK(cuStreamWriteValue32_v2_ptsz(a, memory + 16, 3, 0));
	OK(cuStreamWriteValue64_v2_ptsz(a, memory + 24, 4, 0));
	OK(cuStreamWaitValue64_v2_ptsz(a, memory + 24, 4, 0));
	OK(cuStreamBatchMemOp_ptsz(a, 1, &op, 0));
	op.waitValue.value = 5;
	OK(cuStreamBatchMemOp_v2_ptsz(a, 1, &op, 0));
	OK(cuStreamSynchronize(a));
	code_store(pinned, 1);
	OK(cuStreamSynchronize(CU_STREAM_LEGACY));
	OK(cuStreamWriteValue32_v2_ptsz(NULL, memory + 16, 30, 0));
	OK(cuStreamSynchronize(CU_STREAM_PER_THREAD));
	CU_ASSERT_EQUAL(on_device(4), 30);
	CU_ASSERT_EQUAL(on_device(8), 5);
}

const struct unit_suite unit_suite = {
	.name = "stream memory operations",
	.init = open_all,
	.cleanup = close_all,
	.setup = clear,
	.tests = {
		UNIT_TEST(a_stream_waits_for_a_word_that_the_host_writes),
		UNIT_TEST(a_stream_waits_for_what_another_writes_later),
		UNIT_TEST(a_stream_that_waits_occupies_no_multiprocessor),
		UNIT_TEST(conditions_hold_as_documented),
		UNIT_TEST(a_write_comes_after_the_work_before_it),
		UNIT_TEST(a_write_of_32_bits_leaves_the_next_word_alone),
		UNIT_TEST(registered_memory_of_the_program_can_be_waited_for),
		UNIT_TEST(a_batch_is_done_in_its_order),
		UNIT_TEST(a_batch_with_one_wrong_operation_does_nothing),
		UNIT_TEST(a_batch_holds_less_than_256_operations),
		UNIT_TEST(captured_operations_are_done_by_the_graph),
		UNIT_TEST(words_lie_aligned_in_memory_of_the_device),
		UNIT_TEST(flags_and_streams_are_checked),
		UNIT_TEST(twins_use_the_stream_of_the_thread),
	},
};
