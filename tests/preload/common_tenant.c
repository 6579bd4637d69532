/* Bodies of tests in processes of their own, under the shim; see common_tenant.h. */
#include "common_tenant.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "simgpu.h"

enum { MEET_FD = 198, CHILDREN_MAX = 64, ENVIRONMENT_MAX = 256, STDERR_MAX = 65536 };

/* Where the shim is linked into the test, as under a sanitizer, it is not preloaded. */
extern int gsh_process_start(void) __attribute__((weak));

/* From the linker; weak, as a program may have no bodies. */
extern const struct tenant_body __start_tenant_bodies[] __attribute__((weak));
extern const struct tenant_body __stop_tenant_bodies[] __attribute__((weak));

static int body_failures;

/* ---- in the body ---- */

bool tenant_check(bool held, const char *file, int line, const char *text)
{
	if (!held) {
		fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, text);
		body_failures++;
	}
	return held;
}

bool tenant_check_result(int got, int expected, const char *file, int line,
			 const char *text)
{
	if (got != expected) {
		fprintf(stderr, "%s:%d: %s is %d, not %d\n", file, line, text, got,
			expected);
		body_failures++;
	}
	return got == expected;
}

CUdevice tenant_context(void)
{
	CUdevice device = 0;
	CUcontext context = NULL;
	CUresult result = cuInit(0);

	if (result == CUDA_SUCCESS)
		result = cuDeviceGet(&device, 0);
	if (result == CUDA_SUCCESS)
		result = cuDevicePrimaryCtxRetain(&context, device);
	if (result == CUDA_SUCCESS)
		result = cuCtxSetCurrent(context);
	if (result != CUDA_SUCCESS) {
		fprintf(stderr, "no context: error %d\n", (int)result);
		_exit(1);
	}
	return device;
}

void tenant_meet(void)
{
	char byte = 'm';

	if (write(MEET_FD, &byte, 1) != 1 || read(MEET_FD, &byte, 1) != 1)
		_exit(3);
}

/* Before main(): a body's process never becomes the test program. */
static void __attribute__((constructor)) maybe_run_body(int argc, char **argv)
{
	if (argc != 3 || strcmp(argv[1], "--body") != 0)
		return;
	for (const struct tenant_body *body = __start_tenant_bodies;
	     body < __stop_tenant_bodies; body++)
		if (strcmp(body->name, argv[2]) == 0) {
			body->run();
			fflush(NULL);
			exit(body_failures ? 1 : 0);
		}
	fprintf(stderr, "there is no body '%s'\n", argv[2]);
	exit(2);
}

/* ---- in the test ---- */

static struct {
	pid_t pid;
	int meet_fd, stderr_fd;
} children[CHILDREN_MAX];
static char directory[PATH_MAX], device_state[PATH_MAX + 8];
static char stderr_text[STDERR_MAX];
static struct simgpu_monitor *monitor;

const char *tenant_dir(void)
{
	const char *base = getenv("TMPDIR");

	if (directory[0])
		return directory;
	snprintf(directory, sizeof(directory), "%s/tenant-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(directory)) {
		perror("mkdtemp");
		abort();
	}
	snprintf(device_state, sizeof(device_state), "%s/sim", directory);
	if (mkdir(device_state, 0700) < 0 || setenv("SIMGPU_STATE", device_state, 1) < 0)
		abort();
	return directory;
}

void tenant_forget(void)
{
	simgpu_close(monitor);
	monitor = NULL;
	directory[0] = '\0';
}

static size_t set_variable(char **environment, size_t count, char *variable)
{
	size_t name = strcspn(variable, "=");

	for (size_t i = 0; i < count; i++)
		if (strncmp(environment[i], variable, name) == 0 &&
		    environment[i][name] == '=') {
			environment[i] = environment[--count];
			break;
		}
	if (variable[name] == '=' && count < ENVIRONMENT_MAX)
		environment[count++] = variable;
	return count;
}

