/*
 * capture_entry.c - the calls that begin, end, query and steer stream capture.
 */
#include "driver/capture_private.h"

#include <stdlib.h>
#include <string.h>

/* ---- beginning ---- */

static CUresult begin_check(const struct sim_stream *stream, CUstreamCaptureMode mode)
{
	if ((unsigned)mode > CU_STREAM_CAPTURE_MODE_RELAXED)
		return CUDA_ERROR_INVALID_VALUE;
	if (stream->sim_flags & SIM_SF_LEGACY)
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	return atomic_load_explicit(&stream->capture, memory_order_relaxed)
		       ? CUDA_ERROR_ILLEGAL_STATE
		       : CUDA_SUCCESS;
}

static CUresult begin(CUstream handle, bool per_thread, CUstreamCaptureMode mode)
{
	struct sim_stream *stream;
	CUresult res = sim_stream_get(handle, per_thread, &stream);

	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_graph_mutex);
	res = begin_check(stream, mode);
	if (res == CUDA_SUCCESS)
		res = sim_capture_begin(stream, mode, NULL, NULL);
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

/* The caller's nodes as a set, checked. */
static CUresult read_deps(struct sim_graph *graph, const CUgraphNode *nodes,
			  const CUgraphEdgeData *edges, size_t count,
			  struct sim_deps *deps)
{
	CUresult res = sim_deps_check(graph, nodes, count);

	for (size_t i = 0; res == CUDA_SUCCESS && i < count; i++)
		if (!sim_deps_add(deps, nodes[i], edges ? &edges[i] : NULL))
			res = CUDA_ERROR_OUT_OF_MEMORY;
	return res;
}

static CUresult begin_to_graph(CUstream handle, bool per_thread, CUgraph graph_handle,
			       const CUgraphNode *nodes, const CUgraphEdgeData *edges,
			       size_t count, CUstreamCaptureMode mode)
{
	struct sim_deps deps = { .nodes = NULL };
	struct sim_stream *stream;
	struct sim_graph *graph;
	CUresult res = sim_stream_get(handle, per_thread, &stream);

	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_graph_mutex);
	res = begin_check(stream, mode);
	if (res == CUDA_SUCCESS)
		res = sim_graph_get(graph_handle, &graph);
	if (res == CUDA_SUCCESS)
		res = read_deps(graph, nodes, edges, count, &deps);
	if (res == CUDA_SUCCESS)
		res = sim_capture_begin(stream, mode, graph, &deps);
	sim_deps_free(&deps);
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

static CUresult end(CUstream handle, bool per_thread, CUgraph *out)
{
	struct sim_graph *graph = NULL;
	struct sim_stream *stream;
	CUresult res = sim_stream_get(handle, per_thread, &stream);

	if (res != CUDA_SUCCESS)
		return res;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_graph_mutex);
	res = sim_capture_end(stream, &graph);
	pthread_mutex_unlock(&sim_graph_mutex);
	*out = (CUgraph)graph;
	return res;
}

/* ---- queries ---- */

/* What a query asks for; all but status may be NULL. */
struct info {
	CUstreamCaptureStatus *status;
	cuuint64_t *id;
	CUgraph *graph;
	const CUgraphNode **nodes;
	const CUgraphEdgeData **edges;
	size_t *count;
};

static CUresult answer(const struct sim_capture *capture, const struct info *info)
{
	const CUgraphEdgeData zero = { 0 };

	if (info->nodes && !info->edges)
		for (size_t i = 0; i < capture->deps.count; i++)
			if (memcmp(&capture->deps.edges[i], &zero, sizeof(zero)) != 0)
				return CUDA_ERROR_LOSSY_QUERY;
	if (info->id)
		*info->id = capture->sequence->id;
	if (info->graph)
		*info->graph = (CUgraph)capture->sequence->graph;
	if (info->nodes)
		*info->nodes = capture->deps.nodes;
	if (info->edges)
		*info->edges = capture->deps.edges;
	if (info->count)
		*info->count = capture->deps.count;
	return CUDA_SUCCESS;
}

