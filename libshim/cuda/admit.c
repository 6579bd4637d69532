/*
 * admit.c - the slow way through the gate: looking up, waiting, drawing credit, sampling.
 *
 * Knows when a launch must wait and how much credit a lane draws. Refuses to know how time is
 * measured (meter.c) and what a share is (policy/bucket.h).
 */
#include "cuda/admit.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cuda/process.h"
#include "cuda/watch.h"
#include "policy/bucket.h"
#include "policy/progress.h"

/* Launches of unknown cost in flight. */
#define UNKNOWN_MAX 2u
/* Longest sleep at the gate: limits change, and siblings settle. */
#define SLEEP_MAX_NS UINT64_C(5000000)
#define SLEEP_MIN_NS UINT64_C(50000)
/* Launches measured one by one when unmeasured ones took far longer than predicted. */
#define DENSE_LAUNCHES 32u
#define DENSE_REST_MAX 256u

static uint64_t scaled(uint64_t ns, uint32_t permille)
{
	return ns / 1000 * permille + ns % 1000 * permille / 1000;
}

/* ---- lanes ---- */

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
	lane->dense = lane->dense_rest = lane->dense_next = 0;
	return lane;
}

/* Of the calling thread; that of a thread that has ended when all are taken. */
static struct gsh_lane *take_lane(struct gsh_meter *meter)
{
	uint32_t tid = (uint32_t)syscall(SYS_gettid), count;

	count = gsh_load_relaxed(&meter->lanes_used);
	while (count < GSH_METER_LANES) {
		if (gsh_cas_acq_rel(&meter->lanes_used, &count, count + 1)) {
			gsh_store_relaxed(&meter->lanes[count].tid, tid);
			return settle_in(meter, &meter->lanes[count], tid);
		}
	}
	for (uint32_t i = 0; i < GSH_METER_LANES; i++) {
		uint32_t seen = gsh_load_relaxed(&meter->lanes[i].tid);

		if (thread_is_gone(seen) &&
		    gsh_cas_acq_rel(&meter->lanes[i].tid, &seen, tid))
			return settle_in(meter, &meter->lanes[i], tid);
	}
	return NULL;
}

static uint32_t next_random(struct gsh_lane *lane)
{
	uint32_t x = lane->random;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return lane->random = x;
}

/* ---- looking up ---- */

/* 906, of the legacy stream while another captures, counts as well. */
static bool captures(uint64_t stream)
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

static struct gsh_stream *look_up_stream(struct gsh_meter *meter, uint64_t handle,
					 uint64_t current,
					 const struct gsh_lane *lane)
{
	struct gsh_meter_context *context = gsh_meter_context(meter, current);
	uint16_t whose = handle == GSH_STREAM_PER_THREAD ? lane->index : GSH_METER_NONE;
	struct gsh_stream *stream;
	uint64_t other;

	if (!context)
		return NULL;
	stream = gsh_meter_find_stream(meter, handle,
				       (uint32_t)(context - meter->contexts), whose);
	if (stream)
		return stream;
	other = context_of(handle, current);
	if (other != current)
		context = other ? gsh_meter_context(meter, other) : NULL;
	return context ? gsh_meter_stream(meter, handle,
					  (uint32_t)(context - meter->contexts), whose)
		       : NULL;
}

/* Of a context that is not the thread's own. */
static int row_of(uint64_t handle)
{
	CUcontext popped;
	int row;

	if (gsh_driver.cuCtxPushCurrent_v2((CUcontext)(uintptr_t)handle) != CUDA_SUCCESS)
		return -1;
	row = gsh_device_row_current();
	gsh_driver.cuCtxPopCurrent_v2(&popped);
	return row;
}

