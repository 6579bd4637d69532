/*
 * graph_send.c - an executable graph brought up to date at the device, and what launches
 * must know beside it: events to take note of, and in zero-cost mode host functions.
 */
#include "driver/graph.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

bool sim_array_grow(void **array, size_t count, size_t bytes_each)
{
	void *grown;

	if (count & (count - 1)) /* room for the next power of two */
		return true;
	grown = realloc(*array, (count ? 2 * count : 1) * bytes_each);
	if (grown)
		*array = grown;
	return grown != NULL;
}

bool sim_exec_note_event(struct sim_exec *exec, struct sim_event *event)
{
	if (!sim_array_grow((void **)&exec->events, exec->nevents,
			    sizeof(struct sim_event *)) ||
	    !sim_array_grow((void **)&exec->event_slots, exec->nevents,
			    sizeof(*exec->event_slots)))
		return false;
	exec->events[exec->nevents] = event;
	exec->event_slots[exec->nevents++] = event->slot;
	return true;
}

static bool write_all(int fd, const unsigned char *data, size_t bytes)
{
	while (bytes > 0) {
		ssize_t n = write(fd, data, bytes);

		if (n <= 0)
			return false;
		data += n;
		bytes -= (size_t)n;
	}
	return true;
}

static CUresult send_image(struct sim_lowered *lowered, const unsigned char *data,
			   size_t bytes)
{
	const uint64_t a[6] = { bytes, lowered->ctx_id };
	CUresult res = CUDA_ERROR_OUT_OF_MEMORY;
	uint64_t v[6];
	int fd = memfd_create("simgpu-graph", MFD_CLOEXEC);

	if (fd < 0)
		return res;
	if (write_all(fd, data, bytes))
		res = sim_rpc(SIM_RPC_GRAPH_CREATE, a, v, fd, NULL);
	close(fd);
	if (res == CUDA_SUCCESS)
		lowered->id = (uint32_t)v[0];
	return res;
}

/* ---- zero-cost mode: only host functions are done ---- */

static bool note_hosts(struct sim_exec *exec, struct sim_graph *graph)
{
	struct sim_node **order;
	bool ok = sim_graph_sort(graph, &order, NULL) == CUDA_SUCCESS;

	if (!ok)
		return false;
	for (size_t i = 0; ok && i < graph->count; i++) {
		const struct sim_params *params = &order[i]->params;

		if (params->type == CU_GRAPH_NODE_TYPE_EVENT_RECORD &&
		    sim_object_check(params->event, SIM_T_EVENT))
			ok = sim_exec_note_event(exec, params->event);
		else if (params->type == CU_GRAPH_NODE_TYPE_GRAPH)
			ok = note_hosts(exec, params->child.graph);
		if (params->type != CU_GRAPH_NODE_TYPE_HOST)
			continue;
		ok = sim_array_grow((void **)&exec->hosts, exec->nhosts,
				    sizeof(*exec->hosts));
		if (ok)
			exec->hosts[exec->nhosts++] = params->host;
	}
	free(order);
	return ok;
}

/* A new image at the device. */
static CUresult lower(struct sim_exec *exec, struct sim_lowered *lowered)
{
	unsigned char *data;
	size_t bytes;
	CUresult res;

	lowered->refs = 1;
	lowered->ctx_id = exec->ctx->id;
	res = sim_image_build(exec, lowered, &data, &bytes);
	if (res == CUDA_SUCCESS)
		res = send_image(lowered, data, bytes);
	free(data);
	return res;
}

CUresult sim_exec_lower(struct sim_exec *exec)
{
	struct sim_lowered *lowered;
	CUresult res;

	exec->nevents = 0;
	exec->nhosts = 0;
	if (sim.zero_cost) {
		exec->dirty = !note_hosts(exec, exec->graph);
		return exec->dirty ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
	}
	lowered = calloc(1, sizeof(*lowered));
	if (!lowered)
		return CUDA_ERROR_OUT_OF_MEMORY;
	res = lower(exec, lowered);
	if (res != CUDA_SUCCESS) {
		sim_lowered_unref(lowered);
		return res;
	}
	if (exec->lowered)
		sim_lowered_unref(exec->lowered);
	exec->before = exec->last;
	exec->lowered = lowered;
	exec->dirty = false;
	return CUDA_SUCCESS;
}
