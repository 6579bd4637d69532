/*
 * CUDA arrays, mipmapped arrays, texture and surface descriptions ("Memory Management",
 * "Texture Object Management" in the CUDA Driver API manual).
 */
#include "memory_books.h"

static CUcontext ctx;

static void setup(void)
{
	ctx = gpu_context();
}

static void teardown(void)
{
	gpu_context_end(ctx);
}

static CUDA_ARRAY3D_DESCRIPTOR shape(size_t width, size_t height, size_t depth,
				     CUarray_format format, unsigned channels,
				     unsigned flags)
{
	return (CUDA_ARRAY3D_DESCRIPTOR){ width, height, depth, format, channels, flags };
}

/* What an array of that shape holds, 0 if it cannot be made. */
static uint64_t bytes_of(CUDA_ARRAY3D_DESCRIPTOR desc)
{
	uint64_t before = books().array, bytes;
	CUarray array;

	if (cuArray3DCreate(&array, &desc) != CUDA_SUCCESS)
		return 0;
	bytes = books().array - before;
	OK(cuArrayDestroy(array));
	CU_ASSERT_EQUAL(books().array, before);
	return bytes;
}

static void arrays_hold_bytes_not_bits(void)
{
	CU_ASSERT_EQUAL(bytes_of(shape(1000, 0, 0, CU_AD_FORMAT_UNSIGNED_INT8, 1, 0)),
			1000);
	CU_ASSERT_EQUAL(bytes_of(shape(64, 32, 0, CU_AD_FORMAT_FLOAT, 4, 0)),
			64 * 32 * 16);
	CU_ASSERT_EQUAL(bytes_of(shape(9, 7, 5, CU_AD_FORMAT_HALF, 2, 0)), 9 * 7 * 5 * 4);
	CU_ASSERT_EQUAL(bytes_of(shape(9, 7, 5, CU_AD_FORMAT_SIGNED_INT32, 1,
				       CUDA_ARRAY3D_LAYERED)),
			9 * 7 * 5 * 4);
	CU_ASSERT_EQUAL(bytes_of(shape(9, 0, 5, CU_AD_FORMAT_SIGNED_INT16, 1,
				       CUDA_ARRAY3D_LAYERED)),
			9 * 5 * 2);
	CU_ASSERT_EQUAL(bytes_of(shape(16, 16, 6, CU_AD_FORMAT_UNORM_INT8X4, 4,
				       CUDA_ARRAY3D_CUBEMAP)),
			16 * 16 * 6 * 4);
	CU_ASSERT_EQUAL(bytes_of(shape(64, 32, 0, CU_AD_FORMAT_NV12, 3, 0)),
			64 * 32 * 3 / 2);
}

static void shapes_that_cannot_be_are_refused(void)
{
	CUDA_ARRAY3D_DESCRIPTOR bad[] = {
		shape(0, 1, 0, CU_AD_FORMAT_FLOAT, 1, 0),
		shape(8, 0, 8, CU_AD_FORMAT_FLOAT, 1, 0),
		shape(8, 8, 0, CU_AD_FORMAT_FLOAT, 3, 0),
		shape(8, 8, 0, CU_AD_FORMAT_FLOAT, 0, 0),
		shape(8, 8, 0, (CUarray_format)0x77, 1, 0),
		shape(8, 8, 5, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_CUBEMAP),
		shape(8, 4, 6, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_CUBEMAP),
		shape(8, 8, 0, CU_AD_FORMAT_FLOAT, 1, 0x10000),
		shape((size_t)1 << 40, 1, 0, CU_AD_FORMAT_FLOAT, 1, 0),
		shape(8, 8, 8, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_TEXTURE_GATHER),
		shape(63, 32, 0, CU_AD_FORMAT_NV12, 3, 0),
	};
	CUarray array;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		IS(CUDA_ERROR_INVALID_VALUE, cuArray3DCreate(&array, &bad[i]));
	IS(CUDA_ERROR_INVALID_VALUE, cuArray3DCreate(NULL, &bad[0]));
	IS(CUDA_ERROR_INVALID_VALUE, cuArray3DCreate(&array, NULL));
	bad[0] = shape(16384, 16384, 16384, CU_AD_FORMAT_FLOAT, 4, 0);
	IS(CUDA_ERROR_OUT_OF_MEMORY, cuArray3DCreate(&array, &bad[0]));
	IS(CUDA_ERROR_INVALID_HANDLE, cuArrayDestroy((CUarray)&bad));
	IS(CUDA_ERROR_INVALID_HANDLE, cuArrayDestroy(NULL));
}

