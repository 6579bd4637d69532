/*
 * report.h - what was read of a tenant as JSON: the one shape of it that all tools print.
 *
 * Sizes are bytes, times nanoseconds, shares thousandths or millionths (ppm), as the names
 * say; null is "no limit" or "not known". Numbers are whole and may be larger than 2^53.
 * Any thread; what is returned is the caller's, for cJSON_Delete().
 */
#ifndef GSH_TOOLS_REPORT_H
#define GSH_TOOLS_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "gpushim/reader.h"

struct cJSON;

/*
 * One tenant. costs: with what its launches cost, in the snapshot's order. Members
 * "processes" and "devices" stand in the snapshot's order as well.
 */
struct cJSON *gsh_report_tenant(const struct gpushim_snapshot *snapshot, bool costs);

/* Adds a number in full; GPUSHIM_UNKNOWN is null by the second. */
void gsh_report_u64(struct cJSON *object, const char *name, uint64_t value);
void gsh_report_known(struct cJSON *object, const char *name, uint64_t value);

/* "normal", "latency", "batch"; "?" out of range */
const char *gsh_report_priority(uint32_t priority);

#endif
