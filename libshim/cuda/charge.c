/*
 * charge.c - reserve, call, settle: the arithmetic between a hook and the tenant's account.
 *
 * Knows how errors of the account become results of CUDA. Refuses to know devices, handles
 * and the driver.
 */
#include "cuda/charge.h"

#include <errno.h>

#include "base/atomic.h"
#include "cuda/process.h"
#include "cuda/room.h"

CUresult gsh_charge_try(struct gsh_charge *charge, int row, enum gpushim_kind kind,
			uint64_t bytes)
{
	int error = 0;

	charge->row = row;
	charge->kind = kind;
	charge->bytes = 0;
	if (gsh_likely(bytes))
		error = gsh_tenant_reserve(&gsh_process->tenant, row, kind, bytes);
	if (gsh_unlikely(error < 0))
		return error == -ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY
					: CUDA_ERROR_NOT_PERMITTED;
	charge->bytes = bytes;
	return CUDA_SUCCESS;
}

void gsh_charge_deny(uint64_t asked_bytes)
{
	gsh_tenant_denied(&gsh_process->tenant, asked_bytes);
}

CUresult gsh_charge_reserve(struct gsh_charge *charge, int row, enum gpushim_kind kind,
			    uint64_t bytes)
{
	CUresult res = gsh_charge_try(charge, row, kind, bytes);
	struct gsh_room room = { 0 };

	if (gsh_likely(res != CUDA_ERROR_OUT_OF_MEMORY))
		return res;
	while (res == CUDA_ERROR_OUT_OF_MEMORY && gsh_room_make(&room, row))
		res = gsh_charge_try(charge, row, kind, bytes);
	if (res == CUDA_ERROR_OUT_OF_MEMORY)
		gsh_charge_deny(bytes);
	return res;
}

void gsh_charge_refund(int row, enum gpushim_kind kind, uint64_t bytes)
{
	if (bytes)
		gsh_tenant_refund(&gsh_process->tenant, row, kind, bytes);
}

void gsh_charge_cancel(struct gsh_charge *charge)
{
	gsh_charge_refund(charge->row, charge->kind, charge->bytes);
	charge->bytes = 0;
}

void gsh_charge_settle(struct gsh_charge *charge, uint64_t actual_bytes)
{
	if (actual_bytes > charge->bytes)
		gsh_tenant_force(&gsh_process->tenant, charge->row, charge->kind,
				 actual_bytes - charge->bytes);
	else
		gsh_charge_refund(charge->row, charge->kind,
				  charge->bytes - actual_bytes);
	charge->bytes = actual_bytes;
}
