/*
 * test_publish.c - publishing policies: where things lie and who may write them, and that a
 * page is right at every instruction of whoever writes it.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/publish.h"
#include "common_policy.h"
#include "cunit_main.h"
#include "ledger/ledger.h"
#include "ledger/page.h"

#define GIB (UINT64_C(1) << 30)

static char dir[256];
static struct gsh_reason why;
static struct gpushim_policy_limits found;

static void setup(void)
{
	policy_make_dir(dir, sizeof(dir));
	memset(&why, 0, sizeof(why));
	memset(&found, 0, sizeof(found));
}

/* The figure stands in every row, so that two such limits differ in many places. */
static int publish(const char *tenant, uint64_t memory_bytes)
{
	struct gpushim_policy_limits limits;

	policy_limits(&limits, tenant, memory_bytes);
	limits.device_count = GPUSHIM_DEVICES_MAX;
	for (uint8_t i = 0; i < GPUSHIM_DEVICES_MAX; i++) {
		limits.devices[i].uuid[0] = i;
		limits.devices[i].memory_bytes = memory_bytes;
		limits.devices[i].limit_permille = 1000;
	}
	return gsh_publish(dir, &limits, &why);
}

static int mode_of(const char *name)
{
	struct stat status;

	return stat(policy_path(dir, name), &status) < 0 ? -1
							 : (int)(status.st_mode & 07777);
}

/* ---- where things lie ---- */

static void what_is_published_is_in_force(void)
{
	CU_ASSERT_EQUAL(gsh_published(dir, "train", &found, &why), -ENOENT);
	CU_ASSERT_EQUAL(publish("train", 8 * GIB), 0);
	CU_ASSERT_EQUAL(publish("infer", 2 * GIB), 0);
	CU_ASSERT_EQUAL(gsh_published(dir, "train", &found, &why), 0);
	CU_ASSERT_EQUAL(found.others.memory_bytes, 8 * GIB);
	CU_ASSERT_STRING_EQUAL(found.tenant, "train");
	CU_ASSERT_EQUAL(gsh_published(dir, "infer", &found, &why), 0);
	CU_ASSERT_EQUAL(found.others.memory_bytes, 2 * GIB);
	CU_ASSERT_EQUAL(publish("train", 4 * GIB), 0);
	CU_ASSERT_EQUAL(gsh_published(dir, "train", &found, &why), 0);
	CU_ASSERT_EQUAL(found.others.memory_bytes, 4 * GIB);
	CU_ASSERT_EQUAL(found.generation, 2);
}

static void modes_do_not_depend_on_the_umask(void)
{
	mode_t before = umask(077);

	CU_ASSERT_EQUAL(publish("train", GIB), 0);
	umask(before);
	CU_ASSERT_EQUAL(mode_of("policy"), 0755);
	CU_ASSERT_EQUAL(mode_of("policy/train"), 0755);
	CU_ASSERT_EQUAL(mode_of("policy/train/policy"), 0644);
	CU_ASSERT_EQUAL(mode_of("ledger/train"), 0755);
	CU_ASSERT_EQUAL(mode_of("ledger/train/ledger"), geteuid() == 0 ? 0666 : 0600);
}

static void the_ledger_is_there_for_the_tenant(void)
{
	static struct gsh_ledger ledger;

	CU_ASSERT_EQUAL(publish("train", GIB), 0);
	CU_ASSERT_EQUAL_FATAL(gsh_ledger_open(&ledger,
					      policy_path(dir, "ledger/train/ledger"),
					      "train", &why),
			      0);
	CU_ASSERT_STRING_EQUAL(ledger.header->tenant, "train");
	gsh_ledger_close(&ledger);
}

static void a_mapping_sees_every_later_change(void)
{
	struct gsh_page page;
	uint64_t errors = 0;

	CU_ASSERT_EQUAL(publish("train", GIB), 0);
	CU_ASSERT_EQUAL_FATAL(gsh_page_open(&page,
					    policy_path(dir, "policy/train/policy"),
					    &found, &why),
			      0);
	for (uint64_t i = 2; i < 9; i++) {
		CU_ASSERT_EQUAL(publish("train", i * GIB), 0);
		CU_ASSERT(gsh_page_adopt(&page, &found, &errors));
		CU_ASSERT_EQUAL(found.others.memory_bytes, i * GIB);
	}
	gsh_page_close(&page);
}

/* ---- what is refused ---- */

