/*
 * Faults made on purpose, call costs and the call log: SIMGPU_FAULTS, SIMGPU_CALL_NS and
 * SIMGPU_LOG. Each test runs in children, since the variables are read once per process.
 */
#include "common_gpu.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define IN_CHILD(body, ...) \
	CU_ASSERT_EQUAL(child_run(body, (const char *const[]){ __VA_ARGS__, NULL }), 0)

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void start(void)
{
	CUcontext ctx;

	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuCtxCreate(&ctx, NULL, 0, 0), CUDA_SUCCESS);
}

/* ---- failing calls ---- */

static void third_event_fails(void)
{
	CUevent events[6];

	start();
	for (int i = 0; i < 6; i++)
		CHECK_IS(cuEventCreate(&events[i], 0),
			 i == 2 ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS);
	for (int i = 0; i < 6; i++)
		if (i != 2)
			CHECK_IS(cuEventDestroy(events[i]), CUDA_SUCCESS);
}

static void the_nth_call_fails_and_no_other(void)
{
	IN_CHILD(third_event_fails, "SIMGPU_FAULTS=cuEventCreate@3=2");
	IN_CHILD(third_event_fails, "SIMGPU_ZERO_COST=1",
		 "SIMGPU_FAULTS=cuEventCreate@3=CUDA_ERROR_OUT_OF_MEMORY;");
}

static void fails_from_the_second_on(void)
{
	CUstream stream;

	start();
	CHECK_IS(cuStreamCreate(&stream, 0), CUDA_SUCCESS);
	for (int i = 0; i < 3; i++)
		CHECK_IS(cuStreamCreate(&stream, 0), (CUresult)719);
	CHECK_IS(cuCtxSynchronize(), CUDA_ERROR_NOT_READY);
	CHECK_IS(cuCtxSynchronize(), CUDA_ERROR_NOT_READY);
}

static void a_plus_means_from_then_on_and_a_star_always(void)
{
	IN_CHILD(fails_from_the_second_on,
		 "SIMGPU_FAULTS=cuStreamCreate@2+=719;cuCtxSynchronize@*=600");
}

/* The headers name only the newest version. */
CUresult cuCtxCreate_v2(CUcontext *ctx, unsigned int flags, CUdevice device);

static void versions_fail_apart(void)
{
	CUcontext ctx;

	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuCtxCreate_v2(&ctx, 0, 0), CUDA_ERROR_INVALID_DEVICE);
	CHECK_IS(cuCtxCreate_v2(&ctx, 0, 0), CUDA_SUCCESS);
	CHECK_IS(cuCtxCreate(&ctx, NULL, 0, 0), CUDA_SUCCESS);
	CHECK_IS(cuCtxDestroy(ctx), CUDA_ERROR_UNKNOWN);
}

static void a_base_name_means_all_versions_and_a_symbol_one(void)
{
	IN_CHILD(versions_fail_apart,
		 "SIMGPU_FAULTS=cuCtxCreate_v2@1=101;cuCtxDestroy@1=999");
}

static void init_fails_twice(void)
{
	CHECK_IS(cuInit(0), CUDA_ERROR_NO_DEVICE);
	CHECK_IS(cuInit(0), CUDA_ERROR_NO_DEVICE);
	CHECK_IS(cuInit(0), CUDA_SUCCESS);
}

static void cuInit_can_fail_as_well(void)
{
	IN_CHILD(init_fails_twice, "SIMGPU_FAULTS=cuInit@1=100;cuInit@2=100");
}

