/*
 * device_life.c - how a device process starts and ends, and what it refuses to start on.
 *
 * Knows: that there is one device process per state directory, from its first client to its
 * last; the directory's files by name. Each test has a directory of its own.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common_stress.h"
#include "cunit_main.h"

enum { RACERS = 16, ROUNDS = 5 };

static char directory[256];

static void new_directory(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(directory, sizeof(directory), "%s/life.XXXXXX", tmp ? tmp : "/tmp");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
	/* What run.sh looks for are processes of its own state directory; these end here. */
	setenv("SIMGPU_STATE", directory, 1);
}

static const char *in_directory(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static void remove_directory(void)
{
	static const char *const names[] = { "lock", "log", "device.sock", "elsewhere" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(in_directory(names[i]));
	rmdir(directory);
}

/* Device processes that run on our directory. */
static unsigned devices_running(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	unsigned n = 0;

	if (!proc)
		return UINT_MAX;
	while ((entry = readdir(proc)) != NULL) {
		char path[300], text[1024];
		ssize_t got;
		int fd;

		snprintf(path, sizeof(path), "/proc/%s/cmdline", entry->d_name);
		fd = entry->d_name[0] >= '0' && entry->d_name[0] <= '9'
			     ? open(path, O_RDONLY)
			     : -1;
		if (fd < 0)
			continue;
		got = read(fd, text, sizeof(text) - 1);
		close(fd);
		for (ssize_t i = 0; i < got; i++)
			if (text[i] == '\0')
				text[i] = ' ';
		text[got > 0 ? got : 0] = '\0';
		n += strstr(text, "simgpud --fd") != NULL &&
		     strstr(text, directory) != NULL;
	}
	closedir(proc);
	return n;
}

static bool await_devices(unsigned n)
{
	for (unsigned tries = unit_patience_ms(5000); tries > 0; tries--) {
		if (devices_running() == n)
			return true;
		stress_pause_us(1000);
	}
	return false;
}

/* ---- its life ---- */

static int short_client(void *arg)
{
	struct stress_gpu gpu;

	(void)arg;
	return stress_gpu_open(&gpu) || !stress_gpu_works(&gpu, 1);
}

static void the_device_ends_with_its_last_client_and_starts_anew(void)
{
	struct simgpu_monitor *monitor;
	struct simgpu_truth *truth;
	uint64_t started_ns = 0;
	const char *why = NULL;

	for (int i = 0; i < ROUNDS; i++) {
		/* Alternately a program and a monitor are the first. */
		if (i % 2 == 0)
			CU_ASSERT_EQUAL(stress_wait(stress_child(short_client, NULL)), 0);
		CU_ASSERT_TRUE(await_devices(0));
		errno = 0;
		CU_ASSERT_PTR_NULL(simgpu_open(NULL, 0, &why));
		CU_ASSERT_EQUAL(errno, ENOENT);
		monitor = simgpu_open(NULL, 1, &why);
		CU_ASSERT_PTR_NOT_NULL_FATAL(monitor);
		CU_ASSERT_EQUAL(devices_running(), 1);
		truth = stress_truth(monitor);
		CU_ASSERT_TRUE(truth->started_ns > started_ns);
		CU_ASSERT_EQUAL(truth->nclients, 0);
		started_ns = truth->started_ns;
		simgpu_free(truth);
		CU_ASSERT_EQUAL(stress_wait(stress_child(short_client, NULL)), 0);
		simgpu_close(monitor);
		CU_ASSERT_TRUE(await_devices(0));
	}
}

struct race {
	int go, ready, hold;
};

static int racer(void *arg)
{
	const struct race *race = arg;
	struct stress_gpu gpu;
	char byte;

	if (read(race->go, &byte, 1) != 0 || stress_gpu_open(&gpu) ||
	    write(race->ready, "r", 1) != 1)
		return 1;
	return read(race->hold, &byte, 1) != 0;
}

static void sixteen_processes_that_start_at_once_get_one_device(void)
{
	for (int round = 0; round < ROUNDS; round++) {
		int go[2], ready[2], hold[2], got = 0;
		struct simgpu_monitor *monitor;
		struct simgpu_truth *truth;
		struct race race;
		pid_t pids[RACERS];
		char byte;

		if (pipe(go) != 0 || pipe(ready) != 0 || pipe(hold) != 0) {
			CU_FAIL("no pipes");
			return;
		}
		race = (struct race){ go[0], ready[1], hold[0] };
		fcntl(go[1], F_SETFD, FD_CLOEXEC);
		for (int i = 0; i < RACERS; i++) {
			pids[i] = fork();
			if (pids[i] == 0) {
				close(go[1]);
				close(hold[1]);
				close(ready[0]);
				_exit(racer(&race));
			}
		}
		close(ready[1]);
		close(go[1]);
		while (got < RACERS && read(ready[0], &byte, 1) == 1)
			got++;
		CU_ASSERT_EQUAL(got, RACERS);
		CU_ASSERT_EQUAL(devices_running(), 1);
		monitor = stress_monitor();
		truth = stress_truth(monitor);
		CU_ASSERT_EQUAL(stress_clients(truth), RACERS);
		CU_ASSERT_EQUAL(truth->devices[0].contexts, RACERS);
		simgpu_free(truth);
		simgpu_close(monitor);
		close(hold[1]);
		for (int i = 0; i < RACERS; i++)
			CU_ASSERT_EQUAL(stress_wait(pids[i]), 0);
		close(go[0]);
		close(hold[0]);
		close(ready[0]);
		CU_ASSERT_TRUE(await_devices(0));
	}
}

/* Killed anywhere between asking for a device and using it. */
static void a_starter_that_is_killed_leaves_no_device_behind(void)
{
	struct stress_random random = { .state = 7 };

	for (int i = 0; i < 60; i++) {
		pid_t pid = stress_child(short_client, NULL);

		stress_pause_us((unsigned)stress_below(&random, 6000));
		kill(pid, SIGKILL);
		stress_wait(pid);
	}
	CU_ASSERT_TRUE(await_devices(0));
	CU_ASSERT_EQUAL(stress_wait(stress_child(short_client, NULL)), 0);
}

/* ---- what it refuses ---- */

/* cuInit's standard error goes to a pipe; the exit code is its result. */
static int initialise(void *arg)
{
	dup2(*(int *)arg, STDERR_FILENO);
	return (int)cuInit(0);
}

/* Neither the monitor nor a program may start on the directory as it is; both must say why,
 * naming `what`. */
static void is_refused(const char *what)
{
	const char *why = "";
	char text[1024];
	ssize_t got;
	int said[2];

	CU_ASSERT_PTR_NULL(simgpu_open(NULL, 1, &why));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, what));
	CU_ASSERT_EQUAL_FATAL(pipe(said), 0);
	CU_ASSERT_EQUAL(stress_wait(stress_child(initialise, &said[1])),
			CUDA_ERROR_NO_DEVICE);
	close(said[1]);
	got = read(said[0], text, sizeof(text) - 1);
	close(said[0]);
	text[got > 0 ? got : 0] = '\0';
	CU_ASSERT_PTR_NOT_NULL(strstr(text, what));
	if (!strstr(text, what) || !strstr(why, what))
		printf("      said \"%s\" and \"%s\"\n", why, text);
	CU_ASSERT_EQUAL(devices_running(), 0);
}

