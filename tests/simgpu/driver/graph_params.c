/*
 * graph_params.c - what nodes do: checked and copied from CUDA's structures, copied between
 * graphs, and given back.
 *
 * Knows: every kind of node. Refuses to know: graphs around a node; so allocations, frees,
 * children and conditionals are made in graph_special.c.
 */
#include "driver/graph.h"

#include <stdlib.h>
#include <string.h>

#include "driver/copy.h"
#include "driver/ranges.h"

enum { MEMOPS_MAX = 256 };

static void *copy_of(const void *data, size_t bytes)
{
	void *copy = malloc(bytes ? bytes : 1);

	if (copy && bytes)
		memcpy(copy, data, bytes);
	return copy;
}

/* NULL is the current context. */
static CUresult find_context(CUcontext handle, struct sim_context **ctx)
{
	return handle ? sim_context_get(handle, ctx) : sim_need_context(ctx);
}

static CUresult make_copy(const CUDA_MEMCPY_NODE_PARAMS *in, struct sim_params *out)
{
	CUresult res;

	if (in->flags || in->reserved)
		return CUDA_ERROR_INVALID_VALUE;
	res = find_context(in->copyCtx, &out->ctx);
	if (res == CUDA_SUCCESS)
		res = sim_copy_from_3d(&in->copyParams, &out->copy.rec);
	if (res == CUDA_SUCCESS && out->copy.rec.width_bytes)
		res = sim_copy_check(&out->copy.rec);
	out->copy.desc = in->copyParams;
	return res;
}

static CUresult make_memset(const CUDA_MEMSET_NODE_PARAMS_v2 *in, struct sim_params *out)
{
	const unsigned element = in->elementSize;
	CUresult res = find_context(in->ctx, &out->ctx);

	if (res != CUDA_SUCCESS)
		return res;
	if (element != 1 && element != 2 && element != 4)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&out->set.desc, in, sizeof(out->set.desc));
	out->set.rec = (struct sim_rec_memset){
		.dst = in->dst,
		.pitch = in->height > 1 ? in->pitch : in->width * element,
		.width = in->width,
		.height = in->height,
		.value = element == 4 ? in->value : in->value & ((1u << 8 * element) - 1),
		.element_bytes = element,
	};
	return sim_memset_check(&out->set.rec);
}

static CUresult make_event(CUevent event, struct sim_params *out)
{
	if (!sim_object_check(event, SIM_T_EVENT))
		return CUDA_ERROR_INVALID_VALUE;
	out->event = (struct sim_event *)event;
	return CUDA_SUCCESS;
}

bool sim_memop_record(const CUstreamBatchMemOpParams *op, enum sim_record_kind *kind,
		      struct sim_rec_value *rec)
{
	const bool wait = op->operation == CU_STREAM_MEM_OP_WAIT_VALUE_32 ||
			  op->operation == CU_STREAM_MEM_OP_WAIT_VALUE_64;
	const bool wide = op->operation == CU_STREAM_MEM_OP_WAIT_VALUE_64 ||
			  op->operation == CU_STREAM_MEM_OP_WRITE_VALUE_64;

	if (!wait && !wide && op->operation != CU_STREAM_MEM_OP_WRITE_VALUE_32)
		return false;
	/* Waits and writes share the layout of all fields that are read here. */
	*kind = wait ? SIM_REC_WAIT_VALUE : SIM_REC_WRITE_VALUE;
	*rec = (struct sim_rec_value){
		.addr = op->waitValue.address,
		.value = wide ? op->waitValue.value64 : op->waitValue.value,
		.bytes = wide ? 8 : 4,
		.compare = wait ? op->waitValue.flags & CU_STREAM_WAIT_VALUE_NOR : 0,
	};
	return true;
}

