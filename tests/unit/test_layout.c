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
	AT(gpushim_policy_page, grants, 4144);
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
	CU_ASSERT_EQUAL(GPUSHIM_VIEW_DEVICE, 1);
	CU_ASSERT_EQUAL(GPUSHIM_PRIORITY_BATCH, 2);
	CU_ASSERT_EQUAL(GPUSHIM_POLICY_CLOSED, 1);
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
	CU_ASSERT_EQUAL(GPUSHIM_LEDGER_BYTES, 1183744);
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
}

static void what_the_reader_library_gives_keeps_its_layout(void)
{
	CU_ASSERT_EQUAL(sizeof(struct gpushim_usage), 112);
	CU_ASSERT_EQUAL(sizeof(struct gpushim_process), 144);
	CU_ASSERT_EQUAL(sizeof(struct gpushim_device), 80);
	AT(gpushim_snapshot, created_unix_ns, 64);
	AT(gpushim_snapshot, has_policy, 72);
	AT(gpushim_snapshot, policy, 88);
	AT(gpushim_snapshot, heartbeat, 1648);
	AT(gpushim_snapshot, devices, 1656);
	AT(gpushim_snapshot, processes, 2936);
	AT(gpushim_snapshot, usages, 76664);
	AT(gpushim_snapshot, usages_left_out, 306040);
}

const struct unit_suite unit_suite = {
	.name = "layout of the public formats",
	.tests = {
		UNIT_TEST(the_policy_page_is_laid_out_as_version_1),
		UNIT_TEST(limits_are_laid_out_as_version_1),
		UNIT_TEST(the_ledger_header_is_laid_out_as_version_1),
		UNIT_TEST(slots_and_cells_lie_where_version_1_says),
		UNIT_TEST(enumerators_keep_their_numbers),
		UNIT_TEST(what_the_reader_library_gives_keeps_its_layout),
	},
};
