/*
 * test_link.c - the linker, against the CUDA driver API manual (cuLinkCreate to
 * cuLinkDestroy); and that an image may be kept, as programs with a cache of kernels do.
 */
#include <string.h>
#include <unistd.h>

#include "code_kernels.h"

static CUcontext ctx;
static CUlinkState state;

static int open_all(void)
{
	return code_open(&ctx);
}

static int close_all(void)
{
	return cuDevicePrimaryCtxRelease(0) == CUDA_SUCCESS ? 0 : -1;
}

static void create(void)
{
	state = NULL;
	cuLinkCreate(0, NULL, NULL, &state);
}

static void destroy(void)
{
	cuLinkDestroy(state);
}

static CUresult add(CUjitInputType type, const void *data, size_t bytes)
{
	return cuLinkAddData(state, type, (void *)(uintptr_t)data, bytes, "a part", 0,
			     NULL, NULL);
}

static CUresult add_ptx(const char *ptx)
{
	return add(CU_JIT_INPUT_PTX, ptx, strlen(ptx) + 1);
}

/* The image, copied; *bytes long. To be freed. */
static void *complete(size_t *bytes)
{
	void *image = NULL, *copy;

	OK(cuLinkComplete(state, &image, bytes));
	copy = calloc(1, *bytes + 1);
	if (image)
		memcpy(copy, image, *bytes);
	return copy;
}

static void expect_kernels(const void *image, unsigned kernels)
{
	CUmodule module = NULL;
	unsigned count = 0;

	OK(cuModuleLoadData(&module, image));
	OK(cuModuleGetFunctionCount(&count, module));
	CU_ASSERT_EQUAL(count, kernels);
	OK(cuModuleUnload(module));
}

static void the_image_has_what_all_inputs_have(void)
{
	uint32_t value = 0;
	CUmodule module = NULL;
	void *image = NULL;
	CUdeviceptr at = 0;

	OK(add_ptx(PTX_HEAD PTX_FILL));
	OK(add_ptx(PTX_HEAD PTX_GLOBALS PTX_PLAIN));
	OK(cuLinkComplete(state, &image, NULL));
	OK(cuModuleLoadData(&module, image));
	OK(cuModuleGetGlobal(&at, NULL, module, "table"));
	OK(code_fill(code_function(module, "gpushim_fill_u32"), NULL, at, 8, 1));
	OK(cuMemcpyDtoH(&value, at, 4));
	CU_ASSERT_EQUAL(value, 8);
	OK(cuLaunchKernel(code_function(module, "plain"), 1, 1, 1, 1, 1, 1, 0, NULL, NULL,
			  NULL));
	OK(cuModuleUnload(module));
}

static void a_kept_image_is_loaded_when_the_linker_has_gone(void)
{
	char path[] = "/tmp/simgpu-test-XXXXXX";
	int fd = mkstemp(path);
	CUmodule module = NULL;
	size_t bytes = 0;
	void *image;

	OK(add_ptx(PTX_ALL));
	image = complete(&bytes);
	OK(cuLinkDestroy(state));
	expect_kernels(image, PTX_ALL_KERNELS);
	CU_ASSERT_EQUAL(write(fd, image, bytes), (ssize_t)bytes);
	OK(cuModuleLoad(&module, path));
	code_function(module, "plain");
	OK(cuModuleUnload(module));
	CU_ASSERT_EQUAL(ftruncate(fd, (off_t)bytes - 8), 0);
	IS(CUDA_ERROR_INVALID_IMAGE, cuModuleLoad(&module, path));
	CU_ASSERT_EQUAL(ftruncate(fd, 12), 0);
	IS(CUDA_ERROR_INVALID_IMAGE, cuModuleLoad(&module, path));
	close(fd);
	unlink(path);
	free(image);
	create();
}

static void damage_to_a_kept_image_is_noticed_or_harmless(void)
{
	size_t bytes = 0;
	unsigned char *image, *copy;

	OK(add_ptx(PTX_HEAD PTX_PLAIN));
	image = complete(&bytes);
	CU_ASSERT_FATAL(bytes > 40);
	copy = malloc(bytes);
	for (size_t i = 0; i < 40; i++) {
		CUmodule module = NULL;

		memcpy(copy, image, bytes);
		copy[i] ^= 0x41;
		/* The last bytes of a length may make it larger than all memory; those
		 * before could lead beyond the copy, and are for files, which have an end. */
		if (i >= 8 && i < 16)
			continue;
		if (cuModuleLoadData(&module, copy) == CUDA_SUCCESS)
			OK(cuModuleUnload(module));
	}
	free(copy);
	free(image);
}

static void an_image_can_be_an_input_again(void)
{
	size_t bytes = 0, all_bytes = 0;
	void *image, *all;

	OK(add_ptx(PTX_HEAD PTX_FILL));
	image = complete(&bytes);
	OK(cuLinkDestroy(state));
	create();
	OK(add(CU_JIT_INPUT_CUBIN, image, bytes));
	OK(add_ptx(PTX_HEAD PTX_PLAIN));
	all = complete(&all_bytes);
	expect_kernels(all, 4);
	free(image);
	free(all);
}

static const unsigned char fatbin_magic[4] = { 0x50, 0xed, 0x55, 0xba };

