/*
 * test_top_hostile.c - tenants that write into their own ledgers what they like: the others
 * are shown all the same. And what a process that is not covered looks like.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cunit_main.h"
#include "top/model.h"

#define SECOND UINT64_C(1000000000)
#define UNIX_NS (UINT64_C(1700000000) * SECOND)

static struct top_model model;
static struct gpushim_snapshot *snapshot;
static uint64_t now_ns;

static void setup(void)
{
	memset(&model, 0, sizeof(model));
	snapshot = calloc(1, sizeof(*snapshot));
	now_ns = 1000 * SECOND;
}

static void teardown(void)
{
	top_model_free(&model);
	free(snapshot);
}

/* A tenant with a process on each of so many devices, whose UUIDs begin with these two. */
static void make(uint8_t first, uint8_t second, uint32_t devices, uint32_t processes)
{
	memset(snapshot, 0, sizeof(*snapshot));
	snapshot->devices_count = devices;
	snapshot->processes_count = processes;
	for (uint32_t d = 0; d < devices; d++) {
		struct gpushim_device *device = &snapshot->devices[d];

		device->uuid[0] = first;
		device->uuid[1] = second;
		device->uuid[2] = (uint8_t)d;
		device->total_bytes = UINT64_C(1) << 34;
		device->limit_bytes = UINT64_C(1) << 30;
		device->share_1s_ppm = device->share_10s_ppm = GPUSHIM_UNKNOWN_PPM;
		for (uint32_t slot = 0; slot < processes; slot++) {
			struct gpushim_usage *usage =
				&snapshot->usages[snapshot->usages_count++];

			usage->slot = slot;
			usage->device = d;
		}
	}
	for (uint32_t slot = 0; slot < processes; slot++) {
		struct gpushim_process *process = &snapshot->processes[slot];

		process->slot = slot;
		process->pid = slot + 1;
		process->alive = 1;
		process->start_unix_ns = UNIX_NS;
		strcpy(process->command, "python3");
	}
}

static void look(const char *name)
{
	const struct top_look looked = { .dir = "/run/gpushim",
					 .name = name,
					 .snapshot = snapshot };

	top_model_add(&model, &looked);
}

static void begin(void)
{
	now_ns += SECOND;
	top_model_begin(&model, now_ns, UNIX_NS + now_ns);
}

static const struct top_row *row_of(const char *tenant, uint32_t slot)
{
	for (size_t i = 0; i < model.rows_count; i++)
		if (model.rows[i].slot == slot &&
		    strcmp(model.tenants[model.rows[i].tenant]->name, tenant) == 0)
			return &model.rows[i];
	return NULL;
}

/* ---- devices that there are not ---- */

static void forged_devices_do_not_shut_out_those_of_others(void)
{
	for (uint8_t i = 1; i <= 30; i++) {
		begin();
		make(0xbb, i, GPUSHIM_DEVICES_MAX, 1);
		look("bad");
		top_model_end(&model);
	}
	begin();
	make(0xbb, 31, GPUSHIM_DEVICES_MAX, 1);
	look("bad");
	make(0xaa, 0, 1, 1);
	look("good");
	top_model_end(&model);
	CU_ASSERT(model.devices_count <= TOP_DEVICES_MAX);
	CU_ASSERT_NOT_EQUAL_FATAL(row_of("good", 0)->device, TOP_NO_DEVICE);
	CU_ASSERT_EQUAL(model.devices[row_of("good", 0)->device].uuid[0], 0xaa);
	CU_ASSERT_EQUAL(model.devices[row_of("good", 0)->device].tenants, 1);
}

static void a_device_in_use_or_with_a_name_keeps_its_number(void)
{
	const uint8_t named[16] = { 0xcc };

	top_model_name(&model, named, "NVIDIA H200");
	begin();
	make(0xaa, 0, 1, 1);
	look("good");
	top_model_end(&model);
	for (uint8_t i = 1; i <= 30; i++) {
		begin();
		make(0xbb, i, GPUSHIM_DEVICES_MAX, 1);
		look("bad");
		make(0xaa, 0, 1, 1);
		look("good");
		top_model_end(&model);
		CU_ASSERT_EQUAL(row_of("good", 0)->device, 1);
		CU_ASSERT_STRING_EQUAL(model.devices[0].name, "NVIDIA H200");
	}
}

static void a_number_given_to_another_device_has_no_history_of_the_first(void)
{
	const struct top_tenant *tenant;

	for (uint8_t i = 1; i <= 30; i++) {
		begin();
		make(0xbb, i, GPUSHIM_DEVICES_MAX, 1);
		look("bad");
		top_model_end(&model);
	}
	tenant = model.tenants[0];
	CU_ASSERT(tenant->parts_count <= TOP_DEVICES_MAX);
	for (unsigned p = 0; p < tenant->parts_count; p++)
		CU_ASSERT_EQUAL(memcmp(tenant->parts[p].now.uuid,
				       model.devices[tenant->parts[p].device].uuid, 16),
				0);
	/* Rows of devices that have gone are not taken for rows of those in their place. */
	for (size_t i = 0; i < model.rows_count; i++)
		for (size_t j = 0; j < i; j++)
			CU_ASSERT(model.rows[i].slot != model.rows[j].slot ||
				  model.rows[i].device != model.rows[j].device ||
				  model.rows[i].device == TOP_NO_DEVICE);
}

