/*
 * parse.c - numbers as people write them, exactly.
 *
 * Knows digits, one decimal point and units. Knows no configuration: what a value is for,
 * and whether zero makes sense there, is the caller's affair.
 */
#include "base/parse.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads digits up to the first other character, where *end points then. */
static int read_digits(const char *text, const char **end, uint64_t *value)
{
	uint64_t sum = 0;
	bool fits = true;

	if (!is_digit(*text))
		return -EINVAL;
	for (; is_digit(*text); text++)
		if (__builtin_mul_overflow(sum, UINT64_C(10), &sum) ||
		    __builtin_add_overflow(sum, (uint64_t)(*text - '0'), &sum))
			fits = false;
	*end = text;
	*value = sum;
	/* Bad text is reported as such even when its number is too large besides. */
	return fits ? 0 : -ERANGE;
}

/* A decimal number split where it stands in its text: digits, and digits of a fraction. */
struct decimal {
	uint64_t whole;
	const char *fraction;
	size_t fraction_digits;
	const char *rest;
	bool fits;
};

static int read_decimal(const char *text, struct decimal *number)
{
	int error = read_digits(text, &number->rest, &number->whole);

	if (error == -EINVAL)
		return error;
	number->fits = error == 0;
	number->fraction = number->rest;
	number->fraction_digits = 0;
	if (*number->rest != '.')
		return 0;
	number->fraction++;
	number->rest++;
	while (is_digit(*number->rest))
		number->rest++;
	number->fraction_digits = (size_t)(number->rest - number->fraction);
	return number->fraction_digits > 0 ? 0 : -EINVAL;
}

/* number times unit, rounded down. unit <= UINT64_MAX / 10. */
static int scale(const struct decimal *number, uint64_t unit, uint64_t *value)
{
	uint64_t part = 0;

	if (!number->fits)
		return -ERANGE;
	/*
	 * From the last digit: floor((d * unit + x) / 10) is the same for x and floor(x), so
	 * the result is exact whatever the number of digits.
	 */
	for (size_t i = number->fraction_digits; i-- > 0;)
		part = ((uint64_t)(number->fraction[i] - '0') * unit + part) / 10;
	if (__builtin_mul_overflow(number->whole, unit, &unit) ||
	    __builtin_add_overflow(unit, part, value))
		return -ERANGE;
	return 0;
}

static const char *skip_spaces(const char *text)
{
	while (*text == ' ')
		text++;
	return text;
}

int gsh_parse_u64(const char *text, uint64_t *value)
{
	uint64_t number = 0;
	const char *end = text;
	int error = read_digits(text, &end, &number);

	if (error == -EINVAL || *end != '\0')
		return -EINVAL;
	if (error == 0)
		*value = number;
	return error;
}

/* Bytes of a unit, 0 if there is none of that name. */
static uint64_t unit_bytes(const char *name)
{
	static const struct {
		char name[4];
		uint64_t bytes;
	} units[] = {
		{ "B", 1 },
		{ "K", UINT64_C(1) << 10 },
		{ "M", UINT64_C(1) << 20 },
		{ "G", UINT64_C(1) << 30 },
		{ "T", UINT64_C(1) << 40 },
		{ "KiB", UINT64_C(1) << 10 },
		{ "MiB", UINT64_C(1) << 20 },
		{ "GiB", UINT64_C(1) << 30 },
		{ "TiB", UINT64_C(1) << 40 },
		{ "kB", UINT64_C(1000) },
		{ "MB", UINT64_C(1000000) },
		{ "GB", UINT64_C(1000000000) },
		{ "TB", UINT64_C(1000000000000) },
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (strcmp(units[i].name, name) == 0)
			return units[i].bytes;
	return 0;
}

int gsh_parse_size(const char *text, uint64_t *bytes)
{
	struct decimal number;
	uint64_t unit = 1, value;
	int error = read_decimal(text, &number);

	if (error < 0)
		return error;
	if (*number.rest != '\0')
		unit = unit_bytes(skip_spaces(number.rest));
	if (unit == 0)
		return -EINVAL;
	error = scale(&number, unit, &value);
	if (error == 0)
		*bytes = value;
	return error;
}

int gsh_parse_ppm(const char *text, uint32_t *ppm)
{
	struct decimal number;
	uint64_t value;
	int error = read_decimal(text, &number);

	if (error < 0)
		return error;
	if (strcmp(skip_spaces(number.rest), "%") != 0)
		return -EINVAL;
	error = scale(&number, 10000, &value);
	if (error < 0)
		return error;
	if (value == 0 || value > 1000000)
		return -ERANGE;
	*ppm = (uint32_t)value;
	return 0;
}

int gsh_parse_permille(const char *text, uint32_t *permille)
{
	struct decimal number;
	uint64_t value;
	int error = read_decimal(text, &number);

	if (error < 0)
		return error;
	if (*number.rest != '\0')
		return -EINVAL;
	error = scale(&number, 10, &value);
	if (error < 0)
		return error;
	if (value > 1000)
		return -ERANGE;
	*permille = (uint32_t)value;
	return 0;
}

bool gsh_parse_is_tenant(const char *name)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	static const char others[] = "abcdefghijklmnopqrstuvwxyz0123456789-._";
	size_t length = strnlen(name, 64);

	return length > 0 && length < 64 && strchr(first, name[0]) &&
	       strspn(name, others) == length;
}
