/*
 * test_reader_time.c - what the reader library says of GPU time, from ledgers that are right
 * and from ledgers that lie.
 */
#include <string.h>
#include <sys/stat.h>

#include "common_policy.h"
#include "cunit_main.h"
#include "forged_ledger.h"
#include "gpushim/reader.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
/* No launch is charged more, and no debt is greater: policy/bucket.h. */
#define DEBT_MAX (600 * SECOND)

static char dir[256];
static struct gpushim_reader *reader;
static struct gpushim_snapshot *snapshot;
static struct forged_ledger forged = { -1 };

static void write_device(uint32_t row, uint8_t uuid)
{
	struct gpushim_ledger_device device = { .state = GPUSHIM_DEVICE_READY,
						.uuid = { uuid },
						.request_permille = 100,
						.limit_permille = 300 };

	forged_device(&forged, row, &device);
}

/* Three processes on one device. */
static void setup(void)
{
	const struct gpushim_ledger_slot slot = { .state = GPUSHIM_SLOT_LIVE };

	policy_make_dir(dir, sizeof(dir));
	snapshot = calloc(1, sizeof(*snapshot));
	mkdir(policy_path(dir, "ledger"), 0755);
	forged_make(&forged, policy_path(dir, "ledger/ledger"), "train");
	forged_slots_used(&forged, 3);
	for (uint32_t i = 0; i < 3; i++)
		forged_slot(&forged, i, &slot);
	forged_lock(&forged, 0, 3);
	write_device(0, 0xa);
}

static void teardown(void)
{
	gpushim_reader_close(reader);
	reader = NULL;
	free(snapshot);
	forged_close(&forged);
}

