/*
 * locate.c - the walk over objects and arrays; see locate.h.
 */
#include "common/locate_walk.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void gsh_pointer_cut(struct gsh_pointer *pointer, size_t length)
{
	pointer->length = length;
	pointer->text[length] = '\0';
}

static void pointer_char(struct gsh_pointer *pointer, char c)
{
	if (pointer->length + 1 < sizeof(pointer->text))
		pointer->text[pointer->length++] = c;
}

void gsh_pointer_push(struct gsh_pointer *pointer, const char *key)
{
	pointer_char(pointer, '/');
	for (; *key; key++) {
		if (*key == '~' || *key == '/')
			pointer_char(pointer, '~');
		pointer_char(pointer, *key == '~' ? '0' : *key == '/' ? '1' : *key);
	}
	pointer->text[pointer->length] = '\0';
}

bool gsh_locate_refuse(struct gsh_locate_walk *walk, size_t offset, const char *format,
		       ...)
{
	va_list args;

	walk->error = -EINVAL;
	if (!walk->fault)
		return false;
	walk->fault->offset = offset;
	walk->fault->pointer = walk->pointer;
	va_start(args, format);
	vsnprintf(walk->fault->text, sizeof(walk->fault->text), format, args);
	va_end(args);
	return false;
}

static void skip_space(struct gsh_locate_walk *walk)
{
	int c = gsh_locate_peek(walk);

	while (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
		walk->at++;
		c = gsh_locate_peek(walk);
	}
}

/* ---- objects and arrays ---- */

static bool value(struct gsh_locate_walk *walk);

static bool is_same_key(struct gsh_locate_walk *walk, size_t offset, const char *key)
{
	struct gsh_locate_walk again = { .text = walk->text,
					 .bytes = walk->bytes,
					 .at = offset };
	char other[GSH_LOCATE_KEY_MAX + 1];

	return gsh_locate_string(&again, other) && strcmp(other, key) == 0;
}

/* Remembers a key of the object whose first is `from`; a fault if it is there already. */
static bool remember(struct gsh_locate_walk *walk, size_t from, size_t offset,
		     const char *key)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	unsigned line, column;

	if (!walk->seen)
		return true;
	for (const char *c = key; *c; c++)
		hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
	for (size_t i = from; i < walk->seen_count; i++) {
		if (walk->seen[i].hash != hash ||
		    !is_same_key(walk, walk->seen[i].offset, key))
			continue;
		gsh_locate_place(walk->text, walk->bytes, walk->seen[i].offset, &line,
				 &column);
		return gsh_locate_refuse(walk, offset,
					 "this key is already there in line %u", line);
	}
	if (walk->seen_count - from == GSH_LOCATE_MEMBERS_MAX)
		return gsh_locate_refuse(walk, offset,
					 "more than %d entries in one object",
					 GSH_LOCATE_MEMBERS_MAX);
	walk->seen[walk->seen_count++] = (struct gsh_locate_seen){ hash, offset };
	return true;
}

static bool member(struct gsh_locate_walk *walk, size_t from)
{
	size_t length = walk->pointer.length, start = walk->at;
	char key[GSH_LOCATE_KEY_MAX + 1];

	if (gsh_locate_peek(walk) != '"')
		return gsh_locate_refuse(walk, start,
					 "a key in double quotes is expected here");
	if (!gsh_locate_string(walk, key))
		return false;
	gsh_pointer_push(&walk->pointer, key);
	if (!remember(walk, from, start, key))
		return false;
	walk->key_at = start;
	walk->key_bytes = walk->at - start;
	skip_space(walk);
	if (gsh_locate_peek(walk) != ':')
		return gsh_locate_refuse(walk, walk->at,
					 "':' is expected here, after the key");
	walk->at++;
	if (!value(walk))
		return false;
	gsh_pointer_cut(&walk->pointer, length);
	return true;
}

static bool element(struct gsh_locate_walk *walk, size_t index)
{
	size_t length = walk->pointer.length;
	char key[24];

	snprintf(key, sizeof(key), "%zu", index);
	gsh_pointer_push(&walk->pointer, key);
	walk->key_bytes = 0;
	if (!value(walk))
		return false;
	gsh_pointer_cut(&walk->pointer, length);
	return true;
}