/* Under the lock. */
static bool look_up(const struct gsh_launch *launch, struct gsh_admission *admission,
		    uint64_t current, int row)
{
	struct gsh_meter *meter = admission->meter;
	struct gsh_meter_context *context = gsh_meter_context(meter, current);
	struct gsh_signature *signature;

	admission->stream = look_up_stream(meter, launch->stream, current,
					   admission->lane);
	if (!context || !admission->stream)
		return false;
	context->row = row;
	admission->current = (uint32_t)(context - meter->contexts);
	context = &meter->contexts[admission->stream->context];
	if (context->row < 0)
		context->row = row_of(context->handle);
	if (context->row < 0)
		return false;
	admission->row = (uint32_t)context->row;
	signature = gsh_meter_signature(meter, launch, admission->row);
	if (!signature)
		return false;
	admission->signature = signature;
	admission->epoch = signature->epoch;
	admission->cost_class = signature->cost.cost_class;
	admission->scale_permille = gsh_account_overlap_permille(&context->account);
	return true;
}

int gsh_admit_look(const struct gsh_launch *launch, struct gsh_admission *admission,
		   const struct gsh_meter *meter, struct gsh_lane *lane)
{
	int saved = errno, row;
	uint32_t attention;
	CUcontext current;
	bool found;

	admission->lane = NULL;
	if (gsh_enter() != GSH_MODE_ACTIVE)
		return gsh_inactive();
	admission->meter = gsh_meter();
	if (!admission->meter)
		return CUDA_ERROR_OUT_OF_MEMORY;
	attention = gsh_load_relaxed(&admission->meter->attention);
	admission->capturing = attention >= GSH_ATTENTION_CAPTURE;
	if (admission->capturing && captures(launch->stream))
		return CUDA_SUCCESS;
	if (gsh_driver.call_cuCtxGetCurrent(&current) != CUDA_SUCCESS || !current)
		return CUDA_SUCCESS;
	row = gsh_device_row_current();
	if (row < 0)
		return CUDA_SUCCESS;
	if (attention & GSH_ATTENTION_IDLE)
		gsh_watch_wake(admission->meter);
	if (meter != admission->meter || !lane->tid ||
	    lane->tid != (uint32_t)syscall(SYS_gettid))
		lane = take_lane(admission->meter);
	errno = saved;
	/* More threads than lanes at once: the driver's queue is all that bounds them. */
	if (!lane)
		return CUDA_ERROR_OUT_OF_MEMORY;
	admission->lane = lane;
	gsh_lock(&admission->meter->lock);
	found = look_up(launch, admission, (uint64_t)(uintptr_t)current, row);
	gsh_unlock(&admission->meter->lock);
	if (!found)
		admission->lane = NULL;
	return CUDA_SUCCESS;
}

/* ---- waiting ---- */

/* What all processes of the tenant have in flight, and how much they have completed. */
static void sum_work(const struct gsh_ledger *ledger, uint32_t row, uint64_t *in_flight_ns,
		     uint64_t *completions)
{
	uint32_t slots = gsh_load_relaxed(&ledger->header->slots_used);

	*in_flight_ns = *completions = 0;
	for (uint32_t i = 0; i < slots && i < GPUSHIM_SLOTS_MAX; i++) {
		const struct gpushim_ledger_use *use = gsh_ledger_use(ledger, row, i);
		uint64_t ns = gsh_load_relaxed(&use->in_flight_ns);

		if (!ns || gsh_load_relaxed(&ledger->slots[i].state) != GPUSHIM_SLOT_LIVE)
			continue;
		/* What a dead process had in flight will never be done. */
		if (i != ledger->slot && !gsh_ledger_slot_alive(ledger->fd, i))
			continue;
		*in_flight_ns += ns;
		*completions += gsh_load_relaxed(&use->completions);
	}
}

static bool passes_by_progress(uint32_t row, uint64_t now_ns)
{
	const struct gsh_ledger *ledger = &gsh_process->tenant.ledger;
	uint64_t in_flight_ns, completions;

	sum_work(ledger, row, &in_flight_ns, &completions);
	return gsh_progress_passes(gsh_ledger_bucket(ledger, row), now_ns,
				   in_flight_ns > 0, completions, in_flight_ns);
}

static void sleep_at(struct gpushim_ledger_bucket *bucket, uint32_t bell, uint64_t ns)
{
	struct timespec time;

	if (ns > SLEEP_MAX_NS)
		ns = SLEEP_MAX_NS;
	if (ns < SLEEP_MIN_NS)
		ns = SLEEP_MIN_NS;
	time.tv_sec = 0;
	time.tv_nsec = (long)ns;
	syscall(SYS_futex, &bucket->bell, FUTEX_WAIT, bell, &time, NULL, 0);
}

