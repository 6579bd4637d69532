/*
 * test_progress.c - programs in which running work waits for a launch that the gate holds:
 * they go on, under a limit of 5 % and deep in debt, and come to the right end.
 *
 * Each body uses 600 ms of the device first, which takes twelve seconds to pay, and dies at
 * its deadline before that: whatever it launches then passes by the progress rule or not at all.
 */
#include "cunit_main.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common_gate.h"
#include "common_publish.h"
#include "common_tenant.h"
#include "simgpu.h"

#define LIMIT "GPUSHIM_COMPUTE=5"
#define DEBT_NS (600 * GATE_MS)

enum { DEADLINE_S = 10, ROUNDS = 2 };

static void all_is_done(void)
{
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	/* The test looks into the ledger meanwhile. */
	alarm(0);
	tenant_meet();
}

/* The body comes to its end, and could only do so because launches were let through. */
static void goes_on_by_the_rule(const char *body)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start(body, LIMIT, NULL);
	if (tenant_met(pid)) {
		CU_ASSERT(GATE_COUNTS(released, 1));
		CU_ASSERT(GATE_COUNTED(delayed) >= GATE_COUNTED(released));
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
}

/* ---- two streams ---- */

/*
 * Whatever is held finds a kernel that spins: each stream sets the word that the other one's
 * kernel waits for, and spins until the other sets its own.
 */
TENANT_BODY(two_streams)
{
	CUstream a, b;

	gate_deadline(DEADLINE_S);
	gate_open();
	a = gate.stream;
	b = gate_new_stream();
	check_result(gate_spin(1, 1, a), CUDA_SUCCESS);
	gate_owe(DEBT_NS);
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		check_result(gate_set(0, i, a), CUDA_SUCCESS);
		check_result(gate_spin(1, i + 1, a), CUDA_SUCCESS);
		check_result(gate_set(1, i, b), CUDA_SUCCESS);
		check_result(gate_spin(0, i, b), CUDA_SUCCESS);
	}
	check_result(gate_set(1, ROUNDS + 1, b), CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	check(gate.words[0] == ROUNDS && gate.words[1] == ROUNDS + 1);
	all_is_done();
}

static void kernels_of_two_streams_wait_for_each_other(void)
{
	goes_on_by_the_rule("two_streams");
}

/* ---- two processes ---- */

static void handle_path(char path[4096])
{
	snprintf(path, 4096, "%s/handle", getenv("GPUSHIM_DIR"));
}

TENANT_BODY(first_of_two)
{
	CUipcMemHandle handle;
	char path[4096];
	FILE *file;

	gate_deadline(DEADLINE_S + 2);
	gate_open();
	check_result(cuMemAlloc(&gate.words_at, 4096), CUDA_SUCCESS);
	check_result(cuMemsetD32(gate.words_at, 0, 1024), CUDA_SUCCESS);
	check_result(cuIpcGetMemHandle(&handle, gate.words_at), CUDA_SUCCESS);
	handle_path(path);
	file = fopen(path, "w");
	if (!check(file && fwrite(&handle, sizeof(handle), 1, file) == 1))
		return;
	fclose(file);
	check_result(gate_spin(1, 1, gate.stream), CUDA_SUCCESS);
	gate_owe(DEBT_NS);
	check_result(gate_set(0, 1, gate.stream), CUDA_SUCCESS);
	check_result(gate_spin(1, 2, gate.stream), CUDA_SUCCESS);
	tenant_meet();
	all_is_done();
}

TENANT_BODY(second_of_two)
{
	CUipcMemHandle handle;
	uint32_t words[2] = { 0, 0 };
	char path[4096];
	FILE *file;

	gate_deadline(DEADLINE_S);
	gate_open();
	handle_path(path);
	file = fopen(path, "r");
	if (!check(file && fread(&handle, sizeof(handle), 1, file) == 1))
		return;
	fclose(file);
	check_result(cuIpcOpenMemHandle(&gate.words_at, handle,
					CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS),
		     CUDA_SUCCESS);
	check_result(gate_set(1, 1, gate.stream), CUDA_SUCCESS);
	check_result(gate_spin(0, 1, gate.stream), CUDA_SUCCESS);
	check_result(gate_set(1, 2, gate.stream), CUDA_SUCCESS);
	check_result(cuStreamSynchronize(gate.stream), CUDA_SUCCESS);
	check_result(cuMemcpyDtoH(words, gate.words_at, sizeof(words)), CUDA_SUCCESS);
	check(words[0] == 1 && words[1] == 2);
	all_is_done();
}

static void kernels_of_two_processes_wait_for_each_other(void)
{
	pid_t first, second;

	tenant_dir();
	first = tenant_start("first_of_two", LIMIT, NULL);
	if (!tenant_met(first)) {
		CU_ASSERT(tenant_ends(first));
		return;
	}
	second = tenant_start("second_of_two", LIMIT, NULL);
	tenant_go(first);
	if (tenant_met(second) && tenant_met(first)) {
		CU_ASSERT(GATE_COUNTS(released, 4));
		tenant_go(first);
		tenant_go(second);
	}
	CU_ASSERT(tenant_ends(first));
	CU_ASSERT(tenant_ends(second));
}