static void sticky(void)
{
	CUstream stream;
	CUevent event;
	CUcontext ctx;
	const char *name;
	int version, count;

	start();
	CHECK_IS(cuStreamCreate(&stream, 0), CUDA_SUCCESS);
	CHECK_IS(cuEventCreate(&event, 0), CUDA_SUCCESS);
	CHECK_IS(cuEventRecord(event, stream), CUDA_SUCCESS);
	CHECK_IS(cuEventRecord(event, stream), CUDA_ERROR_ILLEGAL_ADDRESS);
	CHECK_IS(cuEventRecord(event, stream), CUDA_ERROR_ILLEGAL_ADDRESS);
	CHECK_IS(cuStreamSynchronize(stream), CUDA_ERROR_ILLEGAL_ADDRESS);
	CHECK_IS(cuStreamQuery(stream), CUDA_ERROR_ILLEGAL_ADDRESS);
	CHECK_IS(cuEventQuery(event), CUDA_ERROR_ILLEGAL_ADDRESS);
	CHECK_IS(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
	CHECK_IS(cuCtxCreate(&ctx, NULL, 0, 0), CUDA_ERROR_ILLEGAL_ADDRESS);
	CHECK_IS(cuDeviceGetCount(&count), CUDA_ERROR_ILLEGAL_ADDRESS);
	CHECK_IS(cuDriverGetVersion(&version), CUDA_SUCCESS);
	CHECK_IS(cuGetErrorName(CUDA_ERROR_ILLEGAL_ADDRESS, &name), CUDA_SUCCESS);
}

struct waiting {
	CUstream stream;
	CUevent event;
	CUresult result;
};

static void *wait_stream(void *arg)
{
	struct waiting *w = arg;

	w->result = cuStreamSynchronize(w->stream);
	return NULL;
}

static void *wait_event(void *arg)
{
	struct waiting *w = arg;

	w->result = cuEventSynchronize(w->event);
	return NULL;
}

/* Fills the launch queue behind the gate, and so blocks in a submission. */
static void *submit(void *arg)
{
	struct waiting *w = arg;

	do
		w->result = cuEventRecord(w->event, w->stream);
	while (w->result == CUDA_SUCCESS);
	return NULL;
}

static void sticky_while_waiting(void)
{
	void *(*const bodies[])(void *) = { wait_stream, wait_event, submit };
	struct waiting waiting[3];
	pthread_t threads[3];
	CUdeviceptr word;
	void *host = NULL;
	int count;

	start();
	CHECK_IS(cuMemHostAlloc(&host, 4, 0), CUDA_SUCCESS);
	CHECK_IS(cuMemHostGetDevicePointer(&word, host, 0), CUDA_SUCCESS);
	for (int i = 0; i < 3; i++) {
		CHECK_IS(cuStreamCreate(&waiting[i].stream, 1), CUDA_SUCCESS);
		CHECK_IS(cuEventCreate(&waiting[i].event, 0), CUDA_SUCCESS);
		CHECK_IS(cuStreamWaitValue32(waiting[i].stream, word, 1, 1),
			 CUDA_SUCCESS);
		CHECK_IS(cuEventRecord(waiting[i].event, waiting[i].stream),
			 CUDA_SUCCESS);
		pthread_create(&threads[i], NULL, bodies[i], &waiting[i]);
	}
	CHECK_IS(cuDeviceGetCount(&count), CUDA_ERROR_LAUNCH_FAILED);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		CHECK_IS(waiting[i].result, CUDA_ERROR_LAUNCH_FAILED);
	}
}

static void a_sticky_error_ends_waits_that_have_begun(void)
{
	IN_CHILD(sticky_while_waiting, "SIMGPU_FAULTS=sticky:cuDeviceGetCount@1=719");
}

static void a_sticky_error_is_returned_from_then_on(void)
{
	IN_CHILD(sticky, "SIMGPU_FAULTS=sticky:cuEventRecord@2=700");
	IN_CHILD(sticky, "SIMGPU_ZERO_COST=1",
		 "SIMGPU_FAULTS=sticky:cuEventRecord@2=700");
}

/* A neighbour is not touched by another process' sticky error. */
static void healthy(void)
{
	start();
	CHECK_IS(cuCtxSynchronize(), CUDA_SUCCESS);
}

static void a_sticky_error_stays_in_its_process(void)
{
	IN_CHILD(sticky, "SIMGPU_FAULTS=sticky:cuEventRecord@2=700");
	IN_CHILD(healthy, "SIMGPU_FAULTS");
}

/* ---- slow calls ---- */

static void slow_stream(void)
{
	uint64_t before, slow_ns, quick_ns = UINT64_MAX;
	CUstream stream;
	CUevent event;

	start();
	before = now_ns();
	CHECK_IS(cuStreamCreate(&stream, 0), CUDA_SUCCESS);
	slow_ns = now_ns() - before;
	/* At best: a busy host may make any one of them slow. */
	for (int i = 0; i < 10; i++) {
		before = now_ns();
		CHECK_IS(cuEventCreate(&event, 0), CUDA_SUCCESS);
		if (now_ns() - before < quick_ns)
			quick_ns = now_ns() - before;
	}
	CHECK(slow_ns >= 200000000);
	CHECK(quick_ns < slow_ns);
}

