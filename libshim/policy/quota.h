/*
 * quota.h - whether a tenant may have n bytes more: the protocol over the ledger's cells.
 *
 * Pure: no I/O, no clock, no system call. Time is an argument; the memory is the caller's
 * (a mapped ledger, or an array in a test). gpushim/ledger.h states the protocol in prose.
 *
 * Guarantees, for any number of processes and threads that use these functions on the same
 * cells, whatever is preempted, stopped or killed where:
 *   - the sum of `charged` over all cells, forced charges aside, never exceeds the limit that
 *     all reservations are made under (while it is being changed: the largest of those in
 *     use);
 *   - a reservation is denied only if at some instant during the call(s) the charges of
 *     others and itself, without it, left no room for it, or if somebody else's reservation
 *     has been in progress without moving for GSH_QUOTA_PATIENCE_NS and would leave none
 *     (it counts even if it was stopped with its charge made and its pending not yet gone);
 *   - nobody waits for somebody who waits for him: nothing is left pending between calls, and
 *     callers that rest for different times get through one after another.
 */
#ifndef GSH_POLICY_QUOTA_H
#define GSH_POLICY_QUOTA_H

#include <stdint.h>

#include "gpushim/ledger.h"

/*
 * How long another's unfinished reservation is waited for before it counts as charged. It
 * takes less than a microsecond; who stays in it was preempted, or stopped by a signal. On
 * two cores, busy threads were seen to be preempted for up to 24 ms where there were 8 of
 * them, 190 ms with 16 at nice 19, 560 ms with 32. Waiting too long costs something only
 * when a process was stopped within that microsecond; too short is a wrong refusal.
 */
#define GSH_QUOTA_PATIENCE_NS UINT64_C(2000000000)

/* No device has more: larger requests are denied, and sums of smaller ones do not overflow. */
#define GSH_QUOTA_REQUEST_MAX (UINT64_C(1) << 52)

/* How many stalled reservations of others are told apart. */
enum { GSH_QUOTA_STALLS_MAX = 3 };

/* The cells of one device. Borrows both pointers. */
struct gsh_quota {
	struct gpushim_ledger_cell *cells;
	const uint32_t *cells_used; /* atomic; how many of them to look at */
};

enum gsh_quota_verdict {
	GSH_QUOTA_GRANTED, /* charged; settle with gsh_quota_refund() if it is not used */
	GSH_QUOTA_DENIED,
	/*
	 * Somebody stood in the way: rest a moment (not all for the same time) and call
	 * again. He may be dead: his slot is to be reaped before patience runs out.
	 */
	GSH_QUOTA_AGAIN,
};

/* A cell in which a reservation was seen that has not moved since. */
struct gsh_quota_stall {
	uint32_t number;    /* of the cell, plus one; 0: this place is free */
	uint32_t moves;	    /* of the cell when it was seen first: see quota.c */
	uint32_t waited_us; /* since then, while the waiter himself was awake */
};

/*
 * One reservation, over the calls that it takes. All zero before the first; small, because
 * each allocation clears one.
 */
struct gsh_quota_try {
	uint64_t used_bytes; /* charges seen at the verdict, those granted included */
	uint64_t looked_ns;  /* when others last stood in the way */
	uint32_t calls;
	struct gsh_quota_stall stalls[GSH_QUOTA_STALLS_MAX];
};

/*
 * Reserves bytes in cell `own` if with them the charges do not exceed limit_bytes
 * (GPUSHIM_UNLIMITED: always granted, if the sum fits into 64 bits). 0 bytes are granted.
 * Nothing is left pending when it returns. now_ns may be 0 in the first call of a try: it
 * is only looked at once somebody stands in the way.
 */
enum gsh_quota_verdict gsh_quota_reserve(const struct gsh_quota *quota, uint32_t own,
					 uint64_t bytes, uint64_t limit_bytes,
					 uint64_t now_ns, struct gsh_quota_try *attempt);

/* Adds bytes that the driver has already taken, whatever the limit says. */
void gsh_quota_force(const struct gsh_quota *quota, uint32_t own, uint64_t bytes);

/* Gives back what cell `own` has charged; never below zero (returns what it lacked). */
uint64_t gsh_quota_refund(const struct gsh_quota *quota, uint32_t own, uint64_t bytes);

/* Sum of charges, each cell read once. */
uint64_t gsh_quota_used(const struct gsh_quota *quota);

#endif
