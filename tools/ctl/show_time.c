/*
 * show_time.c - gpushim-ctl show: who has which share of a device's time, and who waits.
 *
 * At most 100 columns wide with names of ordinary length, so devices have no more length than
 * tell them apart.
 */
#include "ctl/show.h"

#include <stdio.h>
#include <string.h>

enum { UUID_LENGTH_MIN = sizeof("GPU-01234567") - 1, UUIDS_MAX = 64, COLUMNS = 9 };

/* So many characters of two UUIDs, as text, tell them apart; 0: they are the same. */
static int telling(const uint8_t a[16], const uint8_t b[16])
{
	char first[64];
	const char *second;
	int length = 0;

	if (memcmp(a, b, 16) == 0)
		return 0;
	snprintf(first, sizeof(first), "%s", ctl_uuid(a));
	second = ctl_uuid(b);
	while (first[length] && first[length] == second[length])
		length++;
	return length + 1;
}

/*
 * So many tell all devices shown apart: those of a node are few, and of a ledger that names
 * others it is enough that it is shown.
 */
static int uuid_length(struct gpushim_snapshot *const *snapshots, size_t count)
{
	const uint8_t *seen[UUIDS_MAX];
	int seen_count = 0, length = UUID_LENGTH_MIN;

	for (size_t i = 0; i < count; i++)
		for (uint32_t d = 0; d < snapshots[i]->devices_count; d++) {
			const uint8_t *uuid = snapshots[i]->devices[d].uuid;
			bool known = false;

			for (int k = 0; k < seen_count; k++) {
				int needed = telling(seen[k], uuid);

				known |= needed == 0;
				length = needed > length ? needed : length;
			}
			if (!known && seen_count < UUIDS_MAX)
				seen[seen_count++] = uuid;
		}
	return length;
}

/* ---- targets ---- */

static const char *permille(uint64_t value)
{
	static char texts[4][16];
	static unsigned next;
	char *text = texts[next++ % 4];

	snprintf(text, sizeof(texts[0]), value % 10 ? "%u.%u" : "%u",
		 (unsigned)(value / 10), (unsigned)(value % 10));
	return text;
}

/* "30%", or from what is guaranteed to the cap: "20-50%". */
static const char *target(uint64_t request, uint64_t limit)
{
	static char text[32];

	if (limit == 0)
		return "-";
	if (request == limit)
		snprintf(text, sizeof(text), "%s%%", permille(limit));
	else
		snprintf(text, sizeof(text), "%s-%s%%", permille(request),
			 permille(limit));
	return text;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * What processes obeyed last, or less if the policy says so meanwhile; while none lives,
 * the policy.
 */
static const char *device_target(const struct gpushim_snapshot *snapshot,
				 const struct gpushim_device *device)
{
	const struct gpushim_policy_device *row = ctl_row(&snapshot->policy,
							  device->uuid);

	if (!snapshot->has_policy)
		return target(device->request_permille, device->limit_permille);
	if (snapshot->processes_count == 0 || device->limit_permille == 0)
		return target(row->request_permille, row->limit_permille);
	return target(smaller(row->request_permille, device->request_permille),
		      smaller(row->limit_permille, device->limit_permille));
}

/* ---- rows ---- */

static const char *waiting(const struct gpushim_time *time)
{
	if (!time->waiting)
		return "no";
	return time->waiting_ns == GPUSHIM_UNKNOWN ? "yes"
						   : show_time_ns(time->waiting_ns);
}

static void add_process(struct ctl_table *table, const struct gpushim_process *process,
			const struct gpushim_usage *usage)
{
	const struct gpushim_time *time = &usage->time;

	ctl_table_add(table, show_process(process), "", "", "", "",
		      show_time_ns(time->gpu_ns), waiting(time),
		      show_part(time->delayed, time->launches),
		      show_count(time->released));
}

static void add_device(struct ctl_table *table, const struct gpushim_snapshot *snapshot,
		       uint32_t index, int length)
{
	const struct gpushim_device *device = &snapshot->devices[index];
	const struct gpushim_time *time = &device->time;
	bool audit = device->rate_permille != GPUSHIM_UNKNOWN && !device->enforced;
	char name[GPUSHIM_NAME_BYTES + 64];

	snprintf(name, sizeof(name), "%s %.*s%s", snapshot->tenant, length,
		 ctl_uuid(device->uuid), audit ? " (audit)" : "");
	ctl_table_add(table, name, device_target(snapshot, device),
		      show_share(device->share_1s_ppm), show_share(device->share_10s_ppm),
		      device->level_ns == GPUSHIM_UNKNOWN_LEVEL
			      ? "-"
			      : show_duration(device->level_ns),
		      show_time_ns(device->used_ns), waiting(time),
		      show_part(time->delayed, time->launches),
		      show_count(time->released));
	for (uint32_t i = 0; i < snapshot->usages_count; i++) {
		const struct gpushim_usage *usage = &snapshot->usages[i];
		const struct gpushim_process *process = show_process_in(snapshot,
									usage->slot);

		if (usage->device == index && process && process->alive)
			add_process(table, process, usage);
	}
}

/* Who has not used any device: what he may have. */
static void add_newcomer(struct ctl_table *table, const struct gpushim_snapshot *snapshot)
{
	const struct gpushim_policy_limits *policy = &snapshot->policy;
	bool open = snapshot->has_policy && !(policy->flags & GPUSHIM_POLICY_CLOSED);

	ctl_table_add(table, snapshot->tenant,
		      open ? target(policy->others.request_permille,
				    policy->others.limit_permille)
			   : "-",
		      "-", "-", "-", "-", "-", "-", "-");
}

/* A ledger that somebody has scribbled on. */
static void say_repairs(const struct gpushim_snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->devices_count; i++)
		if (snapshot->devices[i].repairs > 0)
			printf("%s: the account of its time on %s was impossible, and was "
			       "put right (%s times): something else writes its ledger.\n",
			       snapshot->tenant, ctl_uuid(snapshot->devices[i].uuid),
			       show_count(snapshot->devices[i].repairs));
}

void show_time(struct gpushim_snapshot *const *snapshots, size_t count)
{
	int length = uuid_length(snapshots, count);
	struct ctl_table table = { .columns = COLUMNS };

	for (size_t i = 1; i < COLUMNS; i++)
		table.right[i] = true;
	ctl_table_add(&table, "TIME OF DEVICES", "TARGET", "1 S", "10 S", "CREDIT",
		      "GPU TIME", "WAITING", "DELAYED", "RELEASED");
	for (size_t i = 0; i < count; i++) {
		if (snapshots[i]->devices_count == 0)
			add_newcomer(&table, snapshots[i]);
		for (uint32_t d = 0; d < snapshots[i]->devices_count; d++)
			add_device(&table, snapshots[i], d, length);
	}
	ctl_table_print(&table);
	for (size_t i = 0; i < count; i++)
		say_repairs(snapshots[i]);
}