static void descriptors_are_given_back(void)
{
	CUDA_ARRAY_DESCRIPTOR flat = { 30, 20, CU_AD_FORMAT_HALF, 2 }, seen;
	CUDA_ARRAY3D_DESCRIPTOR solid = shape(8, 4, 2, CU_AD_FORMAT_FLOAT, 1,
					      CUDA_ARRAY3D_SURFACE_LDST),
				seen3;
	CUarray a, b;

	OK(cuArrayCreate(&a, &flat));
	OK(cuArray3DCreate(&b, &solid));
	OK(cuArrayGetDescriptor(&seen, a));
	CU_ASSERT(seen.Width == 30 && seen.Height == 20 && seen.NumChannels == 2 &&
		  seen.Format == CU_AD_FORMAT_HALF);
	OK(cuArray3DGetDescriptor(&seen3, a));
	CU_ASSERT(seen3.Width == 30 && seen3.Depth == 0);
	OK(cuArray3DGetDescriptor(&seen3, b));
	CU_ASSERT(seen3.Depth == 2 && seen3.Flags == CUDA_ARRAY3D_SURFACE_LDST);
	IS(CUDA_ERROR_INVALID_VALUE, cuArrayGetDescriptor(&seen, b));
	IS(CUDA_ERROR_INVALID_VALUE, cuArrayGetDescriptor(NULL, a));
	OK(cuArrayDestroy(a));
	IS(CUDA_ERROR_INVALID_HANDLE, cuArrayDestroy(a));
	IS(CUDA_ERROR_INVALID_HANDLE, cuArray3DGetDescriptor(&seen3, a));
	OK(cuArrayDestroy(b));
}

/* ---- contents ---- */

static void rows_of_arrays_are_copied(void)
{
	enum { W = 48, H = 10 };
	CUDA_ARRAY_DESCRIPTOR desc = { W, H, CU_AD_FORMAT_UNSIGNED_INT8, 4 };
	unsigned char out[W * 4 * H], in[W * 4 * H];
	CUDA_MEMCPY2D copy = { 0 };
	CUarray a, b;

	OK(cuArrayCreate(&a, &desc));
	OK(cuArrayCreate(&b, &desc));
	pattern(out, sizeof(out), 1);
	copy.srcMemoryType = CU_MEMORYTYPE_HOST;
	copy.srcHost = out;
	copy.srcPitch = W * 4;
	copy.dstMemoryType = CU_MEMORYTYPE_ARRAY;
	copy.dstArray = a;
	copy.WidthInBytes = W * 4;
	copy.Height = H;
	OK(cuMemcpy2D(&copy));
	OK(cuMemcpyAtoA(b, 0, a, 0, sizeof(out)));
	OK(cuMemcpyAtoH(in, b, W * 4, W * 4));
	CU_ASSERT(memcmp(in, out + W * 4, W * 4) == 0);
	copy.dstXInBytes = 3; /* not a whole element */
	copy.WidthInBytes = 4;
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&copy));
	copy.dstXInBytes = W * 4 - 4;
	copy.WidthInBytes = 8;
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&copy));
	copy.WidthInBytes = 4;
	copy.dstY = 1;
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&copy));
	copy.Height = H - 1;
	OK(cuMemcpy2D(&copy));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoA(a, 1, out, sizeof(out)));
	IS(CUDA_ERROR_INVALID_HANDLE, cuMemcpyHtoA((CUarray)&a, 0, out, 1));
	OK(cuMemcpyHtoAAsync(a, 0, out, sizeof(out), NULL));
	OK(cuMemcpyAtoHAsync(in, a, 0, sizeof(out), NULL));
	OK(cuCtxSynchronize());
	CU_ASSERT(memcmp(in, out, sizeof(out)) == 0);
	OK(cuArrayDestroy(a));
	OK(cuArrayDestroy(b));
}

