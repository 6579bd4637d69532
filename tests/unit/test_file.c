/*
 * Files and directories where others may have laid traps.
 *
 * All happens in a directory of the test's own. It lies below one that everybody can write,
 * as /dev/shm is; where a trusted place is needed, the test goes there and uses relative
 * paths.
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/mount.h"
#include "cunit_main.h"

enum { FILE_BYTES = 300000, OTHER_USER = 12345 };

static char directory[64]; /* absolute; also where the test stands */
static char path[256];
static struct gsh_reason why;

static const char *in_directory(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static void setup(void)
{
	snprintf(directory, sizeof(directory), "/tmp/test_file.XXXXXX");
	if (!mkdtemp(directory) || chdir(directory) != 0)
		abort();
	memset(&why, 0, sizeof(why));
}

static int remove_one(const char *name, const struct stat *status, int type,
		      struct FTW *at)
{
	(void)status;
	(void)type;
	(void)at;
	return remove(name);
}

static void teardown(void)
{
	if (chdir("/") != 0 || nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0)
		perror(directory);
}

static void write_file(const char *name, const char *content)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(write(fd, content, strlen(content)), (ssize_t)strlen(content));
	close(fd);
}

static unsigned mode_of(const char *name)
{
	struct stat status;

	return lstat(name, &status) == 0 ? status.st_mode & 07777 : 0;
}

/* The reason names the path, and says something besides. */
static bool is_explained(const char *name)
{
	return strstr(why.text, name) && strlen(why.text) > strlen(name) + 4;
}

/* ---- opening ---------------------------------------------------------------------------- */

static void a_regular_file_is_opened_close_on_exec(void)
{
	char content[8] = "";
	int fd;

	write_file("file", "words");
	errno = 77;
	fd = gsh_file_open(in_directory("file"), O_RDONLY, &why);
	CU_ASSERT_EQUAL(errno, 77);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(read(fd, content, sizeof(content)), 5);
	CU_ASSERT_STRING_EQUAL(content, "words");
	CU_ASSERT_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	fd = gsh_file_open("file", O_RDWR, &why);
	CU_ASSERT(fd >= 0);
	close(fd);
}

static void what_is_not_there_is_said_with_its_path(void)
{
	errno = 77;
	CU_ASSERT_EQUAL(gsh_file_open(in_directory("none"), O_RDONLY, &why), -ENOENT);
	CU_ASSERT(is_explained(path));
	CU_ASSERT_EQUAL(gsh_file_open(in_directory("none/file"), O_RDONLY, &why),
			-ENOENT);
	CU_ASSERT(is_explained(path));
	CU_ASSERT_EQUAL(errno, 77);
}

static void a_link_is_not_opened_wherever_it_leads(void)
{
	write_file("file", "words");
	CU_ASSERT_EQUAL_FATAL(symlink("file", "link"), 0);
	CU_ASSERT_EQUAL_FATAL(symlink("/etc/passwd", "away"), 0);
	CU_ASSERT_EQUAL(gsh_file_open(in_directory("link"), O_RDONLY, &why), -ELOOP);
	CU_ASSERT(is_explained(path));
	CU_ASSERT_EQUAL(gsh_file_open("away", O_RDONLY, &why), -ELOOP);
}

static void what_is_not_a_regular_file_is_refused_and_hangs_nobody(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "socket" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CU_ASSERT_EQUAL_FATAL(mkfifo("fifo", 0666), 0);
	CU_ASSERT_EQUAL_FATAL(mkdir("dir", 0755), 0);
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	CU_ASSERT_EQUAL(gsh_file_open("fifo", O_RDONLY, &why), -EPROTO);
	CU_ASSERT(is_explained("fifo"));
	CU_ASSERT_EQUAL(gsh_file_open("fifo", O_RDWR, &why), -EPROTO);
	CU_ASSERT_EQUAL(gsh_file_open("dir", O_RDONLY, &why), -EPROTO);
	CU_ASSERT(gsh_file_open("dir", O_RDWR, &why) < 0);
	CU_ASSERT(gsh_file_open("socket", O_RDWR, &why) < 0);
	CU_ASSERT_EQUAL(gsh_file_open("/dev/null", O_RDWR, &why), -EPROTO);
	close(fd);
}

