/*
 * start.h - starting a device process from within any program.
 *
 * Knows: where the program simgpud lies and how it is started so that it shares nothing with
 * the process that happened to be first. Refuses to know: sockets and the state directory's
 * layout. Private to connect.c.
 */
#ifndef SIM_START_H
#define SIM_START_H

#include <stddef.h>

/* Starts `simgpud --fd 3 --state DIR`, where descriptor 3 is listen_fd, as a process of its
 * own session whose parent is init; its standard error is appended to log_fd. No other
 * descriptor, no signal disposition and no preloaded library of the caller reaches it, and
 * the caller gets no SIGCHLD. Returns 0 once the program runs, or -errno with a sentence in
 * why. Borrows everything. Any thread; the caller may have other threads. */
int sim_start_device(const char *dir, int listen_fd, int log_fd, char *why,
		     size_t why_bytes);

#endif
