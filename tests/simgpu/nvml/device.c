/*
 * device.c - which devices there are and what they are.
 */
#include "nvml/nvml_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/uuid.h"

/* The vendor that programs look for, and no product of it; as libcuda.so.1 has it. */
#define PCI_DEVICE_ID 0x000010deu
#define CORES_PER_SM 128

/* ---- handles ---- */

static enum nvml_return count(unsigned *out)
{
	struct sim_hello hello;
	enum nvml_return res = nvml_hello(&hello);

	if (res)
		return res;
	if (!out)
		return NVML_ERROR_INVALID_ARGUMENT;
	*out = hello.devices;
	return NVML_SUCCESS;
}

enum nvml_return nvmlDeviceGetCount(unsigned *out)
{
	return count(out);
}

enum nvml_return nvmlDeviceGetCount_v2(unsigned *out)
{
	return count(out);
}

/* Gives out the handle of a device that was found; a lost one cannot be had. */
static enum nvml_return give_handle(unsigned index, nvmlDevice_t *device)
{
	struct nvml_call call;
	enum nvml_return res = nvml_begin(&call, nvml_handle(index), NVML_BOOKS_PLAIN);

	if (res)
		return res;
	nvml_end(&call);
	*device = nvml_handle(index);
	return NVML_SUCCESS;
}

static enum nvml_return by_index(unsigned index, nvmlDevice_t *device)
{
	struct sim_hello hello;
	enum nvml_return res = nvml_hello(&hello);

	if (res)
		return res;
	if (!device || index >= hello.devices)
		return NVML_ERROR_INVALID_ARGUMENT;
	return give_handle(index, device);
}

enum nvml_return nvmlDeviceGetHandleByIndex(unsigned index, nvmlDevice_t *device)
{
	return by_index(index, device);
}

enum nvml_return nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *device)
{
	return by_index(index, device);
}

static enum nvml_return by_uuid(const char *text, const unsigned char *bytes,
				nvmlDevice_t *device)
{
	struct sim_hello hello;
	enum nvml_return res = nvml_hello(&hello);
	char own[SIM_UUID_TEXT_BYTES];

	if (res)
		return res;
	if ((!text && !bytes) || !device)
		return NVML_ERROR_INVALID_ARGUMENT;
	for (unsigned i = 0; i < hello.devices; i++) {
		sim_uuid_text(hello.uuid[i], own);
		if (text ? strcasecmp(text, own) == 0
			 : memcmp(bytes, hello.uuid[i], SIM_UUID_BYTES) == 0)
			return give_handle(i, device);
	}
	return NVML_ERROR_NOT_FOUND;
}

enum nvml_return nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device)
{
	return by_uuid(uuid, NULL, device);
}

enum nvml_return nvmlDeviceGetHandleByUUIDV(const struct nvml_uuid *uuid,
					    nvmlDevice_t *device)
{
	if (!uuid)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (uuid->version != NVML_VERSION(struct nvml_uuid, 1))
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	if (uuid->type == 1)
		return by_uuid(uuid->value.text, NULL, device);
	if (uuid->type == 2)
		return by_uuid(NULL, uuid->value.bytes, device);
	return NVML_ERROR_INVALID_ARGUMENT;
}

/* Device N sits at bus N + 1 of domain 0, as libcuda.so.1 has it. */
static enum nvml_return by_bus_id(const char *bus_id, nvmlDevice_t *device)
{
	unsigned domain, bus, slot, function = 0;
	struct sim_hello hello;
	enum nvml_return res = nvml_hello(&hello);

	if (res)
		return res;
	if (!bus_id || !device)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (sscanf(bus_id, "%x:%x:%x.%x", &domain, &bus, &slot, &function) < 3) {
		domain = 0;
		if (sscanf(bus_id, "%x:%x.%x", &bus, &slot, &function) < 2)
			return NVML_ERROR_INVALID_ARGUMENT;
	}
	if (domain || slot || function || bus == 0 || bus > hello.devices)
		return NVML_ERROR_NOT_FOUND;
	return give_handle(bus - 1, device);
}

enum nvml_return nvmlDeviceGetHandleByPciBusId(const char *bus_id, nvmlDevice_t *device)
{
	return by_bus_id(bus_id, device);
}

