/*
 * hook_graph.c - instantiating, uploading and launching graphs: the memory that they
 * allocate, and the gate for those that are launched.
 *
 * A graph without nodes that allocate costs an instantiation the look at its nodes, and a
 * launch, beside the gate, two loads, or three if others allocate.
 */
#include "cuda/gated.h"
#include "cuda/graph.h"

/* ---- instantiating ---- */

static CUresult enter(CUgraph graph, struct gsh_graph_needs *needs)
{
	needs->any = false;
	needs->prepared = NULL;
	if (gsh_enter() != GSH_MODE_ACTIVE)
		return gsh_inactive();
	return gsh_graph_needs(graph, needs);
}

static CUresult leave(struct gsh_graph_needs *needs, CUresult res,
		      const CUgraphExec *exec)
{
	gsh_graph_instantiated(needs, res == CUDA_SUCCESS ? (uintptr_t)*exec : 0);
	/* Its handle may be that of one that went with its context, say. */
	if (res == CUDA_SUCCESS && gsh_enter() == GSH_MODE_ACTIVE)
		gsh_gate_graph_changed((uintptr_t)*exec);
	return res;
}

CUresult CUDAAPI cuGraphInstantiate(CUgraphExec *phGraphExec, CUgraph hGraph,
				    CUgraphNode *phErrorNode, char *logBuffer,
				    size_t bufferSize)
{
	struct gsh_graph_needs needs;
	CUresult res;

	GSH_NEED(cuGraphInstantiate);
	res = enter(hGraph, &needs);
	if (res != CUDA_SUCCESS)
		return res;
	res = gsh_driver.cuGraphInstantiate(phGraphExec, hGraph, phErrorNode, logBuffer,
					    bufferSize);
	return leave(&needs, res, phGraphExec);
}

CUresult CUDAAPI cuGraphInstantiate_v2(CUgraphExec *phGraphExec, CUgraph hGraph,
				       CUgraphNode *phErrorNode, char *logBuffer,
				       size_t bufferSize)
{
	struct gsh_graph_needs needs;
	CUresult res;

	GSH_NEED(cuGraphInstantiate_v2);
	res = enter(hGraph, &needs);
	if (res != CUDA_SUCCESS)
		return res;
	res = gsh_driver.cuGraphInstantiate_v2(phGraphExec, hGraph, phErrorNode,
					       logBuffer, bufferSize);
	return leave(&needs, res, phGraphExec);
}

CUresult CUDAAPI cuGraphInstantiateWithFlags(CUgraphExec *phGraphExec, CUgraph hGraph,
					     unsigned long long flags)
{
	struct gsh_graph_needs needs;
	CUresult res;

	GSH_NEED(cuGraphInstantiateWithFlags);
	res = enter(hGraph, &needs);
	if (res != CUDA_SUCCESS)
		return res;
	res = gsh_driver.cuGraphInstantiateWithFlags(phGraphExec, hGraph, flags);
	return leave(&needs, res, phGraphExec);
}

typedef CUresult(CUDAAPI *instantiate_function)(CUgraphExec *, CUgraph,
						CUDA_GRAPH_INSTANTIATE_PARAMS *);

/* With the flag, what a launch would take is taken at once. */
static CUresult with_params(instantiate_function instantiate, CUgraphExec *exec,
			    CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS *params)
{
	struct gsh_graph_launch upload = { .count = 0 };
	struct gsh_graph_needs needs;
	CUresult res = enter(graph, &needs);

	if (res != CUDA_SUCCESS)
		return res;
	if (needs.prepared && params &&
	    (params->flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD))
		res = gsh_graph_upload_begin(&upload, &needs);
	if (res == CUDA_SUCCESS) {
		res = instantiate(exec, graph, params);
		gsh_graph_launch_end(&upload, res == CUDA_SUCCESS);
	}
	return leave(&needs, res, exec);
}

CUresult CUDAAPI
cuGraphInstantiateWithParams(CUgraphExec *phGraphExec, CUgraph hGraph,
			     CUDA_GRAPH_INSTANTIATE_PARAMS *instantiateParams)
{
	GSH_NEED(cuGraphInstantiateWithParams);
	return with_params(gsh_driver.cuGraphInstantiateWithParams, phGraphExec, hGraph,
			   instantiateParams);
}

CUresult CUDAAPI
cuGraphInstantiateWithParams_ptsz(CUgraphExec *phGraphExec, CUgraph hGraph,
				  CUDA_GRAPH_INSTANTIATE_PARAMS *instantiateParams)
{
	GSH_NEED(cuGraphInstantiateWithParams_ptsz);
	return with_params(gsh_driver.cuGraphInstantiateWithParams_ptsz, phGraphExec,
			   hGraph, instantiateParams);
}

