/*
 * image_ptx.c - kernels and variables of PTX text.
 *
 * Knows the declarations of the PTX ISA manual: module directives, .entry with its
 * parameters and tuning directives, variables in .global, .const, .shared and .local. Of
 * function bodies it reads only declarations and which of the module's .shared variables
 * a kernel names; what a kernel's callees use is not added to it. Instructions are not
 * checked.
 */
#include "image_ptx.h"

#include <stdlib.h>
#include <string.h>

enum {
	PARAMS_MAX_BYTES = 32764, /* since PTX ISA 8.1 */
	SHARED_MAX = 4096, /* each word of each body is compared with each of them */
};

enum space {
	SPACE_GLOBAL,
	SPACE_CONST,
	SPACE_SHARED,
	SPACE_LOCAL,
};

/* One statement that declares variables. */
struct variables {
	struct ptx_declaration declaration;
	enum space space;
	bool is_extern;
	struct sim_image_entry *kernel; /* in whose body it stands; NULL: no kernel's */
};

static uint64_t align_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) & ~(align - 1);
}

/* --- variables -------------------------------------------------------------------------- */

static int keep_shared(struct ptx *ptx, const char *name, size_t length, uint64_t size,
		       unsigned align)
{
	struct ptx_shared *grown;

	if (ptx->shared_count == SHARED_MAX)
		return ptx_bad(ptx, "there are more than 4096 .shared variables");
	grown = image_grow(ptx->shared, ptx->shared_count, sizeof(*grown));
	if (!grown)
		return SIM_IMAGE_OUT_OF_MEMORY;
	ptx->shared = grown;
	grown[ptx->shared_count++] = (struct ptx_shared){
		.name = name,
		.length = length,
		.size_bytes = size,
		.align_bytes = align,
	};
	return SIM_IMAGE_OK;
}

static void add_bytes(unsigned *total, uint64_t size, unsigned align)
{
	uint64_t sum = align_up(*total, align) + size;

	*total = sum > UINT32_MAX ? UINT32_MAX : (unsigned)sum;
}

/* Enters a variable where it belongs. */
static int keep_variable(struct ptx *ptx, const struct variables *v, const char *name,
			 size_t length, uint64_t size, struct ptx_init *init)
{
	const struct ptx_declaration *d = &v->declaration;
	struct sim_image_global *global;

	if (v->is_extern || d->sampler)
		return SIM_IMAGE_OK;
	if (d->texture || d->surface) {
		struct sim_image_ref *ref = image_add_ref(ptx->build, name, length);

		if (!ref)
			return SIM_IMAGE_OUT_OF_MEMORY;
		ref->surface = d->surface;
		return SIM_IMAGE_OK;
	}
	if (v->space == SPACE_SHARED && !v->kernel)
		return keep_shared(ptx, name, length, size, d->align_bytes);
	if (v->space == SPACE_SHARED || v->space == SPACE_LOCAL) {
		if (v->kernel)
			add_bytes(v->space == SPACE_SHARED ? &v->kernel->shared_bytes
							   : &v->kernel->local_bytes,
				  size, d->align_bytes);
		return SIM_IMAGE_OK;
	}
	global = image_add_global(ptx->build, name, length);
	if (!global)
		return SIM_IMAGE_OUT_OF_MEMORY;
	global->size_bytes = size;
	global->align_bytes = d->align_bytes;
	global->constant = v->space == SPACE_CONST;
	global->managed = d->managed;
	if (init->known && init->size) {
		global->init = init->bytes;
		global->init_bytes = init->size;
		init->bytes = NULL;
	}
	return SIM_IMAGE_OK;
}

