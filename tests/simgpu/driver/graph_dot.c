/*
 * graph_dot.c - a graph written as a DOT file, for people and for xdot and its kin.
 */
#include "driver/graph.h"

#include <stdio.h>

static const char *const types[] = {
	[CU_GRAPH_NODE_TYPE_KERNEL] = "KERNEL",
	[CU_GRAPH_NODE_TYPE_MEMCPY] = "MEMCPY",
	[CU_GRAPH_NODE_TYPE_MEMSET] = "MEMSET",
	[CU_GRAPH_NODE_TYPE_HOST] = "HOST",
	[CU_GRAPH_NODE_TYPE_GRAPH] = "GRAPH",
	[CU_GRAPH_NODE_TYPE_EMPTY] = "EMPTY",
	[CU_GRAPH_NODE_TYPE_WAIT_EVENT] = "WAIT_EVENT",
	[CU_GRAPH_NODE_TYPE_EVENT_RECORD] = "EVENT_RECORD",
	[CU_GRAPH_NODE_TYPE_MEM_ALLOC] = "MEM_ALLOC",
	[CU_GRAPH_NODE_TYPE_MEM_FREE] = "MEM_FREE",
	[CU_GRAPH_NODE_TYPE_BATCH_MEM_OP] = "BATCH_MEM_OP",
	[CU_GRAPH_NODE_TYPE_CONDITIONAL] = "CONDITIONAL",
};

/* Whether this part is wanted; VERBOSE wants every one. */
static bool wants(unsigned flags, unsigned part)
{
	return flags & (part | CU_GRAPH_DEBUG_DOT_FLAGS_VERBOSE);
}

static const char *side(CUmemorytype type)
{
	return type == CU_MEMORYTYPE_HOST      ? "HOST"
	       : type == CU_MEMORYTYPE_ARRAY   ? "ARRAY"
	       : type == CU_MEMORYTYPE_UNIFIED ? "UNIFIED"
					       : "DEVICE";
}

/* What is always told: a kernel's name, the direction of a copy. */
static void print_summary(FILE *file, const struct sim_params *params)
{
	if (params->type == CU_GRAPH_NODE_TYPE_KERNEL &&
	    sim_object_check(params->kernel.function, SIM_T_FUNCTION))
		fprintf(file, "\\n%s", params->kernel.function->name);
	else if (params->type == CU_GRAPH_NODE_TYPE_MEMCPY)
		fprintf(file, "\\n%s to %s", side(params->copy.desc.srcMemoryType),
			side(params->copy.desc.dstMemoryType));
}

static void print_kernel(FILE *file, const struct sim_rec_kernel *rec)
{
	fprintf(file, "\\ngrid %u,%u,%u block %u,%u,%u shared %u", rec->grid[0],
		rec->grid[1], rec->grid[2], rec->block[0], rec->block[1], rec->block[2],
		rec->shared_bytes);
}

static void print_details(FILE *file, const struct sim_params *params, unsigned flags)
{
	switch (params->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		if (wants(flags, CU_GRAPH_DEBUG_DOT_FLAGS_KERNEL_NODE_PARAMS))
			print_kernel(file, &params->kernel.rec);
		if (wants(flags, CU_GRAPH_DEBUG_DOT_FLAGS_KERNEL_NODE_ATTRIBUTES))
			fprintf(file, "\\npriority %d", params->priority);
		break;
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		if (wants(flags, CU_GRAPH_DEBUG_DOT_FLAGS_MEMCPY_NODE_PARAMS))
			fprintf(file, "\\n%zu x %zu x %zu bytes",
				params->copy.desc.WidthInBytes, params->copy.desc.Height,
				params->copy.desc.Depth);
		break;
	case CU_GRAPH_NODE_TYPE_MEMSET:
		if (wants(flags, CU_GRAPH_DEBUG_DOT_FLAGS_MEMSET_NODE_PARAMS))
			fprintf(file, "\\n%#llx = %#x, %zu x %zu of %u bytes",
				params->set.desc.dst, params->set.desc.value,
				params->set.desc.width, params->set.desc.height,
				params->set.desc.elementSize);
		break;
	case CU_GRAPH_NODE_TYPE_HOST:
		if (wants(flags, CU_GRAPH_DEBUG_DOT_FLAGS_HOST_NODE_PARAMS))
			fprintf(file, "\\ndata %p", params->host.userData);
		break;
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		if (wants(flags, CU_GRAPH_DEBUG_DOT_FLAGS_EVENT_NODE_PARAMS))
			fprintf(file, "\\nevent %p", (void *)params->event);
		break;
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		if (wants(flags, CU_GRAPH_DEBUG_DOT_FLAGS_MEM_ALLOC_NODE_PARAMS))
			fprintf(file, "\\n%zu bytes at %#llx",
				params->alloc.given.bytesize, params->alloc.given.dptr);
		break;
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		if (wants(flags, CU_GRAPH_DEBUG_DOT_FLAGS_MEM_FREE_NODE_PARAMS))
			fprintf(file, "\\n%#llx", params->release.addr);
		break;
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		if (wants(flags, CU_GRAPH_DEBUG_DOT_FLAGS_BATCH_MEM_OP_NODE_PARAMS))
			fprintf(file, "\\n%u operations", params->memop.count);
		break;
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		if (wants(flags, CU_GRAPH_DEBUG_DOT_FLAGS_CONDITIONAL_NODE_PARAMS))
			fprintf(file, "\\nhandle %llu",
				(unsigned long long)params->conditional.handle);
		break;
	default:
		break;
	}
}

