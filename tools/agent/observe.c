/* What tenants use; see observe.h. */
#include "agent/observe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "agent/counts.h"
#include "base/clock.h"
#include "common/report.h"

/* So often each tenant is looked at, in seconds, if nobody asks. */
enum { ROUND_S = 30 };

/* Reads a tenant's ledger into observer->snapshot, and counts. 0 or -errno. */
static int look(struct agent_observer *observer, struct agent_tenant *tenant, bool first)
{
	struct gpushim_reader *reader = NULL;
	int result = gpushim_reader_open(&reader, observer->tenants->dir, tenant->name);

	if (result == 0)
		result = gpushim_reader_glance(reader, observer->snapshot);
	gpushim_reader_close(reader);
	if (result < 0)
		return result;
	if (!tenant->counts)
		tenant->counts = calloc(1, sizeof(*tenant->counts));
	if (tenant->counts)
		agent_counts_add(tenant->counts, observer->snapshot, first);
	return 0;
}

int agent_observe_start(struct agent_observer *observer, struct agent_tenants *tenants,
			const struct agent_limits *limits, const uint64_t *beats)
{
	memset(observer, 0, sizeof(*observer));
	observer->tenants = tenants;
	observer->limits = limits;
	observer->beats = beats;
	observer->start_unix_ns = gsh_clock_unix_ns();
	observer->snapshot = malloc(sizeof(*observer->snapshot));
	if (!observer->snapshot)
		return -ENOMEM;
	for (size_t i = 0; i < tenants->count; i++)
		look(observer, tenants->all[i], true);
	return 0;
}

void agent_observe_end(struct agent_observer *observer)
{
	free(observer->snapshot);
	observer->snapshot = NULL;
}

void agent_observe_some(struct agent_observer *observer)
{
	struct agent_tenants *tenants = observer->tenants;

	for (size_t i = tenants->count / ROUND_S + 1; i > 0 && tenants->count > 0; i--) {
		observer->next = observer->next < tenants->count ? observer->next : 0;
		look(observer, tenants->all[observer->next++], false);
	}
}

/* ---- figures ---- */

static uint64_t context_bytes(const struct gpushim_snapshot *snapshot, uint32_t device)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < snapshot->usages_count; i++)
		if (snapshot->usages[i].device == device &&
		    __builtin_add_overflow(
			    sum, snapshot->usages[i].kind_bytes[GPUSHIM_KIND_CONTEXT],
			    &sum))
			return UINT64_MAX;
	return sum;
}

/* A ledger that has a device twice must not spoil what is told of others. */
static bool is_repeated(const struct gpushim_snapshot *snapshot, uint32_t device)
{
	for (uint32_t i = 0; i < device; i++)
		if (memcmp(snapshot->devices[i].uuid, snapshot->devices[device].uuid,
			   16) == 0)
			return true;
	return false;
}

static void fill_devices(struct agent_tenant_figures *figures,
			 const struct agent_tenant *tenant,
			 const struct gpushim_snapshot *snapshot)
{
	struct agent_device_figures *devices = calloc(snapshot->devices_count + 1,
						      sizeof(*devices));

	figures->devices = devices;
	for (uint32_t i = 0; devices && i < snapshot->devices_count; i++) {
		struct agent_device_figures *device = &devices[figures->devices_count];
		const uint64_t *counts;

		if (is_repeated(snapshot, i))
			continue;
		figures->devices_count++;
		device->shown = snapshot->devices[i];
		device->context_bytes = context_bytes(snapshot, i);
		counts = tenant->counts
				 ? agent_counts_of(tenant->counts, device->shown.uuid)
				 : NULL;
		if (counts)
			memcpy(device->counts, counts, sizeof(device->counts));
	}
}

static void fill(struct agent_observer *observer, struct agent_tenant *tenant,
		 struct agent_tenant_figures *figures)
{
	const struct gpushim_snapshot *snapshot = observer->snapshot;
	struct gpushim_policy_limits limits;

	figures->name = tenant->name;
	figures->processes = figures->waiting = GPUSHIM_UNKNOWN;
	figures->closed = figures->enforced = GPUSHIM_UNKNOWN;
	figures->readable = look(observer, tenant, false) == 0;
	if (figures->readable) {
		figures->processes = 0;
		for (uint32_t i = 0; i < snapshot->processes_count; i++)
			figures->processes += snapshot->processes[i].alive != 0;
		figures->waiting = snapshot->time.waiting;
		fill_devices(figures, tenant, snapshot);
	}
	if (tenant->counts)
		memcpy(figures->counts, tenant->counts->tenant, sizeof(figures->counts));
	if (gsh_page_file_limits(&tenant->page, &limits)) {
		figures->closed = (limits.flags & GPUSHIM_POLICY_CLOSED) != 0;
		figures->enforced = (limits.flags & GPUSHIM_POLICY_AUDIT) == 0;
	}
}

static void fill_agent(const struct agent_observer *observer,
		       struct agent_figures *figures)
{
	const struct agent_limits *limits = observer->limits;

	figures->tenants = observer->tenants->count;
	figures->devices = limits->devices.count;
	figures->limits_valid = limits->path ? !limits->refused : GPUSHIM_UNKNOWN;
	figures->applied = limits->applied;
	figures->refused = limits->refusals;
	figures->beats = *observer->beats;
	figures->start_unix_ns = observer->start_unix_ns;
}

char *agent_observe_metrics(struct agent_observer *observer, bool open, size_t *bytes)
{
	size_t count = observer->tenants->count;
	struct agent_tenant_figures *tenants = calloc(count + 1, sizeof(*tenants));
	struct agent_figures agent;
	struct agent_text text = { 0 };

	if (!tenants)
		return NULL;
	fill_agent(observer, &agent);
	for (size_t i = 0; i < count; i++)
		fill(observer, observer->tenants->all[i], &tenants[i]);
	agent_metrics_write(&text, &agent, tenants, count, open);
	for (size_t i = 0; i < count; i++)
		free((void *)(uintptr_t)tenants[i].devices);
	free(tenants);
	if (text.lost) {
		free(text.bytes);
		return NULL;
	}
	*bytes = text.count;
	return text.bytes;
}

/* ---- JSON ---- */

static void add_tenant(struct agent_observer *observer, const struct agent_tenant *tenant,
		       cJSON *tenants)
{
	struct gpushim_snapshot *snapshot = observer->snapshot;
	struct gpushim_reader *reader = NULL;

	if (gpushim_reader_open(&reader, observer->tenants->dir, tenant->name) == 0 &&
	    gpushim_reader_glance(reader, snapshot) == 0) {
		memcpy(snapshot->tenant, tenant->name, sizeof(snapshot->tenant));
		cJSON_AddItemToArray(tenants, gsh_report_tenant(snapshot, false));
	}
	gpushim_reader_close(reader);
}

char *agent_observe_json(struct agent_observer *observer, size_t *bytes)
{
	cJSON *root = cJSON_CreateObject(), *tenants;
	struct gsh_tenants names;
	char *text;

	cJSON_AddNumberToObject(root, "version", 1);
	cJSON_AddStringToObject(root, "dir", observer->tenants->dir);
	tenants = cJSON_AddArrayToObject(root, "tenants");
	agent_tenants_names(observer->tenants, &names);
	for (size_t i = 0; i < names.count; i++)
		add_tenant(observer,
			   agent_tenants_find(observer->tenants, names.names[i]),
			   tenants);
	gsh_tenants_free(&names);
	text = cJSON_Print(root);
	cJSON_Delete(root);
	*bytes = text ? strlen(text) : 0;
	return text;
}
