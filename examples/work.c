/*
 * work.c - a load of a known size: kernels of fixed work in a loop, and what was achieved.
 *
 * Knows: how to keep a device busy in the ways programs do: launches back to back, each
 * launch waited for, several streams, a graph. The work is fixed; a spin on a clock would
 * end early, without having done anything, whenever others hold the device.
 * Refuses to know: limits and shares. Work in flight is bounded by the driver alone.
 */
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common.h"
#include "common_lane.h"
#include "common_result.h"

enum { LANES_MAX = 128 };

enum mode { PLAIN, SYNC, STREAMS, GRAPH, MODES };
static const char *const mode_names[MODES] = { "plain", "sync", "streams", "graph" };

/* What is asked for. */
static struct {
	const char *mode_name;
	enum mode mode;
	double kernel_us, iterations_per_us, seconds, interval_s, period_us;
	uint64_t iterations, launches, streams, nodes, grid, block, alloc_bytes, steps;
	bool count, calibrate, json, wait;
} ask = { .mode_name = "plain",
	  .kernel_us = 200,
	  .seconds = 5,
	  .streams = 4,
	  .nodes = 10,
	  .grid = 1,
	  .block = 32,
	  .steps = 10 };

static struct ex_result got; /* what came of it */

static struct ex_gpu gpu;
static CUfunction kernel;
static CUgraphExec graph;
static struct lane {
	struct ex_lane progress;
	CUdeviceptr result; /* u64: the work's sink, or the count */
	CUevent end;
} * lanes;
static unsigned lane_count;

/* For reading counts while kernels run. */
static CUstream beside;
static uint64_t *pinned;

static volatile sig_atomic_t signalled;

static void on_signal(int number)
{
	signalled = number;
}

/* --- launches ------------------------------------------------------------------------ */

/* The parameters of gpushim_work or gpushim_count for a lane; list points into storage. */
static void parameters(const struct lane *lane, uint64_t storage[3], void *list[3])
{
	unsigned i;

	storage[0] = ask.count ? lane->result : ask.iterations;
	storage[1] = ask.count ? ask.steps : lane->result;
	storage[2] = ask.iterations / ask.steps;
	for (i = 0; i < 3; i++)
		list[i] = &storage[i];
}

static void build_graph(const struct lane *lane)
{
	uint64_t storage[3], i;
	void *list[3];
	CUDA_KERNEL_NODE_PARAMS params = { .func = kernel,
					   .gridDimX = (unsigned)ask.grid,
					   .gridDimY = 1,
					   .gridDimZ = 1,
					   .blockDimX = (unsigned)ask.block,
					   .blockDimY = 1,
					   .blockDimZ = 1,
					   .kernelParams = list };
	CUgraphNode before = NULL, node;
	CUgraph plan;

	parameters(lane, storage, list);
	EX_TRY(cuGraphCreate(&plan, 0));
	for (i = 0; i < ask.nodes; i++, before = node)
		EX_TRY(cuGraphAddKernelNode(&node, plan, &before, i ? 1 : 0, &params));
	EX_TRY(cuGraphInstantiate(&graph, plan, 0));
	EX_TRY(cuGraphDestroy(plan));
}

static void launch(struct lane *lane)
{
	CUstream stream = lane->progress.stream;
	uint64_t storage[3];
	void *list[3];

	if (ask.mode == GRAPH) {
		EX_TRY(cuGraphLaunch(graph, stream));
	} else {
		parameters(lane, storage, list);
		ex_launch(kernel, (unsigned)ask.grid, (unsigned)ask.block, stream, list);
	}
	lane->progress.launched++;
	got.launches++;
}

/* One launch between two events, waited for. Notes its latency and adds its time. */
static void launch_and_wait(struct lane *lane, CUevent begin, CUevent end)
{
	static uint64_t room;
	uint64_t start_ns = ex_now_ns();
	float ms;

	EX_TRY(cuEventRecord(begin, lane->progress.stream));
	launch(lane);
	EX_TRY(cuEventRecord(end, lane->progress.stream));
	EX_TRY(cuStreamSynchronize(lane->progress.stream));
	if (got.launches > room) {
		room = room ? room * 2 : 4096;
		got.latency_us = realloc(got.latency_us, room * sizeof(*got.latency_us));
		if (!got.latency_us)
			ex_fail("There is no host memory left for %" PRIu64
				" latencies: choose fewer --seconds.",
				room);
	}
	got.latency_us[got.launches - 1] = (double)(ex_now_ns() - start_ns) / 1e3;
	EX_TRY(cuEventElapsedTime(&ms, begin, end));
	got.gpu_s += (double)ms / 1e3;
	lane->progress.finished = lane->progress.launched;
}

