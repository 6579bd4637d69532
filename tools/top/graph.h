/*
 * graph.h - history as text: braille patterns, or ASCII where that is all there is. Pure.
 *
 * The newest stands to the right. What is not known is blank; 0 is a line at the bottom.
 */
#ifndef GSH_TOOLS_TOP_GRAPH_H
#define GSH_TOOLS_TOP_GRAPH_H

#include <stdbool.h>
#include <stddef.h>

#include "top/ring.h"

enum { TOP_GRAPH_WIDTH_MAX = 300 };

/* How many seconds fit into so many characters. */
unsigned top_graph_seconds(unsigned width, bool ascii);

/*
 * Line `line` of `height`, from the top, of a graph width characters wide: UTF-8, or ASCII.
 * text has room for 3 * width + 1 bytes. Returns text.
 */
const char *top_graph_line(char *text, const struct top_ring *ring,
			   enum top_series series, uint64_t now_ns, unsigned line,
			   unsigned height, unsigned width, bool ascii);

#endif
