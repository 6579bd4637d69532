/*
 * hook_memset.c - memory that is set, on the SMs: each call of the driver that does it.
 */
#include "cuda/gated.h"

/* Elements of a row and rows; widths of elements and rows go into the signature. */
static CUresult enter(struct gsh_pass *pass, uint64_t element_bytes, uint64_t width,
		      uint64_t height, uint64_t stream)
{
	const uint64_t row_bytes = gsh_times(width, element_bytes);
	const uint32_t rows_class = height > 1 ? gsh_row_class(row_bytes) : 0;

	return gsh_enter_bytes(pass, GPUSHIM_LAUNCH_MEMSET,
			       (uint32_t)element_bytes | rows_class << 8,
			       gsh_times(row_bytes, height), stream);
}

/* ---- in a row ---- */

GSH_GATED(cuMemsetD8, (CUdeviceptr_v1 dstDevice, unsigned char uc, unsigned int N),
	  (dstDevice, uc, N), enter(&pass, 1, N, 1, GSH_STREAM_LEGACY))

GSH_GATED(cuMemsetD8_v2, (CUdeviceptr dstDevice, unsigned char uc, size_t N),
	  (dstDevice, uc, N), enter(&pass, 1, N, 1, GSH_STREAM_LEGACY))

GSH_GATED(cuMemsetD8_v2_ptds, (CUdeviceptr dstDevice, unsigned char uc, size_t N),
	  (dstDevice, uc, N), enter(&pass, 1, N, 1, GSH_STREAM_PER_THREAD))

GSH_GATED(cuMemsetD8Async,
	  (CUdeviceptr dstDevice, unsigned char uc, size_t N, CUstream hStream),
	  (dstDevice, uc, N, hStream),
	  enter(&pass, 1, N, 1, gsh_stream_id(hStream, GSH_STREAM_LEGACY)))

GSH_GATED(cuMemsetD8Async_ptsz,
	  (CUdeviceptr dstDevice, unsigned char uc, size_t N, CUstream hStream),
	  (dstDevice, uc, N, hStream),
	  enter(&pass, 1, N, 1, gsh_stream_id(hStream, GSH_STREAM_PER_THREAD)))

GSH_GATED(cuMemsetD16, (CUdeviceptr_v1 dstDevice, unsigned short us, unsigned int N),
	  (dstDevice, us, N), enter(&pass, 2, N, 1, GSH_STREAM_LEGACY))

GSH_GATED(cuMemsetD16_v2, (CUdeviceptr dstDevice, unsigned short us, size_t N),
	  (dstDevice, us, N), enter(&pass, 2, N, 1, GSH_STREAM_LEGACY))

GSH_GATED(cuMemsetD16_v2_ptds, (CUdeviceptr dstDevice, unsigned short us, size_t N),
	  (dstDevice, us, N), enter(&pass, 2, N, 1, GSH_STREAM_PER_THREAD))

GSH_GATED(cuMemsetD16Async,
	  (CUdeviceptr dstDevice, unsigned short us, size_t N, CUstream hStream),
	  (dstDevice, us, N, hStream),
	  enter(&pass, 2, N, 1, gsh_stream_id(hStream, GSH_STREAM_LEGACY)))

GSH_GATED(cuMemsetD16Async_ptsz,
	  (CUdeviceptr dstDevice, unsigned short us, size_t N, CUstream hStream),
	  (dstDevice, us, N, hStream),
	  enter(&pass, 2, N, 1, gsh_stream_id(hStream, GSH_STREAM_PER_THREAD)))

GSH_GATED(cuMemsetD32, (CUdeviceptr_v1 dstDevice, unsigned int ui, unsigned int N),
	  (dstDevice, ui, N), enter(&pass, 4, N, 1, GSH_STREAM_LEGACY))

GSH_GATED(cuMemsetD32_v2, (CUdeviceptr dstDevice, unsigned int ui, size_t N),
	  (dstDevice, ui, N), enter(&pass, 4, N, 1, GSH_STREAM_LEGACY))

GSH_GATED(cuMemsetD32_v2_ptds, (CUdeviceptr dstDevice, unsigned int ui, size_t N),
	  (dstDevice, ui, N), enter(&pass, 4, N, 1, GSH_STREAM_PER_THREAD))

GSH_GATED(cuMemsetD32Async,
	  (CUdeviceptr dstDevice, unsigned int ui, size_t N, CUstream hStream),
	  (dstDevice, ui, N, hStream),
	  enter(&pass, 4, N, 1, gsh_stream_id(hStream, GSH_STREAM_LEGACY)))

GSH_GATED(cuMemsetD32Async_ptsz,
	  (CUdeviceptr dstDevice, unsigned int ui, size_t N, CUstream hStream),
	  (dstDevice, ui, N, hStream),
	  enter(&pass, 4, N, 1, gsh_stream_id(hStream, GSH_STREAM_PER_THREAD)))

/* ---- in rows ---- */

GSH_GATED(cuMemsetD2D8,
	  (CUdeviceptr_v1 dstDevice, unsigned int dstPitch, unsigned char uc,
	   unsigned int Width, unsigned int Height),
	  (dstDevice, dstPitch, uc, Width, Height),
	  enter(&pass, 1, Width, Height, GSH_STREAM_LEGACY))

