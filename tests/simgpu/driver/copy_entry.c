/*
 * copy_entry.c - the names under which copies are called.
 *
 * Knows: which side of each call is host, device or array memory, and which default stream
 * and which waiting its name stands for. Refuses to know: how copies run (copy.c)
 * and those between contexts (copy_peer.c).
 */
#include "driver/copy.h"

#include "driver/array.h"
#include "driver/capture.h"
#include "driver/ranges.h"

/* How a call runs. */
struct how {
	enum sim_fn fn;
	bool per_thread; /* the meaning of stream NULL */
	bool sync;
};

#define SYNC(name) ((struct how){ SIM_FN_##name, false, true })
#define SYNC_PTDS(name) ((struct how){ SIM_FN_##name, true, true })
#define ASYNC(name) ((struct how){ SIM_FN_##name, false, false })
#define ASYNC_PTSZ(name) ((struct how){ SIM_FN_##name, true, false })

/* What kind of memory a side of a linear copy must be. */
enum want { ANY, HOST, DEVICE };

static bool is_wanted(uint64_t addr, enum want want)
{
	struct sim_alloc alloc;
	bool known;

	if (want == ANY)
		return true;
	known = sim_ranges_find(addr, &alloc);
	if (want == DEVICE)
		return known;
	/* What the host can touch. */
	return known ? alloc.kind == SIM_MEM_HOST || alloc.kind == SIM_MEM_MANAGED
		     : !sim_is_device_address(addr);
}

/* The address of a byte of an array, all rows after each other. */
static CUresult array_bytes(CUarray handle, uint64_t offset, uint64_t bytes,
			    uint64_t *addr)
{
	struct sim_array *array;
	CUresult res = sim_array_get(handle, &array);

	if (res != CUDA_SUCCESS)
		return res;
	if (array->addr == 0 || offset > array->bytes || bytes > array->bytes - offset)
		return CUDA_ERROR_INVALID_VALUE;
	*addr = array->addr + offset;
	return CUDA_SUCCESS;
}

/* An array handle, or NULL and an address. */
struct end {
	CUarray array;
	bool is_array;
	uint64_t addr; /* or offset */
	enum want want;
};

#define IN_ARRAY(array, offset) ((struct end){ array, true, offset, ANY })
#define ON_DEVICE(addr) ((struct end){ NULL, false, addr, DEVICE })
#define ON_HOST(addr) ((struct end){ NULL, false, (uintptr_t)(addr), HOST })

static CUresult ends(struct how how, struct end dst, struct end src, uint64_t bytes,
		     CUstream handle)
{
	struct sim_rec_copy copy;
	struct sim_stream *stream;
	CUresult res = sim_enter(how.fn);

	if (res == CUDA_SUCCESS)
		res = sim_stream_get(handle, how.per_thread, &stream);
	if (res == CUDA_SUCCESS && dst.is_array)
		res = array_bytes(dst.array, dst.addr, bytes, &dst.addr);
	if (res == CUDA_SUCCESS && src.is_array)
		res = array_bytes(src.array, src.addr, bytes, &src.addr);
	if (res != CUDA_SUCCESS)
		return res;
	if (bytes > 0 &&
	    (!is_wanted(dst.addr, dst.want) || !is_wanted(src.addr, src.want)))
		return CUDA_ERROR_INVALID_VALUE;
	sim_copy_linear(&copy, dst.addr, src.addr, bytes);
	return sim_copy(stream, &copy, how.sync);
}

static CUresult linear(struct how how, uint64_t dst, enum want dst_want, uint64_t src,
		       enum want src_want, uint64_t bytes, CUstream stream)
{
	return ends(how, (struct end){ .addr = dst, .want = dst_want },
		    (struct end){ .addr = src, .want = src_want }, bytes, stream);
}

static CUresult copy_2d(struct how how, const CUDA_MEMCPY2D *in, CUstream handle)
{
	struct sim_rec_copy copy;
	struct sim_stream *stream;
	CUresult res = sim_enter(how.fn);

	if (res == CUDA_SUCCESS)
		res = sim_stream_get(handle, how.per_thread, &stream);
	if (res == CUDA_SUCCESS)
		res = sim_copy_from_2d(in, &copy);
	return res == CUDA_SUCCESS ? sim_copy(stream, &copy, how.sync) : res;
}