static void a_link_on_the_way_is_followed_only_where_nobody_else_can_write(void)
{
	int fd;

	CU_ASSERT_EQUAL_FATAL(mkdir("real", 0755), 0);
	write_file("real/file", "words");
	CU_ASSERT_EQUAL_FATAL(symlink("real", "link"), 0);
	/* Ours alone, and we stand in it. */
	fd = gsh_file_open("link/file", O_RDONLY, &why);
	CU_ASSERT(fd >= 0);
	close(fd);
	/* By way of /tmp, where everybody can write. */
	CU_ASSERT_EQUAL(gsh_file_open(in_directory("link/file"), O_RDONLY, &why),
			-ENOTDIR);
	CU_ASSERT(is_explained(path));
	fd = gsh_file_open(in_directory("real/file"), O_RDONLY, &why);
	CU_ASSERT(fd >= 0);
	close(fd);
	CU_ASSERT_EQUAL_FATAL(chmod(directory, 0777), 0);
	CU_ASSERT_EQUAL(gsh_file_open("link/file", O_RDONLY, &why), -ENOTDIR);
}

static void a_directory_of_somebody_else_is_not_trusted(void)
{
	if (geteuid() != 0) {
		unit_skip("Only root can give a directory to somebody else.");
		return;
	}
	CU_ASSERT_EQUAL_FATAL(mkdir("real", 0755), 0);
	write_file("real/file", "words");
	CU_ASSERT_EQUAL_FATAL(symlink("real", "link"), 0);
	CU_ASSERT_EQUAL_FATAL(chown(directory, OTHER_USER, OTHER_USER), 0);
	CU_ASSERT_EQUAL(gsh_file_open("link/file", O_RDONLY, &why), -ENOTDIR);
}

static void names_that_cannot_be_are_refused(void)
{
	char name[400];

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	CU_ASSERT_EQUAL(gsh_file_open(name, O_RDONLY, &why), -ENAMETOOLONG);
	CU_ASSERT_EQUAL(gsh_file_open("", O_RDONLY, &why), -EINVAL);
	CU_ASSERT_EQUAL(gsh_file_open("/", O_RDONLY, &why), -EINVAL);
	write_file("file", "words");
	CU_ASSERT_EQUAL(gsh_file_open("file/below", O_RDONLY, &why), -ENOTDIR);
}

static void the_status_of_a_file_is_what_it_is(void)
{
	struct gsh_file_status status;
	struct stat expected = { 0 };
	int fd;

	write_file("file", "words");
	fd = open("file", O_RDONLY | O_CLOEXEC);
	CU_ASSERT_FATAL(fd >= 0 && fstat(fd, &expected) == 0);
	CU_ASSERT_EQUAL(gsh_file_status(fd, &status), 0);
	CU_ASSERT_EQUAL(status.bytes, 5);
	CU_ASSERT_EQUAL(status.inode, expected.st_ino);
	CU_ASSERT_EQUAL(status.device, expected.st_dev);
	CU_ASSERT_EQUAL(status.mode, expected.st_mode);
	CU_ASSERT_EQUAL(status.uid, geteuid());
	close(fd);
	errno = 77;
	CU_ASSERT_EQUAL(gsh_file_status(-1, &status), -EBADF);
	CU_ASSERT_EQUAL(errno, 77);
}

/* ---- directories ------------------------------------------------------------------------ */

