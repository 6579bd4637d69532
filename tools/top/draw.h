/*
 * draw.h - the parts of the screen: each draws what it is given where the layout says.
 *
 * Knows ncurses and ink. Refuses to know keys, files, and what any figure means.
 */
#ifndef GSH_TOOLS_TOP_DRAW_H
#define GSH_TOOLS_TOP_DRAW_H

#include "top/layout.h"
#include "top/page.h"

/* What there is to draw of the table. */
struct top_table {
	const struct top_view *view;
	const struct top_model *model;
	const uint32_t *order; /* indices of rows */
	size_t count, first, selected;
	const char *empty; /* what is said where there are no rows */
	bool ascii;
};

/* left and right texts; the right one goes first where there is no room. */
void top_draw_title(const struct top_box *box, const char *left, const char *right);
void top_draw_devices(const struct top_box *box, const struct top_model *model);
void top_draw_heading(const struct top_layout *layout, const struct top_view *view);
void top_draw_table(const struct top_layout *layout, const struct top_table *table);

/* Memory and GPU time of one history, beside each other; name: whose. */
void top_draw_graphs(const struct top_box *box, const struct top_ring *ring,
		     const char *name, uint64_t now_ns, bool ascii);

/* A page below a title; selected: a line in it, or SIZE_MAX. */
void top_draw_page(const struct top_layout *layout, const struct top_page *page,
		   size_t first, size_t selected);

void top_draw_status(const struct top_box *box, const char *text, bool is_prompt);

#endif
