/* Strict reading of JSON text, and where in it something stands; see locate.h. */
#include "common/locate.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A key that was seen in an object that is still open. */
struct seen {
	uint64_t hash;
	size_t offset; /* of its opening quote */
};

struct walk {
	const char *text;
	size_t bytes, at;
	unsigned depth;
	struct gsh_pointer pointer;
	struct gsh_locate_fault *fault;
	int error;
	/* Checking: keys of all open objects, the innermost last. */
	struct seen *seen;
	size_t seen_count;
	/* Finding. */
	const char *target;
	size_t key_at, key_bytes, found_at, found_bytes;
	size_t found_key_at, found_key_bytes;
	bool found;
};

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

/* Notes the first fault; always false. */
static bool fault(struct walk *walk, size_t offset, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static bool fault(struct walk *walk, size_t offset, const char *format, ...)
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

/* The byte at the walk's place; -1 at the end. */
static int peek(const struct walk *walk)
{
	return walk->at < walk->bytes ? (unsigned char)walk->text[walk->at] : -1;
}

static void skip_space(struct walk *walk)
{
	while (walk->at < walk->bytes && memchr(" \t\r\n", walk->text[walk->at], 4))
		walk->at++;
}

/* ---- strings ---- */

/* Bytes of the well-formed UTF-8 character at text; 0 if it is none. */
static size_t utf8_bytes(const unsigned char *text, size_t room)
{
	static const struct {
		unsigned char first, last, second_min, second_max, bytes;
	} forms[] = {
		{ 0x00, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		size_t bytes = forms[i].bytes;

		if (text[0] < forms[i].first || text[0] > forms[i].last)
			continue;
		if (bytes > room)
			return 0;
		if (bytes > 1 &&
		    (text[1] < forms[i].second_min || text[1] > forms[i].second_max))
			return 0;
		for (size_t more = 2; more < bytes; more++)
			if ((text[more] & 0xc0) != 0x80)
				return 0;
		return bytes;
	}
	return 0;
}

/* The four hexadecimal digits of \uXXXX; -1 if they are not four. */
static int32_t hex4(const struct walk *walk, size_t at)
{
	int32_t value = 0;

	if (walk->bytes - at < 4)
		return -1;
	for (size_t i = at; i < at + 4; i++) {
		char c = walk->text[i];
		int digit = c >= '0' && c <= '9' ? c - '0' :
			    c >= 'a' && c <= 'f' ? c - 'a' + 10 :
			    c >= 'A' && c <= 'F' ? c - 'A' + 10 :
						   -1;

		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	return value;
}

static size_t put_utf8(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* After "\u": the character, both halves of a pair; bytes written to out, 0 is a fault. */
static size_t escaped_unicode(struct walk *walk, size_t start, char out[4])
{
	int32_t high = hex4(walk, walk->at), low;

	if (high < 0) {
		fault(walk, start, "\\u needs four hexadecimal digits");
		return 0;
	}
	walk->at += 4;
	if (high == 0) {
		fault(walk, start, "a string may not contain a NUL character");
		return 0;
	}
	if (high < 0xd800 || high > 0xdfff)
		return put_utf8((uint32_t)high, out);
	low = high < 0xdc00 && walk->bytes - walk->at >= 6 &&
			      walk->text[walk->at] == '\\' &&
			      walk->text[walk->at + 1] == 'u' ?
		      hex4(walk, walk->at + 2) :
		      -1;
	if (low < 0xdc00 || low > 0xdfff) {
		fault(walk, start, "half of a surrogate pair");
		return 0;
	}
	walk->at += 6;
	return put_utf8(0x10000 + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00),
			out);
}

/* One character of a string, decoded; returns its bytes, 0 is a fault. */
static size_t character(struct walk *walk, char out[4])
{
	static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
	size_t start = walk->at, bytes;
	const char *escape;
	int c = peek(walk);

	if (c < 0x20) {
		fault(walk, start,
		      c == '\n' || c == '\r' ?
			      "the string does not end on its line; a quote is missing" :
		      c == 0 ? "a NUL byte" :
			       "a control character; write it as \\u00%02x",
		      (unsigned)c);
		return 0;
	}
	if (c != '\\') {
		bytes = utf8_bytes((const unsigned char *)walk->text + start,
				   walk->bytes - start);
		if (bytes == 0)
			fault(walk, start, "the text is not UTF-8 here");
		memcpy(out, walk->text + start, bytes);
		walk->at += bytes;
		return bytes;
	}
	walk->at++;
	c = peek(walk);
	walk->at++;
	if (c == 'u')
		return escaped_unicode(walk, start, out);
	escape = c > 0 ? strchr(escapes, c) : NULL;
	if (!escape) {
		fault(walk, start, "there is no such escape in JSON");
		return 0;
	}
	out[0] = meanings[escape - escapes];
	return 1;
}

/*
 * A string, from its opening quote to past its closing one. key: also decoded into
 * key[GSH_LOCATE_KEY_MAX + 1].
 */
static bool string(struct walk *walk, char *key)
{
	size_t start = walk->at++, key_bytes = 0;

	for (;;) {
		char decoded[4];
		size_t bytes;

		if (peek(walk) < 0)
			return fault(walk, start, "the file ends inside this string");
		if (peek(walk) == '"')
			break;
		bytes = character(walk, decoded);
		if (bytes == 0)
			return false;
		if (!key)
			continue;
		if (key_bytes + bytes > GSH_LOCATE_KEY_MAX)
			return fault(walk, start, "a key of more than %d bytes",
				     GSH_LOCATE_KEY_MAX);
		memcpy(key + key_bytes, decoded, bytes);
		key_bytes += bytes;
	}
	walk->at++;
	if (key)
		key[key_bytes] = '\0';
	return true;
}

/* ---- numbers and words ---- */

static size_t digits(struct walk *walk)
{
	size_t start = walk->at;

	while (walk->at < walk->bytes && walk->text[walk->at] >= '0' &&
	       walk->text[walk->at] <= '9')
		walk->at++;
	return walk->at - start;
}

static bool is_word(int c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '+' || c == '-' || c == '.' || c == '_' || c == '%';
}

/* Says what stands at start, which is no value. */
static bool no_value(struct walk *walk, size_t start, const char *hint)
{
	size_t end = start;

	while (end < walk->bytes && end - start < 40 &&
	       is_word((unsigned char)walk->text[end]))
		end++;
	return fault(walk, start, "%.*s is not %s", (int)(end - start), walk->text + start,
		     hint);
}

static bool number(struct walk *walk)
{
	size_t start = walk->at, whole;
	bool valid;

	if (peek(walk) == '-')
		walk->at++;
	valid = peek(walk) != '0' || walk->at + 1 >= walk->bytes ||
		walk->text[walk->at + 1] < '0' || walk->text[walk->at + 1] > '9';
	whole = digits(walk);
	valid = valid && whole > 0;
	if (peek(walk) == '.') {
		walk->at++;
		valid = digits(walk) > 0 && valid;
	}
	if (peek(walk) == 'e' || peek(walk) == 'E') {
		walk->at++;
		if (peek(walk) == '+' || peek(walk) == '-')
			walk->at++;
		valid = digits(walk) > 0 && valid;
	}
	if (!valid || is_word(peek(walk)))
		return no_value(walk, start,
				"a number in JSON; what has a unit is written in quotes");
	return true;
}

static bool word(struct walk *walk)
{
	static const char *const words[] = { "true", "false", "null" };
	size_t start = walk->at;

	for (size_t i = 0; i < 3; i++) {
		size_t length = strlen(words[i]);

		if (walk->bytes - start < length ||
		    memcmp(walk->text + start, words[i], length) != 0)
			continue;
		walk->at += length;
		if (is_word(peek(walk)))
			break;
		return true;
	}
	return no_value(walk, start, "a value in JSON; texts are written in double quotes");
}

/* ---- objects and arrays ---- */

static bool value(struct walk *walk);

static bool is_same_key(struct walk *walk, size_t offset, const char *key)
{
	struct walk again = { .text = walk->text, .bytes = walk->bytes, .at = offset };
	char other[GSH_LOCATE_KEY_MAX + 1];

	return string(&again, other) && strcmp(other, key) == 0;
}

/* Remembers a key of the object whose first is `from`; a fault if it is there already. */
static bool remember(struct walk *walk, size_t from, size_t offset, const char *key)
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
		return fault(walk, offset, "this key is already there in line %u", line);
	}
	if (walk->seen_count - from == GSH_LOCATE_MEMBERS_MAX)
		return fault(walk, offset, "more than %d entries in one object",
			     GSH_LOCATE_MEMBERS_MAX);
	walk->seen[walk->seen_count++] = (struct seen){ hash, offset };
	return true;
}

static bool member(struct walk *walk, size_t from)
{
	size_t length = walk->pointer.length, start = walk->at;
	char key[GSH_LOCATE_KEY_MAX + 1];

	if (peek(walk) != '"')
		return fault(walk, start, "a key in double quotes is expected here");
	if (!string(walk, key))
		return false;
	gsh_pointer_push(&walk->pointer, key);
	if (!remember(walk, from, start, key))
		return false;
	walk->key_at = start;
	walk->key_bytes = walk->at - start;
	skip_space(walk);
	if (peek(walk) != ':')
		return fault(walk, walk->at, "':' is expected here, after the key");
	walk->at++;
	if (!value(walk))
		return false;
	gsh_pointer_cut(&walk->pointer, length);
	return true;
}

static bool element(struct walk *walk, size_t index)
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
static bool group(struct walk *walk, char open)
{
	char close = open == '{' ? '}' : ']';
	const char *name = open == '{' ? "object" : "array";
	size_t start = walk->at++, from = walk->seen_count;

	if (walk->depth == GSH_LOCATE_DEPTH_MAX)
		return fault(walk, start, "nested deeper than %d levels",
			     GSH_LOCATE_DEPTH_MAX);
	walk->depth++;
	skip_space(walk);
	for (size_t index = 0; index > 0 || peek(walk) != close; index++) {
		if (peek(walk) < 0)
			return fault(walk, start, "the file ends and this %s is not closed",
				     name);
		if (!(open == '{' ? member(walk, from) : element(walk, index)))
			return false;
		skip_space(walk);
		if (peek(walk) == close)
			break;
		if (peek(walk) < 0)
			return fault(walk, start, "the file ends and this %s is not closed",
				     name);
		if (peek(walk) != ',')
			return fault(walk, walk->at, "',' or '%c' is expected here", close);
		walk->at++;
		skip_space(walk);
		if (peek(walk) == close)
			return fault(walk, walk->at, "an entry is expected after ','");
	}
	walk->at++;
	walk->depth--;
	walk->seen_count = from;
	return true;
}

static bool value(struct walk *walk)
{
	size_t key_at = walk->key_at, key_bytes = walk->key_bytes, start;
	bool valid;
	int c;

	skip_space(walk);
	start = walk->at;
	c = peek(walk);
	if (c < 0)
		return fault(walk, start, "the file ends where a value is expected");
	if (c == '{' || c == '[')
		valid = group(walk, (char)c);
	else if (c == '"')
		valid = string(walk, NULL);
	else if (c == '-' || (c >= '0' && c <= '9'))
		valid = number(walk);
	else if (is_word(c))
		valid = word(walk);
	else
		valid = fault(walk, start,
			      c == '\'' ? "texts are written in double quotes" :
			      c == '/' || c == '#' ? "JSON has no comments" :
			      c == 0		   ? "a NUL byte" :
						     "a value is expected here");
	if (valid && walk->target && strcmp(walk->target, walk->pointer.text) == 0) {
		walk->found_at = start;
		walk->found_bytes = walk->at - start;
		walk->found_key_at = key_at;
		walk->found_key_bytes = key_bytes;
		walk->found = true;
	}
	return valid;
}

int gsh_locate_check(const char *text, size_t bytes, struct gsh_locate_fault *why)
{
	struct walk walk = { .text = text, .bytes = bytes, .fault = why };

	walk.seen = calloc((size_t)GSH_LOCATE_DEPTH_MAX * GSH_LOCATE_MEMBERS_MAX,
			   sizeof(*walk.seen));
	if (!walk.seen) {
		fault(&walk, 0, "there is no memory to read it");
		return -ENOMEM;
	}
	if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		fault(&walk, 0, "the file starts with a byte order mark; save it without");
	} else if (value(&walk)) {
		skip_space(&walk);
		if (walk.at < bytes)
			fault(&walk, walk.at, "there is text after the end of the document");
	}
	free(walk.seen);
	return walk.error;
}

size_t gsh_locate_find(const char *text, size_t bytes, const char *pointer,
		       enum gsh_locate_what what, size_t *offset)
{
	struct walk walk = { .text = text, .bytes = bytes, .target = pointer };

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
