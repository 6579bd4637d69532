/*
 * test_turns.c - a tenant keeps to the turns that an agent hands out, and needs none.
 *
 * The agent is played by the test: it writes turns into the policy page, beats its heart and
 * listens to the bell. What the tenant then does is judged by the device's own books.
 */
#include "cunit_main.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <linux/futex.h>
#include <sys/syscall.h>

#include "../../tools/common/publish.h"
#include "base/atomic.h"
#include "common_gate.h"
#include "common_publish.h"
#include "common_tenant.h"
#include "gpushim/policy.h"
#include "simgpu.h"

/* What may still be launched when a turn ends: drawn credit, and what was in flight. */
#define REST_NS (3 * GATE_MS)

TENANT_BODY(loads_without_end)
{
	gate_load();
}

/* ---- the agent ---- */

static struct {
	struct gpushim_policy_page *page;
	pthread_t heart;
	uint32_t stops; /* atomic */
	uint32_t changes;
	int bell;
} agent;

static void pause_ms(long ms)
{
	const struct timespec time = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&time, NULL);
}

static void *beat(void *argument)
{
	(void)argument;
	while (!gsh_load_acquire(&agent.stops)) {
		gsh_store_release(&agent.page->heartbeat, agent.page->heartbeat + 1);
		pause_ms(100);
	}
	return NULL;
}

static void dies(void)
{
	if (agent.stops)
		return;
	gsh_store_release(&agent.stops, 1);
	pthread_join(agent.heart, NULL);
}

static void device_uuid(uint8_t uuid[16])
{
	struct simgpu_monitor *monitor = simgpu_open(NULL, 1, NULL);
	struct simgpu_truth *truth = monitor ? simgpu_truth(monitor) : NULL;

	CU_ASSERT_PTR_NOT_NULL_FATAL(truth);
	memcpy(uuid, truth->devices[0].uuid, 16);
	simgpu_free(truth);
	simgpu_close(monitor);
}

