/*
 * Stream capture: what becomes a node, how streams fork and join, what each mode forbids,
 * and the nine error codes; after the CUDA Driver API manual ("Stream Management") and
 * cuda.h.
 */
#include "graph_kernels.h"

#include <pthread.h>

static CUstreamCaptureStatus status_of(CUstream of)
{
	CUstreamCaptureStatus status = (CUstreamCaptureStatus)99;

	GPU_OK(cuStreamIsCapturing(of, &status));
	return status;
}

static void begin_capture(CUstream on, CUstreamCaptureMode mode)
{
	GPU_OK(cuStreamBeginCapture(on, mode));
	CU_ASSERT_EQUAL(status_of(on), CU_STREAM_CAPTURE_STATUS_ACTIVE);
}

/* Ends a capture that must have become a graph. */
static CUgraph end_capture(CUstream on)
{
	CUgraph graph = NULL;

	GPU_OK(cuStreamEndCapture(on, &graph));
	CU_ASSERT_PTR_NOT_NULL(graph);
	CU_ASSERT_EQUAL(status_of(on), CU_STREAM_CAPTURE_STATUS_NONE);
	return graph;
}

/* Ends one that must not. */
static void end_in_error(CUstream on, CUresult error)
{
	CUgraph graph = (CUgraph)&graph;

	GPU_IS(cuStreamEndCapture(on, &graph), error);
	CU_ASSERT_PTR_NULL(graph);
	CU_ASSERT_EQUAL(status_of(on), CU_STREAM_CAPTURE_STATUS_NONE);
}

static CUstream another_stream(void)
{
	CUstream other = NULL;

	GPU_OK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
	return other;
}

static CUevent event(void)
{
	CUevent made = NULL;

	GPU_OK(cuEventCreate(&made, CU_EVENT_DISABLE_TIMING));
	return made;
}

/* Runs a function on another thread, to its end, in the same context. */
struct elsewhere {
	CUresult (*call)(void *arg);
	void *arg;
	CUresult res;
};

static void *go(void *arg)
{
	struct elsewhere *elsewhere = arg;

	if (cuCtxSetCurrent(ctx) == CUDA_SUCCESS)
		elsewhere->res = elsewhere->call(elsewhere->arg);
	return NULL;
}

static CUresult on_another_thread(CUresult (*call)(void *arg), void *arg)
{
	struct elsewhere elsewhere = { call, arg, CUDA_ERROR_UNKNOWN };
	pthread_t thread;

	if (pthread_create(&thread, NULL, go, &elsewhere) == 0)
		pthread_join(thread, NULL);
	return elsewhere.res;
}

static CUresult allocate(void *arg)
{
	CUdeviceptr addr;
	CUresult res = cuMemAlloc(&addr, 4096);

	(void)arg;
	if (res == CUDA_SUCCESS)
		cuMemFree(addr);
	return res;
}

static CUresult exchange_and_allocate(void *mode)
{
	CUresult res = cuThreadExchangeStreamCaptureMode(mode);

	return res != CUDA_SUCCESS ? res : allocate(NULL);
}

/* ---- what is captured ---- */

static void a_capture_runs_nothing_until_its_graph_is_launched(void)
{
	CUgraph graph;

	begin_capture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
	GPU_OK(cuMemsetD32Async(data, 7, WORDS, stream));
	graph = end_capture(stream);
	GPU_OK(cuStreamSynchronize(stream));
	CU_ASSERT_EQUAL(word_at(data), 0);
	run_once(graph);
	CU_ASSERT_EQUAL(word_at(data), 7);
	GPU_OK(cuGraphDestroy(graph));
}

