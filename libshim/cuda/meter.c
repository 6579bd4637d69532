/*
 * meter.c - event brackets: what they say when they have completed, and settling it.
 *
 * Knows events and the clock of a context. Refuses to know who must wait (gate.c) and how a
 * cost follows from samples (policy/cost.h, policy/account.h).
 *
 * Events are asked about in relaxed capture mode: otherwise a capture that any thread of the
 * program has open in global mode would be ended by it.
 */
#include "cuda/meter.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "cuda/process.h"
#include "policy/bucket.h"
#include "policy/wall.h"

/* A context's clock starts here, so that events before the first one have times as well. */
#define BASE_NS (UINT64_C(1) << 40)
/* Event times are floats of milliseconds: over a second they are exact to 60 ns. */
#define BASE_MAX_NS UINT64_C(1000000000)
/* A bracket that has not completed by then, beyond 16 times its cost, never will. */
#define NEVER_NS UINT64_C(60000000000)
/* Errors in a row after which the driver is asked about a context's events no more. */
enum { ERRORS_MAX = 8 };

/* No process of a tenant has the device for less than that while others want it. */
#define TURN_MIN_NS UINT64_C(250000)

/* Launches of unknown cost in flight beside one more. */
#define DARING_MAX (7 * GSH_METER_SHORT_ONES)

/* First samples of a signature: the others are shown now and then. */
enum { SHOWN_AT_ONCE = 4 };

/* A launch of unknown cost that has not completed by then is known to be long. */
#define LONG_NS UINT64_C(1000000000)

/* Dear samples of a steady signature in a row that may have waited for their turn. */
enum { DOUBTFUL_MAX = 8 };

/* Unmeasured launches that took twice as predicted and this much more are looked into. */
#define SUSPECT_NS UINT64_C(1000000)

static uint64_t charged(const struct gsh_bracket *bracket)
{
	return gsh_scaled(bracket->cost_ns + bracket->batch_ns, bracket->scale_permille);
}

static struct gpushim_ledger_use *use_of(int row)
{
	const struct gsh_ledger *ledger = &gsh_process->tenant.ledger;

	return gsh_ledger_use(ledger, (uint32_t)row, ledger->slot);
}

/* ---- events ---- */

bool gsh_meter_take_events(struct gsh_meter_context *context, CUevent *begin,
			   CUevent *end)
{
	CUevent *wanted[] = { begin, end };

	for (int i = 0; i < 2; i++) {
		if (context->free_count > 0) {
			*wanted[i] = context->free[--context->free_count];
			continue;
		}
		if (gsh_driver.call_cuEventCreate(wanted[i], CU_EVENT_DEFAULT) ==
		    CUDA_SUCCESS)
			continue;
		if (i == 1)
			gsh_meter_give_event(context, *begin);
		return false;
	}
	return true;
}

void gsh_meter_give_event(struct gsh_meter_context *context, CUevent event)
{
	if (!event)
		return;
	if (context->free_count < GSH_METER_EVENTS)
		context->free[context->free_count++] = event;
	else if (gsh_driver.call_cuEventDestroy_v2)
		gsh_driver.call_cuEventDestroy_v2(event);
}

/* From one event to another, which may be the earlier. */
static bool elapsed_ns(CUevent from, CUevent to, int64_t *ns)
{
	float ms;

	if (gsh_driver.call_cuEventElapsedTime(&ms, from, to) != CUDA_SUCCESS)
		return false;
	*ns = (int64_t)((double)ms * 1e6);
	return true;
}

/* ---- in flight ---- */

/* Siblings look at it as well. */
static void count_unknown(struct gsh_meter_row *row, int number, uint32_t more,
			  uint32_t done)
{
	struct gpushim_ledger_use *use = use_of(number);

	row->unknown += more - done;
	gsh_store_relaxed(&use->unknown_in_flight, row->unknown);
	gsh_store_relaxed(&use->unknown_done, use->unknown_done + done);
}

static void add_flight(struct gsh_meter_row *row, int number, uint64_t more_ns)
{
	uint64_t ns = gsh_load_relaxed(&row->in_flight_ns) + more_ns;

	gsh_store_relaxed(&row->in_flight_ns, ns);
	gsh_store_relaxed(&use_of(number)->in_flight_ns, ns);
}

