/*
 * dgraph.c - graphs in the device: images are checked once, each launch becomes operations
 * with dependencies, and a joining operation ends it.
 *
 * A run is one execution of one image: of a launched graph, of a child graph, of the body
 * of a conditional. Its parent is the EXTERNAL operation that began it and that completes
 * when the run has been joined (or, for a while node, when its condition has become false).
 * Every operation of a run holds a reference to it.
 */
#include <stdlib.h>
#include <string.h>

#include "device/server.h"

#define DEPTH_MAX 16
#define NODES_MAX (1u << 20)
/* Each turn of a while node takes at least this: the condition is read on the device, and
 * a loop without work must not stop the device's clock. */
#define CONDITION_NS 1000

struct node {
	const struct sim_graph_node *header;
	const unsigned char *payload;
	const uint32_t *deps;
};

struct sim_graph {
	unsigned refs;
	uint32_t id;
	bool forgotten;
	struct sim_dctx *ctx;
	struct sim_work *last;
	unsigned char *image;
	uint64_t bytes;
	struct sim_graph *next;
};

struct sim_run {
	unsigned refs;
	struct sim_client *client;
	struct sim_dctx *ctx;
	struct sim_graph *graph;
	const unsigned char *image;
	struct sim_work *parent;
	struct sim_work *join;
};

/* ---- images ---- */

static uint64_t align8(uint64_t value)
{
	return (value + 7) & ~7ull;
}

/* Reads the node at *at, advancing it; false if it is not whole. */
static bool node_read(const unsigned char *image, uint64_t bytes, uint64_t *at,
		      struct node *node)
{
	uint64_t need;

	if (*at > bytes || bytes - *at < sizeof(*node->header))
		return false;
	node->header = (const struct sim_graph_node *)(const void *)(image + *at);
	need = sizeof(*node->header) + align8(node->header->payload_bytes) +
	       align8((uint64_t)node->header->ndeps * 4);
	if (node->header->bytes != need || need > bytes - *at)
		return false;
	node->payload = image + *at + sizeof(*node->header);
	node->deps = (const uint32_t *)(const void *)(node->payload +
						      align8(node->header->payload_bytes));
	*at += need;
	return true;
}

static bool image_check(const unsigned char *image, uint64_t room, unsigned depth);

static bool bodies_check(const struct node *node, unsigned depth)
{
	struct sim_node_conditional conditional;
	uint64_t at = sizeof(conditional), bytes = node->header->payload_bytes;
	uint32_t i;

	if (bytes < sizeof(conditional))
		return false;
	memcpy(&conditional, node->payload, sizeof(conditional));
	if (conditional.type > SIM_COND_SWITCH)
		return false;
	for (i = 0; i < conditional.nbodies; i++) {
		const struct sim_graph_image *body;

		if (at > bytes || bytes - at < sizeof(*body) ||
		    !image_check(node->payload + at, bytes - at, depth + 1))
			return false;
		body = (const struct sim_graph_image *)(const void *)(node->payload + at);
		at += align8(body->bytes);
	}
	return true;
}

/* Whether everything in an image lies within it, so that runs need not look again. */
static bool image_check(const unsigned char *image, uint64_t room, unsigned depth)
{
	const struct sim_graph_image *head = (const struct sim_graph_image *)(const void *)image;
	uint64_t at = sizeof(*head);
	uint32_t i, d;

	if (depth > DEPTH_MAX || room < sizeof(*head) || head->magic != SIM_MAGIC ||
	    head->bytes < sizeof(*head) || head->bytes > room || head->bytes % 8 != 0 ||
	    head->nnodes > NODES_MAX)
		return false;
	for (i = 0; i < head->nnodes; i++) {
		struct node node;

		if (!node_read(image, head->bytes, &at, &node))
			return false;
		for (d = 0; d < node.header->ndeps; d++)
			if (node.deps[d] >= i)
				return false;
		if (node.header->kind == SIM_NODE_CHILD &&
		    !image_check(node.payload, node.header->payload_bytes, depth + 1))
			return false;
		if (node.header->kind == SIM_NODE_CONDITIONAL && !bodies_check(&node, depth))
			return false;
		if (node.header->kind == SIM_REC_GRAPH || node.header->kind == SIM_REC_PAD)
			return false;
	}
	return true;
}

/* ---- graphs ---- */

