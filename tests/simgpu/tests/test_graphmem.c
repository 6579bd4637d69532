/*
 * Memory of graphs: allocation and free nodes, what the device holds for them and for how
 * long; after the CUDA Driver API manual ("Graph Management") and the CUDA C++ Programming
 * Guide ("Graph Memory Nodes").
 */
#include "graph_kernels.h"

#include <unistd.h>

#include "simgpu.h"

#define BYTES (WORDS * sizeof(uint32_t))

static uint64_t attribute(CUgraphMem_attribute which)
{
	cuuint64_t bytes = 99;

	GPU_OK(cuDeviceGetGraphMemAttribute(0, which, &bytes));
	return bytes;
}

static uint64_t reserved(void)
{
	return attribute(CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT);
}

static uint64_t used(void)
{
	return attribute(CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT);
}

static CUDA_MEM_ALLOC_NODE_PARAMS bytes_of(size_t bytes)
{
	return (CUDA_MEM_ALLOC_NODE_PARAMS){
		.poolProps = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
			       .location = { .type = CU_MEM_LOCATION_TYPE_DEVICE,
					     .id = 0 } },
		.bytesize = bytes
	};
}

static CUgraphNode add_alloc(CUgraph graph, CUgraphNode after, size_t bytes,
			     CUdeviceptr *addr)
{
	CUDA_MEM_ALLOC_NODE_PARAMS params = bytes_of(bytes);
	CUgraphNode node = NULL;

	GPU_OK(cuGraphAddMemAllocNode(&node, graph, &after, after != NULL, &params));
	*addr = params.dptr;
	return node;
}

static CUgraphNode add_free(CUgraph graph, CUgraphNode after, CUdeviceptr addr)
{
	CUgraphNode node = NULL;

	GPU_OK(cuGraphAddMemFreeNode(&node, graph, &after, after != NULL, addr));
	return node;
}

/* Allocates, fills, copies the first words to the host, and, if it is to, frees. */
static CUgraph working_graph(size_t bytes, uint32_t value, bool frees, CUdeviceptr *addr)
{
	CUgraph graph = new_graph();
	CUgraphNode node = add_alloc(graph, NULL, bytes, addr);

	node = add_fill(graph, node, *addr, value, WORDS);
	node = add_to_host(graph, node, host, *addr, WORDS);
	if (frees)
		add_free(graph, node, *addr);
	return graph;
}

static void begin(void)
{
	graph_begin();
	GPU_OK(cuDeviceGraphMemTrim(0));
	CU_ASSERT_EQUAL(reserved(), 0);
}

/* ---- when memory is held ---- */

static void memory_is_held_from_the_first_launch_until_it_is_trimmed(void)
{
	CUdeviceptr addr, seen;
	CUgraph graph = working_graph(BYTES, 5, true, &addr);
	CUgraphExec exec = executable(graph);
	size_t before = 0, during = 0, after = 0, total;

	GPU_OK(cuMemGetInfo(&before, &total));
	CU_ASSERT_EQUAL(reserved(), 0); /* neither nodes nor executable graphs need any */
	run(exec);
	CU_ASSERT_EQUAL(host[WORDS - 1], 5);
	CU_ASSERT(reserved() >= BYTES);
	CU_ASSERT_EQUAL(used(), reserved());
	GPU_OK(cuMemGetInfo(&during, &total));
	CU_ASSERT_EQUAL(before - during, reserved());
	seen = reserved();
	run(exec);
	CU_ASSERT_EQUAL(reserved(), seen);
	GPU_OK(cuDeviceGraphMemTrim(0));
	CU_ASSERT_EQUAL(reserved(), 0);
	GPU_OK(cuMemGetInfo(&after, &total));
	CU_ASSERT_EQUAL(after, before);
	/* The next launch takes it again, at the same address. */
	run(exec);
	CU_ASSERT_EQUAL(reserved(), seen);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
}

