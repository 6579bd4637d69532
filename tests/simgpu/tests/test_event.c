/*
 * Events: what the CUDA Driver API manual promises ("Event Management").
 */
#include "common_gpu.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static CUcontext ctx;

static const char spin_ptx[] = ".version 6.0\n"
			       ".target sm_50\n"
			       ".address_size 64\n"
			       ".visible .entry gpushim_spin_ns(.param .u64 p_ns)\n"
			       "{\n"
			       "	ret;\n"
			       "}\n";

static void begin(void)
{
	ctx = gpu_context();
}

static void end(void)
{
	gpu_context_end(ctx);
}

static void flags_of_creation_are_checked(void)
{
	CUevent event;
	CUcontext got;

	for (unsigned flags = 0; flags < 4; flags++) {
		GPU_OK(cuEventCreate(&event, flags));
		GPU_OK(cuEventDestroy(event));
	}
	GPU_OK(cuEventCreate(&event, CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING));
	GPU_OK(cuEventDestroy(event));
	GPU_IS(cuEventCreate(&event, CU_EVENT_INTERPROCESS), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuEventCreate(&event, 8), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuEventCreate(NULL, 0), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuCtxPopCurrent(&got));
	GPU_IS(cuEventCreate(&event, 0), CUDA_ERROR_INVALID_CONTEXT);
	GPU_OK(cuCtxPushCurrent(got));
}

static void handles_that_are_no_events_are_recognised(void)
{
	CUevent event, bad[4];
	CUstream stream;
	float ms;

	GPU_OK(cuStreamCreate(&stream, 0));
	GPU_OK(cuEventCreate(&event, 0));
	GPU_OK(cuEventDestroy(event));
	bad[0] = event;
	bad[1] = NULL;
	bad[2] = (CUevent)stream;
	bad[3] = (CUevent)&ms;
	for (int i = 0; i < 4; i++) {
		GPU_IS(cuEventQuery(bad[i]), CUDA_ERROR_INVALID_HANDLE);
		GPU_IS(cuEventSynchronize(bad[i]), CUDA_ERROR_INVALID_HANDLE);
		GPU_IS(cuEventRecord(bad[i], stream), CUDA_ERROR_INVALID_HANDLE);
		GPU_IS(cuEventDestroy(bad[i]), CUDA_ERROR_INVALID_HANDLE);
		GPU_IS(cuEventElapsedTime(&ms, bad[i], bad[i]),
		       CUDA_ERROR_INVALID_HANDLE);
	}
	GPU_OK(cuStreamDestroy(stream));
}

static void an_event_never_recorded_is_complete_but_has_no_time(void)
{
	CUevent event;
	float ms;

	GPU_OK(cuEventCreate(&event, 0));
	GPU_OK(cuEventQuery(event));
	GPU_OK(cuEventSynchronize(event));
	GPU_IS(cuEventElapsedTime(&ms, event, event), CUDA_ERROR_INVALID_HANDLE);
	GPU_OK(cuEventDestroy(event));
}

static void an_event_completes_with_the_work_before_it(void)
{
	CUevent before, after;
	CUstream stream;
	struct gate gate;
	float ms;

	GPU_OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	GPU_OK(cuEventCreate(&before, 0));
	GPU_OK(cuEventCreate(&after, CU_EVENT_BLOCKING_SYNC));
	GPU_OK(cuEventRecord(before, stream));
	GPU_OK(cuEventSynchronize(before));
	GPU_OK(cuEventQuery(before));
	gate = gate_close(stream);
	GPU_OK(cuEventRecord(after, stream));
	for (int i = 0; i < 10; i++)
		GPU_IS(cuEventQuery(after), CUDA_ERROR_NOT_READY);
	GPU_IS(cuEventElapsedTime(&ms, before, after), CUDA_ERROR_NOT_READY);
	GPU_IS(cuEventElapsedTime(&ms, after, before), CUDA_ERROR_NOT_READY);
	gate_open(&gate);
	GPU_OK(cuEventSynchronize(after));
	GPU_OK(cuEventQuery(after));
	GPU_OK(cuEventElapsedTime(&ms, before, after));
	CU_ASSERT(ms > 0);
	gate_free(&gate);
	GPU_OK(cuEventDestroy(before));
	GPU_OK(cuEventDestroy(after));
	GPU_OK(cuStreamDestroy(stream));
}

