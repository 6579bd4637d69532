/*
 * The shape of graphs: nodes, edges and their data, lists of them, clones, parameters given
 * back, and what is refused; after the CUDA Driver API manual ("Graph Management").
 */
#include "graph_kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- lists ---- */

static void lists_are_counted_filled_and_padded(void)
{
	CUgraph graph = new_graph();
	CUgraphNode a = add_empty(graph, NULL), b = add_empty(graph, a),
		    c = add_empty(graph, a);
	CUgraphNode nodes[4] = { a, a, a, a }, from[3], to[3];
	size_t count = 0;

	GPU_OK(cuGraphGetNodes(graph, NULL, &count));
	CU_ASSERT_EQUAL(count, 3);
	count = 2;
	GPU_OK(cuGraphGetNodes(graph, nodes, &count));
	CU_ASSERT_EQUAL(count, 2);
	CU_ASSERT_PTR_EQUAL(nodes[1], b);
	CU_ASSERT_PTR_EQUAL(nodes[2], a); /* not touched */
	count = 4;
	GPU_OK(cuGraphGetNodes(graph, nodes, &count));
	CU_ASSERT_EQUAL(count, 3);
	CU_ASSERT_PTR_NULL(nodes[3]);
	count = 4;
	GPU_OK(cuGraphGetRootNodes(graph, nodes, &count));
	CU_ASSERT_EQUAL(count, 1);
	CU_ASSERT_PTR_EQUAL(nodes[0], a);
	count = 4;
	GPU_OK(cuGraphNodeGetDependentNodes(a, nodes, NULL, &count));
	CU_ASSERT_EQUAL(count, 2);
	CU_ASSERT_PTR_EQUAL(nodes[1], c);
	count = 0;
	GPU_OK(cuGraphNodeGetDependencies(c, NULL, NULL, &count));
	CU_ASSERT_EQUAL(count, 1);
	count = 3;
	GPU_OK(cuGraphGetEdges(graph, from, to, NULL, &count));
	CU_ASSERT_EQUAL(count, 2);
	CU_ASSERT(from[1] == a && to[1] == c && from[2] == NULL && to[2] == NULL);
	GPU_IS(cuGraphGetEdges(graph, from, NULL, NULL, &count),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphGetNodes(graph, nodes, NULL), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphDestroy(graph));
}

static void a_destroyed_node_takes_its_edges_along(void)
{
	CUgraph graph = new_graph();
	CUgraphNode a = add_empty(graph, NULL), b = add_empty(graph, a),
		    c = add_empty(graph, b);
	size_t count = 9;

	GPU_OK(cuGraphDestroyNode(b));
	GPU_OK(cuGraphGetEdges(graph, NULL, NULL, NULL, &count));
	CU_ASSERT_EQUAL(count, 0);
	GPU_OK(cuGraphNodeGetDependencies(c, NULL, NULL, &count));
	CU_ASSERT_EQUAL(count, 0);
	CU_ASSERT_EQUAL(nodes_in(graph), 2);
	GPU_IS(cuGraphDestroyNode(b), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphDestroy(graph));
	GPU_IS(cuGraphDestroyNode(a), CUDA_ERROR_INVALID_VALUE);
}

/* ---- edges ---- */

static void edges_are_checked_all_or_none(void)
{
	CUgraph graph = new_graph(), other = new_graph();
	CUgraphNode a = add_empty(graph, NULL), b = add_empty(graph, NULL);
	CUgraphNode c = add_empty(graph, NULL), foreign = add_empty(other, NULL), node;
	CUgraphNode from[2] = { a, a }, to[2] = { b, a }, twice[2] = { a, a };
	size_t count;

	GPU_IS(cuGraphAddDependencies(graph, from, to, NULL, 2),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphGetEdges(graph, NULL, NULL, NULL, &count));
	CU_ASSERT_EQUAL(count, 0);
	to[1] = c;
	GPU_OK(cuGraphAddDependencies(graph, from, to, NULL, 2));
	GPU_IS(cuGraphAddDependencies(graph, &a, &b, NULL, 1), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphAddDependencies(graph, &a, &foreign, NULL, 1),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphRemoveDependencies(graph, &b, &a, NULL, 1),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphRemoveDependencies(graph, &a, &b, NULL, 1));
	GPU_IS(cuGraphRemoveDependencies(graph, &a, &b, NULL, 1),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphAddDependencies(graph, NULL, NULL, NULL, 0));
	GPU_IS(cuGraphAddEmptyNode(&node, graph, twice, 2), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphAddEmptyNode(&node, graph, &foreign, 1), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphAddEmptyNode(&node, graph, NULL, 1), CUDA_ERROR_INVALID_VALUE);
	CU_ASSERT_EQUAL(nodes_in(graph), 3);
	GPU_OK(cuGraphDestroy(graph));
	GPU_OK(cuGraphDestroy(other));
}