static void slow_calls_take_their_time(void)
{
	IN_CHILD(slow_stream, "SIMGPU_FAULTS=slow:cuStreamCreate=200ms");
	IN_CHILD(slow_stream, "SIMGPU_FAULTS=slow:cuStreamCreate=0.2s",
		 "SIMGPU_ZERO_COST=1");
}

static void costly_calls(void)
{
	uint64_t before, all_ns, one_ns;
	CUevent event;
	CUstream stream;

	start();
	before = now_ns();
	CHECK_IS(cuEventCreate(&event, 0), CUDA_SUCCESS);
	all_ns = now_ns() - before;
	before = now_ns();
	CHECK_IS(cuStreamCreate(&stream, 0), CUDA_SUCCESS);
	one_ns = now_ns() - before;
	CHECK(all_ns >= 100000);
	CHECK(one_ns >= 50000000);
}

static void calls_cost_what_the_environment_says(void)
{
	IN_CHILD(costly_calls, "SIMGPU_CALL_NS=100000,cuStreamCreate=50000000");
	IN_CHILD(costly_calls, "SIMGPU_CALL_NS=100000,cuStreamCreate=50000000",
		 "SIMGPU_ZERO_COST=1");
}

/* ---- all of them ---- */

static const char *const names[] = {
#define SYM(symbol, base, version, variant) #symbol,
#include "symbols.def"
};
static const char *const bases[] = {
#define SYM(symbol, base, version, variant) #base,
#include "symbols.def"
};
enum { NAMES = sizeof(names) / sizeof(names[0]), FIRST_CODE = 1000 };

/* Each function's own code comes back, so each begins under its own name. */
static void each_fails(void)
{
	void *driver = dlopen("libcuda.so.1", RTLD_NOW);

	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	for (int i = 0; i < NAMES; i++) {
		/* As many arguments as the longest has, all of them 0. */
		CUresult (*function)(long, long, long, long, long, long, long, long, long,
				     long, long, long);

		if (strcmp(names[i], "cuInit") == 0)
			continue;
		*(void **)&function = dlsym(driver, names[i]);
		child_check_result(function(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
				   (CUresult)(FIRST_CODE + i), names[i], __FILE__,
				   __LINE__);
	}
	dlclose(driver);
}

static void every_function_can_be_made_to_fail_by_its_name(void)
{
	static char variable[NAMES * 64];
	int length = snprintf(variable, sizeof(variable), "SIMGPU_FAULTS=");

	/* A base name means all of its versions, and the first rule counts: so they come
	 * behind the names with a version. */
	for (int is_base = 0; is_base < 2; is_base++)
		for (int i = 0; i < NAMES; i++)
			if ((strcmp(names[i], bases[i]) == 0) == is_base &&
			    strcmp(names[i], "cuInit") != 0)
				length += snprintf(variable + length,
						   sizeof(variable) - (size_t)length,
						   "%s@*=%d;", names[i], FIRST_CODE + i);
	IN_CHILD(each_fails, "SIMGPU_ZERO_COST=1", variable);
}

/* ---- symbols ---- */

static void symbols(void)
{
	CUdriverProcAddressQueryResult status;
	CUresult (*extra)(void) = NULL;
	void *address = NULL;

	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuGetProcAddress("cuMemAllocAsync", &address, 13000, 0, &status),
		 CUDA_ERROR_NOT_FOUND);
	CHECK_IS(cuGetProcAddress("cuMemFreeAsync", &address, 13000, 0, &status),
		 CUDA_SUCCESS);
	CHECK_IS(cuGetProcAddress("cuFutureThing", &address, 13000, 0, &status),
		 CUDA_SUCCESS);
	CHECK(address != NULL);
	memcpy(&extra, &address, sizeof(extra));
	if (extra != NULL)
		CHECK_IS(extra(), CUDA_SUCCESS);
	CHECK_IS(cuGetProcAddress("cuOtherThing", &address, 13000, 0, &status),
		 CUDA_ERROR_NOT_FOUND);
}

static void symbols_can_be_hidden_and_invented(void)
{
	IN_CHILD(symbols, "SIMGPU_FAULTS=hide:cuMemAllocAsync;extra:cuFutureThing");
}

/* ---- mistakes ---- */

