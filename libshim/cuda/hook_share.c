/*
 * hook_share.c - memory that goes to other processes, and comes from them.
 *
 * An import counts before the driver is asked, so that whoever reaps its dead exporter in
 * that moment sees it; on all devices, until the driver has told which it is.
 */
#include "cuda/claim.h"
#include "cuda/hook.h"
#include "cuda/pool.h"
#include "cuda/share.h"
#include "cuda/vmm.h"

static CUresult enter(void)
{
	return gsh_likely(gsh_enter() == GSH_MODE_ACTIVE) ? CUDA_SUCCESS : gsh_inactive();
}

static bool is_active(void)
{
	return gsh_load_relaxed(&gsh_process->mode) == GSH_MODE_ACTIVE;
}

/* An import of unknown device turns out to be of this row (< 0: still unknown). */
static void narrow_import(int row)
{
	if (row < 0)
		return;
	gsh_share_import(row, 1);
	gsh_share_import(GSH_SHARE_ALL, -1);
}

/* ---- physical memory ---- */

CUresult CUDAAPI cuMemExportToShareableHandle(void *shareableHandle,
					      CUmemGenericAllocationHandle handle,
					      CUmemAllocationHandleType handleType,
					      unsigned long long flags)
{
	struct gsh_vmm_memory *memory;
	CUresult res;

	GSH_NEED(cuMemExportToShareableHandle);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	if (!is_active())
		return gsh_driver.cuMemExportToShareableHandle(shareableHandle, handle,
							       handleType, flags);
	memory = gsh_vmm_export_begin(handle);
	res = gsh_driver.cuMemExportToShareableHandle(shareableHandle, handle, handleType,
						      flags);
	gsh_vmm_export_end(memory, res == CUDA_SUCCESS);
	return res;
}

static int row_of_handle(CUmemGenericAllocationHandle handle)
{
	CUmemAllocationProp prop;

	if (!gsh_driver.call_cuMemGetAllocationPropertiesFromHandle ||
	    gsh_driver.call_cuMemGetAllocationPropertiesFromHandle(&prop, handle) !=
		    CUDA_SUCCESS ||
	    prop.location.type != CU_MEM_LOCATION_TYPE_DEVICE)
		return -1;
	return gsh_device_row(prop.location.id);
}

static CUresult import_memory(CUmemGenericAllocationHandle *handle, void *osHandle,
			      CUmemAllocationHandleType shHandleType)
{
	struct gsh_vmm_memory *memory = gsh_vmm_prepare();
	CUresult res;
	int row;

	if (!memory)
		return CUDA_ERROR_OUT_OF_MEMORY;
	gsh_share_import(GSH_SHARE_ALL, 1);
	res = gsh_driver.cuMemImportFromShareableHandle(handle, osHandle, shHandleType);
	if (res != CUDA_SUCCESS) {
		gsh_vmm_not_made(memory);
	} else {
		row = row_of_handle(*handle);
		if (row < 0)
			row = 0; /* of the host, or of no device here */
		if (!gsh_vmm_referenced(memory, *handle, row))
			gsh_share_import(row, 1);
	}
	gsh_share_import(GSH_SHARE_ALL, -1);
	return res;
}

CUresult CUDAAPI cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *handle,
						void *osHandle,
						CUmemAllocationHandleType shHandleType)
{
	CUresult res;

	GSH_NEED(cuMemImportFromShareableHandle);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	return is_active() ? import_memory(handle, osHandle, shHandleType)
			   : gsh_driver.cuMemImportFromShareableHandle(handle, osHandle,
								       shHandleType);
}

CUresult CUDAAPI cuMemGetHandleForAddressRange(void *handle, CUdeviceptr dptr,
					       size_t size,
					       CUmemRangeHandleType handleType,
					       unsigned long long flags)
{
	struct gsh_vmm_memory *memory;
	CUresult res;

	GSH_NEED(cuMemGetHandleForAddressRange);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	if (!is_active())
		return gsh_driver.cuMemGetHandleForAddressRange(handle, dptr, size,
								handleType, flags);
	if (!gsh_share_prepare())
		return CUDA_ERROR_OUT_OF_MEMORY;
	memory = gsh_vmm_export_mapped_begin(dptr);
	res = gsh_driver.cuMemGetHandleForAddressRange(handle, dptr, size, handleType,
						       flags);
	gsh_vmm_export_end(memory, res == CUDA_SUCCESS);
	if (!memory && res == CUDA_SUCCESS)
		gsh_share_export(dptr, true);
	return res;
}

/* ---- cuIpc ---- */

CUresult CUDAAPI cuIpcGetMemHandle(CUipcMemHandle *pHandle, CUdeviceptr dptr)
{
	CUresult res;

	GSH_NEED(cuIpcGetMemHandle);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	if (is_active() && !gsh_share_prepare())
		return CUDA_ERROR_OUT_OF_MEMORY;
	res = gsh_driver.cuIpcGetMemHandle(pHandle, dptr);
	if (res == CUDA_SUCCESS && is_active())
		gsh_share_export(dptr, false);
	return res;
}

typedef CUresult(CUDAAPI *open_function)(CUdeviceptr *, CUipcMemHandle, unsigned int);

static int row_of_pointer(CUdeviceptr address)
{
	int ordinal;

	if (!gsh_driver.call_cuPointerGetAttribute ||
	    gsh_driver.call_cuPointerGetAttribute(&ordinal,
						  CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
						  address) != CUDA_SUCCESS)
		return -1;
	return gsh_device_row(ordinal);
}

