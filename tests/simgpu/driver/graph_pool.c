/*
 * graph_pool.c - the device memory that is kept for graphs, per device, and its figures.
 *
 * Knows: blocks of memory that are mapped behind a graph's addresses or wait for the next
 * graph; idle graphs lose theirs to others, so that graphs that do not run together share
 * memory (CUDA C++ Programming Guide, "Graph Memory Nodes"). Nothing goes back to the
 * device but by cuDeviceGraphMemTrim(), or when a new block would not fit.
 */
#include "driver/graph_memory.h"

#include <stdlib.h>

#include "driver/zero.h"

struct block {
	uint64_t handle, bytes;
	struct block *next;
};

static struct {
	struct block *unused;
	uint64_t used, used_high; /* bytes mapped for a graph */
	uint64_t reserved, reserved_high;
} pools[SIM_MAX_LOCAL_DEVICES];

static struct sim_memory_region *regions;

/* ---- regions ---- */

struct sim_memory_region *sim_memory_region_new(void)
{
	struct sim_memory_region *region = calloc(1, sizeof(*region));

	if (!region)
		return NULL;
	region->refs = 1;
	region->next = regions;
	regions = region;
	return region;
}

void sim_memory_mark(struct sim_memory_region *region, const struct sim_mark *mark)
{
	struct sim_mark *grown;
	size_t kept = 0;

	if (mark->seq == 0)
		return;
	for (size_t i = 0; i < region->nmarks; i++)
		if (region->marks[i].slot != mark->slot &&
		    !sim_mark_done(&region->marks[i]))
			region->marks[kept++] = region->marks[i];
	region->nmarks = kept;
	if (sim_mark_done(mark))
		return;
	grown = realloc(region->marks, (kept + 1) * sizeof(*grown));
	if (!grown)
		return;
	region->marks = grown;
	region->marks[region->nmarks++] = *mark;
}

bool sim_memory_idle(struct sim_memory_region *region)
{
	for (size_t i = 0; i < region->nmarks; i++)
		if (!sim_mark_done(&region->marks[i]))
			return false;
	return !region->allocated && !region->busy;
}

/* ---- blocks ---- */

static CUresult create(unsigned device, uint64_t bytes, uint64_t *handle)
{
	const uint64_t a[6] = { device, bytes, 0, SIM_MEM_GRAPH };
	uint64_t v[6];
	CUresult res;

	if (sim.zero_cost) {
		*handle = 1;
		return sim_zero_charge(device, bytes) ? CUDA_SUCCESS
						      : CUDA_ERROR_OUT_OF_MEMORY;
	}
	res = sim_rpc(SIM_RPC_PHYS_CREATE, a, v, -1, NULL);
	*handle = v[0];
	return res;
}

static void destroy(unsigned device, uint64_t bytes, uint64_t handle)
{
	const uint64_t a[6] = { handle };

	if (sim.zero_cost)
		sim_zero_refund(device, bytes);
	else
		sim_rpc(SIM_RPC_PHYS_RELEASE, a, NULL, -1, NULL);
	pools[device].reserved -= bytes;
}

static CUresult map(struct sim_memory_chunk *chunk, uint64_t handle)
{
	const uint64_t a[6] = { chunk->addr, chunk->bytes, 0, handle };
	const uint64_t access[6] = { chunk->addr, chunk->bytes, 3 };
	CUresult res = CUDA_SUCCESS;

	if (!sim.zero_cost) {
		res = sim_rpc(SIM_RPC_MAP, a, NULL, -1, NULL);
		if (res == CUDA_SUCCESS)
			res = sim_rpc(SIM_RPC_ACCESS, access, NULL, -1, NULL);
	}
	if (res != CUDA_SUCCESS)
		return res;
	chunk->handle = handle;
	pools[chunk->device].used += chunk->bytes;
	if (pools[chunk->device].used > pools[chunk->device].used_high)
		pools[chunk->device].used_high = pools[chunk->device].used;
	return CUDA_SUCCESS;
}

/* Returns the handle of the memory that was there. */
static uint64_t unmap(struct sim_memory_chunk *chunk)
{
	const uint64_t a[6] = { chunk->addr, chunk->bytes };
	const uint64_t handle = chunk->handle;

	if (!sim.zero_cost)
		sim_rpc(SIM_RPC_UNMAP, a, NULL, -1, NULL);
	pools[chunk->device].used -= chunk->bytes;
	chunk->handle = 0;
	return handle;
}

/* Keeps a block for the next graph. */
static void keep(unsigned device, uint64_t bytes, uint64_t handle)
{
	struct block *block = malloc(sizeof(*block));

	if (!block) {
		destroy(device, bytes, handle);
		return;
	}
	*block = (struct block){ handle, bytes, pools[device].unused };
	pools[device].unused = block;
}

/* A kept block of that size, or 0. */
static uint64_t take_kept(unsigned device, uint64_t bytes)
{
	for (struct block **at = &pools[device].unused; *at; at = &(*at)->next)
		if ((*at)->bytes == bytes) {
			struct block *block = *at;
			uint64_t handle = block->handle;

			*at = block->next;
			free(block);
			return handle;
		}
	return 0;
}

