/*
 * graph_copy.c - copies of graphs: clones for the application, private copies for
 * executable graphs.
 */
#include "driver/graph.h"

#include <stdlib.h>

static CUresult copy_nodes(const struct sim_graph *from, bool exec, struct sim_graph *to,
			   struct sim_node **copies)
{
	size_t i = 0;

	for (struct sim_node *node = from->first; node; node = node->next) {
		struct sim_params params;
		CUresult res = sim_params_copy(&node->params, exec, &params);

		if (res != CUDA_SUCCESS)
			return res;
		copies[i] = sim_node_append(to, &params);
		if (!copies[i]) {
			sim_params_free(&params);
			return CUDA_ERROR_OUT_OF_MEMORY;
		}
		copies[i]->cloned_from = node->id;
		node->index = i++;
	}
	for (struct sim_node *node = from->first; node; node = node->next)
		for (i = 0; i < node->deps.count; i++) {
			const struct sim_link *dep = &node->deps.at[i];

			if (!sim_edge_add(copies[dep->node->index], copies[node->index],
					  &dep->data))
				return CUDA_ERROR_OUT_OF_MEMORY;
		}
	return CUDA_SUCCESS;
}

static CUresult copy_conditions(const struct sim_graph *from, struct sim_graph *to)
{
	for (const struct sim_condition *at = from->conditions; at; at = at->next) {
		struct sim_condition *copy = malloc(sizeof(*copy));

		if (!copy)
			return CUDA_ERROR_OUT_OF_MEMORY;
		*copy = *at;
		copy->next = to->conditions;
		to->conditions = copy;
	}
	return CUDA_SUCCESS;
}

CUresult sim_graph_copy(const struct sim_graph *from, bool exec, struct sim_graph **out)
{
	struct sim_node **copies = malloc((from->count + 1) * sizeof(struct sim_node *));
	struct sim_graph *to = sim_graph_new();
	CUresult res = CUDA_ERROR_OUT_OF_MEMORY;

	if (copies && to) {
		to->cloned_from = from->id;
		res = copy_nodes(from, exec, to, copies);
		if (res == CUDA_SUCCESS)
			res = copy_conditions(from, to);
		if (res == CUDA_SUCCESS)
			res = sim_user_refs_copy(from->users, &to->users);
	}
	free(copies);
	if (res != CUDA_SUCCESS)
		sim_graph_free(to);
	else
		*out = to;
	return res;
}

SIM_EXPORT CUresult cuGraphClone(CUgraph *phGraphClone, CUgraph originalGraph)
{
	CUresult res = sim_enter(SIM_FN_cuGraphClone);
	struct sim_graph *graph, *copy = NULL;

	if (res != CUDA_SUCCESS)
		return res;
	if (!phGraphClone)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_graph_mutex);
	res = sim_graph_get(originalGraph, &graph);
	if (res == CUDA_SUCCESS && (graph->memory_nodes || graph->conditionals))
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		res = sim_graph_copy(graph, false, &copy);
	pthread_mutex_unlock(&sim_graph_mutex);
	if (res == CUDA_SUCCESS)
		*phGraphClone = (CUgraph)copy;
	return res;
}

SIM_EXPORT CUresult cuGraphNodeFindInClone(CUgraphNode *phNode, CUgraphNode hOriginalNode,
					   CUgraph hClonedGraph)
{
	CUresult res = sim_enter(SIM_FN_cuGraphNodeFindInClone);
	struct sim_node *original, *node = NULL;
	struct sim_graph *clone;

	if (res != CUDA_SUCCESS)
		return res;
	if (!phNode)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_graph_mutex);
	res = sim_node_get(hOriginalNode, &original);
	if (res == CUDA_SUCCESS)
		res = sim_graph_get(hClonedGraph, &clone);
	if (res == CUDA_SUCCESS)
		for (node = clone->first; node && node->cloned_from != original->id;)
			node = node->next;
	if (node)
		*phNode = (CUgraphNode)node;
	else if (res == CUDA_SUCCESS)
		res = CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}
