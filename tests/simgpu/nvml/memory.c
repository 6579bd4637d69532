/*
 * memory.c - memory of a device, and the limits that newer drivers set for a cgroup.
 *
 * The limits (NVML of driver 615) exist with SIMGPU_NVML_LIMITS=1. Simplified: a hard limit
 * binds every client of the device, each by itself, whatever cgroup was named; there is no
 * soft limit.
 */
#include "nvml/nvml_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum nvml_return read_memory(nvmlDevice_t device, struct nvml_memory *memory)
{
	struct nvml_call call;
	enum nvml_return res = nvml_begin(&call, device, NVML_BOOKS_PLAIN);

	if (res)
		return res;
	if (memory) {
		memory->total = call.device->total_bytes;
		memory->used = call.device->used_bytes;
		memory->free = memory->total - memory->used;
	}
	nvml_end(&call);
	return memory ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

enum nvml_return nvmlDeviceGetMemoryInfo(nvmlDevice_t device, struct nvml_memory *memory)
{
	return read_memory(device, memory);
}

enum nvml_return nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device,
					    struct nvml_memory_v2 *memory)
{
	struct nvml_memory plain;
	enum nvml_return res = read_memory(device, &plain);

	if (res)
		return res;
	if (!memory)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (memory->version != NVML_VERSION(struct nvml_memory_v2, 2))
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	memory->total = plain.total;
	memory->reserved = 0; /* every byte can be allocated */
	memory->free = plain.free;
	memory->used = plain.used;
	return NVML_SUCCESS;
}

/* ---- limits ---- */

static bool has_limits(void)
{
	const char *on = getenv("SIMGPU_NVML_LIMITS");

	return on && strcmp(on, "1") == 0;
}

/* The cgroup below the mount point, or NULL if the path names none. */
static const char *cgroup_of(const char *path)
{
	static const char mount[] = "/sys/fs/cgroup";
	size_t length = sizeof(mount) - 1;

	if (!path || strncmp(path, mount, length) != 0)
		return NULL;
	return path[length] == '\0' || path[length] == '/' ? path + length : NULL;
}

/* Whether a process belongs to the cgroup or to one below it. */
static bool is_member(int pid, const char *cgroup)
{
	char name[64], line[4096];
	size_t length = strlen(cgroup);
	bool found = false;
	FILE *file;

	while (length && cgroup[length - 1] == '/')
		length--;
	snprintf(name, sizeof(name), "/proc/%d/cgroup", pid);
	file = fopen(name, "re");
	while (file && !found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		found = strncmp(line, "0::", 3) == 0 &&
			strncmp(line + 3, cgroup, length) == 0 &&
			(line[3 + length] == '\0' || line[3 + length] == '/');
	}
	if (file)
		fclose(file);
	return found;
}

enum nvml_return nvmlDeviceSetMemoryLimits_v1(nvmlDevice_t device,
					      const struct nvml_set_memory_limits *limits)
{
	unsigned index = 0, unused;
	enum nvml_return res = nvml_check(device, &index);

	if (res == NVML_SUCCESS)
		res = nvml_give(device, &unused, 0);
	if (res)
		return res;
	if (!has_limits())
		return NVML_ERROR_NOT_SUPPORTED;
	if (!limits || !cgroup_of(limits->name_space) || limits->hard_limit == 0 ||
	    limits->soft_limit > limits->hard_limit)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (limits->soft_limit)
		return NVML_ERROR_NOT_SUPPORTED;
	return nvml_set_limit(index, limits->hard_limit == NVML_MEMORY_LIMIT_MAX
					     ? 0
					     : limits->hard_limit);
}

enum nvml_return nvmlDeviceGetMemoryLimits_v1(nvmlDevice_t device,
					      struct nvml_get_memory_limits *limits)
{
	const char *cgroup = limits ? cgroup_of(limits->name_space) : NULL;
	struct nvml_call call;
	enum nvml_return res = nvml_begin(&call, device, NVML_BOOKS_PLAIN);

	if (res)
		return res;
	if (!has_limits())
		res = NVML_ERROR_NOT_SUPPORTED;
	else if (!cgroup)
		res = NVML_ERROR_INVALID_ARGUMENT;
	if (res == NVML_SUCCESS) {
		limits->soft_limit = 0;
		limits->hard_limit = call.device->memory_limit_bytes;
		if (limits->hard_limit == 0)
			limits->hard_limit = NVML_MEMORY_LIMIT_MAX;
		limits->current_used = 0;
		for (uint32_t i = 0; i < call.truth->nclients; i++) {
			const struct simgpu_client *client = &call.truth->clients[i];

			if (!client->gone && is_member(client->pid, cgroup))
				limits->current_used += client->memory[call.index].used;
		}
	}
	nvml_end(&call);
	return res;
}
