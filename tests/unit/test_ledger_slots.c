/*
 * Whose slot is whose: who lives, who does not, and what the dead leave behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "common_ledger.h"
#include "cunit_main.h"
#include "ledger/slots.h"

static const uint64_t limit_bytes = UINT64_C(100) * LEDGER_MIB;

/* The ledger in a peer; _exit(90) if it cannot be had. */
static struct gsh_ledger theirs;
static uint32_t their_row;

static void open_theirs(void)
{
	struct gsh_reason why;

	if (gsh_ledger_open(&theirs, ledger_path(), "t", &why) < 0)
		_exit(90);
	their_row = ledger_row(&theirs);
}

static void reserve_theirs(uint64_t mib)
{
	if (gsh_ledger_reserve(&theirs, their_row, GPUSHIM_KIND_LINEAR, mib * LEDGER_MIB,
			       limit_bytes) < 0)
		_exit(91);
}

/* Holds 60 MiB until it goes on. */
static int holder(struct peer *self, void *arg)
{
	(void)arg;
	open_theirs();
	reserve_theirs(60);
	peer_tell(self, theirs.slot);
	return 0;
}

static bool fits(struct gsh_ledger *ledger, uint64_t mib)
{
	uint32_t row = ledger_row(ledger);
	bool granted = gsh_ledger_reserve(ledger, row, GPUSHIM_KIND_LINEAR,
					  mib * LEDGER_MIB, limit_bytes) == 0;

	if (granted)
		gsh_ledger_refund(ledger, row, GPUSHIM_KIND_LINEAR, mib * LEDGER_MIB);
	return granted;
}

static uint64_t used_mib(struct gsh_ledger *ledger)
{
	return gsh_ledger_used(ledger, ledger_row(ledger)) / LEDGER_MIB;
}

/* ---- the dead ---- */

static void the_dead_are_cleared_before_anybody_is_refused(void)
{
	struct gsh_ledger ledger;
	struct peer peer;

	ledger_opened(&ledger);
	peer = peer_start(holder, NULL);
	CU_ASSERT_FALSE(fits(&ledger, 41));
	CU_ASSERT_TRUE(fits(&ledger, 40));
	peer_kill(&peer);
	CU_ASSERT_EQUAL(used_mib(&ledger), 60);
	CU_ASSERT_TRUE(fits(&ledger, 100));
	CU_ASSERT_EQUAL(used_mib(&ledger), 0);
	CU_ASSERT_EQUAL(ledger.own->reaped_slots, 1);
	CU_ASSERT_EQUAL(ledger.own->denials, 0);
	gsh_ledger_close(&ledger);
}

static void the_next_starter_clears_the_dead_and_takes_the_lowest_slot(void)
{
	struct gsh_ledger ledger;
	struct peer first = peer_start(holder, NULL), second;
	uint64_t incarnation;

	CU_ASSERT_EQUAL(peer_number(&first), 0);
	peer_kill(&first);
	second = peer_start(holder, NULL);
	CU_ASSERT_EQUAL(peer_number(&second), 0);
	ledger_opened(&ledger);
	CU_ASSERT_EQUAL(ledger.slot, 1);
	CU_ASSERT_EQUAL(used_mib(&ledger), 60);
	incarnation = ledger.slots[0].incarnation;
	CU_ASSERT_EQUAL(incarnation, 2);
	CU_ASSERT_EQUAL(ledger.slots[0].allocations, 1);
	CU_ASSERT_EQUAL(ledger.header->slots_used, 2);
	CU_ASSERT_EQUAL(peer_end(&second), 0);
	CU_ASSERT_EQUAL(gsh_ledger_reap(&ledger), 1);
	CU_ASSERT_EQUAL(gsh_ledger_reap(&ledger), 0);
	CU_ASSERT_EQUAL(ledger.slots[0].state, GPUSHIM_SLOT_FREE);
	gsh_ledger_close(&ledger);
}

