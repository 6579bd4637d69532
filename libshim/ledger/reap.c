/*
 * reap.c - what the dead leave behind.
 *
 * Knows when a slot is dead, what of its charge others keep alive, and how to take the rest
 * from it so that a death in the middle does no harm. Refuses to know limits.
 */
#include "ledger/slots.h"

#include <errno.h>

#include "base/atomic.h"

struct scan {
	struct gsh_ledger *ledger;
	uint32_t used;
	int query; /* for F_OFD_GETLK */
	struct gsh_second second;
	struct gsh_reaped reaped;
};

/* Charges that other processes can keep alive are among these. */
static const enum gpushim_kind shared_first[] = { GPUSHIM_KIND_VMM, GPUSHIM_KIND_POOL };

/* Lowers kind_bytes to `keep` at most; what they leave of it is linear. */
static void keep_kinds(struct gpushim_ledger_cell *cell, uint64_t keep)
{
	uint64_t left[GPUSHIM_KINDS_MAX] = { 0 };

	for (unsigned i = 0; i < sizeof(shared_first) / sizeof(shared_first[0]); i++) {
		unsigned kind = shared_first[i];
		uint64_t bytes = gsh_load_relaxed(&cell->kind_bytes[kind]);

		left[kind] = bytes < keep ? bytes : keep;
		keep -= left[kind];
	}
	for (unsigned kind = 0; kind < GPUSHIM_KINDS_MAX; kind++)
		gsh_store_relaxed(&cell->kind_bytes[kind], left[kind]);
}

/* What is left of it is display, but nobody may take its work in flight for unfinished. */
static void clear_use(struct gpushim_ledger_use *use)
{
	uint64_t *words = (uint64_t *)use;

	for (unsigned i = 0; i < sizeof(*use) / sizeof(*words); i++)
		gsh_store_relaxed(&words[i], 0);
}

bool gsh_slot_clear(struct gsh_ledger *ledger, uint32_t slot,
		    const bool keep[GPUSHIM_DEVICES_MAX])
{
	uint32_t *state = &ledger->slots[slot].state;
	uint32_t before = gsh_load_relaxed(state), after = GPUSHIM_SLOT_FREE;
	bool changed = false;

	for (uint32_t device = 0; device < GPUSHIM_DEVICES_MAX; device++) {
		struct gpushim_ledger_cell *cell = gsh_ledger_cell(ledger, device, slot);
		uint64_t charged = gsh_load_relaxed(&cell->charged);
		uint64_t exported = gsh_load_relaxed(&cell->exported_bytes);
		uint64_t kept = !keep[device]	     ? 0
				: exported < charged ? exported
						     : charged;

		changed |= kept < charged || gsh_load_relaxed(&cell->pending) > 0;
		/* In this order, and visible in it: who sums at this moment reads `pending`
		 * first. `exported_bytes` last: the next one decides by it if we die before. */
		gsh_store_release(&cell->charged, kept);
		gsh_store_release(&cell->pending, 0);
		keep_kinds(cell, kept);
		gsh_store_relaxed(&cell->imports, 0);
		gsh_store_relaxed(&cell->exported_bytes, kept);
		clear_use(gsh_ledger_use(ledger, device, slot));
		if (kept > 0)
			after = GPUSHIM_SLOT_ORPHAN;
	}
	/* Pairs with the acquire of whoever looks for a free slot. */
	gsh_store_release(state, after);
	return changed || before != after;
}

static bool scan_begin(struct scan *scan, struct gsh_ledger *ledger)
{
	*scan = (struct scan){ .ledger = ledger,
			       .used = gsh_ledger_slots_used(ledger),
			       .query = ledger->fd,
			       .second = { .fd = -1 } };
	if (gsh_descriptor_is_ledger(ledger, ledger->fd))
		return true;
	if (gsh_second_open(ledger, &scan->second) < 0)
		return false;
	scan->query = scan->second.fd;
	return true;
}

static void scan_end(struct scan *scan)
{
	if (scan->second.fd >= 0)
		gsh_second_close(scan->ledger, &scan->second);
}

/*
 * Where other slots are locked from. Our own description, of which forked children have a
 * copy, only if the file cannot be opened again (chroot, changed user): better a slot that
 * waits for a child than a refusal of what fits.
 */
