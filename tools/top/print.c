/*
 * print.c - the table as plain lines; see print.h.
 */
#include "top/print.h"

#include <stdlib.h>
#include <string.h>

#include "top/layout.h"
#include "top/text.h"

enum { LINE_MOST = 512, WIDE = 140 };

const char *top_agent_text(enum top_agent agent)
{
	static const char *const texts[] = {
		[TOP_AGENT_NONE] = "no agent",
		[TOP_AGENT_UNSEEN] = "agent not seen yet",
		[TOP_AGENT_ALIVE] = "agent runs",
		[TOP_AGENT_SILENT] = "agent is silent",
	};

	return texts[agent];
}

const char *top_device_text(const struct top_model *model, uint32_t device, char *text,
			    size_t bytes)
{
	const struct top_device *from = &model->devices[device];
	char used[TOP_TEXT_BYTES], total[TOP_TEXT_BYTES], share[TOP_TEXT_BYTES];
	char name[TOP_TEXT_BYTES + 16], limit[TOP_TEXT_BYTES], waiting[48] = "";

	if (from->name[0])
		snprintf(name, sizeof(name), "%.63s", from->name);
	else
		top_text_uuid(name, from->uuid);
	top_text_bytes(used, from->used_bytes);
	top_text_bytes(total, from->total_bytes ? from->total_bytes : TOP_UNKNOWN);
	top_text_share(share, from->share_ppm);
	top_text_bytes(limit, from->driver_limit_bytes);
	if (from->waiting > 0)
		snprintf(waiting, sizeof(waiting), ", %u held", from->waiting);
	snprintf(text, bytes, "%u %s  memory %s/%s  time %s  %u tenant%s%s, %s%s%s",
		 device, name, used, total, share, from->tenants,
		 from->tenants == 1 ? "" : "s", waiting, top_agent_text(from->agent),
		 from->driver_limit_bytes == TOP_UNKNOWN ? "" : ", driver's own limit ",
		 from->driver_limit_bytes == TOP_UNKNOWN ? "" : limit);
	return text;
}

/* Writes text into its place in the line. */
static void place(char line[LINE_MOST], const struct top_cell *cell, const char *text)
{
	bool right = top_column_info(cell->column)->align != TOP_LEFT;
	int length = (int)strlen(text), width = cell->width;

	if (length > width)
		length = width;
	memcpy(line + cell->x + (right ? width - length : 0), text, (size_t)length);
}

static void put(char line[LINE_MOST], FILE *to)
{
	size_t length = LINE_MOST - 1;

	while (length > 0 && line[length - 1] == ' ')
		length--;
	line[length] = '\0';
	fprintf(to, "%s\n", line);
}

static void print_row(const struct top_view *view, const struct top_model *model,
		      const struct top_layout *layout, const struct top_row *row,
		      FILE *to)
{
	char line[LINE_MOST], text[128];

	memset(line, ' ', sizeof(line));
	for (unsigned i = 0; i < layout->cells_count; i++) {
		const struct top_cell *cell = &layout->cells[i];

		if (row)
			top_cell_text(view, model, row, cell->column, text, sizeof(text));
		else
			snprintf(text, sizeof(text), "%s",
				 top_column_info(cell->column)->heading);
		place(line, cell, text);
	}
	put(line, to);
}

void top_print(const struct top_view *view, const struct top_model *model, int width,
	       FILE *to)
{
	size_t count, room = 0;
	uint32_t *order = top_grow(NULL, &room, model->rows_count + 1, sizeof(*order));
	struct top_layout layout;
	char line[LINE_MOST];

	if (width <= 0 || width >= LINE_MOST)
		width = WIDE;
	top_layout_columns(&layout, view, width);
	for (uint32_t i = 0; i < model->devices_count; i++)
		if (view->device == TOP_NO_DEVICE || view->device == i)
			fprintf(to, "%s\n",
				top_device_text(model, i, line, sizeof(line)));
	count = top_view_order(view, model, order);
	print_row(view, model, &layout, NULL, to);
	for (size_t i = 0; i < count; i++)
		print_row(view, model, &layout, &model->rows[order[i]], to);
	for (size_t i = 0; i < model->tenants_count; i++)
		if (model->tenants[i]->error[0] &&
		    (!view->tenant[0] ||
		     strcmp(view->tenant, model->tenants[i]->name) == 0))
			fprintf(to, "%s: %s.\n", model->tenants[i]->name,
				model->tenants[i]->error);
	free(order);
}
