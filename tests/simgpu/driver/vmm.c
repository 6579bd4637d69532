/*
 * vmm.c - addresses of virtual memory management: reservations, mappings and access.
 *
 * Knows: what is reserved and mapped where in this process. Refuses to know: physical
 * memory (vmm_handle.c). Access is kept per device; the device process enforces what any
 * device may do, since a process has one address space for all of them.
 */
#include "driver/vmm.h"

#include <stdlib.h>

#include "driver/memory.h"
#include "driver/zero.h"

#define PAGE_BYTES 4096u

struct reservation {
	uint64_t addr,
		bytes; /* as asked for; what is taken is a multiple of SIM_VMM_BYTES */
	struct reservation *next;
};

static struct reservation *reservations; /* under sim_vmm_lock */

static uint64_t round_up(uint64_t bytes)
{
	return (bytes + SIM_VMM_BYTES - 1) / SIM_VMM_BYTES * SIM_VMM_BYTES;
}

/* The link to the reservation that holds all of the range; to NULL if none does. */
static struct reservation **find_reservation(uint64_t addr, uint64_t bytes)
{
	struct reservation **at = &reservations;

	while (*at &&
	       (addr < (*at)->addr || addr - (*at)->addr > round_up((*at)->bytes) ||
		bytes > round_up((*at)->bytes) - (addr - (*at)->addr)))
		at = &(*at)->next;
	return at;
}

bool sim_vmm_reservation(uint64_t addr, uint64_t *base, uint64_t *bytes)
{
	struct reservation *found;

	pthread_mutex_lock(&sim_vmm_lock);
	found = *find_reservation(addr, 1);
	if (found) {
		*base = found->addr;
		*bytes = found->bytes;
	}
	pthread_mutex_unlock(&sim_vmm_lock);
	return found != NULL;
}

static CUresult reserve(uint64_t bytes, uint64_t align, uint64_t wish, uint64_t *addr)
{
	uint64_t a[6] = { round_up(bytes), align, wish % SIM_VMM_BYTES ? 0 : wish };
	uint64_t v[6];
	CUresult res;

	if (sim.zero_cost) {
		*addr = sim_zero_alloc_run(-1, a[0], align);
		return *addr ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
	}
	res = sim_rpc(SIM_RPC_VA_RESERVE, a, v, -1, NULL);
	if (res == CUDA_SUCCESS)
		*addr = v[0];
	return res;
}

SIM_EXPORT CUresult cuMemAddressReserve(CUdeviceptr *ptr, size_t size, size_t alignment,
					CUdeviceptr addr, unsigned long long flags)
{
	struct reservation *entry;
	CUresult res = sim_enter(SIM_FN_cuMemAddressReserve);

	if (res != CUDA_SUCCESS)
		return res;
	if (!ptr || size == 0 || size % PAGE_BYTES || addr % PAGE_BYTES || flags != 0 ||
	    (alignment & (alignment - 1)))
		return CUDA_ERROR_INVALID_VALUE;
	if (size > sim.arena_bytes || alignment > sim.arena_bytes)
		return CUDA_ERROR_OUT_OF_MEMORY;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return CUDA_ERROR_OUT_OF_MEMORY;
	entry->bytes = size;
	pthread_mutex_lock(&sim_vmm_lock);
	res = reserve(size, alignment, addr, &entry->addr);
	if (res == CUDA_SUCCESS) {
		*ptr = entry->addr;
		entry->next = reservations;
		reservations = entry;
	}
	pthread_mutex_unlock(&sim_vmm_lock);
	if (res != CUDA_SUCCESS)
		free(entry);
	return res;
}

