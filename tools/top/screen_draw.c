/*
 * screen_draw.c - all of the screen from the state of the live view.
 */
#include "top/act.h"

#include <curses.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "top/draw.h"
#include "top/text.h"

static unsigned processes_of(const struct top_model *model)
{
	unsigned count = 0;

	for (size_t i = 0; i < model->tenants_count; i++)
		count += model->tenants[i]->gone_ns ? 0 : model->tenants[i]->processes;
	return count;
}

/* What stands to the right, as far as there is room: what goes on, the time, how often. */
static void title_notes(const struct top_screen *screen, char *text, size_t bytes,
			size_t room)
{
	time_t seconds = (time_t)(screen->feed->model->unix_ns / 1000000000);
	char clock[32], pace_text[32] = "";
	const char *doing = screen->ended	     ? "end of the recording"
			    : screen->paused	     ? "stopped"
			    : screen->source->replay ? "recording"
						     : "";
	struct tm parts;

	localtime_r(&seconds, &parts);
	strftime(clock, sizeof(clock), "%H:%M:%S", &parts);
	if (!screen->source->replay)
		snprintf(pace_text, sizeof(pace_text), "  every %gs",
			 (double)screen->settings.delay_ns / 1e9);
	snprintf(text, bytes, "%s%s%s%s", doing, *doing ? "  " : "", clock, pace_text);
	if (strlen(text) > room)
		snprintf(text, bytes, "%s%s%s", doing, *doing ? "  " : "", clock);
	if (strlen(text) > room)
		snprintf(text, bytes, "%s", doing);
}

static void draw_title(const struct top_screen *screen)
{
	const struct top_model *model = screen->feed->model;
	unsigned processes = processes_of(model);
	size_t used, width = (size_t)screen->layout.width;
	char left[160], right[96];

	snprintf(left, sizeof(left), "gpushim-top  %zu tenant%s, %u process%s%s%s",
		 model->tenants_count, model->tenants_count == 1 ? "" : "s", processes,
		 processes == 1 ? "" : "es",
		 screen->settings.view.filter[0] ? "  filter: " : "",
		 screen->settings.view.filter);
	used = strlen(left) + 2;
	title_notes(screen, right, sizeof(right), width > used ? width - used : 0);
	top_draw_title(&screen->layout.title, left, right);
}

/* Of the device that the selected row is on, or the first. */
static uint32_t device_of_interest(const struct top_screen *screen)
{
	const struct top_row *row = top_screen_row(screen);

	return row && row->device != TOP_NO_DEVICE ? row->device : 0;
}

static void draw_history(const struct top_screen *screen)
{
	const struct top_model *model = screen->feed->model;
	const struct top_row *row = top_screen_row(screen);
	uint32_t device = device_of_interest(screen);
	const struct top_tenant *tenant = row ? model->tenants[row->tenant] : NULL;
	const struct top_part *part = tenant ? top_tenant_part(tenant, device) : NULL;
	struct top_box box = screen->layout.graphs;
	bool ascii = !screen->utf8, both = box.width >= 120 && part;
	char name[32];

	if (box.height == 0 || device >= model->devices_count)
		return;
	if (both)
		box.width = box.width / 2 - 1;
	snprintf(name, sizeof(name), "device %u", device);
	if (both || !part || !screen->tenant_history)
		top_draw_graphs(&box, &model->devices[device].ring, name, model->now_ns,
				ascii);
	if (both)
		box.x += box.width + 2;
	if (both || (part && screen->tenant_history))
		top_draw_graphs(&box, &part->ring, tenant->name, model->now_ns, ascii);
}

/* Scrolls as little as is needed to have the selection in sight. */
static size_t in_sight(size_t first, size_t selected, size_t count, int height)
{
	size_t rows = height > 0 ? (size_t)height : 1;

	if (selected < first)
		first = selected;
	if (selected >= first + rows)
		first = selected - rows + 1;
	if (first + rows > count)
		first = count > rows ? count - rows : 0;
	return first;
}

