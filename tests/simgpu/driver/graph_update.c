/*
 * graph_update.c - parameters changed in executable graphs: node by node, or all of them
 * from a graph of the same shape.
 *
 * Knows: which graphs have one shape, and what is taken over. Refuses to know: which change
 * of a node is allowed (graph_change.c). The calls stand in graph_update_calls.c.
 */
#include "driver/graph.h"

struct sim_node *sim_exec_node(struct sim_graph *graph, const struct sim_node *node)
{
	for (struct sim_node *at = graph->first; at; at = at->next) {
		struct sim_node *found = NULL;

		if (at->cloned_from == node->id)
			return at;
		if (at->params.type == CU_GRAPH_NODE_TYPE_GRAPH)
			found = sim_exec_node(at->params.child.graph, node);
		else if (at->params.type == CU_GRAPH_NODE_TYPE_CONDITIONAL)
			for (unsigned i = 0; !found && i < at->params.conditional.size;
			     i++)
				found = sim_exec_node((struct sim_graph *)at->params
							      .conditional.phGraph_out[i],
						      node);
		if (found)
			return found;
	}
	return NULL;
}

/* ---- graphs of the same shape ---- */

static bool fail(CUgraphExecUpdateResultInfo *info, CUgraphExecUpdateResult result,
		 struct sim_node *node, struct sim_node *from)
{
	*info = (CUgraphExecUpdateResultInfo){ .result = result,
					       .errorNode = (CUgraphNode)node,
					       .errorFromNode = (CUgraphNode)from };
	return false;
}

static bool compare_graphs(struct sim_graph *old, struct sim_graph *new, bool priorities,
			   CUgraphExecUpdateResultInfo *info);

static bool compare_inside(struct sim_params *old, struct sim_params *new,
			   bool priorities, CUgraphExecUpdateResultInfo *info)
{
	if (old->type == CU_GRAPH_NODE_TYPE_GRAPH)
		return compare_graphs(old->child.graph, new->child.graph, priorities,
				      info);
	if (old->type != CU_GRAPH_NODE_TYPE_CONDITIONAL)
		return true;
	for (unsigned i = 0; i < old->conditional.size; i++)
		if (!compare_graphs((struct sim_graph *)old->conditional.phGraph_out[i],
				    (struct sim_graph *)new->conditional.phGraph_out[i],
				    priorities, info))
			return false;
	return true;
}

/* Nodes are paired by the order of their creation, dependencies by the order of edges. */
static bool compare_graphs(struct sim_graph *old, struct sim_graph *new, bool priorities,
			   CUgraphExecUpdateResultInfo *info)
{
	struct sim_node *a, *b;
	size_t i = 0;

	if (old->count != new->count)
		return fail(info, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, NULL,
			    NULL);
	for (a = old->first, b = new->first; a; a = a->next, b = b->next)
		a->index = b->index = i++;
	for (a = old->first, b = new->first; a; a = a->next, b = b->next) {
		CUgraphExecUpdateResult result;

		if (a->params.type != b->params.type)
			return fail(info, CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED, b,
				    NULL);
		if (a->deps.count != b->deps.count)
			return fail(info, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, b,
				    NULL);
		for (i = 0; i < a->deps.count; i++)
			if (a->deps.at[i].node->index != b->deps.at[i].node->index)
				return fail(info,
					    CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED,
					    b, b->deps.at[i].node);
		result = sim_params_change(&a->params, &b->params, priorities);
		if (result != CU_GRAPH_EXEC_UPDATE_SUCCESS)
			return fail(info, result, b, NULL);
		if (!compare_inside(&a->params, &b->params, priorities, info))
			return false;
	}
	return true;
}

static CUresult take_graphs(struct sim_graph *old, struct sim_graph *new);

/* The parameters of one node, attributes included. */
static CUresult take_node(struct sim_params *old, struct sim_params *new)
{
	struct sim_params copy;
	CUresult res;

	if (old->type == CU_GRAPH_NODE_TYPE_GRAPH)
		return take_graphs(old->child.graph, new->child.graph);
	if (old->type == CU_GRAPH_NODE_TYPE_CONDITIONAL) {
		res = CUDA_SUCCESS;
		for (unsigned i = 0; res == CUDA_SUCCESS && i < old->conditional.size;
		     i++)
			res = take_graphs(
				(struct sim_graph *)old->conditional.phGraph_out[i],
				(struct sim_graph *)new->conditional.phGraph_out[i]);
		return res;
	}
	res = sim_params_copy(new, true, &copy);
	if (res != CUDA_SUCCESS)
		return res;
	copy.enabled = old->enabled;
	sim_params_free(old);
	*old = copy;
	return CUDA_SUCCESS;
}

static CUresult take_graphs(struct sim_graph *old, struct sim_graph *new)
{
	struct sim_node *a, *b;
	CUresult res = CUDA_SUCCESS;

	for (a = old->first, b = new->first; a &&res == CUDA_SUCCESS;
	     a = a->next, b = b->next)
		res = take_node(&a->params, &b->params);
	/* Flags and default values of conditional handles go along, in their order. */
	for (struct sim_condition *x = old->conditions, *y = new->conditions; x &&y;
	     x = x->next, y = y->next) {
		x->has_default = y->has_default;
		x->default_value = y->default_value;
	}
	return res;
}

/* ---- for the calls ---- */

