/*
 * texture_ref.c - texture and surface references: what was set is what the getters return.
 *
 * Refuses to know: sampling. See texture.h.
 */
#include "driver/texture.h"

#include <string.h>

#include "driver/array.h"
#include "driver/client.h"
#include "driver/ranges.h"

enum bound { NOTHING, ARRAY, MIPMAP, LINEAR };

struct sim_texref {
	struct sim_object object;
	bool surface;
	bool created; /* by cuTexRefCreate; others belong to their module */
	enum bound bound;
	CUarray array;
	CUmipmappedArray mipmap;
	CUdeviceptr addr;
	CUarray_format format;
	int channels;
	CUaddress_mode address_mode[3];
	CUfilter_mode filter, mipmap_filter;
	float bias, least_level, most_level;
	unsigned anisotropy, flags;
	float border[4];
};

CUtexref sim_texref_new(bool surface)
{
	struct sim_texref *ref = sim_object_new(SIM_T_TEXTURE, sizeof(*ref));

	if (!ref)
		return NULL;
	ref->surface = surface;
	ref->format = CU_AD_FORMAT_UNSIGNED_INT8;
	ref->channels = 1;
	for (int i = 0; i < 3; i++)
		ref->address_mode[i] = CU_TR_ADDRESS_MODE_CLAMP;
	return (CUtexref)ref;
}

void sim_texref_delete(CUtexref ref)
{
	sim_object_delete(ref);
}

static void drop_context(struct sim_context *ctx)
{
	sim_object_each_of(SIM_T_TEXTURE, ctx, sim_object_delete);
}

static __attribute__((constructor)) void watch_contexts(void)
{
	sim_context_on_destroy(drop_context);
}

/* Begins every call: the reference, if `valid` says that the other arguments are. */
static CUresult get(enum sim_fn fn, const void *handle, bool surface, bool valid,
		    struct sim_texref **ref)
{
	struct sim_context *ctx;
	CUresult res = sim_enter(fn);

	if (res == CUDA_SUCCESS)
		res = sim_need_context(&ctx);
	if (res != CUDA_SUCCESS)
		return res;
	*ref = (struct sim_texref *)handle;
	return valid && sim_object_check(handle, SIM_T_TEXTURE) &&
			       (*ref)->surface == surface
		       ? CUDA_SUCCESS
		       : CUDA_ERROR_INVALID_VALUE;
}

/* ---- life ---- */

SIM_EXPORT CUresult cuTexRefCreate(CUtexref *pTexRef)
{
	struct sim_context *ctx;
	CUresult res = sim_enter(SIM_FN_cuTexRefCreate);

	if (res == CUDA_SUCCESS)
		res = sim_need_context(&ctx);
	if (res != CUDA_SUCCESS)
		return res;
	if (!pTexRef)
		return CUDA_ERROR_INVALID_VALUE;
	*pTexRef = sim_texref_new(false);
	if (!*pTexRef)
		return CUDA_ERROR_OUT_OF_MEMORY;
	((struct sim_texref *)*pTexRef)->created = true;
	sim_object_own((void *)*pTexRef, ctx);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuTexRefDestroy(CUtexref hTexRef)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuTexRefDestroy, (void *)hTexRef, false, true, &ref);

	if (res == CUDA_SUCCESS && !ref->created)
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		sim_texref_delete(hTexRef);
	return res;
}

/* ---- what is bound ---- */

