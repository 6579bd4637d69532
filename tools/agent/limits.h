/*
 * limits.h - the limits.json in force, and everybody's limits by it.
 *
 * Knows the file, when it has changed, and that one which is refused changes nothing. Does
 * not watch it: somebody says when it is worth a look. One thread.
 */
#ifndef GSH_AGENT_LIMITS_H
#define GSH_AGENT_LIMITS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "agent/tenants.h"
#include "common/apply.h"

/* By which a file is known to have changed; all zero: not there. */
struct agent_identity {
	uint64_t device, inode, bytes;
	struct timespec modified, changed;
};

struct agent_limits {
	struct agent_tenants *tenants;
	const char *path;	      /* NULL: only what gpushim-ctl applies */
	struct gsh_limits_file *file; /* in force; NULL: none yet */
	bool refused;		      /* what is at `path` now is not in force */
	uint64_t applied, refusals;   /* counts */
	struct agent_identity read, seen;
	struct gsh_devices devices;
	struct gsh_reason no_devices;
};

/* Borrows path and tenants. Looks which devices there are, which may take seconds. */
void agent_limits_open(struct agent_limits *limits, struct agent_tenants *tenants,
		       const char *path);
void agent_limits_close(struct agent_limits *limits);

/* Reads the file and puts it in force, or says why not. */
void agent_limits_load(struct agent_limits *limits);

/*
 * The same if it has changed since it was read. settled: only if it has not since the last
 * look either, so that one who writes slowly is not read half-way.
 */
void agent_limits_look(struct agent_limits *limits, bool settled);

/*
 * Puts a text in force, as far as it is not refused: -EINVAL and *error. Until the file at
 * `path` changes it is what newcomers get their limits by. name: of the file. way.publish and
 * way.published need not be given.
 */
int agent_limits_apply(struct agent_limits *limits, const char *text, size_t bytes,
		       const char *name, struct gsh_apply_way way,
		       struct gsh_limits_error *error);

/* Gives the next tenant that wants one a policy. True: there may be more. */
bool agent_limits_serve(struct agent_limits *limits);

#endif
