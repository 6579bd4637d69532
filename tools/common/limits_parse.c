/*
 * limits_parse.c - the grammar of limits.json: what each key means and may say.
 *
 * The text has passed gsh_locate_check(), so cJSON reads it and loses nothing. Each reader
 * takes the value at parser->at into its place, or refuses it. What an entry of "devices"
 * does not say it takes over from its tenant.
 */
#include "common/limits_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>

#include "base/parse.h"

/* 2^53: what is larger is not exact, in this file and in everybody's JSON. */
#define NUMBER_MAX 9007199254740992.0
#define BYTES_MAX  (UINT64_C(1) << 53)

enum { ALL_PERMILLE = 1000, WRITTEN_BYTES = 48 };

struct parser {
	struct gsh_limits_file *file;
	struct gsh_pointer at;
	struct gsh_limits_error *error;
};

/* A key of an object, and who reads its value. The last row's name is NULL. */
struct key {
	const char *name;
	int (*read)(struct parser *parser, const cJSON *item, void *into);
};

#define REFUSE(...)                                                               \
	gsh_limits_refuse(parser->file, parser->at.text, GSH_LOCATE_VALUE,        \
			  parser->error, __VA_ARGS__)
#define REFUSE_KEY(...)                                                           \
	gsh_limits_refuse(parser->file, parser->at.text, GSH_LOCATE_KEY,          \
			  parser->error, __VA_ARGS__)

/* The value as it stands in the file, shortened, for messages. */
static const char *written(const struct parser *parser, char text[WRITTEN_BYTES])
{
	size_t offset = 0;
	size_t bytes = gsh_locate_find(parser->file->text, parser->file->bytes,
				       parser->at.text, GSH_LOCATE_VALUE, &offset);

	snprintf(text, WRITTEN_BYTES, "%.*s%s", bytes > 40 ? 36 : (int)bytes,
		 parser->file->text + offset, bytes > 40 ? "..." : "");
	return text;
}

static int refuse_unknown_key(struct parser *parser, const char *name,
			      const struct key *keys)
{
	char known[160] = "";

	for (const struct key *key = keys; key->name; key++) {
		size_t length = strlen(known);

		if (strcasecmp(key->name, name) == 0)
			return REFUSE_KEY("keys are case-sensitive; write \"%s\"", key->name);
		snprintf(known + length, sizeof(known) - length, "%s\"%s\"",
			 length > 0 ? ", " : "", key->name);
	}
	return REFUSE_KEY("is not a key that is known here; those are %s", known);
}

/* Reads all members of an object by their keys. */
static int read_members(struct parser *parser, const cJSON *object, const struct key *keys,
			void *into)
{
	size_t length = parser->at.length;
	const struct key *key;
	const cJSON *item;
	int result;

	cJSON_ArrayForEach(item, object)
	{
		gsh_pointer_push(&parser->at, item->string);
		for (key = keys; key->name && strcmp(key->name, item->string) != 0; key++)
			;
		if (!key->name)
			return refuse_unknown_key(parser, item->string, keys);
		result = key->read ? key->read(parser, item, into) : 0;
		if (result < 0)
			return result;
		gsh_pointer_cut(&parser->at, length);
	}
	return 0;
}

/* ---- sizes ---- */

/* Bytes, or gibibytes? Who knows; the example takes the likelier. */
static int refuse_without_unit(struct parser *parser, double value, const char *number)
{
	char text[WRITTEN_BYTES];

	return REFUSE("%s has no unit; write a unit, such as \"%s%s\"", written(parser, text),
		      number ? number : text,
		      value < 1024	  ? "GiB" :
		      value < 1024 * 1024 ? "MiB" :
					    "B");
}

static int read_size(struct parser *parser, const cJSON *item, uint64_t *bytes)
{
	char text[WRITTEN_BYTES];
	const char *string = item->valuestring;
	uint64_t value = 0;
	int result;

	if (cJSON_IsNumber(item)) {
		if (item->valuedouble < 0)
			return REFUSE("%s is negative", written(parser, text));
		return refuse_without_unit(parser, item->valuedouble, NULL);
	}
	if (!cJSON_IsString(item))
		return REFUSE("must be a size such as \"8GiB\"");
	result = gsh_parse_size(string, &value);
	if (*string == '-')
		return REFUSE("%s is negative", written(parser, text));
	if (result == 0 && strspn(string, "0123456789.") == strlen(string))
		return refuse_without_unit(parser, (double)value, string);
	if (result == -ERANGE || (result == 0 && value > BYTES_MAX))
		return REFUSE("%s is too large; the largest size is 8192TiB",
			      written(parser, text));
	if (result < 0)
		return REFUSE("%s is not a size; write a number and one of B, KiB, MiB, GiB, "
			      "TiB, kB, MB, GB, TB",
			      written(parser, text));
	*bytes = value;
	return 0;
}

