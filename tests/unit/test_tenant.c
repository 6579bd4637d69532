/*
 * test_tenant.c - which limit a process obeys on a device, by page, limits.json and
 * variables, and what it shows and reserves under it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "common_policy.h"
#include "cunit_main.h"
#include "ledger/tenant.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static const uint8_t gpu_a[16] = { 0xa }, gpu_b[16] = { 0xb };
static char dir[256];
static struct gsh_tenant_config config;
static struct gsh_tenant tenant, sibling;
static struct gsh_reason why;

static void setup(void)
{
	policy_make_dir(dir, sizeof(dir));
	memset(&config, 0, sizeof(config));
	snprintf(config.tenant, sizeof(config.tenant), "train");
	snprintf(config.ledger_path, sizeof(config.ledger_path), "%s/ledger", dir);
	memset(&tenant, 0, sizeof(tenant));
	memset(&sibling, 0, sizeof(sibling));
}

static void close_tenant(struct gsh_tenant *open)
{
	if (open->ledger.header)
		gsh_tenant_close(open);
	memset(open, 0, sizeof(*open));
}

static void teardown(void)
{
	close_tenant(&tenant);
	close_tenant(&sibling);
}

static int open_tenant(void)
{
	int result;

	close_tenant(&tenant);
	why.text[0] = '\0';
	result = gsh_tenant_open(&tenant, &config, &why);
	if (result < 0)
		memset(&tenant, 0, sizeof(tenant));
	return result;
}

static void use_page(uint64_t memory_bytes)
{
	snprintf(config.page_path, sizeof(config.page_path), "%s/policy", dir);
	policy_write_page(config.page_path, "train", memory_bytes);
}

static void change_page(uint64_t memory_bytes)
{
	struct gpushim_policy_limits limits;

	policy_limits(&limits, "train", memory_bytes);
	policy_change(config.page_path, &limits);
}

static void use_variable(struct gsh_variable_limit *variable, uint64_t bytes,
			 uint32_t source)
{
	variable->memory_bytes = bytes;
	variable->source = source;
}

/* Opens the tenant and device a, of total_bytes; its row. */
static int open_device(uint64_t total_bytes)
{
	int row;

	CU_ASSERT_EQUAL_FATAL(open_tenant(), 0);
	row = gsh_tenant_device(&tenant, gpu_a, total_bytes, 0);
	CU_ASSERT_FATAL(row >= 0);
	return row;
}

static struct gpushim_ledger_device *shown(int row)
{
	return &tenant.ledger.header->devices[row];
}

static int reserve(int row, uint64_t bytes)
{
	return gsh_tenant_reserve(&tenant, row, GPUSHIM_KIND_LINEAR, bytes);
}

static void refund(int row, uint64_t bytes)
{
	gsh_tenant_refund(&tenant, row, GPUSHIM_KIND_LINEAR, bytes);
}

/* ---- which limit ---- */

static void without_any_limit_everything_is_granted(void)
{
	int row = open_device(16 * GIB);

	CU_ASSERT_EQUAL(tenant.devices[row].limit_bytes, GPUSHIM_UNLIMITED);
	CU_ASSERT_EQUAL(shown(row)->limit_source, GPUSHIM_SOURCE_NONE);
	CU_ASSERT_EQUAL(reserve(row, 1000 * GIB), 0);
	refund(row, 1000 * GIB);
}

static void the_page_limits_to_the_byte(void)
{
	int row;

	use_page(64 * MIB);
	row = open_device(16 * GIB);
	CU_ASSERT_EQUAL(reserve(row, 64 * MIB + 1), -ENOMEM);
	CU_ASSERT_EQUAL(reserve(row, 64 * MIB), 0);
	CU_ASSERT_EQUAL(reserve(row, 1), -ENOMEM);
	refund(row, 1);
	CU_ASSERT_EQUAL(reserve(row, 1), 0);
	CU_ASSERT_EQUAL(gsh_ledger_used(&tenant.ledger, (uint32_t)row), 64 * MIB);
	CU_ASSERT_EQUAL(shown(row)->limit_bytes, 64 * MIB);
	CU_ASSERT_EQUAL(shown(row)->limit_source, GPUSHIM_SOURCE_PAGE);
	CU_ASSERT_EQUAL(shown(row)->total_bytes, 16 * GIB);
}

static void a_device_has_its_own_row_and_others_share_one_form(void)
{
	struct gpushim_policy_limits limits;
	int a, b;

	use_page(GIB);
	policy_limits(&limits, "train", 3 * GIB);
	limits.device_count = 2;
	limits.devices[0].uuid[0] = 0xc;
	limits.devices[0].memory_bytes = 7 * GIB;
	memcpy(limits.devices[1].uuid, gpu_b, 16);
	limits.devices[1].memory_bytes = 2 * GIB;
	limits.devices[1].request_permille = 200;
	limits.devices[1].limit_permille = 500;
	limits.devices[1].view = GPUSHIM_VIEW_DEVICE;
	policy_change(config.page_path, &limits);
	a = open_device(16 * GIB);
	b = gsh_tenant_device(&tenant, gpu_b, 16 * GIB, 1);
	CU_ASSERT_NOT_EQUAL(a, b);
	CU_ASSERT_EQUAL(tenant.devices[a].limit_bytes, 3 * GIB);
	CU_ASSERT_EQUAL(tenant.devices[b].limit_bytes, 2 * GIB);
	CU_ASSERT_EQUAL(tenant.devices[b].view, GPUSHIM_VIEW_DEVICE);
	CU_ASSERT_EQUAL(shown(b)->request_permille, 200);
	CU_ASSERT_EQUAL(shown(b)->limit_permille, 500);
	CU_ASSERT_EQUAL(shown(a)->limit_permille, 1000);
	CU_ASSERT_EQUAL(gsh_tenant_device(&tenant, gpu_b, 16 * GIB, 1), b);
	/* A quota each. */
	CU_ASSERT_EQUAL(reserve(a, 3 * GIB), 0);
	CU_ASSERT_EQUAL(reserve(b, 2 * GIB), 0);
	CU_ASSERT_EQUAL(reserve(b, 1), -ENOMEM);
}

