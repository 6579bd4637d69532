/*
 * graph.h - graphs, their nodes and executable graphs, as the files of this family share
 * them.
 *
 * Knows: what a node holds, how nodes are tied together, what belongs to an executable
 * graph and when that may be freed. Refuses to know: how captured streams grow a graph
 * (capture.c) and how the device runs one.
 *
 * Threads: graphs, nodes and captures are under sim_graph_mutex; an executable graph has a
 * lock of its own, taken after it. The lock of graph memory is taken last. None of them is
 * held while work is submitted, since that may block. They come before the locks of
 * driver.h.
 */
#ifndef SIM_GRAPH_H
#define SIM_GRAPH_H

#include "driver/driver.h"

struct sim_graph;
struct sim_node;
struct sim_exec;
struct sim_memory_piece;
struct sim_memory_region;
struct sim_memory_use;

extern pthread_mutex_t sim_graph_mutex;

/* ---- what a node does (graph_params.c) ---- */

#define SIM_KERNEL_ATTRIBUTES 17 /* ids of CUlaunchAttributeID that can be kept */

struct sim_kernel_params {
	CUfunction func; /* as it was given; NULL when kern was */
	CUkernel kern;
	struct sim_function *function; /* not followed once its module may have gone */
	struct sim_rec_kernel rec;
	unsigned char *args; /* rec.param_bytes of them, or NULL */
	void **list;	     /* kernelParams for a query, into args */
	size_t nlist;
	size_t packed_bytes; /* given through `extra`: for a query */
	void *extra[5];
	uint32_t set;			    /* bit per attribute */
	CUlaunchAttributeValue *attributes; /* NULL until one is set */
};

struct sim_params {
	CUgraphNodeType type;
	struct sim_context *ctx; /* NULL: runs in none */
	int priority;		 /* of kernels */
	bool enabled;
	union {
		struct sim_kernel_params kernel;
		struct {
			CUDA_MEMCPY3D desc;
			struct sim_rec_copy rec;
		} copy;
		struct {
			CUDA_MEMSET_NODE_PARAMS desc;
			struct sim_rec_memset rec;
		} set;
		CUDA_HOST_NODE_PARAMS host;
		struct {
			struct sim_graph *graph; /* owned */
			CUgraphChildGraphNodeOwnership ownership;
		} child;
		struct sim_event *event;
		struct {
			CUDA_MEM_ALLOC_NODE_PARAMS given; /* accessDescs owned */
			struct sim_memory_piece *piece;	  /* one reference */
		} alloc;
		struct {
			CUdeviceptr addr;
			struct sim_memory_piece *piece; /* one reference */
		} release;
		CUDA_BATCH_MEM_OP_NODE_PARAMS_v2 memop; /* paramArray owned */
		CUDA_CONDITIONAL_NODE_PARAMS
		conditional; /* phGraph_out owned, with graphs */
	};
};

/* Checks and copies a description of any kind of node but allocations, frees, children and
 * conditionals, which need their graph (graph_special.c). Without sim_graph_mutex: may load
 * code. *out is to be freed with sim_params_free(). */
CUresult sim_params_make(const CUgraphNodeParams *in, struct sim_params *out);
/* The description again; its arrays stay with the node. */
void sim_params_get(const struct sim_params *params, CUgraphNodeParams *out);
/* A copy that owns what it points to. With `exec` graphs inside are copied for execution:
 * memory nodes and conditionals are allowed. */
CUresult sim_params_copy(const struct sim_params *from, bool exec, struct sim_params *to);
void sim_params_free(struct sim_params *params);

/* A captured kernel, copy or memset. */
CUresult sim_params_from_kernel(struct sim_function *function,
				const struct sim_rec_kernel *rec, const void *args,
				struct sim_params *out);
void sim_params_from_copy(struct sim_context *ctx, const struct sim_rec_copy *rec,
			  struct sim_params *out);
void sim_params_from_memset(struct sim_context *ctx, const struct sim_rec_memset *rec,
			    struct sim_params *out);

