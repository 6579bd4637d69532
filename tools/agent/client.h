/*
 * client.h - one client of the agent's socket: what it has said so far, what it is to hear.
 *
 * Knows the protocol of common/control.h. Never waits. One thread.
 */
#ifndef GSH_AGENT_CLIENT_H
#define GSH_AGENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "agent/control.h"
#include "common/control.h"

/* All zero but for the first four is new. */
struct agent_client {
	struct agent_source source;
	struct agent_control *control;
	struct agent_client *next;
	struct ucred who;
	unsigned idle_checks;
	bool is_answering; /* nothing is read any more */
	/* What was said: a line, then the content that it announces. */
	char line[GSH_CONTROL_LINE_MAX];
	size_t line_filled;
	char *content;
	size_t content_filled, content_bytes;
	/* What is to be heard. */
	char *answer;
	size_t answer_bytes, answer_room, answer_sent;
};

/* Reads or writes what is possible now. False: it is done with. */
bool agent_client_go_on(struct agent_client *client, uint32_t events);

/* The descriptor is the caller's. */
void agent_client_free(struct agent_client *client);

#endif
