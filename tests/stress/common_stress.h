/*
 * common_stress.h - what the stress tests share: the device's books, random numbers,
 * children, and a neighbour whose results are checked.
 *
 * Knows: device truth and the driver API. Refuses to know: what harm a test does.
 *
 * The test program itself never initialises CUDA, so that it can fork clients cheaply and
 * judge them from outside. Children report through exit codes and pipes: CUnit's lists are
 * the parent's.
 */
#ifndef COMMON_STRESS_H
#define COMMON_STRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <cuda.h>

#include "simgpu.h"

/* ---- random numbers (splitmix64): a seed is a test's whole story ---- */

struct stress_random {
	uint64_t state;
};
uint64_t stress_random(struct stress_random *random);
/* Uniform in [0, n), n > 0. */
uint64_t stress_below(struct stress_random *random, uint64_t n);

/* ---- the device seen from outside ---- */

/* Connects to the device of SIMGPU_STATE, starting it; fails the test fatally if not. */
struct simgpu_monitor *stress_monitor(void);
/* All books; never NULL. */
struct simgpu_truth *stress_truth(struct simgpu_monitor *monitor);
/* Clients still connected. */
unsigned stress_clients(const struct simgpu_truth *truth);
/* Whether the device holds exactly these bytes, nothing is pending in any of at most
 * `contexts` contexts, and its books of time add up. Prints what does not. */
bool stress_nothing_left(struct simgpu_monitor *monitor, uint64_t used_bytes,
			 uint64_t requested_bytes, unsigned contexts);
/* Waits until at most n clients are connected; false if that never happens. */
bool stress_await_clients(struct simgpu_monitor *monitor, unsigned n);

/* ---- children ---- */

/* Starts body(arg) in a child that dies with this process; its result is the exit code. */
pid_t stress_child(int (*body)(void *arg), void *arg);
/* Waits for it: the exit code, or 128 + the signal that ended it. */
int stress_wait(pid_t pid);
void stress_pause_us(unsigned us);

/* ---- in children ---- */

/* The PTX of the examples. */
extern const char *const stress_kernels;
/* A context with its kernels. */
struct stress_gpu {
	CUcontext context;
	CUmodule module;
	CUfunction fill, saxpy, reduce, work, spin_word;
};
/* 0, or 1 after a sentence on standard error. */
int stress_gpu_open(struct stress_gpu *gpu);
CUresult stress_launch(CUfunction kernel, CUstream stream, unsigned grid,
		       void **parameters);
/* Fills, computes and copies back a few thousand numbers. False when a result is wrong or a
 * call failed, after a sentence. */
bool stress_gpu_works(const struct stress_gpu *gpu, uint32_t seed);

/* A neighbour: computes with checked results until it is told to end. */
struct stress_neighbour {
	pid_t pid;
	int hold;		   /* closed: it ends */
	volatile uint64_t *rounds; /* shared: checked results so far */
};
struct stress_neighbour stress_neighbour_start(void);
/* Ends it; true if all its results were right and it got at least one more since `rounds`. */
bool stress_neighbour_end(struct stress_neighbour *neighbour, uint64_t rounds);

#endif