void gsh_meter_unmark(int number)
{
	const struct gsh_ledger *ledger = &gsh_process->tenant.ledger;
	uint64_t *mark = &gsh_ledger_bucket(ledger, (uint32_t)number)->unknown_passed;
	uint64_t seen = gsh_load_relaxed(mark);

	/* Release: who finds it gone finds the launch counted. */
	if (seen && (seen - ledger->slot) % GPUSHIM_SLOTS_MAX == 0)
		gsh_cas_acq_rel(mark, &seen, 0);
}

static void enter_flight(struct gsh_meter_row *row, int number,
			 const struct gsh_bracket *bracket)
{
	add_flight(row, number, charged(bracket));
	if (!bracket->unknown)
		return;
	count_unknown(row, number, 1, 0);
	gsh_meter_unmark(number);
}

/* Proven a little more; or nothing, when a prediction was far too low. */
static void adjust_window(struct gsh_meter_row *row, uint64_t predicted_ns,
			  uint64_t used_ns)
{
	uint64_t ns = gsh_load_relaxed(&row->window_ns);

	if (used_ns > 4 * predicted_ns + GSH_METER_WINDOW_MIN_NS)
		ns = GSH_METER_WINDOW_MIN_NS;
	else
		ns += used_ns;
	gsh_store_relaxed(&row->window_ns,
			  ns < GSH_METER_WINDOW_MAX_NS ? ns : GSH_METER_WINDOW_MAX_NS);
}

/* More of those that nothing is known of at once, while they are as short as is assumed. */
static void adjust_daring(struct gsh_meter_row *row, uint64_t seen_ns)
{
	uint32_t daring = gsh_load_relaxed(&row->daring);

	if (seen_ns > 4 * GSH_COST_DEFAULT_NS)
		daring = 0;
	else if (seen_ns <= GSH_COST_DEFAULT_NS && daring < DARING_MAX)
		daring++;
	gsh_store_relaxed(&row->daring, daring);
}

static void leave_flight(struct gsh_meter_row *row, int number,
			 const struct gsh_bracket *bracket)
{
	uint64_t ns = gsh_load_relaxed(&row->in_flight_ns);
	uint64_t gone_ns = charged(bracket);

	ns -= gone_ns < ns ? gone_ns : ns;
	gsh_store_relaxed(&row->in_flight_ns, ns);
	if (bracket->unknown)
		count_unknown(row, number, 0, 1);
	gsh_store_relaxed(&use_of(number)->in_flight_ns, ns);
}

void gsh_meter_launched(struct gsh_meter *meter, uint16_t number)
{
	struct gsh_bracket *bracket = &meter->brackets[number];
	struct gsh_stream *stream = &meter->streams[bracket->stream];
	int row = meter->contexts[stream->context].row;

	gsh_meter_append(meter, number);
	meter->rows[row].used = true;
	enter_flight(&meter->rows[row], row, bracket);
	if (!gsh_load_relaxed(&use_of(row)->oldest_ns))
		gsh_store_relaxed(&use_of(row)->oldest_ns, bracket->launched_ns);
}

/* ---- completed ---- */

static void release(struct gsh_meter *meter, struct gsh_meter_context *context,
		    uint16_t number)
{
	struct gsh_bracket *bracket = &meter->brackets[number];

	gsh_meter_give_event(context, bracket->begin);
	gsh_meter_give_event(context, bracket->end);
	gsh_meter_give_bracket(meter, number);
}

#define OFFSET_EPOCH_NS UINT64_C(4000000000)
/* An event reached that soon after its recording found nothing before it in its stream. */
#define IDLE_NS 30000

/*
 * An event that finds the device idle is reached at once, before the launch that follows has
 * even been made: that the device waited for it is nobody's GPU time. No launch reaches the
 * device sooner after its call than the fastest event did; that fastest one is what is kept,
 * for as long as the two clocks cannot have drifted apart by much. Too late it is by no more
 * than passed between the two calls.
 */