SIM_EXPORT CUresult cuTexRefSetArray(CUtexref hTexRef, CUarray hArray, unsigned int Flags)
{
	struct sim_texref *ref;
	struct sim_array *array;
	CUresult res = get(SIM_FN_cuTexRefSetArray, (void *)hTexRef, false,
			   Flags == CU_TRSA_OVERRIDE_FORMAT, &ref);

	if (res == CUDA_SUCCESS)
		res = sim_array_get(hArray, &array);
	if (res != CUDA_SUCCESS)
		return res;
	ref->bound = ARRAY;
	ref->array = hArray;
	ref->format = array->desc.Format;
	ref->channels = (int)array->desc.NumChannels;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuTexRefSetMipmappedArray(CUtexref hTexRef,
					      CUmipmappedArray hMipmappedArray,
					      unsigned int Flags)
{
	struct sim_texref *ref;
	struct sim_mipmap *mipmap;
	CUresult res = get(SIM_FN_cuTexRefSetMipmappedArray, (void *)hTexRef, false,
			   Flags == CU_TRSA_OVERRIDE_FORMAT, &ref);

	if (res == CUDA_SUCCESS)
		res = sim_mipmap_get(hMipmappedArray, &mipmap);
	if (res != CUDA_SUCCESS)
		return res;
	ref->bound = MIPMAP;
	ref->mipmap = hMipmappedArray;
	ref->format = mipmap->desc.Format;
	ref->channels = (int)mipmap->desc.NumChannels;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuTexRefSetAddress_v2(size_t *ByteOffset, CUtexref hTexRef,
					  CUdeviceptr dptr, size_t bytes)
{
	struct sim_texref *ref;
	size_t offset = dptr % SIM_TEXTURE_ALIGN_BYTES;
	CUresult res = get(SIM_FN_cuTexRefSetAddress_v2, (void *)hTexRef, false, true,
			   &ref);

	if (res != CUDA_SUCCESS)
		return res;
	/* Without an offset to report, the address must be aligned. */
	if ((offset && !ByteOffset) || bytes == 0 ||
	    !sim_ranges_cover(dptr, bytes, SIM_ACCESS_READ, NULL))
		return CUDA_ERROR_INVALID_VALUE;
	ref->bound = LINEAR;
	ref->addr = dptr;
	if (ByteOffset)
		*ByteOffset = offset;
	return CUDA_SUCCESS;
}

static CUresult set_2d(enum sim_fn fn, CUtexref handle, const CUDA_ARRAY_DESCRIPTOR *desc,
		       CUdeviceptr addr, size_t pitch)
{
	struct sim_texref *ref;
	CUresult res = get(fn, handle, false, desc && desc->Height > 0, &ref);

	if (res == CUDA_SUCCESS)
		res = sim_texture_linear(addr, desc->Format, desc->NumChannels,
					 desc->Width, desc->Height, pitch);
	if (res != CUDA_SUCCESS)
		return res;
	ref->bound = LINEAR;
	ref->addr = addr;
	ref->format = desc->Format;
	ref->channels = (int)desc->NumChannels;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuTexRefSetAddress2D_v2(CUtexref hTexRef,
					    const CUDA_ARRAY_DESCRIPTOR *desc,
					    CUdeviceptr dptr, size_t Pitch)
{
	return set_2d(SIM_FN_cuTexRefSetAddress2D_v2, hTexRef, desc, dptr, Pitch);
}

SIM_EXPORT CUresult cuTexRefSetAddress2D_v3(CUtexref hTexRef,
					    const CUDA_ARRAY_DESCRIPTOR *desc,
					    CUdeviceptr dptr, size_t Pitch)
{
	return set_2d(SIM_FN_cuTexRefSetAddress2D_v3, hTexRef, desc, dptr, Pitch);
}

SIM_EXPORT CUresult cuTexRefGetAddress_v2(CUdeviceptr *pdptr, CUtexref hTexRef)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuTexRefGetAddress_v2, (void *)hTexRef, false, pdptr,
			   &ref);

	if (res != CUDA_SUCCESS)
		return res;
	if (ref->bound != LINEAR)
		return CUDA_ERROR_INVALID_VALUE;
	*pdptr = ref->addr;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuTexRefGetArray(CUarray *phArray, CUtexref hTexRef)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuTexRefGetArray, (void *)hTexRef, false, phArray,
			   &ref);

	if (res != CUDA_SUCCESS)
		return res;
	if (ref->bound != ARRAY)
		return CUDA_ERROR_INVALID_VALUE;
	*phArray = ref->array;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuTexRefGetMipmappedArray(CUmipmappedArray *phMipmappedArray,
					      CUtexref hTexRef)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuTexRefGetMipmappedArray, (void *)hTexRef, false,
			   phMipmappedArray, &ref);

	if (res != CUDA_SUCCESS)
		return res;
	if (ref->bound != MIPMAP)
		return CUDA_ERROR_INVALID_VALUE;
	*phMipmappedArray = ref->mipmap;
	return CUDA_SUCCESS;
}

