/*
 * test_truth.c - device truth: to the byte and to the nanosecond, per process, also of those
 * that have gone.
 */
#include "cunit_main.h"

#include <errno.h>
#include <stdio.h>

#include "common_worker.h"

#define MIB ((uint64_t)1 << 20)
#define CONTEXT_BYTES (256 * MIB)

static struct simgpu_monitor *monitor;

static int open_monitor(void)
{
	const char *why = "";

	monitor = simgpu_open(NULL, 1, &why);
	if (!monitor)
		printf("%s\n", why);
	return monitor ? 0 : -1;
}

static int close_monitor(void)
{
	simgpu_close(monitor);
	return 0;
}

/* The books of a process on device 0 at this moment; zeroes if it has none. */
static struct simgpu_client client_of(pid_t pid)
{
	static const struct simgpu_client nothing;
	struct simgpu_truth *truth = simgpu_truth(monitor);
	const struct simgpu_client *found = truth ? simgpu_find(truth, pid) : NULL;
	struct simgpu_client client = found ? *found : nothing;

	CU_ASSERT_PTR_NOT_NULL(found);
	simgpu_free(truth);
	return client;
}

static struct simgpu_device device_now(void)
{
	static const struct simgpu_device nothing;
	struct simgpu_truth *truth = simgpu_truth(monitor);
	struct simgpu_device device = truth ? truth->devices[0] : nothing;

	CU_ASSERT_PTR_NOT_NULL(truth);
	simgpu_free(truth);
	return device;
}

/* ---- memory ---- */

static void allocate_odd_sizes(struct worker *self)
{
	CUdeviceptr one, odd;

	worker_context(0);
	worker_pause(self);
	WORKER_OK(cuMemAlloc(&odd, 1000003));
	WORKER_OK(cuMemAlloc(&one, 1));
	worker_pause(self);
	WORKER_OK(cuMemFree(odd));
	worker_pause(self);
	WORKER_OK(cuMemFree(one));
	worker_pause(self);
}

static void requested_bytes_follow_allocations_to_the_byte(void)
{
	struct worker worker = worker_start(allocate_odd_sizes);
	uint64_t before = device_now().requested_bytes;
	struct simgpu_client client;

	if (!worker_await(&worker))
		goto out;
	client = client_of(worker.pid);
	CU_ASSERT_EQUAL(client.memory[0].requested, 0);
	CU_ASSERT_EQUAL(client.memory[0].context, CONTEXT_BYTES);
	CU_ASSERT_EQUAL(client.memory[0].used, CONTEXT_BYTES);
	worker_go(&worker);
	if (!worker_await(&worker))
		goto out;
	client = client_of(worker.pid);
	CU_ASSERT_EQUAL(client.memory[0].requested, 1000004);
	CU_ASSERT_EQUAL(client.memory[0].plain, 1000004);
	CU_ASSERT_EQUAL(client.memory[0].allocations, 2);
	CU_ASSERT_TRUE(client.memory[0].used >= CONTEXT_BYTES + 1000004);
	CU_ASSERT_EQUAL(device_now().requested_bytes, before + 1000004);
	worker_go(&worker);
	if (!worker_await(&worker))
		goto out;
	client = client_of(worker.pid);
	CU_ASSERT_EQUAL(client.memory[0].requested, 1);
	CU_ASSERT_EQUAL(client.memory[0].requested_peak, 1000004);
	worker_go(&worker);
	if (!worker_await(&worker))
		goto out;
	client = client_of(worker.pid);
	CU_ASSERT_EQUAL(client.memory[0].requested, 0);
	CU_ASSERT_EQUAL(client.memory[0].used, CONTEXT_BYTES);
	CU_ASSERT_EQUAL(client.memory[0].allocations, 0);
	CU_ASSERT_EQUAL(client.allocs, 2);
	CU_ASSERT_EQUAL(client.frees, 2);
	worker_go(&worker);
out:
	CU_ASSERT_EQUAL(worker_end(&worker), 0);
}

