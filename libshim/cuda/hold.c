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
#include "ledger/turn.h"
#include "policy/bucket.h"
#include "policy/progress.h"

/* What they are taken to last: one more passes after four times that. */
#define UNKNOWN_NS GSH_PROGRESS_NS
/* From the decision that a launch may go to where siblings can see it in flight, at most; the
 * driver may load its code in between. */
#define UNKNOWN_SEEN_NS UINT64_C(20000000)
/* From 100 to 400 ms: what never completes must not stop who does not depend on it. */
enum { CROWD_DOUBLINGS = 2 };
/* Longest sleep at the gate: limits change, and siblings settle. */
#define SLEEP_MAX_NS UINT64_C(5000000)
#define SLEEP_MIN_NS UINT64_C(50000)
/* Who waits for a turn rings again after that. */
#define ASK_AGAIN_NS UINT64_C(100000000)

/* What all processes of the tenant have in flight, and since when. */
struct work {
	uint64_t in_flight_ns, oldest_ns;
	uint64_t unknown_in_flight, unknown_done;
};

static struct work sum_work(const struct gsh_ledger *ledger, uint32_t row)
{
	struct work sum = { 0 };
	uint64_t oldest_ns;
	uint32_t slots = gsh_load_relaxed(&ledger->header->slots_used);

	for (uint32_t i = 0; i < slots && i < GPUSHIM_SLOTS_MAX; i++) {
		const struct gpushim_ledger_use *use = gsh_ledger_use(ledger, row, i);
		uint64_t ns = gsh_load_relaxed(&use->in_flight_ns);

		if (gsh_load_relaxed(&ledger->slots[i].state) != GPUSHIM_SLOT_LIVE)
			continue;
		/* Of idle ones too: that one comes and goes is not that one is done. */
		sum.unknown_done += gsh_load_relaxed(&use->unknown_done);
		if (!ns)
			continue;
		/* What a dead process had in flight will never be done. */
		if (i != ledger->slot && !gsh_ledger_slot_alive(ledger->fd, i))
			continue;
		sum.in_flight_ns += ns;
		oldest_ns = gsh_load_relaxed(&use->oldest_ns);
		if (!sum.oldest_ns || (oldest_ns && oldest_ns < sum.oldest_ns))
			sum.oldest_ns = oldest_ns;
		sum.unknown_in_flight += gsh_load_relaxed(&use->unknown_in_flight);
	}
	return sum;
}

static bool passes_by_progress(uint32_t row, uint64_t now_ns)
{
	const struct gsh_ledger *ledger = &gsh_process->tenant.ledger;
	struct work work = sum_work(ledger, row);

	return gsh_progress_passes(&gsh_ledger_bucket(ledger, row)->stalled, now_ns,
				   work.in_flight_ns > 0, work.oldest_ns,
				   work.in_flight_ns);
}

/*
 * Two launches that look at the same moment both see that nothing is in flight. So the last to
 * pass leaves its mark, and others wait until it can be seen there (gsh_meter_unmark()), or has
 * had the time for that.
 */
static bool passes_first(const struct gsh_ledger *ledger, uint32_t row, uint64_t now_ns)
{
	const uint64_t most = UNKNOWN_SEEN_NS >> 10;
	struct gpushim_ledger_bucket *bucket = gsh_ledger_bucket(ledger, row);
	uint64_t seen = gsh_load_relaxed(&bucket->unknown_passed);
	uint64_t mine = now_ns >> 10 << 9 | ledger->slot;
	uint64_t age = (mine >> 9) - (seen >> 9);

	/* A little ahead of now: who read the clock later. Further ahead: a scribble. */
	return age + most >= 2 * most &&
	       gsh_cas_acq_rel(&bucket->unknown_passed, &seen, mine);
}

/*
 * A launch of which nothing is known may take seconds, so the tenant has one of them in flight, or
 * a few where those before turned out to be short; what those wait for may be this one.
 */
static bool is_too_unknown(const struct gsh_admission *admission, uint64_t now_ns)
{
	const struct gsh_ledger *ledger = &gsh_process->tenant.ledger;
	uint32_t row = admission->row;
	struct work work = sum_work(ledger, row);
	bool full = work.unknown_in_flight >
		    gsh_load_relaxed(&gsh_process->meter->rows[row].daring) /
			    GSH_METER_SHORT_ONES;

	if (gsh_progress_passes(&gsh_ledger_bucket(ledger, row)->unknown_stalled, now_ns,
				full, work.unknown_done, UNKNOWN_NS))
		return false;
	if (full)
		return true;
	/* Those without a record are waited for, and never seen in flight. */
	return admission->found == GSH_FOUND_ROOM && !passes_first(ledger, row, now_ns);
}

