/* Publishing policy pages: directories, locks, and who writes; see publish.h. */
#include "common/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/parse.h"
#include "common/control.h"
#include "ledger/ledger.h"
#include "ledger/page.h"

#define LOCK_WAIT_NS UINT64_C(1000000000)
#define LOCK_POLL_NS UINT64_C(5000000)

static const char node_dir[] = "/run/gpushim";

static int refuse(struct gsh_reason *why, const char *path, int error,
		  const char *sentence)
{
	gsh_reason_set(why, path, " ", sentence, NULL);
	return error;
}

int gsh_publish_dir(char *dir, size_t bytes, struct gsh_reason *why)
{
	struct gsh_reason ignored;
	int count = snprintf(dir, bytes, "%s", node_dir);

	/* Fails where it is missing and cannot be made; says nothing about writing there. */
	(void)gsh_file_make_directories(node_dir, 0755, &ignored);
	if (faccessat(AT_FDCWD, node_dir, W_OK | X_OK, AT_EACCESS) == 0)
		return (size_t)count < bytes ? 0 : -ENAMETOOLONG;
	count = snprintf(dir, bytes, "/dev/shm/gpushim-%u", (unsigned)geteuid());
	if ((size_t)count >= bytes)
		return -ENAMETOOLONG;
	return gsh_file_private_directory(dir, why);
}

bool gsh_publish_is_run(const char *tenant, long *pid)
{
	static const char digits[] = "0123456789";
	const char *number = tenant + 4, *end;

	if (strncmp(tenant, "run-", 4) != 0 || !*number ||
	    strlen(tenant) >= GPUSHIM_NAME_BYTES)
		return false;
	*pid = strtol(number, NULL, 10);
	end = number + strspn(number, digits);
	return end > number &&
	       (!*end || (*end == '-' && end[1] && !end[1 + strspn(end + 1, digits)]));
}

/* ---- where things lie ---- */

struct paths {
	char policy[PATH_MAX], ledger[PATH_MAX]; /* directories of the tenant */
	char page[PATH_MAX + 8], file[PATH_MAX + 8];
	char lock[PATH_MAX + 16]; /* of all writers under the directory */
};

static int set_paths(struct paths *paths, const char *dir, const char *tenant,
		     struct gsh_reason *why)
{
	int policy, ledger;

	if (!gsh_parse_is_tenant(tenant)) {
		gsh_reason_set(
			why, "'", tenant, "' cannot be a tenant's name: it takes ",
			"1 to 63 of a-z, 0-9, '-', '.' and '_', and begins with a ",
			"letter or digit", NULL);
		return -EINVAL;
	}
	policy = snprintf(paths->policy, sizeof(paths->policy), "%s/policy/%s", dir,
			  tenant);
	ledger = snprintf(paths->ledger, sizeof(paths->ledger), "%s/ledger/%s", dir,
			  tenant);
	if (policy >= (int)sizeof(paths->policy) || ledger >= (int)sizeof(paths->ledger))
		return refuse(why, dir, -ENAMETOOLONG, "is too long a name");
	snprintf(paths->page, sizeof(paths->page), "%s/policy", paths->policy);
	snprintf(paths->file, sizeof(paths->file), "%s/ledger", paths->ledger);
	snprintf(paths->lock, sizeof(paths->lock), "%s/policy/.lock", dir);
	return 0;
}

/* ---- the lock ---- */

/*
 * A descriptor that holds the lock of all writers, or -errno. Not a page's own: whoever can
 * read that could lock it, and so keep his limits from being changed.
 */
static int lock_writers(const char *path, struct gsh_reason *why)
{
	uint64_t end_ns = gsh_clock_now_ns() + LOCK_WAIT_NS;
	int fd = gsh_file_open(path, O_RDWR | O_CREAT, why), result = 0;

	if (fd < 0)
		return fd;
	while (result == 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			result = refuse(why, path, -errno, "cannot be locked");
		else if (gsh_clock_now_ns() >= end_ns)
			result = refuse(
				why, path, -EBUSY,
				"is held by another program that writes limits: try "
				"again");
		else
			gsh_clock_sleep_ns(LOCK_POLL_NS);
	}
	if (result < 0)
		close(fd);
	return result < 0 ? result : fd;
}

/* ---- pages and ledgers ---- */

static int change_page(const struct paths *paths,
		       const struct gpushim_policy_limits *limits, struct gsh_reason *why)
{
	struct gsh_page_file file = { 0 };
	int lock_fd, result = gsh_page_file_open(&file, paths->page, true, why);

	if (result < 0)
		return result;
	lock_fd = lock_writers(paths->lock, why);
	result = lock_fd < 0 ? lock_fd
			     : gsh_page_file_write(&file, limits, paths->page, why);
	gsh_page_file_close(&file);
	if (lock_fd >= 0)
		close(lock_fd); /* and with it the lock */
	return result;
}

/* For the tenant's processes, who need not be able to make it themselves. */
static int make_ledger(const struct paths *paths, const char *tenant,
		       struct gsh_reason *why)
{
	int result = gsh_file_make_directories(paths->ledger, 0755, why);

	return result < 0 ? result
			  : gsh_ledger_create(paths->file, tenant,
					      geteuid() == 0 ? 0666 : 0600, why);
}

/* Before the page comes the ledger: who waits for the page finds both. */
static int publish_first(const struct paths *paths,
			 const struct gpushim_policy_limits *limits,
			 struct gsh_reason *why)
{
	int result = make_ledger(paths, limits->tenant, why);

