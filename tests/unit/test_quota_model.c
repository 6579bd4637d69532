/*
 * Every way in which reservations can interleave, one access to shared memory at a time.
 *
 * quota.c is compiled into this file with its atomics replaced: each becomes a step, and
 * the test decides who takes the next one. A process is its program and the values that it
 * has read so far; to know its next access the program is run from its start with those
 * values, and left at the first access that has none yet. So no stack is saved, states can
 * be compared, and all reachable ones are visited. Steps are sequentially consistent, as
 * quota.c asks of its accesses.
 *
 * Checked in each state: the charges are within the limit. At each verdict: a denial only
 * if at some instant since the request began there was no room; "again" only if another
 * was at work meanwhile. At the end: nothing is pending, and charges are what is held.
 * The last tests give the same explorer broken protocols, in which it must find the fault.
 */
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "cunit_main.h"

enum access_kind { LOAD, ADD, SUB, STORE, CAS };

/* A step: returns what the word held before. */
static uint64_t model_step(enum access_kind kind, const void *word, size_t bytes,
			   uint64_t operand, uint64_t expected);
static bool model_cas(uint64_t *word, uint64_t *expected, uint64_t value);

#undef gsh_load_relaxed
#undef gsh_load_seq_cst
#undef gsh_add_seq_cst
#undef gsh_sub_seq_cst
#undef gsh_cas_acq_rel
#define gsh_load_seq_cst(p)   model_step(LOAD, (p), sizeof(*(p)), 0, 0)
#define gsh_load_relaxed(p)   gsh_load_seq_cst(p)
#define gsh_add_seq_cst(p, v) (void)model_step(ADD, (p), sizeof(*(p)), (v), 0)
#define gsh_sub_seq_cst(p, v) (void)model_step(SUB, (p), sizeof(*(p)), (v), 0)
#define gsh_cas_acq_rel(p, expected, value) model_cas((p), (expected), (value))

/* NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "../../libshim/policy/quota.c"

enum {
	CELLS = 4,
	ACTORS = 4,
	OPS = 6,
	STEPS_MAX = 4096,     /* of one process */
	SET_SLOTS = 1 << 22,  /* states that can be told apart */
};

/* ---- what processes do ------------------------------------------------------------------ */

enum op_kind { END, RESERVE, REFUND, FORCE, ARRIVE };

struct op {
	enum op_kind kind;
	uint64_t bytes;
};

struct actor {
	uint32_t cell;
	uint64_t held; /* at the start */
	struct op ops[OPS + 1];
};

typedef enum gsh_quota_verdict (*reserve_function)(const struct gsh_quota *, uint32_t,
						   uint64_t, uint64_t, uint64_t,
						   struct gsh_quota_try *);

struct scenario {
	uint64_t limit;
	uint32_t cells_used; /* at the start */
	uint32_t calls;	     /* of each try, before it gives up */
	uint32_t kills;	     /* processes that may be killed, at any step */
	reserve_function reserve; /* NULL: the real one */
	struct actor actors[ACTORS];
};

/* ---- the machine ------------------------------------------------------------------------ */

struct access {
	enum access_kind kind;
	void *word;
	size_t bytes;
	uint64_t operand, expected;
};

/* Where a process is, found out by running it. */
struct place {
	uint32_t op, calls;
	uint32_t accesses; /* since the operation, or the call of a try, began */
	uint32_t returned; /* calls that have returned */
	enum gsh_quota_verdict verdict; /* of the last */
	uint64_t want;	   /* by the reservation that it is in; 0: in none */
	uint64_t held;
	bool finished;
};

struct process {
	const struct actor *actor;
	struct place place;
	struct access next;
	uint64_t past; /* hash of what it has read and still may remember */
	uint32_t length, replayed;
	/* What only the test knows. */
	bool had_no_room; /* at some instant since its request began */
	bool disturbed;	  /* another did something, or was in the middle, during this call */
	bool killed;
	uint32_t reaped;   /* steps of taking what it left behind */
	uint64_t since_ns; /* when its call began */
};

static struct {
	const struct scenario *scenario;
	struct gpushim_ledger_cell cells[CELLS];
	uint32_t cells_used;
	uint64_t now_ns; /* 0: there is no time */
	uint32_t kills_left, actors;
	struct process processes[ACTORS];
	const char *failure;
	uint64_t states, steps, impatient_denials;
} world;

