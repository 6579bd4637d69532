/*
 * test_visible.c - CUDA_VISIBLE_DEVICES, as the CUDA Programming Guide documents it: which
 * devices a process has and under which ordinals, in every call that takes or gives one.
 */
#include "common_devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/uuid.h"
#include "common_nvml.h"

#define BLOCK MIB(8)

/* ---- which devices ---- */

/* What the running child is to see: the device process's numbers, in order. */
static const char *expected;

static void enumerate(void)
{
	size_t wanted = strlen(expected);
	unsigned char uuid[16];
	CUuuid seen;
	CUdevice device;
	char id[32], hidden[] = "0000:01:00.0";
	int count = -1;

	if (wanted == 0) {
		CHECK_IS(cuInit(0), CUDA_ERROR_NO_DEVICE);
		CHECK_IS(cuInit(0), CUDA_ERROR_NO_DEVICE);
		CHECK_IS(cuDeviceGetCount(&count), CUDA_ERROR_NOT_INITIALIZED);
		return;
	}
	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuDeviceGetCount(&count), CUDA_SUCCESS);
	CHECK(count == (int)wanted);
	CHECK_IS(cuDeviceGet(&device, count), CUDA_ERROR_INVALID_DEVICE);
	for (int i = 0; i < count; i++) {
		char own[32];

		CHECK_IS(cuDeviceGet(&device, i), CUDA_SUCCESS);
		CHECK(device == i);
		sim_uuid_make(uuid, (unsigned)(expected[i] - '0'));
		CHECK_IS(cuDeviceGetUuid_v2(&seen, i), CUDA_SUCCESS);
		CHECK(memcmp(seen.bytes, uuid, sizeof(uuid)) == 0);
		snprintf(own, sizeof(own), "0000:%02x:00.0", expected[i] - '0' + 1);
		CHECK_IS(cuDeviceGetPCIBusId(id, sizeof(id), i), CUDA_SUCCESS);
		CHECK(strcmp(id, own) == 0);
		CHECK_IS(cuDeviceGetByPCIBusId(&device, id), CUDA_SUCCESS);
		CHECK(device == i);
	}
	for (int d = 0; d < DEVICES; d++) {
		hidden[6] = (char)('1' + d);
		CHECK_IS(cuDeviceGetByPCIBusId(&device, hidden),
			 strchr(expected, '0' + d) != NULL ? CUDA_SUCCESS
							   : CUDA_ERROR_INVALID_DEVICE);
	}
}

/* A process with this list sees these devices, in both modes. */
static void sees(const char *list, const char *devices)
{
	char variable[256];
	int failed;

	snprintf(variable, sizeof(variable), "CUDA_VISIBLE_DEVICES=%s", list);
	expected = devices;
	for (int zero = 0; zero < 2; zero++) {
		failed = child_run(enumerate,
				   (const char *const[]){ variable,
							  zero ? "SIMGPU_ZERO_COST=1"
							       : "SIMGPU_ZERO_COST=0",
							  NULL });
		if (failed != 0)
			printf("      with %s\n", variable);
		CU_ASSERT_EQUAL(failed, 0);
	}
}

static void without_the_variable_all_devices_are_visible(void)
{
	expected = "012";
	CU_ASSERT_EQUAL(child_run(enumerate, NULL), 0);
}

static void the_list_says_which_devices_there_are_and_in_which_order(void)
{
	sees("0", "0");
	sees("2", "2");
	sees("2,1", "21");
	sees("1,2,0", "120");
	sees(" 1 ,\t2", "12");
}

static void an_entry_that_names_no_device_hides_all_after_it(void)
{
	sees("0,2,-1,1", "02");
	sees("1,3,0", "1");
	sees("1,99999999999999999999,0", "1");
	sees("2,,0", "2");
	sees("2,", "2");
	sees("1,x", "1");
	sees("1,2x,0", "1");
	sees("0,MIG-GPU-53696d01/1/2", "0");
}

static void a_list_without_a_device_leaves_none(void)
{
	sees("", "");
	sees(" ", "");
	sees("-1", "");
	sees("-1,0", "");
	sees(",0", "");
	sees("3", "");
	sees("none", "");
	sees("GPU-00000000", "");
}

