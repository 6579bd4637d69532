/*
 * dgraph_events.c - events that graphs record and wait for.
 *
 * A record counts from the launch of its graph on, long before its node exists as an
 * operation: waits that come later are for it. And a wait is for the last record before
 * the launch. So each event node has an operation that stands for it from the moment the
 * launch is ingested: of a record, completed when the node has run; of a wait, completed
 * by the record that it is for, and what the node then waits for.
 */
#include <string.h>

#include "device/server.h"

/* Of a client, above which it can launch no graph: a launch has any number of them. */
#define ANNOUNCED_MAX (1u << 18)

/* Enters one node's operation; it is submitted whatever happens, since others may have
 * noted it. */
static bool announce_node(struct sim_work *launch, const struct sim_graph_node *node,
			  const unsigned char *payload)
{
	struct sim_work *work = sim_work_new(launch->client, launch->ctx, node->kind,
					     payload, node->payload_bytes, NULL, 0,
					     false);
	struct sim_devent *event;
	bool fine;

	if (work == NULL)
		return false;
	work->announces = true;
	work->client->nannounced++;
	work->op.submit_ns = launch->op.submit_ns;
	work->launch = launch;
	work->announced_next = launch->announced;
	launch->announced = work;
	if (node->kind == SIM_REC_EVENT_RECORD) {
		work->op.kind = SIM_OP_EXTERNAL;
		work->rec.event.gen = launch->rec.graph.gen;
		fine = sim_event_pending(work);
	} else {
		event = sim_client_event(launch->client, work->rec.event.slot);
		fine = event != NULL && (event->last == NULL ||
					 sim_op_depend(&work->op, &event->last->op) == 0);
	}
	sim_op_submit(launch->client->server->engine, &work->op);
	return fine;
}

/* All nodes of a kind, children included; bodies of conditionals have none. The image has
 * been checked. */
static bool announce(struct sim_work *launch, const unsigned char *image, uint32_t kind)
{
	struct sim_graph_image head;
	struct sim_graph_node node;
	uint32_t i;

	memcpy(&head, image, sizeof(head));
	image += sizeof(head);
	for (i = 0; i < head.nnodes; i++) {
		const unsigned char *payload = image + sizeof(node);

		memcpy(&node, image, sizeof(node));
		image += node.bytes;
		if (!node.enabled)
			continue;
		if (node.kind == SIM_NODE_CHILD && !announce(launch, payload, kind))
			return false;
		if (node.kind == kind && !announce_node(launch, &node, payload))
			return false;
	}
	return true;
}

bool sim_graph_announce(struct sim_work *launch)
{
	const unsigned char *image = sim_graph_image(launch->graph);

	if (launch->client->nannounced > ANNOUNCED_MAX)
		return false;
	/* Waits first: none is for a record of its own graph. */
	return announce(launch, image, SIM_REC_EVENT_WAIT) &&
	       announce(launch, image, SIM_REC_EVENT_RECORD);
}

static void take_out(struct sim_work *work)
{
	struct sim_work **link = &work->launch->announced;

	while (*link != work)
		link = &(*link)->announced_next;
	*link = work->announced_next;
	work->launch = NULL;
}

struct sim_work *sim_graph_announced(struct sim_work *node)
{
	struct sim_work *work = sim_run_launch(node)->announced;

	while (work != NULL &&
	       (work->kind != node->kind || work->rec.event.slot != node->rec.event.slot))
		work = work->announced_next;
	if (work != NULL)
		take_out(work);
	return work;
}

void sim_graph_unannounce(struct sim_work *work)
{
	if (work->launch != NULL)
		take_out(work);
	work->client->nannounced -= work->announces;
	/* Operations that are dropped go in any order. */
	while (work->announced != NULL) {
		work->announced->launch = NULL;
		work->announced = work->announced->announced_next;
	}
}
