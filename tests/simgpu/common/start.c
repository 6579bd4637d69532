/*
 * start.c - starting a device process from within any program.
 *
 * Between clone and exec only system calls are made: the caller may have threads that hold
 * any lock. The child is made by the bare system call, without an exit signal, so that
 * neither fork handlers nor a SIGCHLD handler of the program hear of it.
 */
#include "common/start.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LISTEN_FD = 3, REPORT_FD = 4, FIRST_FREE_FD = 5, SPARE_FD = 16 };

/* ---- where the program lies ---- */

/* The file that this code was loaded from. The loader's own name for it may be relative to
 * a directory that the program has left since. */
static int own_file(char *path, size_t bytes)
{
	static const char deleted[] = " (deleted)";
	FILE *maps = fopen("/proc/self/maps", "re");
	uintptr_t here = (uintptr_t)&own_file, low, high;
	char line[PATH_MAX + 128];
	int res = -ENOENT;

	if (!maps)
		return -errno;
	while (fgets(line, sizeof(line), maps)) {
		char *name = strchr(line, '/');
		size_t length;

		if (!name || sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &low, &high) != 2 ||
		    here < low || here >= high)
			continue;
		length = strcspn(name, "\n");
		/* Replaced by an installation while the program runs: its place is meant. */
		if (length >= sizeof(deleted) &&
		    strncmp(name + length - (sizeof(deleted) - 1), deleted,
			    sizeof(deleted) - 1) == 0)
			length -= sizeof(deleted) - 1;
		if (length < bytes) {
			memcpy(path, name, length);
			path[length] = '\0';
			res = 0;
		}
		break;
	}
	fclose(maps);
	return res;
}

/* Sets program[PATH_MAX] to the absolute path of DIR/name if that can be executed. */
static bool try_program(const char *dir, size_t dir_length, const char *name,
			char *program)
{
	char path[PATH_MAX];
	int length = snprintf(path, sizeof(path), "%.*s/%s", (int)dir_length, dir, name);

	return length > 0 && (size_t)length < sizeof(path) && realpath(path, program) &&
	       access(program, X_OK) == 0;
}

static bool try_beside(const char *file, char *program)
{
	const char *slash = strrchr(file, '/');
	size_t length = slash ? (size_t)(slash - file) : 0;

	return slash &&
	       (try_program(file, length, "simgpud", program) ||
		try_program(file, length, "../sim/simgpud", program) ||
		try_program(file, length, "../lib/gpushim/sim/simgpud", program));
}

static bool try_library_path(char *program)
{
	const char *dir = getenv("LD_LIBRARY_PATH");

	while (dir && *dir) {
		size_t length = strcspn(dir, ":;");

		if (length && try_program(dir, length, "simgpud", program))
			return true;
		dir += length + (dir[length] != '\0');
	}
	return false;
}

static int find_program(char *program, char *why, size_t why_bytes)
{
	const char *named = getenv("SIMGPU_DAEMON");
	char file[PATH_MAX];
	ssize_t length;

	if (named && *named) {
		if (realpath(named, program) && access(program, X_OK) == 0)
			return 0;
		snprintf(why, why_bytes,
			 "SIMGPU_DAEMON=%s is not a program that can be run.", named);
		return -ENOENT;
	}
	if (own_file(file, sizeof(file)) == 0 && try_beside(file, program))
		return 0;
	length = readlink("/proc/self/exe", file, sizeof(file) - 1);
	if (length > 0) {
		file[length] = '\0';
		if (try_beside(file, program))
			return 0;
	}
	if (try_library_path(program))
		return 0;
	snprintf(
		why, why_bytes,
		"The program simgpud was not found beside the simulated libraries nor on "
		"LD_LIBRARY_PATH; name it in SIMGPU_DAEMON.");
	return -ENOENT;
}

/* ---- the new process ---- */

struct start {
	char *const *argv, *const *envp;
	int null_fd, log_fd, listen_fd, report_fd;
	int max_fd; /* no descriptor is above it */
};

/* The environment without what loads libraries into a program: the device is no client. */
static char **clean_environment(void)
{
	static const char *const unwanted[] = { "LD_PRELOAD=", "LD_AUDIT=" };
	size_t n = 0, kept = 0;
	char **envp;

	while (environ && environ[n])
		n++;
	envp = calloc(n + 1, sizeof(*envp));
	for (size_t i = 0; envp && i < n; i++) {
		bool keep = true;

		for (size_t u = 0; u < sizeof(unwanted) / sizeof(unwanted[0]); u++)
			if (strncmp(environ[i], unwanted[u], strlen(unwanted[u])) == 0)
				keep = false;
		if (keep)
			envp[kept++] = environ[i];
	}
	return envp;
}

static pid_t bare_fork(unsigned long exit_signal)
{
	return (pid_t)syscall(SYS_clone, exit_signal, 0ul, 0ul, 0ul, 0ul);
}

