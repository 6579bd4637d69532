/*
 * test_pool_space.c - what the shim believes to be free in a pool, against a model of a pool
 * that knows.
 *
 * It is compiled in, and not linked, because it belongs to a layer that tests otherwise see
 * only from outside.
 */
#include "cunit_main.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "cuda/pool_space.c"

#define KIB ((uint64_t)1024)

static struct gsh_space space;

static void setup(void)
{
	space = (struct gsh_space){ 0 };
}

static void free_now(uint64_t address, uint64_t bytes, uint64_t stream, uint64_t number)
{
	const struct gsh_freer freer = { stream, 77, number };

	gsh_space_free_begins(&space, address, bytes);
	gsh_space_freed(&space, address, &freer);
}

/* ---- one thing after another ---- */

static void what_was_freed_fits_on_its_stream_at_once_and_on_others_after_waiting(void)
{
	free_now(1 << 20, 100 * KIB, 5, 1);
	CU_ASSERT(gsh_space_fits(&space, 100 * KIB, 5));
	CU_ASSERT_FALSE(gsh_space_fits(&space, 100 * KIB, 6));
	CU_ASSERT_FALSE(gsh_space_fits(&space, 100 * KIB + 512, 5));
	CU_ASSERT_FALSE(gsh_space_settled(&space));
	gsh_space_synchronised(&space, 6, 0, 1);
	CU_ASSERT_FALSE(gsh_space_fits(&space, 100 * KIB, 6));
	gsh_space_synchronised(&space, 5, 0, 1);
	CU_ASSERT(gsh_space_fits(&space, 100 * KIB, 6));
	CU_ASSERT(gsh_space_settled(&space));
}

static void a_free_after_the_wait_began_has_not_been_waited_for(void)
{
	free_now(1 << 20, 100 * KIB, 5, 1);
	free_now(2 << 20, 200 * KIB, 5, 2);
	gsh_space_synchronised(&space, 5, 0, 1);
	CU_ASSERT_FALSE(gsh_space_settled(&space));
	CU_ASSERT_FALSE(gsh_space_fits(&space, 200 * KIB, 6));
	/* While that is not over, the driver may have joined the two. */
	CU_ASSERT_FALSE(gsh_space_fits(&space, 100 * KIB, 6));
	CU_ASSERT(gsh_space_fits(&space, 200 * KIB, 5));
	gsh_space_synchronised(&space, 0, 77, 2);
	CU_ASSERT(gsh_space_fits(&space, 200 * KIB, 6));
	CU_ASSERT(gsh_space_settled(&space));
}

static void waiting_for_another_context_settles_nothing(void)
{
	free_now(1 << 20, 100 * KIB, 5, 1);
	gsh_space_synchronised(&space, 0, 78, 1);
	CU_ASSERT_FALSE(gsh_space_settled(&space));
}

/* The driver gives freed memory to another thread before the free has returned. */
static void what_is_taken_while_it_is_being_freed_does_not_count_as_free(void)
{
	const struct gsh_freer at_once = { 0, 0, 1 };

	gsh_space_free_begins(&space, 1 << 20, 100 * KIB);
	CU_ASSERT_FALSE(gsh_space_fits(&space, KIB, 5));
	CU_ASSERT(gsh_space_contains(&space, 1 << 20, 60 * KIB));
	gsh_space_taken(&space, 1 << 20, 60 * KIB);
	gsh_space_freed(&space, 1 << 20, &at_once);
	CU_ASSERT(gsh_space_fits(&space, 40 * KIB, 5));
	CU_ASSERT_FALSE(gsh_space_fits(&space, 40 * KIB + 512, 5));
}

static void a_free_that_failed_leaves_no_place(void)
{
	const struct gsh_freer failed = { 0 };

	gsh_space_free_begins(&space, 1 << 20, 100 * KIB);
	gsh_space_freed(&space, 1 << 20, &failed);
	CU_ASSERT_FALSE(gsh_space_fits(&space, 1, 5));
	CU_ASSERT(gsh_space_settled(&space));
}

