/*
 * memop.c - stream memory operations: a stream waits for a word of memory, or writes one.
 *
 * Knows: their flags and which memory they may touch. Refuses to know: how the device waits.
 */
#include "driver/capture.h"
#include "driver/ranges.h"

#define BATCH_MAX 256u /* operations of one batch: less than this */

/* Checks the flags and the memory, and fills the rest of the record. */
static CUresult wait_record(struct sim_rec_value *rec, unsigned flags)
{
	if ((flags & CU_STREAM_WAIT_VALUE_FLUSH) != 0)
		return CUDA_ERROR_NOT_SUPPORTED; /* as attribute 98 says */
	switch (flags) {
	case CU_STREAM_WAIT_VALUE_GEQ:
		rec->compare = SIM_CMP_GEQ;
		break;
	case CU_STREAM_WAIT_VALUE_EQ:
		rec->compare = SIM_CMP_EQ;
		break;
	case CU_STREAM_WAIT_VALUE_AND:
		rec->compare = SIM_CMP_AND;
		break;
	case CU_STREAM_WAIT_VALUE_NOR:
		rec->compare = SIM_CMP_NOR;
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	return CUDA_SUCCESS;
}

/* Not managed memory, cuda.h says. */
static CUresult check_word(const struct sim_rec_value *rec, unsigned access)
{
	struct sim_alloc alloc;

	if (rec->addr % rec->bytes != 0 ||
	    !sim_ranges_cover(rec->addr, rec->bytes, access, &alloc) ||
	    alloc.kind == SIM_MEM_MANAGED)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static CUresult prepare(struct sim_rec_value *rec, enum sim_record_kind kind,
			unsigned flags)
{
	CUresult res;

	if (kind == SIM_REC_WAIT_VALUE)
		res = wait_record(rec, flags);
	else
		res = (flags & ~(unsigned)CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER) == 0
			      ? CUDA_SUCCESS
			      : CUDA_ERROR_INVALID_VALUE;
	if (res != CUDA_SUCCESS)
		return res;
	return check_word(rec, kind == SIM_REC_WAIT_VALUE ? SIM_ACCESS_READ
							  : SIM_ACCESS_WRITE);
}

static CUresult enqueue(struct sim_stream *stream, enum sim_record_kind kind,
			const struct sim_rec_value *rec)
{
	if (atomic_load_explicit(&stream->capture, memory_order_relaxed) != NULL)
		return sim_capture_value(stream, kind, rec);
	return sim_submit(stream, kind, rec, sizeof(*rec), NULL, 0, NULL);
}

static CUresult one(CUstream handle, bool per_thread, enum sim_record_kind kind,
		    unsigned bytes, CUdeviceptr addr, uint64_t value, unsigned flags)
{
	struct sim_rec_value rec = { .addr = addr, .value = value, .bytes = bytes };
	struct sim_stream *stream;
	CUresult res = sim_stream_get(handle, per_thread, &stream);

	if (res == CUDA_SUCCESS)
		res = prepare(&rec, kind, flags);
	if (res == CUDA_SUCCESS)
		res = sim_capture_check(stream);
	return res ? res : enqueue(stream, kind, &rec);
}

/* One operation of a batch. *kind 0: there is nothing to enqueue. */
static CUresult batch_record(const CUstreamBatchMemOpParams *op,
			     struct sim_rec_value *rec, enum sim_record_kind *kind)
{
	*kind = 0;
	switch (op->operation) {
	case CU_STREAM_MEM_OP_WAIT_VALUE_32:
	case CU_STREAM_MEM_OP_WAIT_VALUE_64:
		*kind = SIM_REC_WAIT_VALUE;
		break;
	case CU_STREAM_MEM_OP_WRITE_VALUE_32:
	case CU_STREAM_MEM_OP_WRITE_VALUE_64:
		*kind = SIM_REC_WRITE_VALUE;
		break;
	case CU_STREAM_MEM_OP_BARRIER: /* operations of a stream are in order anyway */
		return op->memoryBarrier.flags <= CU_STREAM_MEMORY_BARRIER_TYPE_GPU
			       ? CUDA_SUCCESS
			       : CUDA_ERROR_INVALID_VALUE;
	case CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES:
		return CUDA_ERROR_NOT_SUPPORTED;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	/* Waits and writes are laid out the same. */
	rec->addr = op->waitValue.address;
	if (op->operation == CU_STREAM_MEM_OP_WAIT_VALUE_32 ||
	    op->operation == CU_STREAM_MEM_OP_WRITE_VALUE_32) {
		rec->bytes = 4;
		rec->value = op->waitValue.value;
	} else {
		rec->bytes = 8;
		rec->value = op->waitValue.value64;
	}
	return prepare(rec, *kind, op->waitValue.flags);
}

static CUresult batch(CUstream handle, bool per_thread, unsigned count,
		      const CUstreamBatchMemOpParams *ops, unsigned flags)
{
	struct sim_rec_value recs[BATCH_MAX];
	enum sim_record_kind kinds[BATCH_MAX];
	struct sim_stream *stream;
	CUresult res;

	if (count >= BATCH_MAX || (count != 0 && ops == NULL) || flags != 0)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_stream_get(handle, per_thread, &stream);
	for (unsigned i = 0; i < count && res == CUDA_SUCCESS; i++) {
		recs[i] = (struct sim_rec_value){ 0 };
		res = batch_record(&ops[i], &recs[i], &kinds[i]);
	}
	if (res == CUDA_SUCCESS)
		res = sim_capture_check(stream);
	for (unsigned i = 0; i < count && res == CUDA_SUCCESS; i++)
		if (kinds[i] != 0)
			res = enqueue(stream, kinds[i], &recs[i]);
	return res;
}

/* ---- entry points ---- */

/* The versions differ in what a driver must be told at boot to allow them, no more. */
#define VALUE(name, uint, per_thread, kind)                                            \
	SIM_EXPORT CUresult name(CUstream stream, CUdeviceptr addr, uint value,        \
				 unsigned int flags);                                  \
	SIM_EXPORT CUresult name(CUstream stream, CUdeviceptr addr, uint value,        \
				 unsigned int flags)                                   \
	{                                                                              \
		CUresult res = sim_enter(SIM_FN_##name);                               \
                                                                                       \
		return res ? res                                                       \
			   : one(stream, per_thread, kind, sizeof(value), addr, value, \
				 flags);                                               \
	}
#define VALUES(suffix, per_thread)                                                       \
	VALUE(cuStreamWaitValue32##suffix, cuuint32_t, per_thread, SIM_REC_WAIT_VALUE)   \
	VALUE(cuStreamWaitValue64##suffix, cuuint64_t, per_thread, SIM_REC_WAIT_VALUE)   \
	VALUE(cuStreamWriteValue32##suffix, cuuint32_t, per_thread, SIM_REC_WRITE_VALUE) \
	VALUE(cuStreamWriteValue64##suffix, cuuint64_t, per_thread, SIM_REC_WRITE_VALUE)

VALUES(, false)
VALUES(_ptsz, true)
VALUES(_v2, false)
VALUES(_v2_ptsz, true)

#define BATCH(name, per_thread)                                                         \
	SIM_EXPORT CUresult name(CUstream stream, unsigned int count,                   \
				 CUstreamBatchMemOpParams *paramArray,                  \
				 unsigned int flags);                                   \
	SIM_EXPORT CUresult name(CUstream stream, unsigned int count,                   \
				 CUstreamBatchMemOpParams *paramArray,                  \
				 unsigned int flags)                                    \
	{                                                                               \
		CUresult res = sim_enter(SIM_FN_##name);                                \
                                                                                        \
		return res ? res : batch(stream, per_thread, count, paramArray, flags); \
	}

BATCH(cuStreamBatchMemOp, false)
BATCH(cuStreamBatchMemOp_ptsz, true)
BATCH(cuStreamBatchMemOp_v2, false)
BATCH(cuStreamBatchMemOp_v2_ptsz, true)
