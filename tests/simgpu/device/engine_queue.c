/*
 * engine_queue.c - lists, the heap of future submissions, and dependencies.
 *
 * Knows where an operation stands and what it waits for. Refuses to know devices, time
 * slices and callbacks. Nothing here allocates except the second and later dependencies
 * of an operation, so that submitting cannot fail.
 */
#include "engine_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

void sim_list_push(struct sim_op **head, struct sim_op *op)
{
	op->prev = NULL;
	op->next = *head;
	if (*head)
		(*head)->prev = op;
	*head = op;
}

void sim_list_unlink(struct sim_op **head, struct sim_op *op)
{
	if (op->prev)
		op->prev->next = op->next;
	else
		*head = op->next;
	if (op->next)
		op->next->prev = op->prev;
	op->prev = op->next = NULL;
}

/* --- the heap: a pairing heap, since its nodes lie in the operations ---------------- */

static bool earlier(const struct sim_op *a, const struct sim_op *b)
{
	if (a->submit_ns != b->submit_ns)
		return a->submit_ns < b->submit_ns;
	return a->serial < b->serial;
}

/* Either may be NULL; siblings of the two are overwritten. queue_prev is the parent of a
 * first child and the elder sibling of any other. */
static struct sim_op *heap_meld(struct sim_op *a, struct sim_op *b)
{
	if (!a || !b)
		return a ? a : b;
	if (earlier(b, a)) {
		struct sim_op *t = a;

		a = b;
		b = t;
	}
	b->queue_next = a->queue_child;
	if (b->queue_next)
		b->queue_next->queue_prev = b;
	b->queue_prev = a;
	a->queue_child = b;
	a->queue_prev = a->queue_next = NULL;
	return a;
}

/* Makes one heap of a list of siblings: in pairs, then all pairs from the last. */
static struct sim_op *heap_meld_siblings(struct sim_op *first)
{
	struct sim_op *pairs = NULL, *heap = NULL;

	while (first) {
		struct sim_op *a = first, *b = a->queue_next;

		first = b ? b->queue_next : NULL;
		a->queue_prev = a->queue_next = NULL;
		if (b)
			b->queue_prev = b->queue_next = NULL;
		a = heap_meld(a, b);
		a->queue_next = pairs;
		pairs = a;
	}
	while (pairs) {
		struct sim_op *a = pairs;

		pairs = a->queue_next;
		a->queue_next = NULL;
		heap = heap_meld(heap, a);
	}
	return heap;
}

static void heap_remove(struct sim_op **heap, struct sim_op *op)
{
	struct sim_op *children = heap_meld_siblings(op->queue_child);

	if (op == *heap) {
		*heap = children;
	} else {
		if (op->queue_prev->queue_child == op)
			op->queue_prev->queue_child = op->queue_next;
		else
			op->queue_prev->queue_next = op->queue_next;
		if (op->queue_next)
			op->queue_next->queue_prev = op->queue_prev;
		*heap = heap_meld(*heap, children);
	}
	op->queue_child = op->queue_prev = op->queue_next = NULL;
}

/* --- queues ------------------------------------------------------------------------- */

static struct sim_op_list *list_of(struct sim_engine *engine, int queue)
{
	switch (queue) {
	case SIM_QUEUE_ARRIVED:
		return &engine->arrived;
	case SIM_QUEUE_POLLED:
		return &engine->polled;
	default:
		assert(queue == SIM_QUEUE_ENDED);
		return &engine->ended;
	}
}

void sim_queue_put(struct sim_engine *engine, struct sim_op *op, int queue)
{
	struct sim_op_list *list;

	assert(op->queue == SIM_QUEUE_NONE);
	op->queue = queue;
	if (queue == SIM_QUEUE_FUTURE) {
		engine->future = heap_meld(engine->future, op);
		return;
	}
	list = list_of(engine, queue);
	op->queue_next = NULL;
	op->queue_prev = list->tail;
	if (list->tail)
		list->tail->queue_next = op;
	else
		list->head = op;
	list->tail = op;
	if (queue == SIM_QUEUE_POLLED)
		engine->npolled++;
}

void sim_queue_remove(struct sim_engine *engine, struct sim_op *op)
{
	int queue = op->queue;
	struct sim_op_list *list;

	op->queue = SIM_QUEUE_NONE;
	if (queue == SIM_QUEUE_NONE)
		return;
	if (queue == SIM_QUEUE_FUTURE) {
		heap_remove(&engine->future, op);
		return;
	}
	list = list_of(engine, queue);
	if (op->queue_prev)
		op->queue_prev->queue_next = op->queue_next;
	else
		list->head = op->queue_next;
	if (op->queue_next)
		op->queue_next->queue_prev = op->queue_prev;
	else
		list->tail = op->queue_prev;
	op->queue_prev = op->queue_next = NULL;
	if (queue == SIM_QUEUE_POLLED)
		engine->npolled--;
}

void sim_op_enqueue(struct sim_engine *engine, struct sim_op *op)
{
	sim_queue_put(engine, op,
		      op->submit_ns <= engine->now_ns ? SIM_QUEUE_ARRIVED
						      : SIM_QUEUE_FUTURE);
}

/* --- dependencies ------------------------------------------------------------------- */

int sim_op_depend(struct sim_op *op, struct sim_op *on)
{
	struct sim_edge *edge = &op->first_edge;

	assert(op->state == SIM_OP_NEW && op != on);
	if (on->state == SIM_OP_DONE)
		return 0;
	if (edge->from) {
		edge = malloc(sizeof(*edge));
		if (!edge)
			return -ENOMEM;
	}
	edge->from = on;
	edge->to = op;

	edge->succ_next = NULL;
	edge->succ_prev = on->succ_tail;
	if (on->succ_tail)
		on->succ_tail->succ_next = edge;
	else
		on->succ_head = edge;
	on->succ_tail = edge;

	edge->pred_prev = NULL;
	edge->pred_next = op->pred_head;
	if (op->pred_head)
		op->pred_head->pred_prev = edge;
	op->pred_head = edge;
	op->ndeps++;
	return 0;
}

struct sim_op *sim_op_waits_for(const struct sim_op *op)
{
	return op->pred_head ? op->pred_head->from : NULL;
}

static void edge_free(struct sim_edge *edge)
{
	edge->to->ndeps--;
	if (edge == &edge->to->first_edge)
		edge->from = NULL;
	else
		free(edge);
}

void sim_op_forget_deps(struct sim_op *op)
{
	struct sim_edge *edge, *next;

	for (edge = op->pred_head; edge; edge = next) {
		next = edge->pred_next;
		if (edge->succ_prev)
			edge->succ_prev->succ_next = edge->succ_next;
		else
			edge->from->succ_head = edge->succ_next;
		if (edge->succ_next)
			edge->succ_next->succ_prev = edge->succ_prev;
		else
			edge->from->succ_tail = edge->succ_prev;
		edge_free(edge);
	}
	op->pred_head = NULL;
}

void sim_op_release(struct sim_engine *engine, struct sim_op *op)
{
	struct sim_edge *edge, *next;

	for (edge = op->succ_head; edge; edge = next) {
		struct sim_op *to = edge->to;

		next = edge->succ_next;
		if (edge->pred_prev)
			edge->pred_prev->pred_next = edge->pred_next;
		else
			to->pred_head = edge->pred_next;
		if (edge->pred_next)
			edge->pred_next->pred_prev = edge->pred_prev;
		edge_free(edge);
		if (to->ndeps == 0 && to->state == SIM_OP_BLOCKED)
			sim_op_enqueue(engine, to);
	}
	op->succ_head = op->succ_tail = NULL;
}
