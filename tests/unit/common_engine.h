/*
 * A world for the tests of the engine: devices, contexts and operations with a record of
 * what became of each.
 *
 * Knows engine.h alone. Every operation is allocated, and freed as soon as the engine is
 * done with it, so that a sanitizer sees each use after the end.
 */
#ifndef TESTS_UNIT_COMMON_ENGINE_H
#define TESTS_UNIT_COMMON_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"

enum { RECORDS = 1 << 17, CONTEXTS = 16, US = 1000, MS = 1000 * US };

struct record {
	unsigned done, dropped, effects, begun, progressed;
	uint64_t start_ns, end_ns, executed_ns;
	struct job *job; /* while it lives */
};

struct world {
	struct sim_engine *engine;
	struct sim_engine_config config;
	uint64_t start_ns;
	struct sim_ctx ctx[CONTEXTS];
	bool joined[CONTEXTS];
	unsigned njobs;
	struct record *records;
	uint64_t gone_gpu_ns[SIM_MAX_DEVICES]; /* of removed contexts */
	uint64_t kernel_ns; /* executed by kernels that ended or died */
	unsigned finished;
	uint64_t stops; /* advances stop by chance, which begins with this; 0: never */
};

struct job {
	struct sim_op op; /* first: the engine hands this pointer back */
	unsigned id;
	const uint32_t *word; /* SPIN, WAIT: ready when it has the value */
	uint32_t value;
	uint32_t *sets; /* effect: sets it to the value */
	uint32_t set_value;
	struct job *completes;				    /* effect: an EXTERNAL one */
	void (*then)(struct world *world, struct job *job); /* effect or begin */
	uint64_t seen_ns; /* executed_ns at the last progress() */
};

/* The callbacks that open_world() gives to the engine. */
struct sim_engine_calls world_calls(struct world *world);

/* An engine at start_ns without contexts; close_world frees everything and checks that
 * every submitted operation met exactly one of its two ends. */
void open_world(struct world *world, unsigned devices, uint64_t slice_ns,
		uint64_t switch_ns, unsigned max_concurrent);
void close_world(struct world *world);

/* Adds context i to a device; removes it. */
struct sim_ctx *join(struct world *world, unsigned i, unsigned device);
void leave(struct world *world, unsigned i);

/* A job of full demand for the present instant; its number once submitted. */
struct job *new_job(struct world *world, enum sim_op_kind kind, struct sim_ctx *ctx,
		    uint64_t work_ns);
void after(struct job *job, struct job *on);
unsigned submit(struct world *world, struct job *job);
/* Frees a job and keeps its times. */
void forget(struct world *world, struct job *job);
/* For job->then of an EXTERNAL one. */
void complete_itself(struct world *world, struct job *job);

/* Advances once; false if it was stopped on its way. */
bool run_for(struct world *world, uint64_t ns);
/* Since the world began; a job's times are so, too. */
uint64_t elapsed(const struct world *world);
uint64_t started(const struct world *world, unsigned id);
uint64_t ended(const struct world *world, unsigned id);

/* Every identity that engine.h promises. */
void check_books(struct world *world);

#endif
