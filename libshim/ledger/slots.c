/*
 * slots.c - the locks that say who lives, and taking a slot.
 *
 * Knows the byte of each slot and what a process says of itself. Refuses to know what the
 * dead leave behind.
 */
#include "ledger/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"

/*
 * An owner's lock is one byte long, that of somebody who clears the slot two: F_OFD_GETLK
 * reports the extent, so that a neighbour who is about to be refused does not take a slot
 * that is being cleared for one that is alive.
 */
enum { OWNER_BYTES = 1, CLEARING_BYTES = 2 };

/* Where the lock of the process itself lies, one byte long; two for who finishes for it. */
enum { PROCESS_BYTE = 2, LIFE_BYTES = 1, FINISHING_BYTES = 2 };

enum { CLAIM_ROUNDS = 8, CLAIM_REST_NS = 1000000 };

/* Through syscall(2): fcntl has a new version in newer C libraries. */
static int lock_call(int fd, int command, struct flock *lock)
{
	return syscall(SYS_fcntl, fd, command, lock) < 0 ? -errno : 0;
}

static int set_lock(int fd, short type, uint64_t start, uint64_t bytes)
{
	struct flock lock = { .l_type = type,
			      .l_whence = SEEK_SET,
			      .l_start = (off_t)start,
			      .l_len = (off_t)bytes };
	int res = lock_call(fd, F_OFD_SETLK, &lock);

	return res == -EACCES ? -EAGAIN : res;
}

/* The lock in the way of one on these bytes; l_type F_UNLCK: none. 0 or -errno. */
static int find_lock(int fd, uint64_t start, uint64_t bytes, struct flock *lock)
{
	*lock = (struct flock){ .l_type = F_WRLCK,
				.l_whence = SEEK_SET,
				.l_start = (off_t)start,
				.l_len = (off_t)bytes };
	return lock_call(fd, F_OFD_GETLK, lock);
}

/* Of a slot whose descriptor has gone: the process may still be about to end. */
static enum gsh_slot_holder life_holder(int fd, uint32_t slot)
{
	struct flock lock;

	if (find_lock(fd, gpushim_ledger_slot_offset(slot) + PROCESS_BYTE, LIFE_BYTES,
		      &lock) < 0)
		return GSH_SLOT_UNKNOWN;
	if (lock.l_type == F_UNLCK)
		return GSH_SLOT_UNHELD;
	return lock.l_len == FINISHING_BYTES ? GSH_SLOT_BEING_CLEARED : GSH_SLOT_OWNED;
}

enum gsh_slot_holder gsh_slot_holder(int fd, uint32_t slot)
{
	uint64_t start = gpushim_ledger_slot_offset(slot);
	struct flock lock;

	if (find_lock(fd, start, OWNER_BYTES, &lock) < 0)
		return GSH_SLOT_UNKNOWN;
	if (lock.l_type == F_UNLCK)
		return life_holder(fd, slot);
	if (lock.l_start == (off_t)start && lock.l_len == CLEARING_BYTES)
		return GSH_SLOT_BEING_CLEARED;
	return GSH_SLOT_OWNED;
}

bool gsh_ledger_slot_alive(int fd, uint32_t slot)
{
	enum gsh_slot_holder holder = gsh_slot_holder(fd, slot);

	return holder == GSH_SLOT_OWNED || holder == GSH_SLOT_UNKNOWN;
}

int gsh_slot_lock_clearing(int fd, uint32_t slot)
{
	return set_lock(fd, F_WRLCK, gpushim_ledger_slot_offset(slot), CLEARING_BYTES);
}

/* From clearing to owning. */
static int lock_own(int fd, uint32_t slot)
{
	return set_lock(fd, F_UNLCK, gpushim_ledger_slot_offset(slot) + OWNER_BYTES,
			CLEARING_BYTES - OWNER_BYTES);
}

void gsh_slot_unlock(int fd, uint32_t slot)
{
	set_lock(fd, F_UNLCK, gpushim_ledger_slot_offset(slot), CLEARING_BYTES);
}

bool gsh_slot_process_died(int fd, uint32_t slot)
{
	struct flock lock;

	return find_lock(fd, gpushim_ledger_slot_offset(slot) + PROCESS_BYTE, 1, &lock) ==
		       0 &&
	       lock.l_type == F_UNLCK;
}

/* The process' own lock, beside that of its slot. */
static int lock_life(int fd, uint32_t slot)
{
	return set_lock(fd, F_WRLCK, gpushim_ledger_slot_offset(slot) + PROCESS_BYTE,
			LIFE_BYTES);
}

int gsh_slot_lock_process(int fd, uint32_t slot)
{
	return set_lock(fd, F_WRLCK, gpushim_ledger_slot_offset(slot) + PROCESS_BYTE,
			FINISHING_BYTES);
}

void gsh_slot_unlock_process(int fd, uint32_t slot)
{
	set_lock(fd, F_UNLCK, gpushim_ledger_slot_offset(slot) + PROCESS_BYTE,
		 FINISHING_BYTES);
}