static void the_last_record_counts(void)
{
	CUstream slow, fast;
	struct gate gate;
	CUevent event;

	GPU_OK(cuStreamCreate(&slow, CU_STREAM_NON_BLOCKING));
	GPU_OK(cuStreamCreate(&fast, CU_STREAM_NON_BLOCKING));
	GPU_OK(cuEventCreate(&event, 0));
	gate = gate_close(slow);
	GPU_OK(cuEventRecord(event, slow));
	GPU_IS(cuEventQuery(event), CUDA_ERROR_NOT_READY);
	GPU_OK(cuEventRecord(event, fast));
	GPU_OK(cuEventSynchronize(event));
	GPU_OK(cuEventQuery(event));
	GPU_IS(cuStreamQuery(slow), CUDA_ERROR_NOT_READY);
	gate_open(&gate);
	GPU_OK(cuCtxSynchronize());
	GPU_OK(cuEventQuery(event));
	gate_free(&gate);
	GPU_OK(cuEventDestroy(event));
	GPU_OK(cuStreamDestroy(slow));
	GPU_OK(cuStreamDestroy(fast));
}

static void events_and_streams_of_two_contexts_do_not_mix_in_records(void)
{
	CUcontext other;
	CUstream stream, stranger;
	CUevent event, foreign;
	float ms;

	GPU_OK(cuStreamCreate(&stream, 0));
	GPU_OK(cuEventCreate(&event, 0));
	GPU_OK(cuEventRecord(event, stream));
	other = gpu_context();
	GPU_OK(cuStreamCreate(&stranger, 0));
	GPU_OK(cuEventCreate(&foreign, 0));
	GPU_OK(cuEventRecord(foreign, stranger));
	GPU_IS(cuEventRecord(event, stranger), CUDA_ERROR_INVALID_HANDLE);
	GPU_IS(cuEventRecord(event, NULL), CUDA_ERROR_INVALID_HANDLE);
	/* Waiting across contexts is allowed. */
	GPU_OK(cuStreamWaitEvent(stranger, event, 0));
	GPU_OK(cuStreamSynchronize(stranger));
	GPU_OK(cuEventSynchronize(event));
	GPU_IS(cuEventElapsedTime(&ms, event, foreign), CUDA_ERROR_INVALID_HANDLE);
	gpu_context_end(other);
	GPU_IS(cuEventQuery(foreign), CUDA_ERROR_INVALID_HANDLE);
	GPU_OK(cuEventQuery(event));
	GPU_OK(cuEventDestroy(event));
	GPU_OK(cuStreamDestroy(stream));
}

static void record_flags_are_checked(void)
{
	CUevent event;

	GPU_OK(cuEventCreate(&event, 0));
	GPU_OK(cuEventRecordWithFlags(event, NULL, CU_EVENT_RECORD_DEFAULT));
	GPU_IS(cuEventRecordWithFlags(event, NULL, 2), CUDA_ERROR_INVALID_VALUE);
	/* External records exist in captures only. */
	GPU_IS(cuEventRecordWithFlags(event, NULL, CU_EVENT_RECORD_EXTERNAL),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuEventSynchronize(event));
	GPU_OK(cuEventDestroy(event));
}

/* ---- time ---- */

