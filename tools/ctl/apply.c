/*
 * apply.c - gpushim-ctl apply: puts the limits of a limits.json in force.
 *
 * A file that is refused changes nothing. Who is listed gets what is written. Tenants that
 * are there already and not listed get the template's limits while they fit, those first
 * that are open now; others are closed, with the reason. What gpushim-run has started under
 * limits of its own is left alone: whoever could start it could start it without limits.
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/publish.h"

struct apply {
	const char *dir, *path;
	struct gsh_limits_file *file;
	struct gsh_devices devices;
	struct gsh_reason no_devices; /* why none are known */
	const char **templated;	      /* names that have their place by the template */
	size_t templated_count;
	unsigned published, closed, failed, left;
};

static void publish(struct apply *apply, const struct gpushim_policy_limits *limits,
		    const char *note)
{
	struct gsh_reason why = { "" };

	if (gsh_publish(apply->dir, limits, &why) < 0) {
		ctl_fail("%s: %s.", limits->tenant, why.text);
		apply->failed++;
	} else if (limits->flags & GPUSHIM_POLICY_CLOSED) {
		printf("%s: closed: %s\n", limits->tenant, limits->reason);
		apply->closed++;
	} else {
		printf("%s: memory %s, compute %s%s%s%s\n", limits->tenant,
		       ctl_quota(&limits->others, 0), ctl_compute(&limits->others),
		       limits->device_count ? ", other limits on some devices" : "",
		       ctl_unenforced(limits), note);
		apply->published++;
	}
}

static void publish_listed(struct apply *apply)
{
	struct gpushim_policy_limits limits;
	struct gsh_limits_error error;
	const char *name;

	for (size_t i = 0; (name = gsh_limits_tenant(apply->file, i)); i++)
		if (strcmp(name, "*") != 0 &&
		    gsh_limits_of(apply->file, name, &limits, &error) == 0)
			publish(apply, &limits, "");
}

static bool is_listed(const struct gsh_limits_file *file, const char *tenant)
{
	const char *name;

	for (size_t i = 0; (name = gsh_limits_tenant(file, i)); i++)
		if (strcmp(name, tenant) == 0)
			return true;
	return false;
}

static bool is_left_alone(struct apply *apply, const char *tenant)
{
	struct gpushim_policy_limits limits;
	struct gsh_reason why;
	long pid;

	if (!gsh_publish_is_run(tenant, &pid) ||
	    gsh_published(apply->dir, tenant, &limits, &why) < 0)
		return false;
	printf("%s: left alone, as gpushim-run has started it\n", tenant);
	apply->left++;
	return true;
}

static bool is_open(const struct apply *apply, const char *tenant)
{
	struct gpushim_policy_limits limits;
	struct gsh_reason why;

	return gsh_published(apply->dir, tenant, &limits, &why) == 0 &&
	       !(limits.flags & GPUSHIM_POLICY_CLOSED);
}

/* The sentence alone: where the template stands in the file is nothing to a tenant. */
static const char *sentence(const struct gsh_limits_error *error)
{
	const char *found = strstr(error->text, "tenant '");

	return found ? found : error->text;
}

static void close_tenant(struct apply *apply, const char *tenant, const char *reason)
{
	struct gpushim_policy_limits limits = { .flags = GPUSHIM_POLICY_CLOSED };

	/* Nothing, should anybody look at the quota and not at the flag. */
	limits.others.limit_permille = 1000;
	snprintf(limits.tenant, sizeof(limits.tenant), "%s", tenant);
	snprintf(limits.source, sizeof(limits.source), "%.120s", apply->path);
	snprintf(limits.reason, sizeof(limits.reason), "%s", reason);
	publish(apply, &limits, "");
}

/* By the template, if there is one and it fits beside those that have their place. */
static void publish_unlisted(struct apply *apply, const char *tenant)
{
	struct gpushim_policy_limits limits;
	struct gsh_limits_error error;

	if (gsh_limits_of(apply->file, tenant, &limits, &error) < 0) {
		close_tenant(apply, tenant, sentence(&error));
		return;
	}
	apply->templated[apply->templated_count++] = tenant;
	if (gsh_limits_fit(apply->file, apply->devices.devices, apply->devices.count,
			   apply->templated, apply->templated_count, &error) == 0) {
		publish(apply, &limits, ", by the template");
		return;
	}
	apply->templated_count--;
	close_tenant(apply, tenant, sentence(&error));
}

static void publish_all(struct apply *apply)
{
	struct ctl_tenants there;
	bool *open;

	ctl_tenants_list(apply->dir, &there);
	apply->templated = calloc(there.count + 1, sizeof(*apply->templated));
	open = calloc(there.count + 1, sizeof(*open));
	if (apply->templated && open) {
		for (size_t i = 0; i < there.count; i++)
			open[i] = is_open(apply, there.names[i]);
		publish_listed(apply);
		/* Nobody who comes now displaces who is running. */
		for (int turn = 0; turn < 2; turn++)
			for (size_t i = 0; i < there.count; i++)
				if (open[i] == !turn &&
				    !is_listed(apply->file, there.names[i]) &&
				    !is_left_alone(apply, there.names[i]))
					publish_unlisted(apply, there.names[i]);
	} else {
		ctl_fail("There is no memory to apply it.");
		apply->failed++;
	}
	free(open);
	free(apply->templated);
	ctl_tenants_free(&there);
}

static int apply_file(struct apply *apply)
{
	struct gsh_limits_error error;

	apply->file = gsh_limits_read(apply->path, &error);
	gsh_devices_list(&apply->devices, &apply->no_devices);
	if (!apply->file || gsh_limits_fit(apply->file, apply->devices.devices,
					   apply->devices.count, NULL, 0, &error) < 0) {
		fprintf(stderr, "%s\n", error.text);
		ctl_fail("Nothing was changed; the limits in force stay.");
		gsh_limits_free(apply->file);
		return EXIT_REFUSED;
	}
	publish_all(apply);
	gsh_limits_free(apply->file);
	if (apply->devices.count == 0)
		printf("Whether the quotas fit was not checked: %s.\n",
		       apply->no_devices.text[0] ? apply->no_devices.text
						 : "this machine has no GPU");
	printf("%s: %u published, %u closed, %u failed", apply->dir, apply->published,
	       apply->closed, apply->failed);
	if (apply->left > 0)
		printf(", %u left alone", apply->left);
	putchar('\n');
	return apply->failed ? EXIT_REFUSED : EXIT_OK;
}

int ctl_apply(int argc, char **argv)
{
	static const struct option options[] = { { "dir", required_argument, NULL, 'd' },
						 { 0 } };
	struct apply apply = { 0 };
	const char *dir = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "d:", options, NULL)) != -1) {
		if (option != 'd')
			return ctl_misused(argv[0], "It has one option, --dir.");
		dir = optarg;
	}
	if (argc - optind != 1)
		return ctl_misused(argv[0], "One file is to be applied.");
	apply.path = argv[optind];
	apply.dir = ctl_dir(dir);
	return apply.dir ? apply_file(&apply) : EXIT_REFUSED;
}