static void a_cycle_is_found_when_the_graph_is_made_executable(void)
{
	CUDA_GRAPH_INSTANTIATE_PARAMS how = { 0 };
	CUgraph graph = new_graph();
	CUgraphNode start = add_empty(graph, NULL), a = add_empty(graph, start);
	CUgraphNode b = add_empty(graph, a);
	CUgraphExec exec;

	GPU_OK(cuGraphAddDependencies(graph, &b, &a, NULL, 1));
	GPU_IS(cuGraphInstantiate(&exec, graph, 0), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphInstantiateWithParams(&exec, graph, &how),
	       CUDA_ERROR_INVALID_VALUE);
	CU_ASSERT_EQUAL(how.result_out, CUDA_GRAPH_INSTANTIATE_INVALID_STRUCTURE);
	CU_ASSERT(how.hErrNode_out == a || how.hErrNode_out == b);
	GPU_OK(cuGraphRemoveDependencies(graph, &b, &a, NULL, 1));
	GPU_OK(cuGraphInstantiateWithParams(&exec, graph, &how));
	CU_ASSERT_PTR_NULL(how.hErrNode_out);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
}

static void edge_data_is_kept_and_never_lost_silently(void)
{
	const CUgraphEdgeData early = {
		.from_port = CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC,
		.type = CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC
	};
	CUgraphEdgeData bad = early, seen[2];
	CUDA_KERNEL_NODE_PARAMS params = kernel_of(plain, NULL);
	CUgraphNodeParams any = { .type = CU_GRAPH_NODE_TYPE_EMPTY };
	CUgraph graph = new_graph();
	CUgraphNode a, b, node, from[2], to[2];
	size_t count = 2;

	GPU_OK(cuGraphAddKernelNode(&a, graph, NULL, 0, &params));
	GPU_OK(cuGraphAddKernelNode(&b, graph, NULL, 0, &params));
	GPU_OK(cuGraphAddDependencies(graph, &a, &b, &early, 1));
	GPU_IS(cuGraphGetEdges(graph, from, to, NULL, &count), CUDA_ERROR_LOSSY_QUERY);
	GPU_IS(cuGraphNodeGetDependencies(b, from, NULL, &count), CUDA_ERROR_LOSSY_QUERY);
	GPU_IS(cuGraphNodeGetDependentNodes(a, from, NULL, &count),
	       CUDA_ERROR_LOSSY_QUERY);
	count = 2;
	GPU_OK(cuGraphGetEdges(graph, from, to, seen, &count));
	CU_ASSERT_EQUAL(memcmp(&seen[0], &early, sizeof(early)), 0);
	/* Ports are for kernels, and this type needs one. */
	GPU_IS(cuGraphAddNode(&node, graph, &a, &early, 1, &any),
	       CUDA_ERROR_INVALID_VALUE);
	bad.from_port = 0;
	GPU_IS(cuGraphAddDependencies(graph, &b, &a, &bad, 1), CUDA_ERROR_INVALID_VALUE);
	bad = early;
	bad.to_port = 1;
	GPU_IS(cuGraphAddDependencies(graph, &b, &a, &bad, 1), CUDA_ERROR_INVALID_VALUE);
	/* Removing needs the same data. */
	GPU_IS(cuGraphRemoveDependencies(graph, &a, &b, NULL, 1),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphRemoveDependencies(graph, &a, &b, &early, 1));
	run_once(graph);
	GPU_OK(cuGraphDestroy(graph));
}

/* ---- clones ---- */

