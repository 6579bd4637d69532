/*
 * reader_time.c - what a ledger says of GPU time, made fit to be shown.
 *
 * Knows the fields of buckets, uses and rows of costs, and which of their values can be
 * true. Refuses to know files and clocks.
 */
#include "ledger/reader_time.h"

#include <string.h>

#include "ledger/reader_private.h"
#include "policy/bucket.h"

#define SECOND_NS UINT64_C(1000000000)
/* As much as a policy page can say, in milliseconds. */
#define BURST_MAX_NS (UINT32_MAX * UINT64_C(1000000))
/* Ratios beyond a thousand are no ratios of times of launches. */
#define RATIO_MAX_PERMILLE 1000000u

static uint64_t known(uint64_t value, uint64_t max)
{
	if (value == 0)
		return GPUSHIM_UNKNOWN;
	return value < max ? value : max;
}

/* Since then; not known if that is not in the past. */
static uint64_t age(uint64_t then_ns, uint64_t now_ns)
{
	return then_ns <= now_ns ? now_ns - then_ns : GPUSHIM_UNKNOWN;
}

/* ---- buckets ---- */

static int64_t level(const struct gpushim_device *device,
		     const struct gpushim_ledger_bucket *bucket, uint64_t now_ns)
{
	struct gsh_bucket_terms terms;

	if (bucket->refilled_ns == 0 || device->rate_permille == GPUSHIM_UNKNOWN ||
	    device->burst_ns == GPUSHIM_UNKNOWN)
		return GPUSHIM_UNKNOWN_LEVEL;
	terms.rate_permille = (uint32_t)device->rate_permille;
	terms.burst_ns = device->burst_ns;
	/* Bounded by burst and greatest debt, whatever the bucket says. */
	return gsh_bucket_level(bucket, &terms, now_ns);
}

static bool was_measured(const struct gpushim_ledger_bucket *bucket)
{
	bool looked = bucket->used_ns > 0;

	for (unsigned i = 0; i < GPUSHIM_LOOKS_MAX; i++)
		looked |= bucket->looks[i].at_ns > 0;
	return looked;
}

void gsh_reader_show_bucket(struct gpushim_device *device,
			    const struct gpushim_ledger_bucket *bucket, uint64_t now_ns)
{
	device->enforced = bucket->enforced != 0;
	device->rate_permille = known(bucket->limit_permille, 1000);
	device->burst_ns = known(bucket->burst_ns, BURST_MAX_NS);
	device->level_ns = level(device, bucket, now_ns);
	device->used_ns = was_measured(bucket) ? bucket->used_ns : GPUSHIM_UNKNOWN;
	device->repairs = bucket->repairs;
	device->share_1s_ppm = gsh_bucket_share_ppm(bucket, now_ns, SECOND_NS);
	device->share_10s_ppm = gsh_bucket_share_ppm(bucket, now_ns, 10 * SECOND_NS);
}

/* ---- uses ---- */

static void add(uint64_t *sum, uint64_t value)
{
	if (__builtin_add_overflow(*sum, value, sum))
		*sum = UINT64_MAX;
}

void gsh_reader_add_time(struct gpushim_time *sum, const struct gpushim_time *part)
{
#define FIELD(name, kind, text) add(&sum->name, part->name);
#include "gpushim/time_fields.def"
	add(&sum->waiting, part->waiting);
	if (part->waiting_ns > sum->waiting_ns)
		sum->waiting_ns = part->waiting_ns;
}

void gsh_reader_mark_time(struct gpushim_time *time)
{
	if (time->gpu_ns == 0 && time->samples == 0 && time->launches > 0)
		time->gpu_ns = GPUSHIM_UNKNOWN;
}

void gsh_reader_show_use(struct gpushim_usage *usage, struct gpushim_time *sum,
			 const struct gpushim_ledger_use *use, uint64_t now_ns)
{
	struct gpushim_time *time = &usage->time;

#define FIELD(name, kind, text) time->name = use->name;
#include "gpushim/time_fields.def"
	time->waiting = use->waiting_since_ns != 0;
	if (time->waiting) {
		time->waiting_ns = age(use->waiting_since_ns, now_ns);
		/* 0 would say that nobody waits. */
		time->waiting_ns += time->waiting_ns == 0;
	}
	usage->overlap_permille = known(use->overlap_permille, RATIO_MAX_PERMILLE);
	usage->inflation_permille = known(use->inflation_permille, RATIO_MAX_PERMILLE);
	gsh_reader_add_time(sum, time);
	gsh_reader_mark_time(time);
}

/* ---- costs ---- */

bool gsh_reader_show_cost(struct gpushim_cost *shown,
			  const struct gpushim_ledger_cost *cost, uint32_t device,
			  uint64_t now_ns)
{
	if (cost->key == 0)
		return false;
	memset(shown, 0, sizeof(*shown));
	gsh_reader_copy_text(shown->name, cost->name, sizeof(shown->name));
	shown->device = device;
	shown->kind = cost->kind;
	memcpy(shown->grid, cost->grid, sizeof(shown->grid));
	memcpy(shown->block, cost->block, sizeof(shown->block));
	shown->shared_bytes = cost->shared_bytes;
	shown->cost_class = cost->cost_class;
	shown->cost_ns = known(cost->cost_ns, UINT64_MAX);
	shown->low_ns = known(cost->low_ns, UINT64_MAX);
	shown->median_ns = known(cost->median_ns, UINT64_MAX);
	shown->high_ns = known(cost->high_ns, UINT64_MAX);
	shown->launches = cost->launches;
	shown->samples = cost->samples;
	shown->gpu_ns = cost->gpu_ns;
	shown->age_ns = cost->updated_ns ? age(cost->updated_ns, now_ns)
					 : GPUSHIM_UNKNOWN;
	return true;
}
