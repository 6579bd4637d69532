/*
 * test_module.c - modules and their functions, against the CUDA driver API manual ("Module
 * Management", "Execution Control").
 *
 * Knows what the device says it holds for code; refuses to know how images are laid out.
 */
#include <elf.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "code_kernels.h"
#include "simgpu.h"

static CUcontext ctx;
static struct simgpu_monitor *monitor;

static int open_all(void)
{
	const char *why;

	unsetenv("CUDA_MODULE_LOADING");
	if (code_open(&ctx) != 0)
		return -1;
	monitor = simgpu_open(NULL, 0, &why);
	return monitor ? 0 : -1;
}

static int close_all(void)
{
	simgpu_close(monitor);
	return cuDevicePrimaryCtxRelease(0) == CUDA_SUCCESS ? 0 : -1;
}

static CUmodule load(const char *ptx)
{
	CUmodule module = NULL;

	OK(cuModuleLoadData(&module, ptx));
	return module;
}

/* What the device holds for this process. */
static struct simgpu_bytes held(void)
{
	struct simgpu_truth *truth = simgpu_truth(monitor);
	const struct simgpu_client *client = truth ? simgpu_find(truth, getpid()) : NULL;
	struct simgpu_bytes bytes = { 0 };

	CU_ASSERT_PTR_NOT_NULL(client);
	if (client)
		bytes = client->memory[0];
	simgpu_free(truth);
	return bytes;
}

static void a_module_of_ptx_has_the_functions_that_stand_in_it(void)
{
	CUmodule module = load(PTX_ALL), back = NULL;
	CUfunction function = code_function(module, "unknown_one");
	const char *name = NULL;

	OK(cuFuncGetModule(&back, function));
	CU_ASSERT_PTR_EQUAL(back, module);
	OK(cuFuncGetName(&name, function));
	CU_ASSERT_TRUE(name && strcmp(name, "unknown_one") == 0);
	CU_ASSERT_PTR_EQUAL(code_function(module, "unknown_one"), function);
	IS(CUDA_ERROR_NOT_FOUND,
	   cuModuleGetFunction(&function, module, "no_such_kernel"));
	OK(cuModuleUnload(module));
}

static void parameters_are_told_with_offset_and_size(void)
{
	static const size_t expected[3][2] = { { 0, 1 }, { 2, 2 }, { 8, 8 } };
	CUmodule module = load(PTX_ALL);
	CUfunction function = code_function(module, "unknown_one");
	size_t offset = 99, size = 99;

	for (size_t i = 0; i < 3; i++) {
		OK(cuFuncGetParamInfo(function, i, &offset, &size));
		CU_ASSERT_EQUAL(offset, expected[i][0]);
		CU_ASSERT_EQUAL(size, expected[i][1]);
	}
	OK(cuFuncGetParamInfo(function, 2, &offset, NULL));
	IS(CUDA_ERROR_INVALID_VALUE, cuFuncGetParamInfo(function, 3, &offset, &size));
	IS(CUDA_ERROR_INVALID_VALUE, cuFuncGetParamInfo(function, 0, NULL, &size));
	OK(cuModuleUnload(module));
}

static void what_is_no_code_is_refused_with_the_documented_errors(void)
{
	CUmodule module = NULL;

	IS(CUDA_ERROR_INVALID_VALUE, cuModuleLoadData(NULL, PTX_ALL));
	IS(CUDA_ERROR_INVALID_VALUE, cuModuleLoadData(&module, NULL));
	IS(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadData(&module, "certainly not code"));
	IS(CUDA_ERROR_INVALID_PTX, cuModuleLoadData(&module, ".version 7.0\n.entry {{{"));
	IS(CUDA_ERROR_INVALID_PTX,
	   cuModuleLoadData(&module, ".version 9.0\n.target sm_250\n.address_size 64\n"));
	IS(CUDA_ERROR_INVALID_VALUE, cuModuleLoadFatBinary(&module, NULL));
	IS(CUDA_ERROR_FILE_NOT_FOUND, cuModuleLoad(&module, "/no/such/file.ptx"));
	IS(CUDA_ERROR_INVALID_VALUE, cuModuleLoad(&module, NULL));
	CU_ASSERT_PTR_NULL(module);
}

