/*
 * replay.h - samples of a recording: documents of JSON, a line each, as --record writes them.
 *
 * A recording may come from anywhere: every value is bounded and every text made printable.
 * One thread at a time.
 */
#ifndef GSH_TOOLS_TOP_REPLAY_H
#define GSH_TOOLS_TOP_REPLAY_H

#include "base/text.h"
#include "top/feed.h"

struct top_replay;

/* path "-": standard input. NULL with a reason. To be given to top_replay_close(). */
struct top_replay *top_replay_open(const char *path, struct gsh_reason *why);
void top_replay_close(struct top_replay *replay);

/* 1: a sample was fed; 0: there are no more; -EPROTO with a reason: FILE:LINE and why. */
int top_replay_read(struct top_replay *replay, struct top_feed *feed,
		    struct gsh_reason *why);

#endif
