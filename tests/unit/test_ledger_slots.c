/*
 * Whose slot is whose: who lives, who does not, and by what descriptors that is known.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "common_ledger.h"
#include "cunit_main.h"
#include "ledger/slots.h"

/* ---- the dead ---- */

static void the_dead_are_cleared_before_anybody_is_refused(void)
{
	struct gsh_ledger ledger;
	struct peer peer;

	ledger_opened(&ledger);
	peer = peer_start(peer_holds_60_mib, NULL);
	CU_ASSERT_FALSE(ledger_fits(&ledger, 41));
	CU_ASSERT_TRUE(ledger_fits(&ledger, 40));
	peer_kill(&peer);
	CU_ASSERT_EQUAL(ledger_used_mib(&ledger), 60);
	CU_ASSERT_TRUE(ledger_fits(&ledger, 100));
	CU_ASSERT_EQUAL(ledger_used_mib(&ledger), 0);
	CU_ASSERT_EQUAL(ledger.own->reaped_slots, 1);
	CU_ASSERT_EQUAL(ledger.own->denials, 0);
	gsh_ledger_close(&ledger);
}

static void the_next_starter_clears_the_dead_and_takes_the_lowest_slot(void)
{
	struct gsh_ledger ledger;
	struct peer first = peer_start(peer_holds_60_mib, NULL), second;
	uint64_t incarnation;

	CU_ASSERT_EQUAL(peer_number(&first), 0);
	peer_kill(&first);
	second = peer_start(peer_holds_60_mib, NULL);
	CU_ASSERT_EQUAL(peer_number(&second), 0);
	ledger_opened(&ledger);
	CU_ASSERT_EQUAL(ledger.slot, 1);
	CU_ASSERT_EQUAL(ledger_used_mib(&ledger), 60);
	incarnation = ledger.slots[0].incarnation;
	CU_ASSERT_EQUAL(incarnation, 2);
	CU_ASSERT_EQUAL(ledger.header->slots_used, 2);
	CU_ASSERT_EQUAL(peer_end(&second), 0);
	CU_ASSERT_EQUAL(gsh_ledger_reap(&ledger), 1);
	CU_ASSERT_EQUAL(gsh_ledger_reap(&ledger), 0);
	CU_ASSERT_EQUAL(ledger.slots[0].state, GPUSHIM_SLOT_FREE);
	gsh_ledger_close(&ledger);
}

/* Dies between the first and the last step of a reservation; arg: leaves a child. */
static int dies_pending(struct peer *self, void *arg)
{
	peer_opens();
	peer_reserves(10);
	gsh_ledger_cell(&peer_ledger, peer_row, peer_ledger.slot)->pending = 100 *
									     LEDGER_MIB;
	peer_tell(self, arg ? (uint64_t)peer_forks_keeper() : 0);
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
	CU_ASSERT_TRUE(ledger_fits(&ledger, 100 - kept_mib));
	/* Long before those who only hesitate are counted. */
	CU_ASSERT_TRUE(gsh_clock_now_ns() - start_ns < GSH_QUOTA_PATIENCE_NS / 2);
	CU_ASSERT_EQUAL(gsh_ledger_cell(&ledger, ledger_row(&ledger), 1)->pending, 0);
	CU_ASSERT_EQUAL(ledger_used_mib(&ledger), kept_mib);
	orphan_kill(keeper);
	CU_ASSERT_TRUE(ledger_fits(&ledger, 100));
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
	peer = peer_start(peer_holds_60_mib, NULL);
	cell = gsh_ledger_cell(&ledger, ledger_row(&ledger), 1);
	sequence = cell->sequence;
	CU_ASSERT_EQUAL(sequence, 1);
	peer_kill(&peer);
	gsh_ledger_reap(&ledger);
	CU_ASSERT_EQUAL(cell->sequence, sequence);
	peer = peer_start(peer_holds_60_mib, NULL);
	CU_ASSERT_EQUAL(cell->sequence, sequence + 1);
	peer_kill(&peer);
	gsh_ledger_close(&ledger);
}

/* ---- who keeps a slot ---- */

static int leaves_a_keeper(struct peer *self, void *arg)
{
	(void)arg;
	peer_opens();
	peer_reserves(60);
	peer_tell(self, (uint64_t)peer_forks_keeper());
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
	CU_ASSERT_FALSE(ledger_fits(&ledger, 41));
	CU_ASSERT_EQUAL(gsh_ledger_reap(&ledger), 0);
	CU_ASSERT_TRUE(gsh_ledger_slot_alive(ledger.fd, 1));
	orphan_kill(keeper);
	CU_ASSERT_FALSE(gsh_ledger_slot_alive(ledger.fd, 1));
	CU_ASSERT_TRUE(ledger_fits(&ledger, 100));
	gsh_ledger_close(&ledger);
}

