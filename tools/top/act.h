/*
 * act.h - the live view's state, and what keys do to it.
 *
 * Shared by screen.c, which lets time pass, screen_draw.c, act.c and kill.c.
 */
#ifndef GSH_TOOLS_TOP_ACT_H
#define GSH_TOOLS_TOP_ACT_H

#include "top/keys.h"
#include "top/layout.h"
#include "top/page.h"
#include "top/screen.h"
#include "top/terminal.h"

/* What fills the screen. */
enum top_screen_mode {
	TOP_SCREEN_TABLE,
	TOP_SCREEN_HELP,
	TOP_SCREEN_TENANT,
	TOP_SCREEN_COLUMNS,
	TOP_SCREEN_SORT,
};

/* What the last line asks for. */
enum top_prompt { TOP_PROMPT_NONE, TOP_PROMPT_FILTER, TOP_PROMPT_DELAY, TOP_PROMPT_KILL };

struct top_screen {
	struct top_source *source;
	struct top_feed *feed;
	const struct top_options *options;
	struct top_settings settings;
	struct top_layout layout;
	bool utf8, quit, paused, step, ended, dirty, tenant_history;

	/* The table: rows shown, where it begins, and which row is selected. */
	size_t order_count, order_room, first, selected;
	uint32_t *order;
	/* Who is selected, to be found again; slot and device of a tenant's row as there. */
	uint64_t selected_tenant, selected_start_ns;
	uint32_t selected_slot, selected_device;

	enum top_screen_mode mode;
	struct top_page page;
	size_t page_first, page_selected;
	enum top_column columns[TOP_COLUMNS]; /* as listed in the choice of columns */
	uint64_t page_tenant;		      /* whom the page is about */
	struct gpushim_snapshot *whole;	      /* for that page; NULL until it is needed */

	enum top_prompt prompt;
	char input[64];
	char before[64]; /* what was there before the prompt */
	char message[192];
	uint64_t message_until_ns;
	uint64_t pressed_ns; /* mouse, for a second press on the same row */

	/* Whom a signal would be sent to; the descriptor is open while it is asked. */
	uint32_t kill_pid;
	int kill_fd;
	uint64_t kill_tenant;
};

/* The row that is selected; NULL: there are none. */
const struct top_row *top_screen_row(const struct top_screen *screen);

/* A sentence in the last line, for a few seconds. */
void top_screen_say(struct top_screen *screen, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Rows to show, after the model or the view has changed; the selection stays with its row. */
void top_screen_order(struct top_screen *screen);
/* Draws all of it. */
void top_screen_draw(struct top_screen *screen);
/* Makes the page of the mode anew. */
void top_screen_page(struct top_screen *screen);

/* A key, by its name. */
void top_act(struct top_screen *screen, const char *key, const struct top_mouse *mouse);

/* Asks whether a signal is wanted for the selected process, or says why not. */
void top_kill_ask(struct top_screen *screen);
/* The answer: 'y' and 'k' send SIGTERM and SIGKILL. */
void top_kill_answer(struct top_screen *screen, const char *key);

#endif
