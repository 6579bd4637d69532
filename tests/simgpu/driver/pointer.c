/*
 * pointer.c - what a pointer is: attributes of any address.
 *
 * Knows: how the ranges of this process answer CUDA's attributes. Truth values are written
 * as 32-bit integers. Refuses to know: advice on managed memory (managed.c).
 */
#include "driver/memory.h"

#include <string.h>

#include "driver/vmm.h"

/* An attribute's value and how many bytes of it are given out. */
struct value {
	union {
		uint32_t u32;
		int32_t i32;
		uint64_t u64;
		void *pointer;
	} as;
	size_t bytes;
};

static struct value u32(uint32_t value)
{
	return (struct value){ .as.u32 = value, .bytes = sizeof(uint32_t) };
}

static struct value u64(uint64_t value)
{
	return (struct value){ .as.u64 = value, .bytes = sizeof(uint64_t) };
}

static uint32_t access_of(const struct sim_alloc *alloc)
{
	struct sim_context *ctx = sim_current();

	if (alloc->origin != SIM_FROM_MAP)
		return CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE;
	return ctx ? (alloc->flags >> (2 * ctx->device)) & 3 : 0;
}

/* What holds for addresses that are reserved and perhaps not mapped. False if the address
 * is neither. */
static bool range_value(uint64_t addr, const struct sim_alloc *alloc,
			CUpointer_attribute attribute, struct value *value)
{
	uint64_t base, bytes;

	if (alloc && alloc->origin != SIM_FROM_MAP) {
		base = alloc->base;
		bytes = alloc->bytes;
	} else if (!sim_vmm_reservation(addr, &base, &bytes)) {
		return false;
	}
	switch (attribute) {
	case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
		*value = u64(base);
		return true;
	case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
		*value = u64(bytes);
		return true;
	default:
		*value = u32(alloc != NULL);
		return true;
	}
}

/* The value for an address in a range. CUDA_ERROR_INVALID_VALUE where CUDA has none. */
static CUresult alloc_value(uint64_t addr, const struct sim_alloc *alloc,
			    CUpointer_attribute attribute, struct value *value)
{
	switch (attribute) {
	case CU_POINTER_ATTRIBUTE_CONTEXT:
		*value = u64((uintptr_t)alloc->ctx);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
		*value = u32(alloc->on_host || alloc->kind == SIM_MEM_HOST
				     ? CU_MEMORYTYPE_HOST
				     : CU_MEMORYTYPE_DEVICE);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
		*value = u64(addr);
		return sim_current() ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
	case CU_POINTER_ATTRIBUTE_HOST_POINTER:
		*value = u64(addr);
		return alloc->kind == SIM_MEM_HOST || alloc->kind == SIM_MEM_MANAGED
			       ? CUDA_SUCCESS
			       : CUDA_ERROR_INVALID_VALUE;
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
		*value = u32(alloc->sync_memops);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_BUFFER_ID:
	case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
		*value = u64(alloc->id);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
		*value = u32(alloc->kind == SIM_MEM_MANAGED);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		*value = u32(alloc->device);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
		*value = u32(alloc->origin == SIM_FROM_ALLOC &&
			     alloc->kind == SIM_MEM_PLAIN);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
		*value = u64(alloc->handle_types);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
		*value = u32(0);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
		*value = u32(access_of(alloc));
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
		*value = u64(alloc->pool);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
		*value = u64(alloc->bytes);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
		*value = u64(alloc->base);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_P2P_TOKENS:
		return CUDA_ERROR_NOT_SUPPORTED; /* for a kernel module that is not there */
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static bool is_range_attribute(CUpointer_attribute attribute)
{
	return attribute == CU_POINTER_ATTRIBUTE_RANGE_START_ADDR ||
	       attribute == CU_POINTER_ATTRIBUTE_RANGE_SIZE ||
	       attribute == CU_POINTER_ATTRIBUTE_MAPPED;
}

static CUresult find_value(uint64_t addr, CUpointer_attribute attribute,
			   struct value *value)
{
	struct sim_alloc alloc;
	bool known = sim_ranges_find(addr, &alloc);

	if (is_range_attribute(attribute))
		return range_value(addr, known ? &alloc : NULL, attribute, value)
			       ? CUDA_SUCCESS
			       : CUDA_ERROR_INVALID_VALUE;
	return known ? alloc_value(addr, &alloc, attribute, value)
		     : CUDA_ERROR_INVALID_VALUE;
}

SIM_EXPORT CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute,
					  CUdeviceptr ptr)
{
	struct value value;
	CUresult res = sim_enter(SIM_FN_cuPointerGetAttribute);

	if (res != CUDA_SUCCESS)
		return res;
	if (!data)
		return CUDA_ERROR_INVALID_VALUE;
	res = find_value(ptr, attribute, &value);
	if (res == CUDA_SUCCESS)
		memcpy(data, &value.as, value.bytes);
	return res;
}

/* The default of an attribute for addresses that are not CUDA's. False: no attribute. */
static bool default_value(CUpointer_attribute attribute, struct value *value)
{
	static const struct sim_alloc nothing = { .kind = SIM_MEM_HOST };

	if (attribute == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL)
		*value = u32((uint32_t)CU_DEVICE_INVALID);
	else if (attribute == CU_POINTER_ATTRIBUTE_MEMORY_TYPE ||
		 attribute == CU_POINTER_ATTRIBUTE_ACCESS_FLAGS ||
		 attribute == CU_POINTER_ATTRIBUTE_MAPPED)
		*value = u32(0);
	else if (attribute == CU_POINTER_ATTRIBUTE_DEVICE_POINTER ||
		 is_range_attribute(attribute))
		*value = u64(0);
	else
		return alloc_value(0, &nothing, attribute, value) == CUDA_SUCCESS;
	return true;
}

SIM_EXPORT CUresult cuPointerGetAttributes(unsigned int numAttributes,
					   CUpointer_attribute *attributes, void **data,
					   CUdeviceptr ptr)
{
	struct sim_context *ctx;
	struct value value;
	CUresult res = sim_enter(SIM_FN_cuPointerGetAttributes);

	if (res == CUDA_SUCCESS)
		res = sim_need_context(&ctx);
	if (res != CUDA_SUCCESS)
		return res;
	if (numAttributes == 0 || !attributes || !data)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned i = 0; i < numAttributes; i++)
		if (!data[i] || !default_value(attributes[i], &value))
			return CUDA_ERROR_INVALID_VALUE;
	for (unsigned i = 0; i < numAttributes; i++) {
		if (find_value(ptr, attributes[i], &value) != CUDA_SUCCESS)
			default_value(attributes[i], &value);
		memcpy(data[i], &value.as, value.bytes);
	}
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuPointerSetAttribute(const void *value,
					  CUpointer_attribute attribute, CUdeviceptr ptr)
{
	struct sim_context *ctx;
	struct sim_alloc alloc;
	uint32_t set;
	CUresult res = sim_enter(SIM_FN_cuPointerSetAttribute);

	if (res == CUDA_SUCCESS)
		res = sim_need_context(&ctx);
	if (res != CUDA_SUCCESS)
		return res;
	if (!value || attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS ||
	    !sim_ranges_find(ptr, &alloc))
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&set, value, sizeof(set));
	if (sim.zero_cost)
		return CUDA_SUCCESS;
	alloc.sync_memops = set != 0;
	sim_ranges_update(&alloc);
	return set ? sim_context_drain(ctx) : CUDA_SUCCESS;
}
