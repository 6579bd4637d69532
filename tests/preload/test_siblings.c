/*
 * test_siblings.c - processes of one tenant share what it may have: they run in turns, are
 * charged for a stretch of wall time once, learn from each other, and do not all try out at once
 * what nobody knows.
 *
 * Judged by the device's books of the processes; a body judges by what its streams say. Shares
 * come with their control, the same load without the shim.
 */
#include "cunit_main.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common_gate.h"
#include "common_load.h"
#include "common_tenant.h"
#include "simgpu.h"

enum { SIBLINGS_MAX = 4, DEADLINE_S = 20 };

/* The driver takes its time over a launch, in which others look whether it is in flight. */
#define SLOW "SIMGPU_FAULTS=slow:cuLaunchKernel=2ms"

/* ---- in a tenant ---- */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void pause_a_little(void)
{
	const struct timespec time = { 0, 20000000 };

	nanosleep(&time, NULL);
}

static void run_as(unsigned shared_bytes, uint64_t ns)
{
	check_result(gate_work_as(ns, shared_bytes, gate.stream), CUDA_SUCCESS);
	check_result(cuStreamSynchronize(gate.stream), CUDA_SUCCESS);
}

TENANT_BODY(loads_the_device)
{
	enum load_kind kind = load_find(getenv("LOAD_KIND"));

	load_prepare(kind);
	tenant_meet();
	load_run(kind, UINT64_MAX); /* until it is killed */
}

/* ---- outside ---- */

struct siblings {
	pid_t pids[SIBLINGS_MAX];
	unsigned count;
};

struct books {
	uint64_t now_ns, gpu_ns;
};

static struct books books_of(const struct siblings *siblings)
{
	struct simgpu_monitor *monitor = simgpu_open(NULL, 0, NULL);
	struct simgpu_truth *truth = monitor ? simgpu_truth(monitor) : NULL;
	struct books books = { 0, 0 };

	for (unsigned i = 0; truth && i < siblings->count; i++) {
		const struct simgpu_client *row = simgpu_find(truth, siblings->pids[i]);

		books.now_ns = truth->now_ns;
		books.gpu_ns += row ? row->gpu_ns[0] : 0;
	}
	simgpu_free(truth);
	simgpu_close(monitor);
	return books;
}

/* The first books after that much of the device's time. */
static struct books books_after(const struct siblings *siblings, struct books books,
				uint64_t ns)
{
	uint64_t until_ns = books.now_ns + ns;

	while (books.now_ns && books.now_ns < until_ns) {
		pause_a_little();
		books = books_of(siblings);
	}
	return books;
}

/* Ready to load the device, by turns with one kind and the other, and stopped there. */
static struct siblings start(enum load_kind kind, enum load_kind other, const char *limit,
			     const char *fault, bool shim)
{
	struct siblings siblings = { .count = SIBLINGS_MAX };
	char variable[64];

	tenant_dir();
	for (unsigned i = 0; i < siblings.count; i++) {
		snprintf(variable, sizeof(variable), "LOAD_KIND=%s",
			 load_facts[i % 2 ? other : kind].name);
		siblings.pids[i] = tenant_start("loads_the_device", variable, limit,
						fault, shim ? NULL : "LD_PRELOAD", NULL);
	}
	for (unsigned i = 0; i < siblings.count; i++)
		CU_ASSERT(tenant_met(siblings.pids[i]));
	return siblings;
}

static void go(const struct siblings *siblings)
{
	for (unsigned i = 0; i < siblings->count; i++)
		tenant_go(siblings->pids[i]);
}

static void discard(const struct siblings *siblings)
{
	for (unsigned i = 0; i < siblings->count; i++)
		tenant_discard(siblings->pids[i]);
}

/* ---- shares ---- */

/* What part of the device's time they had together. */
static double share_of(const struct siblings *siblings, double seconds)
{
	struct books begin = books_of(siblings);
	struct books end = books_after(siblings, begin, (uint64_t)(seconds * 1e9));

	return end.now_ns > begin.now_ns ? (double)(end.gpu_ns - begin.gpu_ns) /
						   (double)(end.now_ns - begin.now_ns)
					 : 0;
}

