/*
 * test_share.c - memory that processes of a tenant share, under one quota: charged once, to
 * whoever exported it, as long as anybody may hold it.
 *
 * A *giver* exports and a *taker* imports; descriptors go over an abstract socket that is
 * named after the test's directory. Who goes on when is for the test to say (tenant_meet).
 */
#include "cunit_main.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common_tenant.h"
#include "common_truth.h"

#define MIB ((uint64_t)1 << 20)
#define QUOTA "GPUSHIM_MEMORY=100MiB"

typedef CUmemGenericAllocationHandle handle_t;

static uint64_t left_bytes(void)
{
	size_t free_bytes = 0, total = 0;

	check_result(cuMemGetInfo(&free_bytes, &total), CUDA_SUCCESS);
	return free_bytes;
}

/* ---- between bodies ---- */

/* The two ends of a way from giver to taker. The giver calls it first. */
static int open_way(bool giver)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), peer;
	socklen_t bytes;

	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "%s/way",
		 getenv("SIMGPU_STATE"));
	bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			    strlen(address.sun_path + 1));
	if (!giver) {
		check(connect(fd, (struct sockaddr *)&address, bytes) == 0);
		return fd;
	}
	check(bind(fd, (struct sockaddr *)&address, bytes) == 0 && listen(fd, 1) == 0);
	tenant_meet(); /* the taker may start */
	peer = accept(fd, NULL, NULL);
	close(fd);
	return peer;
}

/* Bytes, and a descriptor with them if it is not negative. */
static void give(int way, const void *data, size_t bytes, int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .room = { 0 } };
	struct iovec vector = { (void *)(uintptr_t)data, bytes };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };

	if (fd >= 0) {
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
		message.msg_control = control.room;
		message.msg_controllen = sizeof(control.room);
	}
	check(sendmsg(way, &message, 0) == (ssize_t)bytes);
}

/* Returns the descriptor, or -1; ends the body when the giver has gone. */
static int take(int way, void *data, size_t bytes)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec vector = { data, bytes };
	struct msghdr message = { .msg_iov = &vector,
				  .msg_iovlen = 1,
				  .msg_control = control.room,
				  .msg_controllen = sizeof(control.room) };
	const struct cmsghdr *header;
	int fd = -1;

	if (!check(recvmsg(way, &message, MSG_WAITALL | MSG_CMSG_CLOEXEC) ==
		   (ssize_t)bytes))
		_exit(1);
	header = CMSG_FIRSTHDR(&message);
	if (header)
		memcpy(&fd, CMSG_DATA(header), sizeof(int));
	return fd;
}

/* Both at the same point: what the taker has done, the giver has seen. */
static void answer(int way)
{
	give(way, "", 1, -1);
}

static void await(int way)
{
	char byte;

	take(way, &byte, 1);
}

/* ---- physical memory ---- */

static CUresult create(uint64_t bytes, handle_t *handle)
{
	const CUmemAllocationProp prop = {
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
		.location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 },
	};

	return cuMemCreate(handle, bytes, &prop, 0);
}

static handle_t take_memory(int way)
{
	handle_t handle = 0;
	char byte;
	int fd = take(way, &byte, 1);

	check_result(
		cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)fd,
					       CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
		CUDA_SUCCESS);
	close(fd);
	return handle;
}