/* graph_kernel.c */
CUresult sim_kernel_make(const CUDA_KERNEL_NODE_PARAMS_v3 *in, struct sim_params *out);
void sim_kernel_get(const struct sim_kernel_params *params,
		    CUDA_KERNEL_NODE_PARAMS_v3 *out);
CUresult sim_kernel_copy(const struct sim_kernel_params *from,
			 struct sim_kernel_params *to);
void sim_kernel_free(struct sim_kernel_params *params);

/* One operation of a batch: its record, or false when it does nothing on the device. */
bool sim_memop_record(const CUstreamBatchMemOpParams *op, enum sim_record_kind *kind,
		      struct sim_rec_value *rec);

/* ---- graphs (graph.c, graph_edges.c) ---- */

struct sim_link {
	struct sim_node *node;
	CUgraphEdgeData data;
};

struct sim_links {
	struct sim_link *at;
	size_t count, room;
};

struct sim_node { /* CUgraphNode */
	struct sim_object object;
	uint64_t id;
	uint64_t cloned_from; /* id of the node this is a copy of, 0: none */
	struct sim_graph *graph;
	struct sim_node *prev, *next; /* in the order of creation */
	struct sim_links deps, outs;
	uint64_t mark; /* scratch of walks */
	size_t index;
	struct sim_params params;
};

/* A conditional handle. */
struct sim_condition {
	uint64_t id; /* CUgraphConditionalHandle */
	struct sim_context *ctx;
	uint32_t default_value;
	bool has_default, used;
	struct sim_condition *next;
};

struct sim_user_ref {
	struct sim_user *user;
	uint64_t count;
	struct sim_user_ref *next;
};

struct sim_graph { /* CUgraph */
	struct sim_object object;
	uint64_t id;
	uint64_t cloned_from; /* id of the graph this is a copy of, 0: none */
	struct sim_node *first, *last;
	size_t count;
	struct sim_node
		*owner;	       /* a child graph or body belongs to this node, else NULL */
	unsigned memory_nodes; /* allocations and frees, in moved children too */
	unsigned conditionals;
	unsigned captures;     /* open captures that put nodes here */
	struct sim_exec *exec; /* the only one, while there is one, if only one may be */
	struct sim_memory_region *memory; /* where its allocations lie, or NULL */
	struct sim_condition *conditions;
	struct sim_user_ref *users;
};

/* Handles of the application: CUDA_ERROR_INVALID_VALUE. Under sim_graph_mutex. */
CUresult sim_graph_get(CUgraph handle, struct sim_graph **graph);
CUresult sim_node_get(CUgraphNode handle, struct sim_node **node);

/* NULL when out of memory. */
struct sim_graph *sim_graph_new(void);
/* Frees nodes, children, bodies and references too. */
void sim_graph_free(struct sim_graph *graph);
/* With `exec` as sim_params_copy(). */
CUresult sim_graph_copy(const struct sim_graph *from, bool exec, struct sim_graph **out);

/* Whether these are different nodes of the graph: CUDA_ERROR_INVALID_VALUE. */
CUresult sim_deps_check(struct sim_graph *graph, const CUgraphNode *deps, size_t count);
/* Adds a node after `count` nodes of the graph; edges (may be NULL) have been checked.
 * Takes what params own, on failure too. CUDA_ERROR_INVALID_VALUE for nodes that are not of
 * this graph or named twice. */
CUresult sim_node_add(struct sim_graph *graph, struct sim_params *params,
		      const CUgraphNode *deps, const CUgraphEdgeData *edges, size_t count,
		      struct sim_node **out);
/* The same without edges; takes params on success only. NULL when out of memory. */
struct sim_node *sim_node_append(struct sim_graph *graph, struct sim_params *params);
void sim_node_remove(struct sim_node *node);
CUresult sim_edge_check(const struct sim_node *from, CUgraphNodeType to,
			const CUgraphEdgeData *data);
/* False when out of memory; the edge is new. */
bool sim_edge_add(struct sim_node *from, struct sim_node *to,
		  const CUgraphEdgeData *data);

/* Marks everything that the nodes depend on, and themselves, with the returned mark. */
uint64_t sim_mark_ancestors(const CUgraphNode *nodes, size_t count);

