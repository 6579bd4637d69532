/* The table of what is measured; see cells.h. */
#include "cells.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#define ALONE(percent)                                                          \
	{                                                                       \
		.name = "alone-" #percent, .what = "1 process, " #percent " %", \
		.group = GROUP_ALONE, .control = "bare-1", .tenants = {         \
			{ (percent)*10, 1, false }                              \
		}                                                               \
	}

const struct scenario scenarios[] = {
	{ .name = "bare-1",
	  .what = "1 process, no shim",
	  .group = GROUP_BARE,
	  .tenants = { { 1000, 1, false } } },
	{ .name = "bare-2",
	  .what = "2 processes, no shim",
	  .group = GROUP_BARE,
	  .tenants = { { 1000, 1, false }, { 1000, 1, false } } },
	{ .name = "bare-3",
	  .what = "4 processes, one idle, no shim",
	  .group = GROUP_BARE,
	  .tenants = { { 1000, 1, false },
		       { 1000, 1, false },
		       { 1000, 1, false },
		       { 1000, 1, true } } },
	{ .name = "bare-4",
	  .what = "4 processes, no shim",
	  .group = GROUP_BARE,
	  .tenants = { { 1000, 4, false } } },
	ALONE(5),
	ALONE(10),
	ALONE(25),
	ALONE(30),
	ALONE(50),
	ALONE(75),
	ALONE(90),
	ALONE(95),
	{ .name = "alone-100",
	  .what = "1 process, 100 %",
	  .group = GROUP_UNCAPPED,
	  .control = "bare-1",
	  .tenants = { { 1000, 1, false } } },
	{ .name = "four-40",
	  .what = "4 processes of one tenant, 40 %",
	  .group = GROUP_TOGETHER,
	  .control = "bare-4",
	  .tenants = { { 400, 4, false } } },
	{ .name = "two-30-70",
	  .what = "2 tenants, 30 and 70 %",
	  .group = GROUP_TOGETHER,
	  .control = "bare-2",
	  .tenants = { { 300, 1, false }, { 700, 1, false } } },
	{ .name = "two-10-90",
	  .what = "2 tenants, 10 and 90 %",
	  .group = GROUP_TOGETHER,
	  .control = "bare-2",
	  .tenants = { { 100, 1, false }, { 900, 1, false } } },
	{ .name = "idle-25",
	  .what = "4 tenants of 25 %, one idle",
	  .group = GROUP_TOGETHER,
	  .control = "bare-3",
	  .tenants = { { 250, 1, false },
		       { 250, 1, false },
		       { 250, 1, false },
		       { 250, 1, true } } },
	{ .name = "set-50-20-60",
	  .what = "1 process, 50 %, then 20, then 60",
	  .group = GROUP_SET,
	  .control = "bare-1",
	  .tenants = { { 500, 1, false } },
	  .steps_permille = { 200, 600 } },
};

const unsigned nscenarios = sizeof(scenarios) / sizeof(scenarios[0]);
_Static_assert(sizeof(scenarios) / sizeof(scenarios[0]) <= SCENARIOS_MAX,
	       "a scenario has no room in the results");

/* One process between 5 and 95 % is limited in the same way as at 30 and 50 %. */
static const char matrix[] = "bare-* alone-5.* alone-30.* alone-50.* alone-95.* "
			     "alone-100.* four-* two-* idle-* set-*";

const struct scenario *scenario_find(const char *name)
{
	for (unsigned i = 0; name && i < nscenarios; i++)
		if (strcmp(scenarios[i].name, name) == 0)
			return &scenarios[i];
	return NULL;
}

unsigned scenario_tenants(const struct scenario *scenario)
{
	unsigned n = 0;

	while (n < TENANTS_MAX && scenario->tenants[n].processes > 0)
		n++;
	return n;
}

unsigned scenario_processes(const struct scenario *scenario)
{
	unsigned n = 0;

	for (unsigned t = 0; t < scenario_tenants(scenario); t++)
		n += scenario->tenants[t].processes;
	return n;
}

unsigned scenario_tenant_of(const struct scenario *scenario, unsigned process)
{
	unsigned t = 0;

	while (process >= scenario->tenants[t].processes)
		process -= scenario->tenants[t++].processes;
	return t;
}

bool cell_exists(const struct scenario *scenario, enum load_kind kind)
{
	/* One kernel is to be at most two points of a window of 500 ms; and a load that
	 * asks for less than the limit does not show that it has changed. */
	return scenario->group != GROUP_SET ||
	       (load_facts[kind].quantum_ns <= UINT64_C(10000000) &&
		load_facts[kind].demand_permille == 1000);
}

bool cell_wanted(const struct scenario *scenario, enum load_kind kind, const char *list)
{
	char name[64], patterns[512], *rest = patterns, *pattern;

	if (!list || !*list)
		return true;
	snprintf(name, sizeof(name), "%s.%s", scenario->name, load_facts[kind].name);
	snprintf(patterns, sizeof(patterns), "%s", list);
	while ((pattern = strsep(&rest, " ,")))
		if (strcmp(pattern, CELLS_MATRIX) == 0
			    ? cell_wanted(scenario, kind, matrix)
			    : *pattern && fnmatch(pattern, name, 0) == 0)
			return true;
	return false;
}
