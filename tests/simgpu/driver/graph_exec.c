/*
 * graph_exec.c - executable graphs: made, launched, destroyed.
 *
 * Knows: what makes a graph fit for execution, and for how long what a launch uses must
 * stay. Refuses to know: how the device sees a graph (graph_lower.c).
 *
 * An executable graph holds a private copy of its graph. Changes of the copy mark it dirty;
 * the next launch sends it to the device again, and what the device held before goes once
 * its launches are done.
 */
#include "driver/graph.h"

#include <stdlib.h>
#include <string.h>

#include "driver/capture.h"
#include "driver/client.h"
#include "driver/event.h"
#include "driver/launch.h"

CUresult sim_exec_get(CUgraphExec handle, struct sim_exec **exec)
{
	*exec = (struct sim_exec *)handle;
	return sim_object_check(handle, SIM_T_EXEC) ? CUDA_SUCCESS
						    : CUDA_ERROR_INVALID_VALUE;
}

/* ---- what lives until launches are done ---- */

static bool lowered_ready(void *arg)
{
	const struct sim_lowered *lowered = arg;

	return sim_mark_done(&lowered->mark);
}

static void lowered_free(void *arg)
{
	struct sim_lowered *lowered = arg;

	for (size_t i = 0; i < lowered->ntokens; i++)
		sim_host_drop(lowered->tokens[i]);
	free(lowered->tokens);
	free(lowered);
}

void sim_lowered_unref(struct sim_lowered *lowered)
{
	const uint64_t a[6] = { lowered->id };

	if (--lowered->refs > 0)
		return;
	if (lowered->id)
		sim_rpc(SIM_RPC_GRAPH_DESTROY, a, NULL, -1, NULL);
	if (lowered_ready(lowered) || !sim_later(lowered_ready, lowered_free, lowered))
		lowered_free(lowered);
}

/* The rest of an executable graph that was destroyed. */
struct remains {
	struct sim_mark last;
	struct sim_graph *graph;
	struct sim_memory_use *memory;
};

static bool remains_ready(void *arg)
{
	const struct remains *remains = arg;

	return sim_mark_done(&remains->last);
}

static void remains_free(void *arg)
{
	struct remains *remains = arg;

	pthread_mutex_lock(&sim_graph_mutex);
	sim_graph_free(remains->graph);
	pthread_mutex_unlock(&sim_graph_mutex);
	sim_memory_use_free(remains->memory);
	free(remains);
}

static void exec_free(struct sim_exec *exec)
{
	struct remains *remains = malloc(sizeof(*remains));

	pthread_mutex_lock(&sim_graph_mutex);
	if (exec->source)
		exec->source->exec = NULL;
	pthread_mutex_unlock(&sim_graph_mutex);
	pthread_mutex_lock(&exec->lock);
	if (exec->lowered)
		sim_lowered_unref(exec->lowered);
	pthread_mutex_unlock(&exec->lock);
	if (remains) {
		*remains = (struct remains){ exec->last, exec->graph, exec->memory };
		if (remains_ready(remains) ||
		    !sim_later(remains_ready, remains_free, remains))
			remains_free(remains);
	}
	free(exec->events);
	free(exec->event_slots);
	free(exec->hosts);
	sim_object_delete(exec);
}

/* ---- launches ---- */

/* Whether the device still has the context that the graph was made in. */
static bool context_stands(const struct sim_exec *exec)
{
	return sim.zero_cost || (sim_object_check(exec->ctx, SIM_T_CONTEXT) &&
				 __atomic_load_n(&exec->ctx->id, __ATOMIC_RELAXED) ==
					 exec->lowered->ctx_id);
}

/* An event that was destroyed must not be recorded: its slot may be another's. */
static bool events_stand(const struct sim_exec *exec)
{
	for (size_t i = 0; i < exec->nevents; i++)
		if (!sim_object_check(exec->events[i], SIM_T_EVENT) ||
		    exec->events[i]->slot != exec->event_slots[i])
			return false;
	return true;
}

