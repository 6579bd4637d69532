/*
 * hook_array.c - arrays and mipmapped arrays.
 *
 * Knows each call's descriptor. What it comes to in bytes is array_bytes.c's to know.
 */
#include "cuda/array_bytes.h"
#include "cuda/claim.h"
#include "cuda/hook.h"

static CUresult settle_array(struct gsh_claim *claim, CUresult res, const CUarray *array)
{
	return gsh_claim_settle(claim, res, GSH_ALLOC_ARRAY,
				res == CUDA_SUCCESS && array ? (uintptr_t)*array : 0);
}

/* 0 where a pointer is missing: the driver says so. */
static uint64_t bytes_2d(const CUarray *array, const CUDA_ARRAY_DESCRIPTOR *desc)
{
	CUDA_ARRAY3D_DESCRIPTOR same = { 0 };

	if (!array || !desc)
		return 0;
	same.Width = desc->Width;
	same.Height = desc->Height;
	same.Format = desc->Format;
	same.NumChannels = desc->NumChannels;
	return gsh_array_bytes(&same, 1);
}

CUresult CUDAAPI cuArrayCreate_v2(CUarray *pHandle,
				  const CUDA_ARRAY_DESCRIPTOR *pAllocateArray)
{
	struct gsh_claim claim;
	CUresult res;

	GSH_NEED(cuArrayCreate_v2);
	res = gsh_claim_reserve(&claim, GPUSHIM_KIND_ARRAY,
				bytes_2d(pHandle, pAllocateArray));
	if (res != CUDA_SUCCESS)
		return res;
	res = gsh_driver.cuArrayCreate_v2(pHandle, pAllocateArray);
	return settle_array(&claim, res, pHandle);
}

CUresult CUDAAPI cuArray3DCreate_v2(CUarray *pHandle,
				    const CUDA_ARRAY3D_DESCRIPTOR *pAllocateArray)
{
	struct gsh_claim claim;
	CUresult res;

	GSH_NEED(cuArray3DCreate_v2);
	res = gsh_claim_reserve(
		&claim, GPUSHIM_KIND_ARRAY,
		pHandle && pAllocateArray ? gsh_array_bytes(pAllocateArray, 1) : 0);
	if (res != CUDA_SUCCESS)
		return res;
	res = gsh_driver.cuArray3DCreate_v2(pHandle, pAllocateArray);
	return settle_array(&claim, res, pHandle);
}

/* ---- first versions: 32-bit extents ---- */

CUresult CUDAAPI cuArrayCreate(CUarray *pHandle,
			       const CUDA_ARRAY_DESCRIPTOR_v1 *pAllocateArray)
{
	CUDA_ARRAY_DESCRIPTOR same = { 0 };
	struct gsh_claim claim;
	CUresult res;

	GSH_NEED(cuArrayCreate);
	if (pAllocateArray) {
		same.Width = pAllocateArray->Width;
		same.Height = pAllocateArray->Height;
		same.Format = pAllocateArray->Format;
		same.NumChannels = pAllocateArray->NumChannels;
	}
	res = gsh_claim_reserve(&claim, GPUSHIM_KIND_ARRAY, bytes_2d(pHandle, &same));
	if (res != CUDA_SUCCESS)
		return res;
	res = gsh_driver.cuArrayCreate(pHandle, pAllocateArray);
	return settle_array(&claim, res, pHandle);
}

CUresult CUDAAPI cuArray3DCreate(CUarray *pHandle,
				 const CUDA_ARRAY3D_DESCRIPTOR_v1 *pAllocateArray)
{
	CUDA_ARRAY3D_DESCRIPTOR same = { 0 };
	struct gsh_claim claim;
	CUresult res;

	GSH_NEED(cuArray3DCreate);
	if (pAllocateArray) {
		same.Width = pAllocateArray->Width;
		same.Height = pAllocateArray->Height;
		same.Depth = pAllocateArray->Depth;
		same.Format = pAllocateArray->Format;
		same.NumChannels = pAllocateArray->NumChannels;
		same.Flags = pAllocateArray->Flags;
	}
	res = gsh_claim_reserve(&claim, GPUSHIM_KIND_ARRAY,
				pHandle ? gsh_array_bytes(&same, 1) : 0);
	if (res != CUDA_SUCCESS)
		return res;
	res = gsh_driver.cuArray3DCreate(pHandle, pAllocateArray);
	return settle_array(&claim, res, pHandle);
}

/* ---- mipmapped ---- */

CUresult CUDAAPI cuMipmappedArrayCreate(
	CUmipmappedArray *pHandle, const CUDA_ARRAY3D_DESCRIPTOR *pMipmappedArrayDesc,
	unsigned int numMipmapLevels)
{
	struct gsh_claim claim;
	CUresult res;

	GSH_NEED(cuMipmappedArrayCreate);
	res = gsh_claim_reserve(
		&claim, GPUSHIM_KIND_ARRAY,
		pHandle && pMipmappedArrayDesc
			? gsh_array_bytes(pMipmappedArrayDesc, numMipmapLevels)
			: 0);
	if (res != CUDA_SUCCESS)
		return res;
	res = gsh_driver.cuMipmappedArrayCreate(pHandle, pMipmappedArrayDesc,
						numMipmapLevels);
	return gsh_claim_settle(&claim, res, GSH_ALLOC_MIPMAP,
				res == CUDA_SUCCESS && pHandle ? (uintptr_t)*pHandle : 0);
}

/* ---- destroyed ---- */

CUresult CUDAAPI cuArrayDestroy(CUarray hArray)
{
	struct gsh_release release;
	CUresult res;

	GSH_NEED(cuArrayDestroy);
	res = gsh_release_begin(&release, GSH_ALLOC_ARRAY, (uintptr_t)hArray);
	if (res != CUDA_SUCCESS)
		return res;
	return gsh_release_end(&release, gsh_driver.cuArrayDestroy(hArray));
}

CUresult CUDAAPI cuMipmappedArrayDestroy(CUmipmappedArray hMipmappedArray)
{
	struct gsh_release release;
	CUresult res;

	GSH_NEED(cuMipmappedArrayDestroy);
	res = gsh_release_begin(&release, GSH_ALLOC_MIPMAP, (uintptr_t)hMipmappedArray);
	if (res != CUDA_SUCCESS)
		return res;
	return gsh_release_end(&release,
			       gsh_driver.cuMipmappedArrayDestroy(hMipmappedArray));
}
