/*
 * plugin_v1.c - a driver of CUDA 2: addresses and sizes of 32 bits, no newer versions beside
 * them but the queries that say more than 32 bits can.
 *
 * It keeps books that its client can ask for, so that what is charged can be compared with
 * what was taken. One device of 6 GiB. Not thread-safe: what other threads do while a call is
 * under way, the client does in a function that the call calls.
 */
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>

#include <string.h>

#define DEVICE_BYTES ((size_t)6 << 30)

enum { BLOCKS = 64, STEP = 256 };

/* By handle or address: STEP times one more than the index. 0 bytes: free. */
static size_t blocks[BLOCKS];

/* ---- for the client ---- */

size_t v1_taken_bytes(void);
unsigned v1_asked(void);
void v1_pitch_step(unsigned bytes);
void v1_in_destroy(void (*function)(void));

/* Contexts are numbers, and a free one is used again. */
enum { CONTEXTS = 4 };

static int context_lives[CONTEXTS];
static size_t block_context[BLOCKS];
static size_t current = 1;
static void (*in_destroy)(void);

static unsigned asked;
static unsigned pitch_step = 512;

size_t v1_taken_bytes(void)
{
	size_t sum = 0;

	for (int i = 0; i < BLOCKS; i++)
		sum += blocks[i];
	return sum;
}

/* How often it was asked for memory. */
unsigned v1_asked(void)
{
	return asked;
}

/* Rows of pitched memory begin at multiples of this from now on. */
void v1_pitch_step(unsigned bytes)
{
	pitch_step = bytes;
}

/* Called by the next cuCtxDestroy when the context has gone and the call has not returned. */
void v1_in_destroy(void (*function)(void))
{
	in_destroy = function;
}

/* ---- memory ---- */

static unsigned take(size_t bytes)
{
	asked++;
	if (bytes == 0)
		return 0;
	for (unsigned i = 0; i < BLOCKS; i++)
		if (blocks[i] == 0) {
			blocks[i] = bytes;
			block_context[i] = current;
			return (i + 1) * STEP;
		}
	return 0;
}

static CUresult give(size_t address)
{
	size_t i = address / STEP - 1;

	if (address % STEP || i >= BLOCKS || blocks[i] == 0)
		return CUDA_ERROR_INVALID_VALUE;
	blocks[i] = 0;
	return CUDA_SUCCESS;
}

CUresult CUDAAPI cuMemAlloc(CUdeviceptr_v1 *dptr, unsigned int bytesize)
{
	unsigned address = dptr ? take(bytesize) : 0;

	if (!address)
		return CUDA_ERROR_INVALID_VALUE;
	*dptr = address;
	return CUDA_SUCCESS;
}

CUresult CUDAAPI cuMemAllocPitch(CUdeviceptr_v1 *dptr, unsigned int *pPitch,
				 unsigned int WidthInBytes, unsigned int Height,
				 unsigned int ElementSizeBytes)
{
	unsigned pitch = (WidthInBytes + pitch_step - 1) / pitch_step * pitch_step;
	unsigned address = dptr && pPitch && ElementSizeBytes == 4
				   ? take((size_t)pitch * Height)
				   : 0;

	if (!address)
		return CUDA_ERROR_INVALID_VALUE;
	*dptr = address;
	*pPitch = pitch;
	return CUDA_SUCCESS;
}

CUresult CUDAAPI cuMemFree(CUdeviceptr_v1 dptr)
{
	return give(dptr);
}

CUresult CUDAAPI cuMemFree_v2(CUdeviceptr dptr)
{
	return give(dptr);
}

CUresult CUDAAPI cuArrayCreate(CUarray *pHandle,
			       const CUDA_ARRAY_DESCRIPTOR_v1 *pAllocateArray)
{
	unsigned address = pHandle && pAllocateArray
				   ? take((size_t)pAllocateArray->Width *
					  (pAllocateArray->Height ? pAllocateArray->Height
								  : 1) *
					  pAllocateArray->NumChannels)
				   : 0;

	if (!address)
		return CUDA_ERROR_INVALID_VALUE;
	*pHandle = (CUarray)(size_t)address;
	return CUDA_SUCCESS;
}

