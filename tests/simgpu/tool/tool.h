/*
 * tool.h - what the commands of `simgpu` share.
 *
 * Knows: the exit codes, the commands, and how numbers and books are written. Refuses to
 * know: how the device is reached (simgpu.h).
 */
#ifndef SIM_TOOL_H
#define SIM_TOOL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "api/monitor.h"
#include "simgpu.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* A command: argv[0] is its name. Returns the exit code. */
int tool_status(int argc, char **argv);
int tool_watch(int argc, char **argv);
int tool_hold(int argc, char **argv);
int tool_run(int argc, char **argv);
int tool_lose(int argc, char **argv);
int tool_limit(int argc, char **argv);
int tool_env(int argc, char **argv);

/* main.c: a sentence on standard error, after the tool's name; returns EXIT_FAILED. */
__attribute__((format(printf, 1, 2))) int tool_fail(const char *format, ...);
/* How the command is used, on standard error; returns EXIT_USAGE. */
int tool_usage(const char *command);
/* Opens a monitor of the default state directory; says why it cannot. */
struct simgpu_monitor *tool_open(int start);
/* Reads a device number that the device has, or says what is wrong and returns -1. */
int tool_device(struct simgpu_monitor *monitor, const char *text);

/* format.c: each writes into one of eight static buffers taken in turn and returns it. */
const char *tool_bytes(uint64_t bytes); /* "1.5GiB"; four significant digits at most */
const char *tool_time(uint64_t ns);	/* "12.3ms" */
const char *tool_percent(uint64_t part, uint64_t whole);    /* "97.1", "-" of nothing */
const char *tool_uuid(const unsigned char uuid[16]);	    /* "GPU-xxxxxxxx-..." */
const char *tool_state(const struct simgpu_device *device); /* "idle" ... "lost" */

/* json.c: the books as one JSON object and a newline; clients that have gone only with
 * `all`. The names of members are those of simgpu.h. */
void tool_json(FILE *out, const struct simgpu_truth *truth, const struct sim_hello *hello,
	       bool all);

#endif