static void names_that_lead_elsewhere_are_refused(void)
{
	static const char *const names[] = { "",      ".",  "..",  "../x", "a/b",
					     "Train", "-x", "a b", "a\n" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		CU_ASSERT_EQUAL(publish(names[i], GIB), -EINVAL);
		CU_ASSERT(policy_says(why.text, "cannot be a tenant's name"));
		CU_ASSERT_EQUAL(gsh_published(dir, names[i], &found, &why), -EINVAL);
	}
	CU_ASSERT_EQUAL(mode_of("policy"), -1);
}

static void limits_that_no_page_can_hold_are_refused(void)
{
	struct gpushim_policy_limits limits;

	policy_limits(&limits, "train", GIB);
	limits.device_count = GPUSHIM_DEVICES_MAX + 1;
	CU_ASSERT_EQUAL(gsh_publish(dir, &limits, &why), -EINVAL);
	policy_limits(&limits, "train", GIB);
	memset(limits.reason, 'x', sizeof(limits.reason));
	CU_ASSERT_EQUAL(gsh_publish(dir, &limits, &why), -EINVAL);
	CU_ASSERT_EQUAL(mode_of("policy"), -1);
}

static void what_is_no_page_is_left_alone(void)
{
	const char *path;
	uint32_t version = 7;
	char target[PATH_MAX];

	CU_ASSERT_EQUAL(publish("train", GIB), 0);
	path = policy_path(dir, "policy/train/policy");
	CU_ASSERT_EQUAL(truncate(path, 5000), 0);
	CU_ASSERT_EQUAL(publish("train", GIB), -EPROTO);
	CU_ASSERT(policy_says(why.text, "truncated"));
	policy_write_page(path, "train", GIB);
	policy_overwrite(path, "some text", 9, 0);
	CU_ASSERT_EQUAL(publish("train", GIB), -EPROTO);
	CU_ASSERT(policy_says(why.text, "not a policy page"));
	policy_write_page(path, "train", GIB);
	policy_overwrite(path, &version, sizeof(version), 8);
	CU_ASSERT_EQUAL(publish("train", GIB), -EPROTONOSUPPORT);
	snprintf(target, sizeof(target), "%s", policy_path(dir, "target"));
	policy_write_page(target, "train", GIB);
	unlink(path);
	CU_ASSERT_EQUAL(symlink(target, path), 0);
	CU_ASSERT_EQUAL(publish("train", 2 * GIB), -ELOOP);
	CU_ASSERT(policy_says(why.text, path));
}

static void a_page_whose_maker_died_is_completed(void)
{
	uint32_t ready = 0;
	const char *path;

	CU_ASSERT_EQUAL(publish("train", GIB), 0);
	path = policy_path(dir, "policy/train/policy");
	policy_overwrite(path, &ready, sizeof(ready), 24);
	CU_ASSERT_EQUAL(gsh_published(dir, "train", &found, &why), -ENOENT);
	CU_ASSERT_EQUAL(publish("train", 3 * GIB), 0);
	CU_ASSERT_EQUAL(gsh_published(dir, "train", &found, &why), 0);
	CU_ASSERT_EQUAL(found.others.memory_bytes, 3 * GIB);
}

static void a_scribbled_page_is_right_after_the_next_publication(void)
{
	static const uint64_t generations[] = { 0, 7, UINT64_MAX, UINT64_MAX - 1 };
	const char *path;

	for (size_t i = 0; i < sizeof(generations) / sizeof(generations[0]); i++) {
		CU_ASSERT_EQUAL(publish("train", GIB), 0);
		path = policy_path(dir, "policy/train/policy");
		policy_overwrite(path, &generations[i], 8, 16);
		CU_ASSERT(gsh_published(dir, "train", &found, &why) < 0);
		CU_ASSERT_EQUAL(publish("train", 3 * GIB), 0);
		CU_ASSERT_EQUAL(gsh_published(dir, "train", &found, &why), 0);
		CU_ASSERT_EQUAL(found.others.memory_bytes, 3 * GIB);
	}
}

static void another_writer_is_waited_for_and_then_named(void)
{
	int fd;

	CU_ASSERT_EQUAL(publish("train", 2 * GIB), 0);
	CU_ASSERT_EQUAL(publish("train", GIB), 0);
	fd = open(policy_path(dir, "policy/.lock"), O_RDONLY | O_CLOEXEC);
	CU_ASSERT_EQUAL_FATAL(flock(fd, LOCK_EX), 0);
	CU_ASSERT_EQUAL(publish("train", 2 * GIB), -EBUSY);
	CU_ASSERT(policy_says(why.text, "another program"));
	CU_ASSERT_EQUAL(gsh_published(dir, "train", &found, &why), 0);
	CU_ASSERT_EQUAL(found.others.memory_bytes, GIB);
	close(fd);
	CU_ASSERT_EQUAL(publish("train", 2 * GIB), 0);
}

