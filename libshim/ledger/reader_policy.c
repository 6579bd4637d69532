/*
 * reader_policy.c - a tenant's policy page, read from outside while somebody writes it.
 *
 * Knows the page's protocol and trusts no word of it. Refuses to know ledgers.
 */
#include "ledger/reader_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "ledger/page.h"
#include "ledger/reader_file.h"

/* Tries to read a page's limits while somebody writes them. */
enum { POLICY_TRIES = 4 };

void gsh_reader_open_policy(struct gpushim_reader *reader)
{
	struct gsh_reason unsaid;
	struct stat status;
	int fd = -ENOENT;

	if (reader->policy_path[0])
		fd = gsh_file_open(reader->policy_path, O_RDONLY, &unsaid);
	else if (reader->dir[0])
		fd = gsh_reader_open_below(reader->dir, "policy", reader->tenant,
					   &unsaid);
	if (fd >= 0 && (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))) {
		close(fd);
		fd = -EPROTO;
	}
	reader->policy_fd = fd < 0 ? -1 : fd;
}

/* What a single reading of the page says, if it is right. */
static bool page_limits(const struct gpushim_policy_page *page,
			struct gpushim_policy_limits *limits)
{
	if (page->magic != GPUSHIM_POLICY_MAGIC || !page->ready ||
	    page->version != GPUSHIM_POLICY_VERSION || page->generation == 0)
		return false;
	*limits = page->limits[page->generation & 1];
	return limits->generation == page->generation && gsh_policy_limits_valid(limits);
}

void gsh_reader_show_policy(struct gpushim_reader *reader,
			    struct gpushim_snapshot *snapshot)
{
	struct gpushim_policy_limits *shown = &snapshot->policy, limits;

	if (reader->policy_fd < 0)
		gsh_reader_open_policy(reader);
	for (int i = 0; reader->policy_fd >= 0 && i < POLICY_TRIES; i++) {
		if (pread(reader->policy_fd, &reader->page, sizeof(reader->page), 0) !=
		    (ssize_t)sizeof(reader->page))
			return;
		if (!page_limits(&reader->page, &limits))
			continue;
		*shown = limits;
		gsh_reader_copy_text(shown->tenant, limits.tenant, sizeof(shown->tenant));
		gsh_reader_copy_text(shown->source, limits.source, sizeof(shown->source));
		gsh_reader_copy_text(shown->reason, limits.reason, sizeof(shown->reason));
		snapshot->heartbeat = reader->page.heartbeat;
		snapshot->has_policy = 1;
		return;
	}
}
