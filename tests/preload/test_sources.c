/*
 * Where limits come from, and which of several holds: judged by what the device has given,
 * and by what the ledger shows.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common_publish.h"
#include "common_tenant.h"
#include "cunit_main.h"

#include "../../tools/common/publish.h"

static const uint64_t MIB = UINT64_C(1) << 20;

/* Takes all that EXPECT says there is, byte for byte. */
static void fill(void)
{
	size_t expected = strtoull(getenv("EXPECT"), NULL, 10), total = 0, left = 1;
	CUdevice device = tenant_context();
	CUdeviceptr all, more;

	check_result(cuDeviceTotalMem(&total, device), CUDA_SUCCESS);
	check(total == expected);
	check_result(cuMemGetInfo(&left, &total), CUDA_SUCCESS);
	check(total == expected);
	check(left == expected);
	check_result(cuMemAlloc(&all, expected), CUDA_SUCCESS);
	check_result(cuMemAlloc(&more, 1), CUDA_ERROR_OUT_OF_MEMORY);
	tenant_meet();
	check_result(cuMemFree(all), CUDA_SUCCESS);
}

TENANT_BODY(fills)
{
	fill();
}

static void expect(uint64_t bytes)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	setenv("EXPECT", text, 1);
}

static uint32_t shown_source(const struct gpushim_snapshot *snapshot, uint64_t bytes)
{
	if (!snapshot || snapshot->devices_count == 0)
		return UINT32_MAX;
	CU_ASSERT_EQUAL(snapshot->devices[0].limit_bytes, bytes);
	CU_ASSERT_EQUAL(snapshot->devices[0].charged_bytes, bytes);
	return snapshot->devices[0].limit_source;
}

