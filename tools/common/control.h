/*
 * control.h - asking the agent that lives in a directory to change limits there.
 *
 * The socket is DIR/agent.sock, of mode 0600; the agent answers root and its own user. One
 * request per connection, and its answer; a request is one line of ASCII, words separated by
 * single spaces:
 *
 *	gpushim 1 publish LIMITS
 *	gpushim 1 apply BYTES PATH	and so many bytes of a limits.json
 *
 * LIMITS (a struct gpushim_policy_limits) and PATH are in hexadecimal. Answers are lines too:
 *
 *	ok
 *	error NUMBER SENTENCE		an errno, and what gsh_publish() says with it
 *	refused SENTENCE		the file, as gsh_limits_read() or _fit() says it
 *	row OUTCOME TEMPLATED LIMITS SENTENCE	of apply: one for each tenant
 *	devices COUNT SENTENCE		of apply: how many there are, or why none are known
 *
 * and "ok", "error" or "refused" is the last.
 */
#ifndef GSH_TOOLS_CONTROL_H
#define GSH_TOOLS_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "common/apply.h"

#define GSH_CONTROL_NAME "agent.sock"
#define GSH_CONTROL_GREETING "gpushim 1 "

enum {
	GSH_CONTROL_LINE_MAX = 16 * 1024,      /* NUL included */
	GSH_CONTROL_CONTENT_MAX = 1024 * 1024, /* as long as a limits.json may be */
	GSH_CONTROL_LIMITS_BYTES = 2 * sizeof(struct gpushim_policy_limits) + 1,
};

/* ---- both sides ---- */

/* Writes 2 * bytes + 1 characters. */
void gsh_control_to_hex(char *text, const void *from, size_t bytes);
/* Reads up to a space or the end; that must be exactly so many bytes. 0 or -EINVAL. */
int gsh_control_from_hex(const char *text, void *to, size_t bytes);

/* ---- who asks; these may wait for seconds ---- */

/*
 * Asks the agent to publish. -ENOTCONN: none answers there (nothing is said); else what
 * gsh_publish() returns.
 */
int gsh_control_publish(const char *dir, const struct gpushim_policy_limits *limits,
			struct gsh_reason *why);

/* Answers to apply, in this order. */
struct gsh_control_apply {
	void (*report)(void *data, const struct gsh_apply_row *row);
	void *data;
	size_t devices_count;
	struct gsh_reason no_devices;
	struct gsh_limits_error error; /* of the file */
	struct gsh_reason why;	       /* of anything else */
};

/*
 * Asks the agent to apply a file. 0: done, with what became of everybody reported; -EINVAL:
 * the file was refused, for *error; -ENOTCONN: no agent answers there; others: *why.
 */
int gsh_control_apply(const char *dir, const char *path, const char *text, size_t bytes,
		      struct gsh_control_apply *apply);

/*
 * Who serves a directory: the process, or 0 if none answers. Connecting is all that is done.
 */
long gsh_control_server(const char *dir);

#endif
