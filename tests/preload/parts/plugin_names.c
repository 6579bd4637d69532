/* plugin_names.c - a library with functions called like the driver's that is no driver. */
int cuInit(unsigned flags);
int cuMemAlloc_v2(unsigned long long *address, unsigned long bytes);
int nvmlDeviceGetMemoryInfo(void *device, void *memory);

int cuInit(unsigned flags)
{
	return 4200 + (int)flags;
}

int cuMemAlloc_v2(unsigned long long *address, unsigned long bytes)
{
	*address = bytes;
	return 4242;
}

int nvmlDeviceGetMemoryInfo(void *device, void *memory)
{
	(void)device;
	(void)memory;
	return 4343;
}
