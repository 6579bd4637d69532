/*
 * act.c - what keys and the mouse do to the live view; see act.h.
 */
#include "top/act.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "top/config.h"

#define DOUBLE_PRESS_NS UINT64_C(400000000)

enum { WHEEL_ROWS = 3 };

/* ---- moving ---- */

/* Moves one of `count` by so many, and no further than the ends. */
static size_t moved(size_t at, long by, size_t count)
{
	if (count == 0)
		return 0;
	if (by < 0)
		return at < (size_t)-by ? 0 : at - (size_t)-by;
	return at + (size_t)by < count ? at + (size_t)by : count - 1;
}

static bool page_has_selection(const struct top_screen *screen)
{
	return screen->mode == TOP_SCREEN_COLUMNS || screen->mode == TOP_SCREEN_SORT;
}

static void select_row(struct top_screen *screen, size_t at)
{
	const struct top_row *row;

	if (screen->order_count == 0)
		return;
	screen->selected = at;
	row = top_screen_row(screen);
	screen->selected_tenant = row->tenant_id;
	screen->selected_start_ns = row->start_unix_ns;
	screen->selected_slot = row->slot;
	screen->selected_device = row->device;
}

static void move(struct top_screen *screen, long by)
{
	if (screen->mode == TOP_SCREEN_TABLE)
		select_row(screen, moved(screen->selected, by, screen->order_count));
	else if (page_has_selection(screen))
		screen->page_selected = moved(screen->page_selected, by,
					      screen->page.count);
	else
		screen->page_first = moved(screen->page_first, by, screen->page.count);
}

static long page_rows(const struct top_screen *screen)
{
	int rows = screen->mode == TOP_SCREEN_TABLE ? screen->layout.table.height
						    : screen->layout.height - 3;

	return rows > 1 ? rows - 1 : 1;
}

/* ---- sorting ---- */

static void sort_by(struct top_screen *screen, enum top_column column)
{
	struct top_view *view = &screen->settings.view;

	view->ascending = view->sort == column && !view->ascending;
	view->sort = column;
	top_screen_order(screen);
}

/* The column on the screen beside the one that is sorted by. */
static void sort_beside(struct top_screen *screen, int by)
{
	const struct top_layout *layout = &screen->layout;
	struct top_view *view = &screen->settings.view;
	int count = (int)layout->cells_count, at = by > 0 ? -1 : count;

	if (count == 0)
		return;
	for (int i = 0; i < count; i++)
		if (layout->cells[i].column == view->sort)
			at = i;
	view->sort = layout->cells[(at + by + count) % count].column;
	view->ascending = false;
	top_screen_order(screen);
}

/* ---- pages ---- */

static void open_page(struct top_screen *screen, enum top_screen_mode mode)
{
	screen->mode = mode;
	screen->page_first = 0;
	screen->page_selected = 0;
	top_screen_page(screen);
}

static void open_tenant(struct top_screen *screen)
{
	const struct top_row *row = top_screen_row(screen);

	if (!row)
		return;
	screen->page_tenant = row->tenant_id;
	open_page(screen, TOP_SCREEN_TENANT);
}

/* Those that are shown in their order, then the others. */
static void open_columns(struct top_screen *screen)
{
	const struct top_view *view = &screen->settings.view;
	bool listed[TOP_COLUMNS] = { false };
	unsigned count = 0;

	for (unsigned i = 0; i < view->columns_count; i++) {
		screen->columns[count++] = view->columns[i];
		listed[view->columns[i]] = true;
	}
	for (unsigned i = 0; i < TOP_COLUMNS; i++)
		if (!listed[i])
			screen->columns[count++] = i;
	open_page(screen, TOP_SCREEN_COLUMNS);
}

static bool is_chosen(const struct top_view *view, enum top_column column)
{
	for (unsigned i = 0; i < view->columns_count; i++)
		if (view->columns[i] == column)
			return true;
	return false;
}