/* A body that fills, started with an EXPECT of the same bytes. */
static void holds(pid_t pid, uint64_t bytes, uint32_t source, const char *tenant)
{
	if (tenant_met(pid)) {
		CU_ASSERT_EQUAL(tenant_device_requested(), bytes);
		CU_ASSERT_EQUAL(
			shown_source(tenant_snapshot(tenant_dir(), tenant), bytes),
			source);
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
}

#define HOLDS(bytes, source, tenant, ...)                                               \
	do {                                                                            \
		expect(bytes);                                                          \
		tenant_dir();                                                           \
		holds(tenant_start("fills", __VA_ARGS__, NULL), bytes, source, tenant); \
		tenant_forget();                                                        \
	} while (0)

/* Otherwise the test is skipped. */
static bool can_mount(void)
{
	if (tenant_can_mount())
		return true;
	unit_skip("This user cannot have mounts of its own: run it as root.");
	return false;
}

/* ---- variables alone ---- */

static void a_size_in_a_variable_holds_to_the_byte(void)
{
	HOLDS(64 * MIB, GPUSHIM_SOURCE_VARIABLE, "default", "GPUSHIM_MEMORY=64MiB");
	HOLDS(100000001, GPUSHIM_SOURCE_VARIABLE, "default", "GPUSHIM_MEMORY=100000001");
}

static void a_share_in_a_variable_is_of_the_device(void)
{
	HOLDS(256 * MIB, GPUSHIM_SOURCE_VARIABLE, "default", "GPUSHIM_MEMORY=12.5%");
}

static void the_tenant_of_the_variable_gets_the_ledger(void)
{
	HOLDS(64 * MIB, GPUSHIM_SOURCE_VARIABLE, "train", "GPUSHIM_MEMORY=64MiB",
	      "GPUSHIM_TENANT=train");
}

static void limits_of_hami_are_understood(void)
{
	HOLDS(64 * MIB, GPUSHIM_SOURCE_HAMI, "default", "CUDA_DEVICE_MEMORY_LIMIT=64m");
	HOLDS(1024 * MIB, GPUSHIM_SOURCE_HAMI, "default", "CUDA_DEVICE_MEMORY_LIMIT=1g");
	HOLDS(3 * MIB, GPUSHIM_SOURCE_HAMI, "default",
	      "CUDA_DEVICE_MEMORY_LIMIT_0=3072K");
	HOLDS(5000001, GPUSHIM_SOURCE_HAMI, "default",
	      "CUDA_DEVICE_MEMORY_LIMIT=5000001");
}

static void the_limit_of_nvidia_is_in_mebibytes(void)
{
	HOLDS(64 * MIB, GPUSHIM_SOURCE_NVIDIA, "default", "NVIDIA_GPU_MEMORY_LIMIT=64");
}

static void the_smallest_of_several_variables_holds(void)
{
	HOLDS(32 * MIB, GPUSHIM_SOURCE_HAMI, "default", "GPUSHIM_MEMORY=64MiB",
	      "CUDA_DEVICE_MEMORY_LIMIT_0=32m", "CUDA_DEVICE_MEMORY_LIMIT=48m",
	      "NVIDIA_GPU_MEMORY_LIMIT=100");
	HOLDS(16 * MIB, GPUSHIM_SOURCE_NVIDIA, "default", "GPUSHIM_MEMORY=64MiB",
	      "CUDA_DEVICE_MEMORY_LIMIT=48m", "NVIDIA_GPU_MEMORY_LIMIT=16");
	/* A share and a size, the other one smaller each time. */
	HOLDS(512 * MIB, GPUSHIM_SOURCE_VARIABLE, "default", "GPUSHIM_MEMORY=25%",
	      "CUDA_DEVICE_MEMORY_LIMIT=600m");
}

static void an_index_counts_devices_before_some_are_hidden(void)
{
	HOLDS(32 * MIB, GPUSHIM_SOURCE_HAMI, "default", "CUDA_DEVICE_MEMORY_LIMIT_0=32m",
	      "CUDA_DEVICE_MEMORY_LIMIT_1=48m");
	HOLDS(32 * MIB, GPUSHIM_SOURCE_HAMI, "default", "CUDA_DEVICE_MEMORY_LIMIT_0=32m",
	      "CUDA_DEVICE_MEMORY_LIMIT_1=48m", "CUDA_VISIBLE_DEVICES=0,1");
}

/* Takes all of the device that is visible, and leaves the judgement to the limit. */
TENANT_BODY(is_refused_past_expect)
{
	size_t expected = strtoull(getenv("EXPECT"), NULL, 10), total = 0;
	CUdevice device = tenant_context();
	CUdeviceptr all, more;

	check_result(cuDeviceTotalMem(&total, device), CUDA_SUCCESS);
	check(total == expected);
	check_result(cuMemAlloc(&more, expected + 1), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAlloc(&all, expected), CUDA_SUCCESS);
}

static void a_visible_device_keeps_the_limit_of_its_index(void)
{
	expect(48 * MIB);
	CU_ASSERT(tenant_passes(
		"is_refused_past_expect", "CUDA_DEVICE_MEMORY_LIMIT_0=32m",
		"CUDA_DEVICE_MEMORY_LIMIT_1=48m", "CUDA_VISIBLE_DEVICES= 1 ", NULL));
	tenant_forget();
	CU_ASSERT(tenant_passes(
		"is_refused_past_expect", "CUDA_DEVICE_MEMORY_LIMIT_0=32m",
		"CUDA_DEVICE_MEMORY_LIMIT_1=48m", "CUDA_VISIBLE_DEVICES=1,0", NULL));
}

static void an_index_that_cannot_be_translated_gets_the_smallest_limit(void)
{
	expect(32 * MIB);
	CU_ASSERT(tenant_passes("is_refused_past_expect",
				"CUDA_DEVICE_MEMORY_LIMIT_0=48m",
				"CUDA_DEVICE_MEMORY_LIMIT_1=32m",
				"CUDA_VISIBLE_DEVICES=GPU-53696d00", NULL));
}

TENANT_BODY(changes_its_variables_too_late)
{
	setenv("GPUSHIM_MEMORY", "32MiB", 1);
	check_result(cuInit(0), CUDA_SUCCESS);
	setenv("GPUSHIM_MEMORY", "1GiB", 1);
	unsetenv("GPUSHIM_DIR");
	setenv("EXPECT", "33554432", 1);
	fill();
}

static void variables_are_read_at_the_first_call_and_not_again(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("changes_its_variables_too_late", NULL);
	holds(pid, 32 * MIB, GPUSHIM_SOURCE_VARIABLE, "default");
}

TENANT_BODY(sees_the_whole_device)
{
	size_t total = 0, left = 0;
	CUdevice device = tenant_context();
	CUdeviceptr more;

	check_result(cuDeviceTotalMem(&total, device), CUDA_SUCCESS);
	check(total == UINT64_C(2) << 30);
	check_result(cuMemGetInfo(&left, &total), CUDA_SUCCESS);
	check(left == UINT64_C(64) << 20);
	check_result(cuMemAlloc(&more, (UINT64_C(64) << 20) + 1),
		     CUDA_ERROR_OUT_OF_MEMORY);
}

static void the_device_can_be_shown_in_place_of_the_quota(void)
{
	CU_ASSERT(tenant_passes("sees_the_whole_device", "GPUSHIM_MEMORY=64MiB",
				"GPUSHIM_VIEW=device", NULL));
}

/* ---- two processes, one ledger ---- */

TENANT_BODY(takes_forty_at_once)
{
	CUdeviceptr memory;
	CUresult result;

	/* Nothing of CUDA has been called: both create the ledger when they are let go. */
	tenant_meet();
	tenant_context();
	result = cuMemAlloc(&memory, 40 << 20);
	check(result == CUDA_SUCCESS || result == CUDA_ERROR_OUT_OF_MEMORY);
	tenant_meet();
	if (result == CUDA_SUCCESS)
		check_result(cuMemFree(memory), CUDA_SUCCESS);
	else
		check_result(result, CUDA_ERROR_OUT_OF_MEMORY);
}

static void processes_that_start_at_the_same_instant_share_one_quota(void)
{
	enum { ROUNDS = 5, PROCESSES = 4 };

	for (int round = 0; round < ROUNDS; round++) {
		pid_t pids[PROCESSES];

		tenant_dir();
		for (int i = 0; i < PROCESSES; i++)
			pids[i] = tenant_start("takes_forty_at_once",
					       "GPUSHIM_MEMORY=64MiB", NULL);
		for (int i = 0; i < PROCESSES; i++)
			CU_ASSERT(tenant_met(pids[i]));
		for (int i = 0; i < PROCESSES; i++)
			tenant_go(pids[i]);
		for (int i = 0; i < PROCESSES; i++)
			CU_ASSERT(tenant_met(pids[i]));
		/* One got it, and none beside: the device says so. */
		CU_ASSERT_EQUAL(tenant_device_requested(), 40 * MIB);
		CU_ASSERT_EQUAL(tenant_charged(tenant_dir(), "default"), 40 * MIB);
		for (int i = 0; i < PROCESSES; i++) {
			tenant_go(pids[i]);
			CU_ASSERT(tenant_ends(pids[i]));
		}
		tenant_forget();
	}
}

static void tenants_that_each_have_a_ledger_are_the_control(void)
{
	pid_t one = tenant_start("takes_forty_at_once", "GPUSHIM_MEMORY=64MiB", NULL);
	pid_t two = tenant_start("takes_forty_at_once", "GPUSHIM_MEMORY=64MiB",
				 "GPUSHIM_TENANT=other", NULL);

	CU_ASSERT(tenant_met(one) && tenant_met(two));
	tenant_go(one);
	tenant_go(two);
	CU_ASSERT(tenant_met(one) && tenant_met(two));
	CU_ASSERT_EQUAL(tenant_device_requested(), 80 * MIB);
	tenant_go(one);
	tenant_go(two);
	CU_ASSERT(tenant_ends(one));
	CU_ASSERT(tenant_ends(two));
}

/* ---- threads, one account ---- */

static void *take_eight(void *barrier)
{
	CUdeviceptr memory;

	pthread_barrier_wait(barrier);
	tenant_context();
	check_result(cuMemAlloc(&memory, 8 << 20), CUDA_SUCCESS);
	return NULL;
}

TENANT_BODY(starts_in_all_threads)
{
	enum { THREADS = 8 };
	pthread_t threads[THREADS];
	pthread_barrier_t barrier;
	CUdeviceptr more;

	pthread_barrier_init(&barrier, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		check(pthread_create(&threads[i], NULL, take_eight, &barrier) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	tenant_context();
	check_result(cuMemAlloc(&more, 1), CUDA_ERROR_OUT_OF_MEMORY);
	tenant_meet();
}

static void threads_that_start_at_the_same_instant_open_one_account(void)
{
	for (int round = 0; round < 5; round++) {
		const struct gpushim_snapshot *snapshot;
		pid_t pid;

		tenant_dir();
		pid = tenant_start("starts_in_all_threads", "GPUSHIM_MEMORY=64MiB", NULL);
		if (tenant_met(pid)) {
			CU_ASSERT_EQUAL(tenant_device_requested(), 64 * MIB);
			snapshot = tenant_snapshot(tenant_dir(), "default");
			CU_ASSERT(snapshot && snapshot->processes_count == 1);
			tenant_go(pid);
		}
		CU_ASSERT(tenant_ends(pid));
		tenant_forget();
	}
}

/* ---- pages ---- */

static void a_page_in_the_directory_holds(void)
{
	CU_ASSERT(tenant_publish(tenant_dir(), "train", 64 * MIB));
	HOLDS(64 * MIB, GPUSHIM_SOURCE_PAGE, "train", "GPUSHIM_TENANT=train");
	CU_ASSERT(tenant_publish(tenant_dir(), "default", 48 * MIB));
	HOLDS(48 * MIB, GPUSHIM_SOURCE_PAGE, "default", "GPUSHIM_TENANT");
}

static uint64_t ignored_variables(const char *tenant)
{
	const struct gpushim_snapshot *snapshot = tenant_snapshot(tenant_dir(), tenant);

	return snapshot && snapshot->processes_count == 1
		       ? snapshot->processes[0].ignored_variables
		       : UINT64_MAX;
}

static void variables_lower_a_page(void)
{
	CU_ASSERT(tenant_publish(tenant_dir(), "default", 64 * MIB));
	HOLDS(32 * MIB, GPUSHIM_SOURCE_VARIABLE, "default", "GPUSHIM_MEMORY=32MiB");
	CU_ASSERT(tenant_publish(tenant_dir(), "default", 64 * MIB));
	HOLDS(32 * MIB, GPUSHIM_SOURCE_HAMI, "default", "CUDA_DEVICE_MEMORY_LIMIT=32m");
}

static void variables_never_raise_a_page_and_that_is_counted(void)
{
	pid_t pid;

	CU_ASSERT(tenant_publish(tenant_dir(), "default", 64 * MIB));
	expect(64 * MIB);
	pid = tenant_start("fills", "GPUSHIM_MEMORY=65MiB", NULL);
	if (tenant_met(pid)) {
		CU_ASSERT_EQUAL(tenant_device_requested(), 64 * MIB);
		CU_ASSERT_EQUAL(ignored_variables("default"), 1);
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
}

static void move(const char *dir, const char *from, const char *to)
{
	char old[512], new[512];

	snprintf(old, sizeof(old), "%s/%s", dir, from);
	snprintf(new, sizeof(new), "%s/%s", dir, to);
	if (rename(old, new) < 0)
		perror(old);
}

static void a_directory_with_one_page_is_that_of_a_container(void)
{
	const char *dir = tenant_dir();
	pid_t pid;

	CU_ASSERT(tenant_publish(dir, "train", 64 * MIB));
	move(dir, "policy/train/policy", "policy/policy");
	move(dir, "ledger/train/ledger", "ledger/ledger");
	expect(64 * MIB);
	pid = tenant_start("fills", NULL);
	if (tenant_met(pid)) {
		const struct gpushim_snapshot *snapshot = tenant_snapshot(dir, NULL);

		CU_ASSERT_EQUAL(shown_source(snapshot, 64 * MIB), GPUSHIM_SOURCE_PAGE);
		CU_ASSERT_STRING_EQUAL(snapshot ? snapshot->tenant : "", "train");
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
}

/* ---- limits.json ---- */

static const char *limits_json(const char *text)
{
	static char variable[600];

	snprintf(variable, sizeof(variable), "GPUSHIM_LIMITS=%s/limits.json",
		 tenant_dir());
	tenant_write(variable + strlen("GPUSHIM_LIMITS="), text);
	return variable;
}

static const char two_tenants[] = "{ \"version\": 1, \"tenants\": {\n"
				  "  \"train\": { \"memory\": \"64MiB\" },\n"
				  "  \"*\": { \"memory\": \"48MiB\" } } }\n";

static void limits_json_is_read_directly(void)
{
	HOLDS(64 * MIB, GPUSHIM_SOURCE_FILE, "train", limits_json(two_tenants),
	      "GPUSHIM_TENANT=train");
	HOLDS(48 * MIB, GPUSHIM_SOURCE_FILE, "whoever", limits_json(two_tenants),
	      "GPUSHIM_TENANT=whoever");
}

static void a_page_comes_before_limits_json(void)
{
	CU_ASSERT(tenant_publish(tenant_dir(), "train", 80 * MIB));
	HOLDS(80 * MIB, GPUSHIM_SOURCE_PAGE, "train", limits_json(two_tenants),
	      "GPUSHIM_TENANT=train");
}

static void variables_lower_limits_json_and_never_raise_it(void)
{
	HOLDS(32 * MIB, GPUSHIM_SOURCE_NVIDIA, "train", limits_json(two_tenants),
	      "GPUSHIM_TENANT=train", "NVIDIA_GPU_MEMORY_LIMIT=32");
	HOLDS(64 * MIB, GPUSHIM_SOURCE_FILE, "train", limits_json(two_tenants),
	      "GPUSHIM_TENANT=train", "GPUSHIM_MEMORY=99MiB");
}

/* ---- where the ledger lies ---- */

static void the_ledger_lies_beside_the_cache_of_hami(void)
{
	char variable[600], ledger[620];
	pid_t pid;

	snprintf(variable, sizeof(variable),
		 "CUDA_DEVICE_MEMORY_SHARED_CACHE=%s/pod.cache", tenant_dir());
	snprintf(ledger, sizeof(ledger), "%s/pod.cache.gpushim", tenant_dir());
	expect(64 * MIB);
	pid = tenant_start("fills", "GPUSHIM_DIR", variable,
			   "CUDA_DEVICE_MEMORY_LIMIT=64m", NULL);
	if (tenant_met(pid)) {
		CU_ASSERT_EQUAL(tenant_device_requested(), 64 * MIB);
		CU_ASSERT_EQUAL(shown_source(tenant_snapshot_of(ledger), 64 * MIB),
				GPUSHIM_SOURCE_HAMI);
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
}

/* Without GPUSHIM_DIR, by somebody who can write /run. */
TENANT_BODY(fills_with_an_empty_run)
{
	tenant_private_mounts();
	fill();
	check(access("/run/gpushim/ledger/default/ledger", F_OK) == 0);
}

static void who_can_write_run_has_his_ledger_there(void)
{
	pid_t pid;

	if (!can_mount())
		return;
	expect(64 * MIB);
	pid = tenant_start("fills_with_an_empty_run", "GPUSHIM_DIR",
			   "GPUSHIM_MEMORY=64MiB", NULL);
	if (tenant_met(pid)) {
		CU_ASSERT_EQUAL(tenant_device_requested(), 64 * MIB);
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
}

TENANT_BODY(fills_with_a_run_that_cannot_be_written)
{
	char directory[64];
	struct stat status;

	tenant_private_mounts();
	snprintf(directory, sizeof(directory), "/dev/shm/gpushim-%u",
		 (unsigned)geteuid());
	check(mount("none", "/dev/shm", "tmpfs", 0, "mode=1777") == 0);
	check(mount("none", "/run", NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
	fill();
	check(stat(directory, &status) == 0 && (status.st_mode & 07777) == 0700);
}

static void who_cannot_write_run_has_a_directory_of_his_own(void)
{
	pid_t pid;

	if (!can_mount())
		return;
	expect(64 * MIB);
	pid = tenant_start("fills_with_a_run_that_cannot_be_written", "GPUSHIM_DIR",
			   "GPUSHIM_MEMORY=64MiB", NULL);
	if (tenant_met(pid)) {
		CU_ASSERT_EQUAL(tenant_device_requested(), 64 * MIB);
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
}

/* ---- a page that the tenant cannot write ---- */

TENANT_BODY(fills_in_a_container)
{
	const struct gpushim_snapshot *snapshot;

	tenant_become_container("train", 64 << 20);
	fill();
	snapshot = tenant_snapshot("/run/gpushim", NULL);
	if (!snapshot) {
		check(snapshot);
		return;
	}
	check(snapshot->processes_count == 1);
	check(strcmp(snapshot->tenant, "train") == 0);
	check(snapshot->devices[0].limit_source ==
	      strtoull(getenv("EXPECT_SOURCE"), NULL, 10));
	check(snapshot->processes[0].ignored_variables ==
	      strtoull(getenv("EXPECT_IGNORED"), NULL, 10));
}

static void holds_in_a_container(pid_t pid, uint64_t bytes)
{
	if (tenant_met(pid)) {
		CU_ASSERT_EQUAL(tenant_device_requested(), bytes);
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
}

static void an_unwritable_page_beats_directory_tenant_and_file(void)
{
	char directory[600];

	if (!can_mount())
		return;
	CU_ASSERT(tenant_publish(tenant_dir(), "train", 1024 * MIB));
	CU_ASSERT(tenant_publish(tenant_dir(), "own", 1024 * MIB));
	snprintf(directory, sizeof(directory), "GPUSHIM_DIR=%s", tenant_dir());
	expect(64 * MIB);
	setenv("EXPECT_SOURCE", "1", 1); /* the page */
	setenv("EXPECT_IGNORED", "4", 1);
	holds_in_a_container(tenant_start("fills_in_a_container", directory,
					  "GPUSHIM_TENANT=own", limits_json(two_tenants),
					  "GPUSHIM_ON_ERROR=allow", NULL),
			     64 * MIB);
	/* What only the page says. */
	setenv("EXPECT_IGNORED", "3", 1);
	holds_in_a_container(tenant_start("fills_in_a_container", "GPUSHIM_DIR",
					  "GPUSHIM_TENANT=own", "GPUSHIM_VIEW=device",
					  "GPUSHIM_COMPUTE=100", NULL),
			     64 * MIB);
	/* One more: a limit that would raise. */
	setenv("EXPECT_IGNORED", "5", 1);
	holds_in_a_container(tenant_start("fills_in_a_container", directory,
					  "GPUSHIM_TENANT=own", limits_json(two_tenants),
					  "GPUSHIM_ON_ERROR=allow", "GPUSHIM_MEMORY=1GiB",
					  NULL),
			     64 * MIB);
}

static void an_unwritable_page_can_be_lowered_by_variables(void)
{
	if (!can_mount())
		return;
	expect(32 * MIB);
	setenv("EXPECT_SOURCE", "3", 1); /* the variable */
	setenv("EXPECT_IGNORED", "0", 1);
	holds_in_a_container(tenant_start("fills_in_a_container", "GPUSHIM_DIR",
					  "GPUSHIM_MEMORY=32MiB", NULL),
			     32 * MIB);
}

/* ---- shares of GPU time ---- */

TENANT_BODY(has_an_account)
{
	tenant_context();
	tenant_meet();
}

/* What the ledger shows of a body that has an account and was started for this. */
static void shows_share(pid_t pid, const char *tenant, uint64_t request_permille,
			uint64_t limit_permille, uint64_t ignored)
{
	const struct gpushim_snapshot *snapshot;

	if (tenant_met(pid)) {
		snapshot = tenant_snapshot(tenant_dir(), tenant);
		CU_ASSERT_FATAL(snapshot && snapshot->devices_count == 1);
		CU_ASSERT_EQUAL(snapshot->devices[0].request_permille, request_permille);
		CU_ASSERT_EQUAL(snapshot->devices[0].limit_permille, limit_permille);
		CU_ASSERT_EQUAL(ignored_variables(tenant), ignored);
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
}

/* SHARE(tenant, request, limit, ignored, variable...): in a directory as it is. */
#define SHARE(tenant, request_permille, limit_permille, ignored, ...)                  \
	do {                                                                           \
		tenant_dir();                                                          \
		shows_share(tenant_start("has_an_account", __VA_ARGS__, NULL), tenant, \
			    request_permille, limit_permille, ignored);                \
	} while (0)

static void a_share_in_a_variable_is_request_and_limit(void)
{
	SHARE("default", 200, 200, 0, "GPUSHIM_COMPUTE=20");
	SHARE("default", 200, 1000, 0, "GPUSHIM_COMPUTE=20:100");
	SHARE("default", 125, 125, 0, "GPUSHIM_COMPUTE=12.5");
	SHARE("default", 1, 999, 0, "GPUSHIM_COMPUTE=0.1:99.9");
	SHARE("default", 0, 400, 0, "GPUSHIM_COMPUTE=0:40");
	SHARE("default", 0, 1000, 0, "GPUSHIM_MEMORY=64MiB");
	SHARE("default", 300, 300, 0, "GPUSHIM_COMPUTE=30", "GPUSHIM_PRIORITY=latency");
}

static void shares_of_hami_are_limits(void)
{
	SHARE("default", 0, 300, 0, "CUDA_DEVICE_SM_LIMIT=30");
	SHARE("default", 0, 250, 0, "CUDA_DEVICE_SM_LIMIT_0=25",
	      "CUDA_DEVICE_SM_LIMIT_1=50");
	/* Of two the smaller, as of everything. */
	SHARE("default", 0, 250, 0, "CUDA_DEVICE_SM_LIMIT_0=25",
	      "CUDA_DEVICE_SM_LIMIT=40");
	SHARE("default", 0, 400, 0, "CUDA_DEVICE_SM_LIMIT=40",
	      "CUDA_DEVICE_SM_LIMIT_0=90");
	SHARE("default", 300, 300, 0, "GPUSHIM_COMPUTE=50", "CUDA_DEVICE_SM_LIMIT=30");
	SHARE("default", 200, 200, 0, "GPUSHIM_COMPUTE=20", "CUDA_DEVICE_SM_LIMIT=30");
	/* There no limit is written as 0 or 100: it is accounted for, and has no cap. */
	SHARE("default", 0, 1000, 0, "CUDA_DEVICE_SM_LIMIT=0");
	SHARE("default", 0, 1000, 0, "CUDA_DEVICE_SM_LIMIT=100",
	      "CUDA_DEVICE_SM_LIMIT_0=0");
	SHARE("default", 0, 10, 0, "CUDA_DEVICE_SM_LIMIT=1");
	SHARE("default", 0, 990, 0, "CUDA_DEVICE_SM_LIMIT_0=99");
}

static void the_core_policy_of_hami_is_about_its_own_shares(void)
{
	SHARE("default", 0, 1000, 0, "CUDA_DEVICE_SM_LIMIT=30",
	      "GPU_CORE_UTILIZATION_POLICY=disable");
	SHARE("default", 0, 1000, 0, "GPU_CORE_UTILIZATION_POLICY=DISABLE",
	      "CUDA_DEVICE_SM_LIMIT_0=30");
	SHARE("default", 0, 300, 0, "CUDA_DEVICE_SM_LIMIT=30",
	      "GPU_CORE_UTILIZATION_POLICY=force");
	SHARE("default", 0, 300, 0, "CUDA_DEVICE_SM_LIMIT=30",
	      "GPU_CORE_UTILIZATION_POLICY=default");
	SHARE("default", 500, 500, 0, "CUDA_DEVICE_SM_LIMIT=30", "GPUSHIM_COMPUTE=50",
	      "GPU_CORE_UTILIZATION_POLICY=disable");
	/* Without them it is somebody else's word. */
	SHARE("default", 500, 500, 0, "GPUSHIM_COMPUTE=50",
	      "GPU_CORE_UTILIZATION_POLICY=whatever");
}

static void a_share_of_a_device_goes_by_its_index(void)
{
	SHARE("default", 0, 400, 0, "CUDA_DEVICE_SM_LIMIT_0=30",
	      "CUDA_DEVICE_SM_LIMIT_1=40", "CUDA_VISIBLE_DEVICES=1");
	tenant_forget();
	SHARE("default", 0, 300, 0, "CUDA_DEVICE_SM_LIMIT_0=40",
	      "CUDA_DEVICE_SM_LIMIT_1=30", "CUDA_VISIBLE_DEVICES=GPU-53696d00");
}

/* Limits with this row, of a tenant of this name. */
static void publish_share(const char *tenant, uint32_t request_permille,
			  uint32_t limit_permille, uint32_t priority)
{
	struct gpushim_policy_limits limits = {
		.source = "a test",
		.others = { .memory_bytes = GPUSHIM_UNLIMITED,
			    .request_permille = request_permille,
			    .limit_permille = limit_permille,
			    .priority = priority },
	};
	struct gsh_reason why;

	snprintf(limits.tenant, sizeof(limits.tenant), "%s", tenant);
	CU_ASSERT_EQUAL(gsh_publish(tenant_dir(), &limits, &why), 0);
}

static void a_share_of_a_page_is_lowered_and_never_raised(void)
{
	publish_share("default", 300, 300, GPUSHIM_PRIORITY_NORMAL);
	SHARE("default", 300, 300, 0, "GPUSHIM_WAIT_MS=0");
	SHARE("default", 200, 200, 0, "GPUSHIM_COMPUTE=20");
	SHARE("default", 300, 300, 0, "GPUSHIM_COMPUTE=30");
	SHARE("default", 300, 300, 1, "GPUSHIM_COMPUTE=50");
	SHARE("default", 200, 300, 1, "GPUSHIM_COMPUTE=20:100");
	SHARE("default", 200, 200, 0, "CUDA_DEVICE_SM_LIMIT=20");
	SHARE("default", 300, 300, 2, "CUDA_DEVICE_SM_LIMIT=50",
	      "CUDA_DEVICE_SM_LIMIT_0=60");
	SHARE("default", 300, 300, 0, "CUDA_DEVICE_SM_LIMIT=100");
	SHARE("default", 300, 300, 1, "CUDA_DEVICE_SM_LIMIT=50",
	      "CUDA_DEVICE_SM_LIMIT_1=10");
	/* Best effort gets a cap by a variable, and no promise. */
	publish_share("default", 0, 1000, GPUSHIM_PRIORITY_NORMAL);
	SHARE("default", 0, 300, 0, "GPUSHIM_COMPUTE=30");
	SHARE("default", 0, 1000, 1, "GPUSHIM_COMPUTE=20:100");
}

static void a_priority_of_a_page_is_lowered_and_never_raised(void)
{
	static const struct {
		uint32_t page;
		const char *variable;
		uint64_t ignored;
	} cases[] = {
		{ GPUSHIM_PRIORITY_NORMAL, "GPUSHIM_PRIORITY=latency", 1 },
		{ GPUSHIM_PRIORITY_NORMAL, "GPUSHIM_PRIORITY=normal", 0 },
		{ GPUSHIM_PRIORITY_NORMAL, "GPUSHIM_PRIORITY=batch", 0 },
		{ GPUSHIM_PRIORITY_LATENCY, "GPUSHIM_PRIORITY=latency", 0 },
		{ GPUSHIM_PRIORITY_LATENCY, "GPUSHIM_PRIORITY=normal", 0 },
		{ GPUSHIM_PRIORITY_LATENCY, "GPUSHIM_PRIORITY=batch", 0 },
		{ GPUSHIM_PRIORITY_BATCH, "GPUSHIM_PRIORITY=latency", 1 },
		{ GPUSHIM_PRIORITY_BATCH, "GPUSHIM_PRIORITY=normal", 1 },
		{ GPUSHIM_PRIORITY_BATCH, "GPUSHIM_PRIORITY=batch", 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		publish_share("default", 300, 300, cases[i].page);
		SHARE("default", 300, 300, cases[i].ignored, cases[i].variable);
	}
}

static const char two_shares[] = "{ \"version\": 1, \"tenants\": {\n"
				 "  \"train\": { \"compute\": 30 },\n"
				 "  \"rest\": { } } }\n";

static void a_share_of_limits_json_is_lowered_and_never_raised(void)
{
	const char *file = limits_json(two_shares);

	SHARE("train", 300, 300, 0, file, "GPUSHIM_TENANT=train");
	SHARE("train", 200, 250, 0, file, "GPUSHIM_TENANT=train",
	      "GPUSHIM_COMPUTE=20:25");
	SHARE("train", 300, 300, 1, file, "GPUSHIM_TENANT=train", "GPUSHIM_COMPUTE=80");
	SHARE("train", 300, 300, 1, file, "GPUSHIM_TENANT=train",
	      "CUDA_DEVICE_SM_LIMIT_0=80");
	SHARE("train", 300, 300, 1, file, "GPUSHIM_TENANT=train",
	      "GPUSHIM_PRIORITY=latency");
	SHARE("rest", 0, 1000, 0, file, "GPUSHIM_TENANT=rest");
	SHARE("rest", 0, 400, 0, file, "GPUSHIM_TENANT=rest", "CUDA_DEVICE_SM_LIMIT=40");
}

/* A pod of HAMi's that has a share and no quota. */
static void a_share_of_hami_makes_a_tenant(void)
{
	const struct gpushim_snapshot *snapshot;
	char variable[600], ledger[620];
	pid_t pid;

	snprintf(variable, sizeof(variable),
		 "CUDA_DEVICE_MEMORY_SHARED_CACHE=%s/pod.cache", tenant_dir());
	snprintf(ledger, sizeof(ledger), "%s/pod.cache.gpushim", tenant_dir());
	pid = tenant_start("has_an_account", "GPUSHIM_DIR", variable,
			   "CUDA_DEVICE_SM_LIMIT=30", NULL);
	if (tenant_met(pid)) {
		snapshot = tenant_snapshot_of(ledger);
		CU_ASSERT(snapshot && snapshot->devices[0].limit_permille == 300);
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
}

TENANT_BODY(has_a_share_in_a_container)
{
	const struct gpushim_snapshot *snapshot;

	tenant_become_container("train", 64 << 20);
	tenant_context();
	snapshot = tenant_snapshot("/run/gpushim", NULL);
	check(snapshot && snapshot->devices[0].limit_permille == 300);
	check(snapshot && snapshot->devices[0].limit_bytes == 64 << 20);
	check(snapshot && snapshot->processes[0].ignored_variables == 0);
}

static void a_variable_lowers_the_share_of_an_unwritable_page(void)
{
	if (!can_mount())
		return;
	CU_ASSERT(tenant_passes("has_a_share_in_a_container", "GPUSHIM_DIR",
				"GPUSHIM_COMPUTE=30", NULL));
}

/* ---- limits that are not enforced ---- */

TENANT_BODY(gets_what_the_device_has)
{
	size_t left = 0, total = 0;
	CUdeviceptr memory;

	tenant_context();
	check_result(cuMemGetInfo(&left, &total), CUDA_SUCCESS);
	check(total == UINT64_C(2) << 30);
	check(left > 1024 * MIB);
	check_result(cuMemAlloc(&memory, 65 * MIB), CUDA_SUCCESS);
	/* What the device refuses is refused. */
	check_result(cuMemAlloc(&memory, UINT64_C(2) << 30), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAlloc(&memory, SIZE_MAX), CUDA_ERROR_OUT_OF_MEMORY);
	tenant_meet();
}

static void limits_json_may_be_audited_only(void)
{
	static const char text[] = "{ \"version\": 1, \"tenants\": {\n"
				   "  \"train\": { \"memory\": \"64MiB\", \"enforce\": "
				   "false } } }\n";
	const struct gpushim_snapshot *snapshot;
	pid_t pid;

	tenant_dir();
	pid = tenant_start("gets_what_the_device_has", limits_json(text),
			   "GPUSHIM_TENANT=train", "GPUSHIM_MEMORY=48MiB", NULL);
	if (tenant_met(pid)) {
		CU_ASSERT_EQUAL(tenant_device_requested(), 65 * MIB);
		snapshot = tenant_snapshot(tenant_dir(), "train");
		CU_ASSERT_FATAL(snapshot && snapshot->processes_count == 1);
		CU_ASSERT_EQUAL(snapshot->devices[0].charged_bytes, 65 * MIB);
		CU_ASSERT_EQUAL(snapshot->devices[0].limit_bytes, 48 * MIB);
		/* What was more than the quota; what is more than any device is not asked. */
		CU_ASSERT_EQUAL(snapshot->processes[0].denials, 2);
		CU_ASSERT_EQUAL(snapshot->processes[0].last_denied_bytes, 2048 * MIB);
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
}

/* ---- nothing ---- */

TENANT_BODY(is_left_alone)
{
	size_t total = 0;
	CUdevice device;

	tenant_private_mounts();
	device = tenant_context();
	check_result(cuDeviceTotalMem(&total, device), CUDA_SUCCESS);
	check(total == UINT64_C(2) << 30);
	check(access("/run/gpushim", F_OK) < 0);
}

static void who_configures_nothing_is_left_alone(void)
{
	char made[64];

	if (!can_mount())
		return;
	if (access("/etc/gpushim/limits.json", F_OK) == 0) {
		unit_skip(
			"This machine has limits of its own in /etc/gpushim/limits.json.");
		return;
	}
	snprintf(made, sizeof(made), "/dev/shm/gpushim-%u", (unsigned)geteuid());
	if (access(made, F_OK) == 0)
		made[0] = '\0';
	CU_ASSERT(tenant_passes("is_left_alone", "GPUSHIM_DIR", "GPUSHIM_WAIT_MS", NULL));
	CU_ASSERT_STRING_EQUAL(tenant_stderr(), "");
	CU_ASSERT(!made[0] || access(made, F_OK) < 0);
}

TENANT_BODY(is_left_alone_on_a_node)
{
	size_t total = 0;
	CUdevice device;

	tenant_private_mounts();
	/* Names of tenants that are also those of files. */
	check(tenant_publish("/run/gpushim", "policy", 64 << 20));
	check(tenant_publish("/run/gpushim", "ledger", 64 << 20));
	device = tenant_context();
	check_result(cuDeviceTotalMem(&total, device), CUDA_SUCCESS);
	check(total == UINT64_C(2) << 30);
}

static void who_is_no_tenant_on_a_node_is_left_alone(void)
{
	if (!can_mount() || access("/etc/gpushim/limits.json", F_OK) == 0)
		return;
	CU_ASSERT(tenant_passes("is_left_alone_on_a_node", "GPUSHIM_DIR", NULL));
	CU_ASSERT_STRING_EQUAL(tenant_stderr(), "");
}

static int choose_device(void)
{
	return setenv("SIMGPU_MEMORY", "2GiB", 1) | setenv("SIMGPU_DEVICES", "2", 1);
}

const struct unit_suite unit_suite = {
	.name = "sources of limits",
	.init = choose_device,
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(a_size_in_a_variable_holds_to_the_byte),
		UNIT_TEST(a_share_in_a_variable_is_of_the_device),
		UNIT_TEST(the_tenant_of_the_variable_gets_the_ledger),
		UNIT_TEST(limits_of_hami_are_understood),
		UNIT_TEST(the_limit_of_nvidia_is_in_mebibytes),
		UNIT_TEST(the_smallest_of_several_variables_holds),
		UNIT_TEST(an_index_counts_devices_before_some_are_hidden),
		UNIT_TEST(a_visible_device_keeps_the_limit_of_its_index),
		UNIT_TEST(an_index_that_cannot_be_translated_gets_the_smallest_limit),
		UNIT_TEST(variables_are_read_at_the_first_call_and_not_again),
		UNIT_TEST(the_device_can_be_shown_in_place_of_the_quota),
		UNIT_TEST(processes_that_start_at_the_same_instant_share_one_quota),
		UNIT_TEST(tenants_that_each_have_a_ledger_are_the_control),
		UNIT_TEST(threads_that_start_at_the_same_instant_open_one_account),
		UNIT_TEST(a_page_in_the_directory_holds),
		UNIT_TEST(variables_lower_a_page),
		UNIT_TEST(variables_never_raise_a_page_and_that_is_counted),
		UNIT_TEST(a_directory_with_one_page_is_that_of_a_container),
		UNIT_TEST(limits_json_is_read_directly),
		UNIT_TEST(a_page_comes_before_limits_json),
		UNIT_TEST(variables_lower_limits_json_and_never_raise_it),
		UNIT_TEST(the_ledger_lies_beside_the_cache_of_hami),
		UNIT_TEST(who_can_write_run_has_his_ledger_there),
		UNIT_TEST(who_cannot_write_run_has_a_directory_of_his_own),
		UNIT_TEST(an_unwritable_page_beats_directory_tenant_and_file),
		UNIT_TEST(an_unwritable_page_can_be_lowered_by_variables),
		UNIT_TEST(a_share_in_a_variable_is_request_and_limit),
		UNIT_TEST(shares_of_hami_are_limits),
		UNIT_TEST(the_core_policy_of_hami_is_about_its_own_shares),
		UNIT_TEST(a_share_of_a_device_goes_by_its_index),
		UNIT_TEST(a_share_of_a_page_is_lowered_and_never_raised),
		UNIT_TEST(a_priority_of_a_page_is_lowered_and_never_raised),
		UNIT_TEST(a_share_of_limits_json_is_lowered_and_never_raised),
		UNIT_TEST(a_share_of_hami_makes_a_tenant),
		UNIT_TEST(a_variable_lowers_the_share_of_an_unwritable_page),
		UNIT_TEST(limits_json_may_be_audited_only),
		UNIT_TEST(who_configures_nothing_is_left_alone),
		UNIT_TEST(who_is_no_tenant_on_a_node_is_left_alone),
	},
};