/* An object or array, from its opening bracket to past its closing one. */
static bool group(struct gsh_locate_walk *walk, char open)
{
	char close = open == '{' ? '}' : ']';
	const char *name = open == '{' ? "object" : "array";
	size_t start = walk->at++, from = walk->seen_count;

	if (walk->depth == GSH_LOCATE_DEPTH_MAX)
		return gsh_locate_refuse(walk, start, "nested deeper than %d levels",
					 GSH_LOCATE_DEPTH_MAX);
	walk->depth++;
	skip_space(walk);
	for (size_t index = 0; index > 0 || gsh_locate_peek(walk) != close; index++) {
		if (gsh_locate_peek(walk) < 0)
			return gsh_locate_refuse(
				walk, start, "the file ends and this %s is not closed",
				name);
		if (!(open == '{' ? member(walk, from) : element(walk, index)))
			return false;
		skip_space(walk);
		if (gsh_locate_peek(walk) == close)
			break;
		if (gsh_locate_peek(walk) < 0)
			return gsh_locate_refuse(
				walk, start, "the file ends and this %s is not closed",
				name);
		if (gsh_locate_peek(walk) != ',')
			return gsh_locate_refuse(walk, walk->at,
						 "',' or '%c' is expected here", close);
		walk->at++;
		skip_space(walk);
		if (gsh_locate_peek(walk) == close)
			return gsh_locate_refuse(walk, walk->at,
						 "an entry is expected after ','");
	}
	walk->at++;
	walk->depth--;
	walk->seen_count = from;
	return true;
}

static bool value(struct gsh_locate_walk *walk)
{
	size_t key_at = walk->key_at, key_bytes = walk->key_bytes, start;
	bool valid;
	int c;

	skip_space(walk);
	start = walk->at;
	c = gsh_locate_peek(walk);
	if (c < 0)
		return gsh_locate_refuse(walk, start,
					 "the file ends where a value is expected");
	if (c == '{' || c == '[')
		valid = group(walk, (char)c);
	else if (c == '"')
		valid = gsh_locate_string(walk, NULL);
	else if (c == '-' || (c >= '0' && c <= '9'))
		valid = gsh_locate_number(walk);
	else if (gsh_locate_is_word(c))
		valid = gsh_locate_word(walk);
	else
		valid = gsh_locate_refuse(walk, start,
					  c == '\'' ? "texts are written in double quotes"
					  : c == '/' || c == '#' ? "JSON has no comments"
					  : c == 0		 ? "a NUL byte"
						   : "a value is expected here");
	if (valid && walk->target && strcmp(walk->target, walk->pointer.text) == 0) {
		walk->found_at = start;
		walk->found_bytes = walk->at - start;
		walk->found_key_at = key_at;
		walk->found_key_bytes = key_bytes;
		walk->found = true;
	}
	return valid;
}

int gsh_locate_check(const char *text, size_t bytes, struct gsh_locate_fault *fault)
{
	struct gsh_locate_walk walk = { .text = text, .bytes = bytes, .fault = fault };

	walk.seen = calloc((size_t)GSH_LOCATE_DEPTH_MAX * GSH_LOCATE_MEMBERS_MAX,
			   sizeof(*walk.seen));
	if (!walk.seen) {
		gsh_locate_refuse(&walk, 0, "there is no memory to read it");
		return -ENOMEM;
	}
	if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		gsh_locate_refuse(
			&walk, 0,
			"the file starts with a byte order mark; save it without");
	} else if (value(&walk)) {
		skip_space(&walk);
		if (walk.at < bytes)
			gsh_locate_refuse(&walk, walk.at,
					  "there is text after the end of the document");
	}
	free(walk.seen);
	return walk.error;
}

size_t gsh_locate_find(const char *text, size_t bytes, const char *pointer,
		       enum gsh_locate_what what, size_t *offset)
{
	struct gsh_locate_walk walk = { .text = text, .bytes = bytes, .target = pointer };

	value(&walk);
	if (!walk.found)
		return 0;
	*offset = what == GSH_LOCATE_KEY ? walk.found_key_at : walk.found_at;
	return what == GSH_LOCATE_KEY ? walk.found_key_bytes : walk.found_bytes;
}

void gsh_locate_place(const char *text, size_t bytes, size_t offset, unsigned *line,
		      unsigned *column)
{
	*line = 1;
	*column = 1;
	for (size_t i = 0; i < offset && i < bytes; i++) {
		if (text[i] == '\n') {
			(*line)++;
			*column = 1;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80) {
			(*column)++;
		}
	}
}