static void an_upload_takes_the_memory_in_advance(void)
{
	CUdeviceptr addr;
	CUgraph graph = working_graph(BYTES, 5, true, &addr);
	CUDA_GRAPH_INSTANTIATE_PARAMS how = { .flags = CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD,
					      .hUploadStream = stream };
	CUgraphExec exec = executable(graph);
	cuuint64_t flags = 99;

	GPU_OK(cuGraphUpload(exec, stream));
	CU_ASSERT(reserved() >= BYTES);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuStreamSynchronize(stream));
	GPU_OK(cuDeviceGraphMemTrim(0));
	GPU_OK(cuGraphInstantiateWithParams(&exec, graph, &how));
	CU_ASSERT_EQUAL(how.result_out, CUDA_GRAPH_INSTANTIATE_SUCCESS);
	CU_ASSERT(reserved() >= BYTES);
	GPU_OK(cuGraphExecGetFlags(exec, &flags));
	CU_ASSERT_EQUAL(flags, 0); /* uploading leaves no trace in it */
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
}

static void the_device_books_it_as_memory_of_graphs(void)
{
	struct simgpu_monitor *monitor = simgpu_open(NULL, 0, NULL);
	struct simgpu_truth *truth;
	CUdeviceptr addr;
	CUgraph graph = working_graph(BYTES, 5, true, &addr);

	CU_ASSERT_PTR_NOT_NULL_FATAL(monitor);
	run_once(graph);
	truth = simgpu_truth(monitor);
	CU_ASSERT_PTR_NOT_NULL_FATAL(truth);
	CU_ASSERT_EQUAL(simgpu_find(truth, getpid())->memory[0].graph, reserved());
	CU_ASSERT_EQUAL(simgpu_find(truth, getpid())->memory[0].vmm, 0);
	simgpu_free(truth);
	simgpu_close(monitor);
	GPU_OK(cuGraphDestroy(graph));
}

static void a_graph_in_flight_keeps_its_memory(void)
{
	CUdeviceptr addr;
	CUgraph graph = working_graph(BYTES, 6, true, &addr);
	CUgraphExec exec = executable(graph);
	struct gate gate = gate_close(stream);

	GPU_OK(cuGraphLaunch(exec, stream));
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
	GPU_OK(cuDeviceGraphMemTrim(0));
	CU_ASSERT(reserved() >= BYTES);
	gate_open(&gate);
	GPU_OK(cuStreamSynchronize(stream));
	CU_ASSERT_EQUAL(host[0], 6);
	GPU_OK(cuDeviceGraphMemTrim(0));
	CU_ASSERT_EQUAL(reserved(), 0);
	gate_free(&gate);
}

static void graphs_that_do_not_run_together_share_memory(void)
{
	CUdeviceptr one, two;
	CUgraph first = working_graph(BYTES, 1, true, &one);
	CUgraph second = working_graph(BYTES, 2, true, &two);
	CUgraphExec a = executable(first), b = executable(second);
	uint64_t alone;

	CU_ASSERT_NOT_EQUAL(one, two);
	run(a);
	alone = reserved();
	run(b);
	CU_ASSERT_EQUAL(reserved(), alone);
	CU_ASSERT_EQUAL(host[0], 2);
	run(a);
	CU_ASSERT_EQUAL(reserved(), alone);
	CU_ASSERT_EQUAL(host[0], 1);
	GPU_OK(cuGraphExecDestroy(a));
	GPU_OK(cuGraphExecDestroy(b));
	GPU_OK(cuGraphDestroy(first));
	GPU_OK(cuGraphDestroy(second));
}

