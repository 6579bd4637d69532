/*
 * function.c - what a program may ask and set of a kernel: attributes, parameters, name.
 *
 * Knows: CUfunction and, where the questions are the same, CUkernel. Refuses to know: how
 * functions come to be (module.c, library.c) and how they are launched.
 */
#include "driver/code.h"

#include <stdlib.h>
#include <string.h>

/* As set for a CUkernel on a device. */
static int kernel_setting(const struct sim_kernel *kernel, unsigned device,
			  unsigned attribute)
{
	int(*table)[SIM_FUNCTION_ATTRIBUTES] = __atomic_load_n(&kernel->per_device,
							       __ATOMIC_ACQUIRE);

	return table ? __atomic_load_n(&table[device][attribute], __ATOMIC_RELAXED) : -1;
}

int sim_function_kernel_setting(const struct sim_kernel *function,
				CUfunction_attribute attribute)
{
	const struct sim_context *ctx = function->function.ctx;
	const struct sim_kernel *kernel = function;

	if (ctx == NULL)
		ctx = sim_current();
	else
		kernel = __atomic_load_n(&function->library->kernels[function->entry],
					 __ATOMIC_ACQUIRE);
	return ctx && kernel ? kernel_setting(kernel, ctx->device, attribute) : -1;
}

static unsigned default_max_dynamic(const struct sim_function *function)
{
	return function->static_shared_bytes < SIM_BLOCK_SHARED_BYTES
		       ? SIM_BLOCK_SHARED_BYTES - function->static_shared_bytes
		       : 0;
}

unsigned sim_function_max_dynamic(const struct sim_function *function)
{
	int set = sim_function_setting(function,
				       CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);

	return set >= 0 ? (unsigned)set : default_max_dynamic(function);
}

/* ---- attributes ---- */

