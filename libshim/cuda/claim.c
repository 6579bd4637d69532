/* The life of an allocation that has a handle; see claim.h. */
#include "cuda/claim.h"

#include <errno.h>

#include "cuda/context.h"
#include "cuda/hook.h"
#include "cuda/share.h"

/* ---- claiming ---- */

/* Codes of a driver that has no context for an allocation either. */
static bool has_no_context(CUresult res)
{
	return res == CUDA_ERROR_INVALID_CONTEXT ||
	       res == CUDA_ERROR_CONTEXT_IS_DESTROYED ||
	       res == CUDA_ERROR_NOT_INITIALIZED || res == CUDA_ERROR_DEINITIALIZED;
}

static CUresult reserve(struct gsh_claim *claim, enum gpushim_kind kind, uint64_t bytes)
{
	CUcontext context;
	CUresult res = gsh_driver.call_cuCtxGetCurrent(&context);
	int row = gsh_device_row_current();

	if (gsh_unlikely(row < 0 || res != CUDA_SUCCESS)) {
		if (row < 0)
			res = (CUresult)-row;
		return has_no_context(res) ? CUDA_SUCCESS : res;
	}
	claim->context = (uintptr_t)context;
	gsh_context_seen(row, claim->context);
	res = gsh_charge_reserve(&claim->charge, row, kind, bytes);
	claim->counted = res == CUDA_SUCCESS;
	return res;
}

CUresult gsh_claim_reserve(struct gsh_claim *claim, enum gpushim_kind kind,
			   uint64_t bytes)
{
	claim->counted = false;
	if (gsh_unlikely(gsh_enter() != GSH_MODE_ACTIVE))
		return gsh_inactive();
	if (gsh_unlikely(bytes >= GSH_CLAIM_ABSURD_BYTES))
		return CUDA_SUCCESS;
	return reserve(claim, kind, bytes);
}

CUresult gsh_claim_context(struct gsh_claim *claim, int ordinal)
{
	uint64_t bytes;
	CUresult res;
	int row;

	claim->counted = false;
	if (gsh_enter() != GSH_MODE_ACTIVE)
		return gsh_inactive();
	row = gsh_device_row(ordinal);
	if (row == -CUDA_ERROR_INVALID_DEVICE || row == -CUDA_ERROR_NOT_INITIALIZED)
		return CUDA_SUCCESS;
	if (row < 0)
		return (CUresult)-row;
	bytes = gsh_tenant_context_bytes(&gsh_process->tenant, row);
	if (bytes == 0)
		return CUDA_SUCCESS;
	claim->context = 0;
	res = gsh_charge_reserve(&claim->charge, row, GPUSHIM_KIND_CONTEXT, bytes);
	claim->counted = res == CUDA_SUCCESS;
	return res;
}

CUresult gsh_claim_resize(struct gsh_claim *claim, uint64_t actual_bytes)
{
	struct gsh_charge more;
	CUresult res;

	if (!claim->counted)
		return CUDA_SUCCESS;
	if (actual_bytes <= claim->charge.bytes) {
		gsh_charge_settle(&claim->charge, actual_bytes);
		return CUDA_SUCCESS;
	}
	res = gsh_charge_reserve(&more, claim->charge.row, claim->charge.kind,
				 actual_bytes - claim->charge.bytes);
	claim->charge.bytes += more.bytes;
	return res;
}

void gsh_claim_undo(enum gsh_alloc_class class, uint64_t handle)
{
	switch (class) {
	case GSH_ALLOC_POINTER:
		if (gsh_driver.cuMemFree_v2)
			gsh_driver.cuMemFree_v2(handle);
		break;
	case GSH_ALLOC_ARRAY:
		if (gsh_driver.cuArrayDestroy)
			gsh_driver.cuArrayDestroy((CUarray)(uintptr_t)handle);
		break;
	case GSH_ALLOC_MIPMAP:
		if (gsh_driver.cuMipmappedArrayDestroy)
			gsh_driver.cuMipmappedArrayDestroy(
				(CUmipmappedArray)(uintptr_t)handle);
		break;
	case GSH_ALLOC_CONTEXT:
		if (gsh_driver.cuCtxDestroy_v2)
			gsh_driver.cuCtxDestroy_v2((CUcontext)(uintptr_t)handle);
		break;
	}
}

CUresult gsh_claim_settle(struct gsh_claim *claim, CUresult res,
			  enum gsh_alloc_class class, uint64_t handle)
{
	const struct gsh_alloc alloc = {
		.handle = handle,
		.bytes = claim->charge.bytes,
		.context = claim->context ? claim->context : handle,
		.class = class,
		.row = (uint16_t)claim->charge.row,
		.kind = (uint8_t)claim->charge.kind,
	};
	struct gsh_alloc old;
	int error;

	/* A success without a handle stays charged: there is nothing to free it by. */
	if (gsh_unlikely(!claim->counted || (res == CUDA_SUCCESS && !handle)))
		return res;
	if (gsh_unlikely(res != CUDA_SUCCESS)) {
		gsh_charge_cancel(&claim->charge);
		return res;
	}
	error = gsh_allocs_add(&gsh_process->allocs, &alloc, &old);
	if (gsh_likely(error == 0))
		return CUDA_SUCCESS;
	if (error == -EEXIST) {
		/* It has gone in a way that was not seen, or its handle would not be free. */
		gsh_release_refund(&old);
		return CUDA_SUCCESS;
	}
	gsh_claim_undo(class, handle);
	gsh_charge_cancel(&claim->charge);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

/* ---- releasing ---- */

CUresult gsh_release_begin(struct gsh_release *release, enum gsh_alloc_class class,
			   uint64_t handle)
{
	release->state = GSH_RELEASE_PASS;
	if (gsh_unlikely(gsh_enter() != GSH_MODE_ACTIVE))
		return gsh_inactive();
	if (gsh_unlikely(handle == 0))
		return CUDA_SUCCESS;
	release->state = gsh_allocs_take(&gsh_process->allocs, class, handle,
					 &release->alloc)
				 ? GSH_RELEASE_KNOWN
				 : GSH_RELEASE_UNKNOWN;
	return CUDA_SUCCESS;
}

bool gsh_release_happened(CUresult res)
{
	return res == CUDA_SUCCESS || res == CUDA_ERROR_DEINITIALIZED ||
	       res == CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

void gsh_release_refund(const struct gsh_alloc *alloc)
{
	if (gsh_unlikely(alloc->exported))
		gsh_share_freed(alloc);
	else
		gsh_charge_refund(alloc->row, (enum gpushim_kind)alloc->kind,
				  alloc->bytes);
}

CUresult gsh_release_end(struct gsh_release *release, CUresult res)
{
	struct gsh_alloc old;

	if (gsh_likely(release->state == GSH_RELEASE_KNOWN)) {
		if (gsh_likely(gsh_release_happened(res)))
			gsh_release_refund(&release->alloc);
		else if (gsh_allocs_add(&gsh_process->allocs, &release->alloc, &old) ==
			 -EEXIST)
			/* An error, and yet somebody else has got the handle. */
			gsh_release_refund(&old);
	} else if (release->state == GSH_RELEASE_UNKNOWN && res == CUDA_SUCCESS) {
		gsh_add_relaxed(&gsh_process->tenant.ledger.own->untracked_frees, 1);
	}
	return res;
}
