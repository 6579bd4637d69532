/*
 * test_capture_time.c - what is captured is not counted, the graph that is launched is; and a
 * launch asks whether its stream captures only while some stream may.
 *
 * Asking shows in the driver's log of calls.
 */
#include "common_launches.h"

#include "cunit_main.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUOTA "GPUSHIM_MEMORY=256MiB"

static CUgraphExec executable(CUgraph graph)
{
	CUgraphExec exec = NULL;

	check_result(cuGraphInstantiateWithFlags(&exec, graph, 0), CUDA_SUCCESS);
	return exec;
}

static CUstream new_stream(void)
{
	CUstream stream = NULL;

	check_result(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
	return stream;
}

static CUresult fill_on(CUstream stream)
{
	return cuLaunchKernel(launches.fill, SHAPE, stream, FILL, NULL);
}

/* ---- nothing is counted before the graph is launched ---- */

/* One of each kind; all but the last kernel leave something else in `to`. */
static void capture_all(CUstream s)
{
	CUlaunchConfig config = { 4, 1, 1, 256, 1, 1, .hStream = s };
	const size_t n = LAUNCHES_BYTES;

	check_result(cuMemsetD8Async(launches.to, 1, n, s), CUDA_SUCCESS);
	check_result(cuMemsetD2D8Async(launches.to, 64, 2, 64, 64, s), CUDA_SUCCESS);
	check_result(cuMemcpyDtoDAsync_v2(launches.to, launches.from, n, s),
		     CUDA_SUCCESS);
	check_result(cuMemcpyAsync(launches.to, launches.from, n, s), CUDA_SUCCESS);
	check_result(cuMemsetD32Async(launches.to, 3, n / 4, s), CUDA_SUCCESS);
	check_result(cuLaunchKernelEx(&config, launches.fill, FILL, NULL), CUDA_SUCCESS);
	check_result(fill_on(s), CUDA_SUCCESS);
}

static void launch_captured(CUgraph graph)
{
	CUgraphExec exec;

	check(launches_counted(0));
	if (!check(graph != NULL))
		return;
	exec = executable(graph);
	launches_end("cuGraphLaunch", cuGraphLaunch(exec, launches.stream), 1);
	check_result(cuGraphExecDestroy(exec), CUDA_SUCCESS);
}

TENANT_BODY(captures_of_every_version)
{
	const CUstreamCaptureMode relaxed = CU_STREAM_CAPTURE_MODE_RELAXED;
	CUgraph graph = NULL, own;
	CUstream s;

	launches_prepare();
	s = new_stream();
	launches_begin();
	check_result(cuStreamBeginCapture(s), CUDA_SUCCESS);
	capture_all(s);
	check_result(cuStreamEndCapture(s, &graph), CUDA_SUCCESS);
	launch_captured(graph);
	launches_begin();
	check_result(cuStreamBeginCapture_v2(s, relaxed), CUDA_SUCCESS);
	capture_all(s);
	/* Another stream is counted meanwhile. */
	launches_end("cuLaunchKernel", fill_on(launches.stream), 1);
	check_result(cuStreamEndCapture(s, &graph), CUDA_SUCCESS);
	launch_captured(graph);
	launches_begin();
	check_result(cuGraphCreate(&own, 0), CUDA_SUCCESS);
	check_result(cuStreamBeginCaptureToGraph(s, own, NULL, NULL, 0, relaxed),
		     CUDA_SUCCESS);
	capture_all(s);
	check_result(cuStreamEndCapture(s, &graph), CUDA_SUCCESS);
	launch_captured(own);
	/* The thread's own stream, in the calls that mean it by no handle. */
	launches_begin();
	check_result(cuStreamBeginCapture_ptsz(NULL), CUDA_SUCCESS);
	capture_all(CU_STREAM_PER_THREAD);
	check_result(cuLaunchKernel_ptsz(launches.fill, SHAPE, NULL, FILL, NULL),
		     CUDA_SUCCESS);
	check_result(cuStreamEndCapture_ptsz(NULL, &graph), CUDA_SUCCESS);
	launch_captured(graph);
	launches_begin();
	check_result(cuStreamBeginCapture_v2_ptsz(NULL, relaxed), CUDA_SUCCESS);
	capture_all(CU_STREAM_PER_THREAD);
	check_result(cuStreamEndCapture_ptsz(NULL, &graph), CUDA_SUCCESS);
	launch_captured(graph);
	launches_begin();
	check_result(cuGraphCreate(&own, 0), CUDA_SUCCESS);
	check_result(cuStreamBeginCaptureToGraph_ptsz(NULL, own, NULL, NULL, 0, relaxed),
		     CUDA_SUCCESS);
	capture_all(CU_STREAM_PER_THREAD);
	check_result(cuStreamEndCapture_ptsz(NULL, &graph), CUDA_SUCCESS);
	launch_captured(own);
}

static void what_is_captured_counts_when_its_graph_is_launched(void)
{
	CU_ASSERT(tenant_passes("captures_of_every_version", QUOTA, NULL));
}

/* ---- a capture that goes on ---- */

static CUstream captured;

static void *end_elsewhere(void *graph)
{
	CUcontext context = NULL;

	check_result(cuDevicePrimaryCtxRetain(&context, 0), CUDA_SUCCESS);
	check_result(cuCtxSetCurrent(context), CUDA_SUCCESS);
	check_result(cuStreamEndCapture(captured, graph),
		     CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
	check_result(cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
	return NULL;
}

/* None of these ends the capture, and what follows them is still captured. */
TENANT_BODY(ends_that_end_nothing)
{
	CUstreamCaptureStatus status;
	CUgraph graph = NULL;
	CUstream other, s;
	CUevent event;
	pthread_t thread;

	launches_prepare();
	s = captured = new_stream();
	other = new_stream();
	check_result(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS);
	launches_begin();
	check_result(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_GLOBAL),
		     CUDA_SUCCESS);
	check(pthread_create(&thread, NULL, end_elsewhere, &graph) == 0);
	pthread_join(thread, NULL);
	check_result(cuStreamEndCapture(other, &graph), CUDA_ERROR_ILLEGAL_STATE);
	check_result(cuStreamEndCapture(s, NULL), CUDA_ERROR_INVALID_VALUE);
	check_result(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_GLOBAL),
		     CUDA_ERROR_ILLEGAL_STATE);
	capture_all(s);
	check_result(cuStreamIsCapturing(s, &status), CUDA_SUCCESS);
	check(status == CU_STREAM_CAPTURE_STATUS_ACTIVE);
	check_result(cuStreamEndCapture(s, &graph), CUDA_SUCCESS);
	launch_captured(graph);
}

static void an_end_that_fails_leaves_the_capture_as_it_is(void)
{
	CU_ASSERT(tenant_passes("ends_that_end_nothing", QUOTA, NULL));
}

/* ---- a capture of another thread ---- */

static struct {
	pthread_barrier_t begun, launched;
	CUresult result;
} other_thread;

static void *capture_elsewhere(void *context)
{
	CUgraph graph = NULL;
	CUstream s;

	check_result(cuCtxSetCurrent(context), CUDA_SUCCESS);
	s = new_stream();
	check_result(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_GLOBAL),
		     CUDA_SUCCESS);
	pthread_barrier_wait(&other_thread.begun);
	check_result(fill_on(s), CUDA_SUCCESS);
	pthread_barrier_wait(&other_thread.launched);
	other_thread.result = cuStreamEndCapture(s, &graph);
	return NULL;
}

