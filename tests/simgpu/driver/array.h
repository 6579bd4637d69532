/*
 * array.h - CUDA arrays: linear device memory with a shape.
 *
 * Knows: formats, extents, where an element lies. Texture layouts and swizzling do not
 * exist here: an array is rows of width x element bytes, without padding, so that its size
 * is exactly what its descriptor says. Mip levels and planes are views into their parent.
 */
#ifndef SIM_ARRAY_H
#define SIM_ARRAY_H

#include "driver/driver.h"

struct sim_mipmap;

struct sim_array {
	struct sim_object object;
	struct sim_context *ctx;
	CUDA_ARRAY3D_DESCRIPTOR desc;
	uint64_t addr; /* 0: sparse or deferred, no memory */
	uint64_t bytes;
	uint64_t pitch, slice; /* bytes */
	unsigned element_bytes;
	unsigned height, depth; /* rows per slice, slices: never 0 */
	bool view;		/* a mip level or plane: owned by the parent */
	struct sim_array *planes[3];
	struct sim_mipmap *mipmap; /* of which this is a level */
	struct sim_array *next;	   /* in its context */
};

struct sim_mipmap {
	struct sim_object object;
	struct sim_context *ctx;
	CUDA_ARRAY3D_DESCRIPTOR desc;
	uint64_t addr, bytes;
	unsigned levels;
	struct sim_array *level[32];
	struct sim_mipmap *next; /* in its context */
};

/* Checks a handle of the application: CUDA_ERROR_INVALID_HANDLE. */
CUresult sim_array_get(CUarray handle, struct sim_array **array);
CUresult sim_mipmap_get(CUmipmappedArray handle, struct sim_mipmap **mipmap);

/* What a format is made of (array_format.c). */
struct sim_format {
	unsigned element_bytes; /* of the first plane */
	unsigned planes;	/* 1, or 2: then the second has half the width ... */
	unsigned
		chroma_rows; /* ... and one row for so many of the first; 0 if planes is 1 */
};

/* CUDA_ERROR_INVALID_VALUE for what is no format or has not that many channels,
 * _NOT_SUPPORTED for block-compressed and packed video formats. */
CUresult sim_format_get(CUarray_format format, unsigned channels, struct sim_format *out);
/* Bytes of an element, 0 if sim_format_get() refuses. */
unsigned sim_format_bytes(CUarray_format format, unsigned channels);

/* Whether an array of these extents and flags can be; as cuArray3DCreate documents it. */
CUresult sim_array_check(const CUDA_ARRAY3D_DESCRIPTOR *desc, bool mipmapped);
/* Lays the array out at addr (0: no memory) and fills all but object, ctx and links. False
 * when its size cannot be expressed. */
bool sim_array_shape(struct sim_array *array, const CUDA_ARRAY3D_DESCRIPTOR *desc,
		     const struct sim_format *format, uint64_t addr);

/* Tile of a sparse array, in elements (64 KiB), and the properties made of it. */
void sim_sparse_tile(const CUDA_ARRAY3D_DESCRIPTOR *desc, unsigned element_bytes,
		     CUDA_ARRAY_SPARSE_PROPERTIES *out);

/* A view into a parent's memory; the parent deletes it. NULL without memory. */
struct sim_array *sim_array_view(struct sim_context *ctx,
				 const CUDA_ARRAY3D_DESCRIPTOR *desc, uint64_t addr);
void sim_array_delete_view(struct sim_array *array);

/* Guards the lists of arrays and mipmaps, and the creation of views. */
extern pthread_mutex_t sim_array_lock;

#endif
