/*
 * hold.h - where a launch waits: for credit, and while too much is in flight.
 */
#ifndef GSH_CUDA_HOLD_H
#define GSH_CUDA_HOLD_H

#include "cuda/admit.h"

/*
 * Takes *cost_ns, what the launch itself is predicted to take, and extra_ns for others from the
 * bucket of its device, both scaled as the admission says; waits for it on this thread, no lock
 * held. Without extra_ns, *cost_ns becomes what is known of the launch after the wait.
 * CUDA_SUCCESS, or what the launch is to return. *paid: something was taken.
 */
CUresult gsh_hold_pay(const struct gsh_admission *admission, uint64_t *cost_ns,
		      uint64_t extra_ns, bool *paid);

/* Gives back (positive) or takes of the bucket of a device, and wakes who waits for it. */
void gsh_hold_settle(uint32_t row, int64_t give_ns);

/* How much predicted work of this process may be in flight. */
uint64_t gsh_hold_window_ns(const struct gsh_meter_row *row);

#endif
