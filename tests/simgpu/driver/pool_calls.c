/*
 * pool_calls.c - making, configuring and choosing memory pools.
 *
 * Knows: properties, attributes, access, and the current pool of each device. Pools of host
 * memory can be made; managed pools are not supported. Refuses to know: what other processes
 * have of a pool (pool_share.c).
 */
#include "driver/pool.h"

#include <string.h>

static bool device_valid(int device)
{
	return device >= 0 && (unsigned)device < sim.hello.devices;
}

static CUresult check_props(const CUmemPoolProps *props)
{
	static const unsigned char zero[sizeof(props->reserved)];

	if (!props || memcmp(props->reserved, zero, sizeof(zero)) != 0)
		return CUDA_ERROR_INVALID_VALUE;
	if (props->allocType == CU_MEM_ALLOCATION_TYPE_MANAGED)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (props->allocType != CU_MEM_ALLOCATION_TYPE_PINNED)
		return CUDA_ERROR_INVALID_VALUE;
	switch (props->location.type) {
	case CU_MEM_LOCATION_TYPE_DEVICE:
		if (!device_valid(props->location.id))
			return CUDA_ERROR_INVALID_VALUE;
		break;
	case CU_MEM_LOCATION_TYPE_HOST:
		if (props->handleTypes != CU_MEM_HANDLE_TYPE_NONE)
			return CUDA_ERROR_INVALID_VALUE;
		break;
	case CU_MEM_LOCATION_TYPE_HOST_NUMA:
		if (props->location.id != 0)
			return CUDA_ERROR_INVALID_VALUE;
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	switch (props->handleTypes) {
	case CU_MEM_HANDLE_TYPE_NONE:
		return CUDA_SUCCESS;
	case CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR:
		/* Sharing host memory is not simulated. */
		return props->location.type == CU_MEM_LOCATION_TYPE_DEVICE
			       ? CUDA_SUCCESS
			       : CUDA_ERROR_NOT_SUPPORTED;
	case CU_MEM_HANDLE_TYPE_FABRIC:
		return CUDA_ERROR_NOT_PERMITTED; /* no IMEX channel */
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

SIM_EXPORT CUresult cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *poolProps)
{
	struct sim_pool *made;
	CUresult res = sim_enter(SIM_FN_cuMemPoolCreate);

	if (res != CUDA_SUCCESS)
		return res;
	if (!pool)
		return CUDA_ERROR_INVALID_VALUE;
	res = check_props(poolProps);
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_pool_lock);
	made = sim_pool_new(poolProps);
	if (made)
		*pool = (CUmemoryPool)made->handle;
	pthread_mutex_unlock(&sim_pool_lock);
	return made ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

SIM_EXPORT CUresult cuMemPoolDestroy(CUmemoryPool pool)
{
	struct sim_pool *found;
	CUresult res = sim_enter(SIM_FN_cuMemPoolDestroy);

	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_pool_lock);
	res = sim_pool_get(pool, &found);
	if (res == CUDA_SUCCESS && found->is_default)
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		sim_pool_destroy(found);
	pthread_mutex_unlock(&sim_pool_lock);
	return res;
}

SIM_EXPORT CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t minBytesToKeep)
{
	struct sim_pool *found;
	CUresult res = sim_enter(SIM_FN_cuMemPoolTrimTo);

	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_pool_lock);
	res = sim_pool_get(pool, &found);
	if (res == CUDA_SUCCESS)
		sim_pool_trim(found, minBytesToKeep);
	pthread_mutex_unlock(&sim_pool_lock);
	return res;
}

/* ---- attributes ---- */

/* Where an attribute is kept; exactly one of the two is set, or none if there is no such
 * attribute. */
static void find_attribute(struct sim_pool *pool, CUmemPool_attribute attr, int **number,
			   uint64_t **bytes)
{
	*number = NULL;
	*bytes = NULL;
	switch (attr) {
	case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
		*number = &pool->reuse[attr];
		break;
	case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
		*bytes = &pool->threshold;
		break;
	case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
		*bytes = &pool->reserved;
		break;
	case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
		*bytes = &pool->reserved_high;
		break;
	case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
		*bytes = &pool->used;
		break;
	case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
		*bytes = &pool->used_high;
		break;
	default:
		break;
	}
}

