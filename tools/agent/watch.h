/*
 * watch.h - hearing of changes at once: directories of tenants that come and go, and the
 * limits.json, however it is replaced: written in place, renamed, or reached through links of
 * which one is swapped, as those of a Kubernetes ConfigMap are.
 *
 * Knows inotify. What it cannot hear is found by agent_watch_check(), every second.
 */
#ifndef GSH_AGENT_WATCH_H
#define GSH_AGENT_WATCH_H

#include <stdbool.h>

#include "agent/limits.h"
#include "agent/loop.h"

enum { AGENT_WATCH_DIRECTORIES = 2 };

struct agent_watch {
	struct agent_source source;
	struct agent_tenants *tenants;
	struct agent_limits *limits;
	int ledgers; /* watch on DIR/ledger; -1: lost */
	/* Where limits.json is said to be, and where it really is. -1: not watched. */
	int limits_at[AGENT_WATCH_DIRECTORIES];
};

/* Borrows all. 0 or -errno. To be called before the first look at tenants and file. */
int agent_watch_open(struct agent_watch *watch, struct agent_loop *loop,
		     struct agent_tenants *tenants, struct agent_limits *limits);
void agent_watch_close(struct agent_watch *watch);

/* Takes up what was lost, and looks where nothing can be heard. */
void agent_watch_check(struct agent_watch *watch);

#endif
