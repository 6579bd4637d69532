/*
 * launch.c - kernel launches.
 *
 * Knows: what a launch must satisfy, how arguments are laid out for the kernel, and the
 * calls that launch one kernel into one stream. Refuses to know: how long kernels run (the
 * device process does), launch attributes (launch_ex.c), the calls from before
 * cuLaunchKernel (launch_legacy.c).
 *
 * In zero-cost mode a launch is this file's checks and nothing else.
 */
#include "driver/launch.h"

#include <string.h>

#include "driver/capture.h"
#include "driver/code.h"

#define GRID_X_MAX 0x7fffffffu
#define GRID_YZ_MAX 65535u
#define BLOCK_XY_MAX 1024u
#define BLOCK_Z_MAX 64u

/* ---- checks ---- */

/* A handle that was a function once can be looked at ever after (see driver.h), and what was
 * launched before is likely to be launched again. */
static inline bool is_function(CUfunction handle)
{
	static _Atomic(CUfunction) seen[64];
	_Atomic(CUfunction) *mine = &seen[((uintptr_t)handle >> 8) % 64];
	const struct sim_object *object = (const struct sim_object *)handle;

	if (handle != NULL && handle == atomic_load_explicit(mine, memory_order_relaxed))
		return atomic_load_explicit(&object->live, memory_order_acquire) ==
		       SIM_T_FUNCTION;
	if (!sim_object_check(handle, SIM_T_FUNCTION))
		return false;
	atomic_store_explicit(mine, handle, memory_order_relaxed);
	return true;
}

/* The function to run in the context, which for a CUkernel is found there. */
static inline CUresult find(CUfunction handle, struct sim_context *ctx,
			    struct sim_function **function)
{
	if (__builtin_expect(!is_function(handle), 0))
		return CUDA_ERROR_INVALID_HANDLE;
	*function = (struct sim_function *)handle;
	if (__builtin_expect((*function)->ctx == ctx, 1))
		return CUDA_SUCCESS;
	if ((*function)->ctx == NULL)
		return sim_kernel_function((struct sim_kernel *)handle, ctx, function);
	return CUDA_ERROR_INVALID_HANDLE;
}

static CUresult check_shared(const struct sim_function *function, unsigned shared_bytes)
{
	return shared_bytes <= sim_function_max_dynamic(function)
		       ? CUDA_SUCCESS
		       : CUDA_ERROR_INVALID_VALUE;
}

/* All blocks of a cooperative launch run at once, or could wait for each other forever. */
static CUresult check_cooperative(const struct sim_function *function,
				  const struct sim_launch_shape *s, unsigned threads)
{
	uint64_t blocks = (uint64_t)s->grid[0] * s->grid[1] * s->grid[2];
	uint64_t room = (uint64_t)sim_occupancy(function, threads, s->shared_bytes) *
			sim.hello.sm_count;

	return blocks <= room ? CUDA_SUCCESS : CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
}

/* Of a launch without attributes; with them launch_ex.c has looked before. */
static CUresult check_cluster(const struct sim_function *function,
			      const struct sim_launch_shape *s)
{
	const CUlaunchConfig config = { .gridDimX = s->grid[0],
					.gridDimY = s->grid[1],
					.gridDimZ = s->grid[2] };
	unsigned cluster[3];

	return sim_launch_cluster(function, &config, cluster);
}

