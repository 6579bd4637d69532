/*
 * copy_batch.c - batches of copies: each copy of a batch runs in the order given.
 *
 * Knows: how cuda.h lets attributes apply to parts of a batch. All of a batch is checked
 * before any of it runs, so that a bad entry leaves memory as it was. A source that must be
 * read before the call returns makes the call wait for the stream; hints are ignored.
 */
#include "driver/copy.h"

#include "driver/array.h"
#include "driver/capture.h"
#include "driver/ranges.h"

#define NO_INDEX SIZE_MAX /* *failIdx when no single copy is to blame */

static CUresult batch_stream(enum sim_fn fn, CUstream handle, bool per_thread,
			     struct sim_stream **stream)
{
	CUresult res = sim_enter(fn);

	if (res != CUDA_SUCCESS)
		return res;
	if (handle == CU_STREAM_LEGACY || (!handle && !per_thread))
		return CUDA_ERROR_INVALID_VALUE;
	return sim_stream_get(handle, per_thread, stream);
}

static bool order_valid(CUmemcpySrcAccessOrder order)
{
	return order == CU_MEMCPY_SRC_ACCESS_ORDER_STREAM ||
	       order == CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL ||
	       order == CU_MEMCPY_SRC_ACCESS_ORDER_ANY;
}

static CUresult finish(struct sim_stream *stream, bool during_call)
{
	if (during_call && !sim.zero_cost && !atomic_load(&stream->capture))
		return sim_stream_drain(stream);
	return CUDA_SUCCESS;
}

static bool attributes_valid(const CUmemcpyAttributes *attrs, const size_t *first,
			     size_t nattrs, size_t count, bool *during_call)
{
	for (size_t i = 0; i < nattrs; i++) {
		if (!order_valid(attrs[i].srcAccessOrder) || attrs[i].flags > 1 ||
		    first[i] >= count ||
		    (i == 0 ? first[i] != 0 : first[i] <= first[i - 1]))
			return false;
		if (attrs[i].srcAccessOrder == CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL)
			*during_call = true;
	}
	return true;
}

/* What cuMemcpyBatchAsync is given, in all its versions. */
struct batch {
	CUdeviceptr *dsts, *srcs;
	size_t *sizes, count;
	CUmemcpyAttributes *attrs;
	size_t *attrs_idxs, num_attrs;
};

static CUresult batch(enum sim_fn fn, bool per_thread, const struct batch *in,
		      size_t *fail_idx, CUstream handle)
{
	struct sim_rec_copy copy;
	struct sim_stream *stream;
	bool during_call = false;
	size_t ignored;
	CUresult res = batch_stream(fn, handle, per_thread, &stream);

	if (!fail_idx)
		fail_idx = &ignored;
	*fail_idx = NO_INDEX;
	if (res != CUDA_SUCCESS)
		return res;
	if (!in->dsts || !in->srcs || !in->sizes || in->count == 0 || !in->attrs ||
	    !in->attrs_idxs || in->num_attrs == 0 || in->num_attrs > in->count ||
	    !attributes_valid(in->attrs, in->attrs_idxs, in->num_attrs, in->count,
			      &during_call))
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < in->count && res == CUDA_SUCCESS; i++) {
		sim_copy_linear(&copy, in->dsts[i], in->srcs[i], in->sizes[i]);
		res = sim_copy_check(&copy);
		if (res != CUDA_SUCCESS)
			*fail_idx = i;
	}
	for (size_t i = 0; i < in->count && res == CUDA_SUCCESS; i++) {
		sim_copy_linear(&copy, in->dsts[i], in->srcs[i], in->sizes[i]);
		res = sim_copy(stream, &copy, false);
	}
	return res == CUDA_SUCCESS ? finish(stream, during_call) : res;
}

SIM_EXPORT CUresult cuMemcpyBatchAsync(CUdeviceptr *dsts, CUdeviceptr *srcs,
				       size_t *sizes, size_t count,
				       CUmemcpyAttributes *attrs, size_t *attrsIdxs,
				       size_t numAttrs, size_t *failIdx, CUstream hStream)
{
	return batch(
		SIM_FN_cuMemcpyBatchAsync, false,
		&(struct batch){ dsts, srcs, sizes, count, attrs, attrsIdxs, numAttrs },
		failIdx, hStream);
}

