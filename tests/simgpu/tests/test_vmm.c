/*
 * Virtual memory management: reservations, physical memory, mappings, access, references
 * and sharing ("Virtual Memory Management" in the CUDA Driver API manual).
 */
#include "memory_books.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define DEVICE_BYTES (1ull << 30)

static CUcontext ctx;
static const CUmemAllocationProp on_device = {
	.type = CU_MEM_ALLOCATION_TYPE_PINNED,
	.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
	.location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 },
};
static const CUmemAccessDesc read_write = { { CU_MEM_LOCATION_TYPE_DEVICE, 0 },
					    CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
static const CUmemLocation gpu = { CU_MEM_LOCATION_TYPE_DEVICE, 0 };

/* A process that imports what the test sends it: forked before CUDA is touched. */
static int importer = -1;
static pid_t importer_pid;

static int send_fd(int sock, int fd)
{
	struct iovec iov = { (char[]){ 'x' }, 1 };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(sock, &msg, 0) == 1;
}

static int receive_fd(int sock)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	int fd = -1;

	if (recvmsg(sock, &msg, 0) == 1 && CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

static char wait_byte(int sock)
{
	char byte = 0;

	return read(sock, &byte, 1) == 1 ? byte : 0;
}

/* Imports 2 MiB, checks pattern 1, writes pattern 2, tells, waits, lets go, tells. */
static int import_and_change(int sock)
{
	static unsigned char data[4096];
	CUmemGenericAllocationHandle handle;
	CUdeviceptr va;
	CUcontext mine;
	int fd = receive_fd(sock), bad = 0;

	if (fd < 0)
		return 0;
	bad |= cuInit(0) || cuCtxCreate(&mine, NULL, 0, 0);
	bad |= cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)fd,
					      CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
	close(fd);
	bad |= cuMemAddressReserve(&va, MIB(2), 0, 0, 0);
	bad |= cuMemMap(va, MIB(2), 0, handle, 0);
	bad |= cuMemRelease(handle);
	bad |= cuMemSetAccess(va, MIB(2), &read_write, 1);
	bad |= cuMemcpyDtoH(data, va, sizeof(data));
	bad |= !is_pattern(data, sizeof(data), 1);
	pattern(data, sizeof(data), 2);
	bad |= cuMemcpyHtoD(va, data, sizeof(data));
	bad |= write(sock, bad ? "!" : "k", 1) != 1;
	bad |= wait_byte(sock) != 'g';
	bad |= cuMemUnmap(va, MIB(2)) || cuMemAddressFree(va, MIB(2));
	bad |= write(sock, bad ? "!" : "k", 1) != 1;
	bad |= wait_byte(sock) != 'g';
	return bad;
}

/* A kernel that writes where nothing is mapped, or where it may only read. Each ends the
 * process' use of CUDA, so each has a process of its own. */
static void stray_kernel(bool mapped)
{
	CUmemAccessDesc read_only = read_write;
	CUmemGenericAllocationHandle handle;
	uint64_t count = 16;
	uint32_t value = 1;
	CUdeviceptr va = 0;
	void *args[] = { &va, &value, &count };
	CUfunction fill;
	CUmodule module;
	CUcontext mine;

	read_only.flags = CU_MEM_ACCESS_FLAGS_PROT_READ;
	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuCtxCreate(&mine, NULL, 0, 0), CUDA_SUCCESS);
	CHECK_IS(cuModuleLoadData(&module, PTX_ALL), CUDA_SUCCESS);
	CHECK_IS(cuModuleGetFunction(&fill, module, "gpushim_fill_u32"), CUDA_SUCCESS);
	CHECK_IS(cuMemAddressReserve(&va, MIB(2), 0, 0, 0), CUDA_SUCCESS);
	if (mapped) {
		CHECK_IS(cuMemCreate(&handle, MIB(2), &on_device, 0), CUDA_SUCCESS);
		CHECK_IS(cuMemMap(va, MIB(2), 0, handle, 0), CUDA_SUCCESS);
		CHECK_IS(cuMemSetAccess(va, MIB(2), &read_write, 1), CUDA_SUCCESS);
		CHECK_IS(cuLaunchKernel(fill, 1, 1, 1, 32, 1, 1, 0, NULL, args, NULL),
			 CUDA_SUCCESS);
		CHECK_IS(cuCtxSynchronize(), CUDA_SUCCESS);
		CHECK_IS(cuMemSetAccess(va, MIB(2), &read_only, 1), CUDA_SUCCESS);
	}
	CHECK_IS(cuLaunchKernel(fill, 1, 1, 1, 32, 1, 1, 0, NULL, args, NULL),
		 CUDA_SUCCESS);
	CHECK_IS(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
	CHECK_IS(cuMemAlloc(&va, 16), CUDA_ERROR_ILLEGAL_ADDRESS);
}

static void write_to_a_mere_reservation(void)
{
	stray_kernel(false);
}

static void write_to_what_may_only_be_read(void)
{
	stray_kernel(true);
}

static int stray_failures[2];

static int begin(void)
{
	int pair[2];

	setenv("SIMGPU_MEMORY", "1GiB", 1);
	setenv("SIMGPU_DEVICES", "2", 1);
	stray_failures[0] = child_run(write_to_a_mere_reservation, NULL);
	stray_failures[1] = child_run(write_to_what_may_only_be_read, NULL);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return 1;
	importer_pid = fork();
	if (importer_pid == 0) {
		close(pair[0]);
		_exit(import_and_change(pair[1]));
	}
	close(pair[1]);
	importer = pair[0];
	return importer_pid < 0 || cuInit(0) != CUDA_SUCCESS;
}

static int end(void)
{
	close(importer);
	return waitpid(importer_pid, NULL, 0) < 0;
}

static void setup(void)
{
	ctx = gpu_context();
}

static void teardown(void)
{
	gpu_context_end(ctx);
}

/* ---- addresses ---- */

static void reservations_take_addresses_and_no_memory(void)
{
	struct simgpu_device before, after;
	CUdeviceptr a, b;

	books_of(0, &before);
	OK(cuMemAddressReserve(&a, DEVICE_BYTES * 8, 0, 0, 0));
	OK(cuMemAddressReserve(&b, MIB(2), MIB(64), 0, 0));
	CU_ASSERT_EQUAL(b % MIB(64), 0);
	books_of(0, &after);
	CU_ASSERT_EQUAL(after.used_bytes, before.used_bytes);
	IS(CUDA_ERROR_INVALID_VALUE, cuMemsetD8(a, 0, 1));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemAddressFree(a, DEVICE_BYTES));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemAddressFree(a + MIB(2), DEVICE_BYTES * 8));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFree(a));
	OK(cuMemAddressFree(a, DEVICE_BYTES * 8));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemAddressFree(a, DEVICE_BYTES * 8));
	OK(cuMemAddressFree(b, MIB(2)));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemAddressReserve(&a, 0, 0, 0, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemAddressReserve(&a, 1000, 0, 0, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemAddressReserve(&a, MIB(2), 3, 0, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemAddressReserve(&a, MIB(2), 0, 0, 1));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemAddressReserve(NULL, MIB(2), 0, 0, 0));
	IS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAddressReserve(&a, (size_t)1 << 62, 0, 0, 0));
}