static uint64_t reached_ns(struct gsh_meter_context *context,
			   const struct gsh_bracket *bracket, uint64_t begin_ns,
			   bool *idle)
{
	int64_t offset_ns = (int64_t)(begin_ns - bracket->recorded_ns), least_ns;

	if (!context->offset_since_ns) {
		context->offset_ns = context->last_offset_ns = offset_ns;
		context->offset_since_ns = begin_ns;
	} else if (begin_ns > context->offset_since_ns + OFFSET_EPOCH_NS) {
		context->last_offset_ns = context->offset_ns;
		context->offset_ns = offset_ns;
		context->offset_since_ns = begin_ns;
	} else if (offset_ns < context->offset_ns) {
		context->offset_ns = offset_ns;
	}
	least_ns = context->offset_ns < context->last_offset_ns ? context->offset_ns
								: context->last_offset_ns;
	*idle = offset_ns - least_ns < IDLE_NS;
	return bracket->launching_ns + (uint64_t)least_ns;
}

/*
 * When the bracket began and how long it took, on the context's clock. *idle: its stream had
 * nothing to do before.
 */
static bool times_of(struct gsh_meter_context *context, struct gsh_bracket *bracket,
		     uint64_t *begin_ns, uint64_t *seen_ns, bool *idle)
{
	int64_t since_base_ns = 0, took_ns;
	uint64_t at_ns;

	if (!elapsed_ns(bracket->begin, bracket->end, &took_ns))
		return false;
	if (context->base && !elapsed_ns(context->base, bracket->begin, &since_base_ns))
		return false;
	if (!context->base)
		context->base_ns = BASE_NS;
	*begin_ns = context->base_ns + (uint64_t)since_base_ns;
	*seen_ns = took_ns > 0 ? (uint64_t)took_ns : 1;
	if (!context->base || since_base_ns > (int64_t)BASE_MAX_NS) {
		gsh_meter_give_event(context, context->base);
		context->base = bracket->begin;
		context->base_ns = *begin_ns;
		bracket->begin = NULL;
	}
	at_ns = reached_ns(context, bracket, *begin_ns, idle);
	if (at_ns > *begin_ns && at_ns < *begin_ns + *seen_ns) {
		*seen_ns -= at_ns - *begin_ns;
		*begin_ns = at_ns;
	}
	return true;
}

/*
 * Siblings' brackets show the turns of each other on the device: together they are charged for
 * the wall time that was covered, not for all of what each saw. Short ones have no turns in
 * them, and what the clocks disagree by.
 */
static uint64_t shared_ns(const struct gsh_meter_context *context,
			  const struct gsh_account_piece *piece, uint64_t used_ns)
{
	int64_t offset_ns = context->offset_ns < context->last_offset_ns
				    ? context->offset_ns
				    : context->last_offset_ns;
	uint64_t bracket_ns = context->account.bracket_ns, new_ns;

	new_ns = gsh_wall_cover(
		gsh_ledger_wall(&gsh_process->tenant.ledger, (uint32_t)context->row),
		piece->begin_ns - (uint64_t)offset_ns,
		piece->end_ns - (uint64_t)offset_ns);
	if (piece->end_ns - piece->begin_ns < TURN_MIN_NS || new_ns >= bracket_ns)
		return used_ns;
	return used_ns - (bracket_ns - new_ns);
}

/* A lane whose unmeasured launches took far longer than predicted measures more of them. */
static void suspect(struct gsh_meter *meter, const struct gsh_bracket *bracket,
		    const struct gsh_account_piece *piece)
{
	uint64_t gap_ns;

	if (!piece->last_end_ns || piece->begin_ns <= piece->last_end_ns ||
	    !piece->batch_ns)
		return;
	gap_ns = piece->begin_ns - piece->last_end_ns;
	if (gap_ns > 2 * piece->batch_ns + SUSPECT_NS)
		gsh_store_relaxed(&meter->lanes[bracket->lane].suspect, 1);
}

/* The bill: who was charged too much gets it back, who too little pays. */
static void settle(struct gsh_meter_row *row, int number,
		   const struct gsh_bracket *bracket, uint64_t used_ns, uint64_t now_ns)
{
	struct gsh_tenant *tenant = &gsh_process->tenant;
	struct gpushim_ledger_bucket *bucket = gsh_ledger_bucket(&tenant->ledger,
								 (uint32_t)number);
	struct gsh_tenant_time time;

	gsh_store_relaxed(&row->gpu_ns, row->gpu_ns + used_ns);
	gsh_bucket_used(bucket, now_ns, used_ns);
	if (bracket->paid) {
		gsh_tenant_time(tenant, number, &time);
		row->rung |= gsh_bucket_settle(bucket, &time.terms,
					       (int64_t)charged(bracket) -
						       (int64_t)used_ns);
	}
}