static void a_clone_is_a_graph_of_its_own(void)
{
	CUgraph graph = new_graph(), inner = new_graph(), clone = NULL;
	CUgraphNode set = add_memset(graph, NULL, data, 1, 1), child, found = NULL;
	CUDA_MEMSET_NODE_PARAMS params = words_of(data, 2, 1);

	add_memset(inner, NULL, data + 4, 3, 1);
	GPU_OK(cuGraphAddChildGraphNode(&child, graph, &set, 1, inner));
	GPU_OK(cuGraphClone(&clone, graph));
	GPU_OK(cuGraphMemsetNodeSetParams(set, &params));
	GPU_OK(cuGraphNodeFindInClone(&found, set, clone));
	CU_ASSERT_PTR_NOT_EQUAL(found, set);
	GPU_OK(cuGraphMemsetNodeGetParams(found, &params));
	CU_ASSERT_EQUAL(params.value, 1);
	GPU_OK(cuGraphDestroyNode(found));
	GPU_IS(cuGraphNodeFindInClone(&found, set, clone), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphNodeFindInClone(&found, set, graph), CUDA_ERROR_INVALID_VALUE);
	CU_ASSERT_EQUAL(nodes_in(graph), 2);
	GPU_OK(cuGraphDestroy(graph));
	run_once(clone);
	CU_ASSERT(word_at(data) == 0 && word_at(data + 4) == 3);
	GPU_OK(cuGraphDestroy(clone));
	GPU_OK(cuGraphDestroy(inner));
}

/* ---- parameters ---- */

static void parameters_come_back_as_they_were_given(void)
{
	CUgraph graph = new_graph();
	unsigned calls = 0;
	CUDA_HOST_NODE_PARAMS call = { count_call, &calls }, call_seen = { NULL, NULL };
	CUgraphNode set = add_memset(graph, NULL, data, 0x1234, 5), host_node, node;
	CUgraphNode copy = add_to_host(graph, NULL, host, data, 3);
	CUDA_MEMSET_NODE_PARAMS set_seen;
	CUDA_MEMCPY3D copy_seen;
	CUevent event, other, event_seen = NULL;

	GPU_OK(cuGraphMemsetNodeGetParams(set, &set_seen));
	CU_ASSERT(set_seen.dst == data && set_seen.value == 0x1234 &&
		  set_seen.width == 5);
	GPU_OK(cuGraphMemcpyNodeGetParams(copy, &copy_seen));
	CU_ASSERT(copy_seen.dstHost == host && copy_seen.WidthInBytes == 12);
	copy_seen.WidthInBytes = 8;
	GPU_OK(cuGraphMemcpyNodeSetParams(copy, &copy_seen));
	GPU_OK(cuGraphMemcpyNodeGetParams(copy, &copy_seen));
	CU_ASSERT_EQUAL(copy_seen.WidthInBytes, 8);
	GPU_OK(cuGraphAddHostNode(&host_node, graph, NULL, 0, &call));
	call.userData = &call;
	GPU_OK(cuGraphHostNodeSetParams(host_node, &call));
	GPU_OK(cuGraphHostNodeGetParams(host_node, &call_seen));
	CU_ASSERT(call_seen.fn == count_call && call_seen.userData == &call);
	GPU_OK(cuEventCreate(&event, 0));
	GPU_OK(cuEventCreate(&other, 0));
	GPU_OK(cuGraphAddEventWaitNode(&node, graph, NULL, 0, event));
	GPU_OK(cuGraphEventWaitNodeSetEvent(node, other));
	GPU_OK(cuGraphEventWaitNodeGetEvent(node, &event_seen));
	CU_ASSERT_PTR_EQUAL(event_seen, other);
	GPU_IS(cuGraphEventRecordNodeGetEvent(node, &event_seen),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphMemsetNodeGetParams(copy, &set_seen), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphHostNodeSetParams(set, &call), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuEventDestroy(event));
	GPU_OK(cuEventDestroy(other));
	GPU_OK(cuGraphDestroy(graph));
}

