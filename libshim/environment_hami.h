/*
 * environment_hami.h - HAMi's variables, so that its pods need no others.
 *
 * Knows their names and how it writes sizes and shares. What is gathered lies in a struct
 * gsh_environment; environment.c walks through the variables.
 */
#ifndef GSH_ENVIRONMENT_HAMI_H
#define GSH_ENVIRONMENT_HAMI_H

#include <stdbool.h>
#include <stdint.h>

#include "environment.h"

/* What is only decided once all variables were read; zero at the start. */
struct gsh_hami {
	struct gsh_variable_share share; /* CUDA_DEVICE_SM_LIMIT */
	bool has_share;			 /* that, or one with an index, is there */
	const char *core_policy;	 /* GPU_CORE_UTILIZATION_POLICY; borrowed */
};

/* 1: entry is one of them, and was read; 0: it is not; -EINVAL, with a reason. */
int gsh_hami_read(struct gsh_hami *hami, struct gsh_environment *environment,
		  const char *entry, struct gsh_reason *why);

/* Whether limits of GPU time hold, if there are any. 0, or -EINVAL with a reason. */
int gsh_hami_settle(const struct gsh_hami *hami, struct gsh_environment *environment,
		    struct gsh_reason *why);

/* ---- environment.c ---- */

/* -EINVAL, with "NAME=VALUE is not WANTED" as the reason, unless there is one already. */
int gsh_environment_malformed(struct gsh_reason *why, const char *name, const char *value,
			      const char *wanted);
void gsh_environment_lower(struct gsh_variable_limit *limit, uint64_t bytes,
			   uint32_t source);
/* Request and limit are lowered each by itself; a request of 0 is none. */
void gsh_environment_lower_share(struct gsh_variable_share *share,
				 uint32_t request_permille, uint32_t limit_permille,
				 uint32_t source);

#endif
