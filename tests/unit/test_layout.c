/*
 * test_layout.c - the public formats, as numbers: what other programs were written against.
 *
 * The numbers here change only together with a version.
 */
#include <stddef.h>

#include "cunit_main.h"
#include "gpushim/reader.h"

#define AT(type, field, offset) CU_ASSERT_EQUAL(offsetof(struct type, field), offset)

static void the_policy_page_is_laid_out_as_version_1(void)
{
	CU_ASSERT_EQUAL(sizeof(struct gpushim_policy_page), 16384);
	AT(gpushim_policy_page, magic, 0);
	AT(gpushim_policy_page, version, 8);
	AT(gpushim_policy_page, bytes, 12);
	AT(gpushim_policy_page, generation, 16);
	AT(gpushim_policy_page, ready, 24);
	AT(gpushim_policy_page, heartbeat, 64);
	AT(gpushim_policy_page, heartbeat_ms, 72);
	AT(gpushim_policy_page, measured, 128);
	AT(gpushim_policy_page, limits, 1024);
	AT(gpushim_policy_page, turns, 4160);
	CU_ASSERT_EQUAL(sizeof(struct gpushim_policy_turn), 64);
	AT(gpushim_policy_turn, word, 16);
	AT(gpushim_policy_turn, window_us, 20);
	CU_ASSERT_EQUAL(sizeof(struct gpushim_policy_measured), 32);
	AT(gpushim_policy_measured, uuid, 0);
	AT(gpushim_policy_measured, overhead_bytes, 16);
	AT(gpushim_policy_measured, count, 24);
	CU_ASSERT_EQUAL(GPUSHIM_POLICY_VERSION, 1);
}

static void limits_are_laid_out_as_version_1(void)
{
	CU_ASSERT_EQUAL(sizeof(struct gpushim_policy_limits), 1560);
	AT(gpushim_policy_limits, generation, 0);
	AT(gpushim_policy_limits, flags, 8);
	AT(gpushim_policy_limits, device_count, 12);
	AT(gpushim_policy_limits, tenant, 16);
	AT(gpushim_policy_limits, source, 80);
	AT(gpushim_policy_limits, reason, 272);
	AT(gpushim_policy_limits, others, 464);
	AT(gpushim_policy_limits, devices, 528);
	AT(gpushim_policy_limits, checksum, 1552);
	CU_ASSERT_EQUAL(sizeof(struct gpushim_policy_device), 64);
	AT(gpushim_policy_device, uuid, 0);
	AT(gpushim_policy_device, memory_bytes, 16);
	AT(gpushim_policy_device, context_bytes, 24);
	AT(gpushim_policy_device, memory_ppm, 32);
	AT(gpushim_policy_device, view, 36);
	AT(gpushim_policy_device, request_permille, 40);
	AT(gpushim_policy_device, limit_permille, 44);
	AT(gpushim_policy_device, priority, 48);
	AT(gpushim_policy_device, burst_ms, 52);
	CU_ASSERT_EQUAL(GPUSHIM_VIEW_DEVICE, 1);
	CU_ASSERT_EQUAL(GPUSHIM_PRIORITY_NORMAL, 0);
	CU_ASSERT_EQUAL(GPUSHIM_PRIORITY_LATENCY, 1);
	CU_ASSERT_EQUAL(GPUSHIM_PRIORITY_BATCH, 2);
	CU_ASSERT_EQUAL(GPUSHIM_POLICY_CLOSED, 1);
	CU_ASSERT_EQUAL(GPUSHIM_POLICY_AUDIT, 2);
	CU_ASSERT_EQUAL(GPUSHIM_BURST_MS_DEFAULT, 20);
}

