/*
 * test_limits.c - limits.json that is right: what each form of it means.
 */
#include "cunit_main.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/limits.h"

#define GIB (UINT64_C(1) << 30)
#define DEVICE_UUID "GPU-0a1b2c3d-0000-1111-2222-333344445555"

static const uint8_t device_uuid[16] = { 0x0a, 0x1b, 0x2c, 0x3d, 0x00, 0x00, 0x11, 0x11,
					 0x22, 0x22, 0x33, 0x33, 0x44, 0x44, 0x55, 0x55 };

/* Limits of `tenant` by a file of these tenants. A refusal fails the test. */
static struct gpushim_policy_limits limits_of(const char *tenants, const char *tenant)
{
	struct gpushim_policy_limits limits = { 0 };
	struct gsh_limits_error error = { "" };
	struct gsh_limits_file *file;
	char text[2048];

	snprintf(text, sizeof(text), "{\"version\": 1, \"tenants\": {%s}}", tenants);
	file = gsh_limits_parse(text, strlen(text), "limits.json", &error);
	if (!file) {
		CU_FAIL("refused");
		puts(error.text);
	} else if (gsh_limits_of(file, tenant, &limits, &error) < 0) {
		CU_FAIL("no limits");
		puts(error.text);
	}
	gsh_limits_free(file);
	return limits;
}

static struct gpushim_policy_device row_of(const char *entry)
{
	char tenants[1024];

	snprintf(tenants, sizeof(tenants), "\"t\": %s", entry);
	return limits_of(tenants, "t").others;
}

static void a_size_is_a_quota_in_bytes(void)
{
	struct gpushim_policy_device row = row_of("{\"memory\": \"8GiB\"}");

	CU_ASSERT_EQUAL(row.memory_bytes, 8 * GIB);
	CU_ASSERT_EQUAL(row.memory_ppm, 0);
	CU_ASSERT_EQUAL(row.view, GPUSHIM_VIEW_QUOTA);
	CU_ASSERT_EQUAL(row_of("{\"memory\": \"1.5 GiB\"}").memory_bytes, 3 * GIB / 2);
	CU_ASSERT_EQUAL(row_of("{\"memory\": \"500MB\"}").memory_bytes, 500000000);
	CU_ASSERT_EQUAL(row_of("{\"memory\": \"1B\"}").memory_bytes, 1);
	/* The largest number that JSON keeps exactly. */
	CU_ASSERT_EQUAL(row_of("{\"memory\": \"9007199254740991B\"}").memory_bytes,
			(UINT64_C(1) << 53) - 1);
	CU_ASSERT_EQUAL(row_of("{\"memory\": \"8192TiB\"}").memory_bytes, UINT64_C(1)
										  << 53);
}

static void a_percentage_is_a_share_of_the_device(void)
{
	struct gpushim_policy_device row = row_of("{\"memory\": \"50%\"}");

	CU_ASSERT_EQUAL(row.memory_bytes, GPUSHIM_UNLIMITED);
	CU_ASSERT_EQUAL(row.memory_ppm, 500000);
	CU_ASSERT_EQUAL(row_of("{\"memory\": \"12.5%\"}").memory_ppm, 125000);
	CU_ASSERT_EQUAL(row_of("{\"memory\": \"100%\"}").memory_ppm, 1000000);
}

static void the_view_is_chosen_beside_the_limit(void)
{
	struct gpushim_policy_device row = row_of(
		"{\"memory\": {\"limit\": \"50%\", \"view\": \"device\"}}");

	CU_ASSERT_EQUAL(row.memory_ppm, 500000);
	CU_ASSERT_EQUAL(row.view, GPUSHIM_VIEW_DEVICE);
	row = row_of("{\"memory\": {\"view\": \"quota\", \"limit\": \"1GiB\"}}");
	CU_ASSERT_EQUAL(row.memory_bytes, GIB);
	CU_ASSERT_EQUAL(row.view, GPUSHIM_VIEW_QUOTA);
}