static void begin_waiting(struct gsh_meter_row *row, struct gpushim_ledger_use *use,
			  uint64_t now_ns)
{
	gsh_add_relaxed(&row->delayed, 1);
	if (gsh_add_relaxed(&row->waiters, 1) == 0)
		gsh_store_relaxed(&use->waiting_since_ns, now_ns);
}

static void end_waiting(struct gsh_meter_row *row, struct gpushim_ledger_use *use,
			uint64_t since_ns)
{
	gsh_add_relaxed(&row->waited_ns, gsh_clock_now_ns() - since_ns);
	if (gsh_sub_relaxed(&row->waiters, 1) == 1)
		gsh_store_relaxed(&use->waiting_since_ns, 0);
}

static uint64_t window_of(const struct gsh_meter_row *row)
{
	uint64_t ns = gsh_load_relaxed(&row->window_ns);

	return ns > GSH_METER_WINDOW_MIN_NS ? ns : GSH_METER_WINDOW_MIN_NS;
}

/* Too much is in flight, as predicted, or too much of which nothing is known. */
static bool is_crowded(const struct gsh_meter_row *row, bool unknown)
{
	return gsh_load_relaxed(&row->in_flight_ns) > window_of(row) ||
	       (unknown && gsh_load_relaxed(&row->unknown) >= UNKNOWN_MAX);
}

/*
 * How long a launch waits because too much is in flight: what is in flight may be waiting for
 * it, while other work completes and so keeps the progress rule from applying.
 */
static uint64_t crowd_patience_ns(const struct gsh_meter_row *row)
{
	uint64_t ns = 4 * gsh_load_relaxed(&row->in_flight_ns);

	return ns > GSH_PROGRESS_NS ? ns : GSH_PROGRESS_NS;
}

/* For people: the terms that this launch is under. */
static void show_terms(struct gpushim_ledger_bucket *bucket,
		       const struct gsh_tenant_time *time)
{
	uint64_t enforced = time->enforced;

	if (gsh_unlikely(gsh_load_relaxed(&bucket->enforced) != enforced))
		gsh_store_relaxed(&bucket->enforced, enforced);
	/* Of others the bucket keeps note. */
	if (!time->capped && gsh_load_relaxed(&bucket->limit_permille) != 1000)
		gsh_store_relaxed(&bucket->limit_permille, (uint64_t)1000);
}

/*
 * Takes cost_ns from the bucket, waiting for it. CUDA_SUCCESS, or what the launch is to return.
 * *paid: something was taken.
 */
static CUresult pay(const struct gsh_admission *admission, uint64_t cost_ns, bool *paid)
{
	struct gsh_meter *meter = admission->meter;
	struct gsh_tenant *tenant = &gsh_process->tenant;
	struct gpushim_ledger_bucket *bucket =
		gsh_ledger_bucket(&tenant->ledger, admission->row);
	struct gpushim_ledger_use *use =
		gsh_ledger_use(&tenant->ledger, admission->row, tenant->ledger.slot);
	struct gsh_meter_row *row = &meter->rows[admission->row];
	bool unknown = admission->cost_class == GPUSHIM_COST_UNKNOWN;
	uint64_t began_ns = 0, rest_ns = SLEEP_MIN_NS, now_ns, wait_ns;
	struct gsh_tenant_time time;
	uint32_t bell;

	*paid = false;
	for (;;) {
		/* Before the bucket is looked at: who rings meanwhile is heard. */
		bell = gsh_load_acquire(&bucket->bell);
		gsh_tenant_time(tenant, (int)admission->row, &time);
		show_terms(bucket, &time);
		if (time.closed || !time.capped)
			break;
		now_ns = gsh_clock_now_ns();
		*paid = true;
		if (!time.enforced) {
			*paid = gsh_bucket_take(bucket, &time.terms, now_ns, cost_ns,
						&wait_ns);
			break;
		}
		if (is_crowded(row, unknown) &&
		    (!began_ns || now_ns - began_ns < crowd_patience_ns(row))) {
			wait_ns = rest_ns;
			rest_ns *= 2;
			if (rest_ns > SLEEP_MAX_NS / 4)
				rest_ns = SLEEP_MAX_NS / 4;
		} else if (gsh_bucket_take(bucket, &time.terms, now_ns, cost_ns,
					   &wait_ns)) {
			break;
		}
		*paid = false;
		if (!began_ns) {
			began_ns = now_ns;
			begin_waiting(row, use, now_ns);
		} else if (passes_by_progress(admission->row, now_ns)) {
			gsh_bucket_settle(bucket, &time.terms, -(int64_t)cost_ns);
			gsh_add_relaxed(&row->released, 1);
			*paid = true;
			break;
		}
		gsh_watch_wake(meter);
		sleep_at(bucket, bell, wait_ns);
		gsh_meter_collect(meter, admission->current);
	}
	if (began_ns)
		end_waiting(row, use, began_ns);
	return time.closed ? CUDA_ERROR_NOT_PERMITTED : CUDA_SUCCESS;
}

