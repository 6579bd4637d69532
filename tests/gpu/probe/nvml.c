/*
 * nvml.c - NVML by dlopen, reading only.
 *
 * Knows: the few layouts used here, written from NVIDIA's public NVML API Reference Guide,
 * since nvml.h is often absent. Refuses to know: any function that sets something.
 */
#include "probe.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { NVML_OK = 0, NVML_NOT_FOUND = 6 };

struct memory {
	unsigned long long total, free, used;
};

struct memory_v2 {
	unsigned version;
	unsigned long long total, reserved, free, used;
};

struct process {
	unsigned pid;
	unsigned long long used;
	unsigned gpu_instance, compute_instance;
};

struct utilisation {
	unsigned gpu, memory;
};

struct sample {
	unsigned pid;
	unsigned long long timestamp;
	unsigned sm, memory, encoder, decoder;
};

static void *library, *device;
static char reason[300] = "NVML was not opened";

const char *nvml_why(void)
{
	return reason;
}

void *nvml_symbol(const char *name)
{
	void *symbol = library != NULL ? dlsym(library, name) : NULL;

	if (symbol == NULL && library != NULL)
		snprintf(reason, sizeof reason, "NVML has no %s", name);
	return symbol;
}

/* true when the code is success; else the reason is noted. */
static bool fine(const char *name, int code)
{
	const char *(*text)(int);

	if (code == NVML_OK)
		return true;
	*(void **)&text = dlsym(library, "nvmlErrorString");
	snprintf(reason, sizeof reason, "%s returned %d (%s)", name, code,
		 text != NULL ? text(code) : "?");
	return false;
}

bool nvml_open(const char *pci_bus_id)
{
	int (*init)(void);
	int (*find)(const char *, void **);

	library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
	if (library == NULL) {
		snprintf(reason, sizeof reason, "NVML cannot be loaded: %s", dlerror());
		return false;
	}
	*(void **)&init = nvml_symbol("nvmlInit_v2");
	*(void **)&find = nvml_symbol("nvmlDeviceGetHandleByPciBusId_v2");
	return init != NULL && find != NULL && fine("nvmlInit_v2", init()) &&
	       fine("nvmlDeviceGetHandleByPciBusId_v2", find(pci_bus_id, &device));
}

bool nvml_version(char text[80])
{
	int (*get)(char *, unsigned);

	*(void **)&get = nvml_symbol("nvmlSystemGetDriverVersion");
	return get != NULL && fine("nvmlSystemGetDriverVersion", get(text, 80));
}

bool nvml_memory(uint64_t *total, uint64_t *used)
{
	int (*get)(void *, struct memory *);
	struct memory memory = { 0 };

	*(void **)&get = nvml_symbol("nvmlDeviceGetMemoryInfo");
	if (get == NULL || !fine("nvmlDeviceGetMemoryInfo", get(device, &memory)))
		return false;
	*total = memory.total;
	*used = memory.used;
	return true;
}

bool nvml_reserved(uint64_t *reserved)
{
	int (*get)(void *, struct memory_v2 *);
	struct memory_v2 memory = { .version = sizeof memory | 2u << 24 };

	*(void **)&get = nvml_symbol("nvmlDeviceGetMemoryInfo_v2");
	if (get == NULL || !fine("nvmlDeviceGetMemoryInfo_v2", get(device, &memory)))
		return false;
	*reserved = memory.reserved;
	return true;
}

int nvml_processes(struct nvml_process *list, unsigned max)
{
	int (*get)(void *, unsigned *, struct process *);
	struct process found[256];
	unsigned n = max < 256 ? max : 256;

	*(void **)&get = nvml_symbol("nvmlDeviceGetComputeRunningProcesses_v3");
	if (get == NULL ||
	    !fine("nvmlDeviceGetComputeRunningProcesses_v3", get(device, &n, found)))
		return -1;
	for (unsigned i = 0; i < n; i++)
		list[i] = (struct nvml_process){ found[i].pid, found[i].used };
	return (int)n;
}

bool nvml_utilisation(unsigned *gpu_percent)
{
	int (*get)(void *, struct utilisation *);
	struct utilisation rates = { 0 };

	*(void **)&get = nvml_symbol("nvmlDeviceGetUtilizationRates");
	if (get == NULL || !fine("nvmlDeviceGetUtilizationRates", get(device, &rates)))
		return false;
	*gpu_percent = rates.gpu;
	return true;
}

int nvml_process_samples(struct nvml_sample *list, unsigned max, uint64_t since_us)
{
	int (*get)(void *, struct sample *, unsigned *, unsigned long long);
	struct sample found[256];
	unsigned n = max < 256 ? max : 256;
	int code;

	*(void **)&get = nvml_symbol("nvmlDeviceGetProcessUtilization");
	if (get == NULL)
		return -1;
	code = get(device, found, &n, since_us);
	if (code == NVML_NOT_FOUND)
		return 0;
	if (!fine("nvmlDeviceGetProcessUtilization", code))
		return -1;
	for (unsigned i = 0; i < n; i++)
		list[i] = (struct nvml_sample){ found[i].pid, found[i].timestamp,
						found[i].sm };
	return (int)n;
}

bool nvml_mode(const char *function, unsigned *value)
{
	int (*get)(void *, unsigned *);

	*(void **)&get = nvml_symbol(function);
	return get != NULL && fine(function, get(device, value));
}