/*
 * A launch on an idle stream may have waited for the context's turn on the device: of a steady
 * signature it is not believed to cost more unless that is seen again and again.
 */
static bool says_nothing(struct gsh_signature *signature,
			 const struct gsh_account_piece *piece, bool idle)
{
	bool dear = piece->end_ns - piece->begin_ns > piece->low_ns + piece->low_ns / 2;

	if (!piece->steady || !idle || !dear) {
		signature->doubtful = 0;
		return false;
	}
	if (++signature->doubtful < DOUBTFUL_MAX)
		return true;
	signature->doubtful = 0;
	return false;
}

/* Launches of it that went out before anything was known: they owe the difference now. */
static void charge_again(struct gsh_meter *meter, const struct gsh_signature *signature)
{
	struct gsh_tenant *tenant = &gsh_process->tenant;
	uint64_t cost_ns = gsh_cost_predict(&signature->cost);
	struct gsh_tenant_time time;

	for (uint16_t s = meter->active; s != GSH_METER_NONE;
	     s = meter->streams[s].next_active) {
		int row = meter->contexts[meter->streams[s].context].row;
		uint16_t at = meter->streams[s].first;

		for (; at != GSH_METER_NONE; at = meter->brackets[at].next) {
			struct gsh_bracket *bracket = &meter->brackets[at];
			uint64_t before_ns = charged(bracket), more_ns;

			if (bracket->signature != signature ||
			    bracket->epoch != signature->epoch ||
			    bracket->cost_ns >= cost_ns)
				continue;
			bracket->cost_ns = cost_ns;
			more_ns = charged(bracket) - before_ns;
			add_flight(&meter->rows[row], row, more_ns);
			gsh_tenant_time(tenant, row, &time);
			if (bracket->paid)
				gsh_bucket_settle(
					gsh_ledger_bucket(&tenant->ledger, (uint32_t)row),
					&time.terms, -(int64_t)more_ns);
		}
	}
}

/*
 * While it was in flight the progress rule let somebody through: it may have waited for that,
 * and would seem the longer the longer that was held.
 */
static bool was_held_up(int row, const struct gsh_bracket *bracket, uint64_t now_ns)
{
	const struct gpushim_ledger_bucket *bucket = gsh_ledger_bucket(
		&gsh_process->tenant.ledger, (uint32_t)row);
	uint32_t now = (uint32_t)(now_ns >> 20);

	/* Not in the same millisecond: that was itself let through. */
	return now - gsh_load_relaxed(&bucket->released) <
	       now - (uint32_t)(bracket->launched_ns >> 20);
}

static bool complete(struct gsh_meter *meter, struct gsh_meter_context *context,
		     struct gsh_stream *stream, uint64_t now_ns)
{
	struct gsh_bracket *bracket = &meter->brackets[stream->first];
	struct gsh_signature *signature = bracket->signature;
	struct gsh_meter_row *row = &meter->rows[context->row];
	struct gsh_account_piece piece = { .last_end_ns = stream->last_end_ns,
					   .batch_ns = bracket->batch_ns,
					   .predicted_ns = bracket->cost_ns };
	bool same = bracket->epoch == signature->epoch, again = false, idle;
	uint64_t seen_ns, used_ns;

	if (!times_of(context, bracket, &piece.begin_ns, &seen_ns, &idle))
		return false;
	piece.end_ns = piece.begin_ns + seen_ns;
	if (same && !was_held_up(context->row, bracket, now_ns)) {
		piece.steady = signature->cost.cost_class == GPUSHIM_COST_LEARNED;
		/* What is doubted says nothing of launches that were not measured. */
		if (signature->cost.cost_class != GPUSHIM_COST_UNKNOWN)
			piece.low_ns = signature->cost.low_ns;
		if (!says_nothing(signature, &piece, idle))
			gsh_cost_observe(&signature->cost, seen_ns);
		/* Siblings that have not launched such yet learn of it at once. */
		if (signature->cost.count <= SHOWN_AT_ONCE) {
			gsh_meter_show_cost(signature, now_ns);
			again = seen_ns > 2 * bracket->cost_ns;
		}
	}
	/* Where the stream had run empty the time is the program's own pause. */
	if (!idle)
		suspect(meter, bracket, &piece);
	used_ns = gsh_account_charge(&context->account, &piece);
	used_ns = shared_ns(context, &piece, used_ns);
	settle(row, context->row, bracket, used_ns, now_ns);
	stream->last_end_ns = piece.end_ns;
	context->completed_ns = now_ns;
	context->errors = 0;
	leave_flight(row, context->row, bracket);
	adjust_window(row, charged(bracket), used_ns);
	if (bracket->unknown)
		adjust_daring(row, seen_ns);
	gsh_store_relaxed(&row->samples, row->samples + 1);
	gsh_store_relaxed(&row->completions, row->completions + 1);
	gsh_store_relaxed(&row->crowd_passes, 0);
	gsh_store_relaxed(&use_of(context->row)->completions, row->completions);
	release(meter, context, gsh_meter_pop(meter, stream));
	if (again)
		charge_again(meter, signature);
	return true;
}

