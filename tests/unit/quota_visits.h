/*
 * quota_visits.h - the orders in which the machine of quota_model.h takes its steps.
 *
 * visit_all(): every order there is, each state once. run_randomly(): one order, with
 * preemption, a stopped process and a killed one.
 */
#ifndef TESTS_UNIT_QUOTA_VISITS_H
#define TESTS_UNIT_QUOTA_VISITS_H

#include "quota_model.h"

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

/* ---- many interleavings of more ---------------------------------------------------------- */

static uint64_t random_state;

static uint32_t random_below(uint32_t bound)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)((random_state >> 33) % bound);
}

/*
 * Nanoseconds; now and then somebody was preempted. While somebody is stopped, so much
 * that patience ends after some forty looks, which is about what each of them may count.
 */
static void pass_time(bool stopped)
{
	world.now_ns += 1 + random_below(100);
	if (stopped && random_below(4) == 0)
		world.now_ns += random_below(10) * UINT64_C(1000000);
	if (!stopped && random_below(40) == 0)
		world.now_ns += random_below(200) * UINT64_C(1000000);
}

/* A random process that can take a step, or ACTORS. */
static uint32_t pick(uint32_t stopped)
{
	uint32_t first = random_below(ACTORS);

	for (uint32_t n = 0; n < ACTORS; n++) {
		uint32_t i = (first + n) % ACTORS;
		const struct process *process = &world.processes[i];

		if (i < world.actors && i != stopped && !process->killed &&
		    !process->place.finished)
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
			pass_time(stopped != ACTORS);
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

#endif
