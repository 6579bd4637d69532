/*
 * environment.h - what the environment says, read once.
 *
 * Knows the names of variables and how their values are written. Opens no file and decides
 * nothing: sources.h does.
 */
#ifndef GSH_ENVIRONMENT_H
#define GSH_ENVIRONMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "ledger/tenant.h"

enum { GSH_WAIT_MS = 10000 };

/* Strings are borrowed from the environment: they are not for keeping. NULL: not set. */
struct gsh_environment {
	const char *dir;	 /* GPUSHIM_DIR */
	const char *tenant;	 /* GPUSHIM_TENANT */
	const char *limits_file; /* GPUSHIM_LIMITS */
	const char *hami_cache;	 /* CUDA_DEVICE_MEMORY_SHARED_CACHE */
	bool gpushim;		 /* any GPUSHIM_* that says where or who or how much */
	bool limited;		 /* any variable that limits */
	bool allow;		 /* GPUSHIM_ON_ERROR=allow */
	bool malformed;		 /* some value was not understood */
	bool has_on_error;
	uint32_t wait_ms;
	uint64_t context_bytes; /* GPUSHIM_CONTEXT_MEMORY; 0: not given */
	uint32_t
		priority; /* GPUSHIM_PRIORITY: enum gpushim_priority plus one; 0: not given */
	int view;	  /* GPUSHIM_VIEW: enum gpushim_view, -1: not given */
	struct gsh_variable_limit all;
	struct gsh_variable_limit by_index[GPUSHIM_DEVICES_MAX];
	struct gsh_variable_share all_share;
	struct gsh_variable_share share_by_index[GPUSHIM_DEVICES_MAX];
};

/*
 * Reads all variables. 0, or -EINVAL with a reason that names the first one whose value
 * cannot be understood; what was understood is filled in all the same. Sets what
 * cuda/visible.h answers.
 */
int gsh_environment_read(struct gsh_environment *environment, struct gsh_reason *why);

#endif
