/* Who is there, and their pages; see tenants.h. */
#include "agent/tenants.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/counts.h"
#include "agent/log.h"
#include "base/parse.h"
#include "common/publish.h"

struct agent_tenant *agent_tenants_find(const struct agent_tenants *tenants,
					const char *name)
{
	for (size_t i = 0; i < tenants->count; i++)
		if (strcmp(tenants->all[i]->name, name) == 0)
			return tenants->all[i];
	return NULL;
}

void agent_tenant_say(struct agent_tenant *tenant, const char *sentence)
{
	if (strcmp(tenant->said, sentence) == 0)
		return;
	snprintf(tenant->said, sizeof(tenant->said), "%s", sentence);
	if (*sentence)
		agent_log(AGENT_WARNING, "Tenant %s: %s.", tenant->name, sentence);
	else
		agent_log(AGENT_NOTICE, "Tenant %s: all is well again.", tenant->name);
}

/* ---- the table ---- */

static struct agent_tenant *add(struct agent_tenants *tenants, const char *name)
{
	struct agent_tenant *tenant = calloc(1, sizeof(*tenant));
	void *grown = realloc(tenants->all,
			      (tenants->count + 1) * sizeof(struct agent_tenant *));

	if (grown)
		tenants->all = grown;
	if (!grown || !tenant) {
		free(tenant);
		agent_log(AGENT_ERROR, "There is no memory for tenant %s.", name);
		return NULL;
	}
	snprintf(tenant->name, sizeof(tenant->name), "%s", name);
	tenants->all[tenants->count++] = tenant;
	return tenant;
}

static void want(struct agent_tenants *tenants, struct agent_tenant *tenant, bool wanting)
{
	tenants->wanting += (size_t)wanting;
	tenants->wanting -= (size_t)tenant->is_wanting;
	tenant->is_wanting = wanting;
}

static void forget(struct agent_tenants *tenants, struct agent_tenant *tenant)
{
	size_t i = 0;

	while (tenants->all[i] != tenant)
		i++;
	tenants->all[i] = tenants->all[--tenants->count];
	want(tenants, tenant, false);
	gsh_page_file_close(&tenant->page);
	if (tenant->counts)
		agent_counts_free(tenant->counts);
	free(tenant->counts);
	free(tenant);
}

static int open_ledgers(struct agent_tenants *tenants)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/ledger", tenants->dir);
	tenants->directory_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return tenants->directory_fd < 0 ? -errno : 0;
}

int agent_tenants_open(struct agent_tenants *tenants, const char *dir, uint32_t beat_ms,
		       struct gsh_reason *why)
{
	int result;

	memset(tenants, 0, sizeof(*tenants));
	tenants->dir = dir;
	tenants->beat_ms = beat_ms;
	result = open_ledgers(tenants);
	if (result < 0)
		gsh_reason_set(why, dir, "/ledger cannot be opened: ", strerror(-result),
			       NULL);
	return result;
}

void agent_tenants_close(struct agent_tenants *tenants)
{
	while (tenants->count > 0)
		forget(tenants, tenants->all[0]);
	free(tenants->all);
	if (tenants->directory_fd >= 0)
		close(tenants->directory_fd);
	memset(tenants, 0, sizeof(*tenants));
	tenants->directory_fd = -1;
}

/* ---- pages ---- */

static const char leased[] =
	"somebody keeps its policy page from being opened by a lease, which the kernel "
	"takes away in a while";

/* 0; -ENOENT: there is none, so far as this tells; -errno after saying so. */
static int open_page(struct agent_tenants *tenants, struct agent_tenant *tenant)
{
	struct gsh_reason why;
	int result = tenant->page.page ? 0
				       : gsh_publish_open(tenants->dir, tenant->name,
							  &tenant->page, &why);

	if (result == -EAGAIN)
		agent_tenant_say(tenant, leased);
	else if (result < 0 && result != -ENOENT)
		agent_tenant_say(tenant, why.text);
	return result;
}

static bool is_same(const struct gpushim_policy_limits *a,
		    const struct gpushim_policy_limits *b)
{
	size_t from = offsetof(struct gpushim_policy_limits, flags),
	       to = offsetof(struct gpushim_policy_limits, checksum);

	return memcmp((const char *)a + from, (const char *)b + from, to - from) == 0;
}

