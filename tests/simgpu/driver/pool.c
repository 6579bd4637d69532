/*
 * pool.c - stream-ordered allocation: blocks, chunks, and when chunks go back.
 *
 * Knows: the allocator. Refuses to know: streams, captures and the calls (pool_async.c,
 * pool_calls.c).
 *
 * Placement is first fit in the chunks of the pool, newest last. Event dependencies between
 * streams are not followed and none are inserted: a block that another stream freed is used
 * again once that free is done, whatever the reuse attributes permit beyond that.
 */
#include "driver/pool.h"

#include <stdlib.h>

#include "driver/client.h"
#include "driver/memory.h"

#define SMALLEST_CHUNK_BYTES (2ull << 20)

pthread_mutex_t sim_pool_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sim_pool *pools; /* all; under the lock */
static struct sim_pool *defaults[SIM_MAX_LOCAL_DEVICES];
static struct sim_pool *current[SIM_MAX_LOCAL_DEVICES];
static _Atomic unsigned pool_count; /* nothing to do at a synchronisation while it is 0 */

static uint64_t round_up(uint64_t bytes, uint64_t step)
{
	return (bytes + step - 1) / step * step;
}

/* ---- blocks ---- */

/* Whether the work that used the block is done. */
static bool is_settled(struct sim_pool_block *block)
{
	if (block->seq != 0 && sim_slot_done(block->slot, block->seq))
		block->seq = 0;
	return block->seq == 0;
}

static bool is_usable(struct sim_pool_block *block, const struct sim_stream *stream)
{
	return !block->used && (is_settled(block) || block->slot == stream->slot);
}

/* Joins the block with its successor if the same work holds both back. For a stream (NULL:
 * for all) blocks that it may use are equal, whatever holds others back. */
static bool join(struct sim_pool_block *block, const struct sim_stream *stream)
{
	struct sim_pool_block *next = block->next;

	if (block->used || !next || next->used)
		return false;
	if (!is_settled(block) || !is_settled(next)) {
		if (stream ? !is_usable(block, stream) || !is_usable(next, stream)
			   : block->seq == 0 || next->seq == 0 ||
				     block->slot != next->slot)
			return false;
		if (next->seq > block->seq) {
			block->slot = next->slot;
			block->seq = next->seq;
		}
	}
	block->bytes += next->bytes;
	block->next = next->next;
	if (next->next)
		next->next->prev = block;
	free(next);
	return true;
}

/* Cuts what is not needed off a free block. Without memory the block stays whole. */
static void split(struct sim_pool_block *block, uint64_t bytes)
{
	struct sim_pool_block *rest;

	if (block->bytes == bytes)
		return;
	rest = malloc(sizeof(*rest));
	if (!rest)
		return;
	*rest = *block;
	rest->addr += bytes;
	rest->bytes -= bytes;
	rest->prev = block;
	if (rest->next)
		rest->next->prev = rest;
	block->next = rest;
	block->bytes = bytes;
}

/* The first block that will do; with `join_all` what only this stream may use is joined too,
 * which other streams then wait for. */
static struct sim_pool_block *find_block(struct sim_pool *pool, uint64_t bytes,
					 const struct sim_stream *stream, bool join_all)
{
	for (struct sim_pool_chunk *chunk = pool->chunks; chunk; chunk = chunk->next) {
		if (chunk->bytes - chunk->used_bytes < bytes)
			continue;
		for (struct sim_pool_block *b = chunk->first; b; b = b->next) {
			while (join(b, join_all ? stream : NULL))
				;
			if (b->bytes >= bytes && is_usable(b, stream))
				return b;
		}
	}
	return NULL;
}

/* ---- chunks ---- */

static struct sim_pool_block *add_chunk(struct sim_pool *pool, uint64_t bytes)
{
	struct sim_pool_chunk *chunk = calloc(1, sizeof(*chunk)), **at = &pool->chunks;
	struct sim_pool_block *block = calloc(1, sizeof(*block));
	uint64_t reserved;

	if (!chunk || !block ||
	    (pool->max_bytes && bytes > pool->max_bytes - pool->reserved) ||
	    sim_raw_alloc(NULL, pool->device, bytes, sim_pool_kind(pool),
			  SIM_POOL_UNIT_BYTES, &chunk->addr, &reserved) != CUDA_SUCCESS) {
		free(chunk);
		free(block);
		return NULL;
	}
	chunk->bytes = block->bytes = bytes;
	block->addr = chunk->addr;
	block->chunk = chunk;
	chunk->first = block;
	chunk->pool = pool;
	while (*at)
		at = &(*at)->next;
	*at = chunk;
	pool->reserved += bytes;
	if (pool->reserved > pool->reserved_high)
		pool->reserved_high = pool->reserved;
	return block;
}

