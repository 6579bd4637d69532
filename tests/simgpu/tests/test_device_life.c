/*
 * test_device_life.c - how a device process is found, started and lost, seen by monitors:
 * each test has a state directory of its own.
 */
#include "cunit_main.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common_worker.h"

#define MIB ((uint64_t)1 << 20)

/* A fresh directory below TMPDIR, static. */
static const char *other_state(const char *name)
{
	static char path[4096];
	const char *tmp = getenv("TMPDIR");

	snprintf(path, sizeof(path), "%s/%s-%d", tmp ? tmp : "/tmp", name, (int)getpid());
	return path;
}

static void without_a_device_a_monitor_says_so_or_starts_one(void)
{
	const char *state = other_state("fresh"), *why = NULL;
	struct simgpu_monitor *other = simgpu_open(state, 0, &why);
	unsigned looks = 0;

	CU_ASSERT_PTR_NULL(other);
	CU_ASSERT_EQUAL(errno, ENOENT);
	CU_ASSERT_PTR_NOT_NULL(why);
	if (why)
		CU_ASSERT_PTR_NOT_NULL(strstr(why, state));
	other = simgpu_open(state, 1, &why);
	CU_ASSERT_PTR_NOT_NULL(other);
	simgpu_close(other);
	/* It ends with its last client. */
	do {
		other = simgpu_open(state, 0, &why);
		simgpu_close(other);
	} while (other && look_again(&looks));
	CU_ASSERT_PTR_NULL(other);
}

static void start_and_tell(struct worker *self)
{
	const char *why = "";
	struct simgpu_monitor *own;
	struct simgpu_truth *truth;
	uint64_t started_ns = 0;

	worker_pause(self);
	own = simgpu_open(getenv("TOGETHER"), 1, &why);
	truth = own ? simgpu_truth(own) : NULL;
	if (truth)
		started_ns = truth->started_ns;
	else
		printf("%s\n", why);
	if (write(self->out, &started_ns, sizeof(started_ns)) !=
	    (ssize_t)sizeof(started_ns))
		_exit(3);
	worker_pause(self);
}

static void many_starters_at_once_start_one_device(void)
{
	enum { WORKERS = 8 };
	struct worker workers[WORKERS];
	uint64_t started_ns[WORKERS] = { 0 };

	setenv("TOGETHER", other_state("together"), 1);
	for (int i = 0; i < WORKERS; i++)
		workers[i] = worker_start(start_and_tell);
	for (int i = 0; i < WORKERS; i++)
		worker_await(&workers[i]);
	for (int i = 0; i < WORKERS; i++)
		worker_go(&workers[i]);
	for (int i = 0; i < WORKERS; i++) {
		ssize_t n = read(workers[i].in, &started_ns[i], sizeof(started_ns[i]));

		CU_ASSERT_EQUAL(n, (ssize_t)sizeof(started_ns[i]));
		CU_ASSERT_NOT_EQUAL(started_ns[i], 0);
		CU_ASSERT_EQUAL(started_ns[i], started_ns[0]);
		worker_await(&workers[i]);
	}
	for (int i = 0; i < WORKERS; i++) {
		worker_go(&workers[i]);
		CU_ASSERT_EQUAL(worker_end(&workers[i]), 0);
	}
}

static void a_device_is_found_below_a_path_longer_than_a_socket_address(void)
{
	static const char name[] =
		"a-name-of-a-hundred-and-twenty-characters-is-longer-than-what-"
		"the-address-of-a-socket-can-hold-whatever-directory-it-is-in";
	const char *path = other_state(name);
	struct simgpu_monitor *first, *second;
	const char *why = "";

	first = simgpu_open(path, 1, &why);
	if (!first)
		CU_FAIL(why);
	second = simgpu_open(path, 0, &why);
	CU_ASSERT_PTR_NOT_NULL(second);
	simgpu_close(second);
	simgpu_close(first);
}

