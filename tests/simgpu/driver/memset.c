/*
 * memset.c - filling memory, in one and two dimensions, waited for or not.
 *
 * Knows: CUDA's checks, and that a synchronous memset waits only for pinned and managed
 * memory. Memory that was registered is filled by this process itself, in stream order.
 */
#include "driver/copy.h"

#include <string.h>

#include "driver/capture.h"
#include "driver/ranges.h"

static bool is_empty(const struct sim_rec_memset *set)
{
	return set->width == 0 || set->height == 0;
}

static CUresult check(const struct sim_rec_memset *set, struct sim_alloc *alloc)
{
	uint64_t row, bytes;

	if (set->element_bytes != 1 && set->element_bytes != 2 && set->element_bytes != 4)
		return CUDA_ERROR_INVALID_VALUE;
	if (is_empty(set))
		return CUDA_SUCCESS;
	if (set->dst % set->element_bytes ||
	    __builtin_mul_overflow(set->width, set->element_bytes, &row) ||
	    (set->height > 1 && (set->pitch < row || set->pitch % set->element_bytes)) ||
	    __builtin_mul_overflow(set->height - 1, set->pitch, &bytes) ||
	    __builtin_add_overflow(bytes, row, &bytes) ||
	    !sim_ranges_cover(set->dst, bytes, SIM_ACCESS_WRITE, alloc))
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

CUresult sim_memset_check(const struct sim_rec_memset *set)
{
	struct sim_alloc alloc;

	return check(set, &alloc);
}

static void fill_here(const struct sim_rec_memset *set)
{
	for (uint64_t y = 0; y < set->height; y++) {
		unsigned char *row = (unsigned char *)set->dst + y * set->pitch;

		if (set->element_bytes == 1)
			memset(row, (int)(set->value & 0xff), set->width);
		else
			for (uint64_t x = 0; x < set->width; x++)
				memcpy(row + x * set->element_bytes, &set->value,
				       set->element_bytes);
	}
}

CUresult sim_memset(struct sim_stream *stream, const struct sim_rec_memset *set,
		    bool sync)
{
	struct sim_alloc alloc;
	uint64_t seq;
	CUresult res = sync ? sim_capture_guard() : CUDA_SUCCESS;

	if (res == CUDA_SUCCESS)
		res = sim_capture_check(stream);
	if (res == CUDA_SUCCESS)
		res = check(set, &alloc);
	if (res != CUDA_SUCCESS || is_empty(set))
		return res;
	if (atomic_load_explicit(&stream->capture, memory_order_acquire))
		return sync ? sim_capture_prohibited(stream)
			    : sim_capture_memset(stream, set);
	if (sim.zero_cost) {
		fill_here(set);
		return CUDA_SUCCESS;
	}
	if (alloc.origin == SIM_FROM_REGISTER) {
		res = sim_submit(stream, SIM_REC_MARKER, NULL, 0, NULL, 0, &seq);
		if (res == CUDA_SUCCESS)
			res = sim_stream_wait(stream, seq);
		if (res == CUDA_SUCCESS)
			fill_here(set);
		return res;
	}
	res = sim_submit(stream, SIM_REC_MEMSET, set, sizeof(*set), NULL, 0, &seq);
	if (res == CUDA_SUCCESS && sync &&
	    (alloc.kind == SIM_MEM_HOST || alloc.kind == SIM_MEM_MANAGED ||
	     alloc.sync_memops))
		res = sim_stream_wait(stream, seq);
	return res;
}

static CUresult run(enum sim_fn fn, bool per_thread, CUstream handle, bool sync,
		    const struct sim_rec_memset *set)
{
	struct sim_stream *stream;
	CUresult res = sim_enter(fn);

	if (res == CUDA_SUCCESS)
		res = sim_stream_get(handle, per_thread, &stream);
	return res == CUDA_SUCCESS ? sim_memset(stream, set, sync) : res;
}

/* One row of n elements / h rows of w elements. */
#define ROW(dst, n, value, bytes) (&(struct sim_rec_memset){ dst, 0, n, 1, value, bytes })
#define ROWS(dst, pitch, w, h, value, bytes) \
	(&(struct sim_rec_memset){ dst, pitch, w, h, value, bytes })

SIM_EXPORT CUresult cuMemsetD8_v2(CUdeviceptr dstDevice, unsigned char uc, size_t N)
{
	return run(SIM_FN_cuMemsetD8_v2, false, NULL, true, ROW(dstDevice, N, uc, 1));
}

SIM_EXPORT CUresult cuMemsetD8_v2_ptds(CUdeviceptr dstDevice, unsigned char uc, size_t N)
{
	return run(SIM_FN_cuMemsetD8_v2_ptds, true, NULL, true, ROW(dstDevice, N, uc, 1));
}

SIM_EXPORT CUresult cuMemsetD16_v2(CUdeviceptr dstDevice, unsigned short us, size_t N)
{
	return run(SIM_FN_cuMemsetD16_v2, false, NULL, true, ROW(dstDevice, N, us, 2));
}

SIM_EXPORT CUresult cuMemsetD16_v2_ptds(CUdeviceptr dstDevice, unsigned short us,
					size_t N)
{
	return run(SIM_FN_cuMemsetD16_v2_ptds, true, NULL, true,
		   ROW(dstDevice, N, us, 2));
}

SIM_EXPORT CUresult cuMemsetD32_v2(CUdeviceptr dstDevice, unsigned int ui, size_t N)
{
	return run(SIM_FN_cuMemsetD32_v2, false, NULL, true, ROW(dstDevice, N, ui, 4));
}

SIM_EXPORT CUresult cuMemsetD32_v2_ptds(CUdeviceptr dstDevice, unsigned int ui, size_t N)
{
	return run(SIM_FN_cuMemsetD32_v2_ptds, true, NULL, true,
		   ROW(dstDevice, N, ui, 4));
}

SIM_EXPORT CUresult cuMemsetD8Async(CUdeviceptr dstDevice, unsigned char uc, size_t N,
				    CUstream hStream)
{
	return run(SIM_FN_cuMemsetD8Async, false, hStream, false,
		   ROW(dstDevice, N, uc, 1));
}

SIM_EXPORT CUresult cuMemsetD8Async_ptsz(CUdeviceptr dstDevice, unsigned char uc,
					 size_t N, CUstream hStream)
{
	return run(SIM_FN_cuMemsetD8Async_ptsz, true, hStream, false,
		   ROW(dstDevice, N, uc, 1));
}

SIM_EXPORT CUresult cuMemsetD16Async(CUdeviceptr dstDevice, unsigned short us, size_t N,
				     CUstream hStream)
{
	return run(SIM_FN_cuMemsetD16Async, false, hStream, false,
		   ROW(dstDevice, N, us, 2));
}

SIM_EXPORT CUresult cuMemsetD16Async_ptsz(CUdeviceptr dstDevice, unsigned short us,
					  size_t N, CUstream hStream)
{
	return run(SIM_FN_cuMemsetD16Async_ptsz, true, hStream, false,
		   ROW(dstDevice, N, us, 2));
}

SIM_EXPORT CUresult cuMemsetD32Async(CUdeviceptr dstDevice, unsigned int ui, size_t N,
				     CUstream hStream)
{
	return run(SIM_FN_cuMemsetD32Async, false, hStream, false,
		   ROW(dstDevice, N, ui, 4));
}

SIM_EXPORT CUresult cuMemsetD32Async_ptsz(CUdeviceptr dstDevice, unsigned int ui,
					  size_t N, CUstream hStream)
{
	return run(SIM_FN_cuMemsetD32Async_ptsz, true, hStream, false,
		   ROW(dstDevice, N, ui, 4));
}

SIM_EXPORT CUresult cuMemsetD2D8_v2(CUdeviceptr dstDevice, size_t dstPitch,
				    unsigned char uc, size_t Width, size_t Height)
{
	return run(SIM_FN_cuMemsetD2D8_v2, false, NULL, true,
		   ROWS(dstDevice, dstPitch, Width, Height, uc, 1));
}

SIM_EXPORT CUresult cuMemsetD2D8_v2_ptds(CUdeviceptr dstDevice, size_t dstPitch,
					 unsigned char uc, size_t Width, size_t Height)
{
	return run(SIM_FN_cuMemsetD2D8_v2_ptds, true, NULL, true,
		   ROWS(dstDevice, dstPitch, Width, Height, uc, 1));
}

SIM_EXPORT CUresult cuMemsetD2D16_v2(CUdeviceptr dstDevice, size_t dstPitch,
				     unsigned short us, size_t Width, size_t Height)
{
	return run(SIM_FN_cuMemsetD2D16_v2, false, NULL, true,
		   ROWS(dstDevice, dstPitch, Width, Height, us, 2));
}

SIM_EXPORT CUresult cuMemsetD2D16_v2_ptds(CUdeviceptr dstDevice, size_t dstPitch,
					  unsigned short us, size_t Width, size_t Height)
{
	return run(SIM_FN_cuMemsetD2D16_v2_ptds, true, NULL, true,
		   ROWS(dstDevice, dstPitch, Width, Height, us, 2));
}

SIM_EXPORT CUresult cuMemsetD2D32_v2(CUdeviceptr dstDevice, size_t dstPitch,
				     unsigned int ui, size_t Width, size_t Height)
{
	return run(SIM_FN_cuMemsetD2D32_v2, false, NULL, true,
		   ROWS(dstDevice, dstPitch, Width, Height, ui, 4));
}

SIM_EXPORT CUresult cuMemsetD2D32_v2_ptds(CUdeviceptr dstDevice, size_t dstPitch,
					  unsigned int ui, size_t Width, size_t Height)
{
	return run(SIM_FN_cuMemsetD2D32_v2_ptds, true, NULL, true,
		   ROWS(dstDevice, dstPitch, Width, Height, ui, 4));
}

SIM_EXPORT CUresult cuMemsetD2D8Async(CUdeviceptr dstDevice, size_t dstPitch,
				      unsigned char uc, size_t Width, size_t Height,
				      CUstream hStream)
{
	return run(SIM_FN_cuMemsetD2D8Async, false, hStream, false,
		   ROWS(dstDevice, dstPitch, Width, Height, uc, 1));
}

SIM_EXPORT CUresult cuMemsetD2D8Async_ptsz(CUdeviceptr dstDevice, size_t dstPitch,
					   unsigned char uc, size_t Width, size_t Height,
					   CUstream hStream)
{
	return run(SIM_FN_cuMemsetD2D8Async_ptsz, true, hStream, false,
		   ROWS(dstDevice, dstPitch, Width, Height, uc, 1));
}

SIM_EXPORT CUresult cuMemsetD2D16Async(CUdeviceptr dstDevice, size_t dstPitch,
				       unsigned short us, size_t Width, size_t Height,
				       CUstream hStream)
{
	return run(SIM_FN_cuMemsetD2D16Async, false, hStream, false,
		   ROWS(dstDevice, dstPitch, Width, Height, us, 2));
}

SIM_EXPORT CUresult cuMemsetD2D16Async_ptsz(CUdeviceptr dstDevice, size_t dstPitch,
					    unsigned short us, size_t Width,
					    size_t Height, CUstream hStream)
{
	return run(SIM_FN_cuMemsetD2D16Async_ptsz, true, hStream, false,
		   ROWS(dstDevice, dstPitch, Width, Height, us, 2));
}

SIM_EXPORT CUresult cuMemsetD2D32Async(CUdeviceptr dstDevice, size_t dstPitch,
				       unsigned int ui, size_t Width, size_t Height,
				       CUstream hStream)
{
	return run(SIM_FN_cuMemsetD2D32Async, false, hStream, false,
		   ROWS(dstDevice, dstPitch, Width, Height, ui, 4));
}

SIM_EXPORT CUresult cuMemsetD2D32Async_ptsz(CUdeviceptr dstDevice, size_t dstPitch,
					    unsigned int ui, size_t Width, size_t Height,
					    CUstream hStream)
{
	return run(SIM_FN_cuMemsetD2D32Async_ptsz, true, hStream, false,
		   ROWS(dstDevice, dstPitch, Width, Height, ui, 4));
}