/* A busy machine makes them ask for less, so the lower bound is for one of three stretches. */
static void shares(const char *limit, enum load_kind kind, enum load_kind other,
		   double least, double most)
{
	struct siblings siblings = start(kind, other, limit, "SIMGPU_FAULTS", false);
	double share;

	go(&siblings);
	CU_ASSERT(share_of(&siblings, 0.3) > most);
	discard(&siblings);
	siblings = start(kind, other, limit, "SIMGPU_FAULTS", true);
	go(&siblings);
	share_of(&siblings, 0.7);
	for (int i = 0; i < 3; i++) {
		share = share_of(&siblings, 1.7);
		printf("%s and %s: share %.1f %%\n", load_facts[kind].name,
		       load_facts[other].name, share * 100);
		CU_ASSERT(share <= most);
		if (share >= least)
			break;
	}
	CU_ASSERT(share >= least);
	discard(&siblings);
}

static void four_siblings_with_50_ms_kernels_share_40_percent(void)
{
	shares("GPUSHIM_COMPUTE=40", LOAD_50MS, LOAD_50MS, 0.30, 0.445);
}

static void four_siblings_with_20_us_kernels_get_nearly_all_of_40_percent(void)
{
	shares("GPUSHIM_COMPUTE=40", LOAD_20US, LOAD_20US, 0.37, 0.43);
}

/* At such a limit they hold the device in slices, and their brackets show those of others. */
static void siblings_that_hold_the_device_in_slices_are_charged_for_them_once(void)
{
	shares("GPUSHIM_COMPUTE=80", LOAD_VARIABLE, LOAD_1MS, 0.70, 0.84);
}

/* By how much more than the limit gave until then they had the device, at worst. */
static uint64_t beyond_ns(const struct siblings *siblings, uint64_t limit_permille,
			  uint64_t watch_ns)
{
	struct books begin = books_of(siblings), now = begin;
	uint64_t worst_ns = 0;

	go(siblings);
	while (now.now_ns && now.now_ns < begin.now_ns + watch_ns) {
		uint64_t used_ns = now.gpu_ns - begin.gpu_ns;
		uint64_t due_ns = (now.now_ns - begin.now_ns) / 1000 * limit_permille;

		if (used_ns > due_ns && used_ns - due_ns > worst_ns)
			worst_ns = used_ns - due_ns;
		pause_a_little();
		now = books_of(siblings);
	}
	printf("%.1f ms beyond the limit\n", (double)worst_ns / 1e6);
	return worst_ns;
}

static void four_siblings_that_begin_with_300_ms_kernels_exceed_by_three_at_most(void)
{
	const uint64_t most_ns = 3 * 300 * GATE_MS;
	struct siblings siblings = start(LOAD_300MS, LOAD_300MS, "GPUSHIM_COMPUTE=40",
					 "SIMGPU_FAULTS", false);

	CU_ASSERT(beyond_ns(&siblings, 400, 1700 * GATE_MS) > most_ns);
	discard(&siblings);
	siblings = start(LOAD_300MS, LOAD_300MS, "GPUSHIM_COMPUTE=40", "SIMGPU_FAULTS",
			 true);
	CU_ASSERT(beyond_ns(&siblings, 400, 2000 * GATE_MS) <= most_ns);
	discard(&siblings);
}

/* ---- what nobody knows ---- */

/* Two kernels. */
#define MOST_AT_FIRST_NS (610 * GATE_MS)

static void of_siblings_that_begin_with_what_nobody_knows_two_run_in_a_second(void)
{
	struct siblings siblings = start(LOAD_300MS, LOAD_300MS, "GPUSHIM_COMPUTE=5",
					 SLOW, true);

	CU_ASSERT(beyond_ns(&siblings, 0, 1000 * GATE_MS) <= MOST_AT_FIRST_NS);
	CU_ASSERT(books_of(&siblings).gpu_ns > 0);
	discard(&siblings);
}

static int gone_out;