static void a_device_named_twice_leaves_none(void)
{
	sees("0,0", "");
	sees("2,1,2", "");
	sees("1,GPU-53696d01", "");
	/* What follows an invalid entry is not looked at. */
	sees("2,-1,2", "2");
}

static void devices_are_named_by_uuid_as_far_as_it_is_unambiguous(void)
{
	unsigned char uuid[16];
	char text[SIM_UUID_TEXT_BYTES], list[128];

	sim_uuid_make(uuid, 2);
	sim_uuid_text(uuid, text);
	sees(text, "2");
	snprintf(list, sizeof(list), "%s,0", text);
	sees(list, "20");
	snprintf(list, sizeof(list), "%.12s,%.20s", text, "GPU-53696d00-4750-80");
	sees(list, "20");
	/* All begin alike. */
	sees("GPU-53696d", "");
	sees("0,GPU-", "0");
	/* Longer than a UUID, and one that is no text of one. */
	snprintf(list, sizeof(list), "%s0", text);
	sees(list, "");
	sees("53696d02", "");
}

/* ---- what the ordinals mean ---- */

static int ordinal_of(CUdeviceptr at)
{
	int ordinal = -1;

	CHECK_IS(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, at),
		 CUDA_SUCCESS);
	return ordinal;
}

/* With CUDA_VISIBLE_DEVICES=2,0. */
static void ordinals(void)
{
	CUmemLocation second = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 1 };
	CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
				     .location = second };
	CUmemPoolProps pools = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				 .location = second };
	CUmemAccessDesc access = { second, CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	CUmemGenericAllocationHandle handle;
	CUmemAllocationProp told;
	CUmemoryPool pool;
	CUcontext ctx = devices_context(0), peer = devices_context(1), primary;
	CUdeviceptr at, managed, pooled, mapped;
	CUdevice device = -1;
	unsigned long long flags;
	size_t left, before, total;
	int can;

	/* Ordinal 0 is device 2. */
	CHECK_IS(cuCtxSetCurrent(ctx), CUDA_SUCCESS);
	CHECK_IS(cuCtxGetDevice(&device), CUDA_SUCCESS);
	CHECK(device == 0);
	CHECK(devices_bytes(2).context == CONTEXT_BYTES);
	CHECK(devices_bytes(0).context == CONTEXT_BYTES && devices_bytes(1).used == 0);
	CHECK_IS(cuMemGetInfo(&before, &total), CUDA_SUCCESS);
	CHECK_IS(cuMemAlloc(&at, BLOCK), CUDA_SUCCESS);
	CHECK_IS(cuMemAllocManaged(&managed, BLOCK, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS);
	CHECK_IS(cuMemGetInfo(&left, &total), CUDA_SUCCESS);
	CHECK(before - left == 2 * BLOCK);
	CHECK(devices_bytes(2).plain == BLOCK && devices_bytes(2).managed == BLOCK);
	CHECK(ordinal_of(at) == 0 && ordinal_of(managed) == 0);
	CHECK_IS(cuMemPrefetchAsync(managed, BLOCK, second, 0, NULL), CUDA_SUCCESS);
	CHECK_IS(cuMemPrefetchAsync(
			 managed, BLOCK,
			 (CUmemLocation){ .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 2 },
			 0, NULL),
		 CUDA_ERROR_INVALID_DEVICE);

	/* Ordinal 1 is device 0, in whatever way it is named. */
	CHECK_IS(cuMemPoolCreate(&pool, &pools), CUDA_SUCCESS);
	CHECK_IS(cuMemAllocFromPoolAsync(&pooled, BLOCK, pool, NULL), CUDA_SUCCESS);
	CHECK(ordinal_of(pooled) == 1 && devices_bytes(0).pool >= BLOCK);
	CHECK_IS(cuMemCreate(&handle, BLOCK, &prop, 0), CUDA_SUCCESS);
	CHECK(devices_bytes(0).vmm == BLOCK);
	CHECK_IS(cuMemGetAllocationPropertiesFromHandle(&told, handle), CUDA_SUCCESS);
	CHECK(told.location.id == 1);
	CHECK_IS(cuMemAddressReserve(&mapped, BLOCK, 0, 0, 0), CUDA_SUCCESS);
	CHECK_IS(cuMemMap(mapped, BLOCK, 0, handle, 0), CUDA_SUCCESS);
	CHECK_IS(cuMemSetAccess(mapped, BLOCK, &access, 1), CUDA_SUCCESS);
	CHECK_IS(cuMemGetAccess(&flags, &second, mapped), CUDA_SUCCESS);
	CHECK(flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE && ordinal_of(mapped) == 1);
	CHECK_IS(cuDevicePrimaryCtxRetain(&primary, 1), CUDA_SUCCESS);
	CHECK(devices_bytes(0).context == 2 * CONTEXT_BYTES);
	CHECK_IS(cuDeviceCanAccessPeer(&can, 0, 1), CUDA_SUCCESS);
	CHECK(can == 1);
	CHECK_IS(cuCtxEnablePeerAccess(peer, 0), CUDA_SUCCESS);

	/* Hidden is not there. */
	CHECK_IS(cuCtxCreate(&ctx, NULL, 0, 2), CUDA_ERROR_INVALID_DEVICE);
	prop.location.id = 2;
	CHECK_IS(cuMemCreate(&handle, BLOCK, &prop, 0), CUDA_ERROR_INVALID_DEVICE);
	CHECK(devices_bytes(1).used == 0);
}

static void an_ordinal_means_the_same_device_in_every_call(void)
{
	IN_CHILD(ordinals, "CUDA_VISIBLE_DEVICES=2,0", );
}

/* With CUDA_VISIBLE_DEVICES=1,2: memory that graphs allocate. */
static void graph_memory(void)
{
	CUDA_MEM_ALLOC_NODE_PARAMS params = {
		.poolProps = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
			       .location = { .type = CU_MEM_LOCATION_TYPE_DEVICE,
					     .id = 1 } },
		.bytesize = BLOCK,
	};
	CUgraph graph;
	CUgraphNode alloc, free_node;
	CUgraphExec exec;

	devices_context(0);
	CHECK_IS(cuGraphCreate(&graph, 0), CUDA_SUCCESS);
	CHECK_IS(cuGraphAddMemAllocNode(&alloc, graph, NULL, 0, &params), CUDA_SUCCESS);
	CHECK_IS(cuGraphAddMemFreeNode(&free_node, graph, &alloc, 1, params.dptr),
		 CUDA_SUCCESS);
	CHECK_IS(cuGraphInstantiate(&exec, graph, 0), CUDA_SUCCESS);
	CHECK_IS(cuGraphLaunch(exec, NULL), CUDA_SUCCESS);
	CHECK_IS(cuCtxSynchronize(), CUDA_SUCCESS);
	CHECK(devices_bytes(2).graph >= BLOCK && devices_bytes(1).graph == 0);
	CHECK_IS(cuGraphExecDestroy(exec), CUDA_SUCCESS);
	CHECK_IS(cuDeviceGraphMemTrim(1), CUDA_SUCCESS);
	CHECK(devices_bytes(2).graph == 0);
}

