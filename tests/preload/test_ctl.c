/*
 * test_ctl.c - gpushim-ctl beside programs that run: what it publishes they obey, what it
 * refuses changes nothing, what it shows is what the device says.
 */
#include "cunit_main.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "common_publish.h"
#include "common_tenant.h"

#define MIB ((size_t)1 << 20)

/* The simulated device of the tests. */
#define UUID "GPU-53696d00-4750-8055-8000-000000000000"

/* ---- what programs do ---- */

/* Holds 32 MiB and, each time it is let go on, finds out how much more it can have. */
TENANT_BODY(under_changing_limits)
{
	CUdeviceptr held, p;
	size_t free_bytes, total_bytes;

	tenant_context();
	check_result(cuMemAlloc_v2(&held, 32 * MIB), CUDA_SUCCESS);
	check_result(cuMemAlloc_v2(&p, 32 * MIB + 1), CUDA_ERROR_OUT_OF_MEMORY);
	tenant_meet(); /* to 16 MiB, below what is held */
	check_result(cuMemAlloc_v2(&p, 1), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemGetInfo_v2(&free_bytes, &total_bytes), CUDA_SUCCESS);
	check(total_bytes == 16 * MIB);
	check(free_bytes == 0);
	tenant_meet(); /* to 128 MiB */
	check_result(cuMemAlloc_v2(&p, 96 * MIB + 1), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAlloc_v2(&p, 96 * MIB), CUDA_SUCCESS);
	tenant_meet();
}

TENANT_BODY(holds_48_mebibytes)
{
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAlloc_v2(&p, 48 * MIB), CUDA_SUCCESS);
	check_result(cuMemAlloc_v2(&p, 48 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	tenant_meet();
}

TENANT_BODY(has_64_mebibytes)
{
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAlloc_v2(&p, 64 * MIB + 1), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAlloc_v2(&p, 64 * MIB), CUDA_SUCCESS);
}

TENANT_BODY(is_closed)
{
	check_result(cuInit(0), CUDA_ERROR_NOT_PERMITTED);
}

TENANT_BODY(is_closed_while_it_runs)
{
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAlloc_v2(&p, MIB), CUDA_SUCCESS);
	tenant_meet();
	check(cuMemAlloc_v2(&p, MIB) != CUDA_SUCCESS);
}

/* ---- running the tool ---- */

static char output[1 << 16];

