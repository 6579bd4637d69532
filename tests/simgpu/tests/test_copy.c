/*
 * Copies between host, device, managed memory and in two and three dimensions; when they
 * wait and when they do not ("API synchronization behavior", "Memory Management" in the CUDA
 * Driver API manual).
 */
#include "memory_books.h"

static CUcontext ctx;
static int staged_failures;

/* Everything through staging buffers: larger than one of them, in rows longer than one, and
 * in many short rows. */
static void staged_body(void)
{
	enum { ROWS = 700, ROW = 301, PITCH = 512, LONG = 100000 };
	static unsigned char out[4 * LONG], in[4 * LONG];
	CUDA_MEMCPY2D to = { 0 }, from = { 0 };
	CUcontext mine;
	CUdeviceptr ptr;

	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuCtxCreate(&mine, NULL, 0, 0), CUDA_SUCCESS);
	CHECK_IS(cuMemAlloc(&ptr, 4 * MIB(1)), CUDA_SUCCESS);
	pattern(out, sizeof(out), 1);
	CHECK_IS(cuMemcpyHtoD(ptr, out, sizeof(out)), CUDA_SUCCESS);
	CHECK_IS(cuMemcpyDtoH(in, ptr, sizeof(in)), CUDA_SUCCESS);
	CHECK(is_pattern(in, sizeof(in), 1));
	pattern(out, sizeof(out), 2);
	CHECK_IS(cuMemHostRegister(out, sizeof(out), 0), CUDA_SUCCESS);
	CHECK_IS(cuMemcpyHtoDAsync(ptr, out, sizeof(out), NULL), CUDA_SUCCESS);
	CHECK_IS(cuMemHostUnregister(out), CUDA_SUCCESS);
	CHECK_IS(cuMemcpyDtoHAsync(in, ptr, sizeof(in), NULL), CUDA_SUCCESS);
	CHECK(is_pattern(in, sizeof(in), 2)); /* copies to pageable memory wait */
	for (int i = 0; i < 2; i++) {
		size_t width = i ? LONG - 1 : ROW, pitch = i ? LONG : PITCH;
		size_t rows = i ? 4 : ROWS;

		memset(in, 0xee, sizeof(in));
		to.srcMemoryType = CU_MEMORYTYPE_HOST;
		to.srcHost = out;
		to.srcPitch = pitch;
		to.dstMemoryType = CU_MEMORYTYPE_DEVICE;
		to.dstDevice = ptr;
		to.dstPitch = MIB(4) / ROWS;
		if (i)
			to.dstPitch = MIB(1);
		to.WidthInBytes = width;
		to.Height = rows;
		CHECK_IS(cuMemcpy2D(&to), CUDA_SUCCESS);
		from = to;
		from.srcMemoryType = CU_MEMORYTYPE_DEVICE;
		from.srcDevice = ptr;
		from.srcPitch = to.dstPitch;
		from.dstMemoryType = CU_MEMORYTYPE_HOST;
		from.dstHost = in;
		from.dstPitch = pitch;
		CHECK_IS(cuMemcpy2D(&from), CUDA_SUCCESS);
		for (size_t y = 0; y < rows; y++) {
			CHECK(memcmp(in + y * pitch, out + y * pitch, width) == 0);
			CHECK(in[y * pitch + width] == 0xee);
		}
	}
	CHECK_IS(cuMemFree(ptr), CUDA_SUCCESS);
	CHECK_IS(cuCtxDestroy(mine), CUDA_SUCCESS);
}

/* The child must come before this process touches CUDA. */
static int begin(void)
{
	static const char *const env[] = { "SIMGPU_DIRECT=0", NULL };

	setenv("SIMGPU_DEVICES", "2", 1);
	staged_failures = child_run(staged_body, env);
	return 0;
}

static void setup(void)
{
	ctx = gpu_context();
}

static void teardown(void)
{
	gpu_context_end(ctx);
}

/* ---- one dimension ---- */

