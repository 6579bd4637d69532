/*
 * test_hostfunc.c - host functions and stream callbacks, against the CUDA driver API manual
 * (cuLaunchHostFunc, cuStreamAddCallback).
 *
 * The last test makes this process' CUDA unusable, as an illegal address does.
 */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "code_kernels.h"

CUresult cuLaunchHostFunc_ptsz(CUstream stream, CUhostFn fn, void *data);
CUresult cuStreamAddCallback_ptsz(CUstream stream, CUstreamCallback callback, void *data,
				  unsigned flags);

static CUcontext ctx;
static CUmodule module;
static CUfunction fill, spin_word;
static CUstream stream, other;
static uint32_t *word; /* pinned */

static int open_all(void)
{
	if (code_open(&ctx) != 0 || cuModuleLoadData(&module, PTX_ALL) != CUDA_SUCCESS ||
	    cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) != CUDA_SUCCESS ||
	    cuStreamCreate(&other, CU_STREAM_NON_BLOCKING) != CUDA_SUCCESS ||
	    cuMemHostAlloc((void **)&word, 4096, 0) != CUDA_SUCCESS)
		return -1;
	fill = code_function(module, "gpushim_fill_u32");
	spin_word = code_function(module, "gpushim_spin_word");
	return 0;
}

static void clear(void)
{
	memset(word, 0, 4096);
}

/* Ends what a test that failed has left behind: all kernels here wait for a 1. */
static void release(void)
{
	code_store(word, 1);
	cuCtxSynchronize();
}

/* ---- order ---- */

static void read_word(void *seen)
{
	*(uint32_t *)seen = code_load(word);
}

static void a_host_function_runs_between_the_work_before_and_after_it(void)
{
	uint32_t first = 99, second = 99;

	OK(code_fill(fill, stream, code_address(word), 1, 1));
	OK(cuLaunchHostFunc(stream, read_word, &first));
	OK(code_fill(fill, stream, code_address(word), 2, 1));
	OK(cuLaunchHostFunc(stream, read_word, &second));
	OK(cuStreamSynchronize(stream));
	CU_ASSERT_EQUAL(first, 1);
	CU_ASSERT_EQUAL(second, 2);
}

enum { MANY = 3000 };

static struct {
	unsigned next;
	bool in_order;
} order;

static void take_number(void *number)
{
	order.in_order &= order.next == (unsigned)(uintptr_t)number;
	order.next++;
}

static void thousands_run_in_the_order_of_their_stream(void)
{
	order.next = 0;
	order.in_order = true;
	for (uintptr_t i = 0; i < MANY; i++)
		OK(cuLaunchHostFunc(stream, take_number, (void *)i));
	OK(cuStreamSynchronize(stream));
	CU_ASSERT_EQUAL(order.next, MANY);
	CU_ASSERT_TRUE(order.in_order);
}

static sem_t entered, leave;

/* Waits for a function to come by; not forever, in case none does. */
static void await(sem_t *semaphore)
{
	unsigned ms = unit_patience_ms(10000);
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ms / 1000;
	CU_ASSERT_EQUAL_FATAL(sem_timedwait(semaphore, &until), 0);
}

static void wait_inside(void *unused)
{
	(void)unused;
	sem_post(&entered);
	sem_wait(&leave);
}

static void later_work_waits_for_the_function_and_other_streams_do_not(void)
{
	sem_init(&entered, 0, 0);
	sem_init(&leave, 0, 0);
	MUST(cuLaunchHostFunc(stream, wait_inside, NULL));
	OK(code_fill(fill, stream, code_address(word), 7, 1));
	await(&entered);
	OK(code_fill(fill, other, code_address(word + 1), 8, 1));
	OK(cuStreamSynchronize(other));
	CU_ASSERT_EQUAL(code_load(word + 1), 8);
	IS(CUDA_ERROR_NOT_READY, cuStreamQuery(stream));
	CU_ASSERT_EQUAL(code_load(word), 0);
	sem_post(&leave);
	OK(cuStreamSynchronize(stream));
	CU_ASSERT_EQUAL(code_load(word), 7);
}

static void release_word(void *unused)
{
	(void)unused;
	code_store(word, 1);
}