static pid_t fork_keeper(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

/* Dies between the first and the last step of a reservation; arg: leaves a child. */
static int dies_pending(struct peer *self, void *arg)
{
	open_theirs();
	reserve_theirs(10);
	gsh_ledger_cell(&theirs, their_row, theirs.slot)->pending = 100 * LEDGER_MIB;
	peer_tell(self, arg ? (uint64_t)fork_keeper() : 0);
	return 0;
}

/* What of it still counts, of a dead process with or without a child that lives. */
static void dies_while_it_reserves(void *with_keeper, uint64_t kept_mib)
{
	struct gsh_ledger ledger;
	struct peer peer;
	uint64_t start_ns;
	pid_t keeper;

	ledger_opened(&ledger);
	peer = peer_start(dies_pending, with_keeper);
	keeper = (pid_t)peer_number(&peer);
	/* While it lives it is believed. */
	CU_ASSERT_EQUAL(gsh_ledger_reap(&ledger), 0);
	CU_ASSERT_EQUAL(gsh_ledger_cell(&ledger, ledger_row(&ledger), 1)->pending,
			100 * LEDGER_MIB);
	peer_kill(&peer);
	start_ns = gsh_clock_now_ns();
	CU_ASSERT_TRUE(fits(&ledger, 100 - kept_mib));
	/* Long before those who only hesitate are counted. */
	CU_ASSERT_TRUE(gsh_clock_now_ns() - start_ns < GSH_QUOTA_PATIENCE_NS / 2);
	CU_ASSERT_EQUAL(gsh_ledger_cell(&ledger, ledger_row(&ledger), 1)->pending, 0);
	CU_ASSERT_EQUAL(used_mib(&ledger), kept_mib);
	orphan_kill(keeper);
	CU_ASSERT_TRUE(fits(&ledger, 100));
	gsh_ledger_close(&ledger);
}

static void what_a_dead_process_was_about_to_reserve_does_not_count(void)
{
	dies_while_it_reserves(NULL, 0);
}

static void children_keep_what_was_had_and_not_what_was_about_to_be(void)
{
	static int with_keeper;

	dies_while_it_reserves(&with_keeper, 10);
}

static void sequences_outlive_their_processes(void)
{
	struct gsh_ledger ledger;
	struct peer peer;
	uint64_t sequence;
	struct gpushim_ledger_cell *cell;

	ledger_opened(&ledger);
	peer = peer_start(holder, NULL);
	cell = gsh_ledger_cell(&ledger, ledger_row(&ledger), 1);
	sequence = cell->sequence;
	CU_ASSERT_EQUAL(sequence, 1);
	peer_kill(&peer);
	gsh_ledger_reap(&ledger);
	CU_ASSERT_EQUAL(cell->sequence, sequence);
	peer = peer_start(holder, NULL);
	CU_ASSERT_EQUAL(cell->sequence, sequence + 1);
	peer_kill(&peer);
	gsh_ledger_close(&ledger);
}

/* ---- who keeps a slot ---- */

static int leaves_a_keeper(struct peer *self, void *arg)
{
	(void)arg;
	open_theirs();
	reserve_theirs(60);
	peer_tell(self, (uint64_t)fork_keeper());
	return 0;
}

static void forked_children_keep_the_charge_as_they_keep_the_memory(void)
{
	struct gsh_ledger ledger;
	struct peer peer;
	pid_t keeper;

	ledger_opened(&ledger);
	peer = peer_start(leaves_a_keeper, NULL);
	keeper = (pid_t)peer_number(&peer);
	peer_kill(&peer);
	CU_ASSERT_FALSE(fits(&ledger, 41));
	CU_ASSERT_EQUAL(gsh_ledger_reap(&ledger), 0);
	CU_ASSERT_TRUE(gsh_ledger_slot_alive(ledger.fd, 1));
	orphan_kill(keeper);
	CU_ASSERT_FALSE(gsh_ledger_slot_alive(ledger.fd, 1));
	CU_ASSERT_TRUE(fits(&ledger, 100));
	gsh_ledger_close(&ledger);
}

static int forks_one_with_a_slot(struct peer *self, void *arg)
{
	struct peer child;

	(void)arg;
	open_theirs();
	reserve_theirs(10);
	/* Reports through its parent's socket. */
	child.pid = fork();
	if (child.pid == 0) {
		open_theirs();
		reserve_theirs(20);
		peer_tell(self, theirs.slot);
		return 0;
	}
	waitpid(child.pid, NULL, 0);
	peer_meet(self);
	return 0;
}

static void a_child_that_uses_the_device_has_a_slot_of_its_own(void)
{
	struct gsh_ledger ledger;
	struct peer peer;

	ledger_opened(&ledger);
	peer = peer_start(forks_one_with_a_slot, NULL);
	CU_ASSERT_EQUAL(peer_number(&peer), 2);
	CU_ASSERT_EQUAL(used_mib(&ledger), 30);
	CU_ASSERT_TRUE(peer_go(&peer));
	/* The child has ended; the parent has not. */
	CU_ASSERT_EQUAL(gsh_ledger_reap(&ledger), 1);
	CU_ASSERT_EQUAL(used_mib(&ledger), 10);
	peer_kill(&peer);
	gsh_ledger_close(&ledger);
}

/* Closes all it has; arg: the mapping too, as a control. */
static int closes_everything(struct peer *self, void *arg)
{
	int saved;

	open_theirs();
	reserve_theirs(60);
	if (arg)
		munmap(theirs.header, GPUSHIM_LEDGER_BYTES);
	/* But its way to the test. */
	saved = dup2(self->fd, 3);
	syscall(SYS_close_range, 4, ~0u, 0);
	self->fd = saved;
	peer_meet(self);
	return 0;
}

static void closefrom_does_not_give_the_slot_up(void)
{
	struct gsh_ledger ledger;
	struct peer peer;

	ledger_opened(&ledger);
	peer = peer_start(closes_everything, NULL);
	CU_ASSERT_TRUE_FATAL(peer.pid > 0);
	CU_ASSERT_EQUAL(gsh_ledger_reap(&ledger), 0);
	CU_ASSERT_FALSE(fits(&ledger, 41));
	peer_kill(&peer);
	CU_ASSERT_TRUE(fits(&ledger, 100));
	/* The control: the descriptor alone would not do. */
	peer = peer_start(closes_everything, &ledger);
	CU_ASSERT_TRUE_FATAL(peer.pid > 0);
	CU_ASSERT_EQUAL(gsh_ledger_reap(&ledger), 1);
	peer_kill(&peer);
	gsh_ledger_close(&ledger);
}

static int executes(struct peer *self, void *arg)
{
	(void)arg;
	open_theirs();
	reserve_theirs(60);
	/* The new program waits on the socket as peer_tell() would. */
	if (dup2(self->fd, 0) < 0 || dup2(self->fd, 1) < 0)
		return 92;
	execlp("sh", "sh", "-c", "printf m; read -r line", (char *)NULL);
	return 93;
}

static void exec_gives_the_slot_up(void)
{
	struct gsh_ledger ledger;
	struct peer peer;

	ledger_opened(&ledger);
	peer = peer_start(executes, NULL);
	CU_ASSERT_TRUE_FATAL(peer.pid > 0);
	CU_ASSERT_EQUAL(kill(peer.pid, 0), 0);
	CU_ASSERT_TRUE(fits(&ledger, 100));
	peer_kill(&peer);
	gsh_ledger_close(&ledger);
}

static int in_namespace(struct peer *self, void *arg)
{
	pid_t pid;

	(void)arg;
	if (unshare(CLONE_NEWPID) < 0)
		return 77;
	pid = fork();
	if (pid == 0) {
		open_theirs();
		reserve_theirs(30);
		if (getpid() != 1 || theirs.own->pid != 1)
			_exit(94);
		peer_tell(self, (uint64_t)theirs.slot);
		_exit(0);
	}
	/* Who is killed takes his first process with him. */
	waitpid(pid, NULL, 0);
	return 0;
}

static void equal_pids_in_different_namespaces_are_different_processes(void)
{
	struct gsh_ledger ledger;
	struct peer first, second;
	uint64_t one, other;

	ledger_opened(&ledger);
	first = peer_start(in_namespace, NULL);
	if (first.result == 77) {
		unit_skip("no PID namespace may be made here");
		gsh_ledger_close(&ledger);
		return;
	}
	second = peer_start(in_namespace, NULL);
	one = peer_number(&first);
	other = peer_number(&second);
	CU_ASSERT_NOT_EQUAL_FATAL(one, other);
	CU_ASSERT_EQUAL(ledger.slots[one].pid, 1);
	CU_ASSERT_EQUAL(ledger.slots[other].pid, 1);
	CU_ASSERT_NOT_EQUAL(ledger.slots[one].pid_namespace,
			    ledger.slots[other].pid_namespace);
	CU_ASSERT_EQUAL(used_mib(&ledger), 60);
	CU_ASSERT_EQUAL(peer_end(&first), 0);
	CU_ASSERT_EQUAL(gsh_ledger_reap(&ledger), 1);
	CU_ASSERT_EQUAL(used_mib(&ledger), 30);
	CU_ASSERT_EQUAL(ledger.slots[other].state, GPUSHIM_SLOT_LIVE);
	CU_ASSERT_EQUAL(peer_end(&second), 0);
	gsh_ledger_close(&ledger);
}

/* ---- descriptors ---- */

static void the_descriptor_lies_above_those_that_come_later(void)
{
	struct gsh_ledger ledger;
	int fds[200];

	ledger_opened(&ledger);
	CU_ASSERT_TRUE(ledger.fd > 1000);
	CU_ASSERT_EQUAL(fcntl(ledger.fd, F_GETFD), FD_CLOEXEC);
	for (int i = 0; i < 200; i++) {
		fds[i] = open("/dev/null", O_RDONLY);
		CU_ASSERT_TRUE(fds[i] < ledger.fd);
	}
	for (int i = 0; i < 200; i++)
		close(fds[i]);
	gsh_ledger_close(&ledger);
}

/* Where descriptors are few, and the highest ones are taken. */
static int with_few_descriptors(struct peer *self, void *arg)
{
	struct rlimit few = { 64, 64 };

	(void)self;
	(void)arg;
	dup2(0, 63);
	dup2(0, 62);
	if (setrlimit(RLIMIT_NOFILE, &few) < 0)
		return 1;
	open_theirs();
	return theirs.fd == 61 ? 0 : 2;
}

static void few_descriptors_are_enough(void)
{
	struct peer peer = peer_start(with_few_descriptors, NULL);

	CU_ASSERT_EQUAL(peer.result, 0);
}

static void a_program_that_takes_our_number_keeps_its_file(void)
{
	struct gsh_ledger ledger;
	struct peer peer;
	int fds[2], number;

	ledger_opened(&ledger);
	number = ledger.fd;
	CU_ASSERT_EQUAL(pipe(fds), 0);
	CU_ASSERT_EQUAL(dup2(fds[1], number), number);
	peer = peer_start(holder, NULL);
	/* The living are seen through the path, and the dead as well. */
	CU_ASSERT_FALSE(fits(&ledger, 41));
	peer_kill(&peer);
	CU_ASSERT_TRUE(fits(&ledger, 100));
	gsh_ledger_close(&ledger);
	CU_ASSERT_EQUAL(write(number, "x", 1), 1);
	close(number);
	close(fds[0]);
	close(fds[1]);
}

static void a_ledger_whose_path_is_gone_is_reaped_all_the_same(void)
{
	struct gsh_ledger ledger;
	struct peer peer;

	ledger_opened(&ledger);
	peer = peer_start(holder, NULL);
	CU_ASSERT_EQUAL(unlink(ledger_path()), 0);
	peer_kill(&peer);
	CU_ASSERT_TRUE(fits(&ledger, 100));
	/* Nor is another one that lies there now taken for it. */
	peer = peer_start(holder, NULL);
	CU_ASSERT_EQUAL(peer_number(&peer), 0);
	peer_kill(&peer);
	CU_ASSERT_TRUE(fits(&ledger, 100));
	CU_ASSERT_EQUAL(gsh_ledger_reap(&ledger), 0);
	gsh_ledger_close(&ledger);
}

static void a_relative_path_is_found_after_a_change_of_directory(void)
{
	struct gsh_ledger ledger;
	struct gsh_reason why;
	char before[512];
	struct gsh_second second;

	CU_ASSERT_PTR_NOT_NULL_FATAL(getcwd(before, sizeof(before)));
	CU_ASSERT_EQUAL_FATAL(chdir(ledger_file(".")), 0);
	CU_ASSERT_EQUAL_FATAL(gsh_ledger_open(&ledger, "ledger", "t", &why), 0);
	CU_ASSERT_EQUAL_FATAL(chdir(before), 0);
	CU_ASSERT_EQUAL_FATAL(gsh_second_open(&ledger, &second), 0);
	gsh_second_close(&ledger, &second);
	gsh_ledger_close(&ledger);
}

/* ---- clearing ---- */

/* Forks a keeper, locks the dead slot 1 as one who clears it, and stays there. */
static int clearer(struct peer *self, void *arg)
{
	struct gsh_second second;
	int fd;

	open_theirs();
	peer_tell(self, (uint64_t)fork_keeper());
	if (gsh_second_open(&theirs, &second) < 0)
		return 92;
	/* As a control: under the description that the keeper has too. */
	fd = arg ? theirs.fd : second.fd;
	if (gsh_slot_lock_clearing(fd, 1) < 0)
		return 93;
	peer_meet(self);
	return 0;
}

static struct peer dead_slot_1_and_a_clearer(pid_t *keeper, void *shared)
{
	struct peer dead = peer_start(holder, NULL), peer = peer_begin(clearer, shared);

	CU_ASSERT_EQUAL_FATAL(peer_number(&dead), 1);
	/* It clears the dead when it starts, so let it come first. */
	CU_ASSERT_TRUE_FATAL(peer_stops(&peer));
	*keeper = (pid_t)peer_number(&peer);
	peer_kill(&dead);
	CU_ASSERT_TRUE_FATAL(peer_go(&peer));
	return peer;
}

static void a_clearer_killed_halfway_leaves_the_slot_to_the_next(void)
{
	struct gsh_ledger ledger;
	struct peer peer;
	pid_t keeper;

	ledger_opened(&ledger);
	peer = dead_slot_1_and_a_clearer(&keeper, NULL);
	/* Halfway: some of it has gone. */
	gsh_ledger_cell(&ledger, ledger_row(&ledger), 1)->charged = 7;
	peer_kill(&peer);
	CU_ASSERT_TRUE(fits(&ledger, 100));
	orphan_kill(keeper);
	gsh_ledger_reap(&ledger);

	/* The control: a lock that his children have outlives him. */
	peer = dead_slot_1_and_a_clearer(&keeper, &ledger);
	peer_kill(&peer);
	CU_ASSERT_FALSE(fits(&ledger, 100));
	orphan_kill(keeper);
	CU_ASSERT_TRUE(fits(&ledger, 100));
	gsh_ledger_close(&ledger);
}

static void a_slot_that_is_being_cleared_is_not_taken_for_alive(void)
{
	struct gsh_ledger ledger;
	struct peer peer;
	pid_t keeper;

	ledger_opened(&ledger);
	peer = dead_slot_1_and_a_clearer(&keeper, NULL);
	CU_ASSERT_EQUAL(gsh_slot_holder(ledger.fd, 1), GSH_SLOT_BEING_CLEARED);
	CU_ASSERT_FALSE(gsh_ledger_slot_alive(ledger.fd, 1));
	/* Who does not go on is not waited for very long. */
	CU_ASSERT_FALSE(fits(&ledger, 100));
	CU_ASSERT_TRUE(fits(&ledger, 40));
	CU_ASSERT_EQUAL(ledger.slots[1].state, GPUSHIM_SLOT_LIVE);
	peer_kill(&peer);
	CU_ASSERT_TRUE(fits(&ledger, 100));
	orphan_kill(keeper);
	gsh_ledger_close(&ledger);
}

/* ---- memory that others keep ---- */

static int exporter(struct peer *self, void *arg)
{
	(void)arg;
	open_theirs();
	reserve_theirs(20);
	if (gsh_ledger_reserve(&theirs, their_row, GPUSHIM_KIND_VMM, 40 * LEDGER_MIB,
			       limit_bytes) < 0)
		return 92;
	gsh_ledger_export(&theirs, their_row, 50 * LEDGER_MIB);
	gsh_ledger_export(&theirs, their_row, -20 * LEDGER_MIB);
	peer_tell(self, theirs.slot);
	return 0;
}

static int importer(struct peer *self, void *arg)
{
	(void)arg;
	open_theirs();
	gsh_ledger_import(&theirs, their_row, 2);
	gsh_ledger_import(&theirs, their_row, -1);
	peer_meet(self);
	gsh_ledger_import(&theirs, their_row, -1);
	peer_meet(self);
	return 0;
}

static void exported_memory_stays_charged_while_somebody_has_imported(void)
{
	struct gsh_ledger ledger;
	struct gpushim_ledger_cell *cell;
	struct peer from, to;
	uint32_t row;

	ledger_opened(&ledger);
	row = ledger_row(&ledger);
	from = peer_start(exporter, NULL);
	to = peer_start(importer, NULL);
	cell = gsh_ledger_cell(&ledger, row, 1);
	CU_ASSERT_TRUE(gsh_ledger_has_imports(&ledger, row));
	peer_kill(&from);
	CU_ASSERT_FALSE(fits(&ledger, 71));
	CU_ASSERT_TRUE(fits(&ledger, 70));
	CU_ASSERT_EQUAL(ledger.slots[1].state, GPUSHIM_SLOT_ORPHAN);
	CU_ASSERT_EQUAL(cell->charged, 30 * LEDGER_MIB);
	CU_ASSERT_EQUAL(cell->kind_bytes[GPUSHIM_KIND_VMM], 30 * LEDGER_MIB);
	CU_ASSERT_EQUAL(cell->kind_bytes[GPUSHIM_KIND_LINEAR], 0);
	/* Nobody takes such a slot. */
	from = peer_start(holder, NULL);
	CU_ASSERT_EQUAL(peer_number(&from), 3);
	peer_kill(&from);
	CU_ASSERT_EQUAL(gsh_ledger_reap(&ledger), 1);
	CU_ASSERT_EQUAL(gsh_ledger_reap(&ledger), 0);
	/* The last import is closed. */
	CU_ASSERT_TRUE(peer_go(&to));
	CU_ASSERT_FALSE(gsh_ledger_has_imports(&ledger, row));
	CU_ASSERT_TRUE(fits(&ledger, 100));
	CU_ASSERT_EQUAL(ledger.slots[1].state, GPUSHIM_SLOT_FREE);
	CU_ASSERT_EQUAL(cell->exported_bytes, 0);
	peer_kill(&to);
	gsh_ledger_close(&ledger);
}

static void importers_that_died_keep_nothing(void)
{
	struct gsh_ledger ledger;
	struct peer from, to;
	uint32_t row;

	ledger_opened(&ledger);
	row = ledger_row(&ledger);
	from = peer_start(exporter, NULL);
	to = peer_start(importer, NULL);
	peer_kill(&from);
	CU_ASSERT_EQUAL(gsh_ledger_reap(&ledger), 1);
	CU_ASSERT_EQUAL(used_mib(&ledger), 30);
	peer_kill(&to);
	CU_ASSERT_FALSE(gsh_ledger_has_imports(&ledger, row));
	CU_ASSERT_EQUAL(used_mib(&ledger), 0);
	CU_ASSERT_EQUAL(ledger.slots[1].state, GPUSHIM_SLOT_FREE);
	CU_ASSERT_EQUAL(ledger.slots[2].state, GPUSHIM_SLOT_FREE);
	gsh_ledger_close(&ledger);
}

static void without_imports_an_exporter_leaves_nothing(void)
{
	struct gsh_ledger ledger;
	struct peer from;

	ledger_opened(&ledger);
	from = peer_start(exporter, NULL);
	peer_kill(&from);
	CU_ASSERT_TRUE(fits(&ledger, 100));
	CU_ASSERT_FALSE(gsh_ledger_has_imports(&ledger, ledger_row(&ledger)));
	gsh_ledger_close(&ledger);
}

/* ---- taking slots ---- */

static void when_all_slots_are_alive_the_next_is_told_so(void)
{
	static struct gsh_ledger all[GPUSHIM_SLOTS_MAX];
	struct gsh_ledger one_more;
	struct gsh_reason why = { "" };

	for (uint32_t i = 0; i < GPUSHIM_SLOTS_MAX; i++) {
		ledger_opened(&all[i]);
		CU_ASSERT_EQUAL(all[i].slot, i);
	}
	CU_ASSERT_EQUAL(gsh_ledger_open(&one_more, ledger_path(), "t", &why), -EUSERS);
	CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "every slot is taken"));
	gsh_ledger_close(&all[77]);
	ledger_opened(&one_more);
	CU_ASSERT_EQUAL(one_more.slot, 77);
	gsh_ledger_close(&one_more);
	for (uint32_t i = 0; i < GPUSHIM_SLOTS_MAX; i++)
		if (i != 77)
			gsh_ledger_close(&all[i]);
}

