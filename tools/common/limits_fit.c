/*
 * limits_fit.c - whether what a limits.json promises can be kept on a device, all together.
 *
 * Pure arithmetic over the rows of the file. Without a device only shares can be added up.
 */
#include "common/limits_file.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"

enum { ALL_PERMILLE = 1000, ALL_PPM = 1000000, SENTENCE_BYTES = 256 };

/* A device, or what is not known of one. */
struct place {
	const uint8_t *uuid;  /* NULL: any that no tenant names */
	uint64_t total_bytes; /* 0: not known */
};

/* What has been promised on it by the tenants so far. */
struct promised {
	uint64_t bytes, ppm, permille;
};

static uint64_t sum(uint64_t a, uint64_t b)
{
	return a + b < a ? UINT64_MAX : a + b;
}

static const struct gpushim_policy_device *row_of(const struct gsh_limits_tenant *tenant,
						  const uint8_t *uuid)
{
	for (uint32_t i = 0; uuid && i < tenant->limits.device_count; i++)
		if (memcmp(tenant->limits.devices[i].uuid, uuid, 16) == 0)
			return &tenant->limits.devices[i];
	return &tenant->limits.others;
}

/* The quota in bytes; 0: there is none, or it is a share of an unknown total. */
static uint64_t quota_bytes(const struct gpushim_policy_device *row, uint64_t total_bytes)
{
	uint64_t share = GPUSHIM_UNLIMITED, bytes = row->memory_bytes;

	if (row->memory_ppm > 0)
		share = total_bytes / ALL_PPM * row->memory_ppm +
			total_bytes % ALL_PPM * row->memory_ppm / ALL_PPM;
	bytes = share < bytes ? share : bytes;
	return bytes == GPUSHIM_UNLIMITED ? 0 : bytes;
}

static void add_percent(struct gsh_text *text, uint64_t value, uint64_t per_percent)
{
	gsh_text_add_u64(text, value / per_percent);
	if (value % per_percent) {
		gsh_text_add(text, ".");
		gsh_text_add_u64(text, value % per_percent * 10 / per_percent);
	}
	gsh_text_add(text, " %");
}

static void add_place(struct gsh_text *text, const struct place *place)
{
	if (place->uuid)
		gsh_text_add_uuid(text, place->uuid);
	else
		gsh_text_add(text, "a device");
}

/* Refuses at the tenant's key for that device, or the one that holds for all. */
static int refuse(const struct gsh_limits_file *file,
		  const struct gsh_limits_tenant *tenant, const struct place *place,
		  const char *key, const char *sentence, struct gsh_limits_error *error)
{
	struct gsh_pointer pointer = { .length = 0 };
	size_t offset, length;
	char device[48];
	struct gsh_text text;

	gsh_pointer_push(&pointer, "tenants");
	gsh_pointer_push(&pointer, tenant->name);
	length = pointer.length;
	if (place->uuid) {
		gsh_text_init(&text, device, sizeof(device));
		gsh_text_add_uuid(&text, place->uuid);
		gsh_pointer_push(&pointer, "devices");
		gsh_pointer_push(&pointer, device);
		gsh_pointer_push(&pointer, key);
		if (gsh_locate_find(file->text, file->bytes, pointer.text,
				    GSH_LOCATE_VALUE, &offset) == 0)
			gsh_pointer_cut(&pointer, length);
	}
	if (pointer.length == length)
		gsh_pointer_push(&pointer, key);
	gsh_limits_refuse(file, pointer.text, GSH_LOCATE_VALUE, error, "%s", sentence);
	return -EDQUOT;
}

/* "tenant 'x' has no room: with it " for one that the file does not name. */
static void begin(struct gsh_text *text, char sentence[SENTENCE_BYTES],
		  const char *templated)
{
	gsh_text_init(text, sentence, SENTENCE_BYTES);
	if (templated) {
		gsh_text_add(text, "tenant '");
		gsh_text_add(text, templated);
		gsh_text_add(text, "' does not fit: ");
	}
	gsh_text_add(text, "with this the ");
}

