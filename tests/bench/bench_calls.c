/*
 * bench_calls.c - what calls of the simulated driver cost a program in normal mode.
 *
 * Each beside the least that a driver of this construction could cost on this machine:
 * submissions beside a memcpy and a clock reading, requests beside a message and its answer
 * through a socket, waits beside a wake-up there and back.
 */
#include <linux/futex.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common_bench.h"

enum { ROUNDS = 21, KERNEL_NS = 20000 };

static struct bench_gpu gpu;
static CUstream stream;
static CUevent event;
static CUdeviceptr device_memory;
static void *pinned, *pageable;

/* ---- bare counterparts ---- */

static struct partner {
	pid_t pid;
	int socket, kick;
	_Atomic uint32_t *word; /* shared */
} partner;

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	while (atomic_load(word) == value)
		syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
	atomic_fetch_add(word, 1);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Answers messages, or kicks with a futex's wake-up, as the device does. */
static void answer(int by_socket)
{
	char message[64];
	uint64_t count;

	for (;;) {
		if (by_socket) {
			if (recv(partner.socket, message, sizeof(message), 0) <= 0 ||
			    send(partner.socket, message, sizeof(message), 0) < 0)
				_exit(0);
		} else {
			if (read(partner.kick, &count, sizeof(count)) < 0)
				_exit(0);
			futex_wake(partner.word);
		}
	}
}

static pid_t start_partner(int by_socket, int sockets[2])
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		partner.socket = sockets[1];
		answer(by_socket);
	}
	return pid;
}

static void bare_submission(void)
{
	static unsigned char ring[1 << 20];
	static _Atomic uint64_t tail;
	unsigned char record[128];
	uint64_t now = bench_now_ns();

	memset(record, 1, sizeof(record));
	memcpy(record, &now, sizeof(now));
	memcpy(ring + atomic_load_explicit(&tail, memory_order_relaxed) % sizeof(ring),
	       record, sizeof(record));
	atomic_fetch_add(&tail, sizeof(record));
}

static void bare_request(void)
{
	char message[64] = "";

	if (send(partner.socket, message, sizeof(message), 0) < 0 ||
	    recv(partner.socket, message, sizeof(message), 0) < 0)
		exit(1);
}

static void bare_wait(void)
{
	uint32_t seen = atomic_load(partner.word);
	const uint64_t one = 1;

	if (write(partner.kick, &one, sizeof(one)) < 0)
		exit(1);
	futex_wait(partner.word, seen);
}

/* Two requests. */
static void bare_pair(void)
{
	bare_request();
	bare_request();
}

static void bare_copy(void)
{
	memcpy(pinned, pageable, 4096);
	bare_wait();
}

static void bare_kernel(void)
{
	uint64_t end = bench_now_ns() + KERNEL_NS;

	while (bench_now_ns() < end)
		;
	bare_wait();
}

/* ---- calls ---- */

static void call_launch(void)
{
	bench_work(&gpu, stream, 1000);
}

static void call_record(void)
{
	BENCH_TRY(cuEventRecord(event, stream));
}

static void call_query(void)
{
	if (cuEventQuery(event) != CUDA_SUCCESS)
		exit(1);
}

static void bare_query(void)
{
	static _Atomic uint64_t word;

	(void)atomic_load_explicit(&word, memory_order_acquire);
}

static void call_pair(void)
{
	CUdeviceptr p;

	BENCH_TRY(cuMemAlloc(&p, 1 << 16));
	BENCH_TRY(cuMemFree(p));
}

static void call_pool_pair(void)
{
	CUdeviceptr p;

	BENCH_TRY(cuMemAllocAsync(&p, 1 << 16, stream));
	BENCH_TRY(cuMemFreeAsync(p, stream));
}

static void call_copy_in(void)
{
	BENCH_TRY(cuMemcpyHtoD(device_memory, pageable, 4096));
}

static void call_copy_out(void)
{
	BENCH_TRY(cuMemcpyDtoH(pageable, device_memory, 4096));
}

static void call_sync(void)
{
	bench_work(&gpu, stream, KERNEL_NS);
	BENCH_TRY(cuStreamSynchronize(stream));
}

static const struct call {
	const char *id, *what;
	void (*call)(void), (*bare)(void);
	unsigned
		calls; /* of a round: few enough for a stream's queue where they pile up */
	double scale;
	const char *unit;
} calls[] = {
	{ "sim.call.launch", "cuLaunchKernel", call_launch, bare_submission, 400, 1,
	  "ns" },
	{ "sim.call.record", "cuEventRecord", call_record, bare_submission, 400, 1,
	  "ns" },
	{ "sim.call.query", "cuEventQuery of a finished event", call_query, bare_query,
	  400, 1, "ns" },
	{ "sim.call.pair", "cuMemAlloc and cuMemFree of 64 KiB", call_pair, bare_pair, 50,
	  1e-3, "us" },
	{ "sim.call.pool", "cuMemAllocAsync and cuMemFreeAsync", call_pool_pair,
	  bare_submission, 50, 1e-3, "us" },
	{ "sim.call.htod", "cuMemcpyHtoD of 4 KiB", call_copy_in, bare_copy, 50, 1e-3,
	  "us" },
	{ "sim.call.dtoh", "cuMemcpyDtoH of 4 KiB", call_copy_out, bare_copy, 50, 1e-3,
	  "us" },
	{ "sim.call.sync", "launch of 20 us, cuStreamSynchronize", call_sync, bare_kernel,
	  50, 1e-3, "us" },
};

static double round_ns(void (*call)(void), unsigned n)
{
	uint64_t begin = bench_now_ns();

	for (unsigned i = 0; i < n; i++)
		call();
	return (double)(bench_now_ns() - begin) / n;
}

static void run(const struct call *call)
{
	double figures[ROUNDS], bare[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		figures[i] = round_ns(call->call, call->calls) * call->scale;
		BENCH_TRY(cuCtxSynchronize());
		bare[i] = round_ns(call->bare, call->calls) * call->scale;
	}
	bench_row(call->id, call->what, call->unit, bench_median(figures, ROUNDS),
		  bench_median(bare, ROUNDS), NAN, true);
}

int main(void)
{
	int sockets[2];
	pid_t pids[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets) != 0)
		return 1;
	partner.word = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	partner.kick = eventfd(0, 0);
	partner.socket = sockets[0];
	if (partner.word == MAP_FAILED || partner.kick < 0)
		return 1;
	pids[0] = start_partner(1, sockets);
	pids[1] = start_partner(0, sockets);
	bench_gpu_open(&gpu);
	BENCH_TRY(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	BENCH_TRY(cuEventCreate(&event, CU_EVENT_DEFAULT));
	BENCH_TRY(cuMemAlloc(&device_memory, 4096));
	BENCH_TRY(cuMemHostAlloc(&pinned, 4096, 0));
	pageable = calloc(1, 4096);
	if (!pageable)
		return 1;
	call_record();
	BENCH_TRY(cuCtxSynchronize());
	bench_begin("calls", "Calls in normal mode (median of 21 rounds)");
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		run(&calls[i]);
	BENCH_TRY(cuCtxDestroy(gpu.context));
	for (int i = 0; i < 2; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	return bench_end();
}