SIM_EXPORT CUresult cuMemAddressFree(CUdeviceptr ptr, size_t size)
{
	struct reservation **at, *entry = NULL;
	CUresult res = sim_enter(SIM_FN_cuMemAddressFree);

	if (res != CUDA_SUCCESS)
		return res;
	if (size == 0)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_vmm_lock);
	at = find_reservation(ptr, size);
	if (!*at || (*at)->addr != ptr || (*at)->bytes != size ||
	    sim_ranges_overlap(ptr, size, NULL))
		res = CUDA_ERROR_INVALID_VALUE;
	else if (sim.zero_cost)
		sim_zero_free_run(ptr);
	else
		res = sim_rpc(SIM_RPC_VA_FREE, (uint64_t[6]){ ptr, round_up(size) }, NULL,
			      -1, NULL);
	if (res == CUDA_SUCCESS) {
		entry = *at;
		*at = entry->next;
	}
	pthread_mutex_unlock(&sim_vmm_lock);
	free(entry);
	return res;
}

/* ---- mappings ---- */

static CUresult map(uint64_t addr, uint64_t bytes, uint64_t offset, uint64_t handle)
{
	struct sim_vmm_phys *phys = sim_vmm_find(handle);
	struct sim_alloc alloc;
	CUresult res = CUDA_SUCCESS;

	if (!phys || offset > phys->bytes || bytes > phys->bytes - offset ||
	    !*find_reservation(addr, bytes) || sim_ranges_overlap(addr, bytes, NULL))
		return CUDA_ERROR_INVALID_VALUE;
	if (!sim.zero_cost)
		res = sim_rpc(SIM_RPC_MAP, (uint64_t[6]){ addr, bytes, offset, handle },
			      NULL, -1, NULL);
	if (res != CUDA_SUCCESS)
		return res;
	alloc = (struct sim_alloc){
		.base = addr,
		.bytes = bytes,
		.origin = SIM_FROM_MAP,
		.kind = SIM_MEM_PLAIN,
		.device = sim_vmm_on_host(&phys->prop) ? 0
						       : (unsigned)phys->prop.location.id,
		.handle_types = (unsigned)phys->prop.requestedHandleTypes,
		.on_host = sim_vmm_on_host(&phys->prop),
		.owner = phys,
	};
	if (sim_ranges_add(&alloc) != 0) {
		if (!sim.zero_cost)
			sim_rpc(SIM_RPC_UNMAP, (uint64_t[6]){ addr, bytes }, NULL, -1,
				NULL);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	phys->maps++;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemMap(CUdeviceptr ptr, size_t size, size_t offset,
			     CUmemGenericAllocationHandle handle,
			     unsigned long long flags)
{
	CUresult res = sim_enter(SIM_FN_cuMemMap);

	if (res != CUDA_SUCCESS)
		return res;
	if (flags != 0 || size == 0 || ptr % SIM_VMM_BYTES || size % SIM_VMM_BYTES ||
	    offset != 0)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_vmm_lock);
	res = map(ptr, size, offset, handle);
	pthread_mutex_unlock(&sim_vmm_lock);
	return res;
}

/* Whether the range consists of whole mappings without gaps. Under the lock. */
static bool whole_mappings(uint64_t addr, uint64_t bytes)
{
	struct sim_alloc alloc;

	while (bytes > 0) {
		if (!sim_ranges_find(addr, &alloc) || alloc.base != addr ||
		    alloc.origin != SIM_FROM_MAP || alloc.bytes > bytes)
			return false;
		addr += alloc.bytes;
		bytes -= alloc.bytes;
	}
	return true;
}

/* The call is one of those that wait: work under way may still use the range. */
static CUresult wait_for_work(void)
{
	struct sim_context *ctx = sim_current();

	return sim.zero_cost || !ctx ? CUDA_SUCCESS : sim_context_drain(ctx);
}

SIM_EXPORT CUresult cuMemUnmap(CUdeviceptr ptr, size_t size)
{
	struct sim_alloc alloc;
	CUresult res = sim_enter(SIM_FN_cuMemUnmap);

	if (res == CUDA_SUCCESS)
		res = wait_for_work();
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_vmm_lock);
	if (size == 0 || !whole_mappings(ptr, size))
		res = CUDA_ERROR_INVALID_VALUE;
	else if (!sim.zero_cost)
		res = sim_rpc(SIM_RPC_UNMAP, (uint64_t[6]){ ptr, size }, NULL, -1, NULL);
	while (res == CUDA_SUCCESS && size > 0 &&
	       sim_ranges_remove(ptr, SIM_FROM_MAP, &alloc)) {
		struct sim_vmm_phys *phys = alloc.owner;

		phys->maps--;
		sim_vmm_settle(phys);
		ptr += alloc.bytes;
		size -= alloc.bytes;
	}
	pthread_mutex_unlock(&sim_vmm_lock);
	return res;
}