static void who_left_a_device_has_no_part_of_the_one_that_got_its_number(void)
{
	for (uint8_t i = 1; i <= 4; i++) {
		begin();
		make(i == 1 ? 0xaa : 0xcc, 0, 1, 1);
		look("good");
		make(0xbb, i, GPUSHIM_DEVICES_MAX, 1);
		look("bad");
		top_model_end(&model);
	}
	CU_ASSERT_EQUAL_FATAL(model.devices[0].uuid[0], 0xbb);
	CU_ASSERT_PTR_NULL(top_tenant_part(model.tenants[0], 0));
	CU_ASSERT_PTR_NOT_NULL(
		top_tenant_part(model.tenants[0], row_of("good", 0)->device));
	for (size_t i = 0; i < model.rows_count; i++)
		CU_ASSERT(model.rows[i].device != 0 || model.rows[i].tenant != 0);
}

/* ---- events ---- */

static unsigned events_of(const char *tenant)
{
	unsigned count = 0;

	for (uint64_t i = 0; i < TOP_EVENTS_MAX && i < model.events_count; i++)
		count += strcmp(model.events[i].tenant, tenant) == 0;
	return count;
}

static void a_flood_of_refusals_leaves_the_events_of_others(void)
{
	begin();
	make(0xaa, 0, 1, 1);
	snapshot->processes[0].denials = 1;
	look("good");
	top_model_end(&model);
	for (uint64_t i = 1; i <= 20; i++) {
		begin();
		make(0xaa, 0, 1, 1);
		snapshot->processes[0].denials = 1;
		look("good");
		make(0xaa, 0, 1, 100);
		for (unsigned slot = 0; slot < 100; slot++)
			snapshot->processes[slot].denials = i;
		look("bad");
		top_model_end(&model);
	}
	CU_ASSERT_EQUAL(events_of("good"), 1);
	CU_ASSERT(events_of("bad") > 100);
}

static void each_event_is_told_once_and_the_newest_are_kept_in_order(void)
{
	uint64_t last = 0;

	a_flood_of_refusals_leaves_the_events_of_others();
	for (uint64_t i = model.events_count - TOP_EVENTS_MAX; i < model.events_count;
	     i++) {
		const struct top_event *event = &model.events[i % TOP_EVENTS_MAX];

		CU_ASSERT(event->number > last || last == 0);
		last = event->number;
	}
	CU_ASSERT_EQUAL(last, model.events_count);
}

/* ---- not covered ---- */

static enum top_state state_with(uint64_t unknown, uint64_t waiting, uint64_t in_flight,
				 uint64_t charged)
{
	begin();
	make(0xaa, 0, 1, 1);
	snapshot->processes[0].unknown_symbols = unknown;
	snapshot->usages[0].time.waiting = waiting;
	snapshot->usages[0].time.in_flight_ns = in_flight;
	snapshot->devices[0].charged_bytes = charged;
	look("good");
	top_model_end(&model);
	return row_of("good", TOP_NO_SLOT)->state;
}

static void who_has_ways_around_is_not_covered_unless_it_is_held_or_over(void)
{
	const uint64_t over = UINT64_C(1) << 31;

	CU_ASSERT_EQUAL(state_with(0, 0, 0, 0), TOP_STATE_IDLE);
	CU_ASSERT_EQUAL(state_with(0, 0, 5, 0), TOP_STATE_RUNNING);
	CU_ASSERT_EQUAL(state_with(3, 0, 0, 0), TOP_STATE_UNCOVERED);
	CU_ASSERT_EQUAL(row_of("good", 0)->state, TOP_STATE_UNCOVERED);
	CU_ASSERT_EQUAL(state_with(3, 0, 5, 0), TOP_STATE_UNCOVERED);
	CU_ASSERT_EQUAL(state_with(3, 1, 0, 0), TOP_STATE_WAITING);
	CU_ASSERT_EQUAL(row_of("good", 0)->state, TOP_STATE_WAITING);
	CU_ASSERT_EQUAL(state_with(3, 0, 0, over), TOP_STATE_OVER);
	CU_ASSERT_EQUAL(row_of("good", 0)->value[TOP_COLUMN_UNKNOWN], 3);
}

const struct unit_suite unit_suite = {
	.name = "hostile tenants on the screen",
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(forged_devices_do_not_shut_out_those_of_others),
		UNIT_TEST(a_device_in_use_or_with_a_name_keeps_its_number),
		UNIT_TEST(a_number_given_to_another_device_has_no_history_of_the_first),
		UNIT_TEST(who_left_a_device_has_no_part_of_the_one_that_got_its_number),
		UNIT_TEST(a_flood_of_refusals_leaves_the_events_of_others),
		UNIT_TEST(each_event_is_told_once_and_the_newest_are_kept_in_order),
		UNIT_TEST(who_has_ways_around_is_not_covered_unless_it_is_held_or_over),
	},
};
