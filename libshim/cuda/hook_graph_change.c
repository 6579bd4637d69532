/*
 * hook_graph_change.c - executable graphs that are changed in place: what the SMs do when
 * they are launched may now be something else.
 */
#include "cuda/gate.h"
#include "cuda/hook.h"

static CUresult enter(void)
{
	return gsh_enter() == GSH_MODE_ACTIVE ? CUDA_SUCCESS : gsh_inactive();
}

static CUresult changed(CUresult res, CUgraphExec exec)
{
	if (res == CUDA_SUCCESS &&
	    gsh_load_relaxed(&gsh_process->mode) == GSH_MODE_ACTIVE)
		gsh_gate_graph_changed((uintptr_t)exec);
	return res;
}

CUresult CUDAAPI cuGraphExecUpdate(CUgraphExec hGraphExec, CUgraph hGraph,
				   CUgraphNode *hErrorNode_out,
				   CUgraphExecUpdateResult *updateResult_out)
{
	CUresult res;

	GSH_NEED(cuGraphExecUpdate);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	return changed(gsh_driver.cuGraphExecUpdate(hGraphExec, hGraph, hErrorNode_out,
						    updateResult_out),
		       hGraphExec);
}

CUresult CUDAAPI cuGraphExecUpdate_v2(CUgraphExec hGraphExec, CUgraph hGraph,
				      CUgraphExecUpdateResultInfo *resultInfo)
{
	CUresult res;

	GSH_NEED(cuGraphExecUpdate_v2);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	return changed(gsh_driver.cuGraphExecUpdate_v2(hGraphExec, hGraph, resultInfo),
		       hGraphExec);
}

CUresult CUDAAPI
cuGraphExecKernelNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
			       const CUDA_KERNEL_NODE_PARAMS_v1 *nodeParams)
{
	CUresult res;

	GSH_NEED(cuGraphExecKernelNodeSetParams);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	return changed(
		gsh_driver.cuGraphExecKernelNodeSetParams(hGraphExec, hNode, nodeParams),
		hGraphExec);
}

CUresult CUDAAPI
cuGraphExecKernelNodeSetParams_v2(CUgraphExec hGraphExec, CUgraphNode hNode,
				  const CUDA_KERNEL_NODE_PARAMS *nodeParams)
{
	CUresult res;

	GSH_NEED(cuGraphExecKernelNodeSetParams_v2);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	return changed(gsh_driver.cuGraphExecKernelNodeSetParams_v2(hGraphExec, hNode,
								    nodeParams),
		       hGraphExec);
}

CUresult CUDAAPI cuGraphExecMemcpyNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
						const CUDA_MEMCPY3D *copyParams,
						CUcontext ctx)
{
	CUresult res;

	GSH_NEED(cuGraphExecMemcpyNodeSetParams);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	return changed(gsh_driver.cuGraphExecMemcpyNodeSetParams(hGraphExec, hNode,
								 copyParams, ctx),
		       hGraphExec);
}

CUresult CUDAAPI
cuGraphExecMemsetNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
			       const CUDA_MEMSET_NODE_PARAMS *memsetParams, CUcontext ctx)
{
	CUresult res;

	GSH_NEED(cuGraphExecMemsetNodeSetParams);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	return changed(gsh_driver.cuGraphExecMemsetNodeSetParams(hGraphExec, hNode,
								 memsetParams, ctx),
		       hGraphExec);
}

CUresult CUDAAPI cuGraphExecChildGraphNodeSetParams(CUgraphExec hGraphExec,
						    CUgraphNode hNode, CUgraph childGraph)
{
	CUresult res;

	GSH_NEED(cuGraphExecChildGraphNodeSetParams);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	return changed(gsh_driver.cuGraphExecChildGraphNodeSetParams(hGraphExec, hNode,
								     childGraph),
		       hGraphExec);
}

CUresult CUDAAPI cuGraphExecNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
					  CUgraphNodeParams *nodeParams)
{
	CUresult res;

	GSH_NEED(cuGraphExecNodeSetParams);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	return changed(gsh_driver.cuGraphExecNodeSetParams(hGraphExec, hNode, nodeParams),
		       hGraphExec);
}

CUresult CUDAAPI cuGraphNodeSetEnabled(CUgraphExec hGraphExec, CUgraphNode hNode,
				       unsigned int isEnabled)
{
	CUresult res;

	GSH_NEED(cuGraphNodeSetEnabled);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	return changed(gsh_driver.cuGraphNodeSetEnabled(hGraphExec, hNode, isEnabled),
		       hGraphExec);
}