static int clearing_fd(struct scan *scan)
{
	if (scan->second.fd < 0 && gsh_second_open(scan->ledger, &scan->second) < 0)
		return scan->query;
	return scan->second.fd;
}

static bool is_alive(const struct scan *scan, uint32_t slot)
{
	enum gsh_slot_holder holder;

	if (slot == scan->ledger->slot)
		return true;
	holder = gsh_slot_holder(scan->query, slot);
	return holder == GSH_SLOT_OWNED || holder == GSH_SLOT_UNKNOWN;
}

static bool imported_by_the_living(const struct scan *scan, uint32_t device)
{
	for (uint32_t slot = 0; slot < scan->used; slot++)
		/* Pairs with the increment before an import. */
		if (gsh_load_seq_cst(
			    &gsh_ledger_cell(scan->ledger, device, slot)->imports) > 0 &&
		    gsh_load_acquire(&scan->ledger->slots[slot].state) ==
			    GPUSHIM_SLOT_LIVE &&
		    is_alive(scan, slot))
			return true;
	return false;
}

static void find_kept(const struct scan *scan, uint32_t slot,
		      bool keep[GPUSHIM_DEVICES_MAX])
{
	for (uint32_t device = 0; device < GPUSHIM_DEVICES_MAX; device++)
		keep[device] = gsh_load_relaxed(
				       &gsh_ledger_cell(scan->ledger, device, slot)
						->exported_bytes) > 0 &&
			       imported_by_the_living(scan, device);
}

static void clear_dead(struct scan *scan, uint32_t slot)
{
	bool keep[GPUSHIM_DEVICES_MAX];
	int fd = clearing_fd(scan), locked = gsh_slot_lock_clearing(fd, slot);

	if (locked < 0) {
		/* Somebody was faster; what he does to it is not done yet. */
		scan->reaped.others_clear |= locked == -EAGAIN;
		return;
	}
	find_kept(scan, slot, keep);
	/* Only now is it certain that what was asked and locked was the ledger, and not a
	 * file that the program has opened under a number that it had closed. */
	if (!gsh_descriptor_is_ledger(scan->ledger, scan->query) ||
	    !gsh_descriptor_is_ledger(scan->ledger, fd))
		return;
	if (gsh_load_acquire(&scan->ledger->slots[slot].state) != GPUSHIM_SLOT_FREE &&
	    gsh_slot_clear(scan->ledger, slot, keep))
		scan->reaped.slots++;
	gsh_slot_unlock(fd, slot);
}

static bool holds_something(const struct scan *scan, uint32_t device, uint32_t slot)
{
	const struct gpushim_ledger_cell *cell;

	if (device == GSH_REAP_ALL)
		return true;
	cell = gsh_ledger_cell(scan->ledger, device, slot);
	return gsh_load_relaxed(&cell->charged) > 0 ||
	       gsh_load_relaxed(&cell->pending) > 0;
}

static bool has_pending(const struct gsh_ledger *ledger, uint32_t slot)
{
	for (uint32_t device = 0; device < GPUSHIM_DEVICES_MAX; device++)
		if (gsh_load_relaxed(&gsh_ledger_cell(ledger, device, slot)->pending) > 0)
			return true;
	return false;
}

/* Children keep what their parent had, but not what he was about to have when he died. */
static void withdraw_for(struct scan *scan, uint32_t slot)
{
	int fd = clearing_fd(scan);

	if (gsh_slot_lock_process(fd, slot) < 0)
		return;
	/* Whoever takes the slot anew stores its state under this lock. */
	if (gsh_load_acquire(&scan->ledger->slots[slot].state) == GPUSHIM_SLOT_LIVE &&
	    gsh_descriptor_is_ledger(scan->ledger, fd)) {
		for (uint32_t device = 0; device < GPUSHIM_DEVICES_MAX; device++)
			gsh_store_relaxed(
				&gsh_ledger_cell(scan->ledger, device, slot)->pending, 0);
		scan->reaped.withdrew = true;
	}
	gsh_slot_unlock_process(fd, slot);
}

