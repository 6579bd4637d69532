/*
 * zero.c - slots of up to 2 MiB in zero-cost mode. See zero.h.
 *
 * An allocation and its free cost a few nanoseconds each: a thread keeps slots in a cache of
 * its own, and tables indexed by the address say what a slot is. A cached slot is neither
 * live nor free in its block; it returns there when the cache overflows, when the thread
 * works for another context, and when it ends. What other threads have cached counts as
 * used, at most a few MiB each.
 */
#include "driver/zero_blocks.h"

#include <stdlib.h>
#include <string.h>

#define CLASSES 13 /* 512 bytes << class */
#define BLOCK_SLOTS (SIM_ZERO_SMALL / SIM_ZERO_SLOT_BYTES)
#define CACHE_SLOTS 32

struct bin {
	uint32_t count;
	uint32_t slot[CACHE_SLOTS];
};

struct cache {
	struct sim_context *ctx;
	uint64_t epoch;
	struct bin bins[CLASSES];
};

static pthread_key_t cache_key;
/* Per 512 bytes: requested bytes of the live slot there. */
static _Atomic uint32_t *live;
/* The rest is under sim_zero_lock. */
static uint64_t (*bits)[BLOCK_SLOTS / 64]; /* per block: free slots */
static uint32_t partial[CLASSES];	   /* heads of the lists: index + 1 */
static _Atomic uint64_t epoch; /* contexts that have died; read without the lock */

/* The library is loaded early or by dlopen(); a pointer fits what the loader keeps spare. */
static _Thread_local struct cache *cache __attribute__((tls_model("initial-exec")));

static void cache_end(void *arg);

bool sim_slots_init(uint32_t nblocks)
{
	live = sim_blocks_map(nblocks * BLOCK_SLOTS * sizeof(*live));
	bits = sim_blocks_map(nblocks * sizeof(*bits));
	return live && bits && pthread_key_create(&cache_key, cache_end) == 0;
}

static unsigned class_of(uint64_t bytes)
{
	return bytes <= SIM_ZERO_SLOT_BYTES
		       ? 0
		       : 64 - (unsigned)__builtin_clzll((bytes - 1) /
							SIM_ZERO_SLOT_BYTES);
}

/* Big slots are few and dear: caching many would make a nearly full device look full. */
static unsigned cache_limit(unsigned class)
{
	return class <= 7 ? CACHE_SLOTS : 4;
}

/* ---- blocks of slots ---- */

static void list_add(uint32_t at)
{
	struct sim_block *block = &sim_blocks[at];
	uint32_t *head = &partial[block->class];

	block->prev = 0;
	block->next = *head;
	if (*head)
		sim_blocks[*head - 1].prev = at + 1;
	*head = at + 1;
}

static void list_remove(uint32_t at)
{
	struct sim_block *block = &sim_blocks[at];

	if (block->prev)
		sim_blocks[block->prev - 1].next = block->next;
	else
		partial[block->class] = block->next;
	if (block->next)
		sim_blocks[block->next - 1].prev = block->prev;
}

static void put_slot(uint32_t slot)
{
	uint32_t at = slot / BLOCK_SLOTS;
	struct sim_block *block = &sim_blocks[at];
	unsigned nth = (slot % BLOCK_SLOTS) >> block->class;

	bits[at][nth / 64] |= 1ull << (nth % 64);
	if (block->free++ == 0)
		list_add(at);
	if (block->free == BLOCK_SLOTS >> block->class) {
		list_remove(at);
		memset(bits[at], 0, sizeof(bits[at]));
		sim_blocks_release(at);
	}
}

static uint32_t get_slot(uint32_t at)
{
	struct sim_block *block = &sim_blocks[at];

	for (unsigned i = 0;; i++) {
		unsigned nth;

		if (!bits[at][i])
			continue;
		nth = (unsigned)__builtin_ctzll(bits[at][i]);
		bits[at][i] &= bits[at][i] - 1;
		if (--block->free == 0)
			list_remove(at);
		return at * (uint32_t)BLOCK_SLOTS + ((i * 64 + nth) << block->class);
	}
}

