/* Runs one suite and prints what tests/run.sh reads; see cunit_main.h. */
#include "cunit_main.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/MyMem.h>
#include <CUnit/TestRun.h>

static char skip_reason[256];
static unsigned passed, failed, skipped;

void unit_skip(const char *reason, ...)
{
	va_list args;

	va_start(args, reason);
	vsnprintf(skip_reason, sizeof(skip_reason), reason, args);
	va_end(args);
}

unsigned unit_patience_ms(unsigned milliseconds)
{
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	return milliseconds * 10;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
	return milliseconds * 10;
#endif
#endif
	return milliseconds;
}

unsigned unit_rounds(unsigned rounds)
{
#if defined(__SANITIZE_THREAD__)
	return (rounds + 3) / 4;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
	return (rounds + 3) / 4;
#endif
#endif
	return rounds;
}

static void print_sentence(const char *name)
{
	for (; *name; name++)
		putchar(*name == '_' ? ' ' : *name);
}

static void test_starts(const CU_pTest test, const CU_pSuite suite)
{
	(void)test;
	(void)suite;
	skip_reason[0] = '\0';
}

/* Prints each test as it ends, so that a crash shows which test it was in: the next one. */
static void test_ends(const CU_pTest test, const CU_pSuite suite,
		      const CU_pFailureRecord failures)
{
	(void)suite;
	if (failures) {
		failed++;
		fputs("FAIL  ", stdout);
	} else if (skip_reason[0]) {
		skipped++;
		fputs("skip  ", stdout);
	} else {
		passed++;
		fputs("  ok  ", stdout);
	}
	print_sentence(test->pName);
	if (!failures && skip_reason[0])
		printf(": %s", skip_reason);
	putchar('\n');
	for (const struct CU_FailureRecord *f = failures; f; f = f->pNext)
		printf("      %s:%u: %s\n", f->strFileName ? f->strFileName : "?",
		       f->uiLineNumber, f->strCondition ? f->strCondition : "");
	fflush(stdout);
}

static void init_fails(const CU_pSuite suite)
{
	failed++;
	printf("FAIL  %s: its preparation failed, so none of its tests ran\n",
	       suite->pName);
}

static void cleanup_fails(const CU_pSuite suite)
{
	failed++;
	printf("FAIL  %s: its cleaning up failed\n", suite->pName);
}

static int wanted(const char *name, int argc, char **argv)
{
	if (argc < 2)
		return 1;
	for (int i = 1; i < argc; i++)
		if (strstr(name, argv[i]))
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	const struct unit_suite *s = &unit_suite;
	const char *slash = strrchr(argv[0], '/');
	CU_pSuite suite;

	if (argc == 2 && strcmp(argv[1], "-l") == 0) {
		for (const struct unit_test *t = s->tests; t->name; t++)
			puts(t->name);
		return 0;
	}
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 2;
	suite = CU_add_suite_with_setup_and_teardown(s->name, s->init, s->cleanup,
						     s->setup, s->teardown);
	for (const struct unit_test *t = s->tests; t->name; t++) {
		if (!wanted(t->name, argc, argv))
			continue;
		if (!CU_add_test(suite, t->name, t->run)) {
			fprintf(stderr, "%s: test %s could not be added: %s\n", argv[0],
				t->name, CU_get_error_msg());
			return 2;
		}
	}
	CU_set_test_start_handler(test_starts);
	CU_set_test_complete_handler(test_ends);
	CU_set_suite_init_failure_handler(init_fails);
	CU_set_suite_cleanup_failure_handler(cleanup_fails);
	printf("%s\n", s->name);
	CU_run_all_tests();

	char *summary = CU_get_run_results_string();
	if (summary)
		puts(summary);
	CU_FREE(summary);
	CU_cleanup_registry();
	printf("%s: %u passed, %u failed, %u skipped\n", slash ? slash + 1 : argv[0],
	       passed, failed, skipped);
	return failed || passed + skipped == 0;
}