SIM_EXPORT CUresult cuMemcpyBatchAsync_ptsz(CUdeviceptr *dsts, CUdeviceptr *srcs,
					    size_t *sizes, size_t count,
					    CUmemcpyAttributes *attrs, size_t *attrsIdxs,
					    size_t numAttrs, size_t *failIdx,
					    CUstream hStream)
{
	return batch(
		SIM_FN_cuMemcpyBatchAsync_ptsz, true,
		&(struct batch){ dsts, srcs, sizes, count, attrs, attrsIdxs, numAttrs },
		failIdx, hStream);
}

SIM_EXPORT CUresult cuMemcpyBatchAsync_v2(CUdeviceptr *dsts, CUdeviceptr *srcs,
					  size_t *sizes, size_t count,
					  CUmemcpyAttributes *attrs, size_t *attrsIdxs,
					  size_t numAttrs, CUstream hStream)
{
	return batch(
		SIM_FN_cuMemcpyBatchAsync_v2, false,
		&(struct batch){ dsts, srcs, sizes, count, attrs, attrsIdxs, numAttrs },
		NULL, hStream);
}

SIM_EXPORT CUresult cuMemcpyBatchAsync_v2_ptsz(CUdeviceptr *dsts, CUdeviceptr *srcs,
					       size_t *sizes, size_t count,
					       CUmemcpyAttributes *attrs,
					       size_t *attrsIdxs, size_t numAttrs,
					       CUstream hStream)
{
	return batch(
		SIM_FN_cuMemcpyBatchAsync_v2_ptsz, true,
		&(struct batch){ dsts, srcs, sizes, count, attrs, attrsIdxs, numAttrs },
		NULL, hStream);
}

/* ---- three dimensions ---- */

/* Bytes of an element on either side: of the array, 1 between pointers. */
static CUresult element_bytes(const CUDA_MEMCPY3D_BATCH_OP *op, uint64_t *bytes)
{
	const CUmemcpy3DOperand *sides[2] = { &op->src, &op->dst };

	*bytes = 0;
	for (int i = 0; i < 2; i++) {
		struct sim_array *array;
		CUresult res;

		if (sides[i]->type != CU_MEMCPY_OPERAND_TYPE_ARRAY)
			continue;
		res = sim_array_get(sides[i]->op.array.array, &array);
		if (res != CUDA_SUCCESS)
			return res;
		if (*bytes && *bytes != array->element_bytes)
			return CUDA_ERROR_INVALID_VALUE;
		*bytes = array->element_bytes;
	}
	if (*bytes == 0)
		*bytes = 1;
	return CUDA_SUCCESS;
}

/* Pitch and height in the terms of CUDA_MEMCPY3D. */
static bool pointer_valid(const CUmemcpy3DOperand *side, const CUextent3D *extent)
{
	return (side->op.ptr.rowLength == 0 || side->op.ptr.rowLength >= extent->width) &&
	       (side->op.ptr.layerHeight == 0 ||
		side->op.ptr.layerHeight >= extent->height);
}