static void memory_of_graphs_lies_on_the_device_of_the_ordinal(void)
{
	IN_CHILD(graph_memory, "CUDA_VISIBLE_DEVICES=1,2", );
}

/* ---- seen from outside ---- */

static void spin_on_first(struct worker *self)
{
	volatile uint32_t *word;

	setenv("CUDA_VISIBLE_DEVICES", "2", 1);
	devices_context(0);
	word = devices_word();
	devices_spin_until(devices_spin(), NULL, word);
	worker_pause(self);
	*word = 1;
	WORKER_OK(cuCtxSynchronize());
	_exit(child_failed() != 0);
}

static bool third_busy(const struct simgpu_truth *truth, void *arg)
{
	(void)arg;
	return truth->devices[2].state == 2;
}

static pid_t seen_pid;

static void nvml_sees(void)
{
	unsigned count = 0;

	CHECK(nvml_open_library() == 0);
	CHECK(NVML(nvmlInit_v2)() == NVML_SUCCESS);
	CHECK(NVML(nvmlDeviceGetCount_v2)(&count) == NVML_SUCCESS);
	CHECK(count == DEVICES);
	for (unsigned i = 0; i < DEVICES; i++) {
		struct nvml_process processes[4] = { 0 };
		nvmlDevice_t device;
		unsigned n = 4;

		CHECK(NVML(nvmlDeviceGetHandleByIndex_v2)(i, &device) == NVML_SUCCESS);
		CHECK(NVML(nvmlDeviceGetComputeRunningProcesses_v3)(
			      device, &n, processes) == NVML_SUCCESS);
		CHECK(n == (i == 2));
		CHECK(n == 0 || processes[0].pid == (unsigned)seen_pid);
	}
	CHECK(NVML(nvmlShutdown)() == NVML_SUCCESS);
}

