/*
 * resolve.h - what to hand out for an answer of cuGetProcAddress, and a count of what was
 * handed out unknown. Any thread.
 */
#ifndef GSH_CUDA_RESOLVE_H
#define GSH_CUDA_RESOLVE_H

#include <stdint.h>

/*
 * The hook for what the driver answered to (base, version, flags); `answer` itself where
 * nothing is hooked. answer is not NULL. After gsh_driver_load().
 */
void *gsh_resolve(const char *base, void *answer, int version, uint64_t flags);

/* Counts an entry point of the driver that is handed out and in no table. */
void gsh_resolve_unknown(void);
/* Writes what was counted before there was an account into the ledger, if there is one. */
void gsh_resolve_settle(void);

#endif
