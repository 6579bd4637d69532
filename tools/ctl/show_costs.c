/*
 * show_costs.c - gpushim-ctl show --costs: what launches of a tenant were found to cost.
 *
 * Names of kernels are long, so they stand last.
 */
#include "ctl/show.h"

#include <stdio.h>
#include <stdlib.h>

static int dearer(const void *left, const void *right)
{
	const struct gpushim_cost *a = left, *b = right;

	if (a->gpu_ns != b->gpu_ns)
		return a->gpu_ns > b->gpu_ns ? -1 : 1;
	return (a->launches < b->launches) - (a->launches > b->launches);
}

void show_sort_costs(struct gpushim_snapshot *snapshot)
{
	qsort(snapshot->costs, snapshot->costs_count, sizeof(snapshot->costs[0]), dearer);
}

/* "1024", "64x64", "8x8x8" */
static const char *extent(const struct gpushim_cost *cost, const uint32_t size[3])
{
	static char texts[4][40];
	static unsigned next;
	char *text = texts[next++ % 4];

	if (cost->kind != GPUSHIM_LAUNCH_KERNEL)
		return "-";
	if (size[2] > 1)
		snprintf(text, sizeof(texts[0]), "%ux%ux%u", size[0], size[1], size[2]);
	else if (size[1] > 1)
		snprintf(text, sizeof(texts[0]), "%ux%u", size[0], size[1]);
	else
		snprintf(text, sizeof(texts[0]), "%u", size[0]);
	return text;
}

static const char *name_of(const struct gpushim_cost *cost, char *text, size_t bytes)
{
	if (cost->kind == GPUSHIM_LAUNCH_KERNEL)
		return cost->name[0] ? cost->name : "-";
	snprintf(text, bytes, "(%s)%s%s", gpushim_launch_kind_name(cost->kind),
		 cost->name[0] ? " " : "", cost->name);
	return text;
}

static void add_cost(struct ctl_table *table, const struct gpushim_snapshot *snapshot,
		     const struct gpushim_cost *cost)
{
	char name[sizeof(cost->name) + 16], where[sizeof(name) + 64];

	/* Of several devices each row says its own. */
	snprintf(where, sizeof(where), "%s%s%s", name_of(cost, name, sizeof(name)),
		 snapshot->devices_count > 1 ? " on " : "",
		 snapshot->devices_count < 2 ? ""
		 : cost->device < snapshot->devices_count
			 ? ctl_uuid(snapshot->devices[cost->device].uuid)
			 : "-");
	ctl_table_add(table, show_time_ns(cost->gpu_ns), show_count(cost->launches),
		      gpushim_cost_class_name(cost->cost_class),
		      show_time_ns(cost->cost_ns), show_time_ns(cost->low_ns),
		      show_time_ns(cost->median_ns), show_time_ns(cost->high_ns),
		      extent(cost, cost->grid), extent(cost, cost->block),
		      cost->kind == GPUSHIM_LAUNCH_KERNEL ? ctl_bytes(cost->shared_bytes)
							  : "-",
		      where);
}

void show_costs(struct gpushim_snapshot *snapshot)
{
	struct ctl_table table = { .columns = 11 };

	if (snapshot->costs_count == 0) {
		printf("%s: nothing is known of what its launches cost.\n",
		       snapshot->tenant);
		return;
	}
	printf("%s: what its launches cost, as far as it was learned\n",
	       snapshot->tenant);
	for (size_t i = 0; i < 10; i++)
		table.right[i] = i != 2;
	ctl_table_add(&table, "GPU TIME", "LAUNCHES", "CLASS", "COST", "LOW", "MEDIAN",
		      "HIGH", "GRID", "BLOCK", "SHARED", "KERNEL");
	show_sort_costs(snapshot);
	for (uint32_t i = 0; i < snapshot->costs_count; i++)
		add_cost(&table, snapshot, &snapshot->costs[i]);
	ctl_table_print(&table);
}
