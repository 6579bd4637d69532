/*
 * test_unnoticed.c - what hooks do besides the call they stand for is not noticed: while
 * another thread captures, after a fault of the device, when the device is lost, and in errno.
 *
 * The same body runs bare and under the shim, within its quota, and says what each call
 * returned and what followed: both have to say the same.
 */
#include "cunit_main.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common_tenant.h"
#include "simgpu.h"

#define MIB ((uint64_t)1 << 20)

CUresult CUDAAPI cuCtxCreate_v2(CUcontext *context, unsigned flags, CUdevice device);

/* ---- every kind of thing, and every kind of call ---- */

static struct {
	CUcontext context, second;
	CUdeviceptr plain, piece, place;
	CUarray array;
	CUmipmappedArray mipmap;
	CUmemGenericAllocationHandle handle;
	CUmemoryPool pool;
	CUstream stream;
	CUevent event;
	CUgraph graph, empty;
	CUgraphExec exec, plain_exec;
} have;

static const CUmemPoolProps pool_props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
					   .location = { CU_MEM_LOCATION_TYPE_DEVICE,
							 0 } };
static const CUmemAllocationProp handle_props = {
	.type = CU_MEM_ALLOCATION_TYPE_PINNED,
	.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
	.location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 }
};
static const CUDA_ARRAY_DESCRIPTOR flat = { 64, 64, CU_AD_FORMAT_FLOAT, 1 };
static const CUDA_ARRAY3D_DESCRIPTOR deep = { 64, 64, 4, CU_AD_FORMAT_FLOAT, 1, 0 };

