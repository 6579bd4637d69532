/*
 * limits_load.c - what guests call: the limits of one tenant, straight from limits.json.
 *
 * The one exported function of libgpushim-limits.so. It is called in programs that are not
 * ours, older C libraries included: nothing here prints, exits, or keeps state.
 */
#include "common/limits.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"

__attribute__((visibility("default"))) int gpushim_limits_load(
	const char *path, const char *tenant, struct gpushim_policy_limits *limits,
	char *reason, size_t reason_bytes)
{
	struct gsh_limits_error error = { "" };
	struct gsh_limits_file *file = gsh_limits_read(path, &error);
	int result = -EINVAL;
	struct gsh_text text;

	if (file)
		result = gsh_limits_fit(file, NULL, 0, NULL, 0, &error);
	/* The template is nobody's. */
	if (file && result == 0)
		result = gsh_limits_of(file, strcmp(tenant, "*") ? tenant : "", limits,
				       &error);
	gsh_limits_free(file);
	if (reason_bytes > 0) {
		gsh_text_init(&text, reason, reason_bytes);
		gsh_text_add(&text, error.text);
	}
	return result;
}
