/*
 * managed.c - advice for managed memory: checked, remembered, and told by the range
 * attributes. See managed.h.
 */
#include "driver/managed.h"

#include <string.h>

#define HOST_BIT (1u << 31)

CUresult sim_managed_find(CUdeviceptr addr, size_t bytes, struct sim_alloc *alloc)
{
	if (bytes == 0 || !sim_ranges_cover(addr, bytes, SIM_ACCESS_READ, alloc) ||
	    alloc->kind != SIM_MEM_MANAGED)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

/* A place as kept in struct sim_alloc. */
CUresult sim_place_of_device(CUdevice device, int *place)
{
	if (device != SIM_PLACE_HOST &&
	    (device < 0 || (unsigned)device >= sim.hello.devices))
		return CUDA_ERROR_INVALID_DEVICE;
	*place = device;
	return CUDA_SUCCESS;
}

CUresult sim_place_of(const CUmemLocation *location, int *place)
{
	switch (location->type) {
	case CU_MEM_LOCATION_TYPE_DEVICE:
		return location->id == SIM_PLACE_HOST
			       ? CUDA_ERROR_INVALID_DEVICE
			       : sim_place_of_device(location->id, place);
	case CU_MEM_LOCATION_TYPE_HOST:
		*place = SIM_PLACE_HOST;
		return CUDA_SUCCESS;
	case CU_MEM_LOCATION_TYPE_HOST_NUMA:
		if (location->id != 0)
			return CUDA_ERROR_INVALID_VALUE;
		*place = SIM_PLACE_HOST_NUMA;
		return CUDA_SUCCESS;
	case CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT:
		*place = SIM_PLACE_HOST_NUMA;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

/* ---- advice ---- */

static bool needs_place(CUmem_advise advice)
{
	return advice == CU_MEM_ADVISE_SET_PREFERRED_LOCATION ||
	       advice == CU_MEM_ADVISE_SET_ACCESSED_BY ||
	       advice == CU_MEM_ADVISE_UNSET_ACCESSED_BY;
}

static CUresult advise(CUdeviceptr addr, size_t bytes, CUmem_advise advice, int place)
{
	struct sim_alloc alloc;
	uint32_t bit = place == SIM_PLACE_HOST ? HOST_BIT : 1u << (place & 31);
	CUresult res = sim_managed_find(addr, bytes, &alloc);

	if (res != CUDA_SUCCESS)
		return res;
	switch (advice) {
	case CU_MEM_ADVISE_SET_READ_MOSTLY:
	case CU_MEM_ADVISE_UNSET_READ_MOSTLY:
		alloc.read_mostly = advice == CU_MEM_ADVISE_SET_READ_MOSTLY;
		break;
	case CU_MEM_ADVISE_SET_PREFERRED_LOCATION:
		alloc.preferred = place;
		break;
	case CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION:
		alloc.preferred = SIM_NOWHERE;
		break;
	case CU_MEM_ADVISE_SET_ACCESSED_BY:
	case CU_MEM_ADVISE_UNSET_ACCESSED_BY:
		if (place == SIM_PLACE_HOST_NUMA)
			return CUDA_ERROR_INVALID_VALUE;
		if (advice == CU_MEM_ADVISE_SET_ACCESSED_BY)
			alloc.accessed_by |= bit;
		else
			alloc.accessed_by &= ~bit;
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	sim_ranges_update(&alloc);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemAdvise(CUdeviceptr devPtr, size_t count, CUmem_advise advice,
				CUdevice device)
{
	int place = SIM_PLACE_HOST;
	CUresult res = sim_enter(SIM_FN_cuMemAdvise);

	if (res == CUDA_SUCCESS && needs_place(advice))
		res = sim_place_of_device(device, &place);
	return res == CUDA_SUCCESS ? advise(devPtr, count, advice, place) : res;
}

SIM_EXPORT CUresult cuMemAdvise_v2(CUdeviceptr devPtr, size_t count, CUmem_advise advice,
				   CUmemLocation location)
{
	int place = SIM_PLACE_HOST;
	CUresult res = sim_enter(SIM_FN_cuMemAdvise_v2);

	if (res == CUDA_SUCCESS && needs_place(advice))
		res = sim_place_of(&location, &place);
	return res == CUDA_SUCCESS ? advise(devPtr, count, advice, place) : res;
}

/* ---- range attributes ---- */

static int type_of(int place)
{
	if (place == SIM_NOWHERE)
		return CU_MEM_LOCATION_TYPE_INVALID;
	if (place == SIM_PLACE_HOST)
		return CU_MEM_LOCATION_TYPE_HOST;
	return place == SIM_PLACE_HOST_NUMA ? CU_MEM_LOCATION_TYPE_HOST_NUMA
					    : CU_MEM_LOCATION_TYPE_DEVICE;
}

/* The same as a CUdevice. */
static int device_of(int place)
{
	return place == SIM_NOWHERE || place == SIM_PLACE_HOST_NUMA ? CU_DEVICE_INVALID
								    : place;
}

static CUresult list_accessors(const struct sim_alloc *alloc, int *out, size_t bytes)
{
	size_t room = bytes / sizeof(*out), n = 0;

	if (bytes == 0 || bytes % sizeof(*out))
		return CUDA_ERROR_INVALID_VALUE;
	if (n < room && (alloc->accessed_by & HOST_BIT))
		out[n++] = SIM_PLACE_HOST;
	for (int device = 0; device < 31 && n < room; device++)
		if (alloc->accessed_by & (1u << device))
			out[n++] = device;
	while (n < room)
		out[n++] = CU_DEVICE_INVALID;
	return CUDA_SUCCESS;
}

static CUresult range_attribute(const struct sim_alloc *alloc,
				CUmem_range_attribute attribute, void *data, size_t bytes)
{
	int value;

	if (!data)
		return CUDA_ERROR_INVALID_VALUE;
	switch (attribute) {
	case CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY:
		value = alloc->read_mostly;
		break;
	case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION:
		value = device_of(alloc->preferred);
		break;
	case CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY:
		return list_accessors(alloc, data, bytes);
	case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION:
		value = device_of(alloc->prefetched);
		break;
	case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_TYPE:
		value = type_of(alloc->preferred);
		break;
	case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_ID:
		value = alloc->preferred >= 0 ? alloc->preferred : 0;
		break;
	case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_TYPE:
		value = type_of(alloc->prefetched);
		break;
	case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_ID:
		value = alloc->prefetched >= 0 ? alloc->prefetched : 0;
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	if (bytes != sizeof(value))
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(data, &value, sizeof(value));
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemRangeGetAttribute(void *data, size_t dataSize,
					   CUmem_range_attribute attribute,
					   CUdeviceptr devPtr, size_t count)
{
	struct sim_alloc alloc;
	CUresult res = sim_enter(SIM_FN_cuMemRangeGetAttribute);

	if (res == CUDA_SUCCESS)
		res = sim_managed_find(devPtr, count, &alloc);
	return res == CUDA_SUCCESS ? range_attribute(&alloc, attribute, data, dataSize)
				   : res;
}

SIM_EXPORT CUresult cuMemRangeGetAttributes(void **data, size_t *dataSizes,
					    CUmem_range_attribute *attributes,
					    size_t numAttributes, CUdeviceptr devPtr,
					    size_t count)
{
	struct sim_alloc alloc;
	CUresult res = sim_enter(SIM_FN_cuMemRangeGetAttributes);

	if (res == CUDA_SUCCESS &&
	    (!data || !dataSizes || !attributes || numAttributes == 0))
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		res = sim_managed_find(devPtr, count, &alloc);
	for (size_t i = 0; i < numAttributes && res == CUDA_SUCCESS; i++)
		res = range_attribute(&alloc, attributes[i], data[i], dataSizes[i]);
	return res;
}
