/*
 * quota.c - reserving, refusing and giving back, one atomic access after another.
 *
 * Knows the cells of one device and nothing else: no file, no process, no clock.
 * All accesses that the guarantees rest on are sequentially consistent, so that arguments
 * may speak of instants. On x86-64 that costs nothing here: loads are plain, and every
 * change is a read-modify-write in any case.
 *
 * Never over. Of the reservations that stand at some moment, take the one whose `pending`
 * was added last. When it summed, each of the others was visible: still in `pending`, which
 * it reads first, or in `charged`, where it is put before it leaves `pending`. A cell that
 * it did not look at was not in use when `cells_used` was read, hence added later.
 *
 * Never refused wrongly: see charged_at_least().
 */
#include "policy/quota.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/atomic.h"

/*
 * What one look at a stall can account for at most. When everybody is stopped together (a
 * suspended job, a frozen container) and goes on, the clock has gone further than anybody
 * could have come: only the waiter's own looks say that time was there to be used.
 */
#define LOOK_US ((uint32_t)(GSH_QUOTA_PATIENCE_NS / 1000 / 32))
#define PATIENCE_US ((uint32_t)(GSH_QUOTA_PATIENCE_NS / 1000))

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static uint32_t cells_in_use(const struct gsh_quota *quota)
{
	uint32_t count = gsh_load_seq_cst(quota->cells_used);

	/* The file is writable by every process of the tenant. */
	return count < GPUSHIM_SLOTS_MAX ? count : GPUSHIM_SLOTS_MAX;
}

uint64_t gsh_quota_used(const struct gsh_quota *quota)
{
	uint32_t count = cells_in_use(quota);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < count; i++)
		sum = add_saturated(sum, gsh_load_seq_cst(&quota->cells[i].charged));
	return sum;
}

/* At least what was charged or pending when it was called; both for who is in between. */
static uint64_t claimed_at_most(const struct gsh_quota *quota, uint64_t *charged_bytes)
{
	uint32_t count = cells_in_use(quota);
	uint64_t pending = 0, charged = 0;

	for (uint32_t i = 0; i < count; i++)
		pending = add_saturated(pending,
					gsh_load_seq_cst(&quota->cells[i].pending));
	for (uint32_t i = 0; i < count; i++)
		charged = add_saturated(charged,
					gsh_load_seq_cst(&quota->cells[i].charged));
	*charged_bytes = charged;
	return add_saturated(pending, charged);
}

/* From pending to charged: in this order, so that it is visible all the time. */
static void charge(struct gpushim_ledger_cell *cell, uint64_t bytes)
{
	gsh_add_seq_cst(&cell->charged, bytes);
	gsh_add_seq_cst(&cell->sequence, 1);
	gsh_sub_seq_cst(&cell->pending, bytes);
}

/* Something of this cell came to an end whenever this changes. */
static uint32_t moves_of(struct gpushim_ledger_cell *cell)
{
	return (uint32_t)(gsh_load_seq_cst(&cell->sequence) +
			  gsh_load_seq_cst(&cell->withdrawals));
}

/* What is known of a cell that stands in the way, or NULL. */
static const struct gsh_quota_stall *stall_of(const struct gsh_quota_try *attempt,
					      uint32_t cell)
{
	for (int i = 0; i < GSH_QUOTA_STALLS_MAX; i++)
		if (attempt->stalls[i].number == cell + 1)
			return &attempt->stalls[i];
	return NULL;
}

static bool is_stuck(const struct gsh_quota_stall *stall)
{
	return stall && stall->waited_us >= PATIENCE_US;
}

/* Time since the last look, as far as it counts. */
static uint32_t awake_us(struct gsh_quota_try *attempt, uint64_t now_ns)
{
	uint64_t us = 0;

	if (attempt->looked_ns > 0 && now_ns > attempt->looked_ns)
		us = (now_ns - attempt->looked_ns) / 1000;
	if (attempt->looked_ns == 0 || us > LOOK_US)
		attempt->looked_ns = now_ns;
	else
		attempt->looked_ns += us * 1000; /* the rest counts next time */
	return us < LOOK_US ? (uint32_t)us : LOOK_US;
}

/* Forgets those who moved, and lets the others age. Returns how many are stuck. */
static int age_stalls(const struct gsh_quota *quota, uint32_t us,
		      struct gsh_quota_try *attempt)
{
	int stuck = 0;

	for (int i = 0; i < GSH_QUOTA_STALLS_MAX; i++) {
		struct gsh_quota_stall *stall = &attempt->stalls[i];
		struct gpushim_ledger_cell *cell;

		if (stall->number == 0)
			continue;
		cell = &quota->cells[stall->number - 1];
		if (gsh_load_seq_cst(&cell->pending) == 0 ||
		    moves_of(cell) != stall->moves) {
			stall->number = 0;
			continue;
		}
		if (!is_stuck(stall))
			stall->waited_us += us;
		stuck += is_stuck(stall);
	}
	return stuck;
}

/*
 * Follows those who stand in the way. Who moves is forgotten, so that whoever does not
 * move finds a place in the table sooner or later. True if all places are taken by stuck
 * ones: then nobody's pending is waited for.
 */
static bool track_stalls(const struct gsh_quota *quota, uint64_t now_ns,
			 struct gsh_quota_try *attempt)
{
	uint32_t count = cells_in_use(quota), place = 0;
	int stuck;

