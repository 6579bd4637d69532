/*
 * page.h - a tenant's policy page as one of its processes reads it.
 *
 * Knows the file, its protocol (gpushim/policy.h) and the last valid limits. Does not know
 * variables, limits.json, or what a limit means.
 *
 * Threads: open by one; gsh_page_changed() by all; gsh_page_adopt() under the caller's lock.
 */
#ifndef GSH_LEDGER_PAGE_H
#define GSH_LEDGER_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/text.h"
#include "gpushim/policy.h"

struct gsh_page {
	const struct gpushim_policy_page *page; /* the mapping; NULL: no page */
	bool writable;	  /* this process could open it for writing */
	uint64_t adopted; /* generation in force here */
	uint64_t
		seen; /* atomic; generation last looked at, whether it was valid or not */
};

/*
 * Maps the page at path read-only and takes the first limits from it. Returns 0; -ENOENT:
 * there is no file, or it is not ready or has no limits yet; -EPROTO, -EPROTONOSUPPORT and
 * others: it is there and not valid. Reason in *why. A link in the page's place is refused.
 * The mapping is not there in forked children, who open their own.
 */
int gsh_page_open(struct gsh_page *page, const char *path,
		  struct gpushim_policy_limits *limits, struct gsh_reason *why);

/* Whether there may be something to adopt: one load. */
static inline bool gsh_page_changed(const struct gsh_page *page)
{
	/* Pairs with the release store of the writer. */
	return page->page &&
	       gsh_load_acquire(&page->page->generation) != gsh_load_relaxed(&page->seen);
}

/*
 * Copies the limits in force. True if *limits changed hands; false: nothing new, or what is
 * there is not valid (counted in *errors, atomically, once per generation), and *limits is
 * as it was.
 */
bool gsh_page_adopt(struct gsh_page *page, struct gpushim_policy_limits *limits,
		    uint64_t *errors);

/* What was measured on a device beyond the ledger, 0 if nothing was. */
uint64_t gsh_page_overhead(const struct gsh_page *page, const uint8_t uuid[16]);

/* What the agent's heartbeat was last; 0 if there is no page or none ever beat. */
static inline uint64_t gsh_page_heartbeat(const struct gsh_page *page)
{
	/* Pairs with the agent's release: measurements made before a beat are seen after it. */
	return page->page ? gsh_load_acquire(&page->page->heartbeat) : 0;
}

/* True if the copy's generation, checksum, counts and strings are right. */
bool gsh_policy_limits_valid(const struct gpushim_policy_limits *limits);
uint64_t gsh_policy_checksum(const struct gpushim_policy_limits *limits);

void gsh_page_close(struct gsh_page *page);

#endif
