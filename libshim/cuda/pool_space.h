/*
 * pool_space.h - what is certain to be free in a pool, and for whom.
 *
 * A pool that may not grow can still serve what fits where something was freed: on the same
 * stream at once, on any when that stream was waited for (CUDA Programming Guide, "Stream
 * Ordered Memory Allocator"). This remembers such places, the largest ones if there are many,
 * and never joins two: between them may lie a border that only the driver knows. While frees
 * of other streams are not over, nothing is certain: the driver may have joined what they
 * free with what was free before. So this knows less than the driver, never more.
 *
 * Also knows on which streams frees may be waiting still. Each free has a number, so that
 * what is freed while somebody waits for the stream does not count as waited for.
 *
 * Pure: no lock, no call of the driver.
 */
#ifndef GSH_CUDA_POOL_SPACE_H
#define GSH_CUDA_POOL_SPACE_H

#include <stdbool.h>
#include <stdint.h>

enum { GSH_SPACE_PLACES = 64, GSH_SPACE_STREAMS = 16, GSH_SPACE_CONTEXTS = 32 };

/* A stream is a number that is not 0, nor GSH_STREAM_GONE; 0: none has to be waited for. */
#define GSH_STREAM_GONE UINT64_MAX

struct gsh_place {
	uint64_t address, bytes;
	uint64_t stream;  /* that must be waited for, by others than itself */
	uint64_t context; /* of the stream */
	uint64_t number;  /* of the free; 0: it is not over yet */
};

/* A stream on which something was freed. */
struct gsh_freer {
	uint64_t stream, context;
	uint64_t number; /* of the last free */
};

/* All zero is empty. */
struct gsh_space {
	uint32_t places_used, freers_used, others_used;
	uint32_t freeing; /* frees that have begun and are not over */
	struct gsh_place places[GSH_SPACE_PLACES];
	struct gsh_freer freers[GSH_SPACE_STREAMS];
	/* By context: streams that have gone, or for which there was no room above. A context
	 * of 0 stands for those for which there was no room here. */
	struct gsh_freer others[GSH_SPACE_CONTEXTS];
};

/*
 * A free begins: from the driver's call on, others may be given what it frees. Then it is
 * over: number: not 0, greater than of frees before; 0: it has failed.
 */
void gsh_space_free_begins(struct gsh_space *space, uint64_t address, uint64_t bytes);
void gsh_space_freed(struct gsh_space *space, uint64_t address,
		     const struct gsh_freer *freer);
/* The driver has put an allocation here. */
void gsh_space_taken(struct gsh_space *space, uint64_t address, uint64_t bytes);
/* Whether all of it lies in places, whoever has to be waited for. */
bool gsh_space_contains(const struct gsh_space *space, uint64_t address, uint64_t bytes);
/* The pool has grown by grown_bytes for an allocation of so many: the rest is free. */
void gsh_space_rest(struct gsh_space *space, uint64_t address, uint64_t bytes,
		    uint64_t grown_bytes);
/* Whether so many bytes on this stream certainly fit. */
bool gsh_space_fits(const struct gsh_space *space, uint64_t bytes, uint64_t stream);
/* Some of it may have gone back to the device. */
void gsh_space_forget(struct gsh_space *space);

/* A stream, or a context's streams (0: neither), were waited for: all frees up to number. */
void gsh_space_synchronised(struct gsh_space *space, uint64_t stream, uint64_t context,
			    uint64_t number);
/* A stream goes, and its number to another: what was freed on it waits for the context. */
void gsh_space_stream_goes(struct gsh_space *space, uint64_t stream);
/* Whether no free is waiting for its stream. */
bool gsh_space_settled(const struct gsh_space *space);

#endif
