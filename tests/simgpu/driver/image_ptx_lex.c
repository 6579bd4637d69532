/* image_ptx_lex.c - see image_ptx_lex.h. */
#include "image_ptx_lex.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool begins_word(char c)
{
	return is_letter(c) || c == '_' || c == '$' || c == '%';
}

static bool continues_word(char c)
{
	return is_letter(c) || is_digit(c) || c == '_' || c == '$';
}

/* Skips white space and comments; false inside a comment that does not end. */
static bool skip_space(struct ptx_lexer *l)
{
	while (l->at < l->end) {
		char c = *l->at;

		if (c == '\n')
			l->line++;
		if (c == ' ' || (c >= '\t' && c <= '\r')) {
			l->at++;
		} else if (c == '/' && l->end - l->at > 1 && l->at[1] == '/') {
			const char *end = memchr(l->at, '\n', (size_t)(l->end - l->at));

			l->at = end ? end : l->end;
		} else if (c == '/' && l->end - l->at > 1 && l->at[1] == '*') {
			for (l->at += 2; l->end - l->at > 1; l->at++) {
				if (l->at[0] == '*' && l->at[1] == '/')
					break;
				if (l->at[0] == '\n')
					l->line++;
			}
			if (l->end - l->at < 2)
				return false;
			l->at += 2;
		} else {
			break;
		}
	}
	return true;
}

/* 12, 0x1F, 0f3F800000, 1.5e-3; the exponent's sign belongs to it. */
static void lex_number(struct ptx_lexer *l)
{
	bool decimal = true;

	if (l->end - l->at > 1 && l->at[0] == '0' && is_letter(l->at[1]))
		decimal = l->at[1] == 'e' || l->at[1] == 'E';
	while (l->at < l->end) {
		char c = *l->at, last = l->at > l->text ? l->at[-1] : '\0';
		bool sign = (c == '+' || c == '-') && decimal &&
			    (last == 'e' || last == 'E');

		if (!continues_word(c) && c != '.' && !sign)
			break;
		l->at++;
	}
	l->token = PTX_NUMBER;
}

static void lex_string(struct ptx_lexer *l)
{
	const char *start = ++l->at;

	while (l->at < l->end && *l->at != '"' && *l->at != '\n')
		l->at += *l->at == '\\' && l->end - l->at > 1 ? 2 : 1;
	l->token = PTX_ERROR;
	if (l->at >= l->end || *l->at != '"')
		return;
	l->token = PTX_STRING;
	l->text = start;
	l->length = (size_t)(l->at - start);
	l->at++;
}

void ptx_lex_next(struct ptx_lexer *l)
{
	if (l->token == PTX_ERROR)
		return;
	if (!skip_space(l)) {
		l->token = PTX_ERROR;
		return;
	}
	l->text = l->at;
	l->length = 0;
	if (l->at == l->end) {
		l->token = PTX_END;
		return;
	}
	if (*l->at == '"') {
		lex_string(l);
		return;
	}
	if (is_digit(*l->at)) {
		lex_number(l);
	} else if (begins_word(*l->at)) {
		l->token = PTX_WORD;
		do {
			l->at++;
		} while (l->at < l->end && continues_word(*l->at));
	} else if (*l->at == '.' && l->end - l->at > 1 && begins_word(l->at[1])) {
		l->token = PTX_DIRECTIVE;
		l->text = ++l->at;
		while (l->at < l->end && continues_word(*l->at))
			l->at++;
	} else {
		l->token = *l->at > ' ' && *l->at < 127 ? PTX_MARK : PTX_ERROR;
		l->at++;
	}
	l->length = (size_t)(l->at - l->text);
}

void ptx_lex_init(struct ptx_lexer *l, const char *text, size_t size)
{
	*l = (struct ptx_lexer){
		.at = text,
		.end = text + size,
		.line = 1,
		.token = PTX_MARK,
	};
	ptx_lex_next(l);
}

bool ptx_is(const struct ptx_lexer *l, enum ptx_token token, const char *text)
{
	return l->token == token && l->length == strlen(text) &&
	       memcmp(l->text, text, l->length) == 0;
}

bool ptx_is_mark(const struct ptx_lexer *l, char mark)
{
	return l->token == PTX_MARK && *l->text == mark;
}

static uint64_t float_bits(double value, unsigned bytes)
{
	uint64_t bits = 0;
	float narrow = (float)value;

	if (bytes == 4)
		memcpy(&bits, &narrow, 4); /* little-endian, as all of CUDA */
	else
		memcpy(&bits, &value, 8);
	return bits;
}

/* 1.5e-3, whatever the program's locale writes for a decimal point. */
static bool decimal_float(const char *word, double *value)
{
	locale_t plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
	char *end;

	if (!plain)
		return false;
	*value = strtod_l(word, &end, plain);
	freelocale(plain);
	return *end == '\0';
}

/* Bits of a float written as 0f and 8, or a double as 0d and 16 hexadecimal digits. */
static bool hex_float(char *word, size_t length, unsigned bytes, uint64_t *bits)
{
	bool is_double = word[1] == 'd' || word[1] == 'D';
	double value;
	float narrow;
	char *end;

	if (length != (is_double ? 18 : 10))
		return false;
	*bits = strtoull(word + 2, &end, 16);
	if (*end)
		return false;
	if (is_double) {
		memcpy(&value, bits, 8);
	} else {
		memcpy(&narrow, bits, 4);
		value = narrow;
	}
	if (bytes != (is_double ? 8 : 4))
		*bits = float_bits(value, bytes);
	return bytes != 0;
}

bool ptx_number(const struct ptx_lexer *l, unsigned float_bytes, uint64_t *bits)
{
	char word[64], *end, *digits = word;
	double value;
	int base = 0;

	if (l->token != PTX_NUMBER || l->length >= sizeof(word))
		return false;
	memcpy(word, l->text, l->length);
	word[l->length] = '\0';
	if (word[0] == '0' && word[1] && strchr("fFdD", word[1]))
		return hex_float(word, l->length, float_bytes, bits);
	if (float_bytes && !(word[0] == '0' && (word[1] == 'x' || word[1] == 'X'))) {
		if (!decimal_float(word, &value))
			return false;
		*bits = float_bits(value, float_bytes);
		return true;
	}
	if (word[0] == '0' && (word[1] == 'b' || word[1] == 'B')) {
		base = 2;
		digits += 2;
	}
	errno = 0;
	*bits = strtoull(digits, &end, base);
	if (*end == 'U' || *end == 'u')
		end++;
	return *end == '\0' && errno == 0 && digits[0];
}
