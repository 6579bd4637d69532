/*
 * vmm.h - physical memory that has handles and mappings: cuMemCreate and its relatives.
 *
 * Memory goes when its last handle reference *and* its last mapping have gone, in either
 * order; what is bound to a multicast object counts as mapped. Imported memory is entered
 * with 0 bytes, since it is charged to whoever exported it; exported memory stays charged to
 * this process for good.
 *
 * Each call is in two steps, around the driver's. What a call takes away is taken before the
 * driver is asked, as another thread may be given the same handle or address right after,
 * and is put back if the driver refuses; the bytes are refunded when no call that concerns
 * them is under way any more.
 *
 * Knows the books alone, and never calls the driver. ACTIVE mode only. Any thread.
 */
#ifndef GSH_CUDA_VMM_H
#define GSH_CUDA_VMM_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda/allocs.h"
#include "cuda/pages.h"

struct gsh_vmm_memory;
struct gsh_vmm_mapping;

enum { GSH_VMM_BUCKETS = 8192 };

struct gsh_vmm {
	struct gsh_lock lock; /* guards all below */
	struct gsh_pieces memory_pieces, mapping_pieces;
	struct gsh_vmm_memory *memories[GSH_VMM_BUCKETS];  /* by handle */
	struct gsh_vmm_mapping *mappings[GSH_VMM_BUCKETS]; /* by space and start */
	struct gsh_vmm_mapping *leaving; /* taken from there, while the driver unmaps */
};

/* ---- handles ---- */

/* Room for a new handle before the driver makes it; NULL: the system has no memory. */
struct gsh_vmm_memory *gsh_vmm_prepare(void);
void gsh_vmm_not_made(struct gsh_vmm_memory *memory);
/* One reference. bytes of row were charged; 0: imported, or a team of devices. */
void gsh_vmm_made(struct gsh_vmm_memory *memory, uint64_t handle, int row,
		  uint64_t bytes);
/*
 * The driver has given out a handle again: one reference more. False: it is not known, and
 * `fresh` (from gsh_vmm_prepare(), otherwise given back) is entered as an import on row.
 */
bool gsh_vmm_referenced(struct gsh_vmm_memory *fresh, uint64_t handle, int row);

/*
 * Around cuMemRetainAllocationHandle: keeps what is mapped at an address as it is, and adds a
 * reference if that is the memory whose handle the driver has returned (0: none).
 */
struct gsh_vmm_memory *gsh_vmm_retain_begin(uint64_t address);
void gsh_vmm_retain_end(struct gsh_vmm_memory *memory, uint64_t handle);

/* Takes a reference away; NULL: the handle is not known. Then the second. */
struct gsh_vmm_memory *gsh_vmm_release_begin(uint64_t handle);
void gsh_vmm_release_end(struct gsh_vmm_memory *memory, bool gone);

/* Keeps it as it is during an export, and then marks it if it was exported. */
struct gsh_vmm_memory *gsh_vmm_export_begin(uint64_t handle);
/* The same for the memory that is mapped at an address. */
struct gsh_vmm_memory *gsh_vmm_export_mapped_begin(uint64_t address);
void gsh_vmm_export_end(struct gsh_vmm_memory *memory, bool exported);

/* ---- mappings ---- */

/* Space 0 is the process' addresses; else a multicast object's handle, for one device. */
struct gsh_vmm_range {
	uint64_t space;
	int32_t device; /* 0 in space 0 */
	uint64_t start, bytes;
};

/*
 * Before memory is mapped: true and *mapping; NULL if the handle is not known. False: the
 * system has no memory.
 */
bool gsh_vmm_map_begin(uint64_t handle, struct gsh_vmm_mapping **mapping);
/* The same for the memory that is mapped at an address. */
bool gsh_vmm_bind_begin(uint64_t address, struct gsh_vmm_mapping **mapping);
void gsh_vmm_map_end(struct gsh_vmm_mapping *mapping, const struct gsh_vmm_range *range,
		     bool mapped);

/* Takes all mappings in a range away: a list, NULL if there are none. Then the second. */
struct gsh_vmm_mapping *gsh_vmm_unmap_begin(const struct gsh_vmm_range *range);
void gsh_vmm_unmap_end(struct gsh_vmm_mapping *list, bool gone);

#endif