static void a_number_of_percent_is_a_fixed_share_of_time(void)
{
	struct gpushim_policy_device row = row_of("{\"compute\": 30}");

	CU_ASSERT_EQUAL(row.request_permille, 300);
	CU_ASSERT_EQUAL(row.limit_permille, 300);
	CU_ASSERT_EQUAL(row.priority, GPUSHIM_PRIORITY_NORMAL);
	CU_ASSERT_EQUAL(row_of("{\"compute\": 12.5}").limit_permille, 125);
	CU_ASSERT_EQUAL(row_of("{\"compute\": 0.1}").limit_permille, 1);
	CU_ASSERT_EQUAL(row_of("{\"compute\": 99.9}").limit_permille, 999);
	CU_ASSERT_EQUAL(row_of("{\"compute\": 1e2}").limit_permille, 1000);
}

static void request_limit_and_priority_are_given_apart(void)
{
	struct gpushim_policy_device row = row_of(
		"{\"compute\": {\"request\": 20, \"limit\": 100, \"priority\": \"batch\"}}");

	CU_ASSERT_EQUAL(row.request_permille, 200);
	CU_ASSERT_EQUAL(row.limit_permille, 1000);
	CU_ASSERT_EQUAL(row.priority, GPUSHIM_PRIORITY_BATCH);
	row = row_of("{\"compute\": {\"request\": 20, \"priority\": \"latency\"}}");
	CU_ASSERT_EQUAL(row.limit_permille, 1000);
	CU_ASSERT_EQUAL(row.priority, GPUSHIM_PRIORITY_LATENCY);
	row = row_of("{\"compute\": {\"limit\": 40}}");
	CU_ASSERT_EQUAL(row.request_permille, 0);
	CU_ASSERT_EQUAL(row.limit_permille, 400);
	row = row_of("{\"compute\": {\"request\": 20, \"limit\": 20}}");
	CU_ASSERT_EQUAL(row.request_permille, 200);
}

static void the_burst_is_given_in_milliseconds(void)
{
	struct gpushim_policy_limits limits;

	CU_ASSERT_EQUAL(row_of("{\"compute\": {\"burst_ms\": 1}}").burst_ms, 1);
	CU_ASSERT_EQUAL(row_of("{\"compute\": {\"burst_ms\": 1000}}").burst_ms, 1000);
	CU_ASSERT_EQUAL(row_of("{\"compute\": 30}").burst_ms, 0);
	limits = limits_of("\"t\": {\"compute\": {\"limit\": 40, \"burst_ms\": 5}, "
			   "\"devices\": {\"" DEVICE_UUID "\": {\"compute\": 20}}}",
			   "t");
	/* A device takes over what it does not say. */
	CU_ASSERT_EQUAL(limits.devices[0].burst_ms, 5);
	CU_ASSERT_EQUAL(limits.devices[0].limit_permille, 200);
}

static void what_is_not_enforced_is_marked_for_the_whole_tenant(void)
{
	static const char tenants[] =
		"\"a\": {\"enforce\": false, \"memory\": \"1GiB\"}, "
		"\"b\": {\"enforce\": true}, \"c\": {}, "
		"\"*\": {\"compute\": 10, \"enforce\": false}";

	CU_ASSERT_EQUAL(limits_of(tenants, "a").flags, GPUSHIM_POLICY_AUDIT);
	CU_ASSERT_EQUAL(limits_of(tenants, "a").others.memory_bytes, GIB);
	CU_ASSERT_EQUAL(limits_of(tenants, "b").flags, 0);
	CU_ASSERT_EQUAL(limits_of(tenants, "c").flags, 0);
	CU_ASSERT_EQUAL(limits_of(tenants, "z").flags, GPUSHIM_POLICY_AUDIT);
}

static void what_is_not_said_is_not_limited(void)
{
	struct gpushim_policy_device row = row_of("{}");

	CU_ASSERT_EQUAL(row.memory_bytes, GPUSHIM_UNLIMITED);
	CU_ASSERT_EQUAL(row.memory_ppm, 0);
	CU_ASSERT_EQUAL(row.request_permille, 0);
	CU_ASSERT_EQUAL(row.limit_permille, 1000);
	CU_ASSERT_EQUAL(row.context_bytes, 0);
}

