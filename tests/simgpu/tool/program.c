/*
 * program.c - `simgpu run` and `simgpu hold`: programs on the simulated driver, and a device
 * that outlives them.
 */
#include "tool/tool.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Sets dir[PATH_MAX] to where the simulated libraries lie, as seen from this program: in a
 * build tree, or installed. */
static bool find_libraries(char *dir)
{
	static const char *const places[] = { "../sim", "../lib/gpushim/sim" };
	char self[PATH_MAX], path[PATH_MAX + 64];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (length <= 0)
		return false;
	self[length] = '\0';
	*strrchr(self, '/') = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s/libcuda.so.1", self, places[i]);
		if (access(path, R_OK) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", self, places[i]);
		return realpath(path, dir) != NULL;
	}
	return false;
}

/* Puts the simulated libraries first on LD_LIBRARY_PATH. */
static int use_libraries(void)
{
	const char *before = getenv("LD_LIBRARY_PATH");
	char dir[PATH_MAX], *path;
	int res;

	if (!find_libraries(dir))
		return tool_fail(
			"The simulated libcuda.so.1 was found neither in ../sim nor in "
			"../lib/gpushim/sim beside this program.");
	if (asprintf(&path, "%s%s%s", dir, before && *before ? ":" : "",
		     before ? before : "") < 0)
		return tool_fail("There is no memory left.");
	res = setenv("LD_LIBRARY_PATH", path, 1);
	free(path);
	return res ? tool_fail("LD_LIBRARY_PATH could not be set: %s.", strerror(errno))
		   : 0;
}

int tool_run(int argc, char **argv)
{
	int first = argc > 1 && strcmp(argv[1], "--") == 0 ? 2 : 1;

	if (first >= argc || argv[1][0] == '\0' || (first == 1 && argv[1][0] == '-'))
		return tool_usage("run");
	if (use_libraries())
		return EXIT_FAILED;
	execvp(argv[first], argv + first);
	return tool_fail("%s could not be run: %s.", argv[first], strerror(errno));
}

/* The device hears of a client's end by the client's socket, at its leisure: wait until it
 * has, so that the books are final. A child that lives on may keep the client alive. */
static struct simgpu_truth *final_books(struct simgpu_monitor *monitor, pid_t pid)
{
	const struct timespec ms = { 0, 1000000 };

	for (int tries = 0;; tries++) {
		struct simgpu_truth *truth = simgpu_truth(monitor);
		const struct simgpu_client *client = truth ? simgpu_find(truth, pid)
							   : NULL;

		if (!client || client->gone || tries == 1000)
			return truth;
		simgpu_free(truth);
		nanosleep(&ms, NULL);
	}
}

static int write_books(struct simgpu_monitor *monitor, const char *file, pid_t pid)
{
	struct simgpu_truth *truth = final_books(monitor, pid);
	int failed;
	FILE *out;

	if (!truth)
		return tool_fail("The device did not tell its books: %s.",
				 strerror(errno));
	out = fopen(file, "we");
	if (!out) {
		simgpu_free(truth);
		return tool_fail("%s could not be written: %s.", file, strerror(errno));
	}
	tool_json(out, truth, sim_monitor_hello(monitor), true);
	simgpu_free(truth);
	failed = ferror(out);
	failed |= fclose(out);
	return failed ? tool_fail("%s could not be written: %s.", file, strerror(errno))
		      : EXIT_OK;
}

/* Starts the program with the signals as they were. Returns its pid, 0 on failure. */
static pid_t start_program(char **argv, const sigset_t *mask)
{
	pid_t pid = fork();

	if (pid == 0) {
		sigprocmask(SIG_SETMASK, mask, NULL);
		if (use_libraries())
			_exit(127);
		execvp(argv[0], argv);
		tool_fail("%s could not be run: %s.", argv[0], strerror(errno));
		_exit(127);
	}
	if (pid < 0)
		tool_fail("%s could not be started: %s.", argv[0], strerror(errno));
	return pid < 0 ? 0 : pid;
}

/* Waits for the program (pid 0: for a signal) and returns its exit status. Signals are
 * passed on, but for the terminal's, which the program has had itself. */
static int attend(struct simgpu_monitor *monitor, int signals, pid_t pid)
{
	struct pollfd fds[] = { { .fd = signals, .events = POLLIN },
				{ .fd = sim_monitor_fd(monitor), .events = 0 } };
	struct signalfd_siginfo info;
	int status;

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return tool_fail("Waiting failed: %s.", strerror(errno));
		if (fds[1].revents) {
			tool_fail("The simulated device has ended.");
			fds[1].fd = -1;
			fds[1].revents = 0;
			if (!pid)
				return EXIT_FAILED;
		}
		if (!(fds[0].revents & POLLIN) ||
		    read(signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
			continue;
		if (info.ssi_signo != SIGCHLD) {
			if (!pid)
				return EXIT_OK;
			if (info.ssi_code != SI_KERNEL)
				kill(pid, (int)info.ssi_signo);
			continue;
		}
		if (pid && waitpid(pid, &status, WNOHANG) == pid)
			return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
						   : WEXITSTATUS(status);
	}
}

int tool_hold(int argc, char **argv)
{
	static const struct option options[] = {
		{ "books", required_argument, NULL, 'b' }, { 0 }
	};
	const char *books = NULL;
	struct simgpu_monitor *monitor;
	sigset_t set, before;
	int option, signals, res;
	pid_t pid = 0;

	while ((option = getopt_long(argc, argv, "+b:", options, NULL)) >= 0) {
		if (option != 'b')
			return tool_usage("hold");
		books = optarg;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &before);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (signals < 0)
		return tool_fail("Signals cannot be watched: %s.", strerror(errno));
	monitor = tool_open(1);
	if (!monitor)
		return EXIT_FAILED;
	if (optind < argc) {
		pid = start_program(argv + optind, &before);
		if (!pid)
			return EXIT_FAILED;
	} else {
		puts("The simulated device is there until this program is interrupted.");
		fflush(stdout);
	}
	res = attend(monitor, signals, pid);
	if (books && write_books(monitor, books, pid) && res == 0)
		res = EXIT_FAILED;
	simgpu_close(monitor);
	return res;
}
