/*
 * context_primary.c - the primary context of each device.
 *
 * Knows: its references, and that its handle stays the same while it is released and made
 * again. Refuses to know: how contexts are opened and closed (context.c).
 */
#include "driver/client.h"

/* One at a time makes or unmakes a primary context. Taken before all other locks; what runs
 * under it (hooks, waiting for work) never asks for a primary context. */
static pthread_mutex_t primary_lock = PTHREAD_MUTEX_INITIALIZER;
/* Set by cuDevicePrimaryCtxSetFlags, also for contexts not made yet. */
static unsigned wanted_flags[SIM_MAX_LOCAL_DEVICES];

/* Under primary_lock. */
static CUresult retain(CUcontext *handle, unsigned device)
{
	struct sim_context *ctx = sim.primary[device];
	CUresult res = CUDA_SUCCESS;

	if (ctx == NULL) {
		ctx = sim_object_new(SIM_T_CONTEXT, sizeof(*ctx));
		if (ctx == NULL)
			return CUDA_ERROR_OUT_OF_MEMORY;
		ctx->primary = true;
		ctx->device = device;
		ctx->api_version = 3020;
		sim.primary[device] = ctx;
	}
	if (!sim_context_usable(ctx)) {
		res = sim_context_open(ctx, device, wanted_flags[device]);
		ctx->generation++;
	}
	if (res != CUDA_SUCCESS)
		return res;
	ctx->primary_refs++;
	*handle = (CUcontext)ctx;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *pctx, CUdevice device)
{
	CUresult res = sim_enter(SIM_FN_cuDevicePrimaryCtxRetain);

	if (res != CUDA_SUCCESS)
		return res;
	if (pctx == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_device_check(device);
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&primary_lock);
	res = retain(pctx, (unsigned)device);
	pthread_mutex_unlock(&primary_lock);
	return res;
}

/* Puts settings back to what a new context has. Under primary_lock. */
static void close_primary(struct sim_context *ctx)
{
	if (!sim_context_usable(ctx))
		return;
	sim_context_close(ctx);
	for (size_t i = 0; i < sizeof(ctx->limits) / sizeof(ctx->limits[0]); i++)
		ctx->limits[i] = 0;
	ctx->cache_config = 0;
	ctx->shared_config = 0;
	ctx->generation++;
}

static CUresult release(CUdevice device)
{
	struct sim_context *ctx;
	CUresult res = sim_device_check(device);

	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&primary_lock);
	ctx = sim.primary[device];
	if (ctx == NULL || ctx->primary_refs == 0)
		res = CUDA_ERROR_INVALID_CONTEXT;
	else if (--ctx->primary_refs == 0)
		close_primary(ctx);
	pthread_mutex_unlock(&primary_lock);
	return res;
}

SIM_EXPORT CUresult cuDevicePrimaryCtxRelease(CUdevice device)
{
	CUresult res = sim_enter(SIM_FN_cuDevicePrimaryCtxRelease);

	return res != CUDA_SUCCESS ? res : release(device);
}

SIM_EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
	CUresult res = sim_enter(SIM_FN_cuDevicePrimaryCtxRelease_v2);

	return res != CUDA_SUCCESS ? res : release(device);
}

/* Everything in the context goes; references stay and are released as usual. */
static CUresult reset(CUdevice device)
{
	CUresult res = sim_device_check(device);

	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&primary_lock);
	if (sim.primary[device] != NULL)
		close_primary(sim.primary[device]);
	pthread_mutex_unlock(&primary_lock);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDevicePrimaryCtxReset(CUdevice device)
{
	CUresult res = sim_enter(SIM_FN_cuDevicePrimaryCtxReset);

	return res != CUDA_SUCCESS ? res : reset(device);
}

SIM_EXPORT CUresult cuDevicePrimaryCtxReset_v2(CUdevice device)
{
	CUresult res = sim_enter(SIM_FN_cuDevicePrimaryCtxReset_v2);

	return res != CUDA_SUCCESS ? res : reset(device);
}

static CUresult set_flags(CUdevice device, unsigned flags)
{
	CUresult res = sim_device_check(device);

	if (res != CUDA_SUCCESS)
		return res;
	if (!sim_context_flags_valid(flags))
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&primary_lock);
	wanted_flags[device] = flags;
	/* Since CUDA 11 a context that is in use takes them too. */
	if (sim.primary[device] != NULL)
		__atomic_store_n(&sim.primary[device]->flags, flags, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&primary_lock);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDevicePrimaryCtxSetFlags(CUdevice device, unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuDevicePrimaryCtxSetFlags);

	return res != CUDA_SUCCESS ? res : set_flags(device, flags);
}

SIM_EXPORT CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuDevicePrimaryCtxSetFlags_v2);

	return res != CUDA_SUCCESS ? res : set_flags(device, flags);
}

SIM_EXPORT CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned int *flags,
					       int *active)
{
	CUresult res = sim_enter(SIM_FN_cuDevicePrimaryCtxGetState);
	struct sim_context *ctx;

	if (res != CUDA_SUCCESS)
		return res;
	if (flags == NULL || active == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_device_check(device);
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&primary_lock);
	ctx = sim.primary[device];
	*active = ctx != NULL && sim_context_usable(ctx);
	*flags = *active ? __atomic_load_n(&ctx->flags, __ATOMIC_RELAXED)
			 : wanted_flags[device];
	pthread_mutex_unlock(&primary_lock);
	return CUDA_SUCCESS;
}
