/*
 * Memory pools of one process used by another ("Stream Ordered Memory Allocator" in the CUDA
 * Driver API manual, "Interprocess Communication Support" in the Programming Guide). The test
 * itself uses no CUDA: it watches two workers, of which one exports and one imports.
 */
#include "memory_books.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "common_worker.h"

#define GRANULE MIB(32)
#define SMALL 1000u
#define LARGE MIB(3)

#define REQUIRE(condition) \
	worker_check((condition) ? 0 : 1, 0, #condition, __FILE__, __LINE__)
#define REFUSED(call) WORKER_IS(call, CUDA_ERROR_INVALID_VALUE)

static struct simgpu_monitor *monitor;
static struct worker exporter, importer;
static int post[2]; /* the exporter's end, the importer's */

static const CUmemPoolProps shareable = {
	.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
	.handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
	.location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 },
};

static int begin(void)
{
	setenv("SIMGPU_MEMORY", "1GiB", 1);
	setenv("SIMGPU_POOL_GRANULE", "32MiB", 1);
	setenv("SIMGPU_DEVICES", "2", 1);
	monitor = simgpu_open(NULL, 1, NULL);
	return monitor == NULL;
}

static int end(void)
{
	simgpu_close(monitor);
	return 0;
}

/* ---- the test's side ---- */

static void start(void (*exports)(struct worker *), void (*imports)(struct worker *))
{
	CU_ASSERT_EQUAL(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, post), 0);
	exporter = worker_start(exports);
	importer = worker_start(imports);
	close(post[0]);
	close(post[1]);
	worker_await(&exporter);
	worker_await(&importer);
}

/* Lets a worker go on to its next pause. */
static void step(struct worker *worker)
{
	worker_go(worker);
	worker_await(worker);
}

static void finish(struct worker *worker)
{
	worker_go(worker);
	CU_ASSERT_EQUAL(worker_end(worker), 0);
}

/* Bytes that a worker's pools hold, by the device's books. */
static uint64_t pool_bytes(const struct worker *worker)
{
	struct simgpu_truth *truth = simgpu_truth(monitor);
	const struct simgpu_client *found = truth ? simgpu_find(truth, worker->pid)
						  : NULL;
	uint64_t bytes = found ? found->memory[0].pool : UINT64_MAX;

	CU_ASSERT_PTR_NOT_NULL(found);
	simgpu_free(truth);
	return bytes;
}

/* Bytes that anybody holds of the device. */
static uint64_t device_bytes(void)
{
	struct simgpu_truth *truth = simgpu_truth(monitor);
	uint64_t bytes = truth ? truth->devices[0].requested_bytes : UINT64_MAX;

	simgpu_free(truth);
	return bytes;
}

/* ---- what workers share ---- */

struct letter {
	CUmemPoolPtrExportData small, large;
	int fd; /* of the pool; it travels beside the rest */
};

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static void send_letter(const struct letter *letter)
{
	union control control = { 0 };
	struct iovec iov = { (void *)letter, sizeof(*letter) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &letter->fd, sizeof(int));
	REQUIRE(sendmsg(post[0], &msg, 0) == (ssize_t)sizeof(*letter));
}

static struct letter receive_letter(void)
{
	struct letter letter;
	union control control = { 0 };
	struct iovec iov = { &letter, sizeof(letter) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	const struct cmsghdr *c;