/* ---- given up ---- */

/* As if it had taken what was predicted. */
static void give_up_first(struct gsh_meter *meter, struct gsh_meter_context *context,
			  struct gsh_stream *stream, uint64_t now_ns)
{
	struct gsh_bracket *bracket = &meter->brackets[stream->first];
	struct gsh_meter_row *row = &meter->rows[context->row];

	settle(row, context->row, bracket, charged(bracket), now_ns);
	leave_flight(row, context->row, bracket);
	gsh_store_relaxed(&row->lost, row->lost + 1);
	release(meter, context, gsh_meter_pop(meter, stream));
}

void gsh_meter_drop(struct gsh_meter *meter, struct gsh_stream *stream)
{
	uint64_t now_ns = gsh_clock_now_ns();

	while (stream->first != GSH_METER_NONE)
		give_up_first(meter, &meter->contexts[stream->context], stream, now_ns);
}

static bool will_never_complete(const struct gsh_meter_context *context,
				const struct gsh_bracket *bracket, uint64_t now_ns)
{
	uint64_t patience_ns = NEVER_NS + 16 * bracket->cost_ns;

	return now_ns > bracket->launched_ns + patience_ns &&
	       now_ns > context->completed_ns + patience_ns;
}

/* ---- collecting ---- */

/* Each for itself: those behind it may be as long, and are not to be many. */
static void know_as_long(struct gsh_meter *meter, struct gsh_stream *stream,
			 uint64_t now_ns)
{
	int number = meter->contexts[stream->context].row;
	uint16_t at = stream->first;

	for (; at != GSH_METER_NONE; at = meter->brackets[at].next) {
		struct gsh_bracket *bracket = &meter->brackets[at];

		/* Those behind it are younger. */
		if (now_ns < bracket->launched_ns + LONG_NS)
			return;
		if (bracket->unknown)
			count_unknown(&meter->rows[number], number, 0, 1);
		bracket->unknown = false;
	}
}

/* 0, or what the driver says of the context. */
static CUresult collect_stream(struct gsh_meter *meter, struct gsh_stream *stream,
			       uint64_t now_ns)
{
	struct gsh_meter_context *context = &meter->contexts[stream->context];
	CUresult res;

	while (stream->first != GSH_METER_NONE) {
		const struct gsh_bracket *bracket = &meter->brackets[stream->first];

		res = gsh_driver.cuEventQuery(bracket->end);
		if (res == CUDA_ERROR_NOT_READY) {
			know_as_long(meter, stream, now_ns);
			/* What has begun is only long. */
			if (!will_never_complete(context, bracket, now_ns) ||
			    gsh_driver.cuEventQuery(bracket->begin) == CUDA_SUCCESS)
				return CUDA_SUCCESS;
			give_up_first(meter, context, stream, now_ns);
		} else if (res != CUDA_SUCCESS) {
			return res;
		} else if (!complete(meter, context, stream, now_ns)) {
			context->blind = true;
			give_up_first(meter, context, stream, now_ns);
		}
	}
	return CUDA_SUCCESS;
}

static void collect_context(struct gsh_meter *meter, uint32_t number, uint64_t now_ns)
{
	struct gsh_meter_context *context = &meter->contexts[number];
	uint16_t at = meter->active, next;

	for (; at != GSH_METER_NONE; at = next) {
		struct gsh_stream *stream = &meter->streams[at];

		next = stream->next_active;
		if (stream->context != number)
			continue;
		if (collect_stream(meter, stream, now_ns) == CUDA_SUCCESS)
			continue;
		/* A sticky error, or the driver has shut down; or it will be better soon. */
		context->broken = ++context->errors >= ERRORS_MAX;
		gsh_meter_drop(meter, stream);
	}
}