/* The least that is a cubin: an ELF header and one section, an empty table of strings. */
static CUresult load_cubin(unsigned sm)
{
	struct {
		Elf64_Ehdr head;
		Elf64_Shdr section;
	} cubin;
	CUmodule module;
	CUresult res;

	memset(&cubin, 0, sizeof(cubin));
	memcpy(cubin.head.e_ident, ELFMAG, SELFMAG);
	cubin.head.e_ident[EI_CLASS] = ELFCLASS64;
	cubin.head.e_ident[EI_DATA] = ELFDATA2LSB;
	cubin.head.e_machine = 190; /* CUDA */
	cubin.head.e_flags = sm;
	cubin.head.e_shentsize = sizeof(cubin.section);
	cubin.head.e_shoff = sizeof(cubin.head);
	cubin.head.e_shnum = 1;
	cubin.section.sh_type = SHT_STRTAB;
	res = cuModuleLoadData(&module, &cubin);
	return res ? res : cuModuleUnload(module);
}

static void a_cubin_runs_on_its_major_architecture_alone(void)
{
	OK(load_cubin(90));
	IS(CUDA_ERROR_NO_BINARY_FOR_GPU, load_cubin(80));
	IS(CUDA_ERROR_NO_BINARY_FOR_GPU, load_cubin(100));
}

/* A cubin with a variable of `bytes` and, behind it, an initialised one of four bytes. */
static CUresult load_variables(CUmodule *module, uint64_t bytes)
{
	static const char names[] = "\0.nv.global\0.nv.global.init\0large\0small";
	enum { NAMES, SYMBOLS, LARGE, SMALL, SECTIONS };
	struct {
		Elf64_Ehdr head;
		Elf64_Shdr sections[SECTIONS];
		Elf64_Sym symbols[2];
		uint32_t small;
		char names[sizeof(names)];
	} cubin = {
		.head = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB },
			  .e_machine = 190, /* CUDA */
			  .e_flags = 90,
			  .e_shentsize = sizeof(Elf64_Shdr),
			  .e_shoff = sizeof(Elf64_Ehdr),
			  .e_shnum = SECTIONS },
		.symbols = { { 28, ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT), 0, LARGE, 0,
			       bytes },
			     { 34, ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT), 0, SMALL, 0,
			       sizeof(uint32_t) } },
		.small = 5,
	};

	memcpy(cubin.names, names, sizeof(names));
	cubin.sections[NAMES].sh_type = SHT_STRTAB;
	cubin.sections[NAMES].sh_offset = offsetof(__typeof__(cubin), names);
	cubin.sections[NAMES].sh_size = sizeof(names);
	cubin.sections[SYMBOLS].sh_type = SHT_SYMTAB;
	cubin.sections[SYMBOLS].sh_offset = offsetof(__typeof__(cubin), symbols);
	cubin.sections[SYMBOLS].sh_size = sizeof(cubin.symbols);
	cubin.sections[LARGE].sh_name = 1;
	cubin.sections[LARGE].sh_type = SHT_NOBITS;
	cubin.sections[LARGE].sh_size = bytes;
	cubin.sections[SMALL].sh_name = 12;
	cubin.sections[SMALL].sh_type = SHT_PROGBITS;
	cubin.sections[SMALL].sh_offset = offsetof(__typeof__(cubin), small);
	cubin.sections[SMALL].sh_size = sizeof(cubin.small);
	return cuModuleLoadData(module, &cubin);
}