static void high_water_marks_are_kept_and_reset(void)
{
	CUdeviceptr addr;
	CUgraph graph = working_graph(BYTES, 1, true, &addr);
	cuuint64_t zero = 0, one = 1;

	GPU_OK(cuDeviceSetGraphMemAttribute(0, CU_GRAPH_MEM_ATTR_USED_MEM_HIGH, &zero));
	GPU_OK(cuDeviceSetGraphMemAttribute(0, CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH,
					    &zero));
	CU_ASSERT_EQUAL(attribute(CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH), 0);
	run_once(graph);
	GPU_OK(cuDeviceGraphMemTrim(0));
	CU_ASSERT(attribute(CU_GRAPH_MEM_ATTR_USED_MEM_HIGH) >= BYTES);
	CU_ASSERT(attribute(CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH) >= BYTES);
	GPU_OK(cuDeviceSetGraphMemAttribute(0, CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH,
					    &zero));
	CU_ASSERT_EQUAL(attribute(CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH), 0);
	GPU_IS(cuDeviceSetGraphMemAttribute(0, CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH, &one),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuDeviceSetGraphMemAttribute(0, CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT, &zero),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuDeviceGetGraphMemAttribute(99, CU_GRAPH_MEM_ATTR_USED_MEM_HIGH, &zero),
	       CUDA_ERROR_INVALID_DEVICE);
	GPU_IS(cuDeviceGetGraphMemAttribute(0, (CUgraphMem_attribute)9, &zero),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuDeviceGetGraphMemAttribute(0, CU_GRAPH_MEM_ATTR_USED_MEM_HIGH, NULL),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuDeviceGraphMemTrim(-1), CUDA_ERROR_INVALID_DEVICE);
	GPU_OK(cuGraphDestroy(graph));
}

static void a_launch_fails_when_the_device_is_full(void)
{
	size_t free_bytes = 0, total = 0;
	CUdeviceptr addr, hog;
	CUgraph graph;
	CUgraphExec exec;

	GPU_OK(cuMemGetInfo(&free_bytes, &total));
	graph = working_graph(free_bytes / 4 * 3, 9, true, &addr);
	exec = executable(graph);
	GPU_OK(cuMemAlloc(&hog, free_bytes / 2));
	GPU_IS(cuGraphLaunch(exec, stream), CUDA_ERROR_OUT_OF_MEMORY);
	GPU_OK(cuMemFree(hog));
	run(exec);
	CU_ASSERT_EQUAL(host[0], 9);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
}

/* ---- allocations that outlive a launch ---- */

static void an_allocation_not_freed_in_its_graph_stays(void)
{
	CUdeviceptr addr;
	CUgraph graph = working_graph(BYTES, 7, false, &addr);
	CUgraphExec exec = executable(graph);

	GPU_IS(cuMemFree(addr), CUDA_ERROR_INVALID_VALUE); /* not allocated yet */
	run(exec);
	CU_ASSERT_EQUAL(word_at(addr), 7);
	GPU_OK(cuDeviceGraphMemTrim(0));
	CU_ASSERT_EQUAL(word_at(addr), 7);
	GPU_IS(cuGraphLaunch(exec, stream),
	       CUDA_ERROR_INVALID_VALUE); /* still allocated */
	GPU_OK(cuMemFree(addr));
	GPU_IS(cuMemFree(addr), CUDA_ERROR_INVALID_VALUE);
	run(exec);
	GPU_OK(cuMemFreeAsync(addr, stream));
	run(exec);
	GPU_OK(cuMemFree(addr));
	GPU_OK(cuDeviceGraphMemTrim(0));
	CU_ASSERT_EQUAL(reserved(), 0);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
}

static void an_allocation_outlives_its_graph(void)
{
	CUdeviceptr addr;
	CUgraph graph = working_graph(BYTES, 8, false, &addr);

	run_once(graph);
	GPU_OK(cuGraphDestroy(graph));
	GPU_OK(cuDeviceGraphMemTrim(0));
	CU_ASSERT_EQUAL(word_at(addr + BYTES - 4), 8);
	GPU_OK(cuMemFree(addr));
	GPU_OK(cuDeviceGraphMemTrim(0));
	CU_ASSERT_EQUAL(reserved(), 0);
}

static void auto_free_frees_at_the_next_launch(void)
{
	CUdeviceptr addr;
	CUgraph graph = working_graph(BYTES, 7, false, &addr);
	CUgraphExec exec;
	cuuint64_t flags = 0;

	GPU_OK(cuGraphInstantiate(&exec, graph,
				  CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH));
	GPU_OK(cuGraphExecGetFlags(exec, &flags));
	CU_ASSERT_EQUAL(flags, CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH);
	run(exec);
	run(exec);
	CU_ASSERT_EQUAL(word_at(addr), 7);
	GPU_OK(cuMemFree(addr));
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
}

