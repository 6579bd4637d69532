/*
 * publish.h - making and changing policy pages and ledgers under a directory.
 *
 * Knows the layout DIR/policy/TENANT/policy and DIR/ledger/TENANT/ledger, and who may write:
 * the agent while one lives, else whoever has the lock. Knows no JSON.
 */
#ifndef GSH_TOOLS_PUBLISH_H
#define GSH_TOOLS_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"
#include "common/page_file.h"
#include "gpushim/policy.h"

/*
 * Where tools look and publish when nothing was said: /run/gpushim if this user can write
 * there (made if it is missing), else /dev/shm/gpushim-<euid> (made with mode 0700; refused
 * if it is somebody else's or open to others), as guests do. Writes at most bytes into dir.
 * 0 or -errno.
 */
int gsh_publish_dir(char *dir, size_t bytes, struct gsh_reason *why);

/*
 * Publishes limits for limits->tenant under dir: asks the agent to, if one lives there; else
 * makes directories, ledger and page where missing, takes the writers' lock, writes the other
 * copy, and bumps the generation (those in *limits, and its checksum, are not looked at).
 * 0, or -errno with a reason; -EINVAL: limits that nobody can obey, such as no GPU time at
 * all; -EBUSY: another writer holds the lock for longer than a second; -ETIMEDOUT: the agent
 * does not answer. Killed at any instruction it leaves the old limits in force or the new
 * ones.
 *
 * Whoever can read the page and write the ledger cannot prevent a change; by a lease on the
 * page it can delay one until the kernel takes that away (45 seconds).
 */
int gsh_publish(const char *dir, const struct gpushim_policy_limits *limits,
		struct gsh_reason *why);

/* The limits in force. 0 or -errno with a reason; -ENOENT: no page. */
int gsh_published(const char *dir, const char *tenant,
		  struct gpushim_policy_limits *limits, struct gsh_reason *why);

/*
 * For who stays the writer, as the agent does: makes dir's directories and takes the writers'
 * lock, which is held while the returned descriptor is open. -EBUSY as above.
 */
int gsh_publish_lock(const char *dir, struct gsh_reason *why);
/* The tenant's page, as gsh_page_file_open() without waiting. */
int gsh_publish_open(const char *dir, const char *tenant, struct gsh_page_file *file,
		     struct gsh_reason *why);
/*
 * As gsh_publish(), by who holds the lock: into *file, or, if that is closed, into the
 * tenant's page, which is open afterwards; -EAGAIN: somebody has a lease on it.
 */
int gsh_publish_locked(const char *dir, const struct gpushim_policy_limits *limits,
		       struct gsh_page_file *file, struct gsh_reason *why);

/* Whether gpushim-run gives such names to tenants of its own: run-PID, run-PID-N. */
bool gsh_publish_is_run(const char *tenant, long *pid);

#endif
