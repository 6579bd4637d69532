/*
 * test_show_time.c - what gpushim-ctl show says of GPU time: of ledgers made by hand, where it
 * is known what is right, and of a program that launches kernels.
 */
#include "cunit_main.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "../../examples/kernels.h"
#include "../../tools/common/publish.h"
#include "common_publish.h"
#include "common_tenant.h"
#include "forged_ledger.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)

/* ---- running the tool ---- */

static char output[1 << 18];

/* gpushim-ctl show with these words; its exit status, and what it said in `output`. */
static int show(const char *words)
{
	char command[4096];
	const char *build = getenv("BUILD");
	size_t bytes;
	FILE *pipe;
	int status;

	snprintf(command, sizeof(command),
		 "GPUSHIM_DIR=%s %s/bin/gpushim-ctl show %s 2>&1", tenant_dir(),
		 build ? build : "build", words);
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

/*
 * The words, single-spaced, of the last line that begins with these (the tables are memory
 * first, then time); "" if none does. "DELAYED" and so on are found by their order.
 */
static const char *line_of(const char *begin)
{
	static char words[512];
	const char *line = NULL;
	size_t length = 0;

	for (const char *at = output; (at = strstr(at, begin)); at++)
		if (at == output || at[-1] == '\n')
			line = at;
	for (; line && *line && *line != '\n' && length < sizeof(words) - 1; line++)
		if (*line != ' ' || (length > 0 && words[length - 1] != ' '))
			words[length++] = *line;
	words[length] = '\0';
	return words;
}

/* Whether that line says these words; * stands for any one. */
static bool row_is(const char *begin, const char *wanted)
{
	const char *got = line_of(begin), *g = got, *w = wanted;

	while (*w && *g && (*w == *g || *w == '*')) {
		if (*w == '*')
			g += strcspn(g, " ");
		else
			g++;
		w++;
	}
	if (*w == '\0' && *g == '\0' && *got)
		return true;
	printf("wanted  %s\ngot     %s\nin\n%s\n", wanted, got, output);
	return false;
}

/* The value at a path of keys and indices; NULL: not there. */
static const cJSON *at(const cJSON *item, ...) __attribute__((sentinel));

static const cJSON *at(const cJSON *item, ...)
{
	const char *key;
	va_list keys;

	va_start(keys, item);
	while (item && (key = va_arg(keys, const char *)))
		item = cJSON_IsArray(item)
			       ? cJSON_GetArrayItem(item, (int)strtol(key, NULL, 10))
			       : cJSON_GetObjectItemCaseSensitive(item, key);
	va_end(keys);
	return item;
}

static double number(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsNumber(item) ? item->valuedouble : -1;
}

static bool is_null(const cJSON *object, const char *name)
{
	return cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(object, name));
}

/* ---- ledgers by hand ---- */

static struct forged_ledger forged = { -1 };

static void forget(void)
{
	forged_close(&forged);
	tenant_forget();
}

/* A tenant with a device and a process, of which nothing is known yet. */
static void forge(const char *tenant, uint64_t request_permille, uint64_t limit_permille)
{
	const struct gpushim_ledger_device device = {
		.state = GPUSHIM_DEVICE_READY,
		.uuid = { 0xa1, 0xb2, 0xc3, 0xd4 },
		.limit_bytes = GPUSHIM_UNLIMITED,
		.request_permille = request_permille,
		.limit_permille = limit_permille,
	};
	const struct gpushim_ledger_slot slot = { .state = GPUSHIM_SLOT_LIVE,
						  .pid = 4711,
						  .command = "python3" };
	char path[512];

	snprintf(path, sizeof(path), "%s/ledger", tenant_dir());
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/ledger/%s", tenant_dir(), tenant);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/ledger/%s/ledger", tenant_dir(), tenant);
	forged_make(&forged, path, tenant);
	forged_slots_used(&forged, 1);
	forged_slot(&forged, 0, &slot);
	forged_lock(&forged, 0, 1);
	forged_device(&forged, 0, &device);
}

static bool publish_share(const char *tenant, uint32_t request_permille,
			  uint32_t limit_permille)
{
	struct gpushim_policy_limits limits = {
		.source = "a test",
		.others = { .memory_bytes = GPUSHIM_UNLIMITED,
			    .request_permille = request_permille,
			    .limit_permille = limit_permille },
	};
	struct gsh_reason why;

	snprintf(limits.tenant, sizeof(limits.tenant), "%s", tenant);
	return gsh_publish(tenant_dir(), &limits, &why) == 0;
}