static void directories_are_made_with_their_mode_whatever_the_umask(void)
{
	mode_t before = umask(077);

	CU_ASSERT_EQUAL(gsh_file_make_directories(in_directory("a/b/c/"), 0755, &why), 0);
	CU_ASSERT_EQUAL(umask(before), 077);
	CU_ASSERT_EQUAL(mode_of("a"), 0755);
	CU_ASSERT_EQUAL(mode_of("a/b"), 0755);
	CU_ASSERT_EQUAL(mode_of("a/b/c"), 0755);
	/* What is there stays as it is. */
	CU_ASSERT_EQUAL(gsh_file_make_directories("a/b", 0700, &why), 0);
	CU_ASSERT_EQUAL(mode_of("a/b"), 0755);
}

static void something_else_in_the_place_of_a_directory_is_refused(void)
{
	CU_ASSERT_EQUAL_FATAL(mkdir("real", 0755), 0);
	CU_ASSERT_EQUAL_FATAL(symlink("real", "link"), 0);
	CU_ASSERT_EQUAL_FATAL(symlink("nowhere", "dangling"), 0);
	write_file("file", "words");
	CU_ASSERT_EQUAL(gsh_file_make_directories("link", 0755, &why), -ENOTDIR);
	CU_ASSERT(is_explained("link"));
	CU_ASSERT(gsh_file_make_directories("dangling", 0755, &why) < 0);
	CU_ASSERT(gsh_file_make_directories("dangling/x", 0755, &why) < 0);
	CU_ASSERT_EQUAL(gsh_file_make_directories("file", 0755, &why), -ENOTDIR);
	CU_ASSERT_EQUAL(gsh_file_make_directories("file/x", 0755, &why), -ENOTDIR);
	CU_ASSERT_EQUAL(gsh_file_make_directories(in_directory("link/x"), 0755, &why),
			-ENOTDIR);
	CU_ASSERT_EQUAL(mode_of("nowhere"), 0);
	CU_ASSERT_EQUAL(mode_of("real/x"), 0);
}

static void a_private_directory_is_made_or_taken_if_it_is_ours_alone(void)
{
	mode_t before = umask(0);

	CU_ASSERT_EQUAL(gsh_file_private_directory(in_directory("own"), &why), 0);
	umask(before);
	CU_ASSERT_EQUAL(mode_of("own"), 0700);
	CU_ASSERT_EQUAL(gsh_file_private_directory("own", &why), 0);
}

static void a_directory_open_to_others_is_not_private(void)
{
	static const unsigned modes[] = { 0755, 0770, 0701, 0702, 0777 };

	CU_ASSERT_EQUAL_FATAL(mkdir("own", 0700), 0);
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		CU_ASSERT_EQUAL_FATAL(chmod("own", modes[i]), 0);
		CU_ASSERT_EQUAL(gsh_file_private_directory("own", &why), -EPERM);
		CU_ASSERT(is_explained("own"));
	}
}

static void a_private_directory_of_somebody_else_is_refused_with_his_id(void)
{
	if (geteuid() != 0) {
		unit_skip("Only root can give a directory to somebody else.");
		return;
	}
	CU_ASSERT_EQUAL_FATAL(mkdir("theirs", 0700), 0);
	CU_ASSERT_EQUAL_FATAL(chown("theirs", OTHER_USER, OTHER_USER), 0);
	CU_ASSERT_EQUAL(gsh_file_private_directory("theirs", &why), -EPERM);
	CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "12345"));
}

static void a_link_in_the_place_of_a_private_directory_is_refused(void)
{
	CU_ASSERT_EQUAL_FATAL(mkdir("real", 0700), 0);
	CU_ASSERT_EQUAL_FATAL(symlink("real", "link"), 0);
	CU_ASSERT_EQUAL(gsh_file_private_directory("link", &why), -ENOTDIR);
	CU_ASSERT(is_explained("link"));
	write_file("file", "words");
	CU_ASSERT_EQUAL(gsh_file_private_directory("file", &why), -ENOTDIR);
	CU_ASSERT_EQUAL(gsh_file_private_directory("none/own", &why), -ENOENT);
}

