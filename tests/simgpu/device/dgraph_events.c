/*
 * dgraph_events.c - events that graphs record.
 *
 * A wait for an event waits for its last record, and a graph's counts from its launch on,
 * long before its node exists as an operation. So each event record node has an operation
 * of its own from the moment the launch is ingested: it is what others wait for, and it is
 * completed when the node has run.
 */
#include <string.h>

#include "device/server.h"

static bool announce_record(struct sim_work *launch, const unsigned char *payload,
			    uint32_t payload_bytes)
{
	struct sim_work *record = sim_work_new(launch->client, launch->ctx,
					       SIM_REC_EVENT_RECORD, payload,
					       payload_bytes, NULL, 0, false);

	if (record == NULL)
		return false;
	record->op.kind = SIM_OP_EXTERNAL;
	record->op.submit_ns = launch->op.submit_ns;
	record->rec.event.gen = launch->rec.graph.gen;
	if (!sim_event_pending(record)) {
		sim_work_free(record);
		return false;
	}
	record->next_record = launch->records;
	launch->records = record;
	sim_op_submit(launch->client->server->engine, &record->op);
	return true;
}

/* Images have been checked; children are looked into, bodies cannot record. */
static bool announce(struct sim_work *launch, const unsigned char *image)
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
		if (node.kind == SIM_NODE_CHILD && !announce(launch, payload))
			return false;
		if (node.kind == SIM_REC_EVENT_RECORD &&
		    !announce_record(launch, payload, node.payload_bytes))
			return false;
	}
	return true;
}

bool sim_graph_announce(struct sim_work *launch)
{
	return announce(launch, sim_graph_image(launch->graph));
}

struct sim_work *sim_graph_record_made(struct sim_work *node)
{
	struct sim_work **link = &sim_run_launch(node)->records, *record;

	while (*link != NULL && (*link)->rec.event.slot != node->rec.event.slot)
		link = &(*link)->next_record;
	record = *link;
	if (record != NULL)
		*link = record->next_record;
	return record;
}
