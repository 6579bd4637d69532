/*
 * library.c - libraries: code that belongs to no context, and becomes a module in each
 * context that uses it.
 *
 * Knows: CUlibrary and how its CUkernels become functions. Refuses to know: modules' insides
 * (module.c) and kernels' attributes (function.c).
 *
 * With CUDA_MODULE_LOADING=EAGER a library is loaded into the current context at once; into
 * the others it comes when it is used there.
 */
#include "driver/code.h"

#include <stdlib.h>

#include "driver/capture.h"

#define WHY_BYTES 256

static CUresult get(CUlibrary handle, struct sim_library **library)
{
	*library = (struct sim_library *)handle;
	return sim_object_check(handle, SIM_T_LIBRARY) ? CUDA_SUCCESS
						       : CUDA_ERROR_INVALID_HANDLE;
}

/* The library's module in the context, loaded now if it has not been. */
static CUresult module_in(struct sim_library *library, struct sim_context *ctx,
			  struct sim_module **module)
{
	static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
	CUresult res = CUDA_SUCCESS;

	pthread_mutex_lock(&sim_code_lock);
	*module = sim_module_of_library(library, ctx);
	pthread_mutex_unlock(&sim_code_lock);
	if (*module != NULL)
		return CUDA_SUCCESS;
	/* Making one copies data: not under sim_code_lock, but not twice either. */
	pthread_mutex_lock(&once);
	pthread_mutex_lock(&sim_code_lock);
	*module = sim_module_of_library(library, ctx);
	pthread_mutex_unlock(&sim_code_lock);
	if (*module == NULL)
		res = sim_module_new(ctx, library->code, library, module);
	pthread_mutex_unlock(&once);
	return res;
}

static CUresult module_here(CUlibrary handle, struct sim_module **module)
{
	struct sim_library *library;
	struct sim_context *ctx;
	CUresult res = get(handle, &library);

	if (res == CUDA_SUCCESS)
		res = sim_need_context(&ctx);
	return res ? res : module_in(library, ctx, module);
}

/* Whether what was found before is still the kernel's function in the context; objects that
 * have been functions can be looked at ever after. */
static bool still_is(const struct sim_kernel *found, const struct sim_kernel *kernel,
		     const struct sim_context *ctx)
{
	return found != NULL &&
	       atomic_load_explicit(&found->function.object.live, memory_order_acquire) ==
		       SIM_T_FUNCTION &&
	       found->function.ctx == ctx && found->library == kernel->library &&
	       found->entry == kernel->entry;
}

CUresult sim_kernel_function(struct sim_kernel *kernel, struct sim_context *ctx,
			     struct sim_function **function)
{
	struct sim_kernel *found = atomic_load_explicit(&kernel->found,
							memory_order_acquire);
	struct sim_module *module;
	CUresult res;

	if (still_is(found, kernel, ctx)) {
		*function = &found->function;
		return CUDA_SUCCESS;
	}
	res = module_in(kernel->library, ctx, &module);
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_code_lock);
	res = sim_module_function(module, kernel->entry, &found);
	pthread_mutex_unlock(&sim_code_lock);
	if (res != CUDA_SUCCESS)
		return res;
	atomic_store_explicit(&kernel->found, found, memory_order_release);
	*function = &found->function;
	return CUDA_SUCCESS;
}

/* ---- loading ---- */

static CUresult check_options(unsigned count, const CUlibraryOption *options,
			      void **values, bool file)
{
	if (count > 0 && (options == NULL || values == NULL))
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned i = 0; i < count; i++)
		if ((unsigned)options[i] >= CU_LIBRARY_NUM_OPTIONS ||
		    (file && options[i] == CU_LIBRARY_BINARY_IS_PRESERVED))
			return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

/* A library of the code, whose reference it takes. */
static struct sim_library *adopt(struct sim_code *code)
{
	struct sim_library *library = sim_object_new(SIM_T_LIBRARY, sizeof(*library));
	struct sim_kernel **kernels = calloc(code->entries_count + 1,
					     sizeof(struct sim_kernel *));

	if (library != NULL && kernels != NULL) {
		library->code = code;
		library->kernels = kernels;
		return library;
	}
	free(kernels);
	if (library != NULL)
		sim_object_delete(library);
	pthread_mutex_lock(&sim_code_lock);
	sim_code_unref(code);
	pthread_mutex_unlock(&sim_code_lock);
	return NULL;
}

/* Its modules have gone. */
static void destroy(struct sim_library *library)
{
	pthread_mutex_lock(&sim_code_lock);
	for (unsigned i = 0; i < library->code->entries_count; i++)
		sim_kernel_delete(library->kernels[i]);
	free(library->kernels);
	sim_code_unref(library->code);
	sim_object_delete(library);
	pthread_mutex_unlock(&sim_code_lock);
}

