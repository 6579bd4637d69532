/*
 * vmm_handle.c - physical memory of virtual memory management: cuMemCreate, references,
 * export and import.
 *
 * Knows: properties and references of handles. Refuses to know: addresses (vmm.c).
 * Host memory made here is not counted on a device and cannot be exported; fabric handles
 * do not exist.
 */
#include "driver/vmm.h"

#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "driver/memory.h"
#include "driver/visible.h"
#include "driver/zero.h"

pthread_mutex_t sim_vmm_lock = PTHREAD_MUTEX_INITIALIZER;
static void *tree; /* of struct sim_vmm_phys, by handle; under sim_vmm_lock */

static int compare(const void *a, const void *b)
{
	const struct sim_vmm_phys *x = a, *y = b;

	return (x->handle > y->handle) - (x->handle < y->handle);
}

/* Also one of which only mappings are left. */
static struct sim_vmm_phys *find_any(uint64_t handle)
{
	struct sim_vmm_phys key = { .handle = handle };
	struct sim_vmm_phys **node = tfind(&key, &tree, compare);

	return node ? *node : NULL;
}

struct sim_vmm_phys *sim_vmm_find(uint64_t handle)
{
	struct sim_vmm_phys *phys = find_any(handle);

	return phys && phys->refs > 0 ? phys : NULL;
}

void sim_vmm_settle(struct sim_vmm_phys *phys)
{
	if (phys->refs > 0 || phys->maps > 0)
		return;
	if (sim.zero_cost && !sim_vmm_on_host(&phys->prop))
		sim_zero_refund((unsigned)phys->prop.location.id, phys->bytes);
	tdelete(phys, &tree, compare);
	free(phys);
}

/* ---- properties ---- */

static CUresult check_prop(const CUmemAllocationProp *prop)
{
	if (!prop || prop->type != CU_MEM_ALLOCATION_TYPE_PINNED)
		return CUDA_ERROR_INVALID_VALUE;
	switch (prop->location.type) {
	case CU_MEM_LOCATION_TYPE_DEVICE:
		if (prop->location.id < 0 ||
		    (unsigned)prop->location.id >= sim.hello.devices)
			return CUDA_ERROR_INVALID_DEVICE;
		break;
	case CU_MEM_LOCATION_TYPE_HOST_NUMA:
		if (prop->location.id != 0)
			return CUDA_ERROR_INVALID_VALUE;
		break;
	case CU_MEM_LOCATION_TYPE_HOST:
		if (prop->requestedHandleTypes != CU_MEM_HANDLE_TYPE_NONE)
			return CUDA_ERROR_INVALID_VALUE;
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	switch (prop->requestedHandleTypes) {
	case CU_MEM_HANDLE_TYPE_NONE:
		return CUDA_SUCCESS;
	case CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR:
		return sim_vmm_on_host(prop) ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS;
	case CU_MEM_HANDLE_TYPE_FABRIC:
		return CUDA_ERROR_NOT_PERMITTED; /* no IMEX channel */
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

SIM_EXPORT CUresult cuMemGetAllocationGranularity(size_t *granularity,
						  const CUmemAllocationProp *prop,
						  CUmemAllocationGranularity_flags option)
{
	CUresult res = sim_enter(SIM_FN_cuMemGetAllocationGranularity);

	if (res != CUDA_SUCCESS)
		return res;
	if (!granularity || (option != CU_MEM_ALLOC_GRANULARITY_MINIMUM &&
			     option != CU_MEM_ALLOC_GRANULARITY_RECOMMENDED))
		return CUDA_ERROR_INVALID_VALUE;
	res = check_prop(prop);
	if (res == CUDA_SUCCESS)
		*granularity = SIM_VMM_BYTES;
	return res;
}

SIM_EXPORT CUresult cuMemGetAllocationPropertiesFromHandle(
	CUmemAllocationProp *prop, CUmemGenericAllocationHandle handle)
{
	struct sim_vmm_phys *phys;
	CUresult res = sim_enter(SIM_FN_cuMemGetAllocationPropertiesFromHandle);

	if (res != CUDA_SUCCESS)
		return res;
	if (!prop)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_vmm_lock);
	phys = sim_vmm_find(handle);
	if (phys)
		*prop = phys->prop;
	pthread_mutex_unlock(&sim_vmm_lock);
	return phys ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* ---- creation and references ---- */

static CUresult create_at_device(const CUmemAllocationProp *prop, uint64_t bytes,
				 uint64_t *handle)
{
	static uint64_t last; /* under the lock */
	uint64_t a[6] = { 0, bytes, sim_vmm_on_host(prop) };
	uint64_t v[6];
	CUresult res;

	if (!sim_vmm_on_host(prop))
		a[0] = (uint64_t)prop->location.id;
	if (sim.zero_cost) {
		if (!sim_vmm_on_host(prop) && !sim_zero_charge((unsigned)a[0], bytes))
			return CUDA_ERROR_OUT_OF_MEMORY;
		*handle = ++last << 4 | 1;
		return CUDA_SUCCESS;
	}
	res = sim_rpc(SIM_RPC_PHYS_CREATE, a, v, -1, NULL);
	if (res == CUDA_SUCCESS)
		*handle = v[0];
	return res;
}

/* Enters one more reference of a handle, with what it is if it is new here. */
static CUresult enter(uint64_t handle, uint64_t bytes, const CUmemAllocationProp *prop)
{
	struct sim_vmm_phys *phys = find_any(handle);

	if (!phys) {
		phys = calloc(1, sizeof(*phys));
		if (!phys)
			return CUDA_ERROR_OUT_OF_MEMORY;
		phys->handle = handle;
		phys->bytes = bytes;
		phys->prop = *prop;
		if (!tsearch(phys, &tree, compare)) {
			free(phys);
			return CUDA_ERROR_OUT_OF_MEMORY;
		}
	}
	phys->refs++;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size,
				const CUmemAllocationProp *prop, unsigned long long flags)
{
	uint64_t value;
	CUresult res = sim_enter(SIM_FN_cuMemCreate);

	if (res != CUDA_SUCCESS)
		return res;
	if (!handle || flags != 0)
		return CUDA_ERROR_INVALID_VALUE;
	res = check_prop(prop);
	if (res != CUDA_SUCCESS)
		return res;
	if (size == 0 || size % SIM_VMM_BYTES)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_vmm_lock);
	res = create_at_device(prop, size, &value);
	if (res == CUDA_SUCCESS) {
		res = enter(value, size, prop);
		if (res == CUDA_SUCCESS)
			*handle = value;
		else if (!sim.zero_cost)
			sim_rpc(SIM_RPC_PHYS_RELEASE, (uint64_t[6]){ value }, NULL, -1,
				NULL);
	}
	pthread_mutex_unlock(&sim_vmm_lock);
	return res;
}

SIM_EXPORT CUresult cuMemRelease(CUmemGenericAllocationHandle handle)
{
	struct sim_vmm_phys *phys;
	CUresult res = sim_enter(SIM_FN_cuMemRelease);

	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_vmm_lock);
	phys = sim_vmm_find(handle);
	if (!phys)
		res = CUDA_ERROR_INVALID_VALUE;
	else if (!sim.zero_cost)
		res = sim_rpc(SIM_RPC_PHYS_RELEASE, (uint64_t[6]){ handle }, NULL, -1,
			      NULL);
	if (res == CUDA_SUCCESS) {
		phys->refs--;
		sim_vmm_settle(phys);
	}
	pthread_mutex_unlock(&sim_vmm_lock);
	return res;
}

SIM_EXPORT CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle,
						void *addr)
{
	struct sim_alloc alloc;
	CUresult res = sim_enter(SIM_FN_cuMemRetainAllocationHandle);

	if (res != CUDA_SUCCESS)
		return res;
	if (!handle)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_vmm_lock);
	if (!sim_ranges_find((uintptr_t)addr, &alloc) || alloc.origin != SIM_FROM_MAP)
		res = CUDA_ERROR_INVALID_VALUE;
	else if (!sim.zero_cost)
		res = sim_rpc(SIM_RPC_PHYS_RETAIN, (uint64_t[6]){ 0, (uintptr_t)addr },
			      NULL, -1, NULL);
	if (res == CUDA_SUCCESS) {
		struct sim_vmm_phys *phys = alloc.owner;

		phys->refs++;
		*handle = phys->handle;
	}
	pthread_mutex_unlock(&sim_vmm_lock);
	return res;
}

