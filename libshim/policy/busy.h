/*
 * busy.h - how long a device was busy with one context: the union of intervals.
 *
 * Streams overlap, so the sum of what their launches took is more than the time they took of
 * the device. Intervals come from events, stream by stream, so out of order: a little as a
 * rule, by much where one stream's long kernel runs beside many short ones of another.
 *
 * Pure. Not thread-safe. Nanoseconds on any one clock of the device.
 */
#ifndef GSH_POLICY_BUSY_H
#define GSH_POLICY_BUSY_H

#include <stdint.h>

enum { GSH_BUSY_SPANS = 64 };

/*
 * covered_ns of [begin_ns, end_ns): all of it where one stretch was busy. Where there were
 * too many spans two neighbours became one with the sum of both, and where in it that time
 * lies is forgotten; such spans are short compared with their age.
 */
struct gsh_busy_span {
	uint64_t begin_ns, end_ns, covered_ns;
};

/* All zero: nothing covered. About 1.5 KB. */
struct gsh_busy {
	uint32_t count;
	uint32_t reserved;
	struct gsh_busy_span spans[GSH_BUSY_SPANS]; /* disjoint, ascending */
};

/*
 * Adds [begin_ns, end_ns) and returns how much of it was not covered yet: exactly while no
 * spans had to be joined, and for intervals that contain those that were. Of an interval
 * that cuts through joined ones, as much as if their time lay evenly in them.
 * end <= begin: 0.
 */
uint64_t gsh_busy_add(struct gsh_busy *busy, uint64_t begin_ns, uint64_t end_ns);

/*
 * Covers up to want_ns of what is still open between intervals, the latest first, and not
 * before from_ns. Returns how much.
 */
uint64_t gsh_busy_fill(struct gsh_busy *busy, uint64_t from_ns, uint64_t want_ns);

/* What gsh_busy_add() would return; adds nothing. */
uint64_t gsh_busy_open(const struct gsh_busy *busy, uint64_t begin_ns, uint64_t end_ns);

#endif