static void the_ledger_header_is_laid_out_as_version_1(void)
{
	CU_ASSERT_EQUAL(sizeof(struct gpushim_ledger_header), 4096);
	AT(gpushim_ledger_header, magic, 0);
	AT(gpushim_ledger_header, version, 8);
	AT(gpushim_ledger_header, header_bytes, 12);
	AT(gpushim_ledger_header, bytes, 16);
	AT(gpushim_ledger_header, slots, 24);
	AT(gpushim_ledger_header, slot_bytes, 28);
	AT(gpushim_ledger_header, devices_max, 32);
	AT(gpushim_ledger_header, cell_bytes, 36);
	AT(gpushim_ledger_header, slots_offset, 40);
	AT(gpushim_ledger_header, cells_offset, 48);
	AT(gpushim_ledger_header, created_unix_ns, 56);
	AT(gpushim_ledger_header, tenant, 64);
	AT(gpushim_ledger_header, slots_used, 128);
	AT(gpushim_ledger_header, ready, 132);
	AT(gpushim_ledger_header, buckets_offset, 136);
	AT(gpushim_ledger_header, uses_offset, 144);
	AT(gpushim_ledger_header, costs_offset, 152);
	AT(gpushim_ledger_header, bucket_bytes, 160);
	AT(gpushim_ledger_header, use_bytes, 164);
	AT(gpushim_ledger_header, cost_bytes, 168);
	AT(gpushim_ledger_header, costs_max, 172);
	AT(gpushim_ledger_header, devices, 192);
	CU_ASSERT_EQUAL(sizeof(struct gpushim_ledger_device), 128);
	AT(gpushim_ledger_device, state, 0);
	AT(gpushim_ledger_device, limit_source, 4);
	AT(gpushim_ledger_device, uuid, 8);
	AT(gpushim_ledger_device, total_bytes, 24);
	AT(gpushim_ledger_device, limit_bytes, 32);
	AT(gpushim_ledger_device, peak_bytes, 40);
	AT(gpushim_ledger_device, overhead_bytes, 48);
	AT(gpushim_ledger_device, request_permille, 56);
	AT(gpushim_ledger_device, limit_permille, 64);
	CU_ASSERT_EQUAL(GPUSHIM_LEDGER_VERSION, 1);
}

static void slots_and_cells_lie_where_version_1_says(void)
{
	CU_ASSERT_EQUAL(sizeof(struct gpushim_ledger_slot), 256);
	AT(gpushim_ledger_slot, state, 0);
	AT(gpushim_ledger_slot, pid, 4);
	AT(gpushim_ledger_slot, pid_namespace, 8);
	AT(gpushim_ledger_slot, start_unix_ns, 16);
	AT(gpushim_ledger_slot, incarnation, 24);
	AT(gpushim_ledger_slot, command, 32);
	AT(gpushim_ledger_slot, denials, 64);
	AT(gpushim_ledger_slot, denied_bytes, 72);
	AT(gpushim_ledger_slot, last_denied_bytes, 80);
	AT(gpushim_ledger_slot, last_denied_unix_ns, 88);
	AT(gpushim_ledger_slot, untracked_frees, 96);
	AT(gpushim_ledger_slot, reserve_waits, 104);
	AT(gpushim_ledger_slot, reaped_slots, 112);
	AT(gpushim_ledger_slot, trims, 120);
	AT(gpushim_ledger_slot, unknown_symbols, 128);
	AT(gpushim_ledger_slot, ignored_variables, 136);
	AT(gpushim_ledger_slot, policy_changes, 144);
	AT(gpushim_ledger_slot, policy_errors, 152);
	CU_ASSERT_EQUAL(sizeof(struct gpushim_ledger_cell), 128);
	AT(gpushim_ledger_cell, pending, 0);
	AT(gpushim_ledger_cell, charged, 8);
	AT(gpushim_ledger_cell, sequence, 16);
	AT(gpushim_ledger_cell, exported_bytes, 24);
	AT(gpushim_ledger_cell, imports, 32);
	AT(gpushim_ledger_cell, peak_bytes, 40);
	AT(gpushim_ledger_cell, kind_bytes, 64);
	CU_ASSERT_EQUAL(gpushim_ledger_slot_offset(0), 4096);
	CU_ASSERT_EQUAL(gpushim_ledger_slot_offset(511), 134912);
	CU_ASSERT_EQUAL(gpushim_ledger_cell_offset(0, 0), 135168);
	CU_ASSERT_EQUAL(gpushim_ledger_cell_offset(15, 511), 1183616);
	CU_ASSERT_EQUAL(GPUSHIM_LEDGER_BUCKETS_OFFSET, 1183744);
	CU_ASSERT_EQUAL(GPUSHIM_LEDGER_USES_OFFSET, 1202176);
	CU_ASSERT_EQUAL(gpushim_ledger_use_offset(0, 0), 1202176);
	CU_ASSERT_EQUAL(gpushim_ledger_use_offset(15, 511), 2250624);
	CU_ASSERT_EQUAL(GPUSHIM_LEDGER_COSTS_OFFSET, 2250752);
	CU_ASSERT_EQUAL(GPUSHIM_LEDGER_WALLS_OFFSET, 2299904);
	CU_ASSERT_EQUAL(sizeof(struct gpushim_ledger_wall), 65536);
	CU_ASSERT_EQUAL(GPUSHIM_LEDGER_BYTES, 3348480);
}

