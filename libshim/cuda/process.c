/*
 * process.c - the memory of struct gsh_process, and what a hook returns where there is no
 * account. Refuses to know where limits come from; that is shim.c.
 */
#include "cuda/process.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cuda/hook.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18 /* Linux 4.14 */
#endif

struct gsh_process *gsh_process;
uint32_t gsh_compare_pid;

int gsh_process_is_stale(const struct gsh_process *process)
{
	return process->pid != (uint32_t)getpid();
}

static struct gsh_process *map_process(void)
{
	struct gsh_process *process = mmap(NULL, sizeof(*process), PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (process == MAP_FAILED)
		return NULL;
	if (madvise(process, sizeof(*process), MADV_WIPEONFORK) < 0)
		gsh_store_relaxed(&gsh_compare_pid, 1);
	process->pid = (uint32_t)getpid();
	return process;
}

struct gsh_process *gsh_process_memory(void)
{
	int error = errno;
	/* Pairs with the exchange below, as everywhere. */
	struct gsh_process *process = gsh_load_acquire(&gsh_process), *fresh;

	while (!process ||
	       (gsh_load_relaxed(&gsh_compare_pid) && gsh_process_is_stale(process))) {
		fresh = map_process();
		if (!fresh) {
			process = NULL;
			break;
		}
		/* A parent's stays mapped: another thread may be looking at it. */
		if (gsh_cas_acq_rel(&gsh_process, &process, fresh))
			process = fresh;
		else
			munmap(fresh, sizeof(*fresh));
	}
	errno = error;
	return process;
}

CUresult gsh_inactive(void)
{
	const struct gsh_process *process = gsh_load_acquire(&gsh_process);

	return !process || gsh_load_acquire(&process->mode) == GSH_MODE_CLOSED
		       ? CUDA_ERROR_NOT_PERMITTED
		       : CUDA_SUCCESS;
}

CUresult gsh_result(int error)
{
	switch (error) {
	case 0:
		return CUDA_SUCCESS;
	case -ENOMEM:
		return CUDA_ERROR_OUT_OF_MEMORY;
	case -EPERM:
		return CUDA_ERROR_NOT_PERMITTED;
	case -EINVAL:
		return CUDA_ERROR_INVALID_VALUE;
	default:
		return CUDA_ERROR_OPERATING_SYSTEM;
	}
}
