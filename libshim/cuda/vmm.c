/* Physical memory that has handles and mappings; see vmm.h. */
#include "cuda/vmm.h"

#include "cuda/charge.h"
#include "cuda/hook.h"
#include "cuda/share.h"

struct gsh_vmm_memory {
	struct gsh_vmm_memory *next; /* in its bucket */
	uint64_t handle, bytes;
	uint32_t references, mappings;
	uint32_t calls; /* under way: it is not gone while there are any */
	uint32_t bound; /* mappings in the space of this handle */
	int16_t row;
	bool exported, imported;
};

struct gsh_vmm_mapping {
	struct gsh_vmm_mapping *next; /* in its bucket, or in a list */
	struct gsh_vmm_memory *memory;
	struct gsh_vmm_range range;
};

/* What is to be done about memory that has gone, when the lock is free. */
struct gone {
	uint64_t bytes;
	int row;
	bool refund, imported;
};

static struct gsh_vmm *vmm_if_any(void)
{
	/* Pairs with the exchange in gsh_pages_once(). */
	return gsh_load_acquire(&gsh_process->vmm);
}

static uint32_t hash(uint64_t a)
{
	return (uint32_t)((a * UINT64_C(0x9e3779b97f4a7c15)) >> 32) &
	       (GSH_VMM_BUCKETS - 1);
}

static struct gsh_vmm_mapping **mapping_bucket(struct gsh_vmm *vmm,
					       const struct gsh_vmm_range *range)
{
	return &vmm->mappings[hash(range->start + range->space * 31 +
				   (uint64_t)(uint32_t)range->device * 17)];
}

/* ---- under the lock ---- */

/*
 * The memory of a handle: the one that has references, since a handle whose memory lives by
 * its mappings alone may have been given out again. mapped: that one will do, too.
 */
static struct gsh_vmm_memory *find(struct gsh_vmm *vmm, uint64_t handle, bool mapped)
{
	struct gsh_vmm_memory *second = NULL;

	for (struct gsh_vmm_memory *m = vmm->memories[hash(handle)]; m; m = m->next) {
		if (m->handle != handle)
			continue;
		if (m->references > 0)
			return m;
		if (mapped && m->mappings > 0)
			second = m;
	}
	return second;
}

static void unlink_memory(struct gsh_vmm *vmm, struct gsh_vmm_memory *memory)
{
	struct gsh_vmm_memory **at = &vmm->memories[hash(memory->handle)];

	while (*at != memory)
		at = &(*at)->next;
	*at = memory->next;
}

static void drop_bound(struct gsh_vmm *vmm, uint64_t space, struct gone *gone);

/* A call is over, or a mapping gone: the memory too, if that was the last. */
static void settle(struct gsh_vmm *vmm, struct gsh_vmm_memory *memory, struct gone *gone)
{
	if (memory->references > 0 || memory->mappings > 0 || memory->calls > 0)
		return;
	unlink_memory(vmm, memory);
	if (memory->bound > 0)
		drop_bound(vmm, memory->handle, gone);
	/* Several may go in one call, all of the rows that they lie on. */
	gone[memory->row].imported |= memory->imported;
	if (!memory->exported)
		gone[memory->row].bytes += memory->bytes;
	gone[memory->row].row = memory->row;
	gsh_pieces_give(&vmm->memory_pieces, memory);
}
