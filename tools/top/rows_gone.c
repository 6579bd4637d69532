/*
 * rows_gone.c - rows of what cannot be read, or is not there any more: they stay as they were,
 * marked, and what has gone stays for a few seconds.
 */
#include "top/rows.h"

#include "top/rows_private.h"

static uint32_t find_group(const struct top_model *model, const struct top_row *row)
{
	for (uint32_t i = 0; i < model->rows_count; i++)
		if (model->rows[i].tenant_id == row->tenant_id &&
		    model->rows[i].slot == TOP_NO_SLOT &&
		    (model->rows[i].device == row->device ||
		     row->device == TOP_NO_DEVICE))
			return i;
	return UINT32_MAX;
}

static void forget_rates(struct top_row *row)
{
	row->value[TOP_COLUMN_SHARE] = TOP_UNKNOWN;
	row->value[TOP_COLUMN_SHARE10] = TOP_UNKNOWN;
	row->value[TOP_COLUMN_WAIT] = TOP_UNKNOWN;
	row->value[TOP_COLUMN_WAITING] = TOP_UNKNOWN;
	row->value[TOP_COLUMN_LAUNCHES] = TOP_UNKNOWN;
}

/* Copies a row of before as it was, if a row of its tenant stands above it. */
static struct top_row *keep_row(struct top_model *model, const struct top_row *old,
				enum top_state state)
{
	uint32_t group = (uint32_t)model->rows_count;
	struct top_row *row;

	if (old->slot != TOP_NO_SLOT)
		group = find_group(model, old);
	if (group == UINT32_MAX)
		return NULL;
	row = top_row_new(model);
	*row = *old;
	row->group = group;
	row->state = state;
	forget_rates(row);
	return row;
}

void top_rows_keep(struct top_model *model, uint32_t tenant)
{
	uint64_t id = model->tenants[tenant]->id;
	bool any = false;

	for (size_t i = 0; i < model->old_count; i++) {
		struct top_row *old = &model->old[i];

		if (old->tenant_id != id || old->state == TOP_STATE_GONE)
			continue;
		if (keep_row(model, old, TOP_STATE_STALE))
			any = true;
		old->tenant_id = UINT64_MAX;
	}
	if (any)
		return;
	top_row_add_tenant(model, tenant, NULL, TOP_NO_DEVICE);
	model->rows[model->rows_count - 1].state = TOP_STATE_STALE;
}

static void note_end(struct top_model *model, const struct top_row *row)
{
	const struct top_tenant *tenant = top_model_tenant(model, row->tenant_id);

	if (tenant && row->slot != TOP_NO_SLOT && row->alive)
		top_event_add(model, tenant, TOP_EVENT_ENDED, model->unix_ns,
			      "%s (%llu) ended", row->command,
			      (unsigned long long)row->value[TOP_COLUMN_PID]);
}

void top_rows_end(struct top_model *model)
{
	for (size_t i = 0; i < model->old_count; i++) {
		const struct top_row *old = &model->old[i];
		uint64_t since_ns = old->gone_ns ? old->gone_ns : model->now_ns;
		struct top_row *row;

		if (old->tenant_id == UINT64_MAX || model->now_ns < since_ns ||
		    model->now_ns - since_ns >= TOP_GONE_NS)
			continue;
		row = keep_row(model, old, TOP_STATE_GONE);
		if (!row)
			continue;
		if (!old->gone_ns)
			note_end(model, row);
		row->gone_ns = since_ns;
		row->alive = 0;
	}
}