/* gpushim-ctl with these words; its exit status, and what it said in `output`. */
static int ctl(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int ctl(const char *format, ...)
{
	char command[4096], words[3072];
	const char *build = getenv("BUILD");
	size_t bytes;
	va_list args;
	FILE *pipe;
	int status;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	snprintf(command, sizeof(command),
		 "GPUSHIM_DIR=%s GPUSHIM_WAIT_MS=0 %s/bin/gpushim-ctl %s 2>&1",
		 tenant_dir(), build ? build : "build", words);
	pipe = popen(command, "r");
	if (!pipe)
		abort();
	bytes = fread(output, 1, sizeof(output) - 1, pipe);
	output[bytes] = '\0';
	status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool said(const char *text)
{
	if (strstr(output, text))
		return true;
	printf("wanted  %s\ngot     %s\n", text, output);
	return false;
}

/* A file in the test's directory; its path, valid until the next call. */
static const char *limits_file(const char *tenants)
{
	static char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/limits.json", tenant_dir());
	file = fopen(path, "w");
	if (!file ||
	    fprintf(file, "{\"version\": 1, \"tenants\": {\n%s}}\n", tenants) < 0 ||
	    fclose(file) != 0)
		abort();
	return path;
}

static bool applies(const char *tenants)
{
	if (ctl("apply %s", limits_file(tenants)) == 0)
		return true;
	puts(output);
	return false;
}

/* The value at a path of keys and indices in what was said; NULL: not there. */
static const cJSON *shown(cJSON *root, ...) __attribute__((sentinel));

static const cJSON *shown(cJSON *root, ...)
{
	const cJSON *item = root;
	const char *key;
	va_list keys;

	va_start(keys, root);
	while (item && (key = va_arg(keys, const char *)))
		item = cJSON_IsArray(item)
			       ? cJSON_GetArrayItem(item, (int)strtol(key, NULL, 10))
			       : cJSON_GetObjectItemCaseSensitive(item, key);
	va_end(keys);
	return item;
}

static double number(const cJSON *item)
{
	return cJSON_IsNumber(item) ? item->valuedouble : -1;
}

static const char *text(const cJSON *item)
{
	return cJSON_IsString(item) ? item->valuestring : "(no text)";
}

/* ---- apply ---- */

static void a_file_reaches_programs_by_their_page(void)
{
	CU_ASSERT(applies("\"t\": {\"memory\": \"64MiB\"}"));
	CU_ASSERT(said("t: memory 64 MiB, compute best effort"));
	CU_ASSERT(tenant_passes("has_64_mebibytes", "GPUSHIM_TENANT=t", NULL));
	CU_ASSERT(tenant_device_requested_peak() <= 64 * MIB);
}

static void a_file_that_is_refused_changes_nothing(void)
{
	CU_ASSERT(applies("\"t\": {\"memory\": \"64MiB\"}"));
	CU_ASSERT_EQUAL(ctl("apply %s", limits_file("\"t\": {\"memory\": \"1GiB\",\n"
						    "\"compute\": {\"request\": 120}}")),
			1);
	CU_ASSERT(said(
		"limits.json:3:24: /tenants/t/compute/request: 120 is above the limit "
		"100\n"));
	CU_ASSERT(said("gpushim-ctl: Nothing was changed; the limits in force stay.\n"));
	/* Together they are more than the device has. */
	CU_ASSERT_EQUAL(ctl("apply %s", limits_file("\"t\": {\"memory\": \"1GiB\"},\n"
						    "\"u\": {\"memory\": \"16GiB\"}")),
			1);
	CU_ASSERT(said(
		"limits.json:3:17: /tenants/u/memory: with this the quotas come to 17 "
		"GiB on " UUID ", which has 16 GiB; lower one, or write \"overcommit\": "
		"true\n"));
	CU_ASSERT(tenant_passes("has_64_mebibytes", "GPUSHIM_TENANT=t", NULL));
	CU_ASSERT_EQUAL(ctl("show u"), 1);
}

static void tenants_that_are_there_get_the_template(void)
{
	CU_ASSERT(applies("\"a\": {\"memory\": \"1GiB\"}"));
	CU_ASSERT(applies("\"*\": {\"memory\": \"64MiB\"}, \"b\": {}"));
	CU_ASSERT(said("a: memory 64 MiB, compute best effort, by the template\n"));
	CU_ASSERT(tenant_passes("has_64_mebibytes", "GPUSHIM_TENANT=a", NULL));
}

static void who_does_not_fit_by_the_template_is_closed(void)
{
	CU_ASSERT(applies("\"a\": {}, \"b\": {}, \"c\": {}"));
	CU_ASSERT(applies("\"*\": {\"memory\": \"6GiB\"}"));
	CU_ASSERT(said("a: memory 6 GiB"));
	CU_ASSERT(said("b: memory 6 GiB"));
	CU_ASSERT(said(
		"c: closed: tenant 'c' does not fit: with this the quotas come to 18 GiB "
		"on " UUID ", which has 16 GiB"));
	CU_ASSERT(tenant_passes("is_closed", "GPUSHIM_TENANT=c", NULL));
	CU_ASSERT_PTR_NOT_NULL(strstr(tenant_stderr(), "tenant 'c' does not fit"));
	/* A newcomer that sorts before does not displace who has a place. */
	CU_ASSERT(applies("\"b\": {}, \"c\": {}"));
	CU_ASSERT(said("a: closed: "));
	CU_ASSERT(applies("\"*\": {\"memory\": \"6GiB\"}"));
	CU_ASSERT(said("b: memory 6 GiB"));
	CU_ASSERT(said("c: memory 6 GiB"));
	CU_ASSERT(said("a: closed: tenant 'a' does not fit"));
}

static void who_is_not_listed_any_more_is_closed(void)
{
	pid_t running;

	CU_ASSERT(applies("\"t\": {\"memory\": \"64MiB\"}"));
	running = tenant_start("is_closed_while_it_runs", "GPUSHIM_TENANT=t", NULL);
	CU_ASSERT_FATAL(tenant_met(running));
	CU_ASSERT(applies("\"u\": {}"));
	CU_ASSERT(said(
		"t: closed: tenant 't' is not listed and there is no template \"*\"\n"));
	tenant_go(running);
	CU_ASSERT(tenant_ends(running));
	CU_ASSERT(tenant_passes("is_closed", "GPUSHIM_TENANT=t", NULL));
	CU_ASSERT_EQUAL(ctl("show t"), 0);
	CU_ASSERT(said("closed: tenant 't' is not listed"));
}

static void what_gpushim_run_has_started_is_left_alone(void)
{
	pid_t running;

	CU_ASSERT(tenant_publish(tenant_dir(), "run-4242", 64 * MIB));
	CU_ASSERT(tenant_publish(tenant_dir(), "run-4242-1", 64 * MIB));
	CU_ASSERT(tenant_publish(tenant_dir(), "run-fast", 64 * MIB));
	running = tenant_start("under_changing_limits", "GPUSHIM_TENANT=run-4242", NULL);
	CU_ASSERT_FATAL(tenant_met(running));
	CU_ASSERT(applies("\"u\": {}"));
	CU_ASSERT(said("run-4242: left alone, as gpushim-run has started it\n"));
	CU_ASSERT(said("run-4242-1: left alone"));
	CU_ASSERT(said("run-fast: closed: "));
	CU_ASSERT(said("1 published, 1 closed, 0 failed, 2 left alone\n"));
	CU_ASSERT(tenant_passes("has_64_mebibytes", "GPUSHIM_TENANT=run-4242-1", NULL));
	/* By its name it can be listed like any other. */
	CU_ASSERT(applies("\"run-4242\": {\"memory\": \"16MiB\"}"));
	tenant_go(running);
	CU_ASSERT_FATAL(tenant_met(running));
	tenant_discard(running);
}

/* ---- set ---- */

static void a_running_program_obeys_a_change_at_once(void)
{
	pid_t running;

	CU_ASSERT(applies("\"t\": {\"memory\": \"64MiB\", \"compute\": 30}"));
	running = tenant_start("under_changing_limits", "GPUSHIM_TENANT=t", NULL);
	CU_ASSERT_FATAL(tenant_met(running));
	CU_ASSERT_EQUAL(ctl("set t memory=16MiB"), 0);
	CU_ASSERT(said("t: memory 16 MiB, compute 30%, until the next apply\n"));
	CU_ASSERT_EQUAL(ctl("show t"), 0);
	CU_ASSERT(said("over the quota"));
	tenant_go(running);
	CU_ASSERT_FATAL(tenant_met(running));
	CU_ASSERT_EQUAL(ctl("set t memory=128MiB compute=10:50"), 0);
	CU_ASSERT(said("compute 10% to 50%"));
	tenant_go(running);
	CU_ASSERT_FATAL(tenant_met(running));
	CU_ASSERT_EQUAL(tenant_device_requested(), 128 * MIB);
	tenant_go(running);
	CU_ASSERT(tenant_ends(running));
}

static void a_change_lasts_until_the_next_apply(void)
{
	CU_ASSERT(applies("\"t\": {\"memory\": \"64MiB\"}"));
	CU_ASSERT_EQUAL(ctl("set t memory=1GiB"), 0);
	CU_ASSERT(applies("\"t\": {\"memory\": \"64MiB\"}"));
	CU_ASSERT(tenant_passes("has_64_mebibytes", "GPUSHIM_TENANT=t", NULL));
}

static void a_change_may_be_for_one_device(void)
{
	CU_ASSERT(applies("\"t\": {\"memory\": \"1GiB\"}"));
	CU_ASSERT_EQUAL(ctl("set t --device " UUID " memory=64MiB"), 0);
	CU_ASSERT(tenant_passes("has_64_mebibytes", "GPUSHIM_TENANT=t", NULL));
	/* For all devices is for those with limits of their own too. */
	CU_ASSERT_EQUAL(ctl("set t memory=2GiB"), 0);
	CU_ASSERT_EQUAL(ctl("set t memory=64MiB"), 0);
	CU_ASSERT(tenant_passes("has_64_mebibytes", "GPUSHIM_TENANT=t", NULL));
}

static void a_closed_tenant_is_opened_with_a_quota(void)
{
	CU_ASSERT(applies("\"t\": {}"));
	CU_ASSERT(applies("\"u\": {}"));
	CU_ASSERT_EQUAL(ctl("set t compute=10"), 1);
	CU_ASSERT(said(
		"gpushim-ctl: Tenant t is closed (tenant 't' is not listed and there is no "
		"template \"*\"). Set memory=, for all devices, to open it.\n"));
	CU_ASSERT(tenant_passes("is_closed", "GPUSHIM_TENANT=t", NULL));
	CU_ASSERT_EQUAL(ctl("set t memory=64MiB"), 0);
	CU_ASSERT(tenant_passes("has_64_mebibytes", "GPUSHIM_TENANT=t", NULL));
}

static void changes_that_make_no_sense_are_refused(void)
{
	static const struct {
		const char *arguments, *message;
		int status;
	} refusals[] = {
		{ "t memory=8",
		  "memory: '8' is not a size with its unit, such as 8GiB, a share "
		  "such as 25%, or none. Nothing was changed.\n",
		  1 },
		{ "t memory=0GiB", "memory: '0GiB' is not a size with its unit", 1 },
		{ "t memory=", "memory: '' is not a size with its unit", 1 },
		{ "t memory=0%",
		  "memory: '0%' is not a share of the device, above 0% and at "
		  "most 100%. Nothing was changed.\n",
		  1 },
		{ "t compute=120",
		  "compute: '120' is not REQUEST or REQUEST:LIMIT in percent, "
		  "the limit above 0, or none. Nothing was changed.\n",
		  1 },
		{ "t compute=0", "compute: '0' is not REQUEST or REQUEST:LIMIT", 1 },
		{ "t compute=50:40",
		  "compute: '50:40' is not REQUEST:LIMIT with a request that "
		  "is not above the limit. Nothing was changed.\n",
		  1 },
		{ "t view=all",
		  "view: 'all' is not quota or device. Nothing was changed.\n", 1 },
		{ "t priority=high",
		  "priority: 'high' is not latency, normal or batch. Nothing "
		  "was changed.\n",
		  1 },
		{ "t burst_ms=0",
		  "burst_ms: '0' is not a whole number of milliseconds from 1 to 1000. "
		  "Nothing was changed.\n",
		  1 },
		{ "t burst_ms=1001", "burst_ms: '1001' is not a whole number", 1 },
		{ "t memory=1GiB enforce=no",
		  "enforce: 'no' is not true or false. Nothing was changed.\n", 1 },
		{ "t memory=1GiB enforce=", "enforce: '' is not true or false", 1 },
		{ "t enforce", "'enforce' is not KEY=VALUE", 2 },
		{ "t --device " UUID " enforce=false",
		  "enforce is for all devices of the tenant: set it without --device. "
		  "Nothing was changed.\n",
		  1 },
		{ "t context_memory=5%",
		  "context_memory: '5%' is not a size, such as 300MiB", 1 },
		{ "t memory=1GiB compute=x", "compute: 'x' is not REQUEST", 1 },
		{ "t --device 0 memory=1GiB",
		  "'0' is not a device: write GPU- or MIG- and its "
		  "UUID, as nvidia-smi -L shows it.\n",
		  1 },
		{ "nobody memory=1GiB", "There is no tenant nobody with a policy in ",
		  1 },
		{ "t gpu=1",
		  "'gpu=1' is not KEY=VALUE with a key out of memory, compute, "
		  "priority, burst_ms, view, context_memory and enforce.\nUsage: "
		  "gpushim-ctl set ",
		  2 },
		{ "t", "A tenant and what to set are needed.\nUsage: gpushim-ctl set ",
		  2 },
		{ "../t memory=1GiB", "'../t' cannot be a tenant's name.\n", 2 },
	};

	CU_ASSERT(applies("\"t\": {\"memory\": \"64MiB\"}"));
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		int status = ctl("set %s", refusals[i].arguments);

		if (status != refusals[i].status || !said(refusals[i].message))
			CU_FAIL(refusals[i].arguments);
	}
	CU_ASSERT(tenant_passes("has_64_mebibytes", "GPUSHIM_TENANT=t", NULL));
}

/* Looks, as any use of the GPU does, each time it is let go on. */
TENANT_BODY(lives_under_changing_shares)
{
	size_t free_bytes, total_bytes;

	tenant_context();
	for (int i = 0; i < 4; i++) {
		check_result(cuMemGetInfo_v2(&free_bytes, &total_bytes), CUDA_SUCCESS);
		tenant_meet();
	}
}

static void has_share(uint64_t request_permille, uint64_t limit_permille)
{
	const struct gpushim_snapshot *snapshot = tenant_snapshot(tenant_dir(), "t");

	CU_ASSERT_FATAL(snapshot && snapshot->devices_count == 1);
	CU_ASSERT_EQUAL(snapshot->devices[0].request_permille, request_permille);
	CU_ASSERT_EQUAL(snapshot->devices[0].limit_permille, limit_permille);
}

static void a_changed_share_reaches_programs_that_run(void)
{
	pid_t running;

	CU_ASSERT(applies("\"t\": {\"compute\": 30}"));
	running = tenant_start("lives_under_changing_shares", "GPUSHIM_TENANT=t",
			       "GPUSHIM_COMPUTE=60", NULL);
	CU_ASSERT_FATAL(tenant_met(running));
	has_share(300, 300);
	CU_ASSERT_EQUAL(ctl("set t compute=10:50 burst_ms=5 priority=batch"), 0);
	CU_ASSERT(said("t: memory none, compute 10% to 50%, until the next apply\n"));
	tenant_go(running);
	CU_ASSERT_FATAL(tenant_met(running));
	has_share(100, 500);
	/* The variable is what holds now. */
	CU_ASSERT_EQUAL(ctl("set t --device " UUID " compute=90"), 0);
	tenant_go(running);
	CU_ASSERT_FATAL(tenant_met(running));
	has_share(600, 600);
	CU_ASSERT(applies("\"t\": {\"compute\": 12.5}"));
	tenant_go(running);
	CU_ASSERT_FATAL(tenant_met(running));
	has_share(125, 125);
	tenant_go(running);
	CU_ASSERT(tenant_ends(running));
}

static void burst_and_priority_are_kept_until_they_are_set_again(void)
{
	const struct gpushim_snapshot *snapshot;

	CU_ASSERT(applies("\"t\": {\"compute\": {\"limit\": 30, \"burst_ms\": 7}}"));
	CU_ASSERT_EQUAL(ctl("set t priority=latency"), 0);
	CU_ASSERT_EQUAL(ctl("set t compute=20"), 0);
	snapshot = tenant_snapshot(tenant_dir(), "t");
	CU_ASSERT_FATAL(snapshot && snapshot->has_policy);
	CU_ASSERT_EQUAL(snapshot->policy.others.burst_ms, 7);
	CU_ASSERT_EQUAL(snapshot->policy.others.priority, GPUSHIM_PRIORITY_LATENCY);
	CU_ASSERT_EQUAL(ctl("set t burst_ms=1000"), 0);
	snapshot = tenant_snapshot(tenant_dir(), "t");
	CU_ASSERT_FATAL(snapshot && snapshot->has_policy);
	CU_ASSERT_EQUAL(snapshot->policy.others.burst_ms, 1000);
	CU_ASSERT_EQUAL(snapshot->policy.others.request_permille, 200);
}

/* Holds 64 MiB of 64, then asks for one more, enforced or not. */
TENANT_BODY(under_changing_enforcement)
{
	CUdeviceptr held, more, last;
	size_t free_bytes, total_bytes;

	tenant_context();
	check_result(cuMemAlloc_v2(&held, 64 * MIB), CUDA_SUCCESS);
	check_result(cuMemAlloc_v2(&more, MIB), CUDA_ERROR_OUT_OF_MEMORY);
	tenant_meet(); /* not enforced */
	check_result(cuMemGetInfo_v2(&free_bytes, &total_bytes), CUDA_SUCCESS);
	check(total_bytes == 16384 * MIB);
	check(free_bytes > 15360 * MIB && free_bytes <= total_bytes - 64 * MIB);
	check_result(cuMemAlloc_v2(&more, MIB), CUDA_SUCCESS);
	tenant_meet(); /* enforced */
	check_result(cuMemAlloc_v2(&last, 1), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemGetInfo_v2(&free_bytes, &total_bytes), CUDA_SUCCESS);
	check(total_bytes == 64 * MIB && free_bytes == 0);
	check_result(cuMemFree_v2(more), CUDA_SUCCESS);
	check_result(cuMemFree_v2(held), CUDA_SUCCESS);
	check_result(cuMemAlloc_v2(&held, 64 * MIB), CUDA_SUCCESS);
}

static void what_is_not_enforced_is_counted_all_the_same(void)
{
	const struct gpushim_snapshot *snapshot;
	pid_t running;

	CU_ASSERT(applies("\"t\": {\"memory\": \"64MiB\"}"));
	running = tenant_start("under_changing_enforcement", "GPUSHIM_TENANT=t", NULL);
	CU_ASSERT_FATAL(tenant_met(running));
	CU_ASSERT_EQUAL(ctl("set t enforce=false"), 0);
	CU_ASSERT(said(
		"t: memory 64 MiB, compute best effort, not enforced, until the next "
		"apply\n"));
	tenant_go(running);
	CU_ASSERT_FATAL(tenant_met(running));
	CU_ASSERT_EQUAL(tenant_device_requested(), 65 * MIB);
	snapshot = tenant_snapshot(tenant_dir(), "t");
	CU_ASSERT_FATAL(snapshot && snapshot->devices_count == 1);
	CU_ASSERT_EQUAL(snapshot->devices[0].charged_bytes, 65 * MIB);
	CU_ASSERT_EQUAL(snapshot->devices[0].limit_bytes, 64 * MIB);
	CU_ASSERT_EQUAL(snapshot->processes[0].denials, 2);
	CU_ASSERT_EQUAL(snapshot->processes[0].last_denied_bytes, MIB);
	CU_ASSERT_EQUAL(ctl("show t"), 0);
	CU_ASSERT(said("over the quota"));
	CU_ASSERT_EQUAL(ctl("set t enforce=true"), 0);
	CU_ASSERT(said("t: memory 64 MiB, compute best effort, until the next apply\n"));
	tenant_go(running);
	CU_ASSERT(tenant_ends(running));
}

TENANT_BODY(takes_65_mebibytes)
{
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAlloc_v2(&p, 65 * MIB), CUDA_SUCCESS);
}

