/*
 * test_page.c - a policy page as a guest reads it: taken when it is right, refused with a
 * reason when it is not, and never a mixture of two.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "common_policy.h"
#include "cunit_main.h"
#include "ledger/page.h"

#define GIB (UINT64_C(1) << 30)

static char dir[256];
static const char *path;
static struct gsh_page page;
static struct gpushim_policy_limits limits;
static struct gsh_reason why;

static void setup(void)
{
	static char text[300];

	policy_make_dir(dir, sizeof(dir));
	snprintf(text, sizeof(text), "%s", policy_path(dir, "policy"));
	path = text;
	memset(&limits, 0, sizeof(limits));
	memset(&page, 0, sizeof(page));
}

static void teardown(void)
{
	gsh_page_close(&page);
}

static int open_page(void)
{
	gsh_page_close(&page);
	why.text[0] = '\0';
	return gsh_page_open(&page, path, &limits, &why);
}

/* ---- opening ---- */

static void a_page_gives_its_limits(void)
{
	policy_write_page(path, "train", 8 * GIB);
	CU_ASSERT_EQUAL_FATAL(open_page(), 0);
	CU_ASSERT_STRING_EQUAL(limits.tenant, "train");
	CU_ASSERT_EQUAL(limits.others.memory_bytes, 8 * GIB);
	CU_ASSERT_EQUAL(limits.generation, 1);
	CU_ASSERT_EQUAL(page.adopted, 1);
	CU_ASSERT_FALSE(gsh_page_changed(&page));
}

static void a_missing_page_is_absent(void)
{
	CU_ASSERT_EQUAL(open_page(), -ENOENT);
	CU_ASSERT(policy_says(why.text, path));
}

/* Writes a page of valid limits with one thing changed, and opens it. */
static int open_changed(size_t offset, const void *bytes, size_t count)
{
	policy_write_page(path, "train", GIB);
	policy_overwrite(path, bytes, count, offset);
	return open_page();
}

static void a_page_that_is_not_ready_is_absent(void)
{
	uint32_t ready = 0;

	CU_ASSERT_EQUAL(open_changed(24, &ready, sizeof(ready)), -ENOENT);
	CU_ASSERT(policy_says(why.text, "not ready"));
}

static void a_page_without_limits_is_absent(void)
{
	uint64_t generation = 0;

	CU_ASSERT_EQUAL(open_changed(16, &generation, sizeof(generation)), -ENOENT);
	CU_ASSERT(policy_says(why.text, "no limits yet"));
}

static void another_magic_is_refused(void)
{
	CU_ASSERT_EQUAL(open_changed(0, "GSHPOLCX", 8), -EPROTO);
	CU_ASSERT(policy_says(why.text, "not a policy page"));
}

static void another_version_is_refused(void)
{
	uint32_t version = 2;

	CU_ASSERT_EQUAL(open_changed(8, &version, sizeof(version)), -EPROTONOSUPPORT);
	CU_ASSERT(policy_says(why.text, "another version"));
}

static void a_truncated_page_is_refused(void)
{
	static const off_t sizes[] = { 0, 1, 16, 1024, 4096, 16383 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		policy_write_page(path, "train", GIB);
		CU_ASSERT_EQUAL(truncate(path, sizes[i]), 0);
		CU_ASSERT_EQUAL(open_page(), -EPROTO);
		CU_ASSERT(policy_says(why.text, "truncated"));
	}
}

static void a_page_that_says_more_than_it_has_is_refused(void)
{
	uint32_t bytes = 32768;

	CU_ASSERT_EQUAL(open_changed(12, &bytes, sizeof(bytes)), -EPROTO);
	bytes = 100;
	CU_ASSERT_EQUAL(open_changed(12, &bytes, sizeof(bytes)), -EPROTO);
}

static void a_larger_page_of_the_same_version_is_read(void)
{
	uint32_t bytes = 32768;

	policy_write_page(path, "train", GIB);
	policy_overwrite(path, &bytes, sizeof(bytes), 12);
	CU_ASSERT_EQUAL(truncate(path, 32768), 0);
	CU_ASSERT_EQUAL(open_page(), 0);
}

static void every_flipped_byte_of_the_limits_is_noticed(void)
{
	struct gpushim_policy_limits right;
	unsigned refused = 0;

	policy_limits(&right, "train", GIB);
	policy_seal(&right, 1);
	policy_write_page(path, "train", GIB);
	for (size_t i = 0; i < sizeof(right); i++) {
		unsigned char byte = ((unsigned char *)&right)[i] ^ 0x10;
		uint64_t at = 1024 + sizeof(right) + i;

		policy_overwrite(path, &byte, 1, at);
		refused += open_page() == -EPROTO;
		byte ^= 0x10;
		policy_overwrite(path, &byte, 1, at);
	}
	CU_ASSERT_EQUAL(refused, sizeof(right));
	CU_ASSERT_EQUAL(open_page(), 0);
}