static CUresult query(CUstream handle, bool per_thread, const struct info *info)
{
	const struct sim_capture *capture;
	struct sim_stream *stream;
	CUresult res = sim_stream_get(handle, per_thread, &stream);

	if (res != CUDA_SUCCESS)
		return res;
	if (!info->status || (info->edges && !info->nodes))
		return CUDA_ERROR_INVALID_VALUE;
	*info->status = CU_STREAM_CAPTURE_STATUS_NONE;
	if (atomic_load_explicit(&sim_captures_open, memory_order_relaxed) == 0)
		return CUDA_SUCCESS;
	pthread_mutex_lock(&sim_graph_mutex);
	capture = sim_capture_of(stream);
	if (!capture && (stream->sim_flags & SIM_SF_LEGACY) &&
	    sim_capture_implicit(stream->ctx, false))
		res = CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
	if (capture && capture->sequence->invalid) {
		*info->status = CU_STREAM_CAPTURE_STATUS_INVALIDATED;
	} else if (capture) {
		*info->status = CU_STREAM_CAPTURE_STATUS_ACTIVE;
		res = answer(capture, info);
	}
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

/* ---- steering ---- */

static CUresult update(CUstream handle, bool per_thread, const CUgraphNode *nodes,
		       const CUgraphEdgeData *edges, size_t count, unsigned flags)
{
	struct sim_deps deps = { .nodes = NULL };
	struct sim_capture *capture;
	struct sim_stream *stream;
	CUresult res = sim_stream_get(handle, per_thread, &stream);

	if (res != CUDA_SUCCESS)
		return res;
	if (flags > CU_STREAM_SET_CAPTURE_DEPENDENCIES)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_graph_mutex);
	capture = sim_capture_of(stream);
	if (!capture)
		res = CUDA_ERROR_ILLEGAL_STATE;
	else if (capture->sequence->invalid)
		res = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	if (res == CUDA_SUCCESS)
		res = read_deps(capture->sequence->graph, nodes, edges, count, &deps);
	if (res == CUDA_SUCCESS && flags == CU_STREAM_SET_CAPTURE_DEPENDENCIES)
		capture->deps.count = 0;
	if (res == CUDA_SUCCESS && !sim_deps_join(&capture->deps, &deps))
		res = CUDA_ERROR_OUT_OF_MEMORY;
	sim_deps_free(&deps);
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

/* ---- entry points ---- */

SIM_EXPORT CUresult cuStreamBeginCapture(CUstream hStream)
{
	CUresult res = sim_enter(SIM_FN_cuStreamBeginCapture);

	return res != CUDA_SUCCESS ? res
				   : begin(hStream, false, CU_STREAM_CAPTURE_MODE_GLOBAL);
}

SIM_EXPORT CUresult cuStreamBeginCapture_ptsz(CUstream hStream)
{
	CUresult res = sim_enter(SIM_FN_cuStreamBeginCapture_ptsz);

	return res != CUDA_SUCCESS ? res
				   : begin(hStream, true, CU_STREAM_CAPTURE_MODE_GLOBAL);
}

SIM_EXPORT CUresult cuStreamBeginCapture_v2(CUstream hStream, CUstreamCaptureMode mode)
{
	CUresult res = sim_enter(SIM_FN_cuStreamBeginCapture_v2);

	return res != CUDA_SUCCESS ? res : begin(hStream, false, mode);
}

SIM_EXPORT CUresult cuStreamBeginCapture_v2_ptsz(CUstream hStream,
						 CUstreamCaptureMode mode)
{
	CUresult res = sim_enter(SIM_FN_cuStreamBeginCapture_v2_ptsz);

	return res != CUDA_SUCCESS ? res : begin(hStream, true, mode);
}

SIM_EXPORT CUresult cuStreamBeginCaptureToGraph(CUstream hStream, CUgraph hGraph,
						const CUgraphNode *dependencies,
						const CUgraphEdgeData *dependencyData,
						size_t numDependencies,
						CUstreamCaptureMode mode)
{
	CUresult res = sim_enter(SIM_FN_cuStreamBeginCaptureToGraph);

	return res != CUDA_SUCCESS
		       ? res
		       : begin_to_graph(hStream, false, hGraph, dependencies,
					dependencyData, numDependencies, mode);
}

SIM_EXPORT CUresult cuStreamBeginCaptureToGraph_ptsz(
	CUstream hStream, CUgraph hGraph, const CUgraphNode *dependencies,
	const CUgraphEdgeData *dependencyData, size_t numDependencies,
	CUstreamCaptureMode mode)
{
	CUresult res = sim_enter(SIM_FN_cuStreamBeginCaptureToGraph_ptsz);

	return res != CUDA_SUCCESS
		       ? res
		       : begin_to_graph(hStream, true, hGraph, dependencies,
					dependencyData, numDependencies, mode);
}

SIM_EXPORT CUresult cuStreamEndCapture(CUstream hStream, CUgraph *phGraph)
{
	CUresult res = sim_enter(SIM_FN_cuStreamEndCapture);

	return res != CUDA_SUCCESS ? res : end(hStream, false, phGraph);
}

SIM_EXPORT CUresult cuStreamEndCapture_ptsz(CUstream hStream, CUgraph *phGraph)
{
	CUresult res = sim_enter(SIM_FN_cuStreamEndCapture_ptsz);

	return res != CUDA_SUCCESS ? res : end(hStream, true, phGraph);
}

SIM_EXPORT CUresult cuStreamIsCapturing(CUstream hStream,
					CUstreamCaptureStatus *captureStatus)
{
	CUresult res = sim_enter(SIM_FN_cuStreamIsCapturing);
	const struct info info = { .status = captureStatus };

	return res != CUDA_SUCCESS ? res : query(hStream, false, &info);
}

SIM_EXPORT CUresult cuStreamIsCapturing_ptsz(CUstream hStream,
					     CUstreamCaptureStatus *captureStatus)
{
	CUresult res = sim_enter(SIM_FN_cuStreamIsCapturing_ptsz);
	const struct info info = { .status = captureStatus };

	return res != CUDA_SUCCESS ? res : query(hStream, true, &info);
}

SIM_EXPORT CUresult cuStreamGetCaptureInfo(CUstream hStream,
					   CUstreamCaptureStatus *captureStatus_out,
					   cuuint64_t *id_out)
{
	CUresult res = sim_enter(SIM_FN_cuStreamGetCaptureInfo);
	const struct info info = { .status = captureStatus_out, .id = id_out };

	return res != CUDA_SUCCESS ? res : query(hStream, false, &info);
}

SIM_EXPORT CUresult cuStreamGetCaptureInfo_ptsz(CUstream hStream,
						CUstreamCaptureStatus *captureStatus_out,
						cuuint64_t *id_out)
{
	CUresult res = sim_enter(SIM_FN_cuStreamGetCaptureInfo_ptsz);
	const struct info info = { .status = captureStatus_out, .id = id_out };

	return res != CUDA_SUCCESS ? res : query(hStream, true, &info);
}

SIM_EXPORT CUresult cuStreamGetCaptureInfo_v2(CUstream hStream,
					      CUstreamCaptureStatus *captureStatus_out,
					      cuuint64_t *id_out, CUgraph *graph_out,
					      const CUgraphNode **dependencies_out,
					      size_t *numDependencies_out)
{
	CUresult res = sim_enter(SIM_FN_cuStreamGetCaptureInfo_v2);
	const struct info info = { captureStatus_out, id_out, graph_out,
				   dependencies_out,  NULL,   numDependencies_out };

	return res != CUDA_SUCCESS ? res : query(hStream, false, &info);
}

SIM_EXPORT CUresult cuStreamGetCaptureInfo_v2_ptsz(
	CUstream hStream, CUstreamCaptureStatus *captureStatus_out, cuuint64_t *id_out,
	CUgraph *graph_out, const CUgraphNode **dependencies_out,
	size_t *numDependencies_out)
{
	CUresult res = sim_enter(SIM_FN_cuStreamGetCaptureInfo_v2_ptsz);
	const struct info info = { captureStatus_out, id_out, graph_out,
				   dependencies_out,  NULL,   numDependencies_out };

	return res != CUDA_SUCCESS ? res : query(hStream, true, &info);
}

SIM_EXPORT CUresult cuStreamGetCaptureInfo_v3(CUstream hStream,
					      CUstreamCaptureStatus *captureStatus_out,
					      cuuint64_t *id_out, CUgraph *graph_out,
					      const CUgraphNode **dependencies_out,
					      const CUgraphEdgeData **edgeData_out,
					      size_t *numDependencies_out)
{
	CUresult res = sim_enter(SIM_FN_cuStreamGetCaptureInfo_v3);
	const struct info info = { captureStatus_out, id_out,	    graph_out,
				   dependencies_out,  edgeData_out, numDependencies_out };

	return res != CUDA_SUCCESS ? res : query(hStream, false, &info);
}

SIM_EXPORT CUresult cuStreamGetCaptureInfo_v3_ptsz(
	CUstream hStream, CUstreamCaptureStatus *captureStatus_out, cuuint64_t *id_out,
	CUgraph *graph_out, const CUgraphNode **dependencies_out,
	const CUgraphEdgeData **edgeData_out, size_t *numDependencies_out)
{
	CUresult res = sim_enter(SIM_FN_cuStreamGetCaptureInfo_v3_ptsz);
	const struct info info = { captureStatus_out, id_out,	    graph_out,
				   dependencies_out,  edgeData_out, numDependencies_out };

	return res != CUDA_SUCCESS ? res : query(hStream, true, &info);
}

SIM_EXPORT CUresult cuStreamUpdateCaptureDependencies(CUstream hStream,
						      CUgraphNode *dependencies,
						      size_t numDependencies,
						      unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuStreamUpdateCaptureDependencies);

	return res != CUDA_SUCCESS ? res
				   : update(hStream, false, dependencies, NULL,
					    numDependencies, flags);
}

SIM_EXPORT CUresult cuStreamUpdateCaptureDependencies_ptsz(CUstream hStream,
							   CUgraphNode *dependencies,
							   size_t numDependencies,
							   unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuStreamUpdateCaptureDependencies_ptsz);

	return res != CUDA_SUCCESS ? res
				   : update(hStream, true, dependencies, NULL,
					    numDependencies, flags);
}

SIM_EXPORT CUresult cuStreamUpdateCaptureDependencies_v2(
	CUstream hStream, CUgraphNode *dependencies,
	const CUgraphEdgeData *dependencyData, size_t numDependencies, unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuStreamUpdateCaptureDependencies_v2);

	return res != CUDA_SUCCESS ? res
				   : update(hStream, false, dependencies, dependencyData,
					    numDependencies, flags);
}

SIM_EXPORT CUresult cuStreamUpdateCaptureDependencies_v2_ptsz(
	CUstream hStream, CUgraphNode *dependencies,
	const CUgraphEdgeData *dependencyData, size_t numDependencies, unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuStreamUpdateCaptureDependencies_v2_ptsz);

	return res != CUDA_SUCCESS ? res
				   : update(hStream, true, dependencies, dependencyData,
					    numDependencies, flags);
}
