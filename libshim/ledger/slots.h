/*
 * slots.h - whose slot is whose: descriptors, locks, and what is done under them.
 *
 * Inside libshim/ledger only. Knows the locks of gpushim/ledger.h; knows no quota.
 *
 * Locks belong to open file descriptions. The one at ledger->fd is inherited by forked
 * children, who keep the process' slot by it, and everything else that it has locked. So
 * other slots are cleared under a description made for the moment: whoever is killed while
 * he clears gives up that lock, whatever children he leaves behind.
 */
#ifndef GSH_LEDGER_SLOTS_H
#define GSH_LEDGER_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "ledger/ledger.h"

/* ---- descriptors (descriptor.c) ---- */

/* Whether fd still is the ledger: a program may close or reuse numbers that it never opened. */
bool gsh_descriptor_is_ledger(const struct gsh_ledger *ledger, int fd);

/*
 * Another description of the ledger's file, for a moment. -1 if the file cannot be opened
 * any more. With a mapping, because one that is only mapped survives closefrom(3).
 */
struct gsh_second {
	int fd;
	void *page; /* NULL: not mapped */
};
int gsh_second_open(const struct gsh_ledger *ledger, struct gsh_second *second);
/* Closes the number; the mapping keeps the locks until gsh_second_unmap(). */
void gsh_second_close_number(const struct gsh_ledger *ledger, struct gsh_second *second);
void gsh_second_unmap(void *page);
void gsh_second_close(const struct gsh_ledger *ledger, struct gsh_second *second);

/* ---- locks (slots.c): 0, -EAGAIN if somebody else has it, or another -errno ---- */

enum gsh_slot_holder {
	GSH_SLOT_UNHELD,
	GSH_SLOT_OWNED,
	GSH_SLOT_BEING_CLEARED, /* nobody's, or not yet */
	GSH_SLOT_UNKNOWN,	/* fd cannot tell: take it for owned */
};
/* Who holds a slot, as seen from a description that does not. */
enum gsh_slot_holder gsh_slot_holder(int fd, uint32_t slot);

int gsh_slot_lock_clearing(int fd, uint32_t slot);
void gsh_slot_unlock(int fd, uint32_t slot);

/*
 * The process itself, whose children may have its slot: whether it has died, and the right
 * to finish what it was doing.
 */
bool gsh_slot_process_died(int fd, uint32_t slot);
int gsh_slot_lock_process(int fd, uint32_t slot);
void gsh_slot_unlock_process(int fd, uint32_t slot);

/*
 * Takes a free slot for this process: ledger->slot, ->own, ->life. 0; -EUSERS: all are taken;
 * or the error of a file system without locks. Reason in *why.
 */
int gsh_slot_claim(struct gsh_ledger *ledger, struct gsh_reason *why);

/* ---- clearing (reap.c) ---- */

/* Every device, for gsh_reap(). */
#define GSH_REAP_ALL UINT32_MAX

struct gsh_reaped {
	uint32_t slots;	   /* from which something was taken */
	bool withdrew;	   /* what somebody was about to have when he died */
	bool others_clear; /* somebody else was clearing a slot, and may not be done */
};

/*
 * Looks at the liveness of each slot that holds something on the device (GSH_REAP_ALL: of
 * each slot) and clears the dead ones. Keeps errno.
 */
struct gsh_reaped gsh_reap(struct gsh_ledger *ledger, uint32_t device);

/*
 * Takes from a slot what nobody keeps alive any more, and frees it or makes it an orphan.
 * `keep` says for each device whether exported memory stays. The caller holds the slot's
 * lock. True if the charges became less or the state changed. May be repeated after a death
 * at any point of it; charges only shrink.
 */
bool gsh_slot_clear(struct gsh_ledger *ledger, uint32_t slot,
		    const bool keep[GPUSHIM_DEVICES_MAX]);

/* Clears and frees this process' slot, which has none then: ledger->own is NULL. */
void gsh_slot_leave(struct gsh_ledger *ledger);

static inline struct gpushim_ledger_cell *gsh_ledger_cell(const struct gsh_ledger *ledger,
							  uint32_t device, uint32_t slot)
{
	unsigned char *file = (unsigned char *)ledger->header;

	return (void *)(file + gpushim_ledger_cell_offset(device, slot));
}

/* Slots to look at. Bounded: the file is the tenant's to scribble on. */
static inline uint32_t gsh_ledger_slots_used(const struct gsh_ledger *ledger)
{
	uint32_t used = gsh_load_acquire(&ledger->header->slots_used);

	return used < GPUSHIM_SLOTS_MAX ? used : GPUSHIM_SLOTS_MAX;
}

#endif
