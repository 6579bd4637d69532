/*
 * spin.c - kernels that end when something else happens: a time passes, or a word changes
 * that a later launch, a memset, a stream operation or the host writes.
 *
 * Knows: that each such pair must end, on a device that runs streams side by side.
 * Refuses to know: how long it may take beyond --timeout, after which the program gives up
 * and its end takes the waiting kernel away.
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "common.h"

static struct ex_gpu gpu;
static CUstream waiting, setting;
static double timeout_s = 20;
static bool good = true;

static void report(const char *what, bool right)
{
	printf("%s: %s\n", what, right ? "right" : "WRONG");
	good = good && right;
}

/* Waits for a stream without blocking in the driver, which could not be left again. */
static void await(CUstream stream, const char *what)
{
	uint64_t end_ns = ex_now_ns() + (uint64_t)(timeout_s * 1e9);
	CUresult result;

	while ((result = cuStreamQuery(stream)) == CUDA_ERROR_NOT_READY) {
		if (ex_now_ns() > end_ns) {
			fflush(stdout);
			fprintf(stderr,
				"%s: %s: the kernel still waits after %g s, so the device did "
				"not run the streams side by side. CUDA_LAUNCH_BLOCKING=1 would "
				"do that; so would a tool that holds launches back.\n",
				ex_name(), what, timeout_s);
			/* exit() would wait for the kernel. */
			_exit(EX_EXIT_FAILED);
		}
		usleep(100);
	}
	ex_try(result, "cuStreamQuery", __FILE__, __LINE__);
}

static void spin_word(CUdeviceptr word, uint32_t value, CUstream stream)
{
	void *list[] = { &word, &value };

	ex_launch(ex_kernel(&gpu, "gpushim_spin_word"), 1, 1, stream, list);
}

static void set_by_kernel(CUdeviceptr word, uint32_t value)
{
	ex_fill(&gpu, word, value, 1, setting);
}

static void set_by_memset(CUdeviceptr word, uint32_t value)
{
	EX_TRY(cuMemsetD32Async(word, value, 1, setting));
}

static void set_by_stream(CUdeviceptr word, uint32_t value)
{
	EX_TRY(cuStreamWriteValue32(setting, word, value, 0));
}

/* A kernel waits on one stream; another stream sets the word it waits for. */
static void pairs(CUdeviceptr word, uint64_t rounds, const char *what,
		  void (*set)(CUdeviceptr word, uint32_t value))
{
	uint64_t i;

	for (i = 1; i <= rounds; i++) {
		spin_word(word, (uint32_t)i, waiting);
		if (cuStreamQuery(waiting) != CUDA_ERROR_NOT_READY) {
			printf("  round %" PRIu64 ": the kernel did not wait\n", i);
			break;
		}
		set(word, (uint32_t)i);
		await(waiting, what);
		await(setting, what);
	}
	report(what, i > rounds);
	EX_TRY(cuMemsetD32Async(word, 0, 1, setting));
	EX_TRY(cuStreamSynchronize(setting));
}

static bool has_stream_operations(CUdeviceptr word)
{
	CUresult result = cuStreamWriteValue32(setting, word, 0, 0);

	if (result == CUDA_ERROR_NOT_SUPPORTED)
		return false;
	ex_try(result, "cuStreamWriteValue32", __FILE__, __LINE__);
	return true;
}

/* The host sets the word, in memory that it shares with the device. */
static void set_by_host(uint64_t rounds)
{
	CUdeviceptr word;
	void *pinned;
	uint64_t i;

	EX_TRY(cuMemHostAlloc(&pinned, sizeof(uint32_t), CU_MEMHOSTALLOC_DEVICEMAP));
	EX_TRY(cuMemHostGetDevicePointer(&word, pinned, 0));
	*(volatile uint32_t *)pinned = 0;
	for (i = 1; i <= rounds; i++) {
		spin_word(word, (uint32_t)i, waiting);
		if (cuStreamQuery(waiting) != CUDA_ERROR_NOT_READY) {
			printf("  round %" PRIu64 ": the kernel did not wait\n", i);
			break;
		}
		*(volatile uint32_t *)pinned = (uint32_t)i;
		await(waiting, "a word that the host sets");
	}
	report("a word that the host sets", i > rounds);
	EX_TRY(cuMemFreeHost(pinned));
}

