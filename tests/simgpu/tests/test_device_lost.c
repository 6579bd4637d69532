/*
 * test_device_lost.c - a device that falls off the bus: who uses it is in error, everybody
 * else goes on, and NVML says so. Each test loses a device of a device process of its own.
 */
#include "common_devices.h"

#include <string.h>
#include <unistd.h>

#include "common_nvml.h"

#define BLOCK MIB(8)

static struct simgpu_monitor *losing; /* of the device process of the running test */

static void begin(void)
{
	losing = devices_elsewhere("lost");
}

static void end(void)
{
	simgpu_close(losing);
	devices_here();
}

static void lose(unsigned device)
{
	CU_ASSERT_EQUAL(simgpu_lose_device(losing, device), 0);
}

/* ---- those who use it ---- */

static void run_on_one(struct worker *self)
{
	volatile uint32_t *word;
	CUcontext other = devices_context(0), ctx = devices_context(1);
	CUdeviceptr at;
	CUevent event;
	int count;

	word = devices_word();
	WORKER_OK(cuEventCreate(&event, 0));
	devices_spin_until(devices_spin(), NULL, word);
	WORKER_OK(cuEventRecord(event, NULL));
	worker_pause(self);
	/* The work will never be done, and nobody waits for it. */
	WORKER_IS(cuCtxSynchronize(), CUDA_ERROR_DEVICE_UNAVAILABLE);
	WORKER_IS(cuEventSynchronize(event), CUDA_ERROR_DEVICE_UNAVAILABLE);
	WORKER_IS(cuMemAlloc(&at, 1), CUDA_ERROR_DEVICE_UNAVAILABLE);
	/* Nor does anything else work in this process any more. */
	WORKER_IS(cuCtxSetCurrent(other), CUDA_ERROR_DEVICE_UNAVAILABLE);
	WORKER_IS(cuDeviceGetCount(&count), CUDA_ERROR_DEVICE_UNAVAILABLE);
	WORKER_IS(cuCtxDestroy(ctx), CUDA_ERROR_DEVICE_UNAVAILABLE);
	_exit(child_failed() != 0);
}

static void hold_memory_on_one(struct worker *self)
{
	CUmemAllocationProp prop = {
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 1 },
	};
	CUmemGenericAllocationHandle handle;
	CUdeviceptr at;

	devices_context(0);
	WORKER_OK(cuMemCreate(&handle, BLOCK, &prop, 0));
	worker_pause(self);
	WORKER_IS(cuMemAlloc(&at, 1), CUDA_ERROR_DEVICE_UNAVAILABLE);
}

/* ---- those who do not ---- */

static void run_on_others(struct worker *self)
{
	CUcontext ctx[2] = { devices_context(0), devices_context(2) };
	volatile uint32_t *word = devices_word();
	CUdeviceptr at;
	CUcontext lost;

	devices_spin_until(devices_spin(), NULL, word);
	worker_pause(self);
	*word = 1;
	WORKER_OK(cuCtxSynchronize());
	for (int i = 0; i < 2; i++) {
		WORKER_OK(cuCtxSetCurrent(ctx[i]));
		WORKER_OK(cuMemAlloc(&at, BLOCK));
		WORKER_OK(cuMemsetD8(at, 1, BLOCK));
		WORKER_OK(cuCtxSynchronize());
	}
	/* They are told, but not punished, when they try. */
	WORKER_IS(cuCtxCreate(&lost, NULL, 0, 1), CUDA_ERROR_DEVICE_UNAVAILABLE);
	WORKER_IS(cuDevicePrimaryCtxRetain(&lost, 1), CUDA_ERROR_DEVICE_UNAVAILABLE);
	WORKER_OK(cuMemAlloc(&at, BLOCK));
	_exit(child_failed() != 0);
}

static bool all_run(const struct simgpu_truth *truth, void *arg)
{
	(void)arg;
	return truth->devices[1].state == 2 && truth->devices[2].state == 2;
}

/* What a process is stuck with, -1 if there are no books of it. */
static int sticky_of(const struct simgpu_truth *truth, pid_t pid)
{
	const struct simgpu_client *client = truth ? simgpu_find(truth, pid) : NULL;

	return client != NULL ? (int)client->sticky : -1;
}