/* The block of an idle graph, or 0. */
static uint64_t take_idle(unsigned device, uint64_t bytes)
{
	for (struct sim_memory_region *region = regions; region; region = region->next) {
		if (!sim_memory_idle(region))
			continue;
		for (struct sim_memory_chunk *chunk = region->chunks; chunk;
		     chunk = chunk->next)
			if (chunk->handle && chunk->device == device &&
			    chunk->bytes == bytes)
				return unmap(chunk);
	}
	return 0;
}

/* Gives everything back to the device that no work uses. */
static void trim(unsigned device)
{
	for (struct sim_memory_region *region = regions; region; region = region->next) {
		if (!sim_memory_idle(region))
			continue;
		for (struct sim_memory_chunk *chunk = region->chunks; chunk;
		     chunk = chunk->next)
			if (chunk->handle && chunk->device == device)
				destroy(device, chunk->bytes, unmap(chunk));
	}
	while (pools[device].unused) {
		struct block *block = pools[device].unused;

		pools[device].unused = block->next;
		destroy(device, block->bytes, block->handle);
		free(block);
	}
}

CUresult sim_memory_back(struct sim_memory_chunk *chunk)
{
	const unsigned device = chunk->device;
	CUresult res = CUDA_SUCCESS;
	uint64_t handle;

	if (chunk->handle)
		return res;
	handle = take_kept(device, chunk->bytes);
	if (!handle)
		handle = take_idle(device, chunk->bytes);
	if (!handle) {
		res = create(device, chunk->bytes, &handle);
		if (res == CUDA_ERROR_OUT_OF_MEMORY) {
			trim(device);
			res = create(device, chunk->bytes, &handle);
		}
		if (res != CUDA_SUCCESS)
			return res;
		pools[device].reserved += chunk->bytes;
		if (pools[device].reserved > pools[device].reserved_high)
			pools[device].reserved_high = pools[device].reserved;
	}
	res = map(chunk, handle);
	if (res != CUDA_SUCCESS)
		keep(device, chunk->bytes, handle);
	return res;
}

void sim_memory_forget(struct sim_memory_region *region)
{
	struct sim_memory_region **at = &regions;

	while (*at != region)
		at = &(*at)->next;
	*at = region->next;
	for (struct sim_memory_chunk *chunk = region->chunks; chunk; chunk = chunk->next)
		if (chunk->handle)
			keep(chunk->device, chunk->bytes, unmap(chunk));
}

/* ---- entry points ---- */

static CUresult check_device(CUdevice device)
{
	return device >= 0 && (unsigned)device < sim.hello.devices
		       ? CUDA_SUCCESS
		       : CUDA_ERROR_INVALID_DEVICE;
}

SIM_EXPORT CUresult cuDeviceGraphMemTrim(CUdevice device)
{
	CUresult res = sim_enter(SIM_FN_cuDeviceGraphMemTrim);

	if (res == CUDA_SUCCESS)
		res = check_device(device);
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_memory_lock);
	trim((unsigned)device);
	pthread_mutex_unlock(&sim_memory_lock);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceGetGraphMemAttribute(CUdevice device,
						 CUgraphMem_attribute attr, void *value)
{
	CUresult res = sim_enter(SIM_FN_cuDeviceGetGraphMemAttribute);
	cuuint64_t *out = value;

	if (res == CUDA_SUCCESS)
		res = check_device(device);
	if (res == CUDA_SUCCESS &&
	    (!value || (unsigned)attr > CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH))
		res = CUDA_ERROR_INVALID_VALUE;
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_memory_lock);
	switch (attr) {
	case CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT:
		*out = pools[device].used;
		break;
	case CU_GRAPH_MEM_ATTR_USED_MEM_HIGH:
		*out = pools[device].used_high;
		break;
	case CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT:
		*out = pools[device].reserved;
		break;
	default:
		*out = pools[device].reserved_high;
		break;
	}
	pthread_mutex_unlock(&sim_memory_lock);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceSetGraphMemAttribute(CUdevice device,
						 CUgraphMem_attribute attr, void *value)
{
	CUresult res = sim_enter(SIM_FN_cuDeviceSetGraphMemAttribute);

	if (res == CUDA_SUCCESS)
		res = check_device(device);
	/* Only the high water marks can be set, and only to zero. */
	if (res == CUDA_SUCCESS && (!value || *(const cuuint64_t *)value != 0 ||
				    (attr != CU_GRAPH_MEM_ATTR_USED_MEM_HIGH &&
				     attr != CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH)))
		res = CUDA_ERROR_INVALID_VALUE;
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_memory_lock);
	if (attr == CU_GRAPH_MEM_ATTR_USED_MEM_HIGH)
		pools[device].used_high = pools[device].used;
	else
		pools[device].reserved_high = pools[device].reserved;
	pthread_mutex_unlock(&sim_memory_lock);
	return CUDA_SUCCESS;
}