static void give_memory(int way, handle_t handle)
{
	int fd = -1;

	check_result(cuMemExportToShareableHandle(
			     &fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
		     CUDA_SUCCESS);
	give(way, "", 1, fd);
	close(fd);
}

/* Ten times 30 MiB, each given away and released. */
TENANT_BODY(giver_that_releases)
{
	unsigned created = 0;
	handle_t handle;
	int way;

	tenant_context();
	way = open_way(true);
	for (int i = 0; i < 10; i++) {
		CUresult result = create(30 * MIB, &handle);
		char more = result == CUDA_SUCCESS;

		check(result == CUDA_SUCCESS || result == CUDA_ERROR_OUT_OF_MEMORY);
		give(way, &more, 1, -1);
		if (!more)
			continue;
		created++;
		give_memory(way, handle);
		await(way);
		check_result(cuMemRelease(handle), CUDA_SUCCESS);
	}
	/* Three fit; the taker still has them, whoever has released them here. */
	check(created == (getenv("BARE") ? 10 : 3));
	tenant_meet();
}

TENANT_BODY(taker_that_keeps)
{
	char more;
	int way;

	tenant_context();
	way = open_way(false);
	for (int i = 0; i < 10; i++) {
		take(way, &more, 1);
		if (!more)
			continue;
		take_memory(way);
		answer(way);
	}
	tenant_meet();
}

static bool both_meet(pid_t giver, const char *taker, pid_t *taking)
{
	*taking = 0;
	if (!tenant_met(giver))
		return false;
	tenant_go(giver);
	*taking = getenv("BARE") ? tenant_start(taker, QUOTA, "LD_PRELOAD", NULL)
				 : tenant_start(taker, QUOTA, NULL);
	return true;
}

static void exporting_and_releasing_does_not_walk_out_of_the_quota(void)
{
	pid_t giver = tenant_start("giver_that_releases", QUOTA, NULL), taker;

	CU_ASSERT_FATAL(both_meet(giver, "taker_that_keeps", &taker));
	CU_ASSERT(tenant_met(giver) && tenant_met(taker));
	CU_ASSERT_EQUAL(tenant_device_requested(), 90 * MIB);
	tenant_go(giver);
	tenant_go(taker);
	CU_ASSERT(tenant_ends(giver));
	CU_ASSERT(tenant_ends(taker));
	CU_ASSERT(tenant_device_requested_peak() <= 100 * MIB);
}

static void without_the_shim_exporting_walks_out(void)
{
	pid_t giver, taker;

	setenv("BARE", "1", 1);
	giver = tenant_start("giver_that_releases", "LD_PRELOAD", NULL);
	CU_ASSERT(both_meet(giver, "taker_that_keeps", &taker));
	CU_ASSERT(tenant_met(giver) && tenant_met(taker));
	tenant_go(giver);
	tenant_go(taker);
	CU_ASSERT(tenant_ends(giver));
	CU_ASSERT(tenant_ends(taker));
	CU_ASSERT(tenant_device_requested_peak() > 100 * MIB);
	unsetenv("BARE");
}

TENANT_BODY(giver_that_dies)
{
	handle_t handle, own;
	int way;

	tenant_context();
	way = open_way(true);
	check_result(create(60 * MIB, &handle), CUDA_SUCCESS);
	check_result(create(20 * MIB, &own), CUDA_SUCCESS);
	give_memory(way, handle);
	await(way);
	if (getenv("DIE"))
		kill(getpid(), SIGKILL);
}

TENANT_BODY(taker_that_survives)
{
	CUdeviceptr p, va;
	handle_t handle;
	int way;

	tenant_context();
	way = open_way(false);
	handle = take_memory(way);
	/* An import adds nothing. */
	check(left_bytes() == 20 * MIB);
	check_result(cuMemAddressReserve(&va, 60 * MIB, 0, 0, 0), CUDA_SUCCESS);
	check_result(cuMemMap(va, 60 * MIB, 0, handle, 0), CUDA_SUCCESS);
	check_result(cuMemRelease(handle), CUDA_SUCCESS);
	answer(way);
	tenant_meet(); /* until the giver has gone */
	check(truth_requested() == 60 * MIB);
	/* What only the giver had is free; what is still mapped here is not. */
	check_result(cuMemAlloc(&p, 41 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAlloc(&p, 40 * MIB), CUDA_SUCCESS);
	check_result(cuMemFree(p), CUDA_SUCCESS);
	check_result(cuMemUnmap(va, 60 * MIB), CUDA_SUCCESS);
	check(truth_requested() == 0);
	check_result(cuMemAlloc(&p, 100 * MIB), CUDA_SUCCESS);
}

static void survives(const char *how)
{
	pid_t giver, taker;

	giver = tenant_start("giver_that_dies", QUOTA, how, NULL);
	CU_ASSERT_FATAL(both_meet(giver, "taker_that_survives", &taker));
	CU_ASSERT(tenant_met(taker));
	CU_ASSERT_EQUAL(tenant_ends(giver), strcmp(how, "DIE") == 0);
	tenant_go(taker);
	CU_ASSERT(tenant_ends(taker));
	CU_ASSERT(tenant_device_requested_peak() <= 100 * MIB);
}

static void what_a_sibling_holds_stays_charged_after_its_exporter_ends(void)
{
	survives("DIE"); /* unset */
}

static void what_a_sibling_holds_stays_charged_after_its_exporter_is_killed(void)
{
	survives("DIE=1");
}

TENANT_BODY(own_import)
{
	CUdeviceptr p;
	handle_t handle, again = 0;
	int fd = -1;

	tenant_context();
	check_result(create(60 * MIB, &handle), CUDA_SUCCESS);
	check_result(cuMemExportToShareableHandle(
			     &fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
		     CUDA_SUCCESS);
	for (int i = 0; i < 10; i++) {
		check_result(cuMemImportFromShareableHandle(
				     &again, (void *)(intptr_t)fd,
				     CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
			     CUDA_SUCCESS);
		check(left_bytes() == 40 * MIB);
		check_result(cuMemRelease(again), CUDA_SUCCESS);
	}
	check(left_bytes() == 40 * MIB);
	check_result(cuMemAlloc(&p, 41 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	/* Failed exports and imports change nothing. */
	check_result(cuMemExportToShareableHandle(
			     &fd, 12345, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
		     CUDA_ERROR_INVALID_VALUE);
	check_result(
		cuMemImportFromShareableHandle(&again, (void *)(intptr_t)9999,
					       CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
		CUDA_ERROR_INVALID_VALUE);
	check(left_bytes() == 40 * MIB);
}

static void importing_ones_own_memory_adds_nothing(void)
{
	CU_ASSERT(tenant_passes("own_import", QUOTA, NULL));
}

/* ---- cuIpc ---- */

TENANT_BODY(ipc_giver)
{
	CUipcMemHandle handle;
	CUdeviceptr p, q;
	int way;

	tenant_context();
	way = open_way(true);
	check_result(cuMemAlloc(&p, 60 * MIB), CUDA_SUCCESS);
	check_result(cuIpcGetMemHandle(&handle, p), CUDA_SUCCESS);
	check_result(cuIpcGetMemHandle(&handle, p), CUDA_SUCCESS);
	give(way, &handle, sizeof(handle), -1);
	await(way);
	check_result(cuMemFree(p), CUDA_SUCCESS);
	/* Freed here, opened there. */
	check(left_bytes() == 40 * MIB);
	check_result(cuMemAlloc(&q, 41 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	answer(way);
	await(way); /* closed once of twice */
	check_result(cuMemAlloc(&q, 41 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	answer(way);
	await(way); /* closed */
	check_result(cuMemAlloc(&q, 100 * MIB), CUDA_SUCCESS);
	check_result(cuMemFree(q), CUDA_SUCCESS);
	/* Exported, and opened by nobody: gone at once. */
	check_result(cuMemAlloc(&p, 60 * MIB), CUDA_SUCCESS);
	check_result(cuIpcGetMemHandle(&handle, p), CUDA_SUCCESS);
	check_result(cuMemFree(p), CUDA_SUCCESS);
	check(left_bytes() == 100 * MIB);
}

TENANT_BODY(ipc_taker)
{
	CUipcMemHandle handle;
	CUdeviceptr p, again;
	int way;

	tenant_context();
	way = open_way(false);
	take(way, &handle, sizeof(handle));
	check_result(cuIpcOpenMemHandle(&p, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS),
		     CUDA_SUCCESS);
	check_result(
		cuIpcOpenMemHandle(&again, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS),
		CUDA_SUCCESS);
	check(again == p && left_bytes() == 40 * MIB);
	answer(way);
	await(way);
	check_result(cuIpcCloseMemHandle(p), CUDA_SUCCESS);
	answer(way);
	await(way);
	check_result(cuIpcCloseMemHandle(p), CUDA_SUCCESS);
	check_result(cuIpcCloseMemHandle(p), CUDA_ERROR_INVALID_VALUE);
	answer(way);
	/* So that this process' end is not what gives it back. */
	tenant_meet();
}

static void freed_memory_that_a_sibling_has_open_stays_charged(void)
{
	pid_t giver = tenant_start("ipc_giver", QUOTA, NULL), taker;

	CU_ASSERT_FATAL(both_meet(giver, "ipc_taker", &taker));
	CU_ASSERT(tenant_ends(giver));
	CU_ASSERT(tenant_met(taker));
	tenant_go(taker);
	CU_ASSERT(tenant_ends(taker));
	CU_ASSERT(tenant_device_requested_peak() <= 100 * MIB);
}

/* ---- pools ---- */

TENANT_BODY(pool_giver)
{
	const CUmemPoolProps props = {
		.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
		.handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
		.location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 },
	};
	CUmemPoolPtrExportData data;
	CUmemoryPool pool;
	CUdeviceptr p, q;
	int fd = -1, way;

	tenant_context();
	way = open_way(true);
	check_result(cuMemPoolCreate(&pool, &props), CUDA_SUCCESS);
	check_result(cuMemPoolExportToShareableHandle(
			     &fd, pool, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
		     CUDA_SUCCESS);
	check_result(cuMemAllocFromPoolAsync(&p, 64 * MIB, pool, NULL), CUDA_SUCCESS);
	check_result(cuStreamSynchronize(NULL), CUDA_SUCCESS);
	check_result(cuMemPoolExportPointer(&data, p), CUDA_SUCCESS);
	give(way, &data, sizeof(data), fd);
	await(way);
	check(left_bytes() == 36 * MIB);
	check_result(cuMemFreeAsync(p, NULL), CUDA_SUCCESS);
	check_result(cuMemPoolDestroy(pool), CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	/* The taker has it still, or may have. */
	check(left_bytes() == 36 * MIB);
	check_result(cuMemAllocAsync(&q, 64 * MIB, NULL), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAllocAsync(&q, 32 * MIB, NULL), CUDA_SUCCESS);
	answer(way);
	tenant_meet();
}

TENANT_BODY(pool_taker)
{
	CUmemPoolPtrExportData data;
	CUmemoryPool pool;
	CUdeviceptr p, again, q;
	int way, fd;

	tenant_context();
	way = open_way(false);
	fd = take(way, &data, sizeof(data));
	check_result(cuMemPoolImportFromShareableHandle(
			     &pool, (void *)(intptr_t)fd,
			     CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
		     CUDA_SUCCESS);
	check_result(cuMemPoolImportPointer(&p, pool, &data), CUDA_SUCCESS);
	check_result(cuMemPoolImportPointer(&again, pool, &data), CUDA_SUCCESS);
	check(p == again && left_bytes() == 36 * MIB);
	/* Nothing can be allocated from it, and trying leaves no charge. */
	check(cuMemAllocFromPoolAsync(&q, MIB, pool, NULL) != CUDA_SUCCESS);
	check(left_bytes() == 36 * MIB);
	answer(way);
	await(way);
	check_result(cuMemFreeAsync(p, NULL), CUDA_SUCCESS);
	check_result(cuMemFree(p), CUDA_SUCCESS);
	check_result(cuMemFree(p), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMemPoolDestroy(pool), CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	tenant_meet();
	/* The giver has gone, and nobody has imports. */
	check_result(cuMemAlloc(&q, 100 * MIB), CUDA_SUCCESS);
}

static void exported_pools_stay_charged_and_imported_ones_cost_nothing(void)
{
	pid_t giver = tenant_start("pool_giver", QUOTA, NULL), taker;

	CU_ASSERT_FATAL(both_meet(giver, "pool_taker", &taker));
	CU_ASSERT(tenant_met(giver) && tenant_met(taker));
	tenant_go(giver);
	CU_ASSERT(tenant_ends(giver));
	tenant_go(taker);
	CU_ASSERT(tenant_ends(taker));
	CU_ASSERT(tenant_device_requested_peak() <= 100 * MIB);
}

const struct unit_suite unit_suite = {
	.name = "shared memory under a quota",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(exporting_and_releasing_does_not_walk_out_of_the_quota),
		UNIT_TEST(without_the_shim_exporting_walks_out),
		UNIT_TEST(what_a_sibling_holds_stays_charged_after_its_exporter_ends),
		UNIT_TEST(what_a_sibling_holds_stays_charged_after_its_exporter_is_killed),
		UNIT_TEST(importing_ones_own_memory_adds_nothing),
		UNIT_TEST(freed_memory_that_a_sibling_has_open_stays_charged),
		UNIT_TEST(exported_pools_stay_charged_and_imported_ones_cost_nothing),
	},
};
