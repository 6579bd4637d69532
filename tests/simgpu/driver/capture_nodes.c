/*
 * capture_nodes.c - work put into a capturing stream becomes a node; events tie streams to
 * a capture.
 */
#include "driver/capture_private.h"

#include <stdlib.h>
#include <string.h>

#include "driver/event.h"

/* Adds a node behind what the stream has captured so far. Takes params. */
static CUresult add(struct sim_capture *capture, struct sim_params *params)
{
	struct sim_graph *graph = capture->sequence->graph;
	struct sim_node *node;
	CUresult res;

	if (!sim_node_allowed(graph, params)) {
		sim_params_free(params);
		capture->sequence->invalid = true;
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	}
	res = sim_node_add(graph, params, capture->deps.nodes, capture->deps.edges,
			   capture->deps.count, &node);
	if (res != CUDA_SUCCESS) {
		capture->sequence->invalid = true;
		return res;
	}
	capture->deps.count = 0;
	return sim_deps_add(&capture->deps, (CUgraphNode)node, NULL)
		       ? CUDA_SUCCESS
		       : CUDA_ERROR_OUT_OF_MEMORY;
}

/* The stream's capture, which may have ended or become invalid since the caller looked. */
static CUresult find(struct sim_stream *stream, struct sim_capture **capture)
{
	*capture = sim_capture_of(stream);
	if (!*capture)
		return CUDA_ERROR_ILLEGAL_STATE;
	return (*capture)->sequence->invalid ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED
					     : CUDA_SUCCESS;
}

