/*
 * array.c - CUDA arrays: made, described, destroyed.
 *
 * Knows: arrays and planes as objects. Refuses to know: formats and limits
 * (array_format.c), mip levels (mipmap.c), how they are copied (copy_shape.c).
 * Arrays with CUDA_ARRAY3D_SPARSE or _DEFERRED_MAPPING hold no memory; mapping memory to
 * them (cuMemMapArrayAsync) is not supported.
 */
#include "driver/array.h"

#include <string.h>

#include "driver/capture.h"
#include "driver/memory.h"

#define ALIGN_BYTES 512u
#define TILE_BYTES (64u << 10)
#define NO_MEMORY (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING)

pthread_mutex_t sim_array_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sim_array *arrays; /* without views; under the lock */

CUresult sim_array_get(CUarray handle, struct sim_array **array)
{
	if (!sim_object_check(handle, SIM_T_ARRAY))
		return CUDA_ERROR_INVALID_HANDLE;
	*array = (struct sim_array *)handle;
	return CUDA_SUCCESS;
}

struct sim_array *sim_array_view(struct sim_context *ctx,
				 const CUDA_ARRAY3D_DESCRIPTOR *desc, uint64_t addr)
{
	struct sim_array *array = sim_object_new(SIM_T_ARRAY, sizeof(*array));
	struct sim_format format;

	if (!array)
		return NULL;
	if (sim_format_get(desc->Format, desc->NumChannels, &format) != CUDA_SUCCESS ||
	    !sim_array_shape(array, desc, &format, addr)) {
		sim_object_delete(array);
		return NULL;
	}
	array->ctx = ctx;
	array->view = true;
	return array;
}

void sim_array_delete_view(struct sim_array *array)
{
	if (array)
		sim_object_delete(array);
}

static void forget(struct sim_array *array)
{
	for (size_t i = 0; i < sizeof(array->planes) / sizeof(array->planes[0]); i++)
		sim_array_delete_view(array->planes[i]);
	sim_object_delete(array);
}

static void drop_context(struct sim_context *ctx)
{
	struct sim_array **at = &arrays;

	pthread_mutex_lock(&sim_array_lock);
	while (*at) {
		struct sim_array *array = *at;

		if (array->ctx == ctx) {
			*at = array->next;
			forget(array);
		} else {
			at = &array->next;
		}
	}
	pthread_mutex_unlock(&sim_array_lock);
}

static __attribute__((constructor)) void watch_contexts(void)
{
	sim_context_on_destroy(drop_context);
}

/* ---- creation ---- */

static CUresult create(struct sim_context *ctx, const CUDA_ARRAY3D_DESCRIPTOR *desc,
		       CUarray *out)
{
	struct sim_array *array = sim_object_new(SIM_T_ARRAY, sizeof(*array));
	struct sim_format format;
	CUdeviceptr addr = 0;
	CUresult res;

	if (!array)
		return CUDA_ERROR_OUT_OF_MEMORY;
	array->ctx = ctx;
	res = sim_format_get(desc->Format, desc->NumChannels, &format);
	if (res == CUDA_SUCCESS && !sim_array_shape(array, desc, &format, 0))
		res = CUDA_ERROR_OUT_OF_MEMORY;
	if (res == CUDA_SUCCESS && !(desc->Flags & NO_MEMORY))
		res = sim_mem_alloc(ctx, ctx->device, array->bytes, SIM_MEM_ARRAY,
				    ALIGN_BYTES, &addr, NULL);
	if (res != CUDA_SUCCESS) {
		sim_object_delete(array);
		return res;
	}
	array->addr = addr;
	pthread_mutex_lock(&sim_array_lock);
	array->next = arrays;
	arrays = array;
	pthread_mutex_unlock(&sim_array_lock);
	*out = (CUarray)array;
	return CUDA_SUCCESS;
}

static CUresult create_checked(enum sim_fn fn, CUarray *out,
			       const CUDA_ARRAY3D_DESCRIPTOR *desc)
{
	struct sim_context *ctx;
	CUresult res = sim_enter(fn);

	if (res == CUDA_SUCCESS)
		res = sim_need_context(&ctx);
	if (res == CUDA_SUCCESS)
		res = sim_capture_guard();
	if (res == CUDA_SUCCESS && (!out || !desc))
		res = CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		res = sim_array_check(desc, false);
	return res == CUDA_SUCCESS ? create(ctx, desc, out) : res;
}

SIM_EXPORT CUresult cuArrayCreate_v2(CUarray *pHandle,
				     const CUDA_ARRAY_DESCRIPTOR *pAllocateArray)
{
	CUDA_ARRAY3D_DESCRIPTOR desc = { 0 };

	if (pAllocateArray) {
		desc.Width = pAllocateArray->Width;
		desc.Height = pAllocateArray->Height;
		desc.Format = pAllocateArray->Format;
		desc.NumChannels = pAllocateArray->NumChannels;
	}
	return create_checked(SIM_FN_cuArrayCreate_v2, pHandle,
			      pAllocateArray ? &desc : NULL);
}

SIM_EXPORT CUresult cuArray3DCreate_v2(CUarray *pHandle,
				       const CUDA_ARRAY3D_DESCRIPTOR *pAllocateArray)
{
	return create_checked(SIM_FN_cuArray3DCreate_v2, pHandle, pAllocateArray);
}

