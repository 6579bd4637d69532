/*
 * json.c - a sample as a document of JSON; see json.h.
 *
 * Knows what is added to a tenant as common/report.c prints it: who its processes are on
 * this machine, states and rates.
 */
#include "top/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "common/report.h"
#include "top/text.h"

static const char *agent_name(enum top_agent agent)
{
	static const char *const names[] = {
		[TOP_AGENT_NONE] = "none",
		[TOP_AGENT_UNSEEN] = "unseen",
		[TOP_AGENT_ALIVE] = "alive",
		[TOP_AGENT_SILENT] = "silent",
	};

	return names[agent];
}

static const char *event_name(enum top_event_kind kind)
{
	static const char *const names[] = {
		[TOP_EVENT_REFUSED] = "refused", [TOP_EVENT_POLICY] = "policy",
		[TOP_EVENT_STARTED] = "started", [TOP_EVENT_ENDED] = "ended",
		[TOP_EVENT_TROUBLE] = "trouble",
	};

	return names[kind];
}

/* "" is not known. */
static void add_text(cJSON *object, const char *name, const char *text)
{
	if (text[0])
		cJSON_AddStringToObject(object, name, text);
	else
		cJSON_AddNullToObject(object, name);
}

static cJSON *member(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

void top_document_init(struct top_document *document)
{
	memset(document, 0, sizeof(*document));
	document->device = TOP_NO_DEVICE;
}

void top_document_begin(struct top_document *document, const struct top_model *model)
{
	cJSON_Delete(document->root);
	document->root = cJSON_CreateObject();
	cJSON_AddNumberToObject(document->root, "version", TOP_DOCUMENT_VERSION);
	gsh_report_u64(document->root, "time_unix_ns", model->unix_ns);
	gsh_report_u64(document->root, "time_ns", model->now_ns);
	gsh_report_known(document->root, "interval_ns",
			 document->before_ns ? model->now_ns - document->before_ns
					     : TOP_UNKNOWN);
	document->before_ns = model->now_ns;
	document->tenants = cJSON_AddArrayToObject(document->root, "tenants");
}

/* ---- tenants ---- */

/* Thousandths as a number with a point. */
static void add_milli(cJSON *object, const char *name, uint64_t milli)
{
	char text[32];

	if (milli == TOP_UNKNOWN) {
		cJSON_AddNullToObject(object, name);
		return;
	}
	snprintf(text, sizeof(text), "%llu.%03u", (unsigned long long)(milli / 1000),
		 (unsigned)(milli % 1000));
	cJSON_AddRawToObject(object, name, text);
}

/* A row that is not there says nothing. */
static void add_rates(cJSON *to, const struct top_row *row)
{
	cJSON *rates = cJSON_AddObjectToObject(to, "rates");

	gsh_report_known(rates, "gpu_ppm",
			 row ? row->value[TOP_COLUMN_SHARE] : TOP_UNKNOWN);
	gsh_report_known(rates, "wait_ppm",
			 row ? row->value[TOP_COLUMN_WAIT] : TOP_UNKNOWN);
	add_milli(rates, "launches_per_second",
		  row ? row->value[TOP_COLUMN_LAUNCHES] : TOP_UNKNOWN);
}

static const struct top_row *find_row(const struct top_model *model, size_t first_row,
				      uint32_t slot, uint32_t device)
{
	for (size_t i = first_row; i < model->rows_count; i++)
		if (model->rows[i].slot == slot &&
		    (device == TOP_NO_DEVICE || model->rows[i].device == device))
			return &model->rows[i];
	return NULL;
}

static uint32_t device_of(const struct top_model *model, const uint8_t uuid[16])
{
	for (uint32_t i = 0; i < model->devices_count; i++)
		if (memcmp(model->devices[i].uuid, uuid, 16) == 0)
			return i;
	return TOP_NO_DEVICE;
}

/* The device that an entry of a list is about: by its member, a UUID as text. */
static uint32_t device_by_text(const struct top_model *model, const cJSON *entry,
			       const char *name)
{
	const cJSON *uuid = member(entry, name);
	char text[TOP_TEXT_BYTES];

	for (uint32_t i = 0; i < model->devices_count && cJSON_IsString(uuid); i++) {
		top_text_uuid(text, model->devices[i].uuid);
		if (strcmp(text, uuid->valuestring) == 0)
			return i;
	}
	return TOP_NO_DEVICE;
}

static void extend_devices(cJSON *tenant, const struct top_model *model,
			   const struct top_look *look, size_t first_row)
{
	cJSON *devices = member(tenant, "devices");
	cJSON *device = devices->child;

	for (uint32_t i = 0; device && i < look->snapshot->devices_count; i++) {
		uint32_t index = device_of(model, look->snapshot->devices[i].uuid);
		const struct top_row *row = find_row(model, first_row, TOP_NO_SLOT,
						     index);

		add_text(device, "state", row ? top_state_name(row->state) : "");
		add_rates(device, row);
		device = device->next;
	}
}

static void extend_process(cJSON *process, const struct top_model *model,
			   const struct top_look *look, uint32_t index, size_t first_row)
{
	static const struct top_host unknown;
	const struct top_host *host = look->hosts ? &look->hosts[index] : &unknown;
	uint32_t slot = look->snapshot->processes[index].slot;
	const struct top_row *row = find_row(model, first_row, slot, TOP_NO_DEVICE);
	cJSON *usages = member(process, "usage"), *usage;

	gsh_report_u64(process, "slot", slot);
	gsh_report_known(process, "host_pid", host->pid ? host->pid : TOP_UNKNOWN);
	add_text(process, "user", host->user);
	add_text(process, "command_line", host->command);
	add_text(process, "container", host->container);
	add_text(process, "pod_uid", host->pod);
	add_text(process, "state", row ? top_state_name(row->state) : "");
	cJSON_ArrayForEach(usage, usages)
	{
		uint32_t device = device_by_text(model, usage, "device");

		row = device == TOP_NO_DEVICE ? NULL
					      : find_row(model, first_row, slot, device);
		add_text(usage, "state", row ? top_state_name(row->state) : "");
		add_rates(usage, row);
	}
}

static void add_readable(cJSON *tenant, const struct top_model *model,
			 const struct top_look *look, size_t first_row)
{
	cJSON *process = member(tenant, "processes")->child;

	cJSON_ReplaceItemInObjectCaseSensitive(tenant, "tenant",
					       cJSON_CreateString(look->name));
	extend_devices(tenant, model, look, first_row);
	for (uint32_t i = 0; process && i < look->snapshot->processes_count; i++) {
		extend_process(process, model, look, i, first_row);
		process = process->next;
	}
	gsh_report_u64(tenant, "heartbeat", look->snapshot->heartbeat);
}

void top_document_add(struct top_document *document, const struct top_model *model,
		      const struct top_look *look, size_t first_row)
{
	cJSON *tenant;

	if (document->tenant[0] && strcmp(document->tenant, look->name) != 0)
		return;
	if (look->snapshot) {
		tenant = gsh_report_tenant(look->snapshot, false);
		add_readable(tenant, model, look, first_row);
	} else {
		tenant = cJSON_CreateObject();
		cJSON_AddStringToObject(tenant, "tenant", look->name);
	}
	cJSON_AddItemToArray(document->tenants, tenant);
	cJSON_AddStringToObject(tenant, "dir", look->dir);
	add_text(tenant, "error", look->error ? look->error : "");
}

/* ---- what is known when all have been added ---- */

static void add_devices(const struct top_document *document,
			const struct top_model *model)
{
	cJSON *devices = cJSON_AddArrayToObject(document->root, "devices");
	char uuid[TOP_TEXT_BYTES];

	for (uint32_t i = 0; i < model->devices_count; i++) {
		const struct top_device *from = &model->devices[i];
		cJSON *device = cJSON_CreateObject();

		cJSON_AddItemToArray(devices, device);
		cJSON_AddNumberToObject(device, "number", i);
		top_text_uuid(uuid, from->uuid);
		cJSON_AddStringToObject(device, "uuid", uuid);
		add_text(device, "name", from->name);
		gsh_report_known(device, "total_bytes",
				 from->total_bytes ? from->total_bytes : TOP_UNKNOWN);
		gsh_report_u64(device, "used_bytes", from->used_bytes);
		gsh_report_known(device, "share_ppm", from->share_ppm);
		gsh_report_known(device, "driver_limit_bytes", from->driver_limit_bytes);
		gsh_report_u64(device, "tenants", from->tenants);
		gsh_report_u64(device, "waiting", from->waiting);
		cJSON_AddStringToObject(device, "agent", agent_name(from->agent));
	}
}

static void add_events(struct top_document *document, const struct top_model *model)
{
	cJSON *events = cJSON_AddArrayToObject(document->root, "events");
	uint64_t kept = model->events_count < TOP_EVENTS_MAX ? model->events_count
							     : TOP_EVENTS_MAX;

	for (uint64_t i = model->events_count - kept; i < model->events_count; i++) {
		const struct top_event *from = &model->events[i % TOP_EVENTS_MAX];
		cJSON *event;

		if (from->number <= document->events_seen)
			continue;
		if (document->tenant[0] && strcmp(document->tenant, from->tenant) != 0)
			continue;
		event = cJSON_CreateObject();
		cJSON_AddItemToArray(events, event);
		gsh_report_u64(event, "time_unix_ns", from->unix_ns);
		cJSON_AddStringToObject(event, "tenant", from->tenant);
		cJSON_AddStringToObject(event, "kind", event_name(from->kind));
		cJSON_AddStringToObject(event, "text", from->text);
	}
	document->events_seen = model->events_count;
}

/* Takes away the entries of other devices than the one that was asked for. */
static void keep_device(const struct top_document *document,
			const struct top_model *model, cJSON *list, const char *uuid)
{
	cJSON *entry = list ? list->child : NULL, *next;

	for (; entry; entry = next) {
		next = entry->next;
		if (device_by_text(model, entry, uuid) != document->device)
			cJSON_Delete(cJSON_DetachItemViaPointer(list, entry));
	}
}

void top_document_restrict(struct top_document *document, const struct top_model *model,
			   uint32_t device)
{
	cJSON *tenant, *process, *next, *devices;

	document->device = device;
	if (device == TOP_NO_DEVICE)
		return;
	keep_device(document, model, member(document->root, "devices"), "uuid");
	for (tenant = document->tenants->child; tenant; tenant = next) {
		next = tenant->next;
		devices = member(tenant, "devices");
		keep_device(document, model, devices, "uuid");
		cJSON_ArrayForEach(process, member(tenant, "processes"))
			keep_device(document, model, member(process, "usage"), "device");
		/* Who could not be read may use it or not. */
		if (devices && !devices->child)
			cJSON_Delete(
				cJSON_DetachItemViaPointer(document->tenants, tenant));
	}
}

void top_document_end(struct top_document *document, const struct top_model *model)
{
	add_devices(document, model);
	add_events(document, model);
	top_document_restrict(document, model, document->device);
}

int top_document_write(const struct top_document *document, bool indented, FILE *to)
{
	char *text = indented ? cJSON_Print(document->root)
			      : cJSON_PrintUnformatted(document->root);
	int result;

	if (!text)
		return -ENOMEM;
	errno = 0;
	result = fputs(text, to) < 0 || fputc('\n', to) == EOF || fflush(to) != 0;
	free(text);
	return result ? -(errno ? errno : EIO) : 0;
}

void top_document_free(struct top_document *document)
{
	cJSON_Delete(document->root);
	document->root = NULL;
}