/* As if the device had been used for the last 12 s, up to now. */
static void forge_bucket(struct gpushim_ledger_bucket *bucket, uint64_t used_permille)
{
	uint64_t now_ns = forged_now_ns();

	if (used_permille > 0)
		forged_looks(bucket, now_ns, 12, used_permille);
	forged_bucket(&forged, 0, bucket);
}

static const struct gpushim_ledger_bucket in_debt = {
	.limit_permille = 300,
	.burst_ns = 20 * MS,
	.enforced = 1,
	.level = (uint64_t)(-400 * SECOND),
};

static const struct gpushim_ledger_use busy = {
	.gpu_ns = 1234 * MS,
	.waited_ns = 5 * SECOND,
	.launches = 2000,
	.delayed = 500,
	.released = 2,
	.learned = 1500,
	.variable = 300,
	.unknown = 200,
	.samples = 31,
	.lost_samples = 1,
	.in_flight_ns = 77,
	.completions = 30,
	.overlap_permille = 900,
	.inflation_permille = 1500,
};

/* ---- the table ---- */

static void the_table_shows_target_share_and_debt(void)
{
	struct gpushim_ledger_bucket bucket = in_debt;

	forge("train", 300, 300);
	bucket.refilled_ns = forged_now_ns();
	forge_bucket(&bucket, 300);
	forged_use(&forged, 0, 0, &busy);
	CU_ASSERT_EQUAL(show(""), 0);
	CU_ASSERT(row_is("TIME OF",
			 "TIME OF DEVICES TARGET 1 S 10 S CREDIT GPU TIME WAITING "
			 "DELAYED RELEASED"));
	CU_ASSERT(row_is("train GPU-a1b2c3d4 ",
			 "train GPU-a1b2c3d4 30% * * -39* s 3.60 s no 25.0% 2"));
	CU_ASSERT_PTR_NULL(strstr(line_of("train GPU-a1b2c3d4 "), " - "));
	CU_ASSERT(row_is("  4711 python3", "4711 python3 1.23 s no 25.0% 2"));
}

static void what_is_not_known_is_a_dash_and_never_0(void)
{
	const struct gpushim_ledger_use unmeasured = { .launches = 3 };

	forge("train", 0, 1000);
	forged_use(&forged, 0, 0, &unmeasured);
	CU_ASSERT_EQUAL(show(""), 0);
	CU_ASSERT(row_is("train GPU-a1b2c3d4 ",
			 "train GPU-a1b2c3d4 0-100% - - - - no 0.0% 0"));
	CU_ASSERT(row_is("  4711 python3", "4711 python3 - no 0.0% 0"));
	/* What nobody launched was not delayed, and that is no share of anything. */
	forge("train", 0, 1000);
	forge_bucket(&(struct gpushim_ledger_bucket){ .repairs = 0 }, 0);
	CU_ASSERT_EQUAL(show(""), 0);
	CU_ASSERT(row_is("train GPU-a1b2c3d4 ",
			 "train GPU-a1b2c3d4 0-100% - - - - no - 0"));
}

static void who_waits_at_the_gate_is_shown_with_how_long(void)
{
	struct gpushim_ledger_use use = busy;

	forge("train", 200, 500);
	use.waiting_since_ns = forged_now_ns() - (uint64_t)(1500 * SECOND);
	forged_use(&forged, 0, 0, &use);
	CU_ASSERT_EQUAL(show(""), 0);
	CU_ASSERT(row_is("train GPU-a1b2c3d4 ",
			 "train GPU-a1b2c3d4 20-50% - - - - 150* s 25.0% 2"));
	CU_ASSERT(row_is("  4711 python3", "4711 python3 1.23 s 150* s 25.0% 2"));
	use.waiting_since_ns = UINT64_MAX;
	forged_use(&forged, 0, 0, &use);
	CU_ASSERT_EQUAL(show(""), 0);
	CU_ASSERT(row_is("  4711 python3", "4711 python3 1.23 s yes 25.0% 2"));
}

