/*
 * texture.h - texture and surface references, as modules hand them out.
 *
 * Knows: that textures are described and never sampled here: kernels of the simulated device
 * do not read them.
 */
#ifndef SIM_TEXTURE_H
#define SIM_TEXTURE_H

#include "driver/driver.h"

/* A reference with the defaults of CUDA; NULL when out of memory. Surface
 * references are the same objects: cast. */
CUtexref sim_texref_new(bool surface);
void sim_texref_delete(CUtexref ref);

/* Whether linear memory can be bound: CUDA_ERROR_INVALID_VALUE if not. height 0: one row of
 * width elements, pitch ignored. */
CUresult sim_texture_linear(uint64_t addr, CUarray_format format, unsigned channels,
			    size_t width, size_t height, size_t pitch);

#define SIM_TEXTURE_ALIGN_BYTES 512u /* CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT */
#define SIM_TEXTURE_PITCH_BYTES 32u  /* CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT */
#define SIM_TEXTURE_LINEAR_ELEMENTS (1u << 28) /* ..._MAXIMUM_TEXTURE1D_LINEAR_WIDTH */

#endif
