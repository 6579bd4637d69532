/*
 * progress.h - when a launch goes through although the tenant must wait.
 *
 * A launch that is held may be what a running kernel, a wait in a stream or a host
 * function waits for: then that would never complete. So while the tenant has
 * unfinished work and the oldest of it does not complete for max(GSH_PROGRESS_NS,
 * 4 * predicted), one waiting launch of the tenant passes. The interval doubles with each, up to
 * GSH_PROGRESS_MAX_NS, until the oldest has completed: a kernel that never ends does not let
 * others out as often as they complete. What passes is charged like any other launch.
 *
 * The same holds for launches of unknown cost, of which the tenant may have few in flight: with
 * words of their own, and counting only completions of such.
 *
 * Pure. The state is in the tenant's bucket, shared by its processes; of any
 * number of threads that ask at the same time one passes. A stall begins when somebody
 * first asks after the last completion. One that nobody asked about for
 * GSH_PROGRESS_MAX_NS beyond its interval begins anew. After a scribble on the words one
 * may pass early, the next no sooner than GSH_PROGRESS_NS after it, and each within its
 * interval and twice GSH_PROGRESS_MAX_NS.
 */
#ifndef GSH_POLICY_PROGRESS_H
#define GSH_POLICY_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "gpushim/ledger.h"

#define GSH_PROGRESS_NS UINT64_C(100000000)
#define GSH_PROGRESS_MAX_NS UINT64_C(6400000000)

/*
 * To be asked now and then, every second at least, while a launch waits. unfinished: the
 * tenant has work in flight; completions: any word that changes when what is waited for
 * completes, over all live processes; predicted_ns: of the work in flight. True: this launch passes.
 */
bool gsh_progress_passes(struct gpushim_ledger_stall *stall, uint64_t now_ns,
			 bool unfinished, uint64_t completions, uint64_t predicted_ns);

#endif