/* Under exec->lock: everything but the submission. */
static CUresult prepare(struct sim_exec *exec)
{
	CUresult res = CUDA_SUCCESS;

	if (!context_stands(exec))
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	if (exec->dirty || !events_stand(exec))
		res = sim_exec_lower(exec);
	if (res == CUDA_SUCCESS && exec->memory)
		res = sim_memory_use_launch(
			exec->memory,
			exec->flags & CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH);
	return res;
}

/* Under exec->lock, after the submission, which may have failed. */
static void launched(struct sim_exec *exec, struct sim_stream *stream, uint64_t gen,
		     uint64_t seq, CUresult res)
{
	const struct sim_mark mark = { stream->slot, seq };

	if (exec->memory)
		sim_memory_use_launched(exec->memory, &mark);
	if (res != CUDA_SUCCESS)
		return;
	exec->last = mark;
	for (size_t i = 0; i < exec->nevents && events_stand(exec); i++)
		sim_event_recorded_by_graph(exec->events[i], stream, gen, seq);
}

static CUresult launch_at_once(struct sim_exec *exec, struct sim_stream *stream)
{
	CUDA_HOST_NODE_PARAMS *hosts = NULL;
	size_t nhosts = 0;
	CUresult res;

	pthread_mutex_lock(&exec->lock);
	res = prepare(exec);
	if (res == CUDA_SUCCESS) {
		launched(exec, stream, sim_event_begin_graph(exec->events, exec->nevents),
			 0, res);
		nhosts = exec->nhosts;
		hosts = malloc((nhosts + 1) * sizeof(*hosts));
		if (hosts && nhosts)
			memcpy(hosts, exec->hosts, nhosts * sizeof(*hosts));
	}
	pthread_mutex_unlock(&exec->lock);
	for (size_t i = 0; hosts && i < nhosts; i++)
		hosts[i].fn(hosts[i].userData);
	free(hosts);
	return res;
}

static CUresult launch_now(struct sim_exec *exec, struct sim_stream *stream)
{
	struct sim_rec_graph rec = { 0 };
	struct sim_lowered *lowered;
	struct sim_mark before;
	uint64_t seq = 0;
	CUresult res;

	pthread_mutex_lock(&exec->lock);
	res = prepare(exec);
	if (res != CUDA_SUCCESS) {
		pthread_mutex_unlock(&exec->lock);
		return res;
	}
	lowered = exec->lowered;
	lowered->refs++;
	before = exec->before;
	rec.graph = lowered->id;
	rec.gen = sim_event_begin_graph(exec->events, exec->nevents);
	pthread_mutex_unlock(&exec->lock);
	/* The device puts launches of one image in order; here it has another now. */
	if (!sim_mark_done(&before) && before.slot != stream->slot)
		res = sim_slot_wait(before.slot, before.seq);
	if (res == CUDA_SUCCESS)
		res = sim_submit(stream, SIM_REC_GRAPH, &rec, sizeof(rec), NULL, 0, &seq);
	pthread_mutex_lock(&exec->lock);
	if (res == CUDA_SUCCESS)
		lowered->mark = (struct sim_mark){ stream->slot, seq };
	launched(exec, stream, rec.gen, seq, res);
	sim_lowered_unref(lowered);
	pthread_mutex_unlock(&exec->lock);
	return res;
}

static __attribute__((noinline)) CUresult launch_slow(struct sim_exec *exec,
						      struct sim_stream *stream)
{
	if (atomic_load_explicit(&stream->capture, memory_order_relaxed))
		return sim_capture_graph(stream, exec);
	return sim.zero_cost ? launch_at_once(exec, stream) : launch_now(exec, stream);
}

