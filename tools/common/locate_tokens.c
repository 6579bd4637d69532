/*
 * locate_tokens.c - strings, numbers and words of JSON, strictly.
 */
#include "common/locate_walk.h"

#include <string.h>

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
static int32_t hex4(const struct gsh_locate_walk *walk, size_t at)
{
	int32_t value = 0;

	if (walk->bytes - at < 4)
		return -1;
	for (size_t i = at; i < at + 4; i++) {
		char c = walk->text[i];
		int digit = c >= '0' && c <= '9'   ? c - '0'
			    : c >= 'a' && c <= 'f' ? c - 'a' + 10
			    : c >= 'A' && c <= 'F' ? c - 'A' + 10
						   : -1;

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
static size_t escaped_unicode(struct gsh_locate_walk *walk, size_t start, char out[4])
{
	int32_t high = hex4(walk, walk->at), low;

	if (high < 0) {
		gsh_locate_refuse(walk, start, "\\u needs four hexadecimal digits");
		return 0;
	}
	walk->at += 4;
	if (high == 0) {
		gsh_locate_refuse(walk, start,
				  "a string may not contain a NUL character");
		return 0;
	}
	if (high < 0xd800 || high > 0xdfff)
		return put_utf8((uint32_t)high, out);
	low = high < 0xdc00 && walk->bytes - walk->at >= 6 &&
			      walk->text[walk->at] == '\\' &&
			      walk->text[walk->at + 1] == 'u'
		      ? hex4(walk, walk->at + 2)
		      : -1;
	if (low < 0xdc00 || low > 0xdfff) {
		gsh_locate_refuse(walk, start, "half of a surrogate pair");
		return 0;
	}
	walk->at += 6;
	return put_utf8(0x10000 + ((uint32_t)(high - 0xd800) << 10) +
				(uint32_t)(low - 0xdc00),
			out);
}

/* One character of a string, decoded; returns its bytes, 0 is a fault. */
static size_t character(struct gsh_locate_walk *walk, char out[4])
{
	static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
	size_t start = walk->at, bytes;
	const char *escape;
	int c = gsh_locate_peek(walk);

	if (c < 0x20) {
		gsh_locate_refuse(
			walk, start,
			c == '\n' || c == '\r'
				? "the string does not end on its line; a quote is missing"
			: c == 0 ? "a NUL byte"
				 : "a control character; write it as \\u00%02x",
			(unsigned)c);
		return 0;
	}
	if (c != '\\') {
		bytes = utf8_bytes((const unsigned char *)walk->text + start,
				   walk->bytes - start);
		if (bytes == 0)
			gsh_locate_refuse(walk, start, "the text is not UTF-8 here");
		memcpy(out, walk->text + start, bytes);
		walk->at += bytes;
		return bytes;
	}
	walk->at++;
	c = gsh_locate_peek(walk);
	walk->at++;
	if (c == 'u')
		return escaped_unicode(walk, start, out);
	escape = c > 0 ? strchr(escapes, c) : NULL;
	if (!escape) {
		gsh_locate_refuse(walk, start, "there is no such escape in JSON");
		return 0;
	}
	out[0] = meanings[escape - escapes];
	return 1;
}

/*
 * A string, from its opening quote to past its closing one. key: also decoded into
 * key[GSH_LOCATE_KEY_MAX + 1].
 */
bool gsh_locate_string(struct gsh_locate_walk *walk, char *key)
{
	size_t start = walk->at++, key_bytes = 0;

	for (;;) {
		char decoded[4];
		size_t bytes;

		if (gsh_locate_peek(walk) < 0)
			return gsh_locate_refuse(walk, start,
						 "the file ends inside this string");
		if (gsh_locate_peek(walk) == '"')
			break;
		bytes = character(walk, decoded);
		if (bytes == 0)
			return false;
		if (!key)
			continue;
		if (key_bytes + bytes > GSH_LOCATE_KEY_MAX)
			return gsh_locate_refuse(walk, start,
						 "a key of more than %d bytes",
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

static size_t digits(struct gsh_locate_walk *walk)
{
	size_t start = walk->at;

	while (walk->at < walk->bytes && walk->text[walk->at] >= '0' &&
	       walk->text[walk->at] <= '9')
		walk->at++;
	return walk->at - start;
}

bool gsh_locate_is_word(int c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z') || c == '+' || c == '-' || c == '.' || c == '_' ||
	       c == '%';
}

/* Says what stands at start, which is no value. */
static bool no_value(struct gsh_locate_walk *walk, size_t start, const char *hint)
{
	size_t end = start;

	while (end < walk->bytes && end - start < 40 &&
	       gsh_locate_is_word((unsigned char)walk->text[end]))
		end++;
	return gsh_locate_refuse(walk, start, "%.*s is not %s", (int)(end - start),
				 walk->text + start, hint);
}

bool gsh_locate_number(struct gsh_locate_walk *walk)
{
	size_t start = walk->at, whole;
	bool valid;

	if (gsh_locate_peek(walk) == '-')
		walk->at++;
	valid = gsh_locate_peek(walk) != '0' || walk->at + 1 >= walk->bytes ||
		walk->text[walk->at + 1] < '0' || walk->text[walk->at + 1] > '9';
	whole = digits(walk);
	valid = valid && whole > 0;
	if (gsh_locate_peek(walk) == '.') {
		walk->at++;
		valid = digits(walk) > 0 && valid;
	}
	if (gsh_locate_peek(walk) == 'e' || gsh_locate_peek(walk) == 'E') {
		walk->at++;
		if (gsh_locate_peek(walk) == '+' || gsh_locate_peek(walk) == '-')
			walk->at++;
		valid = digits(walk) > 0 && valid;
	}
	if (!valid || gsh_locate_is_word(gsh_locate_peek(walk)))
		return no_value(walk, start,
				"a number in JSON; what has a unit is written in quotes");
	return true;
}

bool gsh_locate_word(struct gsh_locate_walk *walk)
{
	static const char *const words[] = { "true", "false", "null" };
	size_t start = walk->at;

	for (size_t i = 0; i < 3; i++) {
		size_t length = strlen(words[i]);

		if (walk->bytes - start < length ||
		    memcmp(walk->text + start, words[i], length) != 0)
			continue;
		walk->at += length;
		if (gsh_locate_is_word(gsh_locate_peek(walk)))
			break;
		return true;
	}
	return no_value(walk, start,
			"a value in JSON; texts are written in double quotes");
}
