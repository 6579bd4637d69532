/*
 * rows.c - the devices of a tenant: which row of the ledger is whose.
 *
 * Knows UUIDs. Refuses to know limits; those who obey them show them in the row.
 *
 * No lock, so that nobody can die holding one: the row is taken by one exchange of `claim`,
 * and everything that follows may be done by any number of processes at once, and by the
 * next one if the first died. Rows are never given back, so all who look for a device
 * stop at the same row.
 */
#include "ledger/ledger.h"

#include <errno.h>

#include "base/atomic.h"

/* 64-bit FNV-1a, and never 0. Two devices of one node collide once in 2^63 pairs. */
static uint64_t hash(const uint8_t uuid[16])
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (unsigned i = 0; i < 16; i++)
		h = (h ^ uuid[i]) * UINT64_C(0x100000001b3);
	return h ? h : 1;
}

static void fill(struct gpushim_ledger_device *row, const uint8_t uuid[16])
{
	uint64_t unset = 0;
	uint32_t free = GPUSHIM_DEVICE_FREE;

	gsh_cas_relaxed(&row->state, &free, GPUSHIM_DEVICE_CLAIMED);
	for (unsigned i = 0; i < 16; i++)
		gsh_store_relaxed(&row->uuid[i], uuid[i]);
	/* Not if a faster one has already shown what it obeys. */
	gsh_cas_relaxed(&row->limit_bytes, &unset, GPUSHIM_UNLIMITED);
	/* Pairs with the acquire of those who read the row. */
	gsh_store_release(&row->state, GPUSHIM_DEVICE_READY);
}

int gsh_ledger_device(struct gsh_ledger *ledger, const uint8_t uuid[16],
		      uint64_t total_bytes)
{
	uint64_t claim = hash(uuid);

	for (int i = 0; i < (int)GPUSHIM_DEVICES_MAX; i++) {
		struct gpushim_ledger_device *row = &ledger->header->devices[i];
		uint64_t seen = 0;

		if (!gsh_cas_acq_rel(&row->claim, &seen, claim) && seen != claim)
			continue;
		if (gsh_load_acquire(&row->state) != GPUSHIM_DEVICE_READY)
			fill(row, uuid);
		gsh_store_relaxed(&row->total_bytes, total_bytes);
		return i;
	}
	return -ENOSPC;
}
