/*
 * test_gate_life.c - processes, contexts, streams, events and code that come and go while
 * launches are held or in flight: nothing crashes or hangs, what is in flight is all that is
 * lost, and the limit is held afterwards as before.
 *
 * A body does its worst for a while, meets the test, and then loads the device for ever.
 */
#include "cunit_main.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../examples/kernels.h"
#include "common_gate.h"
#include "common_publish.h"
#include "common_tenant.h"

#define LIMIT "GPUSHIM_COMPUTE=20"

/* A load of 500 us kernels goes on after the meeting, measured and held. */
static void holds_from_here(pid_t pid)
{
	uint64_t samples;

	if (!tenant_met(pid)) {
		CU_ASSERT(tenant_ends(pid));
		CU_FAIL("the body ended");
		return;
	}
	samples = GATE_COUNTED(samples);
	tenant_go(pid);
	CU_ASSERT(GATE_COUNTS(samples, samples + 20));
	CU_ASSERT(gate_holds(200, GATE_MS, 400));
	tenant_discard(pid);
}

static void survives(const char *body)
{
	tenant_dir();
	holds_from_here(tenant_start(body, LIMIT, "LOAD=500", NULL));
}

static void launch_some(CUstream stream)
{
	for (int i = 0; i < 8; i++)
		check_result(gate_work(100 * GATE_US, stream), CUDA_SUCCESS);
}

static void go_on(void)
{
	alarm(0);
	tenant_meet();
	gate_load();
}

/* ---- contexts ---- */

TENANT_BODY(resets_its_context)
{
	gate_deadline(20);
	tenant_context();
	for (int i = 0; i < 20; i++) {
		gate_load_code();
		launch_some(gate.stream);
		check_result(cuDevicePrimaryCtxReset(0), CUDA_SUCCESS);
		check_result(cuDevicePrimaryCtxRetain(&gate.context, 0), CUDA_SUCCESS);
		check_result(cuCtxSetCurrent(gate.context), CUDA_SUCCESS);
	}
	gate_load_code();
	go_on();
}

static void a_primary_context_is_reset_with_work_in_flight(void)
{
	survives("resets_its_context");
}

TENANT_BODY(destroys_contexts)
{
	CUcontext context;

	gate_deadline(20);
	check_result(cuInit(0), CUDA_SUCCESS);
	for (int i = 0; i < 20; i++) {
		check_result(cuCtxCreate(&context, NULL, 0, 0), CUDA_SUCCESS);
		gate_load_code();
		launch_some(gate.stream);
		check_result(cuCtxDestroy(context), CUDA_SUCCESS);
	}
	gate_open();
	go_on();
}

static void contexts_are_destroyed_with_work_in_flight(void)
{
	survives("destroys_contexts");
}

/* The driver takes its time before it refuses so many threads in a block, and the context
 * has gone meanwhile. */
static void *launches_slowly(void *argument)
{
	if (cuCtxSetCurrent(gate.context) == CUDA_SUCCESS)
		check(cuLaunchCooperativeKernel(gate.work, 132, 1, 1, 4096, 1, 1, 0,
						argument, NULL) != CUDA_SUCCESS);
	return NULL;
}

TENANT_BODY(resets_beside_launches)
{
	pthread_t others[3];

	gate_deadline(20);
	tenant_context();
	for (int i = 0; i < 4; i++) {
		gate_load_code();
		for (int j = 0; j < 3; j++)
			check(pthread_create(&others[j], NULL, launches_slowly,
					     gate.stream) == 0);
		/* They are in the call by then, and not out of it. */
		usleep(20000);
		check_result(cuDevicePrimaryCtxReset(0), CUDA_SUCCESS);
		check_result(cuDevicePrimaryCtxRetain(&gate.context, 0), CUDA_SUCCESS);
		check_result(cuCtxSetCurrent(gate.context), CUDA_SUCCESS);
		if (i % 2)
			gate_load_code();
		for (int j = 0; j < 3; j++)
			pthread_join(others[j], NULL);
	}
	gate_load_code();
	go_on();
}

static void a_primary_context_is_reset_while_other_threads_launch(void)
{
	tenant_dir();
	holds_from_here(tenant_start("resets_beside_launches", LIMIT, "LOAD=500",
				     "SIMGPU_FAULTS=slow:cuLaunchCooperativeKernel=100ms",
				     NULL));
}

/* Held at the gate, and gone when it is their turn. */
static void *launches_late(void *argument)
{
	if (cuCtxSetCurrent(gate.context) == CUDA_SUCCESS)
		gate_work(100 * GATE_US, argument);
	return NULL;
}

