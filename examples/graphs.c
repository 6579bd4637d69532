/*
 * graphs.c - work put together once and launched many times: built by hand, captured from
 * streams, changed between launches, and with memory of its own.
 *
 * Knows: graph nodes and stream capture, and what each launch must have computed.
 * Refuses to know: what a launch costs; the example work measures.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common.h"

enum { GRID = 64, BLOCK = 256 };

static struct ex_gpu gpu;
static uint64_t launches = 100, n = 1 << 16;
static bool good = true;

static void report(const char *what, uint64_t wrong)
{
	if (wrong)
		printf("%s: WRONG, %" PRIu64 " results\n", what, wrong);
	else
		printf("%s: right\n", what);
	good = good && !wrong;
}

/* --- built by hand ------------------------------------------------------------------- */

/* memset of the sum -> kernel -> copy to the host -> host function. */
struct chain {
	CUdeviceptr in, out;
	uint64_t *sum; /* pinned: the copy's destination */
	uint64_t expected, runs, wrong;
	CUgraph graph;
	CUgraphNode kernel_node;
	CUgraphExec exec;
};

/* The graph's last node, on a thread of the driver, before the launch is complete. */
static void CUDA_CB look_at_sum(void *user)
{
	struct chain *chain = user;

	chain->runs++;
	chain->wrong += *chain->sum != chain->expected;
}

static CUDA_KERNEL_NODE_PARAMS kernel_params(CUfunction kernel, void **list)
{
	return (CUDA_KERNEL_NODE_PARAMS){ .func = kernel,
					  .gridDimX = GRID,
					  .gridDimY = 1,
					  .gridDimZ = 1,
					  .blockDimX = BLOCK,
					  .blockDimY = 1,
					  .blockDimZ = 1,
					  .kernelParams = list };
}

static CUDA_MEMCPY3D copy_to_host(CUdeviceptr from, void *to, size_t bytes)
{
	return (CUDA_MEMCPY3D){ .srcMemoryType = CU_MEMORYTYPE_DEVICE,
				.srcDevice = from,
				.dstMemoryType = CU_MEMORYTYPE_HOST,
				.dstHost = to,
				.WidthInBytes = bytes,
				.Height = 1,
				.Depth = 1 };
}

static void build_chain(struct chain *chain)
{
	void *list[] = { &chain->in, &chain->out, &n };
	CUDA_MEMSET_NODE_PARAMS zero = {
		.dst = chain->out, .elementSize = 4, .width = 2, .height = 1
	};
	CUDA_KERNEL_NODE_PARAMS reduce = kernel_params(
		ex_kernel(&gpu, "gpushim_reduce_u32"), list);
	CUDA_MEMCPY3D copy = copy_to_host(chain->out, chain->sum, sizeof(*chain->sum));
	CUDA_HOST_NODE_PARAMS host = { .fn = look_at_sum, .userData = chain };
	CUgraphNode zero_node, copy_node, host_node;
	CUgraph graph;

	EX_TRY(cuGraphCreate(&graph, 0));
	chain->graph = graph;
	EX_TRY(cuGraphAddMemsetNode(&zero_node, graph, NULL, 0, &zero, gpu.context));
	EX_TRY(cuGraphAddKernelNode(&chain->kernel_node, graph, &zero_node, 1, &reduce));
	EX_TRY(cuGraphAddMemcpyNode(&copy_node, graph, &chain->kernel_node, 1, &copy,
				    gpu.context));
	EX_TRY(cuGraphAddHostNode(&host_node, graph, &copy_node, 1, &host));
	EX_TRY(cuGraphInstantiate(&chain->exec, graph, 0));
}

/* The sum over fewer words: new parameters for one node of the executable graph, which is
 * named by the node that it was made from. So that graph must still exist. */
static void update_chain(struct chain *chain, uint64_t words)
{
	void *list[] = { &chain->in, &chain->out, &words };
	CUDA_KERNEL_NODE_PARAMS reduce = kernel_params(
		ex_kernel(&gpu, "gpushim_reduce_u32"), list);

	EX_TRY(cuGraphExecKernelNodeSetParams(chain->exec, chain->kernel_node, &reduce));
}

static void launch_chain(struct chain *chain, uint64_t expected, CUstream stream,
			 const char *what)
{
	uint64_t i;

	chain->expected = expected;
	chain->runs = chain->wrong = 0;
	for (i = 0; i < launches; i++)
		EX_TRY(cuGraphLaunch(chain->exec, stream));
	EX_TRY(cuStreamSynchronize(stream));
	if (chain->runs != launches)
		printf("%s: the host function ran %" PRIu64 " times, not %" PRIu64 "\n",
		       what, chain->runs, launches);
	report(what, chain->wrong + (chain->runs != launches));
}