static uint64_t limit_of_share(uint32_t ppm, uint64_t bytes, uint64_t total_bytes)
{
	struct gpushim_policy_limits limits;
	uint8_t uuid[16] = { 0 };
	int row;

	memcpy(uuid, &total_bytes, sizeof(total_bytes));
	uuid[15] = 1;
	policy_limits(&limits, "train", bytes);
	limits.others.memory_ppm = ppm;
	policy_change(config.page_path, &limits);
	row = gsh_tenant_device(&tenant, uuid, total_bytes, UINT32_MAX);
	/* A row that is there already follows with the next use. */
	if (row >= 0)
		gsh_tenant_context_bytes(&tenant, row);
	return row < 0 ? 0 : tenant.devices[row].limit_bytes;
}

/* The rows of devices are the tenant's to scribble on; limits are not. */
static void a_scribbled_ledger_gives_no_device_the_limit_of_another(void)
{
	struct gpushim_policy_limits limits;
	uint64_t claim_of_b;
	int a, b;

	use_page(64 * MIB);
	policy_limits(&limits, "train", 64 * MIB);
	limits.device_count = 1;
	memcpy(limits.devices[0].uuid, gpu_a, 16);
	limits.devices[0].memory_bytes = 8 * GIB;
	limits.devices[0].limit_permille = 1000;
	policy_change(config.page_path, &limits);
	CU_ASSERT_EQUAL_FATAL(open_tenant(), 0);
	b = gsh_tenant_device(&tenant, gpu_b, 16 * GIB, 1);
	CU_ASSERT_FATAL(b >= 0);
	claim_of_b = shown(b)->claim;
	memset(shown(b), 0, sizeof(*shown(b)));

	CU_ASSERT_EQUAL_FATAL(open_tenant(), 0);
	a = gsh_tenant_device(&tenant, gpu_a, 16 * GIB, 0);
	CU_ASSERT_FATAL(a >= 0);
	shown(a)->claim = claim_of_b;
	CU_ASSERT_EQUAL(gsh_tenant_device(&tenant, gpu_b, 16 * GIB, 1), -EPROTO);
	CU_ASSERT_EQUAL(gsh_tenant_device(&tenant, gpu_a, 16 * GIB, 0), a);
	CU_ASSERT_EQUAL(tenant.devices[a].limit_bytes, 8 * GIB);
}

static void a_share_is_exact_and_the_smaller_of_share_and_bytes_holds(void)
{
	use_page(GIB);
	CU_ASSERT_EQUAL_FATAL(open_tenant(), 0);
	CU_ASSERT_EQUAL(limit_of_share(250000, GPUSHIM_UNLIMITED, 80 * GIB), 20 * GIB);
	CU_ASSERT_EQUAL(limit_of_share(500000, 8 * GIB, 80 * GIB), 8 * GIB);
	CU_ASSERT_EQUAL(limit_of_share(50000, 8 * GIB, 80 * GIB), 4 * GIB);
	CU_ASSERT_EQUAL(limit_of_share(333333, GPUSHIM_UNLIMITED, 80 * GIB + 3),
			UINT64_C(28633086674));
	CU_ASSERT_EQUAL(limit_of_share(1, GPUSHIM_UNLIMITED, 80 * GIB), 85899);
	CU_ASSERT_EQUAL(limit_of_share(1000000, GPUSHIM_UNLIMITED, UINT64_MAX - 1),
			UINT64_MAX - 1);
	CU_ASSERT_EQUAL(limit_of_share(999999, GPUSHIM_UNLIMITED, UINT64_MAX - 1),
			UINT64_C(18446725626965477904));
	CU_ASSERT_EQUAL(limit_of_share(UINT32_MAX, GPUSHIM_UNLIMITED, GIB), GIB);
}

