/*
 * rows_old.c - finds the rows of the sample before by their keys, in a table of hashes.
 *
 * Knows when a process is the same as before: by tenant, slot, time of start and device.
 */
#include "top/rows.h"

#include <string.h>

#include "top/rows_private.h"

static uint64_t hash(uint64_t tenant_id, uint64_t start, uint32_t slot, uint32_t device)
{
	uint64_t h = tenant_id * UINT64_C(0x9e3779b97f4a7c15);

	h = (h ^ start) * UINT64_C(0xbf58476d1ce4e5b9);
	h = (h ^ slot ^ (uint64_t)device << 32) * UINT64_C(0x94d049bb133111eb);
	return h ^ h >> 31;
}

void top_rows_begin(struct top_model *model)
{
	struct top_row *rows = model->rows;
	size_t room = model->rows_room, wanted = 64;

	model->rows = model->old;
	model->rows_room = model->old_room;
	model->old = rows;
	model->old_room = room;
	model->old_count = model->rows_count;
	model->rows_count = 0;
	while (wanted < 2 * model->old_count)
		wanted *= 2;
	if (wanted > model->index_room)
		model->index = top_grow(model->index, &model->index_room, wanted,
					sizeof(*model->index));
	model->index_room = wanted;
	memset(model->index, 0xff, wanted * sizeof(*model->index));
	for (uint32_t i = 0; i < model->old_count; i++) {
		const struct top_row *row = &model->old[i];
		size_t at = hash(row->tenant_id, row->start_unix_ns, row->slot,
				 row->device);

		while (model->index[at & (wanted - 1)] != UINT32_MAX)
			at++;
		model->index[at & (wanted - 1)] = i;
	}
}

struct top_row *top_row_take_old(struct top_model *model, const struct top_row *key)
{
	size_t at = hash(key->tenant_id, key->start_unix_ns, key->slot, key->device);
	size_t mask = model->index_room - 1;

	for (; model->index[at & mask] != UINT32_MAX; at++) {
		struct top_row *row = &model->old[model->index[at & mask]];

		if (row->tenant_id == key->tenant_id && row->slot == key->slot &&
		    row->start_unix_ns == key->start_unix_ns &&
		    row->device == key->device)
			return row;
	}
	return NULL;
}

/* Rows taken belong to no tenant any more, so that the rest is seen to have gone. */
bool top_row_was_there(struct top_row *old)
{
	if (!old)
		return false;
	old->tenant_id = UINT64_MAX;
	return old->state != TOP_STATE_GONE;
}

void top_rows_forget(struct top_model *model, uint32_t device)
{
	for (size_t i = 0; i < model->old_count; i++)
		if (model->old[i].device == device)
			model->old[i].tenant_id = UINT64_MAX;
}