static void draw_table(struct top_screen *screen)
{
	char empty[256];
	struct top_table table = { .view = &screen->settings.view,
				   .model = screen->feed->model,
				   .order = screen->order,
				   .count = screen->order_count,
				   .selected = screen->selected,
				   .empty = empty,
				   .ascii = !screen->utf8 };

	if (screen->feed->model->rows_count > 0)
		snprintf(empty, sizeof(empty), "%s",
			 screen->settings.view.filter[0]
				 ? "Nothing matches; Esc ends the filter."
				 : "There are no processes; t shows tenants.");
	else
		snprintf(empty, sizeof(empty), "No tenant has an account in %.200s.",
			 screen->source->live ? top_live_places(screen->source->live)
					      : "the recording");
	screen->first = in_sight(screen->first, screen->selected, screen->order_count,
				 screen->layout.table.height);
	table.first = screen->first;
	top_draw_devices(&screen->layout.devices, screen->feed->model);
	draw_history(screen);
	top_draw_heading(&screen->layout, &screen->settings.view);
	top_draw_table(&screen->layout, &table);
}

static void draw_page(struct top_screen *screen)
{
	int height = screen->layout.status.y - screen->layout.title.height;
	bool choice = screen->mode == TOP_SCREEN_COLUMNS ||
		      screen->mode == TOP_SCREEN_SORT;

	if (choice)
		screen->page_first = in_sight(screen->page_first, screen->page_selected,
					      screen->page.count, height);
	else if (screen->page_first + (size_t)(height > 0 ? height : 1) >
		 screen->page.count)
		screen->page_first = in_sight(screen->page_first, screen->page.count - 1,
					      screen->page.count, height);
	top_draw_page(&screen->layout, &screen->page, screen->page_first,
		      choice ? screen->page_selected : SIZE_MAX);
}

static void draw_status(const struct top_screen *screen)
{
	const struct top_box *box = &screen->layout.status;
	char text[256];

	switch (screen->prompt) {
	case TOP_PROMPT_FILTER:
		snprintf(text, sizeof(text), "Filter: %s_  Enter: keep  Esc: as before",
			 screen->input);
		break;
	case TOP_PROMPT_DELAY:
		snprintf(text, sizeof(text), "Seconds between looks: %s_", screen->input);
		break;
	case TOP_PROMPT_KILL:
		snprintf(text, sizeof(text), "%s", screen->message);
		break;
	default:
		if (screen->message[0])
			snprintf(text, sizeof(text), "%s", screen->message);
		else if (screen->mode == TOP_SCREEN_TABLE)
			top_key_hints(text, sizeof(text), box->width);
		else if (screen->mode == TOP_SCREEN_COLUMNS)
			snprintf(text, sizeof(text),
				 "Space: shown or not  Left, Right: move  Enter: keep");
		else if (screen->mode == TOP_SCREEN_SORT)
			snprintf(text, sizeof(text), "Enter: sort by it  Esc: back");
		else
			snprintf(text, sizeof(text), "Up, Down, PgUp, PgDn  Esc: back");
	}
	top_draw_status(box, text, screen->prompt != TOP_PROMPT_NONE);
}

void top_screen_draw(struct top_screen *screen)
{
	int height, width;

	getmaxyx(stdscr, height, width);
	if (screen->message[0] && screen->prompt != TOP_PROMPT_KILL &&
	    gsh_clock_now_ns() >= screen->message_until_ns)
		screen->message[0] = '\0';
	top_layout_make(&screen->layout, &screen->settings.view, height, width,
			(unsigned)screen->feed->model->devices_count,
			screen->settings.graphs);
	erase();
	draw_title(screen);
	if (screen->mode == TOP_SCREEN_TABLE)
		draw_table(screen);
	else
		draw_page(screen);
	draw_status(screen);
	refresh();
	screen->dirty = false;
}