static void a_share_of_a_device_agrees_with_128_bits(void)
{
	__extension__ typedef unsigned __int128 wide;
	uint64_t random = 88172645463325252u;
	unsigned wrong = 0;

	use_page(GIB);
	for (int i = 0; i < 200; i++) {
		uint64_t total;
		uint32_t ppm;
		int row;

		random ^= random << 13, random ^= random >> 7, random ^= random << 17;
		total = random >> (random % 40);
		ppm = (uint32_t)(random % 1000000) + 1;
		config.all.memory_bytes = GPUSHIM_UNLIMITED;
		config.all.memory_ppm = ppm;
		config.all.source = GPUSHIM_SOURCE_VARIABLE;
		config.page_path[0] = '\0';
		unlink(config.ledger_path);
		row = open_device(total);
		wrong += tenant.devices[row].limit_bytes !=
			 (uint64_t)((wide)total * ppm / 1000000);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void limits_json_limits_where_there_is_no_page(void)
{
	int row;

	config.has_limits = true;
	policy_limits(&config.limits, "train", 2 * GIB);
	row = open_device(16 * GIB);
	CU_ASSERT_EQUAL(tenant.devices[row].limit_bytes, 2 * GIB);
	CU_ASSERT_EQUAL(shown(row)->limit_source, GPUSHIM_SOURCE_FILE);
	CU_ASSERT_EQUAL(reserve(row, 2 * GIB + 1), -ENOMEM);
}

/* ---- variables ---- */

static void a_variable_alone_limits(void)
{
	int row;

	use_variable(&config.all, 3 * GIB, GPUSHIM_SOURCE_NVIDIA);
	row = open_device(16 * GIB);
	CU_ASSERT_EQUAL(tenant.devices[row].limit_bytes, 3 * GIB);
	CU_ASSERT_EQUAL(tenant.devices[row].source, GPUSHIM_SOURCE_NVIDIA);
	CU_ASSERT_EQUAL(shown(row)->limit_source, GPUSHIM_SOURCE_NVIDIA);
	CU_ASSERT_EQUAL(tenant.ledger.own->ignored_variables, 0);
}

static void a_variable_lowers_the_limit_of_the_page(void)
{
	int row;

	use_page(8 * GIB);
	use_variable(&config.all, 3 * GIB, GPUSHIM_SOURCE_VARIABLE);
	row = open_device(16 * GIB);
	CU_ASSERT_EQUAL(shown(row)->limit_bytes, 3 * GIB);
	CU_ASSERT_EQUAL(shown(row)->limit_source, GPUSHIM_SOURCE_VARIABLE);
	CU_ASSERT_EQUAL(reserve(row, 3 * GIB + 1), -ENOMEM);
	CU_ASSERT_EQUAL(tenant.ledger.own->ignored_variables, 0);
}

static void a_variable_never_raises_the_limit_and_is_counted_once(void)
{
	int row;

	use_page(2 * GIB);
	use_variable(&config.all, 3 * GIB, GPUSHIM_SOURCE_VARIABLE);
	config.ignored_variables = 4;
	row = open_device(16 * GIB);
	gsh_tenant_device(&tenant, gpu_b, 16 * GIB, 1);
	CU_ASSERT_EQUAL(shown(row)->limit_bytes, 2 * GIB);
	CU_ASSERT_EQUAL(shown(row)->limit_source, GPUSHIM_SOURCE_PAGE);
	CU_ASSERT_EQUAL(tenant.ledger.own->ignored_variables, 5);
	change_page(GIB);
	CU_ASSERT_EQUAL(reserve(row, GIB + 1), -ENOMEM);
	CU_ASSERT_EQUAL(tenant.ledger.own->ignored_variables, 5);
	/* When the page allows more, the variable is what holds. */
	change_page(8 * GIB);
	CU_ASSERT_EQUAL(reserve(row, 3 * GIB + 1), -ENOMEM);
	CU_ASSERT_EQUAL(shown(row)->limit_source, GPUSHIM_SOURCE_VARIABLE);
}

static void of_two_variables_the_smaller_holds(void)
{
	int a, b;

	use_variable(&config.all, 3 * GIB, GPUSHIM_SOURCE_VARIABLE);
	use_variable(&config.by_index[0], 2 * GIB, GPUSHIM_SOURCE_HAMI);
	use_variable(&config.by_index[1], 5 * GIB, GPUSHIM_SOURCE_HAMI);
	a = open_device(16 * GIB);
	b = gsh_tenant_device(&tenant, gpu_b, 16 * GIB, 1);
	CU_ASSERT_EQUAL(tenant.devices[a].limit_bytes, 2 * GIB);
	CU_ASSERT_EQUAL(tenant.devices[a].source, GPUSHIM_SOURCE_HAMI);
	CU_ASSERT_EQUAL(tenant.devices[b].limit_bytes, 3 * GIB);
	CU_ASSERT_EQUAL(tenant.devices[b].source, GPUSHIM_SOURCE_VARIABLE);
}

static void a_variable_of_a_device_holds_once_its_index_is_known(void)
{
	int row;

	use_variable(&config.by_index[2], 2 * GIB, GPUSHIM_SOURCE_HAMI);
	CU_ASSERT_EQUAL_FATAL(open_tenant(), 0);
	row = gsh_tenant_device(&tenant, gpu_a, 16 * GIB, UINT32_MAX);
	CU_ASSERT_EQUAL(tenant.devices[row].limit_bytes, GPUSHIM_UNLIMITED);
	CU_ASSERT_EQUAL(gsh_tenant_device(&tenant, gpu_a, 16 * GIB, 2), row);
	CU_ASSERT_EQUAL(tenant.devices[row].limit_bytes, 2 * GIB);
	CU_ASSERT_EQUAL(gsh_tenant_device(&tenant, gpu_a, 16 * GIB, UINT32_MAX), row);
	CU_ASSERT_EQUAL(tenant.devices[row].limit_bytes, 2 * GIB);
	CU_ASSERT_EQUAL(gsh_tenant_device(&tenant, gpu_b, 16 * GIB, 1000), row + 1);
}

static void the_dearer_figure_for_a_context_holds(void)
{
	struct gpushim_policy_limits limits;
	int row;

	use_page(GIB);
	config.context_bytes = 300 * MIB;
	row = open_device(16 * GIB);
	CU_ASSERT_EQUAL(gsh_tenant_context_bytes(&tenant, row), 300 * MIB);
	policy_limits(&limits, "train", GIB);
	limits.others.context_bytes = 500 * MIB;
	policy_change(config.page_path, &limits);
	CU_ASSERT_EQUAL(gsh_tenant_context_bytes(&tenant, row), 500 * MIB);
	limits.others.context_bytes = 1;
	policy_change(config.page_path, &limits);
	CU_ASSERT_EQUAL(gsh_tenant_context_bytes(&tenant, row), 300 * MIB);
}

/* ---- changes ---- */

static void a_changed_page_is_obeyed_at_the_next_reservation(void)
{
	int row;

	use_page(4 * GIB);
	row = open_device(16 * GIB);
	CU_ASSERT_EQUAL(reserve(row, 3 * GIB), 0);
	/* Lowered below use: nothing is taken away, nothing is given. */
	change_page(2 * GIB);
	CU_ASSERT_EQUAL(reserve(row, 1), -ENOMEM);
	CU_ASSERT_EQUAL(gsh_ledger_used(&tenant.ledger, (uint32_t)row), 3 * GIB);
	CU_ASSERT_EQUAL(shown(row)->limit_bytes, 2 * GIB);
	refund(row, GIB);
	CU_ASSERT_EQUAL(reserve(row, 1), -ENOMEM);
	refund(row, 1);
	CU_ASSERT_EQUAL(reserve(row, 1), 0);
	change_page(5 * GIB);
	CU_ASSERT_EQUAL(reserve(row, 3 * GIB), 0);
	CU_ASSERT_EQUAL(reserve(row, 1), -ENOMEM);
	CU_ASSERT_EQUAL(tenant.ledger.own->policy_changes, 2);
	CU_ASSERT_EQUAL(tenant.ledger.own->policy_errors, 0);
}

static void a_broken_change_leaves_the_limit_as_it_was(void)
{
	uint64_t generation = 2;
	int row;

	use_page(GIB);
	row = open_device(16 * GIB);
	policy_overwrite(config.page_path, &generation, sizeof(generation), 16);
	CU_ASSERT_EQUAL(reserve(row, GIB), 0);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(reserve(row, 1), -ENOMEM);
	CU_ASSERT_EQUAL(tenant.ledger.own->policy_errors, 1);
	generation = 6;
	policy_overwrite(config.page_path, &generation, sizeof(generation), 16);
	CU_ASSERT_EQUAL(reserve(row, 1), -ENOMEM);
	CU_ASSERT_EQUAL(tenant.ledger.own->policy_errors, 2);
	change_page(2 * GIB);
	CU_ASSERT_EQUAL(reserve(row, GIB), 0);
	CU_ASSERT_EQUAL(tenant.ledger.own->policy_errors, 2);
}

static void publish_closed(const char *reason)
{
	struct gpushim_policy_limits limits;

	policy_limits(&limits, "train", 4 * GIB);
	limits.flags = GPUSHIM_POLICY_CLOSED;
	snprintf(limits.reason, sizeof(limits.reason), "%s", reason);
	policy_change(config.page_path, &limits);
}

static void a_closed_tenant_is_refused_with_the_reason(void)
{
	use_page(GIB);
	publish_closed("it does not fit on the device");
	CU_ASSERT_EQUAL(open_tenant(), -EPERM);
	CU_ASSERT(policy_says(why.text, "train is closed: it does not fit"));
	CU_ASSERT_EQUAL(access(config.ledger_path, F_OK), -1);
	publish_closed("");
	CU_ASSERT_EQUAL(open_tenant(), -EPERM);
	CU_ASSERT(policy_says(why.text, "no reason"));
}

static void a_running_tenant_can_be_closed_and_opened_again(void)
{
	struct gsh_tenant_view view;
	int row;

	use_page(4 * GIB);
	row = open_device(16 * GIB);
	CU_ASSERT_EQUAL(reserve(row, GIB), 0);
	publish_closed("maintenance");
	CU_ASSERT_EQUAL(reserve(row, 1), -EPERM);
	gsh_tenant_view(&tenant, row, 8 * GIB, 16 * GIB, &view);
	CU_ASSERT_EQUAL(view.free_bytes, 0);
	CU_ASSERT_EQUAL(view.used_bytes, GIB);
	refund(row, GIB / 2);
	CU_ASSERT_EQUAL(gsh_ledger_used(&tenant.ledger, (uint32_t)row), GIB / 2);
	change_page(4 * GIB);
	CU_ASSERT_EQUAL(reserve(row, GIB), 0);
}

/* ---- measurements ---- */

static void measure(uint64_t overhead_bytes, uint64_t beat)
{
	struct gpushim_policy_measured row = { .overhead_bytes = overhead_bytes,
					       .count = beat };

	memcpy(row.uuid, gpu_a, sizeof(row.uuid));
	policy_overwrite(config.page_path, &row, sizeof(row), 128);
	policy_overwrite(config.page_path, &beat, sizeof(beat), 64);
}

static void what_was_measured_beyond_the_ledger_counts(void)
{
	struct gsh_tenant_view view;
	int row;

	use_page(GIB);
	row = open_device(16 * GIB);
	CU_ASSERT_EQUAL(reserve(row, 600 * MIB), 0);
	measure(300 * MIB, 1);
	gsh_tenant_view(&tenant, row, 8 * GIB, 16 * GIB, &view);
	CU_ASSERT_EQUAL(view.used_bytes, 900 * MIB);
	CU_ASSERT_EQUAL(view.free_bytes, 124 * MIB);
	CU_ASSERT_EQUAL(reserve(row, 124 * MIB + 1), -ENOMEM);
	CU_ASSERT_EQUAL(reserve(row, 124 * MIB), 0);
	CU_ASSERT_EQUAL(shown(row)->overhead_bytes, 300 * MIB);
	/* More than the quota: nothing is free, and nothing wraps. */
	measure(2 * GIB, 2);
	gsh_tenant_view(&tenant, row, 8 * GIB, 16 * GIB, &view);
	CU_ASSERT_EQUAL(view.free_bytes, 0);
	CU_ASSERT_EQUAL(reserve(row, 1), -ENOMEM);
	measure(UINT64_MAX, 3);
	gsh_tenant_view(&tenant, row, 8 * GIB, 16 * GIB, &view);
	CU_ASSERT_EQUAL(view.free_bytes, 0);
	CU_ASSERT_EQUAL(view.used_bytes, UINT64_MAX);
	measure(0, 4);
	CU_ASSERT_EQUAL(reserve(row, 300 * MIB), 0);
}

/* ---- GPU time ---- */

#define MS UINT64_C(1000000)

static struct gsh_tenant_time time_of(int row)
{
	struct gsh_tenant_time now;

	memset(&now, 0xff, sizeof(now));
	gsh_tenant_time(&tenant, row, &now);
	return now;
}

static void change_share(uint32_t request_permille, uint32_t limit_permille,
			 uint32_t burst_ms, uint32_t flags)
{
	struct gpushim_policy_limits limits;

	policy_limits(&limits, "train", GIB);
	limits.flags = flags;
	limits.others.request_permille = request_permille;
	limits.others.limit_permille = limit_permille;
	limits.others.burst_ms = burst_ms;
	policy_change(config.page_path, &limits);
}

static void without_a_share_nothing_is_capped(void)
{
	int row = open_device(16 * GIB);
	struct gsh_tenant_time now = time_of(row);

	CU_ASSERT_EQUAL(now.terms.rate_permille, 1000);
	CU_ASSERT_EQUAL(now.terms.burst_ns, 20 * MS);
	CU_ASSERT_FALSE(now.capped);
	CU_ASSERT_TRUE(now.enforced);
	CU_ASSERT_FALSE(now.closed);
	CU_ASSERT_EQUAL(tenant.devices[row].priority, GPUSHIM_PRIORITY_NORMAL);
	CU_ASSERT_EQUAL(shown(row)->request_permille, 0);
	CU_ASSERT_EQUAL(shown(row)->limit_permille, 1000);
}

static void a_changed_share_is_obeyed_at_the_next_look(void)
{
	struct gsh_tenant_time now;
	int row;

	use_page(GIB);
	row = open_device(16 * GIB);
	change_share(200, 300, 0, 0);
	now = time_of(row);
	CU_ASSERT_EQUAL(now.terms.rate_permille, 300);
	CU_ASSERT_EQUAL(now.terms.burst_ns, 20 * MS);
	CU_ASSERT_TRUE(now.capped);
	CU_ASSERT_TRUE(now.enforced);
	CU_ASSERT_EQUAL(tenant.devices[row].request_permille, 200);
	CU_ASSERT_EQUAL(shown(row)->request_permille, 200);
	CU_ASSERT_EQUAL(shown(row)->limit_permille, 300);
	change_share(0, 999, 1000, 0);
	now = time_of(row);
	CU_ASSERT_EQUAL(now.terms.rate_permille, 999);
	CU_ASSERT_EQUAL(now.terms.burst_ns, 1000 * MS);
	CU_ASSERT_TRUE(now.capped);
	change_share(0, 1000, 1, 0);
	now = time_of(row);
	CU_ASSERT_EQUAL(now.terms.burst_ns, MS);
	CU_ASSERT_FALSE(now.capped);
	CU_ASSERT_EQUAL(shown(row)->limit_permille, 1000);
	publish_closed("maintenance");
	CU_ASSERT_TRUE(time_of(row).closed);
	change_share(100, 100, 0, 0);
	CU_ASSERT_FALSE(time_of(row).closed);
	CU_ASSERT_EQUAL(time_of(row).terms.rate_permille, 100);
}

static void a_broken_change_leaves_the_share_as_it_was(void)
{
	uint64_t generation = 9;
	int row;

	use_page(GIB);
	change_share(100, 300, 5, 0);
	row = open_device(16 * GIB);
	policy_overwrite(config.page_path, &generation, sizeof(generation), 16);
	CU_ASSERT_EQUAL(time_of(row).terms.rate_permille, 300);
	CU_ASSERT_EQUAL(time_of(row).terms.burst_ns, 5 * MS);
	CU_ASSERT_EQUAL(tenant.ledger.own->policy_errors, 1);
}

/* Its own writer refuses such figures; another might not. */
static void impossible_shares_give_the_least_that_they_could_mean(void)
{
	struct gpushim_policy_limits limits;
	int row;

	use_page(GIB);
	change_share(0, 0, 0, 0);
	row = open_device(16 * GIB);
	CU_ASSERT_EQUAL(time_of(row).terms.rate_permille, 1);
	CU_ASSERT_TRUE(time_of(row).capped);
	CU_ASSERT_EQUAL(shown(row)->limit_permille, 1);
	change_share(900, 300, UINT32_MAX, 0);
	CU_ASSERT_EQUAL(time_of(row).terms.burst_ns, 1000 * MS);
	CU_ASSERT_EQUAL(tenant.devices[row].request_permille, 300);
	change_share(UINT32_MAX, UINT32_MAX, 0, 0);
	CU_ASSERT_EQUAL(time_of(row).terms.rate_permille, 1000);
	CU_ASSERT_FALSE(time_of(row).capped);
	CU_ASSERT_EQUAL(tenant.devices[row].request_permille, 1000);
	policy_limits(&limits, "train", GIB);
	limits.others.priority = 77;
	policy_change(config.page_path, &limits);
	time_of(row);
	CU_ASSERT_EQUAL(tenant.devices[row].priority, GPUSHIM_PRIORITY_BATCH);
}

static void a_device_has_a_share_of_its_own(void)
{
	struct gpushim_policy_limits limits;
	int a, b;

	use_page(GIB);
	policy_limits(&limits, "train", GIB);
	limits.others.limit_permille = 500;
	limits.device_count = 1;
	memcpy(limits.devices[0].uuid, gpu_b, 16);
	limits.devices[0].limit_permille = 200;
	limits.devices[0].burst_ms = 3;
	policy_change(config.page_path, &limits);
	config.share_by_index[0] = (struct gsh_variable_share){
		.limit_permille = 100, .source = GPUSHIM_SOURCE_HAMI
	};
	a = open_device(16 * GIB);
	b = gsh_tenant_device(&tenant, gpu_b, 16 * GIB, 1);
	CU_ASSERT_EQUAL(time_of(a).terms.rate_permille, 100);
	CU_ASSERT_EQUAL(time_of(a).terms.burst_ns, 20 * MS);
	CU_ASSERT_EQUAL(time_of(b).terms.rate_permille, 200);
	CU_ASSERT_EQUAL(time_of(b).terms.burst_ns, 3 * MS);
}

static void a_variable_above_the_share_of_the_page_is_counted_once(void)
{
	int row;

	use_page(GIB);
	change_share(300, 300, 0, 0);
	config.all_share = (struct gsh_variable_share){
		.request_permille = 400,
		.limit_permille = 500,
		.source = GPUSHIM_SOURCE_VARIABLE
	};
	config.all.memory_bytes = 2 * GIB;
	config.all.source = GPUSHIM_SOURCE_VARIABLE;
	config.priority = GPUSHIM_PRIORITY_LATENCY + 1;
	row = open_device(16 * GIB);
	gsh_tenant_device(&tenant, gpu_b, 16 * GIB, 1);
	CU_ASSERT_EQUAL(time_of(row).terms.rate_permille, 300);
	/* Memory, time and priority. */
	CU_ASSERT_EQUAL(tenant.ledger.own->ignored_variables, 3);
	change_share(100, 100, 0, 0);
	CU_ASSERT_EQUAL(time_of(row).terms.rate_permille, 100);
	CU_ASSERT_EQUAL(tenant.ledger.own->ignored_variables, 3);
	/* When the page allows more, the variable is what holds. */
	change_share(600, 1000, 0, 0);
	CU_ASSERT_EQUAL(time_of(row).terms.rate_permille, 500);
	CU_ASSERT_EQUAL(shown(row)->request_permille, 400);
	CU_ASSERT_EQUAL(tenant.ledger.own->ignored_variables, 3);
}

/* ---- audit ---- */

static void under_audit_nothing_is_refused_and_all_is_counted(void)
{
	struct gsh_tenant_view view;
	int row;

	use_page(GIB);
	change_share(300, 300, 0, GPUSHIM_POLICY_AUDIT);
	row = open_device(16 * GIB);
	CU_ASSERT_FALSE(time_of(row).enforced);
	CU_ASSERT_TRUE(time_of(row).capped);
	CU_ASSERT_EQUAL(reserve(row, GIB), 0);
	CU_ASSERT_EQUAL(tenant.ledger.own->denials, 0);
	CU_ASSERT_EQUAL(reserve(row, GIB + 1), 0);
	CU_ASSERT_EQUAL(tenant.ledger.own->denials, 1);
	CU_ASSERT_EQUAL(tenant.ledger.own->denied_bytes, GIB + 1);
	CU_ASSERT_EQUAL(gsh_ledger_used(&tenant.ledger, (uint32_t)row), 2 * GIB + 1);
	CU_ASSERT_EQUAL(shown(row)->limit_bytes, GIB);
	CU_ASSERT_EQUAL(shown(row)->peak_bytes, 2 * GIB + 1);
	gsh_tenant_view(&tenant, row, 13 * GIB, 16 * GIB, &view);
	CU_ASSERT_EQUAL(view.total_bytes, 16 * GIB);
	CU_ASSERT_EQUAL(view.free_bytes, 13 * GIB);
	CU_ASSERT_EQUAL(view.used_bytes, 2 * GIB + 1);
	CU_ASSERT_EQUAL(view.limit_bytes, GPUSHIM_UNLIMITED);
	/* Enforced again it is over its quota, as after any lowered limit. */
	change_share(300, 300, 0, 0);
	CU_ASSERT_EQUAL(reserve(row, 1), -ENOMEM);
	CU_ASSERT_EQUAL(tenant.ledger.own->denials, 1);
	CU_ASSERT_TRUE(time_of(row).enforced);
	refund(row, GIB + 1);
	CU_ASSERT_EQUAL(gsh_ledger_used(&tenant.ledger, (uint32_t)row), GIB);
	gsh_tenant_view(&tenant, row, 13 * GIB, 16 * GIB, &view);
	CU_ASSERT_EQUAL(view.total_bytes, GIB);
}

static void under_audit_the_account_stays_whole_whatever_is_asked_for(void)
{
	int row;

	use_page(GIB);
	change_share(0, 1000, 0, GPUSHIM_POLICY_AUDIT);
	row = open_device(16 * GIB);
	CU_ASSERT_EQUAL(reserve(row, 2 * GIB), 0);
	CU_ASSERT_EQUAL(reserve(row, UINT64_MAX), -ENOMEM);
	CU_ASSERT_EQUAL(reserve(row, UINT64_MAX - GIB), -ENOMEM);
	CU_ASSERT_EQUAL(gsh_ledger_used(&tenant.ledger, (uint32_t)row), 2 * GIB);
	/* Who asked counts those, as without audit. */
	CU_ASSERT_EQUAL(tenant.ledger.own->denials, 1);
}

static void a_closed_tenant_is_closed_under_audit_too(void)
{
	int row;

	use_page(GIB);
	row = open_device(16 * GIB);
	change_share(0, 1000, 0, GPUSHIM_POLICY_AUDIT | GPUSHIM_POLICY_CLOSED);
	CU_ASSERT_EQUAL(reserve(row, 1), -EPERM);
	CU_ASSERT_TRUE(time_of(row).closed);
	CU_ASSERT_EQUAL(open_tenant(), -EPERM);
}

static void limits_json_can_be_audited_too(void)
{
	int row;

	config.has_limits = true;
	policy_limits(&config.limits, "train", GIB);
	config.limits.flags = GPUSHIM_POLICY_AUDIT;
	config.limits.others.limit_permille = 10;
	row = open_device(16 * GIB);
	CU_ASSERT_EQUAL(reserve(row, 2 * GIB), 0);
	CU_ASSERT_EQUAL(tenant.ledger.own->denials, 1);
	CU_ASSERT_FALSE(time_of(row).enforced);
	CU_ASSERT_EQUAL(time_of(row).terms.rate_permille, 10);
}

/* ---- what is shown ---- */

static void the_quota_is_shown_as_the_devices_memory(void)
{
	struct gsh_tenant_view view;
	int row;

	use_page(4 * GIB);
	row = open_device(16 * GIB);
	CU_ASSERT_EQUAL(reserve(row, GIB), 0);
	gsh_tenant_view(&tenant, row, 10 * GIB, 16 * GIB, &view);
	CU_ASSERT_EQUAL(view.total_bytes, 4 * GIB);
	CU_ASSERT_EQUAL(view.free_bytes, 3 * GIB);
	CU_ASSERT_EQUAL(view.used_bytes, GIB);
	CU_ASSERT_EQUAL(view.limit_bytes, 4 * GIB);
	/* Bounded by what the device really has. */
	gsh_tenant_view(&tenant, row, GIB / 2, 16 * GIB, &view);
	CU_ASSERT_EQUAL(view.free_bytes, GIB / 2);
	change_page(20 * GIB);
	gsh_tenant_view(&tenant, row, 10 * GIB, 16 * GIB, &view);
	CU_ASSERT_EQUAL(view.total_bytes, 16 * GIB);
	CU_ASSERT_EQUAL(view.free_bytes, 10 * GIB);
	/* Below what is in use. */
	change_page(GIB / 2);
	gsh_tenant_view(&tenant, row, 10 * GIB, 16 * GIB, &view);
	CU_ASSERT_EQUAL(view.total_bytes, GIB / 2);
	CU_ASSERT_EQUAL(view.free_bytes, 0);
}

static void the_view_of_the_device_keeps_its_total(void)
{
	struct gpushim_policy_limits limits;
	struct gsh_tenant_view view;
	int row;

	use_page(GIB);
	policy_limits(&limits, "train", 4 * GIB);
	limits.others.view = GPUSHIM_VIEW_DEVICE;
	policy_change(config.page_path, &limits);
	row = open_device(16 * GIB);
	gsh_tenant_view(&tenant, row, 10 * GIB, 16 * GIB, &view);
	CU_ASSERT_EQUAL(view.total_bytes, 16 * GIB);
	CU_ASSERT_EQUAL(view.free_bytes, 4 * GIB);
}

static void without_a_limit_the_driver_is_believed(void)
{
	struct gsh_tenant_view view;
	int row = open_device(16 * GIB);

	gsh_tenant_view(&tenant, row, 10 * GIB, 16 * GIB, &view);
	CU_ASSERT_EQUAL(view.total_bytes, 16 * GIB);
	CU_ASSERT_EQUAL(view.free_bytes, 10 * GIB);
	CU_ASSERT_EQUAL(view.limit_bytes, GPUSHIM_UNLIMITED);
}

static void processes_of_a_tenant_share_its_quota(void)
{
	int row, other;

	use_page(GIB);
	row = open_device(16 * GIB);
	CU_ASSERT_EQUAL_FATAL(gsh_tenant_open(&sibling, &config, &why), 0);
	other = gsh_tenant_device(&sibling, gpu_a, 16 * GIB, 0);
	CU_ASSERT_EQUAL(other, row);
	CU_ASSERT_EQUAL(reserve(row, 700 * MIB), 0);
	CU_ASSERT_EQUAL(
		gsh_tenant_reserve(&sibling, other, GPUSHIM_KIND_VMM, 324 * MIB + 1),
		-ENOMEM);
	CU_ASSERT_EQUAL(gsh_tenant_reserve(&sibling, other, GPUSHIM_KIND_VMM, 324 * MIB),
			0);
	CU_ASSERT_EQUAL(reserve(row, 1), -ENOMEM);
	gsh_tenant_denied(&tenant, 1);
	CU_ASSERT_EQUAL(tenant.ledger.own->denials, 1);
	CU_ASSERT_EQUAL(sibling.ledger.own->denials, 0);
}

/* ---- opening ---- */

static void the_page_names_the_tenant(void)
{
	use_page(GIB);
	snprintf(config.tenant, sizeof(config.tenant), "somebody-else");
	CU_ASSERT_EQUAL_FATAL(open_tenant(), 0);
	CU_ASSERT_STRING_EQUAL(tenant.config.tenant, "train");
	CU_ASSERT_STRING_EQUAL(tenant.ledger.header->tenant, "train");
}

static void *publish_later(void *data)
{
	const char *beside = data;

	/* So that it is usually waited for; what is asserted holds either way. */
	gsh_clock_sleep_ns(UINT64_C(30000000));
	policy_write_page(beside, "train", GIB);
	CU_ASSERT_EQUAL(rename(beside, config.page_path), 0);
	return NULL;
}

static void a_promised_page_is_waited_for(void)
{
	char beside[300];
	pthread_t publisher;

	snprintf(config.page_path, sizeof(config.page_path), "%s/policy", dir);
	snprintf(beside, sizeof(beside), "%s/new", dir);
	config.wait_ms = unit_patience_ms(10000);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&publisher, NULL, publish_later, beside), 0);
	CU_ASSERT_EQUAL(open_tenant(), 0);
	pthread_join(publisher, NULL);
}