/* Limits that are sealed as they should be and wrong all the same. */
static int open_sealed(struct gpushim_policy_limits *wrong)
{
	struct gpushim_policy_page whole;

	policy_seal(wrong, 1);
	policy_page(&whole, wrong);
	policy_write(path, &whole, sizeof(whole));
	return open_page();
}

static void limits_with_the_wrong_content_are_refused_though_sealed(void)
{
	struct gpushim_policy_limits wrong;

	policy_limits(&wrong, "train", GIB);
	wrong.device_count = 17;
	CU_ASSERT_EQUAL(open_sealed(&wrong), -EPROTO);
	wrong.device_count = UINT32_MAX;
	CU_ASSERT_EQUAL(open_sealed(&wrong), -EPROTO);
	wrong.device_count = 16;
	CU_ASSERT_EQUAL(open_sealed(&wrong), 0);

	policy_limits(&wrong, "train", GIB);
	memset(wrong.source, 'x', sizeof(wrong.source));
	CU_ASSERT_EQUAL(open_sealed(&wrong), -EPROTO);
	policy_limits(&wrong, "train", GIB);
	memset(wrong.reason, 'x', sizeof(wrong.reason));
	CU_ASSERT_EQUAL(open_sealed(&wrong), -EPROTO);
	policy_limits(&wrong, "train", GIB);
	memset(wrong.tenant, 'x', sizeof(wrong.tenant));
	CU_ASSERT_EQUAL(open_sealed(&wrong), -EPROTO);
	policy_limits(&wrong, "../train", GIB);
	CU_ASSERT_EQUAL(open_sealed(&wrong), -EPROTO);
}

static void the_copy_of_another_generation_is_refused(void)
{
	struct gpushim_policy_limits old;
	struct gpushim_policy_page whole;

	policy_limits(&old, "train", GIB);
	policy_seal(&old, 1);
	policy_page(&whole, &old);
	whole.generation = 3;
	policy_write(path, &whole, sizeof(whole));
	CU_ASSERT_EQUAL(open_page(), -EPROTO);
	CU_ASSERT(policy_says(why.text, "publish"));
}

static void links_fifos_and_directories_are_refused(void)
{
	const char *real = policy_path(dir, "real");

	policy_write_page(real, "train", GIB);
	CU_ASSERT_EQUAL(symlink(real, path), 0);
	CU_ASSERT_EQUAL(open_page(), -ELOOP);
	CU_ASSERT(policy_says(why.text, path));
	unlink(path);
	CU_ASSERT_EQUAL(mkfifo(path, 0666), 0);
	CU_ASSERT(open_page() < 0); /* and does not wait for a writer */
	CU_ASSERT(why.text[0] != '\0');
	unlink(path);
	CU_ASSERT_EQUAL(mkdir(path, 0777), 0);
	CU_ASSERT(open_page() < 0);
}

/* Root may write everything until it gives that up. */
static void give_up_root(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2] = { 0 };

	syscall(SYS_capset, &header, none);
}

static void a_page_knows_whether_this_process_could_write_it(void)
{
	int status = -1;
	pid_t pid;

	policy_write_page(path, "train", GIB);
	CU_ASSERT_EQUAL(chmod(path, 0444), 0);
	pid = fork();
	if (pid == 0) {
		give_up_root();
		_exit(open_page() == 0 && !page.writable ? 0 : 1);
	}
	CU_ASSERT(waitpid(pid, &status, 0) == pid && status == 0);
	CU_ASSERT_EQUAL(chmod(path, 0644), 0);
	CU_ASSERT_EQUAL(open_page(), 0);
	CU_ASSERT(page.writable);
}

/* ---- changes ---- */

static void a_new_generation_is_adopted_once(void)
{
	struct gpushim_policy_limits next;
	uint64_t errors = 0;

	policy_write_page(path, "train", GIB);
	CU_ASSERT_EQUAL_FATAL(open_page(), 0);
	CU_ASSERT_FALSE(gsh_page_adopt(&page, &limits, &errors));
	for (uint64_t i = 2; i < 6; i++) {
		policy_limits(&next, "train", i * GIB);
		policy_change(path, &next);
		CU_ASSERT(gsh_page_changed(&page));
		CU_ASSERT(gsh_page_adopt(&page, &limits, &errors));
		CU_ASSERT_EQUAL(limits.others.memory_bytes, i * GIB);
		CU_ASSERT_EQUAL(limits.generation, i);
		CU_ASSERT_FALSE(gsh_page_changed(&page));
		CU_ASSERT_FALSE(gsh_page_adopt(&page, &limits, &errors));
	}
	CU_ASSERT_EQUAL(errors, 0);
}

