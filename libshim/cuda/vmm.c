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
	uint16_t row;
	bool exported, imported;
};

struct gsh_vmm_mapping {
	struct gsh_vmm_mapping *next;	 /* in its bucket, or in a list */
	struct gsh_vmm_mapping *leaving; /* among those that are being unmapped */
	struct gsh_vmm_memory *memory;
	struct gsh_vmm_range range;
};

/* By row, what has gone: refunded when the lock is free. */
struct gone {
	uint64_t bytes[GPUSHIM_DEVICES_MAX];
	int32_t imports[GPUSHIM_DEVICES_MAX];
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

static void refund(const struct gone *gone)
{
	for (int row = 0; row < (int)GPUSHIM_DEVICES_MAX; row++) {
		gsh_charge_refund(row, GPUSHIM_KIND_VMM, gone->bytes[row]);
		if (gone->imports[row])
			gsh_share_import(row, -gone->imports[row]);
	}
}

/* ---- under the lock ---- */

/*
 * The memory of a handle: that which has references, since a handle whose memory lives by
 * its mappings alone may have been given out again. mapped: then the other will do.
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

static void link_memory(struct gsh_vmm *vmm, struct gsh_vmm_memory *memory)
{
	struct gsh_vmm_memory **bucket = &vmm->memories[hash(memory->handle)];

	memory->next = *bucket;
	*bucket = memory;
}

static void unlink_memory(struct gsh_vmm *vmm, struct gsh_vmm_memory *memory)
{
	struct gsh_vmm_memory **at = &vmm->memories[hash(memory->handle)];

	while (*at != memory)
		at = &(*at)->next;
	*at = memory->next;
}

static struct gsh_vmm_mapping **bucket_of(struct gsh_vmm *vmm, uint64_t space,
					  int32_t device, uint64_t start)
{
	return &vmm->mappings[hash(start + space * 31 + (uint64_t)(uint32_t)device * 17)];
}

static struct gsh_vmm_mapping **link_of(struct gsh_vmm *vmm, uint64_t space,
					int32_t device, uint64_t start)
{
	struct gsh_vmm_mapping **at = bucket_of(vmm, space, device, start);

	while (*at && ((*at)->range.start != start || (*at)->range.space != space ||
		       (*at)->range.device != device))
		at = &(*at)->next;
	return at;
}

static void drop_bound(struct gsh_vmm *vmm, uint64_t space, struct gone *gone);

/* A call is over, or a mapping gone: the memory too, if nothing else is left of it. */
static void settle(struct gsh_vmm *vmm, struct gsh_vmm_memory *memory, struct gone *gone)
{
	if (memory->references > 0 || memory->mappings > 0 || memory->calls > 0)
		return;
	unlink_memory(vmm, memory);
	if (memory->bound > 0)
		drop_bound(vmm, memory->handle, gone);
	gone->imports[memory->row] += memory->imported;
	if (!memory->exported)
		gone->bytes[memory->row] += memory->bytes;
	gsh_pieces_give(&vmm->memory_pieces, memory);
}

/* A multicast object has gone, and with it what was bound to it. */
static void drop_bound(struct gsh_vmm *vmm, uint64_t space, struct gone *gone)
{
	for (uint32_t i = 0; i < GSH_VMM_BUCKETS; i++) {
		struct gsh_vmm_mapping **at = &vmm->mappings[i];

		while (*at) {
			struct gsh_vmm_mapping *mapping = *at;

			if (mapping->range.space != space) {
				at = &mapping->next;
				continue;
			}
			*at = mapping->next;
			mapping->memory->mappings--;
			settle(vmm, mapping->memory, gone);
			gsh_pieces_give(&vmm->mapping_pieces, mapping);
		}
	}
}

static void count_bound(struct gsh_vmm *vmm, uint64_t space, bool more)
{
	struct gsh_vmm_memory *team = space ? find(vmm, space, true) : NULL;

	if (team && more)
		team->bound++;
	else if (team && team->bound > 0)
		team->bound--;
}

/* ---- handles ---- */

struct gsh_vmm_memory *gsh_vmm_prepare(void)
{
	struct gsh_vmm *vmm = gsh_pages_once((void **)&gsh_process->vmm, sizeof(*vmm));
	struct gsh_vmm_memory *memory;

