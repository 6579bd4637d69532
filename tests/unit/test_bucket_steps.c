/*
 * Random interleavings of processes on one bucket, one access to shared memory at a time,
 * with the clock running and processes killed between any two of them.
 *
 * bucket.c is compiled into this program with its atomics replaced: each becomes a step,
 * and chance decides who takes the next one. No stack is saved: an operation is run again
 * from its start with the values that it has read so far, and left at the first access
 * that has none yet. Steps are sequentially consistent.
 */
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "cunit_main.h"

enum access_kind { LOAD, STORE, ADD, SWAP_IF_EQUAL };

/* Returns what the word held before. */
static uint64_t step(enum access_kind kind, const void *word, size_t bytes,
		     uint64_t operand, uint64_t expected);

static bool swapped_if_equal(uint64_t *word, uint64_t *expected, uint64_t value)
{
	uint64_t before = step(SWAP_IF_EQUAL, word, sizeof(*word), value, *expected);
	bool swapped = before == *expected;

	*expected = before;
	return swapped;
}

#undef gsh_load_relaxed
#undef gsh_load_acquire
#undef gsh_store_relaxed
#undef gsh_add_relaxed
#undef gsh_add_acq_rel
#undef gsh_cas_acq_rel
#define gsh_load_relaxed(p) step(LOAD, (p), sizeof(*(p)), 0, 0)
#define gsh_load_acquire(p) gsh_load_relaxed(p)
#define gsh_store_relaxed(p, v) step(STORE, (p), sizeof(*(p)), (v), 0)
#define gsh_add_relaxed(p, v) step(ADD, (p), sizeof(*(p)), (v), 0)
#define gsh_add_acq_rel(p, v) gsh_add_relaxed((p), (v))
#define gsh_cas_acq_rel(p, e, v) swapped_if_equal((p), (e), (v))

/* NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "../../libshim/policy/bucket.c"

#define MS_NS UINT64_C(1000000)

enum {
	PROCESSES = 4,
	OPERATIONS = 24,    /* of one schedule */
	ACCESSES_MAX = 512, /* of one operation */
};

struct access {
	enum access_kind kind;
	void *word;
	size_t bytes;
	uint64_t operand, expected;
};

/* Taking, or settling if give_ns is not 0. */
struct operation {
	uint64_t began_ns, ended_ns; /* the first is what it takes the time to be */
	uint64_t cost_ns;
	int64_t give_ns;
	bool taken;
};

struct process {
	bool busy;
	struct operation now;
	struct access next;
	unsigned length, replayed;
	uint64_t values[ACCESSES_MAX];
};

static struct {
	struct gpushim_ledger_bucket bucket;
	struct gsh_bucket_terms terms;
	uint64_t now_ns, cost_max_ns;
	bool kills, settles, naive;
	struct process processes[PROCESSES], *running;
	struct operation done[OPERATIONS + PROCESSES]; /* in the order of their ends */
	unsigned begun, done_count;
	uint64_t random_state;
} world;

static jmp_buf out_of_values;

/* splitmix64 */
static uint64_t random_below(uint64_t bound)
{
	uint64_t x = world.random_state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return (x ^ x >> 31) % bound;
}

static uint64_t random_magnitude(uint64_t bound)
{
	uint64_t value = random_below(bound);

	return value >> random_below(64 - (unsigned)__builtin_clzll(bound));
}

/* ---- the control ------------------------------------------------------------------------ */

/* What everybody writes first: who has claimed the time adds its credit, sooner or later. */
static bool take_naively(struct gpushim_ledger_bucket *bucket,
			 const struct gsh_bucket_terms *terms, uint64_t now_ns,
			 uint64_t cost_ns)
{
	const struct terms bounds = bounded(terms);
	uint64_t refilled_ns = gsh_load_acquire(&bucket->refilled_ns);
	uint64_t word = gsh_load_acquire(&bucket->level), next_ns;
	int64_t credit_ns;

	if (plan_refill(&bounds, (int64_t)word, refilled_ns, now_ns, &credit_ns,
			&next_ns) &&
	    gsh_cas_acq_rel(&bucket->refilled_ns, &refilled_ns, next_ns)) {
		while (!gsh_cas_acq_rel(
			&bucket->level, &word,
			(uint64_t)smaller((int64_t)word + credit_ns, bounds.burst_ns)))
			;
	}
	word = gsh_load_acquire(&bucket->level);
	do {
		if ((int64_t)word <= 0)
			return false;
	} while (!gsh_cas_acq_rel(&bucket->level, &word, word - cost_ns));
	return true;
}

