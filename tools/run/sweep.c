/*
 * sweep.c - removes what earlier runs left: tenants called run-..., to which no process
 * belongs any more.
 *
 * A tenant is in use while a slot of its ledger is held, or while any process that can be
 * seen has its name in the environment: a program may not have called CUDA yet. What is in
 * doubt stays. Names that people chose are never swept.
 */
#include "run/run.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/publish.h"
#include "ledger/ledger.h"

enum { TENANTS_MAX = 256, ENVIRONMENT_MAX = 256 * 1024 };

struct sweep {
	int dir; /* DIR/ledger */
	char names[TENANTS_MAX][GPUSHIM_NAME_BYTES];
	size_t count;
	char environment[ENVIRONMENT_MAX];
};

static bool is_held(int dir, const char *tenant)
{
	char path[GPUSHIM_NAME_BYTES + 16];
	bool held = false;
	int fd;

	snprintf(path, sizeof(path), "%.63s/ledger", tenant);
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno != ENOENT;
	for (uint32_t slot = 0; slot < GPUSHIM_SLOTS_MAX && !held; slot++)
		held = gsh_ledger_slot_alive(fd, slot);
	close(fd);
	return held;
}

static void find_candidates(struct sweep *sweep)
{
	int fd = dup(sweep->dir);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	long pid;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while (sweep->count < TENANTS_MAX && (entry = readdir(dir))) {
		if (!gsh_publish_is_run(entry->d_name, &pid) ||
		    is_held(sweep->dir, entry->d_name))
			continue;
		/* The tool itself, before it has become the program. */
		if (pid != getpid() && (kill((pid_t)pid, 0) == 0 || errno != ESRCH))
			continue;
		/* A tenant's name: no longer than there is room. */
		snprintf(sweep->names[sweep->count++], GPUSHIM_NAME_BYTES, "%.*s",
			 (int)GPUSHIM_NAME_BYTES - 1, entry->d_name);
	}
	closedir(dir);
}

/* Takes off the list whoever this process belongs to. */
static void keep_of(struct sweep *sweep, const char *pid)
{
	static const char variable[] = "GPUSHIM_TENANT=";
	char path[64];
	ssize_t bytes;
	int fd;

	snprintf(path, sizeof(path), "/proc/%.20s/environ", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	bytes = read(fd, sweep->environment, sizeof(sweep->environment) - 1);
	close(fd);
	if (bytes <= 0)
		return;
	/* There is more of it: it may be anybody's. */
	if (bytes == sizeof(sweep->environment) - 1)
		sweep->count = 0;
	sweep->environment[bytes] = '\0';
	for (char *p = sweep->environment; p < sweep->environment + bytes;
	     p += strlen(p) + 1) {
		if (strncmp(p, variable, sizeof(variable) - 1) != 0)
			continue;
		for (size_t i = 0; i < sweep->count; i++)
			if (strcmp(sweep->names[i], p + sizeof(variable) - 1) == 0)
				sweep->names[i][0] = '\0';
	}
}

static void keep_used(struct sweep *sweep)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	if (!proc) {
		sweep->count = 0;
		return;
	}
	while ((entry = readdir(proc)))
		if (isdigit((unsigned char)entry->d_name[0]))
			keep_of(sweep, entry->d_name);
	closedir(proc);
}

static void remove_tenant(const char *dir, const char *tenant)
{
	static const char *const files[] = { "policy", "ledger" };
	char path[PATH_MAX + 2 * GPUSHIM_NAME_BYTES];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s/%s/%s", dir, files[i], tenant,
			 files[i]);
		unlink(path);
		*strrchr(path, '/') = '\0';
		/* Stays if there is anything else in it. */
		rmdir(path);
	}
}

void run_sweep(const char *dir)
{
	struct sweep *sweep = calloc(1, sizeof(*sweep));
	char path[PATH_MAX + 16];

	if (!sweep)
		return;
	snprintf(path, sizeof(path), "%s/ledger", dir);
	sweep->dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (sweep->dir >= 0) {
		find_candidates(sweep);
		if (sweep->count)
			keep_used(sweep);
		for (size_t i = 0; i < sweep->count; i++)
			if (sweep->names[i][0])
				remove_tenant(dir, sweep->names[i]);
		close(sweep->dir);
	}
	free(sweep);
}
