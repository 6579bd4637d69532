/*
 * apply.h - putting the limits of a limits.json in force: who gets which, and who is closed.
 *
 * Who is listed gets what is written. Tenants that are there already and not listed get the
 * template's limits while they fit, those first that are open now; others are closed, with the
 * reason. What gpushim-run has started under limits of its own is left alone: whoever could
 * start it could start it without limits.
 *
 * Knows files of limits and what is in force; by which way a policy is published is the
 * caller's.
 */
#ifndef GSH_TOOLS_APPLY_H
#define GSH_TOOLS_APPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"
#include "common/devices.h"
#include "common/limits.h"
#include "common/tenants.h"

enum gsh_apply_outcome {
	GSH_APPLY_PUBLISHED,
	GSH_APPLY_CLOSED,
	GSH_APPLY_FAILED,     /* `why` says why */
	GSH_APPLY_LEFT_ALONE, /* only limits.tenant is filled */
	GSH_APPLY_OUTCOMES,
};

/* What became of one tenant. */
struct gsh_apply_row {
	enum gsh_apply_outcome outcome;
	bool templated;
	struct gpushim_policy_limits limits;
	struct gsh_reason why;
};

struct gsh_apply_way {
	/* Puts limits in force. 0 or -errno with a reason. */
	int (*publish)(void *data, const struct gpushim_policy_limits *limits,
		       struct gsh_reason *why);
	/* What is in force for a tenant. 0 or -errno. */
	int (*published)(void *data, const char *tenant,
			 struct gpushim_policy_limits *limits);
	void (*report)(void *data, const struct gsh_apply_row *row);
	void *data;
};

/* Borrows everything. file has passed gsh_limits_fit() with the devices. */
struct gsh_apply {
	const struct gsh_limits_file *file;
	const struct gsh_devices *devices;
	const struct gsh_tenants *there;
	struct gsh_apply_way way;
};

/* Everybody. False: there is no memory to do it, and nothing was done. */
bool gsh_apply_all(const struct gsh_apply *apply);

/* One tenant that has come, and has no policy yet. False as above. */
bool gsh_apply_newcomer(const struct gsh_apply *apply, const char *tenant);

#endif
