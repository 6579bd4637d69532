/*
 * event_calls.c - what applications ask of events.
 *
 * Knows: arguments and errors, and that times have a resolution of half a microsecond.
 * Refuses to know: slots and generations (event.c).
 */
#include "driver/event.h"

#include "driver/capture.h"
#include "driver/client.h"

#define RESOLUTION_NS 500

SIM_EXPORT CUresult cuEventCreate(CUevent *phEvent, unsigned int flags)
{
	const unsigned known = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING |
			       CU_EVENT_INTERPROCESS;
	CUresult res = sim_enter(SIM_FN_cuEventCreate);
	struct sim_context *ctx;
	struct sim_event *event;

	if (res != CUDA_SUCCESS)
		return res;
	if (phEvent == NULL || (flags & ~known) != 0 ||
	    ((flags & CU_EVENT_INTERPROCESS) != 0 &&
	     (flags & CU_EVENT_DISABLE_TIMING) == 0))
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_need_context(&ctx);
	if (res != CUDA_SUCCESS)
		return res;
	event = sim_event_new(ctx, flags);
	if (event == NULL)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*phEvent = (CUevent)event;
	return CUDA_SUCCESS;
}

static CUresult destroy(CUevent handle)
{
	struct sim_event *event;
	CUresult res = sim_event_get(handle, &event);

	if (res == CUDA_SUCCESS)
		sim_event_free(event);
	return res;
}

SIM_EXPORT CUresult cuEventDestroy(CUevent event)
{
	CUresult res = sim_enter(SIM_FN_cuEventDestroy);

	return res != CUDA_SUCCESS ? res : destroy(event);
}

SIM_EXPORT CUresult cuEventDestroy_v2(CUevent event)
{
	CUresult res = sim_enter(SIM_FN_cuEventDestroy_v2);

	return res != CUDA_SUCCESS ? res : destroy(event);
}

/* ---- recording ---- */

static CUresult record(CUevent event_handle, CUstream handle, unsigned flags,
		       bool per_thread)
{
	struct sim_stream *stream;
	struct sim_event *event;
	struct sim_rec_event rec = { 0 };
	uint64_t seq;
	CUresult res = sim_event_get(event_handle, &event);

	if (res == CUDA_SUCCESS)
		res = sim_stream_get(handle, per_thread, &stream);
	if (res != CUDA_SUCCESS)
		return res;
	if ((flags & ~(unsigned)CU_EVENT_RECORD_EXTERNAL) != 0)
		return CUDA_ERROR_INVALID_VALUE;
	if (event->ctx != stream->ctx)
		return CUDA_ERROR_INVALID_HANDLE;
	res = sim_capture_check(stream);
	if (res != CUDA_SUCCESS)
		return res;
	if (atomic_load_explicit(&stream->capture, memory_order_relaxed) != NULL)
		return sim_capture_event_record(stream, event, flags);
	if (flags != 0)
		return CUDA_ERROR_INVALID_VALUE;
	rec.slot = event->slot;
	rec.gen = sim_event_begin_record(event);
	res = sim_submit(stream, SIM_REC_EVENT_RECORD, &rec, sizeof(rec), NULL, 0, &seq);
	if (res == CUDA_SUCCESS)
		sim_event_recorded(event, stream, rec.gen, seq);
	return res;
}

SIM_EXPORT CUresult cuEventRecord(CUevent event, CUstream stream)
{
	CUresult res = sim_enter(SIM_FN_cuEventRecord);

	return res != CUDA_SUCCESS ? res : record(event, stream, 0, false);
}

SIM_EXPORT CUresult cuEventRecord_ptsz(CUevent event, CUstream stream)
{
	CUresult res = sim_enter(SIM_FN_cuEventRecord_ptsz);

	return res != CUDA_SUCCESS ? res : record(event, stream, 0, true);
}

SIM_EXPORT CUresult cuEventRecordWithFlags(CUevent event, CUstream stream,
					   unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuEventRecordWithFlags);

	return res != CUDA_SUCCESS ? res : record(event, stream, flags, false);
}

