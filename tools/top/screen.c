/*
 * screen.c - the live view: lets time pass; see screen.h. What keys do is in act.c, what is
 * drawn in screen_draw.c.
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
			top_screen_draw(screen);
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
