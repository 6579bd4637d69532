/*
 * test_graph.c - memory that graphs allocate, under a quota: counted when they are launched,
 * refused before the driver is asked, kept and given back with the device's graph memory.
 *
 * The simulated driver backs each graph with whole pieces of 32 MiB.
 */
#include "cunit_main.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common_tenant.h"
#include "common_truth.h"

#define MIB ((uint64_t)1 << 20)
#define QUOTA "GPUSHIM_MEMORY=64MiB"

static uint64_t left_bytes(void)
{
	size_t free_bytes = 0, total = 0;

	check_result(cuMemGetInfo(&free_bytes, &total), CUDA_SUCCESS);
	return free_bytes;
}

static CUstream new_stream(void)
{
	CUstream stream = NULL;

	check_result(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
	return stream;
}

/* Adds an allocation and, if it is wanted, its free. */
static CUdeviceptr add(CUgraph graph, uint64_t bytes, bool freed)
{
	CUDA_MEM_ALLOC_NODE_PARAMS params = {
		.poolProps = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
			       .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } },
		.bytesize = bytes,
	};
	CUgraphNode node, end;

	check_result(cuGraphAddMemAllocNode(&node, graph, NULL, 0, &params),
		     CUDA_SUCCESS);
	if (freed)
		check_result(cuGraphAddMemFreeNode(&end, graph, &node, 1, params.dptr),
			     CUDA_SUCCESS);
	return params.dptr;
}

static CUgraph new_graph(void)
{
	CUgraph graph = NULL;

	check_result(cuGraphCreate(&graph, 0), CUDA_SUCCESS);
	return graph;
}

static CUgraphExec instantiate(CUgraph graph)
{
	CUgraphExec exec = NULL;

	check_result(cuGraphInstantiate(&exec, graph, 0), CUDA_SUCCESS);
	return exec;
}

/* An executable that allocates and frees. */
static CUgraphExec exec_of(uint64_t bytes)
{
	CUgraph graph = new_graph();

	add(graph, bytes, true);
	return instantiate(graph);
}

static void all_comes_back(void)
{
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	check_result(cuDeviceGraphMemTrim(0), CUDA_SUCCESS);
	check(truth_requested() == 0 && left_bytes() == 64 * MIB);
}

/* ---- at the limit ---- */