/* Another process of the tenant waits here, or has work in flight. */
static bool has_siblings(const struct gsh_ledger *ledger, uint32_t row)
{
	uint32_t slots = gsh_load_relaxed(&ledger->header->slots_used);

	for (uint32_t i = 0; i < slots && i < GPUSHIM_SLOTS_MAX; i++) {
		const struct gpushim_ledger_use *use = gsh_ledger_use(ledger, row, i);

		/* What a dead process had in flight, or waited for, is nobody's turn. */
		if (i != ledger->slot &&
		    gsh_load_relaxed(&ledger->slots[i].state) == GPUSHIM_SLOT_LIVE &&
		    (gsh_load_relaxed(&use->in_flight_ns) ||
		     gsh_load_relaxed(&use->waiting_since_ns)) &&
		    gsh_ledger_slot_alive(ledger->fd, i))
			return true;
	}
	return false;
}

static void sleep_at(const uint32_t *word, uint32_t seen, uint64_t ns)
{
	struct timespec time;

	if (ns > SLEEP_MAX_NS)
		ns = SLEEP_MAX_NS;
	if (ns < SLEEP_MIN_NS)
		ns = SLEEP_MIN_NS;
	time.tv_sec = 0;
	time.tv_nsec = (long)ns;
	syscall(SYS_futex, word, FUTEX_WAIT, seen, &time, NULL, 0);
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
	uint64_t turn_ns = gsh_load_relaxed(&row->turn_window_ns);

	ns = ns > GSH_METER_WINDOW_MIN_NS ? ns : GSH_METER_WINDOW_MIN_NS;
	return turn_ns && turn_ns < ns ? turn_ns : ns;
}

