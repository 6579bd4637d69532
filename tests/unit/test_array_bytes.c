/*
 * test_array_bytes.c - sizes of arrays worked out by hand, of all formats in cuda.h, those
 * included that the simulated GPU does not have.
 */
#include "cunit_main.h"

/* Compiled in: it belongs to a layer that is not linked into tests. */
/* NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "cuda/array_bytes.c"

static uint64_t bytes(CUarray_format format, unsigned channels, size_t width,
		      size_t height, size_t depth, unsigned flags, unsigned levels)
{
	const CUDA_ARRAY3D_DESCRIPTOR desc = { .Width = width,
					       .Height = height,
					       .Depth = depth,
					       .Format = format,
					       .NumChannels = channels,
					       .Flags = flags };

	return gsh_array_bytes(&desc, levels);
}

static uint64_t flat(CUarray_format format, unsigned channels, size_t width,
		     size_t height)
{
	return bytes(format, channels, width, height, 0, 0, 1);
}

static void channels_of_plain_formats_count_in_bytes(void)
{
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_UNSIGNED_INT8, 1, 10, 10), 100);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_SIGNED_INT8, 4, 10, 10), 400);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_UNSIGNED_INT16, 2, 10, 10), 400);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_HALF, 4, 10, 10), 800);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_UNSIGNED_INT32, 1, 10, 10), 400);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_FLOAT, 4, 10, 10), 1600);
}

static void formats_with_channels_in_their_names_have_those(void)
{
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_UNORM_INT8X4, 4, 10, 10), 400);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_SNORM_INT16X4, 4, 10, 10), 800);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_UNORM_INT16X1, 1, 10, 10), 200);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_UNORM_INT_101010_2, 4, 10, 10), 400);
}

static void block_compressed_formats_count_blocks(void)
{
	/* Eight bytes for 4 x 4 elements, or sixteen. */
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_BC1_UNORM, 4, 64, 64), 16 * 16 * 8);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_BC4_SNORM, 1, 64, 64), 16 * 16 * 8);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_BC7_UNORM_SRGB, 4, 64, 64), 16 * 16 * 16);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_BC5_UNORM, 2, 64, 64), 16 * 16 * 16);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_BC6H_UF16, 3, 64, 64), 16 * 16 * 16);
	/* A block that is begun is a block. */
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_BC1_UNORM, 4, 1, 1), 8);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_BC1_UNORM, 4, 65, 64), 17 * 16 * 8);
	/* 64 x 64, 32 x 32, ... 4 x 4, 2 x 2, 1 x 1: 256 + 64 + 16 + 4 + 1 + 1 + 1 blocks. */
	CU_ASSERT_EQUAL(bytes(CU_AD_FORMAT_BC1_UNORM, 4, 64, 64, 0, 0, 7), 343 * 8);
}

static void video_formats_count_their_chroma(void)
{
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_NV12, 3, 1920, 1080), 1920 * 1080 * 3 / 2);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_P010, 3, 1920, 1080), 1920 * 1080 * 3);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_NV16, 3, 1920, 1080), 1920 * 1080 * 2);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_P216, 3, 1920, 1080), 1920 * 1080 * 4);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_YUY2, 2, 1920, 1080), 1920 * 1080 * 2);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_Y210, 2, 1920, 1080), 1920 * 1080 * 4);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_AYUV, 4, 1920, 1080), 1920 * 1080 * 4);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_Y410, 4, 1920, 1080), 1920 * 1080 * 4);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_Y416, 4, 1920, 1080), 1920 * 1080 * 8);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_Y444_PLANAR8, 3, 1920, 1080), 1920 * 1080 * 3);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_YUV444_16bit_SemiPlanar, 3, 1920, 1080),
			1920 * 1080 * 6);
}

static void a_format_that_is_not_known_counts_as_the_largest(void)
{
	CU_ASSERT_EQUAL(flat((CUarray_format)0x77, 1, 10, 10), 1600);
}

