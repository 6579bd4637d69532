/*
 * order.c - which rows are shown, and in which order; see view.h.
 */
#include "top/view.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void top_view_init(struct top_view *view)
{
	memset(view, 0, sizeof(*view));
	for (unsigned i = 0; i < TOP_COLUMNS; i++)
		if (top_column_info(i)->rank < 100)
			view->columns[view->columns_count++] = i;
	view->sort = TOP_COLUMN_MEMORY;
	view->tree = true;
	view->device = TOP_NO_DEVICE;
}

/* ---- filter ---- */

/* part is in lower case. */
static bool has(const char *text, const char *part)
{
	size_t length = strlen(part);

	for (; *text; text++) {
		size_t i = 0;

		while (i < length && tolower((unsigned char)text[i]) == part[i])
			i++;
		if (i == length)
			return true;
	}
	return false;
}

static bool is_chosen(const struct top_view *view, const struct top_model *model,
		      const struct top_row *row)
{
	return (view->device == TOP_NO_DEVICE || view->device == row->device) &&
	       (!view->tenant[0] ||
		strcmp(model->tenants[row->tenant]->name, view->tenant) == 0);
}

static bool matches(const struct top_view *view, const struct top_model *model,
		    const struct top_row *row)
{
	char text[128];

	if (!view->filter[0] || has(model->tenants[row->tenant]->name, view->filter))
		return true;
	if (row->slot == TOP_NO_SLOT)
		return false;
	if (has(row->command, view->filter) || has(row->user, view->filter) ||
	    has(row->container, view->filter) || has(row->pod, view->filter) ||
	    has(top_state_name(row->state), view->filter))
		return true;
	top_cell_text(view, model, row, TOP_COLUMN_PID, text, sizeof(text));
	if (has(text, view->filter))
		return true;
	top_cell_text(view, model, row, TOP_COLUMN_HOST_PID, text, sizeof(text));
	return has(text, view->filter);
}

/* ---- order ---- */

struct sorting {
	const struct top_view *view;
	const struct top_model *model;
};

static int by_number(uint64_t a, uint64_t b, bool is_signed, bool ascending)
{
	int order = a < b ? -1 : a > b;

	/* What is not known comes last in any case. */
	if (a == TOP_UNKNOWN || b == TOP_UNKNOWN)
		return (a == TOP_UNKNOWN) - (b == TOP_UNKNOWN);
	if (is_signed)
		order = (int64_t)a < (int64_t)b ? -1 : (int64_t)a > (int64_t)b;
	return ascending ? order : -order;
}

static const char *text_of(const struct sorting *sorting, const struct top_row *row)
{
	switch (sorting->view->sort) {
	case TOP_COLUMN_TENANT:
		return sorting->model->tenants[row->tenant]->name;
	case TOP_COLUMN_NAME:
		return row->slot == TOP_NO_SLOT
			       ? sorting->model->tenants[row->tenant]->name
			       : row->command;
	case TOP_COLUMN_USER:
		return row->user;
	case TOP_COLUMN_CONTAINER:
		return row->container;
	case TOP_COLUMN_POD:
		return row->pod;
	default:
		return "";
	}
}

static int by_column(const struct sorting *sorting, const struct top_row *a,
		     const struct top_row *b)
{
	const struct top_view *view = sorting->view;
	int order;

	if (view->sort == TOP_COLUMN_STATE)
		return by_number(a->state, b->state, false, view->ascending);
	if (top_column_info(view->sort)->align == TOP_LEFT) {
		order = strcmp(text_of(sorting, a), text_of(sorting, b));
		return view->ascending ? -order : order;
	}
	/* Devices and processes are counted, not measured: the first come first. */
	if (view->sort == TOP_COLUMN_DEVICE || view->sort == TOP_COLUMN_PID ||
	    view->sort == TOP_COLUMN_HOST_PID)
		return by_number(a->value[view->sort], b->value[view->sort], false,
				 !view->ascending);
	return by_number(a->value[view->sort], b->value[view->sort],
			 view->sort == TOP_COLUMN_CREDIT, view->ascending);
}

/* Of two that are the same in the column, so that rows do not dance. */
static int by_identity(const struct sorting *sorting, const struct top_row *a,
		       const struct top_row *b)
{
	int order = strcmp(sorting->model->tenants[a->tenant]->name,
			   sorting->model->tenants[b->tenant]->name);

	if (order == 0)
		order = a->tenant_id < b->tenant_id ? -1 : a->tenant_id > b->tenant_id;
	if (order == 0)
		order = a->device < b->device ? -1 : a->device > b->device;
	if (order == 0)
		order = a->slot < b->slot ? -1 : a->slot > b->slot;
	if (order == 0)
		order = a->start_unix_ns < b->start_unix_ns
				? -1
				: a->start_unix_ns > b->start_unix_ns;
	return order;
}

static int by_row(const struct sorting *sorting, const struct top_row *a,
		  const struct top_row *b)
{
	int order = by_column(sorting, a, b);

	return order ? order : by_identity(sorting, a, b);
}

static int compare(const void *a, const void *b, void *context)
{
	const struct sorting *sorting = context;
	const struct top_row *rows = sorting->model->rows;
	const struct top_row *left = &rows[*(const uint32_t *)a];
	const struct top_row *right = &rows[*(const uint32_t *)b];
	int order;

	if (!sorting->view->tree)
		return by_row(sorting, left, right);
	/* By the tenant's rows first, and each above its processes. */
	if (left->group != right->group) {
		order = by_row(sorting, &rows[left->group], &rows[right->group]);
		return order ? order : left->group < right->group ? -1 : 1;
	}
	if (left->slot == TOP_NO_SLOT || right->slot == TOP_NO_SLOT)
		return (right->slot == TOP_NO_SLOT) - (left->slot == TOP_NO_SLOT);
	return by_row(sorting, left, right);
}

/* In a tree a tenant is shown for the sake of its processes, too. */
static void mark(const struct top_view *view, const struct top_model *model, bool *shown)
{
	for (size_t i = 0; i < model->rows_count; i++) {
		const struct top_row *row = &model->rows[i];

		shown[i] = is_chosen(view, model, row) && matches(view, model, row);
		if (shown[i] && view->tree)
			shown[row->group] = true;
		/* A list of processes has no tenants, except those without any. */
		if (!view->tree && row->slot == TOP_NO_SLOT)
			shown[i] = false;
	}
}

size_t top_view_order(const struct top_view *view, const struct top_model *model,
		      uint32_t *order)
{
	struct sorting sorting = { view, model };
	size_t count = 0, room = 0;
	bool *shown;

	if (model->rows_count == 0)
		return 0;
	shown = top_grow(NULL, &room, model->rows_count, sizeof(*shown));
	mark(view, model, shown);
	for (uint32_t i = 0; i < model->rows_count; i++)
		if (shown[i])
			order[count++] = i;
	free(shown);
	qsort_r(order, count, sizeof(*order), compare, &sorting);
	return count;
}
