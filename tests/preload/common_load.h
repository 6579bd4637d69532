/*
 * common_load.h - loads of a known shape, for whoever measures shares of GPU time: the
 * tests here and tests/bench/share/.
 *
 * Knows: how programs keep a device busy, each kind of work in one way, in kernels whose
 * time on the simulated GPU is exact (SIMGPU_WORK_PS at its default). Work is enqueued as
 * fast as the driver takes it, unless the kind says otherwise; nothing is printed and
 * nothing measured on the way.
 * Refuses to know: limits, and what share the load gets.
 */
#ifndef TESTS_PRELOAD_COMMON_LOAD_H
#define TESTS_PRELOAD_COMMON_LOAD_H

#include <stdint.h>

enum load_kind {
	LOAD_20US,
	LOAD_1MS,
	LOAD_50MS,
	LOAD_300MS,
	LOAD_VARIABLE,
	LOAD_GRAPH,
	LOAD_STREAMS,
	LOAD_MIXED,
	LOAD_SYNC,
	LOAD_BURSTY,
	LOAD_KINDS
};

struct load_facts {
	const char *name;
	const char *what;
	uint64_t quantum_ns; /* the most that one launch (of bursty: one burst) takes */
	/* Of a device, alone; at most: between launches that are waited for the host adds
	 * gaps. */
	uint32_t demand_permille;
};

extern const struct load_facts load_facts[LOAD_KINDS];

/* The kind of that name; LOAD_KINDS if there is none. */
enum load_kind load_find(const char *name);

/*
 * Opens device 0 and makes ready all that the kind needs; a kernel has run and is done
 * with. Ends the process with a sentence if a call fails. Once per process.
 */
void load_prepare(enum load_kind kind);

/* Loads the device until CLOCK_MONOTONIC says stop_ns; what is enqueued runs on. */
void load_run(enum load_kind kind, uint64_t stop_ns);

#endif
