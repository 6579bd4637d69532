/*
 * common_publish.h - policies and ledgers of a test's tenants, seen from outside.
 */
#ifndef TESTS_PRELOAD_COMMON_PUBLISH_H
#define TESTS_PRELOAD_COMMON_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

#include "gpushim/reader.h"

/* Publishes a policy under dir: so many bytes on each device. Says why if it cannot. */
bool tenant_publish(const char *dir, const char *tenant, uint64_t memory_bytes);

/*
 * What the tenant's ledger says; NULL, after saying why, if it cannot be read. tenant NULL: as
 * inside a container. Valid until the next call.
 */
const struct gpushim_snapshot *tenant_snapshot(const char *dir, const char *tenant);
/* The same for a ledger without a policy, by its name. */
const struct gpushim_snapshot *tenant_snapshot_of(const char *ledger);

/* Sum of charges on the first device; UINT64_MAX if that cannot be read. */
uint64_t tenant_charged(const char *dir, const char *tenant);

/* Writes a file, whole. */
void tenant_write(const char *path, const char *text);

/*
 * Whether this user can have mounts that nobody else sees. tenant_private_mounts(), in the
 * body, makes them: an empty /run. Exits if it cannot.
 */
bool tenant_can_mount(void);
void tenant_private_mounts(void);
/* The same, and in /run what a container sees: its own ledger, and its policy read-only. */
void tenant_become_container(const char *tenant, uint64_t memory_bytes);

#endif