static void bytes_come_back_at_any_size_and_offset(void)
{
	static const size_t sizes[] = { 1,	 3,	      511,	    4096,
					KIB(64), KIB(64) + 1, KIB(200) + 7, MIB(3) + 1 };
	static unsigned char out[MIB(3) + 1], in[MIB(3) + 1];
	CUdeviceptr a, b;

	OK(cuMemAlloc(&a, MIB(4)));
	OK(cuMemAlloc(&b, MIB(4)));
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		pattern(out, sizes[i], i);
		memset(in, 0, sizes[i]);
		OK(cuMemcpyHtoD(a + i, out, sizes[i]));
		OK(cuMemcpyDtoD(b + 3, a + i, sizes[i]));
		OK(cuMemcpyDtoH(in, b + 3, sizes[i]));
		CU_ASSERT(is_pattern(in, sizes[i], i));
		memset(in, 0, sizes[i]);
		OK(cuMemcpyHtoDAsync(b, out, sizes[i], NULL));
		OK(cuMemcpyDtoHAsync(in, b, sizes[i], NULL));
		OK(cuCtxSynchronize());
		CU_ASSERT(is_pattern(in, sizes[i], i));
	}
	OK(cuMemFree(a));
	OK(cuMemFree(b));
}

static void unified_copies_infer_the_kind_of_memory(void)
{
	unsigned char out[300], in[300], host[300];
	CUdeviceptr ptr;

	OK(cuMemAlloc(&ptr, 300));
	pattern(out, 300, 1);
	OK(cuMemcpy(ptr, (CUdeviceptr)(uintptr_t)out, 300));
	OK(cuMemcpy((CUdeviceptr)(uintptr_t)in, ptr, 300));
	CU_ASSERT(is_pattern(in, 300, 1));
	OK(cuMemcpy((CUdeviceptr)(uintptr_t)host, (CUdeviceptr)(uintptr_t)in, 300));
	CU_ASSERT(is_pattern(host, 300, 1));
	OK(cuMemcpyAsync((CUdeviceptr)(uintptr_t)host, (CUdeviceptr)(uintptr_t)in, 300,
			 NULL));
	OK(cuMemFree(ptr));
}

static void ranges_outside_live_memory_are_refused(void)
{
	unsigned char host[64] = { 0 };
	CUdeviceptr a, b;

	OK(cuMemAlloc(&a, 1000));
	OK(cuMemAlloc(&b, 1000));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD(a + 990, host, 11));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD(0, host, 1));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD(a, NULL, 1));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH(NULL, a, 1));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH(host, a - 1, 2));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoD(a, b, SIZE_MAX));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoD(a, b, 1001));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD((CUdeviceptr)(uintptr_t)host, host, 1));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoD(a, (CUdeviceptr)(uintptr_t)host, 1));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpyAsync(a, b + 500, 501, NULL));
	OK(cuMemcpyHtoD(a, NULL, 0));
	OK(cuMemcpyDtoD(a, b, 0));
	OK(cuMemFree(b));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoD(a, b, 1));
	OK(cuCtxSynchronize());
	OK(cuMemFree(a));
}

/* ---- who waits ---- */

static void copies_between_device_memory_do_not_wait(void)
{
	CUdeviceptr a, b;
	struct gate gate;

	OK(cuMemAlloc(&a, 64));
	OK(cuMemAlloc(&b, 64));
	gate = gate_close(NULL);
	OK(cuMemcpyDtoD(a, b, 64)); /* would hang here if it waited */
	OK(cuMemsetD8(a, 1, 64));
	IS(CUDA_ERROR_NOT_READY, cuStreamQuery(NULL));
	gate_open(&gate);
	OK(cuCtxSynchronize());
	gate_free(&gate);
	OK(cuMemFree(a));
	OK(cuMemFree(b));
}