TENANT_BODY(launches_beside_a_capture)
{
	CUcontext context;
	pthread_t thread;

	launches_prepare();
	check_result(cuCtxGetCurrent(&context), CUDA_SUCCESS);
	/* Some are in flight, measured, when it begins. */
	for (int i = 0; i < 500; i++)
		check_result(fill_on(launches.stream), CUDA_SUCCESS);
	pthread_barrier_init(&other_thread.begun, NULL, 2);
	pthread_barrier_init(&other_thread.launched, NULL, 2);
	check(pthread_create(&thread, NULL, capture_elsewhere, context) == 0);
	pthread_barrier_wait(&other_thread.begun);
	for (int i = 0; i < 500; i++)
		check_result(fill_on(launches.stream), CUDA_SUCCESS);
	pthread_barrier_wait(&other_thread.launched);
	pthread_join(thread, NULL);
	check_result(other_thread.result, CUDA_SUCCESS);
	check(launches_counted(1000));
}

static void launches_of_one_thread_do_not_harm_the_capture_of_another(void)
{
	CU_ASSERT(tenant_passes("launches_beside_a_capture", QUOTA, NULL));
}

/* ---- who asks ---- */

enum { MANY = 50 };

static int shown, hidden;

/* Launches for which nothing is to be looked up any more. What the driver logs outside of
 * them is left out: tenant_stderr() has an end. */
