/*
 * Streams: order, waiting, default streams, priorities, attributes; what the CUDA Driver API
 * manual promises ("Stream Management", "Stream synchronization behavior").
 */
#include "common_gpu.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static CUcontext ctx;

static void begin(void)
{
	ctx = gpu_context();
}

static void end(void)
{
	gpu_context_end(ctx);
}

/* ---- creation ---- */

static void a_stream_is_what_it_was_made_as(void)
{
	CUstream plain, free_one, urgent;
	CUcontext where = NULL;
	CUdevice device = -1;
	unsigned long long id = 0, other = 0;
	unsigned flags = 99;
	int priority = 99;

	GPU_OK(cuStreamCreate(&plain, CU_STREAM_DEFAULT));
	GPU_OK(cuStreamCreate(&free_one, CU_STREAM_NON_BLOCKING));
	GPU_OK(cuStreamCreateWithPriority(&urgent, CU_STREAM_NON_BLOCKING, -3));
	GPU_OK(cuStreamGetFlags(plain, &flags));
	CU_ASSERT_EQUAL(flags, CU_STREAM_DEFAULT);
	GPU_OK(cuStreamGetFlags(free_one, &flags));
	CU_ASSERT_EQUAL(flags, CU_STREAM_NON_BLOCKING);
	GPU_OK(cuStreamGetPriority(plain, &priority));
	CU_ASSERT_EQUAL(priority, 0);
	GPU_OK(cuStreamGetPriority(urgent, &priority));
	CU_ASSERT_EQUAL(priority, -3);
	GPU_OK(cuStreamGetCtx(plain, &where));
	CU_ASSERT_PTR_EQUAL(where, ctx);
	GPU_OK(cuStreamGetCtx(NULL, &where));
	CU_ASSERT_PTR_EQUAL(where, ctx);
	GPU_OK(cuStreamGetDevice(plain, &device));
	CU_ASSERT_EQUAL(device, 0);
	GPU_OK(cuStreamGetId(plain, &id));
	GPU_OK(cuStreamGetId(free_one, &other));
	CU_ASSERT_NOT_EQUAL(id, other);
	GPU_OK(cuStreamDestroy(plain));
	GPU_OK(cuStreamDestroy(free_one));
	GPU_OK(cuStreamDestroy(urgent));
}

static void priorities_are_clamped_to_the_range(void)
{
	CUstream stream;
	int priority = 99;

	GPU_OK(cuStreamCreateWithPriority(&stream, 0, -100));
	GPU_OK(cuStreamGetPriority(stream, &priority));
	CU_ASSERT_EQUAL(priority, -5);
	GPU_OK(cuStreamDestroy(stream));
	GPU_OK(cuStreamCreateWithPriority(&stream, 0, 100));
	GPU_OK(cuStreamGetPriority(stream, &priority));
	CU_ASSERT_EQUAL(priority, 0);
	GPU_OK(cuStreamDestroy(stream));
}

static void bad_arguments_and_handles_are_refused(void)
{
	CUstream stream, bad[3];
	CUevent event;
	CUcontext where;
	unsigned long long id;
	unsigned flags;
	int priority, local;

	GPU_IS(cuStreamCreate(NULL, 0), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuStreamCreate(&stream, 2), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuStreamCreateWithPriority(&stream, 8, 0), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuEventCreate(&event, 0));
	GPU_OK(cuStreamCreate(&stream, 0));
	GPU_OK(cuStreamDestroy(stream));
	bad[0] = stream;
	bad[1] = (CUstream)event;
	bad[2] = (CUstream)&local;
	for (int i = 0; i < 3; i++) {
		GPU_IS(cuStreamDestroy(bad[i]), CUDA_ERROR_INVALID_HANDLE);
		GPU_IS(cuStreamQuery(bad[i]), CUDA_ERROR_INVALID_HANDLE);
		GPU_IS(cuStreamSynchronize(bad[i]), CUDA_ERROR_INVALID_HANDLE);
		GPU_IS(cuStreamGetFlags(bad[i], &flags), CUDA_ERROR_INVALID_HANDLE);
		GPU_IS(cuStreamGetPriority(bad[i], &priority), CUDA_ERROR_INVALID_HANDLE);
		GPU_IS(cuStreamGetId(bad[i], &id), CUDA_ERROR_INVALID_HANDLE);
		GPU_IS(cuStreamGetCtx(bad[i], &where), CUDA_ERROR_INVALID_HANDLE);
		GPU_IS(cuStreamWaitEvent(bad[i], event, 0), CUDA_ERROR_INVALID_HANDLE);
		GPU_IS(cuEventRecord(event, bad[i]), CUDA_ERROR_INVALID_HANDLE);
	}
	GPU_IS(cuStreamDestroy(NULL), CUDA_ERROR_INVALID_HANDLE);
	GPU_IS(cuStreamDestroy(CU_STREAM_LEGACY), CUDA_ERROR_INVALID_HANDLE);
	GPU_IS(cuStreamDestroy(CU_STREAM_PER_THREAD), CUDA_ERROR_INVALID_HANDLE);
	GPU_IS(cuStreamGetFlags(NULL, NULL), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuStreamGetId(NULL, NULL), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuStreamGetCtx(NULL, NULL), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuEventDestroy(event));
}

