/*
 * common_launches.h - in the body: every hooked entry point under its own name, kernels to
 * launch, and how many launches the ledger has counted.
 *
 * The names of CUDA's headers mean the newest versions; here cuMemsetD8 is the first one, and
 * the newest is cuMemsetD8_v2. To be included before anything that includes cuda.h.
 */
#ifndef TESTS_PRELOAD_COMMON_LAUNCHES_H
#define TESTS_PRELOAD_COMMON_LAUNCHES_H

#define __CUDA_API_VERSION_INTERNAL
#define CUDA_ENABLE_DEPRECATED
#include <cuda.h>
#include <cudaTypedefs.h>

#include <stdbool.h>
#include <stdint.h>

#include "common_tenant.h"

#define HOOK(symbol, base, since, flavour, family) \
	extern __typeof__(*(PFN_##base##_v##since##flavour)0) symbol;
#define SKIP(symbol, base, since, flavour, reason)
#include "cuda/hooks.def"

enum { LAUNCHES_BYTES = 4096, LAUNCHES_WORDS = LAUNCHES_BYTES / 4 };

/* For bodies; made by launches_prepare(). */
struct launches {
	CUfunction fill;      /* (u64 address, u32 value, u64 words) */
	CUstream stream;      /* non-blocking */
	CUdeviceptr to, from; /* LAUNCHES_BYTES each */
	uint32_t word;	      /* what `from` holds, and `to` is to hold */
};
extern struct launches launches;

/* Device 0, its primary context, and the above. Launches nothing. */
void launches_prepare(void);

/* The same `fill`, of the calling thread's current context. */
CUfunction launches_load(void);

/* The parameters that have `fill` set all of `to`; valid until the next call. */
void **launches_fill(uint32_t value);

/*
 * Whether, since the last time, the ledger has counted that many launches of this process on
 * the first device it used, neither more nor less. The ledger is written a little later than
 * launches happen: waits until it is. Without limits there is no ledger: true.
 */
bool launches_counted(uint64_t more);
/* The same of the device of an ordinal. */
bool launches_counted_on(unsigned device, uint64_t more);

/* Launches of this process that were measured, as far as the ledger says by now. */
uint64_t launches_measured(void);

/* ---- one call after the other ---- */

/* Another word than ever before, of equal bytes, in all of `from`; and 0 in `to`. With copies
 * of the host, which count for nothing. Waits for the device. */
void launches_begin(void);
/* The call succeeded, `to` holds the word, and that many launches were counted. */
bool launches_end(const char *symbol, CUresult result, uint64_t more);
/* Whether `to` holds the word everywhere. */
bool launches_hold(uint32_t word);

void launches_mark(const char *symbol);
/* Whether all rows of hooks.def of that family were marked, or tried by these: */
bool launches_tried(const char *family);

/* The call fills `to` with the word, and is one launch. */
#define COUNTS(symbol, ...)                                    \
	do {                                                   \
		launches_begin();                              \
		launches_end(#symbol, symbol(__VA_ARGS__), 1); \
	} while (0)
/* The same, and none, as the host has a part in it. */
#define PASSES(symbol, ...)                                    \
	do {                                                   \
		launches_begin();                              \
		launches_end(#symbol, symbol(__VA_ARGS__), 0); \
	} while (0)
/* The simulated driver has not got it. */
#define LACKS(symbol, ...)                                                   \
	do {                                                                 \
		launches_mark(#symbol);                                      \
		check_result(symbol(__VA_ARGS__), CUDA_ERROR_NOT_SUPPORTED); \
	} while (0)

/* A shape and arguments with which `fill` does that. */
#define SHAPE 4, 1, 1, 256, 1, 1, 0
#define FILL (launches_fill(launches.word))

#endif