static void launch_many(const char *what)
{
	check_result(fill_on(launches.stream), CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	dup2(shown, STDERR_FILENO);
	dprintf(STDERR_FILENO, "begin %s\n", what);
	for (int i = 0; i < MANY; i++)
		check_result(fill_on(launches.stream), CUDA_SUCCESS);
	dprintf(STDERR_FILENO, "end %s\n", what);
	dup2(hidden, STDERR_FILENO);
}

/* A capture that cannot end well: 904, as a fork is not joined; 901, as it is invalid. */
static void end_badly(CUstream s, bool unjoined)
{
	CUstream forked = new_stream();
	CUgraph graph = NULL;
	CUevent event;

	check_result(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED),
		     CUDA_SUCCESS);
	check_result(fill_on(s), CUDA_SUCCESS);
	if (unjoined) {
		check_result(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING),
			     CUDA_SUCCESS);
		check_result(cuEventRecord(event, s), CUDA_SUCCESS);
		check_result(cuStreamWaitEvent(forked, event, 0), CUDA_SUCCESS);
		check_result(fill_on(forked), CUDA_SUCCESS);
	} else {
		check_result(cuStreamSynchronize(s),
			     CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	}
	check_result(cuStreamEndCapture(s, &graph),
		     unjoined ? CUDA_ERROR_STREAM_CAPTURE_UNJOINED
			      : CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

TENANT_BODY(captures_that_come_and_go)
{
	const CUstreamCaptureMode relaxed = CU_STREAM_CAPTURE_MODE_RELAXED;
	CUgraph graph;
	CUstream s;

	/* The helper thread's calls are logged as well: no line is to fall on another. */
	check(fcntl(STDERR_FILENO, F_SETFL, O_APPEND) == 0);
	shown = dup(STDERR_FILENO);
	hidden = open("/dev/null", O_WRONLY | O_CLOEXEC);
	launches_prepare();
	s = new_stream();
	launch_many("never");
	check_result(cuStreamBeginCapture_v2(s, relaxed), CUDA_SUCCESS);
	launch_many("open");
	check_result(cuStreamEndCapture(s, &graph), CUDA_SUCCESS);
	launch_many("ended");
	check_result(cuStreamBeginCapture_v2(NULL, relaxed),
		     CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	check_result(cuStreamBeginCapture_v2(s, (CUstreamCaptureMode)77),
		     CUDA_ERROR_INVALID_VALUE);
	check_result(cuStreamEndCapture(s, &graph), CUDA_ERROR_ILLEGAL_STATE);
	launch_many("refused");
	end_badly(s, true);
	launch_many("unjoined");
	end_badly(new_stream(), false);
	launch_many("invalid");
	check_result(cuStreamBeginCapture_ptsz(NULL), CUDA_SUCCESS);
	check_result(cuStreamEndCapture_ptsz(NULL, &graph), CUDA_SUCCESS);
	launch_many("per thread");
	s = new_stream();
	check_result(cuStreamBeginCapture_v2(s, relaxed), CUDA_SUCCESS);
	launch_many("open again");
	dup2(shown, STDERR_FILENO);
}

/* Calls of cuStreamIsCapturing while that was done; -1: it was not. */
static int asked(const char *what)
{
	char begin[64], end[64];
	const char *at, *stop;
	int calls = 0;

	snprintf(begin, sizeof(begin), "begin %s\n", what);
	snprintf(end, sizeof(end), "end %s\n", what);
	at = strstr(tenant_stderr(), begin);
	stop = at ? strstr(at, end) : NULL;
	if (!stop)
		return -1;
	while ((at = strstr(at + 1, " cuStreamIsCapturing\n")) && at < stop)
		calls++;
	return calls;
}

static void only_while_a_stream_captures_is_it_asked_which(void)
{
	static const char *const quiet[] = { "never",	 "ended",   "refused",
					     "unjoined", "invalid", "per thread" };

	CU_ASSERT(tenant_passes("captures_that_come_and_go", QUOTA, "SIMGPU_LOG=calls",
				NULL));
	for (size_t i = 0; i < sizeof(quiet) / sizeof(quiet[0]); i++) {
		int calls = asked(quiet[i]);

		if (calls != 0)
			printf("%s: %d calls\n", quiet[i], calls);
		CU_ASSERT_EQUAL(calls, 0);
	}
	/* Control: it is seen when it is asked. */
	CU_ASSERT(asked("open") >= MANY);
	CU_ASSERT(asked("open again") >= MANY);
}

/* ---- a capture that never ends ---- */

/* It stays counted: launches go on asking, and are what they were otherwise. */
TENANT_BODY(a_capture_that_goes_with_its_context)
{
	CUcontext first, second;

	launches_prepare();
	check_result(cuCtxGetCurrent(&first), CUDA_SUCCESS);
	check_result(cuCtxCreate_v2(&second, 0, 0), CUDA_SUCCESS);
	check_result(
		cuStreamBeginCapture_v2(new_stream(), CU_STREAM_CAPTURE_MODE_RELAXED),
		CUDA_SUCCESS);
	check_result(cuCtxDestroy_v2(second), CUDA_SUCCESS);
	check_result(cuCtxSetCurrent(first), CUDA_SUCCESS);
	for (int i = 0; i < 3; i++)
		COUNTS(cuLaunchKernel, launches.fill, SHAPE, launches.stream, FILL, NULL);
}

static void launches_survive_a_capture_that_never_ends(void)
{
	CU_ASSERT(tenant_passes("a_capture_that_goes_with_its_context", QUOTA, NULL));
}

/* ---- without limits ---- */

static void without_limits_all_of_it_captures(void)
{
	CU_ASSERT(tenant_passes("captures_of_every_version", "GPUSHIM_DIR",
				"GPUSHIM_WAIT_MS", NULL));
	CU_ASSERT(tenant_passes("ends_that_end_nothing", "GPUSHIM_DIR", "GPUSHIM_WAIT_MS",
				NULL));
}

const struct unit_suite unit_suite = {
	.name = "captures and time",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(what_is_captured_counts_when_its_graph_is_launched),
		UNIT_TEST(an_end_that_fails_leaves_the_capture_as_it_is),
		UNIT_TEST(launches_of_one_thread_do_not_harm_the_capture_of_another),
		UNIT_TEST(only_while_a_stream_captures_is_it_asked_which),
		UNIT_TEST(launches_survive_a_capture_that_never_ends),
		UNIT_TEST(without_limits_all_of_it_captures),
	},
};