static inline __attribute__((always_inline)) CUresult check(
	const struct sim_function *function, const struct sim_launch_shape *s)
{
	unsigned threads;
	CUresult res;

	/* Zero minus one exceeds every limit. */
	if (s->grid[0] - 1 >= GRID_X_MAX || s->grid[1] - 1 >= GRID_YZ_MAX ||
	    s->grid[2] - 1 >= GRID_YZ_MAX || s->block[0] - 1 >= BLOCK_XY_MAX ||
	    s->block[1] - 1 >= BLOCK_XY_MAX || s->block[2] - 1 >= BLOCK_Z_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	threads = s->block[0] * s->block[1] * s->block[2];
	if (threads > SIM_BLOCK_THREADS)
		return CUDA_ERROR_INVALID_VALUE;
	if (threads > function->max_threads)
		return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
	if (s->shared_bytes != 0) {
		res = check_shared(function, s->shared_bytes);
		if (res != CUDA_SUCCESS)
			return res;
	}
	if (sim_function_setting(function, CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH) >
	    0) {
		res = check_cluster(function, s);
		if (res != CUDA_SUCCESS)
			return res;
	}
	return s->cooperative ? check_cooperative(function, s, threads) : CUDA_SUCCESS;
}

static inline CUresult check_arguments(const struct sim_function *function,
				       void *const *kernel_params, void *const *extra)
{
	if (kernel_params != NULL && extra != NULL)
		return CUDA_ERROR_INVALID_VALUE;
	if (function->param_bytes != 0 && kernel_params == NULL && extra == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

/* ---- arguments ---- */

static CUresult pack_params(struct sim_launch *launch, void **kernel_params)
{
	const struct sim_function *function = launch->function;

	if (function->nparams == 0 && function->param_bytes != 0)
		return CUDA_ERROR_INVALID_IMAGE; /* the image tells their size, no more */
	memset(launch->params, 0, function->param_bytes); /* what lies between them */
	for (unsigned i = 0; i < function->nparams; i++) {
		if (kernel_params[i] == NULL)
			return CUDA_ERROR_INVALID_VALUE;
		memcpy(launch->params + function->params[i].offset_bytes,
		       kernel_params[i], function->params[i].size_bytes);
	}
	return CUDA_SUCCESS;
}

static CUresult pack_extra(struct sim_launch *launch, void **extra)
{
	const void *buffer = NULL;
	size_t bytes = 0;

	for (; *extra != CU_LAUNCH_PARAM_END; extra += 2) {
		if (extra[0] == CU_LAUNCH_PARAM_BUFFER_POINTER)
			buffer = extra[1];
		else if (extra[0] == CU_LAUNCH_PARAM_BUFFER_SIZE && extra[1] != NULL)
			memcpy(&bytes, extra[1], sizeof(bytes));
		else
			return CUDA_ERROR_INVALID_VALUE;
	}
	/* Longer is allowed: structures end in padding. */
	if (buffer == NULL || bytes < launch->function->param_bytes)
		return launch->function->param_bytes == 0 ? CUDA_SUCCESS
							  : CUDA_ERROR_INVALID_VALUE;
	memcpy(launch->params, buffer, launch->function->param_bytes);
	return CUDA_SUCCESS;
}

/* Fills rec and params of a launch whose function is set and that has been checked. */
static CUresult pack(struct sim_launch *launch, const struct sim_launch_shape *shape,
		     void **kernel_params, void **extra)
{
	struct sim_function *function = launch->function;
	CUresult res = CUDA_SUCCESS;

	if (function->param_bytes > SIM_PARAMS_MAX)
		return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
	if (!sim_function_loaded(function))
		res = sim_function_load((struct sim_kernel *)function);
	if (res == CUDA_SUCCESS && function->param_bytes != 0)
		res = extra ? pack_extra(launch, extra)
			    : pack_params(launch, kernel_params);
	if (res != CUDA_SUCCESS)
		return res;
	launch->rec = (struct sim_rec_kernel){
		.builtin = function->builtin,
		.flags = shape->cooperative ? SIM_KF_COOPERATIVE : 0,
		.grid = { shape->grid[0], shape->grid[1], shape->grid[2] },
		.block = { shape->block[0], shape->block[1], shape->block[2] },
		.shared_bytes = shape->shared_bytes,
		.param_bytes = function->param_bytes,
		.function = function->identity,
	};
	return CUDA_SUCCESS;
}

CUresult sim_launch_prepare(struct sim_launch *launch, CUfunction function,
			    const unsigned grid[3], const unsigned block[3],
			    unsigned shared_bytes, void **kernel_params, void **extra,
			    bool cooperative)
{
	const struct sim_launch_shape shape = {
		.grid = { grid[0], grid[1], grid[2] },
		.block = { block[0], block[1], block[2] },
		.shared_bytes = shared_bytes,
		.cooperative = cooperative,
	};
	struct sim_context *ctx;
	CUresult res;

	if (!sim_object_check(function, SIM_T_FUNCTION))
		return CUDA_ERROR_INVALID_HANDLE;
	ctx = ((struct sim_function *)function)->ctx;
	res = ctx ? CUDA_SUCCESS : sim_need_context(&ctx);
	if (res == CUDA_SUCCESS)
		res = find(function, ctx, &launch->function);
	if (res == CUDA_SUCCESS)
		res = check(launch->function, &shape);
	if (res == CUDA_SUCCESS)
		res = check_arguments(launch->function, kernel_params, extra);
	return res ? res : pack(launch, &shape, kernel_params, extra);
}

/* ---- into the stream ---- */

/* Kept out of the callers' frames: the arguments need room that zero-cost launches do
 * without. Only what is used of it is touched. */
static __attribute__((noinline)) CUresult submit(struct sim_stream *stream,
						 struct sim_function *function,
						 const struct sim_launch_shape *shape,
						 void **kernel_params, void **extra)
{
	struct sim_launch launch;
	CUresult res;

	launch.function = function;
	res = pack(&launch, shape, kernel_params, extra);
	if (res != CUDA_SUCCESS)
		return res;
	if (atomic_load_explicit(&stream->capture, memory_order_relaxed) != NULL)
		return sim_capture_kernel(stream, function, &launch.rec, launch.params);
	if (function->builtin == SIM_K_MODELLED)
		launch.rec.param_bytes = 0; /* nobody would look at them */
	return sim_submit(stream, SIM_REC_KERNEL, &launch.rec, sizeof(launch.rec),
			  launch.params, launch.rec.param_bytes, NULL);
}

static inline __attribute__((always_inline)) CUresult launch_into(
	struct sim_stream *stream, CUfunction handle,
	const struct sim_launch_shape *shape, void **kernel_params, void **extra)
{
	struct sim_function *function;
	CUresult res = find(handle, stream->ctx, &function);

	if (__builtin_expect(res != CUDA_SUCCESS, 0))
		return res;
	res = check(function, shape);
	if (__builtin_expect(res != CUDA_SUCCESS, 0))
		return res;
	res = check_arguments(function, kernel_params, extra);
	if (__builtin_expect(res != CUDA_SUCCESS, 0))
		return res;
	res = sim_capture_check(stream);
	if (__builtin_expect(res != CUDA_SUCCESS, 0))
		return res;
	if (sim.zero_cost && sim_function_loaded(function) &&
	    atomic_load_explicit(&stream->capture, memory_order_relaxed) == NULL)
		return CUDA_SUCCESS;
	return submit(stream, function, shape, kernel_params, extra);
}

CUresult sim_launch_submit(struct sim_stream *stream, CUfunction function,
			   const struct sim_launch_shape *shape, void **kernel_params,
			   void **extra)
{
	return launch_into(stream, function, shape, kernel_params, extra);
}

static inline CUresult launch(CUfunction function, const struct sim_launch_shape *shape,
			      CUstream handle, bool per_thread, void **kernel_params,
			      void **extra)
{
	struct sim_stream *stream;
	CUresult res = sim_stream_get(handle, per_thread, &stream);

	if (__builtin_expect(res != CUDA_SUCCESS, 0))
		return res;
	return launch_into(stream, function, shape, kernel_params, extra);
}

/* ---- entry points ---- */

/* cuda.h declares no names with _ptsz; they take what the plain ones take. */
SIM_EXPORT __typeof__(cuLaunchKernel) cuLaunchKernel_ptsz;
SIM_EXPORT __typeof__(cuLaunchCooperativeKernel) cuLaunchCooperativeKernel_ptsz;

SIM_EXPORT CUresult cuLaunchKernel(CUfunction f, unsigned int gridDimX,
				   unsigned int gridDimY, unsigned int gridDimZ,
				   unsigned int blockDimX, unsigned int blockDimY,
				   unsigned int blockDimZ, unsigned int sharedMemBytes,
				   CUstream hStream, void **kernelParams, void **extra)
{
	const struct sim_launch_shape shape = { { gridDimX, gridDimY, gridDimZ },
						{ blockDimX, blockDimY, blockDimZ },
						sharedMemBytes,
						false };
	CUresult res = sim_enter(SIM_FN_cuLaunchKernel);

	return res ? res : launch(f, &shape, hStream, false, kernelParams, extra);
}

SIM_EXPORT CUresult cuLaunchKernel_ptsz(CUfunction f, unsigned int gridDimX,
					unsigned int gridDimY, unsigned int gridDimZ,
					unsigned int blockDimX, unsigned int blockDimY,
					unsigned int blockDimZ,
					unsigned int sharedMemBytes, CUstream hStream,
					void **kernelParams, void **extra)
{
	const struct sim_launch_shape shape = { { gridDimX, gridDimY, gridDimZ },
						{ blockDimX, blockDimY, blockDimZ },
						sharedMemBytes,
						false };
	CUresult res = sim_enter(SIM_FN_cuLaunchKernel_ptsz);

	return res ? res : launch(f, &shape, hStream, true, kernelParams, extra);
}

SIM_EXPORT CUresult cuLaunchCooperativeKernel(
	CUfunction f, unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ,
	unsigned int blockDimX, unsigned int blockDimY, unsigned int blockDimZ,
	unsigned int sharedMemBytes, CUstream hStream, void **kernelParams)
{
	const struct sim_launch_shape shape = { { gridDimX, gridDimY, gridDimZ },
						{ blockDimX, blockDimY, blockDimZ },
						sharedMemBytes,
						true };
	CUresult res = sim_enter(SIM_FN_cuLaunchCooperativeKernel);

	return res ? res : launch(f, &shape, hStream, false, kernelParams, NULL);
}

SIM_EXPORT CUresult cuLaunchCooperativeKernel_ptsz(
	CUfunction f, unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ,
	unsigned int blockDimX, unsigned int blockDimY, unsigned int blockDimZ,
	unsigned int sharedMemBytes, CUstream hStream, void **kernelParams)
{
	const struct sim_launch_shape shape = { { gridDimX, gridDimY, gridDimZ },
						{ blockDimX, blockDimY, blockDimZ },
						sharedMemBytes,
						true };
	CUresult res = sim_enter(SIM_FN_cuLaunchCooperativeKernel_ptsz);

	return res ? res : launch(f, &shape, hStream, true, kernelParams, NULL);
}
