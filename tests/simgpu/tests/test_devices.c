/*
 * test_devices.c - several devices in one machine: each has its own memory, time and books,
 * and what goes on between them ("Device Management", "Peer Context Memory Access" and the
 * copies of the CUDA Driver API manual).
 */
#include "common_devices.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BLOCK MIB(8)

static CUmemLocation on(CUdevice device)
{
	return (CUmemLocation){ .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device };
}

static void current(CUcontext ctx)
{
	CHECK_IS(cuCtxSetCurrent(ctx), CUDA_SUCCESS);
}

static CUdeviceptr block_in(CUcontext ctx, size_t bytes)
{
	CUdeviceptr at = 0;

	current(ctx);
	CHECK_IS(cuMemAlloc(&at, bytes), CUDA_SUCCESS);
	return at;
}

static int ordinal_of(CUdeviceptr at)
{
	int ordinal = -1;

	CHECK_IS(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, at),
		 CUDA_SUCCESS);
	return ordinal;
}

static size_t free_in(CUcontext ctx)
{
	size_t left = 0, total = 0;

	current(ctx);
	CHECK_IS(cuMemGetInfo(&left, &total), CUDA_SUCCESS);
	CHECK(total == DEVICE_BYTES);
	return left;
}

/* ---- identity ---- */

static void identity(void)
{
	struct simgpu_truth *truth;
	char id[DEVICES][32];
	CUuuid uuid;
	CUdevice found;
	size_t total;
	int bus[DEVICES];

	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	truth = devices_truth();
	CHECK(truth != NULL && truth->ndevices == DEVICES);
	for (int i = 0; truth != NULL && i < DEVICES; i++) {
		CHECK_IS(cuDeviceGetUuid_v2(&uuid, i), CUDA_SUCCESS);
		CHECK(memcmp(uuid.bytes, truth->devices[i].uuid, sizeof(uuid.bytes)) ==
		      0);
		CHECK_IS(cuDeviceTotalMem(&total, i), CUDA_SUCCESS);
		CHECK(total == truth->devices[i].total_bytes);
		CHECK_IS(cuDeviceGetPCIBusId(id[i], sizeof(id[i]), i), CUDA_SUCCESS);
		CHECK_IS(cuDeviceGetByPCIBusId(&found, id[i]), CUDA_SUCCESS);
		CHECK(found == i);
		CHECK_IS(cuDeviceGetAttribute(&bus[i], CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, i),
			 CUDA_SUCCESS);
		for (int j = 0; j < i; j++) {
			CHECK(strcmp(id[i], id[j]) != 0 && bus[i] != bus[j]);
			CHECK(memcmp(truth->devices[i].uuid, truth->devices[j].uuid, 16));
		}
	}
	simgpu_free(truth);
}

static void each_device_has_an_identity_of_its_own(void)
{
	IN_CHILD(identity, );
}

static void out_of_range(void)
{
	static const CUdevice wrong[] = { DEVICES, -1, 1 << 20 };
	char text[32];
	CUuuid uuid;
	CUcontext ctx;
	CUdevice device;
	CUmemoryPool pool;
	CUmemGenericAllocationHandle handle;
	unsigned flags;
	size_t bytes;
	int value;

	devices_context(0);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		CUdevice no = wrong[i];
		CUmemPoolProps pools = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
					 .location = on(no) };
		CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
					     .location = on(no) };

		CHECK_IS(cuDeviceGet(&device, no), CUDA_ERROR_INVALID_DEVICE);
		CHECK_IS(cuDeviceGetName(text, 32, no), CUDA_ERROR_INVALID_DEVICE);
		CHECK_IS(cuDeviceGetUuid_v2(&uuid, no), CUDA_ERROR_INVALID_DEVICE);
		CHECK_IS(cuDeviceTotalMem(&bytes, no), CUDA_ERROR_INVALID_DEVICE);
		CHECK_IS(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, no),
			 CUDA_ERROR_INVALID_DEVICE);
		CHECK_IS(cuDeviceGetPCIBusId(text, 32, no), CUDA_ERROR_INVALID_DEVICE);
		CHECK_IS(cuDeviceCanAccessPeer(&value, 0, no), CUDA_ERROR_INVALID_DEVICE);
		CHECK_IS(cuDeviceCanAccessPeer(&value, no, 0), CUDA_ERROR_INVALID_DEVICE);
		CHECK_IS(cuCtxCreate(&ctx, NULL, 0, no), CUDA_ERROR_INVALID_DEVICE);
		CHECK_IS(cuDevicePrimaryCtxRetain(&ctx, no), CUDA_ERROR_INVALID_DEVICE);
		CHECK_IS(cuDevicePrimaryCtxReset(no), CUDA_ERROR_INVALID_DEVICE);
		CHECK_IS(cuDevicePrimaryCtxGetState(no, &flags, &value),
			 CUDA_ERROR_INVALID_DEVICE);
		CHECK_IS(cuDeviceGetDefaultMemPool(&pool, no), CUDA_ERROR_INVALID_DEVICE);
		CHECK_IS(cuMemPoolCreate(&pool, &pools), CUDA_ERROR_INVALID_VALUE);
		CHECK_IS(cuMemCreate(&handle, PAGE, &prop, 0), CUDA_ERROR_INVALID_DEVICE);
		CHECK_IS(cuDeviceGraphMemTrim(no), CUDA_ERROR_INVALID_DEVICE);
	}
}

