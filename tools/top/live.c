/*
 * live.c - the tenants of this machine, read from their files; see live.h.
 */
#include "top/live.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "common/publish.h"
#include "top/host.h"

/* A tenant's files. */
struct files {
	char name[GPUSHIM_NAME_BYTES]; /* "": those that a container sees */
	char shown[GPUSHIM_NAME_BYTES];
	bool has_ledger;
	dev_t device;
	ino_t inode; /* of the ledger that the reader has open */
	struct gpushim_reader *reader;
	struct top_host_list hosts;
};

struct place {
	char dir[PATH_MAX];
	size_t count, room;
	struct files *files; /* by name */
};

struct top_live {
	size_t places_count;
	struct place places[8];
	char text[1024]; /* names of the places */
	struct top_hosts hosts;
	struct gpushim_snapshot *snapshot; /* of one tenant after another */
};

/* ---- places ---- */

static void add_place(struct top_live *live, const char *dir)
{
	struct place *place = &live->places[live->places_count];
	size_t length = strlen(live->text);

	if (live->places_count == sizeof(live->places) / sizeof(live->places[0]))
		return;
	for (size_t i = 0; i < live->places_count; i++)
		if (strcmp(live->places[i].dir, dir) == 0)
			return;
	snprintf(place->dir, sizeof(place->dir), "%s", dir);
	snprintf(live->text + length, sizeof(live->text) - length, "%s%s",
		 live->places_count ? " and " : "", dir);
	live->places_count++;
}

/* As guests use it where they cannot write elsewhere: nobody else's is believed. */
static void add_own_place(struct top_live *live)
{
	struct stat status;
	char dir[64];

	snprintf(dir, sizeof(dir), "/dev/shm/gpushim-%u", (unsigned)geteuid());
	if (lstat(dir, &status) == 0 && S_ISDIR(status.st_mode) &&
	    status.st_uid == geteuid() && (status.st_mode & 022) == 0)
		add_place(live, dir);
}

/* Two files for each tenant stay open. */
static void allow_many_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

struct top_live *top_live_open(const char *const *dirs, size_t count)
{
	const char *given = getenv("GPUSHIM_DIR");
	struct top_live *live = top_reallocate(NULL, sizeof(*live));

	memset(live, 0, sizeof(*live));
	for (size_t i = 0; i < count; i++)
		add_place(live, dirs[i]);
	if (count == 0) {
		add_place(live, given && *given ? given : "/run/gpushim");
		add_own_place(live);
	}
	allow_many_files();
	top_hosts_init(&live->hosts);
	live->snapshot = top_reallocate(NULL, sizeof(*live->snapshot));
	return live;
}

const char *top_live_places(const struct top_live *live)
{
	return live->text;
}

static void free_files(struct files *files)
{
	gpushim_reader_close(files->reader);
	top_host_list_free(&files->hosts);
}

void top_live_close(struct top_live *live)
{
	if (!live)
		return;
	for (size_t p = 0; p < live->places_count; p++) {
		for (size_t i = 0; i < live->places[p].count; i++)
			free_files(&live->places[p].files[i]);
		free(live->places[p].files);
	}
	top_hosts_free(&live->hosts);
	free(live->snapshot);
	free(live);
}

/* ---- who is there ---- */

struct found {
	size_t count, room;
	struct files *files;
};

static void add_found(struct found *found, const char *name, const struct stat *ledger)
{
	struct files *files;

	found->files = top_grow(found->files, &found->room, found->count + 1,
				sizeof(*found->files));
	files = &found->files[found->count++];
	memset(files, 0, sizeof(*files));
	snprintf(files->name, sizeof(files->name), "%.63s", name);
	snprintf(files->shown, sizeof(files->shown), "%.63s", name);
	if (!ledger)
		return;
	files->has_ledger = true;
	files->device = ledger->st_dev;
	files->inode = ledger->st_ino;
}