static void a_file_says_who_is_not_held_to_its_limits(void)
{
	static const char tenants[] =
		"\"t\": {\"memory\": \"64MiB\", \"enforce\": false},"
		"\"u\": {\"memory\": \"64MiB\", \"enforce\": true}";

	CU_ASSERT(applies(tenants));
	CU_ASSERT(said("t: memory 64 MiB, compute best effort, not enforced\n"));
	CU_ASSERT(said("u: memory 64 MiB, compute best effort\n"));
	CU_ASSERT(tenant_passes("takes_65_mebibytes", "GPUSHIM_TENANT=t", NULL));
	CU_ASSERT(tenant_passes("has_64_mebibytes", "GPUSHIM_TENANT=u", NULL));
	/* A variable does not bring it back, and lowers nothing that could be refused. */
	CU_ASSERT(tenant_passes("takes_65_mebibytes", "GPUSHIM_TENANT=t",
				"GPUSHIM_MEMORY=1MiB", NULL));
	CU_ASSERT_EQUAL(ctl("check %s", limits_file(tenants)), 0);
	CU_ASSERT(said(
		"t: not enforced: what is beyond is counted, and neither refused nor "
		"delayed.\n"));
	CU_ASSERT_PTR_NULL(strstr(output, "u: not enforced"));
}

