/*
 * ring.c - ten minutes of history; see ring.h.
 */
#include "top/ring.h"

#include <string.h>

#define SECOND_NS UINT64_C(1000000000)

enum { FULL_PERMILLE = 1000 };

static uint16_t bounded(uint16_t permille)
{
	return permille == TOP_RING_UNKNOWN || permille < FULL_PERMILLE ? permille
									: FULL_PERMILLE;
}

static void set(struct top_ring *ring, uint64_t second, uint16_t memory, uint16_t share)
{
	ring->points[TOP_SERIES_MEMORY][second % TOP_RING_SECONDS] = memory;
	ring->points[TOP_SERIES_SHARE][second % TOP_RING_SECONDS] = share;
}

void top_ring_put(struct top_ring *ring, uint64_t now_ns, uint16_t memory_permille,
		  uint16_t share_permille)
{
	uint64_t now_s = now_ns / SECOND_NS;

	if (ring->newest_s == 0 || now_s + 1 < ring->newest_s ||
	    now_s - (ring->newest_s - 1) > TOP_RING_SECONDS) {
		memset(ring->points, 0xff, sizeof(ring->points));
		ring->newest_s = now_s + 1;
	}
	for (; ring->newest_s <= now_s; ring->newest_s++)
		set(ring, ring->newest_s, TOP_RING_UNKNOWN, TOP_RING_UNKNOWN);
	set(ring, now_s, bounded(memory_permille), bounded(share_permille));
}

uint16_t top_ring_at(const struct top_ring *ring, enum top_series series, uint64_t now_ns,
		     unsigned age_s)
{
	uint64_t now_s = now_ns / SECOND_NS, second = now_s - age_s;

	if (ring->newest_s == 0 || age_s > now_s || second >= ring->newest_s ||
	    ring->newest_s - second > TOP_RING_SECONDS)
		return TOP_RING_UNKNOWN;
	return ring->points[series][second % TOP_RING_SECONDS];
}