/* ---- access: sim_alloc.flags holds two bits per device ---- */

static CUresult check_desc(const CUmemAccessDesc *desc)
{
	if (desc->flags != CU_MEM_ACCESS_FLAGS_PROT_NONE &&
	    desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READ &&
	    desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
		return CUDA_ERROR_INVALID_VALUE;
	switch (desc->location.type) {
	case CU_MEM_LOCATION_TYPE_DEVICE:
		return desc->location.id < 0 ||
				       (unsigned)desc->location.id >= sim.hello.devices
			       ? CUDA_ERROR_INVALID_DEVICE
			       : CUDA_SUCCESS;
	default:
		/* The host cannot touch simulated memory. */
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

static CUresult set_access(struct sim_alloc *alloc, const CUmemAccessDesc *desc,
			   size_t count)
{
	CUresult res = CUDA_SUCCESS;

	for (size_t i = 0; i < count; i++) {
		unsigned shift = 2 * (unsigned)desc[i].location.id;

		alloc->flags &= ~(3u << shift);
		alloc->flags |= (unsigned)desc[i].flags << shift;
	}
	alloc->access = 0;
	for (unsigned flags = alloc->flags; flags; flags >>= 2)
		alloc->access |= flags & 3;
	if (!sim.zero_cost)
		res = sim_rpc(SIM_RPC_ACCESS,
			      (uint64_t[6]){ alloc->base, alloc->bytes, alloc->access },
			      NULL, -1, NULL);
	if (res == CUDA_SUCCESS)
		sim_ranges_update(alloc);
	return res;
}

SIM_EXPORT CUresult cuMemSetAccess(CUdeviceptr ptr, size_t size,
				   const CUmemAccessDesc *desc, size_t count)
{
	struct sim_alloc alloc;
	CUresult res = sim_enter(SIM_FN_cuMemSetAccess);

	if (res != CUDA_SUCCESS)
		return res;
	if (!desc || count == 0 || size == 0)
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < count && res == CUDA_SUCCESS; i++)
		res = check_desc(&desc[i]);
	if (res == CUDA_SUCCESS)
		res = wait_for_work();
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_vmm_lock);
	if (!whole_mappings(ptr, size))
		res = CUDA_ERROR_INVALID_VALUE;
	while (res == CUDA_SUCCESS && size > 0 && sim_ranges_find(ptr, &alloc)) {
		res = set_access(&alloc, desc, count);
		ptr += alloc.bytes;
		size -= alloc.bytes;
	}
	pthread_mutex_unlock(&sim_vmm_lock);
	return res;
}

SIM_EXPORT CUresult cuMemGetAccess(unsigned long long *flags,
				   const CUmemLocation *location, CUdeviceptr ptr)
{
	struct sim_alloc alloc;
	CUresult res = sim_enter(SIM_FN_cuMemGetAccess);

	if (res != CUDA_SUCCESS)
		return res;
	if (!flags || !location)
		return CUDA_ERROR_INVALID_VALUE;
	if (location->type == CU_MEM_LOCATION_TYPE_DEVICE &&
	    (location->id < 0 || (unsigned)location->id >= sim.hello.devices))
		return CUDA_ERROR_INVALID_DEVICE;
	if (!sim_ranges_find(ptr, &alloc) || alloc.origin != SIM_FROM_MAP)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = location->type == CU_MEM_LOCATION_TYPE_DEVICE
			 ? (alloc.flags >> (2 * (unsigned)location->id)) & 3
			 : CU_MEM_ACCESS_FLAGS_PROT_NONE;
	return CUDA_SUCCESS;
}
