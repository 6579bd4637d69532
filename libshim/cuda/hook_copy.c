/*
 * hook_copy.c - copies of bytes in a row within a device or between two, which go through
 * the gate, and those by address, which may turn out to be the host's and then do not.
 */
#include "cuda/gated.h"

/* Kinds of copies, told apart in signatures. */
enum what { LINEAR, TO_ARRAY, FROM_ARRAY, ARRAYS, PEER };

static CUresult enter(struct gsh_pass *pass, enum what what, uint64_t bytes,
		      uint64_t stream)
{
	return gsh_enter_bytes(pass, GPUSHIM_LAUNCH_COPY, what, bytes, stream);
}

static bool within_devices(CUdeviceptr dst, CUdeviceptr src)
{
	return gsh_address_on_device(dst) && gsh_address_on_device(src);
}

/* ---- by address ---- */

GSH_GATED_IF(cuMemcpy, (CUdeviceptr dst, CUdeviceptr src, size_t ByteCount),
	     (dst, src, ByteCount), within_devices(dst, src),
	     enter(&pass, LINEAR, ByteCount, GSH_STREAM_LEGACY))

GSH_GATED_IF(cuMemcpy_ptds, (CUdeviceptr dst, CUdeviceptr src, size_t ByteCount),
	     (dst, src, ByteCount), within_devices(dst, src),
	     enter(&pass, LINEAR, ByteCount, GSH_STREAM_PER_THREAD))

GSH_GATED_IF(cuMemcpyAsync,
	     (CUdeviceptr dst, CUdeviceptr src, size_t ByteCount, CUstream hStream),
	     (dst, src, ByteCount, hStream), within_devices(dst, src),
	     enter(&pass, LINEAR, ByteCount, gsh_stream_id(hStream, GSH_STREAM_LEGACY)))

GSH_GATED_IF(cuMemcpyAsync_ptsz,
	     (CUdeviceptr dst, CUdeviceptr src, size_t ByteCount, CUstream hStream),
	     (dst, src, ByteCount, hStream), within_devices(dst, src),
	     enter(&pass, LINEAR, ByteCount,
		   gsh_stream_id(hStream, GSH_STREAM_PER_THREAD)))

/* ---- within a device ---- */

GSH_GATED(cuMemcpyDtoD,
	  (CUdeviceptr_v1 dstDevice, CUdeviceptr_v1 srcDevice, unsigned int ByteCount),
	  (dstDevice, srcDevice, ByteCount),
	  enter(&pass, LINEAR, ByteCount, GSH_STREAM_LEGACY))

GSH_GATED(cuMemcpyDtoD_v2,
	  (CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount),
	  (dstDevice, srcDevice, ByteCount),
	  enter(&pass, LINEAR, ByteCount, GSH_STREAM_LEGACY))

GSH_GATED(cuMemcpyDtoD_v2_ptds,
	  (CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount),
	  (dstDevice, srcDevice, ByteCount),
	  enter(&pass, LINEAR, ByteCount, GSH_STREAM_PER_THREAD))

GSH_GATED(cuMemcpyDtoDAsync,
	  (CUdeviceptr_v1 dstDevice, CUdeviceptr_v1 srcDevice, unsigned int ByteCount,
	   CUstream hStream),
	  (dstDevice, srcDevice, ByteCount, hStream),
	  enter(&pass, LINEAR, ByteCount, gsh_stream_id(hStream, GSH_STREAM_LEGACY)))

GSH_GATED(cuMemcpyDtoDAsync_v2,
	  (CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount,
	   CUstream hStream),
	  (dstDevice, srcDevice, ByteCount, hStream),
	  enter(&pass, LINEAR, ByteCount, gsh_stream_id(hStream, GSH_STREAM_LEGACY)))

GSH_GATED(cuMemcpyDtoDAsync_v2_ptsz,
	  (CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount,
	   CUstream hStream),
	  (dstDevice, srcDevice, ByteCount, hStream),
	  enter(&pass, LINEAR, ByteCount, gsh_stream_id(hStream, GSH_STREAM_PER_THREAD)))

GSH_GATED(cuMemcpyDtoA,
	  (CUarray dstArray, unsigned int dstOffset, CUdeviceptr_v1 srcDevice,
	   unsigned int ByteCount),
	  (dstArray, dstOffset, srcDevice, ByteCount),
	  enter(&pass, TO_ARRAY, ByteCount, GSH_STREAM_LEGACY))