/* A quota: bytes, or a share of the device. */
static int read_quota(struct parser *parser, const cJSON *item, void *into)
{
	struct gpushim_policy_device *row = into;
	char text[WRITTEN_BYTES];
	uint64_t bytes = GPUSHIM_UNLIMITED;
	uint32_t ppm = 0;
	int result;

	if (cJSON_IsString(item) && strchr(item->valuestring, '%')) {
		if (gsh_parse_ppm(item->valuestring, &ppm) < 0 || ppm == 0)
			return REFUSE("%s is not a share of the device: above 0%%, at most 100%%",
				      written(parser, text));
	} else {
		if (!cJSON_IsString(item) && !cJSON_IsNumber(item))
			return REFUSE("must be a size such as \"8GiB\", or a share of the device "
				      "such as \"50%%\"");
		result = read_size(parser, item, &bytes);
		if (result < 0)
			return result;
		if (bytes == 0)
			return REFUSE("%s is no quota: every allocation would be refused",
				      written(parser, text));
	}
	row->memory_bytes = bytes;
	row->memory_ppm = ppm;
	return 0;
}

static int read_view(struct parser *parser, const cJSON *item, void *into)
{
	struct gpushim_policy_device *row = into;

	if (cJSON_IsString(item) && strcmp(item->valuestring, "quota") == 0)
		row->view = GPUSHIM_VIEW_QUOTA;
	else if (cJSON_IsString(item) && strcmp(item->valuestring, "device") == 0)
		row->view = GPUSHIM_VIEW_DEVICE;
	else
		return REFUSE("must be \"quota\" or \"device\"");
	return 0;
}

static int read_memory(struct parser *parser, const cJSON *item, void *into)
{
	static const struct key keys[] = {
		{ "limit", read_quota },
		{ "view", read_view },
		{ NULL, NULL },
	};
	const struct gpushim_policy_device *row = into;
	int result;

	if (cJSON_IsString(item) || cJSON_IsNumber(item))
		return read_quota(parser, item, into);
	if (!cJSON_IsObject(item))
		return REFUSE("must be a size such as \"8GiB\", a share of the device such as "
			      "\"50%%\", or an object with \"limit\"");
	result = read_members(parser, item, keys, into);
	if (result == 0 && row->memory_bytes == GPUSHIM_UNLIMITED && row->memory_ppm == 0)
		return REFUSE("\"limit\" is missing");
	return result;
}

static int read_context_memory(struct parser *parser, const cJSON *item, void *into)
{
	struct gpushim_policy_device *row = into;

	return read_size(parser, item, &row->context_bytes);
}

/* ---- GPU time ---- */

struct compute {
	uint64_t request_permille, limit_permille;
	bool has_request;
	uint32_t priority;
};

/* "30", "12.5" */
static const char *percent(uint64_t permille, char text[WRITTEN_BYTES])
{
	snprintf(text, WRITTEN_BYTES, permille % 10 ? "%llu.%llu" : "%llu",
		 (unsigned long long)(permille / 10), (unsigned long long)(permille % 10));
	return text;
}

/* A number of percent; how large it may be is the caller's business. */
static int read_percent(struct parser *parser, const cJSON *item, uint64_t *permille)
{
	char text[WRITTEN_BYTES];
	double tenths, rest;

	if (!cJSON_IsNumber(item))
		return REFUSE("must be a number of percent, without quotes");
	if (item->valuedouble < 0)
		return REFUSE("%s is negative", written(parser, text));
	if (item->valuedouble > NUMBER_MAX)
		return REFUSE("%s is too large to be exact", written(parser, text));
	tenths = item->valuedouble * 10;
	*permille = (uint64_t)(tenths + 0.5);
	rest = tenths - (double)*permille;
	if (rest > 1e-6 || rest < -1e-6)
		return REFUSE("%s is finer than a tenth of a percent", written(parser, text));
	return 0;
}