/* A block of the context with free slots, cut now if need be. False when full. */
static bool find_block(struct sim_context *ctx, unsigned class, uint32_t *at)
{
	unsigned slots = (unsigned)BLOCK_SLOTS >> class;

	for (uint32_t i = partial[class]; i; i = sim_blocks[i - 1].next) {
		if (sim_blocks[i - 1].ctx == ctx) {
			*at = i - 1;
			return true;
		}
	}
	if (!sim_blocks_claim(1, 1, (int)ctx->device, SIM_BLOCK_SLOTS, at))
		return false;
	sim_blocks[*at].ctx = ctx;
	sim_blocks[*at].birth = epoch;
	sim_blocks[*at].class = (uint8_t) class;
	sim_blocks[*at].free = (uint16_t)slots;
	for (unsigned i = 0; i < slots; i++)
		bits[*at][i / 64] |= 1ull << (i % 64);
	list_add(*at);
	return true;
}

/* Returns what is cached. Slots of a context that has died are not ours any more. */
static void flush(struct cache *c)
{
	for (unsigned class = 0; class < CLASSES; class ++) {
		struct bin *bin = &c->bins[class];

		while (bin->count > 0) {
			uint32_t slot = bin->slot[--bin->count];
			struct sim_block *block = &sim_blocks[slot / BLOCK_SLOTS];

			if (block->state == SIM_BLOCK_SLOTS && block->ctx == c->ctx &&
			    block->birth <= c->epoch)
				put_slot(slot);
		}
	}
}

void sim_slots_flush(void)
{
	if (cache)
		flush(cache);
}

static void cache_end(void *arg)
{
	pthread_mutex_lock(&sim_zero_lock);
	flush(arg);
	pthread_mutex_unlock(&sim_zero_lock);
	cache = NULL;
	free(arg);
}

/* Under the lock: the thread's cache, serving this context. NULL without memory. */
static struct cache *cache_for(struct sim_context *ctx)
{
	if (!cache) {
		cache = calloc(1, sizeof(*cache));
		if (cache)
			pthread_setspecific(cache_key, cache);
	}
	if (cache && (cache->ctx != ctx || cache->epoch != epoch)) {
		flush(cache);
		cache->ctx = ctx;
		cache->epoch = epoch;
	}
	return cache;
}

static __attribute__((noinline)) uint64_t alloc_slow(struct sim_context *ctx,
						     unsigned class, uint64_t bytes)
{
	unsigned more = class <= 7 ? CACHE_SLOTS / 2 : 1;
	struct cache *c;
	uint32_t at, slot = 0;
	bool found;

	if (!sim_blocks_ready())
		return 0;
	pthread_mutex_lock(&sim_zero_lock);
	c = cache_for(ctx);
	found = find_block(ctx, class, &at);
	if (!found && c) {
		flush(c);
		found = find_block(ctx, class, &at);
	}
	if (found)
		slot = get_slot(at);
	for (; found && c && more > 1 && sim_blocks[at].free > 0; more--)
		c->bins[class].slot[c->bins[class].count++] = get_slot(at);
	pthread_mutex_unlock(&sim_zero_lock);
	if (!found)
		return 0;
	atomic_store_explicit(&live[slot], (uint32_t)bytes, memory_order_relaxed);
	return sim.arena_base + slot * (uint64_t)SIM_ZERO_SLOT_BYTES;
}

uint64_t sim_zero_alloc(struct sim_context *ctx, uint64_t bytes)
{
	unsigned class = class_of(bytes);
	struct cache *c = cache;
	uint32_t slot;

	if (__builtin_expect(!c || c->ctx != ctx || c->bins[class].count == 0 ||
				     c->epoch != atomic_load_explicit(
							 &epoch, memory_order_relaxed),
			     0))
		return alloc_slow(ctx, class, bytes);
	slot = c->bins[class].slot[--c->bins[class].count];
	atomic_store_explicit(&live[slot], (uint32_t)bytes, memory_order_relaxed);
	return sim.arena_base + slot * (uint64_t)SIM_ZERO_SLOT_BYTES;
}

