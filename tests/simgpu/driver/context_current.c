/*
 * context_current.c - which context is current to a thread, and what it is.
 *
 * Knows: each thread's stack of contexts. Refuses to know: how contexts come and go.
 *
 * A destroyed context stays on the stacks of other threads as a dead entry. Entries carry
 * the context's unique id, so a new context in the same memory does not revive them; entries
 * of a primary context live again when it is retained again, as its handle does.
 */
#include "driver/client.h"

#include <stdlib.h>

#include "driver/capture.h"

#define DEPTH_MAX 65536u

struct entry {
	struct sim_context *ctx;
	uint64_t unique_id;
};

struct stack {
	struct entry *entries;
	unsigned depth, room;
};

/* Of a few bytes, which a library loaded later still gets in every thread's static block:
 * two loads instead of a call in each entry point. */
static _Thread_local struct stack stack __attribute__((tls_model("initial-exec")));

static pthread_key_t stack_key; /* its destructor frees the thread's stack */
static pthread_once_t stack_once = PTHREAD_ONCE_INIT;

/* ---- the stack ---- */

static void stack_free(void *entries)
{
	free(entries);
	stack = (struct stack){ 0 };
}

static void make_stack_key(void)
{
	pthread_key_create(&stack_key, stack_free);
}

bool sim_current_reserve(void)
{
	unsigned room = stack.room != 0 ? 2 * stack.room : 8;
	struct entry *entries;

	if (stack.depth < stack.room)
		return true;
	if (room > DEPTH_MAX)
		return false;
	entries = realloc(stack.entries, room * sizeof(*entries));
	if (entries == NULL)
		return false;
	stack.entries = entries;
	stack.room = room;
	pthread_once(&stack_once, make_stack_key);
	pthread_setspecific(stack_key, entries);
	return true;
}

bool sim_context_usable(const struct sim_context *ctx)
{
	/* With sim_context_open(): the rest of it is in place. */
	return __atomic_load_n(&ctx->active, __ATOMIC_ACQUIRE);
}

static inline bool usable(const struct entry *entry)
{
	return atomic_load_explicit(&entry->ctx->object.live, memory_order_acquire) ==
		       SIM_T_CONTEXT &&
	       (entry->ctx->unique_id == entry->unique_id || entry->ctx->primary) &&
	       __atomic_load_n(&entry->ctx->active, __ATOMIC_ACQUIRE);
}

struct sim_context *sim_current(void)
{
	if (stack.depth == 0 || !usable(&stack.entries[stack.depth - 1]))
		return NULL;
	return stack.entries[stack.depth - 1].ctx;
}

CUresult sim_need_context(struct sim_context **ctx)
{
	if (stack.depth == 0)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!usable(&stack.entries[stack.depth - 1]))
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	*ctx = stack.entries[stack.depth - 1].ctx;
	return CUDA_SUCCESS;
}