static int forks_one_with_a_slot(struct peer *self, void *arg)
{
	struct peer child;

	(void)arg;
	peer_opens();
	peer_reserves(10);
	/* Reports through its parent's socket. */
	child.pid = fork();
	if (child.pid == 0) {
		peer_opens();
		peer_reserves(20);
		peer_tell(self, peer_ledger.slot);
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
	CU_ASSERT_EQUAL(ledger_used_mib(&ledger), 30);
	CU_ASSERT_TRUE(peer_go(&peer));
	/* The child has ended; the parent has not. */
	CU_ASSERT_EQUAL(gsh_ledger_reap(&ledger), 1);
	CU_ASSERT_EQUAL(ledger_used_mib(&ledger), 10);
	peer_kill(&peer);
	gsh_ledger_close(&ledger);
}

/* Closes all it has; arg: the mapping too, as a control. */
static int closes_everything(struct peer *self, void *arg)
{
	int saved;

	peer_opens();
	peer_reserves(60);
	if (arg) {
		munmap(peer_ledger.header, GPUSHIM_LEDGER_BYTES);
		munmap(peer_ledger.life, sizeof(struct gpushim_ledger_header));
	}
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
	CU_ASSERT_FALSE(ledger_fits(&ledger, 41));
	peer_kill(&peer);
	CU_ASSERT_TRUE(ledger_fits(&ledger, 100));
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
	peer_opens();
	peer_reserves(60);
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
	CU_ASSERT_TRUE(ledger_fits(&ledger, 100));
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
		peer_opens();
		peer_reserves(30);
		if (getpid() != 1 || peer_ledger.own->pid != 1)
			_exit(94);
		peer_tell(self, (uint64_t)peer_ledger.slot);
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
	CU_ASSERT_EQUAL(ledger_used_mib(&ledger), 60);
	CU_ASSERT_EQUAL(peer_end(&first), 0);
	CU_ASSERT_EQUAL(gsh_ledger_reap(&ledger), 1);
	CU_ASSERT_EQUAL(ledger_used_mib(&ledger), 30);
	CU_ASSERT_EQUAL(ledger.slots[other].state, GPUSHIM_SLOT_LIVE);
	CU_ASSERT_EQUAL(peer_end(&second), 0);
	gsh_ledger_close(&ledger);
}

/* ---- descriptors ---- */

/* So much that its pages take the kernel a while. */
static bool keep_memory_open(void)
{
	const size_t bytes = 64 << 20;
	int fd = memfd_create("memory", MFD_CLOEXEC);

	return fd >= 0 && posix_fallocate(fd, 0, bytes) == 0;
}

/*
 * A process that keeps something else open, as a driver does, after it has opened the
 * ledger. arg: as a control, with a number above that, and nothing but it; and with memory
 * that is freed between the two, so that one processor is enough to see it.
 */
static int keeps_a_pipe_open(struct peer *self, void *arg)
{
	peer_opens();
	if (open(ledger_file("pipe"), O_WRONLY) < 0)
		return 1;
	if (arg) {
		munmap(peer_ledger.life, sizeof(struct gpushim_ledger_header));
		if (!keep_memory_open() || dup2(peer_ledger.fd, 500) < 0)
			return 1;
		close(peer_ledger.fd);
	}
	peer_meet(self);
	return 0;
}

/* How often of `rounds` kills the slot was given up while the pipe was still open. */
static unsigned given_up_early(void *high, unsigned rounds)
{
	struct gsh_ledger ledger;
	unsigned early = 0;

	ledger_opened(&ledger);
	CU_ASSERT_EQUAL_FATAL(mkfifo(ledger_file("pipe"), 0600), 0);
	for (unsigned i = 0; i < rounds && !(high && early); i++) {
		int pipe_fd = open(ledger_file("pipe"), O_RDONLY | O_NONBLOCK);
		struct peer peer = peer_start(keeps_a_pipe_open, high);
		struct pollfd end = { .fd = pipe_fd };

		CU_ASSERT_TRUE_FATAL(peer.pid > 0);
		kill(peer.pid, SIGKILL);
		while (gsh_ledger_slot_alive(ledger.fd, 1))
			sched_yield();
		early += poll(&end, 1, 0) == 0;
		peer_kill(&peer);
		close(pipe_fd);
		gsh_ledger_reap(&ledger);
	}
	unlink(ledger_file("pipe"));
	gsh_ledger_close(&ledger);
	return early;
}

static void a_slot_is_given_up_after_all_that_was_opened_later(void)
{
	CU_ASSERT_EQUAL(given_up_early(NULL, 200), 0);
	/* The control: a descriptor with a higher number, and no mapping. */
	CU_ASSERT_EQUAL(given_up_early(&peer_ledger, 200), 1);
}

static void the_descriptor_does_not_survive_exec(void)
{
	struct gsh_ledger ledger;

	ledger_opened(&ledger);
	CU_ASSERT_EQUAL(fcntl(ledger.fd, F_GETFD), FD_CLOEXEC);
	gsh_ledger_close(&ledger);
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
	peer = peer_start(peer_holds_60_mib, NULL);
	/* The living are seen through the path, and the dead as well. */
	CU_ASSERT_FALSE(ledger_fits(&ledger, 41));
	peer_kill(&peer);
	CU_ASSERT_TRUE(ledger_fits(&ledger, 100));
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
	peer = peer_start(peer_holds_60_mib, NULL);
	CU_ASSERT_EQUAL(unlink(ledger_path()), 0);
	peer_kill(&peer);
	CU_ASSERT_TRUE(ledger_fits(&ledger, 100));
	/* Nor is another one that lies there now taken for it. */
	peer = peer_start(peer_holds_60_mib, NULL);
	CU_ASSERT_EQUAL(peer_number(&peer), 0);
	peer_kill(&peer);
	CU_ASSERT_TRUE(ledger_fits(&ledger, 100));
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
		UNIT_TEST(a_slot_is_given_up_after_all_that_was_opened_later),
		UNIT_TEST(the_descriptor_does_not_survive_exec),
		UNIT_TEST(a_program_that_takes_our_number_keeps_its_file),
		UNIT_TEST(a_ledger_whose_path_is_gone_is_reaped_all_the_same),
		UNIT_TEST(a_relative_path_is_found_after_a_change_of_directory),
	},
};
