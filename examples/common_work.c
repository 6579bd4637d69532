/*
 * common_work.c - gpushim_work seen from the host: how long a step takes, what it yields.
 *
 * Knows: the chain of kernels.h and how to time it with events.
 * Refuses to know: clocks of the host; a busy host does not change the result.
 */
#include "common.h"

#include "kernels.h"

enum { RUNS = 8 };

/* The least of several times, in nanoseconds of the device's events. */
static double fastest_ns(CUfunction work, unsigned grid, unsigned block,
			 uint64_t iterations)
{
	CUdeviceptr sink = 0;
	void *parameters[] = { &iterations, &sink };
	CUevent begin, end;
	double least_ns = 1e18;
	int run;

	EX_TRY(cuEventCreate(&begin, CU_EVENT_DEFAULT));
	EX_TRY(cuEventCreate(&end, CU_EVENT_DEFAULT));
	for (run = 0; run < RUNS; run++) {
		float ms;

		EX_TRY(cuEventRecord(begin, NULL));
		ex_launch(work, grid, block, NULL, parameters);
		EX_TRY(cuEventRecord(end, NULL));
		EX_TRY(cuEventSynchronize(end));
		EX_TRY(cuEventElapsedTime(&ms, begin, end));
		if (ms * 1e6 < least_ns)
			least_ns = ms * 1e6;
	}
	EX_TRY(cuEventDestroy(begin));
	EX_TRY(cuEventDestroy(end));
	return least_ns;
}

double ex_calibrate(const struct ex_gpu *gpu, unsigned grid, unsigned block)
{
	CUfunction work = ex_kernel(gpu, "gpushim_work");
	uint64_t iterations = 1000;
	double short_ns, long_ns;

	/* Long enough to stand above the events' resolution (half a microsecond), short
	 * enough to fit into a slice of a shared device. */
	while ((short_ns = fastest_ns(work, grid, block, iterations)) < 100e3) {
		iterations *= short_ns < 20e3 ? 4 : 2;
		if (iterations > UINT64_C(1) << 40)
			ex_fail("The device does %llu steps in %.0f ns, which cannot be: its "
				"events do not tell time. Give --iterations instead.",
				(unsigned long long)iterations, short_ns);
	}
	/* The difference of two lengths leaves the cost of a launch out. */
	long_ns = fastest_ns(work, grid, block, iterations * 3);
	if (long_ns <= short_ns)
		ex_fail("Three times the work took no longer (%.0f ns against %.0f ns): others "
			"keep the device busy. Give --iterations instead.",
			long_ns, short_ns);
	return (double)iterations * 2 / (long_ns - short_ns) * 1000;
}

uint32_t ex_chain(uint64_t iterations)
{
	uint32_t factor = EX_CHAIN_FACTOR, addend = EX_CHAIN_ADDEND, x = 0;

	/* Two steps are again one step with other constants, so 2^k steps are cheap. */
	for (; iterations; iterations >>= 1) {
		if (iterations & 1)
			x = x * factor + addend;
		addend = addend * factor + addend;
		factor *= factor;
	}
	return x;
}