static CUresult load(CUlibrary *out, const void *data, size_t limit, unsigned count,
		     CUjit_option *options, void **values)
{
	struct sim_library *library;
	struct sim_context *ctx = sim_current();
	struct sim_module *module;
	struct sim_code *code;
	char why[WHY_BYTES];
	CUresult res = sim_jit_check(count, options, values);

	if (res == CUDA_SUCCESS)
		res = sim_capture_guard();
	if (res != CUDA_SUCCESS)
		return res;
	res = sim_code_read(data, limit, &code, why, sizeof(why));
	sim_jit_answer(count, options, values, why);
	if (res != CUDA_SUCCESS)
		return res;
	library = adopt(code);
	if (library == NULL)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (sim_module_eager() && ctx != NULL)
		res = module_in(library, ctx, &module);
	if (res == CUDA_SUCCESS)
		*out = (CUlibrary)library;
	else
		destroy(library);
	return res;
}

SIM_EXPORT CUresult cuLibraryLoadData(CUlibrary *library, const void *code,
				      CUjit_option *jitOptions, void **jitOptionsValues,
				      unsigned int numJitOptions,
				      CUlibraryOption *libraryOptions,
				      void **libraryOptionValues,
				      unsigned int numLibraryOptions)
{
	CUresult res = sim_enter(SIM_FN_cuLibraryLoadData);

	if (res == CUDA_SUCCESS)
		res = check_options(numLibraryOptions, libraryOptions,
				    libraryOptionValues, false);
	if (res != CUDA_SUCCESS)
		return res;
	if (library == NULL || code == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	return load(library, code, SIZE_MAX, numJitOptions, jitOptions, jitOptionsValues);
}

SIM_EXPORT CUresult cuLibraryLoadFromFile(CUlibrary *library, const char *fileName,
					  CUjit_option *jitOptions,
					  void **jitOptionsValues,
					  unsigned int numJitOptions,
					  CUlibraryOption *libraryOptions,
					  void **libraryOptionValues,
					  unsigned int numLibraryOptions)
{
	CUresult res = sim_enter(SIM_FN_cuLibraryLoadFromFile);
	void *data;
	size_t bytes;

	if (res == CUDA_SUCCESS)
		res = check_options(numLibraryOptions, libraryOptions,
				    libraryOptionValues, true);
	if (res != CUDA_SUCCESS)
		return res;
	if (library == NULL || fileName == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_code_file(fileName, &data, &bytes);
	if (res != CUDA_SUCCESS)
		return res;
	res = load(library, data, bytes, numJitOptions, jitOptions, jitOptionsValues);
	free(data);
	return res;
}

/* One of the library's modules, or NULL. */
static struct sim_module *any_module(struct sim_library *library)
{
	struct sim_module *module;

	pthread_mutex_lock(&sim_code_lock);
	module = sim_module_first();
	while (module != NULL && module->library != library)
		module = module->next;
	pthread_mutex_unlock(&sim_code_lock);
	return module;
}

SIM_EXPORT CUresult cuLibraryUnload(CUlibrary library)
{
	CUresult res = sim_enter(SIM_FN_cuLibraryUnload);
	struct sim_library *found;
	struct sim_module *module;

	if (res == CUDA_SUCCESS)
		res = get(library, &found);
	if (res == CUDA_SUCCESS)
		res = sim_capture_guard();
	while (res == CUDA_SUCCESS && (module = any_module(found)) != NULL) {
		res = sim_context_drain(module->ctx);
		if (res == CUDA_SUCCESS)
			sim_module_delete(module, true);
	}
	if (res == CUDA_SUCCESS)
		destroy(found);
	return res;
}

/* ---- what is in a library ---- */

/* Under sim_code_lock. */
static CUresult kernel_at(struct sim_library *library, unsigned i, CUkernel *kernel)
{
	struct sim_kernel *made = library->kernels[i];

	if (made == NULL) {
		made = sim_kernel_new(library->code, i);
		if (made == NULL)
			return CUDA_ERROR_OUT_OF_MEMORY;
		made->library = library;
		/* With sim_function_setting(), which looks without the lock. */
		__atomic_store_n(&library->kernels[i], made, __ATOMIC_RELEASE);
	}
	*kernel = (CUkernel)made;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuLibraryGetKernel(CUkernel *pKernel, CUlibrary library,
				       const char *name)
{
	CUresult res = sim_enter(SIM_FN_cuLibraryGetKernel);
	struct sim_library *found;
	int i;

	if (res == CUDA_SUCCESS)
		res = pKernel && name ? get(library, &found) : CUDA_ERROR_INVALID_VALUE;
	if (res != CUDA_SUCCESS)
		return res;
	i = sim_code_entry(found->code, name);
	if (i < 0)
		return CUDA_ERROR_NOT_FOUND;
	pthread_mutex_lock(&sim_code_lock);
	res = kernel_at(found, (unsigned)i, pKernel);
	pthread_mutex_unlock(&sim_code_lock);
	return res;
}

SIM_EXPORT CUresult cuLibraryGetKernelCount(unsigned int *count, CUlibrary lib)
{
	CUresult res = sim_enter(SIM_FN_cuLibraryGetKernelCount);
	struct sim_library *library;

	if (res == CUDA_SUCCESS)
		res = count ? get(lib, &library) : CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		*count = library->code->entries_count;
	return res;
}

SIM_EXPORT CUresult cuLibraryEnumerateKernels(CUkernel *kernels, unsigned int numKernels,
					      CUlibrary lib)
{
	CUresult res = sim_enter(SIM_FN_cuLibraryEnumerateKernels);
	struct sim_library *library;

	if (res == CUDA_SUCCESS)
		res = kernels && numKernels ? get(lib, &library)
					    : CUDA_ERROR_INVALID_VALUE;
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_code_lock);
	for (unsigned i = 0; i < numKernels && i < library->code->entries_count && !res;
	     i++)
		res = kernel_at(library, i, &kernels[i]);
	pthread_mutex_unlock(&sim_code_lock);
	return res;
}

SIM_EXPORT CUresult cuKernelGetLibrary(CUlibrary *pLib, CUkernel kernel)
{
	CUresult res = sim_enter(SIM_FN_cuKernelGetLibrary);
	const struct sim_kernel *found = (const struct sim_kernel *)kernel;

	if (res != CUDA_SUCCESS)
		return res;
	if (pLib == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sim_object_check(kernel, SIM_T_FUNCTION) || found->function.ctx != NULL)
		return CUDA_ERROR_INVALID_HANDLE;
	*pLib = (CUlibrary)found->library;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuKernelGetFunction(CUfunction *pFunc, CUkernel kernel)
{
	CUresult res = sim_enter(SIM_FN_cuKernelGetFunction);
	struct sim_kernel *found = (struct sim_kernel *)kernel;
	struct sim_function *function;
	struct sim_context *ctx;

	if (res != CUDA_SUCCESS)
		return res;
	if (pFunc == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sim_object_check(kernel, SIM_T_FUNCTION) || found->function.ctx != NULL)
		return CUDA_ERROR_INVALID_HANDLE;
	res = sim_need_context(&ctx);
	if (res == CUDA_SUCCESS)
		res = sim_kernel_function(found, ctx, &function);
	if (res == CUDA_SUCCESS)
		res = sim_function_load((struct sim_kernel *)function);
	if (res == CUDA_SUCCESS)
		*pFunc = (CUfunction)function;
	return res;
}

SIM_EXPORT CUresult cuLibraryGetModule(CUmodule *pMod, CUlibrary library)
{
	CUresult res = sim_enter(SIM_FN_cuLibraryGetModule);
	struct sim_module *module;

	if (res == CUDA_SUCCESS)
		res = pMod ? module_here(library, &module) : CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		*pMod = (CUmodule)module;
	return res;
}

/* A variable of the module, of the kind asked for. */
static CUresult global(const struct sim_module *module, const char *name, bool managed,
		       CUdeviceptr *dptr, size_t *bytes)
{
	int i = sim_code_global(module->code, name);

	if (i < 0 || module->code->globals[i]->managed != managed)
		return CUDA_ERROR_NOT_FOUND;
	if (dptr != NULL)
		*dptr = module->globals[i];
	if (bytes != NULL)
		*bytes = module->code->globals[i]->size_bytes;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuLibraryGetGlobal(CUdeviceptr *dptr, size_t *bytes,
				       CUlibrary library, const char *name)
{
	CUresult res = sim_enter(SIM_FN_cuLibraryGetGlobal);
	struct sim_module *module;

	if (res == CUDA_SUCCESS)
		res = (dptr || bytes) && name ? module_here(library, &module)
					      : CUDA_ERROR_INVALID_VALUE;
	return res ? res : global(module, name, false, dptr, bytes);
}

/* Managed variables exist once the library is loaded into at least one context. */
SIM_EXPORT CUresult cuLibraryGetManaged(CUdeviceptr *dptr, size_t *bytes,
					CUlibrary library, const char *name)
{
	CUresult res = sim_enter(SIM_FN_cuLibraryGetManaged);
	struct sim_library *found;
	struct sim_module *module;
	struct sim_context *ctx;

	if (res == CUDA_SUCCESS)
		res = (dptr || bytes) && name ? get(library, &found)
					      : CUDA_ERROR_INVALID_VALUE;
	if (res != CUDA_SUCCESS)
		return res;
	module = any_module(found);
	ctx = sim_current();
	if (module == NULL && ctx != NULL) {
		res = module_in(found, ctx, &module);
		if (res != CUDA_SUCCESS)
			return res;
	}
	return module ? global(module, name, true, dptr, bytes) : CUDA_ERROR_NOT_FOUND;
}

/* Unified functions stand in a table of host code that comes as a library option, and that
 * nobody here looks at. */
SIM_EXPORT CUresult cuLibraryGetUnifiedFunction(void **fptr, CUlibrary library,
						const char *symbol)
{
	CUresult res = sim_enter(SIM_FN_cuLibraryGetUnifiedFunction);
	struct sim_library *found;

	if (res == CUDA_SUCCESS)
		res = fptr && symbol ? get(library, &found) : CUDA_ERROR_INVALID_VALUE;
	return res ? res : CUDA_ERROR_NOT_FOUND;
}
