/*
 * zero.c - the allocator of zero-cost mode. See zero.h.
 *
 * An allocation and its free cost a few nanoseconds each: a thread keeps slots in a cache of
 * its own, and tables indexed by the address say what a slot is. A cached slot is neither
 * live nor free in its block; it returns there when the cache overflows, when the thread
 * works for another context, and when it ends. What other threads have cached counts as
 * used, at most a few MiB each.
 */
#include "driver/zero.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CLASSES 13 /* 512 bytes << class */
#define BLOCK_SLOTS (SIM_ZERO_SMALL / SIM_ZERO_SLOT_BYTES)
#define CACHE_SLOTS 32

enum state { FREE, SLOTS, RUN, CONTINUED };

struct block {
	struct sim_context *ctx;  /* SLOTS: whose */
	uint64_t birth;           /* epoch in which it was cut into slots */
	uint32_t prev, next;      /* blocks of the class with free slots: index + 1 */
	uint32_t run;             /* RUN: how many blocks */
	uint16_t free;            /* slots free, cached ones excluded */
	_Atomic uint8_t state;    /* enum state */
	uint8_t class;
	int8_t device;            /* -1: not counted */
};

struct bin {
	uint32_t count;
	uint32_t slot[CACHE_SLOTS];
};

struct cache {
	struct sim_context *ctx;
	uint64_t epoch;
	struct bin bins[CLASSES];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t cache_key;
static bool usable;

/* Written under the lock; a thread that holds a live address may read its entries. */
static struct block *blocks;
static _Atomic uint32_t *live; /* per 512 bytes: requested bytes of the slot there */
static uint64_t (*bits)[BLOCK_SLOTS / 64]; /* per block: free slots */
static uint32_t nblocks;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static uint32_t partial[CLASSES]; /* heads of the lists: index + 1 */
static uint32_t first_free, high_water;
static uint64_t used_bytes[SIM_MAX_LOCAL_DEVICES];
static _Atomic uint64_t epoch; /* contexts that have died; read without the lock */

/* The library is loaded early or by dlopen(); a pointer fits what the loader keeps spare. */
static _Thread_local struct cache *cache __attribute__((tls_model("initial-exec")));

static void *map_table(size_t bytes)
{
	void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return table == MAP_FAILED ? NULL : table;
}

static void cache_end(void *arg);

static void init(void)
{
	void *arena = mmap((void *)sim.arena_base, sim.arena_bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	nblocks = (uint32_t)(sim.arena_bytes / SIM_ZERO_SMALL);
	blocks = map_table(nblocks * sizeof(*blocks));
	live = map_table(nblocks * BLOCK_SLOTS * sizeof(*live));
	bits = map_table(nblocks * sizeof(*bits));
	usable = arena != MAP_FAILED && blocks && live && bits &&
		 pthread_key_create(&cache_key, cache_end) == 0;
}

static unsigned class_of(uint64_t bytes)
{
	return bytes <= SIM_ZERO_SLOT_BYTES
		       ? 0
		       : 64 - (unsigned)__builtin_clzll((bytes - 1) / SIM_ZERO_SLOT_BYTES);
}

/* Big slots are few and dear: caching many would make a nearly full device look full. */
static unsigned cache_limit(unsigned class)
{
	return class <= 7 ? CACHE_SLOTS : 4;
}

static bool charge(int device, uint64_t bytes)
{
	if (device < 0)
		return true;
	if (bytes > sim.hello.memory_bytes - used_bytes[device])
		return false;
	used_bytes[device] += bytes;
	return true;
}

/* First fit. Returns nblocks when there is none. */
static uint32_t find_free(uint32_t count, uint32_t align)
{
	uint32_t at = first_free;

	while (at + count <= nblocks) {
		uint32_t n = 0;

		at = (at + align - 1) / align * align;
		while (n < count && at + n < nblocks && blocks[at + n].state == FREE)
			n++;
		if (n == count)
			return at;
		at += n + 1;
	}
	return nblocks;
}

static bool claim(uint32_t at, uint32_t count, int device, enum state state)
{
	if (at == nblocks || !charge(device, count * SIM_ZERO_SMALL))
		return false;
	for (uint32_t i = 0; i < count; i++) {
		blocks[at + i] = (struct block){ .device = (int8_t)device };
		blocks[at + i].state = i ? CONTINUED : state;
	}
	blocks[at].run = count;
	if (at == first_free)
		first_free = at + count;
	if (at + count > high_water)
		high_water = at + count;
	return true;
}

static void release(uint32_t at)
{
	uint32_t count = blocks[at].run;

	if (blocks[at].device >= 0)
		used_bytes[blocks[at].device] -= count * SIM_ZERO_SMALL;
	for (uint32_t i = 0; i < count; i++)
		blocks[at + i].state = FREE;
	if (at < first_free)
		first_free = at;
	madvise((void *)(sim.arena_base + at * SIM_ZERO_SMALL), count * SIM_ZERO_SMALL,
		MADV_DONTNEED);
}

/* ---- blocks of slots ---- */

static void list_add(uint32_t at)
{
	struct block *block = &blocks[at];
	uint32_t *head = &partial[block->class];

	block->prev = 0;
	block->next = *head;
	if (*head)
		blocks[*head - 1].prev = at + 1;
	*head = at + 1;
}

static void list_remove(uint32_t at)
{
	struct block *block = &blocks[at];

	if (block->prev)
		blocks[block->prev - 1].next = block->next;
	else
		partial[block->class] = block->next;
	if (block->next)
		blocks[block->next - 1].prev = block->prev;
}

static void put_slot(uint32_t slot)
{
	uint32_t at = slot / BLOCK_SLOTS;
	struct block *block = &blocks[at];
	unsigned nth = (slot % BLOCK_SLOTS) >> block->class;

	bits[at][nth / 64] |= 1ull << (nth % 64);
	if (block->free++ == 0)
		list_add(at);
	if (block->free == BLOCK_SLOTS >> block->class) {
		list_remove(at);
		memset(bits[at], 0, sizeof(bits[at]));
		release(at);
	}
}

static uint32_t get_slot(uint32_t at)
{
	struct block *block = &blocks[at];

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

	for (uint32_t i = partial[class]; i; i = blocks[i - 1].next) {
		if (blocks[i - 1].ctx == ctx) {
			*at = i - 1;
			return true;
		}
	}
	*at = find_free(1, 1);
	if (!claim(*at, 1, (int)ctx->device, SLOTS))
		return false;
	blocks[*at].ctx = ctx;
	blocks[*at].birth = epoch;
	blocks[*at].class = (uint8_t)class;
	blocks[*at].free = (uint16_t)slots;
	for (unsigned i = 0; i < slots; i++)
		bits[*at][i / 64] |= 1ull << (i % 64);
	list_add(*at);
	return true;
}

/* Returns what is cached. Slots of a context that has died are not ours any more. */
static void flush(struct cache *c)
{
	for (unsigned class = 0; class < CLASSES; class++) {
		struct bin *bin = &c->bins[class];

		while (bin->count > 0) {
			uint32_t slot = bin->slot[--bin->count];
			struct block *block = &blocks[slot / BLOCK_SLOTS];

			if (block->state == SLOTS && block->ctx == c->ctx &&
			    block->birth <= c->epoch)
				put_slot(slot);
		}
	}
}

static void cache_end(void *arg)
{
	pthread_mutex_lock(&lock);
	flush(arg);
	pthread_mutex_unlock(&lock);
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

	pthread_once(&once, init);
	if (!usable)
		return 0;
	pthread_mutex_lock(&lock);
	c = cache_for(ctx);
	found = find_block(ctx, class, &at);
	if (!found && c) {
		flush(c);
		found = find_block(ctx, class, &at);
	}
	if (found)
		slot = get_slot(at);
	for (; found && c && more > 1 && blocks[at].free > 0; more--)
		c->bins[class].slot[c->bins[class].count++] = get_slot(at);
	pthread_mutex_unlock(&lock);
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
				     c->epoch != atomic_load_explicit(&epoch,
								      memory_order_relaxed),
			     0))
		return alloc_slow(ctx, class, bytes);
	slot = c->bins[class].slot[--c->bins[class].count];
	atomic_store_explicit(&live[slot], (uint32_t)bytes, memory_order_relaxed);
	return sim.arena_base + slot * (uint64_t)SIM_ZERO_SLOT_BYTES;
}

