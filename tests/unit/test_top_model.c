/*
 * test_top_model.c - gpushim-top's model: rows, rates, states, what stays and what goes, from
 * snapshots made here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cunit_main.h"
#include "top/model.h"

#define GIB (UINT64_C(1) << 30)
#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
/* Any time will do; that of day is not that of the clock. */
#define START_NS (1000 * SECOND)
#define START_UNIX_NS (UINT64_C(1700000000) * SECOND)

static struct top_model model;
static struct gpushim_snapshot *snapshot;
static uint64_t now_ns;

static void setup(void)
{
	memset(&model, 0, sizeof(model));
	snapshot = calloc(1, sizeof(*snapshot));
	now_ns = START_NS;
}

static void teardown(void)
{
	top_model_free(&model);
	free(snapshot);
}

static uint64_t unix_ns(void)
{
	return START_UNIX_NS + now_ns - START_NS;
}

/* ---- snapshots ---- */

static struct gpushim_device *add_device(uint8_t uuid)
{
	struct gpushim_device *device = &snapshot->devices[snapshot->devices_count++];

	memset(device, 0, sizeof(*device));
	device->uuid[0] = uuid;
	device->total_bytes = 16 * GIB;
	device->limit_bytes = 8 * GIB;
	device->request_permille = 100;
	device->limit_permille = 300;
	device->limit_source = GPUSHIM_SOURCE_PAGE;
	device->enforced = 1;
	device->rate_permille = 300;
	device->level_ns = -5;
	device->used_ns = GPUSHIM_UNKNOWN;
	device->share_1s_ppm = 290000;
	device->share_10s_ppm = GPUSHIM_UNKNOWN_PPM;
	return device;
}

static struct gpushim_process *add_process(uint32_t slot)
{
	struct gpushim_process *process =
		&snapshot->processes[snapshot->processes_count++];

	memset(process, 0, sizeof(*process));
	process->slot = slot;
	process->state = GPUSHIM_SLOT_LIVE;
	process->pid = 100 + slot;
	process->alive = 1;
	process->start_unix_ns = START_UNIX_NS - SECOND;
	strcpy(process->command, "python3");
	return process;
}

/* In the order of devices, then of slots, as the reader gives them. */
static struct gpushim_usage *add_usage(uint32_t slot, uint32_t device, uint64_t bytes)
{
	struct gpushim_usage *usage = &snapshot->usages[snapshot->usages_count++];

	memset(usage, 0, sizeof(*usage));
	usage->slot = slot;
	usage->device = device;
	usage->charged_bytes = bytes;
	usage->peak_bytes = bytes;
	snapshot->devices[device].charged_bytes += bytes;
	return usage;
}

static void add_look(const char *tenant)
{
	const struct top_look look = { "/run/gpushim", tenant, NULL, snapshot, NULL };

	top_model_add(&model, &look);
}

/* One sample of a single tenant, a second after the one before. */
static void feed(void)
{
	now_ns += SECOND;
	top_model_begin(&model, now_ns, unix_ns());
	add_look("train");
	top_model_end(&model);
}

static void feed_error(const char *error)
{
	const struct top_look look = { "/run/gpushim", "train", error, NULL, NULL };

	now_ns += SECOND;
	top_model_begin(&model, now_ns, unix_ns());
	top_model_add(&model, &look);
	top_model_end(&model);
}

static void feed_nothing(void)
{
	now_ns += SECOND;
	top_model_begin(&model, now_ns, unix_ns());
	top_model_end(&model);
}

/* A tenant with a device, and a process that has a gigabyte of it. */
static struct gpushim_usage *one_process(void)
{
	memset(snapshot, 0, sizeof(*snapshot));
	add_device(1);
	add_process(0);
	return add_usage(0, 0, GIB);
}

static bool event_says(uint64_t back, enum top_event_kind kind, const char *text)
{
	const struct top_event *event;

	if (model.events_count <= back)
		return false;
	event = &model.events[(model.events_count - 1 - back) % TOP_EVENTS_MAX];
	if (event->kind == kind && strcmp(event->text, text) == 0)
		return true;
	printf("event: %s\n", event->text);
	return false;
}

/* ---- rows ---- */

