/*
 * test_gate_capture.c - captures and graphs under a limit: nothing of ours is in a captured
 * graph, nothing of ours ends a capture, what is captured is charged when it is launched, and
 * a graph whose kernels change is held to the same share.
 *
 * Bodies are deep in debt or under load while they capture, so that the gate would hold what
 * it must not hold.
 */
#include "cunit_main.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common_gate.h"
#include "common_tenant.h"
#include "common_truth.h"

#define LIMIT "GPUSHIM_COMPUTE=20"

enum { NODES = 10, ROUNDS = 20 };

/* ---- counting nodes ---- */

/* Of a graph: nodes of a type, and all. */
static size_t nodes_of(CUgraph graph, CUgraphNodeType type, size_t *all)
{
	CUgraphNode nodes[64];
	CUgraphNodeType seen;
	size_t count = 64, found = 0;

	check_result(cuGraphGetNodes(graph, nodes, &count), CUDA_SUCCESS);
	for (size_t i = 0; i < count; i++) {
		check_result(cuGraphNodeGetType(nodes[i], &seen), CUDA_SUCCESS);
		found += seen == type;
	}
	*all = count;
	return found;
}

/* Exactly these kernels, and nothing else. */
static void has_only_kernels(CUgraph graph, size_t kernels)
{
	size_t all = 0, found = nodes_of(graph, CU_GRAPH_NODE_TYPE_KERNEL, &all);

	check(found == kernels);
	check(all == kernels);
}

static void capture(CUstream stream, CUstreamCaptureMode mode, uint64_t ns,
		    CUgraph *graph)
{
	check_result(cuStreamBeginCapture(stream, mode), CUDA_SUCCESS);
	for (int i = 0; i < NODES; i++)
		check_result(gate_work(ns, stream), CUDA_SUCCESS);
	check_result(cuStreamEndCapture(stream, graph), CUDA_SUCCESS);
}

static CUgraphExec executable(CUgraph graph)
{
	CUgraphExec exec = NULL;

	check_result(cuGraphInstantiate(&exec, graph, 0), CUDA_SUCCESS);
	return exec;
}

static void load_graph(CUgraphExec exec)
{
	while (check_result(cuGraphLaunch(exec, gate.stream), CUDA_SUCCESS))
		;
}

/* ---- captures ---- */

/* Unsampled and sampled launches, whose events both threads here and the helper ask about. */
static int stop;

static void *launches_meanwhile(void *argument)
{
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
	CUevent event;
	CUstream stream;

	(void)argument;
	check_result(cuCtxSetCurrent(gate.context), CUDA_SUCCESS);
	stream = gate_new_stream();
	check_result(cuEventCreate(&event, CU_EVENT_DEFAULT), CUDA_SUCCESS);
	/* For its own questions; those of the library are the library's to make harmless. */
	check_result(cuThreadExchangeStreamCaptureMode(&mode), CUDA_SUCCESS);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		for (int i = 0; i < 4; i++)
			check_result(gate_work(50 * GATE_US, stream), CUDA_SUCCESS);
		check_result(cuEventRecord(event, stream), CUDA_SUCCESS);
		while (cuEventQuery(event) == CUDA_ERROR_NOT_READY &&
		       !__atomic_load_n(&stop, __ATOMIC_RELAXED))
			usleep(100);
	}
	return NULL;
}

/* In the mode that every thread has: it only launches. */
static void *only_launches_meanwhile(void *argument)
{
	CUstream stream;

	(void)argument;
	check_result(cuCtxSetCurrent(gate.context), CUDA_SUCCESS);
	stream = gate_new_stream();
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		check_result(gate_work(50 * GATE_US, stream), CUDA_SUCCESS);
	return NULL;
}

