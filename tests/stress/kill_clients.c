/*
 * kill_clients.c - clients that are killed at any instruction leave nothing behind.
 *
 * Knows: device truth, and what a client can be doing: allocating by every path, launching,
 * capturing, copying, holding children. Judges the device alone: that no byte, no operation
 * and no nanosecond stays, and that neighbours and newcomers are served.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common_stress.h"
#include "cunit_main.h"

enum { KILLS = 500, AT_ONCE = 6, PAUSE_US = 20000 };

/* ---- a client that does everything ---- */

enum { HELD = 24, STREAMS = 4 };
enum path { FREE, PLAIN, PITCH, MANAGED, HOST, ARRAY, VMM, POOL, PATHS };

struct held {
	enum path path;
	CUdeviceptr address;
	void *host;
	CUarray array;
	size_t bytes;
};

struct busy {
	struct stress_gpu gpu;
	struct stress_random random;
	CUstream streams[STREAMS];
	struct held held[HELD];
	size_t granularity;
};

/* Results do not matter here: another thread may be anywhere, and death comes soon. */
static void give_back(struct held *h, CUstream stream)
{
	CUmemGenericAllocationHandle handle;

	switch (h->path) {
	case PLAIN:
	case PITCH:
	case MANAGED:
		cuMemFree(h->address);
		break;
	case HOST:
		cuMemFreeHost(h->host);
		break;
	case ARRAY:
		cuArrayDestroy(h->array);
		break;
	case VMM:
		if (cuMemRetainAllocationHandle(&handle, (void *)(uintptr_t)h->address) ==
		    CUDA_SUCCESS)
			cuMemRelease(handle);
		cuMemUnmap(h->address, h->bytes);
		cuMemAddressFree(h->address, h->bytes);
		break;
	case POOL:
		cuMemFreeAsync(h->address, stream);
		break;
	default:
		break;
	}
	h->path = FREE;
}

static CUresult take_vmm(struct held *h, size_t granularity)
{
	const CUmemAllocationProp prop = {
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0 }
	};
	const CUmemAccessDesc access = { .location = prop.location,
					 .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	CUmemGenericAllocationHandle handle;
	CUresult res;

	h->bytes = granularity * 2;
	res = cuMemAddressReserve(&h->address, h->bytes, 0, 0, 0);
	if (res == CUDA_SUCCESS)
		res = cuMemCreate(&handle, h->bytes, &prop, 0);
	if (res == CUDA_SUCCESS)
		res = cuMemMap(h->address, h->bytes, 0, handle, 0);
	if (res == CUDA_SUCCESS)
		res = cuMemRelease(handle);
	if (res == CUDA_SUCCESS)
		res = cuMemSetAccess(h->address, h->bytes, &access, 1);
	return res;
}

static void take(struct busy *b, struct held *h, enum path path, CUstream stream)
{
	const CUDA_ARRAY_DESCRIPTOR shape = { .Width = 300,
					      .Height = 200,
					      .Format = CU_AD_FORMAT_FLOAT,
					      .NumChannels = 2 };
	CUresult res = CUDA_ERROR_NOT_SUPPORTED;
	size_t pitch;

	h->bytes = 1 + stress_below(&b->random, 3 << 20);
	switch (path) {
	case PLAIN:
		res = cuMemAlloc(&h->address, h->bytes);
		break;
	case PITCH:
		res = cuMemAllocPitch(&h->address, &pitch, 1000, 1 + h->bytes / 1000, 4);
		break;
	case MANAGED:
		res = cuMemAllocManaged(&h->address, h->bytes, CU_MEM_ATTACH_GLOBAL);
		break;
	case HOST:
		res = cuMemHostAlloc(&h->host, h->bytes, 0);
		break;
	case ARRAY:
		res = cuArrayCreate(&h->array, &shape);
		break;
	case VMM:
		res = take_vmm(h, b->granularity);
		break;
	case POOL:
		res = cuMemAllocAsync(&h->address, h->bytes, stream);
		break;
	default:
		break;
	}
	if (res == CUDA_SUCCESS)
		h->path = path;
}

