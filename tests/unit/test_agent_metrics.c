/*
 * test_agent_metrics.c - figures as Prometheus reads them: the whole text beside a golden one,
 * and counters that outlive the processes that counted.
 */
#include "cunit_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/counts.h"
#include "agent/metrics.h"

#define GIB (UINT64_C(1) << 30)

static struct agent_text text;
static struct gpushim_snapshot *snapshot;
static struct agent_counts counts;

static void setup(void)
{
	memset(&text, 0, sizeof(text));
	memset(&counts, 0, sizeof(counts));
	snapshot = calloc(1, sizeof(*snapshot));
}

static void teardown(void)
{
	agent_counts_free(&counts);
	free(text.bytes);
	free(snapshot);
}

/* ---- text ---- */

/* The figures of the golden files: all known, all unknown, and none at all. */
static void write_figures(bool open)
{
	static const struct agent_figures agent = {
		.tenants = 3,
		.devices = 1,
		.limits_valid = 1,
		.applied = 2,
		.refused = 1,
		.beats = 1234567890123456789,
		.start_unix_ns = UINT64_C(1700000000250000000),
	};
	static struct agent_device_figures known[1] = { {
		.shown = {
			.uuid = { 0x53, 0x69, 0x6d },
			.limit_bytes = 8 * GIB,
			.charged_bytes = GIB + 1,
			.peak_bytes = 2 * GIB,
			.request_permille = 125,
			.limit_permille = 1000,
			.used_ns = UINT64_C(12345678901),
			.level_ns = -1500000,
			.share_10s_ppm = 301234,
		},
		.context_bytes = 300 << 20,
		.counts = { 1000, 10, 1, 2500000000 },
	} };
	static struct agent_device_figures unknown[1] = { {
		.shown = {
			.uuid = { 0xff },
			.limit_bytes = GPUSHIM_UNLIMITED,
			.used_ns = GPUSHIM_UNKNOWN,
			.level_ns = GPUSHIM_UNKNOWN_LEVEL,
			.share_10s_ppm = GPUSHIM_UNKNOWN_PPM,
		},
	} };
	const struct agent_tenant_figures tenants[] = {
		{ .name = "ns.train-0",
		  .readable = 1,
		  .processes = 2,
		  .waiting = 1,
		  .enforced = 1,
		  .counts = { 3, 3 * GIB, 7 },
		  .devices_count = 1,
		  .devices = known },
		{ .name = "audit",
		  .readable = 1,
		  .closed = 1,
		  .devices_count = 1,
		  .devices = unknown },
		{ .name = "gone",
		  .processes = GPUSHIM_UNKNOWN,
		  .waiting = GPUSHIM_UNKNOWN,
		  .closed = GPUSHIM_UNKNOWN,
		  .enforced = GPUSHIM_UNKNOWN },
	};

	agent_metrics_write(&text, &agent, tenants, 3, open);
}

/* REWRITE=1 writes the file anew, to be looked at. */
static void is_golden(const char *path)
{
	static char golden[65536];
	FILE *file;
	size_t bytes;

	if (getenv("REWRITE") && (file = fopen(path, "w"))) {
		fwrite(text.bytes, 1, text.count, file);
		fclose(file);
	}
	file = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	bytes = fread(golden, 1, sizeof(golden) - 1, file);
	golden[bytes] = '\0';
	fclose(file);
	CU_ASSERT_EQUAL(text.count, bytes);
	CU_ASSERT_STRING_EQUAL(text.bytes, golden);
}

static void the_prometheus_text_is_the_golden_one(void)
{
	write_figures(false);
	is_golden("tests/agent/metrics.prom.txt");
}

static void the_open_metrics_text_is_the_golden_one(void)
{
	write_figures(true);
	is_golden("tests/agent/metrics.openmetrics.txt");
}

static void what_is_not_known_has_no_sample(void)
{
	write_figures(false);
	CU_ASSERT_PTR_NULL(strstr(text.bytes, "memory_limit_bytes{tenant=\"audit\""));
	CU_ASSERT_PTR_NULL(strstr(text.bytes, "gpu_used_seconds_total{tenant=\"audit\""));
	CU_ASSERT_PTR_NULL(
		strstr(text.bytes, "gpu_share_achieved_ratio{tenant=\"audit\""));
	CU_ASSERT_PTR_NULL(strstr(text.bytes, "gpu_share_limit_ratio{tenant=\"audit\""));
	CU_ASSERT_PTR_NULL(strstr(text.bytes, "gpu_debt_seconds{tenant=\"audit\""));
	CU_ASSERT_PTR_NULL(strstr(text.bytes, "processes{tenant=\"gone\""));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(text.bytes, "ledger_readable{tenant=\"gone\"} 0\n"));
}

