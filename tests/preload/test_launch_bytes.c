/*
 * test_launch_bytes.c - memsets and copies: what the SMs do is counted once, what the copy
 * engines do for the host is not, and all of it sets and copies what it would bare.
 */
#include "common_launches.h"

#include "cunit_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUOTA "GPUSHIM_MEMORY=256MiB"

/* ---- memsets ---- */

#define BYTE ((unsigned char)launches.word)
#define HALF ((unsigned short)launches.word)
enum { ROW_BYTES = 64, ROWS = LAUNCHES_BYTES / ROW_BYTES };

TENANT_BODY(memsets)
{
	const size_t n = LAUNCHES_BYTES;
	CUdeviceptr to;
	CUstream s;

	launches_prepare();
	to = launches.to;
	s = launches.stream;
	COUNTS(cuMemsetD8_v2, to, BYTE, n);
	COUNTS(cuMemsetD8_v2_ptds, to, BYTE, n);
	COUNTS(cuMemsetD8Async, to, BYTE, n, s);
	COUNTS(cuMemsetD8Async_ptsz, to, BYTE, n, NULL);
	COUNTS(cuMemsetD16_v2, to, HALF, n / 2);
	COUNTS(cuMemsetD16_v2_ptds, to, HALF, n / 2);
	COUNTS(cuMemsetD16Async, to, HALF, n / 2, NULL);
	COUNTS(cuMemsetD16Async_ptsz, to, HALF, n / 2, s);
	COUNTS(cuMemsetD32_v2, to, launches.word, n / 4);
	COUNTS(cuMemsetD32_v2_ptds, to, launches.word, n / 4);
	COUNTS(cuMemsetD32Async, to, launches.word, n / 4, s);
	COUNTS(cuMemsetD32Async_ptsz, to, launches.word, n / 4, s);
	COUNTS(cuMemsetD2D8_v2, to, ROW_BYTES, BYTE, ROW_BYTES, ROWS);
	COUNTS(cuMemsetD2D8_v2_ptds, to, ROW_BYTES, BYTE, ROW_BYTES, ROWS);
	COUNTS(cuMemsetD2D8Async, to, ROW_BYTES, BYTE, ROW_BYTES, ROWS, s);
	COUNTS(cuMemsetD2D8Async_ptsz, to, ROW_BYTES, BYTE, ROW_BYTES, ROWS, NULL);
	COUNTS(cuMemsetD2D16_v2, to, ROW_BYTES, HALF, ROW_BYTES / 2, ROWS);
	COUNTS(cuMemsetD2D16_v2_ptds, to, ROW_BYTES, HALF, ROW_BYTES / 2, ROWS);
	COUNTS(cuMemsetD2D16Async, to, ROW_BYTES, HALF, ROW_BYTES / 2, ROWS, s);
	COUNTS(cuMemsetD2D16Async_ptsz, to, ROW_BYTES, HALF, ROW_BYTES / 2, ROWS, s);
	COUNTS(cuMemsetD2D32_v2, to, ROW_BYTES, launches.word, ROW_BYTES / 4, ROWS);
	COUNTS(cuMemsetD2D32_v2_ptds, to, ROW_BYTES, launches.word, ROW_BYTES / 4, ROWS);
	COUNTS(cuMemsetD2D32Async, to, ROW_BYTES, launches.word, ROW_BYTES / 4, ROWS,
	       NULL);
	COUNTS(cuMemsetD2D32Async_ptsz, to, ROW_BYTES, launches.word, ROW_BYTES / 4, ROWS,
	       s);
	check(launches_counted(0));
	LACKS(cuMemsetD8, 4096, 1, 16);
	LACKS(cuMemsetD16, 4096, 1, 16);
	LACKS(cuMemsetD32, 4096, 1, 16);
	LACKS(cuMemsetD2D8, 4096, 64, 1, 16, 2);
	LACKS(cuMemsetD2D16, 4096, 64, 1, 16, 2);
	LACKS(cuMemsetD2D32, 4096, 64, 1, 16, 2);
	check(launches_tried("memset"));
}