/* NAME dimensions [= init] */
static int read_declarator(struct ptx *ptx, struct variables *v)
{
	struct ptx_declaration *d = &v->declaration;
	struct ptx_init init = { .known = true };
	const char *name = ptx->lex.text;
	size_t length = ptx->lex.length;
	uint64_t size;
	int result;

	if (ptx->lex.token != PTX_WORD)
		return ptx_bad(ptx, "the name of a variable must be here");
	ptx_next(ptx);
	result = ptx_read_dimensions(ptx, d);
	if (result == SIM_IMAGE_OK && ptx_skip_mark(ptx, '=')) {
		if ((d->texture || d->surface || d->sampler) && ptx_at_mark(ptx, '{'))
			result = ptx_skip_balanced(ptx, '{', '}');
		else
			result = ptx_read_init(ptx, d, &init);
	}
	if (result == SIM_IMAGE_OK) {
		size = ptx_size(d);
		if (size == 0 && d->dimensions_count && d->dimensions[0] == 0)
			size = ptx_size_by_init(d, init.size);
		if (size == 0 && !v->is_extern)
			result = ptx_bad(ptx, "the variable before this has no size");
		else
			result = keep_variable(ptx, v, name, length, size, &init);
	}
	free(init.bytes);
	return result;
}

/* From the state space to the ';'. */
static int read_variables(struct ptx *ptx, enum space space, bool is_extern,
			  struct sim_image_entry *kernel)
{
	struct variables v = { .space = space, .is_extern = is_extern, .kernel = kernel };
	int result;

	ptx_next(ptx);
	result = ptx_read_qualifiers(ptx, &v.declaration);
	do {
		if (result == SIM_IMAGE_OK)
			result = read_declarator(ptx, &v);
	} while (result == SIM_IMAGE_OK && ptx_skip_mark(ptx, ','));
	if (result == SIM_IMAGE_OK && !ptx_skip_mark(ptx, ';'))
		return ptx_bad(ptx, "a ';' must end the declaration");
	return result;
}

/* --- kernels ---------------------------------------------------------------------------- */

static int read_params(struct ptx *ptx, struct sim_image_entry *kernel)
{
	if (ptx_skip_mark(ptx, ')'))
		return SIM_IMAGE_OK;
	do {
		struct ptx_declaration d = { 0 };
		uint64_t at, size;
		int result;

		if (!ptx_at(ptx, "param"))
			return ptx_bad(ptx, "a .param must be here");
		ptx_next(ptx);
		result = ptx_read_qualifiers(ptx, &d);
		if (result != SIM_IMAGE_OK)
			return result;
		if (ptx->lex.token != PTX_WORD)
			return ptx_bad(ptx, "the name of a parameter must be here");
		ptx_next(ptx);
		result = ptx_read_dimensions(ptx, &d);
		if (result != SIM_IMAGE_OK)
			return result;
		if (d.texture || d.surface || d.sampler)
			continue;
		size = ptx_size(&d);
		at = align_up(kernel->params_bytes, d.align_bytes);
		if (size == 0 || size > PARAMS_MAX_BYTES || at + size > PARAMS_MAX_BYTES)
			return ptx_bad(ptx, "the parameters before this are too large");
		if (image_add_param(kernel, (unsigned)at, (unsigned)size) != 0)
			return SIM_IMAGE_OUT_OF_MEMORY;
		kernel->params_bytes = (unsigned)(at + size);
	} while (ptx_skip_mark(ptx, ','));
	return ptx_skip_mark(ptx, ')') ? SIM_IMAGE_OK
				       : ptx_bad(ptx, "a ')' must be here");
}

/* .maxntid 128, 1, 1 and its kin, up to the body. */
static int read_tuning(struct ptx *ptx, struct sim_image_entry *kernel)
{
	while (!ptx_at_mark(ptx, '{') && !ptx_at_mark(ptx, ';')) {
		bool threads = ptx_at(ptx, "maxntid") || ptx_at(ptx, "reqntid");
		bool pragma = ptx_at(ptx, "pragma"); /* the one that has a ';' */
		uint64_t product = 1, number;

		if (ptx->lex.token != PTX_DIRECTIVE)
			return ptx_bad(ptx, "the body of a kernel must be here");
		ptx_next(ptx);
		while (ptx->lex.token == PTX_NUMBER || ptx->lex.token == PTX_STRING ||
		       ptx_at_mark(ptx, ',')) {
			if (ptx_number(&ptx->lex, 0, &number))
				product *= number;
			ptx_next(ptx);
		}
		if (pragma && !ptx_skip_mark(ptx, ';'))
			return ptx_bad(ptx, "a ';' must end the .pragma");
		if (threads)
			kernel->max_threads = product > UINT32_MAX ? 0
								   : (unsigned)product;
	}
	return SIM_IMAGE_OK;
}

