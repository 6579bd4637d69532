/*
 * room.h - making room before an allocation is refused: what this process holds of the
 * device without using it goes back.
 *
 *	struct gsh_room room = { 0 };
 *
 *	do
 *		res = gsh_charge_try(&charge, row, kind, bytes);
 *	while (res == CUDA_ERROR_OUT_OF_MEMORY && gsh_room_make(&room, row));
 *
 * Knows who can give back: pools, the memory of graphs, exported memory that nobody has
 * imported. Processes can make room in themselves only. ACTIVE mode only. Any thread.
 */
#ifndef GSH_CUDA_ROOM_H
#define GSH_CUDA_ROOM_H

#include <stdbool.h>
#include <stdint.h>

struct gsh_room {
	uint64_t
		since_ns; /* of the first call that found nothing to give back; 0: none yet */
	uint64_t steps; /* as in struct gsh_activity, then */
	uint32_t calls;
};

/*
 * True: something was given back, or other threads are about to: calls for which more is
 * charged than they may need, frees that wait for their stream. Trying again is worth it.
 * False: nothing more can be done, or some milliseconds have passed. Calls the driver only where there are pools or
 * graphs with memory. Keeps errno.
 */
bool gsh_room_make(struct gsh_room *room, int row);

#endif
