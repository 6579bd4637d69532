/*
 * sample.c - events around a launch; and what is done where there are none.
 *
 * Knows how a bracket is begun, ended and undone. What it says when it has completed is
 * meter.c's to know.
 */
#include "cuda/sample.h"

#include <errno.h>

#include "base/clock.h"
#include "cuda/hold.h"
#include "cuda/process.h"
#include "cuda/watch.h"
#include "policy/bucket.h"
#include "policy/progress.h"
#include "policy/wall.h"

/* Between two looks at a stream that is waited for, at first. */
#define LOOK_NS UINT64_C(12500)
/* The device is taken to have been busy for no longer than that after a wait was given up. */
#define BLIND_REST_MAX_NS UINT64_C(10000000000)

static uint32_t lower(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* ---- sampling ---- */

static bool record(CUevent event, uint64_t stream, bool capturing)
{
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
	CUresult res;

	if (capturing)
		gsh_driver.call_cuThreadExchangeStreamCaptureMode(&mode);
	res = gsh_driver.call_cuEventRecord(event, (CUstream)(uintptr_t)stream);
	if (capturing)
		gsh_driver.call_cuThreadExchangeStreamCaptureMode(&mode);
	return res == CUDA_SUCCESS;
}

/* The context that a bracket was begun in; NULL: it has gone. Under the lock. */
static struct gsh_meter_context *context_of_bracket(struct gsh_meter *meter,
						    const struct gsh_bracket *bracket)
{
	struct gsh_meter_context *context = &meter->contexts[bracket->context];

	return context->life == bracket->life ? context : NULL;
}

/* Under the lock. */
static void undo_bracket(struct gsh_meter *meter, uint16_t number)
{
	struct gsh_bracket *bracket = &meter->brackets[number];
	struct gsh_stream *stream = &meter->streams[bracket->stream];
	struct gsh_meter_context *context = context_of_bracket(meter, bracket);

	if (context) {
		gsh_meter_give_event(context, bracket->begin);
		gsh_meter_give_event(context, bracket->end);
	}
	gsh_add_relaxed(&stream->batch_ns, bracket->batch_ns);
	gsh_meter_give_bracket(meter, number);
}

/* Events are made in the current context. */
static bool take_events(struct gsh_meter_context *context, bool foreign,
			struct gsh_bracket *bracket)
{
	CUcontext popped;
	bool taken;

	if (foreign && gsh_driver.cuCtxPushCurrent_v2(
			       (CUcontext)(uintptr_t)context->handle) != CUDA_SUCCESS)
		return false;
	taken = gsh_meter_take_events(context, &bracket->begin, &bracket->end);
	if (foreign)
		gsh_driver.cuCtxPopCurrent_v2(&popped);
	return taken;
}

static uint16_t new_bracket(const struct gsh_admission *admission, uint64_t handle)
{
	struct gsh_meter *meter = admission->meter;
	struct gsh_stream *stream = admission->stream;
	struct gsh_meter_context *context = &meter->contexts[stream->context];
	struct gsh_bracket *bracket;
	uint16_t number;

	/* Another thread may have ended either. */
	if (stream->handle != handle || context->broken || context->blind ||
	    context->row != (int)admission->row)
		return GSH_METER_NONE;
	number = gsh_meter_take_bracket(meter);
	if (number == GSH_METER_NONE)
		return number;
	bracket = &meter->brackets[number];
	if (!take_events(context, stream->context != admission->current, bracket)) {
		gsh_meter_give_bracket(meter, number);
		return GSH_METER_NONE;
	}
	bracket->signature = admission->signature;
	bracket->epoch = admission->epoch;
	bracket->context = (uint16_t)stream->context;
	bracket->life = context->life;
	bracket->stream = (uint16_t)(stream - meter->streams);
	bracket->lane = admission->lane->index;
	bracket->unknown = admission->cost_class == GPUSHIM_COST_UNKNOWN;
	bracket->batch_ns = gsh_swap_acquire(&stream->batch_ns, 0);
	return number;
}

void gsh_sample_begin(const struct gsh_launch *launch,
		      const struct gsh_admission *admission, struct gsh_pass *pass,
		      bool paid)
{
	struct gsh_meter *meter = admission->meter;
	struct gsh_bracket *bracket;
	uint16_t number;

	gsh_lock(&meter->lock);
	number = new_bracket(admission, launch->stream);
	gsh_unlock(&meter->lock);
	if (number == GSH_METER_NONE)
		return;
	bracket = &meter->brackets[number];
	bracket->cost_ns = pass->cost_ns;
	bracket->scale_permille = admission->lane->scale_permille;
	bracket->paid = paid;
	bracket->recorded_ns = gsh_clock_now_ns();
	if (!record(bracket->begin, launch->stream, admission->capturing)) {
		gsh_lock(&meter->lock);
		undo_bracket(meter, number);
		gsh_unlock(&meter->lock);
		return;
	}
	bracket->launching_ns = gsh_clock_now_ns();
	pass->sampled = true;
	pass->bracket = number;
	pass->stream = (void *)(uintptr_t)launch->stream;
}

/* ---- blind ---- */

/* What the last one went on to take after it was waited for, as far as that is known. */
static void charge_rest(struct gsh_meter_row *row, struct gpushim_ledger_bucket *bucket,
			const struct gsh_tenant_time *time)
{
	uint64_t since_ns = gsh_load_relaxed(&row->blind_since_ns);
	uint64_t rest_ns = gsh_clock_now_ns() - since_ns;

	if (!since_ns)
		return;
	gsh_store_relaxed(&row->blind_since_ns, (uint64_t)0);
	rest_ns = rest_ns < BLIND_REST_MAX_NS ? rest_ns : BLIND_REST_MAX_NS;
	gsh_bucket_settle(bucket, &time->terms, -(int64_t)rest_ns);
}

/*
 * Without events that tell time nothing is ever learned, and a limit would be lifted. Then a
 * launch under a limit is waited for and the wall time that takes is charged: 100 ms, and
 * twice as long after each that took longer. Slow, but it ends, and it holds.
 */
void gsh_sample_go_blind(const struct gsh_launch *launch,
			 const struct gsh_admission *admission, struct gsh_pass *pass,
			 uint64_t charged_ns)
{
	struct gsh_meter *meter = admission->meter;
	struct gsh_meter_row *row = &meter->rows[admission->row];
	struct gsh_tenant *tenant = &gsh_process->tenant;
	struct gsh_tenant_time time;

	gsh_tenant_time(tenant, (int)admission->row, &time);
	if (!charged_ns || !time.enforced)
		return;
	charge_rest(row, gsh_ledger_bucket(&tenant->ledger, admission->row), &time);
	gsh_lock(&meter->lock);
	row->lost++;
	row->used = true;
	gsh_unlock(&meter->lock);
	pass->blind = true;
	pass->row = admission->row;
	pass->charged_ns = charged_ns;
	pass->stream = (void *)(uintptr_t)launch->stream;
}

void gsh_admit_wait(const struct gsh_pass *pass)
{
	struct gsh_tenant *tenant = &gsh_process->tenant;
	struct gpushim_ledger_bucket *bucket = gsh_ledger_bucket(&tenant->ledger,
								 pass->row);
	uint64_t began_ns = gsh_clock_now_ns(), took_ns = 0, rest_ns = LOOK_NS;
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
	bool relaxed = gsh_driver.call_cuThreadExchangeStreamCaptureMode != NULL;
	struct gsh_meter_row *row = &gsh_process->meter->rows[pass->row];
	uint64_t patience_ns = GSH_PROGRESS_NS
			       << lower(gsh_load_relaxed(&row->blind_passes), 6);
	int saved = errno;
	CUresult res;

	/* It is waited for, and no bracket will show it. */
	gsh_meter_unmark((int)pass->row);
	if (relaxed)
		gsh_driver.call_cuThreadExchangeStreamCaptureMode(&mode);
	do {
		res = gsh_driver.cuStreamQuery((CUstream)pass->stream);
		took_ns = gsh_clock_now_ns() - began_ns;
		if (res == CUDA_ERROR_NOT_READY)
			gsh_clock_sleep_ns(rest_ns);
		rest_ns += rest_ns / 4;
	} while (res == CUDA_ERROR_NOT_READY && took_ns < patience_ns);
	if (res == CUDA_ERROR_NOT_READY) {
		gsh_add_relaxed(&row->blind_passes, 1);
		gsh_store_relaxed(&row->blind_since_ns, gsh_clock_now_ns());
	}
	if (relaxed)
		gsh_driver.call_cuThreadExchangeStreamCaptureMode(&mode);
	/* Of the time for which several wait each pays what was not paid for. */
	took_ns = gsh_wall_cover(gsh_ledger_wall(&tenant->ledger, pass->row), began_ns,
				 began_ns + took_ns);
	gsh_hold_settle(pass->row, (int64_t)pass->charged_ns - (int64_t)took_ns);
	gsh_bucket_used(bucket, gsh_clock_now_ns(), took_ns);
	errno = saved;
}

/* ---- launched ---- */

void gsh_admit_launched(struct gsh_pass *pass, int res)
{
	struct gsh_meter *meter = gsh_process->meter;
	struct gsh_bracket *bracket = &meter->brackets[pass->bracket];
	bool capturing = gsh_load_relaxed(&meter->attention) >= GSH_ATTENTION_CAPTURE;
	bool recorded = res == CUDA_SUCCESS &&
			record(bracket->end, (uint64_t)(uintptr_t)pass->stream,
			       capturing);

	gsh_lock(&meter->lock);
	if (recorded && context_of_bracket(meter, bracket) &&
	    meter->streams[bracket->stream].context == bracket->context &&
	    meter->streams[bracket->stream].handle == (uint64_t)(uintptr_t)pass->stream) {
		bracket->launched_ns = gsh_clock_now_ns();
		if (bracket->epoch == bracket->signature->epoch)
			gsh_meter_name(bracket->signature);
		gsh_meter_launched(meter, (uint16_t)pass->bracket);
	} else {
		if (bracket->unknown && context_of_bracket(meter, bracket))
			gsh_meter_unmark(meter->contexts[bracket->context].row);
		undo_bracket(meter, (uint16_t)pass->bracket);
	}
	gsh_unlock(&meter->lock);
	gsh_watch_wake(meter);
}