static void another_graph_can_free_an_allocation(void)
{
	CUdeviceptr addr;
	CUgraph graph = working_graph(BYTES, 7, false, &addr), freeing = new_graph();
	CUgraphExec exec = executable(graph), free_exec;
	CUgraphNode node;

	add_free(freeing, NULL, addr);
	free_exec = executable(freeing);
	GPU_IS(cuGraphLaunch(free_exec, stream), CUDA_ERROR_INVALID_VALUE);
	run(exec);
	run(free_exec);
	run(exec);
	run(free_exec);
	GPU_IS(cuMemFree(addr), CUDA_ERROR_INVALID_VALUE);
	/* Its own graph cannot free it any more. */
	GPU_IS(cuGraphAddMemFreeNode(&node, graph, NULL, 0, addr),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphExecDestroy(free_exec));
	GPU_OK(cuGraphDestroy(graph));
	GPU_OK(cuGraphDestroy(freeing));
}

/* ---- what is refused ---- */

static void an_allocation_is_freed_once_and_in_one_place(void)
{
	CUdeviceptr addr, plain_addr;
	CUgraph graph = working_graph(BYTES, 7, true, &addr), other = new_graph();
	CUgraphNode node;

	GPU_OK(cuMemAlloc(&plain_addr, BYTES));
	GPU_IS(cuGraphAddMemFreeNode(&node, graph, NULL, 0, addr),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphAddMemFreeNode(&node, other, NULL, 0, addr),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphAddMemFreeNode(&node, other, NULL, 0, plain_addr),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphAddMemFreeNode(&node, other, NULL, 0, 0), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphAddMemFreeNode(&node, other, NULL, 0, addr + 4),
	       CUDA_ERROR_INVALID_VALUE);
	run_once(graph);
	GPU_IS(cuMemFree(addr), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuMemFreeAsync(addr, stream), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuMemFree(plain_addr));
	GPU_OK(cuGraphDestroy(graph));
	GPU_OK(cuGraphDestroy(other));
	GPU_IS(cuMemFree(addr), CUDA_ERROR_INVALID_VALUE);
}

static void a_free_must_come_after_its_allocation(void)
{
	CUDA_GRAPH_INSTANTIATE_PARAMS how = { 0 };
	CUgraph graph = new_graph();
	CUdeviceptr addr;
	CUgraphNode alloc = add_alloc(graph, NULL, BYTES, &addr);
	CUgraphNode early = add_free(graph, NULL, addr);
	CUgraphExec exec;

	GPU_IS(cuGraphInstantiateWithParams(&exec, graph, &how),
	       CUDA_ERROR_INVALID_VALUE);
	CU_ASSERT_EQUAL(how.result_out, CUDA_GRAPH_INSTANTIATE_INVALID_STRUCTURE);
	CU_ASSERT_PTR_EQUAL(how.hErrNode_out, early);
	GPU_OK(cuGraphAddDependencies(graph, &alloc, &early, NULL, 1));
	run_once(graph);
	GPU_OK(cuGraphDestroy(graph));
}

static void graphs_with_memory_keep_their_structure(void)
{
	CUdeviceptr addr;
	CUgraph graph = working_graph(BYTES, 7, true, &addr), other = new_graph(), clone;
	CUgraphNode nodes[4], node;
	CUgraphExec exec, second;
	size_t count = 4;

	GPU_OK(cuGraphGetNodes(graph, nodes, &count));
	GPU_IS(cuGraphDestroyNode(nodes[1]), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphRemoveDependencies(graph, &nodes[0], &nodes[1], NULL, 1),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphClone(&clone, graph), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphAddChildGraphNode(&node, other, NULL, 0, graph),
	       CUDA_ERROR_INVALID_VALUE);
	exec = executable(graph);
	GPU_IS(cuGraphInstantiate(&second, graph, 0), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphExecDestroy(exec));
	exec = executable(graph);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(other));
	GPU_OK(cuGraphDestroy(graph));
}