SIM_EXPORT CUresult cuEventRecordWithFlags_ptsz(CUevent event, CUstream stream,
						unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuEventRecordWithFlags_ptsz);

	return res != CUDA_SUCCESS ? res : record(event, stream, flags, true);
}

/* ---- completion ---- */

/* The event and its last record, to be looked at from the host. */
static CUresult look(CUevent handle, struct sim_event **event,
		     struct sim_event_mark *mark)
{
	CUresult res = sim_event_get(handle, event);

	if (res == CUDA_SUCCESS)
		res = sim_capture_guard();
	if (res != CUDA_SUCCESS)
		return res;
	*mark = sim_event_mark(*event);
	return mark->captured ? sim_capture_event_touched(*event) : CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuEventQuery(CUevent hEvent)
{
	CUresult res = sim_enter(SIM_FN_cuEventQuery);
	struct sim_event_mark mark;
	struct sim_event *event;

	if (res != CUDA_SUCCESS)
		return res;
	res = look(hEvent, &event, &mark);
	if (res != CUDA_SUCCESS)
		return res;
	if (!sim_event_poll(event, &mark))
		res = CUDA_ERROR_NOT_READY;
	return sim_client_error() != CUDA_SUCCESS ? sim_client_error() : res;
}

SIM_EXPORT CUresult cuEventSynchronize(CUevent hEvent)
{
	CUresult res = sim_enter(SIM_FN_cuEventSynchronize);
	struct sim_event_mark mark;
	struct sim_event *event;

	if (res != CUDA_SUCCESS)
		return res;
	res = look(hEvent, &event, &mark);
	if (res == CUDA_SUCCESS)
		res = sim_event_wait(event, &mark);
	if (res == CUDA_SUCCESS)
		sim_context_synced(event->ctx);
	return res;
}

/* ---- time ---- */

/* When an event that can be timed completed, in steps of the resolution. */
static CUresult timed(CUevent handle, struct sim_context **ctx, uint64_t *steps)
{
	struct sim_event_mark mark;
	struct sim_event *event;
	CUresult res = sim_event_get(handle, &event);

	if (res != CUDA_SUCCESS)
		return res;
	mark = sim_event_mark(event);
	if (mark.captured)
		return CUDA_ERROR_CAPTURED_EVENT;
	if ((event->flags & CU_EVENT_DISABLE_TIMING) != 0 || !mark.recorded)
		return CUDA_ERROR_INVALID_HANDLE;
	*ctx = event->ctx;
	if (!sim_event_poll(event, &mark))
		return CUDA_ERROR_NOT_READY;
	*steps = sim_event_time_ns(event, &mark) / RESOLUTION_NS;
	return CUDA_SUCCESS;
}

static CUresult elapsed(float *milliseconds, CUevent start, CUevent end)
{
	struct sim_context *start_ctx = NULL, *end_ctx = NULL;
	uint64_t from = 0, to = 0;
	CUresult start_res, end_res;

	if (milliseconds == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	/* What is wrong with a handle is said before what is not ready. */
	start_res = timed(start, &start_ctx, &from);
	end_res = timed(end, &end_ctx, &to);
	if (start_res != CUDA_SUCCESS && start_res != CUDA_ERROR_NOT_READY)
		return start_res;
	if (end_res != CUDA_SUCCESS && end_res != CUDA_ERROR_NOT_READY)
		return end_res;
	if (start_ctx != end_ctx)
		return CUDA_ERROR_INVALID_HANDLE;
	if (start_res != CUDA_SUCCESS || end_res != CUDA_SUCCESS)
		return CUDA_ERROR_NOT_READY;
	*milliseconds = (float)((double)(int64_t)(to - from) * RESOLUTION_NS / 1e6);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuEventElapsedTime(float *milliseconds, CUevent start, CUevent end)
{
	CUresult res = sim_enter(SIM_FN_cuEventElapsedTime);

	return res != CUDA_SUCCESS ? res : elapsed(milliseconds, start, end);
}

SIM_EXPORT CUresult cuEventElapsedTime_v2(float *milliseconds, CUevent start, CUevent end)
{
	CUresult res = sim_enter(SIM_FN_cuEventElapsedTime_v2);

	return res != CUDA_SUCCESS ? res : elapsed(milliseconds, start, end);
}
