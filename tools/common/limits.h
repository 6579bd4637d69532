/*
 * limits.h - limits.json: parsed, checked, and turned into what a policy page holds.
 *
 * The only place that knows JSON. Used by the tools, and inside guests as
 * libgpushim-limits.so, whose one exported function is gpushim_limits_load().
 */
#ifndef GSH_TOOLS_LIMITS_H
#define GSH_TOOLS_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gpushim/policy.h"

/* Of one file. */
struct gsh_limits_file;

/* Where and why a file was refused: "FILE:LINE:COLUMN: /pointer: sentence". */
struct gsh_limits_error {
	char text[1024];
};

/*
 * Reads and checks the file. Returns it, to be given to gsh_limits_free(), or NULL with
 * *error filled. Everything about the file itself is checked here; what needs to know
 * devices is checked by gsh_limits_fit().
 */
struct gsh_limits_file *gsh_limits_read(const char *path, struct gsh_limits_error *error);
/* The same for text in memory; path is only for messages. */
struct gsh_limits_file *gsh_limits_parse(const char *text, size_t bytes, const char *path,
					 struct gsh_limits_error *error);
void gsh_limits_free(struct gsh_limits_file *file);

/* Names in the file, "*" included, in its order. NULL past the end. Borrowed. */
const char *gsh_limits_tenant(const struct gsh_limits_file *file, size_t index);

/*
 * Limits of a tenant by the file: its own entry, or "*". generation and checksum are left
 * 0 for who publishes. 0; -ENOENT: neither is there; *error says so. tenant "*": the template
 * itself, which nobody can publish.
 */
int gsh_limits_of(const struct gsh_limits_file *file, const char *tenant,
		  struct gpushim_policy_limits *limits, struct gsh_limits_error *error);

/* "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", or "MIG-" of a slice. 0 or -EINVAL. */
int gsh_limits_uuid(const char *text, uint8_t uuid[16]);

struct gsh_limits_device {
	uint8_t uuid[16];
	uint64_t total_bytes;
};

/*
 * Whether all quotas, and all guaranteed requests, fit on each of the devices together
 * (count 0: only what holds on any device is checked). Templated tenants that are already
 * there are given by name; "*" itself claims nothing. 0, or -EDQUOT with *error.
 */
int gsh_limits_fit(const struct gsh_limits_file *file,
		   const struct gsh_limits_device *devices, size_t count,
		   const char *const *templated, size_t templated_count,
		   struct gsh_limits_error *error);

/*
 * For guests: the limits of tenant in the file at path. 0 or -errno; reason gets at most
 * reason_bytes, NUL included. Exported by libgpushim-limits.so; ABI is kept.
 */
int gpushim_limits_load(const char *path, const char *tenant,
			struct gpushim_policy_limits *limits, char *reason,
			size_t reason_bytes);

#endif
