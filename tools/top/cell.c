/*
 * cell.c - columns, and what stands in the cells of a row; see view.h.
 */
#include "top/view.h"

#include <stdio.h>
#include <string.h>

#include "top/text.h"

static const struct top_column_info columns[] = {
#define LEFT TOP_LEFT
#define RIGHT TOP_RIGHT
#define BAR TOP_BAR
#define COLUMN(id, name, heading, align, least, most, rank, help) \
	[TOP_COLUMN_##id] = { name, heading, help, align, least, most, rank },
#include "top/columns.def"
#undef LEFT
#undef RIGHT
#undef BAR
};

const struct top_column_info *top_column_info(enum top_column column)
{
	return &columns[column];
}

int top_column_find(const char *name)
{
	size_t length = strlen(name);
	int found = -1;

	for (int i = 0; i < TOP_COLUMNS; i++) {
		if (strcmp(columns[i].name, name) == 0)
			return i;
		if (length > 0 && strncmp(columns[i].name, name, length) == 0)
			found = found == -1 ? i : -2;
	}
	return found < 0 ? -1 : found;
}

/* "3.1G/8G", of a process only what it has itself. */
static void part_text(char *text, size_t bytes, const struct top_row *row,
		      const char *part, const char *whole)
{
	if (row->slot == TOP_NO_SLOT)
		snprintf(text, bytes, "%s/%s", part, whole);
	else
		snprintf(text, bytes, "%s", part);
}

static void bar_text(char *text, size_t bytes, const struct top_row *row,
		     enum top_column column)
{
	char part[TOP_TEXT_BYTES], whole[TOP_TEXT_BYTES];

	if (column == TOP_COLUMN_MEMORY) {
		top_text_bytes(part, row->value[column]);
		top_text_bytes(whole, row->quota_bytes);
	} else {
		top_text_share(part, row->value[column]);
		top_text_share(whole, row->limit_ppm);
	}
	part_text(text, bytes, row, part, whole);
}

static void number_text(char text[TOP_TEXT_BYTES], uint64_t value, enum top_column column)
{
	switch (column) {
	case TOP_COLUMN_QUOTA:
	case TOP_COLUMN_PEAK:
		top_text_bytes(text, value);
		break;
	case TOP_COLUMN_SHARE10:
	case TOP_COLUMN_REQUEST:
	case TOP_COLUMN_LIMIT:
	case TOP_COLUMN_WAIT:
		top_text_share(text, value);
		break;
	case TOP_COLUMN_WAITING:
	case TOP_COLUMN_GPU_TIME:
		top_text_time(text, value);
		break;
	case TOP_COLUMN_CREDIT:
		if (value == TOP_UNKNOWN)
			top_text_time(text, value);
		else
			top_text_credit(text, (int64_t)value);
		break;
	case TOP_COLUMN_LAUNCHES:
		top_text_rate(text, value);
		break;
	case TOP_COLUMN_DENIALS:
	case TOP_COLUMN_UNKNOWN:
		top_text_count(text, value);
		break;
	default: /* device and process: numbers that say who */
		if (value == TOP_UNKNOWN)
			top_text_time(text, value);
		else
			snprintf(text, TOP_TEXT_BYTES, "%llu", (unsigned long long)value);
	}
}

static const char *or_unknown(const char *text)
{
	return *text ? text : "-";
}

/* Columns that only tenants have, or only processes, are empty and not unknown. */
static bool is_of_the_other(enum top_column column, bool is_tenant)
{
	switch (column) {
	case TOP_COLUMN_PID:
	case TOP_COLUMN_HOST_PID:
		return is_tenant;
	case TOP_COLUMN_QUOTA:
	case TOP_COLUMN_REQUEST:
	case TOP_COLUMN_LIMIT:
	case TOP_COLUMN_SHARE10:
	case TOP_COLUMN_CREDIT:
		return !is_tenant;
	default:
		return false;
	}
}

const char *top_cell_text(const struct top_view *view, const struct top_model *model,
			  const struct top_row *row, enum top_column column, char *text,
			  size_t bytes)
{
	const char *tenant = model->tenants[row->tenant]->name;
	bool is_tenant = row->slot == TOP_NO_SLOT;
	char number[TOP_TEXT_BYTES];

	switch (column) {
	case TOP_COLUMN_TENANT:
		snprintf(text, bytes, "%s", tenant);
		break;
	case TOP_COLUMN_NAME:
		snprintf(text, bytes, "%s%s", view->tree && !is_tenant ? "  " : "",
			 is_tenant ? tenant : or_unknown(row->command));
		break;
	case TOP_COLUMN_USER:
		snprintf(text, bytes, "%s", is_tenant ? "" : or_unknown(row->user));
		break;
	case TOP_COLUMN_CONTAINER:
		snprintf(text, bytes, "%s", is_tenant ? "" : or_unknown(row->container));
		break;
	case TOP_COLUMN_POD:
		snprintf(text, bytes, "%s", is_tenant ? "" : or_unknown(row->pod));
		break;
	case TOP_COLUMN_STATE:
		snprintf(text, bytes, "%s", top_state_name(row->state));
		break;
	case TOP_COLUMN_MEMORY:
	case TOP_COLUMN_SHARE:
		bar_text(text, bytes, row, column);
		break;
	default:
		if (is_of_the_other(column, is_tenant)) {
			text[0] = '\0';
			break;
		}
		number_text(number, row->value[column], column);
		snprintf(text, bytes, "%s", number);
	}
	return text;
}

int top_cell_part(const struct top_row *row, enum top_column column)
{
	uint64_t part = row->value[column], whole;
	double ratio;

	if (column != TOP_COLUMN_MEMORY && column != TOP_COLUMN_SHARE)
		return -1;
	whole = column == TOP_COLUMN_MEMORY ? row->quota_bytes : row->limit_ppm;
	/* Without a cap all of the device's time is what there is to have. */
	if (column == TOP_COLUMN_SHARE && whole == TOP_UNKNOWN)
		whole = 1000000;
	if (part == TOP_UNKNOWN || whole == TOP_UNKNOWN || whole == 0)
		return -1;
	ratio = (double)part / (double)whole * 1000;
	return ratio < 1000 ? (int)ratio : 1000;
}

static enum top_tone state_tone(enum top_state state)
{
	static const enum top_tone tones[] = {
#define STATE(id, name, tone, help) [TOP_STATE_##id] = TOP_TONE_##tone,
#include "top/states.def"
	};

	return tones[state];
}

enum top_tone top_cell_tone(const struct top_row *row, enum top_column column)
{
	int part = top_cell_part(row, column);

	if (row->state == TOP_STATE_GONE || row->state == TOP_STATE_STALE)
		return column == TOP_COLUMN_STATE ? state_tone(row->state) : TOP_TONE_DIM;
	switch (column) {
	case TOP_COLUMN_STATE:
		return state_tone(row->state);
	case TOP_COLUMN_MEMORY:
		return part > 950   ? TOP_TONE_BAD
		       : part > 800 ? TOP_TONE_WARN
				    : TOP_TONE_GOOD;
	case TOP_COLUMN_SHARE:
		return TOP_TONE_GOOD;
	case TOP_COLUMN_DENIALS:
		return row->value[column] > 0 && row->value[column] != TOP_UNKNOWN
			       ? TOP_TONE_BAD
			       : TOP_TONE_PLAIN;
	case TOP_COLUMN_WAIT:
	case TOP_COLUMN_WAITING:
		return row->value[column] > 0 && row->value[column] != TOP_UNKNOWN
			       ? TOP_TONE_WARN
			       : TOP_TONE_PLAIN;
	default:
		return TOP_TONE_PLAIN;
	}
}
