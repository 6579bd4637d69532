/*
 * screen.c - the live view: lets time pass, and draws; see screen.h. What keys do is in act.c.
 */
#include "top/screen.h"

#include <curses.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "top/act.h"
#include "top/draw.h"
#include "top/text.h"

#define MESSAGE_NS UINT64_C(4000000000)
/* While a tenant's page is open and while nothing is due: wake for messages that end. */
#define IDLE_NS UINT64_C(1000000000)
/* A recording is played at its own pace, but gaps in it are not waited for. */
#define REPLAY_LEAST_NS UINT64_C(50000000)
#define REPLAY_MOST_NS UINT64_C(5000000000)

const struct top_row *top_screen_row(const struct top_screen *screen)
{
	if (screen->selected >= screen->order_count)
		return NULL;
	return &screen->feed->model->rows[screen->order[screen->selected]];
}

void top_screen_say(struct top_screen *screen, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(screen->message, sizeof(screen->message), format, args);
	va_end(args);
	screen->message_until_ns = gsh_clock_now_ns() + MESSAGE_NS;
	screen->dirty = true;
}

void top_screen_order(struct top_screen *screen)
{
	const struct top_model *model = screen->feed->model;

	screen->order = top_grow(screen->order, &screen->order_room,
				 model->rows_count + 1, sizeof(*screen->order));
	screen->order_count = top_view_order(&screen->settings.view, model,
					     screen->order);
	for (size_t i = 0; i < screen->order_count; i++) {
		const struct top_row *row = &model->rows[screen->order[i]];

		if (row->tenant_id == screen->selected_tenant &&
		    row->slot == screen->selected_slot &&
		    row->start_unix_ns == screen->selected_start_ns &&
		    row->device == screen->selected_device) {
			screen->selected = i;
			return;
		}
	}
	/* It is not there any more: whoever stands in its place is. */
	if (screen->selected >= screen->order_count)
		screen->selected = screen->order_count ? screen->order_count - 1 : 0;
}

/* ---- pages ---- */

static void make_tenant_page(struct top_screen *screen)
{
	const struct top_model *model = screen->feed->model;
	const struct top_tenant *tenant = top_model_tenant(model, screen->page_tenant);
	bool whole = false;

	if (!tenant) {
		screen->mode = TOP_SCREEN_TABLE;
		top_screen_say(screen, "The tenant has gone.");
		return;
	}
	if (screen->source->live) {
		if (!screen->whole)
			screen->whole = top_reallocate(NULL, sizeof(*screen->whole));
		whole = top_live_whole(screen->source->live, tenant, screen->whole) == 0;
	}
	top_page_tenant(&screen->page, model, tenant, whole ? screen->whole : NULL);
}

void top_screen_page(struct top_screen *screen)
{
	switch (screen->mode) {
	case TOP_SCREEN_HELP:
		top_page_help(&screen->page);
		break;
	case TOP_SCREEN_TENANT:
		make_tenant_page(screen);
		break;
	case TOP_SCREEN_COLUMNS:
		top_page_columns(&screen->page, &screen->settings.view, screen->columns);
		break;
	case TOP_SCREEN_SORT:
		top_page_sort(&screen->page, &screen->settings.view);
		break;
	default:
		break;
	}
}

/* ---- drawing ---- */

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

static void draw(struct top_screen *screen)
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

/* ---- time ---- */

/* A sample; false: there is none any more, or what is wrong has been said. */
static bool sample(struct top_screen *screen)
{
	struct gsh_reason why;
	int result = top_source_read(screen->source, screen->feed, &why);

	if (result < 0)
		top_screen_say(screen, "%.180s.", why.text);
	if (result <= 0) {
		screen->ended = true;
		screen->dirty = true;
		return false;
	}
	/* Numbers mean something once devices are known; until then all are shown. */
	if (screen->options->device)
		screen->settings.view.device = top_model_find_device(
			screen->feed->model, screen->options->device);
	top_screen_order(screen);
	if (screen->mode == TOP_SCREEN_TENANT)
		top_screen_page(screen);
	screen->dirty = true;
	return true;
}

/* How long the sample just taken stays on the screen. */
static uint64_t pace(const struct top_screen *screen, uint64_t before_ns)
{
	uint64_t now_ns = screen->feed->model->now_ns;
	uint64_t elapsed_ns = now_ns > before_ns ? now_ns - before_ns : 0;

	/* A recording has a pace of its own, unless another was asked for. */
	if (!screen->source->replay || screen->options->has_delay)
		return screen->settings.delay_ns;
	if (before_ns == 0 || elapsed_ns > REPLAY_MOST_NS)
		return IDLE_NS;
	return elapsed_ns > REPLAY_LEAST_NS ? elapsed_ns : REPLAY_LEAST_NS;
}

static void take_keys(struct top_screen *screen)
{
	struct top_mouse mouse;
	const char *key;

	while (!screen->quit && (key = top_terminal_key(&mouse))) {
		if (strcmp(key, "Resize") == 0 || strcmp(key, "^L") == 0) {
			clearok(curscr, TRUE);
			screen->dirty = true;
		} else {
			top_act(screen, key, &mouse);
		}
	}
}

static void run(struct top_screen *screen)
{
	uint64_t next_ns = 0, count = 0;

	while (!screen->quit && !top_terminal_stopped()) {
		uint64_t now_ns = gsh_clock_now_ns();
		bool due = !screen->ended && !screen->paused && now_ns >= next_ns;

		if (due || screen->step) {
			uint64_t before_ns = screen->feed->model->now_ns;

			screen->step = false;
			if (screen->options->count && count == screen->options->count)
				break;
			count += sample(screen);
			next_ns = gsh_clock_now_ns() + pace(screen, before_ns);
		}
		if (screen->dirty ||
		    (screen->message[0] && now_ns >= screen->message_until_ns))
			draw(screen);
		now_ns = gsh_clock_now_ns();
		top_terminal_wait(screen->ended || screen->paused ? IDLE_NS
				  : next_ns > now_ns		  ? next_ns - now_ns
								  : 0);
		take_keys(screen);
	}
}

int top_screen_run(struct top_source *source, struct top_feed *feed,
		   const struct top_options *options)
{
	struct top_screen screen = { .source = source,
				     .feed = feed,
				     .options = options,
				     .settings = options->settings };
	struct gsh_reason why;
	int number;

	if (top_terminal_open(&why) < 0)
		return top_fail("%s", why.text);
	screen.utf8 = top_terminal_is_utf8() && !options->settings.ascii;
	top_terminal_colours(screen.settings.colours);
	top_terminal_mouse(screen.settings.mouse);
	run(&screen);
	top_terminal_close();
	free(screen.order);
	free(screen.whole);
	top_page_free(&screen.page);
	number = top_terminal_stopped();
	/* ^C is a way to leave it. */
	if (number && number != SIGINT) {
		/* The death that was asked for, now that the terminal is as it was. */
		signal(number, SIG_DFL);
		raise(number);
	}
	return TOP_EXIT_OK;
}