static void a_small_pageable_source_may_be_reused_at_once(void)
{
	unsigned char out[1000], in[1000];
	CUstream stream;
	CUdeviceptr ptr;
	struct gate gate;

	OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	OK(cuMemAlloc(&ptr, 1000));
	gate = gate_close(stream);
	pattern(out, 1000, 5);
	OK(cuMemcpyHtoDAsync(ptr, out, 1000, stream));
	memset(out, 0, 1000); /* the copy has not run, but has been staged */
	IS(CUDA_ERROR_NOT_READY, cuStreamQuery(stream));
	gate_open(&gate);
	OK(cuStreamSynchronize(stream));
	OK(cuMemcpyDtoH(in, ptr, 1000));
	CU_ASSERT(is_pattern(in, 1000, 5));
	gate_free(&gate);
	OK(cuMemFree(ptr));
	OK(cuStreamDestroy(stream));
}

static void more_staged_copies_than_there_are_buffers_all_arrive(void)
{
	enum { COPIES = 200, BYTES = 3000 };
	static unsigned char out[BYTES], in[COPIES][BYTES];
	CUdeviceptr ptr;
	CUstream stream;

	OK(cuStreamCreate(&stream, 0));
	OK(cuMemAlloc(&ptr, COPIES * BYTES));
	for (unsigned i = 0; i < COPIES; i++) {
		pattern(out, BYTES, i);
		OK(cuMemcpyHtoDAsync(ptr + i * BYTES, out, BYTES, stream));
	}
	OK(cuStreamSynchronize(stream));
	OK(cuMemcpyDtoH(in, ptr, COPIES * BYTES));
	for (unsigned i = 0; i < COPIES; i++)
		CU_ASSERT(is_pattern(in[i], BYTES, i));
	OK(cuMemFree(ptr));
	OK(cuStreamDestroy(stream));
}

static void pinned_memory_is_read_and_written_when_the_stream_gets_there(void)
{
	CUstream stream;
	CUdeviceptr ptr;
	struct gate gate;
	unsigned char *host;
	void *mem;

	OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	OK(cuMemAlloc(&ptr, 1000));
	OK(cuMemHostAlloc(&mem, 2000, 0));
	host = mem;
	gate = gate_close(stream);
	OK(cuMemcpyHtoDAsync(ptr, host, 1000, stream));
	OK(cuMemcpyDtoHAsync(host + 1000, ptr, 1000, stream));
	pattern(host, 1000, 6); /* after the call, before the copy */
	memset(host + 1000, 0, 1000);
	gate_open(&gate);
	OK(cuStreamSynchronize(stream));
	CU_ASSERT(is_pattern(host + 1000, 1000, 6));
	gate_free(&gate);
	OK(cuMemFreeHost(host));
	OK(cuMemFree(ptr));
	OK(cuStreamDestroy(stream));
}

static void a_synchronous_copy_follows_what_other_blocking_streams_have_done(void)
{
	unsigned char in[64];
	CUstream stream;
	CUdeviceptr ptr;

	OK(cuMemAlloc(&ptr, 64));
	OK(cuStreamCreate(&stream, 0));
	for (int i = 0; i < 50; i++) {
		OK(cuMemsetD8Async(ptr, (unsigned char)i, 64, stream));
		OK(cuMemcpyDtoH(in, ptr, 64));
		CU_ASSERT(in[0] == i && in[63] == i);
	}
	OK(cuStreamDestroy(stream));
	OK(cuMemFree(ptr));
}

static void a_bad_stream_or_context_is_refused(void)
{
	unsigned char host[16] = { 0 };
	CUdeviceptr ptr;
	CUcontext popped;

	OK(cuMemAlloc(&ptr, 16));
	IS(CUDA_ERROR_INVALID_HANDLE, cuMemcpyHtoDAsync(ptr, host, 16, (CUstream)&ptr));
	IS(CUDA_ERROR_INVALID_CONTEXT, cuMemcpyPeer(ptr, (CUcontext)&ptr, ptr, ctx, 16));
	OK(cuMemcpyPeer(ptr, ctx, ptr, ctx, 8));
	OK(cuCtxPopCurrent(&popped));
	IS(CUDA_ERROR_INVALID_CONTEXT, cuMemcpyHtoD(ptr, host, 16));
	IS(CUDA_ERROR_INVALID_CONTEXT, cuMemcpyHtoDAsync(ptr, host, 16, NULL));
	OK(cuCtxPushCurrent(popped));
	OK(cuMemFree(ptr));
}