/* Takes the lock and params. */
static CUresult put(struct sim_stream *stream, struct sim_params *params)
{
	struct sim_capture *capture;
	CUresult res;

	pthread_mutex_lock(&sim_graph_mutex);
	res = find(stream, &capture);
	if (res == CUDA_SUCCESS)
		res = add(capture, params);
	else
		sim_params_free(params);
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

CUresult sim_capture_kernel(struct sim_stream *stream, struct sim_function *function,
			    const struct sim_rec_kernel *rec, const void *params)
{
	struct sim_params node;
	CUresult res = sim_params_from_kernel(function, rec, params, &node);

	node.priority = stream->priority;
	return res == CUDA_SUCCESS ? put(stream, &node) : res;
}

CUresult sim_capture_memset(struct sim_stream *stream, const struct sim_rec_memset *rec)
{
	struct sim_params node;

	sim_params_from_memset(stream->ctx, rec, &node);
	return put(stream, &node);
}

CUresult sim_capture_copy(struct sim_stream *stream, const struct sim_rec_copy *rec)
{
	struct sim_params node;

	sim_params_from_copy(stream->ctx, rec, &node);
	return put(stream, &node);
}

CUresult sim_capture_host(struct sim_stream *stream, CUhostFn fn, void *data)
{
	struct sim_params node = { .type = CU_GRAPH_NODE_TYPE_HOST,
				   .enabled = true,
				   .host = { fn, data } };

	return put(stream, &node);
}

CUresult sim_capture_value(struct sim_stream *stream, enum sim_record_kind kind,
			   const struct sim_rec_value *rec)
{
	const bool wait = kind == SIM_REC_WAIT_VALUE, wide = rec->bytes == 8;
	struct sim_params node = { .type = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP,
				   .ctx = stream->ctx,
				   .enabled = true };
	CUstreamBatchMemOpParams *op = calloc(1, sizeof(*op));

	if (!op)
		return CUDA_ERROR_OUT_OF_MEMORY;
	op->operation = wait   ? wide ? CU_STREAM_MEM_OP_WAIT_VALUE_64
				      : CU_STREAM_MEM_OP_WAIT_VALUE_32
			: wide ? CU_STREAM_MEM_OP_WRITE_VALUE_64
			       : CU_STREAM_MEM_OP_WRITE_VALUE_32;
	/* Writes are laid out the same. */
	op->waitValue.address = rec->addr;
	op->waitValue.value64 = rec->value;
	op->waitValue.flags = wait ? rec->compare : 0;
	node.memop = (CUDA_BATCH_MEM_OP_NODE_PARAMS_v2){ .ctx = (CUcontext)stream->ctx,
							 .count = 1,
							 .paramArray = op };
	return put(stream, &node);
}

/* Allocations and frees. Takes the lock. */
static CUresult put_special(struct sim_stream *stream, CUgraphNodeParams *in)
{
	struct sim_capture *capture;
	struct sim_params node;
	CUresult res;

	pthread_mutex_lock(&sim_graph_mutex);
	res = find(stream, &capture);
	if (res == CUDA_SUCCESS)
		res = sim_special_make(capture->sequence->graph, in, capture->deps.nodes,
				       capture->deps.count, &node);
	if (res == CUDA_SUCCESS)
		res = add(capture, &node);
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

CUresult sim_capture_alloc(struct sim_stream *stream, unsigned device, uint64_t bytes,
			   CUdeviceptr *addr)
{
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_MEM_ALLOC };
	CUresult res;

	in.alloc.poolProps.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
	in.alloc.poolProps.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
	in.alloc.poolProps.location.id = (int)device;
	in.alloc.bytesize = bytes;
	res = put_special(stream, &in);
	if (res == CUDA_SUCCESS)
		*addr = in.alloc.dptr;
	return res;
}

CUresult sim_capture_free(struct sim_stream *stream, CUdeviceptr addr)
{
	CUgraphNodeParams in = { .type = CU_GRAPH_NODE_TYPE_MEM_FREE };

	in.free.dptr = addr;
	return put_special(stream, &in);
}

CUresult sim_capture_graph(struct sim_stream *stream, struct sim_exec *exec)
{
	struct sim_params node = { .type = CU_GRAPH_NODE_TYPE_GRAPH, .enabled = true };
	struct sim_capture *capture;
	CUresult res;

	pthread_mutex_lock(&sim_graph_mutex);
	res = find(stream, &capture);
	pthread_mutex_lock(&exec->lock);
	if (res == CUDA_SUCCESS &&
	    (exec->graph->memory_nodes || exec->graph->conditionals)) {
		capture->sequence->invalid = true;
		res = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	}
	if (res == CUDA_SUCCESS)
		res = sim_graph_copy(exec->graph, false, &node.child.graph);
	pthread_mutex_unlock(&exec->lock);
	if (res == CUDA_SUCCESS)
		res = add(capture, &node);
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

/* ---- events ---- */

static struct sim_recorded *record_of(struct sim_sequence *sequence,
				      struct sim_event *event)
{
	struct sim_recorded *recorded;

	for (recorded = sequence->events; recorded; recorded = recorded->next)
		if (recorded->event == event && event->capture_node == recorded)
			return recorded;
	recorded = calloc(1, sizeof(*recorded));
	if (!recorded)
		return NULL;
	recorded->event = event;
	recorded->sequence = sequence;
	recorded->next = sequence->events;
	sequence->events = recorded;
	event->capture_node = recorded;
	return recorded;
}

static CUresult record(struct sim_capture *capture, struct sim_event *event)
{
	struct sim_recorded *recorded = record_of(capture->sequence, event);

	if (!recorded)
		return CUDA_ERROR_OUT_OF_MEMORY;
	recorded->deps.count = 0;
	if (!sim_deps_join(&recorded->deps, &capture->deps))
		return CUDA_ERROR_OUT_OF_MEMORY;
	sim_event_captured(event);
	return CUDA_SUCCESS;
}

static CUresult event_node(struct sim_capture *capture, CUgraphNodeType type,
			   struct sim_event *event)
{
	struct sim_params node = { .type = type, .enabled = true, .event = event };

	return add(capture, &node);
}

CUresult sim_capture_event_record(struct sim_stream *stream, struct sim_event *event,
				  unsigned flags)
{
	struct sim_capture *capture;
	CUresult res;

	pthread_mutex_lock(&sim_graph_mutex);
	res = find(stream, &capture);
	if (res == CUDA_SUCCESS)
		res = flags & CU_EVENT_RECORD_EXTERNAL
			      ? event_node(capture, CU_GRAPH_NODE_TYPE_EVENT_RECORD,
					   event)
			      : record(capture, event);
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

/* A wait for an event that was recorded in an open sequence: the stream joins it. */
static CUresult wait_inside(struct sim_stream *stream,
			    const struct sim_recorded *recorded)
{
	struct sim_capture *capture = sim_capture_of(stream);
	struct sim_sequence *sequence = recorded->sequence;
	CUresult res = CUDA_SUCCESS;

	if (sequence->invalid)
		return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	if (capture && capture->sequence != sequence) {
		sequence->invalid = capture->sequence->invalid = true;
		return CUDA_ERROR_STREAM_CAPTURE_MERGE;
	}
	if (!capture && (stream->sim_flags & SIM_SF_LEGACY)) {
		sequence->invalid = true;
		return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
	}
	if (!capture)
		res = sim_capture_join(sequence, stream);
	if (res == CUDA_SUCCESS &&
	    !sim_deps_join(&sim_capture_of(stream)->deps, &recorded->deps))
		res = CUDA_ERROR_OUT_OF_MEMORY;
	return res;
}

/* The event was recorded outside of every open sequence. */
static CUresult wait_outside(struct sim_capture *capture,
			     const struct sim_event_mark *mark)
{
	if (!capture)
		return CUDA_ERROR_CAPTURED_EVENT;
	if (!mark->recorded && !mark->captured)
		return CUDA_SUCCESS; /* nothing to wait for */
	capture->sequence->invalid = true;
	return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
}

CUresult sim_capture_event_wait(struct sim_stream *stream, struct sim_event *event,
				unsigned flags)
{
	struct sim_event_mark mark;
	struct sim_capture *capture;
	CUresult res;

	pthread_mutex_lock(&sim_graph_mutex);
	mark = sim_event_mark(event);
	capture = sim_capture_of(stream);
	if (capture && capture->sequence->invalid)
		res = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	else if (capture && (flags & CU_EVENT_WAIT_EXTERNAL))
		res = event_node(capture, CU_GRAPH_NODE_TYPE_WAIT_EVENT, event);
	else if (mark.captured && event->capture_node)
		res = wait_inside(stream, event->capture_node);
	else
		res = wait_outside(capture, &mark);
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}
