/* Counters that outlive processes; see counts.h. */
#include "agent/counts.h"

#include <stdlib.h>
#include <string.h>

enum { COUNTED_MAX = 4 };

/* What a process had counted when it was last looked at. */
struct agent_counted {
	uint64_t start_unix_ns; /* another: another process in the same slot */
	uint64_t last[COUNTED_MAX];
};

_Static_assert((int)AGENT_DEVICE_COUNTS <= (int)COUNTED_MAX, "room for all");
_Static_assert((int)AGENT_TENANT_COUNTS <= (int)COUNTED_MAX, "room for all");

/* NULL: there is no memory, or no such slot. */
static struct agent_counted *at_slot(struct agent_counted **seen, uint32_t *slots,
				     uint32_t slot)
{
	uint32_t room = *slots ? *slots : 8;
	struct agent_counted *grown;

	if (slot >= GPUSHIM_SLOTS_MAX)
		return NULL;
	while (room <= slot)
		room *= 2;
	if (room != *slots) {
		grown = realloc(*seen, room * sizeof(*grown));
		if (!grown)
			return NULL;
		memset(grown + *slots, 0, (room - *slots) * sizeof(*grown));
		*seen = grown;
		*slots = room;
	}
	return &(*seen)[slot];
}

static void add(uint64_t *sums, struct agent_counted *seen, uint64_t start_unix_ns,
		const uint64_t *now, size_t count, bool first)
{
	if (!seen)
		return;
	if (seen->start_unix_ns != start_unix_ns)
		memset(seen, 0, sizeof(*seen));
	seen->start_unix_ns = start_unix_ns;
	for (size_t i = 0; i < count; i++) {
		uint64_t grown = now[i] > seen->last[i] ? now[i] - seen->last[i] : 0;

		seen->last[i] = now[i];
		if (!first && __builtin_add_overflow(sums[i], grown, &sums[i]))
			sums[i] = UINT64_MAX;
	}
}

static struct agent_device_counts *of_device(struct agent_counts *counts,
					     const uint8_t uuid[16])
{
	static const uint8_t none[16];

	for (uint32_t i = 0; i < GPUSHIM_DEVICES_MAX; i++) {
		struct agent_device_counts *device = &counts->devices[i];

		if (memcmp(device->uuid, none, sizeof(none)) == 0)
			memcpy(device->uuid, uuid, sizeof(device->uuid));
		if (memcmp(device->uuid, uuid, sizeof(device->uuid)) == 0)
			return device;
	}
	/* More devices than there can be: a ledger that lies. */
	return NULL;
}

static uint64_t start_of(const struct gpushim_snapshot *snapshot, uint32_t slot)
{
	for (uint32_t i = 0; i < snapshot->processes_count; i++)
		if (snapshot->processes[i].slot == slot)
			return snapshot->processes[i].start_unix_ns;
	return 0;
}

static void add_usage(struct agent_counts *counts,
		      const struct gpushim_snapshot *snapshot,
		      const struct gpushim_usage *usage, bool first)
{
	const struct gpushim_time *time = &usage->time;
	const uint64_t now[AGENT_DEVICE_COUNTS] = {
		[AGENT_COUNT_LAUNCHES] = time->launches,
		[AGENT_COUNT_DELAYED] = time->delayed,
		[AGENT_COUNT_RELEASED] = time->released,
		[AGENT_COUNT_WAITED] = time->waited_ns,
	};
	struct agent_device_counts *device = of_device(
		counts, snapshot->devices[usage->device].uuid);

	if (device)
		add(device->counts, at_slot(&device->seen, &device->slots, usage->slot),
		    start_of(snapshot, usage->slot), now, AGENT_DEVICE_COUNTS, first);
}

void agent_counts_add(struct agent_counts *counts,
		      const struct gpushim_snapshot *snapshot, bool first)
{
	for (uint32_t i = 0; i < snapshot->processes_count; i++) {
		const struct gpushim_process *process = &snapshot->processes[i];
		const uint64_t now[AGENT_TENANT_COUNTS] = {
			[AGENT_COUNT_DENIALS] = process->denials,
			[AGENT_COUNT_DENIED_BYTES] = process->denied_bytes,
			[AGENT_COUNT_UNKNOWN] = process->unknown_symbols,
		};

		add(counts->tenant, at_slot(&counts->seen, &counts->slots, process->slot),
		    process->start_unix_ns, now, AGENT_TENANT_COUNTS, first);
	}
	for (uint32_t i = 0; i < snapshot->usages_count; i++)
		add_usage(counts, snapshot, &snapshot->usages[i], first);
}

const uint64_t *agent_counts_of(const struct agent_counts *counts, const uint8_t uuid[16])
{
	for (uint32_t i = 0; i < GPUSHIM_DEVICES_MAX; i++)
		if (memcmp(counts->devices[i].uuid, uuid, 16) == 0)
			return counts->devices[i].counts;
	return NULL;
}

void agent_counts_free(struct agent_counts *counts)
{
	for (uint32_t i = 0; i < GPUSHIM_DEVICES_MAX; i++)
		free(counts->devices[i].seen);
	free(counts->seen);
	memset(counts, 0, sizeof(*counts));
}