static void every_kind_of_work_becomes_a_node_behind_the_one_before(void)
{
	static const CUgraphNodeType expected[] = { CU_GRAPH_NODE_TYPE_MEMSET,
						    CU_GRAPH_NODE_TYPE_KERNEL,
						    CU_GRAPH_NODE_TYPE_MEMCPY,
						    CU_GRAPH_NODE_TYPE_HOST,
						    CU_GRAPH_NODE_TYPE_BATCH_MEM_OP };
	uint64_t words = WORDS;
	uint32_t value = 3;
	void *list[] = { &data, &value, &words };
	CUgraphNode nodes[5] = { NULL }, from[5], to[5];
	unsigned calls = 0;
	size_t count = 5;
	CUgraph graph;

	begin_capture(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
	GPU_OK(cuMemsetD32Async(data, 1, 1, stream));
	GPU_OK(cuLaunchKernel(fill, 1, 1, 1, 32, 1, 1, 0, stream, list, NULL));
	value = 4; /* arguments were copied */
	GPU_OK(cuMemcpyDtoHAsync(host, data, WORDS * sizeof(*host), stream));
	GPU_OK(cuLaunchHostFunc(stream, count_call, &calls));
	GPU_OK(cuStreamWriteValue32(stream, sum, 5, 0));
	graph = end_capture(stream);
	GPU_OK(cuGraphGetNodes(graph, nodes, &count));
	CU_ASSERT_EQUAL(count, 5);
	for (size_t i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(type_of(nodes[i]), expected[i]);
	count = 5;
	GPU_OK(cuGraphGetEdges(graph, from, to, NULL, &count));
	CU_ASSERT_EQUAL(count, 4);
	for (size_t i = 0; i < 4; i++) {
		CU_ASSERT_PTR_EQUAL(from[i], nodes[i]);
		CU_ASSERT_PTR_EQUAL(to[i], nodes[i + 1]);
	}
	run_once(graph);
	CU_ASSERT_EQUAL(host[WORDS - 1], 3);
	CU_ASSERT_EQUAL(count_of(&calls), 1);
	CU_ASSERT_EQUAL(word_at(sum), 5);
	GPU_OK(cuGraphDestroy(graph));
}

static void a_fork_and_its_join_become_edges(void)
{
	CUstream other = another_stream();
	CUevent fork = event(), join = event();
	CUgraphNode nodes[4], deps[4];
	size_t count = 4;
	CUgraph graph;

	begin_capture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
	GPU_OK(cuMemsetD32Async(data, 1, 1, stream));
	GPU_OK(cuEventRecord(fork, stream));
	GPU_OK(cuStreamWaitEvent(other, fork, 0));
	CU_ASSERT_EQUAL(status_of(other), CU_STREAM_CAPTURE_STATUS_ACTIVE);
	GPU_OK(cuMemsetD32Async(data + 4, 2, 1, other));
	GPU_OK(cuEventRecord(join, other));
	GPU_OK(cuMemsetD32Async(data + 8, 3, 1, stream));
	GPU_OK(cuStreamWaitEvent(stream, join, 0));
	GPU_OK(cuMemcpyDtoHAsync(host, data, 12, stream));
	graph = end_capture(stream);
	CU_ASSERT_EQUAL(status_of(other), CU_STREAM_CAPTURE_STATUS_NONE);
	GPU_OK(cuGraphGetNodes(graph, nodes, &count));
	CU_ASSERT_EQUAL(count, 4);
	count = 4;
	GPU_OK(cuGraphNodeGetDependencies(nodes[3], deps, NULL, &count));
	CU_ASSERT_EQUAL(count, 2);
	count = 4;
	GPU_OK(cuGraphNodeGetDependencies(nodes[1], deps, NULL, &count));
	CU_ASSERT_EQUAL(count, 1);
	CU_ASSERT_PTR_EQUAL(deps[0], nodes[0]);
	run_once(graph);
	CU_ASSERT(host[0] == 1 && host[1] == 2 && host[2] == 3);
	/* Both streams take work as before. */
	GPU_OK(cuMemsetD32Async(data, 9, 1, other));
	GPU_OK(cuStreamSynchronize(other));
	CU_ASSERT_EQUAL(word_at(data), 9);
	GPU_OK(cuGraphDestroy(graph));
	GPU_OK(cuEventDestroy(fork));
	GPU_OK(cuEventDestroy(join));
	GPU_OK(cuStreamDestroy(other));
}

static void external_events_become_nodes(void)
{
	CUevent recorded = event(), waited = event();
	CUgraphNode nodes[3];
	CUevent seen = NULL;
	size_t count = 3;
	CUgraph graph;

	begin_capture(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
	GPU_OK(cuStreamWaitEvent(stream, waited, CU_EVENT_WAIT_EXTERNAL));
	GPU_OK(cuMemsetD32Async(data, 6, 1, stream));
	GPU_OK(cuEventRecordWithFlags(recorded, stream, CU_EVENT_RECORD_EXTERNAL));
	graph = end_capture(stream);
	GPU_OK(cuGraphGetNodes(graph, nodes, &count));
	CU_ASSERT_EQUAL(count, 3);
	CU_ASSERT_EQUAL(type_of(nodes[0]), CU_GRAPH_NODE_TYPE_WAIT_EVENT);
	CU_ASSERT_EQUAL(type_of(nodes[2]), CU_GRAPH_NODE_TYPE_EVENT_RECORD);
	GPU_OK(cuGraphEventRecordNodeGetEvent(nodes[2], &seen));
	CU_ASSERT_PTR_EQUAL(seen, recorded);
	GPU_OK(cuEventQuery(recorded)); /* it is no captured event */
	run_once(graph);
	GPU_OK(cuEventQuery(recorded));
	CU_ASSERT_EQUAL(word_at(data), 6);
	/* Without a capture the flags mean nothing. */
	GPU_IS(cuStreamWaitEvent(stream, waited, CU_EVENT_WAIT_EXTERNAL),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphDestroy(graph));
	GPU_OK(cuEventDestroy(recorded));
	GPU_OK(cuEventDestroy(waited));
}

static void a_graph_launched_into_a_capture_becomes_a_child(void)
{
	CUgraph inner = new_graph(), graph, child = NULL;
	CUgraphNode node = NULL;
	CUgraphExec exec;
	size_t count = 1;

	add_memset(inner, NULL, data, 11, WORDS);
	exec = executable(inner);
	begin_capture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
	GPU_OK(cuGraphLaunch(exec, stream));
	graph = end_capture(stream);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(inner));
	GPU_OK(cuGraphGetNodes(graph, &node, &count));
	CU_ASSERT_EQUAL(type_of(node), CU_GRAPH_NODE_TYPE_GRAPH);
	GPU_OK(cuGraphChildGraphNodeGetGraph(node, &child));
	CU_ASSERT_EQUAL(nodes_in(child), 1);
	CU_ASSERT_EQUAL(word_at(data), 0);
	run_once(graph);
	CU_ASSERT_EQUAL(word_at(data), 11);
	GPU_OK(cuGraphDestroy(graph));
}

static void the_per_thread_stream_can_capture(void)
{
	CUgraph graph = NULL;

	GPU_OK(cuStreamBeginCapture(CU_STREAM_PER_THREAD, CU_STREAM_CAPTURE_MODE_GLOBAL));
	GPU_OK(cuMemsetD32Async(data, 12, 1, CU_STREAM_PER_THREAD));
	GPU_OK(cuStreamEndCapture(CU_STREAM_PER_THREAD, &graph));
	run_once(graph);
	CU_ASSERT_EQUAL(word_at(data), 12);
	GPU_OK(cuGraphDestroy(graph));
}

/* ---- modes ---- */

static void a_global_capture_is_killed_by_an_unsafe_call_of_any_thread(void)
{
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;

	begin_capture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
	GPU_IS(on_another_thread(allocate, NULL), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	CU_ASSERT_EQUAL(status_of(stream), CU_STREAM_CAPTURE_STATUS_INVALIDATED);
	GPU_IS(cuMemsetD32Async(data, 1, 1, stream),
	       CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	end_in_error(stream, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	GPU_OK(on_another_thread(exchange_and_allocate, &mode));
}

static void a_thread_in_another_mode_does_not_kill_a_global_capture(void)
{
	CUstreamCaptureMode local = CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
	CUstreamCaptureMode relaxed = CU_STREAM_CAPTURE_MODE_RELAXED;

	begin_capture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
	GPU_OK(on_another_thread(exchange_and_allocate, &local));
	CU_ASSERT_EQUAL(local, CU_STREAM_CAPTURE_MODE_GLOBAL);
	GPU_OK(on_another_thread(exchange_and_allocate, &relaxed));
	GPU_OK(cuGraphDestroy(end_capture(stream)));
}

static void a_thread_local_capture_forbids_its_own_thread_alone(void)
{
	begin_capture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
	GPU_OK(on_another_thread(allocate, NULL));
	CU_ASSERT_EQUAL(status_of(stream), CU_STREAM_CAPTURE_STATUS_ACTIVE);
	GPU_IS(allocate(NULL), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	end_in_error(stream, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

static void a_relaxed_capture_forbids_nobody(void)
{
	begin_capture(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
	GPU_OK(allocate(NULL));
	GPU_OK(on_another_thread(allocate, NULL));
	GPU_OK(cuGraphDestroy(end_capture(stream)));
}

static void a_relaxed_thread_may_do_as_it_likes(void)
{
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;

	begin_capture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
	GPU_OK(cuThreadExchangeStreamCaptureMode(&mode));
	CU_ASSERT_EQUAL(mode, CU_STREAM_CAPTURE_MODE_GLOBAL);
	GPU_OK(allocate(NULL));
	GPU_OK(cuThreadExchangeStreamCaptureMode(&mode));
	CU_ASSERT_EQUAL(mode, CU_STREAM_CAPTURE_MODE_RELAXED);
	GPU_OK(cuGraphDestroy(end_capture(stream)));
	mode = (CUstreamCaptureMode)3;
	GPU_IS(cuThreadExchangeStreamCaptureMode(&mode), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuThreadExchangeStreamCaptureMode(NULL), CUDA_ERROR_INVALID_VALUE);
}

static void a_capturing_stream_cannot_be_queried_or_synchronised(void)
{
	begin_capture(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
	GPU_IS(cuStreamQuery(stream), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	end_in_error(stream, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	begin_capture(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
	GPU_IS(cuStreamSynchronize(stream), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	end_in_error(stream, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	GPU_OK(cuStreamQuery(stream));
}

static void a_captured_event_cannot_be_queried_or_synchronised(void)
{
	CUevent captured = event();

	begin_capture(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
	GPU_OK(cuEventRecord(captured, stream));
	GPU_IS(cuEventQuery(captured), CUDA_ERROR_CAPTURED_EVENT);
	end_in_error(stream, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	GPU_IS(cuEventSynchronize(captured), CUDA_ERROR_CAPTURED_EVENT);
	GPU_OK(cuEventRecord(captured, stream)); /* an ordinary record again */
	GPU_OK(cuEventSynchronize(captured));
	GPU_OK(cuEventDestroy(captured));
}

/* ---- streams and threads that do not fit ---- */

static void the_legacy_stream_cannot_capture(void)
{
	GPU_IS(cuStreamBeginCapture(NULL, CU_STREAM_CAPTURE_MODE_RELAXED),
	       CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	GPU_IS(cuStreamBeginCapture(CU_STREAM_LEGACY, CU_STREAM_CAPTURE_MODE_RELAXED),
	       CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
}

static void the_legacy_stream_would_depend_on_a_blocking_capture(void)
{
	CUstreamCaptureStatus status;
	CUstream blocking;

	GPU_OK(cuStreamCreate(&blocking, CU_STREAM_DEFAULT));
	begin_capture(blocking, CU_STREAM_CAPTURE_MODE_RELAXED);
	GPU_IS(cuStreamIsCapturing(NULL, &status), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
	CU_ASSERT_EQUAL(status_of(blocking), CU_STREAM_CAPTURE_STATUS_ACTIVE);
	GPU_IS(cuMemsetD32Async(data, 1, 1, NULL), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
	CU_ASSERT_EQUAL(status_of(blocking), CU_STREAM_CAPTURE_STATUS_INVALIDATED);
	end_in_error(blocking, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	/* A capture of a stream that does not block has nothing to do with it. */
	begin_capture(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
	CU_ASSERT_EQUAL(status_of(NULL), CU_STREAM_CAPTURE_STATUS_NONE);
	GPU_OK(cuMemsetD32Async(data, 1, 1, NULL));
	GPU_OK(cuGraphDestroy(end_capture(stream)));
	GPU_OK(cuStreamDestroy(blocking));
}

static void a_capture_cannot_begin_twice_or_end_unbegun(void)
{
	CUgraph graph;

	GPU_IS(cuStreamEndCapture(stream, &graph), CUDA_ERROR_ILLEGAL_STATE);
	begin_capture(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
	GPU_IS(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED),
	       CUDA_ERROR_ILLEGAL_STATE);
	GPU_OK(cuGraphDestroy(end_capture(stream)));
	GPU_IS(cuStreamBeginCapture(stream, (CUstreamCaptureMode)3),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuStreamEndCapture(stream, NULL), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuStreamIsCapturing(stream, NULL), CUDA_ERROR_INVALID_VALUE);
}

/* A capture of two streams: the other has waited for the first. */
static CUstream forked(CUstreamCaptureMode mode)
{
	CUstream other = another_stream();
	CUevent fork = event();

	begin_capture(stream, mode);
	GPU_OK(cuEventRecord(fork, stream));
	GPU_OK(cuStreamWaitEvent(other, fork, 0));
	GPU_OK(cuEventDestroy(fork));
	return other;
}

static void a_capture_ends_in_the_stream_where_it_began(void)
{
	CUstream other = forked(CU_STREAM_CAPTURE_MODE_RELAXED);
	CUgraph graph;

	GPU_IS(cuStreamEndCapture(other, &graph), CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
	end_in_error(stream, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	CU_ASSERT_EQUAL(status_of(other), CU_STREAM_CAPTURE_STATUS_NONE);
	GPU_OK(cuStreamDestroy(other));
}

static CUresult end_here(void *arg)
{
	CUgraph graph;

	return cuStreamEndCapture(arg, &graph);
}

static void a_capture_ends_on_the_thread_where_it_began(void)
{
	begin_capture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
	GPU_IS(on_another_thread(end_here, stream),
	       CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
	GPU_OK(cuGraphDestroy(end_capture(stream)));
	begin_capture(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
	GPU_OK(on_another_thread(end_here, stream));
}

static void a_fork_must_be_joined(void)
{
	CUstream other = forked(CU_STREAM_CAPTURE_MODE_RELAXED);

	GPU_OK(cuMemsetD32Async(data, 1, 1, other));
	end_in_error(stream, CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
	CU_ASSERT_EQUAL(status_of(other), CU_STREAM_CAPTURE_STATUS_NONE);
	GPU_OK(cuStreamDestroy(other));
	/* A stream that only waited has nothing to join. */
	other = forked(CU_STREAM_CAPTURE_MODE_RELAXED);
	GPU_OK(cuGraphDestroy(end_capture(stream)));
	GPU_OK(cuStreamDestroy(other));
}

static void two_captures_cannot_become_one(void)
{
	CUstream other = another_stream();
	CUevent here = event();

	begin_capture(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
	begin_capture(other, CU_STREAM_CAPTURE_MODE_RELAXED);
	GPU_OK(cuEventRecord(here, stream));
	GPU_IS(cuStreamWaitEvent(other, here, 0), CUDA_ERROR_STREAM_CAPTURE_MERGE);
	end_in_error(other, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	end_in_error(stream, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	GPU_OK(cuEventDestroy(here));
	GPU_OK(cuStreamDestroy(other));
}

static void a_capture_cannot_wait_for_work_outside_it(void)
{
	CUstream other = another_stream();
	CUevent outside = event(), never = event();

	GPU_OK(cuEventRecord(outside, other));
	begin_capture(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
	GPU_OK(cuStreamWaitEvent(stream, never, 0)); /* an empty set of work */
	GPU_IS(cuStreamWaitEvent(stream, outside, 0),
	       CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
	end_in_error(stream, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	GPU_OK(cuEventDestroy(outside));
	GPU_OK(cuEventDestroy(never));
	GPU_OK(cuStreamDestroy(other));
}

static void an_event_of_an_ended_capture_cannot_be_waited_for(void)
{
	CUevent stale = event();

	begin_capture(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
	GPU_OK(cuEventRecord(stale, stream));
	GPU_OK(cuGraphDestroy(end_capture(stream)));
	GPU_IS(cuStreamWaitEvent(stream, stale, 0), CUDA_ERROR_CAPTURED_EVENT);
	begin_capture(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
	GPU_IS(cuStreamWaitEvent(stream, stale, 0), CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
	end_in_error(stream, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	GPU_OK(cuEventDestroy(stale));
}

static void a_context_that_goes_takes_its_captures_along(void)
{
	CUcontext doomed = gpu_context();
	CUstream other = another_stream();

	begin_capture(other, CU_STREAM_CAPTURE_MODE_GLOBAL);
	GPU_OK(cuMemsetD32Async(data, 1, 1, other));
	gpu_context_end(doomed);
	GPU_OK(cuCtxSetCurrent(ctx));
	GPU_OK(allocate(NULL));
}

/* ---- looking at and steering a capture ---- */

static void a_capture_can_be_looked_at(void)
{
	CUstreamCaptureStatus status;
	const CUgraphEdgeData *edges = NULL;
	const CUgraphNode *deps = NULL;
	CUgraphNode nodes[2];
	cuuint64_t id = 0, next = 0;
	CUgraph graph = NULL, ended;
	size_t count = 99, all = 2;

	GPU_OK(cuStreamGetCaptureInfo(stream, &status, &id, &graph, &deps, &edges,
				      &count));
	CU_ASSERT_EQUAL(status, CU_STREAM_CAPTURE_STATUS_NONE);
	begin_capture(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
	GPU_OK(cuStreamGetCaptureInfo(stream, &status, &id, &graph, &deps, &edges,
				      &count));
	CU_ASSERT_EQUAL(status, CU_STREAM_CAPTURE_STATUS_ACTIVE);
	CU_ASSERT_EQUAL(count, 0);
	GPU_OK(cuMemsetD32Async(data, 1, 1, stream));
	GPU_OK(cuMemsetD32Async(data, 2, 1, stream));
	GPU_OK(cuStreamGetCaptureInfo(stream, &status, NULL, NULL, &deps, NULL, &count));
	GPU_OK(cuGraphGetNodes(graph, nodes, &all));
	CU_ASSERT_EQUAL(count, 1);
	CU_ASSERT_PTR_EQUAL(deps[0], nodes[1]);
	/* The graph is the capture's until that ends. */
	GPU_IS(cuGraphDestroy(graph), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphDestroyNode(nodes[1]), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuStreamGetCaptureInfo(stream, NULL, NULL, NULL, NULL, NULL, NULL),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuStreamGetCaptureInfo(stream, &status, NULL, NULL, NULL, &edges, NULL),
	       CUDA_ERROR_INVALID_VALUE);
	ended = end_capture(stream);
	CU_ASSERT_PTR_EQUAL(ended, graph);
	begin_capture(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
	GPU_OK(cuStreamGetCaptureInfo(stream, &status, &next, NULL, NULL, NULL, NULL));
	CU_ASSERT_NOT_EQUAL(id, next);
	GPU_OK(cuGraphDestroy(end_capture(stream)));
	GPU_OK(cuGraphDestroy(ended));
}

static void dependencies_of_a_capture_can_be_added_and_replaced(void)
{
	CUstreamCaptureStatus status;
	CUgraphNode own, nodes[3], deps[3];
	CUgraph graph = NULL;
	size_t count = 3;

	GPU_IS(cuStreamUpdateCaptureDependencies(stream, NULL, NULL, 0, 0),
	       CUDA_ERROR_ILLEGAL_STATE);
	begin_capture(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
	GPU_OK(cuMemsetD32Async(data, 1, 1, stream));
	GPU_OK(cuStreamGetCaptureInfo(stream, &status, NULL, &graph, NULL, NULL, NULL));
	own = add_memset(graph, NULL, data + 4, 2, 1);
	GPU_OK(cuStreamUpdateCaptureDependencies(stream, &own, NULL, 1,
						 CU_STREAM_ADD_CAPTURE_DEPENDENCIES));
	GPU_OK(cuMemcpyDtoHAsync(host, data, 8, stream));
	GPU_OK(cuGraphGetNodes(graph, nodes, &count));
	count = 3;
	GPU_OK(cuGraphNodeGetDependencies(nodes[2], deps, NULL, &count));
	CU_ASSERT_EQUAL(count, 2);
	GPU_OK(cuStreamUpdateCaptureDependencies(stream, &own, NULL, 1,
						 CU_STREAM_SET_CAPTURE_DEPENDENCIES));
	GPU_IS(cuStreamUpdateCaptureDependencies(stream, &own, NULL, 1, 2),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuStreamUpdateCaptureDependencies(stream, NULL, NULL, 1, 0),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphDestroy(end_capture(stream)));
}

static void a_capture_can_go_into_a_graph_that_exists(void)
{
	CUgraph graph = new_graph(), ended;
	CUgraphNode first = add_memset(graph, NULL, data, 5, 2), deps[2], nodes[2];
	CUgraphExec exec;
	size_t count = 2;

	GPU_OK(cuStreamBeginCaptureToGraph(stream, graph, &first, NULL, 1,
					   CU_STREAM_CAPTURE_MODE_GLOBAL));
	GPU_OK(cuMemcpyDtoHAsync(host, data, 8, stream));
	GPU_IS(cuGraphInstantiate(&exec, graph, 0), CUDA_ERROR_INVALID_VALUE);
	ended = end_capture(stream);
	CU_ASSERT_PTR_EQUAL(ended, graph);
	GPU_OK(cuGraphGetNodes(graph, nodes, &count));
	count = 2;
	GPU_OK(cuGraphNodeGetDependencies(nodes[1], deps, NULL, &count));
	CU_ASSERT_EQUAL(count, 1);
	CU_ASSERT_PTR_EQUAL(deps[0], first);
	run_once(graph);
	CU_ASSERT(host[0] == 5 && host[1] == 5);
	/* A capture in error leaves it to the application. */
	GPU_OK(cuStreamBeginCaptureToGraph(stream, graph, NULL, NULL, 0,
					   CU_STREAM_CAPTURE_MODE_RELAXED));
	GPU_IS(cuStreamQuery(stream), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	end_in_error(stream, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	GPU_IS(cuStreamBeginCaptureToGraph(stream, graph, NULL, NULL, 1,
					   CU_STREAM_CAPTURE_MODE_RELAXED),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphDestroy(graph));
	GPU_IS(cuStreamBeginCaptureToGraph(stream, graph, NULL, NULL, 0,
					   CU_STREAM_CAPTURE_MODE_RELAXED),
	       CUDA_ERROR_INVALID_VALUE);
}

static void allocations_in_a_capture_become_nodes(void)
{
	CUgraphNode nodes[4];
	CUdeviceptr addr = 0;
	size_t count = 4;
	CUgraph graph;

	begin_capture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
	GPU_OK(cuMemAllocAsync(&addr, 4096, stream));
	GPU_OK(cuMemsetD32Async(addr, 21, 1024, stream));
	GPU_OK(cuMemcpyDtoHAsync(host, addr, 4096, stream));
	GPU_OK(cuMemFreeAsync(addr, stream));
	graph = end_capture(stream);
	GPU_OK(cuGraphGetNodes(graph, nodes, &count));
	CU_ASSERT_EQUAL(count, 4);
	CU_ASSERT_EQUAL(type_of(nodes[0]), CU_GRAPH_NODE_TYPE_MEM_ALLOC);
	CU_ASSERT_EQUAL(type_of(nodes[3]), CU_GRAPH_NODE_TYPE_MEM_FREE);
	run_once(graph);
	CU_ASSERT_EQUAL(host[1023], 21);
	GPU_OK(cuGraphDestroy(graph));
}

/* clang-format off */
const struct unit_suite unit_suite = {
	.name = "stream capture",
	.setup = graph_begin,
	.teardown = graph_end,
	.tests = {
		UNIT_TEST(a_capture_runs_nothing_until_its_graph_is_launched),
		UNIT_TEST(every_kind_of_work_becomes_a_node_behind_the_one_before),
		UNIT_TEST(a_fork_and_its_join_become_edges),
		UNIT_TEST(external_events_become_nodes),
		UNIT_TEST(a_graph_launched_into_a_capture_becomes_a_child),
		UNIT_TEST(the_per_thread_stream_can_capture),
		UNIT_TEST(a_global_capture_is_killed_by_an_unsafe_call_of_any_thread),
		UNIT_TEST(a_thread_in_another_mode_does_not_kill_a_global_capture),
		UNIT_TEST(a_thread_local_capture_forbids_its_own_thread_alone),
		UNIT_TEST(a_relaxed_capture_forbids_nobody),
		UNIT_TEST(a_relaxed_thread_may_do_as_it_likes),
		UNIT_TEST(a_capturing_stream_cannot_be_queried_or_synchronised),
		UNIT_TEST(a_captured_event_cannot_be_queried_or_synchronised),
		UNIT_TEST(the_legacy_stream_cannot_capture),
		UNIT_TEST(the_legacy_stream_would_depend_on_a_blocking_capture),
		UNIT_TEST(a_capture_cannot_begin_twice_or_end_unbegun),
		UNIT_TEST(a_capture_ends_in_the_stream_where_it_began),
		UNIT_TEST(a_capture_ends_on_the_thread_where_it_began),
		UNIT_TEST(a_fork_must_be_joined),
		UNIT_TEST(two_captures_cannot_become_one),
		UNIT_TEST(a_capture_cannot_wait_for_work_outside_it),
		UNIT_TEST(an_event_of_an_ended_capture_cannot_be_waited_for),
		UNIT_TEST(a_context_that_goes_takes_its_captures_along),
		UNIT_TEST(a_capture_can_be_looked_at),
		UNIT_TEST(dependencies_of_a_capture_can_be_added_and_replaced),
		UNIT_TEST(a_capture_can_go_into_a_graph_that_exists),
		UNIT_TEST(allocations_in_a_capture_become_nodes),
	},
};
