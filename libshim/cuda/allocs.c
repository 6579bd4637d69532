/*
 * allocs.c - the map of allocations. See allocs.h.
 *
 * Open addressing with linear probing, at most half full; removing closes the gap by moving
 * later entries of the same run back, so that there are no marks of removed entries to be
 * cleaned up. A handle's hash gives the shard by its highest bits and the place by those
 * below. A table that grows is mapped anew under its shard's lock.
 */
#include "cuda/allocs.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

#include "base/atomic.h"

enum {
	SHARD_BITS = 6,
	FIRST_CAPACITY = 128, /* entries: one page */
	BATCH = 32,	      /* entries taken out under one holding of a lock: 1 KiB */
};

_Static_assert(GSH_ALLOC_SHARDS == 1 << SHARD_BITS, "shards");
_Static_assert(sizeof(struct gsh_alloc) == 32, "two entries in a cache line");

/* Addresses differ in few bits, mostly in the middle: multiplying brings them to the top,
 * where the shard's number and then the place are read. */
static uint64_t hash_of(uint32_t class, uint64_t handle)
{
	return (handle + class) * UINT64_C(0x9e3779b97f4a7c15);
}

static struct gsh_alloc_shard *shard_of(struct gsh_allocs *allocs, uint64_t hash)
{
	return &allocs->shards[hash >> (64 - SHARD_BITS)];
}

static uint32_t place_of(const struct gsh_alloc_shard *shard, uint64_t hash)
{
	return (uint32_t)((hash << SHARD_BITS) >> shard->shift);
}

/* Index of the entry, or of the free place where it belongs. Capacity is not 0. */
static uint32_t look_up(const struct gsh_alloc_shard *shard, uint32_t class,
			uint64_t handle, uint64_t hash)
{
	uint32_t i = place_of(shard, hash);

	while (shard->entries[i].handle != 0 &&
	       (shard->entries[i].handle != handle || shard->entries[i].class != class))
		i = (i + 1) & (shard->capacity - 1);
	return i;
}

/* Under the shard's lock: the entry, or NULL. */
static struct gsh_alloc *entry_of(const struct gsh_alloc_shard *shard, uint32_t class,
				  uint64_t handle, uint64_t hash)
{
	struct gsh_alloc *entry;

	if (shard->capacity == 0 || handle == 0)
		return NULL;
	entry = &shard->entries[look_up(shard, class, handle, hash)];
	return entry->handle ? entry : NULL;
}

static int grow(struct gsh_alloc_shard *shard)
{
	uint32_t capacity = shard->capacity ? 2 * shard->capacity : FIRST_CAPACITY;
	size_t bytes = (size_t)capacity * sizeof(struct gsh_alloc);
	struct gsh_alloc_shard larger = {
		.capacity = capacity,
		.shift = 64 - (uint32_t)__builtin_ctz(capacity),
	};
	int kept = errno;

	larger.entries = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (larger.entries == MAP_FAILED) {
		errno = kept;
		return -ENOMEM;
	}
	/* A forked child starts with an empty map. Where the advice fails, it has pages that
	 * it does not know of. */
	madvise(larger.entries, bytes, MADV_DONTFORK);
	for (uint32_t i = 0; i < shard->capacity; i++) {
		const struct gsh_alloc *entry = &shard->entries[i];
		uint64_t hash = hash_of(entry->class, entry->handle);

		if (entry->handle)
			larger.entries[look_up(&larger, entry->class, entry->handle,
					       hash)] = *entry;
	}
	if (shard->entries)
		munmap(shard->entries, shard->capacity * sizeof(struct gsh_alloc));
	shard->entries = larger.entries;
	shard->capacity = larger.capacity;
	shard->shift = larger.shift;
	errno = kept;
	return 0;
}

/* Under the shard's lock: frees place i and moves up those who had to pass it by. */
static void remove_at(struct gsh_alloc_shard *shard, uint32_t i)
{
	const uint32_t mask = shard->capacity - 1;
	struct gsh_alloc *entries = shard->entries;

	for (uint32_t j = (i + 1) & mask; entries[j].handle; j = (j + 1) & mask) {
		uint32_t home = place_of(shard,
					 hash_of(entries[j].class, entries[j].handle));

		/* Whoever's way from home to j leads over i. */
		if (((j - home) & mask) >= ((j - i) & mask)) {
			entries[i] = entries[j];
			i = j;
		}
	}
	entries[i].handle = 0;
	shard->live--;
}

int gsh_allocs_add(struct gsh_allocs *allocs, const struct gsh_alloc *alloc,
		   struct gsh_alloc *old)
{
	const uint64_t hash = hash_of(alloc->class, alloc->handle);
	struct gsh_alloc_shard *shard = shard_of(allocs, hash);
	struct gsh_alloc *entry;
	int result = 0;

