/*
 * staging.c - pinned buffers through which copies of pageable memory pass.
 *
 * Knows: a fixed set of buffers, and after which sequence of which stream each is free
 * again. Refuses to know: what is copied. They are allocated with the first use, belong to
 * no context and are never freed; the books show them as pinned host memory of the process.
 */
#include "driver/copy.h"

#include "driver/client.h"
#include "driver/memory.h"

#define BUFFERS 16u

struct sim_staging {
	bool taken;
	uint32_t slot; /* of the stream whose work reads it */
	uint64_t seq;  /* free when that has completed; 0: free */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static struct sim_staging buffers[BUFFERS];
static uint64_t memory; /* BUFFERS * SIM_STAGING_BYTES, 0: not allocated yet */
static unsigned oldest; /* buffers are handed out round robin */

static bool is_free(const struct sim_staging *buffer)
{
	return !buffer->taken &&
	       atomic_load_explicit(&sim.chan->streams[buffer->slot].completed,
				    memory_order_acquire) >= buffer->seq;
}

/* Under the lock. */
static struct sim_staging *find_free(void)
{
	for (unsigned i = 0; i < BUFFERS; i++) {
		struct sim_staging *buffer = &buffers[(oldest + i) % BUFFERS];

		if (is_free(buffer)) {
			oldest = (oldest + i + 1) % BUFFERS;
			return buffer;
		}
	}
	return NULL;
}

struct sim_staging *sim_staging_take(bool wait, CUresult *res)
{
	struct sim_staging *buffer = NULL;
	uint64_t reserved;

	*res = CUDA_SUCCESS;
	pthread_mutex_lock(&lock);
	if (!memory)
		*res = sim_raw_alloc(NULL, 0, BUFFERS * SIM_STAGING_BYTES, SIM_MEM_HOST,
				     4096, &memory, &reserved);
	if (*res == CUDA_SUCCESS)
		buffer = find_free();
	while (*res == CUDA_SUCCESS && !buffer && wait) {
		/* By slot and sequence: the stream itself may be gone. */
		uint32_t slot = buffers[oldest].slot;
		uint64_t seq = buffers[oldest].seq;

		pthread_mutex_unlock(&lock);
		*res = sim_slot_wait(slot, seq);
		pthread_mutex_lock(&lock);
		buffer = find_free();
		oldest = (oldest + 1) % BUFFERS;
	}
	if (*res != CUDA_SUCCESS)
		buffer = NULL;
	if (buffer)
		buffer->taken = true;
	pthread_mutex_unlock(&lock);
	return buffer;
}

uint64_t sim_staging_address(const struct sim_staging *staging)
{
	return memory + (uint64_t)(staging - buffers) * SIM_STAGING_BYTES;
}

void sim_staging_put(struct sim_staging *staging, const struct sim_stream *stream,
		     uint64_t seq)
{
	pthread_mutex_lock(&lock);
	staging->slot = stream->slot;
	staging->seq = seq;
	staging->taken = false;
	pthread_mutex_unlock(&lock);
}
