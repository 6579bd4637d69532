/*
 * test_vmm.c - physical memory with handles under a quota: charged once, on the device that
 * has it, until its last reference and its last mapping have gone.
 */
#include "cunit_main.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common_tenant.h"
#include "common_truth.h"

#define MIB ((uint64_t)1 << 20)
#define QUOTA "GPUSHIM_MEMORY=64MiB"

typedef CUmemGenericAllocationHandle handle_t;

static uint64_t left_bytes(void)
{
	size_t free_bytes = 0, total = 0;

	check_result(cuMemGetInfo(&free_bytes, &total), CUDA_SUCCESS);
	return free_bytes;
}

static CUresult create_on(CUmemLocationType type, int id, uint64_t bytes,
			  handle_t *handle)
{
	const CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
					   .location = { type, id } };

	return cuMemCreate(handle, bytes, &prop, 0);
}

static CUresult create(uint64_t bytes, handle_t *handle)
{
	return create_on(CU_MEM_LOCATION_TYPE_DEVICE, 0, bytes, handle);
}

static CUdeviceptr reserve(uint64_t bytes)
{
	CUdeviceptr va = 0;

	check_result(cuMemAddressReserve(&va, bytes, 0, 0, 0), CUDA_SUCCESS);
	return va;
}

static bool held(uint64_t bytes)
{
	return check(truth_requested() == bytes) &&
	       check(left_bytes() == 64 * MIB - bytes);
}

/* ---- at the limit ---- */

