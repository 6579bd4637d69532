/*
 * test_gate.c - a limit of GPU time is held, whatever is launched and by how many: no more
 * than its share by the device's own count, and no less when there is enough to do.
 */
#include "cunit_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../tools/common/publish.h"
#include "common_gate.h"
#include "common_publish.h"
#include "common_tenant.h"
#include "simgpu.h"

#define LIMIT "GPUSHIM_COMPUTE=20"

TENANT_BODY(loads_without_end)
{
	gate_load();
}

static void held(const char *load, uint64_t launch_ns)
{
	char variable[64];
	pid_t pid;

	snprintf(variable, sizeof(variable), "LOAD=%s", load);
	tenant_dir();
	pid = tenant_start("loads_without_end", LIMIT, variable, NULL);
	CU_ASSERT(gate_was_busy(40 * GATE_MS));
	CU_ASSERT(gate_holds(200, launch_ns, 500));
	CU_ASSERT(GATE_COUNTED(delayed) > 0);
	tenant_discard(pid);
}

/* ---- kinds of launches ---- */

static void short_kernels_get_a_fifth(void)
{
	held("100", 100 * GATE_US);
}

static void launches_with_a_configuration_get_a_fifth(void)
{
	held("ex", 200 * GATE_US);
}

static void graphs_get_a_fifth(void)
{
	held("graph", GATE_MS);
}

/* Of 10^9 bytes a second: the simulated device sets and copies real memory. */
static void slow_bytes(const char *load)
{
	setenv("SIMGPU_DEVICE_GBPS", "1", 1);
	held(load, 2 * GATE_MS);
	unsetenv("SIMGPU_DEVICE_GBPS");
}

static void memsets_get_a_fifth(void)
{
	slow_bytes("memset");
}

static void copies_within_the_device_get_a_fifth(void)
{
	slow_bytes("copy");
}

/* The first few are launched before their length is known, and paid for after. */
static void long_kernels_get_their_share(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("loads_without_end", "GPUSHIM_COMPUTE=60", "LOAD=300000",
			   NULL);
	CU_ASSERT(gate_was_busy(1600 * GATE_MS));
	CU_ASSERT(gate_holds(600, 300 * GATE_MS, 1000));
	tenant_discard(pid);
}

static void eight_threads_share_a_fifth(void)
{
	held("threads", 200 * GATE_US);
}

/* What they take of each other's time is charged as well, so that they may get less. */
static void four_processes_get_no_more_than_a_fifth(void)
{
	pid_t pids[4];

	tenant_dir();
	for (int i = 0; i < 4; i++)
		pids[i] = tenant_start("loads_without_end", LIMIT, "LOAD=200", NULL);
	CU_ASSERT(gate_was_busy(60 * GATE_MS));
	CU_ASSERT(gate_stays_below(200, 200 * GATE_US, 600));
	CU_ASSERT(gate_holds(100, 100 * GATE_MS, 400));
	for (int i = 0; i < 4; i++)
		tenant_discard(pids[i]);
}

/* ---- what is not held ---- */

