/*
 * code.c - code as modules and libraries share it: read once, referenced by many; and the
 * options of the JIT compiler that come with it.
 *
 * Knows: which architectures this device accepts, what makes a kernel one that the device
 * computes, what a JIT option asks back for. Refuses to know: formats (image.h, link.c) and
 * the device process.
 */
#include "driver/code.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES (1ll << 30)

pthread_mutex_t sim_code_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- reading ---- */

/* FNV-1a. */
static uint64_t hash(uint64_t h, const void *data, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		h = (h ^ ((const unsigned char *)data)[i]) * 0x100000001b3ull;
	return h;
}

static uint64_t hash_string(uint64_t h, const char *text)
{
	return hash(h, text, strlen(text) + 1);
}

/* What was read, rather than the bytes it was read from: neither the packing of a fat
 * binary nor the way it was handed over makes a kernel another one. */
static uint64_t hash_image(uint64_t h, const struct sim_image *image)
{
	h = hash(h, &image->image_bytes, sizeof(image->image_bytes));
	for (size_t i = 0; i < image->entries_count; i++)
		h = hash_string(h, image->entries[i].name);
	for (size_t i = 0; i < image->globals_count; i++)
		h = hash_string(h, image->globals[i].name);
	return h;
}

/* A fat binary may hold code for any architecture, and which one was taken is the reader's
 * choice: only code that comes by itself must fit. */
static CUresult check_architecture(const struct sim_image *image, const void *data,
				   char *why, size_t why_bytes)
{
	unsigned char first = *(const unsigned char *)data;
	unsigned device = sim.hello.cc_major * 10 + sim.hello.cc_minor;
	bool bare = first != 0x50 && first != 0xb1; /* magic numbers of fat binaries */

	if (!bare || image->sm == 0 || device == 0)
		return CUDA_SUCCESS;
	if (image->kind == SIM_IMAGE_PTX && image->sm > device) {
		snprintf(why, why_bytes,
			 "the PTX is for sm_%u, which is newer than the device's sm_%u",
			 image->sm, device);
		return CUDA_ERROR_INVALID_PTX;
	}
	if (image->kind == SIM_IMAGE_CUBIN &&
	    (image->sm / 10 != device / 10 || image->sm > device)) {
		snprintf(why, why_bytes,
			 "the cubin is for sm_%u and does not run on sm_%u", image->sm,
			 device);
		return CUDA_ERROR_NO_BINARY_FOR_GPU;
	}
	return CUDA_SUCCESS;
}

static CUresult add_image(struct sim_code *code, const void *data, size_t limit,
			  char *why, size_t why_bytes)
{
	struct sim_image *image;
	struct sim_image **grown;
	CUresult res = (CUresult)sim_image_parse(data, limit, &image, why, why_bytes);

	if (res != CUDA_SUCCESS)
		return res;
	res = check_architecture(image, data, why, why_bytes);
	grown = res ? NULL
		    : realloc(code->images,
			      (code->images_count + 1) * sizeof(struct sim_image *));
	if (grown == NULL) {
		sim_image_free(image);
		return res ? res : CUDA_ERROR_OUT_OF_MEMORY;
	}
	code->images = grown;
	code->images[code->images_count++] = image;
	return CUDA_SUCCESS;
}

static CUresult add_parts(struct sim_code *code, const void *data, size_t limit,
			  char *why, size_t why_bytes)
{
	size_t cursor = 0, part_bytes;
	const void *part;
	bool damaged;

	while (sim_link_part(data, limit, &cursor, &part, &part_bytes, &damaged)) {
		CUresult res = add_image(code, part, part_bytes, why, why_bytes);

		if (res != CUDA_SUCCESS)
			return res;
	}
	if (!damaged)
		return CUDA_SUCCESS;
	snprintf(why, why_bytes, "the linked image is cut short or damaged");
	return CUDA_ERROR_INVALID_IMAGE;
}