/* Values read, apart from struct process, which is copied at each step. */
static uint64_t logs[ACTORS][STEPS_MAX];
static struct process *running;
static jmp_buf out_of_values;

static uint64_t model_step(enum access_kind kind, const void *word, size_t bytes,
			   uint64_t operand, uint64_t expected)
{
	struct process *me = running;

	if (me->replayed < me->length) {
		me->place.accesses++;
		return logs[me - world.processes][me->replayed++];
	}
	me->next = (struct access){ kind, (void *)(uintptr_t)word, bytes, operand,
				    expected };
	longjmp(out_of_values, 1);
}

static bool model_cas(uint64_t *word, uint64_t *expected, uint64_t value)
{
	uint64_t before = model_step(CAS, word, sizeof(*word), value, *expected);
	bool done = before == *expected;

	*expected = before;
	return done;
}

static void begin(struct process *me, uint32_t op, uint32_t calls)
{
	me->place.op = op;
	me->place.calls = calls;
	me->place.accesses = 0;
}

static void reserve(struct process *me, const struct gsh_quota *quota, uint32_t op)
{
	reserve_function call = world.scenario->reserve;
	struct gsh_quota_try attempt = { 0 };
	uint64_t bytes = me->actor->ops[op].bytes;

	for (uint32_t calls = 0; calls < world.scenario->calls; calls++) {
		uint64_t now_ns = 0;

		begin(me, op, calls);
		me->place.want = bytes;
		if (world.now_ns > 0)
			now_ns = gsh_load_seq_cst(&world.now_ns);
		me->place.verdict = (call ? call : gsh_quota_reserve)(
			quota, me->actor->cell, bytes, world.scenario->limit, now_ns,
			&attempt);
		me->place.returned++;
		if (me->place.verdict == GSH_QUOTA_GRANTED)
			me->place.held += bytes;
		if (me->place.verdict != GSH_QUOTA_AGAIN)
			break;
	}
	me->place.want = 0;
}

static void run_program(struct process *me)
{
	const struct gsh_quota quota = { world.cells, &world.cells_used };
	uint32_t own = me->actor->cell;

	for (uint32_t i = 0; me->actor->ops[i].kind != END; i++) {
		const struct op *op = &me->actor->ops[i];

		begin(me, i, 0);
		if (op->kind == RESERVE)
			reserve(me, &quota, i);
		if (op->kind == FORCE) {
			gsh_quota_force(&quota, own, op->bytes);
			me->place.held += op->bytes;
		}
		/* What was not granted is not given back. */
		if (op->kind == REFUND && me->place.held >= op->bytes) {
			if (gsh_quota_refund(&quota, own, op->bytes) != 0)
				world.failure = "a refund of what was held lacked something";
			me->place.held -= op->bytes;
		}
		if (op->kind == ARRIVE)
			model_step(STORE, &world.cells_used, sizeof(world.cells_used),
				   own + 1, 0);
	}
	begin(me, OPS, 0);
	me->place.finished = true;
}

/* Finds out where a process is and what it does next. */
static void advance(struct process *me)
{
	running = me;
	me->replayed = 0;
	me->place = (struct place){ .held = me->actor->held };
	if (setjmp(out_of_values) == 0)
		run_program(me);
	running = NULL;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 29;
}

static uint64_t perform(const struct access *access)
{
	uint64_t before = 0, after = 0;

	memcpy(&before, access->word, access->bytes); /* little-endian, as the product */
	switch (access->kind) {
	case LOAD:
		return before;
	case ADD:
		after = before + access->operand;
		break;
	case SUB:
		after = before - access->operand;
		break;
	case STORE:
		after = access->operand;
		break;
	case CAS:
		if (before != access->expected)
			return before;
		after = access->operand;
		break;
	}
	memcpy(access->word, &after, access->bytes);
	return before;
}

static uint64_t charges(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < CELLS; i++)
		sum += world.cells[i].charged;
	return sum;
}

static bool in_the_middle(const struct process *process)
{
	return process->place.accesses > 0 && !process->place.finished &&
	       !(process->killed && process->reaped == 2);
}

