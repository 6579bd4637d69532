/*
 * cells.h - what is measured: who shares the device, under which limits, times how each
 * loads it.
 *
 * A cell is a scenario and a kind of load; its name is "SCENARIO.KIND".
 */
#ifndef SHARE_CELLS_H
#define SHARE_CELLS_H

#include <stdbool.h>
#include <stdint.h>

#include "common_load.h"

enum { SCENARIOS_MAX = 32, TENANTS_MAX = 4, PROCESSES_MAX = 4, STEPS_MAX = 2 };

enum scenario_group {
	GROUP_BARE,	/* without the shim: the driver's own division */
	GROUP_ALONE,	/* one process, a limit */
	GROUP_UNCAPPED, /* one process, 100 % */
	GROUP_TOGETHER,
	GROUP_SET, /* the limit changes while the load runs */
};

struct tenant {
	uint32_t limit_permille;
	unsigned processes;
	bool idle; /* has a context and launches nothing */
};

struct scenario {
	const char *name;
	const char *what;
	enum scenario_group group;
	const char
		*control; /* the scenario with the same processes and without the shim */
	struct tenant tenants[TENANTS_MAX]; /* up to the first without processes */
	uint32_t steps_permille
		[STEPS_MAX]; /* of GROUP_SET: new limits, one after another */
};

extern const struct scenario scenarios[];
extern const unsigned nscenarios;

const struct scenario *scenario_find(const char *name); /* NULL: there is none */
unsigned scenario_tenants(const struct scenario *scenario);
unsigned scenario_processes(const struct scenario *scenario);
/* The tenant that a process belongs to, counted in the order of the tenants. */
unsigned scenario_tenant_of(const struct scenario *scenario, unsigned process);

/* Whether the pair is measured at all: not all kinds show when a limit has changed. */
bool cell_exists(const struct scenario *scenario, enum load_kind kind);

/* Whether a pattern of the shell's in the list ("" or NULL: all) fits the cell. The word
 * CELLS_MATRIX stands for all cells but alone-10, -25, -75 and -90. */
#define CELLS_MATRIX "matrix"
bool cell_wanted(const struct scenario *scenario, enum load_kind kind, const char *list);

#endif