static void a_promised_page_that_does_not_come_is_an_error(void)
{
	uint64_t began_ns = gsh_clock_now_ns(), took_ns;

	snprintf(config.page_path, sizeof(config.page_path), "%s/policy", dir);
	config.wait_ms = 50;
	CU_ASSERT_EQUAL(open_tenant(), -ENOENT);
	took_ns = gsh_clock_now_ns() - began_ns;
	CU_ASSERT(took_ns >= UINT64_C(50000000));
	CU_ASSERT(took_ns < unit_patience_ms(5000) * UINT64_C(1000000));
	CU_ASSERT(policy_says(why.text, "no policy came within 50 ms"));
	CU_ASSERT(policy_says(why.text, config.page_path));
	config.wait_ms = 0;
	CU_ASSERT_EQUAL(open_tenant(), -ENOENT);
}

static void a_wrong_page_is_refused_at_once(void)
{
	uint32_t version = 9;

	use_page(GIB);
	policy_overwrite(config.page_path, &version, sizeof(version), 8);
	config.wait_ms = 3600 * 1000;
	CU_ASSERT_EQUAL(open_tenant(), -EPROTONOSUPPORT);
	policy_write(config.page_path, "half", 4);
	CU_ASSERT_EQUAL(open_tenant(), -EPROTO);
	CU_ASSERT(policy_says(why.text, config.page_path));
}

