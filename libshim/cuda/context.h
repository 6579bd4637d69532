/*
 * context.h - contexts as things that cost memory and take memory with them.
 *
 * A context is charged a configured figure, if there is one; what the driver really takes
 * for it is nobody's to ask from inside. Contexts also appear in ways that no hook sees
 * (NVIDIA's runtime opens a device's primary context through a private table): those are
 * charged when something is first allocated in them.
 */
#ifndef GSH_CUDA_CONTEXT_H
#define GSH_CUDA_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"
#include "gpushim/policy.h"

/* All zero at first. */
struct gsh_contexts {
	/* By row: the context last known to be charged. Atomic. */
	uint64_t charged[GPUSHIM_DEVICES_MAX];
	/* By ordinal: from before a primary context's state is asked until the charges follow
	 * it. Held while the driver makes or unmakes the context. */
	struct gsh_lock primary_lock[64];
	/* By ordinal, under that lock: references to it that hooks saw taken and not given
	 * back. The runtime takes its own through a private table. */
	uint32_t retained[64];
};

/*
 * Something is about to be allocated in a context. Charges the context if that is still to
 * be done, whatever the limit. Where no figure is configured: a load.
 */
void gsh_context_seen(int row, uint64_t context);

/*
 * Around a call that may destroy a context. Before it what the context holds is marked, so
 * that a new context of the same handle, made by another thread as soon as the driver has
 * let go of this one, is not taken for it. Afterwards what is marked is given back, the
 * context's own charge included, or, if the context is still there, unmarked. A mark of 0
 * marks nothing; the context itself serves as a mark where no new one can come up meanwhile.
 */
uint64_t gsh_context_mark(uint64_t context);
void gsh_context_settle(uint64_t context, uint64_t mark, bool destroyed);

#endif