/* ---- creating --------------------------------------------------------------------------- */

/* Writes what data points to at both ends of the file. */
static int fill_ends(void *data, int fd)
{
	const char *mark = data;

	if (pwrite(fd, mark, 1, 0) != 1 || pwrite(fd, mark, 1, FILE_BYTES - 1) != 1)
		return -EIO;
	return 0;
}

static int fill_fails(void *data, int fd)
{
	(void)data;
	(void)fd;
	return -EOVERFLOW;
}

/* True if the file is there in full, filled by `mark`. */
static bool is_complete(const char *name, char mark)
{
	char first = 0, last = 0;
	struct stat status;
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	bool right = fd >= 0 && fstat(fd, &status) == 0 && status.st_size == FILE_BYTES &&
		     pread(fd, &first, 1, 0) == 1 &&
		     pread(fd, &last, 1, FILE_BYTES - 1) == 1 && first == mark &&
		     last == mark;

	if (fd >= 0)
		close(fd);
	return right;
}

static int count_files(const char *pattern)
{
	char command[128];
	int count = -1;
	FILE *list;

	snprintf(command, sizeof(command), "find . -type f -name '%s' | wc -l", pattern);
	/* NOLINTNEXTLINE(cert-env33-c): the pattern is the test's own */
	list = popen(command, "r");
	if (list) {
		if (fscanf(list, "%d", &count) != 1)
			count = -1;
		pclose(list);
	}
	return count;
}

static void a_file_is_made_complete_with_its_mode_and_real_room(void)
{
	struct stat status;
	mode_t before = umask(077);

	errno = 77;
	CU_ASSERT_EQUAL(gsh_file_create(in_directory("file"), FILE_BYTES, 0666, fill_ends,
					"m", &why),
			0);
	CU_ASSERT_EQUAL(errno, 77);
	CU_ASSERT_EQUAL(umask(before), 077);
	CU_ASSERT(is_complete("file", 'm'));
	CU_ASSERT_EQUAL(mode_of("file"), 0666);
	CU_ASSERT_EQUAL_FATAL(stat("file", &status), 0);
	CU_ASSERT(status.st_blocks * 512 >= FILE_BYTES);
	CU_ASSERT_EQUAL(status.st_nlink, 1);
	CU_ASSERT_EQUAL(count_files(".*"), 0);
}

static void who_comes_second_leaves_the_first_ones_file_alone(void)
{
	CU_ASSERT_EQUAL(gsh_file_create("file", FILE_BYTES, 0644, fill_ends, "1", &why),
			0);
	CU_ASSERT_EQUAL(gsh_file_create("file", FILE_BYTES, 0600, fill_ends, "2", &why),
			-EEXIST);
	CU_ASSERT(is_complete("file", '1'));
	CU_ASSERT_EQUAL(mode_of("file"), 0644);
	CU_ASSERT_EQUAL_FATAL(symlink("nowhere", "link"), 0);
	CU_ASSERT_EQUAL(gsh_file_create("link", FILE_BYTES, 0644, fill_ends, "3", &why),
			-EEXIST);
	CU_ASSERT_EQUAL(count_files("*"), 1);
}

static void what_cannot_be_filled_is_not_made(void)
{
	CU_ASSERT_EQUAL(gsh_file_create("file", FILE_BYTES, 0644, fill_fails, NULL, &why),
			-EOVERFLOW);
	CU_ASSERT(is_explained("file"));
	CU_ASSERT_EQUAL(
		gsh_file_create("none/file", FILE_BYTES, 0644, fill_ends, "m", &why),
		-ENOENT);
	CU_ASSERT_EQUAL(count_files("*"), 0);
}

