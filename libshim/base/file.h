/*
 * file.h - opening and making files in directories that others may have prepared.
 *
 * Follows no link in the last component, and none at all below a directory that other users
 * can write; opens O_NONBLOCK, so that a FIFO does not hang; takes nothing but regular files
 * and directories. Knows no format. Any thread. Returns a descriptor (close-on-exec) or 0, or
 * -errno with a sentence that names the path.
 */
#ifndef GSH_BASE_FILE_H
#define GSH_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

struct gsh_file_status {
	uint64_t bytes, device, inode;
	uint32_t mode; /* with type */
	uint32_t uid;
};

/*
 * flags: O_RDONLY, O_RDWR, or that with O_CREAT (mode 0600). Not a regular file: -EPROTO.
 * A link: -ELOOP.
 */
int gsh_file_open(const char *path, int flags, struct gsh_reason *why);

/* fstat that no newer libc is needed for. 0 or -errno. */
int gsh_file_status(int fd, struct gsh_file_status *status);

/*
 * Makes the directory and its missing parents, mode (umask does not count; it is not
 * changed). 0 also if it is there already. A link or something else in its place: -ENOTDIR.
 */
int gsh_file_make_directories(const char *path, uint32_t mode, struct gsh_reason *why);

/*
 * A directory for this user alone: made with mode 0700, or there already and owned by the
 * effective user with no access for others. Else -EPERM with the owner's id in the reason.
 */
int gsh_file_private_directory(const char *path, struct gsh_reason *why);

/*
 * Makes path complete or not at all: a temporary file in the same directory, fully
 * allocated (posix_fallocate), filled by fill(data, fd), mode set with fchmod, then linked to
 * its name. 0; -EEXIST: somebody else was first, whose file stands; -ENOSPC and others.
 */
int gsh_file_create(const char *path, uint64_t bytes, uint32_t mode,
		    int (*fill)(void *data, int fd), void *data, struct gsh_reason *why);

#endif
