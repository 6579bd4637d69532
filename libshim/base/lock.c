/*
 * lock.c - the slow half of the mutex: waiting in the kernel, and waking.
 *
 * Knows the futex call. Knows nothing of what is guarded.
 */
#include "base/lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Critical sections here take tens of nanoseconds: worth a look before a system call. */
enum { SPINS = 64 };

/* The program's errno is not ours to change. Early and spurious returns are harmless. */
static void futex(uint32_t *word, int operation, uint32_t value)
{
	int saved = errno;

	syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
	errno = saved;
}

void gsh_lock_wait(struct gsh_lock *lock)
{
	for (int i = 0; i < SPINS; i++) {
		uint32_t free = 0;

		if (gsh_load_relaxed(&lock->word) == 0 &&
		    gsh_cas_acquire(&lock->word, &free, 1))
			return;
		gsh_pause();
	}
	/* Whoever gets it here cannot know whether others wait, so it stays 2. */
	while (gsh_swap_acquire(&lock->word, 2) != 0)
		futex(&lock->word, FUTEX_WAIT, 2);
}

void gsh_lock_wake(struct gsh_lock *lock)
{
	futex(&lock->word, FUTEX_WAKE, 1);
}
