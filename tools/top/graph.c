/*
 * graph.c - history as text; see graph.h.
 */
#include "top/graph.h"

enum { FULL_PERMILLE = 1000, DOTS = 4 /* of a braille pattern, one above the other */ };

unsigned top_graph_seconds(unsigned width, bool ascii)
{
	unsigned seconds = ascii ? width : 2 * width;

	return seconds < TOP_RING_SECONDS ? seconds : TOP_RING_SECONDS;
}

/*
 * How many of the steps of this line are filled, from below; -1: not known. Something is
 * never drawn as nothing: a step is filled from its first permille on.
 */
static int filled(const struct top_ring *ring, enum top_series series, uint64_t now_ns,
		  unsigned age_s, unsigned line, unsigned height, unsigned steps)
{
	uint16_t permille = top_ring_at(ring, series, now_ns, age_s);
	unsigned all = height * steps, below = (height - 1 - line) * steps, level;

	if (permille == TOP_RING_UNKNOWN)
		return -1;
	level = (permille * all + FULL_PERMILLE - 1) / FULL_PERMILLE;
	if (level <= below)
		return 0;
	return (int)(level - below < steps ? level - below : steps);
}

/* Dots of the left column of a pattern, from below; those of the right are elsewhere. */
static unsigned dots(int count, bool right, bool bottom)
{
	static const unsigned left_dots[] = { 0x40, 0x04, 0x02, 0x01 };
	static const unsigned right_dots[] = { 0x80, 0x20, 0x10, 0x08 };
	unsigned pattern = 0;

	if (count == 0 && bottom)
		count = 1;
	for (int i = 0; i < count; i++)
		pattern |= right ? right_dots[i] : left_dots[i];
	return pattern;
}

static char *put_braille(char *to, unsigned pattern)
{
	if (pattern == 0) {
		*to++ = ' ';
		return to;
	}
	*to++ = (char)0xe2;
	*to++ = (char)(0xa0 | pattern >> 6);
	*to++ = (char)(0x80 | (pattern & 0x3f));
	return to;
}

const char *top_graph_line(char *text, const struct top_ring *ring,
			   enum top_series series, uint64_t now_ns, unsigned line,
			   unsigned height, unsigned width, bool ascii)
{
	static const char levels[] = { ' ', '.', ':', '|' };
	bool bottom = line + 1 == height;
	char *to = text;

	for (unsigned x = 0; x < width; x++) {
		unsigned right = width - 1 - x;
		int count;

		if (ascii) {
			count = filled(ring, series, now_ns, right, line, height, 3);
			*to++ = count == 0 && bottom ? '_'
						     : levels[count < 0 ? 0 : count];
			continue;
		}
		count = filled(ring, series, now_ns, 2 * right + 1, line, height, DOTS);
		to = put_braille(to, dots(count, false, bottom) |
					     dots(filled(ring, series, now_ns, 2 * right,
							 line, height, DOTS),
						  true, bottom));
	}
	*to = '\0';
	return text;
}