static void a_lower_target_is_shown_at_once_and_an_audit_as_such(void)
{
	const struct gpushim_ledger_bucket audit = { .limit_permille = 300 };

	forge("train", 300, 800);
	forged_bucket(&forged, 0, &audit);
	CU_ASSERT(publish_share("train", 100, 500));
	CU_ASSERT_EQUAL(show(""), 0);
	CU_ASSERT(row_is("train GPU-a1b2c3d4 ",
			 "train GPU-a1b2c3d4 (audit) 10-50% - - - - no - 0"));
	/* More than somebody's variables let him have. */
	CU_ASSERT(publish_share("train", 900, 1000));
	CU_ASSERT_EQUAL(show(""), 0);
	CU_ASSERT(row_is("train GPU-a1b2c3d4 ",
			 "train GPU-a1b2c3d4 (audit) 30-80% - - - - no - 0"));
	/* When he has gone nobody has variables. */
	forged_close(&forged);
	CU_ASSERT_EQUAL(show(""), 0);
	CU_ASSERT(row_is("train GPU-a1b2c3d4 ",
			 "train GPU-a1b2c3d4 (audit) 90-100% - - - - no - 0"));
	/* Who has not come yet. */
	CU_ASSERT(publish_share("infer", 125, 125));
	CU_ASSERT_EQUAL(show(""), 0);
	CU_ASSERT(row_is("infer ", "infer 12.5% - - - - - - -"));
}

static void devices_that_begin_alike_are_told_apart(void)
{
	const struct gpushim_ledger_device other = {
		.state = GPUSHIM_DEVICE_READY,
		.uuid = { 0xa1, 0xb2, 0xc3, 0xd4, 0, 0x10 },
		.limit_permille = 1000,
	};

	forge("train", 300, 300);
	forged_device(&forged, 5, &other);
	CU_ASSERT_EQUAL(show(""), 0);
	CU_ASSERT(row_is("train GPU-a1b2c3d4-000 ",
			 "train GPU-a1b2c3d4-000 30% - - - - no - 0"));
	CU_ASSERT(row_is("train GPU-a1b2c3d4-001 ",
			 "train GPU-a1b2c3d4-001 0-100% - - - - no - 0"));
}

static void the_table_of_time_fits_into_100_columns(void)
{
	const struct gpushim_ledger_slot slot = { .state = GPUSHIM_SLOT_LIVE,
						  .pid = 4194304,
						  .command = "a-long-command" };
	struct gpushim_ledger_bucket bucket = in_debt;
	struct gpushim_ledger_use use = busy;
	size_t widest = 0;
	char *table;

	forge("inference", 125, 1000);
	forged_slot(&forged, 0, &slot);
	bucket.refilled_ns = forged_now_ns();
	forge_bucket(&bucket, 1000);
	use.gpu_ns = (uint64_t)(UINT32_MAX * SECOND);
	use.released = 10000000;
	use.waiting_since_ns = forged_now_ns() - (uint64_t)(3599 * SECOND);
	forged_use(&forged, 0, 0, &use);
	CU_ASSERT_EQUAL(show(""), 0);
	table = strstr(output, "TIME OF DEVICES");
	CU_ASSERT_PTR_NOT_NULL_FATAL(table);
	for (char *line = strtok(table, "\n"); line; line = strtok(NULL, "\n"))
		widest = strlen(line) > widest ? strlen(line) : widest;
	CU_ASSERT(widest > 80);
	CU_ASSERT(widest <= 100);
}

static void what_was_put_right_in_a_ledger_is_reported(void)
{
	const struct gpushim_ledger_bucket bucket = { .repairs = 3 };

	forge("train", 300, 300);
	CU_ASSERT_EQUAL(show(""), 0);
	CU_ASSERT_PTR_NULL(strstr(output, "impossible"));
	forged_bucket(&forged, 0, &bucket);
	CU_ASSERT_EQUAL(show(""), 0);
	CU_ASSERT(said("train: the account of its time on GPU-a1b2c3d4-0000-0000-0000-"
		       "000000000000 was impossible, and was put right (3 times)"));
}

/* ---- JSON ---- */

