/*
 * notify.h - telling the service manager how it stands with us, by the protocol of
 * sd_notify(3): one datagram to the socket that NOTIFY_SOCKET names. Without it, nothing.
 */
#ifndef GSH_AGENT_NOTIFY_H
#define GSH_AGENT_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Reads the variables, and takes them away. False: NOTIFY_SOCKET names no socket. */
bool agent_notify_start(void);

/* Assignments, a line each: "READY=1\nSTATUS=...". Never waits. */
void agent_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How often the manager wants to hear "WATCHDOG=1", at least; 0: not at all. */
uint64_t agent_notify_watchdog_ns(void);

#endif
