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
/* Of an image with all that is nested in it: what begins at one instant. */
#define NODES_MAX (1u << 18)
#define DEPS_MAX (1u << 20)
/* Nodes that record events or wait for them are looked for in a list. */
#define EVENT_NODES_MAX 4096
/* Each turn of a while node takes at least this and for each node that it runs: the
 * condition is read on the device, and a loop without work must not outrun our own clock. */
#define TURN_NS 2000
#define TURN_NODE_NS 500

struct node {
	const struct sim_graph_node *header;
	const unsigned char *payload;
	const uint32_t *deps;
};

struct sim_graph {
	unsigned refs;
	uint32_t id;
	struct sim_client *client;
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
	uint64_t nodes; /* run so far, by itself and by the runs that its own began */
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
	node->deps =
		(const uint32_t *)(const void *)(node->payload +
						 align8(node->header->payload_bytes));
	*at += need;
	return true;
}

struct check {
	unsigned depth;
	uint32_t nodes, deps, events; /* so far */
};

static bool image_check(struct check *check, const unsigned char *image, uint64_t room);

static bool bodies_check(struct check *check, const struct node *node)
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
		    !image_check(check, node->payload + at, bytes - at))
			return false;
		body = (const struct sim_graph_image *)(const void *)(node->payload + at);
		at += align8(body->bytes);
	}
	return true;
}

/* Whether everything in an image lies within it, so that runs need not look again. */
static bool image_check(struct check *check, const unsigned char *image, uint64_t room)
{
	const struct sim_graph_image *head =
		(const struct sim_graph_image *)(const void *)image;
	uint64_t at = sizeof(*head);
	uint32_t i, d;

	if (check->depth >= DEPTH_MAX || room < sizeof(*head) ||
	    head->magic != SIM_MAGIC || head->bytes < sizeof(*head) ||
	    head->bytes > room || head->bytes % 8 != 0 ||
	    head->nnodes > NODES_MAX - check->nodes)
		return false;
	check->depth++;
	check->nodes += head->nnodes;
	for (i = 0; i < head->nnodes; i++) {
		struct node node;

		if (!node_read(image, head->bytes, &at, &node) ||
		    node.header->ndeps > DEPS_MAX - check->deps)
			return false;
		check->deps += node.header->ndeps;
		if ((node.header->kind == SIM_REC_EVENT_RECORD ||
		     node.header->kind == SIM_REC_EVENT_WAIT) &&
		    ++check->events > EVENT_NODES_MAX)
			return false;
		for (d = 0; d < node.header->ndeps; d++)
			if (node.deps[d] >= i)
				return false;
		if (node.header->kind == SIM_NODE_CHILD &&
		    !image_check(check, node.payload, node.header->payload_bytes))
			return false;
		if (node.header->kind == SIM_NODE_CONDITIONAL &&
		    !bodies_check(check, &node))
			return false;
		if (node.header->kind == SIM_REC_GRAPH ||
		    node.header->kind == SIM_REC_PAD)
			return false;
	}
	check->depth--;
	return true;
}

/* ---- graphs ---- */

