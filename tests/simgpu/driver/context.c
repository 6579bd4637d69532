/*
 * context.c - the life of contexts.
 *
 * Knows: creation, destruction, and the hooks of families that keep things per context.
 * Refuses to know: which context is current to whom (context_current.c), primary contexts
 * (context_primary.c), limits and other settings (context_settings.c).
 */
#include "driver/client.h"

#define HOOKS_MAX 16

typedef void (*context_hook)(struct sim_context *ctx);

static context_hook destroy_hooks[HOOKS_MAX], sync_hooks[HOOKS_MAX];
static _Atomic unsigned destroy_hook_count, sync_hook_count;

_Atomic uint32_t sim_context_devices;
/* Live contexts by device; under sim.lock. */
static unsigned live[SIM_MAX_LOCAL_DEVICES];

/* ---- life ---- */

void sim_context_on_destroy(void (*hook)(struct sim_context *ctx))
{
	unsigned n = atomic_fetch_add_explicit(&destroy_hook_count, 1,
					       memory_order_relaxed);

	if (n < HOOKS_MAX)
		__atomic_store_n(&destroy_hooks[n], hook, __ATOMIC_RELEASE);
}

void sim_context_on_sync(void (*hook)(struct sim_context *ctx))
{
	unsigned n = atomic_fetch_add_explicit(&sync_hook_count, 1, memory_order_relaxed);

	if (n < HOOKS_MAX)
		__atomic_store_n(&sync_hooks[n], hook, __ATOMIC_RELEASE);
}

static void run_hooks(context_hook *hooks, struct sim_context *ctx)
{
	for (int i = 0; i < HOOKS_MAX; i++) {
		context_hook hook = __atomic_load_n(&hooks[i], __ATOMIC_ACQUIRE);

		if (hook != NULL)
			hook(ctx);
	}
}

void sim_context_synced(struct sim_context *ctx)
{
	run_hooks(sync_hooks, ctx);
}

