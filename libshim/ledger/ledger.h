/*
 * ledger.h - a tenant's ledger as one of its processes uses it.
 *
 * Knows the file, the mapping, this process' slot, and who else is alive. Knows nothing of
 * CUDA, of policies, and of where limits come from. Format: gpushim/ledger.h.
 *
 * A dead process' charge must not go before the driver has its memory back. When a process
 * ends, Linux (since 4.4) releases open files in the reverse order in which it comes upon
 * them: first it unmaps memory, then it closes descriptors in ascending order. So what only
 * a mapping keeps open is released last of all, and a low number after a high one (tried:
 * with a number above the driver's the lock was gone first in 104 of 300 kills, with one
 * below it and with a mapping in none). Hence the slot's lock is held by a descriptor that is
 * opened before the driver opens its own, close-on-exec and inherited by forked children; and
 * the process' own lock by a mapping that is not inherited. Either says that the slot is alive.
 * A mapping also keeps the lock when the program closes descriptors that are not its own
 * (closefrom(3)).
 *
 * Threads: all functions but open may be called by any thread at any time.
 * Fork: a child must not use its parent's struct gsh_ledger (its mapping is not there); it
 * opens one of its own.
 */
#ifndef GSH_LEDGER_LEDGER_H
#define GSH_LEDGER_LEDGER_H

#include <stddef.h>
#include <stdint.h>

#include "base/lock.h"
#include "base/text.h"
#include "gpushim/ledger.h"
#include "policy/quota.h"

struct gsh_ledger {
	struct gpushim_ledger_header *header; /* the mapping */
	struct gpushim_ledger_slot *slots;
	struct gpushim_ledger_slot *own; /* slots[slot] */
	void *life; /* a page mapped to keep the lock that says that this process lives */
	uint32_t slot;
	int fd;
	uint64_t file_device, file_inode; /* to know the descriptor again */
	struct gsh_lock reap_lock;	  /* guards taking the locks of others' slots */
	char path[512];
};

/*
 * Opens the ledger at path for tenant, creating it (and its directories, if they can be
 * created safely) where it is missing, maps it and takes a slot. Refused, with -errno and
 * the reason: links, files that are not regular, of wrong size, version or tenant, on a file
 * system without room, owned by another user in a per-user directory, or with all slots
 * alive (-EUSERS).
 */
int gsh_ledger_open(struct gsh_ledger *ledger, const char *path, const char *tenant,
		    struct gsh_reason *why);

/* Creates the file if it is missing, without taking a slot: for tools. mode as in fchmod. */
int gsh_ledger_create(const char *path, const char *tenant, uint32_t mode,
		      struct gsh_reason *why);

/* Row of a device, made if it is new. Returns its index, or -ENOSPC when all are taken. */
int gsh_ledger_device(struct gsh_ledger *ledger, const uint8_t uuid[16],
		      uint64_t total_bytes);

/*
 * Reserves bytes on a device under limit_bytes (a limit less what was measured beyond the
 * ledger), waiting for others and reaping dead slots before it refuses. Returns 0, or
 * -ENOMEM. Charges kind and counts an allocation. May sleep up to GSH_QUOTA_PATIENCE_NS and
 * a little, if somebody stands in the way. Without neighbours: no system call, no clock.
 */
int gsh_ledger_reserve(struct gsh_ledger *ledger, uint32_t device, enum gpushim_kind kind,
		       uint64_t bytes, uint64_t limit_bytes);

/* Charges what the driver has already taken, whatever the limit. Counts no allocation. */
void gsh_ledger_force(struct gsh_ledger *ledger, uint32_t device, enum gpushim_kind kind,
		      uint64_t bytes);

/* Gives back, never below zero, and counts a free. */
void gsh_ledger_refund(struct gsh_ledger *ledger, uint32_t device, enum gpushim_kind kind,
		       uint64_t bytes);

/* Sum of charges of all processes on the device. No system call, no lock. */
uint64_t gsh_ledger_used(const struct gsh_ledger *ledger, uint32_t device);

/* Counts a refusal in this process' slot. */
void gsh_ledger_denied(struct gsh_ledger *ledger, uint64_t bytes);

/* Marks bytes of this process' charge as shared with, or not any more with, others. */
void gsh_ledger_export(struct gsh_ledger *ledger, uint32_t device, int64_t bytes);
/* Counts what this process imported. */
void gsh_ledger_import(struct gsh_ledger *ledger, uint32_t device, int32_t count);
/* Whether any live process of the tenant, this one included, has imports on the device. */
bool gsh_ledger_has_imports(struct gsh_ledger *ledger, uint32_t device);

/* Parts of the mapping; device is a row below GPUSHIM_DEVICES_MAX. */
static inline struct gpushim_ledger_bucket *gsh_ledger_bucket(
	const struct gsh_ledger *ledger, uint32_t device)
{
	return (struct gpushim_ledger_bucket *)((char *)ledger->header +
						GPUSHIM_LEDGER_BUCKETS_OFFSET) +
	       device;
}

static inline struct gpushim_ledger_use *gsh_ledger_use(const struct gsh_ledger *ledger,
							uint32_t device, uint32_t slot)
{
	return (struct gpushim_ledger_use *)((char *)ledger->header +
					     gpushim_ledger_use_offset(device, slot));
}

static inline struct gpushim_ledger_cost *gsh_ledger_cost(const struct gsh_ledger *ledger,
							  uint32_t row)
{
	return (struct gpushim_ledger_cost *)((char *)ledger->header +
					      GPUSHIM_LEDGER_COSTS_OFFSET) +
	       row;
}

static inline struct gpushim_ledger_wall *gsh_ledger_wall(const struct gsh_ledger *ledger,
							  uint32_t device)
{
	return (struct gpushim_ledger_wall *)((char *)ledger->header +
					      GPUSHIM_LEDGER_WALLS_OFFSET) +
	       device;
}

/* Clears the slots of dead processes. Returns how many were cleared. */
uint32_t gsh_ledger_reap(struct gsh_ledger *ledger);

/*
 * Whether a process, or children of one, own a slot of the ledger open at fd (also
 * read-only). One that is only being cleared is not alive. True where fd cannot tell.
 */
bool gsh_ledger_slot_alive(int fd, uint32_t slot);

/* Gives up the slot and the mapping: for tests and tools. A guest just exits. */
void gsh_ledger_close(struct gsh_ledger *ledger);

#endif
