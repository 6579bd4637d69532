/*
 * array_bytes.h - how much memory an array takes, in bytes.
 *
 * No call of the driver says so for ordinary arrays. Pure: knows formats, shapes and mip
 * levels as the CUDA Driver API manual has them.
 */
#ifndef GSH_CUDA_ARRAY_BYTES_H
#define GSH_CUDA_ARRAY_BYTES_H

#include <stdint.h>

#include "cuda/hook.h" /* cuda.h as all of this library sees it */

/*
 * Bytes of all levels (0 and 1: not mipmapped), without the driver's padding; never less
 * than the elements take. 0 for arrays that memory is mapped to later, and for those without
 * elements. UINT64_MAX: no device can have it.
 */
uint64_t gsh_array_bytes(const CUDA_ARRAY3D_DESCRIPTOR *desc, unsigned levels);

#endif
