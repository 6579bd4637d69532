/*
 * show.c - gpushim-ctl show: who uses how much of which device, under which limits.
 *
 * Reads pages and ledgers from outside, by the reader library. What is not known is "-".
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/publish.h"
#include "gpushim/reader.h"

struct shown {
	size_t count;
	struct gpushim_snapshot **snapshots;
};

/* ---- reading ---- */

/* tenant NULL: the one of a container. 0 or -errno; nothing is said. */
static int read_tenant(const char *dir, const char *tenant, struct shown *shown)
{
	struct gpushim_snapshot *snapshot = malloc(sizeof(*snapshot));
	struct gpushim_reader *reader = NULL;
	void *grown;
	int result = snapshot ? gpushim_reader_open(&reader, dir, tenant) : -ENOMEM;

	if (result == 0)
		result = gpushim_reader_snapshot(reader, snapshot);
	if (result == 0) {
		grown = realloc(shown->snapshots,
				(shown->count + 1) * sizeof(struct gpushim_snapshot *));
		if (grown) {
			shown->snapshots = grown;
			shown->snapshots[shown->count++] = snapshot;
			snapshot = NULL;
		}
	}
	gpushim_reader_close(reader);
	free(snapshot);
	return result;
}

/* A page that is there and says nothing: the tenant's programs cannot start. */
static int say_damaged(const char *dir, const struct gpushim_snapshot *snapshot)
{
	struct gpushim_policy_limits limits;
	struct gsh_reason why;
	int result;

	if (snapshot->has_policy)
		return EXIT_OK;
	result = gsh_published(dir, snapshot->tenant, &limits, &why);
	return result == 0 || result == -ENOENT
		       ? EXIT_OK
		       : ctl_fail("Tenant %s: %s.", snapshot->tenant, why.text);
}

/* All tenants of dir, or the one that a container sees. */
static int read_all(const char *dir, struct shown *shown)
{
	struct ctl_tenants there;
	int result = EXIT_OK;

	if (read_tenant(dir, NULL, shown) == 0)
		return EXIT_OK;
	ctl_tenants_list(dir, &there);
	for (size_t i = 0; i < there.count; i++)
		if (read_tenant(dir, there.names[i], shown) < 0)
			result = ctl_fail("Tenant %s is left out: %s.", there.names[i],
					  gpushim_reader_reason());
		else if (shown->count > 0)
			result |= say_damaged(dir, shown->snapshots[shown->count - 1]);
	ctl_tenants_free(&there);
	return result;
}

/* ---- the table ---- */

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

static const char *number(uint64_t value)
{
	static char texts[4][24];
	static unsigned next;
	char *text = texts[next++ % 4];

	snprintf(text, sizeof(texts[0]), "%llu", (unsigned long long)value);
	return text;
}

static const struct gpushim_process *process_in(const struct gpushim_snapshot *snapshot,
						uint32_t slot)
{
	for (uint32_t i = 0; i < snapshot->processes_count; i++)
		if (snapshot->processes[i].slot == slot)
			return &snapshot->processes[i];
	return NULL;
}

/* usage NULL: it has nothing on any device. */
static void add_process(struct ctl_table *table, const struct gpushim_process *process,
			const struct gpushim_usage *usage)
{
	char name[48];

	if (process->state == GPUSHIM_SLOT_ORPHAN)
		snprintf(name, sizeof(name), "  exported, owner gone");
	else
		snprintf(name, sizeof(name), "  %u %s", process->pid, process->command);
	ctl_table_add(table, "", name, "", ctl_bytes(usage ? usage->charged_bytes : 0),
		      ctl_bytes(usage ? usage->peak_bytes : 0), number(process->denials),
		      usage ? kinds_of(usage) : "");
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
		      index ? "" : number(denials(snapshot)), source);
	for (uint32_t i = 0; i < snapshot->usages_count; i++) {
		const struct gpushim_usage *usage = &snapshot->usages[i];
		const struct gpushim_process *process = process_in(snapshot, usage->slot);

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
			      "-", "-", number(denials(snapshot)), source);
	for (uint32_t i = 0; i < snapshot->devices_count; i++)
		add_device(table, snapshot, i);
	add_idle_processes(table, snapshot);
}

static void show_table(const char *dir, const struct shown *shown)
{
	struct ctl_table table = {
		.columns = 7, .right = { [2] = true, [3] = true, [4] = true, [5] = true }
	};

	if (shown->count == 0) {
		printf("No tenant has an account in %s.\n", dir);
		return;
	}
	ctl_table_add(&table, "TENANT", "DEVICE, PROCESSES", "QUOTA", "IN USE", "PEAK",
		      "DENIALS", "LIMIT FROM, KINDS");
	for (size_t i = 0; i < shown->count; i++)
		add_tenant(&table, shown->snapshots[i]);
	ctl_table_print(&table);
}

int ctl_show(int argc, char **argv)
{
	static const struct option options[] = { { "dir", required_argument, NULL, 'd' },
						 { "json", no_argument, NULL, 'j' },
						 { 0 } };
	struct shown shown = { 0 };
	const char *dir = NULL;
	bool json = false;
	int option, result;

	while ((option = getopt_long(argc, argv, "d:j", options, NULL)) != -1) {
		if (option == 'd')
			dir = optarg;
		else if (option == 'j')
			json = true;
		else
			return ctl_misused(argv[0], "Its options are --json and --dir.");
	}
	if (argc - optind > 1)
		return ctl_misused(argv[0], "One tenant is shown, or all.");
	dir = ctl_dir(dir);
	if (!dir)
		return EXIT_REFUSED;
	if (optind == argc)
		result = read_all(dir, &shown);
	else if (read_tenant(dir, argv[optind], &shown) < 0)
		result = ctl_fail("%s.", gpushim_reader_reason());
	else
		result = shown.count > 0 ? say_damaged(dir, shown.snapshots[0]) : EXIT_OK;
	if (json)
		result |= ctl_show_json(dir, shown.snapshots, shown.count);
	else if (result == EXIT_OK || shown.count > 0)
		show_table(dir, &shown);
	for (size_t i = 0; i < shown.count; i++)
		free(shown.snapshots[i]);
	free(shown.snapshots);
	return result;
}
