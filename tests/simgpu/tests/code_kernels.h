/*
 * code_kernels.h - what the tests of modules, launches, host functions and memory operations
 * share: PTX for the simulated GPU, a context, and a way to say which CUresult came instead.
 *
 * The kernels have no bodies: the simulated GPU knows those of its own by name and
 * parameters, and looks at no instruction of any other.
 */
#ifndef CODE_KERNELS_H
#define CODE_KERNELS_H

#define CUDA_ENABLE_DEPRECATED /* what is deprecated is tested too */
#include <cuda.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "cunit_main.h"

#define PTX_HEAD ".version 7.0\n.target sm_70\n.address_size 64\n"
#define PTX_FILL \
	".visible .entry gpushim_fill_u32(.param .u64 p, .param .u32 v, .param .u64 n) {}\n"
#define PTX_SAXPY                                                         \
	".visible .entry gpushim_saxpy_f32(.param .u64 x, .param .u64 y," \
	" .param .f32 a, .param .u64 n) {}\n"
#define PTX_REDUCE \
	".visible .entry gpushim_reduce_u32(.param .u64 i, .param .u64 o, .param .u64 n) {}\n"
#define PTX_SPIN                                               \
	".visible .entry gpushim_spin_ns(.param .u64 ns) {}\n" \
	".visible .entry gpushim_spin_word(.param .u64 a, .param .u32 v) {}\n"
#define PTX_PLAIN                                                                      \
	".visible .entry plain() {}\n"                                                 \
	".visible .entry unknown_one(.param .u8 a, .param .u16 b, .param .u64 c) {}\n" \
	".visible .entry at_most_64() .maxntid 64, 1, 1 {}\n"
#define PTX_GLOBALS                                                \
	".visible .global .align 4 .u32 counter = 42;\n"           \
	".visible .const .align 4 .u32 table[4] = {1, 2, 3, 4};\n" \
	".visible .global .align 8 .u64 blank[1024];\n"
#define PTX_ALL PTX_HEAD PTX_GLOBALS PTX_FILL PTX_SAXPY PTX_REDUCE PTX_SPIN PTX_PLAIN
#define PTX_ALL_KERNELS 8

/* Asserts a result; prints the one that came when it is another. */
#define IS(expected, call) CU_ASSERT(code_is((expected), (call), #call, __LINE__))
#define OK(call) IS(CUDA_SUCCESS, call)
/* The same, and ends the test if it did not succeed. */
#define MUST(call) CU_ASSERT_FATAL(code_is(CUDA_SUCCESS, (call), #call, __LINE__))

static inline int code_is(CUresult expected, CUresult got, const char *call, int line)
{
	const char *name = "?";

	if (got == expected)
		return 1;
	cuGetErrorName(got, &name);
	printf("line %d: %s is %d (%s), not %d\n", line, call, (int)got, name,
	       (int)expected);
	return 0;
}

/* The primary context of device 0, current to the calling thread. 0 on success. */
static inline int code_open(CUcontext *ctx)
{
	if (cuInit(0) != CUDA_SUCCESS ||
	    cuDevicePrimaryCtxRetain(ctx, 0) != CUDA_SUCCESS ||
	    cuCtxSetCurrent(*ctx) != CUDA_SUCCESS) {
		fprintf(stderr, "there is no simulated GPU to test\n");
		return -1;
	}
	return 0;
}

/* A kernel of a module; NULL, which no launch accepts, with a line that says why. */
static inline CUfunction code_function(CUmodule module, const char *name)
{
	CUfunction function = NULL;

	if (!code_is(CUDA_SUCCESS, cuModuleGetFunction(&function, module, name), name,
		     __LINE__))
		return NULL;
	return function;
}

/* One thread that fills n words with the value. */
static inline CUresult code_fill(CUfunction fill, CUstream stream, CUdeviceptr at,
				 uint32_t value, uint64_t n)
{
	void *params[] = { &at, &value, &n };

	return cuLaunchKernel(fill, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL);
}

/* Spins until the word (pinned memory, say) has the value. */
static inline CUresult code_spin_word(CUfunction spin, CUstream stream, CUdeviceptr at,
				      uint32_t value)
{
	void *params[] = { &at, &value };

	return cuLaunchKernel(spin, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL);
}

/* Pinned memory as an array of words that the device can name by the same address. */
static inline uint32_t *code_pinned(unsigned words)
{
	void *memory = NULL;

	OK(cuMemHostAlloc(&memory, words * sizeof(uint32_t), CU_MEMHOSTALLOC_PORTABLE));
	for (unsigned i = 0; memory && i < words; i++)
		((uint32_t *)memory)[i] = 0;
	return memory;
}

static inline CUdeviceptr code_address(const void *pinned)
{
	return (CUdeviceptr)(uintptr_t)pinned;
}

static inline uint32_t code_load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void code_store(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

#endif