/* Looks at the state with the eyes of all who have asked for something. */
static void look_at_room(void)
{
	uint64_t charged = charges();

	if (charged > world.scenario->limit && !world.failure)
		world.failure = "the charges exceed the limit";
	for (uint32_t i = 0; i < world.actors; i++) {
		struct process *process = &world.processes[i];

		if (process->place.want > 0 &&
		    (process->place.calls > 0 || process->place.accesses > 0) &&
		    charged + process->place.want > world.scenario->limit)
			process->had_no_room = true;
	}
}

static void disturb_others(const struct process *me)
{
	for (uint32_t i = 0; i < world.actors; i++)
		if (&world.processes[i] != me)
			world.processes[i].disturbed = true;
}

/* Whether it does not fit beside those either who have been at it for too long. */
static bool is_blocked_for_long(const struct process *me, uint64_t want)
{
	uint64_t sum = charges() + want;
	bool counted[CELLS] = { false };

	for (uint32_t i = 0; i < world.actors; i++) {
		const struct process *other = &world.processes[i];
		uint32_t cell = other->actor->cell;

		if (other == me || counted[cell] || !in_the_middle(other) ||
		    world.now_ns - other->since_ns < GSH_QUOTA_PATIENCE_NS)
			continue;
		sum += world.cells[cell].pending;
		counted[cell] = true;
	}
	return sum > world.scenario->limit;
}

/* want: what the call that has just returned had asked for. */
static void check_verdict(const struct process *me, uint64_t want)
{
	if (world.failure)
		return;
	if (me->place.verdict == GSH_QUOTA_DENIED && !me->had_no_room) {
		if (is_blocked_for_long(me, want))
			world.impatient_denials++;
		else
			world.failure = "denied, and there was room all the time";
	}
	if (me->place.verdict == GSH_QUOTA_AGAIN && !me->disturbed)
		world.failure = "nobody was there, and it was to try again";
}

/* One access of one process. */
static void step(struct process *me)
{
	uint32_t returned = me->place.returned;
	uint64_t value, want = me->place.want;

	if (me->place.accesses == 0) {
		me->since_ns = world.now_ns;
		me->disturbed = false;
		for (uint32_t i = 0; i < world.actors; i++)
			if (&world.processes[i] != me &&
			    in_the_middle(&world.processes[i]))
				me->disturbed = true;
		if (me->place.calls == 0)
			me->had_no_room =
				want > 0 && charges() + want > world.scenario->limit;
	}
	disturb_others(me);
	value = perform(&me->next);
	look_at_room();
	if (me->length == STEPS_MAX) {
		world.failure = "somebody never gets through";
		return;
	}
	logs[me - world.processes][me->length++] = value;
	me->past = mix(me->past, value);
	advance(me);
	/* Between calls a process remembers nothing but its place. */
	if (me->place.accesses == 0)
		me->past = 0;
	if (me->place.returned != returned)
		check_verdict(me, want);
	world.steps++;
}

/* What the ledger does with the cell of a dead process. */
static void reap(struct process *dead)
{
	struct gpushim_ledger_cell *cell = &world.cells[dead->actor->cell];

	disturb_others(dead);
	if (dead->reaped++ == 0)
		cell->charged = 0;
	else
		cell->pending = 0;
	look_at_room();
}

static void check_end(void)
{
	uint64_t held[CELLS] = { 0 };

	for (uint32_t i = 0; i < world.actors; i++)
		if (!world.processes[i].killed)
			held[world.processes[i].actor->cell] +=
				world.processes[i].place.held;
	for (int i = 0; i < CELLS && !world.failure; i++) {
		if (world.cells[i].pending != 0)
			world.failure = "something was left pending";
		else if (world.cells[i].charged != held[i])
			world.failure = "the charge is not what is held";
	}
}

static void start(const struct scenario *scenario)
{
	memset(&world, 0, sizeof(world));
	world.scenario = scenario;
	world.cells_used = scenario->cells_used;
	world.kills_left = scenario->kills;
	for (; world.actors < ACTORS && scenario->actors[world.actors].ops[0].kind != END;
	     world.actors++) {
		struct process *process = &world.processes[world.actors];

		process->actor = &scenario->actors[world.actors];
		world.cells[process->actor->cell].charged += process->actor->held;
		advance(process);
	}
}

/* ---- all interleavings ------------------------------------------------------------------ */

static uint64_t *seen; /* hashes of states; 0: free */