static void a_context_has_a_charge(void)
{
	CU_ASSERT_EQUAL(row_of("{\"context_memory\": \"300MiB\"}").context_bytes,
			UINT64_C(300) << 20);
	CU_ASSERT_EQUAL(row_of("{\"context_memory\": \"0B\"}").context_bytes, 0);
}

static void a_device_takes_over_what_it_does_not_say(void)
{
	struct gpushim_policy_limits limits = limits_of(
		"\"t\": {\"devices\": {\"" DEVICE_UUID "\": {\"memory\": \"10GiB\"}},"
		"\"memory\": {\"limit\": \"50%\", \"view\": \"device\"},"
		"\"compute\": {\"request\": 20, \"priority\": \"batch\"},"
		"\"context_memory\": \"300MiB\"}",
		"t");
	struct gpushim_policy_device *row = &limits.devices[0];

	CU_ASSERT_EQUAL_FATAL(limits.device_count, 1);
	CU_ASSERT_EQUAL(memcmp(row->uuid, device_uuid, 16), 0);
	CU_ASSERT_EQUAL(row->memory_bytes, 10 * GIB);
	/* Bytes for this device stand in the place of the share, not beside it. */
	CU_ASSERT_EQUAL(row->memory_ppm, 0);
	CU_ASSERT_EQUAL(row->view, GPUSHIM_VIEW_DEVICE);
	CU_ASSERT_EQUAL(row->request_permille, 200);
	CU_ASSERT_EQUAL(row->limit_permille, 1000);
	CU_ASSERT_EQUAL(row->priority, GPUSHIM_PRIORITY_BATCH);
	CU_ASSERT_EQUAL(row->context_bytes, UINT64_C(300) << 20);
	CU_ASSERT_EQUAL(limits.others.memory_ppm, 500000);
}

static void a_device_has_shares_of_its_own(void)
{
	struct gpushim_policy_limits limits = limits_of(
		"\"t\": {\"memory\": \"4GiB\", \"compute\": 30, \"devices\": {"
		"\"" DEVICE_UUID "\": {\"memory\": \"25%\", \"compute\": "
		"{\"limit\": 60}, \"context_memory\": \"1MiB\"},"
		"\"MIG-ffffffff-ffff-FFFF-ffff-ffffffffffff\": {\"compute\": 5}}}",
		"t");

	CU_ASSERT_EQUAL_FATAL(limits.device_count, 2);
	CU_ASSERT_EQUAL(limits.devices[0].memory_bytes, GPUSHIM_UNLIMITED);
	CU_ASSERT_EQUAL(limits.devices[0].memory_ppm, 250000);
	CU_ASSERT_EQUAL(limits.devices[0].request_permille, 300);
	CU_ASSERT_EQUAL(limits.devices[0].limit_permille, 600);
	CU_ASSERT_EQUAL(limits.devices[0].context_bytes, UINT64_C(1) << 20);
	CU_ASSERT_EQUAL(limits.devices[1].uuid[15], 0xff);
	CU_ASSERT_EQUAL(limits.devices[1].memory_bytes, 4 * GIB);
	CU_ASSERT_EQUAL(limits.devices[1].limit_permille, 50);
}

static void names_not_listed_have_the_template(void)
{
	static const char tenants[] = "\"infer\": {\"memory\": \"8GiB\"},"
				      "\"*\": {\"memory\": \"2GiB\", \"compute\": 10}";
	struct gpushim_policy_limits limits = limits_of(tenants, "pod-7.web_1");

	CU_ASSERT_EQUAL(limits.others.memory_bytes, 2 * GIB);
	CU_ASSERT_STRING_EQUAL(limits.tenant, "pod-7.web_1");
	CU_ASSERT_STRING_EQUAL(limits.source, "limits.json, /tenants/*");
	limits = limits_of(tenants, "infer");
	CU_ASSERT_EQUAL(limits.others.memory_bytes, 8 * GIB);
	CU_ASSERT_STRING_EQUAL(limits.tenant, "infer");
	CU_ASSERT_STRING_EQUAL(limits.source, "limits.json, /tenants/infer");
	CU_ASSERT_EQUAL(limits.generation, 0);
	CU_ASSERT_EQUAL(limits.checksum, 0);
}

