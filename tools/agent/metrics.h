/*
 * metrics.h - figures of tenants as Prometheus reads them.
 *
 * Pure: knows names, units and the two forms of text (OpenMetrics 1.0 and the Prometheus text
 * format 0.0.4), and neither files nor clocks. What is not known has no sample.
 */
#ifndef GSH_AGENT_METRICS_H
#define GSH_AGENT_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gpushim/reader.h"

enum agent_device_count {
	AGENT_COUNT_LAUNCHES,
	AGENT_COUNT_DELAYED,
	AGENT_COUNT_RELEASED,
	AGENT_COUNT_WAITED, /* nanoseconds */
	AGENT_DEVICE_COUNTS,
};

enum agent_tenant_count {
	AGENT_COUNT_DENIALS,
	AGENT_COUNT_DENIED_BYTES,
	AGENT_COUNT_UNKNOWN,
	AGENT_TENANT_COUNTS,
};

/* GPUSHIM_UNKNOWN in any field that may be unknown. */
struct agent_device_figures {
	struct gpushim_device shown;
	uint64_t context_bytes;
	uint64_t counts[AGENT_DEVICE_COUNTS];
};

struct agent_tenant_figures {
	const char *name; /* not as its ledger says */
	uint64_t readable, processes, waiting, closed, enforced;
	uint64_t counts[AGENT_TENANT_COUNTS];
	uint32_t devices_count;
	const struct agent_device_figures *devices;
};

struct agent_figures {
	uint64_t tenants, devices, limits_valid, applied, refused, beats, start_unix_ns;
};

/* Text that grows; bytes are for free(). All zero is empty. */
struct agent_text {
	char *bytes;
	size_t count, room;
	bool lost; /* there was no memory for all */
};

void agent_text_add(struct agent_text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Writes all families. open: as OpenMetrics. */
void agent_metrics_write(struct agent_text *text, const struct agent_figures *agent,
			 const struct agent_tenant_figures *tenants, size_t count,
			 bool open);

#endif
