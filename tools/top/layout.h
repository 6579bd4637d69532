/*
 * layout.h - where things stand on a screen of a given size. Pure: it draws nothing.
 *
 * Any size is allowed. What does not fit is left out, the least important first; nothing
 * overlaps, and nothing reaches beyond the screen.
 */
#ifndef GSH_TOOLS_TOP_LAYOUT_H
#define GSH_TOOLS_TOP_LAYOUT_H

#include "top/view.h"

/* Rows and columns of the screen from 0; height or width 0: it is not shown. */
struct top_box {
	int y, x, height, width;
};

struct top_cell {
	enum top_column column;
	int x, width;
};

struct top_layout {
	int height, width;
	struct top_box title;	/* one line */
	struct top_box devices; /* a line for each */
	struct top_box graphs; /* history, memory on the left and GPU time on the right */
	struct top_box heading; /* of the table */
	struct top_box table;
	struct top_box status; /* keys, prompts and messages */
	unsigned cells_count;
	struct top_cell cells[TOP_COLUMNS]; /* of heading and table, from left to right */
};

/*
 * devices: how many have a line, if there is room; below the title at most a third of the
 * screen is theirs. graphs: whether history is wanted; it takes a quarter of the screen where
 * that is at least 24 lines high.
 */
void top_layout_make(struct top_layout *layout, const struct top_view *view, int height,
		     int width, unsigned devices, bool graphs);

/* The columns alone, for a table of some width. */
void top_layout_columns(struct top_layout *layout, const struct top_view *view,
			int width);

#endif
