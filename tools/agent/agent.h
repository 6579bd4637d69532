/*
 * agent.h - the parts of gpushim-agent, put together.
 *
 * One thread, one loop; nothing in it waits for anybody. To be idle is one wake-up for each
 * beat of the heart.
 */
#ifndef GSH_AGENT_AGENT_H
#define GSH_AGENT_AGENT_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/control.h"
#include "agent/http.h"
#include "agent/limits.h"
#include "agent/loop.h"
#include "agent/observe.h"
#include "agent/tenants.h"
#include "agent/watch.h"

enum { AGENT_BEAT_MS = 250, AGENT_CHECK_BEATS = 4 };

struct agent_options {
	const char *limits; /* NULL: none */
	const char *dir;    /* NULL: the usual one */
	const char *listen; /* NULL: the usual address, if it is free; "none" */
	bool journal;
};

struct agent {
	char dir[PATH_MAX];
	int lock_fd;
	struct agent_loop loop;
	struct agent_tenants tenants;
	struct agent_limits limits;
	struct agent_watch watch;
	struct agent_control control;
	struct agent_observer observer;
	struct agent_http http;
	struct agent_source beats, signals;
	uint64_t beats_count, watchdog_beats;
};

/* Serves a directory until it is told to end. The exit status. */
int agent_run(const struct agent_options *options);

#endif
