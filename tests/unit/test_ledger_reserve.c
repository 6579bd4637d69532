/*
 * Reserving and giving back through the ledger: to the byte, counted, and quick.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "common_ledger.h"
#include "cunit_main.h"
#include "ledger/slots.h"

static const uint64_t limit_bytes = 1000;

static struct gsh_ledger ledger;
static uint32_t row;

static void setup(void)
{
	ledger_setup();
	ledger_opened(&ledger);
	row = ledger_row(&ledger);
}

static void teardown(void)
{
	gsh_ledger_close(&ledger);
	ledger_teardown();
}

static int reserve(enum gpushim_kind kind, uint64_t bytes)
{
	return gsh_ledger_reserve(&ledger, row, kind, bytes, limit_bytes);
}

static const struct gpushim_ledger_cell *cell(void)
{
	return gsh_ledger_cell(&ledger, row, ledger.slot);
}

/* Of those that are kept: linear memory is what they leave. */
static uint64_t sum_of_kinds(void)
{
	uint64_t sum = 0;

	for (unsigned kind = 0; kind < GPUSHIM_KINDS_MAX; kind++)
		sum += cell()->kind_bytes[kind];
	return sum;
}

static void the_limit_holds_to_the_byte(void)
{
	CU_ASSERT_EQUAL(reserve(GPUSHIM_KIND_LINEAR, 1001), -ENOMEM);
	CU_ASSERT_EQUAL(reserve(GPUSHIM_KIND_LINEAR, 999), 0);
	CU_ASSERT_EQUAL(reserve(GPUSHIM_KIND_ARRAY, 2), -ENOMEM);
	CU_ASSERT_EQUAL(reserve(GPUSHIM_KIND_ARRAY, 1), 0);
	CU_ASSERT_EQUAL(reserve(GPUSHIM_KIND_ARRAY, 1), -ENOMEM);
	gsh_ledger_refund(&ledger, row, GPUSHIM_KIND_ARRAY, 1);
	CU_ASSERT_EQUAL(reserve(GPUSHIM_KIND_VMM, 1), 0);
	CU_ASSERT_EQUAL(gsh_ledger_used(&ledger, row), 1000);
	CU_ASSERT_EQUAL(cell()->pending, 0);
}

static void devices_have_limits_of_their_own(void)
{
	static const uint8_t uuid[16] = { 9 };
	uint32_t other = (uint32_t)gsh_ledger_device(&ledger, uuid, 1);

	CU_ASSERT_EQUAL(reserve(GPUSHIM_KIND_LINEAR, 1000), 0);
	CU_ASSERT_EQUAL(gsh_ledger_reserve(&ledger, other, GPUSHIM_KIND_LINEAR, 500, 500),
			0);
	CU_ASSERT_EQUAL(gsh_ledger_used(&ledger, row), 1000);
	CU_ASSERT_EQUAL(gsh_ledger_used(&ledger, other), 500);
}

static void charges_are_told_apart_by_kind(void)
{
	CU_ASSERT_EQUAL(reserve(GPUSHIM_KIND_POOL, 300), 0);
	CU_ASSERT_EQUAL(reserve(GPUSHIM_KIND_CONTEXT, 20), 0);
	gsh_ledger_force(&ledger, row, GPUSHIM_KIND_POOL, 5);
	gsh_ledger_refund(&ledger, row, GPUSHIM_KIND_POOL, 105);
	CU_ASSERT_EQUAL(cell()->kind_bytes[GPUSHIM_KIND_POOL], 200);
	CU_ASSERT_EQUAL(cell()->kind_bytes[GPUSHIM_KIND_CONTEXT], 20);
	CU_ASSERT_EQUAL(sum_of_kinds(), cell()->charged);
}

static void peaks_and_counters_say_what_happened(void)
{
	struct gsh_ledger sibling;

	ledger_opened(&sibling);
	CU_ASSERT_EQUAL(
		gsh_ledger_reserve(&sibling, row, GPUSHIM_KIND_LINEAR, 600, limit_bytes),
		0);
	CU_ASSERT_EQUAL(reserve(GPUSHIM_KIND_LINEAR, 400), 0);
	gsh_ledger_refund(&ledger, row, GPUSHIM_KIND_LINEAR, 400);
	CU_ASSERT_EQUAL(reserve(GPUSHIM_KIND_LINEAR, 100), 0);
	CU_ASSERT_EQUAL(reserve(GPUSHIM_KIND_LINEAR, 301), -ENOMEM);
	gsh_ledger_denied(&ledger, 301);
	CU_ASSERT_EQUAL(cell()->peak_bytes, 400);
	CU_ASSERT_EQUAL(ledger.header->devices[row].peak_bytes, 1000);
	CU_ASSERT_EQUAL(ledger.own->denials, 1);
	CU_ASSERT_EQUAL(ledger.own->denied_bytes, 301);
	CU_ASSERT_EQUAL(ledger.own->last_denied_bytes, 301);
	CU_ASSERT_NOT_EQUAL(ledger.own->last_denied_unix_ns, 0);
	CU_ASSERT_EQUAL(ledger.own->reserve_waits, 0);
	gsh_ledger_close(&sibling);
}