/* The view's columns, as the list has them now; toggled: is to change. */
static void take_columns(struct top_screen *screen, enum top_column toggled)
{
	struct top_view chosen = screen->settings.view;

	chosen.columns_count = 0;
	for (unsigned i = 0; i < TOP_COLUMNS; i++) {
		enum top_column column = screen->columns[i];

		if (is_chosen(&screen->settings.view, column) != (column == toggled))
			chosen.columns[chosen.columns_count++] = column;
	}
	/* The last one stays. */
	if (chosen.columns_count > 0)
		screen->settings.view = chosen;
	top_screen_page(screen);
}

static void carry_column(struct top_screen *screen, long by)
{
	size_t from = screen->page_selected, to = moved(from, by, TOP_COLUMNS);
	enum top_column column = screen->columns[from];

	screen->columns[from] = screen->columns[to];
	screen->columns[to] = column;
	screen->page_selected = to;
	take_columns(screen, TOP_COLUMNS);
}

static void save(struct top_screen *screen)
{
	struct gsh_reason why;
	char path[256];

	if (top_config_write(&screen->settings, path, sizeof(path), &why) < 0)
		top_screen_say(screen, "%s.", why.text);
	else
		top_screen_say(screen, "Settings are kept in %.150s.", path);
}

static void close_page(struct top_screen *screen)
{
	if (screen->mode == TOP_SCREEN_COLUMNS)
		save(screen);
	screen->mode = TOP_SCREEN_TABLE;
	top_screen_order(screen);
}

/* Keys that mean something else while something is chosen. False: they do not. */
static bool act_on_choice(struct top_screen *screen, const char *key)
{
	bool enter = strcmp(key, "Enter") == 0, space = strcmp(key, "Space") == 0;

	if (!page_has_selection(screen))
		return false;
	if (screen->mode == TOP_SCREEN_SORT && (enter || space)) {
		screen->mode = TOP_SCREEN_TABLE;
		sort_by(screen, (enum top_column)screen->page_selected);
		return true;
	}
	if (screen->mode == TOP_SCREEN_SORT)
		return false;
	if (space)
		take_columns(screen, screen->columns[screen->page_selected]);
	else if (enter)
		close_page(screen);
	else if (strcmp(key, "Left") == 0 || strcmp(key, "[") == 0)
		carry_column(screen, -1);
	else if (strcmp(key, "Right") == 0 || strcmp(key, "]") == 0)
		carry_column(screen, 1);
	else
		return false;
	return true;
}

/* ---- prompts ---- */

static void ask(struct top_screen *screen, enum top_prompt prompt, const char *now)
{
	screen->prompt = prompt;
	snprintf(screen->input, sizeof(screen->input), "%s", now);
	snprintf(screen->before, sizeof(screen->before), "%s", now);
}

static void set_filter(struct top_screen *screen, const char *text)
{
	top_filter_set(&screen->settings.view, text);
	top_screen_order(screen);
}

static void finish_prompt(struct top_screen *screen)
{
	if (screen->prompt == TOP_PROMPT_DELAY &&
	    !top_delay_parse(screen->input, &screen->settings.delay_ns))
		top_screen_say(screen, "It takes seconds, from 0.1 to 3600.");
	screen->prompt = TOP_PROMPT_NONE;
}

static void cancel_prompt(struct top_screen *screen)
{
	if (screen->prompt == TOP_PROMPT_FILTER)
		set_filter(screen, screen->before);
	screen->prompt = TOP_PROMPT_NONE;
}

static void type(struct top_screen *screen, const char *key)
{
	size_t length = strlen(screen->input);

	if (strcmp(key, "Backspace") == 0 && length > 0)
		screen->input[length - 1] = '\0';
	else if (strcmp(key, "Space") == 0)
		key = " ";
	if (strlen(key) == 1 && length + 1 < sizeof(screen->input))
		memcpy(screen->input + length, key, 2);
	/* What is typed holds at once. */
	if (screen->prompt == TOP_PROMPT_FILTER)
		set_filter(screen, screen->input);
}

