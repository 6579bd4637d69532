/*
 * stream_calls.c - what applications ask of streams: creation, queries, waits, attributes.
 *
 * Knows: the arguments of these calls and their errors, and the _ptsz twins, which differ in
 * what a NULL handle means. Refuses to know: how streams are kept (stream.c).
 */
#include "driver/stream.h"

#include "driver/capture.h"
#include "driver/client.h"
#include "driver/event.h"

/* ---- creation and destruction ---- */

static CUresult create(CUstream *handle, unsigned flags, int priority)
{
	struct sim_context *ctx;
	struct sim_stream *stream;
	CUresult res;

	if (handle == NULL || (flags & ~(unsigned)CU_STREAM_NON_BLOCKING) != 0)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_need_context(&ctx);
	if (res != CUDA_SUCCESS)
		return res;
	if (priority > SIM_PRIORITY_LEAST)
		priority = SIM_PRIORITY_LEAST;
	if (priority < SIM_PRIORITY_GREATEST)
		priority = SIM_PRIORITY_GREATEST;
	res = sim_stream_make(ctx, flags,
			      (flags & CU_STREAM_NON_BLOCKING) != 0 ? SIM_SF_NONBLOCKING
								    : 0,
			      priority, &stream);
	if (res == CUDA_SUCCESS)
		*handle = (CUstream)stream;
	return res;
}

SIM_EXPORT CUresult cuStreamCreate(CUstream *stream, unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuStreamCreate);

	return res != CUDA_SUCCESS ? res : create(stream, flags, SIM_PRIORITY_LEAST);
}

SIM_EXPORT CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned int flags,
					       int priority)
{
	CUresult res = sim_enter(SIM_FN_cuStreamCreateWithPriority);

	return res != CUDA_SUCCESS ? res : create(stream, flags, priority);
}

static CUresult destroy(CUstream handle)
{
	struct sim_stream *stream = (struct sim_stream *)handle;

	/* Default streams are not the application's to destroy. */
	if (!sim_object_check(handle, SIM_T_STREAM) ||
	    (stream->sim_flags & (SIM_SF_LEGACY | SIM_SF_PER_THREAD)) != 0)
		return CUDA_ERROR_INVALID_HANDLE;
	if (atomic_load_explicit(&stream->capture, memory_order_relaxed) != NULL)
		return sim_capture_prohibited(stream);
	sim_stream_unmake(stream);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuStreamDestroy(CUstream stream)
{
	CUresult res = sim_enter(SIM_FN_cuStreamDestroy);

	return res != CUDA_SUCCESS ? res : destroy(stream);
}

SIM_EXPORT CUresult cuStreamDestroy_v2(CUstream stream)
{
	CUresult res = sim_enter(SIM_FN_cuStreamDestroy_v2);

	return res != CUDA_SUCCESS ? res : destroy(stream);
}

/* ---- completion ---- */

/* The stream of a handle, to be looked at from the host: not while it captures. */
static CUresult get_uncaptured(CUstream handle, bool per_thread,
			       struct sim_stream **stream)
{
	CUresult res = sim_stream_get(handle, per_thread, stream);

	if (res == CUDA_SUCCESS)
		res = sim_capture_guard();
	if (res == CUDA_SUCCESS)
		res = sim_capture_check(*stream);
	if (res == CUDA_SUCCESS &&
	    atomic_load_explicit(&(*stream)->capture, memory_order_relaxed) != NULL)
		res = sim_capture_prohibited(*stream);
	return res;
}

static CUresult query(CUstream handle, bool per_thread)
{
	struct sim_stream *stream;
	CUresult res = get_uncaptured(handle, per_thread, &stream);

	if (res != CUDA_SUCCESS)
		return res;
	if (!sim_stream_idle(stream))
		res = CUDA_ERROR_NOT_READY;
	/* An error of the work that completed comes before its completion. */
	return sim_client_error() != CUDA_SUCCESS ? sim_client_error() : res;
}

SIM_EXPORT CUresult cuStreamQuery(CUstream stream)
{
	CUresult res = sim_enter(SIM_FN_cuStreamQuery);

	return res != CUDA_SUCCESS ? res : query(stream, false);
}

SIM_EXPORT CUresult cuStreamQuery_ptsz(CUstream stream)
{
	CUresult res = sim_enter(SIM_FN_cuStreamQuery_ptsz);

	return res != CUDA_SUCCESS ? res : query(stream, true);
}

static CUresult synchronize(CUstream handle, bool per_thread)
{
	struct sim_stream *stream;
	CUresult res = get_uncaptured(handle, per_thread, &stream);

	if (res == CUDA_SUCCESS)
		res = sim_stream_drain(stream);
	if (res == CUDA_SUCCESS)
		sim_context_synced(stream->ctx);
	return res;
}

SIM_EXPORT CUresult cuStreamSynchronize(CUstream stream)
{
	CUresult res = sim_enter(SIM_FN_cuStreamSynchronize);

	return res != CUDA_SUCCESS ? res : synchronize(stream, false);
}

SIM_EXPORT CUresult cuStreamSynchronize_ptsz(CUstream stream)
{
	CUresult res = sim_enter(SIM_FN_cuStreamSynchronize_ptsz);

	return res != CUDA_SUCCESS ? res : synchronize(stream, true);
}

/* ---- waiting for events ---- */

static CUresult wait_event(CUstream handle, CUevent event_handle, unsigned flags,
			   bool per_thread)
{
	struct sim_stream *stream;
	struct sim_event *event;
	struct sim_rec_event rec = { 0 };
	CUresult res = sim_stream_get(handle, per_thread, &stream);

	if (res == CUDA_SUCCESS)
		res = sim_event_get(event_handle, &event);
	if (res != CUDA_SUCCESS)
		return res;
	if ((flags & ~(unsigned)CU_EVENT_WAIT_EXTERNAL) != 0)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_capture_check(stream);
	if (res != CUDA_SUCCESS)
		return res;
	if (atomic_load_explicit(&stream->capture, memory_order_relaxed) != NULL ||
	    sim_event_mark(event).captured)
		return sim_capture_event_wait(stream, event, flags);
	if (flags != 0)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sim_event_target(event, &rec))
		return CUDA_SUCCESS;
	return sim_submit(stream, SIM_REC_EVENT_WAIT, &rec, sizeof(rec), NULL, 0, NULL);
}

