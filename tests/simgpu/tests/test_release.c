/*
 * test_release.c - memory of a process that has gone is free for who asks after that: on a
 * card closing the descriptors is what frees it, so nobody who saw the process end can come
 * too early.
 */
#include "cunit_main.h"

#include <stdlib.h>

#include "common_worker.h"

static struct simgpu_monitor *monitor;

static int open_monitor(void)
{
	monitor = simgpu_open(NULL, 1, NULL);
	return monitor == NULL;
}

static int close_monitor(void)
{
	simgpu_close(monitor);
	return 0;
}

/* More than half of the device: two never fit. */
static size_t most_of_it(void)
{
	size_t free_bytes = 0, total_bytes = 0;

	WORKER_OK(cuMemGetInfo_v2(&free_bytes, &total_bytes));
	return total_bytes / 4 * 3;
}

static void hold(struct worker *self)
{
	CUdeviceptr p;

	worker_context(0);
	worker_pause(self);
	WORKER_OK(cuMemAlloc_v2(&p, most_of_it()));
	worker_pause(self);
}

static void ask_without_end(struct worker *self)
{
	CUdeviceptr p;

	worker_context(0);
	worker_pause(self);
	for (;;) {
		WORKER_OK(cuMemAlloc_v2(&p, 1));
		WORKER_OK(cuMemFree_v2(p));
	}
}

static void memory_of_a_killed_process_is_there_for_who_saw_it_die(void)
{
	enum { ROUNDS = 200, TALKERS = 12 };
	struct worker talkers[TALKERS], holder, next;

	for (int i = 0; i < TALKERS; i++) {
		talkers[i] = worker_start(ask_without_end);
		worker_await(&talkers[i]);
		worker_go(&talkers[i]);
	}
	holder = worker_start(hold);
	worker_await(&holder);
	worker_go(&holder);
	worker_await(&holder);
	for (int i = 0; i < ROUNDS; i++) {
		next = worker_start(hold);
		worker_await(&next);
		worker_kill(&holder);
		worker_go(&next);
		if (!worker_await(&next)) /* it was refused, and has said so */
			break;
		holder = next;
	}
	worker_kill(&holder);
	for (int i = 0; i < TALKERS; i++)
		worker_kill(&talkers[i]);
}

const struct unit_suite unit_suite = {
	.name = "release",
	.init = open_monitor,
	.cleanup = close_monitor,
	.tests = { UNIT_TEST(memory_of_a_killed_process_is_there_for_who_saw_it_die) },
};