static void only_its_users_are_in_error(void)
{
	struct worker user, holder, other;
	struct simgpu_truth *truth;

	user = worker_start(run_on_one);
	holder = worker_start(hold_memory_on_one);
	other = worker_start(run_on_others);
	worker_await(&user);
	worker_await(&holder);
	worker_await(&other);
	simgpu_free(truth_when(losing, all_run, NULL));
	lose(1);
	truth = simgpu_truth(losing);
	CU_ASSERT_PTR_NOT_NULL(truth);
	for (unsigned d = 0; truth != NULL && d < DEVICES; d++) {
		CU_ASSERT_EQUAL(truth->devices[d].lost, d == 1);
		CU_ASSERT_EQUAL(truth->devices[d].state, d == 2 ? 2 : 0);
	}
	CU_ASSERT_EQUAL(sticky_of(truth, user.pid), CUDA_ERROR_DEVICE_UNAVAILABLE);
	CU_ASSERT_EQUAL(sticky_of(truth, holder.pid), CUDA_ERROR_DEVICE_UNAVAILABLE);
	CU_ASSERT_EQUAL(sticky_of(truth, other.pid), CUDA_SUCCESS);
	simgpu_free(truth);
	worker_go(&user);
	worker_go(&holder);
	worker_go(&other);
	CU_ASSERT_EQUAL(worker_end(&user), 0);
	CU_ASSERT_EQUAL(worker_end(&holder), 0);
	CU_ASSERT_EQUAL(worker_end(&other), 0);
	truth = truth_when_gone(losing, user.pid);
	if (truth != NULL)
		CU_ASSERT_EQUAL(truth->devices[1].contexts, 0);
	simgpu_free(truth);
}

static void come_later(void)
{
	CUmemAllocationProp prop = {
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 1 },
	};
	CUmemGenericAllocationHandle handle;
	CUcontext ctx;
	CUdeviceptr at = 0;
	int count = 0;

	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuDeviceGetCount(&count), CUDA_SUCCESS);
	CHECK(count == DEVICES);
	CHECK_IS(cuCtxCreate(&ctx, NULL, 0, 1), CUDA_ERROR_DEVICE_UNAVAILABLE);
	CHECK_IS(cuMemCreate(&handle, PAGE, &prop, 0), CUDA_ERROR_DEVICE_UNAVAILABLE);
	devices_context(0);
	CHECK_IS(cuMemAlloc(&at, BLOCK), CUDA_SUCCESS);
	CHECK_IS(cuMemsetD8(at, 4, BLOCK), CUDA_SUCCESS);
	CHECK(devices_filled(at, 4, BLOCK));
}

static void who_comes_later_has_the_others(void)
{
	lose(1);
	IN_CHILD(come_later, );
}

static void without_its_context(void)
{
	CUcontext ctx = devices_context(1);

	CHECK_IS(cuCtxDestroy(ctx), CUDA_SUCCESS);
	devices_context(2);
	CHECK(simgpu_lose_device(losing, 1) == 0);
	CHECK_IS(cuCtxSynchronize(), CUDA_SUCCESS);
	CHECK(simgpu_lose_device(losing, 2) == 0);
	CHECK_IS(cuCtxSynchronize(), CUDA_ERROR_DEVICE_UNAVAILABLE);
}

static void who_has_left_it_before_is_no_user(void)
{
	IN_CHILD(without_its_context, );
}

/* ---- NVML ---- */

/* Whether a call gives what it should; in a child, where CUnit is not to be used. */
#define NVML_GIVES(call, expected) CHECK((call) == (expected))

static void nvml_looks(void)
{
	nvmlDevice_t device[DEVICES], again;
	struct nvml_memory memory;
	unsigned count = 0;

	CHECK(nvml_open_library() == 0);
	NVML_GIVES(NVML(nvmlInit_v2)(), NVML_SUCCESS);
	for (unsigned i = 0; i < DEVICES; i++)
		NVML_GIVES(NVML(nvmlDeviceGetHandleByIndex_v2)(i, &device[i]),
			   NVML_SUCCESS);
	CHECK(simgpu_lose_device(losing, 1) == 0);
	NVML_GIVES(NVML(nvmlDeviceGetCount_v2)(&count), NVML_SUCCESS);
	CHECK(count == DEVICES);
	for (unsigned i = 0; i < DEVICES; i++) {
		enum nvml_return is = i == 1 ? NVML_ERROR_GPU_IS_LOST : NVML_SUCCESS;
		struct nvml_process processes[4];
		unsigned n = 4;

		NVML_GIVES(NVML(nvmlDeviceGetMemoryInfo)(device[i], &memory), is);
		NVML_GIVES(NVML(nvmlDeviceGetComputeRunningProcesses_v3)(device[i], &n,
									 processes),
			   is);
		NVML_GIVES(NVML(nvmlDeviceGetHandleByIndex_v2)(i, &again), is);
	}
	NVML_GIVES(NVML(nvmlShutdown)(), NVML_SUCCESS);
}

static void nvml_says_that_it_is_lost(void)
{
	IN_CHILD(nvml_looks, );
}

const struct unit_suite unit_suite = {
	.name = "a lost device",
	.init = devices_start,
	.cleanup = devices_stop,
	.setup = begin,
	.teardown = end,
	.tests = {
		UNIT_TEST(only_its_users_are_in_error),
		UNIT_TEST(who_comes_later_has_the_others),
		UNIT_TEST(who_has_left_it_before_is_no_user),
		UNIT_TEST(nvml_says_that_it_is_lost),
	},
};