/* A fat binary of one entry that holds this PTX, as nvcc puts into objects. */
static size_t fat_binary(unsigned char *out, const char *ptx)
{
	const uint64_t text = (strlen(ptx) + 8) & ~7ull;
	const uint64_t body = 64 + text;
	const uint32_t header_bytes = 64;

	memset(out, 0, 16 + body);
	memcpy(out, fatbin_magic, sizeof(fatbin_magic));
	out[4] = 1;  /* version */
	out[6] = 16; /* bytes of this header */
	memcpy(out + 8, &body, 8);
	out[16] = 1; /* PTX */
	memcpy(out + 20, &header_bytes, 4);
	memcpy(out + 24, &text, 8);
	memcpy(out + 80, ptx, strlen(ptx) + 1);
	return 16 + body;
}

static void device_code_is_found_in_objects_and_archives(void)
{
	static unsigned char object[8192];
	size_t at = 100, bytes = 0;
	void *image;

	memset(object, 0x55, sizeof(object));
	/* looks like one, and is none */
	memcpy(object + 10, fatbin_magic, sizeof(fatbin_magic));
	at += fat_binary(object + at, PTX_HEAD PTX_FILL);
	at += 3;
	fat_binary(object + at, PTX_HEAD PTX_REDUCE);
	OK(add(CU_JIT_INPUT_LIBRARY, object, sizeof(object)));
	OK(add(CU_JIT_INPUT_OBJECT, "no device code at all", 20));
	image = complete(&bytes);
	expect_kernels(image, 2);
	free(image);
}

static void files_are_inputs_too(void)
{
	char path[] = "/tmp/simgpu-test-XXXXXX";
	int fd = mkstemp(path);
	size_t bytes = 0;
	void *image;

	CU_ASSERT_EQUAL(write(fd, PTX_ALL, strlen(PTX_ALL)), (ssize_t)strlen(PTX_ALL));
	close(fd);
	OK(cuLinkAddFile(state, CU_JIT_INPUT_PTX, path, 0, NULL, NULL));
	unlink(path);
	IS(CUDA_ERROR_FILE_NOT_FOUND,
	   cuLinkAddFile(state, CU_JIT_INPUT_PTX, path, 0, NULL, NULL));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuLinkAddFile(state, CU_JIT_INPUT_PTX, NULL, 0, NULL, NULL));
	image = complete(&bytes);
	expect_kernels(image, PTX_ALL_KERNELS);
	free(image);
}

static void wrong_inputs_are_refused_and_logged(void)
{
	char error[200] = "";
	CUjit_option options[] = { CU_JIT_ERROR_LOG_BUFFER,
				   CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, CU_JIT_WALL_TIME };
	void *values[] = { error, (void *)sizeof(error), (void *)1 };
	CUlinkState own = NULL;
	char broken[] = ".version 7.0\n.entry {{{";

	OK(cuLinkCreate(3, options, values, &own));
	IS(CUDA_ERROR_INVALID_PTX, cuLinkAddData(own, CU_JIT_INPUT_PTX, broken,
						 sizeof(broken), NULL, 0, NULL, NULL));
	CU_ASSERT_NOT_EQUAL(strlen(error), 0);
	OK(cuLinkDestroy(own));
	IS(CUDA_ERROR_INVALID_IMAGE, add(CU_JIT_INPUT_CUBIN, "certainly no cubin", 18));
	IS(CUDA_ERROR_INVALID_VALUE, add(CU_JIT_INPUT_PTX, NULL, 5));
	IS(CUDA_ERROR_INVALID_VALUE, add(CU_JIT_INPUT_PTX, PTX_ALL, 0));
	IS(CUDA_ERROR_INVALID_VALUE, add((CUjitInputType)77, PTX_ALL, sizeof(PTX_ALL)));
	IS(CUDA_ERROR_NOT_SUPPORTED, add(CU_JIT_INPUT_NVVM, PTX_ALL, sizeof(PTX_ALL)));
}

static void states_and_outputs_are_checked(void)
{
	CUlinkState invented = (CUlinkState)(uintptr_t)0x13579bdf, own = NULL;
	void *image = NULL;
	size_t bytes = 0;

	IS(CUDA_ERROR_INVALID_VALUE, cuLinkCreate(0, NULL, NULL, NULL));
	IS(CUDA_ERROR_INVALID_VALUE, cuLinkCreate(1, NULL, NULL, &own));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuLinkComplete(state, &image, &bytes)); /* of nothing */
	OK(add_ptx(PTX_ALL));
	IS(CUDA_ERROR_INVALID_VALUE, cuLinkComplete(state, NULL, &bytes));
	IS(CUDA_ERROR_INVALID_HANDLE, cuLinkComplete(invented, &image, &bytes));
	IS(CUDA_ERROR_INVALID_HANDLE, cuLinkDestroy(invented));
	OK(cuLinkCreate(0, NULL, NULL, &own));
	OK(cuLinkDestroy(own));
	IS(CUDA_ERROR_INVALID_HANDLE, cuLinkDestroy(own));
}

const struct unit_suite unit_suite = {
	.name = "the linker",
	.init = open_all,
	.cleanup = close_all,
	.setup = create,
	.teardown = destroy,
	.tests = {
		UNIT_TEST(the_image_has_what_all_inputs_have),
		UNIT_TEST(a_kept_image_is_loaded_when_the_linker_has_gone),
		UNIT_TEST(damage_to_a_kept_image_is_noticed_or_harmless),
		UNIT_TEST(an_image_can_be_an_input_again),
		UNIT_TEST(device_code_is_found_in_objects_and_archives),
		UNIT_TEST(files_are_inputs_too),
		UNIT_TEST(wrong_inputs_are_refused_and_logged),
		UNIT_TEST(states_and_outputs_are_checked),
	},
};
