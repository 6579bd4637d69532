/*
 * hook_entry.c - how a program gets in: cuInit, and cuGetProcAddress in both its forms.
 *
 * cuInit is where a tenant without a valid policy is turned away. Looking up opens no
 * account: runtimes do it hundreds of times before they know whether they need a device.
 */
#include "cuda/hook.h"
#include "cuda/resolve.h"

CUresult CUDAAPI cuInit(unsigned int flags)
{
	CUresult refused;

	GSH_NEED(cuInit);
	gsh_enter();
	refused = gsh_inactive();
	if (refused != CUDA_SUCCESS)
		return refused;
	gsh_resolve_settle();
	return gsh_driver.cuInit(flags);
}

CUresult CUDAAPI cuGetProcAddress(const char *symbol, void **pfn, int version,
				  cuuint64_t flags)
{
	CUresult result;

	GSH_NEED(cuGetProcAddress);
	result = gsh_driver.cuGetProcAddress(symbol, pfn, version, flags);
	if (result == CUDA_SUCCESS && symbol && pfn && *pfn)
		*pfn = gsh_resolve(symbol, *pfn, version, flags);
	return result;
}

CUresult CUDAAPI cuGetProcAddress_v2(const char *symbol, void **pfn, int version,
				     cuuint64_t flags,
				     CUdriverProcAddressQueryResult *status)
{
	CUresult result;

	GSH_NEED(cuGetProcAddress_v2);
	result = gsh_driver.cuGetProcAddress_v2(symbol, pfn, version, flags, status);
	if (result == CUDA_SUCCESS && symbol && pfn && *pfn)
		*pfn = gsh_resolve(symbol, *pfn, version, flags);
	return result;
}