/* In a child, which SIGXFSZ would kill. */
static void what_is_larger_than_files_may_be_kills_nobody(void)
{
	static const rlim_t limits[] = { 0, 4096, FILE_BYTES - 1 };
	struct rlimit limit;
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
			limit.rlim_cur = limits[i];
			limit.rlim_max = FILE_BYTES;
			if (setrlimit(RLIMIT_FSIZE, &limit) != 0 ||
			    gsh_file_create("file", FILE_BYTES, 0644, fill_ends, "m",
					    &why) != -EFBIG ||
			    !is_explained("file") || count_files("*") != 0)
				_exit(1);
		}
		limit.rlim_cur = FILE_BYTES;
		_exit(setrlimit(RLIMIT_FSIZE, &limit) != 0 ||
		      gsh_file_create("file", FILE_BYTES, 0644, fill_ends, "m", &why) !=
			      0);
	}
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_EQUAL(status, 0);
}

/* In a child with a file system of its own, of 64 KiB. 0: as it should be; 77: cannot try. */
static int try_small_file_system(void)
{
	if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mkdir("small", 0755) != 0 ||
	    mount("tmpfs", "small", "tmpfs", 0, "size=65536") != 0)
		return 77;
	if (gsh_file_create("small/file", FILE_BYTES, 0644, fill_ends, "m", &why) !=
	    -ENOSPC)
		return 1;
	if (!is_explained("small/file") || count_files("*") != 0)
		return 2;
	if (mount("none", "small", NULL, MS_REMOUNT | MS_RDONLY, NULL) != 0)
		return 77;
	return gsh_file_create("small/file", 1, 0644, fill_fails, NULL, &why) == -EROFS
		       ? 0
		       : 3;
}

static void a_full_or_read_only_file_system_is_reported_and_nothing_stays(void)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0)
		_exit(try_small_file_system());
	CU_ASSERT_FATAL(child > 0);
	CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
	CU_ASSERT_FATAL(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		unit_skip("This user may not mount a file system of his own.");
		return;
	}
	CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
}

enum { RACERS = 8, RACES = 40 };

static struct {
	char name[32];
	uint32_t ready, go;
	uint32_t won, lost;
	uint32_t incomplete; /* when somebody had been first, or oneself */
} race;

static void *create_at_once(void *mark)
{
	struct gsh_reason reason;
	int error;

	gsh_add_acq_rel(&race.ready, 1);
	while (!gsh_load_acquire(&race.go))
		sched_yield();
	error = gsh_file_create(race.name, FILE_BYTES, 0644, fill_ends, mark, &reason);
	gsh_add_relaxed(error == 0 ? &race.won : &race.lost,
			error == 0 || error == -EEXIST);
	if (!is_complete(race.name, 'm'))
		gsh_add_relaxed(&race.incomplete, 1);
	return NULL;
}

static void of_many_at_once_one_makes_the_file_and_all_find_it_complete(void)
{
	static char mark[] = "m";
	pthread_t threads[RACERS];

	for (int round = 0; round < RACES; round++) {
		memset(&race, 0, sizeof(race));
		snprintf(race.name, sizeof(race.name), "file%d", round);
		for (int i = 0; i < RACERS; i++)
			CU_ASSERT_EQUAL_FATAL(
				pthread_create(&threads[i], NULL, create_at_once, mark),
				0);
		while (gsh_load_acquire(&race.ready) < RACERS)
			sched_yield();
		gsh_store_release(&race.go, 1);
		for (int i = 0; i < RACERS; i++)
			pthread_join(threads[i], NULL);
		CU_ASSERT_EQUAL(race.won, 1);
		CU_ASSERT_EQUAL(race.lost, RACERS - 1);
		CU_ASSERT_EQUAL(race.incomplete, 0);
	}
	CU_ASSERT_EQUAL(count_files(".*"), 0);
}

static int fill_is_killed(void *data, int fd)
{
	(void)data;
	(void)fd;
	kill(getpid(), SIGKILL);
	return 0;
}

