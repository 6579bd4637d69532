/*
 * keys.c - which key does what; see keys.h.
 *
 * Names of keys: a character, F1 to F12, Up, Down, Left, Right, PgUp, PgDn, Home, End, Enter,
 * Space, Esc, ^L.
 */
#include "top/keys.h"

#include <stdio.h>
#include <string.h>

static const struct top_key keys[] = {
#define KEY(action, names, hint, help) [TOP_ACTION_##action] = { names, hint, help },
#include "top/keys.def"
};

const struct top_key *top_key_of(enum top_action action)
{
	return &keys[action];
}

enum top_action top_key_action(const char *name)
{
	size_t length = strlen(name);

	for (unsigned i = 0; i < TOP_ACTIONS; i++)
		for (const char *at = keys[i].names; *at; at += strcspn(at, " ")) {
			at += *at == ' ';
			if (strcspn(at, " ") == length && memcmp(at, name, length) == 0)
				return i;
		}
	return TOP_ACTION_NONE;
}

const char *top_key_hints(char *text, size_t bytes, int width)
{
	size_t at = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < TOP_ACTIONS; i++) {
		char hint[48];
		int length;

		if (!keys[i].hint[0])
			continue;
		length = snprintf(hint, sizeof(hint), "%s%.*s %s", at ? "  " : "",
				  (int)strcspn(keys[i].names, " "), keys[i].names,
				  keys[i].hint);
		if (at + (size_t)length >= bytes || (int)at + length > width)
			continue;
		memcpy(text + at, hint, (size_t)length + 1);
		at += (size_t)length;
	}
	return text;
}
