/*
 * history.h - what was used of each device period by period, as NVML's sensors see it.
 *
 * Knows: the grid of periods, differences of the engine's books, and the samples of the last
 * 72 periods. Refuses to know: who asks, and what a per cent is.
 *
 * A driver samples the hardware; here the simulation stops at the end of each period and the
 * books are read, so that a sample is exact. Idle periods cost nothing.
 */
#ifndef SIM_HISTORY_H
#define SIM_HISTORY_H

#include "device/engine.h"
#include "simgpu.h"

#define SIM_HISTORY_PERIOD_NS 166666667ull /* a sixth of a second, as NVML documents */
#define SIM_HISTORY_PERIODS 72

struct sim_server;

struct sim_history {
	uint64_t end_ns; /* of the present period */
	struct simgpu_sample
		*samples; /* oldest first; the last `open` of the present one */
	size_t count, open, capacity;
	struct sim_device_stats seen[SIM_MAX_DEVICES]; /* at the end of the last period */
};

/* Starts the grid at now_ns. */
void sim_history_init(struct sim_history *history, uint64_t now_ns);
void sim_history_free(struct sim_history *history);

/* Puts down what a context used since `seen`, and brings `seen` up to date. For every
 * context at the end of a period, and for one that is about to be forgotten. */
void sim_history_note(struct sim_history *history, uint32_t client, int32_t pid,
		      unsigned device, const struct sim_ctx_stats *stats,
		      struct sim_ctx_stats *seen);

/* sim_engine_advance(), with a stop at the end of each period in which anything ran. */
bool sim_history_advance(struct sim_server *server, uint64_t until_ns);

/* The samples of complete periods, oldest first; *count of them. Borrows. */
const struct simgpu_sample *sim_history_samples(const struct sim_history *history,
						size_t *count);

#endif