static void ordinals_out_of_range_are_refused_by_every_call(void)
{
	IN_CHILD(out_of_range, );
}

/* ---- memory ---- */

static void memory_of_each(void)
{
	CUcontext ctx[DEVICES];
	CUdeviceptr at[DEVICES], all;
	size_t before[DEVICES];

	for (int i = 0; i < DEVICES; i++)
		ctx[i] = devices_context(i);
	for (int i = 0; i < DEVICES; i++)
		before[i] = free_in(ctx[i]);
	for (int i = 0; i < DEVICES; i++)
		at[i] = block_in(ctx[i], (size_t)BLOCK * (unsigned)(i + 1));
	for (int i = 0; i < DEVICES; i++) {
		const uint64_t bytes = BLOCK * (unsigned)(i + 1);
		CUcontext owner = NULL;

		CHECK(ordinal_of(at[i]) == i);
		CHECK_IS(cuPointerGetAttribute(&owner, CU_POINTER_ATTRIBUTE_CONTEXT,
					       at[i]),
			 CUDA_SUCCESS);
		CHECK(owner == ctx[i]);
		CHECK(before[i] - free_in(ctx[i]) == bytes);
		CHECK(devices_bytes((unsigned)i).plain == bytes);
		CHECK(devices_bytes((unsigned)i).context == CONTEXT_BYTES);
	}
	/* One that is full leaves the others what they have. */
	current(ctx[1]);
	CHECK_IS(cuMemAlloc(&all, free_in(ctx[1])), CUDA_SUCCESS);
	CHECK(free_in(ctx[1]) == 0);
	CHECK_IS(cuMemAlloc(&at[0], 1), CUDA_ERROR_OUT_OF_MEMORY);
	current(ctx[2]);
	CHECK_IS(cuMemAlloc(&at[0], BLOCK), CUDA_SUCCESS);
	/* Memory is freed under any context. */
	CHECK_IS(cuMemFree(all), CUDA_SUCCESS);
	CHECK(before[1] - free_in(ctx[1]) == BLOCK * 2);
	/* What dies with a context is its own. */
	CHECK_IS(cuCtxDestroy(ctx[2]), CUDA_SUCCESS);
	CHECK(devices_bytes(2).used == 0);
	CHECK(devices_bytes(0).plain == BLOCK && devices_bytes(1).plain == BLOCK * 2);
}

static void each_device_has_a_memory_of_its_own(void)
{
	IN_CHILD(memory_of_each, );
}

static void pools(void)
{
	CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				 .location = on(1) };
	CUcontext ctx = devices_context(2);
	CUmemoryPool first = NULL, second = NULL, mine = NULL;
	CUdeviceptr here = 0, there = 0;
	CUstream stream;

	CHECK_IS(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
	CHECK_IS(cuDeviceGetDefaultMemPool(&first, 1), CUDA_SUCCESS);
	CHECK_IS(cuDeviceGetDefaultMemPool(&second, 2), CUDA_SUCCESS);
	CHECK(first != second);
	CHECK_IS(cuMemPoolCreate(&mine, &props), CUDA_SUCCESS);
	CHECK_IS(cuMemAllocAsync(&here, BLOCK, stream), CUDA_SUCCESS);
	CHECK_IS(cuMemAllocFromPoolAsync(&there, BLOCK, mine, stream), CUDA_SUCCESS);
	CHECK(ordinal_of(here) == 2 && ordinal_of(there) == 1);
	CHECK(devices_bytes(2).pool >= BLOCK && devices_bytes(1).pool >= BLOCK);
	CHECK(devices_bytes(0).used == 0 && devices_bytes(1).context == 0);
	CHECK_IS(cuMemsetD8Async(there, 7, BLOCK, stream), CUDA_SUCCESS);
	CHECK_IS(cuMemcpyDtoDAsync(here, there, BLOCK, stream), CUDA_SUCCESS);
	CHECK(devices_filled(here, 7, BLOCK));
	/* What a device uses from now on is its own matter. */
	CHECK_IS(cuDeviceSetMemPool(1, mine), CUDA_SUCCESS);
	CHECK_IS(cuDeviceSetMemPool(2, mine), CUDA_ERROR_INVALID_VALUE);
	CHECK_IS(cuDeviceGetMemPool(&first, 2), CUDA_SUCCESS);
	CHECK(first == second);
	CHECK_IS(cuMemFreeAsync(here, stream), CUDA_SUCCESS);
	CHECK_IS(cuMemFreeAsync(there, stream), CUDA_SUCCESS);
	CHECK_IS(cuStreamSynchronize(stream), CUDA_SUCCESS);
	CHECK(devices_bytes(1).pool == 0 && devices_bytes(2).pool == 0);
	CHECK_IS(cuCtxDestroy(ctx), CUDA_SUCCESS);
}

static void a_pool_takes_its_memory_from_the_device_it_is_of(void)
{
	IN_CHILD(pools, );
}

