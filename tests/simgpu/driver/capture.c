/*
 * capture.c - stream capture: which streams take part, what their next node depends on,
 * and what is forbidden meanwhile.
 *
 * Knows: sequences (one per cuStreamBeginCapture), the streams that joined them through
 * events, and the three modes. Refuses to know: how work becomes a node (capture_nodes.c).
 *
 * An invalid operation invalidates every sequence concerned; such a sequence stays until it
 * is ended, and whatever touches it gets error 901.
 */
#include "driver/capture_private.h"

#include <stdlib.h>
#include <string.h>

_Atomic uint32_t sim_captures_open;

static struct sim_sequence *sequences; /* under sim_graph_mutex, as all in this file */
static _Thread_local CUstreamCaptureMode thread_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;

uint64_t sim_capture_thread(void)
{
	static _Atomic uint64_t last_thread;
	static _Thread_local uint64_t this_thread;

	if (!this_thread)
		this_thread = atomic_fetch_add(&last_thread, 1) + 1;
	return this_thread;
}

static __attribute__((constructor)) void watch_contexts(void)
{
	sim_context_on_destroy(sim_capture_context_gone);
}

/* ---- dependencies ---- */

bool sim_deps_add(struct sim_deps *deps, CUgraphNode node, const CUgraphEdgeData *edge)
{
	const CUgraphEdgeData data = edge ? *edge : (CUgraphEdgeData){ 0 };

	for (size_t i = 0; i < deps->count; i++)
		if (deps->nodes[i] == node)
			return true;
	if (deps->count == deps->room) {
		size_t room = deps->room ? 2 * deps->room : 4;
		CUgraphNode *nodes = realloc(deps->nodes, room * sizeof(CUgraphNode));
		CUgraphEdgeData *edges;

		if (!nodes)
			return false;
		deps->nodes = nodes;
		edges = realloc(deps->edges, room * sizeof(*edges));
		if (!edges)
			return false;
		deps->edges = edges;
		deps->room = room;
	}
	deps->nodes[deps->count] = node;
	deps->edges[deps->count++] = data;
	return true;
}

bool sim_deps_join(struct sim_deps *deps, const struct sim_deps *more)
{
	for (size_t i = 0; i < more->count; i++)
		if (!sim_deps_add(deps, more->nodes[i], &more->edges[i]))
			return false;
	return true;
}

void sim_deps_free(struct sim_deps *deps)
{
	free(deps->nodes);
	free(deps->edges);
	*deps = (struct sim_deps){ .nodes = NULL };
}

/* ---- streams and sequences ---- */

struct sim_capture *sim_capture_of(struct sim_stream *stream)
{
	return atomic_load_explicit(&stream->capture, memory_order_relaxed);
}

CUresult sim_capture_join(struct sim_sequence *sequence, struct sim_stream *stream)
{
	struct sim_capture *capture = calloc(1, sizeof(*capture));

	if (!capture)
		return CUDA_ERROR_OUT_OF_MEMORY;
	capture->stream = stream;
	capture->sequence = sequence;
	capture->next = sequence->members;
	sequence->members = capture;
	atomic_store_explicit(&stream->capture, capture, memory_order_release);
	return CUDA_SUCCESS;
}

static void member_free(struct sim_capture *member)
{
	atomic_store_explicit(&member->stream->capture, NULL, memory_order_release);
	sim_deps_free(&member->deps);
	free(member);
}

/* Ends the sequence: its streams are as before. The graph is not touched. */
static void sequence_free(struct sim_sequence *sequence)
{
	struct sim_sequence **at = &sequences;

	while (*at != sequence)
		at = &(*at)->next;
	*at = sequence->next;
	while (sequence->members) {
		struct sim_capture *member = sequence->members;

		sequence->members = member->next;
		member_free(member);
	}
	while (sequence->events) {
		struct sim_recorded *recorded = sequence->events;

		sequence->events = recorded->next;
		/* An event destroyed meanwhile has another record, or none. */
		if (recorded->event->capture_node == recorded)
			recorded->event->capture_node = NULL;
		sim_deps_free(&recorded->deps);
		free(recorded);
	}
	free(sequence);
	atomic_fetch_sub_explicit(&sim_captures_open, 1, memory_order_relaxed);
}

CUresult sim_capture_begin(struct sim_stream *stream, CUstreamCaptureMode mode,
			   struct sim_graph *graph, const struct sim_deps *deps)
{
	static uint64_t last_id;
	struct sim_sequence *sequence = calloc(1, sizeof(*sequence));
	CUresult res = CUDA_ERROR_OUT_OF_MEMORY;

	if (!sequence)
		return res;
	sequence->borrowed = graph != NULL;
	sequence->graph = graph ? graph : sim_graph_new();
	sequence->mode = mode;
	sequence->thread = sim_capture_thread();
	if (sequence->graph)
		res = sim_capture_join(sequence, stream);
	if (res != CUDA_SUCCESS) {
		if (!sequence->borrowed)
			sim_graph_free(sequence->graph);
		free(sequence);
		return res;
	}
	sequence->origin = sequence->members;
	sequence->id = ++last_id;
	sequence->graph->captures++;
	sequence->next = sequences;
	sequences = sequence;
	atomic_fetch_add_explicit(&sim_captures_open, 1, memory_order_relaxed);
	return deps && !sim_deps_join(&sequence->origin->deps, deps)
		       ? CUDA_ERROR_OUT_OF_MEMORY
		       : CUDA_SUCCESS;
}

