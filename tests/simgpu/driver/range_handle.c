/*
 * range_handle.c - operating system handles to ranges of device memory.
 *
 * Knows: that the simulated device has no dma-buf to give (both of its attributes are 0), so
 * that what was asked for well is not supported, as cuda.h says of such a device.
 */
#include "driver/ranges.h"

#define HOST_PAGE_BYTES 4096u

SIM_EXPORT CUresult cuMemGetHandleForAddressRange(void *handle, CUdeviceptr dptr,
						  size_t size,
						  CUmemRangeHandleType handleType,
						  unsigned long long flags)
{
	CUresult res = sim_enter(SIM_FN_cuMemGetHandleForAddressRange);

	if (res != CUDA_SUCCESS)
		return res;
	if (!handle || size == 0 || dptr % HOST_PAGE_BYTES || size % HOST_PAGE_BYTES ||
	    handleType != CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD ||
	    (flags & ~(unsigned long long)CU_MEM_RANGE_FLAG_DMA_BUF_MAPPING_TYPE_PCIE) ||
	    !sim_ranges_cover(dptr, size, 0, NULL))
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_ERROR_NOT_SUPPORTED;
}