/* ---- drawing ---- */

/* Once in a while, after unmeasured launches that took far longer than predicted. */
static void become_dense(struct gsh_lane *lane)
{
	if (lane->dense_rest > 0)
		lane->dense_rest--;
	if (!gsh_load_relaxed(&lane->suspect))
		return;
	gsh_store_relaxed(&lane->suspect, 0);
	if (lane->dense_rest > 0 || lane->dense > 0)
		return;
	lane->dense = DENSE_LAUNCHES;
	lane->dense_next = lane->dense_next * 2 + 4;
	if (lane->dense_next > DENSE_REST_MAX)
		lane->dense_next = DENSE_REST_MAX;
	lane->dense_rest = lane->dense_next + DENSE_LAUNCHES;
}

/*
 * How much more than this launch's cost to draw: what may go unmeasured. Random, so that
 * nobody can know which launches are measured; little at first, since what a thread has
 * drawn and does not use before it ends is lost.
 */
static uint64_t extra_of(struct gsh_lane *lane, uint64_t cost_ns, uint32_t cost_class,
			 uint64_t window_ns)
{
	uint64_t horizon_ns, extra_ns;

	become_dense(lane);
	if (lane->dense > 0) {
		lane->dense--;
		return 0;
	}
	if (cost_class == GPUSHIM_COST_UNKNOWN)
		return 0;
	horizon_ns = cost_class == GPUSHIM_COST_LEARNED ? GSH_METER_STEADY_NS
							: GSH_METER_VARIABLE_NS;
	if (horizon_ns > window_ns / 4)
		horizon_ns = window_ns / 4;
	extra_ns = horizon_ns / 2 + next_random(lane) % horizon_ns;
	if (extra_ns < cost_ns)
		return 0;
	return extra_ns < lane->drawn_ns / 4 ? extra_ns : lane->drawn_ns / 4;
}

/* Credit of another device, or of another scale, goes back. */
static void give_back(struct gsh_lane *lane)
{
	struct gsh_tenant *tenant = &gsh_process->tenant;
	struct gsh_tenant_time time;

	if (lane->left_ns) {
		gsh_tenant_time(tenant, (int)lane->row, &time);
		if (time.capped)
			gsh_bucket_settle(
				gsh_ledger_bucket(&tenant->ledger, lane->row),
				&time.terms,
				(int64_t)scaled(lane->left_ns, lane->scale_permille));
	}
	lane->left_ns = 0;
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
	bracket->signature->brackets--;
	gsh_meter_give_bracket(meter, number);
}