static void compute(struct busy *b, CUstream stream)
{
	uint64_t steps = 1000 + stress_below(&b->random, 300000);
	CUdeviceptr sink = 0;
	void *parameters[] = { &steps, &sink };

	stress_launch(b->gpu.work, stream, 1 + (unsigned)stress_below(&b->random, 600),
		      parameters);
}

static void copy(struct busy *b, const struct held *h, CUstream stream)
{
	static char host[64 << 10];
	size_t bytes = h->bytes < sizeof(host) ? h->bytes : sizeof(host);

	if (h->path != PLAIN && h->path != POOL)
		return;
	if (stress_below(&b->random, 2))
		cuMemcpyHtoDAsync(h->address, host, bytes, stream);
	else
		cuMemcpyDtoHAsync(host, h->address, bytes, stream);
	cuMemsetD8Async(h->address, 7, bytes, stream);
}

/* A capture with memory of its own, launched, and sometimes dropped half done. */
static void capture(struct busy *b, CUstream stream)
{
	CUgraph graph = NULL;
	CUgraphExec exec = NULL;
	CUdeviceptr inside;

	if (cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED) != CUDA_SUCCESS)
		return;
	compute(b, stream);
	if (stress_below(&b->random, 2) &&
	    cuMemAllocAsync(&inside, 1 << 20, stream) == CUDA_SUCCESS) {
		cuMemsetD32Async(inside, 1, 1000, stream);
		cuMemFreeAsync(inside, stream);
	}
	compute(b, stream);
	if (cuStreamEndCapture(stream, &graph) == CUDA_SUCCESS && graph &&
	    cuGraphInstantiate(&exec, graph, 0) == CUDA_SUCCESS) {
		cuGraphLaunch(exec, stream);
		if (stress_below(&b->random, 2))
			cuGraphLaunch(exec, stream);
		cuGraphExecDestroy(exec);
	}
	if (graph)
		cuGraphDestroy(graph);
}

static void step(struct busy *b)
{
	CUstream stream = b->streams[stress_below(&b->random, STREAMS)];
	struct held *h = &b->held[stress_below(&b->random, HELD)];

	switch (stress_below(&b->random, 8)) {
	case 0:
	case 1:
	case 2:
		if (h->path == FREE)
			take(b, h, 1 + (enum path)stress_below(&b->random, PATHS - 1),
			     stream);
		else
			give_back(h, stream);
		break;
	case 3:
	case 4:
		compute(b, stream);
		break;
	case 5:
		copy(b, h, stream);
		break;
	case 6:
		capture(b, stream);
		break;
	default:
		if (stress_below(&b->random, 4) == 0)
			cuStreamSynchronize(stream);
		break;
	}
}

static void *second_thread(void *arg)
{
	struct busy *b = arg;

	cuCtxSetCurrent(b->gpu.context);
	for (;;)
		step(b);
	return NULL;
}

struct order {
	uint64_t seed;
	int release[2]; /* a pipe: a forked child waits until nobody can write to it */
	bool forks;
};

/* A child that keeps this client's descriptors until it is released. */
static void fork_keeper(int release)
{
	char byte;

	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, 0);
		while (read(release, &byte, 1) < 0 && errno == EINTR)
			;
		_exit(0);
	}
}

static int busy_client(void *arg)
{
	const struct order *order = arg;
	static struct busy first, second;
	CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
				     .location = {
					     .type = CU_MEM_LOCATION_TYPE_DEVICE } };
	pthread_t thread;
	uint64_t fork_at;

	close(order->release[1]);
	first.random.state = order->seed;
	fork_at = stress_below(&first.random, 100);
	if (stress_gpu_open(&first.gpu) ||
	    cuMemGetAllocationGranularity(&first.granularity, &prop,
					  CU_MEM_ALLOC_GRANULARITY_MINIMUM))
		return 1;
	for (int i = 0; i < STREAMS; i++)
		if (cuStreamCreate(&first.streams[i], i % 2) != CUDA_SUCCESS)
			return 1;
	second = first;
	second.random.state = ~order->seed;
	for (int i = 0; i < STREAMS; i++)
		if (cuStreamCreate(&second.streams[i], 0) != CUDA_SUCCESS)
			return 1;
	if (stress_below(&first.random, 2) &&
	    pthread_create(&thread, NULL, second_thread, &second) != 0)
		return 1;
	for (uint64_t n = 0;; n++) {
		if (order->forks && n == fork_at)
			fork_keeper(order->release[0]);
		step(&first);
	}
}