static void json_has_every_figure_with_its_unit(void)
{
	struct gpushim_ledger_bucket bucket = in_debt;
	const cJSON *tenant, *time, *sum;
	cJSON *root;

	forge("train", 300, 300);
	bucket.refilled_ns = forged_now_ns();
	bucket.repairs = 4;
	forge_bucket(&bucket, 300);
	forged_use(&forged, 0, 0, &busy);
	CU_ASSERT_EQUAL(show("--json train"), 0);
	root = cJSON_Parse(output);
	CU_ASSERT_PTR_NOT_NULL_FATAL(root);
	tenant = at(root, "tenants", "0", NULL);
	time = at(tenant, "devices", "0", "time", NULL);
	CU_ASSERT(cJSON_IsTrue(cJSON_GetObjectItem(time, "enforced")));
	CU_ASSERT_EQUAL(number(time, "rate_permille"), 300);
	CU_ASSERT_EQUAL(number(time, "burst_ns"), 20.0 * MS);
	CU_ASSERT(number(time, "level_ns") >= -400.0 * SECOND);
	CU_ASSERT(number(time, "level_ns") < -300.0 * SECOND);
	CU_ASSERT_EQUAL(number(time, "used_ns"), 3600.0 * MS);
	CU_ASSERT(number(time, "share_1s_ppm") > 0);
	CU_ASSERT(number(time, "share_1s_ppm") <= 303000);
	CU_ASSERT(number(time, "share_10s_ppm") > 0);
	CU_ASSERT(number(time, "share_10s_ppm") <= 303000);
	CU_ASSERT_EQUAL(number(time, "repairs"), 4);
	time = at(tenant, "processes", "0", "usage", "0", "time", NULL);
	CU_ASSERT_EQUAL(number(time, "gpu_ns"), 1234.0 * MS);
	CU_ASSERT_EQUAL(number(time, "waited_ns"), 5.0 * SECOND);
	CU_ASSERT_EQUAL(number(time, "launches"), 2000);
	CU_ASSERT_EQUAL(number(time, "delayed"), 500);
	CU_ASSERT_EQUAL(number(time, "released"), 2);
	CU_ASSERT_EQUAL(number(time, "learned"), 1500);
	CU_ASSERT_EQUAL(number(time, "variable"), 300);
	CU_ASSERT_EQUAL(number(time, "unknown"), 200);
	CU_ASSERT_EQUAL(number(time, "samples"), 31);
	CU_ASSERT_EQUAL(number(time, "lost_samples"), 1);
	CU_ASSERT_EQUAL(number(time, "in_flight_ns"), 77);
	CU_ASSERT_EQUAL(number(time, "completions"), 30);
	CU_ASSERT_EQUAL(number(time, "waiting"), 0);
	CU_ASSERT_EQUAL(number(time, "waiting_ns"), 0);
	CU_ASSERT_EQUAL(number(time, "overlap_permille"), 900);
	CU_ASSERT_EQUAL(number(time, "inflation_permille"), 1500);
	sum = at(tenant, "devices", "0", "time", "processes", NULL);
	CU_ASSERT_EQUAL(number(sum, "launches"), 2000);
	CU_ASSERT_EQUAL(number(at(tenant, "time", NULL), "gpu_ns"), 1234.0 * MS);
	CU_ASSERT_PTR_NULL(at(tenant, "costs", NULL));
	cJSON_Delete(root);
}

static void json_says_null_where_nothing_is_known(void)
{
	const struct gpushim_ledger_use unmeasured = { .launches = 3,
						       .waiting_since_ns = UINT64_MAX };
	const cJSON *time;
	cJSON *root;

	forge("train", 0, 1000);
	forged_use(&forged, 0, 0, &unmeasured);
	CU_ASSERT_EQUAL(show("--json train"), 0);
	root = cJSON_Parse(output);
	CU_ASSERT_PTR_NOT_NULL_FATAL(root);
	time = at(root, "tenants", "0", "devices", "0", "time", NULL);
	CU_ASSERT(is_null(time, "enforced"));
	CU_ASSERT(is_null(time, "rate_permille"));
	CU_ASSERT(is_null(time, "burst_ns"));
	CU_ASSERT(is_null(time, "level_ns"));
	CU_ASSERT(is_null(time, "used_ns"));
	CU_ASSERT(is_null(time, "share_1s_ppm"));
	CU_ASSERT(is_null(time, "share_10s_ppm"));
	time = at(root, "tenants", "0", "processes", "0", "usage", "0", "time", NULL);
	CU_ASSERT_EQUAL(number(time, "launches"), 3);
	CU_ASSERT_EQUAL(number(time, "waiting"), 1);
	CU_ASSERT(is_null(time, "gpu_ns"));
	CU_ASSERT(is_null(time, "waiting_ns"));
	CU_ASSERT(is_null(time, "overlap_permille"));
	CU_ASSERT(is_null(time, "inflation_permille"));
	cJSON_Delete(root);
}

