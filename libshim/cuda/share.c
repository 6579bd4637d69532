/* Memory that more than one process can keep alive; see share.h. */
#include "cuda/share.h"

#include "cuda/charge.h"
#include "cuda/hook.h"
#include "cuda/pages.h"

struct gsh_share {
	struct gsh_lock lock; /* guards marking an allocation as exported, and opened */
	/* Freed while somebody had imports: bytes by row and kind. Atomic. */
	uint64_t parked[GPUSHIM_DEVICES_MAX][GPUSHIM_KINDS_MAX];
	/* By address: exported as a descriptor, which may be anywhere for ever. */
	struct gsh_allocs described;
	/* By address: opened with cuIpcOpenMemHandle; bytes: times; row as if it were signed. */
	struct gsh_allocs opened;
};

static struct gsh_share *share_if_any(void)
{
	/* Pairs with the exchange in gsh_pages_once(). */
	return gsh_load_acquire(&gsh_process->share);
}

static struct gsh_share *share(void)
{
	return gsh_pages_once((void **)&gsh_process->share, sizeof(struct gsh_share));
}

static struct gsh_ledger *ledger(void)
{
	return &gsh_process->tenant.ledger;
}

/* ---- exports ---- */

bool gsh_share_prepare(void)
{
	return share() != NULL;
}

void gsh_share_export(uint64_t address, bool described)
{
	struct gsh_allocs *allocs = &gsh_process->allocs;
	struct gsh_share *shared = share();
	struct gsh_alloc alloc, old;
	bool first = false;

	if (!shared)
		return;
	gsh_lock(&shared->lock);
	if (gsh_allocs_find(allocs, GSH_ALLOC_POINTER, address, &alloc) ||
	    gsh_allocs_containing(allocs, address, &alloc)) {
		first = !alloc.exported &&
			gsh_allocs_mark_exported(allocs, GSH_ALLOC_POINTER, alloc.handle);
		if (described)
			gsh_allocs_add(&shared->described, &alloc, &old);
	}
	gsh_unlock(&shared->lock);
	if (first)
		gsh_ledger_export(ledger(), alloc.row, (int64_t)alloc.bytes);
}

void gsh_share_freed(const struct gsh_alloc *alloc)
{
	struct gsh_share *shared = share_if_any();
	struct gsh_alloc old;

	if (!shared) {
		gsh_charge_refund(alloc->row, (enum gpushim_kind)alloc->kind,
				  alloc->bytes);
		return;
	}
	if (gsh_allocs_take(&shared->described, GSH_ALLOC_POINTER, alloc->handle, &old))
		return;
	gsh_add_relaxed(&shared->parked[alloc->row][alloc->kind], alloc->bytes);
	gsh_share_settle(alloc->row);
}

bool gsh_share_settle(int row)
{
	struct gsh_share *shared = share_if_any();
	uint64_t parked = 0;

	if (!shared || row < 0)
		return false;
	for (unsigned kind = 0; kind < GPUSHIM_KIND_COUNT; kind++)
		parked += gsh_load_relaxed(&shared->parked[row][kind]);
	if (parked == 0 || gsh_ledger_has_imports(ledger(), (uint32_t)row))
		return false;
	for (unsigned kind = 0; kind < GPUSHIM_KIND_COUNT; kind++) {
		uint64_t bytes = gsh_swap_acquire(&shared->parked[row][kind], 0);

		gsh_ledger_export(ledger(), (uint32_t)row, -(int64_t)bytes);
		gsh_charge_refund(row, (enum gpushim_kind)kind, bytes);
	}
	return true;
}

/* ---- imports ---- */

void gsh_share_import(int row, int32_t count)
{
	int devices = 0;

	if (row >= 0) {
		gsh_ledger_import(ledger(), (uint32_t)row, count);
		if (count < 0)
			gsh_share_settle(row);
		return;
	}
	if (gsh_driver.call_cuDeviceGetCount)
		gsh_driver.call_cuDeviceGetCount(&devices);
	for (int i = 0; i < devices; i++) {
		row = gsh_device_row(i);
		if (row >= 0)
			gsh_share_import(row, count);
	}
}

void gsh_share_opened(uint64_t address, int row)
{
	struct gsh_share *shared = share();
	struct gsh_alloc entry = { .handle = address,
				   .bytes = 1,
				   .class = GSH_ALLOC_POINTER,
				   .row = (uint16_t)row };
	struct gsh_alloc old;

	if (!shared || !address)
		return;
	gsh_lock(&shared->lock);
	if (gsh_allocs_take(&shared->opened, GSH_ALLOC_POINTER, address, &old))
		entry.bytes += old.bytes;
	gsh_allocs_add(&shared->opened, &entry, &old);
	gsh_unlock(&shared->lock);
}

void gsh_share_closed(uint64_t address)
{
	struct gsh_share *shared = share_if_any();
	struct gsh_alloc entry, old;
	bool known;

	if (!shared)
		return;
	gsh_lock(&shared->lock);
	known = gsh_allocs_take(&shared->opened, GSH_ALLOC_POINTER, address, &entry);
	if (known && --entry.bytes > 0)
		gsh_allocs_add(&shared->opened, &entry, &old);
	gsh_unlock(&shared->lock);
	if (known)
		gsh_share_import((int16_t)entry.row, -1);
}