SIM_EXPORT CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuStreamWaitEvent);

	return res != CUDA_SUCCESS ? res : wait_event(stream, event, flags, false);
}

SIM_EXPORT CUresult cuStreamWaitEvent_ptsz(CUstream stream, CUevent event,
					   unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuStreamWaitEvent_ptsz);

	return res != CUDA_SUCCESS ? res : wait_event(stream, event, flags, true);
}

/* ---- managed memory ---- */

static CUresult attach(CUstream handle, CUdeviceptr addr, size_t bytes, unsigned flags,
		       bool per_thread)
{
	struct sim_stream *stream;
	struct sim_range range;
	CUresult res = sim_stream_get(handle, per_thread, &stream);

	if (res != CUDA_SUCCESS)
		return res;
	if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST &&
	    flags != CU_MEM_ATTACH_SINGLE)
		return CUDA_ERROR_INVALID_VALUE;
	if (flags == CU_MEM_ATTACH_SINGLE && (stream->sim_flags & SIM_SF_LEGACY) != 0)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_mem_range(addr, &range);
	if (res != CUDA_SUCCESS)
		return CUDA_ERROR_INVALID_VALUE;
	/* Zero bytes mean the whole allocation; parts of one cannot be attached. */
	if (range.kind != SIM_MEM_MANAGED || range.base != addr ||
	    (bytes != 0 && bytes != range.bytes))
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_capture_check(stream);
	if (res != CUDA_SUCCESS)
		return res;
	if (atomic_load_explicit(&stream->capture, memory_order_relaxed) != NULL)
		return sim_capture_prohibited(stream);
	return sim_submit(stream, SIM_REC_MARKER, NULL, 0, NULL, 0, NULL);
}

SIM_EXPORT CUresult cuStreamAttachMemAsync(CUstream stream, CUdeviceptr dptr,
					   size_t length, unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuStreamAttachMemAsync);

	return res != CUDA_SUCCESS ? res : attach(stream, dptr, length, flags, false);
}

SIM_EXPORT CUresult cuStreamAttachMemAsync_ptsz(CUstream stream, CUdeviceptr dptr,
						size_t length, unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuStreamAttachMemAsync_ptsz);

	return res != CUDA_SUCCESS ? res : attach(stream, dptr, length, flags, true);
}