	gsh_lock(&shard->lock);
	if (gsh_unlikely(2 * (shard->live + 1) > shard->capacity))
		result = grow(shard);
	if (result == 0) {
		entry = &shard->entries[look_up(shard, alloc->class, alloc->handle,
						hash)];
		if (gsh_unlikely(entry->handle)) {
			*old = *entry;
			result = -EEXIST;
		} else {
			shard->live++;
		}
		*entry = *alloc;
	}
	gsh_unlock(&shard->lock);
	return result;
}

bool gsh_allocs_find(struct gsh_allocs *allocs, enum gsh_alloc_class class,
		     uint64_t handle, struct gsh_alloc *alloc)
{
	const uint64_t hash = hash_of(class, handle);
	struct gsh_alloc_shard *shard = shard_of(allocs, hash);
	const struct gsh_alloc *entry;

	gsh_lock(&shard->lock);
	entry = entry_of(shard, class, handle, hash);
	if (entry)
		*alloc = *entry;
	gsh_unlock(&shard->lock);
	return entry;
}

bool gsh_allocs_mark_exported(struct gsh_allocs *allocs, enum gsh_alloc_class class,
			      uint64_t handle)
{
	const uint64_t hash = hash_of(class, handle);
	struct gsh_alloc_shard *shard = shard_of(allocs, hash);
	struct gsh_alloc *entry;

	gsh_lock(&shard->lock);
	entry = entry_of(shard, class, handle, hash);
	if (entry)
		entry->exported = 1;
	gsh_unlock(&shard->lock);
	return entry;
}

bool gsh_allocs_take(struct gsh_allocs *allocs, enum gsh_alloc_class class,
		     uint64_t handle, struct gsh_alloc *alloc)
{
	const uint64_t hash = hash_of(class, handle);
	struct gsh_alloc_shard *shard = shard_of(allocs, hash);
	const struct gsh_alloc *entry;

	gsh_lock(&shard->lock);
	entry = entry_of(shard, class, handle, hash);
	if (entry) {
		*alloc = *entry;
		remove_at(shard, (uint32_t)(entry - shard->entries));
	}
	gsh_unlock(&shard->lock);
	return entry;
}

/* ---- all of them ---- */

bool gsh_allocs_containing(struct gsh_allocs *allocs, uint64_t address,
			   struct gsh_alloc *alloc)
{
	bool found = false;

	for (unsigned s = 0; s < GSH_ALLOC_SHARDS && !found; s++) {
		struct gsh_alloc_shard *shard = &allocs->shards[s];

		gsh_lock(&shard->lock);
		for (uint32_t i = 0; i < shard->capacity && !found; i++) {
			const struct gsh_alloc *entry = &shard->entries[i];

			if (entry->handle && entry->class == GSH_ALLOC_POINTER &&
			    address - entry->handle < entry->bytes) {
				*alloc = *entry;
				found = true;
			}
		}
		gsh_unlock(&shard->lock);
	}
	return found;
}

/*
 * Takes up to BATCH entries of the context out of a shard, beginning at *at, which advances.
 * Returns how many; fewer than BATCH: the end was reached.
 */
static unsigned take_batch(struct gsh_alloc_shard *shard, uint64_t context, uint32_t *at,
			   struct gsh_alloc *batch)
{
	unsigned count = 0;

	gsh_lock(&shard->lock);
	while (*at < shard->capacity && count < BATCH) {
		const struct gsh_alloc *entry = &shard->entries[*at];

		if (entry->handle && entry->context == context) {
			batch[count++] = *entry;
			/* Another may come to lie here: looked at next. */
			remove_at(shard, *at);
		} else {
			++*at;
		}
	}
	gsh_unlock(&shard->lock);
	return count;
}

void gsh_allocs_take_context(struct gsh_allocs *allocs, uint64_t context,
			     void (*taken)(const struct gsh_alloc *alloc))
{
	struct gsh_alloc batch[BATCH];

	for (unsigned s = 0; s < GSH_ALLOC_SHARDS; s++) {
		uint32_t at = 0;
		bool again = false;

		for (;;) {
			unsigned count = take_batch(&allocs->shards[s], context, &at,
						    batch);

			for (unsigned i = 0; i < count; i++)
				taken(&batch[i]);
			if (count == BATCH) {
				again = true;
			} else if (again) {
				/* While the lock was free, others may have moved entries. */
				again = false;
				at = 0;
			} else {
				break;
			}
		}
	}
}

void gsh_allocs_move_context(struct gsh_allocs *allocs, uint64_t from, uint64_t to)
{
	for (unsigned s = 0; s < GSH_ALLOC_SHARDS; s++) {
		struct gsh_alloc_shard *shard = &allocs->shards[s];

		gsh_lock(&shard->lock);
		for (uint32_t i = 0; i < shard->capacity; i++)
			if (shard->entries[i].handle && shard->entries[i].context == from)
				shard->entries[i].context = to;
		gsh_unlock(&shard->lock);
	}
}
