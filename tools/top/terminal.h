/*
 * terminal.h - a terminal lent and given back as it was, whatever happens in between.
 *
 * Knows signals, ncurses' start and end, and names of keys. There is one terminal; the thread
 * that opened it uses it.
 */
#ifndef GSH_TOOLS_TOP_TERMINAL_H
#define GSH_TOOLS_TOP_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "top/options.h"

/*
 * Takes the terminal. 0, or -1 with a reason: there is none, or it cannot do what is needed.
 * From here on the end of the program, SIGTERM and crashes included, gives it back.
 */
int top_terminal_open(struct gsh_reason *why);
void top_terminal_close(void);

/* Whether it shows UTF-8. */
bool top_terminal_is_utf8(void);

void top_terminal_mouse(bool wanted);

/* Colours and attributes for what is drawn; without colours, attributes alone. */
enum top_ink {
	TOP_INK_PLAIN,
	TOP_INK_DIM,
	TOP_INK_GOOD,
	TOP_INK_WARN,
	TOP_INK_BAD,
	TOP_INK_TITLE,
	TOP_INK_HEADING,
	TOP_INK_SORTED, /* heading of the column that is sorted by */
	TOP_INK_SELECTED,
	TOP_INK_MEMORY, /* bars and graphs */
	TOP_INK_SHARE,
	TOP_INKS
};
void top_terminal_colours(enum top_colours scheme);
/* All that is drawn next. */
void top_terminal_ink(enum top_ink ink);

/*
 * Waits for a key, at most timeout_ns. False: none came, or the size of the screen changed,
 * or top_terminal_stopped().
 */
bool top_terminal_wait(uint64_t timeout_ns);

struct top_mouse {
	int y, x;
	enum { TOP_MOUSE_PRESS, TOP_MOUSE_UP, TOP_MOUSE_DOWN } what;
};

/*
 * The next key that has come, by its name as in keys.h ("" for others), NULL if there is
 * none. "Mouse": *mouse says the rest. "Resize": the screen has another size now.
 * "Backspace" is there for prompts.
 */
const char *top_terminal_key(struct top_mouse *mouse);

/* The signal that asks us to end, or SIGHUP if the terminal is gone; 0: none has come. */
int top_terminal_stopped(void);

#endif
