/*
 * clock.c - the clocks of the machine, and a rest.
 *
 * The only file that asks what time it is; everything else is told.
 */
#include "base/clock.h"

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)

static uint64_t read_ns(clockid_t clock)
{
	struct timespec now;

	/* Cannot fail with these clocks. */
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t gsh_clock_now_ns(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

uint64_t gsh_clock_unix_ns(void)
{
	return read_ns(CLOCK_REALTIME);
}

void gsh_clock_sleep_ns(uint64_t ns)
{
	struct timespec rest = {
		.tv_sec = (time_t)(ns / NS_PER_S),
		.tv_nsec = (long)(ns % NS_PER_S),
	};
	int saved = errno;

	/* Not nanosleep(3): a thread of the program must not be cancelled in our hands. */
	syscall(SYS_nanosleep, &rest, NULL);
	errno = saved;
}