/* DIR/KIND/NAME/KIND, and DIR/KIND/KIND as in a container. */
static void list(struct found *found, const char *dir, const char *kind, bool is_ledger)
{
	char path[PATH_MAX + 16], file[GPUSHIM_NAME_BYTES + 16];
	const struct dirent *entry;
	struct stat status;
	DIR *listing;

	snprintf(path, sizeof(path), "%s/%s", dir, kind);
	listing = opendir(path);
	while (listing && (entry = readdir(listing))) {
		if (!gsh_parse_is_tenant(entry->d_name))
			continue;
		if (strcmp(entry->d_name, kind) == 0 && is_ledger &&
		    fstatat(dirfd(listing), kind, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(status.st_mode))
			add_found(found, "", &status);
		snprintf(file, sizeof(file), "%.63s/%s", entry->d_name, kind);
		if (fstatat(dirfd(listing), file, &status, AT_SYMLINK_NOFOLLOW) == 0)
			add_found(found, entry->d_name, is_ledger ? &status : NULL);
	}
	if (listing)
		closedir(listing);
}

/* By name; who has a ledger before the same without. */
static int by_name(const void *a, const void *b)
{
	const struct files *left = a, *right = b;
	int order = strcmp(left->name, right->name);

	return order ? order : (int)right->has_ledger - (int)left->has_ledger;
}

/* Takes over what is open of who was there before, and lets go of the others. */
static void merge(struct place *place, struct found *found)
{
	size_t at = 0;

	for (size_t i = 0; i < found->count; i++) {
		struct files *new = &found->files[i], *old = NULL;

		while (at < place->count && strcmp(place->files[at].name, new->name) < 0)
			free_files(&place->files[at++]);
		if (at < place->count && strcmp(place->files[at].name, new->name) == 0)
			old = &place->files[at++];
		if (!old)
			continue;
		new->hosts = old->hosts;
		memcpy(new->shown, old->shown, sizeof(new->shown));
		/* One that was deleted and made again is another. */
		if (new->has_ledger &&new->inode == old->inode &&new->device ==
		    old->device)
			new->reader = old->reader;
		else
			gpushim_reader_close(old->reader);
	}
	while (at < place->count)
		free_files(&place->files[at++]);
	free(place->files);
	place->files = found->files;
	place->count = found->count;
	place->room = found->room;
}

static void find(struct place *place)
{
	struct found found = { 0 };
	size_t kept = 0;

	list(&found, place->dir, "ledger", true);
	list(&found, place->dir, "policy", false);
	if (found.count > 0)
		qsort(found.files, found.count, sizeof(*found.files), by_name);
	for (size_t i = 0; i < found.count; i++)
		if (kept == 0 ||
		    strcmp(found.files[i].name, found.files[kept - 1].name) != 0)
			found.files[kept++] = found.files[i];
	found.count = kept;
	merge(place, &found);
}

/* ---- reading ---- */

/* A tenant that has started nothing yet: its limits are all there is. */
static int read_policy(struct top_live *live, const char *dir, const struct files *files,
		       struct gsh_reason *why)
{
	struct gpushim_snapshot *snapshot = live->snapshot;
	int result;

	/* The arrays are empty, and not looked at. */
	memset(snapshot, 0, offsetof(struct gpushim_snapshot, devices));
	memset(&snapshot->time, 0, sizeof(snapshot->time));
	result = gsh_published(dir, files->name, &snapshot->policy, why);
	snapshot->has_policy = result == 0;
	return result;
}

static int read_ledger(struct top_live *live, const char *dir, struct files *files,
		       struct gsh_reason *why)
{
	int result = 0;

	if (!files->reader)
		result = gpushim_reader_open(&files->reader, dir,
					     files->name[0] ? files->name : NULL);
	if (result == 0)
		result = gpushim_reader_glance(files->reader, live->snapshot);
	if (result < 0)
		gsh_reason_set(why, gpushim_reader_reason(), NULL);
	else if (!files->name[0])
		snprintf(files->shown, sizeof(files->shown), "%s",
			 live->snapshot->tenant[0] ? live->snapshot->tenant : "-");
	return result;
}

static void read_tenant(struct top_live *live, struct top_feed *feed, const char *dir,
			struct files *files)
{
	struct top_look look = { .dir = dir, .snapshot = live->snapshot };
	struct gsh_reason why;
	int result = files->has_ledger ? read_ledger(live, dir, files, &why)
				       : read_policy(live, dir, files, &why);

	/* It has gone since it was listed, and will be missed next time. */
	if (result == -ENOENT)
		return;
	look.name = files->shown[0] ? files->shown : "-";
	if (result < 0) {
		look.snapshot = NULL;
		look.error = why.text;
	} else {
		look.hosts = top_hosts_find(&live->hosts, &files->hosts, live->snapshot,
					    feed->model->now_ns);
	}
	top_feed_add(feed, &look);
}

void top_live_read(struct top_live *live, struct top_feed *feed)
{
	top_feed_begin(feed, gsh_clock_now_ns(), gsh_clock_unix_ns());
	for (size_t p = 0; p < live->places_count; p++) {
		struct place *place = &live->places[p];

		find(place);
		for (size_t i = 0; i < place->count; i++)
			read_tenant(live, feed, place->dir, &place->files[i]);
	}
	top_feed_end(feed);
}

static struct files *files_of(struct top_live *live, const struct top_tenant *tenant)
{
	for (size_t p = 0; p < live->places_count; p++) {
		struct place *place = &live->places[p];

		for (size_t i = 0;
		     i < place->count && strcmp(place->dir, tenant->dir) == 0; i++)
			if (strcmp(place->files[i].shown, tenant->name) == 0)
				return &place->files[i];
	}
	return NULL;
}

int top_live_whole(struct top_live *live, const struct top_tenant *tenant,
		   struct gpushim_snapshot *snapshot)
{
	struct files *files = files_of(live, tenant);

	if (!files || !files->reader)
		return -ENOENT;
	return gpushim_reader_snapshot(files->reader, snapshot);
}

int top_live_ledger(struct top_live *live, const struct top_tenant *tenant,
		    uint64_t *device, uint64_t *inode)
{
	const struct files *files = files_of(live, tenant);

	if (!files || !files->has_ledger)
		return -ENOENT;
	*device = files->device;
	*inode = files->inode;
	return 0;
}
