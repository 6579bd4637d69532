/*
 * devices.c - numbers of devices: which has which, by UUID, and who may have one.
 */
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "top/rows.h"
#include "top/text.h"

/* Nothing stays that was about the device of this number. */
static void forget_device(struct top_model *model, uint32_t index)
{
	for (size_t t = 0; t < model->tenants_count; t++) {
		struct top_tenant *tenant = model->tenants[t];

		for (unsigned i = tenant->parts_count; i-- > 0;)
			if (tenant->parts[i].device == index)
				tenant->parts[i] = tenant->parts[--tenant->parts_count];
	}
	top_rows_forget(model, index);
}

/*
 * The number of a device that comes anew. A tenant can write any UUID into its ledger, each
 * time another: where numbers have run out, that of the one unused for longest is taken, if
 * it has no name and was not there the last time either.
 */
static uint32_t free_device(struct top_model *model)
{
	uint32_t found = TOP_NO_DEVICE;

	if (model->devices_count < TOP_DEVICES_MAX)
		return (uint32_t)model->devices_count++;
	for (uint32_t i = 0; i < TOP_DEVICES_MAX; i++) {
		const struct top_device *device = &model->devices[i];

		if (!device->name[0] && device->used_sample + 1 < model->samples &&
		    (found == TOP_NO_DEVICE ||
		     device->used_sample < model->devices[found].used_sample))
			found = i;
	}
	if (found != TOP_NO_DEVICE)
		forget_device(model, found);
	return found;
}

uint32_t top_device_index(struct top_model *model, const uint8_t uuid[16])
{
	struct top_device *device;
	uint32_t index;

	for (uint32_t i = 0; i < model->devices_count; i++)
		if (memcmp(model->devices[i].uuid, uuid, 16) == 0)
			return i;
	index = free_device(model);
	if (index == TOP_NO_DEVICE)
		return TOP_NO_DEVICE;
	device = &model->devices[index];
	memset(device, 0, sizeof(*device));
	memcpy(device->uuid, uuid, sizeof(device->uuid));
	device->share_ppm = TOP_UNKNOWN;
	device->driver_limit_bytes = TOP_UNKNOWN;
	return index;
}

void top_model_name(struct top_model *model, const uint8_t uuid[16], const char *name)
{
	uint32_t index = top_device_index(model, uuid);

	if (index != TOP_NO_DEVICE)
		snprintf(model->devices[index].name, sizeof(model->devices[index].name),
			 "%s", name);
}

uint32_t top_model_find_device(const struct top_model *model, const char *text)
{
	char uuid[TOP_TEXT_BYTES];
	uint64_t number;

	if (gsh_parse_u64(text, &number) == 0)
		return number < model->devices_count ? (uint32_t)number : TOP_NO_DEVICE;
	for (uint32_t i = 0; i < model->devices_count; i++) {
		top_text_uuid(uuid, model->devices[i].uuid);
		if (text[0] && strncmp(uuid, text, strlen(text)) == 0)
			return i;
	}
	return TOP_NO_DEVICE;
}
