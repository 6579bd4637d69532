/*
 * graph_nodes.c - parameters of nodes, asked for and changed. Kernel nodes have a file of
 * their own; nodes for external semaphores cannot exist.
 */
#include "driver/graph.h"

#include <string.h>

void sim_params_replace(struct sim_params *old, struct sim_params *new)
{
	new->enabled = old->enabled;
	new->priority = old->priority;
	if (new->type == CU_GRAPH_NODE_TYPE_KERNEL) {
		new->kernel.rec.flags |= old->kernel.rec.flags &SIM_KF_COOPERATIVE;
		new->kernel.set = old->kernel.set;
		new->kernel.attributes = old->kernel.attributes;
		old->kernel.attributes = NULL;
	}
	sim_params_free(old);
	*old = *new;
}

CUresult sim_node_set(CUgraphNode handle, const CUgraphNodeParams *in)
{
	struct sim_params params;
	struct sim_node *node;
	CUresult res;

	if (in->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC ||
	    in->type == CU_GRAPH_NODE_TYPE_MEM_FREE ||
	    in->type == CU_GRAPH_NODE_TYPE_GRAPH ||
	    in->type == CU_GRAPH_NODE_TYPE_CONDITIONAL)
		return CUDA_ERROR_NOT_SUPPORTED;
	res = sim_params_make(in, &params);
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_graph_mutex);
	res = sim_node_get(handle, &node);
	if (res == CUDA_SUCCESS && node->params.type != params.type)
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		sim_params_replace(&node->params, &params);
	else
		sim_params_free(&params);
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

CUresult sim_node_query(CUgraphNode handle, CUgraphNodeType type, CUgraphNodeParams *out)
{
	struct sim_node *node;
	CUresult res;

	pthread_mutex_lock(&sim_graph_mutex);
	res = sim_node_get(handle, &node);
	if (res == CUDA_SUCCESS && node->params.type != type)
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		sim_params_get(&node->params, out);
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

SIM_EXPORT CUresult cuGraphMemcpyNodeGetParams(CUgraphNode hNode,
					       CUDA_MEMCPY3D *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphMemcpyNodeGetParams);
	CUgraphNodeParams out;

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_node_query(hNode, CU_GRAPH_NODE_TYPE_MEMCPY, &out);
	if (res == CUDA_SUCCESS)
		*nodeParams = out.memcpy.copyParams;
	return res;
}

SIM_EXPORT CUresult cuGraphMemcpyNodeSetParams(CUgraphNode hNode,
					       const CUDA_MEMCPY3D *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphMemcpyNodeSetParams);
	CUgraphNodeParams in;

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	/* The context stays. */
	res = sim_node_query(hNode, CU_GRAPH_NODE_TYPE_MEMCPY, &in);
	if (res != CUDA_SUCCESS)
		return res;
	in.memcpy.copyParams = *nodeParams;
	return sim_node_set(hNode, &in);
}

SIM_EXPORT CUresult cuGraphMemsetNodeGetParams(CUgraphNode hNode,
					       CUDA_MEMSET_NODE_PARAMS *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphMemsetNodeGetParams);
	CUgraphNodeParams out;

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_node_query(hNode, CU_GRAPH_NODE_TYPE_MEMSET, &out);
	if (res == CUDA_SUCCESS)
		memcpy(nodeParams, &out.memset, sizeof(*nodeParams));
	return res;
}

SIM_EXPORT CUresult cuGraphMemsetNodeSetParams(CUgraphNode hNode,
					       const CUDA_MEMSET_NODE_PARAMS *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphMemsetNodeSetParams);
	CUgraphNodeParams in;

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_node_query(hNode, CU_GRAPH_NODE_TYPE_MEMSET, &in);
	if (res != CUDA_SUCCESS)
		return res;
	memcpy(&in.memset, nodeParams, sizeof(*nodeParams));
	return sim_node_set(hNode, &in);
}

SIM_EXPORT CUresult cuGraphHostNodeGetParams(CUgraphNode hNode,
					     CUDA_HOST_NODE_PARAMS *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphHostNodeGetParams);
	CUgraphNodeParams out;

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_node_query(hNode, CU_GRAPH_NODE_TYPE_HOST, &out);
	if (res == CUDA_SUCCESS)
		memcpy(nodeParams, &out.host, sizeof(*nodeParams));
	return res;
}

SIM_EXPORT CUresult cuGraphHostNodeSetParams(CUgraphNode hNode,
					     const CUDA_HOST_NODE_PARAMS *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphHostNodeSetParams);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_HOST };

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&in.host, nodeParams, sizeof(*nodeParams));
	return sim_node_set(hNode, &in);
}

SIM_EXPORT CUresult cuGraphChildGraphNodeGetGraph(CUgraphNode hNode, CUgraph *phGraph)
{
	CUresult res = sim_enter(SIM_FN_cuGraphChildGraphNodeGetGraph);
	CUgraphNodeParams out;

	if (res != CUDA_SUCCESS)
		return res;
	if (!phGraph)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_node_query(hNode, CU_GRAPH_NODE_TYPE_GRAPH, &out);
	if (res == CUDA_SUCCESS)
		*phGraph = out.graph.graph;
	return res;
}

SIM_EXPORT CUresult cuGraphEventRecordNodeGetEvent(CUgraphNode hNode, CUevent *event_out)
{
	CUresult res = sim_enter(SIM_FN_cuGraphEventRecordNodeGetEvent);
	CUgraphNodeParams out;

	if (res != CUDA_SUCCESS)
		return res;
	if (!event_out)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_node_query(hNode, CU_GRAPH_NODE_TYPE_EVENT_RECORD, &out);
	if (res == CUDA_SUCCESS)
		*event_out = out.eventRecord.event;
	return res;
}

