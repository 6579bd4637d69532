/*
 * The wall against naive models, and with many threads and killed processes on it.
 *
 * Aligned intervals have an exact answer: all that is asserted of races is asserted of those.
 */
#include "policy/wall.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "cunit_main.h"

/* As the header and the ledger's say: 8192 ns for a bit, 32 of them in a word. */
#define BIT_NS UINT64_C(8192)
#define WORD_BITS UINT64_C(32)
#define RING_BITS (GPUSHIM_WALL_WORDS * WORD_BITS)
#define LAP_NS (RING_BITS * BIT_NS)
#define US UINT64_C(1000)
#define MS UINT64_C(1000000)

enum { LAPS = 4 };

static struct gpushim_ledger_wall wall;
static uint64_t random_state;

static void setup(void)
{
	memset(&wall, 0, sizeof(wall));
	random_state = 1;
}

/* splitmix64 */
static uint64_t random_of(uint64_t *state, uint64_t bound)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return (x ^ x >> 31) % bound;
}

static uint64_t random_below(uint64_t bound)
{
	return random_of(&random_state, bound);
}

static uint64_t random_magnitude(uint64_t bound)
{
	uint64_t value = random_below(bound);

	return value >> random_below(64 - (unsigned)__builtin_clzll(bound));
}

static uint64_t cover_bits(uint64_t first, uint64_t count)
{
	return gsh_wall_cover(&wall, first * BIT_NS, (first + count) * BIT_NS) / BIT_NS;
}

/* ---- aligned: exact ------------------------------------------------------------------- */

/* A bit is covered as long as no later lap has begun in its word. */
static struct {
	bool covered[LAPS * RING_BITS];
	uint64_t lap[GPUSHIM_WALL_WORDS];
} model;

static bool model_sets(uint64_t bit)
{
	uint64_t lap = bit / RING_BITS, *latest;
	bool before = model.covered[bit];

	latest = &model.lap[bit / WORD_BITS % GPUSHIM_WALL_WORDS];
	if (lap < *latest)
		return true;
	*latest = lap;
	model.covered[bit] = true;
	return !before;
}

static uint64_t model_cover(uint64_t first, uint64_t count)
{
	uint64_t fresh = 0;

	if (count > RING_BITS) {
		fresh = count - RING_BITS;
		first += fresh;
		count = RING_BITS;
	}
	for (uint64_t i = 0; i < count; i++)
		fresh += model_sets(first + i);
	return fresh;
}

