/*
 * Stream-ordered allocation and its pools ("Stream Ordered Memory Allocator" in the CUDA
 * Driver API manual).
 */
#include "memory_books.h"

#define DEVICE_BYTES (1ull << 30)
#define GRANULE MIB(32)

static CUcontext ctx;
static CUstream stream, other;
static CUmemoryPool pool; /* of a test's own, fresh */

static const CUmemPoolProps plain = {
	.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
	.location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 },
};

static int begin(void)
{
	setenv("SIMGPU_MEMORY", "1GiB", 1);
	setenv("SIMGPU_POOL_GRANULE", "32MiB", 1);
	setenv("SIMGPU_DEVICES", "2", 1);
	return cuInit(0) != CUDA_SUCCESS;
}

static void setup(void)
{
	ctx = gpu_context();
	OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	OK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
	OK(cuMemPoolCreate(&pool, &plain));
}

static void teardown(void)
{
	OK(cuCtxSynchronize());
	OK(cuMemPoolDestroy(pool));
	OK(cuStreamDestroy(stream));
	OK(cuStreamDestroy(other));
	gpu_context_end(ctx);
}

static uint64_t attribute(CUmemoryPool which, CUmemPool_attribute name)
{
	cuuint64_t value = UINT64_MAX;

	OK(cuMemPoolGetAttribute(which, name, &value));
	return value;
}

#define RESERVED(p) attribute(p, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT)
#define USED(p) attribute(p, CU_MEMPOOL_ATTR_USED_MEM_CURRENT)

static void set(CUmemoryPool which, CUmemPool_attribute name, cuuint64_t value)
{
	OK(cuMemPoolSetAttribute(which, name, &value));
}

/* ---- bytes ---- */

static void a_pool_reserves_granules_and_the_books_show_them(void)
{
	struct simgpu_bytes before = books();
	CUdeviceptr a, b;

	CU_ASSERT_EQUAL(RESERVED(pool), 0);
	OK(cuMemAllocFromPoolAsync(&a, 1000, pool, stream));
	CU_ASSERT_EQUAL(a % 512, 0);
	CU_ASSERT_EQUAL(RESERVED(pool), GRANULE);
	CU_ASSERT_EQUAL(USED(pool), 1024);
	CU_ASSERT_EQUAL(books().pool - before.pool, GRANULE);
	OK(cuMemAllocFromPoolAsync(&b, MIB(40), pool, stream));
	CU_ASSERT_EQUAL(RESERVED(pool), GRANULE + MIB(64));
	CU_ASSERT_EQUAL(USED(pool), 1024 + MIB(40));
	OK(cuMemFreeAsync(a, stream));
	CU_ASSERT_EQUAL(USED(pool), MIB(40));
	CU_ASSERT_EQUAL(RESERVED(pool), GRANULE + MIB(64));
	OK(cuMemFreeAsync(b, stream));
	CU_ASSERT_EQUAL(USED(pool), 0);
	CU_ASSERT_EQUAL(books().pool - before.pool, GRANULE + MIB(64));
	OK(cuStreamSynchronize(stream));
	CU_ASSERT_EQUAL(RESERVED(pool), 0);
	CU_ASSERT_EQUAL(books().pool, before.pool);
	CU_ASSERT_EQUAL(attribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH),
			GRANULE + MIB(64));
	CU_ASSERT_EQUAL(attribute(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH), 1024 + MIB(40));
	set(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH, 0);
	set(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH, 0);
	CU_ASSERT_EQUAL(attribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH), 0);
	CU_ASSERT_EQUAL(attribute(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH), 0);
}

static void the_release_threshold_is_kept_at_synchronisation(void)
{
	CUdeviceptr ptr[3];

	set(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, 2 * GRANULE);
	for (int i = 0; i < 3; i++)
		OK(cuMemAllocFromPoolAsync(&ptr[i], GRANULE, pool, stream));
	CU_ASSERT_EQUAL(RESERVED(pool), 3 * GRANULE);
	for (int i = 0; i < 3; i++)
		OK(cuMemFreeAsync(ptr[i], stream));
	OK(cuCtxSynchronize());
	CU_ASSERT_EQUAL(RESERVED(pool), 2 * GRANULE);
	OK(cuMemPoolTrimTo(pool, GRANULE + 1));
	CU_ASSERT_EQUAL(RESERVED(pool), 2 * GRANULE); /* at least that much must stay */
	OK(cuMemPoolTrimTo(pool, GRANULE));
	CU_ASSERT_EQUAL(RESERVED(pool), GRANULE);
	OK(cuMemPoolTrimTo(pool, 0));
	CU_ASSERT_EQUAL(RESERVED(pool), 0);
}

