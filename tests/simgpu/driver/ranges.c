/*
 * ranges.c - the ranges of memory of this process, in a tree by address.
 *
 * The tree is the C library's (tsearch), with a comparison that calls overlapping ranges
 * equal: then finding an address and refusing an overlap are the same search.
 */
#include "driver/ranges.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "driver/zero.h"

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER; /* guards all below */
static void *tree;
static uint64_t last_id;

static int compare(const void *a, const void *b)
{
	const struct sim_alloc *x = a, *y = b;

	/* Lengths are differences, so that a range may end at the top of the address space. */
	if (x->base < y->base)
		return y->base - x->base < x->bytes ? 0 : -1;
	return x->base - y->base < y->bytes ? 0 : 1;
}

static struct sim_alloc *search(uint64_t addr, uint64_t bytes)
{
	struct sim_alloc key = { .base = addr, .bytes = bytes };
	struct sim_alloc **node = tfind(&key, &tree, compare);

	return node ? *node : NULL;
}

int sim_ranges_add(const struct sim_alloc *alloc)
{
	struct sim_alloc *copy = malloc(sizeof(*copy));
	struct sim_alloc **node;
	int err = 0;

	if (!copy)
		return -ENOMEM;
	*copy = *alloc;
	copy->preferred = copy->prefetched = SIM_NOWHERE;
	pthread_rwlock_wrlock(&lock);
	copy->id = ++last_id;
	node = tsearch(copy, &tree, compare);
	if (!node)
		err = -ENOMEM;
	else if (*node != copy)
		err = -EEXIST;
	pthread_rwlock_unlock(&lock);
	if (err)
		free(copy);
	return err;
}

bool sim_ranges_overlap(uint64_t addr, uint64_t bytes, struct sim_alloc *alloc)
{
	struct sim_alloc *found;

	pthread_rwlock_rdlock(&lock);
	found = search(addr, bytes);
	if (found && alloc)
		*alloc = *found;
	pthread_rwlock_unlock(&lock);
	return found != NULL;
}

bool sim_ranges_find(uint64_t addr, struct sim_alloc *alloc)
{
	return sim_ranges_overlap(addr, 1, alloc) ||
	       (sim.zero_cost && sim_zero_find(addr, alloc));
}

bool sim_ranges_update(const struct sim_alloc *alloc)
{
	struct sim_alloc *found;

	pthread_rwlock_wrlock(&lock);
	found = search(alloc->base, 1);
	if (found && found->id == alloc->id) {
		uint64_t base = found->base, bytes = found->bytes;

		*found = *alloc;
		found->base = base;
		found->bytes = bytes;
	} else {
		found = NULL;
	}
	pthread_rwlock_unlock(&lock);
	return found != NULL;
}

bool sim_ranges_remove(uint64_t base, enum sim_origin origin, struct sim_alloc *alloc)
{
	struct sim_alloc *found;

	pthread_rwlock_wrlock(&lock);
	found = search(base, 1);
	if (found && (found->base != base || found->origin != origin))
		found = NULL;
	if (found)
		tdelete(found, &tree, compare);
	pthread_rwlock_unlock(&lock);
	if (!found)
		return false;
	if (alloc)
		*alloc = *found;
	free(found);
	return true;
}

struct take {
	const struct sim_context *ctx;
	uint64_t *bases; /* NULL while counting */
	size_t count;
};

static void take_one(const void *node, VISIT visit, void *arg)
{
	struct sim_alloc *alloc = *(struct sim_alloc *const *)node;
	struct take *take = arg;

	if ((visit != postorder && visit != leaf) || alloc->ctx != take->ctx)
		return;
	if (take->bases)
		take->bases[take->count] = alloc->base;
	take->count++;
}

size_t sim_ranges_take(const struct sim_context *ctx, struct sim_alloc **list)
{
	struct take take = { .ctx = ctx };
	struct sim_alloc *copies = NULL;
	size_t count;

	*list = NULL;
	pthread_rwlock_wrlock(&lock);
	twalk_r(tree, take_one, &take);
	count = take.count;
	if (count > 0) {
		take.bases = calloc(count, sizeof(*take.bases));
		copies = calloc(count, sizeof(*copies));
	}
	if (take.bases && copies) {
		take.count = 0;
		twalk_r(tree, take_one, &take);
		for (size_t i = 0; i < count; i++) {
			struct sim_alloc *alloc = search(take.bases[i], 1);

			copies[i] = *alloc;
			tdelete(alloc, &tree, compare);
			free(alloc);
		}
		*list = copies;
	} else {
		free(copies);
		count = 0;
	}
	pthread_rwlock_unlock(&lock);
	free(take.bases);
	return count;
}

/* Under the lock. Walks from mapping to mapping. */
static bool covered(uint64_t addr, uint64_t bytes, unsigned access,
		    struct sim_alloc *first)
{
	bool begun = false;

	for (;;) {
		struct sim_alloc *found = search(addr, 1);
		uint64_t left;

		if (!found)
			return false;
		if (found->origin == SIM_FROM_MAP && (found->access & access) != access)
			return false;
		if (begun && found->origin != SIM_FROM_MAP)
			return false;
		if (!begun && first)
			*first = *found;
		begun = true;
		left = found->bytes - (addr - found->base);
		if (bytes <= left)
			return true;
		if (found->origin != SIM_FROM_MAP)
			return false;
		addr += left;
		bytes -= left;
	}
}

bool sim_ranges_cover(uint64_t addr, uint64_t bytes, unsigned access,
		      struct sim_alloc *alloc)
{
	struct sim_alloc slot;
	bool yes;

	pthread_rwlock_rdlock(&lock);
	yes = covered(addr, bytes, access, alloc);
	pthread_rwlock_unlock(&lock);
	if (yes || !sim.zero_cost || !sim_zero_find(addr, &slot))
		return yes;
	if (alloc)
		*alloc = slot;
	return bytes <= slot.bytes - (addr - slot.base);
}