/* Around a clock that runs through the laps, as completions come: behind it, in any order. */
static void what_is_new_of_aligned_intervals_is_what_a_naive_model_says(void)
{
	uint64_t wrong = 0, old = 0, rounds = unit_rounds(2000000);

	memset(&model, 0, sizeof(model));
	for (uint64_t i = 0; i < rounds; i++) {
		uint64_t now = i * (LAPS * RING_BITS - 1) / rounds;
		uint64_t count = random_magnitude(i % 10000 ? 400 : 2 * RING_BITS);
		uint64_t back = random_magnitude(i % 100 ? 2000 : 2 * RING_BITS);
		uint64_t end = back < now ? now - back : 0, fresh;

		if (count > end)
			count = end;
		fresh = model_cover(end - count, count);
		wrong += cover_bits(end - count, count) != fresh;
		old += fresh < count;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	/* Or it was no test. */
	CU_ASSERT(old > rounds / 20);
}

static void an_interval_is_new_once(void)
{
	CU_ASSERT_EQUAL(cover_bits(100, 1000), 1000);
	CU_ASSERT_EQUAL(cover_bits(100, 1000), 0);
	CU_ASSERT_EQUAL(cover_bits(50, 100), 50);
	CU_ASSERT_EQUAL(cover_bits(1000, 200), 100);
	CU_ASSERT_EQUAL(cover_bits(0, 1200), 50);
}

static void what_the_ring_has_forgotten_is_new_and_harms_nothing_later(void)
{
	CU_ASSERT_EQUAL(cover_bits(RING_BITS + 64, 64), 64);
	CU_ASSERT_EQUAL(cover_bits(64, 64), 64);
	CU_ASSERT_EQUAL(cover_bits(64, 64), 64);
	CU_ASSERT_EQUAL(cover_bits(RING_BITS + 64, 64), 0);
}

static void longer_than_the_ring_is_new_but_for_what_the_ring_holds(void)
{
	CU_ASSERT_EQUAL(cover_bits(2 * RING_BITS, 100), 100);
	CU_ASSERT_EQUAL(cover_bits(0, 3 * RING_BITS), 3 * RING_BITS - 100);
	CU_ASSERT_EQUAL(cover_bits(0, 3 * RING_BITS), 2 * RING_BITS);
}

static void what_lies_ahead_is_new_and_counts_when_its_time_has_come(void)
{
	CU_ASSERT_EQUAL(cover_bits(5 * RING_BITS + 320, 32), 32);
	CU_ASSERT_EQUAL(cover_bits(320, 32), 32);
	CU_ASSERT_EQUAL(cover_bits(5 * RING_BITS + 300, 72), 40);
}

static void no_time_is_no_time(void)
{
	CU_ASSERT_EQUAL(gsh_wall_cover(&wall, 5 * MS, 5 * MS), 0);
	CU_ASSERT_EQUAL(gsh_wall_cover(&wall, 5 * MS, 4 * MS), 0);
	CU_ASSERT_EQUAL(gsh_wall_cover(&wall, UINT64_MAX, 0), 0);
	CU_ASSERT_EQUAL(cover_bits(0, RING_BITS), RING_BITS);
}

/* Nonsense ends, and is no credit to anybody. */
static void any_two_words_make_an_interval(void)
{
	uint64_t bad = 0;

	CU_ASSERT_EQUAL(gsh_wall_cover(&wall, 0, UINT64_MAX), UINT64_MAX);
	for (int i = 0; i < 2000; i++) {
		uint64_t begin_ns = random_magnitude(UINT64_MAX);
		uint64_t end_ns = UINT64_MAX - random_magnitude(UINT64_MAX);
		uint64_t fresh_ns = gsh_wall_cover(&wall, begin_ns, end_ns);

		bad += end_ns > begin_ns ? fresh_ns > end_ns - begin_ns : fresh_ns > 0;
	}
	CU_ASSERT_EQUAL(bad, 0);
}

/* ---- not aligned: to 8 us, and favouring nobody --------------------------------------- */

/* The union to 64 ns, of a stretch that begins at a lap's middle. */
enum { UNIT_NS = 64, UNITS = 1 << 15 };

static uint64_t union_units(unsigned char units[UNITS], unsigned begin, unsigned end)
{
	uint64_t fresh = 0;

	for (unsigned i = begin; i < end; i++) {
		fresh += !units[i];
		units[i] = 1;
	}
	return fresh;
}

static void any_intervals_are_their_union_on_average(void)
{
	static unsigned char units[UNITS];
	uint64_t said_ns = 0, true_ns = 0, length_ns = 0, impossible = 0;

	for (unsigned round = 0; round < unit_rounds(6000); round++) {
		uint64_t begin_of_all = LAP_NS / 2 + random_below(LAP_NS);

		memset(units, 0, sizeof(units));
		memset(&wall, 0, sizeof(wall));
		for (int i = 0; i < 16; i++) {
			unsigned begin = (unsigned)random_below(UNITS);
			unsigned end = begin + (unsigned)random_below(4 * UNITS / 16);
			uint64_t fresh_ns;

			if (end > UNITS)
				end = UNITS;
			true_ns += union_units(units, begin, end) * UNIT_NS;
			fresh_ns = gsh_wall_cover(
				&wall, begin_of_all + (uint64_t)begin * UNIT_NS,
				begin_of_all + (uint64_t)end * UNIT_NS);
			impossible += fresh_ns > (uint64_t)(end - begin) * UNIT_NS;
			said_ns += fresh_ns;
			length_ns += (uint64_t)(end - begin) * UNIT_NS;
		}
	}
	CU_ASSERT_EQUAL(impossible, 0);
	/* They overlap a good deal. */
	CU_ASSERT(length_ns > true_ns / 10 * 14);
	/* Below nothing it cannot go, so of what is covered in full a little seems new. */
	CU_ASSERT(said_ns > true_ns - true_ns / 1000);
	CU_ASSERT(said_ns < true_ns + true_ns / 200);
}

static void neighbours_take_nothing_from_each_other(void)
{
	uint64_t at_ns = 3 * LAP_NS + 12345, wrong = 0;

	for (int i = 0; i < 1000000; i++) {
		uint64_t length_ns = 1 + random_magnitude(100 * US);

		wrong += gsh_wall_cover(&wall, at_ns, at_ns + length_ns) != length_ns;
		at_ns += length_ns;
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void the_same_again_is_new_by_eight_microseconds_at_most(void)
{
	uint64_t again_ns = 0, worst_ns = 0;

	for (int i = 0; i < 200000; i++) {
		uint64_t begin_ns = LAP_NS + random_below(LAP_NS - 2 * MS), fresh_ns;
		uint64_t end_ns = begin_ns + 250 * US + random_below(MS);

		gsh_wall_cover(&wall, begin_ns, end_ns);
		fresh_ns = gsh_wall_cover(&wall, begin_ns, end_ns);
		again_ns += fresh_ns;
		worst_ns = fresh_ns > worst_ns ? fresh_ns : worst_ns;
	}
	CU_ASSERT(worst_ns <= BIT_NS);
	CU_ASSERT(again_ns / 200000 < 2 * US);
}

/* ---- words that somebody scribbled on ------------------------------------------------- */

static void scribble(uint64_t lap)
{
	for (unsigned i = 0; i < GPUSHIM_WALL_WORDS; i++) {
		uint64_t word = random_below(UINT64_MAX);

		/* Every lap there is, but mostly those that soon come. */
		if (i % 4)
			word = (lap - 1 + random_below(4)) << 32 | (uint32_t)word;
		wall.words[i] = word;
	}
}

/* Wherever it claims too much it does so once. */
static void a_scribbled_word_covers_no_more_than_itself_once(void)
{
	static uint64_t claimed[GPUSHIM_WALL_WORDS];
	uint64_t too_much = 0, sum = 0, seen_again = 0;

	for (uint64_t lap = 10; lap < 400; lap += 30) {
		memset(claimed, 0, sizeof(claimed));
		scribble(lap);
		for (uint64_t bit = lap * RING_BITS; bit < (lap + 5) * RING_BITS;
		     bit += 32)
			claimed[bit / 32 % GPUSHIM_WALL_WORDS] += 32 -
								  cover_bits(bit, 32);
		for (unsigned i = 0; i < GPUSHIM_WALL_WORDS; i++) {
			too_much += claimed[i] > 32;
			sum += claimed[i];
		}
		/* Those of laps to come hold nobody up; the others work as ever. */
		for (uint64_t bit = (lap + 4) * RING_BITS; bit < (lap + 5) * RING_BITS;
		     bit += 32)
			seen_again += cover_bits(bit, 32) == 0;
	}
	CU_ASSERT_EQUAL(too_much, 0);
	CU_ASSERT(sum > 0);
	CU_ASSERT(seen_again > 13 * GPUSHIM_WALL_WORDS / 4 * 3);
}

static void a_word_of_a_later_lap_never_says_that_time_is_covered(void)
{
	memset(&wall, 0xff, sizeof(wall));
	/* That is the lap before the first, as laps come round. */
	CU_ASSERT_EQUAL(cover_bits(0, RING_BITS), RING_BITS);
	for (unsigned i = 0; i < GPUSHIM_WALL_WORDS; i++)
		wall.words[i] = UINT64_C(0x7fffffff) << 32 | UINT32_MAX;
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(cover_bits(RING_BITS, RING_BITS), RING_BITS);
}

/* ---- many threads --------------------------------------------------------------------- */

enum { THREADS = 8, ROUNDS = 40000 };

static struct race {
	uint64_t (*cover)(uint64_t begin_ns, uint64_t end_ns);
	uint64_t go, fresh_ns, clock; /* atomic */
	uint64_t span;
	int rounds; /* of each thread */
} race;

static void *race_thread(void *argument)
{
	uint64_t random = 77 + (uint64_t)(uintptr_t)argument;

	while (!gsh_load_acquire(&race.go))
		sched_yield();
	for (int i = 0; i < race.rounds; i++) {
		uint64_t begin = random_of(&random, race.span);
		uint64_t count = 1 + random_of(&random, 100);

		if (begin + count <= race.span)
			gsh_add_relaxed(
				&race.fresh_ns,
				race.cover(begin * BIT_NS, (begin + count) * BIT_NS));
	}
	return NULL;
}

static uint64_t bits_set(void)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < GPUSHIM_WALL_WORDS; i++)
		bits += (unsigned)__builtin_popcount((uint32_t)wall.words[i]);
	return bits;
}

static void run_race(void *(*thread)(void *), uint64_t (*cover)(uint64_t, uint64_t),
		     uint64_t span, int rounds)
{
	pthread_t threads[THREADS];

	memset(&wall, 0, sizeof(wall));
	race = (struct race){ .cover = cover, .span = span, .rounds = rounds };
	for (uintptr_t i = 0; i < THREADS; i++)
		CU_ASSERT_EQUAL_FATAL(
			pthread_create(&threads[i], NULL, thread, (void *)i), 0);
	gsh_store_release(&race.go, 1);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static uint64_t cover_here(uint64_t begin_ns, uint64_t end_ns)
{
	return gsh_wall_cover(&wall, begin_ns, end_ns);
}

static void eight_threads_are_charged_for_their_union_to_the_bit(void)
{
	run_race(race_thread, cover_here, 200000, ROUNDS);
	CU_ASSERT_EQUAL(race.fresh_ns, bits_set() * BIT_NS);
	CU_ASSERT(bits_set() > 100000);
	run_race(race_thread, cover_here, 2000, ROUNDS);
	CU_ASSERT_EQUAL(race.fresh_ns, 2000 * BIT_NS);
}

/* The control: an or that is no atomic one. */
static uint64_t cover_without_atomics(uint64_t begin_ns, uint64_t end_ns)
{
	uint64_t fresh = 0;

	for (uint64_t bit = begin_ns / BIT_NS; bit < end_ns / BIT_NS; bit++) {
		uint64_t *word = &wall.words[bit / WORD_BITS];
		uint64_t seen = gsh_load_relaxed(word);
		uint64_t next = seen | UINT64_C(1) << bit % WORD_BITS;

		fresh += next != seen;
		if (bit % 8 == 0)
			sched_yield();
		gsh_store_relaxed(word, next);
	}
	return fresh * BIT_NS;
}

static void control_an_or_that_is_not_atomic_charges_twice(void)
{
	uint64_t twice_ns = 0;

	for (int i = 0; i < 20 && twice_ns == 0; i++) {
		run_race(race_thread, cover_without_atomics, 20000, ROUNDS / 20);
		twice_ns = race.fresh_ns - bits_set() * BIT_NS;
	}
	CU_ASSERT(twice_ns > 0);
}

/* Each at a time of its own around a clock that all drive on through three laps. */
static unsigned char covered[3 * RING_BITS + 1024];

static void *lap_thread(void *argument)
{
	uint64_t random = 99 + (uint64_t)(uintptr_t)argument;

	while (!gsh_load_acquire(&race.go))
		sched_yield();
	for (;;) {
		uint64_t begin = gsh_add_relaxed(&race.clock, random_of(&random, 40));
		uint64_t count = 1 + random_of(&random, 100);

		if (begin + count > race.span)
			return NULL;
		for (uint64_t i = begin; i < begin + count; i++)
			__atomic_store_n(&covered[i], 1, __ATOMIC_RELAXED);
		gsh_add_relaxed(&race.fresh_ns,
				cover_here(begin * BIT_NS, (begin + count) * BIT_NS));
	}
}

static void laps_that_begin_under_eight_threads_lose_no_time(void)
{
	uint64_t bits = 0;

	memset(covered, 0, sizeof(covered));
	run_race(lap_thread, cover_here, 3 * RING_BITS, 0);
	for (uint64_t i = 0; i < 3 * RING_BITS; i++)
		bits += covered[i];
	CU_ASSERT(bits > 2 * RING_BITS);
	CU_ASSERT(race.fresh_ns >= bits * BIT_NS);
	/* Who was stopped for a lap finds it forgotten. */
	CU_ASSERT(race.fresh_ns <= (bits + bits / 50) * BIT_NS);
}

/* ---- killed in the middle ------------------------------------------------------------- */

enum { COUNT_MAX = 200 };

struct shared {
	struct gpushim_ledger_wall wall;
	uint64_t fresh[2], turns[2];
};

static void cover_until_killed(struct shared *shared, unsigned which)
{
	uint64_t random = 5 + which;

	for (;;) {
		uint64_t begin = random_of(&random, RING_BITS - COUNT_MAX);
		uint64_t count = 1 + random_of(&random, COUNT_MAX);
		uint64_t fresh_ns = gsh_wall_cover(&shared->wall, begin * BIT_NS,
						   (begin + count) * BIT_NS);

		gsh_store_relaxed(&shared->fresh[which],
				  shared->fresh[which] + fresh_ns / BIT_NS);
		gsh_add_relaxed(&shared->turns[which], 1);
	}
}

/* Each takes with it what it was about to be charged for; nothing else is lost or doubled. */
static void two_processes_killed_in_the_middle_lose_one_interval_each(void)
{
	for (int round = 0; round < 20; round++) {
		struct shared *shared = mmap(NULL, sizeof(*shared),
					     PROT_READ | PROT_WRITE,
					     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		uint64_t known;
		pid_t pids[2];

		CU_ASSERT_FATAL(shared != MAP_FAILED);
		for (unsigned i = 0; i < 2; i++) {
			pids[i] = fork();
			if (pids[i] == 0)
				cover_until_killed(shared, i);
		}
		for (unsigned i = 0; i < 2; i++) {
			while (pids[i] > 0 && gsh_load_relaxed(&shared->turns[i]) <
						      200 + 50 * (uint64_t)round)
				sched_yield();
			kill(pids[i], SIGKILL);
		}
		for (unsigned i = 0; i < 2; i++)
			waitpid(pids[i], NULL, 0);
		known = shared->fresh[0] + shared->fresh[1];
		known += gsh_wall_cover(&shared->wall, 0, LAP_NS) / BIT_NS;
		CU_ASSERT(known <= RING_BITS);
		CU_ASSERT(known >= RING_BITS - 2 * COUNT_MAX);
		CU_ASSERT_EQUAL(gsh_wall_cover(&shared->wall, 0, LAP_NS), 0);
		munmap(shared, sizeof(*shared));
	}
}

const struct unit_suite unit_suite = {
	.name = "wall",
	.setup = setup,
	.tests = {
		UNIT_TEST(what_is_new_of_aligned_intervals_is_what_a_naive_model_says),
		UNIT_TEST(an_interval_is_new_once),
		UNIT_TEST(what_the_ring_has_forgotten_is_new_and_harms_nothing_later),
		UNIT_TEST(longer_than_the_ring_is_new_but_for_what_the_ring_holds),
		UNIT_TEST(what_lies_ahead_is_new_and_counts_when_its_time_has_come),
		UNIT_TEST(no_time_is_no_time),
		UNIT_TEST(any_two_words_make_an_interval),
		UNIT_TEST(any_intervals_are_their_union_on_average),
		UNIT_TEST(neighbours_take_nothing_from_each_other),
		UNIT_TEST(the_same_again_is_new_by_eight_microseconds_at_most),
		UNIT_TEST(a_scribbled_word_covers_no_more_than_itself_once),
		UNIT_TEST(a_word_of_a_later_lap_never_says_that_time_is_covered),
		UNIT_TEST(eight_threads_are_charged_for_their_union_to_the_bit),
		UNIT_TEST(control_an_or_that_is_not_atomic_charges_twice),
		UNIT_TEST(laps_that_begin_under_eight_threads_lose_no_time),
		UNIT_TEST(two_processes_killed_in_the_middle_lose_one_interval_each),
	},
};
