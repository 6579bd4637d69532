/*
 * ledger_kill.c - processes of a tenant that are killed at any instruction leave nothing in
 * the ledger but what their forked children keep.
 *
 * Knows: the ledger, and what a process can be doing with it: making it, taking a slot,
 * reserving, giving back, clearing the dead. No device: what a charge stands for is not the
 * matter here. Each promise has a control that breaks it and must be seen to.
 *
 * The books are read while every process is stopped, so that they are exact.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "common_stress.h"
#include "cunit_main.h"
#include "ledger/slots.h"

enum { KILLS = 500, WORKERS = 6, KEEPERS = 4, HELD = 32, LIMIT = 1000000 };
/* Of a request: small ones are mostly granted, so that many die in the middle of one, and
 * one in eight is large, so that many are refused. */
enum { SMALL = LIMIT / 60, LARGE = LIMIT / 5 };

/* ---- a worker: takes a slot and then reserves and gives back until it is killed ---- */

struct storm {
	char path[256];
	bool look_then_take; /* the control of the quota */
	bool by_pid;	     /* the control of the keepers */
	/* Found wanting, for the test to judge. */
	unsigned over_limit, keepers_dropped;
	unsigned keepers_seen, refused_wrongly;
};

struct worker {
	pid_t pid;
	/* Written by itself; shared. */
	pid_t keeper;	/* forked by it, or 0 */
	uint32_t slot;	/* with the next: where its charge lies */
	uint32_t ready; /* it has a slot */
};

struct work {
	struct storm *storm;
	struct worker *self;
	uint64_t seed;
};

static const uint8_t uuid[16] = { 7 };

static int reserve(const struct storm *storm, struct gsh_ledger *ledger, uint32_t row,
		   uint64_t bytes)
{
	bool fits;

	if (!storm->look_then_take)
		return gsh_ledger_reserve(ledger, row, GPUSHIM_KIND_LINEAR, bytes, LIMIT);
	fits = gsh_ledger_used(ledger, row) + bytes <= LIMIT;
	/* Refused or not: slowly enough for the books to be read before it is over. */
	stress_pause_us(100);
	if (!fits)
		return -ENOMEM;
	gsh_ledger_force(ledger, row, GPUSHIM_KIND_LINEAR, bytes);
	return 0;
}

/*
 * A child that uses nothing and has inherited everything, as a data loader has. Its number
 * is where the test finds it before it runs, whenever its parent is killed.
 */
static void fork_keeper(pid_t *number)
{
	if (syscall(SYS_clone, CLONE_PARENT_SETTID | SIGCHLD, NULL, number, NULL, NULL) ==
	    0)
		for (;;)
			pause();
}

static int worker(void *arg)
{
	struct work *work = arg;
	struct stress_random random = { work->seed };
	struct gsh_ledger ledger;
	struct gsh_reason why;
	uint64_t held[HELD] = { 0 };
	unsigned turns = 0, fork_at = (unsigned)stress_below(&random, 400);
	uint32_t row;

	if (gsh_ledger_open(&ledger, work->storm->path, "t", &why) < 0) {
		fprintf(stderr, "%s\n", why.text);
		return 1;
	}
	row = (uint32_t)gsh_ledger_device(&ledger, uuid, LIMIT);
	work->self->slot = ledger.slot;
	gsh_store_release(&work->self->ready, 1);
	for (;; turns++) {
		unsigned i = (unsigned)stress_below(&random, HELD);

		if (held[i]) {
			gsh_ledger_refund(&ledger, row, GPUSHIM_KIND_LINEAR, held[i]);
			held[i] = 0;
		} else {
			held[i] = 1 + stress_below(&random, stress_below(&random, 8)
								    ? SMALL
								    : LARGE);
			if (reserve(work->storm, &ledger, row, held[i]) < 0)
				held[i] = 0;
		}
		if (turns == fork_at)
			fork_keeper(&work->self->keeper);
	}
}

/* ---- the books ---- */

static void stop_all(struct worker *workers)
{
	int status;

	for (unsigned i = 0; i < WORKERS; i++)
		kill(workers[i].pid, SIGSTOP);
	for (unsigned i = 0; i < WORKERS; i++)
		while (waitpid(workers[i].pid, &status, WUNTRACED) < 0 && errno == EINTR)
			;
}

