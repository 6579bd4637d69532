/*
 * Sentences without printf: what is written, and what happens when it does not fit.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/text.h"
#include "cunit_main.h"

static char buffer[256];
static struct gsh_text text;

static void setup(void)
{
	gsh_text_init(&text, buffer, sizeof(buffer));
}

static void strings_follow_each_other(void)
{
	gsh_text_add(&text, "one");
	gsh_text_add(&text, "");
	gsh_text_add_n(&text, " and two of these", 8);
	CU_ASSERT_STRING_EQUAL(buffer, "one and two");
}

static void what_does_not_fit_is_dropped_and_nothing_behind_it_is_touched(void)
{
	char small[8];

	memset(small, 'x', sizeof(small));
	gsh_text_init(&text, small, 5);
	gsh_text_add(&text, "abc");
	gsh_text_add(&text, "defg");
	gsh_text_add_u64(&text, 12345);
	CU_ASSERT_STRING_EQUAL(small, "abcd");
	CU_ASSERT(memcmp(small + 5, "xxx", 3) == 0);
	gsh_text_init(&text, small, 1);
	gsh_text_add(&text, "a");
	CU_ASSERT_STRING_EQUAL(small, "");
}

static void numbers_are_written_in_full(void)
{
	gsh_text_add_u64(&text, 0);
	gsh_text_add(&text, " ");
	gsh_text_add_u64(&text, UINT64_MAX);
	CU_ASSERT_STRING_EQUAL(buffer, "0 18446744073709551615");
}

static void assert_size(uint64_t bytes, const char *expected)
{
	setup();
	gsh_text_add_size(&text, bytes);
	CU_ASSERT_STRING_EQUAL(buffer, expected);
}

static void sizes_are_written_in_the_largest_unit_that_says_them_exactly(void)
{
	assert_size(0, "0 B");
	assert_size(1023, "1023 B");
	assert_size(1024, "1 KiB");
	assert_size(1536, "1.5 KiB");
	assert_size(UINT64_C(8) << 30, "8 GiB");
	assert_size((UINT64_C(8) << 30) + 1, "8589934593 B");
	assert_size((UINT64_C(8) << 30) + 1024, "8388609 KiB");
	assert_size(UINT64_C(3) << 39, "1.5 TiB");
	assert_size(1000000, "1000000 B");
	assert_size(UINT64_MAX, "18446744073709551615 B");
}

static void sizes_are_read_back_as_they_were(void)
{
	uint64_t bytes = 1, read;

	for (int i = 0; i < 20000; i++) {
		bytes = bytes * UINT64_C(6364136223846793005) + 1;
		setup();
		/* Of all lengths, half of them round. */
		read = bytes >> (i % 64) << (i % 2 ? 0 : i % 45);
		gsh_text_add_size(&text, read);
		CU_ASSERT_EQUAL_FATAL(gsh_parse_size(buffer, &bytes), 0);
		CU_ASSERT_EQUAL_FATAL(bytes, read);
		bytes = bytes + (uint64_t)i * UINT64_C(0x9e3779b97f4a7c15);
	}
}

static void uuids_look_as_nvidia_smi_writes_them(void)
{
	static const uint8_t uuid[16] = {
		0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
		0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff
	};

	gsh_text_add_uuid(&text, uuid);
	CU_ASSERT_STRING_EQUAL(buffer, "GPU-00112233-4455-6677-8899-aabbccddeeff");
}

static void usual_errors_have_the_words_of_the_c_library(void)
{
	static const int usual[] = { EPERM,  ENOENT, EACCES, EEXIST, ENOTDIR, EINVAL,
				     EMFILE, ENOSPC, EROFS,  ENOSYS, ELOOP,   EPROTO };

	for (size_t i = 0; i < sizeof(usual) / sizeof(*usual); i++) {
		setup();
		gsh_text_add_errno(&text, usual[i]);
		CU_ASSERT_STRING_EQUAL(buffer, strerror(usual[i]));
	}
}

static void other_errors_are_numbers(void)
{
	gsh_text_add_errno(&text, 4095);
	gsh_text_add(&text, ", ");
	gsh_text_add_errno(&text, -7);
	CU_ASSERT_STRING_EQUAL(buffer, "error 4095, error -7");
}

