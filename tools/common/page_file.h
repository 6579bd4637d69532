/*
 * page_file.h - a tenant's policy page as its writer has it: the file, and the order of the
 * stores that readers rely on (gpushim/policy.h).
 *
 * Knows no directory and no lock: that there is one writer at a time is the caller's affair.
 * One thread at a time for each page.
 */
#ifndef GSH_TOOLS_PAGE_FILE_H
#define GSH_TOOLS_PAGE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "gpushim/policy.h"

/* All zero is closed. */
struct gsh_page_file {
	struct gpushim_policy_page *page; /* mapped for writing; NULL: closed */
	uint64_t device, inode;
};

/*
 * Maps the page at path for writing. 0; -ENOENT: there is none; -EPROTO and others: it cannot
 * be one.
 *
 * Who can read a page can hold a lease on it (fcntl(2)): then who opens it for writing has to
 * wait until the kernel takes that away (45 seconds). wait: does so; otherwise -EAGAIN, and
 * the kernel's clock runs. While a page is open nobody can lease it.
 */
int gsh_page_file_open(struct gsh_page_file *file, const char *path, bool wait,
		       struct gsh_reason *why);
void gsh_page_file_close(struct gsh_page_file *file);

/* Makes a page with these limits in force, whole or not at all. 0, -EEXIST or -errno. */
int gsh_page_file_create(const char *path, const struct gpushim_policy_limits *limits,
			 struct gsh_reason *why);

/* Puts limits in force: the next generation. path is for the reason. 0 or -errno. */
int gsh_page_file_write(struct gsh_page_file *file,
			const struct gpushim_policy_limits *limits, const char *path,
			struct gsh_reason *why);

/*
 * The limits in force, as the writer finds them. False: there are none, because the page was
 * never finished, is of another version, or somebody has scribbled on it.
 */
bool gsh_page_file_limits(const struct gsh_page_file *file,
			  struct gpushim_policy_limits *limits);

/* One beat of the heart, which comes every period_ms. Nothing on what is no page of ours. */
void gsh_page_file_beat(struct gsh_page_file *file, uint32_t period_ms);

#endif
