/*
 * vmm.h - physical memory and reservations, as the two files of virtual memory management
 * share them.
 *
 * Knows: a local image of the device process' handles, so that calls are checked and
 * properties answered here; the device process decides when memory goes (no handle, no
 * export and no mapping left). Everything is under sim_vmm_lock, which is held across
 * requests and comes before the locks of driver.h.
 */
#ifndef SIM_VMM_H
#define SIM_VMM_H

#include "driver/driver.h"

#define SIM_VMM_BYTES (2ull << 20) /* minimum and recommended granularity */

/* Physical memory that this process has a handle to or has mapped. */
struct sim_vmm_phys {
	uint64_t handle; /* the device's value; the application's handle */
	uint64_t bytes;
	CUmemAllocationProp prop;
	uint64_t refs; /* of the handle */
	uint64_t maps;
};

extern pthread_mutex_t sim_vmm_lock;

/* Under the lock. find: NULL if there is no such handle, or only mappings of it are left. */
struct sim_vmm_phys *sim_vmm_find(uint64_t handle);
/* Forgets it if nothing refers to it any more. */
void sim_vmm_settle(struct sim_vmm_phys *phys);

/* The reservation that holds an address, as it was asked for. Takes the lock. */
bool sim_vmm_reservation(uint64_t addr, uint64_t *base, uint64_t *bytes);

static inline bool sim_vmm_on_host(const CUmemAllocationProp *prop)
{
	return prop->location.type != CU_MEM_LOCATION_TYPE_DEVICE;
}

#endif
