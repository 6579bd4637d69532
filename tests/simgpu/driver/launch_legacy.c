/*
 * launch_legacy.c - the ways to launch that are deprecated: a function that carries its
 * block, shared memory and arguments along (before CUDA 4.0), and cooperative launches over
 * several devices.
 */
#include <stdlib.h>
#include <string.h>

#include "driver/code.h"
#include "driver/launch.h"

/* ---- launch state of a function ---- */

/* A live function and its state, which is made at first use. */
static CUresult get(CUfunction handle, struct sim_kernel **function)
{
	struct sim_context *ctx;
	CUresult res = sim_need_context(&ctx);

	if (res != CUDA_SUCCESS)
		return res;
	*function = (struct sim_kernel *)handle;
	if (!sim_object_check(handle, SIM_T_FUNCTION) ||
	    (*function)->function.ctx == NULL)
		return CUDA_ERROR_INVALID_HANDLE;
	pthread_mutex_lock(&sim_code_lock);
	if ((*function)->legacy == NULL)
		(*function)->legacy = calloc(1, sizeof(*(*function)->legacy));
	if ((*function)->legacy == NULL)
		res = CUDA_ERROR_OUT_OF_MEMORY;
	pthread_mutex_unlock(&sim_code_lock);
	return res;
}

SIM_EXPORT CUresult cuFuncSetBlockShape(CUfunction hfunc, int x, int y, int z)
{
	CUresult res = sim_enter(SIM_FN_cuFuncSetBlockShape);
	struct sim_kernel *function;

	if (res == CUDA_SUCCESS)
		res = get(hfunc, &function);
	if (res != CUDA_SUCCESS)
		return res;
	if (x <= 0 || y <= 0 || z <= 0 || (long long)x * y > SIM_BLOCK_THREADS ||
	    (long long)x * y * z > SIM_BLOCK_THREADS)
		return CUDA_ERROR_INVALID_VALUE;
	function->legacy->block[0] = (unsigned)x;
	function->legacy->block[1] = (unsigned)y;
	function->legacy->block[2] = (unsigned)z;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuFuncSetSharedSize(CUfunction hfunc, unsigned int bytes)
{
	CUresult res = sim_enter(SIM_FN_cuFuncSetSharedSize);
	struct sim_kernel *function;

	if (res == CUDA_SUCCESS)
		res = get(hfunc, &function);
	if (res == CUDA_SUCCESS)
		function->legacy->shared_bytes = bytes;
	return res;
}

SIM_EXPORT CUresult cuParamSetSize(CUfunction hfunc, unsigned int numbytes)
{
	CUresult res = sim_enter(SIM_FN_cuParamSetSize);
	struct sim_kernel *function;

	if (res == CUDA_SUCCESS)
		res = get(hfunc, &function);
	if (res != CUDA_SUCCESS)
		return res;
	if (numbytes > SIM_LEGACY_PARAMS_BYTES)
		return CUDA_ERROR_INVALID_VALUE;
	function->legacy->param_bytes = numbytes;
	return CUDA_SUCCESS;
}

static CUresult set_param(CUfunction handle, int offset, const void *data, unsigned bytes)
{
	struct sim_kernel *function;
	CUresult res = get(handle, &function);

	if (res != CUDA_SUCCESS)
		return res;
	if (data == NULL || offset < 0 || bytes > SIM_LEGACY_PARAMS_BYTES ||
	    (unsigned)offset > SIM_LEGACY_PARAMS_BYTES - bytes)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(function->legacy->params + offset, data, bytes);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuParamSeti(CUfunction hfunc, int offset, unsigned int value)
{
	CUresult res = sim_enter(SIM_FN_cuParamSeti);

	return res ? res : set_param(hfunc, offset, &value, sizeof(value));
}

SIM_EXPORT CUresult cuParamSetf(CUfunction hfunc, int offset, float value)
{
	CUresult res = sim_enter(SIM_FN_cuParamSetf);

	return res ? res : set_param(hfunc, offset, &value, sizeof(value));
}

SIM_EXPORT CUresult cuParamSetv(CUfunction hfunc, int offset, void *ptr,
				unsigned int numbytes)
{
	CUresult res = sim_enter(SIM_FN_cuParamSetv);

	return res ? res : set_param(hfunc, offset, ptr, numbytes);
}

/* A texture reference is bound to its module; there is nothing to add. */
SIM_EXPORT CUresult cuParamSetTexRef(CUfunction hfunc, int texunit, CUtexref hTexRef)
{
	CUresult res = sim_enter(SIM_FN_cuParamSetTexRef);
	struct sim_kernel *function;

	if (res == CUDA_SUCCESS)
		res = get(hfunc, &function);
	if (res != CUDA_SUCCESS)
		return res;
	if (texunit != CU_PARAM_TR_DEFAULT)
		return CUDA_ERROR_INVALID_VALUE;
	return sim_object_check(hTexRef, SIM_T_TEXTURE) ? CUDA_SUCCESS
							: CUDA_ERROR_INVALID_HANDLE;
}

static CUresult launch(CUfunction handle, int width, int height, CUstream stream_handle)
{
	struct sim_launch_shape shape = {
		{ (unsigned)width, (unsigned)height, 1 }, { 0, 0, 0 }, 0, false
	};
	size_t bytes;
	struct sim_kernel *function;
	struct sim_stream *stream;
	CUresult res = get(handle, &function);

	if (res == CUDA_SUCCESS)
		res = width > 0 && height > 0
			      ? sim_stream_get(stream_handle, false, &stream)
			      : CUDA_ERROR_INVALID_VALUE;
	if (res != CUDA_SUCCESS)
		return res;
	memcpy(shape.block, function->legacy->block, sizeof(shape.block));
	shape.shared_bytes = function->legacy->shared_bytes;
	bytes = function->legacy->param_bytes;
	return sim_launch_submit(
		stream, handle, &shape, NULL,
		(void *[]){ CU_LAUNCH_PARAM_BUFFER_POINTER, function->legacy->params,
			    CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes, CU_LAUNCH_PARAM_END });
}

SIM_EXPORT CUresult cuLaunch(CUfunction f)
{
	CUresult res = sim_enter(SIM_FN_cuLaunch);

	return res ? res : launch(f, 1, 1, NULL);
}

SIM_EXPORT CUresult cuLaunchGrid(CUfunction f, int grid_width, int grid_height)
{
	CUresult res = sim_enter(SIM_FN_cuLaunchGrid);

	return res ? res : launch(f, grid_width, grid_height, NULL);
}

SIM_EXPORT CUresult cuLaunchGridAsync(CUfunction f, int grid_width, int grid_height,
				      CUstream hStream)
{
	CUresult res = sim_enter(SIM_FN_cuLaunchGridAsync);

	return res ? res : launch(f, grid_width, grid_height, hStream);
}

/* ---- several devices at once ---- */

static bool same_shape(const CUDA_LAUNCH_PARAMS *a, const CUDA_LAUNCH_PARAMS *b)
{
	return a->gridDimX == b->gridDimX && a->gridDimY == b->gridDimY &&
	       a->gridDimZ == b->gridDimZ && a->blockDimX == b->blockDimX &&
	       a->blockDimY == b->blockDimY && a->blockDimZ == b->blockDimZ &&
	       a->sharedMemBytes == b->sharedMemBytes;
}

static bool same_kernel(CUfunction a, CUfunction b)
{
	return ((struct sim_function *)a)->identity ==
	       ((struct sim_function *)b)->identity;
}

static bool default_stream(CUstream handle)
{
	return handle == NULL || handle == CU_STREAM_LEGACY ||
	       handle == CU_STREAM_PER_THREAD;
}

static CUresult check_list(const CUDA_LAUNCH_PARAMS *list, unsigned count,
			   struct sim_stream **streams)
{
	for (unsigned i = 0; i < count; i++) {
		CUresult res;

		if (default_stream(list[i].hStream))
			return CUDA_ERROR_INVALID_VALUE;
		res = sim_stream_get(list[i].hStream, false, &streams[i]);
		if (res == CUDA_SUCCESS &&
		    !sim_object_check(list[i].function, SIM_T_FUNCTION))
			res = CUDA_ERROR_INVALID_HANDLE;
		if (res != CUDA_SUCCESS)
			return res;
		if (!same_shape(&list[i], &list[0]) ||
		    !same_kernel(list[i].function, list[0].function))
			return CUDA_ERROR_INVALID_VALUE;
		for (unsigned k = 0; k < i; k++)
			if (streams[k]->ctx->device == streams[i]->ctx->device)
				return CUDA_ERROR_INVALID_VALUE;
	}
	return CUDA_SUCCESS;
}

/* With one device this is a cooperative launch. With several, streams of different devices
 * would have to wait for each other, which is not done: attribute 96 is 0. */
SIM_EXPORT CUresult cuLaunchCooperativeKernelMultiDevice(
	CUDA_LAUNCH_PARAMS *launchParamsList, unsigned int numDevices, unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuLaunchCooperativeKernelMultiDevice);
	struct sim_stream *streams[SIM_MAX_LOCAL_DEVICES];
	const unsigned known = CUDA_COOPERATIVE_LAUNCH_MULTI_DEVICE_NO_PRE_LAUNCH_SYNC |
			       CUDA_COOPERATIVE_LAUNCH_MULTI_DEVICE_NO_POST_LAUNCH_SYNC;

	if (res != CUDA_SUCCESS)
		return res;
	if (launchParamsList == NULL || numDevices == 0 ||
	    numDevices > sim.hello.devices || (flags & ~known) != 0)
		return CUDA_ERROR_INVALID_VALUE;
	res = check_list(launchParamsList, numDevices, streams);
	if (res == CUDA_SUCCESS && numDevices > 1 && flags != known)
		res = CUDA_ERROR_NOT_SUPPORTED;
	for (unsigned i = 0; i < numDevices && res == CUDA_SUCCESS; i++) {
		const CUDA_LAUNCH_PARAMS *p = &launchParamsList[i];
		const struct sim_launch_shape shape = {
			{ p->gridDimX, p->gridDimY, p->gridDimZ },
			{ p->blockDimX, p->blockDimY, p->blockDimZ },
			p->sharedMemBytes,
			true
		};

		res = sim_launch_submit(streams[i], p->function, &shape, p->kernelParams,
					NULL);
	}
	return res;
}