static void allocate_by_kinds(struct worker *self)
{
	CUdeviceptr ptr;
	size_t pitch;
	void *host;

	worker_context(0);
	WORKER_OK(cuMemAllocManaged(&ptr, 5000, CU_MEM_ATTACH_GLOBAL));
	WORKER_OK(cuMemHostAlloc(&host, 7000, 0));
	WORKER_OK(cuMemAllocPitch(&ptr, &pitch, 100, 3, 4));
	worker_pause(self);
}

static void kinds_of_memory_are_told_apart(void)
{
	struct worker worker = worker_start(allocate_by_kinds);
	struct simgpu_client client;

	if (worker_await(&worker)) {
		client = client_of(worker.pid);
		CU_ASSERT_EQUAL(client.memory[0].managed, 5000);
		CU_ASSERT_EQUAL(client.memory[0].host, 7000);
		/* Pinned host memory is not on the device. */
		CU_ASSERT_EQUAL(client.memory[0].requested,
				client.memory[0].managed + client.memory[0].plain);
		CU_ASSERT_TRUE(client.memory[0].plain >= 3 * 100);
		worker_go(&worker);
	}
	CU_ASSERT_EQUAL(worker_end(&worker), 0);
}

static void ask_for_too_much(struct worker *self)
{
	size_t free_bytes, total;
	CUdeviceptr ptr;

	worker_context(0);
	WORKER_OK(cuMemGetInfo(&free_bytes, &total));
	WORKER_IS(cuMemAlloc(&ptr, total), CUDA_ERROR_OUT_OF_MEMORY);
	WORKER_IS(cuMemAlloc(&ptr, free_bytes + 1), CUDA_ERROR_OUT_OF_MEMORY);
	worker_pause(self);
}

static void a_refused_allocation_is_counted_and_takes_nothing(void)
{
	struct worker worker = worker_start(ask_for_too_much);
	struct simgpu_client client;

	if (worker_await(&worker)) {
		client = client_of(worker.pid);
		CU_ASSERT_EQUAL(client.refusals, 2);
		CU_ASSERT_EQUAL(client.memory[0].requested_peak, 0);
		CU_ASSERT_EQUAL(client.memory[0].used, CONTEXT_BYTES);
		worker_go(&worker);
	}
	CU_ASSERT_EQUAL(worker_end(&worker), 0);
}

static void hold_ten_mebibytes(struct worker *self)
{
	CUdeviceptr ptr;

	worker_context(0);
	WORKER_OK(cuMemAlloc(&ptr, 10 * MIB));
	worker_pause(self);
}

