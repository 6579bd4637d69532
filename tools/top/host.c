/*
 * host.c - what this machine's /proc says of the processes of tenants; see host.h.
 */
#include "top/host.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Those that could not be found are looked for again, since they may be new. */
#define RETRY_NS UINT64_C(10000000000)

static uint64_t inode_of(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 ? status.st_ino : 0;
}

void top_hosts_init(struct top_hosts *hosts)
{
	memset(hosts, 0, sizeof(*hosts));
	hosts->own_namespace = inode_of("/proc/self/ns/pid");
}

void top_hosts_free(struct top_hosts *hosts)
{
	free(hosts->pids);
	hosts->pids = NULL;
}

void top_host_list_free(struct top_host_list *list)
{
	free(list->hosts);
	free(list->keys);
	memset(list, 0, sizeof(*list));
}

/* The start of a file, ended by NUL. Returns how much; 0: nothing can be read. */
static size_t read_start(const char *path, char *text, size_t bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, bytes - 1);

	if (fd >= 0)
		close(fd);
	text[got > 0 ? got : 0] = '\0';
	return got > 0 ? (size_t)got : 0;
}

/* ---- other namespaces ---- */

/* The last number of the line "NSpid:\t1234\t7". 0: not known. */
static uint32_t inner_pid(const char *path)
{
	char text[4096], *line, *end;
	uint32_t pid = 0;

	read_start(path, text, sizeof(text));
	line = strstr(text, "\nNSpid:");
	if (!line)
		return 0;
	for (line += 7; *line && *line != '\n'; line = end) {
		unsigned long number = strtoul(line, &end, 10);

		if (end == line)
			break;
		pid = (uint32_t)number;
	}
	return pid;
}

/* Remembers who is who in all namespaces but our own. */
static void scan(struct top_hosts *hosts)
{
	DIR *listing = opendir("/proc");
	const struct dirent *entry;
	char path[64];

	hosts->count = 0;
	hosts->scanned_ns = hosts->now_ns;
	while (listing && (entry = readdir(listing))) {
		unsigned long pid = strtoul(entry->d_name, NULL, 10);
		struct top_host_pid found = { .pid = (uint32_t)pid };

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%lu/ns/pid", pid);
		found.pid_namespace = inode_of(path);
		if (!found.pid_namespace || found.pid_namespace == hosts->own_namespace)
			continue;
		snprintf(path, sizeof(path), "/proc/%lu/status", pid);
		found.inner_pid = inner_pid(path);
		hosts->pids = top_grow(hosts->pids, &hosts->room, hosts->count + 1,
				       sizeof(*hosts->pids));
		hosts->pids[hosts->count++] = found;
	}
	if (listing)
		closedir(listing);
}

static uint32_t find_pid(const struct top_hosts *hosts, const struct top_host_key *key)
{
	for (size_t i = 0; i < hosts->count; i++)
		if (hosts->pids[i].pid_namespace == key->pid_namespace &&
		    hosts->pids[i].inner_pid == key->inner_pid)
			return hosts->pids[i].pid;
	return 0;
}

static uint32_t host_pid(struct top_hosts *hosts, const struct top_host_key *key)
{
	uint32_t pid;

	if (key->pid_namespace == 0)
		return 0;
	if (key->pid_namespace == hosts->own_namespace)
		return key->inner_pid;
	pid = find_pid(hosts, key);
	if (pid || (hosts->scanned_ns && hosts->now_ns - hosts->scanned_ns < RETRY_NS))
		return pid;
	scan(hosts);
	return find_pid(hosts, key);
}

/* ---- one process ---- */

static void set_user(struct top_host *host, uid_t uid)
{
	/* Looking names up may ask the network: the last is mostly the next. */
	static uid_t last_uid = (uid_t)-1;
	static char last[sizeof(host->user)];

	if (uid != last_uid) {
		const struct passwd *entry = getpwuid(uid);

		if (entry)
			snprintf(last, sizeof(last), "%.23s", entry->pw_name);
		else
			snprintf(last, sizeof(last), "%u", (unsigned)uid);
		last_uid = uid;
	}
	memcpy(host->user, last, sizeof(host->user));
}