/* Nothing of it is used, and all work on it is done. */
static bool is_empty(struct sim_pool_chunk *chunk)
{
	if (chunk->used_bytes > 0)
		return false;
	for (struct sim_pool_block *b = chunk->first; b; b = b->next)
		if (!is_settled(b))
			return false;
	return true;
}

static void drop_chunk(struct sim_pool_chunk **at)
{
	struct sim_pool_chunk *chunk = *at;

	*at = chunk->next;
	chunk->pool->reserved -= chunk->bytes;
	if (chunk->id)
		sim_rpc(SIM_RPC_IPC_CLOSE, (uint64_t[6]){ chunk->addr }, NULL, -1, NULL);
	else
		sim_raw_free(chunk->addr, chunk->bytes, sim_pool_kind(chunk->pool));
	while (chunk->first) {
		struct sim_pool_block *next = chunk->first->next;

		free(chunk->first);
		chunk->first = next;
	}
	free(chunk);
}

void sim_pool_trim(struct sim_pool *pool, uint64_t keep_bytes)
{
	struct sim_pool_chunk **at = &pool->chunks;

	if (sim_pool_keeps_all(pool))
		return;
	while (*at && pool->reserved > keep_bytes) {
		if (pool->reserved - (*at)->bytes >= keep_bytes && is_empty(*at))
			drop_chunk(at);
		else
			at = &(*at)->next;
	}
}

/* What a synchronisation does: the threshold is what may stay, not what must. */
static void release_above(struct sim_pool *pool, uint64_t threshold)
{
	struct sim_pool_chunk **at = &pool->chunks;

	while (*at && pool->reserved > threshold) {
		if (is_empty(*at))
			drop_chunk(at);
		else
			at = &(*at)->next;
	}
}

/* ---- pools ---- */

struct sim_pool *sim_pool_new(const CUmemPoolProps *props)
{
	struct sim_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->handle = sim_object_new(SIM_T_POOL, sizeof(*pool->handle));
	if (!pool->handle) {
		free(pool);
		return NULL;
	}
	pool->handle->pool = pool;
	pool->props = *props;
	pool->max_bytes = props->maxSize;
	if (sim_pool_kind(pool) == SIM_MEM_POOL) {
		pool->device = (unsigned)props->location.id;
		pool->access[pool->device] = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
	}
	for (int i = 1; i < 4; i++)
		pool->reuse[i] = 1;
	pool->next = pools;
	pools = pool;
	atomic_fetch_add(&pool_count, 1);
	return pool;
}

CUresult sim_pool_get(CUmemoryPool handle, struct sim_pool **pool)
{
	if (!sim_object_check(handle, SIM_T_POOL))
		return CUDA_ERROR_INVALID_VALUE;
	*pool = ((struct sim_pool_handle *)handle)->pool;
	return CUDA_SUCCESS;
}

struct sim_pool *sim_pool_default(unsigned device)
{
	CUmemPoolProps props = {
		.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = (int)device },
	};

	if (!defaults[device]) {
		defaults[device] = sim_pool_new(&props);
		if (defaults[device])
			defaults[device]->is_default = true;
	}
	return defaults[device];
}

struct sim_pool *sim_pool_current(unsigned device)
{
	return current[device] ? current[device] : sim_pool_default(device);
}

void sim_pool_set_current(unsigned device, struct sim_pool *pool)
{
	current[device] = pool;
}

/* Frees a destroyed pool once nothing of it is left. False if it stays. */
static bool settle(struct sim_pool *pool)
{
	struct sim_pool **at = &pools;

	if (pool->handle || pool->allocations > 0)
		return false;
	release_above(pool, 0);
	if (pool->chunks)
		return false;
	while (*at != pool)
		at = &(*at)->next;
	*at = pool->next;
	free(pool);
	atomic_fetch_sub(&pool_count, 1);
	return true;
}

void sim_pool_destroy(struct sim_pool *pool)
{
	if (current[pool->device] == pool)
		current[pool->device] = NULL;
	sim_object_delete(pool->handle);
	pool->handle = NULL;
	settle(pool);
}

