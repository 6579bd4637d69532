/*
 * allocs.h - what this process has allocated: a map from handle to charge.
 *
 * Sharded hash tables in memory of their own (mmap, not malloc; not inherited by fork).
 * Adding and taking cost the same with one entry and with a million, but for cache misses.
 * Knows nothing of the ledger: whoever takes an entry out refunds it.
 *
 * Threads: all functions by any thread; no lock is held when they return or call back.
 */
#ifndef GSH_CUDA_ALLOCS_H
#define GSH_CUDA_ALLOCS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"

/* Handles of different classes may have equal values. */
enum gsh_alloc_class {
	GSH_ALLOC_POINTER = 1, /* device address: linear, pitched, managed */
	GSH_ALLOC_ARRAY,       /* CUarray */
	GSH_ALLOC_MIPMAP,      /* CUmipmappedArray */
	GSH_ALLOC_CONTEXT, /* CUcontext: its configured charge, 0 bytes if there is none */
};

struct gsh_alloc {
	uint64_t handle; /* not 0 */
	uint64_t bytes;
	uint64_t context; /* CUcontext it dies with; 0: none */
	uint32_t class;	  /* enum gsh_alloc_class */
	uint16_t row;	  /* of the ledger */
	uint8_t kind;	  /* enum gpushim_kind */
	uint8_t exported; /* others may keep it alive */
};

enum { GSH_ALLOC_SHARDS = 64 };

/* A cache line of its own, so that threads in different shards do not meet. */
struct gsh_alloc_shard {
	struct gsh_lock lock; /* guards this shard */
	uint32_t live;	      /* entries */
	uint32_t capacity;    /* a power of two, or 0 */
	uint32_t shift;	      /* 64 less the bits of capacity */
	struct gsh_alloc *entries;
} __attribute__((aligned(64)));

/* All zero is empty. */
struct gsh_allocs {
	struct gsh_alloc_shard shards[GSH_ALLOC_SHARDS];
};

/*
 * 0; -EEXIST: there was one of this handle, which is now in *old and replaced; -ENOMEM: the
 * system has no memory, nothing was added.
 */
int gsh_allocs_add(struct gsh_allocs *allocs, const struct gsh_alloc *alloc,
		   struct gsh_alloc *old);
/* Finds without removing: true, and a copy in *alloc. */
bool gsh_allocs_find(struct gsh_allocs *allocs, enum gsh_alloc_class class,
		     uint64_t handle, struct gsh_alloc *alloc);
/* The pointer whose [handle, handle + bytes) contains address: slow, looks at all. */
bool gsh_allocs_containing(struct gsh_allocs *allocs, uint64_t address,
			   struct gsh_alloc *alloc);
bool gsh_allocs_mark_exported(struct gsh_allocs *allocs, enum gsh_alloc_class class,
			      uint64_t handle);
/* Removes: true, and the entry in *alloc. */
bool gsh_allocs_take(struct gsh_allocs *allocs, enum gsh_alloc_class class,
		     uint64_t handle, struct gsh_alloc *alloc);
/* Removes all entries of a context, calling back for each, outside all locks. */
void gsh_allocs_take_context(struct gsh_allocs *allocs, uint64_t context,
			     void (*taken)(const struct gsh_alloc *alloc));
/* Has all entries of one context belong to another. Slow: looks at all. */
void gsh_allocs_move_context(struct gsh_allocs *allocs, uint64_t from, uint64_t to);

#endif
