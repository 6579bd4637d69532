/*
 * hook_copy_batch.c - many copies in one call: gated as one if any of them is within devices.
 *
 * Where a batch holds host copies too it is measured with them, as they cannot be told apart
 * from outside; so all of it says how large it is.
 */
#include "cuda/gated.h"

/* Told apart from the kinds of copies in other files. */
enum what { BATCH = 32, BATCH_3D };

static uint64_t plus(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static CUresult enter(struct gsh_pass *pass, enum what what, uint64_t bytes,
		      uint64_t stream)
{
	return gsh_enter_bytes(pass, GPUSHIM_LAUNCH_COPY, what, bytes, stream);
}

/* ---- bytes in a row ---- */

/* False also where the driver has to say what is wrong. */
static bool any_within_devices(const CUdeviceptr *dsts, const CUdeviceptr *srcs,
			       const size_t *sizes, size_t count)
{
	for (size_t i = 0; dsts && srcs && sizes && i < count; i++)
		if (gsh_address_on_device(dsts[i]) && gsh_address_on_device(srcs[i]))
			return true;
	return false;
}

static uint64_t bytes_of(const size_t *sizes, size_t count)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < count; i++)
		bytes = plus(bytes, sizes[i]);
	return bytes;
}

GSH_GATED_IF(cuMemcpyBatchAsync,
	     (CUdeviceptr * dsts, CUdeviceptr *srcs, size_t *sizes, size_t count,
	      CUmemcpyAttributes *attrs, size_t *attrsIdxs, size_t numAttrs,
	      size_t *failIdx, CUstream hStream),
	     (dsts, srcs, sizes, count, attrs, attrsIdxs, numAttrs, failIdx, hStream),
	     any_within_devices(dsts, srcs, sizes, count),
	     enter(&pass, BATCH, bytes_of(sizes, count),
		   gsh_stream_id(hStream, GSH_STREAM_LEGACY)))

GSH_GATED_IF(cuMemcpyBatchAsync_ptsz,
	     (CUdeviceptr * dsts, CUdeviceptr *srcs, size_t *sizes, size_t count,
	      CUmemcpyAttributes *attrs, size_t *attrsIdxs, size_t numAttrs,
	      size_t *failIdx, CUstream hStream),
	     (dsts, srcs, sizes, count, attrs, attrsIdxs, numAttrs, failIdx, hStream),
	     any_within_devices(dsts, srcs, sizes, count),
	     enter(&pass, BATCH, bytes_of(sizes, count),
		   gsh_stream_id(hStream, GSH_STREAM_PER_THREAD)))

GSH_GATED_IF(cuMemcpyBatchAsync_v2,
	     (CUdeviceptr * dsts, CUdeviceptr *srcs, size_t *sizes, size_t count,
	      CUmemcpyAttributes *attrs, size_t *attrsIdxs, size_t numAttrs,
	      CUstream hStream),
	     (dsts, srcs, sizes, count, attrs, attrsIdxs, numAttrs, hStream),
	     any_within_devices(dsts, srcs, sizes, count),
	     enter(&pass, BATCH, bytes_of(sizes, count),
		   gsh_stream_id(hStream, GSH_STREAM_LEGACY)))

GSH_GATED_IF(cuMemcpyBatchAsync_v2_ptsz,
	     (CUdeviceptr * dsts, CUdeviceptr *srcs, size_t *sizes, size_t count,
	      CUmemcpyAttributes *attrs, size_t *attrsIdxs, size_t numAttrs,
	      CUstream hStream),
	     (dsts, srcs, sizes, count, attrs, attrsIdxs, numAttrs, hStream),
	     any_within_devices(dsts, srcs, sizes, count),
	     enter(&pass, BATCH, bytes_of(sizes, count),
		   gsh_stream_id(hStream, GSH_STREAM_PER_THREAD)))

/* ---- rows and layers ---- */

static bool on_device(const CUmemcpy3DOperand *side)
{
	return side->type == CU_MEMCPY_OPERAND_TYPE_ARRAY ||
	       (side->type == CU_MEMCPY_OPERAND_TYPE_POINTER &&
		gsh_address_on_device(side->op.ptr.ptr));
}

static bool any_op_within_devices(const CUDA_MEMCPY3D_BATCH_OP *ops, size_t count)
{
	for (size_t i = 0; ops && i < count; i++)
		if (on_device(&ops[i].dst) && on_device(&ops[i].src))
			return true;
	return false;
}

/* Not bytes: how large an element of an array is does not stand here. */
static uint64_t elements_of(const CUDA_MEMCPY3D_BATCH_OP *ops, size_t count)
{
	uint64_t elements = 0, rows;

	for (size_t i = 0; i < count; i++) {
		rows = gsh_times(ops[i].extent.height, ops[i].extent.depth);
		elements = plus(elements, gsh_times(ops[i].extent.width, rows));
	}
	return elements;
}

GSH_GATED_IF(cuMemcpy3DBatchAsync,
	     (size_t numOps, CUDA_MEMCPY3D_BATCH_OP *opList, size_t *failIdx,
	      unsigned long long flags, CUstream hStream),
	     (numOps, opList, failIdx, flags, hStream),
	     any_op_within_devices(opList, numOps),
	     enter(&pass, BATCH_3D, elements_of(opList, numOps),
		   gsh_stream_id(hStream, GSH_STREAM_LEGACY)))

GSH_GATED_IF(cuMemcpy3DBatchAsync_ptsz,
	     (size_t numOps, CUDA_MEMCPY3D_BATCH_OP *opList, size_t *failIdx,
	      unsigned long long flags, CUstream hStream),
	     (numOps, opList, failIdx, flags, hStream),
	     any_op_within_devices(opList, numOps),
	     enter(&pass, BATCH_3D, elements_of(opList, numOps),
		   gsh_stream_id(hStream, GSH_STREAM_PER_THREAD)))

GSH_GATED_IF(cuMemcpy3DBatchAsync_v2,
	     (size_t numOps, CUDA_MEMCPY3D_BATCH_OP *opList, unsigned long long flags,
	      CUstream hStream),
	     (numOps, opList, flags, hStream), any_op_within_devices(opList, numOps),
	     enter(&pass, BATCH_3D, elements_of(opList, numOps),
		   gsh_stream_id(hStream, GSH_STREAM_LEGACY)))

GSH_GATED_IF(cuMemcpy3DBatchAsync_v2_ptsz,
	     (size_t numOps, CUDA_MEMCPY3D_BATCH_OP *opList, unsigned long long flags,
	      CUstream hStream),
	     (numOps, opList, flags, hStream), any_op_within_devices(opList, numOps),
	     enter(&pass, BATCH_3D, elements_of(opList, numOps),
		   gsh_stream_id(hStream, GSH_STREAM_PER_THREAD)))