static void memsets_set_and_are_counted_once(void)
{
	CU_ASSERT(tenant_passes("memsets", QUOTA, NULL));
}

/* ---- copies within a device ---- */

static CUarray new_array(void)
{
	const CUDA_ARRAY_DESCRIPTOR flat = { .Width = LAUNCHES_WORDS,
					     .Format = CU_AD_FORMAT_UNSIGNED_INT32,
					     .NumChannels = 1 };
	CUarray array = NULL;

	check_result(cuArrayCreate_v2(&array, &flat), CUDA_SUCCESS);
	return array;
}

/* There, from one to the other, and back. */
static void copies_of_arrays(void)
{
	const size_t n = LAUNCHES_BYTES;
	CUarray a = new_array(), b = new_array();

	launches_begin();
	check_result(cuMemcpyDtoA_v2(a, 0, launches.from, n), CUDA_SUCCESS);
	check(launches_counted(1));
	launches_mark("cuMemcpyDtoA_v2");
	check_result(cuMemcpyAtoA_v2(b, 0, a, 0, n), CUDA_SUCCESS);
	check(launches_counted(1));
	launches_mark("cuMemcpyAtoA_v2");
	launches_end("cuMemcpyAtoD_v2", cuMemcpyAtoD_v2(launches.to, b, 0, n), 1);
	launches_begin();
	check_result(cuMemcpyDtoA_v2_ptds(a, 0, launches.from, n), CUDA_SUCCESS);
	check(launches_counted(1));
	launches_mark("cuMemcpyDtoA_v2_ptds");
	check_result(cuMemcpyAtoA_v2_ptds(b, 0, a, 0, n), CUDA_SUCCESS);
	check(launches_counted(1));
	launches_mark("cuMemcpyAtoA_v2_ptds");
	launches_end("cuMemcpyAtoD_v2_ptds", cuMemcpyAtoD_v2_ptds(launches.to, b, 0, n),
		     1);
}

TENANT_BODY(copies)
{
	const size_t n = LAUNCHES_BYTES;
	CUcontext context;
	CUdeviceptr to, from;
	CUstream s;

	launches_prepare();
	to = launches.to;
	from = launches.from;
	s = launches.stream;
	check_result(cuCtxGetCurrent(&context), CUDA_SUCCESS);
	COUNTS(cuMemcpy, to, from, n);
	COUNTS(cuMemcpy_ptds, to, from, n);
	COUNTS(cuMemcpyAsync, to, from, n, s);
	COUNTS(cuMemcpyAsync_ptsz, to, from, n, NULL);
	COUNTS(cuMemcpyDtoD_v2, to, from, n);
	COUNTS(cuMemcpyDtoD_v2_ptds, to, from, n);
	COUNTS(cuMemcpyDtoDAsync_v2, to, from, n, NULL);
	COUNTS(cuMemcpyDtoDAsync_v2_ptsz, to, from, n, s);
	COUNTS(cuMemcpyPeer, to, context, from, context, n);
	COUNTS(cuMemcpyPeer_ptds, to, context, from, context, n);
	COUNTS(cuMemcpyPeerAsync, to, context, from, context, n, s);
	COUNTS(cuMemcpyPeerAsync_ptsz, to, context, from, context, n, NULL);
	copies_of_arrays();
	check(launches_counted(0));
	LACKS(cuMemcpyDtoD, 4096, 4096, 16);
	LACKS(cuMemcpyDtoDAsync, 4096, 4096, 16, s);
	LACKS(cuMemcpyDtoA, NULL, 0, 4096, 16);
	LACKS(cuMemcpyAtoD, 4096, NULL, 0, 16);
	LACKS(cuMemcpyAtoA, NULL, 0, NULL, 0, 16);
	check(launches_tried("copy"));
}

static void copies_within_a_device_copy_and_are_counted_once(void)
{
	CU_ASSERT(tenant_passes("copies", QUOTA, NULL));
}

