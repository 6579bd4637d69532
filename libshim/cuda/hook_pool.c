/*
 * hook_pool.c - stream-ordered allocation: which pool a call draws on, and what passes.
 *
 * Knows streams, their devices and captures: a call that is captured becomes a node of a
 * graph and takes nothing now. Which pool cuMemAllocAsync draws on is asked at every call,
 * since there are several ways to set it.
 */
#include "cuda/claim.h"
#include "cuda/graph.h"
#include "cuda/hook.h"
#include "cuda/pool.h"
#include "cuda/share.h"

static CUresult enter(void)
{
	return gsh_likely(gsh_enter() == GSH_MODE_ACTIVE) ? CUDA_SUCCESS : gsh_inactive();
}

static bool is_active(void)
{
	return gsh_load_relaxed(&gsh_process->mode) == GSH_MODE_ACTIVE;
}

/* ---- streams ---- */

/* Also true where the driver is going to refuse the call because another stream is. */
static bool is_capturing(CUstream stream, bool per_thread)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
	CUresult res = CUDA_SUCCESS;

	if (per_thread && gsh_driver.call_cuStreamIsCapturing_ptsz)
		res = gsh_driver.call_cuStreamIsCapturing_ptsz(stream, &status);
	else if (gsh_driver.call_cuStreamIsCapturing)
		res = gsh_driver.call_cuStreamIsCapturing(stream, &status);
	return res == CUDA_ERROR_STREAM_CAPTURE_IMPLICIT ||
	       status != CU_STREAM_CAPTURE_STATUS_NONE;
}

static bool has_handle(CUstream stream)
{
	return stream && stream != CU_STREAM_LEGACY && stream != CU_STREAM_PER_THREAD;
}

static CUresult context_of(CUstream stream, CUcontext *context)
{
	return has_handle(stream) && gsh_driver.call_cuStreamGetCtx
		       ? gsh_driver.call_cuStreamGetCtx(stream, context)
		       : gsh_driver.call_cuCtxGetCurrent(context);
}

static CUresult device_of(CUstream stream, CUdevice *device)
{
	CUcontext context, current;
	CUresult res = gsh_driver.call_cuCtxGetCurrent(&current);

	if (res == CUDA_SUCCESS)
		res = context_of(stream, &context);
	if (res != CUDA_SUCCESS)
		return res;
	if (context == current)
		return gsh_driver.call_cuCtxGetDevice(device);
	res = gsh_driver.cuCtxPushCurrent_v2(context);
	if (res != CUDA_SUCCESS)
		return res;
	res = gsh_driver.call_cuCtxGetDevice(device);
	gsh_driver.cuCtxPopCurrent_v2(&current);
	return res;
}

/* ---- which pool ---- */

