/*
 * graph_attributes.c - attributes of kernel nodes.
 *
 * They are kept and given back; of them the simulated device knows cooperative launches
 * and priorities.
 */
#include "driver/graph.h"

#include <stdlib.h>
#include <string.h>

/* Which attributes a kernel node can have (cuda.h, CUlaunchAttributeID: "graph nodes"). */
#define NODE_ATTRIBUTES                                                   \
	(1u << CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW |                 \
	 1u << CU_LAUNCH_ATTRIBUTE_COOPERATIVE |                          \
	 1u << CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION |                    \
	 1u << CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE | \
	 1u << CU_LAUNCH_ATTRIBUTE_PRIORITY |                             \
	 1u << CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP |                  \
	 1u << CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN |                      \
	 1u << CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION |          \
	 1u << CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT |     \
	 1u << CU_LAUNCH_ATTRIBUTE_NVLINK_UTIL_CENTRIC_SCHEDULING)

static CUresult get_kernel(CUgraphNode handle, struct sim_node **node)
{
	CUresult res = sim_node_get(handle, node);

	if (res == CUDA_SUCCESS && (*node)->params.type != CU_GRAPH_NODE_TYPE_KERNEL)
		res = CUDA_ERROR_INVALID_VALUE;
	return res;
}

static void read_attribute(const struct sim_params *params, unsigned id,
			   CUlaunchAttributeValue *value)
{
	memset(value, 0, sizeof(*value));
	if (params->kernel.set >> id & 1)
		*value = params->kernel.attributes[id];
	if (id == CU_LAUNCH_ATTRIBUTE_PRIORITY)
		value->priority = params->priority;
	else if (id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE)
		value->cooperative = !!(params->kernel.rec.flags & SIM_KF_COOPERATIVE);
}

static CUresult write_attribute(struct sim_params *params, unsigned id,
				const CUlaunchAttributeValue *value)
{
	struct sim_kernel_params *kernel = &params->kernel;

	if (id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE && value->cooperative &&
	    kernel->packed_bytes)
		return CUDA_ERROR_INVALID_VALUE;
	if (!kernel->attributes)
		kernel->attributes = calloc(SIM_KERNEL_ATTRIBUTES,
					    sizeof(*kernel->attributes));
	if (!kernel->attributes)
		return CUDA_ERROR_OUT_OF_MEMORY;
	kernel->attributes[id] = *value;
	kernel->set |= 1u << id;
	if (id == CU_LAUNCH_ATTRIBUTE_PRIORITY)
		params->priority = value->priority;
	else if (id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE)
		kernel->rec.flags = value->cooperative
					    ? kernel->rec.flags | SIM_KF_COOPERATIVE
					    : kernel->rec.flags & ~SIM_KF_COOPERATIVE;
	return CUDA_SUCCESS;
}

static CUresult check_attribute(unsigned id)
{
	if (id == CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE)
		return CUDA_ERROR_NOT_SUPPORTED;
	return id < SIM_KERNEL_ATTRIBUTES && (NODE_ATTRIBUTES >> id & 1)
		       ? CUDA_SUCCESS
		       : CUDA_ERROR_INVALID_VALUE;
}

SIM_EXPORT CUresult cuGraphKernelNodeGetAttribute(CUgraphNode hNode,
						  CUkernelNodeAttrID attr,
						  CUkernelNodeAttrValue *value_out)
{
	CUresult res = sim_enter(SIM_FN_cuGraphKernelNodeGetAttribute);
	struct sim_node *node;

	if (res == CUDA_SUCCESS)
		res = value_out ? check_attribute(attr) : CUDA_ERROR_INVALID_VALUE;
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_graph_mutex);
	res = get_kernel(hNode, &node);
	if (res == CUDA_SUCCESS)
		read_attribute(&node->params, attr, value_out);
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

SIM_EXPORT CUresult cuGraphKernelNodeSetAttribute(CUgraphNode hNode,
						  CUkernelNodeAttrID attr,
						  const CUkernelNodeAttrValue *value)
{
	CUresult res = sim_enter(SIM_FN_cuGraphKernelNodeSetAttribute);
	struct sim_node *node;

	if (res == CUDA_SUCCESS)
		res = value ? check_attribute(attr) : CUDA_ERROR_INVALID_VALUE;
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_graph_mutex);
	res = get_kernel(hNode, &node);
	if (res == CUDA_SUCCESS)
		res = write_attribute(&node->params, attr, value);
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

SIM_EXPORT CUresult cuGraphKernelNodeCopyAttributes(CUgraphNode dst, CUgraphNode src)
{
	CUresult res = sim_enter(SIM_FN_cuGraphKernelNodeCopyAttributes);
	CUlaunchAttributeValue value;
	struct sim_node *to, *from;

	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_graph_mutex);
	res = get_kernel(dst, &to);
	if (res == CUDA_SUCCESS)
		res = get_kernel(src, &from);
	if (res == CUDA_SUCCESS && to->params.ctx != from->params.ctx)
		res = CUDA_ERROR_INVALID_VALUE;
	for (unsigned id = 0; res == CUDA_SUCCESS && id < SIM_KERNEL_ATTRIBUTES; id++) {
		if (check_attribute(id) != CUDA_SUCCESS)
			continue;
		read_attribute(&from->params, id, &value);
		res = write_attribute(&to->params, id, &value);
	}
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}
