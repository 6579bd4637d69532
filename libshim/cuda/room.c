/* Making room before an allocation is refused; see room.h. */
#include "cuda/room.h"

#include <errno.h>

#include "base/clock.h"
#include "cuda/graph.h"
#include "cuda/hook.h"
#include "cuda/pool.h"
#include "cuda/share.h"

enum { PATIENCE_NS = 10000000, REST_NS = 20000, CALLS_MAX = 1000 };

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

static bool somebody_busy(int row)
{
	return gsh_pools_busy(row) || gsh_graphs_busy(row);
}

bool gsh_room_make(struct gsh_room *room, int row)
{
	int kept = errno;
	bool made = gsh_share_settle(row);

	if (gsh_load_acquire(&gsh_process->pools) ||
	    gsh_load_acquire(&gsh_process->graphs)) {
		made |= trim(row) > 0;
		if (!made && somebody_busy(row)) {
			uint64_t now_ns = gsh_clock_now_ns();

			if (room->calls == 0)
				room->since_ns = now_ns;
			made = now_ns - room->since_ns < PATIENCE_NS;
			if (made)
				gsh_clock_sleep_ns(REST_NS);
		}
	}
	errno = kept;
	/* Who makes room for others only does not go on for ever. */
	return made && room->calls++ < CALLS_MAX;
}
