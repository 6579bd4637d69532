/*
 * graph_change.c - which changes of a node an executable graph can follow (cuda.h,
 * cuGraphExecUpdate).
 */
#include "driver/graph.h"

#include <string.h>

#include "driver/ranges.h"

/* Whether both addresses lie in memory of one kind, device and context. */
static bool same_place(uint64_t a, uint64_t b)
{
	struct sim_alloc x, y;
	const bool known = sim_ranges_find(a, &x);

	if (known != sim_ranges_find(b, &y))
		return false;
	return !known || ((x.kind == SIM_MEM_HOST) == (y.kind == SIM_MEM_HOST) &&
			  x.device == y.device && x.ctx == y.ctx);
}

static CUgraphExecUpdateResult change_kernel(const struct sim_params *old,
					     const struct sim_params *new,
					     bool priorities)
{
	if (old->ctx != new->ctx)
		return CU_GRAPH_EXEC_UPDATE_ERROR_UNSUPPORTED_FUNCTION_CHANGE;
	if ((old->kernel.rec.flags ^ new->kernel.rec.flags) & SIM_KF_COOPERATIVE ||
	    (priorities && old->priority != new->priority))
		return CU_GRAPH_EXEC_UPDATE_ERROR_ATTRIBUTES_CHANGED;
	return CU_GRAPH_EXEC_UPDATE_SUCCESS;
}

static CUgraphExecUpdateResult change_copy(const struct sim_params *old,
					   const struct sim_params *new)
{
	const struct sim_rec_copy *a = &old->copy.rec, *b = &new->copy.rec;
	const bool flat = a->height <= 1 && a->depth <= 1 && b->height <= 1 &&
			  b->depth <= 1;

	if (memcmp(a, b, sizeof(*a)) == 0)
		return CU_GRAPH_EXEC_UPDATE_SUCCESS;
	if (!b->width_bytes ||
	    old->copy.desc.srcMemoryType != new->copy.desc.srcMemoryType ||
	    old->copy.desc.dstMemoryType != new->copy.desc.dstMemoryType ||
	    !same_place(a->src.addr, b->src.addr) ||
	    !same_place(a->dst.addr, b->dst.addr) ||
	    (!flat && (a->width_bytes != b->width_bytes || a->height != b->height ||
		       a->depth != b->depth)))
		return CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED;
	return CU_GRAPH_EXEC_UPDATE_SUCCESS;
}

static CUgraphExecUpdateResult change_memset(const struct sim_params *old,
					     const struct sim_params *new)
{
	const struct sim_rec_memset *a = &old->set.rec, *b = &new->set.rec;

	if (memcmp(a, b, sizeof(*a)) == 0)
		return CU_GRAPH_EXEC_UPDATE_SUCCESS;
	if (!b->width || !b->height || a->height != b->height ||
	    (a->height > 1 && (a->width != b->width || a->pitch != b->pitch ||
			       a->element_bytes != b->element_bytes)) ||
	    !same_place(a->dst, b->dst))
		return CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED;
	return CU_GRAPH_EXEC_UPDATE_SUCCESS;
}

static CUgraphExecUpdateResult change_memop(const struct sim_params *old,
					    const struct sim_params *new)
{
	if (old->ctx != new->ctx || old->memop.count != new->memop.count)
		return CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED;
	for (unsigned i = 0; i < old->memop.count; i++)
		if (old->memop.paramArray[i].operation !=
		    new->memop.paramArray[i].operation)
			return CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED;
	return CU_GRAPH_EXEC_UPDATE_SUCCESS;
}

CUgraphExecUpdateResult sim_params_change(const struct sim_params *old,
					  const struct sim_params *new, bool priorities)
{
	switch (old->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		return change_kernel(old, new, priorities);
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		return change_copy(old, new);
	case CU_GRAPH_NODE_TYPE_MEMSET:
		return change_memset(old, new);
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		return change_memop(old, new);
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		return old->alloc.piece == new->alloc.piece
			       ? CU_GRAPH_EXEC_UPDATE_SUCCESS
			       : CU_GRAPH_EXEC_UPDATE_ERROR_NOT_SUPPORTED;
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		return old->release.piece == new->release.piece
			       ? CU_GRAPH_EXEC_UPDATE_SUCCESS
			       : CU_GRAPH_EXEC_UPDATE_ERROR_NOT_SUPPORTED;
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		return old->conditional.type == new->conditional.type &&
				       old->conditional.size == new->conditional.size
			       ? CU_GRAPH_EXEC_UPDATE_SUCCESS
			       : CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED;
	default:
		return CU_GRAPH_EXEC_UPDATE_SUCCESS;
	}
}
