/*
 * What happens to slots: cleared by one or another, kept for those who import, taken anew.
 */
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/atomic.h"
#include "common_ledger.h"
#include "cunit_main.h"
#include "ledger/slots.h"

/* ---- clearing ---- */

/* Forks a keeper, locks the dead slot 1 as one who clears it, and stays there. */
static int clearer(struct peer *self, void *arg)
{
	struct gsh_second second;
	int fd;

	peer_opens();
	peer_tell(self, (uint64_t)peer_forks_keeper());
	if (gsh_second_open(&peer_ledger, &second) < 0)
		return 92;
	/* As a control: under the description that the keeper has too. */
	fd = arg ? peer_ledger.fd : second.fd;
	if (gsh_slot_lock_clearing(fd, 1) < 0)
		return 93;
	peer_meet(self);
	return 0;
}

static struct peer dead_slot_1_and_a_clearer(pid_t *keeper, void *shared)
{
	struct peer dead = peer_start(peer_holds_60_mib, NULL),
		    peer = peer_begin(clearer, shared);

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
	CU_ASSERT_TRUE(ledger_fits(&ledger, 100));
	orphan_kill(keeper);
	gsh_ledger_reap(&ledger);

	/* The control: a lock that his children have outlives him. */
	peer = dead_slot_1_and_a_clearer(&keeper, &ledger);
	peer_kill(&peer);
	CU_ASSERT_FALSE(ledger_fits(&ledger, 100));
	orphan_kill(keeper);
	CU_ASSERT_TRUE(ledger_fits(&ledger, 100));
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
	CU_ASSERT_FALSE(ledger_fits(&ledger, 100));
	CU_ASSERT_TRUE(ledger_fits(&ledger, 40));
	CU_ASSERT_EQUAL(ledger.slots[1].state, GPUSHIM_SLOT_LIVE);
	peer_kill(&peer);
	CU_ASSERT_TRUE(ledger_fits(&ledger, 100));
	orphan_kill(keeper);
	gsh_ledger_close(&ledger);
}

/* ---- memory that others keep ---- */

static int exporter(struct peer *self, void *arg)
{
	(void)arg;
	peer_opens();
	peer_reserves(20);
	if (gsh_ledger_reserve(&peer_ledger, peer_row, GPUSHIM_KIND_VMM, 40 * LEDGER_MIB,
			       LEDGER_LIMIT) < 0)
		return 92;
	gsh_ledger_export(&peer_ledger, peer_row, 50 * LEDGER_MIB);
	gsh_ledger_export(&peer_ledger, peer_row, -20 * LEDGER_MIB);
	peer_tell(self, peer_ledger.slot);
	return 0;
}

static int importer(struct peer *self, void *arg)
{
	(void)arg;
	peer_opens();
	gsh_ledger_import(&peer_ledger, peer_row, 2);
	gsh_ledger_import(&peer_ledger, peer_row, -1);
	peer_meet(self);
	gsh_ledger_import(&peer_ledger, peer_row, -1);
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
	CU_ASSERT_FALSE(ledger_fits(&ledger, 71));
	CU_ASSERT_TRUE(ledger_fits(&ledger, 70));
	CU_ASSERT_EQUAL(ledger.slots[1].state, GPUSHIM_SLOT_ORPHAN);
	CU_ASSERT_EQUAL(cell->charged, 30 * LEDGER_MIB);
	CU_ASSERT_EQUAL(cell->kind_bytes[GPUSHIM_KIND_VMM], 30 * LEDGER_MIB);
	/* Nobody takes such a slot. */
	from = peer_start(peer_holds_60_mib, NULL);
	CU_ASSERT_EQUAL(peer_number(&from), 3);
	peer_kill(&from);
	CU_ASSERT_EQUAL(gsh_ledger_reap(&ledger), 1);
	CU_ASSERT_EQUAL(gsh_ledger_reap(&ledger), 0);
	/* The last import is closed. */
	CU_ASSERT_TRUE(peer_go(&to));
	CU_ASSERT_FALSE(gsh_ledger_has_imports(&ledger, row));
	CU_ASSERT_TRUE(ledger_fits(&ledger, 100));
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
	CU_ASSERT_EQUAL(ledger_used_mib(&ledger), 30);
	peer_kill(&to);
	CU_ASSERT_FALSE(gsh_ledger_has_imports(&ledger, row));
	CU_ASSERT_EQUAL(ledger_used_mib(&ledger), 0);
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
	CU_ASSERT_TRUE(ledger_fits(&ledger, 100));
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
		peer_opens();
		if (gsh_add_seq_cst(&claims->owner[peer_ledger.slot], 1) > 0)
			gsh_add_seq_cst(&claims->doubles, 1);
		peer_reserves(1);
		sched_yield();
		if (gsh_ledger_cell(&peer_ledger, peer_row, peer_ledger.slot)->charged !=
		    LEDGER_MIB)
			gsh_add_seq_cst(&claims->doubles, 1);
		gsh_sub_seq_cst(&claims->owner[peer_ledger.slot], 1);
		if (i % 3 == 0) {
			/* As death would leave it. */
			munmap(peer_ledger.header, GPUSHIM_LEDGER_BYTES);
			munmap(peer_ledger.life, sizeof(*peer_ledger.header));
			close(peer_ledger.fd);
		} else {
			gsh_ledger_close(&peer_ledger);
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
	CU_ASSERT_EQUAL(ledger_used_mib(&ledger), 0);
	/* Reused, not used up: as many as were alive at once, and a few being cleared. */
	CU_ASSERT_TRUE(ledger.header->slots_used <= 3 * CLAIMERS);
	gsh_ledger_close(&ledger);
	munmap(claims, sizeof(*claims));
}

const struct unit_suite unit_suite = {
	.name = "clearing slots of a ledger",
	.setup = ledger_setup,
	.teardown = ledger_teardown,
	.tests = {
		UNIT_TEST(a_clearer_killed_halfway_leaves_the_slot_to_the_next),
		UNIT_TEST(a_slot_that_is_being_cleared_is_not_taken_for_alive),
		UNIT_TEST(exported_memory_stays_charged_while_somebody_has_imported),
		UNIT_TEST(importers_that_died_keep_nothing),
		UNIT_TEST(without_imports_an_exporter_leaves_nothing),
		UNIT_TEST(when_all_slots_are_alive_the_next_is_told_so),
		UNIT_TEST(nobody_gets_a_slot_that_somebody_has),
	},
};