static int read_compute_limit(struct parser *parser, const cJSON *item, void *into)
{
	struct compute *compute = into;
	char text[WRITTEN_BYTES];
	int result = read_percent(parser, item, &compute->limit_permille);

	if (result < 0)
		return result;
	if (compute->limit_permille > ALL_PERMILLE)
		return REFUSE("%s is above 100", written(parser, text));
	if (compute->limit_permille == 0)
		return REFUSE("0 would never let it run; without \"compute\" a tenant gets what "
			      "others leave");
	return 0;
}

static int read_compute_request(struct parser *parser, const cJSON *item, void *into)
{
	struct compute *compute = into;

	compute->has_request = true;
	return read_percent(parser, item, &compute->request_permille);
}

static int read_priority(struct parser *parser, const cJSON *item, void *into)
{
	static const char *const names[] = {
		[GPUSHIM_PRIORITY_NORMAL] = "normal",
		[GPUSHIM_PRIORITY_LATENCY] = "latency",
		[GPUSHIM_PRIORITY_BATCH] = "batch",
	};
	struct compute *compute = into;

	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (cJSON_IsString(item) && strcmp(item->valuestring, names[i]) == 0) {
			compute->priority = i;
			return 0;
		}
	return REFUSE("must be \"latency\", \"normal\" or \"batch\"");
}

/* The request against the limit: both may stand here, or one be taken over. */
static int check_request(struct parser *parser, const struct compute *compute)
{
	char request[WRITTEN_BYTES], limit[WRITTEN_BYTES];

	if (compute->request_permille <= compute->limit_permille)
		return 0;
	percent(compute->limit_permille, limit);
	if (!compute->has_request) {
		gsh_pointer_push(&parser->at, "limit");
		return REFUSE("%s is below the request %s", limit,
			      percent(compute->request_permille, request));
	}
	gsh_pointer_push(&parser->at, "request");
	return REFUSE("%s is above the limit %s", written(parser, request), limit);
}

static int read_compute(struct parser *parser, const cJSON *item, void *into)
{
	static const struct key keys[] = {
		{ "request", read_compute_request },
		{ "limit", read_compute_limit },
		{ "priority", read_priority },
		{ NULL, NULL },
	};
	struct gpushim_policy_device *row = into;
	struct compute compute = {
		.request_permille = row->request_permille,
		.limit_permille = row->limit_permille,
		.priority = row->priority,
	};
	int result;

	if (cJSON_IsNumber(item)) {
		result = read_compute_limit(parser, item, &compute);
		compute.request_permille = compute.limit_permille;
	} else if (cJSON_IsObject(item)) {
		result = read_members(parser, item, keys, &compute);
		if (result == 0)
			result = check_request(parser, &compute);
	} else {
		return REFUSE("must be a number of percent, or an object with \"request\", "
			      "\"limit\" and \"priority\"");
	}
	if (result < 0)
		return result;
	row->request_permille = (uint32_t)compute.request_permille;
	row->limit_permille = (uint32_t)compute.limit_permille;
	row->priority = compute.priority;
	return 0;
}

/* ---- tenants ---- */

static const struct key device_keys[] = {
	{ "memory", read_memory },
	{ "compute", read_compute },
	{ "context_memory", read_context_memory },
	{ NULL, NULL },
};

/* "devices" is read once the others are known. */
static const struct key tenant_keys[] = {
	{ "memory", read_memory },
	{ "compute", read_compute },
	{ "context_memory", read_context_memory },
	{ "devices", NULL },
	{ NULL, NULL },
};

static int read_device(struct parser *parser, const cJSON *item,
		       struct gpushim_policy_limits *limits)
{
	struct gpushim_policy_device row = limits->others;

	if (gsh_limits_uuid(item->string, row.uuid) < 0)
		return REFUSE_KEY("is not a device; write \"GPU-\" or \"MIG-\" and its UUID, as "
				  "nvidia-smi -L shows it");
	for (uint32_t i = 0; i < limits->device_count; i++)
		if (memcmp(limits->devices[i].uuid, row.uuid, sizeof(row.uuid)) == 0)
			return REFUSE_KEY("the same device is already there, written otherwise");
	if (limits->device_count == GPUSHIM_DEVICES_MAX)
		return REFUSE_KEY("more than %u devices", GPUSHIM_DEVICES_MAX);
	if (!cJSON_IsObject(item))
		return REFUSE("must be an object such as {\"memory\": \"8GiB\"}");
	if (read_members(parser, item, device_keys, &row) < 0)
		return -EINVAL;
	limits->devices[limits->device_count++] = row;
	return 0;
}

static int read_devices(struct parser *parser, const cJSON *devices,
			struct gpushim_policy_limits *limits)
{
	size_t length;
	const cJSON *item;