static void a_state_directory_that_is_a_link_is_refused(void)
{
	char link[300];

	snprintf(link, sizeof(link), "%s.link", directory);
	CU_ASSERT_EQUAL_FATAL(symlink(directory, link), 0);
	setenv("SIMGPU_STATE", link, 1);
	is_refused("links are not followed");
	unlink(link);
}

static void a_state_directory_that_is_a_file_is_refused(void)
{
	char file[512];

	snprintf(file, sizeof(file), "%s", in_directory("elsewhere"));
	close(open(file, O_CREAT | O_WRONLY, 0600));
	setenv("SIMGPU_STATE", file, 1);
	is_refused("not a directory");
}

static void a_state_directory_of_another_user_is_refused(void)
{
	if (geteuid() != 0) {
		unit_skip("only root can give a directory away");
		return;
	}
	CU_ASSERT_EQUAL(chown(directory, 12345, 12345), 0);
	is_refused("belongs to user 12345");
	CU_ASSERT_EQUAL(chown(directory, 0, 0), 0);
}

static void a_lock_or_log_that_is_a_link_is_refused(void)
{
	struct stat st;
	char target[512];

	snprintf(target, sizeof(target), "%s", in_directory("elsewhere"));
	CU_ASSERT_EQUAL_FATAL(symlink(target, in_directory("lock")), 0);
	is_refused("lock");
	unlink(in_directory("lock"));
	CU_ASSERT_EQUAL_FATAL(symlink(target, in_directory("log")), 0);
	is_refused("log");
	/* Nothing was made through them. */
	CU_ASSERT_EQUAL(stat(target, &st), -1);
}

/* The socket of a device that was killed, or anybody's file in its place, is replaced. */
static void what_lies_in_the_sockets_place_is_replaced(void)
{
	close(open(in_directory("device.sock"), O_CREAT | O_WRONLY, 0600));
	CU_ASSERT_EQUAL(stress_wait(stress_child(short_client, NULL)), 0);
	CU_ASSERT_TRUE(await_devices(0));
}

static void a_lock_that_is_held_is_waited_for(void)
{
	int fd = open(in_directory("lock"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	pid_t pid;

	CU_ASSERT_EQUAL_FATAL(flock(fd, LOCK_EX), 0);
	pid = stress_child(short_client, NULL);
	stress_pause_us(100000);
	CU_ASSERT_EQUAL(devices_running(), 0);
	flock(fd, LOCK_UN);
	close(fd);
	CU_ASSERT_EQUAL(stress_wait(pid), 0);
	CU_ASSERT_TRUE(await_devices(0));
}

const struct unit_suite unit_suite = {
	.name = "the life of a device",
	.setup = new_directory,
	.teardown = remove_directory,
	.tests = {
		UNIT_TEST(the_device_ends_with_its_last_client_and_starts_anew),
		UNIT_TEST(sixteen_processes_that_start_at_once_get_one_device),
		UNIT_TEST(a_starter_that_is_killed_leaves_no_device_behind),
		UNIT_TEST(a_state_directory_that_is_a_link_is_refused),
		UNIT_TEST(a_state_directory_that_is_a_file_is_refused),
		UNIT_TEST(a_state_directory_of_another_user_is_refused),
		UNIT_TEST(a_lock_or_log_that_is_a_link_is_refused),
		UNIT_TEST(what_lies_in_the_sockets_place_is_replaced),
		UNIT_TEST(a_lock_that_is_held_is_waited_for),
	},
};
