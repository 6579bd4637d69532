/*
 * test_nvml.c - the simulated libnvidia-ml as a program finds it: identity, memory,
 * processes, sensors, and NVML's documented errors (NVML API Reference Guide).
 */
#include "common_nvml.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common_gpu.h"

#define MIB ((uint64_t)1 << 20)

/* ---- life of the library ---- */

static void before_init_every_call_says_uninitialized(void)
{
	unsigned count;
	char text[96];

	nvml_end_test();
	NVML_IS(NVML(nvmlDeviceGetCount_v2)(&count), NVML_ERROR_UNINITIALIZED);
	NVML_IS(NVML(nvmlDeviceGetName)(nvml_device, text, sizeof(text)),
		NVML_ERROR_UNINITIALIZED);
	NVML_IS(NVML(nvmlSystemGetDriverVersion)(text, sizeof(text)),
		NVML_ERROR_UNINITIALIZED);
	NVML_IS(NVML(nvmlDeviceGetProcessUtilization)(nvml_device, NULL, &count, 0),
		NVML_ERROR_UNINITIALIZED);
	NVML_IS(NVML(nvmlShutdown)(), NVML_ERROR_UNINITIALIZED);
	CU_ASSERT_STRING_EQUAL(NVML(nvmlErrorString)(NVML_ERROR_UNINITIALIZED),
			       "Uninitialized");
	nvml_begin_test();
}

static void each_init_needs_a_shutdown_of_its_own(void)
{
	unsigned count;

	NVML_OK(NVML(nvmlInit)());
	NVML_OK(NVML(nvmlInitWithFlags)(NVML_INIT_FLAG_NO_GPUS));
	NVML_OK(NVML(nvmlShutdown)());
	NVML_OK(NVML(nvmlShutdown)());
	NVML_OK(NVML(nvmlDeviceGetCount)(&count));
	CU_ASSERT_EQUAL(count, 1);
}

static void handles_that_are_none_are_invalid_arguments(void)
{
	const uintptr_t values[] = { 0,		  1,
				     0xdeadbeef,  (uintptr_t)&nvml_device,
				     UINTPTR_MAX, (uintptr_t)nvml_device + 1 };
	struct nvml_memory memory;
	nvmlDevice_t found;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		NVML_IS(NVML(nvmlDeviceGetMemoryInfo)((nvmlDevice_t)values[i], &memory),
			NVML_ERROR_INVALID_ARGUMENT);
	NVML_IS(NVML(nvmlDeviceGetHandleByIndex)(1, &found), NVML_ERROR_INVALID_ARGUMENT);
	NVML_IS(NVML(nvmlDeviceGetHandleByIndex)(0, NULL), NVML_ERROR_INVALID_ARGUMENT);
	NVML_IS(NVML(nvmlDeviceGetMemoryInfo)(nvml_device, NULL),
		NVML_ERROR_INVALID_ARGUMENT);
	NVML_IS(NVML(nvmlDeviceGetUtilizationRates)(nvml_device, NULL),
		NVML_ERROR_INVALID_ARGUMENT);
}

static void what_is_not_supported_says_so_and_nothing_else(void)
{
	/* Called as with more arguments than a device: none may be looked at. */
	typedef enum nvml_return (*device_function)(nvmlDevice_t, void *, void *, void *);
	static const char *const names[] = {
#define UNSUPPORTED(name) #name,
#include "nvml/unsupported.def"
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		device_function function = __extension__(device_function)
			nvml_symbol(names[i]);

		if (function(nvml_device, NULL, NULL, NULL) != NVML_ERROR_NOT_SUPPORTED ||
		    function(NULL, NULL, NULL, NULL) != NVML_ERROR_INVALID_ARGUMENT)
			CU_FAIL(names[i]);
	}
	CU_ASSERT_PTR_NULL(dlsym(nvml_library, "nvmlDeviceGetPowerMizerMode_v1"));
	printf("  NVML: %zu functions answer \"not supported\"\n",
	       sizeof(names) / sizeof(names[0]));
}

/* ---- identity ---- */

