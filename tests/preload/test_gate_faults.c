/*
 * test_gate_faults.c - a driver whose events fail, errors that stay, entry points that an
 * older driver lacks, a ledger that somebody scribbles on: a tenant under a limit is never
 * stuck and never without a limit, and the ledger says what was lost.
 */
#include "cunit_main.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common_gate.h"
#include "common_tenant.h"

#define LIMIT "GPUSHIM_COMPUTE=20"

enum { PATH_BYTES = 4096 };

TENANT_BODY(loads_without_end)
{
	gate_load();
}

/* At most twice the share, and something at all: measured in another way, if in any. */
static void goes_on_within_bounds(pid_t pid, uint64_t launch_ns, unsigned milliseconds)
{
	struct gate_use use;

	CU_ASSERT(gate_was_busy(5 * launch_ns));
	use = gate_watch(milliseconds);
	CU_ASSERT(use.busy_ns > 0);
	if (use.busy_ns > use.wall_ns / 10 * 4 + 36 * GATE_MS + launch_ns) {
		printf("busy for %.1f ms of %.1f ms\n", (double)use.busy_ns / 1e6,
		       (double)use.wall_ns / 1e6);
		CU_FAIL("there is no limit any more");
	}
	tenant_discard(pid);
}

/* ---- events ---- */

static void with_fault(const char *fault, const char *load, uint64_t launch_ns)
{
	tenant_dir();
	goes_on_within_bounds(tenant_start("loads_without_end", LIMIT, load, fault, NULL),
			      launch_ns, 500);
}

static void short_and_long(const char *fault)
{
	with_fault(fault, "LOAD=100", 100 * GATE_US);
	tenant_forget();
	with_fault(fault, "LOAD=5000", 5 * GATE_MS);
}

static void events_that_cannot_be_recorded_lift_no_limit(void)
{
	short_and_long("SIMGPU_FAULTS=cuEventRecord@*=999");
}

static void events_that_cannot_be_made_lift_no_limit(void)
{
	short_and_long("SIMGPU_FAULTS=cuEventCreate@*=2");
}

static void events_that_tell_no_time_lift_no_limit(void)
{
	short_and_long("SIMGPU_FAULTS=cuEventElapsedTime@*=999");
}

static void *loads_in_a_thread(void *argument)
{
	CUstream stream;

	(void)argument;
	check_result(cuCtxSetCurrent(gate.context), CUDA_SUCCESS);
	stream = gate_new_stream();
	while (check_result(gate_work(10 * GATE_MS, stream), CUDA_SUCCESS))
		;
	return NULL;
}

TENANT_BODY(loads_in_four_threads)
{
	pthread_t other;

	gate_open();
	for (int i = 0; i < 3; i++)
		check(pthread_create(&other, NULL, loads_in_a_thread, NULL) == 0);
	loads_in_a_thread(NULL);
}

/* Four of them are waited for at the same time, and that time is charged once. */
static void threads_without_events_share_a_half(void)
{
	struct gate_use use;
	bool enough = false;
	pid_t pid;

	tenant_dir();
	pid = tenant_start("loads_in_four_threads", "GPUSHIM_COMPUTE=50",
			   "SIMGPU_FAULTS=cuEventRecord@*=999", NULL);
	CU_ASSERT(gate_was_busy(100 * GATE_MS));
	CU_ASSERT(gate_stays_below(500, 4 * 10 * GATE_MS, 400));
	for (int i = 0; i < 5 && !enough; i++) {
		use = gate_watch(400);
		enough = use.busy_ns >= use.wall_ns / 4;
	}
	CU_ASSERT(enough);
	tenant_discard(pid);
}

static void some_events_that_fail_lift_no_limit(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("loads_without_end", LIMIT, "LOAD=1000",
			   "SIMGPU_FAULTS=cuEventElapsedTime@20+=999", NULL);
	CU_ASSERT(gate_was_busy(60 * GATE_MS));
	CU_ASSERT(GATE_COUNTS(lost_samples, 10));
	CU_ASSERT(gate_stays_below(400, GATE_MS, 500));
	tenant_discard(pid);
}