SIM_EXPORT CUresult cuArrayDestroy(CUarray hArray)
{
	struct sim_array *array, **at = &arrays;
	uint64_t addr;
	CUresult res = sim_enter(SIM_FN_cuArrayDestroy);

	if (res == CUDA_SUCCESS)
		res = sim_array_get(hArray, &array);
	if (res == CUDA_SUCCESS)
		res = sim_capture_guard();
	if (res != CUDA_SUCCESS)
		return res;
	if (array->view)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!sim.zero_cost)
		res = sim_context_drain(array->ctx);
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_array_lock);
	while (*at && *at != array)
		at = &(*at)->next;
	if (!*at) { /* another thread was first */
		pthread_mutex_unlock(&sim_array_lock);
		return CUDA_ERROR_INVALID_HANDLE;
	}
	*at = array->next;
	addr = array->addr;
	forget(array);
	pthread_mutex_unlock(&sim_array_lock);
	return addr ? sim_mem_free(addr) : CUDA_SUCCESS;
}

/* ---- queries ---- */

static CUresult query(enum sim_fn fn, CUarray handle, const void *out,
		      struct sim_array **array)
{
	struct sim_context *ctx;
	CUresult res = sim_enter(fn);

	if (res == CUDA_SUCCESS)
		res = sim_need_context(&ctx);
	if (res == CUDA_SUCCESS && !out)
		res = CUDA_ERROR_INVALID_VALUE;
	return res == CUDA_SUCCESS ? sim_array_get(handle, array) : res;
}

SIM_EXPORT CUresult cuArrayGetDescriptor_v2(CUDA_ARRAY_DESCRIPTOR *pArrayDescriptor,
					    CUarray hArray)
{
	struct sim_array *array;
	CUresult res = query(SIM_FN_cuArrayGetDescriptor_v2, hArray, pArrayDescriptor,
			     &array);

	if (res != CUDA_SUCCESS)
		return res;
	if (array->desc.Depth != 0)
		return CUDA_ERROR_INVALID_VALUE;
	pArrayDescriptor->Width = array->desc.Width;
	pArrayDescriptor->Height = array->desc.Height;
	pArrayDescriptor->Format = array->desc.Format;
	pArrayDescriptor->NumChannels = array->desc.NumChannels;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR *pArrayDescriptor,
					      CUarray hArray)
{
	struct sim_array *array;
	CUresult res = query(SIM_FN_cuArray3DGetDescriptor_v2, hArray, pArrayDescriptor,
			     &array);

	if (res == CUDA_SUCCESS)
		*pArrayDescriptor = array->desc;
	return res;
}

SIM_EXPORT CUresult
cuArrayGetSparseProperties(CUDA_ARRAY_SPARSE_PROPERTIES *sparseProperties, CUarray hArray)
{
	struct sim_array *array;
	CUresult res = query(SIM_FN_cuArrayGetSparseProperties, hArray, sparseProperties,
			     &array);

	if (res != CUDA_SUCCESS)
		return res;
	if (!(array->desc.Flags & CUDA_ARRAY3D_SPARSE) || array->view)
		return CUDA_ERROR_INVALID_VALUE;
	sim_sparse_tile(&array->desc, array->element_bytes, sparseProperties);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult
cuArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS *memoryRequirements,
			     CUarray hArray, CUdevice device)
{
	struct sim_array *array;
	CUresult res = query(SIM_FN_cuArrayGetMemoryRequirements, hArray,
			     memoryRequirements, &array);

	if (res != CUDA_SUCCESS)
		return res;
	if (!(array->desc.Flags & CUDA_ARRAY3D_DEFERRED_MAPPING) || array->view ||
	    device < 0 || (unsigned)device >= sim.hello.devices)
		return CUDA_ERROR_INVALID_VALUE;
	memset(memoryRequirements, 0, sizeof(*memoryRequirements));
	memoryRequirements->size = (array->bytes + TILE_BYTES - 1) / TILE_BYTES *
				   TILE_BYTES;
	memoryRequirements->alignment = TILE_BYTES;
	return CUDA_SUCCESS;
}

/* ---- planes ---- */

static struct sim_array *make_plane(struct sim_array *array, unsigned index)
{
	CUDA_ARRAY3D_DESCRIPTOR desc = array->desc;
	struct sim_format format;
	uint64_t addr = array->addr;

	sim_format_get(desc.Format, desc.NumChannels, &format);
	desc.Format = format.element_bytes == 1 ? CU_AD_FORMAT_UNSIGNED_INT8
						: CU_AD_FORMAT_UNSIGNED_INT16;
	desc.NumChannels = index == 0 ? 1 : 2;
	if (index == 1) {
		desc.Width /= 2;
		desc.Height /= format.chroma_rows;
		if (addr)
			addr += array->slice;
	}
	return sim_array_view(array->ctx, &desc, addr);
}

SIM_EXPORT CUresult cuArrayGetPlane(CUarray *pPlaneArray, CUarray hArray,
				    unsigned int planeIdx)
{
	struct sim_array *array;
	struct sim_format format;
	CUresult res = query(SIM_FN_cuArrayGetPlane, hArray, pPlaneArray, &array);

	if (res != CUDA_SUCCESS)
		return res;
	sim_format_get(array->desc.Format, array->desc.NumChannels, &format);
	if (format.planes < 2 || planeIdx >= format.planes)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&sim_array_lock);
	if (!array->planes[planeIdx])
		array->planes[planeIdx] = make_plane(array, planeIdx);
	*pPlaneArray = (CUarray)array->planes[planeIdx];
	pthread_mutex_unlock(&sim_array_lock);
	return *pPlaneArray ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