static void variables_of_any_size_are_held_or_refused(void)
{
	static const uint64_t sizes[] = { 1ull << 40,	     1ull << 63,
					  UINT64_MAX - 1023, UINT64_MAX - 511,
					  UINT64_MAX - 255,  UINT64_MAX };
	struct simgpu_bytes before = held();
	CUmodule module = NULL;
	CUdeviceptr small = 0;
	uint32_t value = 0;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		IS(CUDA_ERROR_OUT_OF_MEMORY, load_variables(&module, sizes[i]));
	OK(load_variables(&module, 4096));
	OK(cuModuleGetGlobal(&small, NULL, module, "small"));
	OK(cuMemcpyDtoH(&value, small, sizeof(value)));
	CU_ASSERT_EQUAL(value, 5);
	OK(cuModuleUnload(module));
	CU_ASSERT_EQUAL(held().code, before.code);
}

static void dead_and_invented_handles_are_refused(void)
{
	CUmodule module = load(PTX_ALL);
	CUfunction function = code_function(module, "plain");
	CUdeviceptr at;
	int value;

	IS(CUDA_ERROR_INVALID_VALUE, cuModuleGetFunction(NULL, module, "plain"));
	IS(CUDA_ERROR_INVALID_VALUE, cuModuleGetFunction(&function, module, NULL));
	OK(cuModuleUnload(module));
	IS(CUDA_ERROR_INVALID_HANDLE, cuModuleUnload(module));
	IS(CUDA_ERROR_INVALID_HANDLE, cuModuleUnload((CUmodule)(uintptr_t)0xdeadbeef));
	IS(CUDA_ERROR_INVALID_HANDLE, cuModuleGetFunction(&function, module, "plain"));
	IS(CUDA_ERROR_INVALID_HANDLE, cuModuleGetGlobal(&at, NULL, module, "counter"));
	IS(CUDA_ERROR_INVALID_HANDLE,
	   cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, function));
	IS(CUDA_ERROR_INVALID_HANDLE,
	   cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
}

static void variables_have_their_initial_values_each_time(void)
{
	uint32_t counter = 0, table[4] = { 0 };
	uint64_t blank[1024];
	CUdeviceptr at = 0;
	size_t bytes = 0;

	for (int round = 0; round < 2; round++) {
		CUmodule module = load(PTX_ALL);

		OK(cuModuleGetGlobal(&at, &bytes, module, "counter"));
		CU_ASSERT_EQUAL(bytes, 4);
		OK(cuMemcpyDtoH(&counter, at, 4));
		CU_ASSERT_EQUAL(counter, 42);
		counter = 43;
		OK(cuMemcpyHtoD(at, &counter, 4));
		OK(cuModuleGetGlobal(&at, NULL, module, "table"));
		OK(cuModuleGetGlobal(NULL, &bytes, module, "table"));
		CU_ASSERT_EQUAL(bytes, 16);
		OK(cuMemcpyDtoH(table, at, 16));
		CU_ASSERT_EQUAL(table[0] + 10 * table[3], 41);
		OK(cuModuleGetGlobal(&at, &bytes, module, "blank"));
		OK(cuMemcpyDtoH(blank, at, bytes));
		for (int i = 0; i < 1024; i++)
			CU_ASSERT_EQUAL(blank[i], 0);
		OK(cuMemsetD8(at, 0xff, bytes)); /* must not shine through next time */
		IS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH(blank, at, bytes + 256));
		IS(CUDA_ERROR_NOT_FOUND, cuModuleGetGlobal(&at, &bytes, module, "plain"));
		IS(CUDA_ERROR_INVALID_VALUE,
		   cuModuleGetGlobal(NULL, NULL, module, "table"));
		OK(cuModuleUnload(module));
	}
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH(&counter, at, 4));
}

