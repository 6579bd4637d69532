/*
 * quota_race.c - eight processes of eight threads at one quota, on every path that takes
 * memory; judged by what the device says was held at the same time.
 *
 * Two promises: never a byte over, and no refusal of what fits. For the second the threads'
 * shares add up to exactly the quota and none ever asks for more than its share, so that any
 * refusal is a wrong one. Controls: the same without a quota goes over it; with one thread's
 * share less, somebody is refused.
 */
#include "cunit_main.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common_tenant.h"

#define MIB ((uint64_t)1 << 20)

enum { PROCESSES = 8, THREADS = 8, HELD_MAX = 4, ROUNDS = 400 };

static const uint64_t quota_bytes = 512 * MIB;
static const uint64_t share_bytes = 512 * MIB / (PROCESSES * THREADS);

enum path { PLAIN, PITCH, MANAGED, ARRAY, VMM, POOL, PATHS };

struct held {
	enum path path;
	uint64_t handle;
};

struct hammer {
	unsigned seed, rounds, paths;
	unsigned hold;	    /* at most that many at a time */
	uint64_t max_bytes; /* of each */
	unsigned granted, refused, wrong;
	CUcontext context;
	struct held held[HELD_MAX];
};

static CUresult take(enum path path, uint64_t bytes, uint64_t *handle)
{
	CUDA_ARRAY_DESCRIPTOR array = { .Width = 4096,
					.Height = bytes / 4096,
					.Format = CU_AD_FORMAT_UNSIGNED_INT8,
					.NumChannels = 1 };
	CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
				     .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } };
	CUdeviceptr p = 0;
	size_t pitch;
	CUarray a = NULL;
	CUmemGenericAllocationHandle vmm = 0;
	CUresult result = CUDA_ERROR_INVALID_VALUE;

	switch (path) {
	case PLAIN:
		result = cuMemAlloc_v2(&p, bytes);
		break;
	case PITCH:
		result = cuMemAllocPitch_v2(&p, &pitch, 4096, bytes / 4096, 4);
		break;
	case MANAGED:
		result = cuMemAllocManaged(&p, bytes, CU_MEM_ATTACH_GLOBAL);
		break;
	case POOL:
		result = cuMemAllocAsync(&p, bytes, NULL);
		break;
	case ARRAY:
		result = cuArrayCreate_v2(&a, &array);
		p = (uintptr_t)a;
		break;
	case VMM:
		result = cuMemCreate(&vmm, bytes, &prop, 0);
		p = vmm;
		break;
	case PATHS:
		break;
	}
	*handle = p;
	return result;
}

static CUresult give_back(const struct held *held)
{
	switch (held->path) {
	case ARRAY:
		return cuArrayDestroy((CUarray)(uintptr_t)held->handle);
	case VMM:
		return cuMemRelease(held->handle);
	case POOL: {
		CUresult result = cuMemFreeAsync(held->handle, NULL);

		return result ? result : cuStreamSynchronize(NULL);
	}
	default:
		return cuMemFree_v2(held->handle);
	}
}

static void drop(struct hammer *h, unsigned slot)
{
	if (h->held[slot].handle && give_back(&h->held[slot]) != CUDA_SUCCESS)
		h->wrong++;
	h->held[slot].handle = 0;
}

static void *hammer(void *arg)
{
	struct hammer *h = arg;

	if (cuCtxSetCurrent(h->context) != CUDA_SUCCESS)
		h->wrong++;
	for (unsigned i = 0; i < h->rounds; i++) {
		struct held *held = &h->held[(unsigned)rand_r(&h->seed) % h->hold];
		uint64_t pages = h->max_bytes >> 21, bytes;
		CUresult result;

		drop(h, (unsigned)(held - h->held));
		held->path = (enum path)((unsigned)rand_r(&h->seed) % h->paths);
		/* Every other time all that it may have, so that they do meet the quota. */
		bytes = (1 + (unsigned)rand_r(&h->seed) % pages) << 21;
		if (rand_r(&h->seed) & 64)
			bytes = h->max_bytes;
		/* Of other than whole pages, where the path allows it. */
		else if (held->path != VMM && held->path != POOL)
			bytes -= 4096 * ((unsigned)rand_r(&h->seed) % 512);
		result = take(held->path, bytes, &held->handle);
		if (result == CUDA_SUCCESS) {
			h->granted++;
		} else {
			held->handle = 0;
			h->refused += result == CUDA_ERROR_OUT_OF_MEMORY;
			h->wrong += result != CUDA_ERROR_OUT_OF_MEMORY;
		}
	}
	for (unsigned i = 0; i < h->hold; i++)
		drop(h, i);
	return NULL;
}

