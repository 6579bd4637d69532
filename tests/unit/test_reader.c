/*
 * test_reader.c - the reader library on ledgers that are right, that change, and that lie.
 *
 * Ledgers are written here by hand, as gpushim/ledger.h says; some by a process of the
 * tenant as the guest's own code keeps them.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common_policy.h"
#include "cunit_main.h"
#include "forged_ledger.h"
#include "gpushim/reader.h"
#include "ledger/ledger.h"

#define GIB (UINT64_C(1) << 30)

static char dir[256];
static struct gpushim_reader *reader;
static struct gpushim_snapshot *snapshot;
static struct forged_ledger forged = { -1 };

static void setup(void)
{
	policy_make_dir(dir, sizeof(dir));
	snapshot = calloc(1, sizeof(*snapshot));
	mkdir(policy_path(dir, "ledger"), 0755);
	mkdir(policy_path(dir, "ledger/train"), 0755);
	mkdir(policy_path(dir, "policy"), 0755);
	mkdir(policy_path(dir, "policy/train"), 0755);
}

static void teardown(void)
{
	gpushim_reader_close(reader);
	reader = NULL;
	free(snapshot);
	forged_close(&forged);
}

/* ---- ledgers by hand ---- */

static const char *ledger_path(void)
{
	return policy_path(dir, "ledger/train/ledger");
}

static void write_ledger(void)
{
	forged_make(&forged, ledger_path(), "train");
}

static void write_at(const void *bytes, size_t count, uint64_t offset)
{
	forged_write(&forged, bytes, count, offset);
}

static void write_device(uint32_t row, uint8_t uuid, uint64_t limit_bytes)
{
	struct gpushim_ledger_device device = { .state = GPUSHIM_DEVICE_READY,
						.limit_source = GPUSHIM_SOURCE_PAGE,
						.uuid = { uuid },
						.total_bytes = 16 * GIB,
						.limit_bytes = limit_bytes,
						.peak_bytes = 5,
						.overhead_bytes = 6,
						.request_permille = 200,
						.limit_permille = 500 };

	forged_device(&forged, row, &device);
}

static void write_slot(uint32_t slot, uint32_t state, uint32_t pid, const char *command)
{
	struct gpushim_ledger_slot row = {
		.state = state, .pid = pid, .denials = 3, .policy_errors = 9
	};

	memcpy(row.command, command, strnlen(command, sizeof(row.command)));
	forged_slot(&forged, slot, &row);
}

static void write_cell(uint32_t device, uint32_t slot, uint64_t charged)
{
	struct gpushim_ledger_cell cell = { .pending = 1,
					    .charged = charged,
					    .exported_bytes = 2,
					    .imports = 3,
					    .peak_bytes = 4,
					    .kind_bytes = { 0, charged - 2 } };

	forged_cell(&forged, device, slot, &cell);
}

static int open_reader(void)
{
	gpushim_reader_close(reader);
	return gpushim_reader_open(&reader, dir, "train");
}

static void take_snapshot(void)
{
	CU_ASSERT_EQUAL_FATAL(open_reader(), 0);
	CU_ASSERT_EQUAL_FATAL(gpushim_reader_snapshot(reader, snapshot), 0);
	CU_ASSERT_STRING_EQUAL(gpushim_reader_reason(), "");
}

/* ---- what it shows ---- */

