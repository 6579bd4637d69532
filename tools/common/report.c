/*
 * report.c - what was read of a tenant as JSON, every figure exact; see report.h.
 */
#include "common/report.h"

#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/text.h"

/* Valid until the next call of this thread. */
static const char *uuid_text(const uint8_t uuid[16])
{
	static _Thread_local char buffer[48];
	struct gsh_text text;

	gsh_text_init(&text, buffer, sizeof(buffer));
	gsh_text_add_uuid(&text, uuid);
	return buffer;
}

const char *gsh_report_priority(uint32_t priority)
{
	static const char *const names[] = {
		[GPUSHIM_PRIORITY_NORMAL] = "normal",
		[GPUSHIM_PRIORITY_LATENCY] = "latency",
		[GPUSHIM_PRIORITY_BATCH] = "batch",
	};

	return priority < sizeof(names) / sizeof(names[0]) ? names[priority] : "?";
}

/* cJSON's numbers are doubles. */
void gsh_report_u64(cJSON *object, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	cJSON_AddRawToObject(object, name, text);
}

static void add_limit(cJSON *object, const char *name, uint64_t value)
{
	if (value == GPUSHIM_UNLIMITED)
		cJSON_AddNullToObject(object, name);
	else
		gsh_report_u64(object, name, value);
}

void gsh_report_known(cJSON *object, const char *name, uint64_t value)
{
	if (value == GPUSHIM_UNKNOWN)
		cJSON_AddNullToObject(object, name);
	else
		gsh_report_u64(object, name, value);
}

static void add_share(cJSON *object, const char *name, uint32_t ppm)
{
	gsh_report_known(object, name,
			 ppm == GPUSHIM_UNKNOWN_PPM ? GPUSHIM_UNKNOWN : ppm);
}

static void add_level(cJSON *object, int64_t level_ns)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)level_ns);
	if (level_ns == GPUSHIM_UNKNOWN_LEVEL)
		cJSON_AddNullToObject(object, "level_ns");
	else
		cJSON_AddRawToObject(object, "level_ns", text);
}

static void add_time(cJSON *object, const struct gpushim_time *time)
{
#define FIELD(name, kind, text) gsh_report_known(object, #name, time->name);
#include "gpushim/time_fields.def"
	gsh_report_u64(object, "waiting", time->waiting);
	gsh_report_known(object, "waiting_ns", time->waiting_ns);
}

static void add_row(cJSON *object, const struct gpushim_policy_device *row)
{
	add_limit(object, "memory_bytes", row->memory_bytes);
	if (row->memory_ppm > 0)
		gsh_report_u64(object, "memory_ppm", row->memory_ppm);
	else
		cJSON_AddNullToObject(object, "memory_ppm");
	cJSON_AddStringToObject(object, "view",
				row->view == GPUSHIM_VIEW_DEVICE ? "device" : "quota");
	gsh_report_u64(object, "context_bytes", row->context_bytes);
	gsh_report_u64(object, "request_permille", row->request_permille);
	gsh_report_u64(object, "limit_permille", row->limit_permille);
	gsh_report_u64(object, "burst_ms",
		       row->burst_ms ? row->burst_ms : GPUSHIM_BURST_MS_DEFAULT);
	cJSON_AddStringToObject(object, "priority", gsh_report_priority(row->priority));
}

static void add_policy(cJSON *tenant, const struct gpushim_snapshot *snapshot)
{
	const struct gpushim_policy_limits *limits = &snapshot->policy;
	cJSON *policy, *devices;

	if (!snapshot->has_policy) {
		cJSON_AddNullToObject(tenant, "policy");
		return;
	}
	policy = cJSON_AddObjectToObject(tenant, "policy");
	gsh_report_u64(policy, "generation", limits->generation);
	cJSON_AddBoolToObject(policy, "closed", limits->flags & GPUSHIM_POLICY_CLOSED);
	cJSON_AddBoolToObject(policy, "enforced",
			      !(limits->flags & GPUSHIM_POLICY_AUDIT));
	cJSON_AddStringToObject(policy, "reason", limits->reason);
	cJSON_AddStringToObject(policy, "source", limits->source);
	add_row(cJSON_AddObjectToObject(policy, "others"), &limits->others);
	devices = cJSON_AddObjectToObject(policy, "devices");
	for (uint32_t i = 0; i < limits->device_count && i < GPUSHIM_DEVICES_MAX; i++)
		add_row(cJSON_AddObjectToObject(devices,
						uuid_text(limits->devices[i].uuid)),
			&limits->devices[i]);
}

static void add_device_time(cJSON *time, const struct gpushim_device *from)
{
	if (from->rate_permille == GPUSHIM_UNKNOWN)
		cJSON_AddNullToObject(time, "enforced");
	else
		cJSON_AddBoolToObject(time, "enforced", from->enforced != 0);
	gsh_report_known(time, "rate_permille", from->rate_permille);
	gsh_report_known(time, "burst_ns", from->burst_ns);
	add_level(time, from->level_ns);
	gsh_report_known(time, "used_ns", from->used_ns);
	add_share(time, "share_1s_ppm", from->share_1s_ppm);
	add_share(time, "share_10s_ppm", from->share_10s_ppm);
	gsh_report_u64(time, "repairs", from->repairs);
	add_time(cJSON_AddObjectToObject(time, "processes"), &from->time);
}

