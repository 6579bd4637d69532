/*
 * copy.h - copies and memsets as the driver's files share them: from CUDA's structures to
 * records, and the checks. Also what graph nodes of these kinds need.
 *
 * Refuses to know: how work runs (sim_copy(), sim_memset()) or is captured.
 */
#ifndef SIM_COPY_H
#define SIM_COPY_H

#include "driver/driver.h"

/* Turns a CUDA structure into a record. All fields are checked as cuda.h documents them,
 * arrays and pitches included; addresses are not (sim_copy_check() does). An empty copy
 * gives a record with width_bytes 0. CUDA_ERROR_INVALID_VALUE, _INVALID_HANDLE. */
CUresult sim_copy_from_2d(const CUDA_MEMCPY2D *in, struct sim_rec_copy *copy);
CUresult sim_copy_from_3d(const CUDA_MEMCPY3D *in, struct sim_rec_copy *copy);
CUresult sim_copy_from_3d_peer(const CUDA_MEMCPY3D_PEER *in, struct sim_rec_copy *copy);

/* A plain copy of bytes. */
void sim_copy_linear(struct sim_rec_copy *copy, uint64_t dst, uint64_t src,
		     uint64_t bytes);

/* Whether both sides name memory that exists: CUDA_ERROR_INVALID_VALUE if not. Host
 * memory is only checked for NULL. */
CUresult sim_copy_check(const struct sim_rec_copy *copy);

/* The same for a memset: element size 1, 2 or 4, alignment, pitch, range. Width 0 or height
 * 0 is valid and does nothing. */
CUresult sim_memset_check(const struct sim_rec_memset *set);

/* A checked memset on a stream. `sync`: the call is one of the synchronous ones, which
 * return when done if the memory is pinned or managed. Captures when the stream captures. */
CUresult sim_memset(struct sim_stream *stream, const struct sim_rec_memset *set,
		    bool sync);

/* staging.c: pinned buffers through which pageable memory goes. */
#define SIM_STAGING_BYTES (64u << 10)
struct sim_staging;

/* Takes a buffer of SIM_STAGING_BYTES. Returns NULL when none is free and wait is false,
 * or when there is no memory; *res says why. */
struct sim_staging *sim_staging_take(bool wait, CUresult *res);
uint64_t sim_staging_address(const struct sim_staging *staging);
/* Gives it back: free once the stream has completed seq; seq 0: at once. */
void sim_staging_put(struct sim_staging *staging, const struct sim_stream *stream,
		     uint64_t seq);

#endif