CUresult CUDAAPI cuGraphExecDestroy(CUgraphExec hGraphExec)
{
	CUresult res;

	GSH_NEED(cuGraphExecDestroy);
	if (gsh_enter() != GSH_MODE_ACTIVE) {
		res = gsh_inactive();
		return res == CUDA_SUCCESS ? gsh_driver.cuGraphExecDestroy(hGraphExec)
					   : res;
	}
	/* Before the driver may give the handle to another. That it could fail and the graph
	 * be launched later, uncounted, is not: it fails for what is no graph. */
	if (gsh_graphs_any())
		gsh_graph_exec_destroyed((uintptr_t)hGraphExec);
	gsh_gate_graph_changed((uintptr_t)hGraphExec);
	return gsh_driver.cuGraphExecDestroy(hGraphExec);
}

/* ---- launching ---- */

typedef CUresult(CUDAAPI *launch_function)(CUgraphExec, CUstream);

/* Uploads, or launches what is through the gate: with the memory that it needs. */
static CUresult with_memory(launch_function function, CUgraphExec exec, CUstream stream)
{
	struct gsh_graph_launch launch;
	CUresult res;

	if (gsh_likely(!gsh_graphs_any()) || !gsh_graph_may_allocate((uintptr_t)exec))
		return function(exec, stream);
	res = gsh_graph_launch_begin(&launch, (uintptr_t)exec);
	if (res != CUDA_SUCCESS)
		return res;
	res = function(exec, stream);
	gsh_graph_launch_end(&launch, res == CUDA_SUCCESS);
	return res;
}

/* At the gate it may wait: before its memory is taken from others. */
static CUresult launch_graph(launch_function function, CUgraphExec exec, CUstream stream,
			     uint64_t none)
{
	struct gsh_launch launch;
	struct gsh_pass pass;
	CUresult res;

	if (gsh_unlikely(gsh_enter() != GSH_MODE_ACTIVE)) {
		res = gsh_inactive();
		return res == CUDA_SUCCESS ? function(exec, stream) : res;
	}
	gsh_launch_graph(&launch, (uintptr_t)exec, gsh_stream_id(stream, none));
	if (gsh_unlikely(gsh_gate_enter(&launch, &pass) != CUDA_SUCCESS))
		return (CUresult)pass.res;
	res = with_memory(function, exec, stream);
	gsh_gate_leave(&pass, res);
	return res;
}

static CUresult upload(launch_function function, CUgraphExec exec, CUstream stream)
{
	CUresult res;

	if (gsh_enter() == GSH_MODE_ACTIVE)
		return with_memory(function, exec, stream);
	res = gsh_inactive();
	return res == CUDA_SUCCESS ? function(exec, stream) : res;
}

CUresult CUDAAPI cuGraphLaunch(CUgraphExec hGraphExec, CUstream hStream)
{
	GSH_NEED(cuGraphLaunch);
	return launch_graph(gsh_driver.cuGraphLaunch, hGraphExec, hStream,
			    GSH_STREAM_LEGACY);
}

CUresult CUDAAPI cuGraphLaunch_ptsz(CUgraphExec hGraphExec, CUstream hStream)
{
	GSH_NEED(cuGraphLaunch_ptsz);
	return launch_graph(gsh_driver.cuGraphLaunch_ptsz, hGraphExec, hStream,
			    GSH_STREAM_PER_THREAD);
}

CUresult CUDAAPI cuGraphUpload(CUgraphExec hGraphExec, CUstream hStream)
{
	GSH_NEED(cuGraphUpload);
	return upload(gsh_driver.cuGraphUpload, hGraphExec, hStream);
}

CUresult CUDAAPI cuGraphUpload_ptsz(CUgraphExec hGraphExec, CUstream hStream)
{
	GSH_NEED(cuGraphUpload_ptsz);
	return upload(gsh_driver.cuGraphUpload_ptsz, hGraphExec, hStream);
}

CUresult CUDAAPI cuDeviceGraphMemTrim(CUdevice device)
{
	CUresult res;

	GSH_NEED(cuDeviceGraphMemTrim);
	if (gsh_enter() == GSH_MODE_ACTIVE)
		return gsh_graph_trim(device, gsh_device_row(device));
	res = gsh_inactive();
	return res == CUDA_SUCCESS ? gsh_driver.cuDeviceGraphMemTrim(device) : res;
}
