/*
 * bench_zero_cost.c - what a call of the simulated driver costs in zero-cost mode, above a
 * call of a function that does nothing.
 *
 * It is the floor on which a shim's nanoseconds are measured: the smaller and steadier, the
 * less of a shim's cost it hides. Calls go through a pointer that the compiler cannot see
 * through, as they do through a procedure linkage table.
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common_bench.h"

enum { ROUNDS = 31, CALLS = 20000, THREADS_MAX = 8 };

static struct bench_gpu gpu;

/* As many arguments as a launch has. */
static __attribute__((noinline)) CUresult nothing(CUfunction f, unsigned a, unsigned b,
						  unsigned c, unsigned d, unsigned e,
						  unsigned g, unsigned h, CUstream stream,
						  void **parameters, void **extra)
{
	(void)f, (void)a, (void)b, (void)c, (void)d, (void)e, (void)g, (void)h;
	(void)stream, (void)parameters, (void)extra;
	__asm__ volatile("");
	return CUDA_SUCCESS;
}

typedef CUresult (*launch_function)(CUfunction, unsigned, unsigned, unsigned, unsigned,
				    unsigned, unsigned, unsigned, CUstream, void **,
				    void **);

static double launch_ns(launch_function launch)
{
	uint64_t steps = 1000, begin;
	CUdeviceptr sink = 0;
	void *parameters[] = { &steps, &sink };
	unsigned failed = 0;

	begin = bench_now_ns();
	for (int i = 0; i < CALLS; i++)
		failed += launch(gpu.work, 1, 1, 1, 32, 1, 1, 0, NULL, parameters,
				 NULL) != CUDA_SUCCESS;
	if (failed)
		exit(1);
	return (double)(bench_now_ns() - begin) / CALLS;
}

static __attribute__((noinline)) CUresult no_alloc(CUdeviceptr *p, size_t bytes)
{
	*p = bytes;
	__asm__ volatile("");
	return CUDA_SUCCESS;
}

static __attribute__((noinline)) CUresult no_free(CUdeviceptr p)
{
	__asm__ volatile("" : : "r"(p));
	return CUDA_SUCCESS;
}

typedef CUresult (*alloc_function)(CUdeviceptr *, size_t);
typedef CUresult (*free_function)(CUdeviceptr);

static double pair_ns(alloc_function alloc, free_function give_back)
{
	uint64_t begin = bench_now_ns();
	unsigned failed = 0;

	for (int i = 0; i < CALLS; i++) {
		CUdeviceptr p;

		failed += alloc(&p, 1 << 20) != CUDA_SUCCESS;
		failed += give_back(p) != CUDA_SUCCESS;
	}
	if (failed)
		exit(1);
	return (double)(bench_now_ns() - begin) / CALLS;
}

static volatile launch_function launch_calls[2] = { cuLaunchKernel, nothing };
static volatile alloc_function alloc_calls[2] = { cuMemAlloc, no_alloc };
static volatile free_function free_calls[2] = { cuMemFree, no_free };

enum what { LAUNCH, PAIR };

static double measure(enum what what, int bare)
{
	return what == LAUNCH ? launch_ns(launch_calls[bare])
			      : pair_ns(alloc_calls[bare], free_calls[bare]);
}

struct worker {
	enum what what;
	pthread_barrier_t *barrier;
	double figures[2][ROUNDS];
};

/* Figure and bare alternate, so that both see the same machine. */
static void *rounds(void *arg)
{
	struct worker *w = arg;

	BENCH_TRY(cuCtxSetCurrent(gpu.context));
	for (int i = 0; i < ROUNDS; i++)
		for (int bare = 0; bare < 2; bare++) {
			pthread_barrier_wait(w->barrier);
			w->figures[bare][i] = measure(w->what, bare);
		}
	return NULL;
}

/* The median over the rounds of the slowest thread. */
static void run(const char *id, const char *text, enum what what, unsigned threads)
{
	static struct worker workers[THREADS_MAX];
	pthread_t ids[THREADS_MAX];
	pthread_barrier_t barrier;
	double worst[2] = { 0, 0 };

	pthread_barrier_init(&barrier, NULL, threads);
	for (unsigned i = 0; i < threads; i++) {
		workers[i] = (struct worker){ .what = what, .barrier = &barrier };
		if (pthread_create(&ids[i], NULL, rounds, &workers[i]) != 0)
			exit(1);
	}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	for (unsigned i = 0; i < threads; i++)
		for (int bare = 0; bare < 2; bare++) {
			double median = bench_median(workers[i].figures[bare], ROUNDS);

			worst[bare] = median > worst[bare] ? median : worst[bare];
		}
	bench_row(id, text, "ns", worst[0], worst[1], threads == 1 ? 20 : NAN, true);
	pthread_barrier_destroy(&barrier);
}

int main(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned threads = cores < 2		 ? 2
			   : cores > THREADS_MAX ? THREADS_MAX
						 : (unsigned)cores;
	char launch[64], pair[64];

	setenv("SIMGPU_ZERO_COST", "1", 1);
	bench_gpu_open(&gpu);
	bench_begin(
		"zero_cost",
		"Zero-cost mode, against functions that do nothing (median of 31 rounds)");
	run("sim.zero.launch", "cuLaunchKernel", LAUNCH, 1);
	run("sim.zero.pair", "cuMemAlloc and cuMemFree", PAIR, 1);
	snprintf(launch, sizeof(launch), "cuLaunchKernel, %u threads", threads);
	snprintf(pair, sizeof(pair), "cuMemAlloc and cuMemFree, %u threads", threads);
	run("sim.zero.launch.mt", launch, LAUNCH, threads);
	run("sim.zero.pair.mt", pair, PAIR, threads);
	return bench_end();
}