static void *launches_what_nobody_knows(void *argument)
{
	check_result(cuCtxSetCurrent(gate.context), CUDA_SUCCESS);
	pthread_barrier_wait(argument);
	check_result(gate_work(300 * GATE_MS, gate_new_stream()), CUDA_SUCCESS);
	__atomic_fetch_add(&gone_out, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* Until the first is done there is time for the others, if they are not held. */
TENANT_BODY(launches_in_four_threads)
{
	pthread_barrier_t barrier;
	pthread_t threads[4];

	gate_deadline(DEADLINE_S);
	gate_open();
	pthread_barrier_init(&barrier, NULL, 4);
	for (int i = 0; i < 4; i++)
		check(pthread_create(&threads[i], NULL, launches_what_nobody_knows,
				     &barrier) == 0);
	while (!__atomic_load_n(&gone_out, __ATOMIC_RELAXED))
		pause_a_little();
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	check_result(__atomic_load_n(&gone_out, __ATOMIC_RELAXED),
		     getenv("LD_PRELOAD") ? 1 : 4);
}

static void of_threads_that_begin_with_what_nobody_knows_one_goes_first(void)
{
	tenant_dir();
	CU_ASSERT(tenant_passes("launches_in_four_threads", "GPUSHIM_COMPUTE=5", SLOW,
				NULL));
	CU_ASSERT(tenant_passes_bare("launches_in_four_threads", SLOW, NULL));
}

/* A thread that keeps the device busy for 150 ms, and leaves room for others. */
static void launch_a_long_one(CUstream stream)
{
	uint64_t ns = 150 * GATE_MS;
	void *parameters[] = { &ns };
	CUfunction kernel;

	check_result(cuModuleGetFunction(&kernel, gate.module, "gpushim_spin_ns"),
		     CUDA_SUCCESS);
	check_result(
		cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, stream, parameters, NULL),
		CUDA_SUCCESS);
}

TENANT_BODY(knows_a_long_kernel)
{
	gate_deadline(DEADLINE_S);
	gate_open();
	for (int i = 0; i < 2; i++) {
		launch_a_long_one(gate.stream);
		check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	}
	tenant_meet();
}

/* Whether launches that cost next to nothing wait until the long one is paid for. */
TENANT_BODY(launches_a_long_kernel_and_short_ones)
{
	CUstream other;
	bool waits;

	gate_deadline(DEADLINE_S);
	gate_open();
	other = gate_new_stream();
	for (unsigned i = 0; i < 8; i++) {
		check_result(gate_set(0, i, gate.stream), CUDA_SUCCESS);
		check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	}
	launch_a_long_one(other);
	/* More than what is left of credit that was drawn for such. */
	for (unsigned i = 0; i < 2000; i++)
		check_result(gate_set(0, i, gate.stream), CUDA_SUCCESS);
	waits = cuStreamQuery(other) == CUDA_SUCCESS;
	check(waits == (getenv("KNOWN") != NULL));
}

static void what_a_sibling_has_learned_is_charged_from_the_first_launch(void)
{
	pid_t sibling;

	tenant_dir();
	CU_ASSERT(tenant_passes("launches_a_long_kernel_and_short_ones",
				"GPUSHIM_COMPUTE=50", NULL));
	tenant_forget();
	tenant_dir();
	sibling = tenant_start("knows_a_long_kernel", "GPUSHIM_COMPUTE=50", NULL);
	CU_ASSERT(tenant_met(sibling));
	CU_ASSERT(tenant_passes("launches_a_long_kernel_and_short_ones",
				"GPUSHIM_COMPUTE=50", "KNOWN=1", NULL));
	tenant_discard(sibling);
}

/* The other launches of it are charged when the first shows how long they take. */
TENANT_BODY(launches_several_before_it_knows_one)
{
	CUstream other;
	CUevent first;

	gate_deadline(DEADLINE_S);
	gate_open();
	other = gate_new_stream();
	check_result(cuEventCreate(&first, CU_EVENT_DEFAULT), CUDA_SUCCESS);
	/* So many were short that several may be in flight. */
	for (unsigned i = 1; i <= 60; i++)
		run_as(i * 256, GATE_US);
	launch_a_long_one(other);
	check_result(cuEventRecord(first, other), CUDA_SUCCESS);
	for (int i = 0; i < 3; i++)
		launch_a_long_one(other);
	check_result(cuEventSynchronize(first), CUDA_SUCCESS);
	check(cuStreamQuery(other) == CUDA_ERROR_NOT_READY);
	for (unsigned i = 0; i < 2000; i++)
		check_result(gate_set(0, i, gate.stream), CUDA_SUCCESS);
	check(cuStreamQuery(other) == CUDA_SUCCESS);
}

static void launches_in_flight_are_charged_when_the_first_shows_what_they_cost(void)
{
	tenant_dir();
	CU_ASSERT(tenant_passes("launches_several_before_it_knows_one",
				"GPUSHIM_COMPUTE=50", NULL));
}

/* ---- what never ends ---- */

TENANT_BODY(spins_for_ever)
{
	gate_open();
	check_result(gate_spin(0, 1, gate.stream), CUDA_SUCCESS);
	tenant_meet();
	pause();
}

/* Each of a signature of its own. */
static void launch_unknown_ones(unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++)
		run_as(i * 256, 10 * GATE_US);
}