/* --- the loop ------------------------------------------------------------------------ */

static uint64_t finished(void)
{
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; i < lane_count; i++) {
		ex_lane_reap(&lanes[i].progress);
		sum += lanes[i].progress.finished;
	}
	return sum;
}

/* The sum of the lanes' counts, also while their kernels run. */
static uint64_t read_counts(void)
{
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; i < lane_count; i++) {
		EX_TRY(cuMemcpyDtoHAsync(pinned, lanes[i].result, sizeof(*pinned),
					 beside));
		EX_TRY(cuStreamSynchronize(beside));
		sum += *pinned;
	}
	return sum;
}

static void print_progress(double seconds)
{
	if (ask.count)
		fprintf(stderr, "%.3f s: %" PRIu64 " steps counted\n", seconds,
			read_counts());
	else
		fprintf(stderr, "%.3f s: %" PRIu64 " launches finished\n", seconds,
			finished());
}

/* Sleeps until the next multiple of the period after the start. */
static void sleep_to_period(uint64_t start_ns)
{
	uint64_t period_ns = (uint64_t)(ask.period_us * 1e3);
	uint64_t passed_ns = ex_now_ns() - start_ns;
	uint64_t next_ns = start_ns + (passed_ns / period_ns + 1) * period_ns;
	struct timespec next = { .tv_sec = (time_t)(next_ns / 1000000000),
				 .tv_nsec = (long)(next_ns % 1000000000) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
}

static const char *reason_to_stop(uint64_t passed_ns)
{
	if (signalled)
		return "signal";
	if (ask.launches)
		return got.launches == ask.launches ? "launches" : NULL;
	return (double)passed_ns >= ask.seconds * 1e9 ? "time" : NULL;
}

/* Launches until there is a reason to stop. */
static void loop(uint64_t start_ns)
{
	uint64_t now_ns, progress_ns = start_ns;
	CUevent begin, end;

	EX_TRY(cuEventCreate(&begin, CU_EVENT_DEFAULT));
	EX_TRY(cuEventCreate(&end, CU_EVENT_DEFAULT));
	while (now_ns = ex_now_ns(),
	       !(got.stopped_by = reason_to_stop(now_ns - start_ns))) {
		struct lane *lane = &lanes[got.launches % lane_count];

		if (ask.mode == SYNC) {
			launch_and_wait(lane, begin, end);
		} else {
			launch(lane);
			ex_lane_mark(&lane->progress, now_ns);
		}
		if (ask.interval_s > 0 &&
		    (double)(now_ns - progress_ns) >= ask.interval_s * 1e9) {
			print_progress((double)(now_ns - start_ns) / 1e9);
			progress_ns = now_ns;
		}
		if (ask.period_us > 0)
			sleep_to_period(start_ns);
	}
	EX_TRY(cuEventDestroy(begin));
	EX_TRY(cuEventDestroy(end));
}

/* The loop between events on every lane, and then the wait for what is in flight. */
static void run(void)
{
	uint64_t start_ns, stop_ns, end_ns;
	CUevent begin;
	unsigned i;
	float ms;

	EX_TRY(cuEventCreate(&begin, CU_EVENT_DEFAULT));
	EX_TRY(cuEventRecord(begin, lanes[0].progress.stream));
	for (i = 1; i < lane_count; i++)
		EX_TRY(cuStreamWaitEvent(lanes[i].progress.stream, begin, 0));
	start_ns = ex_now_ns();
	loop(start_ns);
	got.in_time = finished();
	stop_ns = ex_now_ns();
	for (i = 0; i < lane_count; i++)
		EX_TRY(cuEventRecord(lanes[i].end, lanes[i].progress.stream));
	EX_TRY(cuCtxSynchronize());
	end_ns = ex_now_ns();
	/* A number of launches is done when the last one is; nothing of it is cut off. */
	if (!strcmp(got.stopped_by, "launches")) {
		got.in_time = got.launches;
		stop_ns = end_ns;
	}
	got.seconds = (double)(stop_ns - start_ns) / 1e9;
	got.drain_s = (double)(end_ns - stop_ns) / 1e9;
	for (i = 0; i < lane_count && ask.mode != SYNC; i++) {
		EX_TRY(cuEventElapsedTime(&ms, begin, lanes[i].end));
		got.gpu_s = fmax(got.gpu_s, (double)ms / 1e3);
	}
	EX_TRY(cuEventDestroy(begin));
}

/* What the device left in memory must be what the launches compute. */
static void check(void)
{
	uint64_t found = read_counts();
	uint64_t used = got.launches < lane_count ? got.launches : lane_count;

	got.counted = found;
	if (ask.count && found != got.launches * got.kernels_per_launch * ask.steps)
		got.failure =
			"the count in device memory is not that of the steps launched";
	if (!ask.count && found != used * ex_chain(ask.iterations))
		got.failure =
			"the kernels' results in device memory are not those of the work";
}

/* --- the program --------------------------------------------------------------------- */

static void refuse_nonsense(void)
{
	unsigned mode;

	for (mode = 0; mode < MODES; mode++)
		if (!strcmp(ask.mode_name, mode_names[mode]))
			break;
	if (mode == MODES)
		ex_usage("--mode %s: the modes are plain, sync, streams and graph.",
			 ask.mode_name);
	ask.mode = (enum mode)mode;
	if (ask.streams > LANES_MAX)
		ex_usage("--streams %" PRIu64 " is more than %d.", ask.streams,
			 LANES_MAX);
	if (ask.grid > INT32_MAX || ask.block > 1024)
		ex_usage(
			"A grid has at most 2147483647 blocks, a block at most 1024 threads.");
	if (ask.period_us > 0 && (ask.mode != SYNC || ask.period_us < 1))
		ex_usage("--period-us is for --mode sync, and at least 1.");
	if (ask.seconds > 1e9 || ask.kernel_us > 1e12)
		ex_usage("--seconds or --kernel-us asks for more than a lifetime.");
}

/* Settles how many steps a kernel has, measuring the device if nothing else tells. */
static void choose_work(void)
{
	if (!ask.iterations) {
		if (!(ask.iterations_per_us > 0))
			ask.iterations_per_us = ex_calibrate(&gpu, (unsigned)ask.grid,
							     (unsigned)ask.block);
		ask.iterations = (uint64_t)llround(ask.kernel_us * ask.iterations_per_us);
	}
	/* All steps of a count do the same work. */
	if (ask.count)
		ask.iterations -= ask.iterations % ask.steps;
	if (!ask.iterations)
		ask.iterations = ask.count ? ask.steps : 1;
	got.iterations = ask.iterations;
	got.kernel_us = ask.iterations_per_us > 0
				? (double)ask.iterations / ask.iterations_per_us
				: NAN;
}

/* Streams, results and code; afterwards a launch is all that is left to do. */
static void prepare(void)
{
	void *memory;
	unsigned i;

	lane_count = ask.mode == STREAMS ? (unsigned)ask.streams : 1;
	lanes = calloc(lane_count, sizeof(*lanes));
	if (!lanes)
		ex_fail("There is no host memory left for %u streams.", lane_count);
	kernel = ex_kernel(&gpu, ask.count ? "gpushim_count" : "gpushim_work");
	EX_TRY(cuStreamCreate(&beside, CU_STREAM_NON_BLOCKING));
	EX_TRY(cuMemHostAlloc(&memory, sizeof(*pinned), 0));
	pinned = memory;
	for (i = 0; i < lane_count; i++) {
		struct lane *lane = &lanes[i];

		/* plain and sync stay on the default stream, as simple programs do. */
		if (ask.mode == STREAMS || ask.mode == GRAPH)
			EX_TRY(cuStreamCreate(&lane->progress.stream,
					      CU_STREAM_NON_BLOCKING));
		EX_TRY(cuEventCreate(&lane->end, CU_EVENT_DEFAULT));
		EX_TRY(cuMemAlloc(&lane->result, sizeof(uint64_t)));
	}
	if (ask.mode == GRAPH)
		build_graph(&lanes[0]);
	/* The first launch loads the code. */
	launch(&lanes[0]);
	EX_TRY(cuCtxSynchronize());
	got.launches = lanes[0].progress.launched = 0;
	for (i = 0; i < lane_count; i++)
		EX_TRY(cuMemsetD8(lanes[i].result, 0, sizeof(uint64_t)));
	EX_TRY(cuCtxSynchronize());
}

static void dispose(void)
{
	unsigned i;

	for (i = 0; i < lane_count; i++) {
		ex_lane_fini(&lanes[i].progress);
		EX_TRY(cuEventDestroy(lanes[i].end));
		EX_TRY(cuMemFree(lanes[i].result));
		if (lanes[i].progress.stream)
			EX_TRY(cuStreamDestroy(lanes[i].progress.stream));
	}
	if (graph)
		EX_TRY(cuGraphExecDestroy(graph));
	EX_TRY(cuMemFreeHost(pinned));
	EX_TRY(cuStreamDestroy(beside));
	free(lanes);
	free(got.latency_us);
}

/* Runs the load while holding the memory asked for, which nobody else may touch. */
static void run_and_check(void)
{
	const uint32_t pattern = 0x3c3c3c3c;
	uint64_t words = ask.alloc_bytes / 4;
	CUdeviceptr held = 0;
	char byte;

	if (words) {
		EX_TRY(cuMemAlloc(&held, ask.alloc_bytes));
		EX_TRY(cuMemsetD32(held, pattern, words));
		EX_TRY(cuCtxSynchronize());
	}
	if (ask.wait) {
		fprintf(stderr, "ready\n");
		while (!signalled && read(STDIN_FILENO, &byte, 1) > 0)
			;
	}
	got.mode = ask.mode_name;
	got.alloc_bytes = ask.alloc_bytes;
	got.counting = ask.count;
	got.kernels_per_launch = ask.mode == GRAPH ? ask.nodes : 1;
	run();
	check();
	if (words) {
		if (ex_count_wrong(held, pattern, 1) ||
		    ex_count_wrong(held + (words - 1) * 4, pattern, 1))
			got.failure = "the memory held has changed";
		EX_TRY(cuMemFree(held));
	}
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal,
				    .sa_flags = (int)SA_RESETHAND };
	const struct ex_option options[] = {
		{ "mode", EX_TEXT, &ask.mode_name, 0, "MODE",
		  "plain, sync, streams or graph" },
		{ "kernel-us", EX_REAL, &ask.kernel_us, 0, "US",
		  "work of a kernel, in us alone" },
		{ "iterations", EX_COUNT, &ask.iterations, 1, "N",
		  "work of a kernel in steps; nothing is measured" },
		{ "iterations-per-us", EX_REAL, &ask.iterations_per_us, 0, "R",
		  "what --calibrate printed; not measured again" },
		{ "calibrate", EX_FLAG, &ask.calibrate, 0, NULL,
		  "print steps per us and end" },
		{ "seconds", EX_REAL, &ask.seconds, 0, "S", "stop after this time" },
		{ "launches", EX_COUNT, &ask.launches, 1, "N",
		  "stop after N launches instead" },
		{ "period-us", EX_REAL, &ask.period_us, 0, "US",
		  "sync: start one each US" },
		{ "streams", EX_COUNT, &ask.streams, 1, "K",
		  "streams in turn, for streams" },
		{ "nodes", EX_COUNT, &ask.nodes, 1, "N", "kernels in a row, for graph" },
		{ "grid", EX_COUNT, &ask.grid, 1, "N", "blocks" },
		{ "block", EX_COUNT, &ask.block, 1, "N", "threads in a block" },
		{ "alloc", EX_BYTES, &ask.alloc_bytes, 4, "SIZE",
		  "memory to hold meanwhile" },
		{ "count", EX_FLAG, &ask.count, 0, NULL,
		  "kernels count in device memory" },
		{ "steps", EX_COUNT, &ask.steps, 1, "N",
		  "counts in a kernel, for --count" },
		{ "interval", EX_REAL, &ask.interval_s, 0, "S",
		  "report progress each S seconds" },
		{ "wait", EX_FLAG, &ask.wait, 0, NULL,
		  "say 'ready', start when standard input ends" },
		{ "json", EX_FLAG, &ask.json, 0, NULL, "print one line of JSON" },
		{ 0 }
	};
	int device = ex_options(
		argc, argv,
		"Runs kernels of fixed work in a loop and prints what it "
		"achieved. SIGTERM or\nSIGINT ends the loop early and prints.",
		options);

	refuse_nonsense();
	ex_open(&gpu, device, EX_PRIMARY_CONTEXT);
	if (ask.calibrate) {
		printf("%.9g\n",
		       ex_calibrate(&gpu, (unsigned)ask.grid, (unsigned)ask.block));
		ex_close(&gpu);
		return EX_EXIT_OK;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	choose_work();
	prepare();
	run_and_check();
	ex_result_print(&got, ask.json);
	dispose();
	ex_close(&gpu);
	return got.failure ? EX_EXIT_FAILED : EX_EXIT_OK;
}
