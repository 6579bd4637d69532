/*
 * books.h - the device's own books of one cell, as a series in time.
 *
 * Knows: how they are read from the simulated device (simgpu.h), and a file of them that
 * can be read back, so that what was measured can be judged again.
 * Refuses to know: limits, the shim, what the shim's ledger says.
 *
 * Nanoseconds of CLOCK_MONOTONIC, the device's clock.
 */
#ifndef SHARE_BOOKS_H
#define SHARE_BOOKS_H

#include <stdint.h>
#include <sys/types.h>

#include "cells.h"
#include "simgpu.h"

struct books_row {
	uint64_t at_ns; /* all counters of a row are of this instant */
	uint64_t idle_ns, switch_ns, busy_ns, late; /* of the device; late: submissions */
	struct {
		uint64_t gpu_ns, kernels;
	} process[PROCESSES_MAX];
};

struct books {
	unsigned nprocesses;
	uint64_t begin_ns;	    /* the warm-up is over */
	uint64_t set_ns[STEPS_MAX]; /* when a new limit was asked for; 0: it was not */
	unsigned nrows, room;
	struct books_row *rows; /* in order of time */
};

/* Adds a row of now. 0, or -1 if the device has gone or does not know a process. */
int books_look(struct books *books, struct simgpu_monitor *monitor, const pid_t *pids);

/* 0 or -errno. A file that is there is whole: it gets its name when all is written. */
int books_save(const struct books *books, const char *path);
int books_load(struct books *books, const char *path);

void books_free(struct books *books);

#endif