static void by_hand(CUstream stream)
{
	const uint32_t word = 3;
	struct chain chain = { 0 };
	void *pinned;

	EX_TRY(cuMemHostAlloc(&pinned, sizeof(*chain.sum), 0));
	chain.sum = pinned;
	EX_TRY(cuMemAlloc(&chain.in, n * sizeof(word)));
	EX_TRY(cuMemAlloc(&chain.out, sizeof(*chain.sum)));
	EX_TRY(cuMemsetD32Async(chain.in, word, n, stream));
	EX_TRY(cuStreamSynchronize(stream));
	build_chain(&chain);
	launch_chain(&chain, n * word, stream, "graph built by hand");
	update_chain(&chain, n / 2);
	launch_chain(&chain, n / 2 * word, stream,
		     "the same with a kernel's parameters changed");
	EX_TRY(cuGraphExecDestroy(chain.exec));
	EX_TRY(cuGraphDestroy(chain.graph));
	EX_TRY(cuMemFree(chain.in));
	EX_TRY(cuMemFree(chain.out));
	EX_TRY(cuMemFreeHost(pinned));
}

/* --- captured ------------------------------------------------------------------------ */

/* x is filled on a second stream, y on the first; they join for y = 2 * x + y. */
static CUgraphExec capture(CUstream first, CUstream second, CUfunction saxpy, void **list,
			   float *host)
{
	CUdeviceptr x = *(CUdeviceptr *)list[0], y = *(CUdeviceptr *)list[1];
	CUevent fork, join;
	CUgraphExec exec;
	CUgraph graph;

	EX_TRY(cuEventCreate(&fork, CU_EVENT_DISABLE_TIMING));
	EX_TRY(cuEventCreate(&join, CU_EVENT_DISABLE_TIMING));
	EX_TRY(cuStreamBeginCapture(first, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	EX_TRY(cuEventRecord(fork, first));
	EX_TRY(cuStreamWaitEvent(second, fork, 0));
	ex_fill(&gpu, x, 0x3f800000, n, second); /* 1.0f */
	EX_TRY(cuEventRecord(join, second));
	EX_TRY(cuMemsetD32Async(y, 0x40400000, n, first)); /* 3.0f */
	EX_TRY(cuStreamWaitEvent(first, join, 0));
	ex_launch(saxpy, GRID, BLOCK, first, list);
	EX_TRY(cuMemcpyDtoHAsync(host, y, n * sizeof(*host), first));
	EX_TRY(cuStreamEndCapture(first, &graph));
	EX_TRY(cuGraphInstantiate(&exec, graph, 0));
	/* The executable graph does not need the one that it was made from. */
	EX_TRY(cuGraphDestroy(graph));
	EX_TRY(cuEventDestroy(fork));
	EX_TRY(cuEventDestroy(join));
	return exec;
}

static void captured(CUstream stream)
{
	CUfunction saxpy = ex_kernel(&gpu, "gpushim_saxpy_f32");
	CUdeviceptr x, y;
	float a = 2;
	void *list[] = { &x, &y, &a, &n };
	CUstream second;
	CUgraphExec exec;
	uint64_t i, wrong = 0, run;
	void *pinned;
	float *host;

	EX_TRY(cuMemHostAlloc(&pinned, n * sizeof(*host), 0));
	host = pinned;
	EX_TRY(cuMemAlloc(&x, n * sizeof(*host)));
	EX_TRY(cuMemAlloc(&y, n * sizeof(*host)));
	EX_TRY(cuStreamCreate(&second, CU_STREAM_NON_BLOCKING));
	/* Code is loaded at a kernel's first launch, and not every driver can do that while
	 * it captures. */
	ex_fill(&gpu, x, 0, n, stream);
	ex_launch(saxpy, GRID, BLOCK, stream, list);
	for (i = 0; i < n; i++)
		host[i] = -1;
	exec = capture(stream, second, saxpy, list, host);
	/* A captured call does nothing by itself. */
	EX_TRY(cuStreamSynchronize(stream));
	for (i = 0; i < n; i++)
		wrong += host[i] != -1;
	report("a capture runs nothing", wrong);
	for (run = wrong = 0; run < launches; run++) {
		EX_TRY(cuGraphLaunch(exec, stream));
		/* Each launch is looked at where that is cheap, all of them at the end. */
		if (run % 10 && run + 1 < launches)
			continue;
		EX_TRY(cuStreamSynchronize(stream));
		for (i = 0; i < n; i++) {
			wrong += host[i] != 2 * 1 + 3;
			host[i] = -1;
		}
	}
	report("graph captured from two streams", wrong);
	EX_TRY(cuGraphExecDestroy(exec));
	EX_TRY(cuStreamDestroy(second));
	EX_TRY(cuMemFree(x));
	EX_TRY(cuMemFree(y));
	EX_TRY(cuMemFreeHost(pinned));
}

/* --- with memory of its own ---------------------------------------------------------- */

static uint64_t graph_memory(CUgraphMem_attribute attribute)
{
	cuuint64_t bytes = 0;

	EX_TRY(cuDeviceGetGraphMemAttribute(gpu.device, attribute, &bytes));
	return bytes;
}

static CUgraph build_with_memory(CUDA_MEM_ALLOC_NODE_PARAMS *alloc, uint32_t value,
				 uint32_t *host)
{
	CUgraphNode alloc_node, fill_node, copy_node, free_node;
	void *list[] = { &alloc->dptr, &value, &n };
	CUDA_KERNEL_NODE_PARAMS fill = kernel_params(ex_kernel(&gpu, "gpushim_fill_u32"),
						     list);
	CUDA_MEMCPY3D copy;
	CUgraph graph;

	EX_TRY(cuGraphCreate(&graph, 0));
	EX_TRY(cuGraphAddMemAllocNode(&alloc_node, graph, NULL, 0, alloc));
	/* The address is known from here on, and the same at every launch. */
	EX_TRY(cuGraphAddKernelNode(&fill_node, graph, &alloc_node, 1, &fill));
	copy = copy_to_host(alloc->dptr, host, n * sizeof(value));
	EX_TRY(cuGraphAddMemcpyNode(&copy_node, graph, &fill_node, 1, &copy,
				    gpu.context));
	EX_TRY(cuGraphAddMemFreeNode(&free_node, graph, &copy_node, 1, alloc->dptr));
	return graph;
}

static void with_memory(CUstream stream)
{
	const uint32_t value = 0x5eed5eed;
	CUDA_MEM_ALLOC_NODE_PARAMS alloc = {
		.poolProps = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
			       .location = { .type = CU_MEM_LOCATION_TYPE_DEVICE,
					     .id = gpu.device } },
		.bytesize = n * sizeof(value)
	};
	uint64_t run, i, wrong = 0;
	CUgraphExec exec;
	CUgraph graph;
	uint32_t *host;
	void *pinned;
	char text[32];

	if (!ex_attribute(&gpu, CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED)) {
		printf("graph with memory nodes: skipped, the device has no memory pools\n");
		return;
	}
	EX_TRY(cuMemHostAlloc(&pinned, n * sizeof(value), 0));
	host = pinned;
	graph = build_with_memory(&alloc, value, host);
	EX_TRY(cuGraphInstantiate(&exec, graph, 0));
	EX_TRY(cuGraphDestroy(graph));
	for (run = 0; run < launches; run++)
		EX_TRY(cuGraphLaunch(exec, stream));
	EX_TRY(cuStreamSynchronize(stream));
	for (i = 0; i < n; i++)
		wrong += host[i] != value;
	report("graph with memory nodes", wrong);
	printf("  the device keeps %s for graphs",
	       ex_bytes(text, graph_memory(CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT)));
	EX_TRY(cuGraphExecDestroy(exec));
	EX_TRY(cuDeviceGraphMemTrim(gpu.device));
	printf(", %s after a trim\n",
	       ex_bytes(text, graph_memory(CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT)));
	EX_TRY(cuMemFreeHost(pinned));
}

int main(int argc, char **argv)
{
	const struct ex_option options[] = {
		{ "launches", EX_COUNT, &launches, 1, "N", "launches of each graph" },
		{ "n", EX_COUNT, &n, 2, "N", "words that each graph works on" },
		{ 0 }
	};
	int device = ex_options(
		argc, argv,
		"Builds graphs by hand, by capture and with memory of their own, "
		"launches each\nmany times and checks what it computed.",
		options);
	CUstream stream;

	ex_open(&gpu, device, EX_PRIMARY_CONTEXT);
	EX_TRY(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	by_hand(stream);
	captured(stream);
	with_memory(stream);
	EX_TRY(cuStreamDestroy(stream));
	ex_close(&gpu);
	return good ? EX_EXIT_OK : EX_EXIT_FAILED;
}
