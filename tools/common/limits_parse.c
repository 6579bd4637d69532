/*
 * limits_parse.c - the grammar of limits.json: which keys stand where.
 *
 * The text has passed gsh_locate_check(), so cJSON reads it and loses nothing. Each reader
 * takes the value at parser->at into its place, or refuses it. What an entry of "devices"
 * does not say it takes over from its tenant.
 */
#include "common/limits_parse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"

const char *gsh_limits_written(const struct gsh_limits_parser *parser,
			       char text[GSH_LIMITS_WRITTEN])
{
	size_t offset = 0;
	size_t bytes = gsh_locate_find(parser->file->text, parser->file->bytes,
				       parser->at.text, GSH_LOCATE_VALUE, &offset);

	snprintf(text, GSH_LIMITS_WRITTEN, "%.*s%s", bytes > 40 ? 36 : (int)bytes,
		 parser->file->text + offset, bytes > 40 ? "..." : "");
	return text;
}

static int refuse_unknown_key(struct gsh_limits_parser *parser, const char *name,
			      const struct gsh_limits_key *keys)
{
	char known[160] = "";

	for (const struct gsh_limits_key *key = keys; key->name; key++) {
		size_t length = strlen(known);

		if (strcasecmp(key->name, name) == 0)
			return REFUSE_KEY("keys are case-sensitive; write \"%s\"",
					  key->name);
		snprintf(known + length, sizeof(known) - length, "%s\"%s\"",
			 length > 0 ? ", " : "", key->name);
	}
	return REFUSE_KEY("is not a key that is known here; those are %s", known);
}