/* ---- costs ---- */

static void forge_costs(void)
{
	struct gpushim_ledger_cost cost = {
		.key = 1,
		.name = "saxpy",
		.grid = { 1024, 1, 1 },
		.block = { 256, 1, 1 },
		.shared_bytes = 48 << 10,
		.cost_class = GPUSHIM_COST_LEARNED,
		.cost_ns = 20100,
		.low_ns = 19000,
		.median_ns = 20500,
		.high_ns = 123456,
		.launches = 1000,
		.samples = 30,
		.gpu_ns = 20100000,
	};
	const struct gpushim_ledger_cost graph = { .key = 3,
						   .kind = GPUSHIM_LAUNCH_GRAPH,
						   .cost_class = GPUSHIM_COST_VARIABLE,
						   .cost_ns = 5 * MS,
						   .low_ns = 1,
						   .median_ns = 5 * MS,
						   .high_ns = 9 * MS,
						   .launches = 10,
						   .samples = 10,
						   .gpu_ns = 50 * MS };

	forged_cost(&forged, 7, &cost);
	cost = (struct gpushim_ledger_cost){
		.key = 2, .grid = { 8, 16, 2 }, .block = { 32, 8, 1 }, .launches = 1
	};
	forged_cost(&forged, 0, &cost);
	forged_cost(&forged, 9, &graph);
}

static void costs_are_shown_the_dearest_first(void)
{
	const char *dear, *cheap, *unknown;

	forge("train", 300, 300);
	CU_ASSERT_EQUAL(show("--costs train"), 0);
	CU_ASSERT(said("train: nothing is known of what its launches cost.\n"));
	forge_costs();
	CU_ASSERT_EQUAL(show("--costs train"), 0);
	CU_ASSERT(row_is("GPU TIME", "GPU TIME LAUNCHES CLASS COST LOW MEDIAN HIGH GRID "
				     "BLOCK SHARED KERNEL"));
	dear = strstr(output, "50.0 ms");
	cheap = strstr(output, "20.1 ms");
	unknown = strstr(output, " unknown ");
	CU_ASSERT_FATAL(dear && cheap && unknown);
	CU_ASSERT(dear < cheap);
	CU_ASSERT(cheap < unknown);
	CU_ASSERT(row_is(" 50.0 ms", "50.0 ms 10 variable 5.00 ms 1 ns 5.00 ms 9.00 ms "
				     "- - - (graph)"));
	CU_ASSERT(row_is(" 20.1 ms", "20.1 ms 1000 learned 20.1 us 19.0 us 20.5 us "
				     "123 us 1024 256 48 KiB saxpy"));
	CU_ASSERT(row_is("    0 ns", "0 ns 1 unknown - - - - 8x16x2 32x8 0 B -"));
}

static void json_has_the_costs_when_asked_for(void)
{
	const cJSON *costs;
	cJSON *root;

	forge("train", 300, 300);
	forge_costs();
	CU_ASSERT_EQUAL(show("--json --costs train"), 0);
	root = cJSON_Parse(output);
	CU_ASSERT_PTR_NOT_NULL_FATAL(root);
	costs = at(root, "tenants", "0", "costs", NULL);
	CU_ASSERT_EQUAL(cJSON_GetArraySize(costs), 3);
	CU_ASSERT_EQUAL(number(at(costs, "0", NULL), "gpu_ns"), 50.0 * MS);
	CU_ASSERT_EQUAL(number(at(costs, "1", NULL), "cost_ns"), 20100);
	CU_ASSERT_EQUAL(number(at(costs, "1", NULL), "shared_bytes"), 48 << 10);
	CU_ASSERT_EQUAL(number(at(costs, "1", "grid", NULL), "x"), -1);
	CU_ASSERT_EQUAL(at(costs, "1", "grid", "0", NULL)->valuedouble, 1024);
	CU_ASSERT_STRING_EQUAL(at(costs, "1", "name", NULL)->valuestring, "saxpy");
	CU_ASSERT_STRING_EQUAL(at(costs, "1", "class", NULL)->valuestring, "learned");
	CU_ASSERT_STRING_EQUAL(at(costs, "0", "kind", NULL)->valuestring, "graph");
	CU_ASSERT(is_null(at(costs, "2", NULL), "cost_ns"));
	CU_ASSERT(is_null(at(costs, "2", NULL), "age_ns"));
	cJSON_Delete(root);
}

