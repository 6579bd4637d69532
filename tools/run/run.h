/*
 * run.h - the parts of gpushim-run: options, the tenant, the environment.
 */
#ifndef GSH_TOOLS_RUN_H
#define GSH_TOOLS_RUN_H

#include <limits.h>
#include <stdbool.h>

#include "gpushim/policy.h"

/* As env(1): 126 and 127 are the program's, found or not. */
enum { EXIT_OWN = 125, EXIT_NOT_RUN = 126, EXIT_NOT_FOUND = 127 };

struct run_options {
	const char *dir, *tenant, *limits_file; /* NULL: not given */
	struct gpushim_policy_device device;	/* what was given, over no limit at all */
	uint32_t flags;				/* enum gpushim_policy_flags: --audit */
	bool limited; /* any option that says how much, or that it is not enforced */
	bool sim;
	char **program; /* with its arguments, ended by NULL */
};

/* What the program is to run in. */
struct run_tenant {
	char dir[PATH_MAX]; /* absolute */
	char name[GPUSHIM_NAME_BYTES];
};

/* "gpushim-run: ...", a line on standard error. Returns EXIT_OWN. */
int run_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * tenant.c: publishes the limits that were asked for, or finds those that are there; sweeps
 * what earlier runs left. 0, or EXIT_OWN after saying why.
 */
int run_prepare(const struct run_options *options, struct run_tenant *tenant);

/* sweep.c: removes tenants of earlier runs under dir that no process belongs to any more. */
void run_sweep(const char *dir);

/* launch.c: what the program loads, and who it is. 0, or EXIT_OWN after saying why. */
int run_set_libraries(bool sim);
int run_set_tenant(const struct run_tenant *tenant);

#endif
