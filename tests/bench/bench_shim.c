/*
 * bench_shim.c - what libgpushim.so adds to the calls of a driver that costs nothing.
 *
 * The program starts itself again and again, in turns without the library and with it, and
 * each such process measures one thing; a figure is the median over the turns. The results
 * are results.json. The targets are compared with what HAMi-core, the best-known library of
 * this kind, was measured to add on such a driver with two cores: start-up 88 us, a call that
 * is passed on 20 ns, an allocation and its free 736 ns (7.2 us of wall time with 8 threads,
 * 2.9 us beside 1,000 live allocations), cuMemGetInfo 1,140 ns.
 */
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common_bench.h"
#include "gpushim/ledger.h"

enum { TURNS = 7, STARTS = 400, THREADS_MAX = 8, PROCESSES = 8, LIVE_MAX = 100000 };

static const char *self_path, *build;
static const char *compute; /* GPUSHIM_COMPUTE of measured processes; NULL: none */
static char ledger_dir[256];

/* ---- inside a measured process ---- */

static CUcontext context;

static double per_call_ns(uint64_t begin_ns, unsigned calls)
{
	return (double)(bench_now_ns() - begin_ns) / calls;
}

static double pairs(unsigned calls)
{
	uint64_t begin_ns = bench_now_ns();

	for (unsigned i = 0; i < calls; i++) {
		CUdeviceptr p;

		BENCH_TRY(cuMemAlloc_v2(&p, 4096));
		BENCH_TRY(cuMemFree_v2(p));
	}
	return per_call_ns(begin_ns, calls);
}

static double queries(unsigned calls)
{
	uint64_t begin_ns = bench_now_ns();

	for (unsigned i = 0; i < calls; i++)
		BENCH_TRY(cuStreamQuery(NULL));
	return per_call_ns(begin_ns, calls);
}