/* ---- show ---- */

static void what_is_shown_is_what_the_device_says(void)
{
	const cJSON *device, *process;
	pid_t running;
	cJSON *root;

	CU_ASSERT(applies("\"t\": {\"memory\": \"64MiB\", \"compute\": 30}, \"u\": {}"));
	running = tenant_start("holds_48_mebibytes", "GPUSHIM_TENANT=t", NULL);
	CU_ASSERT_FATAL(tenant_met(running));
	CU_ASSERT_EQUAL(ctl("show --json t"), 0);
	root = cJSON_Parse(output);
	CU_ASSERT_PTR_NOT_NULL_FATAL(root);
	device = shown(root, "tenants", "0", "devices", "0", NULL);
	process = shown(root, "tenants", "0", "processes", "0", NULL);
	CU_ASSERT_STRING_EQUAL(text(shown(root, "tenants", "0", "tenant", NULL)), "t");
	CU_ASSERT_STRING_EQUAL(text(cJSON_GetObjectItem(device, "uuid")), UUID);
	CU_ASSERT_EQUAL(number(cJSON_GetObjectItem(device, "charged_bytes")),
			(double)tenant_device_requested());
	CU_ASSERT_EQUAL(number(cJSON_GetObjectItem(device, "charged_bytes")), 48.0 * MIB);
	CU_ASSERT_EQUAL(number(cJSON_GetObjectItem(device, "limit_bytes")), 64.0 * MIB);
	CU_ASSERT_STRING_EQUAL(text(cJSON_GetObjectItem(device, "limit_source")),
			       "policy");
	CU_ASSERT_EQUAL(number(cJSON_GetObjectItem(process, "pid")), (double)running);
	CU_ASSERT_EQUAL(number(cJSON_GetObjectItem(process, "denials")), 1.0);
	CU_ASSERT_EQUAL(number(shown(root, "tenants", "0", "processes", "0", "usage", "0",
				     "kind_bytes", "linear", NULL)),
			48.0 * MIB);
	CU_ASSERT_EQUAL(number(shown(root, "tenants", "0", "policy", "others",
				     "request_permille", NULL)),
			300.0);
	cJSON_Delete(root);
	CU_ASSERT_EQUAL(ctl("show"), 0);
	CU_ASSERT(said("TENANT  DEVICE, PROCESSES"));
	CU_ASSERT(said(UUID "  64 MiB  48 MiB  48 MiB        1  "));
	CU_ASSERT(said("limits.json, /tenants/t\n"));
	CU_ASSERT(said("linear 48 MiB\n"));
	/* Who has not started anything yet is shown with what he may have. */
	CU_ASSERT(said("\nu       -"));
	tenant_go(running);
	CU_ASSERT(tenant_ends(running));
	CU_ASSERT_EQUAL(ctl("show t"), 0);
	CU_ASSERT(said("  64 MiB     0 B  48 MiB        0  "));
}

