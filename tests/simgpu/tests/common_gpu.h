/*
 * common_gpu.h - what tests of the simulated driver share: contexts, gates, child processes.
 *
 * Knows: the driver API as any program sees it. Refuses to know: how the driver is built.
 */
#ifndef COMMON_GPU_H
#define COMMON_GPU_H

#include <cuda.h>

#include <stdbool.h>
#include <stdint.h>

#include "cunit_main.h"

/* Asserts that a call returns a certain CUresult. */
#define GPU_IS(call, expected) CU_ASSERT_EQUAL((call), (expected))
#define GPU_OK(call) GPU_IS(call, CUDA_SUCCESS)

/* Initialises CUDA (once per process) and makes a new context current; destroys it. */
CUcontext gpu_context(void);
void gpu_context_end(CUcontext ctx);

/* A gate holds up a stream until the host opens it, however fast either of them is. */
struct gate {
	volatile uint32_t *word;
	CUdeviceptr addr;
};

/* Makes a gate in the current context and puts a wait for it into the stream. */
struct gate gate_close(CUstream stream);
/* Lets the stream go on. The word stays allocated until gate_free(). */
void gate_open(struct gate *gate);
void gate_free(struct gate *gate);

/*
 * Runs body() in a child process that has not touched CUDA, with variables set as in
 * "NAME=value", NULL at the end (a name without '=' is unset). The child has its own list of
 * failures: it returns how many of its CHECKs failed, which are printed.
 * Returns that number, or -1 when it crashed or ran longer than patience allows.
 */
int child_run(void (*body)(void), const char *const *env);

/* For the child's side, where CUnit is not to be used. */
#define CHECK(condition) child_check((condition), #condition, __FILE__, __LINE__)
#define CHECK_IS(call, expected) \
	child_check_result((call), (expected), #call, __FILE__, __LINE__)
/* How many CHECKs have failed in this process. */
int child_failed(void);
void child_check(bool holds, const char *text, const char *file, int line);
void child_check_result(CUresult got, CUresult expected, const char *text,
			const char *file, int line);

#endif
