/*
 * show_json.c - gpushim-ctl show --json: the same for programs, every figure exact.
 *
 * Sizes are bytes, times nanoseconds, shares permille; null is "no limit" or "not known".
 * Numbers are whole and may be larger than 2^53.
 */
#include "ctl/ctl.h"

#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "gpushim/reader.h"

/* cJSON's numbers are doubles. */
static void add_u64(cJSON *object, const char *name, uint64_t value)
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
		add_u64(object, name, value);
}

static void add_row(cJSON *object, const struct gpushim_policy_device *row)
{
	add_limit(object, "memory_bytes", row->memory_bytes);
	if (row->memory_ppm > 0)
		add_u64(object, "memory_ppm", row->memory_ppm);
	else
		cJSON_AddNullToObject(object, "memory_ppm");
	cJSON_AddStringToObject(object, "view",
				row->view == GPUSHIM_VIEW_DEVICE ? "device" : "quota");
	add_u64(object, "context_bytes", row->context_bytes);
	add_u64(object, "request_permille", row->request_permille);
	add_u64(object, "limit_permille", row->limit_permille);
	cJSON_AddStringToObject(object, "priority", ctl_priority(row->priority));
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
	add_u64(policy, "generation", limits->generation);
	cJSON_AddBoolToObject(policy, "closed", limits->flags & GPUSHIM_POLICY_CLOSED);
	cJSON_AddStringToObject(policy, "reason", limits->reason);
	cJSON_AddStringToObject(policy, "source", limits->source);
	add_row(cJSON_AddObjectToObject(policy, "others"), &limits->others);
	devices = cJSON_AddObjectToObject(policy, "devices");
	for (uint32_t i = 0; i < limits->device_count && i < GPUSHIM_DEVICES_MAX; i++)
		add_row(cJSON_AddObjectToObject(devices,
						ctl_uuid(limits->devices[i].uuid)),
			&limits->devices[i]);
}

static void add_devices(cJSON *tenant, const struct gpushim_snapshot *snapshot)
{
	cJSON *devices = cJSON_AddArrayToObject(tenant, "devices");

	for (uint32_t i = 0; i < snapshot->devices_count; i++) {
		const struct gpushim_device *from = &snapshot->devices[i];
		cJSON *device = cJSON_CreateObject();

		cJSON_AddItemToArray(devices, device);
		cJSON_AddStringToObject(device, "uuid", ctl_uuid(from->uuid));
		add_u64(device, "total_bytes", from->total_bytes);
		add_limit(device, "limit_bytes", from->limit_bytes);
		cJSON_AddStringToObject(device, "limit_source",
					gpushim_limit_source_name(from->limit_source));
		add_u64(device, "charged_bytes", from->charged_bytes);
		add_u64(device, "overhead_bytes", from->overhead_bytes);
		add_u64(device, "peak_bytes", from->peak_bytes);
		add_u64(device, "request_permille", from->request_permille);
		add_u64(device, "limit_permille", from->limit_permille);
	}
}

static void add_usages(cJSON *process, const struct gpushim_snapshot *snapshot,
		       uint32_t slot)
{
	cJSON *usages = cJSON_AddArrayToObject(process, "usage");

	for (uint32_t i = 0; i < snapshot->usages_count; i++) {
		const struct gpushim_usage *from = &snapshot->usages[i];
		cJSON *usage, *kinds;

		if (from->slot != slot || from->device >= snapshot->devices_count)
			continue;
		usage = cJSON_CreateObject();
		cJSON_AddItemToArray(usages, usage);
		cJSON_AddStringToObject(usage, "device",
					ctl_uuid(snapshot->devices[from->device].uuid));
		add_u64(usage, "charged_bytes", from->charged_bytes);
		add_u64(usage, "peak_bytes", from->peak_bytes);
		add_u64(usage, "exported_bytes", from->exported_bytes);
		add_u64(usage, "imports", from->imports);
		kinds = cJSON_AddObjectToObject(usage, "kind_bytes");
		for (uint32_t kind = 0; kind < GPUSHIM_KIND_COUNT; kind++)
			add_u64(kinds, gpushim_kind_name(kind), from->kind_bytes[kind]);
	}
}

static void add_processes(cJSON *tenant, const struct gpushim_snapshot *snapshot)
{
	cJSON *processes = cJSON_AddArrayToObject(tenant, "processes");

	for (uint32_t i = 0; i < snapshot->processes_count; i++) {
		const struct gpushim_process *from = &snapshot->processes[i];
		cJSON *process = cJSON_CreateObject();

		cJSON_AddItemToArray(processes, process);
		add_u64(process, "pid", from->pid);
		add_u64(process, "pid_namespace", from->pid_namespace);
		cJSON_AddStringToObject(process, "command", from->command);
		cJSON_AddBoolToObject(process, "alive", from->alive);
		add_u64(process, "start_unix_ns", from->start_unix_ns);
#define FIELD(name, kind, text) add_u64(process, #name, from->name);
#include "gpushim/ledger_fields.def"
		add_usages(process, snapshot, from->slot);
	}
}

int ctl_show_json(const char *dir, struct gpushim_snapshot *const *snapshots,
		  size_t count)
{
	cJSON *root = cJSON_CreateObject(), *tenants;
	char *text;

	cJSON_AddNumberToObject(root, "version", 1);
	cJSON_AddStringToObject(root, "dir", dir);
	tenants = cJSON_AddArrayToObject(root, "tenants");
	for (size_t i = 0; i < count; i++) {
		cJSON *tenant = cJSON_CreateObject();

		cJSON_AddItemToArray(tenants, tenant);
		cJSON_AddStringToObject(tenant, "tenant", snapshots[i]->tenant);
		add_u64(tenant, "created_unix_ns", snapshots[i]->created_unix_ns);
		add_policy(tenant, snapshots[i]);
		add_devices(tenant, snapshots[i]);
		add_processes(tenant, snapshots[i]);
	}
	text = cJSON_Print(root);
	cJSON_Delete(root);
	if (!text)
		return ctl_fail("There is no memory to show it.");
	puts(text);
	free(text);
	return EXIT_OK;
}