GSH_GATED(cuMemsetD2D8_v2,
	  (CUdeviceptr dstDevice, size_t dstPitch, unsigned char uc, size_t Width,
	   size_t Height),
	  (dstDevice, dstPitch, uc, Width, Height),
	  enter(&pass, 1, Width, Height, GSH_STREAM_LEGACY))

GSH_GATED(cuMemsetD2D8_v2_ptds,
	  (CUdeviceptr dstDevice, size_t dstPitch, unsigned char uc, size_t Width,
	   size_t Height),
	  (dstDevice, dstPitch, uc, Width, Height),
	  enter(&pass, 1, Width, Height, GSH_STREAM_PER_THREAD))

GSH_GATED(cuMemsetD2D8Async,
	  (CUdeviceptr dstDevice, size_t dstPitch, unsigned char uc, size_t Width,
	   size_t Height, CUstream hStream),
	  (dstDevice, dstPitch, uc, Width, Height, hStream),
	  enter(&pass, 1, Width, Height, gsh_stream_id(hStream, GSH_STREAM_LEGACY)))

GSH_GATED(cuMemsetD2D8Async_ptsz,
	  (CUdeviceptr dstDevice, size_t dstPitch, unsigned char uc, size_t Width,
	   size_t Height, CUstream hStream),
	  (dstDevice, dstPitch, uc, Width, Height, hStream),
	  enter(&pass, 1, Width, Height, gsh_stream_id(hStream, GSH_STREAM_PER_THREAD)))

GSH_GATED(cuMemsetD2D16,
	  (CUdeviceptr_v1 dstDevice, unsigned int dstPitch, unsigned short us,
	   unsigned int Width, unsigned int Height),
	  (dstDevice, dstPitch, us, Width, Height),
	  enter(&pass, 2, Width, Height, GSH_STREAM_LEGACY))

GSH_GATED(cuMemsetD2D16_v2,
	  (CUdeviceptr dstDevice, size_t dstPitch, unsigned short us, size_t Width,
	   size_t Height),
	  (dstDevice, dstPitch, us, Width, Height),
	  enter(&pass, 2, Width, Height, GSH_STREAM_LEGACY))

GSH_GATED(cuMemsetD2D16_v2_ptds,
	  (CUdeviceptr dstDevice, size_t dstPitch, unsigned short us, size_t Width,
	   size_t Height),
	  (dstDevice, dstPitch, us, Width, Height),
	  enter(&pass, 2, Width, Height, GSH_STREAM_PER_THREAD))

GSH_GATED(cuMemsetD2D16Async,
	  (CUdeviceptr dstDevice, size_t dstPitch, unsigned short us, size_t Width,
	   size_t Height, CUstream hStream),
	  (dstDevice, dstPitch, us, Width, Height, hStream),
	  enter(&pass, 2, Width, Height, gsh_stream_id(hStream, GSH_STREAM_LEGACY)))

GSH_GATED(cuMemsetD2D16Async_ptsz,
	  (CUdeviceptr dstDevice, size_t dstPitch, unsigned short us, size_t Width,
	   size_t Height, CUstream hStream),
	  (dstDevice, dstPitch, us, Width, Height, hStream),
	  enter(&pass, 2, Width, Height, gsh_stream_id(hStream, GSH_STREAM_PER_THREAD)))

GSH_GATED(cuMemsetD2D32,
	  (CUdeviceptr_v1 dstDevice, unsigned int dstPitch, unsigned int ui,
	   unsigned int Width, unsigned int Height),
	  (dstDevice, dstPitch, ui, Width, Height),
	  enter(&pass, 4, Width, Height, GSH_STREAM_LEGACY))

GSH_GATED(cuMemsetD2D32_v2,
	  (CUdeviceptr dstDevice, size_t dstPitch, unsigned int ui, size_t Width,
	   size_t Height),
	  (dstDevice, dstPitch, ui, Width, Height),
	  enter(&pass, 4, Width, Height, GSH_STREAM_LEGACY))

GSH_GATED(cuMemsetD2D32_v2_ptds,
	  (CUdeviceptr dstDevice, size_t dstPitch, unsigned int ui, size_t Width,
	   size_t Height),
	  (dstDevice, dstPitch, ui, Width, Height),
	  enter(&pass, 4, Width, Height, GSH_STREAM_PER_THREAD))

GSH_GATED(cuMemsetD2D32Async,
	  (CUdeviceptr dstDevice, size_t dstPitch, unsigned int ui, size_t Width,
	   size_t Height, CUstream hStream),
	  (dstDevice, dstPitch, ui, Width, Height, hStream),
	  enter(&pass, 4, Width, Height, gsh_stream_id(hStream, GSH_STREAM_LEGACY)))

GSH_GATED(cuMemsetD2D32Async_ptsz,
	  (CUdeviceptr dstDevice, size_t dstPitch, unsigned int ui, size_t Width,
	   size_t Height, CUstream hStream),
	  (dstDevice, dstPitch, ui, Width, Height, hStream),
	  enter(&pass, 4, Width, Height, gsh_stream_id(hStream, GSH_STREAM_PER_THREAD)))
