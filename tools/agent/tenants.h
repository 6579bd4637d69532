/*
 * tenants.h - the tenants that are there, and their policy pages.
 *
 * A tenant is there while it has a directory below DIR/ledger, or a policy page. Knows pages,
 * by whom they are written (us, who hold the writers' lock), and when a tenant has come and
 * gone. Refuses to know who may have what, and what stands in ledgers.
 *
 * When the directory of a tenant below DIR/ledger has gone, so has the tenant. Its page is
 * then closed here, and removed if it stands for nothing more: if its limits were not the
 * tenant's own in a limits.json, but the template's or those of a closed tenant. Nothing is
 * ever removed below DIR/ledger.
 *
 * One thread.
 */
#ifndef GSH_AGENT_TENANTS_H
#define GSH_AGENT_TENANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "common/page_file.h"
#include "common/tenants.h"

struct agent_counts;

struct agent_tenant {
	char name[GPUSHIM_NAME_BYTES];
	struct gsh_page_file page;
	bool has_directory;	     /* below DIR/ledger */
	bool is_wanting;	     /* is to get a policy, or another, soon */
	bool is_owed;		     /* the last try failed */
	struct agent_counts *counts; /* ours, of what it has used; NULL: none yet */
	char said[192];		     /* what was last said of what went wrong with it */
};

struct agent_tenants {
	const char *dir;
	uint32_t beat_ms;
	int directory_fd; /* DIR/ledger, -1: lost */
	size_t count;
	struct agent_tenant **all;
	size_t wanting; /* tenants that are wanting */
};

/* Borrows dir. A heart beats every beat_ms. 0 or -errno with a reason. */
int agent_tenants_open(struct agent_tenants *tenants, const char *dir, uint32_t beat_ms,
		       struct gsh_reason *why);
void agent_tenants_close(struct agent_tenants *tenants);

/* Looks who is there: adds who has come, forgets who has gone. True if somebody has gone. */
bool agent_tenants_scan(struct agent_tenants *tenants);
/* The same for one name, which is any text; as when its directory has come or gone. */
bool agent_tenants_look(struct agent_tenants *tenants, const char *name);

/* DIR/ledger is another directory than when it was last scanned. */
bool agent_tenants_are_moved(const struct agent_tenants *tenants);

struct agent_tenant *agent_tenants_find(const struct agent_tenants *tenants,
					const char *name);
/*
 * The names, sorted, for gsh_tenants_free(); without those for which gpushim-run is about to
 * publish.
 */
void agent_tenants_names(const struct agent_tenants *tenants, struct gsh_tenants *names);

/* As gsh_publish(); nothing is written if the same is in force. */
int agent_tenants_publish(struct agent_tenants *tenants,
			  const struct gpushim_policy_limits *limits,
			  struct gsh_reason *why);
/* What is in force: 0, or -ENOENT. */
int agent_tenants_published(const struct agent_tenants *tenants, const char *name,
			    struct gpushim_policy_limits *limits);

/*
 * The next that is to get a policy and is tried no more before agent_tenants_check(), until
 * it is looked at again. NULL: none. Who is closed wants one anew when somebody has gone.
 */
const char *agent_tenants_next_wanting(struct agent_tenants *tenants);
void agent_tenants_want_closed(struct agent_tenants *tenants);

/* A beat in every page. */
void agent_tenants_beat(struct agent_tenants *tenants);
/* Finds pages that somebody has removed or replaced, and tries again what has failed. */
void agent_tenants_check(struct agent_tenants *tenants);

/* Says it once, and again when it is something else. "" is said when all is well again. */
void agent_tenant_say(struct agent_tenant *tenant, const char *sentence);

#endif