static void exec_body(const char *body, bool shim, va_list variables)
{
	char *environment[ENVIRONMENT_MAX + 1], dir[PATH_MAX + 32],
		preload[PATH_MAX + 32];
	char *arguments[] = { (char *)(uintptr_t) "body", (char *)(uintptr_t) "--body",
			      (char *)(uintptr_t)body, NULL };
	size_t count = 0;
	char *variable;

	for (char **e = environ; *e && count < ENVIRONMENT_MAX; e++)
		environment[count++] = *e;
	if (shim) {
		snprintf(dir, sizeof(dir), "GPUSHIM_DIR=%s", directory);
		snprintf(preload, sizeof(preload), "LD_PRELOAD=%s/lib/libgpushim.so",
			 getenv("BUILD") ? getenv("BUILD") : "build");
		count = set_variable(environment, count, dir);
		if (!gsh_process_start)
			count = set_variable(environment, count, preload);
		count = set_variable(environment, count,
				     (char *)(uintptr_t) "GPUSHIM_WAIT_MS=0");
	}
	while ((variable = va_arg(variables, char *))) {
		shim &= strcmp(variable, "LD_PRELOAD") != 0;
		count = set_variable(environment, count, variable);
	}
	/* Linked into the test, the shim is absent only if nothing is configured. */
	for (size_t i = 0; gsh_process_start && !shim && i < count;)
		if (strncmp(environment[i], "GPUSHIM_", strlen("GPUSHIM_")) == 0)
			environment[i] = environment[--count];
		else
			i++;
	environment[count] = NULL;
	execve("/proc/self/exe", arguments, environment);
	perror("exec");
	_exit(127);
}

static pid_t start(const char *body, bool shim, va_list variables)
{
	int pair[2], errors = memfd_create("stderr", MFD_CLOEXEC), slot = 0;
	pid_t pid;

	while (slot < CHILDREN_MAX && children[slot].pid)
		slot++;
	if (slot == CHILDREN_MAX || errors < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	/* Also keeps the device alive from before the body until tenant_forget(). */
	tenant_device_used();
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		dup2(errors, 2);
		dup2(pair[1], MEET_FD);
		exec_body(body, shim, variables);
	}
	close(pair[1]);
	children[slot].pid = pid;
	children[slot].meet_fd = pair[0];
	children[slot].stderr_fd = errors;
	return pid;
}

static int child(pid_t pid)
{
	for (int i = 0; i < CHILDREN_MAX; i++)
		if (children[i].pid == pid)
			return i;
	abort();
}

pid_t tenant_start(const char *body, ...)
{
	va_list variables;
	pid_t pid;

	va_start(variables, body);
	pid = start(body, true, variables);
	va_end(variables);
	return pid;
}

bool tenant_ends(pid_t pid)
{
	int i = child(pid), status = 0;
	ssize_t got;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	got = pread(children[i].stderr_fd, stderr_text, sizeof(stderr_text) - 1, 0);
	stderr_text[got > 0 ? got : 0] = '\0';
	close(children[i].stderr_fd);
	close(children[i].meet_fd);
	children[i].pid = 0;
	if (status != 0) {
		if (WIFSIGNALED(status))
			printf("a body died of signal %d\n", WTERMSIG(status));
		fputs(stderr_text, stdout);
	}
	return status == 0;
}

void tenant_discard(pid_t pid)
{
	int i = child(pid);

	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(children[i].stderr_fd);
	close(children[i].meet_fd);
	children[i].pid = 0;
}

bool tenant_passes(const char *body, ...)
{
	va_list variables;
	pid_t pid;

	va_start(variables, body);
	pid = start(body, true, variables);
	va_end(variables);
	return tenant_ends(pid);
}

bool tenant_passes_bare(const char *body, ...)
{
	va_list variables;
	pid_t pid;

	va_start(variables, body);
	pid = start(body, false, variables);
	va_end(variables);
	return tenant_ends(pid);
}

bool tenant_met(pid_t pid)
{
	char byte;

	return read(children[child(pid)].meet_fd, &byte, 1) == 1;
}

void tenant_go(pid_t pid)
{
	if (write(children[child(pid)].meet_fd, "g", 1) != 1)
		perror("tenant_go");
}

const char *tenant_stderr(void)
{
	return stderr_text;
}

/* ---- the device's own words ---- */

static uint64_t device_word(size_t offset)
{
	struct simgpu_truth *truth;
	const char *why = "";
	uint64_t value;

	tenant_dir();
	if (!monitor)
		monitor = simgpu_open(device_state, 1, &why);
	truth = monitor ? simgpu_truth(monitor) : NULL;
	if (!truth) {
		printf("the device does not answer: %s\n", why);
		return UINT64_MAX;
	}
	memcpy(&value, (const char *)&truth->devices[0] + offset, sizeof(value));
	simgpu_free(truth);
	return value;
}

uint64_t tenant_device_requested(void)
{
	return device_word(offsetof(struct simgpu_device, requested_bytes));
}

uint64_t tenant_device_used(void)
{
	return device_word(offsetof(struct simgpu_device, used_bytes));
}

uint64_t tenant_device_requested_peak(void)
{
	return device_word(offsetof(struct simgpu_device, requested_peak_bytes));
}
