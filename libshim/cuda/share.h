/*
 * share.h - memory that more than one process can keep alive.
 *
 * Imports add nothing: the memory is charged to whoever exported it. What was exported stays
 * charged after its release: to the end of the process if a descriptor may be anywhere; if
 * it was cuIpcGetMemHandle, as long as a process of the tenant has imports on the device.
 *
 * Refuses to know mappings (vmm.h) and pools (pool.h), which carry their own mark.
 * ACTIVE mode only. Any thread.
 */
#ifndef GSH_CUDA_SHARE_H
#define GSH_CUDA_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda/allocs.h"

/* Before the driver exports something: false, the system has no memory to remember it. */
bool gsh_share_prepare(void);
/*
 * The driver has exported the allocation (of the map, GSH_ALLOC_POINTER) that contains
 * address; described: as a descriptor.
 */
void gsh_share_export(uint64_t address, bool described);

/*
 * For whoever takes an allocation with `exported` set out of the map and has had the driver
 * free it: refunds it now or later. To be called instead of gsh_charge_refund().
 */
void gsh_share_freed(const struct gsh_alloc *alloc);

/* Refunds what nobody can have imported any more. True if there was some. */
bool gsh_share_settle(int row);

/* ---- counting imports, on one device or, where it is not known, on all ---- */

enum { GSH_SHARE_ALL = -1 };

void gsh_share_import(int row, int32_t count);

/* cuIpcOpenMemHandle has returned an address, counted on row; and it was closed. */
void gsh_share_opened(uint64_t address, int row);
void gsh_share_closed(uint64_t address);

#endif
