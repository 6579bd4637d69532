/*
 * hook_sync.c - waiting, after which pools may have given memory back, and streams that go,
 * for which nobody can wait any more.
 *
 * Where nothing was freed in stream order since the last time, waiting costs two loads.
 */
#include "cuda/hook.h"
#include "cuda/pool.h"

static CUresult enter(void)
{
	return gsh_likely(gsh_enter() == GSH_MODE_ACTIVE) ? CUDA_SUCCESS : gsh_inactive();
}

static CUresult stream_done(CUresult res, CUstream stream, bool per_thread, uint64_t mark)
{
	if (res == CUDA_SUCCESS && gsh_pools_dirty())
		gsh_pools_synchronised(gsh_pool_stream(stream, per_thread), 0, mark);
	return res;
}

static CUresult event_done(CUresult res)
{
	if (res == CUDA_SUCCESS && gsh_pools_dirty())
		gsh_pools_synchronised(0, 0, 0);
	return res;
}

CUresult CUDAAPI cuStreamSynchronize(CUstream hStream)
{
	CUresult res;
	uint64_t mark;

	GSH_NEED(cuStreamSynchronize);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	mark = gsh_pools_mark();
	res = gsh_driver.cuStreamSynchronize(hStream);
	return stream_done(res, hStream, false, mark);
}

CUresult CUDAAPI cuStreamSynchronize_ptsz(CUstream hStream)
{
	CUresult res;
	uint64_t mark;

	GSH_NEED(cuStreamSynchronize_ptsz);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	mark = gsh_pools_mark();
	res = gsh_driver.cuStreamSynchronize_ptsz(hStream);
	return stream_done(res, hStream, true, mark);
}

CUresult CUDAAPI cuStreamQuery(CUstream hStream)
{
	CUresult res;
	uint64_t mark;

	GSH_NEED(cuStreamQuery);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	mark = gsh_pools_mark();
	res = gsh_driver.cuStreamQuery(hStream);
	return stream_done(res, hStream, false, mark);
}

CUresult CUDAAPI cuStreamQuery_ptsz(CUstream hStream)
{
	CUresult res;
	uint64_t mark;

	GSH_NEED(cuStreamQuery_ptsz);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	mark = gsh_pools_mark();
	res = gsh_driver.cuStreamQuery_ptsz(hStream);
	return stream_done(res, hStream, true, mark);
}

CUresult CUDAAPI cuEventSynchronize(CUevent hEvent)
{
	CUresult res;

	GSH_NEED(cuEventSynchronize);
	res = enter();
	return res != CUDA_SUCCESS ? res
				   : event_done(gsh_driver.cuEventSynchronize(hEvent));
}

CUresult CUDAAPI cuEventQuery(CUevent hEvent)
{
	CUresult res;

	GSH_NEED(cuEventQuery);
	res = enter();
	return res != CUDA_SUCCESS ? res : event_done(gsh_driver.cuEventQuery(hEvent));
}

CUresult CUDAAPI cuCtxSynchronize(void)
{
	CUcontext context = NULL;
	CUresult res;
	uint64_t mark;

	GSH_NEED(cuCtxSynchronize);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	mark = gsh_pools_mark();
	res = gsh_driver.cuCtxSynchronize();
	if (res == CUDA_SUCCESS && gsh_pools_dirty()) {
		gsh_driver.call_cuCtxGetCurrent(&context);
		gsh_pools_synchronised(0, (uintptr_t)context, mark);
	}
	return res;
}

CUresult CUDAAPI cuCtxSynchronize_v2(CUcontext ctx)
{
	CUresult res;
	uint64_t mark;

	GSH_NEED(cuCtxSynchronize_v2);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	mark = gsh_pools_mark();
	res = gsh_driver.cuCtxSynchronize_v2(ctx);
	if (res == CUDA_SUCCESS && gsh_pools_dirty())
		gsh_pools_synchronised(0, (uintptr_t)ctx, mark);
	return res;
}

/* ---- streams that go ---- */

static void stream_goes(CUstream stream)
{
	if (gsh_load_relaxed(&gsh_process->mode) == GSH_MODE_ACTIVE)
		gsh_pools_stream_goes(stream);
}

CUresult CUDAAPI cuStreamDestroy(CUstream hStream)
{
	CUresult res;

	GSH_NEED(cuStreamDestroy);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	stream_goes(hStream);
	return gsh_driver.cuStreamDestroy(hStream);
}

CUresult CUDAAPI cuStreamDestroy_v2(CUstream hStream)
{
	CUresult res;

	GSH_NEED(cuStreamDestroy_v2);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	stream_goes(hStream);
	return gsh_driver.cuStreamDestroy_v2(hStream);
}
