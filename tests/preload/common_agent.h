/*
 * common_agent.h - tests of gpushim-agent: the daemon itself, in the directory of the test.
 *
 * Readiness is what the agent tells the service manager, who is the test. One agent at a time
 * has its log read here.
 */
#ifndef TESTS_PRELOAD_COMMON_AGENT_H
#define TESTS_PRELOAD_COMMON_AGENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- files of the test ---- */

/* "tenant_dir()/NAME", in one of a few buffers that take turns. */
const char *agent_path(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Writes limits.json with these members of "tenants"; its path. */
const char *agent_limits(const char *tenants);
/* mkdir of DIR/ledger/NAME. */
void agent_tenant_comes(const char *name);

/* ---- the daemon ---- */

/*
 * Starts gpushim-agent --dir tenant_dir() with more words of a command line, and waits until
 * it says that it is ready. 0 if it ended instead.
 */
pid_t agent_start(const char *words);
/* Ends it by a signal: its status as of waitpid(2). */
int agent_end(pid_t pid, int signal);
/* One that is to fail: its exit status, or -1. */
int agent_refused(const char *words);
/* For teardown: kills what is left. */
void agent_forget(void);

/* All that the last one has said so far. */
const char *agent_log_text(void);
/* Waits until it has said so; prints what it said if it does not. */
bool agent_says(const char *text);
/* How often it has said so by now. */
int agent_said_times(const char *text);
/* What the manager was told, waiting until that is among it. */
bool agent_notified(const char *text);
/* The same without waiting. */
bool agent_was_notified(const char *text);

/* ---- what it does ---- */

/* Waits until the condition holds; false after a time that is long for this machine. */
bool agent_wait(bool (*holds)(const void *data), const void *data);

/* The heartbeat in a tenant's page; 0 if there is none. */
uint64_t agent_heartbeat(const char *tenant);
/* Waits for a page of the tenant with such a quota in force. */
bool agent_has_memory(const char *tenant, uint64_t memory_bytes);
/* Waits for as many beats in the tenant's page. */
bool agent_beats(const char *tenant, unsigned count);
bool agent_exists(const char *path);
/* Waits until there is no such file. */
bool agent_gone(const char *path);

/* ---- HTTP, of an agent that listens at unix:tenant_dir()/metrics.sock ---- */

/* Connects to a socket: a descriptor or -errno. */
int agent_connect(const char *path);
/* The whole response, headers and all; "" without one. Valid until the next call. */
const char *agent_get(const char *url, const char *header);
/* The value of a sample of /metrics, by its name and labels; -1: there is none. */
double agent_metric(const char *sample);

/* ---- tools ---- */

/*
 * Runs a tool of the build ("gpushim-ctl show") with GPUSHIM_DIR=tenant_dir(): its exit status,
 * and what it said, on both outputs, in agent_output().
 */
int agent_tool(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *agent_output(void);
/* True if the tool said so; prints what it said if not. */
bool agent_said(const char *text);

#endif
