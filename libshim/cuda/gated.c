/*
 * gated.c - whether an address is a device's. Knows where that is written down; refuses to
 * know what follows from it.
 */
#include "cuda/gated.h"

#include "cuda/process.h"

bool gsh_address_on_device(uint64_t address)
{
	CUpointer_attribute attribute = CU_POINTER_ATTRIBUTE_MEMORY_TYPE;
	CUmemorytype type = (CUmemorytype)0;
	void *data = &type;
	struct gsh_alloc alloc;

	if (gsh_allocs_find(&gsh_process->allocs, GSH_ALLOC_POINTER, address, &alloc))
		return true;
	/* Its sibling for one attribute fails where the address is the host's, and drivers
	 * log failures. */
	return gsh_driver.call_cuPointerGetAttributes &&
	       gsh_driver.call_cuPointerGetAttributes(1, &attribute, &data, address) ==
		       CUDA_SUCCESS &&
	       type == CU_MEMORYTYPE_DEVICE;
}