static void extents_that_are_not_given_count_as_one(void)
{
	CU_ASSERT_EQUAL(bytes(CU_AD_FORMAT_FLOAT, 1, 100, 0, 0, 0, 1), 400);
	CU_ASSERT_EQUAL(bytes(CU_AD_FORMAT_FLOAT, 1, 100, 0, 7, CUDA_ARRAY3D_LAYERED, 1),
			2800);
	CU_ASSERT_EQUAL(bytes(CU_AD_FORMAT_FLOAT, 1, 10, 20, 30, 0, 1), 24000);
	CU_ASSERT_EQUAL(bytes(CU_AD_FORMAT_FLOAT, 1, 10, 10, 6, CUDA_ARRAY3D_CUBEMAP, 1),
			2400);
	CU_ASSERT_EQUAL(bytes(CU_AD_FORMAT_FLOAT, 1, 0, 10, 6, 0, 1), 0);
}

static void levels_shrink_and_layers_do_not(void)
{
	/* 16 + 4 + 1 elements; a fourth level there is not. */
	CU_ASSERT_EQUAL(bytes(CU_AD_FORMAT_FLOAT, 1, 4, 4, 0, 0, 3), 84);
	CU_ASSERT_EQUAL(bytes(CU_AD_FORMAT_FLOAT, 1, 4, 4, 0, 0, 100), 84);
	CU_ASSERT_EQUAL(bytes(CU_AD_FORMAT_FLOAT, 1, 4, 4, 0, 0, 0), 64);
	CU_ASSERT_EQUAL(bytes(CU_AD_FORMAT_FLOAT, 1, 4, 4, 3, CUDA_ARRAY3D_LAYERED, 3),
			3 * 84);
	/* The longest extent says how many levels there are; layers are none. */
	CU_ASSERT_EQUAL(bytes(CU_AD_FORMAT_FLOAT, 1, 1, 1, 6, CUDA_ARRAY3D_CUBEMAP, 3),
			24);
	/* 8 x 4 x 2, 4 x 2 x 1, 2 x 1 x 1, 1 x 1 x 1. */
	CU_ASSERT_EQUAL(bytes(CU_AD_FORMAT_FLOAT, 1, 8, 4, 2, 0, 4),
			(64 + 8 + 2 + 1) * 4);
	/* Not a power of two: 5, 2, 1. */
	CU_ASSERT_EQUAL(bytes(CU_AD_FORMAT_FLOAT, 1, 5, 0, 0, 0, 3), 32);
}

static void memory_that_is_mapped_later_counts_nothing(void)
{
	CU_ASSERT_EQUAL(bytes(CU_AD_FORMAT_FLOAT, 1, 64, 64, 0, CUDA_ARRAY3D_SPARSE, 1),
			0);
	CU_ASSERT_EQUAL(
		bytes(CU_AD_FORMAT_FLOAT, 1, 64, 64, 0, CUDA_ARRAY3D_DEFERRED_MAPPING, 7),
		0);
}

static void what_no_device_can_have_is_told_apart(void)
{
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_FLOAT, 1, SIZE_MAX, 1), UINT64_MAX);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_FLOAT, 1, 1, SIZE_MAX), UINT64_MAX);
	CU_ASSERT_EQUAL(flat(CU_AD_FORMAT_FLOAT, UINT32_MAX, 64, 64), UINT64_MAX);
	/* Extents that are each below the bound, and overflow together. */
	CU_ASSERT_EQUAL(bytes(CU_AD_FORMAT_FLOAT, 4, 1 << 23, 1 << 23, 1 << 23, 0, 1),
			UINT64_MAX);
	CU_ASSERT_EQUAL(bytes(CU_AD_FORMAT_FLOAT, 4, 131072, 65536, 0, 0, 1),
			UINT64_C(131072) * 65536 * 16);
}

const struct unit_suite unit_suite = {
	.name = "bytes of arrays",
	.tests = {
		UNIT_TEST(channels_of_plain_formats_count_in_bytes),
		UNIT_TEST(formats_with_channels_in_their_names_have_those),
		UNIT_TEST(block_compressed_formats_count_blocks),
		UNIT_TEST(video_formats_count_their_chroma),
		UNIT_TEST(a_format_that_is_not_known_counts_as_the_largest),
		UNIT_TEST(extents_that_are_not_given_count_as_one),
		UNIT_TEST(levels_shrink_and_layers_do_not),
		UNIT_TEST(memory_that_is_mapped_later_counts_nothing),
		UNIT_TEST(what_no_device_can_have_is_told_apart),
	},
};
