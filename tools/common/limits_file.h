/*
 * limits_file.h - a limits.json in memory, as the files limits*.c share it.
 */
#ifndef GSH_TOOLS_LIMITS_FILE_H
#define GSH_TOOLS_LIMITS_FILE_H

#include "common/limits.h"
#include "common/locate.h"

/* "*" is the template. limits: generation, checksum, source and reason are not filled. */
struct gsh_limits_tenant {
	char name[GPUSHIM_NAME_BYTES];
	struct gpushim_policy_limits limits;
};

struct gsh_limits_file {
	char *path;
	char *text; /* kept, because errors of fit have positions too */
	size_t bytes;
	bool overcommit;
	struct gsh_limits_tenant *tenants;
	size_t tenants_count;
};

/*
 * Fills *error with "FILE:LINE:COLUMN: POINTER: " and the sentence. The place is that of the
 * value or key at the pointer, or of the nearest value around it that is there. -EINVAL.
 */
int gsh_limits_refuse(const struct gsh_limits_file *file, const char *pointer,
		      enum gsh_locate_what what, struct gsh_limits_error *error,
		      const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The same where the place is known. */
int gsh_limits_refuse_at(const struct gsh_limits_file *file, const char *pointer,
			 size_t offset, struct gsh_limits_error *error,
			 const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Reads file->text into file->tenants. 0, -EINVAL or -ENOMEM. limits_parse.c */
int gsh_limits_read_text(struct gsh_limits_file *file, struct gsh_limits_error *error);

/* The entry of a name; NULL: there is none. */
const struct gsh_limits_tenant *gsh_limits_entry(const struct gsh_limits_file *file,
						 const char *name);

#endif
