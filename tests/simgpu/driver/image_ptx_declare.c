/*
 * image_ptx_declare.c - types, alignments, array lengths and initial values in PTX.
 *
 * Knows how a declaration is written (PTX ISA manual, State Spaces, Types, and Variables)
 * and how large it makes things. Does not know what is declared.
 */
#include "image_ptx.h"

#include <stdlib.h>
#include <string.h>

#define VARIABLE_MAX_BYTES ((uint64_t)1 << 40)

int ptx_bad(struct ptx *ptx, const char *what)
{
	const struct ptx_lexer *l = &ptx->lex;

	if (l->token == PTX_END)
		return image_fail(ptx->build, SIM_IMAGE_INVALID_PTX,
				  "ptx, line %u: %s, but the text ends", l->line, what);
	return image_fail(ptx->build, SIM_IMAGE_INVALID_PTX,
			  "ptx, line %u: %s, not '%.*s'", l->line, what,
			  l->length < 40 ? (int)l->length : 40, l->text);
}

int ptx_skip_balanced(struct ptx *ptx, char open, char close)
{
	unsigned depth = 0;

	do {
		if (ptx_at_mark(ptx, open))
			depth++;
		else if (ptx_at_mark(ptx, close))
			depth--;
		else if (ptx_ended(ptx))
			return ptx_bad(ptx, close == '}' ? "a '}' is missing"
							 : "a ')' is missing");
		ptx_next(ptx);
	} while (depth > 0);
	return SIM_IMAGE_OK;
}

/* --- types ----------------------------------------------------------------------------- */

/* .b8 .u16 .s32 .f64 .b128 and the packed ones; 0 if the directive is not a type. */
static unsigned type_bytes(const struct ptx_lexer *l, unsigned *float_bytes)
{
	static const struct {
		const char *name;
		unsigned bytes;
	} types[] = {
		{ "b8", 1 },	{ "u8", 1 },	{ "s8", 1 },	 { "b16", 2 },
		{ "u16", 2 },	{ "s16", 2 },	{ "f16", 2 },	 { "bf16", 2 },
		{ "b32", 4 },	{ "u32", 4 },	{ "s32", 4 },	 { "f32", 4 },
		{ "tf32", 4 },	{ "f16x2", 4 }, { "bf16x2", 4 }, { "b64", 8 },
		{ "u64", 8 },	{ "s64", 8 },	{ "f64", 8 },	 { "f32x2", 8 },
		{ "b128", 16 }, { "pred", 1 },
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (!ptx_is(l, PTX_DIRECTIVE, types[i].name))
			continue;
		*float_bytes = strcmp(types[i].name, "f32") == 0   ? 4
			       : strcmp(types[i].name, "f64") == 0 ? 8
								   : 0;
		return types[i].bytes;
	}
	return 0;
}

int ptx_read_qualifiers(struct ptx *ptx, struct ptx_declaration *d)
{
	struct ptx_lexer *l = &ptx->lex;
	uint64_t number;
	unsigned bytes;

	d->lanes = 1;
	while (l->token == PTX_DIRECTIVE) {
		bytes = type_bytes(l, &d->float_bytes);
		if (bytes) {
			d->type_bytes = bytes;
		} else if (ptx_at(ptx, "v2") || ptx_at(ptx, "v4") || ptx_at(ptx, "v8")) {
			d->lanes = (unsigned)(l->text[1] - '0');
		} else if (ptx_at(ptx, "align")) {
			ptx_next(ptx);
			if (!ptx_number(l, 0, &number) || number == 0 || number > 4096 ||
			    (number & (number - 1)))
				return ptx_bad(ptx,
					       "an alignment must be a power of two");
			if (!d->pointer)
				d->align_bytes = (unsigned)number;
		} else if (ptx_at(ptx, "ptr")) {
			d->pointer = true;
		} else if (ptx_at(ptx, "texref") || ptx_at(ptx, "surfref") ||
			   ptx_at(ptx, "samplerref")) {
			d->texture = l->text[0] == 't';
			d->surface = l->length == 7;
			d->sampler = l->length == 10;
			d->type_bytes = 8;
		} else if (ptx_at(ptx, "attribute")) {
			ptx_next(ptx);
			for (struct ptx_lexer look = *l; look.token != PTX_END;
			     ptx_lex_next(&look)) {
				if (ptx_is(&look, PTX_DIRECTIVE, "managed"))
					d->managed = true;
				if (ptx_is_mark(&look, ')') || look.token == PTX_ERROR)
					break;
			}
			if (!ptx_at_mark(ptx, '('))
				return ptx_bad(ptx, "an attribute list must be here");
			if (ptx_skip_balanced(ptx, '(', ')') != SIM_IMAGE_OK)
				return SIM_IMAGE_INVALID_PTX;
			continue;
		} else if (!ptx_at(ptx, "global") && !ptx_at(ptx, "const") &&
			   !ptx_at(ptx, "shared") && !ptx_at(ptx, "local")) {
			return ptx_bad(ptx, "a type must be here");
		}
		ptx_next(ptx);
	}
	if (!d->type_bytes)
		return ptx_bad(ptx, "a type must be here");
	if (!d->align_bytes)
		d->align_bytes = d->type_bytes * d->lanes;
	return SIM_IMAGE_OK;
}

