/*
 * Graphs: built by hand, made executable, launched and changed; after the CUDA Driver API
 * manual ("Graph Management") and cuda.h. Memory of graphs is in test_graphmem.c, lists and
 * refusals in test_graph_shape.c.
 */
#include "graph_kernels.h"

#include <unistd.h>

#include "simgpu.h"

/* ---- running ---- */

static void nodes_run_in_the_order_of_their_edges(void)
{
	CUgraph graph = new_graph();
	unsigned calls = 0;
	CUDA_HOST_NODE_PARAMS call = { count_call, &calls };
	CUgraphNode set, last, host_node;

	/* Made in another order than they run in. */
	last = add_to_host(graph, NULL, host, data, WORDS);
	set = add_memset(graph, NULL, data, 1, WORDS);
	GPU_OK(cuGraphAddHostNode(&host_node, graph, &last, 1, &call));
	set = add_fill(graph, set, data, 2, WORDS / 2);
	GPU_OK(cuGraphAddDependencies(graph, &set, &last, NULL, 1));
	run_once(graph);
	CU_ASSERT_EQUAL(host[0], 2);
	CU_ASSERT_EQUAL(host[WORDS - 1], 1);
	CU_ASSERT_EQUAL(count_of(&calls), 1);
	GPU_OK(cuGraphDestroy(graph));
}

static void each_launch_runs_everything_again(void)
{
	CUgraph graph = new_graph();
	CUgraphExec exec;
	uint64_t total = 0;

	GPU_OK(cuMemsetD32(data, 1, WORDS));
	GPU_OK(cuCtxSynchronize());
	add_reduce(graph, NULL, WORDS);
	exec = executable(graph);
	GPU_OK(cuGraphDestroy(graph)); /* not needed any more */
	for (int i = 0; i < 50; i++)
		GPU_OK(cuGraphLaunch(exec, stream));
	GPU_OK(cuStreamSynchronize(stream));
	GPU_OK(cuMemcpyDtoH(&total, sum, sizeof(total)));
	CU_ASSERT_EQUAL(total, 50 * WORDS);
	GPU_OK(cuGraphExecDestroy(exec));
}

static void a_graph_without_nodes_can_be_launched(void)
{
	CUgraph graph = new_graph();

	run_once(graph);
	add_empty(graph, add_empty(graph, NULL));
	run_once(graph);
	GPU_OK(cuGraphDestroy(graph));
}

