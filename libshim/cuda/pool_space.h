/*
 * pool_space.h - what is certain to be free in a pool, and for whom.
 *
 * A pool that may not grow can still serve what fits where something was freed: on the same
 * stream at once, on any when that stream was waited for (CUDA Programming Guide, "Stream
 * Ordered Memory Allocator"). This remembers such places, the largest ones if there are many,
 * and never joins two: between them may lie a border that only the driver knows. So it
 * knows less than the driver, never more.
 *
 * Also knows on which streams frees may be waiting still.
 *
 * Pure: no lock, no call of the driver.
 */
#ifndef GSH_CUDA_POOL_SPACE_H
#define GSH_CUDA_POOL_SPACE_H

#include <stdbool.h>
#include <stdint.h>

enum { GSH_SPACE_PLACES = 64, GSH_SPACE_STREAMS = 16 };

/* A stream is a number that is not 0; 0: no stream has to be waited for. */
struct gsh_place {
	uint64_t address, bytes;
	uint64_t stream; /* that must be waited for, by others than itself */
};

/* All zero is empty. */
struct gsh_space {
	uint32_t places_used, streams_used;
	bool more_streams; /* than there is room for, of more_context or of any */
	uint64_t more_context;
	struct gsh_place places[GSH_SPACE_PLACES];
	struct {
		uint64_t stream, context;
	} streams[GSH_SPACE_STREAMS];
};

/* context: the stream's. */
void gsh_space_freed(struct gsh_space *space, uint64_t address, uint64_t bytes,
		     uint64_t stream, uint64_t context);
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

void gsh_space_synchronised(struct gsh_space *space, uint64_t stream);
void gsh_space_synchronised_context(struct gsh_space *space, uint64_t context);
/* Whether no free is waiting for its stream. */
bool gsh_space_settled(const struct gsh_space *space);

#endif