/* The pool in use on the stream's device. *pool NULL: the driver has to say what is wrong. */
static CUresult current_pool(CUstream stream, struct gsh_pool **pool)
{
	CUmemoryPool handle;
	CUdevice device;
	CUresult res = device_of(stream, &device);
	int row;

	*pool = NULL;
	if (res == CUDA_SUCCESS)
		res = gsh_driver.call_cuDeviceGetMemPool
			      ? gsh_driver.call_cuDeviceGetMemPool(&handle, device)
			      : CUDA_ERROR_NOT_SUPPORTED;
	if (res != CUDA_SUCCESS)
		return res;
	row = gsh_device_row(device);
	if (row < 0)
		return (CUresult)-row;
	*pool = gsh_pool_adopt((uintptr_t)handle, row);
	return *pool ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static bool is_pool_of(CUmemoryPool handle, CUdevice device)
{
	CUmemoryPool its;

	return (gsh_driver.call_cuDeviceGetDefaultMemPool &&
		gsh_driver.call_cuDeviceGetDefaultMemPool(&its, device) == CUDA_SUCCESS &&
		its == handle) ||
	       (gsh_driver.call_cuDeviceGetMemPool &&
		gsh_driver.call_cuDeviceGetMemPool(&its, device) == CUDA_SUCCESS &&
		its == handle);
}

/* A pool that was not seen being made: a device's own, or thought to lie on the stream's
 * device until an allocation shows where it lies. */
static CUresult adopt_unknown(CUmemoryPool handle, CUdevice device,
			      struct gsh_pool **pool, bool *guessed)
{
	cuuint64_t reserved;
	int count = 0, row;

	if (!gsh_driver.call_cuMemPoolGetAttribute ||
	    gsh_driver.call_cuMemPoolGetAttribute(handle,
						  CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT,
						  &reserved) != CUDA_SUCCESS)
		return CUDA_SUCCESS; /* no pool */
	gsh_driver.call_cuDeviceGetCount(&count);
	*guessed = true;
	for (int i = 0; i < count && *guessed; i++)
		if (is_pool_of(handle, i)) {
			device = i;
			*guessed = false;
		}
	row = gsh_device_row(device);
	if (row < 0)
		return (CUresult)-row;
	*pool = gsh_pool_adopt((uintptr_t)handle, row);
	return *pool ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult explicit_pool(CUmemoryPool handle, CUstream stream,
			      struct gsh_pool **pool, bool *guessed)
{
	CUdevice device;
	CUresult res;
	int row;

	*pool = gsh_pool_find((uintptr_t)handle);
	if (*pool && (*pool)->growth.row != GSH_POOL_ROW_UNKNOWN)
		return CUDA_SUCCESS;
	res = device_of(stream, &device);
	if (res != CUDA_SUCCESS)
		return res;
	if (!*pool)
		return adopt_unknown(handle, device, pool, guessed);
	row = gsh_device_row(device);
	if (row < 0)
		return (CUresult)-row;
	gsh_pool_move(*pool, row);
	return CUDA_SUCCESS;
}

/* Where the first allocation of an adopted pool lies. */
static void place_pool(struct gsh_pool *pool, CUdeviceptr address)
{
	unsigned int type = CU_MEMORYTYPE_DEVICE;
	int ordinal, row;

	if (!gsh_driver.call_cuPointerGetAttribute ||
	    gsh_driver.call_cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
						  address) != CUDA_SUCCESS)
		return;
	if (type == CU_MEMORYTYPE_HOST) {
		gsh_pool_move(pool, GSH_POOL_NOT_CHARGED);
		return;
	}
	if (gsh_driver.call_cuPointerGetAttribute(&ordinal,
						  CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
						  address) != CUDA_SUCCESS)
		return;
	row = gsh_device_row(ordinal);
	if (row >= 0)
		gsh_pool_move(pool, row);
}

/* ---- allocating ---- */

struct request {
	CUdeviceptr *dptr;
	size_t bytes;
	CUmemoryPool pool; /* NULL: the one in use */
	CUstream stream;
	bool per_thread, of_pool;
};

static CUresult ask_driver(const struct request *r)
{
	if (r->of_pool && r->per_thread)
		return gsh_driver.cuMemAllocFromPoolAsync_ptsz(r->dptr, r->bytes, r->pool,
							       r->stream);
	if (r->of_pool)
		return gsh_driver.cuMemAllocFromPoolAsync(r->dptr, r->bytes, r->pool,
							  r->stream);
	if (r->per_thread)
		return gsh_driver.cuMemAllocAsync_ptsz(r->dptr, r->bytes, r->stream);
	return gsh_driver.cuMemAllocAsync(r->dptr, r->bytes, r->stream);
}

/* The pool has taken more than the quota has: what was allocated goes back. */
static void undo(const struct request *r, struct gsh_pool *pool)
{
	struct gsh_pool_free release;
	CUcontext context = NULL;
	CUresult res = CUDA_ERROR_NOT_SUPPORTED;

	gsh_pool_free_begin(&release, *r->dptr);
	if (context_of(r->stream, &context) != CUDA_SUCCESS)
		context = NULL;
	if (r->per_thread && gsh_driver.cuMemFreeAsync_ptsz)
		res = gsh_driver.cuMemFreeAsync_ptsz(*r->dptr, r->stream);
	else if (gsh_driver.cuMemFreeAsync)
		res = gsh_driver.cuMemFreeAsync(*r->dptr, r->stream);
	gsh_pool_free_end(&release, res == CUDA_SUCCESS,
			  gsh_pool_stream(r->stream, r->per_thread), (uintptr_t)context);
	gsh_pools_trim(pool->growth.row);
	*r->dptr = 0;
	gsh_charge_deny(r->bytes);
}

static CUresult allocate(const struct request *r)
{
	struct gsh_growth_call call;
	struct gsh_pool *pool;
	bool guessed = false;
	CUresult res, driver_res;

	/* What the driver is going to refuse, or only notes down. */
	if (!r->dptr || r->bytes >= GSH_CLAIM_ABSURD_BYTES ||
	    is_capturing(r->stream, r->per_thread))
		return ask_driver(r);
	res = r->of_pool ? explicit_pool(r->pool, r->stream, &pool, &guessed)
			 : current_pool(r->stream, &pool);
	if (res != CUDA_SUCCESS)
		return res;
	if (!pool)
		return ask_driver(r);
	res = gsh_pool_begin(pool, r->bytes, gsh_pool_stream(r->stream, r->per_thread),
			     &call);
	if (res != CUDA_SUCCESS)
		return res;
	driver_res = ask_driver(r);
	res = gsh_pool_end(pool, &call, driver_res,
			   driver_res == CUDA_SUCCESS ? *r->dptr : 0, r->bytes);
	if (gsh_unlikely(guessed && res == CUDA_SUCCESS))
		place_pool(pool, *r->dptr);
	if (gsh_unlikely(res != driver_res))
		undo(r, pool);
	return res;
}

CUresult CUDAAPI cuMemAllocAsync(CUdeviceptr *dptr, size_t bytesize, CUstream hStream)
{
	const struct request request = { dptr, bytesize, NULL, hStream, false, false };
	CUresult res;

	GSH_NEED(cuMemAllocAsync);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	return is_active() ? allocate(&request) : ask_driver(&request);
}

CUresult CUDAAPI cuMemAllocAsync_ptsz(CUdeviceptr *dptr, size_t bytesize,
				      CUstream hStream)
{
	const struct request request = { dptr, bytesize, NULL, hStream, true, false };
	CUresult res;

	GSH_NEED(cuMemAllocAsync_ptsz);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	return is_active() ? allocate(&request) : ask_driver(&request);
}

CUresult CUDAAPI cuMemAllocFromPoolAsync(CUdeviceptr *dptr, size_t bytesize,
					 CUmemoryPool pool, CUstream hStream)
{
	const struct request request = { dptr, bytesize, pool, hStream, false, true };
	CUresult res;

	GSH_NEED(cuMemAllocFromPoolAsync);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	return is_active() ? allocate(&request) : ask_driver(&request);
}

CUresult CUDAAPI cuMemAllocFromPoolAsync_ptsz(CUdeviceptr *dptr, size_t bytesize,
					      CUmemoryPool pool, CUstream hStream)
{
	const struct request request = { dptr, bytesize, pool, hStream, true, true };
	CUresult res;

	GSH_NEED(cuMemAllocFromPoolAsync_ptsz);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	return is_active() ? allocate(&request) : ask_driver(&request);
}

/* ---- freeing ---- */

static CUresult ask_driver_to_free(CUdeviceptr dptr, CUstream stream, bool per_thread)
{
	return per_thread ? gsh_driver.cuMemFreeAsync_ptsz(dptr, stream)
			  : gsh_driver.cuMemFreeAsync(dptr, stream);
}

/* It may also be memory of cuMemAlloc, or of a graph. */
static CUresult free_other(CUdeviceptr dptr, CUstream stream, bool per_thread)
{
	struct gsh_release release;
	CUresult res = gsh_release_begin(&release, GSH_ALLOC_POINTER, dptr);

	if (res != CUDA_SUCCESS)
		return res;
	return gsh_release_end(&release, ask_driver_to_free(dptr, stream, per_thread));
}

static CUresult free_async(CUdeviceptr dptr, CUstream stream, bool per_thread)
{
	struct gsh_pool_free release;
	CUcontext context = NULL;
	CUresult res;

	if (is_capturing(stream, per_thread))
		return ask_driver_to_free(dptr, stream, per_thread);
	gsh_pool_free_begin(&release, dptr);
	if (!release.known)
		return free_other(dptr, stream, per_thread);
	if (context_of(stream, &context) != CUDA_SUCCESS)
		context = NULL;
	res = ask_driver_to_free(dptr, stream, per_thread);
	gsh_pool_free_end(&release, gsh_release_happened(res),
			  gsh_pool_stream(stream, per_thread), (uintptr_t)context);
	return res;
}

CUresult CUDAAPI cuMemFreeAsync(CUdeviceptr dptr, CUstream hStream)
{
	CUresult res;

	GSH_NEED(cuMemFreeAsync);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	return is_active() ? free_async(dptr, hStream, false)
			   : gsh_driver.cuMemFreeAsync(dptr, hStream);
}

CUresult CUDAAPI cuMemFreeAsync_ptsz(CUdeviceptr dptr, CUstream hStream)
{
	CUresult res;

	GSH_NEED(cuMemFreeAsync_ptsz);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	return is_active() ? free_async(dptr, hStream, true)
			   : gsh_driver.cuMemFreeAsync_ptsz(dptr, hStream);
}

/* ---- pools ---- */

/* False: of a device that cannot be told. */
static bool row_of(const CUmemPoolProps *props, int *row)
{
	*row = GSH_POOL_NOT_CHARGED;
	if (props->location.type == CU_MEM_LOCATION_TYPE_DEVICE)
		*row = gsh_device_row(props->location.id);
	else if (props->allocType == CU_MEM_ALLOCATION_TYPE_MANAGED)
		*row = GSH_POOL_ROW_UNKNOWN;
	return props->location.type != CU_MEM_LOCATION_TYPE_DEVICE || *row >= 0;
}

CUresult CUDAAPI cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *poolProps)
{
	struct gsh_pool *entry;
	CUresult res;
	int row;

	GSH_NEED(cuMemPoolCreate);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	/* Where the device is not known the driver knows none either. */
	if (!is_active() || !pool || !poolProps || !row_of(poolProps, &row))
		return gsh_driver.cuMemPoolCreate(pool, poolProps);
	entry = gsh_pool_prepare();
	if (!entry)
		return CUDA_ERROR_OUT_OF_MEMORY;
	res = gsh_driver.cuMemPoolCreate(pool, poolProps);
	if (res == CUDA_SUCCESS)
		gsh_pool_made(entry, (uintptr_t)*pool, row, false, poolProps->maxSize);
	else
		gsh_pool_not_made(entry);
	return res;
}

CUresult CUDAAPI cuMemPoolDestroy(CUmemoryPool pool)
{
	struct gsh_pool *entry;
	CUresult res;

	GSH_NEED(cuMemPoolDestroy);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	entry = is_active() ? gsh_pool_find((uintptr_t)pool) : NULL;
	if (!entry)
		return gsh_driver.cuMemPoolDestroy(pool);
	gsh_pool_destroy_begin(entry);
	res = gsh_driver.cuMemPoolDestroy(pool);
	gsh_pool_destroy_end(entry, (uintptr_t)pool, gsh_release_happened(res));
	return res;
}

CUresult CUDAAPI cuMemPoolTrimTo(CUmemoryPool pool, size_t minBytesToKeep)
{
	struct gsh_pool *entry;
	CUresult res;

	GSH_NEED(cuMemPoolTrimTo);
	res = enter();
	if (res != CUDA_SUCCESS)
		return res;
	entry = is_active() ? gsh_pool_find((uintptr_t)pool) : NULL;
	return entry ? gsh_pool_trim_to(entry, (uintptr_t)pool, minBytesToKeep)
		     : gsh_driver.cuMemPoolTrimTo(pool, minBytesToKeep);
}