static CUresult open_memory(open_function function, CUdeviceptr *dptr,
			    CUipcMemHandle handle, unsigned int flags)
{
	CUresult res;
	int row;

	if (!gsh_share_prepare())
		return CUDA_ERROR_OUT_OF_MEMORY;
	gsh_share_import(GSH_SHARE_ALL, 1);
	res = function(dptr, handle, flags);
	if (res == CUDA_SUCCESS) {
		row = row_of_pointer(*dptr);
		gsh_share_opened(*dptr, row);
		narrow_import(row);
	} else {
		gsh_share_import(GSH_SHARE_ALL, -1);
	}
	return res;
}

CUresult CUDAAPI cuIpcOpenMemHandle(CUdeviceptr *pdptr, CUipcMemHandle handle,
				    unsigned int Flags)
{
	CUresult res;

	GSH_NEED(cuIpcOpenMemHandle);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	return is_active()
		       ? open_memory(gsh_driver.cuIpcOpenMemHandle, pdptr, handle, Flags)
		       : gsh_driver.cuIpcOpenMemHandle(pdptr, handle, Flags);
}

CUresult CUDAAPI cuIpcOpenMemHandle_v2(CUdeviceptr *pdptr, CUipcMemHandle handle,
				       unsigned int Flags)
{
	CUresult res;

	GSH_NEED(cuIpcOpenMemHandle_v2);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	return is_active() ? open_memory(gsh_driver.cuIpcOpenMemHandle_v2, pdptr, handle,
					 Flags)
			   : gsh_driver.cuIpcOpenMemHandle_v2(pdptr, handle, Flags);
}

CUresult CUDAAPI cuIpcCloseMemHandle(CUdeviceptr dptr)
{
	CUresult res;

	GSH_NEED(cuIpcCloseMemHandle);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	res = gsh_driver.cuIpcCloseMemHandle(dptr);
	if (is_active() && gsh_release_happened(res))
		gsh_share_closed(dptr);
	return res;
}

/* ---- pools ---- */

CUresult CUDAAPI cuMemPoolExportToShareableHandle(void *handle_out, CUmemoryPool pool,
						  CUmemAllocationHandleType handleType,
						  unsigned long long flags)
{
	struct gsh_pool *entry;
	CUresult res;

	GSH_NEED(cuMemPoolExportToShareableHandle);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	res = gsh_driver.cuMemPoolExportToShareableHandle(handle_out, pool, handleType,
							  flags);
	entry = res == CUDA_SUCCESS && is_active() ? gsh_pool_find((uintptr_t)pool)
						   : NULL;
	if (entry)
		gsh_pool_export(entry);
	return res;
}

/* Its allocations are exported with the pool. */
CUresult CUDAAPI cuMemPoolExportPointer(CUmemPoolPtrExportData *shareData_out,
					CUdeviceptr ptr)
{
	CUresult res;

	GSH_NEED(cuMemPoolExportPointer);
	res = enter();
	return res != CUDA_SUCCESS
		       ? res
		       : gsh_driver.cuMemPoolExportPointer(shareData_out, ptr);
}

static CUresult import_pool(CUmemoryPool *pool_out, void *handle,
			    CUmemAllocationHandleType handleType,
			    unsigned long long flags)
{
	struct gsh_pool *entry = gsh_pool_prepare();
	CUresult res;

	if (!entry)
		return CUDA_ERROR_OUT_OF_MEMORY;
	/* On all devices as long as it is open: it does not say where it lies. */
	gsh_share_import(GSH_SHARE_ALL, 1);
	res = gsh_driver.cuMemPoolImportFromShareableHandle(pool_out, handle, handleType,
							    flags);
	if (res == CUDA_SUCCESS) {
		gsh_pool_made(entry, (uintptr_t)*pool_out, GSH_POOL_NOT_CHARGED, true, 0);
	} else {
		gsh_pool_not_made(entry);
		gsh_share_import(GSH_SHARE_ALL, -1);
	}
	return res;
}

CUresult CUDAAPI cuMemPoolImportFromShareableHandle(CUmemoryPool *pool_out, void *handle,
						    CUmemAllocationHandleType handleType,
						    unsigned long long flags)
{
	CUresult res;

	GSH_NEED(cuMemPoolImportFromShareableHandle);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	return is_active() ? import_pool(pool_out, handle, handleType, flags)
			   : gsh_driver.cuMemPoolImportFromShareableHandle(
				     pool_out, handle, handleType, flags);
}

CUresult CUDAAPI cuMemPoolImportPointer(CUdeviceptr *ptr_out, CUmemoryPool pool,
					CUmemPoolPtrExportData *shareData)
{
	CUresult res;
	int row;

	GSH_NEED(cuMemPoolImportPointer);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	if (!is_active())
		return gsh_driver.cuMemPoolImportPointer(ptr_out, pool, shareData);
	gsh_share_import(GSH_SHARE_ALL, 1);
	res = gsh_driver.cuMemPoolImportPointer(ptr_out, pool, shareData);
	row = res == CUDA_SUCCESS ? row_of_pointer(*ptr_out) : -1;
	/* Of an unknown device: the pool's own import, on all of them, stands for it. */
	if (row >= 0 && gsh_pool_enter_import(*ptr_out, row) >= 0)
		gsh_share_import(row, 1);
	gsh_share_import(GSH_SHARE_ALL, -1);
	return res;
}
