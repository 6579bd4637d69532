/* The union of intervals, against a bitmap, and where memory is too short for all. */
#include "policy/busy.h"

#include <stdbool.h>
#include <string.h>

#include "account_device.h"
#include "cunit_main.h"

enum { CELLS = 256 };

static struct gsh_busy busy;

static void clear(void)
{
	memset(&busy, 0, sizeof(busy));
}

static uint64_t add(uint64_t begin_ns, uint64_t end_ns)
{
	return gsh_busy_add(&busy, begin_ns, end_ns);
}

static bool is_sound(void)
{
	for (uint32_t i = 0; i < busy.count; i++) {
		const struct gsh_busy_span *span = &busy.spans[i];

		if (span->begin_ns >= span->end_ns || span->covered_ns == 0 ||
		    span->covered_ns > span->end_ns - span->begin_ns ||
		    (i > 0 && span[-1].end_ns > span->begin_ns))
			return false;
	}
	return busy.count <= GSH_BUSY_SPANS;
}

static uint64_t covered_ns(void)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < busy.count; i++)
		sum += busy.spans[i].covered_ns;
	return sum;
}

static void what_overlaps_is_counted_once(void)
{
	CU_ASSERT_EQUAL(add(100, 200), 100);
	CU_ASSERT_EQUAL(add(150, 250), 50);
	CU_ASSERT_EQUAL(add(50, 120), 50);
	CU_ASSERT_EQUAL(add(60, 240), 0);
	CU_ASSERT_EQUAL(add(300, 400), 100);
	CU_ASSERT_EQUAL(add(0, 500), 200);
	CU_ASSERT_EQUAL(busy.count, 1);
}

static void intervals_without_length_or_backwards_are_nothing(void)
{
	CU_ASSERT_EQUAL(add(100, 100), 0);
	CU_ASSERT_EQUAL(add(100, 50), 0);
	CU_ASSERT_EQUAL(add(UINT64_MAX, 0), 0);
	CU_ASSERT_EQUAL(busy.count, 0);
	CU_ASSERT_EQUAL(add(0, UINT64_MAX), UINT64_MAX);
	CU_ASSERT_EQUAL(add(5, UINT64_MAX), 0);
}

static void what_touches_becomes_one(void)
{
	add(100, 200);
	add(300, 400);
	CU_ASSERT_EQUAL(busy.count, 2);
	CU_ASSERT_EQUAL(add(200, 300), 100);
	CU_ASSERT_EQUAL(busy.count, 1);
}

/* As in account.c: what is open is asked first, and some is filled in between. */
static bool bitmap_agrees(struct random *random)
{
	bool cells[CELLS] = { false };

	clear();
	for (int i = 0; i < 200; i++) {
		uint64_t begin = draw_below(random, CELLS), expected = 0;
		uint64_t end = begin + draw_below(random, 12);

		end = end < CELLS ? end : CELLS;
		for (uint64_t at = begin; at < end; at++) {
			expected += !cells[at];
			cells[at] = true;
		}
		if (gsh_busy_open(&busy, begin, end) != expected ||
		    add(begin, end) != expected || !is_sound())
			return false;
		/* Exact only as long as none had to be joined. */
		if (busy.count == GSH_BUSY_SPANS)
			return true;
	}
	return true;
}

static void it_agrees_with_a_bitmap(void)
{
	struct random random = { 1 };

	for (int i = 0; i < 3000; i++)
		CU_ASSERT_TRUE_FATAL(bitmap_agrees(&random));
}

/* One stream's long kernel is reported after thousands of short ones beside it. */
static void a_long_interval_is_charged_what_thousands_of_short_ones_left(void)
{
	for (uint64_t i = 0; i < 5000; i++)
		CU_ASSERT_EQUAL(add(MS(1) * i, MS(1) * i + US(20)), US(20));
	CU_ASSERT_TRUE(is_sound());
	CU_ASSERT_EQUAL(covered_ns(), 5000 * US(20));
	CU_ASSERT_EQUAL(add(0, MS(5000)), MS(5000) - 5000 * US(20));
	CU_ASSERT_EQUAL(busy.count, 1);
}