static void a_reason_is_its_strings_and_is_cut_when_it_is_too_long(void)
{
	struct gsh_reason reason;
	char longer[300];

	gsh_reason_set(&reason, "/some/path", " is ", "a link", NULL);
	CU_ASSERT_STRING_EQUAL(reason.text, "/some/path is a link");
	memset(longer, 'y', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	gsh_reason_set(&reason, longer, longer, NULL);
	CU_ASSERT_EQUAL(strlen(reason.text), sizeof(reason.text) - 1);
	gsh_reason_set(&reason, NULL);
	CU_ASSERT_STRING_EQUAL(reason.text, "");
}

/* ---- log: what goes to descriptor 2 ------------------------------------------------------ */

/* Descriptor 2 becomes `to` for one line; what it was comes back. */
static void log_to(int to, const char *sentence)
{
	int before = dup(2);

	CU_ASSERT_FATAL(before >= 0);
	dup2(to, 2);
	gsh_log(sentence);
	dup2(before, 2);
	close(before);
}

static void a_line_is_one_write_with_our_name_before_it(void)
{
	int ends[2];
	ssize_t got;

	CU_ASSERT_EQUAL_FATAL(pipe2(ends, O_DIRECT), 0); /* keeps writes apart */
	errno = 77;
	log_to(ends[1], "something is wrong");
	CU_ASSERT_EQUAL(errno, 77);
	got = read(ends[0], buffer, sizeof(buffer) - 1);
	CU_ASSERT_FATAL(got > 0);
	buffer[got] = '\0';
	CU_ASSERT_STRING_EQUAL(buffer, "gpushim: something is wrong\n");
	close(ends[0]);
	close(ends[1]);
}

static void a_long_line_is_cut_and_still_ends(void)
{
	char line[1024], longer[1000];
	int ends[2];
	ssize_t got;

	memset(longer, 'z', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
	log_to(ends[1], longer);
	got = read(ends[0], line, sizeof(line));
	CU_ASSERT_FATAL(got > 100 && got < 600);
	CU_ASSERT_EQUAL(line[got - 1], '\n');
	CU_ASSERT_EQUAL(line[got - 2], 'z');
	close(ends[0]);
	close(ends[1]);
}

static void nobody_reading_kills_nobody(void)
{
	struct sigaction broken_pipe;
	sigset_t pending, mask;
	int ends[2];

	CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
	close(ends[0]);
	/* Whatever a test program inherits; the default is to die. */
	signal(SIGPIPE, SIG_DFL);
	errno = 77;
	log_to(ends[1], "nobody hears this");
	CU_ASSERT_EQUAL(errno, 77);
	CU_ASSERT_EQUAL(sigpending(&pending), 0);
	CU_ASSERT_EQUAL(sigismember(&pending, SIGPIPE), 0);
	CU_ASSERT_EQUAL(sigprocmask(SIG_SETMASK, NULL, &mask), 0);
	CU_ASSERT_EQUAL(sigismember(&mask, SIGPIPE), 0);
	CU_ASSERT_EQUAL(sigaction(SIGPIPE, NULL, &broken_pipe), 0);
	CU_ASSERT(broken_pipe.sa_handler == SIG_DFL);
	close(ends[1]);
}

static void a_signal_that_the_program_holds_back_stays_pending(void)
{
	sigset_t broken_pipe, before, pending;
	int ends[2];

	CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
	close(ends[0]);
	sigemptyset(&broken_pipe);
	sigaddset(&broken_pipe, SIGPIPE);
	sigprocmask(SIG_BLOCK, &broken_pipe, &before);
	raise(SIGPIPE);
	log_to(ends[1], "nobody hears this");
	CU_ASSERT_EQUAL(sigpending(&pending), 0);
	CU_ASSERT_EQUAL(sigismember(&pending, SIGPIPE), 1);
	signal(SIGPIPE, SIG_IGN); /* which throws it away */
	sigprocmask(SIG_SETMASK, &before, NULL);
	signal(SIGPIPE, SIG_DFL);
	close(ends[1]);
}

/* ---- clock ------------------------------------------------------------------------------ */

static void a_rest_takes_its_time_and_keeps_errno(void)
{
	uint64_t before = gsh_clock_now_ns();

	errno = 77;
	gsh_clock_sleep_ns(2000000);
	CU_ASSERT_EQUAL(errno, 77);
	CU_ASSERT(gsh_clock_now_ns() - before >= 2000000);
	/* 2020-01-01, which every machine that builds this has behind it. */
	CU_ASSERT(gsh_clock_unix_ns() > UINT64_C(1577836800000000000));
}

const struct unit_suite unit_suite = {
	.name = "text, log and clock",
	.setup = setup,
	.tests = {
		UNIT_TEST(strings_follow_each_other),
		UNIT_TEST(what_does_not_fit_is_dropped_and_nothing_behind_it_is_touched),
		UNIT_TEST(numbers_are_written_in_full),
		UNIT_TEST(sizes_are_written_in_the_largest_unit_that_says_them_exactly),
		UNIT_TEST(sizes_are_read_back_as_they_were),
		UNIT_TEST(uuids_look_as_nvidia_smi_writes_them),
		UNIT_TEST(usual_errors_have_the_words_of_the_c_library),
		UNIT_TEST(other_errors_are_numbers),
		UNIT_TEST(a_reason_is_its_strings_and_is_cut_when_it_is_too_long),
		UNIT_TEST(a_line_is_one_write_with_our_name_before_it),
		UNIT_TEST(a_long_line_is_cut_and_still_ends),
		UNIT_TEST(nobody_reading_kills_nobody),
		UNIT_TEST(a_signal_that_the_program_holds_back_stays_pending),
		UNIT_TEST(a_rest_takes_its_time_and_keeps_errno),
	},
};
