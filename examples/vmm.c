/*
 * vmm.c - virtual memory management: address ranges, handles and mappings apart.
 *
 * Knows: when memory must show the same bytes and when it must be free again.
 * Refuses to know: other processes. If they use the device, its free memory proves nothing,
 * and --neighbours leaves that out.
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "common.h"

static struct ex_gpu gpu;
static CUmemAllocationProp prop;
static CUmemAccessDesc access_rw;
static uint64_t size_bytes = UINT64_C(32) << 20, segments = 4;
static bool neighbours, good = true;

static void report(const char *what, bool right)
{
	printf("%s: %s\n", what, right ? "right" : "WRONG");
	good = good && right;
}

/* A driver may take a little more or less than it is asked for (page tables); a handle that
 * is missing or counted twice is never a little. */
static void report_free(const char *what, uint64_t found, uint64_t expected)
{
	uint64_t off = found > expected ? found - expected : expected - found;

	if (neighbours)
		return;
	if (off)
		printf("  %" PRIu64 " bytes are free, not %" PRIu64 "\n", found,
		       expected);
	report(what, off < size_bytes / 4 && off < UINT64_C(4) << 20);
}

static CUmemGenericAllocationHandle create(void)
{
	CUmemGenericAllocationHandle handle;

	EX_TRY(cuMemCreate(&handle, size_bytes, &prop, 0));
	return handle;
}

static void map(CUdeviceptr at, CUmemGenericAllocationHandle handle)
{
	EX_TRY(cuMemMap(at, size_bytes, 0, handle, 0));
	EX_TRY(cuMemSetAccess(at, size_bytes, &access_rw, 1));
}

static CUdeviceptr reserve(uint64_t bytes)
{
	CUdeviceptr range;

	EX_TRY(cuMemAddressReserve(&range, bytes, 0, 0, 0));
	return range;
}

/* A range that grows by a segment at a time while it is in use, as allocators do that never
 * move a tensor: the handle is released at once, the mapping keeps the memory. */
static void grow(void)
{
	uint64_t words = size_bytes / 4, before = ex_free_bytes(), i, wrong = 0;
	CUdeviceptr range = reserve(size_bytes * segments);

	report_free("an address range takes no memory", ex_free_bytes(), before);
	for (i = 0; i < segments; i++) {
		CUmemGenericAllocationHandle handle = create();

		map(range + i * size_bytes, handle);
		EX_TRY(cuMemRelease(handle));
		ex_fill(&gpu, range + i * size_bytes, (uint32_t)(i + 1), words, NULL);
	}
	for (i = 0; i < segments; i++)
		wrong += ex_count_wrong(range + i * size_bytes, (uint32_t)(i + 1), words);
	report("a range that grew keeps what was written", !wrong);
	report_free("memory stays taken while mapped, though released", ex_free_bytes(),
		    before - size_bytes * segments);

	/* One kernel over all of them: the range is contiguous, whatever lies behind it. */
	ex_fill(&gpu, range, 0xabcdabcd, words * segments, NULL);
	report("one kernel reaches all segments",
	       !ex_count_wrong(range, 0xabcdabcd, words * segments));
	/* Shrinks from the end, then what is left in one call. */
	EX_TRY(cuMemUnmap(range + (segments - 1) * size_bytes, size_bytes));
	report_free("unmapping the last segment frees it", ex_free_bytes(),
		    before - size_bytes * (segments - 1));
	if (segments > 1)
		EX_TRY(cuMemUnmap(range, size_bytes * (segments - 1)));
	EX_TRY(cuMemAddressFree(range, size_bytes * segments));
	report_free("unmapping the rest frees everything", ex_free_bytes(), before);
}

static void two_mappings(void)
{
	uint64_t words = size_bytes / 4, before = ex_free_bytes();
	CUmemGenericAllocationHandle handle = create();
	CUdeviceptr one = reserve(size_bytes), two = reserve(size_bytes);

	map(one, handle);
	map(two, handle);
	ex_fill(&gpu, one, 0x11111111, words, NULL);
	report("two mappings of a handle show the same bytes",
	       !ex_count_wrong(two, 0x11111111, words));
	report_free("and take its memory once", ex_free_bytes(), before - size_bytes);
	EX_TRY(cuMemUnmap(one, size_bytes));
	EX_TRY(cuMemRelease(handle));
	report("the second outlives the first and the handle",
	       !ex_count_wrong(two, 0x11111111, words));
	EX_TRY(cuMemUnmap(two, size_bytes));
	report_free("the last unmap frees the memory", ex_free_bytes(), before);
	EX_TRY(cuMemAddressFree(one, size_bytes));
	EX_TRY(cuMemAddressFree(two, size_bytes));
}