int agent_tenants_publish(struct agent_tenants *tenants,
			  const struct gpushim_policy_limits *limits,
			  struct gsh_reason *why)
{
	struct agent_tenant *tenant = agent_tenants_find(tenants, limits->tenant);
	struct gpushim_policy_limits there;
	bool was_open;
	int result;

	if (!tenant && !gsh_parse_is_tenant(limits->tenant)) {
		gsh_reason_set(why, "'", limits->tenant, "' cannot be a tenant's name",
			       NULL);
		return -EINVAL;
	}
	if (!tenant && !(tenant = add(tenants, limits->tenant))) {
		gsh_reason_set(why, "there is no memory for it", NULL);
		return -ENOMEM;
	}
	if (gsh_page_file_limits(&tenant->page, &there) && is_same(&there, limits))
		return 0;
	was_open = tenant->page.page;
	result = gsh_publish_locked(tenants->dir, limits, &tenant->page, why);
	if (result == -EAGAIN)
		gsh_reason_set(why, leased, NULL);
	if (result == 0) {
		if (!was_open)
			gsh_page_file_beat(&tenant->page, tenants->beat_ms);
		want(tenants, tenant, false);
		/* A first one brings the directory of the ledger with it. */
		tenant->has_directory = true;
	}
	return result;
}

int agent_tenants_published(const struct agent_tenants *tenants, const char *name,
			    struct gpushim_policy_limits *limits)
{
	const struct agent_tenant *tenant = agent_tenants_find(tenants, name);

	return tenant && gsh_page_file_limits(&tenant->page, limits) ? 0 : -ENOENT;
}

void agent_tenants_want_closed(struct agent_tenants *tenants)
{
	struct gpushim_policy_limits limits;

	for (size_t i = 0; i < tenants->count; i++)
		if (tenants->all[i]->has_directory &&
		    gsh_page_file_limits(&tenants->all[i]->page, &limits) &&
		    (limits.flags & GPUSHIM_POLICY_CLOSED))
			want(tenants, tenants->all[i], true);
}

const char *agent_tenants_next_wanting(struct agent_tenants *tenants)
{
	for (size_t i = 0; i < tenants->count && tenants->wanting > 0; i++)
		if (tenants->all[i]->is_wanting) {
			want(tenants, tenants->all[i], false);
			return tenants->all[i]->name;
		}
	return NULL;
}

void agent_tenants_beat(struct agent_tenants *tenants)
{
	for (size_t i = 0; i < tenants->count; i++)
		gsh_page_file_beat(&tenants->all[i]->page, tenants->beat_ms);
}

/* ---- coming and going ---- */

static bool has_directory(const struct agent_tenants *tenants, const char *name)
{
	struct stat status;

	return fstatat(tenants->directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(status.st_mode);
}

/* Whether limits are nobody's own: of the template, or of who is closed. */
static bool are_derived(const struct gpushim_policy_limits *limits)
{
	static const char end[] = ", /tenants/*";
	size_t length = strlen(limits->source);

	return (limits->flags & GPUSHIM_POLICY_CLOSED) ||
	       (length >= sizeof(end) - 1 &&
		strcmp(limits->source + length - (sizeof(end) - 1), end) == 0);
}

/* The file that is mapped here and no other. */
static void remove_page(const struct agent_tenants *tenants,
			const struct agent_tenant *tenant)
{
	char path[PATH_MAX + GPUSHIM_NAME_BYTES + 32];
	struct stat status;

	snprintf(path, sizeof(path), "%s/policy/%s/policy", tenants->dir, tenant->name);
	if (lstat(path, &status) < 0 || status.st_ino != tenant->page.inode ||
	    status.st_dev != tenant->page.device || unlink(path) < 0)
		return;
	*strrchr(path, '/') = '\0';
	/* Stays if there is anything else in it. */
	(void)rmdir(path);
}

static void leave(struct agent_tenants *tenants, struct agent_tenant *tenant)
{
	struct gpushim_policy_limits limits;
	bool derived = gsh_page_file_limits(&tenant->page, &limits) &&
		       are_derived(&limits);

	if (derived)
		remove_page(tenants, tenant);
	agent_log(AGENT_INFO, "Tenant %s has left%s.", tenant->name,
		  derived ? ", and its policy page is removed" : "");
	/* One whose own limits stay is there, if only by its page. */
	tenant->has_directory = false;
	if (derived || !tenant->page.page)
		forget(tenants, tenant);
}

bool agent_tenants_look(struct agent_tenants *tenants, const char *name)
{
	struct agent_tenant *tenant;
	bool there;
	long pid;

	if (!gsh_parse_is_tenant(name))
		return false;
	tenant = agent_tenants_find(tenants, name);
	there = has_directory(tenants, name);
	if (!there && tenant && tenant->has_directory) {
		leave(tenants, tenant);
		return true;
	}
	if (!there || (!tenant && !(tenant = add(tenants, name))))
		return false;
	tenant->has_directory = true;
	/* gpushim-run publishes for itself. */
	if (open_page(tenants, tenant) == -ENOENT && !gsh_publish_is_run(name, &pid))
		want(tenants, tenant, true);
	return false;
}

bool agent_tenants_are_moved(const struct agent_tenants *tenants)
{
	char path[PATH_MAX + 16];
	struct stat ours, theirs;

	snprintf(path, sizeof(path), "%s/ledger", tenants->dir);
	return stat(path, &theirs) == 0 &&
	       (fstat(tenants->directory_fd, &ours) < 0 || ours.st_ino != theirs.st_ino ||
		ours.st_dev != theirs.st_dev);
}

/* Those with a directory below DIR/ledger. */
static void scan_directories(struct agent_tenants *tenants)
{
	int fd = openat(tenants->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *listing = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!listing) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(listing)))
		agent_tenants_look(tenants, entry->d_name);
	closedir(listing);
}