static void a_tenant_stands_above_its_processes(void)
{
	one_process();
	feed();
	CU_ASSERT_EQUAL_FATAL(model.rows_count, 2);
	CU_ASSERT_EQUAL(model.rows[0].slot, TOP_NO_SLOT);
	CU_ASSERT_EQUAL(model.rows[0].group, 0);
	CU_ASSERT_EQUAL(model.rows[0].value[TOP_COLUMN_MEMORY], GIB);
	CU_ASSERT_EQUAL(model.rows[0].quota_bytes, 8 * GIB);
	CU_ASSERT_EQUAL(model.rows[0].limit_ppm, 300000);
	CU_ASSERT_EQUAL(model.rows[0].value[TOP_COLUMN_REQUEST], 100000);
	CU_ASSERT_EQUAL(model.rows[0].value[TOP_COLUMN_SHARE], 290000);
	CU_ASSERT_EQUAL(model.rows[0].value[TOP_COLUMN_SHARE10], TOP_UNKNOWN);
	CU_ASSERT_EQUAL((int64_t)model.rows[0].value[TOP_COLUMN_CREDIT], -5);
	CU_ASSERT_EQUAL(model.rows[1].slot, 0);
	CU_ASSERT_EQUAL(model.rows[1].group, 0);
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_PID], 100);
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_HOST_PID], TOP_UNKNOWN);
	CU_ASSERT_EQUAL(model.rows[1].quota_bytes, 8 * GIB);
	CU_ASSERT_STRING_EQUAL(model.rows[1].command, "python3");
	CU_ASSERT_EQUAL(model.tenants[0]->processes, 1);
}

static void rates_are_not_known_at_first_and_then_what_was_added(void)
{
	struct gpushim_usage *usage = one_process();

	usage->time.gpu_ns = 50 * SECOND;
	usage->time.launches = 1000;
	feed();
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_SHARE], TOP_UNKNOWN);
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_LAUNCHES], TOP_UNKNOWN);
	CU_ASSERT_EQUAL(model.rows[0].value[TOP_COLUMN_LAUNCHES], TOP_UNKNOWN);
	usage->time.gpu_ns += 250 * MS;
	usage->time.waited_ns += 100 * MS;
	usage->time.launches += 40;
	feed();
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_SHARE], 250000);
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_WAIT], 100000);
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_LAUNCHES], 40000);
	/* The tenant's are those of its processes. */
	CU_ASSERT_EQUAL(model.rows[0].value[TOP_COLUMN_LAUNCHES], 40000);
	CU_ASSERT_EQUAL(model.rows[0].value[TOP_COLUMN_WAIT], 100000);
	/* Over three seconds. */
	usage->time.launches += 60;
	now_ns += 2 * SECOND;
	feed();
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_LAUNCHES], 20000);
}

static void counters_that_shrink_or_are_not_known_have_no_rate(void)
{
	struct gpushim_usage *usage = one_process();

	usage->time.launches = 1000;
	usage->time.gpu_ns = GPUSHIM_UNKNOWN;
	feed();
	usage->time.launches = 10;
	usage->time.gpu_ns = 5;
	feed();
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_LAUNCHES], TOP_UNKNOWN);
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_SHARE], TOP_UNKNOWN);
	/* A tenant that lies does not make anything overflow. */
	usage->time.launches = UINT64_MAX - 1;
	feed();
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_LAUNCHES],
			UINT64_C(1000000000000000));
}

static void a_slot_taken_by_another_process_starts_anew(void)
{
	one_process()->time.launches = 1000;
	feed();
	one_process()->time.launches = 2000;
	snapshot->processes[0].start_unix_ns++;
	snapshot->processes[0].pid = 7;
	feed();
	CU_ASSERT_EQUAL_FATAL(model.rows_count, 3);
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_LAUNCHES], TOP_UNKNOWN);
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_PID], 7);
	CU_ASSERT_EQUAL(model.rows[2].state, TOP_STATE_GONE);
	CU_ASSERT_EQUAL(model.rows[2].value[TOP_COLUMN_PID], 100);
}

static void who_is_held_now_counts_as_waiting(void)
{
	struct gpushim_usage *usage = one_process();

	usage->time.waiting = 1;
	usage->time.waiting_ns = 200 * MS;
	feed();
	CU_ASSERT_EQUAL(model.rows[1].state, TOP_STATE_WAITING);
	CU_ASSERT_EQUAL(model.rows[0].state, TOP_STATE_WAITING);
	CU_ASSERT_EQUAL(model.rows[0].value[TOP_COLUMN_WAITING], 200 * MS);
	usage->time.waiting_ns = 1200 * MS;
	feed();
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_WAIT], 1000000);
	/* It was let go after a further second, which the counter has now. */
	usage->time.waiting = 0;
	usage->time.waiting_ns = 0;
	usage->time.waited_ns = 2200 * MS;
	feed();
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_WAIT], 1000000);
}