static void a_broken_generation_keeps_the_last_limits_and_counts_once(void)
{
	struct gpushim_policy_limits next;
	uint64_t errors = 0, generation = 2;

	policy_write_page(path, "train", GIB);
	CU_ASSERT_EQUAL_FATAL(open_page(), 0);
	/* Generation 2 is declared, and its copy was never written. */
	policy_overwrite(path, &generation, sizeof(generation), 16);
	CU_ASSERT(gsh_page_changed(&page));
	for (int i = 0; i < 3; i++)
		CU_ASSERT_FALSE(gsh_page_adopt(&page, &limits, &errors));
	CU_ASSERT_EQUAL(errors, 1);
	CU_ASSERT_EQUAL(page.adopted, 1);
	CU_ASSERT_EQUAL(limits.others.memory_bytes, GIB);
	/* It costs nothing to go on. */
	CU_ASSERT_FALSE(gsh_page_changed(&page));

	policy_limits(&next, "train", 5 * GIB);
	policy_change(path, &next);
	CU_ASSERT(gsh_page_adopt(&page, &limits, &errors));
	CU_ASSERT_EQUAL(limits.others.memory_bytes, 5 * GIB);
	CU_ASSERT_EQUAL(errors, 1);
}

static void a_copy_that_is_being_written_is_not_looked_at(void)
{
	char half[800];
	uint64_t errors = 0;

	policy_write_page(path, "train", GIB);
	CU_ASSERT_EQUAL_FATAL(open_page(), 0);
	memset(half, 0x5a, sizeof(half));
	policy_overwrite(path, half, sizeof(half), 1024);
	CU_ASSERT_FALSE(gsh_page_changed(&page));
	CU_ASSERT_FALSE(gsh_page_adopt(&page, &limits, &errors));
	CU_ASSERT_EQUAL(errors, 0);
	CU_ASSERT_EQUAL(open_page(), 0);
	CU_ASSERT_EQUAL(limits.others.memory_bytes, GIB);
}

static void what_was_measured_is_found_by_device(void)
{
	struct gpushim_policy_measured rows[3] = {
		{ .uuid = { 1 }, .overhead_bytes = 100, .count = 1 },
		{ .uuid = { 2 }, .overhead_bytes = 200, .count = 7 },
		{ .uuid = { 3 }, .overhead_bytes = 300, .count = 0 },
	};
	const uint8_t unknown[16] = { 4 };

	policy_write_page(path, "train", GIB);
	policy_overwrite(path, rows, sizeof(rows), 128);
	CU_ASSERT_EQUAL_FATAL(open_page(), 0);
	CU_ASSERT_EQUAL(gsh_page_overhead(&page, rows[0].uuid), 100);
	CU_ASSERT_EQUAL(gsh_page_overhead(&page, rows[1].uuid), 200);
	CU_ASSERT_EQUAL(gsh_page_overhead(&page, rows[2].uuid), 0);
	CU_ASSERT_EQUAL(gsh_page_overhead(&page, unknown), 0);
	gsh_page_close(&page);
	CU_ASSERT_EQUAL(gsh_page_overhead(&page, rows[0].uuid), 0);
}

/* ---- a writer at full speed ---- */

/* Where writer and reader take turns on one processor each adoption is a turn. */
enum { ADOPTED_MIN = 500 };

struct race {
	struct gpushim_policy_page *shared;
	uint32_t stop; /* atomic */
};

/* The protocol of gpushim/policy.h. The figure stands in every row, so a mixture shows. */
static void *write_fast(void *data)
{
	struct race *race = data;
	struct gpushim_policy_limits next;

	policy_limits(&next, "train", 0);
	next.device_count = GPUSHIM_DEVICES_MAX;
	for (uint64_t g = 2; !gsh_load_relaxed(&race->stop); g++) {
		uint64_t *to = (uint64_t *)(void *)&race->shared->limits[g & 1], word;

		next.others.memory_bytes = g;
		for (size_t i = 0; i < GPUSHIM_DEVICES_MAX; i++)
			next.devices[i].memory_bytes = g;
		policy_seal(&next, g);
		for (size_t i = 0; i < sizeof(next) / 8; i++) {
			memcpy(&word, (char *)&next + i * 8, 8);
			gsh_store_release(&to[i], word);
		}
		gsh_store_release(&race->shared->generation, g);
	}
	return NULL;
}