static CUresult set_attribute(struct sim_pool *pool, CUmemPool_attribute attr,
			      const void *value)
{
	uint64_t *bytes, given;
	int *number;

	find_attribute(pool, attr, &number, &bytes);
	if (number) {
		memcpy(number, value, sizeof(*number));
		*number = *number != 0;
		return CUDA_SUCCESS;
	}
	if (!bytes)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&given, value, sizeof(given));
	switch (attr) {
	case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
		pool->threshold = given;
		return CUDA_SUCCESS;
	case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
		if (given == 0)
			pool->reserved_high = pool->reserved;
		break;
	case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
		if (given == 0)
			pool->used_high = pool->used;
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE; /* what is current can only be read */
	}
	return given == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

SIM_EXPORT CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attr,
					  void *value)
{
	struct sim_pool *found;
	CUresult res = sim_enter(SIM_FN_cuMemPoolSetAttribute);

	if (res != CUDA_SUCCESS)
		return res;
	if (!value)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_pool_lock);
	res = sim_pool_get(pool, &found);
	if (res == CUDA_SUCCESS)
		res = set_attribute(found, attr, value);
	pthread_mutex_unlock(&sim_pool_lock);
	return res;
}

SIM_EXPORT CUresult cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attr,
					  void *value)
{
	struct sim_pool *found;
	uint64_t *bytes;
	int *number;
	CUresult res = sim_enter(SIM_FN_cuMemPoolGetAttribute);

	if (res != CUDA_SUCCESS)
		return res;
	if (!value)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_pool_lock);
	res = sim_pool_get(pool, &found);
	if (res == CUDA_SUCCESS) {
		find_attribute(found, attr, &number, &bytes);
		if (number)
			memcpy(value, number, sizeof(*number));
		else if (bytes)
			memcpy(value, bytes, sizeof(*bytes));
		else
			res = CUDA_ERROR_INVALID_VALUE;
	}
	pthread_mutex_unlock(&sim_pool_lock);
	return res;
}

/* ---- access ---- */

static CUresult check_access(const struct sim_pool *pool, const CUmemAccessDesc *desc)
{
	if (desc->location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
	    !device_valid(desc->location.id))
		return CUDA_ERROR_INVALID_VALUE;
	if (desc->flags != CU_MEM_ACCESS_FLAGS_PROT_NONE &&
	    desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READ &&
	    desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
		return CUDA_ERROR_INVALID_VALUE;
	/* The device that has the memory cannot be shut out. */
	if (pool->props.location.type == CU_MEM_LOCATION_TYPE_DEVICE &&
	    desc->location.id == pool->props.location.id &&
	    desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemPoolSetAccess(CUmemoryPool pool, const CUmemAccessDesc *map,
				       size_t count)
{
	struct sim_pool *found;
	CUresult res = sim_enter(SIM_FN_cuMemPoolSetAccess);

	if (res != CUDA_SUCCESS)
		return res;
	if (!map || count == 0)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_pool_lock);
	res = sim_pool_get(pool, &found);
	for (size_t i = 0; i < count && res == CUDA_SUCCESS; i++)
		res = check_access(found, &map[i]);
	for (size_t i = 0; i < count && res == CUDA_SUCCESS; i++)
		found->access[map[i].location.id] = (unsigned char)map[i].flags;
	pthread_mutex_unlock(&sim_pool_lock);
	return res;
}

SIM_EXPORT CUresult cuMemPoolGetAccess(CUmemAccess_flags *flags, CUmemoryPool memPool,
				       CUmemLocation *location)
{
	struct sim_pool *found;
	CUresult res = sim_enter(SIM_FN_cuMemPoolGetAccess);

	if (res != CUDA_SUCCESS)
		return res;
	if (!flags || !location)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_pool_lock);
	res = sim_pool_get(memPool, &found);
	if (res == CUDA_SUCCESS && location->type == CU_MEM_LOCATION_TYPE_DEVICE &&
	    device_valid(location->id))
		*flags = (CUmemAccess_flags)found->access[location->id];
	else if (res == CUDA_SUCCESS && location->type == CU_MEM_LOCATION_TYPE_HOST)
		*flags = found->props.location.type == CU_MEM_LOCATION_TYPE_DEVICE
				 ? CU_MEM_ACCESS_FLAGS_PROT_NONE
				 : CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
	else
		res = CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_unlock(&sim_pool_lock);
	return res;
}

/* ---- the pool of a device ---- */

static CUresult get_of_device(struct sim_pool *(*which)(unsigned device), CUdevice device,
			      CUmemoryPool *out)
{
	struct sim_pool *pool;

	if (!device_valid(device))
		return CUDA_ERROR_INVALID_DEVICE;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_pool_lock);
	pool = which((unsigned)device);
	if (pool)
		*out = (CUmemoryPool)pool->handle;
	pthread_mutex_unlock(&sim_pool_lock);
	return pool ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult set_of_device(CUdevice device, CUmemoryPool handle)
{
	struct sim_pool *pool;
	CUresult res;

	if (!device_valid(device))
		return CUDA_ERROR_INVALID_DEVICE;
	pthread_mutex_lock(&sim_pool_lock);
	res = sim_pool_get(handle, &pool);
	if (res == CUDA_SUCCESS &&
	    (pool->exporter || pool->props.location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
	     pool->device != (unsigned)device))
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		sim_pool_set_current((unsigned)device, pool);
	pthread_mutex_unlock(&sim_pool_lock);
	return res;
}

SIM_EXPORT CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool_out, CUdevice dev)
{
	CUresult res = sim_enter(SIM_FN_cuDeviceGetDefaultMemPool);

	return res == CUDA_SUCCESS ? get_of_device(sim_pool_default, dev, pool_out) : res;
}

