/*
 * texture.c - texture and surface objects: checked, kept and given back as they came.
 *
 * Refuses to know: sampling. See texture.h.
 */
#include "driver/texture.h"

#include "driver/array.h"
#include "driver/client.h"
#include "driver/ranges.h"

#define TEXTURE_FLAGS                                                              \
	(CU_TRSF_READ_AS_INTEGER | CU_TRSF_NORMALIZED_COORDINATES | CU_TRSF_SRGB | \
	 CU_TRSF_DISABLE_TRILINEAR_OPTIMIZATION | CU_TRSF_SEAMLESS_CUBEMAP)

enum { TEXTURE = 1, SURFACE };

struct sim_texobj {
	struct sim_object object; /* subtype: TEXTURE or SURFACE */
	CUDA_RESOURCE_DESC resource;
	CUDA_TEXTURE_DESC texture;
	CUDA_RESOURCE_VIEW_DESC view;
	bool has_view;
};

static void drop_context(struct sim_context *ctx)
{
	sim_object_each_of(SIM_T_TEXOBJ, ctx, sim_object_delete);
}

static __attribute__((constructor)) void watch_contexts(void)
{
	sim_context_on_destroy(drop_context);
}

static struct sim_texobj *find(unsigned long long handle, uint32_t subtype)
{
	struct sim_texobj *object = (struct sim_texobj *)(uintptr_t)handle;

	return sim_object_check(object, SIM_T_TEXOBJ) && object->object.subtype == subtype
		       ? object
		       : NULL;
}

CUresult sim_texture_linear(uint64_t addr, CUarray_format format, unsigned channels,
			    size_t width, size_t height, size_t pitch)
{
	unsigned element_bytes = sim_format_bytes(format, channels);
	uint64_t row, bytes;

	if (element_bytes == 0 || width == 0 || addr % SIM_TEXTURE_ALIGN_BYTES ||
	    __builtin_mul_overflow((uint64_t)width, element_bytes, &row))
		return CUDA_ERROR_INVALID_VALUE;
	bytes = row;
	if (height == 0 && width > SIM_TEXTURE_LINEAR_ELEMENTS)
		return CUDA_ERROR_INVALID_VALUE;
	if (height > 0 && (pitch < row || pitch % SIM_TEXTURE_PITCH_BYTES ||
			   __builtin_mul_overflow((uint64_t)pitch, height - 1, &bytes) ||
			   __builtin_add_overflow(bytes, row, &bytes)))
		return CUDA_ERROR_INVALID_VALUE;
	return sim_ranges_cover(addr, bytes, SIM_ACCESS_READ, NULL)
		       ? CUDA_SUCCESS
		       : CUDA_ERROR_INVALID_VALUE;
}

