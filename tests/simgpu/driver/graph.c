/*
 * graph.c - graphs as objects: made and destroyed, and the nodes in them.
 *
 * Knows: who owns a node, a child graph and a body; which structures may still be altered.
 * Refuses to know: what nodes do (graph_params.c) and how they are ordered
 * (graph_edges.c).
 */
#include "driver/graph.h"

#include <stdlib.h>

pthread_mutex_t sim_graph_mutex = PTHREAD_MUTEX_INITIALIZER;

static uint64_t
	last_id; /* of nodes and graphs; under sim_graph_mutex or not yet shared */

static uint64_t new_id(void)
{
	return __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
}

CUresult sim_graph_get(CUgraph handle, struct sim_graph **graph)
{
	if (!sim_object_check(handle, SIM_T_GRAPH))
		return CUDA_ERROR_INVALID_VALUE;
	*graph = (struct sim_graph *)handle;
	return CUDA_SUCCESS;
}

CUresult sim_node_get(CUgraphNode handle, struct sim_node **node)
{
	if (!sim_object_check(handle, SIM_T_NODE))
		return CUDA_ERROR_INVALID_VALUE;
	*node = (struct sim_node *)handle;
	return CUDA_SUCCESS;
}

struct sim_graph *sim_graph_new(void)
{
	struct sim_graph *graph = sim_object_new(SIM_T_GRAPH, sizeof(*graph));

	if (graph)
		graph->id = new_id();
	return graph;
}

static void node_free(struct sim_node *node)
{
	sim_params_free(&node->params);
	free(node->deps.at);
	free(node->outs.at);
	sim_object_delete(node);
}

void sim_graph_free(struct sim_graph *graph)
{
	struct sim_condition *condition;
	struct sim_node *node;

	if (!graph)
		return;
	while ((node = graph->first)) {
		graph->first = node->next;
		node_free(node);
	}
	while ((condition = graph->conditions)) {
		graph->conditions = condition->next;
		free(condition);
	}
	if (graph->exec)
		graph->exec->source = NULL;
	sim_user_refs_drop(graph->users);
	sim_memory_region_unref(graph->memory);
	sim_object_delete(graph);
}

static bool is_memory(CUgraphNodeType type)
{
	return type == CU_GRAPH_NODE_TYPE_MEM_ALLOC ||
	       type == CU_GRAPH_NODE_TYPE_MEM_FREE;
}

/* Enters the node in the books of its graph and of those the graph is nested in. */
static void count_node(struct sim_graph *graph, const struct sim_params *params)
{
	unsigned memory = is_memory(params->type), conditionals = 0;

	if (params->type == CU_GRAPH_NODE_TYPE_GRAPH) {
		memory = params->child.graph->memory_nodes;
		conditionals = params->child.graph->conditionals;
	} else if (params->type == CU_GRAPH_NODE_TYPE_CONDITIONAL) {
		conditionals = 1;
	}
	for (;;) {
		graph->memory_nodes += memory;
		graph->conditionals += conditionals;
		if (!graph->owner)
			break;
		graph = graph->owner->graph;
	}
}

/* The graphs inside a node belong to it from now on. */
static void adopt(struct sim_node *node)
{
	const struct sim_params *params = &node->params;

	if (params->type == CU_GRAPH_NODE_TYPE_GRAPH) {
		params->child.graph->owner = node;
	} else if (params->type == CU_GRAPH_NODE_TYPE_CONDITIONAL) {
		for (unsigned i = 0; i < params->conditional.size; i++)
			((struct sim_graph *)params->conditional.phGraph_out[i])->owner =
				node;
	}
}

struct sim_node *sim_node_append(struct sim_graph *graph, struct sim_params *params)
{
	struct sim_node *node = sim_object_new(SIM_T_NODE, sizeof(*node));

	if (!node)
		return NULL;
	node->id = new_id();
	node->graph = graph;
	node->params = *params;
	node->prev = graph->last;
	if (graph->last)
		graph->last->next = node;
	else
		graph->first = node;
	graph->last = node;
	graph->count++;
	count_node(graph, params);
	adopt(node);
	return node;
}

