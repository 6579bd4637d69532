/*
 * hook_code.c - code that is unloaded, after which handles of functions may come again with
 * other code. What code takes of memory is measured from outside.
 */
#include "cuda/gate.h"
#include "cuda/hook.h"

static CUresult enter(void)
{
	return gsh_enter() == GSH_MODE_ACTIVE ? CUDA_SUCCESS : gsh_inactive();
}

static CUresult unloaded(CUresult res)
{
	if (res == CUDA_SUCCESS &&
	    gsh_load_relaxed(&gsh_process->mode) == GSH_MODE_ACTIVE)
		gsh_gate_code_gone();
	return res;
}

CUresult CUDAAPI cuModuleUnload(CUmodule hmod)
{
	CUresult res;

	GSH_NEED(cuModuleUnload);
	res = enter();
	return res != CUDA_SUCCESS ? res : unloaded(gsh_driver.cuModuleUnload(hmod));
}

CUresult CUDAAPI cuLibraryUnload(CUlibrary library)
{
	CUresult res;

	GSH_NEED(cuLibraryUnload);
	res = enter();
	return res != CUDA_SUCCESS ? res : unloaded(gsh_driver.cuLibraryUnload(library));
}
