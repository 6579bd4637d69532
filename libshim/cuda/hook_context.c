/*
 * hook_context.c - contexts made and destroyed, primary ones retained, released and reset.
 *
 * Knows which calls make or unmake a context. What that costs and gives back is context.c's
 * to know.
 */
#include "cuda/claim.h"
#include "cuda/context.h"
#include "cuda/hook.h"
#include "cuda/pool.h"

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

/* A context that a call may destroy. */
struct going {
	CUcontext context;
	uint64_t mark, frees; /* context.h, pool.h */
};

/* False: *res is to be returned. */
static bool begin(struct going *going, CUcontext context, CUresult *res)
{
	*going = (struct going){ .context = context };
	*res = CUDA_SUCCESS;
	if (gsh_enter() == GSH_MODE_ACTIVE) {
		going->mark = gsh_context_mark((uintptr_t)context);
		going->frees = gsh_pools_mark();
	} else {
		*res = gsh_inactive();
	}
	return *res == CUDA_SUCCESS;
}

/* Its streams went with it, and nobody can wait for them any more. */
static void end(const struct going *going, bool gone)
{
	gsh_context_settle((uintptr_t)going->context, going->mark, gone);
	if (gone && going->mark)
		gsh_pools_context_gone((uintptr_t)going->context, going->frees);
}

CUresult CUDAAPI cuCtxDestroy_v2(CUcontext ctx)
{
	struct going going;
	CUresult res;

	GSH_NEED(cuCtxDestroy_v2);
	if (!begin(&going, ctx, &res))
		return res;
	res = gsh_driver.cuCtxDestroy_v2(ctx);
	end(&going, gsh_release_happened(res));
	return res;
}

CUresult CUDAAPI cuCtxDestroy(CUcontext ctx)
{
	struct going going;
	CUresult res;

	GSH_NEED(cuCtxDestroy);
	if (!begin(&going, ctx, &res))
		return res;
	res = gsh_driver.cuCtxDestroy(ctx);
	end(&going, gsh_release_happened(res));
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
	struct going going;
	CUresult res;

	GSH_NEED(cuCtxDetach);
	if (!begin(&going, ctx, &res))
		return res;
	res = gsh_driver.cuCtxDetach(ctx);
	end(&going, gsh_release_happened(res) && !is_current(ctx));
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
	struct going going;
	CUresult res;

	if (gsh_enter() != GSH_MODE_ACTIVE) {
		res = gsh_inactive();
		return res != CUDA_SUCCESS ? res : call(dev);
	}
	lock = lock_of(dev);
	if (!lock)
		return call(dev);
	gsh_lock(lock);
	/* Under the lock no other comes up with its handle: it is its own mark. */
	going.mark = primary_of(dev);
	going.context = (CUcontext)(uintptr_t)going.mark;
	going.frees = gsh_pools_mark();
	res = call(dev);
	if (going.mark && gsh_release_happened(res) && !is_active(dev))
		end(&going, true);
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
