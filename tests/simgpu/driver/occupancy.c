/*
 * occupancy.c - how many blocks of a kernel one SM holds.
 *
 * Knows: the arithmetic of threads, warps, registers and shared memory per SM, with the
 * granules in which the hardware hands them out (CUDA occupancy calculator, compute
 * capability 9.0). Refuses to know: what runs on the SM at the moment.
 */
#include "driver/code.h"

#include <limits.h>

#include "driver/launch.h"

enum {
	SM_WARPS = SIM_SM_THREADS / SIM_WARP_THREADS,
	SM_PARTITIONS = 4,	/* each with a quarter of the registers */
	REGISTER_GRANULE = 256, /* per warp */
	SHARED_GRANULE_BYTES = 128
};

static unsigned round_up(unsigned value, unsigned to)
{
	return (value + to - 1) / to * to;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Warps of the kernel that the registers of one SM serve: each quarter by itself. */
static unsigned warps_by_registers(const struct sim_function *function)
{
	unsigned per_warp = round_up(function->registers * SIM_WARP_THREADS,
				     REGISTER_GRANULE);

	return SIM_SM_REGISTERS / SM_PARTITIONS / per_warp * SM_PARTITIONS;
}

unsigned sim_occupancy(const struct sim_function *function, unsigned block_threads,
		       size_t dynamic_bytes)
{
	unsigned blocks = SIM_SM_BLOCKS;
	unsigned warps, shared;

	if (block_threads == 0 || block_threads > function->max_threads ||
	    dynamic_bytes > sim_function_max_dynamic(function))
		return 0;
	warps = (block_threads - 1) / SIM_WARP_THREADS + 1;
	blocks = least(blocks, SM_WARPS / warps);
	blocks = least(blocks, warps_by_registers(function) / warps);
	shared = round_up(function->static_shared_bytes + (unsigned)dynamic_bytes +
				  SIM_BLOCK_RESERVED_SHARED_BYTES,
			  SHARED_GRANULE_BYTES);
	return least(blocks, SIM_SM_SHARED_BYTES / shared);
}

/* ---- entry points ---- */

/* A CUfunction or a CUkernel, which may be asked about without being loaded anywhere. */
static CUresult get(CUfunction handle, const struct sim_function **function)
{
	struct sim_context *ctx;
	CUresult res = sim_need_context(&ctx);

	if (res != CUDA_SUCCESS)
		return res;
	if (!sim_object_check(handle, SIM_T_FUNCTION))
		return CUDA_ERROR_INVALID_HANDLE;
	*function = (const struct sim_function *)handle;
	return CUDA_SUCCESS;
}

static CUresult max_active_blocks(int *blocks, CUfunction func, int block_size,
				  size_t dynamic_bytes, unsigned flags)
{
	const struct sim_function *function;
	CUresult res;

	if (blocks == NULL || block_size <= 0 ||
	    (flags & ~(unsigned)CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE) != 0)
		return CUDA_ERROR_INVALID_VALUE;
	res = get(func, &function);
	if (res == CUDA_SUCCESS)
		*blocks = (int)sim_occupancy(function, (unsigned)block_size,
					     dynamic_bytes);
	return res;
}

SIM_EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *numBlocks,
								CUfunction func,
								int blockSize,
								size_t dynamicSMemSize)
{
	CUresult res = sim_enter(SIM_FN_cuOccupancyMaxActiveBlocksPerMultiprocessor);

	return res ? res
		   : max_active_blocks(numBlocks, func, blockSize, dynamicSMemSize, 0);
}

SIM_EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
	int *numBlocks, CUfunction func, int blockSize, size_t dynamicSMemSize,
	unsigned int flags)
{
	CUresult res = sim_enter(
		SIM_FN_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags);

	return res ? res
		   : max_active_blocks(numBlocks, func, blockSize, dynamicSMemSize,
				       flags);
}

/* Tries every multiple of a warp from the largest down: the fewest blocks that fill the SM
 * as far as it can be. */