static void limits_of_variables_are_shown_as_such(void)
{
	pid_t running = tenant_start("holds_48_mebibytes", "GPUSHIM_TENANT=t",
				     "GPUSHIM_MEMORY=64MiB", NULL);

	CU_ASSERT_FATAL(tenant_met(running));
	CU_ASSERT_EQUAL(ctl("show"), 0);
	CU_ASSERT(said("  64 MiB  48 MiB  48 MiB        1  GPUSHIM_MEMORY\n"));
	tenant_go(running);
	CU_ASSERT(tenant_ends(running));
}

static void nobody_there_is_no_error(void)
{
	CU_ASSERT_EQUAL(ctl("show"), 0);
	CU_ASSERT(said("No tenant has an account in "));
	CU_ASSERT_EQUAL(ctl("show --json"), 0);
	CU_ASSERT(said("\"tenants\":\t[]"));
	CU_ASSERT_EQUAL(ctl("show t"), 1);
	CU_ASSERT_EQUAL(ctl("show ../t"), 1);
}

/* A directory that a tenant may write can hold anything. */
static void a_page_that_is_damaged_is_named(void)
{
	char path[512];

	CU_ASSERT(applies("\"t\": {\"memory\": \"64MiB\"}, \"u\": {}"));
	CU_ASSERT_EQUAL(ctl("show"), 0);
	snprintf(path, sizeof(path), "%s/policy/t/policy", tenant_dir());
	CU_ASSERT_EQUAL(truncate(path, 100), 0);
	CU_ASSERT_EQUAL(ctl("show"), 1);
	CU_ASSERT(said("gpushim-ctl: Tenant t: policy page "));
	CU_ASSERT(said("is truncated"));
	CU_ASSERT(said("\nu "));
	CU_ASSERT_EQUAL(ctl("show t"), 1);
	CU_ASSERT_EQUAL(ctl("show u"), 0);
}

