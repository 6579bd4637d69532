/*
 * test_top_glance.c - reading a ledger every second: a glance says what a snapshot says, and
 * touches no more than it has to.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common_policy.h"
#include "cunit_main.h"
#include "forged_ledger.h"
#include "gpushim/reader.h"

#define GIB (UINT64_C(1) << 30)

static char dir[256];
static struct gpushim_reader *reader;
static struct gpushim_snapshot *whole, *glance;
static struct forged_ledger forged = { -1 };

/* Two devices; slots 1 and 3 of four live, on both; a cost; a policy. */
static void setup(void)
{
	const struct gpushim_ledger_slot slot = { .state = GPUSHIM_SLOT_LIVE, .pid = 7 };
	const struct gpushim_ledger_cell cell = { .charged = GIB };
	const struct gpushim_ledger_use use = { .launches = 5, .samples = 1 };
	const struct gpushim_ledger_cost cost = { .key = 1 };

	policy_make_dir(dir, sizeof(dir));
	whole = calloc(1, sizeof(*whole));
	glance = calloc(1, sizeof(*glance));
	mkdir(policy_path(dir, "ledger"), 0755);
	mkdir(policy_path(dir, "policy"), 0755);
	forged_make(&forged, policy_path(dir, "ledger/ledger"), "train");
	policy_write_page(policy_path(dir, "policy/policy"), "train", GIB);
	forged_slots_used(&forged, 4);
	for (uint32_t d = 0; d < 2; d++) {
		const struct gpushim_ledger_device device = {
			.state = GPUSHIM_DEVICE_READY,
			.uuid = { (uint8_t)(d + 1) },
		};

		forged_device(&forged, 3 * d, &device);
		for (uint32_t i = 1; i < 4; i += 2) {
			forged_slot(&forged, i, &slot);
			forged_cell(&forged, 3 * d, i, &cell);
			forged_use(&forged, 3 * d, i, &use);
		}
	}
	forged_cost(&forged, 0, &cost);
	forged_lock(&forged, 1, 1);
	forged_lock(&forged, 3, 1);
	CU_ASSERT_EQUAL_FATAL(gpushim_reader_open(&reader, dir, NULL), 0);
}

static void teardown(void)
{
	gpushim_reader_close(reader);
	reader = NULL;
	free(whole);
	free(glance);
	forged_close(&forged);
}

static void a_glance_says_what_a_snapshot_says_but_for_costs(void)
{
	/* Whatever was there before. */
	memset(glance, 0xab, sizeof(*glance));
	CU_ASSERT_EQUAL_FATAL(gpushim_reader_snapshot(reader, whole), 0);
	CU_ASSERT_EQUAL_FATAL(gpushim_reader_glance(reader, glance), 0);
	CU_ASSERT_EQUAL(whole->costs_count, 1);
	CU_ASSERT_EQUAL(glance->costs_count, 0);
	CU_ASSERT_EQUAL(whole->usages_count, 4);
	CU_ASSERT_EQUAL(
		memcmp(whole, glance, offsetof(struct gpushim_snapshot, processes)), 0);
	CU_ASSERT_EQUAL(memcmp(whole->processes, glance->processes,
			       whole->processes_count * sizeof(whole->processes[0])),
			0);
	CU_ASSERT_EQUAL(memcmp(whole->usages, glance->usages,
			       whole->usages_count * sizeof(whole->usages[0])),
			0);
	CU_ASSERT_EQUAL(memcmp(&whole->time, &glance->time, sizeof(whole->time)), 0);
	CU_ASSERT_EQUAL(glance->usages_left_out, 0);
}

static bool is_filled(const void *bytes, size_t count)
{
	const unsigned char *first = bytes;

	return first[0] == 0xab && memcmp(first, first + 1, count - 1) == 0;
}

static void entries_beyond_the_counts_are_not_touched(void)
{
	memset(glance, 0xab, sizeof(*glance));
	CU_ASSERT_EQUAL_FATAL(gpushim_reader_glance(reader, glance), 0);
	CU_ASSERT(
		is_filled(&glance->processes[2],
			  sizeof(glance->processes) - 2 * sizeof(glance->processes[0])));
	CU_ASSERT(is_filled(&glance->usages[4],
			    sizeof(glance->usages) - 4 * sizeof(glance->usages[0])));
	CU_ASSERT(is_filled(glance->costs, sizeof(glance->costs)));
}

static void slots_that_died_are_not_read_beyond_the_last_that_lives(void)
{
	const struct gpushim_ledger_cell junk = { .charged = 1000 * GIB };

	/* Used once, and dead; all of it would count if it were looked at. */
	forged_slots_used(&forged, 512);
	for (uint32_t i = 4; i < 512; i++)
		forged_cell(&forged, 0, i, &junk);
	CU_ASSERT_EQUAL_FATAL(gpushim_reader_glance(reader, glance), 0);
	CU_ASSERT_EQUAL(glance->processes_count, 2);
	CU_ASSERT_EQUAL(glance->devices[0].charged_bytes, 2 * GIB);
}

static void a_glance_that_fails_leaves_nothing_counted(void)
{
	CU_ASSERT_EQUAL_FATAL(gpushim_reader_glance(reader, glance), 0);
	CU_ASSERT_EQUAL(truncate(policy_path(dir, "ledger/ledger"), 5000), 0);
	CU_ASSERT_EQUAL(gpushim_reader_glance(reader, glance), -EPROTO);
	CU_ASSERT_EQUAL(glance->devices_count, 0);
	CU_ASSERT_EQUAL(glance->processes_count, 0);
	CU_ASSERT_EQUAL(glance->usages_count, 0);
	CU_ASSERT_EQUAL(glance->has_policy, 0);
	CU_ASSERT(gpushim_reader_reason()[0] != '\0');
}

const struct unit_suite unit_suite = {
	.name = "reader library: a glance",
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(a_glance_says_what_a_snapshot_says_but_for_costs),
		UNIT_TEST(entries_beyond_the_counts_are_not_touched),
		UNIT_TEST(slots_that_died_are_not_read_beyond_the_last_that_lives),
		UNIT_TEST(a_glance_that_fails_leaves_nothing_counted),
	},
};
