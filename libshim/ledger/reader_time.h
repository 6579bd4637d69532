/*
 * reader_time.h - what a ledger says of GPU time, made fit to be shown.
 *
 * What comes in was read from a tenant's file and may be anything; what goes out is bounded,
 * printable, and marked where it is not known. now_ns is CLOCK_MONOTONIC right after it was
 * read. Part of libgpushim-reader, not of guests. Any thread.
 */
#ifndef GSH_LEDGER_READER_TIME_H
#define GSH_LEDGER_READER_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "gpushim/reader.h"

/* Fills in credit, use and achieved share of a device; not the sum over processes. */
void gsh_reader_show_bucket(struct gpushim_device *device,
			    const struct gpushim_ledger_bucket *bucket, uint64_t now_ns);

/* Fills in the GPU time of a process, and adds it to sum. */
void gsh_reader_show_use(struct gpushim_usage *usage, struct gpushim_time *sum,
			 const struct gpushim_ledger_use *use, uint64_t now_ns);

/* Adds a device's sum to the tenant's. Neither is marked yet. */
void gsh_reader_add_time(struct gpushim_time *sum, const struct gpushim_time *part);

/* To be called once on each sum when it is complete: marks what is not known. */
void gsh_reader_mark_time(struct gpushim_time *time);

/* False: the row is free. device is the index in the snapshot of the row's device. */
bool gsh_reader_show_cost(struct gpushim_cost *shown,
			  const struct gpushim_ledger_cost *cost, uint32_t device,
			  uint64_t now_ns);

#endif
