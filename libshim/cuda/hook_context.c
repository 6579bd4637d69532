/*
 * hook_context.c - contexts made and destroyed, primary ones retained, released and reset.
 *
 * Knows which calls make or unmake a context. What that costs and gives back is context.c's
 * to know.
 */
#include "cuda/claim.h"
#include "cuda/context.h"
#include "cuda/hook.h"

static CUresult settle_context(struct gsh_claim *claim, CUresult res,
			       const CUcontext *context)
{
	return gsh_claim_settle(claim, res, GSH_ALLOC_CONTEXT,
				res == CUDA_SUCCESS && context ? (uintptr_t)*context : 0);
}

CUresult CUDAAPI cuCtxCreate(CUcontext *pctx, unsigned int flags, CUdevice dev)
{
	struct gsh_claim claim;
	CUresult res;

	GSH_NEED(cuCtxCreate);
	res = gsh_claim_context(&claim, dev);
	if (res != CUDA_SUCCESS)
		return res;
	res = gsh_driver.cuCtxCreate(pctx, flags, dev);
	return settle_context(&claim, res, pctx);
}

CUresult CUDAAPI cuCtxCreate_v2(CUcontext *pctx, unsigned int flags, CUdevice dev)
{
	struct gsh_claim claim;
	CUresult res;

	GSH_NEED(cuCtxCreate_v2);
	res = gsh_claim_context(&claim, dev);
	if (res != CUDA_SUCCESS)
		return res;
	res = gsh_driver.cuCtxCreate_v2(pctx, flags, dev);
	return settle_context(&claim, res, pctx);
}

CUresult CUDAAPI cuCtxCreate_v3(CUcontext *pctx, CUexecAffinityParam *paramsArray,
				int numParams, unsigned int flags, CUdevice dev)
{
	struct gsh_claim claim;
	CUresult res;

	GSH_NEED(cuCtxCreate_v3);
	res = gsh_claim_context(&claim, dev);
	if (res != CUDA_SUCCESS)
		return res;
	res = gsh_driver.cuCtxCreate_v3(pctx, paramsArray, numParams, flags, dev);
	return settle_context(&claim, res, pctx);
}

CUresult CUDAAPI cuCtxCreate_v4(CUcontext *pctx, CUctxCreateParams *ctxCreateParams,
				unsigned int flags, CUdevice dev)
{
	struct gsh_claim claim;
	CUresult res;

	GSH_NEED(cuCtxCreate_v4);
	res = gsh_claim_context(&claim, dev);
	if (res != CUDA_SUCCESS)
		return res;
	res = gsh_driver.cuCtxCreate_v4(pctx, ctxCreateParams, flags, dev);
	return settle_context(&claim, res, pctx);
}

/* ---- destroyed ---- */

/* True: the process is limited, and what the context holds is marked. */
static bool mark(CUcontext context, uint64_t *marked, CUresult *res)
{
	*marked = 0;
	*res = CUDA_SUCCESS;
	if (gsh_enter() == GSH_MODE_ACTIVE)
		*marked = gsh_context_mark((uintptr_t)context);
	else
		*res = gsh_inactive();
	return *res == CUDA_SUCCESS;
}

CUresult CUDAAPI cuCtxDestroy_v2(CUcontext ctx)
{
	uint64_t marked;
	CUresult res;

	GSH_NEED(cuCtxDestroy_v2);
	if (!mark(ctx, &marked, &res))
		return res;
	res = gsh_driver.cuCtxDestroy_v2(ctx);
	gsh_context_settle((uintptr_t)ctx, marked, gsh_release_happened(res));
	return res;
}

CUresult CUDAAPI cuCtxDestroy(CUcontext ctx)
{
	uint64_t marked;
	CUresult res;

	GSH_NEED(cuCtxDestroy);
	if (!mark(ctx, &marked, &res))
		return res;
	res = gsh_driver.cuCtxDestroy(ctx);
	gsh_context_settle((uintptr_t)ctx, marked, gsh_release_happened(res));
	return res;
}

/* Only the last one attached destroys it, and then it is not current any more: it had to be
 * current for this call. Where it still lies on the thread's stack, it is dead there. */
static bool is_current(CUcontext ctx)
{
	CUcontext current = NULL;
	CUdevice ordinal;

	return gsh_driver.call_cuCtxGetCurrent(&current) == CUDA_SUCCESS &&
	       current == ctx && gsh_driver.call_cuCtxGetDevice(&ordinal) == CUDA_SUCCESS;
}

CUresult CUDAAPI cuCtxDetach(CUcontext ctx)
{
	uint64_t marked;
	CUresult res;

	GSH_NEED(cuCtxDetach);
	if (!mark(ctx, &marked, &res))
		return res;
	res = gsh_driver.cuCtxDetach(ctx);
	gsh_context_settle((uintptr_t)ctx, marked,
			   gsh_release_happened(res) && !is_current(ctx));
	return res;
}