/* Too much is in flight, as predicted. */
static bool is_crowded(const struct gsh_meter_row *row)
{
	return gsh_load_relaxed(&row->in_flight_ns) > gsh_hold_window_ns(row);
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

/* A launch that waits. */
struct wait {
	const struct gsh_admission *admission;
	struct gpushim_ledger_bucket *bucket;
	struct gpushim_ledger_use *use;
	struct gsh_meter_row *row;
	uint64_t cost_ns;
	uint64_t began_ns, now_ns; /* 0: it has not waited yet */
	uint64_t rest_ns;	   /* of the next sleep because of a crowd */
	uint64_t asked_ns;	   /* when the bell was rung last; 0: never */
	bool crowd;		   /* the last try failed because of others' work */
};

static bool is_unknown(const struct gsh_admission *admission)
{
	return gsh_load_relaxed(&admission->signature->cost.cost_class) ==
	       GPUSHIM_COST_UNKNOWN;
}

/* Whether to sleep, and for how long, for others to complete first. */
static bool is_in_a_crowd(struct wait *wait, bool full, uint64_t *wait_ns)
{
	uint64_t waited_ns = wait->began_ns ? wait->now_ns - wait->began_ns : 0;
	uint64_t most_ns;

	if (full && (!wait->began_ns || waited_ns < crowd_patience_ns(wait->row)))
		full = true;
	else
		full = is_unknown(wait->admission) &&
		       is_too_unknown(wait->admission, wait->now_ns);
	if (!full)
		return false;
	*wait_ns = wait->rest_ns;
	wait->rest_ns *= 2;
	/* The device is not to run empty meanwhile. */
	most_ns = gsh_hold_window_ns(wait->row) / 4;
	if (most_ns > SLEEP_MAX_NS / 4)
		most_ns = SLEEP_MAX_NS / 4;
	if (wait->rest_ns > most_ns)
		wait->rest_ns = most_ns;
	return true;
}

/* By credit. True: it is paid for. */
static bool pays(struct wait *wait, struct gsh_bucket_terms *terms, uint64_t *wait_ns)
{
	const struct gsh_ledger *ledger = &gsh_process->tenant.ledger;
	bool full = is_crowded(wait->row), crowd;

	if (wait->began_ns)
		terms->need_ns = gsh_bucket_need_ns(
			terms, wait->now_ns - wait->began_ns,
			has_siblings(ledger, wait->admission->row));
	/* Who could not pay anyway has no say in who goes first. */
	crowd = gsh_bucket_level(wait->bucket, terms, wait->now_ns) >
			(int64_t)terms->need_ns &&
		is_in_a_crowd(wait, full, wait_ns);
	wait->crowd = crowd;
	if (crowd ||
	    !gsh_bucket_take(wait->bucket, terms, wait->now_ns, wait->cost_ns, wait_ns))
		return false;
	/* Out of patience: let through for the same reason as by the rule. */
	gsh_add_relaxed(&wait->row->crowd_passes, (uint32_t)full);
	gsh_add_relaxed(&wait->row->released, (uint64_t)full);
	return true;
}

/* In its turn: little is in flight, so that the next one need not wait for long. */
static bool has_room(struct wait *wait, uint64_t *wait_ns)
{
	bool full = is_crowded(wait->row);

	wait->crowd = is_in_a_crowd(wait, full, wait_ns);
	if (wait->crowd)
		return false;
	gsh_add_relaxed(&wait->row->crowd_passes, (uint32_t)full);
	gsh_add_relaxed(&wait->row->released, (uint64_t)full);
	return true;
}

/* The agent hears that the tenant wants the device, and again in case it did not. */
static void ask_for_turn(struct wait *wait)
{
	if (wait->asked_ns && wait->now_ns - wait->asked_ns < ASK_AGAIN_NS)
		return;
	wait->asked_ns = wait->now_ns;
	gsh_turn_ring(&gsh_process->tenant);
}

/* One try. *paid: credit was taken. */
static bool passes(struct wait *wait, struct gsh_tenant_time *time,
		   const struct gsh_turn *turn, bool *paid, uint64_t *wait_ns)
{
	if (turn->state == GPUSHIM_TURN_WAIT) {
		*wait_ns = SLEEP_MAX_NS;
		wait->crowd = false;
	} else if (turn->state == GPUSHIM_TURN_MINE) {
		if (has_room(wait, wait_ns))
			return true;
	} else if (!time->capped) {
		return true;
	} else if (pays(wait, &time->terms, wait_ns)) {
		*paid = true;
		return true;
	}
	if (wait->crowd || !wait->began_ns ||
	    !passes_by_progress(wait->admission->row, wait->now_ns))
		return false;
	gsh_store_relaxed(&wait->bucket->released, (uint32_t)(wait->now_ns >> 20));
	gsh_add_relaxed(&wait->row->released, 1);
	*paid = time->capped && turn->state != GPUSHIM_TURN_MINE;
	if (*paid)
		gsh_bucket_settle(wait->bucket, &time->terms, -(int64_t)wait->cost_ns);
	return true;
}

/* What is drawn now counts until the turn changes. */
static void note_turn(const struct gsh_admission *admission, struct gsh_meter_row *row,
		      const struct gsh_turn *turn)
{
	gsh_store_relaxed(&row->turn, (uint32_t)turn->state);
	gsh_store_relaxed(&row->turn_window_ns,
			  turn->state == GPUSHIM_TURN_MINE ? turn->window_ns : 0);
	if (!admission->lane)
		return;
	admission->lane->turn_word = turn->word;
	admission->lane->turn_seen = turn->seen;
}

CUresult gsh_hold_pay(const struct gsh_admission *admission, uint64_t *cost_ns,
		      uint64_t extra_ns, bool *paid)
{
	struct gsh_meter *meter = admission->meter;
	struct gsh_tenant *tenant = &gsh_process->tenant;
	uint32_t row = admission->row, bell;
	struct wait wait = {
		.admission = admission,
		.bucket = gsh_ledger_bucket(&tenant->ledger, row),
		.use = gsh_ledger_use(&tenant->ledger, row, tenant->ledger.slot),
		.row = &meter->rows[row],
		.rest_ns = SLEEP_MIN_NS,
	};
	struct gsh_tenant_time time;
	struct gsh_turn turn;
	uint64_t wait_ns;

	*paid = false;
	for (;;) {
		/* Before the bucket is looked at: who rings meanwhile is heard. */
		bell = gsh_load_acquire(&wait.bucket->bell);
		gsh_tenant_time(tenant, (int)row, &time);
		show_terms(wait.bucket, &time);
		if (time.closed)
			break;
		wait.now_ns = gsh_clock_now_ns();
		gsh_turn_look(tenant, (int)row, wait.now_ns, &turn);
		note_turn(admission, wait.row, &turn);
		wait.cost_ns = gsh_scaled(*cost_ns + extra_ns, admission->scale_permille);
		if (!time.enforced) {
			*paid = time.capped &&
				gsh_bucket_take(wait.bucket, &time.terms, wait.now_ns,
						wait.cost_ns, &wait_ns);
			break;
		}
		if (passes(&wait, &time, &turn, paid, &wait_ns))
			break;
		if (!wait.began_ns) {
			wait.began_ns = wait.now_ns;
			begin_waiting(wait.row, wait.use, wait.now_ns);
		}
		gsh_watch_wake(meter);
		if (turn.state == GPUSHIM_TURN_WAIT) {
			ask_for_turn(&wait);
			sleep_at(turn.word, turn.seen, wait_ns);
		} else {
			sleep_at(&wait.bucket->bell, bell, wait_ns);
		}
		gsh_meter_collect(meter, admission->current);
		if (!extra_ns)
			*cost_ns = gsh_admit_predict(admission);
	}
	if (wait.began_ns)
		end_waiting(wait.row, wait.use, wait.began_ns);
	return time.closed ? CUDA_ERROR_NOT_PERMITTED : CUDA_SUCCESS;
}

void gsh_hold_settle(uint32_t row, int64_t give_ns)
{
	struct gsh_tenant *tenant = &gsh_process->tenant;
	struct gpushim_ledger_bucket *bucket = gsh_ledger_bucket(&tenant->ledger, row);
	struct gsh_tenant_time time;

	gsh_tenant_time(tenant, (int)row, &time);
	if (time.capped && gsh_bucket_settle(bucket, &time.terms, give_ns))
		syscall(SYS_futex, &bucket->bell, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}