	if (!vmm)
		return NULL;
	gsh_lock(&vmm->lock);
	memory = gsh_pieces_take(&vmm->memory_pieces, sizeof(*memory));
	gsh_unlock(&vmm->lock);
	return memory;
}

void gsh_vmm_not_made(struct gsh_vmm_memory *memory)
{
	struct gsh_vmm *vmm = vmm_if_any();

	gsh_lock(&vmm->lock);
	gsh_pieces_give(&vmm->memory_pieces, memory);
	gsh_unlock(&vmm->lock);
}

void gsh_vmm_made(struct gsh_vmm_memory *memory, uint64_t handle, int row, uint64_t bytes)
{
	struct gsh_vmm *vmm = vmm_if_any();

	gsh_lock(&vmm->lock);
	memory->handle = handle;
	memory->row = (uint16_t)row;
	memory->bytes = bytes;
	memory->references = 1;
	link_memory(vmm, memory);
	gsh_unlock(&vmm->lock);
}

bool gsh_vmm_referenced(struct gsh_vmm_memory *fresh, uint64_t handle, int row)
{
	struct gsh_vmm *vmm = vmm_if_any();
	struct gsh_vmm_memory *known;

	gsh_lock(&vmm->lock);
	known = find(vmm, handle, true);
	if (known) {
		known->references++;
		gsh_pieces_give(&vmm->memory_pieces, fresh);
	} else {
		fresh->handle = handle;
		fresh->row = (uint16_t)row;
		fresh->references = 1;
		fresh->imported = true;
		link_memory(vmm, fresh);
	}
	gsh_unlock(&vmm->lock);
	return known;
}

struct gsh_vmm_memory *gsh_vmm_release_begin(uint64_t handle)
{
	struct gsh_vmm *vmm = vmm_if_any();
	struct gsh_vmm_memory *memory;

	if (!vmm)
		return NULL;
	gsh_lock(&vmm->lock);
	memory = find(vmm, handle, false);
	if (memory) {
		memory->references--;
		memory->calls++;
	}
	gsh_unlock(&vmm->lock);
	return memory;
}

void gsh_vmm_release_end(struct gsh_vmm_memory *memory, bool gone)
{
	struct gsh_vmm *vmm = vmm_if_any();
	struct gone all = { { 0 }, { 0 } };

	if (!memory)
		return;
	gsh_lock(&vmm->lock);
	memory->calls--;
	if (!gone)
		memory->references++;
	settle(vmm, memory, &all);
	gsh_unlock(&vmm->lock);
	refund(&all);
}

/* ---- exports ---- */

struct gsh_vmm_memory *gsh_vmm_export_begin(uint64_t handle)
{
	struct gsh_vmm *vmm = vmm_if_any();
	struct gsh_vmm_memory *memory;

	if (!vmm)
		return NULL;
	gsh_lock(&vmm->lock);
	memory = find(vmm, handle, false);
	if (memory)
		memory->calls++;
	gsh_unlock(&vmm->lock);
	return memory;
}

static struct gsh_vmm_memory *mapped_at(struct gsh_vmm *vmm, uint64_t address)
{
	struct gsh_vmm_mapping *first = *link_of(vmm, 0, 0, address);

	if (first)
		return first->memory;
	for (uint32_t i = 0; i < GSH_VMM_BUCKETS; i++)
		for (struct gsh_vmm_mapping *m = vmm->mappings[i]; m; m = m->next)
			if (m->range.space == 0 &&
			    address - m->range.start < m->range.bytes)
				return m->memory;
	for (struct gsh_vmm_mapping *m = vmm->leaving; m; m = m->leaving)
		if (m->range.space == 0 && address - m->range.start < m->range.bytes)
			return m->memory;
	return NULL;
}

static struct gsh_vmm_memory *hold_mapped(uint64_t address)
{
	struct gsh_vmm *vmm = vmm_if_any();
	struct gsh_vmm_memory *memory;

