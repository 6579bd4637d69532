/*
 * hold.c - waiting at the gate.
 *
 * Knows why a launch waits and who wakes it. Refuses to know what it costs (admit.c) and
 * what a share is (policy/bucket.h).
 */
#include "cuda/hold.h"

#include <errno.h>
#include <linux/futex.h>
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
/* From 100 to 400 ms: what never completes must not stop who does not depend on it. */
enum { CROWD_DOUBLINGS = 2 };
/* Longest sleep at the gate: limits change, and siblings settle. */
#define SLEEP_MAX_NS UINT64_C(5000000)
#define SLEEP_MIN_NS UINT64_C(50000)

/* What all processes of the tenant have in flight, and how much they have completed. */
static void sum_work(const struct gsh_ledger *ledger, uint32_t row,
		     uint64_t *in_flight_ns, uint64_t *completions)
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

uint64_t gsh_hold_window_ns(const struct gsh_meter_row *row)
{
	uint64_t ns = gsh_load_relaxed(&row->window_ns);

	return ns > GSH_METER_WINDOW_MIN_NS ? ns : GSH_METER_WINDOW_MIN_NS;
}

/* Too much is in flight, as predicted, or too much of which nothing is known. */
static bool is_crowded(const struct gsh_meter_row *row, bool unknown)
{
	return gsh_load_relaxed(&row->in_flight_ns) > gsh_hold_window_ns(row) ||
	       (unknown && gsh_load_relaxed(&row->unknown) >= UNKNOWN_MAX);
}

/*
 * How long a launch waits because too much is in flight: what is in flight may be waiting for
 * it, while other work completes and so keeps the progress rule from applying. Longer each
 * time, as with that rule, while nothing completes.
 */
static uint64_t crowd_patience_ns(const struct gsh_meter_row *row)
{
	uint64_t ns = 4 * gsh_load_relaxed(&row->in_flight_ns);
	uint32_t passes = gsh_load_relaxed(&row->crowd_passes);

	ns = ns > GSH_PROGRESS_NS ? ns : GSH_PROGRESS_NS;
	/* What is in flight itself may be long. */
	if (ns >= GSH_PROGRESS_MAX_NS)
		return ns;
	ns <<= passes < CROWD_DOUBLINGS ? passes : CROWD_DOUBLINGS;
	return ns < GSH_PROGRESS_MAX_NS ? ns : GSH_PROGRESS_MAX_NS;
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

CUresult gsh_hold_pay(const struct gsh_admission *admission, uint64_t cost_ns, bool *paid)
{
	struct gsh_meter *meter = admission->meter;
	struct gsh_tenant *tenant = &gsh_process->tenant;
	struct gpushim_ledger_bucket *bucket = gsh_ledger_bucket(&tenant->ledger,
								 admission->row);
	struct gpushim_ledger_use *use = gsh_ledger_use(&tenant->ledger, admission->row,
							tenant->ledger.slot);
	struct gsh_meter_row *row = &meter->rows[admission->row];
	bool unknown = admission->cost_class == GPUSHIM_COST_UNKNOWN;
	uint64_t began_ns = 0, rest_ns = SLEEP_MIN_NS, now_ns, wait_ns;
	struct gsh_tenant_time time;
	uint32_t bell;
	bool full, crowded;

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
		full = is_crowded(row, unknown);
		crowded = full &&
			  (!began_ns || now_ns - began_ns < crowd_patience_ns(row));
		if (crowded) {
			wait_ns = rest_ns;
			rest_ns *= 2;
			if (rest_ns > SLEEP_MAX_NS / 4)
				rest_ns = SLEEP_MAX_NS / 4;
		} else if (gsh_bucket_take(bucket, &time.terms, now_ns, cost_ns,
					   &wait_ns)) {
			/* Out of patience: let through for the same reason as by the rule. */
			gsh_add_relaxed(&row->crowd_passes, (uint32_t)full);
			gsh_add_relaxed(&row->released, (uint64_t)full);
			break;
		}
		*paid = false;
		if (!began_ns) {
			began_ns = now_ns;
			begin_waiting(row, use, now_ns);
		} else if (!crowded && passes_by_progress(admission->row, now_ns)) {
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