static void names_without_template_have_nothing(void)
{
	static const char text[] = "{\"version\": 1, \"tenants\": {\"a\": {}}}";
	struct gpushim_policy_limits limits;
	struct gsh_limits_error error;
	struct gsh_limits_file *file = gsh_limits_parse(text, strlen(text), "l.json",
							&error);

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	CU_ASSERT_EQUAL(gsh_limits_of(file, "b", &limits, &error), -ENOENT);
	CU_ASSERT_STRING_EQUAL(
		error.text,
		"l.json: tenant 'b' is not listed and there is no template \"*\"");
	CU_ASSERT_EQUAL(gsh_limits_of(file, "../b", &limits, &error), -ENOENT);
	CU_ASSERT_STRING_EQUAL(
		error.text,
		"'../b' cannot be a tenant's name: 1 to 63 of a-z, 0-9, '-', '.' "
		"and '_', the first a letter or a digit");
	gsh_limits_free(file);
}

static void tenants_are_listed_in_the_order_of_the_file(void)
{
	static const char text[] =
		"{\"tenants\": {\"z\": {}, \"*\": {}, \"a\": {}}, \"version\": 1.0}";
	struct gsh_limits_error error;
	struct gsh_limits_file *file = gsh_limits_parse(text, strlen(text), "l", &error);

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	CU_ASSERT_STRING_EQUAL(gsh_limits_tenant(file, 0), "z");
	CU_ASSERT_STRING_EQUAL(gsh_limits_tenant(file, 1), "*");
	CU_ASSERT_STRING_EQUAL(gsh_limits_tenant(file, 2), "a");
	CU_ASSERT_PTR_NULL(gsh_limits_tenant(file, 3));
	gsh_limits_free(file);
}

static void keys_may_be_written_with_escapes(void)
{
	struct gpushim_policy_limits limits = limits_of(
		"\"\\u0074rain\": {\"\\u006demory\": \"8\\u0047iB\"}", "train");

	CU_ASSERT_EQUAL(limits.others.memory_bytes, 8 * GIB);
}

/* ---- files ---- */

static char directory[128];

