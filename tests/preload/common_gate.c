/* Kernels, loads and what the device says of them; see common_gate.h. */
#include "common_gate.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../../examples/kernels.h"
#include "common_publish.h"
#include "common_tenant.h"
#include "cunit_main.h"
#include "simgpu.h"

/* As the library's defaults are: credit saved up, and a process' work in flight. */
#define BURST_NS (20 * GATE_MS)
#define IN_FLIGHT_NS (16 * GATE_MS)

enum { WORDS_BYTES = 4096, THREADS = 8, NODES = 20, WINDOWS_MAX = 8 };

struct gate gate;

/* ---- in the body ---- */

void gate_load_code(void)
{
	check_result(cuCtxGetCurrent(&gate.context), CUDA_SUCCESS);
	check_result(cuModuleLoadData(&gate.module, ex_kernels_ptx), CUDA_SUCCESS);
	check_result(cuModuleGetFunction(&gate.work, gate.module, "gpushim_work"),
		     CUDA_SUCCESS);
	check_result(cuModuleGetFunction(&gate.fill, gate.module, "gpushim_fill_u32"),
		     CUDA_SUCCESS);
	check_result(cuModuleGetFunction(&gate.spin, gate.module, "gpushim_spin_word"),
		     CUDA_SUCCESS);
	gate.stream = gate_new_stream();
}

void gate_open(void)
{
	void *words = NULL;

	tenant_context();
	gate_load_code();
	if (!check_result(cuMemHostAlloc(&words, WORDS_BYTES, 0), CUDA_SUCCESS))
		_exit(1);
	memset(words, 0, WORDS_BYTES);
	gate.words = words;
	gate.words_at = (CUdeviceptr)(uintptr_t)words;
}