/* Those with a page. */
static void scan_pages(struct agent_tenants *tenants)
{
	struct gsh_tenants there;

	gsh_tenants_list(tenants->dir, &there);
	for (size_t i = 0; i < there.count; i++) {
		struct agent_tenant *tenant = agent_tenants_find(tenants, there.names[i]);

		if (!tenant)
			tenant = add(tenants, there.names[i]);
		if (tenant)
			open_page(tenants, tenant);
	}
	gsh_tenants_free(&there);
}

bool agent_tenants_scan(struct agent_tenants *tenants)
{
	bool left = false;

	if (tenants->directory_fd >= 0)
		close(tenants->directory_fd);
	if (open_ledgers(tenants) < 0)
		return false;
	/* From behind, as who has gone is taken out. */
	for (size_t i = tenants->count; i-- > 0;)
		if (tenants->all[i]->has_directory)
			left |= agent_tenants_look(tenants, tenants->all[i]->name);
	scan_directories(tenants);
	scan_pages(tenants);
	return left;
}

static bool is_in_place(const struct agent_tenants *tenants,
			const struct agent_tenant *tenant)
{
	char path[PATH_MAX + GPUSHIM_NAME_BYTES + 32];
	struct stat status;

	snprintf(path, sizeof(path), "%s/policy/%s/policy", tenants->dir, tenant->name);
	return lstat(path, &status) == 0 && status.st_ino == tenant->page.inode &&
	       status.st_dev == tenant->page.device;
}

void agent_tenants_check(struct agent_tenants *tenants)
{
	for (size_t i = tenants->count; i-- > 0;) {
		struct agent_tenant *tenant = tenants->all[i];
		long pid;
		int result;

		if (tenant->is_owed)
			want(tenants, tenant, true);
		if (tenant->page.page && is_in_place(tenants, tenant))
			continue;
		gsh_page_file_close(&tenant->page);
		result = open_page(tenants, tenant);
		if (result != -ENOENT)
			continue;
		if (!tenant->has_directory)
			forget(tenants, tenant);
		else if (!gsh_publish_is_run(tenant->name, &pid))
			want(tenants, tenant, true);
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

void agent_tenants_names(const struct agent_tenants *tenants, struct gsh_tenants *names)
{
	long pid;

	memset(names, 0, sizeof(*names));
	if (tenants->count == 0)
		return;
	names->names = calloc(tenants->count, sizeof(*names->names));
	if (!names->names)
		return;
	for (size_t i = 0; i < tenants->count; i++)
		if (tenants->all[i]->page.page ||
		    !gsh_publish_is_run(tenants->all[i]->name, &pid))
			memcpy(names->names[names->count++], tenants->all[i]->name,
			       sizeof(*names->names));
	qsort(names->names, names->count, sizeof(*names->names), by_name);
}
