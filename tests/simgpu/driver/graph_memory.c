/*
 * graph_memory.c - memory that graphs allocate: addresses fixed with the node, memory
 * behind them from the first upload or launch on.
 *
 * Knows: where allocations of a graph lie, which of them exist at the moment (in the order
 * of launches), and who may free them. Refuses to know: where the memory comes from and how
 * much is kept (graph_pool.c).
 *
 * A graph's allocations lie in regions of its own. An allocation takes the place of another
 * that was freed in the same graph before it, if it fits. A piece is one allocation node's
 * memory; while it is allocated it holds a reference to itself, so that it outlives the
 * graph and everything made of it.
 */
#include "driver/graph_memory.h"

#include <stdlib.h>

#include "driver/ranges.h"
#include "driver/zero.h"

#define ALIGN_BYTES 512u

pthread_mutex_t sim_memory_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- regions ---- */

static uint64_t round_up(uint64_t bytes, uint64_t step)
{
	return (bytes + step - 1) / step * step;
}

static uint64_t granule_bytes(void)
{
	const uint64_t page = 2u << 20, granule = sim.hello.pool_granule_bytes;

	return granule ? round_up(granule, page) : page;
}

static CUresult reserve(uint64_t bytes, uint64_t *addr)
{
	const uint64_t a[6] = { bytes, 2u << 20 };
	uint64_t v[6];
	CUresult res;

	if (sim.zero_cost) {
		*addr = sim_zero_alloc_run(-1, bytes, 2u << 20);
		return *addr ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
	}
	res = sim_rpc(SIM_RPC_VA_RESERVE, a, v, -1, NULL);
	*addr = v[0];
	return res;
}

static void unreserve(uint64_t addr, uint64_t bytes)
{
	const uint64_t a[6] = { addr, bytes };

	if (sim.zero_cost)
		sim_zero_free_run(addr);
	else
		sim_rpc(SIM_RPC_VA_FREE, a, NULL, -1, NULL);
}

/* Room for an allocation: in a chunk that has some, else in a new one. */
static CUresult find_chunk(struct sim_memory_region *region, unsigned device,
			   uint64_t bytes, struct sim_memory_chunk **out)
{
	struct sim_memory_chunk *chunk;
	CUresult res;

	for (chunk = region->chunks; chunk; chunk = chunk->next)
		if (chunk->device == device && chunk->bytes - chunk->taken >= bytes)
			break;
	*out = chunk;
	if (chunk)
		return CUDA_SUCCESS;
	chunk = calloc(1, sizeof(*chunk));
	if (!chunk)
		return CUDA_ERROR_OUT_OF_MEMORY;
	chunk->device = device;
	chunk->bytes = round_up(bytes, granule_bytes());
	res = reserve(chunk->bytes, &chunk->addr);
	if (res != CUDA_SUCCESS) {
		free(chunk);
		return res;
	}
	chunk->next = region->chunks;
	region->chunks = chunk;
	*out = chunk;
	return CUDA_SUCCESS;
}