/* Whether all that other streams captured comes before what the origin's next node would. */
static bool joined(const struct sim_sequence *sequence)
{
	const struct sim_deps *deps = &sequence->origin->deps;
	const uint64_t mark = sim_mark_ancestors(deps->nodes, deps->count);

	for (const struct sim_capture *member = sequence->members; member;
	     member = member->next)
		for (size_t i = 0; i < member->deps.count; i++)
			if (((struct sim_node *)member->deps.nodes[i])->mark != mark)
				return false;
	return true;
}

CUresult sim_capture_end(struct sim_stream *stream, struct sim_graph **graph)
{
	struct sim_capture *capture = sim_capture_of(stream);
	struct sim_sequence *sequence = capture ? capture->sequence : NULL;
	CUresult res = CUDA_SUCCESS;

	*graph = NULL;
	if (!capture)
		return CUDA_ERROR_ILLEGAL_STATE;
	if (capture != sequence->origin) {
		sequence->invalid = true;
		return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
	}
	if (sequence->mode != CU_STREAM_CAPTURE_MODE_RELAXED &&
	    sequence->thread != sim_capture_thread())
		return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
	if (sequence->invalid)
		res = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	else if (!joined(sequence))
		res = CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
	sequence->graph->captures--;
	if (res == CUDA_SUCCESS)
		*graph = sequence->graph;
	else if (!sequence->borrowed)
		sim_graph_free(sequence->graph);
	sequence_free(sequence);
	return res;
}

/* A stream that dies takes itself out; without its origin the whole sequence ends. */
void sim_capture_context_gone(struct sim_context *ctx)
{
	struct sim_sequence *sequence, *next;

	pthread_mutex_lock(&sim_graph_mutex);
	for (sequence = sequences; sequence; sequence = next) {
		struct sim_capture **at = &sequence->members;
		bool origin = sequence->origin->stream->ctx == ctx;

		next = sequence->next;
		while (!origin && *at) {
			struct sim_capture *member = *at;

			if (member->stream->ctx != ctx) {
				at = &member->next;
				continue;
			}
			*at = member->next;
			member_free(member);
			sequence->invalid = true;
		}
		if (!origin)
			continue;
		sequence->graph->captures--;
		if (!sequence->borrowed)
			sim_graph_free(sequence->graph);
		sequence_free(sequence);
	}
	pthread_mutex_unlock(&sim_graph_mutex);
}

/* ---- what is forbidden ---- */

/* Whether the sequence forbids the calling thread to do what is unsafe. */
static bool forbids(const struct sim_sequence *sequence)
{
	if (thread_mode == CU_STREAM_CAPTURE_MODE_RELAXED)
		return false;
	if (sequence->thread == sim_capture_thread())
		return sequence->mode != CU_STREAM_CAPTURE_MODE_RELAXED;
	return thread_mode == CU_STREAM_CAPTURE_MODE_GLOBAL &&
	       sequence->mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
}

CUresult sim_capture_guard_slow(void)
{
	CUresult res = CUDA_SUCCESS;

	pthread_mutex_lock(&sim_graph_mutex);
	for (struct sim_sequence *at = sequences; at; at = at->next)
		if (forbids(at)) {
			at->invalid = true;
			res = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
		}
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

/* Under the lock. Invalidates, if asked to, and tells whether a capture is disturbed by
 * what is put into the legacy stream of the context. */
bool sim_capture_implicit(const struct sim_context *ctx, bool invalidate)
{
	bool found = false;

	for (struct sim_sequence *at = sequences; at; at = at->next)
		for (struct sim_capture *member = at->members; member;
		     member = member->next)
			if (member->stream->ctx == ctx &&
			    !(member->stream->flags & CU_STREAM_NON_BLOCKING)) {
				found = true;
				at->invalid = at->invalid || invalidate;
			}
	return found;
}

CUresult sim_capture_check_slow(struct sim_stream *stream)
{
	struct sim_capture *capture;
	CUresult res = CUDA_SUCCESS;

	pthread_mutex_lock(&sim_graph_mutex);
	capture = sim_capture_of(stream);
	if (capture && capture->sequence->invalid)
		res = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	else if (!capture && (stream->sim_flags & SIM_SF_LEGACY) &&
		 sim_capture_implicit(stream->ctx, true))
		res = CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

CUresult sim_capture_prohibited(struct sim_stream *stream)
{
	struct sim_capture *capture;

	pthread_mutex_lock(&sim_graph_mutex);
	capture = sim_capture_of(stream);
	if (capture)
		capture->sequence->invalid = true;
	pthread_mutex_unlock(&sim_graph_mutex);
	return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

CUresult sim_capture_event_touched(struct sim_event *event)
{
	const struct sim_recorded *recorded;

	pthread_mutex_lock(&sim_graph_mutex);
	recorded = event->capture_node;
	if (recorded)
		recorded->sequence->invalid = true;
	pthread_mutex_unlock(&sim_graph_mutex);
	return CUDA_ERROR_CAPTURED_EVENT;
}

SIM_EXPORT CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
	CUresult res = sim_enter(SIM_FN_cuThreadExchangeStreamCaptureMode);
	CUstreamCaptureMode old = thread_mode;

	if (res != CUDA_SUCCESS)
		return res;
	if (!mode || (unsigned)*mode > CU_STREAM_CAPTURE_MODE_RELAXED)
		return CUDA_ERROR_INVALID_VALUE;
	thread_mode = *mode;
	*mode = old;
	return CUDA_SUCCESS;
}
