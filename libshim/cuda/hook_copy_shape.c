/*
 * hook_copy_shape.c - copies of rows and layers: gated where neither side is the host's.
 *
 * Which side is what stands in the caller's structure, in four versions with the same names;
 * hence macros. What a side's other fields say is the driver's to check.
 */
#include "cuda/gated.h"

/* Told apart from the kinds of hook_copy.c. */
enum what { ROWS = 16, LAYERS, LAYERS_PEER };

static bool on_device(CUmemorytype type, uint64_t address)
{
	return type == CU_MEMORYTYPE_DEVICE || type == CU_MEMORYTYPE_ARRAY ||
	       (type == CU_MEMORYTYPE_UNIFIED && gsh_address_on_device(address));
}

#define WITHIN_DEVICES(copy)                                              \
	((copy) && on_device((copy)->dstMemoryType, (copy)->dstDevice) && \
	 on_device((copy)->srcMemoryType, (copy)->srcDevice))

static CUresult enter(struct gsh_pass *pass, enum what what, uint64_t row_bytes,
		      uint64_t rows, uint64_t stream)
{
	return gsh_enter_bytes(pass, GPUSHIM_LAUNCH_COPY,
			       what | gsh_row_class(row_bytes) << 8,
			       gsh_times(row_bytes, rows), stream);
}

#define ENTER_ROWS(copy, stream) \
	enter(&pass, ROWS, (copy)->WidthInBytes, (copy)->Height, stream)
#define ENTER_LAYERS(what, copy, stream)         \
	enter(&pass, what, (copy)->WidthInBytes, \
	      gsh_times((copy)->Height, (copy)->Depth), stream)

/* ---- rows ---- */

GSH_GATED_IF(cuMemcpy2D, (const CUDA_MEMCPY2D_v1 *pCopy), (pCopy), WITHIN_DEVICES(pCopy),
	     ENTER_ROWS(pCopy, GSH_STREAM_LEGACY))

GSH_GATED_IF(cuMemcpy2D_v2, (const CUDA_MEMCPY2D *pCopy), (pCopy), WITHIN_DEVICES(pCopy),
	     ENTER_ROWS(pCopy, GSH_STREAM_LEGACY))

GSH_GATED_IF(cuMemcpy2D_v2_ptds, (const CUDA_MEMCPY2D *pCopy), (pCopy),
	     WITHIN_DEVICES(pCopy), ENTER_ROWS(pCopy, GSH_STREAM_PER_THREAD))

GSH_GATED_IF(cuMemcpy2DUnaligned, (const CUDA_MEMCPY2D_v1 *pCopy), (pCopy),
	     WITHIN_DEVICES(pCopy), ENTER_ROWS(pCopy, GSH_STREAM_LEGACY))

GSH_GATED_IF(cuMemcpy2DUnaligned_v2, (const CUDA_MEMCPY2D *pCopy), (pCopy),
	     WITHIN_DEVICES(pCopy), ENTER_ROWS(pCopy, GSH_STREAM_LEGACY))

GSH_GATED_IF(cuMemcpy2DUnaligned_v2_ptds, (const CUDA_MEMCPY2D *pCopy), (pCopy),
	     WITHIN_DEVICES(pCopy), ENTER_ROWS(pCopy, GSH_STREAM_PER_THREAD))

GSH_GATED_IF(cuMemcpy2DAsync, (const CUDA_MEMCPY2D_v1 *pCopy, CUstream hStream),
	     (pCopy, hStream), WITHIN_DEVICES(pCopy),
	     ENTER_ROWS(pCopy, gsh_stream_id(hStream, GSH_STREAM_LEGACY)))

GSH_GATED_IF(cuMemcpy2DAsync_v2, (const CUDA_MEMCPY2D *pCopy, CUstream hStream),
	     (pCopy, hStream), WITHIN_DEVICES(pCopy),
	     ENTER_ROWS(pCopy, gsh_stream_id(hStream, GSH_STREAM_LEGACY)))

GSH_GATED_IF(cuMemcpy2DAsync_v2_ptsz, (const CUDA_MEMCPY2D *pCopy, CUstream hStream),
	     (pCopy, hStream), WITHIN_DEVICES(pCopy),
	     ENTER_ROWS(pCopy, gsh_stream_id(hStream, GSH_STREAM_PER_THREAD)))

/* ---- layers ---- */

GSH_GATED_IF(cuMemcpy3D, (const CUDA_MEMCPY3D_v1 *pCopy), (pCopy), WITHIN_DEVICES(pCopy),
	     ENTER_LAYERS(LAYERS, pCopy, GSH_STREAM_LEGACY))

GSH_GATED_IF(cuMemcpy3D_v2, (const CUDA_MEMCPY3D *pCopy), (pCopy), WITHIN_DEVICES(pCopy),
	     ENTER_LAYERS(LAYERS, pCopy, GSH_STREAM_LEGACY))

GSH_GATED_IF(cuMemcpy3D_v2_ptds, (const CUDA_MEMCPY3D *pCopy), (pCopy),
	     WITHIN_DEVICES(pCopy), ENTER_LAYERS(LAYERS, pCopy, GSH_STREAM_PER_THREAD))

GSH_GATED_IF(cuMemcpy3DAsync, (const CUDA_MEMCPY3D_v1 *pCopy, CUstream hStream),
	     (pCopy, hStream), WITHIN_DEVICES(pCopy),
	     ENTER_LAYERS(LAYERS, pCopy, gsh_stream_id(hStream, GSH_STREAM_LEGACY)))

GSH_GATED_IF(cuMemcpy3DAsync_v2, (const CUDA_MEMCPY3D *pCopy, CUstream hStream),
	     (pCopy, hStream), WITHIN_DEVICES(pCopy),
	     ENTER_LAYERS(LAYERS, pCopy, gsh_stream_id(hStream, GSH_STREAM_LEGACY)))

GSH_GATED_IF(cuMemcpy3DAsync_v2_ptsz, (const CUDA_MEMCPY3D *pCopy, CUstream hStream),
	     (pCopy, hStream), WITHIN_DEVICES(pCopy),
	     ENTER_LAYERS(LAYERS, pCopy, gsh_stream_id(hStream, GSH_STREAM_PER_THREAD)))

GSH_GATED_IF(cuMemcpy3DPeer, (const CUDA_MEMCPY3D_PEER *pCopy), (pCopy),
	     WITHIN_DEVICES(pCopy), ENTER_LAYERS(LAYERS_PEER, pCopy, GSH_STREAM_LEGACY))

GSH_GATED_IF(cuMemcpy3DPeer_ptds, (const CUDA_MEMCPY3D_PEER *pCopy), (pCopy),
	     WITHIN_DEVICES(pCopy),
	     ENTER_LAYERS(LAYERS_PEER, pCopy, GSH_STREAM_PER_THREAD))

GSH_GATED_IF(cuMemcpy3DPeerAsync, (const CUDA_MEMCPY3D_PEER *pCopy, CUstream hStream),
	     (pCopy, hStream), WITHIN_DEVICES(pCopy),
	     ENTER_LAYERS(LAYERS_PEER, pCopy, gsh_stream_id(hStream, GSH_STREAM_LEGACY)))

GSH_GATED_IF(cuMemcpy3DPeerAsync_ptsz,
	     (const CUDA_MEMCPY3D_PEER *pCopy, CUstream hStream), (pCopy, hStream),
	     WITHIN_DEVICES(pCopy),
	     ENTER_LAYERS(LAYERS_PEER, pCopy,
			  gsh_stream_id(hStream, GSH_STREAM_PER_THREAD)))