static void each_device_of_a_tenant_has_a_row_and_its_processes(void)
{
	memset(snapshot, 0, sizeof(*snapshot));
	add_device(1);
	add_device(2);
	add_process(0);
	add_process(3);
	add_process(4);
	add_usage(0, 0, GIB);
	add_usage(3, 0, 2 * GIB);
	add_usage(3, 1, 3 * GIB);
	snapshot->processes[1].denials = 5;
	feed();
	CU_ASSERT_EQUAL_FATAL(model.rows_count, 6);
	CU_ASSERT_EQUAL(model.devices_count, 2);
	CU_ASSERT_EQUAL(model.rows[0].device, 0);
	CU_ASSERT_EQUAL(model.rows[1].device, 1);
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_MEMORY], 3 * GIB);
	CU_ASSERT_EQUAL(model.rows[2].slot, 0);
	CU_ASSERT_EQUAL(model.rows[3].slot, 3);
	CU_ASSERT_EQUAL(model.rows[3].group, 0);
	CU_ASSERT_EQUAL(model.rows[4].slot, 3);
	CU_ASSERT_EQUAL(model.rows[4].group, 1);
	CU_ASSERT_EQUAL(model.rows[4].value[TOP_COLUMN_MEMORY], 3 * GIB);
	/* One that uses none stands below the first. */
	CU_ASSERT_EQUAL(model.rows[5].slot, 4);
	CU_ASSERT_EQUAL(model.rows[5].group, 0);
	CU_ASSERT_EQUAL(model.rows[5].value[TOP_COLUMN_MEMORY], TOP_UNKNOWN);
	/* What a process counts once is counted once. */
	CU_ASSERT_EQUAL(model.rows[0].value[TOP_COLUMN_DENIALS], 5);
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_DENIALS], 0);
}

static void a_device_has_the_sum_of_its_tenants(void)
{
	one_process();
	now_ns += SECOND;
	top_model_begin(&model, now_ns, unix_ns());
	add_look("train");
	snapshot->devices[0].overhead_bytes = GIB;
	snapshot->devices[0].limit_source = GPUSHIM_SOURCE_DRIVER;
	add_look("serve");
	top_model_end(&model);
	CU_ASSERT_EQUAL_FATAL(model.devices_count, 1);
	CU_ASSERT_EQUAL(model.devices[0].tenants, 2);
	CU_ASSERT_EQUAL(model.devices[0].used_bytes, 3 * GIB);
	CU_ASSERT_EQUAL(model.devices[0].total_bytes, 16 * GIB);
	CU_ASSERT_EQUAL(model.devices[0].share_ppm, 580000);
	CU_ASSERT_EQUAL(model.devices[0].driver_limit_bytes, 8 * GIB);
	CU_ASSERT_EQUAL(top_ring_at(&model.devices[0].ring, TOP_SERIES_MEMORY, now_ns, 0),
			187);
	CU_ASSERT_EQUAL(top_ring_at(&model.devices[0].ring, TOP_SERIES_SHARE, now_ns, 0),
			580);
	/* Nobody's share is known: the device's is not, and not 0. */
	one_process();
	snapshot->devices[0].share_1s_ppm = GPUSHIM_UNKNOWN_PPM;
	feed();
	CU_ASSERT_EQUAL(model.devices[0].share_ppm, TOP_UNKNOWN);
	CU_ASSERT_EQUAL(top_ring_at(&model.devices[0].ring, TOP_SERIES_SHARE, now_ns, 0),
			TOP_RING_UNKNOWN);
	CU_ASSERT_EQUAL(model.devices[0].driver_limit_bytes, TOP_UNKNOWN);
}

static void what_cannot_be_is_bounded(void)
{
	struct gpushim_usage *usage = one_process();

	snapshot->devices[0].charged_bytes = UINT64_MAX;
	snapshot->devices[0].overhead_bytes = UINT64_MAX;
	snapshot->devices[0].total_bytes = 0;
	usage->charged_bytes = UINT64_MAX;
	snapshot->processes[0].last_denied_unix_ns = UINT64_MAX;
	snapshot->processes[0].denials = UINT64_MAX;
	feed();
	feed();
	CU_ASSERT_EQUAL(model.devices[0].used_bytes, UINT64_MAX - 1);
	CU_ASSERT_EQUAL(model.rows[0].state, TOP_STATE_OVER);
}

