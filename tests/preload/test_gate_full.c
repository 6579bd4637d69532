/*
 * test_gate_full.c - programs with more streams, threads and contexts at once than the
 * library keeps records of: no launch is refused for that, without a limit none is held up
 * either, and under a limit what there is no record of is held to it as well.
 *
 * A body uses all records up in a way that the device can see: launches that wait for a word,
 * threads that stay, contexts that are not destroyed. What comes then finds none.
 */
#include "cunit_main.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common_gate.h"
#include "common_publish.h"
#include "common_tenant.h"

#define LIMIT "GPUSHIM_COMPUTE=50"
#define NO_LIMIT "GPUSHIM_MEMORY=8GiB"

enum {
	/* As many as the library has records of. */
	STREAMS = 1024,
	THREADS = 2048,
	CONTEXTS = 256,
	/* And more than that. */
	MORE = 476,
	STACK_BYTES = 256 << 10,
};

/* So short that a thousand of them may be in flight. */
#define SHORT_NS (12 * GATE_US)

static atomic_uint launched;
/* Held as long as threads are to stay. */
static pthread_mutex_t stay = PTHREAD_MUTEX_INITIALIZER;

static uint64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* ---- threads that stay ---- */

static void wait_for_launched(unsigned count)
{
	while (atomic_load(&launched) < count)
		usleep(100);
}

static void start_threads(pthread_t *threads, unsigned count, void *(*run)(void *))
{
	pthread_attr_t small;

	check(pthread_attr_init(&small) == 0);
	check(pthread_attr_setstacksize(&small, STACK_BYTES) == 0);
	for (unsigned i = 0; i < count; i++)
		if (!check(pthread_create(&threads[i], &small, run, NULL) == 0))
			_exit(1);
	pthread_attr_destroy(&small);
}

