/*
 * in_force.h - what holds on a device by a policy and variables together.
 *
 * Pure: knows that the policy's row of a device, or its row for all others, says what may be
 * used, and that variables lower that and never raise it. Refuses to know where either is
 * from, and who counts what was ignored.
 */
#ifndef GSH_LEDGER_IN_FORCE_H
#define GSH_LEDGER_IN_FORCE_H

#include <stdint.h>

#include "ledger/tenant.h"

struct gsh_in_force {
	uint64_t limit_bytes;	   /* of memory; GPUSHIM_UNLIMITED: none */
	uint64_t context_bytes;	   /* 0: not known */
	uint32_t source;	   /* of limit_bytes: enum gpushim_limit_source */
	uint32_t view;		   /* enum gpushim_view */
	uint32_t request_permille; /* of GPU time; never above the limit */
	uint32_t limit_permille;   /* 1 to 1000, which is no cap */
	uint32_t priority;	   /* enum gpushim_priority */
	uint32_t burst_ms;	   /* 1 to GPUSHIM_BURST_MS_MAX */
	/*
	 * Variables that ask for more than the policy gives. Of memory, by index: bits 0 to
	 * 15, and 32 for all devices; of GPU time: 16 to 31, and 33; the priority's is 34.
	 */
	uint64_t ignored;
};

/*
 * policy_source: GPUSHIM_SOURCE_PAGE, or GPUSHIM_SOURCE_FILE, which also stands for no
 * policy. Of the device uuid, total_bytes and index are looked at. A policy whose figures
 * are impossible gives the least that they could mean.
 */
void gsh_in_force(const struct gpushim_policy_limits *policy, uint32_t policy_source,
		  const struct gsh_tenant_config *config,
		  const struct gsh_tenant_device *device, struct gsh_in_force *in_force);

#endif