static void special_handles_need_a_current_context(void)
{
	CUcontext got;
	CUstream stream;

	GPU_OK(cuStreamCreate(&stream, 0));
	GPU_OK(cuCtxPopCurrent(&got));
	GPU_IS(cuStreamSynchronize(NULL), CUDA_ERROR_INVALID_CONTEXT);
	GPU_IS(cuStreamQuery(CU_STREAM_LEGACY), CUDA_ERROR_INVALID_CONTEXT);
	GPU_IS(cuStreamQuery(CU_STREAM_PER_THREAD), CUDA_ERROR_INVALID_CONTEXT);
	GPU_IS(cuStreamCreate(&stream, 0), CUDA_ERROR_INVALID_CONTEXT);
	GPU_OK(cuStreamSynchronize(stream));
	GPU_OK(cuCtxPushCurrent(got));
	GPU_OK(cuStreamDestroy(stream));
}

static void streams_run_out_and_come_back(void)
{
	enum { MANY = 4000 };
	CUstream *streams = calloc(MANY, sizeof(CUstream));
	CUresult res = CUDA_SUCCESS;
	int n = 0;

	while (n < MANY && (res = cuStreamCreate(&streams[n], 0)) == CUDA_SUCCESS)
		n++;
	CU_ASSERT(n >= 1000);
	CU_ASSERT_EQUAL(res, CUDA_ERROR_OUT_OF_MEMORY);
	for (int i = 0; i < n; i++)
		GPU_OK(cuStreamDestroy(streams[i]));
	GPU_OK(cuStreamCreate(&streams[0], 0));
	GPU_OK(cuStreamSynchronize(streams[0]));
	GPU_OK(cuStreamDestroy(streams[0]));
	free(streams);
}

/* ---- completion ---- */

