/*
 * hook_capture.c - captures that begin and end, so that the gate knows whether it must ask.
 *
 * A capture is counted from before it begins until it has certainly ended. One whose stream
 * or context is destroyed, or that a call outside these ends, stays counted: launches then
 * all take the slow way and go on asking, which costs them time and nothing else.
 */
#include "cuda/gate.h"
#include "cuda/hook.h"

/* ---- beginning ---- */

/* False: *res is to be returned. */
static bool begin(bool *counted, CUresult *res)
{
	*res = CUDA_SUCCESS;
	*counted = gsh_enter() == GSH_MODE_ACTIVE;
	if (*counted)
		gsh_gate_capture_begins();
	else
		*res = gsh_inactive();
	return *res == CUDA_SUCCESS;
}

static CUresult begun(bool counted, CUresult res)
{
	if (counted && res != CUDA_SUCCESS)
		gsh_gate_capture_ended();
	return res;
}

CUresult CUDAAPI cuStreamBeginCapture(CUstream hStream)
{
	CUresult res;
	bool counted;

	GSH_NEED(cuStreamBeginCapture);
	if (!begin(&counted, &res))
		return res;
	return begun(counted, gsh_driver.cuStreamBeginCapture(hStream));
}

CUresult CUDAAPI cuStreamBeginCapture_ptsz(CUstream hStream)
{
	CUresult res;
	bool counted;

	GSH_NEED(cuStreamBeginCapture_ptsz);
	if (!begin(&counted, &res))
		return res;
	return begun(counted, gsh_driver.cuStreamBeginCapture_ptsz(hStream));
}

CUresult CUDAAPI cuStreamBeginCapture_v2(CUstream hStream, CUstreamCaptureMode mode)
{
	CUresult res;
	bool counted;

	GSH_NEED(cuStreamBeginCapture_v2);
	if (!begin(&counted, &res))
		return res;
	return begun(counted, gsh_driver.cuStreamBeginCapture_v2(hStream, mode));
}

CUresult CUDAAPI cuStreamBeginCapture_v2_ptsz(CUstream hStream, CUstreamCaptureMode mode)
{
	CUresult res;
	bool counted;

	GSH_NEED(cuStreamBeginCapture_v2_ptsz);
	if (!begin(&counted, &res))
		return res;
	return begun(counted, gsh_driver.cuStreamBeginCapture_v2_ptsz(hStream, mode));
}

CUresult CUDAAPI cuStreamBeginCaptureToGraph(CUstream hStream, CUgraph hGraph,
					     const CUgraphNode *dependencies,
					     const CUgraphEdgeData *dependencyData,
					     size_t numDependencies,
					     CUstreamCaptureMode mode)
{
	CUresult res;
	bool counted;

	GSH_NEED(cuStreamBeginCaptureToGraph);
	if (!begin(&counted, &res))
		return res;
	return begun(counted, gsh_driver.cuStreamBeginCaptureToGraph(
				      hStream, hGraph, dependencies, dependencyData,
				      numDependencies, mode));
}

CUresult CUDAAPI cuStreamBeginCaptureToGraph_ptsz(CUstream hStream, CUgraph hGraph,
						  const CUgraphNode *dependencies,
						  const CUgraphEdgeData *dependencyData,
						  size_t numDependencies,
						  CUstreamCaptureMode mode)
{
	CUresult res;
	bool counted;

	GSH_NEED(cuStreamBeginCaptureToGraph_ptsz);
	if (!begin(&counted, &res))
		return res;
	return begun(counted, gsh_driver.cuStreamBeginCaptureToGraph_ptsz(
				      hStream, hGraph, dependencies, dependencyData,
				      numDependencies, mode));
}

/* ---- ending ---- */

typedef CUresult(CUDAAPI *end_function)(CUstream, CUgraph *);
typedef CUresult(CUDAAPI *query_function)(CUstream, CUstreamCaptureStatus *);

/* Whether a call that failed has all the same ended a capture: an invalid one ends, one that
 * is another thread's or another stream's goes on, and without one there is none to end. */
static bool ended(CUresult res, query_function query, CUstream stream)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_ACTIVE;

	if (res == CUDA_SUCCESS)
		return true;
	return res >= CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED &&
	       res <= CUDA_ERROR_CAPTURED_EVENT && query &&
	       query(stream, &status) == CUDA_SUCCESS &&
	       status == CU_STREAM_CAPTURE_STATUS_NONE;
}

static CUresult end(end_function function, query_function query, CUstream stream,
		    CUgraph *graph)
{
	bool counted = gsh_enter() == GSH_MODE_ACTIVE;
	CUresult res = counted ? CUDA_SUCCESS : gsh_inactive();

	if (res != CUDA_SUCCESS)
		return res;
	res = function(stream, graph);
	if (counted && ended(res, query, stream))
		gsh_gate_capture_ended();
	return res;
}

CUresult CUDAAPI cuStreamEndCapture(CUstream hStream, CUgraph *phGraph)
{
	GSH_NEED(cuStreamEndCapture);
	return end(gsh_driver.cuStreamEndCapture, gsh_driver.call_cuStreamIsCapturing,
		   hStream, phGraph);
}

CUresult CUDAAPI cuStreamEndCapture_ptsz(CUstream hStream, CUgraph *phGraph)
{
	GSH_NEED(cuStreamEndCapture_ptsz);
	return end(gsh_driver.cuStreamEndCapture_ptsz,
		   gsh_driver.call_cuStreamIsCapturing_ptsz, hStream, phGraph);
}
