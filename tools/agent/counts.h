/*
 * counts.h - counters of a tenant that only grow, out of those of its processes, which end
 * with them.
 *
 * A ledger keeps counters for each process that lives. Here each look adds what they have
 * grown by since the last one; what a process counted between the last look and its end is
 * lost. A counter that was set back adds nothing. Pure.
 */
#ifndef GSH_AGENT_COUNTS_H
#define GSH_AGENT_COUNTS_H

#include "agent/metrics.h"

struct agent_counted;

/* All zero is new. */
struct agent_counts {
	uint64_t tenant[AGENT_TENANT_COUNTS];
	struct agent_device_counts {
		uint8_t uuid[16];
		uint64_t counts[AGENT_DEVICE_COUNTS];
		struct agent_counted *seen; /* by slot */
		uint32_t slots;
	} devices[GPUSHIM_DEVICES_MAX];
	struct agent_counted *seen;
	uint32_t slots;
};

/* Adds a look. first: what stands there was counted by somebody else, and adds nothing. */
void agent_counts_add(struct agent_counts *counts,
		      const struct gpushim_snapshot *snapshot, bool first);
void agent_counts_free(struct agent_counts *counts);

/* Those of a device; NULL: none yet. */
const uint64_t *agent_counts_of(const struct agent_counts *counts,
				const uint8_t uuid[16]);

#endif