static void gpu_time_is_laid_out_as_version_1(void)
{
	CU_ASSERT_EQUAL(sizeof(struct gpushim_ledger_bucket), 1152);
	AT(gpushim_ledger_bucket, level, 0);
	AT(gpushim_ledger_bucket, refilled_ns, 8);
	AT(gpushim_ledger_bucket, earned_ns, 16);
	AT(gpushim_ledger_bucket, repairs, 24);
	AT(gpushim_ledger_bucket, bell, 32);
	AT(gpushim_ledger_bucket, stalled.since_ns, 40);
	AT(gpushim_ledger_bucket, stalled.at, 48);
	AT(gpushim_ledger_bucket, stalled.times, 56);
	AT(gpushim_ledger_bucket, unknown_stalled, 96);
	AT(gpushim_ledger_use, unknown_in_flight, 120);
	AT(gpushim_ledger_use, unknown_done, 124);
	AT(gpushim_ledger_header, walls_offset, 176);
	AT(gpushim_ledger_header, wall_bytes, 184);
	AT(gpushim_ledger_bucket, used_ns, 64);
	AT(gpushim_ledger_bucket, limit_permille, 72);
	AT(gpushim_ledger_bucket, burst_ns, 80);
	AT(gpushim_ledger_bucket, enforced, 88);
	AT(gpushim_ledger_bucket, looks, 128);
	CU_ASSERT_EQUAL(sizeof(struct gpushim_ledger_look), 16);
	AT(gpushim_ledger_look, at_ns, 0);
	AT(gpushim_ledger_look, used_ns, 8);
	CU_ASSERT_EQUAL(GPUSHIM_LOOKS_MAX, 64);
	CU_ASSERT_EQUAL(GPUSHIM_LOOK_NS, 200000000);
	CU_ASSERT_EQUAL(sizeof(struct gpushim_ledger_use), 128);
	AT(gpushim_ledger_use, in_flight_ns, 0);
	AT(gpushim_ledger_use, completions, 8);
	AT(gpushim_ledger_use, waiting_since_ns, 16);
	AT(gpushim_ledger_use, gpu_ns, 24);
	AT(gpushim_ledger_use, waited_ns, 32);
	AT(gpushim_ledger_use, launches, 40);
	AT(gpushim_ledger_use, delayed, 48);
	AT(gpushim_ledger_use, released, 56);
	AT(gpushim_ledger_use, learned, 64);
	AT(gpushim_ledger_use, variable, 72);
	AT(gpushim_ledger_use, unknown, 80);
	AT(gpushim_ledger_use, samples, 88);
	AT(gpushim_ledger_use, lost_samples, 96);
	AT(gpushim_ledger_use, overlap_permille, 104);
	AT(gpushim_ledger_use, inflation_permille, 108);
	AT(gpushim_ledger_use, oldest_ns, 112);
}

static void costs_are_laid_out_as_version_1(void)
{
	CU_ASSERT_EQUAL(sizeof(struct gpushim_ledger_cost), 192);
	AT(gpushim_ledger_cost, key, 0);
	AT(gpushim_ledger_cost, name, 8);
	AT(gpushim_ledger_cost, device, 64);
	AT(gpushim_ledger_cost, kind, 68);
	AT(gpushim_ledger_cost, grid, 72);
	AT(gpushim_ledger_cost, block, 84);
	AT(gpushim_ledger_cost, shared_bytes, 96);
	AT(gpushim_ledger_cost, cost_class, 100);
	AT(gpushim_ledger_cost, cost_ns, 104);
	AT(gpushim_ledger_cost, low_ns, 112);
	AT(gpushim_ledger_cost, median_ns, 120);
	AT(gpushim_ledger_cost, high_ns, 128);
	AT(gpushim_ledger_cost, launches, 136);
	AT(gpushim_ledger_cost, samples, 144);
	AT(gpushim_ledger_cost, gpu_ns, 152);
	AT(gpushim_ledger_cost, updated_ns, 160);
	AT(gpushim_ledger_cost, slot, 168);
	CU_ASSERT_EQUAL(GPUSHIM_COSTS_MAX, 256);
}

