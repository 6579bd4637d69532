/*
 * doctor.c - gpushim-ctl doctor: whether programs started here would be held to limits.
 *
 * Does not reason about what the library would do: it starts a small program under it, and
 * reports what happened to that.
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The library waits 10 s for a page that is promised; a driver may take some more. */
enum { CHILD_SECONDS = 30, ANSWER_BYTES = 16384, NOT_PERMITTED = 800 };

/* Answers of a child: lines "key<TAB>value", and what it wrote on standard error. */
struct answers {
	char out[ANSWER_BYTES], err[ANSWER_BYTES];
	int status; /* of waitpid */
};

/* The first value of a key, until the next call; NULL: there is none. */
static const char *answer(const struct answers *answers, const char *key)
{
	static char value[1024];
	const char *at = answers->out;
	size_t bytes = strlen(key);

	while (*at) {
		const char *end = at + strcspn(at, "\n");

		if (strncmp(at, key, bytes) == 0 && at[bytes] == '\t') {
			snprintf(value, sizeof(value), "%.*s",
				 (int)(end - at - bytes - 1), at + bytes + 1);
			return value;
		}
		at = *end ? end + 1 : end;
	}
	return NULL;
}

static void print_all(const struct answers *answers, const char *key, const char *label)
{
	const char *at = answers->out;
	size_t bytes = strlen(key);

	for (; *at; at += strcspn(at, "\n") + 1)
		if (strncmp(at, key, bytes) == 0 && at[bytes] == '\t')
			printf("%-10s %.*s\n", label, (int)strcspn(at + bytes + 1, "\n"),
			       at + bytes + 1);
}

/* ---- the child ---- */

static void become_child(const char *library, int out, int err)
{
	char *arguments[] = { (char *)(uintptr_t) "gpushim-ctl",
			      (char *)(uintptr_t) "doctor", (char *)(uintptr_t) "--child",
			      NULL };
	const char *old = getenv("LD_PRELOAD");
	char preload[2 * PATH_MAX];

	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	if (library) {
		snprintf(preload, sizeof(preload), "%s%s%s", library,
			 old && *old ? ":" : "", old ? old : "");
		setenv("LD_PRELOAD", preload, 1);
	}
	execv("/proc/self/exe", arguments);
	_exit(127);
}

/* Reads what there is, at most for so long. */
static void collect(struct pollfd fds[2], struct answers *answers, size_t lengths[2],
		    int patience_ms)
{
	char *texts[2] = { answers->out, answers->err };

	poll(fds, 2, patience_ms);
	for (int i = 0; i < 2; i++) {
		ssize_t got;

		if (fds[i].fd < 0 || !fds[i].revents)
			continue;
		got = read(fds[i].fd, texts[i] + lengths[i],
			   ANSWER_BYTES - 1 - lengths[i]);
		if (got > 0)
			lengths[i] += (size_t)got;
		else if (got == 0 || errno != EINTR)
			fds[i].fd = -1;
	}
}

/* Until the child ends: who was started by it may keep the pipes open. */
static void await(pid_t pid, int out, int err, struct answers *answers)
{
	struct pollfd fds[2] = { { .fd = out, .events = POLLIN },
				 { .fd = err, .events = POLLIN } };
	time_t end = time(NULL) + CHILD_SECONDS;
	size_t lengths[2] = { 0, 0 };

	while (waitpid(pid, &answers->status, WNOHANG) == 0) {
		if (time(NULL) >= end)
			kill(pid, SIGKILL);
		collect(fds, answers, lengths, 50);
	}
	/* What it left in the pipes; a quarter of a pipe is all that is kept. */
	for (int i = 0; i < 8; i++)
		collect(fds, answers, lengths, 0);
}

/* library NULL: as the environment is. 0 or -errno. */
static int ask(const char *library, struct answers *answers)
{
	int out[2], err[2];
	pid_t pid;

	memset(answers, 0, sizeof(*answers));
	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
		return -errno;
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		become_child(library, out[1], err[1]);
	close(out[1]);
	close(err[1]);
	if (pid > 0)
		await(pid, out[0], err[0], answers);
	close(out[0]);
	close(err[0]);
	return pid < 0 ? -errno : 0;
}

