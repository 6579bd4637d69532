/*
 * draw.c - the parts of the screen; see draw.h.
 */
#include "top/draw.h"

#include <curses.h>
#include <stdio.h>
#include <string.h>

#include "top/graph.h"
#include "top/print.h"
#include "top/terminal.h"
#include "top/text.h"

enum { LINE_MOST = 512 };

/* ASCII text in a field that is exactly so wide. */
static void put(int y, int x, int width, const char *text, bool right)
{
	int length = (int)strlen(text);

	if (width <= 0)
		return;
	if (length > width)
		length = width;
	if (right)
		mvprintw(y, x, "%*s%.*s", width - length, "", length, text);
	else
		mvprintw(y, x, "%.*s%*s", length, text, width - length, "");
}

void top_draw_title(const struct top_box *box, const char *left, const char *right)
{
	int room = box->width - (int)strlen(left) - 1;

	if (box->height == 0)
		return;
	top_terminal_ink(TOP_INK_TITLE);
	put(box->y, box->x, box->width, left, false);
	top_terminal_ink(TOP_INK_PLAIN);
	if ((int)strlen(right) <= room)
		put(box->y, box->x + box->width - (int)strlen(right), (int)strlen(right),
		    right, true);
}

/* ---- bars ---- */

/*
 * "[||||    3G/4G]"; without brackets where the text has no room between them. What is full
 * is full of '|', or drawn in ink where text stands.
 */
static void put_bar(int y, int x, int width, const char *text, int permille,
		    enum top_ink full, enum top_ink rest)
{
	char line[LINE_MOST];
	int length = (int)strlen(text), inner, filled;
	bool brackets = width >= length + 4 && width >= 6 && permille >= 0;

	if (width <= 0 || width >= LINE_MOST)
		return;
	inner = brackets ? width - 2 : width;
	snprintf(line, sizeof(line), "%*s", inner, text);
	filled = permille < 0 ? 0 : (inner * permille + 999) / 1000;
	for (int i = 0; brackets && i < filled && line[i] == ' '; i++)
		line[i] = '|';
	top_terminal_ink(rest);
	if (brackets) {
		mvaddch(y, x, '[');
		mvaddch(y, x + width - 1, ']');
		x++;
	}
	top_terminal_ink(full);
	mvprintw(y, x, "%.*s", filled < inner ? filled : inner, line);
	top_terminal_ink(rest);
	if (filled < inner)
		mvprintw(y, x + filled, "%s", line + filled);
}

static enum top_ink ink_of(enum top_tone tone)
{
	static const enum top_ink inks[] = {
		[TOP_TONE_PLAIN] = TOP_INK_PLAIN, [TOP_TONE_DIM] = TOP_INK_DIM,
		[TOP_TONE_GOOD] = TOP_INK_GOOD,	  [TOP_TONE_WARN] = TOP_INK_WARN,
		[TOP_TONE_BAD] = TOP_INK_BAD,
	};

	return inks[tone];
}

/* ---- devices ---- */

static int part_of(uint64_t part, uint64_t whole)
{
	double ratio;

	if (part == TOP_UNKNOWN || whole == 0)
		return -1;
	ratio = (double)part / (double)whole * 1000;
	return ratio < 1000 ? (int)ratio : 1000;
}

/* Adds a part of a list if all of it fits. */
static void add_part(char *text, size_t bytes, int width, const char *part)
{
	size_t length = strlen(text);
	const char *comma = length ? ", " : "";

	if ((int)(length + strlen(comma) + strlen(part)) <= width)
		snprintf(text + length, bytes - length, "%s%s", comma, part);
}

/* Who is there, as far as the line goes. */
static void device_notes(char *text, size_t bytes, int width,
			 const struct top_device *device)
{
	char part[64], limit[TOP_TEXT_BYTES];

	text[0] = '\0';
	snprintf(part, sizeof(part), "%u tenant%s", device->tenants,
		 device->tenants == 1 ? "" : "s");
	add_part(text, bytes, width, part);
	snprintf(part, sizeof(part), "%u held", device->waiting);
	if (device->waiting > 0)
		add_part(text, bytes, width, part);
	add_part(text, bytes, width, top_agent_text(device->agent));
	top_text_bytes(limit, device->driver_limit_bytes);
	snprintf(part, sizeof(part), "driver's limit %.40s", limit);
	if (device->driver_limit_bytes != TOP_UNKNOWN)
		add_part(text, bytes, width, part);
}