TENANT_BODY(resets_beside_waiting_launches)
{
	pthread_t others[3];

	gate_deadline(20);
	tenant_context();
	for (int i = 0; i < 3; i++) {
		gate_load_code();
		gate_owe(60 * GATE_MS);
		for (int j = 0; j < 3; j++)
			check(pthread_create(&others[j], NULL, launches_late,
					     gate.stream) == 0);
		usleep(20000);
		check_result(cuDevicePrimaryCtxReset(0), CUDA_SUCCESS);
		check_result(cuDevicePrimaryCtxRetain(&gate.context, 0), CUDA_SUCCESS);
		check_result(cuCtxSetCurrent(gate.context), CUDA_SUCCESS);
		for (int j = 0; j < 3; j++)
			pthread_join(others[j], NULL);
	}
	gate_load_code();
	go_on();
}

static void a_primary_context_is_reset_while_launches_wait(void)
{
	survives("resets_beside_waiting_launches");
}

/* ---- streams, events, code ---- */

TENANT_BODY(destroys_streams)
{
	CUstream stream;

	gate_deadline(20);
	gate_open();
	for (int i = 0; i < 30; i++) {
		stream = gate_new_stream();
		launch_some(stream);
		check_result(cuStreamDestroy(stream), CUDA_SUCCESS);
	}
	/* More than there are places for. */
	for (int i = 0; i < 1100; i++) {
		stream = gate_new_stream();
		check_result(gate_work(GATE_US, stream), CUDA_SUCCESS);
		check_result(cuStreamDestroy(stream), CUDA_SUCCESS);
	}
	gate.stream = gate_new_stream();
	go_on();
}

static void streams_are_destroyed_with_work_in_flight(void)
{
	survives("destroys_streams");
}

/* The launch behind the word is in flight for ever; the new stream has nothing to do with it. */
TENANT_BODY(makes_a_stream_of_a_destroyed_one)
{
	CUstream before;

	gate_deadline(20);
	gate_open();
	before = gate.stream;
	check_result(
		cuStreamWaitValue32(before, gate.words_at, 1, CU_STREAM_WAIT_VALUE_GEQ),
		CUDA_SUCCESS);
	check_result(gate_work(GATE_US, before), CUDA_SUCCESS);
	check_result(cuStreamDestroy(before), CUDA_SUCCESS);
	gate.stream = gate_new_stream();
	/* What the simulated driver does, and the point of it. */
	if (check(gate.stream == before))
		go_on();
}

static void a_stream_under_the_handle_of_a_destroyed_one_is_another(void)
{
	survives("makes_a_stream_of_a_destroyed_one");
}

TENANT_BODY(destroys_events)
{
	CUevent event;

	gate_deadline(20);
	gate_open();
	for (int i = 0; i < 60; i++) {
		check_result(cuEventCreate(&event, CU_EVENT_DEFAULT), CUDA_SUCCESS);
		launch_some(gate.stream);
		check_result(cuEventRecord(event, gate.stream), CUDA_SUCCESS);
		check_result(cuEventDestroy(event), CUDA_SUCCESS);
	}
	go_on();
}

static void events_are_destroyed_with_work_in_flight(void)
{
	survives("destroys_events");
}

static void load_other_code(void)
{
	check_result(cuModuleUnload(gate.module), CUDA_SUCCESS);
	check_result(cuModuleLoadData(&gate.module, ex_kernels_ptx), CUDA_SUCCESS);
	check_result(cuModuleGetFunction(&gate.work, gate.module, "gpushim_work"),
		     CUDA_SUCCESS);
}