static void add_devices(cJSON *tenant, const struct gpushim_snapshot *snapshot)
{
	cJSON *devices = cJSON_AddArrayToObject(tenant, "devices");

	for (uint32_t i = 0; i < snapshot->devices_count; i++) {
		const struct gpushim_device *from = &snapshot->devices[i];
		cJSON *device = cJSON_CreateObject();

		cJSON_AddItemToArray(devices, device);
		cJSON_AddStringToObject(device, "uuid", uuid_text(from->uuid));
		gsh_report_u64(device, "total_bytes", from->total_bytes);
		add_limit(device, "limit_bytes", from->limit_bytes);
		cJSON_AddStringToObject(device, "limit_source",
					gpushim_limit_source_name(from->limit_source));
		gsh_report_u64(device, "charged_bytes", from->charged_bytes);
		gsh_report_u64(device, "overhead_bytes", from->overhead_bytes);
		gsh_report_u64(device, "peak_bytes", from->peak_bytes);
		gsh_report_u64(device, "request_permille", from->request_permille);
		gsh_report_u64(device, "limit_permille", from->limit_permille);
		add_device_time(cJSON_AddObjectToObject(device, "time"), from);
	}
}

static void add_usages(cJSON *process, const struct gpushim_snapshot *snapshot,
		       uint32_t slot)
{
	cJSON *usages = cJSON_AddArrayToObject(process, "usage");

	for (uint32_t i = 0; i < snapshot->usages_count; i++) {
		const struct gpushim_usage *from = &snapshot->usages[i];
		cJSON *usage, *kinds, *time;

		if (from->slot != slot || from->device >= snapshot->devices_count)
			continue;
		usage = cJSON_CreateObject();
		cJSON_AddItemToArray(usages, usage);
		cJSON_AddStringToObject(usage, "device",
					uuid_text(snapshot->devices[from->device].uuid));
		gsh_report_u64(usage, "charged_bytes", from->charged_bytes);
		gsh_report_u64(usage, "peak_bytes", from->peak_bytes);
		gsh_report_u64(usage, "exported_bytes", from->exported_bytes);
		gsh_report_u64(usage, "imports", from->imports);
		kinds = cJSON_AddObjectToObject(usage, "kind_bytes");
		for (uint32_t kind = 0; kind < GPUSHIM_KIND_COUNT; kind++)
			gsh_report_u64(kinds, gpushim_kind_name(kind),
				       from->kind_bytes[kind]);
		time = cJSON_AddObjectToObject(usage, "time");
		add_time(time, &from->time);
		gsh_report_known(time, "overlap_permille", from->overlap_permille);
		gsh_report_known(time, "inflation_permille", from->inflation_permille);
	}
}

static void add_processes(cJSON *tenant, const struct gpushim_snapshot *snapshot)
{
	cJSON *processes = cJSON_AddArrayToObject(tenant, "processes");

	for (uint32_t i = 0; i < snapshot->processes_count; i++) {
		const struct gpushim_process *from = &snapshot->processes[i];
		cJSON *process = cJSON_CreateObject();

		cJSON_AddItemToArray(processes, process);
		gsh_report_u64(process, "pid", from->pid);
		gsh_report_u64(process, "pid_namespace", from->pid_namespace);
		cJSON_AddStringToObject(process, "command", from->command);
		cJSON_AddBoolToObject(process, "alive", from->alive);
		gsh_report_u64(process, "start_unix_ns", from->start_unix_ns);
#define FIELD(name, kind, text) gsh_report_u64(process, #name, from->name);
#include "gpushim/ledger_fields.def"
		add_usages(process, snapshot, from->slot);
	}
}

static void add_extent(cJSON *object, const char *name, const uint32_t size[3])
{
	cJSON *array = cJSON_AddArrayToObject(object, name);

	for (unsigned i = 0; i < 3; i++)
		cJSON_AddItemToArray(array, cJSON_CreateNumber(size[i]));
}

static void add_cost(cJSON *costs, const struct gpushim_snapshot *snapshot,
		     const struct gpushim_cost *from)
{
	cJSON *cost = cJSON_CreateObject();

	cJSON_AddItemToArray(costs, cost);
	cJSON_AddStringToObject(cost, "kind", gpushim_launch_kind_name(from->kind));
	cJSON_AddStringToObject(cost, "name", from->name);
	if (from->device < snapshot->devices_count)
		cJSON_AddStringToObject(cost, "device",
					uuid_text(snapshot->devices[from->device].uuid));
	else
		cJSON_AddNullToObject(cost, "device");
	add_extent(cost, "grid", from->grid);
	add_extent(cost, "block", from->block);
	gsh_report_u64(cost, "shared_bytes", from->shared_bytes);
	cJSON_AddStringToObject(cost, "class", gpushim_cost_class_name(from->cost_class));
	gsh_report_known(cost, "cost_ns", from->cost_ns);
	gsh_report_known(cost, "low_ns", from->low_ns);
	gsh_report_known(cost, "median_ns", from->median_ns);
	gsh_report_known(cost, "high_ns", from->high_ns);
	gsh_report_u64(cost, "launches", from->launches);
	gsh_report_u64(cost, "samples", from->samples);
	gsh_report_u64(cost, "gpu_ns", from->gpu_ns);
	gsh_report_known(cost, "age_ns", from->age_ns);
}

cJSON *gsh_report_tenant(const struct gpushim_snapshot *snapshot, bool costs)
{
	cJSON *tenant = cJSON_CreateObject(), *list;

	cJSON_AddStringToObject(tenant, "tenant", snapshot->tenant);
	gsh_report_u64(tenant, "created_unix_ns", snapshot->created_unix_ns);
	add_policy(tenant, snapshot);
	add_devices(tenant, snapshot);
	add_processes(tenant, snapshot);
	add_time(cJSON_AddObjectToObject(tenant, "time"), &snapshot->time);
	if (!costs)
		return tenant;
	list = cJSON_AddArrayToObject(tenant, "costs");
	for (uint32_t i = 0; i < snapshot->costs_count; i++)
		add_cost(list, snapshot, &snapshot->costs[i]);
	return tenant;
}
