/*
 * screen.h - the live view: a terminal, keys, and what they do.
 */
#ifndef GSH_TOOLS_TOP_SCREEN_H
#define GSH_TOOLS_TOP_SCREEN_H

#include <stdio.h>

#include "top/feed.h"
#include "top/live.h"
#include "top/options.h"
#include "top/replay.h"

/* Where samples come from: one of the two is NULL. */
struct top_source {
	struct top_live *live;
	struct top_replay *replay;
	FILE *record; /* NULL: nothing is recorded */
};

/*
 * One more sample into the feed, and into the recording. 1; 0: the recording is at its end;
 * negative: something failed, which *why says.
 */
int top_source_read(struct top_source *source, struct top_feed *feed,
		    struct gsh_reason *why);

/* Shows it until the user has seen enough. Returns the exit status; all has been said. */
int top_screen_run(struct top_source *source, struct top_feed *feed,
		   const struct top_options *options);

#endif