static void a_graph_with_memory_can_be_moved_into_another(void)
{
	CUdeviceptr addr;
	CUgraph child = working_graph(BYTES, 17, true, &addr), graph = new_graph();
	CUgraphNodeParams params = { .type = CU_GRAPH_NODE_TYPE_GRAPH };
	CUDA_MEM_ALLOC_NODE_PARAMS alloc = bytes_of(BYTES);
	CUgraphExecUpdateResultInfo info;
	CUgraphNode node;
	CUgraphExec exec;

	params.graph.graph = child;
	params.graph.ownership = CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE;
	GPU_OK(cuGraphAddNode(&node, graph, NULL, NULL, 0, &params));
	GPU_IS(cuGraphAddNode(&node, graph, NULL, NULL, 0, &params),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphDestroy(child), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphInstantiate(&exec, child, 0), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphAddMemAllocNode(&node, child, NULL, 0, &alloc),
	       CUDA_ERROR_INVALID_VALUE);
	exec = executable(graph);
	run(exec);
	run(exec);
	CU_ASSERT_EQUAL(host[0], 17);
	CU_ASSERT(reserved() >= BYTES);
	GPU_IS(cuGraphExecUpdate(exec, child, &info), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
	GPU_IS(cuGraphDestroy(child), CUDA_ERROR_INVALID_VALUE); /* it went along */
}

static void an_allocation_takes_the_place_of_one_that_was_freed_before_it(void)
{
	CUgraph graph = new_graph();
	CUdeviceptr first, second, third, beside;
	CUgraphNode node = add_alloc(graph, NULL, BYTES, &first);

	add_alloc(graph, NULL, BYTES, &beside);
	node = add_fill(graph, node, first, 1, WORDS);
	node = add_free(graph, node, first);
	node = add_alloc(graph, node, BYTES / 2, &second);
	add_free(graph, node, second);
	add_alloc(graph, NULL, BYTES / 2, &third); /* may run at the same time */
	CU_ASSERT_EQUAL(first, second);
	CU_ASSERT(third != first && third != beside && beside != first);
	run_once(graph);
	GPU_OK(cuMemFree(third));
	GPU_OK(cuMemFree(beside));
	GPU_OK(cuGraphDestroy(graph));
}

static void allocations_are_checked(void)
{
	CUgraph graph = new_graph();
	CUmemAccessDesc access = { .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 },
				   .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	CUDA_MEM_ALLOC_NODE_PARAMS params = bytes_of(0), seen;
	CUdeviceptr addr = 0;
	CUgraphNode node;

	GPU_IS(cuGraphAddMemAllocNode(&node, graph, NULL, 0, &params),
	       CUDA_ERROR_INVALID_VALUE);
	params = bytes_of(SIZE_MAX);
	GPU_IS(cuGraphAddMemAllocNode(&node, graph, NULL, 0, &params),
	       CUDA_ERROR_OUT_OF_MEMORY);
	params = bytes_of(BYTES);
	params.poolProps.location.id = 77;
	GPU_IS(cuGraphAddMemAllocNode(&node, graph, NULL, 0, &params),
	       CUDA_ERROR_INVALID_VALUE);
	params = bytes_of(BYTES);
	params.poolProps.handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
	GPU_IS(cuGraphAddMemAllocNode(&node, graph, NULL, 0, &params),
	       CUDA_ERROR_INVALID_VALUE);
	params = bytes_of(BYTES);
	params.accessDescCount = 1;
	GPU_IS(cuGraphAddMemAllocNode(&node, graph, NULL, 0, &params),
	       CUDA_ERROR_INVALID_VALUE);
	params.accessDescs = &access;
	GPU_OK(cuGraphAddMemAllocNode(&node, graph, NULL, 0, &params));
	GPU_OK(cuGraphMemAllocNodeGetParams(node, &seen));
	CU_ASSERT_EQUAL(seen.dptr, params.dptr);
	CU_ASSERT_EQUAL(seen.bytesize, BYTES);
	CU_ASSERT_PTR_NOT_EQUAL(seen.accessDescs, &access);
	CU_ASSERT_EQUAL(seen.accessDescs[0].flags, access.flags);
	node = add_free(graph, node, params.dptr);
	GPU_OK(cuGraphMemFreeNodeGetParams(node, &addr));
	CU_ASSERT_EQUAL(addr, params.dptr);
	GPU_IS(cuGraphMemAllocNodeGetParams(node, &seen), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphDestroy(graph));
}

static void an_allocation_captured_and_kept_is_the_applications(void)
{
	CUdeviceptr addr = 0;
	CUgraph graph;

	GPU_OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
	GPU_OK(cuMemAllocAsync(&addr, BYTES, stream));
	GPU_OK(cuMemsetD32Async(addr, 31, WORDS, stream));
	GPU_OK(cuStreamEndCapture(stream, &graph));
	CU_ASSERT_EQUAL(reserved(), 0);
	run_once(graph);
	CU_ASSERT_EQUAL(word_at(addr), 31);
	GPU_OK(cuMemFreeAsync(addr, stream));
	GPU_OK(cuStreamSynchronize(stream));
	GPU_OK(cuDeviceGraphMemTrim(0));
	CU_ASSERT_EQUAL(reserved(), 0);
	GPU_OK(cuGraphDestroy(graph));
}

static void memory_freed_in_a_stream_waits_for_that_stream(void)
{
	CUdeviceptr addr;
	CUgraph graph = working_graph(BYTES, 3, false, &addr);
	struct gate gate;

	run_once(graph);
	gate = gate_close(stream);
	GPU_OK(cuMemcpyDtoHAsync(host + 1, addr, 4, stream));
	GPU_OK(cuMemFreeAsync(addr, stream));
	GPU_OK(cuDeviceGraphMemTrim(0));
	CU_ASSERT(reserved() >= BYTES);
	gate_open(&gate);
	GPU_OK(cuStreamSynchronize(stream));
	CU_ASSERT_EQUAL(host[1], 3);
	GPU_OK(cuDeviceGraphMemTrim(0));
	CU_ASSERT_EQUAL(reserved(), 0);
	GPU_OK(cuGraphDestroy(graph));
	gate_free(&gate);
}

/* clang-format off */
const struct unit_suite unit_suite = {
	.name = "memory of graphs",
	.setup = begin,
	.teardown = graph_end,
	.tests = {
		UNIT_TEST(memory_is_held_from_the_first_launch_until_it_is_trimmed),
		UNIT_TEST(an_upload_takes_the_memory_in_advance),
		UNIT_TEST(the_device_books_it_as_memory_of_graphs),
		UNIT_TEST(a_graph_in_flight_keeps_its_memory),
		UNIT_TEST(graphs_that_do_not_run_together_share_memory),
		UNIT_TEST(high_water_marks_are_kept_and_reset),
		UNIT_TEST(a_launch_fails_when_the_device_is_full),
		UNIT_TEST(an_allocation_not_freed_in_its_graph_stays),
		UNIT_TEST(an_allocation_outlives_its_graph),
		UNIT_TEST(auto_free_frees_at_the_next_launch),
		UNIT_TEST(another_graph_can_free_an_allocation),
		UNIT_TEST(an_allocation_is_freed_once_and_in_one_place),
		UNIT_TEST(a_free_must_come_after_its_allocation),
		UNIT_TEST(graphs_with_memory_keep_their_structure),
		UNIT_TEST(a_graph_with_memory_can_be_moved_into_another),
		UNIT_TEST(an_allocation_takes_the_place_of_one_that_was_freed_before_it),
		UNIT_TEST(allocations_are_checked),
		UNIT_TEST(an_allocation_captured_and_kept_is_the_applications),
		UNIT_TEST(memory_freed_in_a_stream_waits_for_that_stream),
	},
};