static void a_ledger_that_is_none_spoils_no_other(void)
{
	char path[512];
	FILE *file;

	CU_ASSERT(applies("\"a\": {}, \"t\": {}"));
	snprintf(path, sizeof(path), "%s/ledger/a/ledger", tenant_dir());
	file = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fputs("nonsense", file);
	fclose(file);
	CU_ASSERT_EQUAL(ctl("show"), 1);
	CU_ASSERT(said("gpushim-ctl: Tenant a is left out: the ledger is truncated.\n"));
	CU_ASSERT(said("\nt       -"));
}

/* ---- check, doctor, and the tool itself ---- */

static void a_file_is_checked_against_the_devices_of_the_machine(void)
{
	CU_ASSERT_EQUAL(
		ctl("check %s", limits_file("\"t\": {\"memory\": \"50%\"},\n"
					    "\"*\": {\"compute\": {\"limit\": 50}}")),
		0);
	CU_ASSERT(said("t       " UUID "  8 GiB  best effort  normal    20 ms  -\n"));
	CU_ASSERT(said("*       " UUID "   none  up to 50%    normal    20 ms  -\n"));
	CU_ASSERT_EQUAL(ctl("check %s", limits_file("\"t\": {\"memory\": \"17GiB\"}")),
			1);
	CU_ASSERT(
		said("/tenants/t/memory: with this the quotas come to 17 GiB on " UUID));
	CU_ASSERT_EQUAL(ctl("check %s", limits_file("\"t\": {\"memory\": 8}")), 1);
	CU_ASSERT(said(
		"limits.json:2:17: /tenants/t/memory: 8 has no unit; write a unit, such "
		"as \"8GiB\"\n"));
	CU_ASSERT_EQUAL(ctl("check /nowhere"), 1);
	CU_ASSERT(said("/nowhere: cannot be read: No such file or directory\n"));
}