static inline CUresult launch(CUgraphExec handle, CUstream stream_handle, bool per_thread)
{
	struct sim_exec *exec = (struct sim_exec *)handle;
	struct sim_stream *stream;
	CUresult res;

	if (!sim_object_check(handle, SIM_T_EXEC))
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_stream_get(stream_handle, per_thread, &stream);
	if (res == CUDA_SUCCESS)
		res = sim_capture_check(stream);
	if (res != CUDA_SUCCESS)
		return res;
	if (sim.zero_cost && exec->plain &&
	    !atomic_load_explicit(&stream->capture, memory_order_relaxed))
		return CUDA_SUCCESS;
	return launch_slow(exec, stream);
}

SIM_EXPORT CUresult cuGraphLaunch(CUgraphExec hGraphExec, CUstream hStream)
{
	CUresult res = sim_enter(SIM_FN_cuGraphLaunch);

	return res != CUDA_SUCCESS ? res : launch(hGraphExec, hStream, false);
}

SIM_EXPORT CUresult cuGraphLaunch_ptsz(CUgraphExec hGraphExec, CUstream hStream)
{
	CUresult res = sim_enter(SIM_FN_cuGraphLaunch_ptsz);

	return res != CUDA_SUCCESS ? res : launch(hGraphExec, hStream, true);
}

CUresult sim_exec_upload(struct sim_exec *exec, struct sim_stream *stream)
{
	CUresult res = CUDA_SUCCESS;

	if (atomic_load_explicit(&stream->capture, memory_order_relaxed))
		return sim_capture_prohibited(stream);
	pthread_mutex_lock(&exec->lock);
	if (!context_stands(exec))
		res = CUDA_ERROR_CONTEXT_IS_DESTROYED;
	if (res == CUDA_SUCCESS && exec->dirty)
		res = sim_exec_lower(exec);
	if (res == CUDA_SUCCESS && exec->memory)
		res = sim_memory_use_upload(exec->memory);
	pthread_mutex_unlock(&exec->lock);
	if (res == CUDA_SUCCESS && !sim.zero_cost)
		res = sim_submit(stream, SIM_REC_MARKER, NULL, 0, NULL, 0, NULL);
	return res;
}

static CUresult upload(CUgraphExec handle, CUstream stream_handle, bool per_thread)
{
	struct sim_stream *stream;
	struct sim_exec *exec;
	CUresult res = sim_exec_get(handle, &exec);

	if (res == CUDA_SUCCESS)
		res = sim_stream_get(stream_handle, per_thread, &stream);
	if (res == CUDA_SUCCESS)
		res = sim_capture_check(stream);
	return res != CUDA_SUCCESS ? res : sim_exec_upload(exec, stream);
}

SIM_EXPORT CUresult cuGraphUpload(CUgraphExec hGraphExec, CUstream hStream)
{
	CUresult res = sim_enter(SIM_FN_cuGraphUpload);

	return res != CUDA_SUCCESS ? res : upload(hGraphExec, hStream, false);
}

SIM_EXPORT CUresult cuGraphUpload_ptsz(CUgraphExec hGraphExec, CUstream hStream)
{
	CUresult res = sim_enter(SIM_FN_cuGraphUpload_ptsz);

	return res != CUDA_SUCCESS ? res : upload(hGraphExec, hStream, true);
}

SIM_EXPORT CUresult cuGraphExecDestroy(CUgraphExec hGraphExec)
{
	CUresult res = sim_enter(SIM_FN_cuGraphExecDestroy);
	struct sim_exec *exec;

	if (res == CUDA_SUCCESS)
		res = sim_exec_get(hGraphExec, &exec);
	if (res == CUDA_SUCCESS)
		exec_free(exec);
	return res;
}

SIM_EXPORT CUresult cuGraphExecGetFlags(CUgraphExec hGraphExec, cuuint64_t *flags)
{
	CUresult res = sim_enter(SIM_FN_cuGraphExecGetFlags);
	struct sim_exec *exec;

	if (res == CUDA_SUCCESS)
		res = flags ? sim_exec_get(hGraphExec, &exec) : CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		*flags = exec->flags;
	return res;
}