CUresult sim_context_get(CUcontext handle, struct sim_context **ctx)
{
	if (!sim_object_check(handle, SIM_T_CONTEXT))
		return CUDA_ERROR_INVALID_CONTEXT;
	*ctx = (struct sim_context *)handle;
	return sim_context_usable(*ctx) ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

/* The context meant by a handle where NULL means the current one. */
static CUresult get_or_current(CUcontext handle, struct sim_context **ctx)
{
	return handle == NULL ? sim_need_context(ctx) : sim_context_get(handle, ctx);
}

CUresult sim_current_push(struct sim_context *ctx)
{
	if (!sim_current_reserve())
		return CUDA_ERROR_OUT_OF_MEMORY;
	stack.entries[stack.depth++] = (struct entry){ ctx, ctx->unique_id };
	return CUDA_SUCCESS;
}

void sim_current_drop(struct sim_context *ctx)
{
	if (stack.depth != 0 && stack.entries[stack.depth - 1].ctx == ctx)
		stack.depth--;
}

static CUcontext top(void)
{
	return stack.depth != 0 ? (CUcontext)stack.entries[stack.depth - 1].ctx : NULL;
}

/* ---- which one is current ---- */

static CUresult push_current(CUcontext handle)
{
	struct sim_context *ctx;
	CUresult res = sim_context_get(handle, &ctx);

	return res != CUDA_SUCCESS ? res : sim_current_push(ctx);
}

SIM_EXPORT CUresult cuCtxPushCurrent(CUcontext ctx)
{
	CUresult res = sim_enter(SIM_FN_cuCtxPushCurrent);

	return res != CUDA_SUCCESS ? res : push_current(ctx);
}

SIM_EXPORT CUresult cuCtxPushCurrent_v2(CUcontext ctx)
{
	CUresult res = sim_enter(SIM_FN_cuCtxPushCurrent_v2);

	return res != CUDA_SUCCESS ? res : push_current(ctx);
}

static CUresult pop_current(CUcontext *handle)
{
	if (stack.depth == 0)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (handle != NULL)
		*handle = top();
	stack.depth--;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxPopCurrent(CUcontext *ctx)
{
	CUresult res = sim_enter(SIM_FN_cuCtxPopCurrent);

	return res != CUDA_SUCCESS ? res : pop_current(ctx);
}

SIM_EXPORT CUresult cuCtxPopCurrent_v2(CUcontext *ctx)
{
	CUresult res = sim_enter(SIM_FN_cuCtxPopCurrent_v2);

	return res != CUDA_SUCCESS ? res : pop_current(ctx);
}

SIM_EXPORT CUresult cuCtxSetCurrent(CUcontext ctx)
{
	CUresult res = sim_enter(SIM_FN_cuCtxSetCurrent);
	struct sim_context *found;

	if (res != CUDA_SUCCESS)
		return res;
	if (ctx != NULL) {
		res = sim_context_get(ctx, &found);
		if (res != CUDA_SUCCESS)
			return res;
	}
	if (stack.depth != 0)
		stack.depth--;
	return ctx != NULL ? sim_current_push(found) : CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxGetCurrent(CUcontext *ctx)
{
	CUresult res = sim_enter(SIM_FN_cuCtxGetCurrent);

	if (res != CUDA_SUCCESS)
		return res;
	if (ctx == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	*ctx = top();
	return CUDA_SUCCESS;
}

/* ---- what a context is ---- */

/* The argument that CUDA 13 gave to cuCtxGetDevice and cuCtxSynchronize. Where an older driver
 * is simulated, a program that guesses these names (Debian 12's numba tries NAME_v2 first)
 * passes none, and would find no such symbol on a card. */
static CUcontext added_in_13(CUcontext handle)
{
	return sim.hello.driver_version < 13000 ? NULL : handle;
}

static CUresult get_device(CUdevice *device, CUcontext handle)
{
	struct sim_context *ctx;
	CUresult res;

	if (device == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	res = get_or_current(handle, &ctx);
	if (res == CUDA_SUCCESS)
		*device = (CUdevice)ctx->device;
	return res;
}

SIM_EXPORT CUresult cuCtxGetDevice(CUdevice *device)
{
	CUresult res = sim_enter(SIM_FN_cuCtxGetDevice);

	return res != CUDA_SUCCESS ? res : get_device(device, NULL);
}

SIM_EXPORT CUresult cuCtxGetDevice_v2(CUdevice *device, CUcontext ctx)
{
	CUresult res = sim_enter(SIM_FN_cuCtxGetDevice_v2);

	return res != CUDA_SUCCESS ? res : get_device(device, added_in_13(ctx));
}

SIM_EXPORT CUresult cuCtxGetId(CUcontext ctx, unsigned long long *id)
{
	CUresult res = sim_enter(SIM_FN_cuCtxGetId);
	struct sim_context *found;

	if (res != CUDA_SUCCESS)
		return res;
	if (id == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	res = get_or_current(ctx, &found);
	if (res == CUDA_SUCCESS)
		*id = found->unique_id;
	return res;
}

SIM_EXPORT CUresult cuCtxGetApiVersion(CUcontext ctx, unsigned int *version)
{
	CUresult res = sim_enter(SIM_FN_cuCtxGetApiVersion);
	struct sim_context *found;

	if (res != CUDA_SUCCESS)
		return res;
	if (version == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	res = get_or_current(ctx, &found);
	if (res == CUDA_SUCCESS)
		*version = found->api_version;
	return res;
}

SIM_EXPORT CUresult cuCtxGetFlags(unsigned int *flags)
{
	CUresult res = sim_enter(SIM_FN_cuCtxGetFlags);
	struct sim_context *ctx;

	if (res != CUDA_SUCCESS)
		return res;
	if (flags == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_need_context(&ctx);
	if (res == CUDA_SUCCESS)
		*flags = __atomic_load_n(&ctx->flags, __ATOMIC_RELAXED);
	return res;
}

SIM_EXPORT CUresult cuCtxSetFlags(unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuCtxSetFlags);
	struct sim_context *ctx;

	if (res != CUDA_SUCCESS)
		return res;
	if (!sim_context_flags_valid(flags))
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_need_context(&ctx);
	if (res == CUDA_SUCCESS)
		__atomic_store_n(&ctx->flags, flags, __ATOMIC_RELAXED);
	return res;
}

/* ---- synchronisation ---- */

static CUresult synchronize(CUcontext handle)
{
	struct sim_context *ctx;
	CUresult res = get_or_current(handle, &ctx);

	if (res == CUDA_SUCCESS)
		res = sim_capture_guard();
	if (res == CUDA_SUCCESS)
		res = sim_context_drain(ctx);
	if (res == CUDA_SUCCESS)
		sim_context_synced(ctx);
	return res;
}

SIM_EXPORT CUresult cuCtxSynchronize(void)
{
	CUresult res = sim_enter(SIM_FN_cuCtxSynchronize);

	return res != CUDA_SUCCESS ? res : synchronize(NULL);
}

SIM_EXPORT CUresult cuCtxSynchronize_v2(CUcontext ctx)
{
	CUresult res = sim_enter(SIM_FN_cuCtxSynchronize_v2);

	return res != CUDA_SUCCESS ? res : synchronize(added_in_13(ctx));
}
