/*
 * mipmap.c - mipmapped arrays: one allocation, one view per level.
 *
 * Knows: how many levels there are and how large each is. Refuses to know: what an array is
 * beyond that (array.c).
 */
#include "driver/array.h"

#include <string.h>

#include "driver/capture.h"

#define ALIGN_BYTES 512u
#define TILE_BYTES (64u << 10)

static struct sim_mipmap *mipmaps; /* under sim_array_lock */

CUresult sim_mipmap_get(CUmipmappedArray handle, struct sim_mipmap **mipmap)
{
	if (!sim_object_check(handle, SIM_T_MIPMAP))
		return CUDA_ERROR_INVALID_HANDLE;
	*mipmap = (struct sim_mipmap *)handle;
	return CUDA_SUCCESS;
}

static void forget(struct sim_mipmap *mipmap)
{
	for (unsigned i = 0; i < mipmap->levels; i++)
		sim_array_delete_view(mipmap->level[i]);
	sim_object_delete(mipmap);
}

static void drop_context(struct sim_context *ctx)
{
	struct sim_mipmap **at = &mipmaps;

	pthread_mutex_lock(&sim_array_lock);
	while (*at) {
		struct sim_mipmap *mipmap = *at;

		if (mipmap->ctx == ctx) {
			*at = mipmap->next;
			forget(mipmap);
		} else {
			at = &mipmap->next;
		}
	}
	pthread_mutex_unlock(&sim_array_lock);
}

static __attribute__((constructor)) void watch_contexts(void)
{
	sim_context_on_destroy(drop_context);
}

/* ---- levels ---- */

/* Layers do not shrink from level to level; depth does. */
static bool has_layers(const CUDA_ARRAY3D_DESCRIPTOR *desc)
{
	return desc->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP);
}

static unsigned most_levels(const CUDA_ARRAY3D_DESCRIPTOR *desc)
{
	size_t longest = desc->Width > desc->Height ? desc->Width : desc->Height;

	if (!has_layers(desc) && desc->Depth > longest)
		longest = desc->Depth;
	return 64 - (unsigned)__builtin_clzll(longest);
}

static size_t halved(size_t extent, unsigned times)
{
	if (extent == 0)
		return 0;
	return extent >> times ? extent >> times : 1;
}

static CUDA_ARRAY3D_DESCRIPTOR level_desc(const CUDA_ARRAY3D_DESCRIPTOR *desc,
					  unsigned level)
{
	CUDA_ARRAY3D_DESCRIPTOR out = *desc;

	out.Width = halved(desc->Width, level);
	out.Height = halved(desc->Height, level);
	if (!has_layers(desc))
		out.Depth = halved(desc->Depth, level);
	return out;
}

static uint64_t level_bytes(const CUDA_ARRAY3D_DESCRIPTOR *desc, unsigned level)
{
	CUDA_ARRAY3D_DESCRIPTOR d = level_desc(desc, level);

	/* The limits of sim_array_check() keep this far below 2^64. */
	return d.Width * (d.Height ? d.Height : 1) * (d.Depth ? d.Depth : 1) *
	       sim_format_bytes(d.Format, d.NumChannels);
}

static uint64_t bytes_up_to(const CUDA_ARRAY3D_DESCRIPTOR *desc, unsigned level)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < level; i++)
		bytes += level_bytes(desc, i);
	return bytes;
}

/* ---- calls ---- */