static void captures_in(CUstreamCaptureMode mode)
{
	pthread_t others[2];
	CUgraph graph;

	gate_deadline(20);
	gate_open();
	check(pthread_create(&others[0], NULL, launches_meanwhile, NULL) == 0);
	check(pthread_create(&others[1], NULL, only_launches_meanwhile, NULL) == 0);
	for (int i = 0; i < ROUNDS; i++) {
		check_result(cuStreamBeginCapture(gate.stream, mode), CUDA_SUCCESS);
		for (int j = 0; j < NODES; j++) {
			check_result(gate_work(10 * GATE_US, gate.stream), CUDA_SUCCESS);
			/* The helper looks every few milliseconds. */
			usleep(1000);
		}
		check_result(cuStreamEndCapture(gate.stream, &graph), CUDA_SUCCESS);
		has_only_kernels(graph, NODES);
		check_result(cuGraphDestroy(graph), CUDA_SUCCESS);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		pthread_join(others[i], NULL);
}

TENANT_BODY(captures_globally)
{
	captures_in(CU_STREAM_CAPTURE_MODE_GLOBAL);
}

TENANT_BODY(captures_in_its_thread)
{
	captures_in(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
}

TENANT_BODY(captures_relaxed)
{
	captures_in(CU_STREAM_CAPTURE_MODE_RELAXED);
}

static void captures_of_every_mode_go_undisturbed(void)
{
	tenant_dir();
	CU_ASSERT(tenant_passes("captures_globally", LIMIT, NULL));
	CU_ASSERT(tenant_passes("captures_in_its_thread", LIMIT, NULL));
	CU_ASSERT(tenant_passes("captures_relaxed", LIMIT, NULL));
}

/* The sampled launch has completed, and the helper would ask while the capture is open. */
TENANT_BODY(captures_alone)
{
	CUgraph graph;

	gate_deadline(20);
	gate_open();
	for (int i = 0; i < ROUNDS; i++) {
		check_result(gate_work(3 * GATE_MS, gate.stream), CUDA_SUCCESS);
		check_result(
			cuStreamBeginCapture(gate.stream, CU_STREAM_CAPTURE_MODE_GLOBAL),
			CUDA_SUCCESS);
		usleep(12000);
		check_result(gate_work(10 * GATE_US, gate.stream), CUDA_SUCCESS);
		check_result(cuStreamEndCapture(gate.stream, &graph), CUDA_SUCCESS);
		has_only_kernels(graph, 1);
		check_result(cuGraphDestroy(graph), CUDA_SUCCESS);
	}
}

static void the_helper_never_ends_a_capture(void)
{
	CU_ASSERT(tenant_passes("captures_alone", LIMIT, NULL));
}

/* Other streams are drawn in by events, and come back by one. */
TENANT_BODY(captures_two_streams)
{
	CUstream other;
	CUevent fork, join;
	CUgraph graph;
	size_t all;

	gate_deadline(20);
	gate_open();
	other = gate_new_stream();
	check_result(cuEventCreate(&fork, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS);
	check_result(cuEventCreate(&join, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS);
	gate_owe(100 * GATE_MS);
	check_result(cuStreamBeginCapture(gate.stream, CU_STREAM_CAPTURE_MODE_GLOBAL),
		     CUDA_SUCCESS);
	check_result(cuEventRecord(fork, gate.stream), CUDA_SUCCESS);
	check_result(cuStreamWaitEvent(other, fork, 0), CUDA_SUCCESS);
	for (int i = 0; i < NODES; i++) {
		check_result(gate_work(GATE_US, gate.stream), CUDA_SUCCESS);
		check_result(gate_work(GATE_US, other), CUDA_SUCCESS);
	}
	check_result(cuMemsetD32Async(gate.words_at, 0, 16, other), CUDA_SUCCESS);
	check_result(cuEventRecord(join, other), CUDA_SUCCESS);
	check_result(cuStreamWaitEvent(gate.stream, join, 0), CUDA_SUCCESS);
	check_result(cuStreamEndCapture(gate.stream, &graph), CUDA_SUCCESS);
	check(nodes_of(graph, CU_GRAPH_NODE_TYPE_KERNEL, &all) == 2 * NODES);
	check(nodes_of(graph, CU_GRAPH_NODE_TYPE_MEMSET, &all) == 1);
	check(all == 2 * NODES + 1);
}

static void streams_drawn_into_a_capture_are_captured_whole(void)
{
	CU_ASSERT(tenant_passes("captures_two_streams", LIMIT, NULL));
}

/* A launch that would be held, were it not captured: nothing here would ever pay the debt in
 * time. */
TENANT_BODY(captures_in_debt)
{
	CUgraph graph;
	uint64_t kernels;

	gate_deadline(10);
	gate_open();
	gate_owe(500 * GATE_MS);
	kernels = truth_of(getpid()).kernels;
	for (int i = 0; i < 10; i++) {
		capture(gate.stream, CU_STREAM_CAPTURE_MODE_GLOBAL, GATE_MS, &graph);
		has_only_kernels(graph, NODES);
	}
	check(truth_of(getpid()).kernels == kernels);
	alarm(0);
	tenant_meet();
}

static void captured_launches_are_neither_held_nor_counted(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("captures_in_debt", "GPUSHIM_COMPUTE=1", NULL);
	if (tenant_met(pid)) {
		CU_ASSERT(GATE_COUNTS(launches, 1));
		CU_ASSERT_EQUAL(GATE_COUNTED(launches), 1);
		CU_ASSERT_EQUAL(GATE_COUNTED(delayed), 0);
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
}

/* What a program asks of the legacy stream meanwhile fails as without a limit, and harms no
 * more than without. */
TENANT_BODY(launches_on_the_legacy_stream)
{
	CUstream blocking = NULL;
	CUgraph graph = NULL;

	gate_deadline(20);
	gate_open();
	check_result(cuStreamCreate(&blocking, CU_STREAM_DEFAULT), CUDA_SUCCESS);
	check_result(gate_work(10 * GATE_US, NULL), CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	for (int i = 0; i < ROUNDS; i++) {
		check_result(
			cuStreamBeginCapture(blocking, CU_STREAM_CAPTURE_MODE_RELAXED),
			CUDA_SUCCESS);
		check_result(gate_work(10 * GATE_US, blocking), CUDA_SUCCESS);
		check_result(gate_work(10 * GATE_US, NULL),
			     CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
		check_result(cuStreamEndCapture(blocking, &graph),
			     CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
		check_result(gate_work(10 * GATE_US, NULL), CUDA_SUCCESS);
		/* One that is not blocked by it goes on. */
		capture(gate.stream, CU_STREAM_CAPTURE_MODE_RELAXED, GATE_US, &graph);
		check_result(gate_work(10 * GATE_US, NULL), CUDA_SUCCESS);
		has_only_kernels(graph, NODES);
	}
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	alarm(0);
	tenant_meet();
	gate_load();
}

static void the_legacy_streams_rules_stay_as_they_are(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("launches_on_the_legacy_stream", LIMIT, "LOAD=500", NULL);
	if (tenant_met(pid)) {
		tenant_go(pid);
		CU_ASSERT(gate_holds(200, GATE_MS, 400));
		tenant_discard(pid);
	} else {
		CU_ASSERT(tenant_ends(pid));
	}
}

/* ---- graphs ---- */

static CUDA_KERNEL_NODE_PARAMS kernel_of(void **parameters)
{
	return (CUDA_KERNEL_NODE_PARAMS){ .func = gate.work,
					  .gridDimX = 264,
					  .gridDimY = 1,
					  .gridDimZ = 1,
					  .blockDimX = 1024,
					  .blockDimY = 1,
					  .blockDimZ = 1,
					  .kernelParams = parameters };
}

/* A line of kernels of ns each; *last is the last of them. */
static void add_kernels(CUgraph graph, unsigned count, uint64_t ns, CUgraphNode *last)
{
	CUdeviceptr sink = 0;
	void *parameters[] = { &ns, &sink };
	CUDA_KERNEL_NODE_PARAMS params = kernel_of(parameters);
	CUgraphNode before = NULL;

	for (unsigned i = 0; i < count; i++, before = *last)
		check_result(cuGraphAddKernelNode(last, graph, &before, i > 0, &params),
			     CUDA_SUCCESS);
}

static CUgraph new_graph(void)
{
	CUgraph graph = NULL;

	check_result(cuGraphCreate(&graph, 0), CUDA_SUCCESS);
	return graph;
}

TENANT_BODY(loads_a_captured_graph)
{
	CUgraph graph;

	gate_open();
	capture(gate.stream, CU_STREAM_CAPTURE_MODE_GLOBAL, 50 * GATE_US, &graph);
	load_graph(executable(graph));
}

TENANT_BODY(loads_child_graphs)
{
	CUgraph inner, graph, clone;
	CUgraphNode node;

	gate_open();
	inner = new_graph();
	graph = new_graph();
	add_kernels(inner, 5, 50 * GATE_US, &node);
	for (int i = 0; i < 4; i++)
		check_result(cuGraphAddChildGraphNode(&node, graph, NULL, 0, inner),
			     CUDA_SUCCESS);
	check_result(cuGraphClone(&clone, graph), CUDA_SUCCESS);
	load_graph(executable(clone));
}

/* A body of ten kernels, repeated by a kernel's leave: here once. */
TENANT_BODY(loads_a_conditional_graph)
{
	CUgraphNodeParams params = { .type = CU_GRAPH_NODE_TYPE_CONDITIONAL };
	CUgraphConditionalHandle handle = 0;
	CUgraph graph;
	CUgraphNode node;

	gate_open();
	graph = new_graph();
	check_result(cuGraphConditionalHandleCreate(&handle, graph, gate.context, 1,
						    CU_GRAPH_COND_ASSIGN_DEFAULT),
		     CUDA_SUCCESS);
	params.conditional.handle = handle;
	params.conditional.type = CU_GRAPH_COND_TYPE_IF;
	params.conditional.size = 1;
	params.conditional.ctx = gate.context;
	check_result(cuGraphAddNode(&node, graph, NULL, NULL, 0, &params), CUDA_SUCCESS);
	add_kernels(params.conditional.phGraph_out[0], NODES, 50 * GATE_US, &node);
	load_graph(executable(graph));
}

static void graph_holds(const char *body)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start(body, LIMIT, NULL);
	CU_ASSERT(gate_was_busy(40 * GATE_MS));
	CU_ASSERT(gate_holds(200, 2 * GATE_MS, 400));
	CU_ASSERT(GATE_COUNTED(delayed) > 0);
	tenant_discard(pid);
	tenant_forget();
}

static void graphs_of_every_kind_are_charged_when_they_are_launched(void)
{
	graph_holds("loads_a_captured_graph");
	graph_holds("loads_child_graphs");
	graph_holds("loads_a_conditional_graph");
}

TENANT_BODY(launches_graphs)
{
	CUgraphExec exec;
	CUgraph graph;

	gate_open();
	capture(gate.stream, CU_STREAM_CAPTURE_MODE_GLOBAL, 10 * GATE_US, &graph);
	exec = executable(graph);
	for (int i = 0; i < 50; i++)
		check_result(cuGraphLaunch(exec, gate.stream), CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	check(truth_of(getpid()).graph_launches == 50);
	tenant_meet();
}

static void a_graph_is_one_launch(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("launches_graphs", LIMIT, NULL);
	if (tenant_met(pid)) {
		CU_ASSERT(GATE_COUNTS(launches, 50));
		CU_ASSERT_EQUAL(GATE_COUNTED(launches), 50);
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
}

/* First with short kernels, long enough to be learned; then each ten times as long. */
static CUgraph learn_a_graph(CUgraphNode *node, CUgraphExec *exec)
{
	CUgraph graph = new_graph();

	add_kernels(graph, 1, 100 * GATE_US, node);
	*exec = executable(graph);
	for (int i = 0; i < 200; i++)
		check_result(cuGraphLaunch(*exec, gate.stream), CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	return graph;
}

TENANT_BODY(sets_parameters)
{
	uint64_t ns = GATE_MS;
	CUdeviceptr sink = 0;
	void *parameters[] = { &ns, &sink };
	CUDA_KERNEL_NODE_PARAMS params;
	CUgraphExec exec;
	CUgraphNode node;

	gate_open();
	params = kernel_of(parameters);
	learn_a_graph(&node, &exec);
	check_result(cuGraphExecKernelNodeSetParams(exec, node, &params), CUDA_SUCCESS);
	tenant_meet();
	load_graph(exec);
}

TENANT_BODY(updates_the_whole)
{
	CUgraphExecUpdateResultInfo info;
	CUgraph graph;
	CUgraphExec exec;
	CUgraphNode node;

	gate_open();
	learn_a_graph(&node, &exec);
	graph = new_graph();
	add_kernels(graph, 1, GATE_MS, &node);
	check_result(cuGraphExecUpdate(exec, graph, &info), CUDA_SUCCESS);
	tenant_meet();
	load_graph(exec);
}

TENANT_BODY(replaces_the_executable)
{
	CUgraph graph;
	CUgraphExec exec;
	CUgraphNode node;

	gate_open();
	learn_a_graph(&node, &exec);
	check_result(cuGraphExecDestroy(exec), CUDA_SUCCESS);
	graph = new_graph();
	add_kernels(graph, 1, GATE_MS, &node);
	tenant_meet();
	load_graph(executable(graph));
}

/* The share is held from the first launches after the change, not only once it is learned. */
static void change_is_held(const char *body)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start(body, LIMIT, NULL);
	if (tenant_met(pid)) {
		tenant_go(pid);
		CU_ASSERT(gate_stays_below(200, GATE_MS, 300));
		CU_ASSERT(gate_holds(200, GATE_MS, 400));
		tenant_discard(pid);
	} else {
		CU_ASSERT(tenant_ends(pid));
	}
	tenant_forget();
}

static void executables_that_change_are_learned_anew(void)
{
	change_is_held("sets_parameters");
	change_is_held("updates_the_whole");
	change_is_held("replaces_the_executable");
}

const struct unit_suite unit_suite = {
	.name = "captures and graphs under a limit",
	.teardown = tenant_forget,
	.tests = { UNIT_TEST(captures_of_every_mode_go_undisturbed),
		   UNIT_TEST(the_helper_never_ends_a_capture),
		   UNIT_TEST(streams_drawn_into_a_capture_are_captured_whole),
		   UNIT_TEST(captured_launches_are_neither_held_nor_counted),
		   UNIT_TEST(the_legacy_streams_rules_stay_as_they_are),
		   UNIT_TEST(graphs_of_every_kind_are_charged_when_they_are_launched),
		   UNIT_TEST(a_graph_is_one_launch),
		   UNIT_TEST(executables_that_change_are_learned_anew) },
};