TENANT_BODY(launched_to_the_limit)
{
	CUgraphExec fits, too_much;
	CUstream stream;
	CUdeviceptr p;
	uint64_t asked;

	tenant_context();
	stream = new_stream();
	fits = exec_of(64 * MIB);
	too_much = exec_of(64 * MIB + 1);
	check(truth_requested() == 0);
	asked = truth_asked();
	check_result(cuGraphLaunch(too_much, stream), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuGraphUpload(too_much, stream), CUDA_ERROR_OUT_OF_MEMORY);
	check(truth_asked() == asked && left_bytes() == 64 * MIB);
	check_result(cuGraphLaunch(fits, stream), CUDA_SUCCESS);
	check(truth_requested() == 64 * MIB && left_bytes() == 0);
	/* The context is not harmed, and what has its memory needs no more. */
	for (int i = 0; i < 100; i++)
		check_result(cuGraphLaunch(fits, stream), CUDA_SUCCESS);
	check_result(cuStreamSynchronize(stream), CUDA_SUCCESS);
	check_result(cuMemAlloc(&p, 65 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuGraphLaunch(fits, stream), CUDA_SUCCESS);
	check_result(cuGraphExecDestroy(fits), CUDA_SUCCESS);
	all_comes_back();
}

static void launches_are_refused_at_the_limit(void)
{
	CU_ASSERT(tenant_passes("launched_to_the_limit", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 64 * MIB);
}

static void without_the_shim_launches_go_past_the_quota(void)
{
	CU_ASSERT_FALSE(tenant_passes_bare("launched_to_the_limit", QUOTA, NULL));
	CU_ASSERT(tenant_device_requested_peak() > 64 * MIB);
}

TENANT_BODY(many_small_allocations)
{
	CUgraph graph;
	CUgraphExec exec;

	tenant_context();
	graph = new_graph();
	for (int i = 0; i < 30; i++)
		add(graph, MIB, false);
	exec = instantiate(graph);
	check_result(cuGraphLaunch(exec, NULL), CUDA_SUCCESS);
	check(truth_requested() == 32 * MIB && left_bytes() == 32 * MIB);
}

static void small_allocations_share_what_is_reserved_for_them(void)
{
	CU_ASSERT(tenant_passes("many_small_allocations", QUOTA, NULL));
}

TENANT_BODY(captured_and_cloned)
{
	CUstream stream;
	CUgraph graph, clone;
	CUgraphExec exec;
	CUdeviceptr p;

	tenant_context();
	stream = new_stream();
	check_result(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL),
		     CUDA_SUCCESS);
	check_result(cuMemAllocAsync(&p, 60 * MIB, stream), CUDA_SUCCESS);
	check_result(cuMemsetD8Async(p, 1, MIB, stream), CUDA_SUCCESS);
	check_result(cuMemFreeAsync(p, stream), CUDA_SUCCESS);
	check_result(cuStreamEndCapture(stream, &graph), CUDA_SUCCESS);
	if (cuGraphClone(&clone, graph) == CUDA_SUCCESS)
		check_result(cuGraphDestroy(clone), CUDA_SUCCESS);
	exec = instantiate(graph);
	check_result(cuMemAlloc(&p, MIB), CUDA_SUCCESS);
	check_result(cuGraphLaunch(exec, stream), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemFree(p), CUDA_SUCCESS);
	check_result(cuGraphLaunch(exec, stream), CUDA_SUCCESS);
	check(truth_requested() == 64 * MIB);
	all_comes_back();
}

static void captured_allocations_are_counted(void)
{
	CU_ASSERT(tenant_passes("captured_and_cloned", QUOTA, NULL));
}

TENANT_BODY(in_a_child)
{
	CUgraphNode node;
	CUgraph child, parent;
	CUgraphExec exec;
	CUresult result;

	tenant_context();
	child = new_graph();
	add(child, 65 * MIB, true);
	parent = new_graph();
	/* A graph that allocates may be a child only by moving into its parent. */
	result = cuGraphAddChildGraphNode(&node, parent, NULL, 0, child);
	if (result != CUDA_SUCCESS) {
		CUgraphNodeParams params = {
			.type = CU_GRAPH_NODE_TYPE_GRAPH,
			.graph = { .graph = child,
				   .ownership = CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE },
		};

		result = cuGraphAddNode_v2(&node, parent, NULL, NULL, 0, &params);
	}
	if (!check_result(result, CUDA_SUCCESS))
		return;
	exec = instantiate(parent);
	check_result(cuGraphLaunch(exec, NULL), CUDA_ERROR_OUT_OF_MEMORY);
	check(truth_requested() == 0);
}

static void allocations_of_child_graphs_are_counted(void)
{
	CU_ASSERT(tenant_passes("in_a_child", QUOTA, NULL));
}

TENANT_BODY(uploaded)
{
	CUDA_GRAPH_INSTANTIATE_PARAMS params = {
		.flags = CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD
	};
	CUgraph graph;
	CUgraphExec exec, second;
	CUdeviceptr p;

	tenant_context();
	params.hUploadStream = new_stream();
	exec = exec_of(64 * MIB);
	check_result(cuGraphUpload(exec, params.hUploadStream), CUDA_SUCCESS);
	check(truth_requested() == 64 * MIB && left_bytes() == 0);
	check_result(cuGraphLaunch(exec, params.hUploadStream), CUDA_SUCCESS);
	check_result(cuGraphExecDestroy(exec), CUDA_SUCCESS);
	all_comes_back();
	graph = new_graph();
	add(graph, 60 * MIB, true);
	check_result(cuMemAlloc(&p, MIB), CUDA_SUCCESS);
	check_result(cuGraphInstantiateWithParams(&second, graph, &params),
		     CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemFree(p), CUDA_SUCCESS);
	check_result(cuGraphInstantiateWithParams(&second, graph, &params), CUDA_SUCCESS);
	check(truth_requested() == 64 * MIB && left_bytes() == 0);
	check_result(cuGraphLaunch(second, params.hUploadStream), CUDA_SUCCESS);
	all_comes_back();
}

static void uploads_are_counted(void)
{
	CU_ASSERT(tenant_passes("uploaded", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 64 * MIB);
}

/* ---- what graphs keep ---- */

TENANT_BODY(two_in_turn)
{
	CUgraphExec a, b;
	CUstream stream;
	uint32_t *word;
	CUdeviceptr gate;

	tenant_context();
	stream = new_stream();
	a = exec_of(32 * MIB);
	b = exec_of(32 * MIB);
	check_result(cuMemHostAlloc((void **)&word, sizeof(*word), 0), CUDA_SUCCESS);
	check_result(cuMemHostGetDevicePointer(&gate, word, 0), CUDA_SUCCESS);
	*word = 0;
	/* None of the launches can end: nothing can be trimmed, and nothing has to be. */
	check_result(cuStreamWaitValue32(stream, gate, 1, CU_STREAM_WAIT_VALUE_EQ),
		     CUDA_SUCCESS);
	for (int i = 0; i < 100; i++)
		check_result(cuGraphLaunch(i % 2 ? a : b, stream), CUDA_SUCCESS);
	check(truth_requested() == 64 * MIB);
	__atomic_store_n(word, 1, __ATOMIC_RELEASE);
	all_comes_back();
	/* After a trim both need memory again. */
	check_result(cuGraphLaunch(a, stream), CUDA_SUCCESS);
	check(truth_requested() == 32 * MIB && left_bytes() == 32 * MIB);
}

static void graphs_that_have_their_memory_are_not_refused(void)
{
	CU_ASSERT(tenant_passes("two_in_turn", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 64 * MIB);
}

TENANT_BODY(memory_of_idle_graphs)
{
	CUgraphExec a, b;
	CUstream stream;
	CUdeviceptr p;

	tenant_context();
	stream = new_stream();
	a = exec_of(64 * MIB);
	b = exec_of(32 * MIB);
	for (int i = 0; i < 10; i++) {
		check_result(cuGraphLaunch(a, stream), CUDA_SUCCESS);
		check_result(cuStreamSynchronize(stream), CUDA_SUCCESS);
		check_result(cuGraphLaunch(b, stream), CUDA_SUCCESS);
		check_result(cuStreamSynchronize(stream), CUDA_SUCCESS);
		check_result(cuMemAlloc(&p, 64 * MIB), CUDA_SUCCESS);
		check_result(cuMemFree(p), CUDA_SUCCESS);
		check_result(cuMemAllocAsync(&p, 64 * MIB, stream), CUDA_SUCCESS);
		check_result(cuMemFreeAsync(p, stream), CUDA_SUCCESS);
		check_result(cuStreamSynchronize(stream), CUDA_SUCCESS);
	}
	all_comes_back();
}

static void idle_graphs_give_way(void)
{
	CU_ASSERT(tenant_passes("memory_of_idle_graphs", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 64 * MIB);
}

/* What a graph allocated and did not free. */
TENANT_BODY(freed_outside)
{
	CUgraph graph;
	CUgraphExec exec;
	CUstream stream;
	CUdeviceptr p, q;

	tenant_context();
	stream = new_stream();
	graph = new_graph();
	p = add(graph, 64 * MIB, false);
	exec = instantiate(graph);
	for (int i = 0; i < 10; i++) {
		check_result(cuGraphLaunch(exec, stream), CUDA_SUCCESS);
		check_result(cuGraphLaunch(exec, stream), CUDA_ERROR_INVALID_VALUE);
		check_result(cuMemAlloc(&q, 1), CUDA_ERROR_OUT_OF_MEMORY);
		check(truth_requested() == 64 * MIB && left_bytes() == 0);
		if (i % 2) {
			check_result(cuMemFreeAsync(p, stream), CUDA_SUCCESS);
		} else {
			check_result(cuStreamSynchronize(stream), CUDA_SUCCESS);
			check_result(cuMemFree(p), CUDA_SUCCESS);
		}
	}
	all_comes_back();
	check_result(cuMemAlloc(&q, 64 * MIB), CUDA_SUCCESS);
}

static void memory_that_a_graph_leaves_is_charged_until_it_is_freed(void)
{
	CU_ASSERT(tenant_passes("freed_outside", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 64 * MIB);
}

TENANT_BODY(without_allocations)
{
	CUgraphNode node;
	CUgraph graph;
	CUgraphExec exec;
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAlloc(&p, 64 * MIB), CUDA_SUCCESS);
	graph = new_graph();
	check_result(cuGraphAddEmptyNode(&node, graph, NULL, 0), CUDA_SUCCESS);
	exec = instantiate(graph);
	for (int i = 0; i < 10; i++)
		check_result(cuGraphLaunch(exec, NULL), CUDA_SUCCESS);
	check_result(cuGraphExecDestroy(exec), CUDA_SUCCESS);
	check_result(cuGraphLaunch(NULL, NULL), CUDA_ERROR_INVALID_VALUE);
	check_result(cuGraphInstantiate(&exec, NULL, 0), CUDA_ERROR_INVALID_VALUE);
	check_result(cuGraphInstantiate(NULL, graph, 0), CUDA_ERROR_INVALID_VALUE);
}

static void graphs_without_allocations_pass(void)
{
	CU_ASSERT(tenant_passes("without_allocations", QUOTA, NULL));
}

/* ---- races ---- */

enum { THREADS = 8, ROUNDS = 150 };

struct racer {
	pthread_t thread;
	CUcontext context;
	unsigned number, granted;
};

static void *race(void *data)
{
	struct racer *racer = data;
	CUgraphExec small, large;
	CUstream stream;
	CUdeviceptr p;

	check_result(cuCtxSetCurrent(racer->context), CUDA_SUCCESS);
	stream = new_stream();
	small = exec_of((racer->number % 3 + 1) * 10 * MIB);
	large = exec_of(32 * MIB * (racer->number % 3 + 1));
	for (int i = 0; i < ROUNDS; i++) {
		CUresult result = cuGraphLaunch(i % 3 ? small : large, stream);

		check(result == CUDA_SUCCESS || result == CUDA_ERROR_OUT_OF_MEMORY);
		racer->granted += result == CUDA_SUCCESS;
		if (i % 4 == (int)racer->number % 4)
			check_result(cuStreamSynchronize(stream), CUDA_SUCCESS);
		if (i % 16 == (int)racer->number)
			check_result(cuDeviceGraphMemTrim(0), CUDA_SUCCESS);
		if (i % 8 == (int)racer->number &&
		    cuMemAllocAsync(&p, 20 * MIB, stream) == CUDA_SUCCESS)
			check_result(cuMemFreeAsync(p, stream), CUDA_SUCCESS);
	}
	check_result(cuStreamSynchronize(stream), CUDA_SUCCESS);
	return NULL;
}

TENANT_BODY(eight_threads_race)
{
	static struct racer racers[THREADS];
	unsigned granted = 0;
	CUcontext context;
	CUdeviceptr p;

	tenant_context();
	check_result(cuCtxGetCurrent(&context), CUDA_SUCCESS);
	for (unsigned i = 0; i < THREADS; i++) {
		racers[i] = (struct racer){ .context = context, .number = i };
		pthread_create(&racers[i].thread, NULL, race, &racers[i]);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(racers[i].thread, NULL);
		granted += racers[i].granted;
	}
	check(granted > ROUNDS / 2);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	check_result(cuMemAlloc(&p, 160 * MIB), CUDA_SUCCESS);
	check_result(cuDeviceGraphMemTrim(0), CUDA_SUCCESS);
	check(truth_requested() == 160 * MIB);
}

static void racing_threads_never_exceed_the_quota(void)
{
	CU_ASSERT(tenant_passes("eight_threads_race", "GPUSHIM_MEMORY=160MiB", NULL));
	CU_ASSERT(tenant_device_requested_peak() <= 160 * MIB);
	CU_ASSERT(tenant_device_requested_peak() > 100 * MIB);
}

static void without_the_shim_racing_threads_exceed_it(void)
{
	CU_ASSERT(tenant_passes_bare("eight_threads_race", NULL));
	CU_ASSERT(tenant_device_requested_peak() > 160 * MIB);
}

const struct unit_suite unit_suite = {
	.name = "memory of graphs under a quota",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(launches_are_refused_at_the_limit),
		UNIT_TEST(without_the_shim_launches_go_past_the_quota),
		UNIT_TEST(small_allocations_share_what_is_reserved_for_them),
		UNIT_TEST(captured_allocations_are_counted),
		UNIT_TEST(allocations_of_child_graphs_are_counted),
		UNIT_TEST(uploads_are_counted),
		UNIT_TEST(graphs_that_have_their_memory_are_not_refused),
		UNIT_TEST(idle_graphs_give_way),
		UNIT_TEST(memory_that_a_graph_leaves_is_charged_until_it_is_freed),
		UNIT_TEST(graphs_without_allocations_pass),
		UNIT_TEST(racing_threads_never_exceed_the_quota),
		UNIT_TEST(without_the_shim_racing_threads_exceed_it),
	},
};
