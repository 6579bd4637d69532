/* graph_private.h - what graph.c and graph_needs.c share; see graph.h. */
#ifndef GSH_CUDA_GRAPH_PRIVATE_H
#define GSH_CUDA_GRAPH_PRIVATE_H

#include "cuda/graph.h"

/* Fills rows and any. An error of the driver's: it does not know the graph. */
CUresult gsh_graph_sum(CUgraph graph, struct gsh_graph_needs *needs);

#endif