	if (!vmm)
		return NULL;
	gsh_lock(&vmm->lock);
	memory = mapped_at(vmm, address);
	if (memory)
		memory->calls++;
	gsh_unlock(&vmm->lock);
	return memory;
}

struct gsh_vmm_memory *gsh_vmm_export_mapped_begin(uint64_t address)
{
	return hold_mapped(address);
}

struct gsh_vmm_memory *gsh_vmm_retain_begin(uint64_t address)
{
	return hold_mapped(address);
}

void gsh_vmm_retain_end(struct gsh_vmm_memory *memory, uint64_t handle)
{
	struct gsh_vmm *vmm = vmm_if_any();
	struct gsh_vmm_memory *retained = memory;
	struct gone all = { { 0 }, { 0 } };

	if (!vmm)
		return;
	gsh_lock(&vmm->lock);
	/* Somebody may have mapped other memory there meanwhile. */
	if (handle && (!memory || memory->handle != handle))
		retained = find(vmm, handle, true);
	if (handle && retained)
		retained->references++;
	if (memory) {
		memory->calls--;
		settle(vmm, memory, &all);
	}
	gsh_unlock(&vmm->lock);
	refund(&all);
}

void gsh_vmm_export_end(struct gsh_vmm_memory *memory, bool exported)
{
	struct gsh_vmm *vmm = vmm_if_any();
	struct gone all = { { 0 }, { 0 } };

	if (!memory)
		return;
	gsh_lock(&vmm->lock);
	if (exported && !memory->exported) {
		memory->exported = true;
		gsh_ledger_export(&gsh_process->tenant.ledger, memory->row,
				  (int64_t)memory->bytes);
	}
	memory->calls--;
	settle(vmm, memory, &all);
	gsh_unlock(&vmm->lock);
	refund(&all);
}

/* ---- mappings ---- */

static bool new_mapping(struct gsh_vmm *vmm, struct gsh_vmm_memory *memory,
			struct gsh_vmm_mapping **mapping)
{
	if (!memory)
		return true;
	*mapping = gsh_pieces_take(&vmm->mapping_pieces, sizeof(**mapping));
	if (!*mapping)
		return false;
	(*mapping)->memory = memory;
	memory->mappings++;
	memory->calls++;
	return true;
}

bool gsh_vmm_map_begin(uint64_t handle, struct gsh_vmm_mapping **mapping)
{
	struct gsh_vmm *vmm = vmm_if_any();
	bool possible;

	*mapping = NULL;
	if (!vmm)
		return true;
	gsh_lock(&vmm->lock);
	possible = new_mapping(vmm, find(vmm, handle, false), mapping);
	gsh_unlock(&vmm->lock);
	return possible;
}

bool gsh_vmm_bind_begin(uint64_t address, struct gsh_vmm_mapping **mapping)
{
	struct gsh_vmm *vmm = vmm_if_any();
	bool possible;

	*mapping = NULL;
	if (!vmm)
		return true;
	gsh_lock(&vmm->lock);
	possible = new_mapping(vmm, mapped_at(vmm, address), mapping);
	gsh_unlock(&vmm->lock);
	return possible;
}

void gsh_vmm_map_end(struct gsh_vmm_mapping *mapping, const struct gsh_vmm_range *range,
		     bool mapped)
{
	struct gsh_vmm *vmm = vmm_if_any();
	struct gsh_vmm_mapping **bucket;
	struct gone all = { { 0 }, { 0 } };

	if (!mapping)
		return;
	gsh_lock(&vmm->lock);
	mapping->memory->calls--;
	if (mapped) {
		mapping->range = *range;
		bucket = bucket_of(vmm, range->space, range->device, range->start);
		mapping->next = *bucket;
		*bucket = mapping;
		count_bound(vmm, range->space, true);
	} else {
		mapping->memory->mappings--;
		settle(vmm, mapping->memory, &all);
		gsh_pieces_give(&vmm->mapping_pieces, mapping);
	}
	gsh_unlock(&vmm->lock);
	refund(&all);
}

static void take_mapping(struct gsh_vmm *vmm, struct gsh_vmm_mapping **at,
			 struct gsh_vmm_mapping **list)
{
	struct gsh_vmm_mapping *mapping = *at;

	*at = mapping->next;
	mapping->memory->mappings--;
	mapping->memory->calls++;
	count_bound(vmm, mapping->range.space, false);
	mapping->next = *list;
	*list = mapping;
	/* Until the driver has done so, another thread may take a handle by its address. */
	mapping->leaving = vmm->leaving;
	vmm->leaving = mapping;
}

static void has_left(struct gsh_vmm *vmm, const struct gsh_vmm_mapping *mapping)
{
	struct gsh_vmm_mapping **at = &vmm->leaving;

	while (*at != mapping)
		at = &(*at)->leaving;
	*at = mapping->leaving;
}

/* Those that begin inside the range, wherever: some in it are not known. */
static void take_all_within(struct gsh_vmm *vmm, const struct gsh_vmm_range *range,
			    struct gsh_vmm_mapping **list)
{
	for (uint32_t i = 0; i < GSH_VMM_BUCKETS; i++) {
		struct gsh_vmm_mapping **at = &vmm->mappings[i];

		while (*at)
			if ((*at)->range.space == range->space &&
			    (*at)->range.device == range->device &&
			    (*at)->range.start - range->start < range->bytes)
				take_mapping(vmm, at, list);
			else
				at = &(*at)->next;
	}
}

struct gsh_vmm_mapping *gsh_vmm_unmap_begin(const struct gsh_vmm_range *range)
{
	struct gsh_vmm *vmm = vmm_if_any();
	struct gsh_vmm_mapping *list = NULL, **at;
	uint64_t done = 0;

	if (!vmm)
		return NULL;
	gsh_lock(&vmm->lock);
	while (done < range->bytes) {
		at = link_of(vmm, range->space, range->device, range->start + done);
		if (!*at || (*at)->range.bytes > range->bytes - done)
			break;
		done += (*at)->range.bytes;
		take_mapping(vmm, at, &list);
	}
	if (done < range->bytes)
		take_all_within(vmm, range, &list);
	gsh_unlock(&vmm->lock);
	return list;
}

void gsh_vmm_unmap_end(struct gsh_vmm_mapping *list, bool gone)
{
	struct gsh_vmm *vmm = vmm_if_any();
	struct gone all = { { 0 }, { 0 } };

	if (!list)
		return;
	gsh_lock(&vmm->lock);
	while (list) {
		struct gsh_vmm_mapping *mapping = list, **bucket;

		list = mapping->next;
		has_left(vmm, mapping);
		mapping->memory->calls--;
		if (gone) {
			settle(vmm, mapping->memory, &all);
			gsh_pieces_give(&vmm->mapping_pieces, mapping);
			continue;
		}
		mapping->memory->mappings++;
		count_bound(vmm, mapping->range.space, true);
		bucket = bucket_of(vmm, mapping->range.space, mapping->range.device,
				   mapping->range.start);
		mapping->next = *bucket;
		*bucket = mapping;
	}
	gsh_unlock(&vmm->lock);
	refund(&all);
}