static void identity_is_the_same_as_cuda_has_it(void)
{
	struct nvml_pci_info_v2 pci_v2;
	struct nvml_pci_info pci;
	char name[96], uuid[96], cuda_name[96], cuda_pci[32], expected[96];
	int version, cuda_version, major, minor, cuda_major, cuda_minor;
	nvmlDevice_t found;
	CUuuid cuda_uuid;

	CU_ASSERT_EQUAL(cuInit(0), CUDA_SUCCESS);
	NVML_OK(NVML(nvmlSystemGetCudaDriverVersion)(&version));
	CU_ASSERT_EQUAL(cuDriverGetVersion(&cuda_version), CUDA_SUCCESS);
	CU_ASSERT_EQUAL(version, cuda_version);
	NVML_OK(NVML(nvmlDeviceGetName)(nvml_device, name, sizeof(name)));
	CU_ASSERT_EQUAL(cuDeviceGetName(cuda_name, sizeof(cuda_name), 0), CUDA_SUCCESS);
	CU_ASSERT_STRING_EQUAL(name, cuda_name);
	NVML_OK(NVML(nvmlDeviceGetUUID)(nvml_device, uuid, sizeof(uuid)));
	CU_ASSERT_EQUAL(cuDeviceGetUuid(&cuda_uuid, 0), CUDA_SUCCESS);
	strcpy(expected, "GPU-");
	for (int i = 0; i < 16; i++)
		sprintf(expected + strlen(expected), "%s%02x",
			i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			(unsigned char)cuda_uuid.bytes[i]);
	CU_ASSERT_STRING_EQUAL(uuid, expected);
	NVML_OK(NVML(nvmlDeviceGetCudaComputeCapability)(nvml_device, &major, &minor));
	cuDeviceGetAttribute(&cuda_major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
			     0);
	cuDeviceGetAttribute(&cuda_minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
			     0);
	CU_ASSERT_EQUAL(major, cuda_major);
	CU_ASSERT_EQUAL(minor, cuda_minor);
	NVML_OK(NVML(nvmlDeviceGetPciInfo_v3)(nvml_device, &pci));
	CU_ASSERT_EQUAL(cuDeviceGetPCIBusId(cuda_pci, sizeof(cuda_pci), 0), CUDA_SUCCESS);
	CU_ASSERT_STRING_EQUAL(pci.bus_id_legacy, cuda_pci);
	CU_ASSERT_STRING_EQUAL(pci.bus_id + 4, cuda_pci);
	NVML_OK(NVML(nvmlDeviceGetPciInfo)(nvml_device, &pci_v2));
	CU_ASSERT_STRING_EQUAL(pci_v2.bus_id, cuda_pci);
	NVML_OK(NVML(nvmlDeviceGetHandleByUUID)(uuid, &found));
	CU_ASSERT_PTR_EQUAL(found, nvml_device);
	NVML_OK(NVML(nvmlDeviceGetHandleByPciBusId_v2)(pci.bus_id, &found));
	CU_ASSERT_PTR_EQUAL(found, nvml_device);
	NVML_IS(NVML(nvmlDeviceGetHandleByUUID)("GPU-none", &found),
		NVML_ERROR_NOT_FOUND);
	NVML_IS(NVML(nvmlDeviceGetHandleByPciBusId_v2)("0000:7f:00.0", &found),
		NVML_ERROR_NOT_FOUND);
}

static void identity_in_child(void)
{
	nvml_begin_test();
	identity_is_the_same_as_cuda_has_it();
	CHECK(CU_get_number_of_failures() == 0);
}

/* In a child, since the test itself may not use CUDA before it forks workers. */
static void identity_and_versions_are_those_of_cuda(void)
{
	CU_ASSERT_EQUAL(child_run(identity_in_child, NULL), 0);
}

