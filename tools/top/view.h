/*
 * view.h - what of the model is shown, and in which order: choice of columns, sorting,
 * filter, tree or flat list. Pure; the model is borrowed.
 */
#ifndef GSH_TOOLS_TOP_VIEW_H
#define GSH_TOOLS_TOP_VIEW_H

#include "top/model.h"

struct top_view {
	unsigned columns_count;
	enum top_column columns[TOP_COLUMNS]; /* as chosen, from left to right */
	enum top_column sort;
	bool ascending;
	bool tree;	 /* processes below their tenant; else a list of processes */
	char filter[64]; /* in lower case; "": all */
	char tenant[64]; /* only this one; "": all */
	uint32_t device; /* only this one; TOP_NO_DEVICE: all */
};

/* All columns of rank below 100, sorted by memory, as a tree. */
void top_view_init(struct top_view *view);

/*
 * Writes the indices in model->rows of what is shown, in order; room for rows_count of them.
 * Returns how many. Numbers go from large to small unless ascending, texts the other way
 * round; what is not known comes last. In a tree tenants are sorted by their own rows, and
 * the processes of each among themselves; a tenant stands above any process that is shown,
 * and all processes are shown of one whose name has the filter in it.
 */
size_t top_view_order(const struct top_view *view, const struct top_model *model,
		      uint32_t *order);

/* A column by its name, or "mem" for "memory" if that is the only one. -1: there is none. */
int top_column_find(const char *name);

struct top_column_info {
	const char *name, *heading, *help;
	enum { TOP_LEFT, TOP_RIGHT, TOP_BAR } align;
	unsigned least, most, rank;
};
const struct top_column_info *top_column_info(enum top_column column);

/*
 * The text of a cell. In a tree NAME is the tenant, or a command. At most bytes, NUL
 * included. Returns text.
 */
const char *top_cell_text(const struct top_view *view, const struct top_model *model,
			  const struct top_row *row, enum top_column column, char *text,
			  size_t bytes);

/* How much of a bar is full, in permille; -1: there is nothing it could be a part of. */
int top_cell_part(const struct top_row *row, enum top_column column);

/* How a cell is drawn; the meanings of colours. */
enum top_tone {
	TOP_TONE_PLAIN,
	TOP_TONE_DIM,
	TOP_TONE_GOOD,
	TOP_TONE_WARN,
	TOP_TONE_BAD
};
enum top_tone top_cell_tone(const struct top_row *row, enum top_column column);

#endif