/* ---- physical memory ---- */

static void physical_memory_is_charged_at_creation(void)
{
	struct simgpu_bytes before = books();
	CUmemGenericAllocationHandle handle;
	CUmemAllocationProp prop;
	size_t granule;

	OK(cuMemGetAllocationGranularity(&granule, &on_device,
					 CU_MEM_ALLOC_GRANULARITY_MINIMUM));
	CU_ASSERT_EQUAL(granule, MIB(2));
	OK(cuMemCreate(&handle, MIB(6), &on_device, 0));
	CU_ASSERT_EQUAL(books().vmm - before.vmm, MIB(6));
	CU_ASSERT_EQUAL(books().requested - before.requested, MIB(6));
	OK(cuMemGetAllocationPropertiesFromHandle(&prop, handle));
	CU_ASSERT(prop.type == on_device.type && prop.location.id == 0 &&
		  prop.requestedHandleTypes == on_device.requestedHandleTypes);
	OK(cuMemRelease(handle));
	CU_ASSERT_EQUAL(books().requested, before.requested);
	IS(CUDA_ERROR_INVALID_VALUE, cuMemRelease(handle));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuMemGetAllocationPropertiesFromHandle(&prop, handle));
}

static void bad_properties_and_sizes_are_refused(void)
{
	CUmemGenericAllocationHandle handle;
	CUmemAllocationProp bad;

	IS(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&handle, 0, &on_device, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&handle, MIB(1), &on_device, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&handle, MIB(2), NULL, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemCreate(NULL, MIB(2), &on_device, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&handle, MIB(2), &on_device, 1));
	IS(CUDA_ERROR_OUT_OF_MEMORY,
	   cuMemCreate(&handle, DEVICE_BYTES * 2, &on_device, 0));
	IS(CUDA_ERROR_OUT_OF_MEMORY,
	   cuMemCreate(&handle, SIZE_MAX - MIB(2) + 1, &on_device, 0));
	bad = on_device, bad.type = CU_MEM_ALLOCATION_TYPE_INVALID;
	IS(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&handle, MIB(2), &bad, 0));
	bad = on_device, bad.location.id = 99;
	IS(CUDA_ERROR_INVALID_DEVICE, cuMemCreate(&handle, MIB(2), &bad, 0));
	bad = on_device, bad.location.type = CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT;
	IS(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&handle, MIB(2), &bad, 0));
}

