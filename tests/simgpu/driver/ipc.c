/*
 * ipc.c - memory and events of one process used by another.
 *
 * Knows: handles (32 significant bytes that the device process issues) and how often this
 * process has opened which memory. Refuses to know: whose memory it is; the device process
 * does, and keeps it while anyone has it open. There is none of this in zero-cost mode.
 */
#include "driver/memory.h"

#include <string.h>

#include "driver/event.h"
#include "driver/visible.h"

#define SIGNIFICANT_BYTES 32u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* opens and closes in order */

/* Both kinds of handle are 64 bytes. */
static void put_handle(char out[CU_IPC_HANDLE_SIZE], const uint64_t v[6])
{
	memset(out, 0, CU_IPC_HANDLE_SIZE);
	memcpy(out, v, SIGNIFICANT_BYTES);
}

static bool get_handle(const char in[CU_IPC_HANDLE_SIZE], uint64_t a[6])
{
	memcpy(a, in, SIGNIFICANT_BYTES);
	for (unsigned i = SIGNIFICANT_BYTES; i < CU_IPC_HANDLE_SIZE; i++)
		if (in[i] != 0)
			return false;
	return true;
}

static CUresult begin(enum sim_fn fn, struct sim_context **ctx)
{
	CUresult res = sim_enter(fn);

	if (res == CUDA_SUCCESS)
		res = sim_need_context(ctx);
	return res == CUDA_SUCCESS && sim.zero_cost ? CUDA_ERROR_NOT_SUPPORTED : res;
}

SIM_EXPORT CUresult cuIpcGetMemHandle(CUipcMemHandle *pHandle, CUdeviceptr dptr)
{
	struct sim_context *ctx;
	struct sim_alloc alloc;
	uint64_t v[6];
	CUresult res = begin(SIM_FN_cuIpcGetMemHandle, &ctx);

	if (res != CUDA_SUCCESS)
		return res;
	if (!pHandle || !sim_ranges_find(dptr, &alloc) || alloc.base != dptr ||
	    alloc.origin != SIM_FROM_ALLOC || alloc.kind != SIM_MEM_PLAIN)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_rpc(SIM_RPC_IPC_GET, (uint64_t[6]){ dptr }, v, -1, NULL);
	if (res == CUDA_SUCCESS)
		put_handle(pHandle->reserved, v);
	return res;
}

