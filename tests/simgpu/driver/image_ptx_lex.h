/*
 * image_ptx_lex.h - cuts PTX text into words. Knows spelling, not grammar.
 *
 * The lexical rules are those of the PTX ISA manual, chapter Syntax. Borrows the text.
 */
#ifndef SIMGPU_DRIVER_IMAGE_PTX_LEX_H
#define SIMGPU_DRIVER_IMAGE_PTX_LEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ptx_token {
	PTX_END,
	PTX_DIRECTIVE, /* .word, without its dot */
	PTX_WORD,
	PTX_NUMBER,
	PTX_STRING, /* without its quotes */
	PTX_MARK,   /* one other character */
	PTX_ERROR,  /* an unfinished comment or string, or a byte that is not text */
};

struct ptx_lexer {
	const char *at, *end; /* what is still to be read */
	unsigned line;
	enum ptx_token token;
	const char *text; /* of the token */
	size_t length;
};

/* Starts at the first token. */
void ptx_lex_init(struct ptx_lexer *lexer, const char *text, size_t size);
/* Goes to the next token; stays at PTX_END and PTX_ERROR. */
void ptx_lex_next(struct ptx_lexer *lexer);

bool ptx_is(const struct ptx_lexer *lexer, enum ptx_token token, const char *text);
bool ptx_is_mark(const struct ptx_lexer *lexer, char mark);

/*
 * The value of a number token as the bits of a variable: an integer, or a floating point
 * number for one of `float_bytes` (4 or 8; 0 for integers). False if it is not one.
 */
bool ptx_number(const struct ptx_lexer *lexer, unsigned float_bytes, uint64_t *bits);

#endif
