/*
 * graph_add.c - nodes added to graphs, one call for each kind and one for all of them.
 *
 * Every call describes its node as cuGraphAddNode does; the rest is common.
 */
#include "driver/graph.h"

#include <string.h>

static bool needs_graph(CUgraphNodeType type)
{
	return type == CU_GRAPH_NODE_TYPE_GRAPH || type == CU_GRAPH_NODE_TYPE_MEM_ALLOC ||
	       type == CU_GRAPH_NODE_TYPE_MEM_FREE ||
	       type == CU_GRAPH_NODE_TYPE_CONDITIONAL;
}

/* What was made is not taken: a graph that was to be moved stays the application's. */
static void unmake(struct sim_params *params)
{
	if (params->type == CU_GRAPH_NODE_TYPE_GRAPH &&
	    params->child.ownership == CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE)
		return;
	sim_params_free(params);
}

static CUresult add_locked(struct sim_graph *graph, const CUgraphNode *deps,
			   const CUgraphEdgeData *edges, size_t ndeps,
			   CUgraphNodeParams *in, struct sim_params *params,
			   struct sim_node **node)
{
	CUresult res = sim_deps_check(graph, deps, ndeps);

	if (needs_graph(in->type)) {
		if (res == CUDA_SUCCESS)
			res = sim_special_make(graph, in, deps, ndeps, params);
		if (res != CUDA_SUCCESS)
			return res;
	}
	if (res == CUDA_SUCCESS && !sim_node_allowed(graph, params))
		res = CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; edges && res == CUDA_SUCCESS && i < ndeps; i++)
		res = sim_edge_check((struct sim_node *)deps[i], params->type, &edges[i]);
	if (res != CUDA_SUCCESS) {
		unmake(params);
		return res;
	}
	res = sim_node_add(graph, params, deps, edges, ndeps, node);
	if (res == CUDA_SUCCESS && in->type == CU_GRAPH_NODE_TYPE_CONDITIONAL)
		sim_condition_find(graph, in->conditional.handle)->used = true;
	return res;
}

CUresult sim_graph_add(CUgraphNode *out, CUgraph handle, const CUgraphNode *deps,
		       const CUgraphEdgeData *edges, size_t ndeps, CUgraphNodeParams *in)
{
	struct sim_params params;
	struct sim_graph *graph;
	struct sim_node *node;
	CUresult res = CUDA_SUCCESS;

	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	if (!needs_graph(in->type))
		res = sim_params_make(in, &params);
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_graph_mutex);
	res = sim_graph_get(handle, &graph);
	if (res == CUDA_SUCCESS)
		res = add_locked(graph, deps, edges, ndeps, in, &params, &node);
	else if (!needs_graph(in->type))
		sim_params_free(&params);
	pthread_mutex_unlock(&sim_graph_mutex);
	if (res == CUDA_SUCCESS)
		*out = (CUgraphNode)node;
	return res;
}

static CUresult add_node(CUgraphNode *out, CUgraph graph, const CUgraphNode *deps,
			 const CUgraphEdgeData *edges, size_t ndeps,
			 CUgraphNodeParams *in)
{
	if (!in || in->reserved0[0] || in->reserved0[1] || in->reserved0[2] ||
	    in->reserved2)
		return CUDA_ERROR_INVALID_VALUE;
	return sim_graph_add(out, graph, deps, edges, ndeps, in);
}

SIM_EXPORT CUresult cuGraphAddMemcpyNode(CUgraphNode *phGraphNode, CUgraph hGraph,
					 const CUgraphNode *dependencies,
					 size_t numDependencies,
					 const CUDA_MEMCPY3D *copyParams, CUcontext ctx)
{
	CUresult res = sim_enter(SIM_FN_cuGraphAddMemcpyNode);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_MEMCPY };

	if (res != CUDA_SUCCESS)
		return res;
	if (!copyParams)
		return CUDA_ERROR_INVALID_VALUE;
	in.memcpy.copyParams = *copyParams;
	in.memcpy.copyCtx = ctx;
	return sim_graph_add(phGraphNode, hGraph, dependencies, NULL, numDependencies,
			     &in);
}

SIM_EXPORT CUresult cuGraphAddMemsetNode(CUgraphNode *phGraphNode, CUgraph hGraph,
					 const CUgraphNode *dependencies,
					 size_t numDependencies,
					 const CUDA_MEMSET_NODE_PARAMS *memsetParams,
					 CUcontext ctx)
{
	CUresult res = sim_enter(SIM_FN_cuGraphAddMemsetNode);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_MEMSET };

	if (res != CUDA_SUCCESS)
		return res;
	if (!memsetParams)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&in.memset, memsetParams, sizeof(*memsetParams));
	in.memset.ctx = ctx;
	return sim_graph_add(phGraphNode, hGraph, dependencies, NULL, numDependencies,
			     &in);
}

SIM_EXPORT CUresult cuGraphAddHostNode(CUgraphNode *phGraphNode, CUgraph hGraph,
				       const CUgraphNode *dependencies,
				       size_t numDependencies,
				       const CUDA_HOST_NODE_PARAMS *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphAddHostNode);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_HOST };

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&in.host, nodeParams, sizeof(*nodeParams));
	return sim_graph_add(phGraphNode, hGraph, dependencies, NULL, numDependencies,
			     &in);
}