static void a_snapshot_shows_processes_devices_and_charges(void)
{
	write_ledger();
	forged_slots_used(&forged, 3);
	write_device(0, 0xa, 8 * GIB);
	write_device(3, 0xb, GPUSHIM_UNLIMITED);
	write_slot(0, GPUSHIM_SLOT_LIVE, 100, "python3");
	write_slot(2, GPUSHIM_SLOT_LIVE, 102, "ffmpeg");
	write_cell(0, 0, GIB);
	write_cell(0, 2, 2 * GIB);
	write_cell(3, 2, 7);
	forged_lock(&forged, 0, 1);
	forged_lock(&forged, 2, 1);
	take_snapshot();
	CU_ASSERT_STRING_EQUAL(snapshot->tenant, "train");
	CU_ASSERT_EQUAL(snapshot->created_unix_ns, 1234);
	CU_ASSERT_EQUAL(snapshot->has_policy, 0);
	CU_ASSERT_EQUAL(snapshot->processes_count, 2);
	CU_ASSERT_EQUAL(snapshot->processes[0].slot, 0);
	CU_ASSERT_EQUAL(snapshot->processes[1].slot, 2);
	CU_ASSERT_EQUAL(snapshot->processes[1].pid, 102);
	CU_ASSERT_EQUAL(snapshot->processes[1].alive, 1);
	CU_ASSERT_EQUAL(snapshot->processes[1].denials, 3);
	CU_ASSERT_EQUAL(snapshot->processes[1].policy_errors, 9);
	CU_ASSERT_STRING_EQUAL(snapshot->processes[1].command, "ffmpeg");
	CU_ASSERT_EQUAL(snapshot->devices_count, 2);
	CU_ASSERT_EQUAL(snapshot->devices[0].charged_bytes, 3 * GIB);
	CU_ASSERT_EQUAL(snapshot->devices[0].limit_bytes, 8 * GIB);
	CU_ASSERT_EQUAL(snapshot->devices[0].total_bytes, 16 * GIB);
	CU_ASSERT_EQUAL(snapshot->devices[0].limit_source, GPUSHIM_SOURCE_PAGE);
	CU_ASSERT_EQUAL(snapshot->devices[0].peak_bytes, 5);
	CU_ASSERT_EQUAL(snapshot->devices[0].overhead_bytes, 6);
	CU_ASSERT_EQUAL(snapshot->devices[0].request_permille, 200);
	CU_ASSERT_EQUAL(snapshot->devices[0].limit_permille, 500);
	CU_ASSERT_EQUAL(snapshot->devices[1].uuid[0], 0xb);
	CU_ASSERT_EQUAL(snapshot->devices[1].limit_bytes, GPUSHIM_UNLIMITED);
	CU_ASSERT_EQUAL(snapshot->devices[1].charged_bytes, 7);
	CU_ASSERT_EQUAL(snapshot->usages_count, 3);
	CU_ASSERT_EQUAL(snapshot->usages[2].device, 1);
	CU_ASSERT_EQUAL(snapshot->usages[2].slot, 2);
	CU_ASSERT_EQUAL(snapshot->usages[2].charged_bytes, 7);
	CU_ASSERT_EQUAL(snapshot->usages[2].pending_bytes, 1);
	CU_ASSERT_EQUAL(snapshot->usages[2].exported_bytes, 2);
	CU_ASSERT_EQUAL(snapshot->usages[2].imports, 3);
	CU_ASSERT_EQUAL(snapshot->usages[2].peak_bytes, 4);
	CU_ASSERT_EQUAL(snapshot->usages[2].kind_bytes[GPUSHIM_KIND_LINEAR], 2);
	CU_ASSERT_EQUAL(snapshot->usages[2].kind_bytes[GPUSHIM_KIND_MANAGED], 5);
}

static void the_dead_are_left_out_and_orphans_are_shown(void)
{
	write_ledger();
	forged_slots_used(&forged, 4);
	write_device(0, 0xa, 8 * GIB);
	write_slot(0, GPUSHIM_SLOT_LIVE, 100, "dead");
	write_slot(1, GPUSHIM_SLOT_ORPHAN, 101, "exporter");
	write_slot(2, GPUSHIM_SLOT_LIVE, 102, "alive");
	write_slot(3, GPUSHIM_SLOT_FREE, 103, "no more");
	for (uint32_t i = 0; i < 4; i++)
		write_cell(0, i, GIB);
	forged_lock(&forged, 2, 2);
	take_snapshot();
	CU_ASSERT_EQUAL(snapshot->processes_count, 2);
	CU_ASSERT_EQUAL(snapshot->processes[0].pid, 101);
	CU_ASSERT_EQUAL(snapshot->processes[0].state, GPUSHIM_SLOT_ORPHAN);
	CU_ASSERT_EQUAL(snapshot->processes[0].alive, 0);
	CU_ASSERT_EQUAL(snapshot->processes[1].pid, 102);
	CU_ASSERT_EQUAL(snapshot->devices[0].charged_bytes, 2 * GIB);
	/* It dies. */
	forged_close(&forged);
	CU_ASSERT_EQUAL(gpushim_reader_snapshot(reader, snapshot), 0);
	CU_ASSERT_EQUAL(snapshot->processes_count, 1);
	CU_ASSERT_EQUAL(snapshot->devices[0].charged_bytes, GIB);
}