	if (now_ns == 0)
		return false;
	stuck = age_stalls(quota, awake_us(attempt, now_ns), attempt);
	/* From another cell each time: with many in the way, each gets its turn. */
	for (uint32_t n = 0; n < count; n++) {
		uint32_t i = (attempt->calls + n) % count;
		uint32_t moves = moves_of(&quota->cells[i]);

		while (place < GSH_QUOTA_STALLS_MAX && attempt->stalls[place].number > 0)
			place++;
		if (place == GSH_QUOTA_STALLS_MAX)
			break;
		if (gsh_load_seq_cst(&quota->cells[i].pending) > 0 &&
		    !stall_of(attempt, i))
			attempt->stalls[place] = (struct gsh_quota_stall){
				.number = i + 1,
				.moves = moves,
			};
	}
	return stuck == GSH_QUOTA_STALLS_MAX;
}

/*
 * No more than what was charged at the instant between the two passes.
 *
 * Of a cell that was charged between the two passes, `sequence` has moved on, or will do
 * so before the bytes leave `pending`: so if it stands still, at most `pending` of what
 * is read as charged came after the instant, and what was refunded meanwhile only makes
 * it less. The caller has nothing pending himself.
 *
 * A stuck cell counts with its pending on top; with none_trusted all cells do.
 */
static uint64_t charged_at_least(const struct gsh_quota *quota,
				 const struct gsh_quota_try *attempt, bool none_trusted)
{
	uint32_t sequences[GPUSHIM_SLOTS_MAX]; /* low bits */
	uint32_t count = cells_in_use(quota);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < count; i++)
		sequences[i] = (uint32_t)gsh_load_seq_cst(&quota->cells[i].sequence);
	for (uint32_t i = 0; i < count; i++) {
		struct gpushim_ledger_cell *cell = &quota->cells[i];
		uint64_t charged = gsh_load_seq_cst(&cell->charged);
		uint64_t pending = gsh_load_seq_cst(&cell->pending);
		const struct gsh_quota_stall *stall = stall_of(attempt, i);

		if ((uint32_t)gsh_load_seq_cst(&cell->sequence) != sequences[i])
			continue;
		if (none_trusted || (is_stuck(stall) && moves_of(cell) == stall->moves))
			sum = add_saturated(sum, add_saturated(charged, pending));
		else if (charged > pending)
			sum = add_saturated(sum, charged - pending);
	}
	return sum;
}

/* Denied or again, after it did not fit. Not inlined: half a page of stack. */
__attribute__((noinline)) static enum gsh_quota_verdict judge(
	const struct gsh_quota *quota, uint64_t bytes, uint64_t limit_bytes,
	uint64_t now_ns, struct gsh_quota_try *attempt)
{
	bool none_trusted = track_stalls(quota, now_ns, attempt);
	uint64_t charged = charged_at_least(quota, attempt, none_trusted);

	if (charged > limit_bytes - bytes)
		return GSH_QUOTA_DENIED;
	return GSH_QUOTA_AGAIN;
}

enum gsh_quota_verdict gsh_quota_reserve(const struct gsh_quota *quota, uint32_t own,
					 uint64_t bytes, uint64_t limit_bytes,
					 uint64_t now_ns, struct gsh_quota_try *attempt)
{
	struct gpushim_ledger_cell *cell = &quota->cells[own];
	/* UINT64_MAX is what sums that overflow come to. */
	uint64_t limit = limit_bytes < UINT64_MAX ? limit_bytes : UINT64_MAX - 1;

	attempt->calls++;
	if (bytes == 0)
		return GSH_QUOTA_GRANTED;
	if (bytes > limit || bytes > GSH_QUOTA_REQUEST_MAX) {
		attempt->used_bytes = gsh_quota_used(quota);
		return GSH_QUOTA_DENIED;
	}
	/*
	 * Who was in others' way once looks before he adds again: several that do not fit
	 * would otherwise keep each other, and those who do, from seeing that nobody is there.
	 */
	if (attempt->calls > 1 &&
	    add_saturated(claimed_at_most(quota, &attempt->used_bytes), bytes) > limit)
		return judge(quota, bytes, limit, now_ns, attempt);

	gsh_add_seq_cst(&cell->pending, bytes);
	if (gsh_likely(claimed_at_most(quota, &attempt->used_bytes) <= limit)) {
		charge(cell, bytes);
		attempt->used_bytes += bytes;
		return GSH_QUOTA_GRANTED;
	}
	gsh_sub_seq_cst(&cell->pending, bytes);
	gsh_add_seq_cst(&cell->withdrawals, 1);
	return judge(quota, bytes, limit, now_ns, attempt);
}

void gsh_quota_force(const struct gsh_quota *quota, uint32_t own, uint64_t bytes)
{
	struct gpushim_ledger_cell *cell = &quota->cells[own];

	gsh_add_seq_cst(&cell->pending, bytes);
	charge(cell, bytes);
}

uint64_t gsh_quota_refund(const struct gsh_quota *quota, uint32_t own, uint64_t bytes)
{
	uint64_t *charged = &quota->cells[own].charged;
	/*
	 * Releases what was done to the memory before to whoever is granted these bytes and
	 * sees them gone in claimed_at_most().
	 */
	uint64_t seen = gsh_sub_seq_cst(charged, bytes);

	if (gsh_likely(seen >= bytes))
		return 0;
	/* Somebody has falsified the cell. Until now it was counted as full. */
	gsh_add_seq_cst(charged, bytes - seen);
	return bytes - seen;
}
