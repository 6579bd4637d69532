/*
 * ring.h - ten minutes of history, a point for each second.
 *
 * Pure: time is an argument. A second in which nothing was put in is unknown, and drawn as a
 * gap. One thread at a time.
 */
#ifndef GSH_TOOLS_TOP_RING_H
#define GSH_TOOLS_TOP_RING_H

#include <stdint.h>

enum {
	TOP_RING_SECONDS = 600,
	TOP_RING_UNKNOWN = UINT16_MAX, /* of a point; else 0 to 1000 */
};

enum top_series { TOP_SERIES_MEMORY, TOP_SERIES_SHARE, TOP_SERIES };

/* All zero is empty. */
struct top_ring {
	uint64_t newest_s; /* second of the newest point, plus one; 0: none yet */
	uint16_t points[TOP_SERIES][TOP_RING_SECONDS];
};

/*
 * Takes what holds at now_ns; values beyond 1000 are kept as 1000. The last of a second
 * stays. Going back in time (a recording seen again) starts over.
 */
void top_ring_put(struct top_ring *ring, uint64_t now_ns, uint16_t memory_permille,
		  uint16_t share_permille);

/* Of age_s seconds ago, 0 being the second of now_ns; TOP_RING_UNKNOWN if nothing is known. */
uint16_t top_ring_at(const struct top_ring *ring, enum top_series series, uint64_t now_ns,
		     unsigned age_s);

#endif