static void who_is_killed_while_he_makes_it_leaves_the_name_free(void)
{
	pid_t child = fork();

	if (child == 0) {
		gsh_file_create("file", FILE_BYTES, 0644, fill_is_killed, NULL, &why);
		_exit(0);
	}
	CU_ASSERT_FATAL(child > 0);
	CU_ASSERT_EQUAL(waitpid(child, NULL, 0), child);
	CU_ASSERT_EQUAL(access("file", F_OK), -1);
	CU_ASSERT_EQUAL(gsh_file_create("file", FILE_BYTES, 0644, fill_ends, "m", &why),
			0);
	CU_ASSERT(is_complete("file", 'm'));
}

/* ---- mounts ---- */

/* In a child with mounts of its own. 0: as it should be; 77: cannot try. */
static int try_mounts(void)
{
	if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return 77;
	if (mkdir("source", 0755) != 0 || mkdir("target", 0755) != 0 ||
	    mkdir("target/below", 0755) != 0 || symlink("target", "link") != 0)
		return 1;
	if (gsh_mount_is_at(in_directory("target")))
		return 2;
	/* Of the same file system, as well as of another one. */
	if (mount("source", "target", NULL, MS_BIND, NULL) != 0)
		return 77;
	if (!gsh_mount_is_at(in_directory("target")))
		return 3;
	if (gsh_mount_is_at(in_directory("link")))
		return 4;
	if (mount("none", "target", "tmpfs", 0, NULL) != 0 ||
	    mkdir("target/inside", 0755) != 0)
		return 77;
	if (!gsh_mount_is_at(in_directory("target")))
		return 5;
	if (gsh_mount_is_at(in_directory("target/inside")) ||
	    gsh_mount_is_at(in_directory("missing")))
		return 6;
	return 0;
}

static void a_directory_is_told_from_one_that_is_mounted(void)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0)
		_exit(try_mounts());
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		unit_skip("This user cannot mount anything.");
		return;
	}
	CU_ASSERT_EQUAL(status, 0);
}

const struct unit_suite unit_suite = {
	.name = "file",
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(a_regular_file_is_opened_close_on_exec),
		UNIT_TEST(what_is_not_there_is_said_with_its_path),
		UNIT_TEST(a_link_is_not_opened_wherever_it_leads),
		UNIT_TEST(what_is_not_a_regular_file_is_refused_and_hangs_nobody),
		UNIT_TEST(a_link_on_the_way_is_followed_only_where_nobody_else_can_write),
		UNIT_TEST(a_directory_of_somebody_else_is_not_trusted),
		UNIT_TEST(names_that_cannot_be_are_refused),
		UNIT_TEST(the_status_of_a_file_is_what_it_is),
		UNIT_TEST(directories_are_made_with_their_mode_whatever_the_umask),
		UNIT_TEST(something_else_in_the_place_of_a_directory_is_refused),
		UNIT_TEST(a_private_directory_is_made_or_taken_if_it_is_ours_alone),
		UNIT_TEST(a_directory_open_to_others_is_not_private),
		UNIT_TEST(a_private_directory_of_somebody_else_is_refused_with_his_id),
		UNIT_TEST(a_link_in_the_place_of_a_private_directory_is_refused),
		UNIT_TEST(a_file_is_made_complete_with_its_mode_and_real_room),
		UNIT_TEST(who_comes_second_leaves_the_first_ones_file_alone),
		UNIT_TEST(what_cannot_be_filled_is_not_made),
		UNIT_TEST(what_is_larger_than_files_may_be_kills_nobody),
		UNIT_TEST(a_full_or_read_only_file_system_is_reported_and_nothing_stays),
		UNIT_TEST(of_many_at_once_one_makes_the_file_and_all_find_it_complete),
		UNIT_TEST(who_is_killed_while_he_makes_it_leaves_the_name_free),
		UNIT_TEST(a_directory_is_told_from_one_that_is_mounted),
	},
};