/* The nodes such that each comes after all it depends on: graph->count of them, to be
 * freed; node->index is the place. CUDA_ERROR_INVALID_VALUE with *bad when the graph has a
 * cycle. */
CUresult sim_graph_sort(struct sim_graph *graph, struct sim_node ***out,
			struct sim_node **bad);

/* graph_special.c: as sim_params_make(), for the kinds that need their graph. */
CUresult sim_special_make(struct sim_graph *graph, CUgraphNodeParams *in,
			  const CUgraphNode *deps, size_t ndeps, struct sim_params *out);
/* Bodies of conditionals take few kinds of nodes. */
bool sim_node_allowed(const struct sim_graph *graph, const struct sim_params *params);
/* The handle's condition in the graph that holds it, or NULL. */
struct sim_condition *sim_condition_find(struct sim_graph *graph, uint64_t id);

/* graph_add.c: adds a node described by the application, of any kind. */
CUresult sim_graph_add(CUgraphNode *out, CUgraph handle, const CUgraphNode *deps,
		       const CUgraphEdgeData *edges, size_t ndeps, CUgraphNodeParams *in);
/* graph_nodes.c: what cuGraphNodeSetParams does. */
CUresult sim_node_set(CUgraphNode handle, const CUgraphNodeParams *in);
/* Puts new parameters in place of old ones of the same type; attributes stay. */
void sim_params_replace(struct sim_params *old, struct sim_params *new);
CUresult sim_node_query(CUgraphNode handle, CUgraphNodeType type, CUgraphNodeParams *out);

/* ---- executable graphs (graph_exec.c, graph_lower.c, graph_update.c) ---- */

/* A point in a stream's work; its slot outlives the stream. */
struct sim_mark {
	uint32_t slot;
	uint64_t seq; /* 0: nothing */
};
bool sim_mark_done(const struct sim_mark *mark);

/* A graph as the device holds it. */
struct sim_lowered {
	unsigned refs; /* under the exec's lock */
	uint32_t id;
	uint32_t ctx_id;
	struct sim_mark mark; /* its last launch */
	uint64_t *tokens;     /* of host functions */
	size_t ntokens;
};

struct sim_exec { /* CUgraphExec */
	struct sim_object object;
	pthread_mutex_t lock; /* guards all below */
	bool plain;	      /* no events, host functions or memory; never changes */
	uint64_t flags;
	struct sim_graph *graph; /* a private copy */
	/* Under sim_graph_mutex; NULL once it has gone, or if many executable graphs may be
	 * made of it. */
	struct sim_graph *source;
	struct sim_context *ctx;
	bool dirty; /* what the device holds is out of date */
	struct sim_lowered *lowered;
	/* The last launch, and the last of what the device held before `lowered`. */
	struct sim_mark last, before;
	/* What its nodes record; event_slots[i] while they live. */
	struct sim_event **events;
	uint32_t *event_slots;
	size_t nevents;
	CUDA_HOST_NODE_PARAMS *hosts; /* zero-cost mode: called by each launch */
	size_t nhosts;
	struct sim_memory_use *memory; /* NULL without memory nodes */
};

CUresult sim_exec_get(CUgraphExec handle, struct sim_exec **exec);
/* Room for one element more in an array of `count`; false when out of memory. */
bool sim_array_grow(void **array, size_t count, size_t bytes_each);
/* graph_lower.c: the image of exec->graph (*data is to be freed, on failure too); tokens of
 * host functions are put into `lowered`. */
CUresult sim_image_build(struct sim_exec *exec, struct sim_lowered *lowered,
			 unsigned char **data, size_t *bytes);
/* A launch records the event. */
bool sim_exec_note_event(struct sim_exec *exec, struct sim_event *event);
/* Makes what the device executes from exec->graph, in exec->lowered, and the lists beside
 * it. Under exec->lock. */
