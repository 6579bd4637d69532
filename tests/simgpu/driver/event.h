/*
 * event.h - what the event calls, graphs and IPC need of an event beyond its handle.
 *
 * Everything here may be called from any thread; nothing blocks but sim_event_wait().
 */
#ifndef SIM_EVENT_H
#define SIM_EVENT_H

#include "driver/driver.h"

/* Every SIM_T_EVENT is one. */
struct sim_event_full {
	struct sim_event event;
	uint64_t zero_time_ns; /* of the last record, in zero-cost mode */
	bool by_graph; /* a graph made the last record: before its stream says so */
};

/* The last record of an event as it stood at one instant. */
struct sim_event_mark {
	bool recorded, captured, by_graph;
	uint32_t stream_slot;
	uint64_t seq, gen;
	uint64_t time_ns; /* zero-cost mode only */
};

/* A live event of the context with a slot of its own, or NULL when none is left. */
struct sim_event *sim_event_new(struct sim_context *ctx, unsigned flags);
/* Frees an event; its slot is reused once its last record has completed. */
void sim_event_free(struct sim_event *event);
/* A handle of the application, or CUDA_ERROR_INVALID_HANDLE. */
CUresult sim_event_get(CUevent handle, struct sim_event **event);

/* Recording: takes the generation to submit (struct sim_rec_event.gen), and, after the
 * submission of that record, notes where it went. */
uint64_t sim_event_begin_record(struct sim_event *event);
void sim_event_recorded(struct sim_event *event, struct sim_stream *stream, uint64_t gen,
			uint64_t seq);
/* The same for the events that a launch of a graph records, with one generation for all. */
uint64_t sim_event_begin_graph(struct sim_event *const *events, size_t count);
void sim_event_recorded_by_graph(struct sim_event *event, struct sim_stream *stream,
				 uint64_t gen, uint64_t seq);
/* The last record was made in a capture: there is nothing of it at the device. */
void sim_event_captured(struct sim_event *event);

/* What a wait for the event waits for: fills slot, flags and gen. False: nothing. */
bool sim_event_target(struct sim_event *event, struct sim_rec_event *rec);

struct sim_event_mark sim_event_mark(struct sim_event *event);
/* Whether the record of the mark has completed; the same after a kick if the device has not
 * looked lately; and the wait for it, which returns the client's error if there is one. An
 * event never recorded is done. */
bool sim_event_done(const struct sim_event *event, const struct sim_event_mark *mark);
bool sim_event_poll(const struct sim_event *event, const struct sim_event_mark *mark);
CUresult sim_event_wait(const struct sim_event *event, const struct sim_event_mark *mark);
/* When it completed, on the device clock. Only for one that is done. */
uint64_t sim_event_time_ns(const struct sim_event *event,
			   const struct sim_event_mark *mark);

#endif
