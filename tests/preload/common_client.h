/*
 * common_client.h - small programs (tests/preload/parts) run as clients of the driver, with
 * and without the shim, and what they and the simulated driver said.
 *
 * The driver's own log of calls is the truth: what reached it, and how often.
 */
#ifndef TESTS_PRELOAD_COMMON_CLIENT_H
#define TESTS_PRELOAD_COMMON_CLIENT_H

#include <stdbool.h>

struct client {
	/* argv of the program: [0] is the name of a part, or a path if it has a slash. */
	const char *arguments[8];
	/* Parts to preload before and after the shim; NULL: none. */
	const char *before, *after;
	/* "NAME=value", beside GPUSHIM_DIR and GPUSHIM_WAIT_MS. */
	const char *variables[6];
	bool bare; /* without the shim, the other preloads stay */
};

struct client_run {
	int status;	 /* as of waitpid(2) */
	char out[16384]; /* standard output */
	char err[65536]; /* standard error, the driver's log in it */
};

/* False, and the test is skipped, where the driver is instrumented: a plain program cannot
 * load it. */
bool client_plain(void);
/* Runs it to its end in the directory of the test (tenant_dir()). */
void client_run(const struct client *client, struct client_run *run);
/* How often a function of the driver was called, by its exact name. */
int client_calls(const struct client_run *run, const char *symbol);
/* Prints both outputs if the condition does not hold; returns it. */
bool client_check(const struct client_run *run, bool held);
/* The path of a part, in storage that the next four calls leave alone. */
const char *client_part(const char *part);

#endif
