/*
 * plan.h - what is still to be measured, in which order, and how long that takes.
 *
 * Knows: what an earlier run left behind, and which of it counts.
 * Refuses to know: how a cell is measured or judged.
 */
#ifndef SHARE_PLAN_H
#define SHARE_PLAN_H

#include <stdbool.h>

#include "cells.h"
#include "files.h"
#include "measure.h"

enum { PLAN_MAX = SCENARIOS_MAX * LOAD_KINDS * REPEATS_MAX };

struct plan_terms {
	const char *cells; /* patterns; NULL or empty: all */
	unsigned repeats;  /* of all but the controls, which are measured once */
	bool go_on; /* whole measurements of this build stay and are not repeated */
	struct span span;
};

struct plan_item {
	const struct scenario *scenario;
	enum load_kind kind;
	unsigned repeat; /* counts from 1 */
};

struct plan {
	unsigned n;    /* still to be measured */
	unsigned kept; /* wanted, and here already */
	struct plan_item items[PLAN_MAX];
};

/*
 * Forgets the books that are to be measured anew and lists what is to be done: everything
 * once before anything twice, and the controls, by which others are judged, before what
 * they are controls of.
 */
void plan_make(struct plan *plan, const struct plan_terms *terms);

/* How long the items from this one on take, about. */
double plan_seconds(const struct plan *plan, unsigned from,
		    const struct plan_terms *terms);

#endif