static void a_function_may_release_a_kernel_that_waits_for_it(void)
{
	OK(code_spin_word(spin_word, stream, code_address(word), 1));
	MUST(cuLaunchHostFunc(other, release_word, NULL));
	OK(cuStreamSynchronize(stream));
	OK(cuStreamSynchronize(other));
}

static void an_event_waits_for_the_function_before_it(void)
{
	CUevent event = NULL;

	OK(cuEventCreate(&event, CU_EVENT_DEFAULT));
	MUST(cuLaunchHostFunc(stream, wait_inside, NULL));
	OK(cuEventRecord(event, stream));
	await(&entered);
	IS(CUDA_ERROR_NOT_READY, cuEventQuery(event));
	sem_post(&leave);
	OK(cuEventSynchronize(event));
	OK(cuEventDestroy(event));
}

/* ---- callbacks ---- */

static struct {
	CUstream stream;
	CUresult status, inner, name;
	void *data;
	unsigned calls;
} seen;

static void CUDA_CB note(CUstream handle, CUresult status, void *data)
{
	const char *text;

	seen.stream = handle;
	seen.status = status;
	seen.data = data;
	seen.inner = cuStreamQuery(stream);
	seen.name = cuGetErrorName(CUDA_SUCCESS, &text);
	seen.calls++;
}

static void a_callback_is_told_its_stream_and_that_all_is_well(void)
{
	memset(&seen, 0xff, sizeof(seen));
	seen.calls = 0;
	OK(cuStreamAddCallback(stream, note, &order, 0));
	OK(cuStreamSynchronize(stream));
	CU_ASSERT_EQUAL(seen.calls, 1);
	CU_ASSERT_PTR_EQUAL(seen.stream, stream);
	CU_ASSERT_EQUAL(seen.status, CUDA_SUCCESS);
	CU_ASSERT_PTR_EQUAL(seen.data, &order);
}

static void calls_from_inside_are_not_permitted(void)
{
	OK(cuStreamAddCallback(stream, note, NULL, 0));
	OK(cuStreamSynchronize(stream));
	CU_ASSERT_EQUAL(seen.inner, CUDA_ERROR_NOT_PERMITTED);
	CU_ASSERT_EQUAL(seen.name, CUDA_SUCCESS);
	OK(cuStreamQuery(stream)); /* here they are */
}

static void look_at_signals(void *blocked)
{
	pthread_sigmask(SIG_BLOCK, NULL, blocked);
}

static void functions_run_on_a_thread_that_takes_no_signals(void)
{
	sigset_t blocked;

	sigemptyset(&blocked);
	OK(cuLaunchHostFunc(stream, look_at_signals, &blocked));
	OK(cuStreamSynchronize(stream));
	CU_ASSERT(sigismember(&blocked, SIGTERM) == 1 &&
		  sigismember(&blocked, SIGINT) == 1 &&
		  sigismember(&blocked, SIGALRM) == 1 &&
		  sigismember(&blocked, SIGCHLD) == 1);
}

static void null_functions_flags_and_dead_streams_are_refused(void)
{
	CUstream invented = (CUstream)(uintptr_t)0xabcdef0;

	IS(CUDA_ERROR_INVALID_VALUE, cuLaunchHostFunc(stream, NULL, NULL));
	IS(CUDA_ERROR_INVALID_VALUE, cuStreamAddCallback(stream, NULL, NULL, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuStreamAddCallback(stream, note, NULL, 1));
	IS(CUDA_ERROR_INVALID_HANDLE, cuLaunchHostFunc(invented, release_word, NULL));
	IS(CUDA_ERROR_INVALID_HANDLE, cuStreamAddCallback(invented, note, NULL, 0));
}

static void a_captured_function_runs_with_each_launch_of_the_graph(void)
{
	CUgraphExec exec = NULL;
	CUgraph graph = NULL;
	uint32_t value = 99;

	OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
	OK(code_fill(fill, stream, code_address(word), 5, 1));
	OK(cuLaunchHostFunc(stream, read_word, &value));
	OK(cuStreamEndCapture(stream, &graph));
	CU_ASSERT_EQUAL(value, 99);
	OK(cuGraphInstantiate(&exec, graph, 0));
	for (int i = 0; i < 3; i++) {
		value = 99;
		OK(cuGraphLaunch(exec, stream));
		OK(cuStreamSynchronize(stream));
		CU_ASSERT_EQUAL(value, 5);
	}
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(graph));
}

