/*
 * context_settings.c - what can be set on a context: limits and cache preferences.
 *
 * Knows: defaults, bounds and which limits take device memory. Refuses to know: anything
 * that these settings would change in a kernel; the simulated ones have no stack, heap or
 * cache.
 */
#include "driver/client.h"
#include "driver/stream.h"

#define KIB 1024ull
#define MIB (1024 * KIB)
#define STACK_MOST (512 * KIB - 1 * KIB)
#define THREADS_PER_SM 2048ull
#define L2_GRANULARITY_MOST 128u
#define PERSISTING_L2_MOST (2 * MIB)

static const size_t limit_defaults[] = {
	[CU_LIMIT_STACK_SIZE] = 1 * KIB,
	[CU_LIMIT_PRINTF_FIFO_SIZE] = 1 * MIB,
	[CU_LIMIT_MALLOC_HEAP_SIZE] = 8 * MIB,
	[CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH] = 2,
	[CU_LIMIT_DEV_RUNTIME_PENDING_LAUNCH_COUNT] = 2048,
	[CU_LIMIT_MAX_L2_FETCH_GRANULARITY] = 64,
	[CU_LIMIT_PERSISTING_L2_CACHE_SIZE] = 0,
	[CU_LIMIT_SHMEM_SIZE] = 0,
	[CU_LIMIT_CIG_ENABLED] = 0,
	[CU_LIMIT_CIG_SHMEM_FALLBACK_ENABLED] = 1,
};

/* Not CU_LIMIT_MAX: headers newer than this driver may know more. */
#define LIMITS (sizeof(limit_defaults) / sizeof(limit_defaults[0]))
_Static_assert(LIMITS <= sizeof(((struct sim_context *)0)->limits) / sizeof(size_t),
	       "a context has room for every limit");

/* What is stored is the value plus one: 0 means that nothing was set. Under sim.lock. */
static size_t limit_value(const struct sim_context *ctx, CUlimit which)
{
	return ctx->limits[which] != 0 ? ctx->limits[which] - 1 : limit_defaults[which];
}

static uint64_t above_default(const struct sim_context *ctx, CUlimit which)
{
	size_t value = limit_value(ctx, which);

	return value > limit_defaults[which] ? value - limit_defaults[which] : 0;
}

/* Device memory that the context holds because its limits were raised. */
static uint64_t limits_cost(const struct sim_context *ctx)
{
	return above_default(ctx, CU_LIMIT_STACK_SIZE) * sim.hello.sm_count *
		       THREADS_PER_SM +
	       above_default(ctx, CU_LIMIT_PRINTF_FIFO_SIZE) +
	       above_default(ctx, CU_LIMIT_MALLOC_HEAP_SIZE);
}

/* Checks a value, and rounds it as the driver may. */
static CUresult shape_limit(CUlimit which, size_t *value)
{
	switch (which) {
	case CU_LIMIT_STACK_SIZE:
		*value = (*value + 15) & ~(size_t)15;
		return *value <= STACK_MOST ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	case CU_LIMIT_PRINTF_FIFO_SIZE:
	case CU_LIMIT_MALLOC_HEAP_SIZE:
		return *value <= sim.hello.memory_bytes ? CUDA_SUCCESS
							: CUDA_ERROR_OUT_OF_MEMORY;
	case CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH:
		/* Gone with compute capability 9.0. */
		if (sim.hello.cc_major >= 9)
			return CUDA_ERROR_UNSUPPORTED_LIMIT;
		return *value >= 1 && *value <= 24 ? CUDA_SUCCESS
						   : CUDA_ERROR_INVALID_VALUE;
	case CU_LIMIT_DEV_RUNTIME_PENDING_LAUNCH_COUNT:
		return *value <= 1u << 20 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	case CU_LIMIT_MAX_L2_FETCH_GRANULARITY:
		return *value <= L2_GRANULARITY_MOST ? CUDA_SUCCESS
						     : CUDA_ERROR_INVALID_VALUE;
	case CU_LIMIT_PERSISTING_L2_CACHE_SIZE:
		if (*value > PERSISTING_L2_MOST)
			*value = PERSISTING_L2_MOST;
		return CUDA_SUCCESS;
	case CU_LIMIT_CIG_SHMEM_FALLBACK_ENABLED:
		return *value <= 1 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	default: /* these can only be asked for */
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	}
}

