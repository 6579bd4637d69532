/*
 * code.h - modules, libraries and their kernels, as the files of this family share them.
 *
 * Knows: how code that was read (image.h) belongs to modules and libraries, which kernels
 * it has, and what the SM can hold. Refuses to know: how images are read, and how launches
 * reach the device.
 *
 * Lists, functions and loading states are under sim_code_lock, which comes before the locks
 * of driver.h and is never held while waiting for work of the device.
 */
#ifndef SIM_CODE_H
#define SIM_CODE_H

#include "driver/driver.h"
#include "driver/image.h"

/* What one SM holds (CUDA C++ Programming Guide, compute capability 9.0). */
enum {
	SIM_SM_THREADS = 2048,
	SIM_SM_BLOCKS = 32,
	SIM_SM_REGISTERS = 65536,
	SIM_SM_SHARED_BYTES = 228 << 10,
	SIM_BLOCK_THREADS = 1024,
	SIM_BLOCK_SHARED_BYTES = 48 << 10,	  /* without asking */
	SIM_BLOCK_SHARED_OPTIN_BYTES = 227 << 10, /* with cuFuncSetAttribute */
	SIM_BLOCK_RESERVED_SHARED_BYTES = 1 << 10,
	SIM_WARP_THREADS = 32,
	SIM_REGISTERS_UNKNOWN = 32, /* of a kernel in PTX, which does not say */
	SIM_CLUSTER_BLOCKS = 8,
	SIM_CLUSTER_BLOCKS_NON_PORTABLE = 16
};

#define SIM_FUNCTION_ATTRIBUTES 16 /* of struct sim_function.attributes */

/* Code that was read: one image, or those that a linker put together. Shared by a library
 * and its modules. */
struct sim_code {
	unsigned refs; /* under sim_code_lock */
	struct sim_image **images;
	unsigned images_count;
	/* Of all images; the first of several with one name counts. */
	const struct sim_image_entry **entries;
	const struct sim_image **entry_images; /* in which entries[i] stands */
	unsigned entries_count;
	const struct sim_image_global **globals;
	unsigned globals_count;
	size_t bytes; /* of code, unpacked */
	unsigned constant_bytes;
	uint64_t identity; /* the same for the same content */
};

/* CUmodule */
struct sim_module {
	struct sim_object object;
	struct sim_context *ctx;
	struct sim_code *code;
	struct sim_library *library;   /* NULL: loaded by cuModuleLoad... */
	struct sim_kernel **functions; /* by entry; NULL until asked for */
	uint64_t code_id, data_id;     /* the device's; 0: none */
	CUdeviceptr data;	       /* where its variables lie */
	CUdeviceptr *globals;	       /* by global */
	CUtexref *refs;		       /* by texture or surface; NULL until asked for */
	struct sim_module *next;       /* all modules */
};

/* CUlibrary */
struct sim_library {
	struct sim_object object;
	struct sim_code *code;
	struct sim_kernel **kernels; /* by entry; NULL until asked for */
	struct sim_library *next;    /* all libraries */
};

/* State of the launch calls from before cuLaunchKernel. */
#define SIM_LEGACY_PARAMS_BYTES 4096
struct sim_legacy_launch {
	unsigned block[3];
	unsigned shared_bytes, param_bytes;
	unsigned char params[SIM_LEGACY_PARAMS_BYTES];
};

/* CUfunction, or CUkernel when function.ctx is NULL. */
struct sim_kernel {
	struct sim_function
		function; /* .module: struct sim_module, or NULL for a CUkernel */
	struct sim_library *library; /* of a CUkernel and of functions made for one */
	unsigned entry;		     /* in the code */
	unsigned sm;		     /* architecture of the image */
	enum sim_image_kind image_kind;
	unsigned constant_bytes;
	struct sim_legacy_launch *legacy; /* NULL until used */
	_Atomic(struct sim_kernel *)
		found; /* of a CUkernel: its function launched last */
	int (*per_device)
		[SIM_FUNCTION_ATTRIBUTES]; /* of a CUkernel; by device; NULL: none set */
};

extern pthread_mutex_t sim_code_lock;

/* ---- code.c ---- */

/* Reads an image of at most limit bytes (SIZE_MAX: the image tells) with one reference.
 * On failure a sentence stands in why. Returns CUDA_ERROR_INVALID_IMAGE, _INVALID_PTX,
 * _NO_BINARY_FOR_GPU or _OUT_OF_MEMORY. */
CUresult sim_code_read(const void *data, size_t limit, struct sim_code **code, char *why,
		       size_t why_bytes);