static void what_is_outstanding_is_never_trimmed(void)
{
	CUdeviceptr a, b;

	OK(cuMemAllocFromPoolAsync(&a, GRANULE, pool, stream));
	OK(cuMemAllocFromPoolAsync(&b, GRANULE, pool, stream));
	OK(cuMemFreeAsync(b, stream));
	OK(cuStreamSynchronize(stream));
	CU_ASSERT_EQUAL(RESERVED(pool), GRANULE);
	OK(cuMemPoolTrimTo(pool, 0));
	CU_ASSERT_EQUAL(RESERVED(pool), GRANULE);
	OK(cuMemsetD8Async(a, 1, GRANULE, stream));
	OK(cuMemFreeAsync(a, stream));
	OK(cuStreamSynchronize(stream));
}

static void a_free_that_has_not_run_is_outstanding(void)
{
	struct gate gate;
	CUdeviceptr a;

	OK(cuMemAllocFromPoolAsync(&a, 512, pool, stream));
	gate = gate_close(stream);
	OK(cuMemFreeAsync(a, stream));
	OK(cuMemPoolTrimTo(pool, 0));
	CU_ASSERT_EQUAL(RESERVED(pool), GRANULE);
	OK(cuStreamSynchronize(other));
	CU_ASSERT_EQUAL(RESERVED(pool), GRANULE);
	gate_open(&gate);
	OK(cuStreamSynchronize(stream));
	CU_ASSERT_EQUAL(RESERVED(pool), 0);
	gate_free(&gate);
}

/* ---- reuse ---- */

static void the_same_stream_reuses_at_once_and_others_when_the_free_is_done(void)
{
	CUdeviceptr a, same, different, later;
	struct gate gate;

	set(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, UINT64_MAX);
	OK(cuMemAllocFromPoolAsync(&a, MIB(20), pool, stream));
	gate = gate_close(stream);
	OK(cuMemFreeAsync(a, stream));
	OK(cuMemAllocFromPoolAsync(&same, MIB(20), pool, stream));
	CU_ASSERT_EQUAL(same, a);
	OK(cuMemFreeAsync(same, stream));
	OK(cuMemAllocFromPoolAsync(&different, MIB(20), pool, other));
	CU_ASSERT_NOT_EQUAL(different, a);
	gate_open(&gate);
	OK(cuStreamSynchronize(stream));
	OK(cuMemAllocFromPoolAsync(&later, MIB(20), pool, other));
	CU_ASSERT_EQUAL(later, a);
	OK(cuMemFreeAsync(different, other));
	OK(cuMemFreeAsync(later, other));
	OK(cuStreamSynchronize(other));
	gate_free(&gate);
}

static void neighbours_that_are_free_become_one(void)
{
	CUdeviceptr ptr[4], whole;

	set(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, UINT64_MAX);
	for (int i = 0; i < 4; i++)
		OK(cuMemAllocFromPoolAsync(&ptr[i], GRANULE / 4, pool, stream));
	CU_ASSERT_EQUAL(RESERVED(pool), GRANULE);
	OK(cuMemFreeAsync(ptr[1], stream));
	OK(cuMemFreeAsync(ptr[3], stream));
	OK(cuMemFreeAsync(ptr[0], stream));
	OK(cuMemFreeAsync(ptr[2], stream));
	OK(cuMemAllocFromPoolAsync(&whole, GRANULE, pool, stream));
	CU_ASSERT_EQUAL(RESERVED(pool), GRANULE);
	OK(cuMemFreeAsync(whole, stream));
}

/* ---- limits ---- */