static void texts_that_do_not_fit_are_an_insufficient_size(void)
{
	char text[96];

	NVML_OK(NVML(nvmlSystemGetDriverVersion)(text, sizeof(text)));
	CU_ASSERT_STRING_EQUAL(text, "580.65.06");
	NVML_IS(NVML(nvmlSystemGetDriverVersion)(text, (unsigned)strlen("580.65.06")),
		NVML_ERROR_INSUFFICIENT_SIZE);
	NVML_OK(NVML(nvmlSystemGetNVMLVersion)(text, sizeof(text)));
	CU_ASSERT_STRING_EQUAL(text, "13.580.65.06");
	NVML_IS(NVML(nvmlDeviceGetName)(nvml_device, text, 4),
		NVML_ERROR_INSUFFICIENT_SIZE);
	NVML_OK(NVML(nvmlSystemGetProcessName)((unsigned)getpid(), text, sizeof(text)));
	NVML_IS(NVML(nvmlSystemGetProcessName)(0x7ffffff0u, text, sizeof(text)),
		NVML_ERROR_NOT_FOUND);
}

/* ---- memory and processes ---- */

static void hold_memory(struct worker *self)
{
	CUdeviceptr ptr;

	worker_context(0);
	WORKER_OK(cuMemAlloc(&ptr, 100 * MIB));
	worker_pause(self);
}

static struct simgpu_client client_of(pid_t pid)
{
	struct simgpu_truth *truth = simgpu_truth(nvml_monitor);
	const struct simgpu_client *found = truth ? simgpu_find(truth, pid) : NULL;
	struct simgpu_client client = { 0 };

	CU_ASSERT_PTR_NOT_NULL(found);
	if (found)
		client = *found;
	simgpu_free(truth);
	return client;
}