static void what_the_driver_has_taken_is_charged_beyond_the_limit(void)
{
	CU_ASSERT_EQUAL(reserve(GPUSHIM_KIND_POOL, 900), 0);
	gsh_ledger_force(&ledger, row, GPUSHIM_KIND_POOL, 200);
	CU_ASSERT_EQUAL(gsh_ledger_used(&ledger, row), 1100);
	CU_ASSERT_EQUAL(ledger.header->devices[row].peak_bytes, 1100);
	CU_ASSERT_EQUAL(reserve(GPUSHIM_KIND_LINEAR, 1), -ENOMEM);
	gsh_ledger_refund(&ledger, row, GPUSHIM_KIND_POOL, 101);
	CU_ASSERT_EQUAL(reserve(GPUSHIM_KIND_LINEAR, 1), 0);
}

static void without_a_limit_everything_is_granted(void)
{
	CU_ASSERT_EQUAL(gsh_ledger_reserve(&ledger, row, GPUSHIM_KIND_LINEAR,
					   UINT64_C(1) << 50, GPUSHIM_UNLIMITED),
			0);
	CU_ASSERT_EQUAL(gsh_ledger_used(&ledger, row), UINT64_C(1) << 50);
}

static void a_limit_lowered_below_use_refuses_until_use_is_below(void)
{
	CU_ASSERT_EQUAL(reserve(GPUSHIM_KIND_LINEAR, 800), 0);
	CU_ASSERT_EQUAL(gsh_ledger_reserve(&ledger, row, GPUSHIM_KIND_LINEAR, 1, 500),
			-ENOMEM);
	gsh_ledger_refund(&ledger, row, GPUSHIM_KIND_LINEAR, 301);
	CU_ASSERT_EQUAL(gsh_ledger_reserve(&ledger, row, GPUSHIM_KIND_LINEAR, 1, 500), 0);
	CU_ASSERT_EQUAL(gsh_ledger_reserve(&ledger, row, GPUSHIM_KIND_LINEAR, 1, 500),
			-ENOMEM);
}

static void refunds_never_go_below_nothing(void)
{
	CU_ASSERT_EQUAL(reserve(GPUSHIM_KIND_LINEAR, 10), 0);
	gsh_ledger_refund(&ledger, row, GPUSHIM_KIND_LINEAR, 11);
	CU_ASSERT_EQUAL(cell()->charged, 0);
	CU_ASSERT_EQUAL(cell()->kind_bytes[GPUSHIM_KIND_LINEAR], 0);
	gsh_ledger_export(&ledger, row, -1);
	gsh_ledger_import(&ledger, row, -1);
	CU_ASSERT_EQUAL(cell()->exported_bytes, 0);
	CU_ASSERT_EQUAL(cell()->imports, 0);
}

static void refusing_keeps_errno(void)
{
	struct gsh_ledger sibling;

	ledger_opened(&sibling);
	CU_ASSERT_EQUAL(
		gsh_ledger_reserve(&sibling, row, GPUSHIM_KIND_LINEAR, 600, limit_bytes),
		0);
	errno = ECHILD;
	CU_ASSERT_EQUAL(reserve(GPUSHIM_KIND_LINEAR, 401), -ENOMEM);
	gsh_ledger_reap(&ledger);
	gsh_ledger_has_imports(&ledger, row);
	CU_ASSERT_EQUAL(errno, ECHILD);
	gsh_ledger_close(&sibling);
	CU_ASSERT_EQUAL(errno, ECHILD);
}