static void memory_runs_out_and_other_pools_give_theirs_up(void)
{
	CUmemPoolProps small = plain;
	CUmemoryPool limited, keeper;
	CUdeviceptr a, b;

	IS(CUDA_ERROR_OUT_OF_MEMORY,
	   cuMemAllocFromPoolAsync(&a, DEVICE_BYTES * 2, pool, stream));
	IS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAllocFromPoolAsync(&a, SIZE_MAX, pool, stream));
	small.maxSize = MIB(40);
	OK(cuMemPoolCreate(&limited, &small));
	OK(cuMemAllocFromPoolAsync(&a, MIB(30), limited, stream));
	IS(CUDA_ERROR_OUT_OF_MEMORY,
	   cuMemAllocFromPoolAsync(&b, MIB(30), limited, stream));
	CU_ASSERT(RESERVED(limited) <= MIB(40));
	OK(cuMemFreeAsync(a, stream));
	OK(cuMemPoolDestroy(limited));
	OK(cuMemPoolCreate(&keeper, &plain));
	set(keeper, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, UINT64_MAX);
	OK(cuMemAllocFromPoolAsync(&a, MIB(512), keeper, stream));
	OK(cuMemFreeAsync(a, stream));
	OK(cuStreamSynchronize(stream));
	CU_ASSERT_EQUAL(RESERVED(keeper), MIB(512));
	OK(cuMemAllocFromPoolAsync(&b, MIB(512), pool, stream));
	CU_ASSERT_EQUAL(RESERVED(keeper), 0);
	OK(cuMemFreeAsync(b, stream));
	OK(cuMemPoolDestroy(keeper));
}

/* ---- frees of every kind ---- */

static void only_live_pointers_can_be_freed(void)
{
	CUdeviceptr a, b;

	OK(cuMemAllocFromPoolAsync(&a, 1000, pool, stream));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFreeAsync(a + 512, stream));
	IS(CUDA_ERROR_INVALID_HANDLE, cuMemFreeAsync(a, (CUstream)&a));
	OK(cuMemFreeAsync(a, stream));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFreeAsync(a, stream));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFree(a));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemsetD8(a, 0, 1));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemAllocAsync(&a, 0, stream));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemAllocAsync(NULL, 16, stream));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuMemAllocFromPoolAsync(&a, 16, (CUmemoryPool)&a, stream));
	IS(CUDA_ERROR_INVALID_HANDLE, cuMemAllocAsync(&a, 16, (CUstream)&a));
	OK(cuMemAllocFromPoolAsync(&a, 1000, pool, stream));
	OK(cuMemFree(a)); /* does not wait; the caller sees to that */
	CU_ASSERT_EQUAL(USED(pool), 0);
	OK(cuMemAlloc(&b, 1000));
	OK(cuMemFreeAsync(b, stream));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFree(b));
}

static void bytes_in_a_pool_are_ordinary_memory(void)
{
	unsigned char out[5000], in[5000];
	CUdeviceptr a;

	OK(cuMemAllocFromPoolAsync(&a, 5000, pool, stream));
	pattern(out, 5000, 1);
	OK(cuMemcpyHtoDAsync(a, out, 5000, stream));
	OK(cuMemcpyDtoHAsync(in, a, 5000, stream));
	OK(cuStreamSynchronize(stream));
	CU_ASSERT(is_pattern(in, 5000, 1));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH(in, a, 5001));
	OK(cuMemFreeAsync(a, stream));
}

static void allocations_outlive_their_context(void)
{
	struct simgpu_bytes before;
	CUcontext gone;
	CUstream theirs;
	CUdeviceptr a;

	before = books();
	OK(cuCtxCreate(&gone, NULL, 0, 0));
	OK(cuStreamCreate(&theirs, 0));
	OK(cuMemAllocFromPoolAsync(&a, 4096, pool, theirs));
	OK(cuCtxDestroy(gone));
	CU_ASSERT_EQUAL(books().pool - before.pool, GRANULE);
	OK(cuMemsetD8Async(a, 3, 4096, stream));
	OK(cuMemFreeAsync(a, stream));
	OK(cuStreamSynchronize(stream));
	CU_ASSERT_EQUAL(books().pool, before.pool);
}

/* ---- pools as objects ---- */

static void a_destroyed_pool_goes_with_its_last_allocation(void)
{
	struct simgpu_bytes before = books();
	CUmemoryPool doomed;
	CUdeviceptr a;
	cuuint64_t value;

	OK(cuMemPoolCreate(&doomed, &plain));
	OK(cuMemAllocFromPoolAsync(&a, 4096, doomed, stream));
	OK(cuMemPoolDestroy(doomed));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemPoolDestroy(doomed));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemAllocFromPoolAsync(&a, 16, doomed, stream));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuMemPoolGetAttribute(doomed, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &value));
	OK(cuMemsetD8Async(a, 1, 4096, stream));
	CU_ASSERT_EQUAL(books().pool - before.pool, GRANULE);
	OK(cuMemFreeAsync(a, stream));
	OK(cuStreamSynchronize(stream));
	CU_ASSERT_EQUAL(books().pool, before.pool);
}