/* ---- what the tests judge by ---- */

static struct simgpu_monitor *monitor;

static void open_monitor(void)
{
	monitor = stress_monitor();
}

static void close_monitor(void)
{
	simgpu_close(monitor);
}

static int fresh_client(void *arg)
{
	struct stress_gpu gpu;

	(void)arg;
	return stress_gpu_open(&gpu) || !stress_gpu_works(&gpu, 5) ||
	       cuCtxDestroy(gpu.context) != CUDA_SUCCESS;
}

/* ---- tests ---- */

/* Ends one after another at random until `kills` have died, and starts new ones. */
static void start_and_kill(unsigned kills, struct stress_random *random)
{
	pid_t running[AT_ONCE] = { 0 };
	struct order order;
	unsigned started = 0, ended = 0, odd = 0;

	CU_ASSERT_EQUAL_FATAL(pipe(order.release), 0);
	while (ended < kills) {
		unsigned i;

		for (i = 0; i < AT_ONCE && started < kills; i++) {
			if (running[i] != 0)
				continue;
			order.seed = stress_random(random);
			order.forks = stress_below(random, 5) == 0;
			running[i] = stress_child(busy_client, &order);
			started++;
		}
		stress_pause_us((unsigned)stress_below(random, PAUSE_US));
		do
			i = (unsigned)stress_below(random, AT_ONCE);
		while (running[i] == 0);
		kill(running[i], SIGKILL);
		odd += stress_wait(running[i]) != 128 + SIGKILL;
		running[i] = 0;
		ended++;
		/* The keepers of the last fifty go, while others work. */
		if (ended % 50 == 0) {
			close(order.release[0]);
			close(order.release[1]);
			CU_ASSERT_EQUAL_FATAL(pipe(order.release), 0);
		}
	}
	close(order.release[0]);
	close(order.release[1]);
	/* Each was alive when its signal came. */
	CU_ASSERT_EQUAL(odd, 0);
}

static void five_hundred_killed_clients_leave_nothing(void)
{
	struct stress_neighbour neighbour = stress_neighbour_start();
	struct stress_random random = { .state = 20240607 };
	uint64_t rounds = *neighbour.rounds, kernels = 0, graphs = 0, allocs = 0,
		 copies = 0;
	struct simgpu_truth *truth;

	start_and_kill(KILLS, &random);
	CU_ASSERT_TRUE(stress_await_clients(monitor, 1));
	CU_ASSERT_TRUE(stress_neighbour_end(&neighbour, rounds));
	CU_ASSERT_TRUE(stress_await_clients(monitor, 0));
	CU_ASSERT_TRUE(stress_nothing_left(monitor, 0, 0, 0));
	truth = stress_truth(monitor);
	for (uint32_t i = 0; i < truth->nclients; i++) {
		kernels += truth->clients[i].kernels;
		graphs += truth->clients[i].graph_launches;
		allocs += truth->clients[i].allocs;
		copies += truth->clients[i].copies;
	}
	printf("      %d killed: %llu kernels, %llu graphs, %llu copies, %llu allocations, "
	       "%llu late\n",
	       KILLS, (unsigned long long)kernels, (unsigned long long)graphs,
	       (unsigned long long)copies, (unsigned long long)allocs,
	       (unsigned long long)truth->devices[0].late);
	/* They did something. */
	CU_ASSERT_TRUE(kernels > KILLS && allocs > KILLS && graphs > KILLS / 10);
	simgpu_free(truth);
	CU_ASSERT_EQUAL(stress_wait(stress_child(fresh_client, NULL)), 0);
	CU_ASSERT_TRUE(stress_await_clients(monitor, 0));
	CU_ASSERT_TRUE(stress_nothing_left(monitor, 0, 0, 0));
}

struct keeper {
	int ready, release[2];
};

