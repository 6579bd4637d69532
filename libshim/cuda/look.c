/*
 * look.c - what a launch is: its lane, context, stream and signature in the meter's tables.
 *
 * Knows which launches are none of the gate's business: those that are captured, and those
 * that will fail; and for which there is no room in the tables. Refuses to know who must wait.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "cuda/admit.h"
#include "cuda/process.h"
#include "cuda/watch.h"

/* ---- lanes ---- */

/* No thread has this number. */
#define TAKEN_APART UINT32_MAX
/* How long a table of lanes that was found full is taken to be so. */
#define FULL_NS UINT64_C(100000000)

static bool thread_is_gone(uint32_t tid)
{
	return syscall(SYS_tgkill, getpid(), tid, 0) < 0 && errno == ESRCH;
}

static struct gsh_lane *settle_in(struct gsh_meter *meter, struct gsh_lane *lane,
				  uint32_t tid)
{
	lane->index = (uint16_t)(lane - meter->lanes);
	lane->random = tid * 2654435761u | 1;
	lane->left_ns = 0;
	lane->batch_ns = 0;
	lane->drawn_ns = 0;
	lane->stream_handle = 0;
	for (int i = 0; i < GSH_LANE_STREAMS; i++)
		lane->streams[i].handle = 0;
	lane->dense = lane->dense_rest = lane->dense_next = 0;
	return lane;
}

void gsh_look_for_ended(struct gsh_meter *meter)
{
	uint32_t count = gsh_load_relaxed(&meter->lanes_used);

	for (uint32_t i = 0; i < count; i++) {
		struct gsh_lane *lane = &meter->lanes[i];
		uint32_t seen = gsh_load_relaxed(&lane->tid);

		if (!seen || seen == TAKEN_APART || !thread_is_gone(seen) ||
		    !gsh_cas_acq_rel(&lane->tid, &seen, TAKEN_APART))
			continue;
		gsh_admit_give_back(lane);
		gsh_store_release(&lane->tid, 0);
	}
}

/* Of the calling thread. A free one's tid is 0. */
static struct gsh_lane *take_free(struct gsh_meter *meter)
{
	uint32_t tid = (uint32_t)syscall(SYS_gettid);
	uint32_t count = gsh_load_relaxed(&meter->lanes_used);

	for (uint32_t i = 0; i < GSH_METER_LANES; i++) {
		struct gsh_lane *lane = &meter->lanes[i];
		uint32_t free = 0;

		/* One more than were ever used; or somebody else has just had the same idea. */
		if (i == count && gsh_cas_acq_rel(&meter->lanes_used, &count, i + 1))
			count = i + 1;
		if (gsh_load_relaxed(&lane->tid) == 0 &&
		    gsh_cas_acq_rel(&lane->tid, &free, tid))
			return settle_in(meter, lane, tid);
	}
	return NULL;
}

/*
 * NULL: as many threads as there are lanes have launched and are still there. To ask after all
 * of them takes milliseconds, so one thread does, and not often.
 */
static struct gsh_lane *take_lane(struct gsh_meter *meter)
{
	uint64_t full_ns = gsh_load_relaxed(&meter->full_ns), now_ns = gsh_clock_now_ns();
	struct gsh_lane *lane;

	if (full_ns && (now_ns - full_ns < FULL_NS ||
			!gsh_cas_acq_rel(&meter->full_ns, &full_ns, now_ns)))
		return NULL;
	lane = take_free(meter);
	if (lane)
		return lane;
	gsh_look_for_ended(meter);
	lane = take_free(meter);
	gsh_store_relaxed(&meter->full_ns, lane ? 0 : now_ns);
	return lane;
}

/* ---- looking up ---- */

/* 906, of the legacy stream while another captures, counts as well. */
bool gsh_look_captures(uint64_t stream)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
	CUresult res;

	if (!gsh_driver.call_cuStreamIsCapturing)
		return false;
	res = gsh_driver.call_cuStreamIsCapturing((CUstream)(uintptr_t)stream, &status);
	return res != CUDA_SUCCESS || status != CU_STREAM_CAPTURE_STATUS_NONE;
}

/* The context of a stream; that of the thread where the driver does not tell. */
static uint64_t context_of(uint64_t stream, uint64_t current)
{
	CUcontext context;

	if (stream <= GSH_STREAM_PER_THREAD || !gsh_driver.call_cuStreamGetCtx)
		return current;
	if (gsh_driver.call_cuStreamGetCtx((CUstream)(uintptr_t)stream, &context) !=
	    CUDA_SUCCESS)
		return 0;
	return (uint64_t)(uintptr_t)context;
}

static uint32_t number_of(const struct gsh_meter *meter,
			  const struct gsh_meter_context *context)
{
	return context ? (uint32_t)(context - meter->contexts) : GSH_METER_NONE;
}

/*
 * The record of the stream, NULL: there is no room for one. *context: the thread's own, then
 * the stream's; 0: it is no stream.
 */
