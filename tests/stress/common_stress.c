/* Shared by the stress tests; see common_stress.h. */
#include "common_stress.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../examples/kernels.h"
#include "cunit_main.h"

/* ---- random numbers ---- */

uint64_t stress_random(struct stress_random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint64_t stress_below(struct stress_random *random, uint64_t n)
{
	return stress_random(random) % n;
}

/* ---- the device ---- */

struct simgpu_monitor *stress_monitor(void)
{
	const char *why = "";
	struct simgpu_monitor *monitor = simgpu_open(NULL, 1, &why);

	if (!monitor)
		printf("      %s\n", why);
	CU_ASSERT_PTR_NOT_NULL_FATAL(monitor);
	return monitor;
}

struct simgpu_truth *stress_truth(struct simgpu_monitor *monitor)
{
	struct simgpu_truth *truth = simgpu_truth(monitor);

	CU_ASSERT_PTR_NOT_NULL_FATAL(truth);
	return truth;
}

unsigned stress_clients(const struct simgpu_truth *truth)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < truth->nclients; i++)
		n += !truth->clients[i].gone;
	return n;
}

static bool equal(const char *what, uint64_t value, uint64_t expected)
{
	if (value != expected)
		printf("      %s is %" PRIu64 ", expected %" PRIu64 "\n", what, value,
		       expected);
	return value == expected;
}

/* What a client holds, all of which must be zero once it has gone. */
static bool holds_nothing(const struct simgpu_client *client)
{
	const struct simgpu_bytes *m = &client->memory[0];

	return equal("a gone client's memory",
		     m->requested + m->used + m->plain + m->array + m->managed + m->vmm +
			     m->pool + m->graph + m->context + m->code + m->host +
			     m->allocations,
		     0);
}

bool stress_nothing_left(struct simgpu_monitor *monitor, uint64_t used_bytes,
			 uint64_t requested_bytes, unsigned contexts)
{
	struct simgpu_truth *truth = stress_truth(monitor);
	const struct simgpu_device *device = &truth->devices[0];
	uint64_t gpu_ns = 0, live = 0, used = 0, requested = 0;
	bool clean = true;

	clean &= equal("used_bytes", device->used_bytes, used_bytes);
	clean &= equal("requested_bytes", device->requested_bytes, requested_bytes);
	clean &= equal("contexts", device->contexts, contexts);
	clean &= equal("idle + switch + busy",
		       device->idle_ns + device->switch_ns + device->busy_ns,
		       truth->now_ns - device->since_ns);
	for (uint32_t i = 0; i < truth->ncontexts; i++) {
		live += !truth->contexts[i].gone;
		if (truth->contexts[i].gone)
			clean &= equal("work pending in a gone context",
				       truth->contexts[i].pending, 0);
	}
	clean &= equal("context rows", live, contexts);
	for (uint32_t i = 0; i < truth->nclients; i++) {
		gpu_ns += truth->clients[i].gpu_ns[0];
		used += truth->clients[i].memory[0].used;
		requested += truth->clients[i].memory[0].requested;
		if (truth->clients[i].gone)
			clean &= holds_nothing(&truth->clients[i]);
	}
	clean &= equal("memory used by all clients", used, device->used_bytes);
	clean &= equal("memory asked for by all", requested, device->requested_bytes);
	clean &= equal("device time of all clients", gpu_ns, device->busy_ns);
	simgpu_free(truth);
	return clean;
}

bool stress_await_clients(struct simgpu_monitor *monitor, unsigned n)
{
	for (unsigned tries = unit_patience_ms(10000); tries > 0; tries--) {
		struct simgpu_truth *truth = stress_truth(monitor);
		unsigned left = stress_clients(truth);

		simgpu_free(truth);
		if (left <= n)
			return true;
		stress_pause_us(1000);
	}
	printf("      clients that have ended are still connected\n");
	return false;
}

/* ---- children ---- */

pid_t stress_child(int (*body)(void *arg), void *arg)
{
	pid_t parent = getpid(), pid;

	fflush(stdout);
	pid = fork();
	CU_ASSERT_TRUE_FATAL(pid >= 0);
	if (pid == 0) {
		int res;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(99);
		res = body(arg);
		fflush(stdout);
		_exit(res);
	}
	return pid;
}

int stress_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void stress_pause_us(unsigned us)
{
	struct timespec t = { us / 1000000, (long)(us % 1000000) * 1000 };

	nanosleep(&t, NULL);
}

/* ---- in children ---- */

const char *const stress_kernels = ex_kernels_ptx;

static bool failed(CUresult res, const char *what)
{
	if (res != CUDA_SUCCESS)
		fprintf(stderr, "%s failed with error %d in process %d\n", what, (int)res,
			(int)getpid());
	return res != CUDA_SUCCESS;
}

