/*
 * test_nvml_usage.c - what NVML says of the use of time, with its sampling habits, over the
 * life of processes, and the memory limits of newer drivers (NVML API Reference Guide).
 */
#include "common_nvml.h"

#include <stdlib.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

/* ---- utilisation ---- */

static void work_for_a_minute(struct worker *self)
{
	worker_context(0);
	worker_launch(worker_kernel(), UINT64_C(60000000000));
	worker_pause(self);
}

/* Finds the newest sample of a process that the caller has not seen. */
static bool find_sample(pid_t pid, unsigned long long seen_us,
			struct nvml_process_sample *sample)
{
	/* Also of processes of earlier tests: samples are kept for 12 seconds. */
	struct nvml_process_sample samples[64];
	unsigned count = 64;

	if (NVML(nvmlDeviceGetProcessUtilization)(nvml_device, samples, &count, seen_us))
		return false;
	for (unsigned i = 0; i < count; i++) {
		if (samples[i].pid == (unsigned)pid) {
			*sample = samples[i];
			return true;
		}
	}
	return false;
}

/* Looks until the process's use lies within low and high: its first period is only partly
 * its own. */
static bool await_sample(pid_t pid, unsigned long long seen_us, unsigned low,
			 unsigned high, struct nvml_process_sample *sample)
{
	unsigned looks = 0;

	do {
		if (find_sample(pid, seen_us, sample) && sample->sm >= low &&
		    sample->sm <= high)
			return true;
	} while (look_again(&looks));
	CU_FAIL("the samples never said what they should");
	return false;
}

static void a_busy_process_is_seen_in_whole_periods_and_once_each(void)
{
	struct nvml_process_sample first, second;
	struct nvml_utilization rates;
	struct worker worker;
	unsigned count = 0;

	NVML_IS(NVML(nvmlDeviceGetProcessUtilization)(nvml_device, NULL, NULL, 0),
		NVML_ERROR_INVALID_ARGUMENT);
	worker = worker_start(work_for_a_minute);
	if (!worker_await(&worker) || !await_sample(worker.pid, 0, 100, 100, &first))
		goto out;
	CU_ASSERT_EQUAL(first.pid, (unsigned)worker.pid);
	CU_ASSERT_EQUAL(first.sm, 100);
	CU_ASSERT_EQUAL(first.encoder, 0);
	NVML_OK(NVML(nvmlDeviceGetUtilizationRates)(nvml_device, &rates));
	CU_ASSERT_EQUAL(rates.gpu, 100);
	CU_ASSERT_EQUAL(rates.memory, 0);
	NVML_IS(NVML(nvmlDeviceGetProcessUtilization)(nvml_device, NULL, &count, 0),
		NVML_ERROR_INSUFFICIENT_SIZE);
	CU_ASSERT_TRUE(count >= 1);
	if (await_sample(worker.pid, first.time_us, 100, 100, &second)) {
		/* A whole number of periods of a sixth of a second later. */
		double periods = (double)(second.time_us - first.time_us) / 166666.667;

		CU_ASSERT_TRUE(periods > 0.999);
		CU_ASSERT_DOUBLE_EQUAL(periods, (double)(long)(periods + 0.5), 0.001);
		NVML_IS(NVML(nvmlDeviceGetProcessUtilization)(nvml_device, &first, &count,
							      second.time_us + 60000000),
			NVML_ERROR_NOT_FOUND);
		CU_ASSERT_EQUAL(count, 0);
	}
out:
	worker_kill(&worker);
}

