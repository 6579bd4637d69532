/*
 * test_limits_fit.c - what tenants are promised together, against what devices have.
 */
#include "cunit_main.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/limits.h"

#define GIB (UINT64_C(1) << 30)
#define UUID(last) "GPU-00000000-0000-0000-0000-00000000000" #last

static const struct gsh_limits_device small = { { [15] = 1 }, 16 * GIB };
static const struct gsh_limits_device both[] = {
	{ { [15] = 1 }, 16 * GIB },
	{ { [15] = 2 }, 40 * GIB },
};

/* "fits", or the refusal without the file's name. */
static const char *fit(const char *text, const struct gsh_limits_device *devices,
		       size_t count, const char *const *templated, size_t templated_count)
{
	static struct gsh_limits_error error;
	struct gsh_limits_file *file = gsh_limits_parse(text, strlen(text), "f", &error);
	int result;

	if (!file)
		return error.text;
	result = gsh_limits_fit(file, devices, count, templated, templated_count, &error);
	gsh_limits_free(file);
	if (result == 0)
		return "fits";
	return result == -EDQUOT && strncmp(error.text, "f:", 2) == 0 ? error.text + 2
								      : "another error";
}

static const char *fit_small(const char *tenants)
{
	char text[1024];

	snprintf(text, sizeof(text), "{\"version\": 1, \"tenants\": {\n%s}}", tenants);
	return fit(text, &small, 1, NULL, 0);
}

static const char *fit_nowhere(const char *tenants)
{
	char text[1024];

	snprintf(text, sizeof(text), "{\"version\": 1, \"tenants\": {\n%s}}", tenants);
	return fit(text, NULL, 0, NULL, 0);
}

static void quotas_may_fill_a_device_to_the_byte(void)
{
	CU_ASSERT_STRING_EQUAL(fit_small("\"a\": {\"memory\": \"8GiB\"},\n"
					 "\"b\": {\"memory\": \"8589934592B\"}"),
			       "fits");
	CU_ASSERT_STRING_EQUAL(
		fit_small(
			"\"a\": {\"memory\": \"8GiB\"},\n\"b\": {\"memory\": \"8589934593B\"}"),
		"3:17: /tenants/b/memory: with this the quotas come to 17179869185 B on " UUID(
			1) ", which has 16 GiB; lower one, or write \"overcommit\": true");
}

static void shares_and_sizes_add_up(void)
{
	CU_ASSERT_STRING_EQUAL(
		fit_small("\"a\": {\"memory\": \"50%\"},\n\"b\": {\"memory\": \"8GiB\"}"),
		"fits");
	CU_ASSERT_STRING_EQUAL(
		fit_small(
			"\"a\": {\"memory\": \"75%\"},\n\"b\": {\"memory\": {\"limit\": "
			"\"8GiB\"}}"),
		"3:17: /tenants/b/memory: with this the quotas come to 20 GiB on " UUID(
			1) ", which has 16 GiB; lower one, or write \"overcommit\": true");
}

static void one_quota_larger_than_the_device_is_refused(void)
{
	CU_ASSERT_STRING_EQUAL(
		fit_small("\"a\": {\"memory\": \"17GiB\"}"),
		"2:17: /tenants/a/memory: with this the quotas come to 17 GiB on " UUID(
			1) ", which has 16 GiB; lower one, or write "
			   "\"overcommit\": true");
}

static void sums_do_not_overflow(void)
{
	char tenants[8192] = "";
	size_t length = 0;

	for (int i = 0; i < 200; i++)
		length += (size_t)snprintf(tenants + length, sizeof(tenants) - length,
					   "%s\"t%d\": {\"memory\": \"8192TiB\"}",
					   i ? "," : "", i);
	CU_ASSERT_STRING_NOT_EQUAL(fit_small(tenants), "fits");
}

static void without_a_quota_nothing_is_promised(void)
{
	CU_ASSERT_STRING_EQUAL(fit_small("\"a\": {\"memory\": \"16GiB\"}, \"b\": {}"),
			       "fits");
}

static void guaranteed_requests_may_come_to_all_of_the_time(void)
{
	CU_ASSERT_STRING_EQUAL(fit_small("\"a\": {\"compute\": 70},"
					 "\"b\": {\"compute\": {\"request\": 30}},"
					 "\"c\": {\"compute\": {\"limit\": 90}}"),
			       "fits");
	CU_ASSERT_STRING_EQUAL(
		fit_small("\"a\": {\"compute\": 70},\n\"b\": {\"compute\": 30.1}"),
		"3:18: /tenants/b/compute: with this the guaranteed requests come to 100.1 % of "
		"the time of " UUID(1) "; lower one, or write \"overcommit\": true");
}

static void overcommit_lets_everything_through(void)
{
	static const char text[] = "{\"version\": 1, \"overcommit\": true, \"tenants\": {"
				   "\"a\": {\"memory\": \"90%\", \"compute\": 90},"
				   "\"b\": {\"memory\": \"90GiB\", \"compute\": 90}}}";

	CU_ASSERT_STRING_EQUAL(fit(text, &small, 1, NULL, 0), "fits");
	CU_ASSERT_STRING_EQUAL(fit(text, NULL, 0, NULL, 0), "fits");
}

static void overcommit_false_is_as_if_it_were_not_there(void)
{
	static const char text[] =
		"{\"version\": 1, \"overcommit\": false, \"tenants\": {"
		"\"a\": {\"memory\": \"90GiB\"}}}";

	CU_ASSERT_STRING_NOT_EQUAL(fit(text, &small, 1, NULL, 0), "fits");
}

