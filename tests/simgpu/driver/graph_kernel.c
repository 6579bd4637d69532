/*
 * graph_kernel.c - kernel nodes: their functions and arguments. Attributes stand in
 * graph_attributes.c.
 */
#include "driver/graph.h"

#include <stdlib.h>
#include <string.h>

#include "driver/code.h"
#include "driver/launch.h"

static void set_packed(struct sim_kernel_params *params)
{
	params->extra[0] = CU_LAUNCH_PARAM_BUFFER_POINTER;
	params->extra[1] = params->args;
	params->extra[2] = CU_LAUNCH_PARAM_BUFFER_SIZE;
	params->extra[3] = &params->packed_bytes;
	params->extra[4] = CU_LAUNCH_PARAM_END;
}

static CUresult keep(struct sim_function *function, const struct sim_rec_kernel *rec,
		     const void *args, bool packed, struct sim_params *out)
{
	struct sim_kernel_params *kernel = &out->kernel;

	out->ctx = function->ctx;
	kernel->function = function;
	kernel->rec = *rec;
	kernel->args = malloc(rec->param_bytes + 1);
	kernel->nlist = packed || !function->params ? 0 : function->nparams;
	kernel->list = calloc(kernel->nlist + 1, sizeof(void *));
	if (!kernel->args || !kernel->list) {
		sim_kernel_free(kernel);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (rec->param_bytes)
		memcpy(kernel->args, args, rec->param_bytes);
	for (size_t i = 0; i < kernel->nlist; i++)
		kernel->list[i] = kernel->args + function->params[i].offset_bytes;
	if (packed)
		kernel->packed_bytes = rec->param_bytes;
	return CUDA_SUCCESS;
}

CUresult sim_params_from_kernel(struct sim_function *function,
				const struct sim_rec_kernel *rec, const void *args,
				struct sim_params *out)
{
	*out = (struct sim_params){ .type = CU_GRAPH_NODE_TYPE_KERNEL, .enabled = true };
	out->kernel.func = (CUfunction)function;
	return keep(function, rec, args, false, out);
}

/* The function that a CUkernel is in a context. */
static CUresult find_function(CUkernel kern, CUcontext handle, CUfunction *out)
{
	struct sim_kernel *kernel = (struct sim_kernel *)kern;
	struct sim_function *function;
	struct sim_context *ctx;
	CUresult res;

	if (!sim_object_check(kern, SIM_T_FUNCTION) || kernel->function.ctx)
		return CUDA_ERROR_INVALID_HANDLE;
	res = handle ? sim_context_get(handle, &ctx) : sim_need_context(&ctx);
	if (res == CUDA_SUCCESS)
		res = sim_kernel_function(kernel, ctx, &function);
	if (res == CUDA_SUCCESS)
		*out = (CUfunction)function;
	return res;
}

CUresult sim_kernel_make(const CUDA_KERNEL_NODE_PARAMS_v3 *in, struct sim_params *out)
{
	const unsigned grid[3] = { in->gridDimX, in->gridDimY, in->gridDimZ };
	const unsigned block[3] = { in->blockDimX, in->blockDimY, in->blockDimZ };
	CUfunction func = in->func;
	struct sim_launch *launch;
	CUresult res = CUDA_SUCCESS;

	if (!func)
		res = find_function(in->kern, in->ctx, &func);
	if (res != CUDA_SUCCESS)
		return res;
	launch = malloc(sizeof(*launch));
	if (!launch)
		return CUDA_ERROR_OUT_OF_MEMORY;
	res = sim_launch_prepare(launch, func, grid, block, in->sharedMemBytes,
				 in->kernelParams, in->extra, false);
	if (res == CUDA_SUCCESS)
		res = keep(launch->function, &launch->rec, launch->params,
			   !in->kernelParams && in->extra, out);
	free(launch);
	if (res == CUDA_SUCCESS) {
		out->kernel.func = in->func;
		out->kernel.kern = in->func ? NULL : in->kern;
	}
	return res;
}

void sim_kernel_get(const struct sim_kernel_params *params,
		    CUDA_KERNEL_NODE_PARAMS_v3 *out)
{
	const struct sim_rec_kernel *rec = &params->rec;

	out->func = params->func;
	out->kern = params->kern;
	out->gridDimX = rec->grid[0];
	out->gridDimY = rec->grid[1];
	out->gridDimZ = rec->grid[2];
	out->blockDimX = rec->block[0];
	out->blockDimY = rec->block[1];
	out->blockDimZ = rec->block[2];
	out->sharedMemBytes = rec->shared_bytes;
	if (params->packed_bytes) {
		set_packed((struct sim_kernel_params *)params);
		out->extra = (void **)params->extra;
	} else if (params->nlist) {
		out->kernelParams = params->list;
	}
}

CUresult sim_kernel_copy(const struct sim_kernel_params *from,
			 struct sim_kernel_params *to)
{
	const size_t attributes = SIM_KERNEL_ATTRIBUTES * sizeof(*from->attributes);

	*to = *from;
	to->args = malloc(from->rec.param_bytes + 1);
	to->list = calloc(from->nlist + 1, sizeof(void *));
	to->attributes = from->attributes ? malloc(attributes) : NULL;
	if (!to->args || !to->list || !to->attributes != !from->attributes)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(to->args, from->args, from->rec.param_bytes);
	for (size_t i = 0; i < from->nlist; i++)
		to->list[i] = to->args + ((unsigned char *)from->list[i] - from->args);
	if (to->attributes)
		memcpy(to->attributes, from->attributes, attributes);
	return CUDA_SUCCESS;
}

void sim_kernel_free(struct sim_kernel_params *params)
{
	free(params->args);
	free(params->list);
	free(params->attributes);
	params->args = NULL;
	params->list = NULL;
	params->attributes = NULL;
}

/* ---- parameters ---- */

/* The two public versions differ in the last two fields, which the first has not. */
static void widen(const CUDA_KERNEL_NODE_PARAMS_v1 *in, CUDA_KERNEL_NODE_PARAMS_v2 *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out, in, sizeof(*in));
}