static void a_query_says_not_ready_until_the_work_is_done(void)
{
	struct gate gate;
	CUstream stream;

	GPU_OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	GPU_OK(cuStreamQuery(stream));
	gate = gate_close(stream);
	for (int i = 0; i < 10; i++)
		GPU_IS(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
	gate_open(&gate);
	while (cuStreamQuery(stream) == CUDA_ERROR_NOT_READY)
		;
	GPU_OK(cuStreamQuery(stream));
	GPU_OK(cuStreamSynchronize(stream));
	gate_free(&gate);
	GPU_OK(cuStreamDestroy(stream));
}

struct waiter {
	CUstream stream;
	CUresult result;
	volatile int done;
};

static void *wait_stream(void *arg)
{
	struct waiter *w = arg;

	w->result = cuStreamSynchronize(w->stream);
	__atomic_store_n(&w->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void many_threads_wait_for_one_stream(void)
{
	enum { THREADS = 8 };
	struct waiter waiters[THREADS];
	pthread_t threads[THREADS];
	struct gate gates[THREADS];
	CUstream stream;

	GPU_OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	/* Each waits for a later point than the one before. */
	for (int i = 0; i < THREADS; i++) {
		gates[i] = gate_close(stream);
		waiters[i] = (struct waiter){ .stream = stream };
		pthread_create(&threads[i], NULL, wait_stream, &waiters[i]);
	}
	for (int i = 0; i < THREADS; i++)
		CU_ASSERT_EQUAL(__atomic_load_n(&waiters[i].done, __ATOMIC_ACQUIRE), 0);
	for (int i = 0; i < THREADS; i++)
		gate_open(&gates[i]);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		CU_ASSERT_EQUAL(waiters[i].result, CUDA_SUCCESS);
	}
	for (int i = 0; i < THREADS; i++)
		gate_free(&gates[i]);
	GPU_OK(cuStreamDestroy(stream));
}

/* A word in pinned memory that streams write to. */
struct word {
	volatile uint32_t *host;
	CUdeviceptr addr;
};

static struct word make_word(void)
{
	struct word word = { NULL, 0 };
	void *host = NULL;

	GPU_OK(cuMemHostAlloc(&host, sizeof(uint32_t), CU_MEMHOSTALLOC_DEVICEMAP));
	GPU_OK(cuMemHostGetDevicePointer(&word.addr, host, 0));
	word.host = host;
	if (word.host != NULL)
		*word.host = 0;
	return word;
}

static void more_work_than_queues_hold_is_done_in_order(void)
{
	enum { WRITES = 20000 };
	struct word word = make_word();
	CUstream stream;

	/* Far more than a launch queue and the ring between the processes take at once. */
	GPU_OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	for (uint32_t i = 1; i <= WRITES; i++)
		if (cuStreamWriteValue32(stream, word.addr, i, 0) != CUDA_SUCCESS) {
			CU_FAIL("a write was refused");
			break;
		}
	GPU_OK(cuStreamSynchronize(stream));
	CU_ASSERT_EQUAL(*word.host, WRITES);
	GPU_OK(cuMemFreeHost((void *)(uintptr_t)word.host));
	GPU_OK(cuStreamDestroy(stream));
}

struct submitter {
	CUcontext ctx;
	CUstream stream;
	struct word word;
	uint32_t writes;
	CUresult result;
};

static void *submit_thread(void *arg)
{
	struct submitter *s = arg;

	s->result = cuCtxSetCurrent(s->ctx);
	for (uint32_t i = 1; i <= s->writes && s->result == CUDA_SUCCESS; i++) {
		s->result = cuStreamWriteValue32(s->stream, s->word.addr, i, 0);
		if (i % 500 == 0 && s->result == CUDA_SUCCESS)
			s->result = cuStreamSynchronize(s->stream);
	}
	if (s->result == CUDA_SUCCESS)
		s->result = cuStreamSynchronize(s->stream);
	return NULL;
}

static void threads_submit_to_their_own_streams_at_once(void)
{
	enum { THREADS = 8 };
	struct submitter submitters[THREADS];
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++) {
		submitters[i] = (struct submitter){ .ctx = ctx,
						    .word = make_word(),
						    .writes = 3000 };
		GPU_OK(cuStreamCreate(&submitters[i].stream, CU_STREAM_NON_BLOCKING));
		pthread_create(&threads[i], NULL, submit_thread, &submitters[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		CU_ASSERT_EQUAL(submitters[i].result, CUDA_SUCCESS);
		CU_ASSERT_EQUAL(*submitters[i].word.host, submitters[i].writes);
		GPU_OK(cuMemFreeHost((void *)(uintptr_t)submitters[i].word.host));
		GPU_OK(cuStreamDestroy(submitters[i].stream));
	}
}

static void a_full_queue_blocks_its_own_stream_alone(void)
{
	struct submitter busy = { .ctx = ctx, .word = make_word(), .writes = 1500 };
	struct word other = make_word();
	struct gate gate;
	pthread_t thread;
	CUstream stream;

	GPU_OK(cuStreamCreate(&busy.stream, CU_STREAM_NON_BLOCKING));
	GPU_OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	gate = gate_close(busy.stream);
	/* Fills the queue behind the gate and blocks there. */
	pthread_create(&thread, NULL, submit_thread, &busy);
	for (uint32_t i = 1; i <= 200; i++) {
		GPU_OK(cuStreamWriteValue32(stream, other.addr, i, 0));
		GPU_OK(cuStreamSynchronize(stream));
		CU_ASSERT_EQUAL(*other.host, i);
	}
	CU_ASSERT_EQUAL(*busy.word.host, 0);
	gate_open(&gate);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(busy.result, CUDA_SUCCESS);
	CU_ASSERT_EQUAL(*busy.word.host, busy.writes);
	gate_free(&gate);
	GPU_OK(cuMemFreeHost((void *)(uintptr_t)busy.word.host));
	GPU_OK(cuMemFreeHost((void *)(uintptr_t)other.host));
	GPU_OK(cuStreamDestroy(busy.stream));
	GPU_OK(cuStreamDestroy(stream));
}

static void a_destroyed_stream_does_its_work_to_the_end(void)
{
	struct word word = make_word();
	struct gate gate;
	CUstream stream;

	GPU_OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	gate = gate_close(stream);
	GPU_OK(cuStreamWriteValue32(stream, word.addr, 7, 0));
	GPU_OK(cuStreamDestroy(stream));
	/* It was none that the legacy stream waits for. */
	GPU_OK(cuStreamSynchronize(NULL));
	CU_ASSERT_EQUAL(*word.host, 0);
	gate_open(&gate);
	GPU_OK(cuCtxSynchronize());
	CU_ASSERT_EQUAL(*word.host, 7);
	gate_free(&gate);
	GPU_OK(cuMemFreeHost((void *)(uintptr_t)word.host));
}

/* ---- default streams ---- */

static void the_legacy_stream_waits_for_blocking_streams_and_not_for_others(void)
{
	struct word word = make_word();
	CUstream blocking, independent;
	struct gate gate;

	GPU_OK(cuStreamCreate(&blocking, CU_STREAM_DEFAULT));
	GPU_OK(cuStreamCreate(&independent, CU_STREAM_NON_BLOCKING));
	gate = gate_close(blocking);
	GPU_OK(cuStreamWriteValue32(NULL, word.addr, 1, 0));
	GPU_IS(cuStreamQuery(NULL), CUDA_ERROR_NOT_READY);
	GPU_OK(cuStreamSynchronize(independent));
	CU_ASSERT_EQUAL(*word.host, 0);
	gate_open(&gate);
	GPU_OK(cuStreamSynchronize(NULL));
	CU_ASSERT_EQUAL(*word.host, 1);
	GPU_OK(cuStreamQuery(blocking));
	gate_free(&gate);

	gate = gate_close(independent);
	GPU_OK(cuStreamWriteValue32(CU_STREAM_LEGACY, word.addr, 2, 0));
	GPU_OK(cuStreamSynchronize(CU_STREAM_LEGACY));
	CU_ASSERT_EQUAL(*word.host, 2);
	gate_open(&gate);
	GPU_OK(cuStreamSynchronize(independent));
	gate_free(&gate);
	GPU_OK(cuMemFreeHost((void *)(uintptr_t)word.host));
	GPU_OK(cuStreamDestroy(blocking));
	GPU_OK(cuStreamDestroy(independent));
}

static int go;

/* Once it may go, it takes so long that who does not wait for it is noticed. */
static void be_slow(void *done)
{
	const struct timespec look = { .tv_nsec = 1000000 },
			      time = { .tv_nsec = 20000000 };

	while (!__atomic_load_n(&go, __ATOMIC_ACQUIRE))
		nanosleep(&look, NULL);
	nanosleep(&time, NULL);
	__atomic_store_n((int *)done, 1, __ATOMIC_RELEASE);
}

static void waiting_for_the_legacy_stream_is_waiting_for_blocking_ones(void)
{
	CUstream blocking, destroyed;
	int done[2] = { 0, 0 };

	/* Nothing is ever submitted to the legacy stream itself. */
	go = 0;
	GPU_OK(cuStreamCreate(&blocking, CU_STREAM_DEFAULT));
	GPU_OK(cuStreamCreate(&destroyed, CU_STREAM_DEFAULT));
	GPU_OK(cuLaunchHostFunc(blocking, be_slow, &done[0]));
	GPU_OK(cuLaunchHostFunc(destroyed, be_slow, &done[1]));
	GPU_OK(cuStreamDestroy(destroyed));
	GPU_IS(cuStreamQuery(NULL), CUDA_ERROR_NOT_READY);
	__atomic_store_n(&go, 1, __ATOMIC_RELEASE);
	GPU_OK(cuStreamSynchronize(NULL));
	CU_ASSERT_EQUAL(__atomic_load_n(&done[0], __ATOMIC_ACQUIRE), 1);
	CU_ASSERT_EQUAL(__atomic_load_n(&done[1], __ATOMIC_ACQUIRE), 1);
	GPU_OK(cuStreamDestroy(blocking));
}

struct own_stream {
	CUcontext ctx;
	unsigned long long id;
	CUresult result;
};

static void *own_stream_thread(void *arg)
{
	struct own_stream *own = arg;

	own->result = cuCtxSetCurrent(own->ctx);
	if (own->result == CUDA_SUCCESS)
		own->result = cuStreamGetId(CU_STREAM_PER_THREAD, &own->id);
	if (own->result == CUDA_SUCCESS)
		own->result = cuStreamSynchronize(CU_STREAM_PER_THREAD);
	return NULL;
}

static void each_thread_has_a_default_stream_of_its_own(void)
{
	struct own_stream own[3000 / 100];
	unsigned long long mine = 0, again = 0, legacy = 0;
	pthread_t thread;

	GPU_OK(cuStreamGetId(CU_STREAM_PER_THREAD, &mine));
	GPU_OK(cuStreamGetId(CU_STREAM_PER_THREAD, &again));
	GPU_OK(cuStreamGetId(CU_STREAM_LEGACY, &legacy));
	CU_ASSERT_EQUAL(mine, again);
	CU_ASSERT_NOT_EQUAL(mine, legacy);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		own[i] = (struct own_stream){ .ctx = ctx };
		pthread_create(&thread, NULL, own_stream_thread, &own[i]);
		pthread_join(thread, NULL);
		CU_ASSERT_EQUAL(own[i].result, CUDA_SUCCESS);
		CU_ASSERT_NOT_EQUAL(own[i].id, mine);
	}
}

/* What programs built with a default stream per thread call. */
CUresult cuStreamGetId_ptsz(CUstream stream, unsigned long long *id);
CUresult cuStreamQuery_ptsz(CUstream stream);
CUresult cuStreamSynchronize_ptsz(CUstream stream);
CUresult cuEventRecord_ptsz(CUevent event, CUstream stream);

static void names_with_ptsz_mean_the_threads_own_stream(void)
{
	unsigned long long own = 0, id = 0, legacy = 0;
	struct gate gate;
	CUevent event;

	GPU_OK(cuStreamGetId(CU_STREAM_PER_THREAD, &own));
	GPU_OK(cuStreamGetId(NULL, &legacy));
	GPU_OK(cuStreamGetId_ptsz(NULL, &id));
	CU_ASSERT_EQUAL(id, own);
	GPU_OK(cuStreamGetId_ptsz(CU_STREAM_LEGACY, &id));
	CU_ASSERT_EQUAL(id, legacy);
	GPU_OK(cuEventCreate(&event, 0));
	gate = gate_close(CU_STREAM_PER_THREAD);
	GPU_IS(cuStreamQuery_ptsz(NULL), CUDA_ERROR_NOT_READY);
	GPU_OK(cuEventRecord_ptsz(event, NULL));
	GPU_IS(cuEventQuery(event), CUDA_ERROR_NOT_READY);
	gate_open(&gate);
	GPU_OK(cuStreamSynchronize_ptsz(NULL));
	GPU_OK(cuEventQuery(event));
	gate_free(&gate);
	GPU_OK(cuEventDestroy(event));
}

static void threads_that_end_give_their_streams_back(void)
{
	struct own_stream own = { .ctx = ctx };
	pthread_t thread;

	/* More threads than a process can have streams. */
	for (int i = 0; i < 2500 && own.result == CUDA_SUCCESS; i++) {
		pthread_create(&thread, NULL, own_stream_thread, &own);
		pthread_join(thread, NULL);
	}
	CU_ASSERT_EQUAL(own.result, CUDA_SUCCESS);
}

/* ---- events ---- */

static void a_stream_waits_for_an_event_of_another(void)
{
	struct word word = make_word();
	CUstream first, second;
	struct gate gate;
	CUevent event;

	GPU_OK(cuStreamCreate(&first, CU_STREAM_NON_BLOCKING));
	GPU_OK(cuStreamCreate(&second, CU_STREAM_NON_BLOCKING));
	GPU_OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
	/* An event never recorded holds nobody up. */
	GPU_OK(cuStreamWaitEvent(second, event, 0));
	GPU_OK(cuStreamSynchronize(second));
	gate = gate_close(first);
	GPU_OK(cuEventRecord(event, first));
	GPU_OK(cuStreamWaitEvent(second, event, 0));
	GPU_OK(cuStreamWriteValue32(second, word.addr, 3, 0));
	GPU_IS(cuStreamQuery(second), CUDA_ERROR_NOT_READY);
	CU_ASSERT_EQUAL(*word.host, 0);
	/* The wait is for the record made before it, whatever becomes of the event. */
	GPU_OK(cuEventDestroy(event));
	gate_open(&gate);
	GPU_OK(cuStreamSynchronize(second));
	CU_ASSERT_EQUAL(*word.host, 3);
	GPU_OK(cuStreamQuery(first));
	gate_free(&gate);
	GPU_OK(cuMemFreeHost((void *)(uintptr_t)word.host));
	GPU_OK(cuStreamDestroy(first));
	GPU_OK(cuStreamDestroy(second));
}

static void waits_take_known_flags_and_events_only(void)
{
	CUstream stream;
	CUevent event;

	GPU_OK(cuStreamCreate(&stream, 0));
	GPU_OK(cuEventCreate(&event, 0));
	GPU_IS(cuStreamWaitEvent(stream, event, 2), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuStreamWaitEvent(stream, event, CU_EVENT_WAIT_EXTERNAL),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuStreamWaitEvent(stream, NULL, 0), CUDA_ERROR_INVALID_HANDLE);
	GPU_IS(cuStreamWaitEvent(stream, (CUevent)stream, 0), CUDA_ERROR_INVALID_HANDLE);
	GPU_OK(cuEventDestroy(event));
	GPU_OK(cuStreamDestroy(stream));
}

/* ---- attributes ---- */

static void attributes_are_kept_and_copied(void)
{
	CUstreamAttrValue value = { 0 };
	CUstream one, two, stranger;
	CUcontext other;

	GPU_OK(cuStreamCreate(&one, 0));
	GPU_OK(cuStreamCreate(&two, 0));
	GPU_OK(cuStreamGetAttribute(one, CU_STREAM_ATTRIBUTE_SYNCHRONIZATION_POLICY,
				    &value));
	CU_ASSERT_EQUAL(value.syncPolicy, CU_SYNC_POLICY_AUTO);
	value.syncPolicy = CU_SYNC_POLICY_YIELD;
	GPU_OK(cuStreamSetAttribute(one, CU_STREAM_ATTRIBUTE_SYNCHRONIZATION_POLICY,
				    &value));
	memset(&value, 0, sizeof(value));
	value.accessPolicyWindow.num_bytes = 4096;
	value.accessPolicyWindow.hitRatio = 0.5f;
	GPU_OK(cuStreamSetAttribute(one, CU_STREAM_ATTRIBUTE_ACCESS_POLICY_WINDOW,
				    &value));
	GPU_OK(cuStreamCopyAttributes(two, one));
	memset(&value, 0, sizeof(value));
	GPU_OK(cuStreamGetAttribute(two, CU_STREAM_ATTRIBUTE_SYNCHRONIZATION_POLICY,
				    &value));
	CU_ASSERT_EQUAL(value.syncPolicy, CU_SYNC_POLICY_YIELD);
	GPU_OK(cuStreamGetAttribute(two, CU_STREAM_ATTRIBUTE_ACCESS_POLICY_WINDOW,
				    &value));
	CU_ASSERT_EQUAL(value.accessPolicyWindow.num_bytes, 4096);
	memset(&value, 0, sizeof(value));
	value.priority = -2;
	GPU_OK(cuStreamSetAttribute(one, CU_STREAM_ATTRIBUTE_PRIORITY, &value));
	GPU_OK(cuStreamCopyAttributes(two, one));
	GPU_OK(cuStreamGetAttribute(two, CU_STREAM_ATTRIBUTE_PRIORITY, &value));
	CU_ASSERT_EQUAL(value.priority, -2);
	other = gpu_context();
	GPU_OK(cuStreamCreate(&stranger, 0));
	GPU_IS(cuStreamCopyAttributes(stranger, one), CUDA_ERROR_INVALID_VALUE);
	gpu_context_end(other);
	memset(&value, 0, sizeof(value));
	value.accessPolicyWindow.hitRatio = 2;
	GPU_IS(cuStreamSetAttribute(two, CU_STREAM_ATTRIBUTE_ACCESS_POLICY_WINDOW,
				    &value),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuStreamGetAttribute(two, (CUstreamAttrID)999, &value),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuStreamGetAttribute(two, CU_STREAM_ATTRIBUTE_PRIORITY, NULL),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuStreamDestroy(one));
	GPU_OK(cuStreamDestroy(two));
}

static void managed_memory_attaches_to_streams(void)
{
	CUdeviceptr managed = 0, plain = 0;
	CUstream stream;

	GPU_OK(cuStreamCreate(&stream, 0));
	GPU_OK(cuMemAllocManaged(&managed, 4096, CU_MEM_ATTACH_GLOBAL));
	GPU_OK(cuMemAlloc(&plain, 4096));
	GPU_OK(cuStreamAttachMemAsync(stream, managed, 0, CU_MEM_ATTACH_SINGLE));
	GPU_OK(cuStreamAttachMemAsync(stream, managed, 4096, CU_MEM_ATTACH_HOST));
	GPU_IS(cuStreamAttachMemAsync(stream, managed, 0, 3), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuStreamAttachMemAsync(stream, plain, 0, CU_MEM_ATTACH_GLOBAL),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuStreamAttachMemAsync(NULL, managed, 0, CU_MEM_ATTACH_SINGLE),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuStreamSynchronize(stream));
	GPU_OK(cuMemFree(managed));
	GPU_OK(cuMemFree(plain));
	GPU_OK(cuStreamDestroy(stream));
}

const struct unit_suite unit_suite = {
	.name = "driver streams",
	.setup = begin,
	.teardown = end,
	.tests = {
		UNIT_TEST(a_stream_is_what_it_was_made_as),
		UNIT_TEST(priorities_are_clamped_to_the_range),
		UNIT_TEST(bad_arguments_and_handles_are_refused),
		UNIT_TEST(special_handles_need_a_current_context),
		UNIT_TEST(streams_run_out_and_come_back),
		UNIT_TEST(a_query_says_not_ready_until_the_work_is_done),
		UNIT_TEST(many_threads_wait_for_one_stream),
		UNIT_TEST(more_work_than_queues_hold_is_done_in_order),
		UNIT_TEST(threads_submit_to_their_own_streams_at_once),
		UNIT_TEST(a_full_queue_blocks_its_own_stream_alone),
		UNIT_TEST(a_destroyed_stream_does_its_work_to_the_end),
		UNIT_TEST(the_legacy_stream_waits_for_blocking_streams_and_not_for_others),
		UNIT_TEST(waiting_for_the_legacy_stream_is_waiting_for_blocking_ones),
		UNIT_TEST(each_thread_has_a_default_stream_of_its_own),
		UNIT_TEST(names_with_ptsz_mean_the_threads_own_stream),
		UNIT_TEST(threads_that_end_give_their_streams_back),
		UNIT_TEST(a_stream_waits_for_an_event_of_another),
		UNIT_TEST(waits_take_known_flags_and_events_only),
		UNIT_TEST(attributes_are_kept_and_copied),
		UNIT_TEST(managed_memory_attaches_to_streams),
	},
};
