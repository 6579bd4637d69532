/*
 * page_tenant.c - a tenant in detail: its limits and where each comes from, what it has and
 * is owed, its processes, what happened, and what its launches were found to cost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/report.h"
#include "top/page.h"
#include "top/page_lines.h"
#include "top/print.h"
#include "top/text.h"

enum { EVENTS_MOST = 30, COSTS_MOST = 100 };

static const char *bytes_text(char text[TOP_TEXT_BYTES], uint64_t bytes)
{
	if (bytes == GPUSHIM_UNLIMITED)
		memcpy(text, "no limit", 9);
	else
		top_text_bytes(text, bytes);
	return text;
}

static const char *share_text(char text[TOP_TEXT_BYTES], uint64_t permille)
{
	top_text_share(text, permille == TOP_UNKNOWN ? TOP_UNKNOWN : permille * 1000);
	return text;
}

static const char *time_text(char text[TOP_TEXT_BYTES], uint64_t ns)
{
	top_text_time(text, ns);
	return text;
}

/* "2026-11-20 14:03:22", in local time */
static const char *date_text(char text[32], uint64_t unix_ns)
{
	time_t seconds = (time_t)(unix_ns / 1000000000);
	struct tm parts;

	if (unix_ns == 0 || !localtime_r(&seconds, &parts) ||
	    strftime(text, 32, "%Y-%m-%d %H:%M:%S", &parts) == 0)
		memcpy(text, "-", 2);
	return text;
}

/* ---- limits ---- */

static void add_row(struct top_page *page, const char *name,
		    const struct gpushim_policy_device *row)
{
	char memory[TOP_TEXT_BYTES], percent[TOP_TEXT_BYTES], request[TOP_TEXT_BYTES];
	char limit[TOP_TEXT_BYTES];
	bool both = row->memory_ppm && row->memory_bytes != GPUSHIM_UNLIMITED;

	top_text_share(percent, row->memory_ppm ? row->memory_ppm : TOP_UNKNOWN);
	top_page_add(page, TOP_TONE_PLAIN,
		     "  %s: memory %s%s%s, time %s to %s, %s, burst %u ms", name,
		     row->memory_ppm && !both ? ""
					      : bytes_text(memory, row->memory_bytes),
		     both ? " and " : "", row->memory_ppm ? percent : "",
		     share_text(request, row->request_permille),
		     share_text(limit, row->limit_permille),
		     gsh_report_priority(row->priority),
		     row->burst_ms ? row->burst_ms : GPUSHIM_BURST_MS_DEFAULT);
}

static void add_policy(struct top_page *page, const struct top_tenant *tenant)
{
	const struct gpushim_policy_limits *limits = &tenant->policy;
	char uuid[TOP_TEXT_BYTES];

	top_page_heading(page, "Policy");
	if (!tenant->has_policy) {
		top_page_add(page, TOP_TONE_PLAIN,
			     "  none is published; limits are the programs' own");
		return;
	}
	top_page_add(page, TOP_TONE_PLAIN, "  from %s, generation %llu, %s, %s",
		     limits->source[0] ? limits->source : "an unnamed source",
		     (unsigned long long)limits->generation,
		     limits->flags & GPUSHIM_POLICY_AUDIT ? "only counted, not enforced"
							  : "enforced",
		     top_agent_text(tenant->agent));
	if (limits->flags & GPUSHIM_POLICY_CLOSED)
		top_page_add(page, TOP_TONE_BAD, "  closed: %.180s", limits->reason);
	for (uint32_t i = 0; i < limits->device_count && i < GPUSHIM_DEVICES_MAX; i++) {
		top_text_uuid(uuid, limits->devices[i].uuid);
		add_row(page, uuid, &limits->devices[i]);
	}
	add_row(page, limits->device_count ? "other devices" : "each device",
		&limits->others);
}