static bool has_active(const struct gsh_meter *meter, uint32_t number)
{
	uint16_t at = meter->active;

	while (at != GSH_METER_NONE && meter->streams[at].context != number)
		at = meter->streams[at].next_active;
	return at != GSH_METER_NONE;
}

static void collect_all(struct gsh_meter *meter, uint64_t now_ns)
{
	for (uint32_t i = 0; i < GSH_METER_CONTEXTS; i++) {
		CUcontext popped,
			handle = (CUcontext)(uintptr_t)meter->contexts[i].handle;

		if (!handle || !has_active(meter, i))
			continue;
		if (gsh_driver.cuCtxPushCurrent_v2(handle) != CUDA_SUCCESS) {
			meter->contexts[i].errors = ERRORS_MAX;
			collect_context(meter, i, now_ns);
			continue;
		}
		collect_context(meter, i, now_ns);
		gsh_driver.cuCtxPopCurrent_v2(&popped);
	}
}

/*
 * Devices, a bit each, at whose gates somebody may wait for what has just completed: threads of
 * this process for room, siblings for credit that has come back. Under the lock.
 */
static uint32_t whom_to_wake(struct gsh_meter *meter)
{
	uint32_t rows = 0;

	for (uint32_t i = 0; i < GPUSHIM_DEVICES_MAX; i++) {
		struct gsh_meter_row *row = &meter->rows[i];
		bool own = gsh_load_relaxed(&row->waiters) > 0;

		if (own)
			gsh_add_acq_rel(
				&gsh_ledger_bucket(&gsh_process->tenant.ledger, i)->bell,
				1);
		rows |= (uint32_t)(own || row->rung) << i;
		row->rung = false;
	}
	return rows;
}

static void wake(uint32_t rows)
{
	for (uint32_t i = 0; rows >> i; i++) {
		struct gpushim_ledger_bucket *bucket;

		if (!(rows >> i & 1))
			continue;
		bucket = gsh_ledger_bucket(&gsh_process->tenant.ledger, i);
		syscall(SYS_futex, &bucket->bell, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
	}
}

/* For the progress rule: what has been in flight for longest on each device. */
static void show_oldest(const struct gsh_meter *meter)
{
	uint64_t oldest_ns[GPUSHIM_DEVICES_MAX] = { 0 };

	for (uint16_t at = meter->active; at != GSH_METER_NONE;
	     at = meter->streams[at].next_active) {
		const struct gsh_stream *stream = &meter->streams[at];
		uint64_t ns = meter->brackets[stream->first].launched_ns;
		uint64_t *row = &oldest_ns[meter->contexts[stream->context].row];

		if (!*row || ns < *row)
			*row = ns;
	}
	for (int i = 0; i < (int)GPUSHIM_DEVICES_MAX; i++)
		if (meter->rows[i].used)
			gsh_store_relaxed(&use_of(i)->oldest_ns, oldest_ns[i]);
}

/* Under the lock, which it gives up. */
static bool collect(struct gsh_meter *meter, uint32_t context)
{
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
	bool relaxed = gsh_driver.call_cuThreadExchangeStreamCaptureMode != NULL;
	uint64_t now_ns = gsh_clock_now_ns();
	int saved = errno;
	uint32_t before, rows = 0;
	bool left;

	if (relaxed)
		gsh_driver.call_cuThreadExchangeStreamCaptureMode(&mode);
	before = meter->in_flight;
	if (context == GSH_METER_NONE)
		collect_all(meter, now_ns);
	else
		collect_context(meter, context, now_ns);
	left = meter->in_flight > 0;
	if (meter->in_flight != before)
		rows = whom_to_wake(meter);
	if (meter->in_flight != before || context == GSH_METER_NONE)
		show_oldest(meter);
	gsh_unlock(&meter->lock);
	if (relaxed)
		gsh_driver.call_cuThreadExchangeStreamCaptureMode(&mode);
	wake(rows);
	errno = saved;
	return left;
}

bool gsh_meter_collect(struct gsh_meter *meter, uint32_t context)
{
	gsh_lock(&meter->lock);
	return collect(meter, context);
}

void gsh_meter_collect_if_free(struct gsh_meter *meter, uint32_t context)
{
	if (gsh_try_lock(&meter->lock))
		collect(meter, context);
}