enum { CLAIMERS = 6, CLAIMS = 150 };

struct claims {
	struct gsh_lock lock;
	uint32_t owner[GPUSHIM_SLOTS_MAX];
	uint32_t doubles;
};

/* Takes slots and gives them up, or dies with them, and says so if one was somebody's. */
static int claims_and_leaves(struct peer *self, void *arg)
{
	struct claims *claims = arg;

	for (unsigned i = 0; i < CLAIMS; i++) {
		open_theirs();
		if (gsh_add_seq_cst(&claims->owner[theirs.slot], 1) > 0)
			gsh_add_seq_cst(&claims->doubles, 1);
		reserve_theirs(1);
		sched_yield();
		if (gsh_ledger_cell(&theirs, their_row, theirs.slot)->charged !=
		    LEDGER_MIB)
			gsh_add_seq_cst(&claims->doubles, 1);
		gsh_sub_seq_cst(&claims->owner[theirs.slot], 1);
		if (i % 3 == 0) {
			/* As death would leave it. */
			munmap(theirs.header, GPUSHIM_LEDGER_BYTES);
			munmap(theirs.life, sizeof(*theirs.header));
			close(theirs.fd);
		} else {
			gsh_ledger_close(&theirs);
		}
	}
	(void)self;
	return 0;
}