static CUresult op_copy(const CUDA_MEMCPY3D_BATCH_OP *op, struct sim_rec_copy *copy)
{
	CUDA_MEMCPY3D shape = { .Height = op->extent.height, .Depth = op->extent.depth };
	uint64_t bytes;
	CUresult res = element_bytes(op, &bytes);

	if (res != CUDA_SUCCESS)
		return res;
	if (op->extent.width == 0 || op->extent.height == 0 || op->extent.depth == 0 ||
	    op->extent.width > UINT32_MAX || !order_valid(op->srcAccessOrder) ||
	    op->flags > 1)
		return CUDA_ERROR_INVALID_VALUE;
	shape.WidthInBytes = op->extent.width * bytes;
	if (op->src.type == CU_MEMCPY_OPERAND_TYPE_ARRAY) {
		shape.srcMemoryType = CU_MEMORYTYPE_ARRAY;
		shape.srcArray = op->src.op.array.array;
		shape.srcXInBytes = op->src.op.array.offset.x * bytes;
		shape.srcY = op->src.op.array.offset.y;
		shape.srcZ = op->src.op.array.offset.z;
	} else if (op->src.type == CU_MEMCPY_OPERAND_TYPE_POINTER &&
		   pointer_valid(&op->src, &op->extent)) {
		shape.srcMemoryType = CU_MEMORYTYPE_UNIFIED;
		shape.srcDevice = op->src.op.ptr.ptr;
		shape.srcPitch = op->src.op.ptr.rowLength * bytes;
		shape.srcHeight = op->src.op.ptr.layerHeight;
	} else {
		return CUDA_ERROR_INVALID_VALUE;
	}
	if (op->dst.type == CU_MEMCPY_OPERAND_TYPE_ARRAY) {
		shape.dstMemoryType = CU_MEMORYTYPE_ARRAY;
		shape.dstArray = op->dst.op.array.array;
		shape.dstXInBytes = op->dst.op.array.offset.x * bytes;
		shape.dstY = op->dst.op.array.offset.y;
		shape.dstZ = op->dst.op.array.offset.z;
	} else if (op->dst.type == CU_MEMCPY_OPERAND_TYPE_POINTER &&
		   pointer_valid(&op->dst, &op->extent)) {
		shape.dstMemoryType = CU_MEMORYTYPE_UNIFIED;
		shape.dstDevice = op->dst.op.ptr.ptr;
		shape.dstPitch = op->dst.op.ptr.rowLength * bytes;
		shape.dstHeight = op->dst.op.ptr.layerHeight;
	} else {
		return CUDA_ERROR_INVALID_VALUE;
	}
	res = sim_copy_from_3d(&shape, copy);
	return res == CUDA_SUCCESS ? sim_copy_check(copy) : res;
}

static CUresult batch_3d(enum sim_fn fn, bool per_thread, size_t count,
			 const CUDA_MEMCPY3D_BATCH_OP *ops, size_t *fail_idx,
			 unsigned long long flags, CUstream handle)
{
	struct sim_rec_copy copy;
	struct sim_stream *stream;
	bool during_call = false;
	size_t ignored;
	CUresult res = batch_stream(fn, handle, per_thread, &stream);

	if (!fail_idx)
		fail_idx = &ignored;
	*fail_idx = NO_INDEX;
	if (res != CUDA_SUCCESS)
		return res;
	if (count == 0 || !ops || flags != 0)
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < count && res == CUDA_SUCCESS; i++) {
		res = op_copy(&ops[i], &copy);
		if (res != CUDA_SUCCESS)
			*fail_idx = i;
		if (ops[i].srcAccessOrder == CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL)
			during_call = true;
	}
	for (size_t i = 0; i < count && res == CUDA_SUCCESS; i++) {
		res = op_copy(&ops[i], &copy);
		if (res == CUDA_SUCCESS)
			res = sim_copy(stream, &copy, false);
	}
	return res == CUDA_SUCCESS ? finish(stream, during_call) : res;
}

SIM_EXPORT CUresult cuMemcpy3DBatchAsync(size_t numOps, CUDA_MEMCPY3D_BATCH_OP *opList,
					 size_t *failIdx, unsigned long long flags,
					 CUstream hStream)
{
	return batch_3d(SIM_FN_cuMemcpy3DBatchAsync, false, numOps, opList, failIdx,
			flags, hStream);
}

SIM_EXPORT CUresult cuMemcpy3DBatchAsync_ptsz(size_t numOps,
					      CUDA_MEMCPY3D_BATCH_OP *opList,
					      size_t *failIdx, unsigned long long flags,
					      CUstream hStream)
{
	return batch_3d(SIM_FN_cuMemcpy3DBatchAsync_ptsz, true, numOps, opList, failIdx,
			flags, hStream);
}

SIM_EXPORT CUresult cuMemcpy3DBatchAsync_v2(size_t numOps, CUDA_MEMCPY3D_BATCH_OP *opList,
					    unsigned long long flags, CUstream hStream)
{
	return batch_3d(SIM_FN_cuMemcpy3DBatchAsync_v2, false, numOps, opList, NULL,
			flags, hStream);
}

SIM_EXPORT CUresult cuMemcpy3DBatchAsync_v2_ptsz(size_t numOps,
						 CUDA_MEMCPY3D_BATCH_OP *opList,
						 unsigned long long flags,
						 CUstream hStream)
{
	return batch_3d(SIM_FN_cuMemcpy3DBatchAsync_v2_ptsz, true, numOps, opList, NULL,
			flags, hStream);
}