static void without_nvml_it_says_what_was_not_checked(void)
{
	char *before = getenv("LD_LIBRARY_PATH"), *kept = before ? strdup(before) : NULL;

	unsetenv("LD_LIBRARY_PATH");
	CU_ASSERT_EQUAL(ctl("check %s", limits_file("\"t\": {\"memory\": \"900GiB\"}")),
			0);
	if (strstr(output, "Only what holds on any device was checked"))
		CU_ASSERT(
			said("there is no NVML (libnvidia-ml.so.1) on this machine.\n"));
	CU_ASSERT_EQUAL(ctl("check %s", limits_file("\"t\": {\"memory\": \"60%\"},\n"
						    "\"u\": {\"memory\": \"60%\"}")),
			1);
	if (kept)
		setenv("LD_LIBRARY_PATH", kept, 1);
	free(kept);
}

static void the_doctor_says_to_what_programs_are_held(void)
{
	CU_ASSERT_EQUAL(ctl("doctor"), 1); /* a page is promised, and there is none */
	CU_ASSERT(said("limits     CLOSED: "));
	CU_ASSERT(applies("\"t\": {\"memory\": \"64MiB\"}"));
	CU_ASSERT_EQUAL(setenv("GPUSHIM_TENANT", "t", 1), 0);
	CU_ASSERT_EQUAL(ctl("doctor"), 0);
	unsetenv("GPUSHIM_TENANT");
	CU_ASSERT(said("driver     "));
	CU_ASSERT(said("libcuda.so.1, CUDA "));
	CU_ASSERT(said("preload    effective: cuInit is answered by "));
	CU_ASSERT(said(
		"here       programs started as things are do NOT have the library"));
	CU_ASSERT(said("limit      " UUID ": 64 MiB, by policy\n"));
	CU_ASSERT(said("coverage   "));
	CU_ASSERT(said("dlmopen(3)"));
}

