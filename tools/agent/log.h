/*
 * log.h - what the agent says of itself: one line on standard error for each event, written
 * at once or, while nobody reads them, not at all.
 */
#ifndef GSH_AGENT_LOG_H
#define GSH_AGENT_LOG_H

#include <stdbool.h>

/* As of syslog(3). */
enum agent_level { AGENT_ERROR = 3, AGENT_WARNING = 4, AGENT_NOTICE = 5, AGENT_INFO = 6 };

/* journal: lines begin with "<LEVEL>", as journald takes them, and not with our name. */
void agent_log_start(bool journal);

/* A sentence without its newline. What is not printable becomes '?'. */
void agent_log(enum agent_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
