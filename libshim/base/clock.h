/*
 * clock.h - the only reader of clocks. Nanoseconds. Any thread; no system call where the
 * vDSO serves.
 */
#ifndef GSH_BASE_CLOCK_H
#define GSH_BASE_CLOCK_H

#include <stdint.h>

uint64_t gsh_clock_now_ns(void);      /* CLOCK_MONOTONIC */
uint64_t gsh_clock_unix_ns(void);     /* CLOCK_REALTIME */
void gsh_clock_sleep_ns(uint64_t ns); /* may return early; keeps errno */

#endif
