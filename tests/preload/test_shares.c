/*
 * test_shares.c - tenants are held to their share of GPU time, whatever they launch.
 *
 * Each cell is a few seconds of unsynchronised load, judged by the device's own books.
 * The bounds are loose, as the machine may be busy: tests/bench/share/ has the figures.
 * A cell comes with its control, the same load without the shim, which must break its
 * bound.
 */
#include "cunit_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "common_load.h"
#include "common_tenant.h"
#include "simgpu.h"

enum { TENANTS_MAX = 2, PROCESSES_MAX = 4 };

#define WARM_UP_S 0.5
#define CELL_S 3.0
#define CONTROL_S 0.3

/* How far above its limit nobody is, beyond one kernel, as a part of the device's time. */
#define ABOVE 0.02
/* What a tenant gets at least, as a part of its limit: alone, and beside another, where
 * without an agent it may be charged for time that the other had. */
#define AT_LEAST_ALONE 0.6
#define AT_LEAST_BESIDE 0.05

struct cell {
	enum load_kind kind;
	struct {
		unsigned limit_percent, processes;
	} tenants[TENANTS_MAX]; /* up to the first without processes */
};

/* ---- in a tenant ---- */

TENANT_BODY(loads_the_device)
{
	enum load_kind kind = load_find(getenv("LOAD_KIND"));

	load_prepare(kind);
	tenant_meet();
	load_run(kind, UINT64_MAX); /* until it is killed */
}

/* ---- outside ---- */

static bool apply(const struct cell *cell)
{
	const char *build = getenv("BUILD") ? getenv("BUILD") : "build";
	char path[512], command[2048];
	FILE *file;

	snprintf(path, sizeof(path), "%s/limits.json", tenant_dir());
	file = fopen(path, "w");
	if (!file)
		return false;
	fputs("{ \"version\": 1, \"tenants\": {", file);
	for (unsigned t = 0; t < TENANTS_MAX && cell->tenants[t].processes; t++)
		fprintf(file, "%s \"t%u\": { \"compute\": %u }", t ? "," : "", t,
			cell->tenants[t].limit_percent);
	fputs(" } }\n", file);
	snprintf(command, sizeof(command),
		 "GPUSHIM_DIR='%s' '%s/bin/gpushim-ctl' apply '%s' >'%s/said' 2>&1 || "
		 "{ cat '%s/said'; false; }",
		 tenant_dir(), build, path, tenant_dir(), tenant_dir());
	return fclose(file) == 0 && system(command) == 0;
}

static unsigned start(const struct cell *cell, bool shim, pid_t pids[PROCESSES_MAX])
{
	char kind[64], tenant[32];
	unsigned n = 0;

	snprintf(kind, sizeof(kind), "LOAD_KIND=%s", load_facts[cell->kind].name);
	for (unsigned t = 0; t < TENANTS_MAX; t++)
		for (unsigned i = 0; i < cell->tenants[t].processes; i++) {
			snprintf(tenant, sizeof(tenant), "GPUSHIM_TENANT=t%u", t);
			pids[n++] = tenant_start("loads_the_device", kind, tenant,
						 shim ? NULL : "LD_PRELOAD", NULL);
		}
	for (unsigned i = 0; i < n; i++)
		if (!tenant_met(pids[i])) {
			CU_FAIL("A load ended before it was ready.");
			return 0;
		}
	for (unsigned i = 0; i < n; i++)
		tenant_go(pids[i]);
	return n;
}

struct books {
	uint64_t now_ns;
	uint64_t gpu_ns[PROCESSES_MAX];
};

/* The first books of the device at or after a time. */
static struct books books_at(uint64_t time_ns, const pid_t *pids, unsigned n)
{
	const struct timespec pause = { 0, 20000000 };
	struct simgpu_monitor *monitor = simgpu_open(NULL, 0, NULL);
	struct books books = { 0 };

	while (monitor && books.now_ns < time_ns) {
		struct simgpu_truth *truth = simgpu_truth(monitor);

		if (!truth)
			break;
		books.now_ns = truth->now_ns;
		for (unsigned i = 0; i < n; i++) {
			const struct simgpu_client *row = simgpu_find(truth, pids[i]);

			books.gpu_ns[i] = row ? row->gpu_ns[0] : 0;
		}
		simgpu_free(truth);
		nanosleep(&pause, NULL);
	}
	simgpu_close(monitor);
	return books;
}