static uint64_t hash_of_state(void)
{
	uint64_t hash = mix(world.cells_used, world.kills_left);

	for (int i = 0; i < CELLS; i++) {
		hash = mix(hash, world.cells[i].pending);
		hash = mix(hash, world.cells[i].charged);
		hash = mix(hash, world.cells[i].sequence);
		hash = mix(hash, world.cells[i].withdrawals);
	}
	for (uint32_t i = 0; i < world.actors; i++) {
		const struct process *process = &world.processes[i];

		hash = mix(hash, process->past);
		hash = mix(hash, process->place.op << 16 | process->place.calls << 8 |
					 process->place.accesses);
		hash = mix(hash, process->place.held);
		hash = mix(hash, process->had_no_room | process->disturbed << 1 |
					 process->killed << 2 | process->reaped << 3);
	}
	return hash ? hash : 1;
}

/* False if the state was visited before. */
static bool is_new(void)
{
	uint64_t hash = hash_of_state();
	uint64_t i = hash % SET_SLOTS;

	while (seen[i] != 0) {
		if (seen[i] == hash)
			return false;
		i = (i + 1) % SET_SLOTS;
	}
	seen[i] = hash;
	if (++world.states > SET_SLOTS / 4 * 3)
		abort(); /* the scenario is too large for this test */
	return true;
}

static void explore(void);

enum move { STEP, KILL, REAP };

/* Makes a move, goes on from there, and takes it back. */
static void try_move(uint32_t number, enum move move)
{
	struct process before[ACTORS];
	struct gpushim_ledger_cell cells[CELLS];
	uint32_t cells_used = world.cells_used, kills_left = world.kills_left;
	struct process *process = &world.processes[number];

	memcpy(before, world.processes, sizeof(before));
	memcpy(cells, world.cells, sizeof(cells));
	switch (move) {
	case STEP:
		step(process);
		break;
	case KILL:
		process->killed = true;
		world.kills_left--;
		break;
	case REAP:
		reap(process);
		break;
	}
	explore();
	memcpy(world.processes, before, sizeof(before));
	memcpy(world.cells, cells, sizeof(cells));
	world.cells_used = cells_used;
	world.kills_left = kills_left;
}

static void explore(void)
{
	bool over = true;

	if (world.failure || !is_new())
		return;
	for (uint32_t i = 0; i < world.actors && !world.failure; i++) {
		const struct process *process = &world.processes[i];

		if (process->killed) {
			if (process->reaped < 2) {
				over = false;
				try_move(i, REAP);
			}
			continue;
		}
		if (process->place.finished)
			continue;
		over = false;
		try_move(i, STEP);
		if (world.kills_left > 0)
			try_move(i, KILL);
	}
	if (over)
		check_end();
}

/* NULL, or what went wrong in one of the interleavings. */
static const char *visit_all(const struct scenario *scenario)
{
	seen = calloc(SET_SLOTS, sizeof(*seen));
	if (!seen)
		abort();
	start(scenario);
	explore();
	free(seen);
	printf("    %llu states, %llu steps%s%s\n", (unsigned long long)world.states,
	       (unsigned long long)world.steps, world.failure ? ": " : "",
	       world.failure ? world.failure : "");
	return world.failure;
}

static void assert_holds(const struct scenario *scenario)
{
	CU_ASSERT_PTR_NULL(visit_all(scenario));
}

static void assert_fails(const struct scenario *scenario, const char *how)
{
	const char *failure = visit_all(scenario);

	CU_ASSERT_PTR_NOT_NULL(failure);
	if (failure)
		CU_ASSERT_STRING_EQUAL(failure, how);
}

static const char over_the_limit[] = "the charges exceed the limit";
static const char denied_wrongly[] = "denied, and there was room all the time";

/* ---- the protocol ----------------------------------------------------------------------- */

static void two_processes_that_do_not_fit_together(void)
{
	static const struct scenario scenario = {
		.limit = 10,
		.cells_used = 2,
		.calls = 2,
		.actors = {
			{ 0, 0, { { RESERVE, 6 }, { REFUND, 6 }, { RESERVE, 3 } } },
			{ 1, 0, { { RESERVE, 6 }, { REFUND, 6 }, { RESERVE, 5 } } },
		},
	};

	assert_holds(&scenario);
}

static void two_threads_of_one_process(void)
{
	static const struct scenario scenario = {
		.limit = 10,
		.cells_used = 1,
		.calls = 2,
		.actors = {
			{ 0, 0, { { RESERVE, 6 }, { REFUND, 6 }, { RESERVE, 3 } } },
			{ 0, 0, { { RESERVE, 6 }, { REFUND, 6 }, { RESERVE, 5 } } },
		},
	};

	assert_holds(&scenario);
}

