/*
 * mount.h - whether something is mounted at a path. Any thread; keeps errno.
 */
#ifndef GSH_BASE_MOUNT_H
#define GSH_BASE_MOUNT_H

#include <stdbool.h>

/* False also for what is not there, or is a link. */
bool gsh_mount_is_at(const char *path);

#endif