TENANT_BODY(unloads_code)
{
	CUfunction before;

	gate_deadline(20);
	gate_open();
	for (int i = 0; i < 20; i++) {
		for (int j = 0; j < 8; j++)
			check_result(gate_work((i % 2 ? 20 : 400) * GATE_US, gate.stream),
				     CUDA_SUCCESS);
		load_other_code();
	}
	/* Enough for a thread to launch a millisecond of them unmeasured. */
	for (int i = 0; i < 2000; i++)
		check_result(gate_work_as(20 * GATE_US, GATE_LOAD_SHARED, gate.stream),
			     CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	before = gate.work;
	/* Handles come again in turn. */
	for (int i = 0; i < 8 && (i == 0 || gate.work != before); i++)
		load_other_code();
	if (check(gate.work == before))
		go_on();
}

/*
 * The code that comes under a known handle takes a thousand times as long. A few launches tell;
 * those that would pass at the cost of what was there before keep the device busy for a second.
 */
static void code_is_unloaded_and_other_code_comes(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("unloads_code", LIMIT, "LOAD=20000", NULL);
	if (tenant_met(pid)) {
		tenant_go(pid);
		CU_ASSERT(gate_stays_below(200, 3 * 20 * GATE_MS, 500));
		CU_ASSERT(gate_holds(200, 20 * GATE_MS, 400));
		tenant_discard(pid);
	} else {
		CU_ASSERT(tenant_ends(pid));
	}
}

static void load_code_and_get(const char *name)
{
	check_result(cuModuleUnload(gate.module), CUDA_SUCCESS);
	check_result(cuModuleLoadData(&gate.module, ex_kernels_ptx), CUDA_SUCCESS);
	check_result(cuModuleGetFunction(&gate.work, gate.module, name), CUDA_SUCCESS);
}

TENANT_BODY(gets_another_kernel_under_a_known_handle)
{
	CUfunction before;

	gate_deadline(20);
	gate_open();
	before = gate.work;
	launch_some(gate.stream);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	do
		load_code_and_get("gpushim_spin_ns");
	while (gate.work != before);
	for (int i = 0; i < 3; i++)
		launch_some(gate.stream);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	alarm(0);
	tenant_meet();
}

/* Launches that the ledger counts under the name. */
static uint64_t launches_of(const char *name)
{
	const struct gpushim_snapshot *snapshot = tenant_snapshot(tenant_dir(),
								  "default");
	uint64_t launches = 0;

	for (unsigned i = 0; snapshot && i < snapshot->costs_count; i++)
		if (strcmp(snapshot->costs[i].name, name) == 0)
			launches += snapshot->costs[i].launches;
	return launches;
}

static void other_code_is_shown_under_its_own_name(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("gets_another_kernel_under_a_known_handle",
			   "GPUSHIM_MEMORY=1GiB", NULL);
	if (tenant_met(pid)) {
		/* A thread's last few launches are not there yet. */
		for (int i = 0; i < 400 && launches_of("gpushim_spin_ns") < 8; i++)
			usleep(5000);
		CU_ASSERT(launches_of("gpushim_spin_ns") >= 8);
		CU_ASSERT(launches_of("gpushim_work") <= 8);
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
}

TENANT_BODY(closes_the_driver)
{
	gate_deadline(20);
	for (int i = 0; i < 20; i++) {
		void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);

		if (!check(driver != NULL))
			return;
		if (i == 0)
			gate_open();
		launch_some(gate.stream);
		if (driver)
			check(dlclose(driver) == 0);
	}
	go_on();
}

static void the_driver_is_closed_with_work_in_flight(void)
{
	survives("closes_the_driver");
}

/* ---- threads ---- */

static void *launches_a_few(void *argument)
{
	(void)argument;
	check_result(cuCtxSetCurrent(gate.context), CUDA_SUCCESS);
	for (int i = 0; i < 5; i++)
		check_result(gate_work(20 * GATE_US, gate.stream), CUDA_SUCCESS);
	return NULL;
}

/* More than can have a place of their own at once. */
TENANT_BODY(has_many_threads)
{
	pthread_t thread;

	gate_deadline(20);
	gate_open();
	for (int i = 0; i < 1200; i++) {
		check(pthread_create(&thread, NULL, launches_a_few, NULL) == 0);
		pthread_join(thread, NULL);
	}
	go_on();
}

static void threads_come_and_go(void)
{
	survives("has_many_threads");
}

/* ---- processes ---- */

TENANT_BODY(loads_without_end)
{
	gate_load();
}

TENANT_BODY(forks_and_loads)
{
	int status = 1;
	pid_t pid;

	gate_deadline(20);
	gate_open();
	launch_some(gate.stream);
	pid = fork();
	if (pid == 0) {
		/* The driver refuses, and nobody waits or dies. */
		check(gate_work(100 * GATE_US, gate.stream) != CUDA_SUCCESS);
		check(cuInit(0) != CUDA_SUCCESS);
		_exit(0);
	}
	launch_some(gate.stream);
	check(waitpid(pid, &status, 0) == pid && status == 0);
	go_on();
}

static void a_child_of_a_process_that_launches_disturbs_nobody(void)
{
	survives("forks_and_loads");
}

/* Forked before CUDA is used, so that both can. */
TENANT_BODY(forks_a_load)
{
	if (fork() == 0)
		gate_load();
	gate_load();
}

static void a_forked_process_has_an_account_of_its_own(void)
{
	const struct gpushim_snapshot *snapshot;
	unsigned launching = 0;
	uint64_t child = 0;
	pid_t pid;

	tenant_dir();
	pid = tenant_start("forks_a_load", LIMIT, "LOAD=500", NULL);
	CU_ASSERT(gate_was_busy(100 * GATE_MS));
	CU_ASSERT(gate_stays_below(200, GATE_MS, 400));
	snapshot = tenant_snapshot(tenant_dir(), "default");
	for (unsigned i = 0; snapshot && i < snapshot->usages_count; i++)
		launching += snapshot->usages[i].time.launches > 10;
	CU_ASSERT_EQUAL(launching, 2);
	for (unsigned i = 0; snapshot && i < snapshot->processes_count; i++)
		if (snapshot->processes[i].pid != (uint32_t)pid)
			child = snapshot->processes[i].pid;
	if (child > 0)
		kill((pid_t)child, SIGKILL);
	tenant_discard(pid);
}

static void who_is_killed_leaves_no_debt(void)
{
	pid_t survivor, pids[3];

	tenant_dir();
	survivor = tenant_start("loads_without_end", LIMIT, "LOAD=500", NULL);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 3; i++)
			pids[i] = tenant_start("loads_without_end", LIMIT, "LOAD=1000",
					       NULL);
		CU_ASSERT(gate_was_busy((uint64_t)(round + 1) * 60 * GATE_MS));
		/* Most of the time they wait, and now and then something is in flight. */
		for (int i = 0; i < 3; i++)
			tenant_discard(pids[i]);
	}
	CU_ASSERT(gate_holds(200, GATE_MS, 400));
	CU_ASSERT_EQUAL(GATE_COUNTED(released), 0);
	tenant_discard(survivor);
}