enum nvml_return nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id,
						  nvmlDevice_t *device)
{
	return by_bus_id(bus_id, device);
}

/* ---- identity ---- */

/* An answer that follows from the number of the device: base + number. */
static enum nvml_return give_number(nvmlDevice_t device, unsigned *out, unsigned base)
{
	unsigned index = 0;
	enum nvml_return res = nvml_check(device, &index);

	return res ? res : nvml_give(device, out, base + index);
}

enum nvml_return nvmlDeviceGetIndex(nvmlDevice_t device, unsigned *index)
{
	return give_number(device, index, 0);
}

enum nvml_return nvmlDeviceGetMinorNumber(nvmlDevice_t device, unsigned *minor)
{
	return give_number(device, minor, 0);
}

enum nvml_return nvmlDeviceGetBoardId(nvmlDevice_t device, unsigned *board)
{
	return give_number(device, board, 0x100);
}

enum nvml_return nvmlDeviceGetMultiGpuBoard(nvmlDevice_t device, unsigned *multi)
{
	return nvml_give(device, multi, 0);
}

enum nvml_return nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned length)
{
	struct nvml_call call;
	enum nvml_return res = nvml_begin(&call, device, NVML_BOOKS_PLAIN);

	if (res)
		return res;
	nvml_end(&call);
	return nvml_give_text(name, length, call.hello.name);
}

enum nvml_return nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned length)
{
	struct nvml_call call;
	enum nvml_return res = nvml_begin(&call, device, NVML_BOOKS_PLAIN);
	char text[SIM_UUID_TEXT_BYTES];

	if (res)
		return res;
	sim_uuid_text(call.device->uuid, text);
	nvml_end(&call);
	return nvml_give_text(uuid, length, text);
}

enum nvml_return nvmlDeviceGetBrand(nvmlDevice_t device, unsigned *brand)
{
	return nvml_give(device, brand, 0); /* unknown */
}

static enum nvml_return capability(nvmlDevice_t device, int *major, int *minor)
{
	struct nvml_call call;
	enum nvml_return res = nvml_begin(&call, device, NVML_BOOKS_PLAIN);

	if (res)
		return res;
	nvml_end(&call);
	if (!major || !minor)
		return NVML_ERROR_INVALID_ARGUMENT;
	*major = (int)call.hello.cc_major;
	*minor = (int)call.hello.cc_minor;
	return NVML_SUCCESS;
}

enum nvml_return nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int *major,
						    int *minor)
{
	return capability(device, major, minor);
}

enum nvml_return nvmlDeviceGetArchitecture(nvmlDevice_t device, unsigned *architecture)
{
	/* Kepler is 2, and so on, one number for each generation. */
	static const struct {
		int major, minor;
		unsigned architecture;
	} first[] = { { 10, 0, 10 }, { 9, 0, 9 }, { 8, 9, 8 }, { 8, 0, 7 }, { 7, 5, 6 },
		      { 7, 0, 5 },   { 6, 0, 4 }, { 5, 0, 3 }, { 3, 0, 2 } };
	int major = 0, minor = 0;
	enum nvml_return res = capability(device, &major, &minor);

	if (res)
		return res;
	if (!architecture)
		return NVML_ERROR_INVALID_ARGUMENT;
	*architecture = NVML_NOT_AVAILABLE;
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		if (major > first[i].major ||
		    (major == first[i].major && minor >= first[i].minor)) {
			*architecture = first[i].architecture;
			break;
		}
	}
	return NVML_SUCCESS;
}

enum nvml_return nvmlDeviceGetNumGpuCores(nvmlDevice_t device, unsigned *cores)
{
	struct sim_hello hello;
	enum nvml_return res = nvml_hello(&hello);

	return res ? res : nvml_give(device, cores, hello.sm_count * CORES_PER_SM);
}

/* ---- PCI ---- */

static enum nvml_return pci_info(nvmlDevice_t device, const void *out,
				 struct nvml_pci_info *pci)
{
	struct nvml_call call;
	enum nvml_return res = nvml_begin(&call, device, NVML_BOOKS_PLAIN);