SIM_EXPORT CUresult cuGraphEventRecordNodeSetEvent(CUgraphNode hNode, CUevent event)
{
	CUresult res = sim_enter(SIM_FN_cuGraphEventRecordNodeSetEvent);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_EVENT_RECORD };

	if (res != CUDA_SUCCESS)
		return res;
	in.eventRecord.event = event;
	return sim_node_set(hNode, &in);
}

SIM_EXPORT CUresult cuGraphEventWaitNodeGetEvent(CUgraphNode hNode, CUevent *event_out)
{
	CUresult res = sim_enter(SIM_FN_cuGraphEventWaitNodeGetEvent);
	CUgraphNodeParams out;

	if (res != CUDA_SUCCESS)
		return res;
	if (!event_out)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_node_query(hNode, CU_GRAPH_NODE_TYPE_WAIT_EVENT, &out);
	if (res == CUDA_SUCCESS)
		*event_out = out.eventWait.event;
	return res;
}

SIM_EXPORT CUresult cuGraphEventWaitNodeSetEvent(CUgraphNode hNode, CUevent event)
{
	CUresult res = sim_enter(SIM_FN_cuGraphEventWaitNodeSetEvent);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_WAIT_EVENT };

	if (res != CUDA_SUCCESS)
		return res;
	in.eventWait.event = event;
	return sim_node_set(hNode, &in);
}

SIM_EXPORT CUresult cuGraphBatchMemOpNodeGetParams(
	CUgraphNode hNode, CUDA_BATCH_MEM_OP_NODE_PARAMS *nodeParams_out)
{
	CUresult res = sim_enter(SIM_FN_cuGraphBatchMemOpNodeGetParams);
	CUgraphNodeParams out;

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams_out)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_node_query(hNode, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP, &out);
	if (res == CUDA_SUCCESS)
		memcpy(nodeParams_out, &out.memOp, sizeof(*nodeParams_out));
	return res;
}

SIM_EXPORT CUresult cuGraphBatchMemOpNodeSetParams(
	CUgraphNode hNode, const CUDA_BATCH_MEM_OP_NODE_PARAMS *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphBatchMemOpNodeSetParams);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP };

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&in.memOp, nodeParams, sizeof(*nodeParams));
	return sim_node_set(hNode, &in);
}

SIM_EXPORT CUresult cuGraphMemAllocNodeGetParams(CUgraphNode hNode,
						 CUDA_MEM_ALLOC_NODE_PARAMS *params_out)
{
	CUresult res = sim_enter(SIM_FN_cuGraphMemAllocNodeGetParams);
	CUgraphNodeParams out;

	if (res != CUDA_SUCCESS)
		return res;
	if (!params_out)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_node_query(hNode, CU_GRAPH_NODE_TYPE_MEM_ALLOC, &out);
	if (res == CUDA_SUCCESS)
		memcpy(params_out, &out.alloc, sizeof(*params_out));
	return res;
}

SIM_EXPORT CUresult cuGraphMemFreeNodeGetParams(CUgraphNode hNode, CUdeviceptr *dptr_out)
{
	CUresult res = sim_enter(SIM_FN_cuGraphMemFreeNodeGetParams);
	CUgraphNodeParams out;

	if (res != CUDA_SUCCESS)
		return res;
	if (!dptr_out)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_node_query(hNode, CU_GRAPH_NODE_TYPE_MEM_FREE, &out);
	if (res == CUDA_SUCCESS)
		*dptr_out = out.free.dptr;
	return res;
}

SIM_EXPORT CUresult cuGraphNodeSetParams(CUgraphNode hNode, CUgraphNodeParams *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphNodeSetParams);

	if (res != CUDA_SUCCESS)
		return res;
	return nodeParams ? sim_node_set(hNode, nodeParams) : CUDA_ERROR_INVALID_VALUE;
}

/* ---- external semaphores: no node of these kinds can be made ---- */

static CUresult no_semaphores(CUgraphNode handle, const void *params)
{
	return params && sim_object_check(handle, SIM_T_NODE) ? CUDA_ERROR_NOT_SUPPORTED
							      : CUDA_ERROR_INVALID_VALUE;
}

SIM_EXPORT CUresult cuGraphExternalSemaphoresSignalNodeGetParams(
	CUgraphNode hNode, CUDA_EXT_SEM_SIGNAL_NODE_PARAMS *params_out)
{
	CUresult res = sim_enter(SIM_FN_cuGraphExternalSemaphoresSignalNodeGetParams);

	if (res != CUDA_SUCCESS)
		return res;
	return no_semaphores(hNode, params_out);
}

SIM_EXPORT CUresult cuGraphExternalSemaphoresSignalNodeSetParams(
	CUgraphNode hNode, const CUDA_EXT_SEM_SIGNAL_NODE_PARAMS *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphExternalSemaphoresSignalNodeSetParams);

	if (res != CUDA_SUCCESS)
		return res;
	return no_semaphores(hNode, nodeParams);
}

SIM_EXPORT CUresult cuGraphExternalSemaphoresWaitNodeGetParams(
	CUgraphNode hNode, CUDA_EXT_SEM_WAIT_NODE_PARAMS *params_out)
{
	CUresult res = sim_enter(SIM_FN_cuGraphExternalSemaphoresWaitNodeGetParams);

	if (res != CUDA_SUCCESS)
		return res;
	return no_semaphores(hNode, params_out);
}

SIM_EXPORT CUresult cuGraphExternalSemaphoresWaitNodeSetParams(
	CUgraphNode hNode, const CUDA_EXT_SEM_WAIT_NODE_PARAMS *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphExternalSemaphoresWaitNodeSetParams);

	if (res != CUDA_SUCCESS)
		return res;
	return no_semaphores(hNode, nodeParams);
}