static void the_policy_is_shown_and_may_come_later(void)
{
	const char *page = policy_path(dir, "policy/train/policy");
	uint64_t beat = 77, generation = 2;
	struct gpushim_policy_limits limits;

	write_ledger();
	take_snapshot();
	CU_ASSERT_EQUAL(snapshot->has_policy, 0);
	policy_write_page(page, "train", 3 * GIB);
	policy_overwrite(page, &beat, sizeof(beat), 64);
	CU_ASSERT_EQUAL(gpushim_reader_snapshot(reader, snapshot), 0);
	CU_ASSERT_EQUAL(snapshot->has_policy, 1);
	CU_ASSERT_EQUAL(snapshot->policy.others.memory_bytes, 3 * GIB);
	CU_ASSERT_EQUAL(snapshot->heartbeat, 77);
	policy_limits(&limits, "train", 4 * GIB);
	strcpy(limits.reason, "a\nb\033[2Jc");
	policy_change(page, &limits);
	CU_ASSERT_EQUAL(gpushim_reader_snapshot(reader, snapshot), 0);
	CU_ASSERT_EQUAL(snapshot->policy.others.memory_bytes, 4 * GIB);
	CU_ASSERT_STRING_EQUAL(snapshot->policy.reason, "a?b?[2Jc");
	generation = 3;
	policy_overwrite(page, &generation, sizeof(generation), 16);
	CU_ASSERT_EQUAL(gpushim_reader_snapshot(reader, snapshot), 0);
	CU_ASSERT_EQUAL(snapshot->has_policy, 0);
	CU_ASSERT_EQUAL(snapshot->policy.generation, 0);
}

static void files_are_read_by_name_and_as_in_a_container(void)
{
	write_ledger();
	policy_write_page(policy_path(dir, "policy/train/policy"), "train", GIB);
	CU_ASSERT_EQUAL_FATAL(
		gpushim_reader_open_files(&reader, ledger_path(),
					  policy_path(dir, "policy/train/policy")),
		0);
	CU_ASSERT_EQUAL(gpushim_reader_snapshot(reader, snapshot), 0);
	CU_ASSERT_EQUAL(snapshot->has_policy, 1);
	gpushim_reader_close(reader);
	CU_ASSERT_EQUAL_FATAL(gpushim_reader_open_files(&reader, ledger_path(), NULL), 0);
	CU_ASSERT_EQUAL(gpushim_reader_snapshot(reader, snapshot), 0);
	CU_ASSERT_EQUAL(snapshot->has_policy, 0);
	gpushim_reader_close(reader);
	CU_ASSERT_EQUAL(rename(ledger_path(), policy_path(dir, "ledger/ledger")), 0);
	policy_write_page(policy_path(dir, "policy/policy"), "train", GIB);
	CU_ASSERT_EQUAL_FATAL(gpushim_reader_open(&reader, dir, NULL), 0);
	CU_ASSERT_EQUAL(gpushim_reader_snapshot(reader, snapshot), 0);
	CU_ASSERT_EQUAL(snapshot->has_policy, 1);
}

