/*
 * test_library.c - libraries and their kernels, against the CUDA driver API manual ("Library
 * Management").
 */
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "code_kernels.h"

#define PTX_MANAGED \
	".visible .global .attribute(.managed) .align 4 .u32 everywhere = 11;\n"

static CUcontext ctx;
static CUlibrary library;
static CUdeviceptr memory;

static CUresult load(CUlibrary *out, const char *ptx)
{
	return cuLibraryLoadData(out, ptx, NULL, NULL, 0, NULL, NULL, 0);
}

static int open_all(void)
{
	return code_open(&ctx) == 0 && cuMemAlloc(&memory, 4096) == CUDA_SUCCESS ? 0 : -1;
}

static int close_all(void)
{
	return cuDevicePrimaryCtxRelease(0) == CUDA_SUCCESS ? 0 : -1;
}

static void load_library(void)
{
	library = NULL;
	load(&library, PTX_ALL PTX_MANAGED);
}

static void unload_library(void)
{
	cuLibraryUnload(library);
}

static CUkernel kernel(const char *name)
{
	CUkernel found = NULL;

	OK(cuLibraryGetKernel(&found, library, name));
	return found;
}

static CUresult fill_with(CUfunction f, uint32_t value)
{
	uint64_t n = 1;
	void *params[] = { &memory, &value, &n };

	return cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL);
}

static uint32_t filled(void)
{
	uint32_t value = 0;

	OK(cuMemcpyDtoH(&value, memory, sizeof(value)));
	return value;
}

static void a_library_needs_no_context(void)
{
	CUlibrary own = NULL;
	unsigned count = 0;

	OK(cuCtxSetCurrent(NULL));
	OK(load(&own, PTX_ALL));
	OK(cuLibraryGetKernelCount(&count, own));
	CU_ASSERT_EQUAL(count, PTX_ALL_KERNELS);
	OK(cuLibraryUnload(own));
	OK(cuCtxSetCurrent(ctx));
}

static void kernels_are_found_named_and_enumerated(void)
{
	CUkernel found = kernel("gpushim_fill_u32"), all[PTX_ALL_KERNELS + 1] = { NULL };
	CUlibrary back = NULL;
	const char *name = NULL;
	size_t offset = 0, size = 0;
	bool listed = false;

	OK(cuKernelGetName(&name, found));
	CU_ASSERT_TRUE(name && strcmp(name, "gpushim_fill_u32") == 0);
	OK(cuKernelGetLibrary(&back, found));
	CU_ASSERT_PTR_EQUAL(back, library);
	OK(cuKernelGetParamInfo(found, 2, &offset, &size));
	CU_ASSERT_EQUAL(offset, 16);
	CU_ASSERT_EQUAL(size, 8);
	IS(CUDA_ERROR_INVALID_VALUE, cuKernelGetParamInfo(found, 3, &offset, &size));
	OK(cuLibraryEnumerateKernels(all, PTX_ALL_KERNELS + 1, library));
	for (int i = 0; i < PTX_ALL_KERNELS; i++)
		listed |= all[i] == found;
	CU_ASSERT_TRUE(listed);
	CU_ASSERT_PTR_NULL(all[PTX_ALL_KERNELS]);
	IS(CUDA_ERROR_NOT_FOUND, cuLibraryGetKernel(&found, library, "no_such_kernel"));
}

static void a_kernel_is_launched_where_its_stream_is(void)
{
	CUfunction as_function = (CUfunction)kernel("gpushim_fill_u32");
	CUcontext other = NULL;
	CUstream stream = NULL;

	OK(fill_with(as_function, 21));
	CU_ASSERT_EQUAL(filled(), 21);
	OK(cuCtxCreate(&other, NULL, 0, 0));
	OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	OK(cuCtxPopCurrent(NULL));
	OK(cuLaunchKernel((CUfunction)kernel("plain"), 1, 1, 1, 1, 1, 1, 0, stream, NULL,
			  NULL));
	OK(cuStreamSynchronize(stream));
	OK(cuCtxDestroy(other));
	OK(fill_with(as_function, 22));
	CU_ASSERT_EQUAL(filled(), 22);
}

static void a_kernel_has_one_function_in_each_context(void)
{
	CUkernel found = kernel("gpushim_fill_u32");
	CUfunction here = NULL, again = NULL, there = NULL;
	CUmodule module = NULL, of_function = NULL;
	CUcontext other = NULL;

	OK(cuKernelGetFunction(&here, found));
	OK(cuKernelGetFunction(&again, found));
	CU_ASSERT_PTR_EQUAL(here, again);
	OK(fill_with(here, 31));
	CU_ASSERT_EQUAL(filled(), 31);
	OK(cuLibraryGetModule(&module, library));
	OK(cuFuncGetModule(&of_function, here));
	CU_ASSERT_PTR_EQUAL(module, of_function);
	OK(cuModuleGetFunction(&again, module, "gpushim_fill_u32"));
	CU_ASSERT_PTR_EQUAL(here, again);
	IS(CUDA_ERROR_NOT_PERMITTED, cuModuleUnload(module));
	OK(cuCtxCreate(&other, NULL, 0, 0));
	OK(cuKernelGetFunction(&there, found));
	CU_ASSERT_PTR_NOT_EQUAL(here, there);
	OK(cuCtxDestroy(other));
	OK(cuCtxSetCurrent(NULL));
	IS(CUDA_ERROR_INVALID_CONTEXT, cuKernelGetFunction(&there, found));
	OK(cuCtxSetCurrent(ctx));
}

