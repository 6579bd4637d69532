/*
 * graph.h - memory that graphs allocate.
 *
 * Nodes that allocate hold nothing until their graph is uploaded or launched; then memory
 * comes from one pool per device that belongs to graphs alone, and goes back to the device
 * only when that is trimmed (CUDA Programming Guide, "Graph Memory Nodes"). So it is charged
 * as a pool is, at what it has reserved, and a launch is charged beforehand what its graph
 * may need at most.
 *
 * An executable graph that was launched keeps its memory until another launch may have
 * taken it or a trim released it; while that is certain not to have happened, launching it
 * again needs nothing.
 *
 * ACTIVE mode only. Any thread.
 */
#ifndef GSH_CUDA_GRAPH_H
#define GSH_CUDA_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda/growth.h"
#include "cuda/hook.h"
#include "cuda/pages.h"

struct gsh_exec; /* what an executable graph needs of one device */

struct gsh_graph_device {
	struct gsh_growth growth; /* its lock guards the epoch too */
	int32_t ordinal;	  /* atomic; CUdevice plus one; 0: never used */
	uint64_t
		epoch; /* another one: memory may have passed from one graph to another */
	uint32_t openings; /* calls under way that have each begun an epoch */
};

enum { GSH_GRAPH_BUCKETS = 512 };

struct gsh_graphs {
	struct gsh_lock lock; /* guards execs and pieces; before the locks of devices */
	uint32_t count;	      /* atomic; of entries */
	struct gsh_pieces pieces;
	struct gsh_exec *execs[GSH_GRAPH_BUCKETS];
	struct gsh_graph_device devices[GPUSHIM_DEVICES_MAX]; /* by row */
};

/* Whether any executable graph of this process allocates. Two loads. */
static inline bool gsh_graphs_any(void)
{
	struct gsh_graphs *graphs = gsh_load_acquire(&gsh_process->graphs);

	return gsh_unlikely(graphs && gsh_load_relaxed(&graphs->count));
}

/* False: it certainly does not. A load or two more, whatever other graphs do. */
bool gsh_graph_may_allocate(uint64_t exec);

/* ---- instantiating ---- */

struct gsh_graph_needs {
	struct {
		uint64_t bytes;
		int32_t ordinal;
	} rows[GPUSHIM_DEVICES_MAX];
	bool any;
	struct gsh_exec *prepared;
};

/*
 * Before the driver instantiates: what the graph's nodes allocate at most, and room to
 * remember it. OUT_OF_MEMORY: the system has none.
 */
CUresult gsh_graph_needs(CUgraph graph, struct gsh_graph_needs *needs);
/* Afterwards; handle: CUgraphExec, 0: it failed. */
void gsh_graph_instantiated(struct gsh_graph_needs *needs, uint64_t handle);
void gsh_graph_exec_destroyed(uint64_t handle);

/* ---- launching, uploading ---- */

struct gsh_graph_part {
	struct gsh_growth_call call;
	uint64_t mapped, epoch;
	int32_t row;
	bool alone; /* no other had an epoch open when this one opened its */
};

struct gsh_graph_launch {
	uint64_t exec;
	uint32_t count;
	struct gsh_graph_part parts[GPUSHIM_DEVICES_MAX];
};

/* CUDA_SUCCESS: call the driver, then end; OUT_OF_MEMORY (a denial), NOT_PERMITTED. */
CUresult gsh_graph_launch_begin(struct gsh_graph_launch *launch, uint64_t handle);
/* The same for a graph that is uploaded while it is instantiated. */
CUresult gsh_graph_upload_begin(struct gsh_graph_launch *launch,
				const struct gsh_graph_needs *needs);
void gsh_graph_launch_end(struct gsh_graph_launch *launch, bool launched);

/* ---- giving back ---- */

/* The driver's cuDeviceGraphMemTrim. */
CUresult gsh_graph_trim(int ordinal, int row);
/* Trims the device's. Returns how many bytes were refunded. */
uint64_t gsh_graphs_trim(int row);
/* Adds what goes on in the memory of the device's graphs. */
void gsh_graphs_look(int row, struct gsh_activity *activity);

#endif
