/*
 * array_format.c - formats and extents of arrays: what there is and what it takes.
 *
 * Knows: the tables of cuda.h and the limits that cuDeviceGetAttribute reports for compute
 * capability 9.0. Refuses to know: memory.
 */
#include "driver/array.h"

#include <string.h>

/* Channels of the formats that fix them; others take 1, 2 or 4. */
static const struct {
	CUarray_format format;
	unsigned char bytes, channels; /* per channel; 0: any */
	unsigned char planes, chroma_rows;
} formats[] = {
	{ CU_AD_FORMAT_UNSIGNED_INT8, 1, 0, 1, 0 },
	{ CU_AD_FORMAT_UNSIGNED_INT16, 2, 0, 1, 0 },
	{ CU_AD_FORMAT_UNSIGNED_INT32, 4, 0, 1, 0 },
	{ CU_AD_FORMAT_SIGNED_INT8, 1, 0, 1, 0 },
	{ CU_AD_FORMAT_SIGNED_INT16, 2, 0, 1, 0 },
	{ CU_AD_FORMAT_SIGNED_INT32, 4, 0, 1, 0 },
	{ CU_AD_FORMAT_HALF, 2, 0, 1, 0 },
	{ CU_AD_FORMAT_FLOAT, 4, 0, 1, 0 },
	{ CU_AD_FORMAT_UNORM_INT8X1, 1, 1, 1, 0 },
	{ CU_AD_FORMAT_UNORM_INT8X2, 1, 2, 1, 0 },
	{ CU_AD_FORMAT_UNORM_INT8X4, 1, 4, 1, 0 },
	{ CU_AD_FORMAT_UNORM_INT16X1, 2, 1, 1, 0 },
	{ CU_AD_FORMAT_UNORM_INT16X2, 2, 2, 1, 0 },
	{ CU_AD_FORMAT_UNORM_INT16X4, 2, 4, 1, 0 },
	{ CU_AD_FORMAT_SNORM_INT8X1, 1, 1, 1, 0 },
	{ CU_AD_FORMAT_SNORM_INT8X2, 1, 2, 1, 0 },
	{ CU_AD_FORMAT_SNORM_INT8X4, 1, 4, 1, 0 },
	{ CU_AD_FORMAT_SNORM_INT16X1, 2, 1, 1, 0 },
	{ CU_AD_FORMAT_SNORM_INT16X2, 2, 2, 1, 0 },
	{ CU_AD_FORMAT_SNORM_INT16X4, 2, 4, 1, 0 },
	{ CU_AD_FORMAT_UNORM_INT_101010_2, 1, 4, 1, 0 },
	{ CU_AD_FORMAT_NV12, 1, 3, 2, 2 },
	{ CU_AD_FORMAT_P010, 2, 3, 2, 2 },
	{ CU_AD_FORMAT_P016, 2, 3, 2, 2 },
	{ CU_AD_FORMAT_NV16, 1, 3, 2, 1 },
	{ CU_AD_FORMAT_P210, 2, 3, 2, 1 },
	{ CU_AD_FORMAT_P216, 2, 3, 2, 1 },
};

CUresult sim_format_get(CUarray_format format, unsigned channels, struct sim_format *out)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (formats[i].format != format)
			continue;
		if (formats[i].channels ? channels != formats[i].channels
					: channels != 1 && channels != 2 && channels != 4)
			return CUDA_ERROR_INVALID_VALUE;
		out->planes = formats[i].planes;
		out->chroma_rows = formats[i].chroma_rows;
		out->element_bytes = formats[i].bytes * (out->planes > 1 ? 1 : channels);
		return CUDA_SUCCESS;
	}
	/* Block-compressed and packed video formats. */
	return format >= CU_AD_FORMAT_BC1_UNORM && format <= CU_AD_FORMAT_SNORM_INT16X4
		       ? CUDA_ERROR_NOT_SUPPORTED
		       : CUDA_ERROR_INVALID_VALUE;
}

unsigned sim_format_bytes(CUarray_format format, unsigned channels)
{
	struct sim_format out;

	return sim_format_get(format, channels, &out) == CUDA_SUCCESS ? out.element_bytes
								      : 0;
}

/* ---- extents ---- */

struct limit {
	size_t width, height, depth; /* 0: must be 0 */
};

static bool within(const CUDA_ARRAY3D_DESCRIPTOR *desc, struct limit limit)
{
	return desc->Width <= limit.width && desc->Height <= limit.height &&
	       desc->Depth <= limit.depth;
}