static void join_threads(const pthread_t *threads, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

static void has_launched(void)
{
	atomic_fetch_add(&launched, 1);
	pthread_mutex_lock(&stay);
	pthread_mutex_unlock(&stay);
}

/* The test looks into the books meanwhile. */
static void all_is_done(void)
{
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	alarm(0);
	tenant_meet();
}

/* ---- streams ---- */

/* A launch that is in flight until the host writes the word. */
static void launch_behind_the_word(void)
{
	CUstream stream = gate_new_stream();

	check_result(
		cuStreamWaitValue32(stream, gate.words_at, 1, CU_STREAM_WAIT_VALUE_GEQ),
		CUDA_SUCCESS);
	check_result(gate_work(SHORT_NS, stream), CUDA_SUCCESS);
}

static void write_the_word(void)
{
	gate.words[0] = 1;
}

/* Nobody but the thread that launches could let what it has launched go on. */
TENANT_BODY(launches_on_many_streams)
{
	gate_deadline(20);
	gate_open();
	for (int i = 0; i < STREAMS + MORE; i++)
		launch_behind_the_word();
	write_the_word();
	all_is_done();
}

static bool met(pid_t pid)
{
	if (tenant_met(pid))
		return true;
	CU_ASSERT(tenant_ends(pid));
	CU_FAIL("the body ended");
	return false;
}

/* All are launched and counted, and none waited; the device did that much. */
static bool all_passed(pid_t pid, uint64_t launches, uint64_t busy_ns)
{
	if (!met(pid))
		return false;
	CU_ASSERT(gate_was_busy(busy_ns));
	CU_ASSERT(GATE_COUNTS(launches, launches));
	CU_ASSERT_EQUAL(GATE_COUNTED(launches), launches);
	CU_ASSERT_EQUAL(GATE_COUNTED(delayed), 0);
	return true;
}

static void all_pass(pid_t pid, uint64_t launches, uint64_t busy_ns)
{
	if (all_passed(pid, launches, busy_ns)) {
		tenant_go(pid);
		CU_ASSERT(tenant_ends(pid));
	}
}

static void streams_without_number_launch_without_a_limit(void)
{
	tenant_dir();
	all_pass(tenant_start("launches_on_many_streams", NO_LIMIT, NULL), STREAMS + MORE,
		 (STREAMS + MORE) * SHORT_NS);
}

static void streams_without_number_launch_in_an_audit(void)
{
	char path[4096], variable[4160];

	snprintf(path, sizeof(path), "%s/limits.json", tenant_dir());
	tenant_write(path, "{ \"version\": 1, \"tenants\": { \"default\": "
			   "{ \"compute\": 5, \"enforce\": false } } }");
	snprintf(variable, sizeof(variable), "GPUSHIM_LIMITS=%s", path);
	all_pass(tenant_start("launches_on_many_streams", "GPUSHIM_TENANT=default",
			      variable, NULL),
		 STREAMS + MORE, (STREAMS + MORE) * SHORT_NS);
}

static void *launches_one_behind_the_word(void *argument)
{
	(void)argument;
	check_result(cuCtxSetCurrent(gate.context), CUDA_SUCCESS);
	launch_behind_the_word();
	has_launched();
	return NULL;
}

/* Threads that launch nothing else, so that each of the launches is measured. */
static void use_all_streams_up(pthread_t threads[STREAMS])
{
	/* Known to be short, all of them, so that none of these is held. */
	for (int i = 0; i < 3000; i++)
		check_result(gate_work(SHORT_NS, gate.stream), CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	pthread_mutex_lock(&stay);
	start_threads(threads, STREAMS, launches_one_behind_the_word);
	wait_for_launched(STREAMS);
}

static void *launches_more_behind_the_word(void *argument)
{
	(void)argument;
	check_result(cuCtxSetCurrent(gate.context), CUDA_SUCCESS);
	for (int i = 0; i < MORE; i++) {
		launch_behind_the_word();
		atomic_fetch_add(&launched, 1);
	}
	return NULL;
}

TENANT_BODY(launches_on_many_streams_under_a_limit)
{
	pthread_t threads[STREAMS], more;

	gate_deadline(20);
	gate_open();
	use_all_streams_up(threads);
	start_threads(&more, 1, launches_more_behind_the_word);
	/* Nothing has completed until then, and a launch has passed all the same. */
	wait_for_launched(STREAMS + 2);
	write_the_word();
	pthread_mutex_unlock(&stay);
	join_threads(&more, 1);
	join_threads(threads, STREAMS);
	all_is_done();
}

static void streams_without_number_launch_under_a_limit(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("launches_on_many_streams_under_a_limit", LIMIT, NULL);
	if (tenant_met(pid)) {
		CU_ASSERT(gate_was_busy((STREAMS + MORE) * SHORT_NS));
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
}

/* ---- held to the share ---- */

/* The load begins when the body has met the test, and finds no record of its own. */
static void is_held(const char *body)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start(body, LIMIT, "LOAD=1000", NULL);
	if (!met(pid))
		return;
	tenant_go(pid);
	CU_ASSERT(gate_was_busy(150 * GATE_MS));
	CU_ASSERT(gate_stays_below(500, 5 * GATE_MS, 500));
	CU_ASSERT(GATE_COUNTED(lost_samples) > 50);
	tenant_discard(pid);
}

TENANT_BODY(loads_a_stream_too_many)
{
	pthread_t threads[STREAMS];

	gate_deadline(20);
	gate_open();
	use_all_streams_up(threads);
	alarm(0);
	tenant_meet();
	gate_load();
}

static void a_stream_too_many_is_held_to_the_share(void)
{
	is_held("loads_a_stream_too_many");
}

/* ---- threads ---- */

static void *launches_and_stays(void *argument)
{
	(void)argument;
	check_result(cuCtxSetCurrent(gate.context), CUDA_SUCCESS);
	check_result(gate_work(GATE_US, gate.stream), CUDA_SUCCESS);
	has_launched();
	return NULL;
}

/* This one has not launched anything by then. */
static void use_all_lanes_up(pthread_t threads[THREADS])
{
	pthread_mutex_lock(&stay);
	start_threads(threads, THREADS, launches_and_stays);
	wait_for_launched(THREADS);
}

static void let_threads_end(const pthread_t threads[THREADS])
{
	pthread_mutex_unlock(&stay);
	join_threads(threads, THREADS);
}

/* Refused by the driver, for want of parameters. */
static void launch_in_vain(unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		check_result(cuLaunchKernel(gate.work, 264, 1, 1, 1024, 1, 1, 0,
					    gate.stream, NULL, NULL),
			     CUDA_ERROR_INVALID_VALUE);
}

TENANT_BODY(has_many_threads)
{
	pthread_t threads[THREADS], more[52];

	gate_deadline(30);
	gate_open();
	use_all_lanes_up(threads);
	start_threads(more, 52, launches_and_stays);
	wait_for_launched(THREADS + 52);
	launch_in_vain(10);
	let_threads_end(threads);
	join_threads(more, 52);
	all_is_done();
	gate_load();
}

static void threads_without_number_launch_without_a_limit(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("has_many_threads", NO_LIMIT, NULL);
	if (all_passed(pid, THREADS + 52, (THREADS + 52) * GATE_US))
		tenant_discard(pid);
}

/* And who launches when they have gone is measured. */
static void threads_without_number_launch_under_a_limit(void)
{
	uint64_t samples;
	pid_t pid;

	tenant_dir();
	pid = tenant_start("has_many_threads", LIMIT, "LOAD=1000", NULL);
	if (!met(pid))
		return;
	CU_ASSERT(GATE_COUNTS(launches, THREADS + 52));
	CU_ASSERT_EQUAL(GATE_COUNTED(launches), THREADS + 52);
	samples = GATE_COUNTED(samples);
	tenant_go(pid);
	CU_ASSERT(GATE_COUNTS(samples, samples + 20));
	CU_ASSERT(gate_holds(500, GATE_MS, 400));
	tenant_discard(pid);
}

TENANT_BODY(loads_by_a_thread_too_many)
{
	pthread_t threads[THREADS];

	gate_deadline(30);
	gate_open();
	use_all_lanes_up(threads);
	alarm(0);
	tenant_meet();
	gate_load();
}

static void a_thread_too_many_is_held_to_the_share(void)
{
	is_held("loads_by_a_thread_too_many");
}

static void *learns_what_is_long(void *argument)
{
	(void)argument;
	check_result(cuCtxSetCurrent(gate.context), CUDA_SUCCESS);
	for (int i = 0; i < 8; i++)
		check_result(gate_work(10 * GATE_MS, gate.stream), CUDA_SUCCESS);
	check_result(cuStreamSynchronize(gate.stream), CUDA_SUCCESS);
	return NULL;
}

/* If they were charged, the next launch would wait for 40 seconds. */
TENANT_BODY(launches_in_vain_by_a_thread_too_many)
{
	pthread_t threads[THREADS], other;

	gate_deadline(20);
	gate_open();
	start_threads(&other, 1, learns_what_is_long);
	join_threads(&other, 1);
	use_all_lanes_up(threads);
	launch_in_vain(2000);
	/* The later ones wait for credit. */
	for (int i = 0; i < 6; i++) {
		errno = EXDEV;
		check_result(gate_work(10 * GATE_MS, gate.stream), CUDA_SUCCESS);
		check(errno == EXDEV);
	}
}

static void what_the_driver_refuses_a_thread_too_many_costs_nothing(void)
{
	CU_ASSERT(tenant_passes("launches_in_vain_by_a_thread_too_many", LIMIT, NULL));
}

static void *launches_one_that_is_captured(void *argument)
{
	(void)argument;
	check_result(cuCtxSetCurrent(gate.context), CUDA_SUCCESS);
	check_result(gate_work(10 * GATE_MS, gate.stream), CUDA_SUCCESS);
	atomic_fetch_add(&launched, 1);
	return NULL;
}

/* This thread has a record of its own, and so is in debt as soon as it has waited. */
TENANT_BODY(captures_while_another_waits)
{
	pthread_t threads[THREADS], other;
	CUgraph graph = NULL;
	size_t nodes = 0;

	gate_deadline(20);
	gate_open();
	gate_owe(GATE_MS);
	use_all_lanes_up(threads);
	gate_owe(500 * GATE_MS);
	/* The test sees that it is owed, */
	tenant_meet();
	start_threads(&other, 1, launches_one_that_is_captured);
	/* and that the thread waits. */
	tenant_meet();
	check_result(cuStreamBeginCapture(gate.stream, CU_STREAM_CAPTURE_MODE_RELAXED),
		     CUDA_SUCCESS);
	wait_for_launched(THREADS + 1);
	check_result(cuStreamEndCapture(gate.stream, &graph), CUDA_SUCCESS);
	check_result(cuGraphGetNodes(graph, NULL, &nodes), CUDA_SUCCESS);
	check(nodes == 1);
	join_threads(&other, 1);
}

static void a_capture_that_begins_while_such_a_thread_waits_is_not_harmed(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("captures_while_another_waits", LIMIT, NULL);
	if (met(pid)) {
		CU_ASSERT(GATE_COUNTS(gpu_ns, 480 * GATE_MS));
		tenant_go(pid);
	}
	if (met(pid)) {
		for (int i = 0; i < 400 && GATE_COUNTED(waiting) == 0; i++)
			usleep(1000);
		CU_ASSERT_EQUAL(GATE_COUNTED(waiting), 1);
		tenant_go(pid);
		CU_ASSERT(tenant_ends(pid));
	}
}

/* A hundred launches, when nothing comes between. */
static uint64_t fastest_ns(void)
{
	uint64_t least_ns = UINT64_MAX, ns;

	for (int i = 0; i < 20; i++) {
		ns = now_ns();
		for (int j = 0; j < 100; j++)
			check_result(gate_work(GATE_US, gate.stream), CUDA_SUCCESS);
		ns = now_ns() - ns;
		least_ns = ns < least_ns ? ns : least_ns;
		check_result(cuStreamSynchronize(gate.stream), CUDA_SUCCESS);
	}
	return least_ns;
}

static void *measures_the_others(void *fastest)
{
	check_result(cuCtxSetCurrent(gate.context), CUDA_SUCCESS);
	*(uint64_t *)fastest = fastest_ns();
	return NULL;
}

/* To ask after two thousand threads takes longer than a hundred launches. */
TENANT_BODY(measures_itself)
{
	pthread_t threads[THREADS], other;
	uint64_t listed_ns = 0, own_ns;

	gate_deadline(20);
	gate_open();
	check(pthread_create(&other, NULL, measures_the_others, &listed_ns) == 0);
	join_threads(&other, 1);
	use_all_lanes_up(threads);
	own_ns = fastest_ns();
	if (!check(own_ns < 30 * listed_ns))
		fprintf(stderr, "%llu ns, and %llu ns with a record\n",
			(unsigned long long)own_ns, (unsigned long long)listed_ns);
}

static void a_thread_too_many_does_not_ask_after_the_others_every_time(void)
{
	CU_ASSERT(tenant_passes("measures_itself", NO_LIMIT, NULL));
}

static void *launches_once(void *argument)
{
	(void)argument;
	check_result(cuCtxSetCurrent(gate.context), CUDA_SUCCESS);
	errno = EXDEV;
	check_result(gate_work(GATE_US, gate.stream), CUDA_SUCCESS);
	check(errno == EXDEV);
	return NULL;
}

static void *launches_on_no_stream(void *stream)
{
	check_result(cuCtxSetCurrent(gate.context), CUDA_SUCCESS);
	for (int i = 0; i < THREADS + 52; i++)
		check(gate_work(GATE_US, stream) != CUDA_SUCCESS);
	return NULL;
}

/* One after the other, and sooner than somebody comes to see which of them are still there. */
TENANT_BODY(has_many_threads_in_turn)
{
	CUstream none;
	pthread_t thread;

	gate_deadline(30);
	gate_open();
	none = gate_new_stream();
	check_result(cuStreamDestroy(none), CUDA_SUCCESS);
	check(pthread_create(&thread, NULL, launches_on_no_stream, none) == 0);
	pthread_join(thread, NULL);
	for (int i = 0; i < THREADS + 52; i++) {
		check(pthread_create(&thread, NULL, launches_once, NULL) == 0);
		pthread_join(thread, NULL);
	}
	all_is_done();
}

static void threads_that_have_ended_and_failed_launches_take_no_room(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("has_many_threads_in_turn", LIMIT, NULL);
	if (tenant_met(pid)) {
		CU_ASSERT(GATE_COUNTS(launches, THREADS + 52));
		CU_ASSERT_EQUAL(GATE_COUNTED(lost_samples), 0);
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
}

/* ---- contexts ---- */

static void launch_in_many_contexts(unsigned count, CUdevice device)
{
	CUcontext context;
	CUdeviceptr p;

	check_result(cuInit(0), CUDA_SUCCESS);
	for (unsigned i = 0; i < count; i++) {
		check_result(cuCtxCreate(&context, NULL, 0, device), CUDA_SUCCESS);
		check_result(cuMemAlloc(&p, 4096), CUDA_SUCCESS);
		check_result(cuMemsetD32Async(p, i, 1024, NULL), CUDA_SUCCESS);
	}
}

TENANT_BODY(has_many_contexts)
{
	gate_deadline(20);
	launch_in_many_contexts(CONTEXTS, 1);
	launch_in_many_contexts(20, 0);
	all_is_done();
}

/* Launches on a device, the second of which was used first. */
static uint64_t launches_on(unsigned row)
{
	const struct gpushim_snapshot *snapshot = tenant_snapshot(tenant_dir(),
								  "default");

	return snapshot && row < snapshot->devices_count
		       ? snapshot->devices[row].time.launches
		       : 0;
}

static void contexts_without_number_launch_without_a_limit(void)
{
	pid_t pid;

	setenv("SIMGPU_CONTEXT", "1MiB", 1);
	setenv("SIMGPU_DEVICES", "2", 1);
	tenant_dir();
	pid = tenant_start("has_many_contexts", NO_LIMIT, NULL);
	if (all_passed(pid, CONTEXTS + 20, 1)) {
		CU_ASSERT_EQUAL(launches_on(0), CONTEXTS);
		CU_ASSERT_EQUAL(launches_on(1), 20);
		tenant_go(pid);
		CU_ASSERT(tenant_ends(pid));
	}
	unsetenv("SIMGPU_CONTEXT");
	unsetenv("SIMGPU_DEVICES");
}

TENANT_BODY(loads_in_a_context_too_many)
{
	CUcontext context;

	gate_deadline(20);
	launch_in_many_contexts(CONTEXTS, 0);
	check_result(cuCtxCreate(&context, NULL, 0, 0), CUDA_SUCCESS);
	gate_load_code();
	alarm(0);
	tenant_meet();
	gate_load();
}

static void a_context_too_many_is_held_to_the_share(void)
{
	setenv("SIMGPU_CONTEXT", "1MiB", 1);
	is_held("loads_in_a_context_too_many");
	unsetenv("SIMGPU_CONTEXT");
}

/* A limit of the first device only, whose streams are used while contexts of the second are
 * current. */
TENANT_BODY(loads_from_a_context_of_another_device)
{
	CUcontext other;

	gate_deadline(20);
	launch_in_many_contexts(atoi(getenv("CONTEXTS")), 1);
	check_result(cuCtxGetCurrent(&other), CUDA_SUCCESS);
	gate_open();
	check_result(cuCtxSetCurrent(other), CUDA_SUCCESS);
	alarm(0);
	tenant_meet();
	gate_load();
}

static void is_held_from_another_device(const char *contexts, bool listed)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("loads_from_a_context_of_another_device",
			   "CUDA_DEVICE_SM_LIMIT_0=50", "LOAD=1000", contexts, NULL);
	if (met(pid)) {
		tenant_go(pid);
		CU_ASSERT(gate_was_busy(150 * GATE_MS));
		CU_ASSERT(gate_stays_below(500, 5 * GATE_MS, 500));
		CU_ASSERT((GATE_COUNTED(lost_samples) == 0) == listed);
		tenant_discard(pid);
	}
	tenant_forget();
}

static void launches_from_another_device_are_held_by_the_streams_own_limit(void)
{
	setenv("SIMGPU_CONTEXT", "1MiB", 1);
	setenv("SIMGPU_DEVICES", "2", 1);
	is_held_from_another_device("CONTEXTS=1", true);
	is_held_from_another_device("CONTEXTS=256", false);
	unsetenv("SIMGPU_CONTEXT");
	unsetenv("SIMGPU_DEVICES");
}

/* ---- memory ---- */

/* The process may have hardly any more address space than it has. */
static void use_all_memory_up(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;
	struct rlimit limit;

	check(file && fscanf(file, "%lu", &pages) == 1);
	if (file)
		fclose(file);
	check(getrlimit(RLIMIT_AS, &limit) == 0);
	limit.rlim_cur = pages * (rlim_t)sysconf(_SC_PAGESIZE) + (1 << 20);
	check(setrlimit(RLIMIT_AS, &limit) == 0);
}

TENANT_BODY(launches_without_memory)
{
	gate_deadline(20);
	gate_open();
	use_all_memory_up();
	check_result(gate_work(GATE_US, gate.stream),
		     getenv("REFUSED") ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
}

static void without_memory_for_records_only_a_limit_refuses(void)
{
	/* A control: the driver has all it needs. */
	CU_ASSERT(tenant_passes_bare("launches_without_memory", NULL));
	CU_ASSERT(tenant_passes("launches_without_memory", NO_LIMIT, NULL));
	CU_ASSERT(tenant_passes("launches_without_memory", LIMIT, "REFUSED=1", NULL));
}

const struct unit_suite unit_suite = {
	.name = "more than there are records of",
	.teardown = tenant_forget,
	.tests = { UNIT_TEST(streams_without_number_launch_without_a_limit),
		   UNIT_TEST(streams_without_number_launch_in_an_audit),
		   UNIT_TEST(streams_without_number_launch_under_a_limit),
		   UNIT_TEST(a_stream_too_many_is_held_to_the_share),
		   UNIT_TEST(threads_without_number_launch_without_a_limit),
		   UNIT_TEST(threads_without_number_launch_under_a_limit),
		   UNIT_TEST(a_thread_too_many_is_held_to_the_share),
		   UNIT_TEST(what_the_driver_refuses_a_thread_too_many_costs_nothing),
		   UNIT_TEST(
			   a_capture_that_begins_while_such_a_thread_waits_is_not_harmed),
		   UNIT_TEST(a_thread_too_many_does_not_ask_after_the_others_every_time),
		   UNIT_TEST(threads_that_have_ended_and_failed_launches_take_no_room),
		   UNIT_TEST(contexts_without_number_launch_without_a_limit),
		   UNIT_TEST(a_context_too_many_is_held_to_the_share),
		   UNIT_TEST(
			   launches_from_another_device_are_held_by_the_streams_own_limit),
		   UNIT_TEST(without_memory_for_records_only_a_limit_refuses) },
};