/* ---- what else waits ---- */

/* Each of a signature of its own. */
static void launch_unknown_ones(unsigned count)
{
	for (unsigned i = 1; i <= count; i++)
		check_result(gate_work_as(10 * GATE_US, i * 256, gate.stream),
			     CUDA_SUCCESS);
}

TENANT_BODY(a_wait_in_a_stream)
{
	CUstream b;

	gate_deadline(DEADLINE_S);
	gate_open();
	b = gate_new_stream();
	check_result(cuStreamWaitValue32(gate.stream, gate.words_at, 7,
					 CU_STREAM_WAIT_VALUE_EQ),
		     CUDA_SUCCESS);
	check_result(gate_set(1, 8, gate.stream), CUDA_SUCCESS);
	gate_owe(DEBT_NS);
	check_result(gate_set(0, 7, b), CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	check(gate.words[0] == 7 && gate.words[1] == 8);
	all_is_done();
}

static void a_stream_waits_for_a_word_that_a_later_launch_writes(void)
{
	goes_on_by_the_rule("a_wait_in_a_stream");
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int taken;

static void CUDA_CB take_the_lock(void *argument)
{
	(void)argument;
	pthread_mutex_lock(&mutex);
	taken++;
	pthread_mutex_unlock(&mutex);
}

TENANT_BODY(a_host_function)
{
	gate_deadline(DEADLINE_S);
	gate_open();
	pthread_mutex_lock(&mutex);
	check_result(cuLaunchHostFunc(gate.stream, take_the_lock, NULL), CUDA_SUCCESS);
	check_result(gate_set(0, 3, gate.stream), CUDA_SUCCESS);
	gate_owe(DEBT_NS);
	launch_unknown_ones(3);
	pthread_mutex_unlock(&mutex);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	check(taken == 1 && gate.words[0] == 3);
	all_is_done();
}

static void a_host_function_waits_for_a_lock_that_the_launcher_holds(void)
{
	goes_on_by_the_rule("a_host_function");
}

TENANT_BODY(a_cooperative_launch)
{
	uint32_t value = 4;
	uint64_t count = 1;
	void *parameters[] = { &gate.words_at, &value, &count };
	CUstream b;

	gate_deadline(DEADLINE_S);
	gate_open();
	b = gate_new_stream();
	check_result(gate_spin(0, 4, gate.stream), CUDA_SUCCESS);
	gate_owe(DEBT_NS);
	check_result(
		cuLaunchCooperativeKernel(gate.fill, 1, 1, 1, 32, 1, 1, 0, b, parameters),
		CUDA_SUCCESS);
	all_is_done();
}

static void a_spin_waits_for_a_cooperative_launch(void)
{
	goes_on_by_the_rule("a_cooperative_launch");
}

/* ---- kernels of which nothing is known ---- */

TENANT_BODY(many_unknown)
{
	CUstream b;

	gate_deadline(DEADLINE_S);
	gate_open();
	b = gate_new_stream();
	check_result(gate_spin(0, 1, gate.stream), CUDA_SUCCESS);
	launch_unknown_ones(6);
	check_result(gate_set(0, 1, b), CUDA_SUCCESS);
	all_is_done();
}

static void launches_never_seen_before_go_behind_a_blocked_stream(void)
{
	goes_on_by_the_rule("many_unknown");
}

static void *other_work(void *stop)
{
	CUstream stream;

	check_result(cuCtxSetCurrent(gate.context), CUDA_SUCCESS);
	stream = gate_new_stream();
	while (!__atomic_load_n((int *)stop, __ATOMIC_RELAXED)) {
		check_result(gate_work(20 * GATE_US, stream), CUDA_SUCCESS);
		check_result(cuStreamSynchronize(stream), CUDA_SUCCESS);
	}
	return NULL;
}

TENANT_BODY(blocked_beside_work)
{
	int stop = 0;
	pthread_t other;
	CUstream b;

	gate_deadline(DEADLINE_S);
	gate_open();
	b = gate_new_stream();
	/* Well known, so that only the other ones are not. */
	for (int i = 0; i < 20; i++) {
		check_result(gate_work(20 * GATE_US, b), CUDA_SUCCESS);
		check_result(cuStreamSynchronize(b), CUDA_SUCCESS);
	}
	check(pthread_create(&other, NULL, other_work, &stop) == 0);
	check_result(gate_spin(0, 1, gate.stream), CUDA_SUCCESS);
	launch_unknown_ones(6);
	check_result(gate_set(0, 1, b), CUDA_SUCCESS);
	check_result(cuStreamSynchronize(gate.stream), CUDA_SUCCESS);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(other, NULL);
	all_is_done();
}

static void a_blocked_stream_goes_on_beside_work_that_completes(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("blocked_beside_work", "GPUSHIM_COMPUTE=50", NULL);
	if (tenant_met(pid))
		tenant_go(pid);
	CU_ASSERT(tenant_ends(pid));
}

/* ---- the control ---- */

TENANT_BODY(only_in_debt)
{
	gate_deadline(DEADLINE_S);
	gate_open();
	for (int i = 0; i < 3; i++)
		gate_owe(80 * GATE_MS);
	all_is_done();
}

static void who_only_owes_waits_until_it_is_paid(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("only_in_debt", "GPUSHIM_COMPUTE=10", NULL);
	if (tenant_met(pid)) {
		/* 240 ms, of which the last is not paid yet, nor the burst. */
		CU_ASSERT(GATE_COUNTS(waited_ns, 1000 * GATE_MS));
		CU_ASSERT(GATE_COUNTS(delayed, 2));
		CU_ASSERT_EQUAL(GATE_COUNTED(released), 0);
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
}

/* ---- the dead ---- */

TENANT_BODY(spins_for_ever)
{
	gate_open();
	check_result(gate_spin(0, 1, gate.stream), CUDA_SUCCESS);
	tenant_meet();
}

TENANT_BODY(owes_after_a_death)
{
	gate_deadline(DEADLINE_S);
	gate_open();
	tenant_meet();
	for (int i = 0; i < 3; i++)
		gate_owe(60 * GATE_MS);
	all_is_done();
}

static void what_a_killed_process_left_in_flight_releases_nobody(void)
{
	pid_t survivor, killed;

	tenant_dir();
	survivor = tenant_start("owes_after_a_death", "GPUSHIM_COMPUTE=15", NULL);
	CU_ASSERT(tenant_met(survivor));
	killed = tenant_start("spins_for_ever", "GPUSHIM_COMPUTE=15", NULL);
	CU_ASSERT(tenant_met(killed));
	CU_ASSERT(GATE_COUNTS(in_flight_ns, 1));
	tenant_discard(killed);
	tenant_go(survivor);
	if (tenant_met(survivor)) {
		CU_ASSERT(GATE_COUNTS(delayed, 2));
		CU_ASSERT_EQUAL(GATE_COUNTED(released), 0);
		tenant_go(survivor);
	}
	CU_ASSERT(tenant_ends(survivor));
}

static uint64_t used_by_ns(pid_t pid)
{
	struct simgpu_monitor *monitor = simgpu_open(NULL, 0, NULL);
	struct simgpu_truth *truth = monitor ? simgpu_truth(monitor) : NULL;
	const struct simgpu_client *client = truth ? simgpu_find(truth, pid) : NULL;
	uint64_t ns = client ? client->gpu_ns[0] : 0;

	simgpu_free(truth);
	simgpu_close(monitor);
	return ns;
}

TENANT_BODY(loads_without_end)
{
	gate_load();
}

/*
 * While a kernel runs that never ends nothing that others complete begins the rule anew, or it
 * would let them out ten times a second, whatever they owe: 60 kernels in these 3 s, at 2 %.
 */
static void a_kernel_that_never_ends_lifts_no_limit(void)
{
	pid_t endless, other;
	uint64_t before_ns;

	tenant_dir();
	endless = tenant_start("spins_for_ever", "GPUSHIM_COMPUTE=2", NULL);
	CU_ASSERT(tenant_met(endless));
	other = tenant_start("loads_without_end", "GPUSHIM_COMPUTE=2", "LOAD=20000",
			     NULL);
	/* It owes by now. */
	CU_ASSERT(GATE_COUNTS(released, 2));
	before_ns = used_by_ns(other);
	gate_watch(3000);
	CU_ASSERT(used_by_ns(other) - before_ns <= 8 * 20 * GATE_MS);
	tenant_discard(other);
	tenant_discard(endless);
}

const struct unit_suite unit_suite = {
	.name = "the progress rule",
	.teardown = tenant_forget,
	.tests = { UNIT_TEST(kernels_of_two_streams_wait_for_each_other),
		   UNIT_TEST(kernels_of_two_processes_wait_for_each_other),
		   UNIT_TEST(a_stream_waits_for_a_word_that_a_later_launch_writes),
		   UNIT_TEST(a_host_function_waits_for_a_lock_that_the_launcher_holds),
		   UNIT_TEST(a_spin_waits_for_a_cooperative_launch),
		   UNIT_TEST(launches_never_seen_before_go_behind_a_blocked_stream),
		   UNIT_TEST(a_blocked_stream_goes_on_beside_work_that_completes),
		   UNIT_TEST(who_only_owes_waits_until_it_is_paid),
		   UNIT_TEST(what_a_killed_process_left_in_flight_releases_nobody),
		   UNIT_TEST(a_kernel_that_never_ends_lifts_no_limit) },
};