/* ---- the machine ------------------------------------------------------------------------ */

static uint64_t perform(const struct access *access)
{
	uint64_t before = 0, after;

	memcpy(&before, access->word, access->bytes); /* little-endian, as the product */
	after = before;
	if (access->kind == ADD)
		after = before + access->operand;
	else if (access->kind == STORE ||
		 (access->kind == SWAP_IF_EQUAL && before == access->expected))
		after = access->operand;
	memcpy(access->word, &after, access->bytes);
	return before;
}

static uint64_t step(enum access_kind kind, const void *word, size_t bytes,
		     uint64_t operand, uint64_t expected)
{
	struct access access = { kind, (void *)(uintptr_t)word, bytes, operand,
				 expected };
	struct process *me = world.running;

	if (!me)
		return perform(&access);
	if (me->replayed < me->length)
		return me->values[me->replayed++];
	me->next = access;
	longjmp(out_of_values, 1);
}

/* Runs an operation up to its next access. True: it has come to its end. */
static bool advance(struct process *me)
{
	world.running = me;
	me->replayed = 0;
	if (setjmp(out_of_values) != 0) {
		world.running = NULL;
		return false;
	}
	if (me->now.give_ns != 0) {
		gsh_bucket_settle(&world.bucket, &world.terms, me->now.give_ns);
	} else if (world.naive) {
		me->now.taken = take_naively(&world.bucket, &world.terms,
					     me->now.began_ns, me->now.cost_ns);
	} else {
		uint64_t wait_ns;

		me->now.taken = gsh_bucket_take(&world.bucket, &world.terms,
						me->now.began_ns, me->now.cost_ns,
						&wait_ns);
	}
	world.running = NULL;
	return true;
}

static void begin(struct process *me)
{
	me->busy = true;
	me->length = 0;
	me->now = (struct operation){ .began_ns = world.now_ns };
	if (world.settles && random_below(4) == 0)
		me->now.give_ns = 1 + (int64_t)random_below(world.cost_max_ns);
	else
		me->now.cost_ns = 1 + random_below(world.cost_max_ns);
	world.begun++;
	advance(me);
}

static void end(struct process *me)
{
	me->busy = false;
	me->now.ended_ns = world.now_ns;
	if (me->now.taken || me->now.give_ns != 0)
		world.done[world.done_count++] = me->now;
}

/* One access of one process. */
static void go_on(struct process *me)
{
	if (me->length == ACCESSES_MAX)
		abort();
	me->values[me->length++] = perform(&me->next);
	if (!advance(me))
		return;
	end(me);
}

static void let_time_pass(void)
{
	switch (random_below(40)) {
	case 0:
		world.now_ns += random_below(2 * world.cost_max_ns);
		break;
	case 1:
		world.now_ns += random_magnitude(100 * MS_NS);
		break;
	case 2:
	case 3:
	case 4:
		world.now_ns += random_below(30000);
		break;
	default:
		world.now_ns += random_below(30);
		break;
	}
}

static void run_schedule(void)
{
	unsigned busy = 0;

	for (;;) {
		struct process *me = &world.processes[random_below(PROCESSES)];

		if (!me->busy && world.begun < OPERATIONS)
			begin(me);
		else if (me->busy && world.kills && random_below(60) == 0)
			end(me); /* in the middle; what it gives may be given */
		else if (me->busy)
			go_on(me);
		let_time_pass();
		busy = 0;
		for (int i = 0; i < PROCESSES; i++)
			busy += world.processes[i].busy;
		if (busy == 0 && world.begun == OPERATIONS)
			return;
	}
}

