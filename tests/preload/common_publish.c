/* Policies and ledgers of a test's tenants; see common_publish.h. */
#include "common_publish.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../tools/common/publish.h"

bool tenant_publish(const char *dir, const char *tenant, uint64_t memory_bytes)
{
	struct gpushim_policy_limits limits = {
		.source = "a test",
		.others = { .memory_bytes = memory_bytes, .limit_permille = 1000 },
	};
	struct gsh_reason why;

	snprintf(limits.tenant, sizeof(limits.tenant), "%s", tenant);
	if (gsh_publish(dir, &limits, &why) == 0)
		return true;
	printf("not published: %s\n", why.text);
	return false;
}

static const struct gpushim_snapshot *take(struct gpushim_reader *reader, int err)
{
	static struct gpushim_snapshot snapshot;

	if (err == 0)
		err = gpushim_reader_snapshot(reader, &snapshot);
	gpushim_reader_close(reader);
	if (err == 0)
		return &snapshot;
	printf("no snapshot: %s\n", gpushim_reader_reason());
	return NULL;
}

const struct gpushim_snapshot *tenant_snapshot(const char *dir, const char *tenant)
{
	struct gpushim_reader *reader = NULL;
	int err = gpushim_reader_open(&reader, dir, tenant);

	return take(reader, err);
}

const struct gpushim_snapshot *tenant_snapshot_of(const char *ledger)
{
	struct gpushim_reader *reader = NULL;
	int err = gpushim_reader_open_files(&reader, ledger, NULL);

	return take(reader, err);
}

uint64_t tenant_charged(const char *dir, const char *tenant)
{
	const struct gpushim_snapshot *snapshot = tenant_snapshot(dir, tenant);

	if (!snapshot)
		return UINT64_MAX;
	return snapshot->devices_count ? snapshot->devices[0].charged_bytes : 0;
}

void tenant_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	if (!file || fputs(text, file) < 0 || fclose(file) != 0) {
		perror(path);
		abort();
	}
}

static bool make_mounts(void)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", "/run", "tmpfs", 0, "mode=0755") == 0;
}

bool tenant_can_mount(void)
{
	int status = 1;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
		_exit(!make_mounts());
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status == 0;
}

void tenant_private_mounts(void)
{
	if (!make_mounts()) {
		perror("private mounts");
		_exit(3);
	}
}

static void bind(const char *from, const char *to, bool read_only)
{
	if (mount(from, to, NULL, MS_BIND, NULL) == 0 &&
	    (!read_only ||
	     mount("none", to, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0))
		return;
	perror(to);
	_exit(3);
}

void tenant_become_container(const char *tenant, uint64_t memory_bytes)
{
	char path[256];

	tenant_private_mounts();
	if (!tenant_publish("/run/node", tenant, memory_bytes))
		_exit(3);
	mkdir("/run/gpushim", 0755);
	mkdir("/run/gpushim/policy", 0755);
	mkdir("/run/gpushim/ledger", 0755);
	snprintf(path, sizeof(path), "/run/node/policy/%s", tenant);
	bind(path, "/run/gpushim/policy", true);
	snprintf(path, sizeof(path), "/run/node/ledger/%s", tenant);
	bind(path, "/run/gpushim/ledger", false);
}