/* Two kernels that wait for a time, on two streams: how long each took by events, and
 * whether they ran side by side. */
static void clocks(uint64_t ns)
{
	CUfunction spin = ex_kernel(&gpu, "gpushim_spin_ns");
	CUstream streams[2] = { waiting, setting };
	void *list[] = { &ns };
	CUevent begin, end[2];
	float ms[2];
	int i;

	EX_TRY(cuEventCreate(&begin, CU_EVENT_DEFAULT));
	EX_TRY(cuEventRecord(begin, waiting));
	EX_TRY(cuStreamWaitEvent(setting, begin, 0));
	for (i = 0; i < 2; i++) {
		EX_TRY(cuEventCreate(&end[i], CU_EVENT_DEFAULT));
		ex_launch(spin, 1, 1, streams[i], list);
		EX_TRY(cuEventRecord(end[i], streams[i]));
	}
	for (i = 0; i < 2; i++) {
		await(streams[i], "a kernel that waits for a time");
		EX_TRY(cuEventElapsedTime(&ms[i], begin, end[i]));
		EX_TRY(cuEventDestroy(end[i]));
	}
	EX_TRY(cuEventDestroy(begin));
	printf("  two kernels of %.3f ms each ended %.3f ms and %.3f ms after the start\n",
	       (double)ns / 1e6, (double)ms[0], (double)ms[1]);
	/* The device's clock may tick in steps of a microsecond, or of 32. */
	report("kernels that wait for a time wait that long",
	       ms[0] * 1e6 > (double)ns * 0.9 - 64e3 &&
		       ms[1] * 1e6 > (double)ns * 0.9 - 64e3);
}

/* A kernel's code is loaded when it is first launched, and loading can wait for the device:
 * forever, if a kernel on it waits for the one that is loaded. So each is launched once. */
static void load_code(CUdeviceptr word)
{
	uint64_t no_time = 0;
	void *list[] = { &no_time };

	EX_TRY(cuMemsetD32(word, 0, 1));
	ex_fill(&gpu, word, 0, 1, setting);
	EX_TRY(cuStreamSynchronize(setting));
	spin_word(word, 0, waiting);
	ex_launch(ex_kernel(&gpu, "gpushim_spin_ns"), 1, 1, waiting, list);
	EX_TRY(cuMemsetD32Async(word, 0, 1, setting));
	EX_TRY(cuCtxSynchronize());
}

int main(int argc, char **argv)
{
	uint64_t rounds = 20, ns = 20000000;
	const struct ex_option options[] = {
		{ "rounds", EX_COUNT, &rounds, 1, "N", "pairs of each kind" },
		{ "ns", EX_COUNT, &ns, 0, "N",
		  "nanoseconds for the kernels that wait for a time" },
		{ "timeout", EX_REAL, &timeout_s, 0, "SECONDS",
		  "give up on a pair after this" },
		{ 0 }
	};
	int device = ex_options(
		argc, argv,
		"Launches kernels that wait for a word which something later "
		"sets, and kernels\nthat wait for a time, on two streams; each "
		"must end.",
		options);
	CUdeviceptr word;

	ex_open(&gpu, device, EX_PRIMARY_CONTEXT);
	EX_TRY(cuStreamCreate(&waiting, CU_STREAM_NON_BLOCKING));
	EX_TRY(cuStreamCreate(&setting, CU_STREAM_NON_BLOCKING));
	EX_TRY(cuMemAlloc(&word, sizeof(uint32_t)));
	load_code(word);
	clocks(ns);
	pairs(word, rounds, "a word that a kernel on another stream sets", set_by_kernel);
	pairs(word, rounds, "a word that a memset sets", set_by_memset);
	if (has_stream_operations(word))
		pairs(word, rounds, "a word that a stream operation sets", set_by_stream);
	else
		printf("a word that a stream operation sets: skipped, not supported\n");
	set_by_host(rounds);
	EX_TRY(cuMemFree(word));
	EX_TRY(cuStreamDestroy(waiting));
	EX_TRY(cuStreamDestroy(setting));
	ex_close(&gpu);
	return good ? EX_EXIT_OK : EX_EXIT_FAILED;
}