static void devices_beyond_the_most_are_left_out(void)
{
	const struct top_row *last;

	now_ns += SECOND;
	top_model_begin(&model, now_ns, unix_ns());
	for (unsigned i = 0; i < 6; i++) {
		char name[] = "t0";

		name[1] = (char)('0' + i);
		memset(snapshot, 0, sizeof(*snapshot));
		for (unsigned d = 0; d < GPUSHIM_DEVICES_MAX; d++)
			add_device((uint8_t)(i * GPUSHIM_DEVICES_MAX + d));
		add_process(0);
		for (uint32_t d = 0; d < GPUSHIM_DEVICES_MAX; d++)
			add_usage(0, d, 1);
		add_look(name);
	}
	top_model_end(&model);
	last = &model.rows[model.rows_count - 1];
	CU_ASSERT_EQUAL(model.devices_count, TOP_DEVICES_MAX);
	CU_ASSERT_EQUAL(last->device, TOP_NO_DEVICE);
	CU_ASSERT_EQUAL(last->value[TOP_COLUMN_DEVICE], TOP_UNKNOWN);
}

/* ---- states ---- */

static enum top_state state_with(uint64_t launches, uint64_t in_flight_ns)
{
	struct gpushim_usage *usage = one_process();

	feed();
	usage->time.launches = launches;
	usage->time.in_flight_ns = in_flight_ns;
	feed();
	return model.rows[1].state;
}

static void who_launches_or_has_work_in_flight_is_running(void)
{
	CU_ASSERT_EQUAL(state_with(0, 0), TOP_STATE_IDLE);
	CU_ASSERT_EQUAL(state_with(5, 0), TOP_STATE_RUNNING);
	top_model_free(&model);
	CU_ASSERT_EQUAL(state_with(0, 7), TOP_STATE_RUNNING);
	CU_ASSERT_EQUAL(model.rows[0].state, TOP_STATE_RUNNING);
}

static void a_refusal_is_shown_for_ten_seconds(void)
{
	one_process();
	feed();
	snapshot->processes[0].denials = 1;
	snapshot->processes[0].last_denied_unix_ns = unix_ns();
	for (int i = 0; i < 9; i++) {
		feed();
		CU_ASSERT_EQUAL(model.rows[1].state, TOP_STATE_REFUSED);
		CU_ASSERT_EQUAL(model.rows[0].state, TOP_STATE_REFUSED);
	}
	feed();
	CU_ASSERT_EQUAL(model.rows[1].state, TOP_STATE_IDLE);
	/* Nor are those of the future believed. */
	snapshot->processes[0].last_denied_unix_ns = unix_ns() + 10 * SECOND;
	feed();
	CU_ASSERT_EQUAL(model.rows[1].state, TOP_STATE_IDLE);
}

static void more_than_the_quota_is_over(void)
{
	one_process();
	snapshot->devices[0].charged_bytes = 8 * GIB;
	feed();
	CU_ASSERT_EQUAL(model.rows[0].state, TOP_STATE_IDLE);
	snapshot->devices[0].overhead_bytes = 1;
	feed();
	CU_ASSERT_EQUAL(model.rows[0].state, TOP_STATE_OVER);
	snapshot->devices[0].limit_bytes = GPUSHIM_UNLIMITED;
	feed();
	CU_ASSERT_EQUAL(model.rows[0].state, TOP_STATE_IDLE);
	CU_ASSERT_EQUAL(model.rows[0].quota_bytes, TOP_UNKNOWN);
}

static void what_an_exporter_left_is_no_process(void)
{
	one_process();
	snapshot->processes[0].alive = 0;
	snapshot->processes[0].state = GPUSHIM_SLOT_ORPHAN;
	feed();
	CU_ASSERT_EQUAL(model.rows[1].state, TOP_STATE_EXPORTED);
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_PID], TOP_UNKNOWN);
	CU_ASSERT_EQUAL(model.tenants[0]->processes, 0);
}