static void make_all(void)
{
	CUDA_MEM_ALLOC_NODE_PARAMS alloc = { .poolProps = pool_props,
					     .bytesize = 1 * MIB };
	cuuint64_t all = UINT64_MAX;
	CUgraphNode node, end;

	tenant_context();
	check_result(cuCtxGetCurrent(&have.context), CUDA_SUCCESS);
	check_result(cuCtxCreate_v2(&have.second, 0, 0), CUDA_SUCCESS);
	check_result(cuCtxSetCurrent(have.context), CUDA_SUCCESS);
	check_result(cuStreamCreate(&have.stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
	check_result(cuEventCreate(&have.event, 0), CUDA_SUCCESS);
	check_result(cuEventRecord(have.event, have.stream), CUDA_SUCCESS);
	check_result(cuMemAlloc(&have.plain, 1 * MIB), CUDA_SUCCESS);
	check_result(cuArrayCreate(&have.array, &flat), CUDA_SUCCESS);
	check_result(cuMipmappedArrayCreate(&have.mipmap, &deep, 2), CUDA_SUCCESS);
	check_result(cuMemCreate(&have.handle, 2 * MIB, &handle_props, 0), CUDA_SUCCESS);
	check_result(cuMemAddressReserve(&have.place, 4 * MIB, 0, 0, 0), CUDA_SUCCESS);
	check_result(cuMemMap(have.place, 2 * MIB, 0, have.handle, 0), CUDA_SUCCESS);
	check_result(cuMemPoolCreate(&have.pool, &pool_props), CUDA_SUCCESS);
	check_result(
		cuMemPoolSetAttribute(have.pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &all),
		CUDA_SUCCESS);
	check_result(
		cuMemAllocFromPoolAsync(&have.piece, 3 * MIB, have.pool, have.stream),
		CUDA_SUCCESS);
	check_result(cuGraphCreate(&have.graph, 0), CUDA_SUCCESS);
	check_result(cuGraphAddMemAllocNode(&node, have.graph, NULL, 0, &alloc),
		     CUDA_SUCCESS);
	check_result(cuGraphAddMemFreeNode(&end, have.graph, &node, 1, alloc.dptr),
		     CUDA_SUCCESS);
	check_result(cuGraphInstantiate(&have.exec, have.graph, 0), CUDA_SUCCESS);
	check_result(cuGraphCreate(&have.empty, 0), CUDA_SUCCESS);
	check_result(cuGraphInstantiate(&have.plain_exec, have.empty, 0), CUDA_SUCCESS);
}

/* What has to be looked at after each call. */
static void (*look_after)(void);

static void say(const char *call, CUresult result, int error)
{
	fprintf(stderr, "%s: %d, errno %s", call, (int)result,
		error == EXDEV ? "kept" : "changed");
	if (look_after)
		look_after();
	fputc('\n', stderr);
}

#define SAY(call)                        \
	do {                             \
		CUresult said;           \
                                         \
		errno = EXDEV;           \
		said = call;             \
		say(#call, said, errno); \
	} while (0)

static void call_all(void)
{
	CUmemGenericAllocationHandle handle = 0;
	CUmipmappedArray mipmap = NULL;
	CUarray array = NULL;
	CUdeviceptr p = 0;
	CUstream stream = NULL;
	CUgraphExec exec = NULL;
	CUmemoryPool pool = NULL;
	CUcontext context = NULL;
	CUipcMemHandle ipc;
	size_t a, b;
	int fd = -1;

	SAY(cuMemGetInfo(NULL, &b));
	SAY(cuDeviceTotalMem(&a, 0));
	SAY(cuMemAlloc(&p, 4096));
	SAY(cuMemFree(p));
	SAY(cuMemAllocPitch(&p, &a, 100, 100, 4));
	SAY(cuMemFree(p));
	SAY(cuMemAllocManaged(&p, 4096, CU_MEM_ATTACH_GLOBAL));
	SAY(cuMemFree(p));
	SAY(cuMemFree(12345));
	SAY(cuArrayCreate(&array, &flat));
	SAY(cuArrayDestroy(array));
	SAY(cuArray3DCreate(&array, &deep));
	SAY(cuArrayDestroy(array));
	SAY(cuMipmappedArrayCreate(&mipmap, &deep, 3));
	SAY(cuMipmappedArrayDestroy(mipmap));
	SAY(cuMemCreate(&handle, 2 * MIB, &handle_props, 0));
	SAY(cuMemMap(have.place + 2 * MIB, 2 * MIB, 0, handle, 0));
	SAY(cuMemRelease(handle));
	SAY(cuMemRetainAllocationHandle(&handle, (void *)(have.place + 2 * MIB)));
	SAY(cuMemRelease(handle));
	SAY(cuMemUnmap(have.place + 2 * MIB, 2 * MIB));
	SAY(cuMemExportToShareableHandle(&fd, have.handle,
					 CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
	SAY(cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)fd,
					   CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
	SAY(cuMemRelease(handle));
	SAY(cuIpcGetMemHandle(&ipc, have.plain));
	SAY(cuStreamQuery(have.stream));
	SAY(cuMemAllocAsync(&p, 4096, have.stream));
	SAY(cuMemFreeAsync(p, have.stream));
	SAY(cuMemAllocFromPoolAsync(&p, 40 * MIB, have.pool, have.stream));
	SAY(cuMemFreeAsync(p, have.stream));
	SAY(cuMemAllocAsync(&p, 4096, NULL));
	SAY(cuMemFreeAsync(p, NULL));
	SAY(cuMemFreeAsync(12345, have.stream));
	SAY(cuMemPoolTrimTo(have.pool, 0));
	SAY(cuMemPoolCreate(&pool, &pool_props));
	SAY(cuMemPoolDestroy(pool));
	SAY(cuStreamSynchronize(have.stream));
	SAY(cuEventQuery(have.event));
	SAY(cuEventSynchronize(have.event));
	SAY(cuCtxSynchronize());
	SAY(cuGraphInstantiate(&exec, have.graph, 0));
	SAY(cuGraphLaunch(exec, have.stream));
	SAY(cuGraphExecDestroy(exec));
	SAY(cuGraphLaunch(have.exec, have.stream));
	SAY(cuGraphUpload(have.exec, have.stream));
	SAY(cuGraphLaunch(have.plain_exec, have.stream));
	SAY(cuDeviceGraphMemTrim(0));
	SAY(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	SAY(cuStreamDestroy(stream));
	SAY(cuCtxCreate_v2(&context, 0, 0));
	SAY(cuCtxDestroy(context));
	SAY(cuCtxSetCurrent(have.context));
	SAY(cuDevicePrimaryCtxRetain(&context, 0));
	SAY(cuDevicePrimaryCtxRelease(0));
	SAY(cuMemFreeAsync(have.piece, have.stream));
	SAY(cuMemPoolDestroy(have.pool));
	SAY(cuArrayDestroy(have.array));
	SAY(cuMipmappedArrayDestroy(have.mipmap));
	SAY(cuMemUnmap(have.place, 2 * MIB));
	SAY(cuMemRelease(have.handle));
	SAY(cuMemFree(have.plain));
	SAY(cuGraphExecDestroy(have.exec));
	SAY(cuCtxDestroy(have.second));
	look_after = NULL; /* the stream of a capture goes with the context */
	SAY(cuDevicePrimaryCtxReset(0));
}

/* ---- the same, bare and under the shim ---- */

enum { TEXT_MAX = 65536 };

/* Prints the first line in which they differ. */
static bool says_the_same(const char *body, const char *quota, const char *variable)
{
	static char bare[TEXT_MAX];
	const char *a = bare, *b;
	bool ended = tenant_passes_bare(body, variable, NULL);

	snprintf(bare, sizeof(bare), "%s", tenant_stderr());
	tenant_forget();
	ended &= tenant_passes(body, quota, variable, NULL);
	b = tenant_stderr();
	CU_ASSERT(strlen(bare) > 1000);
	if (strcmp(bare, b) == 0)
		return ended;
	while (*a && *b) {
		size_t line = strcspn(a, "\n"), other = strcspn(b, "\n");

		if (line != other || strncmp(a, b, line) != 0)
			printf("bare: %.*s\nshim: %.*s\n", (int)line, a, (int)other, b);
		a += line + (a[line] == '\n');
		b += other + (b[other] == '\n');
	}
	return false;
}

#define WIDE "GPUSHIM_MEMORY=1GiB"

/* ---- while another thread captures ---- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t turn;
	int wanted, done; /* captures begun and ended */
	CUstream stream;
} capture = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, NULL };

static void *capturer(void *data)
{
	CUgraph graph;

	(void)data;
	check_result(cuCtxSetCurrent(have.context), CUDA_SUCCESS);
	pthread_mutex_lock(&capture.lock);
	for (int i = 1; capture.wanted >= 0; i++) {
		cuStreamBeginCapture(capture.stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
		capture.done = i;
		pthread_cond_broadcast(&capture.turn);
		while (capture.wanted == i)
			pthread_cond_wait(&capture.turn, &capture.lock);
		if (cuStreamEndCapture(capture.stream, &graph) == CUDA_SUCCESS)
			cuGraphDestroy(graph);
	}
	pthread_mutex_unlock(&capture.lock);
	return NULL;
}

static void capture_anew(int number)
{
	pthread_mutex_lock(&capture.lock);
	capture.wanted = number;
	pthread_cond_broadcast(&capture.turn);
	while (number > 0 && capture.done != number)
		pthread_cond_wait(&capture.turn, &capture.lock);
	pthread_mutex_unlock(&capture.lock);
}

static void is_it_broken(void)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;

	cuStreamIsCapturing(capture.stream, &status);
	fprintf(stderr, ", capture %s",
		status == CU_STREAM_CAPTURE_STATUS_ACTIVE ? "goes on" : "is broken");
	if (status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		capture_anew(capture.done + 1);
}

TENANT_BODY(while_another_captures)
{
	pthread_t thread;

	make_all();
	check_result(cuStreamCreate(&capture.stream, CU_STREAM_NON_BLOCKING),
		     CUDA_SUCCESS);
	capture.wanted = 1;
	check(pthread_create(&thread, NULL, capturer, NULL) == 0);
	capture_anew(1);
	look_after = is_it_broken;
	call_all();
	capture_anew(-1);
	pthread_join(thread, NULL);
}

static void hooks_break_no_capture_that_their_call_does_not(void)
{
	CU_ASSERT(says_the_same("while_another_captures", WIDE, "SIMGPU_FAULTS"));
}

/* ---- when all fails ---- */

TENANT_BODY(after_a_fault)
{
	make_all();
	check_result(cuMemsetD8(have.plain, 0, 16), CUDA_ERROR_ILLEGAL_ADDRESS);
	call_all();
}

static void after_a_fault_every_call_returns_the_drivers_code(void)
{
	CU_ASSERT(says_the_same("after_a_fault", WIDE,
				"SIMGPU_FAULTS=sticky:cuMemsetD8@1=700"));
}

TENANT_BODY(without_a_device)
{
	struct simgpu_monitor *monitor;
	const char *why = "";

	make_all();
	monitor = simgpu_open(NULL, 0, &why);
	if (!check(monitor != NULL))
		return;
	check(simgpu_lose_device(monitor, 0) == 0);
	simgpu_close(monitor);
	call_all();
}

static void when_the_device_is_lost_every_call_returns_the_drivers_code(void)
{
	CU_ASSERT(says_the_same("without_a_device", WIDE, "SIMGPU_FAULTS"));
}

TENANT_BODY(before_cuinit)
{
	call_all();
}

static void before_cuinit_every_call_returns_the_drivers_code(void)
{
	CU_ASSERT(says_the_same("before_cuinit", WIDE, "SIMGPU_FAULTS"));
}

/* ---- errno ---- */

TENANT_BODY(as_usual)
{
	make_all();
	call_all();
}

static void hooks_leave_errno_as_the_driver_does(void)
{
	CU_ASSERT(says_the_same("as_usual", WIDE, "SIMGPU_ZERO_COST=1"));
}

static void calls_return_what_they_return_bare(void)
{
	CU_ASSERT(says_the_same("as_usual", WIDE, "SIMGPU_FAULTS"));
}

const struct unit_suite unit_suite = {
	.name = "hooks unnoticed",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(hooks_break_no_capture_that_their_call_does_not),
		UNIT_TEST(after_a_fault_every_call_returns_the_drivers_code),
		UNIT_TEST(when_the_device_is_lost_every_call_returns_the_drivers_code),
		UNIT_TEST(before_cuinit_every_call_returns_the_drivers_code),
		UNIT_TEST(hooks_leave_errno_as_the_driver_does),
		UNIT_TEST(calls_return_what_they_return_bare),
	},
};
