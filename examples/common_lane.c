/*
 * common_lane.c - see common_lane.h.
 *
 * Knows: how often to mark.
 * Refuses to know: clocks; the time is an argument.
 */
#include "common_lane.h"

#include "common.h"

enum { MARK_LAUNCHES = 32, MARK_NS = 2000000 };

void ex_lane_reap(struct ex_lane *lane)
{
	for (; lane->first != lane->last; lane->first++) {
		struct ex_lane_mark *mark = &lane->marks[lane->first % EX_LANE_MARKS];
		CUresult result = cuEventQuery(mark->event);

		if (result == CUDA_ERROR_NOT_READY)
			return;
		ex_try(result, "cuEventQuery", __FILE__, __LINE__);
		lane->finished = mark->launched;
	}
}

void ex_lane_mark(struct ex_lane *lane, uint64_t now_ns)
{
	struct ex_lane_mark *mark = &lane->marks[lane->last % EX_LANE_MARKS];

	if (lane->launched % MARK_LAUNCHES && now_ns - lane->marked_ns < MARK_NS)
		return;
	ex_lane_reap(lane);
	/* A full ring leaves marks out, which only understates what is finished. Drivers
	 * queue about a thousand launches, so it does not fill. */
	if (lane->last - lane->first == EX_LANE_MARKS)
		return;
	if (!mark->event)
		EX_TRY(cuEventCreate(&mark->event, CU_EVENT_DISABLE_TIMING));
	EX_TRY(cuEventRecord(mark->event, lane->stream));
	mark->launched = lane->launched;
	lane->last++;
	lane->marked_ns = now_ns;
}

void ex_lane_fini(struct ex_lane *lane)
{
	int i;

	for (i = 0; i < EX_LANE_MARKS; i++)
		if (lane->marks[i].event)
			EX_TRY(cuEventDestroy(lane->marks[i].event));
}
