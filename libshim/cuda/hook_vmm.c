/*
 * hook_vmm.c - physical memory that has handles: made, mapped, unmapped, released.
 *
 * Knows which memory is of a device (what lies on the host passes), and on which: the one
 * that the properties name, not the current one.
 */
#include "cuda/charge.h"
#include "cuda/claim.h"
#include "cuda/hook.h"
#include "cuda/room.h"
#include "cuda/vmm.h"

static CUresult enter(void)
{
	return gsh_likely(gsh_enter() == GSH_MODE_ACTIVE) ? CUDA_SUCCESS : gsh_inactive();
}

static bool is_active(void)
{
	return gsh_load_relaxed(&gsh_process->mode) == GSH_MODE_ACTIVE;
}

static bool is_counted(const void *handle, size_t size, const CUmemAllocationProp *prop)
{
	return is_active() && handle && prop && size < GSH_CLAIM_ABSURD_BYTES &&
	       prop->location.type == CU_MEM_LOCATION_TYPE_DEVICE;
}

static CUresult create(CUmemGenericAllocationHandle *handle, size_t size,
		       const CUmemAllocationProp *prop, unsigned long long flags, int row)
{
	struct gsh_vmm_memory *memory = gsh_vmm_prepare();
	struct gsh_charge charge;
	CUresult res = CUDA_ERROR_OUT_OF_MEMORY;

	if (!memory)
		return res;
	res = gsh_charge_reserve(&charge, row, GPUSHIM_KIND_VMM, size);
	if (res != CUDA_SUCCESS) {
		gsh_vmm_not_made(memory);
		return res;
	}
	res = gsh_driver.cuMemCreate(handle, size, prop, flags);
	if (res == CUDA_SUCCESS) {
		gsh_vmm_made(memory, *handle, row, size);
	} else {
		gsh_charge_cancel(&charge);
		gsh_vmm_not_made(memory);
	}
	return res;
}

CUresult CUDAAPI cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size,
			     const CUmemAllocationProp *prop, unsigned long long flags)
{
	CUresult res;
	int row;

	GSH_NEED(cuMemCreate);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	if (!is_counted(handle, size, prop))
		return gsh_driver.cuMemCreate(handle, size, prop, flags);
	row = gsh_device_row(prop->location.id);
	if (row == -CUDA_ERROR_INVALID_DEVICE) /* the driver has its own code for it */
		return gsh_driver.cuMemCreate(handle, size, prop, flags);
	return row < 0 ? (CUresult)-row : create(handle, size, prop, flags, row);
}

CUresult CUDAAPI cuMemRelease(CUmemGenericAllocationHandle handle)
{
	struct gsh_vmm_memory *memory;
	CUresult res;

	GSH_NEED(cuMemRelease);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	if (!is_active())
		return gsh_driver.cuMemRelease(handle);
	memory = gsh_vmm_release_begin(handle);
	res = gsh_driver.cuMemRelease(handle);
	gsh_vmm_release_end(memory, gsh_release_happened(res));
	return res;
}

CUresult CUDAAPI cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle,
					     void *addr)
{
	struct gsh_vmm_memory *memory;
	CUresult res;

	GSH_NEED(cuMemRetainAllocationHandle);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	if (!is_active())
		return gsh_driver.cuMemRetainAllocationHandle(handle, addr);
	/* Else another thread could take away what keeps it before it counts as retained. */
	memory = gsh_vmm_retain_begin((uintptr_t)addr);
	res = gsh_driver.cuMemRetainAllocationHandle(handle, addr);
	gsh_vmm_retain_end(memory, res == CUDA_SUCCESS ? *handle : 0);
	return res;
}

CUresult CUDAAPI cuMemMap(CUdeviceptr ptr, size_t size, size_t offset,
			  CUmemGenericAllocationHandle handle, unsigned long long flags)
{
	const struct gsh_vmm_range range = { .start = ptr, .bytes = size };
	struct gsh_vmm_mapping *mapping;
	CUresult res;

	GSH_NEED(cuMemMap);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	if (!is_active())
		return gsh_driver.cuMemMap(ptr, size, offset, handle, flags);
	if (!gsh_vmm_map_begin(handle, &mapping))
		return CUDA_ERROR_OUT_OF_MEMORY;
	res = gsh_driver.cuMemMap(ptr, size, offset, handle, flags);
	gsh_vmm_map_end(mapping, &range, res == CUDA_SUCCESS);
	return res;
}

