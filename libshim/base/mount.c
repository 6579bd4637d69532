/*
 * mount.c - telling a directory from one that something is mounted at.
 *
 * Knows two ways: what the kernel says of it, and where it says nothing, device numbers.
 * Refuses to know what is mounted.
 */
#include "base/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

#ifndef STATX_ATTR_MOUNT_ROOT
#define STATX_ATTR_MOUNT_ROOT 0x00002000 /* Linux 5.8 */
#endif

/* The number of the device that path lies on, links not followed. */
static bool device_of(const char *path, uint64_t *device)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path,
			      O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct gsh_file_status status;
	int error;

	if (fd < 0)
		return false;
	error = gsh_file_status(fd, &status);
	syscall(SYS_close, fd);
	*device = status.device;
	return error == 0;
}

/* What is mounted from another file system is seen by every kernel. */
static bool is_on_other_device(const char *path)
{
	char parent[512];
	struct gsh_text text;
	uint64_t here, above;

	gsh_text_init(&text, parent, sizeof(parent));
	gsh_text_add(&text, path);
	gsh_text_add(&text, "/..");
	return device_of(path, &here) && device_of(parent, &above) && here != above;
}

bool gsh_mount_is_at(const char *path)
{
	struct statx status;
	int saved = errno;
	bool result;

	if (syscall(SYS_statx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, 0, &status) == 0 &&
	    (status.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
		result = (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
	else
		result = is_on_other_device(path);
	errno = saved;
	return result;
}
