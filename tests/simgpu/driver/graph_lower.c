/*
 * graph_lower.c - executable graphs as the device gets them: an image of operations in
 * topological order (proto.h, "graph images").
 *
 * Knows: which nodes the device sees as what. Allocations and frees are nothing to it,
 * since addresses are fixed; a batch of memory operations becomes a chain. Refuses to know:
 * when an image is made and for how long it is kept (graph_exec.c).
 */
#include "driver/graph.h"

#include <stdlib.h>
#include <string.h>

#include "driver/launch.h"

struct image {
	unsigned char *data;
	size_t bytes, room;
	bool node_priorities;
	struct sim_exec *exec;
	struct sim_lowered *lowered;
};

/* Appends bytes, padded to 8. data NULL: zeroes. */
static bool put(struct image *image, const void *data, size_t bytes)
{
	const size_t padded = (bytes + 7) & ~(size_t)7;

	if (image->room - image->bytes < padded) {
		size_t room = 2 * (image->bytes + padded) + 4096;
		unsigned char *grown = realloc(image->data, room);

		if (!grown)
			return false;
		image->data = grown;
		image->room = room;
	}
	memset(image->data + image->bytes, 0, padded);
	if (data)
		memcpy(image->data + image->bytes, data, bytes);
	image->bytes += padded;
	return true;
}

/* A node that is being written: its header is filled in at the end. */
struct writing {
	size_t at, payload_at;
};

static bool node_begin(struct image *image, struct writing *writing)
{
	writing->at = image->bytes;
	if (!put(image, NULL, sizeof(struct sim_graph_node)))
		return false;
	writing->payload_at = image->bytes;
	return true;
}

static bool node_end(struct image *image, const struct writing *writing, uint32_t kind,
		     const struct sim_params *params, const uint32_t *deps, size_t ndeps,
		     size_t payload_bytes)
{
	struct sim_graph_node header = {
		.kind = kind,
		.payload_bytes = (uint32_t)payload_bytes,
		.ndeps = (uint32_t)ndeps,
		.enabled = params->enabled,
		.priority = image->node_priorities ? params->priority
						   : SIM_PRIORITY_STREAM,
	};

	if (!put(image, deps, ndeps * sizeof(*deps)))
		return false;
	header.bytes = (uint32_t)(image->bytes - writing->at);
	memcpy(image->data + writing->at, &header, sizeof(header));
	return image->bytes - writing->at <= UINT32_MAX;
}

static bool put_node(struct image *image, uint32_t kind, const struct sim_params *params,
		     const void *payload, size_t payload_bytes, const uint32_t *deps,
		     size_t ndeps)
{
	struct writing writing;

	return node_begin(image, &writing) && put(image, payload, payload_bytes) &&
	       node_end(image, &writing, kind, params, deps, ndeps, payload_bytes);
}

static bool put_kernel(struct image *image, const struct sim_params *params,
		       const uint32_t *deps, size_t ndeps)
{
	struct sim_rec_kernel rec = params->kernel.rec;
	struct writing writing;
	unsigned char *payload;
	size_t bytes;
	bool ok;

	if (rec.builtin == SIM_K_MODELLED)
		rec.param_bytes = 0; /* nobody would look at them */
	bytes = sizeof(rec) + rec.param_bytes;
	payload = malloc(bytes);
	if (!payload)
		return false;
	memcpy(payload, &rec, sizeof(rec));
	if (rec.param_bytes)
		memcpy(payload + sizeof(rec), params->kernel.args, rec.param_bytes);
	ok = node_begin(image, &writing) && put(image, payload, bytes) &&
	     node_end(image, &writing, SIM_REC_KERNEL, params, deps, ndeps, bytes);
	free(payload);
	return ok;
}

static bool put_host(struct image *image, const struct sim_params *params,
		     const uint32_t *deps, size_t ndeps)
{
	struct sim_lowered *lowered = image->lowered;
	struct sim_rec_host rec;

	if (!sim_array_grow((void **)&lowered->tokens, lowered->ntokens,
			    sizeof(*lowered->tokens)))
		return false;
	rec.token = sim_host_token(params->host.fn, NULL, NULL, params->host.userData,
				   true);
	if (!rec.token)
		return false;
	lowered->tokens[lowered->ntokens++] = rec.token;
	return put_node(image, SIM_REC_HOST_FUNC, params, &rec, sizeof(rec), deps, ndeps);
}

static bool put_event(struct image *image, const struct sim_params *params,
		      const uint32_t *deps, size_t ndeps)
{
	const bool record = params->type == CU_GRAPH_NODE_TYPE_EVENT_RECORD;
	struct sim_event *event = params->event;
	struct sim_rec_event rec = { 0 };

	if (!sim_object_check(event, SIM_T_EVENT))
		return put_node(image, SIM_NODE_EMPTY, params, NULL, 0, deps, ndeps);
	rec.slot = event->slot;
	if (!record)
		rec.flags = SIM_EF_EXTERNAL;
	else if (!sim_exec_note_event(image->exec,
				      event)) /* the generation comes with launches */
		return false;
	return put_node(image, record ? SIM_REC_EVENT_RECORD : SIM_REC_EVENT_WAIT, params,
			&rec, sizeof(rec), deps, ndeps);
}