static void the_doctor_notices_a_variable_that_is_spelt_wrongly(void)
{
	CU_ASSERT_EQUAL(setenv("GPUSHIM_MEMROY", "1GiB", 1), 0);
	ctl("doctor");
	unsetenv("GPUSHIM_MEMROY");
	CU_ASSERT(said("GPUSHIM_MEMROY is no variable of gpushim, and does nothing\n"));
	CU_ASSERT(said("GPUSHIM_WAIT_MS=0\n"));
	CU_ASSERT_PTR_NULL(strstr(output, "GPUSHIM_WAIT_MS is no"));
}

static void the_doctor_takes_a_relative_directory(void)
{
	const char *dir = tenant_dir(), *name = strrchr(dir, '/') + 1;
	char *before = getcwd(NULL, 0), above[512];

	snprintf(above, sizeof(above), "%.*s", (int)(name - dir), dir);
	CU_ASSERT(tenant_publish(dir, "default", 64 * MIB));
	CU_ASSERT_EQUAL_FATAL(chdir(above), 0);
	CU_ASSERT_EQUAL(ctl("doctor --dir %s", name), 0);
	CU_ASSERT(said("limit      " UUID ": 64 MiB, by policy\n"));
	CU_ASSERT_EQUAL(chdir(before), 0);
	free(before);
}

static void the_doctor_names_what_is_not_hooked(void)
{
	CU_ASSERT_EQUAL(ctl("doctor --skipped"), 0);
	CU_ASSERT(said("cuGetExportTable\t"));
	CU_ASSERT_PTR_NULL(strstr(output, "cuMemAlloc_v2\t"));
}

static void wrong_usage_has_a_status_of_its_own(void)
{
	CU_ASSERT_EQUAL(ctl("--help"), 0);
	CU_ASSERT(said("gpushim-ctl check FILE"));
	CU_ASSERT_EQUAL(ctl("--version"), 0);
	CU_ASSERT(said("gpushim-ctl "));
	CU_ASSERT_EQUAL(ctl("apply --help"), 0);
	CU_ASSERT(said("Usage: gpushim-ctl apply FILE"));
	CU_ASSERT_EQUAL(ctl("aply"), 2);
	CU_ASSERT(said("There is no command 'aply'; gpushim-ctl --help lists them.\n"));
	CU_ASSERT_EQUAL(ctl("%s", ""), 2);
	CU_ASSERT_EQUAL(ctl("check"), 2);
	CU_ASSERT_EQUAL(ctl("apply --what"), 2);
	CU_ASSERT_EQUAL(ctl("show a b"), 2);
	CU_ASSERT_EQUAL(ctl("doctor a"), 2);
	CU_ASSERT_EQUAL(ctl("--help >/dev/full"), 1);
	CU_ASSERT_EQUAL(ctl("doctor --skipped >/dev/full"), 1);
}

const struct unit_suite unit_suite = {
	.name = "gpushim-ctl",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(a_file_reaches_programs_by_their_page),
		UNIT_TEST(a_file_that_is_refused_changes_nothing),
		UNIT_TEST(tenants_that_are_there_get_the_template),
		UNIT_TEST(who_does_not_fit_by_the_template_is_closed),
		UNIT_TEST(who_is_not_listed_any_more_is_closed),
		UNIT_TEST(what_gpushim_run_has_started_is_left_alone),
		UNIT_TEST(a_running_program_obeys_a_change_at_once),
		UNIT_TEST(a_change_lasts_until_the_next_apply),
		UNIT_TEST(a_change_may_be_for_one_device),
		UNIT_TEST(a_closed_tenant_is_opened_with_a_quota),
		UNIT_TEST(changes_that_make_no_sense_are_refused),
		UNIT_TEST(a_changed_share_reaches_programs_that_run),
		UNIT_TEST(burst_and_priority_are_kept_until_they_are_set_again),
		UNIT_TEST(what_is_not_enforced_is_counted_all_the_same),
		UNIT_TEST(a_file_says_who_is_not_held_to_its_limits),
		UNIT_TEST(what_is_shown_is_what_the_device_says),
		UNIT_TEST(limits_of_variables_are_shown_as_such),
		UNIT_TEST(nobody_there_is_no_error),
		UNIT_TEST(a_page_that_is_damaged_is_named),
		UNIT_TEST(a_ledger_that_is_none_spoils_no_other),
		UNIT_TEST(a_file_is_checked_against_the_devices_of_the_machine),
		UNIT_TEST(without_nvml_it_says_what_was_not_checked),
		UNIT_TEST(the_doctor_says_to_what_programs_are_held),
		UNIT_TEST(the_doctor_notices_a_variable_that_is_spelt_wrongly),
		UNIT_TEST(the_doctor_takes_a_relative_directory),
		UNIT_TEST(the_doctor_names_what_is_not_hooked),
		UNIT_TEST(wrong_usage_has_a_status_of_its_own),
	},
};
