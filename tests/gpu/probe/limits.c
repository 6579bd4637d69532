/*
 * limits.c - section "limits": means of the driver and the kernel to limit a tenant, present
 * or not. None is used.
 *
 * Knows: names of functions and files. A name that is there says nothing of whether it works.
 */
#include "probe.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const functions[] = {
	"nvmlDeviceSetMemoryLimits_v1",		"nvmlDeviceGetMemoryLimits_v1",
	"nvmlDeviceGetAccountingStats_v2",	"nvmlDeviceSetVgpuSchedulerState",
	"nvmlGpuInstanceSetVgpuSchedulerState",
};

static const char *const files[] = {
	"/sys/fs/cgroup/cgroup.controllers",
	"/sys/fs/cgroup/dmem.capacity",
	"/sys/fs/cgroup/dmem.current",
	"/sys/fs/cgroup/misc.capacity",
	"/proc/driver/nvidia/version",
	"/proc/driver/nvidia/params",
	"/dev/nvidia-uvm",
	"/dev/nvidiactl",
	"/dev/nvidia-caps",
};

/* The first line of a file, or "" . */
static void first_line(const char *path, char *text, int size)
{
	FILE *file = fopen(path, "r");

	text[0] = '\0';
	if (file != NULL) {
		if (fgets(text, size, file) != NULL)
			text[strcspn(text, "\n")] = '\0';
		fclose(file);
	}
}

void section_limits(void)
{
	const char *pipe_directory = getenv("CUDA_MPS_PIPE_DIRECTORY");
	bool limits = false;
	char bus[40], line[300];
	struct gpu gpu;

	gpu_open_bare(&gpu);
	MUST(cu.cuDeviceGetPCIBusId(bus, sizeof bus, gpu.device));
	if (nvml_open(bus)) {
		for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
			bool there = nvml_symbol(functions[i]) != NULL;
			note(functions[i], there);
			limits |= there && i == 0;
		}
		fact_yes("limits.nvml",
			 "NVML has memory limits (nvmlDeviceSetMemoryLimits_v1)", limits);
	} else {
		fact_unknown("limits.nvml", "NVML has memory limits", "%s", nvml_why());
	}
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		if (access(files[i], F_OK) != 0) {
			note_text(files[i], "absent");
			continue;
		}
		first_line(files[i], line, sizeof line);
		note_text(files[i], "there: %s", line);
	}
	fact_yes("limits.dmem", "The kernel has the dmem controller (files: evidence)",
		 access("/sys/fs/cgroup/dmem.capacity", F_OK) == 0);
	note("cuCtxFromGreenCtx", dlsym(cu.handle, "cuCtxFromGreenCtx") != NULL);
	note("cuCheckpointProcessLock",
	     dlsym(cu.handle, "cuCheckpointProcessLock") != NULL);
	note_text("CUDA_MPS_PIPE_DIRECTORY", "%s",
		  pipe_directory != NULL ? pipe_directory : "");
	snprintf(line, sizeof line, "%s/control",
		 pipe_directory != NULL ? pipe_directory : "/tmp/nvidia-mps");
	fact_yes("limits.mps", "An MPS server's pipe is there", access(line, F_OK) == 0);
}
