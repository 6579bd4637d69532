/*
 * info.c - what the driver says about itself and its devices.
 *
 * Knows: which properties people ask for first.
 * Refuses to know: NVML; everything here is the driver API.
 */
#include <stdio.h>

#include "common.h"

static const struct {
	const char *name;
	CUdevice_attribute attribute;
} attributes[] = {
	{ "multiprocessors", CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT },
	{ "threads per multiprocessor",
	  CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR },
	{ "threads per block", CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK },
	{ "clock (kHz)", CU_DEVICE_ATTRIBUTE_CLOCK_RATE },
	{ "memory clock (kHz)", CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE },
	{ "memory bus (bits)", CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH },
	{ "L2 cache (bytes)", CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE },
	{ "copy engines", CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT },
	{ "concurrent kernels", CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS },
	{ "compute mode", CU_DEVICE_ATTRIBUTE_COMPUTE_MODE },
	{ "compute preemption", CU_DEVICE_ATTRIBUTE_COMPUTE_PREEMPTION_SUPPORTED },
	{ "cooperative launch", CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH },
	{ "unified addressing", CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING },
	{ "managed memory", CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY },
	{ "virtual memory management",
	  CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED },
	{ "handles as descriptors",
	  CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED },
	{ "memory pools", CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED },
	{ "interprocess events and memory", CU_DEVICE_ATTRIBUTE_IPC_EVENT_SUPPORTED },
	{ "ECC", CU_DEVICE_ATTRIBUTE_ECC_ENABLED },
};

static void print_uuid(CUdevice device)
{
	CUuuid uuid;
	unsigned i;

	EX_TRY(cuDeviceGetUuid(&uuid, device));
	printf("  %-31s GPU-", "uuid");
	for (i = 0; i < sizeof(uuid.bytes); i++)
		printf("%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
		       (unsigned char)uuid.bytes[i]);
	putchar('\n');
}

static void print_device(int number)
{
	size_t total_bytes, free_bytes, seen_bytes;
	char name[256], pci[32], text[32];
	CUcontext context;
	CUdevice device;
	int major, minor, value;
	unsigned i;

	EX_TRY(cuDeviceGet(&device, number));
	EX_TRY(cuDeviceGetName(name, sizeof(name), device));
	EX_TRY(cuDeviceGetPCIBusId(pci, sizeof(pci), device));
	EX_TRY(cuDeviceTotalMem(&total_bytes, device));
	EX_TRY(cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
				    device));
	EX_TRY(cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
				    device));
	printf("device %d: %s\n", number, name);
	print_uuid(device);
	printf("  %-31s %s\n", "pci", pci);
	printf("  %-31s %d.%d\n", "compute capability", major, minor);
	printf("  %-31s %zu (%s)\n", "memory (bytes)", total_bytes,
	       ex_bytes(text, total_bytes));

	/* Free memory is a property of a context, and the context takes some itself. */
	EX_TRY(cuDevicePrimaryCtxRetain(&context, device));
	EX_TRY(cuCtxPushCurrent(context));
	EX_TRY(cuMemGetInfo(&free_bytes, &seen_bytes));
	printf("  %-31s %zu (%s)\n", "free with this context (bytes)", free_bytes,
	       ex_bytes(text, free_bytes));
	EX_TRY(cuCtxPopCurrent(&context));
	EX_TRY(cuDevicePrimaryCtxRelease(device));

	for (i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
		CUresult result = cuDeviceGetAttribute(&value, attributes[i].attribute,
						       device);

		if (result == CUDA_SUCCESS)
			printf("  %-31s %d\n", attributes[i].name, value);
		else
			printf("  %-31s - (%s)\n", attributes[i].name,
			       ex_code_name(result));
	}
}

int main(int argc, char **argv)
{
	const struct ex_option options[] = { { 0 } };
	int wanted = ex_options(
		argc, argv,
		"Prints the driver's version and what it says about each device, "
		"or about the\none of --device.",
		options);
	int count = ex_init(), version, i;

	if (wanted >= count)
		ex_usage("--device %d: there are %d, counted from 0.", wanted, count);
	EX_TRY(cuDriverGetVersion(&version));
	printf("driver: CUDA %d.%d, %d device%s\n", version / 1000, version % 1000 / 10,
	       count, count == 1 ? "" : "s");
	for (i = 0; i < count; i++)
		if (wanted < 0 || wanted == i)
			print_device(i);
	return EX_EXIT_OK;
}