/* A kernel that names a .shared variable of the module pays for it, once. */
static void use_shared(struct ptx *ptx, struct sim_image_entry *kernel)
{
	size_t user = (size_t)(kernel - ptx->build->image->entries) + 1;

	for (size_t i = 0; i < ptx->shared_count; i++) {
		struct ptx_shared *v = &ptx->shared[i];

		if (v->used_by == user || v->length != ptx->lex.length ||
		    memcmp(v->name, ptx->lex.text, v->length) != 0)
			continue;
		add_bytes(&kernel->shared_bytes, v->size_bytes, v->align_bytes);
		v->used_by = user;
	}
}

/* From '{' to behind the matching '}'. `kernel` is NULL for an ordinary function. */
static int read_body(struct ptx *ptx, struct sim_image_entry *kernel)
{
	bool statement_begins = true;
	unsigned depth = 0;

	do {
		bool begins = statement_begins;

		statement_begins = false;
		if (ptx_ended(ptx))
			return ptx_bad(ptx, "a '}' must end the body");
		if (begins && (ptx_at(ptx, "shared") || ptx_at(ptx, "local"))) {
			enum space space = ptx_at(ptx, "shared") ? SPACE_SHARED
								 : SPACE_LOCAL;
			int result = read_variables(ptx, space, false, kernel);

			if (result != SIM_IMAGE_OK)
				return result;
			statement_begins = true;
			continue;
		}
		if (begins && ptx_at(ptx, "loc")) {
			/* The one statement that ends with its line. */
			unsigned line = ptx->lex.line;

			while (ptx->lex.line == line && !ptx_ended(ptx))
				ptx_next(ptx);
			statement_begins = true;
			continue;
		}
		if (ptx->lex.token == PTX_MARK) {
			char mark = *ptx->lex.text;

			if (mark == '{')
				depth++;
			else if (mark == '}')
				depth--;
			statement_begins = strchr("{};:", mark) != NULL;
		} else if (ptx->lex.token == PTX_WORD && kernel && ptx->shared_count) {
			use_shared(ptx, kernel);
		}
		ptx_next(ptx);
	} while (depth > 0);
	return SIM_IMAGE_OK;
}

static int read_entry(struct ptx *ptx)
{
	struct sim_image_entry *kernel;
	int result = SIM_IMAGE_OK;

	ptx_next(ptx);
	if (ptx->lex.token != PTX_WORD)
		return ptx_bad(ptx, "the name of a kernel must be here");
	kernel = image_add_entry(ptx->build, ptx->lex.text, ptx->lex.length);
	if (!kernel)
		return SIM_IMAGE_OUT_OF_MEMORY;
	ptx_next(ptx);
	if (ptx_skip_mark(ptx, '('))
		result = read_params(ptx, kernel);
	if (result == SIM_IMAGE_OK)
		result = read_tuning(ptx, kernel);
	if (result == SIM_IMAGE_OK && !ptx_at_mark(ptx, '{'))
		return ptx_bad(ptx, "the body of a kernel must be here");
	return result == SIM_IMAGE_OK ? read_body(ptx, kernel) : result;
}

/* --- the module ------------------------------------------------------------------------- */

static int read_function(struct ptx *ptx)
{
	while (!ptx_at_mark(ptx, ';') && !ptx_at_mark(ptx, '{')) {
		if (ptx_ended(ptx))
			return ptx_bad(ptx, "the body of a function must be here");
		ptx_next(ptx);
	}
	if (ptx_skip_mark(ptx, ';'))
		return SIM_IMAGE_OK;
	return read_body(ptx, NULL);
}