/* The first is held up, the others are not any more. */
TENANT_BODY(launches_beside_a_persistent_kernel)
{
	uint64_t began_ns;

	gate_deadline(DEADLINE_S);
	gate_open();
	launch_unknown_ones(1, 4);
	began_ns = now_ns();
	launch_unknown_ones(5, 10);
	/* Each of them waits for 400 ms where the persistent one is still thought short. */
	check(now_ns() - began_ns < 2000 * GATE_MS);
}

static void a_kernel_that_never_ends_holds_up_what_siblings_do_not_know_for_a_second(void)
{
	pid_t spins;

	tenant_dir();
	spins = tenant_start("spins_for_ever", "GPUSHIM_COMPUTE=50", NULL);
	CU_ASSERT(tenant_met(spins));
	tenant_go(spins);
	CU_ASSERT(tenant_passes("launches_beside_a_persistent_kernel",
				"GPUSHIM_COMPUTE=50", NULL));
	tenant_discard(spins);
}

/* Its launches of unknown cost have been seen to be done, and it comes and goes. */
TENANT_BODY(works_now_and_then)
{
	gate_open();
	launch_unknown_ones(40, 2);
	for (int i = 0; i < 8; i++)
		run_as(4096, 10 * GATE_US);
	tenant_meet();
	for (;;) {
		run_as(4096, 200 * GATE_US);
		usleep(2000);
	}
}

TENANT_BODY(leaves_a_kernel_in_flight)
{
	gate_open();
	check_result(gate_spin(0, 1, gate.stream), CUDA_SUCCESS);
	tenant_meet();
	pause();
}

TENANT_BODY(launches_one_unknown)
{
	gate_deadline(5);
	gate_open();
	run_as(30 * 256, 10 * GATE_US);
}

/* A stopped process does not notice what of its work is done. */
static void a_stopped_sibling_does_not_hold_up_the_others_while_some_work(void)
{
	pid_t stopped, works;

	tenant_dir();
	works = tenant_start("works_now_and_then", "GPUSHIM_COMPUTE=50", NULL);
	CU_ASSERT(tenant_met(works));
	tenant_go(works);
	stopped = tenant_start("leaves_a_kernel_in_flight", "GPUSHIM_COMPUTE=50", NULL);
	CU_ASSERT(tenant_met(stopped));
	kill(stopped, SIGSTOP);
	CU_ASSERT(tenant_passes("launches_one_unknown", "GPUSHIM_COMPUTE=50", NULL));
	tenant_discard(stopped);
	tenant_discard(works);
}

/* ---- kernels that wait for each other ---- */

/*
 * Each stream sets the word that the kernel in the other one spins on, and spins itself: whatever
 * is held finds a kernel that spins, which takes as long as the hold. That must not make the next
 * hold longer.
 */
TENANT_BODY(spin_on_each_other)
{
	enum { ROUNDS = 3 };
	uint64_t began_ns, took_ns = 0, least_ns = UINT64_MAX;
	CUstream other;

	gate_deadline(DEADLINE_S);
	gate_open();
	other = gate_new_stream();
	check_result(gate_spin(1, 1, gate.stream), CUDA_SUCCESS);
	gate_owe(500 * GATE_MS);
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		began_ns = now_ns();
		check_result(gate_set(0, i, gate.stream), CUDA_SUCCESS);
		check_result(gate_spin(1, i + 1, gate.stream), CUDA_SUCCESS);
		check_result(gate_set(1, i, other), CUDA_SUCCESS);
		check_result(gate_spin(0, i, other), CUDA_SUCCESS);
		took_ns = now_ns() - began_ns;
		fprintf(stderr, "round %u: %.1f ms\n", i, (double)took_ns / 1e6);
		if (took_ns < least_ns)
			least_ns = took_ns;
	}
	check(took_ns < 3 * least_ns);
}