static void text_of_any_length_is_kept(void)
{
	size_t count = 0;

	for (int i = 0; i < 3000; i++) {
		agent_text_add(&text, "%d %s\n", i, i % 7 ? "x" : "a longer one");
		count += (size_t)snprintf(NULL, 0, "%d %s\n", i,
					  i % 7 ? "x" : "a longer one");
	}
	CU_ASSERT_EQUAL(text.count, count);
	CU_ASSERT_EQUAL(strlen(text.bytes), count);
}

/* ---- counters ---- */

static void has_process(uint32_t slot, uint64_t start, uint64_t denials,
			uint64_t launches)
{
	struct gpushim_process *process =
		&snapshot->processes[snapshot->processes_count++];
	struct gpushim_usage *usage = &snapshot->usages[snapshot->usages_count++];

	memset(process, 0, sizeof(*process));
	memset(usage, 0, sizeof(*usage));
	process->slot = usage->slot = slot;
	process->alive = 1;
	process->start_unix_ns = start;
	process->denials = denials;
	usage->time.launches = launches;
	snapshot->devices_count = 1;
	memcpy(snapshot->devices[0].uuid, "0123456789abcdef", 16);
}

static void look(bool first)
{
	agent_counts_add(&counts, snapshot, first);
	snapshot->processes_count = snapshot->usages_count = 0;
}

static uint64_t launches(void)
{
	const uint64_t *found = agent_counts_of(&counts,
						(const uint8_t *)"0123456789abcdef");

	return found ? found[AGENT_COUNT_LAUNCHES] : UINT64_MAX;
}

static void what_ended_processes_counted_stays(void)
{
	has_process(0, 1, 2, 100);
	has_process(300, 1, 1, 10);
	look(false);
	CU_ASSERT_EQUAL(counts.tenant[AGENT_COUNT_DENIALS], 3);
	CU_ASSERT_EQUAL(launches(), 110);
	has_process(300, 1, 1, 15);
	look(false);
	CU_ASSERT_EQUAL(launches(), 115);
	/* Another in the same slot begins at nothing. */
	has_process(300, 2, 4, 3);
	look(false);
	CU_ASSERT_EQUAL(launches(), 118);
	CU_ASSERT_EQUAL(counts.tenant[AGENT_COUNT_DENIALS], 7);
	look(false);
	CU_ASSERT_EQUAL(launches(), 118);
}

static void what_was_counted_before_is_not_counted_again(void)
{
	has_process(0, 1, 5, 1000);
	look(true);
	CU_ASSERT_EQUAL(launches(), 0);
	has_process(0, 1, 6, 1001);
	look(false);
	CU_ASSERT_EQUAL(launches(), 1);
	CU_ASSERT_EQUAL(counts.tenant[AGENT_COUNT_DENIALS], 1);
}

static void counters_that_are_set_back_take_nothing_away(void)
{
	has_process(0, 1, 0, 1000);
	look(false);
	has_process(0, 1, 0, 10);
	look(false);
	CU_ASSERT_EQUAL(launches(), 1000);
	has_process(0, 1, 0, 11);
	look(false);
	CU_ASSERT_EQUAL(launches(), 1001);
	has_process(0, 1, 0, UINT64_MAX);
	look(false);
	CU_ASSERT_EQUAL(launches(), UINT64_MAX);
	has_process(GPUSHIM_SLOTS_MAX + 7, 1, 0, 5);
	look(false);
	CU_ASSERT_EQUAL(launches(), UINT64_MAX);
}

const struct unit_suite unit_suite = {
	.name = "metrics of the agent",
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(the_prometheus_text_is_the_golden_one),
		UNIT_TEST(the_open_metrics_text_is_the_golden_one),
		UNIT_TEST(what_is_not_known_has_no_sample),
		UNIT_TEST(text_of_any_length_is_kept),
		UNIT_TEST(what_ended_processes_counted_stays),
		UNIT_TEST(what_was_counted_before_is_not_counted_again),
		UNIT_TEST(counters_that_are_set_back_take_nothing_away),
	},
};
