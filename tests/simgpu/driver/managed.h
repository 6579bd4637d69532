/*
 * managed.h - what is said of managed memory: where it should be, and where it was sent.
 *
 * Managed memory does not move here: it is always in reach of host and device, so advice and
 * prefetches change no timing. They are kept per allocation: what is said of a part holds for
 * all of it.
 */
#ifndef SIM_MANAGED_H
#define SIM_MANAGED_H

#include "driver/driver.h"
#include "driver/ranges.h"

/* Places as kept in struct sim_alloc: a device, or one of these, or SIM_NOWHERE. */
#define SIM_PLACE_HOST (-1)	 /* CU_DEVICE_CPU */
#define SIM_PLACE_HOST_NUMA (-3) /* node 0, the only one */

/* The managed allocation that holds all of the range: CUDA_ERROR_INVALID_VALUE if none. */
CUresult sim_managed_find(CUdeviceptr addr, size_t bytes, struct sim_alloc *alloc);

/* CUDA_ERROR_INVALID_DEVICE, _INVALID_VALUE. */
CUresult sim_place_of_device(CUdevice device, int *place);
CUresult sim_place_of(const CUmemLocation *location, int *place);

#endif