static uint16_t new_bracket(const struct gsh_admission *admission, uint64_t handle)
{
	struct gsh_meter *meter = admission->meter;
	struct gsh_stream *stream = admission->stream;
	struct gsh_meter_context *context = &meter->contexts[stream->context];
	struct gsh_bracket *bracket;
	uint16_t number;

	/* Events are made in the current context; another thread may have ended either. */
	if (stream->handle != handle || context->broken || context->blind ||
	    context->row != (int)admission->row || stream->context != admission->current)
		return GSH_METER_NONE;
	number = gsh_meter_take_bracket(meter);
	if (number == GSH_METER_NONE)
		return number;
	bracket = &meter->brackets[number];
	if (!gsh_meter_take_events(context, &bracket->begin, &bracket->end)) {
		gsh_meter_give_bracket(meter, number);
		return GSH_METER_NONE;
	}
	bracket->signature = admission->signature;
	bracket->signature->brackets++;
	bracket->epoch = admission->epoch;
	bracket->context = (uint16_t)stream->context;
	bracket->life = context->life;
	bracket->stream = (uint16_t)(stream - meter->streams);
	bracket->lane = admission->lane->index;
	bracket->unknown = admission->cost_class == GPUSHIM_COST_UNKNOWN;
	bracket->batch_ns = gsh_swap_acquire(&stream->batch_ns, 0);
	return number;
}