/* A chain; *count grows by the nodes that stand before its last one. */
static bool put_memops(struct image *image, const struct sim_params *params,
		       const uint32_t *deps, size_t ndeps, uint32_t *count)
{
	const CUDA_BATCH_MEM_OP_NODE_PARAMS_v2 *batch = &params->memop;
	uint32_t previous;

	for (unsigned i = 0; i < batch->count; i++) {
		enum sim_record_kind kind;
		struct sim_rec_value rec;

		if (!sim_memop_record(&batch->paramArray[i], &kind, &rec))
			continue;
		if (!put_node(image, kind, params, &rec, sizeof(rec), deps, ndeps))
			return false;
		previous = (*count)++;
		deps = &previous;
		ndeps = 1;
	}
	return put_node(image, SIM_NODE_EMPTY, params, NULL, 0, deps, ndeps);
}

static bool put_graph(struct image *image, struct sim_graph *graph);

static bool put_nested(struct image *image, const struct sim_params *params,
		       const uint32_t *deps, size_t ndeps)
{
	struct writing writing;

	return node_begin(image, &writing) && put_graph(image, params->child.graph) &&
	       node_end(image, &writing, SIM_NODE_CHILD, params, deps, ndeps,
			image->bytes - writing.payload_at);
}

static bool put_conditional(struct image *image, struct sim_graph *graph,
			    const struct sim_params *params, const uint32_t *deps,
			    size_t ndeps)
{
	const CUDA_CONDITIONAL_NODE_PARAMS *given = &params->conditional;
	const struct sim_condition *condition = sim_condition_find(graph, given->handle);
	struct sim_node_conditional payload = {
		.handle = given->handle,
		.type = given->type,
		.nbodies = given->size,
		.has_default = condition && condition->has_default,
		.default_value = condition ? condition->default_value : 0,
	};
	struct writing writing;

	if (!node_begin(image, &writing) || !put(image, &payload, sizeof(payload)))
		return false;
	for (unsigned i = 0; i < given->size; i++)
		if (!put_graph(image, (struct sim_graph *)given->phGraph_out[i]))
			return false;
	return node_end(image, &writing, SIM_NODE_CONDITIONAL, params, deps, ndeps,
			image->bytes - writing.payload_at);
}

/* One node; *count is the number of image nodes before it, and then before its last. */
static bool put_any(struct image *image, struct sim_node *node, const uint32_t *deps,
		    uint32_t *count)
{
	const struct sim_params *params = &node->params;
	const size_t ndeps = node->deps.count;

	switch (params->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		return put_kernel(image, params, deps, ndeps);
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		if (!params->copy.rec.width_bytes)
			break;
		return put_node(image, SIM_REC_COPY, params, &params->copy.rec,
				sizeof(params->copy.rec), deps, ndeps);
	case CU_GRAPH_NODE_TYPE_MEMSET:
		if (!params->set.rec.width || !params->set.rec.height)
			break;
		return put_node(image, SIM_REC_MEMSET, params, &params->set.rec,
				sizeof(params->set.rec), deps, ndeps);
	case CU_GRAPH_NODE_TYPE_HOST:
		return put_host(image, params, deps, ndeps);
	case CU_GRAPH_NODE_TYPE_GRAPH:
		return put_nested(image, params, deps, ndeps);
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		return put_event(image, params, deps, ndeps);
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		return put_memops(image, params, deps, ndeps, count);
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		return put_conditional(image, node->graph, params, deps, ndeps);
	default:
		break;
	}
	return put_node(image, SIM_NODE_EMPTY, params, NULL, 0, deps, ndeps);
}

static bool put_nodes(struct image *image, struct sim_node **order, size_t nodes,
		      uint32_t *count)
{
	uint32_t *places = malloc((nodes + 1) * sizeof(*places)), *deps = NULL;
	bool ok = places != NULL;

	for (size_t i = 0; ok && i < nodes; i++) {
		const struct sim_links *links = &order[i]->deps;
		uint32_t *grown = realloc(deps, (links->count + 1) * sizeof(*deps));

		ok = grown != NULL;
		if (!ok)
			break;
		deps = grown;
		for (size_t d = 0; d < links->count; d++)
			deps[d] = places[links->at[d].node->index];
		ok = put_any(image, order[i], deps, count);
		places[i] = (*count)++;
	}
	free(places);
	free(deps);
	return ok;
}

static bool put_graph(struct image *image, struct sim_graph *graph)
{
	struct sim_graph_image head = { .magic = SIM_MAGIC };
	const size_t at = image->bytes;
	struct sim_node **order;
	bool ok = put(image, NULL, sizeof(head)) &&
		  sim_graph_sort(graph, &order, NULL) == CUDA_SUCCESS;

	if (!ok)
		return false;
	ok = put_nodes(image, order, graph->count, &head.nnodes);
	free(order);
	if (!ok)
		return false;
	head.bytes = image->bytes - at;
	memcpy(image->data + at, &head, sizeof(head));
	return true;
}

CUresult sim_image_build(struct sim_exec *exec, struct sim_lowered *lowered,
			 unsigned char **data, size_t *bytes)
{
	struct image image = {
		.exec = exec,
		.lowered = lowered,
		.node_priorities = exec->flags &
				   CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY,
	};
	bool ok = put_graph(&image, exec->graph);

	*data = image.data;
	*bytes = image.bytes;
	return ok ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
