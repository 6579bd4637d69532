/*
 * accounting.c - what processes have used over their lives.
 *
 * The mode lives in the device process, as it lives in a driver, and is off when that starts.
 * Stats are the device's books of the process's newest client. The time of a process is 0
 * until it ends.
 */
#include "nvml/nvml_state.h"

enum { BUFFER_SIZE = 4000 };

enum nvml_return nvmlDeviceGetAccountingMode(nvmlDevice_t device, unsigned *mode)
{
	struct nvml_call call;
	enum nvml_return res = nvml_begin(&call, device, NVML_BOOKS_PLAIN);

	if (res)
		return res;
	if (mode)
		*mode = call.device->accounting_since_ns ? NVML_ENABLED : NVML_DISABLED;
	nvml_end(&call);
	return mode ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

static enum nvml_return set(nvmlDevice_t device, enum simgpu_accounting mode)
{
	struct nvml_call call;
	enum nvml_return res = nvml_begin(&call, device, NVML_BOOKS_PLAIN);
	bool on;

	if (res)
		return res;
	on = call.device->accounting_since_ns != 0;
	nvml_end(&call);
	/* Switching on what is on would forget who was there before. */
	if (mode == SIMGPU_ACCOUNTING_ON && on)
		return NVML_SUCCESS;
	return nvml_set_accounting(call.index, mode);
}

enum nvml_return nvmlDeviceSetAccountingMode(nvmlDevice_t device, unsigned mode)
{
	if (mode != NVML_DISABLED && mode != NVML_ENABLED)
		return NVML_ERROR_INVALID_ARGUMENT;
	return set(device, mode ? SIMGPU_ACCOUNTING_ON : SIMGPU_ACCOUNTING_OFF);
}

enum nvml_return nvmlDeviceClearAccountingPids(nvmlDevice_t device)
{
	return set(device, SIMGPU_ACCOUNTING_CLEAR);
}

enum nvml_return nvmlDeviceGetAccountingBufferSize(nvmlDevice_t device, unsigned *size)
{
	return nvml_give(device, size, BUFFER_SIZE);
}

/* Whether the client counts: it had a context here, and did not end before the mode was
 * switched on or the list cleared. */
static bool is_listed(const struct nvml_call *call, const struct simgpu_client *client)
{
	if (client->gone && (client->gone_ns <= call->device->accounting_since_ns ||
			     client->gone_ns <= call->device->accounting_cleared_ns))
		return false;
	for (uint32_t i = 0; i < call->truth->ncontexts; i++)
		if (call->truth->contexts[i].client == client->id &&
		    call->truth->contexts[i].device == call->index)
			return true;
	return false;
}

static enum nvml_return begin(struct nvml_call *call, nvmlDevice_t device)
{
	enum nvml_return res = nvml_begin(call, device, NVML_BOOKS_PLAIN);

	if (res == NVML_SUCCESS && call->device->accounting_since_ns == 0) {
		nvml_end(call);
		return NVML_ERROR_NOT_SUPPORTED;
	}
	return res;
}

enum nvml_return nvmlDeviceGetAccountingPids(nvmlDevice_t device, unsigned *count,
					     unsigned *pids)
{
	struct nvml_call call;
	enum nvml_return res = begin(&call, device);
	unsigned room, there = 0;

	if (res)
		return res;
	if (!count || (*count && !pids)) {
		nvml_end(&call);
		return NVML_ERROR_INVALID_ARGUMENT;
	}
	room = *count;
	for (uint32_t i = call.truth->nclients; i-- > 0 && there < BUFFER_SIZE;) {
		if (!is_listed(&call, &call.truth->clients[i]))
			continue;
		if (there < room)
			pids[there] = (unsigned)call.truth->clients[i].pid;
		there++;
	}
	*count = there;
	nvml_end(&call);
	return there > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

/* All that both versions say. */
static enum nvml_return read_stats(nvmlDevice_t device, unsigned pid,
				   struct nvml_accounting_v2 *stats)
{
	const struct simgpu_client *client = NULL;
	struct nvml_call call;
	enum nvml_return res = begin(&call, device);
	uint64_t life_ns, gpu_ns, copy_ns, period_ns;

	if (res)
		return res;
	/* Of several with one pid, the newest. */
	for (uint32_t i = call.truth->nclients; i-- > 0 && !client;)
		if ((unsigned)call.truth->clients[i].pid == pid &&
		    is_listed(&call, &call.truth->clients[i]))
			client = &call.truth->clients[i];
	if (!client) {
		nvml_end(&call);
		return NVML_ERROR_NOT_FOUND;
	}
	life_ns = (client->gone ? client->gone_ns : call.truth->now_ns) -
		  client->connected_ns;
	gpu_ns = client->gpu_ns[call.index];
	copy_ns = client->copy_ns[call.index];
	period_ns = call.truth->period_ns ? call.truth->period_ns : 1;
	*stats = (struct nvml_accounting_v2){
		.pid = pid,
		.running = !client->gone,
		.gpu = nvml_percent(gpu_ns, life_ns),
		.memory = nvml_percent(copy_ns, life_ns),
		/* with the context, which is there whenever anything else is */
		.max_memory = client->memory[call.index].requested_peak +
			      call.hello.context_bytes,
		.samples = (unsigned)(life_ns / period_ns),
		.sum_gpu = (unsigned long long)((double)gpu_ns * 10000 /
						(double)period_ns),
		.sum_memory = (unsigned long long)((double)copy_ns * 10000 /
						   (double)period_ns),
		.time_ms = client->gone ? life_ns / 1000000 : 0,
		.start_us = nvml_time_us(client->connected_ns),
	};
	nvml_end(&call);
	return NVML_SUCCESS;
}

enum nvml_return nvmlDeviceGetAccountingStats(nvmlDevice_t device, unsigned pid,
					      struct nvml_accounting *stats)
{
	struct nvml_accounting_v2 all;
	enum nvml_return res = read_stats(device, pid, &all);

	if (res)
		return res;
	if (!stats)
		return NVML_ERROR_INVALID_ARGUMENT;
	*stats = (struct nvml_accounting){
		.gpu = all.gpu,
		.memory = all.memory,
		.max_memory = all.max_memory,
		.time_ms = all.time_ms,
		.start_us = all.start_us,
		.running = all.running,
	};
	return NVML_SUCCESS;
}

enum nvml_return nvmlDeviceGetAccountingStats_v2(nvmlDevice_t device,
						 struct nvml_accounting_v2 *stats)
{
	if (!stats) {
		unsigned index;
		enum nvml_return res = nvml_check(device, &index);

		return res ? res : NVML_ERROR_INVALID_ARGUMENT;
	}
	return read_stats(device, stats->pid, stats);
}