	close(post[0]); /* so that the end of the exporter is the end of the post */
	REQUIRE(recvmsg(post[1], &msg, 0) == (ssize_t)sizeof(letter));
	c = CMSG_FIRSTHDR(&msg);
	REQUIRE(c != NULL);
	if (c != NULL)
		memcpy(&letter.fd, CMSG_DATA(c), sizeof(int));
	return letter;
}

static void fill(CUdeviceptr ptr, size_t bytes, unsigned seed)
{
	unsigned char *data = malloc(bytes);

	pattern(data, bytes, seed);
	WORKER_OK(cuMemcpyHtoD(ptr, data, bytes));
	free(data);
}

static bool holds(CUdeviceptr ptr, size_t bytes, unsigned seed)
{
	unsigned char *data = malloc(bytes);
	bool same;

	WORKER_OK(cuMemcpyDtoH(data, ptr, bytes));
	same = is_pattern(data, bytes, seed);
	free(data);
	return same;
}

static uint64_t attribute(CUmemoryPool pool, CUmemPool_attribute name)
{
	cuuint64_t value = UINT64_MAX;

	WORKER_OK(cuMemPoolGetAttribute(pool, name, &value));
	return value;
}

/* A pool with two allocations that hold patterns, sent to the other process. */
struct shared {
	CUmemoryPool pool;
	CUstream stream;
	CUdeviceptr small, large;
};

static struct shared share_pool(void)
{
	struct shared s;
	struct letter letter;