static void memory_is_what_the_device_holds(void)
{
	struct nvml_memory_v2 v2 = { .version = NVML_VERSION(struct nvml_memory_v2, 2) };
	struct worker worker = worker_start(hold_memory);
	struct nvml_memory v1;
	uint64_t held;

	if (worker_await(&worker)) {
		held = client_of(worker.pid).memory[0].used;
		CU_ASSERT_TRUE(held >= 100 * MIB);
		NVML_OK(NVML(nvmlDeviceGetMemoryInfo)(nvml_device, &v1));
		CU_ASSERT_EQUAL(v1.used, held);
		CU_ASSERT_EQUAL(v1.total, UINT64_C(16) << 30);
		CU_ASSERT_EQUAL(v1.free, v1.total - v1.used);
		NVML_OK(NVML(nvmlDeviceGetMemoryInfo_v2)(nvml_device, &v2));
		CU_ASSERT_EQUAL(v2.total, v1.total);
		CU_ASSERT_EQUAL(v2.used + v2.free + v2.reserved, v2.total);
		v2.version = 0;
		NVML_IS(NVML(nvmlDeviceGetMemoryInfo_v2)(nvml_device, &v2),
			NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
		worker_go(&worker);
	}
	CU_ASSERT_EQUAL(worker_end(&worker), 0);
	simgpu_free(truth_when_gone(nvml_monitor, worker.pid));
	NVML_OK(NVML(nvmlDeviceGetMemoryInfo)(nvml_device, &v1));
	CU_ASSERT_EQUAL(v1.used, 0);
}

static void processes_are_listed_with_host_pids_and_all_their_memory(void)
{
	struct worker a = worker_start(hold_memory), b = worker_start(hold_memory);
	struct nvml_process_detail details[4];
	struct nvml_process_detail_list list = {
		.version = NVML_VERSION(struct nvml_process_detail_list, 1),
		.mode = NVML_PROCESSES_COMPUTE,
		.count = 4,
		.processes = details,
	};
	struct nvml_process processes[4];
	struct nvml_process_v1 old[4];
	unsigned count;

	if (!worker_await(&a) || !worker_await(&b))
		goto out;
	count = 4;
	NVML_OK(NVML(nvmlDeviceGetComputeRunningProcesses_v3)(nvml_device, &count,
							      processes));
	CU_ASSERT_EQUAL_FATAL(count, 2);
	CU_ASSERT_TRUE((processes[0].pid == (unsigned)a.pid) !=
		       (processes[1].pid == (unsigned)a.pid));
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_TRUE(processes[i].pid == (unsigned)a.pid ||
			       processes[i].pid == (unsigned)b.pid);
		CU_ASSERT_EQUAL(processes[i].used_gpu_memory,
				client_of((pid_t)processes[i].pid).memory[0].used);
		CU_ASSERT_EQUAL(processes[i].gpu_instance, NVML_NOT_AVAILABLE);
	}
	count = 4;
	NVML_OK(NVML(nvmlDeviceGetComputeRunningProcesses)(nvml_device, &count, old));
	CU_ASSERT_EQUAL(count, 2);
	CU_ASSERT_EQUAL(old[1].pid, processes[1].pid);
	CU_ASSERT_EQUAL(old[1].used_gpu_memory, processes[1].used_gpu_memory);
	NVML_OK(NVML(nvmlDeviceGetRunningProcessDetailList)(nvml_device, &list));
	CU_ASSERT_EQUAL(list.count, 2);
	CU_ASSERT_EQUAL(details[1].pid, processes[1].pid);
	list.version = 1;
	NVML_IS(NVML(nvmlDeviceGetRunningProcessDetailList)(nvml_device, &list),
		NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
	/* Nobody draws; nobody serves. */
	count = 4;
	NVML_OK(NVML(nvmlDeviceGetGraphicsRunningProcesses_v3)(nvml_device, &count,
							       processes));
	CU_ASSERT_EQUAL(count, 0);
	count = 4;
	NVML_OK(NVML(nvmlDeviceGetMPSComputeRunningProcesses_v3)(nvml_device, &count,
								 processes));
	CU_ASSERT_EQUAL(count, 0);
out:
	worker_kill(&a);
	worker_kill(&b);
	simgpu_free(truth_when_gone(nvml_monitor, a.pid));
	simgpu_free(truth_when_gone(nvml_monitor, b.pid));
	count = 0;
	NVML_OK(NVML(nvmlDeviceGetComputeRunningProcesses_v3)(nvml_device, &count, NULL));
	CU_ASSERT_EQUAL(count, 0);
}

static void a_list_that_is_too_short_tells_the_number(void)
{
	struct worker worker = worker_start(hold_memory);
	struct nvml_process process;
	unsigned count = 0;

	if (worker_await(&worker)) {
		NVML_IS(NVML(nvmlDeviceGetComputeRunningProcesses_v2)(nvml_device, &count,
								      NULL),
			NVML_ERROR_INSUFFICIENT_SIZE);
		CU_ASSERT_EQUAL(count, 1);
		NVML_OK(NVML(nvmlDeviceGetComputeRunningProcesses_v2)(nvml_device, &count,
								      &process));
		NVML_IS(NVML(nvmlDeviceGetComputeRunningProcesses_v2)(nvml_device, NULL,
								      &process),
			NVML_ERROR_INVALID_ARGUMENT);
		count = 1;
		NVML_IS(NVML(nvmlDeviceGetComputeRunningProcesses_v2)(nvml_device, &count,
								      NULL),
			NVML_ERROR_INVALID_ARGUMENT);
		worker_go(&worker);
	}
	CU_ASSERT_EQUAL(worker_end(&worker), 0);
}

/* ---- sensors ---- */

static void sensors_have_plausible_readings(void)
{
	unsigned celsius, limit, milliwatts, low, high, clock, fastest, width, speed;

	NVML_OK(NVML(nvmlDeviceGetTemperature)(nvml_device, 0, &celsius));
	NVML_OK(NVML(nvmlDeviceGetTemperatureThreshold)(nvml_device,
							NVML_THRESHOLD_SLOWDOWN, &limit));
	CU_ASSERT_TRUE(celsius > 0 && celsius < limit);
	NVML_IS(NVML(nvmlDeviceGetTemperature)(nvml_device, 5, &celsius),
		NVML_ERROR_INVALID_ARGUMENT);
	NVML_OK(NVML(nvmlDeviceGetPowerUsage)(nvml_device, &milliwatts));
	NVML_OK(NVML(nvmlDeviceGetPowerManagementLimitConstraints)(nvml_device, &low,
								   &high));
	NVML_OK(NVML(nvmlDeviceGetEnforcedPowerLimit)(nvml_device, &limit));
	CU_ASSERT_TRUE(milliwatts > 0 && milliwatts <= limit);
	CU_ASSERT_TRUE(low <= limit && limit <= high);
	NVML_OK(NVML(nvmlDeviceGetClockInfo)(nvml_device, NVML_CLOCK_SM, &clock));
	NVML_OK(NVML(nvmlDeviceGetMaxClockInfo)(nvml_device, NVML_CLOCK_SM, &fastest));
	CU_ASSERT_TRUE(clock > 0 && clock <= fastest);
	NVML_OK(NVML(nvmlDeviceGetCurrPcieLinkWidth)(nvml_device, &width));
	CU_ASSERT_EQUAL(width, 16);
	NVML_OK(NVML(nvmlDeviceGetPcieThroughput)(nvml_device, 0, &speed));
	NVML_IS(NVML(nvmlDeviceGetPcieThroughput)(nvml_device, 9, &speed),
		NVML_ERROR_INVALID_ARGUMENT);
}

/* ---- a device that falls off the bus ---- */

static void lose_it(void)
{
	struct nvml_memory memory;
	struct simgpu_monitor *own;
	nvmlDevice_t one;
	unsigned count = 0;

	CHECK(NVML(nvmlInit_v2)() == NVML_SUCCESS);
	CHECK(NVML(nvmlDeviceGetCount_v2)(&count) == NVML_SUCCESS);
	CHECK(count == 2);
	CHECK(NVML(nvmlDeviceGetHandleByIndex_v2)(1, &one) == NVML_SUCCESS);
	CHECK(NVML(nvmlDeviceGetMemoryInfo)(one, &memory) == NVML_SUCCESS);
	own = simgpu_open(NULL, 0, NULL);
	CHECK(own != NULL);
	if (!own)
		return;
	CHECK(simgpu_lose_device(own, 1) == 0);
	CHECK(NVML(nvmlDeviceGetMemoryInfo)(one, &memory) == NVML_ERROR_GPU_IS_LOST);
	CHECK(NVML(nvmlDeviceGetComputeRunningProcesses_v3)(one, &count, NULL) ==
	      NVML_ERROR_GPU_IS_LOST);
	CHECK(NVML(nvmlDeviceGetHandleByIndex_v2)(1, &one) == NVML_ERROR_GPU_IS_LOST);
	CHECK(NVML(nvmlDeviceGetHandleByIndex_v2)(0, &one) == NVML_SUCCESS);
	CHECK(NVML(nvmlDeviceGetMemoryInfo)(one, &memory) == NVML_SUCCESS);
	simgpu_close(own);
	CHECK(NVML(nvmlShutdown)() == NVML_SUCCESS);
}

static void a_lost_device_says_so_in_every_call(void)
{
	char state[4200];
	const char *tmp = getenv("TMPDIR");
	const char *env[] = { "SIMGPU_DEVICES=2", state, NULL };

	snprintf(state, sizeof(state), "SIMGPU_STATE=%s/lost-%d", tmp ? tmp : "/tmp",
		 (int)getpid());
	/* The child begins without the library, so that it connects to a device of its own. */
	nvml_end_test();
	CU_ASSERT_EQUAL(child_run(lose_it, env), 0);
	nvml_begin_test();
}

const struct unit_suite unit_suite = {
	.name = "NVML",
	.init = nvml_open_library,
	.cleanup = nvml_close_library,
	.setup = nvml_begin_test,
	.teardown = nvml_end_test,
	.tests = {
		UNIT_TEST(before_init_every_call_says_uninitialized),
		UNIT_TEST(each_init_needs_a_shutdown_of_its_own),
		UNIT_TEST(handles_that_are_none_are_invalid_arguments),
		UNIT_TEST(what_is_not_supported_says_so_and_nothing_else),
		UNIT_TEST(identity_and_versions_are_those_of_cuda),
		UNIT_TEST(texts_that_do_not_fit_are_an_insufficient_size),
		UNIT_TEST(memory_is_what_the_device_holds),
		UNIT_TEST(processes_are_listed_with_host_pids_and_all_their_memory),
		UNIT_TEST(a_list_that_is_too_short_tells_the_number),
		UNIT_TEST(sensors_have_plausible_readings),
		UNIT_TEST(a_lost_device_says_so_in_every_call),
	},
};