static void layers_and_slices_are_where_a_copy_says(void)
{
	enum { W = 8, H = 4, D = 3 };
	CUDA_ARRAY3D_DESCRIPTOR desc = shape(W, H, D, CU_AD_FORMAT_UNSIGNED_INT16, 1, 0);
	uint16_t out[W * H * D], in[W * H];
	CUDA_MEMCPY3D copy = { 0 };
	CUarray array;

	for (int i = 0; i < W * H * D; i++)
		out[i] = (uint16_t)(i * 3);
	OK(cuArray3DCreate(&array, &desc));
	copy.srcMemoryType = CU_MEMORYTYPE_HOST;
	copy.srcHost = out;
	copy.srcPitch = W * 2;
	copy.srcHeight = H;
	copy.dstMemoryType = CU_MEMORYTYPE_ARRAY;
	copy.dstArray = array;
	copy.WidthInBytes = W * 2;
	copy.Height = H;
	copy.Depth = D;
	OK(cuMemcpy3D(&copy));
	memset(&copy, 0, sizeof(copy));
	copy.srcMemoryType = CU_MEMORYTYPE_ARRAY;
	copy.srcArray = array;
	copy.srcZ = 2;
	copy.dstMemoryType = CU_MEMORYTYPE_HOST;
	copy.dstHost = in;
	copy.dstPitch = W * 2;
	copy.WidthInBytes = W * 2;
	copy.Height = H;
	copy.Depth = 1;
	OK(cuMemcpy3D(&copy));
	CU_ASSERT(memcmp(in, out + 2 * W * H, sizeof(in)) == 0);
	copy.Depth = 2;
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpy3D(&copy));
	OK(cuArrayDestroy(array));
}

/* ---- mipmaps, planes, sparse arrays ---- */

static void mip_levels_are_views_of_one_allocation(void)
{
	CUDA_ARRAY3D_DESCRIPTOR desc = shape(64, 16, 0, CU_AD_FORMAT_FLOAT, 1, 0), seen;
	uint64_t before = books().array, expected = 0;
	unsigned char out[32 * 8 * 4], in[32 * 8 * 4];
	CUmipmappedArray mipmap;
	CUarray level, again;

	OK(cuMipmappedArrayCreate(&mipmap, &desc, 100)); /* clamped to 7 */
	for (int i = 0; i < 7; i++)
		expected += (uint64_t)(64 >> i) * (16 >> i ? 16 >> i : 1) * 4;
	CU_ASSERT_EQUAL(books().array - before, expected);
	OK(cuMipmappedArrayGetLevel(&level, mipmap, 1));
	OK(cuMipmappedArrayGetLevel(&again, mipmap, 1));
	CU_ASSERT_PTR_EQUAL(level, again);
	OK(cuArray3DGetDescriptor(&seen, level));
	CU_ASSERT(seen.Width == 32 && seen.Height == 8 && seen.Depth == 0);
	pattern(out, sizeof(out), 2);
	OK(cuMemcpyHtoA(level, 0, out, sizeof(out)));
	OK(cuMemcpyAtoH(in, level, 0, sizeof(in)));
	CU_ASSERT(is_pattern(in, sizeof(in), 2));
	IS(CUDA_ERROR_INVALID_VALUE, cuMemcpyAtoH(in, level, 1, sizeof(in)));
	IS(CUDA_ERROR_INVALID_VALUE, cuMipmappedArrayGetLevel(&level, mipmap, 7));
	IS(CUDA_ERROR_INVALID_HANDLE, cuArrayDestroy(again));
	OK(cuMipmappedArrayDestroy(mipmap));
	IS(CUDA_ERROR_INVALID_HANDLE, cuMipmappedArrayDestroy(mipmap));
	IS(CUDA_ERROR_INVALID_HANDLE, cuArray3DGetDescriptor(&seen, again));
	CU_ASSERT_EQUAL(books().array, before);
}