/* Under sim_code_lock. The last reference frees. */
void sim_code_unref(struct sim_code *code);
/* Index of the kernel or variable of that name, or -1. */
int sim_code_entry(const struct sim_code *code, const char *name);
int sim_code_global(const struct sim_code *code, const char *name);
/* A kernel object for entry i of the code; NULL when out of memory. */
struct sim_kernel *sim_kernel_new(const struct sim_code *code, unsigned i);
void sim_kernel_delete(struct sim_kernel *kernel);
/* Reads a whole file (at most 1 GiB) into memory that the caller frees.
 * CUDA_ERROR_FILE_NOT_FOUND, _OUT_OF_MEMORY. */
CUresult sim_code_file(const char *path, void **data, size_t *bytes);

/* JIT options: whether they are well formed, and the answers that they ask for. `log` is
 * the sentence for the error log, NULL or empty when there is none. */
CUresult sim_jit_check(unsigned count, const CUjit_option *options, void **values);
void sim_jit_answer(unsigned count, const CUjit_option *options, void **values,
		    const char *log);

/* ---- module.c ---- */

/* Makes a module of the code in the context; takes a reference of its own. */
CUresult sim_module_new(struct sim_context *ctx, struct sim_code *code,
			struct sim_library *library, struct sim_module **made);
/* Frees the module and all it holds. `device` false: its context is about to free what the
 * device holds for it. Without sim_code_lock, after its work has been waited for. */
void sim_module_delete(struct sim_module *module, bool device);
/* Under sim_code_lock: the function object of an entry, made when there is none yet. */
CUresult sim_module_function(struct sim_module *module, unsigned entry,
			     struct sim_kernel **function);
/* The library's module in the context, or NULL. Under sim_code_lock. */
struct sim_module *sim_module_of_library(struct sim_library *library,
					 struct sim_context *ctx);
/* Whether the module stands, and its context and library then: other threads may take it
 * away, with its context, at any moment. */
bool sim_module_owners(const struct sim_module *module, struct sim_context **ctx,
		       struct sim_library **library);
/* All modules, first to last. Under sim_code_lock. */
struct sim_module *sim_module_first(void);
/* EAGER in CUDA_MODULE_LOADING. */
bool sim_module_eager(void);
/* Has the device hold the function's code, if it does not yet. */
CUresult sim_function_load(struct sim_kernel *function);
static inline bool sim_function_loaded(const struct sim_function *function)
{
	return __atomic_load_n(&function->loaded, __ATOMIC_ACQUIRE);
}

/* ---- variables.c ---- */

/* Gives the module's variables memory and their initial values: from the moment a module is
 * loaded, whatever the loading mode. On failure sim_variables_free() takes back the rest. */
CUresult sim_variables_make(struct sim_module *module);
void sim_variables_free(struct sim_module *module);

/* ---- library.c ---- */

/* The function of a CUkernel in a context; loads the library there if needed. */
CUresult sim_kernel_function(struct sim_kernel *kernel, struct sim_context *ctx,
			     struct sim_function **function);

/* ---- function.c ---- */

/* The attribute as set for the CUkernel of a function that has one, or -1. */
int sim_function_kernel_setting(const struct sim_kernel *function,
				CUfunction_attribute attribute);
/* The attribute as set for this function, else for its CUkernel, else -1. */
static inline int sim_function_setting(const struct sim_function *function,
				       CUfunction_attribute attribute)
{
	/* CUfunctions are the first member of their struct sim_kernel. */
	const struct sim_kernel *kernel = (const struct sim_kernel *)function;
	int value = __atomic_load_n(&function->attributes[attribute], __ATOMIC_RELAXED);

	if (value != -1 || kernel->library == NULL)
		return value;
	return sim_function_kernel_setting(kernel, attribute);
}
/* Dynamic shared memory a block of this function may ask for. */
unsigned sim_function_max_dynamic(const struct sim_function *function);

/* ---- occupancy.c ---- */

/* Blocks of that shape that one SM holds at once; 0 if not even one. */
unsigned sim_occupancy(const struct sim_function *function, unsigned block_threads,
		       size_t dynamic_bytes);

/* ---- link.c ---- */

/* Whether the data is what cuLinkComplete made; then its total size and the next part of
 * it. Start with *cursor 0; returns false after the last part or when it is damaged, which
 * *damaged tells. Parts lie within the container. */
bool sim_link_is_container(const void *data, size_t limit);
bool sim_link_part(const void *data, size_t limit, size_t *cursor, const void **part,
		   size_t *part_bytes, bool *damaged);

#endif
