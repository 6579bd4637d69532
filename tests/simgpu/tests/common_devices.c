/* Three devices, contexts on each and their books; see common_devices.h. */
#include "common_devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TEXT(x) #x
#define VALUE(x) TEXT(x)

struct simgpu_monitor *devices_monitor;
static char first_state[4096];

static struct simgpu_monitor *start(void)
{
	const char *why = "";
	struct simgpu_monitor *monitor;
	char bytes[32];

	setenv("SIMGPU_DEVICES", VALUE(DEVICES), 1);
	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)DEVICE_BYTES);
	setenv("SIMGPU_MEMORY", bytes, 1);
	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)CONTEXT_BYTES);
	setenv("SIMGPU_CONTEXT", bytes, 1);
	unsetenv("CUDA_VISIBLE_DEVICES");
	monitor = simgpu_open(NULL, 1, &why);
	if (monitor == NULL)
		printf("%s\n", why);
	return monitor;
}

int devices_start(void)
{
	const char *state = getenv("SIMGPU_STATE");

	snprintf(first_state, sizeof(first_state), "%s", state != NULL ? state : "");
	devices_monitor = start();
	return devices_monitor != NULL ? 0 : -1;
}

int devices_stop(void)
{
	simgpu_close(devices_monitor);
	return 0;
}

struct simgpu_monitor *devices_elsewhere(const char *name)
{
	/* One that has been used may not have ended yet. */
	static unsigned nth;
	const char *tmp = getenv("TMPDIR");
	struct simgpu_monitor *monitor;
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s-%d-%u", tmp != NULL ? tmp : "/tmp", name,
		 (int)getpid(), nth++);
	setenv("SIMGPU_STATE", path, 1);
	monitor = start();
	CU_ASSERT_PTR_NOT_NULL(monitor);
	if (monitor == NULL)
		devices_here();
	return monitor;
}

void devices_here(void)
{
	if (first_state[0] != '\0')
		setenv("SIMGPU_STATE", first_state, 1);
	else
		unsetenv("SIMGPU_STATE");
}

/* ---- books ---- */

struct simgpu_truth *devices_truth(void)
{
	static struct simgpu_monitor *own;
	static pid_t owner;

	if (owner != getpid()) {
		own = simgpu_open(NULL, 0, NULL);
		owner = getpid();
	}
	return own != NULL ? simgpu_truth(own) : NULL;
}

struct simgpu_bytes devices_bytes(unsigned number)
{
	struct simgpu_truth *truth = devices_truth();
	const struct simgpu_client *me = truth ? simgpu_find(truth, (int)getpid()) : NULL;
	struct simgpu_bytes bytes = { 0 };

	CHECK(me != NULL);
	if (me != NULL)
		bytes = me->memory[number];
	simgpu_free(truth);
	return bytes;
}

/* ---- CUDA ---- */

CUcontext devices_context(CUdevice device)
{
	CUcontext ctx = NULL;

	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuCtxCreate(&ctx, NULL, 0, device), CUDA_SUCCESS);
	return ctx;
}

CUfunction devices_spin(void)
{
	static const char ptx[] =
		".version 7.0\n.target sm_70\n.address_size 64\n"
		".visible .entry gpushim_spin_word(.param .u64 a, .param .u32 v) {}\n";
	CUfunction spin = NULL;
	CUmodule module;

	CHECK_IS(cuModuleLoadData(&module, ptx), CUDA_SUCCESS);
	CHECK_IS(cuModuleGetFunction(&spin, module, "gpushim_spin_word"), CUDA_SUCCESS);
	return spin;
}

void devices_spin_until(CUfunction spin, CUstream stream, volatile uint32_t *word)
{
	CUdeviceptr at = (uintptr_t)word;
	uint32_t value = 1;
	void *params[] = { &at, &value };

	CHECK_IS(cuLaunchKernel(spin, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL),
		 CUDA_SUCCESS);
}

volatile uint32_t *devices_word(void)
{
	void *word = NULL;

	CHECK_IS(cuMemHostAlloc(&word, sizeof(uint32_t), CU_MEMHOSTALLOC_PORTABLE),
		 CUDA_SUCCESS);
	if (word == NULL)
		_exit(100); /* nothing to go on with */
	*(uint32_t *)word = 0;
	return word;
}

bool devices_filled(CUdeviceptr at, unsigned char value, size_t bytes)
{
	unsigned char *copy = malloc(bytes);
	bool filled = copy != NULL && cuCtxSynchronize() == CUDA_SUCCESS &&
		      cuMemcpyDtoH(copy, at, bytes) == CUDA_SUCCESS;

	for (size_t i = 0; filled && i < bytes; i++)
		filled = copy[i] == value;
	free(copy);
	return filled;
}