static void refused(void)
{
	CHECK_IS(cuInit(0), CUDA_ERROR_INVALID_VALUE);
	CHECK_IS(cuCtxSynchronize(), CUDA_ERROR_NOT_INITIALIZED);
}

static void what_cannot_be_understood_is_refused_at_init(void)
{
	static const char *const wrong[] = {
		"SIMGPU_FAULTS=cuMemAlloc",
		"SIMGPU_FAULTS=cuMemAlloc=2",
		"SIMGPU_FAULTS=cuMemAlloc@3",
		"SIMGPU_FAULTS=cuMemAlloc@0=2",
		"SIMGPU_FAULTS=cuMemAlloc@x=2",
		"SIMGPU_FAULTS=cuMemAlloc@3=CUDA_ERROR_NO_SUCH_NAME",
		"SIMGPU_FAULTS=cuMemAlloc@3=-2",
		"SIMGPU_FAULTS=cuNoSuchCall@3=2",
		"SIMGPU_FAULTS=slow:cuMemAlloc=5",
		"SIMGPU_FAULTS=slow:cuMemAlloc@2=5ms",
		"SIMGPU_FAULTS=hide:cuNoSuchCall",
		"SIMGPU_FAULTS=hide:cuMemAlloc=2",
		"SIMGPU_FAULTS=extra:",
		"SIMGPU_FAULTS=quick:cuMemAlloc=1ms",
		"SIMGPU_FAULTS=cuMemAlloc@3=2;;cuMemFree@1",
		"SIMGPU_CALL_NS=fast",
		"SIMGPU_CALL_NS=500,cuNoSuchCall=3",
		"SIMGPU_CALL_NS=cuMemAlloc=",
		"SIMGPU_CALL_NS=500,",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]) - 1; i++) {
		int failures = child_run(refused,
					 (const char *const[]){ wrong[i], NULL });

		CU_ASSERT_EQUAL(failures, 0);
		if (failures != 0)
			printf("      this was not refused: %s\n", wrong[i]);
	}
	/* An empty item at the end is no mistake. */
	IN_CHILD(healthy, wrong[sizeof(wrong) / sizeof(wrong[0]) - 1]);
}

/* ---- the log ---- */

static char log_path[256];

static void logged(void)
{
	int count;

	CHECK(freopen(log_path, "w", stderr) != NULL);
	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuDeviceGetCount(&count), CUDA_SUCCESS);
	CHECK_IS(cuDeviceGetCount(&count), CUDA_SUCCESS);
	CHECK_IS(cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT);
	fflush(stderr);
}

static void every_call_is_logged_with_its_name(void)
{
	char text[4096] = "", *at = text;
	size_t length;
	FILE *file;
	int counts = 0;

	snprintf(log_path, sizeof(log_path), "%s/simgpu-log-%d",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", (int)getpid());
	IN_CHILD(logged, "SIMGPU_LOG=calls", "SIMGPU_ZERO_COST=1");
	file = fopen(log_path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	length = fread(text, 1, sizeof(text) - 1, file);
	text[length] = '\0';
	fclose(file);
	unlink(log_path);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, " cuInit\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, " cuCtxSynchronize"));
	while ((at = strstr(at, " cuDeviceGetCount\n")) != NULL) {
		counts++;
		at++;
	}
	CU_ASSERT_EQUAL(counts, 2);
}

const struct unit_suite unit_suite = {
	.name = "driver faults",
	.tests = {
		UNIT_TEST(the_nth_call_fails_and_no_other),
		UNIT_TEST(a_plus_means_from_then_on_and_a_star_always),
		UNIT_TEST(a_base_name_means_all_versions_and_a_symbol_one),
		UNIT_TEST(cuInit_can_fail_as_well),
		UNIT_TEST(a_sticky_error_is_returned_from_then_on),
		UNIT_TEST(a_sticky_error_ends_waits_that_have_begun),
		UNIT_TEST(a_sticky_error_stays_in_its_process),
		UNIT_TEST(slow_calls_take_their_time),
		UNIT_TEST(calls_cost_what_the_environment_says),
		UNIT_TEST(every_function_can_be_made_to_fail_by_its_name),
		UNIT_TEST(symbols_can_be_hidden_and_invented),
		UNIT_TEST(what_cannot_be_understood_is_refused_at_init),
		UNIT_TEST(every_call_is_logged_with_its_name),
	},
};