static void add_part(struct top_page *page, const struct top_part *part)
{
	const struct gpushim_device *now = &part->now;
	char a[TOP_TEXT_BYTES], b[TOP_TEXT_BYTES], c[TOP_TEXT_BYTES], d[TOP_TEXT_BYTES];
	char heading[96];

	top_text_uuid(a, now->uuid);
	snprintf(heading, sizeof(heading), "Device %u, %s", part->device, a);
	top_page_heading(page, heading);
	top_page_add(page, TOP_TONE_PLAIN,
		     "  memory   quota %s (from: %s); in use %s, overhead %s",
		     bytes_text(a, now->limit_bytes),
		     gpushim_limit_source_name(now->limit_source),
		     bytes_text(b, now->charged_bytes),
		     bytes_text(c, now->overhead_bytes));
	top_page_add(page, TOP_TONE_PLAIN, "           peak %s, of the device's %s",
		     bytes_text(a, now->peak_bytes), bytes_text(b, now->total_bytes));
	top_page_add(
		page, TOP_TONE_PLAIN, "  time     request %s, limit %s, in force %s%s",
		share_text(a, now->request_permille), share_text(b, now->limit_permille),
		share_text(c, now->rate_permille),
		now->rate_permille != TOP_UNKNOWN && !now->enforced ? ", not enforced"
								    : "");
	top_text_share(a, now->share_1s_ppm == GPUSHIM_UNKNOWN_PPM ? TOP_UNKNOWN
								   : now->share_1s_ppm);
	top_text_share(b, now->share_10s_ppm == GPUSHIM_UNKNOWN_PPM ? TOP_UNKNOWN
								    : now->share_10s_ppm);
	top_text_credit(c, now->level_ns);
	top_page_add(page, TOP_TONE_PLAIN,
		     "           achieved %s (10 s: %s), credit %s of %s", a, b, c,
		     time_text(d, now->burst_ns));
	top_page_add(page, TOP_TONE_PLAIN,
		     "           used %s, waited %s, %llu of %llu launches delayed",
		     time_text(a, now->used_ns), time_text(b, now->time.waited_ns),
		     (unsigned long long)now->time.delayed,
		     (unsigned long long)now->time.launches);
}

/* ---- memory by kind, from a whole snapshot ---- */

static void add_kinds(struct top_page *page, const struct gpushim_snapshot *whole)
{
	uint64_t sums[GPUSHIM_KINDS_MAX] = { 0 };
	char bytes[TOP_TEXT_BYTES], text[200] = "";
	size_t at = 0;

	for (uint32_t i = 0; i < whole->usages_count; i++)
		for (unsigned kind = 0; kind < GPUSHIM_KIND_COUNT; kind++)
			if (__builtin_add_overflow(sums[kind],
						   whole->usages[i].kind_bytes[kind],
						   &sums[kind]))
				sums[kind] = UINT64_MAX - 1;
	for (unsigned kind = 0; kind < GPUSHIM_KIND_COUNT; kind++)
		if (sums[kind] > 0 && at < sizeof(text) - 40) {
			top_text_bytes(bytes, sums[kind]);
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s %s",
					       at ? ", " : "", gpushim_kind_name(kind),
					       bytes);
		}
	if (at == 0)
		return;
	top_page_heading(page, "Memory by kind");
	top_page_add(page, TOP_TONE_PLAIN, "  %s", text);
}

/* ---- processes ---- */

static void add_processes(struct top_page *page, const struct top_model *model,
			  const struct top_tenant *tenant)
{
	top_page_heading(page, "Processes");
	if (tenant->processes == 0)
		top_page_add(page, TOP_TONE_PLAIN, "  none");
	for (size_t i = 0; i < model->rows_count; i++) {
		const struct top_row *row = &model->rows[i];
		char pid[24] = "-", date[32], memory[TOP_TEXT_BYTES];
		char device[24] = "-";

		if (row->tenant_id != tenant->id || row->slot == TOP_NO_SLOT)
			continue;
		if (row->value[TOP_COLUMN_PID] != TOP_UNKNOWN)
			snprintf(pid, sizeof(pid), "%llu",
				 (unsigned long long)row->value[TOP_COLUMN_PID]);
		if (row->device != TOP_NO_DEVICE)
			snprintf(device, sizeof(device), "%u", row->device);
		top_text_bytes(memory, row->value[TOP_COLUMN_MEMORY]);
		top_page_add(page,
			     row->state == TOP_STATE_GONE ? TOP_TONE_DIM : TOP_TONE_PLAIN,
			     "  %7s on %-2s %6s  since %s  %-8s %s", pid, device, memory,
			     date_text(date, row->start_unix_ns),
			     top_state_name(row->state), row->command);
	}
}

static void add_coverage(struct top_page *page, const struct top_model *model,
			 const struct top_tenant *tenant)
{
	char count[TOP_TEXT_BYTES];

	for (size_t i = 0; i < model->rows_count; i++) {
		const struct top_row *row = &model->rows[i];
		uint64_t unknown = row->value[TOP_COLUMN_UNKNOWN];

		if (row->tenant_id != tenant->id || row->slot != TOP_NO_SLOT ||
		    unknown == TOP_UNKNOWN || unknown == 0)
			continue;
		top_text_count(count, unknown);
		top_page_add(page, TOP_TONE_WARN,
			     "  not covered: the driver handed out %s entry points that "
			     "gpushim does not know;",
			     count);
		top_page_add(page, TOP_TONE_WARN,
			     "  what is done through them may not be counted. A newer "
			     "gpushim may know them.");
		return;
	}
}