	gsh_pointer_push(&parser->at, "devices");
	if (!cJSON_IsObject(devices))
		return REFUSE("must be an object whose keys are devices");
	length = parser->at.length;
	cJSON_ArrayForEach(item, devices)
	{
		gsh_pointer_push(&parser->at, item->string);
		if (read_device(parser, item, limits) < 0)
			return -EINVAL;
		gsh_pointer_cut(&parser->at, length);
	}
	return 0;
}

static int read_tenant(struct parser *parser, const cJSON *item,
		       struct gsh_limits_tenant *tenant)
{
	struct gpushim_policy_limits *limits = &tenant->limits;
	const cJSON *devices;

	if (strcmp(item->string, "*") != 0 && !gsh_parse_is_tenant(item->string))
		return REFUSE_KEY("is not a tenant's name: 1 to 63 of a-z, 0-9, '-', '.' and "
				  "'_', the first a letter or a digit");
	if (!cJSON_IsObject(item))
		return REFUSE("must be an object such as {\"memory\": \"8GiB\"}");
	memset(tenant, 0, sizeof(*tenant));
	snprintf(tenant->name, sizeof(tenant->name), "%s", item->string);
	limits->others.memory_bytes = GPUSHIM_UNLIMITED;
	limits->others.limit_permille = ALL_PERMILLE;
	if (read_members(parser, item, tenant_keys, &limits->others) < 0)
		return -EINVAL;
	devices = cJSON_GetObjectItemCaseSensitive(item, "devices");
	return devices ? read_devices(parser, devices, limits) : 0;
}

static int read_tenants(struct parser *parser, const cJSON *tenants, void *into)
{
	struct gsh_limits_file *file = into;
	size_t length = parser->at.length;
	const cJSON *item;

	if (!cJSON_IsObject(tenants))
		return REFUSE("must be an object whose keys are names of tenants");
	file->tenants = calloc((size_t)cJSON_GetArraySize(tenants) + 1,
			       sizeof(*file->tenants));
	if (!file->tenants)
		return REFUSE("there is no memory to read it");
	cJSON_ArrayForEach(item, tenants)
	{
		gsh_pointer_push(&parser->at, item->string);
		if (read_tenant(parser, item, &file->tenants[file->tenants_count]) < 0)
			return -EINVAL;
		file->tenants_count++;
		gsh_pointer_cut(&parser->at, length);
	}
	return 0;
}

/* ---- the file ---- */

static int read_overcommit(struct parser *parser, const cJSON *item, void *into)
{
	struct gsh_limits_file *file = into;

	if (!cJSON_IsBool(item))
		return REFUSE("must be true or false");
	file->overcommit = cJSON_IsTrue(item);
	return 0;
}

/* Before all else: the keys of another version are not known. */
static int check_version(struct parser *parser, const cJSON *root)
{
	const cJSON *version = cJSON_GetObjectItemCaseSensitive(root, "version");
	char text[WRITTEN_BYTES];

	if (!version)
		return REFUSE("\"version\" is missing; write \"version\": 1");
	gsh_pointer_push(&parser->at, "version");
	if (!cJSON_IsNumber(version))
		return REFUSE("must be the number 1");
	if (version->valuedouble != 1)
		return REFUSE("%s is not a version that is known here; that is 1",
			      written(parser, text));
	gsh_pointer_cut(&parser->at, 0);
	return 0;
}

static int read_root(struct parser *parser, const cJSON *root)
{
	static const struct key keys[] = {
		{ "version", NULL },
		{ "overcommit", read_overcommit },
		{ "tenants", read_tenants },
		{ NULL, NULL },
	};

	if (!cJSON_IsObject(root))
		return REFUSE("must be an object with \"version\" and \"tenants\"");
	if (check_version(parser, root) < 0 ||
	    read_members(parser, root, keys, parser->file) < 0)
		return -EINVAL;
	if (!cJSON_GetObjectItemCaseSensitive(root, "tenants"))
		return REFUSE("\"tenants\" is missing");
	return 0;
}

int gsh_limits_read_text(struct gsh_limits_file *file, struct gsh_limits_error *error)
{
	struct parser parser = { .file = file, .error = error };
	cJSON *root = cJSON_ParseWithLengthOpts(file->text, file->bytes + 1, NULL, 1);
	int result;

	if (!root)
		return gsh_limits_refuse_at(file, "", 0, error,
					    "there is no memory to read it");
	result = read_root(&parser, root);
	cJSON_Delete(root);
	return result;
}