static void device_name(char *text, size_t bytes, const struct top_device *device,
			uint32_t index)
{
	char uuid[TOP_TEXT_BYTES];

	top_text_uuid(uuid, device->uuid);
	snprintf(text, bytes, "%u %s", index, device->name[0] ? device->name : uuid);
}

/* Name, two bars, notes. */
static void draw_device(const struct top_box *box, int y, const struct top_model *model,
			uint32_t index)
{
	const struct top_device *device = &model->devices[index];
	char part[TOP_TEXT_BYTES], whole[TOP_TEXT_BYTES], text[160];
	int width = box->width, name_width = width >= 110 ? 28 : width >= 70 ? 14 : 2;
	int bar = width >= 110 ? 24 : width >= 70 ? 19 : (width - 4) / 2, x = 0;

	device_name(text, sizeof(text), device, index);
	top_terminal_ink(TOP_INK_TITLE);
	put(y, x, name_width, text, false);
	x += name_width + 1;
	top_text_bytes(part, device->used_bytes);
	top_text_bytes(whole, device->total_bytes ? device->total_bytes : TOP_UNKNOWN);
	snprintf(text, sizeof(text), "mem %s/%s", part, whole);
	put_bar(y, x, bar, text, part_of(device->used_bytes, device->total_bytes),
		TOP_INK_MEMORY, TOP_INK_PLAIN);
	x += bar + 1;
	top_text_share(part, device->share_ppm);
	snprintf(text, sizeof(text), "time %s", part);
	put_bar(y, x, bar, text, part_of(device->share_ppm, 1000000), TOP_INK_SHARE,
		TOP_INK_PLAIN);
	x += bar + 1;
	device_notes(text, sizeof(text), width - x, device);
	top_terminal_ink(TOP_INK_PLAIN);
	put(y, x, width - x, text, false);
}

void top_draw_devices(const struct top_box *box, const struct top_model *model)
{
	for (int i = 0; i < box->height && (size_t)i < model->devices_count; i++)
		draw_device(box, box->y + i, model, (uint32_t)i);
}

/* ---- table ---- */

void top_draw_heading(const struct top_layout *layout, const struct top_view *view)
{
	const struct top_box *box = &layout->heading;

	if (box->height == 0)
		return;
	top_terminal_ink(TOP_INK_HEADING);
	put(box->y, 0, box->width, "", false);
	for (unsigned i = 0; i < layout->cells_count; i++) {
		const struct top_cell *cell = &layout->cells[i];
		const struct top_column_info *info = top_column_info(cell->column);
		const char *text = info->heading;

		/* In a list there are no tenants to name. */
		if (cell->column == TOP_COLUMN_NAME && !view->tree)
			text = "COMMAND";
		top_terminal_ink(cell->column == view->sort ? TOP_INK_SORTED
							    : TOP_INK_HEADING);
		put(box->y, cell->x, cell->width, text, info->align != TOP_LEFT);
	}
}

static bool is_last_of_group(const struct top_table *table, size_t at)
{
	const struct top_row *row = &table->model->rows[table->order[at]], *next;

	if (at + 1 == table->count)
		return true;
	next = &table->model->rows[table->order[at + 1]];
	return next->group != row->group;
}

/* A process below its tenant hangs on a branch. */
static void put_name(const struct top_table *table, size_t at,
		     const struct top_cell *cell, int y, const char *text)
{
	const struct top_row *row = &table->model->rows[table->order[at]];
	bool last = is_last_of_group(table, at);

	put(y, cell->x, cell->width, text, false);
	if (!table->view->tree || row->slot == TOP_NO_SLOT || cell->width < 2)
		return;
	if (table->ascii)
		mvaddstr(y, cell->x, last ? "`" : "|");
	else
		mvaddstr(y, cell->x, last ? "\xe2\x94\x94" : "\xe2\x94\x9c");
}

