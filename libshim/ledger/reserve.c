/*
 * reserve.c - charging and refunding one process' slot.
 *
 * Knows how long to insist before a request is refused, and what is counted beside the
 * charge. The protocol itself is in policy/quota.c; who is dead is in reap.c.
 *
 * The way without neighbours makes no system call, reads no clock and takes no lock.
 */
#include "ledger/slots.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"

enum {
	PAUSES = 4,  /* rests on the processor, each twice as long as the last */
	YIELDS = 16, /* rests in which another thread may run */
	LOOKS = 64, /* for the dead, while it would fit each time, and is refused again */
	REST_NS = 50000,
	REST_MAX_NS = 1000000,
	CLEARING_NS =
		10000000, /* a slot is cleared in a microsecond, if the clearer runs */
};

struct request {
	struct gsh_ledger *ledger;
	struct gsh_quota quota;
	uint32_t device;
	uint64_t bytes, limit_bytes;
	uint32_t rests, looks;
	uint64_t clearing_since_ns; /* others are; 0: not seen yet */
};

static struct gsh_quota quota_of(const struct gsh_ledger *ledger, uint32_t device)
{
	return (struct gsh_quota){ .cells = gsh_ledger_cell(ledger, device, 0),
				   .cells_used = &ledger->header->slots_used };
}

/* Somebody stands in the way, for nanoseconds if he runs. Not all rest for the same time. */
static void rest(struct request *request)
{
	uint32_t n = request->rests++;
	uint64_t ns = REST_NS;

	if (n < PAUSES) {
		for (uint32_t i = 0; i < 16u << n; i++)
			gsh_pause();
	} else if (n < PAUSES + YIELDS) {
		syscall(SYS_sched_yield);
	} else {
		ns += (uint64_t)(n - PAUSES - YIELDS) * REST_NS / 4;
		if (ns > REST_MAX_NS)
			ns = REST_MAX_NS;
		gsh_clock_sleep_ns(ns + (request->ledger->slot * 7919u + n * 31u) % 64u *
						(REST_NS / 64));
	}
}

static bool fits(const struct request *request)
{
	uint64_t used_bytes = gsh_quota_used(&request->quota);

	return request->bytes <= request->limit_bytes &&
	       used_bytes <= request->limit_bytes - request->bytes;
}

/*
 * The quota says no. True if it is worth asking again: dead processes were counted, or are
 * just being cleared by somebody, or there is room meanwhile. Looks at every slot that
 * holds something, each time: a refusal counts only the living.
 */
static bool makes_room(struct request *request)
{
	struct gsh_reaped reaped = gsh_reap(request->ledger, request->device);
	uint64_t now_ns;

	if (reaped.slots > 0 || reaped.withdrew)
		return true;
	if (reaped.others_clear) {
		now_ns = gsh_clock_now_ns();
		if (request->clearing_since_ns == 0)
			request->clearing_since_ns = now_ns;
		if (now_ns - request->clearing_since_ns < CLEARING_NS) {
			rest(request);
			return true;
		}
	}
	if (!fits(request) || ++request->looks >= LOOKS)
		return false;
	rest(request);
	return true;
}

/* What follows a first attempt that was not granted. Keeps errno. */
static int insist(struct request *request, enum gsh_quota_verdict verdict,
		  struct gsh_quota_try *attempt)
{
	bool waited = false;
	int saved = errno;

	while (verdict == GSH_QUOTA_AGAIN || makes_room(request)) {
		if (verdict == GSH_QUOTA_AGAIN) {
			waited = true;
			rest(request);
			/* What somebody had begun when he died is not waited for. */
			if (request->rests % (PAUSES + YIELDS) == 0)
				gsh_reap(request->ledger, request->device);
		}
		verdict = gsh_quota_reserve(&request->quota, request->ledger->slot,
					    request->bytes, request->limit_bytes,
					    gsh_clock_now_ns(), attempt);
		if (verdict == GSH_QUOTA_GRANTED)
			break;
	}
	if (waited)
		gsh_add_relaxed(&request->ledger->own->reserve_waits, 1);
	errno = saved;
	return verdict == GSH_QUOTA_GRANTED ? 0 : -ENOMEM;
}