static bool extents_valid(const CUDA_ARRAY3D_DESCRIPTOR *desc, bool mipmapped)
{
	bool layered = desc->Flags & CUDA_ARRAY3D_LAYERED;
	bool surface = desc->Flags & CUDA_ARRAY3D_SURFACE_LDST;

	if (desc->Width == 0)
		return false;
	if (desc->Flags & CUDA_ARRAY3D_CUBEMAP)
		return desc->Width == desc->Height && desc->Depth > 0 &&
		       (layered ? desc->Depth % 6 == 0 : desc->Depth == 6) &&
		       within(desc, (struct limit){ 32768, 32768, 2046 });
	if (layered)
		return desc->Depth > 0 &&
		       within(desc, (struct limit){ 32768, 32768, 2048 });
	if (desc->Depth > 0)
		return desc->Height > 0 &&
		       (within(desc, (struct limit){ 16384, 16384, 16384 }) ||
			(!surface && within(desc, (struct limit){ 8192, 8192, 32768 })));
	if (desc->Height > 0)
		return within(desc,
			      mipmapped || (desc->Flags & CUDA_ARRAY3D_TEXTURE_GATHER)
				      ? (struct limit){ 32768, 32768, 0 }
				      : (struct limit){ 131072, 65536, 0 });
	return within(desc, surface || mipmapped ? (struct limit){ 32768, 0, 0 }
						 : (struct limit){ 131072, 0, 0 });
}

CUresult sim_array_check(const CUDA_ARRAY3D_DESCRIPTOR *desc, bool mipmapped)
{
	const unsigned known = 0x1ff; /* CUDA_ARRAY3D_LAYERED ... _VIDEO_ENCODE_DECODE */
	struct sim_format format;
	CUresult res = sim_format_get(desc->Format, desc->NumChannels, &format);

	if (res != CUDA_SUCCESS)
		return res;
	if ((desc->Flags & ~known) || !extents_valid(desc, mipmapped))
		return CUDA_ERROR_INVALID_VALUE;
	if ((desc->Flags & CUDA_ARRAY3D_TEXTURE_GATHER) &&
	    (desc->Depth != 0 || desc->Height == 0))
		return CUDA_ERROR_INVALID_VALUE;
	if (format.planes > 1 && (mipmapped || desc->Depth != 0 || desc->Width % 2 ||
				  desc->Height == 0 || desc->Height % format.chroma_rows))
		return CUDA_ERROR_INVALID_VALUE;
	if ((desc->Flags & CUDA_ARRAY3D_SPARSE) && desc->Height == 0)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

bool sim_array_shape(struct sim_array *array, const CUDA_ARRAY3D_DESCRIPTOR *desc,
		     const struct sim_format *format, uint64_t addr)
{
	array->desc = *desc;
	array->addr = addr;
	array->element_bytes = format->element_bytes;
	array->height = desc->Height ? (unsigned)desc->Height : 1;
	array->depth = desc->Depth ? (unsigned)desc->Depth : 1;
	array->pitch = desc->Width * format->element_bytes;
	if (__builtin_mul_overflow(array->pitch, (uint64_t)array->height,
				   &array->slice) ||
	    __builtin_mul_overflow(array->slice, (uint64_t)array->depth, &array->bytes))
		return false;
	/* The second plane has two channels at half the width: rows of the same bytes. */
	if (format->planes > 1)
		array->bytes += array->bytes / format->chroma_rows;
	return true;
}

/* The standard shapes of 64 KiB tiles, by bytes per element. */
void sim_sparse_tile(const CUDA_ARRAY3D_DESCRIPTOR *desc, unsigned element_bytes,
		     CUDA_ARRAY_SPARSE_PROPERTIES *out)
{
	static const unsigned flat[5][2] = {
		{ 256, 256 }, { 256, 128 }, { 128, 128 }, { 128, 64 }, { 64, 64 }
	};
	static const unsigned solid[5][3] = { { 64, 32, 32 },
					      { 32, 32, 32 },
					      { 32, 32, 16 },
					      { 32, 16, 16 },
					      { 16, 16, 16 } };
	int size = __builtin_ctz(element_bytes);

	memset(out, 0, sizeof(*out));
	if (desc->Depth &&
	    !(desc->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP))) {
		out->tileExtent.width = solid[size][0];
		out->tileExtent.height = solid[size][1];
		out->tileExtent.depth = solid[size][2];
	} else {
		out->tileExtent.width = flat[size][0];
		out->tileExtent.height = flat[size][1];
		out->tileExtent.depth = 1;
	}
}