static void take_snapshot(void)
{
	if (!reader)
		CU_ASSERT_EQUAL_FATAL(gpushim_reader_open(&reader, dir, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(gpushim_reader_snapshot(reader, snapshot), 0);
}

static const struct gpushim_device *device_of(const struct gpushim_ledger_bucket *bucket)
{
	forged_bucket(&forged, 0, bucket);
	take_snapshot();
	return &snapshot->devices[0];
}

static const struct gpushim_usage *usage_of(const struct gpushim_ledger_use *use)
{
	forged_use(&forged, 0, 1, use);
	take_snapshot();
	CU_ASSERT_EQUAL_FATAL(snapshot->usages_count, 1);
	return &snapshot->usages[0];
}

/* ---- devices ---- */

static void a_device_that_nobody_used_has_nothing_known(void)
{
	static const struct gpushim_ledger_bucket bucket;
	const struct gpushim_device *device = device_of(&bucket);

	CU_ASSERT_EQUAL(device->level_ns, GPUSHIM_UNKNOWN_LEVEL);
	CU_ASSERT_EQUAL(device->rate_permille, GPUSHIM_UNKNOWN);
	CU_ASSERT_EQUAL(device->burst_ns, GPUSHIM_UNKNOWN);
	CU_ASSERT_EQUAL(device->used_ns, GPUSHIM_UNKNOWN);
	CU_ASSERT_EQUAL(device->share_1s_ppm, GPUSHIM_UNKNOWN_PPM);
	CU_ASSERT_EQUAL(device->share_10s_ppm, GPUSHIM_UNKNOWN_PPM);
	CU_ASSERT_EQUAL(device->repairs, 0);
	/* That nobody launched anything is known. */
	CU_ASSERT_EQUAL(device->time.launches, 0);
	CU_ASSERT_EQUAL(device->time.gpu_ns, 0);
	CU_ASSERT_EQUAL(device->time.waiting, 0);
}

static void terms_and_repairs_are_shown_as_they_are(void)
{
	const struct gpushim_ledger_bucket bucket = { .limit_permille = 300,
						      .burst_ns = 20 * MS,
						      .enforced = 1,
						      .repairs = 7,
						      .used_ns = 5 };
	const struct gpushim_device *device = device_of(&bucket);

	CU_ASSERT_EQUAL(device->rate_permille, 300);
	CU_ASSERT_EQUAL(device->burst_ns, 20 * MS);
	CU_ASSERT_EQUAL(device->enforced, 1);
	CU_ASSERT_EQUAL(device->repairs, 7);
	CU_ASSERT_EQUAL(device->used_ns, 5);
	CU_ASSERT_EQUAL(device->request_permille, 100);
	CU_ASSERT_EQUAL(device->limit_permille, 300);
	CU_ASSERT_EQUAL(device->level_ns, GPUSHIM_UNKNOWN_LEVEL);
}

static void a_debt_is_paid_by_the_clock_also_in_what_is_shown(void)
{
	uint64_t before_ns = forged_now_ns(), late_ns;
	const struct gpushim_ledger_bucket bucket = {
		.limit_permille = 300,
		.burst_ns = 20 * MS,
		.level = -(300 * SECOND),
		.refilled_ns = before_ns - 100 * SECOND,
	};
	const struct gpushim_device *device = device_of(&bucket);

	late_ns = forged_now_ns() - before_ns;
	CU_ASSERT(device->level_ns >= -(int64_t)(270 * SECOND) - (int64_t)MS);
	CU_ASSERT(device->level_ns <= -(int64_t)(270 * SECOND) + (int64_t)(late_ns + MS));
}

static void credit_is_never_above_the_burst(void)
{
	const struct gpushim_ledger_bucket bucket = {
		.limit_permille = 300, .burst_ns = 20 * MS, .level = 3, .refilled_ns = 1
	};

	CU_ASSERT_EQUAL(device_of(&bucket)->level_ns, 20 * (int64_t)MS);
}

/* Millionths that looks at a steady used_permille may give, that long after they were made. */
static bool is_share(uint32_t ppm, uint64_t used_permille, uint64_t window_ns,
		     uint64_t late_ns)
{
	uint64_t least = used_permille * 990 * window_ns / (window_ns + late_ns);

	if (ppm >= least && ppm <= used_permille * 1010)
		return true;
	printf("      %u is no share of %u thousandths\n", ppm, (unsigned)used_permille);
	return false;
}

static void the_share_achieved_is_that_of_the_time_used(void)
{
	static const uint64_t used[] = { 1, 50, 300, 1000 };

	for (size_t i = 0; i < sizeof(used) / sizeof(used[0]); i++) {
		struct gpushim_ledger_bucket bucket = { 0 };
		uint64_t now_ns = forged_now_ns(), late_ns;
		const struct gpushim_device *device;

		forged_looks(&bucket, now_ns, 12, used[i]);
		device = device_of(&bucket);
		late_ns = forged_now_ns() - now_ns;
		CU_ASSERT(is_share(device->share_1s_ppm, used[i], SECOND, late_ns));
		CU_ASSERT(is_share(device->share_10s_ppm, used[i], 10 * SECOND, late_ns));
		CU_ASSERT_EQUAL(device->used_ns, 12 * MS * used[i]);
	}
}

static void a_share_over_longer_than_there_are_looks_is_not_known(void)
{
	struct gpushim_ledger_bucket bucket = { 0 };

	forged_looks(&bucket, forged_now_ns(), 3, 300);
	CU_ASSERT_NOT_EQUAL(device_of(&bucket)->share_1s_ppm, GPUSHIM_UNKNOWN_PPM);
	CU_ASSERT_EQUAL(snapshot->devices[0].share_10s_ppm, GPUSHIM_UNKNOWN_PPM);
}

static void a_bucket_that_lies_is_bounded(void)
{
	static const uint64_t levels[] = { 0, INT64_MAX, (uint64_t)INT64_MIN,
					   UINT64_MAX };
	struct gpushim_ledger_bucket bucket;
	const struct gpushim_device *device;

	memset(&bucket, 0xff, sizeof(bucket));
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		bucket.level = levels[i];
		device = device_of(&bucket);
		CU_ASSERT_EQUAL(device->rate_permille, 1000);
		CU_ASSERT_EQUAL(device->burst_ns, UINT32_MAX * MS);
		CU_ASSERT(device->level_ns >= -(int64_t)DEBT_MAX);
		CU_ASSERT(device->level_ns <= (int64_t)(UINT32_MAX * MS));
		CU_ASSERT_EQUAL(device->share_1s_ppm, GPUSHIM_UNKNOWN_PPM);
		CU_ASSERT_EQUAL(device->enforced, 1);
	}
}

static void shares_in_a_row_that_lies_are_bounded(void)
{
	const struct gpushim_ledger_device row = { .state = GPUSHIM_DEVICE_READY,
						   .request_permille = UINT64_MAX,
						   .limit_permille = 1001 };

	forged_device(&forged, 0, &row);
	take_snapshot();
	CU_ASSERT_EQUAL(snapshot->devices[0].request_permille, 1000);
	CU_ASSERT_EQUAL(snapshot->devices[0].limit_permille, 1000);
}

/* ---- processes ---- */

static const struct gpushim_ledger_use busy = {
	.in_flight_ns = 1,
	.completions = 2,
	.gpu_ns = 3,
	.waited_ns = 4,
	.launches = 5,
	.delayed = 6,
	.released = 7,
	.learned = 8,
	.variable = 9,
	.unknown = 10,
	.samples = 11,
	.lost_samples = 12,
	.overlap_permille = 800,
	.inflation_permille = 1200,
};

static bool is_busy(const struct gpushim_time *time, uint64_t times)
{
	return time->in_flight_ns == times && time->completions == 2 * times &&
	       time->gpu_ns == 3 * times && time->waited_ns == 4 * times &&
	       time->launches == 5 * times && time->delayed == 6 * times &&
	       time->released == 7 * times && time->learned == 8 * times &&
	       time->variable == 9 * times && time->unknown == 10 * times &&
	       time->samples == 11 * times && time->lost_samples == 12 * times;
}

static void a_process_is_shown_with_its_time_though_it_has_no_memory(void)
{
	const struct gpushim_usage *usage = usage_of(&busy);

	CU_ASSERT_EQUAL(usage->slot, 1);
	CU_ASSERT_EQUAL(usage->charged_bytes, 0);
	CU_ASSERT(is_busy(&usage->time, 1));
	CU_ASSERT_EQUAL(usage->time.waiting, 0);
	CU_ASSERT_EQUAL(usage->time.waiting_ns, 0);
	CU_ASSERT_EQUAL(usage->overlap_permille, 800);
	CU_ASSERT_EQUAL(usage->inflation_permille, 1200);
}

static void sums_are_over_live_processes_and_all_devices(void)
{
	const struct gpushim_ledger_slot orphan = { .state = GPUSHIM_SLOT_ORPHAN },
					 dead = { .state = GPUSHIM_SLOT_LIVE };
	const struct gpushim_ledger_cell cell = { .charged = 1 };

	forged_slots_used(&forged, 5);
	forged_slot(&forged, 3, &orphan);
	forged_slot(&forged, 4, &dead);
	write_device(2, 0xb);
	for (uint32_t slot = 0; slot < 5; slot++) {
		forged_use(&forged, 0, slot, &busy);
		forged_cell(&forged, 0, slot, &cell);
	}
	forged_use(&forged, 2, 1, &busy);
	take_snapshot();
	CU_ASSERT_EQUAL(snapshot->devices_count, 2);
	CU_ASSERT(is_busy(&snapshot->devices[0].time, 3));
	CU_ASSERT(is_busy(&snapshot->devices[1].time, 1));
	CU_ASSERT(is_busy(&snapshot->time, 4));
	/* What is left of an exporter is memory. */
	CU_ASSERT_EQUAL_FATAL(snapshot->usages_count, 5);
	CU_ASSERT_EQUAL(snapshot->usages[3].slot, 3);
	CU_ASSERT_EQUAL(snapshot->usages[3].time.launches, 0);
	CU_ASSERT_EQUAL(snapshot->usages[4].device, 1);
}

static void sums_do_not_wrap(void)
{
	const struct gpushim_ledger_use much = { .waited_ns = UINT64_MAX - 1,
						 .launches = UINT64_MAX,
						 .samples = 1 };

	forged_use(&forged, 0, 0, &much);
	forged_use(&forged, 0, 1, &much);
	take_snapshot();
	CU_ASSERT_EQUAL(snapshot->devices[0].time.waited_ns, UINT64_MAX);
	CU_ASSERT_EQUAL(snapshot->time.launches, UINT64_MAX);
	CU_ASSERT_EQUAL(snapshot->time.samples, 2);
}

static void time_that_nobody_measured_is_not_known(void)
{
	struct gpushim_ledger_use use = { .launches = 5, .waited_ns = 1 };

	CU_ASSERT_EQUAL(usage_of(&use)->time.gpu_ns, GPUSHIM_UNKNOWN);
	CU_ASSERT_EQUAL(snapshot->devices[0].time.gpu_ns, GPUSHIM_UNKNOWN);
	CU_ASSERT_EQUAL(snapshot->time.gpu_ns, GPUSHIM_UNKNOWN);
	CU_ASSERT_EQUAL(snapshot->usages[0].overlap_permille, GPUSHIM_UNKNOWN);
	CU_ASSERT_EQUAL(snapshot->usages[0].inflation_permille, GPUSHIM_UNKNOWN);
	use.samples = 1;
	CU_ASSERT_EQUAL(usage_of(&use)->time.gpu_ns, 0);
	use.launches = use.samples = 0;
	CU_ASSERT_EQUAL(usage_of(&use)->time.gpu_ns, 0);
	/* One that was measured and one that was not come to what was. */
	use.launches = 5;
	forged_use(&forged, 0, 2, &use);
	use.samples = 1;
	use.gpu_ns = 9;
	forged_use(&forged, 0, 1, &use);
	take_snapshot();
	CU_ASSERT_EQUAL(snapshot->usages[1].time.gpu_ns, GPUSHIM_UNKNOWN);
	CU_ASSERT_EQUAL(snapshot->time.gpu_ns, 9);
}

static void who_waits_is_shown_with_how_long(void)
{
	uint64_t before_ns = forged_now_ns(), late_ns;
	struct gpushim_ledger_use use = { .waiting_since_ns = before_ns - 5 * SECOND };
	const struct gpushim_usage *usage;

	forged_use(&forged, 0, 0, &busy);
	use.waiting_since_ns = before_ns - 3 * SECOND;
	forged_use(&forged, 0, 2, &use);
	use.waiting_since_ns = before_ns - 5 * SECOND;
	forged_use(&forged, 0, 1, &use);
	take_snapshot();
	late_ns = forged_now_ns() - before_ns;
	usage = &snapshot->usages[1];
	CU_ASSERT_EQUAL(usage->time.waiting, 1);
	CU_ASSERT(usage->time.waiting_ns >= 5 * SECOND &&
		  usage->time.waiting_ns <= 5 * SECOND + late_ns);
	CU_ASSERT_EQUAL(snapshot->devices[0].time.waiting, 2);
	CU_ASSERT_EQUAL(snapshot->time.waiting_ns, usage->time.waiting_ns);
	/* By another clock than ours: that it waits, and not since when. */
	use.waiting_since_ns = UINT64_MAX;
	forged_use(&forged, 0, 1, &use);
	take_snapshot();
	CU_ASSERT_EQUAL(snapshot->usages[1].time.waiting, 1);
	CU_ASSERT_EQUAL(snapshot->usages[1].time.waiting_ns, GPUSHIM_UNKNOWN);
	CU_ASSERT_EQUAL(snapshot->time.waiting_ns, GPUSHIM_UNKNOWN);
}

/* ---- costs ---- */

static const struct gpushim_ledger_cost saxpy = {
	.key = 77,
	.name = "saxpy",
	.device = 2,
	.grid = { 1024, 2, 1 },
	.block = { 256, 1, 1 },
	.shared_bytes = 48,
	.cost_class = GPUSHIM_COST_LEARNED,
	.cost_ns = 20000,
	.low_ns = 19000,
	.median_ns = 20500,
	.high_ns = 30000,
	.launches = 10,
	.samples = 3,
	.gpu_ns = 200000,
};

static void rows_of_costs_are_shown_and_free_ones_are_not(void)
{
	const struct gpushim_cost *cost = snapshot->costs;
	struct gpushim_ledger_cost row = saxpy;
	uint64_t before_ns = forged_now_ns();

	write_device(2, 0xb);
	row.updated_ns = before_ns - SECOND;
	forged_cost(&forged, 255, &row);
	row.key = 0;
	forged_cost(&forged, 0, &row);
	take_snapshot();
	CU_ASSERT_EQUAL_FATAL(snapshot->costs_count, 1);
	CU_ASSERT_STRING_EQUAL(cost->name, "saxpy");
	CU_ASSERT_EQUAL(cost->device, 1);
	CU_ASSERT_EQUAL(cost->kind, GPUSHIM_LAUNCH_KERNEL);
	CU_ASSERT_EQUAL(cost->grid[0], 1024);
	CU_ASSERT_EQUAL(cost->grid[1], 2);
	CU_ASSERT_EQUAL(cost->block[0], 256);
	CU_ASSERT_EQUAL(cost->shared_bytes, 48);
	CU_ASSERT_EQUAL(cost->cost_class, GPUSHIM_COST_LEARNED);
	CU_ASSERT_EQUAL(cost->cost_ns, 20000);
	CU_ASSERT_EQUAL(cost->low_ns, 19000);
	CU_ASSERT_EQUAL(cost->median_ns, 20500);
	CU_ASSERT_EQUAL(cost->high_ns, 30000);
	CU_ASSERT_EQUAL(cost->launches, 10);
	CU_ASSERT_EQUAL(cost->samples, 3);
	CU_ASSERT_EQUAL(cost->gpu_ns, 200000);
	CU_ASSERT(cost->age_ns >= SECOND &&
		  cost->age_ns <= SECOND + (forged_now_ns() - before_ns));
}

static void a_cost_that_was_not_measured_is_not_known(void)
{
	const struct gpushim_ledger_cost row = { .key = 1 };

	forged_cost(&forged, 3, &row);
	take_snapshot();
	CU_ASSERT_EQUAL(snapshot->costs[0].cost_ns, GPUSHIM_UNKNOWN);
	CU_ASSERT_EQUAL(snapshot->costs[0].low_ns, GPUSHIM_UNKNOWN);
	CU_ASSERT_EQUAL(snapshot->costs[0].median_ns, GPUSHIM_UNKNOWN);
	CU_ASSERT_EQUAL(snapshot->costs[0].high_ns, GPUSHIM_UNKNOWN);
	CU_ASSERT_EQUAL(snapshot->costs[0].age_ns, GPUSHIM_UNKNOWN);
	CU_ASSERT_EQUAL(snapshot->costs[0].device, 0);
}

static void costs_that_lie_are_bounded(void)
{
	struct gpushim_ledger_cost row;

	memset(&row, 0xff, sizeof(row));
	memcpy(row.name, "\033]0;k\n", 6);
	for (uint32_t i = 0; i < 256; i++)
		forged_cost(&forged, i, &row);
	row.device = 1; /* below the bound, and no device */
	forged_cost(&forged, 0, &row);
	take_snapshot();
	CU_ASSERT_EQUAL(snapshot->costs_count, 256);
	CU_ASSERT_EQUAL(snapshot->costs[0].device, UINT32_MAX);
	CU_ASSERT_EQUAL(snapshot->costs[255].device, UINT32_MAX);
	CU_ASSERT_EQUAL(snapshot->costs[255].age_ns, GPUSHIM_UNKNOWN);
	CU_ASSERT_EQUAL(strlen(snapshot->costs[255].name), 55);
	CU_ASSERT_EQUAL(strncmp(snapshot->costs[255].name, "?]0;k??", 7), 0);
}

static void a_ledger_cut_off_in_its_costs_is_refused(void)
{
	take_snapshot();
	CU_ASSERT_EQUAL(ftruncate(forged.fd, 2250752), 0);
	CU_ASSERT(gpushim_reader_snapshot(reader, snapshot) < 0);
	CU_ASSERT_EQUAL(snapshot->devices_count, 0);
}

const struct unit_suite unit_suite = {
	.name = "reader library: GPU time",
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(a_device_that_nobody_used_has_nothing_known),
		UNIT_TEST(terms_and_repairs_are_shown_as_they_are),
		UNIT_TEST(a_debt_is_paid_by_the_clock_also_in_what_is_shown),
		UNIT_TEST(credit_is_never_above_the_burst),
		UNIT_TEST(the_share_achieved_is_that_of_the_time_used),
		UNIT_TEST(a_share_over_longer_than_there_are_looks_is_not_known),
		UNIT_TEST(a_bucket_that_lies_is_bounded),
		UNIT_TEST(shares_in_a_row_that_lies_are_bounded),
		UNIT_TEST(a_process_is_shown_with_its_time_though_it_has_no_memory),
		UNIT_TEST(sums_are_over_live_processes_and_all_devices),
		UNIT_TEST(sums_do_not_wrap),
		UNIT_TEST(time_that_nobody_measured_is_not_known),
		UNIT_TEST(who_waits_is_shown_with_how_long),
		UNIT_TEST(rows_of_costs_are_shown_and_free_ones_are_not),
		UNIT_TEST(a_cost_that_was_not_measured_is_not_known),
		UNIT_TEST(costs_that_lie_are_bounded),
		UNIT_TEST(a_ledger_cut_off_in_its_costs_is_refused),
	},
};