uint64_t sim_unique_id(void)
{
	static _Atomic uint64_t last;

	return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

/* Counts live contexts, so that a lost device troubles only those who use it. */
static void count_live(unsigned device, int change)
{
	pthread_mutex_lock(&sim.lock);
	live[device] += (unsigned)change;
	if (live[device] != 0)
		atomic_fetch_or_explicit(&sim_context_devices, 1u << device,
					 memory_order_relaxed);
	else
		atomic_fetch_and_explicit(&sim_context_devices, ~(1u << device),
					  memory_order_relaxed);
	pthread_mutex_unlock(&sim.lock);
}

CUresult sim_context_open(struct sim_context *ctx, unsigned device, unsigned flags)
{
	uint64_t a[6] = { device, flags }, v[6] = { 0 };
	CUresult res = CUDA_SUCCESS;

	if (!sim.zero_cost)
		res = sim_rpc(SIM_RPC_CTX_CREATE, a, v, -1, NULL);
	if (res != CUDA_SUCCESS)
		return res;
	/* A graph of the context that was here before may be looking: see graph_exec.c. */
	__atomic_store_n(&ctx->id, (uint32_t)v[0], __ATOMIC_RELAXED);
	ctx->unique_id = sim_unique_id();
	ctx->device = device;
	ctx->flags = flags;
	res = sim_stream_adopt_legacy(ctx, (uint32_t)v[1]);
	if (res != CUDA_SUCCESS) {
		a[0] = ctx->id;
		if (!sim.zero_cost)
			sim_rpc(SIM_RPC_CTX_DESTROY, a, NULL, -1, NULL);
		return res;
	}
	count_live(device, 1);
	__atomic_store_n(&ctx->active, true, __ATOMIC_RELEASE);
	return CUDA_SUCCESS;
}

void sim_context_close(struct sim_context *ctx)
{
	const uint64_t a[6] = { ctx->id };

	/* In error there is nothing to wait for, and the device frees everything anyway. */
	sim_context_drain(ctx);
	run_hooks(destroy_hooks, ctx);
	__atomic_store_n(&ctx->active, false, __ATOMIC_RELEASE);
	count_live(ctx->device, -1);
	sim_event_drop_context(ctx);
	sim_stream_drop_context(ctx);
	if (!sim.zero_cost)
		sim_rpc(SIM_RPC_CTX_DESTROY, a, NULL, -1, NULL);
}

CUresult sim_device_check(CUdevice device)
{
	return device >= 0 && (uint32_t)device < sim.hello.devices
		       ? CUDA_SUCCESS
		       : CUDA_ERROR_INVALID_DEVICE;
}

bool sim_context_flags_valid(unsigned flags)
{
	unsigned sched = flags & CU_CTX_SCHED_MASK;

	return (flags & ~(unsigned)CU_CTX_FLAGS_MASK) == 0 && (sched & (sched - 1)) == 0;
}

static CUresult create(CUcontext *handle, unsigned flags, CUdevice device,
		       unsigned version)
{
	struct sim_context *ctx;
	CUresult res;

	if (handle == NULL || !sim_context_flags_valid(flags))
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_device_check(device);
	if (res != CUDA_SUCCESS)
		return res;
	if (!sim_current_reserve())
		return CUDA_ERROR_OUT_OF_MEMORY;
	ctx = sim_object_new(SIM_T_CONTEXT, sizeof(*ctx));
	if (ctx == NULL)
		return CUDA_ERROR_OUT_OF_MEMORY;
	ctx->api_version = version;
	ctx->attach_count = 1;
	res = sim_context_open(ctx, (unsigned)device, flags);
	if (res != CUDA_SUCCESS) {
		sim_object_delete(ctx);
		return res;
	}
	*handle = (CUcontext)ctx;
	return sim_current_push(ctx);
}

SIM_EXPORT CUresult cuCtxCreate(CUcontext *ctx, unsigned int flags, CUdevice device)
{
	CUresult res = sim_enter(SIM_FN_cuCtxCreate);

	return res != CUDA_SUCCESS ? res : create(ctx, flags, device, 3010);
}

SIM_EXPORT CUresult cuCtxCreate_v2(CUcontext *ctx, unsigned int flags, CUdevice device)
{
	CUresult res = sim_enter(SIM_FN_cuCtxCreate_v2);

	return res != CUDA_SUCCESS ? res : create(ctx, flags, device, 3020);
}

SIM_EXPORT CUresult cuCtxCreate_v3(CUcontext *ctx, CUexecAffinityParam *params,
				   int numParams, unsigned int flags, CUdevice device)
{
	CUresult res = sim_enter(SIM_FN_cuCtxCreate_v3);

	if (res != CUDA_SUCCESS)
		return res;
	if (numParams < 0 || (numParams > 0) != (params != NULL))
		return CUDA_ERROR_INVALID_VALUE;
	/* Execution affinity needs MPS. */
	if (numParams > 0)
		return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
	return create(ctx, flags, device, 3020);
}

SIM_EXPORT CUresult cuCtxCreate_v4(CUcontext *ctx, CUctxCreateParams *params,
				   unsigned int flags, CUdevice device)
{
	CUresult res = sim_enter(SIM_FN_cuCtxCreate_v4);

	if (res != CUDA_SUCCESS)
		return res;
	if (params != NULL) {
		if ((params->execAffinityParams == NULL) == (params->cigParams == NULL))
			return CUDA_ERROR_INVALID_VALUE;
		return params->cigParams != NULL ? CUDA_ERROR_NOT_SUPPORTED
						 : CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
	}
	return create(ctx, flags, device, 3020);
}

static CUresult destroy(CUcontext handle)
{
	struct sim_context *ctx;
	CUresult res;

	if (handle == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_context_get(handle, &ctx);
	if (res != CUDA_SUCCESS)
		return res;
	if (ctx->primary)
		return CUDA_ERROR_INVALID_CONTEXT;
	sim_context_close(ctx);
	sim_current_drop(ctx);
	sim_object_delete(ctx);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxDestroy(CUcontext ctx)
{
	CUresult res = sim_enter(SIM_FN_cuCtxDestroy);

	return res != CUDA_SUCCESS ? res : destroy(ctx);
}

SIM_EXPORT CUresult cuCtxDestroy_v2(CUcontext ctx)
{
	CUresult res = sim_enter(SIM_FN_cuCtxDestroy_v2);

	return res != CUDA_SUCCESS ? res : destroy(ctx);
}

SIM_EXPORT CUresult cuCtxAttach(CUcontext *pctx, unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuCtxAttach);
	struct sim_context *ctx;

	if (res != CUDA_SUCCESS)
		return res;
	if (pctx == NULL || flags != 0)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_need_context(&ctx);
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim.lock);
	ctx->attach_count++;
	pthread_mutex_unlock(&sim.lock);
	*pctx = (CUcontext)ctx;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxDetach(CUcontext ctx)
{
	CUresult res = sim_enter(SIM_FN_cuCtxDetach);
	struct sim_context *current;
	unsigned left;

	if (res != CUDA_SUCCESS)
		return res;
	res = sim_need_context(&current);
	if (res != CUDA_SUCCESS)
		return res;
	if ((CUcontext)current != ctx || current->primary)
		return CUDA_ERROR_INVALID_CONTEXT;
	pthread_mutex_lock(&sim.lock);
	left = --current->attach_count;
	pthread_mutex_unlock(&sim.lock);
	return left == 0 ? destroy(ctx) : CUDA_SUCCESS;
}