static CUDA_MEMCPY2D rows(CUmemorytype type)
{
	return (CUDA_MEMCPY2D){ .srcMemoryType = type,
				.srcDevice = launches.from,
				.srcPitch = ROW_BYTES,
				.dstMemoryType = type,
				.dstDevice = launches.to,
				.dstPitch = ROW_BYTES,
				.WidthInBytes = ROW_BYTES,
				.Height = ROWS };
}

static CUDA_MEMCPY3D layers(CUmemorytype type)
{
	return (CUDA_MEMCPY3D){ .srcMemoryType = type,
				.srcDevice = launches.from,
				.srcPitch = ROW_BYTES,
				.srcHeight = ROWS / 8,
				.dstMemoryType = type,
				.dstDevice = launches.to,
				.dstPitch = ROW_BYTES,
				.dstHeight = ROWS / 8,
				.WidthInBytes = ROW_BYTES,
				.Height = ROWS / 8,
				.Depth = 8 };
}

static CUDA_MEMCPY3D_PEER peer_layers(void)
{
	CUDA_MEMCPY3D_PEER copy = { .srcMemoryType = CU_MEMORYTYPE_DEVICE,
				    .srcDevice = launches.from,
				    .srcPitch = ROW_BYTES,
				    .srcHeight = ROWS / 8,
				    .dstMemoryType = CU_MEMORYTYPE_DEVICE,
				    .dstDevice = launches.to,
				    .dstPitch = ROW_BYTES,
				    .dstHeight = ROWS / 8,
				    .WidthInBytes = ROW_BYTES,
				    .Height = ROWS / 8,
				    .Depth = 8 };

	check_result(cuCtxGetCurrent(&copy.srcContext), CUDA_SUCCESS);
	copy.dstContext = copy.srcContext;
	return copy;
}

TENANT_BODY(copies_of_rows)
{
	CUDA_MEMCPY2D_v1 old_rows = { .srcMemoryType = CU_MEMORYTYPE_DEVICE,
				      .dstMemoryType = CU_MEMORYTYPE_DEVICE };
	CUDA_MEMCPY3D_v1 old_layers = { .srcMemoryType = CU_MEMORYTYPE_DEVICE,
					.dstMemoryType = CU_MEMORYTYPE_DEVICE };
	CUDA_MEMCPY3D_PEER peer;
	CUDA_MEMCPY2D flat;
	CUDA_MEMCPY3D deep;
	CUstream s;

	launches_prepare();
	s = launches.stream;
	peer = peer_layers();
	for (int unified = 0; unified < 2; unified++) {
		flat = rows(unified ? CU_MEMORYTYPE_UNIFIED : CU_MEMORYTYPE_DEVICE);
		deep = layers(unified ? CU_MEMORYTYPE_UNIFIED : CU_MEMORYTYPE_DEVICE);
		COUNTS(cuMemcpy2D_v2, &flat);
		COUNTS(cuMemcpy2D_v2_ptds, &flat);
		COUNTS(cuMemcpy2DUnaligned_v2, &flat);
		COUNTS(cuMemcpy2DUnaligned_v2_ptds, &flat);
		COUNTS(cuMemcpy2DAsync_v2, &flat, s);
		COUNTS(cuMemcpy2DAsync_v2_ptsz, &flat, NULL);
		COUNTS(cuMemcpy3D_v2, &deep);
		COUNTS(cuMemcpy3D_v2_ptds, &deep);
		COUNTS(cuMemcpy3DAsync_v2, &deep, NULL);
		COUNTS(cuMemcpy3DAsync_v2_ptsz, &deep, s);
	}
	COUNTS(cuMemcpy3DPeer, &peer);
	COUNTS(cuMemcpy3DPeer_ptds, &peer);
	COUNTS(cuMemcpy3DPeerAsync, &peer, s);
	COUNTS(cuMemcpy3DPeerAsync_ptsz, &peer, NULL);
	check(launches_counted(0));
	LACKS(cuMemcpy2D, &old_rows);
	LACKS(cuMemcpy2DUnaligned, &old_rows);
	LACKS(cuMemcpy2DAsync, &old_rows, s);
	LACKS(cuMemcpy3D, &old_layers);
	LACKS(cuMemcpy3DAsync, &old_layers, s);
	check(launches_tried("copy_shape"));
}