	if (result == 0)
		result = gsh_file_make_directories(paths->policy, 0755, why);
	if (result == 0)
		result = gsh_page_file_create(paths->page, limits, why);
	return result;
}

/* Lost or ruined it is the tenant's own, who must not keep its limits by that. */
static void mend_ledger(const struct paths *paths, const char *tenant)
{
	struct gsh_reason ignored;

	(void)make_ledger(paths, tenant, &ignored);
}

/* Readers take what is impossible for the least it could mean: nobody is to be hit by that
 * because of a tool's mistake. */
static bool is_possible(const struct gpushim_policy_device *row)
{
	return row->limit_permille >= 1 && row->limit_permille <= 1000 &&
	       row->request_permille <= row->limit_permille &&
	       row->memory_ppm <= 1000000 && row->priority <= GPUSHIM_PRIORITY_BATCH &&
	       row->view <= GPUSHIM_VIEW_DEVICE && row->burst_ms <= GPUSHIM_BURST_MS_MAX;
}

static bool are_possible(const struct gpushim_policy_limits *limits)
{
	bool possible = is_possible(&limits->others);

	for (uint32_t i = 0; i < limits->device_count && possible; i++)
		possible = is_possible(&limits->devices[i]);
	return possible;
}

/* *checked: what can be published, of the tenant whose *paths these are. 0 or -errno. */
static int check(const char *dir, const struct gpushim_policy_limits *limits,
		 struct gpushim_policy_limits *checked, struct paths *paths,
		 struct gsh_reason *why)
{
	int result;

	*checked = *limits;
	checked->tenant[sizeof(checked->tenant) - 1] = '\0';
	result = set_paths(paths, dir, checked->tenant, why);
	if (result < 0)
		return result;
	checked->generation = 1;
	checked->checksum = gsh_policy_checksum(checked);
	if (!gsh_policy_limits_valid(checked))
		return refuse(
			why, checked->tenant, -EINVAL,
			"has limits that no page can hold: too many devices, or a text "
			"without an end");
	if (!are_possible(checked))
		return refuse(
			why, checked->tenant, -EINVAL,
			"has limits that mean nothing: GPU time from 0.1 to 100 %, no "
			"request above the limit, a burst of at most 1000 ms");
	return 0;
}

static int publish_alone(const struct paths *paths,
			 const struct gpushim_policy_limits *limits,
			 struct gsh_reason *why)
{
	int result = change_page(paths, limits, why);

	if (result == -ENOENT) {
		result = publish_first(paths, limits, why);
		return result == -EEXIST ? change_page(paths, limits, why) : result;
	}
	if (result == 0)
		mend_ledger(paths, limits->tenant);
	return result;
}

int gsh_publish(const char *dir, const struct gpushim_policy_limits *limits,
		struct gsh_reason *why)
{
	struct gpushim_policy_limits checked;
	struct paths paths;
	int result = check(dir, limits, &checked, &paths, why);

	if (result == 0)
		result = gsh_control_publish(dir, &checked, why);
	if (result != -ENOTCONN)
		return result;
	result = publish_alone(&paths, &checked, why);
	if (result != -EBUSY)
		return result;
	/* Who holds the lock may be an agent that was only starting. */
	result = gsh_control_publish(dir, &checked, why);
	return result == -ENOTCONN ? -EBUSY : result;
}

/* ---- for who stays the writer ---- */

int gsh_publish_lock(const char *dir, struct gsh_reason *why)
{
	static const char *const kinds[] = { "policy", "ledger" };
	char path[PATH_MAX + 16];
	int result;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (snprintf(path, sizeof(path), "%s/%s", dir, kinds[i]) >= PATH_MAX)
			return refuse(why, dir, -ENAMETOOLONG, "is too long a name");
		result = gsh_file_make_directories(path, 0755, why);
		if (result < 0)
			return result;
	}
	snprintf(path, sizeof(path), "%s/policy/.lock", dir);
	return lock_writers(path, why);
}

int gsh_publish_open(const char *dir, const char *tenant, struct gsh_page_file *file,
		     struct gsh_reason *why)
{
	struct paths paths;
	int result = set_paths(&paths, dir, tenant, why);

	return result < 0 ? result : gsh_page_file_open(file, paths.page, false, why);
}

int gsh_publish_locked(const char *dir, const struct gpushim_policy_limits *limits,
		       struct gsh_page_file *file, struct gsh_reason *why)
{
	struct gpushim_policy_limits checked;
	struct paths paths;
	int result = check(dir, limits, &checked, &paths, why);

	if (result == 0 && !file->page) {
		result = gsh_page_file_open(file, paths.page, false, why);
		if (result == -ENOENT) {
			result = publish_first(&paths, &checked, why);
			return result < 0
				       ? result
				       : gsh_page_file_open(file, paths.page, false, why);
		}
	}
	if (result == 0)
		result = gsh_page_file_write(file, &checked, paths.page, why);
	if (result == 0)
		mend_ledger(&paths, checked.tenant);
	return result;
}

int gsh_published(const char *dir, const char *tenant,
		  struct gpushim_policy_limits *limits, struct gsh_reason *why)
{
	struct gsh_page page;
	struct paths paths;
	int result = set_paths(&paths, dir, tenant, why);

	if (result == 0)
		result = gsh_page_open(&page, paths.page, limits, why);
	if (result == 0)
		gsh_page_close(&page);
	return result;
}
