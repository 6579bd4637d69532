/*
 * graph_instantiate.c - graphs made executable: what is checked, and how failure is told.
 */
#include "driver/graph.h"

#include <stdlib.h>

#include "driver/capture.h"

#define KNOWN_FLAGS                                        \
	(CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH | \
	 CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD |              \
	 CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH |       \
	 CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY)

/* What is wrong with a graph, and at which node. */
struct verdict {
	CUgraphInstantiateResult result;
	struct sim_node *node;
};

static bool wrong(struct verdict *verdict, CUgraphInstantiateResult result,
		  struct sim_node *node)
{
	*verdict = (struct verdict){ result, node };
	return false;
}

static bool check_structure(struct sim_graph *graph, struct verdict *verdict);

static bool check_node(struct sim_node *node, struct verdict *verdict)
{
	const struct sim_params *params = &node->params;

	if (params->type == CU_GRAPH_NODE_TYPE_GRAPH)
		return check_structure(params->child.graph, verdict);
	if (params->type == CU_GRAPH_NODE_TYPE_MEM_FREE &&
	    !sim_memory_free_is_ordered(node))
		return wrong(verdict, CUDA_GRAPH_INSTANTIATE_INVALID_STRUCTURE, node);
	if (params->type != CU_GRAPH_NODE_TYPE_CONDITIONAL)
		return true;
	for (unsigned i = 0; i < params->conditional.size; i++)
		if (!check_structure(
			    (struct sim_graph *)params->conditional.phGraph_out[i],
			    verdict))
			return false;
	return true;
}

static bool check_structure(struct sim_graph *graph, struct verdict *verdict)
{
	struct sim_node **order, *bad;

	if (sim_graph_sort(graph, &order, &bad) != CUDA_SUCCESS)
		return wrong(verdict, CUDA_GRAPH_INSTANTIATE_INVALID_STRUCTURE, bad);
	free(order);
	for (struct sim_condition *at = graph->conditions; at; at = at->next)
		if (!at->used)
			return wrong(verdict,
				     CUDA_GRAPH_INSTANTIATE_CONDITIONAL_HANDLE_UNUSED,
				     NULL);
	for (struct sim_node *node = graph->first; node; node = node->next)
		if (!check_node(node, verdict))
			return false;
	return true;
}

/* The further rules for graphs that kernels may launch. */
static bool check_device_launch(struct sim_graph *graph, struct sim_context **ctx,
				struct verdict *verdict)
{
	for (struct sim_node *node = graph->first; node; node = node->next) {
		switch (node->params.type) {
		case CU_GRAPH_NODE_TYPE_KERNEL:
		case CU_GRAPH_NODE_TYPE_MEMCPY:
		case CU_GRAPH_NODE_TYPE_MEMSET:
			break;
		case CU_GRAPH_NODE_TYPE_GRAPH:
			if (!check_device_launch(node->params.child.graph, ctx, verdict))
				return false;
			continue;
		default:
			return wrong(verdict,
				     CUDA_GRAPH_INSTANTIATE_NODE_OPERATION_NOT_SUPPORTED,
				     node);
		}
		if (*ctx && *ctx != node->params.ctx)
			return wrong(verdict,
				     CUDA_GRAPH_INSTANTIATE_MULTIPLE_CTXS_NOT_SUPPORTED,
				     node);
		*ctx = node->params.ctx;
	}
	return true;
}

/* The first context that a node runs in, or NULL. */
static struct sim_context *find_context(const struct sim_graph *graph)
{
	for (const struct sim_node *node = graph->first; node; node = node->next) {
		struct sim_context *ctx = node->params.ctx;

		if (!ctx && node->params.type == CU_GRAPH_NODE_TYPE_GRAPH)
			ctx = find_context(node->params.child.graph);
		if (ctx)
			return ctx;
	}
	return NULL;
}

static bool is_plain(const struct sim_graph *graph)
{
	for (const struct sim_node *node = graph->first; node; node = node->next) {
		const CUgraphNodeType type = node->params.type;

		if (type == CU_GRAPH_NODE_TYPE_HOST ||
		    type == CU_GRAPH_NODE_TYPE_EVENT_RECORD ||
		    (type == CU_GRAPH_NODE_TYPE_GRAPH &&
		     !is_plain(node->params.child.graph)))
			return false;
	}
	return !graph->memory_nodes;
}