static void planes_share_the_memory_of_their_array(void)
{
	CUDA_ARRAY3D_DESCRIPTOR desc = shape(32, 8, 0, CU_AD_FORMAT_NV12, 3, 0), seen;
	unsigned char out[32 * 4], in[32 * 4];
	CUarray array, luma, chroma;

	OK(cuArray3DCreate(&array, &desc));
	OK(cuArrayGetPlane(&luma, array, 0));
	OK(cuArrayGetPlane(&chroma, array, 1));
	IS(CUDA_ERROR_INVALID_VALUE, cuArrayGetPlane(&chroma, array, 2));
	IS(CUDA_ERROR_INVALID_VALUE, cuArrayGetPlane(&chroma, luma, 0));
	OK(cuArray3DGetDescriptor(&seen, chroma));
	CU_ASSERT(seen.Width == 16 && seen.Height == 4 && seen.NumChannels == 2 &&
		  seen.Format == CU_AD_FORMAT_UNSIGNED_INT8);
	pattern(out, sizeof(out), 3);
	OK(cuMemcpyHtoA(chroma, 0, out, sizeof(out)));
	OK(cuMemcpyAtoH(in, array, 32 * 8, sizeof(in)));
	CU_ASSERT(is_pattern(in, sizeof(in), 3));
	OK(cuArrayDestroy(array));
	IS(CUDA_ERROR_INVALID_HANDLE, cuArray3DGetDescriptor(&seen, chroma));
}

static void sparse_and_deferred_arrays_hold_nothing(void)
{
	CUDA_ARRAY3D_DESCRIPTOR desc = shape(4096, 4096, 0, CU_AD_FORMAT_FLOAT, 1,
					     CUDA_ARRAY3D_SPARSE);
	CUDA_ARRAY_SPARSE_PROPERTIES sparse;
	CUDA_ARRAY_MEMORY_REQUIREMENTS needs;
	uint64_t before = books().requested;
	CUarray array, plain;

	OK(cuArray3DCreate(&array, &desc));
	CU_ASSERT_EQUAL(books().requested, before);
	OK(cuArrayGetSparseProperties(&sparse, array));
	CU_ASSERT_EQUAL(sparse.tileExtent.width * sparse.tileExtent.height * 4, 65536);
	IS(CUDA_ERROR_INVALID_VALUE, cuArrayGetMemoryRequirements(&needs, array, 0));
	OK(cuArrayDestroy(array));
	desc.Flags = CUDA_ARRAY3D_DEFERRED_MAPPING;
	OK(cuArray3DCreate(&array, &desc));
	CU_ASSERT_EQUAL(books().requested, before);
	OK(cuArrayGetMemoryRequirements(&needs, array, 0));
	CU_ASSERT(needs.size >= (size_t)4096 * 4096 * 4);
	IS(CUDA_ERROR_INVALID_VALUE, cuArrayGetSparseProperties(&sparse, array));
	OK(cuArrayDestroy(array));
	desc = shape(16, 16, 0, CU_AD_FORMAT_FLOAT, 1, 0);
	OK(cuArray3DCreate(&plain, &desc));
	IS(CUDA_ERROR_INVALID_VALUE, cuArrayGetMemoryRequirements(&needs, plain, 0));
	OK(cuArrayDestroy(plain));
}