static void kernels_that_wait_for_each_other_do_not_wait_ever_longer(void)
{
	CU_ASSERT(tenant_passes("spin_on_each_other", "GPUSHIM_COMPUTE=5", NULL));
	printf("%s", tenant_stderr());
}

/* ---- the bell ---- */

enum { RINGS = 6 };

/* Charged for a long kernel and seen to be a short one: credit comes back. */
TENANT_BODY(gives_credit_back)
{
	gate_deadline(DEADLINE_S);
	gate_open();
	for (int i = 0; i < 4; i++)
		run_as(512, 60 * GATE_MS);
	for (int i = 0; i < RINGS; i++) {
		tenant_meet();
		run_as(512, 1 * GATE_US);
		run_as(512, 60 * GATE_MS);
		run_as(512, 60 * GATE_MS);
	}
	tenant_meet();
}

struct listener {
	struct gpushim_ledger_bucket *bucket;
	int woken, stop;
};

/* As a launch of a sibling waits, but without its five milliseconds. */
static void *listen_to_the_bell(void *argument)
{
	struct listener *listener = argument;
	const struct timespec longest = { 0, 200000000 };

	while (!__atomic_load_n(&listener->stop, __ATOMIC_RELAXED)) {
		uint32_t bell = __atomic_load_n(&listener->bucket->bell,
						__ATOMIC_RELAXED);

		if (syscall(SYS_futex, &listener->bucket->bell, FUTEX_WAIT, bell,
			    &longest, NULL, 0) == 0)
			__atomic_fetch_add(&listener->woken, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void credit_that_comes_back_wakes_who_waits_in_a_sibling(void)
{
	struct listener listener = { 0 };
	pthread_t thread;
	pid_t pid;

	tenant_dir();
	pid = tenant_start("gives_credit_back", "GPUSHIM_COMPUTE=80", NULL);
	CU_ASSERT(tenant_met(pid));
	listener.bucket = gate_bucket();
	CU_ASSERT_PTR_NOT_NULL_FATAL(listener.bucket);
	CU_ASSERT_EQUAL_FATAL(
		pthread_create(&thread, NULL, listen_to_the_bell, &listener), 0);
	for (int i = 0; i < RINGS; i++) {
		tenant_go(pid);
		CU_ASSERT(tenant_met(pid));
	}
	printf("woken %d times\n", listener.woken);
	CU_ASSERT(listener.woken > 0);
	__atomic_store_n(&listener.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	tenant_discard(pid);
}

const struct unit_suite unit_suite = {
	.name = "siblings",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(four_siblings_with_50_ms_kernels_share_40_percent),
		UNIT_TEST(four_siblings_with_20_us_kernels_get_nearly_all_of_40_percent),
		UNIT_TEST(siblings_that_hold_the_device_in_slices_are_charged_for_them_once),
		UNIT_TEST(four_siblings_that_begin_with_300_ms_kernels_exceed_by_three_at_most),
		UNIT_TEST(of_siblings_that_begin_with_what_nobody_knows_two_run_in_a_second),
		UNIT_TEST(of_threads_that_begin_with_what_nobody_knows_one_goes_first),
		UNIT_TEST(what_a_sibling_has_learned_is_charged_from_the_first_launch),
		UNIT_TEST(launches_in_flight_are_charged_when_the_first_shows_what_they_cost),
		UNIT_TEST(a_kernel_that_never_ends_holds_up_what_siblings_do_not_know_for_a_second),
		UNIT_TEST(a_stopped_sibling_does_not_hold_up_the_others_while_some_work),
		UNIT_TEST(kernels_that_wait_for_each_other_do_not_wait_ever_longer),
		UNIT_TEST(credit_that_comes_back_wakes_who_waits_in_a_sibling),
	},
};