/* All threads of a process; its totals go to standard error. */
static void hammer_all(unsigned rounds, unsigned paths, unsigned hold, uint64_t max_bytes)
{
	static struct hammer hammers[THREADS];
	pthread_t ids[THREADS];
	unsigned granted = 0, refused = 0, wrong = 0;
	CUcontext context;

	tenant_context();
	check_result(cuCtxGetCurrent(&context), CUDA_SUCCESS);
	tenant_meet();
	for (unsigned i = 0; i < THREADS; i++) {
		hammers[i] = (struct hammer){ .seed = (unsigned)getpid() * THREADS + i,
					      .rounds = rounds,
					      .paths = paths,
					      .hold = hold,
					      .max_bytes = max_bytes,
					      .context = context };
		check(pthread_create(&ids[i], NULL, hammer, &hammers[i]) == 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(ids[i], NULL);
		granted += hammers[i].granted;
		refused += hammers[i].refused;
		wrong += hammers[i].wrong;
	}
	fprintf(stderr, "granted %u refused %u wrong %u\n", granted, refused, wrong);
}

TENANT_BODY(each_within_its_share)
{
	hammer_all(unit_rounds(ROUNDS), POOL, 1, share_bytes);
}

TENANT_BODY(all_want_everything)
{
	hammer_all(unit_rounds(ROUNDS), PATHS, HELD_MAX, 2 * share_bytes);
}

struct totals {
	unsigned granted, refused, wrong, ended;
};

static struct totals race(const char *body, const char *memory)
{
	struct totals totals = { 0 };
	pid_t pids[PROCESSES];

	for (int i = 0; i < PROCESSES; i++)
		pids[i] = tenant_start(body, memory, NULL);
	for (int i = 0; i < PROCESSES; i++)
		tenant_met(pids[i]);
	for (int i = 0; i < PROCESSES; i++)
		tenant_go(pids[i]);
	for (int i = 0; i < PROCESSES; i++) {
		unsigned granted = 0, refused = 0, wrong = 0;

		totals.ended += tenant_ends(pids[i]);
		if (sscanf(tenant_stderr(), "granted %u refused %u wrong %u", &granted,
			   &refused, &wrong) != 3)
			totals.wrong++;
		totals.granted += granted;
		totals.refused += refused;
		totals.wrong += wrong;
	}
	printf("      granted %u, refused %u; %.1f of %.0f MiB at the height\n",
	       totals.granted, totals.refused,
	       (double)tenant_device_requested_peak() / (double)MIB,
	       (double)quota_bytes / (double)MIB);
	return totals;
}

static void nobody_goes_over_and_nobody_is_refused_what_fits(void)
{
	struct totals totals = race("each_within_its_share", "GPUSHIM_MEMORY=512MiB");

	CU_ASSERT_EQUAL(totals.ended, PROCESSES);
	CU_ASSERT_EQUAL(totals.wrong, 0);
	CU_ASSERT_EQUAL(totals.refused, 0);
	CU_ASSERT(tenant_device_requested_peak() <= quota_bytes);
	CU_ASSERT_EQUAL(tenant_device_requested(), 0);
}

static void control_a_quota_of_less_than_the_shares_refuses(void)
{
	struct totals totals = race("each_within_its_share", "GPUSHIM_MEMORY=16MiB");

	CU_ASSERT(totals.refused > 0);
	CU_ASSERT(tenant_device_requested_peak() <= 16 * MIB);
}

static void all_want_more_and_not_a_byte_over_is_held(void)
{
	struct totals totals = race("all_want_everything", "GPUSHIM_MEMORY=512MiB");

	CU_ASSERT_EQUAL(totals.ended, PROCESSES);
	CU_ASSERT_EQUAL(totals.wrong, 0);
	CU_ASSERT(totals.refused > 0);
	CU_ASSERT(totals.granted > 0);
	CU_ASSERT(tenant_device_requested_peak() <= quota_bytes);
	/* The quota is used, not merely kept. */
	CU_ASSERT(tenant_device_requested_peak() >= quota_bytes / 4 * 3);
	CU_ASSERT_EQUAL(tenant_device_requested(), 0);
}

static void control_without_a_quota_more_is_held(void)
{
	struct totals totals = race("all_want_everything", "GPUSHIM_MEMORY=12GiB");

	CU_ASSERT_EQUAL(totals.wrong, 0);
	CU_ASSERT_EQUAL(totals.refused, 0);
	CU_ASSERT(tenant_device_requested_peak() > quota_bytes);
}

const struct unit_suite unit_suite = {
	.name = "quota race",
	.teardown = tenant_forget,
	.tests = { UNIT_TEST(nobody_goes_over_and_nobody_is_refused_what_fits),
		   UNIT_TEST(control_a_quota_of_less_than_the_shares_refuses),
		   UNIT_TEST(all_want_more_and_not_a_byte_over_is_held),
		   UNIT_TEST(control_without_a_quota_more_is_held) },
};