static CUresult copy_3d(struct how how, const CUDA_MEMCPY3D *in, CUstream handle)
{
	struct sim_rec_copy copy;
	struct sim_stream *stream;
	CUresult res = sim_enter(how.fn);

	if (res == CUDA_SUCCESS)
		res = sim_stream_get(handle, how.per_thread, &stream);
	if (res == CUDA_SUCCESS)
		res = sim_copy_from_3d(in, &copy);
	return res == CUDA_SUCCESS ? sim_copy(stream, &copy, how.sync) : res;
}

/* ---- linear ---- */

SIM_EXPORT CUresult cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount)
{
	return linear(SYNC(cuMemcpy), dst, ANY, src, ANY, ByteCount, NULL);
}

SIM_EXPORT CUresult cuMemcpy_ptds(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount)
{
	return linear(SYNC_PTDS(cuMemcpy_ptds), dst, ANY, src, ANY, ByteCount, NULL);
}

SIM_EXPORT CUresult cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount,
				  CUstream hStream)
{
	return linear(ASYNC(cuMemcpyAsync), dst, ANY, src, ANY, ByteCount, hStream);
}

SIM_EXPORT CUresult cuMemcpyAsync_ptsz(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount,
				       CUstream hStream)
{
	return linear(ASYNC_PTSZ(cuMemcpyAsync_ptsz), dst, ANY, src, ANY, ByteCount,
		      hStream);
}

SIM_EXPORT CUresult cuMemcpyHtoD_v2(CUdeviceptr dstDevice, const void *srcHost,
				    size_t ByteCount)
{
	return linear(SYNC(cuMemcpyHtoD_v2), dstDevice, DEVICE, (uintptr_t)srcHost, HOST,
		      ByteCount, NULL);
}

SIM_EXPORT CUresult cuMemcpyHtoD_v2_ptds(CUdeviceptr dstDevice, const void *srcHost,
					 size_t ByteCount)
{
	return linear(SYNC_PTDS(cuMemcpyHtoD_v2_ptds), dstDevice, DEVICE,
		      (uintptr_t)srcHost, HOST, ByteCount, NULL);
}

SIM_EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dstDevice, const void *srcHost,
					 size_t ByteCount, CUstream hStream)
{
	return linear(ASYNC(cuMemcpyHtoDAsync_v2), dstDevice, DEVICE, (uintptr_t)srcHost,
		      HOST, ByteCount, hStream);
}

SIM_EXPORT CUresult cuMemcpyHtoDAsync_v2_ptsz(CUdeviceptr dstDevice, const void *srcHost,
					      size_t ByteCount, CUstream hStream)
{
	return linear(ASYNC_PTSZ(cuMemcpyHtoDAsync_v2_ptsz), dstDevice, DEVICE,
		      (uintptr_t)srcHost, HOST, ByteCount, hStream);
}

SIM_EXPORT CUresult cuMemcpyDtoH_v2(void *dstHost, CUdeviceptr srcDevice,
				    size_t ByteCount)
{
	return linear(SYNC(cuMemcpyDtoH_v2), (uintptr_t)dstHost, HOST, srcDevice, DEVICE,
		      ByteCount, NULL);
}

SIM_EXPORT CUresult cuMemcpyDtoH_v2_ptds(void *dstHost, CUdeviceptr srcDevice,
					 size_t ByteCount)
{
	return linear(SYNC_PTDS(cuMemcpyDtoH_v2_ptds), (uintptr_t)dstHost, HOST,
		      srcDevice, DEVICE, ByteCount, NULL);
}

SIM_EXPORT CUresult cuMemcpyDtoHAsync_v2(void *dstHost, CUdeviceptr srcDevice,
					 size_t ByteCount, CUstream hStream)
{
	return linear(ASYNC(cuMemcpyDtoHAsync_v2), (uintptr_t)dstHost, HOST, srcDevice,
		      DEVICE, ByteCount, hStream);
}

SIM_EXPORT CUresult cuMemcpyDtoHAsync_v2_ptsz(void *dstHost, CUdeviceptr srcDevice,
					      size_t ByteCount, CUstream hStream)
{
	return linear(ASYNC_PTSZ(cuMemcpyDtoHAsync_v2_ptsz), (uintptr_t)dstHost, HOST,
		      srcDevice, DEVICE, ByteCount, hStream);
}

SIM_EXPORT CUresult cuMemcpyDtoD_v2(CUdeviceptr dstDevice, CUdeviceptr srcDevice,
				    size_t ByteCount)
{
	return linear(SYNC(cuMemcpyDtoD_v2), dstDevice, DEVICE, srcDevice, DEVICE,
		      ByteCount, NULL);
}