/* Flattens the images' tables. */
static CUresult index_code(struct sim_code *code)
{
	size_t entries = 0, globals = 0;

	for (unsigned k = 0; k < code->images_count; k++) {
		entries += code->images[k]->entries_count;
		globals += code->images[k]->globals_count;
	}
	code->entries = calloc(entries + 1, sizeof(struct sim_image_entry *));
	code->entry_images = calloc(entries + 1, sizeof(struct sim_image *));
	code->globals = calloc(globals + 1, sizeof(struct sim_image_global *));
	if (!code->entries || !code->entry_images || !code->globals)
		return CUDA_ERROR_OUT_OF_MEMORY;
	code->entries_count = 0;
	code->globals_count = 0;
	code->identity = 0xcbf29ce484222325ull;
	for (unsigned k = 0; k < code->images_count; k++) {
		const struct sim_image *image = code->images[k];

		code->bytes += image->image_bytes;
		code->identity = hash_image(code->identity, image);
		for (size_t i = 0; i < image->entries_count; i++) {
			if (sim_code_entry(code, image->entries[i].name) >= 0)
				continue;
			code->entry_images[code->entries_count] = image;
			code->entries[code->entries_count++] = &image->entries[i];
		}
		for (size_t i = 0; i < image->globals_count; i++) {
			const struct sim_image_global *global = &image->globals[i];

			if (sim_code_global(code, global->name) >= 0)
				continue;
			code->globals[code->globals_count++] = global;
			if (global->constant)
				code->constant_bytes += (unsigned)global->size_bytes;
		}
	}
	return CUDA_SUCCESS;
}

CUresult sim_code_read(const void *data, size_t limit, struct sim_code **code, char *why,
		       size_t why_bytes)
{
	struct sim_code *made = calloc(1, sizeof(*made));
	CUresult res;

	why[0] = '\0';
	if (made == NULL)
		return CUDA_ERROR_OUT_OF_MEMORY;
	made->refs = 1;
	if (sim_link_is_container(data, limit))
		res = add_parts(made, data, limit, why, why_bytes);
	else
		res = add_image(made, data, limit, why, why_bytes);
	if (res == CUDA_SUCCESS)
		res = index_code(made);
	if (res != CUDA_SUCCESS) {
		sim_code_unref(made);
		return res;
	}
	*code = made;
	return CUDA_SUCCESS;
}

void sim_code_unref(struct sim_code *code)
{
	if (--code->refs > 0)
		return;
	for (unsigned k = 0; k < code->images_count; k++)
		sim_image_free(code->images[k]);
	free(code->images);
	free(code->entries);
	free(code->entry_images);
	free(code->globals);
	free(code);
}

int sim_code_entry(const struct sim_code *code, const char *name)
{
	for (unsigned i = 0; i < code->entries_count; i++)
		if (strcmp(code->entries[i]->name, name) == 0)
			return (int)i;
	return -1;
}

int sim_code_global(const struct sim_code *code, const char *name)
{
	for (unsigned i = 0; i < code->globals_count; i++)
		if (strcmp(code->globals[i]->name, name) == 0)
			return (int)i;
	return -1;
}

CUresult sim_code_file(const char *path, void **data, size_t *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t got = 0;

	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
	    st.st_size > FILE_MAX_BYTES) {
		if (fd >= 0)
			close(fd);
		return CUDA_ERROR_FILE_NOT_FOUND;
	}
	*data = malloc((size_t)st.st_size + 1);
	while (*data != NULL && got < (size_t)st.st_size) {
		ssize_t n = read(fd, (char *)*data + got, (size_t)st.st_size - got);

		if (n <= 0)
			break;
		got += (size_t)n;
	}
	close(fd);
	*bytes = got;
	return *data ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* ---- kernels ---- */

/* A kernel is computed by the device when its name and its parameters are those of one that
 * it knows; a stranger of the same name takes a modelled time. */
static enum sim_builtin builtin_of(const struct sim_image_entry *entry)
{
	static const struct {
		const char *name;
		enum sim_builtin builtin;
		unsigned char sizes[5];
	} known[] = {
		{ "gpushim_fill_u32", SIM_K_FILL_U32, { 8, 4, 8 } },
		{ "gpushim_saxpy_f32", SIM_K_SAXPY_F32, { 8, 8, 4, 8 } },
		{ "gpushim_reduce_u32", SIM_K_REDUCE_U32, { 8, 8, 8 } },
		{ "gpushim_work", SIM_K_WORK, { 8, 8 } },
		{ "gpushim_spin_ns", SIM_K_SPIN_NS, { 8 } },
		{ "gpushim_spin_word", SIM_K_SPIN_WORD, { 8, 4 } },
		{ "gpushim_count", SIM_K_COUNT, { 8, 8, 8 } },
		{ "gpushim_set_conditional", SIM_K_SET_CONDITIONAL, { 8, 4 } },
	};