SIM_EXPORT CUresult cuDeviceGetMemPool(CUmemoryPool *pool, CUdevice dev)
{
	CUresult res = sim_enter(SIM_FN_cuDeviceGetMemPool);

	return res == CUDA_SUCCESS ? get_of_device(sim_pool_current, dev, pool) : res;
}

SIM_EXPORT CUresult cuDeviceSetMemPool(CUdevice dev, CUmemoryPool pool)
{
	CUresult res = sim_enter(SIM_FN_cuDeviceSetMemPool);

	return res == CUDA_SUCCESS ? set_of_device(dev, pool) : res;
}

/* Of all locations and types only pinned memory of devices has a pool in use. */
static CUresult check_location(const CUmemLocation *location, CUmemAllocationType type)
{
	if (!location || (type != CU_MEM_ALLOCATION_TYPE_PINNED &&
			  type != CU_MEM_ALLOCATION_TYPE_MANAGED))
		return CUDA_ERROR_INVALID_VALUE;
	switch (location->type) {
	case CU_MEM_LOCATION_TYPE_DEVICE:
		return type == CU_MEM_ALLOCATION_TYPE_PINNED ? CUDA_SUCCESS
							     : CUDA_ERROR_NOT_SUPPORTED;
	case CU_MEM_LOCATION_TYPE_HOST:
	case CU_MEM_LOCATION_TYPE_HOST_NUMA:
		return CUDA_ERROR_NOT_SUPPORTED;
	case CU_MEM_LOCATION_TYPE_NONE:
		return type == CU_MEM_ALLOCATION_TYPE_MANAGED ? CUDA_ERROR_NOT_SUPPORTED
							      : CUDA_ERROR_INVALID_VALUE;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

SIM_EXPORT CUresult cuMemGetDefaultMemPool(CUmemoryPool *pool_out,
					   CUmemLocation *location,
					   CUmemAllocationType type)
{
	CUresult res = sim_enter(SIM_FN_cuMemGetDefaultMemPool);

	if (res == CUDA_SUCCESS)
		res = check_location(location, type);
	return res == CUDA_SUCCESS
		       ? get_of_device(sim_pool_default, location->id, pool_out)
		       : res;
}

SIM_EXPORT CUresult cuMemGetMemPool(CUmemoryPool *pool, CUmemLocation *location,
				    CUmemAllocationType type)
{
	CUresult res = sim_enter(SIM_FN_cuMemGetMemPool);

	if (res == CUDA_SUCCESS)
		res = check_location(location, type);
	return res == CUDA_SUCCESS ? get_of_device(sim_pool_current, location->id, pool)
				   : res;
}

SIM_EXPORT CUresult cuMemSetMemPool(CUmemLocation *location, CUmemAllocationType type,
				    CUmemoryPool pool)
{
	CUresult res = sim_enter(SIM_FN_cuMemSetMemPool);

	if (res == CUDA_SUCCESS)
		res = check_location(location, type);
	return res == CUDA_SUCCESS ? set_of_device(location->id, pool) : res;
}
