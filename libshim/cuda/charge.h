/*
 * charge.h - reserve, call, settle: the three steps of every hook that allocates.
 *
 * What can fail happens in gsh_charge_reserve(), before the driver is called; settling
 * cannot fail. ACTIVE mode only. Any thread.
 */
#ifndef GSH_CUDA_CHARGE_H
#define GSH_CUDA_CHARGE_H

#include <stdint.h>

#include "cuda/hook.h"
#include "ledger/tenant.h"

struct gsh_charge {
	uint64_t bytes; /* reserved; 0: nothing */
	int row;
	enum gpushim_kind kind;
};

/*
 * CUDA_SUCCESS; CUDA_ERROR_OUT_OF_MEMORY (counted as a denial, after this process has given
 * back what it does not use: room.h); NOT_PERMITTED if the policy has closed.
 */
CUresult gsh_charge_reserve(struct gsh_charge *charge, int row, enum gpushim_kind kind,
			    uint64_t bytes);
/* The same without counting a denial, for those who can still make room and try again. */
CUresult gsh_charge_try(struct gsh_charge *charge, int row, enum gpushim_kind kind,
			uint64_t bytes);
void gsh_charge_deny(uint64_t asked_bytes);

/* The call failed: gives the reservation back. */
void gsh_charge_cancel(struct gsh_charge *charge);
/* The call took actual bytes: corrects the reservation, up or down. */
void gsh_charge_settle(struct gsh_charge *charge, uint64_t actual_bytes);
void gsh_charge_refund(int row, enum gpushim_kind kind, uint64_t bytes);

#endif
