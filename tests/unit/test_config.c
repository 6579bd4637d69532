/*
 * test_config.c - the simulated GPU's variables: what is read, and what is refused and how.
 */
#include "cunit_main.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"

static void unset_all(void)
{
	const struct sim_variable *variable;

	for (size_t i = 0; (variable = sim_variable(i)); i++)
		unsetenv(variable->name);
}

/* The bytes that a text means; UINT64_MAX where it is refused. */
static uint64_t bytes_of(const char *text)
{
	uint64_t bytes;

	return sim_parse_bytes(text, &bytes) ? UINT64_MAX : bytes;
}

static void sizes_have_binary_units_with_an_i_and_decimal_ones_without(void)
{
	CU_ASSERT_EQUAL(bytes_of("0"), 0);
	CU_ASSERT_EQUAL(bytes_of("512"), 512);
	CU_ASSERT_EQUAL(bytes_of("512B"), 512);
	CU_ASSERT_EQUAL(bytes_of("64KiB"), 64 * 1024);
	CU_ASSERT_EQUAL(bytes_of("64Ki"), 64 * 1024);
	CU_ASSERT_EQUAL(bytes_of("64k"), 64 * 1000);
	CU_ASSERT_EQUAL(bytes_of("300MB"), 300000000);
	CU_ASSERT_EQUAL(bytes_of("2GB"), 2000000000);
	CU_ASSERT_EQUAL(bytes_of("1.5GiB"), UINT64_C(3) << 29);
	CU_ASSERT_EQUAL(bytes_of("0.25M"), 250000);
	CU_ASSERT_EQUAL(bytes_of("4TiB"), UINT64_C(1) << 42);
	CU_ASSERT_EQUAL(bytes_of("15EiB"), UINT64_C(15) << 60);
}

