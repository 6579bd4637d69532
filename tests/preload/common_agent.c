/* gpushim-agent in the directory of a test; see common_agent.h. */
#include "common_agent.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common_tenant.h"
#include "cunit_main.h"
#include "gpushim/policy.h"

enum { AGENTS_MAX = 8, PATIENCE_MS = 20000, NOTICES_MAX = 1 << 16 };

static pid_t running[AGENTS_MAX];
static char log_path[PATH_MAX], log_text[1 << 20], output[1 << 16];
static char notices[NOTICES_MAX];
static int manager_fd = -1;

static const char *build(void)
{
	const char *given = getenv("BUILD");

	return given ? given : "build";
}

const char *agent_path(const char *format, ...)
{
	static char paths[8][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % 8];
	int begun = snprintf(path, PATH_MAX, "%s/", tenant_dir());
	va_list args;

	va_start(args, format);
	vsnprintf(path + begun, (size_t)(PATH_MAX - begun), format, args);
	va_end(args);
	return path;
}

const char *agent_limits(const char *tenants)
{
	const char *path = agent_path("limits.json");
	FILE *file = fopen(path, "w");

	if (!file ||
	    fprintf(file, "{\"version\": 1, \"tenants\": {\n%s}}\n", tenants) < 0 ||
	    fclose(file) != 0)
		abort();
	return path;
}

void agent_tenant_comes(const char *name)
{
	if (mkdir(agent_path("ledger/%s", name), 0755) < 0) {
		perror(name);
		abort();
	}
}

/* ---- waiting ---- */

bool agent_wait(bool (*holds)(const void *data), const void *data)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	struct timespec begun, now;

	clock_gettime(CLOCK_MONOTONIC, &begun);
	for (;;) {
		if (holds(data))
			return true;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if ((now.tv_sec - begun.tv_sec) * 1000 >
		    (long)unit_patience_ms(PATIENCE_MS))
			return false;
		nanosleep(&pause, NULL);
	}
}

/* ---- the manager ---- */

static void open_manager(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (manager_fd >= 0)
		close(manager_fd);
	notices[0] = '\0';
	manager_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* An abstract name of our own, which the kernel chooses. */
	if (manager_fd < 0 ||
	    bind(manager_fd, (struct sockaddr *)&address, sizeof(address.sun_family)) < 0)
		abort();
}

static void manager_name(char *name, size_t bytes)
{
	struct sockaddr_un address;
	socklen_t length = sizeof(address);

	getsockname(manager_fd, (struct sockaddr *)&address, &length);
	snprintf(name, bytes, "@%.*s",
		 (int)(length - offsetof(struct sockaddr_un, sun_path) - 1),
		 address.sun_path + 1);
}

static bool is_notified(const void *text)
{
	size_t filled = strlen(notices);
	ssize_t got;

	while ((got = recv(manager_fd, notices + filled, sizeof(notices) - filled - 2,
			   0)) > 0) {
		filled += (size_t)got;
		notices[filled++] = '\n';
		notices[filled] = '\0';
	}
	return strstr(notices, text);
}

bool agent_notified(const char *text)
{
	return agent_wait(is_notified, text);
}

bool agent_was_notified(const char *text)
{
	return is_notified(text);
}

/* ---- the daemon ---- */