static void events_without_timing_have_no_time(void)
{
	CUevent timed, untimed;
	float ms;

	GPU_OK(cuEventCreate(&timed, 0));
	GPU_OK(cuEventCreate(&untimed, CU_EVENT_DISABLE_TIMING));
	GPU_OK(cuEventRecord(timed, NULL));
	GPU_OK(cuEventRecord(untimed, NULL));
	GPU_OK(cuCtxSynchronize());
	GPU_IS(cuEventElapsedTime(&ms, timed, untimed), CUDA_ERROR_INVALID_HANDLE);
	GPU_IS(cuEventElapsedTime(&ms, untimed, timed), CUDA_ERROR_INVALID_HANDLE);
	GPU_IS(cuEventElapsedTime(NULL, timed, timed), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuEventElapsedTime(&ms, timed, timed));
	CU_ASSERT_EQUAL(ms, 0);
	GPU_OK(cuEventDestroy(timed));
	GPU_OK(cuEventDestroy(untimed));
}

/* Spins on the device, between two events. */
static float spin_ms(CUfunction spin, CUstream stream, unsigned long long ns)
{
	void *params[] = { &ns };
	CUevent start, stop;
	float ms = -1;

	GPU_OK(cuEventCreate(&start, 0));
	GPU_OK(cuEventCreate(&stop, 0));
	GPU_OK(cuEventRecord(start, stream));
	GPU_OK(cuLaunchKernel(spin, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL));
	GPU_OK(cuEventRecord(stop, stream));
	GPU_OK(cuEventSynchronize(stop));
	GPU_OK(cuEventElapsedTime(&ms, start, stop));
	GPU_OK(cuEventDestroy(start));
	GPU_OK(cuEventDestroy(stop));
	return ms;
}

static void elapsed_time_is_the_time_of_the_device(void)
{
	CUmodule module;
	CUfunction spin;
	CUstream stream;
	float once, thrice;

	GPU_OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	GPU_OK(cuModuleLoadData(&module, spin_ptx));
	GPU_OK(cuModuleGetFunction(&spin, module, "gpushim_spin_ns"));
	/* The two records enclose the kernel; what they add is the host's delay between the
	 * calls, so there is a lower bound and none above. */
	once = spin_ms(spin, stream, 2000000);
	thrice = spin_ms(spin, stream, 6000000);
	CU_ASSERT(once >= 2 && thrice >= 6);
	/* A multiple of half a microsecond. */
	CU_ASSERT_DOUBLE_EQUAL(once * 2000.0, (double)(long)(once * 2000.0 + 0.5), 1e-2);
	GPU_OK(cuModuleUnload(module));
	GPU_OK(cuStreamDestroy(stream));
}

static void back_to_back_kernels_are_timed_without_the_host(void)
{
	unsigned long long ns = 1000000;
	size_t free_bytes, total_bytes;
	void *params[] = { &ns };
	CUevent start, stop;
	CUmodule module;
	CUfunction spin;
	CUstream stream;
	struct gate gate;
	float ms = -1;

	GPU_OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	GPU_OK(cuEventCreate(&start, 0));
	GPU_OK(cuEventCreate(&stop, 0));
	GPU_OK(cuModuleLoadData(&module, spin_ptx));
	GPU_OK(cuModuleGetFunction(&spin, module, "gpushim_spin_ns"));
	/* The device changes over to this context before it is timed ... */
	spin_ms(spin, stream, 1000);
	/* ... and all is queued before any of it begins. */
	gate = gate_close(stream);
	GPU_OK(cuEventRecord(start, stream));
	for (int i = 0; i < 5; i++)
		GPU_OK(cuLaunchKernel(spin, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL));
	GPU_OK(cuEventRecord(stop, stream));
	/* An answer says that the device has come to the gate: it reads the word when it
	 * looks, and would find a gate open that it comes to late. */
	GPU_OK(cuMemGetInfo(&free_bytes, &total_bytes));
	gate_open(&gate);
	GPU_OK(cuEventSynchronize(stop));
	GPU_OK(cuEventElapsedTime(&ms, start, stop));
	CU_ASSERT_DOUBLE_EQUAL(ms, 5.0, 0.02);
	GPU_OK(cuEventElapsedTime(&ms, stop, start));
	CU_ASSERT_DOUBLE_EQUAL(ms, -5.0, 0.02);
	gate_free(&gate);
	GPU_OK(cuEventDestroy(start));
	GPU_OK(cuEventDestroy(stop));
	GPU_OK(cuModuleUnload(module));
	GPU_OK(cuStreamDestroy(stream));
}