static void attributes_of_a_kernel_hold_unless_the_function_has_its_own(void)
{
	const CUfunction_attribute dynamic =
		CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
	CUkernel found = kernel("plain");
	CUfunction function = NULL;
	int value = 0;

	OK(cuKernelGetAttribute(&value, dynamic, found, 0));
	CU_ASSERT_EQUAL(value, 48 << 10);
	OK(cuKernelSetAttribute(dynamic, 100 << 10, found, 0));
	OK(cuKernelGetFunction(&function, found));
	OK(cuFuncGetAttribute(&value, dynamic, function));
	CU_ASSERT_EQUAL(value, 100 << 10);
	OK(cuFuncSetAttribute(function, dynamic, 60 << 10));
	OK(cuKernelSetAttribute(dynamic, 80 << 10, found, 0));
	OK(cuFuncGetAttribute(&value, dynamic, function));
	CU_ASSERT_EQUAL(value, 60 << 10);
	OK(cuKernelGetAttribute(&value, dynamic, found, 0));
	CU_ASSERT_EQUAL(value, 80 << 10);
	OK(cuKernelSetCacheConfig(found, CU_FUNC_CACHE_PREFER_SHARED, 0));
	IS(CUDA_ERROR_INVALID_DEVICE, cuKernelGetAttribute(&value, dynamic, found, 99));
	IS(CUDA_ERROR_INVALID_DEVICE, cuKernelSetAttribute(dynamic, 0, found, -1));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuKernelSetAttribute(CU_FUNC_ATTRIBUTE_NUM_REGS, 1, found, 0));
	IS(CUDA_ERROR_INVALID_DEVICE,
	   cuKernelSetCacheConfig(found, CU_FUNC_CACHE_PREFER_SHARED, 99));
}

static void occupancy_is_told_for_kernels(void)
{
	CUkernel found = kernel("plain");
	int number = 0;

	OK(cuKernelSetAttribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
				100 << 10, found, 0));
	OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&number, (CUfunction)found, 64,
						       100 << 10));
	CU_ASSERT_EQUAL(number, 2);
}

static void variables_belong_to_the_context(void)
{
	CUdeviceptr here = 0, there = 0;
	CUcontext other = NULL;
	uint32_t value = 0;
	size_t bytes = 0;

	OK(cuLibraryGetGlobal(&here, &bytes, library, "counter"));
	CU_ASSERT_EQUAL(bytes, 4);
	OK(cuMemcpyDtoH(&value, here, 4));
	CU_ASSERT_EQUAL(value, 42);
	OK(cuCtxCreate(&other, NULL, 0, 0));
	OK(cuLibraryGetGlobal(&there, NULL, library, "counter"));
	CU_ASSERT_NOT_EQUAL(here, there);
	OK(cuCtxDestroy(other));
	OK(cuCtxSetCurrent(ctx));
	IS(CUDA_ERROR_NOT_FOUND, cuLibraryGetGlobal(&here, NULL, library, "everywhere"));
	IS(CUDA_ERROR_NOT_FOUND, cuLibraryGetGlobal(&here, NULL, library, "plain"));
	IS(CUDA_ERROR_INVALID_VALUE, cuLibraryGetGlobal(NULL, NULL, library, "counter"));
}

static void managed_variables_are_memory_of_the_host_too(void)
{
	CUdeviceptr at = 0;
	size_t bytes = 0;

	OK(cuLibraryGetManaged(&at, &bytes, library, "everywhere"));
	CU_ASSERT_EQUAL_FATAL(bytes, 4);
	CU_ASSERT_EQUAL(*(uint32_t *)(uintptr_t)at, 11);
	OK(code_fill((CUfunction)kernel("gpushim_fill_u32"), NULL, at, 12, 1));
	OK(cuCtxSynchronize());
	CU_ASSERT_EQUAL(*(uint32_t *)(uintptr_t)at, 12);
	IS(CUDA_ERROR_NOT_FOUND, cuLibraryGetManaged(&at, &bytes, library, "counter"));
}

