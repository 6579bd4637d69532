/*
 * page.c - mapping a policy page and taking limits from it.
 *
 * Knows how a reader stays right beside a writer: the words of a copy are read one by one,
 * and count only if the page's generation is the same before and after, and the copy's own
 * generation and checksum agree. Refuses to know who writes, and what the limits are for.
 */
#include "ledger/page.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/parse.h"

/* A writer publishes at human speed; to meet it this often in a row takes a broken one. */
enum { TRIES_MAX = 16 };

enum take { TAKE_NEW, TAKE_NOTHING, TAKE_INVALID, TAKE_BUSY };

typedef uint64_t __attribute__((may_alias)) any_word;

/* ---- what makes limits valid ---- */

uint64_t gsh_policy_checksum(const struct gpushim_policy_limits *limits)
{
	const unsigned char *bytes = (const unsigned char *)limits;
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a, 64 bits */

	for (size_t i = 0; i < offsetof(struct gpushim_policy_limits, checksum); i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static bool ends(const char *text, size_t bytes)
{
	return memchr(text, '\0', bytes) != NULL;
}

bool gsh_policy_limits_valid(const struct gpushim_policy_limits *limits)
{
	return limits->generation != 0 && limits->device_count <= GPUSHIM_DEVICES_MAX &&
	       ends(limits->tenant, sizeof(limits->tenant)) &&
	       ends(limits->source, sizeof(limits->source)) &&
	       ends(limits->reason, sizeof(limits->reason)) &&
	       gsh_parse_is_tenant(limits->tenant) &&
	       limits->checksum == gsh_policy_checksum(limits);
}

/* ---- taking limits from a page that somebody may be writing ---- */

/*
 * Each word pairs with the writer's release store of it: who reads a word of the next limits
 * sees, when it loads the page's generation again, at least that of the limits before them.
 */
static void copy_limits(struct gpushim_policy_limits *to,
			const struct gpushim_policy_limits *from)
{
	const any_word *words = (const any_word *)from;

	for (size_t i = 0; i < sizeof(*to) / sizeof(*words); i++) {
		uint64_t word = gsh_load_acquire(&words[i]);

		memcpy((char *)to + i * sizeof(word), &word, sizeof(word));
	}
}

static enum take take_limits(struct gsh_page *page, struct gpushim_policy_limits *limits)
{
	const struct gpushim_policy_page *shared = page->page;
	struct gpushim_policy_limits copy;

	for (int i = 0; i < TRIES_MAX; i++) {
		/* Pairs with the release with which the writer puts a generation in force. */
		uint64_t generation = gsh_load_acquire(&shared->generation);

		if (generation == page->seen)
			return TAKE_NOTHING;
		copy_limits(&copy, &shared->limits[generation & 1]);
		if (gsh_load_relaxed(&shared->generation) != generation)
			continue;
		gsh_store_relaxed(&page->seen, generation);
		if (copy.generation != generation || !gsh_policy_limits_valid(&copy))
			return TAKE_INVALID;
		page->adopted = generation;
		*limits = copy;
		return TAKE_NEW;
	}
	return TAKE_BUSY;
}

bool gsh_page_adopt(struct gsh_page *page, struct gpushim_policy_limits *limits,
		    uint64_t *errors)
{
	enum take took = page->page ? take_limits(page, limits) : TAKE_NOTHING;

	if (took == TAKE_INVALID)
		gsh_add_relaxed(errors, 1);
	return took == TAKE_NEW;
}

uint64_t gsh_page_overhead(const struct gsh_page *page, const uint8_t uuid[16])
{
	if (!page->page)
		return 0;
	for (size_t i = 0; i < GPUSHIM_DEVICES_MAX; i++) {
		const struct gpushim_policy_measured *row = &page->page->measured[i];

		if (gsh_load_relaxed(&row->count) != 0 &&
		    memcmp(row->uuid, uuid, sizeof(row->uuid)) == 0)
			return gsh_load_relaxed(&row->overhead_bytes);
	}
	return 0;
}

/* ---- opening ---- */

static int refuse(struct gsh_reason *why, const char *path, int error,
		  const char *sentence)
{
	gsh_reason_set(why, "policy page ", path, " ", sentence, NULL);
	return error;
}

/* Whether what is mapped is a page of this version, as far as can be said without limits. */
static int check_header(const struct gpushim_policy_page *page, uint64_t file_bytes,
			const char *path, struct gsh_reason *why)
{
	/* Pairs with the release with which a page is declared complete. */
	if (!gsh_load_acquire(&page->ready))
		return refuse(why, path, -ENOENT, "is not ready: it is still being made");
	if (page->magic != GPUSHIM_POLICY_MAGIC)
		return refuse(why, path, -EPROTO,
			      "is not a policy page: it begins with something else");
	if (page->version != GPUSHIM_POLICY_VERSION)
		return refuse(
			why, path, -EPROTONOSUPPORT,
			"is of another version: use tools and library of one release");
	if (page->bytes < GPUSHIM_POLICY_BYTES || page->bytes > file_bytes)
		return refuse(why, path, -EPROTO,
			      "is not whole: it says another size than the file has");
	if (gsh_load_acquire(&page->generation) == 0)
		return refuse(why, path, -ENOENT, "has no limits yet");
	return 0;
}

static int take_first(struct gsh_page *page, const char *path,
		      struct gpushim_policy_limits *limits, struct gsh_reason *why)
{
	switch (take_limits(page, limits)) {
	case TAKE_NEW:
		return 0;
	case TAKE_BUSY:
		return refuse(why, path, -EBUSY, "changes faster than it can be read");
	default:
		return refuse(why, path, -EPROTO,
			      "has no valid limits (wrong checksum): publish them again");
	}
}

static int map_page(int fd, const char *path, struct gsh_page *page,
		    struct gpushim_policy_limits *limits, struct gsh_reason *why)
{
	struct gsh_file_status status;
	int result = gsh_file_status(fd, &status);
	void *map;

	if (result < 0)
		return refuse(why, path, result, "cannot be examined");
	if (status.bytes < GPUSHIM_POLICY_BYTES)
		return refuse(why, path, -EPROTO, "is truncated: publish it again");
	map = mmap(NULL, GPUSHIM_POLICY_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return refuse(why, path, -errno, "cannot be mapped");
	/* Only saves a forked child 16 KiB that it would never look at. */
	(void)madvise(map, GPUSHIM_POLICY_BYTES, MADV_DONTFORK);
	page->page = map;
	result = check_header(map, status.bytes, path, why);
	if (result == 0)
		result = take_first(page, path, limits, why);
	if (result < 0)
		gsh_page_close(page);
	return result;
}

/* Opening for writing changes nothing, and knows read-only mounts as access(2) does not. */
static bool can_write(const char *path)
{
	struct gsh_reason ignored;
	int fd = gsh_file_open(path, O_RDWR, &ignored);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int gsh_page_open(struct gsh_page *page, const char *path,
		  struct gpushim_policy_limits *limits, struct gsh_reason *why)
{
	int fd, result;

	memset(page, 0, sizeof(*page));
	fd = gsh_file_open(path, O_RDONLY, why);
	if (fd < 0)
		return fd;
	result = map_page(fd, path, page, limits, why);
	close(fd);
	if (result == 0)
		page->writable = can_write(path);
	return result;
}

void gsh_page_close(struct gsh_page *page)
{
	if (page->page)
		munmap((void *)(uintptr_t)page->page, GPUSHIM_POLICY_BYTES);
	memset(page, 0, sizeof(*page));
}
