/*
 * gate.h - what a hook does around anything that uses the SMs: kernels, graphs, memsets,
 * copies within or between devices.
 *
 *	struct gsh_pass pass;
 *
 *	GSH_NEED(cuLaunchKernel);
 *	if (gsh_gate_enter(&launch, &pass) != CUDA_SUCCESS)     // waits here if it must
 *		return pass.res;
 *	res = gsh_driver.cuLaunchKernel(...);
 *	gsh_gate_leave(&pass, res);
 *
 * The launch is charged in advance at the learned cost of its signature. Most are decided by
 * a few compares in a record of the calling thread (a *lane*), without an atomic operation,
 * a clock, or a driver call. Some are *sampled*: events are recorded around them on their
 * own stream, and what those say settles the account later (meter.c).
 *
 * While its stream captures, a launch is neither held nor charged nor recorded.
 *
 * Any thread. Nothing is locked while a launch waits. Mode is looked at here: a transparent
 * process pays two calls and a few loads.
 */
#ifndef GSH_CUDA_GATE_H
#define GSH_CUDA_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "gpushim/ledger.h"

/* Streams without a handle, as in cuda.h. A hook passes CU_STREAM_LEGACY for stream 0, or
 * CU_STREAM_PER_THREAD if it is a _ptsz or _ptds twin. */
#define GSH_STREAM_LEGACY UINT64_C(1)
#define GSH_STREAM_PER_THREAD UINT64_C(2)

/* What is launched. Two launches with the same `code` and `shape` cost about the same. */
struct gsh_launch {
	uint64_t stream;
	uint64_t code;	   /* function, executable graph; of memsets and copies 0 */
	uint64_t shape[4]; /* grid, block, shared bytes; of the others size classes */
	uint32_t kind;	   /* enum gpushim_launch_kind */
};

/* From enter to leave. */
struct gsh_pass {
	int res;       /* CUresult of enter */
	bool sampled;  /* events are recorded around it */
	bool blind;    /* there are none: it is waited for */
	bool unlisted; /* no records are kept of it: see unlisted.c */
	uint32_t bracket;
	uint64_t cost_ns; /* charged in advance */
	void *lane;
	void *entry; /* of the lane: what it counts */
	void *stream;
	uint32_t row, cost_class;
	uint64_t charged_ns; /* of blind and unlisted ones, to the bucket */
};

/* kernel: x | y << 32, z | block x << 32, block y | block z << 32, shared bytes. */
static inline void gsh_launch_kernel(struct gsh_launch *launch, uint64_t function,
				     const uint32_t grid[3], const uint32_t block[3],
				     uint32_t shared_bytes, uint64_t stream)
{
	launch->stream = stream;
	launch->code = function;
	launch->shape[0] = grid[0] | (uint64_t)grid[1] << 32;
	launch->shape[1] = grid[2] | (uint64_t)block[0] << 32;
	launch->shape[2] = block[1] | (uint64_t)block[2] << 32;
	launch->shape[3] = shared_bytes;
	launch->kind = GPUSHIM_LAUNCH_KERNEL;
}

/*
 * Bytes within a device, or set there: sizes of one class (an eighth of a power of two)
 * share a signature. what tells apart kinds of copies or widths of elements.
 */
void gsh_launch_bytes(struct gsh_launch *launch, enum gpushim_launch_kind kind,
		      uint32_t what, uint64_t bytes, uint64_t stream);

/* An executable graph. */
void gsh_launch_graph(struct gsh_launch *launch, uint64_t exec, uint64_t stream);

/*
 * Waits until the launch may go ahead, and charges it. Returns CUDA_SUCCESS, or what the
 * call is to return instead of launching (in CLOSED mode): also in pass->res.
 */
int gsh_gate_enter(const struct gsh_launch *launch, struct gsh_pass *pass);

/* After the driver's call, with what it returned; a launch that failed is not charged. */
void gsh_gate_leave(struct gsh_pass *pass, int res);

/* ---- what else the gate must be told; all cheap, all in ACTIVE mode only ---- */

/* Captures: count of those open in the process. Before Begin; after a Begin that failed, or
 * an End that ended one. */
void gsh_gate_capture_begins(void);
void gsh_gate_capture_ended(void);

/* Before the driver destroys a stream. */
void gsh_gate_stream_gone(uint64_t handle);
/* Before the driver destroys a context (or resets the primary one); its events go with it. */
void gsh_gate_context_gone(uint64_t handle);
/* The calling thread's current context is about to change: its lane looks again. */
void gsh_gate_context_changes(void);
/* After code was unloaded: handles of functions may come again with other code. */
void gsh_gate_code_gone(void);
/* An executable graph was made or changed, or is about to go: what it cost is doubted. */
void gsh_gate_graph_changed(uint64_t exec);

#endif
