/*
 * replay.c - samples of a recording; see replay.h.
 *
 * Knows the way back from common/report.h and json.h to what was read of a ledger. What a
 * document leaves out is not known, or nothing.
 */
#include "top/replay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "common/limits.h"
#include "common/report.h"
#include "top/json.h"

struct top_replay {
	FILE *file;
	char *path, *line;
	size_t room;
	unsigned long number; /* of the line */
	uint64_t time_ns;     /* of the sample before */
	struct gpushim_snapshot *snapshot;
	struct top_host *hosts; /* of its processes */
};

static int refuse(const struct top_replay *replay, struct gsh_reason *why,
		  const char *sentence)
{
	char number[24];

	snprintf(number, sizeof(number), ":%lu: ", replay->number);
	gsh_reason_set(why, replay->path, number, sentence, NULL);
	return -EPROTO;
}

struct top_replay *top_replay_open(const char *path, struct gsh_reason *why)
{
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	struct top_replay *replay;

	if (!file) {
		gsh_reason_set(why, path, " cannot be opened: ", strerror(errno), NULL);
		return NULL;
	}
	replay = top_reallocate(NULL, sizeof(*replay));
	memset(replay, 0, sizeof(*replay));
	replay->file = file;
	replay->path = top_reallocate(NULL, strlen(path) + 1);
	memcpy(replay->path, path, strlen(path) + 1);
	replay->snapshot = top_reallocate(NULL, sizeof(*replay->snapshot));
	replay->hosts = top_reallocate(NULL, GPUSHIM_SLOTS_MAX * sizeof(*replay->hosts));
	return replay;
}

void top_replay_close(struct top_replay *replay)
{
	if (!replay)
		return;
	if (replay->file != stdin)
		fclose(replay->file);
	free(replay->path);
	free(replay->line);
	free(replay->snapshot);
	free(replay->hosts);
	free(replay);
}

/* ---- values ---- */

static const cJSON *member(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

/* A whole number of at most 64 bits; what is none is `otherwise`. */
static uint64_t number(const cJSON *object, const char *name, uint64_t otherwise)
{
	const cJSON *item = member(object, name);

	if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0))
		return otherwise;
	if (item->valuedouble >= 18446744073709551615.0)
		return UINT64_MAX - 1;
	return (uint64_t)item->valuedouble;
}

static uint64_t known(const cJSON *object, const char *name)
{
	return number(object, name, GPUSHIM_UNKNOWN);
}

static uint32_t small(const cJSON *object, const char *name)
{
	uint64_t value = number(object, name, 0);

	return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX - 1;
}

static uint32_t share(const cJSON *object, const char *name)
{
	uint64_t value = known(object, name);

	return value < GPUSHIM_UNKNOWN_PPM ? (uint32_t)value : GPUSHIM_UNKNOWN_PPM;
}

static void text(char *to, size_t bytes, const cJSON *object, const char *name)
{
	const cJSON *item = member(object, name);

	snprintf(to, bytes, "%s", cJSON_IsString(item) ? item->valuestring : "");
	for (; *to; to++)
		if (*to < ' ' || *to > '~')
			*to = '?';
}

static void uuid(uint8_t to[16], const char *from)
{
	if (!from || gsh_limits_uuid(from, to) < 0)
		memset(to, 0, 16);
}

static const char *string(const cJSON *object, const char *name)
{
	return cJSON_GetStringValue(member(object, name));
}

/* The value of an enumeration that has the member's name. */
static uint32_t value_of(const cJSON *object, const char *name,
			 const char *(*name_of)(uint32_t), uint32_t count)
{
	const char *wanted = string(object, name);

	for (uint32_t i = 0; wanted && i < count; i++)
		if (strcmp(name_of(i), wanted) == 0)
			return i;
	return 0;
}

/* ---- a tenant ---- */

static void read_time(struct gpushim_time *time, const cJSON *from)
{
#define FIELD(name, kind, text) time->name = number(from, #name, 0);
#include "gpushim/time_fields.def"
	time->gpu_ns = known(from, "gpu_ns");
	time->waiting = number(from, "waiting", 0);
	time->waiting_ns = known(from, "waiting_ns");
}

