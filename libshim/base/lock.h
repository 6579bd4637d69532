/*
 * lock.h - a mutex of one word for threads of one process.
 *
 * All zero is unlocked, so that a lock in memory that fork wipes is unlocked in the child.
 * It imports nothing but syscall(2): pthread mutexes would be allowed, but their state after
 * fork would not.
 * Not fair, not recursive. A holder may not call into the driver or sleep unless the lock's
 * comment says so.
 */
#ifndef GSH_BASE_LOCK_H
#define GSH_BASE_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

struct gsh_lock {
	uint32_t word; /* 0 free, 1 held, 2 held and waited for */
};

void gsh_lock_wait(struct gsh_lock *lock);
void gsh_lock_wake(struct gsh_lock *lock);

static inline void gsh_lock(struct gsh_lock *lock)
{
	uint32_t free = 0;

	/* Pairs with the release in gsh_unlock(). */
	if (gsh_unlikely(!gsh_cas_acquire(&lock->word, &free, 1)))
		gsh_lock_wait(lock);
}

/* Takes it if it is free. */
static inline bool gsh_try_lock(struct gsh_lock *lock)
{
	uint32_t free = 0;

	/* Pairs with the release in gsh_unlock(). */
	return gsh_cas_acquire(&lock->word, &free, 1);
}

static inline void gsh_unlock(struct gsh_lock *lock)
{
	/* Pairs with the acquire in gsh_lock() and gsh_lock_wait(). */
	if (gsh_unlikely(gsh_swap_release(&lock->word, 0) == 2))
		gsh_lock_wake(lock);
}

#endif