CUresult CUDAAPI cuMemUnmap(CUdeviceptr ptr, size_t size)
{
	const struct gsh_vmm_range range = { .start = ptr, .bytes = size };
	struct gsh_vmm_mapping *list;
	CUresult res;

	GSH_NEED(cuMemUnmap);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	if (!is_active())
		return gsh_driver.cuMemUnmap(ptr, size);
	list = gsh_vmm_unmap_begin(&range);
	res = gsh_driver.cuMemUnmap(ptr, size);
	gsh_vmm_unmap_end(list, gsh_release_happened(res));
	return res;
}

/* ---- multicast ---- */

CUresult CUDAAPI cuMulticastCreate(CUmemGenericAllocationHandle *mcHandle,
				   const CUmulticastObjectProp *prop)
{
	struct gsh_vmm_memory *memory;
	CUresult res;

	GSH_NEED(cuMulticastCreate);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	if (!is_active())
		return gsh_driver.cuMulticastCreate(mcHandle, prop);
	memory = gsh_vmm_prepare();
	if (!memory)
		return CUDA_ERROR_OUT_OF_MEMORY;
	res = gsh_driver.cuMulticastCreate(mcHandle, prop);
	if (res == CUDA_SUCCESS)
		gsh_vmm_made(memory, *mcHandle, 0, 0);
	else
		gsh_vmm_not_made(memory);
	return res;
}

/* The device whose memory is bound. */
static int32_t device_of(CUmemGenericAllocationHandle handle)
{
	CUmemAllocationProp prop;

	return gsh_driver.call_cuMemGetAllocationPropertiesFromHandle &&
			       gsh_driver.call_cuMemGetAllocationPropertiesFromHandle(
				       &prop, handle) == CUDA_SUCCESS
		       ? prop.location.id
		       : 0;
}

CUresult CUDAAPI cuMulticastBindMem(CUmemGenericAllocationHandle mcHandle,
				    size_t mcOffset,
				    CUmemGenericAllocationHandle memHandle,
				    size_t memOffset, size_t size,
				    unsigned long long flags)
{
	struct gsh_vmm_range range = { .space = mcHandle,
				       .start = mcOffset,
				       .bytes = size };
	struct gsh_vmm_mapping *mapping;
	CUresult res;

	GSH_NEED(cuMulticastBindMem);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	if (!is_active())
		return gsh_driver.cuMulticastBindMem(mcHandle, mcOffset, memHandle,
						     memOffset, size, flags);
	if (!gsh_vmm_map_begin(memHandle, &mapping))
		return CUDA_ERROR_OUT_OF_MEMORY;
	range.device = device_of(memHandle);
	res = gsh_driver.cuMulticastBindMem(mcHandle, mcOffset, memHandle, memOffset,
					    size, flags);
	gsh_vmm_map_end(mapping, &range, res == CUDA_SUCCESS);
	return res;
}

/* The device whose memory is mapped at an address. */
static int32_t device_at(CUdeviceptr address)
{
	int ordinal = 0;

	if (gsh_driver.call_cuPointerGetAttribute)
		gsh_driver.call_cuPointerGetAttribute(
			&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address);
	return ordinal;
}

/* The binding keeps the memory when the mapping has gone. */
CUresult CUDAAPI cuMulticastBindAddr(CUmemGenericAllocationHandle mcHandle,
				     size_t mcOffset, CUdeviceptr memptr, size_t size,
				     unsigned long long flags)
{
	struct gsh_vmm_range range = { .space = mcHandle,
				       .start = mcOffset,
				       .bytes = size };
	struct gsh_vmm_mapping *mapping;
	CUresult res;

	GSH_NEED(cuMulticastBindAddr);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	if (!is_active())
		return gsh_driver.cuMulticastBindAddr(mcHandle, mcOffset, memptr, size,
						      flags);
	if (!gsh_vmm_bind_begin(memptr, &mapping))
		return CUDA_ERROR_OUT_OF_MEMORY;
	range.device = device_at(memptr);
	res = gsh_driver.cuMulticastBindAddr(mcHandle, mcOffset, memptr, size, flags);
	gsh_vmm_map_end(mapping, &range, res == CUDA_SUCCESS);
	return res;
}

CUresult CUDAAPI cuMulticastUnbind(CUmemGenericAllocationHandle mcHandle, CUdevice dev,
				   size_t mcOffset, size_t size)
{
	const struct gsh_vmm_range range = {
		.space = mcHandle, .device = dev, .start = mcOffset, .bytes = size
	};
	struct gsh_vmm_mapping *list;
	CUresult res;

	GSH_NEED(cuMulticastUnbind);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	if (!is_active())
		return gsh_driver.cuMulticastUnbind(mcHandle, dev, mcOffset, size);
	list = gsh_vmm_unmap_begin(&range);
	res = gsh_driver.cuMulticastUnbind(mcHandle, dev, mcOffset, size);
	gsh_vmm_unmap_end(list, gsh_release_happened(res));
	return res;
}
