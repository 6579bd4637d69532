/*
 * common.h - what the examples share: options, sentences for errors, opening a device.
 *
 * Knows: the driver API by its header alone, so the same binary runs on any libcuda.so.1.
 * Refuses to know: what a program does with the device, and which driver answers.
 *
 * An example is a program of one purpose: these helpers end it with a sentence on standard
 * error and one of the exit codes below. None of them is for use in a library.
 */
#ifndef EX_COMMON_H
#define EX_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuda.h>

enum ex_exit {
	EX_EXIT_OK = 0,
	EX_EXIT_FAILED = 1, /* a call failed or a result was wrong */
	EX_EXIT_USAGE = 2,  /* the command line is wrong */
	EX_EXIT_NO_GPU = 77 /* nothing to run on; test runners read it as "skipped" */
};

/* --- options ------------------------------------------------------------------------- */

enum ex_kind {
	EX_FLAG,  /* bool: present or not */
	EX_COUNT, /* uint64_t: a whole number */
	EX_BYTES, /* uint64_t: a size such as 4096, 64KiB, 64MiB, 2GiB */
	EX_REAL,  /* double: a number, not negative */
	EX_TEXT	  /* const char *: borrowed from argv */
};

/* One row of a program's options; a row without a name ends the table. The value in place
 * before parsing is the default that --help shows (none when it is 0). */
struct ex_option {
	const char *name;
	enum ex_kind kind;
	void *value;
	uint64_t least; /* for EX_COUNT and EX_BYTES: smaller values are refused */
	const char *argument;
	const char *help;
};

/* Reads the command line into the table's values. Handles --help (exits 0) and --device N,
 * which every example has; a mistake ends the program with EX_EXIT_USAGE. summary is one
 * sentence for --help. Returns the number of the device that is asked for, or -1 when none
 * is, which ex_open takes for 0. */
int ex_options(int argc, char **argv, const char *summary,
	       const struct ex_option *options);

/* The program's name without its directory; valid after ex_options. */
const char *ex_name(void);

/* --- errors -------------------------------------------------------------------------- */

/* Ends the program with EX_EXIT_FAILED after "<name>: <sentence>" on standard error. */
_Noreturn void ex_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same with EX_EXIT_USAGE, and a pointer to --help. */
_Noreturn void ex_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Calls a driver function that must succeed; else the program ends with a sentence that
 * names the call, its line, the code, and what to do about it. */
#define EX_TRY(call) ex_try((call), #call, __FILE__, __LINE__)
void ex_try(CUresult result, const char *call, const char *file, int line);

/* "CUDA_ERROR_OUT_OF_MEMORY" and the like; a static string for any value. */
const char *ex_code_name(CUresult result);

/* --- the device ---------------------------------------------------------------------- */

enum ex_context { EX_PRIMARY_CONTEXT, EX_OWN_CONTEXT };

struct ex_gpu {
	CUdevice device;
	CUcontext context;
	CUmodule module; /* the kernels of kernels.h */
	enum ex_context kind;
};

/* Initialises the driver; without a driver or device the program ends with
 * EX_EXIT_NO_GPU. Returns the number of devices, at least 1. */
int ex_init(void);

/* ex_init, then makes a context on the device current and loads the kernels into it. Ends
 * the program if anything fails. Undone by ex_close. */
void ex_open(struct ex_gpu *gpu, int device, enum ex_context kind);
void ex_close(struct ex_gpu *gpu);

/* A kernel of kernels.h by name. */
CUfunction ex_kernel(const struct ex_gpu *gpu, const char *name);

/* An attribute of the device; 0 where the driver does not know it. */
int ex_attribute(const struct ex_gpu *gpu, CUdevice_attribute attribute);

/* Launches a one-dimensional grid; parameters as for cuLaunchKernel. */
void ex_launch(CUfunction kernel, unsigned grid, unsigned block, CUstream stream,
	       void **parameters);

/* Writes value into n words at ptr with gpushim_fill_u32, in stream order. */
void ex_fill(const struct ex_gpu *gpu, CUdeviceptr ptr, uint32_t value, uint64_t n,
	     CUstream stream);

/* Copies n words back (waiting for them) and returns how many differ from value. */
uint64_t ex_count_wrong(CUdeviceptr ptr, uint32_t value, uint64_t n);

/* Free and total bytes of the current context's device. */
uint64_t ex_free_bytes(void);
uint64_t ex_total_bytes(void);

/* --- small things -------------------------------------------------------------------- */

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t ex_now_ns(void);

/* "1.5 GiB" and the like into text, which is returned. */
const char *ex_bytes(char text[32], uint64_t bytes);

/* Iterations of gpushim_work that take a microsecond on this device with this grid, found
 * with events: the fastest of several runs shorter than a time slice, so that it is right
 * also while others use the device, unless they hold it without a gap. */
double ex_calibrate(const struct ex_gpu *gpu, unsigned grid, unsigned block);

/* What thread 0 of gpushim_work writes to its sink after that many iterations. */
uint32_t ex_chain(uint64_t iterations);

#endif