static void variables_are_aligned_as_declared_and_do_not_overlap(void)
{
	CUmodule module = load(PTX_HEAD
			       ".visible .global .align 1 .u8 a = 1;\n"
			       ".visible .global .align 128 .u8 b = 2;\n"
			       ".visible .global .align 1 .b8 c[3] = {3, 4, 5};\n"
			       ".visible .global .align 16 .u64 d = 6;\n");
	CUdeviceptr a = 0, b = 0, c = 0, d = 0;
	unsigned char bytes[3] = { 0 };
	uint64_t value = 0;

	OK(cuModuleGetGlobal(&a, NULL, module, "a"));
	OK(cuModuleGetGlobal(&b, NULL, module, "b"));
	OK(cuModuleGetGlobal(&c, NULL, module, "c"));
	OK(cuModuleGetGlobal(&d, NULL, module, "d"));
	CU_ASSERT(b % 128 == 0 && d % 16 == 0);
	OK(cuMemcpyDtoH(bytes, c, 3));
	CU_ASSERT(bytes[0] == 3 && bytes[1] == 4 && bytes[2] == 5);
	OK(cuMemsetD8(a, 9, 1));
	OK(cuMemsetD8(b, 9, 1));
	OK(cuMemsetD8(c, 9, 3));
	OK(cuMemcpyDtoH(&value, d, sizeof(value)));
	CU_ASSERT_EQUAL(value, 6);
	OK(cuModuleUnload(module));
}

static void a_kernel_writes_a_variable(void)
{
	CUmodule module = load(PTX_ALL);
	uint32_t words[3] = { 0 };
	CUdeviceptr at = 0;

	OK(cuModuleGetGlobal(&at, NULL, module, "blank"));
	OK(code_fill(code_function(module, "gpushim_fill_u32"), NULL, at + 4, 7, 1));
	OK(cuMemcpyDtoH(words, at, sizeof(words)));
	CU_ASSERT_EQUAL(words[0], 0);
	CU_ASSERT_EQUAL(words[1], 7);
	CU_ASSERT_EQUAL(words[2], 0);
	OK(cuModuleUnload(module));
}

static void code_is_held_from_the_first_function_on_and_given_back(void)
{
	struct simgpu_bytes before = held(), loaded, used, after;
	CUmoduleLoadingMode mode = 0;
	CUmodule module;

	OK(cuModuleGetLoadingMode(&mode));
	CU_ASSERT_EQUAL(mode, CU_MODULE_LAZY_LOADING);
	module = load(PTX_HEAD PTX_PLAIN);
	loaded = held();
	CU_ASSERT_EQUAL(loaded.code, before.code);
	code_function(module, "plain");
	used = held();
	CU_ASSERT_TRUE(used.code > before.code);
	CU_ASSERT_EQUAL(used.code % 65536, 0);
	CU_ASSERT_EQUAL(used.used - before.used, used.code - before.code);
	code_function(module, "at_most_64");
	CU_ASSERT_EQUAL(held().code, used.code);
	OK(cuModuleUnload(module));
	after = held();
	CU_ASSERT_EQUAL(after.code, before.code);
	CU_ASSERT_EQUAL(after.used, before.used);
}

static void variables_are_held_at_once_and_are_no_allocation_of_the_program(void)
{
	struct simgpu_bytes before = held(), loaded;
	CUmodule module = load(PTX_ALL);

	loaded = held();
	CU_ASSERT_TRUE(loaded.code >= before.code + 8192 + 4 + 16);
	CU_ASSERT_EQUAL(loaded.requested, before.requested);
	OK(cuModuleUnload(module));
	CU_ASSERT_EQUAL(held().used, before.used);
}

static void eager_loading_holds_the_code_at_once(void)
{
	struct simgpu_bytes before = held();
	CUmoduleLoadingMode mode = 0;
	CUmodule module;

	setenv("CUDA_MODULE_LOADING", "EAGER", 1);
	OK(cuModuleGetLoadingMode(&mode));
	CU_ASSERT_EQUAL(mode, CU_MODULE_EAGER_LOADING);
	module = load(PTX_HEAD PTX_PLAIN);
	CU_ASSERT_TRUE(held().code > before.code);
	OK(cuModuleUnload(module));
	unsetenv("CUDA_MODULE_LOADING");
	IS(CUDA_ERROR_INVALID_VALUE, cuModuleGetLoadingMode(NULL));
}