/* ---- what is found ---- */

static bool print_driver(const struct answers *bare)
{
	const char *value = answer(bare, "no_driver");

	if (value) {
		printf("driver     NOT FOUND: %s\n", value);
		return false;
	}
	value = answer(bare, "driver");
	printf("driver     %s", value ? value : "?");
	value = answer(bare, "cuda");
	printf(", CUDA %s", value ? value : "?");
	value = answer(bare, "devices");
	if (value)
		printf(", %s device%s\n", value, strcmp(value, "1") ? "s" : "");
	else
		printf(", but cuInit returns %s\n",
		       (value = answer(bare, "init")) ? value : "nothing");
	return true;
}

static void print_nvml(void)
{
	struct gsh_reason why = { "" };
	struct gsh_devices devices;

	if (gsh_devices_list(&devices, &why) < 0) {
		printf("nvml       %s: quotas cannot be checked against devices\n",
		       why.text);
		return;
	}
	printf("nvml       %s, driver %s\n", devices.library,
	       devices.driver[0] ? devices.driver : "?");
	for (size_t i = 0; i < devices.count; i++)
		printf("           %s: %s, %s\n", ctl_uuid(devices.devices[i].uuid),
		       devices.names[i], ctl_bytes(devices.devices[i].total_bytes));
}

/* libgpushim.so beside this tool, built or installed. */
static bool find_library(char path[PATH_MAX])
{
	static const char *const places[] = { "../lib", "../lib/gpushim" };
	char self[PATH_MAX], candidate[PATH_MAX + 64];
	ssize_t count = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (count <= 0)
		return false;
	self[count] = '\0';
	*strrchr(self, '/') = '\0';
	for (int i = 0; i < 2; i++) {
		snprintf(candidate, sizeof(candidate), "%s/%s/libgpushim.so", self,
			 places[i]);
		if (realpath(candidate, path))
			return true;
	}
	return false;
}

static bool is_ours(const char *path)
{
	const char *name = path ? strrchr(path, '/') : NULL;

	return name && strncmp(name, "/libgpushim.so", 14) == 0;
}

/* A name that is spelt wrongly would limit nothing, and nobody would say so. */
static void print_unknown(const char *const *names, size_t count)
{
	for (char **entry = environ; *entry; entry++) {
		size_t length = strcspn(*entry, "=");
		bool known = strncmp(*entry, "GPUSHIM_", 8) != 0;

		for (size_t i = 0; i < count && !known; i++)
			known = strlen(names[i]) == length &&
				strncmp(*entry, names[i], length) == 0;
		if (!known)
			printf("           %.*s is no variable of gpushim, and does nothing\n",
			       (int)length, *entry);
	}
}

/* Whether this environment already loads the library into what is started here. */
static void print_environment(const struct answers *bare)
{
	static const char *const names[] = {
		"LD_PRELOAD",
		"GPUSHIM_DIR",
		"GPUSHIM_TENANT",
		"GPUSHIM_LIMITS",
		"GPUSHIM_MEMORY",
		"GPUSHIM_COMPUTE",
		"GPUSHIM_PRIORITY",
		"GPUSHIM_VIEW",
		"GPUSHIM_CONTEXT_MEMORY",
		"GPUSHIM_ON_ERROR",
		"GPUSHIM_WAIT_MS",
		"GPUSHIM_DEEPBIND",
		"CUDA_DEVICE_MEMORY_LIMIT",
		"CUDA_DEVICE_MEMORY_LIMIT_0",
		"CUDA_DEVICE_SM_LIMIT",
		"CUDA_DEVICE_SM_LIMIT_0",
		"GPU_CORE_UTILIZATION_POLICY",
		"CUDA_DEVICE_MEMORY_SHARED_CACHE",
		"NVIDIA_GPU_MEMORY_LIMIT",
		"CUDA_VISIBLE_DEVICES",
	};
	const char *preload = getenv("LD_PRELOAD");

	/* Without a driver nothing answers, but the list says so too. */
	printf("here       programs started as things are %s\n",
	       is_ours(answer(bare, "answered_by")) ||
			       (preload && strstr(preload, "libgpushim.so"))
		       ? "have the library already"
		       : "do NOT have the library: use gpushim-run, or set LD_PRELOAD");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (getenv(names[i]))
			printf("           %s=%s\n", names[i], getenv(names[i]));
	print_unknown(names, sizeof(names) / sizeof(names[0]));
}

