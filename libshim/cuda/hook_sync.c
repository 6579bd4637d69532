/*
 * hook_sync.c - waiting, after which pools may have given memory back, and streams that go,
 * for which nobody can wait any more and of which the gate knows nothing any more.
 *
 * Where nothing was freed in stream order since the last time, waiting costs two loads.
 */
#include "cuda/gate.h"
#include "cuda/hook.h"
#include "cuda/pool.h"

/*
 * Whether a wait may be passed on as it is: what is freed while it lasts is left to the next.
 * The driver's entry is known to whoever has an account; it may lack one.
 */
static inline bool nothing_freed(void)
{
	const struct gsh_process *process = gsh_load_acquire(&gsh_process);

	return gsh_likely(process) &&
	       gsh_likely(gsh_load_acquire(&process->mode) == GSH_MODE_ACTIVE) &&
	       gsh_likely(!gsh_compare_pid) && !gsh_pools_dirty();
}

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

__attribute__((noinline)) static CUresult streamSynchronize(CUstream hStream)
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

CUresult CUDAAPI cuStreamSynchronize(CUstream hStream)
{
	if (gsh_likely(nothing_freed()) && gsh_likely(gsh_driver.cuStreamSynchronize))
		return gsh_driver.cuStreamSynchronize(hStream);
	return streamSynchronize(hStream);
}

__attribute__((noinline)) static CUresult streamSynchronize_ptsz(CUstream hStream)
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

CUresult CUDAAPI cuStreamSynchronize_ptsz(CUstream hStream)
{
	if (gsh_likely(nothing_freed()) &&
	    gsh_likely(gsh_driver.cuStreamSynchronize_ptsz))
		return gsh_driver.cuStreamSynchronize_ptsz(hStream);
	return streamSynchronize_ptsz(hStream);
}

__attribute__((noinline)) static CUresult streamQuery(CUstream hStream)
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

CUresult CUDAAPI cuStreamQuery(CUstream hStream)
{
	if (gsh_likely(nothing_freed()) && gsh_likely(gsh_driver.cuStreamQuery))
		return gsh_driver.cuStreamQuery(hStream);
	return streamQuery(hStream);
}

__attribute__((noinline)) static CUresult streamQuery_ptsz(CUstream hStream)
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

CUresult CUDAAPI cuStreamQuery_ptsz(CUstream hStream)
{
	if (gsh_likely(nothing_freed()) && gsh_likely(gsh_driver.cuStreamQuery_ptsz))
		return gsh_driver.cuStreamQuery_ptsz(hStream);
	return streamQuery_ptsz(hStream);
}

__attribute__((noinline)) static CUresult eventSynchronize(CUevent hEvent)
{
	CUresult res;

	GSH_NEED(cuEventSynchronize);
	res = enter();
	return res != CUDA_SUCCESS ? res
				   : event_done(gsh_driver.cuEventSynchronize(hEvent));
}

CUresult CUDAAPI cuEventSynchronize(CUevent hEvent)
{
	if (gsh_likely(nothing_freed()) && gsh_likely(gsh_driver.cuEventSynchronize))
		return gsh_driver.cuEventSynchronize(hEvent);
	return eventSynchronize(hEvent);
}

__attribute__((noinline)) static CUresult eventQuery(CUevent hEvent)
{
	CUresult res;

	GSH_NEED(cuEventQuery);
	res = enter();
	return res != CUDA_SUCCESS ? res : event_done(gsh_driver.cuEventQuery(hEvent));
}

CUresult CUDAAPI cuEventQuery(CUevent hEvent)
{
	if (gsh_likely(nothing_freed()) && gsh_likely(gsh_driver.cuEventQuery))
		return gsh_driver.cuEventQuery(hEvent);
	return eventQuery(hEvent);
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
	if (gsh_load_relaxed(&gsh_process->mode) != GSH_MODE_ACTIVE)
		return;
	gsh_pools_stream_goes(stream);
	gsh_gate_stream_gone((uintptr_t)stream);
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