static void enumerated_functions_are_loaded_when_asked_or_launched(void)
{
	CUmodule module = load(PTX_ALL);
	CUfunction functions[PTX_ALL_KERNELS + 1] = { NULL };
	CUfunctionLoadingState state = CU_FUNCTION_LOADING_STATE_MAX;
	unsigned count = 0;
	int value = 0;

	OK(cuModuleGetFunctionCount(&count, module));
	CU_ASSERT_EQUAL(count, PTX_ALL_KERNELS);
	OK(cuModuleEnumerateFunctions(functions, PTX_ALL_KERNELS + 1, module));
	CU_ASSERT_PTR_NOT_NULL(functions[PTX_ALL_KERNELS - 1]);
	CU_ASSERT_PTR_NULL(functions[PTX_ALL_KERNELS]);
	OK(cuFuncIsLoaded(&state, functions[0]));
	CU_ASSERT_EQUAL(state, CU_FUNCTION_LOADING_STATE_UNLOADED);
	IS(CUDA_ERROR_FUNCTION_NOT_LOADED,
	   cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK,
			      functions[0]));
	OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, functions[0]));
	OK(cuFuncLoad(functions[0]));
	OK(cuFuncIsLoaded(&state, functions[0]));
	CU_ASSERT_EQUAL(state, CU_FUNCTION_LOADING_STATE_LOADED);
	OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK,
			      functions[0]));
	CU_ASSERT_EQUAL(value, 1024);
	for (int i = 1; i < PTX_ALL_KERNELS; i++) {
		const char *name = "";

		OK(cuFuncGetName(&name, functions[i]));
		if (strcmp(name, "plain") != 0)
			continue;
		OK(cuLaunchKernel(functions[i], 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
		OK(cuFuncIsLoaded(&state, functions[i]));
		CU_ASSERT_EQUAL(state, CU_FUNCTION_LOADING_STATE_LOADED);
	}
	IS(CUDA_ERROR_INVALID_VALUE, cuModuleEnumerateFunctions(NULL, 1, module));
	OK(cuModuleUnload(module));
}

static void attributes_say_what_the_image_says(void)
{
	CUmodule module = load(PTX_ALL);
	CUfunction bounded = code_function(module, "at_most_64");
	int value = 0;

	OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, bounded));
	CU_ASSERT_EQUAL(value, 64);
	OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_PTX_VERSION, bounded));
	CU_ASSERT_EQUAL(value, 70);
	OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_BINARY_VERSION, bounded));
	CU_ASSERT_EQUAL(value, 90);
	OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES, bounded));
	CU_ASSERT_EQUAL(value, 16);
	OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
			      bounded));
	CU_ASSERT_EQUAL(value, 48 << 10);
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX, bounded));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuFuncGetAttribute(NULL, CU_FUNC_ATTRIBUTE_NUM_REGS, bounded));
	OK(cuModuleUnload(module));
}

static void attributes_are_set_within_their_limits(void)
{
	CUmodule module = load(PTX_ALL);
	CUfunction f = code_function(module, "plain");
	const CUfunction_attribute dynamic =
		CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
	int value = 0;

	OK(cuFuncSetAttribute(f, dynamic, 227 << 10));
	OK(cuFuncGetAttribute(&value, dynamic, f));
	CU_ASSERT_EQUAL(value, 227 << 10);
	IS(CUDA_ERROR_INVALID_VALUE, cuFuncSetAttribute(f, dynamic, (227 << 10) + 1));
	IS(CUDA_ERROR_INVALID_VALUE, cuFuncSetAttribute(f, dynamic, -1));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_NUM_REGS, 16));
	IS(CUDA_ERROR_INVALID_VALUE, cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX, 1));
	OK(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, 50));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT,
			      101));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, -2));
	OK(cuFuncSetCacheConfig(f, CU_FUNC_CACHE_PREFER_L1));
	IS(CUDA_ERROR_INVALID_VALUE, cuFuncSetCacheConfig(f, (CUfunc_cache)77));
	OK(cuFuncSetSharedMemConfig(f, CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE));
	IS(CUDA_ERROR_INVALID_VALUE, cuFuncSetSharedMemConfig(f, (CUsharedconfig)77));
	OK(cuModuleUnload(module));
}