static struct gsh_stream *look_up_stream(struct gsh_admission *admission, uint64_t handle,
					 uint64_t *context)
{
	struct gsh_meter *meter = admission->meter;
	const struct gsh_lane *lane = admission->lane;
	uint16_t whose = handle == GSH_STREAM_PER_THREAD && lane ? lane->index
								 : GSH_METER_NONE;
	struct gsh_stream *stream = NULL;
	uint32_t number;

	number = number_of(meter, gsh_meter_context(meter, *context));
	if (number != GSH_METER_NONE)
		stream = gsh_meter_find_stream(meter, handle, number, whose);
	if (stream)
		return stream;
	*context = context_of(handle, *context);
	if (!*context)
		return NULL;
	number = number_of(meter, gsh_meter_context(meter, *context));
	return number == GSH_METER_NONE ? NULL
					: gsh_meter_stream(meter, handle, number, whose);
}

/* Of a context that has gone: the driver will say so. */
#define NO_CONTEXT INT32_MIN

/* Of a context that is not the thread's own. */
static int row_of(uint64_t handle)
{
	CUcontext popped;
	int row;

	if (gsh_driver.cuCtxPushCurrent_v2((CUcontext)(uintptr_t)handle) != CUDA_SUCCESS)
		return NO_CONTEXT;
	row = gsh_device_row_current();
	gsh_driver.cuCtxPopCurrent_v2(&popped);
	return row;
}

/*
 * Fills in the admission. current: the thread's context, or the stream's if it has none, and
 * then row is negative. CUDA_SUCCESS, or what the launch is to return. Under the lock.
 */
static CUresult look_up(const struct gsh_launch *launch, struct gsh_admission *admission,
			uint64_t current, int row)
{
	struct gsh_meter *meter = admission->meter;
	struct gsh_meter_context *context = gsh_meter_context(meter, current);
	struct gsh_signature *signature;
	uint64_t whose = current;

	admission->found = GSH_FOUND_NOTHING;
	admission->current = GSH_METER_NONE;
	if (context && row >= 0) {
		context->row = row;
		admission->current = number_of(meter, context);
	}
	admission->stream = look_up_stream(admission, launch->stream, &whose);
	if (!whose)
		return CUDA_SUCCESS;
	context = gsh_meter_context(meter, whose);
	admission->context = number_of(meter, context);
	if (context && context->row >= 0)
		row = context->row;
	else if (whose != current || row < 0)
		row = row_of(whose);
	if (row < 0)
		return row == NO_CONTEXT ? CUDA_SUCCESS : (CUresult)-row;
	if (context)
		context->row = row;
	admission->row = (uint32_t)row;
	signature = gsh_meter_signature(meter, launch, admission->row);
	admission->signature = signature;
	admission->epoch = signature->epoch;
	admission->cost_class = signature->cost.cost_class;
	admission->scale_permille = context ? gsh_account_overlap_permille(
						      &context->account)
					    : 1000;
	admission->found = admission->stream && admission->lane ? GSH_FOUND_ROOM
								: GSH_FOUND_NO_ROOM;
	return CUDA_SUCCESS;
}

/* There is no memory for any table: without a limit it passes. */
static CUresult look_without_tables(void)
{
	int row = gsh_device_row_current();
	struct gsh_tenant_time time = { .capped = true, .enforced = true };

	if (row >= 0)
		gsh_tenant_time(&gsh_process->tenant, row, &time);
	return time.capped && time.enforced ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

int gsh_admit_look(const struct gsh_launch *launch, struct gsh_admission *admission,
		   const struct gsh_meter *meter, uint64_t nonce, struct gsh_lane *lane)
{
	int saved = errno, row;
	uint32_t attention;
	CUcontext current;
	CUresult res;

	admission->found = GSH_FOUND_NOTHING;
	admission->lane = NULL;
	if (gsh_enter() != GSH_MODE_ACTIVE)
		return gsh_inactive();
	admission->meter = gsh_meter();
	if (!admission->meter)
		return look_without_tables();
	attention = gsh_load_relaxed(&admission->meter->attention);
	admission->capturing = attention >= GSH_ATTENTION_CAPTURE;
	if (admission->capturing && gsh_look_captures(launch->stream))
		return CUDA_SUCCESS;
	if (gsh_driver.call_cuCtxGetCurrent(&current) != CUDA_SUCCESS)
		return CUDA_SUCCESS;
	row = current ? gsh_device_row_current() : -1;
	if (current && row < 0)
		return -row;
	/* Without a context a stream still has one. */
	if (!current)
		current = (CUcontext)(uintptr_t)context_of(launch->stream, 0);
	if (!current)
		return CUDA_SUCCESS;
	if (attention & GSH_ATTENTION_IDLE)
		gsh_watch_wake(admission->meter);
	if (meter != admission->meter || nonce != meter->nonce ||
	    lane->tid != (uint32_t)syscall(SYS_gettid))
		lane = take_lane(admission->meter);
	admission->lane = lane;
	gsh_lock(&admission->meter->lock);
	res = look_up(launch, admission, (uint64_t)(uintptr_t)current, row);
	gsh_unlock(&admission->meter->lock);
	errno = saved;
	return res;
}
