/*
 * ranges.h - what this process knows of the memory it may name: every live allocation,
 * mapping and registration, by address.
 *
 * Knows: who an address belongs to, so that copies, frees and pointer queries are checked
 * without asking the device process. Refuses to know: accounting and contents (the device
 * process has both), and how any family makes its memory.
 *
 * Threads: all functions from any thread; one rwlock, held for the call alone and never
 * while calling out. Results are copies.
 */
#ifndef SIM_RANGES_H
#define SIM_RANGES_H

#include "driver/driver.h"

enum sim_origin {
	SIM_FROM_ALLOC, /* cuMemAlloc, Pitch, Managed, AllocHost, HostAlloc: freed by base */
	SIM_FROM_DRIVER, /* sim_mem_alloc(): globals, arrays ...; not the application's to free */
	SIM_FROM_POOL,	   /* a stream-ordered allocation; owner: pool.c's block */
	SIM_FROM_GRAPH,	   /* graph memory */
	SIM_FROM_MAP,	   /* a cuMemMap mapping; owner: vmm.c's handle */
	SIM_FROM_IPC,	   /* cuIpcOpenMemHandle */
	SIM_FROM_REGISTER, /* cuMemHostRegister; outside the arena */
};

#define SIM_ACCESS_READ 1u
#define SIM_ACCESS_WRITE 2u
#define SIM_NOWHERE INT32_MIN /* no preferred location, never prefetched */

struct sim_alloc {
	uint64_t base, bytes; /* as requested */
	uint64_t id; /* CU_POINTER_ATTRIBUTE_BUFFER_ID; set by sim_ranges_add() */
	enum sim_origin origin;
	enum sim_mem_kind kind; /* SIM_MEM_HOST: in host memory */
	unsigned device;
	struct sim_context *ctx; /* NULL: belongs to no context */
	unsigned flags;		 /* of HostAlloc, HostRegister, AllocManaged */
	unsigned access;	 /* SIM_ACCESS_*, of mappings; others have both */
	unsigned handle_types;	 /* CUmemAllocationHandleType it may be exported as */
	uint64_t pool;		 /* of stream-ordered memory: the CUmemoryPool */
	bool on_host;		 /* a mapping of host memory (kind is SIM_MEM_PLAIN) */
	bool sync_memops;
	void *owner; /* the family's */
	/* cuMemAdvise and prefetch, kept per allocation: device, -1 host, SIM_NOWHERE */
	int preferred, prefetched;
	bool read_mostly;
	uint32_t accessed_by; /* bit per device; bit 31: the host */
};

/* Adds a range (bytes > 0) that overlaps no other. 0 or -ENOMEM, -EEXIST on overlap. */
int sim_ranges_add(const struct sim_alloc *alloc);

/* Copies the range that holds the address; false if none does. */
bool sim_ranges_find(uint64_t addr, struct sim_alloc *alloc);

/* Copies any range that shares a byte with [addr, addr + bytes); false if none does. */
bool sim_ranges_overlap(uint64_t addr, uint64_t bytes, struct sim_alloc *alloc);

/* Replaces what is kept of the range that starts at alloc->base (which stays, as bytes
 * do). False if it has gone. */
bool sim_ranges_update(const struct sim_alloc *alloc);

/* Takes out the range that starts at base and has this origin; copies it to *alloc (may be
 * NULL). Of two threads that free the same memory one gets false. */
bool sim_ranges_remove(uint64_t base, enum sim_origin origin, struct sim_alloc *alloc);

/* Takes out all ranges of the context. Returns their number and in *list an array that the
 * caller frees (NULL if there are none). When there is no memory for the list the ranges
 * stay, and it returns 0. */
size_t sim_ranges_take(const struct sim_context *ctx, struct sim_alloc **list);

/* Whether [addr, addr + bytes) lies in one range, or in mappings that follow each other
 * without a gap, with this access throughout. *alloc (may be NULL) is the first range. */
bool sim_ranges_cover(uint64_t addr, uint64_t bytes, unsigned access,
		      struct sim_alloc *alloc);

#endif