static void act_on_prompt(struct top_screen *screen, const char *key)
{
	if (screen->prompt == TOP_PROMPT_KILL)
		top_kill_answer(screen, key);
	else if (strcmp(key, "Enter") == 0)
		finish_prompt(screen);
	else if (strcmp(key, "Esc") == 0)
		cancel_prompt(screen);
	else
		type(screen, key);
}

/* ---- the mouse ---- */

static void press_heading(struct top_screen *screen, int x)
{
	for (unsigned i = 0; i < screen->layout.cells_count; i++) {
		const struct top_cell *cell = &screen->layout.cells[i];

		if (x >= cell->x && x < cell->x + cell->width)
			sort_by(screen, cell->column);
	}
}

static void press_row(struct top_screen *screen, size_t at)
{
	uint64_t now_ns = gsh_clock_now_ns();
	bool again = at == screen->selected &&
		     now_ns - screen->pressed_ns < DOUBLE_PRESS_NS;

	if (at >= screen->order_count)
		return;
	select_row(screen, at);
	screen->pressed_ns = now_ns;
	if (again)
		open_tenant(screen);
}

static void act_on_mouse(struct top_screen *screen, const struct top_mouse *mouse)
{
	const struct top_layout *layout = &screen->layout;

	if (mouse->what != TOP_MOUSE_PRESS) {
		move(screen, mouse->what == TOP_MOUSE_UP ? -WHEEL_ROWS : WHEEL_ROWS);
	} else if (page_has_selection(screen)) {
		size_t at = screen->page_first +
			    (size_t)(mouse->y - layout->title.height);

		if (mouse->y >= layout->title.height && at < screen->page.count)
			screen->page_selected = at;
	} else if (screen->mode == TOP_SCREEN_TABLE) {
		if (layout->heading.height && mouse->y == layout->heading.y)
			press_heading(screen, mouse->x);
		else if (mouse->y >= layout->table.y &&
			 mouse->y < layout->table.y + layout->table.height)
			press_row(screen,
				  screen->first + (size_t)(mouse->y - layout->table.y));
	}
}

/* ---- everything else ---- */

static void set_pace(struct top_screen *screen, bool faster)
{
	uint64_t *delay_ns = &screen->settings.delay_ns;

	*delay_ns = faster ? *delay_ns / 2 : *delay_ns * 2;
	if (*delay_ns < TOP_DELAY_LEAST_NS)
		*delay_ns = TOP_DELAY_LEAST_NS;
	if (*delay_ns > TOP_DELAY_MOST_NS)
		*delay_ns = TOP_DELAY_MOST_NS;
	top_screen_say(screen, "A look every %g seconds.", (double)*delay_ns / 1e9);
}

static void next_colours(struct top_screen *screen)
{
	screen->settings.colours = (screen->settings.colours + 1) % TOP_COLOURS;
	top_terminal_colours(screen->settings.colours);
	top_screen_say(screen, "Colours: %s.",
		       top_colours_name(screen->settings.colours));
}

static void back(struct top_screen *screen)
{
	if (screen->mode != TOP_SCREEN_TABLE)
		close_page(screen);
	else
		set_filter(screen, "");
}

