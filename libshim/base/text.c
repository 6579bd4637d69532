/*
 * text.c - strings, numbers, sizes, UUIDs and errors, one after another into a buffer.
 *
 * Knows how such things are written for people. Knows no format of files.
 */
#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

void gsh_text_init(struct gsh_text *text, char *buffer, size_t bytes)
{
	text->at = buffer;
	text->room = bytes;
	*buffer = '\0';
}

void gsh_text_add_n(struct gsh_text *text, const char *bytes, size_t count)
{
	if (count > text->room - 1)
		count = text->room - 1;
	memcpy(text->at, bytes, count);
	text->at += count;
	text->room -= count;
	*text->at = '\0';
}

void gsh_text_add(struct gsh_text *text, const char *string)
{
	gsh_text_add_n(text, string, strlen(string));
}

void gsh_text_add_u64(struct gsh_text *text, uint64_t value)
{
	char digits[20]; /* of UINT64_MAX */
	size_t first = sizeof(digits);

	do {
		digits[--first] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	gsh_text_add_n(text, digits + first, sizeof(digits) - first);
}

void gsh_text_add_size(struct gsh_text *text, uint64_t bytes)
{
	static const char *const units[] = { " B", " KiB", " MiB", " GiB", " TiB" };

	/* The largest unit that says it exactly. */
	for (unsigned i = 4; i > 0; i--) {
		uint64_t unit = UINT64_C(1) << (10 * i);
		uint64_t tenths = bytes % unit * 10;

		if (bytes < unit || tenths % unit != 0)
			continue;
		gsh_text_add_u64(text, bytes / unit);
		if (tenths > 0) {
			gsh_text_add(text, ".");
			gsh_text_add_u64(text, tenths / unit);
		}
		gsh_text_add(text, units[i]);
		return;
	}
	gsh_text_add_u64(text, bytes);
	gsh_text_add(text, units[0]);
}

void gsh_text_add_uuid(struct gsh_text *text, const uint8_t uuid[16])
{
	static const char hex[] = "0123456789abcdef";

	gsh_text_add(text, "GPU-");
	for (int i = 0; i < 16; i++) {
		char pair[] = { hex[uuid[i] >> 4], hex[uuid[i] & 15] };

		if (i == 4 || i == 6 || i == 8 || i == 10)
			gsh_text_add(text, "-");
		gsh_text_add_n(text, pair, sizeof(pair));
	}
}

void gsh_text_add_errno(struct gsh_text *text, int error)
{
	/* strerror(3) would ask the locale, and allocate. */
	static const struct {
		int error;
		const char *words;
	} known[] = {
		{ EPERM, "Operation not permitted" },
		{ ENOENT, "No such file or directory" },
		{ EINTR, "Interrupted system call" },
		{ EIO, "Input/output error" },
		{ ENXIO, "No such device or address" },
		{ EBADF, "Bad file descriptor" },
		{ EAGAIN, "Resource temporarily unavailable" },
		{ ENOMEM, "Cannot allocate memory" },
		{ EACCES, "Permission denied" },
		{ EBUSY, "Device or resource busy" },
		{ EEXIST, "File exists" },
		{ EXDEV, "Invalid cross-device link" },
		{ ENODEV, "No such device" },
		{ ENOTDIR, "Not a directory" },
		{ EISDIR, "Is a directory" },
		{ EINVAL, "Invalid argument" },
		{ ENFILE, "Too many open files in system" },
		{ EMFILE, "Too many open files" },
		{ EFBIG, "File too large" },
		{ ENOSPC, "No space left on device" },
		{ EROFS, "Read-only file system" },
		{ EMLINK, "Too many links" },
		{ ERANGE, "Numerical result out of range" },
		{ ENAMETOOLONG, "File name too long" },
		{ ENOLCK, "No locks available" },
		{ ENOSYS, "Function not implemented" },
		{ ENOTEMPTY, "Directory not empty" },
		{ ELOOP, "Too many levels of symbolic links" },
		{ EPROTO, "Protocol error" },
		{ EOVERFLOW, "Value too large for defined data type" },
		{ EUSERS, "Too many users" },
		{ EOPNOTSUPP, "Operation not supported" },
		{ ETIMEDOUT, "Connection timed out" },
		{ ESTALE, "Stale file handle" },
		{ EDQUOT, "Disk quota exceeded" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (known[i].error == error) {
			gsh_text_add(text, known[i].words);
			return;
		}
	}
	gsh_text_add(text, "error ");
	if (error < 0)
		gsh_text_add(text, "-");
	gsh_text_add_u64(text, error < 0 ? 0 - (uint64_t)error : (uint64_t)error);
}

void gsh_reason_set(struct gsh_reason *reason, ...)
{
	struct gsh_text text;
	const char *string;
	va_list strings;

	gsh_text_init(&text, reason->text, sizeof(reason->text));
	va_start(strings, reason);
	while ((string = va_arg(strings, const char *)))
		gsh_text_add(&text, string);
	va_end(strings);
}
