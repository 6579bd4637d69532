/* The limits.json in force; see limits.h. */
#include "agent/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/log.h"
#include "common/limits_file.h"

/* What became of everybody, for one line of the log. */
struct outcome {
	struct agent_limits *limits;
	struct gsh_apply_way tell; /* report: somebody else who wants to know */
	unsigned counts[GSH_APPLY_OUTCOMES];
};

/* ---- what is done with each tenant ---- */

static int publish_one(void *data, const struct gpushim_policy_limits *limits,
		       struct gsh_reason *why)
{
	return agent_tenants_publish(((struct outcome *)data)->limits->tenants, limits,
				     why);
}

static int published_one(void *data, const char *tenant,
			 struct gpushim_policy_limits *limits)
{
	return agent_tenants_published(((struct outcome *)data)->limits->tenants, tenant,
				       limits);
}

static void report(void *data, const struct gsh_apply_row *row)
{
	struct outcome *outcome = data;
	struct agent_tenant *tenant = agent_tenants_find(outcome->limits->tenants,
							 row->limits.tenant);
	char text[sizeof(row->limits.reason) + 16];

	outcome->counts[row->outcome]++;
	if (outcome->tell.report)
		outcome->tell.report(outcome->tell.data, row);
	if (!tenant)
		return;
	tenant->is_owed = row->outcome == GSH_APPLY_FAILED;
	if (row->outcome == GSH_APPLY_FAILED) {
		agent_tenant_say(tenant, row->why.text);
	} else if (row->outcome == GSH_APPLY_CLOSED) {
		snprintf(text, sizeof(text), "closed: %s", row->limits.reason);
		agent_tenant_say(tenant, text);
	} else {
		agent_tenant_say(tenant, "");
	}
}

/* ---- all of them ---- */

static void apply_all(struct agent_limits *limits, struct gsh_apply_way tell)
{
	struct outcome outcome = { .limits = limits, .tell = tell };
	struct gsh_tenants there;
	const struct gsh_apply all = {
		.file = limits->file,
		.devices = &limits->devices,
		.there = &there,
		.way = { publish_one, published_one, report, &outcome },
	};

	agent_tenants_names(limits->tenants, &there);
	if (!gsh_apply_all(&all))
		agent_log(AGENT_ERROR, "There is no memory to apply %s.",
			  limits->file->path);
	gsh_tenants_free(&there);
	limits->applied++;
	agent_log(AGENT_INFO, "%s is in force: %u published, %u closed, %u failed.",
		  limits->file->path, outcome.counts[GSH_APPLY_PUBLISHED],
		  outcome.counts[GSH_APPLY_CLOSED], outcome.counts[GSH_APPLY_FAILED]);
}

/* Takes file, which may be NULL with *error. 0 or -EINVAL. */
static int adopt(struct agent_limits *limits, struct gsh_limits_file *file,
		 struct gsh_apply_way tell, struct gsh_limits_error *error)
{
	if (!file || gsh_limits_fit(file, limits->devices.devices, limits->devices.count,
				    NULL, 0, error) < 0) {
		gsh_limits_free(file);
		return -EINVAL;
	}
	gsh_limits_free(limits->file);
	limits->file = file;
	apply_all(limits, tell);
	return 0;
}

int agent_limits_apply(struct agent_limits *limits, const char *text, size_t bytes,
		       const char *name, struct gsh_apply_way way,
		       struct gsh_limits_error *error)
{
	return adopt(limits, gsh_limits_parse(text, bytes, name, error), way, error);
}

bool agent_limits_serve(struct agent_limits *limits)
{
	struct outcome outcome = { .limits = limits };
	struct gsh_tenants there;
	const char *tenant;
	struct gsh_apply one = {
		.file = limits->file,
		.devices = &limits->devices,
		.there = &there,
		.way = { publish_one, published_one, report, &outcome },
	};

	if (!limits->file || limits->tenants->wanting == 0 ||
	    !(tenant = agent_tenants_next_wanting(limits->tenants)))
		return false;
	agent_tenants_names(limits->tenants, &there);
	if (!gsh_apply_newcomer(&one, tenant))
		agent_log(AGENT_ERROR, "There is no memory for the limits of %s.",
			  tenant);
	else if (outcome.counts[GSH_APPLY_PUBLISHED] > 0)
		agent_log(AGENT_INFO, "Tenant %s has come and has its limits.", tenant);
	gsh_tenants_free(&there);
	return limits->tenants->wanting > 0;
}

/* ---- the file ---- */

static struct agent_identity identity_of(const char *path)
{
	struct agent_identity identity;
	struct stat status;

	memset(&identity, 0, sizeof(identity));
	if (stat(path, &status) == 0) {
		identity.device = status.st_dev;
		identity.inode = status.st_ino;
		identity.bytes = (uint64_t)status.st_size;
		identity.modified = status.st_mtim;
		identity.changed = status.st_ctim;
	}
	return identity;
}

static bool is_same(const struct agent_identity *a, const struct agent_identity *b)
{
	return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes &&
	       a->modified.tv_sec == b->modified.tv_sec &&
	       a->modified.tv_nsec == b->modified.tv_nsec &&
	       a->changed.tv_sec == b->changed.tv_sec &&
	       a->changed.tv_nsec == b->changed.tv_nsec;
}

void agent_limits_load(struct agent_limits *limits)
{
	const struct gsh_apply_way nobody = { 0 };
	struct gsh_limits_error error = { "" };

	if (!limits->path)
		return;
	limits->seen = limits->read = identity_of(limits->path);
	limits->refused = adopt(limits, gsh_limits_read(limits->path, &error), nobody,
				&error) < 0;
	if (!limits->refused)
		return;
	limits->refusals++;
	agent_log(AGENT_ERROR, "%s", error.text);
	agent_log(AGENT_ERROR, "%s",
		  limits->file ? "Nothing was changed; the limits in force stay."
			       : "Nobody gets limits by it; those in force stay.");
}

void agent_limits_look(struct agent_limits *limits, bool settled)
{
	struct agent_identity now, before = limits->seen;

	if (!limits->path)
		return;
	now = identity_of(limits->path);
	limits->seen = now;
	if (!is_same(&now, &limits->read) && (!settled || is_same(&now, &before)))
		agent_limits_load(limits);
}

void agent_limits_open(struct agent_limits *limits, struct agent_tenants *tenants,
		       const char *path)
{
	memset(limits, 0, sizeof(*limits));
	limits->tenants = tenants;
	limits->path = path;
	gsh_devices_list(&limits->devices, &limits->no_devices);
	if (limits->devices.count == 0)
		agent_log(AGENT_WARNING, "Whether quotas fit is not checked: %s.",
			  limits->no_devices.text[0] ? limits->no_devices.text
						     : "this machine has no GPU");
}

void agent_limits_close(struct agent_limits *limits)
{
	gsh_limits_free(limits->file);
	limits->file = NULL;
}