static const char *in_directory(const char *name)
{
	static char path[192];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static void setup(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(directory, sizeof(directory), "%.100s/limits-XXXXXX",
		 tmp ? tmp : "/tmp");
	if (!mkdtemp(directory))
		abort();
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(in_directory(name), "w");

	if (!file || fputs(text, file) < 0 || fclose(file) != 0)
		abort();
}

/* The refusal of a file, without the directory. */
static const char *refusal(const char *name)
{
	static struct gsh_limits_error error;
	struct gsh_limits_file *file = gsh_limits_read(in_directory(name), &error);

	if (file) {
		gsh_limits_free(file);
		return "accepted";
	}
	return error.text + strlen(directory) + 1;
}

static void what_is_no_file_is_refused(void)
{
	CU_ASSERT_EQUAL(mkfifo(in_directory("fifo"), 0600), 0);
	CU_ASSERT_EQUAL(mkdir(in_directory("dir"), 0700), 0);
	CU_ASSERT_STRING_EQUAL(refusal("fifo"), "fifo: is not a regular file");
	CU_ASSERT_STRING_EQUAL(refusal("dir"), "dir: is not a regular file");
	CU_ASSERT_STRING_EQUAL(refusal("none"),
			       "none: cannot be read: No such file or directory");
	unlink(in_directory("fifo"));
	rmdir(in_directory("dir"));
}

static void a_file_of_more_than_a_mebibyte_is_refused(void)
{
	write_file("large", "{}");
	CU_ASSERT_EQUAL(truncate(in_directory("large"), 1 << 20), 0);
	CU_ASSERT_STRING_EQUAL(refusal("large"),
			       "large:1:3: there is text after the end of the document");
	CU_ASSERT_EQUAL(truncate(in_directory("large"), (1 << 20) + 1), 0);
	CU_ASSERT_STRING_EQUAL(refusal("large"),
			       "large: is larger than 1 MiB and no limits.json");
	unlink(in_directory("large"));
}

/* Kubernetes mounts the files of a ConfigMap as links. */
static void a_link_to_a_file_is_read(void)
{
	write_file("file", "{\"version\": 1, \"tenants\": {}}");
	CU_ASSERT_EQUAL(symlink("file", in_directory("link")), 0);
	CU_ASSERT_STRING_EQUAL(refusal("link"), "accepted");
	unlink(in_directory("link"));
	unlink(in_directory("file"));
}

/* ---- the guest's way in ---- */

static void a_guest_loads_its_limits(void)
{
	struct gpushim_policy_limits limits = { 0 };
	char reason[GPUSHIM_REASON_BYTES];

	write_file("file",
		   "{\"version\": 1, \"tenants\": {\"a\": {\"memory\": \"1GiB\"}}}");
	CU_ASSERT_EQUAL(gpushim_limits_load(in_directory("file"), "a", &limits, reason,
					    sizeof(reason)),
			0);
	CU_ASSERT_EQUAL(limits.others.memory_bytes, GIB);
	CU_ASSERT_STRING_EQUAL(reason, "");
	CU_ASSERT_EQUAL(gpushim_limits_load(in_directory("file"), "b", &limits, reason,
					    sizeof(reason)),
			-ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(reason, "tenant 'b' is not listed"));
	unlink(in_directory("file"));
}

static void a_guest_is_told_why_a_file_is_bad(void)
{
	struct gpushim_policy_limits limits;
	char reason[GPUSHIM_REASON_BYTES], little[8];

	write_file("file", "{\"version\": 1, \"tenants\": {\"a\": {\"memory\": 8}}}");
	CU_ASSERT_EQUAL(gpushim_limits_load(in_directory("file"), "a", &limits, reason,
					    sizeof(reason)),
			-EINVAL);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(reason, "file:1:44: /tenants/a/memory: 8 has no unit"));
	gpushim_limits_load(in_directory("file"), "a", &limits, little, sizeof(little));
	CU_ASSERT_EQUAL(strlen(little), sizeof(little) - 1);
	gpushim_limits_load(in_directory("file"), "a", &limits, little, 0);
	write_file("file",
		   "{\"version\": 1, \"tenants\": {\"a\": {\"compute\": 60}, \"b\": "
		   "{\"compute\": 60}}}");
	CU_ASSERT_EQUAL(gpushim_limits_load(in_directory("file"), "a", &limits, reason,
					    sizeof(reason)),
			-EDQUOT);
	unlink(in_directory("file"));
}

static void teardown(void)
{
	rmdir(directory);
}

const struct unit_suite unit_suite = {
	.name = "limits",
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(a_size_is_a_quota_in_bytes),
		UNIT_TEST(a_percentage_is_a_share_of_the_device),
		UNIT_TEST(the_view_is_chosen_beside_the_limit),
		UNIT_TEST(a_number_of_percent_is_a_fixed_share_of_time),
		UNIT_TEST(request_limit_and_priority_are_given_apart),
		UNIT_TEST(the_burst_is_given_in_milliseconds),
		UNIT_TEST(what_is_not_enforced_is_marked_for_the_whole_tenant),
		UNIT_TEST(what_is_not_said_is_not_limited),
		UNIT_TEST(a_context_has_a_charge),
		UNIT_TEST(a_device_takes_over_what_it_does_not_say),
		UNIT_TEST(a_device_has_shares_of_its_own),
		UNIT_TEST(names_not_listed_have_the_template),
		UNIT_TEST(names_without_template_have_nothing),
		UNIT_TEST(tenants_are_listed_in_the_order_of_the_file),
		UNIT_TEST(keys_may_be_written_with_escapes),
		UNIT_TEST(what_is_no_file_is_refused),
		UNIT_TEST(a_file_of_more_than_a_mebibyte_is_refused),
		UNIT_TEST(a_link_to_a_file_is_read),
		UNIT_TEST(a_guest_loads_its_limits),
		UNIT_TEST(a_guest_is_told_why_a_file_is_bad),
	},
};