static CUresult check_resource(const CUDA_RESOURCE_DESC *desc)
{
	struct sim_array *array;
	struct sim_mipmap *mipmap;
	unsigned bytes;

	if (!desc || desc->flags != 0)
		return CUDA_ERROR_INVALID_VALUE;
	switch (desc->resType) {
	case CU_RESOURCE_TYPE_ARRAY:
		return sim_array_get(desc->res.array.hArray, &array);
	case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
		return sim_mipmap_get(desc->res.mipmap.hMipmappedArray, &mipmap);
	case CU_RESOURCE_TYPE_LINEAR:
		bytes = sim_format_bytes(desc->res.linear.format,
					 desc->res.linear.numChannels);
		if (bytes == 0)
			return CUDA_ERROR_INVALID_VALUE;
		return sim_texture_linear(desc->res.linear.devPtr,
					  desc->res.linear.format,
					  desc->res.linear.numChannels,
					  desc->res.linear.sizeInBytes / bytes, 0, 0);
	case CU_RESOURCE_TYPE_PITCH2D:
		if (desc->res.pitch2D.height == 0)
			return CUDA_ERROR_INVALID_VALUE;
		return sim_texture_linear(
			desc->res.pitch2D.devPtr, desc->res.pitch2D.format,
			desc->res.pitch2D.numChannels, desc->res.pitch2D.width,
			desc->res.pitch2D.height, desc->res.pitch2D.pitchInBytes);
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static CUresult check_texture(const CUDA_TEXTURE_DESC *desc)
{
	if (!desc || (desc->flags & ~(unsigned)TEXTURE_FLAGS) ||
	    desc->filterMode > CU_TR_FILTER_MODE_LINEAR ||
	    desc->mipmapFilterMode > CU_TR_FILTER_MODE_LINEAR)
		return CUDA_ERROR_INVALID_VALUE;
	for (int i = 0; i < 3; i++)
		if (desc->addressMode[i] > CU_TR_ADDRESS_MODE_BORDER)
			return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

/* Begins every call here: an object can only be made and asked for in a context. */
static CUresult begin(enum sim_fn fn, struct sim_context **ctx)
{
	CUresult res = sim_enter(fn);

	return res == CUDA_SUCCESS ? sim_need_context(ctx) : res;
}

static CUresult make(struct sim_context *ctx, uint32_t subtype,
		     const CUDA_RESOURCE_DESC *resource, struct sim_texobj **object)
{
	*object = sim_object_new(SIM_T_TEXOBJ, sizeof(**object));
	if (!*object)
		return CUDA_ERROR_OUT_OF_MEMORY;
	(*object)->object.subtype = subtype;
	(*object)->resource = *resource;
	sim_object_own(*object, ctx);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuTexObjectCreate(CUtexObject *pTexObject,
				      const CUDA_RESOURCE_DESC *pResDesc,
				      const CUDA_TEXTURE_DESC *pTexDesc,
				      const CUDA_RESOURCE_VIEW_DESC *pResViewDesc)
{
	struct sim_context *ctx;
	struct sim_texobj *object;
	CUresult res = begin(SIM_FN_cuTexObjectCreate, &ctx);

	if (res == CUDA_SUCCESS && !pTexObject)
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		res = check_resource(pResDesc);
	if (res == CUDA_SUCCESS)
		res = check_texture(pTexDesc);
	if (res == CUDA_SUCCESS && pResViewDesc &&
	    pResDesc->resType != CU_RESOURCE_TYPE_ARRAY &&
	    pResDesc->resType != CU_RESOURCE_TYPE_MIPMAPPED_ARRAY)
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		res = make(ctx, TEXTURE, pResDesc, &object);
	if (res != CUDA_SUCCESS)
		return res;
	object->texture = *pTexDesc;
	if (pResViewDesc) {
		object->view = *pResViewDesc;
		object->has_view = true;
	}
	*pTexObject = (uintptr_t)object;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuSurfObjectCreate(CUsurfObject *pSurfObject,
				       const CUDA_RESOURCE_DESC *pResDesc)
{
	struct sim_context *ctx;
	struct sim_texobj *object;
	struct sim_array *array;
	CUresult res = begin(SIM_FN_cuSurfObjectCreate, &ctx);

	if (res == CUDA_SUCCESS && (!pSurfObject || !pResDesc || pResDesc->flags != 0 ||
				    pResDesc->resType != CU_RESOURCE_TYPE_ARRAY))
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		res = sim_array_get(pResDesc->res.array.hArray, &array);
	if (res == CUDA_SUCCESS && !(array->desc.Flags & CUDA_ARRAY3D_SURFACE_LDST))
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		res = make(ctx, SURFACE, pResDesc, &object);
	if (res == CUDA_SUCCESS)
		*pSurfObject = (uintptr_t)object;
	return res;
}

static CUresult get(enum sim_fn fn, unsigned long long handle, uint32_t subtype,
		    const void *out, struct sim_texobj **object)
{
	struct sim_context *ctx;
	CUresult res = begin(fn, &ctx);

	if (res != CUDA_SUCCESS)
		return res;
	*object = find(handle, subtype);
	return out && *object ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

SIM_EXPORT CUresult cuTexObjectDestroy(CUtexObject texObject)
{
	struct sim_texobj *object;
	CUresult res = get(SIM_FN_cuTexObjectDestroy, texObject, TEXTURE, &object,
			   &object);

	if (res == CUDA_SUCCESS)
		sim_object_delete(object);
	return res;
}

SIM_EXPORT CUresult cuSurfObjectDestroy(CUsurfObject surfObject)
{
	struct sim_texobj *object;
	CUresult res = get(SIM_FN_cuSurfObjectDestroy, surfObject, SURFACE, &object,
			   &object);

	if (res == CUDA_SUCCESS)
		sim_object_delete(object);
	return res;
}

SIM_EXPORT CUresult cuTexObjectGetResourceDesc(CUDA_RESOURCE_DESC *pResDesc,
					       CUtexObject texObject)
{
	struct sim_texobj *object;
	CUresult res = get(SIM_FN_cuTexObjectGetResourceDesc, texObject, TEXTURE,
			   pResDesc, &object);

	if (res == CUDA_SUCCESS)
		*pResDesc = object->resource;
	return res;
}

SIM_EXPORT CUresult cuTexObjectGetTextureDesc(CUDA_TEXTURE_DESC *pTexDesc,
					      CUtexObject texObject)
{
	struct sim_texobj *object;
	CUresult res = get(SIM_FN_cuTexObjectGetTextureDesc, texObject, TEXTURE, pTexDesc,
			   &object);

	if (res == CUDA_SUCCESS)
		*pTexDesc = object->texture;
	return res;
}

SIM_EXPORT CUresult cuTexObjectGetResourceViewDesc(CUDA_RESOURCE_VIEW_DESC *pResViewDesc,
						   CUtexObject texObject)
{
	struct sim_texobj *object;
	CUresult res = get(SIM_FN_cuTexObjectGetResourceViewDesc, texObject, TEXTURE,
			   pResViewDesc, &object);

	if (res == CUDA_SUCCESS && !object->has_view)
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		*pResViewDesc = object->view;
	return res;
}

SIM_EXPORT CUresult cuSurfObjectGetResourceDesc(CUDA_RESOURCE_DESC *pResDesc,
						CUsurfObject surfObject)
{
	struct sim_texobj *object;
	CUresult res = get(SIM_FN_cuSurfObjectGetResourceDesc, surfObject, SURFACE,
			   pResDesc, &object);

	if (res == CUDA_SUCCESS)
		*pResDesc = object->resource;
	return res;
}
