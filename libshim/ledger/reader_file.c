/*
 * reader_file.c - opening files below a directory without following links.
 *
 * One component after another with O_NOFOLLOW, which every kernel can; the names are single
 * components and never "..", so that nothing leads out of the directory. Refuses to know
 * what is in the files.
 */
#include "ledger/reader_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

static int refuse(struct gsh_reason *why, const char *what, const char *verb, int error)
{
	struct gsh_text text;

	gsh_text_init(&text, why->text, sizeof(why->text));
	gsh_text_add(&text, what);
	gsh_text_add(&text, verb);
	gsh_text_add_errno(&text, error);
	return -error;
}

static bool is_link(int parent_fd, const char *name)
{
	char target;

	return readlinkat(parent_fd, name, &target, 1) >= 0;
}

/* One step down, never through a link. Takes parent_fd. */
static int step(int parent_fd, const char *name, int flags, struct gsh_reason *why)
{
	int fd = openat(parent_fd, name, flags | O_NOFOLLOW | O_CLOEXEC), error = errno;

	/* With O_DIRECTORY a link is only said to be no directory. */
	if (fd < 0 && (error == ELOOP || is_link(parent_fd, name))) {
		gsh_reason_set(why, name, " is a link, which is not followed here", NULL);
		fd = -ELOOP;
	} else if (fd < 0) {
		fd = refuse(why, name, " cannot be opened: ", error);
	}
	close(parent_fd);
	return fd;
}

int gsh_reader_open_below(const char *dir, const char *kind, const char *tenant,
			  struct gsh_reason *why)
{
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct gsh_reason cause;

	if (fd < 0)
		return refuse(why, dir, " cannot be opened: ", errno);
	fd = step(fd, kind, O_PATH | O_DIRECTORY, why);
	if (fd >= 0 && tenant[0])
		fd = step(fd, tenant, O_PATH | O_DIRECTORY, why);
	/* A FIFO must not keep us, nor a terminal become ours. */
	if (fd >= 0)
		fd = step(fd, kind, O_RDONLY | O_NONBLOCK | O_NOCTTY, why);
	if (fd < 0) {
		cause = *why;
		gsh_reason_set(why, kind, tenant[0] ? " of tenant " : "", tenant, " in ",
			       dir, ": ", cause.text, NULL);
	}
	return fd;
}

int gsh_reader_read(int fd, void *to, size_t bytes, uint64_t offset, const char *what,
		    struct gsh_reason *why)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t got = pread(fd, (char *)to + done, bytes - done,
				    (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return refuse(why, what, " cannot be read: ", errno);
		if (got == 0) {
			gsh_reason_set(why, what, " is truncated", NULL);
			return -EPROTO;
		}
		done += (size_t)got;
	}
	return 0;
}