static void describe(const CUDA_KERNEL_NODE_PARAMS_v2 *in, CUgraphNodeParams *out)
{
	memset(out, 0, sizeof(*out));
	out->type = CU_GRAPH_NODE_TYPE_KERNEL;
	memcpy(&out->kernel, in, sizeof(*in));
}

SIM_EXPORT CUresult cuGraphAddKernelNode(CUgraphNode *phGraphNode, CUgraph hGraph,
					 const CUgraphNode *dependencies,
					 size_t numDependencies,
					 const CUDA_KERNEL_NODE_PARAMS_v1 *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphAddKernelNode);
	CUDA_KERNEL_NODE_PARAMS_v2 wide;
	CUgraphNodeParams in;

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	widen(nodeParams, &wide);
	describe(&wide, &in);
	return sim_graph_add(phGraphNode, hGraph, dependencies, NULL, numDependencies,
			     &in);
}

SIM_EXPORT CUresult cuGraphKernelNodeGetParams(CUgraphNode hNode,
					       CUDA_KERNEL_NODE_PARAMS_v1 *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphKernelNodeGetParams);
	CUgraphNodeParams out;

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_node_query(hNode, CU_GRAPH_NODE_TYPE_KERNEL, &out);
	if (res == CUDA_SUCCESS)
		memcpy(nodeParams, &out.kernel, sizeof(*nodeParams));
	return res;
}

SIM_EXPORT CUresult cuGraphKernelNodeSetParams(
	CUgraphNode hNode, const CUDA_KERNEL_NODE_PARAMS_v1 *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphKernelNodeSetParams);
	CUDA_KERNEL_NODE_PARAMS_v2 wide;
	CUgraphNodeParams in;

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	widen(nodeParams, &wide);
	describe(&wide, &in);
	return sim_node_set(hNode, &in);
}

SIM_EXPORT CUresult
cuGraphExecKernelNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
			       const CUDA_KERNEL_NODE_PARAMS_v1 *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphExecKernelNodeSetParams);
	CUDA_KERNEL_NODE_PARAMS_v2 wide;
	CUgraphNodeParams in;

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	widen(nodeParams, &wide);
	describe(&wide, &in);
	return sim_exec_set(hGraphExec, hNode, &in);
}

SIM_EXPORT CUresult cuGraphAddKernelNode_v2(CUgraphNode *phGraphNode, CUgraph hGraph,
					    const CUgraphNode *dependencies,
					    size_t numDependencies,
					    const CUDA_KERNEL_NODE_PARAMS_v2 *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphAddKernelNode_v2);
	CUgraphNodeParams in;

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	describe(nodeParams, &in);
	return sim_graph_add(phGraphNode, hGraph, dependencies, NULL, numDependencies,
			     &in);
}

SIM_EXPORT CUresult cuGraphKernelNodeGetParams_v2(CUgraphNode hNode,
						  CUDA_KERNEL_NODE_PARAMS_v2 *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphKernelNodeGetParams_v2);
	CUgraphNodeParams out;

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_node_query(hNode, CU_GRAPH_NODE_TYPE_KERNEL, &out);
	if (res == CUDA_SUCCESS)
		memcpy(nodeParams, &out.kernel, sizeof(*nodeParams));
	return res;
}

SIM_EXPORT CUresult cuGraphKernelNodeSetParams_v2(
	CUgraphNode hNode, const CUDA_KERNEL_NODE_PARAMS_v2 *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphKernelNodeSetParams_v2);
	CUgraphNodeParams in;

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	describe(nodeParams, &in);
	return sim_node_set(hNode, &in);
}

SIM_EXPORT CUresult
cuGraphExecKernelNodeSetParams_v2(CUgraphExec hGraphExec, CUgraphNode hNode,
				  const CUDA_KERNEL_NODE_PARAMS_v2 *nodeParams)
{
	CUresult res = sim_enter(SIM_FN_cuGraphExecKernelNodeSetParams_v2);
	CUgraphNodeParams in;

	if (res != CUDA_SUCCESS)
		return res;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	describe(nodeParams, &in);
	return sim_exec_set(hGraphExec, hNode, &in);
}