	worker_context(0);
	WORKER_OK(cuStreamCreate(&s.stream, CU_STREAM_NON_BLOCKING));
	WORKER_OK(cuMemPoolCreate(&s.pool, &shareable));
	WORKER_OK(cuMemAllocFromPoolAsync(&s.small, SMALL, s.pool, s.stream));
	WORKER_OK(cuMemAllocFromPoolAsync(&s.large, LARGE, s.pool, s.stream));
	WORKER_OK(cuStreamSynchronize(s.stream));
	fill(s.small, SMALL, 1);
	fill(s.large, LARGE, 2);
	WORKER_OK(cuMemPoolExportToShareableHandle(
		&letter.fd, s.pool, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
	WORKER_OK(cuMemPoolExportPointer(&letter.small, s.small));
	WORKER_OK(cuMemPoolExportPointer(&letter.large, s.large));
	send_letter(&letter);
	close(letter.fd);
	return s;
}

static CUmemoryPool import_pool(int fd)
{
	CUmemoryPool pool;

	WORKER_OK(cuMemPoolImportFromShareableHandle(
		&pool, (void *)(intptr_t)fd, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
		0));
	return pool;
}

/* The other side of share_pool(). */
static struct shared receive_pool(struct letter *letter)
{
	struct shared s;

	*letter = receive_letter();
	worker_context(0);
	WORKER_OK(cuStreamCreate(&s.stream, CU_STREAM_NON_BLOCKING));
	s.pool = import_pool(letter->fd);
	close(letter->fd);
	WORKER_OK(cuMemPoolImportPointer(&s.small, s.pool, &letter->small));
	WORKER_OK(cuMemPoolImportPointer(&s.large, s.pool, &letter->large));
	return s;
}

static void export_and_wait(struct worker *self)
{
	share_pool();
	worker_pause(self);
}

/* ---- bytes ---- */

static void export_and_look(struct worker *self)
{
	struct shared s = share_pool();

	worker_pause(self);
	REQUIRE(holds(s.small, SMALL, 3));
	REQUIRE(holds(s.large, LARGE, 4));
	WORKER_OK(cuMemFreeAsync(s.small, s.stream));
	WORKER_OK(cuMemFreeAsync(s.large, s.stream));
	WORKER_OK(cuMemPoolDestroy(s.pool));
	WORKER_OK(cuStreamSynchronize(s.stream));
	worker_pause(self);
}

static void import_and_change(struct worker *self)
{
	struct letter letter;
	struct shared s = receive_pool(&letter);

	REQUIRE(holds(s.small, SMALL, 1));
	REQUIRE(holds(s.large, LARGE, 2));
	fill(s.small, SMALL, 3);
	fill(s.large, LARGE, 4);
	worker_pause(self);
	WORKER_OK(cuMemFree(s.small));
	REFUSED(cuMemFree(s.small));
	REFUSED(cuMemsetD8(s.small, 0, 1));
	WORKER_OK(cuMemFreeAsync(s.large, s.stream));
	REFUSED(cuMemFreeAsync(s.large, s.stream));
	REFUSED(cuMemsetD8(s.large, 0, 1));
	WORKER_OK(cuMemPoolDestroy(s.pool));
	WORKER_OK(cuStreamSynchronize(s.stream));
	worker_pause(self);
}

static void both_processes_see_the_same_bytes_which_count_once(void)
{
	uint64_t before = device_bytes();

	start(export_and_look, import_and_change);
	CU_ASSERT_EQUAL(pool_bytes(&exporter), GRANULE);
	CU_ASSERT_EQUAL(pool_bytes(&importer), 0);
	CU_ASSERT_EQUAL(device_bytes() - before, GRANULE);
	step(&importer);
	CU_ASSERT_EQUAL(pool_bytes(&exporter), GRANULE);
	step(&exporter);
	CU_ASSERT_EQUAL(pool_bytes(&exporter), 0);
	CU_ASSERT_EQUAL(device_bytes(), before);
	finish(&importer);
	finish(&exporter);
}

static void import_and_outlive(struct worker *self)
{
	struct letter letter;
	struct shared s = receive_pool(&letter);

	worker_pause(self);
	REQUIRE(holds(s.large, LARGE, 2));
	REQUIRE(holds(s.small, SMALL, 1));
	WORKER_OK(cuMemFree(s.small));
	WORKER_OK(cuMemFreeAsync(s.large, s.stream));
	WORKER_OK(cuMemPoolDestroy(s.pool));
	WORKER_OK(cuStreamSynchronize(s.stream));
	worker_pause(self);
}

static void an_importer_inherits_what_a_dead_exporter_leaves(void)
{
	uint64_t before = device_bytes();

	start(export_and_wait, import_and_outlive);
	CU_ASSERT_EQUAL(pool_bytes(&importer), 0);
	worker_kill(&exporter);
	simgpu_free(truth_when_gone(monitor, exporter.pid));
	CU_ASSERT_EQUAL(pool_bytes(&importer), GRANULE);
	CU_ASSERT_EQUAL(device_bytes() - before, GRANULE);
	step(&importer);
	CU_ASSERT_EQUAL(pool_bytes(&importer), 0);
	CU_ASSERT_EQUAL(device_bytes(), before);
	finish(&importer);
}

static void export_and_go(struct worker *self)
{
	struct shared s = share_pool();

	worker_pause(self);
	WORKER_OK(cuMemFree(s.small));
	WORKER_OK(cuMemFree(s.large));
	WORKER_OK(cuMemPoolDestroy(s.pool));
	worker_pause(self);
}

static void import_and_free_late(struct worker *self)
{
	struct letter letter;
	struct shared s = receive_pool(&letter);
	struct gate gate = gate_close(s.stream);

	WORKER_OK(cuMemsetD8Async(s.large, 9, LARGE, s.stream));
	WORKER_OK(cuMemFreeAsync(s.small, s.stream));
	WORKER_OK(cuMemFreeAsync(s.large, s.stream));
	WORKER_OK(cuMemPoolDestroy(s.pool));
	worker_pause(self);
	gate_open(&gate);
	WORKER_OK(cuStreamSynchronize(s.stream));
	worker_pause(self);
	gate_free(&gate);
}

static void a_mapping_stays_until_the_importers_free_has_run(void)
{
	uint64_t before = device_bytes();

	start(export_and_go, import_and_free_late);
	step(&exporter); /* too early for the importer, whose bytes stay all the same */
	CU_ASSERT_EQUAL(pool_bytes(&exporter), GRANULE);
	step(&importer);
	CU_ASSERT_EQUAL(pool_bytes(&exporter), 0);
	CU_ASSERT_EQUAL(device_bytes(), before);
	finish(&importer);
	finish(&exporter);
}

static void import_twice(struct worker *self)
{
	CUdeviceptr again, more;
	struct letter letter;
	struct shared s = receive_pool(&letter);

	REQUIRE(attribute(s.pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT) == LARGE + 1024);
	REQUIRE(attribute(s.pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT) == GRANULE);
	WORKER_OK(cuMemPoolImportPointer(&again, s.pool, &letter.large));
	WORKER_OK(cuMemPoolImportPointer(&more, s.pool, &letter.large));
	REQUIRE(again == s.large && more == s.large);
	REQUIRE(attribute(s.pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT) == LARGE + 1024);
	WORKER_OK(cuMemFreeAsync(again, s.stream));
	WORKER_OK(cuMemFree(more));
	REQUIRE(holds(s.large, LARGE, 2));
	WORKER_OK(cuMemFreeAsync(s.large, s.stream));
	REFUSED(cuMemFreeAsync(s.large, s.stream));
	REQUIRE(attribute(s.pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT) == 1024);
	WORKER_OK(cuMemPoolImportPointer(&again, s.pool, &letter.large));
	REQUIRE(holds(again, LARGE, 2));
	worker_pause(self);
}

static void an_allocation_imported_twice_goes_with_its_last_free(void)
{
	start(export_and_wait, import_twice);
	CU_ASSERT_EQUAL(pool_bytes(&importer), 0);
	finish(&importer);
	finish(&exporter);
}

static void share_and_trim(struct worker *self)
{
	struct shared s = share_pool();

	WORKER_OK(cuMemFreeAsync(s.small, s.stream));
	WORKER_OK(cuMemFreeAsync(s.large, s.stream));
	WORKER_OK(cuStreamSynchronize(s.stream));
	WORKER_OK(cuMemPoolTrimTo(s.pool, 0));
	worker_pause(self);
	WORKER_OK(cuMemPoolDestroy(s.pool));
	worker_pause(self);
}

static void ignore_letters(struct worker *self)
{
	receive_letter();
	worker_context(0);
	worker_pause(self);
}

static void a_pool_that_may_be_shared_releases_nothing_before_it_is_destroyed(void)
{
	start(share_and_trim, ignore_letters);
	CU_ASSERT_EQUAL(pool_bytes(&exporter), GRANULE);
	step(&exporter);
	CU_ASSERT_EQUAL(pool_bytes(&exporter), 0);
	finish(&exporter);
	finish(&importer);
}

/* ---- what is refused ---- */

static void misuse_imported_pool(struct worker *self)
{
	CUmemAccessDesc desc = { { CU_MEM_LOCATION_TYPE_DEVICE, 0 },
				 CU_MEM_ACCESS_FLAGS_PROT_NONE };
	CUmemPoolPtrExportData data;
	CUmemAccess_flags access;
	struct letter letter;
	struct shared s = receive_pool(&letter);
	CUmemoryPool current;
	CUdeviceptr ptr;
	int fd;

	REFUSED(cuMemAllocFromPoolAsync(&ptr, 512, s.pool, s.stream));
	WORKER_OK(cuStreamBeginCapture(s.stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	REFUSED(cuMemAllocFromPoolAsync(&ptr, 512, s.pool, s.stream));
	WORKER_OK(cuStreamEndCapture(s.stream, &(CUgraph){ NULL }));
	REFUSED(cuDeviceSetMemPool(0, s.pool));
	WORKER_OK(cuDeviceGetMemPool(&current, 0));
	REQUIRE(current != s.pool);
	REFUSED(cuMemPoolExportToShareableHandle(
		&fd, s.pool, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
	REFUSED(cuMemPoolExportPointer(&data, s.large));
	REFUSED(cuMemFree(s.large + 512));
	WORKER_OK(cuMemPoolTrimTo(s.pool, 0));
	REQUIRE(holds(s.large, LARGE, 2));
	/* Only the device that has the memory may use it until others are let in. */
	WORKER_OK(cuMemPoolGetAccess(&access, s.pool, &desc.location));
	REQUIRE(access == CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
	REFUSED(cuMemPoolSetAccess(s.pool, &desc, 1));
	desc.location.id = 1;
	WORKER_OK(cuMemPoolGetAccess(&access, s.pool, &desc.location));
	REQUIRE(access == CU_MEM_ACCESS_FLAGS_PROT_NONE);
	desc.flags = CU_MEM_ACCESS_FLAGS_PROT_READ;
	WORKER_OK(cuMemPoolSetAccess(s.pool, &desc, 1));
	WORKER_OK(cuMemPoolGetAccess(&access, s.pool, &desc.location));
	REQUIRE(access == CU_MEM_ACCESS_FLAGS_PROT_READ);
	worker_pause(self);
}

static void an_imported_pool_gives_no_memory_and_cannot_be_exported(void)
{
	start(export_and_wait, misuse_imported_pool);
	CU_ASSERT_EQUAL(pool_bytes(&importer), 0);
	finish(&importer);
	finish(&exporter);
}

static void misuse_exports(struct worker *self)
{
	const CUmemAllocationHandleType fd_type =
		CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
	CUmemPoolProps props = shareable;
	CUmemPoolPtrExportData data;
	CUmemoryPool pool, closed, usual;
	CUdeviceptr ptr, private, plain;
	int fd = -2;

	worker_context(0);
	WORKER_OK(cuMemPoolCreate(&pool, &props));
	props.handleTypes = CU_MEM_HANDLE_TYPE_NONE;
	WORKER_OK(cuMemPoolCreate(&closed, &props));
	WORKER_OK(cuDeviceGetDefaultMemPool(&usual, 0));
	WORKER_OK(cuMemAllocFromPoolAsync(&ptr, 4096, pool, NULL));
	WORKER_OK(cuMemAllocFromPoolAsync(&private, 4096, closed, NULL));
	WORKER_OK(cuMemAlloc(&plain, 4096));
	REFUSED(cuMemPoolExportPointer(&data, ptr)); /* its pool is not shared yet */
	REFUSED(cuMemPoolExportToShareableHandle(&fd, closed, fd_type, 0));
	REFUSED(cuMemPoolExportToShareableHandle(&fd, usual, fd_type, 0));
	REFUSED(cuMemPoolExportToShareableHandle(&fd, (CUmemoryPool)&fd, fd_type, 0));
	REFUSED(cuMemPoolExportToShareableHandle(&fd, pool, fd_type, 1));
	REFUSED(cuMemPoolExportToShareableHandle(&fd, pool, CU_MEM_HANDLE_TYPE_NONE, 0));
	REFUSED(cuMemPoolExportToShareableHandle(NULL, pool, fd_type, 0));
	REQUIRE(fd == -2);
	WORKER_OK(cuMemPoolExportToShareableHandle(&fd, pool, fd_type, 0));
	WORKER_OK(cuMemPoolExportPointer(&data, ptr));
	REFUSED(cuMemPoolExportPointer(NULL, ptr));
	REFUSED(cuMemPoolExportPointer(&data, ptr + 512));
	REFUSED(cuMemPoolExportPointer(&data, private));
	REFUSED(cuMemPoolExportPointer(&data, plain));
	REFUSED(cuMemPoolImportPointer(&ptr, pool, &data)); /* not an imported pool */
	worker_pause(self);
}

static void misuse_imports(struct worker *self)
{
	const CUmemAllocationHandleType fd_type =
		CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
	const CUmemAllocationProp prop = {
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
		.location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 },
	};
	struct letter letter = receive_letter();
	CUmemPoolPtrExportData bad;
	CUmemGenericAllocationHandle block;
	CUmemoryPool pool, imported;
	CUdeviceptr ptr;
	void *good = (void *)(intptr_t)letter.fd;
	int other, block_fd;

	worker_context(0);
	other = open("/dev/null", O_RDWR);
	WORKER_OK(cuMemCreate(&block, MIB(2), &prop, 0));
	WORKER_OK(cuMemExportToShareableHandle(&block_fd, block, fd_type, 0));
	REFUSED(cuMemPoolImportFromShareableHandle(&pool, (void *)-1, fd_type, 0));
	REFUSED(cuMemPoolImportFromShareableHandle(&pool, (void *)(intptr_t)other,
						   fd_type, 0));
	REFUSED(cuMemPoolImportFromShareableHandle(&pool, (void *)(intptr_t)block_fd,
						   fd_type, 0));
	REFUSED(cuMemPoolImportFromShareableHandle(&pool, good, fd_type, 1));
	REFUSED(cuMemPoolImportFromShareableHandle(&pool, good, CU_MEM_HANDLE_TYPE_NONE,
						   0));
	REFUSED(cuMemPoolImportFromShareableHandle(NULL, good, fd_type, 0));
	WORKER_IS(cuMemPoolImportFromShareableHandle(&pool, good,
						     CU_MEM_HANDLE_TYPE_FABRIC, 0),
		  CUDA_ERROR_NOT_PERMITTED);
	REFUSED(cuMemImportFromShareableHandle(&block, good, fd_type));
	imported = import_pool(letter.fd);
	WORKER_OK(cuDeviceGetDefaultMemPool(&pool, 0));
	REFUSED(cuMemPoolImportPointer(&ptr, pool, &letter.small));
	REFUSED(cuMemPoolImportPointer(NULL, imported, &letter.small));
	REFUSED(cuMemPoolImportPointer(&ptr, imported, NULL));
	for (size_t i = 0; i < sizeof(bad.reserved); i++) {
		/* An allocation has many neighbours; most bytes name something else. */
		bad = letter.small;
		bad.reserved[i] ^= 0x40;
		if (cuMemPoolImportPointer(&ptr, imported, &bad) == CUDA_SUCCESS)
			WORKER_OK(cuMemFree(ptr));
	}
	for (size_t bytes = 8; bytes <= sizeof(letter.small); bytes += 8) {
		CUipcMemHandle legacy = { { 0 } };

		memcpy(&legacy, &letter.small, bytes);
		WORKER_IS(cuIpcOpenMemHandle(&ptr, legacy,
					     CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS),
			  CUDA_ERROR_INVALID_HANDLE);
	}
	memset(&bad, 0xff, sizeof(bad));
	REFUSED(cuMemPoolImportPointer(&ptr, imported, &bad));
	memset(&bad, 0, sizeof(bad));
	REFUSED(cuMemPoolImportPointer(&ptr, imported, &bad));
	WORKER_OK(cuMemPoolImportPointer(&ptr, imported, &letter.small));
	REQUIRE(holds(ptr, SMALL, 1));
	worker_pause(self);
}

static void what_cannot_be_exported_is_refused(void)
{
	start(misuse_exports, misuse_exports);
	finish(&importer);
	finish(&exporter);
}

static void what_is_no_pool_and_no_allocation_of_it_cannot_be_imported(void)
{
	start(export_and_wait, misuse_imports);
	CU_ASSERT_EQUAL(pool_bytes(&importer), 0);
	finish(&importer);
	finish(&exporter);
}

/* ---- pools elsewhere ---- */

static void import_from_hidden_device(struct worker *self)
{
	CUmemAccessDesc desc = { { CU_MEM_LOCATION_TYPE_DEVICE, 0 },
				 CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	CUmemAccess_flags access;
	struct letter letter;
	struct shared s;

	setenv("CUDA_VISIBLE_DEVICES", "1", 1);
	s = receive_pool(&letter);
	WORKER_OK(cuMemPoolGetAccess(&access, s.pool, &desc.location));
	REQUIRE(access == CU_MEM_ACCESS_FLAGS_PROT_NONE);
	WORKER_OK(cuMemPoolSetAccess(s.pool, &desc, 1));
	REQUIRE(holds(s.large, LARGE, 2));
	WORKER_OK(cuMemFree(s.large));
	WORKER_OK(cuMemFree(s.small));
	WORKER_OK(cuMemPoolDestroy(s.pool));
	worker_pause(self);
}

static void a_pool_of_a_device_that_is_not_visible_can_be_imported(void)
{
	start(export_and_wait, import_from_hidden_device);
	CU_ASSERT_EQUAL(pool_bytes(&exporter), GRANULE);
	CU_ASSERT_EQUAL(pool_bytes(&importer), 0);
	finish(&importer);
	finish(&exporter);
}

/* Two imports of one pool are two pools, here in the process that exports it. */
static void import_own_pool(struct worker *self)
{
	struct shared s;
	struct letter letter;
	CUmemoryPool pool[2], other;
	CUdeviceptr ptr[2], wrong;

	s = share_pool();
	letter = receive_letter();
	for (int i = 0; i < 2; i++) {
		pool[i] = import_pool(letter.fd);
		WORKER_OK(cuMemPoolImportPointer(&ptr[i], pool[i], &letter.large));
		REQUIRE(holds(ptr[i], LARGE, 2));
	}
	WORKER_OK(cuMemPoolCreate(&other, &shareable));
	WORKER_OK(cuMemPoolExportToShareableHandle(
		&letter.fd, other, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
	WORKER_OK(cuMemPoolDestroy(other));
	other = import_pool(letter.fd);
	REFUSED(cuMemPoolImportPointer(&wrong, other, &letter.large));
	WORKER_OK(cuMemPoolDestroy(other));
	fill(s.large, LARGE, 5);
	WORKER_OK(cuMemFree(ptr[0]));
	REQUIRE(attribute(pool[0], CU_MEMPOOL_ATTR_USED_MEM_CURRENT) == 0);
	REQUIRE(attribute(pool[1], CU_MEMPOOL_ATTR_USED_MEM_CURRENT) == LARGE);
	WORKER_OK(cuMemPoolDestroy(pool[0]));
	REQUIRE(holds(ptr[1], LARGE, 5));
	WORKER_OK(cuMemFree(ptr[1]));
	WORKER_OK(cuMemPoolDestroy(pool[1]));
	REQUIRE(holds(s.large, LARGE, 5));
	worker_pause(self);
	WORKER_OK(cuMemFree(s.large));
	WORKER_OK(cuMemFree(s.small));
	WORKER_OK(cuMemPoolDestroy(s.pool));
	worker_pause(self);
}

static void a_process_can_import_its_own_pool_twice(void)
{
	socketpair(AF_UNIX, SOCK_SEQPACKET, 0, post);
	exporter = worker_start(import_own_pool);
	worker_await(&exporter);
	CU_ASSERT_EQUAL(pool_bytes(&exporter), GRANULE);
	step(&exporter);
	CU_ASSERT_EQUAL(pool_bytes(&exporter), 0);
	finish(&exporter);
	close(post[0]);
	close(post[1]);
}

const struct unit_suite unit_suite = {
	.name = "memory pools between processes",
	.init = begin,
	.cleanup = end,
	.tests = {
		UNIT_TEST(both_processes_see_the_same_bytes_which_count_once),
		UNIT_TEST(an_importer_inherits_what_a_dead_exporter_leaves),
		UNIT_TEST(a_mapping_stays_until_the_importers_free_has_run),
		UNIT_TEST(an_allocation_imported_twice_goes_with_its_last_free),
		UNIT_TEST(a_pool_that_may_be_shared_releases_nothing_before_it_is_destroyed),
		UNIT_TEST(an_imported_pool_gives_no_memory_and_cannot_be_exported),
		UNIT_TEST(what_cannot_be_exported_is_refused),
		UNIT_TEST(what_is_no_pool_and_no_allocation_of_it_cannot_be_imported),
		UNIT_TEST(a_pool_of_a_device_that_is_not_visible_can_be_imported),
		UNIT_TEST(a_process_can_import_its_own_pool_twice),
	},
};