static void end(struct gsh_text *text)
{
	gsh_text_add(text, "; lower one, or write \"overcommit\": true");
}

/* Adds one tenant's promises; -EDQUOT if that is more than the device has. */
static int promise(const struct gsh_limits_file *file,
		   const struct gsh_limits_tenant *tenant, const char *templated,
		   const struct place *place, struct promised *promised,
		   struct gsh_limits_error *error)
{
	const struct gpushim_policy_device *row = row_of(tenant, place->uuid);
	char sentence[SENTENCE_BYTES];
	struct gsh_text text;

	begin(&text, sentence, templated);
	if (place->total_bytes > 0) {
		promised->bytes = sum(promised->bytes,
				      quota_bytes(row, place->total_bytes));
		if (promised->bytes > place->total_bytes) {
			gsh_text_add(&text, "quotas come to ");
			gsh_text_add_size(&text, promised->bytes);
			gsh_text_add(&text, " on ");
			add_place(&text, place);
			gsh_text_add(&text, ", which has ");
			gsh_text_add_size(&text, place->total_bytes);
			end(&text);
			return refuse(file, tenant, place, "memory", sentence, error);
		}
	} else {
		promised->ppm += row->memory_ppm;
		if (promised->ppm > ALL_PPM) {
			gsh_text_add(&text, "quotas come to ");
			add_percent(&text, promised->ppm, ALL_PPM / 100);
			gsh_text_add(&text, " of ");
			add_place(&text, place);
			end(&text);
			return refuse(file, tenant, place, "memory", sentence, error);
		}
	}
	promised->permille += row->request_permille;
	if (promised->permille > ALL_PERMILLE) {
		gsh_text_add(&text, "guaranteed requests come to ");
		add_percent(&text, promised->permille, ALL_PERMILLE / 100);
		gsh_text_add(&text, " of the time of ");
		add_place(&text, place);
		end(&text);
		return refuse(file, tenant, place, "compute", sentence, error);
	}
	return 0;
}

static int fit_on(const struct gsh_limits_file *file, const struct place *place,
		  const char *const *templated, size_t templated_count,
		  struct gsh_limits_error *error)
{
	const struct gsh_limits_tenant *template = gsh_limits_entry(file, "*");
	struct promised promised = { 0 };
	int result = 0;

	for (size_t i = 0; i < file->tenants_count && result == 0; i++)
		if (&file->tenants[i] != template)
			result = promise(file, &file->tenants[i], NULL, place, &promised,
					 error);
	for (size_t i = 0; template && i < templated_count && result == 0; i++)
		if (!gsh_limits_entry(file, templated[i]))
			result = promise(file, template, templated[i], place, &promised,
					 error);
	return result;
}

int gsh_limits_fit(const struct gsh_limits_file *file,
		   const struct gsh_limits_device *devices, size_t count,
		   const char *const *templated, size_t templated_count,
		   struct gsh_limits_error *error)
{
	struct place place = { NULL, 0 };
	int result = 0;

	if (file->overcommit)
		return 0;
	for (size_t i = 0; i < count && result == 0; i++) {
		place.uuid = devices[i].uuid;
		place.total_bytes = devices[i].total_bytes;
		result = fit_on(file, &place, templated, templated_count, error);
	}
	if (count > 0)
		return result;
	result = fit_on(file, &place, templated, templated_count, error);
	for (size_t i = 0; i < file->tenants_count && result == 0; i++) {
		const struct gpushim_policy_limits *limits = &file->tenants[i].limits;

		for (uint32_t row = 0; row < limits->device_count && result == 0; row++) {
			place.uuid = limits->devices[row].uuid;
			result = fit_on(file, &place, templated, templated_count, error);
		}
	}
	return result;
}
