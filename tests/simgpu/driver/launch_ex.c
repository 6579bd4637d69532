/*
 * launch_ex.c - launches with attributes.
 *
 * Knows: which attributes a launch may carry and what they ask of it. Clusters are checked,
 * and nothing depends on them; events that a kernel would trigger early are recorded behind
 * it; hints about caches, domains and overlap are taken and not followed. Refuses to know:
 * arguments and grids (launch.c).
 */
#include "driver/capture.h"
#include "driver/code.h"
#include "driver/event.h"
#include "driver/launch.h"

#define EVENTS_MAX 2u /* a programmatic one and one of completion */

/* ---- clusters ---- */

bool sim_launch_required_cluster(const struct sim_function *function, unsigned cluster[3])
{
	for (unsigned i = 0; i < 3; i++) {
		int set = sim_function_setting(
			function,
			(CUfunction_attribute)(CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH +
					       i));

		if (set <= 0)
			return false;
		cluster[i] = (unsigned)set;
	}
	return true;
}

static const CUlaunchAttributeValue *find(const CUlaunchConfig *config,
					  CUlaunchAttributeID id)
{
	for (unsigned i = 0; i < config->numAttrs; i++)
		if (config->attrs[i].id == id)
			return &config->attrs[i].value;
	return NULL;
}

CUresult sim_launch_cluster(const struct sim_function *function,
			    const CUlaunchConfig *config, unsigned cluster[3])
{
	const CUlaunchAttributeValue *given = find(config,
						   CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION);
	const unsigned grid[3] = { config->gridDimX, config->gridDimY, config->gridDimZ };
	unsigned required[3];
	uint64_t blocks, most = SIM_CLUSTER_BLOCKS;

	cluster[0] = given ? given->clusterDim.x : 0;
	cluster[1] = given ? given->clusterDim.y : 0;
	cluster[2] = given ? given->clusterDim.z : 0;
	if (sim_launch_required_cluster(function, required)) {
		for (unsigned i = 0; i < 3; i++) {
			if (given != NULL && cluster[i] != required[i])
				return CUDA_ERROR_INVALID_CLUSTER_SIZE;
			cluster[i] = required[i];
		}
	} else if (given == NULL) {
		return CUDA_SUCCESS;
	}
	if (sim_function_setting(function,
				 CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED) > 0)
		most = SIM_CLUSTER_BLOCKS_NON_PORTABLE;
	blocks = (uint64_t)cluster[0] * cluster[1];
	if (sim.hello.cc_major < 9 || blocks == 0 || blocks > most || cluster[2] == 0 ||
	    blocks * cluster[2] > most)
		return CUDA_ERROR_INVALID_CLUSTER_SIZE;
	for (unsigned i = 0; i < 3; i++)
		if (grid[i] % cluster[i] != 0)
			return CUDA_ERROR_INVALID_CLUSTER_SIZE;
	return CUDA_SUCCESS;
}

/* ---- attributes ---- */

struct attributes {
	bool cooperative;
	struct sim_event *events[EVENTS_MAX];
	unsigned events_count;
};

static CUresult add_event(struct attributes *attributes, CUevent handle, int flags)
{
	struct sim_event *event;
	CUresult res = sim_event_get(handle, &event);

	if (res != CUDA_SUCCESS)
		return res;
	if (flags != 0 || attributes->events_count == EVENTS_MAX ||
	    (event->flags & CU_EVENT_DISABLE_TIMING) == 0 ||
	    (event->flags & CU_EVENT_INTERPROCESS) != 0)
		return CUDA_ERROR_INVALID_VALUE;
	attributes->events[attributes->events_count++] = event;
	return CUDA_SUCCESS;
}

