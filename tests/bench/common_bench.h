/*
 * common_bench.h - what the benchmarks share: a clock, results as a table and as JSON, and
 * the device's books.
 *
 * Knows: that every figure has a bare counterpart measured in the same run, and where
 * results go ($BUILD/bench/NAME.json). Refuses to know: what is measured.
 *
 * Nothing is printed that was not measured. A benchmark's exit status says whether it could
 * measure, not whether it liked the figures: a target that is missed is a line of text, as
 * the machine may be to blame; tests decide.
 */
#ifndef COMMON_BENCH_H
#define COMMON_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <cuda.h>

#include "simgpu.h"

/* ---- results ---- */

/* Begins the table of a benchmark; `name` names its JSON file. */
void bench_begin(const char *name, const char *title);
/* One row: a figure with its bare counterpart and the target for `figure - bare` or, with a
 * bare of NAN, for the figure. `most`: the target is an upper bound, else a lower one. A
 * target of NAN is none. id and what are copied, unit is borrowed for good. */
void bench_row(const char *id, const char *what, const char *unit, double figure,
	       double bare, double target, bool most);
/* Writes the JSON file. Returns the program's exit status. */
int bench_end(void);

/* ---- time ---- */

uint64_t bench_now_ns(void); /* CLOCK_MONOTONIC */
/* The median of n figures; reorders them. */
double bench_median(double *figures, unsigned n);

/* ---- CUDA ---- */

/* Ends the program with a sentence when a call fails. */
#define BENCH_TRY(call) bench_try((call), #call, __FILE__, __LINE__)
void bench_try(CUresult result, const char *call, const char *file, int line);

struct bench_gpu {
	CUcontext context;
	CUmodule module;
	CUfunction work;
};
void bench_gpu_open(struct bench_gpu *gpu);
/* One kernel of that many steps (nanoseconds, on the simulated device). */
void bench_work(const struct bench_gpu *gpu, CUstream stream, uint64_t steps);

/* ---- the device ---- */

struct simgpu_monitor *bench_monitor(void);
struct simgpu_truth *bench_truth(struct simgpu_monitor *monitor);

#endif
