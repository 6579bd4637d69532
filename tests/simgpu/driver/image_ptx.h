/*
 * image_ptx.h - reading PTX: the state of one reading, and declarations, which variables
 * and parameters share. For image_ptx*.c alone.
 *
 * Functions that read start at the first token of what their comment says and end behind
 * it. They return a SIM_IMAGE_ code, and have said why when it is not SIM_IMAGE_OK.
 */
#ifndef SIMGPU_DRIVER_IMAGE_PTX_H
#define SIMGPU_DRIVER_IMAGE_PTX_H

#include "image_build.h"
#include "image_ptx_lex.h"

enum { PTX_DIMENSIONS_MAX = 8 };

struct ptx_shared {
	const char *name; /* in the text */
	size_t length;
	uint64_t size_bytes;
	unsigned align_bytes;
	size_t used_by; /* 1 + index of the last kernel that names it */
};

struct ptx {
	struct image_build *build;
	struct ptx_lexer lex;
	struct ptx_shared *shared; /* variables of the module */
	size_t shared_count;
};

/* What stands around the name of a variable or parameter. */
struct ptx_declaration {
	bool managed;
	bool texture, surface, sampler;
	bool pointer; /* .ptr was seen: alignment is that of what is pointed to */
	unsigned type_bytes;
	unsigned float_bytes; /* of the type, where it is .f32 or .f64 */
	unsigned lanes;
	unsigned align_bytes; /* 0: by type */
	uint64_t dimensions[PTX_DIMENSIONS_MAX];
	unsigned dimensions_count;
};

/* Initial contents; the reader of the declaration frees `bytes`. */
struct ptx_init {
	unsigned char *bytes;
	size_t size, room;
	bool known; /* no addresses and no expressions */
};

/* Refuses the text: "PTX, line N: WHAT, not 'TOKEN'". */
int ptx_bad(struct ptx *ptx, const char *what);
/* From an opening mark to behind the one that closes it. */
int ptx_skip_balanced(struct ptx *ptx, char open, char close);

/* Everything between the state space and the name. */
int ptx_read_qualifiers(struct ptx *ptx, struct ptx_declaration *d);
/* [4][2], or [] for as many as there are values. */
int ptx_read_dimensions(struct ptx *ptx, struct ptx_declaration *d);
/* What follows the '='. */
int ptx_read_init(struct ptx *ptx, const struct ptx_declaration *d,
		  struct ptx_init *init);

/* Bytes of the whole; 0 when a length is not given or it is far too large. */
uint64_t ptx_size(const struct ptx_declaration *d);
/* The same for an array without its first length, from the bytes its values take. */
uint64_t ptx_size_by_init(const struct ptx_declaration *d, uint64_t init_bytes);

static inline void ptx_next(struct ptx *ptx)
{
	ptx_lex_next(&ptx->lex);
}

static inline bool ptx_at_mark(const struct ptx *ptx, char mark)
{
	return ptx_is_mark(&ptx->lex, mark);
}

static inline bool ptx_at(const struct ptx *ptx, const char *directive)
{
	return ptx_is(&ptx->lex, PTX_DIRECTIVE, directive);
}

static inline bool ptx_skip_mark(struct ptx *ptx, char mark)
{
	if (!ptx_at_mark(ptx, mark))
		return false;
	ptx_next(ptx);
	return true;
}

static inline bool ptx_ended(const struct ptx *ptx)
{
	return ptx->lex.token == PTX_END || ptx->lex.token == PTX_ERROR;
}

#endif