static void kernel_arguments_come_back_either_way(void)
{
	CUgraph graph = new_graph();
	CUgraphNode node = add_fill(graph, NULL, data, 77, WORDS);
	CUDA_KERNEL_NODE_PARAMS seen;
	struct {
		CUdeviceptr at;
		uint32_t value, pad;
		uint64_t words;
	} packed = { data, 78, 0, 2 };
	size_t bytes = sizeof(packed);
	void *extra[] = { CU_LAUNCH_PARAM_BUFFER_POINTER, &packed,
			  CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes, CU_LAUNCH_PARAM_END };
	CUDA_KERNEL_NODE_PARAMS params = kernel_of(fill, NULL);

	GPU_OK(cuGraphKernelNodeGetParams(node, &seen));
	CU_ASSERT(seen.func == fill && seen.blockDimX == 32 && seen.extra == NULL);
	CU_ASSERT_EQUAL(*(CUdeviceptr *)seen.kernelParams[0], data);
	CU_ASSERT_EQUAL(*(uint32_t *)seen.kernelParams[1], 77);
	CU_ASSERT_EQUAL(*(uint64_t *)seen.kernelParams[2], WORDS);
	params.extra = extra;
	GPU_OK(cuGraphKernelNodeSetParams(node, &params));
	packed.value = 79; /* it was copied */
	GPU_OK(cuGraphKernelNodeGetParams(node, &seen));
	CU_ASSERT_PTR_NULL(seen.kernelParams);
	CU_ASSERT_PTR_NOT_NULL_FATAL(seen.extra);
	CU_ASSERT_EQUAL(((uint32_t *)seen.extra[1])[2], 78);
	CU_ASSERT_EQUAL(*(size_t *)seen.extra[3], bytes);
	run_once(graph);
	CU_ASSERT(word_at(data) == 78 && word_at(data + 8) == 0);
	params.gridDimX = 0;
	GPU_IS(cuGraphKernelNodeSetParams(node, &params), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphKernelNodeSetParams(node, NULL), CUDA_ERROR_INVALID_VALUE);
	params = kernel_of((CUfunction)&params, NULL);
	GPU_IS(cuGraphAddKernelNode(&node, graph, NULL, 0, &params),
	       CUDA_ERROR_INVALID_HANDLE);
	GPU_OK(cuGraphDestroy(graph));
}

static void attributes_of_kernels_are_kept_and_copied(void)
{
	CUgraph graph = new_graph();
	CUgraphNode a = add_fill(graph, NULL, data, 1, 1),
		    b = add_fill(graph, NULL, data, 1, 1);
	CUgraphNode empty = add_empty(graph, NULL);
	CUkernelNodeAttrValue value = { .priority = -2 }, seen = { .priority = 9 };

	GPU_OK(cuGraphKernelNodeSetAttribute(a, CU_KERNEL_NODE_ATTRIBUTE_PRIORITY,
					     &value));
	GPU_OK(cuGraphKernelNodeGetAttribute(b, CU_KERNEL_NODE_ATTRIBUTE_PRIORITY,
					     &seen));
	CU_ASSERT_EQUAL(seen.priority, 0);
	GPU_OK(cuGraphKernelNodeCopyAttributes(b, a));
	GPU_OK(cuGraphKernelNodeGetAttribute(b, CU_KERNEL_NODE_ATTRIBUTE_PRIORITY,
					     &seen));
	CU_ASSERT_EQUAL(seen.priority, -2);
	value = (CUkernelNodeAttrValue){ .cooperative = 1 };
	GPU_OK(cuGraphKernelNodeSetAttribute(a, CU_KERNEL_NODE_ATTRIBUTE_COOPERATIVE,
					     &value));
	GPU_OK(cuGraphKernelNodeGetAttribute(a, CU_KERNEL_NODE_ATTRIBUTE_COOPERATIVE,
					     &seen));
	CU_ASSERT_EQUAL(seen.cooperative, 1);
	GPU_IS(cuGraphKernelNodeSetAttribute(empty, CU_KERNEL_NODE_ATTRIBUTE_PRIORITY,
					     &value),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphKernelNodeSetAttribute(
		       a, CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY, &value),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphKernelNodeGetAttribute(a, CU_KERNEL_NODE_ATTRIBUTE_PRIORITY, NULL),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphDestroy(graph));
}

static void a_node_of_any_kind_can_be_described(void)
{
	CUgraph graph = new_graph();
	CUgraphNodeParams params = { .type = CU_GRAPH_NODE_TYPE_MEMSET };
	CUgraphNode node;
	CUgraphExec exec;

	params.memset.dst = data;
	params.memset.value = 1;
	params.memset.elementSize = 4;
	params.memset.width = 1;
	params.memset.height = 1;
	params.memset.ctx = ctx;
	GPU_OK(cuGraphAddNode(&node, graph, NULL, NULL, 0, &params));
	params.memset.value = 2;
	GPU_OK(cuGraphNodeSetParams(node, &params));
	exec = executable(graph);
	run(exec);
	CU_ASSERT_EQUAL(word_at(data), 2);
	params.memset.value = 3;
	GPU_OK(cuGraphExecNodeSetParams(exec, node, &params));
	run(exec);
	CU_ASSERT_EQUAL(word_at(data), 3);
	params.reserved0[1] = 1;
	GPU_IS(cuGraphAddNode(&node, graph, NULL, NULL, 0, &params),
	       CUDA_ERROR_INVALID_VALUE);
	params = (CUgraphNodeParams){ .type = (CUgraphNodeType)99 };
	GPU_IS(cuGraphAddNode(&node, graph, NULL, NULL, 0, &params),
	       CUDA_ERROR_INVALID_VALUE);
	params.type = CU_GRAPH_NODE_TYPE_HOST;
	GPU_IS(cuGraphAddNode(&node, graph, NULL, NULL, 0, &params),
	       CUDA_ERROR_INVALID_VALUE);
	params.type = CU_GRAPH_NODE_TYPE_MEM_FREE;
	GPU_IS(cuGraphNodeSetParams(node, &params), CUDA_ERROR_NOT_SUPPORTED);
	params.type = CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT;
	GPU_IS(cuGraphAddNode(&node, graph, NULL, NULL, 0, &params),
	       CUDA_ERROR_NOT_SUPPORTED);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
}

