/*
 * graph_update_calls.c - the calls that change executable graphs. What they may change
 * stands in graph_update.c.
 */
#include "driver/graph.h"

#include <string.h>

SIM_EXPORT CUresult cuGraphExecMemcpyNodeSetParams(CUgraphExec hGraphExec,
						   CUgraphNode hNode,
						   const CUDA_MEMCPY3D *copyParams,
						   CUcontext ctx)
{
	CUresult res = sim_enter(SIM_FN_cuGraphExecMemcpyNodeSetParams);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_MEMCPY };

	if (res != CUDA_SUCCESS)
		return res;
	if (!copyParams)
		return CUDA_ERROR_INVALID_VALUE;
	in.memcpy.copyParams = *copyParams;
	in.memcpy.copyCtx = ctx;
	return sim_exec_set(hGraphExec, hNode, &in);
}

SIM_EXPORT CUresult
cuGraphExecMemsetNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
			       const CUDA_MEMSET_NODE_PARAMS *memsetParams, CUcontext ctx)
{
	CUresult res = sim_enter(SIM_FN_cuGraphExecMemsetNodeSetParams);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_MEMSET };

	if (res != CUDA_SUCCESS)
		return res;
	if (!memsetParams)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&in.memset, memsetParams, sizeof(*memsetParams));
	in.memset.ctx = ctx;
	return sim_exec_set(hGraphExec, hNode, &in);
}

SIM_EXPORT CUresult cuGraphExecHostNodeSetParams(CUgraphExec hGraphExec,
						 CUgraphNode hNode,
						 const CUDA_HOST_NODE_PARAMS *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphExecHostNodeSetParams);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_HOST };

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&in.host, nodeParams, sizeof(*nodeParams));
	return sim_exec_set(hGraphExec, hNode, &in);
}

SIM_EXPORT CUresult cuGraphExecChildGraphNodeSetParams(CUgraphExec hGraphExec,
						       CUgraphNode hNode,
						       CUgraph childGraph)
{
	CUresult res = sim_enter(SIM_FN_cuGraphExecChildGraphNodeSetParams);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_GRAPH };

	if (res != CUDA_SUCCESS)
		return res;
	in.graph.graph = childGraph;
	return sim_exec_set(hGraphExec, hNode, &in);
}

SIM_EXPORT CUresult cuGraphExecEventRecordNodeSetEvent(CUgraphExec hGraphExec,
						       CUgraphNode hNode, CUevent event)
{
	CUresult res = sim_enter(SIM_FN_cuGraphExecEventRecordNodeSetEvent);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_EVENT_RECORD };

	if (res != CUDA_SUCCESS)
		return res;
	in.eventRecord.event = event;
	return sim_exec_set(hGraphExec, hNode, &in);
}

SIM_EXPORT CUresult cuGraphExecEventWaitNodeSetEvent(CUgraphExec hGraphExec,
						     CUgraphNode hNode, CUevent event)
{
	CUresult res = sim_enter(SIM_FN_cuGraphExecEventWaitNodeSetEvent);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_WAIT_EVENT };

	if (res != CUDA_SUCCESS)
		return res;
	in.eventWait.event = event;
	return sim_exec_set(hGraphExec, hNode, &in);
}

SIM_EXPORT CUresult
cuGraphExecBatchMemOpNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
				   const CUDA_BATCH_MEM_OP_NODE_PARAMS *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphExecBatchMemOpNodeSetParams);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP };

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&in.memOp, nodeParams, sizeof(*nodeParams));
	return sim_exec_set(hGraphExec, hNode, &in);
}

SIM_EXPORT CUresult cuGraphExecExternalSemaphoresSignalNodeSetParams(
	CUgraphExec hGraphExec, CUgraphNode hNode,
	const CUDA_EXT_SEM_SIGNAL_NODE_PARAMS *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphExecExternalSemaphoresSignalNodeSetParams);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_EXT_SEMAS_SIGNAL };

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	return sim_exec_set(hGraphExec, hNode, &in);
}

SIM_EXPORT CUresult cuGraphExecExternalSemaphoresWaitNodeSetParams(
	CUgraphExec hGraphExec, CUgraphNode hNode,
	const CUDA_EXT_SEM_WAIT_NODE_PARAMS *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphExecExternalSemaphoresWaitNodeSetParams);
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT };

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	return sim_exec_set(hGraphExec, hNode, &in);
}

SIM_EXPORT CUresult cuGraphExecNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
					     CUgraphNodeParams *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphExecNodeSetParams);

	if (res != CUDA_SUCCESS)
		return res;
	return nodeParams ? sim_exec_set(hGraphExec, hNode, nodeParams)
			  : CUDA_ERROR_INVALID_VALUE;
}

SIM_EXPORT CUresult cuGraphNodeSetEnabled(CUgraphExec hGraphExec, CUgraphNode hNode,
					  unsigned int isEnabled)
{
	CUresult res = sim_enter(SIM_FN_cuGraphNodeSetEnabled);

	if (res != CUDA_SUCCESS)
		return res;
	return sim_exec_enabled(hGraphExec, hNode, &isEnabled, NULL);
}

SIM_EXPORT CUresult cuGraphNodeGetEnabled(CUgraphExec hGraphExec, CUgraphNode hNode,
					  unsigned int *isEnabled)
{
	CUresult res = sim_enter(SIM_FN_cuGraphNodeGetEnabled);

	if (res != CUDA_SUCCESS)
		return res;
	return isEnabled ? sim_exec_enabled(hGraphExec, hNode, NULL, isEnabled)
			 : CUDA_ERROR_INVALID_VALUE;
}

SIM_EXPORT CUresult cuGraphExecUpdate(CUgraphExec hGraphExec, CUgraph hGraph,
				      CUgraphNode *hErrorNode_out,
				      CUgraphExecUpdateResult *updateResult_out)
{
	CUresult res = sim_enter(SIM_FN_cuGraphExecUpdate);
	CUgraphExecUpdateResultInfo info;

	if (res != CUDA_SUCCESS)
		return res;
	if (!hErrorNode_out || !updateResult_out)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_exec_update(hGraphExec, hGraph, &info);
	*hErrorNode_out = info.errorNode;
	*updateResult_out = info.result;
	return res;
}

SIM_EXPORT CUresult cuGraphExecUpdate_v2(CUgraphExec hGraphExec, CUgraph hGraph,
					 CUgraphExecUpdateResultInfo *resultInfo)
{
	CUresult res = sim_enter(SIM_FN_cuGraphExecUpdate_v2);

	if (res != CUDA_SUCCESS)
		return res;
	return resultInfo ? sim_exec_update(hGraphExec, hGraph, resultInfo)
			  : CUDA_ERROR_INVALID_VALUE;
}