int stress_gpu_open(struct stress_gpu *gpu)
{
	static const char *const names[] = { "gpushim_fill_u32", "gpushim_saxpy_f32",
					     "gpushim_reduce_u32", "gpushim_work",
					     "gpushim_spin_word" };
	CUfunction *const functions[] = { &gpu->fill, &gpu->saxpy, &gpu->reduce,
					  &gpu->work, &gpu->spin_word };
	CUdevice device;

	if (failed(cuInit(0), "cuInit") ||
	    failed(cuDeviceGet(&device, 0), "cuDeviceGet") ||
	    failed(cuCtxCreate(&gpu->context, NULL, 0, device), "cuCtxCreate") ||
	    failed(cuModuleLoadData(&gpu->module, ex_kernels_ptx), "cuModuleLoadData"))
		return 1;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (failed(cuModuleGetFunction(functions[i], gpu->module, names[i]),
			   names[i]))
			return 1;
	return 0;
}

CUresult stress_launch(CUfunction kernel, CUstream stream, unsigned grid,
		       void **parameters)
{
	return cuLaunchKernel(kernel, grid, 1, 1, 128, 1, 1, 0, stream, parameters, NULL);
}

bool stress_gpu_works(const struct stress_gpu *gpu, uint32_t seed)
{
	enum { N = 4096 };
	static float numbers[N];
	uint32_t ones;
	float factor = 2.0f, first = (float)(seed % 1000), one = 1.0f;
	uint64_t n = N, sum = 0;
	CUdeviceptr x, y, total;
	void *fill_x[] = { &x, &ones, &n }, *saxpy[] = { &x, &y, &factor, &n };
	void *reduce[] = { &x, &total, &n };
	bool right = true;

	memcpy(&ones, &one, sizeof(ones));
	for (unsigned i = 0; i < N; i++)
		numbers[i] = first + (float)i;
	if (failed(cuMemAlloc(&x, sizeof(numbers)), "cuMemAlloc") ||
	    failed(cuMemAlloc(&y, sizeof(numbers)), "cuMemAlloc") ||
	    failed(cuMemAlloc(&total, 8), "cuMemAlloc") ||
	    failed(cuMemcpyHtoD(y, numbers, sizeof(numbers)), "cuMemcpyHtoD") ||
	    failed(cuMemsetD8(total, 0, 8), "cuMemsetD8") ||
	    failed(stress_launch(gpu->fill, NULL, 4, fill_x), "fill") ||
	    failed(stress_launch(gpu->saxpy, NULL, 4, saxpy), "saxpy") ||
	    failed(stress_launch(gpu->reduce, NULL, 4, reduce), "reduce") ||
	    failed(cuMemcpyDtoH(numbers, y, sizeof(numbers)), "cuMemcpyDtoH") ||
	    failed(cuMemcpyDtoH(&sum, total, 8), "cuMemcpyDtoH") ||
	    failed(cuMemFree(x), "cuMemFree") || failed(cuMemFree(y), "cuMemFree") ||
	    failed(cuMemFree(total), "cuMemFree"))
		return false;
	for (unsigned i = 0; i < N; i++)
		right &= numbers[i] == first + (float)i + factor;
	right &= sum == (uint64_t)ones * N;
	if (!right)
		fprintf(stderr, "process %d computed something wrong\n", (int)getpid());
	return right;
}

/* ---- the neighbour ---- */

struct neighbour_arg {
	int hold, ready;
	volatile uint64_t *rounds;
};

static int neighbour(void *arg)
{
	struct neighbour_arg *n = arg;
	struct pollfd hold = { .fd = n->hold };
	struct stress_gpu gpu;

	if (stress_gpu_open(&gpu) || !stress_gpu_works(&gpu, 0) ||
	    write(n->ready, "r", 1) != 1)
		return 1;
	while (poll(&hold, 1, 1) == 0) {
		if (!stress_gpu_works(&gpu, (uint32_t)*n->rounds))
			return 1;
		++*n->rounds;
	}
	return 0;
}

struct stress_neighbour stress_neighbour_start(void)
{
	struct stress_neighbour started;
	struct neighbour_arg arg;
	int hold[2], ready[2];
	char byte;

	CU_ASSERT_EQUAL_FATAL(pipe(hold), 0);
	CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
	started.rounds = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(started.rounds, MAP_FAILED);
	arg = (struct neighbour_arg){ hold[0], ready[1], started.rounds };
	/* Other children must not keep the write end: they are told to close it. */
	started.hold = hold[1];
	started.pid = fork();
	CU_ASSERT_TRUE_FATAL(started.pid >= 0);
	if (started.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(hold[1]);
		_exit(neighbour(&arg));
	}
	close(hold[0]);
	close(ready[1]);
	CU_ASSERT_EQUAL_FATAL(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return started;
}

bool stress_neighbour_end(struct stress_neighbour *n, uint64_t rounds)
{
	bool more;

	for (unsigned tries = unit_patience_ms(5000); tries > 0 && *n->rounds == rounds;
	     tries--)
		stress_pause_us(1000);
	more = *n->rounds > rounds;
	close(n->hold);
	if (!more)
		printf("      the neighbour made no progress\n");
	more &= stress_wait(n->pid) == 0;
	munmap((void *)(uintptr_t)n->rounds, 4096);
	return more;
}