static void memory_that_does_not_exist_is_refused(void)
{
	CUgraph graph = new_graph();
	CUDA_MEMSET_NODE_PARAMS set = words_of(data, 1, WORDS + 1);
	CUDA_MEMCPY3D copy = to_host(host, data, 4);
	CUdeviceptr freed;
	CUgraphNode node;

	GPU_IS(cuGraphAddMemsetNode(&node, graph, NULL, 0, &set, ctx),
	       CUDA_ERROR_INVALID_VALUE);
	set = words_of(data, 1, 1);
	set.elementSize = 3;
	GPU_IS(cuGraphAddMemsetNode(&node, graph, NULL, 0, &set, ctx),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphAddMemsetNode(&node, graph, NULL, 0, NULL, ctx),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuMemAlloc(&freed, 4096));
	GPU_OK(cuMemFree(freed));
	set = words_of(freed, 1, 1);
	GPU_IS(cuGraphAddMemsetNode(&node, graph, NULL, 0, &set, ctx),
	       CUDA_ERROR_INVALID_VALUE);
	copy.dstHost = NULL;
	GPU_IS(cuGraphAddMemcpyNode(&node, graph, NULL, 0, &copy, ctx),
	       CUDA_ERROR_INVALID_VALUE);
	set = words_of(data, 1, 1);
	GPU_IS(cuGraphAddMemsetNode(&node, graph, NULL, 0, &set, (CUcontext)&set),
	       CUDA_ERROR_INVALID_CONTEXT);
	CU_ASSERT_EQUAL(nodes_in(graph), 0);
	GPU_OK(cuGraphDestroy(graph));
}

/* ---- handles and flags ---- */

