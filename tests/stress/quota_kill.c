/*
 * quota_kill.c - tenants' processes that are killed at any moment, some of which have
 * forked; judged by what the device says.
 *
 * Promised: the device never holds more than the quota, whoever dies where; and when all are
 * gone all of the quota can be had at once, to the byte. Controls: as long as one of them
 * merely stands still, or a forked child keeps its parent's memory, what it holds cannot be
 * had.
 */
#include "cunit_main.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common_tenant.h"

#define MIB ((uint64_t)1 << 20)
#define QUOTA "GPUSHIM_MEMORY=256MiB"

enum { KILLS = 500, AT_ONCE = 8, HELD = 8 };

static const uint64_t quota_bytes = 256 * MIB;

/* ---- bodies ---- */

static void nap_us(unsigned us)
{
	struct timespec t = { .tv_nsec = (long)us * 1000 };

	nanosleep(&t, NULL);
}

/* A child that outlives its parent for a moment, and ends without a word. */
static void keep_for_a_moment(unsigned us)
{
	if (fork() == 0) {
		nap_us(us);
		_exit(0);
	}
}

/* Takes and gives back until it is killed. */
TENANT_BODY(storm)
{
	CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
				     .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } };
	CUdeviceptr plain[HELD] = { 0 };
	CUmemGenericAllocationHandle handles[HELD] = { 0 };
	unsigned seed = (unsigned)getpid();

	signal(SIGCHLD, SIG_IGN);
	tenant_context();
	for (;;) {
		unsigned at = (unsigned)rand_r(&seed) % HELD;
		unsigned what = (unsigned)rand_r(&seed) % 16;

		if (plain[at])
			cuMemFree_v2(plain[at]);
		if (handles[at])
			cuMemRelease(handles[at]);
		plain[at] = handles[at] = 0;
		if (what < 2)
			keep_for_a_moment(2000 + (unsigned)rand_r(&seed) % 8000);
		if (what < 8) {
			if (cuMemAlloc_v2(&plain[at],
					  1 + (unsigned)rand_r(&seed) % (48 * MIB)) !=
			    CUDA_SUCCESS)
				plain[at] = 0;
		} else if (what < 14) {
			if (cuMemCreate(&handles[at],
					(1 + (unsigned)rand_r(&seed) % 24) * 2 * MIB,
					&prop, 0) != CUDA_SUCCESS)
				handles[at] = 0;
		} else if (cuMemAllocAsync(&plain[at], 1 * MIB, NULL) != CUDA_SUCCESS) {
			plain[at] = 0;
		}
	}
}

TENANT_BODY(take_all)
{
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAlloc_v2(&p, quota_bytes + 1), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAlloc_v2(&p, quota_bytes), CUDA_SUCCESS);
}

TENANT_BODY(hold_one_mib)
{
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAlloc_v2(&p, MIB), CUDA_SUCCESS);
	tenant_meet();
}

/* Its child keeps what it holds, until the test lets it go. */
TENANT_BODY(die_before_ones_child)
{
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAlloc_v2(&p, MIB), CUDA_SUCCESS);
	if (fork() == 0) {
		tenant_meet();
		_exit(0);
	}
	pause();
}

/* ---- tests ---- */

/* Until the device holds nothing for anybody: forked children have gone as well. */
static bool all_is_given_back(void)
{
	for (unsigned i = 0; i < unit_patience_ms(5000); i++) {
		if (tenant_device_requested() == 0)
			return true;
		nap_us(1000);
	}
	return false;
}

static void five_hundred_kills_leave_nothing_charged_and_nothing_over(void)
{
	pid_t pids[AT_ONCE];
	unsigned seed = 1, kills = KILLS / (unit_patience_ms(1) > 1 ? 4 : 1);

	for (int i = 0; i < AT_ONCE; i++)
		pids[i] = tenant_start("storm", QUOTA, NULL);
	for (unsigned i = 0; i < kills; i++) {
		int at = rand_r(&seed) % AT_ONCE;

		nap_us((unsigned)rand_r(&seed) % 8000);
		tenant_discard(pids[at]);
		pids[at] = tenant_start("storm", QUOTA, NULL);
	}
	for (int i = 0; i < AT_ONCE; i++)
		tenant_discard(pids[i]);
	CU_ASSERT(all_is_given_back());
	CU_ASSERT(tenant_passes("take_all", QUOTA, NULL));
	CU_ASSERT(tenant_device_requested_peak() <= quota_bytes);
	/* They did use it. */
	CU_ASSERT(tenant_device_requested_peak() > quota_bytes / 2);
	printf("      %u killed; %.1f of 256 MiB at the height\n", kills,
	       (double)tenant_device_requested_peak() / (double)MIB);
}

static void control_who_stands_still_keeps_what_he_has(void)
{
	pid_t pid = tenant_start("hold_one_mib", QUOTA, NULL);

	CU_ASSERT(tenant_met(pid));
	kill(pid, SIGSTOP);
	CU_ASSERT_FALSE(tenant_passes("take_all", QUOTA, NULL));
	tenant_discard(pid);
	CU_ASSERT(tenant_passes("take_all", QUOTA, NULL));
}

static void control_a_forked_child_keeps_what_its_parent_had(void)
{
	pid_t pid = tenant_start("die_before_ones_child", QUOTA, NULL);

	CU_ASSERT(tenant_met(pid));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	CU_ASSERT_EQUAL(tenant_device_requested(), MIB);
	CU_ASSERT_FALSE(tenant_passes("take_all", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), MIB);
	tenant_go(pid);
	CU_ASSERT(all_is_given_back());
	CU_ASSERT(tenant_passes("take_all", QUOTA, NULL));
	tenant_discard(pid);
}

const struct unit_suite unit_suite = {
	.name = "kills under a quota",
	.teardown = tenant_forget,
	.tests = { UNIT_TEST(five_hundred_kills_leave_nothing_charged_and_nothing_over),
		   UNIT_TEST(control_who_stands_still_keeps_what_he_has),
		   UNIT_TEST(control_a_forked_child_keeps_what_its_parent_had) },
};
