/*
 * locate_walk.h - a walk over JSON text, as the files locate*.c share it.
 */
#ifndef GSH_TOOLS_LOCATE_WALK_H
#define GSH_TOOLS_LOCATE_WALK_H

#include <stdint.h>

#include "common/locate.h"

/* A key that was seen in an object that is still open. */
struct gsh_locate_seen {
	uint64_t hash;
	size_t offset; /* of its opening quote */
};

struct gsh_locate_walk {
	const char *text;
	size_t bytes, at;
	unsigned depth;
	struct gsh_pointer pointer;
	struct gsh_locate_fault *fault;
	int error;
	/* Checking: keys of all open objects, the innermost last. */
	struct gsh_locate_seen *seen;
	size_t seen_count;
	/* Finding. */
	const char *target;
	size_t key_at, key_bytes, found_at, found_bytes;
	size_t found_key_at, found_key_bytes;
	bool found;
};

/* The byte at the walk's place; -1 at the end. */
static inline int gsh_locate_peek(const struct gsh_locate_walk *walk)
{
	return walk->at < walk->bytes ? (unsigned char)walk->text[walk->at] : -1;
}

/* Notes the first fault; always false. locate.c */
bool gsh_locate_refuse(struct gsh_locate_walk *walk, size_t offset, const char *format,
		       ...) __attribute__((format(printf, 3, 4)));

/* Of these each starts where its first byte is, and ends past its last. locate_tokens.c */

/* A string. key: also decoded into key[GSH_LOCATE_KEY_MAX + 1]; NULL: as long as it likes. */
bool gsh_locate_string(struct gsh_locate_walk *walk, char *key);
bool gsh_locate_number(struct gsh_locate_walk *walk);
/* true, false or null */
bool gsh_locate_word(struct gsh_locate_walk *walk);
/* Whether the byte could belong to a number or a word. */
bool gsh_locate_is_word(int c);

#endif
