/*
 * fds.c - section "fds": which descriptors, mappings and threads the driver opens, and what
 * of it a fork or an exec passes on.
 *
 * Knows: /proc/self. Refuses to know what the device files are for.
 */
#include "probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 512 };

static bool known[MOST]; /* descriptors that were open at the last look */

/* States the descriptors that are new since the last look. */
static void look(const char *id, const char *question)
{
	size_t fresh = 0, closed_on_exec = 0;
	char text[2500] = "", *at = text;

	for (int fd = 0; fd < MOST; fd++) {
		char link[40], target[256];
		int flags = fcntl(fd, F_GETFD);
		ssize_t n;

		if (flags < 0 || known[fd]) {
			known[fd] = flags >= 0;
			continue;
		}
		known[fd] = true;
		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		n = readlink(link, target, sizeof target - 1);
		target[n > 0 ? n : 0] = '\0';
		fresh++;
		closed_on_exec += (flags & FD_CLOEXEC) != 0;
		if ((size_t)(at - text) < sizeof text - 300)
			at += sprintf(at, "%s%s%s", at > text ? ", " : "", target,
				      (flags & FD_CLOEXEC) != 0 ? ""
								: " (NOT close-on-exec)");
	}
	note("new", (double)fresh);
	note("close_on_exec", (double)closed_on_exec);
	fact_text(id, question, "%s", fresh > 0 ? text : "none");
}

/* Mappings of device files and how many of them a fork does not copy. */
static void mappings(void)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	char line[600];
	bool device = false;
	size_t n = 0, not_forked = 0, shared = 0;

	if (file == NULL) {
		fact_unknown("fds.mappings", "Mappings of device files",
			     "/proc/self/smaps cannot be read");
		return;
	}
	while (fgets(line, sizeof line, file) != NULL) {
		unsigned long from, to;
		char mode[8];

		if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) == 3 &&
		    strstr(line, "Size:") == NULL) {
			device = strstr(line, "/dev/nvidia") != NULL;
			n += device;
			shared += device && mode[3] == 's';
		} else if (device && strncmp(line, "VmFlags:", 8) == 0) {
			not_forked += strstr(line, " dc") != NULL;
		}
	}
	fclose(file);
	note("shared", (double)shared);
	note("not_copied_by_fork", (double)not_forked);
	fact_number("fds.mappings", "Mappings of device files", (double)n, "mappings");
}

static void threads(void)
{
	DIR *directory = opendir("/proc/self/task");
	struct dirent *entry;
	size_t n = 0;

	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		char path[300], name[64] = "?";
		FILE *file;

		if (entry->d_name[0] == '.')
			continue;
		n++;
		snprintf(path, sizeof path, "/proc/self/task/%.60s/comm", entry->d_name);
		file = fopen(path, "r");
		if (file != NULL) {
			if (fgets(name, sizeof name, file) != NULL)
				name[strcspn(name, "\n")] = '\0';
			fclose(file);
		}
		note_text(entry->d_name, "%s", name);
	}
	if (directory != NULL)
		closedir(directory);
	fact_number("fds.threads", "Threads that the driver has started", (double)n - 1,
		    "threads");
}

void section_fds(void)
{
	CUdeviceptr at;
	struct gpu gpu = { 0 };
	const char *why;
	char bus[40];

	for (int fd = 0; fd < MOST; fd++)
		known[fd] = fcntl(fd, F_GETFD) >= 0;
	if (!driver_load(&why))
		stop("%s", why);
	look("fds.load", "Descriptors after loading the library");
	MUST(cu.cuInit(0));
	look("fds.init", "New ones after cuInit");
	MUST(cu.cuDeviceGet(&gpu.device, options.device));
	MUST(cu.cuCtxCreate_v2(&gpu.context, 0, gpu.device));
	look("fds.context", "New ones after cuCtxCreate");
	gpu_kernels(&gpu);
	MUST(cu.cuMemAlloc_v2(&at, 1 << 20));
	MUST(gpu_work(&gpu, 1, NULL));
	MUST(cu.cuCtxSynchronize());
	look("fds.use", "New ones after a module, an allocation and a launch");
	mappings();
	threads();
	MUST(cu.cuDeviceGetPCIBusId(bus, sizeof bus, gpu.device));
	if (nvml_open(bus))
		look("fds.nvml", "New ones after nvmlInit");
	else
		fact_unknown("fds.nvml", "New ones after nvmlInit", "%s", nvml_why());
	MUST(cu.cuCtxDestroy_v2(gpu.context));
	{
		size_t before = 0, after = 0;
		for (int fd = 0; fd < MOST; fd++) {
			before += known[fd];
			after += fcntl(fd, F_GETFD) >= 0;
		}
		note("open_before", (double)before);
		fact_number("fds.closed",
			    "Descriptors that destroying the context closes",
			    (double)before - (double)after, "descriptors");
	}
}