static void synchronised(struct sim_context *ctx)
{
	struct sim_pool *next;

	(void)ctx; /* pools of other devices may have been used by its streams */
	if (atomic_load_explicit(&pool_count, memory_order_relaxed) == 0)
		return;
	pthread_mutex_lock(&sim_pool_lock);
	for (struct sim_pool *pool = pools; pool; pool = next) {
		next = pool->next;
		if (!settle(pool) && !sim_pool_keeps_all(pool))
			release_above(pool, pool->threshold);
	}
	pthread_mutex_unlock(&sim_pool_lock);
}

static __attribute__((constructor)) void watch_synchronisation(void)
{
	sim_context_on_sync(synchronised);
}

/* ---- allocation ---- */

/* More memory for the pool: a granule, else as little as will do. */
static struct sim_pool_block *grow(struct sim_pool *pool, uint64_t bytes)
{
	uint64_t granule = sim.hello.pool_granule_bytes;
	uint64_t least = round_up(bytes, SMALLEST_CHUNK_BYTES);
	uint64_t much = granule ? round_up(bytes, granule) : least;
	struct sim_pool_block *block;

	if (pool->max_bytes && pool->reserved > pool->max_bytes)
		return NULL;
	block = add_chunk(pool, much);
	if (block)
		return block;
	if (much > least) {
		block = add_chunk(pool, least);
		if (block)
			return block;
	}
	/* What other pools of this process keep for later counts for less than this. */
	for (struct sim_pool *other = pools; other; other = other->next)
		if (other->device == pool->device && !sim_pool_keeps_all(other))
			release_above(other, 0);
	return add_chunk(pool, least);
}

CUresult sim_pool_alloc(struct sim_pool *pool, uint64_t bytes,
			const struct sim_stream *stream, CUdeviceptr *addr)
{
	uint64_t need = round_up(bytes, SIM_POOL_UNIT_BYTES);
	struct sim_pool_block *block;
	struct sim_alloc range;

	if (bytes > UINT64_MAX / 4)
		return CUDA_ERROR_OUT_OF_MEMORY;
	block = find_block(pool, need, stream, false);
	if (!block)
		block = find_block(pool, need, stream, true);
	if (!block)
		block = grow(pool, need);
	if (!block)
		return CUDA_ERROR_OUT_OF_MEMORY;
	range = (struct sim_alloc){
		.base = block->addr,
		.bytes = bytes,
		.origin = SIM_FROM_POOL,
		.kind = sim_pool_kind(pool),
		.device = pool->device,
		.handle_types = (unsigned)pool->props.handleTypes,
		.pool = (uintptr_t)pool->handle,
		.owner = block,
	};
	if (sim_ranges_add(&range) != 0)
		return CUDA_ERROR_OUT_OF_MEMORY;
	split(block, need);
	block->used = true;
	block->chunk->used_bytes += block->bytes;
	pool->allocations++;
	pool->used += block->bytes;
	if (pool->used > pool->used_high)
		pool->used_high = pool->used;
	*addr = block->addr;
	return CUDA_SUCCESS;
}

/* Takes an allocation out of the ranges, or, of one imported several times, one of these. */
static struct sim_pool_block *take_block(CUdeviceptr addr)
{
	struct sim_pool_block *block;
	struct sim_alloc range;

	if (!sim_ranges_find(addr, &range) || range.base != addr ||
	    range.origin != SIM_FROM_POOL)
		return NULL;
	block = range.owner;
	range.owner = block->again;
	if (block->again)
		sim_ranges_update(&range);
	else
		sim_ranges_remove(addr, SIM_FROM_POOL, NULL);
	return block;
}

CUresult sim_pool_free(CUdeviceptr addr, uint32_t slot, uint64_t seq)
{
	struct sim_pool_block *block;
	struct sim_pool *pool;

	pthread_mutex_lock(&sim_pool_lock);
	block = take_block(addr);
	if (block) {
		pool = block->chunk->pool;
		block->used = false;
		block->slot = slot;
		block->seq = seq;
		block->chunk->used_bytes -= block->bytes;
		pool->used -= block->bytes;
		pool->allocations--;
		if (!pool->exporter) {
			join(block, NULL);
			if (block->prev)
				join(block->prev, NULL);
		}
		settle(pool);
	}
	pthread_mutex_unlock(&sim_pool_lock);
	return block ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
