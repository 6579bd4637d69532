/* Loads of a known shape; see common_load.h. */
#include "common_load.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cuda.h>

#include "../../examples/kernels.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)

enum { STREAMS = 4, NODES = 200, BURST_LAUNCHES = 50 };
#define BURST_PERIOD_NS (50 * MS)

const struct load_facts load_facts[LOAD_KINDS] = {
	[LOAD_20US] = { "20us", "20 us kernels", 20 * US, 1000 },
	[LOAD_1MS] = { "1ms", "1 ms kernels", MS, 1000 },
	[LOAD_50MS] = { "50ms", "50 ms kernels", 50 * MS, 1000 },
	[LOAD_300MS] = { "300ms", "300 ms kernels", 300 * MS, 1000 },
	[LOAD_VARIABLE] = { "variable", "one signature, 10 us to 10 ms", 10 * MS, 1000 },
	[LOAD_GRAPH] = { "graph", "a graph of 200 kernels of 10 us", 2 * MS, 1000 },
	[LOAD_STREAMS] = { "streams", "4 streams, a quarter of the SMs each, 500 us",
			   500 * US, 1000 },
	[LOAD_MIXED] = { "mixed", "20 us, 100 us, 1 ms and 5 ms, mixed", 5 * MS, 1000 },
	[LOAD_SYNC] = { "sync", "200 us kernels, each waited for", 200 * US, 1000 },
	[LOAD_BURSTY] = { "bursty", "50 kernels of 100 us every 50 ms", 5 * MS, 100 },
};

/* Kernels of the mixed kind; each has a signature of its own, by its shared memory. */
static const struct size {
	uint64_t kernel_ns;
	unsigned shared_bytes, below; /* of 1000 draws */
} sizes[] = {
	{ 20 * US, 0, 800 },
	{ 100 * US, 256, 960 },
	{ MS, 512, 992 },
	{ 5 * MS, 1024, 1000 },
};

static struct {
	CUfunction work;
	CUstream streams[STREAMS];
	CUgraphExec graph;
	uint64_t random;
} load = { .random = UINT64_C(0x9e3779b97f4a7c15) };

#define TRY(call) try_call((call), #call)

static void try_call(CUresult result, const char *call)
{
	if (result == CUDA_SUCCESS)
		return;
	fprintf(stderr, "The load ends: %s answered %d.\n", call, (int)result);
	_Exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* In [0, 1): xorshift, the same in every run. */
static double draw(void)
{
	load.random ^= load.random << 13;
	load.random ^= load.random >> 7;
	load.random ^= load.random << 17;
	return (double)(load.random >> 11) / (double)(UINT64_C(1) << 53);
}

/* 66 blocks of 1024 threads are a quarter of the simulated device, 264 are all of it. */
static void launch(uint64_t kernel_ns, unsigned blocks, unsigned shared_bytes,
		   CUstream stream)
{
	CUdeviceptr sink = 0;
	void *parameters[] = { &kernel_ns, &sink };

	TRY(cuLaunchKernel(load.work, blocks, 1, 1, 1024, 1, 1, shared_bytes, stream,
			   parameters, NULL));
}

static void launch_full(uint64_t kernel_ns)
{
	launch(kernel_ns, 264, 0, load.streams[0]);
}

static void launch_mixed(void)
{
	const struct size *size = sizes;
	double at = draw() * 1000;

	while (at >= size->below)
		size++;
	launch(size->kernel_ns, 264, size->shared_bytes, load.streams[0]);
}

static void burst(void)
{
	uint64_t next_ns;
	struct timespec next;

	for (int i = 0; i < BURST_LAUNCHES; i++)
		launch_full(100 * US);
	TRY(cuStreamSynchronize(load.streams[0]));
	next_ns = (now_ns() / BURST_PERIOD_NS + 1) * BURST_PERIOD_NS;
	next = (struct timespec){ (time_t)(next_ns / 1000000000u),
				  (long)(next_ns % 1000000000u) };
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
}

static void once(enum load_kind kind)
{
	static unsigned turn;

	switch (kind) {
	case LOAD_VARIABLE:
		/* Log-uniform. */
		launch_full((uint64_t)((double)(10 * US) * exp(draw() * log(1000))));
		break;
	case LOAD_GRAPH:
		TRY(cuGraphLaunch(load.graph, load.streams[0]));
		break;
	case LOAD_STREAMS:
		launch(500 * US, 66, 0, load.streams[turn++ % STREAMS]);
		break;
	case LOAD_MIXED:
		launch_mixed();
		break;
	case LOAD_SYNC:
		launch_full(200 * US);
		TRY(cuStreamSynchronize(load.streams[0]));
		break;
	case LOAD_BURSTY:
		burst();
		break;
	default:
		launch_full(load_facts[kind].quantum_ns);
	}
}

static void build_graph(void)
{
	uint64_t kernel_ns = 10 * US;
	CUdeviceptr sink = 0;
	void *parameters[] = { &kernel_ns, &sink };
	CUDA_KERNEL_NODE_PARAMS params = { .func = load.work,
					   .gridDimX = 264,
					   .gridDimY = 1,
					   .gridDimZ = 1,
					   .blockDimX = 1024,
					   .blockDimY = 1,
					   .blockDimZ = 1,
					   .kernelParams = parameters };
	CUgraphNode before = NULL, node;
	CUgraph graph;

	TRY(cuGraphCreate(&graph, 0));
	for (int i = 0; i < NODES; i++, before = node)
		TRY(cuGraphAddKernelNode(&node, graph, &before, i > 0 ? 1 : 0, &params));
	TRY(cuGraphInstantiate(&load.graph, graph, 0));
	TRY(cuGraphDestroy(graph));
}

enum load_kind load_find(const char *name)
{
	int kind = 0;

	while (kind < LOAD_KINDS && strcmp(load_facts[kind].name, name) != 0)
		kind++;
	return (enum load_kind)kind;
}

void load_prepare(enum load_kind kind)
{
	CUcontext context;
	CUmodule module;
	CUdevice device;

	TRY(cuInit(0));
	TRY(cuDeviceGet(&device, 0));
	TRY(cuDevicePrimaryCtxRetain(&context, device));
	TRY(cuCtxSetCurrent(context));
	TRY(cuModuleLoadData(&module, ex_kernels_ptx));
	TRY(cuModuleGetFunction(&load.work, module, "gpushim_work"));
	for (int i = 0; i < STREAMS; i++)
		TRY(cuStreamCreate(&load.streams[i], CU_STREAM_NON_BLOCKING));
	if (kind == LOAD_GRAPH)
		build_graph();
	/* The first launch loads the code. */
	launch(US, 1, 0, load.streams[0]);
	TRY(cuStreamSynchronize(load.streams[0]));
}

void load_run(enum load_kind kind, uint64_t stop_ns)
{
	while (now_ns() < stop_ns)
		once(kind);
}
