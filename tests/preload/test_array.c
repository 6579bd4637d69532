/*
 * test_array.c - arrays and mipmapped arrays under a quota: what they are charged is what the
 * device says they take, whatever their format and shape.
 *
 * Formats that the simulated GPU does not have are counted in tests/unit/test_array_bytes.c.
 */
#include "cunit_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common_tenant.h"
#include "common_truth.h"

#define MIB ((uint64_t)1 << 20)
#define QUOTA "GPUSHIM_MEMORY=64MiB"

/* The tenant's own books: what is not left of the quota. */
static uint64_t charged_bytes(void)
{
	size_t free_bytes = 0, total = 0;

	check_result(cuMemGetInfo(&free_bytes, &total), CUDA_SUCCESS);
	return total - free_bytes;
}

static bool books_agree(const CUDA_ARRAY3D_DESCRIPTOR *desc, unsigned levels,
			uint64_t expected_bytes)
{
	const uint64_t charged = charged_bytes(), taken = truth_memory().array;

	if (check(charged == taken) && check(charged == expected_bytes))
		return true;
	fprintf(stderr,
		"  %zu x %zu x %zu, format 0x%x, %u channels, flags 0x%x, %u levels: "
		"charged %llu, taken %llu, expected %llu\n",
		desc->Width, desc->Height, desc->Depth, (unsigned)desc->Format,
		desc->NumChannels, desc->Flags, levels, (unsigned long long)charged,
		(unsigned long long)taken, (unsigned long long)expected_bytes);
	return false;
}

/* ---- formats and shapes ---- */

static const CUarray_format formats[] = {
	CU_AD_FORMAT_UNSIGNED_INT8,  CU_AD_FORMAT_UNSIGNED_INT16,
	CU_AD_FORMAT_UNSIGNED_INT32, CU_AD_FORMAT_SIGNED_INT8,
	CU_AD_FORMAT_SIGNED_INT16,   CU_AD_FORMAT_SIGNED_INT32,
	CU_AD_FORMAT_HALF,	     CU_AD_FORMAT_FLOAT,
	CU_AD_FORMAT_NV12,	     CU_AD_FORMAT_UNORM_INT8X1,
	CU_AD_FORMAT_UNORM_INT8X2,   CU_AD_FORMAT_UNORM_INT8X4,
	CU_AD_FORMAT_UNORM_INT16X1,  CU_AD_FORMAT_UNORM_INT16X2,
	CU_AD_FORMAT_UNORM_INT16X4,  CU_AD_FORMAT_SNORM_INT8X1,
	CU_AD_FORMAT_SNORM_INT8X2,   CU_AD_FORMAT_SNORM_INT8X4,
	CU_AD_FORMAT_SNORM_INT16X1,  CU_AD_FORMAT_SNORM_INT16X2,
	CU_AD_FORMAT_SNORM_INT16X4,  CU_AD_FORMAT_BC1_UNORM,
	CU_AD_FORMAT_BC7_UNORM,	     CU_AD_FORMAT_P010,
	CU_AD_FORMAT_P016,	     CU_AD_FORMAT_NV16,
	CU_AD_FORMAT_P210,	     CU_AD_FORMAT_P216,
	CU_AD_FORMAT_YUY2,	     CU_AD_FORMAT_UNORM_INT_101010_2,
	(CUarray_format)0x77,
};

/* The device's own figure is what is expected: the arrays of the simulated GPU have no
 * padding. Returns how many there were; ends with the first that is charged wrongly. */
static unsigned try_all(const CUDA_ARRAY3D_DESCRIPTOR *shape, unsigned levels)
{
	CUDA_ARRAY3D_DESCRIPTOR desc = *shape;
	unsigned made = 0;

	for (size_t f = 0; f < sizeof(formats) / sizeof(formats[0]); f++)
		for (desc.NumChannels = 0; desc.NumChannels <= 5; desc.NumChannels++) {
			CUmipmappedArray mipmap;
			CUarray array;
			CUresult res;

			desc.Format = formats[f];
			res = levels ? cuMipmappedArrayCreate(&mipmap, &desc, levels)
				     : cuArray3DCreate(&array, &desc);
			if (!books_agree(&desc, levels, truth_memory().array))
				return 0;
			if (res != CUDA_SUCCESS)
				continue;
			made++;
			check_result(levels ? cuMipmappedArrayDestroy(mipmap)
					    : cuArrayDestroy(array),
				     CUDA_SUCCESS);
			books_agree(&desc, levels, 0);
		}
	return made;
}

