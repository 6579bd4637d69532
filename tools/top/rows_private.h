/*
 * rows_private.h - shared by rows.c, rows_old.c and rows_gone.c alone.
 */
#ifndef GSH_TOOLS_TOP_ROWS_PRIVATE_H
#define GSH_TOOLS_TOP_ROWS_PRIVATE_H

#include "top/model.h"

/* One more row of the sample, of which nothing is known yet. Valid until the next. */
struct top_row *top_row_new(struct top_model *model);

/* A tenant's own row on a device; device NULL: on none. Those of its processes come later. */
void top_row_add_tenant(struct top_model *model, uint32_t tenant,
			const struct gpushim_device *device, uint32_t index);

/* The row of before that has the same key; NULL: it is new. */
struct top_row *top_row_take_old(struct top_model *model, const struct top_row *key);
/*
 * Whether a row that was found, or NULL, was one of something that was there. It is not found
 * again afterwards.
 */
bool top_row_was_there(struct top_row *old);

#endif
