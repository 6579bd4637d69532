/*
 * show_memory.c - gpushim-ctl show: quotas, and who has how much of them for what.
 */
#include "ctl/show.h"

#include <stdio.h>

/*
 * The limit that is in force: what processes obeyed last, unless the policy has changed
 * since and none of them has looked yet.
 */
static uint64_t quota_of(const struct gpushim_snapshot *snapshot,
			 const struct gpushim_device *device)
{
	uint64_t policy;

	if (!snapshot->has_policy)
		return device->limit_bytes;
	policy = ctl_quota_bytes(ctl_row(&snapshot->policy, device->uuid),
				 device->total_bytes);
	if (device->limit_source == GPUSHIM_SOURCE_PAGE)
		return policy;
	return policy < device->limit_bytes ? policy : device->limit_bytes;
}

static const char *source_of(const struct gpushim_snapshot *snapshot,
			     const struct gpushim_device *device)
{
	if (snapshot->has_policy && (device->limit_source == GPUSHIM_SOURCE_PAGE ||
				     quota_of(snapshot, device) < device->limit_bytes))
		return snapshot->policy.source;
	return gpushim_limit_source_name(device->limit_source);
}

static uint64_t denials(const struct gpushim_snapshot *snapshot)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < snapshot->processes_count; i++)
		sum += snapshot->processes[i].denials;
	return sum;
}

/* "linear 3 GiB, context 300 MiB" */
static const char *kinds_of(const struct gpushim_usage *usage)
{
	static char text[256];
	size_t length = 0;

	text[0] = '\0';
	for (uint32_t kind = 0; kind < GPUSHIM_KIND_COUNT; kind++)
		if (usage->kind_bytes[kind] > 0 && length < sizeof(text))
			length += (size_t)snprintf(text + length, sizeof(text) - length,
						   "%s%s %s", length ? ", " : "",
						   gpushim_kind_name(kind),
						   ctl_bytes(usage->kind_bytes[kind]));
	return text;
}

/* usage NULL: it has nothing on any device. */
static void add_process(struct ctl_table *table, const struct gpushim_process *process,
			const struct gpushim_usage *usage)
{
	ctl_table_add(table, "", show_process(process), "",
		      ctl_bytes(usage ? usage->charged_bytes : 0),
		      ctl_bytes(usage ? usage->peak_bytes : 0),
		      show_count(process->denials), usage ? kinds_of(usage) : "");
}

static void add_device(struct ctl_table *table, const struct gpushim_snapshot *snapshot,
		       uint32_t index)
{
	const struct gpushim_device *device = &snapshot->devices[index];
	uint64_t quota = quota_of(snapshot, device);
	uint64_t used;
	char source[GPUSHIM_REASON_BYTES + 32];

	/* The figures are the tenant's to falsify. */
	if (__builtin_add_overflow(device->charged_bytes, device->overhead_bytes, &used))
		used = UINT64_MAX - 1;
	/* Processes count their denials, not devices: said once. */
	snprintf(source, sizeof(source), "%s%s", source_of(snapshot, device),
		 used > quota ? " (over the quota)" : "");
	ctl_table_add(table, index ? "" : snapshot->tenant, ctl_uuid(device->uuid),
		      ctl_bytes(quota), ctl_bytes(used), ctl_bytes(device->peak_bytes),
		      index ? "" : show_count(denials(snapshot)), source);
	for (uint32_t i = 0; i < snapshot->usages_count; i++) {
		const struct gpushim_usage *usage = &snapshot->usages[i];
		const struct gpushim_process *process = show_process_in(snapshot,
									usage->slot);

		if (usage->device == index && process)
			add_process(table, process, usage);
	}
}

static void add_idle_processes(struct ctl_table *table,
			       const struct gpushim_snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->processes_count; i++) {
		bool idle = true;

		for (uint32_t u = 0; u < snapshot->usages_count; u++)
			idle &= snapshot->usages[u].slot != snapshot->processes[i].slot;
		if (idle)
			add_process(table, &snapshot->processes[i], NULL);
	}
}

static void add_tenant(struct ctl_table *table, const struct gpushim_snapshot *snapshot)
{
	const struct gpushim_policy_limits *policy = &snapshot->policy;
	bool closed = snapshot->has_policy && (policy->flags & GPUSHIM_POLICY_CLOSED);
	char source[GPUSHIM_REASON_BYTES + 16] = "-";

	if (closed)
		snprintf(source, sizeof(source), "closed: %s", policy->reason);
	else if (snapshot->has_policy)
		snprintf(source, sizeof(source), "%s", policy->source);
	if (closed || snapshot->devices_count == 0)
		ctl_table_add(table, snapshot->tenant, "-",
			      snapshot->has_policy && !closed
				      ? ctl_quota(&policy->others, 0)
				      : "-",
			      "-", "-", show_count(denials(snapshot)), source);
	for (uint32_t i = 0; i < snapshot->devices_count; i++)
		add_device(table, snapshot, i);
	add_idle_processes(table, snapshot);
}

void show_memory(struct gpushim_snapshot *const *snapshots, size_t count)
{
	struct ctl_table table = {
		.columns = 7, .right = { [2] = true, [3] = true, [4] = true, [5] = true }
	};

	ctl_table_add(&table, "TENANT", "DEVICE, PROCESSES", "QUOTA", "IN USE", "PEAK",
		      "DENIALS", "LIMIT FROM, KINDS");
	for (size_t i = 0; i < count; i++)
		add_tenant(&table, snapshots[i]);
	ctl_table_print(&table);
}