static void host_memory_is_not_the_devices(void)
{
	CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
				     .location = { CU_MEM_LOCATION_TYPE_HOST, 0 } };
	struct simgpu_device before, after;
	CUmemGenericAllocationHandle handle;

	books_of(0, &before);
	OK(cuMemCreate(&handle, MIB(4), &prop, 0));
	books_of(0, &after);
	CU_ASSERT_EQUAL(after.used_bytes, before.used_bytes);
	CU_ASSERT_EQUAL(after.requested_bytes, before.requested_bytes);
	OK(cuMemRelease(handle));
}

/* ---- mappings ---- */

static void memory_lives_until_no_handle_and_no_mapping_is_left(void)
{
	struct simgpu_bytes before = books();
	CUmemGenericAllocationHandle handle, again;
	CUdeviceptr va;

	OK(cuMemAddressReserve(&va, MIB(8), 0, 0, 0));
	OK(cuMemCreate(&handle, MIB(4), &on_device, 0));
	OK(cuMemMap(va, MIB(4), 0, handle, 0));
	OK(cuMemMap(va + MIB(4), MIB(4), 0, handle, 0));
	OK(cuMemRelease(handle)); /* the usual pattern: mapped, and no handle kept */
	CU_ASSERT_EQUAL(books().requested - before.requested, MIB(4));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemRelease(handle));
	OK(cuMemRetainAllocationHandle(&again, (void *)(uintptr_t)(va + MIB(3))));
	CU_ASSERT_EQUAL(again, handle);
	OK(cuMemUnmap(va, MIB(8)));
	CU_ASSERT_EQUAL(books().requested - before.requested, MIB(4));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuMemRetainAllocationHandle(&again, (void *)(uintptr_t)va));
	OK(cuMemMap(va, MIB(4), 0, again, 0));
	OK(cuMemRelease(again));
	OK(cuMemUnmap(va, MIB(4)));
	CU_ASSERT_EQUAL(books().requested, before.requested);
	OK(cuMemAddressFree(va, MIB(8)));
}