/* The value of an attribute where `set` is what was set for it, -1: nothing. */
static CUresult attribute(const struct sim_kernel *kernel, CUfunction_attribute attrib,
			  int set, int *value)
{
	const struct sim_function *function = &kernel->function;
	unsigned sm = sim.hello.cc_major * 10 + sim.hello.cc_minor;

	switch (attrib) {
	case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
		*value = (int)function->max_threads;
		break;
	case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
		*value = (int)function->static_shared_bytes;
		break;
	case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
		*value = (int)kernel->constant_bytes;
		break;
	case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
		*value = (int)function->local_bytes;
		break;
	case CU_FUNC_ATTRIBUTE_NUM_REGS:
		*value = (int)function->registers;
		break;
	case CU_FUNC_ATTRIBUTE_PTX_VERSION:
		*value = (int)kernel->sm;
		break;
	case CU_FUNC_ATTRIBUTE_BINARY_VERSION: /* PTX was compiled for this device */
		*value = (int)(kernel->image_kind == SIM_IMAGE_PTX ? sm : kernel->sm);
		break;
	case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA:
		*value = 0;
		break;
	case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
		*value = set >= 0 ? set : (int)default_max_dynamic(function);
		break;
	case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
		*value = set; /* -1 is the default: no preference */
		break;
	case CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
	case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
	case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
		*value = set >= 0 ? set : 0;
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	return CUDA_SUCCESS;
}

/* Whether the attribute may be set to the value. */
static CUresult check_setting(const struct sim_function *function,
			      CUfunction_attribute attrib, int value)
{
	long long most;

	switch (attrib) {
	case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
		most = (long long)SIM_BLOCK_SHARED_OPTIN_BYTES -
		       function->static_shared_bytes;
		return value >= 0 && value <= most ? CUDA_SUCCESS
						   : CUDA_ERROR_INVALID_VALUE;
	case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
		return value >= -1 && value <= 100 ? CUDA_SUCCESS
						   : CUDA_ERROR_INVALID_VALUE;
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
		return value >= 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
		return value == 0 || value == 1 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
		return value >= CU_CLUSTER_SCHEDULING_POLICY_DEFAULT &&
				       value <=
					       CU_CLUSTER_SCHEDULING_POLICY_LOAD_BALANCING
			       ? CUDA_SUCCESS
			       : CUDA_ERROR_INVALID_VALUE;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

/* A live function of the application; not a CUkernel, which has calls of its own. */
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
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuFuncGetAttribute(int *pi, CUfunction_attribute attrib,
				       CUfunction hfunc)
{
	CUresult res = sim_enter(SIM_FN_cuFuncGetAttribute);
	struct sim_kernel *function;

	if (res == CUDA_SUCCESS)
		res = pi && (unsigned)attrib < CU_FUNC_ATTRIBUTE_MAX
			      ? get(hfunc, &function)
			      : CUDA_ERROR_INVALID_VALUE;
	if (res != CUDA_SUCCESS)
		return res;
	if ((attrib == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ||
	     attrib == CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES ||
	     attrib == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) &&
	    !sim_function_loaded(&function->function))
		return CUDA_ERROR_FUNCTION_NOT_LOADED;
	return attribute(function, attrib,
			 sim_function_setting(&function->function, attrib), pi);
}

SIM_EXPORT CUresult cuFuncSetAttribute(CUfunction hfunc, CUfunction_attribute attrib,
				       int value)
{
	CUresult res = sim_enter(SIM_FN_cuFuncSetAttribute);
	struct sim_kernel *function;

	if (res == CUDA_SUCCESS)
		res = get(hfunc, &function);
	if (res == CUDA_SUCCESS)
		res = check_setting(&function->function, attrib, value);
	if (res == CUDA_SUCCESS)
		__atomic_store_n(&function->function.attributes[attrib], value,
				 __ATOMIC_RELAXED);
	return res;
}

SIM_EXPORT CUresult cuFuncSetCacheConfig(CUfunction hfunc, CUfunc_cache config)
{
	CUresult res = sim_enter(SIM_FN_cuFuncSetCacheConfig);
	struct sim_kernel *function;

	if (res == CUDA_SUCCESS)
		res = get(hfunc, &function);
	if (res == CUDA_SUCCESS && (unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
		res = CUDA_ERROR_INVALID_VALUE;
	return res; /* a preference, and nothing here depends on it */
}

SIM_EXPORT CUresult cuFuncSetSharedMemConfig(CUfunction hfunc, CUsharedconfig config)
{
	CUresult res = sim_enter(SIM_FN_cuFuncSetSharedMemConfig);
	struct sim_kernel *function;

	if (res == CUDA_SUCCESS)
		res = get(hfunc, &function);
	if (res == CUDA_SUCCESS &&
	    (unsigned)config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE)
		res = CUDA_ERROR_INVALID_VALUE;
	return res; /* the same */
}

SIM_EXPORT CUresult cuFuncGetModule(CUmodule *hmod, CUfunction hfunc)
{
	CUresult res = sim_enter(SIM_FN_cuFuncGetModule);
	struct sim_kernel *function;

	if (res == CUDA_SUCCESS)
		res = hmod ? get(hfunc, &function) : CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		*hmod = (CUmodule)function->function.module;
	return res;
}

SIM_EXPORT CUresult cuFuncGetName(const char **name, CUfunction hfunc)
{
	CUresult res = sim_enter(SIM_FN_cuFuncGetName);
	struct sim_kernel *function;

	if (res == CUDA_SUCCESS)
		res = name && hfunc ? get(hfunc, &function) : CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		*name = function->function.name;
	return res;
}

static CUresult param_info(const struct sim_function *function, size_t i, size_t *offset,
			   size_t *size)
{
	if (i >= function->nparams)
		return CUDA_ERROR_INVALID_VALUE;
	*offset = function->params[i].offset_bytes;
	if (size != NULL)
		*size = function->params[i].size_bytes;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuFuncGetParamInfo(CUfunction func, size_t paramIndex,
				       size_t *paramOffset, size_t *paramSize)
{
	CUresult res = sim_enter(SIM_FN_cuFuncGetParamInfo);
	struct sim_kernel *function;

	if (res == CUDA_SUCCESS)
		res = paramOffset ? get(func, &function) : CUDA_ERROR_INVALID_VALUE;
	return res ? res
		   : param_info(&function->function, paramIndex, paramOffset, paramSize);
}

SIM_EXPORT CUresult cuFuncIsLoaded(CUfunctionLoadingState *state, CUfunction function)
{
	CUresult res = sim_enter(SIM_FN_cuFuncIsLoaded);
	struct sim_kernel *found;

	if (res == CUDA_SUCCESS)
		res = state ? get(function, &found) : CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		*state = sim_function_loaded(&found->function)
				 ? CU_FUNCTION_LOADING_STATE_LOADED
				 : CU_FUNCTION_LOADING_STATE_UNLOADED;
	return res;
}

SIM_EXPORT CUresult cuFuncLoad(CUfunction function)
{
	CUresult res = sim_enter(SIM_FN_cuFuncLoad);
	struct sim_kernel *found;

	if (res == CUDA_SUCCESS)
		res = get(function, &found);
	return res ? res : sim_function_load(found);
}

/* ---- CUkernel: the same questions, by device and without a context ---- */

static CUresult get_kernel(CUkernel handle, struct sim_kernel **kernel)
{
	*kernel = (struct sim_kernel *)handle;
	if (!sim_object_check(handle, SIM_T_FUNCTION) || (*kernel)->function.ctx != NULL)
		return CUDA_ERROR_INVALID_HANDLE;
	return CUDA_SUCCESS;
}

static CUresult get_on_device(CUkernel handle, CUdevice device,
			      struct sim_kernel **kernel)
{
	CUresult res = get_kernel(handle, kernel);

	if (res == CUDA_SUCCESS && (device < 0 || (unsigned)device >= sim.hello.devices))
		res = CUDA_ERROR_INVALID_DEVICE;
	return res;
}

SIM_EXPORT CUresult cuKernelGetAttribute(int *pi, CUfunction_attribute attrib,
					 CUkernel kernel, CUdevice dev)
{
	CUresult res = sim_enter(SIM_FN_cuKernelGetAttribute);
	struct sim_kernel *found;

	if (res == CUDA_SUCCESS)
		res = pi && (unsigned)attrib < CU_FUNC_ATTRIBUTE_MAX
			      ? get_on_device(kernel, dev, &found)
			      : CUDA_ERROR_INVALID_VALUE;
	if (res != CUDA_SUCCESS)
		return res;
	return attribute(found, attrib, kernel_setting(found, (unsigned)dev, attrib), pi);
}

SIM_EXPORT CUresult cuKernelSetAttribute(CUfunction_attribute attrib, int val,
					 CUkernel kernel, CUdevice dev)
{
	CUresult res = sim_enter(SIM_FN_cuKernelSetAttribute);
	size_t bytes = SIM_MAX_LOCAL_DEVICES *
		       sizeof(*((struct sim_kernel *)NULL)->per_device);
	struct sim_kernel *found;

	if (res == CUDA_SUCCESS)
		res = get_on_device(kernel, dev, &found);
	if (res == CUDA_SUCCESS)
		res = check_setting(&found->function, attrib, val);
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_code_lock);
	if (found->per_device == NULL) {
		void *made = malloc(bytes);

		if (made != NULL)
			memset(made, 0xff, bytes); /* all -1 */
		__atomic_store_n(&found->per_device, made, __ATOMIC_RELEASE);
	}
	if (found->per_device != NULL)
		__atomic_store_n(&found->per_device[dev][attrib], val, __ATOMIC_RELAXED);
	else
		res = CUDA_ERROR_OUT_OF_MEMORY;
	pthread_mutex_unlock(&sim_code_lock);
	return res;
}

SIM_EXPORT CUresult cuKernelSetCacheConfig(CUkernel kernel, CUfunc_cache config,
					   CUdevice dev)
{
	CUresult res = sim_enter(SIM_FN_cuKernelSetCacheConfig);
	struct sim_kernel *found;

	if (res == CUDA_SUCCESS)
		res = get_on_device(kernel, dev, &found);
	if (res == CUDA_SUCCESS && (unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
		res = CUDA_ERROR_INVALID_VALUE;
	return res;
}

SIM_EXPORT CUresult cuKernelGetName(const char **name, CUkernel hfunc)
{
	CUresult res = sim_enter(SIM_FN_cuKernelGetName);
	struct sim_kernel *kernel;

	if (res == CUDA_SUCCESS)
		res = name && hfunc ? get_kernel(hfunc, &kernel)
				    : CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		*name = kernel->function.name;
	return res;
}

SIM_EXPORT CUresult cuKernelGetParamInfo(CUkernel kernel, size_t paramIndex,
					 size_t *paramOffset, size_t *paramSize)
{
	CUresult res = sim_enter(SIM_FN_cuKernelGetParamInfo);
	struct sim_kernel *found;

	if (res == CUDA_SUCCESS)
		res = paramOffset ? get_kernel(kernel, &found) : CUDA_ERROR_INVALID_VALUE;
	return res ? res
		   : param_info(&found->function, paramIndex, paramOffset, paramSize);
}