TENANT_BODY(arrays_of_all_formats)
{
	static const CUDA_ARRAY3D_DESCRIPTOR shapes[] = {
		{ .Width = 1 },
		{ .Width = 1000 },
		{ .Width = 130, .Height = 34 },
		{ .Width = 33, .Height = 17 },
		{ .Width = 20, .Height = 30, .Depth = 10 },
		{ .Width = 50, .Depth = 7, .Flags = CUDA_ARRAY3D_LAYERED },
		{ .Width = 50, .Height = 20, .Depth = 7, .Flags = CUDA_ARRAY3D_LAYERED },
		{ .Width = 32, .Height = 32, .Depth = 6, .Flags = CUDA_ARRAY3D_CUBEMAP },
		{ .Width = 32,
		  .Height = 32,
		  .Depth = 18,
		  .Flags = CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_LAYERED },
		{ .Width = 64, .Height = 64, .Flags = CUDA_ARRAY3D_TEXTURE_GATHER },
		{ .Width = 64, .Height = 64, .Flags = CUDA_ARRAY3D_SURFACE_LDST },
		{ .Width = 64, .Height = 64, .Flags = CUDA_ARRAY3D_SPARSE },
		{ .Width = 64, .Height = 64, .Flags = CUDA_ARRAY3D_DEFERRED_MAPPING },
	};

	tenant_context();
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		check(try_all(&shapes[i], 0) >= 20);
}

TENANT_BODY(mipmaps_of_all_formats)
{
	static const CUDA_ARRAY3D_DESCRIPTOR shapes[] = {
		{ .Width = 1000 },
		{ .Width = 130, .Height = 34 },
		{ .Width = 33, .Height = 17 },
		{ .Width = 20, .Height = 30, .Depth = 10 },
		{ .Width = 5, .Height = 3, .Depth = 40 },
		{ .Width = 50, .Depth = 7, .Flags = CUDA_ARRAY3D_LAYERED },
		{ .Width = 50, .Height = 20, .Depth = 7, .Flags = CUDA_ARRAY3D_LAYERED },
		{ .Width = 32, .Height = 32, .Depth = 6, .Flags = CUDA_ARRAY3D_CUBEMAP },
		{ .Width = 32,
		  .Height = 32,
		  .Depth = 18,
		  .Flags = CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_LAYERED },
		{ .Width = 64, .Height = 64, .Flags = CUDA_ARRAY3D_SPARSE },
		{ .Width = 64, .Height = 64, .Flags = CUDA_ARRAY3D_DEFERRED_MAPPING },
	};
	static const unsigned levels[] = { 1, 2, 5, 6, 7, 100 };

	tenant_context();
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		for (size_t l = 0; l < sizeof(levels) / sizeof(levels[0]); l++)
			check(try_all(&shapes[i], levels[l]) >= 20);
}

static void arrays_are_charged_what_the_device_says_they_take(void)
{
	CU_ASSERT(tenant_passes("arrays_of_all_formats", QUOTA, NULL));
	CU_ASSERT(tenant_device_requested_peak() > 0);
}

static void mipmapped_arrays_are_charged_what_the_device_says_they_take(void)
{
	CU_ASSERT(tenant_passes("mipmaps_of_all_formats", QUOTA, NULL));
	CU_ASSERT(tenant_device_requested_peak() > 0);
}

/* ---- bytes, not bits ---- */

TENANT_BODY(sizes_worked_out_by_hand)
{
	CUDA_ARRAY3D_DESCRIPTOR desc = { .Width = 1024,
					 .Height = 1024,
					 .Format = CU_AD_FORMAT_FLOAT,
					 .NumChannels = 4 };
	CUDA_ARRAY_DESCRIPTOR flat = { .Width = 1024,
				       .Height = 512,
				       .Format = CU_AD_FORMAT_HALF,
				       .NumChannels = 2 };
	CUmipmappedArray mipmap;
	CUarray array;

	tenant_context();
	check_result(cuArray3DCreate(&array, &desc), CUDA_SUCCESS);
	books_agree(&desc, 0, 16 * MIB);
	check_result(cuArrayDestroy(array), CUDA_SUCCESS);
	check_result(cuArrayCreate(&array, &flat), CUDA_SUCCESS);
	books_agree(&desc, 0, 2 * MIB);
	check_result(cuArrayDestroy(array), CUDA_SUCCESS);
	/* 16 bytes times 1 + 4 + 16 + ... + 4^10: 11 levels. */
	check_result(cuMipmappedArrayCreate(&mipmap, &desc, 11), CUDA_SUCCESS);
	books_agree(&desc, 11, 16 * (((UINT64_C(1) << 22) - 1) / 3));
	check_result(cuMipmappedArrayDestroy(mipmap), CUDA_SUCCESS);
}

static void bytes_are_counted_and_not_bits(void)
{
	CU_ASSERT(tenant_passes("sizes_worked_out_by_hand", QUOTA, NULL));
}

/* ---- at the limit ---- */