static void handles_that_are_none_are_refused(void)
{
	CUgraph graph = new_graph(), none = NULL;
	CUgraphNode node = add_empty(graph, NULL), nodes[1];
	CUgraphExec exec = executable(graph), exec_none = NULL;
	CUgraphNodeType type;
	size_t count = 1;
	int junk = 0;

	GPU_IS(cuGraphDestroy(NULL), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphDestroy((CUgraph)&junk), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphDestroy((CUgraph)node), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphClone(&none, NULL), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphClone(NULL, graph), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphCreate(NULL, 0), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphCreate(&none, 1), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphAddEmptyNode(NULL, graph, NULL, 0), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphAddEmptyNode(&node, NULL, NULL, 0), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphNodeGetType((CUgraphNode)graph, &type), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphNodeGetType(node, NULL), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphGetNodes((CUgraph)&junk, nodes, &count), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphInstantiate(NULL, graph, 0), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphInstantiate(&exec_none, NULL, 0), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphLaunch(NULL, stream), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphLaunch((CUgraphExec)&junk, stream), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphLaunch(exec, (CUstream)&junk), CUDA_ERROR_INVALID_HANDLE);
	GPU_IS(cuGraphUpload((CUgraphExec)graph, stream), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphExecDestroy(NULL), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphExecGetFlags(exec, NULL), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphAddEventRecordNode(&node, graph, NULL, 0, (CUevent)&junk),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_IS(cuGraphExecDestroy(exec), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphDestroy(graph));
	GPU_IS(cuGraphDestroy(graph), CUDA_ERROR_INVALID_VALUE);
}

static void flags_of_executable_graphs_are_checked(void)
{
	CUDA_GRAPH_INSTANTIATE_PARAMS how = {
		.flags = CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH
	};
	CUgraph graph = new_graph();
	CUgraphNode node = add_memset(graph, NULL, data, 1, 1), empty;
	cuuint64_t flags = 0;
	CUgraphExec exec;

	GPU_IS(cuGraphInstantiate(&exec, graph, 16), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphInstantiate(&exec, graph, CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphInstantiate(
		       &exec, graph,
		       CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH |
			       CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphInstantiate(&exec, graph,
				  CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY));
	GPU_OK(cuGraphExecGetFlags(exec, &flags));
	CU_ASSERT_EQUAL(flags, CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY);
	GPU_OK(cuGraphExecDestroy(exec));
	/* For launches from the device not every node will do. */
	GPU_OK(cuGraphInstantiateWithParams(&exec, graph, &how));
	GPU_OK(cuGraphExecDestroy(exec));
	empty = add_empty(graph, node);
	GPU_IS(cuGraphInstantiateWithParams(&exec, graph, &how),
	       CUDA_ERROR_INVALID_VALUE);
	CU_ASSERT_EQUAL(how.result_out,
			CUDA_GRAPH_INSTANTIATE_NODE_OPERATION_NOT_SUPPORTED);
	CU_ASSERT_PTR_EQUAL(how.hErrNode_out, empty);
	GPU_OK(cuGraphDestroy(graph));
}

static void a_graph_of_a_context_that_has_gone_is_not_launched(void)
{
	CUcontext doomed = gpu_context();
	CUDA_MEMSET_NODE_PARAMS set;
	CUgraph graph = new_graph();
	CUdeviceptr there;
	CUgraphExec exec;
	CUgraphNode node;

	GPU_OK(cuMemAlloc(&there, 64));
	set = words_of(there, 1, 1);
	GPU_OK(cuGraphAddMemsetNode(&node, graph, NULL, 0, &set, doomed));
	exec = executable(graph);
	gpu_context_end(doomed);
	GPU_OK(cuCtxSetCurrent(ctx));
	GPU_IS(cuGraphLaunch(exec, stream), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
}

/* ---- DOT ---- */

static void a_graph_can_be_drawn(void)
{
	char path[] = "/tmp/simgpu-dot-XXXXXX", text[4096] = "";
	CUgraph graph = new_graph();
	int fd = mkstemp(path);
	ssize_t n;

	CU_ASSERT_FATAL(fd >= 0);
	add_to_host(graph, add_fill(graph, NULL, data, 1, 1), host, data, 1);
	GPU_OK(cuGraphDebugDotPrint(graph, path, CU_GRAPH_DEBUG_DOT_FLAGS_VERBOSE));
	n = read(fd, text, sizeof(text) - 1);
	CU_ASSERT(n > 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "digraph"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "gpushim_fill_u32"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "DEVICE to HOST"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, " -> "));
	GPU_IS(cuGraphDebugDotPrint(graph, "/nonexistent/dot", 0),
	       CUDA_ERROR_OPERATING_SYSTEM);
	GPU_IS(cuGraphDebugDotPrint(graph, NULL, 0), CUDA_ERROR_INVALID_VALUE);
	close(fd);
	unlink(path);
	GPU_OK(cuGraphDestroy(graph));
}

/* clang-format off */
const struct unit_suite unit_suite = {
	.name = "shapes of graphs",
	.setup = graph_begin,
	.teardown = graph_end,
	.tests = {
		UNIT_TEST(lists_are_counted_filled_and_padded),
		UNIT_TEST(a_destroyed_node_takes_its_edges_along),
		UNIT_TEST(edges_are_checked_all_or_none),
		UNIT_TEST(a_cycle_is_found_when_the_graph_is_made_executable),
		UNIT_TEST(edge_data_is_kept_and_never_lost_silently),
		UNIT_TEST(a_clone_is_a_graph_of_its_own),
		UNIT_TEST(parameters_come_back_as_they_were_given),
		UNIT_TEST(kernel_arguments_come_back_either_way),
		UNIT_TEST(attributes_of_kernels_are_kept_and_copied),
		UNIT_TEST(a_node_of_any_kind_can_be_described),
		UNIT_TEST(memory_that_does_not_exist_is_refused),
		UNIT_TEST(handles_that_are_none_are_refused),
		UNIT_TEST(flags_of_executable_graphs_are_checked),
		UNIT_TEST(a_graph_of_a_context_that_has_gone_is_not_launched),
		UNIT_TEST(a_graph_can_be_drawn),
	},
};