/* ---- events ---- */

static void add_events(struct top_page *page, const struct top_model *model,
		       const struct top_tenant *tenant)
{
	uint64_t kept = model->events_count < TOP_EVENTS_MAX ? model->events_count
							     : TOP_EVENTS_MAX;
	unsigned shown = 0;
	char date[32];

	top_page_heading(page, "Events, the last first");
	for (uint64_t back = 1; back <= kept && shown < EVENTS_MOST; back++) {
		const struct top_event *event =
			&model->events[(model->events_count - back) % TOP_EVENTS_MAX];

		if (event->tenant_id != tenant->id)
			continue;
		top_page_add(page,
			     event->kind == TOP_EVENT_REFUSED ||
					     event->kind == TOP_EVENT_TROUBLE
				     ? TOP_TONE_BAD
				     : TOP_TONE_PLAIN,
			     "  %s  %s", date_text(date, event->unix_ns), event->text);
		shown++;
	}
	if (shown == 0)
		top_page_add(page, TOP_TONE_PLAIN, "  none since this was started");
}

/* ---- costs ---- */

static int by_gpu_time(const void *a, const void *b)
{
	const struct gpushim_cost *left = a, *right = b;

	return left->gpu_ns < right->gpu_ns ? 1 : left->gpu_ns > right->gpu_ns ? -1 : 0;
}

static void add_costs(struct top_page *page, struct gpushim_snapshot *whole)
{
	char cost[TOP_TEXT_BYTES], gpu[TOP_TEXT_BYTES], count[TOP_TEXT_BYTES];
	char grid[48];

	top_page_heading(page, "Learned costs of launches, the dearest first");
	if (!whole) {
		top_page_add(page, TOP_TONE_PLAIN,
			     "  recordings have none: it would be most of what is read");
		return;
	}
	if (whole->costs_count == 0) {
		top_page_add(page, TOP_TONE_PLAIN, "  none yet");
		return;
	}
	qsort(whole->costs, whole->costs_count, sizeof(whole->costs[0]), by_gpu_time);
	top_page_add(page, TOP_TONE_DIM, "  %8s %9s %8s  %-8s %-7s %-32s %s", "COST",
		     "LAUNCHES", "GPU-TIME", "CLASS", "KIND", "NAME", "GRID X BLOCK");
	for (uint32_t i = 0; i < whole->costs_count && i < COSTS_MOST; i++) {
		const struct gpushim_cost *from = &whole->costs[i];

		top_text_time(cost, from->cost_ns);
		top_text_time(gpu, from->gpu_ns);
		top_text_count(count, from->launches);
		snprintf(grid, sizeof(grid), "%ux%ux%u x %ux%ux%u", from->grid[0],
			 from->grid[1], from->grid[2], from->block[0], from->block[1],
			 from->block[2]);
		top_page_add(page, TOP_TONE_PLAIN, "  %8s %9s %8s  %-8s %-7s %-32s %s",
			     cost, count, gpu, gpushim_cost_class_name(from->cost_class),
			     gpushim_launch_kind_name(from->kind),
			     from->name[0] ? from->name : "-", grid);
	}
}

void top_page_tenant(struct top_page *page, const struct top_model *model,
		     const struct top_tenant *tenant, struct gpushim_snapshot *whole)
{
	char text[160], date[32];

	top_page_clear(page);
	snprintf(text, sizeof(text), "Tenant %s", tenant->name);
	top_page_heading(page, text);
	if (tenant->error[0])
		top_page_add(page, TOP_TONE_BAD, "  %s", tenant->error);
	if (tenant->gone_ns)
		top_page_add(page, TOP_TONE_BAD, "  its files are not there any more");
	top_page_add(page, TOP_TONE_PLAIN, "  in %.120s, since %s", tenant->dir,
		     date_text(date, tenant->created_unix_ns));
	add_policy(page, tenant);
	for (unsigned i = 0; i < tenant->parts_count; i++)
		add_part(page, &tenant->parts[i]);
	if (whole)
		add_kinds(page, whole);
	add_processes(page, model, tenant);
	add_coverage(page, model, tenant);
	add_events(page, model, tenant);
	add_costs(page, whole);
}
