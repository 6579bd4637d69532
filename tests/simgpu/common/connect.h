/*
 * connect.h - reaching the device process, starting it when there is none.
 *
 * Knows: the state directory, its lock, the socket in it, where simgpud lies (beside the
 * library or program that asks, or SIMGPU_DAEMON), and how one message with descriptors is
 * sent and received. Refuses to know: what the messages mean.
 */
#ifndef SIM_CONNECT_H
#define SIM_CONNECT_H

#include <stddef.h>

#include "proto.h"

/* Connects to the device of state directory `state` (NULL: the default). With `start`, a
 * missing device is started and waited for (at most 10 s). Two starters never start two:
 * they meet at a lock. Returns a connected SOCK_SEQPACKET descriptor (O_CLOEXEC) or
 * -errno, with a sentence in why[why_bytes]. */
int sim_connect(const char *state, int start, char *why, size_t why_bytes);

/* Sends one request with at most one descriptor (-1: none). 0 or -errno. */
int sim_send(int fd, const struct sim_request *request, int pass_fd);

/* Receives one reply and up to nfds descriptors; missing ones are -1, surplus ones are
 * closed. `extra` receives what follows the reply (extra_bytes at most; may be NULL).
 * 0 or -errno (-EPIPE: the device is gone). */
int sim_receive(int fd, struct sim_reply *reply, void *extra, size_t extra_bytes,
		int *fds, int nfds);

#endif