/* ---- many ---- */

static void events_run_out_and_come_back(void)
{
	enum { MANY = 100000 };
	CUevent *events = calloc(MANY, sizeof(CUevent));
	CUresult res = CUDA_SUCCESS;
	int n = 0;

	while (n < MANY && (res = cuEventCreate(&events[n], 0)) == CUDA_SUCCESS)
		n++;
	CU_ASSERT(n >= 60000);
	CU_ASSERT_EQUAL(res, CUDA_ERROR_OUT_OF_MEMORY);
	for (int i = 0; i < n; i++)
		if (cuEventDestroy(events[i]) != CUDA_SUCCESS) {
			CU_FAIL("an event could not be destroyed");
			break;
		}
	GPU_OK(cuEventCreate(&events[0], 0));
	GPU_OK(cuEventRecord(events[0], NULL));
	GPU_OK(cuEventSynchronize(events[0]));
	GPU_OK(cuEventDestroy(events[0]));
	free(events);
}

/* As many events as there are; returns how many, and destroys them. */
static int all_events(CUevent *events, int most)
{
	int n = 0;

	while (n < most && cuEventCreate(&events[n], 0) == CUDA_SUCCESS)
		n++;
	for (int i = 0; i < n; i++)
		if (cuEventDestroy(events[i]) != CUDA_SUCCESS) {
			CU_FAIL("an event could not be destroyed");
			break;
		}
	return n;
}

static void an_event_destroyed_with_its_record_pending_disturbs_no_other(void)
{
	enum { MANY = 100000, PENDING = 200 };
	CUevent *events = calloc(MANY, sizeof(CUevent)), event;
	struct gate gate;
	CUstream slow;
	int room;

	room = all_events(events, MANY);
	GPU_OK(cuStreamCreate(&slow, CU_STREAM_NON_BLOCKING));
	gate = gate_close(slow);
	for (int i = 0; i < PENDING; i++) {
		GPU_OK(cuEventCreate(&event, 0));
		GPU_OK(cuEventRecord(event, slow));
		GPU_OK(cuEventDestroy(event));
	}
	/* Those records will be made yet, so nobody else is given their places. */
	CU_ASSERT_EQUAL(all_events(events, MANY), room - PENDING);
	gate_open(&gate);
	GPU_OK(cuCtxSynchronize());
	CU_ASSERT_EQUAL(all_events(events, MANY), room);
	gate_free(&gate);
	GPU_OK(cuStreamDestroy(slow));
	free(events);
}

static void synchronising_an_event_lets_pools_shrink(void)
{
	cuuint64_t reserved = 0;
	CUmemoryPool pool;
	CUdeviceptr ptr;
	CUevent event;

	GPU_OK(cuDeviceGetDefaultMemPool(&pool, 0));
	GPU_OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
	GPU_OK(cuMemAllocAsync(&ptr, 1 << 20, NULL));
	GPU_OK(cuMemFreeAsync(ptr, NULL));
	GPU_OK(cuEventRecord(event, NULL));
	GPU_OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT,
				     &reserved));
	CU_ASSERT(reserved != 0);
	GPU_OK(cuEventSynchronize(event));
	GPU_OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT,
				     &reserved));
	CU_ASSERT_EQUAL(reserved, 0);
	GPU_OK(cuEventDestroy(event));
}

struct recorder {
	CUevent event;
	CUstream stream;
	CUresult result;
	bool poll;
};

static void *record_often(void *arg)
{
	struct recorder *r = arg;

	for (int i = 0; i < 500 && r->result == CUDA_SUCCESS; i++) {
		r->result = cuEventRecord(r->event, r->stream);
		if (r->result != CUDA_SUCCESS)
			break;
		if (!r->poll) {
			r->result = cuEventSynchronize(r->event);
			continue;
		}
		do
			r->result = cuEventQuery(r->event);
		while (r->result == CUDA_ERROR_NOT_READY);
	}
	return NULL;
}