static bool is_mixture(const struct gpushim_policy_limits *seen)
{
	for (size_t i = 0; i < GPUSHIM_DEVICES_MAX; i++)
		if (seen->devices[i].memory_bytes != seen->others.memory_bytes)
			return true;
	return false;
}

/* The control: a reader that believes the copy in force as it comes. */
static void copy_credulously(const struct gpushim_policy_page *shared,
			     struct gpushim_policy_limits *seen)
{
	const uint64_t *from =
		(const uint64_t *)(const void *)&shared
			->limits[gsh_load_acquire(&shared->generation) & 1];

	for (size_t i = 0; i < sizeof(*seen) / 8; i++) {
		uint64_t word = gsh_load_relaxed(&from[i]);

		memcpy((char *)seen + i * 8, &word, 8);
	}
}

static void a_reader_beside_a_fast_writer_never_takes_a_mixture(void)
{
	struct race race = { .stop = 0 };
	struct gpushim_policy_limits seen;
	uint64_t errors = 0, adopted = 0, mixtures = 0, control = 0, end_ns, last = 0;
	int fd;
	bool backwards = false;
	pthread_t writer;

	policy_write_page(path, "train", 1);
	CU_ASSERT_EQUAL_FATAL(open_page(), 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	race.shared = mmap(NULL, sizeof(*race.shared), PROT_READ | PROT_WRITE, MAP_SHARED,
			   fd, 0);
	CU_ASSERT_FATAL(fd >= 0 && race.shared != MAP_FAILED);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&writer, NULL, write_fast, &race), 0);
	end_ns = gsh_clock_now_ns() + unit_patience_ms(10000) * UINT64_C(1000000);
	/* Until both have been seen at work ... */
	while (adopted < ADOPTED_MIN && gsh_clock_now_ns() < end_ns) {
		if (!gsh_page_adopt(&page, &limits, &errors)) {
			sched_yield(); /* to the writer, where there is one processor */
			continue;
		}
		adopted++;
		mixtures += is_mixture(&limits);
		backwards |= limits.generation <= last;
		last = limits.generation;
	}
	/* ... and the control has failed, if need be by being interrupted. */
	while (control == 0 && gsh_clock_now_ns() < end_ns) {
		copy_credulously(race.shared, &seen);
		control += is_mixture(&seen);
	}
	gsh_store_relaxed(&race.stop, 1);
	pthread_join(writer, NULL);
	munmap(race.shared, sizeof(*race.shared));
	close(fd);
	printf("      %lu adopted; the control took %lu mixtures\n",
	       (unsigned long)adopted, (unsigned long)control);
	CU_ASSERT(adopted >= ADOPTED_MIN);
	CU_ASSERT_EQUAL(mixtures, 0);
	CU_ASSERT_FALSE(backwards);
	CU_ASSERT_EQUAL(errors, 0);
	CU_ASSERT(control > 0);
}

const struct unit_suite unit_suite = {
	.name = "policy page",
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(a_page_gives_its_limits),
		UNIT_TEST(a_missing_page_is_absent),
		UNIT_TEST(a_page_that_is_not_ready_is_absent),
		UNIT_TEST(a_page_without_limits_is_absent),
		UNIT_TEST(another_magic_is_refused),
		UNIT_TEST(another_version_is_refused),
		UNIT_TEST(a_truncated_page_is_refused),
		UNIT_TEST(a_page_that_says_more_than_it_has_is_refused),
		UNIT_TEST(a_larger_page_of_the_same_version_is_read),
		UNIT_TEST(every_flipped_byte_of_the_limits_is_noticed),
		UNIT_TEST(limits_with_the_wrong_content_are_refused_though_sealed),
		UNIT_TEST(the_copy_of_another_generation_is_refused),
		UNIT_TEST(links_fifos_and_directories_are_refused),
		UNIT_TEST(a_page_knows_whether_this_process_could_write_it),
		UNIT_TEST(a_new_generation_is_adopted_once),
		UNIT_TEST(a_broken_generation_keeps_the_last_limits_and_counts_once),
		UNIT_TEST(a_copy_that_is_being_written_is_not_looked_at),
		UNIT_TEST(what_was_measured_is_found_by_device),
		UNIT_TEST(a_reader_beside_a_fast_writer_never_takes_a_mixture),
	},
};
