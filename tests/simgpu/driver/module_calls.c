/*
 * module_calls.c - what applications ask of modules.
 *
 * Knows: the module calls and their errors. Refuses to know: how modules are made (module.c)
 * and what functions and references are for.
 */
#include <stdlib.h>
#include <string.h>

#include "driver/capture.h"
#include "driver/code.h"
#include "driver/texture.h"

#define WHY_BYTES 256

/* ---- loading ---- */

static CUresult load(CUmodule *out, const void *image, size_t limit, unsigned count,
		     CUjit_option *options, void **values)
{
	struct sim_context *ctx;
	struct sim_module *module;
	struct sim_code *code;
	char why[WHY_BYTES];
	CUresult res;

	if (out == NULL || image == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_jit_check(count, options, values);
	if (res == CUDA_SUCCESS)
		res = sim_need_context(&ctx);
	if (res == CUDA_SUCCESS)
		res = sim_capture_guard();
	if (res != CUDA_SUCCESS)
		return res;
	res = sim_code_read(image, limit, &code, why, sizeof(why));
	sim_jit_answer(count, options, values, why);
	if (res != CUDA_SUCCESS)
		return res;
	res = sim_module_new(ctx, code, NULL, &module);
	pthread_mutex_lock(&sim_code_lock);
	sim_code_unref(code);
	pthread_mutex_unlock(&sim_code_lock);
	if (res == CUDA_SUCCESS)
		*out = (CUmodule)module;
	return res;
}

SIM_EXPORT CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
	CUresult res = sim_enter(SIM_FN_cuModuleLoadData);

	return res ? res : load(module, image, SIZE_MAX, 0, NULL, NULL);
}

SIM_EXPORT CUresult cuModuleLoadDataEx(CUmodule *module, const void *image,
				       unsigned int numOptions, CUjit_option *options,
				       void **optionValues)
{
	CUresult res = sim_enter(SIM_FN_cuModuleLoadDataEx);

	return res ? res
		   : load(module, image, SIZE_MAX, numOptions, options, optionValues);
}

SIM_EXPORT CUresult cuModuleLoadFatBinary(CUmodule *module, const void *fatCubin)
{
	CUresult res = sim_enter(SIM_FN_cuModuleLoadFatBinary);

	return res ? res : load(module, fatCubin, SIZE_MAX, 0, NULL, NULL);
}