SIM_EXPORT CUresult cuGraphAddChildGraphNode(CUgraphNode *phGraphNode, CUgraph hGraph,
					     const CUgraphNode *dependencies,
					     size_t numDependencies, CUgraph childGraph)
{
	CUresult res = sim_enter(SIM_FN_cuGraphAddChildGraphNode);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_GRAPH };

	if (res != CUDA_SUCCESS)
		return res;
	in.graph.graph = childGraph;
	return sim_graph_add(phGraphNode, hGraph, dependencies, NULL, numDependencies,
			     &in);
}

SIM_EXPORT CUresult cuGraphAddEmptyNode(CUgraphNode *phGraphNode, CUgraph hGraph,
					const CUgraphNode *dependencies,
					size_t numDependencies)
{
	CUresult res = sim_enter(SIM_FN_cuGraphAddEmptyNode);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_EMPTY };

	if (res != CUDA_SUCCESS)
		return res;
	return sim_graph_add(phGraphNode, hGraph, dependencies, NULL, numDependencies,
			     &in);
}

SIM_EXPORT CUresult cuGraphAddEventRecordNode(CUgraphNode *phGraphNode, CUgraph hGraph,
					      const CUgraphNode *dependencies,
					      size_t numDependencies, CUevent event)
{
	CUresult res = sim_enter(SIM_FN_cuGraphAddEventRecordNode);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_EVENT_RECORD };

	if (res != CUDA_SUCCESS)
		return res;
	in.eventRecord.event = event;
	return sim_graph_add(phGraphNode, hGraph, dependencies, NULL, numDependencies,
			     &in);
}

SIM_EXPORT CUresult cuGraphAddEventWaitNode(CUgraphNode *phGraphNode, CUgraph hGraph,
					    const CUgraphNode *dependencies,
					    size_t numDependencies, CUevent event)
{
	CUresult res = sim_enter(SIM_FN_cuGraphAddEventWaitNode);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_WAIT_EVENT };

	if (res != CUDA_SUCCESS)
		return res;
	in.eventWait.event = event;
	return sim_graph_add(phGraphNode, hGraph, dependencies, NULL, numDependencies,
			     &in);
}

SIM_EXPORT CUresult cuGraphAddExternalSemaphoresSignalNode(
	CUgraphNode *phGraphNode, CUgraph hGraph, const CUgraphNode *dependencies,
	size_t numDependencies, const CUDA_EXT_SEM_SIGNAL_NODE_PARAMS *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphAddExternalSemaphoresSignalNode);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_EXT_SEMAS_SIGNAL };

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	return sim_graph_add(phGraphNode, hGraph, dependencies, NULL, numDependencies,
			     &in);
}

SIM_EXPORT CUresult cuGraphAddExternalSemaphoresWaitNode(
	CUgraphNode *phGraphNode, CUgraph hGraph, const CUgraphNode *dependencies,
	size_t numDependencies, const CUDA_EXT_SEM_WAIT_NODE_PARAMS *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphAddExternalSemaphoresWaitNode);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT };

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	return sim_graph_add(phGraphNode, hGraph, dependencies, NULL, numDependencies,
			     &in);
}

SIM_EXPORT CUresult cuGraphAddBatchMemOpNode(
	CUgraphNode *phGraphNode, CUgraph hGraph, const CUgraphNode *dependencies,
	size_t numDependencies, const CUDA_BATCH_MEM_OP_NODE_PARAMS *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphAddBatchMemOpNode);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP };

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&in.memOp, nodeParams, sizeof(*nodeParams));
	return sim_graph_add(phGraphNode, hGraph, dependencies, NULL, numDependencies,
			     &in);
}

SIM_EXPORT CUresult cuGraphAddMemAllocNode(CUgraphNode *phGraphNode, CUgraph hGraph,
					   const CUgraphNode *dependencies,
					   size_t numDependencies,
					   CUDA_MEM_ALLOC_NODE_PARAMS *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphAddMemAllocNode);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_MEM_ALLOC };

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&in.alloc, nodeParams, sizeof(*nodeParams));
	res = sim_graph_add(phGraphNode, hGraph, dependencies, NULL, numDependencies,
			    &in);
	if (res == CUDA_SUCCESS)
		nodeParams->dptr = in.alloc.dptr;
	return res;
}

SIM_EXPORT CUresult cuGraphAddMemFreeNode(CUgraphNode *phGraphNode, CUgraph hGraph,
					  const CUgraphNode *dependencies,
					  size_t numDependencies, CUdeviceptr dptr)
{
	CUresult res = sim_enter(SIM_FN_cuGraphAddMemFreeNode);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_MEM_FREE };

	if (res != CUDA_SUCCESS)
		return res;
	in.free.dptr = dptr;
	return sim_graph_add(phGraphNode, hGraph, dependencies, NULL, numDependencies,
			     &in);
}

SIM_EXPORT CUresult cuGraphAddNode(CUgraphNode *phGraphNode, CUgraph hGraph,
				   const CUgraphNode *dependencies,
				   size_t numDependencies, CUgraphNodeParams *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphAddNode);

	if (res != CUDA_SUCCESS)
		return res;
	return add_node(phGraphNode, hGraph, dependencies, NULL, numDependencies,
			nodeParams);
}

SIM_EXPORT CUresult cuGraphAddNode_v2(CUgraphNode *phGraphNode, CUgraph hGraph,
				      const CUgraphNode *dependencies,
				      const CUgraphEdgeData *dependencyData,
				      size_t numDependencies,
				      CUgraphNodeParams *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphAddNode_v2);

	if (res != CUDA_SUCCESS)
		return res;
	return add_node(phGraphNode, hGraph, dependencies, dependencyData,
			numDependencies, nodeParams);
}
