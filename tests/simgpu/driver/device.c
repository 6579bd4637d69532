/*
 * device.c - what the devices are: names, ids, addresses on the bus, links between them.
 *
 * Knows: how the facts of struct sim_hello are asked for. Refuses to know: attributes
 * (device_attributes.c), memory in use, contexts.
 */
#include "driver/device.h"

#include <stdio.h>
#include <string.h>

#include "driver/client.h"
#include "driver/visible.h"

#define DEVICES_IN_PCI_DOMAIN 0

unsigned sim_device_pci_bus(unsigned device)
{
	return 1 + sim_visible_number(device);
}

SIM_EXPORT CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
	CUresult res = sim_enter(SIM_FN_cuDeviceGet);

	if (res != CUDA_SUCCESS)
		return res;
	if (device == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_device_check(ordinal);
	if (res == CUDA_SUCCESS)
		*device = ordinal;
	return res;
}

SIM_EXPORT CUresult cuDeviceGetCount(int *count)
{
	CUresult res = sim_enter(SIM_FN_cuDeviceGetCount);

	if (res != CUDA_SUCCESS)
		return res;
	if (count == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	*count = (int)sim.hello.devices;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceGetName(char *name, int len, CUdevice device)
{
	CUresult res = sim_enter(SIM_FN_cuDeviceGetName);

	if (res == CUDA_SUCCESS && (name == NULL || len <= 0))
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		res = sim_device_check(device);
	if (res == CUDA_SUCCESS)
		snprintf(name, (size_t)len, "%s", sim.hello.name);
	return res;
}

SIM_EXPORT CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device)
{
	CUresult res = sim_enter(SIM_FN_cuDeviceTotalMem_v2);

	if (res == CUDA_SUCCESS && bytes == NULL)
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		res = sim_device_check(device);
	if (res == CUDA_SUCCESS)
		*bytes = sim.hello.memory_bytes;
	return res;
}

static CUresult get_uuid(CUuuid *uuid, CUdevice device)
{
	CUresult res = sim_device_check(device);

	if (uuid == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		memcpy(uuid->bytes, sim.hello.uuid[device], SIM_UUID_BYTES);
	return res;
}

SIM_EXPORT CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice device)
{
	CUresult res = sim_enter(SIM_FN_cuDeviceGetUuid);

	return res != CUDA_SUCCESS ? res : get_uuid(uuid, device);
}

SIM_EXPORT CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device)
{
	CUresult res = sim_enter(SIM_FN_cuDeviceGetUuid_v2);

	return res != CUDA_SUCCESS ? res : get_uuid(uuid, device);
}

SIM_EXPORT CUresult cuDeviceGetPCIBusId(char *pciBusId, int len, CUdevice device)
{
	CUresult res = sim_enter(SIM_FN_cuDeviceGetPCIBusId);

	if (res == CUDA_SUCCESS && (pciBusId == NULL || len <= 0))
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		res = sim_device_check(device);
	if (res == CUDA_SUCCESS)
		snprintf(pciBusId, (size_t)len, "%04x:%02x:00.0", DEVICES_IN_PCI_DOMAIN,
			 sim_device_pci_bus((unsigned)device));
	return res;
}