static void copies_arrive_where_the_device_cannot_reach_the_process(void)
{
	CU_ASSERT_EQUAL(staged_failures, 0);
}

static void peer_copies_cross_devices(void)
{
	unsigned char out[4096], in[4096];
	CUdeviceptr here, there;
	CUcontext other;
	CUdevice device;

	OK(cuMemAlloc(&here, sizeof(out)));
	pattern(out, sizeof(out), 7);
	OK(cuMemcpyHtoD(here, out, sizeof(out)));
	OK(cuCtxCreate(&other, NULL, 0, 1));
	OK(cuMemAlloc(&there, sizeof(out)));
	OK(cuPointerGetAttribute(&device, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, there));
	CU_ASSERT_EQUAL(device, 1);
	OK(cuMemcpyPeer(there, other, here, ctx, sizeof(out)));
	OK(cuMemcpyDtoH(in, there, sizeof(in)));
	CU_ASSERT(is_pattern(in, sizeof(in), 7));
	OK(cuMemcpyPeerAsync(here, ctx, there, other, sizeof(out), NULL));
	OK(cuCtxDestroy(other));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH(in, there, 1));
	OK(cuMemFree(here));
}

/* ---- two dimensions ---- */

enum { W = 100, H = 20, OUT_PITCH = 130, IN_PITCH = 111 };

static void rows_move_between_pitches(void)
{
	static unsigned char out[OUT_PITCH * (H + 2)], in[IN_PITCH * (H + 3)];
	CUDA_MEMCPY2D to = { 0 }, from = { 0 };
	CUdeviceptr ptr;
	size_t pitch;

	OK(cuMemAllocPitch(&ptr, &pitch, W + 10, H + 5, 4));
	OK(cuMemsetD8(ptr, 0, pitch * (H + 5)));
	pattern(out, sizeof(out), 2);
	to.srcMemoryType = CU_MEMORYTYPE_HOST;
	to.srcHost = out;
	to.srcPitch = OUT_PITCH;
	to.srcXInBytes = 7;
	to.srcY = 2;
	to.dstMemoryType = CU_MEMORYTYPE_DEVICE;
	to.dstDevice = ptr;
	to.dstPitch = pitch;
	to.dstXInBytes = 4;
	to.dstY = 5;
	to.WidthInBytes = W;
	to.Height = H;
	OK(cuMemcpy2D(&to));
	from.srcMemoryType = CU_MEMORYTYPE_UNIFIED;
	from.srcDevice = ptr;
	from.srcPitch = pitch;
	from.srcXInBytes = 4;
	from.srcY = 5;
	from.dstMemoryType = CU_MEMORYTYPE_HOST;
	from.dstHost = in;
	from.dstPitch = IN_PITCH;
	from.dstXInBytes = 11;
	from.dstY = 3;
	from.WidthInBytes = W;
	from.Height = H;
	memset(in, 0xee, sizeof(in));
	OK(cuMemcpy2DUnaligned(&from));
	for (int y = 0; y < H; y++) {
		CU_ASSERT(memcmp(in + (y + 3) * IN_PITCH + 11,
				 out + (y + 2) * OUT_PITCH + 7, W) == 0);
		CU_ASSERT(in[(y + 3) * IN_PITCH + 10] == 0xee);
	}
	OK(cuMemcpy2DAsync(&from, NULL));
	OK(cuCtxSynchronize());
	OK(cuMemFree(ptr));
}

