/*
 * device.c - section "device": which card, which driver, and whether it is a card at all.
 *
 * Knows: attributes and modes, read only. "executes_ptx" is true where the device ran a
 * kernel that no simulated device knows.
 */
#include "probe.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static const struct {
	const char *id, *question;
	CUdevice_attribute attribute;
} attributes[] = {
	{ "device.sms", "Multiprocessors", CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT },
	{ "device.threads_per_sm", "Resident threads per multiprocessor",
	  CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR },
	{ "device.compute_preemption", "Kernels can be preempted between instructions",
	  CU_DEVICE_ATTRIBUTE_COMPUTE_PREEMPTION_SUPPORTED },
	{ "device.compute_mode", "Compute mode (0 = shared by processes)",
	  CU_DEVICE_ATTRIBUTE_COMPUTE_MODE },
	{ "device.concurrent_managed", "Managed memory is paged on demand",
	  CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS },
	{ "device.pageable_access", "The device reaches pageable host memory",
	  CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS },
	{ "device.async_engines", "Copy engines",
	  CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT },
};

static const struct {
	const char *id, *question, *function;
} modes[] = {
	{ "device.persistence", "Persistence mode, by NVML",
	  "nvmlDeviceGetPersistenceMode" },
	{ "device.accounting", "Accounting mode, by NVML",
	  "nvmlDeviceGetAccountingMode" },
	{ "device.virtualisation",
	  "Virtualisation mode, by NVML (0 = none, 1 = passthrough)",
	  "nvmlDeviceGetVirtualizationMode" },
};

static void clock_facts(const struct gpu *gpu)
{
	uint64_t *pairs, ends[3];
	long n = gpu_gaps(gpu, 2000000, 100000, &pairs, ends);

	fact_yes("device.executes_ptx",
		 "The device runs any kernel (a simulated one does not)", n >= 0);
	if (n < 0) {
		fact_unknown("device.clock_step", "Shortest step of %globaltimer",
			     "the device does not run the probe's kernel");
	} else {
		note("pauses_over_100_us", (double)n);
		note("run_ns", (double)(ends[1] - ends[0]));
		fact_number("device.clock_step", "Shortest step of %globaltimer",
			    (double)ends[2], "ns");
	}
	free(pairs);
}

void section_device(void)
{
	char name[200] = "", bus[40] = "", version[80];
	size_t total;
	uint64_t whole, used, reserved;
	struct utsname system;
	struct gpu gpu;
	int cuda, major = 0, minor = 0;
	unsigned mode;

	gpu_open(&gpu);
	MUST(cu.cuDeviceGetName(name, sizeof name, gpu.device));
	MUST(cu.cuDriverGetVersion(&cuda));
	MUST(cu.cuDeviceTotalMem_v2(&total, gpu.device));
	MUST(cu.cuDeviceGetPCIBusId(bus, sizeof bus, gpu.device));
	cu.cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
				gpu.device);
	cu.cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
				gpu.device);
	fact_text("device.name", "Name", "%s", name);
	fact_number("device.cuda", "cuDriverGetVersion", cuda, "");
	fact_text("device.capability", "Compute capability", "%d.%d", major, minor);
	for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
		int value;
		CUresult code = cu.cuDeviceGetAttribute(&value, attributes[i].attribute,
							gpu.device);
		if (code == CUDA_SUCCESS)
			fact_number(attributes[i].id, attributes[i].question, value, "");
		else
			fact_unknown(attributes[i].id, attributes[i].question,
				     "cuDeviceGetAttribute returned %s", code_text(code));
	}
	clock_facts(&gpu);
	if (uname(&system) == 0)
		fact_text("device.kernel", "Kernel of the machine", "%s %s",
			  system.release, system.machine);
	if (!nvml_open(bus)) {
		fact_unknown("device.driver", "Version of the driver", "%s", nvml_why());
		return;
	}
	if (nvml_version(version))
		fact_text("device.driver", "Version of the driver", "%s", version);
	else
		fact_unknown("device.driver", "Version of the driver", "%s", nvml_why());
	if (nvml_memory(&whole, &used)) {
		note("nvml_total", (double)whole);
		note("cuda_total", (double)total);
		if (nvml_reserved(&reserved))
			note("nvml_reserved", (double)reserved);
		fact_number("device.memory_hidden",
			    "NVML's total above cuDeviceTotalMem's",
			    (double)whole - (double)total, "bytes");
	}
	fact_number("device.memory", "cuDeviceTotalMem", (double)total, "bytes");
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		if (nvml_mode(modes[i].function, &mode))
			fact_number(modes[i].id, modes[i].question, mode, "");
		else
			fact_unknown(modes[i].id, modes[i].question, "%s", nvml_why());
	}
}