/* ---- between processes ---- */

SIM_EXPORT CUresult cuMemExportToShareableHandle(void *shareableHandle,
						 CUmemGenericAllocationHandle handle,
						 CUmemAllocationHandleType handleType,
						 unsigned long long flags)
{
	struct sim_vmm_phys *phys;
	int fd = -1;
	CUresult res = sim_enter(SIM_FN_cuMemExportToShareableHandle);

	if (res != CUDA_SUCCESS)
		return res;
	if (!shareableHandle || flags != 0)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_vmm_lock);
	phys = sim_vmm_find(handle);
	if (!phys || handleType == CU_MEM_HANDLE_TYPE_NONE ||
	    !((unsigned)phys->prop.requestedHandleTypes & (unsigned)handleType))
		res = CUDA_ERROR_INVALID_VALUE;
	else if (sim.zero_cost)
		res = CUDA_ERROR_NOT_SUPPORTED;
	else
		res = sim_rpc(SIM_RPC_PHYS_EXPORT, (uint64_t[6]){ handle }, NULL, -1,
			      &fd);
	pthread_mutex_unlock(&sim_vmm_lock);
	if (res == CUDA_SUCCESS)
		memcpy(shareableHandle, &fd, sizeof(fd));
	return res;
}

SIM_EXPORT CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *handle,
						   void *osHandle,
						   CUmemAllocationHandleType shHandleType)
{
	CUmemAllocationProp prop = {
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE },
	};
	uint64_t v[6];
	int fd = (int)(intptr_t)osHandle;
	CUresult res = sim_enter(SIM_FN_cuMemImportFromShareableHandle);

	if (res != CUDA_SUCCESS)
		return res;
	if (shHandleType == CU_MEM_HANDLE_TYPE_FABRIC)
		return CUDA_ERROR_NOT_PERMITTED;
	if (!handle || shHandleType != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR ||
	    fcntl(fd, F_GETFD) < 0)
		return CUDA_ERROR_INVALID_VALUE;
	if (sim.zero_cost)
		return CUDA_ERROR_NOT_SUPPORTED;
	pthread_mutex_lock(&sim_vmm_lock);
	res = sim_rpc(SIM_RPC_PHYS_IMPORT, NULL, v, fd, NULL);
	if (res == CUDA_SUCCESS) {
		prop.location.id = (int)v[2];
		res = v[2] == SIM_HIDDEN ? CUDA_ERROR_INVALID_DEVICE
					 : enter(v[0], v[1], &prop);
		if (res == CUDA_SUCCESS)
			*handle = v[0];
		else
			sim_rpc(SIM_RPC_PHYS_RELEASE, (uint64_t[6]){ v[0] }, NULL, -1,
				NULL);
	}
	pthread_mutex_unlock(&sim_vmm_lock);
	return res;
}
