/*
 * locate.h - strict reading of JSON text, and where in it something stands.
 *
 * cJSON keeps no positions and forgives much: duplicate keys, trailing text, NULs in
 * strings. A walk over the text finds both. Knows JSON (RFC 8259) and JSON pointers
 * (RFC 6901); does not know what a limit is.
 *
 * Offsets are bytes from the start of the text. Any thread; the text is borrowed.
 */
#ifndef GSH_TOOLS_LOCATE_H
#define GSH_TOOLS_LOCATE_H

#include <stdbool.h>
#include <stddef.h>

enum {
	GSH_LOCATE_DEPTH_MAX = 8,      /* nested objects and arrays */
	GSH_LOCATE_KEY_MAX = 128,      /* bytes of a key */
	GSH_LOCATE_MEMBERS_MAX = 1024, /* of one object */
	/* Every byte of a key may need two in a pointer. */
	GSH_POINTER_BYTES = GSH_LOCATE_DEPTH_MAX * (2 * GSH_LOCATE_KEY_MAX + 1) + 1,
};

/* The way from the root to a value, "/tenants/train/memory"; "" is the root. */
struct gsh_pointer {
	size_t length;
	char text[GSH_POINTER_BYTES];
};

/* Appends one key. To go back: gsh_pointer_cut() with the length from before. */
void gsh_pointer_push(struct gsh_pointer *pointer, const char *key);
void gsh_pointer_cut(struct gsh_pointer *pointer, size_t length);

/* Why a text is not strict JSON. */
struct gsh_locate_fault {
	size_t offset;
	struct gsh_pointer pointer; /* the value or key in which it is */
	char text[160];		    /* a clause */
};

/*
 * Walks the whole text. 0; -EINVAL with *fault: not UTF-8, not JSON, a key given twice, text
 * after the end, or beyond the bounds above; -ENOMEM, with *fault too.
 */
int gsh_locate_check(const char *text, size_t bytes, struct gsh_locate_fault *fault);

enum gsh_locate_what { GSH_LOCATE_VALUE, GSH_LOCATE_KEY };

/*
 * Where the value at a pointer starts, or its key. Returns the bytes of the value's (or
 * key's) own text and its offset in *offset; 0 if there is none. The text has passed
 * gsh_locate_check().
 */
size_t gsh_locate_find(const char *text, size_t bytes, const char *pointer,
		       enum gsh_locate_what what, size_t *offset);

/* Line and column of an offset, both from 1; columns count characters. */
void gsh_locate_place(const char *text, size_t bytes, size_t offset, unsigned *line,
		      unsigned *column);

#endif