static void unloading_waits_for_the_kernels_that_run(void)
{
	CUlibrary own = NULL;
	CUkernel spin = NULL;
	CUstream stream = NULL;
	uint64_t ns = 20000000;
	void *params[] = { &ns };

	OK(cuLibraryLoadData(&own, PTX_ALL, NULL, NULL, 0, NULL, NULL, 0));
	OK(cuLibraryGetKernel(&spin, own, "gpushim_spin_ns"));
	OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	OK(cuLaunchKernel((CUfunction)spin, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL));
	OK(cuLibraryUnload(own));
	OK(cuStreamQuery(stream));
	OK(cuStreamDestroy(stream));
}

static void dead_and_invented_handles_are_refused(void)
{
	CUlibrary own = NULL, invented = (CUlibrary)(uintptr_t)0x87654321;
	CUkernel found = NULL;
	CUmodule module = NULL;
	unsigned count;
	void *pointer;
	int value;

	OK(load(&own, PTX_ALL));
	OK(cuLibraryGetKernel(&found, own, "plain"));
	OK(cuLibraryUnload(own));
	IS(CUDA_ERROR_INVALID_HANDLE, cuLibraryUnload(own));
	IS(CUDA_ERROR_INVALID_HANDLE, cuLibraryGetKernel(&found, own, "plain"));
	IS(CUDA_ERROR_INVALID_HANDLE, cuLibraryGetModule(&module, invented));
	IS(CUDA_ERROR_INVALID_HANDLE, cuLibraryGetKernelCount(&count, invented));
	IS(CUDA_ERROR_INVALID_HANDLE,
	   cuKernelGetAttribute(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, found, 0));
	IS(CUDA_ERROR_INVALID_HANDLE,
	   cuLaunchKernel((CUfunction)found, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
	IS(CUDA_ERROR_NOT_FOUND, cuLibraryGetUnifiedFunction(&pointer, library, "plain"));
	IS(CUDA_ERROR_INVALID_VALUE, cuLibraryGetUnifiedFunction(NULL, library, "plain"));
}

static void options_and_images_are_checked(void)
{
	CUlibraryOption preserved = CU_LIBRARY_BINARY_IS_PRESERVED,
			wrong = CU_LIBRARY_NUM_OPTIONS;
	void *value = (void *)1;
	CUlibrary own = NULL;

	OK(cuLibraryLoadData(&own, PTX_ALL, NULL, NULL, 0, &preserved, &value, 1));
	OK(cuLibraryUnload(own));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuLibraryLoadData(&own, PTX_ALL, NULL, NULL, 0, &wrong, &value, 1));
	IS(CUDA_ERROR_INVALID_VALUE, load(NULL, PTX_ALL));
	IS(CUDA_ERROR_INVALID_VALUE, load(&own, NULL));
	IS(CUDA_ERROR_INVALID_IMAGE, load(&own, "not code"));
}

static void a_library_is_loaded_from_a_file(void)
{
	CUlibraryOption preserved = CU_LIBRARY_BINARY_IS_PRESERVED;
	char path[] = "/tmp/simgpu-test-XXXXXX";
	int fd = mkstemp(path);
	void *value = (void *)1;
	CUlibrary own = NULL;
	unsigned count = 0;

	CU_ASSERT_EQUAL(write(fd, PTX_ALL, strlen(PTX_ALL)), (ssize_t)strlen(PTX_ALL));
	close(fd);
	OK(cuLibraryLoadFromFile(&own, path, NULL, NULL, 0, NULL, NULL, 0));
	OK(cuLibraryGetKernelCount(&count, own));
	CU_ASSERT_EQUAL(count, PTX_ALL_KERNELS);
	OK(cuLibraryUnload(own));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuLibraryLoadFromFile(&own, path, NULL, NULL, 0, &preserved, &value, 1));
	unlink(path);
	IS(CUDA_ERROR_FILE_NOT_FOUND,
	   cuLibraryLoadFromFile(&own, path, NULL, NULL, 0, NULL, NULL, 0));
}

const struct unit_suite unit_suite = {
	.name = "libraries",
	.init = open_all,
	.cleanup = close_all,
	.setup = load_library,
	.teardown = unload_library,
	.tests = {
		UNIT_TEST(a_library_needs_no_context),
		UNIT_TEST(kernels_are_found_named_and_enumerated),
		UNIT_TEST(a_kernel_is_launched_where_its_stream_is),
		UNIT_TEST(a_kernel_has_one_function_in_each_context),
		UNIT_TEST(attributes_of_a_kernel_hold_unless_the_function_has_its_own),
		UNIT_TEST(occupancy_is_told_for_kernels),
		UNIT_TEST(variables_belong_to_the_context),
		UNIT_TEST(managed_variables_are_memory_of_the_host_too),
		UNIT_TEST(unloading_waits_for_the_kernels_that_run),
		UNIT_TEST(dead_and_invented_handles_are_refused),
		UNIT_TEST(options_and_images_are_checked),
		UNIT_TEST(a_library_is_loaded_from_a_file),
	},
};