/* ---- what lies ---- */

static void a_ledger_that_lies_is_shown_without_harm(void)
{
	static unsigned char junk[FORGED_LEDGER_BYTES - 135168];
	cJSON *root;

	forge("train", UINT64_MAX, UINT64_MAX);
	memset(junk, 0xff, sizeof(junk));
	forged_write(&forged, junk, sizeof(junk), 135168);
	CU_ASSERT_EQUAL(show(""), 0);
	CU_ASSERT(row_is(
		"train GPU-a1b2c3d4 ",
		"train GPU-a1b2c3d4 100% - - * * * yes 100% 18446744073709551615"));
	for (const char *c = output; *c; c++)
		if ((*c < ' ' && *c != '\n') || *c > '~') {
			CU_FAIL("something is not printable");
			break;
		}
	CU_ASSERT_EQUAL(show("--costs"), 0);
	CU_ASSERT(said("?\?\?\?"));
	CU_ASSERT_EQUAL(show("--json --costs"), 0);
	root = cJSON_Parse(output);
	CU_ASSERT_PTR_NOT_NULL(root);
	cJSON_Delete(root);
}

/* ---- a program ---- */

TENANT_BODY(launches_ten_kernels)
{
	unsigned long long ns = 1000000;
	void *arguments[] = { &ns };
	CUmodule module;
	CUfunction spin;

	tenant_context();
	check_result(cuModuleLoadData(&module, ex_kernels_ptx), CUDA_SUCCESS);
	check_result(cuModuleGetFunction(&spin, module, "gpushim_spin_ns"), CUDA_SUCCESS);
	for (int i = 0; i < 10; i++)
		check_result(
			cuLaunchKernel(spin, 1, 1, 1, 1, 1, 1, 0, NULL, arguments, NULL),
			CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	tenant_meet();
}

static void launches_of_a_program_are_counted(void)
{
	const cJSON *time;
	pid_t running;
	cJSON *root;

	CU_ASSERT(tenant_publish(tenant_dir(), "t", GPUSHIM_UNLIMITED));
	running = tenant_start("launches_ten_kernels", "GPUSHIM_TENANT=t", NULL);
	CU_ASSERT_FATAL(tenant_met(running));
	CU_ASSERT_EQUAL(show("--json t"), 0);
	root = cJSON_Parse(output);
	CU_ASSERT_PTR_NOT_NULL_FATAL(root);
	time = at(root, "tenants", "0", "processes", "0", "usage", "0", "time", NULL);
	CU_ASSERT(number(time, "launches") > 0);
	cJSON_Delete(root);
	tenant_go(running);
	CU_ASSERT(tenant_ends(running));
}

const struct unit_suite unit_suite = {
	.name = "gpushim-ctl show: GPU time",
	.teardown = forget,
	.tests = {
		UNIT_TEST(the_table_shows_target_share_and_debt),
		UNIT_TEST(what_is_not_known_is_a_dash_and_never_0),
		UNIT_TEST(who_waits_at_the_gate_is_shown_with_how_long),
		UNIT_TEST(a_lower_target_is_shown_at_once_and_an_audit_as_such),
		UNIT_TEST(devices_that_begin_alike_are_told_apart),
		UNIT_TEST(the_table_of_time_fits_into_100_columns),
		UNIT_TEST(what_was_put_right_in_a_ledger_is_reported),
		UNIT_TEST(json_has_every_figure_with_its_unit),
		UNIT_TEST(json_says_null_where_nothing_is_known),
		UNIT_TEST(costs_are_shown_the_dearest_first),
		UNIT_TEST(json_has_the_costs_when_asked_for),
		UNIT_TEST(a_ledger_that_lies_is_shown_without_harm),
		UNIT_TEST(launches_of_a_program_are_counted),
	},
};