static CUresult check(struct sim_graph *graph, uint64_t flags, struct verdict *verdict)
{
	const bool only_one = graph->memory_nodes || graph->conditionals;
	struct sim_context *ctx = NULL;
	bool body = graph->owner &&
		    (graph->owner->params.type == CU_GRAPH_NODE_TYPE_CONDITIONAL ||
		     graph->owner->params.child.ownership ==
			     CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE);

	verdict->result = CUDA_GRAPH_INSTANTIATE_ERROR;
	if (graph->captures || body || (only_one && graph->exec))
		return CUDA_ERROR_INVALID_VALUE;
	if (!check_structure(graph, verdict))
		return CUDA_ERROR_INVALID_VALUE;
	if ((flags & CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH) &&
	    (!check_device_launch(graph, &ctx, verdict) || !ctx))
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static void discard(struct sim_exec *exec)
{
	sim_graph_free(exec->graph);
	sim_memory_use_free(exec->memory);
	free(exec->events);
	free(exec->event_slots);
	free(exec->hosts);
	sim_object_delete(exec);
}

/* Under sim_graph_mutex; the graph has been checked. */
static CUresult make(struct sim_graph *graph, uint64_t flags, struct sim_exec **out)
{
	struct sim_exec *exec = sim_object_new(SIM_T_EXEC, sizeof(*exec));
	CUresult res;

	if (!exec)
		return CUDA_ERROR_OUT_OF_MEMORY;
	pthread_mutex_init(&exec->lock, NULL);
	exec->flags = flags & ~(uint64_t)CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD;
	exec->plain = is_plain(graph);
	exec->ctx = find_context(graph);
	res = exec->ctx ? CUDA_SUCCESS : sim_need_context(&exec->ctx);
	if (res == CUDA_SUCCESS)
		res = sim_graph_copy(graph, true, &exec->graph);
	if (res == CUDA_SUCCESS && graph->memory_nodes)
		res = sim_memory_use_new(exec->graph, &exec->memory);
	if (res == CUDA_SUCCESS)
		res = sim_exec_lower(exec);
	if (res != CUDA_SUCCESS) {
		discard(exec);
		return res;
	}
	if (graph->memory_nodes || graph->conditionals) {
		exec->source = graph;
		graph->exec = exec;
	}
	*out = exec;
	return CUDA_SUCCESS;
}

/* stream: to upload into, or NULL. */
static CUresult instantiate(CUgraphExec *out, CUgraph handle, uint64_t flags,
			    struct sim_stream *stream, struct verdict *verdict)
{
	struct sim_graph *graph;
	struct sim_exec *exec = NULL;
	CUresult res;

	*verdict = (struct verdict){ .result = CUDA_GRAPH_INSTANTIATE_ERROR };
	if (!out || (flags & ~(uint64_t)KNOWN_FLAGS) ||
	    ((flags & CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH) &&
	     (flags & CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH)))
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_graph_mutex);
	res = sim_graph_get(handle, &graph);
	if (res == CUDA_SUCCESS)
		res = check(graph, flags, verdict);
	if (res == CUDA_SUCCESS)
		res = make(graph, flags, &exec);
	pthread_mutex_unlock(&sim_graph_mutex);
	if (res == CUDA_SUCCESS && stream)
		res = sim_exec_upload(exec, stream);
	if (res != CUDA_SUCCESS)
		return res;
	verdict->result = CUDA_GRAPH_INSTANTIATE_SUCCESS;
	*out = (CUgraphExec)exec;
	return CUDA_SUCCESS;
}

/* The calls that take a log: it says nothing, an error is in the node and the result. */
static CUresult with_log(CUgraphExec *out, CUgraph graph, CUgraphNode *error, char *log,
			 size_t log_bytes)
{
	struct verdict verdict;
	CUresult res = instantiate(out, graph, 0, NULL, &verdict);

	if (error)
		*error = (CUgraphNode)verdict.node;
	if (log && log_bytes)
		*log = '\0';
	return res;
}

static CUresult with_params(CUgraphExec *out, CUgraph graph,
			    CUDA_GRAPH_INSTANTIATE_PARAMS *params, bool per_thread)
{
	struct sim_stream *stream = NULL;
	struct verdict verdict = { .result = CUDA_GRAPH_INSTANTIATE_ERROR };
	CUresult res = CUDA_SUCCESS;

	if (!params)
		return CUDA_ERROR_INVALID_VALUE;
	if (params->flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD)
		res = sim_stream_get(params->hUploadStream, per_thread, &stream);
	if (res == CUDA_SUCCESS)
		res = instantiate(out, graph, params->flags, stream, &verdict);
	params->hErrNode_out = (CUgraphNode)verdict.node;
	params->result_out = verdict.result;
	return res;
}

SIM_EXPORT CUresult cuGraphInstantiate(CUgraphExec *phGraphExec, CUgraph hGraph,
				       CUgraphNode *phErrorNode, char *logBuffer,
				       size_t bufferSize)
{
	CUresult res = sim_enter(SIM_FN_cuGraphInstantiate);

	return res != CUDA_SUCCESS ? res
				   : with_log(phGraphExec, hGraph, phErrorNode, logBuffer,
					      bufferSize);
}

SIM_EXPORT CUresult cuGraphInstantiate_v2(CUgraphExec *phGraphExec, CUgraph hGraph,
					  CUgraphNode *phErrorNode, char *logBuffer,
					  size_t bufferSize)
{
	CUresult res = sim_enter(SIM_FN_cuGraphInstantiate_v2);

	return res != CUDA_SUCCESS ? res
				   : with_log(phGraphExec, hGraph, phErrorNode, logBuffer,
					      bufferSize);
}

SIM_EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec *phGraphExec, CUgraph hGraph,
						unsigned long long flags)
{
	CUresult res = sim_enter(SIM_FN_cuGraphInstantiateWithFlags);
	struct verdict verdict;

	if (res != CUDA_SUCCESS)
		return res;
	/* Uploading needs the stream that only the next call takes. */
	if (flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD)
		return CUDA_ERROR_INVALID_VALUE;
	return instantiate(phGraphExec, hGraph, flags, NULL, &verdict);
}

SIM_EXPORT CUresult
cuGraphInstantiateWithParams(CUgraphExec *phGraphExec, CUgraph hGraph,
			     CUDA_GRAPH_INSTANTIATE_PARAMS *instantiateParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphInstantiateWithParams);

	return res != CUDA_SUCCESS
		       ? res
		       : with_params(phGraphExec, hGraph, instantiateParams, false);
}

SIM_EXPORT CUresult
cuGraphInstantiateWithParams_ptsz(CUgraphExec *phGraphExec, CUgraph hGraph,
				  CUDA_GRAPH_INSTANTIATE_PARAMS *instantiateParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphInstantiateWithParams_ptsz);

	return res != CUDA_SUCCESS
		       ? res
		       : with_params(phGraphExec, hGraph, instantiateParams, true);
}
