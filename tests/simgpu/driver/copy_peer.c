/*
 * copy_peer.c - copies between contexts.
 *
 * Knows: that the synchronous ones stand in the order of three contexts, that of the caller,
 * of the source and of the destination, as the manual of cudaMemcpyPeer says. Refuses to
 * know: how copies run (copy.c).
 */
#include "driver/copy.h"

#include "driver/capture.h"
#include "driver/event.h"

/* Puts what is submitted to `after` from now on behind what `before` has so far. */
static CUresult follow(struct sim_stream *after, struct sim_stream *before)
{
	struct sim_event *event = sim_event_new(before->ctx, CU_EVENT_DISABLE_TIMING);
	struct sim_rec_event rec = { 0 };
	CUresult res;
	uint64_t seq;

	if (event == NULL)
		return CUDA_ERROR_OUT_OF_MEMORY;
	rec.slot = event->slot;
	rec.gen = sim_event_begin_record(event);
	res = sim_submit(before, SIM_REC_EVENT_RECORD, &rec, sizeof(rec), NULL, 0, &seq);
	if (res == CUDA_SUCCESS) {
		sim_event_recorded(event, before, rec.gen, seq);
		res = sim_submit(after, SIM_REC_EVENT_WAIT, &rec, sizeof(rec), NULL, 0,
				 NULL);
	}
	sim_event_free(event);
	return res;
}

/* A copy between contexts. A synchronous one waits for their legacy streams, and these wait
 * for it: with them stands everything but non-blocking streams. */
static CUresult copy_between(struct sim_stream *stream, const struct sim_rec_copy *copy,
			     bool sync, struct sim_context *dst, struct sim_context *src)
{
	struct sim_context *others[2] = { dst, src == dst ? stream->ctx : src };
	CUresult res;

	if (!sync || sim.zero_cost)
		return sim_copy(stream, copy, sync);
	/* Whatever would refuse the copy does so before anything is submitted. */
	res = sim_capture_guard();
	if (res == CUDA_SUCCESS)
		res = sim_capture_check(stream);
	if (res == CUDA_SUCCESS)
		res = sim_copy_check(copy);
	for (int i = 0; i < 2 && res == CUDA_SUCCESS; i++)
		if (others[i] != stream->ctx)
			res = sim_capture_check(others[i]->legacy);
	for (int i = 0; i < 2 && res == CUDA_SUCCESS; i++)
		if (others[i] != stream->ctx)
			res = follow(stream, others[i]->legacy);
	if (res == CUDA_SUCCESS)
		res = sim_copy(stream, copy, true);
	for (int i = 0; i < 2 && res == CUDA_SUCCESS; i++)
		if (others[i] != stream->ctx)
			res = follow(others[i]->legacy, stream);
	return res;
}

static CUresult get_both(CUcontext dst_handle, struct sim_context **dst,
			 CUcontext src_handle, struct sim_context **src)
{
	CUresult res = sim_context_get(dst_handle, dst);

	return res == CUDA_SUCCESS ? sim_context_get(src_handle, src) : res;
}

static CUresult linear(enum sim_fn fn, bool per_thread, bool sync, uint64_t dst,
		       CUcontext dst_handle, uint64_t src, CUcontext src_handle,
		       uint64_t bytes, CUstream handle)
{
	struct sim_rec_copy copy;
	struct sim_stream *stream;
	struct sim_context *dst_ctx, *src_ctx;
	CUresult res = sim_enter(fn);

	if (res == CUDA_SUCCESS)
		res = sim_stream_get(handle, per_thread, &stream);
	if (res == CUDA_SUCCESS)
		res = get_both(dst_handle, &dst_ctx, src_handle, &src_ctx);
	if (res != CUDA_SUCCESS)
		return res;
	sim_copy_linear(&copy, dst, src, bytes);
	return copy_between(stream, &copy, sync, dst_ctx, src_ctx);
}

static CUresult cuboid(enum sim_fn fn, bool per_thread, bool sync,
		       const CUDA_MEMCPY3D_PEER *in, CUstream handle)
{
	struct sim_rec_copy copy;
	struct sim_stream *stream;
	struct sim_context *dst, *src;
	CUresult res = sim_enter(fn);

	if (res == CUDA_SUCCESS)
		res = sim_stream_get(handle, per_thread, &stream);
	if (res == CUDA_SUCCESS)
		res = sim_copy_from_3d_peer(in, &copy);
	if (res == CUDA_SUCCESS)
		res = get_both(in->dstContext, &dst, in->srcContext, &src);
	return res == CUDA_SUCCESS ? copy_between(stream, &copy, sync, dst, src) : res;
}

SIM_EXPORT CUresult cuMemcpyPeer(CUdeviceptr dstDevice, CUcontext dstContext,
				 CUdeviceptr srcDevice, CUcontext srcContext,
				 size_t ByteCount)
{
	return linear(SIM_FN_cuMemcpyPeer, false, true, dstDevice, dstContext, srcDevice,
		      srcContext, ByteCount, NULL);
}

SIM_EXPORT CUresult cuMemcpyPeer_ptds(CUdeviceptr dstDevice, CUcontext dstContext,
				      CUdeviceptr srcDevice, CUcontext srcContext,
				      size_t ByteCount)
{
	return linear(SIM_FN_cuMemcpyPeer_ptds, true, true, dstDevice, dstContext,
		      srcDevice, srcContext, ByteCount, NULL);
}

SIM_EXPORT CUresult cuMemcpyPeerAsync(CUdeviceptr dstDevice, CUcontext dstContext,
				      CUdeviceptr srcDevice, CUcontext srcContext,
				      size_t ByteCount, CUstream hStream)
{
	return linear(SIM_FN_cuMemcpyPeerAsync, false, false, dstDevice, dstContext,
		      srcDevice, srcContext, ByteCount, hStream);
}

SIM_EXPORT CUresult cuMemcpyPeerAsync_ptsz(CUdeviceptr dstDevice, CUcontext dstContext,
					   CUdeviceptr srcDevice, CUcontext srcContext,
					   size_t ByteCount, CUstream hStream)
{
	return linear(SIM_FN_cuMemcpyPeerAsync_ptsz, true, false, dstDevice, dstContext,
		      srcDevice, srcContext, ByteCount, hStream);
}

SIM_EXPORT CUresult cuMemcpy3DPeer(const CUDA_MEMCPY3D_PEER *pCopy)
{
	return cuboid(SIM_FN_cuMemcpy3DPeer, false, true, pCopy, NULL);
}

SIM_EXPORT CUresult cuMemcpy3DPeer_ptds(const CUDA_MEMCPY3D_PEER *pCopy)
{
	return cuboid(SIM_FN_cuMemcpy3DPeer_ptds, true, true, pCopy, NULL);
}

SIM_EXPORT CUresult cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D_PEER *pCopy, CUstream hStream)
{
	return cuboid(SIM_FN_cuMemcpy3DPeerAsync, false, false, pCopy, hStream);
}

SIM_EXPORT CUresult cuMemcpy3DPeerAsync_ptsz(const CUDA_MEMCPY3D_PEER *pCopy,
					     CUstream hStream)
{
	return cuboid(SIM_FN_cuMemcpy3DPeerAsync_ptsz, true, false, pCopy, hStream);
}