static void a_context_takes_its_arrays_along(void)
{
	CUDA_ARRAY3D_DESCRIPTOR desc = shape(64, 64, 0, CU_AD_FORMAT_FLOAT, 1, 0), seen;
	struct simgpu_bytes before = books();
	CUmipmappedArray mipmap;
	CUcontext other;
	CUarray array;

	OK(cuCtxCreate(&other, NULL, 0, 0));
	OK(cuArray3DCreate(&array, &desc));
	OK(cuMipmappedArrayCreate(&mipmap, &desc, 3));
	OK(cuCtxDestroy(other));
	CU_ASSERT_EQUAL(books().requested, before.requested);
	IS(CUDA_ERROR_INVALID_HANDLE, cuArray3DGetDescriptor(&seen, array));
	IS(CUDA_ERROR_INVALID_HANDLE, cuMipmappedArrayDestroy(mipmap));
}

/* ---- textures and surfaces ---- */

static void texture_objects_return_what_they_were_made_of(void)
{
	CUDA_ARRAY3D_DESCRIPTOR desc = shape(64, 64, 0, CU_AD_FORMAT_FLOAT, 1,
					     CUDA_ARRAY3D_SURFACE_LDST);
	CUDA_RESOURCE_DESC resource, seen;
	CUDA_TEXTURE_DESC texture, seen_texture;
	CUDA_RESOURCE_VIEW_DESC view;
	CUtexObject object;
	CUsurfObject surface;
	CUdeviceptr ptr;
	CUarray array;

	OK(cuArray3DCreate(&array, &desc));
	memset(&resource, 0, sizeof(resource));
	memset(&texture, 0, sizeof(texture));
	resource.resType = CU_RESOURCE_TYPE_ARRAY;
	resource.res.array.hArray = array;
	texture.filterMode = CU_TR_FILTER_MODE_LINEAR;
	texture.flags = CU_TRSF_NORMALIZED_COORDINATES;
	OK(cuTexObjectCreate(&object, &resource, &texture, NULL));
	OK(cuTexObjectGetResourceDesc(&seen, object));
	CU_ASSERT_PTR_EQUAL(seen.res.array.hArray, array);
	OK(cuTexObjectGetTextureDesc(&seen_texture, object));
	CU_ASSERT_EQUAL(seen_texture.filterMode, CU_TR_FILTER_MODE_LINEAR);
	IS(CUDA_ERROR_INVALID_VALUE, cuTexObjectGetResourceViewDesc(&view, object));
	OK(cuSurfObjectCreate(&surface, &resource));
	OK(cuSurfObjectGetResourceDesc(&seen, surface));
	IS(CUDA_ERROR_INVALID_VALUE, cuTexObjectDestroy(surface));
	OK(cuSurfObjectDestroy(surface));
	OK(cuTexObjectDestroy(object));
	IS(CUDA_ERROR_INVALID_VALUE, cuTexObjectDestroy(object));
	IS(CUDA_ERROR_INVALID_VALUE, cuTexObjectCreate(&object, &resource, NULL, NULL));
	OK(cuMemAlloc(&ptr, 4096));
	resource.resType = CU_RESOURCE_TYPE_LINEAR;
	resource.res.linear.devPtr = ptr;
	resource.res.linear.format = CU_AD_FORMAT_FLOAT;
	resource.res.linear.numChannels = 1;
	resource.res.linear.sizeInBytes = 4096;
	OK(cuTexObjectCreate(&object, &resource, &texture, NULL));
	OK(cuTexObjectDestroy(object));
	IS(CUDA_ERROR_INVALID_VALUE, cuSurfObjectCreate(&surface, &resource));
	resource.res.linear.sizeInBytes = 8192;
	IS(CUDA_ERROR_INVALID_VALUE,
	   cuTexObjectCreate(&object, &resource, &texture, NULL));
	OK(cuMemFree(ptr));
	OK(cuArrayDestroy(array));
}