static double launches(unsigned calls)
{
	struct bench_gpu gpu;
	uint64_t steps = 1, begin_ns;
	CUdeviceptr sink = 0;
	void *parameters[] = { &steps, &sink };

	bench_gpu_open(&gpu);
	begin_ns = bench_now_ns();
	for (unsigned i = 0; i < calls; i++)
		BENCH_TRY(cuLaunchKernel(gpu.work, 1, 1, 1, 32, 1, 1, 0, NULL, parameters,
					 NULL));
	return per_call_ns(begin_ns, calls);
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The median over short runs of launches: most of those contain no sampled one. */
static double median_launches(unsigned calls)
{
	enum { RUN = 8 };
	static uint64_t runs_ns[20000];
	unsigned runs = calls / RUN < 20000 ? calls / RUN : 20000;
	struct bench_gpu gpu;
	uint64_t steps = 1, median_ns;
	CUdeviceptr sink = 0;
	void *parameters[] = { &steps, &sink };

	bench_gpu_open(&gpu);
	for (unsigned i = 0; i < runs; i++) {
		runs_ns[i] = bench_now_ns();
		for (int k = 0; k < RUN; k++)
			BENCH_TRY(cuLaunchKernel(gpu.work, 1, 1, 1, 32, 1, 1, 0, NULL,
						 parameters, NULL));
		runs_ns[i] = bench_now_ns() - runs_ns[i];
	}
	qsort(runs_ns, runs, sizeof(runs_ns[0]), ascending);
	median_ns = runs_ns[runs / 2];
	return (double)median_ns / RUN;
}

static double infos(unsigned calls)
{
	uint64_t begin_ns = bench_now_ns();

	for (unsigned i = 0; i < calls; i++) {
		size_t free_bytes, total_bytes;

		BENCH_TRY(cuMemGetInfo_v2(&free_bytes, &total_bytes));
	}
	return per_call_ns(begin_ns, calls);
}

/* Of more than the quota: NAN where there is none to refuse it. */
static double refusals(unsigned calls)
{
	uint64_t begin_ns = bench_now_ns();
	CUdeviceptr p;

	for (unsigned i = 0; i < calls; i++)
		if (cuMemAlloc_v2(&p, (size_t)9 << 30) != CUDA_ERROR_OUT_OF_MEMORY)
			return NAN;
	return per_call_ns(begin_ns, calls);
}

static double streams_ordered(unsigned calls)
{
	uint64_t begin_ns = bench_now_ns();

	for (unsigned i = 0; i < calls; i++) {
		CUdeviceptr p;

		BENCH_TRY(cuMemAllocAsync(&p, 4096, NULL));
		BENCH_TRY(cuMemFreeAsync(p, NULL));
	}
	return per_call_ns(begin_ns, calls);
}

static const struct what {
	const char *name;
	double (*measure)(unsigned calls);
	unsigned calls;
} whats[] = {
	{ "pair", pairs, 20000 },
	{ "query", queries, 100000 },
	{ "launch", launches, 50000 },
	{ "info", infos, 50000 },
	{ "median", median_launches, 80000 },
	{ "refusal", refusals, 2000 },
	{ "async", streams_ordered, 20000 },
};

struct thread {
	const struct what *what;
	pthread_barrier_t *barrier;
};

static void *in_thread(void *arg)
{
	struct thread *thread = arg;

	BENCH_TRY(cuCtxSetCurrent(context));
	pthread_barrier_wait(thread->barrier);
	thread->what->measure(thread->what->calls);
	return NULL;
}

/* CPU time of this process, all its threads. */
static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Wall time of all threads over the calls of one. */
static double threaded(const struct what *what, unsigned count)
{
	pthread_t ids[THREADS_MAX];
	pthread_barrier_t barrier;
	struct thread thread = { what, &barrier };
	uint64_t begin_ns;

	pthread_barrier_init(&barrier, NULL, count + 1);
	for (unsigned i = 0; i < count; i++)
		if (pthread_create(&ids[i], NULL, in_thread, &thread) != 0)
			exit(1);
	begin_ns = bench_now_ns();
	pthread_barrier_wait(&barrier);
	for (unsigned i = 0; i < count; i++)
		pthread_join(ids[i], NULL);
	return per_call_ns(begin_ns, what->calls);
}

/* What a measured process answers. */
struct figures {
	double wall_ns; /* of a call, as its thread sees it */
	double cpu_ns;	/* of a call, of all processors together */
};

/* bench_shim --measure WHAT THREADS LIVE: when it has got ready it says so, waits for a
 * word, and answers. */
static int measured(char **argv)
{
	unsigned threads = (unsigned)atoi(argv[3]), live = (unsigned)atoi(argv[4]);
	const struct what *what = whats;
	CUdevice device;
	struct figures figures;
	uint64_t begin_cpu_ns;
	char word;

	while (strcmp(what->name, argv[2]) != 0)
		what++;
	BENCH_TRY(cuInit(0));
	BENCH_TRY(cuDeviceGet(&device, 0));
	BENCH_TRY(cuDevicePrimaryCtxRetain(&context, device));
	BENCH_TRY(cuCtxSetCurrent(context));
	for (unsigned i = 0; i < live; i++) {
		CUdeviceptr p;

		BENCH_TRY(cuMemAlloc_v2(&p, 512));
	}
	what->measure(what->calls / 10 + 1);
	if (write(1, "r", 1) != 1 || read(0, &word, 1) != 1)
		return 1;
	begin_cpu_ns = cpu_ns();
	figures.wall_ns = threads > 1 ? threaded(what, threads)
				      : what->measure(what->calls);
	figures.cpu_ns = (double)(cpu_ns() - begin_cpu_ns) / (what->calls * threads);
	return write(1, &figures, sizeof(figures)) != sizeof(figures);
}

/* ---- outside ---- */

struct child {
	pid_t pid;
	int in, out;
};

static struct child start(bool shim, const char *what, const char *threads,
			  const char *live)
{
	char preload[600], dir[300];
	struct child child;
	int down[2], up[2];

	snprintf(preload, sizeof(preload), "%s/lib/libgpushim.so", build);
	snprintf(dir, sizeof(dir), "%s", ledger_dir);
	if (pipe2(down, O_CLOEXEC) < 0 || pipe2(up, O_CLOEXEC) < 0)
		exit(1);
	child.pid = fork();
	if (child.pid == 0) {
		dup2(down[0], 0);
		dup2(up[1], 1);
		setenv("SIMGPU_ZERO_COST", "1", 1);
		if (shim) {
			setenv("LD_PRELOAD", preload, 1);
			setenv("GPUSHIM_DIR", dir, 1);
			setenv("GPUSHIM_MEMORY", "8GiB", 1);
			if (compute)
				setenv("GPUSHIM_COMPUTE", compute, 1);
		}
		execl(self_path, self_path, "--measure", what, threads, live, NULL);
		_exit(127);
	}
	close(down[0]);
	close(up[1]);
	child.in = up[0];
	child.out = down[1];
	return child;
}

static void must(bool held, const char *sentence)
{
	if (held)
		return;
	fprintf(stderr, "%s\n", sentence);
	exit(1);
}

/* Starts `processes` of them, lets them go at once; the figures of the slowest. */
static struct figures once(bool shim, const char *what, unsigned threads, unsigned live,
			   unsigned processes)
{
	struct child children[PROCESSES];
	char thread_text[16], live_text[16], word;
	struct figures worst = { 0 };

	snprintf(thread_text, sizeof(thread_text), "%u", threads);
	snprintf(live_text, sizeof(live_text), "%u", live);
	for (unsigned i = 0; i < processes; i++)
		children[i] = start(shim, what, thread_text, live_text);
	for (unsigned i = 0; i < processes; i++)
		must(read(children[i].in, &word, 1) == 1,
		     "A measured process ended before it was ready.");
	for (unsigned i = 0; i < processes; i++)
		must(write(children[i].out, "g", 1) == 1, "A measured process has gone.");
	for (unsigned i = 0; i < processes; i++) {
		struct figures figures;

		must(read(children[i].in, &figures, sizeof(figures)) == sizeof(figures),
		     "A measured process ended without a figure.");
		if (!(figures.wall_ns <= worst.wall_ns))
			worst.wall_ns = figures.wall_ns;
		if (!(figures.cpu_ns <= worst.cpu_ns))
			worst.cpu_ns = figures.cpu_ns;
		close(children[i].in);
		close(children[i].out);
		waitpid(children[i].pid, NULL, 0);
	}
	return worst;
}

static void row(const char *id, const char *text, const char *what, unsigned threads,
		unsigned live, unsigned processes, double target)
{
	bool by_cpu = strstr(text, "CPU") != NULL;
	double figures[2][TURNS];

	for (int turn = 0; turn < TURNS; turn++)
		for (int shim = 0; shim < 2; shim++) {
			struct figures got = once(shim != 0, what, threads, live,
						  processes);

			/* Of more processes than processors the wall clock tells nothing. */
			figures[shim][turn] = processes > 1 || by_cpu ? got.cpu_ns
								      : got.wall_ns;
		}
	bench_row(id, text, "ns", bench_median(figures[1], TURNS),
		  bench_median(figures[0], TURNS), target, true);
}

static double start_us(bool shim)
{
	static char preload[600];
	char *argv[] = { (char *)(uintptr_t) "true", NULL };
	char *bare[] = { NULL }, *with[] = { preload, NULL };
	uint64_t begin_ns;
	pid_t pid;
	int status;

	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s/lib/libgpushim.so", build);
	begin_ns = bench_now_ns();
	must(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, shim ? with : bare) == 0 &&
		     waitpid(pid, &status, 0) == pid && status == 0,
	     "/bin/true did not end with 0.");
	return (double)(bench_now_ns() - begin_ns) / 1000;
}

