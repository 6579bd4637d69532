/*
 * sources.h - where this process' limits come from, and where its ledger lies.
 *
 * Knows the layout of directories and the order of sources: a page that the tenant cannot
 * write, a page in GPUSHIM_DIR, limits.json, variables alone. Opens neither page nor ledger.
 */
#ifndef GSH_SOURCES_H
#define GSH_SOURCES_H

#include <stdbool.h>

#include "environment.h"
#include "ledger/tenant.h"

enum gsh_sources_verdict {
	GSH_SOURCES_NONE,     /* nothing is configured */
	GSH_SOURCES_FOUND,    /* *config says all */
	GSH_SOURCES_PROMISED, /* a page is promised and not there: look again later */
	GSH_SOURCES_BAD,      /* configured, and cannot be had */
};

/*
 * Looks for the limits once. Fills *config, *binding (the page is one that this process
 * cannot write, so that no variable opens it), and for PROMISED and BAD the reason.
 */
enum gsh_sources_verdict gsh_sources_find(const struct gsh_environment *environment,
					  struct gsh_tenant_config *config, bool *binding,
					  struct gsh_reason *why);

#endif
