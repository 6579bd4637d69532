/*
 * apply.c - gpushim-ctl apply: puts the limits of a limits.json in force.
 *
 * A file that is refused changes nothing. Where an agent lives, it is the agent that applies
 * it; what is said and returned is the same.
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "common/apply.h"
#include "common/control.h"
#include "common/limits_file.h"
#include "common/publish.h"

struct apply {
	const char *dir, *path;
	struct gsh_limits_file *file;
	unsigned published, closed, failed, left;
};

/* ---- what is said of each tenant ---- */

static void report(void *data, const struct gsh_apply_row *row)
{
	const struct gpushim_policy_limits *limits = &row->limits;
	struct apply *apply = data;

	switch (row->outcome) {
	case GSH_APPLY_FAILED:
		ctl_fail("%s: %s.", limits->tenant, row->why.text);
		apply->failed++;
		break;
	case GSH_APPLY_CLOSED:
		printf("%s: closed: %s\n", limits->tenant, limits->reason);
		apply->closed++;
		break;
	case GSH_APPLY_LEFT_ALONE:
		printf("%s: left alone, as gpushim-run has started it\n", limits->tenant);
		apply->left++;
		break;
	default:
		printf("%s: memory %s, compute %s%s%s%s\n", limits->tenant,
		       ctl_quota(&limits->others, 0), ctl_compute(&limits->others),
		       limits->device_count ? ", other limits on some devices" : "",
		       ctl_unenforced(limits), row->templated ? ", by the template" : "");
		apply->published++;
	}
}

static int summarize(const struct apply *apply, size_t devices,
		     const struct gsh_reason *no_devices)
{
	if (devices == 0)
		printf("Whether the quotas fit was not checked: %s.\n",
		       no_devices->text[0] ? no_devices->text
					   : "this machine has no GPU");
	printf("%s: %u published, %u closed, %u failed", apply->dir, apply->published,
	       apply->closed, apply->failed);
	if (apply->left > 0)
		printf(", %u left alone", apply->left);
	putchar('\n');
	return apply->failed ? EXIT_REFUSED : EXIT_OK;
}

static int refuse(const struct gsh_limits_error *error)
{
	fprintf(stderr, "%s\n", error->text);
	ctl_fail("Nothing was changed; the limits in force stay.");
	return EXIT_REFUSED;
}

/* ---- without an agent ---- */

static int publish_one(void *data, const struct gpushim_policy_limits *limits,
		       struct gsh_reason *why)
{
	return gsh_publish(((struct apply *)data)->dir, limits, why);
}

static int published_one(void *data, const char *tenant,
			 struct gpushim_policy_limits *limits)
{
	struct gsh_reason why;

	return gsh_published(((struct apply *)data)->dir, tenant, limits, &why);
}

static int apply_alone(struct apply *apply)
{
	struct gsh_reason no_devices = { "" };
	struct gsh_limits_error error;
	struct gsh_devices devices;
	struct gsh_tenants there;
	const struct gsh_apply all = {
		.file = apply->file,
		.devices = &devices,
		.there = &there,
		.way = { publish_one, published_one, report, apply },
	};

	gsh_devices_list(&devices, &no_devices);
	if (gsh_limits_fit(apply->file, devices.devices, devices.count, NULL, 0, &error) <
	    0)
		return refuse(&error);
	gsh_tenants_list(apply->dir, &there);
	if (!gsh_apply_all(&all)) {
		ctl_fail("There is no memory to apply it.");
		apply->failed++;
	}
	gsh_tenants_free(&there);
	return summarize(apply, devices.count, &no_devices);
}

/* ---- by the agent ---- */

static int apply_file(struct apply *apply)
{
	struct gsh_control_apply asked = { .report = report, .data = apply };
	struct gsh_limits_error error;
	int result;

	apply->file = gsh_limits_read(apply->path, &error);
	if (!apply->file)
		return refuse(&error);
	result = gsh_control_apply(apply->dir, apply->path, apply->file->text,
				   apply->file->bytes, &asked);
	if (result == -ENOTCONN)
		result = apply_alone(apply);
	else if (result == -EINVAL)
		result = refuse(&asked.error);
	else if (result < 0)
		result = ctl_fail("%s.", asked.why.text);
	else
		result = summarize(apply, asked.devices_count, &asked.no_devices);
	gsh_limits_free(apply->file);
	return result;
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