static void texture_references_return_what_was_set(void)
{
	CUDA_ARRAY_DESCRIPTOR desc = { 64, 4, CU_AD_FORMAT_FLOAT, 1 };
	CUaddress_mode mode;
	CUfilter_mode filter;
	CUarray_format format;
	CUdeviceptr ptr, seen;
	CUarray array, bound;
	CUtexref ref;
	unsigned flags;
	size_t offset;
	int channels;

	OK(cuTexRefCreate(&ref));
	OK(cuTexRefSetAddressMode(ref, 1, CU_TR_ADDRESS_MODE_MIRROR));
	OK(cuTexRefGetAddressMode(&mode, ref, 1));
	CU_ASSERT_EQUAL(mode, CU_TR_ADDRESS_MODE_MIRROR);
	OK(cuTexRefSetFilterMode(ref, CU_TR_FILTER_MODE_LINEAR));
	OK(cuTexRefGetFilterMode(&filter, ref));
	CU_ASSERT_EQUAL(filter, CU_TR_FILTER_MODE_LINEAR);
	OK(cuTexRefSetFlags(ref, CU_TRSF_READ_AS_INTEGER));
	OK(cuTexRefGetFlags(&flags, ref));
	CU_ASSERT_EQUAL(flags, CU_TRSF_READ_AS_INTEGER);
	OK(cuTexRefSetFormat(ref, CU_AD_FORMAT_HALF, 4));
	OK(cuTexRefGetFormat(&format, &channels, ref));
	CU_ASSERT(format == CU_AD_FORMAT_HALF && channels == 4);
	IS(CUDA_ERROR_INVALID_VALUE, cuTexRefGetAddress(&seen, ref));
	OK(cuMemAlloc(&ptr, 4096));
	OK(cuTexRefSetAddress(&offset, ref, ptr + 16, 1024));
	CU_ASSERT_EQUAL(offset, 16);
	OK(cuTexRefGetAddress(&seen, ref));
	CU_ASSERT_EQUAL(seen, ptr + 16);
	IS(CUDA_ERROR_INVALID_VALUE, cuTexRefSetAddress(&offset, ref, ptr, 5000));
	OK(cuTexRefSetAddress2D(ref, &desc, ptr, 256));
	IS(CUDA_ERROR_INVALID_VALUE, cuTexRefSetAddress2D(ref, &desc, ptr, 255));
	OK(cuArrayCreate(&array, &desc));
	OK(cuTexRefSetArray(ref, array, CU_TRSA_OVERRIDE_FORMAT));
	OK(cuTexRefGetArray(&bound, ref));
	CU_ASSERT_PTR_EQUAL(bound, array);
	OK(cuTexRefDestroy(ref));
	IS(CUDA_ERROR_INVALID_VALUE, cuTexRefGetFlags(&flags, ref));
	OK(cuArrayDestroy(array));
	OK(cuMemFree(ptr));
}

const struct unit_suite unit_suite = {
	.name = "arrays and textures",
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(arrays_hold_bytes_not_bits),
		UNIT_TEST(shapes_that_cannot_be_are_refused),
		UNIT_TEST(descriptors_are_given_back),
		UNIT_TEST(rows_of_arrays_are_copied),
		UNIT_TEST(layers_and_slices_are_where_a_copy_says),
		UNIT_TEST(mip_levels_are_views_of_one_allocation),
		UNIT_TEST(planes_share_the_memory_of_their_array),
		UNIT_TEST(sparse_and_deferred_arrays_hold_nothing),
		UNIT_TEST(a_context_takes_its_arrays_along),
		UNIT_TEST(texture_objects_return_what_they_were_made_of),
		UNIT_TEST(texture_references_return_what_was_set),
	},
};