static bool print_preload(const struct answers *held, const char *library)
{
	const char *by = answer(held, "answered_by");

	if (is_ours(by)) {
		printf("preload    effective: cuInit is answered by %s\n", by);
		return true;
	}
	printf("preload    NOT EFFECTIVE: cuInit is answered by %s, not by %s\n",
	       by ? by : "nobody", library);
	if (held->err[0])
		printf("           %s", held->err);
	return false;
}

static bool print_limits(const struct answers *held)
{
	const char *init = answer(held, "init");

	if (!init) {
		printf("limits     UNKNOWN: the program ended before CUDA had started\n");
		fputs(held->err, stdout);
		return false;
	}
	if (atoi(init) == NOT_PERMITTED) {
		printf("limits     CLOSED: no program may use the GPU here\n           %s",
		       held->err);
		return false;
	}
	if (atoi(init) != 0) {
		printf("limits     UNKNOWN: cuInit returns %s\n%s", init, held->err);
		return false;
	}
	if (!answer(held, "ledger")) {
		printf("limits     NONE: nothing is configured here, so programs are not held to "
		       "anything\n");
		return true;
	}
	print_all(held, "tenant", "tenant");
	print_all(held, "ledger", "ledger");
	print_all(held, "limit", "limit");
	print_all(held, "shown_total", "shown");
	return true;
}

static int examine(void)
{
	char library[PATH_MAX];
	static struct answers bare, held;
	bool good;

	if (ask(NULL, &bare) < 0)
		return ctl_fail("No program can be started: %s.", strerror(errno));
	good = print_driver(&bare);
	print_nvml();
	print_environment(&bare);
	if (!find_library(library)) {
		puts("library    NOT FOUND: neither ../lib nor ../lib/gpushim beside this tool "
		     "has libgpushim.so");
		return EXIT_REFUSED;
	}
	printf("library    %s\n", library);
	if (good) {
		if (ask(library, &held) < 0)
			return ctl_fail("No program can be started: %s.",
					strerror(errno));
		good = print_preload(&held, library) && print_limits(&held);
	}
	ctl_skipped_summary();
	return good ? EXIT_OK : EXIT_REFUSED;
}

/* For the program that is started, as gpushim-run does: the library takes no relative one. */
static int set_dir(const char *given)
{
	char here[PATH_MAX], dir[2 * PATH_MAX];

	if (given[0] == '/' || !*given)
		snprintf(dir, sizeof(dir), "%s", given);
	else if (getcwd(here, sizeof(here)))
		snprintf(dir, sizeof(dir), "%s/%s", here, given);
	else
		return ctl_fail("The current directory has no name: %s.",
				strerror(errno));
	return setenv("GPUSHIM_DIR", dir, 1) < 0 ? ctl_fail("There is no memory.")
						 : EXIT_OK;
}

int ctl_doctor(int argc, char **argv)
{
	static const struct option options[] = { { "skipped", no_argument, NULL, 's' },
						 { "child", no_argument, NULL, 'c' },
						 { "dir", required_argument, NULL, 'd' },
						 { 0 } };
	int option;

	while ((option = getopt_long(argc, argv, "d:", options, NULL)) != -1) {
		switch (option) {
		case 's':
			ctl_skipped_list();
			return EXIT_OK;
		case 'c':
			return ctl_doctor_child();
		case 'd':
			if (set_dir(optarg) != EXIT_OK)
				return EXIT_REFUSED;
			break;
		default:
			return ctl_misused(argv[0],
					   "Its options are --skipped and --dir.");
		}
	}
	if (optind != argc)
		return ctl_misused(argv[0], "It takes no arguments.");
	return examine();
}
