/*
 * quota_model.h - a machine that runs quota.c one access to shared memory at a time.
 *
 * quota.c is compiled into whoever includes this, with its atomics replaced: each becomes a
 * step, and the machine decides who takes the next one. A process is its program and the
 * values that it has read so far; to know its next access the program is run from its start
 * with those values, and left at the first access that has none yet. So no stack is saved,
 * states can be compared, and all reachable ones are visited. Steps are sequentially
 * consistent, as quota.c asks of its accesses.
 *
 * Checked in each state: the charges are within the limit. At each verdict: a denial only
 * if at some instant since the request began there was no room, or if somebody has been in
 * the middle for longer than patience; "again" only if another was at work meanwhile. At
 * the end: nothing is pending, and charges are what is held.
 *
 * For one program only, test_quota_model.c: it has state.
 */
#ifndef TESTS_UNIT_QUOTA_MODEL_H
#define TESTS_UNIT_QUOTA_MODEL_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"

enum access_kind { LOAD, ADD, SUB, STORE };

/* A step: returns what the word held before. */
static uint64_t model_step(enum access_kind kind, const void *word, size_t bytes,
			   uint64_t operand);

#undef gsh_load_relaxed
#undef gsh_load_seq_cst
#undef gsh_add_seq_cst
#undef gsh_sub_seq_cst
#define gsh_load_seq_cst(p) model_step(LOAD, (p), sizeof(*(p)), 0)
#define gsh_load_relaxed(p) gsh_load_seq_cst(p)
#define gsh_add_seq_cst(p, v) model_step(ADD, (p), sizeof(*(p)), (v))
#define gsh_sub_seq_cst(p, v) model_step(SUB, (p), sizeof(*(p)), (v))

/* NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "../../libshim/policy/quota.c"

enum {
	CELLS = 4,
	ACTORS = 4,
	OPS = 6,
	STEPS_MAX = 4096,    /* of one process */
	SET_SLOTS = 1 << 22, /* states that can be told apart */
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

/* One call of a try, as a protocol gets it. */
struct request {
	const struct gsh_quota *quota;
	struct gpushim_ledger_cell *own;
	uint32_t number; /* of the cell */
	uint64_t bytes, limit_bytes, now_ns;
	struct gsh_quota_try *attempt;
};

typedef enum gsh_quota_verdict (*protocol)(const struct request *);

struct scenario {
	protocol protocol;
	uint64_t limit;
	uint32_t cells_used; /* at the start */
	uint32_t calls;	     /* of each try, before it gives up */
	uint32_t kills;	     /* processes that may be killed, at any step */
	struct actor actors[ACTORS];
};

/* ---- the machine ------------------------------------------------------------------------ */

struct access {
	enum access_kind kind;
	void *word;
	size_t bytes;
	uint64_t operand;
};

/* Where a process is, found out by running it. */
struct place {
	uint32_t op, calls;
	uint32_t accesses; /* since the operation, or the call of a try, began */
	uint32_t returned; /* calls that have returned */
	enum gsh_quota_verdict verdict; /* of the last */
	uint64_t want;			/* by the reservation that it is in; 0: in none */
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
	bool disturbed; /* another did something, or was in the middle, during this call */
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
			   uint64_t operand)
{
	struct process *me = running;

	if (me->replayed < me->length) {
		me->place.accesses++;
		return logs[me - world.processes][me->replayed++];
	}
	me->next = (struct access){ kind, (void *)(uintptr_t)word, bytes, operand };
	longjmp(out_of_values, 1);
}

static void begin(struct process *me, uint32_t op, uint32_t calls)
{
	me->place.op = op;
	me->place.calls = calls;
	me->place.accesses = 0;
}

static void reserve(struct process *me, const struct gsh_quota *quota, uint32_t op)
{
	struct gsh_quota_try attempt = { 0 };
	struct request request = {
		.quota = quota,
		.own = &quota->cells[me->actor->cell],
		.number = me->actor->cell,
		.bytes = me->actor->ops[op].bytes,
		.limit_bytes = world.scenario->limit,
		.attempt = &attempt,
	};

	for (uint32_t calls = 0; calls < world.scenario->calls; calls++) {
		begin(me, op, calls);
		me->place.want = request.bytes;
		if (world.now_ns > 0)
			request.now_ns = gsh_load_seq_cst(&world.now_ns);
		me->place.verdict = world.scenario->protocol(&request);
		me->place.returned++;
		if (me->place.verdict == GSH_QUOTA_GRANTED)
			me->place.held += request.bytes;
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
				world.failure =
					"a refund of what was held lacked something";
			me->place.held -= op->bytes;
		}
		if (op->kind == ARRIVE)
			model_step(STORE, &world.cells_used, sizeof(world.cells_used),
				   own + 1);
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

	if (!access->word)
		abort();
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
			me->had_no_room = want > 0 &&
					  charges() + want > world.scenario->limit;
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

#endif