static void what_is_no_size_is_refused(void)
{
	static const char *const texts[] = { "",      "B",    "GiB",   "-1",	"+1",
					     " 1",    "1 ",   "1 GiB", "1.GiB", ".5G",
					     "1..5G", "0x10", "1GiX",  "1iB",	"1e9",
					     "1.5",   "1.5B", "ten",   "1GBB",	"1,5G",
					     "nan",   "1GiBs" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (bytes_of(texts[i]) != UINT64_MAX)
			CU_FAIL(texts[i]);
}

static void sizes_beyond_64_bits_are_refused(void)
{
	CU_ASSERT_EQUAL(bytes_of("18446744073709551614"), UINT64_MAX - 1);
	CU_ASSERT_EQUAL(bytes_of("16EiB"), UINT64_MAX);
	CU_ASSERT_EQUAL(bytes_of("18446744073709551616"), UINT64_MAX);
	CU_ASSERT_EQUAL(bytes_of("99999999999999999999999999"), UINT64_MAX);
}

static void whole_numbers_keep_to_their_range(void)
{
	uint64_t value = 7;

	CU_ASSERT_EQUAL(sim_parse_u64("16", 1, 16, &value), 0);
	CU_ASSERT_EQUAL(value, 16);
	CU_ASSERT_EQUAL(sim_parse_u64("17", 1, 16, &value), -EINVAL);
	CU_ASSERT_EQUAL(sim_parse_u64("0", 1, 16, &value), -EINVAL);
	CU_ASSERT_EQUAL(sim_parse_u64("1.0", 1, 16, &value), -EINVAL);
	CU_ASSERT_EQUAL(sim_parse_u64("1x", 1, 16, &value), -EINVAL);
	CU_ASSERT_EQUAL(sim_parse_u64("", 0, 16, &value), -EINVAL);
	CU_ASSERT_EQUAL(value, 16);
}

static void defaults_are_those_that_are_documented(void)
{
	struct sim_config config;
	char why[256] = "";

	unset_all();
	CU_ASSERT_EQUAL_FATAL(sim_config_read(&config, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(config.devices, 1);
	CU_ASSERT_EQUAL(config.memory_bytes, UINT64_C(16) << 30);
	CU_ASSERT_EQUAL(config.slice_ns, 2000000);
	CU_ASSERT_EQUAL(config.switch_ns, 100000);
	CU_ASSERT_EQUAL(config.concurrent, 128);
	CU_ASSERT_EQUAL(config.context_bytes, 256 << 20);
	CU_ASSERT_EQUAL(config.pool_granule_bytes, 32 << 20);
	CU_ASSERT_EQUAL(config.copy_bytes_per_s, UINT64_C(25000000000));
	CU_ASSERT_EQUAL(config.device_bytes_per_s, UINT64_C(1500000000000));
	CU_ASSERT_EQUAL(config.kernel_ns, 10000);
	CU_ASSERT_EQUAL(config.vary_percent, 0);
	CU_ASSERT_EQUAL(config.work_ps, 1000);
	CU_ASSERT_EQUAL(config.driver_version, 13000);
	CU_ASSERT_STRING_EQUAL(config.driver_string, "580.65.06");
	CU_ASSERT_STRING_EQUAL(config.name, "Simulated GPU");
	CU_ASSERT_EQUAL(config.sm_count, 132);
	CU_ASSERT_EQUAL(config.cc_major, 9);
	CU_ASSERT_EQUAL(config.cc_minor, 0);
}

static void variables_win_over_defaults_and_empty_ones_do_not(void)
{
	struct sim_config config;
	char why[256];

	unset_all();
	setenv("SIMGPU_DEVICES", "3", 1);
	setenv("SIMGPU_MEMORY", "1.5GiB", 1);
	setenv("SIMGPU_SLICE_US", "0", 1);
	CU_ASSERT_EQUAL(sim_config_read(&config, why, sizeof(why)), -EINVAL);
	setenv("SIMGPU_SLICE_US", "12.5", 1);
	setenv("SIMGPU_COPY_GBPS", "0.5", 1);
	setenv("SIMGPU_CC", "12.1", 1);
	setenv("SIMGPU_NAME", "A \"card\"", 1);
	setenv("SIMGPU_SMS", "", 1);
	CU_ASSERT_EQUAL_FATAL(sim_config_read(&config, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(config.devices, 3);
	CU_ASSERT_EQUAL(config.memory_bytes, UINT64_C(3) << 29);
	CU_ASSERT_EQUAL(config.slice_ns, 12500);
	CU_ASSERT_EQUAL(config.copy_bytes_per_s, 500000000);
	CU_ASSERT_EQUAL(config.cc_major, 12);
	CU_ASSERT_EQUAL(config.cc_minor, 1);
	CU_ASSERT_STRING_EQUAL(config.name, "A \"card\"");
	CU_ASSERT_EQUAL(config.sm_count, 132);
	unset_all();
}

/* What is refused must be named, with its value and what would do instead. */
static void a_refusal_names_the_variable_its_value_and_what_is_accepted(void)
{
	static const struct {
		const char *name, *value, *accepted;
	} cases[] = {
		{ "SIMGPU_DEVICES", "17", "from 1 to 16" },
		{ "SIMGPU_DEVICES", "one", "whole number" },
		{ "SIMGPU_MEMORY", "16 gigs", "16GiB" },
		{ "SIMGPU_MEMORY", "1KiB", "from 1MiB to 4TiB" },
		{ "SIMGPU_SLICE_US", "-1", "from 1 to" },
		{ "SIMGPU_KERNEL_VARY", "101", "from 0 to 100" },
		{ "SIMGPU_CC", "9", "MAJOR.MINOR" },
		{ "SIMGPU_CC", "9.x", "MAJOR.MINOR" },
		{ "SIMGPU_CC", "1000000000.0", "MAJOR.MINOR" },
		{ "SIMGPU_DRIVER", "1234567890123456789012345678901x", "1 to 31" },
		{ "SIMGPU_NAME", "two\nlines", "printable" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sim_config config;
		char why[256] = "";

		unset_all();
		setenv(cases[i].name, cases[i].value, 1);
		CU_ASSERT_EQUAL(sim_config_read(&config, why, sizeof(why)), -EINVAL);
		if (!strstr(why, cases[i].name) || !strstr(why, cases[i].value) ||
		    !strstr(why, cases[i].accepted) || why[strlen(why) - 1] != '.')
			CU_FAIL(why);
	}
	unset_all();
}

static void the_sentence_fits_whatever_room_there_is(void)
{
	struct sim_config config;
	char why[16];

	unset_all();
	setenv("SIMGPU_MEMORY", "lots", 1);
	CU_ASSERT_EQUAL(sim_config_read(&config, why, sizeof(why)), -EINVAL);
	CU_ASSERT_EQUAL(strlen(why), sizeof(why) - 1);
	unset_all();
}

static void the_state_directory_is_the_variable_or_one_per_user(void)
{
	char path[256], expected[64];

	setenv("SIMGPU_STATE", "/run/somewhere", 1);
	CU_ASSERT_EQUAL(sim_state_dir(path, sizeof(path)), 0);
	CU_ASSERT_STRING_EQUAL(path, "/run/somewhere");
	CU_ASSERT_EQUAL(sim_state_dir(path, 14), -ENAMETOOLONG);
	unsetenv("SIMGPU_STATE");
	snprintf(expected, sizeof(expected), "/dev/shm/simgpu-%u", (unsigned)geteuid());
	CU_ASSERT_EQUAL(sim_state_dir(path, sizeof(path)), 0);
	CU_ASSERT_STRING_EQUAL(path, expected);
}

const struct unit_suite unit_suite = {
	.name = "configuration of the simulated GPU",
	.tests = {
		UNIT_TEST(sizes_have_binary_units_with_an_i_and_decimal_ones_without),
		UNIT_TEST(what_is_no_size_is_refused),
		UNIT_TEST(sizes_beyond_64_bits_are_refused),
		UNIT_TEST(whole_numbers_keep_to_their_range),
		UNIT_TEST(defaults_are_those_that_are_documented),
		UNIT_TEST(variables_win_over_defaults_and_empty_ones_do_not),
		UNIT_TEST(a_refusal_names_the_variable_its_value_and_what_is_accepted),
		UNIT_TEST(the_sentence_fits_whatever_room_there_is),
		UNIT_TEST(the_state_directory_is_the_variable_or_one_per_user),
	},
};