static CUresult check_memop(const CUstreamBatchMemOpParams *op)
{
	enum sim_record_kind kind;
	struct sim_rec_value rec;
	struct sim_alloc alloc;
	unsigned known;

	if (op->operation == CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES)
		return op->flushRemoteWrites.flags ? CUDA_ERROR_INVALID_VALUE
						   : CUDA_SUCCESS;
	if (op->operation == CU_STREAM_MEM_OP_BARRIER)
		return op->memoryBarrier.flags > CU_STREAM_MEMORY_BARRIER_TYPE_GPU
			       ? CUDA_ERROR_INVALID_VALUE
			       : CUDA_SUCCESS;
	if (!sim_memop_record(op, &kind, &rec) || rec.addr % rec.bytes ||
	    !sim_ranges_cover(rec.addr, rec.bytes, 0, &alloc) ||
	    alloc.kind == SIM_MEM_MANAGED)
		return CUDA_ERROR_INVALID_VALUE;
	if (kind == SIM_REC_WAIT_VALUE &&
	    (op->waitValue.flags & CU_STREAM_WAIT_VALUE_FLUSH))
		return CUDA_ERROR_NOT_SUPPORTED;
	known = kind == SIM_REC_WAIT_VALUE ? CU_STREAM_WAIT_VALUE_NOR
					   : CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER;
	return op->waitValue.flags & ~known ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

static CUresult make_memop(const CUDA_BATCH_MEM_OP_NODE_PARAMS_v2 *in,
			   struct sim_params *out)
{
	CUresult res = find_context(in->ctx, &out->ctx);

	if (res != CUDA_SUCCESS)
		return res;
	if (in->count > MEMOPS_MAX || (in->count && !in->paramArray) || in->flags)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned i = 0; i < in->count; i++)
		if ((res = check_memop(&in->paramArray[i])) != CUDA_SUCCESS)
			return res;
	out->memop = *in;
	out->memop.paramArray = copy_of(in->paramArray,
					in->count * sizeof(*in->paramArray));
	return out->memop.paramArray ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult sim_params_make(const CUgraphNodeParams *in, struct sim_params *out)
{
	*out = (struct sim_params){ .type = in->type, .enabled = true };
	switch (in->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		return sim_kernel_make(&in->kernel, out);
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		return make_copy(&in->memcpy, out);
	case CU_GRAPH_NODE_TYPE_MEMSET:
		return make_memset(&in->memset, out);
	case CU_GRAPH_NODE_TYPE_HOST:
		out->host = (CUDA_HOST_NODE_PARAMS){ in->host.fn, in->host.userData };
		return in->host.fn ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	case CU_GRAPH_NODE_TYPE_EMPTY:
		return CUDA_SUCCESS;
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
		return make_event(in->eventWait.event, out);
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		return make_event(in->eventRecord.event, out);
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		return make_memop(&in->memOp, out);
	case CU_GRAPH_NODE_TYPE_EXT_SEMAS_SIGNAL:
	case CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT:
		return CUDA_ERROR_NOT_SUPPORTED;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

void sim_params_get(const struct sim_params *params, CUgraphNodeParams *out)
{
	memset(out, 0, sizeof(*out));
	out->type = params->type;
	switch (params->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		sim_kernel_get(&params->kernel, &out->kernel);
		out->kernel.ctx = (CUcontext)params->ctx;
		break;
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		out->memcpy.copyCtx = (CUcontext)params->ctx;
		out->memcpy.copyParams = params->copy.desc;
		break;
	case CU_GRAPH_NODE_TYPE_MEMSET:
		memcpy(&out->memset, &params->set.desc, sizeof(params->set.desc));
		out->memset.ctx = (CUcontext)params->ctx;
		break;
	case CU_GRAPH_NODE_TYPE_HOST:
		out->host.fn = params->host.fn;
		out->host.userData = params->host.userData;
		break;
	case CU_GRAPH_NODE_TYPE_GRAPH:
		out->graph.graph = (CUgraph)params->child.graph;
		out->graph.ownership = params->child.ownership;
		break;
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
		out->eventWait.event = (CUevent)params->event;
		break;
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		out->eventRecord.event = (CUevent)params->event;
		break;
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		memcpy(&out->alloc, &params->alloc.given, sizeof(params->alloc.given));
		break;
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		out->free.dptr = params->release.addr;
		break;
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		memcpy(&out->memOp, &params->memop, sizeof(params->memop));
		break;
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		out->conditional = params->conditional;
		break;
	default:
		break;
	}
}

static CUresult copy_bodies(const CUDA_CONDITIONAL_NODE_PARAMS *from, bool exec,
			    CUDA_CONDITIONAL_NODE_PARAMS *to)
{
	struct sim_graph **bodies = calloc(from->size, sizeof(struct sim_graph *));
	CUresult res = bodies ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;

	to->phGraph_out = (CUgraph *)bodies;
	for (unsigned i = 0; res == CUDA_SUCCESS && i < from->size; i++)
		res = sim_graph_copy((struct sim_graph *)from->phGraph_out[i], exec,
				     &bodies[i]);
	return res;
}

CUresult sim_params_copy(const struct sim_params *from, bool exec, struct sim_params *to)
{
	CUresult res = CUDA_SUCCESS;
	void *owned = to; /* what must not be NULL */

	*to = *from;
	switch (from->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		res = sim_kernel_copy(&from->kernel, &to->kernel);
		break;
	case CU_GRAPH_NODE_TYPE_GRAPH:
		to->child.graph = NULL;
		res = sim_graph_copy(from->child.graph, exec, &to->child.graph);
		break;
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		sim_memory_piece_ref(from->alloc.piece);
		owned = copy_of(from->alloc.given.accessDescs,
				from->alloc.given.accessDescCount *
					sizeof(*from->alloc.given.accessDescs));
		to->alloc.given.accessDescs = owned;
		break;
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		sim_memory_piece_ref(from->release.piece);
		break;
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		owned = copy_of(from->memop.paramArray,
				from->memop.count * sizeof(*from->memop.paramArray));
		to->memop.paramArray = owned;
		break;
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		res = copy_bodies(&from->conditional, exec, &to->conditional);
		break;
	default:
		break;
	}
	if (!owned)
		res = CUDA_ERROR_OUT_OF_MEMORY;
	if (res != CUDA_SUCCESS)
		sim_params_free(to);
	return res;
}

void sim_params_free(struct sim_params *params)
{
	switch (params->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		sim_kernel_free(&params->kernel);
		break;
	case CU_GRAPH_NODE_TYPE_GRAPH:
		sim_graph_free(params->child.graph);
		break;
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		free((void *)params->alloc.given.accessDescs);
		sim_memory_piece_unref(params->alloc.piece);
		break;
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		sim_memory_piece_unref(params->release.piece);
		break;
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		free(params->memop.paramArray);
		break;
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		for (unsigned i = 0;
		     params->conditional.phGraph_out && i < params->conditional.size; i++)
			sim_graph_free(
				(struct sim_graph *)params->conditional.phGraph_out[i]);
		free(params->conditional.phGraph_out);
		break;
	default:
		break;
	}
	*params = (struct sim_params){ .type = CU_GRAPH_NODE_TYPE_EMPTY };
}

/* ---- what a capture saw ---- */

static CUmemorytype side(uint64_t addr, uint32_t space, const void **host,
			 CUdeviceptr *ptr)
{
	if (space == SIM_SPACE_HOST) {
		*host = (const void *)(uintptr_t)addr;
		return CU_MEMORYTYPE_HOST;
	}
	*ptr = addr;
	return CU_MEMORYTYPE_DEVICE;
}

void sim_params_from_copy(struct sim_context *ctx, const struct sim_rec_copy *rec,
			  struct sim_params *out)
{
	CUDA_MEMCPY3D desc = { .WidthInBytes = rec->width_bytes,
			       .Height = rec->height,
			       .Depth = rec->depth };
	const void *dst_host = NULL;

	*out = (struct sim_params){ .type = CU_GRAPH_NODE_TYPE_MEMCPY,
				    .ctx = ctx,
				    .enabled = true };
	desc.srcMemoryType = side(rec->src.addr, rec->src.space, &desc.srcHost,
				  &desc.srcDevice);
	desc.dstMemoryType = side(rec->dst.addr, rec->dst.space, &dst_host,
				  &desc.dstDevice);
	desc.dstHost = (void *)dst_host;
	desc.srcPitch = rec->src.pitch;
	desc.dstPitch = rec->dst.pitch;
	desc.srcHeight = rec->src.pitch ? rec->src.slice / rec->src.pitch : 0;
	desc.dstHeight = rec->dst.pitch ? rec->dst.slice / rec->dst.pitch : 0;
	out->copy.desc = desc;
	out->copy.rec = *rec;
}

void sim_params_from_memset(struct sim_context *ctx, const struct sim_rec_memset *rec,
			    struct sim_params *out)
{
	*out = (struct sim_params){ .type = CU_GRAPH_NODE_TYPE_MEMSET,
				    .ctx = ctx,
				    .enabled = true };
	out->set.rec = *rec;
	out->set.desc = (CUDA_MEMSET_NODE_PARAMS){ .dst = rec->dst,
						   .pitch = rec->pitch,
						   .value = rec->value,
						   .elementSize = rec->element_bytes,
						   .width = rec->width,
						   .height = rec->height };
}