CUresult sim_exec_lower(struct sim_exec *exec);
void sim_lowered_unref(struct sim_lowered *lowered);
/* What cuGraphUpload does. */
CUresult sim_exec_upload(struct sim_exec *exec, struct sim_stream *stream);
/* The copy of a node of the application's graph, children and bodies included, or NULL. */
struct sim_node *sim_exec_node(struct sim_graph *graph, const struct sim_node *node);
/* Whether a node of an executable graph may change so; both are of one type, graphs inside
 * are not compared. With `priorities` the priority must stay. */
CUgraphExecUpdateResult sim_params_change(const struct sim_params *old,
					  const struct sim_params *new, bool priorities);
/* What cuGraphExecNodeSetParams, cuGraphExecUpdate_v2 (info is always filled), and
 * cuGraphNodeSetEnabled and its opposite do. */
CUresult sim_exec_set(CUgraphExec handle, CUgraphNode node, const CUgraphNodeParams *in);
CUresult sim_exec_update(CUgraphExec handle, CUgraph graph,
			 CUgraphExecUpdateResultInfo *info);
CUresult sim_exec_enabled(CUgraphExec handle, CUgraphNode node, const unsigned *set,
			  unsigned *get);

/* ---- graph memory (graph_memory.c) ---- */

/* An address for an allocation node of the graph, fixed from here on. */
CUresult sim_memory_piece_new(struct sim_graph *graph, unsigned device, uint64_t bytes,
			      const CUgraphNode *deps, size_t ndeps,
			      struct sim_memory_piece **piece, CUdeviceptr *addr);
/* The piece that a free node in this graph may free: INVALID_VALUE if there is none. Takes
 * a reference. */
CUresult sim_memory_piece_free_node(struct sim_graph *graph, CUdeviceptr addr,
				    struct sim_memory_piece **out);
/* The node that was made for a piece: the allocation, or a free. */
void sim_memory_piece_allocated_by(struct sim_memory_piece *piece, struct sim_node *node);
void sim_memory_piece_freed_by(struct sim_memory_piece *piece, struct sim_node *node);
/* Whether a free node comes after the allocation, if that is in the same graph. */
bool sim_memory_free_is_ordered(struct sim_node *node);
void sim_memory_piece_ref(struct sim_memory_piece *piece);
void sim_memory_piece_unref(struct sim_memory_piece *piece);
void sim_memory_region_unref(struct sim_memory_region *region);

/* What an executable graph does to memory at each launch; NULL without memory nodes. */
CUresult sim_memory_use_new(struct sim_graph *graph, struct sim_memory_use **out);
void sim_memory_use_free(struct sim_memory_use *use);
/* Gives the allocations memory (upload), and for a launch takes note of what it allocates
 * and frees. INVALID_VALUE when something is still allocated that may not be, or not
 * allocated that is to be freed; OUT_OF_MEMORY. */
CUresult sim_memory_use_upload(struct sim_memory_use *use);
CUresult sim_memory_use_launch(struct sim_memory_use *use, bool auto_free);
void sim_memory_use_launched(struct sim_memory_use *use, const struct sim_mark *mark);

/* cuMemFree, cuMemFreeAsync: takes back an allocation that a launch made and its graph does
 * not free itself. False if the address is none. The memory may be used again once the work
 * submitted to the stream so far is done (NULL: at once). */
bool sim_graph_memory_free(CUdeviceptr addr);
bool sim_graph_memory_free_async(CUdeviceptr addr, const struct sim_stream *stream);

/* ---- user objects, and things to do when work is done (graph_user.c, graph_later.c) ---- */

/* Every reference in the list once more, for a copy of the graph. */
CUresult sim_user_refs_copy(const struct sim_user_ref *from, struct sim_user_ref **to);
void sim_user_refs_drop(struct sim_user_ref *list);

/* Calls run(arg) on an internal thread, once ready(arg) (NULL: at once). False when out of
 * memory: nothing will be called. */
bool sim_later(bool (*ready)(void *arg), void (*run)(void *arg), void *arg);

/* ---- for capture.c ---- */

/* Adds a child graph node with a copy of what the executable graph holds: a graph launched
 * into a capturing stream. */
CUresult sim_capture_graph(struct sim_stream *stream, struct sim_exec *exec);

#endif
