/*
 * common_lane.h - a stream, and how far the device has come in it, without waiting.
 *
 * Knows: that an event which is complete proves all launches before it.
 * Refuses to know: what is launched, and when to stop.
 */
#ifndef EX_COMMON_LANE_H
#define EX_COMMON_LANE_H

#include <stdint.h>

#include <cuda.h>

enum { EX_LANE_MARKS = 2048 };

/* Zero-initialise, then set stream. One thread at a time. */
struct ex_lane {
	CUstream stream;
	uint64_t launched; /* counted by the user of the lane, before ex_lane_mark */
	uint64_t finished; /* that many are, at least; advanced by ex_lane_reap */
	struct ex_lane_mark {
		CUevent event; /* made when first used */
		uint64_t launched;
	} marks[EX_LANE_MARKS];
	/* Pending are first <= mark < last, modulo EX_LANE_MARKS. */
	uint64_t first, last;
	uint64_t marked_ns;
};

/* Call after a launch with the time: now and then it records an event. Often enough to tell
 * how far the device is, too seldom to be a load of its own. */
void ex_lane_mark(struct ex_lane *lane, uint64_t now_ns);

/* Advances lane->finished over the marks that the device has passed. Does not block. */
void ex_lane_reap(struct ex_lane *lane);

/* Destroys the events, not the stream. */
void ex_lane_fini(struct ex_lane *lane);

#endif