static void books_and_nvml_know_all_devices_by_their_own_numbers(void)
{
	struct worker worker = worker_start(spin_on_first);
	struct simgpu_truth *truth;

	worker_await(&worker);
	truth = truth_when(devices_monitor, third_busy, NULL);
	if (truth != NULL) {
		CU_ASSERT_EQUAL(truth->devices[0].contexts, 0);
		CU_ASSERT_EQUAL(truth->devices[2].contexts, 1);
	}
	simgpu_free(truth);
	/* NVML shows every device to every process, and knows nothing of the variable. */
	seen_pid = worker.pid;
	IN_CHILD(nvml_sees, "CUDA_VISIBLE_DEVICES=0", );
	IN_CHILD(nvml_sees, "CUDA_VISIBLE_DEVICES=", );
	worker_go(&worker);
	CU_ASSERT_EQUAL(worker_end(&worker), 0);
}

static void limited(void)
{
	CUcontext first = devices_context(0), second = devices_context(1);
	CUdeviceptr at;

	CHECK_IS(cuMemAlloc(&at, PAGE), CUDA_ERROR_OUT_OF_MEMORY);
	CHECK_IS(cuCtxSetCurrent(first), CUDA_SUCCESS);
	CHECK_IS(cuMemAlloc(&at, PAGE), CUDA_SUCCESS);
	CHECK_IS(cuCtxDestroy(second), CUDA_SUCCESS);
}

static void a_limit_holds_on_the_device_it_was_set_for(void)
{
	CU_ASSERT_EQUAL(simgpu_set_memory_limit(devices_monitor, 0, CONTEXT_BYTES), 0);
	IN_CHILD(limited, "CUDA_VISIBLE_DEVICES=1,0", );
	CU_ASSERT_EQUAL(simgpu_set_memory_limit(devices_monitor, 0, 0), 0);
}

/* With CUDA_VISIBLE_DEVICES=2,1. */
static void losing(void)
{
	struct simgpu_monitor *monitor = simgpu_open(NULL, 0, NULL);

	CHECK(monitor != NULL);
	devices_context(0);
	/* One that is hidden, one that is seen and not used, one that is used. */
	CHECK(simgpu_lose_device(monitor, 0) == 0);
	CHECK_IS(cuCtxSynchronize(), CUDA_SUCCESS);
	CHECK(simgpu_lose_device(monitor, 1) == 0);
	CHECK_IS(cuCtxSynchronize(), CUDA_SUCCESS);
	CHECK(simgpu_lose_device(monitor, 2) == 0);
	CHECK_IS(cuCtxSynchronize(), CUDA_ERROR_DEVICE_UNAVAILABLE);
}

static void a_lost_device_is_found_under_its_ordinal(void)
{
	struct simgpu_monitor *elsewhere = devices_elsewhere("visible-lost");

	if (elsewhere != NULL)
		IN_CHILD(losing, "CUDA_VISIBLE_DEVICES=2,1", );
	simgpu_close(elsewhere);
	devices_here();
}

/* ---- memory of devices that a process does not see ---- */

struct shared {
	CUipcMemHandle memory;
};

static struct shared *shared;
static int ends[2]; /* of a socket between children */