static void unloading_waits_for_the_kernels_that_run(void)
{
	CUmodule module = load(PTX_ALL);
	uint64_t ns = 20000000;
	void *params[] = { &ns };
	CUstream stream = NULL;

	OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	OK(cuLaunchKernel(code_function(module, "gpushim_spin_ns"), 1, 1, 1, 1, 1, 1, 0,
			  stream, params, NULL));
	OK(cuModuleUnload(module));
	OK(cuStreamQuery(stream));
	OK(cuStreamDestroy(stream));
}

static void loading_variables_does_not_wait_for_kernels(void)
{
	CUmodule module = load(PTX_ALL), second = NULL;
	uint32_t *word = code_pinned(1), value = 0;
	CUdeviceptr at = 0;

	OK(code_spin_word(code_function(module, "gpushim_spin_word"), NULL,
			  code_address(word), 1));
	OK(cuModuleLoadData(&second, PTX_HEAD PTX_GLOBALS));
	IS(CUDA_ERROR_NOT_READY, cuStreamQuery(NULL));
	code_store(word, 1);
	OK(cuCtxSynchronize());
	OK(cuModuleGetGlobal(&at, NULL, second, "counter"));
	OK(cuMemcpyDtoH(&value, at, 4));
	CU_ASSERT_EQUAL(value, 42);
	OK(cuModuleUnload(second));
	OK(cuModuleUnload(module));
	OK(cuMemFreeHost(word));
}