static int client_with_keeper(void *arg)
{
	const struct keeper *keeper = arg;
	struct stress_gpu gpu;
	CUdeviceptr memory;

	close(keeper->release[1]);
	if (stress_gpu_open(&gpu) || cuMemAlloc(&memory, 64 << 20) != CUDA_SUCCESS)
		return 1;
	fork_keeper(keeper->release[0]);
	if (write(keeper->ready, "r", 1) != 1)
		return 1;
	for (;;)
		pause();
}

/* The control of the test above: here something is left, and it must be seen. */
static void a_forked_child_keeps_the_memory_of_a_killed_client(void)
{
	struct keeper keeper;
	struct simgpu_truth *truth;
	int ready[2];
	char byte;
	pid_t pid;

	CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
	CU_ASSERT_EQUAL_FATAL(pipe(keeper.release), 0);
	keeper.ready = ready[1];
	pid = stress_child(client_with_keeper, &keeper);
	CU_ASSERT_EQUAL_FATAL(read(ready[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	CU_ASSERT_EQUAL(stress_wait(pid), 128 + SIGKILL);
	/* The device has had every opportunity to notice once it has served another. */
	CU_ASSERT_EQUAL(stress_wait(stress_child(fresh_client, NULL)), 0);
	printf("      what follows is what the judge must find:\n");
	CU_ASSERT_FALSE(stress_nothing_left(monitor, 0, 0, 0));
	truth = stress_truth(monitor);
	CU_ASSERT_TRUE(truth->devices[0].requested_bytes >= 64 << 20);
	CU_ASSERT_FALSE(simgpu_find(truth, pid)->gone);
	simgpu_free(truth);
	close(keeper.release[1]);
	CU_ASSERT_TRUE(stress_await_clients(monitor, 0));
	CU_ASSERT_TRUE(stress_nothing_left(monitor, 0, 0, 0));
	close(keeper.release[0]);
	close(ready[0]);
	close(ready[1]);
}

static int spinning_client(void *arg)
{
	struct stress_gpu gpu;
	CUdeviceptr word;
	uint32_t value = 1;
	void *parameters[] = { &word, &value };

	if (stress_gpu_open(&gpu) || cuMemAlloc(&word, 4) != CUDA_SUCCESS ||
	    cuMemsetD32(word, 0, 1) != CUDA_SUCCESS ||
	    stress_launch(gpu.spin_word, NULL, 1, parameters) != CUDA_SUCCESS ||
	    write(*(int *)arg, "r", 1) != 1)
		return 1;
	for (;;)
		pause();
}

static void a_killed_client_gives_up_the_device_at_once(void)
{
	struct simgpu_truth *before, *after;
	int ready[2];
	char byte;
	pid_t pid;

	CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
	pid = stress_child(spinning_client, &ready[1]);
	CU_ASSERT_EQUAL_FATAL(read(ready[0], &byte, 1), 1);
	/* The device switches to it first. */
	before = stress_truth(monitor);
	while (before->devices[0].state != 2 &&
	       before->now_ns < simgpu_find(before, pid)->connected_ns + 5000000000u) {
		simgpu_free(before);
		before = stress_truth(monitor);
	}
	CU_ASSERT_EQUAL(before->devices[0].state, 2);
	kill(pid, SIGKILL);
	CU_ASSERT_EQUAL(stress_wait(pid), 128 + SIGKILL);
	CU_ASSERT_TRUE(stress_await_clients(monitor, 0));
	after = stress_truth(monitor);
	CU_ASSERT_EQUAL(after->devices[0].state, 0);
	/* It had the device until it was seen to go, and not a nanosecond longer. */
	CU_ASSERT_TRUE(simgpu_find(after, pid)->gone_ns -
			       simgpu_find(after, pid)->connected_ns >
		       simgpu_find(after, pid)->gpu_ns[0]);
	CU_ASSERT_TRUE(stress_nothing_left(monitor, 0, 0, 0));
	simgpu_free(before);
	simgpu_free(after);
	close(ready[0]);
	close(ready[1]);
}

const struct unit_suite unit_suite = {
	.name = "killed clients",
	.setup = open_monitor,
	.teardown = close_monitor,
	.tests = {
		UNIT_TEST(five_hundred_killed_clients_leave_nothing),
		UNIT_TEST(a_forked_child_keeps_the_memory_of_a_killed_client),
		UNIT_TEST(a_killed_client_gives_up_the_device_at_once),
	},
};
