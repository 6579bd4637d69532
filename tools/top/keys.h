/*
 * keys.h - which key does what: of keys.def, for the view, its help and the man page.
 *
 * Pure: keys are names here, and how a terminal reports them is terminal.c's business.
 */
#ifndef GSH_TOOLS_TOP_KEYS_H
#define GSH_TOOLS_TOP_KEYS_H

#include <stddef.h>

enum top_action {
#define KEY(action, names, hint, help) TOP_ACTION_##action,
#include "top/keys.def"
	TOP_ACTIONS,
	TOP_ACTION_NONE = TOP_ACTIONS
};

struct top_key {
	const char *names, *hint, *help;
};
const struct top_key *top_key_of(enum top_action action);

/* "F4", "/", "Enter": what it does. TOP_ACTION_NONE: nothing. */
enum top_action top_key_action(const char *name);

/* "? help  F4 filter ..." as far as it fits into width characters. Returns text. */
const char *top_key_hints(char *text, size_t bytes, int width);

#endif
