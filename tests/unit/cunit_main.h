/*
 * The main program of every CUnit test: one file of tests is one suite.
 *
 * Knows how to run a suite, name its tests as sentences, skip with a reason and print totals
 * that tests/run.sh reads. Knows nothing of what is tested.
 *
 *	static void free_returns_every_byte(void) { CU_ASSERT_EQUAL(...); }
 *
 *	const struct unit_suite unit_suite = {
 *		.name = "device memory",
 *		.tests = { UNIT_TEST(free_returns_every_byte), ... },
 *	};
 *
 * The program takes words as arguments: only tests whose name contains one of them are run;
 * `-l` lists the names.
 */
#ifndef TESTS_UNIT_CUNIT_MAIN_H
#define TESTS_UNIT_CUNIT_MAIN_H

#include <CUnit/CUnit.h>

#ifdef __clang_analyzer__
#include <stdlib.h>

/* Fatal assertions do not return, which CUnit's declarations do not say. */
#undef CU_ASSERT_PTR_NOT_NULL_FATAL
#define CU_ASSERT_PTR_NOT_NULL_FATAL(value) ((value) ? (void)0 : abort())
#endif

enum { UNIT_TESTS_MAX = 256 };

struct unit_test {
	const char *name;
	void (*run)(void);
};

/* A test function; its name, with spaces for underscores, is what gets printed. */
/* clang-format off */
#define UNIT_TEST(function) { #function, function }
/* clang-format on */

struct unit_suite {
	const char *name;
	/* Before the first and after the last test; 0 is success. May be NULL. */
	int (*init)(void);
	int (*cleanup)(void);
	/* Before and after each test. May be NULL. */
	void (*setup)(void);
	void (*teardown)(void);
	/* Ends with a row whose name is NULL, which unnamed rows are. */
	struct unit_test tests[UNIT_TESTS_MAX + 1];
};

/* Defined by the file of tests. */
extern const struct unit_suite unit_suite;

/*
 * Marks the running test as skipped; the test returns right after it. The text is a sentence
 * that says what is missing. Copied. To be called on the test's own thread.
 */
void unit_skip(const char *reason, ...) __attribute__((format(printf, 1, 2)));

/* Milliseconds, scaled up under a sanitizer: for bounds on hanging, never for figures. */
unsigned unit_patience_ms(unsigned milliseconds);

/*
 * Rounds of something done over and over, a quarter of them under ThreadSanitizer: it finds a
 * race in a round that would otherwise have gone well, and each takes it many times as long.
 */
unsigned unit_rounds(unsigned rounds);

#endif
