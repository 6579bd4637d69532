/*
 * graph_lists.c - the queries that list nodes and edges: a count first, then as many as
 * the caller has room for.
 */
#include "driver/graph.h"

#include <string.h>

static const CUgraphEdgeData no_data;

/* Puts node number *found into the caller's array, if there is room. */
struct listing {
	CUgraphNode *nodes;  /* NULL: only count */
	CUgraphNode *second; /* the other ends of edges, or NULL */
	CUgraphEdgeData *data;
	size_t room, found;
	bool lossy;
};

static void list_put(struct listing *list, struct sim_node *node, struct sim_node *other,
		     const CUgraphEdgeData *data)
{
	size_t i = list->found++;

	if (!list->nodes || i >= list->room)
		return;
	list->nodes[i] = (CUgraphNode)node;
	if (list->second)
		list->second[i] = (CUgraphNode)other;
	if (list->data)
		list->data[i] = *data;
	else if (data && memcmp(data, &no_data, sizeof(no_data)))
		list->lossy = true;
}

static CUresult list_end(struct listing *list, size_t *count)
{
	for (size_t i = list->found; list->nodes && i < list->room; i++) {
		list->nodes[i] = NULL;
		if (list->second)
			list->second[i] = NULL;
	}
	*count = list->nodes && list->found > list->room ? list->room : list->found;
	return list->lossy ? CUDA_ERROR_LOSSY_QUERY : CUDA_SUCCESS;
}

static CUresult list_nodes(CUgraph handle, CUgraphNode *nodes, size_t *count, bool roots)
{
	struct listing list = { .nodes = nodes };
	struct sim_graph *graph;
	CUresult res;

	if (!count)
		return CUDA_ERROR_INVALID_VALUE;
	list.room = *count;
	pthread_mutex_lock(&sim_graph_mutex);
	res = sim_graph_get(handle, &graph);
	if (res == CUDA_SUCCESS) {
		for (struct sim_node *node = graph->first; node; node = node->next)
			if (!roots || !node->deps.count)
				list_put(&list, node, NULL, NULL);
		res = list_end(&list, count);
	}
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

static CUresult list_edges(CUgraph handle, CUgraphNode *from, CUgraphNode *to,
			   CUgraphEdgeData *data, size_t *count)
{
	struct listing list = { .nodes = from, .second = to, .data = data };
	struct sim_graph *graph;
	CUresult res;

	if (!count || !from != !to || (data && !from))
		return CUDA_ERROR_INVALID_VALUE;
	list.room = *count;
	pthread_mutex_lock(&sim_graph_mutex);
	res = sim_graph_get(handle, &graph);
	if (res == CUDA_SUCCESS) {
		for (struct sim_node *node = graph->first; node; node = node->next)
			for (size_t i = 0; i < node->outs.count; i++)
				list_put(&list, node, node->outs.at[i].node,
					 &node->outs.at[i].data);
		res = list_end(&list, count);
	}
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

static CUresult list_links(CUgraphNode handle, CUgraphNode *nodes, CUgraphEdgeData *data,
			   size_t *count, bool outgoing)
{
	struct listing list = { .nodes = nodes, .data = data };
	struct sim_node *node;
	CUresult res;

	if (!count || (data && !nodes))
		return CUDA_ERROR_INVALID_VALUE;
	list.room = *count;
	pthread_mutex_lock(&sim_graph_mutex);
	res = sim_node_get(handle, &node);
	if (res == CUDA_SUCCESS) {
		const struct sim_links *links = outgoing ? &node->outs : &node->deps;

		for (size_t i = 0; i < links->count; i++)
			list_put(&list, links->at[i].node, NULL, &links->at[i].data);
		res = list_end(&list, count);
	}
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

SIM_EXPORT CUresult cuGraphGetNodes(CUgraph hGraph, CUgraphNode *nodes, size_t *numNodes)
{
	CUresult res = sim_enter(SIM_FN_cuGraphGetNodes);

	if (res != CUDA_SUCCESS)
		return res;
	return list_nodes(hGraph, nodes, numNodes, false);
}

SIM_EXPORT CUresult cuGraphGetRootNodes(CUgraph hGraph, CUgraphNode *rootNodes,
					size_t *numRootNodes)
{
	CUresult res = sim_enter(SIM_FN_cuGraphGetRootNodes);

	if (res != CUDA_SUCCESS)
		return res;
	return list_nodes(hGraph, rootNodes, numRootNodes, true);
}

SIM_EXPORT CUresult cuGraphGetEdges(CUgraph hGraph, CUgraphNode *from, CUgraphNode *to,
				    size_t *numEdges)
{
	CUresult res = sim_enter(SIM_FN_cuGraphGetEdges);

	if (res != CUDA_SUCCESS)
		return res;
	return list_edges(hGraph, from, to, NULL, numEdges);
}

SIM_EXPORT CUresult cuGraphGetEdges_v2(CUgraph hGraph, CUgraphNode *from, CUgraphNode *to,
				       CUgraphEdgeData *edgeData, size_t *numEdges)
{
	CUresult res = sim_enter(SIM_FN_cuGraphGetEdges_v2);

	if (res != CUDA_SUCCESS)
		return res;
	return list_edges(hGraph, from, to, edgeData, numEdges);
}

SIM_EXPORT CUresult cuGraphNodeGetDependencies(CUgraphNode hNode,
					       CUgraphNode *dependencies,
					       size_t *numDependencies)
{
	CUresult res = sim_enter(SIM_FN_cuGraphNodeGetDependencies);

	if (res != CUDA_SUCCESS)
		return res;
	return list_links(hNode, dependencies, NULL, numDependencies, false);
}

SIM_EXPORT CUresult cuGraphNodeGetDependencies_v2(CUgraphNode hNode,
						  CUgraphNode *dependencies,
						  CUgraphEdgeData *edgeData,
						  size_t *numDependencies)
{
	CUresult res = sim_enter(SIM_FN_cuGraphNodeGetDependencies_v2);

	if (res != CUDA_SUCCESS)
		return res;
	return list_links(hNode, dependencies, edgeData, numDependencies, false);
}

SIM_EXPORT CUresult cuGraphNodeGetDependentNodes(CUgraphNode hNode,
						 CUgraphNode *dependentNodes,
						 size_t *numDependentNodes)
{
	CUresult res = sim_enter(SIM_FN_cuGraphNodeGetDependentNodes);

	if (res != CUDA_SUCCESS)
		return res;
	return list_links(hNode, dependentNodes, NULL, numDependentNodes, true);
}

SIM_EXPORT CUresult cuGraphNodeGetDependentNodes_v2(CUgraphNode hNode,
						    CUgraphNode *dependentNodes,
						    CUgraphEdgeData *edgeData,
						    size_t *numDependentNodes)
{
	CUresult res = sim_enter(SIM_FN_cuGraphNodeGetDependentNodes_v2);

	if (res != CUDA_SUCCESS)
		return res;
	return list_links(hNode, dependentNodes, edgeData, numDependentNodes, true);
}
