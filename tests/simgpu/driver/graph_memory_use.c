/*
 * graph_memory_use.c - what an upload or a launch of an executable graph does to graph
 * memory: what it allocates and frees, and when it may.
 */
#include "driver/graph_memory.h"

#include <stdlib.h>

struct sim_memory_use {
	struct sim_memory_piece **allocs, **frees; /* borrowed from the copy's nodes */
	size_t nallocs, nfrees;
};

/* Counts, and with `fill` notes, allocations and frees, children included. */
static void collect(const struct sim_graph *graph, struct sim_memory_use *use, bool fill)
{
	for (const struct sim_node *node = graph->first; node; node = node->next) {
		const struct sim_params *params = &node->params;

		if (params->type == CU_GRAPH_NODE_TYPE_GRAPH)
			collect(params->child.graph, use, fill);
		if (params->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC) {
			if (fill)
				use->allocs[use->nallocs] = params->alloc.piece;
			use->nallocs++;
		} else if (params->type == CU_GRAPH_NODE_TYPE_MEM_FREE) {
			if (fill)
				use->frees[use->nfrees] = params->release.piece;
			use->nfrees++;
		}
	}
}

CUresult sim_memory_use_new(struct sim_graph *graph, struct sim_memory_use **out)
{
	struct sim_memory_use *use = calloc(1, sizeof(*use));

	if (!use)
		return CUDA_ERROR_OUT_OF_MEMORY;
	collect(graph, use, false);
	use->allocs = calloc(use->nallocs + 1, sizeof(struct sim_memory_piece *));
	use->frees = calloc(use->nfrees + 1, sizeof(struct sim_memory_piece *));
	if (!use->allocs || !use->frees) {
		sim_memory_use_free(use);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	use->nallocs = use->nfrees = 0;
	collect(graph, use, true);
	*out = use;
	return CUDA_SUCCESS;
}

void sim_memory_use_free(struct sim_memory_use *use)
{
	if (!use)
		return;
	free(use->allocs);
	free(use->frees);
	free(use);
}

/* Memory behind every allocation, and no other graph may take it meanwhile. */
static CUresult back(struct sim_memory_use *use)
{
	CUresult res = CUDA_SUCCESS;

	for (size_t i = 0; i < use->nallocs; i++)
		use->allocs[i]->region->busy++;
	for (size_t i = 0; res == CUDA_SUCCESS && i < use->nallocs; i++)
		res = sim_memory_back(use->allocs[i]->slot->chunk);
	if (res != CUDA_SUCCESS)
		for (size_t i = 0; i < use->nallocs; i++)
			use->allocs[i]->region->busy--;
	return res;
}

CUresult sim_memory_use_upload(struct sim_memory_use *use)
{
	CUresult res;

	pthread_mutex_lock(&sim_memory_lock);
	res = back(use);
	for (size_t i = 0; res == CUDA_SUCCESS && i < use->nallocs; i++)
		use->allocs[i]->region->busy--;
	pthread_mutex_unlock(&sim_memory_lock);
	return res;
}

/* Whether everything is free that is to be allocated, and allocated that is to be freed. */
static bool launchable(struct sim_memory_use *use, bool auto_free)
{
	bool fine = true;

	for (size_t i = 0; i < use->nallocs; i++) {
		use->allocs[i]->pending = true;
		fine = fine && (auto_free || !use->allocs[i]->allocated);
	}
	for (size_t i = 0; i < use->nfrees; i++)
		fine = fine && (use->frees[i]->pending || use->frees[i]->allocated);
	for (size_t i = 0; i < use->nallocs; i++)
		use->allocs[i]->pending = false;
	return fine;
}

CUresult sim_memory_use_launch(struct sim_memory_use *use, bool auto_free)
{
	CUresult res;

	pthread_mutex_lock(&sim_memory_lock);
	res = launchable(use, auto_free) ? back(use) : CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; res == CUDA_SUCCESS && i < use->nallocs; i++)
		sim_memory_set_allocated(use->allocs[i], !use->allocs[i]->freed_by);
	for (size_t i = 0; res == CUDA_SUCCESS && i < use->nfrees; i++)
		sim_memory_set_allocated(use->frees[i], false);
	pthread_mutex_unlock(&sim_memory_lock);
	return res;
}

void sim_memory_use_launched(struct sim_memory_use *use, const struct sim_mark *mark)
{
	pthread_mutex_lock(&sim_memory_lock);
	for (size_t i = 0; i < use->nallocs; i++) {
		sim_memory_mark(use->allocs[i]->region, mark);
		use->allocs[i]->region->busy--;
	}
	for (size_t i = 0; i < use->nfrees; i++)
		sim_memory_mark(use->frees[i]->region, mark);
	pthread_mutex_unlock(&sim_memory_lock);
}
