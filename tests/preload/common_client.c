/* Small programs run as clients of the driver; see common_client.h. */
#include "common_client.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common_tenant.h"
#include "cunit_main.h"

enum { LIST_MAX = 4 * PATH_MAX };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INSTRUMENTED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define INSTRUMENTED 1
#endif
#endif

bool client_plain(void)
{
#ifdef INSTRUMENTED
	unit_skip("The clients are plain programs, and the driver is instrumented.");
	return false;
#else
	return true;
#endif
}

static const char *build(void)
{
	const char *directory = getenv("BUILD");

	return directory ? directory : "build";
}

const char *client_part(const char *part)
{
	static char paths[5][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % 5];

	snprintf(path, PATH_MAX, "%s/tests/preload/parts/%s", build(), part);
	return path;
}

static void set(const char *variable)
{
	char name[64];
	size_t length = strcspn(variable, "=");

	snprintf(name, sizeof(name), "%.*s", (int)length, variable);
	setenv(name, variable + length + 1, 1);
}

static void set_preload(const struct client *client)
{
	static char list[LIST_MAX];

	list[0] = '\0';
	if (client->before)
		snprintf(list, sizeof(list), "%s:", client_part(client->before));
	if (!client->bare)
		snprintf(list + strlen(list), sizeof(list) - strlen(list),
			 "%s/lib/libgpushim.so:", build());
	if (client->after)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s",
			 client_part(client->after));
	if (list[0])
		setenv("LD_PRELOAD", list, 1);
}

static void run_child(const struct client *client, const int outputs[2])
{
	const char *program = client->arguments[0] ? client->arguments[0] : "";
	char *arguments[9] = { NULL };

	for (int i = 0; i < 8 && client->arguments[i]; i++)
		arguments[i] = (char *)(size_t)client->arguments[i];
	dup2(outputs[0], 1);
	dup2(outputs[1], 2);
	setenv("GPUSHIM_DIR", tenant_dir(), 1);
	setenv("GPUSHIM_WAIT_MS", "0", 1);
	for (int i = 0; i < 6 && client->variables[i]; i++)
		set(client->variables[i]);
	set_preload(client);
	execv(strchr(program, '/') ? program : client_part(program), arguments);
	perror(program);
	_exit(127);
}

static void read_back(int fd, char *text, size_t bytes)
{
	ssize_t got = pread(fd, text, bytes - 1, 0);

	text[got > 0 ? got : 0] = '\0';
	close(fd);
}

void client_run(const struct client *client, struct client_run *run)
{
	int outputs[2] = { memfd_create("out", MFD_CLOEXEC),
			   memfd_create("err", MFD_CLOEXEC) };
	pid_t pid;

	/* The device lives from before the client until the end of the test. */
	tenant_device_used();
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		run_child(client, outputs);
	if (pid < 0 || waitpid(pid, &run->status, 0) != pid)
		run->status = -1;
	read_back(outputs[0], run->out, sizeof(run->out));
	read_back(outputs[1], run->err, sizeof(run->err));
}

int client_calls(const struct client_run *run, const char *symbol)
{
	const char *line = run->err;
	char name[128];
	int calls = 0, pid;

	while (line) {
		if (sscanf(line, "simgpu: %d %127s", &pid, name) == 2)
			calls += strcmp(name, symbol) == 0;
		line = strchr(line, '\n');
		line += line != NULL;
	}
	return calls;
}

bool client_check(const struct client_run *run, bool held)
{
	if (!held)
		printf("status %#x\n--- output\n%s--- errors\n%s---\n",
		       (unsigned)run->status, run->out, run->err);
	return held;
}
