/*
 * module.c - modules: code in a context.
 *
 * Knows: when the device holds a module's code (from the first function that is asked for,
 * or at once with CUDA_MODULE_LOADING=EAGER) and when that goes. Refuses to know: formats of
 * code, where variables lie (variables.c), and what functions are for.
 */
#include "driver/code.h"

#include <stdlib.h>
#include <string.h>

#include "driver/texture.h"

#define CODE_GRANULE_BYTES (64u << 10)

static struct sim_module *modules; /* under sim_code_lock */

struct sim_module *sim_module_first(void)
{
	return modules;
}

bool sim_module_owners(const struct sim_module *module, struct sim_context **ctx,
		       struct sim_library **library)
{
	const struct sim_module *at;

	pthread_mutex_lock(&sim_code_lock);
	for (at = modules; at && at != module;)
		at = at->next;
	if (at) {
		*ctx = at->ctx;
		*library = at->library;
	}
	pthread_mutex_unlock(&sim_code_lock);
	return at != NULL;
}

bool sim_module_eager(void)
{
	const char *mode = getenv("CUDA_MODULE_LOADING");

	return mode != NULL && strcmp(mode, "EAGER") == 0;
}

/* ---- what the device holds ---- */

/* Under sim_code_lock. */
static CUresult hold_code(struct sim_module *module)
{
	const uint64_t granules = (module->code->bytes + CODE_GRANULE_BYTES - 1) /
				  CODE_GRANULE_BYTES;
	const uint64_t a[6] = { module->ctx->id, granules * CODE_GRANULE_BYTES };
	uint64_t v[6];
	CUresult res;

	if (module->code_id != 0 || sim.zero_cost)
		return CUDA_SUCCESS;
	res = sim_rpc(SIM_RPC_CODE_LOAD, a, v, -1, NULL);
	if (res == CUDA_SUCCESS)
		module->code_id = v[0];
	return res;
}

CUresult sim_function_load(struct sim_kernel *function)
{
	struct sim_module *module = function->function.module;
	CUresult res;

	if (module == NULL)
		return CUDA_ERROR_INVALID_HANDLE;
	pthread_mutex_lock(&sim_code_lock);
	res = hold_code(module);
	if (res == CUDA_SUCCESS)
		__atomic_store_n(&function->function.loaded, true, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&sim_code_lock);
	return res;
}

static void release(struct sim_module *module)
{
	const uint64_t a[6] = { module->code_id };

	sim_variables_free(module);
	if (module->code_id != 0)
		sim_rpc(SIM_RPC_CODE_UNLOAD, a, NULL, -1, NULL);
}

/* ---- life ---- */

/* The context takes what the device and the allocation table hold with it. */
static void context_gone(struct sim_context *ctx)
{
	struct sim_module *module;

	for (;;) {
		pthread_mutex_lock(&sim_code_lock);
		for (module = modules; module && module->ctx != ctx;)
			module = module->next;
		pthread_mutex_unlock(&sim_code_lock);
		if (module == NULL)
			return;
		sim_module_delete(module, false);
	}
}

static size_t refs_of(const struct sim_code *code)
{
	size_t refs = 0;

	for (unsigned k = 0; k < code->images_count; k++)
		refs += code->images[k]->refs_count;
	return refs;
}

static void register_hook(void)
{
	sim_context_on_destroy(context_gone);
}

/* Frees a module that is in no list. */
static void discard(struct sim_module *module, bool device)
{
	struct sim_code *code = module->code;

	if (device)
		release(module);
	pthread_mutex_lock(&sim_code_lock);
	for (unsigned i = 0; module->functions && i < code->entries_count; i++)
		sim_kernel_delete(module->functions[i]);
	for (size_t i = 0; module->refs && i < refs_of(code); i++)
		if (module->refs[i] != NULL)
			sim_texref_delete(module->refs[i]);
	free(module->functions);
	free(module->globals);
	free(module->refs);
	sim_code_unref(code);
	sim_object_delete(module);
	pthread_mutex_unlock(&sim_code_lock);
}

CUresult sim_module_new(struct sim_context *ctx, struct sim_code *code,
			struct sim_library *library, struct sim_module **made)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct sim_module *module = sim_object_new(SIM_T_MODULE, sizeof(*module));
	CUresult res;

	if (module == NULL)
		return CUDA_ERROR_OUT_OF_MEMORY;
	pthread_once(&once, register_hook);
	module->ctx = ctx;
	module->code = code;
	module->library = library;
	module->functions = calloc(code->entries_count + 1, sizeof(struct sim_kernel *));
	module->globals = calloc(code->globals_count + 1, sizeof(*module->globals));
	module->refs = calloc(refs_of(code) + 1, sizeof(CUtexref));
	res = module->functions && module->globals && module->refs
		      ? CUDA_SUCCESS
		      : CUDA_ERROR_OUT_OF_MEMORY;
	pthread_mutex_lock(&sim_code_lock);
	code->refs++;
	if (res == CUDA_SUCCESS && sim_module_eager())
		res = hold_code(module);
	pthread_mutex_unlock(&sim_code_lock);
	if (res == CUDA_SUCCESS)
		res = sim_variables_make(module);
	if (res != CUDA_SUCCESS) {
		discard(module, true);
		return res;
	}
	/* Last: until now it is nobody else's to delete. */
	pthread_mutex_lock(&sim_code_lock);
	module->next = modules;
	modules = module;
	pthread_mutex_unlock(&sim_code_lock);
	*made = module;
	return CUDA_SUCCESS;
}

void sim_module_delete(struct sim_module *module, bool device)
{
	struct sim_module **link = &modules;

	pthread_mutex_lock(&sim_code_lock);
	while (*link != NULL && *link != module)
		link = &(*link)->next;
	if (*link == NULL) { /* its context went at the same moment, and took it along */
		pthread_mutex_unlock(&sim_code_lock);
		return;
	}
	*link = module->next;
	pthread_mutex_unlock(&sim_code_lock);
	discard(module, device);
}

CUresult sim_module_function(struct sim_module *module, unsigned entry,
			     struct sim_kernel **function)
{
	struct sim_kernel *made = module->functions[entry];

	if (made == NULL) {
		made = sim_kernel_new(module->code, entry);
		if (made == NULL)
			return CUDA_ERROR_OUT_OF_MEMORY;
		made->function.ctx = module->ctx;
		made->function.module = module;
		made->library = module->library;
		made->function.loaded = sim_module_eager();
		module->functions[entry] = made;
	}
	*function = made;
	return CUDA_SUCCESS;
}

struct sim_module *sim_module_of_library(struct sim_library *library,
					 struct sim_context *ctx)
{
	for (struct sim_module *module = modules; module; module = module->next)
		if (module->library == library && module->ctx == ctx)
			return module;
	return NULL;
}