static void fields_of_two_dimensional_copies_are_checked(void)
{
	unsigned char host[1024] = { 0 };
	CUDA_MEMCPY2D good = { 0 }, bad;
	CUdeviceptr ptr;

	OK(cuMemAlloc(&ptr, 1024));
	good.srcMemoryType = CU_MEMORYTYPE_HOST;
	good.srcHost = host;
	good.srcPitch = 32;
	good.dstMemoryType = CU_MEMORYTYPE_DEVICE;
	good.dstDevice = ptr;
	good.dstPitch = 32;
	good.WidthInBytes = 32;
	good.Height = 32;
	OK(cuMemcpy2D(&good));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(NULL));
	bad = good, bad.srcPitch = 31;
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&bad));
	bad = good, bad.dstXInBytes = 1;
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&bad));
	bad = good, bad.Height = 33;
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&bad));
	bad = good, bad.srcMemoryType = (CUmemorytype)0;
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&bad));
	bad = good, bad.srcHost = NULL;
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&bad));
	bad = good, bad.dstPitch = (size_t)1 << 31;
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&bad));
	bad = good, bad.dstMemoryType = CU_MEMORYTYPE_ARRAY;
	IS(CUDA_ERROR_INVALID_HANDLE, cuMemcpy2D(&bad));
	bad = good, bad.dstY = SIZE_MAX;
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&bad));
	bad = good, bad.WidthInBytes = 0, bad.dstDevice = 0;
	OK(cuMemcpy2D(&bad));
	OK(cuMemFree(ptr));
}

/* ---- three dimensions ---- */

static void boxes_move_between_layouts(void)
{
	enum { X = 10, Y = 6, Z = 4, PITCH = 16, ROWS = 8 };
	unsigned char out[PITCH * ROWS * (Z + 1)], in[X * Y * Z];
	CUDA_MEMCPY3D to = { 0 }, from = { 0 };
	CUDA_MEMCPY3D_PEER peer = { 0 };
	CUdeviceptr ptr;

	OK(cuMemAlloc(&ptr, sizeof(out)));
	pattern(out, sizeof(out), 4);
	to.srcMemoryType = CU_MEMORYTYPE_HOST;
	to.srcHost = out;
	to.srcPitch = PITCH;
	to.srcHeight = ROWS;
	to.srcXInBytes = 3;
	to.srcY = 2;
	to.srcZ = 1;
	to.dstMemoryType = CU_MEMORYTYPE_DEVICE;
	to.dstDevice = ptr;
	to.dstPitch = PITCH;
	to.dstHeight = ROWS;
	to.WidthInBytes = X;
	to.Height = Y;
	to.Depth = Z;
	OK(cuMemcpy3D(&to));
	from.srcMemoryType = CU_MEMORYTYPE_DEVICE;
	from.srcDevice = ptr;
	from.srcPitch = PITCH;
	from.srcHeight = ROWS;
	from.dstMemoryType = CU_MEMORYTYPE_HOST;
	from.dstHost = in; /* packed: pitch and height follow from the extent */
	from.WidthInBytes = X;
	from.Height = Y;
	from.Depth = Z;
	OK(cuMemcpy3DAsync(&from, NULL));
	OK(cuCtxSynchronize());
	for (int z = 0; z < Z; z++)
		for (int y = 0; y < Y; y++)
			CU_ASSERT(memcmp(in + (z * Y + y) * X,
					 out + ((z + 1) * ROWS + y + 2) * PITCH + 3,
					 X) == 0);
	to.srcLOD = 1;
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpy3D(&to));
	to.srcLOD = 0;
	to.srcHeight = 7; /* less than Y + srcY */
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpy3D(&to));
	to.srcHeight = ROWS;
	to.reserved0 = &to;
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpy3D(&to));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpy3D(NULL));
	peer.srcMemoryType = CU_MEMORYTYPE_DEVICE;
	peer.srcDevice = ptr;
	peer.srcContext = ctx;
	peer.dstMemoryType = CU_MEMORYTYPE_DEVICE;
	peer.dstDevice = ptr + 256;
	peer.WidthInBytes = 16;
	peer.Height = 1;
	peer.Depth = 1;
	IS(CUDA_ERROR_INVALID_CONTEXT, cuMemcpy3DPeer(&peer));
	peer.dstContext = ctx;
	OK(cuMemcpy3DPeer(&peer));
	OK(cuMemcpy3DPeerAsync(&peer, NULL));
	OK(cuMemFree(ptr));
}