static void three_threads_of_one_process(void)
{
	static const struct scenario scenario = {
		.limit = 10,
		.cells_used = 1,
		.calls = 1,
		.actors = {
			{ 0, 2, { { RESERVE, 4 } } },
			{ 0, 0, { { RESERVE, 4 } } },
			{ 0, 0, { { RESERVE, 4 } } },
		},
	};

	assert_holds(&scenario);
}

static void a_process_and_two_threads_of_another(void)
{
	static const struct scenario scenario = {
		.limit = 10,
		.cells_used = 2,
		.calls = 1,
		.actors = {
			{ 0, 2, { { RESERVE, 4 } } },
			{ 0, 4, { { REFUND, 4 } } },
			{ 1, 0, { { RESERVE, 5 } } },
		},
	};

	assert_holds(&scenario);
}

static void what_fits_beside_bytes_that_change_hands_is_never_denied(void)
{
	/* Six of ten are always free or held by one of the first two, never by both. */
	static const struct scenario scenario = {
		.limit = 10,
		.cells_used = 3,
		.calls = 2,
		.actors = {
			{ 0, 6, { { REFUND, 6 } } },
			{ 1, 0, { { RESERVE, 6 } } },
			{ 2, 0, { { RESERVE, 4 } } },
		},
	};

	assert_holds(&scenario);
}

static void a_process_that_comes_later(void)
{
	static const struct scenario scenario = {
		.limit = 10,
		.cells_used = 1,
		.calls = 2,
		.actors = {
			{ 0, 0, { { RESERVE, 6 }, { RESERVE, 4 } } },
			{ 1, 0, { { ARRIVE, 0 }, { RESERVE, 6 }, { REFUND, 6 } } },
		},
	};

	assert_holds(&scenario);
}

static void a_process_killed_at_any_step_and_reaped_at_any_other(void)
{
	static const struct scenario scenario = {
		.limit = 10,
		.cells_used = 2,
		.calls = 2,
		.kills = 1,
		.actors = {
			{ 0, 3, { { RESERVE, 6 }, { REFUND, 3 } } },
			{ 1, 0, { { RESERVE, 5 }, { REFUND, 5 } } },
		},
	};

	assert_holds(&scenario);
}

static void three_processes_of_which_one_is_killed(void)
{
	static const struct scenario scenario = {
		.limit = 10,
		.cells_used = 3,
		.calls = 1,
		.kills = 1,
		.actors = {
			{ 0, 6, { { REFUND, 6 } } },
			{ 1, 0, { { RESERVE, 6 } } },
			{ 2, 4, { { REFUND, 4 } } },
		},
	};

	assert_holds(&scenario);
}

static void forced_charges_beside_a_reservation(void)
{
	static const struct scenario scenario = {
		.limit = 10,
		.cells_used = 2,
		.calls = 2,
		.actors = {
			{ 0, 0, { { FORCE, 3 }, { REFUND, 3 }, { FORCE, 3 } } },
			{ 1, 0, { { RESERVE, 7 }, { REFUND, 7 } } },
		},
	};

	assert_holds(&scenario);
}

/* ---- many interleavings of more ---------------------------------------------------------- */

static uint64_t random_state;

static uint32_t random_below(uint32_t bound)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)((random_state >> 33) % bound);
}

/* Mostly nanoseconds; now and then somebody was preempted. */
static void pass_time(bool preemption)
{
	world.now_ns += 1 + random_below(100);
	if (preemption && random_below(20) == 0)
		world.now_ns += random_below(200) * UINT64_C(1000000);
}

/* A random process that can take a step, or ACTORS. */
static uint32_t pick(uint32_t stopped)
{
	uint32_t first = random_below(world.actors);

	for (uint32_t n = 0; n < world.actors; n++) {
		uint32_t i = (first + n) % world.actors;
		const struct process *process = &world.processes[i];

		if (i != stopped && !process->killed && !process->place.finished)
			return i;
	}
	return ACTORS;
}

/*
 * One run: steps in random order, with bursts. One process may be killed, and one may be
 * stopped for a long time; when nobody else can go on, they are reaped and continued.
 */