static CUresult new_slot(struct sim_memory_region *region, unsigned device,
			 uint64_t bytes, struct sim_memory_slot **out)
{
	struct sim_alloc alloc = { .bytes = bytes,
				   .origin = SIM_FROM_GRAPH,
				   .kind = SIM_MEM_GRAPH,
				   .device = device };
	struct sim_memory_slot *slot = calloc(1, sizeof(*slot));
	CUresult res = slot ? find_chunk(region, device, round_up(bytes, ALIGN_BYTES),
					 &slot->chunk)
			    : CUDA_ERROR_OUT_OF_MEMORY;

	if (res == CUDA_SUCCESS) {
		alloc.base = slot->chunk->addr + slot->chunk->taken;
		alloc.owner = slot;
		if (sim_ranges_add(&alloc) != 0)
			res = CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (res != CUDA_SUCCESS) {
		free(slot);
		return res;
	}
	slot->addr = alloc.base;
	slot->bytes = bytes;
	slot->chunk->taken += round_up(bytes, ALIGN_BYTES);
	slot->next = region->slots;
	region->slots = slot;
	*out = slot;
	return CUDA_SUCCESS;
}

/* A place whose last allocation is freed by a node that comes before the new one. */
static struct sim_memory_slot *reusable_slot(struct sim_memory_region *region,
					     unsigned device, uint64_t bytes,
					     uint64_t mark)
{
	for (struct sim_memory_slot *slot = region->slots; slot; slot = slot->next)
		if (slot->chunk->device == device && slot->bytes >= bytes &&
		    slot->current && slot->current->freed_by &&
		    slot->current->freed_by->mark == mark)
			return slot;
	return NULL;
}

static bool region_ready(void *arg)
{
	bool ready;

	pthread_mutex_lock(&sim_memory_lock);
	ready = sim_memory_idle(arg);
	pthread_mutex_unlock(&sim_memory_lock);
	return ready;
}

static void region_free(void *arg)
{
	struct sim_memory_region *region = arg;

	pthread_mutex_lock(&sim_memory_lock);
	sim_memory_forget(region);
	while (region->slots) {
		struct sim_memory_slot *slot = region->slots;

		region->slots = slot->next;
		sim_ranges_remove(slot->addr, SIM_FROM_GRAPH, NULL);
		free(slot);
	}
	while (region->chunks) {
		struct sim_memory_chunk *chunk = region->chunks;

		region->chunks = chunk->next;
		unreserve(chunk->addr, chunk->bytes);
		free(chunk);
	}
	pthread_mutex_unlock(&sim_memory_lock);
	free(region->marks);
	free(region);
}

/* Under sim_memory_lock. The last reference frees it once its work is done. */
static void region_unref(struct sim_memory_region *region)
{
	if (--region->refs == 0)
		sim_later(region_ready, region_free, region);
}

void sim_memory_region_unref(struct sim_memory_region *region)
{
	if (!region)
		return;
	pthread_mutex_lock(&sim_memory_lock);
	region_unref(region);
	pthread_mutex_unlock(&sim_memory_lock);
}

/* ---- pieces ---- */

static void piece_unref(struct sim_memory_piece *piece)
{
	if (--piece->refs > 0)
		return;
	if (piece->slot->current == piece)
		piece->slot->current = NULL;
	region_unref(piece->region);
	free(piece);
}

void sim_memory_piece_ref(struct sim_memory_piece *piece)
{
	pthread_mutex_lock(&sim_memory_lock);
	piece->refs++;
	pthread_mutex_unlock(&sim_memory_lock);
}

void sim_memory_piece_unref(struct sim_memory_piece *piece)
{
	if (!piece)
		return;
	pthread_mutex_lock(&sim_memory_lock);
	piece_unref(piece);
	pthread_mutex_unlock(&sim_memory_lock);
}

void sim_memory_set_allocated(struct sim_memory_piece *piece, bool allocated)
{
	if (piece->allocated == allocated)
		return;
	piece->allocated = allocated;
	if (allocated) {
		piece->refs++;
		piece->region->allocated++;
	} else {
		piece->region->allocated--;
		piece_unref(piece);
	}
}

static CUresult piece_new(struct sim_graph *graph, unsigned device, uint64_t bytes,
			  uint64_t mark, struct sim_memory_piece **out)
{
	struct sim_memory_region *region = graph->memory;
	struct sim_memory_piece *piece = calloc(1, sizeof(*piece));
	CUresult res = CUDA_SUCCESS;

	if (!region) {
		region = sim_memory_region_new();
		graph->memory = region;
	}
	if (!piece || !region) {
		free(piece);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	piece->slot = reusable_slot(region, device, bytes, mark);
	if (!piece->slot)
		res = new_slot(region, device, bytes, &piece->slot);
	if (res != CUDA_SUCCESS) {
		free(piece);
		return res;
	}
	piece->refs = 1;
	piece->region = region;
	region->refs++;
	piece->graph = graph->id;
	piece->slot->current = piece;
	*out = piece;
	return CUDA_SUCCESS;
}

CUresult sim_memory_piece_new(struct sim_graph *graph, unsigned device, uint64_t bytes,
			      const CUgraphNode *deps, size_t ndeps,
			      struct sim_memory_piece **piece, CUdeviceptr *addr)
{
	const uint64_t mark = sim_mark_ancestors(deps, ndeps);
	CUresult res;

	if (bytes > sim.hello.memory_bytes)
		return CUDA_ERROR_OUT_OF_MEMORY;
	pthread_mutex_lock(&sim_memory_lock);
	res = piece_new(graph, device, bytes, mark, piece);
	pthread_mutex_unlock(&sim_memory_lock);
	if (res == CUDA_SUCCESS)
		*addr = (*piece)->slot->addr;
	return res;
}

/* Under the lock: the last piece at an address, or NULL. */
static struct sim_memory_piece *find_piece(CUdeviceptr addr)
{
	struct sim_alloc alloc;

	if (!sim_ranges_find(addr, &alloc) || alloc.origin != SIM_FROM_GRAPH ||
	    alloc.base != addr)
		return NULL;
	return ((struct sim_memory_slot *)alloc.owner)->current;
}

CUresult sim_memory_piece_free_node(struct sim_graph *graph, CUdeviceptr addr,
				    struct sim_memory_piece **out)
{
	CUresult res = CUDA_ERROR_INVALID_VALUE;
	struct sim_memory_piece *piece;

	pthread_mutex_lock(&sim_memory_lock);
	piece = find_piece(addr);
	if (piece && !piece->freed_by &&
	    (piece->graph != graph->id || !piece->freed_elsewhere)) {
		piece->refs++;
		*out = piece;
		res = CUDA_SUCCESS;
	}
	pthread_mutex_unlock(&sim_memory_lock);
	return res;
}

void sim_memory_piece_allocated_by(struct sim_memory_piece *piece, struct sim_node *node)
{
	piece->node = node;
}

void sim_memory_piece_freed_by(struct sim_memory_piece *piece, struct sim_node *node)
{
	pthread_mutex_lock(&sim_memory_lock);
	if (piece->graph == node->graph->id)
		piece->freed_by = node;
	else
		piece->freed_elsewhere = true;
	pthread_mutex_unlock(&sim_memory_lock);
}

bool sim_memory_free_is_ordered(struct sim_node *node)
{
	const struct sim_memory_piece *piece = node->params.release.piece;
	CUgraphNode handle = (CUgraphNode)node;
	uint64_t mark;

	if (piece->graph != node->graph->id)
		return true;
	mark = sim_mark_ancestors(&handle, 1);
	return piece->node->mark == mark;
}

bool sim_graph_memory_free_async(CUdeviceptr addr, const struct sim_stream *stream)
{
	struct sim_memory_piece *piece;
	bool ours;

	pthread_mutex_lock(&sim_memory_lock);
	piece = find_piece(addr);
	ours = piece && piece->allocated;
	if (ours && stream && !sim.zero_cost) {
		const struct sim_mark mark = { stream->slot,
					       __atomic_load_n(&stream->submitted,
							       __ATOMIC_RELAXED) };

		sim_memory_mark(piece->region, &mark);
	}
	if (ours)
		sim_memory_set_allocated(piece, false);
	pthread_mutex_unlock(&sim_memory_lock);
	return ours;
}

bool sim_graph_memory_free(CUdeviceptr addr)
{
	return sim_graph_memory_free_async(addr, NULL);
}