static void begin_bracket(const struct gsh_launch *launch,
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
	bracket->scale_permille = admission->scale_permille;
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

/*
 * Without events that tell time nothing is ever learned, and a limit would be lifted. Then a
 * launch under a limit is waited for, at most as long as the progress rule lets others
 * wait, and the wall time that takes is charged. Slow, but it ends, and it holds.
 */
static void go_blind(const struct gsh_launch *launch, const struct gsh_admission *admission,
		     struct gsh_pass *pass)
{
	struct gsh_lane *lane = admission->lane;
	struct gsh_meter *meter = admission->meter;
	struct gsh_meter_row *row = &meter->rows[admission->row];

	if (!lane->paid)
		return;
	gsh_lock(&meter->lock);
	row->lost++;
	row->used = true;
	gsh_unlock(&meter->lock);
	pass->blind = true;
	pass->row = admission->row;
	pass->charged_ns = scaled(pass->cost_ns, lane->scale_permille);
	pass->stream = (void *)(uintptr_t)launch->stream;
}

void gsh_admit_wait(const struct gsh_pass *pass)
{
	struct gsh_tenant *tenant = &gsh_process->tenant;
	struct gpushim_ledger_bucket *bucket = gsh_ledger_bucket(&tenant->ledger, pass->row);
	uint64_t began_ns = gsh_clock_now_ns(), took_ns = 0, rest_ns = SLEEP_MIN_NS / 4;
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
	bool relaxed = gsh_driver.call_cuThreadExchangeStreamCaptureMode != NULL;
	struct gsh_tenant_time time;
	int saved = errno;
	CUresult res;

	if (relaxed)
		gsh_driver.call_cuThreadExchangeStreamCaptureMode(&mode);
	do {
		res = gsh_driver.cuStreamQuery((CUstream)pass->stream);
		took_ns = gsh_clock_now_ns() - began_ns;
		if (res == CUDA_ERROR_NOT_READY)
			gsh_clock_sleep_ns(rest_ns);
		rest_ns += rest_ns / 4;
	} while (res == CUDA_ERROR_NOT_READY && took_ns < GSH_PROGRESS_NS);
	if (relaxed)
		gsh_driver.call_cuThreadExchangeStreamCaptureMode(&mode);
	gsh_tenant_time(tenant, (int)pass->row, &time);
	gsh_bucket_settle(bucket, &time.terms, (int64_t)pass->charged_ns - (int64_t)took_ns);
	gsh_bucket_used(bucket, gsh_clock_now_ns(), took_ns);
	errno = saved;
}

/* ---- both ---- */

/* It is paid for, and only to be measured. */
static bool is_only_due(const struct gsh_lane *lane,
			const struct gsh_admission *admission, uint64_t cost_ns)
{
	return lane->left_ns >= cost_ns && lane->row == admission->row &&
	       admission->cost_class != GPUSHIM_COST_UNKNOWN && !lane->dense;
}

static void change_row(struct gsh_lane *lane, const struct gsh_admission *admission)
{
	struct gsh_meter *meter = admission->meter;

	gsh_lock(&meter->lock);
	gsh_meter_gather(meter, lane);
	gsh_unlock(&meter->lock);
	gsh_store_relaxed(&lane->row, admission->row);
}

/* Draws credit for this launch and some more. *measure: it is to be sampled itself. */
static CUresult draw(const struct gsh_admission *admission, uint64_t cost_ns, bool *measure)
{
	struct gsh_lane *lane = admission->lane;
	uint64_t extra_ns = extra_of(lane, cost_ns, admission->cost_class,
				     window_of(&admission->meter->rows[admission->row]));
	CUresult res;

	if (lane->row != admission->row || lane->scale_permille != admission->scale_permille)
		give_back(lane);
	if (lane->row != admission->row)
		change_row(lane, admission);
	res = pay(admission, scaled(cost_ns + extra_ns, admission->scale_permille),
		  &lane->paid);
	if (res != CUDA_SUCCESS)
		return res;
	lane->scale_permille = admission->scale_permille;
	lane->drawn_ns += cost_ns + extra_ns;
	lane->left_ns += extra_ns;
	*measure = extra_ns < cost_ns;
	if (!*measure)
		/* Not the first: it may have waited for the device, as it did for credit. */
		lane->until = 1 + next_random(lane) % (uint32_t)(extra_ns / cost_ns);
	return CUDA_SUCCESS;
}

int gsh_admit(const struct gsh_launch *launch, const struct gsh_admission *admission,
	      struct gsh_pass *pass)
{
	struct gsh_lane *lane = admission->lane;
	bool measure = true;
	int saved = errno;
	CUresult res = CUDA_SUCCESS;

	/* What its own context has completed meanwhile may be news about this signature. */
	if (admission->stream->context == admission->current)
		gsh_meter_collect(admission->meter, admission->current);
	pass->cost_ns = gsh_cost_predict(&admission->signature->cost);
	if (is_only_due(lane, admission, pass->cost_ns))
		lane->left_ns -= pass->cost_ns;
	else
		res = draw(admission, pass->cost_ns, &measure);
	if (res == CUDA_SUCCESS) {
		if (measure) {
			begin_bracket(launch, admission, pass, lane->paid);
			lane->until = GSH_METER_LAUNCHES / 2 +
				      next_random(lane) % GSH_METER_LAUNCHES;
		}
		if (measure && !pass->sampled)
			go_blind(launch, admission, pass);
		if (!pass->sampled && !pass->blind)
			gsh_add_relaxed(&admission->stream->batch_ns, pass->cost_ns);
		gsh_watch_wake(admission->meter);
	}
	errno = saved;
	return res;
}

/* For people; the driver has just taken the function, so it is one. Under the lock. */
static void learn_name(struct gsh_signature *signature)
{
	const char *name;
	size_t i;

	if (signature->name[0] || signature->kind != GPUSHIM_LAUNCH_KERNEL ||
	    !gsh_driver.call_cuFuncGetName ||
	    gsh_driver.call_cuFuncGetName(&name, (CUfunction)(uintptr_t)signature->code) !=
		    CUDA_SUCCESS)
		return;
	for (i = 0; i < sizeof(signature->name) - 1 && name[i]; i++)
		signature->name[i] = name[i];
	signature->name[i] = '\0';
}

void gsh_admit_launched(struct gsh_pass *pass, int res)
{
	struct gsh_meter *meter = gsh_process->meter;
	struct gsh_bracket *bracket = &meter->brackets[pass->bracket];
	bool capturing = gsh_load_relaxed(&meter->attention) >= GSH_ATTENTION_CAPTURE;
	bool recorded = res == CUDA_SUCCESS &&
			record(bracket->end, (uint64_t)(uintptr_t)pass->stream, capturing);

	gsh_lock(&meter->lock);
	if (recorded && context_of_bracket(meter, bracket) &&
	    !meter->streams[bracket->stream].retired &&
	    meter->streams[bracket->stream].handle == (uint64_t)(uintptr_t)pass->stream) {
		bracket->launched_ns = gsh_clock_now_ns();
		learn_name(bracket->signature);
		gsh_meter_launched(meter, (uint16_t)pass->bracket);
	} else {
		undo_bracket(meter, (uint16_t)pass->bracket);
	}
	gsh_unlock(&meter->lock);
	gsh_watch_wake(meter);
}