static void a_closed_policy_is_shown(void)
{
	memset(snapshot, 0, sizeof(*snapshot));
	snapshot->has_policy = 1;
	snapshot->policy.flags = GPUSHIM_POLICY_CLOSED;
	feed();
	CU_ASSERT_EQUAL_FATAL(model.rows_count, 1);
	CU_ASSERT_EQUAL(model.rows[0].state, TOP_STATE_CLOSED);
}

/* ---- what goes ---- */

static void a_process_that_ended_is_shown_as_gone_for_five_seconds(void)
{
	one_process()->time.launches = 100;
	feed();
	feed();
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_LAUNCHES], 0);
	memset(snapshot, 0, sizeof(*snapshot));
	add_device(1);
	for (int i = 0; i < 5; i++) {
		feed();
		CU_ASSERT_EQUAL_FATAL(model.rows_count, 2);
		CU_ASSERT_EQUAL(model.rows[1].state, TOP_STATE_GONE);
		CU_ASSERT_EQUAL(model.rows[1].group, 0);
		CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_MEMORY], GIB);
		CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_LAUNCHES], TOP_UNKNOWN);
		/* What it does not do any more, its tenant does not either. */
		CU_ASSERT_EQUAL(model.rows[0].value[TOP_COLUMN_LAUNCHES], TOP_UNKNOWN);
	}
	feed();
	CU_ASSERT_EQUAL(model.rows_count, 1);
	CU_ASSERT(event_says(0, TOP_EVENT_ENDED, "python3 (100) ended"));
	CU_ASSERT_EQUAL(model.events_count, 1);
}

static void a_tenant_whose_files_vanish_goes_with_its_processes(void)
{
	one_process();
	feed();
	feed_nothing();
	CU_ASSERT_EQUAL_FATAL(model.rows_count, 2);
	CU_ASSERT_EQUAL(model.rows[0].state, TOP_STATE_GONE);
	CU_ASSERT_EQUAL(model.rows[1].state, TOP_STATE_GONE);
	CU_ASSERT_EQUAL(model.tenants_count, 1);
	CU_ASSERT_EQUAL(model.devices[0].tenants, 0);
	for (int i = 0; i < 5; i++)
		feed_nothing();
	CU_ASSERT_EQUAL(model.rows_count, 0);
	CU_ASSERT_EQUAL(model.tenants_count, 0);
	/* It may come back. */
	feed();
	CU_ASSERT_EQUAL(model.rows_count, 2);
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_LAUNCHES], TOP_UNKNOWN);
}

static void who_comes_back_while_shown_as_gone_is_there_again(void)
{
	one_process();
	feed();
	feed_nothing();
	feed_nothing();
	feed();
	CU_ASSERT_EQUAL_FATAL(model.rows_count, 2);
	CU_ASSERT_EQUAL(model.rows[0].state, TOP_STATE_IDLE);
	CU_ASSERT_EQUAL(model.rows[1].state, TOP_STATE_IDLE);
	/* What it did meanwhile is not known. */
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_LAUNCHES], TOP_UNKNOWN);
	CU_ASSERT_EQUAL(model.tenants[0]->gone_ns, 0);
	feed_nothing();
	CU_ASSERT_EQUAL(model.tenants[0]->gone_ns, now_ns);
}

static void tenants_that_go_leave_the_others_in_place(void)
{
	for (int i = 0; i < 8; i++) {
		one_process();
		now_ns += SECOND;
		top_model_begin(&model, now_ns, unix_ns());
		if (i == 0)
			add_look("a");
		add_look("b");
		if (i < 2)
			add_look("c");
		add_look("d");
		top_model_end(&model);
		for (size_t r = 0; r < model.rows_count; r++) {
			const struct top_row *row = &model.rows[r];

			CU_ASSERT_FATAL(row->tenant < model.tenants_count);
			CU_ASSERT_EQUAL(model.tenants[row->tenant]->id, row->tenant_id);
			CU_ASSERT_FATAL(row->group < model.rows_count);
			CU_ASSERT_EQUAL(model.rows[row->group].tenant_id, row->tenant_id);
			CU_ASSERT_EQUAL(model.rows[row->group].slot, TOP_NO_SLOT);
		}
	}
	CU_ASSERT_EQUAL_FATAL(model.tenants_count, 2);
	CU_ASSERT_STRING_EQUAL(model.tenants[0]->name, "b");
	CU_ASSERT_STRING_EQUAL(model.tenants[1]->name, "d");
}