/* ---- how it is read ---- */

SIM_EXPORT CUresult cuTexRefSetFormat(CUtexref hTexRef, CUarray_format fmt,
				      int NumPackedComponents)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuTexRefSetFormat, (void *)hTexRef, false,
			   sim_format_bytes(fmt, (unsigned)NumPackedComponents) != 0,
			   &ref);

	if (res != CUDA_SUCCESS)
		return res;
	ref->format = fmt;
	ref->channels = NumPackedComponents;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuTexRefGetFormat(CUarray_format *pFormat, int *pNumChannels,
				      CUtexref hTexRef)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuTexRefGetFormat, (void *)hTexRef, false,
			   pFormat || pNumChannels, &ref);

	if (res != CUDA_SUCCESS)
		return res;
	if (pFormat)
		*pFormat = ref->format;
	if (pNumChannels)
		*pNumChannels = ref->channels;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuTexRefSetAddressMode(CUtexref hTexRef, int dim, CUaddress_mode am)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuTexRefSetAddressMode, (void *)hTexRef, false,
			   dim >= 0 && dim < 3 && am <= CU_TR_ADDRESS_MODE_BORDER, &ref);

	if (res == CUDA_SUCCESS)
		ref->address_mode[dim] = am;
	return res;
}

SIM_EXPORT CUresult cuTexRefGetAddressMode(CUaddress_mode *pam, CUtexref hTexRef, int dim)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuTexRefGetAddressMode, (void *)hTexRef, false,
			   pam && dim >= 0 && dim < 3, &ref);

	if (res == CUDA_SUCCESS)
		*pam = ref->address_mode[dim];
	return res;
}

SIM_EXPORT CUresult cuTexRefSetFilterMode(CUtexref hTexRef, CUfilter_mode fm)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuTexRefSetFilterMode, (void *)hTexRef, false,
			   fm <= CU_TR_FILTER_MODE_LINEAR, &ref);

	if (res == CUDA_SUCCESS)
		ref->filter = fm;
	return res;
}

SIM_EXPORT CUresult cuTexRefGetFilterMode(CUfilter_mode *pfm, CUtexref hTexRef)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuTexRefGetFilterMode, (void *)hTexRef, false, pfm,
			   &ref);

	if (res == CUDA_SUCCESS)
		*pfm = ref->filter;
	return res;
}

SIM_EXPORT CUresult cuTexRefSetMipmapFilterMode(CUtexref hTexRef, CUfilter_mode fm)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuTexRefSetMipmapFilterMode, (void *)hTexRef, false,
			   fm <= CU_TR_FILTER_MODE_LINEAR, &ref);

	if (res == CUDA_SUCCESS)
		ref->mipmap_filter = fm;
	return res;
}

SIM_EXPORT CUresult cuTexRefGetMipmapFilterMode(CUfilter_mode *pfm, CUtexref hTexRef)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuTexRefGetMipmapFilterMode, (void *)hTexRef, false,
			   pfm, &ref);

	if (res == CUDA_SUCCESS)
		*pfm = ref->mipmap_filter;
	return res;
}

SIM_EXPORT CUresult cuTexRefSetMipmapLevelBias(CUtexref hTexRef, float bias)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuTexRefSetMipmapLevelBias, (void *)hTexRef, false,
			   true, &ref);

	if (res == CUDA_SUCCESS)
		ref->bias = bias;
	return res;
}

SIM_EXPORT CUresult cuTexRefGetMipmapLevelBias(float *pbias, CUtexref hTexRef)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuTexRefGetMipmapLevelBias, (void *)hTexRef, false,
			   pbias, &ref);

	if (res == CUDA_SUCCESS)
		*pbias = ref->bias;
	return res;
}

