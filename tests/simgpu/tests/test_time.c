/*
 * test_time.c - who has the simulated GPU, and for how long.
 *
 * Knows: the model as engine.h states it, seen from outside: by the device's own books and by
 * CUDA events. All figures are the device's; the host's clock only ends waits that would
 * otherwise never end. Refuses to know: how the device arrives at them.
 *
 * Loads are processes of their own: this program, started again with TIME_ROLE set. A busy
 * host may run them seldom, so they have much more queued at the device than is measured; and
 * what a test wants to see together waits at the device until all of it is submitted.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cuda.h>

#include "../../../examples/kernels.h"
#include "cunit_main.h"
#include "simgpu.h"

#define MS 1000000ull
#define SLICE_NS (2 * MS) /* the defaults of SIMGPU_SLICE_US and SIMGPU_SWITCH_US */
#define SWITCH_NS (MS / 10)

/* A grid that fills the device for exactly one wave: 132 SMs of 2048 threads. */
enum { FULL_GRID = 264, FULL_BLOCK = 1024 };

/* How often to look again where a host that had no time for this makes a look worthless. */
enum { TRIES = 5 };

/* ---- this process's CUDA ---- */

static struct simgpu_monitor *monitor;
static CUcontext context;
static CUmodule module;
static CUstream stream_a, stream_b;

#define OK(call) CU_ASSERT_EQUAL_FATAL((call), CUDA_SUCCESS)

static CUfunction kernel_of(CUmodule in, const char *name)
{
	CUfunction function = NULL;

	return cuModuleGetFunction(&function, in, name) == CUDA_SUCCESS ? function : NULL;
}

static CUresult launch_work(CUmodule in, CUstream stream, bool full, uint64_t work_ns)
{
	CUdeviceptr sink = 0;
	void *parameters[] = { &work_ns, &sink };

	/* One step takes a nanosecond (SIMGPU_WORK_PS). */
	return cuLaunchKernel(kernel_of(in, "gpushim_work"), full ? FULL_GRID : 1, 1, 1,
			      full ? FULL_BLOCK : 32, 1, 1, 0, stream, parameters, NULL);
}

static struct simgpu_truth *truth_now(void)
{
	struct simgpu_truth *truth = simgpu_truth(monitor);

	CU_ASSERT_PTR_NOT_NULL_FATAL(truth);
	return truth;
}

/* This process's row, copied. */
static struct simgpu_client own_books(void)
{
	struct simgpu_truth *truth = truth_now();
	const struct simgpu_client *row = simgpu_find(truth, getpid());
	struct simgpu_client books = { 0 };

	CU_ASSERT_PTR_NOT_NULL(row);
	if (row)
		books = *row;
	simgpu_free(truth);
	return books;
}