static void a_real_process_is_seen_until_it_dies(void)
{
	static struct gsh_ledger ledger;
	const uint8_t uuid[16] = { 0xa };
	struct gsh_reason why;
	int ready[2], status;
	char byte;
	pid_t pid;

	CU_ASSERT_EQUAL_FATAL(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		int row;

		if (gsh_ledger_open(&ledger, ledger_path(), "train", &why) < 0)
			_exit(1);
		row = gsh_ledger_device(&ledger, uuid, 16 * GIB);
		if (row < 0 || gsh_ledger_reserve(&ledger, (uint32_t)row,
						  GPUSHIM_KIND_VMM, GIB, 2 * GIB) < 0)
			_exit(1);
		gsh_ledger_denied(&ledger, 5 * GIB);
		if (write(ready[1], "r", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	CU_ASSERT_EQUAL_FATAL(read(ready[0], &byte, 1), 1);
	take_snapshot();
	CU_ASSERT_EQUAL_FATAL(snapshot->processes_count, 1);
	CU_ASSERT_EQUAL(snapshot->processes[0].pid, (uint32_t)pid);
	CU_ASSERT_EQUAL(snapshot->processes[0].denials, 1);
	CU_ASSERT_EQUAL(snapshot->processes[0].last_denied_bytes, 5 * GIB);
	CU_ASSERT_EQUAL(snapshot->devices[0].charged_bytes, GIB);
	CU_ASSERT_EQUAL(snapshot->usages[0].kind_bytes[GPUSHIM_KIND_VMM], GIB);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	CU_ASSERT_EQUAL(gpushim_reader_snapshot(reader, snapshot), 0);
	CU_ASSERT_EQUAL(snapshot->processes_count, 0);
	CU_ASSERT_EQUAL(snapshot->devices[0].charged_bytes, 0);
	close(ready[0]);
}

/* ---- what lies ---- */

static void everything_that_lies_is_bounded(void)
{
	char junk[256];

	write_ledger();
	forged_slots_used(&forged, UINT32_MAX);
	write_at(
		"no end of it, and of this, and of that, and of more than fits in the name",
		64, 64);
	write_device(0, 0xa, GIB);
	memset(junk, 0xff, sizeof(junk));
	write_at(junk, sizeof(junk), gpushim_ledger_slot_offset(511));
	write_at(junk, 128, gpushim_ledger_cell_offset(0, 511));
	write_slot(1, 77, 1, "\033]0;own\007 the title");
	write_cell(0, 1, GIB);
	forged_lock(&forged, 0, 512);
	take_snapshot();
	CU_ASSERT_EQUAL(snapshot->processes_count, 2);
	CU_ASSERT_EQUAL(snapshot->processes[0].slot, 1);
	CU_ASSERT_EQUAL(snapshot->processes[0].state, GPUSHIM_SLOT_LIVE);
	CU_ASSERT_STRING_EQUAL(snapshot->processes[0].command, "?]0;own? the ti");
	CU_ASSERT_STRING_EQUAL(snapshot->processes[1].command, "???????????????");
	CU_ASSERT_EQUAL(strlen(snapshot->tenant), 63);
	/* The sum does not wrap. */
	CU_ASSERT_EQUAL(snapshot->devices[0].charged_bytes, UINT64_MAX);
}

static void cells_that_do_not_fit_are_counted(void)
{
	struct gpushim_ledger_slot slot = { .state = GPUSHIM_SLOT_LIVE };
	struct gpushim_ledger_cell cell = { .charged = 1 };

	write_ledger();
	forged_slots_used(&forged, 512);
	for (uint32_t i = 0; i < 512; i++)
		forged_slot(&forged, i, &slot);
	for (uint32_t device = 0; device < 16; device++) {
		write_device(device, (uint8_t)(device + 1), GIB);
		for (uint32_t i = 0; i < 512; i++)
			forged_cell(&forged, device, i, &cell);
	}
	forged_lock(&forged, 0, 512);
	take_snapshot();
	CU_ASSERT_EQUAL(snapshot->processes_count, 512);
	CU_ASSERT_EQUAL(snapshot->devices_count, 16);
	CU_ASSERT_EQUAL(snapshot->usages_count, 2048);
	CU_ASSERT_EQUAL(snapshot->usages_left_out, 16 * 512 - 2048);
	for (int i = 0; i < 16; i++)
		CU_ASSERT_EQUAL(snapshot->devices[i].charged_bytes, 512);
}

static void a_header_that_lies_is_refused(void)
{
	/* Every field but the time of creation, the tenant's name and the slots used. */
	for (uint64_t at = 0; at < 176; at++) {
		int opened;

		if (at == 56)
			at = 136;
		write_ledger();
		write_at("\xee", 1, at);
		opened = open_reader();
		CU_ASSERT_EQUAL(opened, at >= 8 && at < 12 ? -EPROTONOSUPPORT : -EPROTO);
		CU_ASSERT(gpushim_reader_reason()[0] != '\0');
		CU_ASSERT_PTR_NULL(reader);
	}
	write_ledger();
	write_at("\0\0\0\0", 4, 132);
	CU_ASSERT_EQUAL(open_reader(), -EPROTO);
}

static void a_file_of_another_size_is_refused(void)
{
	static const off_t sizes[] = { 0,	100,	 4095,	  4096,		 135168,
				       1183744, 2299903, 2299905, (off_t)1 << 40 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		write_ledger();
		CU_ASSERT_EQUAL(truncate(ledger_path(), sizes[i]), 0);
		CU_ASSERT_EQUAL(open_reader(), -EPROTO);
		CU_ASSERT_PTR_NULL(reader);
	}
}

static bool is_empty(const void *bytes, size_t count)
{
	const char *p = bytes;

	return p[0] == 0 && memcmp(p, p + 1, count - 1) == 0;
}

static void a_ledger_that_goes_bad_later_gives_an_empty_snapshot(void)
{
	write_ledger();
	forged_slots_used(&forged, 1);
	write_slot(0, GPUSHIM_SLOT_LIVE, 100, "python3");
	forged_lock(&forged, 0, 1);
	take_snapshot();
	CU_ASSERT_EQUAL(snapshot->processes_count, 1);
	CU_ASSERT_EQUAL(truncate(ledger_path(), 5000), 0);
	CU_ASSERT_EQUAL(gpushim_reader_snapshot(reader, snapshot), -EPROTO);
	CU_ASSERT(is_empty(snapshot, sizeof(*snapshot)));
	CU_ASSERT_EQUAL(truncate(ledger_path(), 0), 0);
	CU_ASSERT_EQUAL(gpushim_reader_snapshot(reader, snapshot), -EPROTO);
	CU_ASSERT(policy_says(gpushim_reader_reason(), "truncated"));
}

static void links_are_not_followed_below_the_directory(void)
{
	const char *outside = policy_path(dir, "outside"), *tenant_dir;

	write_ledger();
	CU_ASSERT_EQUAL(rename(ledger_path(), outside), 0);
	CU_ASSERT_EQUAL(symlink(outside, ledger_path()), 0);
	CU_ASSERT_EQUAL(open_reader(), -ELOOP);
	CU_ASSERT(policy_says(gpushim_reader_reason(), "link"));
	CU_ASSERT(policy_says(gpushim_reader_reason(), dir));
	CU_ASSERT_EQUAL(gpushim_reader_open_files(&reader, ledger_path(), NULL), -ELOOP);
	/* The tenant's directory as a link. */
	unlink(ledger_path());
	tenant_dir = policy_path(dir, "ledger/train");
	CU_ASSERT_EQUAL(rename(tenant_dir, policy_path(dir, "elsewhere")), 0);
	CU_ASSERT_EQUAL(symlink("../elsewhere", tenant_dir), 0);
	write_ledger();
	CU_ASSERT_EQUAL(open_reader(), -ELOOP);
}

static void a_policy_that_is_a_link_is_no_policy(void)
{
	write_ledger();
	policy_write_page(policy_path(dir, "outside"), "train", GIB);
	CU_ASSERT_EQUAL(symlink(policy_path(dir, "outside"),
				policy_path(dir, "policy/train/policy")),
			0);
	take_snapshot();
	CU_ASSERT_EQUAL(snapshot->has_policy, 0);
}

static void what_is_no_file_is_refused_and_not_waited_for(void)
{
	CU_ASSERT_EQUAL(mkfifo(ledger_path(), 0666), 0);
	CU_ASSERT_EQUAL(open_reader(), -EPROTO);
	CU_ASSERT(gpushim_reader_open_files(&reader, ledger_path(), NULL) < 0);
	CU_ASSERT_PTR_NULL(reader);
	unlink(ledger_path());
	CU_ASSERT_EQUAL(mkdir(ledger_path(), 0777), 0);
	CU_ASSERT_EQUAL(open_reader(), -EPROTO);
	CU_ASSERT_EQUAL(mkfifo(policy_path(dir, "policy/train/policy"), 0666), 0);
	rmdir(ledger_path());
	write_ledger();
	take_snapshot();
	CU_ASSERT_EQUAL(snapshot->has_policy, 0);
}

static void what_is_not_there_is_said(void)
{
	CU_ASSERT_EQUAL(open_reader(), -ENOENT);
	CU_ASSERT(policy_says(gpushim_reader_reason(), "tenant train in "));
	CU_ASSERT_EQUAL(gpushim_reader_open(&reader, "/nowhere", "train"), -ENOENT);
	CU_ASSERT(policy_says(gpushim_reader_reason(), "/nowhere"));
	CU_ASSERT_EQUAL(gpushim_reader_open(&reader, dir, "../train"), -EINVAL);
	CU_ASSERT_EQUAL(gpushim_reader_open(&reader, dir, ""), -EINVAL);
	CU_ASSERT(policy_says(gpushim_reader_reason(), "tenant"));
	CU_ASSERT_EQUAL(gpushim_reader_open_files(&reader, "/nowhere", NULL), -ENOENT);
	CU_ASSERT_PTR_NULL(reader);
	gpushim_reader_close(NULL);
}

static void every_value_has_a_name(void)
{
	for (uint32_t i = 0; i < 300; i++) {
		CU_ASSERT_EQUAL(strcmp(gpushim_kind_name(i), "?") == 0,
				i >= GPUSHIM_KIND_COUNT);
		CU_ASSERT_EQUAL(strcmp(gpushim_limit_source_name(i), "?") == 0,
				i > GPUSHIM_SOURCE_DRIVER);
		CU_ASSERT_EQUAL(strcmp(gpushim_slot_state_name(i), "?") == 0,
				i > GPUSHIM_SLOT_ORPHAN);
		CU_ASSERT_EQUAL(strcmp(gpushim_launch_kind_name(i), "?") == 0,
				i > GPUSHIM_LAUNCH_COPY);
		CU_ASSERT_EQUAL(strcmp(gpushim_cost_class_name(i), "?") == 0,
				i > GPUSHIM_COST_VARIABLE);
	}
	CU_ASSERT_STRING_EQUAL(gpushim_limit_source_name(GPUSHIM_SOURCE_FILE),
			       "limits.json");
	CU_ASSERT_STRING_EQUAL(gpushim_kind_name(UINT32_MAX), "?");
	CU_ASSERT_STRING_EQUAL(gpushim_cost_class_name(GPUSHIM_COST_VARIABLE),
			       "variable");
	CU_ASSERT_STRING_EQUAL(gpushim_launch_kind_name(GPUSHIM_LAUNCH_GRAPH), "graph");
}

const struct unit_suite unit_suite = {
	.name = "reader library",
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(a_snapshot_shows_processes_devices_and_charges),
		UNIT_TEST(the_dead_are_left_out_and_orphans_are_shown),
		UNIT_TEST(the_policy_is_shown_and_may_come_later),
		UNIT_TEST(files_are_read_by_name_and_as_in_a_container),
		UNIT_TEST(a_real_process_is_seen_until_it_dies),
		UNIT_TEST(everything_that_lies_is_bounded),
		UNIT_TEST(cells_that_do_not_fit_are_counted),
		UNIT_TEST(a_header_that_lies_is_refused),
		UNIT_TEST(a_file_of_another_size_is_refused),
		UNIT_TEST(a_ledger_that_goes_bad_later_gives_an_empty_snapshot),
		UNIT_TEST(links_are_not_followed_below_the_directory),
		UNIT_TEST(a_policy_that_is_a_link_is_no_policy),
		UNIT_TEST(what_is_no_file_is_refused_and_not_waited_for),
		UNIT_TEST(what_is_not_there_is_said),
		UNIT_TEST(every_value_has_a_name),
	},
};
