/*
 * peer.c - access of one context to the memory of another, on another device.
 *
 * Knows: which context was given access to which. Refuses to know: what kernels reach; the
 * simulated ones reach all memory of their process, with or without this.
 */
#include "driver/client.h"

#include <stdlib.h>

/* By cuCtxGetId(), which nothing is given a second time. */
struct grant {
	uint64_t from, to;
	struct grant *next;
};

static struct grant *grants; /* under sim.lock */

/* The link to a grant, to NULL if there is none. */
static struct grant **find(uint64_t from, uint64_t to)
{
	struct grant **at = &grants;

	while (*at != NULL && ((*at)->from != from || (*at)->to != to))
		at = &(*at)->next;
	return at;
}

static void drop_context(struct sim_context *ctx)
{
	struct grant **at = &grants;

	pthread_mutex_lock(&sim.lock);
	while (*at != NULL) {
		struct grant *grant = *at;

		if (grant->from != ctx->unique_id && grant->to != ctx->unique_id) {
			at = &grant->next;
			continue;
		}
		*at = grant->next;
		free(grant);
	}
	pthread_mutex_unlock(&sim.lock);
}

static __attribute__((constructor)) void watch_contexts(void)
{
	sim_context_on_destroy(drop_context);
}

/* The current context and a peer, which is another one. */
static CUresult get_pair(CUcontext handle, struct sim_context **ctx,
			 struct sim_context **peer)
{
	CUresult res = sim_need_context(ctx);

	if (res == CUDA_SUCCESS)
		res = sim_context_get(handle, peer);
	if (res == CUDA_SUCCESS && *ctx == *peer)
		res = CUDA_ERROR_INVALID_CONTEXT;
	return res;
}

SIM_EXPORT CUresult cuCtxEnablePeerAccess(CUcontext peerContext, unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuCtxEnablePeerAccess);
	struct sim_context *ctx, *peer;
	struct grant *grant;

	if (res != CUDA_SUCCESS)
		return res;
	if (flags != 0)
		return CUDA_ERROR_INVALID_VALUE;
	res = get_pair(peerContext, &ctx, &peer);
	if (res != CUDA_SUCCESS)
		return res;
	if (ctx->device == peer->device)
		return CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
	grant = malloc(sizeof(*grant));
	if (grant == NULL)
		return CUDA_ERROR_OUT_OF_MEMORY;
	pthread_mutex_lock(&sim.lock);
	if (*find(ctx->unique_id, peer->unique_id) != NULL) {
		res = CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED;
		free(grant);
	} else {
		*grant = (struct grant){ ctx->unique_id, peer->unique_id, grants };
		grants = grant;
	}
	pthread_mutex_unlock(&sim.lock);
	return res;
}

SIM_EXPORT CUresult cuCtxDisablePeerAccess(CUcontext peerContext)
{
	CUresult res = sim_enter(SIM_FN_cuCtxDisablePeerAccess);
	struct sim_context *ctx, *peer;
	struct grant **at, *grant;

	if (res == CUDA_SUCCESS)
		res = get_pair(peerContext, &ctx, &peer);
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim.lock);
	at = find(ctx->unique_id, peer->unique_id);
	grant = *at;
	if (grant != NULL)
		*at = grant->next;
	pthread_mutex_unlock(&sim.lock);
	free(grant);
	return grant != NULL ? CUDA_SUCCESS : CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
}