TENANT_BODY(created_to_the_limit)
{
	handle_t h, more = 7;
	uint64_t asked;

	tenant_context();
	check_result(create(66 * MIB, &h), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(create(64 * MIB, &h), CUDA_SUCCESS);
	held(64 * MIB);
	asked = truth_asked();
	check_result(create(2 * MIB, &more), CUDA_ERROR_OUT_OF_MEMORY);
	check(truth_asked() == asked && more == 7);
	check_result(cuMemRelease(h), CUDA_SUCCESS);
	held(0);
	check_result(create(64 * MIB, &h), CUDA_SUCCESS);
	held(64 * MIB);
}

static void quota_is_exact_for_physical_memory(void)
{
	CU_ASSERT(tenant_passes("created_to_the_limit", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 64 * MIB);
}

static void without_the_shim_physical_memory_goes_past_the_quota(void)
{
	CU_ASSERT_FALSE(tenant_passes_bare("created_to_the_limit", QUOTA, NULL));
	CU_ASSERT(tenant_device_requested_peak() > 64 * MIB);
}

TENANT_BODY(on_the_device_that_is_named)
{
	handle_t h;

	tenant_context();
	check_result(create_on(CU_MEM_LOCATION_TYPE_DEVICE, 1, 64 * MIB, &h),
		     CUDA_SUCCESS);
	check(left_bytes() == 64 * MIB);
	check_result(create_on(CU_MEM_LOCATION_TYPE_DEVICE, 1, 2 * MIB, &h),
		     CUDA_ERROR_OUT_OF_MEMORY);
	check_result(create(64 * MIB, &h), CUDA_SUCCESS);
	check(left_bytes() == 0);
	check_result(create_on(CU_MEM_LOCATION_TYPE_DEVICE, 2, 2 * MIB, &h),
		     CUDA_ERROR_INVALID_DEVICE);
}

static void the_device_of_the_properties_is_charged(void)
{
	setenv("SIMGPU_DEVICES", "2", 1);
	CU_ASSERT(tenant_passes("on_the_device_that_is_named", QUOTA, NULL));
	unsetenv("SIMGPU_DEVICES");
}

TENANT_BODY(on_the_host)
{
	handle_t h;

	tenant_context();
	check_result(create_on(CU_MEM_LOCATION_TYPE_HOST, 0, 200 * MIB, &h),
		     CUDA_SUCCESS);
	check_result(create_on(CU_MEM_LOCATION_TYPE_HOST_NUMA, 0, 200 * MIB, &h),
		     CUDA_SUCCESS);
	check(left_bytes() == 64 * MIB);
	check_result(cuMemRelease(h), CUDA_SUCCESS);
	check(left_bytes() == 64 * MIB);
}

static void memory_of_the_host_is_not_charged(void)
{
	CU_ASSERT(tenant_passes("on_the_host", QUOTA, NULL));
}

/* ---- the last of both ---- */

/* HAMi-core gives the charge back at the release, although the mapping keeps the memory. */
TENANT_BODY(released_then_unmapped)
{
	CUdeviceptr va;
	handle_t h, more;

	tenant_context();
	va = reserve(40 * MIB);
	for (int i = 0; i < 20; i++) {
		check_result(create(40 * MIB, &h), CUDA_SUCCESS);
		check_result(cuMemMap(va, 40 * MIB, 0, h, 0), CUDA_SUCCESS);
		check_result(cuMemRelease(h), CUDA_SUCCESS);
		held(40 * MIB);
		check_result(create(40 * MIB, &more), CUDA_ERROR_OUT_OF_MEMORY);
		check_result(cuMemUnmap(va, 40 * MIB), CUDA_SUCCESS);
		held(0);
	}
}

TENANT_BODY(unmapped_then_released)
{
	CUdeviceptr va;
	handle_t h, more;

	tenant_context();
	va = reserve(40 * MIB);
	for (int i = 0; i < 20; i++) {
		check_result(create(40 * MIB, &h), CUDA_SUCCESS);
		check_result(cuMemMap(va, 40 * MIB, 0, h, 0), CUDA_SUCCESS);
		check_result(cuMemUnmap(va, 40 * MIB), CUDA_SUCCESS);
		held(40 * MIB);
		check_result(create(40 * MIB, &more), CUDA_ERROR_OUT_OF_MEMORY);
		check_result(cuMemRelease(h), CUDA_SUCCESS);
		held(0);
	}
}

static void hami_memory_released_while_mapped_stays_charged(void)
{
	CU_ASSERT(tenant_passes("released_then_unmapped", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 40 * MIB);
}

static void memory_unmapped_before_its_release_stays_charged(void)
{
	CU_ASSERT(tenant_passes("unmapped_then_released", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 40 * MIB);
}

TENANT_BODY(retained)
{
	CUdeviceptr va;
	handle_t h, same = 0;

	tenant_context();
	va = reserve(64 * MIB);
	check_result(create(64 * MIB, &h), CUDA_SUCCESS);
	check_result(cuMemMap(va, 64 * MIB, 0, h, 0), CUDA_SUCCESS);
	check_result(cuMemRelease(h), CUDA_SUCCESS);
	/* From an address in the middle, when no reference is left. */
	check_result(
		cuMemRetainAllocationHandle(&same, (void *)(uintptr_t)(va + 5 * MIB)),
		CUDA_SUCCESS);
	check(same == h);
	check_result(cuMemRetainAllocationHandle(&same, (void *)(uintptr_t)va),
		     CUDA_SUCCESS);
	check_result(cuMemUnmap(va, 64 * MIB), CUDA_SUCCESS);
	held(64 * MIB);
	check_result(cuMemRelease(h), CUDA_SUCCESS);
	held(64 * MIB);
	check_result(cuMemRelease(h), CUDA_SUCCESS);
	held(0);
}

static void retained_handles_keep_the_charge(void)
{
	CU_ASSERT(tenant_passes("retained", QUOTA, NULL));
}

TENANT_BODY(many_mappings)
{
	CUdeviceptr va;
	handle_t h[16];

	tenant_context();
	va = reserve(64 * MIB);
	for (unsigned i = 0; i < 16; i++) {
		check_result(create(4 * MIB, &h[i]), CUDA_SUCCESS);
		check_result(cuMemMap(va + i * 4 * MIB, 4 * MIB, 0, h[i], 0),
			     CUDA_SUCCESS);
		check_result(cuMemRelease(h[i]), CUDA_SUCCESS);
	}
	held(64 * MIB);
	/* Half a mapping cannot be taken away, nor what was never mapped. */
	check_result(cuMemUnmap(va, 6 * MIB), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemUnmap(va + 2 * MIB, 4 * MIB), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemUnmap(va + 64 * MIB, 4 * MIB), CUDA_ERROR_INVALID_VALUE);
	held(64 * MIB);
	check_result(cuMemUnmap(va + 4 * MIB, 12 * MIB), CUDA_SUCCESS);
	held(52 * MIB);
	check_result(cuMemUnmap(va, 64 * MIB), CUDA_ERROR_INVALID_VALUE);
	held(52 * MIB);
	check_result(cuMemUnmap(va, 4 * MIB), CUDA_SUCCESS);
	check_result(cuMemUnmap(va + 16 * MIB, 48 * MIB), CUDA_SUCCESS);
	held(0);
	/* One memory in two places. */
	check_result(create(32 * MIB, &h[0]), CUDA_SUCCESS);
	check_result(cuMemMap(va, 32 * MIB, 0, h[0], 0), CUDA_SUCCESS);
	check_result(cuMemMap(va + 32 * MIB, 32 * MIB, 0, h[0], 0), CUDA_SUCCESS);
	check_result(cuMemRelease(h[0]), CUDA_SUCCESS);
	check_result(cuMemUnmap(va + 32 * MIB, 32 * MIB), CUDA_SUCCESS);
	held(32 * MIB);
	check_result(cuMemUnmap(va, 32 * MIB), CUDA_SUCCESS);
	held(0);
}

static void one_unmap_may_span_several_mappings(void)
{
	CU_ASSERT(tenant_passes("many_mappings", QUOTA, NULL));
}

/* ---- calls that fail ---- */

TENANT_BODY(failing)
{
	CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
				     .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } };
	CUdeviceptr va;
	handle_t h;

	tenant_context();
	va = reserve(64 * MIB);
	check_result(create(64 * MIB, &h), CUDA_ERROR_UNKNOWN); /* by a fault */
	check_result(create(1000, &h), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemCreate(NULL, 2 * MIB, &prop, 0), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemCreate(&h, 2 * MIB, NULL, 0), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemRelease(12345), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemMap(va, 2 * MIB, 0, 12345, 0), CUDA_ERROR_INVALID_VALUE);
	held(0);
	check_result(create(64 * MIB, &h), CUDA_SUCCESS);
	check_result(cuMemMap(va + 2 * MIB, 64 * MIB, 0, h, 0), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemRelease(h), CUDA_ERROR_UNKNOWN);
	held(64 * MIB);
	check_result(cuMemMap(va, 64 * MIB, 0, h, 0), CUDA_SUCCESS);
	check_result(cuMemRelease(h), CUDA_SUCCESS);
	check_result(cuMemUnmap(va, 64 * MIB), CUDA_ERROR_UNKNOWN);
	held(64 * MIB);
	check_result(cuMemUnmap(va, 64 * MIB), CUDA_SUCCESS);
	held(0);
	check_result(cuMemRelease(h), CUDA_ERROR_INVALID_VALUE);
	held(0);
}

static void failed_calls_change_nothing(void)
{
	CU_ASSERT(tenant_passes(
		"failing", QUOTA,
		"SIMGPU_FAULTS=cuMemCreate@1=999;cuMemRelease@2=999;cuMemUnmap@1=999",
		NULL));
}

TENANT_BODY(outlives_its_context)
{
	CUcontext context;
	CUdeviceptr p;
	handle_t h;

	check_result(cuInit(0), CUDA_SUCCESS);
	check_result(cuCtxCreate(&context, NULL, 0, 0), CUDA_SUCCESS);
	check_result(create(62 * MIB, &h), CUDA_SUCCESS);
	check_result(cuMemAlloc(&p, 2 * MIB), CUDA_SUCCESS);
	check_result(cuCtxDestroy(context), CUDA_SUCCESS);
	check(truth_requested() == 62 * MIB);
	tenant_context();
	held(62 * MIB);
	check_result(create(4 * MIB, &h), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(create(2 * MIB, &h), CUDA_SUCCESS);
}

static void physical_memory_outlives_its_context_and_stays_charged(void)
{
	CU_ASSERT(tenant_passes("outlives_its_context", QUOTA, NULL));
}

TENANT_BODY(multicast)
{
	CUmulticastObjectProp prop = { .numDevices = 1, .size = 2 * MIB };
	handle_t team, h;
	CUdeviceptr va;

	tenant_context();
	va = reserve(2 * MIB);
	check_result(create(2 * MIB, &h), CUDA_SUCCESS);
	check_result(cuMulticastCreate(&team, &prop), CUDA_ERROR_NOT_SUPPORTED);
	check_result(cuMulticastBindMem(1, 0, h, 0, 2 * MIB, 0),
		     CUDA_ERROR_NOT_SUPPORTED);
	check_result(cuMemMap(va, 2 * MIB, 0, h, 0), CUDA_SUCCESS);
	check_result(cuMulticastBindAddr(1, 0, va, 2 * MIB, 0), CUDA_ERROR_NOT_SUPPORTED);
	check_result(cuMulticastUnbind(1, 0, 0, 2 * MIB), CUDA_ERROR_NOT_SUPPORTED);
	check_result(cuMemRelease(h), CUDA_SUCCESS);
	held(2 * MIB);
	check_result(cuMemUnmap(va, 2 * MIB), CUDA_SUCCESS);
	held(0);
}

static void a_multicast_bind_that_failed_holds_nothing(void)
{
	CU_ASSERT(tenant_passes("multicast", QUOTA, NULL));
}

/* ---- many ---- */

TENANT_BODY(ten_thousand)
{
	static handle_t handles[10000];
	const uint64_t bytes = 10000 * 2 * MIB;
	CUdeviceptr va;

	tenant_context();
	va = reserve(bytes);
	for (unsigned i = 0; i < 10000; i++) {
		check_result(create(2 * MIB, &handles[i]), CUDA_SUCCESS);
		check_result(cuMemMap(va + i * 2 * MIB, 2 * MIB, 0, handles[i], 0),
			     CUDA_SUCCESS);
	}
	check(truth_requested() == bytes && left_bytes() == 0);
	check_result(create(2 * MIB, &handles[0]), CUDA_ERROR_OUT_OF_MEMORY);
	for (unsigned i = 0; i < 10000; i += 2)
		check_result(cuMemRelease(handles[i]), CUDA_SUCCESS);
	check_result(cuMemUnmap(va, bytes), CUDA_SUCCESS);
	check(truth_requested() == bytes / 2 && left_bytes() == bytes / 2);
	for (unsigned i = 1; i < 10000; i += 2)
		check_result(cuMemRelease(handles[i]), CUDA_SUCCESS);
	check(truth_requested() == 0 && left_bytes() == bytes);
}

static void ten_thousand_mappings_are_each_given_back(void)
{
	setenv("SIMGPU_MEMORY", "24GiB", 1);
	CU_ASSERT(tenant_passes("ten_thousand", "GPUSHIM_MEMORY=20000MiB", NULL));
	unsetenv("SIMGPU_MEMORY");
}

/* ---- races ---- */

enum { THREADS = 8, ROUNDS = 300 };

struct racer {
	pthread_t thread;
	CUcontext context;
	unsigned number, granted;
};

static void *race(void *data)
{
	struct racer *racer = data;
	uint32_t state = racer->number + 1;
	CUdeviceptr va;
	handle_t h;

	check_result(cuCtxSetCurrent(racer->context), CUDA_SUCCESS);
	va = reserve(32 * MIB);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t bytes;

		state = state * 1664525 + 1013904223;
		bytes = (state >> 8) % 16 * 2 * MIB + 2 * MIB;
		if (create(bytes, &h) != CUDA_SUCCESS)
			continue;
		racer->granted++;
		check_result(cuMemMap(va, bytes, 0, h, 0), CUDA_SUCCESS);
		if (state & 0x100000) {
			check_result(cuMemRelease(h), CUDA_SUCCESS);
			check_result(cuMemUnmap(va, bytes), CUDA_SUCCESS);
		} else {
			check_result(cuMemUnmap(va, bytes), CUDA_SUCCESS);
			check_result(cuMemRelease(h), CUDA_SUCCESS);
		}
	}
	return NULL;
}

TENANT_BODY(eight_threads_race)
{
	static struct racer racers[THREADS];
	unsigned granted = 0;
	CUcontext context;
	handle_t h;

	tenant_context();
	check_result(cuCtxGetCurrent(&context), CUDA_SUCCESS);
	for (unsigned i = 0; i < THREADS; i++) {
		racers[i] = (struct racer){ .context = context, .number = i };
		pthread_create(&racers[i].thread, NULL, race, &racers[i]);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(racers[i].thread, NULL);
		granted += racers[i].granted;
	}
	check(granted > ROUNDS / 2);
	check(truth_requested() == 0);
	check_result(create(64 * MIB, &h), CUDA_SUCCESS);
}

static void racing_threads_never_exceed_the_quota(void)
{
	CU_ASSERT(tenant_passes("eight_threads_race", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 64 * MIB);
}

static void without_the_shim_racing_threads_exceed_it(void)
{
	CU_ASSERT(tenant_passes_bare("eight_threads_race", NULL));
	CU_ASSERT(tenant_device_requested_peak() > 64 * MIB);
}

/* One thread releases what the other unmaps: whoever is last gives the charge back. */
struct relay {
	pthread_barrier_t begun, done;
	CUcontext context;
	handle_t handle;
};

static void *release_at_once(void *data)
{
	struct relay *relay = data;

	check_result(cuCtxSetCurrent(relay->context), CUDA_SUCCESS);
	for (int i = 0; i < ROUNDS; i++) {
		pthread_barrier_wait(&relay->begun);
		check_result(cuMemRelease(relay->handle), CUDA_SUCCESS);
		pthread_barrier_wait(&relay->done);
	}
	return NULL;
}

TENANT_BODY(both_ends_at_once)
{
	static struct relay relay;
	pthread_t thread;
	CUdeviceptr va;

	tenant_context();
	check_result(cuCtxGetCurrent(&relay.context), CUDA_SUCCESS);
	pthread_barrier_init(&relay.begun, NULL, 2);
	pthread_barrier_init(&relay.done, NULL, 2);
	va = reserve(64 * MIB);
	pthread_create(&thread, NULL, release_at_once, &relay);
	for (int i = 0; i < ROUNDS; i++) {
		/* All of the quota: a charge that stayed would refuse the next. */
		check_result(create(64 * MIB, &relay.handle), CUDA_SUCCESS);
		check_result(cuMemMap(va, 64 * MIB, 0, relay.handle, 0), CUDA_SUCCESS);
		pthread_barrier_wait(&relay.begun);
		check_result(cuMemUnmap(va, 64 * MIB), CUDA_SUCCESS);
		pthread_barrier_wait(&relay.done);
	}
	pthread_join(thread, NULL);
	held(0);
}

static void release_and_unmap_at_once_give_back_exactly_once(void)
{
	CU_ASSERT(tenant_passes("both_ends_at_once", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 64 * MIB);
}

/* One thread takes a handle of what the other is giving back: it has all or nothing. */
struct grab {
	struct relay relay;
	CUdeviceptr va;
	handle_t got;
	CUresult result;
};

static void *retain_at_once(void *data)
{
	struct grab *grab = data;

	check_result(cuCtxSetCurrent(grab->relay.context), CUDA_SUCCESS);
	for (int i = 0; i < ROUNDS; i++) {
		pthread_barrier_wait(&grab->relay.begun);
		grab->result = cuMemRetainAllocationHandle(&grab->got, (void *)grab->va);
		pthread_barrier_wait(&grab->relay.done);
	}
	return NULL;
}

TENANT_BODY(retained_while_it_goes)
{
	static struct grab grab;
	struct relay *relay = &grab.relay;
	pthread_t thread;

	tenant_context();
	check_result(cuCtxGetCurrent(&relay->context), CUDA_SUCCESS);
	pthread_barrier_init(&relay->begun, NULL, 2);
	pthread_barrier_init(&relay->done, NULL, 2);
	grab.va = reserve(64 * MIB);
	pthread_create(&thread, NULL, retain_at_once, &grab);
	for (int i = 0; i < ROUNDS; i++) {
		check_result(create(64 * MIB, &relay->handle), CUDA_SUCCESS);
		check_result(cuMemMap(grab.va, 64 * MIB, 0, relay->handle, 0),
			     CUDA_SUCCESS);
		check_result(cuMemRelease(relay->handle), CUDA_SUCCESS);
		pthread_barrier_wait(&relay->begun);
		check_result(cuMemUnmap(grab.va, 64 * MIB), CUDA_SUCCESS);
		pthread_barrier_wait(&relay->done);
		held(grab.result == CUDA_SUCCESS ? 64 * MIB : 0);
		if (grab.result == CUDA_SUCCESS)
			check_result(cuMemRelease(grab.got), CUDA_SUCCESS);
	}
	pthread_join(thread, NULL);
	held(0);
}

static void a_handle_retained_while_its_memory_goes_keeps_the_charge(void)
{
	CU_ASSERT(tenant_passes("retained_while_it_goes", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 64 * MIB);
}

const struct unit_suite unit_suite = {
	.name = "physical memory under a quota",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(quota_is_exact_for_physical_memory),
		UNIT_TEST(without_the_shim_physical_memory_goes_past_the_quota),
		UNIT_TEST(the_device_of_the_properties_is_charged),
		UNIT_TEST(memory_of_the_host_is_not_charged),
		UNIT_TEST(hami_memory_released_while_mapped_stays_charged),
		UNIT_TEST(memory_unmapped_before_its_release_stays_charged),
		UNIT_TEST(retained_handles_keep_the_charge),
		UNIT_TEST(one_unmap_may_span_several_mappings),
		UNIT_TEST(failed_calls_change_nothing),
		UNIT_TEST(physical_memory_outlives_its_context_and_stays_charged),
		UNIT_TEST(a_multicast_bind_that_failed_holds_nothing),
		UNIT_TEST(ten_thousand_mappings_are_each_given_back),
		UNIT_TEST(racing_threads_never_exceed_the_quota),
		UNIT_TEST(without_the_shim_racing_threads_exceed_it),
		UNIT_TEST(release_and_unmap_at_once_give_back_exactly_once),
		UNIT_TEST(a_handle_retained_while_its_memory_goes_keeps_the_charge),
	},
};
