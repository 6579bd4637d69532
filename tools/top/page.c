/*
 * page.c - pages of help and choices; see page.h. That of a tenant is in page_tenant.c.
 */
#include "top/page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "top/keys.h"
#include "top/page_lines.h"

void top_page_clear(struct top_page *page)
{
	page->count = 0;
}

void top_page_free(struct top_page *page)
{
	free(page->lines);
	memset(page, 0, sizeof(*page));
}

static struct top_line *next_line(struct top_page *page)
{
	struct top_line *line;

	page->lines = top_grow(page->lines, &page->room, page->count + 1,
			       sizeof(*page->lines));
	line = &page->lines[page->count++];
	memset(line, 0, sizeof(*line));
	return line;
}

void top_page_add(struct top_page *page, enum top_tone tone, const char *format, ...)
{
	struct top_line *line = next_line(page);
	va_list args;

	line->tone = tone;
	va_start(args, format);
	vsnprintf(line->text, sizeof(line->text), format, args);
	va_end(args);
}

void top_page_heading(struct top_page *page, const char *text)
{
	struct top_line *line;

	if (page->count > 0)
		next_line(page);
	line = next_line(page);
	line->heading = true;
	snprintf(line->text, sizeof(line->text), "%s", text);
}

/* ---- help ---- */

static enum top_tone tone_of(unsigned state)
{
	static const enum top_tone tones[] = {
#define STATE(id, name, tone, help) TOP_TONE_##tone,
#include "top/states.def"
	};

	return tones[state];
}

static const char *state_help(unsigned state)
{
	static const char *const texts[] = {
#define STATE(id, name, tone, help) help,
#include "top/states.def"
	};

	return texts[state];
}

void top_page_help(struct top_page *page)
{
	top_page_clear(page);
	top_page_heading(page, "Keys");
	for (unsigned i = 0; i < TOP_ACTIONS; i++)
		top_page_add(page, TOP_TONE_PLAIN, "  %-10s %s", top_key_of(i)->names,
			     top_key_of(i)->help);
	top_page_add(
		page, TOP_TONE_PLAIN,
		"  The mouse selects rows, opens them, scrolls, and sorts by a heading.");
	top_page_heading(page, "States");
	for (unsigned i = 0; i < TOP_STATES; i++)
		top_page_add(page, tone_of(i), "  %-10s %s", top_state_name(i),
			     state_help(i));
	top_page_heading(page, "Columns");
	for (unsigned i = 0; i < TOP_COLUMNS; i++)
		top_page_add(page, TOP_TONE_PLAIN, "  %-10s %s",
			     top_column_info(i)->heading, top_column_info(i)->help);
	top_page_add(page, TOP_TONE_PLAIN, "  \"-\" is not known, or no limit.");
}

/* ---- choices ---- */

static bool is_shown(const struct top_view *view, enum top_column column)
{
	for (unsigned i = 0; i < view->columns_count; i++)
		if (view->columns[i] == column)
			return true;
	return false;
}

void top_page_columns(struct top_page *page, const struct top_view *view,
		      const enum top_column order[TOP_COLUMNS])
{
	top_page_clear(page);
	for (unsigned i = 0; i < TOP_COLUMNS; i++) {
		const struct top_column_info *info = top_column_info(order[i]);
		bool shown = is_shown(view, order[i]);

		top_page_add(page, shown ? TOP_TONE_PLAIN : TOP_TONE_DIM, "[%c] %-10s %s",
			     shown ? 'x' : ' ', info->name, info->help);
	}
}

void top_page_sort(struct top_page *page, const struct top_view *view)
{
	top_page_clear(page);
	for (unsigned i = 0; i < TOP_COLUMNS; i++)
		top_page_add(page, TOP_TONE_PLAIN, "%c %-10s %s",
			     view->sort != i   ? ' '
			     : view->ascending ? '^'
					       : 'v',
			     top_column_info(i)->name, top_column_info(i)->help);
}