int gsh_limits_members(struct gsh_limits_parser *parser, const cJSON *object,
		       const struct gsh_limits_key *keys, void *into)
{
	size_t length = parser->at.length;
	const struct gsh_limits_key *key;
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

/* ---- tenants ---- */

static const struct gsh_limits_key device_keys[] = {
	{ "memory", gsh_limits_memory },
	{ "compute", gsh_limits_compute },
	{ "context_memory", gsh_limits_context_memory },
	{ NULL, NULL },
};

/* These readers know a row of a device; "enforce" is of the tenant, and "devices" is read
 * once the others are known. */
static const struct gsh_limits_key tenant_keys[] = {
	{ "memory", gsh_limits_memory },
	{ "compute", gsh_limits_compute },
	{ "context_memory", gsh_limits_context_memory },
	{ "enforce", NULL },
	{ "devices", NULL },
	{ NULL, NULL },
};

static int read_device(struct gsh_limits_parser *parser, const cJSON *item,
		       struct gpushim_policy_limits *limits)
{
	struct gpushim_policy_device row = limits->others;

	if (gsh_limits_uuid(item->string, row.uuid) < 0)
		return REFUSE_KEY(
			"is not a device; write \"GPU-\" or \"MIG-\" and its UUID, as "
			"nvidia-smi -L shows it");
	for (uint32_t i = 0; i < limits->device_count; i++)
		if (memcmp(limits->devices[i].uuid, row.uuid, sizeof(row.uuid)) == 0)
			return REFUSE_KEY(
				"the same device is already there, written otherwise");
	if (limits->device_count == GPUSHIM_DEVICES_MAX)
		return REFUSE_KEY("more than %u devices", GPUSHIM_DEVICES_MAX);
	if (!cJSON_IsObject(item))
		return REFUSE("must be an object such as {\"memory\": \"8GiB\"}");
	if (gsh_limits_members(parser, item, device_keys, &row) < 0)
		return -EINVAL;
	limits->devices[limits->device_count++] = row;
	return 0;
}

static int read_devices(struct gsh_limits_parser *parser, const cJSON *devices,
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

static int read_enforce(struct gsh_limits_parser *parser, const cJSON *enforce,
			struct gpushim_policy_limits *limits)
{
	size_t length = parser->at.length;

	gsh_pointer_push(&parser->at, "enforce");
	if (!cJSON_IsBool(enforce))
		return REFUSE("must be true or false");
	if (cJSON_IsFalse(enforce))
		limits->flags |= GPUSHIM_POLICY_AUDIT;
	gsh_pointer_cut(&parser->at, length);
	return 0;
}

static int read_tenant(struct gsh_limits_parser *parser, const cJSON *item,
		       struct gsh_limits_tenant *tenant)
{
	struct gpushim_policy_limits *limits = &tenant->limits;
	const cJSON *enforce, *devices;

	if (strcmp(item->string, "*") != 0 && !gsh_parse_is_tenant(item->string))
		return REFUSE_KEY(
			"is not a tenant's name: 1 to 63 of a-z, 0-9, '-', '.' and "
			"'_', the first a letter or a digit");
	if (!cJSON_IsObject(item))
		return REFUSE("must be an object such as {\"memory\": \"8GiB\"}");
	memset(tenant, 0, sizeof(*tenant));
	snprintf(tenant->name, sizeof(tenant->name), "%s", item->string);
	limits->others.memory_bytes = GPUSHIM_UNLIMITED;
	limits->others.limit_permille = GSH_LIMITS_PERMILLE;
	if (gsh_limits_members(parser, item, tenant_keys, &limits->others) < 0)
		return -EINVAL;
	enforce = cJSON_GetObjectItemCaseSensitive(item, "enforce");
	if (enforce && read_enforce(parser, enforce, limits) < 0)
		return -EINVAL;
	devices = cJSON_GetObjectItemCaseSensitive(item, "devices");
	return devices ? read_devices(parser, devices, limits) : 0;
}

static int read_tenants(struct gsh_limits_parser *parser, const cJSON *tenants,
			void *into)
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

static int read_overcommit(struct gsh_limits_parser *parser, const cJSON *item,
			   void *into)
{
	struct gsh_limits_file *file = into;

	if (!cJSON_IsBool(item))
		return REFUSE("must be true or false");
	file->overcommit = cJSON_IsTrue(item);
	return 0;
}

/* Before all else: the keys of another version are not known. */
static int check_version(struct gsh_limits_parser *parser, const cJSON *root)
{
	const cJSON *version = cJSON_GetObjectItemCaseSensitive(root, "version");
	char text[GSH_LIMITS_WRITTEN];

	if (!version)
		return REFUSE("\"version\" is missing; write \"version\": 1");
	gsh_pointer_push(&parser->at, "version");
	if (!cJSON_IsNumber(version))
		return REFUSE("must be the number 1");
	if (version->valuedouble != 1)
		return REFUSE("%s is not a version that is known here; that is 1",
			      gsh_limits_written(parser, text));
	gsh_pointer_cut(&parser->at, 0);
	return 0;
}

static int read_root(struct gsh_limits_parser *parser, const cJSON *root)
{
	static const struct gsh_limits_key keys[] = {
		{ "version", NULL },
		{ "overcommit", read_overcommit },
		{ "tenants", read_tenants },
		{ NULL, NULL },
	};

	if (!cJSON_IsObject(root))
		return REFUSE("must be an object with \"version\" and \"tenants\"");
	if (check_version(parser, root) < 0 ||
	    gsh_limits_members(parser, root, keys, parser->file) < 0)
		return -EINVAL;
	if (!cJSON_GetObjectItemCaseSensitive(root, "tenants"))
		return REFUSE("\"tenants\" is missing");
	return 0;
}

int gsh_limits_read_text(struct gsh_limits_file *file, struct gsh_limits_error *error)
{
	struct gsh_limits_parser parser = { .file = file, .error = error };
	cJSON *root = cJSON_ParseWithLengthOpts(file->text, file->bytes + 1, NULL, 1);
	int result;

	if (!root)
		return gsh_limits_refuse_at(file, "", 0, error,
					    "there is no memory to read it");
	result = read_root(&parser, root);
	cJSON_Delete(root);
	return result;
}