	for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
		unsigned i = 0;

		if (strcmp(entry->name, known[k].name) != 0)
			continue;
		while (i < entry->params_count && i < sizeof(known[k].sizes) &&
		       entry->params[i].size_bytes == known[k].sizes[i])
			i++;
		if (i == entry->params_count && known[k].sizes[i] == 0)
			return known[k].builtin;
	}
	return SIM_K_MODELLED;
}

static unsigned max_threads_of(const struct sim_image_entry *entry, unsigned registers)
{
	unsigned threads = entry->max_threads ? entry->max_threads : SIM_BLOCK_THREADS;
	unsigned fit = SIM_SM_REGISTERS / registers / SIM_WARP_THREADS * SIM_WARP_THREADS;

	if (threads > SIM_BLOCK_THREADS)
		threads = SIM_BLOCK_THREADS;
	return fit != 0 && fit < threads ? fit : threads;
}

struct sim_kernel *sim_kernel_new(const struct sim_code *code, unsigned i)
{
	const struct sim_image_entry *entry = code->entries[i];
	struct sim_kernel *kernel = sim_object_new(SIM_T_FUNCTION, sizeof(*kernel));
	struct sim_function *function;

	if (kernel == NULL)
		return NULL;
	function = &kernel->function;
	function->name = entry->name;
	function->builtin = builtin_of(entry);
	function->nparams = entry->params_count;
	function->param_bytes = entry->params_bytes;
	function->params = entry->params;
	function->registers = entry->regs ? entry->regs : SIM_REGISTERS_UNKNOWN;
	function->max_threads = max_threads_of(entry, function->registers);
	function->static_shared_bytes = entry->shared_bytes;
	function->local_bytes = entry->local_bytes;
	for (unsigned k = 0; k < SIM_FUNCTION_ATTRIBUTES; k++)
		function->attributes[k] = -1;
	function->identity = hash_string(code->identity, entry->name);
	kernel->entry = i;
	kernel->sm = code->entry_images[i]->sm;
	kernel->image_kind = code->entry_images[i]->kind;
	kernel->constant_bytes = code->constant_bytes;
	return kernel;
}

void sim_kernel_delete(struct sim_kernel *kernel)
{
	if (kernel == NULL)
		return;
	free(kernel->legacy);
	free(kernel->per_device);
	sim_object_delete(kernel);
}

/* ---- JIT options ---- */

CUresult sim_jit_check(unsigned count, const CUjit_option *options, void **values)
{
	if (count > 0 && (options == NULL || values == NULL))
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned i = 0; i < count; i++)
		if ((unsigned)options[i] >= CU_JIT_NUM_OPTIONS)
			return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static int find_option(unsigned count, const CUjit_option *options, CUjit_option option)
{
	for (unsigned i = 0; i < count; i++)
		if (options[i] == option)
			return (int)i;
	return -1;
}

/* The size goes in as the room there is and comes back as the bytes filled. */
static void answer_log(unsigned count, const CUjit_option *options, void **values,
		       CUjit_option buffer, CUjit_option size, const char *text)
{
	int at = find_option(count, options, buffer);
	int size_at = find_option(count, options, size);
	size_t room, length;

	if (size_at < 0)
		return;
	room = (unsigned)(uintptr_t)values[size_at]; /* an unsigned int by the manual */
	values[size_at] = NULL;
	if (at < 0 || values[at] == NULL || room == 0)
		return;
	length = strlen(text) < room - 1 ? strlen(text) : room - 1;
	memcpy(values[at], text, length);
	((char *)values[at])[length] = '\0';
	values[size_at] = (void *)(uintptr_t)length;
}

void sim_jit_answer(unsigned count, const CUjit_option *options, void **values,
		    const char *log)
{
	int wall = find_option(count, options, CU_JIT_WALL_TIME);

	if (wall >= 0)
		values[wall] = NULL; /* the bits of 0.0f milliseconds */
	answer_log(count, options, values, CU_JIT_INFO_LOG_BUFFER,
		   CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, "");
	answer_log(count, options, values, CU_JIT_ERROR_LOG_BUFFER,
		   CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, log ? log : "");
}
