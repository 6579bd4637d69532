/*
 * busy.c - the union of intervals in bounded memory.
 *
 * Knows intervals and nothing of what they mean.
 *
 * When memory is short two neighbours are joined whose common length is smallest compared
 * with their age. Lengths so grow with age like a geometric series: they reach from
 * microseconds to hours, and a long kernel that is reported after thousands of short ones
 * beside it still finds how much of its time those covered.
 */
#include "policy/busy.h"

#include <stdbool.h>
#include <string.h>

static uint64_t lower(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t higher(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t length(const struct gsh_busy_span *span)
{
	return span->end_ns - span->begin_ns;
}

static bool whole(const struct gsh_busy_span *span)
{
	return span->covered_ns == length(span);
}

/* Of a span that begins no later than it ends, what [begin, end) has in common with it. */
static uint64_t common(const struct gsh_busy_span *span, uint64_t begin_ns,
		       uint64_t end_ns)
{
	uint64_t from = higher(span->begin_ns, begin_ns);
	uint64_t to = lower(span->end_ns, end_ns);

	return to > from ? to - from : 0;
}

/* How much of `part_ns` of a span is covered. Rounded down, so parts never exceed the whole. */
static uint64_t share(const struct gsh_busy_span *span, uint64_t part_ns)
{
	if (whole(span) || part_ns == length(span))
		return lower(part_ns, span->covered_ns);
	return lower(part_ns, (uint64_t)((double)span->covered_ns * (double)part_ns /
					 (double)length(span)));
}

uint64_t gsh_busy_open(const struct gsh_busy *busy, uint64_t begin_ns, uint64_t end_ns)
{
	uint64_t open_ns;

	if (end_ns <= begin_ns)
		return 0;
	open_ns = end_ns - begin_ns;
	for (uint32_t i = busy->count; i-- > 0 && busy->spans[i].end_ns > begin_ns;)
		open_ns -= share(&busy->spans[i],
				 common(&busy->spans[i], begin_ns, end_ns));
	return open_ns;
}

/* Joins the two neighbours that are shortest for their age; there are more than two spans. */
static void join_two(struct gsh_busy_span *spans, uint32_t *count)
{
	uint64_t newest_ns = spans[*count - 1].end_ns;
	double least = 2;
	uint32_t at = 0;

	for (uint32_t i = 0; i + 1 < *count; i++) {
		double ratio = (double)(spans[i + 1].end_ns - spans[i].begin_ns) /
			       (double)(newest_ns - spans[i].begin_ns);

		if (ratio < least) {
			least = ratio;
			at = i;
		}
	}
	spans[at].end_ns = spans[at + 1].end_ns;
	spans[at].covered_ns += spans[at + 1].covered_ns;
	memmove(&spans[at + 1], &spans[at + 2], (*count - at - 2) * sizeof(spans[0]));
	--*count;
}

/* A part of a span that the new interval leaves as it is; without cover it is dropped. */
static void keep_part(struct gsh_busy_span *kept, uint32_t *count,
		      const struct gsh_busy_span *span, uint64_t begin_ns,
		      uint64_t end_ns)
{
	uint64_t covered_ns = share(span, end_ns - begin_ns);

	if (covered_ns)
		kept[(*count)++] = (struct gsh_busy_span){ begin_ns, end_ns, covered_ns };
}

/* Everything but the simple case of an interval after all others. */
static void weave(struct gsh_busy *busy, uint64_t begin_ns, uint64_t end_ns)
{
	struct gsh_busy_span kept[GSH_BUSY_SPANS + 3];
	struct gsh_busy_span added = { begin_ns, end_ns, 0 };
	uint32_t count = 0, i = 0;

	for (; i < busy->count && busy->spans[i].begin_ns <= end_ns; i++) {
		const struct gsh_busy_span *span = &busy->spans[i];

		if (span->end_ns < begin_ns) {
			kept[count++] = *span;
		} else if (whole(span)) {
			added.begin_ns = lower(added.begin_ns, span->begin_ns);
			added.end_ns = higher(added.end_ns, span->end_ns);
		} else {
			if (span->begin_ns < begin_ns)
				keep_part(kept, &count, span, span->begin_ns,
					  lower(span->end_ns, begin_ns));
			if (span->end_ns > end_ns)
				break;
		}
	}
	added.covered_ns = added.end_ns - added.begin_ns;
	kept[count++] = added;
	/* Broken off: a span of which the end stays. */
	if (i < busy->count && busy->spans[i].begin_ns <= end_ns) {
		keep_part(kept, &count, &busy->spans[i],
			  higher(busy->spans[i].begin_ns, end_ns), busy->spans[i].end_ns);
		i++;
	}
	for (; i < busy->count; i++)
		kept[count++] = busy->spans[i];
	while (count > GSH_BUSY_SPANS)
		join_two(kept, &count);
	memcpy(busy->spans, kept, count * sizeof(kept[0]));
	busy->count = count;
}

uint64_t gsh_busy_add(struct gsh_busy *busy, uint64_t begin_ns, uint64_t end_ns)
{
	uint64_t open_ns = gsh_busy_open(busy, begin_ns, end_ns);
	struct gsh_busy_span *last = busy->count ? &busy->spans[busy->count - 1] : NULL;

	if (end_ns <= begin_ns)
		return 0;
	if (last && last->end_ns == begin_ns && whole(last)) {
		last->end_ns = end_ns;
		last->covered_ns += open_ns;
	} else if ((!last || last->end_ns < begin_ns) && busy->count < GSH_BUSY_SPANS) {
		busy->spans[busy->count++] = (struct gsh_busy_span){ begin_ns, end_ns,
								     open_ns };
	} else {
		weave(busy, begin_ns, end_ns);
	}
	return open_ns;
}

uint64_t gsh_busy_fill(struct gsh_busy *busy, uint64_t from_ns, uint64_t want_ns)
{
	uint64_t filled_ns = 0;

	for (uint32_t i = busy->count; i-- > 0 && busy->spans[i].begin_ns >= from_ns;) {
		struct gsh_busy_span *span = &busy->spans[i];
		uint64_t before_ns = i > 0 ? higher(span[-1].end_ns, from_ns)
					   : span->begin_ns;
		uint64_t within_ns = lower(length(span) - span->covered_ns,
					   want_ns - filled_ns);
		uint64_t hole_ns = lower(span->begin_ns - before_ns,
					 want_ns - filled_ns - within_ns);

		span->begin_ns -= hole_ns;
		span->covered_ns += within_ns + hole_ns;
		filled_ns += within_ns + hole_ns;
	}
	return filled_ns;
}