static void neighbours_are_not_joined(void)
{
	free_now(1 << 20, 64 * KIB, 0, 1);
	free_now((1 << 20) + 64 * KIB, 64 * KIB, 0, 2);
	CU_ASSERT(gsh_space_fits(&space, 64 * KIB, 5));
	CU_ASSERT_FALSE(gsh_space_fits(&space, 65 * KIB, 5));
	/* But the driver may: then it lies in both. */
	CU_ASSERT(gsh_space_contains(&space, 1 << 20, 128 * KIB));
	CU_ASSERT_FALSE(gsh_space_contains(&space, 1 << 20, 128 * KIB + 1));
	gsh_space_taken(&space, (1 << 20) + 32 * KIB, 64 * KIB);
	CU_ASSERT_FALSE(gsh_space_fits(&space, 33 * KIB, 5));
	CU_ASSERT(gsh_space_fits(&space, 32 * KIB, 5));
}

static void of_many_places_the_largest_are_kept(void)
{
	for (uint64_t i = 1; i <= 1000; i++)
		free_now(i << 20, i * 512, 0, i);
	CU_ASSERT(gsh_space_fits(&space, 1000 * 512, 5));
	CU_ASSERT_EQUAL(space.places_used, GSH_SPACE_PLACES);
	gsh_space_forget(&space);
	CU_ASSERT_FALSE(gsh_space_fits(&space, 1, 5));
}

static void more_streams_than_there_is_room_for_are_waited_for_by_their_context(void)
{
	for (uint64_t i = 1; i <= 100; i++)
		free_now(i << 20, 512, i, i);
	for (uint64_t i = 1; i <= 100; i++)
		gsh_space_synchronised(&space, i, 0, 100);
	CU_ASSERT_FALSE(gsh_space_settled(&space));
	gsh_space_synchronised(&space, 0, 77, 100);
	CU_ASSERT(gsh_space_settled(&space));
}

static void a_stream_that_goes_leaves_nothing_to_the_next_of_its_number(void)
{
	free_now(1 << 20, 100 * KIB, 5, 1);
	gsh_space_stream_goes(&space, 5);
	CU_ASSERT_FALSE(gsh_space_fits(&space, 100 * KIB, 5));
	/* Waiting for the other is not waiting for the first. */
	gsh_space_synchronised(&space, 5, 0, 1);
	CU_ASSERT_FALSE(gsh_space_fits(&space, 100 * KIB, 5));
	CU_ASSERT_FALSE(gsh_space_settled(&space));
	gsh_space_synchronised(&space, 0, 77, 1);
	CU_ASSERT(gsh_space_fits(&space, 100 * KIB, 6));
	CU_ASSERT(gsh_space_settled(&space));
}

static void streams_of_many_contexts_wait_each_for_its_own(void)
{
	for (uint64_t i = 1; i <= 300; i++) {
		const struct gsh_freer freer = { i, 1000 + i % 20, i };

		gsh_space_free_begins(&space, i << 20, 512);
		gsh_space_freed(&space, i << 20, &freer);
	}
	for (uint64_t context = 1000; context < 1020; context++) {
		CU_ASSERT_FALSE(gsh_space_settled(&space));
		gsh_space_synchronised(&space, 0, context, 300);
	}
	CU_ASSERT(gsh_space_settled(&space));
}

/* ---- against a model ---- */

enum { UNITS = 256, CHUNK = 64, STREAMS = 3, HELD = 24, STEPS = 20000 };

/* A pool of four chunks, in units of 512 bytes; who freed each unit and has not been waited
 * for, or USED. */
#define USED 255
static unsigned char pool[UNITS];

static struct {
	unsigned at, units;
} held[HELD];

static bool usable(unsigned unit, unsigned stream)
{
	return pool[unit] == 0 || pool[unit] == stream;
}

