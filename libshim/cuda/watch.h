/*
 * watch.h - the helper thread: it settles what has completed while nobody launches, and
 * writes what this process has used into the ledger.
 *
 * There is none before the first launch. It sleeps as long as nothing is in flight and
 * nothing was launched, which it is told by the next launch; it asks the driver
 * about events alone, in relaxed capture mode, with their context pushed, and blocks signals.
 */
#ifndef GSH_CUDA_WATCH_H
#define GSH_CUDA_WATCH_H

#include "cuda/meter.h"

/* Starts it if there is none, wakes it if it sleeps. One load when it is awake. */
void gsh_watch_wake(struct gsh_meter *meter);

/* Writes what this process has used into the ledger (publish.c). costs: its table, too. */
void gsh_meter_publish(struct gsh_meter *meter, bool costs);

#endif