static void set_up_schedule(bool kills, bool settles)
{
	uint64_t random_state = world.random_state;

	memset(&world, 0, sizeof(world));
	world.random_state = random_state;
	world.kills = kills;
	world.settles = settles;
	world.now_ns = 1 + random_below(MS_NS);
	world.terms.rate_permille = 1 + (uint32_t)random_below(1000);
	world.terms.burst_ns = 1 + random_magnitude(MS_NS);
	if (random_below(2))
		world.terms.need_ns = random_magnitude(world.terms.burst_ns);
	world.cost_max_ns = 1 + random_magnitude(MS_NS);
}

/* ---- what must hold --------------------------------------------------------------------- */

/* What was given back, or may have been, at any time from begin_ns to end_ns. */
static uint64_t given_ns(uint64_t begin_ns, uint64_t end_ns)
{
	uint64_t sum_ns = 0;

	for (unsigned i = 0; world.settles && i < world.done_count; i++)
		if (world.done[i].ended_ns >= begin_ns &&
		    world.done[i].began_ns <= end_ns)
			sum_ns += (uint64_t)world.done[i].give_ns;
	return sum_ns;
}

/*
 * Of any stretch of time: what was taken in it, without the last taking, is at most rate
 * * time + burst, and what was given back in it. Refills are by whole microseconds.
 */
static bool is_within_the_rate(void)
{
	uint64_t burst_ns = world.terms.burst_ns + world.terms.rate_permille;

	for (unsigned from = 0; from < world.done_count; from++) {
		uint64_t begin_ns = world.done[from].began_ns, sum_ns = 0;

		for (unsigned i = 0; i < world.done_count; i++) {
			const struct operation *op = &world.done[i];
			uint64_t ns = op->ended_ns - begin_ns;

			if (!op->taken || op->began_ns < begin_ns)
				continue;
			if (sum_ns > ns * world.terms.rate_permille / 1000 + burst_ns +
					     given_ns(begin_ns, op->ended_ns))
				return false;
			sum_ns += op->cost_ns;
		}
	}
	return true;
}

/* Whatever the others left behind, who waits gets through when he was told. */
static bool is_alive(void)
{
	uint64_t wait_ns = 0;

	for (int i = 0; i < 3; i++) {
		if (gsh_bucket_take(&world.bucket, &world.terms, world.now_ns, 1,
				    &wait_ns))
			return true;
		if (wait_ns > GSH_BUCKET_DEBT_MAX_NS * 1000)
			return false;
		world.now_ns += wait_ns;
	}
	return false;
}

static void try_schedules(unsigned count, bool kills, bool settles)
{
	for (unsigned i = 0; i < count; i++) {
		set_up_schedule(kills, settles);
		run_schedule();
		CU_ASSERT_FATAL(is_within_the_rate());
		CU_ASSERT_EQUAL_FATAL(world.bucket.repairs, 0);
		CU_ASSERT_FATAL((int64_t)world.bucket.level <=
				(int64_t)world.terms.burst_ns);
		CU_ASSERT_FATAL(is_alive());
	}
}

static void no_interleaving_takes_more_than_rate_and_burst_and_one_launch(void)
{
	world.random_state = 1;
	try_schedules(40000, false, false);
}

static void no_process_killed_between_two_steps_frees_or_stops_the_others(void)
{
	world.random_state = 2;
	try_schedules(40000, true, false);
}

static void no_settling_in_between_frees_anybody(void)
{
	world.random_state = 3;
	try_schedules(15000, true, true);
}

static void control_adding_the_credit_to_whatever_level_there_is_frees_somebody(void)
{
	unsigned over = 0;

	world.random_state = 1;
	for (unsigned i = 0; i < 40000 && over == 0; i++) {
		set_up_schedule(false, false);
		world.naive = true;
		run_schedule();
		over += !is_within_the_rate();
	}
	CU_ASSERT(over > 0);
}

const struct unit_suite unit_suite = {
	.name = "bucket, step by step",
	.tests = {
		UNIT_TEST(no_interleaving_takes_more_than_rate_and_burst_and_one_launch),
		UNIT_TEST(no_process_killed_between_two_steps_frees_or_stops_the_others),
		UNIT_TEST(no_settling_in_between_frees_anybody),
		UNIT_TEST(control_adding_the_credit_to_whatever_level_there_is_frees_somebody),
	},
};