static void close_from(int first, int max_fd)
{
#ifdef SYS_close_range
	if (syscall(SYS_close_range, (unsigned)first, ~0u, 0u) == 0)
		return;
#endif
	for (int fd = first; fd <= max_fd; fd++)
		close(fd);
}

/* Puts the descriptors in their places; -1 with errno set when that fails. */
static int place_descriptors(const struct start *s)
{
	int null_fd = fcntl(s->null_fd, F_DUPFD, SPARE_FD);
	int log_fd = fcntl(s->log_fd, F_DUPFD, SPARE_FD);
	int listen_fd = fcntl(s->listen_fd, F_DUPFD, SPARE_FD);
	int report_fd = fcntl(s->report_fd, F_DUPFD, SPARE_FD);

	if (null_fd < 0 || log_fd < 0 || listen_fd < 0 || report_fd < 0)
		return -1;
	if (dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0 || dup2(log_fd, 2) < 0 ||
	    dup2(listen_fd, LISTEN_FD) < 0 || dup2(report_fd, REPORT_FD) < 0)
		return -1;
	return fcntl(REPORT_FD, F_SETFD, FD_CLOEXEC);
}

static void reset_signals(void)
{
	struct sigaction standard = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &standard, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The device serves others too: it is not held to what its starter has set for itself, as
 * far as that can be undone. */
static void lift_limits(void)
{
	static const int limits[] = { RLIMIT_NOFILE, RLIMIT_FSIZE, RLIMIT_CPU, RLIMIT_AS,
				      RLIMIT_DATA };
	struct rlimit limit;

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		if (getrlimit(limits[i], &limit) == 0) {
			limit.rlim_cur = limit.rlim_max;
			setrlimit(limits[i], &limit);
		}
}

/* Past every wrapper of _exit(), some of which write what the program has buffered. */
_Noreturn static void leave(int status)
{
	for (;;)
		syscall(SYS_exit_group, status);
}

/* The middle process: its child is adopted by init when it ends. Only system calls. */
_Noreturn static void become_device(const struct start *s)
{
	int report_fd = s->report_fd, error;
	ssize_t ignored;
	pid_t pid;

	if (setsid() < 0 || (pid = bare_fork(SIGCHLD)) < 0)
		goto fail;
	if (pid > 0)
		leave(0);
	lift_limits();
	if (place_descriptors(s) < 0)
		goto fail;
	report_fd = REPORT_FD;
	close_from(FIRST_FREE_FD, s->max_fd);
	if (chdir("/") < 0)
		goto fail;
	reset_signals();
	execve(s->argv[0], s->argv, s->envp);
fail:
	error = errno;
	ignored = write(report_fd, &error, sizeof(error));
	(void)ignored;
	leave(127);
}

/* Waits until the report's other end is closed: by exec, or with what went wrong. */
static int await_exec(int fd)
{
	int error = 0;
	ssize_t n;

	do
		n = read(fd, &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(error) ? -error : 0;
}

static int run(struct start *s)
{
	struct rlimit limit;
	int report[2] = { -1, -1 }, res;
	sigset_t all, before;
	pid_t pid;

	s->max_fd = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < INT_MAX
			    ? (int)limit.rlim_cur
			    : 65536;
	s->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (s->null_fd < 0)
		return -errno;
	if (pipe2(report, O_CLOEXEC) < 0) {
		res = -errno;
		goto out;
	}
	s->report_fd = report[1];
	/* No handler of the program may run in the child. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = bare_fork(0);
	if (pid == 0)
		become_device(s);
	res = pid < 0 ? -errno : 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(report[1]);
	if (pid > 0) {
		while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
			;
		res = await_exec(report[0]);
	}
	close(report[0]);
out:
	close(s->null_fd);
	return res;
}

int sim_start_device(const char *dir, int listen_fd, int log_fd, char *why,
		     size_t why_bytes)
{
	char program[PATH_MAX];
	char fd_text[] = { '0' + LISTEN_FD, '\0' }, fd_option[] = "--fd",
	     state[] = "--state";
	char *dir_text = strdup(dir);
	char **envp = clean_environment();
	char *argv[] = { program, fd_option, fd_text, state, dir_text, NULL };
	struct start s = { argv, envp, -1, log_fd, listen_fd, -1, 0 };
	int res = -ENOMEM;

	if (!dir_text || !envp) {
		snprintf(why, why_bytes, "No memory to start the simulated device.");
		goto out;
	}
	res = find_program(program, why, why_bytes);
	if (res)
		goto out;
	res = run(&s);
	if (res)
		snprintf(why, why_bytes,
			 "The simulated device %s could not be started: %s.", program,
			 strerror(-res));
out:
	free(envp);
	free(dir_text);
	return res;
}
