/*
 * driver.c - a libcuda.so.1 that needs nothing but a C library, whichever: for running the
 * shim where the simulated driver cannot be loaded. It grants everything and keeps nothing.
 */
#include <stddef.h>
#include <string.h>

typedef unsigned long long address_t;

enum { SUCCESS = 0, NOT_FOUND = 500 };
static const size_t total = (size_t)1 << 30;

int cuInit(unsigned flags);
int cuDriverGetVersion(int *version);
int cuDeviceGetCount(int *count);
int cuDeviceGet(int *device, int ordinal);
int cuDeviceGetUuid(unsigned char *uuid, int device);
int cuDeviceGetUuid_v2(unsigned char *uuid, int device);
int cuDeviceTotalMem_v2(size_t *bytes, int device);
int cuDevicePrimaryCtxRetain(void **context, int device);
int cuDevicePrimaryCtxRelease_v2(int device);
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active);
int cuCtxSetCurrent(void *context);
int cuCtxGetCurrent(void **context);
int cuCtxGetDevice(int *device);
int cuMemGetInfo_v2(size_t *free, size_t *all);
int cuMemAlloc_v2(address_t *address, size_t bytes);
int cuMemFree_v2(address_t address);
int cuGetProcAddress(const char *base, void **found, int version,
		     unsigned long long flags);
int cuGetProcAddress_v2(const char *base, void **found, int version,
			unsigned long long flags, int *status);

static void *const the_context = (void *)&total;

int cuInit(unsigned flags)
{
	(void)flags;
	return SUCCESS;
}

int cuDriverGetVersion(int *version)
{
	*version = 13000;
	return SUCCESS;
}

int cuDeviceGetCount(int *count)
{
	*count = 1;
	return SUCCESS;
}

int cuDeviceGet(int *device, int ordinal)
{
	*device = ordinal;
	return SUCCESS;
}

int cuDeviceGetUuid(unsigned char *uuid, int device)
{
	memset(uuid, 0x11 + device, 16);
	return SUCCESS;
}

int cuDeviceGetUuid_v2(unsigned char *uuid, int device)
{
	return cuDeviceGetUuid(uuid, device);
}

int cuDeviceTotalMem_v2(size_t *bytes, int device)
{
	(void)device;
	*bytes = total;
	return SUCCESS;
}

int cuDevicePrimaryCtxRetain(void **context, int device)
{
	(void)device;
	*context = the_context;
	return SUCCESS;
}

int cuDevicePrimaryCtxRelease_v2(int device)
{
	(void)device;
	return SUCCESS;
}

int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active)
{
	(void)device;
	*flags = 0;
	*active = 1;
	return SUCCESS;
}

int cuCtxSetCurrent(void *context)
{
	(void)context;
	return SUCCESS;
}

int cuCtxGetCurrent(void **context)
{
	*context = the_context;
	return SUCCESS;
}

int cuCtxGetDevice(int *device)
{
	*device = 0;
	return SUCCESS;
}

int cuMemGetInfo_v2(size_t *free, size_t *all)
{
	*free = *all = total;
	return SUCCESS;
}

int cuMemAlloc_v2(address_t *address, size_t bytes)
{
	static address_t next = 0x700000000000;

	*address = next;
	next += bytes;
	return SUCCESS;
}

int cuMemFree_v2(address_t address)
{
	(void)address;
	return SUCCESS;
}

int cuGetProcAddress(const char *base, void **found, int version,
		     unsigned long long flags)
{
	return cuGetProcAddress_v2(base, found, version, flags, NULL);
}

int cuGetProcAddress_v2(const char *base, void **found, int version,
			unsigned long long flags, int *status)
{
	static const struct {
		const char *base;
		int (*function)();
	} known[] = {
		{ "cuInit", (int (*)())cuInit },
		{ "cuDeviceGet", (int (*)())cuDeviceGet },
		{ "cuDevicePrimaryCtxRetain", (int (*)())cuDevicePrimaryCtxRetain },
		{ "cuCtxSetCurrent", (int (*)())cuCtxSetCurrent },
		{ "cuMemAlloc", (int (*)())cuMemAlloc_v2 },
	};

	(void)version;
	(void)flags;
	*found = NULL;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(base, known[i].base) == 0)
			memcpy(found, &known[i].function, sizeof(*found));
	if (status)
		*status = !*found;
	return *found ? SUCCESS : NOT_FOUND;
}