static void set_command(struct top_host *host)
{
	char path[64];
	size_t count;

	snprintf(path, sizeof(path), "/proc/%u/cmdline", host->pid);
	count = read_start(path, host->command, sizeof(host->command));
	while (count > 0 && host->command[count - 1] == '\0')
		count--;
	for (size_t i = 0; i < count; i++) {
		char c = host->command[i];

		host->command[i] = c == '\0' ? ' ' : c >= ' ' && c <= '~' ? c : '?';
	}
}

static void set_container(struct top_host *host)
{
	char path[64], text[4096];

	snprintf(path, sizeof(path), "/proc/%u/cgroup", host->pid);
	read_start(path, text, sizeof(text));
	top_cgroup_read(text, host->container, host->pod);
}

static void describe(struct top_hosts *hosts, struct top_host *host,
		     const struct top_host_key *key)
{
	struct stat status;
	char path[64];

	memset(host, 0, sizeof(*host));
	host->pid = host_pid(hosts, key);
	snprintf(path, sizeof(path), "/proc/%u", host->pid);
	if (host->pid == 0 || stat(path, &status) < 0) {
		host->pid = 0;
		return;
	}
	set_user(host, status.st_uid);
	set_command(host);
	set_container(host);
}

/* ---- the processes of a tenant ---- */

static bool is_same(const struct top_host_key *key, const struct gpushim_process *process)
{
	return key->slot == process->slot &&
	       key->start_unix_ns == process->start_unix_ns &&
	       key->inner_pid == process->pid &&
	       key->pid_namespace == process->pid_namespace;
}

/* Makes the list that of the snapshot's processes, keeping what is known of those. */
static void match(struct top_host_list *list, const struct gpushim_snapshot *snapshot)
{
	struct top_host_list old = *list;
	size_t at = 0;

	memset(list, 0, sizeof(*list));
	list->count = snapshot->processes_count;
	list->hosts = top_grow(NULL, &list->room, list->count, sizeof(*list->hosts));
	list->keys = top_grow(NULL, &list->keys_room, list->count, sizeof(*list->keys));
	for (size_t i = 0; i < list->count; i++) {
		const struct gpushim_process *process = &snapshot->processes[i];

		while (at < old.count && old.keys[at].slot < process->slot)
			at++;
		memset(&list->hosts[i], 0, sizeof(list->hosts[i]));
		list->keys[i] = (struct top_host_key){
			.start_unix_ns = process->start_unix_ns,
			.pid_namespace = process->pid_namespace,
			.slot = process->slot,
			.inner_pid = process->pid,
		};
		if (at < old.count && is_same(&old.keys[at], process)) {
			list->hosts[i] = old.hosts[at];
			list->keys[i] = old.keys[at];
		}
	}
	top_host_list_free(&old);
}

static bool all_same(const struct top_host_list *list,
		     const struct gpushim_snapshot *snapshot)
{
	if (list->count != snapshot->processes_count)
		return false;
	for (size_t i = 0; i < list->count; i++)
		if (!is_same(&list->keys[i], &snapshot->processes[i]))
			return false;
	return true;
}

const struct top_host *top_hosts_find(struct top_hosts *hosts, struct top_host_list *list,
				      const struct gpushim_snapshot *snapshot,
				      uint64_t now_ns)
{
	hosts->now_ns = now_ns;
	if (!all_same(list, snapshot))
		match(list, snapshot);
	for (size_t i = 0; i < list->count; i++) {
		struct top_host_key *key = &list->keys[i];

		if (list->hosts[i].pid ||
		    (key->tried_ns && now_ns - key->tried_ns < RETRY_NS))
			continue;
		key->tried_ns = now_ns;
		if (snapshot->processes[i].alive)
			describe(hosts, &list->hosts[i], key);
	}
	return list->hosts;
}

bool top_host_maps(uint32_t pid, uint64_t device, uint64_t inode)
{
	char path[64], *line = NULL;
	bool found = false;
	size_t room = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%u/maps", pid);
	maps = fopen(path, "re");
	while (maps && !found && getline(&line, &room, maps) > 0) {
		unsigned long long node;
		unsigned major_number, minor_number;

		/* "start-end rwxp offset major:minor inode path" */
		found = sscanf(line, "%*s %*s %*s %x:%x %llu", &major_number,
			       &minor_number, &node) == 3 &&
			node == inode && makedev(major_number, minor_number) == device;
	}
	if (maps)
		fclose(maps);
	free(line);
	return found;
}