static void threads_record_and_wait_for_one_event(void)
{
	enum { THREADS = 6 };
	struct recorder recorders[THREADS];
	pthread_t threads[THREADS];
	CUevent event;

	GPU_OK(cuEventCreate(&event, 0));
	for (int i = 0; i < THREADS; i++) {
		recorders[i] = (struct recorder){ .event = event, .poll = i % 2 };
		GPU_OK(cuStreamCreate(&recorders[i].stream, CU_STREAM_NON_BLOCKING));
		pthread_create(&threads[i], NULL, record_often, &recorders[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		CU_ASSERT_EQUAL(recorders[i].result, CUDA_SUCCESS);
		GPU_OK(cuStreamDestroy(recorders[i].stream));
	}
	GPU_OK(cuEventDestroy(event));
}

/* ---- without a device process ---- */

static void zero_cost(void)
{
	CUevent start, stop;
	CUcontext own;
	float ms = -1;

	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuCtxCreate(&own, NULL, 0, 0), CUDA_SUCCESS);
	CHECK_IS(cuEventCreate(&start, 0), CUDA_SUCCESS);
	CHECK_IS(cuEventCreate(&stop, 0), CUDA_SUCCESS);
	CHECK_IS(cuEventElapsedTime(&ms, start, stop), CUDA_ERROR_INVALID_HANDLE);
	CHECK_IS(cuEventRecord(start, NULL), CUDA_SUCCESS);
	CHECK_IS(cuEventRecord(stop, NULL), CUDA_SUCCESS);
	CHECK_IS(cuEventQuery(stop), CUDA_SUCCESS);
	CHECK_IS(cuEventSynchronize(stop), CUDA_SUCCESS);
	CHECK_IS(cuEventElapsedTime(&ms, start, stop), CUDA_SUCCESS);
	CHECK(ms >= 0);
	CHECK_IS(cuEventDestroy(start), CUDA_SUCCESS);
	CHECK_IS(cuEventQuery(start), CUDA_ERROR_INVALID_HANDLE);
	CHECK_IS(cuCtxDestroy(own), CUDA_SUCCESS);
	CHECK_IS(cuEventQuery(stop), CUDA_ERROR_INVALID_HANDLE);
}

/* ---- between processes ---- */

static int to_importer[2], to_owner[2];

static void tell(int fd, const void *what, size_t bytes)
{
	CHECK(write(fd, what, bytes) == (ssize_t)bytes);
}

static void hear(int fd, void *what, size_t bytes)
{
	CHECK(read(fd, what, bytes) == (ssize_t)bytes);
}

/* Waits in every way for an event that another process records. */
static int importer(void)
{
	CUipcEventHandle handle;
	CUcontext own;
	CUstream stream;
	CUevent event;
	char word = 0;

	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuCtxCreate(&own, NULL, 0, 0), CUDA_SUCCESS);
	CHECK_IS(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
	hear(to_importer[0], &handle, sizeof(handle));
	CHECK_IS(cuIpcOpenEventHandle(&event, handle), CUDA_SUCCESS);
	CHECK_IS(cuEventQuery(event), CUDA_SUCCESS);
	tell(to_owner[1], &word, 1);
	hear(to_importer[0], &word, 1); /* recorded, behind a gate */
	CHECK_IS(cuEventQuery(event), CUDA_ERROR_NOT_READY);
	CHECK_IS(cuStreamWaitEvent(stream, event, 0), CUDA_SUCCESS);
	CHECK_IS(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
	tell(to_owner[1], &word, 1); /* which is opened now */
	CHECK_IS(cuEventSynchronize(event), CUDA_SUCCESS);
	CHECK_IS(cuEventQuery(event), CUDA_SUCCESS);
	CHECK_IS(cuStreamSynchronize(stream), CUDA_SUCCESS);
	CHECK_IS(cuEventDestroy(event), CUDA_SUCCESS);
	CHECK_IS(cuCtxDestroy(own), CUDA_SUCCESS);
	return child_failed();
}

static void owner(void)
{
	CUipcEventHandle handle;
	CUcontext own;
	CUdeviceptr addr;
	CUstream stream;
	CUevent event;
	void *host = NULL;
	size_t bytes;
	char word = 0;
	int status = -1;
	pid_t pid;

	CHECK(pipe(to_importer) == 0 && pipe(to_owner) == 0);
	pid = fork();
	if (pid == 0)
		_exit(importer());
	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuCtxCreate(&own, NULL, 0, 0), CUDA_SUCCESS);
	CHECK_IS(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
	CHECK_IS(cuMemHostAlloc(&host, 4, 0), CUDA_SUCCESS);
	CHECK_IS(cuMemHostGetDevicePointer(&addr, host, 0), CUDA_SUCCESS);
	CHECK_IS(cuEventCreate(&event, CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING),
		 CUDA_SUCCESS);
	CHECK_IS(cuEventRecord(event, stream), CUDA_SUCCESS);
	CHECK_IS(cuEventSynchronize(event), CUDA_SUCCESS);
	CHECK_IS(cuIpcGetEventHandle(&handle, event), CUDA_SUCCESS);
	tell(to_importer[1], &handle, sizeof(handle));
	hear(to_owner[0], &word, 1);
	CHECK_IS(cuStreamWaitValue32(stream, addr, 1, CU_STREAM_WAIT_VALUE_EQ),
		 CUDA_SUCCESS);
	CHECK_IS(cuEventRecord(event, stream), CUDA_SUCCESS);
	/* A request, which the device answers when it knows of the record. */
	CHECK_IS(cuMemGetInfo(&bytes, &bytes), CUDA_SUCCESS);
	CHECK_IS(cuEventQuery(event), CUDA_ERROR_NOT_READY);
	tell(to_importer[1], &word, 1);
	hear(to_owner[0], &word, 1);
	__atomic_store_n((uint32_t *)host, 1, __ATOMIC_RELEASE);
	CHECK_IS(cuEventSynchronize(event), CUDA_SUCCESS);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK_IS(cuEventDestroy(event), CUDA_SUCCESS);
}

static int zero_cost_failures, shared_failures;

/* Before anything else: a child must come from a process that has not initialised CUDA. */
static int first(void)
{
	shared_failures = child_run(owner, NULL);
	zero_cost_failures = child_run(
		zero_cost, (const char *const[]){ "SIMGPU_ZERO_COST=1", NULL });
	return 0;
}

static void events_work_without_a_device_process(void)
{
	CU_ASSERT_EQUAL(zero_cost_failures, 0);
}

static void an_event_is_waited_for_in_another_process(void)
{
	CU_ASSERT_EQUAL(shared_failures, 0);
}

const struct unit_suite unit_suite = {
	.name = "driver events",
	.init = first,
	.setup = begin,
	.teardown = end,
	.tests = {
		UNIT_TEST(flags_of_creation_are_checked),
		UNIT_TEST(handles_that_are_no_events_are_recognised),
		UNIT_TEST(an_event_never_recorded_is_complete_but_has_no_time),
		UNIT_TEST(an_event_completes_with_the_work_before_it),
		UNIT_TEST(the_last_record_counts),
		UNIT_TEST(events_and_streams_of_two_contexts_do_not_mix_in_records),
		UNIT_TEST(record_flags_are_checked),
		UNIT_TEST(events_without_timing_have_no_time),
		UNIT_TEST(elapsed_time_is_the_time_of_the_device),
		UNIT_TEST(back_to_back_kernels_are_timed_without_the_host),
		UNIT_TEST(events_run_out_and_come_back),
		UNIT_TEST(an_event_destroyed_with_its_record_pending_disturbs_no_other),
		UNIT_TEST(synchronising_an_event_lets_pools_shrink),
		UNIT_TEST(threads_record_and_wait_for_one_event),
		UNIT_TEST(an_event_is_waited_for_in_another_process),
		UNIT_TEST(events_work_without_a_device_process),
	},
};