static void give(struct worker *self)
{
	CUmemAllocationProp prop = {
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 2 },
	};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	CUmemGenericAllocationHandle handle;
	CUdeviceptr at;
	int fd;

	devices_context(2);
	WORKER_OK(cuMemAlloc(&at, BLOCK));
	WORKER_OK(cuMemsetD8(at, 5, BLOCK));
	WORKER_OK(cuCtxSynchronize());
	WORKER_OK(cuIpcGetMemHandle(&shared->memory, at));
	WORKER_OK(cuMemCreate(&handle, BLOCK, &prop, 0));
	WORKER_OK(cuMemExportToShareableHandle(
		&fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	for (int i = 0; i < 2; i++)
		if (sendmsg(ends[0], &msg, 0) != 1)
			_exit(2);
	worker_pause(self);
	_exit(child_failed() != 0);
}

static int take(void)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	int fd = -1;

	CHECK(recvmsg(ends[1], &msg, 0) == 1);
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}

/* The device 2 of the other process is hidden here. */
static void import_hidden(void)
{
	CUmemGenericAllocationHandle handle;
	CUdeviceptr at = 0;

	devices_context(0);
	CHECK_IS(cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)take(),
						CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
		 CUDA_ERROR_INVALID_DEVICE);
	CHECK_IS(cuIpcOpenMemHandle(&at, shared->memory,
				    CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS),
		 CUDA_SUCCESS);
	CHECK(devices_filled(at, 5, BLOCK));
	CHECK(ordinal_of(at) == 0);
	CHECK_IS(cuIpcCloseMemHandle(at), CUDA_SUCCESS);
}

/* It is ordinal 1 here. */
static void import_visible(void)
{
	CUmemGenericAllocationHandle handle;
	CUmemAllocationProp told = { 0 };
	CUdeviceptr at = 0;

	devices_context(0);
	CHECK_IS(cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)take(),
						CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
		 CUDA_SUCCESS);
	CHECK_IS(cuMemGetAllocationPropertiesFromHandle(&told, handle), CUDA_SUCCESS);
	CHECK(told.location.id == 1);
	CHECK_IS(cuMemRelease(handle), CUDA_SUCCESS);
	CHECK_IS(cuIpcOpenMemHandle(&at, shared->memory,
				    CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS),
		 CUDA_SUCCESS);
	CHECK(ordinal_of(at) == 1);
	CHECK_IS(cuIpcCloseMemHandle(at), CUDA_SUCCESS);
}

static void memory_of_a_hidden_device_is_opened_but_not_imported(void)
{
	struct worker worker;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_NOT_EQUAL_FATAL(shared, MAP_FAILED);
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
	worker = worker_start(give);
	worker_await(&worker);
	IN_CHILD(import_hidden, "CUDA_VISIBLE_DEVICES=0,1", );
	IN_CHILD(import_visible, "CUDA_VISIBLE_DEVICES=1,2", );
	worker_go(&worker);
	CU_ASSERT_EQUAL(worker_end(&worker), 0);
	close(ends[0]);
	close(ends[1]);
	munmap(shared, sizeof(*shared));
}

const struct unit_suite unit_suite = {
	.name = "visible devices",
	.init = devices_start,
	.cleanup = devices_stop,
	.tests = {
		UNIT_TEST(without_the_variable_all_devices_are_visible),
		UNIT_TEST(the_list_says_which_devices_there_are_and_in_which_order),
		UNIT_TEST(an_entry_that_names_no_device_hides_all_after_it),
		UNIT_TEST(a_list_without_a_device_leaves_none),
		UNIT_TEST(a_device_named_twice_leaves_none),
		UNIT_TEST(devices_are_named_by_uuid_as_far_as_it_is_unambiguous),
		UNIT_TEST(an_ordinal_means_the_same_device_in_every_call),
		UNIT_TEST(memory_of_graphs_lies_on_the_device_of_the_ordinal),
		UNIT_TEST(books_and_nvml_know_all_devices_by_their_own_numbers),
		UNIT_TEST(a_limit_holds_on_the_device_it_was_set_for),
		UNIT_TEST(a_lost_device_is_found_under_its_ordinal),
		UNIT_TEST(memory_of_a_hidden_device_is_opened_but_not_imported),
	},
};
