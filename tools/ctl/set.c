/*
 * set.c - gpushim-ctl set: changes limits of one tenant until the next apply.
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "common/limits.h"
#include "common/publish.h"

/* Each reads a value into a row: NULL, or what the value should have been. */
static const char *set_memory(struct gpushim_policy_device *row, const char *value)
{
	uint64_t bytes = GPUSHIM_UNLIMITED;
	uint32_t ppm = 0;

	if (strchr(value, '%')) {
		if (gsh_parse_ppm(value, &ppm) < 0 || ppm == 0)
			return "a share of the device, above 0% and at most 100%";
	} else if (strcmp(value, "none") != 0) {
		if (gsh_parse_size(value, &bytes) < 0 || bytes == 0 ||
		    strspn(value, "0123456789.") == strlen(value))
			return "a size with its unit, such as 8GiB, a share such as 25%, or none";
	}
	row->memory_bytes = bytes;
	row->memory_ppm = ppm;
	return NULL;
}

static const char *set_compute(struct gpushim_policy_device *row, const char *value)
{
	const char *colon = strchr(value, ':');
	uint32_t request = 0, limit = 1000;
	char first[32];
	int bad = 0;

	if (strcmp(value, "none") != 0) {
		snprintf(first, sizeof(first), "%.*s",
			 colon ? (int)(colon - value) : (int)strlen(value), value);
		bad = gsh_parse_permille(first, &request);
		limit = request;
		if (!bad && colon)
			bad = gsh_parse_permille(colon + 1, &limit);
	}
	if (bad || limit == 0)
		return "REQUEST or REQUEST:LIMIT in percent, the limit above 0, or none";
	if (request > limit)
		return "REQUEST:LIMIT with a request that is not above the limit";
	row->request_permille = request;
	row->limit_permille = limit;
	return NULL;
}

static const char *set_context_memory(struct gpushim_policy_device *row,
				      const char *value)
{
	return gsh_parse_size(value, &row->context_bytes) < 0 ? "a size, such as 300MiB"
							      : NULL;
}

static const char *set_view(struct gpushim_policy_device *row, const char *value)
{
	if (strcmp(value, "quota") != 0 && strcmp(value, "device") != 0)
		return "quota or device";
	row->view = *value == 'q' ? GPUSHIM_VIEW_QUOTA : GPUSHIM_VIEW_DEVICE;
	return NULL;
}

static const char *set_priority(struct gpushim_policy_device *row, const char *value)
{
	for (uint32_t i = 0; i <= GPUSHIM_PRIORITY_BATCH; i++)
		if (strcmp(value, ctl_priority(i)) == 0) {
			row->priority = i;
			return NULL;
		}
	return "latency, normal or batch";
}

static const char *set_burst(struct gpushim_policy_device *row, const char *value)
{
	uint64_t ms;

	if (gsh_parse_u64(value, &ms) < 0 || ms == 0 || ms > GPUSHIM_BURST_MS_MAX)
		return "a whole number of milliseconds from 1 to 1000";
	row->burst_ms = (uint32_t)ms;
	return NULL;
}

static const struct setter {
	const char *key;
	const char *(*set)(struct gpushim_policy_device *row, const char *value);
} setters[] = {
	{ "memory", set_memory },
	{ "compute", set_compute },
	{ "context_memory", set_context_memory },
	{ "view", set_view },
	{ "priority", set_priority },
	{ "burst_ms", set_burst },
};

enum { SETTERS = sizeof(setters) / sizeof(setters[0]) };

static bool has_key(const char *argument, const char *key)
{
	size_t bytes = strlen(key);

	return strncmp(argument, key, bytes) == 0 && argument[bytes] == '=';
}

/* NULL: no such key. */
static const struct setter *setter_of(const char *argument)
{
	for (size_t i = 0; i < SETTERS; i++)
		if (has_key(argument, setters[i].key))
			return &setters[i];
	return NULL;
}

struct change {
	const char *tenant;
	char **arguments; /* KEY=VALUE */
	int count;
	const char *device; /* NULL: all */
};

/* EXIT_OK, or why not. */
static int change_row(const struct change *change, struct gpushim_policy_device *row)
{
	for (int i = 0; i < change->count; i++) {
		const char *argument = change->arguments[i];
		const struct setter *setter = setter_of(argument);
		const char *value, *wanted;

		if (has_key(argument, "enforce"))
			continue;
		if (!setter)
			return ctl_misused(
				"set",
				"'%s' is not KEY=VALUE with a key out of memory, "
				"compute, priority, burst_ms, view, context_memory and "
				"enforce.",
				argument);
		value = strchr(argument, '=') + 1;
		wanted = setter->set(row, value);
		if (wanted)
			return ctl_fail("%s: '%s' is not %s. Nothing was changed.",
					setter->key, value, wanted);
	}
	return EXIT_OK;
}

