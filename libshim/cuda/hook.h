/*
 * hook.h - what every hook file needs: the driver's entry points, and the hook's own
 * prototype, both from hooks.def.
 *
 * A hook is an exported function with the driver's name. `gsh_driver.cuMemAlloc_v2` is the
 * real one, with NVIDIA's own type; it is filled before any hook runs past GSH_DRIVER().
 *
 *	CUresult CUDAAPI cuMemAlloc_v2(CUdeviceptr *dptr, size_t bytesize)
 *	{
 *		struct gsh_charge charge;
 *		CUresult res;
 *
 *		GSH_NEED(cuMemAlloc_v2);
 *		if (gsh_enter() != GSH_MODE_ACTIVE)
 *			return gsh_inactive() ? : gsh_driver.cuMemAlloc_v2(dptr, bytesize);
 *		...
 */
#ifndef GSH_CUDA_HOOK_H
#define GSH_CUDA_HOOK_H

/* All versions under their own names, none renamed. */
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>
#include <cudaTypedefs.h>

#if CUDA_VERSION < 13000
#error "gpushim is built with the headers of CUDA 13.0 or newer, so that its hooks are always the same"
#endif

#include "base/atomic.h"
#include "cuda/process.h"

#define GSH_EXPORT __attribute__((visibility("default")))

/* Every row of hooks.def, hooked or skipped: GSH_SYM_cuInit. */
enum gsh_symbol {
#define HOOK(symbol, base, since, flavour, family) GSH_SYM_##symbol,
#define SKIP(symbol, base, since, flavour, reason) GSH_SYM_##symbol,
#include "cuda/hooks.def"
	GSH_SYM_COUNT,
};

/* The real entry points that we hook or call ourselves; NULL: this driver has none. */
struct gsh_driver {
#define HOOK(symbol, base, since, flavour, family) PFN_##base##_v##since##flavour symbol;
#define SKIP(symbol, base, since, flavour, reason)
#include "cuda/hooks.def"
	/* Called, not hooked. */
#define CALL(symbol, base, since, flavour) PFN_##base##_v##since##flavour call_##symbol;
#include "cuda/calls.def"
};

extern struct gsh_driver gsh_driver;
extern uint32_t gsh_driver_ready; /* atomic */

/* Finds the driver that is loaded and fills gsh_driver. 0, or -ENOENT: none is loaded. */
int gsh_driver_load(void);

/* In a hook, first of all: returns from it if there is no driver, or none of this name. */
#define GSH_NEED(symbol)                                                  \
	do {                                                              \
		if (gsh_unlikely(!gsh_load_acquire(&gsh_driver_ready)) && \
		    gsh_driver_load() < 0)                                \
			return CUDA_ERROR_NO_DEVICE;                      \
		if (gsh_unlikely(!gsh_driver.symbol))                     \
			return CUDA_ERROR_NOT_SUPPORTED;                  \
	} while (0)

/* What a hook returns without calling the driver: in CLOSED mode NOT_PERMITTED, else 0. */
CUresult gsh_inactive(void);

/* -ENOMEM and its like as a code the real call can return. */
CUresult gsh_result(int error);

/* The exported prototypes, of the types in gsh_driver. */
#define HOOK(symbol, base, since, flavour, family) \
	GSH_EXPORT extern __typeof__(*(PFN_##base##_v##since##flavour)0) symbol;
#define SKIP(symbol, base, since, flavour, reason)
#include "cuda/hooks.def"

#endif
