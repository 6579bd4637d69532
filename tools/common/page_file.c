/* Policy pages as their writer has them: files and the order of stores; see page_file.h. */
#include "common/page_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/file.h"
#include "ledger/page.h"

typedef uint64_t __attribute__((may_alias)) any_word;

static int refuse(struct gsh_reason *why, const char *path, int error,
		  const char *sentence)
{
	gsh_reason_set(why, path, " ", sentence, NULL);
	return error;
}

/* ---- limits ---- */

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

int gsh_page_file_write(struct gsh_page_file *file,
			const struct gpushim_policy_limits *limits, const char *path,
			struct gsh_reason *why)
{
	struct gpushim_policy_page *page = file->page;

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

static bool is_ours(const struct gpushim_policy_page *page)
{
	return gsh_load_acquire(&page->ready) && page->magic == GPUSHIM_POLICY_MAGIC &&
	       page->version == GPUSHIM_POLICY_VERSION;
}

bool gsh_page_file_limits(const struct gsh_page_file *file,
			  struct gpushim_policy_limits *limits)
{
	const struct gpushim_policy_page *page = file->page;
	uint64_t generation;

	if (!page || !is_ours(page))
		return false;
	/* Nobody else writes, so that it stands still. */
	generation = gsh_load_relaxed(&page->generation);
	*limits = page->limits[generation & 1];
	return generation != 0 && limits->generation == generation &&
	       gsh_policy_limits_valid(limits);
}

void gsh_page_file_beat(struct gsh_page_file *file, uint32_t period_ms)
{
	struct gpushim_policy_page *page = file->page;
	uint64_t beat;

	if (!page || !is_ours(page))
		return;
	beat = gsh_load_relaxed(&page->heartbeat) + 1;
	gsh_store_relaxed(&page->heartbeat_ms, period_ms);
	/* 0 means that there was never an agent. Pairs with gsh_page_heartbeat(). */
	gsh_store_release(&page->heartbeat, beat ? beat : 1);
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

int gsh_page_file_create(const char *path, const struct gpushim_policy_limits *limits,
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

static int map(struct gsh_page_file *file, int fd, const char *path,
	       struct gsh_reason *why)
{
	struct gsh_file_status status;
	void *mapped;
	int result = gsh_file_status(fd, &status);

	if (result < 0)
		return refuse(why, path, result, "cannot be examined");
	if (status.bytes < GPUSHIM_POLICY_BYTES)
		return refuse(why, path, -EPROTO,
			      "is truncated: remove it and publish again");
	mapped = mmap(NULL, GPUSHIM_POLICY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		      0);
	if (mapped == MAP_FAILED)
		return refuse(why, path, -errno, "cannot be mapped for writing");
	file->page = mapped;
	file->device = status.device;
	file->inode = status.inode;
	return 0;
}

int gsh_page_file_open(struct gsh_page_file *file, const char *path, bool wait,
		       struct gsh_reason *why)
{
	int fd = gsh_file_open(path, O_RDWR, why), result;

	if (fd == -EAGAIN && wait) {
		fd = open(path, O_RDWR | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
		if (fd < 0)
			return refuse(why, path, -errno, "cannot be opened");
	}
	if (fd < 0)
		return fd;
	result = map(file, fd, path, why);
	close(fd);
	return result;
}

void gsh_page_file_close(struct gsh_page_file *file)
{
	if (file->page)
		munmap(file->page, GPUSHIM_POLICY_BYTES);
	memset(file, 0, sizeof(*file));
}
