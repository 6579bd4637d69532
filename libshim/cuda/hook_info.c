/*
 * hook_info.c - how much memory there is: the tenant's truth, bounded by the device's.
 *
 * The driver is asked first, with the program's own arguments: what it refuses, missing
 * pointers among it, is its own answer.
 */
#include <stdint.h>

#include "cuda/hook.h"

/* What the current context's device is to be shown to have; false: as the driver says. */
static bool look(uint64_t free_bytes, uint64_t total_bytes, struct gsh_tenant_view *view)
{
	int row = gsh_device_row_current();

	if (row < 0)
		return false;
	gsh_tenant_view(&gsh_process->tenant, row, free_bytes, total_bytes, view);
	return true;
}

CUresult CUDAAPI cuMemGetInfo_v2(size_t *free, size_t *total)
{
	struct gsh_tenant_view view;
	size_t free_bytes, total_bytes;
	enum gsh_mode mode;
	CUresult res;

	GSH_NEED(cuMemGetInfo_v2);
	mode = gsh_enter();
	res = mode == GSH_MODE_ACTIVE ? CUDA_SUCCESS : gsh_inactive();
	if (res == CUDA_SUCCESS)
		res = gsh_driver.cuMemGetInfo_v2(free, total);
	if (res != CUDA_SUCCESS || mode != GSH_MODE_ACTIVE)
		return res;
	if (gsh_likely(free && total)) {
		free_bytes = *free;
		total_bytes = *total;
	} else if (gsh_driver.cuMemGetInfo_v2(&free_bytes, &total_bytes) !=
		   CUDA_SUCCESS) {
		return res;
	}
	if (!look(free_bytes, total_bytes, &view))
		return res;
	if (free)
		*free = view.free_bytes;
	if (total)
		*total = view.total_bytes;
	return res;
}

CUresult CUDAAPI cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev)
{
	struct gsh_tenant_view view;
	enum gsh_mode mode;
	CUresult res;
	int row;

	GSH_NEED(cuDeviceTotalMem_v2);
	mode = gsh_enter();
	res = mode == GSH_MODE_ACTIVE ? CUDA_SUCCESS : gsh_inactive();
	if (res == CUDA_SUCCESS)
		res = gsh_driver.cuDeviceTotalMem_v2(bytes, dev);
	if (res != CUDA_SUCCESS || mode != GSH_MODE_ACTIVE || !bytes)
		return res;
	row = gsh_device_row(dev);
	if (row >= 0) {
		gsh_tenant_view(&gsh_process->tenant, row, *bytes, *bytes, &view);
		*bytes = view.total_bytes;
	}
	return res;
}

/* ---- first versions: 32 bits ---- */

static unsigned int clamped(uint64_t bytes)
{
	return bytes < UINT32_MAX ? (unsigned int)bytes : UINT32_MAX;
}

CUresult CUDAAPI cuMemGetInfo(unsigned int *free, unsigned int *total)
{
	struct gsh_tenant_view view;
	size_t free_bytes, total_bytes;
	enum gsh_mode mode;
	CUresult res;

	GSH_NEED(cuMemGetInfo);
	mode = gsh_enter();
	res = mode == GSH_MODE_ACTIVE ? CUDA_SUCCESS : gsh_inactive();
	if (res == CUDA_SUCCESS)
		res = gsh_driver.cuMemGetInfo(free, total);
	if (res != CUDA_SUCCESS || mode != GSH_MODE_ACTIVE)
		return res;
	/* What 32 bits cannot say is asked for in 64. */
	if (!gsh_driver.cuMemGetInfo_v2 ||
	    gsh_driver.cuMemGetInfo_v2(&free_bytes, &total_bytes) != CUDA_SUCCESS ||
	    !look(free_bytes, total_bytes, &view))
		return res;
	if (free)
		*free = clamped(view.free_bytes);
	if (total)
		*total = clamped(view.total_bytes);
	return res;
}

CUresult CUDAAPI cuDeviceTotalMem(unsigned int *bytes, CUdevice dev)
{
	struct gsh_tenant_view view;
	size_t total_bytes;
	enum gsh_mode mode;
	CUresult res;
	int row;

	GSH_NEED(cuDeviceTotalMem);
	mode = gsh_enter();
	res = mode == GSH_MODE_ACTIVE ? CUDA_SUCCESS : gsh_inactive();
	if (res == CUDA_SUCCESS)
		res = gsh_driver.cuDeviceTotalMem(bytes, dev);
	if (res != CUDA_SUCCESS || mode != GSH_MODE_ACTIVE || !bytes)
		return res;
	row = gsh_device_row(dev);
	if (row >= 0 && gsh_driver.cuDeviceTotalMem_v2 &&
	    gsh_driver.cuDeviceTotalMem_v2(&total_bytes, dev) == CUDA_SUCCESS) {
		gsh_tenant_view(&gsh_process->tenant, row, total_bytes, total_bytes,
				&view);
		*bytes = clamped(view.total_bytes);
	}
	return res;
}
