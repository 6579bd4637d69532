/* How much memory an array takes; see array_bytes.h. */
#include "cuda/array_bytes.h"

#include <stdbool.h>
#include <stddef.h>

/* Far above the extents that any device allows (131072), far below overflow. */
#define ABSURD_EXTENT (UINT64_C(1) << 24)
/* Elements have 1, 2 or 4. */
#define ABSURD_CHANNELS 16u

/* Elements come in blocks of width x height that take some bytes. */
struct block {
	CUarray_format format;
	uint8_t width, height, bytes;
	bool each_channel; /* bytes are those of one channel */
};

static const struct block blocks[] = {
	{ CU_AD_FORMAT_UNSIGNED_INT8, 1, 1, 1, true },
	{ CU_AD_FORMAT_UNSIGNED_INT16, 1, 1, 2, true },
	{ CU_AD_FORMAT_UNSIGNED_INT32, 1, 1, 4, true },
	{ CU_AD_FORMAT_SIGNED_INT8, 1, 1, 1, true },
	{ CU_AD_FORMAT_SIGNED_INT16, 1, 1, 2, true },
	{ CU_AD_FORMAT_SIGNED_INT32, 1, 1, 4, true },
	{ CU_AD_FORMAT_HALF, 1, 1, 2, true },
	{ CU_AD_FORMAT_FLOAT, 1, 1, 4, true },
	{ CU_AD_FORMAT_UNORM_INT8X1, 1, 1, 1, false },
	{ CU_AD_FORMAT_UNORM_INT8X2, 1, 1, 2, false },
	{ CU_AD_FORMAT_UNORM_INT8X4, 1, 1, 4, false },
	{ CU_AD_FORMAT_UNORM_INT16X1, 1, 1, 2, false },
	{ CU_AD_FORMAT_UNORM_INT16X2, 1, 1, 4, false },
	{ CU_AD_FORMAT_UNORM_INT16X4, 1, 1, 8, false },
	{ CU_AD_FORMAT_SNORM_INT8X1, 1, 1, 1, false },
	{ CU_AD_FORMAT_SNORM_INT8X2, 1, 1, 2, false },
	{ CU_AD_FORMAT_SNORM_INT8X4, 1, 1, 4, false },
	{ CU_AD_FORMAT_SNORM_INT16X1, 1, 1, 2, false },
	{ CU_AD_FORMAT_SNORM_INT16X2, 1, 1, 4, false },
	{ CU_AD_FORMAT_SNORM_INT16X4, 1, 1, 8, false },
	{ CU_AD_FORMAT_UNORM_INT_101010_2, 1, 1, 4, false },
	{ CU_AD_FORMAT_BC1_UNORM, 4, 4, 8, false },
	{ CU_AD_FORMAT_BC1_UNORM_SRGB, 4, 4, 8, false },
	{ CU_AD_FORMAT_BC2_UNORM, 4, 4, 16, false },
	{ CU_AD_FORMAT_BC2_UNORM_SRGB, 4, 4, 16, false },
	{ CU_AD_FORMAT_BC3_UNORM, 4, 4, 16, false },
	{ CU_AD_FORMAT_BC3_UNORM_SRGB, 4, 4, 16, false },
	{ CU_AD_FORMAT_BC4_UNORM, 4, 4, 8, false },
	{ CU_AD_FORMAT_BC4_SNORM, 4, 4, 8, false },
	{ CU_AD_FORMAT_BC5_UNORM, 4, 4, 16, false },
	{ CU_AD_FORMAT_BC5_SNORM, 4, 4, 16, false },
	{ CU_AD_FORMAT_BC6H_UF16, 4, 4, 16, false },
	{ CU_AD_FORMAT_BC6H_SF16, 4, 4, 16, false },
	{ CU_AD_FORMAT_BC7_UNORM, 4, 4, 16, false },
	{ CU_AD_FORMAT_BC7_UNORM_SRGB, 4, 4, 16, false },
	/* Planar: each 2 x 2 or 2 x 1 luma samples share a pair of chroma samples. */
	{ CU_AD_FORMAT_NV12, 2, 2, 6, false },
	{ CU_AD_FORMAT_P010, 2, 2, 12, false },
	{ CU_AD_FORMAT_P016, 2, 2, 12, false },
	{ CU_AD_FORMAT_NV16, 2, 1, 4, false },
	{ CU_AD_FORMAT_P210, 2, 1, 8, false },
	{ CU_AD_FORMAT_P216, 2, 1, 8, false },
	{ CU_AD_FORMAT_Y444_PLANAR8, 1, 1, 3, false },
	{ CU_AD_FORMAT_Y444_PLANAR10, 1, 1, 6, false },
	{ CU_AD_FORMAT_YUV444_8bit_SemiPlanar, 1, 1, 3, false },
	{ CU_AD_FORMAT_YUV444_16bit_SemiPlanar, 1, 1, 6, false },
	/* Packed. */
	{ CU_AD_FORMAT_YUY2, 2, 1, 4, false },
	{ CU_AD_FORMAT_Y210, 2, 1, 8, false },
	{ CU_AD_FORMAT_Y216, 2, 1, 8, false },
	{ CU_AD_FORMAT_AYUV, 1, 1, 4, false },
	{ CU_AD_FORMAT_Y410, 1, 1, 4, false },
	{ CU_AD_FORMAT_Y416, 1, 1, 8, false },
};

static struct block block_of(CUarray_format format)
{
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
		if (blocks[i].format == format)
			return blocks[i];
	/* Newer than this table: the largest element there is. */
	return (struct block){ format, 1, 1, 16, false };
}

/* An extent at a mip level; one that is not given counts as 1. */
static uint64_t extent_at(uint64_t extent, unsigned level)
{
	extent >>= level;
	return extent ? extent : 1;
}

static uint64_t blocks_in(uint64_t extent, unsigned of)
{
	return (extent + of - 1) / of;
}

uint64_t gsh_array_bytes(const CUDA_ARRAY3D_DESCRIPTOR *desc, unsigned levels)
{
	const bool layers = desc->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP);
	const struct block block = block_of(desc->Format);
	const uint64_t bytes = (uint64_t)block.bytes *
			       (block.each_channel ? desc->NumChannels : 1);
	uint64_t longest = desc->Width, sum = 0;

	if (desc->Flags & (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING))
		return 0;
	if (desc->Width == 0)
		return 0;
	longest = desc->Height > longest ? desc->Height : longest;
	if (!layers && desc->Depth > longest)
		longest = desc->Depth;
	if (longest >= ABSURD_EXTENT || desc->Depth >= ABSURD_EXTENT ||
	    desc->NumChannels > ABSURD_CHANNELS)
		return UINT64_MAX;
	for (unsigned level = 0; level == 0 || (level < levels && longest >> level);
	     level++) {
		uint64_t width = blocks_in(extent_at(desc->Width, level), block.width);
		uint64_t height = blocks_in(extent_at(desc->Height, level), block.height);
		uint64_t depth = extent_at(desc->Depth, layers ? 0 : level);

		/* Two extents cannot overflow, the rest can. */
		if (__builtin_mul_overflow(width * height, depth, &width) ||
		    __builtin_mul_overflow(width, bytes, &width) ||
		    __builtin_add_overflow(sum, width, &sum))
			return UINT64_MAX;
	}
	return sum;
}
