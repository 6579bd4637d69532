/*
 * show.c - gpushim-ctl show: who uses how much of which device, under which limits.
 *
 * Knows the command's options and how pages and ledgers are read from outside, by the reader
 * library. Refuses to know what of them is shown, and how.
 */
#include "ctl/show.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/publish.h"
#include "common/tenants.h"

struct options {
	const char *dir, *tenant; /* NULL: the usual one; all */
	bool json, costs;
};

struct shown {
	size_t count;
	struct gpushim_snapshot **snapshots;
};

/* ---- reading ---- */

/* tenant NULL: the one of a container. 0 or -errno; nothing is said. */
static int read_tenant(const char *dir, const char *tenant, struct shown *shown)
{
	struct gpushim_snapshot *snapshot = malloc(sizeof(*snapshot));
	struct gpushim_reader *reader = NULL;
	void *grown;
	int result = snapshot ? gpushim_reader_open(&reader, dir, tenant) : -ENOMEM;

	if (result == 0)
		result = gpushim_reader_snapshot(reader, snapshot);
	if (result == 0) {
		grown = realloc(shown->snapshots,
				(shown->count + 1) * sizeof(struct gpushim_snapshot *));
		if (grown) {
			shown->snapshots = grown;
			shown->snapshots[shown->count++] = snapshot;
			snapshot = NULL;
		}
	}
	gpushim_reader_close(reader);
	free(snapshot);
	return result;
}

/* A page that is there and says nothing: the tenant's programs cannot start. */
static int say_damaged(const char *dir, const struct gpushim_snapshot *snapshot)
{
	struct gpushim_policy_limits limits;
	struct gsh_reason why;
	int result;

	if (snapshot->has_policy)
		return EXIT_OK;
	result = gsh_published(dir, snapshot->tenant, &limits, &why);
	return result == 0 || result == -ENOENT
		       ? EXIT_OK
		       : ctl_fail("Tenant %s: %s.", snapshot->tenant, why.text);
}

/* All tenants of dir, or the one that a container sees. */
static int read_all(const char *dir, struct shown *shown)
{
	struct gsh_tenants there;
	int result = EXIT_OK;

	if (read_tenant(dir, NULL, shown) == 0)
		return EXIT_OK;
	gsh_tenants_list(dir, &there);
	for (size_t i = 0; i < there.count; i++)
		if (read_tenant(dir, there.names[i], shown) < 0)
			result = ctl_fail("Tenant %s is left out: %s.", there.names[i],
					  gpushim_reader_reason());
		else if (shown->count > 0)
			result |= say_damaged(dir, shown->snapshots[shown->count - 1]);
	gsh_tenants_free(&there);
	return result;
}

/* ---- showing ---- */

static void show_tables(const struct options *options, const char *dir,
			const struct shown *shown)
{
	if (shown->count == 0) {
		printf("No tenant has an account in %s.\n", dir);
		return;
	}
	for (size_t i = 0; i < shown->count && options->costs; i++)
		show_costs(shown->snapshots[i]);
	if (options->costs)
		return;
	show_memory(shown->snapshots, shown->count);
	putchar('\n');
	show_time(shown->snapshots, shown->count);
}

static int read_options(int argc, char **argv, struct options *options)
{
	static const struct option known[] = { { "dir", required_argument, NULL, 'd' },
					       { "json", no_argument, NULL, 'j' },
					       { "costs", no_argument, NULL, 'c' },
					       { 0 } };
	int option;

	while ((option = getopt_long(argc, argv, "d:jc", known, NULL)) != -1) {
		if (option == 'd')
			options->dir = optarg;
		else if (option == 'j')
			options->json = true;
		else if (option == 'c')
			options->costs = true;
		else
			return ctl_misused(argv[0],
					   "Its options are --json, --costs and --dir.");
	}
	if (argc - optind > 1)
		return ctl_misused(argv[0], "One tenant is shown, or all.");
	options->tenant = argv[optind];
	return EXIT_OK;
}

int ctl_show(int argc, char **argv)
{
	struct options options = { 0 };
	struct shown shown = { 0 };
	int result = read_options(argc, argv, &options);
	const char *dir;

	if (result != EXIT_OK)
		return result;
	dir = ctl_dir(options.dir);
	if (!dir)
		return EXIT_REFUSED;
	if (!options.tenant)
		result = read_all(dir, &shown);
	else if (read_tenant(dir, options.tenant, &shown) < 0)
		result = ctl_fail("%s.", gpushim_reader_reason());
	else
		result = shown.count > 0 ? say_damaged(dir, shown.snapshots[0]) : EXIT_OK;
	if (options.json)
		result |= show_json(dir, shown.snapshots, shown.count, options.costs);
	else if (result == EXIT_OK || shown.count > 0)
		show_tables(&options, dir, &shown);
	for (size_t i = 0; i < shown.count; i++)
		free(shown.snapshots[i]);
	free(shown.snapshots);
	return result;
}
