/*
 * tenants.h - whose policies and ledgers lie under a directory.
 *
 * Knows names and that a file is regular; opens none.
 */
#ifndef GSH_TOOLS_TENANTS_H
#define GSH_TOOLS_TENANTS_H

#include <stddef.h>

#include "gpushim/policy.h"

/* All zero is empty. */
struct gsh_tenants {
	size_t count;
	char (*names)[GPUSHIM_NAME_BYTES]; /* sorted by gsh_tenants_list() */
};

/* All that have a policy page or a ledger under dir. To be given to gsh_tenants_free(). */
void gsh_tenants_list(const char *dir, struct gsh_tenants *tenants);
void gsh_tenants_free(struct gsh_tenants *tenants);

#endif