static void draw_row(const struct top_layout *layout, const struct top_table *table,
		     size_t at, int y)
{
	const struct top_row *row = &table->model->rows[table->order[at]];
	bool selected = at == table->selected;
	char text[160];

	if (selected) {
		top_terminal_ink(TOP_INK_SELECTED);
		put(y, 0, layout->width, "", false);
	}
	for (unsigned i = 0; i < layout->cells_count; i++) {
		const struct top_cell *cell = &layout->cells[i];
		const struct top_column_info *info = top_column_info(cell->column);
		enum top_ink ink = selected ? TOP_INK_SELECTED
					    : ink_of(top_cell_tone(row, cell->column));

		top_cell_text(table->view, table->model, row, cell->column, text,
			      sizeof(text));
		if (!selected && cell->column == TOP_COLUMN_NAME &&
		    row->slot == TOP_NO_SLOT && ink == TOP_INK_PLAIN)
			ink = TOP_INK_TITLE;
		top_terminal_ink(ink);
		if (info->align == TOP_BAR)
			put_bar(y, cell->x, cell->width, text,
				top_cell_part(row, cell->column), ink,
				selected	     ? TOP_INK_SELECTED
				: ink == TOP_INK_DIM ? TOP_INK_DIM
						     : TOP_INK_PLAIN);
		else if (cell->column == TOP_COLUMN_NAME)
			put_name(table, at, cell, y, text);
		else
			put(y, cell->x, cell->width, text, info->align == TOP_RIGHT);
	}
}

void top_draw_table(const struct top_layout *layout, const struct top_table *table)
{
	const struct top_box *box = &layout->table;

	for (int i = 0; i < box->height; i++)
		if (table->first + (size_t)i < table->count)
			draw_row(layout, table, table->first + (size_t)i, box->y + i);
	if (table->count == 0 && box->height > 0) {
		top_terminal_ink(TOP_INK_DIM);
		put(box->y + (box->height > 1), 0, box->width, table->empty, false);
	}
}

/* ---- graphs ---- */

static void draw_graph(const struct top_box *box, const struct top_ring *ring,
		       enum top_series series, const char *name, uint64_t now_ns,
		       bool ascii)
{
	static char text[3 * TOP_GRAPH_WIDTH_MAX + 1];
	unsigned width = box->width < TOP_GRAPH_WIDTH_MAX ? (unsigned)box->width
							  : TOP_GRAPH_WIDTH_MAX;
	unsigned height = (unsigned)box->height - 1;
	uint16_t now = top_ring_at(ring, series, now_ns, 0);
	char caption[192], share[TOP_TEXT_BYTES], span[TOP_TEXT_BYTES];

	top_text_share(share,
		       now == TOP_RING_UNKNOWN ? TOP_UNKNOWN : now * UINT64_C(1000));
	top_text_time(span, top_graph_seconds(width, ascii) * UINT64_C(1000000000));
	snprintf(caption, sizeof(caption), "%.60s %s %s (%s)", name,
		 series == TOP_SERIES_MEMORY ? "memory" : "time", share, span);
	top_terminal_ink(TOP_INK_DIM);
	put(box->y, box->x, box->width, caption, false);
	top_terminal_ink(series == TOP_SERIES_MEMORY ? TOP_INK_MEMORY : TOP_INK_SHARE);
	for (unsigned line = 0; line < height; line++)
		mvaddstr(box->y + 1 + (int)line, box->x,
			 top_graph_line(text, ring, series, now_ns, line, height, width,
					ascii));
}

void top_draw_graphs(const struct top_box *box, const struct top_ring *ring,
		     const char *name, uint64_t now_ns, bool ascii)
{
	struct top_box half = *box;

	if (box->height < 2 || box->width < 8)
		return;
	half.width = (box->width - 2) / 2;
	draw_graph(&half, ring, TOP_SERIES_MEMORY, name, now_ns, ascii);
	half.x += half.width + 2;
	draw_graph(&half, ring, TOP_SERIES_SHARE, name, now_ns, ascii);
}

/* ---- pages and the last line ---- */

void top_draw_page(const struct top_layout *layout, const struct top_page *page,
		   size_t first, size_t selected)
{
	int y = layout->title.height, end = layout->status.y;

	for (size_t i = first; y < end && i < page->count; i++, y++) {
		const struct top_line *line = &page->lines[i];

		top_terminal_ink(i == selected	 ? TOP_INK_SELECTED
				 : line->heading ? TOP_INK_TITLE
						 : ink_of(line->tone));
		put(y, 0, layout->width, line->text, false);
	}
}

void top_draw_status(const struct top_box *box, const char *text, bool is_prompt)
{
	if (box->height == 0)
		return;
	top_terminal_ink(is_prompt ? TOP_INK_SELECTED : TOP_INK_DIM);
	put(box->y, box->x, box->width, text, false);
	top_terminal_ink(TOP_INK_PLAIN);
}