/* Whose every system call but exit(2) is death. */
static int reserves_without_system_calls(struct peer *self, void *arg)
{
	(void)self;
	peer_opens();
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) < 0)
		return 77;
	for (unsigned i = 0; i < 1000; i++) {
		if (gsh_ledger_reserve(&peer_ledger, peer_row, GPUSHIM_KIND_LINEAR, 7,
				       limit_bytes) < 0)
			syscall(SYS_exit, 1);
		gsh_ledger_force(&peer_ledger, peer_row, GPUSHIM_KIND_POOL, 7);
		gsh_ledger_refund(&peer_ledger, peer_row, GPUSHIM_KIND_POOL, 7);
		gsh_ledger_refund(&peer_ledger, peer_row, GPUSHIM_KIND_LINEAR, 7);
		gsh_ledger_has_imports(&peer_ledger, peer_row);
	}
	/* The control is a refusal, which looks at who is alive. */
	if (arg)
		gsh_ledger_reserve(&peer_ledger, peer_row, GPUSHIM_KIND_LINEAR, 1001,
				   limit_bytes);
	syscall(SYS_exit, 0);
	return 1;
}

static void the_usual_way_makes_no_system_call(void)
{
	struct peer peer = { .result = 77 };

	if (!LEDGER_TSAN)
		peer = peer_start(reserves_without_system_calls, NULL);
	if (peer.result == 77) {
		unit_skip("no process may forbid itself system calls here");
		return;
	}
	CU_ASSERT_EQUAL(peer.result, 0);
	peer = peer_start(reserves_without_system_calls, &peer);
	CU_ASSERT_EQUAL(peer.result, 128 + SIGKILL);
}

/* ---- threads of one process ---- */

/* Who is interrupted holds the others up, so a busy machine needs a while for it. */
enum { THREADS = 4, TURNS = LEDGER_TSAN ? 4000 : 20000 };

struct race {
	bool naive;
	uint64_t held, highest; /* by all threads, kept beside the ledger */
	uint64_t refused;
};

static int reserve_naively(uint64_t bytes)
{
	if (gsh_ledger_used(&ledger, row) + bytes > limit_bytes)
		return -ENOMEM;
	sched_yield();
	gsh_ledger_force(&ledger, row, GPUSHIM_KIND_LINEAR, bytes);
	return 0;
}

static void *race_for_it(void *arg)
{
	struct race *race = arg;
	uint64_t bytes = 1;

	for (unsigned i = 0; i < TURNS; i++) {
		bytes = (bytes * 29 + i) % 600 + 1;
		if ((race->naive ? reserve_naively(bytes)
				 : reserve(GPUSHIM_KIND_LINEAR, bytes)) < 0) {
			gsh_add_relaxed(&race->refused, 1);
			continue;
		}
		gsh_raise_relaxed(&race->highest,
				  gsh_add_seq_cst(&race->held, bytes) + bytes);
		if (i % 64 == 0)
			sched_yield();
		gsh_sub_seq_cst(&race->held, bytes);
		gsh_ledger_refund(&ledger, row, GPUSHIM_KIND_LINEAR, bytes);
	}
	return NULL;
}

static struct race race_of_threads(bool naive)
{
	struct race race = { .naive = naive };
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, race_for_it, &race);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return race;
}

static void threads_share_a_slot_without_passing_the_limit(void)
{
	struct race race = race_of_threads(false);

	CU_ASSERT_TRUE(race.highest <= limit_bytes);
	CU_ASSERT_TRUE(race.refused > 0 && race.refused < THREADS * TURNS);
	CU_ASSERT_EQUAL(cell()->charged, 0);
	CU_ASSERT_EQUAL(cell()->pending, 0);
	CU_ASSERT_EQUAL(sum_of_kinds(), 0);
	CU_ASSERT_TRUE(ledger.header->devices[row].peak_bytes <= limit_bytes);
	/* The control: first look, then take. */
	race = race_of_threads(true);
	CU_ASSERT_TRUE(race.highest > limit_bytes);
}

const struct unit_suite unit_suite = {
	.name = "reserving in the ledger",
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(the_limit_holds_to_the_byte),
		UNIT_TEST(devices_have_limits_of_their_own),
		UNIT_TEST(charges_are_told_apart_by_kind),
		UNIT_TEST(peaks_and_counters_say_what_happened),
		UNIT_TEST(what_the_driver_has_taken_is_charged_beyond_the_limit),
		UNIT_TEST(without_a_limit_everything_is_granted),
		UNIT_TEST(a_limit_lowered_below_use_refuses_until_use_is_below),
		UNIT_TEST(refunds_never_go_below_nothing),
		UNIT_TEST(refusing_keeps_errno),
		UNIT_TEST(the_usual_way_makes_no_system_call),
		UNIT_TEST(threads_share_a_slot_without_passing_the_limit),
	},
};