static void mappings_need_room_in_a_reservation(void)
{
	CUmemGenericAllocationHandle handle;
	CUdeviceptr va;

	OK(cuMemAddressReserve(&va, MIB(8), 0, 0, 0));
	OK(cuMemCreate(&handle, MIB(4), &on_device, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemMap(va + MIB(6), MIB(4), 0, handle, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemMap(va, MIB(6), 0, handle, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemMap(va + 4096, MIB(2), 0, handle, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemMap(va, MIB(1), 0, handle, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemMap(va, MIB(2), MIB(2), handle, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemMap(va, MIB(4), 0, handle + 1, 0));
	OK(cuMemMap(va, MIB(4), 0, handle, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemMap(va + MIB(2), MIB(4), 0, handle, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemAddressFree(va, MIB(8)));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemUnmap(va, MIB(2)));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemUnmap(va, MIB(6)));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemFree(va));
	OK(cuMemUnmap(va, MIB(4)));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemUnmap(va, MIB(4)));
	OK(cuMemRelease(handle));
	OK(cuMemAddressFree(va, MIB(8)));
}

static void access_is_none_until_it_is_set(void)
{
	CUmemAccessDesc read_only = read_write;
	CUmemGenericAllocationHandle handle;
	unsigned long long flags;
	unsigned char data[64] = { 0 };
	CUdeviceptr va;

	read_only.flags = CU_MEM_ACCESS_FLAGS_PROT_READ;
	OK(cuMemAddressReserve(&va, MIB(2), 0, 0, 0));
	OK(cuMemCreate(&handle, MIB(2), &on_device, 0));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemSetAccess(va, MIB(2), &read_write, 1));
	OK(cuMemMap(va, MIB(2), 0, handle, 0));
	OK(cuMemGetAccess(&flags, &gpu, va));
	CU_ASSERT_EQUAL(flags, CU_MEM_ACCESS_FLAGS_PROT_NONE);
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD(va, data, 64));
	OK(cuMemSetAccess(va, MIB(2), &read_write, 1));
	OK(cuMemGetAccess(&flags, &gpu, va + 12345));
	CU_ASSERT_EQUAL(flags, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
	OK(cuMemcpyHtoD(va, data, 64));
	OK(cuMemSetAccess(va, MIB(2), &read_only, 1));
	OK(cuMemcpyDtoH(data, va, 64));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD(va, data, 64));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemSetAccess(va, MIB(2), NULL, 1));
	read_only.flags = (CUmemAccess_flags)2;
	IS(CUDA_ERROR_INVALID_VALUE, cuMemSetAccess(va, MIB(2), &read_only, 1));
	OK(cuMemUnmap(va, MIB(2)));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemGetAccess(&flags, &gpu, va));
	OK(cuMemRelease(handle));
	OK(cuMemAddressFree(va, MIB(2)));
}

static void a_kernel_without_access_is_an_illegal_address(void)
{
	CU_ASSERT_EQUAL(stray_failures[0], 0);
	CU_ASSERT_EQUAL(stray_failures[1], 0);
}