/* Through a file descriptor and back, as between processes. */
static void export_and_import(void)
{
	uint64_t words = size_bytes / 4, before = ex_free_bytes();
	CUmemGenericAllocationHandle handle, imported;
	CUdeviceptr one, two;
	CUresult result;
	int fd = -1;

	if (!ex_attribute(
		    &gpu,
		    CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED)) {
		printf("export: skipped, the device has no handles as descriptors\n");
		return;
	}
	prop.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
	handle = create();
	prop.requestedHandleTypes = CU_MEM_HANDLE_TYPE_NONE;
	result = cuMemExportToShareableHandle(
		&fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0);
	if (result == CUDA_ERROR_NOT_SUPPORTED) {
		printf("export: skipped, the driver answers %s\n", ex_code_name(result));
		EX_TRY(cuMemRelease(handle));
		return;
	}
	ex_try(result, "cuMemExportToShareableHandle", __FILE__, __LINE__);
	one = reserve(size_bytes);
	two = reserve(size_bytes);
	map(one, handle);
	ex_fill(&gpu, one, 0x22222222, words, NULL);
	EX_TRY(cuMemImportFromShareableHandle(&imported, (void *)(uintptr_t)fd,
					      CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
	close(fd);
	map(two, imported);
	report("an imported handle shows the exported one's bytes",
	       !ex_count_wrong(two, 0x22222222, words));
	report_free("and takes no memory of its own", ex_free_bytes(),
		    before - size_bytes);
	EX_TRY(cuMemUnmap(one, size_bytes));
	EX_TRY(cuMemRelease(handle));
	report("it keeps them after the exporter let go",
	       !ex_count_wrong(two, 0x22222222, words));
	EX_TRY(cuMemUnmap(two, size_bytes));
	EX_TRY(cuMemRelease(imported));
	report_free("the importer's last reference frees the memory", ex_free_bytes(),
		    before);
	EX_TRY(cuMemAddressFree(one, size_bytes));
	EX_TRY(cuMemAddressFree(two, size_bytes));
}

int main(int argc, char **argv)
{
	const struct ex_option options[] = {
		{ "size", EX_BYTES, &size_bytes, 4, "SIZE",
		  "bytes of one handle, rounded up" },
		{ "segments", EX_COUNT, &segments, 1, "N",
		  "handles in the range that grows" },
		{ "neighbours", EX_FLAG, &neighbours, 0, NULL,
		  "others use the device: do not judge by its free memory" },
		{ 0 }
	};
	int device = ex_options(
		argc, argv,
		"Reserves addresses, creates memory and maps it: a range that "
		"grows, two mappings\nof one handle, export and import; checks "
		"bytes and free memory.",
		options);
	CUdeviceptr first_use;
	size_t granule;

	ex_open(&gpu, device, EX_PRIMARY_CONTEXT);
	if (!ex_attribute(&gpu,
			  CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED)) {
		printf("skipped: the device has no virtual memory management\n");
		ex_close(&gpu);
		return EX_EXIT_OK;
	}
	prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
	prop.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
	prop.location.id = gpu.device;
	access_rw.location = prop.location;
	access_rw.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
	EX_TRY(cuMemGetAllocationGranularity(&granule, &prop,
					     CU_MEM_ALLOC_GRANULARITY_MINIMUM));
	size_bytes = (size_bytes + granule - 1) / granule * granule;

	/* Code that is loaded at first use would be missed in the free memory below. */
	EX_TRY(cuMemAlloc(&first_use, 4));
	ex_fill(&gpu, first_use, 0, 1, NULL);
	EX_TRY(cuCtxSynchronize());
	EX_TRY(cuMemFree(first_use));
	grow();
	two_mappings();
	export_and_import();
	ex_close(&gpu);
	return good ? EX_EXIT_OK : EX_EXIT_FAILED;
}