static void continue_all(struct worker *workers)
{
	for (unsigned i = 0; i < WORKERS; i++)
		kill(workers[i].pid, SIGCONT);
}

static uint64_t charged(const struct gsh_ledger *ledger, uint32_t slot)
{
	return gsh_load_relaxed(&gsh_ledger_cell(ledger, 0, slot)->charged);
}

/* A process that has died and left a child. */
struct kept {
	pid_t keeper;
	uint32_t slot;
	uint64_t bytes;
};

/* What reaping would be if a pid could say who lives. */
static void reap_by_pid(struct gsh_ledger *ledger)
{
	static const bool nothing[GPUSHIM_DEVICES_MAX];

	for (uint32_t slot = 0; slot < gsh_ledger_slots_used(ledger); slot++)
		if (ledger->slots[slot].state == GPUSHIM_SLOT_LIVE &&
		    kill((pid_t)ledger->slots[slot].pid, 0) < 0 && errno == ESRCH)
			gsh_slot_clear(ledger, slot, nothing);
}

static void check_kept(struct storm *storm, const struct gsh_ledger *ledger,
		       const struct kept *kept)
{
	if (kept->keeper && charged(ledger, kept->slot) != kept->bytes)
		storm->keepers_dropped++;
}

static void end_keeper(struct storm *storm, const struct gsh_ledger *ledger,
		       struct kept *kept)
{
	if (!kept->keeper)
		return;
	check_kept(storm, ledger, kept);
	kill(kept->keeper, SIGKILL);
	while (waitpid(kept->keeper, NULL, 0) < 0 && errno == EINTR)
		;
	kept->keeper = 0;
}

/* ---- the storm ---- */

static void start(struct storm *storm, struct worker *self, uint64_t seed)
{
	struct work work = { .storm = storm, .self = self, .seed = seed };

	*self = (struct worker){ .pid = 0 };
	self->pid = stress_child(worker, &work);
}

