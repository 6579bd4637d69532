/* Making room before an allocation is refused; see room.h. */
#include "cuda/room.h"

#include <errno.h>

#include "base/clock.h"
#include "cuda/graph.h"
#include "cuda/hook.h"
#include "cuda/pool.h"
#include "cuda/share.h"

enum {
	/* How long others are waited for: calls are short, however late their threads run;
	 * frees wait for their streams, and have not happened until then. */
	CALLS_NS = 200000000,
	FREES_NS = 2000000,
	REST_NS = 20000,
	CALLS_MAX = 1000,
};

/* Other threads may be capturing: calls of ours must not break that off. */
static uint64_t trim(int row)
{
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
	bool exchanged = gsh_driver.call_cuThreadExchangeStreamCaptureMode &&
			 gsh_driver.call_cuThreadExchangeStreamCaptureMode(&mode) ==
				 CUDA_SUCCESS;
	uint64_t bytes = gsh_pools_trim(row) + gsh_graphs_trim(row);

	if (exchanged)
		gsh_driver.call_cuThreadExchangeStreamCaptureMode(&mode);
	return bytes;
}

/* Nothing could be given back. Whether others may do so soon, or have done so since. */
static bool wait_for_others(struct gsh_room *room, int row)
{
	struct gsh_activity activity = { 0 };
	uint64_t now_ns = gsh_clock_now_ns(), waited_ns;
	bool changed;

	gsh_pools_look(row, &activity);
	gsh_graphs_look(row, &activity);
	changed = room->steps != activity.steps;
	room->steps = activity.steps;
	if (room->since_ns == 0)
		room->since_ns = now_ns;
	waited_ns = now_ns - room->since_ns;
	if (waited_ns >= CALLS_NS)
		return false;
	if (!activity.calls && !(activity.frees && waited_ns < FREES_NS))
		return changed;
	gsh_clock_sleep_ns(REST_NS);
	return true;
}

bool gsh_room_make(struct gsh_room *room, int row)
{
	int kept = errno;
	bool made = gsh_share_settle(row);

	if (gsh_load_acquire(&gsh_process->pools) ||
	    gsh_load_acquire(&gsh_process->graphs))
		made = trim(row) > 0 || made || wait_for_others(room, row);
	errno = kept;
	/* Who only makes room that others take does not go on for ever. */
	return made && room->calls++ < CALLS_MAX;
}