static void a_callback_cannot_be_captured(void)
{
	CUgraph graph = NULL;

	OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	IS(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
	   cuStreamAddCallback(stream, note, NULL, 0));
	IS(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(stream, &graph));
}

static void the_twins_use_the_stream_of_the_thread(void)
{
	seen.calls = 0;
	OK(code_spin_word(spin_word, stream, code_address(word), 1));
	MUST(cuLaunchHostFunc_ptsz(NULL, release_word, NULL));
	OK(cuStreamSynchronize(stream));
	OK(cuStreamAddCallback_ptsz(NULL, note, NULL, 0));
	OK(cuStreamSynchronize(CU_STREAM_PER_THREAD));
	CU_ASSERT_EQUAL(seen.calls, 1);
}

static void destroying_a_context_ends_with_its_functions_run(void)
{
	CUstream own_stream = NULL;
	CUcontext own = NULL;

	order.next = 0;
	order.in_order = true;
	OK(cuCtxCreate(&own, NULL, 0, 0));
	OK(cuStreamCreate(&own_stream, CU_STREAM_DEFAULT));
	for (uintptr_t i = 0; i < 10; i++)
		OK(cuLaunchHostFunc(own_stream, take_number, (void *)i));
	OK(cuCtxDestroy(own));
	CU_ASSERT_EQUAL(order.next, 10);
	OK(cuCtxSetCurrent(ctx));
}

/* ---- errors ---- */

static sem_t told;
static unsigned functions_run;

static void CUDA_CB tell(CUstream handle, CUresult status, void *data)
{
	(void)handle;
	*(CUresult *)data = status;
	sem_post(&told);
}

static void count_run(void *unused)
{
	(void)unused;
	functions_run++;
}

static void after_an_error_callbacks_are_told_and_functions_are_not_called(void)
{
	CUresult status = CUDA_SUCCESS;

	sem_init(&told, 0, 0);
	OK(code_spin_word(spin_word, stream, code_address(word), 1));
	OK(code_fill(fill, stream, 0x10, 1, 1));
	OK(cuLaunchHostFunc(stream, count_run, NULL));
	MUST(cuStreamAddCallback(stream, tell, &status, 0));
	code_store(word, 1);
	IS(CUDA_ERROR_ILLEGAL_ADDRESS, cuStreamSynchronize(stream));
	await(&told);
	CU_ASSERT_EQUAL(status, CUDA_ERROR_ILLEGAL_ADDRESS);
	CU_ASSERT_EQUAL(functions_run, 0);
}

const struct unit_suite unit_suite = {
	.name = "host functions",
	.init = open_all,
	.setup = clear,
	.teardown = release,
	.tests = {
		UNIT_TEST(a_host_function_runs_between_the_work_before_and_after_it),
		UNIT_TEST(thousands_run_in_the_order_of_their_stream),
		UNIT_TEST(later_work_waits_for_the_function_and_other_streams_do_not),
		UNIT_TEST(a_function_may_release_a_kernel_that_waits_for_it),
		UNIT_TEST(an_event_waits_for_the_function_before_it),
		UNIT_TEST(a_callback_is_told_its_stream_and_that_all_is_well),
		UNIT_TEST(calls_from_inside_are_not_permitted),
		UNIT_TEST(functions_run_on_a_thread_that_takes_no_signals),
		UNIT_TEST(null_functions_flags_and_dead_streams_are_refused),
		UNIT_TEST(a_captured_function_runs_with_each_launch_of_the_graph),
		UNIT_TEST(a_callback_cannot_be_captured),
		UNIT_TEST(the_twins_use_the_stream_of_the_thread),
		UNIT_TEST(destroying_a_context_ends_with_its_functions_run),
		UNIT_TEST(after_an_error_callbacks_are_told_and_functions_are_not_called),
	},
};
