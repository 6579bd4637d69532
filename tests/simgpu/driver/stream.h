/*
 * stream.h - what the two halves of the stream family share: stream.c keeps the objects,
 * stream_calls.c is what applications ask of them.
 */
#ifndef SIM_STREAM_H
#define SIM_STREAM_H

#include "driver/driver.h"

/* A stream with what cuStreamSetAttribute() keeps. Every SIM_T_STREAM is one. */
struct sim_stream_full {
	struct sim_stream stream;
	CUaccessPolicyWindow window;
	CUsynchronizationPolicy sync_policy;
	CUlaunchMemSyncDomainMap domain_map;
	CUlaunchMemSyncDomain domain;
	int priority; /* as set last; the device keeps the first */
	unsigned nvlink_centric;
};

#define SIM_PRIORITY_LEAST 0
#define SIM_PRIORITY_GREATEST (-5)

/* Makes a stream at the device; takes one away at once, its work goes on to its end. */
CUresult sim_stream_make(struct sim_context *ctx, unsigned flags, uint32_t sim_flags,
			 int priority, struct sim_stream **stream);
void sim_stream_unmake(struct sim_stream *stream);

/* A non-blocking stream for the caller's own work, and back: between the two it is his, also
 * if another thread destroys the context meanwhile, which closes it. */
CUresult sim_stream_borrow(struct sim_context *ctx, struct sim_stream **stream);
void sim_stream_return(struct sim_stream *stream);

/* Whether all work submitted to the stream so far has completed, after a kick if the device
 * has not looked lately. For the legacy stream: that of all blocking streams too. */
bool sim_stream_idle(struct sim_stream *stream);

#endif
