/*
 * layout.c - where things stand on a screen of a given size; see layout.h.
 */
#include "top/layout.h"

#include <string.h>

enum {
	GRAPHS_SCREEN_LEAST = 24, /* lines of a screen that has room for graphs */
	GRAPHS_LEAST = 4,
	GRAPHS_MOST = 10,
	NARROW = 20, /* less is no table */
	/* Columns above this rank are there only if the others have it comfortable. */
	COMFORT_RANK = 36,
	NAME_COMFORT = 22,
	NAME_MOST = 40, /* before others have grown */
};

/* ---- columns ---- */

static bool is_shown(const struct top_view *view, enum top_column column)
{
	/* In a tree the name says it; in a list it would be nowhere. */
	return column != TOP_COLUMN_TENANT || !view->tree;
}

/* The column of the highest rank that is in, which is to go next; -1: none can. */
static int least_wanted(const struct top_view *view, const bool in[TOP_COLUMNS])
{
	unsigned worst = 0;
	int found = -1;

	for (unsigned i = 0; i < view->columns_count; i++) {
		unsigned rank = top_column_info(view->columns[i])->rank;

		if (in[i] && rank > worst) {
			worst = rank;
			found = (int)i;
		}
	}
	return found;
}

static int comfortable(const struct top_column_info *info)
{
	return info->most ? (int)(info->least + info->most + 1) / 2 : NAME_COMFORT;
}

static int width_of(const struct top_view *view, const bool in[TOP_COLUMNS])
{
	int last = least_wanted(view, in), width = -1;
	bool comfort = last >= 0 &&
		       top_column_info(view->columns[last])->rank >= COMFORT_RANK;

	for (unsigned i = 0; i < view->columns_count; i++) {
		const struct top_column_info *info = top_column_info(view->columns[i]);

		if (in[i])
			width += (comfort ? comfortable(info) : (int)info->least) + 1;
	}
	return width;
}

static int least_width(const struct top_view *view, const bool in[TOP_COLUMNS])
{
	int width = -1;

	for (unsigned i = 0; i < view->columns_count; i++)
		if (in[i])
			width += (int)top_column_info(view->columns[i])->least + 1;
	return width;
}

/* A character at a time, to each in turn, up to what it wants at most. */
static void grow(struct top_layout *layout, int *spare)
{
	bool grew = true;

	while (*spare > 0 && grew) {
		grew = false;
		for (unsigned i = 0; i<layout->cells_count && * spare> 0; i++) {
			struct top_cell *cell = &layout->cells[i];
			const struct top_column_info *info = top_column_info(
				cell->column);
			int most = info->most ? (int)info->most : NAME_MOST;

			if (cell->width >= most)
				continue;
			cell->width++;
			--*spare;
			grew = true;
		}
	}
	/* The rest is for what has no bound. */
	for (unsigned i = 0; i < layout->cells_count; i++)
		if (top_column_info(layout->cells[i].column)->most == 0) {
			layout->cells[i].width += *spare;
			*spare = 0;
		}
}

void top_layout_columns(struct top_layout *layout, const struct top_view *view, int width)
{
	bool in[TOP_COLUMNS];
	int x = 0, spare, next;

	layout->cells_count = 0;
	for (unsigned i = 0; i < view->columns_count; i++)
		in[i] = is_shown(view, view->columns[i]);
	while (width_of(view, in) > width && (next = least_wanted(view, in)) >= 0)
		in[next] = false;
	spare = width - least_width(view, in);
	for (unsigned i = 0; i < view->columns_count; i++) {
		struct top_cell *cell = &layout->cells[layout->cells_count];

		if (!in[i])
			continue;
		cell->column = view->columns[i];
		cell->width = (int)top_column_info(cell->column)->least;
		layout->cells_count++;
	}
	if (spare < 0 && layout->cells_count > 0) {
		/* Even the last is too wide. */
		layout->cells_count = width > 0;
		layout->cells[0].width = width;
	} else {
		grow(layout, &spare);
	}
	for (unsigned i = 0; i < layout->cells_count; i++) {
		layout->cells[i].x = x;
		x += layout->cells[i].width + 1;
	}
}

/* ---- boxes ---- */

/* The next lines of the screen, at most what is left above the status line. */
static struct top_box take(const struct top_layout *layout, int *y, int lines, int left)
{
	struct top_box box = { *y, 0, 0, layout->width };

	if (lines > left)
		lines = left;
	if (lines < 0)
		lines = 0;
	box.height = lines;
	*y += lines;
	return box;
}

static int graph_lines(int height)
{
	int lines = height / 4;

	return lines < GRAPHS_LEAST  ? GRAPHS_LEAST
	       : lines > GRAPHS_MOST ? GRAPHS_MOST
				     : lines;
}

void top_layout_make(struct top_layout *layout, const struct top_view *view, int height,
		     int width, unsigned devices, bool graphs)
{
	int y = 0, end = height - 1, lines = devices < 64 ? (int)devices : 64;

	memset(layout, 0, sizeof(*layout));
	layout->height = height;
	layout->width = width;
	if (height < 1 || width < 1)
		return;
	/* The table needs two lines of its own before anything else gets one. */
	layout->title = take(layout, &y, height >= 4, end);
	layout->devices = take(layout, &y, lines > height / 3 ? height / 3 : lines,
			       end - y - 2);
	if (graphs && height >= GRAPHS_SCREEN_LEAST && width >= NARROW)
		layout->graphs = take(layout, &y, graph_lines(height), end - y - 5);
	layout->heading = take(layout, &y, height >= 3, end - y);
	layout->table = take(layout, &y, end - y, end - y);
	layout->status = (struct top_box){ end, 0, 1, width };
	if (height == 1) {
		/* One line is the table's. */
		layout->table = (struct top_box){ 0, 0, 1, width };
		layout->status.height = 0;
	}
	top_layout_columns(layout, view, width);
}