static void a_context_takes_its_modules_with_it(void)
{
	struct simgpu_bytes before = held();
	CUmodule module = NULL;
	CUfunction function;
	CUcontext own = NULL;

	OK(cuCtxCreate(&own, NULL, 0, 0));
	module = load(PTX_ALL);
	function = code_function(module, "plain");
	OK(cuCtxDestroy(own));
	OK(cuCtxSetCurrent(ctx));
	CU_ASSERT_EQUAL(held().code, before.code);
	CU_ASSERT_EQUAL(held().used, before.used);
	IS(CUDA_ERROR_INVALID_HANDLE, cuModuleUnload(module));
	IS(CUDA_ERROR_INVALID_HANDLE,
	   cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
}

static void texture_and_surface_references_are_found_by_name(void)
{
	CUmodule module = load(PTX_HEAD ".visible .global .texref image;\n"
					".visible .global .surfref canvas;\n" PTX_PLAIN);
	CUtexref texture = NULL, again = NULL;
	CUsurfref surface = NULL;

	OK(cuModuleGetTexRef(&texture, module, "image"));
	OK(cuModuleGetTexRef(&again, module, "image"));
	CU_ASSERT_PTR_EQUAL(texture, again);
	OK(cuModuleGetSurfRef(&surface, module, "canvas"));
	IS(CUDA_ERROR_NOT_FOUND, cuModuleGetTexRef(&texture, module, "canvas"));
	IS(CUDA_ERROR_NOT_FOUND, cuModuleGetSurfRef(&surface, module, "nowhere"));
	IS(CUDA_ERROR_INVALID_VALUE, cuModuleGetTexRef(NULL, module, "image"));
	OK(cuParamSetTexRef(code_function(module, "plain"), CU_PARAM_TR_DEFAULT,
			    texture));
	OK(cuModuleUnload(module));
	IS(CUDA_ERROR_INVALID_HANDLE, cuModuleGetTexRef(&texture, module, "image"));
}

static void a_module_needs_a_context(void)
{
	CUmodule module = NULL;

	OK(cuCtxSetCurrent(NULL));
	IS(CUDA_ERROR_INVALID_CONTEXT, cuModuleLoadData(&module, PTX_ALL));
	OK(cuCtxSetCurrent(ctx));
}

static void a_capture_in_global_mode_forbids_loading(void)
{
	CUstream stream = NULL;
	CUmodule module = NULL;
	CUgraph graph = NULL;

	OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	module = load(PTX_ALL);
	OK(cuModuleUnload(module));
	OK(cuStreamEndCapture(stream, &graph));
	OK(cuGraphDestroy(graph));
	OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
	IS(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuModuleLoadData(&module, PTX_ALL));
	IS(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(stream, &graph));
	OK(cuStreamDestroy(stream));
}

static void a_module_is_loaded_from_a_file(void)
{
	char path[] = "/tmp/simgpu-test-XXXXXX";
	int fd = mkstemp(path);
	CUmodule module = NULL;

	CU_ASSERT_EQUAL(write(fd, PTX_ALL, strlen(PTX_ALL)), (ssize_t)strlen(PTX_ALL));
	close(fd);
	OK(cuModuleLoad(&module, path));
	code_function(module, "plain");
	OK(cuModuleUnload(module));
	unlink(path);
}

static void compiler_logs_are_answered(void)
{
	char info[64] = "x", error[128] = "x";
	CUjit_option options[] = { CU_JIT_INFO_LOG_BUFFER,
				   CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES,
				   CU_JIT_ERROR_LOG_BUFFER,
				   CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
				   CU_JIT_MAX_REGISTERS };
	void *values[] = { info, (void *)sizeof(info), error, (void *)sizeof(error),
			   (void *)32 };
	CUjit_option wrong = CU_JIT_NUM_OPTIONS;
	CUmodule module = NULL;

	OK(cuModuleLoadDataEx(&module, PTX_ALL, 5, options, values));
	CU_ASSERT_EQUAL(info[0], '\0');
	CU_ASSERT_PTR_NULL(values[1]);
	CU_ASSERT_EQUAL(error[0], '\0');
	OK(cuModuleUnload(module));
	values[1] = (void *)sizeof(info);
	values[3] = (void *)sizeof(error);
	IS(CUDA_ERROR_INVALID_PTX,
	   cuModuleLoadDataEx(&module, ".version 7.0\n.entry {{{", 5, options, values));
	CU_ASSERT_NOT_EQUAL(strlen(error), 0);
	CU_ASSERT_EQUAL((size_t)values[3], strlen(error));
	IS(CUDA_ERROR_INVALID_VALUE, cuModuleLoadDataEx(&module, PTX_ALL, 1, NULL, NULL));
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuModuleLoadDataEx(&module, PTX_ALL, 1, &wrong, values));
}

enum { THREADS = 4, ROUNDS = 30 };

/* Returns the number of rounds in which anything went wrong. */
static void *load_and_launch(void *arg)
{
	uintptr_t wrong = 0;
	CUstream stream;

	(void)arg;
	if (cuCtxSetCurrent(ctx) || cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING))
		return (void *)(uintptr_t)ROUNDS;
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t value = 0;
		CUdeviceptr at = 0;
		CUfunction fill;
		CUmodule module;

		wrong += cuModuleLoadData(&module, PTX_ALL) != CUDA_SUCCESS ||
			 cuModuleGetFunction(&fill, module, "gpushim_fill_u32") ||
			 cuModuleGetGlobal(&at, NULL, module, "counter") ||
			 code_fill(fill, stream, at, (uint32_t)i, 1) ||
			 cuStreamSynchronize(stream) || cuMemcpyDtoH(&value, at, 4) ||
			 value != (uint32_t)i || cuModuleUnload(module);
	}
	wrong += cuStreamDestroy(stream) != CUDA_SUCCESS;
	return (void *)wrong;
}