TENANT_BODY(launches_twelve)
{
	gate_deadline(10);
	gate_open();
	for (int i = 0; i < 12; i++)
		check_result(gate_work(100 * GATE_US, gate.stream), CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
}

/* Four of which nothing is known, and each later one by the progress rule, or sooner. */
static void events_that_never_complete_stop_nobody(void)
{
	CU_ASSERT(tenant_passes("launches_twelve", LIMIT,
				"SIMGPU_FAULTS=cuEventQuery@*=600", NULL));
}

/* ---- errors that stay ---- */

TENANT_BODY(dies_of_an_illegal_address)
{
	CUresult result = CUDA_SUCCESS;

	gate_deadline(10);
	gate_open();
	for (int i = 0; i < 50; i++)
		check_result(gate_work(100 * GATE_US, gate.stream), CUDA_SUCCESS);
	gate.words_at = 0x10;
	check_result(gate_set(0, 1, gate.stream), CUDA_SUCCESS);
	for (int i = 0; i < 1000 && result == CUDA_SUCCESS; i++)
		result = gate_work(100 * GATE_US, gate.stream);
	check_result(result, CUDA_ERROR_ILLEGAL_ADDRESS);
	/* Nobody waits for what can never be. */
	for (int i = 0; i < 1000; i++)
		check_result(gate_work(100 * GATE_US, gate.stream),
			     CUDA_ERROR_ILLEGAL_ADDRESS);
	alarm(0);
	tenant_meet();
}

static void who_dies_of_an_illegal_address_disturbs_nobody(void)
{
	pid_t sibling, pid;

	tenant_dir();
	sibling = tenant_start("loads_without_end", LIMIT, "LOAD=500", NULL);
	CU_ASSERT(gate_was_busy(40 * GATE_MS));
	for (int i = 0; i < 2; i++) {
		pid = tenant_start("dies_of_an_illegal_address", LIMIT, NULL);
		if (tenant_met(pid)) {
			CU_ASSERT(gate_holds(200, GATE_MS, 300));
			tenant_go(pid);
		}
		CU_ASSERT(tenant_ends(pid));
	}
	CU_ASSERT(gate_holds(200, GATE_MS, 400));
	tenant_discard(sibling);
}

/* ---- launches that fail ---- */

/* Known to take 100 us, and refused for want of parameters. */
static void launch_in_vain(unsigned shared_bytes)
{
	check_result(cuLaunchKernel(gate.work, 264, 1, 1, 1024, 1, 1, shared_bytes,
				    gate.stream, NULL, NULL),
		     CUDA_ERROR_INVALID_VALUE);
}

TENANT_BODY(launches_in_vain)
{
	gate_deadline(10);
	gate_open();
	for (int i = 0; i < 200; i++)
		check_result(gate_work(100 * GATE_US, gate.stream), CUDA_SUCCESS);
	/* Four seconds that are not paid for. */
	for (int i = 0; i < 40000; i++)
		launch_in_vain(0);
	alarm(0);
	tenant_meet();
	gate_load();
}

static void launches_that_fail_cost_nothing(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("launches_in_vain", LIMIT, "LOAD=500", NULL);
	if (tenant_met(pid)) {
		tenant_go(pid);
		CU_ASSERT(gate_holds(200, GATE_MS, 400));
		tenant_discard(pid);
	} else {
		CU_ASSERT(tenant_ends(pid));
	}
}

/* Ten launches that fail to each that does not. */
TENANT_BODY(loads_and_fails)
{
	gate_open();
	for (int i = 0; check_result(gate_work(100 * GATE_US, gate.stream), CUDA_SUCCESS);
	     i++)
		for (int j = 0; j < 10 && i > 100; j++)
			launch_in_vain(0);
}

static void launches_that_fail_earn_nothing(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("loads_and_fails", LIMIT, NULL);
	CU_ASSERT(gate_was_busy(40 * GATE_MS));
	CU_ASSERT(gate_holds(200, GATE_MS, 500));
	tenant_discard(pid);
}

/* ---- an older driver ---- */

/* The bytes of a file; NULL if it cannot be read. */
static char *contents(const char *path, size_t *size)
{
	FILE *file = fopen(path, "r");
	char *text = NULL;

	if (file && fseek(file, 0, SEEK_END) == 0) {
		*size = (size_t)ftell(file);
		rewind(file);
		text = malloc(*size);
	}
	if (text && fread(text, 1, *size, file) != *size) {
		free(text);
		text = NULL;
	}
	if (file)
		fclose(file);
	return text;
}

/* Copies the driver to a directory of its own, with one name in its tables changed. */
static bool make_driver_without(const char *symbol, char directory[PATH_BYTES])
{
	const char *build = getenv("BUILD") ? getenv("BUILD") : "build";
	char path[PATH_BYTES + 32];
	size_t size = 0, length = strlen(symbol) + 1;
	unsigned found = 0;
	char *driver;
	FILE *file;

	snprintf(path, sizeof(path), "%s/sim/libcuda.so.1", build);
	driver = contents(path, &size);
	if (!driver)
		return false;
	for (size_t i = 1; i + length <= size; i++)
		if (driver[i - 1] == '\0' && memcmp(driver + i, symbol, length) == 0) {
			driver[i] = 'x';
			found++;
		}
	snprintf(directory, PATH_BYTES, "%s/without", tenant_dir());
	mkdir(directory, 0700);
	snprintf(path, sizeof(path), "%s/libcuda.so.1", directory);
	file = fopen(path, "w");
	found *= file && fwrite(driver, 1, size, file) == size;
	if (file)
		fclose(file);
	free(driver);
	return found > 0;
}

static void holds_without(const char *symbol)
{
	char directory[PATH_BYTES], variable[2 * PATH_BYTES];
	pid_t pid;

	tenant_dir();
	CU_ASSERT_FATAL(make_driver_without(symbol, directory));
	snprintf(variable, sizeof(variable), "LD_LIBRARY_PATH=%s", directory);
	pid = tenant_start("loads_without_end", LIMIT, "LOAD=500", variable, NULL);
	CU_ASSERT(gate_was_busy(40 * GATE_MS));
	CU_ASSERT(gate_holds(200, GATE_MS, 400));
	CU_ASSERT(GATE_COUNTED(samples) > 10);
	tenant_discard(pid);
	tenant_forget();
}

static void drivers_without_newer_entry_points_are_held_as_well(void)
{
	holds_without("cuThreadExchangeStreamCaptureMode");
	holds_without("cuFuncGetName");
	holds_without("cuStreamIsCapturing");
}

static void drivers_that_do_not_tell_a_streams_context_are_held_as_well(void)
{
	holds_without("cuStreamGetCtx");
}

/* ---- a ledger that is scribbled on ---- */

static const struct {
	uint64_t level, refilled_ns;
} scribbles[] = {
	{ INT64_MAX, 1 },
	{ (uint64_t)INT64_MIN, 1 },
	{ 0, UINT64_MAX },
	{ UINT64_MAX / 3, UINT64_MAX / 2 },
};

static void scribbled_words_neither_free_nor_stop_a_tenant(void)
{
	struct gpushim_ledger_bucket *bucket;
	uint64_t repairs, spoilt = 0;
	struct gate_use use, part;
	pid_t pid;

	tenant_dir();
	pid = tenant_start("loads_without_end", LIMIT, "LOAD=500", NULL);
	CU_ASSERT(gate_was_busy(40 * GATE_MS));
	bucket = gate_bucket();
	CU_ASSERT_PTR_NOT_NULL_FATAL(bucket);
	repairs = __atomic_load_n(&bucket->repairs, __ATOMIC_RELAXED);
	use = (struct gate_use){ 0, 0 };
	for (unsigned i = 0; i < sizeof(scribbles) / sizeof(scribbles[0]); i++) {
		__atomic_store_n(&bucket->level, scribbles[i].level, __ATOMIC_RELAXED);
		if (scribbles[i].refilled_ns != 1)
			__atomic_store_n(&bucket->refilled_ns, scribbles[i].refilled_ns,
					 __ATOMIC_RELAXED);
		spoilt++;
		part = gate_watch(250);
		/* Not stopped for good. */
		CU_ASSERT(part.busy_ns > 0);
		use.busy_ns += part.busy_ns;
		use.wall_ns += part.wall_ns;
	}
	/* A burst for each at the most. */
	CU_ASSERT(use.busy_ns <= use.wall_ns / 5 + (spoilt + 1) * 36 * GATE_MS);
	CU_ASSERT(__atomic_load_n(&bucket->repairs, __ATOMIC_RELAXED) >=
		  repairs + spoilt);
	CU_ASSERT(gate_holds(200, GATE_MS, 400));
	tenant_discard(pid);
}

/* A clock that was never set is a fresh start: a burst each time, and no more. */
static void a_clock_set_to_nothing_gives_a_burst_at_most(void)
{
	struct gpushim_ledger_bucket *bucket;
	struct gate_use use;
	pid_t pid;

	tenant_dir();
	pid = tenant_start("loads_without_end", LIMIT, "LOAD=500", NULL);
	CU_ASSERT(gate_was_busy(40 * GATE_MS));
	bucket = gate_bucket();
	CU_ASSERT_PTR_NOT_NULL_FATAL(bucket);
	__atomic_store_n(&bucket->refilled_ns, 0, __ATOMIC_RELAXED);
	use = gate_watch(500);
	CU_ASSERT(use.busy_ns > 0);
	CU_ASSERT(use.busy_ns <= use.wall_ns / 5 + 2 * 36 * GATE_MS);
	CU_ASSERT(gate_holds(200, GATE_MS, 400));
	tenant_discard(pid);
}

/* The words of the progress rule, and of who has how much in flight. */
static void scribbled_stalls_release_nobody(void)
{
	struct gpushim_ledger_bucket *bucket;
	pid_t pid;

	tenant_dir();
	pid = tenant_start("loads_without_end", LIMIT, "LOAD=500", NULL);
	CU_ASSERT(gate_was_busy(40 * GATE_MS));
	bucket = gate_bucket();
	CU_ASSERT_PTR_NOT_NULL_FATAL(bucket);
	for (int i = 0; i < 10; i++) {
		__atomic_store_n(&bucket->stalled.since_ns, i % 2 ? 1 : UINT64_MAX,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&bucket->stalled.times, i % 3 ? UINT64_MAX : 0,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&bucket->stalled.at, (uint64_t)i, __ATOMIC_RELAXED);
		gate_watch(20);
	}
	CU_ASSERT(gate_holds(200, GATE_MS, 400));
	tenant_discard(pid);
}

const struct unit_suite unit_suite = {
	.name = "faults under a limit",
	.teardown = tenant_forget,
	.tests = { UNIT_TEST(events_that_cannot_be_recorded_lift_no_limit),
		   UNIT_TEST(events_that_cannot_be_made_lift_no_limit),
		   UNIT_TEST(events_that_tell_no_time_lift_no_limit),
		   UNIT_TEST(threads_without_events_share_a_half),
		   UNIT_TEST(some_events_that_fail_lift_no_limit),
		   UNIT_TEST(events_that_never_complete_stop_nobody),
		   UNIT_TEST(who_dies_of_an_illegal_address_disturbs_nobody),
		   UNIT_TEST(launches_that_fail_cost_nothing),
		   UNIT_TEST(launches_that_fail_earn_nothing),
		   UNIT_TEST(drivers_without_newer_entry_points_are_held_as_well),
		   UNIT_TEST(drivers_that_do_not_tell_a_streams_context_are_held_as_well),
		   UNIT_TEST(scribbled_words_neither_free_nor_stop_a_tenant),
		   UNIT_TEST(a_clock_set_to_nothing_gives_a_burst_at_most),
		   UNIT_TEST(scribbled_stalls_release_nobody) },
};
