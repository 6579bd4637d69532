/*
 * progress.c - how long nothing has completed, and who of those waiting passes then.
 *
 * Knows the three words of a stall: what had completed when it was noticed,
 * since when (or since the last that passed), and how many have passed. Knows no clock,
 * no launch.
 *
 * Whoever changes `since_ns` does so by compare-and-swap from what he judged by,
 * and changes it first: so one passes each time, and nobody does who judged by a stall
 * that has ended meanwhile.
 */
#include "policy/progress.h"

#include "base/atomic.h"
#include "policy/bucket.h"

/* GSH_PROGRESS_NS, doubled so often, is GSH_PROGRESS_MAX_NS. */
#define DOUBLINGS_MAX 6u

_Static_assert(GSH_PROGRESS_NS << DOUBLINGS_MAX == GSH_PROGRESS_MAX_NS, "doublings");

static uint64_t interval_ns(uint64_t predicted_ns, uint64_t times)
{
	uint64_t first_ns = GSH_PROGRESS_NS, doubled_ns;

	/* A launch is charged no more than that, and so not predicted longer. */
	if (predicted_ns > GSH_BUCKET_DEBT_MAX_NS)
		predicted_ns = GSH_BUCKET_DEBT_MAX_NS;
	if (first_ns < 4 * predicted_ns)
		first_ns = 4 * predicted_ns;
	doubled_ns = first_ns << (times < DOUBLINGS_MAX ? times : DOUBLINGS_MAX);
	if (doubled_ns > GSH_PROGRESS_MAX_NS)
		doubled_ns = GSH_PROGRESS_MAX_NS;
	return doubled_ns > first_ns ? doubled_ns : first_ns;
}

/* From now on nothing has completed, unless somebody else has noticed something first. */
static void begin_stall(struct gpushim_ledger_stall *stall, uint64_t since_ns,
			uint64_t now_ns, uint64_t completions)
{
	/* Acquire and release: pairs with that of gsh_progress_passes(). */
	if (!gsh_cas_acq_rel(&stall->since_ns, &since_ns, now_ns))
		return;
	gsh_store_relaxed(&stall->times, 0);
	/* Release: who finds this count finds the time and the times before it. */
	gsh_store_release(&stall->at, completions);
}

bool gsh_progress_passes(struct gpushim_ledger_stall *stall, uint64_t now_ns,
			 bool unfinished, uint64_t completions, uint64_t predicted_ns)
{
	uint64_t since_ns = gsh_load_acquire(&stall->since_ns);
	uint64_t wait_ns, idle_ns;

	now_ns += now_ns == 0; /* 0 says that nothing is stalled */
	if (!unfinished) {
		if (since_ns > 0)
			gsh_cas_acq_rel(&stall->since_ns, &since_ns, 0);
		return false;
	}
	if (since_ns == 0 || gsh_load_acquire(&stall->at) != completions) {
		begin_stall(stall, since_ns, now_ns, completions);
		return false;
	}
	wait_ns = interval_ns(predicted_ns, gsh_load_relaxed(&stall->times));
	/* A little ahead is the time of somebody who read the clock later. */
	idle_ns = now_ns > since_ns ? now_ns - since_ns : 0;
	/* Nobody has asked for long, or the word was scribbled on: it tells nothing. */
	if (idle_ns > wait_ns + GSH_PROGRESS_MAX_NS ||
	    (since_ns > now_ns && since_ns - now_ns > GSH_PROGRESS_MAX_NS)) {
		begin_stall(stall, since_ns, now_ns, completions);
		return false;
	}
	if (idle_ns < wait_ns || !gsh_cas_acq_rel(&stall->since_ns, &since_ns, now_ns))
		return false;
	gsh_add_relaxed(&stall->times, 1);
	return true;
}
