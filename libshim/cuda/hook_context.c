/*
 * hook_context.c - contexts made and destroyed, primary ones retained, released and reset;
 * and which one a thread uses.
 *
 * Knows which calls make or unmake a context, or make another current. What that costs and
 * gives back is context.c's to know, and what launches make of it gate.h's.
 */
#include "cuda/claim.h"
#include "cuda/context.h"
#include "cuda/gate.h"
#include "cuda/hook.h"
#include "cuda/pool.h"

/* A context about to be made becomes the thread's current one. */
static CUresult claim_new(struct gsh_claim *claim, CUdevice dev)
{
	CUresult res = gsh_claim_context(claim, dev);

	if (res == CUDA_SUCCESS && gsh_enter() == GSH_MODE_ACTIVE)
		gsh_gate_context_changes();
	return res;
}

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
	res = claim_new(&claim, dev);
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
	res = claim_new(&claim, dev);
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
	res = claim_new(&claim, dev);
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
	res = claim_new(&claim, dev);
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
		gsh_gate_context_changes();
		gsh_gate_context_gone((uintptr_t)context);
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
	gsh_process->contexts.retained[dev] += res == CUDA_SUCCESS;
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

/* A call that unmakes a primary context: at once, or with the last reference to it. */
struct unmaking {
	CUresult(CUDAAPI *call)(CUdevice dev);
	bool at_once;
};

/* Under the device's lock. */
static CUresult unmake_locked(CUdevice dev, const struct unmaking *unmaking)
{
	uint32_t *retained = &gsh_process->contexts.retained[dev];
	struct going going;
	CUresult res;

	/* Under the lock no other comes up with its handle: it is its own mark. */
	going.mark = primary_of(dev);
	going.context = (CUcontext)(uintptr_t)going.mark;
	going.frees = gsh_pools_mark();
	/* Nobody can be asked whether others hold it; what we saw of them keeps programs that
	 * retain and release it all the time from losing what is being measured. */
	if (going.mark && (unmaking->at_once || *retained <= 1))
		gsh_gate_context_gone(going.mark);
	res = unmaking->call(dev);
	if (res == CUDA_SUCCESS)
		*retained = unmaking->at_once || *retained == 0 ? 0 : *retained - 1;
	if (going.mark && gsh_release_happened(res) && !is_active(dev))
		end(&going, true);
	return res;
}

static CUresult unmake(CUdevice dev, struct unmaking unmaking)
{
	struct gsh_lock *lock;
	CUresult res;

	if (gsh_enter() != GSH_MODE_ACTIVE) {
		res = gsh_inactive();
		return res != CUDA_SUCCESS ? res : unmaking.call(dev);
	}
	lock = lock_of(dev);
	if (!lock)
		return unmaking.call(dev);
	gsh_lock(lock);
	res = unmake_locked(dev, &unmaking);
	gsh_unlock(lock);
	return res;
}

CUresult CUDAAPI cuDevicePrimaryCtxRelease_v2(CUdevice dev)
{
	GSH_NEED(cuDevicePrimaryCtxRelease_v2);
	return unmake(dev, (struct unmaking){ gsh_driver.cuDevicePrimaryCtxRelease_v2,
					      .at_once = false });
}

CUresult CUDAAPI cuDevicePrimaryCtxRelease(CUdevice dev)
{
	GSH_NEED(cuDevicePrimaryCtxRelease);
	return unmake(dev, (struct unmaking){ gsh_driver.cuDevicePrimaryCtxRelease,
					      .at_once = false });
}

CUresult CUDAAPI cuDevicePrimaryCtxReset_v2(CUdevice dev)
{
	GSH_NEED(cuDevicePrimaryCtxReset_v2);
	return unmake(dev, (struct unmaking){ gsh_driver.cuDevicePrimaryCtxReset_v2,
					      .at_once = true });
}

CUresult CUDAAPI cuDevicePrimaryCtxReset(CUdevice dev)
{
	GSH_NEED(cuDevicePrimaryCtxReset);
	return unmake(dev, (struct unmaking){ gsh_driver.cuDevicePrimaryCtxReset,
					      .at_once = true });
}

/* ---- another one made current ---- */

static CUresult enter(void)
{
	if (gsh_enter() != GSH_MODE_ACTIVE)
		return gsh_inactive();
	gsh_gate_context_changes();
	return CUDA_SUCCESS;
}

CUresult CUDAAPI cuCtxSetCurrent(CUcontext ctx)
{
	CUresult res;

	GSH_NEED(cuCtxSetCurrent);
	res = enter();
	return res != CUDA_SUCCESS ? res : gsh_driver.cuCtxSetCurrent(ctx);
}

CUresult CUDAAPI cuCtxPushCurrent_v2(CUcontext ctx)
{
	CUresult res;

	GSH_NEED(cuCtxPushCurrent_v2);
	res = enter();
	return res != CUDA_SUCCESS ? res : gsh_driver.cuCtxPushCurrent_v2(ctx);
}

CUresult CUDAAPI cuCtxPushCurrent(CUcontext ctx)
{
	CUresult res;

	GSH_NEED(cuCtxPushCurrent);
	res = enter();
	return res != CUDA_SUCCESS ? res : gsh_driver.cuCtxPushCurrent(ctx);
}

CUresult CUDAAPI cuCtxPopCurrent_v2(CUcontext *pctx)
{
	CUresult res;

	GSH_NEED(cuCtxPopCurrent_v2);
	res = enter();
	return res != CUDA_SUCCESS ? res : gsh_driver.cuCtxPopCurrent_v2(pctx);
}

CUresult CUDAAPI cuCtxPopCurrent(CUcontext *pctx)
{
	CUresult res;

	GSH_NEED(cuCtxPopCurrent);
	res = enter();
	return res != CUDA_SUCCESS ? res : gsh_driver.cuCtxPopCurrent(pctx);
}