static CUresult read_attribute(struct attributes *out, const CUlaunchAttribute *attribute)
{
	const CUlaunchAttributeValue *value = &attribute->value;

	switch (attribute->id) {
	case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
		out->cooperative = value->cooperative != 0;
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT:
		return add_event(out, value->programmaticEvent.event,
				 value->programmaticEvent.flags);
	case CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT:
		return add_event(out, value->launchCompletionEvent.event,
				 value->launchCompletionEvent.flags);
	case CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE:
		return value->deviceUpdatableKernelNode.deviceUpdatable
			       ? CUDA_ERROR_NOT_SUPPORTED
			       : CUDA_ERROR_INVALID_VALUE;
	case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
		return (unsigned)value->clusterSchedulingPolicyPreference <=
				       CU_CLUSTER_SCHEDULING_POLICY_LOAD_BALANCING
			       ? CUDA_SUCCESS
			       : CUDA_ERROR_INVALID_VALUE;
	case CU_LAUNCH_ATTRIBUTE_IGNORE:
	case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
	case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
	case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION: /* see sim_launch_cluster() */
	case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
	case CU_LAUNCH_ATTRIBUTE_PRIORITY: /* kernels have their stream's */
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
	case CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION:
	case CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static CUresult record(struct sim_event *event, struct sim_stream *stream)
{
	struct sim_rec_event rec = { .slot = event->slot };
	uint64_t seq;
	CUresult res;

	if (atomic_load_explicit(&stream->capture, memory_order_relaxed) != NULL)
		return sim_capture_event_record(stream, event, 0);
	rec.gen = sim_event_begin_record(event);
	res = sim_submit(stream, SIM_REC_EVENT_RECORD, &rec, sizeof(rec), NULL, 0, &seq);
	if (res == CUDA_SUCCESS)
		sim_event_recorded(event, stream, rec.gen, seq);
	return res;
}

static CUresult launch(const CUlaunchConfig *config, CUfunction f, bool per_thread,
		       void **kernel_params, void **extra)
{
	struct attributes attributes = { .cooperative = false };
	struct sim_launch_shape shape;
	struct sim_stream *stream;
	unsigned cluster[3];
	CUresult res;

	if (config == NULL || (config->numAttrs != 0 && config->attrs == NULL))
		return CUDA_ERROR_INVALID_VALUE;
	if (!sim_object_check(f, SIM_T_FUNCTION))
		return CUDA_ERROR_INVALID_HANDLE;
	res = sim_stream_get(config->hStream, per_thread, &stream);
	for (unsigned i = 0; i < config->numAttrs && res == CUDA_SUCCESS; i++)
		res = read_attribute(&attributes, &config->attrs[i]);
	for (unsigned i = 0; i < attributes.events_count && res == CUDA_SUCCESS; i++)
		if (attributes.events[i]->ctx != stream->ctx)
			res = CUDA_ERROR_INVALID_HANDLE;
	if (res == CUDA_SUCCESS)
		res = sim_launch_cluster((const struct sim_function *)f, config, cluster);
	if (res != CUDA_SUCCESS)
		return res;
	shape = (struct sim_launch_shape){
		{ config->gridDimX, config->gridDimY, config->gridDimZ },
		{ config->blockDimX, config->blockDimY, config->blockDimZ },
		config->sharedMemBytes,
		attributes.cooperative,
	};
	res = sim_launch_submit(stream, f, &shape, kernel_params, extra);
	for (unsigned i = 0; i < attributes.events_count && res == CUDA_SUCCESS; i++)
		res = record(attributes.events[i], stream);
	return res;
}

SIM_EXPORT __typeof__(cuLaunchKernelEx) cuLaunchKernelEx_ptsz;

SIM_EXPORT CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction f,
				     void **kernelParams, void **extra)
{
	CUresult res = sim_enter(SIM_FN_cuLaunchKernelEx);

	return res ? res : launch(config, f, false, kernelParams, extra);
}

SIM_EXPORT CUresult cuLaunchKernelEx_ptsz(const CUlaunchConfig *config, CUfunction f,
					  void **kernelParams, void **extra)
{
	CUresult res = sim_enter(SIM_FN_cuLaunchKernelEx_ptsz);

	return res ? res : launch(config, f, true, kernelParams, extra);
}