static void a_launch_is_ordered_in_its_stream(void)
{
	CUgraph graph = new_graph();
	struct gate gate = gate_close(stream);
	CUgraphExec exec;

	add_to_host(graph, NULL, host, data, 1);
	exec = executable(graph);
	GPU_OK(cuMemsetD32Async(data, 3, 1, stream));
	GPU_OK(cuGraphLaunch(exec, stream));
	GPU_OK(cuMemsetD32Async(data, 4, 1, stream));
	GPU_IS(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
	gate_open(&gate);
	GPU_OK(cuStreamSynchronize(stream));
	CU_ASSERT_EQUAL(host[0], 3);
	CU_ASSERT_EQUAL(word_at(data), 4);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
	gate_free(&gate);
}

static void launches_of_one_executable_graph_do_not_overlap(void)
{
	CUgraph graph = new_graph();
	struct gate gate = gate_close(stream);
	CUgraphExec exec;
	CUstream other;

	GPU_OK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
	add_memset(graph, NULL, data, 1, 1);
	exec = executable(graph);
	GPU_OK(cuGraphLaunch(exec, stream)); /* behind the gate */
	GPU_OK(cuGraphLaunch(exec, other));  /* behind that launch */
	GPU_OK(cuMemsetD32Async(sum, 1, 1, other));
	GPU_IS(cuStreamQuery(other), CUDA_ERROR_NOT_READY);
	gate_open(&gate);
	GPU_OK(cuStreamSynchronize(other));
	GPU_OK(cuStreamQuery(stream));
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
	GPU_OK(cuStreamDestroy(other));
	gate_free(&gate);
}

static void an_executable_graph_may_be_destroyed_in_flight(void)
{
	CUgraph graph = new_graph();
	struct gate gate = gate_close(stream);
	unsigned calls = 0;
	CUDA_HOST_NODE_PARAMS call = { count_call, &calls };
	CUgraphNode node;
	CUgraphExec exec;

	GPU_OK(cuGraphAddHostNode(&node, graph, NULL, 0, &call));
	add_memset(graph, node, data, 8, 1);
	exec = executable(graph);
	GPU_OK(cuGraphLaunch(exec, stream));
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
	CU_ASSERT_EQUAL(count_of(&calls), 0);
	gate_open(&gate);
	GPU_OK(cuStreamSynchronize(stream));
	CU_ASSERT_EQUAL(count_of(&calls), 1);
	CU_ASSERT_EQUAL(word_at(data), 8);
	GPU_IS(cuGraphLaunch(exec, stream), CUDA_ERROR_INVALID_VALUE);
	gate_free(&gate);
}

static void memory_operations_wait_and_write(void)
{
	CUgraph graph = new_graph();
	struct gate gate = gate_close(
		stream); /* opened at once: only its word is wanted */
	CUstreamBatchMemOpParams ops[2] = {
		{ .operation = CU_STREAM_MEM_OP_WAIT_VALUE_32 },
		{ .operation = CU_STREAM_MEM_OP_WRITE_VALUE_64 }
	};
	CUDA_BATCH_MEM_OP_NODE_PARAMS batch = { .ctx = ctx,
						.count = 2,
						.paramArray = ops };
	CUDA_BATCH_MEM_OP_NODE_PARAMS seen = { 0 };
	CUgraphExec exec;
	CUgraphNode node;
	uint64_t total;

	gate_open(&gate);
	GPU_OK(cuStreamSynchronize(stream));
	*gate.word = 0;
	ops[0].waitValue.address = gate.addr;
	ops[0].waitValue.value = 1;
	ops[1].writeValue.address = sum;
	ops[1].writeValue.value64 = 1ull << 40;
	GPU_OK(cuGraphAddBatchMemOpNode(&node, graph, NULL, 0, &batch));
	GPU_OK(cuGraphBatchMemOpNodeGetParams(node, &seen));
	CU_ASSERT_EQUAL(seen.count, 2);
	CU_ASSERT_EQUAL(seen.paramArray[1].writeValue.value64, 1ull << 40);
	exec = executable(graph);
	GPU_OK(cuGraphLaunch(exec, stream));
	GPU_IS(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
	gate_open(&gate);
	GPU_OK(cuStreamSynchronize(stream));
	GPU_OK(cuMemcpyDtoH(&total, sum, sizeof(total)));
	CU_ASSERT_EQUAL(total, 1ull << 40);
	/* Values may change in an executable graph, operations may not. */
	ops[1].writeValue.value64 = 9;
	GPU_OK(cuGraphExecBatchMemOpNodeSetParams(exec, node, &batch));
	run(exec);
	CU_ASSERT_EQUAL(word_at(sum), 9);
	batch.count = 1;
	GPU_IS(cuGraphExecBatchMemOpNodeSetParams(exec, node, &batch),
	       CUDA_ERROR_INVALID_VALUE);
	ops[0].waitValue.address = 12;
	GPU_IS(cuGraphAddBatchMemOpNode(&node, graph, NULL, 0, &batch),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
	gate_free(&gate);
}

static void event_nodes_record_and_wait(void)
{
	CUgraph recording = new_graph(), waiting = new_graph();
	struct gate gate = gate_close(stream);
	CUgraphExec record, wait;
	CUgraphNode node, after;
	CUevent event, second;
	CUstream other;
	float ms = -1;

	GPU_OK(cuEventCreate(&event, 0));
	GPU_OK(cuEventCreate(&second, 0));
	GPU_OK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
	node = add_memset(recording, NULL, data, 5, 1);
	GPU_OK(cuGraphAddEventRecordNode(&after, recording, &node, 1, event));
	GPU_OK(cuGraphAddEventWaitNode(&node, waiting, NULL, 0, event));
	add_to_host(waiting, node, host, data, 1);
	record = executable(recording);
	wait = executable(waiting);
	GPU_OK(cuEventQuery(event));
	GPU_OK(cuGraphLaunch(record, stream));
	GPU_IS(cuEventQuery(event), CUDA_ERROR_NOT_READY);
	gate_open(&gate);
	GPU_OK(cuEventSynchronize(event));
	GPU_OK(cuGraphLaunch(wait, other));
	GPU_OK(cuStreamSynchronize(other));
	CU_ASSERT_EQUAL(host[0], 5);
	/* Another event in its place, from the next launch on. */
	GPU_OK(cuGraphExecEventRecordNodeSetEvent(record, after, second));
	run(record);
	GPU_OK(cuEventElapsedTime(&ms, event, second));
	CU_ASSERT(ms >= 0);
	/* An event that is destroyed is recorded by nobody. */
	GPU_OK(cuEventDestroy(second));
	run(record);
	GPU_OK(cuGraphExecDestroy(record));
	GPU_OK(cuGraphExecDestroy(wait));
	GPU_OK(cuGraphDestroy(recording));
	GPU_OK(cuGraphDestroy(waiting));
	GPU_OK(cuEventDestroy(event));
	GPU_OK(cuStreamDestroy(other));
	gate_free(&gate);
}

static void an_event_is_pending_from_the_launch_to_its_node(void)
{
	CUgraph graph = new_graph();
	struct gate before = gate_close(stream), within = gate_close(stream);
	CUstreamBatchMemOpParams op = { .operation = CU_STREAM_MEM_OP_WAIT_VALUE_32 };
	CUDA_BATCH_MEM_OP_NODE_PARAMS batch = { .ctx = ctx,
						.count = 1,
						.paramArray = &op };
	CUgraphNode recorded, wait;
	CUgraphExec exec;
	CUstream other;
	CUevent event;

	GPU_OK(cuEventCreate(&event, 0));
	GPU_OK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
	gate_open(&before);
	gate_open(&within);
	GPU_OK(cuStreamSynchronize(stream));
	gate_free(&before);
	*within.word = 0;
	/* The graph records the event, then waits for the word. */
	op.waitValue.address = within.addr;
	op.waitValue.value = 1;
	GPU_OK(cuGraphAddEventRecordNode(&recorded, graph, NULL, 0, event));
	GPU_OK(cuGraphAddBatchMemOpNode(&wait, graph, &recorded, 1, &batch));
	exec = executable(graph);
	before = gate_close(stream);
	GPU_OK(cuGraphLaunch(exec, stream));
	GPU_OK(cuStreamWaitEvent(other, event, 0));
	GPU_OK(cuMemsetD32Async(data, 4, 1, other));
	GPU_IS(cuEventQuery(event), CUDA_ERROR_NOT_READY);
	GPU_IS(cuStreamQuery(other), CUDA_ERROR_NOT_READY);
	gate_open(&before);
	GPU_OK(cuEventSynchronize(event));
	GPU_OK(cuStreamSynchronize(other));
	CU_ASSERT_EQUAL(word_at(data), 4);
	GPU_IS(cuStreamQuery(stream), CUDA_ERROR_NOT_READY); /* the graph still waits */
	gate_open(&within);
	GPU_OK(cuStreamSynchronize(stream));
	GPU_OK(cuEventQuery(event));
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
	GPU_OK(cuEventDestroy(event));
	GPU_OK(cuStreamDestroy(other));
	gate_free(&before);
	gate_free(&within);
}

static void a_graph_may_wait_for_the_event_that_it_records_itself(void)
{
	CUgraph graph = new_graph();
	struct gate gate = gate_close(stream);
	CUgraphNode wait, record;
	CUgraphExec exec;
	CUstream other;
	CUevent event;

	GPU_OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
	GPU_OK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
	GPU_OK(cuMemsetD32(data, 1, WORDS));
	GPU_OK(cuStreamSynchronize(NULL)); /* not the gated stream */
	GPU_OK(cuGraphAddEventWaitNode(&wait, graph, NULL, 0, event));
	record = add_reduce(graph, wait, WORDS);
	GPU_OK(cuGraphAddEventRecordNode(&record, graph, &record, 1, event));
	exec = executable(graph);
	for (int i = 0; i < 3; i++)
		GPU_OK(cuGraphLaunch(exec, stream));
	/* A wait is for the record of the last launch, although none has begun. */
	GPU_OK(cuStreamWaitEvent(other, event, 0));
	GPU_OK(cuMemcpyDtoHAsync(host, sum, 4, other));
	gate_open(&gate);
	GPU_OK(cuStreamSynchronize(other));
	CU_ASSERT_EQUAL(host[0], 3 * WORDS);
	GPU_OK(cuStreamSynchronize(stream));
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
	GPU_OK(cuEventDestroy(event));
	GPU_OK(cuStreamDestroy(other));
	gate_free(&gate);
}

/* ---- graphs in graphs ---- */

static void a_child_graph_runs_as_one_node(void)
{
	CUgraph inner = new_graph(), graph = new_graph(), child = NULL;
	CUgraphNode node, before;
	CUgraphExec exec;

	before = add_memset(graph, NULL, data, 1, WORDS);
	add_fill(inner, add_fill(inner, NULL, data, 2, WORDS), data, 3, WORDS);
	GPU_OK(cuGraphAddChildGraphNode(&node, graph, &before, 1, inner));
	add_to_host(graph, node, host, data, WORDS);
	GPU_OK(cuGraphDestroy(inner)); /* it was copied */
	GPU_OK(cuGraphChildGraphNodeGetGraph(node, &child));
	CU_ASSERT_EQUAL(nodes_in(child), 2);
	GPU_IS(cuGraphDestroy(child), CUDA_ERROR_INVALID_VALUE);
	exec = executable(graph);
	run(exec);
	CU_ASSERT_EQUAL(host[0], 3);
	/* Parameters of a graph of the same shape. */
	inner = new_graph();
	add_fill(inner, add_fill(inner, NULL, data, 2, WORDS), data, 30, WORDS);
	GPU_OK(cuGraphExecChildGraphNodeSetParams(exec, node, inner));
	run(exec);
	CU_ASSERT_EQUAL(host[0], 30);
	add_empty(inner, NULL);
	GPU_IS(cuGraphExecChildGraphNodeSetParams(exec, node, inner),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(inner));
	GPU_OK(cuGraphDestroy(graph));
}

static CUgraphConditionalHandle new_handle(CUgraph graph, unsigned value)
{
	CUgraphConditionalHandle handle = 0;

	GPU_OK(cuGraphConditionalHandleCreate(&handle, graph, ctx, value,
					      CU_GRAPH_COND_ASSIGN_DEFAULT));
	return handle;
}

/* Adds a conditional; bodies receives its graphs. */
static CUgraphNode add_conditional(CUgraph graph, CUgraphNode after,
				   CUgraphConditionalHandle handle,
				   CUgraphConditionalNodeType type, unsigned size,
				   CUgraph *bodies)
{
	CUgraphNodeParams params = { .type = CU_GRAPH_NODE_TYPE_CONDITIONAL };
	CUgraphNode node = NULL;

	params.conditional.handle = handle;
	params.conditional.type = type;
	params.conditional.size = size;
	params.conditional.ctx = ctx;
	GPU_OK(cuGraphAddNode(&node, graph, &after, NULL, after != NULL, &params));
	for (unsigned i = 0; node && i < size; i++)
		bodies[i] = params.conditional.phGraph_out[i];
	return node;
}

static CUgraphNode add_set_condition(CUgraph graph, CUgraphNode after,
				     CUgraphConditionalHandle handle, uint32_t value)
{
	void *list[] = { &handle, &value };
	CUDA_KERNEL_NODE_PARAMS params = kernel_of(set_conditional, list);
	CUgraphNode node = NULL;

	GPU_OK(cuGraphAddKernelNode(&node, graph, &after, after != NULL, &params));
	return node;
}

static void an_if_node_runs_the_body_that_its_condition_says(void)
{
	for (unsigned value = 0; value < 2; value++) {
		CUgraph graph = new_graph(), bodies[2] = { NULL };
		CUgraphConditionalHandle handle = new_handle(graph, value);
		CUgraphNode node = add_conditional(graph, NULL, handle,
						   CU_GRAPH_COND_TYPE_IF, 2, bodies);

		add_memset(bodies[0], NULL, data, 100, 1);
		add_memset(bodies[1], NULL, data, 200, 1);
		add_to_host(graph, node, host, data, 1);
		run_once(graph);
		CU_ASSERT_EQUAL(host[0], value ? 100 : 200);
		GPU_OK(cuGraphDestroy(graph));
	}
}

static void a_kernel_sets_the_condition_of_a_later_node(void)
{
	CUgraph graph = new_graph(), body = NULL;
	CUgraphConditionalHandle handle = new_handle(graph, 0);
	CUgraphNode set = add_set_condition(graph, NULL, handle, 1);

	add_conditional(graph, set, handle, CU_GRAPH_COND_TYPE_IF, 1, &body);
	add_memset(body, NULL, data, 7, 1);
	run_once(graph);
	CU_ASSERT_EQUAL(word_at(data), 7);
	GPU_OK(cuGraphDestroy(graph));
}

static void a_while_node_repeats_its_body(void)
{
	CUgraph graph = new_graph(), body = NULL, inner = NULL;
	CUgraphConditionalHandle outer = new_handle(graph, 1),
				 again = new_handle(graph, 1);
	CUgraphNode last;
	CUgraphExec exec;

	GPU_OK(cuMemsetD32(data, 1, WORDS));
	GPU_OK(cuCtxSynchronize());
	/* The sum grows by WORDS in the body, and again if the inner condition holds, which
	 * the first turn ends. */
	add_conditional(graph, NULL, outer, CU_GRAPH_COND_TYPE_WHILE, 1, &body);
	last = add_reduce(body, NULL, WORDS);
	last = add_conditional(body, last, again, CU_GRAPH_COND_TYPE_IF, 1, &inner);
	add_reduce(inner, NULL, WORDS);
	add_set_condition(body, last, outer, 0);
	exec = executable(graph);
	run(exec);
	CU_ASSERT_EQUAL(word_at(sum), 2 * WORDS);
	run(exec); /* the default value is assigned at each launch */
	CU_ASSERT_EQUAL(word_at(sum), 4 * WORDS);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
}

static void a_switch_node_runs_at_most_one_body(void)
{
	for (unsigned value = 0; value < 4; value++) {
		CUgraph graph = new_graph(), bodies[3] = { NULL };
		CUgraphConditionalHandle handle = new_handle(graph, value);

		add_conditional(graph, NULL, handle, CU_GRAPH_COND_TYPE_SWITCH, 3,
				bodies);
		for (unsigned i = 0; i < 3; i++)
			add_memset(bodies[i], NULL, data + 4 * i, value + 1, 1);
		run_once(graph);
		GPU_OK(cuGraphDestroy(graph));
	}
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(word_at(data + 4 * i), i + 1);
}

static void conditionals_are_checked(void)
{
	CUgraph graph = new_graph(), other = new_graph(), body = NULL, clone;
	CUgraphConditionalHandle handle = new_handle(graph, 0);
	CUDA_GRAPH_INSTANTIATE_PARAMS how = { 0 };
	CUgraphNodeParams params = { .type = CU_GRAPH_NODE_TYPE_CONDITIONAL };
	unsigned calls;
	CUDA_HOST_NODE_PARAMS call = { count_call, &calls };
	CUgraphExec exec, second;
	CUgraphNode node;

	/* A handle that nothing uses. */
	GPU_IS(cuGraphInstantiateWithParams(&exec, graph, &how),
	       CUDA_ERROR_INVALID_VALUE);
	CU_ASSERT_EQUAL(how.result_out, CUDA_GRAPH_INSTANTIATE_CONDITIONAL_HANDLE_UNUSED);
	params.conditional.handle = handle;
	params.conditional.size = 1;
	GPU_IS(cuGraphAddNode(&node, other, NULL, NULL, 0, &params),
	       CUDA_ERROR_INVALID_VALUE);
	params.conditional.type = CU_GRAPH_COND_TYPE_WHILE;
	params.conditional.size = 2;
	GPU_IS(cuGraphAddNode(&node, graph, NULL, NULL, 0, &params),
	       CUDA_ERROR_INVALID_VALUE);
	params.conditional.size = 0;
	GPU_IS(cuGraphAddNode(&node, graph, NULL, NULL, 0, &params),
	       CUDA_ERROR_INVALID_VALUE);
	add_conditional(graph, NULL, handle, CU_GRAPH_COND_TYPE_WHILE, 1, &body);
	params.conditional.size = 1;
	GPU_IS(cuGraphAddNode(&node, graph, NULL, NULL, 0, &params),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphAddHostNode(&node, body, NULL, 0, &call), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphClone(&clone, graph), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphAddChildGraphNode(&node, other, NULL, 0, graph),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphInstantiate(&second, body, 0), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphConditionalHandleCreate(&handle, graph, ctx, 0, 2),
	       CUDA_ERROR_INVALID_VALUE);
	exec = executable(graph);
	GPU_IS(cuGraphInstantiate(&second, graph, 0), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
	GPU_OK(cuGraphDestroy(other));
}

/* ---- changes of executable graphs ---- */

static void parameters_of_nodes_change_for_later_launches(void)
{
	CUgraph graph = new_graph();
	unsigned calls = 0, others = 0;
	CUDA_HOST_NODE_PARAMS call = { count_call, &calls };
	CUgraphNode set = add_memset(graph, NULL, data, 1, WORDS);
	CUgraphNode kernel = add_fill(graph, set, data, 2, 10);
	CUgraphNode copy = add_to_host(graph, kernel, host, data, WORDS), host_node;
	CUDA_MEMSET_NODE_PARAMS new_set = words_of(data, 10, WORDS), seen;
	CUDA_MEMCPY3D new_copy = to_host(host + 1, data, 4);
	CUdeviceptr at = data;
	uint32_t value = 20;
	uint64_t words = 5;
	void *list[] = { &at, &value, &words };
	CUDA_KERNEL_NODE_PARAMS new_kernel = kernel_of(fill, list);
	CUgraphExec exec;

	GPU_OK(cuGraphAddHostNode(&host_node, graph, &copy, 1, &call));
	exec = executable(graph);
	run(exec);
	CU_ASSERT(host[9] == 2 && host[10] == 1);
	GPU_OK(cuGraphExecMemsetNodeSetParams(exec, set, &new_set, ctx));
	GPU_OK(cuGraphExecKernelNodeSetParams(exec, kernel, &new_kernel));
	call.userData = &others;
	GPU_OK(cuGraphExecHostNodeSetParams(exec, host_node, &call));
	run(exec);
	CU_ASSERT(host[4] == 20 && host[5] == 10);
	CU_ASSERT(count_of(&calls) == 1 && count_of(&others) == 1);
	GPU_OK(cuGraphExecMemcpyNodeSetParams(exec, copy, &new_copy, ctx));
	run(exec);
	CU_ASSERT(host[0] == 20 && host[1] == 20 && host[5] == 10);
	/* The nodes themselves are as they were. */
	GPU_OK(cuGraphMemsetNodeGetParams(set, &seen));
	CU_ASSERT_EQUAL(seen.value, 1);
	/* What does not fit the node. */
	GPU_IS(cuGraphExecMemsetNodeSetParams(exec, kernel, &new_set, ctx),
	       CUDA_ERROR_INVALID_VALUE);
	new_set.height = 2;
	GPU_IS(cuGraphExecMemsetNodeSetParams(exec, set, &new_set, ctx),
	       CUDA_ERROR_INVALID_VALUE);
	new_copy.WidthInBytes = 0;
	GPU_IS(cuGraphExecMemcpyNodeSetParams(exec, copy, &new_copy, ctx),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphDestroyNode(host_node));
	GPU_IS(cuGraphExecHostNodeSetParams(exec, host_node, &call),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
}

static void a_change_does_not_reach_launches_in_flight(void)
{
	CUgraph graph = new_graph();
	CUgraphNode set = add_memset(graph, NULL, data, 1, 1);
	CUDA_MEMSET_NODE_PARAMS changed = words_of(data + 4, 2, 1);
	CUgraphExec exec = executable(graph);
	struct gate gate = gate_close(stream);

	GPU_OK(cuGraphLaunch(exec, stream));
	GPU_OK(cuGraphExecMemsetNodeSetParams(exec, set, &changed, ctx));
	GPU_OK(cuGraphLaunch(exec, stream));
	gate_open(&gate);
	GPU_OK(cuStreamSynchronize(stream));
	CU_ASSERT_EQUAL(word_at(data), 1);
	CU_ASSERT_EQUAL(word_at(data + 4), 2);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
	gate_free(&gate);
}

static void nodes_can_be_switched_off_and_on(void)
{
	CUgraph graph = new_graph();
	CUgraphNode first = add_memset(graph, NULL, data, 1, 1);
	CUgraphNode second = add_memset(graph, first, data, 2, 1);
	CUgraphNode empty = add_empty(graph, second);
	CUgraphExec exec = executable(graph);
	unsigned enabled = 99;

	GPU_OK(cuGraphNodeSetEnabled(exec, second, 0));
	GPU_OK(cuGraphNodeGetEnabled(exec, second, &enabled));
	CU_ASSERT_EQUAL(enabled, 0);
	run(exec);
	CU_ASSERT_EQUAL(word_at(data), 1);
	GPU_OK(cuGraphNodeSetEnabled(exec, second, 5));
	GPU_OK(cuGraphNodeGetEnabled(exec, second, &enabled));
	CU_ASSERT_EQUAL(enabled, 1);
	run(exec);
	CU_ASSERT_EQUAL(word_at(data), 2);
	GPU_IS(cuGraphNodeSetEnabled(exec, empty, 0), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphNodeGetEnabled(exec, first, NULL), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
}

/* memset -> kernel -> copy to the host. */
static CUgraph line(uint32_t value)
{
	CUgraph graph = new_graph();

	add_to_host(graph,
		    add_fill(graph, add_memset(graph, NULL, data, value, WORDS), data,
			     value + 1, 1),
		    host, data, 2);
	return graph;
}

static void a_whole_graph_can_be_taken_over(void)
{
	CUgraph graph = line(1), changed = line(40);
	CUgraphExec exec = executable(graph);
	CUgraphExecUpdateResultInfo info;

	GPU_OK(cuGraphExecUpdate(exec, changed, &info));
	CU_ASSERT_EQUAL(info.result, CU_GRAPH_EXEC_UPDATE_SUCCESS);
	run(exec);
	CU_ASSERT(host[0] == 41 && host[1] == 40);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(changed));
	GPU_OK(cuGraphDestroy(graph));
}

static void a_graph_of_another_shape_is_refused(void)
{
	CUgraph graph = line(1), other = line(2);
	CUgraphExec exec = executable(graph);
	CUgraphExecUpdateResultInfo info;
	CUgraphNode nodes[4], extra;
	size_t count = 4;

	extra = add_empty(other, NULL);
	GPU_IS(cuGraphExecUpdate(exec, other, &info),
	       CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
	CU_ASSERT_EQUAL(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
	CU_ASSERT_PTR_NULL(info.errorNode);
	GPU_OK(cuGraphDestroyNode(extra));
	GPU_OK(cuGraphGetNodes(other, nodes, &count));
	/* A dependency elsewhere. */
	GPU_OK(cuGraphRemoveDependencies(other, &nodes[1], &nodes[2], NULL, 1));
	GPU_OK(cuGraphAddDependencies(other, &nodes[0], &nodes[2], NULL, 1));
	GPU_IS(cuGraphExecUpdate(exec, other, &info),
	       CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
	CU_ASSERT_EQUAL(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
	CU_ASSERT_PTR_EQUAL(info.errorNode, nodes[2]);
	CU_ASSERT_PTR_EQUAL(info.errorFromNode, nodes[0]);
	/* One dependency less. */
	GPU_OK(cuGraphRemoveDependencies(other, &nodes[0], &nodes[2], NULL, 1));
	GPU_IS(cuGraphExecUpdate(exec, other, &info),
	       CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
	CU_ASSERT_PTR_EQUAL(info.errorNode, nodes[2]);
	/* A node of another type. */
	GPU_OK(cuGraphDestroyNode(nodes[2]));
	extra = add_empty(other, nodes[1]);
	GPU_IS(cuGraphExecUpdate(exec, other, &info),
	       CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
	CU_ASSERT_EQUAL(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED);
	CU_ASSERT_PTR_EQUAL(info.errorNode, extra);
	/* Nothing of all that has changed it. */
	run(exec);
	CU_ASSERT(host[0] == 2 && host[1] == 1);
	GPU_IS(cuGraphExecUpdate(exec, NULL, &info), CUDA_ERROR_INVALID_VALUE);
	CU_ASSERT_EQUAL(info.result, CU_GRAPH_EXEC_UPDATE_ERROR);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
	GPU_OK(cuGraphDestroy(other));
}

static void a_parameter_that_cannot_change_is_named(void)
{
	CUgraph graph = new_graph(), other = new_graph();
	CUDA_MEMSET_NODE_PARAMS params = words_of(data, 1, 4);
	CUgraphExecUpdateResultInfo info;
	CUgraphNode node, changed;
	CUgraphExec exec;

	params.height = 2;
	params.pitch = 64;
	GPU_OK(cuGraphAddMemsetNode(&node, graph, NULL, 0, &params, ctx));
	params.value = 2;
	GPU_OK(cuGraphAddMemsetNode(&changed, other, NULL, 0, &params, ctx));
	exec = executable(graph);
	GPU_OK(cuGraphExecUpdate(exec, other, &info));
	params.width = 2;
	GPU_OK(cuGraphMemsetNodeSetParams(changed, &params));
	GPU_IS(cuGraphExecUpdate(exec, other, &info),
	       CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
	CU_ASSERT_EQUAL(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED);
	CU_ASSERT_PTR_EQUAL(info.errorNode, changed);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
	GPU_OK(cuGraphDestroy(other));
}

/* ---- user objects ---- */

static void wait_for(const unsigned *counter, unsigned value)
{
	for (unsigned i = 0; i < unit_patience_ms(20000); i++) {
		if (count_of(counter) == value)
			return;
		usleep(1000);
	}
	CU_FAIL("a user object was not destroyed");
}

static void a_user_object_lives_as_long_as_anything_refers_to_it(void)
{
	CUgraph graph = new_graph(), clone;
	struct gate gate = gate_close(stream);
	unsigned destroyed = 0;
	CUuserObject object = NULL;
	CUgraphExec exec;

	GPU_OK(cuUserObjectCreate(&object, &destroyed, count_call, 2,
				  CU_USER_OBJECT_NO_DESTRUCTOR_SYNC));
	GPU_OK(cuUserObjectRetain(object, 1));
	GPU_OK(cuUserObjectRelease(object, 2));
	GPU_OK(cuGraphRetainUserObject(graph, object, 1, CU_GRAPH_USER_OBJECT_MOVE));
	add_empty(graph, NULL);
	GPU_OK(cuGraphClone(&clone, graph));
	exec = executable(graph);
	GPU_OK(cuGraphDestroy(graph));
	GPU_OK(cuGraphDestroy(clone));
	GPU_OK(cuGraphLaunch(exec, stream));
	GPU_OK(cuGraphExecDestroy(exec)); /* its launch still refers to the object */
	CU_ASSERT_EQUAL(count_of(&destroyed), 0);
	GPU_OK(cuUserObjectRetain(object, 1));
	GPU_OK(cuUserObjectRelease(object, 1));
	gate_open(&gate);
	wait_for(&destroyed, 1);
	GPU_OK(cuStreamSynchronize(stream));
	gate_free(&gate);
}

static void references_to_user_objects_are_counted(void)
{
	CUgraph graph = new_graph();
	unsigned destroyed = 0;
	CUuserObject object = NULL;

	GPU_OK(cuUserObjectCreate(&object, &destroyed, count_call, 1, 1));
	GPU_OK(cuGraphRetainUserObject(graph, object, 3, 0));
	GPU_IS(cuGraphReleaseUserObject(graph, object, 4), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphReleaseUserObject(graph, object, 3));
	GPU_IS(cuGraphReleaseUserObject(graph, object, 1), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuUserObjectRelease(object, 0), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuUserObjectRetain(object, 1u << 31), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuGraphRetainUserObject(graph, object, 1, 2), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuUserObjectCreate(&object, NULL, NULL, 1, 1), CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuUserObjectCreate(&object, NULL, count_call, 1, 0),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_IS(cuUserObjectCreate(&object, NULL, count_call, 0, 1),
	       CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuUserObjectRelease(object, 1));
	wait_for(&destroyed, 1);
	GPU_IS(cuUserObjectRelease(object, 1), CUDA_ERROR_INVALID_VALUE);
	GPU_OK(cuGraphDestroy(graph));
}

/* ---- what the device says ---- */

static void the_device_counts_launches_and_their_kernels(void)
{
	struct simgpu_monitor *monitor = simgpu_open(NULL, 0, NULL);
	CUgraph graph = new_graph();
	CUgraphNode node = NULL;
	struct simgpu_truth *before, *after;
	CUgraphExec exec;

	CU_ASSERT_PTR_NOT_NULL_FATAL(monitor);
	for (int i = 0; i < 3; i++)
		node = add_fill(graph, node, data, 1, 1);
	exec = executable(graph);
	before = simgpu_truth(monitor);
	GPU_OK(cuGraphLaunch(exec, stream));
	GPU_OK(cuGraphLaunch(exec, stream));
	GPU_OK(cuStreamSynchronize(stream));
	after = simgpu_truth(monitor);
	CU_ASSERT_PTR_NOT_NULL_FATAL(before);
	CU_ASSERT_PTR_NOT_NULL_FATAL(after);
	CU_ASSERT_EQUAL(simgpu_find(after, getpid())->graph_launches -
				simgpu_find(before, getpid())->graph_launches,
			2);
	CU_ASSERT_EQUAL(simgpu_find(after, getpid())->kernels -
				simgpu_find(before, getpid())->kernels,
			6);
	simgpu_free(before);
	simgpu_free(after);
	simgpu_close(monitor);
	GPU_OK(cuGraphExecDestroy(exec));
	GPU_OK(cuGraphDestroy(graph));
}

static unsigned child_calls;

static void launch_at_no_cost(void)
{
	CUDA_HOST_NODE_PARAMS call = { count_call, &child_calls };
	CUgraphExec exec = NULL;
	CUcontext context;
	CUgraphNode node;
	CUgraph graph;

	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuCtxCreate(&context, NULL, 0, 0), CUDA_SUCCESS);
	CHECK_IS(cuGraphCreate(&graph, 0), CUDA_SUCCESS);
	CHECK_IS(cuGraphAddEmptyNode(&node, graph, NULL, 0), CUDA_SUCCESS);
	CHECK_IS(cuGraphInstantiate(&exec, graph, 0), CUDA_SUCCESS);
	CHECK_IS(cuGraphLaunch(exec, NULL), CUDA_SUCCESS);
	CHECK_IS(cuGraphExecDestroy(exec), CUDA_SUCCESS);
	CHECK_IS(cuGraphLaunch(exec, NULL), CUDA_ERROR_INVALID_VALUE);
	CHECK_IS(cuGraphAddHostNode(&node, graph, &node, 1, &call), CUDA_SUCCESS);
	CHECK_IS(cuGraphInstantiate(&exec, graph, 0), CUDA_SUCCESS);
	CHECK_IS(cuGraphLaunch(exec, NULL), CUDA_SUCCESS);
	CHECK(child_calls == 1);
	CHECK_IS(cuGraphExecDestroy(exec), CUDA_SUCCESS);
	CHECK_IS(cuGraphDestroy(graph), CUDA_SUCCESS);
}

static int no_cost_failures;

/* Before this process has used CUDA. */
static int run_children(void)
{
	const char *const env[] = { "SIMGPU_ZERO_COST=1", NULL };

	no_cost_failures = child_run(launch_at_no_cost, env);
	return 0;
}

static void without_a_device_launches_only_call_the_host(void)
{
	CU_ASSERT_EQUAL(no_cost_failures, 0);
}

/* clang-format off */
const struct unit_suite unit_suite = {
	.name = "graphs",
	.init = run_children,
	.setup = graph_begin,
	.teardown = graph_end,
	.tests = {
		UNIT_TEST(nodes_run_in_the_order_of_their_edges),
		UNIT_TEST(each_launch_runs_everything_again),
		UNIT_TEST(a_graph_without_nodes_can_be_launched),
		UNIT_TEST(a_launch_is_ordered_in_its_stream),
		UNIT_TEST(launches_of_one_executable_graph_do_not_overlap),
		UNIT_TEST(an_executable_graph_may_be_destroyed_in_flight),
		UNIT_TEST(memory_operations_wait_and_write),
		UNIT_TEST(event_nodes_record_and_wait),
		UNIT_TEST(an_event_is_pending_from_the_launch_to_its_node),
		UNIT_TEST(a_graph_may_wait_for_the_event_that_it_records_itself),
		UNIT_TEST(a_child_graph_runs_as_one_node),
		UNIT_TEST(an_if_node_runs_the_body_that_its_condition_says),
		UNIT_TEST(a_kernel_sets_the_condition_of_a_later_node),
		UNIT_TEST(a_while_node_repeats_its_body),
		UNIT_TEST(a_switch_node_runs_at_most_one_body),
		UNIT_TEST(conditionals_are_checked),
		UNIT_TEST(parameters_of_nodes_change_for_later_launches),
		UNIT_TEST(a_change_does_not_reach_launches_in_flight),
		UNIT_TEST(nodes_can_be_switched_off_and_on),
		UNIT_TEST(a_whole_graph_can_be_taken_over),
		UNIT_TEST(a_graph_of_another_shape_is_refused),
		UNIT_TEST(a_parameter_that_cannot_change_is_named),
		UNIT_TEST(a_user_object_lives_as_long_as_anything_refers_to_it),
		UNIT_TEST(references_to_user_objects_are_counted),
		UNIT_TEST(the_device_counts_launches_and_their_kernels),
		UNIT_TEST(without_a_device_launches_only_call_the_host),
	},
};