SIM_EXPORT CUresult cuCtxSetLimit(CUlimit limit, size_t value)
{
	CUresult res = sim_enter(SIM_FN_cuCtxSetLimit);
	uint64_t a[6] = { 0 };
	struct sim_context *ctx;
	size_t before;

	if (res != CUDA_SUCCESS)
		return res;
	if ((unsigned)limit >= LIMITS)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_need_context(&ctx);
	if (res == CUDA_SUCCESS)
		res = shape_limit(limit, &value);
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim.lock);
	before = ctx->limits[limit];
	a[0] = ctx->id;
	a[1] = limits_cost(ctx);
	ctx->limits[limit] = value + 1;
	if (sim.chan != NULL && limits_cost(ctx) != a[1]) {
		a[1] = limits_cost(ctx);
		res = sim_rpc(SIM_RPC_CTX_LIMIT, a, NULL, -1, NULL);
		if (res != CUDA_SUCCESS)
			ctx->limits[limit] = before;
	}
	pthread_mutex_unlock(&sim.lock);
	return res;
}

SIM_EXPORT CUresult cuCtxGetLimit(size_t *value, CUlimit limit)
{
	CUresult res = sim_enter(SIM_FN_cuCtxGetLimit);
	struct sim_context *ctx;

	if (res != CUDA_SUCCESS)
		return res;
	if (value == NULL || (unsigned)limit >= LIMITS)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_need_context(&ctx);
	if (res != CUDA_SUCCESS)
		return res;
	if (limit == CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH && sim.hello.cc_major >= 9)
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	pthread_mutex_lock(&sim.lock);
	*value = limit_value(ctx, limit);
	pthread_mutex_unlock(&sim.lock);
	return CUDA_SUCCESS;
}

/* ---- preferences ---- */

SIM_EXPORT CUresult cuCtxGetCacheConfig(CUfunc_cache *config)
{
	CUresult res = sim_enter(SIM_FN_cuCtxGetCacheConfig);
	struct sim_context *ctx;

	if (res != CUDA_SUCCESS)
		return res;
	if (config == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_need_context(&ctx);
	if (res == CUDA_SUCCESS)
		*config = (CUfunc_cache)__atomic_load_n(&ctx->cache_config,
							__ATOMIC_RELAXED);
	return res;
}

SIM_EXPORT CUresult cuCtxSetCacheConfig(CUfunc_cache config)
{
	CUresult res = sim_enter(SIM_FN_cuCtxSetCacheConfig);
	struct sim_context *ctx;

	if (res != CUDA_SUCCESS)
		return res;
	if ((unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_need_context(&ctx);
	if (res == CUDA_SUCCESS)
		__atomic_store_n(&ctx->cache_config, (int)config, __ATOMIC_RELAXED);
	return res;
}

SIM_EXPORT CUresult cuCtxGetSharedMemConfig(CUsharedconfig *config)
{
	CUresult res = sim_enter(SIM_FN_cuCtxGetSharedMemConfig);
	struct sim_context *ctx;

	if (res != CUDA_SUCCESS)
		return res;
	if (config == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_need_context(&ctx);
	/* Banks are four bytes wide on every device since Maxwell, whatever was asked for. */
	if (res == CUDA_SUCCESS)
		*config = CU_SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE;
	return res;
}

SIM_EXPORT CUresult cuCtxSetSharedMemConfig(CUsharedconfig config)
{
	CUresult res = sim_enter(SIM_FN_cuCtxSetSharedMemConfig);
	struct sim_context *ctx;

	if (res != CUDA_SUCCESS)
		return res;
	if ((unsigned)config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE)
		return CUDA_ERROR_INVALID_VALUE;
	return sim_need_context(&ctx);
}

SIM_EXPORT CUresult cuCtxResetPersistingL2Cache(void)
{
	CUresult res = sim_enter(SIM_FN_cuCtxResetPersistingL2Cache);
	struct sim_context *ctx;

	return res != CUDA_SUCCESS ? res : sim_need_context(&ctx);
}

SIM_EXPORT CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest)
{
	CUresult res = sim_enter(SIM_FN_cuCtxGetStreamPriorityRange);
	struct sim_context *ctx;

	if (res != CUDA_SUCCESS)
		return res;
	res = sim_need_context(&ctx);
	if (res != CUDA_SUCCESS)
		return res;
	if (least != NULL)
		*least = SIM_PRIORITY_LEAST;
	if (greatest != NULL)
		*greatest = SIM_PRIORITY_GREATEST;
	return CUDA_SUCCESS;
}
