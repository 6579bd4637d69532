/* inotify on tenants and limits.json; see watch.h. */
#include "agent/watch.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	COMES_OR_GOES = IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM,
	IS_WRITTEN = IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO,
};

static int add(struct agent_watch *watch, const char *path, uint32_t events)
{
	return inotify_add_watch(watch->source.fd, path,
				 events | IN_ONLYDIR | IN_MASK_ADD);
}

static void add_ledgers(struct agent_watch *watch)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/ledger", watch->tenants->dir);
	watch->ledgers = add(watch, path, COMES_OR_GOES);
}

/* The directories of limits.json may have become others. */
static void add_limits(struct agent_watch *watch)
{
	char path[PATH_MAX];

	if (!watch->limits->path)
		return;
	for (int i = 0; i < AGENT_WATCH_DIRECTORIES; i++) {
		int before = watch->limits_at[i], now = -1;

		if (i == 0)
			snprintf(path, sizeof(path), "%s", watch->limits->path);
		if (i == 0 || realpath(watch->limits->path, path))
			now = add(watch, dirname(path), IS_WRITTEN);
		watch->limits_at[i] = now;
		if (before >= 0 && before != now && before != watch->ledgers &&
		    before != watch->limits_at[!i])
			inotify_rm_watch(watch->source.fd, before);
	}
}

/* ---- events ---- */

static void tenant_event(struct agent_watch *watch, const struct inotify_event *event)
{
	if (event->mask & IN_IGNORED)
		watch->ledgers = -1;
	else if (event->len > 0 && agent_tenants_look(watch->tenants, event->name))
		agent_tenants_want_closed(watch->tenants);
}

/* A file that was only made has yet to be written; a link is complete. */
static bool is_complete(const struct agent_watch *watch,
			const struct inotify_event *event)
{
	const char *name = strrchr(watch->limits->path, '/');
	struct stat status;

	name = name ? name + 1 : watch->limits->path;
	return !(event->mask & IN_CREATE) || strcmp(event->name, name) != 0 ||
	       (lstat(watch->limits->path, &status) == 0 && !S_ISREG(status.st_mode));
}

static bool is_of_limits(const struct agent_watch *watch, int descriptor)
{
	for (int i = 0; i < AGENT_WATCH_DIRECTORIES; i++)
		if (watch->limits_at[i] == descriptor)
			return true;
	return false;
}

static void hear(struct agent_watch *watch, const struct inotify_event *event, bool *look)
{
	if (event->mask & IN_Q_OVERFLOW) {
		if (agent_tenants_scan(watch->tenants))
			agent_tenants_want_closed(watch->tenants);
		*look = true;
	} else if (event->wd == watch->ledgers) {
		tenant_event(watch, event);
	}
	if (event->len > 0 && is_of_limits(watch, event->wd))
		*look |= is_complete(watch, event);
}

static void ready(struct agent_source *source, uint32_t events)
{
	struct agent_watch *watch = AGENT_OF(source, struct agent_watch, source);
	char buffer[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t got = read(source->fd, buffer, sizeof(buffer));
	bool look = false;

	(void)events;
	for (char *at = buffer; got > 0 && at < buffer + got;) {
		const struct inotify_event *event = (void *)at;

		hear(watch, event, &look);
		at += sizeof(*event) + event->len;
	}
	if (look) {
		add_limits(watch);
		agent_limits_look(watch->limits, false);
	}
}

int agent_watch_open(struct agent_watch *watch, struct agent_loop *loop,
		     struct agent_tenants *tenants, struct agent_limits *limits)
{
	watch->tenants = tenants;
	watch->limits = limits;
	watch->source.ready = ready;
	watch->source.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	watch->ledgers = -1;
	for (int i = 0; i < AGENT_WATCH_DIRECTORIES; i++)
		watch->limits_at[i] = -1;
	if (watch->source.fd < 0)
		return -errno;
	add_ledgers(watch);
	add_limits(watch);
	return agent_loop_add(loop, &watch->source, EPOLLIN);
}

void agent_watch_close(struct agent_watch *watch)
{
	if (watch->source.fd >= 0)
		close(watch->source.fd);
	watch->source.fd = -1;
}

void agent_watch_check(struct agent_watch *watch)
{
	if (watch->ledgers < 0 || agent_tenants_are_moved(watch->tenants)) {
		if (watch->ledgers >= 0)
			inotify_rm_watch(watch->source.fd, watch->ledgers);
		add_ledgers(watch);
		if (agent_tenants_scan(watch->tenants))
			agent_tenants_want_closed(watch->tenants);
	}
	add_limits(watch);
	agent_limits_look(watch->limits, true);
}
