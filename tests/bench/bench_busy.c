/*
 * bench_busy.c - whether small kernels keep the simulated device busy, and what that costs
 * the machine that simulates it.
 *
 * Shares of time come from the device's books, CPU time from the kernel: of the clients and
 * of the device process together.
 */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common_bench.h"

enum { KERNEL_NS = 20000, CLIENTS_MAX = 8, STREAMS_MAX = 4 };
#define WINDOW_NS 2000000000ull

/* How a client keeps its streams filled. */
enum style { UNTIL_BLOCKED, EACH_WAITED_FOR };

struct load {
	const char *id;
	const char *what;
	int clients, streams;
	enum style style;
	double busy_target, cpu_target; /* in percent; NAN: none */
};

/* ---- one client ---- */

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	(void)number;
	ended = 1;
}

static int client(const struct load *load, int ready)
{
	CUstream streams[STREAMS_MAX];
	struct bench_gpu gpu;

	signal(SIGTERM, on_signal);
	bench_gpu_open(&gpu);
	for (int i = 0; i < load->streams; i++)
		BENCH_TRY(cuStreamCreate(&streams[i], CU_STREAM_NON_BLOCKING));
	bench_work(&gpu, streams[0], KERNEL_NS);
	BENCH_TRY(cuCtxSynchronize());
	if (write(ready, "r", 1) != 1)
		return 1;
	for (int i = 0; !ended; i = (i + 1) % load->streams) {
		bench_work(&gpu, streams[i], KERNEL_NS);
		if (load->style == EACH_WAITED_FOR)
			BENCH_TRY(cuStreamSynchronize(streams[i]));
	}
	return 0;
}

/* ---- what is measured ---- */

static uint64_t cpu_of(pid_t pid)
{
	clockid_t clock;
	struct timespec t;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct reading {
	uint64_t now_ns, busy_ns, switch_ns, device_cpu_ns, clients_cpu_ns, kernels;
	uint64_t gpu_ns[CLIENTS_MAX];
};

static struct reading read_all(struct simgpu_monitor *monitor, const pid_t *pids, int n)
{
	struct simgpu_truth *truth = bench_truth(monitor);
	struct reading r = { .now_ns = truth->now_ns,
			     .busy_ns = truth->devices[0].busy_ns,
			     .switch_ns = truth->devices[0].switch_ns,
			     .device_cpu_ns = truth->cpu_ns };

	for (int i = 0; i < n; i++) {
		const struct simgpu_client *row = simgpu_find(truth, pids[i]);

		r.clients_cpu_ns += cpu_of(pids[i]);
		r.gpu_ns[i] = row ? row->gpu_ns[0] : 0;
		r.kernels += row ? row->kernels : 0;
	}
	simgpu_free(truth);
	return r;
}

static void sleep_ns(uint64_t ns)
{
	struct timespec t = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };

	nanosleep(&t, NULL);
}

static void report(const struct load *load, const struct reading *a,
		   const struct reading *b)
{
	const double wall = (double)(b->now_ns - a->now_ns);
	const double device = (double)(b->device_cpu_ns - a->device_cpu_ns);
	const double clients = (double)(b->clients_cpu_ns - a->clients_cpu_ns);
	double least = INFINITY, most = 0;
	char id[64];

	for (int i = 0; i < load->clients; i++) {
		double used = (double)(b->gpu_ns[i] - a->gpu_ns[i]);

		least = used < least ? used : least;
		most = used > most ? used : most;
	}
	snprintf(id, sizeof(id), "%s.busy", load->id);
	bench_row(id, load->what, "% busy or switching",
		  100 * (double)(b->busy_ns + b->switch_ns - a->busy_ns - a->switch_ns) /
			  wall,
		  NAN, load->busy_target, false);
	snprintf(id, sizeof(id), "%s.cpu", load->id);
	bench_row(id, "  clients and device process", "% of a core",
		  100 * (device + clients) / wall, NAN, load->cpu_target, true);
	snprintf(id, sizeof(id), "%s.cpu.device", load->id);
	bench_row(id, "  the device process alone", "% of a core", 100 * device / wall,
		  NAN, NAN, true);
	snprintf(id, sizeof(id), "%s.kernel", load->id);
	bench_row(id, "  CPU time of a kernel", "ns",
		  (device + clients) / (double)(b->kernels - a->kernels), NAN, NAN, true);
	if (load->clients == 1)
		return;
	snprintf(id, sizeof(id), "%s.spread", load->id);
	bench_row(id, "  most over least served client", "ratio", most / least, NAN, NAN,
		  true);
}

static void run(struct simgpu_monitor *monitor, const struct load *load)
{
	struct reading before, after;
	pid_t pids[CLIENTS_MAX];
	int ready[2];
	char byte;

	if (pipe(ready) != 0)
		exit(1);
	for (int i = 0; i < load->clients; i++) {
		fflush(stdout);
		pids[i] = fork();
		if (pids[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			_exit(client(load, ready[1]));
		}
	}
	for (int i = 0; i < load->clients; i++)
		if (read(ready[0], &byte, 1) != 1)
			exit(1);
	sleep_ns(200000000);
	before = read_all(monitor, pids, load->clients);
	sleep_ns(WINDOW_NS);
	after = read_all(monitor, pids, load->clients);
	for (int i = 0; i < load->clients; i++)
		kill(pids[i], SIGTERM);
	for (int i = 0; i < load->clients; i++)
		waitpid(pids[i], NULL, 0);
	close(ready[0]);
	close(ready[1]);
	report(load, &before, &after);
}

/* What the device process costs while nobody asks anything of it. */
static void idle(struct simgpu_monitor *monitor)
{
	struct reading a = read_all(monitor, NULL, 0), b;

	sleep_ns(WINDOW_NS / 4);
	b = read_all(monitor, NULL, 0);
	bench_row("sim.idle.cpu", "idle device: the device process", "% of a core",
		  100 * (double)(b.device_cpu_ns - a.device_cpu_ns) /
			  (double)(b.now_ns - a.now_ns),
		  NAN, NAN, true);
}

int main(void)
{
	static const struct load loads[] = {
		{ "sim.one", "1 client, 1 stream", 1, 1, UNTIL_BLOCKED, 98, 50 },
		{ "sim.eight", "8 clients, 4 streams each", 8, 4, UNTIL_BLOCKED, 98,
		  NAN },
		{ "sim.sync", "1 client that waits for each", 1, 1, EACH_WAITED_FOR, NAN,
		  NAN },
	};
	struct simgpu_monitor *monitor = bench_monitor();

	bench_begin("busy",
		    "Kernels of 20 us without a gap, device time by its own books");
	idle(monitor);
	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
		run(monitor, &loads[i]);
	simgpu_close(monitor);
	return bench_end();
}
