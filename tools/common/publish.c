/* Publishing policy pages: directories, locks, and the order of stores; see publish.h. */
#include "common/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/parse.h"
#include "ledger/ledger.h"
#include "ledger/page.h"

#define LOCK_WAIT_NS UINT64_C(1000000000)
#define LOCK_POLL_NS UINT64_C(5000000)

static const char node_dir[] = "/run/gpushim";

typedef uint64_t __attribute__((may_alias)) any_word;

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

/* ---- one change of a page ---- */

static void seal(struct gpushim_policy_limits *limits, uint64_t generation)
{
	limits->generation = generation;
	limits->checksum = gsh_policy_checksum(limits);
}

/* What a page is made of beside its limits and its `ready`. */
static void fill_header(struct gpushim_policy_page *page)
{
	page->magic = GPUSHIM_POLICY_MAGIC;
	page->version = GPUSHIM_POLICY_VERSION;
	page->bytes = GPUSHIM_POLICY_BYTES;
}

/* Puts limits in force. The caller holds the writers' lock. */
static void write_limits(struct gpushim_policy_page *page,
			 const struct gpushim_policy_limits *limits)
{
	uint64_t generation = gsh_load_relaxed(&page->generation) + 1;
	struct gpushim_policy_limits copy = *limits;
	any_word *words;

	/* Only a scribbled page can come to its end; the copy must still be the other one. */
	if (generation == 0)
		generation = 2;
	seal(&copy, generation);
	words = (any_word *)&page->limits[generation & 1];
	for (size_t i = 0; i < sizeof(copy) / sizeof(*words); i++) {
		uint64_t word;

		memcpy(&word, (const char *)&copy + i * sizeof(word), sizeof(word));
		/* Pairs with who reads it before it is in force; see copy_limits() in page.c. */
		gsh_store_release(&words[i], word);
	}
	/* Pairs with the acquire with which readers load it. */
	gsh_store_release(&page->generation, generation);
}

static int write_page(struct gpushim_policy_page *page,
		      const struct gpushim_policy_limits *limits, const char *path,
		      struct gsh_reason *why)
{
	/* A page that somebody began and did not finish is nobody's yet. */
	if (!gsh_load_acquire(&page->ready)) {
		memset(page, 0, sizeof(*page));
		fill_header(page);
	}
	if (page->magic != GPUSHIM_POLICY_MAGIC)
		return refuse(why, path, -EPROTO,
			      "is not a policy page: remove it and publish again");
	if (page->version != GPUSHIM_POLICY_VERSION)
		return refuse(
			why, path, -EPROTONOSUPPORT,
			"is of another version: use tools of its release, or end its "
			"tenant's programs and remove it");
	write_limits(page, limits);
	/* Pairs with the acquire of who opens it. */
	gsh_store_release(&page->ready, 1);
	return 0;
}

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

/* ---- the file ---- */

static int fill_new(void *data, int fd)
{
	const struct gpushim_policy_page *page = data;
	ssize_t wrote = pwrite(fd, page, sizeof(*page), 0);

	if (wrote < 0)
		return -errno;
	return wrote == (ssize_t)sizeof(*page) ? 0 : -ENOSPC;
}

/* The first page of a tenant appears with its limits in force. */
static int create_page(const char *path, const struct gpushim_policy_limits *limits,
		       struct gsh_reason *why)
{
	struct gpushim_policy_page page;

	memset(&page, 0, sizeof(page));
	fill_header(&page);
	page.limits[1] = *limits;
	seal(&page.limits[1], 1);
	page.generation = 1;
	page.ready = 1;
	return gsh_file_create(path, sizeof(page), 0644, fill_new, &page, why);
}

static int change_open_page(int fd, const char *path,
			    const struct gpushim_policy_limits *limits,
			    struct gsh_reason *why)
{
	struct gsh_file_status status;
	void *map;
	int result = gsh_file_status(fd, &status);

	if (result < 0)
		return refuse(why, path, result, "cannot be examined");
	if (status.bytes < GPUSHIM_POLICY_BYTES)
		return refuse(why, path, -EPROTO,
			      "is truncated: remove it and publish again");
	map = mmap(NULL, GPUSHIM_POLICY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return refuse(why, path, -errno, "cannot be mapped for writing");
	result = write_page(map, limits, path, why);
	munmap(map, GPUSHIM_POLICY_BYTES);
	return result;
}

/*
 * Who can read a page can hold a lease on it (fcntl(2)): then who opens it for writing waits,
 * and while he does, it cannot be leased again. The kernel takes a lease that is not given up
 * within /proc/sys/fs/lease-break-time.
 */
static int open_page(const char *path, struct gsh_reason *why)
{
	int fd = gsh_file_open(path, O_RDWR, why);

	if (fd != -EAGAIN)
		return fd;
	fd = open(path, O_RDWR | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? refuse(why, path, -errno, "cannot be opened") : fd;
}

static int change_page(const struct paths *paths,
		       const struct gpushim_policy_limits *limits, struct gsh_reason *why)
{
	int lock_fd, fd = open_page(paths->page, why), result;

	if (fd < 0)
		return fd;
	lock_fd = lock_writers(paths->lock, why);
	result = lock_fd < 0 ? lock_fd : change_open_page(fd, paths->page, limits, why);
	close(fd);
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
		result = create_page(paths->page, limits, why);
	return result == -EEXIST ? change_page(paths, limits, why) : result;
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

int gsh_publish(const char *dir, const struct gpushim_policy_limits *limits,
		struct gsh_reason *why)
{
	struct gpushim_policy_limits checked = *limits;
	struct gsh_reason ignored;
	struct paths paths;
	int result;

	checked.tenant[sizeof(checked.tenant) - 1] = '\0';
	result = set_paths(&paths, dir, checked.tenant, why);
	if (result < 0)
		return result;
	seal(&checked, 1);
	if (!gsh_policy_limits_valid(&checked))
		return refuse(
			why, checked.tenant, -EINVAL,
			"has limits that no page can hold: too many devices, or a text "
			"without an end");
	if (!are_possible(&checked))
		return refuse(
			why, checked.tenant, -EINVAL,
			"has limits that mean nothing: GPU time from 0.1 to 100 %, no "
			"request above the limit, a burst of at most 1000 ms");
	result = change_page(&paths, &checked, why);
	if (result == -ENOENT)
		return publish_first(&paths, &checked, why);
	/* Lost or ruined it is the tenant's own, who must not keep its limits by that. */
	if (result == 0)
		(void)make_ledger(&paths, checked.tenant, &ignored);
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