struct sim_graph *sim_graph_new(struct sim_client *client, struct sim_dctx *ctx,
				unsigned char *image, uint64_t bytes)
{
	struct sim_graph *graph;

	if (!image_check(image, bytes, 0)) {
		free(image);
		return NULL;
	}
	graph = calloc(1, sizeof(*graph));
	if (graph == NULL) {
		free(image);
		return NULL;
	}
	graph->refs = 1;
	graph->id = ++client->next_graph;
	graph->ctx = ctx;
	graph->image = image;
	graph->bytes = bytes;
	graph->next = client->graphs;
	client->graphs = graph;
	return graph;
}

struct sim_graph *sim_graph_find(struct sim_client *client, uint32_t id)
{
	struct sim_graph *graph;

	for (graph = client->graphs; graph != NULL; graph = graph->next)
		if (graph->id == id)
			return graph;
	return NULL;
}

uint32_t sim_graph_id(const struct sim_graph *graph)
{
	return graph->id;
}

struct sim_work **sim_graph_last(struct sim_graph *graph)
{
	return &graph->last;
}

void sim_graph_ref(struct sim_graph *graph)
{
	graph->refs++;
}

void sim_graph_unref(struct sim_graph *graph)
{
	if (--graph->refs > 0)
		return;
	free(graph->image);
	free(graph);
}

void sim_graph_forget(struct sim_client *client, struct sim_graph *graph)
{
	struct sim_graph **link = &client->graphs;

	while (*link != graph)
		link = &(*link)->next;
	*link = graph->next;
	sim_graph_unref(graph);
}

/* ---- conditions ---- */

static struct sim_condition *condition(struct sim_client *client, uint64_t handle)
{
	struct sim_condition *grown;
	unsigned i;

	for (i = 0; i < client->nconditions; i++)
		if (client->conditions[i].handle == handle)
			return &client->conditions[i];
	grown = realloc(client->conditions, (client->nconditions + 1) * sizeof(*grown));
	if (grown == NULL)
		return NULL;
	client->conditions = grown;
	grown += client->nconditions++;
	grown->handle = handle;
	grown->value = 0;
	return grown;
}

bool sim_condition_set(struct sim_client *client, uint64_t handle, uint32_t value)
{
	struct sim_condition *found = condition(client, handle);

	if (found == NULL)
		return false;
	found->value = value;
	return true;
}

static void assign_default(struct sim_client *client, const struct node *node)
{
	struct sim_node_conditional conditional;

	memcpy(&conditional, node->payload, sizeof(conditional));
	if (conditional.has_default)
		sim_condition_set(client, conditional.handle, conditional.default_value);
}

/* ---- runs ---- */

void sim_run_unref(struct sim_run *run)
{
	if (--run->refs > 0)
		return;
	if (run->graph != NULL)
		sim_graph_unref(run->graph);
	free(run);
}

static struct sim_work *node_work(struct sim_run *run, const struct node *node,
				  uint64_t now_ns)
{
	uint32_t kind = node->header->enabled ? node->header->kind : SIM_REC_MARKER;
	const unsigned char *tail = node->payload;
	size_t payload = node->header->payload_bytes;
	struct sim_work *work;

	if (kind == SIM_NODE_EMPTY)
		kind = SIM_REC_MARKER; /* EMPTY is the join's */
	if (kind == SIM_REC_KERNEL && payload >= sizeof(struct sim_rec_kernel)) {
		tail += sizeof(struct sim_rec_kernel);
		payload -= sizeof(struct sim_rec_kernel);
	}
	work = sim_work_new(run->client, run->ctx, kind, node->payload,
			    node->header->payload_bytes, tail, payload, false);
	if (work == NULL)
		return NULL;
	work->op.submit_ns = now_ns;
	/* The parent's is that of its stream, handed down from run to run. */
	work->op.priority = node->header->priority == SIM_PRIORITY_STREAM
				    ? run->parent->op.priority
				    : node->header->priority;
	work->run = run;
	run->refs++;
	/* Children and bodies find their images through the node's payload. */
	work->params = kind == SIM_REC_KERNEL ? work->params : node->payload;
	if (kind == SIM_REC_EVENT_RECORD) {
		work->event = sim_client_event(run->client, work->rec.event.slot);
		if (work->event != NULL) {
			if (work->event->last != NULL)
				work->event->last->event = NULL;
			work->event->last = work;
		}
	}
	return work;
}

/* Submits one image as operations; its join completes `parent`. `ready_ns` is when its
 * roots may start. False when out of memory or when a node is not acceptable. */
