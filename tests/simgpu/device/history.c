/*
 * history.c - what was used of each device period by period.
 */
#include "device/history.h"

#include <stdlib.h>
#include <string.h>

#include "device/server.h"

void sim_history_init(struct sim_history *history, uint64_t now_ns)
{
	memset(history, 0, sizeof(*history));
	history->end_ns = now_ns + SIM_HISTORY_PERIOD_NS;
	for (unsigned d = 0; d < SIM_MAX_DEVICES; d++)
		history->seen[d].since_ns = now_ns;
}

void sim_history_free(struct sim_history *history)
{
	free(history->samples);
	memset(history, 0, sizeof(*history));
}

/* The row of the present period, made if it is missing. NULL: no memory; the sample is lost,
 * as a sensor's may be. */
static struct simgpu_sample *row_of(struct sim_history *h, uint32_t client, int32_t pid,
				    unsigned device)
{
	struct simgpu_sample *row;

	for (size_t i = h->count - h->open; i < h->count; i++)
		if (h->samples[i].client == client && h->samples[i].device == device)
			return &h->samples[i];
	if (h->count == h->capacity) {
		size_t capacity = h->capacity ? 2 * h->capacity : 256;
		void *samples = realloc(h->samples, capacity * sizeof(*h->samples));

		if (!samples)
			return NULL;
		h->samples = samples;
		h->capacity = capacity;
	}
	row = &h->samples[h->count++];
	h->open++;
	*row = (struct simgpu_sample){
		.end_ns = h->end_ns, .client = client, .device = device, .pid = pid
	};
	return row;
}

static void add(struct sim_history *h, uint32_t client, int32_t pid, unsigned device,
		uint64_t gpu_ns, uint64_t copy_in_ns, uint64_t copy_out_ns)
{
	struct simgpu_sample *row;

	if (gpu_ns == 0 && copy_in_ns == 0 && copy_out_ns == 0)
		return;
	row = row_of(h, client, pid, device);
	if (!row)
		return;
	row->gpu_ns += gpu_ns;
	row->copy_in_ns += copy_in_ns;
	row->copy_out_ns += copy_out_ns;
}

void sim_history_note(struct sim_history *history, uint32_t client, int32_t pid,
		      unsigned device, const struct sim_ctx_stats *stats,
		      struct sim_ctx_stats *seen)
{
	add(history, client, pid, device, stats->gpu_ns - seen->gpu_ns,
	    stats->copy_in_ns - seen->copy_in_ns, stats->copy_out_ns - seen->copy_out_ns);
	*seen = *stats;
}

/* Notes everyone's part of the period that ends now, and begins the next one. */
static void close_period(struct sim_server *server)
{
	struct sim_history *h = &server->history;
	size_t old = 0;

	for (struct sim_client *client = server->clients; client; client = client->next)
		for (struct sim_dctx *ctx = client->contexts; ctx; ctx = ctx->next)
			sim_history_note(h, client->id, client->pid, ctx->ctx.device,
					 &ctx->ctx.stats, &ctx->seen);
	for (unsigned d = 0; d < server->config.devices; d++) {
		const struct sim_device_stats *stats = sim_engine_stats(server->engine,
									d);

		add(h, 0, 0, d, stats->busy_ns - h->seen[d].busy_ns,
		    stats->copy_in_ns - h->seen[d].copy_in_ns,
		    stats->copy_out_ns - h->seen[d].copy_out_ns);
		h->seen[d] = *stats;
	}
	while (old < h->count &&
	       h->samples[old].end_ns + SIM_HISTORY_PERIODS * SIM_HISTORY_PERIOD_NS <=
		       h->end_ns)
		old++;
	h->count -= old;
	if (old)
		memmove(h->samples, h->samples + old, h->count * sizeof(*h->samples));
	h->open = 0;
	h->end_ns += SIM_HISTORY_PERIOD_NS;
}

bool sim_history_advance(struct sim_server *server, uint64_t until_ns)
{
	struct sim_history *h = &server->history;

	while (h->end_ns <= until_ns) {
		bool idle = sim_engine_idle(server->engine);

		if (!sim_engine_advance(server->engine, h->end_ns))
			return false;
		close_period(server);
		/* Nothing can run before until_ns. */
		if (idle && h->end_ns <= until_ns)
			h->end_ns += (until_ns - h->end_ns) / SIM_HISTORY_PERIOD_NS *
				     SIM_HISTORY_PERIOD_NS;
	}
	return sim_engine_advance(server->engine, until_ns);
}

const struct simgpu_sample *sim_history_samples(const struct sim_history *history,
						size_t *count)
{
	*count = history->count - history->open;
	return history->samples;
}
