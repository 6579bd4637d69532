/*
 * capture_private.h - stream capture, as its three files share it.
 *
 * Everything here is under sim_graph_mutex, taken by the callers unless a function says
 * that it takes it.
 */
#ifndef SIM_CAPTURE_PRIVATE_H
#define SIM_CAPTURE_PRIVATE_H

#include "driver/capture.h"
#include "driver/graph.h"

/* Nodes that something comes after; parallel arrays, as applications are shown them. */
struct sim_deps {
	CUgraphNode *nodes;
	CUgraphEdgeData *edges;
	size_t count, room;
};

/* A stream that takes part in a sequence: what its next node depends on. */
struct sim_capture {
	struct sim_stream *stream;
	struct sim_sequence *sequence;
	struct sim_deps deps;
	struct sim_capture *next;
};

/* An event as it was recorded in a sequence. */
struct sim_recorded {
	struct sim_event *event; /* may be gone: compare its capture_node */
	struct sim_sequence *sequence;
	struct sim_deps deps;
	struct sim_recorded *next;
};

/* From cuStreamBeginCapture to cuStreamEndCapture. */
struct sim_sequence {
	uint64_t id;
	CUstreamCaptureMode mode;
	uint64_t thread; /* that began it */
	struct sim_graph *graph;
	bool borrowed; /* the application's graph, which it keeps */
	bool invalid;
	struct sim_capture *origin, *members;
	struct sim_recorded *events;
	struct sim_sequence *next;
};

/* A number of the calling thread that no other has had. */
uint64_t sim_capture_thread(void);

/* False when out of memory; a node that is in the set stays as it is. */
bool sim_deps_add(struct sim_deps *deps, CUgraphNode node, const CUgraphEdgeData *edge);
bool sim_deps_join(struct sim_deps *deps, const struct sim_deps *more);
void sim_deps_free(struct sim_deps *deps);

/* The stream's part in a sequence, or NULL. */
struct sim_capture *sim_capture_of(struct sim_stream *stream);
/* The stream takes part from now on. */
CUresult sim_capture_join(struct sim_sequence *sequence, struct sim_stream *stream);
/* Begins a sequence, into a graph of the application or (NULL) a new one. */
CUresult sim_capture_begin(struct sim_stream *stream, CUstreamCaptureMode mode,
			   struct sim_graph *graph, const struct sim_deps *deps);
/* Ends it, if this is the stream and thread to do so; *graph is NULL on failure. */
CUresult sim_capture_end(struct sim_stream *stream, struct sim_graph **graph);
/* Whether a blocking stream of the context captures, so that its legacy stream must not be
 * used; with `invalidate` the captures end in error. */
bool sim_capture_implicit(const struct sim_context *ctx, bool invalidate);
/* Takes the lock. */
void sim_capture_context_gone(struct sim_context *ctx);

#endif