static void a_ledger_that_goes_bad_leaves_old_figures_marked(void)
{
	one_process()->time.launches = 100;
	feed();
	feed();
	for (int i = 0; i < 20; i++)
		feed_error("the ledger is truncated");
	CU_ASSERT_EQUAL_FATAL(model.rows_count, 2);
	CU_ASSERT_EQUAL(model.rows[0].state, TOP_STATE_STALE);
	CU_ASSERT_EQUAL(model.rows[1].state, TOP_STATE_STALE);
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_MEMORY], GIB);
	CU_ASSERT_EQUAL(model.rows[1].value[TOP_COLUMN_LAUNCHES], TOP_UNKNOWN);
	CU_ASSERT_STRING_EQUAL(model.tenants[0]->error, "the ledger is truncated");
	CU_ASSERT(event_says(0, TOP_EVENT_TROUBLE, "the ledger is truncated"));
	CU_ASSERT_EQUAL(model.events_count, 1);
	CU_ASSERT_EQUAL(model.devices[0].tenants, 0);
	feed();
	CU_ASSERT_EQUAL(model.rows_count, 2);
	CU_ASSERT_EQUAL(model.rows[0].state, TOP_STATE_IDLE);
	CU_ASSERT_STRING_EQUAL(model.tenants[0]->error, "");
	CU_ASSERT(event_says(0, TOP_EVENT_TROUBLE, "its ledger can be read again"));
}

static void a_ledger_that_never_could_be_read_has_a_row(void)
{
	feed_error("the ledger is of another version");
	CU_ASSERT_EQUAL_FATAL(model.rows_count, 1);
	CU_ASSERT_EQUAL(model.rows[0].state, TOP_STATE_STALE);
	CU_ASSERT_EQUAL(model.rows[0].value[TOP_COLUMN_MEMORY], TOP_UNKNOWN);
	feed_error("the ledger is of another version");
	CU_ASSERT_EQUAL(model.rows_count, 1);
	one_process();
	feed();
	/* The row without a device has gone, and is not counted as an event. */
	CU_ASSERT_EQUAL(model.rows[0].state, TOP_STATE_IDLE);
	for (int i = 0; i < 6; i++)
		feed();
	CU_ASSERT_EQUAL(model.rows_count, 2);
}

/* ---- events ---- */

static void refusals_are_events_with_their_time_and_size(void)
{
	one_process();
	feed();
	snapshot->processes[0].denials = 3;
	snapshot->processes[0].last_denied_bytes = 5 * GIB / 2;
	snapshot->processes[0].last_denied_unix_ns = unix_ns() + 3;
	feed();
	CU_ASSERT(
		event_says(0, TOP_EVENT_REFUSED,
			   "python3 (100) was refused 3 allocations, the last of 2.5G"));
	CU_ASSERT_EQUAL(model.events[0].unix_ns, unix_ns() - SECOND + 3);
	CU_ASSERT_STRING_EQUAL(model.events[0].tenant, "train");
	feed();
	CU_ASSERT_EQUAL(model.events_count, 1);
	snapshot->processes[0].denials = 4;
	feed();
	CU_ASSERT(event_says(0, TOP_EVENT_REFUSED,
			     "python3 (100) was refused 1 allocation, the last of 2.5G"));
}

static void starting_is_an_event_once_there_was_a_first_look(void)
{
	one_process();
	feed();
	CU_ASSERT_EQUAL(model.events_count, 0);
	memset(snapshot, 0, sizeof(*snapshot));
	add_device(1);
	add_process(0);
	add_process(1);
	add_usage(0, 0, GIB);
	feed();
	CU_ASSERT(event_says(0, TOP_EVENT_STARTED, "python3 (101) started"));
	CU_ASSERT_EQUAL(model.events_count, 1);
}

static void changed_limits_are_an_event(void)
{
	one_process();
	snapshot->has_policy = 1;
	snapshot->policy.generation = 4;
	strcpy(snapshot->policy.source, "limits.json");
	feed();
	feed();
	CU_ASSERT_EQUAL(model.events_count, 0);
	snapshot->policy.generation = 5;
	feed();
	CU_ASSERT(event_says(0, TOP_EVENT_POLICY,
			     "limits have changed (generation 5, from limits.json)"));
	CU_ASSERT_EQUAL(model.tenants[0]->policy.generation, 5);
}