SIM_EXPORT CUresult cuDeviceGetByPCIBusId(CUdevice *device, const char *pciBusId)
{
	CUresult res = sim_enter(SIM_FN_cuDeviceGetByPCIBusId);
	unsigned domain = 0, bus, slot, function = 0;
	char end;

	if (res != CUDA_SUCCESS)
		return res;
	if (device == NULL || pciBusId == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	/* domain:bus:device.function, without domain, or without function. */
	if (sscanf(pciBusId, "%x:%x:%x.%x%c", &domain, &bus, &slot, &function, &end) !=
		    4 &&
	    sscanf(pciBusId, "%x:%x:%x%c", &domain, &bus, &slot, &end) != 3) {
		domain = 0;
		if (sscanf(pciBusId, "%x:%x.%x%c", &bus, &slot, &function, &end) != 3)
			return CUDA_ERROR_INVALID_VALUE;
	}
	for (unsigned i = 0; i < sim.hello.devices; i++)
		if (domain == DEVICES_IN_PCI_DOMAIN && bus == sim_device_pci_bus(i) &&
		    slot == 0 && function == 0) {
			*device = (CUdevice)i;
			return CUDA_SUCCESS;
		}
	return CUDA_ERROR_INVALID_DEVICE;
}

/* ---- links ---- */

SIM_EXPORT CUresult cuDeviceCanAccessPeer(int *can, CUdevice device, CUdevice peer)
{
	CUresult res = sim_enter(SIM_FN_cuDeviceCanAccessPeer);

	if (res == CUDA_SUCCESS && can == NULL)
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		res = sim_device_check(device);
	if (res == CUDA_SUCCESS)
		res = sim_device_check(peer);
	/* A device is no peer of itself; all others reach each other. */
	if (res == CUDA_SUCCESS)
		*can = device != peer;
	return res;
}

static CUresult pair_check(CUdevice from, CUdevice to)
{
	CUresult res = sim_device_check(from);

	if (res == CUDA_SUCCESS)
		res = sim_device_check(to);
	return res == CUDA_SUCCESS && from == to ? CUDA_ERROR_INVALID_DEVICE : res;
}

SIM_EXPORT CUresult cuDeviceGetP2PAttribute(int *value, CUdevice_P2PAttribute attribute,
					    CUdevice srcDevice, CUdevice dstDevice)
{
	CUresult res = sim_enter(SIM_FN_cuDeviceGetP2PAttribute);
	int answer;

	if (res != CUDA_SUCCESS)
		return res;
	switch (attribute) {
	case CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK:
	case CU_DEVICE_P2P_ATTRIBUTE_ONLY_PARTIAL_NATIVE_ATOMIC_SUPPORTED:
		answer = 0;
		break;
	case CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED:
	case CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED:
	case CU_DEVICE_P2P_ATTRIBUTE_CUDA_ARRAY_ACCESS_SUPPORTED:
		answer = 1;
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	if (value == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	res = pair_check(srcDevice, dstDevice);
	if (res == CUDA_SUCCESS)
		*value = answer;
	return res;
}

/* The same atomics over every link: all that NVLink does. */
static CUresult atomics(unsigned *capabilities, const CUatomicOperation *operations,
			unsigned count)
{
	const unsigned all = CU_ATOMIC_CAPABILITY_SIGNED | CU_ATOMIC_CAPABILITY_UNSIGNED |
			     CU_ATOMIC_CAPABILITY_REDUCTION |
			     CU_ATOMIC_CAPABILITY_SCALAR_32 |
			     CU_ATOMIC_CAPABILITY_SCALAR_64;

	if (capabilities == NULL || operations == NULL || count == 0)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned i = 0; i < count; i++)
		if ((unsigned)operations[i] > CU_ATOMIC_OPERATION_FLOAT_MAX)
			return CUDA_ERROR_INVALID_VALUE;
	for (unsigned i = 0; i < count; i++)
		capabilities[i] = all;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceGetP2PAtomicCapabilities(unsigned int *capabilities,
						     const CUatomicOperation *operations,
						     unsigned int count,
						     CUdevice srcDevice,
						     CUdevice dstDevice)
{
	CUresult res = sim_enter(SIM_FN_cuDeviceGetP2PAtomicCapabilities);

	if (res == CUDA_SUCCESS)
		res = pair_check(srcDevice, dstDevice);
	return res != CUDA_SUCCESS ? res : atomics(capabilities, operations, count);
}

SIM_EXPORT CUresult cuDeviceGetHostAtomicCapabilities(unsigned int *capabilities,
						      const CUatomicOperation *operations,
						      unsigned int count, CUdevice device)
{
	CUresult res = sim_enter(SIM_FN_cuDeviceGetHostAtomicCapabilities);

	if (res == CUDA_SUCCESS)
		res = sim_device_check(device);
	if (res == CUDA_SUCCESS)
		res = atomics(capabilities, operations, count);
	/* Nothing atomic across PCI Express. */
	for (unsigned i = 0; res == CUDA_SUCCESS && i < count; i++)
		capabilities[i] = 0;
	return res;
}