/* 80 for "sm_80", 90 for "sm_90a"; 0 for other words. */
static unsigned architecture(const char *word, size_t length)
{
	unsigned sm = 0;

	if (length < 4 || memcmp(word, "sm_", 3) != 0)
		return 0;
	for (size_t i = 3; i < length && i < 8 && word[i] >= '0' && word[i] <= '9'; i++)
		sm = sm * 10 + (unsigned)(word[i] - '0');
	return sm;
}

/* .target sm_80, texmode_independent */
static int read_target(struct ptx *ptx)
{
	ptx_next(ptx);
	do {
		unsigned sm = architecture(ptx->lex.text, ptx->lex.length);

		if (ptx->lex.token != PTX_WORD)
			return ptx_bad(ptx, "a target such as sm_80 must be here");
		if (sm)
			ptx->build->image->sm = sm;
		ptx_next(ptx);
	} while (ptx_skip_mark(ptx, ','));
	return SIM_IMAGE_OK;
}

/* .version 8.0   .address_size 64 */
static int read_setting(struct ptx *ptx)
{
	ptx_next(ptx);
	if (ptx->lex.token != PTX_NUMBER)
		return ptx_bad(ptx, "a number must be here");
	ptx_next(ptx);
	return SIM_IMAGE_OK;
}

/* .file, .section, .pragma and what later versions bring: up to the next directive. */
static int skip_directive(struct ptx *ptx)
{
	ptx_next(ptx);
	while (ptx->lex.token != PTX_DIRECTIVE && ptx->lex.token != PTX_END) {
		if (ptx->lex.token == PTX_ERROR)
			return ptx_bad(ptx, "a directive must be here");
		if (ptx_at_mark(ptx, '{'))
			return ptx_skip_balanced(ptx, '{', '}');
		if (ptx_skip_mark(ptx, ';'))
			return SIM_IMAGE_OK;
		ptx_next(ptx);
	}
	return SIM_IMAGE_OK;
}

static int read_module(struct ptx *ptx)
{
	static const struct {
		const char *name;
		enum space space;
	} spaces[] = {
		{ "global", SPACE_GLOBAL },
		{ "const", SPACE_CONST },
		{ "shared", SPACE_SHARED },
		{ "local", SPACE_LOCAL },
	};
	bool is_extern = false;
	int result = SIM_IMAGE_OK;

	if (!ptx_at(ptx, "version"))
		return ptx_bad(ptx, "PTX must begin with .version");
	while (result == SIM_IMAGE_OK && ptx->lex.token != PTX_END) {
		bool was_extern = is_extern;
		size_t i;

		is_extern = false;
		if (ptx_skip_mark(ptx, ';'))
			continue;
		if (ptx->lex.token != PTX_DIRECTIVE)
			return ptx_bad(ptx, "a directive must be here");
		for (i = 0; i < 4 && !ptx_at(ptx, spaces[i].name); i++)
			;
		if (i < 4) {
			result = read_variables(ptx, spaces[i].space, was_extern, NULL);
		} else if (ptx_at(ptx, "entry")) {
			result = read_entry(ptx);
		} else if (ptx_at(ptx, "func")) {
			result = read_function(ptx);
		} else if (ptx_at(ptx, "target")) {
			result = read_target(ptx);
		} else if (ptx_at(ptx, "version") || ptx_at(ptx, "address_size")) {
			result = read_setting(ptx);
		} else if (ptx_at(ptx, "extern") || ptx_at(ptx, "visible") ||
			   ptx_at(ptx, "weak") || ptx_at(ptx, "common")) {
			is_extern = was_extern || ptx_at(ptx, "extern");
			ptx_next(ptx);
		} else {
			result = skip_directive(ptx);
		}
	}
	return result;
}

int image_read_ptx(struct image_build *build, const char *text, size_t size)
{
	struct ptx ptx = { .build = build };
	int result;

	build->image->kind = SIM_IMAGE_PTX;
	build->image->image_bytes = size;
	ptx_lex_init(&ptx.lex, text, size);
	result = read_module(&ptx);
	free(ptx.shared);
	return result;
}
