/*
 * Sizes, shares, numbers and names as people write them, and as they should not.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "cunit_main.h"

#define UNTOUCHED UINT64_C(0x1234567)

struct example {
	const char *text;
	uint64_t value;
};

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define GIB (KIB * MIB)
#define TIB (KIB * GIB)

static void assert_sizes(const struct example *examples, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t bytes = UNTOUCHED;
		int error = gsh_parse_size(examples[i].text, &bytes);

		if (error != 0 || bytes != examples[i].value)
			printf("    '%s' is %d, %llu\n", examples[i].text, error,
			       (unsigned long long)bytes);
		CU_ASSERT_EQUAL(error, 0);
		CU_ASSERT_EQUAL(bytes, examples[i].value);
	}
}

/* Each text is refused with the error, and leaves the result alone. */
static void assert_refused(int (*parse)(const char *, uint64_t *), int expected,
			   const char *const *texts)
{
	for (; *texts; texts++) {
		uint64_t value = UNTOUCHED;
		int error = parse(*texts, &value);

		if (error != expected)
			printf("    '%s' is %d\n", *texts, error);
		CU_ASSERT_EQUAL(error, expected);
		CU_ASSERT_EQUAL(value, UNTOUCHED);
	}
}

static void every_unit_has_its_size(void)
{
	static const struct example examples[] = {
		{ "0", 0 },
		{ "1024", 1024 },
		{ "7B", 7 },
		{ "1KiB", KIB },
		{ "1MiB", MIB },
		{ "8GiB", 8 * GIB },
		{ "2TiB", 2 * TIB },
		{ "1K", KIB },
		{ "1M", MIB },
		{ "1G", GIB },
		{ "1T", TIB },
		{ "1kB", 1000 },
		{ "500MB", 500000000 },
		{ "3GB", 3000000000 },
		{ "1TB", 1000000000000 },
	};

	assert_sizes(examples, sizeof(examples) / sizeof(*examples));
}

static void space_is_allowed_before_the_unit(void)
{
	static const struct example examples[] = {
		{ "8 GiB", 8 * GIB },
		{ "8   GiB", 8 * GIB },
		{ "1 B", 1 },
	};

	assert_sizes(examples, sizeof(examples) / sizeof(*examples));
}

static void fractions_are_exact_and_rounded_down_to_bytes(void)
{
	static const struct example examples[] = {
		{ "1.5GiB", 3 * GIB / 2 },
		{ "0.5 KiB", 512 },
		{ "0.1KiB", 102 },
		{ "1.1kB", 1100 },
		{ "0.999999999999999999999999999999KiB", 1023 },
		{ "1.000000000000000000000000000000KiB", 1024 },
		{ "1.9", 1 },
		{ "2.9B", 2 },
		/* 2^-40 has forty digits, and is one byte of a TiB. */
		{ "0.0000000000009094947017729282379150390625TiB", 1 },
		{ "0.0000000000009094947017729282379150390624TiB", 0 },
		{ "16777215.9999999999990905052982270717620849609375TiB", UINT64_MAX },
	};

	assert_sizes(examples, sizeof(examples) / sizeof(*examples));
}

static void the_largest_numbers_are_read_and_the_next_refused(void)
{
	static const struct example examples[] = {
		{ "18446744073709551615", UINT64_MAX },
		{ "000000000000000000000000000018446744073709551615B", UINT64_MAX },
		{ "16777215TiB", 16777215 * TIB },
		{ "18014398509481983.9990234375KiB", UINT64_MAX },
	};
	static const char *const too_large[] = {
		"18446744073709551616",
		"99999999999999999999999999999",
		"16777216TiB",
		"18014398509481984K",
		"20000000TB",
		"99999999999999999999999.5GiB",
		NULL,
	};

	assert_sizes(examples, sizeof(examples) / sizeof(*examples));
	assert_refused(gsh_parse_size, -ERANGE, too_large);
}

static void what_is_not_a_size_is_refused(void)
{
	static const char *const texts[] = {
		"",	  " ",	      "GiB",	" 8GiB",
		"8GiB ",  "8 ",	      "-1",	"+1",
		"- 1",	  "8gib",     "8GIB",	"8GiBs",
		"8Gi",	  "8KB",      "8 G iB", "8\tGiB",
		"8\nGiB", "1.GiB",    ".5GiB",	"1..5G",
		"1.5.5G", "1,5GiB",   "0x10",	"1e3",
		"8GiB\n", "infinity", "nan",	"99999999999999999999x",
		"8 8",	  "8%",	      "B",	".",
		"1 .5G",  "٨",	      NULL,
	};

	assert_refused(gsh_parse_size, -EINVAL, texts);
}