GSH_GATED(cuMemcpyDtoA_v2,
	  (CUarray dstArray, size_t dstOffset, CUdeviceptr srcDevice, size_t ByteCount),
	  (dstArray, dstOffset, srcDevice, ByteCount),
	  enter(&pass, TO_ARRAY, ByteCount, GSH_STREAM_LEGACY))

GSH_GATED(cuMemcpyDtoA_v2_ptds,
	  (CUarray dstArray, size_t dstOffset, CUdeviceptr srcDevice, size_t ByteCount),
	  (dstArray, dstOffset, srcDevice, ByteCount),
	  enter(&pass, TO_ARRAY, ByteCount, GSH_STREAM_PER_THREAD))

GSH_GATED(cuMemcpyAtoD,
	  (CUdeviceptr_v1 dstDevice, CUarray srcArray, unsigned int srcOffset,
	   unsigned int ByteCount),
	  (dstDevice, srcArray, srcOffset, ByteCount),
	  enter(&pass, FROM_ARRAY, ByteCount, GSH_STREAM_LEGACY))

GSH_GATED(cuMemcpyAtoD_v2,
	  (CUdeviceptr dstDevice, CUarray srcArray, size_t srcOffset, size_t ByteCount),
	  (dstDevice, srcArray, srcOffset, ByteCount),
	  enter(&pass, FROM_ARRAY, ByteCount, GSH_STREAM_LEGACY))

GSH_GATED(cuMemcpyAtoD_v2_ptds,
	  (CUdeviceptr dstDevice, CUarray srcArray, size_t srcOffset, size_t ByteCount),
	  (dstDevice, srcArray, srcOffset, ByteCount),
	  enter(&pass, FROM_ARRAY, ByteCount, GSH_STREAM_PER_THREAD))

GSH_GATED(cuMemcpyAtoA,
	  (CUarray dstArray, unsigned int dstOffset, CUarray srcArray,
	   unsigned int srcOffset, unsigned int ByteCount),
	  (dstArray, dstOffset, srcArray, srcOffset, ByteCount),
	  enter(&pass, ARRAYS, ByteCount, GSH_STREAM_LEGACY))

GSH_GATED(cuMemcpyAtoA_v2,
	  (CUarray dstArray, size_t dstOffset, CUarray srcArray, size_t srcOffset,
	   size_t ByteCount),
	  (dstArray, dstOffset, srcArray, srcOffset, ByteCount),
	  enter(&pass, ARRAYS, ByteCount, GSH_STREAM_LEGACY))

GSH_GATED(cuMemcpyAtoA_v2_ptds,
	  (CUarray dstArray, size_t dstOffset, CUarray srcArray, size_t srcOffset,
	   size_t ByteCount),
	  (dstArray, dstOffset, srcArray, srcOffset, ByteCount),
	  enter(&pass, ARRAYS, ByteCount, GSH_STREAM_PER_THREAD))

/* ---- between devices ---- */

GSH_GATED(cuMemcpyPeer,
	  (CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice,
	   CUcontext srcContext, size_t ByteCount),
	  (dstDevice, dstContext, srcDevice, srcContext, ByteCount),
	  enter(&pass, PEER, ByteCount, GSH_STREAM_LEGACY))

GSH_GATED(cuMemcpyPeer_ptds,
	  (CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice,
	   CUcontext srcContext, size_t ByteCount),
	  (dstDevice, dstContext, srcDevice, srcContext, ByteCount),
	  enter(&pass, PEER, ByteCount, GSH_STREAM_PER_THREAD))

GSH_GATED(cuMemcpyPeerAsync,
	  (CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice,
	   CUcontext srcContext, size_t ByteCount, CUstream hStream),
	  (dstDevice, dstContext, srcDevice, srcContext, ByteCount, hStream),
	  enter(&pass, PEER, ByteCount, gsh_stream_id(hStream, GSH_STREAM_LEGACY)))

GSH_GATED(cuMemcpyPeerAsync_ptsz,
	  (CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice,
	   CUcontext srcContext, size_t ByteCount, CUstream hStream),
	  (dstDevice, dstContext, srcDevice, srcContext, ByteCount, hStream),
	  enter(&pass, PEER, ByteCount, gsh_stream_id(hStream, GSH_STREAM_PER_THREAD)))