static void two_busy_processes_share_the_samples_as_they_share_the_device(void)
{
	struct worker a = worker_start(work_for_a_minute);
	struct worker b = worker_start(work_for_a_minute);
	struct nvml_process_sample of_a, of_b;
	struct nvml_process_usage usage[64];
	struct nvml_processes_usage info = {
		.version = NVML_VERSION(struct nvml_processes_usage, 1),
		.count = 64,
		.usage = usage,
	};
	unsigned found = 0;

	if (!worker_await(&a) || !worker_await(&b))
		goto out;
	/* The later one is found in a period that both had from its beginning. */
	if (await_sample(a.pid, 0, 40, 55, &of_a) &&
	    await_sample(b.pid, of_a.time_us, 40, 55, &of_b))
		CU_ASSERT_TRUE(of_a.sm + of_b.sm >= 80);
	NVML_OK(NVML(nvmlDeviceGetProcessesUtilizationInfo)(nvml_device, &info));
	for (unsigned i = 0; i < info.count; i++)
		found += usage[i].pid == (unsigned)a.pid ||
			 usage[i].pid == (unsigned)b.pid;
	CU_ASSERT_EQUAL(found, 2);
	info.version = 2;
	NVML_IS(NVML(nvmlDeviceGetProcessesUtilizationInfo)(nvml_device, &info),
		NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
out:
	worker_kill(&a);
	worker_kill(&b);
}

static bool period_has_passed(const struct simgpu_truth *truth, void *arg)
{
	return truth->now_ns > *(uint64_t *)arg + 2 * truth->period_ns;
}

static void an_idle_device_shows_no_use_and_no_newer_samples(void)
{
	struct nvml_sample samples[72];
	struct nvml_utilization rates;
	struct simgpu_truth *truth = simgpu_truth(nvml_monitor);
	uint64_t quiet_ns = truth ? truth->now_ns : 0;
	unsigned type, count = 0, state;

	simgpu_free(truth);
	simgpu_free(truth_when(nvml_monitor, period_has_passed, &quiet_ns));
	NVML_OK(NVML(nvmlDeviceGetUtilizationRates)(nvml_device, &rates));
	CU_ASSERT_EQUAL(rates.gpu, 0);
	CU_ASSERT_EQUAL(rates.memory, 0);
	NVML_OK(NVML(nvmlDeviceGetPerformanceState)(nvml_device, &state));
	CU_ASSERT_EQUAL(state, 8);
	count = 72;
	NVML_OK(NVML(nvmlDeviceGetSamples)(nvml_device, NVML_SAMPLES_GPU, 0, &type,
					   &count, samples));
	CU_ASSERT_EQUAL(type, NVML_VALUE_UINT);
	CU_ASSERT_TRUE_FATAL(count >= 2 && count <= 72);
	CU_ASSERT_EQUAL(samples[count - 1].value.u, 0);
	for (unsigned i = 1; i < count; i++)
		CU_ASSERT_TRUE(samples[i].time_us > samples[i - 1].time_us);
	NVML_IS(NVML(nvmlDeviceGetSamples)(nvml_device, 0, 0, &type, &count, samples),
		NVML_ERROR_NOT_SUPPORTED);
}

/* ---- accounting ---- */

static void work_ten_milliseconds(struct worker *self)
{
	CUdeviceptr ptr;

	worker_context(0);
	WORKER_OK(cuMemAlloc(&ptr, 100 * MIB));
	worker_launch(worker_kernel(), 10000000);
	WORKER_OK(cuCtxSynchronize());
	worker_pause(self);
}

static void accounting_knows_the_time_of_a_process_once_it_has_ended(void)
{
	struct nvml_accounting stats;
	struct nvml_accounting_v2 v2 = { 0 };
	unsigned mode = 7, count = 0, pids[8];
	struct worker worker;

	NVML_OK(NVML(nvmlDeviceGetAccountingMode)(nvml_device, &mode));
	CU_ASSERT_EQUAL(mode, NVML_DISABLED);
	NVML_IS(NVML(nvmlDeviceGetAccountingPids)(nvml_device, &count, NULL),
		NVML_ERROR_NOT_SUPPORTED);
	NVML_IS(NVML(nvmlDeviceGetAccountingStats)(nvml_device, 1, &stats),
		NVML_ERROR_NOT_SUPPORTED);
	if (geteuid() != 0) {
		NVML_IS(NVML(nvmlDeviceSetAccountingMode)(nvml_device, NVML_ENABLED),
			NVML_ERROR_NO_PERMISSION);
		unit_skip("only root may switch accounting on");
		return;
	}
	NVML_OK(NVML(nvmlDeviceSetAccountingMode)(nvml_device, NVML_ENABLED));
	NVML_OK(NVML(nvmlDeviceGetAccountingPids)(nvml_device, &count, NULL));
	CU_ASSERT_EQUAL(count, 0);
	worker = worker_start(work_ten_milliseconds);
	if (!worker_await(&worker))
		goto out;
	NVML_IS(NVML(nvmlDeviceGetAccountingPids)(nvml_device, &count, NULL),
		NVML_ERROR_INSUFFICIENT_SIZE);
	CU_ASSERT_EQUAL(count, 1);
	NVML_OK(NVML(nvmlDeviceGetAccountingPids)(nvml_device, &count, pids));
	CU_ASSERT_EQUAL(pids[0], (unsigned)worker.pid);
	NVML_OK(NVML(nvmlDeviceGetAccountingStats)(nvml_device, pids[0], &stats));
	CU_ASSERT_EQUAL(stats.running, 1);
	CU_ASSERT_EQUAL(stats.time_ms, 0);
	CU_ASSERT_TRUE(stats.max_memory >= 100 * MIB);
	v2.pid = pids[0];
	NVML_OK(NVML(nvmlDeviceGetAccountingStats_v2)(nvml_device, &v2));
	/* 10 ms of a period of a sixth of a second: 6 % of one sample, in per cent x 100 */
	CU_ASSERT_TRUE(v2.sum_gpu >= 599 && v2.sum_gpu <= 600);
	worker_go(&worker);
	CU_ASSERT_EQUAL(worker_end(&worker), 0);
	simgpu_free(truth_when_gone(nvml_monitor, worker.pid));
	NVML_OK(NVML(nvmlDeviceGetAccountingStats)(nvml_device, pids[0], &stats));
	CU_ASSERT_EQUAL(stats.running, 0);
	CU_ASSERT_TRUE(stats.time_ms >= 10);
	CU_ASSERT_TRUE(stats.start_us > 0);
	NVML_OK(NVML(nvmlDeviceClearAccountingPids)(nvml_device));
	NVML_IS(NVML(nvmlDeviceGetAccountingStats)(nvml_device, pids[0], &stats),
		NVML_ERROR_NOT_FOUND);
out:
	NVML_OK(NVML(nvmlDeviceSetAccountingMode)(nvml_device, NVML_DISABLED));
}

/* ---- limits of newer drivers ---- */

static void hold_memory(struct worker *self)
{
	CUdeviceptr ptr;

	worker_context(0);
	WORKER_OK(cuMemAlloc(&ptr, 100 * MIB));
	worker_pause(self);
}

static void hold_memory_in_vain(struct worker *self)
{
	CUdeviceptr ptr;

	(void)self;
	worker_context(0);
	WORKER_IS(cuMemAlloc(&ptr, 100 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
}

static void limits_are_there_only_where_they_are_switched_on(void)
{
	struct nvml_get_memory_limits got = { .name_space = "/sys/fs/cgroup/tenant" };
	struct nvml_set_memory_limits set = { "/sys/fs/cgroup/tenant", 0, 300 * MIB };
	struct worker worker;

	NVML_IS(NVML(nvmlDeviceGetMemoryLimits_v1)(nvml_device, &got),
		NVML_ERROR_NOT_SUPPORTED);
	NVML_IS(NVML(nvmlDeviceSetMemoryLimits_v1)(nvml_device, &set),
		NVML_ERROR_NOT_SUPPORTED);
	setenv("SIMGPU_NVML_LIMITS", "1", 1);
	NVML_OK(NVML(nvmlDeviceGetMemoryLimits_v1)(nvml_device, &got));
	CU_ASSERT_EQUAL(got.hard_limit, NVML_MEMORY_LIMIT_MAX);
	CU_ASSERT_EQUAL(got.soft_limit, 0);
	CU_ASSERT_EQUAL(got.current_used, 0);
	if (geteuid() != 0) {
		NVML_IS(NVML(nvmlDeviceSetMemoryLimits_v1)(nvml_device, &set),
			NVML_ERROR_NO_PERMISSION);
		unsetenv("SIMGPU_NVML_LIMITS");
		unit_skip("only root may set a limit");
		return;
	}
	NVML_OK(NVML(nvmlDeviceSetMemoryLimits_v1)(nvml_device, &set));
	NVML_OK(NVML(nvmlDeviceGetMemoryLimits_v1)(nvml_device, &got));
	CU_ASSERT_EQUAL(got.hard_limit, 300 * MIB);
	/* 256 MiB of context and 100 of memory are too much. */
	worker = worker_start(hold_memory_in_vain);
	CU_ASSERT_EQUAL(worker_end(&worker), 0);
	set.hard_limit = NVML_MEMORY_LIMIT_MAX;
	NVML_OK(NVML(nvmlDeviceSetMemoryLimits_v1)(nvml_device, &set));
	worker = worker_start(hold_memory);
	if (worker_await(&worker))
		worker_go(&worker);
	CU_ASSERT_EQUAL(worker_end(&worker), 0);
	set.name_space = "not a cgroup";
	NVML_IS(NVML(nvmlDeviceSetMemoryLimits_v1)(nvml_device, &set),
		NVML_ERROR_INVALID_ARGUMENT);
	unsetenv("SIMGPU_NVML_LIMITS");
}

const struct unit_suite unit_suite = {
	.name = "NVML: use of time, accounting, limits",
	.init = nvml_open_library,
	.cleanup = nvml_close_library,
	.setup = nvml_begin_test,
	.teardown = nvml_end_test,
	.tests = {
		UNIT_TEST(a_busy_process_is_seen_in_whole_periods_and_once_each),
		UNIT_TEST(two_busy_processes_share_the_samples_as_they_share_the_device),
		UNIT_TEST(an_idle_device_shows_no_use_and_no_newer_samples),
		UNIT_TEST(accounting_knows_the_time_of_a_process_once_it_has_ended),
		UNIT_TEST(limits_are_there_only_where_they_are_switched_on),
	},
};
