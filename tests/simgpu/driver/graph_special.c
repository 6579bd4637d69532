/*
 * graph_special.c - nodes that depend on the graph around them: allocations, frees, child
 * graphs, conditionals and their handles.
 */
#include "driver/graph.h"

#include <stdlib.h>
#include <string.h>

/* Bodies of conditionals, and graphs inside them, take few kinds of nodes (cuda.h,
 * CUDA_CONDITIONAL_NODE_PARAMS). */
static bool inside_body(const struct sim_graph *graph)
{
	for (; graph->owner; graph = graph->owner->graph)
		if (graph->owner->params.type == CU_GRAPH_NODE_TYPE_CONDITIONAL)
			return true;
	return false;
}

static bool fits_body(const struct sim_params *params)
{
	switch (params->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
	case CU_GRAPH_NODE_TYPE_MEMCPY:
	case CU_GRAPH_NODE_TYPE_MEMSET:
	case CU_GRAPH_NODE_TYPE_EMPTY:
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		return true;
	case CU_GRAPH_NODE_TYPE_GRAPH:
		for (struct sim_node *node = params->child.graph->first; node;
		     node = node->next)
			if (!fits_body(&node->params))
				return false;
		return true;
	default:
		return false;
	}
}

bool sim_node_allowed(const struct sim_graph *graph, const struct sim_params *params)
{
	return !inside_body(graph) || fits_body(params);
}

/* ---- memory ---- */

static bool valid_location(const CUmemLocation *location)
{
	return location->type == CU_MEM_LOCATION_TYPE_DEVICE && location->id >= 0 &&
	       (unsigned)location->id < sim.hello.devices;
}