CUstream gate_new_stream(void)
{
	CUstream stream = NULL;

	check_result(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
	return stream;
}

/* 264 blocks of 1024 threads are all of the simulated device; an iteration is 1 ns. */
CUresult gate_work_as(uint64_t ns, unsigned shared_bytes, CUstream stream)
{
	CUdeviceptr sink = 0;
	void *parameters[] = { &ns, &sink };

	return cuLaunchKernel(gate.work, 264, 1, 1, 1024, 1, 1, shared_bytes, stream,
			      parameters, NULL);
}

CUresult gate_work(uint64_t ns, CUstream stream)
{
	return gate_work_as(ns, 0, stream);
}

CUresult gate_set(unsigned index, uint32_t value, CUstream stream)
{
	CUdeviceptr at = gate.words_at + index * sizeof(uint32_t);
	uint64_t count = 1;
	void *parameters[] = { &at, &value, &count };

	return cuLaunchKernel(gate.fill, 1, 1, 1, 32, 1, 1, 0, stream, parameters, NULL);
}

CUresult gate_spin(unsigned index, uint32_t value, CUstream stream)
{
	CUdeviceptr at = gate.words_at + index * sizeof(uint32_t);
	void *parameters[] = { &at, &value };

	return cuLaunchKernel(gate.spin, 1, 1, 1, 1, 1, 1, 0, stream, parameters, NULL);
}

void gate_owe(uint64_t ns)
{
	CUstream stream = gate_new_stream();

	check_result(gate_work_as(ns, 4096, stream), CUDA_SUCCESS);
	check_result(cuStreamSynchronize(stream), CUDA_SUCCESS);
}

void gate_deadline(unsigned seconds)
{
	alarm((unit_patience_ms(seconds * 1000) + 999) / 1000);
}

/* ---- loads ---- */

static bool goes_on(CUresult result)
{
	return check_result(result, CUDA_SUCCESS);
}

static void kernels(uint64_t ns)
{
	while (goes_on(gate_work_as(ns, GATE_LOAD_SHARED, gate.stream)))
		;
}

static void *in_a_thread(void *argument)
{
	CUstream stream;

	(void)argument;
	check_result(cuCtxSetCurrent(gate.context), CUDA_SUCCESS);
	stream = gate_new_stream();
	while (goes_on(gate_work(200 * GATE_US, stream)))
		;
	return NULL;
}

static void threads(void)
{
	pthread_t other;

	for (int i = 1; i < THREADS; i++)
		check(pthread_create(&other, NULL, in_a_thread, NULL) == 0);
	in_a_thread(NULL);
}

static void by_configuration(void)
{
	CUlaunchConfig config = { .gridDimX = 264,
				  .gridDimY = 1,
				  .gridDimZ = 1,
				  .blockDimX = 1024,
				  .blockDimY = 1,
				  .blockDimZ = 1,
				  .hStream = gate.stream };
	uint64_t ns = 200 * GATE_US;
	CUdeviceptr sink = 0;
	void *parameters[] = { &ns, &sink };

	while (goes_on(cuLaunchKernelEx(&config, gate.work, parameters, NULL)))
		;
}

static void graphs(void)
{
	uint64_t ns = 50 * GATE_US;
	CUdeviceptr sink = 0;
	void *parameters[] = { &ns, &sink };
	CUDA_KERNEL_NODE_PARAMS params = { .func = gate.work,
					   .gridDimX = 264,
					   .gridDimY = 1,
					   .gridDimZ = 1,
					   .blockDimX = 1024,
					   .blockDimY = 1,
					   .blockDimZ = 1,
					   .kernelParams = parameters };
	CUgraphNode before = NULL, node;
	CUgraphExec exec;
	CUgraph graph;

	check_result(cuGraphCreate(&graph, 0), CUDA_SUCCESS);
	for (int i = 0; i < NODES; i++, before = node)
		check_result(cuGraphAddKernelNode(&node, graph, &before, i > 0, &params),
			     CUDA_SUCCESS);
	check_result(cuGraphInstantiate(&exec, graph, 0), CUDA_SUCCESS);
	while (goes_on(cuGraphLaunch(exec, gate.stream)))
		;
}

/* A millisecond each, where the device moves 10^9 bytes a second. */
static void bytes(bool copies)
{
	size_t size = 1 << 20;
	CUdeviceptr from = 0, to = 0;

	check_result(cuMemAlloc(&from, size), CUDA_SUCCESS);
	check_result(cuMemAlloc(&to, size), CUDA_SUCCESS);
	while (goes_on(copies ? cuMemcpyDtoDAsync(to, from, size, gate.stream)
			      : cuMemsetD32Async(to, 1, size / 4, gate.stream)))
		;
}

void gate_load(void)
{
	const char *load = getenv("LOAD");
	char *end = NULL;
	uint64_t us = load ? strtoull(load, &end, 10) : 1000;

	if (!gate.context)
		gate_open();
	if (!load || (us > 0 && *end == '\0'))
		kernels(us * GATE_US);
	else if (strcmp(load, "threads") == 0)
		threads();
	else if (strcmp(load, "ex") == 0)
		by_configuration();
	else if (strcmp(load, "graph") == 0)
		graphs();
	else if (strcmp(load, "memset") == 0 || strcmp(load, "copy") == 0)
		bytes(load[0] == 'c');
	check(false);
}

/* ---- in the test ---- */

static void nap_ms(unsigned milliseconds)
{
	struct timespec time = { milliseconds / 1000,
				 (long)(milliseconds % 1000) * 1000000 };

	clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

/* At one instant: of device 0, when and how long it has been busy. */
static bool look(struct gate_use *use)
{
	const char *why = "";
	struct simgpu_monitor *monitor = simgpu_open(NULL, 0, &why);
	struct simgpu_truth *truth = monitor ? simgpu_truth(monitor) : NULL;

	if (truth)
		*use = (struct gate_use){ truth->now_ns, truth->devices[0].busy_ns };
	else
		printf("the device does not answer: %s\n", why);
	simgpu_free(truth);
	simgpu_close(monitor);
	return truth != NULL;
}

struct gate_use gate_watch(unsigned milliseconds)
{
	struct gate_use before = { 0, 0 }, after = { 0, 0 };

	if (look(&before)) {
		nap_ms(milliseconds);
		if (!look(&after))
			after = before;
	}
	return (struct gate_use){ after.wall_ns - before.wall_ns,
				  after.busy_ns - before.busy_ns };
}

bool gate_was_busy(uint64_t ns)
{
	struct gate_use use = { 0, 0 };

	for (int i = 0; i < 2000; i++) {
		if (!look(&use))
			return false;
		if (use.busy_ns >= ns)
			return true;
		nap_ms(5);
	}
	printf("the device was busy for %llu ns, not %llu\n",
	       (unsigned long long)use.busy_ns, (unsigned long long)ns);
	return false;
}

static bool is_at_most(const struct gate_use *use, unsigned limit_permille,
		       uint64_t slack_ns)
{
	uint64_t most_ns = use->wall_ns / 1000 * limit_permille + BURST_NS +
			   IN_FLIGHT_NS + slack_ns;

	if (use->busy_ns <= most_ns)
		return true;
	printf("busy for %.1f ms of %.1f ms, more than %.1f\n",
	       (double)use->busy_ns / 1e6, (double)use->wall_ns / 1e6,
	       (double)most_ns / 1e6);
	return false;
}

bool gate_stays_below(unsigned limit_permille, uint64_t slack_ns, unsigned milliseconds)
{
	struct gate_use use = gate_watch(milliseconds);

	return use.wall_ns > 0 && is_at_most(&use, limit_permille, slack_ns);
}

bool gate_holds(unsigned limit_permille, uint64_t launch_ns, unsigned milliseconds)
{
	int punctual = 0;

	for (int i = 0; i < WINDOWS_MAX && punctual < 3; i++) {
		struct gate_use use = gate_watch(milliseconds);
		uint64_t share_ns = use.wall_ns / 1000 * limit_permille;

		if (use.wall_ns == 0 || !is_at_most(&use, limit_permille, launch_ns))
			return false;
		if (use.busy_ns + launch_ns >= share_ns / 5 * 4)
			return true;
		punctual += use.wall_ns < milliseconds * GATE_MS / 20 * 21;
		printf("busy for %.1f ms of %.1f ms, less than four fifths of %.1f\n",
		       (double)use.busy_ns / 1e6, (double)use.wall_ns / 1e6,
		       (double)share_ns / 1e6);
	}
	if (punctual < 3)
		printf("the machine is too busy to judge that\n");
	return punctual < 3;
}

uint64_t gate_counted(size_t offset)
{
	const struct gpushim_snapshot *snapshot = tenant_snapshot(tenant_dir(),
								  "default");
	uint64_t value = 0;

	if (snapshot)
		memcpy(&value, (const char *)&snapshot->time + offset, sizeof(value));
	return value;
}

bool gate_counts(size_t offset, uint64_t at_least)
{
	uint64_t value = 0;

	for (int i = 0; i < 1000; i++) {
		value = gate_counted(offset);
		if (value >= at_least && value != GPUSHIM_UNKNOWN)
			return true;
		nap_ms(5);
	}
	printf("the ledger counts %llu, not %llu\n", (unsigned long long)value,
	       (unsigned long long)at_least);
	return false;
}

struct gpushim_ledger_bucket *gate_bucket(void)
{
	char path[PATH_MAX];
	char *map;
	int fd;

	snprintf(path, sizeof(path), "%s/ledger/default/ledger", tenant_dir());
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	map = mmap(NULL, GPUSHIM_LEDGER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return map == MAP_FAILED
		       ? NULL
		       : (struct gpushim_ledger_bucket *)(map +
							  GPUSHIM_LEDGER_BUCKETS_OFFSET);
}