/* ---- primary contexts ---- */

static bool is_active(CUdevice dev)
{
	unsigned int flags;
	int active = 0;

	return gsh_driver.call_cuDevicePrimaryCtxGetState &&
	       gsh_driver.call_cuDevicePrimaryCtxGetState(dev, &flags, &active) ==
		       CUDA_SUCCESS &&
	       active;
}

static struct gsh_lock *lock_of(CUdevice dev)
{
	const int locks = sizeof(gsh_process->contexts.primary_lock) /
			  sizeof(gsh_process->contexts.primary_lock[0]);

	return dev >= 0 && dev < locks ? &gsh_process->contexts.primary_lock[dev] : NULL;
}

/* Under the device's lock. */
static CUresult retain(CUcontext *pctx, CUdevice dev)
{
	struct gsh_claim claim = { .counted = false };
	const bool active = is_active(dev);
	CUresult res = active ? CUDA_SUCCESS : gsh_claim_context(&claim, dev);
	int row;

	if (res != CUDA_SUCCESS)
		return res;
	res = gsh_driver.cuDevicePrimaryCtxRetain(pctx, dev);
	res = settle_context(&claim, res, pctx);
	if (active && res == CUDA_SUCCESS && pctx) {
		row = gsh_device_row(dev);
		if (row >= 0)
			gsh_context_seen(row, (uintptr_t)*pctx);
	}
	return res;
}

CUresult CUDAAPI cuDevicePrimaryCtxRetain(CUcontext *pctx, CUdevice dev)
{
	struct gsh_lock *lock;
	CUresult res;

	GSH_NEED(cuDevicePrimaryCtxRetain);
	if (gsh_enter() != GSH_MODE_ACTIVE) {
		res = gsh_inactive();
		return res != CUDA_SUCCESS
			       ? res
			       : gsh_driver.cuDevicePrimaryCtxRetain(pctx, dev);
	}
	lock = lock_of(dev);
	if (!lock)
		return gsh_driver.cuDevicePrimaryCtxRetain(pctx, dev);
	gsh_lock(lock);
	res = retain(pctx, dev);
	gsh_unlock(lock);
	return res;
}

/* The handle of a device's primary context, 0 if it is not active. One reference more tells. */
static uint64_t primary_of(CUdevice dev)
{
	CUcontext context;

	if (!is_active(dev) || !gsh_driver.cuDevicePrimaryCtxRetain ||
	    gsh_driver.cuDevicePrimaryCtxRetain(&context, dev) != CUDA_SUCCESS)
		return 0;
	if (gsh_driver.cuDevicePrimaryCtxRelease_v2)
		gsh_driver.cuDevicePrimaryCtxRelease_v2(dev);
	else
		gsh_driver.cuDevicePrimaryCtxRelease(dev);
	return (uintptr_t)context;
}

/* One of the calls that may unmake a primary context, and what follows from it. */
static CUresult unmake(CUdevice dev, CUresult(CUDAAPI *call)(CUdevice dev))
{
	struct gsh_lock *lock;
	uint64_t context;
	CUresult res;

	if (gsh_enter() != GSH_MODE_ACTIVE) {
		res = gsh_inactive();
		return res != CUDA_SUCCESS ? res : call(dev);
	}
	lock = lock_of(dev);
	if (!lock)
		return call(dev);
	gsh_lock(lock);
	context = primary_of(dev);
	res = call(dev);
	if (context && gsh_release_happened(res) && !is_active(dev))
		gsh_context_settle(context, context, true);
	gsh_unlock(lock);
	return res;
}

CUresult CUDAAPI cuDevicePrimaryCtxRelease_v2(CUdevice dev)
{
	GSH_NEED(cuDevicePrimaryCtxRelease_v2);
	return unmake(dev, gsh_driver.cuDevicePrimaryCtxRelease_v2);
}

CUresult CUDAAPI cuDevicePrimaryCtxRelease(CUdevice dev)
{
	GSH_NEED(cuDevicePrimaryCtxRelease);
	return unmake(dev, gsh_driver.cuDevicePrimaryCtxRelease);
}

CUresult CUDAAPI cuDevicePrimaryCtxReset_v2(CUdevice dev)
{
	GSH_NEED(cuDevicePrimaryCtxReset_v2);
	return unmake(dev, gsh_driver.cuDevicePrimaryCtxReset_v2);
}

CUresult CUDAAPI cuDevicePrimaryCtxReset(CUdevice dev)
{
	GSH_NEED(cuDevicePrimaryCtxReset);
	return unmake(dev, gsh_driver.cuDevicePrimaryCtxReset);
}
