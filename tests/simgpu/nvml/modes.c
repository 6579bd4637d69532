/*
 * modes.c - modes that a simulated device has in one position only, and all that it lacks.
 *
 * A mode can be read; changing it is refused as the driver refuses it: without permission
 * first, then as not supported. Functions in unsupported.def exist, since programs look for
 * their names, and answer NVML_ERROR_NOT_SUPPORTED on a living device.
 */
#include "nvml/nvml_state.h"

#include <unistd.h>

enum nvml_return nvmlDeviceGetComputeMode(nvmlDevice_t device, unsigned *mode)
{
	return nvml_give(device, mode, 0); /* any number of contexts */
}

enum nvml_return nvmlDeviceGetPersistenceMode(nvmlDevice_t device, unsigned *mode)
{
	return nvml_give(device, mode, NVML_DISABLED);
}

/* A change that is refused unless it changes nothing. */
static enum nvml_return refuse_change(nvmlDevice_t device, unsigned mode,
				      unsigned present)
{
	unsigned unused;
	enum nvml_return res = nvml_give(device, &unused, 0);

	if (res)
		return res;
	if (geteuid() != 0)
		return NVML_ERROR_NO_PERMISSION;
	return mode == present ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

enum nvml_return nvmlDeviceSetComputeMode(nvmlDevice_t device, unsigned mode)
{
	return refuse_change(device, mode, 0);
}

enum nvml_return nvmlDeviceSetPersistenceMode(nvmlDevice_t device, unsigned mode)
{
	return refuse_change(device, mode, NVML_DISABLED);
}

enum nvml_return nvmlDeviceGetDisplayMode(nvmlDevice_t device, unsigned *mode)
{
	return nvml_give(device, mode, NVML_DISABLED);
}

enum nvml_return nvmlDeviceGetDisplayActive(nvmlDevice_t device, unsigned *active)
{
	return nvml_give(device, active, NVML_DISABLED);
}

enum nvml_return nvmlDeviceGetVirtualizationMode(nvmlDevice_t device, unsigned *mode)
{
	return nvml_give(device, mode, 0); /* bare metal */
}

enum nvml_return nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned *count)
{
	return nvml_give(device, count, 0);
}

enum nvml_return nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, unsigned *is_mig)
{
	return nvml_give(device, is_mig, 0);
}

enum nvml_return nvmlDeviceGetSupportedEventTypes(nvmlDevice_t device,
						  unsigned long long *types)
{
	unsigned none;
	enum nvml_return res = nvml_give(device, &none, 0);

	if (res)
		return res;
	if (!types)
		return NVML_ERROR_INVALID_ARGUMENT;
	*types = none;
	return NVML_SUCCESS;
}

static enum nvml_return refuse(void)
{
	struct sim_hello hello;
	enum nvml_return res = nvml_hello(&hello);

	return res ? res : NVML_ERROR_NOT_SUPPORTED;
}

enum nvml_return nvmlEventSetCreate(void **set)
{
	(void)set;
	return refuse();
}

enum nvml_return nvmlDeviceGetFieldValues(nvmlDevice_t device, int count,
					  struct nvml_field_value *values)
{
	unsigned unused;
	enum nvml_return res = nvml_give(device, &unused, 0);

	if (res)
		return res;
	if (count <= 0 || !values)
		return NVML_ERROR_INVALID_ARGUMENT;
	/* The call succeeds; each field tells for itself that it is not there. */
	for (int i = 0; i < count; i++)
		values[i].result = NVML_ERROR_NOT_SUPPORTED;
	return NVML_SUCCESS;
}

/* All take a device first and are called by address, so that whatever follows it may stay
 * unread. */
#define UNSUPPORTED(name)                                             \
	NVML_API name(nvmlDevice_t device);                           \
	enum nvml_return name(nvmlDevice_t device)                    \
	{                                                             \
		unsigned unused;                                      \
		enum nvml_return res = nvml_give(device, &unused, 0); \
                                                                      \
		return res ? res : NVML_ERROR_NOT_SUPPORTED;          \
	}
#include "nvml/unsupported.def"
