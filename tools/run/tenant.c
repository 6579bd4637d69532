/*
 * tenant.c - which tenant the program is, and whence its limits.
 *
 * Knows when limits may be published: for a new tenant, or for one that an earlier run made
 * and nobody uses any more. What somebody else has published is joined, never changed.
 */
#include "run/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/limits.h"
#include "common/publish.h"
#include "ledger/ledger.h"

static const char source[] = "gpushim-run";

static int choose_dir(const struct run_options *options, char dir[PATH_MAX])
{
	const char *given = options->dir ? options->dir : getenv("GPUSHIM_DIR");
	char here[PATH_MAX] = "";
	struct gsh_reason why;

	if (!given || !*given) {
		if (gsh_publish_dir(dir, PATH_MAX, &why) < 0)
			return run_fail("%s.", why.text);
		return 0;
	}
	/* Programs may change their directory before they look. */
	if (given[0] != '/' && !getcwd(here, sizeof(here)))
		return run_fail("The current directory has no name: %s.",
				strerror(errno));
	if (snprintf(dir, PATH_MAX, "%s%s%s", here, *here ? "/" : "", given) >= PATH_MAX)
		return run_fail("--dir %s is too long.", given);
	return 0;
}

/* Whether any process of the tenant has an account open. */
static bool is_in_use(const struct run_tenant *tenant)
{
	char path[PATH_MAX + 96];
	bool alive = false;
	int fd;

	snprintf(path, sizeof(path), "%s/ledger/%s/ledger", tenant->dir, tenant->name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return false;
	for (uint32_t slot = 0; slot < GPUSHIM_SLOTS_MAX && !alive; slot++)
		alive = gsh_ledger_slot_alive(fd, slot);
	close(fd);
	return alive;
}

static bool is_same(const struct gpushim_policy_limits *a,
		    const struct gpushim_policy_limits *b)
{
	return a->flags == b->flags && a->device_count == b->device_count &&
	       memcmp(&a->others, &b->others, sizeof(a->others)) == 0 &&
	       memcmp(a->devices, b->devices, sizeof(a->devices)) == 0;
}

static int wanted_limits(const struct run_options *options, const char *tenant,
			 struct gpushim_policy_limits *limits)
{
	struct gsh_limits_error error;
	struct gsh_limits_file *file;
	int missing;

	memset(limits, 0, sizeof(*limits));
	if (!options->limits_file) {
		limits->others = options->device;
		limits->flags = options->flags;
		snprintf(limits->tenant, sizeof(limits->tenant), "%s", tenant);
		snprintf(limits->source, sizeof(limits->source), "%s", source);
		return 0;
	}
	file = gsh_limits_read(options->limits_file, &error);
	if (!file)
		return run_fail("%s", error.text);
	missing = gsh_limits_of(file, tenant, limits, &error);
	gsh_limits_free(file);
	return missing ? run_fail("%s", error.text) : 0;
}

static int publish(const struct run_options *options, const struct run_tenant *tenant)
{
	struct gpushim_policy_limits wanted, there;
	struct gsh_reason why;
	int result = wanted_limits(options, tenant->name, &wanted);

	if (result)
		return result;
	result = gsh_published(tenant->dir, tenant->name, &there, &why);
	if (result < 0 && result != -ENOENT)
		return run_fail("%s.", why.text);
	if (result == 0 && is_same(&there, &wanted))
		return 0;
	if (result == 0 && (strcmp(there.source, source) != 0 || is_in_use(tenant)))
		return run_fail(
			"Tenant %s has other limits already (%s). Join it without "
			"limits of your own, or change them with gpushim-ctl set.",
			tenant->name, there.source);
	if (gsh_publish(tenant->dir, &wanted, &why) < 0)
		return run_fail("%s.", why.text);
	return 0;
}

static int join(const struct run_tenant *tenant)
{
	struct gpushim_policy_limits there;
	struct gsh_reason why;
	int result = gsh_published(tenant->dir, tenant->name, &there, &why);

	if (result == -ENOENT)
		return run_fail(
			"There is no tenant %s in %s to join: give it limits, with "
			"--memory or --limits.",
			tenant->name, tenant->dir);
	return result < 0 ? run_fail("%s.", why.text) : 0;
}

/* run-PID, or run-PID-N while children of an earlier process of that number live on. */
static void own_name(struct run_tenant *tenant)
{
	struct gpushim_policy_limits there;
	struct gsh_reason why;

	snprintf(tenant->name, sizeof(tenant->name), "run-%d", (int)getpid());
	for (int i = 1; i < 1000; i++) {
		if (gsh_published(tenant->dir, tenant->name, &there, &why) == -ENOENT)
			return;
		snprintf(tenant->name, sizeof(tenant->name), "run-%d-%d", (int)getpid(),
			 i);
	}
}

int run_prepare(const struct run_options *options, struct run_tenant *tenant)
{
	int result = choose_dir(options, tenant->dir);

	if (result)
		return result;
	run_sweep(tenant->dir);
	if (!options->tenant) {
		own_name(tenant);
		return publish(options, tenant);
	}
	snprintf(tenant->name, sizeof(tenant->name), "%s", options->tenant);
	return options->limited || options->limits_file ? publish(options, tenant)
							: join(tenant);
}
