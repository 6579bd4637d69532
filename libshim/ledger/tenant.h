/*
 * tenant.h - the account of a tenant as one of its processes keeps it: policy and ledger.
 *
 * Knows which limits are in force on which device, and reserves against them. Is told where
 * limits come from (struct gsh_tenant_config, filled by shim.c from the environment) and
 * never reads the environment itself. Knows nothing of CUDA: devices are UUIDs.
 *
 * Threads: after open all functions may be called by any thread.
 */
#ifndef GSH_LEDGER_TENANT_H
#define GSH_LEDGER_TENANT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"
#include "ledger/ledger.h"
#include "ledger/page.h"
#include "policy/bucket.h"

/* A limit given by a variable: it lowers what the page or limits.json says, never raises. */
struct gsh_variable_limit {
	uint64_t memory_bytes; /* GPUSHIM_UNLIMITED: not given in bytes */
	uint32_t memory_ppm;   /* 0: not given as a share */
	uint32_t source;       /* enum gpushim_limit_source; 0: not given */
};

/* The same of GPU time, in thousandths of the device's. */
struct gsh_variable_share {
	uint32_t request_permille; /* 0: none is given */
	uint32_t limit_permille;   /* 0: not given; 1000: no cap */
	uint32_t source;	   /* enum gpushim_limit_source; 0: not given */
};

struct gsh_tenant_config {
	char tenant[GPUSHIM_NAME_BYTES];
	char page_path[512];   /* "": no page */
	char ledger_path[512]; /* never "" */
	uint32_t wait_ms;      /* for a page that is promised and not there yet */
	bool has_limits;       /* `limits` is from limits.json, and there is no page */
	struct gpushim_policy_limits limits;
	struct gsh_variable_limit all;
	/* By index in the container's order of devices (CUDA_DEVICE_MEMORY_LIMIT_<i>). */
	struct gsh_variable_limit by_index[GPUSHIM_DEVICES_MAX];
	struct gsh_variable_share all_share;
	/* By index, too (CUDA_DEVICE_SM_LIMIT_<i>). */
	struct gsh_variable_share share_by_index[GPUSHIM_DEVICES_MAX];
	uint32_t priority; /* by variable: enum gpushim_priority plus one; 0: not given */
	uint64_t context_bytes; /* per context, by variable; 0: not given */
	uint32_t ignored_variables;
};

struct gsh_tenant_device {
	uint8_t uuid[16];
	uint64_t total_bytes; /* of the device, as the driver says */
	uint64_t
		limit_bytes; /* atomic; in force: of page, file and variables the smallest */
	uint64_t context_bytes;	   /* atomic */
	uint64_t overhead_bytes;   /* atomic; measured beyond the ledger */
	uint32_t view;		   /* atomic; enum gpushim_view */
	uint32_t source;	   /* atomic; enum gpushim_limit_source */
	uint32_t request_permille; /* atomic; of GPU time, as are the next three */
	uint32_t limit_permille;   /* 1000: no cap */
	uint32_t priority;	   /* enum gpushim_priority */
	uint32_t burst_ms;	   /* never 0 */
	uint32_t index; /* in the container's order, for by_index; UINT32_MAX: unknown */
	uint32_t ready;
};

struct gsh_tenant {
	struct gsh_ledger ledger;
	struct gsh_page page;
	struct gpushim_policy_limits limits; /* under adopt_lock */
	struct gsh_lock adopt_lock; /* guards adopting a policy and adding a device */
	uint32_t closed;	    /* atomic; the policy says that nothing may be used */
	uint32_t audit; /* atomic; the policy says that nothing is refused or delayed */
	uint64_t
		ignored; /* variables above the policy, as counted: struct gsh_in_force */
	uint64_t heartbeat; /* atomic; the agent's, when overhead was last read */
	uint64_t turn_beat,
		turn_beat_ns; /* atomic; the last heartbeat, and since when: turn.c */
	struct gsh_tenant_config config;
	struct gsh_tenant_device devices[GPUSHIM_DEVICES_MAX]; /* by row of the ledger */
};

/*
 * Opens page (waiting up to wait_ms for one that is promised) and ledger. 0, or -errno and
 * a reason that names file and cause; -EPERM: the policy says closed. A page names its
 * tenant: that name is then used, and stands in tenant->config.tenant.
 */
int gsh_tenant_open(struct gsh_tenant *tenant, const struct gsh_tenant_config *config,
		    struct gsh_reason *why);

/*
 * Row of a device, made on first use. index: its place in the container's order of devices,
 * UINT32_MAX if not known. -ENOSPC: more than GPUSHIM_DEVICES_MAX; -EPROTO: somebody
 * scribbled on the ledger, so that the row would be another device's.
 */
int gsh_tenant_device(struct gsh_tenant *tenant, const uint8_t uuid[16],
		      uint64_t total_bytes, uint32_t index);

/*
 * Adopts a changed policy and new measurements (two loads if there are none) and reserves.
 * 0; -ENOMEM: over the quota (not counted yet: gsh_tenant_denied() does that once for each
 * call of the program); -EPERM: the policy has closed the tenant. Where the policy only
 * audits, what is over the quota is charged all the same, and counted as a denial here.
 */
int gsh_tenant_reserve(struct gsh_tenant *tenant, int row, enum gpushim_kind kind,
		       uint64_t bytes);
void gsh_tenant_force(struct gsh_tenant *tenant, int row, enum gpushim_kind kind,
		      uint64_t bytes);
void gsh_tenant_refund(struct gsh_tenant *tenant, int row, enum gpushim_kind kind,
		       uint64_t bytes);
void gsh_tenant_denied(struct gsh_tenant *tenant, uint64_t bytes);

/* What a program is shown. Where the policy only audits, that is the device's own memory. */
struct gsh_tenant_view {
	uint64_t
		total_bytes; /* min(quota, device), or the device's where the view says so */
	uint64_t free_bytes;  /* min(quota - used - overhead, driver_free_bytes) */
	uint64_t used_bytes;  /* charges and overhead */
	uint64_t limit_bytes; /* GPUSHIM_UNLIMITED: none that holds */
};
void gsh_tenant_view(struct gsh_tenant *tenant, int row, uint64_t driver_free_bytes,
		     uint64_t driver_total_bytes, struct gsh_tenant_view *view);

/*
 * GPU time as it may be used on a device now. Adopts a changed policy first, and costs a few
 * loads if there is none.
 */
struct gsh_tenant_time {
	struct gsh_bucket_terms terms;
	bool capped;   /* terms are below the whole device */
	bool enforced; /* no audit: what must wait waits */
	bool closed;   /* the policy has closed the tenant meanwhile */
};
void gsh_tenant_time(struct gsh_tenant *tenant, int row, struct gsh_tenant_time *time);

/* Configured charge for one context on the device; 0: not known. */
uint64_t gsh_tenant_context_bytes(struct gsh_tenant *tenant, int row);

/* Gives up slot and mappings: for tests. A guest just exits. */
void gsh_tenant_close(struct gsh_tenant *tenant);

#endif