static void nobody_gets_a_slot_that_somebody_has(void)
{
	struct claims *claims = mmap(NULL, sizeof(*claims), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct peer peers[CLAIMERS];
	struct gsh_ledger ledger;

	CU_ASSERT_PTR_NOT_EQUAL_FATAL(claims, MAP_FAILED);
	for (unsigned i = 0; i < CLAIMERS; i++)
		peers[i] = peer_begin(claims_and_leaves, claims);
	for (unsigned i = 0; i < CLAIMERS; i++)
		CU_ASSERT_EQUAL(peer_end(&peers[i]), 0);
	CU_ASSERT_EQUAL(claims->doubles, 0);
	ledger_opened(&ledger);
	CU_ASSERT_EQUAL(used_mib(&ledger), 0);
	/* Reused, not used up: as many as were alive at once, and a few being cleared. */
	CU_ASSERT_TRUE(ledger.header->slots_used <= 3 * CLAIMERS);
	gsh_ledger_close(&ledger);
	munmap(claims, sizeof(*claims));
}

const struct unit_suite unit_suite = {
	.name = "the slots of a ledger",
	.setup = ledger_setup,
	.teardown = ledger_teardown,
	.tests = {
		UNIT_TEST(the_dead_are_cleared_before_anybody_is_refused),
		UNIT_TEST(the_next_starter_clears_the_dead_and_takes_the_lowest_slot),
		UNIT_TEST(what_a_dead_process_was_about_to_reserve_does_not_count),
		UNIT_TEST(children_keep_what_was_had_and_not_what_was_about_to_be),
		UNIT_TEST(sequences_outlive_their_processes),
		UNIT_TEST(forked_children_keep_the_charge_as_they_keep_the_memory),
		UNIT_TEST(a_child_that_uses_the_device_has_a_slot_of_its_own),
		UNIT_TEST(closefrom_does_not_give_the_slot_up),
		UNIT_TEST(exec_gives_the_slot_up),
		UNIT_TEST(equal_pids_in_different_namespaces_are_different_processes),
		UNIT_TEST(the_descriptor_lies_above_those_that_come_later),
		UNIT_TEST(few_descriptors_are_enough),
		UNIT_TEST(a_program_that_takes_our_number_keeps_its_file),
		UNIT_TEST(a_ledger_whose_path_is_gone_is_reaped_all_the_same),
		UNIT_TEST(a_relative_path_is_found_after_a_change_of_directory),
		UNIT_TEST(a_clearer_killed_halfway_leaves_the_slot_to_the_next),
		UNIT_TEST(a_slot_that_is_being_cleared_is_not_taken_for_alive),
		UNIT_TEST(exported_memory_stays_charged_while_somebody_has_imported),
		UNIT_TEST(importers_that_died_keep_nothing),
		UNIT_TEST(without_imports_an_exporter_leaves_nothing),
		UNIT_TEST(when_all_slots_are_alive_the_next_is_told_so),
		UNIT_TEST(nobody_gets_a_slot_that_somebody_has),
	},
};