static void run_randomly(const struct scenario *scenario, uint64_t seed, bool timed)
{
	uint32_t stopped = ACTORS, now = ACTORS;

	start(scenario);
	random_state = seed;
	world.now_ns = timed ? 1 : 0;
	for (uint32_t i = 0; timed && i < world.actors; i++)
		advance(&world.processes[i]); /* from now on it reads the time */
	while (!world.failure) {
		if (now == stopped || random_below(3) == 0 ||
		    world.processes[now].killed || world.processes[now].place.finished)
			now = pick(stopped);
		if (now == ACTORS && stopped == ACTORS)
			break;
		if (now == ACTORS) {
			stopped = ACTORS;
			continue;
		}
		if (timed)
			pass_time(true);
		if (scenario->kills > 0 && stopped == ACTORS && random_below(50) == 0) {
			stopped = now;
			continue;
		}
		if (world.kills_left > 0 && random_below(100) == 0) {
			world.processes[now].killed = true;
			world.kills_left--;
			continue;
		}
		for (uint32_t i = 0; i < world.actors; i++)
			if (world.processes[i].killed && world.processes[i].reaped < 2 &&
			    random_below(300) == 0)
				reap(&world.processes[i]);
		step(&world.processes[now]);
	}
	for (uint32_t i = 0; i < world.actors; i++)
		while (world.processes[i].killed && world.processes[i].reaped < 2)
			reap(&world.processes[i]);
	if (!world.failure)
		check_end();
}

static const struct scenario crowd = {
	.limit = 10,
	.cells_used = 3,
	.calls = UINT32_MAX,
	.actors = {
		{ 0, 0, { { RESERVE, 6 }, { REFUND, 6 }, { RESERVE, 6 }, { REFUND, 6 } } },
		{ 1, 0, { { RESERVE, 6 }, { REFUND, 6 }, { RESERVE, 5 }, { REFUND, 5 } } },
		{ 1, 0, { { RESERVE, 7 }, { REFUND, 7 }, { RESERVE, 2 }, { REFUND, 2 } } },
		{ 2, 2, { { RESERVE, 4 }, { REFUND, 6 }, { RESERVE, 8 }, { REFUND, 8 } } },
	},
};

static void a_crowd_in_random_order_is_held_and_gets_through(void)
{
	uint64_t steps = 0;

	for (uint64_t seed = 1; seed <= 1000; seed++) {
		run_randomly(&crowd, seed, false);
		steps += world.steps;
		if (world.failure)
			break;
	}
	CU_ASSERT_PTR_NULL(world.failure);
	printf("    %llu steps%s%s\n", (unsigned long long)steps,
	       world.failure ? ": " : "", world.failure ? world.failure : "");
}

static void preempted_stopped_and_killed_ones_deny_nobody_before_patience_ends(void)
{
	struct scenario scenario = crowd;
	uint64_t impatient = 0;

	/* One process for each cell, because the dead lose theirs. */
	scenario.actors[2].cell = 3;
	scenario.cells_used = 4;
	scenario.kills = 1;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		run_randomly(&scenario, seed, true);
		impatient += world.impatient_denials;
		if (world.failure)
			break;
	}
	CU_ASSERT_PTR_NULL(world.failure);
	/* Or nobody's patience was ever tried. */
	CU_ASSERT(impatient > 0);
	printf("    %llu denials for want of patience%s%s\n",
	       (unsigned long long)impatient, world.failure ? ": " : "",
	       world.failure ? world.failure : "");
}

/* ---- broken protocols ------------------------------------------------------------------- */

static enum gsh_quota_verdict withdraw(const struct gsh_quota *quota, uint32_t own,
				       uint64_t bytes, uint64_t limit_bytes,
				       struct gsh_quota_try *attempt)
{
	gsh_sub_seq_cst(&quota->cells[own].pending, bytes);
	gsh_add_seq_cst(&quota->cells[own].withdrawals, 1);
	return judge(quota, bytes, limit_bytes, 0, attempt);
}

static enum gsh_quota_verdict sums_before_it_announces(const struct gsh_quota *quota,
						       uint32_t own, uint64_t bytes,
						       uint64_t limit_bytes, uint64_t now_ns,
						       struct gsh_quota_try *attempt)
{
	bool fits = claimed_at_most(quota, &attempt->used_bytes) + bytes <= limit_bytes;