/* ---- what tenants can do against a change ---- */

static void who_can_read_a_page_cannot_lock_its_writer_out(void)
{
	static const char *const readable[] = { "policy/train/policy", "policy/train",
						"ledger/train/ledger", "ledger/train" };
	struct stat status;

	CU_ASSERT_EQUAL(publish("train", GIB), 0);
	for (size_t i = 0; i < sizeof(readable) / sizeof(readable[0]); i++) {
		int fd = open(policy_path(dir, readable[i]), O_RDONLY | O_CLOEXEC);

		CU_ASSERT_EQUAL_FATAL(flock(fd, LOCK_EX), 0);
		CU_ASSERT_EQUAL(publish("train", (i + 2) * GIB), 0);
		close(fd);
	}
	/* What is locked instead is nobody else's. */
	CU_ASSERT_EQUAL_FATAL(stat(policy_path(dir, "policy/.lock"), &status), 0);
	CU_ASSERT_EQUAL(status.st_mode & 0777, 0600);
}

static volatile sig_atomic_t leased;

static void give_up_the_lease(int signal)
{
	(void)signal;
	fcntl(leased, F_SETLEASE, F_UNLCK);
}

/* A lease delays who opens the page for writing until its holder gives it up, or has to. */
static void who_can_read_a_page_cannot_lease_its_writer_out(void)
{
	int ready[2];
	char byte = 0;
	pid_t holder;

	CU_ASSERT_EQUAL(publish("train", GIB), 0);
	CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
	holder = fork();
	if (holder == 0) {
		leased = open(policy_path(dir, "policy/train/policy"), O_RDONLY);
		signal(SIGIO, give_up_the_lease);
		byte = (char)fcntl(leased, F_SETLEASE, F_RDLCK);
		if (write(ready[1], &byte, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	CU_ASSERT_EQUAL(read(ready[0], &byte, 1), 1);
	if (byte == 0) {
		CU_ASSERT_EQUAL(publish("train", 2 * GIB), 0);
	} else {
		unit_skip("This file system knows no leases.");
	}
	kill(holder, SIGKILL);
	waitpid(holder, NULL, 0);
	close(ready[0]);
	close(ready[1]);
}

static void ruin(const char *name)
{
	int fd = open(policy_path(dir, name), O_WRONLY | O_CLOEXEC);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(write(fd, "ruined", 6), 6);
	close(fd);
}

/* A tenant can write its ledger's directory; it would keep the limits that it has. */
static void a_tenant_that_ruins_its_ledger_gets_new_limits_all_the_same(void)
{
	CU_ASSERT_EQUAL(publish("train", 8 * GIB), 0);
	ruin("ledger/train/ledger");
	CU_ASSERT_EQUAL(publish("train", 4 * GIB), 0);
	CU_ASSERT_EQUAL(unlink(policy_path(dir, "ledger/train/ledger")), 0);
	CU_ASSERT_EQUAL(mkdir(policy_path(dir, "ledger/train/ledger"), 0755), 0);
	CU_ASSERT_EQUAL(publish("train", 2 * GIB), 0);
	CU_ASSERT_EQUAL(rmdir(policy_path(dir, "ledger/train/ledger")), 0);
	CU_ASSERT_EQUAL(symlink("/dev/null", policy_path(dir, "ledger/train/ledger")), 0);
	CU_ASSERT_EQUAL(publish("train", GIB), 0);
	CU_ASSERT_EQUAL(gsh_published(dir, "train", &found, &why), 0);
	CU_ASSERT_EQUAL(found.others.memory_bytes, GIB);
}

static void a_first_page_is_not_published_without_a_ledger(void)
{
	CU_ASSERT_EQUAL(publish("infer", GIB), 0);
	CU_ASSERT_EQUAL(mkdir(policy_path(dir, "ledger/train"), 0755), 0);
	CU_ASSERT_EQUAL(symlink("/dev/null", policy_path(dir, "ledger/train/ledger")), 0);
	CU_ASSERT(publish("train", GIB) < 0);
	CU_ASSERT(policy_says(why.text, "ledger/train/ledger"));
	CU_ASSERT_EQUAL(gsh_published(dir, "train", &found, &why), -ENOENT);
}

static void writers_take_turns_and_readers_see_only_whole_limits(void)
{
	enum { WRITERS = 4, EACH = 50 };
	struct gsh_page page;
	uint64_t errors = 0, adopted = 0;
	int status, ended = 0, failed = 0;

	CU_ASSERT_EQUAL(publish("train", GIB), 0);
	CU_ASSERT_EQUAL_FATAL(gsh_page_open(&page,
					    policy_path(dir, "policy/train/policy"),
					    &found, &why),
			      0);
	for (int i = 0; i < WRITERS; i++)
		if (fork() == 0) {
			int wrong = 0;

			for (int n = 0; n < EACH; n++)
				wrong |= publish("train", (uint64_t)(i + 1) * GIB);
			_exit(wrong != 0);
		}
	while (ended < WRITERS) {
		adopted += gsh_page_adopt(&page, &found, &errors);
		if (waitpid(-1, &status, WNOHANG) > 0) {
			ended++;
			failed += status != 0;
		}
	}
	gsh_page_adopt(&page, &found, &errors);
	CU_ASSERT_EQUAL(failed, 0);
	CU_ASSERT_EQUAL(errors, 0);
	CU_ASSERT(adopted > 0);
	CU_ASSERT_EQUAL(found.generation, 1 + WRITERS * EACH);
	gsh_page_close(&page);
}

/* ---- killed at every instruction ---- */

struct walk {
	char path[PATH_MAX];
	const struct gpushim_policy_page *page; /* NULL: not there yet */
	struct gpushim_policy_page last;	/* as it was a step ago */
	uint64_t steps, changes; /* instructions, and those that changed the page */
	uint64_t wrong;		 /* after which a reader would find nothing valid */
	uint64_t old, new;	 /* after which one or the other was in force */
};

/* Whoever opens a file right after it appeared finds it as long as it will ever be. */
static void look_for_page(struct walk *walk)
{
	int fd = open(walk->path, O_RDONLY | O_CLOEXEC);
	struct stat status;

	if (fd < 0)
		return;
	if (fstat(fd, &status) < 0 || status.st_size != (off_t)sizeof(*walk->page))
		walk->wrong++;
	else
		walk->page = mmap(NULL, sizeof(*walk->page), PROT_READ, MAP_SHARED, fd,
				  0);
	close(fd);
}

/* What somebody would find who reads the page now. */
static void look(struct walk *walk)
{
	struct gpushim_policy_limits limits;

	walk->steps++;
	if (!walk->page)
		look_for_page(walk);
	if (!walk->page || (walk->changes > 0 &&
			    memcmp(walk->page, &walk->last, sizeof(walk->last)) == 0))
		return;
	walk->changes++;
	walk->last = *walk->page;
	if (!policy_in_force(&walk->last, &limits) ||
	    (limits.others.memory_bytes != GIB && limits.others.memory_bytes != 2 * GIB))
		walk->wrong++;
	else if (limits.others.memory_bytes == GIB)
		walk->old++;
	else
		walk->new ++;
}

/*
 * Runs body in a child, one instruction after another, and looks at the page after each: the
 * file is then what a kill at that instruction leaves. changes_max: kills the child there.
 * False if this system does not let us, or if that would take too long.
 */
static bool walk_through(struct walk *walk, void (*body)(void), uint64_t changes_max)
{
	int status = 0;
	cpu_set_t before, one;
	pid_t pid;

	/* What an address or thread sanitizer adds makes it minutes. */
	if (unit_patience_ms(1) > 1)
		return false;
	/* On one processor each step is a switch, and not a wakeup of the other. */
	sched_getaffinity(0, sizeof(before), &before);
	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	pid = fork();
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(77);
		raise(SIGSTOP);
		body();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	while (WIFSTOPPED(status) && walk->changes < changes_max) {
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0)
			break;
		waitpid(pid, &status, 0);
		look(walk);
	}
	sched_setaffinity(0, sizeof(before), &before);
	if (WIFSTOPPED(status)) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return walk->steps > 0;
	}
	return status == 0;
}

static void start_walk(struct walk *walk, const char *name)
{
	memset(walk, 0, sizeof(*walk));
	snprintf(walk->path, sizeof(walk->path), "%s", policy_path(dir, name));
}

static void publish_two_gib(void)
{
	if (publish("train", 2 * GIB) < 0)
		_exit(1);
}

static void a_writer_killed_at_any_instruction_leaves_old_or_new_limits(void)
{
	static struct walk walk;

	CU_ASSERT_EQUAL(publish("train", GIB), 0);
	start_walk(&walk, "policy/train/policy");
	if (!walk_through(&walk, publish_two_gib, UINT64_MAX)) {
		unit_skip("a process cannot be stepped through here");
		return;
	}
	printf("      %lu instructions, %lu of them changed the page\n",
	       (unsigned long)walk.steps, (unsigned long)walk.changes);
	CU_ASSERT(walk.changes > 50);
	CU_ASSERT_EQUAL(walk.wrong, 0);
	CU_ASSERT(walk.old > 0 && walk.new > 0);
	CU_ASSERT_EQUAL(gsh_published(dir, "train", &found, &why), 0);
	CU_ASSERT_EQUAL(found.others.memory_bytes, 2 * GIB);
}

static void a_first_page_appears_whole_or_not_at_all(void)
{
	static struct walk walk;

	CU_ASSERT_EQUAL(publish("other", GIB), 0);
	start_walk(&walk, "policy/train/policy");
	if (!walk_through(&walk, publish_two_gib, UINT64_MAX)) {
		unit_skip("a process cannot be stepped through here");
		return;
	}
	CU_ASSERT_EQUAL(walk.wrong, 0);
	CU_ASSERT_EQUAL(walk.changes, 1);
	CU_ASSERT_EQUAL(walk.new, 1);
}

static void after_a_killed_writer_the_next_one_succeeds(void)
{
	static struct walk walk;

	CU_ASSERT_EQUAL(publish("train", GIB), 0);
	start_walk(&walk, "policy/train/policy");
	if (!walk_through(&walk, publish_two_gib, 30)) {
		unit_skip("a process cannot be stepped through here");
		return;
	}
	CU_ASSERT_EQUAL(gsh_published(dir, "train", &found, &why), 0);
	CU_ASSERT_EQUAL(found.others.memory_bytes, GIB);
	CU_ASSERT_EQUAL(publish("train", 3 * GIB), 0);
	CU_ASSERT_EQUAL(gsh_published(dir, "train", &found, &why), 0);
	CU_ASSERT_EQUAL(found.others.memory_bytes, 3 * GIB);
	CU_ASSERT_EQUAL(found.generation, 2);
}

/* The control: writes the copy that is in force. */
static void publish_in_place(void)
{
	int fd = open(policy_path(dir, "policy/train/policy"), O_RDWR | O_CLOEXEC);
	struct gpushim_policy_page *page = mmap(
		NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct gpushim_policy_limits *limits = &page->limits[page->generation & 1];

	limits->others.memory_bytes = 2 * GIB;
	policy_seal(limits, page->generation);
}

static void the_walk_notices_a_writer_that_overwrites_what_is_in_force(void)
{
	static struct walk walk;

	CU_ASSERT_EQUAL(publish("train", GIB), 0);
	start_walk(&walk, "policy/train/policy");
	if (!walk_through(&walk, publish_in_place, UINT64_MAX)) {
		unit_skip("a process cannot be stepped through here");
		return;
	}
	CU_ASSERT(walk.wrong > 0);
}

/* ---- a user's own directory ---- */

enum { NOBODY = 65534 };

static const char nobody_dir[] = "/dev/shm/gpushim-65534";

/* What gsh_publish_dir() says to a user without rights; why.text is lost. */
static int dir_of_nobody(const char *expected)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		char text[64] = "";
		int result;

		if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
		    setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(99);
		result = gsh_publish_dir(text, sizeof(text), &why);
		if (result == 0 && strcmp(text, expected) != 0)
			_exit(98);
		if (result < 0 && !strstr(why.text, expected))
			_exit(97);
		if (result == 0 && gsh_publish_dir(text, 10, &why) != -ENAMETOOLONG)
			_exit(96);
		_exit(-result);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void who_cannot_write_the_nodes_directory_has_one_of_his_own(void)
{
	struct stat status;

	if (geteuid() != 0 || access("/dev/shm", W_OK) < 0 ||
	    access(nobody_dir, F_OK) == 0) {
		unit_skip("this takes root, and %s must not be there", nobody_dir);
		return;
	}
	CU_ASSERT_EQUAL(dir_of_nobody(nobody_dir), 0);
	CU_ASSERT(stat(nobody_dir, &status) == 0 && status.st_uid == NOBODY &&
		  (status.st_mode & 07777) == 0700);
	CU_ASSERT_EQUAL(dir_of_nobody(nobody_dir), 0);
	CU_ASSERT_EQUAL(chmod(nobody_dir, 0755), 0);
	CU_ASSERT_EQUAL(dir_of_nobody(nobody_dir), EPERM);
	CU_ASSERT_EQUAL(chmod(nobody_dir, 0700), 0);
	CU_ASSERT_EQUAL(chown(nobody_dir, 12345, NOBODY), 0);
	CU_ASSERT_EQUAL(dir_of_nobody("12345"), EPERM);
	CU_ASSERT_EQUAL(rmdir(nobody_dir), 0);
	CU_ASSERT_EQUAL(symlink(dir, nobody_dir), 0);
	CU_ASSERT_NOT_EQUAL(dir_of_nobody(nobody_dir), 0);
	unlink(nobody_dir);
}

static void limits_that_nobody_can_obey_are_refused(void)
{
	static const struct gpushim_policy_device impossible[] = {
		{ .limit_permille = 0 },
		{ .limit_permille = 1001 },
		{ .limit_permille = 300, .request_permille = 301 },
		{ .limit_permille = 1000, .memory_ppm = 1000001 },
		{ .limit_permille = 1000, .priority = 3 },
		{ .limit_permille = 1000, .view = 2 },
		{ .limit_permille = 1000, .burst_ms = 1001 },
	};
	struct gpushim_policy_limits limits;

	CU_ASSERT_EQUAL(publish("train", 8 * GIB), 0);
	for (size_t i = 0; i < sizeof(impossible) / sizeof(impossible[0]); i++) {
		policy_limits(&limits, "train", GIB);
		limits.others = impossible[i];
		CU_ASSERT_EQUAL(gsh_publish(dir, &limits, &why), -EINVAL);
		CU_ASSERT(policy_says(why.text, "train has limits that mean nothing"));
		policy_limits(&limits, "train", GIB);
		limits.device_count = 2;
		limits.devices[0].limit_permille = 1;
		limits.devices[1] = impossible[i];
		CU_ASSERT_EQUAL(gsh_publish(dir, &limits, &why), -EINVAL);
		/* Rows that are not in use are nobody's. */
		limits.device_count = 1;
		CU_ASSERT_EQUAL(gsh_publish(dir, &limits, &why), 0);
		CU_ASSERT_EQUAL(publish("train", 8 * GIB), 0);
	}
	CU_ASSERT_EQUAL(gsh_published(dir, "train", &found, &why), 0);
	CU_ASSERT_EQUAL(found.others.memory_bytes, 8 * GIB);
}

const struct unit_suite unit_suite = {
	.name = "publishing",
	.setup = setup,
	.tests = {
		UNIT_TEST(what_is_published_is_in_force),
		UNIT_TEST(modes_do_not_depend_on_the_umask),
		UNIT_TEST(the_ledger_is_there_for_the_tenant),
		UNIT_TEST(a_mapping_sees_every_later_change),
		UNIT_TEST(names_that_lead_elsewhere_are_refused),
		UNIT_TEST(limits_that_no_page_can_hold_are_refused),
		UNIT_TEST(what_is_no_page_is_left_alone),
		UNIT_TEST(a_page_whose_maker_died_is_completed),
		UNIT_TEST(a_scribbled_page_is_right_after_the_next_publication),
		UNIT_TEST(another_writer_is_waited_for_and_then_named),
		UNIT_TEST(who_can_read_a_page_cannot_lock_its_writer_out),
		UNIT_TEST(who_can_read_a_page_cannot_lease_its_writer_out),
		UNIT_TEST(a_tenant_that_ruins_its_ledger_gets_new_limits_all_the_same),
		UNIT_TEST(a_first_page_is_not_published_without_a_ledger),
		UNIT_TEST(writers_take_turns_and_readers_see_only_whole_limits),
		UNIT_TEST(a_writer_killed_at_any_instruction_leaves_old_or_new_limits),
		UNIT_TEST(a_first_page_appears_whole_or_not_at_all),
		UNIT_TEST(after_a_killed_writer_the_next_one_succeeds),
		UNIT_TEST(the_walk_notices_a_writer_that_overwrites_what_is_in_force),
		UNIT_TEST(who_cannot_write_the_nodes_directory_has_one_of_his_own),
		UNIT_TEST(limits_that_nobody_can_obey_are_refused),
	},
};