static void copies_of_rows_and_layers_copy_and_are_counted_once(void)
{
	CU_ASSERT(tenant_passes("copies_of_rows", QUOTA, NULL));
}

static CUDA_MEMCPY3D_BATCH_OP half_of_all(int half)
{
	const size_t bytes = LAUNCHES_BYTES / 2;
	CUDA_MEMCPY3D_BATCH_OP op = {
		.extent = { ROW_BYTES, ROWS / 2, 1 },
		.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM
	};

	op.src.type = op.dst.type = CU_MEMCPY_OPERAND_TYPE_POINTER;
	op.src.op.ptr.ptr = launches.from + bytes * (size_t)half;
	op.dst.op.ptr.ptr = launches.to + bytes * (size_t)half;
	return op;
}

TENANT_BODY(batches)
{
	size_t sizes[2] = { LAUNCHES_BYTES / 2, LAUNCHES_BYTES / 2 }, first = 0, failed;
	CUmemcpyAttributes how = { .srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM };
	CUDA_MEMCPY3D_BATCH_OP ops[2];
	CUdeviceptr to[2], from[2];
	CUstream s;

	launches_prepare();
	s = launches.stream;
	for (int half = 0; half < 2; half++) {
		ops[half] = half_of_all(half);
		to[half] = launches.to + (size_t)half * sizes[0];
		from[half] = launches.from + (size_t)half * sizes[0];
	}
	COUNTS(cuMemcpyBatchAsync, to, from, sizes, 2, &how, &first, 1, &failed, s);
	COUNTS(cuMemcpyBatchAsync_ptsz, to, from, sizes, 2, &how, &first, 1, NULL, NULL);
	COUNTS(cuMemcpyBatchAsync_v2, to, from, sizes, 2, &how, &first, 1, s);
	COUNTS(cuMemcpyBatchAsync_v2_ptsz, to, from, sizes, 2, &how, &first, 1, s);
	COUNTS(cuMemcpy3DBatchAsync, 2, ops, &failed, 0, s);
	COUNTS(cuMemcpy3DBatchAsync_ptsz, 2, ops, NULL, 0, NULL);
	COUNTS(cuMemcpy3DBatchAsync_v2, 2, ops, 0, s);
	COUNTS(cuMemcpy3DBatchAsync_v2_ptsz, 2, ops, 0, s);
	check(launches_tried("copy_batch"));
}

static void a_batch_of_copies_is_one_launch(void)
{
	CU_ASSERT(tenant_passes("batches", QUOTA, NULL));
}