SIM_EXPORT CUresult cuMemcpyDtoD_v2_ptds(CUdeviceptr dstDevice, CUdeviceptr srcDevice,
					 size_t ByteCount)
{
	return linear(SYNC_PTDS(cuMemcpyDtoD_v2_ptds), dstDevice, DEVICE, srcDevice,
		      DEVICE, ByteCount, NULL);
}

SIM_EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr dstDevice, CUdeviceptr srcDevice,
					 size_t ByteCount, CUstream hStream)
{
	return linear(ASYNC(cuMemcpyDtoDAsync_v2), dstDevice, DEVICE, srcDevice, DEVICE,
		      ByteCount, hStream);
}

SIM_EXPORT CUresult cuMemcpyDtoDAsync_v2_ptsz(CUdeviceptr dstDevice,
					      CUdeviceptr srcDevice, size_t ByteCount,
					      CUstream hStream)
{
	return linear(ASYNC_PTSZ(cuMemcpyDtoDAsync_v2_ptsz), dstDevice, DEVICE, srcDevice,
		      DEVICE, ByteCount, hStream);
}

/* ---- arrays ---- */

SIM_EXPORT CUresult cuMemcpyDtoA_v2(CUarray dstArray, size_t dstOffset,
				    CUdeviceptr srcDevice, size_t ByteCount)
{
	return ends(SYNC(cuMemcpyDtoA_v2), IN_ARRAY(dstArray, dstOffset),
		    ON_DEVICE(srcDevice), ByteCount, NULL);
}

SIM_EXPORT CUresult cuMemcpyDtoA_v2_ptds(CUarray dstArray, size_t dstOffset,
					 CUdeviceptr srcDevice, size_t ByteCount)
{
	return ends(SYNC_PTDS(cuMemcpyDtoA_v2_ptds), IN_ARRAY(dstArray, dstOffset),
		    ON_DEVICE(srcDevice), ByteCount, NULL);
}

SIM_EXPORT CUresult cuMemcpyAtoD_v2(CUdeviceptr dstDevice, CUarray srcArray,
				    size_t srcOffset, size_t ByteCount)
{
	return ends(SYNC(cuMemcpyAtoD_v2), ON_DEVICE(dstDevice),
		    IN_ARRAY(srcArray, srcOffset), ByteCount, NULL);
}

SIM_EXPORT CUresult cuMemcpyAtoD_v2_ptds(CUdeviceptr dstDevice, CUarray srcArray,
					 size_t srcOffset, size_t ByteCount)
{
	return ends(SYNC_PTDS(cuMemcpyAtoD_v2_ptds), ON_DEVICE(dstDevice),
		    IN_ARRAY(srcArray, srcOffset), ByteCount, NULL);
}

SIM_EXPORT CUresult cuMemcpyHtoA_v2(CUarray dstArray, size_t dstOffset,
				    const void *srcHost, size_t ByteCount)
{
	return ends(SYNC(cuMemcpyHtoA_v2), IN_ARRAY(dstArray, dstOffset),
		    ON_HOST(srcHost), ByteCount, NULL);
}

SIM_EXPORT CUresult cuMemcpyHtoA_v2_ptds(CUarray dstArray, size_t dstOffset,
					 const void *srcHost, size_t ByteCount)
{
	return ends(SYNC_PTDS(cuMemcpyHtoA_v2_ptds), IN_ARRAY(dstArray, dstOffset),
		    ON_HOST(srcHost), ByteCount, NULL);
}

SIM_EXPORT CUresult cuMemcpyHtoAAsync_v2(CUarray dstArray, size_t dstOffset,
					 const void *srcHost, size_t ByteCount,
					 CUstream hStream)
{
	return ends(ASYNC(cuMemcpyHtoAAsync_v2), IN_ARRAY(dstArray, dstOffset),
		    ON_HOST(srcHost), ByteCount, hStream);
}

SIM_EXPORT CUresult cuMemcpyHtoAAsync_v2_ptsz(CUarray dstArray, size_t dstOffset,
					      const void *srcHost, size_t ByteCount,
					      CUstream hStream)
{
	return ends(ASYNC_PTSZ(cuMemcpyHtoAAsync_v2_ptsz), IN_ARRAY(dstArray, dstOffset),
		    ON_HOST(srcHost), ByteCount, hStream);
}

SIM_EXPORT CUresult cuMemcpyAtoH_v2(void *dstHost, CUarray srcArray, size_t srcOffset,
				    size_t ByteCount)
{
	return ends(SYNC(cuMemcpyAtoH_v2), ON_HOST(dstHost),
		    IN_ARRAY(srcArray, srcOffset), ByteCount, NULL);
}

