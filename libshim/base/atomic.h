/*
 * atomic.h - atomics whose name says their order.
 *
 * Plain integers, so that the same structs serve in shared memory, in C and in C++.
 * Whoever uses more than relaxed names the partner in a comment.
 */
#ifndef GSH_BASE_ATOMIC_H
#define GSH_BASE_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#define gsh_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define gsh_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define gsh_load_seq_cst(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define gsh_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define gsh_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
/* Return the value before. */
#define gsh_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define gsh_add_acq_rel(p, v) __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL)
#define gsh_add_seq_cst(p, v) __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define gsh_sub_relaxed(p, v) __atomic_fetch_sub((p), (v), __ATOMIC_RELAXED)
#define gsh_sub_seq_cst(p, v) __atomic_fetch_sub((p), (v), __ATOMIC_SEQ_CST)
#define gsh_swap_acquire(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQUIRE)
#define gsh_swap_release(p, v) __atomic_exchange_n((p), (v), __ATOMIC_RELEASE)
/* *p == *expected becomes value; otherwise *expected becomes *p. True if it became value. */
#define gsh_cas_acquire(p, expected, value)                                            \
	__atomic_compare_exchange_n((p), (expected), (value), false, __ATOMIC_ACQUIRE, \
				    __ATOMIC_RELAXED)
#define gsh_cas_acq_rel(p, expected, value)                                            \
	__atomic_compare_exchange_n((p), (expected), (value), false, __ATOMIC_ACQ_REL, \
				    __ATOMIC_ACQUIRE)
#define gsh_cas_relaxed(p, expected, value)                                            \
	__atomic_compare_exchange_n((p), (expected), (value), false, __ATOMIC_RELAXED, \
				    __ATOMIC_RELAXED)

#define gsh_likely(x) __builtin_expect(!!(x), 1)
#define gsh_unlikely(x) __builtin_expect(!!(x), 0)

/* *p = max(*p, value); writes only if that changes it. */
static inline void gsh_raise_relaxed(uint64_t *p, uint64_t value)
{
	uint64_t seen = gsh_load_relaxed(p);

	while (seen < value && !gsh_cas_relaxed(p, &seen, value))
		;
}

/* A moment's rest in a loop that waits for another thread. */
static inline void gsh_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

#endif