	(void)now_ns;
	gsh_add_seq_cst(&quota->cells[own].pending, bytes);
	if (!fits)
		return withdraw(quota, own, bytes, limit_bytes, attempt);
	charge(&quota->cells[own], bytes);
	return GSH_QUOTA_GRANTED;
}

static enum gsh_quota_verdict leaves_pending_too_early(const struct gsh_quota *quota,
						       uint32_t own, uint64_t bytes,
						       uint64_t limit_bytes, uint64_t now_ns,
						       struct gsh_quota_try *attempt)
{
	(void)now_ns;
	gsh_add_seq_cst(&quota->cells[own].pending, bytes);
	if (claimed_at_most(quota, &attempt->used_bytes) > limit_bytes)
		return withdraw(quota, own, bytes, limit_bytes, attempt);
	gsh_sub_seq_cst(&quota->cells[own].pending, bytes);
	gsh_add_seq_cst(&quota->cells[own].charged, bytes);
	gsh_add_seq_cst(&quota->cells[own].sequence, 1);
	return GSH_QUOTA_GRANTED;
}

static enum gsh_quota_verdict looks_at_its_own_only(const struct gsh_quota *quota,
						    uint32_t own, uint64_t bytes,
						    uint64_t limit_bytes, uint64_t now_ns,
						    struct gsh_quota_try *attempt)
{
	struct gpushim_ledger_cell *cell = &quota->cells[own];
	uint64_t pending;

	(void)now_ns;
	gsh_add_seq_cst(&cell->pending, bytes);
	pending = gsh_load_seq_cst(&cell->pending);
	if (pending + gsh_load_seq_cst(&cell->charged) > limit_bytes)
		return withdraw(quota, own, bytes, limit_bytes, attempt);
	charge(cell, bytes);
	return GSH_QUOTA_GRANTED;
}

static enum gsh_quota_verdict sums_charges_before_pending(const struct gsh_quota *quota,
							  uint32_t own, uint64_t bytes,
							  uint64_t limit_bytes,
							  uint64_t now_ns,
							  struct gsh_quota_try *attempt)
{
	uint64_t sum;

	(void)now_ns;
	gsh_add_seq_cst(&quota->cells[own].pending, bytes);
	sum = gsh_quota_used(quota);
	for (uint32_t i = 0; i < *quota->cells_used; i++)
		sum += gsh_load_seq_cst(&quota->cells[i].pending);
	if (sum > limit_bytes)
		return withdraw(quota, own, bytes, limit_bytes, attempt);
	charge(&quota->cells[own], bytes);
	return GSH_QUOTA_GRANTED;
}

/* Grants as it should, and denies by the judgement of the caller's choice. */
static bool is_granted(const struct gsh_quota *quota, uint32_t own, uint64_t bytes,
		       uint64_t limit_bytes, struct gsh_quota_try *attempt)
{
	struct gpushim_ledger_cell *cell = &quota->cells[own];

	gsh_add_seq_cst(&cell->pending, bytes);
	if (claimed_at_most(quota, &attempt->used_bytes) <= limit_bytes) {
		charge(cell, bytes);
		return true;
	}
	gsh_sub_seq_cst(&cell->pending, bytes);
	gsh_add_seq_cst(&cell->withdrawals, 1);
	return false;
}

static enum gsh_quota_verdict denies_for_pending(const struct gsh_quota *quota,
						 uint32_t own, uint64_t bytes,
						 uint64_t limit_bytes, uint64_t now_ns,
						 struct gsh_quota_try *attempt)
{
	(void)now_ns;
	return is_granted(quota, own, bytes, limit_bytes, attempt) ? GSH_QUOTA_GRANTED
								   : GSH_QUOTA_DENIED;
}

static enum gsh_quota_verdict denies_by_one_reading(const struct gsh_quota *quota,
						    uint32_t own, uint64_t bytes,
						    uint64_t limit_bytes, uint64_t now_ns,
						    struct gsh_quota_try *attempt)
{
	(void)now_ns;
	if (is_granted(quota, own, bytes, limit_bytes, attempt))
		return GSH_QUOTA_GRANTED;
	return gsh_quota_used(quota) + bytes > limit_bytes ? GSH_QUOTA_DENIED
							   : GSH_QUOTA_AGAIN;
}

static enum gsh_quota_verdict trusts_a_still_sequence(const struct gsh_quota *quota,
						      uint32_t own, uint64_t bytes,
						      uint64_t limit_bytes,
						      uint64_t now_ns,
						      struct gsh_quota_try *attempt)
{
	uint64_t before = 0, sum = 0, after = 0;
	uint32_t count = *quota->cells_used;