static void enumerators_keep_their_numbers(void)
{
	CU_ASSERT_EQUAL(GPUSHIM_KIND_LINEAR, 0);
	CU_ASSERT_EQUAL(GPUSHIM_KIND_MANAGED, 1);
	CU_ASSERT_EQUAL(GPUSHIM_KIND_ARRAY, 2);
	CU_ASSERT_EQUAL(GPUSHIM_KIND_VMM, 3);
	CU_ASSERT_EQUAL(GPUSHIM_KIND_POOL, 4);
	CU_ASSERT_EQUAL(GPUSHIM_KIND_GRAPH, 5);
	CU_ASSERT_EQUAL(GPUSHIM_KIND_CONTEXT, 6);
	CU_ASSERT_EQUAL(GPUSHIM_SLOT_LIVE, 1);
	CU_ASSERT_EQUAL(GPUSHIM_SLOT_ORPHAN, 2);
	CU_ASSERT_EQUAL(GPUSHIM_SOURCE_NONE, 0);
	CU_ASSERT_EQUAL(GPUSHIM_SOURCE_PAGE, 1);
	CU_ASSERT_EQUAL(GPUSHIM_SOURCE_FILE, 2);
	CU_ASSERT_EQUAL(GPUSHIM_SOURCE_VARIABLE, 3);
	CU_ASSERT_EQUAL(GPUSHIM_SOURCE_HAMI, 4);
	CU_ASSERT_EQUAL(GPUSHIM_SOURCE_NVIDIA, 5);
	CU_ASSERT_EQUAL(GPUSHIM_SOURCE_DRIVER, 6);
	CU_ASSERT_EQUAL(GPUSHIM_DEVICE_READY, 2);
	CU_ASSERT_EQUAL(GPUSHIM_COST_UNKNOWN, 0);
	CU_ASSERT_EQUAL(GPUSHIM_COST_LEARNED, 1);
	CU_ASSERT_EQUAL(GPUSHIM_COST_VARIABLE, 2);
	CU_ASSERT_EQUAL(GPUSHIM_LAUNCH_KERNEL, 0);
	CU_ASSERT_EQUAL(GPUSHIM_LAUNCH_GRAPH, 1);
	CU_ASSERT_EQUAL(GPUSHIM_LAUNCH_MEMSET, 2);
	CU_ASSERT_EQUAL(GPUSHIM_LAUNCH_COPY, 3);
}

static void what_the_reader_library_gives_keeps_its_layout(void)
{
	CU_ASSERT_EQUAL(sizeof(struct gpushim_time), 112);
	AT(gpushim_time, in_flight_ns, 88);
	AT(gpushim_time, waiting, 96);
	AT(gpushim_time, waiting_ns, 104);
	CU_ASSERT_EQUAL(sizeof(struct gpushim_usage), 240);
	AT(gpushim_usage, time, 112);
	AT(gpushim_usage, overlap_permille, 224);
	CU_ASSERT_EQUAL(sizeof(struct gpushim_process), 144);
	CU_ASSERT_EQUAL(sizeof(struct gpushim_device), 240);
	AT(gpushim_device, enforced, 76);
	AT(gpushim_device, rate_permille, 80);
	AT(gpushim_device, level_ns, 104);
	AT(gpushim_device, share_1s_ppm, 120);
	AT(gpushim_device, time, 128);
	CU_ASSERT_EQUAL(sizeof(struct gpushim_cost), 160);
	AT(gpushim_cost, device, 56);
	AT(gpushim_cost, grid, 64);
	AT(gpushim_cost, cost_ns, 96);
	AT(gpushim_cost, age_ns, 152);
	AT(gpushim_snapshot, created_unix_ns, 64);
	AT(gpushim_snapshot, has_policy, 72);
	AT(gpushim_snapshot, policy, 88);
	AT(gpushim_snapshot, heartbeat, 1648);
	AT(gpushim_snapshot, devices, 1656);
	AT(gpushim_snapshot, processes, 5496);
	AT(gpushim_snapshot, usages, 79224);
	AT(gpushim_snapshot, usages_left_out, 570744);
	AT(gpushim_snapshot, costs, 570752);
	AT(gpushim_snapshot, time, 611712);
	CU_ASSERT_EQUAL(sizeof(struct gpushim_snapshot), 611824);
}

const struct unit_suite unit_suite = {
	.name = "layout of the public formats",
	.tests = {
		UNIT_TEST(the_policy_page_is_laid_out_as_version_1),
		UNIT_TEST(limits_are_laid_out_as_version_1),
		UNIT_TEST(the_ledger_header_is_laid_out_as_version_1),
		UNIT_TEST(slots_and_cells_lie_where_version_1_says),
		UNIT_TEST(gpu_time_is_laid_out_as_version_1),
		UNIT_TEST(costs_are_laid_out_as_version_1),
		UNIT_TEST(enumerators_keep_their_numbers),
		UNIT_TEST(what_the_reader_library_gives_keeps_its_layout),
	},
};