static void each_device_has_a_default_and_a_current_pool(void)
{
	CUmemLocation where = { CU_MEM_LOCATION_TYPE_DEVICE, 0 };
	CUmemoryPool usual, current;
	CUdeviceptr a;

	OK(cuDeviceGetDefaultMemPool(&usual, 0));
	OK(cuDeviceGetMemPool(&current, 0));
	CU_ASSERT_PTR_EQUAL(usual, current);
	IS(CUDA_ERROR_INVALID_VALUE, cuMemPoolDestroy(usual));
	OK(cuMemAllocAsync(&a, 100, stream));
	CU_ASSERT_EQUAL(USED(usual), 512);
	OK(cuMemFreeAsync(a, stream));
	OK(cuDeviceSetMemPool(0, pool));
	OK(cuMemGetMemPool(&current, &where, CU_MEM_ALLOCATION_TYPE_PINNED));
	CU_ASSERT_PTR_EQUAL(current, pool);
	OK(cuMemAllocAsync(&a, 100, stream));
	CU_ASSERT_EQUAL(USED(pool), 512);
	OK(cuMemFreeAsync(a, stream));
	OK(cuMemPoolDestroy(pool));
	OK(cuDeviceGetMemPool(&current, 0));
	CU_ASSERT_PTR_EQUAL(current, usual);
	OK(cuMemPoolCreate(&pool, &plain));
	IS(CUDA_ERROR_INVALID_VALUE, cuDeviceSetMemPool(1, pool)); /* another device's */
	OK(cuDeviceGetDefaultMemPool(&current, 1));
	CU_ASSERT_PTR_NOT_EQUAL(current, usual);
	OK(cuMemAllocFromPoolAsync(&a, 100, current, stream));
	CU_ASSERT_EQUAL(books_of(1, NULL).pool, GRANULE);
	OK(cuMemsetD8Async(a, 1, 100, stream));
	OK(cuMemFreeAsync(a, stream));
	OK(cuStreamSynchronize(stream));
	CU_ASSERT_EQUAL(books_of(1, NULL).pool, 0);
	OK(cuMemSetMemPool(&where, CU_MEM_ALLOCATION_TYPE_PINNED, usual));
	OK(cuMemGetDefaultMemPool(&current, &where, CU_MEM_ALLOCATION_TYPE_PINNED));
	CU_ASSERT_PTR_EQUAL(current, usual);
	IS(CUDA_ERROR_INVALID_DEVICE, cuDeviceGetMemPool(&current, 99));
	IS(CUDA_ERROR_INVALID_VALUE, cuDeviceSetMemPool(0, (CUmemoryPool)&a));
}

static void attributes_and_access_are_checked(void)
{
	CUmemAccessDesc desc = { { CU_MEM_LOCATION_TYPE_DEVICE, 0 },
				 CU_MEM_ACCESS_FLAGS_PROT_NONE };
	CUmemAccess_flags flags;
	CUmemPoolProps bad;
	CUmemoryPool made;
	cuuint64_t value = 1;
	int number = 7;

	OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC,
				 &number));
	CU_ASSERT_EQUAL(number, 1);
	number = 0;
	OK(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES,
				 &number));
	number = 7;
	OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES,
				 &number));
	CU_ASSERT_EQUAL(number, 0);
	CU_ASSERT_EQUAL(attribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD), 0);
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH, &value));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &value));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuMemPoolGetAttribute(pool, (CUmemPool_attribute)99, &value));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, NULL));
	OK(cuMemPoolGetAccess(&flags, pool, &desc.location));
	CU_ASSERT_EQUAL(flags, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
	IS(CUDA_ERROR_INVALID_VALUE, cuMemPoolSetAccess(pool, &desc, 1));
	desc.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
	OK(cuMemPoolSetAccess(pool, &desc, 1));
	bad = plain, bad.allocType = CU_MEM_ALLOCATION_TYPE_INVALID;
	IS(CUDA_ERROR_INVALID_VALUE, cuMemPoolCreate(&made, &bad));
	bad = plain, bad.location.id = 99;
	IS(CUDA_ERROR_INVALID_VALUE, cuMemPoolCreate(&made, &bad));
	bad = plain, bad.reserved[3] = 1;
	IS(CUDA_ERROR_INVALID_VALUE, cuMemPoolCreate(&made, &bad));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemPoolCreate(&made, NULL));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemPoolCreate(NULL, &plain));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemPoolDestroy((CUmemoryPool)&bad));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemPoolTrimTo((CUmemoryPool)&bad, 0));
}