static CUresult check_alloc(const CUDA_MEM_ALLOC_NODE_PARAMS *in)
{
	if (in->poolProps.allocType != CU_MEM_ALLOCATION_TYPE_PINNED ||
	    in->poolProps.handleTypes != CU_MEM_HANDLE_TYPE_NONE ||
	    !valid_location(&in->poolProps.location) || in->bytesize == 0 ||
	    in->accessDescCount > sim.hello.devices ||
	    (in->accessDescCount && !in->accessDescs))
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < in->accessDescCount; i++)
		if (!valid_location(&in->accessDescs[i].location) ||
		    in->accessDescs[i].flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
			return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static CUresult make_alloc(struct sim_graph *graph, CUgraphNodeParams *in,
			   const CUgraphNode *deps, size_t ndeps, struct sim_params *out)
{
	CUDA_MEM_ALLOC_NODE_PARAMS *given = &out->alloc.given;
	size_t bytes;
	CUresult res;

	memcpy(given, &in->alloc, sizeof(*given));
	res = graph->owner ? CUDA_ERROR_INVALID_VALUE : check_alloc(given);
	if (res != CUDA_SUCCESS)
		return res;
	bytes = given->accessDescCount * sizeof(*given->accessDescs);
	given->accessDescs = malloc(bytes + 1);
	if (!given->accessDescs)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (bytes)
		memcpy((void *)given->accessDescs, in->alloc.accessDescs, bytes);
	res = sim_memory_piece_new(graph, (unsigned)given->poolProps.location.id,
				   given->bytesize, deps, ndeps, &out->alloc.piece,
				   &given->dptr);
	if (res != CUDA_SUCCESS)
		free((void *)given->accessDescs);
	else
		in->alloc.dptr = given->dptr;
	return res;
}

static CUresult make_free(struct sim_graph *graph, const CUgraphNodeParams *in,
			  struct sim_params *out)
{
	if (graph->owner)
		return CUDA_ERROR_INVALID_VALUE;
	out->release.addr = in->free.dptr;
	return sim_memory_piece_free_node(graph, in->free.dptr, &out->release.piece);
}

/* ---- children ---- */

static CUresult make_child(struct sim_graph *graph, const CUgraphNodeParams *in,
			   struct sim_params *out)
{
	struct sim_graph *child;
	CUresult res = sim_graph_get(in->graph.graph, &child);

	if (res != CUDA_SUCCESS)
		return res;
	out->child.ownership = in->graph.ownership;
	if (child->conditionals || child->captures)
		return CUDA_ERROR_INVALID_VALUE;
	if (in->graph.ownership == CU_GRAPH_CHILD_GRAPH_OWNERSHIP_CLONE)
		return child->memory_nodes
			       ? CUDA_ERROR_INVALID_VALUE
			       : sim_graph_copy(child, false, &out->child.graph);
	if (in->graph.ownership != CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE || child->owner ||
	    child->exec || (graph->owner && child->memory_nodes))
		return CUDA_ERROR_INVALID_VALUE;
	for (struct sim_graph *at = graph; at; at = at->owner ? at->owner->graph : NULL)
		if (at == child)
			return CUDA_ERROR_INVALID_VALUE;
	out->child.graph = child;
	return CUDA_SUCCESS;
}

/* ---- conditionals ---- */

struct sim_condition *sim_condition_find(struct sim_graph *graph, uint64_t id)
{
	for (; graph; graph = graph->owner ? graph->owner->graph : NULL)
		for (struct sim_condition *at = graph->conditions; at; at = at->next)
			if (at->id == id)
				return at;
	return NULL;
}

static CUresult make_conditional(struct sim_graph *graph, CUgraphNodeParams *in,
				 struct sim_params *out)
{
	const CUDA_CONDITIONAL_NODE_PARAMS *given = &in->conditional;
	struct sim_condition *condition = sim_condition_find(graph, given->handle);
	const unsigned most = given->type == CU_GRAPH_COND_TYPE_IF	? 2
			      : given->type == CU_GRAPH_COND_TYPE_WHILE ? 1
									: 1u << 16;
	struct sim_context *ctx = NULL;
	CUgraph *bodies;
	CUresult res;

	if (!condition || condition->used ||
	    (unsigned)given->type > CU_GRAPH_COND_TYPE_SWITCH || given->size == 0 ||
	    given->size > most ||
	    (graph->owner && graph->owner->params.type == CU_GRAPH_NODE_TYPE_GRAPH))
		return CUDA_ERROR_INVALID_VALUE;
	res = given->ctx ? sim_context_get(given->ctx, &ctx) : CUDA_SUCCESS;
	if (res != CUDA_SUCCESS)
		return res;
	out->ctx = ctx ? ctx : condition->ctx;
	if (out->ctx != condition->ctx)
		return CUDA_ERROR_INVALID_VALUE;
	out->conditional = *given;
	bodies = calloc(given->size, sizeof(CUgraph));
	out->conditional.phGraph_out = bodies;
	for (unsigned i = 0; bodies && i < given->size; i++) {
		bodies[i] = (CUgraph)sim_graph_new();
		if (!bodies[i]) {
			sim_params_free(out);
			bodies = NULL;
		}
	}
	if (!bodies)
		return CUDA_ERROR_OUT_OF_MEMORY;
	in->conditional.phGraph_out = bodies;
	return CUDA_SUCCESS;
}

CUresult sim_special_make(struct sim_graph *graph, CUgraphNodeParams *in,
			  const CUgraphNode *deps, size_t ndeps, struct sim_params *out)
{
	*out = (struct sim_params){ .type = in->type, .enabled = true };
	switch (in->type) {
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		return make_alloc(graph, in, deps, ndeps, out);
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		return make_free(graph, in, out);
	case CU_GRAPH_NODE_TYPE_GRAPH:
		return make_child(graph, in, out);
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		return make_conditional(graph, in, out);
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

SIM_EXPORT CUresult cuGraphConditionalHandleCreate(CUgraphConditionalHandle *pHandle_out,
						   CUgraph hGraph, CUcontext ctx,
						   unsigned int defaultLaunchValue,
						   unsigned int flags)
{
	static _Atomic uint64_t last_handle;
	CUresult res = sim_enter(SIM_FN_cuGraphConditionalHandleCreate);
	struct sim_condition *condition;
	struct sim_context *context;
	struct sim_graph *graph;

	if (res != CUDA_SUCCESS)
		return res;
	if (!pHandle_out || flags > CU_GRAPH_COND_ASSIGN_DEFAULT)
		return CUDA_ERROR_INVALID_VALUE;
	res = ctx ? sim_context_get(ctx, &context) : sim_need_context(&context);
	if (res != CUDA_SUCCESS)
		return res;
	condition = calloc(1, sizeof(*condition));
	if (!condition)
		return CUDA_ERROR_OUT_OF_MEMORY;
	condition->ctx = context;
	condition->default_value = defaultLaunchValue;
	condition->has_default = flags == CU_GRAPH_COND_ASSIGN_DEFAULT;
	condition->id = atomic_fetch_add(&last_handle, 1) + 1;
	*pHandle_out = condition->id;
	pthread_mutex_lock(&sim_graph_mutex);
	res = sim_graph_get(hGraph, &graph);
	if (res == CUDA_SUCCESS) {
		condition->next = graph->conditions;
		graph->conditions = condition;
	}
	pthread_mutex_unlock(&sim_graph_mutex);
	if (res != CUDA_SUCCESS)
		free(condition);
	return res;
}