static void print_graph(FILE *file, const struct sim_graph *graph, unsigned flags);

static void print_inside(FILE *file, const struct sim_params *params, unsigned flags)
{
	if (params->type == CU_GRAPH_NODE_TYPE_GRAPH)
		print_graph(file, params->child.graph, flags);
	if (params->type != CU_GRAPH_NODE_TYPE_CONDITIONAL)
		return;
	for (unsigned i = 0; i < params->conditional.size; i++)
		print_graph(file, (struct sim_graph *)params->conditional.phGraph_out[i],
			    flags);
}

static void print_graph(FILE *file, const struct sim_graph *graph, unsigned flags)
{
	fprintf(file, "subgraph cluster_%llu {\nlabel=\"graph_%llu\"\n",
		(unsigned long long)graph->id, (unsigned long long)graph->id);
	for (const struct sim_node *node = graph->first; node; node = node->next) {
		fprintf(file, "\"node_%llu\"[label=\"%llu %s",
			(unsigned long long)node->id, (unsigned long long)node->id,
			types[node->params.type]);
		print_summary(file, &node->params);
		print_details(file, &node->params, flags);
		if (wants(flags, CU_GRAPH_DEBUG_DOT_FLAGS_HANDLES))
			fprintf(file, "\\nhandle %p", (const void *)node);
		fprintf(file, "\"];\n");
		print_inside(file, &node->params, flags);
	}
	for (const struct sim_node *node = graph->first; node; node = node->next)
		for (size_t i = 0; i < node->outs.count; i++) {
			const struct sim_link *out = &node->outs.at[i];

			fprintf(file, "\"node_%llu\" -> \"node_%llu\"",
				(unsigned long long)node->id,
				(unsigned long long)out->node->id);
			if (wants(flags, CU_GRAPH_DEBUG_DOT_FLAGS_EXTRA_TOPO_INFO))
				fprintf(file, "[label=\"%zu\"]", i);
			fprintf(file, ";\n");
		}
	fprintf(file, "}\n");
}

SIM_EXPORT CUresult cuGraphDebugDotPrint(CUgraph hGraph, const char *path,
					 unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuGraphDebugDotPrint);
	struct sim_graph *graph;
	FILE *file = NULL;

	if (res != CUDA_SUCCESS)
		return res;
	if (!path)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_graph_mutex);
	res = sim_graph_get(hGraph, &graph);
	if (res == CUDA_SUCCESS)
		file = fopen(path, "we");
	if (file) {
		fprintf(file, "digraph dot {\n");
		print_graph(file, graph, flags);
		fprintf(file, "}\n");
	}
	pthread_mutex_unlock(&sim_graph_mutex);
	if (res == CUDA_SUCCESS && (!file || ferror(file)))
		res = CUDA_ERROR_OPERATING_SYSTEM;
	if (file && fclose(file) != 0)
		res = CUDA_ERROR_OPERATING_SYSTEM;
	return res;
}