static CUresult create(struct sim_context *ctx, const CUDA_ARRAY3D_DESCRIPTOR *desc,
		       unsigned levels, CUmipmappedArray *out)
{
	struct sim_mipmap *mipmap = sim_object_new(SIM_T_MIPMAP, sizeof(*mipmap));
	CUdeviceptr addr;
	CUresult res = CUDA_SUCCESS;

	if (!mipmap)
		return CUDA_ERROR_OUT_OF_MEMORY;
	mipmap->ctx = ctx;
	mipmap->desc = *desc;
	mipmap->levels = levels;
	mipmap->bytes = bytes_up_to(desc, levels);
	if (!(desc->Flags & (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING))) {
		res = sim_mem_alloc(ctx, ctx->device, mipmap->bytes, SIM_MEM_ARRAY,
				    ALIGN_BYTES, &addr, NULL);
		if (res == CUDA_SUCCESS)
			mipmap->addr = addr;
	}
	if (res != CUDA_SUCCESS) {
		sim_object_delete(mipmap);
		return res;
	}
	pthread_mutex_lock(&sim_array_lock);
	mipmap->next = mipmaps;
	mipmaps = mipmap;
	pthread_mutex_unlock(&sim_array_lock);
	*out = (CUmipmappedArray)mipmap;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMipmappedArrayCreate(
	CUmipmappedArray *pHandle, const CUDA_ARRAY3D_DESCRIPTOR *pMipmappedArrayDesc,
	unsigned int numMipmapLevels)
{
	struct sim_context *ctx;
	unsigned levels = numMipmapLevels ? numMipmapLevels : 1;
	CUresult res = sim_enter(SIM_FN_cuMipmappedArrayCreate);

	if (res == CUDA_SUCCESS)
		res = sim_need_context(&ctx);
	if (res == CUDA_SUCCESS)
		res = sim_capture_guard();
	if (res == CUDA_SUCCESS && (!pHandle || !pMipmappedArrayDesc))
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		res = sim_array_check(pMipmappedArrayDesc, true);
	if (res != CUDA_SUCCESS)
		return res;
	if (levels > most_levels(pMipmappedArrayDesc))
		levels = most_levels(pMipmappedArrayDesc);
	return create(ctx, pMipmappedArrayDesc, levels, pHandle);
}

SIM_EXPORT CUresult cuMipmappedArrayGetLevel(CUarray *pLevelArray,
					     CUmipmappedArray hMipmappedArray,
					     unsigned int level)
{
	struct sim_mipmap *mipmap;
	CUresult res = sim_enter(SIM_FN_cuMipmappedArrayGetLevel);

	if (res == CUDA_SUCCESS)
		res = sim_mipmap_get(hMipmappedArray, &mipmap);
	if (res != CUDA_SUCCESS)
		return res;
	if (!pLevelArray || level >= mipmap->levels)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_array_lock);
	if (!mipmap->level[level]) {
		CUDA_ARRAY3D_DESCRIPTOR desc = level_desc(&mipmap->desc, level);
		uint64_t addr = mipmap->addr;

		if (addr)
			addr += bytes_up_to(&mipmap->desc, level);
		mipmap->level[level] = sim_array_view(mipmap->ctx, &desc, addr);
		if (mipmap->level[level])
			mipmap->level[level]->mipmap = mipmap;
	}
	*pLevelArray = (CUarray)mipmap->level[level];
	pthread_mutex_unlock(&sim_array_lock);
	return *pLevelArray ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

SIM_EXPORT CUresult cuMipmappedArrayDestroy(CUmipmappedArray hMipmappedArray)
{
	struct sim_mipmap *mipmap, **at = &mipmaps;
	uint64_t addr;
	CUresult res = sim_enter(SIM_FN_cuMipmappedArrayDestroy);

	if (res == CUDA_SUCCESS)
		res = sim_mipmap_get(hMipmappedArray, &mipmap);
	if (res == CUDA_SUCCESS)
		res = sim_capture_guard();
	if (res == CUDA_SUCCESS && !sim.zero_cost)
		res = sim_context_drain(mipmap->ctx);
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_array_lock);
	while (*at && *at != mipmap)
		at = &(*at)->next;
	if (!*at) { /* another thread was first */
		pthread_mutex_unlock(&sim_array_lock);
		return CUDA_ERROR_INVALID_HANDLE;
	}
	*at = mipmap->next;
	addr = mipmap->addr;
	forget(mipmap);
	pthread_mutex_unlock(&sim_array_lock);
	return addr ? sim_mem_free(addr) : CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMipmappedArrayGetSparseProperties(
	CUDA_ARRAY_SPARSE_PROPERTIES *sparseProperties, CUmipmappedArray hMipmap)
{
	struct sim_mipmap *mipmap;
	CUresult res = sim_enter(SIM_FN_cuMipmappedArrayGetSparseProperties);

	if (res == CUDA_SUCCESS)
		res = sim_mipmap_get(hMipmap, &mipmap);
	if (res != CUDA_SUCCESS)
		return res;
	if (!sparseProperties || !(mipmap->desc.Flags & CUDA_ARRAY3D_SPARSE))
		return CUDA_ERROR_INVALID_VALUE;
	sim_sparse_tile(&mipmap->desc,
			sim_format_bytes(mipmap->desc.Format, mipmap->desc.NumChannels),
			sparseProperties);
	/* The tail: all levels that do not fill a tile. */
	for (unsigned i = 0; i < mipmap->levels; i++) {
		CUDA_ARRAY3D_DESCRIPTOR desc = level_desc(&mipmap->desc, i);

		if (desc.Width >= sparseProperties->tileExtent.width &&
		    desc.Height >= sparseProperties->tileExtent.height &&
		    (has_layers(&desc) || desc.Depth == 0 ||
		     desc.Depth >= sparseProperties->tileExtent.depth))
			continue;
		sparseProperties->miptailFirstLevel = i;
		sparseProperties->miptailSize = (mipmap->bytes -
						 bytes_up_to(&mipmap->desc, i) +
						 TILE_BYTES - 1) /
						TILE_BYTES * TILE_BYTES;
		break;
	}
	sparseProperties->flags = CU_ARRAY_SPARSE_PROPERTIES_SINGLE_MIPTAIL;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult
cuMipmappedArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS *memoryRequirements,
				      CUmipmappedArray hMipmap, CUdevice device)
{
	struct sim_mipmap *mipmap;
	CUresult res = sim_enter(SIM_FN_cuMipmappedArrayGetMemoryRequirements);

	if (res == CUDA_SUCCESS)
		res = sim_mipmap_get(hMipmap, &mipmap);
	if (res != CUDA_SUCCESS)
		return res;
	if (!memoryRequirements ||
	    !(mipmap->desc.Flags & CUDA_ARRAY3D_DEFERRED_MAPPING) || device < 0 ||
	    (unsigned)device >= sim.hello.devices)
		return CUDA_ERROR_INVALID_VALUE;
	memset(memoryRequirements, 0, sizeof(*memoryRequirements));
	memoryRequirements->size = (mipmap->bytes + TILE_BYTES - 1) / TILE_BYTES *
				   TILE_BYTES;
	memoryRequirements->alignment = TILE_BYTES;
	return CUDA_SUCCESS;
}