static void a_ledger_that_cannot_be_had_is_refused_with_its_name(void)
{
	use_page(GIB);
	policy_write(config.ledger_path, "not a ledger", 12);
	CU_ASSERT(open_tenant() < 0);
	CU_ASSERT(policy_says(why.text, config.ledger_path));
}

static void more_devices_than_rows_are_refused(void)
{
	uint8_t uuid[16] = { 0 };

	CU_ASSERT_EQUAL_FATAL(open_tenant(), 0);
	for (uint8_t i = 0; i < GPUSHIM_DEVICES_MAX; i++) {
		uuid[0] = (uint8_t)(i + 1);
		CU_ASSERT(gsh_tenant_device(&tenant, uuid, GIB, i) >= 0);
	}
	uuid[0] = 99;
	CU_ASSERT_EQUAL(gsh_tenant_device(&tenant, uuid, GIB, 16), -ENOSPC);
}

const struct unit_suite unit_suite = {
	.name = "tenant",
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(without_any_limit_everything_is_granted),
		UNIT_TEST(the_page_limits_to_the_byte),
		UNIT_TEST(a_device_has_its_own_row_and_others_share_one_form),
		UNIT_TEST(a_scribbled_ledger_gives_no_device_the_limit_of_another),
		UNIT_TEST(a_share_is_exact_and_the_smaller_of_share_and_bytes_holds),
		UNIT_TEST(a_share_of_a_device_agrees_with_128_bits),
		UNIT_TEST(limits_json_limits_where_there_is_no_page),
		UNIT_TEST(a_variable_alone_limits),
		UNIT_TEST(a_variable_lowers_the_limit_of_the_page),
		UNIT_TEST(a_variable_never_raises_the_limit_and_is_counted_once),
		UNIT_TEST(of_two_variables_the_smaller_holds),
		UNIT_TEST(a_variable_of_a_device_holds_once_its_index_is_known),
		UNIT_TEST(the_dearer_figure_for_a_context_holds),
		UNIT_TEST(a_changed_page_is_obeyed_at_the_next_reservation),
		UNIT_TEST(a_broken_change_leaves_the_limit_as_it_was),
		UNIT_TEST(a_closed_tenant_is_refused_with_the_reason),
		UNIT_TEST(a_running_tenant_can_be_closed_and_opened_again),
		UNIT_TEST(what_was_measured_beyond_the_ledger_counts),
		UNIT_TEST(without_a_share_nothing_is_capped),
		UNIT_TEST(a_changed_share_is_obeyed_at_the_next_look),
		UNIT_TEST(a_broken_change_leaves_the_share_as_it_was),
		UNIT_TEST(impossible_shares_give_the_least_that_they_could_mean),
		UNIT_TEST(a_device_has_a_share_of_its_own),
		UNIT_TEST(a_variable_above_the_share_of_the_page_is_counted_once),
		UNIT_TEST(under_audit_nothing_is_refused_and_all_is_counted),
		UNIT_TEST(under_audit_the_account_stays_whole_whatever_is_asked_for),
		UNIT_TEST(a_closed_tenant_is_closed_under_audit_too),
		UNIT_TEST(limits_json_can_be_audited_too),
		UNIT_TEST(the_quota_is_shown_as_the_devices_memory),
		UNIT_TEST(the_view_of_the_device_keeps_its_total),
		UNIT_TEST(without_a_limit_the_driver_is_believed),
		UNIT_TEST(processes_of_a_tenant_share_its_quota),
		UNIT_TEST(the_page_names_the_tenant),
		UNIT_TEST(a_promised_page_is_waited_for),
		UNIT_TEST(a_promised_page_that_does_not_come_is_an_error),
		UNIT_TEST(a_wrong_page_is_refused_at_once),
		UNIT_TEST(a_ledger_that_cannot_be_had_is_refused_with_its_name),
		UNIT_TEST(more_devices_than_rows_are_refused),
	},
};
