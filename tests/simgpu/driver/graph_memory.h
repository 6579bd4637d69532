/*
 * graph_memory.h - where graph memory lies (graph_memory.c) and where it comes from
 * (graph_pool.c): what the two share.
 *
 * All functions are called under sim_memory_lock, which is taken after the other locks of
 * graph.h.
 */
#ifndef SIM_GRAPH_MEMORY_H
#define SIM_GRAPH_MEMORY_H

#include "driver/graph.h"

extern pthread_mutex_t sim_memory_lock;

/* Addresses of a graph that get memory and lose it together. */
struct sim_memory_chunk {
	unsigned device;
	uint64_t addr, bytes; /* whole granules */
	uint64_t taken;	      /* by allocations, from the beginning */
	uint64_t handle;      /* of the memory mapped here, 0: none */
	struct sim_memory_chunk *next;
};

/* A place for allocations that do not exist at once. */
struct sim_memory_slot {
	CUdeviceptr addr;
	uint64_t bytes;
	struct sim_memory_chunk *chunk;
	struct sim_memory_piece *current; /* the last that has this place */
	struct sim_memory_slot *next;
};

/* The memory of one allocation node. */
struct sim_memory_piece {
	unsigned refs;
	struct sim_memory_region *region; /* one reference */
	struct sim_memory_slot *slot;
	uint64_t graph;		   /* id of the graph that allocates it */
	struct sim_node *node;	   /* that allocates it, in that graph */
	struct sim_node *freed_by; /* in the same graph, or NULL */
	bool freed_elsewhere;	   /* another graph has a free node for it */
	bool allocated;
	bool pending; /* a launch being prepared will allocate it */
};

/* All memory of a graph. */
struct sim_memory_region {
	unsigned refs;		/* of the graph and of its pieces */
	unsigned allocated;	/* pieces that a launch has allocated and nothing freed */
	unsigned busy;		/* launches being submitted */
	struct sim_mark *marks; /* work that may use it */
	size_t nmarks;
	struct sim_memory_chunk *chunks;
	struct sim_memory_slot *slots;
	struct sim_memory_region *next;
};

/* Allocated pieces keep themselves. */
void sim_memory_set_allocated(struct sim_memory_piece *piece, bool allocated);

/* With one reference; NULL when out of memory. */
struct sim_memory_region *sim_memory_region_new(void);
/* Gives its memory back to the pool and takes it out of the list of regions. */
void sim_memory_forget(struct sim_memory_region *region);
/* Work that may use the region. */
void sim_memory_mark(struct sim_memory_region *region, const struct sim_mark *mark);
/* Nothing is allocated in it and no work uses it. */
bool sim_memory_idle(struct sim_memory_region *region);
/* Puts memory behind the chunk: unused memory of the pool, of an idle region, or new.
 * CUDA_ERROR_OUT_OF_MEMORY. */
CUresult sim_memory_back(struct sim_memory_chunk *chunk);

#endif