TENANT_BODY(launches_many)
{
	gate_open();
	tenant_meet();
	for (int i = 0; i < 200; i++)
		check_result(gate_work(2 * GATE_MS, gate.stream), CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	tenant_meet();
}

/* The device had nothing to wait for, once it had begun; all was counted if that is said. */
static void nothing_is_delayed(pid_t pid, bool counted)
{
	struct gate_use use = { 0, 0 };

	if (tenant_met(pid)) {
		tenant_go(pid);
		CU_ASSERT(gate_was_busy(20 * GATE_MS));
		use = gate_watch(200);
		CU_ASSERT(use.busy_ns > use.wall_ns / 10 * 9);
	}
	if (tenant_met(pid)) {
		CU_ASSERT_EQUAL(GATE_COUNTED(delayed), 0);
		CU_ASSERT_EQUAL(GATE_COUNTED(waited_ns), 0);
		if (counted) {
			CU_ASSERT(GATE_COUNTS(launches, 200));
			CU_ASSERT_EQUAL(GATE_COUNTED(launches), 200);
			/* Some are measured later than others. */
			CU_ASSERT(GATE_COUNTS(gpu_ns, 390 * GATE_MS));
			CU_ASSERT(GATE_COUNTED(gpu_ns) < 410 * GATE_MS);
		}
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
}

static bool publish(uint32_t permille, uint32_t flags)
{
	struct gpushim_policy_limits limits = {
		.flags = flags,
		.tenant = "default",
		.source = "a test",
		.others = { .memory_bytes = GPUSHIM_UNLIMITED,
			    .request_permille = permille,
			    .limit_permille = permille },
	};
	struct gsh_reason why;

	if (gsh_publish(tenant_dir(), &limits, &why) == 0)
		return true;
	printf("not published: %s\n", why.text);
	return false;
}

static void an_audit_counts_everything_and_delays_nothing(void)
{
	CU_ASSERT(publish(50, GPUSHIM_POLICY_AUDIT));
	nothing_is_delayed(tenant_start("launches_many", "GPUSHIM_TENANT=default", NULL),
			   true);
}

static void an_audit_by_file_counts_everything_and_delays_nothing(void)
{
	char path[4096], variable[4160];

	snprintf(path, sizeof(path), "%s/limits.json", tenant_dir());
	tenant_write(path, "{ \"version\": 1, \"tenants\": { \"default\": "
			   "{ \"compute\": 5, \"enforce\": false } } }");
	snprintf(variable, sizeof(variable), "GPUSHIM_LIMITS=%s", path);
	nothing_is_delayed(
		tenant_start("launches_many", "GPUSHIM_TENANT=default", variable, NULL),
		true);
}

static void without_a_limit_nothing_is_delayed(void)
{
	tenant_dir();
	nothing_is_delayed(tenant_start("launches_many", "GPUSHIM_MEMORY=1GiB", NULL),
			   true);
}

/* ---- in flight ---- */

/* Operations that a process has submitted and that are not done; the most in some time. */
static uint64_t most_pending(pid_t pid, unsigned looks)
{
	const char *why = "";
	struct simgpu_monitor *monitor = simgpu_open(NULL, 0, &why);
	const struct simgpu_client *client;
	struct simgpu_truth *truth;
	uint64_t most = 0;

	for (unsigned i = 0; monitor && i < looks; i++) {
		truth = simgpu_truth(monitor);
		client = truth ? simgpu_find(truth, pid) : NULL;
		for (uint32_t j = 0; client && j < truth->ncontexts; j++)
			if (truth->contexts[j].client == client->id &&
			    truth->contexts[j].pending > most)
				most = truth->contexts[j].pending;
		simgpu_free(truth);
		usleep(1000);
	}
	simgpu_close(monitor);
	return most;
}

/* Beside a program that nothing holds, so that the device gives less than the limit. */
static void no_more_is_in_flight_than_bridges_the_slices_of_others(void)
{
	pid_t pid, other;
	uint64_t most;

	tenant_dir();
	other = tenant_start("loads_without_end", "LD_PRELOAD", "LOAD=5000", NULL);
	pid = tenant_start("loads_without_end", "GPUSHIM_COMPUTE=95", "LOAD=100", NULL);
	CU_ASSERT(gate_was_busy(400 * GATE_MS));
	most = most_pending(pid, 200);
	/* 16 ms of them, and the events around some; the driver itself would take 1024. */
	CU_ASSERT(most > 0);
	CU_ASSERT(most < 600);
	tenant_discard(pid);
	tenant_discard(other);
}

/* ---- changes ---- */

/* Half a second later the new limit holds. */
static void change_to(uint32_t permille)
{
	struct gate_use use;

	CU_ASSERT(publish(permille, 0));
	use = gate_watch(500);
	CU_ASSERT(use.wall_ns > 0);
	CU_ASSERT(gate_holds(permille, GATE_MS, 400));
}

static void a_changed_limit_holds_within_half_a_second(void)
{
	pid_t pid;

	CU_ASSERT(publish(500, 0));
	pid = tenant_start("loads_without_end", "GPUSHIM_TENANT=default", "LOAD=1000",
			   NULL);
	CU_ASSERT(gate_was_busy(100 * GATE_MS));
	CU_ASSERT(gate_holds(500, GATE_MS, 300));
	change_to(100);
	change_to(800);
	tenant_discard(pid);
}

static void a_page_that_ends_the_audit_is_obeyed(void)
{
	pid_t pid;

	CU_ASSERT(publish(200, GPUSHIM_POLICY_AUDIT));
	pid = tenant_start("loads_without_end", "GPUSHIM_TENANT=default", "LOAD=1000",
			   NULL);
	/* What was used meanwhile is not owed for ever. */
	CU_ASSERT(gate_was_busy(200 * GATE_MS));
	CU_ASSERT(publish(200, 0));
	gate_watch(500);
	CU_ASSERT(gate_stays_below(200, GATE_MS, 400));
	tenant_discard(pid);
}

const struct unit_suite unit_suite = {
	.name = "the gate holds a limit",
	.teardown = tenant_forget,
	.tests = { UNIT_TEST(short_kernels_get_a_fifth),
		   UNIT_TEST(launches_with_a_configuration_get_a_fifth),
		   UNIT_TEST(graphs_get_a_fifth), UNIT_TEST(memsets_get_a_fifth),
		   UNIT_TEST(copies_within_the_device_get_a_fifth),
		   UNIT_TEST(long_kernels_get_their_share),
		   UNIT_TEST(eight_threads_share_a_fifth),
		   UNIT_TEST(four_processes_get_no_more_than_a_fifth),
		   UNIT_TEST(an_audit_counts_everything_and_delays_nothing),
		   UNIT_TEST(an_audit_by_file_counts_everything_and_delays_nothing),
		   UNIT_TEST(without_a_limit_nothing_is_delayed),
		   UNIT_TEST(no_more_is_in_flight_than_bridges_the_slices_of_others),
		   UNIT_TEST(a_changed_limit_holds_within_half_a_second),
		   UNIT_TEST(a_page_that_ends_the_audit_is_obeyed) },
};