/* Kills a worker, and keeps in mind what its child keeps. */
static void end_worker(struct storm *storm, struct gsh_ledger *ledger,
		       struct worker *self, struct kept *kept)
{
	kill(self->pid, SIGKILL);
	while (waitpid(self->pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (gsh_load_acquire(&self->keeper) == 0)
		return;
	end_keeper(storm, ledger, kept);
	*kept = (struct kept){ .keeper = self->keeper,
			       .slot = self->slot,
			       .bytes = charged(ledger, self->slot) };
	storm->keepers_seen++;
	if (storm->by_pid)
		reap_by_pid(ledger);
}

/* Sum of all charges, which no process changes at the moment. */
static uint64_t stopped_sum(struct gsh_ledger *ledger, struct worker *workers)
{
	uint64_t sum;

	stop_all(workers);
	sum = gsh_ledger_used(ledger, 0);
	continue_all(workers);
	return sum;
}

static void pass_moment(struct stress_random *random)
{
	/* Half of them while the worker starts. */
	unsigned us = stress_below(random, 2) ? 300 : 4000;

	stress_pause_us((unsigned)stress_below(random, us));
}

/*
 * Kills one worker after another. The ledger is a bystander's, who holds nothing; when
 * this returns all workers are dead, unreaped, and the keepers of *kept are alive.
 */
static void rage(struct storm *storm, struct gsh_ledger *ledger, unsigned kills,
		 struct kept kept[KEEPERS])
{
	struct worker *workers = mmap(NULL, WORKERS * sizeof(*workers),
				      PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				      -1, 0);
	struct stress_random random = { 20 };

	CU_ASSERT_PTR_NOT_EQUAL_FATAL(workers, MAP_FAILED);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (unsigned i = 0; i < WORKERS; i++)
		start(storm, &workers[i], stress_random(&random));
	for (unsigned n = 0; n < kills; n++) {
		struct worker *victim = &workers[stress_below(&random, WORKERS)];

		pass_moment(&random);
		if (n % 2 == 0 && stopped_sum(ledger, workers) > LIMIT)
			storm->over_limit++;
		end_worker(storm, ledger, victim, &kept[n % KEEPERS]);
		for (unsigned i = 0; i < KEEPERS; i++)
			check_kept(storm, ledger, &kept[i]);
		start(storm, victim, stress_random(&random));
	}
	/* The last ones are let hold something, and die at once. */
	stress_pause_us(20000);
	stop_all(workers);
	for (unsigned i = 0; i < WORKERS; i++) {
		kill(workers[i].pid, SIGKILL);
		while (waitpid(workers[i].pid, NULL, 0) < 0 && errno == EINTR)
			;
		if (workers[i].keeper) {
			kill(workers[i].keeper, SIGKILL);
			waitpid(workers[i].keeper, NULL, 0);
		}
	}
	munmap(workers, WORKERS * sizeof(*workers));
}

static void open_bystander(struct storm *storm, struct gsh_ledger *ledger)
{
	const char *directory = getenv("TMPDIR");
	struct gsh_reason why = { "" };
	static unsigned number;

	snprintf(storm->path, sizeof(storm->path), "%s/ledger-kill-%d-%u",
		 directory ? directory : "/tmp", (int)getpid(), number++);
	if (gsh_ledger_open(ledger, storm->path, "t", &why) < 0)
		printf("      %s\n", why.text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(ledger->own);
	CU_ASSERT_EQUAL_FATAL(gsh_ledger_device(ledger, uuid, LIMIT), 0);
}

static void close_bystander(struct storm *storm, struct gsh_ledger *ledger)
{
	gsh_ledger_close(ledger);
	unlink(storm->path);
}

static uint64_t kept_bytes(const struct kept kept[KEEPERS])
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < KEEPERS; i++)
		sum += kept[i].keeper ? kept[i].bytes : 0;
	return sum;
}

/* Whether exactly so much can be had, and not a byte more; given back again. */
static bool exactly(struct gsh_ledger *ledger, uint64_t bytes)
{
	if (gsh_ledger_reserve(ledger, 0, GPUSHIM_KIND_LINEAR, bytes, LIMIT) < 0)
		return false;
	if (gsh_ledger_reserve(ledger, 0, GPUSHIM_KIND_LINEAR, 1, LIMIT) == 0)
		return false;
	gsh_ledger_refund(ledger, 0, GPUSHIM_KIND_LINEAR, bytes);
	return true;
}

/* The control: the same request to those who do not look at who lives. */
static bool granted_without_reaping(struct gsh_ledger *ledger, uint64_t bytes)
{
	const struct gsh_quota quota = { .cells = gsh_ledger_cell(ledger, 0, 0),
					 .cells_used = &ledger->header->slots_used };
	struct gsh_quota_try attempt = { 0 };

	return gsh_quota_reserve(&quota, ledger->slot, bytes, LIMIT, 0, &attempt) ==
	       GSH_QUOTA_GRANTED;
}

static void processes_killed_at_any_instruction_give_everything_back(void)
{
	struct storm storm = { .look_then_take = false };
	struct kept kept[KEEPERS] = { { 0 } };
	struct gsh_ledger ledger;

	open_bystander(&storm, &ledger);
	rage(&storm, &ledger, KILLS, kept);
	CU_ASSERT_EQUAL(storm.over_limit, 0);
	CU_ASSERT_TRUE(storm.keepers_seen > KILLS / 10);
	CU_ASSERT_EQUAL(storm.keepers_dropped, 0);

	/* Keepers hold theirs; the control shows that the dead are still in the books. */
	CU_ASSERT_TRUE(gsh_ledger_used(&ledger, 0) > kept_bytes(kept));
	CU_ASSERT_FALSE(granted_without_reaping(&ledger, LIMIT - kept_bytes(kept)));
	CU_ASSERT_TRUE(exactly(&ledger, LIMIT - kept_bytes(kept)));
	CU_ASSERT_EQUAL(gsh_ledger_used(&ledger, 0), kept_bytes(kept));
	for (unsigned i = 0; i < KEEPERS; i++)
		end_keeper(&storm, &ledger, &kept[i]);
	CU_ASSERT_TRUE(exactly(&ledger, LIMIT));
	CU_ASSERT_EQUAL(gsh_ledger_used(&ledger, 0), 0);
	gsh_ledger_reap(&ledger);
	for (uint32_t slot = 0; slot < gsh_ledger_slots_used(&ledger); slot++) {
		const struct gpushim_ledger_cell *cell = gsh_ledger_cell(&ledger, 0,
									 slot);

		CU_ASSERT_EQUAL(cell->pending, 0);
		if (slot != ledger.slot)
			CU_ASSERT_EQUAL(cell->charged, 0);
		CU_ASSERT_EQUAL(ledger.slots[slot].state, slot == ledger.slot
								  ? GPUSHIM_SLOT_LIVE
								  : GPUSHIM_SLOT_FREE);
	}
	/* Slots are used again: never more than lived, were kept, or were just dying. */
	CU_ASSERT_TRUE(ledger.header->slots_used <= 1 + 3 * WORKERS + KEEPERS);
	CU_ASSERT_TRUE(ledger.header->devices[0].peak_bytes <= LIMIT);
	close_bystander(&storm, &ledger);
}

static void control_a_pid_does_not_know_what_children_keep(void)
{
	struct storm storm = { .by_pid = true };
	struct kept kept[KEEPERS] = { { 0 } };
	struct gsh_ledger ledger;

	open_bystander(&storm, &ledger);
	rage(&storm, &ledger, KILLS / 5, kept);
	for (unsigned i = 0; i < KEEPERS; i++)
		end_keeper(&storm, &ledger, &kept[i]);
	CU_ASSERT_TRUE(storm.keepers_seen > 0);
	CU_ASSERT_TRUE(storm.keepers_dropped > 0);
	close_bystander(&storm, &ledger);
}

static void control_looking_before_taking_passes_the_limit(void)
{
	struct storm storm = { .look_then_take = true };
	struct kept kept[KEEPERS] = { { 0 } };
	struct gsh_ledger ledger;

	open_bystander(&storm, &ledger);
	rage(&storm, &ledger, KILLS / 5, kept);
	for (unsigned i = 0; i < KEEPERS; i++)
		end_keeper(&storm, &ledger, &kept[i]);
	CU_ASSERT_TRUE(storm.over_limit > 0);
	close_bystander(&storm, &ledger);
}

/* ---- killed while the file is made ---- */

static void a_start_that_is_killed_does_not_keep_others_from_starting(void)
{
	struct storm storm = { .look_then_take = false };
	struct worker *self = mmap(NULL, sizeof(*self), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct stress_random random = { 21 };
	unsigned before_file = 0;

	CU_ASSERT_PTR_NOT_EQUAL_FATAL(self, MAP_FAILED);
	for (unsigned n = 0; n < 150; n++) {
		struct gsh_ledger ledger;

		snprintf(storm.path, sizeof(storm.path), "%s/start-%u/ledger",
			 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", n);
		start(&storm, self, n);
		stress_pause_us((unsigned)stress_below(&random, 1200));
		kill(self->pid, SIGKILL);
		stress_wait(self->pid);
		if (self->keeper) {
			kill(self->keeper, SIGKILL);
			waitpid(self->keeper, NULL, 0);
		}
		before_file += access(storm.path, F_OK) < 0;

		struct gsh_reason why;

		CU_ASSERT_EQUAL_FATAL(gsh_ledger_open(&ledger, storm.path, "t", &why), 0);
		CU_ASSERT_EQUAL_FATAL(gsh_ledger_device(&ledger, uuid, LIMIT), 0);
		CU_ASSERT_EQUAL(ledger.slot, 0);
		CU_ASSERT_TRUE(exactly(&ledger, LIMIT));
		gsh_ledger_close(&ledger);
		unlink(storm.path);
	}
	munmap(self, sizeof(*self));
	/* Some died before, and some after the file was there, or it proves little. */
	CU_ASSERT_TRUE(before_file > 0 && before_file < 150);
}

const struct unit_suite unit_suite = {
	.name = "killing processes that use a ledger",
	.tests = {
		UNIT_TEST(processes_killed_at_any_instruction_give_everything_back),
		UNIT_TEST(control_a_pid_does_not_know_what_children_keep),
		UNIT_TEST(control_looking_before_taking_passes_the_limit),
		UNIT_TEST(a_start_that_is_killed_does_not_keep_others_from_starting),
	},
};