static void threads_load_launch_and_unload_at_once(void)
{
	struct simgpu_bytes before = held();
	pthread_t threads[THREADS];
	void *wrong;

	for (int i = 0; i < THREADS; i++)
		CU_ASSERT_EQUAL_FATAL(
			pthread_create(&threads[i], NULL, load_and_launch, NULL), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &wrong);
		CU_ASSERT_PTR_NULL(wrong);
	}
	CU_ASSERT_EQUAL(held().code, before.code);
}

/* Loads and unloads in the current context until that has gone. */
static void *load_until_gone(void *own)
{
	CUmodule module;
	CUresult res = cuCtxSetCurrent(own);

	while (res == CUDA_SUCCESS) {
		res = cuModuleLoadData(&module, PTX_ALL);
		if (res == CUDA_SUCCESS)
			res = cuModuleUnload(module);
	}
	return (void *)(intptr_t)res;
}

static void a_context_may_go_while_its_modules_are_unloaded(void)
{
	struct simgpu_bytes before = held();
	pthread_t threads[THREADS];
	CUcontext own = NULL;
	void *result;

	for (int round = 0; round < ROUNDS; round++) {
		MUST(cuCtxCreate(&own, NULL, 0, 0));
		for (int i = 0; i < THREADS; i++)
			CU_ASSERT_EQUAL_FATAL(
				pthread_create(&threads[i], NULL, load_until_gone, own),
				0);
		OK(cuCtxDestroy(own));
		for (int i = 0; i < THREADS; i++) {
			pthread_join(threads[i], &result);
			CU_ASSERT_NOT_EQUAL((intptr_t)result, CUDA_SUCCESS);
		}
	}
	OK(cuCtxSetCurrent(ctx));
	CU_ASSERT_EQUAL(held().code, before.code);
	OK(cuCtxSynchronize());
}

const struct unit_suite unit_suite = {
	.name = "modules",
	.init = open_all,
	.cleanup = close_all,
	.tests = {
		UNIT_TEST(a_module_of_ptx_has_the_functions_that_stand_in_it),
		UNIT_TEST(parameters_are_told_with_offset_and_size),
		UNIT_TEST(what_is_no_code_is_refused_with_the_documented_errors),
		UNIT_TEST(a_cubin_runs_on_its_major_architecture_alone),
		UNIT_TEST(variables_of_any_size_are_held_or_refused),
		UNIT_TEST(dead_and_invented_handles_are_refused),
		UNIT_TEST(variables_have_their_initial_values_each_time),
		UNIT_TEST(variables_are_aligned_as_declared_and_do_not_overlap),
		UNIT_TEST(a_kernel_writes_a_variable),
		UNIT_TEST(code_is_held_from_the_first_function_on_and_given_back),
		UNIT_TEST(variables_are_held_at_once_and_are_no_allocation_of_the_program),
		UNIT_TEST(eager_loading_holds_the_code_at_once),
		UNIT_TEST(enumerated_functions_are_loaded_when_asked_or_launched),
		UNIT_TEST(attributes_say_what_the_image_says),
		UNIT_TEST(attributes_are_set_within_their_limits),
		UNIT_TEST(unloading_waits_for_the_kernels_that_run),
		UNIT_TEST(loading_variables_does_not_wait_for_kernels),
		UNIT_TEST(a_context_takes_its_modules_with_it),
		UNIT_TEST(texture_and_surface_references_are_found_by_name),
		UNIT_TEST(a_module_needs_a_context),
		UNIT_TEST(a_capture_in_global_mode_forbids_loading),
		UNIT_TEST(a_module_is_loaded_from_a_file),
		UNIT_TEST(compiler_logs_are_answered),
		UNIT_TEST(threads_load_launch_and_unload_at_once),
		UNIT_TEST(a_context_may_go_while_its_modules_are_unloaded),
	},
};