static __attribute__((noinline)) bool free_slow(uint32_t slot)
{
	bool was_live;

	pthread_mutex_lock(&sim_zero_lock);
	was_live = atomic_exchange_explicit(&live[slot], 0, memory_order_relaxed) != 0;
	if (was_live) {
		struct cache *c = cache_for(sim_blocks[slot / BLOCK_SLOTS].ctx);
		unsigned class = sim_blocks[slot / BLOCK_SLOTS].class;

		/* Half of a full bin goes back, so that the next frees are quick again. */
		if (c && c->bins[class].count >= cache_limit(class))
			for (unsigned i = cache_limit(class) / 2; i > 0; i--)
				put_slot(c->bins[class].slot[--c->bins[class].count]);
		put_slot(slot);
	}
	pthread_mutex_unlock(&sim_zero_lock);
	return was_live;
}

bool sim_zero_free(uint64_t addr)
{
	uint64_t offset = addr - sim.arena_base;
	struct cache *c = cache;
	uint32_t slot;
	struct sim_block *block;
	struct bin *bin;

	if (offset >= sim.arena_bytes || offset % SIM_ZERO_SLOT_BYTES || !live)
		return false;
	slot = (uint32_t)(offset / SIM_ZERO_SLOT_BYTES);
	if (atomic_load_explicit(&live[slot], memory_order_relaxed) == 0)
		return false;
	block = &sim_blocks[slot / BLOCK_SLOTS];
	if (__builtin_expect(!c || c->ctx != block->ctx ||
				     c->epoch != atomic_load_explicit(
							 &epoch, memory_order_relaxed),
			     0))
		return free_slow(slot);
	bin = &c->bins[block->class];
	if (__builtin_expect(bin->count >= cache_limit(block->class), 0))
		return free_slow(slot);
	atomic_store_explicit(&live[slot], 0, memory_order_relaxed);
	bin->slot[bin->count++] = slot;
	return true;
}

bool sim_zero_find(uint64_t addr, struct sim_alloc *alloc)
{
	uint64_t offset = addr - sim.arena_base;
	uint32_t at = (uint32_t)(offset / SIM_ZERO_SMALL);
	struct sim_block *block;
	uint32_t slot, bytes;

	if (offset >= sim.arena_bytes || !live || sim_blocks[at].state != SIM_BLOCK_SLOTS)
		return false;
	block = &sim_blocks[at];
	slot = (uint32_t)(offset / SIM_ZERO_SLOT_BYTES) & ~((1u << block->class) - 1);
	bytes = atomic_load_explicit(&live[slot], memory_order_relaxed);
	if (addr - (sim.arena_base + slot * (uint64_t)SIM_ZERO_SLOT_BYTES) >= bytes)
		return false;
	if (alloc)
		*alloc = (struct sim_alloc){
			.base = sim.arena_base + slot * (uint64_t)SIM_ZERO_SLOT_BYTES,
			.bytes = bytes,
			.id = (1ull << 63) | slot,
			.origin = SIM_FROM_ALLOC,
			.kind = SIM_MEM_PLAIN,
			.device = block->ctx->device,
			.ctx = block->ctx,
			.preferred = SIM_NOWHERE,
			.prefetched = SIM_NOWHERE,
		};
	return true;
}

void sim_zero_drop(struct sim_context *ctx)
{
	pthread_mutex_lock(&sim_zero_lock);
	atomic_fetch_add(&epoch, 1);
	for (uint32_t at = 0; at < sim_blocks_end; at++) {
		if (sim_blocks[at].state != SIM_BLOCK_SLOTS || sim_blocks[at].ctx != ctx)
			continue;
		if (sim_blocks[at].free > 0)
			list_remove(at);
		memset(bits[at], 0, sizeof(bits[at]));
		memset((void *)&live[at * BLOCK_SLOTS], 0, BLOCK_SLOTS * sizeof(*live));
		sim_blocks_release(at);
	}
	pthread_mutex_unlock(&sim_zero_lock);
}
