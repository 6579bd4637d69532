/*
 * capture.h - how work becomes graph nodes instead of running.
 *
 * Knows: which calls are captured, prohibited or implicit during stream capture. Refuses to
 * know: how nodes are kept (graph.h).
 *
 * How a family uses it, after sim_enter() and sim_stream_get():
 *
 *	res = sim_capture_check(stream);     -- CUDA_ERROR_STREAM_CAPTURE_IMPLICIT and so on
 *	if (res != CUDA_SUCCESS)
 *		return res;
 *	if (atomic_load(&stream->capture) != NULL)
 *		return sim_capture_memset(stream, &rec);
 *	return sim_submit(stream, SIM_REC_MEMSET, &rec, sizeof(rec), NULL, 0, NULL);
 *
 * and calls that are unsafe while a capture in another mode than relaxed is open
 * (allocations, synchronisation, event queries, module loading ...) begin with
 * sim_capture_guard(). Both cost one load while nothing captures in the process.
 */
#ifndef SIM_CAPTURE_H
#define SIM_CAPTURE_H

#include "driver/driver.h"

/* Number of captures open in this process. */
extern _Atomic uint32_t sim_captures_open;

CUresult sim_capture_guard_slow(void);
CUresult sim_capture_check_slow(struct sim_stream *stream);

/* CUDA_SUCCESS, or CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED (900) after invalidating the
 * captures that the calling thread's mode forbids to disturb. */
static inline CUresult sim_capture_guard(void)
{
	if (atomic_load_explicit(&sim_captures_open, memory_order_relaxed) == 0)
		return CUDA_SUCCESS;
	return sim_capture_guard_slow();
}

/* For work about to be put into a stream: CUDA_SUCCESS (then look at stream->capture),
 * CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, or _IMPLICIT (906) for the legacy stream while a
 * blocking stream of the context captures. */
static inline CUresult sim_capture_check(struct sim_stream *stream)
{
	if (atomic_load_explicit(&sim_captures_open, memory_order_relaxed) == 0)
		return CUDA_SUCCESS;
	return sim_capture_check_slow(stream);
}

/* Each adds one node to the stream's capture; the stream's dependencies become that node.
 * Everything given is copied. */
CUresult sim_capture_kernel(struct sim_stream *stream, struct sim_function *function,
			    const struct sim_rec_kernel *rec, const void *params);
CUresult sim_capture_memset(struct sim_stream *stream, const struct sim_rec_memset *rec);
CUresult sim_capture_copy(struct sim_stream *stream, const struct sim_rec_copy *rec);
CUresult sim_capture_host(struct sim_stream *stream, CUhostFn fn, void *data);
CUresult sim_capture_value(struct sim_stream *stream, enum sim_record_kind kind,
			   const struct sim_rec_value *rec);
CUresult sim_capture_alloc(struct sim_stream *stream, unsigned device, uint64_t bytes,
			   CUdeviceptr *addr);
CUresult sim_capture_free(struct sim_stream *stream, CUdeviceptr addr);
CUresult sim_capture_event_record(struct sim_stream *stream, struct sim_event *event,
				  unsigned flags);
/* The stream joins the capture the event was recorded in (it need not capture yet), or, for
 * an event recorded outside, fails with _ISOLATION unless flags say external. */
CUresult sim_capture_event_wait(struct sim_stream *stream, struct sim_event *event,
				unsigned flags);

/* For what a stream that captures cannot take at all (queries, synchronisation, calls that
 * have no node): invalidates its capture and returns _UNSUPPORTED (900). */
CUresult sim_capture_prohibited(struct sim_stream *stream);
/* The same for an event recorded in a capture, which is queried or waited for: 907. */
CUresult sim_capture_event_touched(struct sim_event *event);

#endif
