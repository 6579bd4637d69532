/* What tests of the simulated libnvidia-ml share; see common_nvml.h. */
#include "common_nvml.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

void *nvml_library;
struct simgpu_monitor *nvml_monitor;
nvmlDevice_t nvml_device;

void *nvml_symbol(const char *name)
{
	void *found = dlsym(nvml_library, name);

	if (!found) {
		printf("%s is missing\n", name);
		exit(2);
	}
	return found;
}

int nvml_open_library(void)
{
	const char *why = "";

	nvml_library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
	nvml_monitor = simgpu_open(NULL, 1, &why);
	if (!nvml_library || !nvml_monitor) {
		printf("%s\n", nvml_library ? why : dlerror());
		return -1;
	}
	return 0;
}

int nvml_close_library(void)
{
	simgpu_close(nvml_monitor);
	return dlclose(nvml_library);
}

void nvml_begin_test(void)
{
	NVML_OK(NVML(nvmlInit_v2)());
	NVML_OK(NVML(nvmlDeviceGetHandleByIndex_v2)(0, &nvml_device));
}

void nvml_end_test(void)
{
	NVML_OK(NVML(nvmlShutdown)());
}