/* First fit within one chunk; UNITS: it would have to grow. */
static unsigned model_find(unsigned units, unsigned stream)
{
	unsigned run = 0;

	for (unsigned i = 0; i < UNITS; i++) {
		if (i % CHUNK == 0)
			run = 0;
		run = usable(i, stream) ? run + 1 : 0;
		if (run == units)
			return i + 1 - units;
	}
	return UNITS;
}

/* A driver may join what a stream has freed with what was free beside it: then all of it
 * waits for that stream. */
static void model_join(unsigned stream)
{
	for (unsigned begin = 0; begin < UNITS; begin++) {
		unsigned end = begin;
		bool waits = false;

		while (end < UNITS && end / CHUNK == begin / CHUNK && usable(end, stream))
			waits |= pool[end++] == stream;
		if (waits)
			memset(pool + begin, (int)stream, end - begin);
		if (end > begin)
			begin = end - 1;
	}
}

static void model_fill(unsigned at, unsigned units, unsigned char what)
{
	memset(pool + at, what, units);
}

/* In the order of hook_pool.c; what was never allocated is not known to the shim. */
static void step(unsigned dice, uint64_t number)
{
	const unsigned stream = 1 + dice % STREAMS, i = dice / 8 % HELD;
	const unsigned units = 1 + dice / 512 % 40;
	unsigned at;

	if (held[i].units) {
		const struct gsh_freer freer = { dice & 0x600000 ? 0 : stream, 77,
						 number };

		gsh_space_free_begins(&space, held[i].at * 512ull,
				      held[i].units * 512ull);
		model_fill(held[i].at, held[i].units, (unsigned char)freer.stream);
		gsh_space_freed(&space, held[i].at * 512ull, &freer);
		held[i].units = 0;
		return;
	}
	if (dice / 4 % 2 == 0) {
		for (unsigned u = 0; u < UNITS; u++)
			if (pool[u] == stream)
				pool[u] = 0;
		gsh_space_synchronised(&space, stream, 0, number);
	}
	if (dice & 0x1000000)
		model_join(stream);
	at = model_find(units, stream);
	if (gsh_space_fits(&space, units * 512ull, stream))
		CU_ASSERT(at < UNITS);
	if (at == UNITS)
		return;
	gsh_space_taken(&space, at * 512ull, units * 512ull);
	model_fill(at, units, USED);
	held[i].at = at;
	held[i].units = units;
}

static void what_is_said_to_fit_always_does(void)
{
	unsigned said = 0, state = 1;

	memset(pool, 0, sizeof(pool));
	memset(held, 0, sizeof(held));
	for (unsigned i = 1; i <= STEPS; i++) {
		state = state * 1664525u + 1013904223u;
		step(state >> 7, i);
		said += gsh_space_fits(&space, 8 * 512, 1);
	}
	/* And it is said often enough to be of use. */
	CU_ASSERT(said > STEPS / 4);
}

const struct unit_suite unit_suite = {
	.name = "free places of pools",
	.setup = setup,
	.tests = {
		UNIT_TEST(what_was_freed_fits_on_its_stream_at_once_and_on_others_after_waiting),
		UNIT_TEST(a_free_after_the_wait_began_has_not_been_waited_for),
		UNIT_TEST(waiting_for_another_context_settles_nothing),
		UNIT_TEST(what_is_taken_while_it_is_being_freed_does_not_count_as_free),
		UNIT_TEST(a_free_that_failed_leaves_no_place),
		UNIT_TEST(neighbours_are_not_joined),
		UNIT_TEST(of_many_places_the_largest_are_kept),
		UNIT_TEST(more_streams_than_there_is_room_for_are_waited_for_by_their_context),
		UNIT_TEST(a_stream_that_goes_leaves_nothing_to_the_next_of_its_number),
		UNIT_TEST(streams_of_many_contexts_wait_each_for_its_own),
		UNIT_TEST(what_is_said_to_fit_always_does),
	},
};