static bool run_start(struct sim_work *parent, const unsigned char *image, uint64_t ready_ns)
{
	const struct sim_graph_image *head = (const struct sim_graph_image *)(const void *)image;
	struct sim_engine *engine = parent->client->server->engine;
	struct sim_run *run = calloc(1, sizeof(*run));
	struct sim_work **works = calloc((size_t)head->nnodes + 1, sizeof(*works));
	uint64_t at = sizeof(*head);
	bool ok = run != NULL && works != NULL;
	uint32_t i, d;

	if (!ok)
		goto out;
	run->refs = 1;
	run->client = parent->client;
	run->ctx = parent->ctx;
	run->image = image;
	run->parent = parent;
	run->graph = parent->run != NULL ? parent->run->graph : parent->graph;
	sim_graph_ref(run->graph);
	run->join = sim_work_new(run->client, run->ctx, SIM_NODE_EMPTY, NULL, 0, NULL, 0,
				 false);
	ok = run->join != NULL;
	if (!ok)
		goto out;
	run->join->op.submit_ns = ready_ns;
	run->join->run = run;
	run->refs++;
	for (i = 0; i < head->nnodes; i++) {
		struct node node;
		bool fine;

		node_read(image, head->bytes, &at, &node);
		if (node.header->kind == SIM_NODE_CONDITIONAL)
			assign_default(run->client, &node);
		works[i] = node_work(run, &node, ready_ns);
		if (works[i] == NULL) {
			ok = false;
			break;
		}
		fine = sim_work_shape(works[i]);
		for (d = 0; fine && d < node.header->ndeps; d++)
			fine = sim_op_depend(&works[i]->op, &works[node.deps[d]]->op) == 0;
		if (fine && works[i]->kind == SIM_REC_EVENT_WAIT) {
			struct sim_devent *event =
				sim_client_event(run->client, works[i]->rec.event.slot);

			fine = event != NULL &&
			       (event->last == NULL ||
				sim_op_depend(&works[i]->op, &event->last->op) == 0);
		}
		fine = fine && sim_op_depend(&run->join->op, &works[i]->op) == 0;
		if (!fine) {
			works[i]->kind = SIM_REC_MARKER;
			works[i]->op.kind = SIM_OP_INSTANT;
			ok = false;
		}
		sim_op_submit(engine, &works[i]->op);
	}
	sim_op_submit(engine, &run->join->op);
out:
	free(works);
	if (run != NULL)
		sim_run_unref(run);
	return ok;
}

static const unsigned char *body_image(const struct sim_work *work, uint32_t index)
{
	struct sim_node_conditional conditional;
	uint64_t at = sizeof(conditional);

	memcpy(&conditional, work->params, sizeof(conditional));
	if (index >= conditional.nbodies)
		return NULL;
	while (index-- > 0)
		at += align8(((const struct sim_graph_image *)(const void *)(work->params +
									      at))
				     ->bytes);
	return work->params + at;
}

/* The body a conditional would run now, or NULL. */
static const unsigned char *chosen_body(const struct sim_work *work)
{
	struct sim_node_conditional conditional;
	const struct sim_condition *found;
	uint32_t value;

	memcpy(&conditional, work->params, sizeof(conditional));
	found = condition(work->client, conditional.handle);
	value = found == NULL ? 0 : found->value;
	switch (conditional.type) {
	case SIM_COND_IF:
		return body_image(work, value != 0 ? 0 : 1);
	case SIM_COND_WHILE:
		return value != 0 ? body_image(work, 0) : NULL;
	default:
		return body_image(work, value);
	}
}

void sim_graph_begin(struct sim_work *work, uint64_t now_ns)
{
	const unsigned char *image = NULL;

	switch (work->kind) {
	case SIM_REC_GRAPH:
		image = work->graph->image;
		break;
	case SIM_NODE_CHILD:
		image = work->params;
		break;
	case SIM_NODE_CONDITIONAL:
		image = chosen_body(work);
		break;
	default:
		break;
	}
	if (image == NULL) {
		sim_op_complete(work->client->server->engine, &work->op);
		return;
	}
	if (!run_start(work, image, now_ns))
		sim_client_fail(work->client, SIM_BROKEN);
}

void sim_graph_joined(struct sim_work *join, uint64_t now_ns)
{
	struct sim_work *parent = join->run->parent;
	struct sim_node_conditional conditional;

	if (parent->kind == SIM_NODE_CONDITIONAL) {
		const unsigned char *body;

		memcpy(&conditional, parent->params, sizeof(conditional));
		body = conditional.type == SIM_COND_WHILE ? chosen_body(parent) : NULL;
		if (body != NULL) {
			if (!run_start(parent, body, now_ns + CONDITION_NS))
				sim_client_fail(parent->client, SIM_BROKEN);
			return;
		}
	}
	sim_op_complete(parent->client->server->engine, &parent->op);
}
