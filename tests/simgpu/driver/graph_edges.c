/*
 * graph_edges.c - the order of nodes: edges with their data, and walks along them.
 *
 * Edge data is kept and returned as given; the simulated device treats every edge as full
 * completion of the upstream node.
 */
#include "driver/graph.h"

#include <stdlib.h>
#include <string.h>

static const CUgraphEdgeData no_data;

static bool same_data(const CUgraphEdgeData *a, const CUgraphEdgeData *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

CUresult sim_edge_check(const struct sim_node *from, CUgraphNodeType to,
			const CUgraphEdgeData *data)
{
	const bool kernel = from->params.type == CU_GRAPH_NODE_TYPE_KERNEL;

	for (size_t i = 0; i < sizeof(data->reserved); i++)
		if (data->reserved[i])
			return CUDA_ERROR_INVALID_VALUE;
	if (data->to_port || data->from_port > CU_GRAPH_KERNEL_NODE_PORT_LAUNCH_ORDER ||
	    (data->from_port && !kernel))
		return CUDA_ERROR_INVALID_VALUE;
	if (data->type == CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC)
		return kernel && to == CU_GRAPH_NODE_TYPE_KERNEL && data->from_port
			       ? CUDA_SUCCESS
			       : CUDA_ERROR_INVALID_VALUE;
	if (data->type != CU_GRAPH_DEPENDENCY_TYPE_DEFAULT ||
	    data->from_port == CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static bool link_to(struct sim_links *links, struct sim_node *node,
		    const CUgraphEdgeData *data)
{
	if (links->count == links->room) {
		size_t room = links->room ? 2 * links->room : 4;
		struct sim_link *at = realloc(links->at, room * sizeof(*at));

		if (!at)
			return false;
		links->at = at;
		links->room = room;
	}
	links->at[links->count++] = (struct sim_link){ .node = node, .data = *data };
	return true;
}

bool sim_edge_add(struct sim_node *from, struct sim_node *to, const CUgraphEdgeData *data)
{
	if (!link_to(&to->deps, from, data))
		return false;
	if (!link_to(&from->outs, to, data)) {
		to->deps.count--;
		return false;
	}
	return true;
}

/* Takes the i-th link out, keeping the order of the others. */
static void link_drop(struct sim_links *links, size_t i)
{
	memmove(&links->at[i], &links->at[i + 1],
		(links->count - i - 1) * sizeof(*links->at));
	links->count--;
}

static size_t link_find(const struct sim_links *links, const struct sim_node *node,
			const CUgraphEdgeData *data)
{
	size_t i;

	for (i = 0; i < links->count; i++)
		if (links->at[i].node == node &&
		    (!data || same_data(&links->at[i].data, data)))
			break;
	return i;
}

/* ---- walks ---- */

uint64_t sim_mark_ancestors(const CUgraphNode *nodes, size_t count)
{
	static uint64_t last_mark;
	const uint64_t mark = ++last_mark; /* 1, 2 ... */
	struct sim_node *todo = NULL;	   /* linked through index */

	for (size_t i = 0; i < count; i++) {
		struct sim_node *node = (struct sim_node *)nodes[i];

		if (node->mark != mark) {
			node->mark = mark;
			node->index = (uintptr_t)todo;
			todo = node;
		}
	}
	while (todo) {
		struct sim_node *node = todo;

		todo = (struct sim_node *)(uintptr_t)node->index;
		for (size_t i = 0; i < node->deps.count; i++) {
			struct sim_node *dep = node->deps.at[i].node;

			if (dep->mark != mark) {
				dep->mark = mark;
				dep->index = (uintptr_t)todo;
				todo = dep;
			}
		}
	}
	return mark;
}

CUresult sim_graph_sort(struct sim_graph *graph, struct sim_node ***out,
			struct sim_node **bad)
{
	struct sim_node **order = malloc((graph->count + 1) * sizeof(struct sim_node *));
	size_t ready = 0, taken;

	if (bad)
		*bad = NULL;
	if (!order)
		return CUDA_ERROR_OUT_OF_MEMORY;
	/* `mark` counts the dependencies still to come. */
	for (struct sim_node *node = graph->first; node; node = node->next) {
		node->mark = node->deps.count;
		if (!node->mark)
			order[ready++] = node;
	}
	for (taken = 0; taken < ready; taken++) {
		struct sim_node *node = order[taken];

		node->index = taken;
		for (size_t i = 0; i < node->outs.count; i++)
			if (--node->outs.at[i].node->mark == 0)
				order[ready++] = node->outs.at[i].node;
	}
	if (ready < graph->count) {
		free(order);
		order = NULL;
	}
	for (struct sim_node *node = graph->first; node; node = node->next) {
		if (node->mark && bad && !*bad)
			*bad = node;
		node->mark = 0; /* unlike any mark of a walk */
	}
	if (!order)
		return CUDA_ERROR_INVALID_VALUE;
	*out = order;
	return CUDA_SUCCESS;
}

/* ---- edges by themselves ---- */

/* Adds or removes edge i of a call. */
static CUresult alter_edge(struct sim_graph *graph, CUgraphNode from_handle,
			   CUgraphNode to_handle, const CUgraphEdgeData *data, bool add)
{
	struct sim_node *from, *to;
	size_t in, out;

	if (sim_node_get(from_handle, &from) != CUDA_SUCCESS ||
	    sim_node_get(to_handle, &to) != CUDA_SUCCESS || from->graph != graph ||
	    to->graph != graph || from == to)
		return CUDA_ERROR_INVALID_VALUE;
	in = link_find(&to->deps, from, data);
	if (add) {
		if (in < to->deps.count ||
		    sim_edge_check(from, to->params.type, data) != CUDA_SUCCESS)
			return CUDA_ERROR_INVALID_VALUE;
		return sim_edge_add(from, to, data) ? CUDA_SUCCESS
						    : CUDA_ERROR_OUT_OF_MEMORY;
	}
	out = link_find(&from->outs, to, data);
	if (in == to->deps.count)
		return CUDA_ERROR_INVALID_VALUE;
	link_drop(&to->deps, in);
	link_drop(&from->outs, out);
	return CUDA_SUCCESS;
}

/* All edges or none. */
static CUresult alter_edges(CUgraph handle, const CUgraphNode *from,
			    const CUgraphNode *to, const CUgraphEdgeData *data,
			    size_t count, bool add)
{
	struct sim_graph *graph;
	CUresult res;
	size_t done;

	if (count && (!from || !to))
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_graph_mutex);
	res = sim_graph_get(handle, &graph);
	if (res == CUDA_SUCCESS && !add && count && graph->memory_nodes)
		res = CUDA_ERROR_INVALID_VALUE;
	for (done = 0; res == CUDA_SUCCESS && done < count; done++)
		res = alter_edge(graph, from[done], to[done],
				 data ? &data[done] : &no_data, add);
	if (res != CUDA_SUCCESS && done > 0)
		for (done--; done-- > 0;)
			alter_edge(graph, from[done], to[done],
				   data ? &data[done] : &no_data, !add);
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

SIM_EXPORT CUresult cuGraphAddDependencies(CUgraph hGraph, const CUgraphNode *from,
					   const CUgraphNode *to, size_t numDependencies)
{
	CUresult res = sim_enter(SIM_FN_cuGraphAddDependencies);

	if (res != CUDA_SUCCESS)
		return res;
	return alter_edges(hGraph, from, to, NULL, numDependencies, true);
}

SIM_EXPORT CUresult cuGraphAddDependencies_v2(CUgraph hGraph, const CUgraphNode *from,
					      const CUgraphNode *to,
					      const CUgraphEdgeData *edgeData,
					      size_t numDependencies)
{
	CUresult res = sim_enter(SIM_FN_cuGraphAddDependencies_v2);

	if (res != CUDA_SUCCESS)
		return res;
	return alter_edges(hGraph, from, to, edgeData, numDependencies, true);
}

SIM_EXPORT CUresult cuGraphRemoveDependencies(CUgraph hGraph, const CUgraphNode *from,
					      const CUgraphNode *to,
					      size_t numDependencies)
{
	CUresult res = sim_enter(SIM_FN_cuGraphRemoveDependencies);

	if (res != CUDA_SUCCESS)
		return res;
	return alter_edges(hGraph, from, to, NULL, numDependencies, false);
}

SIM_EXPORT CUresult cuGraphRemoveDependencies_v2(CUgraph hGraph, const CUgraphNode *from,
						 const CUgraphNode *to,
						 const CUgraphEdgeData *edgeData,
						 size_t numDependencies)
{
	CUresult res = sim_enter(SIM_FN_cuGraphRemoveDependencies_v2);

	if (res != CUDA_SUCCESS)
		return res;
	return alter_edges(hGraph, from, to, edgeData, numDependencies, false);
}