static void read_device(struct gpushim_device *device, const cJSON *from)
{
	const cJSON *time = member(from, "time"), *level = member(time, "level_ns");

	memset(device, 0, sizeof(*device));
	uuid(device->uuid, string(from, "uuid"));
	device->total_bytes = number(from, "total_bytes", 0);
	device->limit_bytes = known(from, "limit_bytes");
	device->limit_source = value_of(from, "limit_source", gpushim_limit_source_name,
					GPUSHIM_SOURCE_DRIVER + 1);
	device->charged_bytes = number(from, "charged_bytes", 0);
	device->overhead_bytes = number(from, "overhead_bytes", 0);
	device->peak_bytes = number(from, "peak_bytes", 0);
	device->request_permille = number(from, "request_permille", 0);
	device->limit_permille = number(from, "limit_permille", 0);
	device->enforced = cJSON_IsTrue(member(time, "enforced"));
	device->rate_permille = known(time, "rate_permille");
	device->burst_ns = known(time, "burst_ns");
	device->level_ns = GPUSHIM_UNKNOWN_LEVEL;
	if (cJSON_IsNumber(level) && level->valuedouble > -1e18 &&
	    level->valuedouble < 1e18)
		device->level_ns = (int64_t)level->valuedouble;
	device->used_ns = known(time, "used_ns");
	device->share_1s_ppm = share(time, "share_1s_ppm");
	device->share_10s_ppm = share(time, "share_10s_ppm");
	device->repairs = number(time, "repairs", 0);
	read_time(&device->time, member(time, "processes"));
}

static void read_row(struct gpushim_policy_device *row, const cJSON *from)
{
	const char *priority = string(from, "priority"), *view = string(from, "view");

	memset(row, 0, sizeof(*row));
	row->memory_bytes = known(from, "memory_bytes");
	row->context_bytes = number(from, "context_bytes", 0);
	row->memory_ppm = small(from, "memory_ppm");
	row->view = view && strcmp(view, "device") == 0 ? GPUSHIM_VIEW_DEVICE
							: GPUSHIM_VIEW_QUOTA;
	row->request_permille = small(from, "request_permille");
	row->limit_permille = small(from, "limit_permille");
	row->burst_ms = small(from, "burst_ms");
	for (uint32_t i = 0; i <= GPUSHIM_PRIORITY_BATCH; i++)
		if (priority && strcmp(gsh_report_priority(i), priority) == 0)
			row->priority = i;
}

static void read_policy(struct gpushim_snapshot *snapshot, const cJSON *from)
{
	struct gpushim_policy_limits *limits = &snapshot->policy;
	const cJSON *row;

	snapshot->has_policy = cJSON_IsObject(from);
	if (!snapshot->has_policy)
		return;
	limits->generation = number(from, "generation", 0);
	if (cJSON_IsTrue(member(from, "closed")))
		limits->flags |= GPUSHIM_POLICY_CLOSED;
	if (cJSON_IsFalse(member(from, "enforced")))
		limits->flags |= GPUSHIM_POLICY_AUDIT;
	memcpy(limits->tenant, snapshot->tenant, sizeof(limits->tenant));
	text(limits->source, sizeof(limits->source), from, "source");
	text(limits->reason, sizeof(limits->reason), from, "reason");
	read_row(&limits->others, member(from, "others"));
	cJSON_ArrayForEach(row, member(from, "devices"))
	{
		if (limits->device_count == GPUSHIM_DEVICES_MAX)
			break;
		read_row(&limits->devices[limits->device_count], row);
		uuid(limits->devices[limits->device_count++].uuid, row->string);
	}
}

static void read_process(struct gpushim_process *process, struct top_host *host,
			 const cJSON *from)
{
	memset(process, 0, sizeof(*process));
	memset(host, 0, sizeof(*host));
	process->slot = small(from, "slot");
	process->alive = cJSON_IsTrue(member(from, "alive"));
	process->state = process->alive ? GPUSHIM_SLOT_LIVE : GPUSHIM_SLOT_ORPHAN;
	process->pid = small(from, "pid");
	process->pid_namespace = number(from, "pid_namespace", 0);
	process->start_unix_ns = number(from, "start_unix_ns", 0);
	text(process->command, sizeof(process->command), from, "command");
#define FIELD(name, kind, help) process->name = number(from, #name, 0);
#include "gpushim/ledger_fields.def"
	host->pid = small(from, "host_pid");
	text(host->user, sizeof(host->user), from, "user");
	text(host->command, sizeof(host->command), from, "command_line");
	text(host->container, sizeof(host->container), from, "container");
	text(host->pod, sizeof(host->pod), from, "pod_uid");
}

static void read_usage(struct gpushim_usage *usage, const cJSON *from)
{
	const cJSON *kinds = member(from, "kind_bytes"), *time = member(from, "time");

	usage->charged_bytes = number(from, "charged_bytes", 0);
	usage->peak_bytes = number(from, "peak_bytes", 0);
	usage->exported_bytes = number(from, "exported_bytes", 0);
	usage->imports = number(from, "imports", 0);
	for (uint32_t kind = 0; kind < GPUSHIM_KIND_COUNT; kind++)
		usage->kind_bytes[kind] = number(kinds, gpushim_kind_name(kind), 0);
	read_time(&usage->time, time);
	usage->overlap_permille = known(time, "overlap_permille");
	usage->inflation_permille = known(time, "inflation_permille");
}

