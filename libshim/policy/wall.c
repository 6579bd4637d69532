/*
 * wall.c - a ring of bits, one atomic access after another.
 *
 * Knows how an interval becomes bits. A word is the number of its lap around the ring, which
 * tells old bits from new ones, and 32 bits.
 */
#include "policy/wall.h"

#include <stdbool.h>

#include "base/atomic.h"

/* A bit stands for 2^13 ns, a word for 2^18. */
#define BIT_SHIFT 13u
#define WORD_BITS 32u
#define RING_BITS ((uint64_t)GPUSHIM_WALL_WORDS * WORD_BITS)

/* Which of the wanted bits of one word were not set. */
static uint32_t set_bits(uint64_t *word, uint32_t lap, uint32_t wanted)
{
	uint64_t seen = gsh_load_relaxed(word), next;
	uint32_t before;

	do {
		uint32_t seen_lap = (uint32_t)(seen >> 32);

		/* Of a later lap: what is wanted has been forgotten. */
		if ((int32_t)(seen_lap - lap) > 0)
			return wanted;
		before = seen_lap == lap ? (uint32_t)seen : 0;
		next = (uint64_t)lap << 32 | before | wanted;
		if (next == seen)
			return 0;
	} while (!gsh_cas_acq_rel(word, &seen, next));
	return wanted & ~before;
}

uint64_t gsh_wall_cover(struct gpushim_ledger_wall *wall, uint64_t begin_ns,
			uint64_t end_ns)
{
	const uint64_t half = UINT64_C(1) << (BIT_SHIFT - 1);
	uint64_t at, end, length_ns, known_ns, covered = 0;

	if (end_ns <= begin_ns)
		return 0;
	length_ns = end_ns - begin_ns;
	/* To the nearest: of many short intervals none is favoured. */
	at = (begin_ns + half) >> BIT_SHIFT;
	end = (end_ns + half) >> BIT_SHIFT;
	if (end - at > RING_BITS)
		at = end - RING_BITS;
	while (at < end) {
		uint64_t word = at / WORD_BITS;
		unsigned first = (unsigned)(at % WORD_BITS), count = WORD_BITS - first;
		uint32_t wanted;

		if (count > end - at)
			count = (unsigned)(end - at);
		wanted = (uint32_t)(((UINT64_C(1) << count) - 1) << first);
		covered += count -
			   (unsigned)__builtin_popcount(set_bits(
				   &wall->words[word % GPUSHIM_WALL_WORDS],
				   (uint32_t)(word / GPUSHIM_WALL_WORDS), wanted));
		at += count;
	}
	known_ns = covered << BIT_SHIFT;
	return known_ns < length_ns ? length_ns - known_ns : 0;
}