/* Inode of the namespace in which pids mean something: "pid:[4026531836]". */
static uint64_t pid_namespace(void)
{
	char link[64];
	uint64_t inode = 0;
	long n = syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/ns/pid", link,
			 sizeof(link));

	for (long i = 0; i < n; i++)
		if (link[i] >= '0' && link[i] <= '9')
			inode = inode * 10 + (uint64_t)(link[i] - '0');
	return inode;
}

/* The name of the process, or of this thread where /proc is not there. */
static void read_command(char command[16])
{
	long n = -1;
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/comm",
			      O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		n = syscall(SYS_read, fd, command, 15);
		syscall(SYS_close, fd);
	}
	if (n <= 0) {
		for (unsigned i = 0; i < 16; i++)
			command[i] = '\0';
		syscall(SYS_prctl, PR_GET_NAME, command, 0, 0, 0);
		n = 15;
	}
	for (long i = 0; i < 16; i++)
		if (i >= n || command[i] == '\n')
			command[i] = '\0';
}

static void introduce(struct gpushim_ledger_slot *own)
{
	own->pid = (uint32_t)syscall(SYS_getpid);
	own->pid_namespace = pid_namespace();
	own->start_unix_ns = gsh_clock_unix_ns();
	read_command(own->command);
	gsh_store_relaxed(&own->incarnation, gsh_load_relaxed(&own->incarnation) + 1);
#define FIELD(name, kind, text) gsh_store_relaxed(&own->name, 0);
#include "gpushim/ledger_fields.def"
}

/* Under the lock of a free slot. */
static void take(struct gsh_ledger *ledger, uint32_t slot)
{
	static const bool nothing[GPUSHIM_DEVICES_MAX];
	uint32_t used = gsh_load_relaxed(&ledger->header->slots_used);

	/* Holds nothing already, unless somebody scribbled on it. */
	gsh_slot_clear(ledger, slot, nothing);
	for (uint32_t i = 0; i < GPUSHIM_DEVICES_MAX; i++)
		gsh_store_relaxed(&gsh_ledger_cell(ledger, i, slot)->peak_bytes, 0);
	ledger->slot = slot;
	ledger->own = &ledger->slots[slot];
	introduce(ledger->own);
	/* Before the first charge: whoever sums cells looks at those below it. Pairs with the
	 * acquire in gsh_ledger_slots_used() and the load in the quota's sums. */
	while (used <= slot &&
	       !gsh_cas_acq_rel(&ledger->header->slots_used, &used, slot + 1))
		;
	lock_own(ledger->fd, slot);
	/* Pairs with the acquire of those who look for the dead. */
	gsh_store_release(&ledger->own->state, GPUSHIM_SLOT_LIVE);
}

/* 0: it is ours now; -EBUSY: it is not free; -EAGAIN: somebody else looks at it. */
static int try_slot(struct gsh_ledger *ledger, uint32_t slot, int life_fd)
{
	uint32_t *state = &ledger->slots[slot].state;
	int res;

	if (gsh_load_acquire(state) != GPUSHIM_SLOT_FREE)
		return -EBUSY;
	res = gsh_slot_lock_clearing(ledger->fd, slot);
	if (res < 0)
		return res;
	res = gsh_load_acquire(state) == GPUSHIM_SLOT_FREE ? lock_life(life_fd, slot)
							   : -EBUSY;
	if (res < 0)
		gsh_slot_unlock(ledger->fd, slot);
	else
		take(ledger, slot);
	return res;
}

static int no_locks(const struct gsh_ledger *ledger, int error, struct gsh_reason *why)
{
	char cause[64];
	struct gsh_text text;

	gsh_text_init(&text, cause, sizeof(cause));
	gsh_text_add_errno(&text, -error);
	gsh_reason_set(why, ledger->path, ": cannot be locked: ", cause, NULL);
	return error;
}

/* Takes the lowest slot that is free, or says -EUSERS or another error. */
static int take_one(struct gsh_ledger *ledger, int life_fd, struct gsh_reason *why)
{
	bool hope = true;

	for (unsigned round = 0; hope && round < CLAIM_ROUNDS; round++) {
		if (round > 0)
			gsh_clock_sleep_ns(CLAIM_REST_NS);
		hope = gsh_reap(ledger, GSH_REAP_ALL).others_clear;
		for (uint32_t slot = 0; slot < GPUSHIM_SLOTS_MAX; slot++) {
			int res = try_slot(ledger, slot, life_fd);

			if (res == 0)
				return 0;
			if (res != -EBUSY && res != -EAGAIN)
				return no_locks(ledger, res, why);
			hope |= res == -EAGAIN;
		}
	}
	gsh_reason_set(why, ledger->path,
		       ": every slot is taken by a process that is alive", NULL);
	return -EUSERS;
}

int gsh_slot_claim(struct gsh_ledger *ledger, struct gsh_reason *why)
{
	struct gsh_second life;
	int res = gsh_second_open(ledger, &life);

	if (res == 0 && !life.page)
		res = -ENOMEM;
	if (res < 0) {
		gsh_reason_set(why, ledger->path, ": cannot be opened twice", NULL);
		goto out;
	}
	res = take_one(ledger, life.fd, why);
	if (res < 0)
		goto out;
	ledger->life = life.page;
	gsh_second_close_number(ledger, &life);
	return 0;
out:
	gsh_second_close(ledger, &life);
	return res;
}