static CUresult max_potential(int *min_grid, int *block_size, CUfunction func,
			      CUoccupancyB2DSize to_dynamic, size_t dynamic_bytes,
			      int limit, unsigned flags)
{
	const struct sim_function *function;
	unsigned best_threads = 0, best_size = 0, best_blocks = 0, size;
	CUresult res;

	if (min_grid == NULL || block_size == NULL || limit < 0 ||
	    (flags & ~(unsigned)CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE) != 0)
		return CUDA_ERROR_INVALID_VALUE;
	res = get(func, &function);
	if (res != CUDA_SUCCESS)
		return res;
	size = function->max_threads;
	if (limit != 0)
		size = least(size, (unsigned)limit);
	/* A limit that is no multiple of a warp is tried itself first. */
	for (; size > 0; size = (size - 1) / SIM_WARP_THREADS * SIM_WARP_THREADS) {
		size_t dynamic = to_dynamic ? to_dynamic((int)size) : dynamic_bytes;
		unsigned blocks = sim_occupancy(function, size, dynamic);

		if (blocks * size > best_threads) {
			best_threads = blocks * size;
			best_size = size;
			best_blocks = blocks;
		}
	}
	*block_size = (int)best_size;
	*min_grid = (int)(best_blocks * sim.hello.sm_count);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult
cuOccupancyMaxPotentialBlockSize(int *minGridSize, int *blockSize, CUfunction func,
				 CUoccupancyB2DSize blockSizeToDynamicSMemSize,
				 size_t dynamicSMemSize, int blockSizeLimit)
{
	CUresult res = sim_enter(SIM_FN_cuOccupancyMaxPotentialBlockSize);

	return res ? res
		   : max_potential(minGridSize, blockSize, func,
				   blockSizeToDynamicSMemSize, dynamicSMemSize,
				   blockSizeLimit, 0);
}

SIM_EXPORT CUresult cuOccupancyMaxPotentialBlockSizeWithFlags(
	int *minGridSize, int *blockSize, CUfunction func,
	CUoccupancyB2DSize blockSizeToDynamicSMemSize, size_t dynamicSMemSize,
	int blockSizeLimit, unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuOccupancyMaxPotentialBlockSizeWithFlags);

	return res ? res
		   : max_potential(minGridSize, blockSize, func,
				   blockSizeToDynamicSMemSize, dynamicSMemSize,
				   blockSizeLimit, flags);
}

SIM_EXPORT CUresult cuOccupancyAvailableDynamicSMemPerBlock(size_t *dynamicSmemSize,
							    CUfunction func,
							    int numBlocks, int blockSize)
{
	CUresult res = sim_enter(SIM_FN_cuOccupancyAvailableDynamicSMemPerBlock);
	const struct sim_function *function;
	unsigned share, needed;

	if (res != CUDA_SUCCESS)
		return res;
	if (dynamicSmemSize == NULL || numBlocks <= 0 || blockSize <= 0)
		return CUDA_ERROR_INVALID_VALUE;
	res = get(func, &function);
	if (res != CUDA_SUCCESS)
		return res;
	if ((unsigned)numBlocks > sim_occupancy(function, (unsigned)blockSize, 0))
		return CUDA_ERROR_INVALID_VALUE;
	share = SIM_SM_SHARED_BYTES / (unsigned)numBlocks / SHARED_GRANULE_BYTES *
		SHARED_GRANULE_BYTES;
	needed = function->static_shared_bytes + SIM_BLOCK_RESERVED_SHARED_BYTES;
	*dynamicSmemSize = least(share - needed, SIM_BLOCK_SHARED_OPTIN_BYTES -
							 function->static_shared_bytes);
	return CUDA_SUCCESS;
}

/* ---- clusters ---- */

static unsigned largest_cluster(const struct sim_function *function)
{
	return sim_function_setting(
		       function, CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED) > 0
		       ? SIM_CLUSTER_BLOCKS_NON_PORTABLE
		       : SIM_CLUSTER_BLOCKS;
}

static unsigned blocks_per_sm(const struct sim_function *function,
			      const CUlaunchConfig *config)
{
	uint64_t threads = (uint64_t)config->blockDimX * config->blockDimY *
			   config->blockDimZ;

	return sim_occupancy(function, threads > UINT_MAX ? UINT_MAX : (unsigned)threads,
			     config->sharedMemBytes);
}

SIM_EXPORT CUresult cuOccupancyMaxPotentialClusterSize(int *clusterSize, CUfunction func,
						       const CUlaunchConfig *config)
{
	CUresult res = sim_enter(SIM_FN_cuOccupancyMaxPotentialClusterSize);
	const struct sim_function *function;
	unsigned required[3], size;

	if (res == CUDA_SUCCESS)
		res = clusterSize && config ? get(func, &function)
					    : CUDA_ERROR_INVALID_VALUE;
	if (res != CUDA_SUCCESS)
		return res;
	size = largest_cluster(function);
	if (sim_launch_required_cluster(function, required))
		size = required[0] * required[1] * required[2];
	*clusterSize = blocks_per_sm(function, config) != 0 ? (int)size : 0;
	return CUDA_SUCCESS;
}

/* Blocks of a cluster run on the SMs of one group; here all SMs are one. */
SIM_EXPORT CUresult cuOccupancyMaxActiveClusters(int *numClusters, CUfunction func,
						 const CUlaunchConfig *config)
{
	CUresult res = sim_enter(SIM_FN_cuOccupancyMaxActiveClusters);
	const struct sim_function *function;
	unsigned cluster[3], size;

	if (res == CUDA_SUCCESS)
		res = numClusters && config ? get(func, &function)
					    : CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		res = sim_launch_cluster(function, config, cluster);
	if (res != CUDA_SUCCESS)
		return res;
	size = cluster[0] * cluster[1] * cluster[2];
	if (size == 0)
		return CUDA_ERROR_INVALID_CLUSTER_SIZE;
	*numClusters = (int)(blocks_per_sm(function, config) * sim.hello.sm_count / size);
	return CUDA_SUCCESS;
}