static void start_row(void)
{
	static double figures[2][STARTS];

	for (int i = 0; i < STARTS; i++)
		for (int shim = 0; shim < 2; shim++)
			figures[shim][i] = start_us(shim != 0);
	bench_row("OH-000", "start to end of /bin/true", "us",
		  bench_median(figures[1], STARTS), bench_median(figures[0], STARTS), 50,
		  true);
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "--measure") == 0)
		return measured(argv);
	self_path = "/proc/self/exe";
	build = getenv("BUILD") ? getenv("BUILD") : "build";
	snprintf(ledger_dir, sizeof(ledger_dir), "%s/bench-shim-XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	must(mkdtemp(ledger_dir) != NULL,
	     "A directory for the ledger could not be made.");
	bench_begin(
		"results",
		"Calls without libgpushim.so (bare) and with it, on a driver that costs "
		"nothing");
	start_row();
	row("OH-005", "cuStreamQuery, passed on", "query", 1, 0, 1, 5);
	row("OH-001.free", "cuLaunchKernel, no compute limit", "launch", 1, 0, 1, 60);
	/* Which does not bind: these launches cost next to nothing. */
	compute = "90";
	row("OH-001", "cuLaunchKernel under a limit, unsampled, median", "median", 1, 0,
	    1, 20);
	row("OH-001.mean", "the same, mean, sampled ones included", "launch", 1, 0, 1,
	    60);
	row("OH-001.t8", "the same, 8 threads, CPU", "launch", 8, 0, 1, 90);
	row("OH-001.p4", "the same, 4 processes, CPU", "launch", 1, 0, 4, 90);
	compute = NULL;
	row("OH-002", "cuMemAlloc and cuMemFree", "pair", 1, 0, 1, 150);
	row("OH-002.live1k", "the same beside 1,000 live ones", "pair", 1, 1000, 1, 150);
	row("OH-002.live100k", "the same beside 100,000 live ones", "pair", 1, LIVE_MAX,
	    1, 150);
	row("OH-002.t8", "the same, 8 threads, wall time", "pair", 8, 0, 1, 1000);
	row("OH-006", "the same, 8 processes of 4 threads, CPU", "pair", 4, 0, PROCESSES,
	    1500);
	row("OH-003", "cuMemAllocAsync and cuMemFreeAsync", "async", 1, 0, 1, NAN);
	row("OH-007", "cuMemGetInfo", "info", 1, 0, 1, 50);
	bench_row("IS-002", "an allocation that the quota refuses", "ns",
		  once(true, "refusal", 1, 0, 1).wall_ns, NAN, NAN, true);
	bench_row("ledger.bytes", "memory of the ledger, per tenant", "bytes",
		  (double)GPUSHIM_LEDGER_BYTES, NAN, NAN, true);
	return bench_end();
}