static void old_events_make_room_for_new_ones(void)
{
	one_process();
	for (unsigned i = 0; i < TOP_EVENTS_MAX + 10; i++) {
		snapshot->processes[0].denials++;
		feed();
	}
	CU_ASSERT_EQUAL(model.events_count, TOP_EVENTS_MAX + 10);
}

static void an_agent_lives_while_its_heart_beats(void)
{
	one_process();
	feed();
	CU_ASSERT_EQUAL(model.devices[0].agent, TOP_AGENT_NONE);
	snapshot->heartbeat = 50;
	feed();
	CU_ASSERT_EQUAL(model.devices[0].agent, TOP_AGENT_UNSEEN);
	snapshot->heartbeat = 51;
	feed();
	CU_ASSERT_EQUAL(model.devices[0].agent, TOP_AGENT_ALIVE);
	for (int i = 0; i < 4; i++)
		feed();
	CU_ASSERT_EQUAL(model.devices[0].agent, TOP_AGENT_ALIVE);
	feed();
	CU_ASSERT_EQUAL(model.devices[0].agent, TOP_AGENT_SILENT);
	snapshot->heartbeat = 52;
	feed();
	CU_ASSERT_EQUAL(model.tenants[0]->agent, TOP_AGENT_ALIVE);
}

/* ---- many ---- */

static void five_hundred_processes_are_found_again_each_time(void)
{
	char name[16];

	for (int round = 0; round < 3; round++) {
		now_ns += SECOND;
		top_model_begin(&model, now_ns, unix_ns());
		for (int t = 0; t < 100; t++) {
			memset(snapshot, 0, sizeof(*snapshot));
			add_device(1);
			for (uint32_t i = 0; i < 5; i++)
				add_process(i);
			for (uint32_t i = 0; i < 5; i++)
				add_usage(i, 0, GIB)->time.launches = (uint64_t)round *
								      (i + 1);
			snprintf(name, sizeof(name), "t%d", t);
			add_look(name);
		}
		top_model_end(&model);
		CU_ASSERT_EQUAL_FATAL(model.rows_count, 600);
	}
	for (size_t i = 0; i < model.rows_count; i++) {
		const struct top_row *row = &model.rows[i];

		CU_ASSERT_EQUAL(row->value[TOP_COLUMN_LAUNCHES],
				row->slot == TOP_NO_SLOT ? 15000
							 : (row->slot + 1) * 1000);
	}
	CU_ASSERT_EQUAL(model.events_count, 0);
}

const struct unit_suite unit_suite = {
	.name = "top: model",
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(a_tenant_stands_above_its_processes),
		UNIT_TEST(rates_are_not_known_at_first_and_then_what_was_added),
		UNIT_TEST(counters_that_shrink_or_are_not_known_have_no_rate),
		UNIT_TEST(a_slot_taken_by_another_process_starts_anew),
		UNIT_TEST(who_is_held_now_counts_as_waiting),
		UNIT_TEST(each_device_of_a_tenant_has_a_row_and_its_processes),
		UNIT_TEST(a_device_has_the_sum_of_its_tenants),
		UNIT_TEST(what_cannot_be_is_bounded),
		UNIT_TEST(devices_beyond_the_most_are_left_out),
		UNIT_TEST(who_launches_or_has_work_in_flight_is_running),
		UNIT_TEST(a_refusal_is_shown_for_ten_seconds),
		UNIT_TEST(more_than_the_quota_is_over),
		UNIT_TEST(what_an_exporter_left_is_no_process),
		UNIT_TEST(a_closed_policy_is_shown),
		UNIT_TEST(a_process_that_ended_is_shown_as_gone_for_five_seconds),
		UNIT_TEST(a_tenant_whose_files_vanish_goes_with_its_processes),
		UNIT_TEST(who_comes_back_while_shown_as_gone_is_there_again),
		UNIT_TEST(tenants_that_go_leave_the_others_in_place),
		UNIT_TEST(a_ledger_that_goes_bad_leaves_old_figures_marked),
		UNIT_TEST(a_ledger_that_never_could_be_read_has_a_row),
		UNIT_TEST(refusals_are_events_with_their_time_and_size),
		UNIT_TEST(starting_is_an_event_once_there_was_a_first_look),
		UNIT_TEST(changed_limits_are_an_event),
		UNIT_TEST(old_events_make_room_for_new_ones),
		UNIT_TEST(an_agent_lives_while_its_heart_beats),
		UNIT_TEST(five_hundred_processes_are_found_again_each_time),
	},
};