static void numbers_are_whole_and_alone(void)
{
	static const char *const bad[] = { "",	 " 1", "1 ",  "-1", "+1", "1.0",
					   "1B", "x",  "0x1", "1,", NULL };
	static const char *const too_large[] = { "18446744073709551616",
						 "100000000000000000000", NULL };
	uint64_t value;

	CU_ASSERT_EQUAL(gsh_parse_u64("0", &value), 0);
	CU_ASSERT_EQUAL(value, 0);
	CU_ASSERT_EQUAL(gsh_parse_u64("18446744073709551615", &value), 0);
	CU_ASSERT_EQUAL(value, UINT64_MAX);
	CU_ASSERT_EQUAL(gsh_parse_u64("007", &value), 0);
	CU_ASSERT_EQUAL(value, 7);
	assert_refused(gsh_parse_u64, -EINVAL, bad);
	assert_refused(gsh_parse_u64, -ERANGE, too_large);
}

static int ppm_of(const char *text, uint64_t *value)
{
	uint32_t ppm = (uint32_t)*value;
	int error = gsh_parse_ppm(text, &ppm);

	*value = ppm;
	return error;
}

static void percents_are_read_to_a_millionth_of_the_whole(void)
{
	static const char *const bad[] = { "25",   "%",	   "25 percent", "-1%", "25%%",
					   "25% ", " 25%", "25.%",	 "",	NULL };
	static const char *const out_of_range[] = {
		"0%", "0.00001%", "100.0001%", "101%", "99999999999999999999%", NULL
	};
	uint32_t ppm;

	CU_ASSERT_EQUAL(gsh_parse_ppm("25%", &ppm), 0);
	CU_ASSERT_EQUAL(ppm, 250000);
	CU_ASSERT_EQUAL(gsh_parse_ppm("12.5 %", &ppm), 0);
	CU_ASSERT_EQUAL(ppm, 125000);
	CU_ASSERT_EQUAL(gsh_parse_ppm("100%", &ppm), 0);
	CU_ASSERT_EQUAL(ppm, 1000000);
	CU_ASSERT_EQUAL(gsh_parse_ppm("0.0001%", &ppm), 0);
	CU_ASSERT_EQUAL(ppm, 1);
	CU_ASSERT_EQUAL(gsh_parse_ppm("33.33333333%", &ppm), 0);
	CU_ASSERT_EQUAL(ppm, 333333);
	assert_refused(ppm_of, -EINVAL, bad);
	assert_refused(ppm_of, -ERANGE, out_of_range);
}

static int permille_of(const char *text, uint64_t *value)
{
	uint32_t permille = (uint32_t)*value;
	int error = gsh_parse_permille(text, &permille);

	*value = permille;
	return error;
}

static void shares_are_read_to_a_tenth_of_a_percent(void)
{
	static const char *const bad[] = {
		"30%", "", "-3", "3 ", "a", "30.", ":30", NULL
	};
	static const char *const out_of_range[] = { "100.1", "101",
						    "99999999999999999999", NULL };
	uint32_t permille;

	CU_ASSERT_EQUAL(gsh_parse_permille("30", &permille), 0);
	CU_ASSERT_EQUAL(permille, 300);
	CU_ASSERT_EQUAL(gsh_parse_permille("12.5", &permille), 0);
	CU_ASSERT_EQUAL(permille, 125);
	CU_ASSERT_EQUAL(gsh_parse_permille("0", &permille), 0);
	CU_ASSERT_EQUAL(permille, 0);
	CU_ASSERT_EQUAL(gsh_parse_permille("100", &permille), 0);
	CU_ASSERT_EQUAL(permille, 1000);
	assert_refused(permille_of, -EINVAL, bad);
	assert_refused(permille_of, -ERANGE, out_of_range);
}

static void tenants_have_names_that_are_safe_in_a_path(void)
{
	static const char *const good[] = { "a", "0", "infer", "team-a.train_2", "0-._" };
	static const char *const bad[] = { "",	 ".",	 "..",	"-a",  "_a", "A",
					   "aB", "a/b",	 "a b", "a\n", "ä",  "../x",
					   "*",	 "a%sb", " a",	"a " };
	char name[66];

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		CU_ASSERT_TRUE(gsh_parse_is_tenant(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CU_ASSERT_FALSE(gsh_parse_is_tenant(bad[i]));
	memset(name, 'n', sizeof(name));
	name[63] = '\0';
	CU_ASSERT_TRUE(gsh_parse_is_tenant(name));
	name[63] = 'n';
	name[64] = '\0';
	CU_ASSERT_FALSE(gsh_parse_is_tenant(name));
	name[64] = 'n';
	name[65] = '\0';
	CU_ASSERT_FALSE(gsh_parse_is_tenant(name));
}

const struct unit_suite unit_suite = {
	.name = "parse",
	.tests = {
		UNIT_TEST(every_unit_has_its_size),
		UNIT_TEST(space_is_allowed_before_the_unit),
		UNIT_TEST(fractions_are_exact_and_rounded_down_to_bytes),
		UNIT_TEST(the_largest_numbers_are_read_and_the_next_refused),
		UNIT_TEST(what_is_not_a_size_is_refused),
		UNIT_TEST(numbers_are_whole_and_alone),
		UNIT_TEST(percents_are_read_to_a_millionth_of_the_whole),
		UNIT_TEST(shares_are_read_to_a_tenth_of_a_percent),
		UNIT_TEST(tenants_have_names_that_are_safe_in_a_path),
	},
};
