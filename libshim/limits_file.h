/*
 * limits_file.h - limits.json, read by the tools' own parser.
 *
 * The parser needs a library for JSON, which no process should load that needs none: it is
 * libgpushim-limits.so, found beside this library and opened when it is needed.
 */
#ifndef GSH_LIMITS_FILE_H
#define GSH_LIMITS_FILE_H

#include "base/text.h"
#include "gpushim/policy.h"

/* Limits of tenant by the file at path. 0, or -errno with a reason. */
int gsh_limits_file_load(const char *path, const char *tenant,
			 struct gpushim_policy_limits *limits, struct gsh_reason *why);

#endif
