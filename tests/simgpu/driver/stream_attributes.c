/*
 * stream_attributes.c - what a stream is: context, device, flags, priority, id, and the
 * attributes that can be set.
 *
 * Knows: these calls and their _ptsz twins. Attributes are kept and given back; none of them
 * changes what the simulated device does. Refuses to know: how streams are kept (stream.c).
 */
#include "driver/stream.h"

#include "driver/client.h"

/* ---- what a stream is ---- */

static CUresult get_ctx(CUstream handle, CUcontext *ctx, bool per_thread)
{
	struct sim_stream *stream;
	CUresult res;

	if (ctx == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_stream_get(handle, per_thread, &stream);
	if (res == CUDA_SUCCESS)
		*ctx = (CUcontext)stream->ctx;
	return res;
}

static CUresult get_ctx_v2(CUstream handle, CUcontext *ctx, CUgreenCtx *green,
			   bool per_thread)
{
	CUresult res = get_ctx(handle, ctx, per_thread);

	/* There are no green contexts. */
	if (res == CUDA_SUCCESS && green != NULL)
		*green = NULL;
	return res;
}

static CUresult get_device(CUstream handle, CUdevice *device, bool per_thread)
{
	struct sim_stream *stream;
	CUresult res;

	if (device == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_stream_get(handle, per_thread, &stream);
	if (res == CUDA_SUCCESS)
		*device = (CUdevice)stream->ctx->device;
	return res;
}

static CUresult get_flags(CUstream handle, unsigned *flags, bool per_thread)
{
	struct sim_stream *stream;
	CUresult res;

	if (flags == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_stream_get(handle, per_thread, &stream);
	if (res == CUDA_SUCCESS)
		*flags = stream->flags;
	return res;
}

static CUresult get_priority(CUstream handle, int *priority, bool per_thread)
{
	struct sim_stream *stream;
	CUresult res;

	if (priority == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_stream_get(handle, per_thread, &stream);
	if (res == CUDA_SUCCESS)
		*priority = ((struct sim_stream_full *)stream)->priority;
	return res;
}

static CUresult get_id(CUstream handle, unsigned long long *id, bool per_thread)
{
	struct sim_stream *stream;
	CUresult res;

	if (id == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_stream_get(handle, per_thread, &stream);
	if (res == CUDA_SUCCESS)
		*id = stream->unique_id;
	return res;
}

/* ---- attributes ---- */

static CUresult copy_attributes(CUstream to_handle, CUstream from_handle, bool per_thread)
{
	struct sim_stream *to, *from;
	struct sim_stream_full *dst, *src;
	CUresult res = sim_stream_get(to_handle, per_thread, &to);

	if (res == CUDA_SUCCESS)
		res = sim_stream_get(from_handle, per_thread, &from);
	if (res != CUDA_SUCCESS)
		return res;
	if (to->ctx != from->ctx)
		return CUDA_ERROR_INVALID_VALUE;
	dst = (struct sim_stream_full *)to;
	src = (struct sim_stream_full *)from;
	pthread_mutex_lock(&sim.lock);
	dst->window = src->window;
	dst->sync_policy = src->sync_policy;
	dst->domain_map = src->domain_map;
	dst->domain = src->domain;
	dst->priority = src->priority;
	dst->nvlink_centric = src->nvlink_centric;
	pthread_mutex_unlock(&sim.lock);
	return CUDA_SUCCESS;
}

/* Under sim.lock. */
static CUresult read_attribute(const struct sim_stream_full *full, CUstreamAttrID id,
			       CUstreamAttrValue *value)
{
	switch ((int)id) {
	case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
		value->accessPolicyWindow = full->window;
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
		value->syncPolicy = full->sync_policy;
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_PRIORITY:
		value->priority = full->priority;
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
		value->memSyncDomainMap = full->domain_map;
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
		value->memSyncDomain = full->domain;
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_NVLINK_UTIL_CENTRIC_SCHEDULING:
		value->nvlinkUtilCentricScheduling = full->nvlink_centric;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static CUresult write_attribute(struct sim_stream_full *full, CUstreamAttrID id,
				const CUstreamAttrValue *value)
{
	switch ((int)id) {
	case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
		if (!(value->accessPolicyWindow.hitRatio >= 0 &&
		      value->accessPolicyWindow.hitRatio <= 1))
			return CUDA_ERROR_INVALID_VALUE;
		full->window = value->accessPolicyWindow;
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
		if (value->syncPolicy < CU_SYNC_POLICY_AUTO ||
		    value->syncPolicy > CU_SYNC_POLICY_BLOCKING_SYNC)
			return CUDA_ERROR_INVALID_VALUE;
		full->sync_policy = value->syncPolicy;
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_PRIORITY:
		if (value->priority > SIM_PRIORITY_LEAST ||
		    value->priority < SIM_PRIORITY_GREATEST)
			return CUDA_ERROR_INVALID_VALUE;
		full->priority = value->priority;
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
		full->domain_map = value->memSyncDomainMap;
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
		if (value->memSyncDomain != CU_LAUNCH_MEM_SYNC_DOMAIN_DEFAULT &&
		    value->memSyncDomain != CU_LAUNCH_MEM_SYNC_DOMAIN_REMOTE)
			return CUDA_ERROR_INVALID_VALUE;
		full->domain = value->memSyncDomain;
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_NVLINK_UTIL_CENTRIC_SCHEDULING:
		if (value->nvlinkUtilCentricScheduling > 1)
			return CUDA_ERROR_INVALID_VALUE;
		full->nvlink_centric = value->nvlinkUtilCentricScheduling;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static CUresult get_attribute(CUstream handle, CUstreamAttrID id,
			      CUstreamAttrValue *value, bool per_thread)
{
	struct sim_stream *stream;
	CUresult res;

	if (value == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_stream_get(handle, per_thread, &stream);
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim.lock);
	res = read_attribute((struct sim_stream_full *)stream, id, value);
	pthread_mutex_unlock(&sim.lock);
	return res;
}

static CUresult set_attribute(CUstream handle, CUstreamAttrID id,
			      const CUstreamAttrValue *value, bool per_thread)
{
	struct sim_stream *stream;
	CUresult res;

	if (value == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_stream_get(handle, per_thread, &stream);
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim.lock);
	res = write_attribute((struct sim_stream_full *)stream, id, value);
	pthread_mutex_unlock(&sim.lock);
	return res;
}

/* ---- entry points ---- */

SIM_EXPORT CUresult cuStreamGetCtx(CUstream stream, CUcontext *ctx)
{
	CUresult res = sim_enter(SIM_FN_cuStreamGetCtx);

	return res != CUDA_SUCCESS ? res : get_ctx(stream, ctx, false);
}

SIM_EXPORT CUresult cuStreamGetCtx_ptsz(CUstream stream, CUcontext *ctx)
{
	CUresult res = sim_enter(SIM_FN_cuStreamGetCtx_ptsz);

	return res != CUDA_SUCCESS ? res : get_ctx(stream, ctx, true);
}

SIM_EXPORT CUresult cuStreamGetCtx_v2(CUstream stream, CUcontext *ctx,
				      CUgreenCtx *pGreenCtx)
{
	CUresult res = sim_enter(SIM_FN_cuStreamGetCtx_v2);

	return res != CUDA_SUCCESS ? res : get_ctx_v2(stream, ctx, pGreenCtx, false);
}

SIM_EXPORT CUresult cuStreamGetCtx_v2_ptsz(CUstream stream, CUcontext *ctx,
					   CUgreenCtx *pGreenCtx)
{
	CUresult res = sim_enter(SIM_FN_cuStreamGetCtx_v2_ptsz);

	return res != CUDA_SUCCESS ? res : get_ctx_v2(stream, ctx, pGreenCtx, true);
}

SIM_EXPORT CUresult cuStreamGetDevice(CUstream stream, CUdevice *device)
{
	CUresult res = sim_enter(SIM_FN_cuStreamGetDevice);

	return res != CUDA_SUCCESS ? res : get_device(stream, device, false);
}

SIM_EXPORT CUresult cuStreamGetDevice_ptsz(CUstream stream, CUdevice *device)
{
	CUresult res = sim_enter(SIM_FN_cuStreamGetDevice_ptsz);

	return res != CUDA_SUCCESS ? res : get_device(stream, device, true);
}

SIM_EXPORT CUresult cuStreamGetFlags(CUstream stream, unsigned int *flags)
{
	CUresult res = sim_enter(SIM_FN_cuStreamGetFlags);

	return res != CUDA_SUCCESS ? res : get_flags(stream, flags, false);
}

SIM_EXPORT CUresult cuStreamGetFlags_ptsz(CUstream stream, unsigned int *flags)
{
	CUresult res = sim_enter(SIM_FN_cuStreamGetFlags_ptsz);

	return res != CUDA_SUCCESS ? res : get_flags(stream, flags, true);
}

SIM_EXPORT CUresult cuStreamGetPriority(CUstream stream, int *priority)
{
	CUresult res = sim_enter(SIM_FN_cuStreamGetPriority);

	return res != CUDA_SUCCESS ? res : get_priority(stream, priority, false);
}

SIM_EXPORT CUresult cuStreamGetPriority_ptsz(CUstream stream, int *priority)
{
	CUresult res = sim_enter(SIM_FN_cuStreamGetPriority_ptsz);

	return res != CUDA_SUCCESS ? res : get_priority(stream, priority, true);
}

SIM_EXPORT CUresult cuStreamGetId(CUstream stream, unsigned long long *id)
{
	CUresult res = sim_enter(SIM_FN_cuStreamGetId);

	return res != CUDA_SUCCESS ? res : get_id(stream, id, false);
}

SIM_EXPORT CUresult cuStreamGetId_ptsz(CUstream stream, unsigned long long *id)
{
	CUresult res = sim_enter(SIM_FN_cuStreamGetId_ptsz);

	return res != CUDA_SUCCESS ? res : get_id(stream, id, true);
}

SIM_EXPORT CUresult cuStreamCopyAttributes(CUstream dstStream, CUstream srcStream)
{
	CUresult res = sim_enter(SIM_FN_cuStreamCopyAttributes);

	return res != CUDA_SUCCESS ? res : copy_attributes(dstStream, srcStream, false);
}

SIM_EXPORT CUresult cuStreamCopyAttributes_ptsz(CUstream dst, CUstream src)
{
	CUresult res = sim_enter(SIM_FN_cuStreamCopyAttributes_ptsz);

	return res != CUDA_SUCCESS ? res : copy_attributes(dst, src, true);
}

SIM_EXPORT CUresult cuStreamGetAttribute(CUstream stream, CUstreamAttrID attr,
					 CUstreamAttrValue *value)
{
	CUresult res = sim_enter(SIM_FN_cuStreamGetAttribute);

	return res != CUDA_SUCCESS ? res : get_attribute(stream, attr, value, false);
}

SIM_EXPORT CUresult cuStreamGetAttribute_ptsz(CUstream stream, CUstreamAttrID attr,
					      CUstreamAttrValue *value)
{
	CUresult res = sim_enter(SIM_FN_cuStreamGetAttribute_ptsz);

	return res != CUDA_SUCCESS ? res : get_attribute(stream, attr, value, true);
}

SIM_EXPORT CUresult cuStreamSetAttribute(CUstream stream, CUstreamAttrID attr,
					 const CUstreamAttrValue *param)
{
	CUresult res = sim_enter(SIM_FN_cuStreamSetAttribute);

	return res != CUDA_SUCCESS ? res : set_attribute(stream, attr, param, false);
}

SIM_EXPORT CUresult cuStreamSetAttribute_ptsz(CUstream stream, CUstreamAttrID attr,
					      const CUstreamAttrValue *value)
{
	CUresult res = sim_enter(SIM_FN_cuStreamSetAttribute_ptsz);

	return res != CUDA_SUCCESS ? res : set_attribute(stream, attr, value, true);
}

SIM_EXPORT CUresult cuStreamGetGreenCtx(CUstream stream, CUgreenCtx *phCtx)
{
	CUresult res = sim_enter(SIM_FN_cuStreamGetGreenCtx);
	CUcontext ctx;

	if (res != CUDA_SUCCESS)
		return res;
	if (phCtx == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	return get_ctx_v2(stream, &ctx, phCtx, false);
}