/* "enforce" is not of a row, but of the tenant. EXIT_OK, or why not. */
static int change_flags(const struct change *change, uint32_t *flags)
{
	for (int i = 0; i < change->count; i++) {
		const char *value = strchr(change->arguments[i], '=');

		if (!value || !has_key(change->arguments[i], "enforce"))
			continue;
		value++;
		if (change->device)
			return ctl_fail("enforce is for all devices of the tenant: set "
					"it without --device. Nothing was changed.");
		if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
			return ctl_fail("enforce: '%s' is not true or false. Nothing was "
					"changed.",
					value);
		*flags &= ~(uint32_t)GPUSHIM_POLICY_AUDIT;
		if (*value == 'f')
			*flags |= GPUSHIM_POLICY_AUDIT;
	}
	return EXIT_OK;
}

/* The device's own row, made from the one for all if it has none. NULL: no room. */
static struct gpushim_policy_device *own_row(struct gpushim_policy_limits *limits,
					     const uint8_t uuid[16])
{
	for (uint32_t i = 0; i < limits->device_count; i++)
		if (memcmp(limits->devices[i].uuid, uuid, 16) == 0)
			return &limits->devices[i];
	if (limits->device_count == GPUSHIM_DEVICES_MAX)
		return NULL;
	limits->devices[limits->device_count] = limits->others;
	memcpy(limits->devices[limits->device_count].uuid, uuid, 16);
	return &limits->devices[limits->device_count++];
}

static int change_limits(const struct change *change,
			 struct gpushim_policy_limits *limits)
{
	struct gpushim_policy_device *row;
	uint8_t uuid[16];
	int result = change_flags(change, &limits->flags);

	if (result != EXIT_OK)
		return result;
	if (!change->device) {
		result = change_row(change, &limits->others);
		for (uint32_t i = 0; i < limits->device_count && result == EXIT_OK; i++)
			result = change_row(change, &limits->devices[i]);
		return result;
	}
	if (gsh_limits_uuid(change->device, uuid) < 0)
		return ctl_fail(
			"'%s' is not a device: write GPU- or MIG- and its UUID, as "
			"nvidia-smi -L shows it.",
			change->device);
	row = own_row(limits, uuid);
	return row ? change_row(change, row)
		   : ctl_fail(
			     "Tenant %s has limits for %u devices already; there is no room "
			     "for another.",
			     change->tenant, GPUSHIM_DEVICES_MAX);
}

/* A closed page has no quota of its own to go on from. */
static int reopen(const struct change *change, struct gpushim_policy_limits *limits)
{
	bool has_memory = false;

	for (int i = 0; i < change->count; i++)
		has_memory |= has_key(change->arguments[i], "memory");
	if (!has_memory || change->device)
		return ctl_fail(
			"Tenant %s is closed (%s). Set memory=, for all devices, to "
			"open it.",
			change->tenant, limits->reason);
	limits->flags &= ~(uint32_t)GPUSHIM_POLICY_CLOSED;
	memset(limits->reason, 0, sizeof(limits->reason));
	return EXIT_OK;
}

static int change_tenant(const struct change *change, const char *dir)
{
	struct gpushim_policy_limits limits;
	struct gsh_reason why;
	int result = gsh_published(dir, change->tenant, &limits, &why);

	if (result == -ENOENT)
		return ctl_fail(
			"There is no tenant %s with a policy in %s; gpushim-ctl show "
			"lists them.",
			change->tenant, dir);
	if (result < 0)
		return ctl_fail("%s.", why.text);
	result = change_limits(change, &limits);
	if (result == EXIT_OK && (limits.flags & GPUSHIM_POLICY_CLOSED))
		result = reopen(change, &limits);
	if (result != EXIT_OK)
		return result;
	snprintf(limits.source, sizeof(limits.source), "gpushim-ctl set");
	if (gsh_publish(dir, &limits, &why) < 0)
		return ctl_fail("%s.", why.text);
	printf("%s: memory %s, compute %s%s%s, until the next apply\n", change->tenant,
	       ctl_quota(&limits.others, 0), ctl_compute(&limits.others),
	       limits.device_count ? ", other limits on some devices" : "",
	       ctl_unenforced(&limits));
	return EXIT_OK;
}

int ctl_set(int argc, char **argv)
{
	static const struct option options[] = { { "dir", required_argument, NULL, 'd' },
						 { "device", required_argument, NULL,
						   'u' },
						 { 0 } };
	struct change change = { 0 };
	const char *dir = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "d:", options, NULL)) != -1) {
		if (option == 'd')
			dir = optarg;
		else if (option == 'u')
			change.device = optarg;
		else
			return ctl_misused(argv[0],
					   "Its options are --dir and --device.");
	}
	if (argc - optind < 2)
		return ctl_misused(argv[0], "A tenant and what to set are needed.");
	change.tenant = argv[optind];
	change.arguments = argv + optind + 1;
	change.count = argc - optind - 1;
	if (!gsh_parse_is_tenant(change.tenant))
		return ctl_misused(argv[0], "'%s' cannot be a tenant's name.",
				   change.tenant);
	dir = ctl_dir(dir);
	return dir ? change_tenant(&change, dir) : EXIT_REFUSED;
}
