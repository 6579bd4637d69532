/*
 * process.h - what a process that uses CUDA keeps: the real driver's entry points, the
 * tenant's account, and what this process has allocated.
 *
 * All of it that belongs to one process image lies in one mapping that fork wipes
 * (MADV_WIPEONFORK; where the kernel lacks it, the pid is compared): a forked child finds
 * zeroes, hence unlocked locks and GSH_MODE_NEW, and starts an account of its own with its
 * first CUDA call. Its copy of the parent's descriptor keeps the parent's slot alive.
 */
#ifndef GSH_CUDA_PROCESS_H
#define GSH_CUDA_PROCESS_H

#include <stdint.h>

#include "base/atomic.h"
#include "cuda/allocs.h"
#include "cuda/context.h"
#include "ledger/tenant.h"

enum gsh_mode {
	GSH_MODE_NEW = 0, /* nothing done yet */
	GSH_MODE_TRANSPARENT, /* not configured: every call is passed on, nothing is tracked */
	GSH_MODE_CLOSED, /* configured, but without a valid policy: nothing is allowed */
	GSH_MODE_ACTIVE,
};

struct gsh_process {
	uint32_t mode;		    /* atomic, stored last; enum gsh_mode */
	uint32_t pid;		    /* where fork does not wipe */
	struct gsh_lock start_lock; /* guards the way from NEW to another mode */
	struct gsh_tenant tenant;
	struct gsh_allocs allocs;
	/* By CUDA ordinal: row of the ledger plus one; 0: not asked yet. Atomic. */
	uint32_t device_row[64];
	/* Of other modules; each has its own all-zero start. */
	struct gsh_pools *pools;   /* pool.c */
	struct gsh_graphs *graphs; /* graph.c */
	struct gsh_vmm *vmm;	   /* vmm.c */
	struct gsh_share *share;   /* share.c */
	struct gsh_meter *meter;   /* meter.c */
	struct gsh_contexts contexts;
	struct gsh_reason closed_why;
};

/* NULL until the first CUDA call of this process or of an ancestor. */
extern struct gsh_process *gsh_process;

/*
 * The slow way: finds the driver, reads the configuration, opens the account. Called from
 * gsh_enter() alone. Never fails: what cannot be done makes the mode CLOSED. Defined by
 * shim.c, which alone knows the environment.
 */
enum gsh_mode gsh_process_start(void);

/*
 * The memory for gsh_process, mapped and published by the first who asks: all zero but pid,
 * mode GSH_MODE_NEW. NULL: the system has none. For gsh_process_start() alone. process.c
 */
struct gsh_process *gsh_process_memory(void);

/* True where fork does not wipe and this is a child. process.c */
extern uint32_t gsh_compare_pid;
int gsh_process_is_stale(const struct gsh_process *process);

/*
 * To be called first in every hook that does more than pass on. Afterwards gsh_process is
 * set, and in ACTIVE mode its tenant may be used. One load and a branch or two.
 */
static inline enum gsh_mode gsh_enter(void)
{
	struct gsh_process *process = gsh_load_acquire(&gsh_process);
	uint32_t mode;

	if (gsh_likely(process)) {
		/* Pairs with the release store at the end of gsh_process_start(). */
		mode = gsh_load_acquire(&process->mode);
		if (gsh_likely(mode) &&
		    gsh_likely(!gsh_compare_pid || !gsh_process_is_stale(process)))
			return (enum gsh_mode)mode;
	}
	return gsh_process_start();
}

/*
 * Row of a device in the tenant's ledger: >= 0, or a CUresult to return, negated. ordinal
 * is the CUdevice. ACTIVE mode only. device.c
 */
int gsh_device_row(int ordinal);
/* Of the calling thread's current context. */
int gsh_device_row_current(void);

#endif
