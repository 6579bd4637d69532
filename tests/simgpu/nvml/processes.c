/*
 * processes.c - who has a context on a device, and how much memory each holds.
 *
 * Pids are those the device process sees. All simulated work is compute work: nobody draws,
 * and there is no MPS server.
 */
#include "nvml/nvml_state.h"

/* Whether the client has a living context on the device. */
static bool is_running(const struct nvml_call *call, const struct simgpu_client *client)
{
	for (uint32_t i = 0; i < call->truth->ncontexts; i++) {
		const struct simgpu_context *context = &call->truth->contexts[i];

		if (context->client == client->id && context->device == call->index &&
		    !context->gone)
			return true;
	}
	return false;
}

/* Goes through the processes: the next one from *at on, NULL after the last. */
static const struct simgpu_client *next_process(const struct nvml_call *call,
						uint32_t *at)
{
	while (*at < call->truth->nclients) {
		const struct simgpu_client *client = &call->truth->clients[(*at)++];

		if (!client->gone && is_running(call, client))
			return client;
	}
	return NULL;
}

static unsigned count_processes(const struct nvml_call *call)
{
	unsigned count = 0;

	for (uint32_t at = 0; next_process(call, &at);)
		count++;
	return count;
}

/* NVML's habit: what does not fit is not given at all, but counted. Sets *count to the number
 * there is. */
static enum nvml_return check_room(unsigned *count, unsigned there, const void *out)
{
	unsigned room;

	if (!count || (*count && !out))
		return NVML_ERROR_INVALID_ARGUMENT;
	room = *count;
	*count = there;
	return room < there ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

static enum nvml_return list_v1(nvmlDevice_t device, unsigned *count,
				struct nvml_process_v1 *out, bool compute)
{
	struct nvml_call call;
	enum nvml_return res = nvml_begin(&call, device, NVML_BOOKS_PLAIN);
	const struct simgpu_client *client;

	if (res)
		return res;
	res = check_room(count, compute ? count_processes(&call) : 0, out);
	for (uint32_t at = 0; res == NVML_SUCCESS && compute;) {
		client = next_process(&call, &at);
		if (!client)
			break;
		*out++ = (struct nvml_process_v1){
			.pid = (unsigned)client->pid,
			.used_gpu_memory = client->memory[call.index].used,
		};
	}
	nvml_end(&call);
	return res;
}

static enum nvml_return list(nvmlDevice_t device, unsigned *count,
			     struct nvml_process *out, bool compute)
{
	struct nvml_call call;
	enum nvml_return res = nvml_begin(&call, device, NVML_BOOKS_PLAIN);
	const struct simgpu_client *client;

	if (res)
		return res;
	res = check_room(count, compute ? count_processes(&call) : 0, out);
	for (uint32_t at = 0; res == NVML_SUCCESS && compute;) {
		client = next_process(&call, &at);
		if (!client)
			break;
		*out++ = (struct nvml_process){
			.pid = (unsigned)client->pid,
			.used_gpu_memory = client->memory[call.index].used,
			.gpu_instance = NVML_NOT_AVAILABLE,
			.compute_instance = NVML_NOT_AVAILABLE,
		};
	}
	nvml_end(&call);
	return res;
}

enum nvml_return nvmlDeviceGetComputeRunningProcesses(nvmlDevice_t device,
						      unsigned *count,
						      struct nvml_process_v1 *processes)
{
	return list_v1(device, count, processes, true);
}

enum nvml_return nvmlDeviceGetComputeRunningProcesses_v2(nvmlDevice_t device,
							 unsigned *count,
							 struct nvml_process *processes)
{
	return list(device, count, processes, true);
}

enum nvml_return nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device,
							 unsigned *count,
							 struct nvml_process *processes)
{
	return list(device, count, processes, true);
}

enum nvml_return nvmlDeviceGetGraphicsRunningProcesses(nvmlDevice_t device,
						       unsigned *count,
						       struct nvml_process_v1 *processes)
{
	return list_v1(device, count, processes, false);
}

enum nvml_return nvmlDeviceGetGraphicsRunningProcesses_v2(nvmlDevice_t device,
							  unsigned *count,
							  struct nvml_process *processes)
{
	return list(device, count, processes, false);
}

enum nvml_return nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t device,
							  unsigned *count,
							  struct nvml_process *processes)
{
	return list(device, count, processes, false);
}

enum nvml_return nvmlDeviceGetMPSComputeRunningProcesses(
	nvmlDevice_t device, unsigned *count, struct nvml_process_v1 *processes)
{
	return list_v1(device, count, processes, false);
}

enum nvml_return nvmlDeviceGetMPSComputeRunningProcesses_v2(
	nvmlDevice_t device, unsigned *count, struct nvml_process *processes)
{
	return list(device, count, processes, false);
}

enum nvml_return nvmlDeviceGetMPSComputeRunningProcesses_v3(
	nvmlDevice_t device, unsigned *count, struct nvml_process *processes)
{
	return list(device, count, processes, false);
}

enum nvml_return nvmlDeviceGetRunningProcessDetailList(
	nvmlDevice_t device, struct nvml_process_detail_list *out)
{
	struct nvml_call call;
	enum nvml_return res = nvml_begin(&call, device, NVML_BOOKS_PLAIN);
	bool compute;

	if (res)
		return res;
	if (!out || out->mode > NVML_PROCESSES_ALL) {
		nvml_end(&call);
		return NVML_ERROR_INVALID_ARGUMENT;
	}
	if (out->version != NVML_VERSION(struct nvml_process_detail_list, 1)) {
		nvml_end(&call);
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	}
	compute = out->mode == NVML_PROCESSES_COMPUTE || out->mode == NVML_PROCESSES_ALL;
	res = check_room(&out->count, compute ? count_processes(&call) : 0,
			 out->processes);
	for (uint32_t at = 0, n = 0; res == NVML_SUCCESS && compute; n++) {
		const struct simgpu_client *client = next_process(&call, &at);

		if (!client)
			break;
		out->processes[n] = (struct nvml_process_detail){
			.pid = (unsigned)client->pid,
			.used_gpu_memory = client->memory[call.index].used,
			.gpu_instance = NVML_NOT_AVAILABLE,
			.compute_instance = NVML_NOT_AVAILABLE,
		};
	}
	nvml_end(&call);
	return res;
}