static void says(enum gpushim_turn_state state, uint32_t window_us)
{
	struct gpushim_policy_turn *turn = &agent.page->turns[0];

	gsh_store_relaxed(&turn->window_us, window_us);
	gsh_store_release(&turn->word, ++agent.changes << 2 | (uint32_t)state);
	syscall(SYS_futex, &turn->word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* Is there before the tenant is, and has said that. */
static void begins(enum gpushim_turn_state state)
{
	char path[512];
	int fd;

	CU_ASSERT_FATAL(tenant_publish(tenant_dir(), "train", UINT64_C(4) << 30));
	snprintf(path, sizeof(path), "%s/policy/train/policy", tenant_dir());
	fd = open(path, O_RDWR | O_CLOEXEC);
	CU_ASSERT_FATAL(fd >= 0);
	agent.page = mmap(NULL, sizeof(*agent.page), PROT_READ | PROT_WRITE, MAP_SHARED,
			  fd, 0);
	close(fd);
	CU_ASSERT_FATAL(agent.page != MAP_FAILED);
	device_uuid(agent.page->turns[0].uuid);
	says(state, 1500);
	agent.stops = 0;
	CU_ASSERT_EQUAL_FATAL(pthread_create(&agent.heart, NULL, beat, NULL), 0);
}

static void ends(pid_t pid)
{
	dies();
	munmap(agent.page, sizeof(*agent.page));
	tenant_discard(pid);
}

/* The bell as an agent opens it; it is there once somebody has rung or made it. */
static bool hears_bell(int timeout_ms)
{
	char path[512], bytes[64];
	struct pollfd poll_bell;
	bool heard = false;

	snprintf(path, sizeof(path), "%s/ledger/train/" GPUSHIM_BELL_NAME, tenant_dir());
	poll_bell.fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	for (int i = 0; poll_bell.fd < 0 && i < timeout_ms / 10; i++) {
		pause_ms(10);
		poll_bell.fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	}
	if (poll_bell.fd < 0)
		return false;
	poll_bell.events = POLLIN;
	heard = poll(&poll_bell, 1, timeout_ms) == 1 &&
		read(poll_bell.fd, bytes, sizeof(bytes)) > 0;
	close(poll_bell.fd);
	return heard;
}

static pid_t a_load(const char *load)
{
	char variable[64];

	snprintf(variable, sizeof(variable), "LOAD=%s", load);
	return tenant_start("loads_without_end", "GPUSHIM_TENANT=train", variable, NULL);
}

static uint64_t used_ns(unsigned milliseconds)
{
	return gate_watch(milliseconds).busy_ns;
}

/* Waits until the device has done nothing for a while; false after 5 s. */
static bool comes_to_rest(void)
{
	for (int i = 0; i < 100; i++)
		if (used_ns(50) == 0)
			return true;
	return false;
}

/* ---- tests ---- */

static void nothing_runs_before_the_first_turn(void)
{
	pid_t pid;

	begins(GPUSHIM_TURN_WAIT);
	pid = a_load("100");
	CU_ASSERT(hears_bell(5000));
	CU_ASSERT(used_ns(300) == 0);
	says(GPUSHIM_TURN_MINE, 1500);
	CU_ASSERT(gate_was_busy(20 * GATE_MS));
	ends(pid);
}

static void a_turn_that_ends_stops_launches(void)
{
	struct simgpu_monitor *monitor;
	pid_t pid;

	begins(GPUSHIM_TURN_MINE);
	pid = a_load("100");
	CU_ASSERT(gate_was_busy(50 * GATE_MS));
	for (int i = 0; i < 5; i++) {
		struct simgpu_truth *before, *after;

		monitor = simgpu_open(NULL, 0, NULL);
		before = simgpu_truth(monitor);
		says(GPUSHIM_TURN_WAIT, 1500);
		CU_ASSERT(comes_to_rest());
		after = simgpu_truth(monitor);
		/* What was launched before is done; nothing else was. */
		CU_ASSERT(after->devices[0].busy_ns - before->devices[0].busy_ns <
			  REST_NS);
		simgpu_free(before);
		simgpu_free(after);
		simgpu_close(monitor);
		says(GPUSHIM_TURN_MINE, 1500);
		CU_ASSERT(gate_was_busy(20 * GATE_MS));
	}
	ends(pid);
}

/* Once all of it is done the agent hears, so that another's turn can begin. */
static void the_bell_says_that_nothing_is_in_flight(void)
{
	pid_t pid;

	begins(GPUSHIM_TURN_MINE);
	pid = a_load("1000");
	CU_ASSERT(gate_was_busy(50 * GATE_MS));
	says(GPUSHIM_TURN_WAIT, 1500);
	CU_ASSERT(hears_bell(2000));
	ends(pid);
}

static void who_has_a_turn_owes_the_bucket_nothing(void)
{
	struct gate_use use;
	pid_t pid;

	begins(GPUSHIM_TURN_MINE);
	pid = tenant_start("loads_without_end", "GPUSHIM_TENANT=train",
			   "GPUSHIM_COMPUTE=10", "LOAD=100", NULL);
	CU_ASSERT(gate_was_busy(50 * GATE_MS));
	use = gate_watch(500);
	CU_ASSERT(use.busy_ns > use.wall_ns / 4);
	/* With nobody else there the limit is held by credit, as without an agent. */
	says(GPUSHIM_TURN_FREE, 0);
	gate_watch(200);
	use = gate_watch(500);
	CU_ASSERT(use.busy_ns < use.wall_ns / 5);
	ends(pid);
}

static void without_its_heart_an_agent_counts_as_dead(void)
{
	pid_t pid;

	begins(GPUSHIM_TURN_WAIT);
	pid = a_load("100");
	CU_ASSERT(hears_bell(5000));
	CU_ASSERT(used_ns(300) == 0);
	dies();
	CU_ASSERT(gate_was_busy(100 * GATE_MS));
	ends(pid);
}

static void a_page_without_turns_changes_nothing(void)
{
	pid_t pid;

	begins(GPUSHIM_TURN_WAIT);
	memset(agent.page->turns[0].uuid, 0, 16);
	pid = a_load("100");
	CU_ASSERT(gate_was_busy(100 * GATE_MS));
	ends(pid);
}

/* A kernel that waits for the launch that is held: the progress rule holds here as well. */
TENANT_BODY(waits_for_its_own_launch)
{
	gate_deadline(10);
	gate_open();
	check_result(gate_spin(0, 1, gate.stream), CUDA_SUCCESS);
	tenant_meet();
	check_result(gate_set(0, 1, gate_new_stream()), CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
}

static void a_running_kernel_that_waits_for_a_launch_gets_it(void)
{
	pid_t pid;

	begins(GPUSHIM_TURN_MINE);
	pid = tenant_start("waits_for_its_own_launch", "GPUSHIM_TENANT=train", NULL);
	CU_ASSERT(tenant_met(pid));
	says(GPUSHIM_TURN_WAIT, 1500);
	tenant_go(pid);
	CU_ASSERT(tenant_ends(pid));
	dies();
	munmap(agent.page, sizeof(*agent.page));
}

static void an_audit_waits_for_no_turn(void)
{
	struct gpushim_policy_limits limits = {
		.source = "a test",
		.tenant = "train",
		.flags = GPUSHIM_POLICY_AUDIT,
		.others = { .memory_bytes = GPUSHIM_UNLIMITED, .limit_permille = 1000 },
	};
	struct gsh_reason why;
	pid_t pid;

	begins(GPUSHIM_TURN_WAIT);
	CU_ASSERT(gsh_publish(tenant_dir(), &limits, &why) == 0);
	pid = a_load("100");
	CU_ASSERT(gate_was_busy(50 * GATE_MS));
	ends(pid);
}

/* What lies where the bell should be is not written to, and holds nobody up. */
static void what_is_no_bell_is_not_rung(void)
{
	char path[512];
	struct stat status;
	pid_t pid;

	begins(GPUSHIM_TURN_WAIT);
	snprintf(path, sizeof(path), "%s/ledger", tenant_dir());
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/ledger/train", tenant_dir());
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/ledger/train/" GPUSHIM_BELL_NAME, tenant_dir());
	tenant_write(path, "text");
	pid = a_load("100");
	CU_ASSERT(used_ns(500) == 0);
	CU_ASSERT(stat(path, &status) == 0 && status.st_size == 4);
	says(GPUSHIM_TURN_MINE, 1500);
	CU_ASSERT(gate_was_busy(20 * GATE_MS));
	ends(pid);
}

const struct unit_suite unit_suite = {
	.name = "turns that an agent hands out",
	.teardown = tenant_forget,
	.tests = { UNIT_TEST(nothing_runs_before_the_first_turn),
		   UNIT_TEST(a_turn_that_ends_stops_launches),
		   UNIT_TEST(the_bell_says_that_nothing_is_in_flight),
		   UNIT_TEST(who_has_a_turn_owes_the_bucket_nothing),
		   UNIT_TEST(without_its_heart_an_agent_counts_as_dead),
		   UNIT_TEST(a_page_without_turns_changes_nothing),
		   UNIT_TEST(a_running_kernel_that_waits_for_a_launch_gets_it),
		   UNIT_TEST(an_audit_waits_for_no_turn),
		   UNIT_TEST(what_is_no_bell_is_not_rung) },
};
