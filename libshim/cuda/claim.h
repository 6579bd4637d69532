/*
 * claim.h - the life of an allocation that has a handle: claimed, entered, released.
 *
 * The frame of every hook that allocates or frees something which the driver names in that
 * very call: linear memory, arrays, contexts. Knows when such a call is only passed on.
 * Refuses to know pools, graphs and mappings, whose bytes do not come and go with a handle.
 *
 *	res = gsh_claim_reserve(&claim, GPUSHIM_KIND_LINEAR, bytes);
 *	if (res != CUDA_SUCCESS)
 *		return res;
 *	res = gsh_driver.cuMemAlloc_v2(dptr, bytes);
 *	return gsh_claim_settle(&claim, res, GSH_ALLOC_POINTER, dptr);
 *
 * Any thread.
 */
#ifndef GSH_CUDA_CLAIM_H
#define GSH_CUDA_CLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda/allocs.h"
#include "cuda/charge.h"

/* No device has so much: the driver refuses it by itself, with the code it has for it. */
#define GSH_CLAIM_ABSURD_BYTES (UINT64_C(1) << 56)

struct gsh_claim {
	struct gsh_charge charge;
	uint64_t context; /* that it dies with; 0: its own, a context being made */
	bool counted;	  /* false: the call is only passed on */
};

/*
 * Reserves bytes on the current context's device. CUDA_SUCCESS: call the driver, then
 * settle; anything else is what the hook returns. The call is only passed on where the
 * process is not limited, and where the driver is going to refuse it (absurd sizes, no
 * usable context), so that the program gets the driver's own code. 0 bytes are a claim too:
 * of what has a handle and no memory, or of arguments that the driver refuses.
 */
CUresult gsh_claim_reserve(struct gsh_claim *claim, enum gpushim_kind kind,
			   uint64_t bytes);
/* The same for a context that is being made on a device, with its configured charge. */
CUresult gsh_claim_context(struct gsh_claim *claim, int ordinal);

/* The driver has chosen another size. Not CUDA_SUCCESS: it does not fit, undo and settle. */
CUresult gsh_claim_resize(struct gsh_claim *claim, uint64_t actual_bytes);
/* Has the driver destroy what it has made. */
void gsh_claim_undo(enum gsh_alloc_class class, uint64_t handle);

/*
 * res: what the driver returned; handle: what it made. Enters it, or gives the reservation
 * back. Returns what the hook returns: res, or OUT_OF_MEMORY if there is no memory for the
 * entry, after destroying what was made.
 */
CUresult gsh_claim_settle(struct gsh_claim *claim, CUresult res,
			  enum gsh_alloc_class class, uint64_t handle);

/* ---- the way back ---- */

struct gsh_release {
	struct gsh_alloc alloc;
	enum {
		GSH_RELEASE_PASS,    /* the process is not limited, or the handle is 0 */
		GSH_RELEASE_UNKNOWN, /* nobody saw it being allocated here */
		GSH_RELEASE_KNOWN,
	} state;
};

/* Takes it out of the map before the driver may give the same handle to somebody else. */
CUresult gsh_release_begin(struct gsh_release *release, enum gsh_alloc_class class,
			   uint64_t handle);
/* Refunds it if it is gone, else puts it back. Counts unknown ones. Returns res. */
CUresult gsh_release_end(struct gsh_release *release, CUresult res);

/* Whether what was to be freed is gone: success, or with its context, or with the driver. */
bool gsh_release_happened(CUresult res);
/* Refunds an entry that is out of the map; later, if others may keep it alive. */
void gsh_release_refund(const struct gsh_alloc *alloc);

#endif
