/*
 * devices.c - the GPUs of this machine; see devices.h.
 *
 * NVML's header is often absent: the few declarations are written here, by NVIDIA's NVML API
 * reference.
 */
#include "common/devices.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>

enum {
	NVML_SUCCESS = 0,
	NVML_UUID_BYTES = 96,
};

struct nvml_memory {
	unsigned long long total, free, used;
};

struct nvml_memory_v2 {
	unsigned version;
	unsigned long long total, reserved, free, used;
};

#define NVML_MEMORY_V2 ((unsigned)sizeof(struct nvml_memory_v2) | 2u << 24)

typedef void *nvml_device;

/* What is used of it; which of them may be missing is said below. */
struct nvml {
	int (*init)(void);
	int (*shutdown)(void);
	int (*count)(unsigned *count);
	int (*handle)(unsigned index, nvml_device *device);
	int (*uuid)(nvml_device device, char *uuid, unsigned bytes);
	int (*memory)(nvml_device device, struct nvml_memory *memory);
	int (*memory_v2)(nvml_device device, struct nvml_memory_v2 *memory);
	int (*name)(nvml_device device, char *name, unsigned bytes);
	int (*driver)(char *version, unsigned bytes);
	int (*slices_max)(nvml_device device, unsigned *count);
	int (*slice)(nvml_device device, unsigned index, nvml_device *slice);
	const char *(*error)(int result);
};

static const struct {
	const char *symbol;
	size_t offset;
	bool optional;
} symbols[] = {
	{ "nvmlInit_v2", offsetof(struct nvml, init), false },
	{ "nvmlShutdown", offsetof(struct nvml, shutdown), false },
	{ "nvmlDeviceGetCount_v2", offsetof(struct nvml, count), false },
	{ "nvmlDeviceGetHandleByIndex_v2", offsetof(struct nvml, handle), false },
	{ "nvmlDeviceGetUUID", offsetof(struct nvml, uuid), false },
	{ "nvmlDeviceGetMemoryInfo", offsetof(struct nvml, memory), false },
	{ "nvmlDeviceGetMemoryInfo_v2", offsetof(struct nvml, memory_v2), true },
	{ "nvmlDeviceGetName", offsetof(struct nvml, name), true },
	{ "nvmlSystemGetDriverVersion", offsetof(struct nvml, driver), true },
	{ "nvmlDeviceGetMaxMigDeviceCount", offsetof(struct nvml, slices_max), true },
	{ "nvmlDeviceGetMigDeviceHandleByIndex", offsetof(struct nvml, slice), true },
	{ "nvmlErrorString", offsetof(struct nvml, error), true },
};

/* 0, or -EIO where a symbol that is needed is missing. */
static int resolve(void *library, struct nvml *nvml, struct gsh_reason *why)
{
	memset(nvml, 0, sizeof(*nvml));
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		void *found = dlsym(library, symbols[i].symbol);

		if (!found && !symbols[i].optional) {
			gsh_reason_set(why, "NVML lacks ", symbols[i].symbol, NULL);
			return -EIO;
		}
		memcpy((char *)nvml + symbols[i].offset, &found, sizeof(found));
	}
	return 0;
}

/* What CUDA shows as total: NVML's older figure counts what the driver keeps for itself. */
static uint64_t total_bytes(const struct nvml *nvml, nvml_device device)
{
	struct nvml_memory_v2 newer = { .version = NVML_MEMORY_V2 };
	struct nvml_memory older = { 0 };

	if (nvml->memory_v2 && nvml->memory_v2(device, &newer) == NVML_SUCCESS &&
	    newer.reserved <= newer.total)
		return newer.total - newer.reserved;
	return nvml->memory(device, &older) == NVML_SUCCESS ? older.total : 0;
}

/* Adds a device or a slice; one that cannot be asked is left out. */
static void add(const struct nvml *nvml, nvml_device handle, struct gsh_devices *devices)
{
	struct gsh_limits_device *device = &devices->devices[devices->count];
	char *name = devices->names[devices->count];
	char uuid[NVML_UUID_BYTES] = "";

	if (devices->count == GSH_DEVICES_MAX ||
	    nvml->uuid(handle, uuid, sizeof(uuid)) != NVML_SUCCESS ||
	    gsh_limits_uuid(uuid, device->uuid) < 0)
		return;
	device->total_bytes = total_bytes(nvml, handle);
	if (device->total_bytes == 0)
		return;
	if (nvml->name)
		nvml->name(handle, name, sizeof(devices->names[0]) - 1);
	devices->count++;
}

static void add_with_slices(const struct nvml *nvml, nvml_device handle,
			    struct gsh_devices *devices)
{
	size_t before = devices->count;
	unsigned slices = 0;
	nvml_device slice;

	if (nvml->slices_max && nvml->slice &&
	    nvml->slices_max(handle, &slices) == NVML_SUCCESS)
		for (unsigned i = 0; i < slices && i < GSH_DEVICES_MAX; i++)
			if (nvml->slice(handle, i, &slice) == NVML_SUCCESS)
				add(nvml, slice, devices);
	/* Programs see the slices of a partitioned device, and not the device. */
	if (devices->count == before)
		add(nvml, handle, devices);
}

static int list(const struct nvml *nvml, struct gsh_devices *devices,
		struct gsh_reason *why)
{
	int result = nvml->init();
	nvml_device handle;
	unsigned count = 0;

	if (result != NVML_SUCCESS) {
		gsh_reason_set(why, "NVML does not start", nvml->error ? ": " : "",
			       nvml->error ? nvml->error(result) : "", NULL);
		return -EIO;
	}
	if (nvml->driver)
		nvml->driver(devices->driver, sizeof(devices->driver));
	nvml->count(&count);
	for (unsigned i = 0; i < count; i++)
		if (nvml->handle(i, &handle) == NVML_SUCCESS)
			add_with_slices(nvml, handle, devices);
	nvml->shutdown();
	return 0;
}

int gsh_devices_list(struct gsh_devices *devices, struct gsh_reason *why)
{
	void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
	struct link_map *map = NULL;
	struct nvml nvml;
	int result;

	memset(devices, 0, sizeof(*devices));
	if (!library) {
		gsh_reason_set(why,
			       "there is no NVML (libnvidia-ml.so.1) on this machine",
			       NULL);
		return -ENOENT;
	}
	if (dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 && map && map->l_name)
		strncpy(devices->library, map->l_name, sizeof(devices->library) - 1);
	result = resolve(library, &nvml, why);
	if (result == 0)
		result = list(&nvml, devices, why);
	dlclose(library);
	return result;
}