static __attribute__((noinline)) bool free_slow(uint32_t slot)
{
	bool was_live;

	pthread_mutex_lock(&lock);
	was_live = atomic_exchange_explicit(&live[slot], 0, memory_order_relaxed) != 0;
	if (was_live) {
		struct cache *c = cache_for(blocks[slot / BLOCK_SLOTS].ctx);
		unsigned class = blocks[slot / BLOCK_SLOTS].class;

		/* Half of a full bin goes back, so that the next frees are quick again. */
		if (c && c->bins[class].count >= cache_limit(class))
			for (unsigned i = cache_limit(class) / 2; i > 0; i--)
				put_slot(c->bins[class].slot[--c->bins[class].count]);
		put_slot(slot);
	}
	pthread_mutex_unlock(&lock);
	return was_live;
}

bool sim_zero_free(uint64_t addr)
{
	uint64_t offset = addr - sim.arena_base;
	struct cache *c = cache;
	uint32_t slot;
	struct block *block;
	struct bin *bin;

	if (offset >= sim.arena_bytes || offset % SIM_ZERO_SLOT_BYTES || !live)
		return false;
	slot = (uint32_t)(offset / SIM_ZERO_SLOT_BYTES);
	if (atomic_load_explicit(&live[slot], memory_order_relaxed) == 0)
		return false;
	block = &blocks[slot / BLOCK_SLOTS];
	if (__builtin_expect(!c || c->ctx != block->ctx ||
				     c->epoch != atomic_load_explicit(&epoch,
								      memory_order_relaxed),
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
	struct block *block;
	uint32_t slot, bytes;

	if (offset >= sim.arena_bytes || !live || blocks[at].state != SLOTS)
		return false;
	block = &blocks[at];
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
	pthread_mutex_lock(&lock);
	atomic_fetch_add(&epoch, 1);
	for (uint32_t at = 0; at < high_water; at++) {
		if (blocks[at].state != SLOTS || blocks[at].ctx != ctx)
			continue;
		if (blocks[at].free > 0)
			list_remove(at);
		memset(bits[at], 0, sizeof(bits[at]));
		memset((void *)&live[at * BLOCK_SLOTS], 0, BLOCK_SLOTS * sizeof(*live));
		release(at);
	}
	pthread_mutex_unlock(&lock);
}

/* ---- runs ---- */

uint64_t sim_zero_alloc_run(int device, uint64_t bytes, uint64_t align)
{
	uint64_t count = bytes / SIM_ZERO_SMALL + (bytes % SIM_ZERO_SMALL != 0);
	uint64_t step = align <= SIM_ZERO_SMALL ? 1 : align / SIM_ZERO_SMALL;
	uint32_t at;
	bool ok;

	pthread_once(&once, init);
	if (!usable || count > nblocks || step > nblocks)
		return 0;
	pthread_mutex_lock(&lock);
	if (cache && device >= 0 &&
	    count * SIM_ZERO_SMALL > sim.hello.memory_bytes - used_bytes[device])
		flush(cache);
	at = find_free((uint32_t)count, (uint32_t)step);
	ok = claim(at, (uint32_t)count, device, RUN);
	pthread_mutex_unlock(&lock);
	return ok ? sim.arena_base + at * SIM_ZERO_SMALL : 0;
}

bool sim_zero_free_run(uint64_t addr)
{
	uint64_t offset = addr - sim.arena_base;
	uint32_t at = (uint32_t)(offset / SIM_ZERO_SMALL);
	bool found;

	if (offset >= sim.arena_bytes || offset % SIM_ZERO_SMALL || !blocks)
		return false;
	pthread_mutex_lock(&lock);
	found = blocks[at].state == RUN;
	if (found)
		release(at);
	pthread_mutex_unlock(&lock);
	return found;
}

bool sim_zero_charge(unsigned device, uint64_t bytes)
{
	bool ok;

	pthread_mutex_lock(&lock);
	ok = charge((int)device, bytes);
	pthread_mutex_unlock(&lock);
	return ok;
}

void sim_zero_refund(unsigned device, uint64_t bytes)
{
	pthread_mutex_lock(&lock);
	used_bytes[device] -= bytes;
	pthread_mutex_unlock(&lock);
}

uint64_t sim_zero_used(unsigned device)
{
	uint64_t used;

	pthread_mutex_lock(&lock);
	if (cache)
		flush(cache);
	used = used_bytes[device];
	pthread_mutex_unlock(&lock);
	return used;
}
