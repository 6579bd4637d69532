/*
 * graph_needs.c - how much device memory a graph may need at most.
 *
 * Knows the nodes of graphs, child graphs included. Bodies of conditional nodes are left
 * out: they cannot contain nodes that allocate (CUDA Programming Guide, "Conditional Graph
 * Nodes").
 */
#include "cuda/graph_private.h"

#include "cuda/pages.h"

#define GRANULE_BYTES (UINT64_C(32) << 20)

enum { NODES_HERE = 32, DEPTH_MAX = 64 };

/* Sums of what is allocated on a device, in pieces smaller than a granule and others. */
struct sums {
	uint64_t small_bytes, small_count, large_bytes;
	int32_t ordinal;
};

static CUresult sum_graph(CUgraph graph, struct sums *sums, int depth);

static CUresult add_node(CUgraphNode node, struct sums *sums)
{
	CUDA_MEM_ALLOC_NODE_PARAMS params;
	CUresult res;
	int row;

	res = gsh_driver.call_cuGraphMemAllocNodeGetParams(node, &params);
	if (res != CUDA_SUCCESS ||
	    params.poolProps.location.type != CU_MEM_LOCATION_TYPE_DEVICE)
		return res;
	row = gsh_device_row(params.poolProps.location.id);
	if (row < 0)
		return (CUresult)-row;
	sums[row].ordinal = params.poolProps.location.id;
	if (params.bytesize < GRANULE_BYTES) {
		sums[row].small_bytes += params.bytesize;
		sums[row].small_count++;
	} else {
		sums[row].large_bytes += (params.bytesize + GRANULE_BYTES - 1) /
					 GRANULE_BYTES * GRANULE_BYTES;
	}
	return CUDA_SUCCESS;
}

static CUresult sum_child(CUgraphNode node, struct sums *sums, int depth)
{
	CUgraph child;
	CUresult res = CUDA_ERROR_NOT_SUPPORTED;

	if (depth == DEPTH_MAX)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (gsh_driver.call_cuGraphChildGraphNodeGetGraph)
		res = gsh_driver.call_cuGraphChildGraphNodeGetGraph(node, &child);
	return res == CUDA_SUCCESS ? sum_graph(child, sums, depth + 1) : res;
}

static CUresult sum_nodes(CUgraphNode *nodes, size_t count, struct sums *sums, int depth)
{
	CUgraphNodeType type;
	CUresult res = CUDA_SUCCESS;

	for (size_t i = 0; i < count && res == CUDA_SUCCESS; i++) {
		res = gsh_driver.call_cuGraphNodeGetType(nodes[i], &type);
		if (res == CUDA_SUCCESS && type == CU_GRAPH_NODE_TYPE_MEM_ALLOC)
			res = add_node(nodes[i], sums);
		else if (res == CUDA_SUCCESS && type == CU_GRAPH_NODE_TYPE_GRAPH)
			res = sum_child(nodes[i], sums, depth);
	}
	return res;
}

static CUresult sum_graph(CUgraph graph, struct sums *sums, int depth)
{
	CUgraphNode here[NODES_HERE], *nodes = here;
	size_t count = 0, bytes;
	CUresult res = gsh_driver.call_cuGraphGetNodes(graph, NULL, &count);

	if (res != CUDA_SUCCESS || count == 0)
		return res;
	bytes = count * (sizeof(here) / NODES_HERE);
	if (count > NODES_HERE)
		nodes = gsh_pages_map(bytes);
	if (!nodes)
		return CUDA_ERROR_OUT_OF_MEMORY;
	res = gsh_driver.call_cuGraphGetNodes(graph, nodes, &count);
	if (res == CUDA_SUCCESS)
		res = sum_nodes(nodes, count, sums, depth);
	if (nodes != here)
		gsh_pages_unmap(nodes, bytes);
	return res;
}

/*
 * Granules that pieces smaller than one fill at most, if a new one is begun only for a piece
 * that fits into none of the others: of any two, one is then more than half full.
 */
static uint64_t small_granules(const struct sums *sums)
{
	uint64_t most = (2 * sums->small_bytes + GRANULE_BYTES - 1) / GRANULE_BYTES;

	if (sums->small_count == 0)
		return 0;
	if (most > 1)
		most--;
	return most < 1 ? 1 : most < sums->small_count ? most : sums->small_count;
}

CUresult gsh_graph_sum(CUgraph graph, struct gsh_graph_needs *needs)
{
	struct sums sums[GPUSHIM_DEVICES_MAX] = { 0 };
	CUresult res;

	needs->any = false;
	if (!gsh_driver.call_cuGraphMemAllocNodeGetParams ||
	    !gsh_driver.call_cuGraphGetNodes || !gsh_driver.call_cuGraphNodeGetType)
		return CUDA_SUCCESS;
	res = sum_graph(graph, sums, 0);
	for (int row = 0; row < (int)GPUSHIM_DEVICES_MAX; row++) {
		needs->rows[row].ordinal = sums[row].ordinal;
		needs->rows[row].bytes = sums[row].large_bytes +
					 small_granules(&sums[row]) * GRANULE_BYTES;
		needs->any |= needs->rows[row].bytes > 0;
	}
	return res;
}