/* What was not allocated as a whole, or not by us, is the device's all the same. */
TENANT_BODY(copies_between_all_kinds_of_memory)
{
	const size_t n = LAUNCHES_BYTES;
	CUdeviceptr managed, pooled, large;

	launches_prepare();
	check_result(cuMemAlloc_v2(&large, 3 * n), CUDA_SUCCESS);
	check_result(cuMemAllocManaged(&managed, n, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS);
	check_result(cuMemAllocAsync(&pooled, n, launches.stream), CUDA_SUCCESS);
	check_result(cuStreamSynchronize(launches.stream), CUDA_SUCCESS);
	launches_begin();
	check_result(cuMemcpy(large + n, launches.from, n), CUDA_SUCCESS);
	check_result(cuMemcpy(managed, large + n, n), CUDA_SUCCESS);
	check_result(cuMemcpy(pooled, managed, n), CUDA_SUCCESS);
	launches_end("cuMemcpy", cuMemcpy(launches.to, pooled, n), 4);
}

static void every_kind_of_device_memory_is_known_by_its_address(void)
{
	CU_ASSERT(tenant_passes("copies_between_all_kinds_of_memory", QUOTA, NULL));
}

/* ---- copies with the host ---- */

static void fill_host(uint32_t *words)
{
	for (int i = 0; i < LAUNCHES_WORDS; i++)
		words[i] = launches.word + 0x01010101;
}

static CUdeviceptr address(const void *host)
{
	return (CUdeviceptr)(uintptr_t)host;
}

/* From a place of the host, which has the word that comes next. */
static void pass_from(uint32_t *host)
{
	size_t n = LAUNCHES_BYTES, first = 0;
	CUmemcpyAttributes how = { .srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM };
	CUDA_MEMCPY2D flat = rows(CU_MEMORYTYPE_UNIFIED);
	CUDA_MEMCPY3D deep = layers(CU_MEMORYTYPE_UNIFIED);
	CUdeviceptr from = address(host);
	CUstream s = launches.stream;

	flat.srcDevice = deep.srcDevice = from;
	fill_host(host);
	PASSES(cuMemcpy, launches.to, from, n);
	fill_host(host);
	PASSES(cuMemcpyAsync, launches.to, from, n, s);
	fill_host(host);
	PASSES(cuMemcpyAsync_ptsz, launches.to, from, n, NULL);
	fill_host(host);
	PASSES(cuMemcpyHtoD_v2, launches.to, host, n);
	fill_host(host);
	PASSES(cuMemcpyHtoDAsync_v2, launches.to, host, n, s);
	fill_host(host);
	PASSES(cuMemcpy2D_v2, &flat);
	fill_host(host);
	PASSES(cuMemcpy2DAsync_v2, &flat, s);
	fill_host(host);
	PASSES(cuMemcpy3D_v2, &deep);
	fill_host(host);
	PASSES(cuMemcpyBatchAsync_v2, &launches.to, &from, &n, 1, &how, &first, 1, s);
	flat.srcMemoryType = CU_MEMORYTYPE_HOST;
	flat.srcHost = host;
	fill_host(host);
	PASSES(cuMemcpy2D_v2, &flat);
}

TENANT_BODY(copies_with_the_host)
{
	static uint32_t pageable[LAUNCHES_WORDS];
	uint32_t *pinned;

	launches_prepare();
	check_result(cuMemHostAlloc((void **)&pinned, LAUNCHES_BYTES, 0), CUDA_SUCCESS);
	pass_from(pageable);
	pass_from(pinned);
	check_result(cuMemcpy(address(pageable), launches.to, LAUNCHES_BYTES),
		     CUDA_SUCCESS);
	check_result(cuMemcpy(address(pageable), address(pinned), LAUNCHES_BYTES),
		     CUDA_SUCCESS);
	check(launches_counted(0));
	/* Control: one that is counted. */
	COUNTS(cuMemcpy, launches.to, launches.from, LAUNCHES_BYTES);
}

static void copies_with_the_host_are_not_counted(void)
{
	CU_ASSERT(tenant_passes("copies_with_the_host", QUOTA, NULL));
}

/* ---- without limits ---- */

static void without_limits_all_of_it_computes(void)
{
	static const char *const bodies[] = { "memsets", "copies", "copies_of_rows",
					      "batches", "copies_with_the_host" };

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		CU_ASSERT(
			tenant_passes(bodies[i], "GPUSHIM_DIR", "GPUSHIM_WAIT_MS", NULL));
}

const struct unit_suite unit_suite = {
	.name = "memsets and copies",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(memsets_set_and_are_counted_once),
		UNIT_TEST(copies_within_a_device_copy_and_are_counted_once),
		UNIT_TEST(copies_of_rows_and_layers_copy_and_are_counted_once),
		UNIT_TEST(a_batch_of_copies_is_one_launch),
		UNIT_TEST(every_kind_of_device_memory_is_known_by_its_address),
		UNIT_TEST(copies_with_the_host_are_not_counted),
		UNIT_TEST(without_limits_all_of_it_computes),
	},
};