/* ---- batches ---- */

static void a_batch_copies_all_or_says_which_is_wrong(void)
{
	unsigned char out[300], in[300];
	CUmemcpyAttributes attrs[1] = {
		{ .srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM }
	};
	CUdeviceptr a, b, dsts[3], srcs[3];
	size_t sizes[3] = { 100, 100, 100 }, first[1] = { 0 };
	CUstream stream;

	OK(cuStreamCreate(&stream, 0));
	OK(cuMemAlloc(&a, 300));
	OK(cuMemAlloc(&b, 300));
	pattern(out, 300, 8);
	OK(cuMemcpyHtoD(a, out, 300));
	for (int i = 0; i < 3; i++) {
		dsts[i] = b + (unsigned)i * 100;
		srcs[i] = a + (unsigned)i * 100;
	}
	OK(cuMemcpyBatchAsync(dsts, srcs, sizes, 3, attrs, first, 1, stream));
	OK(cuStreamSynchronize(stream));
	OK(cuMemcpyDtoH(in, b, 300));
	CU_ASSERT(is_pattern(in, 300, 8));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuMemcpyBatchAsync(dsts, srcs, sizes, 3, attrs, first, 1, NULL));
	attrs[0].srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_INVALID;
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuMemcpyBatchAsync(dsts, srcs, sizes, 3, attrs, first, 1, stream));
	attrs[0].srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL;
	OK(cuMemcpyBatchAsync(dsts, srcs, sizes, 3, attrs, first, 1, stream));
	sizes[2] = 101;
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuMemcpyBatchAsync(dsts, srcs, sizes, 3, attrs, first, 1, stream));
	OK(cuStreamDestroy(stream));
	OK(cuMemFree(a));
	OK(cuMemFree(b));
}

/* ---- device truth ---- */

static void a_copy_of_many_bytes_holds_a_copy_engine_for_its_time(void)
{
	struct simgpu_device before, after;
	static unsigned char out[MIB(4)];
	CUdeviceptr ptr;

	OK(cuMemAlloc(&ptr, MIB(4)));
	books_of(0, &before);
	OK(cuMemcpyHtoD(ptr, out, MIB(4)));
	books_of(0, &after);
	CU_ASSERT(after.copy_in_ns > before.copy_in_ns);
	CU_ASSERT_EQUAL(after.copy_out_ns, before.copy_out_ns);
	OK(cuMemcpyDtoH(out, ptr, MIB(4)));
	books_of(0, &before);
	CU_ASSERT(before.copy_out_ns > after.copy_out_ns);
	OK(cuMemFree(ptr));
}

const struct unit_suite unit_suite = {
	.name = "copies",
	.init = begin,
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(bytes_come_back_at_any_size_and_offset),
		UNIT_TEST(unified_copies_infer_the_kind_of_memory),
		UNIT_TEST(ranges_outside_live_memory_are_refused),
		UNIT_TEST(copies_between_device_memory_do_not_wait),
		UNIT_TEST(a_small_pageable_source_may_be_reused_at_once),
		UNIT_TEST(more_staged_copies_than_there_are_buffers_all_arrive),
		UNIT_TEST(pinned_memory_is_read_and_written_when_the_stream_gets_there),
		UNIT_TEST(a_synchronous_copy_follows_what_other_blocking_streams_have_done),
		UNIT_TEST(a_bad_stream_or_context_is_refused),
		UNIT_TEST(copies_arrive_where_the_device_cannot_reach_the_process),
		UNIT_TEST(peer_copies_cross_devices),
		UNIT_TEST(rows_move_between_pitches),
		UNIT_TEST(fields_of_two_dimensional_copies_are_checked),
		UNIT_TEST(boxes_move_between_layouts),
		UNIT_TEST(a_batch_copies_all_or_says_which_is_wrong),
		UNIT_TEST(a_copy_of_many_bytes_holds_a_copy_engine_for_its_time),
	},
};