static void hold_ten_mebibytes_in_vain(struct worker *self)
{
	CUdeviceptr ptr;

	(void)self;
	worker_context(0);
	WORKER_IS(cuMemAlloc(&ptr, 10 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
}

static void books_of_a_killed_process_stay_and_its_memory_does_not(void)
{
	struct worker worker = worker_start(hold_ten_mebibytes);
	const struct simgpu_client *client;
	struct simgpu_truth *truth;

	CU_ASSERT_TRUE(worker_await(&worker));
	CU_ASSERT_TRUE(device_now().used_bytes >= CONTEXT_BYTES + 10 * MIB);
	worker_kill(&worker);
	truth = truth_when_gone(monitor, worker.pid);
	if (!truth)
		return;
	client = simgpu_find(truth, worker.pid);
	CU_ASSERT_EQUAL(client->memory[0].requested, 0);
	CU_ASSERT_EQUAL(client->memory[0].used, 0);
	CU_ASSERT_EQUAL(client->memory[0].requested_peak, 10 * MIB);
	CU_ASSERT_EQUAL(client->allocs, 1);
	CU_ASSERT_TRUE(client->gone_ns > client->connected_ns);
	CU_ASSERT_EQUAL(truth->devices[0].used_bytes, 0);
	CU_ASSERT_EQUAL(truth->devices[0].requested_bytes, 0);
	CU_ASSERT_EQUAL(truth->devices[0].contexts, 0);
	simgpu_free(truth);
}

static void a_limit_binds_each_client_by_itself(void)
{
	struct worker worker;

	CU_ASSERT_EQUAL(simgpu_set_memory_limit(monitor, 0, CONTEXT_BYTES + 9 * MIB), 0);
	CU_ASSERT_EQUAL(device_now().memory_limit_bytes, CONTEXT_BYTES + 9 * MIB);
	worker = worker_start(hold_ten_mebibytes_in_vain);
	CU_ASSERT_EQUAL(worker_end(&worker), 0);
	CU_ASSERT_EQUAL(simgpu_set_memory_limit(monitor, 0, 0), 0);
	worker = worker_start(hold_ten_mebibytes);
	if (worker_await(&worker))
		worker_go(&worker);
	CU_ASSERT_EQUAL(worker_end(&worker), 0);
	CU_ASSERT_EQUAL(simgpu_set_memory_limit(monitor, SIMGPU_MAX_DEVICES, 0), -EINVAL);
}

/* ---- time ---- */

static void work_ten_milliseconds(struct worker *self)
{
	CUfunction work;

	worker_context(0);
	work = worker_kernel();
	/* One iteration takes SIMGPU_WORK_PS, a nanosecond. */
	for (int i = 0; i < 10; i++)
		worker_launch(work, 1000000);
	WORKER_OK(cuCtxSynchronize());
	worker_pause(self);
}

static void gpu_time_is_exactly_that_of_the_kernels(void)
{
	struct simgpu_device before = device_now(), after;
	struct worker worker = worker_start(work_ten_milliseconds);
	struct simgpu_client client;

	if (worker_await(&worker)) {
		client = client_of(worker.pid);
		after = device_now();
		CU_ASSERT_EQUAL(client.gpu_ns[0], 10000000);
		CU_ASSERT_EQUAL(client.kernel_ns[0], 10000000);
		CU_ASSERT_EQUAL(client.kernels, 10);
		CU_ASSERT_EQUAL(after.busy_ns - before.busy_ns, 10000000);
		worker_go(&worker);
	}
	CU_ASSERT_EQUAL(worker_end(&worker), 0);
}

static void idle_switching_and_busy_time_make_up_all_time(void)
{
	struct worker worker = worker_start(work_ten_milliseconds);
	struct simgpu_truth *truth;

	CU_ASSERT_TRUE(worker_await(&worker));
	truth = simgpu_truth(monitor);
	CU_ASSERT_PTR_NOT_NULL(truth);
	for (uint32_t d = 0; truth && d < truth->ndevices; d++) {
		const struct simgpu_device *device = &truth->devices[d];

		CU_ASSERT_EQUAL(device->idle_ns + device->switch_ns + device->busy_ns,
				truth->now_ns - device->since_ns);
	}
	simgpu_free(truth);
	worker_go(&worker);
	CU_ASSERT_EQUAL(worker_end(&worker), 0);
}

static void copy_a_mebibyte(struct worker *self)
{
	static char bytes[1 << 20];
	CUdeviceptr ptr;

	worker_context(0);
	WORKER_OK(cuMemAlloc(&ptr, sizeof(bytes)));
	WORKER_OK(cuMemcpyHtoD(ptr, bytes, sizeof(bytes)));
	WORKER_OK(cuMemcpyDtoH(bytes, ptr, sizeof(bytes) / 2));
	worker_pause(self);
}

static void copies_are_counted_in_bytes_and_time(void)
{
	struct worker worker = worker_start(copy_a_mebibyte);
	struct simgpu_client client;

	if (worker_await(&worker)) {
		client = client_of(worker.pid);
		CU_ASSERT_EQUAL(client.copies, 2);
		CU_ASSERT_EQUAL(client.copy_bytes, MIB + MIB / 2);
		/* SIMGPU_COPY_GBPS=25: 40 ps per byte */
		CU_ASSERT_TRUE(client.copy_ns[0] >= (MIB + MIB / 2) * 40 / 1000);
		CU_ASSERT_EQUAL(client.gpu_ns[0], 0);
		worker_go(&worker);
	}
	CU_ASSERT_EQUAL(worker_end(&worker), 0);
}

static void contexts_of_a_process_have_books_of_their_own(void)
{
	struct worker worker = worker_start(work_ten_milliseconds);
	uint64_t gpu_ns = 0;
	unsigned contexts = 0;
	struct simgpu_truth *truth;
	const struct simgpu_client *client;

	if (!worker_await(&worker))
		goto out;
	truth = simgpu_truth(monitor);
	client = truth ? simgpu_find(truth, worker.pid) : NULL;
	for (uint32_t i = 0; client && i < truth->ncontexts; i++) {
		if (truth->contexts[i].client != client->id)
			continue;
		contexts++;
		gpu_ns += truth->contexts[i].gpu_ns;
		CU_ASSERT_EQUAL(truth->contexts[i].kernels, 10);
		CU_ASSERT_EQUAL(truth->contexts[i].pending, 0);
		CU_ASSERT_EQUAL(truth->contexts[i].gone, 0);
	}
	CU_ASSERT_EQUAL(contexts, 1);
	CU_ASSERT_EQUAL(gpu_ns, 10000000);
	simgpu_free(truth);
	worker_go(&worker);
out:
	CU_ASSERT_EQUAL(worker_end(&worker), 0);
}

/* ---- samples ---- */

static void work_two_seconds(struct worker *self)
{
	worker_context(0);
	worker_launch(worker_kernel(), 2000000000);
	worker_pause(self);
}

static bool has_three_samples(const struct simgpu_truth *truth, void *arg)
{
	unsigned rows = 0;

	for (uint32_t i = 0; i < truth->nsamples; i++)
		rows += truth->samples[i].pid == *(pid_t *)arg;
	return rows >= 3;
}

static void samples_tell_who_used_the_device_in_each_period(void)
{
	struct worker worker = worker_start(work_two_seconds);
	struct simgpu_truth *truth = NULL;
	unsigned looks = 0, full = 0;

	CU_ASSERT_TRUE(worker_await(&worker));
	do {
		simgpu_free(truth);
		truth = simgpu_truth_samples(monitor);
	} while (truth && !has_three_samples(truth, &worker.pid) && look_again(&looks));
	worker_kill(&worker);
	if (!truth) {
		CU_FAIL("no books");
		return;
	}
	for (uint32_t i = 0; i < truth->nsamples; i++) {
		const struct simgpu_sample *sample = &truth->samples[i];

		CU_ASSERT_TRUE(sample->end_ns <= truth->now_ns);
		CU_ASSERT_TRUE(sample->gpu_ns <= truth->period_ns);
		full += sample->pid == worker.pid && sample->gpu_ns == truth->period_ns;
	}
	/* The first period was only partly used, those after it completely. */
	CU_ASSERT_TRUE(full >= 2);
	simgpu_free(truth);
}

const struct unit_suite unit_suite = {
	.name = "device truth",
	.init = open_monitor,
	.cleanup = close_monitor,
	.tests = {
		UNIT_TEST(requested_bytes_follow_allocations_to_the_byte),
		UNIT_TEST(kinds_of_memory_are_told_apart),
		UNIT_TEST(a_refused_allocation_is_counted_and_takes_nothing),
		UNIT_TEST(books_of_a_killed_process_stay_and_its_memory_does_not),
		UNIT_TEST(a_limit_binds_each_client_by_itself),
		UNIT_TEST(gpu_time_is_exactly_that_of_the_kernels),
		UNIT_TEST(idle_switching_and_busy_time_make_up_all_time),
		UNIT_TEST(copies_are_counted_in_bytes_and_time),
		UNIT_TEST(contexts_of_a_process_have_books_of_their_own),
		UNIT_TEST(samples_tell_who_used_the_device_in_each_period),
	},
};