/* What there is of the table only while it is shown. */
static void act_on_table(struct top_screen *screen, enum top_action action)
{
	struct top_settings *settings = &screen->settings;
	char delay[32];

	switch (action) {
	case TOP_ACTION_FILTER:
		ask(screen, TOP_PROMPT_FILTER, settings->view.filter);
		break;
	case TOP_ACTION_TREE:
		settings->view.tree = !settings->view.tree;
		top_screen_order(screen);
		break;
	case TOP_ACTION_SORT_LEFT:
		sort_beside(screen, -1);
		break;
	case TOP_ACTION_SORT_RIGHT:
		sort_beside(screen, 1);
		break;
	case TOP_ACTION_REVERSE:
		sort_by(screen, settings->view.sort);
		break;
	case TOP_ACTION_SORT_MEMORY:
		sort_by(screen, TOP_COLUMN_MEMORY);
		break;
	case TOP_ACTION_SORT_SHARE:
		sort_by(screen, TOP_COLUMN_SHARE);
		break;
	case TOP_ACTION_SORT_WAIT:
		sort_by(screen, TOP_COLUMN_WAIT);
		break;
	case TOP_ACTION_SORT_DENIED:
		sort_by(screen, TOP_COLUMN_DENIALS);
		break;
	case TOP_ACTION_DETAILS:
		open_tenant(screen);
		break;
	case TOP_ACTION_KILL:
		top_kill_ask(screen);
		break;
	case TOP_ACTION_DELAY:
		snprintf(delay, sizeof(delay), "%g", (double)settings->delay_ns / 1e9);
		ask(screen, TOP_PROMPT_DELAY, delay);
		break;
	case TOP_ACTION_GRAPHS:
		settings->graphs = !settings->graphs;
		break;
	case TOP_ACTION_HISTORY:
		screen->tenant_history = !screen->tenant_history;
		break;
	default:
		break;
	}
}

static void act_anywhere(struct top_screen *screen, enum top_action action)
{
	switch (action) {
	case TOP_ACTION_HELP:
		open_page(screen, TOP_SCREEN_HELP);
		break;
	case TOP_ACTION_COLUMNS:
		open_columns(screen);
		break;
	case TOP_ACTION_SORT:
		open_page(screen, TOP_SCREEN_SORT);
		screen->page_selected = screen->settings.view.sort;
		break;
	case TOP_ACTION_UP:
		move(screen, -1);
		break;
	case TOP_ACTION_DOWN:
		move(screen, 1);
		break;
	case TOP_ACTION_PAGE_UP:
		move(screen, -page_rows(screen));
		break;
	case TOP_ACTION_PAGE_DOWN:
		move(screen, page_rows(screen));
		break;
	case TOP_ACTION_FIRST:
		move(screen, -1000000);
		break;
	case TOP_ACTION_LAST:
		move(screen, 1000000);
		break;
	case TOP_ACTION_PAUSE:
		screen->paused = !screen->paused;
		break;
	case TOP_ACTION_STEP:
		screen->step = screen->paused;
		break;
	case TOP_ACTION_FASTER:
	case TOP_ACTION_SLOWER:
		set_pace(screen, action == TOP_ACTION_FASTER);
		break;
	case TOP_ACTION_COLOURS:
		next_colours(screen);
		break;
	case TOP_ACTION_MOUSE:
		screen->settings.mouse = !screen->settings.mouse;
		top_terminal_mouse(screen->settings.mouse);
		top_screen_say(screen, "The mouse is %s.",
			       screen->settings.mouse ? "ours" : "the terminal's");
		break;
	case TOP_ACTION_SAVE:
		save(screen);
		break;
	case TOP_ACTION_BACK:
		back(screen);
		break;
	case TOP_ACTION_QUIT:
		/* Out of what is open, before out of all. */
		screen->quit = screen->mode == TOP_SCREEN_TABLE;
		if (!screen->quit)
			close_page(screen);
		break;
	default:
		if (screen->mode == TOP_SCREEN_TABLE)
			act_on_table(screen, action);
	}
}

void top_act(struct top_screen *screen, const char *key, const struct top_mouse *mouse)
{
	enum top_action action = top_key_action(key);

	screen->dirty = true;
	if (strcmp(key, "Mouse") == 0)
		act_on_mouse(screen, mouse);
	else if (screen->prompt != TOP_PROMPT_NONE)
		act_on_prompt(screen, key);
	else if (!act_on_choice(screen, key))
		act_anywhere(screen, action);
}