int ptx_read_dimensions(struct ptx *ptx, struct ptx_declaration *d)
{
	d->dimensions_count = 0;
	while (ptx_skip_mark(ptx, '[')) {
		uint64_t length = 0;

		if (d->dimensions_count == PTX_DIMENSIONS_MAX)
			return ptx_bad(ptx, "an array has at most 8 dimensions");
		if (ptx->lex.token == PTX_NUMBER) {
			if (!ptx_number(&ptx->lex, 0, &length) ||
			    length > VARIABLE_MAX_BYTES)
				return ptx_bad(ptx, "an array length must be here");
			ptx_next(ptx);
		}
		if (!ptx_skip_mark(ptx, ']'))
			return ptx_bad(ptx, "a ']' must be here");
		d->dimensions[d->dimensions_count++] = length;
	}
	return SIM_IMAGE_OK;
}

/* Bytes of the dimensions from `from` on; 0 when a length is unknown, or it is too big. */
static uint64_t bytes_from(const struct ptx_declaration *d, unsigned from)
{
	uint64_t bytes = (uint64_t)d->type_bytes * d->lanes;

	for (unsigned i = from; i < d->dimensions_count; i++) {
		if (d->dimensions[i] > VARIABLE_MAX_BYTES / (bytes ? bytes : 1))
			return 0;
		bytes *= d->dimensions[i];
	}
	return bytes;
}

uint64_t ptx_size(const struct ptx_declaration *d)
{
	return bytes_from(d, 0);
}

uint64_t ptx_size_by_init(const struct ptx_declaration *d, uint64_t init_bytes)
{
	uint64_t row = bytes_from(d, 1);

	return row ? (init_bytes + row - 1) / row * row : 0;
}

/* --- initial values --------------------------------------------------------------------- */

static int put_value(struct ptx *ptx, const struct ptx_declaration *d,
		     struct ptx_init *init, uint64_t at, uint64_t bits)
{
	uint64_t end = at + d->type_bytes;

	if (end > init->room) {
		uint64_t room = end < 64 ? 64 : 2 * end;
		unsigned char *grown;

		ptx->build->init_bytes += room;
		if (ptx->build->init_bytes > IMAGE_INIT_MAX_BYTES)
			return SIM_IMAGE_OUT_OF_MEMORY;
		grown = realloc(init->bytes, room);
		if (!grown)
			return SIM_IMAGE_OUT_OF_MEMORY;
		memset(grown + init->room, 0, room - init->room);
		init->bytes = grown;
		init->room = room;
	}
	for (unsigned i = 0; i < d->type_bytes && i < 8; i++)
		init->bytes[at + i] = (unsigned char)(bits >> (8 * i));
	if (end > init->size)
		init->size = end;
	return SIM_IMAGE_OK;
}

/* One value up to ',' '}' or ';'. What is not a plain number makes the rest unknown. */
static int read_value(struct ptx *ptx, const struct ptx_declaration *d,
		      struct ptx_init *init, uint64_t at)
{
	bool negative = false, number;
	uint64_t bits = 0;

	while (ptx_at_mark(ptx, '-') || ptx_at_mark(ptx, '+')) {
		negative ^= ptx_at_mark(ptx, '-');
		ptx_next(ptx);
	}
	number = ptx_number(&ptx->lex, d->float_bytes, &bits);
	if (number)
		ptx_next(ptx);
	while (!ptx_at_mark(ptx, ',') && !ptx_at_mark(ptx, '}') &&
	       !ptx_at_mark(ptx, ';')) {
		number = false;
		if (ptx_ended(ptx))
			return ptx_bad(ptx, "a ';' must end the declaration");
		if (ptx_at_mark(ptx, '(')) {
			if (ptx_skip_balanced(ptx, '(', ')') != SIM_IMAGE_OK)
				return SIM_IMAGE_INVALID_PTX;
		} else {
			ptx_next(ptx);
		}
	}
	init->known &= number;
	if (negative)
		bits = d->float_bytes ? bits ^ (uint64_t)1 << (8 * d->float_bytes - 1)
				      : -bits;
	return put_value(ptx, d, init, at, bits);
}

/* 5   { 1, 2 }   { {1, 2}, {3} }; rows that are too short are filled with zeros. */
int ptx_read_init(struct ptx *ptx, const struct ptx_declaration *d, struct ptx_init *init)
{
	uint64_t starts[PTX_DIMENSIONS_MAX + 1] = { 0 }, at = 0;
	uint64_t size = ptx_size(d), limit = size ? size : VARIABLE_MAX_BYTES;
	unsigned depth = 0;
	int result;

	do {
		if (ptx_at_mark(ptx, '{')) {
			if (depth > d->dimensions_count || depth > PTX_DIMENSIONS_MAX - 1)
				return ptx_bad(ptx,
					       "there are more braces than dimensions");
			starts[depth++] = at;
			ptx_next(ptx);
		} else if (ptx_at_mark(ptx, '}') && depth > 0) {
			depth--;
			at = starts[depth] + (depth ? bytes_from(d, depth) : 0);
			ptx_next(ptx);
		} else if (ptx_at_mark(ptx, ';') && depth > 0) {
			return ptx_bad(ptx, "a '}' must end the values");
		} else if (ptx_at_mark(ptx, ',') && depth > 0) {
			ptx_next(ptx);
		} else {
			if (at + d->type_bytes > limit)
				return ptx_bad(ptx,
					       "there are more values than elements");
			result = read_value(ptx, d, init, at);
			if (result != SIM_IMAGE_OK)
				return result;
			at += d->type_bytes;
		}
	} while (depth > 0);
	return SIM_IMAGE_OK;
}
