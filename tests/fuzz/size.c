/*
 * size.c - sizes, shares, numbers and names of any text: no crash, nothing read past the
 * end, results left alone on errors, and the right value by another way of computing it.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UNTOUCHED UINT64_C(0x5a5a5a5a5a5a5a5a)

/* An extension of both compilers. */
__extension__ typedef unsigned __int128 uint128;

static void require(int condition)
{
	if (!condition)
		abort();
}

static uint128 power(uint64_t base, unsigned exponent)
{
	uint128 product = 1;

	while (exponent-- > 0)
		product *= base;
	return product;
}

/* Bytes of a text that the parser took, computed as a fraction; UNTOUCHED: too long for that. */
static uint64_t bytes_of(const char *text)
{
	static const char letters[] = "BKMGT";
	uint128 number = 0;
	unsigned digits = 0, fraction = 0, exponent;
	const char *unit = text;

	for (; *unit == '.' || (*unit >= '0' && *unit <= '9'); unit++) {
		if (*unit == '.') {
			fraction = 1;
			continue;
		}
		if (++digits > 19)
			return UNTOUCHED;
		number = number * 10 + (unsigned)(*unit - '0');
		fraction += fraction > 0;
	}
	while (*unit == ' ')
		unit++;
	exponent = *unit ? (unsigned)(strchr(letters, *unit == 'k' ? 'K' : *unit) -
				      letters)
			 : 0;
	number *= power(unit[0] && unit[1] == 'B' ? 1000 : 1024, exponent);
	return (uint64_t)(number / power(10, fraction > 0 ? fraction - 1 : 0));
}

static void check_size(const char *text)
{
	uint64_t bytes = UNTOUCHED, again = 0, expected;
	struct gsh_text out;
	char buffer[40];
	int error = gsh_parse_size(text, &bytes);

	if (error < 0) {
		require(bytes == UNTOUCHED && (error == -EINVAL || error == -ERANGE));
		return;
	}
	expected = bytes_of(text);
	require(expected == UNTOUCHED || bytes == expected);
	gsh_text_init(&out, buffer, sizeof(buffer));
	gsh_text_add_size(&out, bytes);
	require(gsh_parse_size(buffer, &again) == 0 && again == bytes);
}

static void check_others(const char *text)
{
	uint64_t number = UNTOUCHED;
	uint32_t ppm = 7, permille = 7;
	int error = gsh_parse_u64(text, &number);

	require(error == 0 ? text[strspn(text, "0123456789")] == '\0'
			   : number == UNTOUCHED);
	error = gsh_parse_ppm(text, &ppm);
	require(error == 0 ? ppm > 0 && ppm <= 1000000 : ppm == 7);
	error = gsh_parse_permille(text, &permille);
	require(error == 0 ? permille <= 1000 : permille == 7);
	if (gsh_parse_is_tenant(text))
		require(strlen(text) < 64 && !strchr(text, '/') && text[0] != '.');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Of its exact length, so that a sanitizer sees a step too far. */
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	check_size(text);
	check_others(text);
	free(text);
	return 0;
}