static CUresult update_locked(struct sim_exec *exec, struct sim_graph *from,
			      CUgraphExecUpdateResultInfo *info)
{
	const bool priorities = exec->flags &
				CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY;
	CUresult res;

	if (!compare_graphs(exec->graph, from, priorities, info))
		return CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
	exec->dirty = true;
	res = take_graphs(exec->graph, from);
	if (res == CUDA_SUCCESS)
		info->result = CU_GRAPH_EXEC_UPDATE_SUCCESS;
	return res;
}

CUresult sim_exec_update(CUgraphExec handle, CUgraph graph,
			 CUgraphExecUpdateResultInfo *info)
{
	struct sim_graph *from;
	struct sim_exec *exec;
	CUresult res = sim_exec_get(handle, &exec);

	*info = (CUgraphExecUpdateResultInfo){ .result = CU_GRAPH_EXEC_UPDATE_ERROR };
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_graph_mutex);
	res = sim_graph_get(graph, &from);
	/* A graph that was moved into another cannot be named here. */
	if (res == CUDA_SUCCESS && from->owner &&
	    from->owner->params.type == CU_GRAPH_NODE_TYPE_GRAPH &&
	    from->owner->params.child.ownership == CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE)
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS) {
		pthread_mutex_lock(&exec->lock);
		res = update_locked(exec, from, info);
		pthread_mutex_unlock(&exec->lock);
	}
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

/* The node's copy in the executable graph. Under sim_graph_mutex and exec->lock. */
static CUresult find_copy(struct sim_exec *exec, CUgraphNode handle,
			  struct sim_node **copy)
{
	struct sim_node *node;
	CUresult res = sim_node_get(handle, &node);

	if (res != CUDA_SUCCESS)
		return res;
	*copy = sim_exec_node(exec->graph, node);
	return *copy ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* A change of one node is stricter: what has more than one dimension stays. */
static CUresult set_locked(struct sim_exec *exec, CUgraphNode handle,
			   struct sim_params *params)
{
	struct sim_node *node;
	CUresult res = find_copy(exec, handle, &node);

	if (res != CUDA_SUCCESS)
		return res;
	if (node->params.type != params->type)
		return CUDA_ERROR_INVALID_VALUE;
	if (params->type == CU_GRAPH_NODE_TYPE_MEMCPY &&
	    (node->params.copy.rec.height > 1 || node->params.copy.rec.depth > 1 ||
	     params->copy.rec.height > 1 || params->copy.rec.depth > 1 ||
	     !params->copy.rec.width_bytes))
		return CUDA_ERROR_INVALID_VALUE;
	if (params->type == CU_GRAPH_NODE_TYPE_KERNEL)
		params->kernel.rec.flags |= node->params.kernel.rec.flags &
					    SIM_KF_COOPERATIVE;
	if (sim_params_change(&node->params, params, false) !=
	    CU_GRAPH_EXEC_UPDATE_SUCCESS)
		return CUDA_ERROR_INVALID_VALUE;
	sim_params_replace(&node->params, params);
	exec->dirty = true;
	return CUDA_SUCCESS;
}

static CUresult set_child(struct sim_exec *exec, CUgraphNode handle, CUgraph graph)
{
	CUgraphExecUpdateResultInfo info;
	struct sim_graph *from;
	struct sim_node *node;
	CUresult res = find_copy(exec, handle, &node);

	if (res == CUDA_SUCCESS)
		res = sim_graph_get(graph, &from);
	if (res != CUDA_SUCCESS)
		return res;
	if (node->params.type != CU_GRAPH_NODE_TYPE_GRAPH ||
	    !compare_graphs(node->params.child.graph, from, false, &info))
		return CUDA_ERROR_INVALID_VALUE;
	exec->dirty = true;
	return take_graphs(node->params.child.graph, from);
}

CUresult sim_exec_set(CUgraphExec handle, CUgraphNode node, const CUgraphNodeParams *in)
{
	const bool child = in->type == CU_GRAPH_NODE_TYPE_GRAPH;
	struct sim_params params;
	struct sim_exec *exec;
	CUresult res = sim_exec_get(handle, &exec);

	if (res == CUDA_SUCCESS && (in->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC ||
				    in->type == CU_GRAPH_NODE_TYPE_MEM_FREE ||
				    in->type == CU_GRAPH_NODE_TYPE_CONDITIONAL))
		res = CUDA_ERROR_NOT_SUPPORTED;
	if (res == CUDA_SUCCESS && !child)
		res = sim_params_make(in, &params);
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_graph_mutex);
	pthread_mutex_lock(&exec->lock);
	res = child ? set_child(exec, node, in->graph.graph)
		    : set_locked(exec, node, &params);
	pthread_mutex_unlock(&exec->lock);
	if (res != CUDA_SUCCESS && !child)
		sim_params_free(&params);
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

CUresult sim_exec_enabled(CUgraphExec handle, CUgraphNode node, const unsigned *set,
			  unsigned *get)
{
	struct sim_exec *exec;
	struct sim_node *copy;
	CUresult res = sim_exec_get(handle, &exec);

	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_graph_mutex);
	pthread_mutex_lock(&exec->lock);
	res = find_copy(exec, node, &copy);
	if (res == CUDA_SUCCESS && copy->params.type != CU_GRAPH_NODE_TYPE_KERNEL &&
	    copy->params.type != CU_GRAPH_NODE_TYPE_MEMSET &&
	    copy->params.type != CU_GRAPH_NODE_TYPE_MEMCPY)
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS && set && copy->params.enabled != !!*set) {
		copy->params.enabled = !!*set;
		exec->dirty = true;
	}
	if (res == CUDA_SUCCESS && get)
		*get = copy->params.enabled;
	pthread_mutex_unlock(&exec->lock);
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}
