/*
 * graph_kernels.h - what the tests of graphs and captures share: kernels, and nodes made in
 * a line.
 *
 * Knows: the driver API as any program sees it. Refuses to know: how the driver is built.
 */
#ifndef GRAPH_KERNELS_H
#define GRAPH_KERNELS_H

#include "common_gpu.h"

#include <string.h>

#define GRAPH_PTX                                                                          \
	".version 7.0\n.target sm_70\n.address_size 64\n"                                  \
	".visible .entry gpushim_fill_u32(.param .u64 p, .param .u32 v, .param .u64 n) "   \
	"{ret;}\n"                                                                         \
	".visible .entry gpushim_reduce_u32(.param .u64 i, .param .u64 o, .param .u64 n) " \
	"{ret;}\n"                                                                         \
	".visible .entry gpushim_set_conditional(.param .u64 h, .param .u32 v) {ret;}\n"   \
	".visible .entry plain() {ret;}\n"

enum { WORDS = 1024 };

static CUcontext ctx;
static CUmodule module;
static CUstream stream;
static CUfunction fill, reduce, set_conditional, plain;
static CUdeviceptr data, sum; /* WORDS words; two words */
static uint32_t *host;	      /* WORDS words, pinned */

static inline void graph_begin(void)
{
	void *pinned = NULL;

	ctx = gpu_context();
	GPU_OK(cuModuleLoadData(&module, GRAPH_PTX));
	GPU_OK(cuModuleGetFunction(&fill, module, "gpushim_fill_u32"));
	GPU_OK(cuModuleGetFunction(&reduce, module, "gpushim_reduce_u32"));
	GPU_OK(cuModuleGetFunction(&set_conditional, module, "gpushim_set_conditional"));
	GPU_OK(cuModuleGetFunction(&plain, module, "plain"));
	GPU_OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	GPU_OK(cuMemAlloc(&data, WORDS * sizeof(*host)));
	GPU_OK(cuMemAlloc(&sum, 2 * sizeof(*host)));
	GPU_OK(cuMemHostAlloc(&pinned, WORDS * sizeof(*host), 0));
	host = pinned;
	memset(host, 0, WORDS * sizeof(*host));
	GPU_OK(cuMemsetD32(data, 0, WORDS));
	GPU_OK(cuMemsetD32(sum, 0, 2));
	GPU_OK(cuCtxSynchronize()); /* the stream does not wait for these */
}

static inline void graph_end(void)
{
	gpu_context_end(ctx);
}

/* Parameters of nodes; kernels have one block, and what their arguments point to must last
 * until the node is made. */
static inline CUDA_KERNEL_NODE_PARAMS kernel_of(CUfunction function, void **list)
{
	return (CUDA_KERNEL_NODE_PARAMS){ .func = function,
					  .gridDimX = 1,
					  .gridDimY = 1,
					  .gridDimZ = 1,
					  .blockDimX = 32,
					  .blockDimY = 1,
					  .blockDimZ = 1,
					  .kernelParams = list };
}

static inline CUDA_MEMSET_NODE_PARAMS words_of(CUdeviceptr dst, uint32_t value,
					       size_t words)
{
	return (CUDA_MEMSET_NODE_PARAMS){
		.dst = dst, .value = value, .elementSize = 4, .width = words, .height = 1
	};
}

static inline CUDA_MEMCPY3D to_host(void *dst, CUdeviceptr src, size_t bytes)
{
	return (CUDA_MEMCPY3D){ .srcMemoryType = CU_MEMORYTYPE_DEVICE,
				.srcDevice = src,
				.dstMemoryType = CU_MEMORYTYPE_HOST,
				.dstHost = dst,
				.WidthInBytes = bytes,
				.Height = 1,
				.Depth = 1 };
}

/* Nodes, after one other node or (NULL) after none. */
static inline CUgraphNode add_empty(CUgraph graph, CUgraphNode after)
{
	CUgraphNode node = NULL;

	GPU_OK(cuGraphAddEmptyNode(&node, graph, &after, after != NULL));
	return node;
}

static inline CUgraphNode add_memset(CUgraph graph, CUgraphNode after, CUdeviceptr dst,
				     uint32_t value, size_t words)
{
	CUDA_MEMSET_NODE_PARAMS params = words_of(dst, value, words);
	CUgraphNode node = NULL;

	GPU_OK(cuGraphAddMemsetNode(&node, graph, &after, after != NULL, &params, ctx));
	return node;
}

static inline CUgraphNode add_to_host(CUgraph graph, CUgraphNode after, void *dst,
				      CUdeviceptr src, size_t words)
{
	CUDA_MEMCPY3D params = to_host(dst, src, words * sizeof(uint32_t));
	CUgraphNode node = NULL;

	GPU_OK(cuGraphAddMemcpyNode(&node, graph, &after, after != NULL, &params, ctx));
	return node;
}

static inline CUgraphNode add_fill(CUgraph graph, CUgraphNode after, CUdeviceptr dst,
				   uint32_t value, uint64_t words)
{
	void *list[] = { &dst, &value, &words };
	CUDA_KERNEL_NODE_PARAMS params = kernel_of(fill, list);
	CUgraphNode node = NULL;

	GPU_OK(cuGraphAddKernelNode(&node, graph, &after, after != NULL, &params));
	return node;
}

/* *(u64 *)sum += the sum of the words of `data`. */
static inline CUgraphNode add_reduce(CUgraph graph, CUgraphNode after, uint64_t words)
{
	void *list[] = { &data, &sum, &words };
	CUDA_KERNEL_NODE_PARAMS params = kernel_of(reduce, list);
	CUgraphNode node = NULL;

	GPU_OK(cuGraphAddKernelNode(&node, graph, &after, after != NULL, &params));
	return node;
}

static inline void count_call(void *counter)
{
	__atomic_add_fetch((unsigned *)counter, 1, __ATOMIC_RELEASE);
}

static inline unsigned count_of(const unsigned *counter)
{
	return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

static inline CUgraph new_graph(void)
{
	CUgraph graph = NULL;

	GPU_OK(cuGraphCreate(&graph, 0));
	return graph;
}

static inline CUgraphExec executable(CUgraph graph)
{
	CUgraphExec exec = NULL;

	GPU_OK(cuGraphInstantiate(&exec, graph, 0));
	return exec;
}

/* One launch, until it is done. */
static inline void run(CUgraphExec exec)
{
	GPU_OK(cuGraphLaunch(exec, stream));
	GPU_OK(cuStreamSynchronize(stream));
}

/* The same of a graph, once. */
static inline void run_once(CUgraph graph)
{
	CUgraphExec exec = executable(graph);

	run(exec);
	GPU_OK(cuGraphExecDestroy(exec));
}

static inline uint32_t word_at(CUdeviceptr addr)
{
	uint32_t word = 0xdead;

	GPU_OK(cuMemcpyDtoH(&word, addr, sizeof(word)));
	return word;
}

static inline size_t nodes_in(CUgraph graph)
{
	size_t count = 99;

	GPU_OK(cuGraphGetNodes(graph, NULL, &count));
	return count;
}

static inline CUgraphNodeType type_of(CUgraphNode node)
{
	CUgraphNodeType type = (CUgraphNodeType)99;

	GPU_OK(cuGraphNodeGetType(node, &type));
	return type;
}

#endif
