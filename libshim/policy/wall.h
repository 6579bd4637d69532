/*
 * wall.h - stretches of wall time for which some process of a tenant has been charged.
 *
 * While processes of one tenant hold the device in turns, an event bracket of each shows the
 * turns of the others as well; together they took no more than the union of their brackets.
 * The wall, in the tenant's ledger, is that union over its processes: a ring of 2.1 s, a bit
 * for 8 us.
 *
 * Guarantees, for any number of threads and processes on the same wall, whatever is killed
 * where: the sum of what is newly covered of overlapping intervals is their union, to 8 us
 * for each interval; time that the ring has forgotten, or that lies ahead of what it holds, is new.
 * Words that somebody scribbled on cover at most the 2.1 s in which they count.
 *
 * Pure. Nanoseconds of one clock that all processes share (CLOCK_MONOTONIC).
 */
#ifndef GSH_POLICY_WALL_H
#define GSH_POLICY_WALL_H

#include <stdint.h>

#include "gpushim/ledger.h"

/* Covers [begin_ns, end_ns), and returns how much of it was not covered; end <= begin: 0. */
uint64_t gsh_wall_cover(struct gpushim_ledger_wall *wall, uint64_t begin_ns,
			uint64_t end_ns);

#endif