SIM_EXPORT CUresult cuTexRefSetMipmapLevelClamp(CUtexref hTexRef,
						float minMipmapLevelClamp,
						float maxMipmapLevelClamp)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuTexRefSetMipmapLevelClamp, (void *)hTexRef, false,
			   true, &ref);

	if (res != CUDA_SUCCESS)
		return res;
	ref->least_level = minMipmapLevelClamp;
	ref->most_level = maxMipmapLevelClamp;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuTexRefGetMipmapLevelClamp(float *pminMipmapLevelClamp,
						float *pmaxMipmapLevelClamp,
						CUtexref hTexRef)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuTexRefGetMipmapLevelClamp, (void *)hTexRef, false,
			   pminMipmapLevelClamp && pmaxMipmapLevelClamp, &ref);

	if (res != CUDA_SUCCESS)
		return res;
	*pminMipmapLevelClamp = ref->least_level;
	*pmaxMipmapLevelClamp = ref->most_level;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuTexRefSetMaxAnisotropy(CUtexref hTexRef, unsigned int maxAniso)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuTexRefSetMaxAnisotropy, (void *)hTexRef, false, true,
			   &ref);

	if (res == CUDA_SUCCESS)
		ref->anisotropy = maxAniso;
	return res;
}

SIM_EXPORT CUresult cuTexRefGetMaxAnisotropy(int *pmaxAniso, CUtexref hTexRef)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuTexRefGetMaxAnisotropy, (void *)hTexRef, false,
			   pmaxAniso, &ref);

	if (res == CUDA_SUCCESS)
		*pmaxAniso = (int)ref->anisotropy;
	return res;
}

SIM_EXPORT CUresult cuTexRefSetBorderColor(CUtexref hTexRef, float *pBorderColor)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuTexRefSetBorderColor, (void *)hTexRef, false,
			   pBorderColor, &ref);

	if (res == CUDA_SUCCESS)
		memcpy(ref->border, pBorderColor, sizeof(ref->border));
	return res;
}

SIM_EXPORT CUresult cuTexRefGetBorderColor(float *pBorderColor, CUtexref hTexRef)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuTexRefGetBorderColor, (void *)hTexRef, false,
			   pBorderColor, &ref);

	if (res == CUDA_SUCCESS)
		memcpy(pBorderColor, ref->border, sizeof(ref->border));
	return res;
}

SIM_EXPORT CUresult cuTexRefSetFlags(CUtexref hTexRef, unsigned int Flags)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuTexRefSetFlags, (void *)hTexRef, false, Flags <= 0x7f,
			   &ref);

	if (res == CUDA_SUCCESS)
		ref->flags = Flags;
	return res;
}

SIM_EXPORT CUresult cuTexRefGetFlags(unsigned int *pFlags, CUtexref hTexRef)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuTexRefGetFlags, (void *)hTexRef, false, pFlags, &ref);

	if (res == CUDA_SUCCESS)
		*pFlags = ref->flags;
	return res;
}

/* ---- surfaces ---- */

SIM_EXPORT CUresult cuSurfRefSetArray(CUsurfref hSurfRef, CUarray hArray,
				      unsigned int Flags)
{
	struct sim_texref *ref;
	struct sim_array *array;
	CUresult res = get(SIM_FN_cuSurfRefSetArray, (void *)hSurfRef, true, Flags == 0,
			   &ref);

	if (res == CUDA_SUCCESS)
		res = sim_array_get(hArray, &array);
	if (res == CUDA_SUCCESS && !(array->desc.Flags & CUDA_ARRAY3D_SURFACE_LDST))
		res = CUDA_ERROR_INVALID_VALUE;
	if (res != CUDA_SUCCESS)
		return res;
	ref->bound = ARRAY;
	ref->array = hArray;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuSurfRefGetArray(CUarray *phArray, CUsurfref hSurfRef)
{
	struct sim_texref *ref;
	CUresult res = get(SIM_FN_cuSurfRefGetArray, (void *)hSurfRef, true, phArray,
			   &ref);

	if (res != CUDA_SUCCESS)
		return res;
	if (ref->bound != ARRAY)
		return CUDA_ERROR_INVALID_VALUE;
	*phArray = ref->array;
	return CUDA_SUCCESS;
}