	(void)now_ns;
	if (is_granted(quota, own, bytes, limit_bytes, attempt))
		return GSH_QUOTA_GRANTED;
	for (uint32_t i = 0; i < count; i++)
		before += gsh_load_seq_cst(&quota->cells[i].sequence);
	sum = gsh_quota_used(quota);
	for (uint32_t i = 0; i < count; i++)
		after += gsh_load_seq_cst(&quota->cells[i].sequence);
	return before == after && sum + bytes > limit_bytes ? GSH_QUOTA_DENIED
							    : GSH_QUOTA_AGAIN;
}

static const struct scenario race = {
	.limit = 10,
	.cells_used = 2,
	.calls = 1,
	.actors = {
		{ 0, 0, { { RESERVE, 6 }, { REFUND, 6 } } },
		{ 1, 0, { { RESERVE, 6 }, { REFUND, 6 } } },
	},
};

static const struct scenario hand_over = {
	.limit = 10,
	.cells_used = 3,
	.calls = 1,
	.actors = {
		{ 0, 6, { { REFUND, 6 } } },
		{ 1, 0, { { RESERVE, 6 } } },
		{ 2, 0, { { RESERVE, 4 } } },
	},
};

static struct scenario with(const struct scenario *scenario, reserve_function reserve_call)
{
	struct scenario changed = *scenario;

	changed.reserve = reserve_call;
	return changed;
}

static void control_summing_before_announcing_goes_over(void)
{
	struct scenario scenario = with(&race, sums_before_it_announces);

	assert_fails(&scenario, over_the_limit);
}

static void control_leaving_pending_before_charging_goes_over(void)
{
	struct scenario scenario = with(&race, leaves_pending_too_early);

	assert_fails(&scenario, over_the_limit);
}

static void control_looking_at_its_own_charge_only_goes_over(void)
{
	struct scenario scenario = with(&race, looks_at_its_own_only);

	assert_fails(&scenario, over_the_limit);
}

static void control_summing_charges_before_pending_goes_over(void)
{
	struct scenario scenario = with(&race, sums_charges_before_pending);

	assert_fails(&scenario, over_the_limit);
}

static void control_denying_for_what_is_only_pending_is_wrong(void)
{
	struct scenario scenario = with(&race, denies_for_pending);

	assert_fails(&scenario, denied_wrongly);
}

static void control_denying_by_one_reading_is_wrong(void)
{
	struct scenario scenario = with(&hand_over, denies_by_one_reading);

	assert_fails(&scenario, denied_wrongly);
}

static void control_trusting_a_still_sequence_alone_is_wrong(void)
{
	struct scenario scenario = with(&hand_over, trusts_a_still_sequence);

	assert_fails(&scenario, denied_wrongly);
}

const struct unit_suite unit_suite = {
	.name = "quota, all interleavings",
	.tests = {
		UNIT_TEST(two_processes_that_do_not_fit_together),
		UNIT_TEST(two_threads_of_one_process),
		UNIT_TEST(three_threads_of_one_process),
		UNIT_TEST(a_process_and_two_threads_of_another),
		UNIT_TEST(what_fits_beside_bytes_that_change_hands_is_never_denied),
		UNIT_TEST(a_process_that_comes_later),
		UNIT_TEST(a_process_killed_at_any_step_and_reaped_at_any_other),
		UNIT_TEST(three_processes_of_which_one_is_killed),
		UNIT_TEST(forced_charges_beside_a_reservation),
		UNIT_TEST(a_crowd_in_random_order_is_held_and_gets_through),
		UNIT_TEST(preempted_stopped_and_killed_ones_deny_nobody_before_patience_ends),
		UNIT_TEST(control_summing_before_announcing_goes_over),
		UNIT_TEST(control_leaving_pending_before_charging_goes_over),
		UNIT_TEST(control_looking_at_its_own_charge_only_goes_over),
		UNIT_TEST(control_summing_charges_before_pending_goes_over),
		UNIT_TEST(control_denying_for_what_is_only_pending_is_wrong),
		UNIT_TEST(control_denying_by_one_reading_is_wrong),
		UNIT_TEST(control_trusting_a_still_sequence_alone_is_wrong),
	},
};