/* After `charged` has grown; used_bytes: charges of all seen then, this one included. */
static void count(struct gsh_ledger *ledger, uint32_t device, enum gpushim_kind kind,
		  uint64_t bytes, uint64_t used_bytes)
{
	struct gpushim_ledger_cell *cell = gsh_ledger_cell(ledger, device, ledger->slot);

	/* Linear memory is what the other kinds leave of the charge: threads that allocate
	 * at the same time share one cache line less. */
	if (kind != GPUSHIM_KIND_LINEAR)
		gsh_add_relaxed(&cell->kind_bytes[kind], bytes);
	gsh_raise_relaxed(&cell->peak_bytes, gsh_load_relaxed(&cell->charged));
	gsh_raise_relaxed(&ledger->header->devices[device].peak_bytes, used_bytes);
}

int gsh_ledger_reserve(struct gsh_ledger *ledger, uint32_t device, enum gpushim_kind kind,
		       uint64_t bytes, uint64_t limit_bytes)
{
	struct gsh_quota_try attempt = { 0 };
	struct request request = { .ledger = ledger,
				   .quota = quota_of(ledger, device),
				   .device = device,
				   .bytes = bytes,
				   .limit_bytes = limit_bytes };
	enum gsh_quota_verdict verdict;

	verdict = gsh_quota_reserve(&request.quota, ledger->slot, bytes, limit_bytes, 0,
				    &attempt);
	if (gsh_unlikely(verdict != GSH_QUOTA_GRANTED) &&
	    insist(&request, verdict, &attempt) < 0)
		return -ENOMEM;
	count(ledger, device, kind, bytes, attempt.used_bytes);
	return 0;
}

void gsh_ledger_force(struct gsh_ledger *ledger, uint32_t device, enum gpushim_kind kind,
		      uint64_t bytes)
{
	struct gsh_quota quota = quota_of(ledger, device);

	gsh_quota_force(&quota, ledger->slot, bytes);
	count(ledger, device, kind, bytes, gsh_quota_used(&quota));
}

/* *value -= bytes, but not below zero. */
static void lower(uint64_t *value, uint64_t bytes)
{
	uint64_t seen = gsh_load_relaxed(value);

	while (!gsh_cas_relaxed(value, &seen, seen > bytes ? seen - bytes : 0))
		;
}

void gsh_ledger_refund(struct gsh_ledger *ledger, uint32_t device, enum gpushim_kind kind,
		       uint64_t bytes)
{
	struct gsh_quota quota = quota_of(ledger, device);

	if (kind != GPUSHIM_KIND_LINEAR)
		lower(&gsh_ledger_cell(ledger, device, ledger->slot)->kind_bytes[kind],
		      bytes);
	gsh_quota_refund(&quota, ledger->slot, bytes);
}

uint64_t gsh_ledger_used(const struct gsh_ledger *ledger, uint32_t device)
{
	struct gsh_quota quota = quota_of(ledger, device);

	return gsh_quota_used(&quota);
}

void gsh_ledger_denied(struct gsh_ledger *ledger, uint64_t bytes)
{
	struct gpushim_ledger_slot *own = ledger->own;

	gsh_add_relaxed(&own->denials, 1);
	gsh_add_relaxed(&own->denied_bytes, bytes);
	gsh_store_relaxed(&own->last_denied_bytes, bytes);
	gsh_store_relaxed(&own->last_denied_unix_ns, gsh_clock_unix_ns());
}

void gsh_ledger_export(struct gsh_ledger *ledger, uint32_t device, int64_t bytes)
{
	uint64_t *exported =
		&gsh_ledger_cell(ledger, device, ledger->slot)->exported_bytes;

	if (bytes < 0)
		lower(exported, -(uint64_t)bytes);
	else
		gsh_add_relaxed(exported, (uint64_t)bytes);
}

void gsh_ledger_import(struct gsh_ledger *ledger, uint32_t device, int32_t count)
{
	uint64_t *imports = &gsh_ledger_cell(ledger, device, ledger->slot)->imports;

	if (count < 0)
		lower(imports, (uint64_t) - (int64_t)count);
	else
		/* Before the import: pairs with the loads of those who decide whether
		 * exported memory is still held. */
		gsh_add_seq_cst(imports, (uint64_t)count);
}
