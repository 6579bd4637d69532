/*
 * time_kill.c - a tenant's processes that launch without end and are killed at any moment,
 * under a limit of GPU time; judged by the device's own count of it.
 *
 * Promised, of every stretch of time between two looks, and so of the whole run: the tenant
 * uses no more of the device than
 *
 *	rate * time + burst + 4 * (16 ms + a kernel) + unpaid, for every process started
 *
 * The bucket lets `rate * time + burst` and one launch more be paid for in any stretch. What
 * runs in it may have been paid for before, up to what each of four processes may have in
 * flight (16 ms and the launch that went beyond). All that a process has in flight has been
 * paid for when it is killed, so nothing of that is lost, with one exception: what nobody has
 * measured yet is paid for at a default of 200 us, and if the process dies before that is
 * settled, what the kernel took beyond is never paid. Of such launches a tenant has one in
 * flight, and who lives on settles it. So a death costs no more than that, and there are no
 * more deaths than starts.
 *
 * And when all is over the one that lived throughout has its share: nothing is stuck, no debt
 * is left of the dead, and no credit.
 */
#include "cunit_main.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common_gate.h"
#include "common_publish.h"
#include "common_stress.h"
#include "common_tenant.h"

enum { VICTIMS = 3, KILLS = 500, KILL_MS = 40, LOADS = 3 };
#define STORM_NS (12000 * GATE_MS)
#define CONTROL_NS (2000 * GATE_MS)
#define SET_NS (50 * GATE_MS)

/* As the library's defaults are: credit saved up, and a process' work in flight. */
#define BURST_NS (20 * GATE_MS)
#define IN_FLIGHT_NS (16 * GATE_MS)

#define DEFAULT_NS (200 * GATE_US)

/* Kernels; one length for each process. */
static const unsigned loads_us[LOADS] = { 100, 500, 1000 };
#define KERNEL_MAX_NS GATE_MS
#define SIBLING_LOAD "LOAD=1000"
#define SLACK_NS (BURST_NS + (VICTIMS + 1) * (IN_FLIGHT_NS + KERNEL_MAX_NS))

TENANT_BODY(loads_without_end)
{
	gate_load();
}

/* ---- the device's count ---- */

/* How far use was above a line of that slope, in the worst of all stretches. */
struct curve {
	struct simgpu_monitor *monitor;
	unsigned rate_permille;
	uint64_t unpaid_ns; /* of all processes started */
	uint64_t begin_ns, begin_busy_ns;
	uint64_t last_ns, last_busy_ns;
	int64_t lowest_ns, worst_ns;
};

static void curve_look(struct curve *curve)
{
	struct simgpu_truth *truth = stress_truth(curve->monitor);
	uint64_t busy_ns = truth->devices[0].busy_ns;
	int64_t above_ns;

	if (curve->begin_ns == 0) {
		curve->begin_ns = truth->now_ns;
		curve->begin_busy_ns = busy_ns;
	}
	curve->last_ns = truth->now_ns;
	curve->last_busy_ns = busy_ns;
	above_ns = (int64_t)(busy_ns - curve->begin_busy_ns) -
		   (int64_t)((truth->now_ns - curve->begin_ns) / 1000 *
			     curve->rate_permille) -
		   (int64_t)curve->unpaid_ns;
	if (above_ns < curve->lowest_ns)
		curve->lowest_ns = above_ns;
	if (above_ns - curve->lowest_ns > curve->worst_ns)
		curve->worst_ns = above_ns - curve->lowest_ns;
	simgpu_free(truth);
}

static bool curve_holds(const struct curve *curve)
{
	printf("      %.1f of %.1f s used; at worst %.1f of %.1f ms above %u permille\n",
	       (double)(curve->last_busy_ns - curve->begin_busy_ns) / 1e9,
	       (double)(curve->last_ns - curve->begin_ns) / 1e9,
	       (double)curve->worst_ns / 1e6, (double)SLACK_NS / 1e6,
	       curve->rate_permille);
	return curve->worst_ns <= (int64_t)SLACK_NS;
}

/* ---- the storm ---- */

