/*
 * truth.c - the books of devices, clients and contexts at one instant, and the samples of
 * the last periods.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "api/truth_image.h"
#include "device/server.h"

/* ---- the image ---- */

struct image {
	struct sim_truth_image head;
	unsigned char *bytes;
	size_t used, room;
	bool failed;
};

static void append(struct image *image, const void *row, size_t bytes)
{
	if (image->used + bytes > image->room) {
		size_t room = image->room * 2 + bytes + 4096;
		unsigned char *grown = realloc(image->bytes, room);

		if (grown == NULL) {
			image->failed = true;
			return;
		}
		image->bytes = grown;
		image->room = room;
	}
	memcpy(image->bytes + image->used, row, bytes);
	image->used += bytes;
}

static void add_device(struct sim_server *server, struct image *image, unsigned d)
{
	const struct sim_device_stats *stats = sim_engine_stats(server->engine, d);
	const struct sim_device_memory *memory = &server->memory.device[d];
	struct simgpu_device row = {
		.index = d,
		.lost = (server->lost >> d) & 1,
		.total_bytes = memory->total,
		.used_bytes = memory->used,
		.requested_bytes = memory->requested,
		.requested_peak_bytes = memory->requested_peak,
		.since_ns = stats->since_ns,
		.idle_ns = stats->idle_ns,
		.switch_ns = stats->switch_ns,
		.busy_ns = stats->busy_ns,
		.switches = stats->switches,
		.copy_in_ns = stats->copy_in_ns,
		.copy_out_ns = stats->copy_out_ns,
		.late = stats->late,
		.late_max_ns = stats->late_max_ns,
		.memory_limit_bytes = memory->client_limit,
		.accounting_since_ns = server->accounting_since_ns[d],
		.accounting_cleared_ns = server->accounting_cleared_ns[d]
	};
	const struct sim_client *client;
	const struct sim_dctx *ctx;
	enum sim_device_state state;

	memcpy(row.uuid, server->uuid[d], sizeof(row.uuid));
	sim_engine_resident(server->engine, d, &state);
	row.state = state;
	for (client = server->clients; client != NULL; client = client->next)
		for (ctx = client->contexts; ctx != NULL; ctx = ctx->next)
			row.contexts += ctx->ctx.device == d;
	append(image, &row, sizeof(row));
	image->head.ndevices++;
}

static void add_client(struct image *image, const struct sim_client *client)
{
	struct simgpu_client row = client->books;
	const struct sim_dctx *ctx;

	for (ctx = client->contexts; ctx != NULL; ctx = ctx->next) {
		const struct sim_ctx_stats *stats = &ctx->ctx.stats;

		row.gpu_ns[ctx->ctx.device] += stats->gpu_ns;
		row.kernel_ns[ctx->ctx.device] += stats->kernel_ns;
		row.copy_ns[ctx->ctx.device] += stats->copy_in_ns + stats->copy_out_ns;
	}
	append(image, &row, sizeof(row));
	image->head.nclients++;
}

static int by_client(const void *a, const void *b)
{
	const struct simgpu_client *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static int by_context(const void *a, const void *b)
{
	const struct simgpu_context *x = a, *y = b;

	if (x->client != y->client)
		return x->client < y->client ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id);
}

static void add_clients(struct sim_server *server, struct image *image)
{
	const size_t start = image->used;
	const struct sim_client *client;
	unsigned i;

	for (i = 0; i < server->ngone; i++) {
		append(image, &server->gone[i], sizeof(server->gone[i]));
		image->head.nclients++;
	}
	for (client = server->clients; client != NULL; client = client->next)
		if (client->chan != NULL)
			add_client(image, client);
	if (!image->failed)
		qsort(image->bytes + start, image->head.nclients,
		      sizeof(struct simgpu_client), by_client);
}

static void add_contexts(struct sim_server *server, struct image *image)
{
	const size_t start = image->used;
	const struct sim_client *client;
	const struct sim_dctx *ctx;
	unsigned i;

	for (i = 0; i < server->ngone_contexts; i++)
		append(image, &server->gone_contexts[i], sizeof(struct simgpu_context));
	image->head.ncontexts = server->ngone_contexts;
	for (client = server->clients; client != NULL; client = client->next)
		for (ctx = client->contexts; ctx != NULL; ctx = ctx->next) {
			const struct sim_ctx_stats *stats = &ctx->ctx.stats;
			struct simgpu_context row = { .client = client->id,
						      .id = ctx->id,
						      .device = ctx->ctx.device,
						      .gpu_ns = stats->gpu_ns,
						      .kernel_ns = stats->kernel_ns,
						      .copy_in_ns = stats->copy_in_ns,
						      .copy_out_ns = stats->copy_out_ns,
						      .kernels = stats->kernels,
						      .copies = stats->copies,
						      .slices = stats->slices,
						      .pending = ctx->ctx.nops };

			append(image, &row, sizeof(row));
			image->head.ncontexts++;
		}
	if (!image->failed)
		qsort(image->bytes + start, image->head.ncontexts,
		      sizeof(struct simgpu_context), by_context);
}

static void add_samples(struct sim_server *server, struct image *image)
{
	size_t count, i;
	const struct simgpu_sample *samples = sim_history_samples(&server->history,
								  &count);

	for (i = 0; i < count; i++)
		append(image, &samples[i], sizeof(samples[i]));
	image->head.nsamples = (uint32_t)count;
}

static int write_image(const struct image *image)
{
	int fd = memfd_create("simgpu-truth", MFD_CLOEXEC);
	size_t at = 0;

	if (fd < 0)
		return -errno;
	while (at < image->used) {
		ssize_t put = write(fd, image->bytes + at, image->used - at);

		if (put < 0) {
			int error = errno;

			close(fd);
			return -error;
		}
		at += (size_t)put;
	}
	return fd;
}

int sim_truth_image(struct sim_server *server, bool samples)
{
	struct image image = { .head = { .magic = SIM_TRUTH_MAGIC,
					 .version = SIMGPU_TRUTH_VERSION,
					 .started_ns = server->started_ns,
					 .forgotten = server->forgotten,
					 .period_ns = SIM_HISTORY_PERIOD_NS } };
	struct timespec cpu;
	unsigned d;
	int fd = -ENOMEM;

	/* Not the clock: what clients are just submitting may lie before it. */
	image.head.now_ns = sim_engine_now(server->engine);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	image.head.cpu_ns = (uint64_t)cpu.tv_sec * 1000000000ull + (uint64_t)cpu.tv_nsec;
	append(&image, &image.head, sizeof(image.head));
	for (d = 0; d < server->config.devices; d++)
		add_device(server, &image, d);
	add_clients(server, &image);
	add_contexts(server, &image);
	if (samples)
		add_samples(server, &image);
	if (!image.failed) {
		memcpy(image.bytes, &image.head, sizeof(image.head));
		fd = write_image(&image);
	}
	free(image.bytes);
	return fd;
}