static void access_is_set_per_device(void)
{
	CUmemLocation second = { CU_MEM_LOCATION_TYPE_DEVICE, 1 };
	CUmemAccessDesc both[2] = { read_write,
				    { second, CU_MEM_ACCESS_FLAGS_PROT_READ } };
	CUmemAllocationProp on_second = on_device;
	CUmemGenericAllocationHandle handle;
	unsigned long long flags;
	CUdeviceptr va;

	on_second.location = second;
	OK(cuMemAddressReserve(&va, MIB(2), 0, 0, 0));
	OK(cuMemCreate(&handle, MIB(2), &on_second, 0));
	CU_ASSERT_EQUAL(books_of(1, NULL).vmm, MIB(2));
	CU_ASSERT_EQUAL(books_of(0, NULL).vmm, 0);
	OK(cuMemMap(va, MIB(2), 0, handle, 0));
	OK(cuMemSetAccess(va, MIB(2), both, 2));
	OK(cuMemGetAccess(&flags, &gpu, va));
	CU_ASSERT_EQUAL(flags, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
	OK(cuMemGetAccess(&flags, &second, va));
	CU_ASSERT_EQUAL(flags, CU_MEM_ACCESS_FLAGS_PROT_READ);
	both[0].location.id = 9;
	IS(CUDA_ERROR_INVALID_DEVICE, cuMemSetAccess(va, MIB(2), both, 2));
	OK(cuMemsetD8(va, 1, MIB(2)));
	OK(cuMemUnmap(va, MIB(2)));
	OK(cuMemRelease(handle));
	OK(cuMemAddressFree(va, MIB(2)));
	CU_ASSERT_EQUAL(books_of(1, NULL).vmm, 0);
}

static void a_copy_may_span_mappings_and_not_a_gap(void)
{
	static unsigned char out[MIB(4)], in[MIB(4)];
	CUmemGenericAllocationHandle a, b;
	CUdeviceptr va, base;
	size_t bytes;

	OK(cuMemAddressReserve(&va, MIB(6), 0, 0, 0));
	OK(cuMemCreate(&a, MIB(2), &on_device, 0));
	OK(cuMemCreate(&b, MIB(2), &on_device, 0));
	OK(cuMemMap(va, MIB(2), 0, a, 0));
	OK(cuMemMap(va + MIB(2), MIB(2), 0, b, 0));
	OK(cuMemSetAccess(va, MIB(4), &read_write, 1));
	pattern(out, sizeof(out), 1);
	OK(cuMemcpyHtoD(va, out, MIB(4)));
	OK(cuMemcpyDtoH(in, va, MIB(4)));
	CU_ASSERT(is_pattern(in, sizeof(in), 1));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemsetD8(va, 0, MIB(4) + 1));
	OK(cuPointerGetAttribute(&base, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR,
				 va + MIB(3)));
	CU_ASSERT_EQUAL(base, va);
	OK(cuPointerGetAttribute(&bytes, CU_POINTER_ATTRIBUTE_RANGE_SIZE, va + MIB(3)));
	CU_ASSERT_EQUAL(bytes, MIB(6));
	OK(cuMemGetAddressRange(&base, &bytes, va + MIB(3)));
	CU_ASSERT(base == va + MIB(2) && bytes == MIB(2));
	OK(cuMemUnmap(va, MIB(2)));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemsetD8(va + MIB(1), 0, MIB(2)));
	OK(cuMemUnmap(va + MIB(2), MIB(2)));
	OK(cuMemMap(va, MIB(2), 0, b, 0)); /* b's bytes, seen elsewhere */
	OK(cuMemSetAccess(va, MIB(2), &read_write, 1));
	OK(cuMemcpyDtoH(in, va, MIB(2)));
	CU_ASSERT(memcmp(in, out + MIB(2), MIB(2)) == 0);
	OK(cuMemUnmap(va, MIB(2)));
	OK(cuMemRelease(a));
	OK(cuMemRelease(b));
	OK(cuMemAddressFree(va, MIB(6)));
}

static void mappings_outlive_the_context(void)
{
	struct simgpu_bytes before = books();
	CUmemGenericAllocationHandle handle;
	CUcontext other;
	CUdeviceptr va;

	OK(cuCtxCreate(&other, NULL, 0, 0));
	OK(cuMemAddressReserve(&va, MIB(2), 0, 0, 0));
	OK(cuMemCreate(&handle, MIB(2), &on_device, 0));
	OK(cuMemMap(va, MIB(2), 0, handle, 0));
	OK(cuMemSetAccess(va, MIB(2), &read_write, 1));
	OK(cuCtxDestroy(other));
	CU_ASSERT_EQUAL(books().vmm - before.vmm, MIB(2));
	OK(cuMemsetD8(va, 1, MIB(2)));
	OK(cuMemUnmap(va, MIB(2)));
	OK(cuMemRelease(handle));
	CU_ASSERT_EQUAL(books().vmm, before.vmm);
	OK(cuMemAddressFree(va, MIB(2)));
}

/* ---- sharing ---- */

