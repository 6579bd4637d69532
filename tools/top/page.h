/*
 * page.h - screens of text: a tenant in detail, help, choices. Pure; each line is made for
 * some width and is not wrapped.
 */
#ifndef GSH_TOOLS_TOP_PAGE_H
#define GSH_TOOLS_TOP_PAGE_H

#include "top/options.h"
#include "top/view.h"

struct top_line {
	enum top_tone tone;
	bool heading;
	char text[200];
};

/* All zero is empty. */
struct top_page {
	size_t count, room;
	struct top_line *lines;
};

void top_page_clear(struct top_page *page);
void top_page_free(struct top_page *page);

/*
 * All that is known of a tenant. whole: a snapshot with costs, just taken; NULL: there is
 * none, as in a recording. Sorts the snapshot's costs.
 */
void top_page_tenant(struct top_page *page, const struct top_model *model,
		     const struct top_tenant *tenant, struct gpushim_snapshot *whole);

/* Keys, columns, states. */
void top_page_help(struct top_page *page);

/* All columns, a line each in their order: first those that are shown. */
void top_page_columns(struct top_page *page, const struct top_view *view,
		      const enum top_column order[TOP_COLUMNS]);
/* Columns to sort by, a line each; line i is column i. */
void top_page_sort(struct top_page *page, const struct top_view *view);

#endif