static void pause_ms(unsigned ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

/* Lets the device's clock go on by ns and returns its books then. */
static struct simgpu_truth *truth_after(uint64_t since_ns, uint64_t ns)
{
	for (;;) {
		struct simgpu_truth *truth = truth_now();

		if (truth->now_ns >= since_ns + ns)
			return truth;
		pause_ms((unsigned)((since_ns + ns - truth->now_ns) / MS + 1));
		simgpu_free(truth);
	}
}

static bool within(uint64_t value, uint64_t expected, double share)
{
	double difference = (double)value - (double)expected;

	if (difference < 0)
		difference = -difference;
	if (difference <= share * (double)expected)
		return true;
	printf("      %" PRIu64 " where %" PRIu64 " within %g %% was expected\n", value,
	       expected, share * 100);
	return false;
}

/* Books that must hold exactly, at any instant. */
static void books_are_exact(const struct simgpu_truth *truth)
{
	const struct simgpu_device *device = &truth->devices[0];
	uint64_t gpu_ns = 0;

	CU_ASSERT_EQUAL(device->idle_ns + device->switch_ns + device->busy_ns,
			truth->now_ns - device->since_ns);
	for (uint32_t i = 0; i < truth->nclients; i++)
		gpu_ns += truth->clients[i].gpu_ns[0];
	CU_ASSERT_EQUAL(gpu_ns, device->busy_ns);
}

/* ---- a gate ---- */

/* A word of pinned memory that streams wait for, so that what follows in them becomes ready
 * at one instant, however slowly it was submitted. */
static uint32_t *gate;
static CUdeviceptr gate_address;
static uint32_t gate_value;

static void wait_at_gate(CUstream stream)
{
	OK(cuStreamWaitValue32(stream, gate_address, gate_value,
			       CU_STREAM_WAIT_VALUE_EQ));
}

static void close_gate(void)
{
	gate_value++;
	wait_at_gate(stream_a);
	wait_at_gate(stream_b);
}

/* Once the device has come to the gate: it reads the word when it looks, not when the
 * stream got there. */
static void let_go(void)
{
	own_books();
	__atomic_store_n(gate, gate_value, __ATOMIC_RELEASE);
}

static void open_gate(void)
{
	let_go();
	OK(cuCtxSynchronize());
}

/* ---- loads ---- */

/* What a load is told: descriptors 3 (it says it is ready) and 4 (it is told to begin). */
enum { READY_FD = 3, BEGIN_FD = 4 };

/* Kernels of a millisecond that a load has in its stream when it begins: nearly as many as a
 * stream takes, and longer than anything is looked at here. */
enum { QUEUED = 1000 };

/* TIME_ROLE=work: kernels without end. Only the first of them waits for the host. */
static int role_work(void)
{
	CUdeviceptr address;
	CUcontext ctx;
	CUmodule kernels;
	CUdevice device;
	uint32_t *begun;
	char byte;

	if (cuInit(0) || cuDeviceGet(&device, 0) || cuCtxCreate(&ctx, NULL, 0, device) ||
	    cuModuleLoadData(&kernels, ex_kernels_ptx) ||
	    cuMemHostAlloc((void **)&begun, 4096, CU_MEMHOSTALLOC_DEVICEMAP) ||
	    cuMemHostGetDevicePointer(&address, begun, 0))
		return 1;
	*begun = 0;
	if (cuStreamWaitValue32(NULL, address, 1, CU_STREAM_WAIT_VALUE_EQ))
		return 1;
	for (int i = 0; i < QUEUED; i++)
		if (launch_work(kernels, NULL, true, MS))
			return 1;
	if (write(READY_FD, "r", 1) != 1 || read(BEGIN_FD, &byte, 1) != 1)
		return 1;
	__atomic_store_n(begun, 1, __ATOMIC_RELEASE);
	while (launch_work(kernels, NULL, true, MS) == CUDA_SUCCESS)
		;
	return 1;
}

static struct {
	pid_t pid;
	int begin_fd; /* -1: it uses the host alone */
} loads[16];
static int nloads;

static pid_t fork_child(void)
{
	pid_t pid = fork();

	CU_ASSERT_TRUE_FATAL(pid >= 0);
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

static void start_busy_loop(void)
{
	pid_t pid = fork_child();

	if (pid == 0)
		for (;;)
			;
	loads[nloads].pid = pid;
	loads[nloads++].begin_fd = -1;
}

/* One that has all of its work queued, and waits for begin_loads(). */
static void start_load(void)
{
	int ready[2], begin[2];
	char byte;
	pid_t pid;

	CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
	CU_ASSERT_EQUAL_FATAL(pipe(begin), 0);
	pid = fork_child();
	if (pid == 0) {
		dup2(ready[1], 20);
		dup2(begin[0], 21);
		dup2(20, READY_FD);
		dup2(21, BEGIN_FD);
		for (int fd = BEGIN_FD + 1; fd < 64; fd++)
			close(fd);
		setenv("TIME_ROLE", "work", 1);
		execl("/proc/self/exe", "time", (char *)NULL);
		_exit(127);
	}
	loads[nloads].pid = pid;
	loads[nloads++].begin_fd = begin[1];
	close(ready[1]);
	close(begin[0]);
	CU_ASSERT_EQUAL_FATAL(read(ready[0], &byte, 1), 1);
	close(ready[0]);
}

static uint64_t gpu_ns_of(const struct simgpu_truth *truth, pid_t pid)
{
	const struct simgpu_client *row = simgpu_find(truth, pid);

	return row ? row->gpu_ns[0] : 0;
}

/* Whether the load has work at the device: then it has had some since it began. */
static bool has_work(const struct simgpu_truth *truth, pid_t pid)
{
	const struct simgpu_client *row = simgpu_find(truth, pid);

	for (uint32_t i = 0; row && i < truth->ncontexts; i++)
		if (truth->contexts[i].client == row->id && !truth->contexts[i].gone &&
		    truth->contexts[i].pending > 0)
			return true;
	return false;
}

/* All loads that use the device are at work from here on. Returns its books then. */
static struct simgpu_truth *begin_loads(void)
{
	for (int i = 0; i < nloads; i++)
		if (loads[i].begin_fd >= 0)
			CU_ASSERT_EQUAL_FATAL(write(loads[i].begin_fd, "b", 1), 1);
	for (;;) {
		struct simgpu_truth *truth = truth_now();
		bool all = true;

		for (int i = 0; i < nloads; i++)
			if (loads[i].begin_fd >= 0)
				all = all && gpu_ns_of(truth, loads[i].pid) > 0;
		if (all)
			return truth;
		simgpu_free(truth);
		pause_ms(1);
	}
}

static void end_loads(void)
{
	for (int i = 0; i < nloads; i++)
		kill(loads[i].pid, SIGKILL);
	while (nloads > 0) {
		waitpid(loads[--nloads].pid, NULL, 0);
		if (loads[nloads].begin_fd >= 0)
			close(loads[nloads].begin_fd);
	}
}

/* ---- sharing ---- */

/* Judges the device's books of a time in which the loads, and nobody else, were at work. */
static void shares_are_even(const struct simgpu_truth *before,
			    const struct simgpu_truth *after, unsigned count)
{
	const struct simgpu_device *d0 = &before->devices[0], *d1 = &after->devices[0];
	const uint64_t wall_ns = after->now_ns - before->now_ns;
	const uint64_t switch_ns = d1->switch_ns - d0->switch_ns;
	uint64_t gpu_ns = 0;

	books_are_exact(before);
	books_are_exact(after);
	for (int i = 0; i < nloads; i++) {
		uint64_t used_ns;

		if (loads[i].begin_fd < 0)
			continue;
		used_ns = gpu_ns_of(after, loads[i].pid) -
			  gpu_ns_of(before, loads[i].pid);
		gpu_ns += used_ns;
		CU_ASSERT_TRUE(within(used_ns, (wall_ns - switch_ns) / count, 0.01));
	}
	CU_ASSERT_TRUE(within(gpu_ns + switch_ns, wall_ns, 0.005));
	/* A switch costs what is configured; the first and the last may be cut. */
	CU_ASSERT_TRUE(
		within(switch_ns, (d1->switches - d0->switches) * SWITCH_NS, 0.01));
}

/* Lets endless loads run together for a while. False if one of them had nothing to do at the
 * end of it, as on a host that gave it no time for seconds: that would tell nothing. */
static bool measured_sharing(unsigned count, int busy_loops)
{
	struct simgpu_truth *before, *after;
	uint64_t begin_ns;
	bool all = true;

	for (int i = 0; i < busy_loops; i++)
		start_busy_loop();
	for (unsigned i = 0; i < count; i++)
		start_load();
	/* A round after all have had their first turn. */
	before = begin_loads();
	begin_ns = before->now_ns;
	simgpu_free(before);
	before = truth_after(begin_ns, count * 2 * (SLICE_NS + SWITCH_NS));
	after = truth_after(before->now_ns, count * 600 * MS);
	for (int i = 0; i < nloads; i++)
		all = all && (loads[i].begin_fd < 0 || has_work(after, loads[i].pid));
	if (all)
		shares_are_even(before, after, count);
	simgpu_free(before);
	simgpu_free(after);
	end_loads();
	return all;
}

static void share_evenly(unsigned count, int busy_loops)
{
	int tries = 1;

	while (!measured_sharing(count, busy_loops) && tries < TRIES)
		tries++;
	CU_ASSERT_TRUE(tries < TRIES);
}

static void two_processes_share_the_time_evenly(void)
{
	share_evenly(2, 0);
}

static void three_processes_share_the_time_evenly(void)
{
	share_evenly(3, 0);
}

static void four_processes_share_the_time_evenly(void)
{
	share_evenly(4, 0);
}

static void the_books_stay_exact_on_a_busy_host(void)
{
	share_evenly(3, 4);
}

/* GPU time of this process's two newest contexts; false once one of them is done. */
static bool newest_two(const struct simgpu_truth *truth, uint64_t used_ns[2])
{
	const struct simgpu_client *self = simgpu_find(truth, getpid());
	int found = 0;

	for (uint32_t i = truth->ncontexts; i-- > 0 && found < 2;) {
		const struct simgpu_context *row = &truth->contexts[i];

		if (row->client != self->id)
			continue;
		if (row->gone || row->pending == 0)
			return false;
		used_ns[found++] = row->gpu_ns;
	}
	return found == 2;
}

/* Two contexts of this process work until they are done. Whether the books were looked at in
 * the second half of it, which has the differences of the first in them. */
static bool seen_taking_turns(CUcontext ctx[2], CUmodule kernels[2])
{
	const uint64_t each_ns = 100 * MS;
	struct simgpu_client before = own_books();
	uint64_t used_ns[2], seen_ns = 0;
	bool both = true;

	gate_value++;
	for (unsigned i = 0; i < 2; i++) {
		OK(cuCtxSetCurrent(ctx[i]));
		wait_at_gate(NULL);
	}
	for (unsigned i = 0; i < 200; i++) {
		OK(cuCtxSetCurrent(ctx[i % 2]));
		OK(launch_work(kernels[i % 2], NULL, true, each_ns / 100));
	}
	let_go();
	while (both) {
		struct simgpu_truth *truth = truth_now();

		books_are_exact(truth);
		both = newest_two(truth, used_ns);
		simgpu_free(truth);
		if (!both || used_ns[0] == 0 || used_ns[1] == 0)
			continue;
		/* Both were there from the start, so at most one turn apart. */
		CU_ASSERT_TRUE(used_ns[0] <= used_ns[1] + SLICE_NS);
		CU_ASSERT_TRUE(used_ns[1] <= used_ns[0] + SLICE_NS);
		seen_ns = used_ns[0] + used_ns[1];
		pause_ms(1);
	}
	for (int i = 0; i < 2; i++) {
		OK(cuCtxSetCurrent(ctx[i]));
		OK(cuCtxSynchronize());
	}
	CU_ASSERT_EQUAL(own_books().gpu_ns[0] - before.gpu_ns[0], 2 * each_ns);
	return seen_ns > each_ns;
}

static void two_contexts_of_one_process_take_turns(void)
{
	CUcontext ctx[2];
	CUmodule kernels[2];
	bool seen = false;

	for (int tries = 0; !seen && tries < TRIES; tries++) {
		for (int i = 0; i < 2; i++) {
			OK(cuCtxCreate(&ctx[i], NULL, 0, 0));
			OK(cuModuleLoadData(&kernels[i], ex_kernels_ptx));
		}
		seen = seen_taking_turns(ctx, kernels);
		for (int i = 0; i < 2; i++)
			OK(cuCtxDestroy(ctx[i]));
	}
	CU_ASSERT_TRUE(seen);
	OK(cuCtxSetCurrent(context));
}

static void a_lone_context_is_never_switched(void)
{
	struct simgpu_truth *before, *after;

	OK(launch_work(module, stream_a, true, MS));
	OK(cuCtxSynchronize());
	before = truth_now();
	for (int i = 0; i < 50; i++)
		OK(launch_work(module, stream_a, true, MS));
	OK(cuCtxSynchronize());
	after = truth_now();
	CU_ASSERT_EQUAL(after->devices[0].switches, before->devices[0].switches);
	CU_ASSERT_EQUAL(after->devices[0].switch_ns, before->devices[0].switch_ns);
	CU_ASSERT_EQUAL(after->devices[0].busy_ns - before->devices[0].busy_ns, 50 * MS);
	simgpu_free(before);
	simgpu_free(after);
}

/* ---- events ---- */

static double elapsed_ns(CUevent from, CUevent to)
{
	float ms = -1;

	OK(cuEventElapsedTime(&ms, from, to));
	return (double)ms * 1e6;
}

static void events_agree_with_the_books(void)
{
	enum { N = 64 };
	struct simgpu_client before = own_books();
	CUevent begin[N], end[N];
	double sum_ns = 0, difference_ns;

	for (int i = 0; i < N; i++) {
		OK(cuEventCreate(&begin[i], CU_EVENT_DEFAULT));
		OK(cuEventCreate(&end[i], CU_EVENT_DEFAULT));
	}
	/* A record in an idle stream happens at once, a launch after it a little later. */
	close_gate();
	for (unsigned i = 0; i < N; i++) {
		OK(cuEventRecord(begin[i], stream_a));
		OK(launch_work(module, stream_a, i % 2, 50000 + 1237 * i));
		OK(cuEventRecord(end[i], stream_a));
	}
	open_gate();
	for (int i = 0; i < N; i++) {
		sum_ns += elapsed_ns(begin[i], end[i]);
		OK(cuEventDestroy(begin[i]));
		OK(cuEventDestroy(end[i]));
	}
	/* Events tell half microseconds. */
	difference_ns = sum_ns - (double)(own_books().kernel_ns[0] - before.kernel_ns[0]);
	CU_ASSERT_TRUE(difference_ns > -500.0 * N);
	CU_ASSERT_TRUE(difference_ns < 500.0 * N);
	if (difference_ns <= -500.0 * N || difference_ns >= 500.0 * N)
		printf("      events tell %.0f ns more than the books\n", difference_ns);
}

static void events_include_the_turns_of_others(void)
{
	struct simgpu_client before, after;
	CUevent begin, end;
	double ns;

	start_load();
	OK(cuEventCreate(&begin, CU_EVENT_DEFAULT));
	OK(cuEventCreate(&end, CU_EVENT_DEFAULT));
	before = own_books();
	close_gate();
	OK(cuEventRecord(begin, stream_a));
	for (int i = 0; i < 100; i++)
		OK(launch_work(module, stream_a, true, MS));
	OK(cuEventRecord(end, stream_a));
	simgpu_free(begin_loads());
	open_gate();
	after = own_books();
	ns = elapsed_ns(begin, end);
	end_loads();
	CU_ASSERT_EQUAL(after.kernel_ns[0] - before.kernel_ns[0], 100 * MS);
	/* 50 turns of its own, and as many of the other and twice as many switches. */
	CU_ASSERT_TRUE(
		within((uint64_t)ns, 100 * MS + 50 * (SLICE_NS + 2 * SWITCH_NS), 0.05));
	OK(cuEventDestroy(begin));
	OK(cuEventDestroy(end));
}

/* ---- what runs together ---- */

/* Device time and kernel time of a 20 ms kernel in each of two streams. */
static void run_two(bool full, uint64_t *gpu_ns, uint64_t *kernel_ns)
{
	struct simgpu_client before = own_books(), after;

	close_gate();
	OK(launch_work(module, stream_a, full, 20 * MS));
	OK(launch_work(module, stream_b, full, 20 * MS));
	open_gate();
	after = own_books();
	*gpu_ns = after.gpu_ns[0] - before.gpu_ns[0];
	*kernel_ns = after.kernel_ns[0] - before.kernel_ns[0];
}

static void small_kernels_of_two_streams_run_together(void)
{
	uint64_t gpu_ns, kernel_ns;

	run_two(false, &gpu_ns, &kernel_ns);
	CU_ASSERT_EQUAL(gpu_ns, 20 * MS);
	CU_ASSERT_EQUAL(kernel_ns, 40 * MS);
}

static void full_kernels_of_two_streams_run_one_after_the_other(void)
{
	uint64_t gpu_ns, kernel_ns;

	run_two(true, &gpu_ns, &kernel_ns);
	CU_ASSERT_EQUAL(gpu_ns, 40 * MS);
	CU_ASSERT_EQUAL(kernel_ns, 40 * MS);
}

static void host_copies_run_beside_kernels(void)
{
	const size_t bytes = 8 << 20;
	struct simgpu_client before, after;
	CUevent start, copied, computed;
	CUdeviceptr memory;
	void *pinned;

	OK(cuMemAlloc(&memory, bytes));
	OK(cuMemHostAlloc(&pinned, bytes, 0));
	OK(cuEventCreate(&start, CU_EVENT_DEFAULT));
	OK(cuEventCreate(&copied, CU_EVENT_DEFAULT));
	OK(cuEventCreate(&computed, CU_EVENT_DEFAULT));
	before = own_books();
	close_gate();
	OK(cuEventRecord(start, stream_a));
	OK(launch_work(module, stream_a, true, 20 * MS));
	OK(cuEventRecord(computed, stream_a));
	OK(cuMemcpyHtoDAsync(memory, pinned, bytes, stream_b));
	OK(cuMemcpyDtoHAsync(pinned, memory, bytes, stream_b));
	OK(cuEventRecord(copied, stream_b));
	open_gate();
	after = own_books();
	CU_ASSERT_EQUAL(after.gpu_ns[0] - before.gpu_ns[0], 20 * MS);
	CU_ASSERT_TRUE(after.copy_ns[0] > before.copy_ns[0]);
	CU_ASSERT_TRUE(elapsed_ns(start, copied) > 0);
	CU_ASSERT_TRUE(elapsed_ns(copied, computed) > 0);
	CU_ASSERT_TRUE(within((uint64_t)elapsed_ns(start, computed), 20 * MS, 0.0001));
	OK(cuEventDestroy(start));
	OK(cuEventDestroy(copied));
	OK(cuEventDestroy(computed));
	OK(cuMemFreeHost(pinned));
	OK(cuMemFree(memory));
}

static void copies_within_the_device_take_its_time(void)
{
	const size_t bytes = 64 << 20;
	struct simgpu_client before, after;
	CUdeviceptr memory;

	OK(cuMemAlloc(&memory, 2 * bytes));
	before = own_books();
	close_gate();
	OK(launch_work(module, stream_a, true, 5 * MS));
	OK(cuMemcpyDtoDAsync(memory + bytes, memory, bytes, stream_b));
	open_gate();
	after = own_books();
	CU_ASSERT_TRUE(after.gpu_ns[0] - before.gpu_ns[0] > 5 * MS);
	CU_ASSERT_EQUAL(after.copy_ns[0], before.copy_ns[0]);
	OK(cuMemFree(memory));
}

/* ---- what waits for something ---- */

static CUresult launch_spin(CUstream stream, CUdeviceptr address, uint32_t value)
{
	void *parameters[] = { &address, &value };

	return cuLaunchKernel(kernel_of(module, "gpushim_spin_word"), 1, 1, 1, 32, 1, 1,
			      0, stream, parameters, NULL);
}

static void a_spin_on_a_word_that_nobody_sets_goes_on_beside_others(void)
{
	struct simgpu_truth *before, *after;
	CUdeviceptr word;
	uint64_t own_ns, wall_ns;

	OK(cuMemAlloc(&word, 4));
	OK(cuMemsetD32(word, 0, 1));
	OK(cuCtxSynchronize());
	start_load();
	OK(launch_spin(stream_a, word, 1));
	before = begin_loads();
	after = truth_after(before->now_ns, 400 * MS);
	wall_ns = after->now_ns - before->now_ns;
	own_ns = simgpu_find(after, getpid())->gpu_ns[0] -
		 simgpu_find(before, getpid())->gpu_ns[0];
	books_are_exact(after);
	CU_ASSERT_EQUAL(cuStreamQuery(stream_a), CUDA_ERROR_NOT_READY);
	/* It spins through all its turns, and its neighbour has all of his. */
	CU_ASSERT_TRUE(within(own_ns, wall_ns / 2 * 20 / 21, 0.03));
	CU_ASSERT_TRUE(within(after->devices[0].busy_ns - before->devices[0].busy_ns,
			      wall_ns * 20 / 21, 0.01));
	/* And ends when another stream sets the word. */
	OK(cuMemsetD32Async(word, 1, 1, stream_b));
	OK(cuStreamSynchronize(stream_a));
	end_loads();
	OK(cuMemFree(word));
	simgpu_free(before);
	simgpu_free(after);
}

static void a_spin_ends_when_the_host_sets_its_word(void)
{
	gate_value++;
	OK(launch_spin(stream_a, gate_address, gate_value));
	pause_ms(5);
	CU_ASSERT_EQUAL(cuStreamQuery(stream_a), CUDA_ERROR_NOT_READY);
	__atomic_store_n(gate, gate_value, __ATOMIC_RELEASE);
	OK(cuStreamSynchronize(stream_a));
}

static void a_kernel_behind_a_spin_in_its_stream_never_runs(void)
{
	CUdeviceptr word;
	struct simgpu_client before, after;

	OK(cuMemAlloc(&word, 4));
	OK(cuMemsetD32(word, 0, 1));
	OK(cuCtxSynchronize());
	before = own_books();
	OK(launch_spin(stream_a, word, 1));
	OK(launch_work(module, stream_a, false, MS));
	OK(launch_work(module, stream_b, false, MS));
	OK(cuStreamSynchronize(stream_b));
	pause_ms(5);
	after = own_books();
	CU_ASSERT_EQUAL(after.kernels - before.kernels, 1);
	CU_ASSERT_EQUAL(cuStreamQuery(stream_a), CUDA_ERROR_NOT_READY);
	OK(cuMemsetD32Async(word, 1, 1, stream_b));
	OK(cuCtxSynchronize());
	CU_ASSERT_EQUAL(own_books().kernels - before.kernels, 3);
	OK(cuMemFree(word));
}

/* ---- the suite ---- */

static int start(void)
{
	const char *role = getenv("TIME_ROLE"), *why;

	if (role)
		_exit(role_work());
	signal(SIGPIPE, SIG_IGN);
	if (cuInit(0) || cuCtxCreate(&context, NULL, 0, 0) ||
	    cuModuleLoadData(&module, ex_kernels_ptx) ||
	    cuStreamCreate(&stream_a, CU_STREAM_NON_BLOCKING) ||
	    cuStreamCreate(&stream_b, CU_STREAM_NON_BLOCKING) ||
	    cuMemHostAlloc((void **)&gate, 4096, CU_MEMHOSTALLOC_DEVICEMAP) ||
	    cuMemHostGetDevicePointer(&gate_address, gate, 0))
		return -1;
	*gate = 0;
	monitor = simgpu_open(NULL, 0, &why);
	if (!monitor)
		fprintf(stderr, "test_time: %s\n", why);
	return monitor ? 0 : -1;
}

static int stop(void)
{
	simgpu_close(monitor);
	return cuCtxDestroy(context) == CUDA_SUCCESS ? 0 : -1;
}

const struct unit_suite unit_suite = {
	.name = "the device's time",
	.init = start,
	.cleanup = stop,
	.teardown = end_loads,
	.tests = {
		UNIT_TEST(two_processes_share_the_time_evenly),
		UNIT_TEST(three_processes_share_the_time_evenly),
		UNIT_TEST(four_processes_share_the_time_evenly),
		UNIT_TEST(the_books_stay_exact_on_a_busy_host),
		UNIT_TEST(two_contexts_of_one_process_take_turns),
		UNIT_TEST(a_lone_context_is_never_switched),
		UNIT_TEST(events_agree_with_the_books),
		UNIT_TEST(events_include_the_turns_of_others),
		UNIT_TEST(small_kernels_of_two_streams_run_together),
		UNIT_TEST(full_kernels_of_two_streams_run_one_after_the_other),
		UNIT_TEST(host_copies_run_beside_kernels),
		UNIT_TEST(copies_within_the_device_take_its_time),
		UNIT_TEST(a_spin_on_a_word_that_nobody_sets_goes_on_beside_others),
		UNIT_TEST(a_spin_ends_when_the_host_sets_its_word),
		UNIT_TEST(a_kernel_behind_a_spin_in_its_stream_never_runs),
	},
};