static void a_device_that_ends_leaves_its_successor_alone(void)
{
	const char *why = "";
	char state[4096], moved[4200];
	struct simgpu_monitor *first, *second, *third;
	unsigned looks = 0;

	snprintf(state, sizeof(state), "%s", other_state("successor"));
	snprintf(moved, sizeof(moved), "%s-moved", state);
	first = simgpu_open(state, 1, &why);
	CU_ASSERT_PTR_NOT_NULL_FATAL(first);
	/* Somebody tidies up while it runs, and its name goes to another. */
	CU_ASSERT_EQUAL(rename(state, moved), 0);
	second = simgpu_open(state, 1, &why);
	CU_ASSERT_PTR_NOT_NULL(second);
	simgpu_close(first);
	do {
		third = simgpu_open(moved, 0, &why);
		simgpu_close(third);
	} while (third && look_again(&looks));
	CU_ASSERT_PTR_NULL(third);
	third = simgpu_open(state, 0, &why);
	CU_ASSERT_PTR_NOT_NULL(third);
	simgpu_close(third);
	simgpu_close(second);
}

static void a_state_directory_that_is_a_link_is_refused(void)
{
	const char *link = other_state("link"), *why = "";

	CU_ASSERT_EQUAL(symlink("/tmp", link), 0);
	CU_ASSERT_PTR_NULL(simgpu_open(link, 1, &why));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, link));
	unlink(link);
}

static void a_setting_that_is_wrong_is_named_to_who_starts_the_device(void)
{
	const char *why = "";

	setenv("SIMGPU_MEMORY", "plenty", 1);
	CU_ASSERT_PTR_NULL(simgpu_open(other_state("wrong"), 1, &why));
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "SIMGPU_MEMORY=plenty"));
	unsetenv("SIMGPU_MEMORY");
}

static void use_device_one(struct worker *self)
{
	CUdeviceptr ptr;

	setenv("SIMGPU_STATE", getenv("LOSING"), 1);
	worker_context(1);
	WORKER_OK(cuMemAlloc(&ptr, MIB));
	worker_pause(self);
	if (cuMemAlloc(&ptr, MIB) == CUDA_SUCCESS)
		_exit(4);
}

static void use_device_zero(struct worker *self)
{
	CUdeviceptr ptr;

	setenv("SIMGPU_STATE", getenv("LOSING"), 1);
	worker_context(0);
	worker_pause(self);
	WORKER_OK(cuMemAlloc(&ptr, MIB));
}

static void a_lost_device_takes_its_clients_with_it_and_no_others(void)
{
	const char *why = "";
	struct simgpu_monitor *losing;
	struct simgpu_truth *truth;
	struct worker on_one, on_zero;

	setenv("LOSING", other_state("losing"), 1);
	setenv("SIMGPU_DEVICES", "2", 1);
	losing = simgpu_open(getenv("LOSING"), 1, &why);
	unsetenv("SIMGPU_DEVICES");
	if (!losing) {
		CU_FAIL(why);
		return;
	}
	on_one = worker_start(use_device_one);
	on_zero = worker_start(use_device_zero);
	worker_await(&on_one);
	worker_await(&on_zero);
	CU_ASSERT_EQUAL(simgpu_lose_device(losing, 1), 0);
	truth = simgpu_truth(losing);
	CU_ASSERT_PTR_NOT_NULL(truth);
	if (truth) {
		CU_ASSERT_EQUAL(truth->devices[0].lost, 0);
		CU_ASSERT_EQUAL(truth->devices[1].lost, 1);
	}
	simgpu_free(truth);
	worker_go(&on_one);
	worker_go(&on_zero);
	CU_ASSERT_EQUAL(worker_end(&on_one), 0);
	CU_ASSERT_EQUAL(worker_end(&on_zero), 0);
	simgpu_close(losing);
}

const struct unit_suite unit_suite = {
	.name = "life of the device",
	.tests = {
		UNIT_TEST(without_a_device_a_monitor_says_so_or_starts_one),
		UNIT_TEST(many_starters_at_once_start_one_device),
		UNIT_TEST(a_device_is_found_below_a_path_longer_than_a_socket_address),
		UNIT_TEST(a_device_that_ends_leaves_its_successor_alone),
		UNIT_TEST(a_state_directory_that_is_a_link_is_refused),
		UNIT_TEST(a_setting_that_is_wrong_is_named_to_who_starts_the_device),
		UNIT_TEST(a_lost_device_takes_its_clients_with_it_and_no_others),
	},
};
