/* Helpers for tests of the simulated driver; see common_gpu.h. */
#include "common_gpu.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

CUcontext gpu_context(void)
{
	CUcontext ctx = NULL;
	CUdevice device;

	if (cuInit(0) != CUDA_SUCCESS || cuDeviceGet(&device, 0) != CUDA_SUCCESS ||
	    cuCtxCreate(&ctx, NULL, 0, device) != CUDA_SUCCESS)
		CU_FAIL("a context could not be made");
	return ctx;
}

void gpu_context_end(CUcontext ctx)
{
	GPU_OK(cuCtxDestroy(ctx));
}

struct gate gate_close(CUstream stream)
{
	struct gate gate = { NULL, 0 };
	void *host = NULL;

	GPU_OK(cuMemHostAlloc(&host, sizeof(uint32_t), CU_MEMHOSTALLOC_DEVICEMAP));
	gate.word = host;
	if (host == NULL)
		return gate;
	*gate.word = 0;
	GPU_OK(cuMemHostGetDevicePointer(&gate.addr, host, 0));
	GPU_OK(cuStreamWaitValue32(stream, gate.addr, 1, CU_STREAM_WAIT_VALUE_EQ));
	return gate;
}

void gate_open(struct gate *gate)
{
	__atomic_store_n(gate->word, 1, __ATOMIC_RELEASE);
}

void gate_free(struct gate *gate)
{
	GPU_OK(cuMemFreeHost((void *)(uintptr_t)gate->word));
}

/* ---- children ---- */

static int child_failures;

int child_failed(void)
{
	return child_failures;
}

void child_check(bool holds, const char *text, const char *file, int line)
{
	if (holds)
		return;
	child_failures++;
	printf("      %s:%d: in a child: %s\n", file, line, text);
}

void child_check_result(CUresult got, CUresult expected, const char *text,
			const char *file, int line)
{
	if (got == expected)
		return;
	child_failures++;
	printf("      %s:%d: in a child: %s is %d, not %d\n", file, line, text, (int)got,
	       (int)expected);
}

int child_run(void (*body)(void), const char *const *env)
{
	unsigned seconds = unit_patience_ms(30000) / 1000;
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		for (; env != NULL && *env != NULL; env++) {
			if (strchr(*env, '=') != NULL)
				putenv((char *)(uintptr_t)*env);
			else
				unsetenv(*env);
		}
		alarm(seconds);
		body();
		fflush(NULL);
		_exit(child_failures < 100 ? child_failures : 100);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}
