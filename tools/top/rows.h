/*
 * rows.h - the parts of the model: rows, numbers of devices, events.
 *
 * As pure as it is. Only model.c, devices.c, events.c and rows*.c know each other by this.
 */
#ifndef GSH_TOOLS_TOP_ROWS_H
#define GSH_TOOLS_TOP_ROWS_H

#include "top/model.h"

/* The rows there are become those of before, to be found by their key. */
void top_rows_begin(struct top_model *model);

/*
 * Rows of model->tenants[tenant] and its processes. device_of[i] is the index in
 * model->devices of the snapshot's device i. Notes what happened in the model's events.
 */
void top_rows_add(struct top_model *model, uint32_t tenant, const struct top_look *look,
		  const uint32_t device_of[GPUSHIM_DEVICES_MAX]);

/* The tenant's files cannot be read: its rows stay as they were, or one is made. */
void top_rows_keep(struct top_model *model, uint32_t tenant);

/* Rows of before on a device whose number is given to another are not found again. */
void top_rows_forget(struct top_model *model, uint32_t device);

/* What was there before and was not added again stays for a while as gone. */
void top_rows_end(struct top_model *model);

/* The number of a device, given now if it has none; TOP_NO_DEVICE: there is none left. */
uint32_t top_device_index(struct top_model *model, const uint8_t uuid[16]);

/* Notes an event of a tenant; see struct top_event. */
void top_event_add(struct top_model *model, const struct top_tenant *tenant,
		   enum top_event_kind kind, uint64_t unix_ns, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

#endif
