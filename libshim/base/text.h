/*
 * text.h - sentences put together without printf, which a guest must not import.
 *
 * A gsh_text writes into a buffer of the caller, always ends it with NUL, and drops what
 * does not fit. No allocation, no locale, async-signal-safe.
 */
#ifndef GSH_BASE_TEXT_H
#define GSH_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Why something could not be done: one sentence without a newline. */
struct gsh_reason {
	char text[192]; /* GPUSHIM_REASON_BYTES */
};

struct gsh_text {
	char *at;
	size_t room; /* for the NUL too */
};

/* Borrows buffer; bytes > 0. */
void gsh_text_init(struct gsh_text *text, char *buffer, size_t bytes);
void gsh_text_add(struct gsh_text *text, const char *string);
void gsh_text_add_n(struct gsh_text *text, const char *bytes, size_t count);
void gsh_text_add_u64(struct gsh_text *text, uint64_t value);
/* As people write sizes: "8 GiB", "1.5 MiB" (exact to a tenth, or plain bytes). */
void gsh_text_add_size(struct gsh_text *text, uint64_t bytes);
/* "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" */
void gsh_text_add_uuid(struct gsh_text *text, const uint8_t uuid[16]);
/* "No such file or directory" for the usual values, else "error N". */
void gsh_text_add_errno(struct gsh_text *text, int error);

/* Strings one after another, ended by NULL: gsh_reason_set(&why, path, " is a link", NULL). */
void gsh_reason_set(struct gsh_reason *reason, ...) __attribute__((sentinel));

#endif