static void exec_agent(const char *words)
{
	char command[8192], name[128];
	int fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	manager_name(name, sizeof(name));
	snprintf(command, sizeof(command), "exec %s/bin/gpushim-agent --dir %s %s%s",
		 build(), tenant_dir(), strstr(words, "--listen") ? "" : "--listen none ",
		 words);
	dup2(fd, 2);
	setenv("NOTIFY_SOCKET", name, 1);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

static pid_t start(const char *words)
{
	static unsigned count;
	pid_t pid;

	snprintf(log_path, sizeof(log_path), "%s", agent_path("agent-%u.log", count++));
	/* Before it asks which devices there are: for the test they stay the same. */
	tenant_device_used();
	open_manager();
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		exec_agent(words);
	for (int i = 0; i < AGENTS_MAX; i++)
		if (running[i] == 0) {
			running[i] = pid;
			return pid;
		}
	abort();
}

static void forget(pid_t pid)
{
	for (int i = 0; i < AGENTS_MAX; i++)
		if (running[i] == pid)
			running[i] = 0;
}

static bool is_ready_or_dead(const void *data)
{
	siginfo_t info = { 0 };

	return is_notified("READY=1") ||
	       (waitid(P_PID, (id_t) * (const pid_t *)data, &info,
		       WEXITED | WNOHANG | WNOWAIT) == 0 &&
		info.si_pid != 0);
}

pid_t agent_start(const char *words)
{
	pid_t pid = start(words);

	if (agent_wait(is_ready_or_dead, &pid) && is_notified("READY=1"))
		return pid;
	printf("the agent did not start:\n%s", agent_log_text());
	agent_end(pid, SIGKILL);
	return 0;
}

int agent_end(pid_t pid, int signal)
{
	int status = -1;

	if (pid <= 0)
		return -1;
	kill(pid, signal);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	forget(pid);
	return status;
}

int agent_refused(const char *words)
{
	pid_t pid = start(words);
	bool ready = !agent_wait(is_ready_or_dead, &pid) || is_notified("READY=1");
	int status = agent_end(pid, ready ? SIGKILL : 0);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void agent_forget(void)
{
	for (int i = 0; i < AGENTS_MAX; i++)
		if (running[i] > 0)
			agent_end(running[i], SIGKILL);
	if (manager_fd >= 0)
		close(manager_fd);
	manager_fd = -1;
}

const char *agent_log_text(void)
{
	int fd = open(log_path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? 0 : read(fd, log_text, sizeof(log_text) - 1);

	log_text[got > 0 ? got : 0] = '\0';
	if (fd >= 0)
		close(fd);
	return log_text;
}

int agent_said_times(const char *text)
{
	const char *at = agent_log_text();
	int found = 0;

	for (; (at = strstr(at, text)); at++)
		found++;
	return found;
}

static bool has_said(const void *text)
{
	return agent_said_times(text) > 0;
}

bool agent_says(const char *text)
{
	if (agent_wait(has_said, text))
		return true;
	printf("wanted  %s\ngot     %s\n", text, agent_log_text());
	return false;
}

/* ---- what it does ---- */

static bool read_page(const char *tenant, struct gpushim_policy_page *page)
{
	int fd = open(agent_path("policy/%s/policy", tenant), O_RDONLY | O_CLOEXEC);
	bool whole = fd >= 0 && pread(fd, page, sizeof(*page), 0) == sizeof(*page);

	if (fd >= 0)
		close(fd);
	return whole;
}

uint64_t agent_heartbeat(const char *tenant)
{
	struct gpushim_policy_page page;

	return read_page(tenant, &page) ? page.heartbeat : 0;
}

struct quota {
	const char *tenant;
	uint64_t bytes;
};

static bool has_quota(const void *data)
{
	const struct quota *quota = data;
	struct gpushim_policy_page page;
	const struct gpushim_policy_limits *limits;

	if (!read_page(quota->tenant, &page))
		return false;
	limits = &page.limits[page.generation & 1];
	return !(limits->flags & GPUSHIM_POLICY_CLOSED) &&
	       limits->others.memory_bytes == quota->bytes;
}

bool agent_has_memory(const char *tenant, uint64_t memory_bytes)
{
	const struct quota quota = { tenant, memory_bytes };

	return agent_wait(has_quota, &quota);
}

struct beats {
	const char *tenant;
	uint64_t until;
};

static bool has_beaten(const void *data)
{
	const struct beats *beats = data;

	return agent_heartbeat(beats->tenant) >= beats->until;
}

bool agent_beats(const char *tenant, unsigned count)
{
	const struct beats beats = { tenant, agent_heartbeat(tenant) + count };

	return agent_wait(has_beaten, &beats);
}

bool agent_exists(const char *path)
{
	struct stat status;

	return lstat(path, &status) == 0;
}

static bool is_gone(const void *path)
{
	return !agent_exists(path);
}

bool agent_gone(const char *path)
{
	return agent_wait(is_gone, path);
}

/* ---- HTTP ---- */

int agent_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -errno;
}

const char *agent_get(const char *url, const char *header)
{
	static char response[4 << 20];
	int fd = agent_connect(agent_path("metrics.sock"));
	size_t filled = 0;
	ssize_t got;

	response[0] = '\0';
	if (fd < 0)
		return response;
	dprintf(fd, "GET %s HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n%s\r\n", url,
		header);
	while (filled < sizeof(response) - 1 &&
	       (got = recv(fd, response + filled, sizeof(response) - 1 - filled, 0)) > 0)
		filled += (size_t)got;
	response[filled] = '\0';
	close(fd);
	return response;
}

double agent_metric(const char *sample)
{
	const char *text = agent_get("/metrics", ""), *at = text;
	size_t length = strlen(sample);

	for (; (at = strstr(at, sample)); at++)
		if (at > text && at[-1] == '\n' && at[length] == ' ')
			return strtod(at + length, NULL);
	return -1;
}

/* ---- tools ---- */

int agent_tool(const char *format, ...)
{
	char command[8192], words[4096];
	size_t bytes;
	va_list args;
	FILE *pipe;
	int status;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	snprintf(command, sizeof(command),
		 "GPUSHIM_DIR=%s GPUSHIM_WAIT_MS=0 %s/bin/%s 2>&1", tenant_dir(), build(),
		 words);
	pipe = popen(command, "r");
	if (!pipe)
		abort();
	bytes = fread(output, 1, sizeof(output) - 1, pipe);
	output[bytes] = '\0';
	status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

const char *agent_output(void)
{
	return output;
}

bool agent_said(const char *text)
{
	if (strstr(output, text))
		return true;
	printf("wanted  %s\ngot     %s\n", text, output);
	return false;
}