SIM_EXPORT CUresult cuModuleLoad(CUmodule *module, const char *fname)
{
	CUresult res = sim_enter(SIM_FN_cuModuleLoad);
	void *data;
	size_t bytes;

	if (res != CUDA_SUCCESS)
		return res;
	if (module == NULL || fname == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_code_file(fname, &data, &bytes);
	if (res != CUDA_SUCCESS)
		return res;
	res = load(module, data, bytes, 0, NULL, NULL);
	free(data);
	return res;
}

/* ---- what is in a module ---- */

/* A live module of the application and a context to speak of it in. */
static CUresult get(CUmodule handle, struct sim_module **module)
{
	struct sim_context *ctx;
	CUresult res = sim_need_context(&ctx);

	if (res != CUDA_SUCCESS)
		return res;
	if (!sim_object_check(handle, SIM_T_MODULE))
		return CUDA_ERROR_INVALID_HANDLE;
	*module = (struct sim_module *)handle;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuModuleUnload(CUmodule hmod)
{
	CUresult res = sim_enter(SIM_FN_cuModuleUnload);
	struct sim_library *library;
	struct sim_module *module;
	struct sim_context *ctx;

	if (res == CUDA_SUCCESS)
		res = get(hmod, &module);
	if (res != CUDA_SUCCESS)
		return res;
	if (!sim_module_owners(module, &ctx, &library))
		return CUDA_ERROR_INVALID_HANDLE;
	if (library != NULL)
		return CUDA_ERROR_NOT_PERMITTED;
	res = sim_capture_guard();
	if (res == CUDA_SUCCESS)
		res = sim_context_drain(ctx);
	if (res == CUDA_SUCCESS)
		sim_module_delete(module, true);
	return res;
}

SIM_EXPORT CUresult cuModuleGetLoadingMode(CUmoduleLoadingMode *mode)
{
	CUresult res = sim_enter(SIM_FN_cuModuleGetLoadingMode);

	if (res != CUDA_SUCCESS)
		return res;
	if (mode == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	*mode = sim_module_eager() ? CU_MODULE_EAGER_LOADING : CU_MODULE_LAZY_LOADING;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuModuleGetFunction(CUfunction *hfunc, CUmodule hmod,
					const char *name)
{
	CUresult res = sim_enter(SIM_FN_cuModuleGetFunction);
	struct sim_kernel *function;
	struct sim_module *module;
	int entry;

	if (res == CUDA_SUCCESS)
		res = hfunc && name ? get(hmod, &module) : CUDA_ERROR_INVALID_VALUE;
	if (res != CUDA_SUCCESS)
		return res;
	entry = sim_code_entry(module->code, name);
	if (entry < 0)
		return CUDA_ERROR_NOT_FOUND;
	pthread_mutex_lock(&sim_code_lock);
	res = sim_module_function(module, (unsigned)entry, &function);
	pthread_mutex_unlock(&sim_code_lock);
	if (res == CUDA_SUCCESS)
		res = sim_function_load(function);
	if (res == CUDA_SUCCESS)
		*hfunc = (CUfunction)function;
	return res;
}

SIM_EXPORT CUresult cuModuleGetFunctionCount(unsigned int *count, CUmodule mod)
{
	CUresult res = sim_enter(SIM_FN_cuModuleGetFunctionCount);
	struct sim_module *module;

	if (res == CUDA_SUCCESS)
		res = count ? get(mod, &module) : CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		*count = module->code->entries_count;
	return res;
}

SIM_EXPORT CUresult cuModuleEnumerateFunctions(CUfunction *functions,
					       unsigned int numFunctions, CUmodule mod)
{
	CUresult res = sim_enter(SIM_FN_cuModuleEnumerateFunctions);
	struct sim_kernel *function;
	struct sim_module *module;

	if (res == CUDA_SUCCESS)
		res = functions && numFunctions ? get(mod, &module)
						: CUDA_ERROR_INVALID_VALUE;
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_code_lock);
	for (unsigned i = 0; i < numFunctions && i < module->code->entries_count; i++) {
		res = sim_module_function(module, i, &function);
		if (res != CUDA_SUCCESS)
			break;
		functions[i] = (CUfunction)function;
	}
	pthread_mutex_unlock(&sim_code_lock);
	return res;
}

SIM_EXPORT CUresult cuModuleGetGlobal_v2(CUdeviceptr *dptr, size_t *bytes, CUmodule hmod,
					 const char *name)
{
	CUresult res = sim_enter(SIM_FN_cuModuleGetGlobal_v2);
	struct sim_module *module;
	int i;

	if (res == CUDA_SUCCESS)
		res = (dptr || bytes) && name ? get(hmod, &module)
					      : CUDA_ERROR_INVALID_VALUE;
	if (res != CUDA_SUCCESS)
		return res;
	i = sim_code_global(module->code, name);
	if (i < 0)
		return CUDA_ERROR_NOT_FOUND;
	if (dptr != NULL)
		*dptr = module->globals[i];
	if (bytes != NULL)
		*bytes = module->code->globals[i]->size_bytes;
	return CUDA_SUCCESS;
}

/* References are numbered through all images of the code; those asked for once stay the
 * same object. */
static CUresult get_ref(CUtexref *out, CUmodule hmod, const char *name, bool surface)
{
	struct sim_module *module;
	unsigned at = 0;
	CUresult res = out && name ? get(hmod, &module) : CUDA_ERROR_INVALID_VALUE;

	if (res != CUDA_SUCCESS)
		return res;
	for (unsigned k = 0; k < module->code->images_count; k++) {
		const struct sim_image *image = module->code->images[k];

		for (size_t i = 0; i < image->refs_count; i++, at++) {
			if (image->refs[i].surface != surface ||
			    strcmp(image->refs[i].name, name) != 0)
				continue;
			pthread_mutex_lock(&sim_code_lock);
			if (module->refs[at] == NULL)
				module->refs[at] = sim_texref_new(surface);
			*out = module->refs[at];
			pthread_mutex_unlock(&sim_code_lock);
			return *out ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
		}
	}
	return CUDA_ERROR_NOT_FOUND;
}

SIM_EXPORT CUresult cuModuleGetTexRef(CUtexref *pTexRef, CUmodule hmod, const char *name)
{
	CUresult res = sim_enter(SIM_FN_cuModuleGetTexRef);

	return res ? res : get_ref(pTexRef, hmod, name, false);
}

SIM_EXPORT CUresult cuModuleGetSurfRef(CUsurfref *pSurfRef, CUmodule hmod,
				       const char *name)
{
	CUresult res = sim_enter(SIM_FN_cuModuleGetSurfRef);

	return res ? res : get_ref((CUtexref *)pSurfRef, hmod, name, true);
}