/* Enters an opened range, or counts one more opening of it. Under the lock. */
static CUresult opened(struct sim_context *ctx, uint64_t addr, uint64_t bytes,
		       uint64_t device)
{
	struct sim_alloc alloc;

	if (sim_ranges_find(addr, &alloc) && alloc.origin == SIM_FROM_IPC) {
		alloc.flags++;
		sim_ranges_update(&alloc);
		return CUDA_SUCCESS;
	}
	alloc = (struct sim_alloc){
		.base = addr,
		.bytes = bytes,
		.origin = SIM_FROM_IPC,
		.kind = SIM_MEM_PLAIN,
		/* Of a device that this process does not see, it sees the one it opened for. */
		.device = device == SIM_HIDDEN ? ctx->device : (unsigned)device,
		.ctx = ctx,
		.flags = 1,
	};
	if (sim_ranges_add(&alloc) == 0)
		return CUDA_SUCCESS;
	sim_rpc(SIM_RPC_IPC_CLOSE, (uint64_t[6]){ addr }, NULL, -1, NULL);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult open_memory(enum sim_fn fn, CUdeviceptr *out,
			    const CUipcMemHandle *handle, unsigned flags)
{
	struct sim_context *ctx;
	uint64_t a[6] = { 0 }, v[6];
	CUresult res = begin(fn, &ctx);

	if (res != CUDA_SUCCESS)
		return res;
	if (!out || (flags & ~(unsigned)CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS))
		return CUDA_ERROR_INVALID_VALUE;
	if (!get_handle(handle->reserved, a))
		return CUDA_ERROR_INVALID_HANDLE;
	a[4] = ctx->id;
	pthread_mutex_lock(&lock);
	res = sim_rpc(SIM_RPC_IPC_OPEN, a, v, -1, NULL);
	if (res == CUDA_SUCCESS)
		res = opened(ctx, v[0], v[1], v[2]);
	pthread_mutex_unlock(&lock);
	if (res == CUDA_SUCCESS)
		*out = v[0];
	return res;
}

SIM_EXPORT CUresult cuIpcOpenMemHandle(CUdeviceptr *pdptr, CUipcMemHandle handle,
				       unsigned int Flags)
{
	return open_memory(SIM_FN_cuIpcOpenMemHandle, pdptr, &handle, Flags);
}

SIM_EXPORT CUresult cuIpcOpenMemHandle_v2(CUdeviceptr *pdptr, CUipcMemHandle handle,
					  unsigned int Flags)
{
	return open_memory(SIM_FN_cuIpcOpenMemHandle_v2, pdptr, &handle, Flags);
}

SIM_EXPORT CUresult cuIpcCloseMemHandle(CUdeviceptr dptr)
{
	struct sim_context *ctx;
	struct sim_alloc alloc;
	CUresult res = begin(SIM_FN_cuIpcCloseMemHandle, &ctx);

	if (res != CUDA_SUCCESS)
		return res;
	if (!sim_ranges_find(dptr, &alloc) || alloc.origin != SIM_FROM_IPC ||
	    alloc.base != dptr)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_context_drain(alloc.ctx);
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&lock);
	if (!sim_ranges_find(dptr, &alloc) || alloc.origin != SIM_FROM_IPC) {
		res = CUDA_ERROR_INVALID_VALUE;
	} else if (--alloc.flags > 0) {
		sim_ranges_update(&alloc);
	} else {
		sim_ranges_remove(dptr, SIM_FROM_IPC, NULL);
	}
	if (res == CUDA_SUCCESS)
		res = sim_rpc(SIM_RPC_IPC_CLOSE, (uint64_t[6]){ dptr }, NULL, -1, NULL);
	pthread_mutex_unlock(&lock);
	return res;
}

/* ---- events ---- */

SIM_EXPORT CUresult cuIpcGetEventHandle(CUipcEventHandle *pHandle, CUevent event)
{
	struct sim_context *ctx;
	struct sim_event *found;
	uint64_t v[6];
	CUresult res = begin(SIM_FN_cuIpcGetEventHandle, &ctx);

	if (res == CUDA_SUCCESS)
		res = sim_event_get(event, &found);
	if (res != CUDA_SUCCESS)
		return res;
	if (!pHandle || found->imported || !(found->flags & CU_EVENT_INTERPROCESS))
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_rpc(SIM_RPC_IPC_EVENT_GET, (uint64_t[6]){ found->slot }, v, -1, NULL);
	if (res == CUDA_SUCCESS)
		put_handle(pHandle->reserved, v);
	return res;
}

SIM_EXPORT CUresult cuIpcOpenEventHandle(CUevent *phEvent, CUipcEventHandle handle)
{
	struct sim_context *ctx;
	struct sim_event *event;
	uint64_t a[6] = { 0 };
	CUresult res = begin(SIM_FN_cuIpcOpenEventHandle, &ctx);

	if (res != CUDA_SUCCESS)
		return res;
	if (!phEvent)
		return CUDA_ERROR_INVALID_VALUE;
	if (!get_handle(handle.reserved, a))
		return CUDA_ERROR_INVALID_HANDLE;
	event = sim_event_new(ctx, CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING);
	if (!event)
		return CUDA_ERROR_OUT_OF_MEMORY;
	event->imported = true;
	a[4] = event->slot;
	res = sim_rpc(SIM_RPC_IPC_EVENT_OPEN, a, NULL, -1, NULL);
	if (res == CUDA_SUCCESS)
		*phEvent = (CUevent)event;
	else
		sim_event_free(event);
	return res;
}