CUresult CUDAAPI cuArray3DCreate(CUarray *pHandle,
				 const CUDA_ARRAY3D_DESCRIPTOR_v1 *pAllocateArray)
{
	unsigned address = pHandle && pAllocateArray
				   ? take((size_t)pAllocateArray->Width *
					  pAllocateArray->Height * pAllocateArray->Depth *
					  pAllocateArray->NumChannels)
				   : 0;

	if (!address)
		return CUDA_ERROR_INVALID_VALUE;
	*pHandle = (CUarray)(size_t)address;
	return CUDA_SUCCESS;
}

CUresult CUDAAPI cuArrayDestroy(CUarray hArray)
{
	return give((size_t)hArray);
}

/* ---- queries ---- */

static unsigned in_32_bits(size_t bytes)
{
	return bytes < 0xffffffff ? (unsigned)bytes : 0xffffffff;
}

CUresult CUDAAPI cuMemGetInfo_v2(size_t *free, size_t *total)
{
	if (!free || !total)
		return CUDA_ERROR_INVALID_VALUE;
	*free = DEVICE_BYTES - v1_taken_bytes();
	*total = DEVICE_BYTES;
	return CUDA_SUCCESS;
}

CUresult CUDAAPI cuMemGetInfo(unsigned int *free, unsigned int *total)
{
	if (!free || !total)
		return CUDA_ERROR_INVALID_VALUE;
	*free = in_32_bits(DEVICE_BYTES - v1_taken_bytes());
	*total = in_32_bits(DEVICE_BYTES);
	return CUDA_SUCCESS;
}

CUresult CUDAAPI cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev)
{
	if (!bytes || dev != 0)
		return CUDA_ERROR_INVALID_VALUE;
	*bytes = DEVICE_BYTES;
	return CUDA_SUCCESS;
}

CUresult CUDAAPI cuDeviceTotalMem(unsigned int *bytes, CUdevice dev)
{
	if (!bytes || dev != 0)
		return CUDA_ERROR_INVALID_VALUE;
	*bytes = in_32_bits(DEVICE_BYTES);
	return CUDA_SUCCESS;
}

CUresult CUDAAPI cuInit(unsigned int Flags)
{
	(void)Flags;
	return CUDA_SUCCESS;
}

CUresult CUDAAPI cuDeviceGetUuid(CUuuid *uuid, CUdevice dev)
{
	(void)dev;
	memset(uuid->bytes, 0x42, sizeof(uuid->bytes));
	return CUDA_SUCCESS;
}

CUresult CUDAAPI cuCtxGetDevice(CUdevice *device)
{
	*device = 0;
	return CUDA_SUCCESS;
}

/* ---- contexts ---- */

CUresult CUDAAPI cuCtxGetCurrent(CUcontext *pctx)
{
	*pctx = (CUcontext)(current * 4096);
	return CUDA_SUCCESS;
}

CUresult CUDAAPI cuCtxCreate(CUcontext *pctx, unsigned int flags, CUdevice dev)
{
	(void)flags;
	(void)dev;
	for (size_t i = 0; i < CONTEXTS; i++)
		if (!context_lives[i]) {
			context_lives[i] = 1;
			current = i + 2;
			*pctx = (CUcontext)(current * 4096);
			return CUDA_SUCCESS;
		}
	return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult CUDAAPI cuCtxDestroy(CUcontext ctx)
{
	size_t number = (size_t)ctx / 4096;
	void (*function)(void) = in_destroy;

	if (number < 2 || number >= CONTEXTS + 2 || !context_lives[number - 2])
		return CUDA_ERROR_INVALID_CONTEXT;
	context_lives[number - 2] = 0;
	current = 1;
	for (int i = 0; i < BLOCKS; i++)
		if (block_context[i] == number)
			blocks[i] = 0;
	in_destroy = NULL;
	if (function)
		function();
	return CUDA_SUCCESS;
}