/* The entry of one device is where the refusal points, if there is one. */
static void every_device_is_looked_at(void)
{
	static const char text[] = "{\"version\": 1, \"tenants\": {\n"
				   "\"a\": {\"memory\": \"10GiB\"},\n"
				   "\"b\": {\"memory\": \"6GiB\",\n"
				   " \"devices\": {\"" UUID(
					   2) "\": {\"memory\": \"30.5GiB\"}}}}}";
	static const char shares[] = "{\"version\": 1, \"tenants\": {\n"
				     "\"a\": {\"compute\": 50},\n"
				     "\"b\": {\"devices\": {\"" UUID(
					     2) "\": {\"compute\": 51}}}}}";

	CU_ASSERT_STRING_EQUAL(fit(text, both, 1, NULL, 0), "fits");
	CU_ASSERT_STRING_EQUAL(
		fit(text, both, 2, NULL, 0),
		"4:69: /tenants/b/devices/" UUID(2) "/memory: with this the quotas come to 40.5 GiB on " UUID(
			2) ", which has 40 GiB; lower one, or write \"overcommit\": true");
	CU_ASSERT_STRING_EQUAL(fit(shares, both, 1, NULL, 0), "fits");
	CU_ASSERT_STRING_EQUAL(
		fit(shares, both, 2, NULL, 0),
		"3:75: /tenants/b/devices/" UUID(
			2) "/compute: with this the guaranteed requests come to 101 % of the "
			   "time of " UUID(
				   2) "; lower one, or write \"overcommit\": true");
}

static void without_devices_shares_are_checked_all_the_same(void)
{
	CU_ASSERT_STRING_EQUAL(fit_nowhere("\"a\": {\"memory\": \"900GiB\"}"), "fits");
	CU_ASSERT_STRING_EQUAL(
		fit_nowhere(
			"\"a\": {\"memory\": \"60%\"},\n\"b\": {\"memory\": \"40.1%\"}"),
		"3:17: /tenants/b/memory: with this the quotas come to 100.1 % of a device; lower "
		"one, or write \"overcommit\": true");
	CU_ASSERT_STRING_EQUAL(
		fit_nowhere("\"a\": {\"compute\": 60},\n\"b\": {\"compute\": 60}"),
		"3:18: /tenants/b/compute: with this the guaranteed requests come to 120 % of the "
		"time of a device; lower one, or write \"overcommit\": true");
	/* A device that a tenant names may have less left than others. */
	CU_ASSERT_STRING_EQUAL(
		fit_nowhere(
			"\"a\": {\"memory\": \"60%\"},\n\"b\": {\"memory\": \"40%\",\n"
			"\"devices\": {\"" UUID(3) "\": {\"memory\": \"41%\"}}}"),
		"4:68: /tenants/b/devices/" UUID(3) "/memory: with this the quotas come to 101 % of " UUID(
			3) "; lower one, or write \"overcommit\": true");
}

static void the_template_promises_nothing_until_somebody_comes(void)
{
	static const char text[] = "{\"version\": 1, \"tenants\": {\n"
				   "\"*\": {\"memory\": \"5GiB\", \"compute\": 30},\n"
				   "\"a\": {\"memory\": \"5GiB\", \"compute\": 30}}}";
	static const char *const names[] = { "x", "a", "y", "z" };

	CU_ASSERT_STRING_EQUAL(fit(text, &small, 1, NULL, 0), "fits");
	/* Who is listed is not templated. */
	CU_ASSERT_STRING_EQUAL(fit(text, &small, 1, names, 3), "fits");
	CU_ASSERT_STRING_EQUAL(
		fit(text, &small, 1, names, 4),
		"2:17: /tenants/*/memory: tenant 'z' does not fit: with this the quotas come to "
		"20 GiB on " UUID(
			1) ", which has 16 GiB; lower one, or write \"overcommit\": "
			   "true");
	CU_ASSERT_STRING_EQUAL(
		fit(text, both + 1, 1, names, 4),
		"2:36: /tenants/*/compute: tenant 'z' does not fit: with this the guaranteed "
		"requests come to 120 % of the time of " UUID(
			2) "; lower one, or write \"overcommit\": true");
}

static void without_a_template_names_claim_nothing(void)
{
	static const char text[] = "{\"version\": 1, \"tenants\": {\"a\": {\"memory\": "
				   "\"16GiB\"}}}";
	static const char *const names[] = { "x" };

	CU_ASSERT_STRING_EQUAL(fit(text, &small, 1, names, 1), "fits");
}

const struct unit_suite unit_suite = {
	.name = "limits fit",
	.tests = {
		UNIT_TEST(quotas_may_fill_a_device_to_the_byte),
		UNIT_TEST(shares_and_sizes_add_up),
		UNIT_TEST(one_quota_larger_than_the_device_is_refused),
		UNIT_TEST(sums_do_not_overflow),
		UNIT_TEST(without_a_quota_nothing_is_promised),
		UNIT_TEST(guaranteed_requests_may_come_to_all_of_the_time),
		UNIT_TEST(overcommit_lets_everything_through),
		UNIT_TEST(overcommit_false_is_as_if_it_were_not_there),
		UNIT_TEST(every_device_is_looked_at),
		UNIT_TEST(without_devices_shares_are_checked_all_the_same),
		UNIT_TEST(the_template_promises_nothing_until_somebody_comes),
		UNIT_TEST(without_a_template_names_claim_nothing),
	},
};