static void an_exported_handle_keeps_memory_alive(void)
{
	struct simgpu_bytes before = books();
	CUmemGenericAllocationHandle handle, imported;
	CUmemAllocationProp closed = on_device;
	int fd = -1;

	OK(cuMemCreate(&handle, MIB(2), &on_device, 0));
	OK(cuMemExportToShareableHandle(&fd, handle,
					CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
	CU_ASSERT(fd >= 0);
	OK(cuMemImportFromShareableHandle(&imported, (void *)(intptr_t)fd,
					  CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
	CU_ASSERT_EQUAL(books().requested - before.requested, MIB(2)); /* counted once */
	close(fd);
	OK(cuMemRelease(handle));
	CU_ASSERT_EQUAL(books().requested - before.requested, MIB(2));
	OK(cuMemRelease(imported));
	CU_ASSERT_EQUAL(books().requested, before.requested);
	closed.requestedHandleTypes = CU_MEM_HANDLE_TYPE_NONE;
	OK(cuMemCreate(&handle, MIB(2), &closed, 0));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuMemExportToShareableHandle(&fd, handle,
					CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
	OK(cuMemRelease(handle));
	fd = open("/dev/null", O_RDWR);
	CU_ASSERT_NOT_EQUAL(
		cuMemImportFromShareableHandle(&imported, (void *)(intptr_t)fd,
					       CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
		CUDA_SUCCESS);
	close(fd);
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuMemImportFromShareableHandle(&imported, (void *)(intptr_t)fd,
					  CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
}

static void another_process_sees_and_keeps_the_same_bytes(void)
{
	static unsigned char data[4096];
	CUmemGenericAllocationHandle handle;
	struct simgpu_device before, after;
	CUdeviceptr va;
	int fd = -1;

	books_of(0, &before);
	OK(cuMemAddressReserve(&va, MIB(2), 0, 0, 0));
	OK(cuMemCreate(&handle, MIB(2), &on_device, 0));
	OK(cuMemMap(va, MIB(2), 0, handle, 0));
	OK(cuMemSetAccess(va, MIB(2), &read_write, 1));
	pattern(data, sizeof(data), 1);
	OK(cuMemcpyHtoD(va, data, sizeof(data)));
	OK(cuMemExportToShareableHandle(&fd, handle,
					CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
	CU_ASSERT(send_fd(importer, fd));
	close(fd);
	CU_ASSERT_EQUAL(wait_byte(importer), 'k');
	OK(cuMemcpyDtoH(data, va, sizeof(data)));
	CU_ASSERT(is_pattern(data, sizeof(data), 2));
	OK(cuMemUnmap(va, MIB(2)));
	OK(cuMemRelease(handle));
	books_of(0, &after);
	CU_ASSERT_EQUAL(after.requested_bytes - before.requested_bytes, MIB(2));
	CU_ASSERT_EQUAL(write(importer, "g", 1), 1);
	CU_ASSERT_EQUAL(wait_byte(importer), 'k');
	books_of(0, &after);
	CU_ASSERT_EQUAL(after.requested_bytes, before.requested_bytes);
	CU_ASSERT_EQUAL(write(importer, "g", 1), 1);
	OK(cuMemAddressFree(va, MIB(2)));
}

const struct unit_suite unit_suite = {
	.name = "virtual memory management",
	.init = begin,
	.cleanup = end,
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(reservations_take_addresses_and_no_memory),
		UNIT_TEST(physical_memory_is_charged_at_creation),
		UNIT_TEST(bad_properties_and_sizes_are_refused),
		UNIT_TEST(host_memory_is_not_the_devices),
		UNIT_TEST(memory_lives_until_no_handle_and_no_mapping_is_left),
		UNIT_TEST(mappings_need_room_in_a_reservation),
		UNIT_TEST(access_is_none_until_it_is_set),
		UNIT_TEST(a_kernel_without_access_is_an_illegal_address),
		UNIT_TEST(access_is_set_per_device),
		UNIT_TEST(a_copy_may_span_mappings_and_not_a_gap),
		UNIT_TEST(mappings_outlive_the_context),
		UNIT_TEST(an_exported_handle_keeps_memory_alive),
		UNIT_TEST(another_process_sees_and_keeps_the_same_bytes),
	},
};