/* Usages of all processes on one device; the reader's order is by device, then process. */
static void read_usages(struct gpushim_snapshot *snapshot, const cJSON *processes,
			uint32_t device)
{
	const cJSON *process, *from;
	uint32_t index = 0;
	uint8_t its[16];

	cJSON_ArrayForEach(process, processes)
	{
		uint32_t at = index++;

		if (at == snapshot->processes_count)
			return;
		cJSON_ArrayForEach(from, member(process, "usage"))
		{
			struct gpushim_usage *usage =
				&snapshot->usages[snapshot->usages_count];

			uuid(its, string(from, "device"));
			if (memcmp(its, snapshot->devices[device].uuid, 16) != 0)
				continue;
			if (snapshot->usages_count ==
			    sizeof(snapshot->usages) / sizeof(*snapshot->usages))
				return;
			memset(usage, 0, sizeof(*usage));
			usage->slot = snapshot->processes[at].slot;
			usage->device = device;
			read_usage(usage, from);
			snapshot->usages_count++;
			break;
		}
	}
}

static void read_snapshot(struct top_replay *replay, const cJSON *tenant)
{
	struct gpushim_snapshot *snapshot = replay->snapshot;
	const cJSON *processes = member(tenant, "processes"), *item;

	memset(snapshot, 0, offsetof(struct gpushim_snapshot, processes));
	memset(&snapshot->time, 0, sizeof(snapshot->time));
	snapshot->usages_left_out = 0;
	snapshot->costs_count = 0;
	text(snapshot->tenant, sizeof(snapshot->tenant), tenant, "tenant");
	snapshot->created_unix_ns = number(tenant, "created_unix_ns", 0);
	snapshot->heartbeat = number(tenant, "heartbeat", 0);
	read_policy(snapshot, member(tenant, "policy"));
	read_time(&snapshot->time, member(tenant, "time"));
	cJSON_ArrayForEach(item, processes)
	{
		uint32_t at = snapshot->processes_count;

		if (at == GPUSHIM_SLOTS_MAX)
			break;
		read_process(&snapshot->processes[at], &replay->hosts[at], item);
		snapshot->processes_count++;
	}
	cJSON_ArrayForEach(item, member(tenant, "devices"))
	{
		if (snapshot->devices_count == GPUSHIM_DEVICES_MAX)
			break;
		read_device(&snapshot->devices[snapshot->devices_count], item);
		read_usages(snapshot, processes, snapshot->devices_count++);
	}
}

static void read_tenant(struct top_replay *replay, struct top_feed *feed,
			const cJSON *tenant)
{
	char name[GPUSHIM_NAME_BYTES], dir[256], error[GPUSHIM_REASON_BYTES];
	struct top_look look = { .dir = dir, .name = name };

	text(name, sizeof(name), tenant, "tenant");
	text(dir, sizeof(dir), tenant, "dir");
	text(error, sizeof(error), tenant, "error");
	if (error[0]) {
		look.error = error;
	} else {
		read_snapshot(replay, tenant);
		look.snapshot = replay->snapshot;
		look.hosts = replay->hosts;
	}
	top_feed_add(feed, &look);
}

/* ---- a document ---- */

static void name_devices(struct top_feed *feed, const cJSON *devices)
{
	const cJSON *device;
	char name[64];
	uint8_t its[16];

	cJSON_ArrayForEach(device, devices)
	{
		text(name, sizeof(name), device, "name");
		uuid(its, string(device, "uuid"));
		top_model_name(feed->model, its, name);
	}
}

static int read_document(struct top_replay *replay, struct top_feed *feed,
			 const cJSON *root, struct gsh_reason *why)
{
	const cJSON *tenants = member(root, "tenants"), *tenant;
	uint64_t time_ns;

	if (!cJSON_IsObject(root) || !cJSON_IsArray(tenants) ||
	    !cJSON_IsNumber(member(root, "time_ns")))
		return refuse(replay, why, "this is no line of a recording");
	if (number(root, "version", 0) != TOP_DOCUMENT_VERSION)
		return refuse(replay, why, "the recording is of another version");
	time_ns = number(root, "time_ns", 0);
	if (time_ns <= replay->time_ns)
		return refuse(
			replay, why,
			"the time does not go on from the line before; recordings of "
			"several runs are to be looked at one by one");
	replay->time_ns = time_ns;
	top_feed_begin(feed, time_ns, number(root, "time_unix_ns", 0));
	name_devices(feed, member(root, "devices"));
	cJSON_ArrayForEach(tenant, tenants) read_tenant(replay, feed, tenant);
	top_feed_end(feed);
	return 1;
}

int top_replay_read(struct top_replay *replay, struct top_feed *feed,
		    struct gsh_reason *why)
{
	ssize_t got = getline(&replay->line, &replay->room, replay->file);
	cJSON *root;
	int result;

	if (got <= 0)
		return 0;
	replay->number++;
	root = cJSON_ParseWithLength(replay->line, (size_t)got);
	result = root ? read_document(replay, feed, root, why)
		      : refuse(replay, why, "this is not JSON, or it has been cut off");
	cJSON_Delete(root);
	return result;
}
