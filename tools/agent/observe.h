/*
 * observe.h - what tenants use, read from their ledgers when somebody asks for it.
 *
 * Ledgers are read by the reader library alone, which takes them for hostile; what a ledger
 * says of whose it is, is not believed. One thread.
 */
#ifndef GSH_AGENT_OBSERVE_H
#define GSH_AGENT_OBSERVE_H

#include "agent/limits.h"
#include "agent/metrics.h"
#include "agent/tenants.h"

struct agent_observer {
	struct agent_tenants *tenants;
	const struct agent_limits *limits;
	const uint64_t *beats;
	uint64_t start_unix_ns;
	struct gpushim_snapshot *snapshot; /* of the last look */
	size_t next;			   /* for agent_observe_some() */
};

/*
 * Borrows all. What tenants have counted until now is not counted here. 0 or -ENOMEM.
 */
int agent_observe_start(struct agent_observer *observer, struct agent_tenants *tenants,
			const struct agent_limits *limits, const uint64_t *beats);
void agent_observe_end(struct agent_observer *observer);

/* A look at a few tenants, so that what short processes count is not lost. Every second. */
void agent_observe_some(struct agent_observer *observer);

/* Each returns text for free(), or NULL: there is no memory. */
char *agent_observe_metrics(struct agent_observer *observer, bool open, size_t *bytes);
/* The document of gpushim-ctl show --json. */
char *agent_observe_json(struct agent_observer *observer, size_t *bytes);

#endif
