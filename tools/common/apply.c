/* Who gets which limits of a file; see apply.h. */
#include "common/apply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits_file.h"
#include "common/publish.h"

/* Names that have their place by the template. */
struct places {
	const char **names;
	size_t count;
};

static void publish(const struct gsh_apply *apply, struct gsh_apply_row *row)
{
	const struct gsh_apply_way *way = &apply->way;

	row->outcome = row->limits.flags & GPUSHIM_POLICY_CLOSED ? GSH_APPLY_CLOSED
								 : GSH_APPLY_PUBLISHED;
	if (way->publish(way->data, &row->limits, &row->why) < 0)
		row->outcome = GSH_APPLY_FAILED;
	way->report(way->data, row);
}

static void publish_listed(const struct gsh_apply *apply, const char *tenant)
{
	struct gsh_apply_row row = { 0 };
	struct gsh_limits_error error;

	if (gsh_limits_of(apply->file, tenant, &row.limits, &error) == 0)
		publish(apply, &row);
}

static bool is_listed(const struct gsh_limits_file *file, const char *tenant)
{
	const char *name;

	for (size_t i = 0; (name = gsh_limits_tenant(file, i)); i++)
		if (strcmp(name, tenant) == 0)
			return true;
	return false;
}

static bool is_left_alone(const struct gsh_apply *apply, const char *tenant)
{
	const struct gsh_apply_way *way = &apply->way;
	struct gsh_apply_row row = { .outcome = GSH_APPLY_LEFT_ALONE };
	struct gpushim_policy_limits limits;
	long pid;

	if (!gsh_publish_is_run(tenant, &pid) ||
	    way->published(way->data, tenant, &limits) < 0)
		return false;
	snprintf(row.limits.tenant, sizeof(row.limits.tenant), "%s", tenant);
	way->report(way->data, &row);
	return true;
}

static bool is_open(const struct gsh_apply *apply, const char *tenant)
{
	struct gpushim_policy_limits limits;

	return apply->way.published(apply->way.data, tenant, &limits) == 0 &&
	       !(limits.flags & GPUSHIM_POLICY_CLOSED);
}

/* The sentence alone: where the template stands in the file is nothing to a tenant. */
static const char *sentence(const struct gsh_limits_error *error)
{
	const char *found = strstr(error->text, "tenant '");

	return found ? found : error->text;
}

static void close_tenant(const struct gsh_apply *apply, const char *tenant,
			 const char *reason)
{
	struct gsh_apply_row row = { .limits.flags = GPUSHIM_POLICY_CLOSED };

	/* Nothing, should anybody look at the quota and not at the flag. */
	row.limits.others.limit_permille = 1000;
	snprintf(row.limits.tenant, sizeof(row.limits.tenant), "%s", tenant);
	snprintf(row.limits.source, sizeof(row.limits.source), "%.120s",
		 apply->file->path);
	snprintf(row.limits.reason, sizeof(row.limits.reason), "%s", reason);
	publish(apply, &row);
}

/* By the template, if there is one and it fits beside those that have their place. */
static void publish_unlisted(const struct gsh_apply *apply, struct places *places,
			     const char *tenant)
{
	struct gsh_apply_row row = { .templated = true };
	struct gsh_limits_error error;

	if (gsh_limits_of(apply->file, tenant, &row.limits, &error) < 0) {
		close_tenant(apply, tenant, sentence(&error));
		return;
	}
	places->names[places->count++] = tenant;
	if (gsh_limits_fit(apply->file, apply->devices->devices, apply->devices->count,
			   places->names, places->count, &error) == 0) {
		publish(apply, &row);
		return;
	}
	places->count--;
	close_tenant(apply, tenant, sentence(&error));
}

static void publish_all(const struct gsh_apply *apply, struct places *places, bool *open)
{
	const struct gsh_tenants *there = apply->there;
	const char *name;

	for (size_t i = 0; i < there->count; i++)
		open[i] = is_open(apply, there->names[i]);
	for (size_t i = 0; (name = gsh_limits_tenant(apply->file, i)); i++)
		if (strcmp(name, "*") != 0)
			publish_listed(apply, name);
	/* Nobody who comes now displaces who is running. */
	for (int turn = 0; turn < 2; turn++)
		for (size_t i = 0; i < there->count; i++)
			if (open[i] == !turn &&
			    !is_listed(apply->file, there->names[i]) &&
			    !is_left_alone(apply, there->names[i]))
				publish_unlisted(apply, places, there->names[i]);
}

bool gsh_apply_all(const struct gsh_apply *apply)
{
	struct places places = { 0 };
	bool *open = calloc(apply->there->count + 1, sizeof(*open));
	bool fits;

	places.names = calloc(apply->there->count + 1, sizeof(*places.names));
	fits = places.names && open;
	if (fits)
		publish_all(apply, &places, open);
	free(places.names);
	free(open);
	return fits;
}

bool gsh_apply_newcomer(const struct gsh_apply *apply, const char *tenant)
{
	const struct gsh_tenants *there = apply->there;
	struct places places = { 0 };
	long pid;

	if (is_listed(apply->file, tenant)) {
		publish_listed(apply, tenant);
		return true;
	}
	places.names = calloc(there->count + 1, sizeof(*places.names));
	if (!places.names)
		return false;
	for (size_t i = 0; i < there->count; i++)
		if (strcmp(there->names[i], tenant) != 0 &&
		    !is_listed(apply->file, there->names[i]) &&
		    !gsh_publish_is_run(there->names[i], &pid) &&
		    is_open(apply, there->names[i]))
			places.names[places.count++] = there->names[i];
	publish_unlisted(apply, &places, tenant);
	free(places.names);
	return true;
}