	if (res)
		return res;
	nvml_end(&call);
	if (!out)
		return NVML_ERROR_INVALID_ARGUMENT;
	memset(pci, 0, sizeof(*pci));
	pci->bus = call.index + 1;
	pci->pci_device_id = PCI_DEVICE_ID;
	pci->pci_subsystem_id = PCI_DEVICE_ID;
	snprintf(pci->bus_id_legacy, sizeof(pci->bus_id_legacy), "0000:%02X:00.0",
		 pci->bus);
	snprintf(pci->bus_id, sizeof(pci->bus_id), "00000000:%02X:00.0", pci->bus);
	return NVML_SUCCESS;
}

static enum nvml_return pci_info_v2(nvmlDevice_t device, struct nvml_pci_info_v2 *out)
{
	struct nvml_pci_info pci;
	enum nvml_return res = pci_info(device, out, &pci);

	if (res)
		return res;
	memset(out, 0, sizeof(*out));
	memcpy(out->bus_id, pci.bus_id_legacy, sizeof(out->bus_id));
	out->bus = pci.bus;
	out->pci_device_id = pci.pci_device_id;
	out->pci_subsystem_id = pci.pci_subsystem_id;
	return NVML_SUCCESS;
}

enum nvml_return nvmlDeviceGetPciInfo(nvmlDevice_t device, struct nvml_pci_info_v2 *pci)
{
	return pci_info_v2(device, pci);
}

enum nvml_return nvmlDeviceGetPciInfo_v2(nvmlDevice_t device,
					 struct nvml_pci_info_v2 *pci)
{
	return pci_info_v2(device, pci);
}

enum nvml_return nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, struct nvml_pci_info *pci)
{
	struct nvml_pci_info info;
	enum nvml_return res = pci_info(device, pci, &info);

	if (res == NVML_SUCCESS)
		*pci = info;
	return res;
}

enum nvml_return nvmlDeviceGetPciInfoExt(nvmlDevice_t device,
					 struct nvml_pci_info_ext *pci)
{
	struct nvml_pci_info info;
	enum nvml_return res = pci_info(device, pci, &info);

	if (res)
		return res;
	if (pci->version != NVML_VERSION(struct nvml_pci_info_ext, 1))
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	pci->domain = info.domain;
	pci->bus = info.bus;
	pci->device = info.device;
	pci->pci_device_id = info.pci_device_id;
	pci->pci_subsystem_id = info.pci_subsystem_id;
	pci->base_class = 3; /* a display controller, */
	pci->sub_class = 2;  /* three-dimensional */
	memcpy(pci->bus_id, info.bus_id, sizeof(pci->bus_id));
	return NVML_SUCCESS;
}

/* ---- topology: every device has a bus of its own ---- */

static enum nvml_return check_pair(nvmlDevice_t a, nvmlDevice_t b, const void *out)
{
	unsigned index = 0;
	enum nvml_return res = nvml_check(a, &index);

	if (res == NVML_SUCCESS)
		res = nvml_check(b, &index);
	if (res == NVML_SUCCESS && !out)
		res = NVML_ERROR_INVALID_ARGUMENT;
	return res;
}

enum nvml_return nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t a, nvmlDevice_t b,
						     unsigned *level)
{
	enum nvml_return res = check_pair(a, b, level);

	if (res == NVML_SUCCESS)
		*level = a == b ? NVML_TOPOLOGY_INTERNAL : NVML_TOPOLOGY_SYSTEM;
	return res;
}

enum nvml_return nvmlDeviceOnSameBoard(nvmlDevice_t a, nvmlDevice_t b, int *same)
{
	enum nvml_return res = check_pair(a, b, same);

	if (res == NVML_SUCCESS)
		*same = a == b;
	return res;
}

/* Units are racks of old; devices are excluded by nobody. */
static enum nvml_return give_none(unsigned *out)
{
	struct sim_hello hello;
	enum nvml_return res = nvml_hello(&hello);

	if (res)
		return res;
	if (!out)
		return NVML_ERROR_INVALID_ARGUMENT;
	*out = 0;
	return NVML_SUCCESS;
}

enum nvml_return nvmlUnitGetCount(unsigned *out)
{
	return give_none(out);
}

enum nvml_return nvmlGetExcludedDeviceCount(unsigned *out)
{
	return give_none(out);
}