static void physical(void)
{
	CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
				     .location = on(2) };
	CUmemAccessDesc access = { on(0), CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	CUmemLocation zero = on(0), one = on(1);
	CUmemGenericAllocationHandle handle;
	CUcontext ctx = devices_context(0);
	CUdeviceptr at, back = block_in(ctx, BLOCK);
	unsigned long long flags;

	CHECK_IS(cuMemCreate(&handle, BLOCK, &prop, 0), CUDA_SUCCESS);
	CHECK(devices_bytes(2).vmm == BLOCK && devices_bytes(0).vmm == 0);
	CHECK_IS(cuMemAddressReserve(&at, BLOCK, 0, 0, 0), CUDA_SUCCESS);
	CHECK_IS(cuMemMap(at, BLOCK, 0, handle, 0), CUDA_SUCCESS);
	CHECK_IS(cuMemSetAccess(at, BLOCK, &access, 1), CUDA_SUCCESS);
	CHECK(ordinal_of(at) == 2);
	CHECK_IS(cuMemGetAccess(&flags, &zero, at), CUDA_SUCCESS);
	CHECK(flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
	CHECK_IS(cuMemGetAccess(&flags, &one, at), CUDA_SUCCESS);
	CHECK(flags == CU_MEM_ACCESS_FLAGS_PROT_NONE);
	CHECK_IS(cuMemsetD8(at, 3, BLOCK), CUDA_SUCCESS);
	CHECK_IS(cuMemcpyDtoD(back, at, BLOCK), CUDA_SUCCESS);
	CHECK(devices_filled(back, 3, BLOCK));
	/* It survives contexts, here one of another device. */
	CHECK_IS(cuCtxDestroy(ctx), CUDA_SUCCESS);
	CHECK(devices_bytes(2).used == BLOCK && devices_bytes(0).used == 0);
	CHECK_IS(cuMemUnmap(at, BLOCK), CUDA_SUCCESS);
	CHECK_IS(cuMemRelease(handle), CUDA_SUCCESS);
	CHECK(devices_bytes(2).used == 0);
}

static void physical_memory_lies_on_the_device_named_whoever_maps_it(void)
{
	IN_CHILD(physical, );
}

static void zero_cost(void)
{
	CUcontext ctx[DEVICES];
	CUdeviceptr at[DEVICES], all, small;
	CUmemoryPool pool = NULL;
	size_t before[DEVICES];
	unsigned char byte = 0;

	for (int i = 0; i < DEVICES; i++)
		ctx[i] = devices_context(i);
	for (int i = 0; i < DEVICES; i++)
		before[i] = free_in(ctx[i]);
	for (int i = 0; i < DEVICES; i++) {
		at[i] = block_in(ctx[i], (size_t)BLOCK * (unsigned)(i + 1));
		CHECK(before[i] - free_in(ctx[i]) == BLOCK * (unsigned)(i + 1));
		CHECK(ordinal_of(at[i]) == i);
		small = block_in(ctx[i], 1000);
		CHECK(ordinal_of(small) == i);
		CHECK_IS(cuMemFree(small), CUDA_SUCCESS);
	}
	current(ctx[1]);
	CHECK_IS(cuMemAlloc(&all, free_in(ctx[1])), CUDA_SUCCESS);
	CHECK_IS(cuMemAlloc(&small, PAGE), CUDA_ERROR_OUT_OF_MEMORY);
	current(ctx[0]);
	CHECK_IS(cuMemAlloc(&small, PAGE), CUDA_SUCCESS);
	CHECK_IS(cuDeviceGetDefaultMemPool(&pool, 2), CUDA_SUCCESS);
	CHECK_IS(cuMemAllocFromPoolAsync(&small, BLOCK, pool, NULL), CUDA_SUCCESS);
	CHECK(ordinal_of(small) == 2);
	CHECK_IS(cuMemsetD8(at[0], 9, BLOCK), CUDA_SUCCESS);
	CHECK_IS(cuMemcpyPeer(at[2], ctx[2], at[0], ctx[0], BLOCK), CUDA_SUCCESS);
	CHECK_IS(cuMemcpyDtoH(&byte, at[2] + BLOCK - 1, 1), CUDA_SUCCESS);
	CHECK(byte == 9);
	CHECK_IS(cuCtxDestroy(ctx[1]), CUDA_SUCCESS);
	ctx[1] = devices_context(1);
	CHECK(free_in(ctx[1]) == before[1]);
}

static void devices_of_zero_cost_mode_have_memories_of_their_own_too(void)
{
	IN_CHILD(zero_cost, "SIMGPU_ZERO_COST=1", );
}

/* ---- primary contexts ---- */

static void primaries(void)
{
	CUcontext ctx[DEVICES], again;
	CUdeviceptr at[DEVICES];
	CUdevice device;
	unsigned flags;
	int active;

	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	for (int i = 0; i < DEVICES; i++) {
		CHECK_IS(cuDevicePrimaryCtxRetain(&ctx[i], i), CUDA_SUCCESS);
		at[i] = block_in(ctx[i], BLOCK);
		CHECK_IS(cuCtxGetDevice(&device), CUDA_SUCCESS);
		CHECK(device == i && ordinal_of(at[i]) == i);
		CHECK(i == 0 || ctx[i] != ctx[i - 1]);
	}
	CHECK_IS(cuDevicePrimaryCtxRetain(&again, 1), CUDA_SUCCESS);
	CHECK(again == ctx[1]);
	CHECK_IS(cuDevicePrimaryCtxReset(1), CUDA_SUCCESS);
	CHECK(devices_bytes(1).used == 0);
	CHECK(devices_bytes(0).plain == BLOCK && devices_bytes(2).plain == BLOCK);
	CHECK_IS(cuDevicePrimaryCtxRelease(2), CUDA_SUCCESS);
	CHECK_IS(cuDevicePrimaryCtxRelease(2), CUDA_ERROR_INVALID_CONTEXT);
	for (int i = 0; i < DEVICES; i++) {
		CHECK_IS(cuDevicePrimaryCtxGetState(i, &flags, &active), CUDA_SUCCESS);
		CHECK(active == (i == 0));
	}
}

static void every_device_has_one_primary_context(void)
{
	IN_CHILD(primaries, );
}

/* ---- copies ---- */

static void crossing(void)
{
	CUcontext from = devices_context(0), to = devices_context(1);
	CUcontext third = devices_context(2);
	CUdeviceptr src = block_in(from, BLOCK), dst = block_in(to, BLOCK);
	CUDA_MEMCPY3D_PEER cuboid = { .srcMemoryType = CU_MEMORYTYPE_DEVICE,
				      .srcDevice = src,
				      .srcContext = from,
				      .srcPitch = 4096,
				      .dstMemoryType = CU_MEMORYTYPE_DEVICE,
				      .dstDevice = dst,
				      .dstContext = to,
				      .dstPitch = 4096,
				      .WidthInBytes = 4096,
				      .Height = BLOCK / 4096,
				      .Depth = 1 };

	for (unsigned char way = 1; way <= 7; way++) {
		CUresult res = CUDA_ERROR_UNKNOWN;

		current(from);
		CHECK_IS(cuMemsetD8(src, way, BLOCK), CUDA_SUCCESS);
		CHECK_IS(cuCtxSynchronize(), CUDA_SUCCESS);
		/* Whichever of them is current, or none of the two. */
		current(way % 3 == 0 ? third : way % 3 == 1 ? from : to);
		switch (way) {
		case 1:
			res = cuMemcpyPeer(dst, to, src, from, BLOCK);
			break;
		case 2:
			res = cuMemcpyPeerAsync(dst, to, src, from, BLOCK, NULL);
			break;
		case 3:
			res = cuMemcpyDtoD(dst, src, BLOCK);
			break;
		case 4:
			res = cuMemcpy(dst, src, BLOCK);
			break;
		case 5:
			res = cuMemcpy3DPeer(&cuboid);
			break;
		case 6:
			res = cuMemcpy3DPeerAsync(&cuboid, NULL);
			break;
		case 7:
			res = cuMemcpyDtoDAsync(dst, src, BLOCK, CU_STREAM_PER_THREAD);
			break;
		default:
			break;
		}
		CHECK_IS(res, CUDA_SUCCESS);
		CHECK_IS(cuCtxSynchronize(), CUDA_SUCCESS);
		current(to);
		CHECK(devices_filled(dst, way, BLOCK));
	}
	CHECK_IS(cuMemcpyPeer(dst, to, src, NULL, BLOCK), CUDA_ERROR_INVALID_CONTEXT);
	CHECK_IS(cuMemcpyPeer(dst, to, src, from, BLOCK + 1), CUDA_ERROR_INVALID_VALUE);
	CHECK_IS(cuCtxDestroy(from), CUDA_SUCCESS);
	CHECK(cuMemcpyPeer(dst, to, src, from, BLOCK) != CUDA_SUCCESS);
}

static void every_copy_reaches_from_one_device_to_another(void)
{
	IN_CHILD(crossing, );
}

/* The row of this process's newest context on a device. */
static struct simgpu_context row_on(unsigned device)
{
	struct simgpu_truth *truth = devices_truth();
	const struct simgpu_client *me = truth ? simgpu_find(truth, (int)getpid()) : NULL;
	struct simgpu_context row = { 0 };

	CHECK(me != NULL);
	for (unsigned i = 0; me != NULL && i < truth->ncontexts; i++)
		if (truth->contexts[i].client == me->id &&
		    truth->contexts[i].device == device)
			row = truth->contexts[i];
	simgpu_free(truth);
	return row;
}

static void engines(void)
{
	CUcontext from = devices_context(0), to = devices_context(1);
	CUdeviceptr src = block_in(from, BLOCK), dst = block_in(to, BLOCK);
	struct simgpu_context push, pull;

	current(from);
	CHECK_IS(cuMemcpyPeerAsync(dst, to, src, from, BLOCK, NULL), CUDA_SUCCESS);
	CHECK_IS(cuCtxSynchronize(), CUDA_SUCCESS);
	push = row_on(0);
	CHECK(push.copies == 1 && push.kernels == 0 && push.gpu_ns == 0);
	CHECK(push.copy_out_ns > 0 && push.copy_in_ns == 0);
	CHECK(row_on(1).copies == 0);
	current(to);
	CHECK_IS(cuMemcpyPeerAsync(dst, to, src, from, BLOCK, NULL), CUDA_SUCCESS);
	CHECK_IS(cuCtxSynchronize(), CUDA_SUCCESS);
	pull = row_on(1);
	CHECK(pull.copies == 1 && pull.copy_in_ns == push.copy_out_ns);
}

static void copies_between_devices_run_beside_kernels(void)
{
	IN_CHILD(engines, );
}

static void peer_order(void)
{
	CUcontext from = devices_context(0), to = devices_context(1);
	CUcontext third = devices_context(2);
	CUdeviceptr src = block_in(from, BLOCK), dst = block_in(to, BLOCK);
	CUstream before, after;
	struct gate gate;

	current(from);
	CHECK_IS(cuMemsetD8(src, 1, BLOCK), CUDA_SUCCESS);
	CHECK_IS(cuCtxSynchronize(), CUDA_SUCCESS);
	CHECK_IS(cuStreamCreate(&before, CU_STREAM_DEFAULT), CUDA_SUCCESS);
	gate = gate_close(before);
	CHECK_IS(cuMemsetD8Async(src, 2, BLOCK, before), CUDA_SUCCESS);
	/* The asynchronous copy stands in its stream alone. */
	current(third);
	CHECK_IS(cuMemcpyPeerAsync(dst, to, src, from, BLOCK, NULL), CUDA_SUCCESS);
	CHECK_IS(cuCtxSynchronize(), CUDA_SUCCESS);
	current(to);
	CHECK(devices_filled(dst, 1, BLOCK));
	/* The other one behind all work of both contexts, without waiting for it here. */
	current(third);
	CHECK_IS(cuMemcpyPeer(dst, to, src, from, BLOCK), CUDA_SUCCESS);
	CHECK_IS(cuStreamQuery(NULL), CUDA_ERROR_NOT_READY);
	current(to);
	CHECK_IS(cuStreamCreate(&after, CU_STREAM_DEFAULT), CUDA_SUCCESS);
	CHECK_IS(cuMemsetD8Async(dst, 3, BLOCK / 2, after), CUDA_SUCCESS);
	CHECK_IS(cuStreamQuery(after), CUDA_ERROR_NOT_READY);
	gate_open(&gate);
	CHECK_IS(cuStreamSynchronize(after), CUDA_SUCCESS);
	CHECK(devices_filled(dst, 3, BLOCK / 2));
	CHECK(devices_filled(dst + BLOCK / 2, 2, BLOCK / 2));
}

static void a_synchronous_peer_copy_stands_in_the_order_of_both_contexts(void)
{
	IN_CHILD(peer_order, );
}

/* ---- events ---- */

static void events(void)
{
	CUcontext first = devices_context(0), second;
	CUdeviceptr at;
	CUstream here, there;
	CUevent made, seen;
	struct gate gate;
	float ms;

	CHECK_IS(cuStreamCreate(&here, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
	CHECK_IS(cuEventCreate(&made, 0), CUDA_SUCCESS);
	gate = gate_close(here);
	CHECK_IS(cuEventRecord(made, here), CUDA_SUCCESS);
	second = devices_context(1);
	at = block_in(second, BLOCK);
	CHECK_IS(cuStreamCreate(&there, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
	CHECK_IS(cuEventCreate(&seen, 0), CUDA_SUCCESS);
	CHECK_IS(cuMemsetD8Async(at, 1, BLOCK, there), CUDA_SUCCESS);
	CHECK_IS(cuStreamSynchronize(there), CUDA_SUCCESS);
	CHECK_IS(cuStreamWaitEvent(there, made, 0), CUDA_SUCCESS);
	CHECK_IS(cuMemsetD8Async(at, 2, BLOCK, there), CUDA_SUCCESS);
	CHECK_IS(cuEventRecord(seen, there), CUDA_SUCCESS);
	CHECK_IS(cuEventQuery(seen), CUDA_ERROR_NOT_READY);
	/* Its own context is what an event is recorded in, and timed against. */
	CHECK_IS(cuEventRecord(made, there), CUDA_ERROR_INVALID_HANDLE);
	gate_open(&gate);
	CHECK_IS(cuEventSynchronize(seen), CUDA_SUCCESS);
	CHECK_IS(cuEventQuery(made), CUDA_SUCCESS);
	CHECK_IS(cuEventElapsedTime(&ms, made, seen), CUDA_ERROR_INVALID_HANDLE);
	CHECK(devices_filled(at, 2, BLOCK));
	/* Once more with the device of the event gone. */
	CHECK_IS(cuCtxDestroy(first), CUDA_SUCCESS);
	CHECK_IS(cuStreamWaitEvent(there, made, 0), CUDA_ERROR_INVALID_HANDLE);
	CHECK_IS(cuStreamSynchronize(there), CUDA_SUCCESS);
}

static void a_stream_waits_for_an_event_of_another_device(void)
{
	IN_CHILD(events, );
}

/* ---- peers ---- */

static void peers(void)
{
	CUcontext one = devices_context(0), other = devices_context(0);
	CUcontext two = devices_context(1), more = devices_context(1);
	int can = -1;

	for (int i = 0; i < DEVICES; i++)
		for (int j = 0; j < DEVICES; j++) {
			CHECK_IS(cuDeviceCanAccessPeer(&can, i, j), CUDA_SUCCESS);
			CHECK(can == (i != j));
		}
	CHECK_IS(cuDeviceCanAccessPeer(NULL, 0, 1), CUDA_ERROR_INVALID_VALUE);
	current(one);
	CHECK_IS(cuCtxEnablePeerAccess(two, 1), CUDA_ERROR_INVALID_VALUE);
	CHECK_IS(cuCtxEnablePeerAccess(NULL, 0), CUDA_ERROR_INVALID_CONTEXT);
	CHECK_IS(cuCtxEnablePeerAccess(one, 0), CUDA_ERROR_INVALID_CONTEXT);
	CHECK_IS(cuCtxEnablePeerAccess(other, 0), CUDA_ERROR_PEER_ACCESS_UNSUPPORTED);
	CHECK_IS(cuCtxDisablePeerAccess(two), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
	CHECK_IS(cuCtxEnablePeerAccess(two, 0), CUDA_SUCCESS);
	CHECK_IS(cuCtxEnablePeerAccess(two, 0), CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
	/* From one context to one context, in one direction. */
	CHECK_IS(cuCtxDisablePeerAccess(more), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
	CHECK_IS(cuCtxEnablePeerAccess(more, 0), CUDA_SUCCESS);
	current(two);
	CHECK_IS(cuCtxDisablePeerAccess(one), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
	CHECK_IS(cuCtxEnablePeerAccess(one, 0), CUDA_SUCCESS);
	current(one);
	CHECK_IS(cuCtxDisablePeerAccess(two), CUDA_SUCCESS);
	CHECK_IS(cuCtxDisablePeerAccess(two), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
	/* It goes with the peer: a new context has to be asked for again. */
	CHECK_IS(cuCtxDestroy(more), CUDA_SUCCESS);
	CHECK_IS(cuDevicePrimaryCtxRetain(&more, 1), CUDA_SUCCESS);
	CHECK_IS(cuCtxEnablePeerAccess(more, 0), CUDA_SUCCESS);
	CHECK_IS(cuDevicePrimaryCtxReset(1), CUDA_SUCCESS);
	CHECK_IS(cuDevicePrimaryCtxRetain(&more, 1), CUDA_SUCCESS);
	CHECK_IS(cuCtxEnablePeerAccess(more, 0), CUDA_SUCCESS);
	current(NULL);
	CHECK_IS(cuCtxEnablePeerAccess(two, 0), CUDA_ERROR_INVALID_CONTEXT);
}

static void peer_access_is_between_two_contexts_of_different_devices(void)
{
	IN_CHILD(peers, );
}

/* ---- time ---- */

static void spin_on_three(struct worker *self)
{
	volatile uint32_t *word;
	CUcontext ctx[4];

	/* Two on device 0, one on device 1, one that does nothing on device 2. */
	for (int i = 0; i < 4; i++)
		ctx[i] = devices_context(i == 0 ? 0 : i - 1);
	word = devices_word();
	for (int i = 0; i < 3; i++) {
		current(ctx[i]);
		devices_spin_until(devices_spin(), NULL, word);
	}
	worker_pause(self);
	*word = 1;
	for (int i = 0; i < 4; i++) {
		current(ctx[i]);
		WORKER_OK(cuCtxSynchronize());
	}
	_exit(child_failed() != 0);
}

static bool has_turned(const struct simgpu_truth *truth, void *arg)
{
	const struct simgpu_truth *before = arg;

	return truth->devices[0].switches > before->devices[0].switches + 4 &&
	       truth->devices[1].state == 2;
}

static void contexts_of_different_devices_run_at_the_same_time(void)
{
	struct worker worker = worker_start(spin_on_three);
	struct simgpu_truth *before, *first = NULL, *second = NULL;
	uint64_t passed_ns;

	worker_await(&worker);
	before = simgpu_truth(devices_monitor);
	if (before != NULL)
		first = truth_when(devices_monitor, has_turned, before);
	if (first != NULL)
		second = truth_when(devices_monitor, has_turned, first);
	worker_go(&worker);
	CU_ASSERT_EQUAL(worker_end(&worker), 0);
	if (second == NULL) {
		CU_FAIL("there are no books to compare");
		simgpu_free(first);
		simgpu_free(before);
		return;
	}
	passed_ns = second->now_ns - first->now_ns;
	/* The first device goes from one context to the other and back, while the only one
	 * of the second is never disturbed, and the third has nothing to do. */
	CU_ASSERT_EQUAL(second->devices[0].idle_ns, first->devices[0].idle_ns);
	CU_ASSERT(second->devices[0].switch_ns > first->devices[0].switch_ns);
	CU_ASSERT_EQUAL(second->devices[1].busy_ns - first->devices[1].busy_ns,
			passed_ns);
	CU_ASSERT_EQUAL(second->devices[1].switches, first->devices[1].switches);
	CU_ASSERT_EQUAL(second->devices[2].idle_ns - first->devices[2].idle_ns,
			passed_ns);
	simgpu_free(second);
	simgpu_free(first);
	simgpu_free(before);
}

static void the_books_of_every_device_add_up(void)
{
	struct simgpu_truth *truth = simgpu_truth(devices_monitor);

	CU_ASSERT_PTR_NOT_NULL(truth);
	for (unsigned d = 0; truth != NULL && d < DEVICES; d++) {
		const struct simgpu_device *device = &truth->devices[d];
		uint64_t contexts_ns = 0, clients_ns = 0;

		for (unsigned i = 0; i < truth->ncontexts; i++)
			if (truth->contexts[i].device == d)
				contexts_ns += truth->contexts[i].gpu_ns;
		for (unsigned i = 0; i < truth->nclients; i++)
			clients_ns += truth->clients[i].gpu_ns[d];
		CU_ASSERT_EQUAL(device->idle_ns + device->switch_ns + device->busy_ns,
				truth->now_ns - device->since_ns);
		CU_ASSERT_EQUAL(contexts_ns, device->busy_ns);
		CU_ASSERT_EQUAL(clients_ns, device->busy_ns);
		CU_ASSERT(d == 2 || device->busy_ns > 0);
	}
	simgpu_free(truth);
}

/* ---- the end of a process ---- */

static void everything_everywhere(struct worker *self)
{
	volatile uint32_t *word = NULL;

	for (int i = 0; i < DEVICES; i++) {
		CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
					     .location = on((i + 1) % DEVICES) };
		CUmemGenericAllocationHandle handle;
		CUDA_ARRAY_DESCRIPTOR shape = { 1024, 1024, CU_AD_FORMAT_FLOAT, 1 };
		CUarray array;
		CUdeviceptr at;
		CUcontext ctx;

		devices_context(i);
		WORKER_OK(cuDevicePrimaryCtxRetain(&ctx, i));
		if (word == NULL)
			word = devices_word();
		WORKER_OK(cuMemAlloc(&at, 1000));
		WORKER_OK(cuMemAlloc(&at, BLOCK));
		WORKER_OK(cuMemAllocManaged(&at, BLOCK, CU_MEM_ATTACH_GLOBAL));
		WORKER_OK(cuArrayCreate(&array, &shape));
		WORKER_OK(cuMemAllocAsync(&at, BLOCK, NULL));
		WORKER_OK(cuMemCreate(&handle, BLOCK, &prop, 0));
		devices_spin_until(devices_spin(), NULL, word);
	}
	worker_pause(self);
	_exit(child_failed() != 0);
}

static bool all_busy(const struct simgpu_truth *truth, void *arg)
{
	bool busy = true;

	(void)arg;
	for (unsigned d = 0; d < DEVICES; d++)
		busy &= truth->devices[d].state == 2;
	return busy;
}

static void a_process_killed_on_all_devices_leaves_nothing_on_any(void)
{
	struct worker worker = worker_start(everything_everywhere);
	const struct simgpu_client *client;
	struct simgpu_truth *truth;
	pid_t pid = worker.pid;

	worker_await(&worker);
	truth = truth_when(devices_monitor, all_busy, NULL);
	client = truth ? simgpu_find(truth, pid) : NULL;
	CU_ASSERT_PTR_NOT_NULL(client);
	for (unsigned d = 0; client != NULL && d < DEVICES; d++) {
		CU_ASSERT_EQUAL(truth->devices[d].contexts, 2);
		CU_ASSERT_EQUAL(truth->devices[d].used_bytes, client->memory[d].used);
		CU_ASSERT(client->memory[d].used > 2 * CONTEXT_BYTES + 4 * BLOCK);
	}
	simgpu_free(truth);
	worker_kill(&worker);
	truth = truth_when_gone(devices_monitor, pid);
	client = truth ? simgpu_find(truth, pid) : NULL;
	CU_ASSERT_PTR_NOT_NULL(client);
	for (unsigned d = 0; client != NULL && d < DEVICES; d++) {
		CU_ASSERT_EQUAL(truth->devices[d].used_bytes, 0);
		CU_ASSERT_EQUAL(truth->devices[d].requested_bytes, 0);
		CU_ASSERT_EQUAL(truth->devices[d].contexts, 0);
		CU_ASSERT_EQUAL(truth->devices[d].state, 0);
		CU_ASSERT_EQUAL(client->memory[d].used, 0);
		CU_ASSERT_EQUAL(client->memory[d].host, 0);
		CU_ASSERT_EQUAL(client->memory[d].allocations, 0);
	}
	simgpu_free(truth);
}

/* ---- between processes ---- */

static CUipcMemHandle *ipc; /* shared with children */

static void give_memory(struct worker *self)
{
	CUdeviceptr at = 0;

	at = block_in(devices_context(2), BLOCK);
	WORKER_OK(cuMemsetD8(at, 5, BLOCK));
	WORKER_OK(cuCtxSynchronize());
	WORKER_OK(cuIpcGetMemHandle(ipc, at));
	worker_pause(self);
	_exit(child_failed() != 0 || !devices_filled(at, 6, BLOCK));
}

static void open_elsewhere(void)
{
	CUdeviceptr at = 0;

	devices_context(0);
	CHECK_IS(cuIpcOpenMemHandle(&at, *ipc, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS),
		 CUDA_SUCCESS);
	CHECK(ordinal_of(at) == 2);
	CHECK(devices_filled(at, 5, BLOCK));
	CHECK_IS(cuMemsetD8(at, 6, BLOCK), CUDA_SUCCESS);
	CHECK_IS(cuCtxSynchronize(), CUDA_SUCCESS);
	CHECK(devices_bytes(0).plain == 0 && devices_bytes(2).used == 0);
	CHECK_IS(cuIpcCloseMemHandle(at), CUDA_SUCCESS);
}

static void memory_of_another_process_stays_on_its_device(void)
{
	struct worker worker;

	ipc = mmap(NULL, sizeof(*ipc), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		   -1, 0);
	CU_ASSERT_NOT_EQUAL_FATAL(ipc, MAP_FAILED);
	worker = worker_start(give_memory);
	worker_await(&worker);
	IN_CHILD(open_elsewhere, );
	worker_go(&worker);
	CU_ASSERT_EQUAL(worker_end(&worker), 0);
	munmap(ipc, sizeof(*ipc));
}

/* ---- a limit per client ---- */

static void limited(void)
{
	CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
				     .location = on(1) };
	CUmemGenericAllocationHandle handle;
	CUcontext free_one = devices_context(0), ctx = devices_context(1), more;
	CUdeviceptr odd, rest, at, small[3];
	size_t left, total;

	/* The limit is the context and eight pages. */
	CHECK_IS(cuMemGetInfo(&left, &total), CUDA_SUCCESS);
	CHECK(left == 8 * PAGE);
	CHECK_IS(cuMemAlloc(&odd, 8 * PAGE + 1), CUDA_ERROR_OUT_OF_MEMORY);
	CHECK_IS(cuMemAlloc(&odd, PAGE + 1), CUDA_SUCCESS);
	CHECK_IS(cuMemGetInfo(&left, &total), CUDA_SUCCESS);
	CHECK(left == 6 * PAGE);
	CHECK_IS(cuMemAlloc(&rest, 6 * PAGE + 1), CUDA_ERROR_OUT_OF_MEMORY);
	CHECK_IS(cuMemAlloc(&rest, 6 * PAGE), CUDA_SUCCESS);
	/* Now not one byte more, in whatever way. */
	CHECK_IS(cuMemAlloc(&at, 1), CUDA_ERROR_OUT_OF_MEMORY);
	CHECK_IS(cuMemCreate(&handle, PAGE, &prop, 0), CUDA_ERROR_OUT_OF_MEMORY);
	CHECK_IS(cuMemAllocAsync(&at, 1, NULL), CUDA_ERROR_OUT_OF_MEMORY);
	CHECK_IS(cuMemAllocManaged(&at, 1, CU_MEM_ATTACH_GLOBAL),
		 CUDA_ERROR_OUT_OF_MEMORY);
	CHECK_IS(cuCtxCreate(&more, NULL, 0, 1), CUDA_ERROR_OUT_OF_MEMORY);
	/* Small ones share a page: one more fits as long as the page has room. */
	CHECK_IS(cuMemFree(odd), CUDA_SUCCESS);
	CHECK_IS(cuMemAlloc(&odd, PAGE), CUDA_SUCCESS);
	CHECK_IS(cuMemAlloc(&small[0], MIB(1) - 512), CUDA_SUCCESS);
	CHECK_IS(cuMemAlloc(&small[1], MIB(1) - 512), CUDA_SUCCESS);
	CHECK_IS(cuMemAlloc(&at, 1025), CUDA_ERROR_OUT_OF_MEMORY);
	CHECK_IS(cuMemAlloc(&small[2], 1024), CUDA_SUCCESS);
	CHECK_IS(cuMemAlloc(&at, 1), CUDA_ERROR_OUT_OF_MEMORY);
	CHECK(devices_bytes(1).used == CONTEXT_BYTES + 8 * PAGE);
	/* The limit is of one device. */
	at = block_in(free_one, 64 * PAGE);
	CHECK(ordinal_of(at) == 0);
	current(ctx);
}

static void hold_the_limit(struct worker *self)
{
	CUdeviceptr at;

	devices_context(1);
	WORKER_OK(cuMemAlloc(&at, 8 * PAGE));
	worker_pause(self);
	WORKER_OK(cuMemAlloc(&at, 64 * PAGE));
	worker_pause(self);
	WORKER_IS(cuMemAlloc(&at, 1), CUDA_ERROR_OUT_OF_MEMORY);
	_exit(child_failed() != 0);
}

static void a_limit_per_client_refuses_at_the_byte_and_only_there(void)
{
	struct worker worker;

	CU_ASSERT_EQUAL(
		simgpu_set_memory_limit(devices_monitor, 1, CONTEXT_BYTES + 8 * PAGE), 0);
	worker = worker_start(hold_the_limit);
	worker_await(&worker);
	/* Beside another client that has all it may. */
	IN_CHILD(limited, );
	CU_ASSERT_EQUAL(simgpu_set_memory_limit(devices_monitor, 1, 0), 0);
	worker_go(&worker);
	worker_await(&worker);
	/* A limit below what a client has takes nothing from it. */
	CU_ASSERT_EQUAL(simgpu_set_memory_limit(devices_monitor, 1, PAGE), 0);
	worker_go(&worker);
	CU_ASSERT_EQUAL(worker_end(&worker), 0);
	CU_ASSERT_EQUAL(simgpu_set_memory_limit(devices_monitor, 1, 0), 0);
	CU_ASSERT_NOT_EQUAL(simgpu_set_memory_limit(devices_monitor, DEVICES, 0), 0);
}

const struct unit_suite unit_suite = {
	.name = "several devices",
	.init = devices_start,
	.cleanup = devices_stop,
	.tests = {
		UNIT_TEST(each_device_has_an_identity_of_its_own),
		UNIT_TEST(ordinals_out_of_range_are_refused_by_every_call),
		UNIT_TEST(each_device_has_a_memory_of_its_own),
		UNIT_TEST(a_pool_takes_its_memory_from_the_device_it_is_of),
		UNIT_TEST(physical_memory_lies_on_the_device_named_whoever_maps_it),
		UNIT_TEST(devices_of_zero_cost_mode_have_memories_of_their_own_too),
		UNIT_TEST(every_device_has_one_primary_context),
		UNIT_TEST(every_copy_reaches_from_one_device_to_another),
		UNIT_TEST(copies_between_devices_run_beside_kernels),
		UNIT_TEST(a_synchronous_peer_copy_stands_in_the_order_of_both_contexts),
		UNIT_TEST(a_stream_waits_for_an_event_of_another_device),
		UNIT_TEST(peer_access_is_between_two_contexts_of_different_devices),
		UNIT_TEST(contexts_of_different_devices_run_at_the_same_time),
		UNIT_TEST(the_books_of_every_device_add_up),
		UNIT_TEST(a_process_killed_on_all_devices_leaves_nothing_on_any),
		UNIT_TEST(memory_of_another_process_stays_on_its_device),
		UNIT_TEST(a_limit_per_client_refuses_at_the_byte_and_only_there),
	},
};