static void pointers_of_pools_know_their_pool_and_no_context(void)
{
	CUmemoryPool seen;
	CUcontext owner = ctx;
	CUdeviceptr a;
	unsigned type;

	OK(cuMemAllocFromPoolAsync(&a, 100, pool, stream));
	OK(cuPointerGetAttribute(&seen, CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, a));
	CU_ASSERT_PTR_EQUAL(seen, pool);
	OK(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, a));
	CU_ASSERT_EQUAL(type, CU_MEMORYTYPE_DEVICE);
	OK(cuPointerGetAttribute(&owner, CU_POINTER_ATTRIBUTE_CONTEXT, a));
	CU_ASSERT_PTR_NULL(owner);
	OK(cuMemFreeAsync(a, stream));
}

static void a_pool_of_host_memory_takes_nothing_of_the_device(void)
{
	CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				 .location = { CU_MEM_LOCATION_TYPE_HOST, 0 } };
	struct simgpu_device before, after;
	CUmemoryPool host = NULL;
	CUdeviceptr a = 0;

	OK(cuMemPoolCreate(&host, &props));
	books_of(0, &before);
	OK(cuMemAllocFromPoolAsync(&a, 1000, host, stream));
	books_of(0, &after);
	CU_ASSERT_EQUAL(after.used_bytes, before.used_bytes);
	if (a != 0)
		memset((void *)(uintptr_t)a, 5, 1000);
	OK(cuMemFreeAsync(a, stream));
	OK(cuStreamSynchronize(stream));
	OK(cuMemPoolDestroy(host));
}

static void random_allocations_and_frees_add_up(void)
{
	enum { HELD = 40, ROUNDS = 2000 };
	CUdeviceptr held[HELD] = { 0 };
	size_t bytes[HELD] = { 0 };
	uint64_t sum = 0;
	unsigned seed = 7;

	for (int i = 0; i < ROUNDS; i++) {
		unsigned slot = (unsigned)rand_r(&seed) % HELD;
		CUstream at = rand_r(&seed) % 2 ? stream : other;

		if (held[slot]) {
			OK(cuMemFreeAsync(held[slot], at));
			sum -= (bytes[slot] + 511) / 512 * 512;
		}
		bytes[slot] = (size_t)rand_r(&seed) % MIB(4) + 1;
		OK(cuMemAllocFromPoolAsync(&held[slot], bytes[slot], pool, at));
		sum += (bytes[slot] + 511) / 512 * 512;
		for (unsigned j = 0; j < HELD; j++)
			if (j != slot && held[j])
				CU_ASSERT(held[slot] + bytes[slot] <= held[j] ||
					  held[j] + bytes[j] <= held[slot]);
		if (i % 100 == 0)
			OK(cuStreamSynchronize(at));
		CU_ASSERT_EQUAL(USED(pool), sum);
		CU_ASSERT(RESERVED(pool) >= sum);
	}
	for (int i = 0; i < HELD; i++)
		if (held[i])
			OK(cuMemFreeAsync(held[i], stream));
	OK(cuCtxSynchronize());
	CU_ASSERT_EQUAL(RESERVED(pool), 0);
	CU_ASSERT_EQUAL(USED(pool), 0);
}

const struct unit_suite unit_suite = {
	.name = "memory pools",
	.init = begin,
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(a_pool_reserves_granules_and_the_books_show_them),
		UNIT_TEST(the_release_threshold_is_kept_at_synchronisation),
		UNIT_TEST(what_is_outstanding_is_never_trimmed),
		UNIT_TEST(a_free_that_has_not_run_is_outstanding),
		UNIT_TEST(the_same_stream_reuses_at_once_and_others_when_the_free_is_done),
		UNIT_TEST(neighbours_that_are_free_become_one),
		UNIT_TEST(memory_runs_out_and_other_pools_give_theirs_up),
		UNIT_TEST(only_live_pointers_can_be_freed),
		UNIT_TEST(bytes_in_a_pool_are_ordinary_memory),
		UNIT_TEST(allocations_outlive_their_context),
		UNIT_TEST(a_destroyed_pool_goes_with_its_last_allocation),
		UNIT_TEST(each_device_has_a_default_and_a_current_pool),
		UNIT_TEST(attributes_and_access_are_checked),
		UNIT_TEST(pointers_of_pools_know_their_pool_and_no_context),
		UNIT_TEST(a_pool_of_host_memory_takes_nothing_of_the_device),
		UNIT_TEST(random_allocations_and_frees_add_up),
	},
};