SIM_EXPORT CUresult cuMemcpyAtoH_v2_ptds(void *dstHost, CUarray srcArray,
					 size_t srcOffset, size_t ByteCount)
{
	return ends(SYNC_PTDS(cuMemcpyAtoH_v2_ptds), ON_HOST(dstHost),
		    IN_ARRAY(srcArray, srcOffset), ByteCount, NULL);
}

SIM_EXPORT CUresult cuMemcpyAtoHAsync_v2(void *dstHost, CUarray srcArray,
					 size_t srcOffset, size_t ByteCount,
					 CUstream hStream)
{
	return ends(ASYNC(cuMemcpyAtoHAsync_v2), ON_HOST(dstHost),
		    IN_ARRAY(srcArray, srcOffset), ByteCount, hStream);
}

SIM_EXPORT CUresult cuMemcpyAtoHAsync_v2_ptsz(void *dstHost, CUarray srcArray,
					      size_t srcOffset, size_t ByteCount,
					      CUstream hStream)
{
	return ends(ASYNC_PTSZ(cuMemcpyAtoHAsync_v2_ptsz), ON_HOST(dstHost),
		    IN_ARRAY(srcArray, srcOffset), ByteCount, hStream);
}

SIM_EXPORT CUresult cuMemcpyAtoA_v2(CUarray dstArray, size_t dstOffset, CUarray srcArray,
				    size_t srcOffset, size_t ByteCount)
{
	return ends(SYNC(cuMemcpyAtoA_v2), IN_ARRAY(dstArray, dstOffset),
		    IN_ARRAY(srcArray, srcOffset), ByteCount, NULL);
}

SIM_EXPORT CUresult cuMemcpyAtoA_v2_ptds(CUarray dstArray, size_t dstOffset,
					 CUarray srcArray, size_t srcOffset,
					 size_t ByteCount)
{
	return ends(SYNC_PTDS(cuMemcpyAtoA_v2_ptds), IN_ARRAY(dstArray, dstOffset),
		    IN_ARRAY(srcArray, srcOffset), ByteCount, NULL);
}

/* ---- two and three dimensions ---- */

SIM_EXPORT CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D *pCopy)
{
	return copy_2d(SYNC(cuMemcpy2D_v2), pCopy, NULL);
}

SIM_EXPORT CUresult cuMemcpy2D_v2_ptds(const CUDA_MEMCPY2D *pCopy)
{
	return copy_2d(SYNC_PTDS(cuMemcpy2D_v2_ptds), pCopy, NULL);
}

SIM_EXPORT CUresult cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D *pCopy)
{
	return copy_2d(SYNC(cuMemcpy2DUnaligned_v2), pCopy, NULL);
}

SIM_EXPORT CUresult cuMemcpy2DUnaligned_v2_ptds(const CUDA_MEMCPY2D *pCopy)
{
	return copy_2d(SYNC_PTDS(cuMemcpy2DUnaligned_v2_ptds), pCopy, NULL);
}

SIM_EXPORT CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *pCopy, CUstream hStream)
{
	return copy_2d(ASYNC(cuMemcpy2DAsync_v2), pCopy, hStream);
}

SIM_EXPORT CUresult cuMemcpy2DAsync_v2_ptsz(const CUDA_MEMCPY2D *pCopy, CUstream hStream)
{
	return copy_2d(ASYNC_PTSZ(cuMemcpy2DAsync_v2_ptsz), pCopy, hStream);
}

SIM_EXPORT CUresult cuMemcpy3D_v2(const CUDA_MEMCPY3D *pCopy)
{
	return copy_3d(SYNC(cuMemcpy3D_v2), pCopy, NULL);
}

SIM_EXPORT CUresult cuMemcpy3D_v2_ptds(const CUDA_MEMCPY3D *pCopy)
{
	return copy_3d(SYNC_PTDS(cuMemcpy3D_v2_ptds), pCopy, NULL);
}

SIM_EXPORT CUresult cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *pCopy, CUstream hStream)
{
	return copy_3d(ASYNC(cuMemcpy3DAsync_v2), pCopy, hStream);
}

SIM_EXPORT CUresult cuMemcpy3DAsync_v2_ptsz(const CUDA_MEMCPY3D *pCopy, CUstream hStream)
{
	return copy_3d(ASYNC_PTSZ(cuMemcpy3DAsync_v2_ptsz), pCopy, hStream);
}