/* ---- the end of a program ---- */

static void *waits_at_the_gate(void *argument)
{
	(void)argument;
	check_result(cuCtxSetCurrent(gate.context), CUDA_SUCCESS);
	gate_work(100 * GATE_US, gate_new_stream());
	return NULL;
}

TENANT_BODY(ends_while_others_wait)
{
	pthread_t thread;

	gate_open();
	gate_owe(500 * GATE_MS);
	for (int i = 0; i < 4; i++)
		check(pthread_create(&thread, NULL, waits_at_the_gate, NULL) == 0);
	tenant_meet();
}

static void a_program_ends_at_once_though_its_threads_wait(void)
{
	struct timespec before, after;
	pid_t pid;

	tenant_dir();
	/* They would wait for almost a minute. */
	pid = tenant_start("ends_while_others_wait", "GPUSHIM_COMPUTE=1", NULL);
	if (tenant_met(pid)) {
		CU_ASSERT(GATE_COUNTS(delayed, 4) || GATE_COUNTED(waiting) > 0);
		tenant_go(pid);
	}
	clock_gettime(CLOCK_MONOTONIC, &before);
	CU_ASSERT(tenant_ends(pid));
	clock_gettime(CLOCK_MONOTONIC, &after);
	CU_ASSERT(after.tv_sec - before.tv_sec < 10);
}

const struct unit_suite unit_suite = {
	.name = "what comes and goes at the gate",
	.teardown = tenant_forget,
	.tests = { UNIT_TEST(a_primary_context_is_reset_with_work_in_flight),
		   UNIT_TEST(contexts_are_destroyed_with_work_in_flight),
		   UNIT_TEST(a_primary_context_is_reset_while_other_threads_launch),
		   UNIT_TEST(a_primary_context_is_reset_while_launches_wait),
		   UNIT_TEST(streams_are_destroyed_with_work_in_flight),
		   UNIT_TEST(a_stream_under_the_handle_of_a_destroyed_one_is_another),
		   UNIT_TEST(events_are_destroyed_with_work_in_flight),
		   UNIT_TEST(code_is_unloaded_and_other_code_comes),
		   UNIT_TEST(other_code_is_shown_under_its_own_name),
		   UNIT_TEST(the_driver_is_closed_with_work_in_flight),
		   UNIT_TEST(threads_come_and_go),
		   UNIT_TEST(a_child_of_a_process_that_launches_disturbs_nobody),
		   UNIT_TEST(a_forked_process_has_an_account_of_its_own),
		   UNIT_TEST(who_is_killed_leaves_no_debt),
		   UNIT_TEST(a_program_ends_at_once_though_its_threads_wait) },
};