struct sim_graph *sim_graph_new(struct sim_client *client, unsigned char *image,
				uint64_t bytes)
{
	struct check check = { 0 };
	struct sim_graph *graph;

	if (!image_check(&check, image, bytes)) {
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
	graph->client = client;
	graph->image = image;
	graph->bytes = bytes;
	client->ngraphs++;
	client->graph_bytes += bytes;
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

const unsigned char *sim_graph_image(const struct sim_graph *graph)
{
	return graph->image;
}

void sim_graph_ref(struct sim_graph *graph)
{
	graph->refs++;
}

void sim_graph_unref(struct sim_graph *graph)
{
	if (--graph->refs > 0)
		return;
	graph->client->ngraphs--;
	graph->client->graph_bytes -= graph->bytes;
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

/* ---- runs ---- */

static void assign_default(struct sim_client *client, const struct node *node)
{
	struct sim_node_conditional conditional;

	memcpy(&conditional, node->payload, sizeof(conditional));
	if (conditional.has_default)
		sim_condition_set(client, conditional.handle, conditional.default_value);
}

struct sim_work *sim_run_launch(struct sim_work *work)
{
	while (work->run != NULL)
		work = work->run->parent;
	return work;
}

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
	return work;
}

/* The node waits for what it was to wait for when its graph was launched. */
static bool wait_for_event(struct sim_work *work)
{
	struct sim_work *announced = sim_graph_announced(work);

	return announced == NULL || sim_op_depend(&work->op, &announced->op) == 0;
}

/* least_ns of a node is the longest path up to its end, of the parent that of the run. Sums
 * may wrap: all that depends on them is how soon the device looks again. */
static void path_extend(struct sim_work *work, uint64_t ns)
{
	if (work->least_ns < ns)
		work->least_ns = ns;
}

/* Submits one image as operations; its join completes `parent`. `ready_ns` is when its
 * roots may start. False when out of memory or when a node is not acceptable. */
static bool run_start(struct sim_work *parent, const unsigned char *image,
		      uint64_t ready_ns)
{
	const struct sim_graph_image *head =
		(const struct sim_graph_image *)(const void *)image;
	struct sim_engine *engine = parent->client->server->engine;
	struct sim_run *run = calloc(1, sizeof(*run));
	struct sim_work **works = calloc((size_t)head->nnodes + 1,
					 sizeof(struct sim_work *));
	uint64_t at = sizeof(*head);
	bool ok = run != NULL && works != NULL;
	uint32_t i, d;

	if (!ok) {
		free(works);
		free(run);
		return false;
	}
	run->refs = 1;
	run->nodes = head->nnodes;
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

		/* The image was checked when it came: only memory can be short. */
		if (!node_read(image, head->bytes, &at, &node) ||
		    (works[i] = node_work(run, &node, ready_ns)) == NULL) {
			ok = false;
			break;
		}
		if (node.header->kind == SIM_NODE_CONDITIONAL)
			assign_default(run->client, &node);
		fine = sim_work_shape(works[i]);
		for (d = 0; fine && d < node.header->ndeps; d++)
			fine = sim_op_depend(&works[i]->op, &works[node.deps[d]]->op) ==
			       0;
		if (fine && works[i]->kind == SIM_REC_EVENT_WAIT)
			fine = wait_for_event(works[i]);
		fine = fine && sim_op_depend(&run->join->op, &works[i]->op) == 0;
		if (!fine) {
			works[i]->kind = SIM_REC_MARKER;
			works[i]->op.kind = SIM_OP_INSTANT;
			ok = false;
		}
		for (d = 0; d < node.header->ndeps; d++)
			path_extend(works[i], works[node.deps[d]]->least_ns);
		works[i]->least_ns += works[i]->op.work_ns;
		path_extend(parent, works[i]->least_ns);
		sim_op_submit(engine, &works[i]->op);
	}
	sim_op_submit(engine, &run->join->op);
out:
	free(works);
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
		at += align8(
			((const struct sim_graph_image *)(const void *)(work->params +
									at))
				->bytes);
	return work->params + at;
}

/* The body a conditional would run now, or NULL. */
static const unsigned char *chosen_body(const struct sim_work *work)
{
	struct sim_node_conditional conditional;
	uint32_t value;

	memcpy(&conditional, work->params, sizeof(conditional));
	value = sim_condition_get(work->client, conditional.handle);
	switch (conditional.type) {
	case SIM_COND_IF:
		return body_image(work, value != 0 ? 0 : 1);
	case SIM_COND_WHILE:
		return value != 0 ? body_image(work, 0) : NULL;
	default:
		return body_image(work, value);
	}
}

static bool is_while(const struct sim_work *work)
{
	struct sim_node_conditional conditional;

	if (work->kind != SIM_NODE_CONDITIONAL)
		return false;
	memcpy(&conditional, work->params, sizeof(conditional));
	return conditional.type == SIM_COND_WHILE;
}

void sim_graph_begin(struct sim_work *work, uint64_t now_ns)
{
	const unsigned char *image = NULL;

	switch (work->kind) {
	case SIM_REC_EVENT_RECORD: /* of a launch: ends when its node has run */
		return;
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
	const uint64_t nodes = join->run->nodes;
	const unsigned char *body = is_while(parent) ? chosen_body(parent) : NULL;

	if (body != NULL) {
		if (!run_start(parent, body, now_ns + TURN_NS + nodes * TURN_NODE_NS))
			sim_client_fail(parent->client, SIM_BROKEN);
		return;
	}
	/* A loop has paid for its own. */
	if (parent->run != NULL && !is_while(parent))
		parent->run->nodes += nodes;
	sim_op_complete(parent->client->server->engine, &parent->op);
}
