/*
 * futex.h - waking waiters in the channels of clients.
 */
#ifndef SIM_FUTEX_H
#define SIM_FUTEX_H

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto.h"

/* Changes the word and wakes everybody who waits on it, in any process. */
static inline void sim_futex_wake(_Atomic uint32_t *word)
{
	atomic_fetch_add_explicit(word, 1, memory_order_release);
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static inline void sim_futex_wake_slot(struct sim_stream_slot *slot)
{
	atomic_store_explicit(&slot->wait_seq, 0, memory_order_seq_cst);
	sim_futex_wake(&slot->futex);
}

#endif