static void look_at(struct scan *scan, uint32_t slot)
{
	switch (gsh_slot_holder(scan->query, slot)) {
	case GSH_SLOT_UNHELD:
		clear_dead(scan, slot);
		break;
	case GSH_SLOT_BEING_CLEARED:
		scan->reaped.others_clear = true;
		break;
	case GSH_SLOT_OWNED:
		if (has_pending(scan->ledger, slot) &&
		    gsh_slot_process_died(scan->query, slot))
			withdraw_for(scan, slot);
		break;
	case GSH_SLOT_UNKNOWN:
		break;
	}
}

static bool is_kept_in_full(const struct scan *scan, uint32_t slot)
{
	bool keep[GPUSHIM_DEVICES_MAX];

	find_kept(scan, slot, keep);
	for (uint32_t device = 0; device < GPUSHIM_DEVICES_MAX; device++)
		if (!keep[device] &&
		    gsh_load_relaxed(
			    &gsh_ledger_cell(scan->ledger, device, slot)->charged) > 0)
			return false;
	return true;
}

struct gsh_reaped gsh_reap(struct gsh_ledger *ledger, uint32_t device)
{
	struct scan scan = { .reaped = { 0 } };
	int saved = errno;

	/* Held over system calls that do not wait for anybody. */
	gsh_lock(&ledger->reap_lock);
	if (scan_begin(&scan, ledger)) {
		for (uint32_t slot = 0; slot < scan.used; slot++) {
			uint32_t state = gsh_load_acquire(&ledger->slots[slot].state);

			if (slot != ledger->slot && state != GPUSHIM_SLOT_FREE &&
			    state != GPUSHIM_SLOT_ORPHAN &&
			    holds_something(&scan, device, slot))
				look_at(&scan, slot);
		}
		/* After the dead, whose imports keep nothing. */
		for (uint32_t slot = 0; slot < scan.used; slot++)
			if (gsh_load_acquire(&ledger->slots[slot].state) ==
				    GPUSHIM_SLOT_ORPHAN &&
			    holds_something(&scan, device, slot) &&
			    !is_kept_in_full(&scan, slot))
				clear_dead(&scan, slot);
	}
	scan_end(&scan);
	gsh_unlock(&ledger->reap_lock);
	if (scan.reaped.slots > 0 && ledger->own)
		gsh_add_relaxed(&ledger->own->reaped_slots, scan.reaped.slots);
	errno = saved;
	return scan.reaped;
}

void gsh_slot_leave(struct gsh_ledger *ledger)
{
	bool keep[GPUSHIM_DEVICES_MAX] = { false };
	uint32_t slot = ledger->slot;
	struct scan scan;

	/* Not one of the living any more. */
	gsh_second_unmap(ledger->life);
	ledger->life = NULL;
	ledger->own = NULL;
	ledger->slot = UINT32_MAX;
	if (scan_begin(&scan, ledger))
		find_kept(&scan, slot, keep);
	gsh_slot_clear(ledger, slot, keep);
	/* Explicitly: forked children have the descriptor too. */
	if (gsh_descriptor_is_ledger(ledger, ledger->fd))
		gsh_slot_unlock(ledger->fd, slot);
	scan_end(&scan);
}

uint32_t gsh_ledger_reap(struct gsh_ledger *ledger)
{
	return gsh_reap(ledger, GSH_REAP_ALL).slots;
}

static bool anybody_imported(const struct gsh_ledger *ledger, uint32_t device)
{
	uint32_t used = gsh_ledger_slots_used(ledger);

	/* Pairs with the increment before an import. */
	for (uint32_t slot = 0; slot < used; slot++)
		if (gsh_load_seq_cst(&gsh_ledger_cell(ledger, device, slot)->imports) > 0)
			return true;
	return false;
}

bool gsh_ledger_has_imports(struct gsh_ledger *ledger, uint32_t device)
{
	if (!anybody_imported(ledger, device))
		return false;
	if (gsh_load_seq_cst(&gsh_ledger_cell(ledger, device, ledger->slot)->imports) > 0)
		return true;
	/* Clears the imports of the dead with their slots. */
	gsh_reap(ledger, GSH_REAP_ALL);
	return anybody_imported(ledger, device);
}
