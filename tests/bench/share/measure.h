/*
 * measure.h - one cell: a device of its own, the loads on it, and the device's books.
 */
#ifndef SHARE_MEASURE_H
#define SHARE_MEASURE_H

#include <stdbool.h>

#include "books.h"
#include "cells.h"

struct span {
	double warm_s,
		measured_s; /* of GROUP_BARE the warm-up is half a second at most */
	double step_s;	    /* of GROUP_SET: how long each limit holds */
};

/*
 * Runs the cell in a directory of its own, which is gone afterwards. Returns 0 and the
 * books, which the caller frees; or -1 after a sentence on standard error. Blocks for the
 * span.
 */
int measure(const struct scenario *scenario, enum load_kind kind, const struct span *span,
	    struct books *books);

/* How long that takes, about. */
double measure_seconds(const struct scenario *scenario, const struct span *span);

/* Whether books of that scenario reach as far as the span asks for. */
bool measure_is_whole(const struct scenario *scenario, const struct span *span,
		      const struct books *books);

/* The other side, `PROGRAM --load KIND SECONDS`, with pipes as standard input and output.
 * KIND "idle" makes a context and waits. Returns the exit status. */
int measure_load(const char *kind, const char *seconds);

#endif