struct storm {
	const char *limit; /* a variable; "LD_PRELOAD": without the shim */
	uint64_t lasts_ns;
	unsigned kills_max;
	/* NULL, or what is done every 50 ms. */
	bool (*now_and_then)(unsigned times);
	struct curve curve;
	struct stress_random random;
	pid_t sibling, victims[VICTIMS];
	unsigned kills, times;
	bool failed; /* to do that */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static pid_t start_victim(struct storm *storm)
{
	unsigned us = loads_us[stress_below(&storm->random, LOADS)];
	char load[32];

	snprintf(load, sizeof(load), "LOAD=%u", us);
	if (us * GATE_US > DEFAULT_NS)
		storm->curve.unpaid_ns += us * GATE_US - DEFAULT_NS;
	return tenant_start("loads_without_end", storm->limit, load, NULL);
}

static void storm_begin(struct storm *storm)
{
	tenant_dir();
	storm->curve.monitor = stress_monitor();
	storm->random.state = 4;
	curve_look(&storm->curve);
	storm->sibling = tenant_start("loads_without_end", storm->limit, SIBLING_LOAD,
				      NULL);
	for (int i = 0; i < VICTIMS; i++)
		storm->victims[i] = start_victim(storm);
}

static void storm_rage(struct storm *storm)
{
	uint64_t end_ns = now_ns() + storm->lasts_ns, next_ns = 0;

	while (now_ns() < end_ns && storm->kills < storm->kills_max) {
		pid_t *victim = &storm->victims[stress_below(&storm->random, VICTIMS)];

		stress_pause_us((unsigned)stress_below(&storm->random,
						       1000 * unit_patience_ms(KILL_MS)));
		if (storm->now_and_then && now_ns() >= next_ns) {
			next_ns = now_ns() + SET_NS;
			storm->failed |= !storm->now_and_then(storm->times++);
		}
		tenant_discard(*victim);
		storm->kills++;
		*victim = start_victim(storm);
		curve_look(&storm->curve);
	}
}

/* How many processes there were of which a kernel has run. */
static unsigned have_run(struct simgpu_monitor *monitor)
{
	struct simgpu_truth *truth = stress_truth(monitor);
	unsigned n = 0;

	for (uint32_t i = 0; i < truth->nclients; i++)
		n += truth->clients[i].gpu_ns[0] > 0;
	simgpu_free(truth);
	return n;
}

/* The one that lived throughout lives on. */
static void storm_end(struct storm *storm)
{
	unsigned ran;

	for (int i = 0; i < VICTIMS; i++)
		tenant_discard(storm->victims[i]);
	curve_look(&storm->curve);
	ran = have_run(storm->curve.monitor);
	printf("      %u killed, %u had work done\n", storm->kills, ran);
	/* Not all of them die before they begin. */
	CU_ASSERT(storm->kills > 5 && ran > storm->kills / 4);
}

/* Whether the device works for the process; in vain for ten seconds, it does not. */
static bool is_served(const struct storm *storm, pid_t pid)
{
	uint64_t used_ns = 0;

	for (unsigned i = unit_patience_ms(1000); i > 0 && used_ns < 10 * GATE_MS; i--) {
		struct simgpu_truth *truth = stress_truth(storm->curve.monitor);
		const struct simgpu_client *client = simgpu_find(truth, pid);

		used_ns = client ? client->gpu_ns[0] : 0;
		simgpu_free(truth);
		stress_pause_us(10000);
	}
	return used_ns >= 10 * GATE_MS;
}

static void storm_forget(struct storm *storm)
{
	tenant_discard(storm->sibling);
	simgpu_close(storm->curve.monitor);
}

static unsigned as_many_as_fit(unsigned kills)
{
	return unit_patience_ms(1) > 1 ? kills / 4 : kills;
}

/* Nobody had to mend the words of the bucket, and the credit or debt in it can be real. */
static void bucket_is_whole(const char *tenant, uint64_t rate_permille)
{
	const struct gpushim_snapshot *snapshot = tenant_snapshot(tenant_dir(), tenant);
	const struct gpushim_device *device;

	CU_ASSERT_PTR_NOT_NULL_FATAL(snapshot);
	device = &snapshot->devices[0];
	CU_ASSERT_EQUAL(device->rate_permille, rate_permille);
	CU_ASSERT_EQUAL(device->repairs, 0);
	CU_ASSERT(device->level_ns <= (int64_t)BURST_NS);
	CU_ASSERT(device->level_ns >= -(int64_t)SLACK_NS);
}

/* ---- tests ---- */

static void of_processes_killed_at_random_none_leaves_credit_or_debt(void)
{
	struct storm storm = { .limit = "GPUSHIM_COMPUTE=30",
			       .lasts_ns = STORM_NS,
			       .kills_max = as_many_as_fit(KILLS),
			       .curve = { .rate_permille = 300 } };

	storm_begin(&storm);
	storm_rage(&storm);
	storm_end(&storm);
	CU_ASSERT(curve_holds(&storm.curve));
	bucket_is_whole("default", 300);
	/* Alone now, it has all of the share; and who comes then gets a part of it. */
	CU_ASSERT(gate_holds(300, GATE_MS, 400));
	storm.victims[0] = start_victim(&storm);
	CU_ASSERT(is_served(&storm, storm.victims[0]));
	tenant_discard(storm.victims[0]);
	storm_forget(&storm);
}

static bool ctl(const char *words)
{
	const char *build = getenv("BUILD") ? getenv("BUILD") : "build";
	char command[2048];

	snprintf(command, sizeof(command),
		 "GPUSHIM_DIR='%s' '%s/bin/gpushim-ctl' %s >'%s/said' 2>&1 || "
		 "{ cat '%s/said'; false; }",
		 tenant_dir(), build, words, tenant_dir(), tenant_dir());
	return system(command) == 0;
}

static bool publish_40(void)
{
	char path[512], words[600];

	snprintf(path, sizeof(path), "%s/limits.json", tenant_dir());
	tenant_write(path,
		     "{ \"version\": 1, \"tenants\": { \"t\": { \"compute\": 40 } } }");
	snprintf(words, sizeof(words), "apply '%s'", path);
	return ctl(words);
}

static bool set_20_or_40(unsigned times)
{
	return ctl(times % 2 ? "set t compute=40" : "set t compute=20");
}

static void a_limit_set_to_and_fro_meanwhile_is_never_above_the_larger(void)
{
	struct storm storm = { .limit = "GPUSHIM_TENANT=t",
			       .lasts_ns = STORM_NS / 3,
			       .kills_max = as_many_as_fit(KILLS / 5),
			       .now_and_then = set_20_or_40,
			       .curve = { .rate_permille = 400 } };

	CU_ASSERT_FATAL(publish_40());
	storm_begin(&storm);
	storm_rage(&storm);
	storm_end(&storm);
	CU_ASSERT(storm.times > 3 && !storm.failed);
	CU_ASSERT(curve_holds(&storm.curve));
	CU_ASSERT(set_20_or_40(0));
	CU_ASSERT(gate_holds(200, GATE_MS, 400));
	bucket_is_whole("t", 200);
	storm_forget(&storm);
}

static bool a_storm_holds(const char *limit)
{
	struct storm storm = { .limit = limit,
			       .lasts_ns = CONTROL_NS,
			       .kills_max = KILLS,
			       .curve = { .rate_permille = 300 } };
	bool holds;

	storm_begin(&storm);
	storm_rage(&storm);
	storm_end(&storm);
	holds = curve_holds(&storm.curve);
	storm_forget(&storm);
	return holds;
}

static void control_without_the_shim_it_does_not_hold(void)
{
	CU_ASSERT_FALSE(a_storm_holds("LD_PRELOAD"));
}

static void control_twice_the_limit_is_seen(void)
{
	CU_ASSERT_FALSE(a_storm_holds("GPUSHIM_COMPUTE=60"));
}

const struct unit_suite unit_suite = {
	.name = "kills under a limit of GPU time",
	.teardown = tenant_forget,
	.tests = { UNIT_TEST(of_processes_killed_at_random_none_leaves_credit_or_debt),
		   UNIT_TEST(a_limit_set_to_and_fro_meanwhile_is_never_above_the_larger),
		   UNIT_TEST(control_without_the_shim_it_does_not_hold),
		   UNIT_TEST(control_twice_the_limit_is_seen) },
};