static void not_a_byte_more(uint64_t quota_bytes)
{
	CUDA_ARRAY3D_DESCRIPTOR one = { .Width = 1,
					.Format = CU_AD_FORMAT_UNSIGNED_INT8,
					.NumChannels = 1 };
	CUDA_ARRAY_DESCRIPTOR flat = { .Width = 1,
				       .Format = CU_AD_FORMAT_UNSIGNED_INT8,
				       .NumChannels = 1 };
	const uint64_t asked = truth_asked();
	CUmipmappedArray mipmap;
	CUarray array;
	CUdeviceptr p;

	check(truth_requested() == quota_bytes);
	check_result(cuArrayCreate(&array, &flat), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuArray3DCreate(&array, &one), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMipmappedArrayCreate(&mipmap, &one, 1), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAlloc(&p, 1), CUDA_ERROR_OUT_OF_MEMORY);
	check(truth_asked() == asked);
	/* What takes no memory is not refused. */
	one.Height = 1;
	one.Flags = CUDA_ARRAY3D_SPARSE;
	check_result(cuArray3DCreate(&array, &one), CUDA_SUCCESS);
	check_result(cuArrayDestroy(array), CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
}

TENANT_BODY(arrays_to_the_byte)
{
	CUDA_ARRAY3D_DESCRIPTOR desc = { .Width = 1001,
					 .Height = 99,
					 .Depth = 3,
					 .Format = CU_AD_FORMAT_UNSIGNED_INT8,
					 .NumChannels = 1 };
	CUDA_ARRAY_DESCRIPTOR flat = { .Width = 1001,
				       .Height = 297,
				       .Format = CU_AD_FORMAT_UNSIGNED_INT8,
				       .NumChannels = 1 };
	const uint64_t quota_bytes = 1001 * 297;
	CUarray array;

	tenant_context();
	desc.Width++;
	check_result(cuArray3DCreate(&array, &desc), CUDA_ERROR_OUT_OF_MEMORY);
	desc.Width--;
	check_result(cuArray3DCreate(&array, &desc), CUDA_SUCCESS);
	not_a_byte_more(quota_bytes);
	check_result(cuArrayDestroy(array), CUDA_SUCCESS);
	flat.Height++;
	check_result(cuArrayCreate(&array, &flat), CUDA_ERROR_OUT_OF_MEMORY);
	flat.Height--;
	check_result(cuArrayCreate(&array, &flat), CUDA_SUCCESS);
	not_a_byte_more(quota_bytes);
	check_result(cuArrayDestroy(array), CUDA_SUCCESS);
	check(truth_requested() == 0);
}

TENANT_BODY(mipmaps_to_the_byte)
{
	CUDA_ARRAY3D_DESCRIPTOR desc = { .Width = 256,
					 .Height = 256,
					 .Format = CU_AD_FORMAT_UNSIGNED_INT8,
					 .NumChannels = 1 };
	CUmipmappedArray mipmap;

	tenant_context();
	/* 64 + 16 + 4 + 1 KiB: a fifth level is too much. */
	check_result(cuMipmappedArrayCreate(&mipmap, &desc, 5), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMipmappedArrayCreate(&mipmap, &desc, 4), CUDA_SUCCESS);
	not_a_byte_more(85 << 10);
	check_result(cuMipmappedArrayDestroy(mipmap), CUDA_SUCCESS);
	check(truth_requested() == 0);
}

static void quota_is_exact_to_the_byte_for_arrays(void)
{
	CU_ASSERT(tenant_passes("arrays_to_the_byte", "GPUSHIM_MEMORY=297297", NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 297297);
	CU_ASSERT_FALSE(
		tenant_passes_bare("arrays_to_the_byte", "GPUSHIM_MEMORY=297297", NULL));
}

static void quota_is_exact_to_the_byte_for_mipmapped_arrays(void)
{
	CU_ASSERT(tenant_passes("mipmaps_to_the_byte", "GPUSHIM_MEMORY=85KiB", NULL));
	CU_ASSERT_EQUAL(tenant_device_requested_peak(), 85 << 10);
}

/* ---- what the driver has to say ---- */

TENANT_BODY(descriptors_that_make_no_sense)
{
	CUDA_ARRAY3D_DESCRIPTOR good = { .Width = 16,
					 .Height = 16,
					 .Format = CU_AD_FORMAT_FLOAT,
					 .NumChannels = 1 },
				bad = good;
	CUDA_ARRAY_DESCRIPTOR flat = { .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1 };
	CUmipmappedArray mipmap;
	CUarray array;

	tenant_context();
	check_result(cuArray3DCreate(NULL, &good), CUDA_ERROR_INVALID_VALUE);
	check_result(cuArray3DCreate(&array, NULL), CUDA_ERROR_INVALID_VALUE);
	check_result(cuArrayCreate(NULL, &flat), CUDA_ERROR_INVALID_VALUE);
	check_result(cuArrayCreate(&array, NULL), CUDA_ERROR_INVALID_VALUE);
	check_result(cuArrayCreate(&array, &flat), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMipmappedArrayCreate(NULL, &good, 1), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMipmappedArrayCreate(&mipmap, NULL, 1), CUDA_ERROR_INVALID_VALUE);
	bad.Width = SIZE_MAX;
	check_result(cuArray3DCreate(&array, &bad), CUDA_ERROR_INVALID_VALUE);
	check_result(cuMipmappedArrayCreate(&mipmap, &bad, 3), CUDA_ERROR_INVALID_VALUE);
	bad.Height = bad.Depth = SIZE_MAX;
	check_result(cuArray3DCreate(&array, &bad), CUDA_ERROR_INVALID_VALUE);
	bad = good;
	bad.NumChannels = UINT32_MAX;
	check_result(cuArray3DCreate(&array, &bad), CUDA_ERROR_INVALID_VALUE);
	bad = good;
	bad.Flags = 0x80000000;
	check_result(cuArray3DCreate(&array, &bad), CUDA_ERROR_INVALID_VALUE);
	check_result(cuArrayDestroy(NULL), CUDA_ERROR_INVALID_HANDLE);
	check_result(cuMipmappedArrayDestroy(NULL), CUDA_ERROR_INVALID_HANDLE);
	check_result(cuArray3DCreate(&array, &good), CUDA_SUCCESS);
	check_result(cuMipmappedArrayDestroy((CUmipmappedArray)array),
		     CUDA_ERROR_INVALID_HANDLE);
	check_result(cuArrayDestroy(array), CUDA_SUCCESS);
	check_result(cuArrayDestroy(array), CUDA_ERROR_INVALID_HANDLE);
	check(truth_requested() == 0);
}

TENANT_BODY(nothing_is_left_charged)
{
	CUdeviceptr p;

	descriptors_that_make_no_sense();
	check_result(cuMemAlloc(&p, 64 * MIB), CUDA_SUCCESS);
}

static void senseless_descriptors_get_the_drivers_own_code_and_no_charge(void)
{
	CU_ASSERT(tenant_passes_bare("descriptors_that_make_no_sense", NULL));
	CU_ASSERT(tenant_passes("nothing_is_left_charged", QUOTA, NULL));
}

TENANT_BODY(calls_that_fail)
{
	CUDA_ARRAY3D_DESCRIPTOR desc = { .Width = 4096,
					 .Height = 4096,
					 .Format = CU_AD_FORMAT_UNSIGNED_INT8,
					 .NumChannels = 2 };
	CUmipmappedArray mipmap;
	CUarray array;
	CUdeviceptr p;

	tenant_context();
	check_result(cuArray3DCreate(&array, &desc), CUDA_ERROR_UNKNOWN);
	check_result(cuMipmappedArrayCreate(&mipmap, &desc, 1), CUDA_ERROR_UNKNOWN);
	check(charged_bytes() == 0);
	check_result(cuArray3DCreate(&array, &desc), CUDA_SUCCESS);
	check_result(cuArrayDestroy(array), CUDA_ERROR_UNKNOWN);
	check(charged_bytes() == 32 * MIB);
	check_result(cuArrayDestroy(array), CUDA_SUCCESS);
	check_result(cuMipmappedArrayCreate(&mipmap, &desc, 1), CUDA_SUCCESS);
	check_result(cuMipmappedArrayDestroy(mipmap), CUDA_ERROR_UNKNOWN);
	check_result(cuMemAlloc(&p, 64 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMipmappedArrayDestroy(mipmap), CUDA_SUCCESS);
	check_result(cuMemAlloc(&p, 64 * MIB), CUDA_SUCCESS);
}

static void failed_creations_leave_no_charge_and_failed_destructions_keep_it(void)
{
	CU_ASSERT(tenant_passes(
		"calls_that_fail", QUOTA,
		"SIMGPU_FAULTS=cuArray3DCreate@1=999;cuArrayDestroy@1=999;"
		"cuMipmappedArrayCreate@1=999;cuMipmappedArrayDestroy@1=999",
		NULL));
}

const struct unit_suite unit_suite = {
	.name = "arrays under a quota",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(arrays_are_charged_what_the_device_says_they_take),
		UNIT_TEST(mipmapped_arrays_are_charged_what_the_device_says_they_take),
		UNIT_TEST(bytes_are_counted_and_not_bits),
		UNIT_TEST(quota_is_exact_to_the_byte_for_arrays),
		UNIT_TEST(quota_is_exact_to_the_byte_for_mipmapped_arrays),
		UNIT_TEST(senseless_descriptors_get_the_drivers_own_code_and_no_charge),
		UNIT_TEST(failed_creations_leave_no_charge_and_failed_destructions_keep_it),
	},
};