static void a_long_interval_after_an_idle_hour_is_not_diluted(void)
{
	uint64_t late_ns = MS(3600e3), charged_ns;

	/* Dense at first, then nothing for an hour, then one in fifty. */
	for (uint64_t i = 0; i < 5000; i++)
		add(US(21) * i, US(21) * i + US(20));
	for (uint64_t i = 0; i < 5000; i++)
		add(late_ns + MS(1) * i, late_ns + MS(1) * i + US(20));
	charged_ns = add(late_ns + MS(4000.5), late_ns + MS(5000));
	CU_ASSERT(charged_ns > MS(999.5 * 0.98 * 0.99));
	CU_ASSERT(charged_ns < MS(999.5 * 0.98 * 1.01));
}

static void nothing_is_lost_or_charged_twice_in_any_order(void)
{
	struct random random = { 2 };

	for (int round = 0; round < 300; round++) {
		uint64_t sum_ns = 0, hull_ns = 0;

		clear();
		for (int i = 0; i < 500; i++) {
			uint64_t length_ns = draw_below(&random,
							US(1) << draw_below(&random, 12));
			uint64_t begin_ns = US(100) * (uint64_t)i +
					    draw_below(&random, MS(20));
			uint64_t took_ns = add(begin_ns, begin_ns + length_ns);

			CU_ASSERT_FATAL(took_ns <= length_ns);
			CU_ASSERT_FATAL(is_sound());
			CU_ASSERT_FATAL(busy.count == GSH_BUSY_SPANS ||
					add(begin_ns, begin_ns + length_ns) == 0);
			sum_ns += took_ns;
			if (begin_ns + length_ns > hull_ns)
				hull_ns = begin_ns + length_ns;
		}
		CU_ASSERT_FATAL(sum_ns <= hull_ns);
		/* Rounding of what intervals cut, a few nanoseconds each time. */
		CU_ASSERT_FATAL(sum_ns + 2000 > covered_ns() &&
				covered_ns() + 2000 > sum_ns);
		sum_ns += add(0, hull_ns);
		CU_ASSERT_FATAL(sum_ns + 2000 > hull_ns && hull_ns + 2000 > sum_ns);
	}
}

static void filling_takes_the_latest_gaps_first_and_none_before_its_start(void)
{
	add(100, 200);
	add(300, 400);
	add(500, 600);
	CU_ASSERT_EQUAL(gsh_busy_fill(&busy, 0, 50), 50);
	CU_ASSERT_EQUAL(gsh_busy_open(&busy, 450, 500), 0);
	CU_ASSERT_EQUAL(gsh_busy_open(&busy, 400, 450), 50);
	CU_ASSERT_EQUAL(gsh_busy_fill(&busy, 250, 1000), 100);
	CU_ASSERT_EQUAL(gsh_busy_open(&busy, 250, 600), 0);
	CU_ASSERT_EQUAL(gsh_busy_open(&busy, 200, 250), 50);
	CU_ASSERT_EQUAL(gsh_busy_fill(&busy, 0, 1000), 50);
	/* Before the first and after the last there are no gaps. */
	CU_ASSERT_EQUAL(gsh_busy_fill(&busy, 0, 1000), 0);
	CU_ASSERT_EQUAL(covered_ns(), 500);
	CU_ASSERT_TRUE(is_sound());
}

static void joined_spans_can_be_filled_too(void)
{
	uint64_t filled_ns;

	for (uint64_t i = 0; i < 1000; i++)
		add(US(100) * i, US(100) * i + US(40));
	filled_ns = gsh_busy_fill(&busy, 0, MS(1000));
	CU_ASSERT_EQUAL(filled_ns, 999 * US(60));
	CU_ASSERT_TRUE(is_sound());
	CU_ASSERT_EQUAL(add(0, US(100) * 999 + US(40)), 0);
}

const struct unit_suite unit_suite = {
	.name = "busy time",
	.setup = clear,
	.tests = {
		UNIT_TEST(what_overlaps_is_counted_once),
		UNIT_TEST(intervals_without_length_or_backwards_are_nothing),
		UNIT_TEST(what_touches_becomes_one),
		UNIT_TEST(it_agrees_with_a_bitmap),
		UNIT_TEST(a_long_interval_is_charged_what_thousands_of_short_ones_left),
		UNIT_TEST(a_long_interval_after_an_idle_hour_is_not_diluted),
		UNIT_TEST(nothing_is_lost_or_charged_twice_in_any_order),
		UNIT_TEST(filling_takes_the_latest_gaps_first_and_none_before_its_start),
		UNIT_TEST(joined_spans_can_be_filled_too),
	},
};