CUresult sim_deps_check(struct sim_graph *graph, const CUgraphNode *deps, size_t count)
{
	static uint64_t serial = UINT64_MAX / 2; /* apart from the marks of walks */
	struct sim_node *node;

	if (count > graph->count || (count && !deps))
		return CUDA_ERROR_INVALID_VALUE;
	serial++;
	for (size_t i = 0; i < count; i++) {
		if (sim_node_get(deps[i], &node) != CUDA_SUCCESS ||
		    node->graph != graph || node->mark == serial)
			return CUDA_ERROR_INVALID_VALUE;
		node->mark = serial;
	}
	return CUDA_SUCCESS;
}

CUresult sim_node_add(struct sim_graph *graph, struct sim_params *params,
		      const CUgraphNode *deps, const CUgraphEdgeData *edges, size_t count,
		      struct sim_node **out)
{
	const CUgraphEdgeData zero = { 0 };
	struct sim_node *node = NULL;
	CUresult res = sim_deps_check(graph, deps, count);

	if (res == CUDA_SUCCESS) {
		res = CUDA_ERROR_OUT_OF_MEMORY;
		node = sim_node_append(graph, params);
	}
	if (!node) {
		sim_params_free(params);
		return res;
	}
	for (size_t i = 0; i < count; i++)
		if (!sim_edge_add((struct sim_node *)deps[i], node,
				  edges ? &edges[i] : &zero)) {
			sim_node_remove(node);
			return CUDA_ERROR_OUT_OF_MEMORY;
		}
	if (params->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC)
		sim_memory_piece_allocated_by(params->alloc.piece, node);
	else if (params->type == CU_GRAPH_NODE_TYPE_MEM_FREE)
		sim_memory_piece_freed_by(params->release.piece, node);
	*out = node;
	return CUDA_SUCCESS;
}

static void unlink_from(struct sim_links *links, const struct sim_node *node)
{
	size_t kept = 0;

	for (size_t i = 0; i < links->count; i++)
		if (links->at[i].node != node)
			links->at[kept++] = links->at[i];
	links->count = kept;
}

void sim_node_remove(struct sim_node *node)
{
	struct sim_graph *graph = node->graph;

	for (size_t i = 0; i < node->deps.count; i++)
		unlink_from(&node->deps.at[i].node->outs, node);
	for (size_t i = 0; i < node->outs.count; i++)
		unlink_from(&node->outs.at[i].node->deps, node);
	if (node->prev)
		node->prev->next = node->next;
	else
		graph->first = node->next;
	if (node->next)
		node->next->prev = node->prev;
	else
		graph->last = node->prev;
	graph->count--;
	if (is_memory(node->params.type))
		for (struct sim_graph *at = graph; at;
		     at = at->owner ? at->owner->graph : NULL)
			at->memory_nodes--;
	if (node->params.type == CU_GRAPH_NODE_TYPE_CONDITIONAL)
		for (struct sim_graph *at = graph; at;
		     at = at->owner ? at->owner->graph : NULL)
			at->conditionals--;
	node_free(node);
}

/* ---- entry points ---- */

SIM_EXPORT CUresult cuGraphCreate(CUgraph *phGraph, unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuGraphCreate);
	struct sim_graph *graph;

	if (res != CUDA_SUCCESS)
		return res;
	if (!phGraph || flags != 0)
		return CUDA_ERROR_INVALID_VALUE;
	graph = sim_graph_new();
	if (!graph)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*phGraph = (CUgraph)graph;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuGraphDestroy(CUgraph hGraph)
{
	CUresult res = sim_enter(SIM_FN_cuGraphDestroy);
	struct sim_graph *graph;

	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_graph_mutex);
	res = sim_graph_get(hGraph, &graph);
	if (res == CUDA_SUCCESS && (graph->owner || graph->captures))
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		sim_graph_free(graph);
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

SIM_EXPORT CUresult cuGraphNodeGetType(CUgraphNode hNode, CUgraphNodeType *type)
{
	CUresult res = sim_enter(SIM_FN_cuGraphNodeGetType);
	struct sim_node *node;

	if (res != CUDA_SUCCESS)
		return res;
	if (!type)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_graph_mutex);
	res = sim_node_get(hNode, &node);
	if (res == CUDA_SUCCESS)
		*type = node->params.type;
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

SIM_EXPORT CUresult cuGraphDestroyNode(CUgraphNode hNode)
{
	CUresult res = sim_enter(SIM_FN_cuGraphDestroyNode);
	struct sim_node *node;

	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_graph_mutex);
	res = sim_node_get(hNode, &node);
	if (res == CUDA_SUCCESS && (node->graph->memory_nodes || node->graph->captures))
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		sim_node_remove(node);
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}
