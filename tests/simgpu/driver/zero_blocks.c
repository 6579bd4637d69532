/*
 * zero_blocks.c - the arena of zero-cost mode in blocks of 2 MiB: who has which, and what
 * each device has left.
 */
#include "driver/zero_blocks.h"

#include <sys/mman.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool usable;
static uint32_t nblocks, first_free; /* no block before first_free is free */
static uint64_t used_bytes[SIM_MAX_LOCAL_DEVICES];

pthread_mutex_t sim_zero_lock = PTHREAD_MUTEX_INITIALIZER; /* guards all of this */
struct sim_block *sim_blocks;
uint32_t sim_blocks_end;

void *sim_blocks_map(size_t bytes)
{
	void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return table == MAP_FAILED ? NULL : table;
}

static void init(void)
{
	void *arena = mmap(
		(void *)sim.arena_base, sim.arena_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	nblocks = (uint32_t)(sim.arena_bytes / SIM_ZERO_SMALL);
	sim_blocks = sim_blocks_map(nblocks * sizeof(*sim_blocks));
	usable = arena != MAP_FAILED && sim_blocks && sim_slots_init(nblocks);
}

bool sim_blocks_ready(void)
{
	pthread_once(&once, init);
	return usable;
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
		while (n < count && at + n < nblocks &&
		       sim_blocks[at + n].state == SIM_BLOCK_FREE)
			n++;
		if (n == count)
			return at;
		at += n + 1;
	}
	return nblocks;
}

bool sim_blocks_claim(uint32_t count, uint32_t align, int device,
		      enum sim_block_state state, uint32_t *at)
{
	uint32_t first = find_free(count, align);

	if (first == nblocks || !charge(device, count * SIM_ZERO_SMALL))
		return false;
	for (uint32_t i = first; i < first + count; i++) {
		sim_blocks[i] = (struct sim_block){ .device = (int8_t)device };
		sim_blocks[i].state = i == first ? state : SIM_BLOCK_CONTINUED;
	}
	sim_blocks[first].run = count;
	if (first == first_free)
		first_free = first + count;
	if (first + count > sim_blocks_end)
		sim_blocks_end = first + count;
	*at = first;
	return true;
}

void sim_blocks_release(uint32_t at)
{
	uint32_t count = sim_blocks[at].run;

	if (sim_blocks[at].device >= 0)
		used_bytes[sim_blocks[at].device] -= count * SIM_ZERO_SMALL;
	for (uint32_t i = 0; i < count; i++)
		sim_blocks[at + i].state = SIM_BLOCK_FREE;
	if (at < first_free)
		first_free = at;
	madvise((void *)(sim.arena_base + at * SIM_ZERO_SMALL), count * SIM_ZERO_SMALL,
		MADV_DONTNEED);
}

/* ---- runs ---- */

uint64_t sim_zero_alloc_run(int device, uint64_t bytes, uint64_t align)
{
	uint64_t count = bytes / SIM_ZERO_SMALL + (bytes % SIM_ZERO_SMALL != 0);
	uint64_t step = align <= SIM_ZERO_SMALL ? 1 : align / SIM_ZERO_SMALL;
	uint32_t at;
	bool ok;

	if (!sim_blocks_ready() || count > nblocks || step > nblocks)
		return 0;
	pthread_mutex_lock(&sim_zero_lock);
	if (device >= 0 &&
	    count * SIM_ZERO_SMALL > sim.hello.memory_bytes - used_bytes[device])
		sim_slots_flush();
	ok = sim_blocks_claim((uint32_t)count, (uint32_t)step, device, SIM_BLOCK_RUN,
			      &at);
	pthread_mutex_unlock(&sim_zero_lock);
	return ok ? sim.arena_base + at * SIM_ZERO_SMALL : 0;
}

bool sim_zero_free_run(uint64_t addr)
{
	uint64_t offset = addr - sim.arena_base;
	uint32_t at = (uint32_t)(offset / SIM_ZERO_SMALL);
	bool found;

	if (offset >= sim.arena_bytes || offset % SIM_ZERO_SMALL || !sim_blocks_ready())
		return false;
	pthread_mutex_lock(&sim_zero_lock);
	found = sim_blocks[at].state == SIM_BLOCK_RUN;
	if (found)
		sim_blocks_release(at);
	pthread_mutex_unlock(&sim_zero_lock);
	return found;
}

bool sim_zero_charge(unsigned device, uint64_t bytes)
{
	bool ok;

	pthread_mutex_lock(&sim_zero_lock);
	ok = charge((int)device, bytes);
	pthread_mutex_unlock(&sim_zero_lock);
	return ok;
}

void sim_zero_refund(unsigned device, uint64_t bytes)
{
	pthread_mutex_lock(&sim_zero_lock);
	used_bytes[device] -= bytes;
	pthread_mutex_unlock(&sim_zero_lock);
}

uint64_t sim_zero_used(unsigned device)
{
	uint64_t used;

	pthread_mutex_lock(&sim_zero_lock);
	sim_slots_flush();
	used = used_bytes[device];
	pthread_mutex_unlock(&sim_zero_lock);
	return used;
}