/* The share of the device's time that each tenant got in `seconds` after the warm-up. */
static bool measure(const struct cell *cell, bool shim, double warm_up_s, double seconds,
		    double shares[TENANTS_MAX])
{
	pid_t pids[PROCESSES_MAX];
	unsigned n = start(cell, shim, pids), process = 0;
	struct books begin = books_at(1, pids, n), end;

	begin = books_at(begin.now_ns + (uint64_t)(warm_up_s * 1e9), pids, n);
	end = books_at(begin.now_ns + (uint64_t)(seconds * 1e9), pids, n);
	for (unsigned t = 0; t < TENANTS_MAX; t++) {
		uint64_t used_ns = 0;

		for (unsigned i = 0; i < cell->tenants[t].processes && n; i++, process++)
			used_ns += end.gpu_ns[process] - begin.gpu_ns[process];
		shares[t] = (double)used_ns / (double)(end.now_ns - begin.now_ns);
	}
	for (unsigned i = 0; i < n; i++)
		tenant_discard(pids[i]);
	return n > 0 && end.now_ns > begin.now_ns;
}

/* Which tenants took more than they may, as bits. */
static unsigned above(const struct cell *cell, const double *shares)
{
	double kernel = (double)load_facts[cell->kind].quantum_ns / (CELL_S * 1e9);
	unsigned bits = 0;

	for (unsigned t = 0; t < TENANTS_MAX; t++)
		if (shares[t] > cell->tenants[t].limit_percent / 100.0 + ABOVE + kernel)
			bits |= 1u << t;
	return bits;
}

static void holds(const struct cell *cell)
{
	double least = cell->tenants[1].processes ? AT_LEAST_BESIDE : AT_LEAST_ALONE;
	double kernel = (double)load_facts[cell->kind].quantum_ns / (CELL_S * 1e9);
	double shares[TENANTS_MAX];

	CU_ASSERT(apply(cell));
	CU_ASSERT(measure(cell, false, 0.1, CONTROL_S, shares));
	CU_ASSERT_NOT_EQUAL(above(cell, shares), 0);
	CU_ASSERT(measure(cell, true, WARM_UP_S, CELL_S, shares));
	CU_ASSERT_EQUAL(above(cell, shares), 0);
	for (unsigned t = 0; t < TENANTS_MAX && cell->tenants[t].processes; t++) {
		double limit = cell->tenants[t].limit_percent / 100.0;

		printf("limit %.0f %%, share %.1f %%\n", limit * 100, shares[t] * 100);
		CU_ASSERT(shares[t] >= limit * least - kernel);
	}
}

static void one_process_of_20_us_kernels_keeps_to_30_percent(void)
{
	holds(&(struct cell){ LOAD_20US, { { 30, 1 } } });
}

static void one_process_of_300_ms_kernels_keeps_to_50_percent(void)
{
	holds(&(struct cell){ LOAD_300MS, { { 50, 1 } } });
}

static void four_processes_of_a_tenant_keep_to_40_percent_together(void)
{
	holds(&(struct cell){ LOAD_1MS, { { 40, 4 } } });
}

static void of_two_tenants_nobody_is_above_30_and_70_percent(void)
{
	holds(&(struct cell){ LOAD_20US, { { 30, 1 }, { 70, 1 } } });
}

static void graphs_of_small_kernels_keep_to_25_percent(void)
{
	holds(&(struct cell){ LOAD_GRAPH, { { 25, 1 } } });
}

static void one_signature_of_any_length_keeps_to_30_percent(void)
{
	holds(&(struct cell){ LOAD_VARIABLE, { { 30, 1 } } });
}

const struct unit_suite unit_suite = {
	.name = "shares",
	.teardown = tenant_forget,
	.tests = { UNIT_TEST(one_process_of_20_us_kernels_keeps_to_30_percent),
		   UNIT_TEST(one_process_of_300_ms_kernels_keeps_to_50_percent),
		   UNIT_TEST(four_processes_of_a_tenant_keep_to_40_percent_together),
		   UNIT_TEST(of_two_tenants_nobody_is_above_30_and_70_percent),
		   UNIT_TEST(graphs_of_small_kernels_keep_to_25_percent),
		   UNIT_TEST(one_signature_of_any_length_keeps_to_30_percent) },
};
